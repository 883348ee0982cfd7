/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Queue, deadline, order, repetition, and owners that stop. */
#include "store/fake-driver.h"

static void submit (Fake *fake, const char *statement, guint timeout_ms, const char *text)
{
  ChTx *tx = ch_tx_new (fake->user);
  ch_tx_add (tx, NULL, statement);
  if (g_str_equal (statement, "insert"))
    ch_tx_bind_int (tx, "port", 1);
  if (!g_str_equal (statement, "all"))
    ch_tx_bind_text (tx, "no", text);
  ch_tx_submit (tx, timeout_ms, fake_done, (gpointer) text);
}

static GError *failure (ChStoreError code)
{
  return g_error_new (CH_STORE_ERROR, (gint) code, "the test says so");
}

/* Writes are told in the order of submission, reads as they come. */
static void test_order (void)
{
  Fake fake;
  fake_set_up (&fake, FALSE);
  submit (&fake, "insert", 0, "w1");
  submit (&fake, "insert", 0, "w2");
  submit (&fake, "get", 0, "r1");
  submit (&fake, "insert", 0, "w3");
  fake_complete (&fake, 3, NULL);
  fake_complete (&fake, 1, failure (CH_STORE_ERROR_UNIQUE));
  fake_complete (&fake, 1, NULL);
  fake_expect (&fake, "r1 ");
  submit (&fake, "nothing", 0, "w4"); /* a mistake does not know whether it writes */
  fake_expect (&fake, "w4!14 ");
  fake_complete (&fake, 0, NULL);
  fake_expect (&fake, "w1 w2!5 w3 ");
  fake_tear_down (&fake);
}

static void write_one (Fake *fake, GError *error)
{
  submit (fake, "insert", 0, "w");
  fake_complete (fake, 0, error);
  ch_store_drain_all (fake->services.store);
}

/* Until a write is taken again; a wrong one says nothing about the disk. */
static void test_write_failure (void)
{
  static const ChStoreError codes[]
      = {CH_STORE_ERROR_UNAVAILABLE, CH_STORE_ERROR_DISK_FULL, CH_STORE_ERROR_CORRUPT};
  Fake fake;
  fake_set_up (&fake, FALSE);
  ChStore *store = fake.services.store;
  ch_clock_free (fake.services.clock);
  fake.services.clock = ch_clock_new_fake (1700000000000);
  for (guint i = 0; i < G_N_ELEMENTS (codes); i++) {
    write_one (&fake, failure (codes[i]));
    submit (&fake, "get", 0, "r1");
    fake_complete (&fake, 0, NULL);
    ch_store_drain_all (store);
    g_assert_cmpstr (ch_store_write_failure (store), ==, "the test says so");
    if (codes[i] != CH_STORE_ERROR_UNAVAILABLE) {
      /* What needs no room is taken all the time. */
      ch_clock_advance_ms (fake.services.clock, 9000);
      write_one (&fake, NULL);
      g_assert_cmpstr (ch_store_write_failure (store), ==, "the test says so");
      ch_clock_advance_ms (fake.services.clock, 2000);
    }
    write_one (&fake, NULL);
    g_assert_null (ch_store_write_failure (store));
    write_one (&fake, failure (CH_STORE_ERROR_UNIQUE));
    g_assert_null (ch_store_write_failure (store));
  }
  fake_tear_down (&fake);
}

static void *complete_all (void *data)
{
  Fake *fake = data;
  while (fake->runs->len > 0)
    fake_complete (fake, fake->runs->len - 1, NULL);
  return NULL;
}

static void test_thread (void)
{
  Fake fake;
  g_autoptr (GString) expected = g_string_new (NULL);
  static char names[1000][8];
  pthread_t thread;

  fake_set_up (&fake, FALSE);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_snprintf (names[i], sizeof names[i], "w%u", i);
    g_string_append_printf (expected, "w%u ", i);
    submit (&fake, "insert", 0, names[i]);
  }
  g_assert_cmpint (pthread_create (&thread, NULL, complete_all, &fake), ==, 0);
  fake_expect (&fake, expected->str);
  pthread_join (thread, NULL);
  fake_tear_down (&fake);
}

static void test_busy (void)
{
  Fake fake;
  ChStoreStats stats;

  fake_set_up (&fake, FALSE);
  fake.services.store->keys.queue_max = 2;
  submit (&fake, "get", 0, "a");
  submit (&fake, "get", 0, "b");
  submit (&fake, "get", 0, "c");
  g_assert_cmpuint (fake.runs->len, ==, 2);
  fake_expect (&fake, "c!1 ");
  ch_store_stats (fake.services.store, &stats);
  g_assert_cmpint (stats.queued, ==, 2);
  g_assert_cmpint (stats.connections, ==, 3);
  g_assert_true (stats.up);
  fake_complete (&fake, 0, NULL);
  fake_expect (&fake, "a ");
  submit (&fake, "get", 0, "d");
  fake_complete (&fake, 1, NULL);
  fake_complete (&fake, 0, NULL);
  fake_expect (&fake, "d b ");
  fake_tear_down (&fake);
}

/* A driver that does not answer: the caller is told, and those behind it as well. */
static void test_deadline (void)
{
  Fake fake;
  fake_set_up (&fake, FALSE);
  submit (&fake, "insert", 20, "late");
  submit (&fake, "insert", 5000, "good");
  gint64 deadline_us = ch_tx_run_deadline_us (g_ptr_array_index (fake.runs, 0));
  g_assert_cmpint (deadline_us, <=, g_get_monotonic_time () + 20000);
  fake_complete (&fake, 1, NULL);
  fake_expect (&fake, "late!3 good ");
  fake_complete (&fake, 0, NULL); /* nobody hears it */
  submit (&fake, "get", 0, "next");
  fake_complete (&fake, 0, NULL);
  fake_expect (&fake, "next ");
  g_assert_null (fake.services.store->first);
  fake_tear_down (&fake);
}

static void test_repeat (void)
{
  Fake fake;
  fake_set_up (&fake, FALSE);
  submit (&fake, "insert", 0, "s");
  for (guint i = 0; i < 4; i++) {
    fake_expect_runs (&fake, 1);
    fake_complete (
        &fake, 0,
        failure (i % 2 == 0 ? CH_STORE_ERROR_SERIALIZATION : CH_STORE_ERROR_DEADLOCK));
  }
  fake_expect (&fake, "s!9 ");
  submit (&fake, "insert", 0, "l");
  fake_complete (&fake, 0, failure (CH_STORE_ERROR_LOCKED));
  fake_expect_runs (&fake, 1);
  fake_complete (&fake, 0, NULL);
  fake_expect (&fake, "l ");
  submit (&fake, "insert", 0, "t");
  fake_complete (&fake, 0, failure (CH_STORE_ERROR_TIMEOUT));
  fake_expect (&fake, "t!3 ");
  submit (&fake, "insert", 10, "short"); /* no time for a pause */
  fake_complete (&fake, 0, failure (CH_STORE_ERROR_SERIALIZATION));
  fake_expect (&fake, "short!8 ");
  g_assert_cmpfloat (ch_series_value (fake.services.store->retries), ==, 4);
  g_assert_cmpfloat (ch_series_value (fake.services.store->deadlocks), ==, 2);
  fake_tear_down (&fake);
}

/* Writes of one owner keep their order although the first has to be repeated. */
static void test_repeat_order (void)
{
  Fake fake;
  fake_set_up (&fake, FALSE);
  submit (&fake, "insert", 0, "first");
  submit (&fake, "insert", 0, "second");
  fake_complete (&fake, 0, failure (CH_STORE_ERROR_DEADLOCK));
  fake_complete (&fake, 0, NULL);
  fake_expect_runs (&fake, 1);
  g_assert_cmpstr (fake.heard->str, ==, "");
  fake_complete (&fake, 0, NULL);
  fake_expect (&fake, "first second ");
  fake_tear_down (&fake);
}

static void test_owner_stops (void)
{
  Fake fake;
  fake_set_up (&fake, FALSE);
  submit (&fake, "insert", 0, "a");
  submit (&fake, "insert", 0, "b");
  submit (&fake, "get", 0, "c");
  submit (&fake, "insert", 0, "d");
  fake_complete (&fake, 1, NULL); /* b waits for a */
  fake_complete (&fake, 1, NULL); /* c waits to be delivered */
  g_autofree char *text = ch_owner_describe (fake.user);
  g_assert_cmpstr (text, ==, "1 uses of the store, 4 transactions");
  ch_owner_free (fake.user);
  g_assert_cmpuint (fake.runs->len, ==, 2); /* they run all the same */
  fake_complete (&fake, 0, NULL);
  fake_complete (&fake, 0, NULL);

  fake.user = ch_owner_new (&fake.services, "orders", NULL);
  g_assert_true (ch_store_register (fake.user, NULL, fake_statements, NULL));
  submit (&fake, "get", 0, "e");
  fake_complete (&fake, 0, NULL);
  fake_expect (&fake, "e ");
  g_assert_null (fake.services.store->first);
  fake_tear_down (&fake);
}

static void stop_user (ChPlugin *self, const ChTxResult *result, const GError *error,
                       gpointer text)
{
  fake_done (self, result, error, text);
  ch_owner_revoke_all (self);
}

/* The owner stops inside of done, while others of it wait behind. */
static void test_stops_inside (void)
{
  Fake fake;
  fake_set_up (&fake, FALSE);
  ChTx *tx = ch_tx_new (fake.user);
  ch_tx_add (tx, NULL, "insert");
  ch_tx_bind_text (tx, "no", "x");
  ch_tx_bind_int (tx, "port", 1);
  ch_tx_submit (tx, 0, stop_user, (gpointer) "stop");
  submit (&fake, "insert", 0, "behind");
  submit (&fake, "get", 0, "beside");
  fake_complete (&fake, 0, NULL);
  fake_complete (&fake, 0, NULL);
  fake_complete (&fake, 0, NULL);
  fake_expect (&fake, "stop ");
  while (fake.services.store->first != NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpstr (fake.heard->str, ==, "");
  fake_tear_down (&fake);
}

static void again (ChPlugin *self, const ChTxResult *result, const GError *error,
                   gpointer text)
{
  fake_done (self, result, error, text);
  if (g_str_has_suffix (fake_current->heard->str, "x!2 x!2 x!2 "))
    return;
  ChTx *tx = ch_tx_new (self);
  ch_tx_add (tx, NULL, "all");
  ch_tx_submit (tx, 0, again, text);
}

/* Closing finishes what is submitted; callbacks that go on submitting do not hold it. */
static void test_close (void)
{
  Fake fake;
  fake_set_up (&fake, FALSE);
  submit (&fake, "insert", 0, "a");
  submit (&fake, "insert", 0, "pausing");
  fake_complete (&fake, 1, failure (CH_STORE_ERROR_SERIALIZATION));
  g_main_context_iteration (NULL, TRUE);
  ChTx *tx = ch_tx_new (fake.user);
  ch_tx_add (tx, NULL, "all");
  ch_tx_submit (tx, 0, again, (gpointer) "x");
  ch_store_close (fake.services.store);
  g_assert_false (ch_store_is_up (fake.services.store));
  fake_expect (&fake, "a x x!2 pausing!2 x!2 x!2 x!2 ");
  fake_tear_down (&fake);
}

static void test_driver_stops (void)
{
  Fake fake;
  fake_set_up (&fake, FALSE);
  submit (&fake, "insert", 0, "a");
  fake_complete (&fake, 0, NULL);
  ch_owner_revoke_all (fake.driver_plugin);
  fake_expect (&fake, "a ");
  submit (&fake, "insert", 0, "b");
  fake_expect (&fake, "b!2 ");
  fake.open--;
  fake_tear_down (&fake);
}

static void test_closed (void)
{
  Fake fake;
  fake_set_up (&fake, TRUE);
  g_assert_true (ch_store_register (fake.user, NULL, fake_statements, NULL));
  submit (&fake, "insert", 0, "a");
  fake_expect (&fake, "a!2 ");
  g_assert_true (fake_open (&fake, NULL));
  submit (&fake, "insert", 0, "b");
  fake_complete (&fake, 0, NULL);
  fake_expect (&fake, "b ");
  fake_tear_down (&fake);
}

static void test_metrics (void)
{
  Fake fake;
  fake_set_up (&fake, FALSE);
  submit (&fake, "insert", 0, "a");
  fake_complete (&fake, 0, NULL);
  fake_expect (&fake, "a ");
  GString *text = ch_metrics_render (fake.services.metrics);
  static const char *const lines[] = {
      "chargehost_db_query_duration_seconds_count{query=\"orders.insert\"} 1",
      "chargehost_db_pool_wait_seconds_count 3",
      "chargehost_db_pool_connections{state=\"idle\"} 1",
      "chargehost_db_pool_connections{state=\"busy\"} 2",
      "chargehost_db_pool_connections{state=\"connecting\"} 0",
      "chargehost_db_retry_total 0",
      "chargehost_db_deadlock_total 0",
  };
  for (guint i = 0; i < G_N_ELEMENTS (lines); i++)
    if (strstr (text->str, lines[i]) == NULL)
      g_error ("no \"%s\" in %s", lines[i], text->str);
  g_string_free (text, TRUE);
  fake_tear_down (&fake);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/store/submit/order", test_order);
  g_test_add_func ("/store/submit/write-failure", test_write_failure);
  g_test_add_func ("/store/submit/thread", test_thread);
  g_test_add_func ("/store/submit/busy", test_busy);
  g_test_add_func ("/store/submit/deadline", test_deadline);
  g_test_add_func ("/store/submit/repeat", test_repeat);
  g_test_add_func ("/store/submit/repeat-order", test_repeat_order);
  g_test_add_func ("/store/submit/owner-stops", test_owner_stops);
  g_test_add_func ("/store/submit/stops-inside", test_stops_inside);
  g_test_add_func ("/store/submit/close", test_close);
  g_test_add_func ("/store/submit/driver-stops", test_driver_stops);
  g_test_add_func ("/store/submit/closed", test_closed);
  g_test_add_func ("/store/submit/metrics", test_metrics);
  return g_test_run ();
}
