/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables that grow with time: partitions made ahead, retention, several instances. */
#include "contract.h"

#include <string.h>

#define DAY_MS (24 * 3600 * G_GINT64_CONSTANT (1000))

static const ChMigration log_migrations[] = {
    {1, "log",
     "CREATE TABLE contract_log (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, note TEXT)"
     " STRICT;"
     "CREATE INDEX contract_log_at ON contract_log (at);",
     "CREATE TABLE contract_log (id bigserial, at timestamptz NOT NULL,"
     " order_no text REFERENCES contract_orders (order_no) ON DELETE CASCADE,"
     " note text, twice bigint GENERATED ALWAYS AS (length (note)) STORED,"
     " PRIMARY KEY (id, at)) PARTITION BY RANGE (at);"
     "CREATE TABLE contract_log_default PARTITION OF contract_log DEFAULT;"
     "CREATE INDEX contract_log_at ON contract_log (at);"},
    {0},
};

static const ChStatement log_statements[] = {
    {.name = "log_count",
     .sql = "SELECT count(*) AS n FROM contract_log",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = NULL},
};

/* Opens the store for an owner of the log; another one at the same for what reads it. */
static ChPlugin *open_log (Bed *bed)
{
  g_autoptr (GError) error = NULL;
  ChPlugin *owner = ch_owner_new (&bed->services, "log", NULL);

  contract_open (bed);
  ch_store_register (bed->user, NULL, log_statements, &error);
  g_assert_no_error (error);
  ch_store_register (owner, log_migrations, NULL, &error);
  g_assert_no_error (error);
  return owner;
}

/* Until the database has done all that was asked. */
static void settle (Bed *bed)
{
  ChStoreStats stats;

  bed_wait (bed);
  do {
    g_main_context_iteration (NULL, bed->pending > 0);
    ch_store_stats (bed->services.store, &stats);
  } while (stats.queued > 0);
  g_assert_null (strchr (bed->heard->str, '!'));
}

static void add_rows (Bed *bed, guint n, gint64 at)
{
  static const char *const columns[] = {"at", "note", NULL};
  ChTx *rows = ch_tx_new (bed->user);

  for (guint i = 0; i < n; i++) {
    ch_tx_add (rows, NULL, "row");
    ch_tx_bind_time (rows, "at", at);
    ch_tx_bind_text (rows, "note", "a note");
  }
  bed->pending++;
  ch_store_bulk_insert (bed->user, "contract_log", columns, rows, bed_done, (char *) "b");
}

static void keep_days (Bed *bed, ChPlugin *owner, ChPartitionsOld old)
{
  ch_store_partitions (owner, "contract_log", "at", CH_PARTITION_DAY, 3, 14, old);
  settle (bed);
}

/* Of old and new rows the old ones go, on every database. */
static void test_retention (Bed *bed)
{
  ChPlugin *owner = open_log (bed);
  gint64 now = ch_wall_ms (bed->user);

  add_rows (bed, 2500, now - 16 * DAY_MS);
  add_rows (bed, 7, now - 13 * DAY_MS);
  add_rows (bed, 5, now);
  settle (bed);
  keep_days (bed, owner, CH_PARTITIONS_DROP);
  g_assert_cmpint (bed_number (bed, "log_count"), ==, 12);
  ch_owner_free (owner);
}

/* When the store opens later, and for one owner that stops meanwhile. */
static void test_opened_later (Bed *bed)
{
  ChPlugin *owner = open_log (bed);
  ChPlugin *other = ch_owner_new (&bed->services, "other", NULL);
  gint64 now = ch_wall_ms (bed->user);

  add_rows (bed, 3, now - 16 * DAY_MS);
  settle (bed);
  ch_store_close (bed->services.store);
  ch_store_partitions (other, "no_such_table", "at", CH_PARTITION_MONTH, 1, 1,
                       CH_PARTITIONS_DROP);
  ch_owner_free (other);
  keep_days (bed, owner, CH_PARTITIONS_DROP);
  g_assert_true (bed_open (bed, NULL));
  settle (bed);
  g_assert_cmpint (bed_number (bed, "log_count"), ==, 0);
  ch_owner_free (owner);
}

/* ---- PostgreSQL -------------------------------------------------------------------- */

#ifdef WITH_POSTGRES
/* Asks the server itself, in the schema of a bed. */
static char *ask (Bed *bed, const char *sql)
{
  g_autofree char *schema = g_path_get_basename (bed->folder);
  g_autofree char *all = g_strdup_printf (
      "SET search_path = \"%s\"; SET timezone = 'UTC'; %s", schema, sql);
  return postgres_ask (contract_postgres (), all);
}

static void expect (Bed *bed, const char *sql, const char *value)
{
  g_autofree char *found = ask (bed, sql);
  g_assert_cmpstr (found, ==, value);
}

#define PARTITIONS                                                                       \
  "SELECT count(*) FROM pg_inherits WHERE inhparent = 'contract_log'::regclass"

static void test_ahead (Bed *bed)
{
  ChPlugin *owner = open_log (bed);
  gint64 now = ch_wall_ms (bed->user);

  add_rows (bed, 5, now); /* strays: there is no partition yet */
  settle (bed);
  expect (bed, "SELECT count(*) FROM contract_log_default", "5");
  keep_days (bed, owner, CH_PARTITIONS_DROP);
  expect (bed, PARTITIONS, "5"); /* today, three days, the default */
  expect (bed, "SELECT count(*) FROM contract_log_default", "0");
  add_rows (bed, 2, now + 2 * DAY_MS);
  add_rows (bed, 3, now + 50 * DAY_MS);
  settle (bed);
  expect (bed, "SELECT count(*) FROM contract_log_default", "3");
  expect (bed,
          "SELECT count(*) FROM contract_log WHERE tableoid::regclass::text"
          " = 'contract_log_p' || to_char (at, 'YYYYMMDD')",
          "7");
  keep_days (bed, owner, CH_PARTITIONS_DROP); /* once more is the same */
  expect (bed, PARTITIONS, "5");
  expect (bed, "SELECT sum (twice) FROM contract_log", "60");
  expect (bed,
          "SELECT to_regclass ('contract_log_p' || to_char (now () + '3 days',"
          " 'YYYYMMDD')) IS NOT NULL",
          "t");
  ch_owner_free (owner);
}

/* The plan of a query by time has the partitions of that time only. */
static void test_pruned (Bed *bed)
{
  ChPlugin *owner = open_log (bed);

  keep_days (bed, owner, CH_PARTITIONS_DROP);
  g_autofree char *plan
      = ask (bed, "SET plan_cache_mode = force_generic_plan;"
                  "PREPARE p (timestamptz) AS SELECT * FROM contract_log"
                  " WHERE at >= $1 AND at < $1 + interval '1 hour';"
                  "EXPLAIN (FORMAT JSON) EXECUTE p"
                  " (date_trunc ('day', now ()))");
  g_assert_nonnull (strstr (plan, "\"Subplans Removed\": 4"));
  ch_owner_free (owner);
}

static void make_old (Bed *bed)
{
  static const char make[]
      = "CREATE TABLE contract_log_p20200101 PARTITION OF contract_log"
        " FOR VALUES FROM ('2020-01-01') TO ('2020-01-02');"
        "CREATE TABLE contract_log_p202001 PARTITION OF contract_log"
        " FOR VALUES FROM ('2020-02-01') TO ('2020-03-01');"
        "INSERT INTO contract_log (at, note)"
        " VALUES ('2020-01-01 12:00', 'old'), ('2020-02-02', 'of another kind'),"
        " ('2020-05-05', 'stray')";
  g_free (ask (bed, make));
}

static void test_dropped (Bed *bed)
{
  ChPlugin *owner = open_log (bed);

  make_old (bed);
  keep_days (bed, owner, CH_PARTITIONS_DROP);
  expect (bed, "SELECT to_regclass ('contract_log_p20200101') IS NULL", "t");
  expect (bed, PARTITIONS, "6"); /* what is not called as ours stays */
  expect (bed, "SELECT string_agg (note, ',') FROM contract_log", "of another kind");
  ch_owner_free (owner);
}

static void test_detached (Bed *bed)
{
  ChPlugin *owner = open_log (bed);

  make_old (bed);
  keep_days (bed, owner, CH_PARTITIONS_DETACH);
  expect (bed, "SELECT note FROM contract_log_p20200101", "old");
  expect (bed, "SELECT count(*) FROM contract_log", "2");
  expect (bed, PARTITIONS, "6");
  ch_owner_free (owner);
}

static void test_months (Bed *bed)
{
  ChPlugin *owner = open_log (bed);

  make_old (bed);
  ch_store_partitions (owner, "contract_log", "at", CH_PARTITION_MONTH, 2, 6,
                       CH_PARTITIONS_DROP);
  settle (bed);
  expect (bed, "SELECT to_regclass ('contract_log_p202001') IS NULL", "t");
  expect (bed,
          "SELECT count(*) FROM generate_series (0, 2) AS i WHERE to_regclass"
          " ('contract_log_p' || to_char (date_trunc ('month', now ())"
          " + i * interval '1 month', 'YYYYMM')) IS NOT NULL",
          "3");
  ch_owner_free (owner);
}

/* Three at once, while rows come in: nothing is lost, nobody fails. */
static void test_instances (Bed *bed)
{
  Bed others[2];
  ChPlugin *owners[3] = {open_log (bed), NULL, NULL};
  gint64 now = ch_wall_ms (bed->user);

  for (guint i = 0; i < G_N_ELEMENTS (others); i++) {
    contract_set_up (&others[i], bed->folder);
    owners[i + 1] = open_log (&others[i]);
  }
  for (guint i = 0; i < 40; i++)
    add_rows (i % 2 == 0 ? bed : &others[0], 25, now + (i % 3) * DAY_MS);
  for (guint i = 0; i < G_N_ELEMENTS (owners); i++)
    ch_store_partitions (owners[i], "contract_log", "at", CH_PARTITION_DAY, 3, 14,
                         CH_PARTITIONS_DROP);
  for (guint i = 0; i < 40; i++)
    add_rows (i % 2 == 0 ? bed : &others[1], 25, now + (i % 3) * DAY_MS);
  settle (bed);
  for (guint i = 0; i < G_N_ELEMENTS (others); i++)
    settle (&others[i]);
  expect (bed, PARTITIONS, "5");
  g_assert_cmpint (bed_number (bed, "log_count"), ==, 2000);
  expect (bed, "SELECT count(*) FROM contract_log_default", "0");
  for (guint i = 0; i < G_N_ELEMENTS (owners); i++)
    ch_owner_free (owners[i]);
  for (guint i = 0; i < G_N_ELEMENTS (others); i++)
    bed_tear_down (&others[i]);
}

/* A table in use does not hold up those that write, and is looked after later. */
static void test_in_use (Bed *bed)
{
  ChPlugin *owner = open_log (bed);

  make_old (bed);
  ChTx *tx = ch_tx_new (bed->user); /* a long read of everything */
  ch_tx_add (tx, NULL, "log_count");
  ch_tx_add (tx, NULL, "slow");
  ch_tx_submit (tx, 3000, bed_done, (char *) "slow");
  bed->pending++;
  while (TRUE) {
    g_main_context_iteration (NULL, FALSE);
    g_autofree char *n = ask (bed, "SELECT count(*) FROM pg_locks WHERE relation"
                                   " = 'contract_log_p20200101'::regclass AND granted");
    if (!g_str_equal (n, "0"))
      break;
  }
  ch_store_partitions (owner, "contract_log", "at", CH_PARTITION_DAY, 3, 14,
                       CH_PARTITIONS_DROP);
  g_autofree char *expected = g_strdup_printf ("slow!%d ", CH_STORE_ERROR_TIMEOUT);
  bed_expect (bed, expected);
  settle (bed);
  expect (bed, "SELECT to_regclass ('contract_log_p20200101') IS NULL", "f");
  ch_store_partitions (owner, "contract_log", "at", CH_PARTITION_DAY, 3, 14,
                       CH_PARTITIONS_DROP);
  settle (bed);
  expect (bed, "SELECT to_regclass ('contract_log_p20200101') IS NULL", "t");
  ch_owner_free (owner);
}
#endif

void contract_add_partitions (void)
{
  contract_test_closed ("partitions/retention", test_retention);
  contract_test_closed ("partitions/opened-later", test_opened_later);
#ifdef WITH_POSTGRES
  if (contract_postgres () == NULL)
    return;
  contract_test_closed ("partitions/ahead", test_ahead);
  contract_test_closed ("partitions/pruned", test_pruned);
  contract_test_closed ("partitions/dropped", test_dropped);
  contract_test_closed ("partitions/detached", test_detached);
  contract_test_closed ("partitions/months", test_months);
  contract_test_closed ("partitions/instances", test_instances);
  contract_test_closed ("partitions/in-use", test_in_use);
#endif
}
