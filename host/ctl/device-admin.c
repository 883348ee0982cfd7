/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Registering, changing and retiring devices. */
#include "ctl/ctl.h"

#include <string.h>

typedef struct {
  char *protocol, *iccid, *imei, *model, *lifecycle, *enrolment;
  char **tags;
  gint port_count;
} Wish;

static void wish_clear (Wish *wish)
{
  g_free (wish->protocol);
  g_free (wish->iccid);
  g_free (wish->imei);
  g_free (wish->model);
  g_free (wish->lifecycle);
  g_free (wish->enrolment);
  g_strfreev (wish->tags);
}

/* NAME=VALUE sets a tag, NAME= takes it away. FALSE: one has no equals sign. */
static gboolean add_tags (json_t *object, char **tags)
{
  json_t *all = json_object ();
  gboolean good = TRUE;
  for (char **tag = tags; tag != NULL && *tag != NULL && good; tag++) {
    const char *equals = strchr (*tag, '=');
    good = equals != NULL && equals != *tag;
    if (!good)
      break;
    g_autofree char *name = g_strndup (*tag, (gsize) (equals - *tag));
    json_object_set_new (all, name,
                         equals[1] != '\0' ? json_string (equals + 1) : json_null ());
  }
  if (json_object_size (all) > 0)
    json_object_set (object, "tags", all);
  json_decref (all);
  return good;
}

/* NULL when a tag is none. (transfer full) */
static char *wish_text (const Wish *wish, const char *id)
{
  const char *const texts[][2] = {{"device_id", id},
                                  {"protocol", wish->protocol},
                                  {"iccid", wish->iccid},
                                  {"imei", wish->imei},
                                  {"model", wish->model},
                                  {"lifecycle", wish->lifecycle},
                                  {"enrolment", wish->enrolment}};
  json_t *object = json_object ();
  char *text = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    if (texts[i][1] != NULL)
      json_object_set_new (object, texts[i][0], json_string (texts[i][1]));
  if (wish->port_count != -1)
    json_object_set_new (object, "port_count", json_integer (wish->port_count));
  if (add_tags (object, wish->tags))
    text = json_dumps (object, JSON_COMPACT);
  json_decref (object);
  return text;
}

static CtlExit write_device (Ctl *ctl, int argc, char **argv, gboolean is_new)
{
  Wish wish = {.port_count = -1};
  GOptionEntry entries[] = {
      {"model", 0, 0, G_OPTION_ARG_FILENAME, &wish.model, "Model", "TEXT"},
      {"iccid", 0, 0, G_OPTION_ARG_FILENAME, &wish.iccid, "SIM card", "TEXT"},
      {"imei", 0, 0, G_OPTION_ARG_FILENAME, &wish.imei, "Modem", "TEXT"},
      {"ports", 0, 0, G_OPTION_ARG_INT, &wish.port_count, "Number of ports", "N"},
      {"lifecycle", 0, 0, G_OPTION_ARG_FILENAME, &wish.lifecycle,
       "active, maintenance or decommissioned", "NAME"},
      {"enrolment", 0, 0, G_OPTION_ARG_FILENAME, &wish.enrolment,
       "auto, registered or blocked", "NAME"},
      {"tag", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &wish.tags,
       "A label; an empty value takes it away; may be repeated", "NAME=VALUE"},
      {"protocol", 0, is_new ? 0 : G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_FILENAME,
       &wish.protocol, "What it will speak", "NAME"},
      {NULL},
  };
  CtlExit status = ctl_options (ctl, entries, &argc, &argv);
  if (status == CTL_OK) {
    g_autofree char *text = wish_text (&wish, is_new ? argv[1] : NULL);
    if (text == NULL)
      status = ctl_misuse (ctl, "a tag is NAME=VALUE");
    else if (is_new)
      status = ctl_print_call (ctl, CTL_HOST, NULL, "RegisterDevice",
                               g_variant_new ("(s)", text));
    else
      status = ctl_print_call (ctl, CTL_DEVICE, argv[1], "Change",
                               g_variant_new ("(s)", text));
  }
  wish_clear (&wish);
  return status;
}

CtlExit ctl_devices_register (Ctl *ctl, int argc, char **argv)
{
  return write_device (ctl, argc, argv, TRUE);
}

CtlExit ctl_devices_change (Ctl *ctl, int argc, char **argv)
{
  return write_device (ctl, argc, argv, FALSE);
}

CtlExit ctl_devices_stop_port (Ctl *ctl, int argc, char **argv)
{
  gint socket_no = 0, port_no = -1, wait_ms = 10000;
  g_autofree char *comment = NULL;
  GOptionEntry entries[] = {
      {"port", 0, 0, G_OPTION_ARG_INT, &port_no, "Port; 0 is the first; required", "N"},
      {"socket", 0, 0, G_OPTION_ARG_INT, &socket_no, "Socket; default 0", "N"},
      {"comment", 0, 0, G_OPTION_ARG_FILENAME, &comment, "For the record", "TEXT"},
      {"wait", 0, 0, G_OPTION_ARG_INT, &wait_ms,
       "Wait so long for the device's answer, at most 10000; default 10000", "MS"},
      {NULL},
  };
  CtlExit status = ctl_options (ctl, entries, &argc, &argv);
  if (status != CTL_OK)
    return status;
  if (port_no < 0 || wait_ms < 0)
    return ctl_misuse (ctl, port_no < 0 ? "--port is required" : "--wait is not below 0");
  return ctl_print_call (ctl, CTL_DEVICE, argv[1], "StopPort",
                         g_variant_new ("(iisu)", socket_no, port_no,
                                        comment != NULL ? comment : "", (guint) wait_ms));
}
