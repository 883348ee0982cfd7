/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The connection to the bus, the name, and the objects' coming and going. */
#include "dbus/dbus-private.h"

#define RETRY_MIN_MS 500
#define RETRY_MAX_MS 30000
#define GOODBYE_MS 2000 /* what a bus gets for reading our last words */

static void try_again (ChPlugin *self, gpointer data);

const ChConfigKey ch_dbus_config[] = {
    {.name = "dbus.bus",
     .type = CH_CONFIG_STRING,
     .def = "system",
     .aliases = NULL,
     .summary = "system, session, none, or the address of a bus."},
    {.name = "dbus.instance_name",
     .type = CH_CONFIG_BOOL,
     .def = "false",
     .summary = "Also own a name for this instance, made of its server id."},
    {.name = NULL},
};

ChDbus *ch_dbus_new (ChServices *services)
{
  ChDbus *dbus = g_new0 (ChDbus, 1);
  dbus->services = services;
  dbus->self = ch_owner_new (services, "dbus", NULL);
  dbus->cancellable = g_cancellable_new ();
  dbus->started_ms = ch_now_ms (dbus->self);
  dbus->credentials = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  dbus->traces = ch_dbus_traces_new ();
  dbus->subscriptions = g_hash_table_new_full (g_str_hash, g_str_equal, g_free,
                                               (GDestroyNotify) g_ptr_array_unref);
  return dbus;
}

static void unexport (ChDbus *dbus)
{
  if (dbus->name_id != 0)
    g_bus_unown_name (dbus->name_id);
  if (dbus->instance_id != 0)
    g_bus_unown_name (dbus->instance_id);
  dbus->instance_id = 0;
  if (dbus->owner_watch != 0)
    g_dbus_connection_signal_unsubscribe (dbus->connection, dbus->owner_watch);
  if (dbus->device_tree != 0)
    g_dbus_connection_unregister_subtree (dbus->connection, dbus->device_tree);
  if (dbus->order_tree != 0)
    g_dbus_connection_unregister_subtree (dbus->connection, dbus->order_tree);
  if (dbus->admin != 0)
    g_dbus_connection_unregister_object (dbus->connection, dbus->admin);
  dbus->name_id = dbus->owner_watch = dbus->device_tree = dbus->order_tree = 0;
  dbus->admin = 0;
  ch_dbus_unexport_plugins (dbus);
  ch_dbus_unexport_host (dbus);
  /* Unique names of another bus may mean other callers. */
  ch_dbus_forget_events (dbus);
  ch_dbus_forget_traces (dbus, NULL);
  g_hash_table_remove_all (dbus->credentials);
}

typedef struct {
  gboolean done;      /* everything is written */
  gboolean late;      /* the bus does not read */
  gboolean abandoned; /* nobody waits any more */
} Goodbye;

static void goodbye_flushed (GObject *source, GAsyncResult *result, gpointer data)
{
  Goodbye *goodbye = data;
  g_dbus_connection_flush_finish (G_DBUS_CONNECTION (source), result, NULL);
  goodbye->done = TRUE;
  if (goodbye->abandoned)
    g_free (goodbye);
}

static gboolean goodbye_late (gpointer data)
{
  ((Goodbye *) data)->late = TRUE;
  return G_SOURCE_REMOVE;
}

/*
 * Last answers are written, but a bus that hangs does not keep the daemon from ending.
 * FALSE: it hangs, and the connection stays open until the process ends.
 */
static gboolean say_goodbye (GDBusConnection *connection)
{
  Goodbye *goodbye = g_new0 (Goodbye, 1);
  /* lint: one at the end of the process, when the wheel turns no more */
  g_autoptr (GSource) limit = g_timeout_source_new (GOODBYE_MS);
  /* lint: as above */
  g_source_set_callback (limit, goodbye_late, goodbye, NULL);
  /* lint: as above */
  g_source_attach (limit, NULL);
  g_dbus_connection_flush (connection, NULL, goodbye_flushed, goodbye);
  while (!goodbye->done && !goodbye->late)
    /* lint: the daemon's loop has ended; what comes is for this connection */
    g_main_context_iteration (NULL, TRUE);
  g_source_destroy (limit);
  if (!goodbye->done) {
    goodbye->abandoned = TRUE;
    return FALSE;
  }
  g_dbus_connection_close_sync (connection, NULL, NULL);
  g_free (goodbye);
  return TRUE;
}

void ch_dbus_free (ChDbus *dbus)
{
  if (dbus == NULL)
    return;
  ch_timer_cancel (dbus->self, &dbus->retry);
  g_cancellable_cancel (dbus->cancellable);
  if (dbus->connection != NULL) {
    g_signal_handlers_disconnect_by_data (dbus->connection, dbus);
    /* The name is last: giving it up on an open connection waits for the bus. */
    guint name_id = dbus->name_id;
    dbus->name_id = 0;
    unexport (dbus);
    if (say_goodbye (dbus->connection) && name_id != 0)
      g_bus_unown_name (name_id);
    g_clear_object (&dbus->connection);
  }
  /* lint: callbacks of cancelled calls come in next turns; they find what they need */
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_clear_object (&dbus->cancellable);
  g_ptr_array_unref (dbus->traces);
  g_hash_table_unref (dbus->subscriptions);
  g_hash_table_unref (dbus->credentials);
  dbus->services->dbus = NULL;
  ch_owner_free (dbus->self);
  g_free (dbus);
}

void ch_dbus_set_daemon (ChDbus *dbus, const ChDbusDaemon *table, gpointer daemon)
{
  dbus->daemon_table = *table;
  dbus->daemon = daemon;
}

/* ---- connecting ---- */

static void owner_changed (GDBusConnection *connection, const char *sender,
                           const char *path, const char *interface, const char *signal,
                           GVariant *parameters, gpointer data)
{
  ChDbus *dbus = data;
  const char *name, *new_owner;
  g_variant_get (parameters, "(&s&s&s)", &name, NULL, &new_owner);
  if (name[0] != ':' || *new_owner != '\0')
    return;
  ch_dbus_forget_caller (dbus, name);
  ch_dbus_forget_follower (dbus, name);
  ch_dbus_forget_traces (dbus, name);
}

static void name_lost (GDBusConnection *connection, const char *name, gpointer data)
{
  ChDbus *dbus = data;
  if (ch_config_bool (dbus->self, "dbus.instance_name")
      && g_str_equal (name, CH_DBUS_NAME)) {
    ch_info (dbus->self, "another instance has the name %s; this one is next", name);
    return;
  }
  ch_warning (dbus->self,
              "the name %s is not ours on the bus: another instance has it, or the"
              " bus does not allow it",
              name);
}

/* org.chargehost.Host1.instance_ID; what a name may not hold as _ and two hex digits. */
static char *instance_name (ChDbus *dbus)
{
  GString *name = g_string_new (CH_DBUS_NAME ".instance_");
  for (const char *p = dbus->services->server_id; *p != '\0'; p++) {
    if (g_ascii_isalnum (*p))
      g_string_append_c (name, *p);
    else
      g_string_append_printf (name, "_%02x", (guint) (guchar) *p);
  }
  return g_string_free (name, FALSE);
}

static void name_acquired (GDBusConnection *connection, const char *name, gpointer data)
{
  ChDbus *dbus = data;
  ch_notice (dbus->self, "management interface %s on the bus", name);
}

/* Says once that there is no bus; the attempts go on silently. */
static void no_bus (ChDbus *dbus, const char *why)
{
  dbus->retry_ms = CLAMP (dbus->retry_ms * 2, RETRY_MIN_MS, RETRY_MAX_MS);
  dbus->retry = ch_timer_add (dbus->self, dbus->retry_ms, try_again, dbus);
  if (!dbus->told)
    ch_notice (dbus->self, "no message bus, going on without: %s", why);
  dbus->told = TRUE;
}

/* The bus has died or thrown us out; the daemon goes on and comes back to it. */
static void closed (GDBusConnection *connection, gboolean vanished, const GError *error,
                    gpointer data)
{
  ChDbus *dbus = data;
  if (connection != dbus->connection)
    return;
  ch_warning (dbus->self, "the message bus has gone: %s",
              error != NULL ? error->message : "closed");
  g_signal_handlers_disconnect_by_data (connection, dbus);
  g_cancellable_cancel (dbus->cancellable);
  g_object_unref (dbus->cancellable);
  dbus->cancellable = g_cancellable_new ();
  unexport (dbus);
  g_clear_object (&dbus->connection);
  dbus->retry_ms = 0;
  dbus->told = TRUE;
  no_bus (dbus, "");
}

static gboolean export_all (ChDbus *dbus, GError **error)
{
  if (!ch_dbus_export_host (dbus, error) || !ch_dbus_export_admin (dbus, error)
      || !ch_dbus_export_devices (dbus, error) || !ch_dbus_export_orders (dbus, error))
    return FALSE;
  ch_dbus_export_plugins (dbus);
  return TRUE;
}

static void connected (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GError) error = NULL;
  GDBusConnection *connection = g_dbus_connection_new_for_address_finish (result, &error);
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* the daemon stops: @data may be gone */
  ChDbus *dbus = data;
  if (connection == NULL) {
    no_bus (dbus, error->message);
    return;
  }
  dbus->connection = connection;
  dbus->retry_ms = 0;
  dbus->told = FALSE;
  g_dbus_connection_set_exit_on_close (connection, FALSE);
  g_signal_connect (connection, "closed", G_CALLBACK (closed), dbus);
  if (!export_all (dbus, &error)) {
    ch_error (dbus->self, "nothing exported: %s", error->message);
    return;
  }
  dbus->owner_watch = g_dbus_connection_signal_subscribe (
      connection, "org.freedesktop.DBus", "org.freedesktop.DBus", "NameOwnerChanged",
      "/org/freedesktop/DBus", NULL, G_DBUS_SIGNAL_FLAGS_NONE, owner_changed, dbus, NULL);
  dbus->name_id = g_bus_own_name_on_connection (connection, CH_DBUS_NAME,
                                                G_BUS_NAME_OWNER_FLAGS_NONE,
                                                name_acquired, name_lost, dbus, NULL);
  if (!ch_config_bool (dbus->self, "dbus.instance_name"))
    return;
  g_autofree char *name = instance_name (dbus);
  dbus->instance_id
      = g_bus_own_name_on_connection (connection, name, G_BUS_NAME_OWNER_FLAGS_NONE,
                                      name_acquired, name_lost, dbus, NULL);
}

static void connect_bus (ChDbus *dbus)
{
  const char *bus = ch_config_string (dbus->self, "dbus.bus");
  g_autofree char *address = NULL;
  g_autoptr (GError) error = NULL;

  dbus->is_system = g_str_equal (bus, "system");
  if (dbus->is_system || g_str_equal (bus, "session"))
    address = g_dbus_address_get_for_bus_sync (
        dbus->is_system ? G_BUS_TYPE_SYSTEM : G_BUS_TYPE_SESSION, NULL, &error);
  else
    address = g_strdup (bus);
  if (address == NULL) {
    no_bus (dbus, error != NULL ? error->message : "no address");
    return;
  }
  g_dbus_connection_new_for_address (address,
                                     G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT
                                         | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                     NULL, dbus->cancellable, connected, dbus);
}

static void try_again (ChPlugin *self, gpointer data)
{
  ChDbus *dbus = data;
  dbus->retry = 0;
  connect_bus (dbus);
}

void ch_dbus_open (ChDbus *dbus)
{
  ch_subscribe (dbus->self, "plugin.changed", NULL, ch_dbus_plugin_changed, dbus);
  if (!g_str_equal (ch_config_string (dbus->self, "dbus.bus"), "none"))
    connect_bus (dbus);
}
