/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * org.chargehost.Order1 for active orders, as a subtree. Which orders there are, and what
 * is in them, is for the daemon's group only: nothing is enumerated.
 */
#include "core/order.h"
#include "core/orders.h"
#include "dbus/dbus-private.h"
#include <chargehost/id.h>

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

static void allowed (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer data)
{
  const char *path = g_dbus_method_invocation_get_object_path (invocation);
  const char *method = g_dbus_method_invocation_get_method_name (invocation);
  g_autofree char *node = g_path_get_basename (path);
  g_autofree char *order_no = order_no_of (node);
  ChOrigin origin = {.by = "dbus"};
  const char *reason = NULL;

  if (order_no == NULL) {
    g_dbus_method_invocation_return_dbus_error (
        invocation, "org.chargehost.Error.OrderNotFound", "no such order");
    return;
  }
  if (g_str_equal (method, "Get")) {
    ch_core_get_order (dbus->self, order_no, ch_dbus_return_json, invocation);
    return;
  }
  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(&s)", &reason);
  if (g_str_equal (method, "Cancel"))
    ch_core_cancel_order (dbus->self, order_no, reason, &origin, ch_dbus_return_json,
                          invocation);
  else {
    ChStopRequest request = {.order_no = order_no,
                             .reason = reason,
                             .socket_no = CH_UNSET,
                             .port_no = CH_UNSET};
    ch_core_stop_charge (dbus->self, &request, &origin, 0, ch_dbus_return_json,
                         invocation);
  }
}

static void call (GDBusConnection *connection, const char *sender, const char *path,
                  const char *interface, const char *method, GVariant *parameters,
                  GDBusMethodInvocation *invocation, gpointer data)
{
  ch_dbus_authorize (data, invocation,
                     g_str_equal (method, "Get") ? CH_DBUS_READ_PRIVATE : CH_DBUS_CHANGE,
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
