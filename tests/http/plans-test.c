/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the server asks SQLite while it runs has to use an index: a table that grows is
 * never read whole. Statements named `….load` run once, at the start.
 */
#include "http-fixture.h"

#include <sqlite3.h>
#include <string.h>

/* Tables that hold few rows by their nature. */
static const char *const SMALL[]
    = {"schema_migrations", "sqlite_master", "api_keys", "bans", NULL};

/* Counted once an hour, and when an operator has deleted dead letters: on a reader, over
   a covering index. */
static const char *const GAUGES[] = {"core.outbound.dead_count", NULL};

typedef struct {
  sqlite3 *db;
  guint n;
  GString *wrong;
} Look;

/* Whether a line of a plan, "SCAN orders" or "SCAN orders USING INDEX …", reads a whole
   table. */
static gboolean is_scan (const char *detail)
{
  if (!g_str_has_prefix (detail, "SCAN ") || g_str_equal (detail, "SCAN CONSTANT ROW"))
    return FALSE;
  g_auto (GStrv) words = g_strsplit (detail, " ", 4);
  /* json_each and sub-queries are as large as what they are given. */
  return strstr (detail, "VIRTUAL TABLE") == NULL && words[1][0] != '('
         && !g_strv_contains (SMALL, words[1]);
}

static void look (const ChPrepared *prepared, gpointer data)
{
  Look *l = data;
  g_autofree char *sql = g_strconcat ("EXPLAIN QUERY PLAN ", prepared->sql, NULL);
  sqlite3_stmt *statement = NULL;

  if (g_str_has_suffix (prepared->name, ".load"))
    return;
  gboolean gauge = g_strv_contains (GAUGES, prepared->name);
  if (gauge)
    g_assert_true (prepared->read_only);
  if (sqlite3_prepare_v2 (l->db, sql, -1, &statement, NULL) != SQLITE_OK)
    g_error ("%s: %s", prepared->name, sqlite3_errmsg (l->db));
  while (sqlite3_step (statement) == SQLITE_ROW) {
    const char *detail = (const char *) sqlite3_column_text (statement, 3);
    if (is_scan (detail) && !(gauge && strstr (detail, " COVERING INDEX ") != NULL))
      g_string_append_printf (l->wrong, "%s: %s\n", prepared->name, detail);
  }
  sqlite3_finalize (statement);
  l->n++;
}

static void test_plans (void)
{
  g_autoptr (GString) wrong = g_string_new (NULL);
  Look l = {.wrong = wrong};
  Api api;

  api_open (&api, NULL);
  g_autofree char *path = g_build_filename (api.queue->folder, "test.db", NULL);
  g_assert_cmpint (sqlite3_open_v2 (path, &l.db, SQLITE_OPEN_READONLY, NULL), ==,
                   SQLITE_OK);
  ch_store_foreach_prepared (api.services->store, look, &l);
  sqlite3_close (l.db);
  api_close (&api);
  g_test_message ("%u statements", l.n);
  g_assert_cmpuint (l.n, >, 20);
  if (wrong->len > 0)
    g_error ("these read whole tables:\n%s", wrong->str);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ch_reactor_raise_fd_limit ();
  g_test_add_func ("/store/plans", test_plans);
  return g_test_run ();
}
