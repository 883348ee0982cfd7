/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads at a standby: they see what was written, and go to the primary when they cannot.
 */
#include "helpers/postgres.h"
#include "helpers/store-bed.h"

#include <string.h>

static const char *module_path;
static Postgres *the_primary, *the_standby;

static const ChMigration migrations[] = {
    {1, "replica", "SELECT 1", "CREATE TABLE things (id bigint PRIMARY KEY);"},
    {0},
};

static const ChStatement statements[] = {
    {.name = "put", .sql = "INSERT INTO things (id) VALUES (:id)"},
    {.name = "get",
     .sql = "SELECT id, pg_is_in_recovery() AS standby FROM things WHERE id = :id",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = NULL},
};

typedef struct {
  Bed bed;
  Postgres *primary, *standby;
  guint at_standby, at_primary;
} Pair;

static void got (ChPlugin *self, const ChTxResult *result, const GError *error,
                 gpointer id)
{
  Pair *pair = (Pair *) bed_of (self);

  g_assert_no_error (error);
  g_assert_cmpuint (ch_tx_result_rows (result, 0), ==, 1);
  if (ch_tx_result_bool (result, 0, 0, "standby"))
    pair->at_standby++;
  else
    pair->at_primary++;
  pair->bed.pending--;
}

static void get (Pair *pair, gint64 id)
{
  ChTx *tx = ch_tx_new (pair->bed.user);
  ch_tx_add (tx, NULL, "get");
  ch_tx_bind_int (tx, "id", id);
  pair->bed.pending++;
  ch_tx_submit (tx, 0, got, NULL);
}

static void put_done (ChPlugin *self, const ChTxResult *result, const GError *error,
                      gpointer id)
{
  Pair *pair = (Pair *) bed_of (self);

  g_assert_no_error (error);
  pair->bed.pending--;
  get (pair, GPOINTER_TO_INT (id)); /* at once: it has to be there */
}

static void put (Pair *pair, gint64 id)
{
  ChTx *tx = ch_tx_new (pair->bed.user);
  ch_tx_add (tx, NULL, "put");
  ch_tx_bind_int (tx, "id", id);
  pair->bed.pending++;
  ch_tx_submit (tx, 0, put_done, GINT_TO_POINTER ((gint) id));
}

/* Reads until one was answered by the standby. */
static void until_at_standby (Pair *pair)
{
  gint64 until_us = g_get_monotonic_time () + 30 * G_USEC_PER_SEC;

  pair->at_standby = 0;
  while (pair->at_standby == 0) {
    get (pair, 1);
    bed_wait (&pair->bed);
    g_assert_cmpint (g_get_monotonic_time (), <, until_us);
  }
}

static void set_up (Pair *pair, const char *lag_max)
{
  g_autoptr (GError) error = NULL;

  memset (pair, 0, sizeof *pair);
  pair->primary = the_primary;
  pair->standby = the_standby;
  g_autofree char *dsn
      = g_strconcat ("database.dsn=", postgres_dsn (pair->primary), NULL);
  g_autofree char *replica
      = g_strconcat ("database.replica_dsn=", postgres_dsn (pair->standby), NULL);
  g_autofree char *lag = g_strconcat ("database.replica_lag_max=", lag_max, NULL);
  bed_set_up (&pair->bed, module_path,
              (const char *const[]) {dsn, replica, lag, "database.schema=%f", NULL},
              NULL);
  g_assert_true (ch_store_register (pair->bed.user, migrations, statements, NULL));
  bed_open (&pair->bed, &error);
  g_assert_no_error (error);
}

static gboolean too_long (gpointer data)
{
  g_error ("waited too long");
  return G_SOURCE_REMOVE;
}

static gboolean wake (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

static void wait_until (Pair *pair, gboolean (*holds) (Pair *pair))
{
  guint watchdog = g_timeout_add_seconds (60, too_long, NULL);
  guint ticker = g_timeout_add (20, wake, NULL);

  while (!holds (pair))
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (ticker);
  g_source_remove (watchdog);
}

static gboolean is_behind (Pair *pair)
{
  return bed_metric (&pair->bed, "chargehost_db_replica_lag_seconds{replica=\"1\"}")
         > 0.5;
}

static gboolean is_level (Pair *pair)
{
  return bed_metric (&pair->bed, "chargehost_db_replica_lag_seconds{replica=\"1\"}")
         < 0.001;
}

static gboolean is_away (Pair *pair)
{
  return bed_metric (&pair->bed, "chargehost_db_replica_up{replica=\"1\"}") < 0.5;
}

static void test_replica (void)
{
  Pair pair;

  set_up (&pair, "10s");
  put (&pair, 1);
  bed_wait (&pair.bed);
  until_at_standby (&pair);
  for (gint64 id = 2; id < 300; id++)
    put (&pair, id);
  bed_wait (&pair.bed);
  g_test_message ("%u at the standby, %u at the primary", pair.at_standby,
                  pair.at_primary);

  /* It does not come on: everything is read at the primary. */
  until_at_standby (&pair);
  g_free (postgres_ask (pair.standby, "SELECT pg_wal_replay_pause()"));
  pair.at_standby = pair.at_primary = 0;
  for (gint64 id = 300; id < 400; id++)
    put (&pair, id);
  bed_wait (&pair.bed);
  g_assert_cmpuint (pair.at_primary, ==, 100);
  g_free (postgres_ask (pair.standby, "SELECT pg_wal_replay_resume()"));
  until_at_standby (&pair);

  /* It is gone in the middle of reading. */
  for (guint i = 0; i < 50; i++)
    get (&pair, 2);
  postgres_kill (pair.standby);
  for (guint i = 0; i < 50; i++)
    get (&pair, 3);
  bed_wait (&pair.bed);
  wait_until (&pair, is_away);
  postgres_start (pair.standby);
  until_at_standby (&pair);

  /* It is there and says nothing: there is time enough to ask the primary. */
  postgres_freeze (pair.standby, TRUE);
  pair.at_standby = pair.at_primary = 0;
  for (guint i = 0; i < 50; i++)
    get (&pair, 4);
  bed_wait (&pair.bed);
  g_assert_cmpuint (pair.at_primary, ==, 50);
  postgres_freeze (pair.standby, FALSE);
  until_at_standby (&pair);
  bed_tear_down (&pair.bed);
}

/* ---- constant writing
 * ------------------------------------------------------------------
 */

typedef struct {
  Pair *pair;
  gint64 next;
  gint64 until_us;
} Writing;

static Writing writing;

/* One after the other, and each is read by whoever wrote it. */
static void written (ChPlugin *self, const ChTxResult *result, const GError *error,
                     gpointer id)
{
  put_done (self, result, error, id);
  if (g_get_monotonic_time () > writing.until_us)
    return;
  ChTx *tx = ch_tx_new (self);
  gint64 next = writing.next++;
  ch_tx_add (tx, NULL, "put");
  ch_tx_bind_int (tx, "id", next);
  writing.pair->bed.pending++;
  ch_tx_submit (tx, 0, written, GINT_TO_POINTER ((gint) next));
}

/* A replica that is well is always a little behind: that does not keep reads away. */
static void test_constant_writes (void)
{
  Pair pair;

  set_up (&pair, "10s");
  put (&pair, 1);
  bed_wait (&pair.bed);
  until_at_standby (&pair);
  pair.at_standby = pair.at_primary = 0;
  writing = (Writing) {&pair, 1000, g_get_monotonic_time () + 2 * G_USEC_PER_SEC};
  for (guint i = 0; i < 4; i++) {
    gint64 id = writing.next++;
    ChTx *tx = ch_tx_new (pair.bed.user);
    ch_tx_add (tx, NULL, "put");
    ch_tx_bind_int (tx, "id", id);
    pair.bed.pending++;
    ch_tx_submit (tx, 0, written, GINT_TO_POINTER ((gint) id));
  }
  bed_wait (&pair.bed);
  g_test_message ("%u at the standby, %u at the primary", pair.at_standby,
                  pair.at_primary);
  g_assert_cmpuint (pair.at_standby, >, pair.at_primary / 4);
  g_assert_cmpfloat (
      bed_metric (&pair.bed,
                  "chargehost_db_replica_reads_total{replica=\"1\",result=\"served\"}"),
      >=, pair.at_standby);
  bed_tear_down (&pair.bed);
}

/* ---- too far behind
 * ---------------------------------------------------------------------
 */

static void ask_primary (Pair *pair, const char *sql)
{
  g_free (postgres_ask (pair->primary, sql));
}

static gboolean grows (Pair *pair)
{
  ask_primary (pair, "SELECT pg_logical_emit_message(true, 'x', 'x')");
  return is_behind (pair);
}

/* One that does not get the log any more does not know that it is behind. */
static void test_lag (void)
{
  Pair pair;

  set_up (&pair, "300ms");
  put (&pair, 1);
  bed_wait (&pair.bed);
  until_at_standby (&pair);
  wait_until (&pair, is_level);
  g_free (postgres_ask (pair.standby, "ALTER SYSTEM SET primary_conninfo = ''"));
  g_free (postgres_ask (pair.standby, "SELECT pg_reload_conf()"));
  wait_until (&pair, grows); /* others write, this process does not */
  pair.at_standby = pair.at_primary = 0;
  for (guint i = 0; i < 20; i++)
    get (&pair, 1);
  bed_wait (&pair.bed);
  g_assert_cmpuint (pair.at_standby, ==, 0);
  g_free (postgres_ask (pair.standby, "ALTER SYSTEM RESET primary_conninfo"));
  g_autofree char *follow = g_strdup_printf ("ALTER SYSTEM SET primary_conninfo = '%s'",
                                             postgres_dsn (pair.primary));
  g_free (postgres_ask (pair.standby, follow));
  g_free (postgres_ask (pair.standby, "SELECT pg_reload_conf()"));
  wait_until (&pair, is_level);
  until_at_standby (&pair);
  bed_tear_down (&pair.bed);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  module_path = argv[1];
  if (postgres_skips ())
    return 0;
  the_primary = postgres_new (POSTGRES_FLAGS_NONE, NULL);
  the_standby = postgres_new_standby (the_primary);
  g_test_add_func ("/store-pgsql/replica", test_replica);
  g_test_add_func ("/store-pgsql/constant-writes", test_constant_writes);
  g_test_add_func ("/store-pgsql/lag", test_lag);
  int status = g_test_run ();
  postgres_free (the_standby);
  postgres_free (the_primary);
  return status;
}
