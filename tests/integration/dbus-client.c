/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The management interface as a program sees it that uses the generated proxies: every
 * device is reached, pages follow each other, events arrive. tests/integration/dbus.py
 * starts the bus and the daemon and gives the address and the number of devices.
 */
#include "dbus/generated.h"

#include <jansson.h>
#include <string.h>

#define NAME "org.chargehost.Host1"
#define ROOT "/org/chargehost"
#define PAGE 70

static GDBusConnection *connect_to (const char *address)
{
  g_autoptr (GError) error = NULL;
  GDBusConnection *connection = g_dbus_connection_new_for_address_sync (
      address,
      G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT
          | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
      NULL, NULL, &error);
  g_assert_no_error (error);
  return connection;
}

/* What is told of the device is the same by its page, its object and its properties. */
static void check_device (GDBusConnection *connection, const char *text, char **id)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *described = NULL;
  json_t *listed = json_loads (text, 0, NULL);
  const char *name = json_string_value (json_object_get (listed, "device_phy_id"));
  g_assert_nonnull (name);
  g_autofree char *path = g_strdup_printf (ROOT "/device/%s", name);
  g_autoptr (ChDbusDevice1) device = ch_dbus_device1_proxy_new_sync (
      connection, G_DBUS_PROXY_FLAGS_NONE, NAME, path, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (ch_dbus_device1_get_id (device), ==, name);
  g_assert_cmpstr (ch_dbus_device1_get_protocol (device), ==, "bkv");
  g_assert_true (ch_dbus_device1_call_get_sync (device, &described, NULL, &error));
  g_assert_no_error (error);
  json_t *shown = json_loads (described, 0, NULL);
  g_assert_cmpstr (json_string_value (json_object_get (shown, "device_phy_id")), ==,
                   name);
  g_assert_cmpstr (json_string_value (json_object_get (shown, "model")), ==,
                   json_string_value (json_object_get (listed, "model")));
  g_free (*id);
  *id = g_strdup (name);
  json_decref (shown);
  json_decref (listed);
}

static void check_pages (GDBusConnection *connection, ChDbusHost1 *host, guint want)
{
  g_autofree char *after = g_strdup ("");
  guint seen = 0, total = want;

  while (seen < want) {
    g_autoptr (GError) error = NULL;
    g_auto (GStrv) page = NULL;
    GVariant *filter = g_variant_new_array (G_VARIANT_TYPE ("{sv}"), NULL, 0);
    g_autofree char *before = g_strdup (after);
    ch_dbus_host1_call_list_devices_sync (host, filter, after, PAGE, &page, &total, NULL,
                                          &error);
    g_assert_no_error (error);
    g_assert_cmpuint (total, ==, want);
    g_assert_cmpuint (g_strv_length (page), ==, MIN (PAGE, want - seen));
    for (guint i = 0; page[i] != NULL; i++, seen++)
      check_device (connection, page[i], &after);
    g_assert_cmpstr (before, <, after);
  }
}

/* GLib's own client of an ObjectManager agrees with what stands in the tree. */
static void check_plugins (GDBusConnection *connection)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GDBusObjectManager) manager = g_dbus_object_manager_client_new_sync (
      connection, G_DBUS_OBJECT_MANAGER_CLIENT_FLAGS_NONE, NAME, ROOT "/plugin", NULL,
      NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  GList *objects = g_dbus_object_manager_get_objects (manager);
  g_assert_cmpuint (g_list_length (objects), ==, 3);
  for (GList *at = objects; at != NULL; at = at->next) {
    g_autoptr (GDBusInterface) plugin
        = g_dbus_object_get_interface (at->data, "org.chargehost.Plugin1");
    g_autoptr (GVariant) state
        = g_dbus_proxy_get_cached_property (G_DBUS_PROXY (plugin), "State");
    g_assert_cmpstr (g_variant_get_string (state, NULL), ==, "running");
  }
  g_list_free_full (objects, g_object_unref);
}

typedef struct {
  GMainLoop *loop;
  gboolean order, port;
} Heard;

static void on_event (ChDbusHost1 *host, const char *topic, const char *device,
                      GVariant *fields, gpointer data)
{
  Heard *heard = data;
  const char *order_no = "";
  heard->port |= g_str_equal (topic, "port.changed");
  if (g_str_equal (topic, "order.started"))
    heard->order = g_variant_lookup (fields, "order_no", "&s", &order_no)
                   && g_str_equal (order_no, "GDBUS-1");
  if (heard->order && heard->port)
    g_main_loop_quit (heard->loop);
}

static gboolean too_late (gpointer data)
{
  g_error ("no event came");
  return G_SOURCE_REMOVE;
}

static void start_charge (GDBusConnection *connection, const char *id)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = g_strdup_printf (ROOT "/device/%s", id);
  g_autofree char *answer = NULL;
  GVariantDict options;
  g_autoptr (ChDbusDevice1) device = ch_dbus_device1_proxy_new_sync (
      connection, G_DBUS_PROXY_FLAGS_NONE, NAME, path, NULL, &error);
  g_assert_no_error (error);
  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "order_no", "s", "GDBUS-1");
  g_variant_dict_insert (&options, "amount", "u", 500u);
  g_variant_dict_insert (&options, "duration_minutes", "u", 600u);
  ch_dbus_device1_call_start_charge_sync (device, -1, 0, 1, g_variant_dict_end (&options),
                                          &answer, NULL, &error);
  g_assert_no_error (error);
  g_assert_nonnull (strstr (answer, "GDBUS-1"));
}

static void check_events (GDBusConnection *connection, ChDbusHost1 *host, const char *id)
{
  static const char *const patterns[] = {"port.*", "order.started"};
  g_autoptr (GError) error = NULL;
  Heard heard = {.loop = g_main_loop_new (NULL, FALSE)};
  g_signal_connect (host, "event", G_CALLBACK (on_event), &heard);
  for (guint i = 0; i < G_N_ELEMENTS (patterns); i++) {
    ch_dbus_host1_call_subscribe_sync (host, patterns[i], id, NULL, &error);
    g_assert_no_error (error);
  }
  start_charge (connection, id);
  guint watchdog = g_timeout_add_seconds (30, too_late, NULL);
  g_main_loop_run (heard.loop);
  g_source_remove (watchdog);
  for (guint i = 0; i < G_N_ELEMENTS (patterns); i++) {
    ch_dbus_host1_call_unsubscribe_sync (host, patterns[i], id, NULL, &error);
    g_assert_no_error (error);
  }
  g_main_loop_unref (heard.loop);
}

int main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_assert_cmpint (argc, ==, 4); /* address, number of devices, one device's id */
  g_autoptr (GDBusConnection) connection = connect_to (argv[1]);
  g_autoptr (ChDbusHost1) host = ch_dbus_host1_proxy_new_sync (
      connection, G_DBUS_PROXY_FLAGS_NONE, NAME, ROOT, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (ch_dbus_host1_get_state (host), ==, "running");
  check_pages (connection, host, (guint) g_ascii_strtoull (argv[2], NULL, 10));
  check_plugins (connection);
  check_events (connection, host, argv[3]);
  g_print ("all is well\n");
  return 0;
}
