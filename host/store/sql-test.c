/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The translator over texts that want to be misunderstood. */
#include "store/sql.h"
#include "store/store.h"
#include <chargehost/error.h>

typedef struct {
  const char *sql;
  const char *sqlite; /* NULL: refused */
  const char *pgsql;
  const char *names; /* with commas */
} Row;

static const Row rows[] = {
    {"SELECT 1", "SELECT 1", "SELECT 1", ""},
    {"SELECT :a", "SELECT ?1", "SELECT $1", "a"},
    {"SELECT :b, :a, :b", "SELECT ?1, ?2, ?1", "SELECT $1, $2, $1", "b,a"},
    {"SELECT :aa, :a, :aaa", "SELECT ?1, ?2, ?3", "SELECT $1, $2, $3", "aa,a,aaa"},
    {":a", "?1", "$1", "a"},
    {"a=:a;", "a=?1", "a=$1", "a"},
    {"a=:a ; -- end\n", "a=?1  -- end\n", "a=$1  -- end\n", "a"},
    {"SELECT ':a', ':b''c', \":d\"", "SELECT ':a', ':b''c', \":d\"",
     "SELECT ':a', ':b''c', \":d\"", ""},
    {"SELECT 'a'':b' || :c", "SELECT 'a'':b' || ?1", "SELECT 'a'':b' || $1", "c"},
    {"SELECT \"a\"\":b\" + :c", "SELECT \"a\"\":b\" + ?1", "SELECT \"a\"\":b\" + $1",
     "c"},
    {"SELECT -- :no\n :a", "SELECT -- :no\n ?1", "SELECT -- :no\n $1", "a"},
    {"SELECT 1 -- :no", "SELECT 1 -- :no", "SELECT 1 -- :no", ""},
    {"SELECT 1-:a", "SELECT 1-?1", "SELECT 1-$1", "a"},
    {"SELECT 1/:a", "SELECT 1/?1", "SELECT 1/$1", "a"},
    {"SELECT /* :no ' */ :a", "SELECT /* :no ' */ ?1", "SELECT /* :no ' */ $1", "a"},
    {"SELECT /*/ :no */ :a", "SELECT /*/ :no */ ?1", "SELECT /*/ :no */ $1", "a"},
    {"SELECT :a::text", "SELECT ?1::text", "SELECT $1::text", "a"},
    {"SELECT a::text", "SELECT a::text", "SELECT a::text", ""},
    {"f(a := :a)", "f(a := ?1)", "f(a := $1)", "a"},
    {"SELECT :A, :a, :_x1", "SELECT ?1, ?2, ?3", "SELECT $1, $2, $3", "A,a,_x1"},
    {"SELECT x1e5:a", "SELECT x1e5?1", "SELECT x1e5$1", "a"},
    {"SELECT 1e5, :a", "SELECT 1e5, ?1", "SELECT 1e5, $1", "a"},
    {"SELECT : a", "SELECT : a", "SELECT : a", ""},
    {"SELECT \xc3\xa4:a", "SELECT \xc3\xa4?1", "SELECT \xc3\xa4$1", "a"},
    {"SELECT a$b:c", "SELECT a$b?1", "SELECT a$b$1", "c"},
    /* what only one of them knows */
    {"SELECT $$ :no $$, :a", NULL, "SELECT $$ :no $$, $1", "a"},
    {"SELECT $x$ :no $$ $x$, :a", NULL, "SELECT $x$ :no $$ $x$, $1", "a"},
    {"SELECT $x$ :no", NULL, NULL, ""},
    {"SELECT E'\\':no', :a", NULL, "SELECT E'\\':no', $1", "a"},
    {"SELECT '\\', :a", "SELECT '\\', ?1", "SELECT '\\', $1", "a"},
    {"SELECT [:no], :a", "SELECT [:no], ?1", "SELECT [$1], $2", NULL},
    {"SELECT `:no`, :a", "SELECT `:no`, ?1", "SELECT `$1`, $2", NULL},
    {"SELECT a ? 'k'", NULL, "SELECT a ? 'k'", ""},
    {"SELECT a @> :a", NULL, "SELECT a @> $1", "a"},
    {"SELECT /* /* :no */ */ 1, :a", "SELECT /* /* :no */ */ 1, ?1",
     "SELECT /* /* :no */ */ 1, $1", "a"},
    /* refused */
    {"", NULL, NULL, ""},
    {" -- nothing\n ; ;", NULL, NULL, ""},
    {"SELECT 1; SELECT 2", NULL, NULL, ""},
    {"SELECT 1;; DROP TABLE orders", NULL, NULL, ""},
    {"SELECT 1; /* */ x", NULL, NULL, ""},
    {"SELECT 'open", NULL, NULL, ""},
    {"SELECT \"open", NULL, NULL, ""},
    {"SELECT 'open''", NULL, NULL, ""},
    {"SELECT /* open", NULL, NULL, ""},
    {"SELECT /*/", NULL, NULL, ""},
    {"SELECT $1", NULL, NULL, ""},
    {"SELECT ?1", NULL, "SELECT ?1", ""},
    {"SELECT "
     ":aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     NULL, NULL, ""},
};

static void check (const Row *row, const char *dialect, const char *expected)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) error = NULL;
  g_autofree char *text = ch_store_translate (row->sql, dialect, names, &error);

  g_assert_cmpstr (text, ==, expected);
  if (expected == NULL) {
    g_assert_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE);
    return;
  }
  g_assert_no_error (error);
  g_ptr_array_add (names, NULL);
  g_autofree char *joined = g_strjoinv (",", (char **) names->pdata);
  if (row->names != NULL)
    g_assert_cmpstr (joined, ==, row->names);
}

static void test_translate (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    check (&rows[i], "sqlite", rows[i].sqlite);
    check (&rows[i], "pgsql", rows[i].pgsql);
  }
}

/* No text may make it read beyond its end: cut one of every kind at every place. */
static void test_cut (void)
{
  static const char text[]
      = "SELECT 'a''b', \"c\", E'\\'', $t$ x $t$, /* y /* z */ */ :p::t "
        "-- end\n, [q], `r`, 1.5e3 ; ";

  for (gsize n = 0; n < sizeof text; n++) {
    for (guint pg = 0; pg < 2; pg++) {
      g_autofree char *cut = g_strndup (text, n);
      g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
      g_free (ch_store_translate (cut, pg != 0 ? "pgsql" : "sqlite", names, NULL));
      ch_sql_check_script (cut, pg != 0, NULL);
    }
  }
}

static void test_many (void)
{
  g_autoptr (GString) sql = g_string_new ("SELECT 1");
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < 1000; i++)
    g_string_append_printf (sql, ", :p%u", i);
  g_autofree char *text = ch_store_translate (sql->str, "sqlite", names, NULL);
  g_assert_cmpuint (names->len, ==, 1000);
  g_assert_true (g_str_has_suffix (text, ", ?1000"));
}

static void test_scripts (void)
{
  static const char *const good[] = {
      "CREATE TABLE a (x TEXT); CREATE INDEX b ON a (x);",
      "CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET x = 1; SELECT 2; END;",
      "CREATE TABLE \"commit\" (x TEXT); INSERT INTO \"commit\" VALUES ('; COMMIT;')",
      "/* COMMIT */ -- ; ROLLBACK\nSELECT 1",
  };
  static const char *const bad[] = {
      "BEGIN; SELECT 1; COMMIT",
      "SELECT 1; /* x */ commit;",
      "SELECT 1;\n-- x\nRollback",
      "start transaction",
      "SELECT 'x",
  };

  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    g_assert_true (ch_sql_check_script (good[i], FALSE, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_false (ch_sql_check_script (bad[i], FALSE, &error));
    g_assert_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE);
  }
  g_assert_true (ch_sql_check_script ("DO $$ BEGIN; COMMIT; END $$", TRUE, NULL));
  g_assert_true (ch_sql_is_unwrapped (" -- no transaction\nCREATE INDEX CONCURRENTLY"));
  g_assert_false (ch_sql_is_unwrapped ("-- no transactions\n"));
  g_assert_false (ch_sql_is_unwrapped ("SELECT 1 -- no transaction"));
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/store/sql/translate", test_translate);
  g_test_add_func ("/store/sql/cut", test_cut);
  g_test_add_func ("/store/sql/many", test_many);
  g_test_add_func ("/store/sql/scripts", test_scripts);
  return g_test_run ();
}
