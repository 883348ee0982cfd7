/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The power goes while a process commits: what it had acknowledged is there. The child
 * says each acknowledged number on a pipe and is killed at some moment; with the
 * powerloss layer the files then hold what was synced.
 */
#include "helpers/powerloss-vfs.h"
#include "helpers/store-bed.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 20
#define IN_FLIGHT 64

static const ChMigration MIGRATIONS[] = {
    {1, "kept",
     "CREATE TABLE kept (n INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;"
     "CREATE INDEX kept_text ON kept (text);",
     "SELECT 1"},
    {0},
};

static const ChStatement STATEMENTS[] = {
    {.name = "keep", .sql = "INSERT INTO kept (n, text) VALUES (:n, :text)"},
    {.name = "touch", .sql = "UPDATE kept SET text = :text WHERE n = :n"},
    {.name = "last",
     .sql = "SELECT coalesce (max (n), 0) AS n FROM kept",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = NULL},
};

typedef struct {
  char *self; /* this program */
  char *module;
  char *vfs_module;
} Paths;

/* ---- the child
 * ------------------------------------------------------------------------- */

static void submit_next (Bed *bed, gint64 n);

static void acknowledged (ChPlugin *self, const ChTxResult *result, const GError *error,
                          gpointer data)
{
  gint64 n = GPOINTER_TO_INT (data);

  g_assert_no_error (error);
  if (write (STDOUT_FILENO, &n, sizeof n) != sizeof n)
    _exit (1);
  submit_next (bed_of (self), n + IN_FLIGHT);
}

static void submit_next (Bed *bed, gint64 n)
{
  g_autofree char *text
      = g_strdup_printf ("%x order %" G_GINT64_FORMAT, g_random_int (), n);
  ChTx *tx = ch_tx_new (bed->user);

  ch_tx_add (tx, NULL, "keep");
  ch_tx_bind_int (tx, "n", n);
  ch_tx_bind_text (tx, "text", text);
  if (n % 3 == 0 && n > 200) {
    ch_tx_add (tx, NULL, "touch");
    ch_tx_bind_int (tx, "n", n - 200);
    ch_tx_bind_text (tx, "text", text);
    ch_tx_guard (tx, 1, 1);
  }
  ch_tx_submit (tx, 60000, acknowledged, GINT_TO_POINTER ((gint) n));
}

static void run_child (char **argv)
{
  Bed bed;
  g_autoptr (GError) error = NULL;

  bed_set_up (&bed, argv[3], (const char *const *) argv + 4, argv[2]);
  ch_store_register (bed.user, MIGRATIONS, STATEMENTS, &error);
  g_assert_no_error (error);
  bed_open (&bed, &error);
  g_assert_no_error (error);
  gint64 last = bed_number (&bed, "last");
  for (gint64 i = 1; i <= IN_FLIGHT; i++)
    submit_next (&bed, last + i);
  for (;;) /* until it is killed */
    g_main_context_iteration (NULL, TRUE);
}

/* ---- the parent
 * ------------------------------------------------------------------------ */

static void run_until_killed (const Paths *paths, const char *folder, const char *vfs,
                              const char *synchronous, guint acks, gint64 *last)
{
  g_autofree char *set_vfs = g_strconcat ("store-sqlite.vfs=", vfs, NULL);
  g_autofree char *set_module
      = g_strconcat ("store-sqlite.vfs_module=", paths->vfs_module, NULL);
  g_autofree char *set_sync
      = g_strconcat ("store-sqlite.synchronous=", synchronous, NULL);
  /* With "normal" only the copying of the log syncs, so there must be none. */
  g_autofree char *set_log
      = g_strdup_printf ("store-sqlite.wal_autocheckpoint=%d",
                         g_str_equal (synchronous, "full") ? 300 : 1000000);
  char *argv[] = {paths->self,
                  (char *) "--child",
                  (char *) folder,
                  paths->module,
                  (char *) "plugins.development=true",
                  set_log,
                  set_vfs,
                  set_module,
                  set_sync,
                  NULL};
  GPid pid;
  int out;
  gint64 n;
  g_autoptr (GError) error = NULL;

  g_spawn_async_with_pipes (NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid,
                            NULL, &out, NULL, &error);
  g_assert_no_error (error);
  /* The pipe is read to its end: what was said before the end counts. */
  for (guint i = 0; read (out, &n, sizeof n) == sizeof n; i++) {
    *last = MAX (*last, n);
    if (i == acks)
      kill (pid, SIGKILL);
  }
  int status;
  while (waitpid (pid, &status, 0) < 0)
    g_assert_cmpint (errno, ==, EINTR);
  g_assert_true (WIFSIGNALED (status));
  g_assert_cmpint (WTERMSIG (status), ==, SIGKILL);
  close (out);
}

static char *ask (sqlite3 *db, const char *sql)
{
  sqlite3_stmt *statement;

  if (sqlite3_prepare_v2 (db, sql, -1, &statement, NULL) != SQLITE_OK
      || sqlite3_step (statement) != SQLITE_ROW)
    g_error ("%s: %s", sql, sqlite3_errmsg (db));
  char *text = g_strdup ((const char *) sqlite3_column_text (statement, 0));
  sqlite3_finalize (statement);
  return text;
}

/* Checks the database with the default layer; returns the highest number in it. */
static gint64 look (const char *folder)
{
  g_autofree char *path = g_build_filename (folder, "chargehost.db", NULL);
  sqlite3 *db = NULL;

  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_autofree char *good = ask (db, "PRAGMA integrity_check");
  g_assert_cmpstr (good, ==, "ok");
  g_autofree char *n = ask (db, "SELECT count (*) FROM kept");
  g_autofree char *last = ask (db, "SELECT coalesce (max (n), 0) FROM kept");
  g_assert_cmpstr (n, ==, last); /* no gaps: the order was kept */
  g_assert_cmpint (sqlite3_close (db), ==, SQLITE_OK);
  return g_ascii_strtoll (last, NULL, 10);
}

static void test_full (gconstpointer data)
{
  const char *const layers[] = {POWERLOSS_VFS, POWERLOSS_TORN_VFS};
  g_autofree char *folder = g_dir_make_tmp ("chargehost-power-XXXXXX", NULL);
  gint64 last = 0;

  for (guint round = 0; round < ROUNDS; round++) {
    guint acks = (guint) g_random_int_range (0, 1500);
    run_until_killed (data, folder, layers[round % 2], "full", acks, &last);
    gint64 there = look (folder);
    g_test_message ("round %u: %" G_GINT64_FORMAT " acknowledged, %" G_GINT64_FORMAT
                    " there",
                    round, last, there);
    g_assert_cmpint (there, >=, last);
    last = there;
  }
  bed_remove_folder (folder);
}

/* What is not synced is really lost, or the test above would prove nothing. */
static void test_normal (gconstpointer data)
{
  const char *const layers[] = {POWERLOSS_VFS, POWERLOSS_TORN_VFS};

  for (guint i = 0; i < G_N_ELEMENTS (layers); i++) {
    g_autofree char *folder = g_dir_make_tmp ("chargehost-power-XXXXXX", NULL);
    gint64 last = 0, began = 0;
    run_until_killed (data, folder, layers[i], "full", 100, &began);
    began = last = look (folder);
    run_until_killed (data, folder, layers[i], "normal", 500, &last);
    gint64 there = look (folder);
    g_test_message ("%s: %" G_GINT64_FORMAT " acknowledged, %" G_GINT64_FORMAT " there",
                    layers[i], last, there);
    g_assert_cmpint (there, <, last);
    g_assert_cmpint (there, >=, began);
    bed_remove_folder (folder);
  }
}

/* ---- the layer itself
 * ------------------------------------------------------------------ */

static sqlite3 *open_with (const char *path, const char *vfs)
{
  sqlite3 *db = NULL;
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;

  g_assert_cmpint (sqlite3_open_v2 (path, &db, flags, vfs), ==, SQLITE_OK);
  return db;
}

static void must (sqlite3 *db, const char *sql)
{
  char *message = NULL;
  if (sqlite3_exec (db, sql, NULL, NULL, &message) != SQLITE_OK)
    g_error ("%s: %s", sql, message);
}

static void expect (sqlite3 *db, const char *sql, const char *expected)
{
  g_autofree char *text = ask (db, sql);
  g_assert_cmpstr (text, ==, expected);
}

/* Other connections of the process see what is not synced; after the cut it is gone. */
static void check_cut (const char *mode)
{
  g_autofree char *folder = g_dir_make_tmp ("chargehost-power-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "x.db", NULL);
  g_autofree char *use = g_strdup_printf ("PRAGMA journal_mode = %s", mode);

  sqlite3 *db = open_with (path, POWERLOSS_VFS);
  must (db, use);
  must (db, "PRAGMA synchronous = FULL; CREATE TABLE t (x); INSERT INTO t VALUES (1)");
  g_assert_cmpuint (powerloss_unsynced (POWERLOSS_VFS), ==, 0);
  must (db, "PRAGMA synchronous = OFF; INSERT INTO t VALUES (2)");
  g_assert_cmpuint (powerloss_unsynced (POWERLOSS_VFS), >, 0);
  sqlite3 *other = open_with (path, POWERLOSS_VFS);
  expect (other, "SELECT count (*) FROM t", "2");
  powerloss_cut (POWERLOSS_VFS);
  g_assert_cmpint (sqlite3_exec (db, "INSERT INTO t VALUES (3)", NULL, NULL, NULL), !=,
                   SQLITE_OK);
  sqlite3_close (other);
  sqlite3_close (db);
  db = open_with (path, POWERLOSS_VFS);
  expect (db, "PRAGMA integrity_check", "ok");
  expect (db, "SELECT count (*) FROM t", "1");
  must (db, "PRAGMA synchronous = FULL; DELETE FROM t; VACUUM"); /* truncates */
  sqlite3_close (db);
  db = open_with (path, NULL);
  expect (db, "PRAGMA integrity_check", "ok");
  expect (db, "SELECT count (*) FROM t", "0");
  sqlite3_close (db);
  bed_remove_folder (folder);
}

static void test_layer (void)
{
  g_assert_cmpint (powerloss_register (), ==, SQLITE_OK);
  check_cut ("WAL");
  check_cut ("DELETE");
  check_cut ("TRUNCATE");
}

/* Without plugins.development no module is loaded. */
static void test_refused (gconstpointer data)
{
  const Paths *paths = data;
  g_autofree char *set
      = g_strconcat ("store-sqlite.vfs_module=", paths->vfs_module, NULL);
  const char *options[] = {set, NULL};
  g_autoptr (GError) error = NULL;
  Bed bed;

  bed_set_up (&bed, paths->module, options, NULL);
  g_assert_false (bed_open (&bed, &error));
  g_assert_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE);
  bed_tear_down (&bed);
}

int main (int argc, char **argv)
{
  if (argc > 4 && g_str_equal (argv[1], "--child"))
    run_child (argv); /* its output is numbers only */
  g_test_init (&argc, &argv, NULL);
  if (argc != 3)
    g_error ("usage: %s MODULE VFS_MODULE", argv[0]);
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
  Paths paths = {.self = self, .module = argv[1], .vfs_module = argv[2]};
  g_test_add_func ("/store-sqlite/powerloss/layer", test_layer);
  g_test_add_data_func ("/store-sqlite/powerloss/refused", &paths, test_refused);
  g_test_add_data_func ("/store-sqlite/powerloss/full", &paths, test_full);
  g_test_add_data_func ("/store-sqlite/powerloss/normal", &paths, test_normal);
  return g_test_run ();
}
