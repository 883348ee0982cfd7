/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.chargehost.Host1 at /org/chargehost. */
#include "base/config-private.h"
#include "ch-build.h"
#include "dbus/dbus-private.h"
#include "http/http.h"
#include "net/gateway.h"
#include "store/store.h"
#include <chargehost/json.h>

#include <string.h>

/* ---- properties that change all the time are read when somebody asks ---- */

static void refresh (ChDbus *dbus)
{
  ChServices *s = dbus->services;
  ChGatewayStats stats;
  g_autoptr (GPtrArray) addresses = ch_gateway_addresses (s->gateway);
  g_autoptr (GPtrArray) list = g_ptr_array_new ();

  for (guint i = 0; i < addresses->len; i++)
    g_ptr_array_add (list, g_ptr_array_index (addresses, i));
  g_ptr_array_add (list, NULL);
  ch_gateway_stats (s->gateway, &stats);
  ch_dbus_host1_set_state (dbus->host, s->phase < 9  ? "starting"
                                       : s->draining ? "draining"
                                                     : "running");
  ch_dbus_host1_set_uptime_seconds (
      dbus->host, (guint64) (ch_now_ms (dbus->self) - dbus->started_ms) / 1000);
  ch_dbus_host1_set_device_addresses (dbus->host, (const char *const *) list->pdata);
  ch_dbus_host1_set_devices (dbus->host, g_hash_table_size (s->core->devices));
  ch_dbus_host1_set_connections (dbus->host, stats.active);
  ch_dbus_host1_set_overload_level (dbus->host, s->overload);
  ch_dbus_host1_set_rest_url (dbus->host, s->http != NULL ? ch_http_url (s->http) : "");
}

static void keep_fresh (ChPlugin *self, gpointer data)
{
  ChDbus *dbus = data;
  refresh (dbus);
  dbus->fresh = ch_timer_add (self, 1000, keep_fresh, dbus);
}

/* ---- changing ---- */

static void do_reload (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer data)
{
  g_autoptr (GError) error = NULL;
  if (dbus->daemon_table.reload_config == NULL
      || dbus->daemon_table.reload_config (dbus->daemon, &error)) {
    ch_dbus_audit (dbus, invocation, NULL);
    g_dbus_method_invocation_return_value (invocation, NULL);
  } else
    ch_dbus_return_error (invocation, error);
}

static gboolean on_reload (ChDbusHost1 *object, GDBusMethodInvocation *invocation,
                           ChDbus *dbus)
{
  ch_dbus_authorize (dbus, invocation, CH_DBUS_CHANGE, do_reload, NULL, NULL);
  return TRUE;
}

static void do_shutdown (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer data)
{
  ch_dbus_audit (dbus, invocation, NULL);
  g_dbus_method_invocation_return_value (invocation, NULL);
  if (dbus->daemon_table.shutdown != NULL)
    dbus->daemon_table.shutdown (dbus->daemon);
}

static gboolean on_shutdown (ChDbusHost1 *object, GDBusMethodInvocation *invocation,
                             ChDbus *dbus)
{
  ch_dbus_authorize (dbus, invocation, CH_DBUS_CHANGE, do_shutdown, NULL, NULL);
  return TRUE;
}

static void do_drain (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer data)
{
  if (dbus->daemon_table.drain != NULL)
    dbus->daemon_table.drain (dbus->daemon, GPOINTER_TO_INT (data));
  refresh (dbus);
  ch_dbus_audit (dbus, invocation, GPOINTER_TO_INT (data) ? "on" : "off");
  g_dbus_method_invocation_return_value (invocation, NULL);
}

static gboolean on_drain (ChDbusHost1 *object, GDBusMethodInvocation *invocation,
                          gboolean on, ChDbus *dbus)
{
  ch_dbus_authorize (dbus, invocation, CH_DBUS_CHANGE, do_drain, GINT_TO_POINTER (on),
                     NULL);
  return TRUE;
}

static void do_log_level (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer data)
{
  const char *module, *word;
  ChLogLevel level = CH_LOG_INFO;
  g_autoptr (GError) error = NULL;

  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(&s&s)", &module,
                 &word);
  if (*word != '\0' && !ch_log_level_parse (word, &level)) {
    ch_dbus_return_invalid (invocation,
                            "a level is error, warning, notice, info, debug or trace");
    return;
  }
  if (strlen (module) > 64) {
    ch_dbus_return_invalid (invocation, "a module has at most 64 bytes");
    return;
  }
  if (*module != '\0')
    ch_log_set_module_level (module, *word != '\0' ? (int) level : CH_LOG_TRACE + 1);
  else if (*word != '\0')
    ch_log_set_level (level);
  else if (!ch_log_apply_config (dbus->services->config, &error)) {
    ch_dbus_return_error (invocation, error);
    return;
  }
  g_autofree char *object = g_strdup_printf ("%s %s", module, word);
  ch_dbus_audit (dbus, invocation, object);
  g_dbus_method_invocation_return_value (invocation, NULL);
}

static gboolean on_log_level (ChDbusHost1 *object, GDBusMethodInvocation *invocation,
                              const char *module, const char *level, ChDbus *dbus)
{
  ch_dbus_authorize (dbus, invocation, CH_DBUS_CHANGE, do_log_level, NULL, NULL);
  return TRUE;
}

/* ---- copies ---- */

static void backed_up (ChPlugin *self, const ChTxResult *result, const GError *error,
                       gpointer data)
{
  g_autoptr (ChDbusChange) change = data;
  if (error != NULL) {
    ch_dbus_return_error (change->invocation, error);
    return;
  }
  ch_dbus_audit (change->dbus, change->invocation, change->object);
  g_dbus_method_invocation_return_value (change->invocation, NULL);
}

static void do_backup (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer data)
{
  const char *path;
  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(&s)", &path);
  if (!g_path_is_absolute (path))
    ch_dbus_return_invalid (invocation, "the path must be absolute");
  else
    ch_store_backup (dbus->self, path, backed_up,
                     ch_dbus_change_new (dbus, invocation, path));
}

static gboolean on_backup (ChDbusHost1 *object, GDBusMethodInvocation *invocation,
                           const char *path, ChDbus *dbus)
{
  ch_dbus_authorize (dbus, invocation, CH_DBUS_CHANGE, do_backup, NULL, NULL);
  return TRUE;
}

/* ---- reading ---- */

static gboolean on_statistics (ChDbusHost1 *object, GDBusMethodInvocation *invocation,
                               ChDbus *dbus)
{
  g_autoptr (json_t) data = ch_core_stats_json (dbus->self);
  ch_dbus_return_json (dbus->self, data, NULL, invocation);
  return TRUE;
}

static gboolean on_store_status (ChDbusHost1 *object, GDBusMethodInvocation *invocation,
                                 ChDbus *dbus)
{
  ch_dbus_authorize (dbus, invocation, CH_DBUS_READ, ch_dbus_store_status, NULL, NULL);
  return TRUE;
}

static gboolean on_kv_status (ChDbusHost1 *object, GDBusMethodInvocation *invocation,
                              ChDbus *dbus)
{
  ch_dbus_authorize (dbus, invocation, CH_DBUS_READ, ch_dbus_kv_status, NULL, NULL);
  return TRUE;
}

static void do_config (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer data)
{
  g_autoptr (json_t) config = ch_http_describe_config (dbus->self);
  ch_dbus_return_json (dbus->self, config, NULL, invocation);
}

static gboolean on_config (ChDbusHost1 *object, GDBusMethodInvocation *invocation,
                           ChDbus *dbus)
{
  ch_dbus_authorize (dbus, invocation, CH_DBUS_READ_PRIVATE, do_config, NULL, NULL);
  return TRUE;
}

static gboolean on_list_devices (ChDbusHost1 *object, GDBusMethodInvocation *invocation,
                                 GVariant *filter, const char *after, guint limit,
                                 ChDbus *dbus)
{
  ch_dbus_authorize (dbus, invocation, CH_DBUS_READ, ch_dbus_list_devices, NULL, NULL);
  return TRUE;
}

static gboolean on_list_orders (ChDbusHost1 *object, GDBusMethodInvocation *invocation,
                                GVariant *filter, guint offset, guint limit, ChDbus *dbus)
{
  ch_dbus_authorize (dbus, invocation, CH_DBUS_READ_PRIVATE, ch_dbus_list_orders, NULL,
                     NULL);
  return TRUE;
}

static void do_get_order (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer data)
{
  const char *order_no;
  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(&s)", &order_no);
  ch_core_get_order (dbus->self, order_no, ch_dbus_return_json, invocation);
}

static gboolean on_get_order (ChDbusHost1 *object, GDBusMethodInvocation *invocation,
                              const char *order_no, ChDbus *dbus)
{
  ch_dbus_authorize (dbus, invocation, CH_DBUS_READ_PRIVATE, do_get_order, NULL, NULL);
  return TRUE;
}

static void do_stop_order (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer data)
{
  ChStopRequest request = {.socket_no = CH_UNSET, .port_no = CH_UNSET};
  ChOrigin origin = {.by = "dbus"};
  guint wait_ms;
  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(&s&su)",
                 &request.order_no, &request.reason, &wait_ms);
  if (strlen (request.reason) > 128)
    ch_dbus_return_invalid (invocation, "reason must have at most 128 bytes");
  else
    ch_core_stop_charge (dbus->self, &request, &origin, wait_ms, ch_dbus_return_json,
                         invocation);
}

static gboolean on_stop_order (ChDbusHost1 *object, GDBusMethodInvocation *invocation,
                               const char *order_no, const char *reason, guint wait_ms,
                               ChDbus *dbus)
{
  ch_dbus_authorize (dbus, invocation, CH_DBUS_CHANGE, do_stop_order, NULL, NULL);
  return TRUE;
}

static void do_get_command (ChDbus *dbus, GDBusMethodInvocation *invocation,
                            gpointer data)
{
  const char *command_id;
  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(&s)",
                 &command_id);
  ch_core_get_command (dbus->self, command_id, ch_dbus_return_json, invocation);
}

static gboolean on_get_command (ChDbusHost1 *object, GDBusMethodInvocation *invocation,
                                const char *command_id, ChDbus *dbus)
{
  ch_dbus_authorize (dbus, invocation, CH_DBUS_READ_PRIVATE, do_get_command, NULL, NULL);
  return TRUE;
}

static gboolean on_register (ChDbusHost1 *object, GDBusMethodInvocation *invocation,
                             const char *device, ChDbus *dbus)
{
  ch_dbus_authorize (dbus, invocation, CH_DBUS_CHANGE, ch_dbus_register_device, NULL,
                     NULL);
  return TRUE;
}

static gboolean on_subscribe (ChDbusHost1 *object, GDBusMethodInvocation *invocation,
                              const char *pattern, const char *device, ChDbus *dbus)
{
  ch_dbus_follow (dbus, invocation, pattern, device);
  return TRUE;
}

static gboolean on_unsubscribe (ChDbusHost1 *object, GDBusMethodInvocation *invocation,
                                const char *pattern, const char *device, ChDbus *dbus)
{
  ch_dbus_unfollow (dbus, g_dbus_method_invocation_get_sender (invocation), pattern,
                    device);
  g_dbus_method_invocation_return_value (invocation, NULL);
  return TRUE;
}

gboolean ch_dbus_export_host (ChDbus *dbus, GError **error)
{
  static const struct {
    const char *signal;
    GCallback handler;
  } handlers[] = {
      {"handle-reload-config", G_CALLBACK (on_reload)},
      {"handle-shutdown", G_CALLBACK (on_shutdown)},
      {"handle-drain", G_CALLBACK (on_drain)},
      {"handle-set-log-level", G_CALLBACK (on_log_level)},
      {"handle-backup-store", G_CALLBACK (on_backup)},
      {"handle-get-statistics", G_CALLBACK (on_statistics)},
      {"handle-get-store-status", G_CALLBACK (on_store_status)},
      {"handle-get-kv-status", G_CALLBACK (on_kv_status)},
      {"handle-get-config", G_CALLBACK (on_config)},
      {"handle-list-devices", G_CALLBACK (on_list_devices)},
      {"handle-list-orders", G_CALLBACK (on_list_orders)},
      {"handle-get-order", G_CALLBACK (on_get_order)},
      {"handle-stop-order", G_CALLBACK (on_stop_order)},
      {"handle-get-command", G_CALLBACK (on_get_command)},
      {"handle-register-device", G_CALLBACK (on_register)},
      {"handle-subscribe", G_CALLBACK (on_subscribe)},
      {"handle-unsubscribe", G_CALLBACK (on_unsubscribe)},
  };
  dbus->host = ch_dbus_host1_skeleton_new ();
  ch_dbus_host1_set_version (dbus->host, CH_VERSION);
  ch_dbus_host1_set_server_id (dbus->host, dbus->services->server_id);
  for (guint i = 0; i < G_N_ELEMENTS (handlers); i++)
    g_signal_connect (dbus->host, handlers[i].signal, handlers[i].handler, dbus);
  keep_fresh (dbus->self, dbus);
  return g_dbus_interface_skeleton_export (G_DBUS_INTERFACE_SKELETON (dbus->host),
                                           dbus->connection, CH_DBUS_ROOT, error);
}

void ch_dbus_unexport_host (ChDbus *dbus)
{
  ch_timer_cancel (dbus->self, &dbus->fresh);
  if (dbus->host == NULL)
    return;
  g_dbus_interface_skeleton_unexport (G_DBUS_INTERFACE_SKELETON (dbus->host));
  g_clear_object (&dbus->host);
}
