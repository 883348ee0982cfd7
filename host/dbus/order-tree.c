/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * org.chargehost.Order1 for active orders, as a subtree. Which orders there are, and what
 * is in them, is for the daemon's group only: nothing is enumerated.
 */
#include "core/core-admin.h"
#include "core/order/order.h"
#include "core/order/orders.h"
#include "dbus/dbus-private.h"
#include <chargehost/id.h>
#include <chargehost/json.h>

#include <string.h>

static char *order_no_of (const char *node)
{
  g_autofree char *order_no = node != NULL ? ch_dbus_unescape (node) : NULL;
  return ch_order_no_is_valid (order_no) ? g_steal_pointer (&order_no) : NULL;
}

static char **enumerate (GDBusConnection *connection, const char *sender,
                         const char *path, gpointer data)
{
  return g_new0 (char *, 1);
}

static GDBusInterfaceInfo **introspect (GDBusConnection *connection, const char *sender,
                                        const char *path, const char *node, gpointer data)
{
  GDBusInterfaceInfo **list = g_new0 (GDBusInterfaceInfo *, 2);
  if (node != NULL)
    list[0] = g_dbus_interface_info_ref (ch_dbus_order1_interface_info ());
  return list;
}

/* ---- methods ---- */

static gboolean is_reason (GDBusMethodInvocation *invocation, const char *reason)
{
  if (strlen (reason) <= 128)
    return TRUE;
  ch_dbus_return_invalid (invocation, "reason must have at most 128 bytes");
  return FALSE;
}

static void stop (ChDbus *dbus, const char *order_no, GDBusMethodInvocation *invocation)
{
  ChOrigin origin = {.by = "dbus"};
  ChStopRequest request
      = {.order_no = order_no, .socket_no = CH_UNSET, .port_no = CH_UNSET};
  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(&s)",
                 &request.reason);
  if (is_reason (invocation, request.reason))
    ch_core_stop_charge (dbus->self, &request, &origin, 0, ch_dbus_return_json,
                         invocation);
}

static void cancel (ChDbus *dbus, const char *order_no, GDBusMethodInvocation *invocation)
{
  ChOrigin origin = {.by = "dbus"};
  const char *reason;
  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(&s)", &reason);
  if (is_reason (invocation, reason))
    ch_core_cancel_order (dbus->self, order_no, reason, &origin, ch_dbus_return_json,
                          invocation);
}

static void force (ChDbus *dbus, ChForceRequest *request,
                   GDBusMethodInvocation *invocation)
{
  ChOrigin origin = {.by = "dbus"};
  g_autofree char *comment = g_strdup (request->comment);
  if (*g_strstrip (comment) == '\0')
    ch_dbus_return_invalid (invocation, "a comment of 1 to 255 bytes is required");
  else
    ch_core_force_order (dbus->self, request, &origin, ch_dbus_changed,
                         ch_dbus_change_new (dbus, invocation, request->order_no));
}

static const ChDbusOption SETTLE_OPTIONS[] = {
    {"energy_wh", CH_DBUS_INT, 0, 10000000},
    {"duration_s", CH_DBUS_INT, 0, 30 * 86400},
    {"end_reason", CH_DBUS_TEXT, 1, 32},
    {NULL},
};

/* A name such as normal, or a number; answers and returns FALSE when it is neither. */
static gboolean read_end_reason (GDBusMethodInvocation *invocation, const char *text,
                                 gint64 *reason)
{
  *reason = CH_UNSET;
  for (gint i = 0; text != NULL && i <= CH_END_UNKNOWN; i++) {
    const char *name = ch_end_reason_name ((ChEndReason) i);
    g_autofree char *number = g_strdup_printf ("%d", i);
    if ((i == CH_END_UNKNOWN || !g_str_equal (name, "unknown"))
        && (g_str_equal (text, name) || g_str_equal (text, number))) {
      *reason = i;
      return TRUE;
    }
  }
  if (text != NULL)
    ch_dbus_return_invalid (invocation, "there is no end reason '%s'", text);
  return text == NULL;
}

static void settle (ChDbus *dbus, const char *order_no, GDBusMethodInvocation *invocation)
{
  g_autoptr (GVariant) given = NULL;
  ChForceRequest request = {.order_no = order_no, .settle = TRUE};
  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(@a{sv}&s)",
                 &given, &request.comment);
  g_autoptr (json_t) figures = ch_dbus_read_options (invocation, given, SETTLE_OPTIONS);
  if (figures == NULL)
    return;
  request.energy_wh = ch_json_get_int (figures, "energy_wh", CH_UNSET);
  request.duration_s = ch_json_get_int (figures, "duration_s", CH_UNSET);
  if (read_end_reason (invocation, ch_json_get_string (figures, "end_reason", NULL),
                       &request.end_reason))
    force (dbus, &request, invocation);
}

static void fail (ChDbus *dbus, const char *order_no, GDBusMethodInvocation *invocation)
{
  ChForceRequest request = {.order_no = order_no,
                            .energy_wh = CH_UNSET,
                            .duration_s = CH_UNSET,
                            .end_reason = CH_UNSET};
  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(&s)",
                 &request.comment);
  force (dbus, &request, invocation);
}

static void get (ChDbus *dbus, const char *order_no, GDBusMethodInvocation *invocation)
{
  ch_core_get_order (dbus->self, order_no, ch_dbus_return_json, invocation);
}

static void get_events (ChDbus *dbus, const char *order_no,
                        GDBusMethodInvocation *invocation)
{
  ch_core_order_events (dbus->self, order_no, ch_dbus_return_json, invocation);
}

static void get_timeline (ChDbus *dbus, const char *order_no,
                          GDBusMethodInvocation *invocation)
{
  ch_core_order_timeline (dbus->self, order_no, ch_dbus_return_json, invocation);
}

static void allowed (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer data)
{
  static const struct {
    const char *method;
    void (*run) (ChDbus *dbus, const char *order_no, GDBusMethodInvocation *invocation);
  } calls[] = {
      {"Get", get},        {"GetEvents", get_events}, {"GetTimeline", get_timeline},
      {"Stop", stop},      {"Cancel", cancel},        {"ForceSettle", settle},
      {"ForceFail", fail},
  };
  const char *path = g_dbus_method_invocation_get_object_path (invocation);
  const char *method = g_dbus_method_invocation_get_method_name (invocation);
  g_autofree char *node = g_path_get_basename (path);
  g_autofree char *order_no = order_no_of (node);

  if (order_no == NULL) {
    g_dbus_method_invocation_return_dbus_error (
        invocation, "org.chargehost.Error.OrderNotFound", "no such order");
    return;
  }
  for (guint i = 0; i < G_N_ELEMENTS (calls); i++)
    if (g_str_equal (calls[i].method, method)) {
      calls[i].run (dbus, order_no, invocation);
      return;
    }
}

static void call (GDBusConnection *connection, const char *sender, const char *path,
                  const char *interface, const char *method, GVariant *parameters,
                  GDBusMethodInvocation *invocation, gpointer data)
{
  ch_dbus_authorize (data, invocation,
                     g_str_has_prefix (method, "Get") ? CH_DBUS_READ_PRIVATE
                                                      : CH_DBUS_CHANGE,
                     allowed, NULL, NULL);
}

static const GDBusInterfaceVTable ORDER_TABLE = {.method_call = call};

static const GDBusInterfaceVTable *dispatch (GDBusConnection *connection,
                                             const char *sender, const char *path,
                                             const char *interface, const char *node,
                                             gpointer *out, gpointer data)
{
  *out = data;
  return node != NULL ? &ORDER_TABLE : NULL;
}

gboolean ch_dbus_export_orders (ChDbus *dbus, GError **error)
{
  static const GDBusSubtreeVTable table
      = {.enumerate = enumerate, .introspect = introspect, .dispatch = dispatch};
  dbus->order_tree = g_dbus_connection_register_subtree (
      dbus->connection, CH_DBUS_ORDERS, &table,
      G_DBUS_SUBTREE_FLAGS_DISPATCH_TO_UNENUMERATED_NODES, dbus, NULL, error);
  return dbus->order_tree != 0;
}
