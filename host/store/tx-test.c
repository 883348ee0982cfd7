/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Building transactions, and what the driver and the caller see of them. */
#include "store/fake-driver.h"

#include <math.h>
#include <string.h>

static ChTx *insert (Fake *fake, const char *no, gint64 port)
{
  ChTx *tx = ch_tx_new (fake->user);
  ch_tx_add (tx, NULL, "insert");
  ch_tx_bind_text (tx, "no", no);
  ch_tx_bind_int (tx, "port", port);
  return tx;
}

static const ChValue *param (Fake *fake, guint statement, guint index)
{
  ChTxRun *run = g_ptr_array_index (fake->runs, 0);
  return &ch_tx_run_statement (run, statement)->params[index];
}

static void test_binds (void)
{
  Fake fake;
  fake_set_up (&fake, FALSE);
  ChTx *tx = insert (&fake, "A1", 7);
  g_assert_cmpuint (ch_tx_add (tx, NULL, "update"), ==, 1);
  ch_tx_bind_text (tx, "no", "wrong");
  ch_tx_bind_text (tx, "no", "A1"); /* the last one counts */
  ch_tx_bind_int (tx, "state", 3);
  g_assert_cmpuint (ch_tx_add (tx, fake.user, "all"), ==, 2);
  ch_tx_guard (tx, 1, 1);
  ch_tx_submit (tx, 0, fake_done, (gpointer) "done");
  g_assert_cmpuint (fake.runs->len, ==, 1);

  ChTxRun *run = g_ptr_array_index (fake.runs, 0);
  g_assert_cmpuint (ch_tx_run_n_statements (run), ==, 3);
  g_assert_false (ch_tx_run_read_only (run));
  const ChTxStatement *first = ch_tx_run_statement (run, 0);
  g_assert_cmpstr (first->prepared->name, ==, "orders.insert");
  g_assert_cmpstr (first->prepared->sql, ==,
                   "INSERT INTO orders (no, port) VALUES (?1, ?2)");
  g_assert_cmpstr (first->params[0].text, ==, "A1");
  g_assert_cmpuint (first->params[0].size, ==, 2);
  g_assert_cmpint (first->params[1].i, ==, 7);
  g_assert_cmpuint (first->guard_max, ==, G_MAXUINT64);
  g_assert_cmpint (param (&fake, 1, 0)->i, ==, 3);
  g_assert_cmpstr (param (&fake, 1, 1)->text, ==, "A1");
  g_assert_cmpuint (ch_tx_run_statement (run, 2)->guard_min, ==, 1);
  fake_complete (&fake, 0, NULL);
  g_assert_cmpstr (fake.heard->str, ==, ""); /* never inside */
  fake_expect (&fake, "done ");
  fake_tear_down (&fake);
}

static void submit_value (Fake *fake, ChTx *tx)
{
  ch_tx_bind_text (tx, "no", "x");
  ch_tx_submit (tx, 0, NULL, NULL);
  g_assert_cmpuint (fake->runs->len, ==, 1);
}

static ChTx *one_value (Fake *fake)
{
  ChTx *tx = ch_tx_new (fake->user);
  ch_tx_add (tx, NULL, "insert");
  return tx;
}

#define ASSERT_VALUE(fake, kind_, bind, ...)                                             \
  G_STMT_START                                                                           \
  {                                                                                      \
    ChTx *value_tx = one_value (fake);                                                   \
    bind (value_tx, "port", __VA_ARGS__);                                                \
    submit_value (fake, value_tx);                                                       \
    value = param (fake, 0, 1);                                                          \
    g_assert_cmpint (value->kind, ==, kind_);                                            \
  }                                                                                      \
  G_STMT_END

static void test_values (void)
{
  Fake fake;
  const ChValue *value;
  fake_set_up (&fake, FALSE);
  ASSERT_VALUE (&fake, CH_VALUE_NULL, ch_tx_bind_int, CH_UNSET);
  fake_complete (&fake, 0, NULL);
  ASSERT_VALUE (&fake, CH_VALUE_DOUBLE, ch_tx_bind_double, 1.5);
  fake_complete (&fake, 0, NULL);
  ASSERT_VALUE (&fake, CH_VALUE_NULL, ch_tx_bind_double, CH_UNSET_DOUBLE);
  fake_complete (&fake, 0, NULL);
  ASSERT_VALUE (&fake, CH_VALUE_BOOL, ch_tx_bind_bool, 42);
  g_assert_cmpint (value->i, ==, 1);
  fake_complete (&fake, 0, NULL);
  ASSERT_VALUE (&fake, CH_VALUE_TIME, ch_tx_bind_time, 1700000000123);
  g_assert_cmpint (value->i, ==, 1700000000123);
  fake_complete (&fake, 0, NULL);
  ASSERT_VALUE (&fake, CH_VALUE_NULL, ch_tx_bind_time, CH_UNSET);
  fake_complete (&fake, 0, NULL);
  ASSERT_VALUE (&fake, CH_VALUE_NULL, ch_tx_bind_text, NULL);
  fake_complete (&fake, 0, NULL);
  ASSERT_VALUE (&fake, CH_VALUE_TEXT, ch_tx_bind_text,
                "a\xff\xfe"
                "b");
  g_assert_cmpstr (value->text, ==,
                   "a\xef\xbf\xbd\xef\xbf\xbd"
                   "b");
  fake_complete (&fake, 0, NULL);
  ASSERT_VALUE (&fake, CH_VALUE_JSON, ch_tx_bind_json, "{}");
  fake_complete (&fake, 0, NULL);
  ASSERT_VALUE (&fake, CH_VALUE_BLOB, ch_tx_bind_blob, "a\0b", 3);
  g_assert_cmpuint (value->size, ==, 3);
  g_assert_true (memcmp (value->blob, "a\0b", 3) == 0);
  g_assert_cmpint (value->blob[3], ==, 0);
  fake_complete (&fake, 0, NULL);
  ASSERT_VALUE (&fake, CH_VALUE_BLOB, ch_tx_bind_blob, "", 0);
  fake_complete (&fake, 0, NULL);
  ASSERT_VALUE (&fake, CH_VALUE_NULL, ch_tx_bind_blob, NULL, 5);
  fake_complete (&fake, 0, NULL);
  fake_tear_down (&fake);
}

/* Each of these is refused through done; the driver sees none of it. */
static void test_mistakes (void)
{
  Fake fake;
  fake_set_up (&fake, FALSE);
  ChTx *tx = ch_tx_new (fake.user);
  ch_tx_add (tx, NULL, "no_such");
  ch_tx_bind_int (tx, "a", 1);
  ch_tx_guard (tx, 1, 1);
  ch_tx_submit (tx, 0, fake_done, (gpointer) "unknown");

  tx = insert (&fake, "A", 1);
  ch_tx_bind_int (tx, "nothing", 1);
  ch_tx_submit (tx, 0, fake_done, (gpointer) "param");

  tx = ch_tx_new (fake.user);
  ch_tx_add (tx, NULL, "insert");
  ch_tx_bind_int (tx, "port", 1);
  ch_tx_submit (tx, 0, fake_done, (gpointer) "unbound");

  tx = ch_tx_new (fake.user);
  ch_tx_bind_int (tx, "port", 1);
  ch_tx_submit (tx, 0, fake_done, (gpointer) "early");

  tx = ch_tx_new (fake.user);
  ch_tx_add (tx, NULL, "row");
  ch_tx_bind_int (tx, "port", 1);
  ch_tx_submit (tx, 0, fake_done, (gpointer) "row");

  tx = insert (&fake, "A", 1);
  ch_tx_add (tx, NULL, "row");
  ch_tx_submit (tx, 0, fake_done, (gpointer) "mixed");

  tx = insert (&fake, "A", 1);
  ChTx *bad = ch_tx_new (fake.user);
  ch_tx_add (bad, NULL, "no_such");
  ch_tx_append (tx, bad);
  ch_tx_submit (tx, 0, fake_done, (gpointer) "appended");

  tx = insert (&fake, "A", 1);
  ch_tx_bind_blob (tx, "port", "", CH_STORE_VALUE_MAX + 1ul);
  ch_tx_submit (tx, 0, fake_done, (gpointer) "large");

  g_assert_cmpuint (fake.runs->len, ==, 0);
  g_autoptr (GString) text = g_string_new (NULL);
  const char *const names[]
      = {"unknown", "param", "unbound", "early", "row", "mixed", "appended", "large"};
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    g_string_append_printf (text, "%s!%d ", names[i], CH_STORE_ERROR_USAGE);
  fake_expect (&fake, text->str);
  fake_tear_down (&fake);
}

static void test_empty (void)
{
  Fake fake;
  fake_set_up (&fake, FALSE);
  ChTx *tx = ch_tx_new (fake.user);
  g_assert_true (ch_tx_is_empty (tx));
  ch_tx_submit (tx, 0, fake_done, (gpointer) "empty");
  fake_expect (&fake, "empty ");
  ch_tx_free (insert (&fake, "never submitted", 1));
  ch_tx_free (NULL);
  fake_tear_down (&fake);
}

static void test_append (void)
{
  Fake fake;
  fake_set_up (&fake, FALSE);
  ChTx *tx = insert (&fake, "A0", 0);
  for (gint64 i = 1; i < 50; i++) { /* more than one piece of memory each */
    g_autofree char *no = g_strdup_printf ("A%" G_GINT64_FORMAT, i);
    ChTx *other = insert (&fake, no, i);
    ChTx *inner = insert (&fake, no, -i);
    g_autofree char *large = g_strnfill (5000, 'x');
    ch_tx_bind_text (inner, "no", large);
    ch_tx_append (other, inner);
    ch_tx_append (tx, other);
  }
  ch_tx_submit (tx, 0, fake_done, (gpointer) "a");
  ChTxRun *run = g_ptr_array_index (fake.runs, 0);
  g_assert_cmpuint (ch_tx_run_n_statements (run), ==, 99);
  g_assert_cmpstr (param (&fake, 97, 0)->text, ==, "A49");
  g_assert_cmpint (param (&fake, 98, 1)->i, ==, -49);
  g_assert_cmpuint (param (&fake, 98, 0)->size, ==, 5000);
  fake_complete (&fake, 0, NULL);
  fake_expect (&fake, "a ");
  fake_tear_down (&fake);
}

static void test_statements (void)
{
  static const ChStatement row[] = {{.name = "row", .sql = "SELECT 1"}, {0}};
  static const ChStatement twice[] = {{.name = "get", .sql = "SELECT 1"}, {0}};
  static const ChStatement itself[]
      = {{.name = "a", .sql = "SELECT 1"}, {.name = "a", .sql = "SELECT 1"}, {0}};
  static const ChStatement half[] = {{.name = "h", .sqlite = "SELECT 1"}, {0}};
  static const ChStatement broken[] = {{.name = "b", .sql = "SELECT '"}, {0}};
  static const ChStatement same[] = {{.name = "same", .sql = "SELECT 1"}, {0}};
  const ChStatement *const bad[] = {row, twice, itself, half, broken};
  Fake fake;
  fake_set_up (&fake, FALSE);
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_false (ch_store_register (fake.user, NULL, bad[i], &error));
    g_assert_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE);
  }
  g_assert_true (ch_store_register (fake.driver_plugin, NULL, same, NULL));
  const ChPrepared *a = ch_store_prepared (fake.services.store, fake.user, "all");
  const ChPrepared *b
      = ch_store_prepared (fake.services.store, fake.driver_plugin, "same");
  g_assert_cmpuint (a->id, ==, b->id); /* one text, one number */
  g_assert_cmpstr (b->name, ==, "store-fake.same");
  g_assert_true (a->read_only);
  g_assert_false (b->read_only);
  const ChPrepared *d = ch_store_prepared (fake.services.store, fake.user, "dialect");
  g_assert_cmpstr (d->sql, ==, "SELECT 's' /* :no */");
  g_assert_null (ch_store_prepared (fake.services.store, fake.user, "b"));
  fake_tear_down (&fake);
}

/* ---- results ------------------------------------------------------------------------
 */

static void check_result (ChPlugin *self, const ChTxResult *r, const GError *error,
                          gpointer data)
{
  gsize size;

  g_assert_no_error (error);
  g_assert_cmpint (ch_tx_result_failed (r), ==, -1);
  g_assert_cmpuint (ch_tx_result_rows (r, 0), ==, 2);
  g_assert_cmpuint (ch_tx_result_changes (r, 0), ==, 2);
  g_assert_cmpuint (ch_tx_result_rows (r, 7), ==, 0);
  g_assert_cmpint (ch_tx_result_column (r, 0, "t"), ==, 2);
  g_assert_cmpint (ch_tx_result_column (r, 0, "none"), ==, -1);
  g_assert_cmpint (ch_tx_result_int (r, 0, 0, "i"), ==, 42);
  g_assert_cmpfloat (ch_tx_result_double (r, 0, 0, "d"), ==, 1.5);
  g_assert_cmpstr (ch_tx_result_text (r, 0, 0, "t"), ==, "17");
  g_assert_cmpint (ch_tx_result_int (r, 0, 0, "t"), ==, 17);
  g_assert_cmpfloat (ch_tx_result_double (r, 0, 0, "t"), ==, 17);
  g_assert_true (memcmp (ch_tx_result_blob (r, 0, 0, "b", &size), "a\0b", 4) == 0);
  g_assert_cmpuint (size, ==, 3);
  g_assert_true (ch_tx_result_bool (r, 0, 0, "i"));
  g_assert_cmpint (ch_tx_result_time (r, 0, 0, "i"), ==, 42);
  g_assert_cmpint (ch_tx_result_int (r, 0, 0, "d"), ==, 1);
  g_assert_cmpstr (ch_tx_result_text (r, 0, 0, "i"), ==, "42"); /* turns it into text */
  g_assert_cmpint (ch_tx_result_int (r, 0, 0, "i"), ==, 42);
  g_assert_cmpint (ch_tx_result_int (r, 0, 1, "i"), ==, CH_UNSET);
  g_assert_true (isnan (ch_tx_result_double (r, 0, 1, "d")));
  g_assert_null (ch_tx_result_text (r, 0, 1, "t"));
  g_assert_null (ch_tx_result_blob (r, 0, 1, "b", &size));
  g_assert_cmpuint (size, ==, 0);
  g_assert_false (ch_tx_result_bool (r, 0, 1, "i"));
  g_assert_true (ch_tx_result_is_null (r, 0, 1, "d"));
  fake_done (self, r, error, data);
}

static void test_result (void)
{
  static const char *const names[] = {"i", "d", "t", "b"};
  static const ChValue nothing[4] = {{0}};
  Fake fake;
  fake_set_up (&fake, FALSE);
  ChTx *tx = ch_tx_new (fake.user);
  ch_tx_add (tx, NULL, "all");
  ch_tx_submit (tx, 0, check_result, (gpointer) "r");
  ChTxRun *run = g_ptr_array_remove_index (fake.runs, 0);
  g_assert_true (ch_tx_run_read_only (run));
  char text[] = "17", blob[] = "a\0b";
  ChValue row[4] = {{.kind = CH_VALUE_INT, .i = 42},
                    {.kind = CH_VALUE_DOUBLE, .d = 1.5},
                    {.kind = CH_VALUE_TEXT, .size = 2, .text = text},
                    {.kind = CH_VALUE_BLOB, .size = 3, .text = blob}};
  for (guint i = 0; i < 2; i++) { /* the driver may begin anew */
    ch_tx_run_begin (run);
    ch_tx_run_begin_rows (run, 0, 4, names);
    ch_tx_run_add_row (run, 0, row);
    ch_tx_run_add_row (run, 0, nothing);
  }
  memset (text, 'x', 2);
  memset (blob, 'x', 3);
  ch_tx_run_set_changes (run, 0, 2);
  g_assert_true (ch_tx_run_check_guard (run, 0, NULL));
  ch_tx_run_complete (run, -1, NULL);
  fake_expect (&fake, "r ");
  fake_tear_down (&fake);
}

static void test_guard (void)
{
  Fake fake;
  fake_set_up (&fake, FALSE);
  ChTx *tx = insert (&fake, "A", 1);
  ch_tx_guard (tx, 1, 2);
  ch_tx_submit (tx, 0, fake_done, (gpointer) "g");
  ChTxRun *run = g_ptr_array_index (fake.runs, 0);
  for (guint n = 0; n < 4; n++) {
    g_autoptr (GError) error = NULL;
    ch_tx_run_set_changes (run, 0, n);
    gboolean holds = ch_tx_run_check_guard (run, 0, &error);
    g_assert_true (holds == (n == 1 || n == 2));
    if (!holds)
      g_assert_error (error, CH_STORE_ERROR, CH_STORE_ERROR_GUARD);
  }
  fake_complete (&fake, 0, NULL);
  fake_expect (&fake, "g ");
  fake_tear_down (&fake);
}

static void test_too_large (void)
{
  static const char *const names[] = {"t"};
  Fake fake;
  fake_set_up (&fake, FALSE);
  fake.services.store->keys.result_max = 100000;
  ChTx *tx = ch_tx_new (fake.user);
  ch_tx_add (tx, NULL, "all");
  ch_tx_submit (tx, 0, fake_done, (gpointer) "l");
  ChTxRun *run = g_ptr_array_remove_index (fake.runs, 0);
  g_autofree char *text = g_strnfill (1000, 'x');
  ChValue row = {.kind = CH_VALUE_TEXT, .size = 1000, .text = text};
  g_autoptr (GError) error = NULL;

  ch_tx_run_begin (run);
  ch_tx_run_begin_rows (run, 0, 1, names);
  for (guint i = 0; i < 100000; i++)
    ch_tx_run_add_row (run, 0, &row);
  ch_tx_run_set_changes (run, 0, 100000);
  g_assert_false (ch_tx_run_check_guard (run, 0, &error));
  g_assert_cmpuint (run->rows.total, <, 300000);
  ch_tx_run_complete (run, 0, g_steal_pointer (&error));
  fake_expect (&fake, "l!0 ");
  fake_tear_down (&fake);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/store/tx/binds", test_binds);
  g_test_add_func ("/store/tx/values", test_values);
  g_test_add_func ("/store/tx/mistakes", test_mistakes);
  g_test_add_func ("/store/tx/empty", test_empty);
  g_test_add_func ("/store/tx/append", test_append);
  g_test_add_func ("/store/tx/statements", test_statements);
  g_test_add_func ("/store/tx/result", test_result);
  g_test_add_func ("/store/tx/guard", test_guard);
  g_test_add_func ("/store/tx/too-large", test_too_large);
  return g_test_run ();
}
