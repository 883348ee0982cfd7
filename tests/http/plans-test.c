/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the server asks the database while it runs has to use an index: a table that grows
 * is never read whole. Statements named `….load` run once, at the start. PostgreSQL is
 * asked for the plans that it would use if reading whole tables were very dear.
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
  Queue *queue;
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

  gboolean gauge = g_strv_contains (GAUGES, prepared->name);
  if (gauge)
    g_assert_true (prepared->read_only);
  if (sqlite3_prepare_v2 (l->db, sql, -1, &statement, NULL) != SQLITE_OK)
    g_error ("%s: %s", prepared->name, sqlite3_errmsg (l->db));
  gboolean once = g_str_has_suffix (prepared->name, ".load");
  while (!once && sqlite3_step (statement) == SQLITE_ROW) {
    const char *detail = (const char *) sqlite3_column_text (statement, 3);
    if (is_scan (detail) && !(gauge && strstr (detail, " COVERING INDEX ") != NULL))
      g_string_append_printf (l->wrong, "%s: %s\n", prepared->name, detail);
  }
  sqlite3_finalize (statement);
  l->n++;
}

/* ---- PostgreSQL ----------------------------------------------------------------------
 */

static const char *text_of (const json_t *node, const char *name)
{
  const char *text = json_string_value (json_object_get (node, name));
  return text != NULL ? text : "";
}

/* An index of few rows is there to be read whole. */
static gboolean is_partial (Look *l, const char *index)
{
  g_autofree char *ask
      = g_strdup_printf ("SELECT indexname FROM pg_indexes WHERE indexname = '%s'"
                         " AND indexdef LIKE '%% WHERE %%' LIMIT 1",
                         index);
  g_autofree char *name = queue_sql (l->queue, ask);
  return g_str_equal (name, index);
}

/* Whether a node reads all of a table or of an index, and nothing above stops it early.
 */
static gboolean reads_all (Look *l, const json_t *node, gboolean limited)
{
  const char *type = text_of (node, "Node Type");

  if (g_strv_contains (SMALL, text_of (node, "Relation Name")))
    return FALSE;
  if (g_str_equal (type, "Seq Scan"))
    return TRUE;
  return strstr (type, "Index") != NULL && strstr (type, "Scan") != NULL
         && json_object_get (node, "Index Cond") == NULL && !limited
         && !is_partial (l, text_of (node, "Index Name"));
}

static void look_at_node (const json_t *node, gboolean limited, const char *name, Look *l)
{
  const char *type = text_of (node, "Node Type");
  size_t i;
  json_t *inner;

  if (reads_all (l, node, limited))
    g_string_append_printf (l->wrong, "%s: %s %s\n", name, type,
                            text_of (node, "Relation Name"));
  /* What sorts or groups needs all of its rows before it gives the first. */
  limited = g_str_equal (type, "Limit")
            || (limited && strstr (type, "Sort") == NULL && !g_str_equal (type, "Hash")
                && strstr (type, "Aggregate") == NULL);
  json_array_foreach (json_object_get (node, "Plans"), i, inner)
      look_at_node (inner, limited, name, l);
}

static void look_pgsql (const ChPrepared *prepared, gpointer data)
{
  Look *l = data;

  if (g_str_equal (prepared->name, "store.partitions"))
    return; /* a block has no plan */
  /* All are prepared, also those that may read whatever they like. */
  g_autofree char *text = queue_plan (l->queue, prepared);
  if (g_str_has_suffix (prepared->name, ".load")
      || g_strv_contains (GAUGES, prepared->name))
    return;
  g_autoptr (json_t) plan = json_loads (text, 0, NULL);
  look_at_node (json_object_get (json_array_get (plan, 0), "Plan"), FALSE, prepared->name,
                l);
  l->n++;
}

static void test_plans (void)
{
  g_autoptr (GString) wrong = g_string_new (NULL);
  Look l = {.wrong = wrong};
  Api api;

  api_open (&api, NULL);
  l.queue = api.queue;
  if (queue_is_pgsql ()) {
    ch_store_foreach_prepared (api.services->store, look_pgsql, &l);
  } else {
    g_autofree char *path = g_build_filename (api.queue->folder, "test.db", NULL);
    g_assert_cmpint (sqlite3_open_v2 (path, &l.db, SQLITE_OPEN_READONLY, NULL), ==,
                     SQLITE_OK);
    ch_store_foreach_prepared (api.services->store, look, &l);
    sqlite3_close (l.db);
  }
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
