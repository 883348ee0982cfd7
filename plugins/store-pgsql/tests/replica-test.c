/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads at a standby: they see what was written, and go to the primary when they cannot.
 */
#include "helpers/postgres.h"
#include "helpers/store-bed.h"

#include <string.h>

static const char *module_path;

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

static void test_replica (void)
{
  Pair pair = {.primary = postgres_new (POSTGRES_FLAGS_NONE, NULL)};
  g_autoptr (GError) error = NULL;

  pair.standby = postgres_new_standby (pair.primary);
  g_autofree char *dsn = g_strconcat ("database.dsn=", postgres_dsn (pair.primary), NULL);
  g_autofree char *replica
      = g_strconcat ("database.replica_dsn=", postgres_dsn (pair.standby), NULL);
  bed_set_up (&pair.bed, module_path,
              (const char *const[]) {dsn, replica, "database.schema=%f", NULL}, NULL);
  g_assert_true (ch_store_register (pair.bed.user, migrations, statements, NULL));
  bed_open (&pair.bed, &error);
  g_assert_no_error (error);

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
  postgres_start (pair.standby);
  until_at_standby (&pair);
  bed_tear_down (&pair.bed);
  postgres_free (pair.standby);
  postgres_free (pair.primary);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  module_path = argv[1];
  if (!postgres_is_there ()) {
    if (g_getenv ("CI") != NULL)
      g_error ("there is no PostgreSQL here");
    g_print ("1..0 # SKIP there is no PostgreSQL here\n");
    return 0;
  }
  g_test_add_func ("/store-pgsql/replica", test_replica);
  return g_test_run ();
}
