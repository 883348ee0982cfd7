/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Several processes and one database: the lock, a process that is killed, a copy made
 * while it is in use, a file that is damaged.
 */
#include "helpers/store-bed.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const ChMigration MIGRATIONS[] = {
    {1, "kept", "CREATE TABLE kept (n INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;",
     "SELECT 1"},
    {0},
};

static const ChStatement STATEMENTS[] = {
    {.name = "keep", .sql = "INSERT INTO kept (n, text) VALUES (:n, :text)"},
    {.name = "last",
     .sql = "SELECT coalesce (max (n), 0) AS n FROM kept",
     .flags = CH_STATEMENT_READ_ONLY},
    /* runs for minutes */
    {.name = "slow",
     .sql = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c"
            " WHERE x < 2000000000) INSERT INTO kept SELECT -1, count (*) FROM c"},
    {.name = NULL},
};

typedef struct {
  char *self;
  char *module;
} Paths;

static gboolean open_bed (Bed *bed, const char *module, const char *folder,
                          const char *const *options, GError **error)
{
  bed_set_up (bed, module, options, folder);
  return ch_store_register (bed->user, MIGRATIONS, STATEMENTS, error)
         && bed_open (bed, error);
}

static void keep (Bed *bed, gint64 n, ChTxDone done)
{
  ChTx *tx = ch_tx_new (bed->user);

  ch_tx_add (tx, NULL, "keep");
  ch_tx_bind_int (tx, "n", n);
  ch_tx_bind_text (tx, "text", "some text that takes its place in the file");
  ch_tx_submit (tx, 60000, done, GINT_TO_POINTER ((gint) n));
}

/* ---- the child: says each number it was told to be durable
 * --------------------------------- */

static void acknowledged (ChPlugin *self, const ChTxResult *result, const GError *error,
                          gpointer data)
{
  gint64 n = GPOINTER_TO_INT (data);

  g_assert_no_error (error);
  if (write (STDOUT_FILENO, &n, sizeof n) != sizeof n)
    _exit (1);
  keep (bed_of (self), n + 32, acknowledged);
}

static void run_child (char **argv)
{
  g_autoptr (GError) error = NULL;
  Bed bed;

  open_bed (&bed, argv[3], argv[2], NULL, &error);
  g_assert_no_error (error);
  gint64 last = bed_number (&bed, "last");
  for (gint64 n = 1; n <= 32; n++)
    keep (&bed, last + n, acknowledged);
  for (;;) /* until it is killed */
    g_main_context_iteration (NULL, TRUE);
}

static GPid start_child (const Paths *paths, const char *folder, int *out)
{
  char *argv[] = {paths->self, (char *) "--child", (char *) folder, paths->module, NULL};
  g_autoptr (GError) error = NULL;
  GPid pid;

  g_spawn_async_with_pipes (NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid,
                            NULL, out, NULL, &error);
  g_assert_no_error (error);
  return pid;
}

static gint64 read_number (int out)
{
  gint64 n;
  return read (out, &n, sizeof n) == sizeof n ? n : -1;
}

/* Raises *@last to the highest number that the child said. */
static void kill_child (GPid pid, int out, gint64 *last)
{
  gint64 n;
  int status;

  kill (pid, SIGKILL);
  while ((n = read_number (out)) > 0)
    *last = MAX (*last, n);
  while (waitpid (pid, &status, 0) < 0)
    g_assert_cmpint (errno, ==, EINTR);
  g_assert_cmpint (WTERMSIG (status), ==, SIGKILL);
  close (out);
}

/* ---- tests
 * ---------------------------------------------------------------------------------- */

/* The second is refused and told who is there; when that one is killed, all is there. */
static void test_lock_and_kill (gconstpointer data)
{
  const Paths *paths = data;
  g_autofree char *folder = g_dir_make_tmp ("chargehost-lock-XXXXXX", NULL);
  Bed bed;
  int out;

  for (guint round = 0; round < 3; round++) {
    g_autoptr (GError) error = NULL;
    GPid pid = start_child (paths, folder, &out);
    gint64 last = 0;
    for (guint i = 0; i < 300; i++) {
      gint64 n = read_number (out);
      last = MAX (last, n);
    }
    g_assert_false (open_bed (&bed, paths->module, folder, NULL, &error));
    g_assert_error (error, CH_STORE_ERROR, CH_STORE_ERROR_LOCKED);
    g_autofree char *holder = g_strdup_printf ("pid %d", (int) pid);
    g_assert_nonnull (strstr (error->message, holder));
    bed_tear_down (&bed);
    g_clear_error (&error);

    kill_child (pid, out, &last);
    open_bed (&bed, paths->module, folder, NULL, &error);
    g_assert_no_error (error);
    g_assert_cmpint (bed_number (&bed, "last"), >=, last);
    bed_tear_down (&bed);
  }
  bed_remove_folder (folder);
}

static void count_done (ChPlugin *self, const ChTxResult *result, const GError *error,
                        gpointer data)
{
  g_assert_no_error (error);
  bed_of (self)->pending--;
}

static gint64 number_of (const char *path, const char *sql)
{
  sqlite3 *db = NULL;
  sqlite3_stmt *statement = NULL;

  g_assert_cmpint (sqlite3_open_v2 (path, &db, SQLITE_OPEN_READONLY, NULL), ==,
                   SQLITE_OK);
  g_assert_cmpint (sqlite3_prepare_v2 (db, sql, -1, &statement, NULL), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_step (statement), ==, SQLITE_ROW);
  gint64 n = sqlite3_column_int64 (statement, 0);
  sqlite3_finalize (statement);
  sqlite3_close (db);
  return n;
}

/* A copy is one state of the database, and never takes another file's place. */
static void test_copy (gconstpointer data)
{
  const Paths *paths = data;
  g_autofree char *folder = g_dir_make_tmp ("chargehost-copy-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "copy.db", NULL);
  g_autofree char *partial = g_strconcat (path, ".partial", NULL);
  g_autoptr (GError) error = NULL;
  Bed bed;

  open_bed (&bed, paths->module, folder, NULL, &error);
  g_assert_no_error (error);
  for (gint n = 1; n <= 3000; n++) {
    bed.pending++;
    keep (&bed, n, count_done);
    if (n == 1000)
      bed_wait (&bed);
    if (n == 1500) {
      bed.pending++;
      ch_store_backup (bed.user, path, count_done, NULL);
    }
  }
  bed_wait (&bed);
  g_assert_cmpint (number_of (path, "SELECT count (*) FROM kept"), >=, 1000);
  g_assert_cmpint (number_of (path, "SELECT max (n) - count (*) FROM kept"), ==, 0);
  g_assert_cmpint (number_of (path, "SELECT count (*) FROM pragma_integrity_check"
                                    " WHERE integrity_check = 'ok'"),
                   ==, 1);
  g_assert_false (g_file_test (partial, G_FILE_TEST_EXISTS));
  bed.pending++;
  ch_store_backup (bed.user, path, bed_done, (gpointer) "again");
  g_autofree char *refused = g_strdup_printf ("again!%d ", CH_STORE_ERROR_FAILED);
  bed_expect (&bed, refused);
  bed_tear_down (&bed);
  bed_remove_folder (folder);
}

/* Readers answer while the writer is in a statement of its own. */
static void test_routing (gconstpointer data)
{
  const Paths *paths = data;
  g_autoptr (GError) error = NULL;
  Bed bed;

  open_bed (&bed, paths->module, NULL, NULL, &error);
  g_assert_no_error (error);
  ChTx *tx = ch_tx_new (bed.user);
  ch_tx_add (tx, NULL, "slow");
  bed.pending++;
  ch_tx_submit (tx, 2500, bed_done, (gpointer) "slow");
  for (guint i = 0; i < 4; i++) {
    g_assert_cmpint (bed_number (&bed, "last"), ==, 0);
    g_assert_cmpuint (bed.pending, ==, 1);
  }
  g_autofree char *expected = g_strdup_printf ("slow!%d ", CH_STORE_ERROR_TIMEOUT);
  bed_expect (&bed, expected);
  bed_tear_down (&bed);
}

/* One that was not closed orderly is looked at, and a damaged one is not used. */
static void test_damaged (gconstpointer data)
{
  const Paths *paths = data;
  g_autofree char *folder = g_dir_make_tmp ("chargehost-bad-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "chargehost.db", NULL);
  g_autofree char *lock = g_strconcat (path, ".lock", NULL);
  const char *full[] = {"store-sqlite.integrity_check=full", NULL};
  g_autoptr (GError) error = NULL;
  Bed bed;

  open_bed (&bed, paths->module, folder, NULL, &error);
  g_assert_no_error (error);
  for (gint n = 1; n <= 1000; n++) {
    bed.pending++;
    keep (&bed, n, count_done);
  }
  bed_wait (&bed);
  bed_tear_down (&bed);

  g_autofree char *text = NULL;
  gsize size;
  g_assert_true (g_file_get_contents (lock, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "clean\n");
  g_assert_true (g_file_set_contents (lock, "pid 1\n", -1, NULL));
  g_autofree char *bytes = NULL;
  g_assert_true (g_file_get_contents (path, &bytes, &size, NULL));
  g_assert_cmpuint (size, >, 5 * 4096);
  memset (bytes + size - 3 * 4096, 0x5a, 3 * 4096);
  g_assert_true (g_file_set_contents (path, bytes, (gssize) size, NULL));
  g_assert_false (open_bed (&bed, paths->module, folder, full, &error));
  g_assert_error (error, CH_STORE_ERROR, CH_STORE_ERROR_CORRUPT);
  bed_tear_down (&bed);
  bed_remove_folder (folder);
}

int main (int argc, char **argv)
{
  if (argc > 3 && g_str_equal (argv[1], "--child"))
    run_child (argv); /* its output is numbers only */
  g_test_init (&argc, &argv, NULL);
  if (argc != 2)
    g_error ("usage: %s MODULE", argv[0]);
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
  Paths paths = {.self = self, .module = argv[1]};
  g_test_add_data_func ("/store-sqlite/process/lock-and-kill", &paths,
                        test_lock_and_kill);
  g_test_add_data_func ("/store-sqlite/process/copy", &paths, test_copy);
  g_test_add_data_func ("/store-sqlite/process/routing", &paths, test_routing);
  g_test_add_data_func ("/store-sqlite/process/damaged", &paths, test_damaged);
  return g_test_run ();
}
