/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store-pgsql: the store's driver for PostgreSQL. */
#include "pgsql.h"

#include <string.h>

static void lane_free (gpointer data)
{
  PgLane *lane = data;
  g_queue_clear (&lane->waiting);
  g_free (lane);
}

static void text_free (gpointer data)
{
  pg_text_free (data);
}

static void clear (Pg *pg)
{
  pg_admin_close (pg);
  for (guint i = pg->conns->len; i-- > 0;)
    pg_conn_free (g_ptr_array_index (pg->conns, i));
  g_ptr_array_set_size (pg->conns, 0);
  pg_loop_close (pg);
  g_clear_pointer (&pg->primary, pg_target_free);
  g_clear_pointer (&pg->lanes, g_hash_table_unref);
  g_clear_pointer (&pg->texts, g_ptr_array_unref);
  g_clear_pointer (&pg->types, g_hash_table_unref);
  g_clear_pointer (&pg->channels, g_hash_table_unref);
  g_clear_pointer (&pg->conns, g_ptr_array_unref);
  g_clear_pointer (&pg->replicas, g_ptr_array_unref);
  g_clear_pointer (&pg->marks, g_array_unref);
  g_clear_pointer (&pg->down_reason, g_free);
  g_queue_clear (&pg->ready_lanes);
  pg_params_clear (&pg->params);
  pg_row_clear (&pg->row);
  pg_options_clear (&pg->options);
  pg->open = FALSE;
}

static gboolean pgsql_open (ChPlugin *self, const ChStoreSettings *settings,
                            GError **error)
{
  Pg *pg = ch_plugin_data (self);

  gboolean collecting = pg->collecting;
  memset (pg, 0, sizeof *pg);
  pg->self = self;
  pg->collecting = collecting;
  pg->epoll = -1;
  if (!pg_options_read (&pg->options, self, settings, error))
    return FALSE;
  pg->lanes = g_hash_table_new_full (NULL, NULL, NULL, lane_free);
  pg->channels = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  pg->types = g_hash_table_new_full (g_str_hash, g_str_equal, g_free,
                                     (GDestroyNotify) g_hash_table_unref);
  pg->texts = g_ptr_array_new_with_free_func (text_free);
  pg->conns = g_ptr_array_new ();
  pg->marks = g_array_new (FALSE, FALSE, sizeof (gint64[2]));
  pg->can_flush = TRUE;
  pg->primary = pg_target_new (pg->options.dsn, "database.dsn", TRUE, error);
  if (pg->primary != NULL && pg_replicas_open (pg, error) && pg_loop_open (pg, error)
      && pg_admin_open (pg, error)) {
    pg->open = TRUE;
    pg_replicas_add_metrics (pg);
    pg_pool_maintain (pg, g_get_monotonic_time ());
    return TRUE;
  }
  clear (pg);
  return FALSE;
}

static void pgsql_close (ChPlugin *self)
{
  Pg *pg = ch_plugin_data (self);
  g_autoptr (GError) error
      = g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE, "the store is closed");

  if (!pg->open)
    return;
  pg->held = FALSE;
  pg_loop_kick (pg);
  while (pg->outstanding > 0) {
    if (pg->down_us != 0)
      pg_fail_waiting (pg, error);
    pg_loop_pump (pg, 20);
  }
  pg->closing = TRUE;
  clear (pg);
}

static gboolean pgsql_script (ChPlugin *self, const char *sql, GError **error)
{
  Pg *pg = ch_plugin_data (self);

  return pg_admin_make_schema (pg, error) && pg_admin_script (pg, sql, error);
}

static void pgsql_run_now (ChPlugin *self, ChTxRun *run)
{
  pg_admin_run (ch_plugin_data (self), run);
}

static void pgsql_submit (ChPlugin *self, ChTxRun *run)
{
  pg_submit (ch_plugin_data (self), run);
}

static void pgsql_bulk (ChPlugin *self, const char *table, const char *const *columns,
                        ChTxRun *run)
{
  pg_copy_submit (ch_plugin_data (self), table, columns, run);
}

static gboolean pgsql_lock (ChPlugin *self, GError **error)
{
  return pg_admin_lock (ch_plugin_data (self), error);
}

static void pgsql_unlock (ChPlugin *self)
{
  pg_admin_unlock (ch_plugin_data (self));
}

static void pgsql_listen (ChPlugin *self, const char *channel, gboolean on)
{
  Pg *pg = ch_plugin_data (self);

  if (!pg->open)
    return;
  pg_listen (pg, channel, on);
  pg_pool_maintain (pg, g_get_monotonic_time ());
}

static void pgsql_stats (ChPlugin *self, ChStoreStats *stats)
{
  Pg *pg = ch_plugin_data (self);

  if (!pg->open)
    return;
  for (guint i = 0; i < pg->conns->len; i++) {
    const PgConn *conn = g_ptr_array_index (pg->conns, i);
    if (conn->role == PG_ADMIN)
      continue;
    if (conn->state == PG_READY) {
      stats->connections++;
      stats->idle += pg_conn_is_idle (conn);
    } else if (conn->state != PG_BROKEN) {
      stats->connecting++;
    }
  }
  stats->max = pg->options.max;
  stats->up = pg_pool_is_up (pg);
}

static const ChStoreDriver pgsql_driver = {
    .size = sizeof (ChStoreDriver),
    .dialect = "pgsql",
    .open = pgsql_open,
    .close = pgsql_close,
    .script = pgsql_script,
    .run_now = pgsql_run_now,
    .submit = pgsql_submit,
    .bulk = pgsql_bulk,
    .lock = pgsql_lock,
    .unlock = pgsql_unlock,
    .stats = pgsql_stats,
    .listen = pgsql_listen,
};

static gboolean pgsql_start (ChPlugin *self, GError **error)
{
  ch_plugin_set_data (self, g_new0 (Pg, 1));
  return TRUE;
}

static void pgsql_stop (ChPlugin *self)
{
  pgsql_close (self);
  g_free (ch_plugin_data (self));
  ch_plugin_set_data (self, NULL);
}

CH_PLUGIN_DEFINE (store_pgsql, .name = "store-pgsql", .summary = "PostgreSQL store",
                  .version = "1.0.0", .license = "LGPL-2.1-or-later", .config = pg_config,
                  .store_driver = &pgsql_driver, .start = pgsql_start, .stop = pgsql_stop)
