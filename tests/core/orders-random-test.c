/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A long mixed life of orders: piles that obey or not, whose answers come, come late or
 * get lost; people who start, stop, cancel and close by hand; a store that is slow,
 * silent or away, a kv that is away; deaths of the process. After each episode all comes
 * to rest, and what the piles really did is compared with what the store says: every
 * charge is there once, with its energy, at the order that it was for; nothing is open.
 *
 * --episodes N lives longer, --seed another life.
 */
#include "core/fact/journal.h"
#include "core/order/orders.h"
#include "core/outbound/outbound-private.h"
#include "pile.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define PILES 3
#define STEPS 120
#define REST_S 900

static guint episodes = 6;
/* of the protocol of lines */
static ChCommandState (*send_command) (ChPlugin *, gpointer, ChConn, const ChCommand *);

typedef struct {
  Queue *queue;
  Pile piles[PILES];
  GPtrArray *order_nos;
  GHashTable *forced;   /* numbers of orders that were closed by hand */
  GHashTable *finished; /* ids of commands that had their end */
  gint64 last_wh;
  guint asked, answered;
  guint faults;
} World;

#define NOTE(...) g_test_message (__VA_ARGS__)

static void fault (World *world, const char *format, ...) G_GNUC_PRINTF (2, 3);

static void fault (World *world, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_test_message ("FAULT: %s", text);
  world->faults++;
}

/* ---- what must hold at any time ---- */

/* No start goes out for an order that is over, or whose end waits in the journal. */
static ChCommandState watched_command (ChPlugin *self, gpointer session, ChConn conn,
                                       const ChCommand *c)
{
  Queue *queue = ch_plugin_data (self);
  if (c->type == CH_COMMAND_START_CHARGE) {
    const ChOrder *order = ch_orders_find (queue->services.core->orders, c->order_no);
    g_assert_nonnull (order);
    g_assert_cmpuint (order->d.status, <=, CH_ORDER_CONFIRMED);
    g_assert_false (order->is_journalled);
  }
  return send_command (self, session, conn, c);
}

static void on_finished (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                         gpointer user_data)
{
  World *world = user_data;
  const ChCommandFinishedEvent *e = (const ChCommandFinishedEvent *) event;
  if (!e->late && !g_hash_table_add (world->finished, g_strdup (e->command_id)))
    fault (world, "%s %s of %s ended twice", e->type, e->command_id, e->order_no);
}

static void listen_to (World *world)
{
  ch_subscribe (world->queue->caller, "command.finished", NULL, on_finished, world);
}

/* ---- people ---- */

static void on_answer (ChPlugin *self, const json_t *data, const GError *error,
                       gpointer user_data)
{
  ((World *) user_data)->answered++;
  g_autofree char *text = data != NULL ? json_dumps (data, JSON_COMPACT) : NULL;
  NOTE ("answer %s", text != NULL ? text : error->message);
}

static const char *some_order (World *world)
{
  gint n = (gint) world->order_nos->len;
  return n == 0 ? "NONE"
                : g_ptr_array_index (world->order_nos,
                                     g_test_rand_int_range (MAX (0, n - 6), n));
}

static void start (World *world)
{
  ChStartRequest request = CH_START_REQUEST_INIT;
  gboolean again = g_test_rand_int_range (0, 6) == 0 && world->order_nos->len > 0;

  if (!again)
    g_ptr_array_add (world->order_nos,
                     g_strdup_printf ("R%u", world->order_nos->len + 1));
  request.device = world->piles[g_test_rand_int_range (0, PILES)].id;
  request.socket_no = 0;
  request.port_no = g_test_rand_int_range (world->piles[0].core_numbers ? -1 : 0,
                                           PILE_PORTS); /* −1: the pile's choice */
  request.charge_mode = 1;
  request.amount_cent = 500;
  request.duration_minutes = 60;
  request.order_no
      = again ? some_order (world)
              : g_ptr_array_index (world->order_nos, world->order_nos->len - 1);
  NOTE ("start %s at %s/%d", request.order_no, request.device, (gint) request.port_no);
  world->asked++;
  ch_core_start_charge (world->queue->caller, &request, NULL,
                        g_test_rand_bit () ? 5000 : 0, on_answer, world);
}

static void stop (World *world)
{
  const ChStopRequest request
      = {.order_no = some_order (world), .socket_no = CH_UNSET, .port_no = CH_UNSET};
  NOTE ("stop %s", request.order_no);
  world->asked++;
  ch_core_stop_charge (world->queue->caller, &request, NULL,
                       g_test_rand_bit () ? 5000 : 0, on_answer, world);
}

static void cancel (World *world)
{
  const char *order_no = some_order (world);
  NOTE ("cancel %s", order_no);
  world->asked++;
  ch_core_cancel_order (world->queue->caller, order_no, NULL, NULL, on_answer, world);
}

static void force (World *world)
{
  gboolean settle = g_test_rand_bit ();
  const ChForceRequest request = {.order_no = some_order (world),
                                  .settle = settle,
                                  .energy_wh = CH_UNSET,
                                  .duration_s = CH_UNSET,
                                  .end_reason = CH_UNSET,
                                  .comment = "by hand"};
  g_hash_table_add (world->forced, g_strdup (request.order_no));
  NOTE ("force %s", request.order_no);
  world->asked++;
  ch_core_force_order (world->queue->caller, &request, NULL, on_answer, world);
}

/* ---- the machine room ---- */

static void store (World *world)
{
  Queue *queue = world->queue;
  NOTE ("store hold %d away %d", queue->hold, queue->is_away);
  if (queue->hold)
    queue_release (queue, g_test_rand_int_range (0, 3) == 0);
  else if (queue->is_away)
    queue_away (queue, FALSE);
  else if (g_test_rand_bit ())
    queue_hold (queue);
  else
    queue_away (queue, TRUE);
}

static void repair (World *world)
{
  Queue *queue = world->queue;
  queue_away (queue, FALSE);
  if (queue->hold)
    queue_release (queue, g_test_rand_bit ());
  ch_kv_set_up (queue->kv_driver, TRUE);
  queue->next_state = CH_COMMAND_SENT;
}

static void die (World *world)
{
  Queue *queue = world->queue;
  gboolean away = queue->is_away;
  NOTE ("the process dies");
  for (guint s = 0; s < 120 && world->asked != world->answered; s++)
    queue_advance (queue, 1000); /* nobody waits any more */
  queue_away (queue, FALSE);     /* it could not start */
  if (queue->hold)
    queue_release (queue, g_test_rand_bit ());
  queue_away (queue, away && g_test_rand_bit ());
  for (guint i = 0; i < PILES; i++)
    pile_go (&world->piles[i]);
  queue_stop (queue);
  world->asked = world->answered = 0;        /* nobody waits any more */
  g_hash_table_remove_all (world->finished); /* an end that no row tells of comes again */
  queue->is_away = FALSE;
  queue_start (queue);
  listen_to (world);
}

static void go_on (World *world, gint64 ms)
{
  for (guint n = 1; ms > 0; n++) {
    gint64 step = MIN (ms, 500);
    ch_clock_advance_ms (world->queue->services.clock, step);
    queue_settle (world->queue);
    ms -= step;
    for (guint i = 0; i < PILES && (ms <= 0 || n % 4 == 0); i++) {
      pile_live (&world->piles[i]);
      pile_hear (&world->piles[i]);
    }
  }
}

/* ---- an episode ---- */

static void step (World *world)
{
  Pile *pile = &world->piles[g_test_rand_int_range (0, PILES)];
  gint what = g_test_rand_int_range (0, 100);

  if (what < 16)
    start (world);
  else if (what < 22)
    stop (world);
  else if (what < 25)
    cancel (world);
  else if (what < 27)
    force (world);
  else if (what < 31)
    pile_press (pile, (guint) g_test_rand_int_range (0, PILE_PORTS));
  else if (what < 36)
    pile_report_ports (pile);
  else if (what < 40)
    pile_report_progress (pile);
  else if (what < 42)
    pile_repeat (pile);
  else if (what < 43)
    pile_rave (pile);
  else if (what < 50)
    pile_come (pile);
  else if (what < 53)
    pile_go (pile);
  else if (what < 57)
    store (world);
  else if (what < 59)
    ch_kv_set_up (world->queue->kv_driver, g_test_rand_int_range (0, 3) > 0);
  else if (what < 60)
    world->queue->next_state
        = g_test_rand_int_range (0, 4) == 0 ? CH_COMMAND_NOT_SENT : CH_COMMAND_SENT;
  else if (what < 61)
    die (world);
  else
    go_on (world, g_test_rand_int_range (0, 12) == 0
                      ? g_test_rand_int_range (20000, 90000)
                      : g_test_rand_int_range (100, 6000));
  queue_settle (world->queue);
}

static gboolean is_quiet (World *world)
{
  gboolean quiet = TRUE;
  for (guint i = 0; i < PILES; i++)
    quiet &= pile_is_quiet (&world->piles[i]);
  g_autofree char *open = queue_sql (
      world->queue, "SELECT count(*) FROM orders WHERE status IN (0, 1, 2, 8, 9, 10)");
  return quiet && g_str_equal (open, "0") && world->asked == world->answered;
}

/* All is well from now on; charges end, and everything is told. */
static void rest (World *world)
{
  guint tries = 4; /* a query may just be under way */
  NOTE ("all is well");
  repair (world);
  for (guint i = 0; i < PILES; i++) {
    world->piles[i].honest = TRUE;
    pile_come (&world->piles[i]);
  }
  for (guint s = 0; s < REST_S && !is_quiet (world); s += 5) {
    for (guint i = 0; i < PILES; i++) {
      Pile *pile = &world->piles[i];
      if (pile->fd < 0)
        pile_come (pile);
      for (guint port = 0; s > 60 && port < PILE_PORTS; port++)
        if (pile->running[port] != NULL)
          pile_press (pile, port);
      if (s % 30 == 0)
        pile_report_ports (pile);
    }
    go_on (world, 5000);
  }
  const ChOutbound *outbound = world->queue->services.core->outbound;
  do
    go_on (world, 30000);
  while (outbound->n_waiting + outbound->n_flight > 0 && --tries > 0);
  for (guint i = 0; i < PILES; i++)
    world->piles[i].honest = FALSE;
}

/* ---- what must hold in the end ---- */

static gint64 number_of (World *world, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gint64 number_of (World *world, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *sql = g_strdup_vprintf (format, args);
  va_end (args);
  g_autofree char *value = queue_sql (world->queue, sql);
  return g_ascii_strtoll (value, NULL, 10);
}

static char *show (World *world, const char *where)
{
  g_autofree char *sql = g_strdup_printf (
      "SELECT group_concat (order_no || ' ' || source || ' port ' || port_no || ' wire ' "
      "||"
      " coalesce (wire_order, '-') || ' alias ' || coalesce (alias_wire_order, '-') ||"
      " ' no ' || business_no || ' state ' || status || ' prov ' || provisional || ' ' ||"
      " energy_wh || ' Wh ' || coalesce (failure_reason, '-') || ' ' || status_history,"
      " char (10)) FROM orders WHERE %s",
      where);
  return queue_sql (world->queue, sql);
}

/*
 * Of two executions of a start one is known; and nobody asks an order that was closed by
 * hand for the number of its charge.
 */
static gboolean may_stand_alone (World *world, const Pile *pile, const PileCharge *charge)
{
  guint n = 0;
  if (charge->order_no[0] == '\0'
      || g_hash_table_contains (world->forced, charge->order_no))
    return TRUE;
  for (guint i = 0; i < pile->charges->len; i++) {
    const PileCharge *other = g_ptr_array_index (pile->charges, i);
    n += g_str_equal (other->order_no, charge->order_no);
  }
  return n > 1;
}

/* Its energy stands in one place: in an order, or beside one. */
static void check_charge (World *world, const Pile *pile, const PileCharge *charge)
{
  g_autofree char *mine = g_strdup_printf (
      "energy_wh = %d AND device_id = (SELECT id FROM devices WHERE phy_id = '%s')",
      (gint) charge->wh, pile->id);
  g_autofree char *beside
      = g_strdup_printf ("energy_wh = %d AND phy_id = '%s'", (gint) charge->wh, pile->id);
  gint64 n = number_of (world, "SELECT count(*) FROM orders WHERE %s", mine);
  gint64 kept = number_of (world, "SELECT count(*) FROM order_reports WHERE %s", beside);
  gint64 right
      = number_of (world,
                   "SELECT (SELECT count(*) FROM orders WHERE %s AND order_no = '%s')"
                   " + (SELECT count(*) FROM order_reports WHERE %s AND order_no = '%s')",
                   mine, charge->order_no, beside, charge->order_no);

  if (n + kept == 1 && (right == 1 || may_stand_alone (world, pile, charge)))
    return;
  g_autofree char *own = g_strdup_printf (
      "order_no = '%s' OR wire_order = '%s' OR alias_wire_order = '%s' OR (%s)",
      charge->order_no, charge->number, charge->number, mine);
  g_autofree char *text = show (world, own);
  fault (world,
         "%s/%u number %s of order '%s', %d Wh %d s: %d orders, %d beside, %d right"
         "\n%s",
         pile->id, charge->port, charge->number, charge->order_no, (gint) charge->wh,
         (gint) charge->s, (gint) n, (gint) kept, (gint) right, text);
}

static void check_none (World *world, const char *what, const char *table,
                        const char *where)
{
  gint64 n = number_of (world, "SELECT count(*) FROM %s WHERE %s", table, where);
  if (n == 0)
    return;
  g_autofree char *text
      = g_str_equal (table, "orders") ? show (world, where) : g_strdup ("");
  fault (world, "%s: %d\n%s", what, (gint) n, text);
}

static void check (World *world)
{
  const ChCore *core = world->queue->services.core;

  for (guint i = 0; i < PILES; i++) {
    Pile *pile = &world->piles[i];
    if (!pile_is_quiet (pile))
      fault (world, "%s: %u reports are not answered", pile->id, pile->reports->len);
    for (guint k = 0; k < pile->charges->len; k++) {
      PileCharge *charge = g_ptr_array_index (pile->charges, k);
      if (charge->acked)
        check_charge (world, pile, charge);
    }
    g_ptr_array_set_size (pile->charges, 0);
    if (queue_device (world->queue, pile->id)->orders != NULL)
      fault (world, "%s has orders in memory", pile->id);
  }
  check_none (world, "open", "orders", "status IN (0, 1, 2, 8, 9, 10)");
  check_none (
      world, "amounts", "orders",
      "amount_cent < 0 OR amount_cent > coalesce (amount_limit_cent, 1000000000000)"
      " OR energy_wh < 0 OR energy_wh > 1000000000 OR duration_s < 0 OR duration_s >"
      " 1000000000 OR (status IN (3, 7) AND amount_cent != min"
      " (coalesce (amount_limit_cent, 1000000000000), electricity_cent +"
      " service_cent))");
  check_none (
      world, "one number twice", "orders",
      "wire_order IN (SELECT wire_order FROM orders GROUP BY device_id, wire_order"
      " HAVING count(*) > 1)");
  check_none (world, "commands left", "outbound_queue", "status IN (0, 1)");
  check_none (world, "created twice", "events",
              "event_type = 'order.created' GROUP BY order_no HAVING count(*) > 1");
  if (ch_journal_pending (core->journal) > 0)
    fault (world, "the journal is not empty");
  if (world->asked != world->answered)
    fault (world, "%u requests, %u answers", world->asked, world->answered);
  if (core->outbound->n_waiting + core->outbound->n_flight > 0)
    fault (world, "%u commands wait, %u are under way", core->outbound->n_waiting,
           core->outbound->n_flight);
}

static void live (const char *const *options, gboolean core_numbers)
{
  World world = {.queue = queue_new_orders (options)};

  g_random_set_seed ((guint32) g_test_rand_int ());
  signal (SIGPIPE, SIG_IGN);
  world.order_nos = g_ptr_array_new_with_free_func (g_free);
  world.forced = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  world.finished = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  world.queue->send_buffer = 1 << 18;
  send_command = world.queue->protocol.command;
  world.queue->protocol.command = watched_command;
  world.last_wh = 5000;
  listen_to (&world);
  for (guint i = 0; i < PILES; i++) {
    pile_init (&world.piles[i], world.queue, i + 1, core_numbers, &world.last_wh);
    pile_come (&world.piles[i]);
  }
  for (guint episode = 0; episode < episodes && world.faults == 0; episode++) {
    for (guint i = 0; i < STEPS; i++)
      step (&world);
    rest (&world);
    check (&world);
  }
  g_assert_cmpuint (world.faults, ==, 0);
  for (guint i = 0; i < PILES; i++)
    pile_clear (&world.piles[i]);
  g_ptr_array_unref (world.order_nos);
  g_hash_table_unref (world.forced);
  g_hash_table_unref (world.finished);
  queue_free (world.queue);
}

#define COMMON                                                                           \
  "tcp.flapping.enabled=false", "proto-lines.takeover_limit=10000",                      \
      "proto-lines.charges_offline=true", "proto-lines.stop_wait_end_s=30"

static void device_numbers (void)
{
  live ((const char *const[]) {COMMON, "proto-lines.ack_means_on=true",
                               "proto-lines.order_key=device", NULL},
        FALSE);
}

static void core_numbers (void)
{
  live ((const char *const[]) {COMMON, "proto-lines.auto_port=true", NULL}, TRUE);
}

int main (int argc, char **argv)
{
  for (gint i = 1; i + 1 < argc; i++)
    if (g_str_equal (argv[i], "--episodes"))
      episodes = (guint) atoi (argv[i + 1]);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/orders-random/device-numbers", device_numbers);
  g_test_add_func ("/orders-random/core-numbers", core_numbers);
  return g_test_run ();
}
