/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every cell of the state machine, written down a second time as in gateway 1.5.4. */
#include "core/order/order-machine.h"
#include "core/order/order-number.h"
#include "core/order/tariff.h"

#include <string.h>

typedef struct {
  guint transition;
  const char *from;
  gboolean provisional_before;
  const char *event;
  const char *to;
} Row;

static const Row ROWS[] = {
    {2, "pending", FALSE, "ack", "confirmed"},
    {3, "pending", FALSE, "started", "charging"},
    {3, "confirmed", FALSE, "started", "charging"},
    {4, "pending", FALSE, "rejected", "failed"},
    {5, "pending", FALSE, "not_sent", "failed"},
    {6, "pending", FALSE, "pending_timeout", "timeout"},
    {7, "pending", FALSE, "cancel", "cancelling"},
    {7, "confirmed", FALSE, "cancel", "cancelling"},
    {8, "confirmed", FALSE, "confirmed_timeout", "failed"},
    {9, "charging", FALSE, "stop", "stopping"},
    {10, "charging", FALSE, "end", "completed"},
    {11, "charging", FALSE, "end_stopped", "stopped"},
    {12, "charging", FALSE, "fault_wait", "failed"},
    {13, "charging", FALSE, "lost", "interrupted"},
    {13, "stopping", FALSE, "lost", "interrupted"},
    {14, "interrupted", FALSE, "back", "charging"},
    {15, "interrupted", FALSE, "end", "completed"},
    {15, "interrupted", FALSE, "end_stopped", "stopped"},
    {16, "interrupted", FALSE, "recover_timeout", "failed"},
    {17, "interrupted", FALSE, "offline_deadline", "failed"},
    {18, "stopping", FALSE, "end_stopped", "stopped"},
    {19, "stopping", FALSE, "end", "completed"},
    {20, "stopping", FALSE, "stop_wait", "stopped"},
    {21, "stopping", FALSE, "stop_retry", "stopping"},
    {22, "stopping", FALSE, "stop_max", "stopped"},
    {23, "stopping", FALSE, "device_fault", "failed"},
    {24, "cancelling", FALSE, "cancelled", "cancelled"},
    {25, "cancelling", FALSE, "end", "completed"},
    {25, "cancelling", FALSE, "end_stopped", "stopped"},
    {26, "cancelling", FALSE, "device_fault", "failed"},
    {27, "pending", FALSE, "end", "completed"},
    {27, "pending", FALSE, "end_stopped", "stopped"},
    {27, "confirmed", FALSE, "end", "completed"},
    {27, "confirmed", FALSE, "end_stopped", "stopped"},
    {28, "completed", TRUE, "end", "completed"},
    {28, "completed", TRUE, "end_stopped", "stopped"},
    {28, "timeout", TRUE, "end", "completed"},
    {28, "timeout", TRUE, "end_stopped", "stopped"},
    {28, "cancelled", TRUE, "end", "completed"},
    {28, "cancelled", TRUE, "end_stopped", "stopped"},
    {28, "failed", TRUE, "end", "completed"},
    {28, "failed", TRUE, "end_stopped", "stopped"},
    {28, "stopped", TRUE, "end", "completed"},
    {28, "stopped", TRUE, "end_stopped", "stopped"},
    {30, "interrupted", FALSE, "stop", "interrupted"},
    {31, "pending", FALSE, "force_settle", "completed"},
    {31, "pending", FALSE, "force_fail", "failed"},
    {31, "confirmed", FALSE, "force_settle", "completed"},
    {31, "confirmed", FALSE, "force_fail", "failed"},
    {31, "charging", FALSE, "force_settle", "completed"},
    {31, "charging", FALSE, "force_fail", "failed"},
    {31, "stopping", FALSE, "force_settle", "completed"},
    {31, "stopping", FALSE, "force_fail", "failed"},
    {31, "cancelling", FALSE, "force_settle", "completed"},
    {31, "cancelling", FALSE, "force_fail", "failed"},
    {31, "interrupted", FALSE, "force_settle", "completed"},
    {31, "interrupted", FALSE, "force_fail", "failed"},
    {31, "pending", FALSE, "duplicate", "failed"},
    {31, "confirmed", FALSE, "duplicate", "failed"},
    {31, "charging", FALSE, "duplicate", "failed"},
    {31, "stopping", FALSE, "duplicate", "failed"},
    {31, "cancelling", FALSE, "duplicate", "failed"},
    {31, "interrupted", FALSE, "duplicate", "failed"},
    {32, "failed", TRUE, "revived", "charging"},
    {33, "charging", FALSE, "abandoned", "failed"},
    {33, "stopping", FALSE, "abandoned", "failed"},
};

static const Row *row_of (const char *from, gboolean provisional, const char *event)
{
  for (guint i = 0; i < G_N_ELEMENTS (ROWS); i++) {
    ChOrderStatus status;
    g_assert_true (ch_order_status_parse (ROWS[i].from, &status));
    /* An active state has no mark: what is provisional does not matter there. */
    gboolean mark
        = ch_order_status_is_active (status) ? provisional : ROWS[i].provisional_before;
    if (g_str_equal (ROWS[i].from, from) && g_str_equal (ROWS[i].event, event)
        && mark == provisional)
      return &ROWS[i];
  }
  return NULL;
}

static void test_every_cell (void)
{
  guint allowed = 0;
  for (gint s = 0; s < CH_ORDER_N; s++)
    for (gint e = 0; e < CH_ORDER_EVENT_N; e++)
      for (gint p = 0; p < 2; p++) {
        const char *from = ch_order_status_name ((ChOrderStatus) s);
        const char *event = ch_order_event_name ((ChOrderEvent) e);
        const ChOrderCell *cell
            = ch_order_machine_cell ((ChOrderStatus) s, p, (ChOrderEvent) e);
        const Row *row = row_of (from, p, event);
        g_test_message ("%s, %s, provisional %d", from, event, p);
        g_assert_true ((cell != NULL) == (row != NULL));
        if (cell == NULL)
          continue;
        allowed++;
        g_assert_cmpuint (cell->transition, ==, row->transition);
        g_assert_cmpstr (ch_order_status_name ((ChOrderStatus) cell->to), ==, row->to);
      }
  g_assert_cmpuint (allowed, >, G_N_ELEMENTS (ROWS));
}

/* What a timer decided may be corrected; what the device said is final. */
static void test_marks (void)
{
  static const ChOrderEvent by_time[] = {
      CH_ORDER_EVENT_PENDING_TIMEOUT,  CH_ORDER_EVENT_CONFIRMED_TIMEOUT,
      CH_ORDER_EVENT_FAULT_WAIT,       CH_ORDER_EVENT_STOP_WAIT,
      CH_ORDER_EVENT_STOP_MAX,         CH_ORDER_EVENT_RECOVER_TIMEOUT,
      CH_ORDER_EVENT_OFFLINE_DEADLINE, CH_ORDER_EVENT_ABANDONED,
      CH_ORDER_EVENT_DEVICE_FAULT,     CH_ORDER_EVENT_DUPLICATE,
  };
  for (gint s = 0; s < CH_ORDER_N; s++)
    for (gint e = 0; e < CH_ORDER_EVENT_N; e++) {
      const ChOrderCell *cell
          = ch_order_machine_cell ((ChOrderStatus) s, FALSE, (ChOrderEvent) e);
      gboolean timed = FALSE;
      for (guint i = 0; i < G_N_ELEMENTS (by_time); i++)
        timed |= by_time[i] == (ChOrderEvent) e;
      if (cell != NULL)
        g_assert_true (((cell->effects & CH_ORDER_EFFECT_PROVISIONAL) != 0) == timed);
      /* Every end that had a charge is settled. */
      if (cell != NULL && (e == CH_ORDER_EVENT_END || e == CH_ORDER_EVENT_END_STOPPED))
        g_assert_true ((cell->effects & CH_ORDER_EFFECT_SETTLE) != 0);
    }
}

static void test_names (void)
{
  ChOrderStatus status;
  g_assert_true (ch_order_status_parse ("10", &status));
  g_assert_cmpint (status, ==, CH_ORDER_INTERRUPTED);
  g_assert_false (ch_order_status_parse ("11", &status));
  g_assert_false (ch_order_status_parse ("", &status));
  g_assert_false (ch_order_status_parse ("Charging", &status));
  for (gint e = 0; e < CH_ORDER_EVENT_N; e++)
    g_assert_cmpuint (strlen (ch_order_event_name ((ChOrderEvent) e)), >, 0);
}

/* Vectors of gateway 1.4, Tariff. */
static void test_tariff (void)
{
  static const struct {
    gint64 energy_wh, total;
  } vectors[] = {{1250, 66}, {300, 16}, {620, 33}, {0, 0}, {-5, 0}};
  for (guint i = 0; i < G_N_ELEMENTS (vectors); i++)
    g_assert_cmpint (
        ch_tariff_amount (vectors[i].energy_wh, 50, 50, 0, CH_UNSET).total_cent, ==,
        vectors[i].total);
  ChAmount amount = ch_tariff_amount (1250, 50, 50, 0, CH_UNSET);
  g_assert_cmpint (amount.electricity_cent, ==, 63);
  g_assert_cmpint (amount.service_cent, ==, 3);
  g_assert_cmpint (ch_tariff_amount (1250, 50, 50, 100, CH_UNSET).total_cent, ==, 100);
  g_assert_cmpint (ch_tariff_amount (0, 50, 50, 100, CH_UNSET).total_cent, ==, 0);
  g_assert_cmpint (ch_tariff_amount (1250, 50, 50, 0, 40).total_cent, ==, 40);
  g_assert_cmpint (ch_tariff_amount (G_MAXINT32, 100000, 1000, 0, CH_UNSET).total_cent,
                   ==, G_GINT64_CONSTANT (429496729400));
}

/* Vectors of gateway 1.5.2. */
static void test_business_numbers (void)
{
  char text[5];
  g_assert_cmpstr (ch_business_no_text (ch_business_no_derive ("ORDER-XYZ"), text), ==,
                   "FF06");
  g_assert_cmpstr (ch_business_no_text (ch_business_no_derive ("ORD20250106001"), text),
                   ==, "0ECC");
  g_assert_cmpstr (ch_business_no_text (ch_business_no_derive ("T"), text), ==, "0054");
  g_assert_cmpuint (ch_business_no_next (65535), ==, 1);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/order/machine/every-cell", test_every_cell);
  g_test_add_func ("/order/machine/marks", test_marks);
  g_test_add_func ("/order/names", test_names);
  g_test_add_func ("/order/tariff", test_tariff);
  g_test_add_func ("/order/business-numbers", test_business_numbers);
  return g_test_run ();
}
