/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * org.chargehost.Admin1 at /org/chargehost: each method is an administrators' route of
 * REST. Arguments have the names of the route's parameters, so a row tells all.
 */
#include "dbus/dbus-private.h"
#include "http/http.h"
#include <chargehost/json.h>

static const struct {
  const char *method, *verb, *path;
} ROUTES[] = {
    {"ListApiKeys", "GET", "/api-keys"},
    {"CreateApiKey", "POST", "/api-keys"},
    {"RevokeApiKey", "DELETE", "/api-keys/{key_id}"},
    {"ListConnections", "GET", "/connections"},
    {"GetConnection", "GET", "/connections/{conn_id}"},
    {"CloseConnection", "DELETE", "/connections/{conn_id}"},
    {"ListBans", "GET", "/bans"},
    {"AddBan", "POST", "/bans"},
    {"LiftBan", "DELETE", "/bans/{subject}"},
    {"ListBreakers", "GET", "/breakers"},
    {"ResetBreaker", "POST", "/breakers/{name}/reset"},
    {"ListQueue", "GET", "/queue"},
    {"CancelCommand", "DELETE", "/commands/{command_id}"},
    {"ListDeadLetters", "GET", "/queue/dead"},
    {"ResendDeadLetter", "POST", "/queue/dead/{id}/resend"},
    {"DeleteDeadLetters", "DELETE", "/queue/dead"},
    {"ListServers", "GET", "/servers"},
    {"ListAudit", "GET", "/audit"},
    {"ImportDevices", "POST", "/devices/import"},
    {"ChangeConfig", "PATCH", "/config"},
};

static guint route_of (const char *method)
{
  guint at = 0;
  while (at + 1 < G_N_ELEMENTS (ROUTES) && !g_str_equal (ROUTES[at].method, method))
    at++;
  return at;
}

/* Answers and returns FALSE when a value is of a type that JSON does not have. */
static gboolean add_value (GDBusMethodInvocation *invocation, json_t *params,
                           const char *name, GVariant *value)
{
  json_t *json = ch_dbus_to_json (value);
  if (json == NULL) {
    ch_dbus_return_invalid (invocation, "%s cannot be of type %s", name,
                            g_variant_get_type_string (value));
    return FALSE;
  }
  json_object_set_new (params, name, json);
  return TRUE;
}

static gboolean add_options (GDBusMethodInvocation *invocation, json_t *params,
                             GVariant *options)
{
  GVariantIter iter;
  const char *name;
  GVariant *value;
  g_variant_iter_init (&iter, options);
  while (g_variant_iter_next (&iter, "{&sv}", &name, &value)) {
    g_autoptr (GVariant) held = value;
    if (!add_value (invocation, params, name, held))
      return FALSE;
  }
  return TRUE;
}

/* All arguments by name; NULL: answered already. (transfer full) */
static json_t *read_arguments (GDBusMethodInvocation *invocation)
{
  const GDBusMethodInfo *info = g_dbus_method_invocation_get_method_info (invocation);
  GVariant *parameters = g_dbus_method_invocation_get_parameters (invocation);
  g_autoptr (json_t) params = json_object ();

  for (guint i = 0; info->in_args != NULL && info->in_args[i] != NULL; i++) {
    g_autoptr (GVariant) value = g_variant_get_child_value (parameters, i);
    gboolean good = g_variant_is_of_type (value, G_VARIANT_TYPE_VARDICT)
                        ? add_options (invocation, params, value)
                        : add_value (invocation, params, info->in_args[i]->name, value);
    if (!good)
      return NULL;
  }
  return g_steal_pointer (&params);
}

/* A text that is no parameter but the body; FALSE: answered already. */
static gboolean take_body (GDBusMethodInvocation *invocation, json_t *params,
                           ChHttpAsk *ask)
{
  const char *format = ch_json_get_string (params, "format", NULL);
  if (!g_str_equal (g_dbus_method_invocation_get_method_name (invocation),
                    "ImportDevices"))
    return TRUE;
  if (!g_str_equal (format, "csv") && !g_str_equal (format, "jsonl")) {
    ch_dbus_return_invalid (invocation, "format is csv or jsonl");
    return FALSE;
  }
  ask->type = *format == 'c' ? "text/csv" : "application/x-ndjson";
  g_variant_get_child (g_dbus_method_invocation_get_parameters (invocation), 1, "&s",
                       &ask->body);
  json_object_del (params, "format");
  json_object_del (params, "text");
  return TRUE;
}

static void allowed (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer data)
{
  guint at = GPOINTER_TO_UINT (data);
  g_autofree char *path = g_strconcat ("/api/v1/admin", ROUTES[at].path, NULL);
  g_autofree char *actor = ch_dbus_actor (dbus, invocation);
  g_autofree char *action = ch_dbus_action (invocation);
  g_autoptr (json_t) params = read_arguments (invocation);
  ChHttpAsk ask = {.method = ROUTES[at].verb,
                   .path = path,
                   .actor = actor,
                   .action = action,
                   .params = params};
  if (params != NULL && take_body (invocation, params, &ask))
    ch_http_ask (dbus->self, &ask, ch_dbus_return_json, invocation);
}

static void call (GDBusConnection *connection, const char *sender, const char *path,
                  const char *interface, const char *method, GVariant *parameters,
                  GDBusMethodInvocation *invocation, gpointer data)
{
  guint at = route_of (method);
  ch_dbus_authorize (data, invocation,
                     g_str_equal (ROUTES[at].verb, "GET") ? CH_DBUS_READ_PRIVATE
                                                          : CH_DBUS_CHANGE,
                     allowed, GUINT_TO_POINTER (at), NULL);
}

gboolean ch_dbus_export_admin (ChDbus *dbus, GError **error)
{
  static const GDBusInterfaceVTable table = {.method_call = call};
  dbus->admin = g_dbus_connection_register_object (dbus->connection, CH_DBUS_ROOT,
                                                   ch_dbus_admin1_interface_info (),
                                                   &table, dbus, NULL, error);
  return dbus->admin != 0;
}
