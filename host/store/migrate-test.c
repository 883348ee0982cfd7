/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Migrations and bulk inserts. */
#include "store/fake-driver.h"

static const ChMigration three[] = {
    {1, "base", "CREATE TABLE a (x)", "CREATE TABLE a (x int)"},
    {2, "it's", "CREATE TABLE b (x)", "CREATE TABLE b (x int)"},
    {3, "index", "-- no transaction\nCREATE INDEX c ON b (x)", "CREATE INDEX c ON b (x)"},
    {0},
};
static const ChMigration changed[] = {
    {1, "base", "CREATE TABLE a (y)", ""},
    {0},
};
static const ChMigration gap[]
    = {{1, "a", "SELECT 1", ""}, {3, "c", "SELECT 1", ""}, {0}};
static const ChMigration half[] = {{1, "a", NULL, "SELECT 1"}, {0}};
static const ChMigration commits[] = {{1, "a", "SELECT 1; COMMIT", ""}, {0}};

static void test_apply (void)
{
  Fake fake;
  fake_set_up (&fake, TRUE);
  g_assert_true (ch_store_register (fake.user, three, fake_statements, NULL));
  g_assert_cmpuint (fake.scripts->len, ==, 0);
  g_assert_true (fake_open (&fake, NULL));
  g_assert_cmpuint (fake.locks, ==, 0);
  static const char *const expected[] = {"CREATE TABLE IF NOT EXISTS schema_migrations",
                                         "BEGIN IMMEDIATE",
                                         "CREATE TABLE a",
                                         "INSERT INTO schema_migrations",
                                         "COMMIT",
                                         "BEGIN IMMEDIATE",
                                         "CREATE TABLE b",
                                         "INSERT INTO schema_migrations",
                                         "COMMIT",
                                         "-- no transaction\nCREATE INDEX",
                                         "INSERT INTO schema_migrations"};
  g_assert_cmpuint (fake.scripts->len, ==, G_N_ELEMENTS (expected));
  for (guint i = 0; i < G_N_ELEMENTS (expected); i++)
    g_assert_true (g_str_has_prefix (g_ptr_array_index (fake.scripts, i), expected[i]));
  g_assert_nonnull (strstr (g_ptr_array_index (fake.scripts, 7), "'it''s'"));
  g_autofree char *versions = ch_store_versions (fake.services.store);
  g_assert_cmpstr (versions, ==, "orders 3");

  ch_store_close (fake.services.store);
  g_ptr_array_set_size (fake.scripts, 0);
  g_assert_true (fake_open (&fake, NULL)); /* nothing is left to do */
  g_assert_cmpuint (fake.scripts->len, ==, 1);
  fake_tear_down (&fake);
}

/* Registered while the store is open: at once. */
static void test_late (void)
{
  Fake fake;
  fake_set_up (&fake, FALSE);
  g_assert_true (ch_store_register (fake.user, three, NULL, NULL));
  g_assert_cmpuint (fake.applied->len, ==, 3);
  g_autoptr (GError) error = NULL;
  g_assert_false (ch_store_register (fake.user, three, NULL, &error));
  g_assert_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE);
  fake_tear_down (&fake);
}

/* A plugin that comes again finds its tables as they were: nobody asks the database. */
static void test_again (void)
{
  Fake fake;
  fake_set_up (&fake, TRUE);
  g_assert_true (ch_store_register (fake.user, three, NULL, NULL));
  g_assert_true (fake_open (&fake, NULL));
  ch_store_close (fake.services.store);
  g_assert_true (fake_open (&fake, NULL)); /* now it is known that all is there */
  guint locked = fake.locked;
  ch_owner_free (fake.user);
  fake.user = ch_owner_new (&fake.services, "orders", NULL);
  g_assert_true (ch_store_register (fake.user, three, NULL, NULL));
  g_assert_cmpuint (fake.locked, ==, locked);
  g_autofree char *versions = ch_store_versions (fake.services.store);
  g_assert_cmpstr (versions, ==, "orders 3");
  ChPlugin *other = ch_owner_new (&fake.services, "cards", NULL);
  g_assert_true (ch_store_register (other, three, NULL, NULL)); /* these are missing */
  g_assert_cmpuint (fake.locked, ==, locked + 1);
  ch_owner_free (other);
  fake_tear_down (&fake);
}

/* A plugin's have to stand in its descriptor, where they are known without a start. */
static void test_of_plugin (void)
{
  const ChPluginInfo with = {.name = "orders", .migrations = three};
  const ChPluginInfo without = {.name = "orders"};
  Fake fake;
  g_autoptr (GError) error = NULL;

  fake_set_up (&fake, FALSE);
  fake.user->info = &without;
  g_assert_false (ch_store_register (fake.user, three, NULL, &error));
  g_assert_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE);
  g_assert_cmpuint (fake.applied->len, ==, 0);
  fake.user->info = &with;
  g_assert_true (ch_store_register (fake.user, three, NULL, NULL));
  g_assert_cmpuint (fake.applied->len, ==, 3);
  fake.user->info = NULL;
  fake_tear_down (&fake);
}

static void refused (const ChMigration *migrations, const char *row, const char *text)
{
  Fake fake;
  g_autoptr (GError) error = NULL;
  fake_set_up (&fake, TRUE);
  if (row != NULL)
    g_ptr_array_add (fake.applied, g_strdup (row));
  g_assert_true (ch_store_register (fake.user, migrations, NULL, NULL));
  g_assert_false (fake_open (&fake, &error));
  g_assert_error (error, CH_STORE_ERROR, CH_STORE_ERROR_MIGRATION);
  if (strstr (error->message, text) == NULL)
    g_error ("\"%s\" does not say \"%s\"", error->message, text);
  g_assert_nonnull (strstr (error->message, "orders"));
  g_assert_cmpuint (fake.locks, ==, 0);
  g_assert_false (ch_store_is_up (fake.services.store));
  fake_tear_down (&fake);
}

static void test_refused (void)
{
  refused (changed,
           "orders 1 d4b1d1b0d4b1d1b0d4b1d1b0d4b1d1b0d4b1d1b0d4b1d1b0d4b1d1b0d4b1d1b0",
           "another text");
  refused (three, "orders 2 0", "has version 2 but not 1");
  refused (three, "orders 4 0", "knows only 3");
  refused (gap, NULL, "version 3 after 1");
  refused (half, NULL, "no script for sqlite");
  refused (commits, NULL, "contains COMMIT");
}

static void test_other_component (void)
{
  Fake fake;
  fake_set_up (&fake, TRUE);
  g_ptr_array_add (fake.applied, g_strdup ("disabled-plugin 9 0"));
  g_assert_true (ch_store_register (fake.user, three, NULL, NULL));
  g_assert_true (fake_open (&fake, NULL));
  fake_tear_down (&fake);
}

static void test_fails (void)
{
  Fake fake;
  g_autoptr (GError) error = NULL;
  fake_set_up (&fake, TRUE);
  fake.fail_script = "CREATE TABLE b";
  g_assert_true (ch_store_register (fake.user, three, NULL, NULL));
  g_assert_false (fake_open (&fake, &error));
  g_assert_error (error, CH_STORE_ERROR, CH_STORE_ERROR_MIGRATION);
  g_assert_nonnull (strstr (error->message, "version 2 (it's)"));
  g_assert_cmpuint (fake.applied->len, ==, 1);
  g_assert_cmpuint (fake.locks, ==, 0);
  fake.fail_script = NULL; /* corrected: it goes on where it stopped */
  g_assert_true (fake_open (&fake, NULL));
  g_assert_cmpuint (fake.applied->len, ==, 3);
  fake_tear_down (&fake);
}

static void test_not_automatic (void)
{
  Fake fake;
  g_autoptr (GError) error = NULL;
  fake_set_up (&fake, TRUE);
  ch_store_set_auto_migrate (fake.services.store, FALSE);
  g_assert_true (ch_store_register (fake.user, three, NULL, NULL));
  g_assert_false (fake_open (&fake, &error));
  g_assert_error (error, CH_STORE_ERROR, CH_STORE_ERROR_MIGRATION);
  g_assert_nonnull (strstr (error->message, "3 are missing, from version 1 (base)"));
  g_assert_nonnull (strstr (error->message, "chargehostctl store migrate"));
  g_assert_cmpuint (fake.scripts->len, ==, 0); /* it only looked */
  fake_tear_down (&fake);
}

static void test_query_fails (void)
{
  Fake fake;
  g_autoptr (GError) error = NULL;
  fake_set_up (&fake, TRUE);
  fake.fail_now = g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_CORRUPT, "corrupt");
  g_assert_false (fake_open (&fake, &error));
  g_assert_error (error, CH_STORE_ERROR, CH_STORE_ERROR_CORRUPT);
  fake_tear_down (&fake);
}

/* ---- run_now -------------------------------------------------------------------------
 */

static void test_now (void)
{
  Fake fake;
  g_autoptr (GError) error = NULL;
  fake_set_up (&fake, FALSE);
  ChTx *tx = ch_tx_new (fake.user);
  ch_tx_add (tx, NULL, "all");
  g_assert_true (ch_store_run_now (fake.user, tx, fake_done, (gpointer) "a", NULL));
  g_assert_cmpstr (fake.heard->str, ==, "a ");
  tx = ch_tx_new (fake.user);
  ch_tx_add (tx, NULL, "insert");
  g_assert_false (ch_store_run_now (fake.user, tx, fake_done, (gpointer) "b", &error));
  g_assert_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE);
  g_assert_cmpstr (fake.heard->str, ==, "a b!14 ");
  g_clear_error (&error);
  fake.fail_now = g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_UNIQUE, "unique");
  tx = ch_tx_new (fake.user);
  ch_tx_add (tx, NULL, "all");
  g_assert_false (ch_store_run_now (fake.user, tx, NULL, NULL, &error));
  g_assert_error (error, CH_STORE_ERROR, CH_STORE_ERROR_UNIQUE);
  fake_tear_down (&fake);
}

/* ---- bulk inserts
 * ---------------------------------------------------------------------- */

static const char *const columns[] = {"at", "value", "note", NULL};

static ChTx *rows (Fake *fake, guint n)
{
  ChTx *tx = ch_tx_new (fake->user);
  for (guint i = 0; i < n; i++) {
    ch_tx_add (tx, NULL, "row");
    ch_tx_bind_double (tx, "value", i / 2.0);
    if (i % 2 == 1)
      ch_tx_bind_int (tx, "at", i);
    if (i == 100)
      ch_tx_bind_text (tx, "note", "x");
  }
  return tx;
}

static void say_changes (ChPlugin *self, const ChTxResult *result, const GError *error,
                         gpointer text)
{
  g_string_append_printf (fake_current->heard, "%" G_GUINT64_FORMAT " ",
                          ch_tx_result_changes (result, 0));
}

static void test_bulk (void)
{
  Fake fake;
  fake_set_up (&fake, FALSE);
  ch_store_bulk_insert (fake.user, "history", columns, rows (&fake, 203), say_changes,
                        NULL);
  ChTxRun *run = g_ptr_array_index (fake.runs, 0);
  g_assert_cmpuint (ch_tx_run_n_statements (run), ==, 3 + 1 + 3); /* 3×64 + 8 + 3×1 */
  g_assert_false (ch_tx_run_read_only (run));
  const ChTxStatement *s = ch_tx_run_statement (run, 6);
  g_assert_cmpstr (s->prepared->sql, ==,
                   "INSERT INTO \"history\" (\"at\", \"value\", \"note\") VALUES "
                   "(?1, ?2, ?3) ON CONFLICT DO NOTHING");
  g_assert_cmpstr (s->prepared->name, ==, "orders.bulk_history");
  g_assert_cmpint (s->params[0].kind, ==, CH_VALUE_NULL); /* 202 is even */
  g_assert_cmpfloat (s->params[1].d, ==, 101);
  s = ch_tx_run_statement (run, 1); /* rows 64 to 127 */
  g_assert_cmpuint (s->prepared->n_params, ==, 192);
  g_assert_cmpstr (s->params[36 * 3 + 2].text, ==, "x");
  g_assert_cmpint (s->params[37 * 3].i, ==, 101);
  g_assert_cmpint (s->params[37 * 3 + 2].kind, ==, CH_VALUE_NULL);
  fake_complete (&fake, 0, NULL); /* one change each */
  fake_expect (&fake, "7 ");
  fake_tear_down (&fake);
}

static void test_bulk_many_columns (void)
{
  Fake fake;
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  fake_set_up (&fake, FALSE);
  for (guint i = 0; i < 300; i++)
    g_ptr_array_add (names, g_strdup_printf ("c%u", i));
  g_ptr_array_add (names, NULL);
  ChTx *tx = ch_tx_new (fake.user);
  for (guint row = 0; row < 70; row++) {
    ch_tx_add (tx, NULL, "row");
    for (guint i = 0; i < 300; i++)
      ch_tx_bind_int (tx, g_ptr_array_index (names, i), row * 1000 + i);
  }
  ch_store_bulk_insert (fake.user, "wide", (const char *const *) names->pdata, tx,
                        fake_done, (gpointer) "w");
  ChTxRun *run = g_ptr_array_index (fake.runs, 0);
  g_assert_cmpuint (ch_tx_run_n_statements (run), ==, 8 + 6); /* 64 rows are too many */
  g_assert_cmpint (ch_tx_run_statement (run, 13)->params[299].i, ==, 69299);
  fake_complete (&fake, 0, NULL);
  fake_expect (&fake, "w ");
  fake_tear_down (&fake);
}

static void take_bulk (ChPlugin *self, const char *table, const char *const *names,
                       ChTxRun *run)
{
  g_assert_cmpstr (table, ==, "history");
  g_assert_cmpuint (g_strv_length ((char **) names), ==, 3);
  g_ptr_array_add (fake_current->runs, run);
}

static void test_bulk_driver (void)
{
  Fake fake;
  fake_set_up (&fake, FALSE);
  fake.driver.bulk = take_bulk;
  ch_store_bulk_insert (fake.user, "history", columns, rows (&fake, 203), fake_done,
                        (gpointer) "d");
  ChTxRun *run = g_ptr_array_index (fake.runs, 0);
  g_assert_cmpuint (ch_tx_run_n_statements (run), ==, 203);
  g_assert_cmpint (ch_tx_run_statement (run, 201)->params[0].i, ==, 201);
  fake_complete (&fake, 0, NULL);
  fake_expect (&fake, "d ");
  fake_tear_down (&fake);
}

static void test_bulk_refused (void)
{
  static const char *const few[] = {"at", NULL};
  static const char *const evil[] = {"at", "value\" --", "note", NULL};
  static const char *const none[] = {NULL};
  Fake fake;
  fake_set_up (&fake, FALSE);
  ch_store_bulk_insert (fake.user, "history", few, rows (&fake, 3), fake_done,
                        (gpointer) "a");
  ch_store_bulk_insert (fake.user, "history", evil, rows (&fake, 3), fake_done,
                        (gpointer) "b");
  ch_store_bulk_insert (fake.user, "h; DROP", columns, rows (&fake, 3), fake_done,
                        (gpointer) "c");
  ch_store_bulk_insert (fake.user, "history", none, rows (&fake, 3), fake_done,
                        (gpointer) "d");
  ch_store_bulk_insert (fake.user, "history", columns, rows (&fake, 0), fake_done,
                        (gpointer) "e");
  fake_expect (&fake, "a!14 b!14 c!14 d!14 e ");
  fake_tear_down (&fake);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/store/migrate/apply", test_apply);
  g_test_add_func ("/store/migrate/late", test_late);
  g_test_add_func ("/store/migrate/again", test_again);
  g_test_add_func ("/store/migrate/of-plugin", test_of_plugin);
  g_test_add_func ("/store/migrate/refused", test_refused);
  g_test_add_func ("/store/migrate/other-component", test_other_component);
  g_test_add_func ("/store/migrate/fails", test_fails);
  g_test_add_func ("/store/migrate/not-automatic", test_not_automatic);
  g_test_add_func ("/store/migrate/query-fails", test_query_fails);
  g_test_add_func ("/store/now", test_now);
  g_test_add_func ("/store/bulk/rows", test_bulk);
  g_test_add_func ("/store/bulk/many-columns", test_bulk_many_columns);
  g_test_add_func ("/store/bulk/driver", test_bulk_driver);
  g_test_add_func ("/store/bulk/refused", test_bulk_refused);
  return g_test_run ();
}
