/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every store driver has to do. Arguments: path of the driver's module, then
 * `key=value` of its configuration. The database must be empty.
 */
#include "contract.h"

#include <math.h>
#include <string.h>

ChTx *contract_tx (Bed *bed, const char *statement, const char *no, gint64 port)
{
  ChTx *tx = ch_tx_new (bed->user);

  ch_tx_add (tx, NULL, statement);
  if (no != NULL)
    ch_tx_bind_text (tx, "no", no);
  if (port >= 0)
    ch_tx_bind_int (tx, "port", port);
  return tx;
}

void contract_add (ChTx *tx, const char *statement, const char *no, gint64 port)
{
  ch_tx_add (tx, NULL, statement);
  if (no != NULL)
    ch_tx_bind_text (tx, "no", no);
  if (port != CONTRACT_NO_PORT)
    ch_tx_bind_int (tx, "port", port);
}

/* ---- values -------------------------------------------------------------------------
 */

typedef struct {
  const char *no;
  gint64 port;
  double amount;
  int active; /* −1: NULL */
  gint64 at;
  const char *raw;
  gsize raw_size;
  const char *note;
  const char *info;
} Order;

static const Order orders[] = {
    {"plain", 1, 12.5, 1, 1700000000123, "abc", 3, "note", "{\"a\":1}"},
    {"unset", 0, CH_UNSET_DOUBLE, -1, CH_UNSET, NULL, 0, NULL, NULL},
    {"large", G_MAXINT64, 1.7976931348623157e308, 0, 253402300799999, "\0\xff\0", 3, "",
     "[]"},
    {"small", 0, -4.9e-300, 0, -62135596800000, "", 0, "\xf0\x9f\x94\x8c \xc3\xa4",
     "null"},
    {"Robert'); DROP TABLE contract_orders; --", 3, 0.1, 1, 0, "x", 1,
     "'\"\\ $1 ?1 :no %s \t\r\n", "\"\\u0000\""},
};

static ChTx *insert_order (Bed *bed, const Order *order)
{
  ChTx *tx = contract_tx (bed, "insert_all", order->no, order->port);
  ch_tx_bind_double (tx, "amount", order->amount);
  if (order->active < 0)
    ch_tx_bind_null (tx, "active");
  else
    ch_tx_bind_bool (tx, "active", order->active);
  ch_tx_bind_time (tx, "at", order->at);
  ch_tx_bind_blob (tx, "raw", order->raw, order->raw_size);
  ch_tx_bind_text (tx, "note", order->note);
  ch_tx_bind_json (tx, "info", order->info);
  return tx;
}

static void check_order (ChPlugin *self, const ChTxResult *r, const GError *error,
                         gpointer data)
{
  const Order *order = data;
  gsize size;

  g_assert_no_error (error);
  g_assert_cmpuint (ch_tx_result_rows (r, 0), ==, 1);
  g_assert_cmpuint (ch_tx_result_changes (r, 0), ==, 1);
  g_assert_cmpstr (ch_tx_result_text (r, 0, 0, "order_no"), ==, order->no);
  g_assert_cmpint (ch_tx_result_int (r, 0, 0, "port"), ==, order->port);
  double amount = ch_tx_result_double (r, 0, 0, "amount");
  g_assert_true (amount == order->amount || (isnan (amount) && isnan (order->amount)));
  g_assert_true (ch_tx_result_is_null (r, 0, 0, "active") == (order->active < 0));
  g_assert_true (ch_tx_result_bool (r, 0, 0, "active") == (order->active > 0));
  g_assert_cmpint (ch_tx_result_time (r, 0, 0, "at"), ==, order->at);
  const guint8 *raw = ch_tx_result_blob (r, 0, 0, "raw", &size);
  g_assert_true ((raw == NULL) == (order->raw == NULL));
  g_assert_cmpuint (size, ==, order->raw_size);
  g_assert_true (size == 0 || memcmp (raw, order->raw, size) == 0);
  g_assert_cmpstr (ch_tx_result_text (r, 0, 0, "note"), ==, order->note);
  g_assert_true (ch_tx_result_is_null (r, 0, 0, "info") == (order->info == NULL));
  bed_done (self, r, error, (gpointer) "read");
}

static void test_values (Bed *bed)
{
  for (guint i = 0; i < G_N_ELEMENTS (orders); i++) {
    bed_submit (bed, insert_order (bed, &orders[i]), "write");
    bed_expect (bed, "write ");
    ChTx *tx = contract_tx (bed, "get", orders[i].no, -1);
    bed->pending++;
    ch_tx_submit (tx, 0, check_order, (gpointer) &orders[i]);
    bed_expect (bed, "read ");
  }
}

static void check_large (ChPlugin *self, const ChTxResult *r, const GError *error,
                         gpointer data)
{
  gsize size;

  g_assert_no_error (error);
  const guint8 *raw = ch_tx_result_blob (r, 0, 0, "raw", &size);
  g_assert_cmpuint (size, ==, 8 * 1024 * 1024);
  g_assert_cmpuint (raw[size - 1], ==, 'z');
  bed_done (self, r, error, data);
}

static void test_large (Bed *bed)
{
  g_autofree char *raw = g_strnfill (8 * 1024 * 1024, 'z');
  Order large = orders[0];

  large.raw = raw;
  large.raw_size = strlen (raw);
  large.no = "huge";
  bed_submit (bed, insert_order (bed, &large), "w");
  bed_expect (bed, "w ");
  bed->pending++;
  ch_tx_submit (contract_tx (bed, "get", "huge", -1), 0, check_large, (gpointer) "r");
  bed_expect (bed, "r ");
}

static void test_text (Bed *bed)
{
  bed_submit (bed, contract_tx (bed, "insert", "bad \xff\xfe utf", 1), "w");
  bed_expect (bed, "w ");
  g_assert_cmpint (bed_number (bed, "count"), ==, 1);
  Order broken = orders[0];
  broken.info = "{no json";
  bed_submit (bed, insert_order (bed, &broken), "json");
  g_autofree char *expected = g_strdup_printf ("json!%d ", CH_STORE_ERROR_CHECK);
  bed_expect (bed, expected);
}

/* ---- counts, guards, errors
 * ------------------------------------------------------------ */

static void check_counts (ChPlugin *self, const ChTxResult *r, const GError *error,
                          gpointer data)
{
  static const guint changes[] = {1, 1, 0, 2, 0, 2, 1};

  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (changes); i++)
    g_assert_cmpuint (ch_tx_result_changes (r, i), ==, changes[i]);
  g_assert_cmpuint (ch_tx_result_rows (r, 1), ==, 1);
  g_assert_cmpint (ch_tx_result_int (r, 1, 0, "port"), ==, 2);
  g_assert_cmpint (ch_tx_result_column (r, 5, "port"), ==, 1);
  g_assert_cmpstr (ch_tx_result_text (r, 5, 1, "order_no"), ==, "b");
  bed_done (self, r, error, data);
}

static void test_counts (Bed *bed)
{
  ChTx *tx = contract_tx (bed, "insert", "a", 1);
  contract_add (tx, "upsert", "b", 2);
  contract_add (tx, "add_once", "a", 9);
  contract_add (tx, "set_all", NULL, 5);
  contract_add (tx, "set_port", "nobody", 5);
  contract_add (tx, "list", NULL, CONTRACT_NO_PORT);
  contract_add (tx, "delete", "b", CONTRACT_NO_PORT);
  bed->pending++;
  ch_tx_submit (tx, 0, check_counts, (gpointer) "counts");
  bed_expect (bed, "counts ");
  g_assert_cmpint (bed_number (bed, "count"), ==, 1);
}

static void say_failed (ChPlugin *self, const ChTxResult *r, const GError *error,
                        gpointer data)
{
  g_string_append_printf (bed_of (self)->heard, "%d:", ch_tx_result_failed (r));
  bed_done (self, r, error, data);
}

static void expect_failure (Bed *bed, ChTx *tx, gint failed, ChStoreError code)
{
  g_autofree char *expected = g_strdup_printf ("%d:x!%d ", failed, (int) code);

  bed->pending++;
  ch_tx_submit (tx, 0, say_failed, (gpointer) "x");
  bed_expect (bed, expected);
}

static void test_guards (Bed *bed)
{
  ChTx *tx = contract_tx (bed, "insert", "a", 1);
  contract_add (tx, "set_port", "nobody", 1);
  ch_tx_guard (tx, 1, 1);
  contract_add (tx, "insert", "b", 1);
  expect_failure (bed, tx, 1, CH_STORE_ERROR_GUARD);
  g_assert_cmpint (bed_number (bed, "count"), ==, 0);

  tx = contract_tx (bed, "insert", "a", 1);
  ch_tx_guard (tx, 1, 1);
  contract_add (tx, "get", "a", CONTRACT_NO_PORT);
  ch_tx_guard (tx, 1, 1);
  contract_add (tx, "get", "b", CONTRACT_NO_PORT);
  ch_tx_guard (tx, 0, 0);
  bed_submit (bed, tx, "good");
  bed_expect (bed, "good ");

  tx = contract_tx (bed, "get", "b", -1); /* on a reader */
  ch_tx_guard (tx, 1, 1);
  expect_failure (bed, tx, 0, CH_STORE_ERROR_GUARD);
  tx = contract_tx (bed, "upsert", "c", 1);
  ch_tx_guard (tx, 2, 5);
  expect_failure (bed, tx, 0, CH_STORE_ERROR_GUARD);
  g_assert_cmpint (bed_number (bed, "count"), ==, 1);
}

static void test_errors (Bed *bed)
{
  bed_submit (bed, contract_tx (bed, "insert", "a", 1), "a");
  bed_expect (bed, "a ");
  ChTx *tx = contract_tx (bed, "insert", "b", 1);
  contract_add (tx, "insert", "a", 1);
  expect_failure (bed, tx, 1, CH_STORE_ERROR_UNIQUE);
  expect_failure (bed, contract_tx (bed, "item", "none", -1), 0,
                  CH_STORE_ERROR_FOREIGN_KEY);
  tx = ch_tx_new (bed->user);
  contract_add (tx, "insert", "c", -5);
  expect_failure (bed, tx, 0, CH_STORE_ERROR_CHECK);
  tx = contract_tx (bed, "insert", "c", -1);
  ch_tx_bind_null (tx, "port");
  expect_failure (bed, tx, 0, CH_STORE_ERROR_CHECK);
  tx = contract_tx (bed, "insert", "d", 1);
  contract_add (tx, "late", "none", CONTRACT_NO_PORT);
  expect_failure (bed, tx, -1, CH_STORE_ERROR_FOREIGN_KEY);
  tx = contract_tx (bed, "insert", "a", 1);
  expect_failure (bed, tx, 0, CH_STORE_ERROR_UNIQUE);
  expect_failure (bed, contract_tx (bed, "no_table", NULL, -1), 0, CH_STORE_ERROR_USAGE);
  expect_failure (bed, contract_tx (bed, "lies", NULL, -1), 0, CH_STORE_ERROR_USAGE);
  expect_failure (bed, contract_tx (bed, "commit", NULL, -1), 0, CH_STORE_ERROR_USAGE);
  g_assert_cmpint (bed_number (bed, "count"), ==, 1);

  tx = contract_tx (bed, "late", "e", -1); /* in the end it holds */
  contract_add (tx, "insert", "e", 1);
  bed_submit (bed, tx, "late");
  bed_expect (bed, "late ");
}

/* What one needs from another it takes by a sub-select. */
static void test_sub_select (Bed *bed)
{
  ChTx *tx = contract_tx (bed, "insert", "a", 77);
  contract_add (tx, "item_of_port", NULL, 77);
  ch_tx_guard (tx, 1, 1);
  bed_submit (bed, tx, "s");
  bed_expect (bed, "s ");
  g_assert_cmpint (bed_number (bed, "count_items"), ==, 1);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  if (!contract_init (argc, argv)) {
    if (g_getenv ("CI") != NULL)
      g_error ("there is no PostgreSQL here");
    g_print ("1..0 # SKIP there is no PostgreSQL here\n");
    return 0;
  }
  contract_test ("values", test_values);
  contract_test ("large", test_large);
  contract_test ("text", test_text);
  contract_test ("counts", test_counts);
  contract_test ("guards", test_guards);
  contract_test ("errors", test_errors);
  contract_test ("sub-select", test_sub_select);
  contract_add_many ();
  contract_add_partitions ();
  contract_add_life ();
  int status = g_test_run ();
  contract_end ();
  return status;
}
