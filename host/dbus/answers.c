/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Errors, JSON answers and names in object paths. */
#include "dbus/dbus-private.h"
#include "http/http.h"
#include <chargehost/json.h>

#include <string.h>

#define NO_SUCH_ROUTE 40400 /* here it is whatever was named that is not there */

/* DEVICE_OFFLINE → org.chargehost.Error.DeviceOffline */
static char *error_name (const char *constant)
{
  GString *name = g_string_new ("org.chargehost.Error.");
  gboolean upper = TRUE;
  for (const char *p = constant; *p != '\0'; p++) {
    if (*p == '_')
      upper = TRUE;
    else {
      g_string_append_c (name, upper ? *p : g_ascii_tolower (*p));
      upper = FALSE;
    }
  }
  return g_string_free (name, FALSE);
}

void ch_dbus_return_error (GDBusMethodInvocation *invocation, const GError *error)
{
  const char *constant = "FAILED";
  if (error->domain == CH_CORE_ERROR)
    constant
        = error->code == NO_SUCH_ROUTE ? "NOT_FOUND" : ch_http_error_name (error->code);
  else if (error->domain == CH_PLUGIN_ERROR)
    constant
        = error->code == CH_PLUGIN_ERROR_NOT_FOUND ? "PLUGIN_NOT_FOUND" : "PLUGIN_FAILED";
  else if (error->domain == CH_CONFIG_ERROR)
    constant = "INVALID_CONFIG";
  else if (error->domain == CH_STORE_ERROR)
    constant = "STORE_UNAVAILABLE";
  g_autofree char *name = error_name (constant);
  g_dbus_method_invocation_return_dbus_error (invocation, name, error->message);
}

void ch_dbus_return_invalid (GDBusMethodInvocation *invocation, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *message = g_strdup_vprintf (format, args);
  va_end (args);
  g_dbus_method_invocation_return_dbus_error (
      invocation, "org.chargehost.Error.InvalidParameter", message);
}

gboolean ch_dbus_may_change (ChDbus *dbus, GDBusMethodInvocation *invocation)
{
  const ChServices *services = dbus->services;
  if (services->phase >= 9 && !services->draining)
    return TRUE;
  g_dbus_method_invocation_return_dbus_error (
      invocation, "org.chargehost.Error.StartingOrDraining",
      services->draining ? "this server is about to stop" : "this server is starting");
  return FALSE;
}

/* What REST tells beside its error: the order that is in the way. */
static void return_error_with (GDBusMethodInvocation *invocation, const GError *error,
                               const json_t *data)
{
  const char *current = json_string_value (json_object_get (data, "current_order"));
  g_autoptr (GError) longer = NULL;
  if (current != NULL)
    longer = g_error_new (error->domain, error->code, "%s (current order %s)",
                          error->message, current);
  ch_dbus_return_error (invocation, longer != NULL ? longer : error);
}

void ch_dbus_return_json (ChPlugin *self, const json_t *data, const GError *error,
                          gpointer invocation)
{
  if (error != NULL) {
    return_error_with (invocation, error, data);
    return;
  }
  g_autofree char *text = data != NULL ? ch_json_dump (data) : g_strdup ("{}");
  g_dbus_method_invocation_return_value (invocation, g_variant_new ("(s)", text));
}

char *ch_dbus_escape (const char *text)
{
  GString *element = g_string_new (NULL);
  for (const guchar *p = (const guchar *) text; *p != '\0'; p++)
    if (g_ascii_isalnum (*p))
      g_string_append_c (element, (char) *p);
    else
      g_string_append_printf (element, "_%02x", *p);
  if (element->len == 0)
    g_string_append_c (element, '_');
  return g_string_free (element, FALSE);
}

char *ch_dbus_unescape (const char *element)
{
  GString *text = g_string_new (NULL);
  for (const char *p = element; *p != '\0'; p++) {
    if (*p != '_')
      g_string_append_c (text, *p);
    else if (g_ascii_isxdigit (p[1]) && g_ascii_isxdigit (p[2])) {
      g_string_append_c (
          text, (char) (g_ascii_xdigit_value (p[1]) << 4 | g_ascii_xdigit_value (p[2])));
      p += 2;
    } else {
      g_string_free (text, TRUE);
      return NULL;
    }
  }
  return g_string_free (text, FALSE);
}
