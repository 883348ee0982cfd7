/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pile.h"
#include "core/order/order-number.h"
#include "core/order/orders.h"

#include <string.h>
#include <unistd.h>

#define AGAIN_MS 10500

static gint64 now_ms (const Pile *pile)
{
  return ch_now_ms (pile->queue->services.core->self);
}

void pile_init (Pile *pile, Queue *queue, guint n, gboolean core_numbers, gint64 *last_wh)
{
  *pile = (Pile) {.queue = queue, .fd = -1, .core_numbers = core_numbers};
  g_snprintf (pile->id, sizeof pile->id, "PILE%u", n);
  pile->charges = g_ptr_array_new_with_free_func (g_free);
  pile->reports = g_ptr_array_new ();
  pile->late = g_ptr_array_new_with_free_func (g_free);
  pile->last_number = n * 1000;
  pile->last_wh = last_wh;
}

void pile_clear (Pile *pile)
{
  pile_go (pile);
  g_ptr_array_unref (pile->reports);
  g_ptr_array_unref (pile->late);
  g_ptr_array_unref (pile->charges);
}

/* ---- what it says ---- */

static void say (Pile *pile, const char *text)
{
  if (pile->fd >= 0 && !queue_is_closed (pile->queue, pile->fd))
    queue_say (pile->queue, pile->fd, "%s", text);
  g_test_message ("%d %s%s says %s", (gint) (now_ms (pile) / 100), pile->id,
                  pile->fd < 0 ? " (in vain)" : "", text);
}

static void say_port (Pile *pile, guint port)
{
  const PileCharge *charge = pile->running[port];
  g_autofree char *line = charge != NULL
                              ? g_strdup_printf ("@port %s %u 2 %s %d", pile->id, port,
                                                 charge->number, (gint) charge->s)
                              : g_strdup_printf ("@port %s %u 1", pile->id, port);
  say (pile, line);
}

void pile_report_ports (Pile *pile)
{
  for (guint port = 0; port < PILE_PORTS; port++)
    say_port (pile, port);
}

void pile_report_progress (Pile *pile)
{
  for (guint port = 0; port < PILE_PORTS; port++) {
    const PileCharge *charge = pile->running[port];
    if (charge == NULL)
      continue;
    g_autofree char *line
        = g_strdup_printf ("@prog %s %u %s %d %d", pile->id, port, charge->number,
                           (gint) charge->wh, (gint) charge->s);
    say (pile, line);
  }
}

static void say_end (Pile *pile, const PileCharge *charge, guint tag)
{
  g_autofree char *line = g_strdup_printf (
      "@end %s %u %s %d %d %u %u", pile->id, charge->port, charge->number,
      (gint) charge->wh, (gint) charge->s, charge->reason, tag);
  say (pile, line);
}

void pile_rave (Pile *pile)
{
  static const char *const figures[]
      = {"-1 5", "9223372036854775807 9223372036854775807", "3 -9223372036854775807"};
  guint port = (guint) g_test_rand_int_range (0, PILE_PORTS);
  const char *figure = figures[g_test_rand_int_range (0, G_N_ELEMENTS (figures))];
  PileCharge *charge = pile->running[port];
  g_autofree char *line = NULL;

  switch (g_test_rand_int_range (0, 4)) {
  case 0: /* the end of a charge that never was, somewhere */
    line = g_strdup_printf ("@end %s %d w9%u %s 0", pile->id,
                            g_test_rand_int_range (-300, 300), ++pile->last_number,
                            figure);
    break;
  case 1:
    line = g_strdup_printf ("@start %s %d 70000 NONE%u", pile->id,
                            g_test_rand_int_range (16, 300), ++pile->last_number);
    break;
  case 2:
    line = g_strdup_printf ("@prog %s %u %s %s", pile->id, port,
                            charge != NULL ? charge->number : "w0", "-7 -7");
    break;
  default:
    line = g_strdup_printf ("@guess %s %u w9%u 5 5 99", pile->id, port,
                            ++pile->last_number);
  }
  say (pile, line);
}

void pile_repeat (Pile *pile)
{
  const PileCharge *charge
      = pile->charges->len > 0 ? g_ptr_array_index (
            pile->charges, g_test_rand_int_range (0, (gint) pile->charges->len))
                               : NULL;
  if (charge != NULL && charge->acked)
    say_end (pile, charge, 0);
}

/* ---- what it does ---- */

static PileCharge *begin (Pile *pile, guint port, const char *order_no)
{
  PileCharge *charge = g_new0 (PileCharge, 1);
  const ChOrder *order = ch_orders_find (pile->queue->services.core->orders, order_no);

  charge->port = port;
  g_strlcpy (charge->order_no, order_no, sizeof charge->order_no);
  if (!pile->core_numbers || *order_no == '\0')
    g_snprintf (charge->number, sizeof charge->number, "%s%u",
                pile->core_numbers ? "" : "w", ++pile->last_number);
  else
    g_snprintf (charge->number, sizeof charge->number, "%u",
                order != NULL ? order->d.business_no : ch_business_no_derive (order_no));
  pile->running[port] = charge;
  pile->begun_ms[port] = now_ms (pile);
  g_ptr_array_add (pile->charges, charge);
  return charge;
}

static void run_on (Pile *pile, guint port)
{
  PileCharge *charge = pile->running[port];
  if (charge == NULL)
    return;
  charge->s = (now_ms (pile) - pile->begun_ms[port]) / 1000;
  charge->wh = MAX (charge->wh, charge->s / 4);
}

static void end (Pile *pile, guint port, guint reason)
{
  PileCharge *charge = pile->running[port];
  run_on (pile, port);
  pile->running[port] = NULL;
  charge->reason = reason;
  *pile->last_wh = charge->wh = MAX (charge->wh, *pile->last_wh + 1);
  g_ptr_array_add (pile->reports, charge);
  if (pile->honest || g_test_rand_bit ())
    say_port (pile, port);
}

static void tell_reports (Pile *pile)
{
  if (pile->fd < 0 || pile->reports->len == 0
      || (pile->told_ms != 0 && now_ms (pile) - pile->told_ms < AGAIN_MS))
    return;
  pile->told_ms = MAX (now_ms (pile), 1);
  say_end (pile, g_ptr_array_index (pile->reports, 0), ++pile->tag);
}

void pile_live (Pile *pile)
{
  for (guint port = 0; port < PILE_PORTS; port++)
    run_on (pile, port);
  while (pile->fd >= 0 && pile->late->len > 0
         && (pile->honest || g_test_rand_int_range (0, 3) == 0)) {
    g_autofree char *line = g_ptr_array_steal_index (pile->late, 0);
    say (pile, line);
  }
  if (pile->honest || g_test_rand_bit ())
    tell_reports (pile);
}

void pile_press (Pile *pile, guint port)
{
  if (pile->running[port] != NULL) {
    end (pile, port, g_test_rand_bit () ? 0 : 1);
    return;
  }
  if (pile->fd < 0)
    return; /* its button asks the server */
  const PileCharge *charge = begin (pile, port, "");
  g_autofree char *line
      = g_strdup_printf ("@start %s %u %s", pile->id, port, charge->number);
  say (pile, line);
}

/* ---- what it hears ---- */

/* 0 answered, 1 the answer is lost, 2 it comes late. */
static void answer (Pile *pile, const char *line)
{
  gint fate = pile->honest ? 0 : g_test_rand_int_range (0, 8);
  if (fate < 6)
    say (pile, line);
  else if (fate == 7)
    g_ptr_array_add (pile->late, g_strdup (line));
}

static void answer_start (Pile *pile, guint number, const PileCharge *charge)
{
  g_autofree char *started
      = pile->core_numbers
            ? g_strdup_printf ("@start %s %u %s", pile->id, charge->port, charge->number)
            : g_strdup_printf ("@start %s %u %s %s", pile->id, charge->port,
                               charge->number, charge->order_no);
  g_autofree char *ack = g_strdup_printf ("@ack %s %u", pile->id, number);
  g_autofree char *both = g_strdup_printf ("%s\n%s", pile->core_numbers ? ack : started,
                                           pile->core_numbers ? started : ack);
  answer (pile, both);
}

static void obey (Pile *pile, const char *type, guint number, guint port,
                  const char *order_no)
{
  gint mood = pile->honest ? 0 : g_test_rand_int_range (0, 10);
  g_autofree char *ack = g_strdup_printf ("@ack %s %u", pile->id, number);
  g_autofree char *no = g_strdup_printf ("@no %s %u 1", pile->id, number);

  if (mood == 9)
    return; /* it did not get there */
  if (g_str_equal (type, "StartCharge")) {
    if (mood == 8 || pile->running[port] != NULL)
      answer (pile, no);
    else
      answer_start (pile, number, begin (pile, port, order_no));
  } else if (g_str_equal (type, "StopCharge")) {
    if (mood == 8 || pile->running[port] == NULL) {
      answer (pile, no);
    } else {
      end (pile, port, 9);
      answer (pile, ack);
    }
  } else {
    if (mood < 7)
      pile_report_ports (pile);
    answer (pile, ack);
  }
}

/* −1: its choice, sometimes a port that others believe to be in use. */
static guint place (const Pile *pile, gint port)
{
  if (port >= 0)
    return (guint) port % PILE_PORTS;
  return pile->running[0] != NULL ? 1 : 0;
}

static void stored (Pile *pile, guint tag)
{
  if (tag != pile->tag || pile->reports->len == 0 || pile->told_ms == 0)
    return; /* the answer to an older telling */
  if (!pile->honest && g_test_rand_int_range (0, 6) == 0)
    return; /* lost */
  PileCharge *charge = g_ptr_array_steal_index (pile->reports, 0);
  charge->acked = TRUE;
  pile->told_ms = 0;
}

void pile_hear (Pile *pile)
{
  if (pile->fd < 0)
    return;
  g_autofree char *text = queue_heard (pile->queue, pile->fd);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++) {
    if (lines[i][0] != '\0')
      g_test_message ("%d %s hears %s", (gint) (now_ms (pile) / 100), pile->id, lines[i]);
    g_auto (GStrv) words = g_strsplit (lines[i], " ", 6);
    guint n = g_strv_length (words);
    if (n == 3 && g_str_equal (words[0], "stored"))
      stored (pile, (guint) atoi (words[2]));
    else if (n == 6)
      obey (pile, words[0], (guint) g_ascii_strtoull (words[1], NULL, 10),
            place (pile, atoi (words[4])), words[5]);
  }
  if (queue_is_closed (pile->queue, pile->fd))
    pile_go (pile);
}

/* ---- its connection ---- */

void pile_go (Pile *pile)
{
  if (pile->fd >= 0)
    close (pile->fd);
  pile->fd = -1;
  pile->told_ms = 0;
  g_ptr_array_set_size (pile->late, 0);
  queue_settle (pile->queue);
}

void pile_come (Pile *pile)
{
  pile_go (pile);
  pile->fd = queue_connect (pile->queue);
  queue_say (pile->queue, pile->fd, "@on %s", pile->id);
  if (pile->honest || g_test_rand_bit ())
    pile_report_ports (pile);
}

gboolean pile_is_quiet (const Pile *pile)
{
  for (guint port = 0; port < PILE_PORTS; port++)
    if (pile->running[port] != NULL)
      return FALSE;
  return pile->reports->len == 0;
}
