/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lost connections, stopped, killed and frozen servers, locks, and the size of the pool.
 */
#include "helpers/postgres.h"
#include "helpers/store-bed.h"

#include <libpq-fe.h>
#include <string.h>

static const char *module_path;
static Postgres *server;

static const ChMigration migrations[] = {
    {1, "outage", "SELECT 1",
     "CREATE TABLE things (id bigint PRIMARY KEY, note text);"
     "CREATE TABLE counter (id int PRIMARY KEY, n bigint NOT NULL);"
     "INSERT INTO counter VALUES (1, 0);"},
    {0},
};

static const ChStatement statements[] = {
    {.name = "put", .sql = "INSERT INTO things (id) VALUES (:id)"},
    {.name = "count",
     .sql = "SELECT count(*) AS n FROM things",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "add", .sql = "UPDATE counter SET n = n + 1 WHERE id = 1"},
    {.name = "sleep", .sql = "UPDATE counter SET n = n FROM pg_sleep(:s) WHERE id = 1"},
    {.name = "doze",
     .sql = "SELECT 1 AS n FROM pg_sleep(:s)",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = NULL},
};

static void open_bed (Bed *bed, const char *const *more)
{
  g_autofree char *dsn = g_strconcat ("database.dsn=", postgres_dsn (server), NULL);
  const char *options[8] = {dsn, "database.schema=%f"};
  g_autoptr (GError) error = NULL;

  for (guint i = 0; more != NULL && more[i] != NULL; i++)
    options[i + 2] = more[i];
  bed_set_up (bed, module_path, options, NULL);
  g_assert_true (ch_store_register (bed->user, migrations, statements, NULL));
  bed_open (bed, &error);
  g_assert_no_error (error);
}

static ChTx *put (Bed *bed, gint64 id)
{
  ChTx *tx = ch_tx_new (bed->user);
  ch_tx_add (tx, NULL, "put");
  ch_tx_bind_int (tx, "id", id);
  return tx;
}

static void add_sleep (Bed *bed, ChTx *tx, const char *name, double seconds)
{
  ch_tx_add (tx, NULL, name);
  ch_tx_bind_double (tx, "s", seconds);
}

static void submit (Bed *bed, ChTx *tx, guint timeout_ms, const char *text)
{
  bed->pending++;
  ch_tx_submit (tx, timeout_ms, bed_done, (gpointer) text);
}

typedef gboolean (*Holds) (Bed *bed);

static gboolean too_long (gpointer data)
{
  g_error ("waited too long");
  return G_SOURCE_REMOVE;
}

static gboolean wake (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

/* Lets the main loop run until it holds. Returns: after how many milliseconds */
static gint64 wait_until (Bed *bed, Holds holds)
{
  guint watchdog = g_timeout_add_seconds (60, too_long, NULL);
  guint ticker = g_timeout_add (10, wake, NULL);
  gint64 began_us = g_get_monotonic_time ();

  while (!holds (bed))
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (ticker);
  g_source_remove (watchdog);
  return (g_get_monotonic_time () - began_us) / 1000;
}

static gboolean is_up (Bed *bed)
{
  return ch_store_is_up (bed->services.store);
}

static gboolean is_down (Bed *bed)
{
  return !is_up (bed);
}

static gint64 ask_number (const char *sql)
{
  g_autofree char *text = postgres_ask (server, sql);
  return text != NULL ? g_ascii_strtoll (text, NULL, 10) : -1;
}

static gint64 running (const char *what)
{
  g_autofree char *sql = g_strdup_printf ("SELECT count(*) FROM pg_stat_activity WHERE "
                                          "state = 'active' AND query LIKE '%%%s%%' AND "
                                          "pid <> pg_backend_pid()",
                                          what);
  return ask_number (sql);
}

static gboolean sleeps (Bed *bed)
{
  return running ("pg_sleep") > 0;
}

/* ---- a lost connection ---------------------------------------------------------------
 */

static void terminate (void)
{
  g_free (postgres_ask (server, "SELECT count(pg_terminate_backend(pid)) FROM "
                                "pg_stat_activity WHERE application_name LIKE "
                                "'chargehost/%'"));
}

/* What certainly left nothing behind is done again; nobody hears of it. */
static void test_terminated (void)
{
  Bed bed;
  open_bed (&bed, NULL);
  ChTx *tx = put (&bed, 1);
  add_sleep (&bed, tx, "sleep", 0.3);
  submit (&bed, tx, 0, "w");
  tx = ch_tx_new (bed.user);
  add_sleep (&bed, tx, "doze", 0.3);
  submit (&bed, tx, 0, "r");
  wait_until (&bed, sleeps);
  for (gint64 id = 2; id < 50; id++) /* these wait behind it */
    submit (&bed, put (&bed, id), 0, "");
  terminate ();
  bed_wait (&bed);
  g_assert_null (strchr (bed.heard->str, '!'));
  g_assert_cmpint (bed_number (&bed, "count"), ==, 49);
  bed_tear_down (&bed);
}

/* Idle connections that were ended are not given to anybody. */
static void test_terminated_idle (void)
{
  Bed bed;
  open_bed (&bed, NULL);
  bed_submit (&bed, put (&bed, 1), "a");
  bed_expect (&bed, "a ");
  terminate ();
  wait_until (&bed, is_down);
  g_assert_cmpint (wait_until (&bed, is_up), <, 2000);
  bed_submit (&bed, put (&bed, 2), "b");
  bed_expect (&bed, "b ");
  bed_tear_down (&bed);
}

/* ---- a lost server -------------------------------------------------------------------
 */

typedef struct {
  Bed *bed;
  gint64 next;
  GHashTable *acknowledged;
  guint failed;
  gboolean stop;
} Load;

static Load *the_load;

static void put_done (ChPlugin *self, const ChTxResult *result, const GError *error,
                      gpointer id)
{
  Load *load = the_load;

  load->bed->pending--;
  if (error == NULL)
    g_hash_table_add (load->acknowledged, id);
  else
    load->failed++;
  if (load->stop)
    return;
  gint64 next = load->next++;
  load->bed->pending++;
  ch_tx_submit (put (load->bed, next), 0, put_done, GINT_TO_POINTER (next));
}

static gboolean has_many (Bed *bed)
{
  return g_hash_table_size (the_load->acknowledged) > 500;
}

static void begin_load (Load *load, Bed *bed)
{
  *load = (Load) {.bed = bed, .next = 1};
  load->acknowledged = g_hash_table_new (NULL, NULL);
  the_load = load;
  for (guint i = 0; i < 32; i++) {
    gint64 id = load->next++;
    bed->pending++;
    ch_tx_submit (put (bed, id), 0, put_done, GINT_TO_POINTER (id));
  }
  wait_until (bed, has_many);
}

static void end_load (Load *load)
{
  g_autofree char *schema = g_path_get_basename (load->bed->folder);
  GHashTableIter iter;
  gpointer id;

  load->stop = TRUE;
  bed_wait (load->bed);
  g_test_message ("%u acknowledged, %u failed", g_hash_table_size (load->acknowledged),
                  load->failed);
  g_autofree char *sql = g_strdup_printf (
      "SELECT string_agg(id::text, ' ' ORDER BY id) FROM \"%s\".things", schema);
  g_autofree char *text = postgres_ask (server, sql);
  g_autoptr (GHashTable) stored = g_hash_table_new (NULL, NULL);
  g_auto (GStrv) words = g_strsplit (text, " ", -1);
  for (guint i = 0; words[i] != NULL; i++)
    g_hash_table_add (stored, GINT_TO_POINTER (g_ascii_strtoll (words[i], NULL, 10)));
  g_hash_table_iter_init (&iter, load->acknowledged);
  while (g_hash_table_iter_next (&iter, &id, NULL))
    if (!g_hash_table_contains (stored, id))
      g_error ("%d was acknowledged and is lost", GPOINTER_TO_INT (id));
  g_hash_table_unref (load->acknowledged);
}

/* SIGKILL to all of PostgreSQL under load: nothing that was acknowledged is lost. */
static void test_killed (void)
{
  Bed bed;
  Load load;

  open_bed (&bed, NULL);
  begin_load (&load, &bed);
  for (guint i = 0; i < 3; i++) {
    guint before = g_hash_table_size (load.acknowledged);
    postgres_kill (server);
    wait_until (&bed, is_down);
    postgres_start (server);
    gint64 took_ms = wait_until (&bed, is_up);
    g_test_message ("whole after %" G_GINT64_FORMAT " ms", took_ms);
    g_assert_cmpint (took_ms, <, 2000);
    while (g_hash_table_size (load.acknowledged) < before + 200)
      g_main_context_iteration (NULL, TRUE);
  }
  end_load (&load);
  bed_tear_down (&bed);
}

/* While it is away callers hear so, soon; then it heals alone. */
static void test_stopped (void)
{
  g_autofree char *expected = g_strdup_printf ("w!%d r!%d ", CH_STORE_ERROR_UNAVAILABLE,
                                               CH_STORE_ERROR_UNAVAILABLE);
  Bed bed;

  open_bed (&bed, (const char *const[]) {"database.pool_connect_timeout_ms=300", NULL});
  bed_submit (&bed, put (&bed, 1), "a");
  bed_expect (&bed, "a ");
  postgres_stop (server);
  wait_until (&bed, is_down);
  gint64 began_us = g_get_monotonic_time ();
  ChTx *tx = ch_tx_new (bed.user);
  ch_tx_add (tx, NULL, "count");
  submit (&bed, put (&bed, 2), 0, "w");
  bed_wait (&bed);
  submit (&bed, tx, 0, "r"); /* at once now */
  bed_expect (&bed, expected);
  g_assert_cmpint (g_get_monotonic_time () - began_us, <, 3 * G_USEC_PER_SEC);
  postgres_start (server);
  g_assert_cmpint (wait_until (&bed, is_up), <, 2000);
  bed_submit (&bed, put (&bed, 3), "b");
  bed_expect (&bed, "b ");
  bed_tear_down (&bed);
}

/* A short absence is bridged: what was not sent waits for it. */
static void test_restarted (void)
{
  Bed bed;

  open_bed (&bed, NULL);
  bed_submit (&bed, put (&bed, 1), "a");
  bed_expect (&bed, "a ");
  postgres_stop (server);
  wait_until (&bed, is_down);
  bed_submit (&bed, put (&bed, 2), "b");
  postgres_start (server);
  bed_expect (&bed, "b ");
  bed_tear_down (&bed);
}

/* It does not answer: the deadline holds, and the connection is given up. */
static void test_frozen (void)
{
  g_autofree char *expected = g_strdup_printf ("w!%d ", CH_STORE_ERROR_TIMEOUT);
  Bed bed;

  open_bed (&bed, NULL);
  postgres_freeze (server, TRUE);
  gint64 began_us = g_get_monotonic_time ();
  submit (&bed, put (&bed, 1), 200, "w");
  bed_expect (&bed, expected);
  g_assert_cmpint (g_get_monotonic_time () - began_us, <, 2 * G_USEC_PER_SEC);
  wait_until (&bed, is_down);
  postgres_freeze (server, FALSE);
  wait_until (&bed, is_up);
  submit (&bed, put (&bed, 2), 0, "b");
  bed_expect (&bed, "b ");
  bed_tear_down (&bed);
}

/* ---- locks ---------------------------------------------------------------------------
 */

static void test_locked (void)
{
  g_autofree char *expected
      = g_strdup_printf ("r w!%d l!%d ", CH_STORE_ERROR_TIMEOUT, CH_STORE_ERROR_LOCKED);
  Bed bed;

  open_bed (&bed, (const char *const[]) {"database.lock_timeout=300ms", NULL});
  g_autofree char *schema = g_path_get_basename (bed.folder);
  g_autofree char *lock
      = g_strdup_printf ("BEGIN; UPDATE \"%s\".counter SET n = 7 WHERE id = 1", schema);
  PGconn *holder = PQconnectdb (postgres_dsn (server));
  PQclear (PQexec (holder, lock));
  ChTx *tx = ch_tx_new (bed.user);
  ch_tx_add (tx, NULL, "add");
  submit (&bed, tx, 100, "w"); /* its deadline comes first */
  tx = ch_tx_new (bed.user);
  ch_tx_add (tx, NULL, "count");
  submit (&bed, tx, 0, "r"); /* readers do not wait for it */
  bed_wait (&bed);
  tx = ch_tx_new (bed.user);
  ch_tx_add (tx, NULL, "add");
  submit (&bed, tx, 0, "l");
  bed_expect (&bed, expected);
  PQclear (PQexec (holder, "ROLLBACK"));
  PQfinish (holder);
  tx = ch_tx_new (bed.user);
  ch_tx_add (tx, NULL, "add");
  ch_tx_guard (tx, 1, 1);
  submit (&bed, tx, 0, "free");
  bed_expect (&bed, "free ");
  g_assert_cmpint (running ("counter"), ==, 0);
  bed_tear_down (&bed);
}

/* ---- the pool ------------------------------------------------------------------------
 */

static gboolean is_small (Bed *bed)
{
  ChStoreStats stats;
  ch_store_stats (bed->services.store, &stats);
  return stats.connections == 5 && stats.idle == 5;
}

static void test_pool (void)
{
  ChStoreStats stats;
  Bed bed;

  open_bed (&bed, (const char *const[]) {"database.pool_max=12",
                                         "database.pool_idle_timeout_ms=1000", NULL});
  for (guint i = 0; i < 40; i++) {
    ChTx *tx = ch_tx_new (bed.user);
    add_sleep (&bed, tx, "doze", 0.2);
    submit (&bed, tx, 0, "");
  }
  wait_until (&bed, sleeps);
  ch_store_stats (bed.services.store, &stats);
  g_assert_cmpint (stats.connections, <=, 12);
  bed_wait (&bed);
  g_assert_null (strchr (bed.heard->str, '!'));
  wait_until (&bed, is_small);
  bed_tear_down (&bed);
}

/* All connections are busy for longer than anybody wants to wait. */
static void test_exhausted (void)
{
  g_autofree char *busy = g_strdup_printf ("!%d ", CH_STORE_ERROR_BUSY);
  Bed bed;

  open_bed (&bed, (const char *const[]) {"database.pool_max=4", "store-pgsql.writers=2",
                                         "database.pool_connect_timeout_ms=200", NULL});
  for (guint i = 0; i < 40; i++) {
    ChTx *tx = ch_tx_new (bed.user);
    add_sleep (&bed, tx, "doze", 0.4);
    submit (&bed, tx, 0, "");
  }
  bed_wait (&bed);
  g_assert_nonnull (strstr (bed.heard->str, busy));
  bed_tear_down (&bed);
}

/* A name of a server is looked up by GLib, not by libpq. */
static void test_name (void)
{
  g_autofree char *dsn = g_strconcat ("database.dsn=", postgres_tcp_dsn (server), NULL);
  Bed bed;

  open_bed (&bed, (const char *const[]) {dsn, NULL});
  bed_submit (&bed, put (&bed, 1), "a");
  bed_expect (&bed, "a ");
  terminate ();
  wait_until (&bed, is_down);
  wait_until (&bed, is_up);
  bed_tear_down (&bed);
}

static void on_note (ChPlugin *self, const char *channel, const char *payload,
                     gpointer data)
{
  Bed *bed = bed_of (self);
  g_string_append_printf (bed->heard, "%s ", payload != NULL ? payload : "missed");
}

static gboolean has_heard (Bed *bed)
{
  if (bed->heard->len == 0) /* the server says it, until somebody hears */
    g_free (postgres_ask (server, "SELECT pg_notify('news', 'said')"));
  return bed->heard->len > 0;
}

static gboolean has_missed (Bed *bed)
{
  return strstr (bed->heard->str, "missed") != NULL;
}

/* A listener hears again after a loss, and that it may have missed something. */
static void test_listen (void)
{
  Bed bed;

  open_bed (&bed, NULL);
  ch_store_listen (bed.user, "news", on_note, NULL);
  wait_until (&bed, has_heard);
  g_assert_false (has_missed (&bed));
  terminate ();
  wait_until (&bed, has_missed);
  g_string_truncate (bed.heard, 0);
  wait_until (&bed, has_heard);
  bed_tear_down (&bed);
}

static void test_no_server (void)
{
  g_autoptr (GError) error = NULL;
  Bed bed;

  bed_set_up (&bed, module_path,
              (const char *const[]) {"database.dsn=host=/nonexistent", NULL}, NULL);
  g_assert_false (bed_open (&bed, &error));
  g_assert_error (error, CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE);
  bed_tear_down (&bed);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  module_path = argv[1];
  if (postgres_skips ())
    return 0;
  server = postgres_new (POSTGRES_FSYNC, NULL);
  g_test_add_func ("/store-pgsql/terminated", test_terminated);
  g_test_add_func ("/store-pgsql/terminated-idle", test_terminated_idle);
  g_test_add_func ("/store-pgsql/killed", test_killed);
  g_test_add_func ("/store-pgsql/stopped", test_stopped);
  g_test_add_func ("/store-pgsql/restarted", test_restarted);
  g_test_add_func ("/store-pgsql/frozen", test_frozen);
  g_test_add_func ("/store-pgsql/locked", test_locked);
  g_test_add_func ("/store-pgsql/pool", test_pool);
  g_test_add_func ("/store-pgsql/exhausted", test_exhausted);
  g_test_add_func ("/store-pgsql/name", test_name);
  g_test_add_func ("/store-pgsql/listen", test_listen);
  g_test_add_func ("/store-pgsql/no-server", test_no_server);
  int status = g_test_run ();
  postgres_free (server);
  return status;
}
