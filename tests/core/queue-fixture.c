/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "queue-fixture.h"
#include "core/device/bans.h"
#include "core/fact/journal.h"
#include "core/order/orders.h"
#include <chargehost/chargehost.h>

#include <glib/gstdio.h>
#include <string.h>

#define PATIENCE_US (20 * G_USEC_PER_SEC)

extern const ChPluginInfo *ch_plugin_kv_memory_query (void);
extern const ChPluginInfo *ch_plugin_store_sqlite_query (void);

/* ---- the protocol
 * ----------------------------------------------------------------------- */

static ChSniff sniff (const guint8 *p, gsize n)
{
  return p[0] == '@' ? CH_SNIFF_YES : CH_SNIFF_NO;
}

static gssize frame (const guint8 *p, gsize n, gsize max, const char **error)
{
  const guint8 *end = memchr (p, '\n', n);
  return end != NULL ? end - p + 1 : 0;
}

static void result_line (ChPlugin *self, ChConn conn, char **words, ChCommandState state)
{
  const ChCommandResult result
      = {.device = words[1],
         .msg_id = (guint32) g_ascii_strtoull (words[2], NULL, 10),
         .state = state,
         .device_code = words[3] != NULL ? atoi (words[3]) : CH_UNSET};
  ch_device_seen (self, conn, words[1]);
  ch_command_result (self, conn, &result);
}

static void input (ChPlugin *self, gpointer session, ChConn conn, const guint8 *bytes,
                   gsize n)
{
  g_autofree char *line = g_strndup ((const char *) bytes, n - 1);
  g_auto (GStrv) words = g_strsplit (line, " ", 8);

  if (g_str_equal (words[0], "@on"))
    ch_device_online (self, conn, words[1], NULL, NULL);
  else if (g_str_equal (words[0], "@hb"))
    ch_device_seen (self, conn, words[1]);
  else if (g_str_equal (words[0], "@ack"))
    result_line (self, conn, words, CH_COMMAND_ACKED);
  else if (g_str_equal (words[0], "@no"))
    result_line (self, conn, words, CH_COMMAND_REJECTED);
  else if (g_str_equal (words[0], "@sim"))
    ch_device_registered (self, conn, words[1],
                          &(ChRegistered) {.iccid = words[2], .port_count = CH_UNSET});
  else
    queue_fact_line (self, conn, words);
}

static ChCommandState command (ChPlugin *self, gpointer session, ChConn conn,
                               const ChCommand *c)
{
  Queue *queue = ch_plugin_data (self);
  g_autofree char *line
      = g_strdup_printf ("%s %u %u %d %d %s\n", ch_command_type_name (c->type), c->msg_id,
                         c->attempt, c->socket_no, c->port_no, c->order_no);
  const ChFrameLog log = {.msg_id = c->msg_id,
                          .cmd = c->type,
                          .success = TRUE,
                          .payload = (const guint8 *) line,
                          .payload_size = strlen (line)};

  if (queue->next_state != CH_COMMAND_SENT)
    return queue->next_state;
  g_autofree char *padding = g_strnfill (queue->padding, 'x');
  g_autofree char *bytes = g_strconcat (line, padding, NULL);
  if (!ch_conn_write (self, conn, bytes, strlen (bytes), CH_WRITE_COMMAND))
    return CH_COMMAND_NOT_SENT;
  ch_frame_log (self, conn, c->device, &log);
  return CH_COMMAND_SENT;
}

static const ChAckRule ACKS[] = {
    {CH_COMMAND_START_CHARGE, 5000, 3, 18000, FALSE},
    {CH_COMMAND_STOP_CHARGE, 5000, 5, 180000, TRUE},
    {CH_COMMAND_QUERY_PORT_STATUS, 3000, 2, 30000, TRUE},
    {CH_COMMAND_SET_PARAMS, 5000, 3, 24 * 3600 * 1000, TRUE},
    {CH_COMMAND_READ_PARAMS, 5000, 2, 60000, TRUE},
    {CH_COMMAND_SYNC_TIME, 3000, 1, 60000, TRUE},
    {0},
};

static const ChProtocol PROTOCOL = {
    .size = sizeof (ChProtocol),
    .name = "lines",
    .properties = {CH_PROTOCOL_DEFAULTS},
    .acks = ACKS,
    .sniff = sniff,
    .frame = frame,
    .input = input,
    .command = command,
};

/* ---- what the core says
 * -------------------------------------------------------------------- */

static gboolean is_clearance (const ChTopic *topic, const ChEvent *event)
{
  return g_str_equal (topic->name, "alarm.reported")
         && !((const ChAlarmReportedEvent *) event)->active;
}

static void on_event (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                      gpointer user_data)
{
  Queue *queue = user_data;
  const char *more = "";

  if (g_str_equal (topic->name, "command.finished"))
    more = ((const ChCommandFinishedEvent *) event)->state;
  else if (g_str_equal (topic->name, "device.offline"))
    more = ((const ChDeviceOfflineEvent *) event)->reason;
  else if (g_str_equal (topic->name, "alarm.reported"))
    more = ((const ChAlarmReportedEvent *) event)->code;
  else if (g_str_has_prefix (topic->name, "port.")
           || g_str_equal (topic->name, "device.registered"))
    return;
  g_ptr_array_add (queue->events,
                   g_strdup_printf ("%s %s %s%s", topic->name, event->device, more,
                                    is_clearance (topic, event) ? " cleared" : ""));
}

static Queue *queue_of (ChCore *core)
{
  return ch_plugin_data (core->self);
}

static void hook_sent (ChCore *core, const ChCommandView *view)
{
  g_ptr_array_add (
      queue_of (core)->views,
      g_strdup_printf ("sent %s %u", ch_command_type_name (view->type), view->attempts));
}

static void hook_finished (ChCore *core, const ChCommandView *view)
{
  g_ptr_array_add (queue_of (core)->views,
                   g_strdup_printf ("%s %s %s %u", view->late ? "late" : "finished",
                                    ch_command_type_name (view->type),
                                    ch_command_state_name (view->state), view->attempts));
}

static const ChOutboundHooks HOOKS = {hook_sent, hook_finished};

static void conn_closed (ChCore *core, ChConn conn, gpointer data, ChCloseReason reason)
{
  ch_session_conn_closed (core->sessions, conn, data, reason);
}

static void conn_writable (ChCore *core, ChConn conn, gpointer data)
{
  ch_session_conn_writable (core->sessions, conn, data);
}

static gboolean is_banned (ChCore *core, const char *host)
{
  return ch_bans_has_host (core->bans, host);
}

static const ChGatewayHooks GATEWAY_HOOKS
    = {.closed = conn_closed, .writable = conn_writable, .banned = is_banned};

static void bus_wake (gpointer data)
{
  /* the settling loop drains it */
}

/* ---- life
 * -------------------------------------------------------------------------------------
 */

static ChPlugin *open_plugin (Queue *queue, const ChPluginInfo *info)
{
  g_autoptr (GError) error = NULL;
  ChPlugin *plugin = ch_owner_new (&queue->services, info->name, info);

  if (!info->start (plugin, &error))
    g_error ("%s: %s", info->name, error->message);
  return plugin;
}

static void open_base (Queue *queue)
{
  ChServices *s = &queue->services;
  g_autoptr (GError) error = NULL;

  s->metrics = ch_metrics_new ();
  s->runner = ch_runner_new ();
  s->replies = ch_replies_new ();
  ch_reactor_new (s, NULL, &error);
  g_assert_no_error (error);
  s->bus = ch_bus_new (s);
  ch_bus_set_wake (s->bus, bus_wake, queue);
  s->gateway = ch_gateway_new (s);
  s->kv = ch_kv_new (s);
  s->store = ch_store_new (s);
  g_strlcpy (s->server_id, "gw-1", sizeof s->server_id);
}

static const ChPluginInfo *store_info (void)
{
  return queue_is_pgsql () ? queue_pgsql_info () : ch_plugin_store_sqlite_query ();
}

static void open_drivers (Queue *queue)
{
  g_autoptr (GError) error = NULL;
  const ChPluginInfo *kv = ch_plugin_kv_memory_query ();
  const ChPluginInfo *store = store_info ();

  queue->kv_driver = open_plugin (queue, kv);
  if (!ch_kv_open (queue->services.kv, queue->kv_driver, kv->kv_driver, &error))
    g_error ("kv: %s", error->message);
  queue->store_driver = open_plugin (queue, store);
  queue_store_layer (queue, store->store_driver);
  if (!ch_store_open (queue->services.store, queue->store_driver, &queue->store_layer,
                      &error))
    g_error ("store: %s", error->message);
}

/* As in the daemon, which finds them by the name of the protocol. */
static void know_properties (Queue *queue)
{
  GHashTableIter iter;
  gpointer device;

  g_hash_table_iter_init (&iter, queue->services.core->devices);
  while (g_hash_table_iter_next (&iter, NULL, &device))
    ((ChDevice *) device)->props
        = ch_gateway_properties (queue->services.gateway, &queue->protocol);
}

void queue_start (Queue *queue)
{
  ChServices *s = &queue->services;
  g_autoptr (GError) error = NULL;

  open_base (queue);
  ChCore *core = ch_core_new (s);
  ch_plugin_set_data (core->self, queue);
  if (!queue->with_orders)
    ch_outbound_set_hooks (core->outbound, &HOOKS);
  open_drivers (queue);
  ch_gateway_set_hooks (s->gateway, core, &GATEWAY_HOOKS);
  queue->proto_info
      = (ChPluginInfo) {.name = "proto-lines", .protocol = &queue->protocol};
  queue_begin_protocol (queue);
  if (!ch_core_open_sessions (core, &error) || !ch_core_open_store (core, &error))
    g_error ("core: %s", error->message);
  know_properties (queue);
  queue->caller = ch_owner_new (s, "caller", NULL);
  ch_subscribe (queue->caller, "*", NULL, on_event, queue);
  ch_outbound_start (core->outbound);
  if (queue->with_orders)
    ch_core_start_monitors (core);
  s->phase = 9;
  queue_settle (queue);
}

void queue_stop (Queue *queue)
{
  ChServices *s = &queue->services;

  /* As the daemon: what waits for the store is answered while all others still live. */
  ch_store_close (s->store);
  ch_core_store_closed (s->core);
  ch_kv_close (s->kv);
  ch_owner_free (queue->caller);
  ch_gateway_free (s->gateway);
  s->gateway = NULL;
  ch_core_free (s->core);
  ch_owner_free (queue->proto);
  queue->kv_driver->info->stop (queue->kv_driver);
  ch_owner_free (queue->kv_driver);
  queue->store_driver->info->stop (queue->store_driver);
  ch_owner_free (queue->store_driver);
  ch_kv_free (s->kv);
  ch_store_free (s->store);
  ch_bus_free (s->bus);
  ch_reactor_free (s->reactor);
  ch_replies_free (s->replies);
  ch_runner_free (s->runner);
  ch_metrics_free (s->metrics);
  s->kv = NULL;
  s->store = NULL;
  s->core = NULL;
  s->bus = NULL;
  s->reactor = NULL;
}

void queue_restart (Queue *queue)
{
  queue_stop (queue);
  queue_start (queue);
}

/* The daemon declares it. */
static const ChConfigKey STATE_KEYS[] = {
    {.name = "app.state_dir", .type = CH_CONFIG_STRING, .def = "/nonexistent"},
    {.name = NULL},
};

static void configure_store (Queue *queue, ChConfig *config)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *name = g_path_get_basename (queue->folder);
  g_autofree char *path = g_strdup_printf ("store-sqlite.path=%s/test.db", queue->folder);
  g_autofree char *schema = g_strconcat ("database.schema=", name, NULL);
  const char *options[] = {path, NULL, NULL};

  ch_config_declare (config, store_info ()->name, store_info ()->config);
  g_autofree char *dsn = queue_is_pgsql () ? queue_pgsql_dsn () : NULL;
  if (dsn != NULL) {
    options[0] = schema;
    options[1] = dsn;
  }
  for (guint i = 0; options[i] != NULL; i++)
    if (!ch_config_add_option (config, options[i], &error))
      g_error ("%s", error->message);
}

static void declare (Queue *queue, const char *const *options)
{
  ChConfig *config = queue->services.config;
  g_autoptr (GError) error = NULL;

  ch_config_declare (config, "", STATE_KEYS);
  ch_config_declare (config, "bus", ch_bus_config);
  ch_config_declare (config, "", ch_gateway_config);
  ch_config_declare (config, "", ch_store_config);
  ch_config_declare (config, "", ch_core_config);
  ch_config_declare (config, "kv-memory", ch_plugin_kv_memory_query ()->config);
  ch_config_declare (config, "proto-lines", ch_gateway_property_keys ());
  ch_config_declare (config, "", ch_kv_config);
  configure_store (queue, config);
  g_autofree char *journal = g_strconcat ("journal.path=", queue->folder, NULL);
  if (!ch_config_add_option (config, journal, &error))
    g_error ("%s", error->message);
  for (gsize i = 0; options != NULL && options[i] != NULL; i++)
    if (!ch_config_add_option (config, options[i], &error))
      g_error ("%s", error->message);
  if (!ch_config_resolve (config, NULL, &error))
    g_error ("%s", error->message);
}

static Queue *make (const char *const *options, gboolean with_orders)
{
  Queue *queue = g_new0 (Queue, 1);
  g_autoptr (GError) error = NULL;

  queue->folder = g_dir_make_tmp ("chargehost-queue-XXXXXX", &error);
  g_assert_no_error (error);
  queue->protocol = PROTOCOL;
  queue->with_orders = with_orders;
  queue->next_state = CH_COMMAND_SENT;
  queue->events = g_ptr_array_new_with_free_func (g_free);
  queue->views = g_ptr_array_new_with_free_func (g_free);
  queue->held = g_ptr_array_new ();
  queue->services.clock = ch_clock_new_fake (1704528000000);
  queue->services.config = ch_config_new ();
  declare (queue, options);
  queue_start (queue);
  return queue;
}

Queue *queue_new (const char *const *options)
{
  return make (options, FALSE);
}

Queue *queue_new_orders (const char *const *options)
{
  return make (options, TRUE);
}

static void remove_folder (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *file = g_build_filename (path, name, NULL);
    g_unlink (file);
  }
  g_rmdir (path);
}

void queue_free (Queue *queue)
{
  queue_stop (queue);
  ch_config_free (queue->services.config);
  ch_clock_free (queue->services.clock);
  remove_folder (queue->folder);
  g_free (queue->folder);
  g_ptr_array_unref (queue->events);
  g_ptr_array_unref (queue->views);
  g_ptr_array_unref (queue->held);
  g_free (queue);
}

/* ---- time
 * ---------------------------------------------------------------------------------------
 */

static gboolean is_busy (Queue *queue)
{
  ChStoreStats stats = {0};
  ch_store_stats (queue->services.store, &stats);
  return stats.queued > queue->held->len
         || ch_journal_pending (queue->services.core->journal) > 0;
}

void queue_settle (Queue *queue)
{
  gint64 until_us = g_get_monotonic_time () + PATIENCE_US;
  guint quiet = 0;

  while (quiet < 6) {
    gboolean busy = g_main_context_iteration (NULL, FALSE);
    busy = ch_wheel_run (queue->services.reactor) > 0 || busy;
    busy = ch_bus_drain (queue->services.bus, 1000) > 0 || busy;
    busy = is_busy (queue) || busy;
    quiet = busy ? 0 : quiet + 1;
    g_assert_cmpint (g_get_monotonic_time (), <, until_us);
  }
}

void queue_advance (Queue *queue, gint64 ms)
{
  while (ms > 0) {
    gint64 step = MIN (ms, ms > 60000 ? 1000 : 100);
    ch_clock_advance_ms (queue->services.clock, step);
    ms -= step;
    queue_settle (queue);
  }
}

/* ---- looking
 * --------------------------------------------------------------------------------------------
 */

static void print (GString *text, const ChKvReply *reply)
{
  if (reply->kind == CH_KV_REPLY_NIL)
    g_string_append (text, "nil");
  else if (reply->kind == CH_KV_REPLY_INTEGER)
    g_string_append_printf (text, "%" G_GINT64_FORMAT, reply->integer);
  else if (reply->kind != CH_KV_REPLY_ARRAY)
    g_string_append (text, reply->text);
  for (gsize i = 0; reply->kind == CH_KV_REPLY_ARRAY && i < reply->n_items; i++) {
    if (i > 0)
      g_string_append_c (text, ' ');
    print (text, reply->items[i]);
  }
}

static void kv_answered (ChPlugin *self, const ChKvReply *reply, const GError *error,
                         gpointer user_data)
{
  GString *text = g_string_new (NULL);
  if (reply != NULL)
    print (text, reply);
  else
    g_string_append (text, error->message);
  *(char **) user_data = g_string_free (text, FALSE);
}

char *queue_kv (Queue *queue, const char *line)
{
  char *answer = NULL;
  g_auto (GStrv) words = g_strsplit (line, " ", -1);

  ch_kv_command (queue->caller, kv_answered, &answer, (const char *const *) words, NULL,
                 g_strv_length (words));
  queue_settle (queue);
  g_assert_nonnull (answer);
  return answer;
}

char *queue_lines (GPtrArray *lines)
{
  GString *text = g_string_new (NULL);
  for (guint i = 0; i < lines->len; i++)
    g_string_append_printf (text, "%s%s", i > 0 ? "; " : "",
                            (const char *) g_ptr_array_index (lines, i));
  g_ptr_array_set_size (lines, 0);
  return g_string_free (text, FALSE);
}
