/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Many transactions at once: their order, their isolation, their deadlines. */
#include "contract.h"

#include <string.h>

static void test_order (Bed *bed)
{
  for (guint i = 1; i <= 500; i++) {
    ChTx *tx = ch_tx_new (bed->user);
    ch_tx_add (tx, NULL, "step");
    ch_tx_bind_int (tx, "n", i);
    ch_tx_guard (tx, 1, 1);
    bed_submit (bed, tx, "");
  }
  bed_wait (bed);
  g_autofree char *expected = g_strnfill (500, ' ');
  bed_expect (bed, expected);
  g_assert_cmpint (bed_number (bed, "counter"), ==, 500);
}

/* A failing one takes nobody with it, however they are grouped. */
static void test_group (Bed *bed)
{
  g_autoptr (GString) expected = g_string_new (NULL);
  static char names[300][8];

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_snprintf (names[i], sizeof names[i], "g%u", i);
    ChTx *tx = contract_tx (bed, "insert", names[i], 1);
    g_string_append (expected, names[i]);
    if (i % 3 == 1) {
      contract_add (tx, "insert", names[0], 1);
      g_string_append_printf (expected, "!%d", CH_STORE_ERROR_UNIQUE);
    } else if (i % 7 == 1) {
      contract_add (tx, "late", "none", CONTRACT_NO_PORT);
      g_string_append_printf (expected, "!%d", CH_STORE_ERROR_FOREIGN_KEY);
    } else if (i % 7 == 2) {
      ch_tx_guard (tx, 0, 0);
      g_string_append_printf (expected, "!%d", CH_STORE_ERROR_GUARD);
    }
    g_string_append_c (expected, ' ');
    bed_submit (bed, tx, names[i]);
  }
  guint good = 0;
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    good += i % 3 != 1 && i % 7 != 1 && i % 7 != 2;
  bed_expect (bed, expected->str);
  g_assert_cmpint (bed_number (bed, "count"), ==, good);
}

static void submit_slow (Bed *bed, const char *statement, guint timeout_ms,
                         const char *text)
{
  ChTx *tx = ch_tx_new (bed->user);
  ch_tx_add (tx, NULL, statement);
  bed->pending++;
  ch_tx_submit (tx, timeout_ms, bed_done, (gpointer) text);
}

static void test_slow_read (Bed *bed)
{
  g_autofree char *expected = g_strdup_printf ("w slow!%d ", CH_STORE_ERROR_TIMEOUT);

  submit_slow (bed, "slow", 150, "slow");
  bed_submit (bed, contract_tx (bed, "insert", "a", 1), "w");
  bed_expect (bed, expected);
  g_assert_cmpint (bed_number (bed, "count"), ==, 1);
}

/* One that does not end is stopped; those before and behind it do not suffer. */
static void test_slow_write (Bed *bed)
{
  g_autofree char *expected = g_strdup_printf ("a slow!%d b ", CH_STORE_ERROR_TIMEOUT);

  bed_submit (bed, contract_tx (bed, "insert", "a", 1), "a");
  submit_slow (bed, "slow_write", 150, "slow");
  bed_submit (bed, contract_tx (bed, "insert", "b", 1), "b");
  bed_expect (bed, expected);
  g_assert_cmpint (bed_number (bed, "count"), ==, 2);
}

/* What waited past its deadline is not run, whoever notices first. */
static void test_waited (Bed *bed)
{
  g_autofree char *expected
      = g_strdup_printf ("x!%d x!%d ", CH_STORE_ERROR_TIMEOUT, CH_STORE_ERROR_TIMEOUT);

  submit_slow (bed, "slow_write", 300, "x");
  ChTx *tx = contract_tx (bed, "insert", "a", 1);
  bed->pending++;
  ch_tx_submit (tx, 20, bed_done, (gpointer) "x");
  bed_expect (bed, expected);
  g_assert_cmpint (bed_number (bed, "count"), ==, 0);
}

static void test_busy (Bed *bed)
{
  g_autoptr (GString) expected = g_string_new (NULL);

  /* The limit is read at open. */
  ch_store_close (bed->services.store);
  g_assert_true (
      ch_config_add_option (bed->services.config, "database.queue_max=5", NULL));
  g_assert_true (ch_config_resolve (bed->services.config, NULL, NULL));
  g_assert_true (bed_open (bed, NULL));
  submit_slow (bed, "slow_write", 200, "s");
  for (guint i = 0; i < 8; i++)
    bed_submit (bed, contract_tx (bed, "upsert", "a", i), i < 4 ? "w" : "busy");
  g_string_append_printf (expected, "s!%d w w w w", CH_STORE_ERROR_TIMEOUT);
  for (guint i = 4; i < 8; i++)
    g_string_append_printf (expected, " busy!%d", CH_STORE_ERROR_BUSY);
  g_string_append_c (expected, ' ');
  bed_expect (bed, expected->str);
}

static void check_rows (ChPlugin *self, const ChTxResult *r, const GError *error,
                        gpointer data)
{
  g_assert_no_error (error);
  g_assert_cmpuint (ch_tx_result_rows (r, 0), ==, 5000);
  g_assert_cmpstr (ch_tx_result_text (r, 0, 4999, "order_no"), ==, "b04999");
  g_assert_cmpint (ch_tx_result_int (r, 0, 1234, "port"), ==, 1234);
  bed_done (self, r, error, data);
}

static void check_inserted (ChPlugin *self, const ChTxResult *r, const GError *error,
                            gpointer data)
{
  g_string_append_printf (bed_of (self)->heard, "%" G_GUINT64_FORMAT ":",
                          ch_tx_result_changes (r, 0));
  bed_done (self, r, error, data);
}

static void bulk (Bed *bed, guint from, guint to)
{
  static const char *const columns[] = {"order_no", "port", "note", NULL};
  ChTx *tx = ch_tx_new (bed->user);

  for (guint i = from; i < to; i++) {
    g_autofree char *no = g_strdup_printf ("b%05u", i);
    ch_tx_add (tx, NULL, "row");
    ch_tx_bind_text (tx, "order_no", no);
    ch_tx_bind_int (tx, "port", i);
    if (i % 2 == 0)
      ch_tx_bind_text (tx, "note", "even");
  }
  bed->pending++;
  ch_store_bulk_insert (bed->user, "contract_orders", columns, tx, check_inserted,
                        (gpointer) "bulk");
}

static void test_bulk (Bed *bed)
{
  bulk (bed, 0, 3000);
  bulk (bed, 2000, 5000); /* conflicts are passed over */
  bed_expect (bed, "3000:bulk 2000:bulk ");
  for (guint i = 0; i < 20; i++) { /* many rows, many readers */
    bed->pending++;
    ch_tx_submit (contract_tx (bed, "list", NULL, -1), 0, check_rows, (gpointer) "r");
  }
  bed_expect (bed, "r r r r r r r r r r r r r r r r r r r r ");
}

static void read_back (ChPlugin *self, const ChTxResult *r, const GError *error,
                       gpointer data)
{
  Bed *bed = bed_of (self);

  g_assert_no_error (error);
  ChTx *tx = contract_tx (bed, "get", data, -1);
  ch_tx_guard (tx, 1, 1);
  ch_tx_submit (tx, 0, bed_done, data);
}

/* When done is called, every reader sees it. */
static void test_read_back (Bed *bed)
{
  static char names[100][8];

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_snprintf (names[i], sizeof names[i], "n%u", i);
    bed->pending++;
    ch_tx_submit (contract_tx (bed, "insert", names[i], 1), 0, read_back, names[i]);
  }
  bed_wait (bed);
  g_assert_null (strchr (bed->heard->str, '!'));
}

static void check_pair (ChPlugin *self, const ChTxResult *r, const GError *error,
                        gpointer data)
{
  g_assert_no_error (error);
  g_assert_cmpint (ch_tx_result_int (r, 0, 0, "n"), ==, ch_tx_result_int (r, 1, 0, "n"));
  bed_done (self, r, error, data);
}

/* Several reading statements see one state, while another writes. */
static void test_snapshot (Bed *bed)
{
  for (guint i = 1; i <= 200; i++) {
    ChTx *tx = ch_tx_new (bed->user);
    ch_tx_add (tx, NULL, "step");
    ch_tx_bind_int (tx, "n", i);
    bed_submit (bed, tx, "w");
    tx = ch_tx_new (bed->user);
    ch_tx_add (tx, NULL, "counter");
    ch_tx_add (tx, NULL, "counter");
    bed->pending++;
    ch_tx_submit (tx, 0, check_pair, (gpointer) "r");
  }
  bed_wait (bed);
  g_assert_null (strchr (bed->heard->str, '!'));
}

static void on_note (ChPlugin *self, const char *channel, const char *payload,
                     gpointer data)
{
  g_string_append_printf (data, "%s=%s ", channel, payload != NULL ? payload : "missed");
}

static void say (Bed *bed, const char *no, const char *payload, const char *text)
{
  ChTx *tx = contract_tx (bed, "insert", no, 1);
  ch_tx_notify (tx, "contract_news", payload);
  bed_submit (bed, tx, text);
}

/* What a transaction says is heard when it is committed, and only then. */
static void test_notify (Bed *bed)
{
  g_autoptr (GString) notes = g_string_new (NULL);
  ChPlugin *other = ch_owner_new (&bed->services, "listener", NULL);
  gint64 until_us = g_get_monotonic_time () + 20 * G_USEC_PER_SEC;

  ch_store_listen (other, "contract_news", on_note, notes);
  ch_store_listen (other, "contract_other", on_note, notes);
  /* Until the driver listens: it may need a connection. */
  for (guint i = 0; notes->len == 0; i++) {
    g_autofree char *no = g_strdup_printf ("first%u", i);
    say (bed, no, "first", "");
    bed_wait (bed);
    for (guint k = 0; k < 20; k++)
      g_main_context_iteration (NULL, FALSE);
    g_assert_cmpint (g_get_monotonic_time (), <, until_us);
  }
  bed_wait (bed);
  g_string_truncate (notes, 0);
  g_string_truncate (bed->heard, 0);
  say (bed, "a", "one", "w");
  say (bed, "a", "two", "x"); /* fails */
  say (bed, "b", "three {\"x\": 'y'}", "w");
  bed_wait (bed);
  while (strstr (notes->str, "three") == NULL) {
    g_main_context_iteration (NULL, FALSE);
    g_assert_cmpint (g_get_monotonic_time (), <, until_us);
  }
  const char *one = strstr (notes->str, "contract_news=one ");
  g_assert_nonnull (one);
  g_assert_cmpstr (one, ==, "contract_news=one contract_news=three {\"x\": 'y'} ");
  ch_owner_free (other);
  g_string_truncate (notes, 0);
  say (bed, "c", "nobody", "w");
  bed_wait (bed);
  g_assert_cmpuint (notes->len, ==, 0);
}

void contract_add_many (void)
{
  contract_test ("order", test_order);
  contract_test ("group", test_group);
  contract_test ("slow-read", test_slow_read);
  contract_test ("slow-write", test_slow_write);
  contract_test ("waited", test_waited);
  contract_test ("busy", test_busy);
  contract_test ("bulk", test_bulk);
  contract_test ("read-back", test_read_back);
  contract_test ("snapshot", test_snapshot);
  contract_test ("notify", test_notify);
}
