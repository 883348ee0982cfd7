/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening, migrations, closing, owners; and the frame of the suite. */
#include "contract.h"
#include "schema.h"

#include <glib/gstdio.h>
#include <string.h>

static const char *module_path;
static const char *const *module_options;
static Postgres *postgres;

/* Returns: whether there is something to run it over */
gboolean contract_init (int argc, char **argv)
{
  if (argc < 2)
    g_error ("usage: %s MODULE [KEY=VALUE…]", argv[0]);
  module_path = argv[1];
  module_options = (const char *const *) argv + 2;
#ifdef WITH_POSTGRES
  static const char *options[8];
  static char dsn[256];
  if (strstr (module_path, "store-pgsql") == NULL)
    return TRUE;
  if (!postgres_is_there ())
    return FALSE;
  /* One server for all, a schema for each folder. */
  postgres = postgres_new (POSTGRES_FLAGS_NONE, NULL);
  g_snprintf (dsn, sizeof dsn, "database.dsn=%s", postgres_dsn (postgres));
  options[0] = dsn;
  options[1] = "database.schema=%f";
  for (int i = 2; i < MIN (argc, 6); i++)
    options[i] = argv[i];
  module_options = options;
#endif
  return TRUE;
}

Postgres *contract_postgres (void)
{
  return postgres;
}

void contract_end (void)
{
#ifdef WITH_POSTGRES
  g_clear_pointer (&postgres, postgres_free);
#endif
}

void contract_set_up (Bed *bed, const char *folder)
{
  bed_set_up (bed, module_path, module_options, folder);
}

void contract_open (Bed *bed)
{
  static const ChStatement clear[] = {
      {.name = "clear_items", .sql = "DELETE FROM contract_items"},
      {.name = "clear_late", .sql = "DELETE FROM contract_late"},
      {.name = "clear_counter", .sql = "UPDATE contract_counter SET n = 0"},
      {.name = NULL},
  };
  g_autoptr (GError) error = NULL;

  g_assert_true (
      ch_store_register (bed->user, contract_migrations, contract_statements, NULL));
  g_assert_true (ch_store_register (bed->user, NULL, clear, NULL));
  bed_open (bed, &error);
  g_assert_no_error (error);
  ChTx *tx = ch_tx_new (bed->user);
  for (const ChStatement *s = clear; s->name != NULL; s++)
    ch_tx_add (tx, NULL, s->name);
  ch_tx_add (tx, NULL, "delete_all");
  ch_store_run_now (bed->user, tx, NULL, NULL, &error);
  g_assert_no_error (error);
}

static void run_open (gconstpointer data)
{
  Bed bed;
  contract_set_up (&bed, NULL);
  contract_open (&bed);
  ((ContractTest) data) (&bed);
  bed_tear_down (&bed);
}

static void run_closed (gconstpointer data)
{
  Bed bed;
  contract_set_up (&bed, NULL);
  ((ContractTest) data) (&bed);
  bed_tear_down (&bed);
}

void contract_test (const char *name, ContractTest func)
{
  g_autofree char *path = g_strconcat ("/contract/store/", name, NULL);
  g_test_add_data_func (path, (gconstpointer) func, run_open);
}

void contract_test_closed (const char *name, ContractTest func)
{
  g_autofree char *path = g_strconcat ("/contract/store/", name, NULL);
  g_test_add_data_func (path, (gconstpointer) func, run_closed);
}

/* ---- migrations
 * ------------------------------------------------------------------------ */

static void expect_refusal (const char *folder, const ChMigration *migrations,
                            const char *text)
{
  Bed bed;
  g_autoptr (GError) error = NULL;

  contract_set_up (&bed, folder);
  g_assert_true (ch_store_register (bed.user, migrations, NULL, NULL));
  g_assert_false (bed_open (&bed, &error));
  g_assert_error (error, CH_STORE_ERROR, CH_STORE_ERROR_MIGRATION);
  if (strstr (error->message, text) == NULL)
    g_error ("\"%s\" does not say \"%s\"", error->message, text);
  bed_tear_down (&bed);
}

static void test_migrations (Bed *bed)
{
  static const ChMigration fewer[] = {{1, "orders", "SELECT 1", "SELECT 1"}, {0}};
  ChMigration changed[G_N_ELEMENTS (contract_migrations)];
  g_autoptr (GError) error = NULL;

  contract_open (bed);
  g_autofree char *versions = ch_store_versions (bed->services.store);
  g_assert_cmpstr (versions, ==, "contract 2");
  ch_store_close (bed->services.store);

  memcpy (changed, contract_migrations, sizeof changed);
  changed[1].sqlite = changed[1].pgsql = "SELECT 2";
  expect_refusal (bed->folder, changed, "another text");
  expect_refusal (bed->folder, fewer, "knows only 1");
  g_assert_true (bed_open (bed, &error)); /* nothing changed */
}

/* A migration that fails half way leaves nothing behind. */
static void test_half_migration (Bed *bed)
{
  static const ChMigration bad[] = {
      {1, "half", "CREATE TABLE contract_half (x INTEGER); SELECT * FROM nothing_at_all;",
       "CREATE TABLE contract_half (x bigint); SELECT * FROM nothing_at_all;"},
      {0},
  };
  static const ChMigration good[] = {
      {1, "half", "CREATE TABLE contract_half (x INTEGER); DROP TABLE contract_half;",
       "CREATE TABLE contract_half (x bigint); DROP TABLE contract_half;"},
      {0},
  };
  g_autoptr (GError) error = NULL;
  ChPlugin *other = ch_owner_new (&bed->services, "half", NULL);

  contract_open (bed);
  g_assert_false (ch_store_register (other, bad, NULL, &error));
  g_assert_error (error, CH_STORE_ERROR, CH_STORE_ERROR_MIGRATION);
  g_clear_error (&error);
  ch_owner_free (other);
  bed_submit (bed, contract_tx (bed, "insert", "a", 1), "goes on");
  bed_expect (bed, "goes on ");

  g_autofree char *name = g_strdup_printf ("half%u", g_random_int ());
  other = ch_owner_new (&bed->services, name, NULL);
  ch_store_register (other, good, NULL, &error);
  g_assert_no_error (error);
  ch_owner_free (other);
}

/* While a late plugin migrates, transactions of the others wait; statements that were
   prepared before see the new column. */
static void test_late_migration (Bed *bed)
{
  static const ChMigration add[] = {
      {1, "column", "ALTER TABLE contract_counter ADD COLUMN extra INTEGER",
       "ALTER TABLE contract_counter ADD COLUMN IF NOT EXISTS extra bigint"},
      {0},
  };
  g_autoptr (GError) error = NULL;
  g_autofree char *name = g_strdup_printf ("late%u", g_random_int ());
  ChPlugin *other = ch_owner_new (&bed->services, name, NULL);

  contract_open (bed);
  for (guint i = 0; i < 50; i++)
    bed_submit (bed, contract_tx (bed, "star", NULL, -1), "");
  bed_wait (bed);
  for (guint i = 0; i < 100; i++) {
    g_autofree char *no = g_strdup_printf ("l%u", i);
    bed_submit (bed, contract_tx (bed, "insert", no, 1), "");
  }
  ch_store_register (other, add, NULL, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < 50; i++)
    bed_submit (bed, contract_tx (bed, "star", NULL, -1), "");
  bed_wait (bed);
  g_assert_null (strchr (bed->heard->str, '!'));
  g_assert_cmpint (bed_number (bed, "count"), ==, 100);
  ch_owner_free (other);
}

/* ---- closing
 * ----------------------------------------------------------------------------- */

static void test_close (Bed *bed)
{
  ChStoreStats stats;

  contract_open (bed);
  ch_store_stats (bed->services.store, &stats);
  g_assert_true (stats.up);
  g_assert_cmpint (stats.connections, >, 0);
  for (guint i = 0; i < 500; i++) {
    g_autofree char *no = g_strdup_printf ("c%u", i);
    bed_submit (bed, contract_tx (bed, "insert", no, 1), "");
  }
  ch_store_close (bed->services.store);
  g_assert_false (ch_store_is_up (bed->services.store));
  bed_wait (bed);
  g_assert_null (strchr (bed->heard->str, '!'));
  g_assert_true (bed_open (bed, NULL));
  g_assert_cmpint (bed_number (bed, "count"), ==, 500);
}

static void test_owner_stops (Bed *bed)
{
  static const ChStatement own[] = {
      {.name = "put",
       .sql = "INSERT INTO contract_orders (order_no, port) VALUES (:no, 1)"},
      {.name = NULL},
  };
  ChPlugin *other = ch_owner_new (&bed->services, "other", NULL);

  contract_open (bed);
  g_assert_true (ch_store_register (other, NULL, own, NULL));
  for (guint i = 0; i < 100; i++) {
    g_autofree char *no = g_strdup_printf ("o%u", i);
    ChTx *tx = ch_tx_new (other);
    ch_tx_add (tx, NULL, "put");
    ch_tx_bind_text (tx, "no", no);
    ch_tx_submit (tx, 0, bed_done, (gpointer) "never");
  }
  ch_owner_free (other);
  ch_store_close (bed->services.store); /* has to finish them */
  g_assert_true (bed_open (bed, NULL));
  g_assert_cmpint (bed_number (bed, "count"), ==, 100);
  g_assert_cmpstr (bed->heard->str, ==, "");
}

/* ---- what operators see
 * --------------------------------------------------------------------- */

static void take_line (ChLogLevel level, const char *line, gpointer data)
{
  g_string_append_printf (data, "%s\n", line);
}

static void test_figures (Bed *bed)
{
  g_autoptr (GString) lines = g_string_new (NULL);
  g_autofree char *timeout = g_strdup_printf ("a b!%d ", CH_STORE_ERROR_TIMEOUT);

  ch_log_set_sink (take_line, lines);
  bed_submit (bed, contract_tx (bed, "insert", "x", 1), "a");
  bed_wait (bed);
  bed->pending++;
  ch_tx_submit (contract_tx (bed, "slow", NULL, -1), 800, bed_done, (gpointer) "b");
  g_assert_cmpfloat (bed_metric (bed, "chargehost_db_pending_transactions"), ==, 1);
  bed_expect (bed, timeout);
  ch_log_set_sink (NULL, NULL);
  g_assert_nonnull (strstr (lines->str, "slow transaction: contract.slow and 0 more"));

  g_assert_cmpfloat (bed_metric (bed, "chargehost_db_query_duration_seconds_count{query="
                                      "\"contract.insert\"}"),
                     ==, 1);
  g_assert_cmpfloat (bed_metric (bed, "chargehost_db_pool_wait_seconds_count"), >=, 2);
  g_assert_cmpfloat (
      bed_metric (bed, "chargehost_db_pool_connections{state=\"idle\"}")
          + bed_metric (bed, "chargehost_db_pool_connections{state=\"busy\"}"),
      >, 0);
  g_assert_cmpfloat (
      bed_metric (bed, "chargehost_db_pool_connections{state=\"connecting\"}"), >=, 0);
  g_assert_cmpfloat (bed_metric (bed, "chargehost_db_pending_transactions"), ==, 0);
  g_assert_cmpfloat (bed_metric (bed, "chargehost_db_oldest_pending_seconds"), ==, 0);
  g_assert_cmpfloat (bed_metric (bed, "chargehost_db_retry_total"), ==, 0);
  g_assert_cmpfloat (bed_metric (bed, "chargehost_db_deadlock_total"), ==, 0);
}

/* ---- backup
 * -------------------------------------------------------------------------------- */

static void backup_done (ChPlugin *self, const ChTxResult *r, const GError *error,
                         gpointer data)
{
  if (!g_error_matches (error, CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE))
    g_assert_no_error (error);
  bed_of (self)->pending--;
}

static void test_backup (Bed *bed)
{
  g_autofree char *path = g_build_filename (bed->folder, "copy.db", NULL);

  contract_open (bed);
  for (guint i = 0; i < 200; i++) {
    g_autofree char *no = g_strdup_printf ("k%u", i);
    bed_submit (bed, contract_tx (bed, "insert", no, 1), "");
    if (i == 100) {
      bed->pending++;
      ch_store_backup (bed->user, path, backup_done, NULL);
    }
  }
  bed_wait (bed);
  g_assert_null (strchr (bed->heard->str, '!'));
}

void contract_add_life (void)
{
  contract_test_closed ("migrations", test_migrations);
  contract_test ("figures", test_figures);
  contract_test_closed ("half-migration", test_half_migration);
  contract_test_closed ("close", test_close);
  contract_test_closed ("owner-stops", test_owner_stops);
  contract_test_closed ("backup", test_backup);
  contract_test_closed ("late-migration", test_late_migration);
}
