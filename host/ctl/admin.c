/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What Admin1 changes: keys, connections, bans, breakers, queue, configuration, import.
 */
#include "ctl/ctl.h"

#include <string.h>

static CtlExit change (Ctl *ctl, const char *method, GVariant *parameters)
{
  return ctl_print_call (ctl, CTL_ADMIN, NULL, method, parameters);
}

/* ---- the queue ---- */

CtlExit ctl_queue_resend (Ctl *ctl, int argc, char **argv)
{
  CtlExit status = ctl_options (ctl, NULL, &argc, &argv);
  gint64 id;
  if (status != CTL_OK)
    return status;
  if (!g_ascii_string_to_signed (argv[1], 10, 1, G_MAXINT64, &id, NULL))
    return ctl_misuse (ctl, "'%s' is no number of a dead letter", argv[1]);
  return change (ctl, "ResendDeadLetter", g_variant_new ("(x)", id));
}

/* ---- bans ---- */

static gboolean is_address (const char *text)
{
  g_autoptr (GInetAddressMask) mask = g_inet_address_mask_new_from_string (text, NULL);
  return mask != NULL;
}

CtlExit ctl_bans_add (Ctl *ctl, int argc, char **argv)
{
  gboolean is_device = FALSE;
  gint minutes = 0;
  g_autofree char *reason = NULL;
  GOptionEntry entries[] = {
      {"reason", 0, 0, G_OPTION_ARG_FILENAME, &reason, "For the record", "TEXT"},
      {"minutes", 0, 0, G_OPTION_ARG_INT, &minutes, "For so long; default for ever", "N"},
      {"device", 0, 0, G_OPTION_ARG_NONE, &is_device,
       "It is a device's id, although it looks like an address", NULL},
      {NULL},
  };
  CtlExit status = ctl_options (ctl, entries, &argc, &argv);
  GVariantDict ban;
  if (status != CTL_OK)
    return status;
  g_variant_dict_init (&ban, NULL);
  g_variant_dict_insert (
      &ban, !is_device && is_address (argv[1]) ? "address" : "device_id", "s", argv[1]);
  if (reason != NULL)
    g_variant_dict_insert (&ban, "reason", "s", reason);
  if (minutes != 0)
    g_variant_dict_insert (&ban, "minutes", "i", minutes);
  return change (ctl, "AddBan", g_variant_new ("(@a{sv})", g_variant_dict_end (&ban)));
}

/* ---- keys ---- */

static GVariant *texts (const char *list)
{
  g_auto (GStrv) parts = g_strsplit (list, ",", -1);
  for (char **part = parts; *part != NULL; part++)
    g_strstrip (*part);
  return g_variant_new_strv ((const char *const *) parts, -1);
}

/* For people the key alone, so that it can be taken as it is. */
static void print_key (Ctl *ctl, const json_t *answer)
{
  if (ctl->json)
    ctl_print_json (answer);
  else {
    ctl_print ("%s\n", ctl_text (answer, "key"));
    if (json_object_get (answer, "hmac_secret") != NULL)
      ctl_print ("%s\n", ctl_text (answer, "hmac_secret"));
  }
}

CtlExit ctl_key_create (Ctl *ctl, int argc, char **argv)
{
  g_autofree char *scopes = NULL, *networks = NULL, *expires = NULL;
  gboolean hmac = FALSE;
  gint rate = 0;
  GOptionEntry entries[] = {
      {"scopes", 0, 0, G_OPTION_ARG_FILENAME, &scopes,
       "read, control, card, webhook, admin; default read,control", "LIST"},
      {"from", 0, 0, G_OPTION_ARG_FILENAME, &networks,
       "Only from these addresses and networks", "LIST"},
      {"expires", 0, 0, G_OPTION_ARG_FILENAME, &expires,
       "Only until then: 2026-01-31T08:00:00Z", "TIME"},
      {"rate", 0, 0, G_OPTION_ARG_INT, &rate, "Requests a minute; default as configured",
       "N"},
      {"hmac", 0, 0, G_OPTION_ARG_NONE, &hmac,
       "With a secret for signatures, printed on a second line", NULL},
      {NULL},
  };
  CtlExit status = ctl_options (ctl, entries, &argc, &argv);
  GVariantDict options;
  if (status != CTL_OK)
    return status;
  g_variant_dict_init (&options, NULL);
  if (networks != NULL)
    g_variant_dict_insert_value (&options, "ip_allow", texts (networks));
  if (expires != NULL)
    g_variant_dict_insert (&options, "expires_at", "s", expires);
  if (rate != 0)
    g_variant_dict_insert (&options, "rate_per_min", "i", rate);
  if (hmac)
    g_variant_dict_insert (&options, "hmac", "b", TRUE);
  json_t *answer
      = ctl_json_call (ctl, CTL_ADMIN, NULL, "CreateApiKey",
                       g_variant_new ("(s@as@a{sv})", argv[1],
                                      texts (scopes != NULL ? scopes : "read,control"),
                                      g_variant_dict_end (&options)),
                       &status);
  if (answer != NULL)
    print_key (ctl, answer);
  json_decref (answer);
  return status;
}

/* ---- configuration ---- */

/* What stands behind the equals sign: JSON, or else a text. (transfer full) */
static json_t *value_of (const char *text)
{
  json_t *value = *text != '\0' ? json_loads (text, JSON_DECODE_ANY, NULL) : json_null ();
  return value != NULL ? value : json_string (text);
}

CtlExit ctl_config_change (Ctl *ctl, int argc, char **argv)
{
  CtlExit status = ctl_options (ctl, NULL, &argc, &argv);
  if (status != CTL_OK)
    return status;
  json_t *config = json_object ();
  for (int i = 1; i < argc && status == CTL_OK; i++) {
    const char *equals = strchr (argv[i], '=');
    if (equals == NULL || equals == argv[i])
      status = ctl_misuse (ctl, "'%s' is not KEY=VALUE", argv[i]);
    else {
      g_autofree char *key = g_strndup (argv[i], (gsize) (equals - argv[i]));
      json_object_set_new (config, key, value_of (equals + 1));
    }
  }
  char *text = json_dumps (config, JSON_COMPACT);
  if (status == CTL_OK)
    status = change (ctl, "ChangeConfig", g_variant_new ("(s)", text));
  free (text);
  json_decref (config);
  return status;
}

/* ---- import ---- */

CtlExit ctl_devices_import (Ctl *ctl, int argc, char **argv)
{
  gboolean apply = FALSE;
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  GOptionEntry entries[] = {
      {"apply", 0, 0, G_OPTION_ARG_NONE, &apply, "Do it; without it is only checked",
       NULL},
      {NULL},
  };
  CtlExit status = ctl_options (ctl, entries, &argc, &argv);
  gsize size = 0;
  if (status != CTL_OK)
    return status;
  if (!g_file_get_contents (argv[1], &text, &size, &error)
      || !g_utf8_validate (text, (gssize) size, NULL)) {
    g_printerr ("chargehostctl: %s\n",
                error != NULL ? error->message : "the file is not UTF-8");
    return CTL_FAILED;
  }
  const char *dot = strrchr (argv[1], '.');
  gboolean is_csv = dot != NULL && g_ascii_strcasecmp (dot, ".csv") == 0;
  return change (ctl, "ImportDevices",
                 g_variant_new ("(ssb)", is_csv ? "csv" : "jsonl", text, !apply));
}
