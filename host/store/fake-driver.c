/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/fake-driver.h"

#include <string.h>

Fake *fake_current;

const ChStatement fake_statements[] = {
    {.name = "insert", .sql = "INSERT INTO orders (no, port) VALUES (:no, :port)"},
    {.name = "update", .sql = "UPDATE orders SET state = :state WHERE no = :no"},
    {.name = "get",
     .sql = "SELECT no FROM orders WHERE no = :no",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "all", .sql = "SELECT 1", .flags = CH_STATEMENT_READ_ONLY},
    {.name = "dialect", .sqlite = "SELECT 's' /* :no */", .pgsql = "SELECT 'p'"},
    {.name = NULL},
};

static Fake *fake_of (ChPlugin *self)
{
  return ch_plugin_data (self);
}

static gboolean fake_driver_open (ChPlugin *self, const ChStoreSettings *settings,
                                  GError **error)
{
  g_assert_cmpuint (settings->size, ==, sizeof *settings);
  g_assert_cmpstr (settings->dsn, ==, "chargehost.db");
  fake_of (self)->open++;
  return TRUE;
}

static void fake_driver_close (ChPlugin *self)
{
  Fake *fake = fake_of (self);

  fake->open--;
  while (fake->runs->len > 0)
    fake_complete (fake, 0, NULL);
}

static void record_migration (Fake *fake, const char *sql)
{
  char component[64], checksum[65];
  unsigned version;
  const char *values = strstr (sql, "VALUES (");

  if (!g_str_has_prefix (sql, "INSERT INTO schema_migrations") || values == NULL)
    return;
  g_assert_cmpint (sscanf (values, "VALUES ('%63[^']', %u", component, &version), ==, 2);
  g_strlcpy (checksum, g_strrstr (values, "', ") - 64, sizeof checksum);
  g_ptr_array_add (fake->applied,
                   g_strdup_printf ("%s %u %s", component, version, checksum));
}

static gboolean fake_script (ChPlugin *self, const char *sql, GError **error)
{
  Fake *fake = fake_of (self);

  g_assert_cmpuint (fake->locks, ==, 1);
  g_ptr_array_add (fake->scripts, g_strdup (sql));
  if (fake->fail_script != NULL && strstr (sql, fake->fail_script) != NULL) {
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_FAILED, "near \"%s\"",
                 fake->fail_script);
    return FALSE;
  }
  if (strstr (sql, "CREATE TABLE IF NOT EXISTS schema_migrations") != NULL)
    fake->has_table = TRUE;
  record_migration (fake, sql);
  return TRUE;
}

static void answer_count (Fake *fake, ChTxRun *run)
{
  static const char *const names[] = {"n"};
  ChValue row = {.kind = CH_VALUE_INT, .i = fake->has_table};

  ch_tx_run_begin_rows (run, 0, 1, names);
  ch_tx_run_add_row (run, 0, &row);
}

static ChValue text_value (const char *text)
{
  return (ChValue) {.kind = CH_VALUE_TEXT, .size = (guint32) strlen (text), .text = text};
}

static void answer_applied (Fake *fake, ChTxRun *run)
{
  static const char *const names[] = {"component", "version", "checksum"};

  ch_tx_run_begin_rows (run, 0, 3, names);
  for (guint i = 0; i < fake->applied->len; i++) {
    g_auto (GStrv) words = g_strsplit (g_ptr_array_index (fake->applied, i), " ", 3);
    ChValue row[3]
        = {text_value (words[0]), text_value (words[1]), text_value (words[2])};
    ch_tx_run_add_row (run, 0, row);
  }
}

static void fake_run_now (ChPlugin *self, ChTxRun *run)
{
  Fake *fake = fake_of (self);
  const char *name = ch_tx_run_statement (run, 0)->prepared->name;

  ch_tx_run_begin (run);
  if (fake->fail_now != NULL) {
    ch_tx_run_complete (run, 0, g_steal_pointer (&fake->fail_now));
    return;
  }
  if (g_str_equal (name, "store.has_migrations"))
    answer_count (fake, run);
  else if (g_str_equal (name, "store.list_migrations"))
    answer_applied (fake, run);
  ch_tx_run_set_changes (run, 0, ch_tx_result_rows (&run->result, 0));
  ch_tx_run_complete (run, -1, NULL);
}

static void fake_submit (ChPlugin *self, ChTxRun *run)
{
  g_ptr_array_add (fake_of (self)->runs, run);
}

static gboolean fake_lock (ChPlugin *self, GError **error)
{
  fake_of (self)->locks++;
  fake_of (self)->locked++;
  return TRUE;
}

static void fake_unlock (ChPlugin *self)
{
  fake_of (self)->locks--;
}

static void fake_stats (ChPlugin *self, ChStoreStats *stats)
{
  stats->connections = 3;
  stats->idle = 1;
  stats->up = TRUE;
}

static const ChStoreDriver fake_driver = {
    .size = sizeof (ChStoreDriver),
    .dialect = "sqlite",
    .open = fake_driver_open,
    .close = fake_driver_close,
    .script = fake_script,
    .run_now = fake_run_now,
    .submit = fake_submit,
    .lock = fake_lock,
    .unlock = fake_unlock,
    .stats = fake_stats,
};

/* ---- for the tests -------------------------------------------------------------------
 */

gboolean fake_open (Fake *fake, GError **error)
{
  return ch_store_open (fake->services.store, fake->driver_plugin, &fake->driver, error);
}

void fake_set_up (Fake *fake, gboolean closed)
{
  memset (fake, 0, sizeof *fake);
  fake_current = fake;
  fake->driver = fake_driver;
  fake->runs = g_ptr_array_new ();
  fake->scripts = g_ptr_array_new_with_free_func (g_free);
  fake->applied = g_ptr_array_new_with_free_func (g_free);
  fake->heard = g_string_new (NULL);
  fake->services.clock = ch_clock_new ();
  fake->services.metrics = ch_metrics_new ();
  fake->services.runner = ch_runner_new ();
  fake->services.reactor = ch_reactor_new (&fake->services, NULL, NULL);
  g_assert_nonnull (fake->services.reactor);
  fake->services.store = ch_store_new (&fake->services);
  fake->driver_plugin = ch_owner_new (&fake->services, "store-fake", NULL);
  ch_plugin_set_data (fake->driver_plugin, fake);
  fake->user = ch_owner_new (&fake->services, "orders", NULL);
  if (closed)
    return;
  g_assert_true (fake_open (fake, NULL));
  g_assert_true (ch_store_register (fake->user, NULL, fake_statements, NULL));
}

void fake_tear_down (Fake *fake)
{
  ch_store_close (fake->services.store);
  g_assert_cmpuint (fake->open, ==, 0);
  ch_owner_free (fake->user);
  ch_owner_free (fake->driver_plugin);
  ch_store_free (fake->services.store);
  ch_reactor_free (fake->services.reactor);
  ch_runner_free (fake->services.runner);
  ch_metrics_free (fake->services.metrics);
  ch_clock_free (fake->services.clock);
  g_ptr_array_unref (fake->runs);
  g_ptr_array_unref (fake->scripts);
  g_ptr_array_unref (fake->applied);
  g_string_free (fake->heard, TRUE);
}

static gboolean too_long (gpointer data)
{
  g_error ("waited too long; heard \"%s\", %u runs", fake_current->heard->str,
           fake_current->runs->len);
  return G_SOURCE_REMOVE;
}

void fake_expect (Fake *fake, const char *text)
{
  guint watchdog = g_timeout_add_seconds (30, too_long, NULL);

  while (!g_str_equal (fake->heard->str, text) && fake->heard->len <= strlen (text))
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (watchdog);
  g_assert_cmpstr (fake->heard->str, ==, text);
  g_string_truncate (fake->heard, 0);
}

void fake_expect_runs (Fake *fake, guint n)
{
  guint watchdog = g_timeout_add_seconds (30, too_long, NULL);

  while (fake->runs->len != n)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (watchdog);
}

void fake_complete (Fake *fake, guint index, GError *error)
{
  ChTxRun *run = g_ptr_array_remove_index (fake->runs, index);

  ch_tx_run_begin (run);
  for (guint i = 0; i < ch_tx_run_n_statements (run) && error == NULL; i++)
    ch_tx_run_set_changes (run, i, 1);
  ch_tx_run_complete (run, error != NULL ? 0 : -1, error);
}

void fake_done (ChPlugin *self, const ChTxResult *result, const GError *error,
                gpointer text)
{
  g_string_append (fake_current->heard, text);
  if (error != NULL)
    g_string_append_printf (fake_current->heard, "!%d", error->code);
  g_string_append_c (fake_current->heard, ' ');
}
