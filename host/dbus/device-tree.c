/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * org.chargehost.Device1 as a subtree: nothing is kept per device, objects are answered
 * when somebody calls. Fleets above 256 are not enumerated (a tree of 10,000 nodes would
 * cost the loop seconds), but every device is reached.
 */
#include "core/device/device.h"
#include "core/session/session.h"
#include "dbus/dbus-private.h"

#include <string.h>

static ChDevice *device_of (ChDbus *dbus, const char *node)
{
  g_autofree char *id = node != NULL ? ch_dbus_unescape (node) : NULL;
  g_autofree char *again = id != NULL ? ch_dbus_escape (id) : NULL;
  /* A device has one path, also where an escape was not needed. */
  return g_strcmp0 (again, node) == 0 && id != NULL
             ? ch_device_find (dbus->services->core, id)
             : NULL;
}

/* By its whole path: between dispatch and call a device may have been deleted. */
static ChDevice *device_at (ChDbus *dbus, const char *path)
{
  const char *slash = strrchr (path, '/');
  return slash != NULL ? device_of (dbus, slash + 1) : NULL;
}

static char **enumerate (GDBusConnection *connection, const char *sender,
                         const char *path, gpointer data)
{
  ChDbus *dbus = data;
  GHashTable *devices = dbus->services->core->devices;
  GStrvBuilder *nodes = g_strv_builder_new ();
  GHashTableIter iter;
  gpointer id;

  if (g_hash_table_size (devices) <= CH_DBUS_TREE_MAX) {
    g_hash_table_iter_init (&iter, devices);
    while (g_hash_table_iter_next (&iter, &id, NULL)) {
      g_autofree char *node = ch_dbus_escape (id);
      g_strv_builder_add (nodes, node);
    }
  }
  char **list = g_strv_builder_end (nodes);
  g_strv_builder_unref (nodes);
  return list;
}

static GDBusInterfaceInfo **introspect (GDBusConnection *connection, const char *sender,
                                        const char *path, const char *node, gpointer data)
{
  if (node != NULL && device_of (data, node) == NULL)
    return NULL;
  GDBusInterfaceInfo **list = g_new0 (GDBusInterfaceInfo *, 2);
  if (node != NULL)
    list[0] = g_dbus_interface_info_ref (ch_dbus_device1_interface_info ());
  return list;
}

/* ---- properties ---- */

static GVariant *ports_variant (const ChDevice *device)
{
  GVariantBuilder builder;
  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a(iiusdb)"));
  for (guint i = 0; i < device->n_ports; i++) {
    const ChPort *port = &device->ports[i];
    g_variant_builder_add (&builder, "(iiusdb)", (gint) port->socket_no,
                           (gint) port->port_no, (guint) port->status,
                           ch_port_status_name ((ChPortStatus) port->status),
                           port->power_mw == G_MININT32 ? 0.0 : port->power_mw / 1000.0,
                           port->order != NULL);
  }
  return g_variant_builder_end (&builder);
}

static GVariant *get_property (GDBusConnection *connection, const char *sender,
                               const char *path, const char *interface, const char *name,
                               GError **error, gpointer data)
{
  ChDevice *device = device_at (data, path);
  if (device == NULL) {
    g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_OBJECT, "the device is gone");
    return NULL;
  }
  ChPresence presence = ch_session_presence (device, ch_now_ms (device->core->self));
  if (g_str_equal (name, "Id"))
    return g_variant_new_string (device->id);
  if (g_str_equal (name, "Protocol"))
    return g_variant_new_string (device->protocol);
  if (g_str_equal (name, "Online"))
    return g_variant_new_boolean (presence == CH_PRESENCE_ONLINE);
  if (g_str_equal (name, "Presence"))
    return g_variant_new_string (ch_presence_name (presence));
  if (g_str_equal (name, "LastSeen"))
    return g_variant_new_int64 (device->last_seen_at);
  if (g_str_equal (name, "Firmware"))
    return g_variant_new_string (device->firmware != NULL ? device->firmware : "");
  if (g_str_equal (name, "Ports"))
    return ports_variant (device);
  g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_PROPERTY, "no property %s",
               name);
  return NULL;
}

static void call (GDBusConnection *connection, const char *sender, const char *path,
                  const char *interface, const char *method, GVariant *parameters,
                  GDBusMethodInvocation *invocation, gpointer data)
{
  ChDbus *dbus = data;
  const ChDevice *device = device_at (dbus, path);
  gboolean reads = g_str_has_prefix (method, "Get");
  if (device == NULL)
    g_dbus_method_invocation_return_dbus_error (
        invocation, "org.chargehost.Error.DeviceNotFound", "the device is gone");
  else
    ch_dbus_authorize (dbus, invocation, reads ? CH_DBUS_READ : CH_DBUS_CHANGE,
                       ch_dbus_device_call, g_strdup (device->id), g_free);
}

static const GDBusInterfaceVTable DEVICE_TABLE
    = {.method_call = call, .get_property = get_property};

static const GDBusInterfaceVTable *dispatch (GDBusConnection *connection,
                                             const char *sender, const char *path,
                                             const char *interface, const char *node,
                                             gpointer *out, gpointer data)
{
  if (device_of (data, node) == NULL)
    return NULL;
  *out = data;
  return &DEVICE_TABLE;
}

gboolean ch_dbus_export_devices (ChDbus *dbus, GError **error)
{
  static const GDBusSubtreeVTable table
      = {.enumerate = enumerate, .introspect = introspect, .dispatch = dispatch};
  dbus->device_tree = g_dbus_connection_register_subtree (
      dbus->connection, CH_DBUS_DEVICES, &table,
      G_DBUS_SUBTREE_FLAGS_DISPATCH_TO_UNENUMERATED_NODES, dbus, NULL, error);
  return dbus->device_tree != 0;
}
