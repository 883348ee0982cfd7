/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables that grow with time: partitions are made ahead and go when they are too old; on
 * SQLite rows are deleted by time. The work has a lane of its own, the store's: no
 * owner's transactions wait behind it.
 */
#include "store/store-private.h"
#include <chargehost/clock.h>

#include <string.h>

#define EVERY_MS (3600 * 1000)
#define AGAIN_MS (60 * 1000)
#define TIMEOUT_MS (60 * 1000)
#define CHUNK 1000
#define TABLE_MAX 50 /* with `_p20240106` behind it */
#define AHEAD_MAX 366
#define KEEP_MAX 36500
#define DAY_MS (24 * 3600 * G_GINT64_CONSTANT (1000))

typedef struct {
  ChResource resource;
  ChStore *store;
  ChPlugin *plugin;
  guint id; /* for done: it may be gone by then */
  char *table, *column;
  ChPartitionUnit unit;
  guint ahead, keep;
  ChPartitionsOld old;
  gboolean running;
  ChWheelTimer timer;
} Partitions;

/* DO takes no parameters: they come by a setting that lasts as long as the transaction.
 */
static const char set_pgsql[]
    = "SELECT set_config ('chargehost.partitions', :spec, true)";

/* sql/partitions.pgsql.sql */
extern const char ch_embed_partitions_pgsql_sql[];

static void look (Partitions *p);

static void again (ChWheelTimer *timer)
{
  look ((Partitions *) ((guint8 *) timer - G_STRUCT_OFFSET (Partitions, timer)));
}

static void arm (Partitions *p, guint64 delay_ms)
{
  if (p->store->services->reactor != NULL)
    ch_wheel_arm (p->store->services->reactor, &p->timer, delay_ms);
}

static Partitions *find (ChStore *store, guint id)
{
  for (guint i = 0; i < store->partitions->len; i++) {
    Partitions *p = g_ptr_array_index (store->partitions, i);
    if (p->id == id)
      return p;
  }
  return NULL;
}

static void looked (ChPlugin *self, const ChTxResult *result, const GError *error,
                    gpointer id)
{
  Partitions *p = find (self->services->store, GPOINTER_TO_UINT (id));

  if (p == NULL)
    return;
  p->running = FALSE;
  if (error != NULL) {
    ch_warning (p->plugin, "table %s could not be looked after: %s", p->table,
                error->message);
    arm (p, AGAIN_MS);
  } else if (ch_tx_result_changes (result, 0) >= CHUNK) { /* there may be more */
    look (p);
  } else {
    arm (p, EVERY_MS);
  }
}

static gint64 cut_ms (const Partitions *p)
{
  gint64 now_ms = ch_wall_ms (p->store->self);

  if (p->unit == CH_PARTITION_DAY)
    return now_ms - p->keep * DAY_MS;
  g_autoptr (GDateTime) now = g_date_time_new_from_unix_utc (now_ms / 1000);
  g_autoptr (GDateTime) cut = g_date_time_add_months (now, -(gint) p->keep);
  return cut != NULL ? g_date_time_to_unix (cut) * 1000 : G_MININT64;
}

static ChValue *append (ChTxRun *run, const char *name, const char *sql, GError **error)
{
  ChStoreStatement *statement = ch_store_intern (run->store, name, sql, FALSE, error);
  return statement != NULL ? ch_tx_run_append (run, &statement->prepared) : NULL;
}

static gboolean add_delete (Partitions *p, ChTxRun *run, GError **error)
{
  g_autofree char *name = g_strdup_printf ("store.delete_old_%s", p->table);
  g_autofree char *sql
      = g_strdup_printf ("DELETE FROM \"%s\" WHERE rowid IN"
                         " (SELECT rowid FROM \"%s\" WHERE \"%s\" < :before LIMIT %d)",
                         p->table, p->table, p->column, CHUNK);
  ChValue *params = append (run, name, sql, error);

  if (params == NULL)
    return FALSE;
  params[0].kind = CH_VALUE_TIME;
  params[0].i = cut_ms (p);
  return TRUE;
}

static gboolean add_block (Partitions *p, ChTxRun *run, GError **error)
{
  g_autofree char *spec = g_strdup_printf (
      "{\"table\":\"%s\",\"column\":\"%s\",\"unit\":\"%s\",\"ahead\":%u,\"keep\":%u,"
      "\"detach\":%s,\"now\":%" G_GINT64_FORMAT "}",
      p->table, p->column, p->unit == CH_PARTITION_DAY ? "day" : "month", p->ahead,
      p->keep, p->old == CH_PARTITIONS_DETACH ? "true" : "false",
      ch_wall_ms (p->store->self));
  ChValue *params = append (run, "store.partitions_of", set_pgsql, error);

  if (params == NULL)
    return FALSE;
  params[0].kind = CH_VALUE_TEXT;
  params[0].size = (guint32) strlen (spec);
  params[0].text = ch_arena_text (&run->args, spec, params[0].size);
  return append (run, "store.partitions", ch_embed_partitions_pgsql_sql, error) != NULL;
}

static void look (Partitions *p)
{
  ChStore *store = p->store;
  gboolean pgsql = store->driver != NULL && g_str_equal (store->driver->dialect, "pgsql");
  GError *error = NULL;

  /* Opening the store begins it anew. */
  if (store->driver == NULL || p->running || (!pgsql && p->keep == 0))
    return;
  ChTx *tx = ch_tx_new (store->self);
  gboolean ok
      = pgsql ? add_block (p, &tx->run, &error) : add_delete (p, &tx->run, &error);
  if (!ok)
    ch_tx_run_fail (&tx->run, error);
  tx->run.writes = TRUE;
  p->running = TRUE;
  ch_tx_submit (tx, TIMEOUT_MS, looked, GUINT_TO_POINTER (p->id));
}

/* ---- which ------------------------------------------------------------------------- */

static void partitions_free (Partitions *p)
{
  if (ch_wheel_is_armed (&p->timer))
    ch_wheel_cancel (p->store->services->reactor, &p->timer);
  g_free (p->table);
  g_free (p->column);
  g_free (p);
}

static void revoke_partitions (ChResource *resource)
{
  Partitions *p = (Partitions *) resource;

  g_ptr_array_remove (p->store->partitions, p);
  partitions_free (p);
}

static const ChResourceKind partitions_kind = {"partitioned tables", revoke_partitions};

void ch_store_partitions (ChPlugin *self, const char *table, const char *column,
                          ChPartitionUnit unit, guint ahead, guint keep,
                          ChPartitionsOld old)
{
  ChStore *store = self->services->store;

  g_return_if_fail (store != NULL);
  g_return_if_fail (ch_store_is_identifier (table) && strlen (table) <= TABLE_MAX);
  g_return_if_fail (ch_store_is_identifier (column));
  g_return_if_fail (ahead <= AHEAD_MAX && keep <= KEEP_MAX);
  Partitions *p = g_new0 (Partitions, 1);
  p->store = store;
  p->plugin = self;
  p->id = ++store->next_partitions;
  p->table = g_strdup (table);
  p->column = g_strdup (column);
  p->unit = unit;
  p->ahead = ahead;
  p->keep = keep;
  p->old = old;
  p->timer.func = again;
  g_ptr_array_add (store->partitions, p);
  ch_owner_link (self, &p->resource, &partitions_kind);
  look (p);
}

void ch_store_partitions_all (ChStore *store)
{
  for (guint i = 0; i < store->partitions->len; i++)
    look (g_ptr_array_index (store->partitions, i));
}

void ch_store_partitions_clear (ChStore *store)
{
  while (store->partitions->len > 0) {
    Partitions *p
        = g_ptr_array_steal_index_fast (store->partitions, store->partitions->len - 1);
    ch_owner_unlink (&p->resource);
    partitions_free (p);
  }
  g_ptr_array_unref (store->partitions);
}
