/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls to the daemon. A command line tool may wait for its answers. */
#include "ctl/ctl.h"

#include <string.h>

#define NAME "org.chargehost.Host1"
#define ROOT "/org/chargehost"
#define BUS "org.freedesktop.DBus"
#define PROPERTIES "org.freedesktop.DBus.Properties"
#define CALL_TIMEOUT_MS 30000

static const struct {
  const char *interface;
  const char *path; /* what a name is put behind */
  const char *what; /* has such a name */
} KINDS[] = {
    [CTL_HOST] = {NAME, ROOT, NULL},
    [CTL_ADMIN] = {"org.chargehost.Admin1", ROOT, NULL},
    [CTL_DEVICE] = {"org.chargehost.Device1", ROOT "/device/", "device"},
    [CTL_ORDER] = {"org.chargehost.Order1", ROOT "/order/", "order"},
    [CTL_PLUGIN] = {"org.chargehost.Plugin1", ROOT "/plugin/", "plugin"},
};

static char *address_of (Ctl *ctl, GError **error)
{
  const char *bus = ctl->bus != NULL ? ctl->bus : g_getenv ("CHARGEHOST_BUS");
  if (bus == NULL || *bus == '\0' || g_str_equal (bus, "system"))
    return g_dbus_address_get_for_bus_sync (G_BUS_TYPE_SYSTEM, NULL, error);
  if (g_str_equal (bus, "session"))
    return g_dbus_address_get_for_bus_sync (G_BUS_TYPE_SESSION, NULL, error);
  return g_strdup (bus);
}

gboolean ctl_connect (Ctl *ctl, CtlExit *status)
{
  g_autoptr (GError) error = NULL;
  if (ctl->connection != NULL)
    return TRUE;
  g_autofree char *address = address_of (ctl, &error);
  if (address != NULL)
    ctl->connection = g_dbus_connection_new_for_address_sync (
        address,
        G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT
            | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
        NULL, NULL, &error);
  if (ctl->connection != NULL)
    return TRUE;
  g_printerr ("chargehostctl: no message bus: %s\n",
              error != NULL ? error->message : "no address");
  *status = CTL_NO_HOST;
  return FALSE;
}

char *ctl_unescape (const char *element)
{
  GString *text = g_string_new (NULL);
  for (const char *p = element; *p != '\0'; p++)
    if (*p == '_' && g_ascii_isxdigit (p[1]) && g_ascii_isxdigit (p[2])) {
      g_string_append_c (
          text, (char) (g_ascii_xdigit_value (p[1]) << 4 | g_ascii_xdigit_value (p[2])));
      p += 2;
    } else
      g_string_append_c (text, *p);
  return g_string_free (text, FALSE);
}

static char *escaped (const char *prefix, const char *text)
{
  GString *path = g_string_new (prefix);
  for (const guchar *p = (const guchar *) text; *p != '\0'; p++)
    if (g_ascii_isalnum (*p))
      g_string_append_c (path, (char) *p);
    else
      g_string_append_printf (path, "_%02x", *p);
  return g_string_free (path, FALSE);
}

char *ctl_name (const Ctl *ctl)
{
  return ctl->instance != NULL ? escaped (NAME ".instance_", ctl->instance)
                               : g_strdup (NAME);
}

/* No object at a path: say what is missing in the words of the command line. */
static gboolean explain_missing (const char *name, const char *path)
{
  if (!g_str_equal (name, "org.freedesktop.DBus.Error.UnknownMethod")
      && !g_str_equal (name, "org.freedesktop.DBus.Error.UnknownObject")
      && !g_str_equal (name, "org.freedesktop.DBus.Error.UnknownInterface"))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (KINDS); i++)
    if (KINDS[i].what != NULL && g_str_has_prefix (path, KINDS[i].path)) {
      g_autofree char *id = ctl_unescape (path + strlen (KINDS[i].path));
      g_printerr ("chargehostctl: there is no %s '%s'\n", KINDS[i].what, id);
      return TRUE;
    }
  return FALSE;
}

/* The daemon's own words, without the bus's frame around them. */
static CtlExit explain (const Ctl *ctl, GError *error, const char *path)
{
  g_autofree char *name = g_dbus_error_get_remote_error (error);
  g_dbus_error_strip_remote_error (error);
  if (name == NULL) {
    g_printerr ("chargehostctl: %s\n", error->message);
    return CTL_NO_HOST;
  }
  if (g_str_equal (name, "org.freedesktop.DBus.Error.ServiceUnknown")
      || g_str_equal (name, "org.freedesktop.DBus.Error.NameHasNoOwner")
      || g_str_equal (name, "org.freedesktop.DBus.Error.NoReply")) {
    if (ctl->instance != NULL)
      g_printerr ("chargehostctl: there is no instance '%s' on this bus; see"
                  " chargehostctl instances\n",
                  ctl->instance);
    else
      g_printerr ("chargehostctl: chargehostd is not on this bus; is it running?\n");
    return CTL_NO_HOST;
  }
  if (g_str_has_suffix (name, ".AccessDenied")) {
    g_printerr ("chargehostctl: not allowed: %s\n",
                g_str_has_prefix (name, "org.chargehost.")
                    ? error->message
                    : "only for root, the daemon's user and the members of its group");
    return CTL_DENIED;
  }
  const char *code = strrchr (name, '.');
  if (!explain_missing (name, path))
    g_printerr ("chargehostctl: %s: %s\n", code != NULL ? code + 1 : name,
                error->message);
  return CTL_FAILED;
}

static GVariant *call (Ctl *ctl, const char *name, const char *path,
                       const char *interface, const char *method, GVariant *parameters,
                       const char *reply_type, CtlExit *status)
{
  g_autoptr (GError) error = NULL;
  if (!ctl_connect (ctl, status)) {
    if (parameters != NULL)
      g_variant_unref (g_variant_ref_sink (parameters));
    return NULL;
  }
  GVariant *answer = g_dbus_connection_call_sync (
      ctl->connection, name, path, interface, method, parameters,
      reply_type != NULL ? G_VARIANT_TYPE (reply_type) : NULL,
      G_DBUS_CALL_FLAGS_NO_AUTO_START, CALL_TIMEOUT_MS, NULL, &error);
  if (answer == NULL)
    *status = explain (ctl, error, path);
  return answer;
}

GVariant *ctl_call_at (Ctl *ctl, const char *path, const char *interface,
                       const char *method, GVariant *parameters, const char *reply_type,
                       CtlExit *status)
{
  g_autofree char *name = ctl_name (ctl);
  return call (ctl, name, path, interface, method, parameters, reply_type, status);
}

char *ctl_path (CtlKind kind, const char *name)
{
  return name != NULL ? escaped (KINDS[kind].path, name) : g_strdup (KINDS[kind].path);
}

GVariant *ctl_call (Ctl *ctl, CtlKind kind, const char *name, const char *method,
                    GVariant *parameters, const char *reply_type, CtlExit *status)
{
  g_autofree char *path = ctl_path (kind, name);
  return ctl_call_at (ctl, path, KINDS[kind].interface, method, parameters, reply_type,
                      status);
}

GVariant *ctl_bus_call (Ctl *ctl, const char *method, GVariant *parameters,
                        const char *reply_type, CtlExit *status)
{
  return call (ctl, BUS, "/org/freedesktop/DBus", BUS, method, parameters, reply_type,
               status);
}

json_t *ctl_json_call (Ctl *ctl, CtlKind kind, const char *name, const char *method,
                       GVariant *parameters, CtlExit *status)
{
  const char *text;
  g_autoptr (GVariant) answer
      = ctl_call (ctl, kind, name, method, parameters, "(s)", status);
  if (answer == NULL)
    return NULL;
  g_variant_get (answer, "(&s)", &text);
  json_t *json = json_loads (text, JSON_DECODE_ANY, NULL);
  return json != NULL ? json : json_null ();
}

CtlExit ctl_print_call (Ctl *ctl, CtlKind kind, const char *name, const char *method,
                        GVariant *parameters)
{
  CtlExit status = CTL_OK;
  json_t *json = ctl_json_call (ctl, kind, name, method, parameters, &status);
  if (json != NULL)
    ctl_print_object (ctl, json);
  json_decref (json);
  return status;
}

CtlExit ctl_plain_call (Ctl *ctl, CtlKind kind, const char *name, const char *method,
                        GVariant *parameters)
{
  CtlExit status = CTL_OK;
  g_autoptr (GVariant) answer
      = ctl_call (ctl, kind, name, method, parameters, NULL, &status);
  if (answer != NULL && ctl->json)
    ctl_print ("{}\n");
  return status;
}

json_t *ctl_properties (Ctl *ctl, CtlKind kind, const char *name, CtlExit *status)
{
  g_autofree char *path = ctl_path (kind, name);
  g_autoptr (GVariant) answer
      = ctl_call_at (ctl, path, PROPERTIES, "GetAll",
                     g_variant_new ("(s)", KINDS[kind].interface), "(a{sv})", status);
  if (answer == NULL)
    return NULL;
  g_autoptr (GVariant) properties = g_variant_get_child_value (answer, 0);
  return ctl_properties_json (properties);
}

const char *ctl_interface (CtlKind kind)
{
  return KINDS[kind].interface;
}
