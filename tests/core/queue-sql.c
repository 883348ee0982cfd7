/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SQL beside the core, on either database; and the bed over PostgreSQL: one server for a
 * program, a schema for each folder.
 */
#include "queue-fixture.h"

#include <sqlite3.h>
#include <stdlib.h>

gboolean queue_is_pgsql (void)
{
  return g_strcmp0 (g_getenv ("CHARGEHOST_TEST_STORE"), "pgsql") == 0;
}

#ifdef WITH_POSTGRES
#include "helpers/postgres.h"

extern const ChPluginInfo *ch_plugin_store_pgsql_query (void);
static Postgres *postgres; /* one for the whole program, a schema for each folder */

/* What the tests' own SQL uses of SQLite, so that both answer it alike. */
static const char LIKE_SQLITE[]
    = "CREATE FUNCTION public.add_flag (text, boolean) RETURNS text LANGUAGE sql"
      " AS $$ SELECT $1 || CASE WHEN $2 THEN '1' ELSE '0' END $$;"
      "CREATE OPERATOR public.|| (LEFTARG = text, RIGHTARG = boolean,"
      " FUNCTION = public.add_flag);"
      "CREATE FUNCTION public.json_extract (jsonb, text) RETURNS text LANGUAGE sql"
      " AS $$ SELECT CASE v #>> '{}' WHEN 'true' THEN '1' WHEN 'false' THEN '0'"
      " ELSE v #>> '{}' END FROM (SELECT jsonb_path_query_first ($1,"
      " replace ($2, '#-1', 'last')::jsonpath) AS v) AS found $$;"
      "CREATE FUNCTION public.json_extract (text, text) RETURNS text LANGUAGE sql"
      " AS $$ SELECT public.json_extract ($1::jsonb, $2) $$;"
      "CREATE FUNCTION public.json_array_length (jsonb) RETURNS int LANGUAGE sql"
      " AS $$ SELECT jsonb_array_length ($1) $$;"
      "CREATE FUNCTION public.json_each (jsonb) RETURNS TABLE (key bigint, value jsonb)"
      " LANGUAGE sql AS $$ SELECT n - 1, v FROM jsonb_array_elements ($1)"
      " WITH ORDINALITY AS e (v, n) $$;"
      "CREATE FUNCTION public.refuse () RETURNS trigger LANGUAGE plpgsql AS"
      " $$ BEGIN RAISE 'no' USING ERRCODE = '23514'; END $$;"
      "CREATE FUNCTION public.drop_trigger (name) RETURNS void LANGUAGE plpgsql AS"
      " $$ BEGIN EXECUTE (SELECT format ('DROP TRIGGER %I ON %s', tgname,"
      " tgrelid::regclass) FROM pg_trigger WHERE tgname = $1 LIMIT 1); END $$;"
      "CREATE AGGREGATE public.group_concat (text, text) (SFUNC = string_agg_transfn,"
      " STYPE = internal, FINALFUNC = string_agg_finalfn);";

/* And what no function can give. */
static char *like_postgres (const char *sql)
{
  static const char *const changes[][2] = {
      {"coalesce \\(([a-z_]+), '", "coalesce (\\1::text, '"},
      {"(\\w+) ->> '(\\$[^']*)'", "json_extract (\\1, '\\2')"},
      {"(\\w+) ->> '([\\w.]+)'", "json_extract (\\1, '$.\\2')"},
      {"(?i)CREATE TRIGGER (\\w+) (.*) BEGIN SELECT RAISE \\(ABORT, 'no'\\); END",
       "CREATE TRIGGER \\1 \\2 FOR EACH ROW EXECUTE FUNCTION public.refuse ()"},
      {"\\|\\| \\((\\w+ IS NOT NULL)\\)", "|| (\\1)::int::text"},
      {"^DROP TRIGGER (\\w+)$", "SELECT public.drop_trigger ('\\1')"},
      {"\\((\\w+_time) - (\\w+_time)\\)",
       "(extract (epoch FROM \\1 - \\2) * 1000)::bigint"},
      {"(FROM \\(SELECT .*\\))$", "\\1 AS inner_rows"},
  };
  char *text = g_strdup (sql);

  for (guint i = 0; i < G_N_ELEMENTS (changes); i++) {
    g_autoptr (GRegex) regex = g_regex_new (changes[i][0], 0, 0, NULL);
    char *changed = g_regex_replace (regex, text, -1, 0, changes[i][1], 0, NULL);
    g_free (text);
    text = changed;
  }
  return text;
}

static void end_postgres (void)
{
  g_clear_pointer (&postgres, postgres_free);
}

const ChPluginInfo *queue_pgsql_info (void)
{
  return ch_plugin_store_pgsql_query ();
}

char *queue_pgsql_dsn (void)
{
  if (postgres == NULL) {
    postgres = postgres_new (POSTGRES_FLAGS_NONE, NULL);
    g_free (postgres_ask (postgres, LIKE_SQLITE));
    atexit (end_postgres);
  }
  return g_strconcat ("database.dsn=", postgres_dsn (postgres), NULL);
}

static char *ask (Queue *queue, const char *sql)
{
  g_autofree char *name = g_path_get_basename (queue->folder);
  g_autofree char *text
      = g_strdup_printf ("SET search_path = \"%s\", public; %s", name, sql);
  return postgres_ask (postgres, text);
}

char *queue_pgsql_ask (Queue *queue, const char *sql)
{
  g_autofree char *like = like_postgres (sql);
  g_autofree char *answer = ask (queue, like);

  if (g_strcmp0 (answer, "t") == 0)
    return g_strdup ("1");
  if (g_strcmp0 (answer, "f") == 0)
    return g_strdup ("0");
  return g_strdup (answer != NULL ? answer : "none");
}

char *queue_plan (Queue *queue, const ChPrepared *prepared)
{
  g_autoptr (GString) text = g_string_new ("SET plan_cache_mode = force_generic_plan;"
                                           "SET enable_seqscan = off;"
                                           "SET enable_mergejoin = off;"
                                           "SET enable_hashjoin = off; PREPARE p AS ");
  g_string_append_printf (text, "%s; EXPLAIN (FORMAT JSON) EXECUTE p", prepared->sql);
  for (guint i = 0; i < prepared->n_params; i++)
    g_string_append_printf (text, "%sNULL", i == 0 ? " (" : ", ");
  if (prepared->n_params > 0)
    g_string_append_c (text, ')');
  return ask (queue, text->str);
}

#else
const ChPluginInfo *queue_pgsql_info (void)
{
  g_error ("built without PostgreSQL");
}

char *queue_pgsql_dsn (void)
{
  return NULL;
}

char *queue_pgsql_ask (Queue *queue, const char *sql)
{
  return NULL;
}

char *queue_plan (Queue *queue, const ChPrepared *prepared)
{
  return NULL;
}
#endif

void queue_change (Queue *queue, const char *sql)
{
  if (queue_is_pgsql ()) {
    queue_settle (queue);
    g_free (queue_pgsql_ask (queue, sql));
    return;
  }
  g_autofree char *path = g_build_filename (queue->folder, "test.db", NULL);
  sqlite3 *db = NULL;

  queue_settle (queue);
  g_assert_cmpint (sqlite3_open_v2 (path, &db, SQLITE_OPEN_READWRITE, NULL), ==,
                   SQLITE_OK);
  if (sqlite3_exec (db, sql, NULL, NULL, NULL) != SQLITE_OK)
    g_error ("%s", sqlite3_errmsg (db));
  sqlite3_close (db);
}

char *queue_sql (Queue *queue, const char *sql)
{
  if (queue_is_pgsql ())
    return queue_pgsql_ask (queue, sql);
  g_autofree char *path = g_build_filename (queue->folder, "test.db", NULL);
  sqlite3 *db = NULL;
  sqlite3_stmt *st = NULL;
  char *value = NULL;

  g_assert_cmpint (sqlite3_open_v2 (path, &db, SQLITE_OPEN_READONLY, NULL), ==,
                   SQLITE_OK);
  if (sqlite3_prepare_v2 (db, sql, -1, &st, NULL) != SQLITE_OK)
    g_error ("%s", sqlite3_errmsg (db));
  if (sqlite3_step (st) == SQLITE_ROW)
    value = g_strdup ((const char *) sqlite3_column_text (st, 0));
  sqlite3_finalize (st);
  sqlite3_close (db);
  return value != NULL ? value : g_strdup ("none");
}
