/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is special to SQLite: files, names, batches, a full disk, a cut under way. */
#include "helpers/powerloss-vfs.h"
#include "orders.h"

#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>

static const char *module;

static void set_up (Bed *bed, const char *const *options)
{
  bed_set_up (bed, module, options, NULL);
}

static char *path_in (Bed *bed, const char *name)
{
  return g_build_filename (bed->folder, name, NULL);
}

static void expect_refusal (Bed *bed, ChStoreError code, const char *text)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (bed_open (bed, &error));
  g_assert_error (error, CH_STORE_ERROR, (gint) code);
  if (strstr (error->message, text) == NULL)
    g_error ("\"%s\" does not say \"%s\"", error->message, text);
}

/* ---- files
 * ----------------------------------------------------------------------------- */

static void test_modes (void)
{
  static const char *const names[]
      = {"chargehost.db", "chargehost.db-wal", "chargehost.db-shm", "chargehost.db.lock"};
  mode_t before = umask (0);
  Bed bed;

  set_up (&bed, NULL);
  orders_open (&bed);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = path_in (&bed, names[i]);
    struct stat info;
    g_assert_cmpint (stat (path, &info), ==, 0);
    g_assert_cmpint (info.st_mode & 0777, ==, 0600);
  }
  bed_tear_down (&bed);
  umask (before);
}

static void expect_file (const char *option, const char *name)
{
  const char *const options[] = {option, NULL};
  Bed bed;

  set_up (&bed, options);
  orders_open (&bed);
  g_autofree char *path = path_in (&bed, name);
  g_assert_true (g_file_test (path, G_FILE_TEST_IS_REGULAR));
  bed_tear_down (&bed);
}

static void test_dsn (void)
{
  static const char *const bad[]
      = {"database.dsn=postgres://localhost/x",
         "database.dsn=sqlite:", "database.dsn=:memory:", "store-sqlite.path=:memory:"};

  expect_file ("database.dsn=other.db", "other.db");
  expect_file ("database.dsn=sqlite:scheme.db", "scheme.db");
  expect_file ("store-sqlite.path=path.db", "path.db");
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    const char *const options[] = {bad[i], NULL};
    Bed bed;
    set_up (&bed, options);
    expect_refusal (&bed, CH_STORE_ERROR_USAGE, i == 0 ? "SQLite" : "has to be a file");
    bed_tear_down (&bed);
  }
}

static void test_no_folder (void)
{
  static const char *const options[] = {"store-sqlite.path=/proc/nothing/x.db", NULL};
  Bed bed;

  set_up (&bed, options);
  expect_refusal (&bed, CH_STORE_ERROR_UNAVAILABLE, "/proc/nothing/x.db");
  bed_tear_down (&bed);
}

static void fill (Bed *bed, gint64 n, gsize size)
{
  for (gint64 i = 1; i <= n; i++)
    bed_submit (bed, orders_tx (bed, i, size), "");
  bed_wait (bed);
  g_assert_null (strchr (bed->heard->str, '!'));
  g_string_truncate (bed->heard, 0);
}

static void test_no_database (void)
{
  Bed bed;

  set_up (&bed, NULL);
  g_autofree char *path = path_in (&bed, "chargehost.db");
  g_assert_true (g_file_set_contents (path,
                                      "this is a text, not a database, and long enough "
                                      "for a header of one hundred bytes in a file.....",
                                      -1, NULL));
  expect_refusal (&bed, CH_STORE_ERROR_CORRUPT, "chargehost.db");
  bed_tear_down (&bed);
}

/* What is only in the log is not lost with the database. */
static void test_log_alone (void)
{
  Bed bed;

  set_up (&bed, NULL);
  g_autofree char *path = path_in (&bed, "chargehost.db");
  g_autofree char *log = path_in (&bed, "chargehost.db-wal");
  g_assert_true (g_file_set_contents (log, "left over", -1, NULL));
  expect_refusal (&bed, CH_STORE_ERROR_CORRUPT, "chargehost.db-wal is there");
  g_assert_true (g_file_set_contents (path, "", 0, NULL));
  expect_refusal (&bed, CH_STORE_ERROR_CORRUPT, "chargehost.db-wal is there");
  g_assert_true (g_file_test (log, G_FILE_TEST_EXISTS));
  g_assert_cmpint (unlink (log), ==, 0);
  orders_open (&bed);
  bed_tear_down (&bed);
}

/* ---- what statements may not
 * ------------------------------------------------------------- */

static void test_denied (void)
{
  static const char *const names[] = {"attach", "pragma", "begin"};
  g_autofree char *expected = g_strdup_printf ("x!%d ", CH_STORE_ERROR_USAGE);
  Bed bed;

  set_up (&bed, NULL);
  orders_open (&bed);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    ChTx *tx = ch_tx_new (bed.user);
    ch_tx_add (tx, NULL, names[i]);
    if (i == 0)
      ch_tx_bind_text (tx, "seq", "/tmp/x.db");
    bed_submit (&bed, tx, "x");
    bed_expect (&bed, expected);
  }
  bed_tear_down (&bed);
}

/* ---- readers, log, batches
 * ------------------------------------------------------------------ */

static void test_readers (void)
{
  static const char *const options[]
      = {"store-sqlite.readers=8", "store-sqlite.batch_max=3", NULL};
  ChStoreStats stats;
  Bed bed;

  set_up (&bed, options);
  orders_open (&bed);
  for (gint64 i = 1; i <= 300; i++) { /* many batches of three, readers beside them */
    ChTx *tx = ch_tx_new (bed.user);
    ch_tx_add (tx, NULL, "count");
    bed_submit (&bed, orders_tx (&bed, i, 10), "");
    bed_submit (&bed, tx, "");
  }
  bed_wait (&bed);
  g_assert_null (strchr (bed.heard->str, '!'));
  ch_store_stats (bed.services.store, &stats);
  g_assert_cmpint (stats.connections, ==, 9);
  g_assert_cmpint (stats.queued, ==, 0);
  bed_tear_down (&bed);
}

/* The log is copied into the database now and then: it does not grow for ever. */
static void test_log_is_bounded (void)
{
  static const char *const options[] = {"store-sqlite.wal_autocheckpoint=100", NULL};
  struct stat info;
  Bed bed;

  set_up (&bed, options);
  orders_open (&bed);
  for (guint round = 0; round < 30; round++) {
    ChTx *tx = ch_tx_new (bed.user);
    ch_tx_add (tx, NULL, "delete");
    bed_submit (&bed, tx, "");
    fill (&bed, 50, 4000);
  }
  g_autofree char *path = path_in (&bed, "chargehost.db-wal");
  g_assert_cmpint (stat (path, &info), ==, 0);
  g_assert_cmpint (info.st_size, <, 400 * 4120);
  bed_tear_down (&bed);
}

/* ---- a copy when the store is closed
 * --------------------------------------------------- */

static void test_copy_and_close (void)
{
  g_autofree char *busy = g_strdup_printf ("!%d ", CH_STORE_ERROR_BUSY);
  Bed bed;

  set_up (&bed, NULL);
  orders_open (&bed);
  fill (&bed, 500, 3000);
  g_autofree char *path = path_in (&bed, "copy.db");
  g_autofree char *other = path_in (&bed, "other.db");
  bed.pending += 2;
  ch_store_backup (bed.user, path, bed_done, (gpointer) "first");
  ch_store_backup (bed.user, other, bed_done, (gpointer) "second");
  ch_store_close (bed.services.store); /* waits for the copy */
  bed_wait (&bed);
  g_assert_nonnull (strstr (bed.heard->str, "first "));
  /* One at a time: the second is refused, unless the first was quicker. */
  if (strstr (bed.heard->str, "second ") == NULL)
    g_assert_nonnull (strstr (bed.heard->str, busy));
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
  bed_tear_down (&bed);
}

/* ---- a full disk
 * --------------------------------------------------------------------------------- */

static void test_full (void)
{
  static const char *const options[]
      = {"store-sqlite.vfs=" POWERLOSS_VFS, "store-sqlite.wal_autocheckpoint=100", NULL};
  g_autofree char *full = g_strdup_printf ("w!%d ", CH_STORE_ERROR_DISK_FULL);
  Bed bed;

  powerloss_set_room (POWERLOSS_VFS, 2 * 1024 * 1024);
  set_up (&bed, options);
  orders_open (&bed);
  gint64 n = 0;
  do {
    g_string_truncate (bed.heard, 0);
    bed_submit (&bed, orders_tx (&bed, ++n, 20000), "w");
    bed_wait (&bed);
  } while (g_str_equal (bed.heard->str, "w "));
  g_assert_cmpstr (bed.heard->str, ==, full);
  g_assert_cmpint (n, >, 10);
  for (guint i = 0; i < 10; i++) { /* it stays so, and nothing else breaks */
    g_string_truncate (bed.heard, 0);
    bed_submit (&bed, orders_tx (&bed, n, 200000), "w");
    bed_expect (&bed, full);
    g_assert_cmpint (bed_number (&bed, "count"), ==, n - 1);
  }
  g_assert_true (ch_store_is_up (bed.services.store));
  powerloss_set_room (POWERLOSS_VFS, -1);
  bed_submit (&bed, orders_tx (&bed, n, 200000), "w");
  bed_expect (&bed, "w ");
  g_assert_cmpint (bed_number (&bed, "count"), ==, n);
  g_assert_cmpint (bed_number (&bed, "ports"), ==, n);
  bed_tear_down (&bed);
}

/* ---- the power goes while many are under way
 * --------------------------------------------- */

typedef struct {
  gint64 newest; /* acknowledged */
  gint64 failed;
} Outcome;

typedef struct {
  Bed bed; /* first */
  Outcome outcome;
} Cut;

static void note (ChPlugin *self, const ChTxResult *result, const GError *error,
                  gpointer data)
{
  Cut *cut = data;

  if (error == NULL)
    cut->outcome.newest++;
  else
    cut->outcome.failed++;
  cut->bed.pending--;
}

static void submit_many (Cut *cut, gint64 begun, gint64 n)
{
  for (gint64 i = 1; i <= n; i++) {
    cut->bed.pending++;
    ch_tx_submit (orders_tx (&cut->bed, begun + i, (gsize) (i % 4) * 2000), 30000, note,
                  cut);
  }
}

/* Returns: the newest order that was acknowledged */
static gint64 cut_once (const char *folder, const char *vfs, gint64 before,
                        gint64 expected)
{
  g_autofree char *set_vfs = g_strconcat ("store-sqlite.vfs=", vfs, NULL);
  const char *const options[] = {"store-sqlite.wal_autocheckpoint=100", set_vfs,
                                 "store-sqlite.integrity_check=full", NULL};
  Cut cut = {0};

  bed_set_up (&cut.bed, module, options, folder);
  orders_open (&cut.bed);
  gint64 begun = bed_number (&cut.bed, "count");
  g_assert_cmpint (begun, >=, expected);
  g_assert_cmpint (bed_number (&cut.bed, "newest"), ==, begun);
  g_assert_cmpint (bed_number (&cut.bed, "ports"), ==, begun);
  cut.outcome.newest = begun;
  submit_many (&cut, begun, before);
  while (cut.outcome.newest < begun + before / 2)
    g_main_context_iteration (NULL, TRUE);
  powerloss_cut (vfs);
  submit_many (&cut, begun + before, 10);
  bed_wait (&cut.bed);
  g_assert_cmpint (cut.outcome.failed, >=, 10);
  g_assert_cmpint (cut.outcome.newest - begun + cut.outcome.failed, ==, before + 10);
  bed_tear_down (&cut.bed);
  return cut.outcome.newest;
}

static void test_cut (void)
{
  static const char *const layers[] = {POWERLOSS_VFS, POWERLOSS_TORN_VFS};
  g_autofree char *folder = g_dir_make_tmp ("chargehost-cut-XXXXXX", NULL);
  gint64 newest = 0;

  for (guint round = 0; round < 10; round++)
    newest = cut_once (folder, layers[round % 2], 50 + round * 37, newest);
  bed_remove_folder (folder);
}

static void quiet (ChLogLevel level, const char *line, gpointer data) {}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  if (argc < 2)
    g_error ("usage: %s MODULE", argv[0]);
  module = argv[1];
  ch_log_set_sink (quiet, NULL);
  g_assert_cmpint (powerloss_register (), ==, SQLITE_OK);
  g_test_add_func ("/store-sqlite/file/modes", test_modes);
  g_test_add_func ("/store-sqlite/file/dsn", test_dsn);
  g_test_add_func ("/store-sqlite/file/no-folder", test_no_folder);
  g_test_add_func ("/store-sqlite/file/no-database", test_no_database);
  g_test_add_func ("/store-sqlite/file/log-alone", test_log_alone);
  g_test_add_func ("/store-sqlite/file/denied", test_denied);
  g_test_add_func ("/store-sqlite/file/readers", test_readers);
  g_test_add_func ("/store-sqlite/file/log-is-bounded", test_log_is_bounded);
  g_test_add_func ("/store-sqlite/file/copy-and-close", test_copy_and_close);
  g_test_add_func ("/store-sqlite/file/full", test_full);
  g_test_add_func ("/store-sqlite/file/cut", test_cut);
  return g_test_run ();
}
