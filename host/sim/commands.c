/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands of the server (bkv 16.3): what they do, and repeats. */
#include "report.h"

#include <string.h>

#define ANSWER (200 * SIM_MS)
#define START_ANSWER (1 * SIM_SECOND)
#define STOP_REPORT (500 * SIM_MS) /* 0.3 s after the answer */
#define REPEAT_WINDOW_MS 60000
#define MAX_MINUTES 900

/* Fills in @out; FALSE: there is nothing to answer. */
typedef gboolean (*Handler) (SimGateway *gateway, const BkvFrame *in, BkvFrame *out);

/* ---- start and stop --------------------------------------------------------------- */

static void fill_ack (BkvFrame *out, guint8 result, guint8 socket, guint8 port,
                      guint16 number)
{
  out->control_ack = (BkvControlAck) {
      .result = result, .socket = socket, .port = port, .business_no = number};
}

static gboolean start (SimGateway *gateway, guint8 number, guint8 port,
                       const SimTarget *target, guint16 *business_no)
{
  SimSocket *socket = socket_find (gateway, number);

  *business_no = 0;
  if (!charging_possible (gateway, socket, port)) {
    gateway->sim->counters.starts_refused++;
    return FALSE;
  }
  *business_no = charging_number (gateway, socket, port);
  charging_start (gateway, socket, port, target, *business_no, START_ANSWER);
  return TRUE;
}

static gboolean stop (SimGateway *gateway, const BkvControl *control, BkvFrame *out)
{
  SimSocket *socket = socket_find (gateway, control->socket);
  SimOutlet *outlet = socket != NULL && control->port < SIM_OUTLETS
                          ? &socket->outlets[control->port]
                          : NULL;

  if (outlet == NULL || outlet->charge == NULL) {
    fill_ack (out, 0, control->socket, control->port, 0);
    return TRUE;
  }
  gateway->sim->counters.stops++;
  fill_ack (out, 1, control->socket, control->port, outlet->charge->business_no);
  if (!outlet->stuck)
    charging_stop (gateway, socket, control->port, SIM_END_STOPPED, STOP_REPORT);
  return TRUE;
}

static gboolean control (SimGateway *gateway, const BkvFrame *in, BkvFrame *out)
{
  const BkvControl *c = &in->control;
  SimTarget target = {.mode = c->mode == 1 ? SIM_BY_TIME : SIM_BY_ENERGY,
                      .minutes = c->minutes,
                      .energy = c->energy};
  guint16 number = 0;
  gboolean ok;

  if (c->switch_on == 0)
    return stop (gateway, c, out);
  ok = c->switch_on == 1
       && ((c->mode == 1 && c->minutes >= 1 && c->minutes <= MAX_MINUTES)
           || (c->mode == 0 && c->energy > 0));
  if (ok)
    ok = start (gateway, c->socket, c->port, &target, &number);
  else
    gateway->sim->counters.starts_refused++;
  fill_ack (out, ok ? 1 : 0, c->socket, c->port, number);
  return TRUE;
}

static gboolean steps_are_good (const BkvStep *steps, guint n)
{
  if (n == 0 || n > SIM_STEPS)
    return FALSE;
  for (guint i = 0; i < n; i++)
    if (steps[i].price == 0 || steps[i].minutes == 0
        || (i > 0 && steps[i].power_limit <= steps[i - 1].power_limit))
      return FALSE;
  return TRUE;
}

static gboolean power_start (SimGateway *gateway, const BkvFrame *in, BkvFrame *out)
{
  const BkvPowerStart *p = &in->power_start;
  SimTarget target = {.mode = SIM_BY_STEPS, .amount = p->amount, .n_steps = p->n_levels};
  guint16 number = 0;
  gboolean ok = p->amount > 0 && steps_are_good (p->levels, p->n_levels);

  out->cmd = in->cmd; /* some firmware has it under 0x0005 */
  if (ok) {
    memcpy (target.steps, p->levels, p->n_levels * sizeof *p->levels);
    ok = start (gateway, p->socket, p->port, &target, &number);
  } else
    gateway->sim->counters.starts_refused++;
  fill_ack (out, ok ? 1 : 0, p->socket, p->port, number);
  return TRUE;
}

static SimFees *fees_new (const BkvItems *items)
{
  if (items->n_fee_periods == 0 || items->n_fee_periods > SIM_FEE_PERIODS)
    return NULL;
  const BkvFeePeriod *last = &items->fee_periods[items->n_fee_periods - 1];
  if (last->end_hour != 23 || last->end_min != 59)
    return NULL;
  SimFees *fees = g_new0 (SimFees, 1);
  fees->n = items->n_fee_periods;
  fees->type = BKV_HAS (items, ITEM, fee_type) ? items->fee_type : 0;
  fees->mode = BKV_HAS (items, ITEM, mode) ? items->mode : 4;
  memcpy (fees->periods, items->fee_periods, fees->n * sizeof *fees->periods);
  return fees;
}

static gboolean fee_start (SimGateway *gateway, const BkvFrame *in, BkvFrame *out)
{
  const BkvItems *items = &in->items;
  guint8 port = items->port;
  SimTarget target = {.mode = SIM_BY_FEES,
                      .amount = BKV_HAS (items, ITEM, fee_amount) ? items->fee_amount : 0,
                      .fees = fees_new (items)};
  guint16 number = 0;
  gboolean ok = target.fees != NULL && BKV_HAS (items, ITEM, socket)
                && BKV_HAS (items, ITEM, port)
                && start (gateway, items->socket, port, &target, &number);

  if (!ok)
    g_free (target.fees);
  BKV_SET (&out->items, ITEM, socket, items->socket);
  BKV_SET (&out->items, ITEM, port, port);
  if (ok)
    BKV_SET (&out->items, ITEM, business_no, number);
  BKV_SET (&out->items, ITEM, result, ok ? 1 : 0);
  return TRUE;
}

/* ---- table ------------------------------------------------------------------------ */

static const struct {
  BkvKind kind, answer;
  Handler handler;
} handlers[] = {
    {BKV_CONTROL, BKV_CONTROL_ACK, control},
    {BKV_POWER_START, BKV_POWER_START_ACK, power_start},
    {BKV_FEE_START, BKV_FEE_START_ACK, fee_start},
    {BKV_QUERY_SOCKET, BKV_SOCKET_STATE, settings_query},
    {BKV_NET_REFRESH, BKV_NET_REFRESH_ACK, settings_net_refresh},
    {BKV_NET_ADD, BKV_NET_ADD_ACK, settings_net_add},
    {BKV_NET_DELETE, BKV_NET_DELETE_ACK, settings_net_delete},
    {BKV_SET_VOICE, BKV_SET_VOICE_ACK, settings_voice},
    {BKV_PARAM_SET, BKV_PARAM_SET_ACK, settings_param_set},
    {BKV_PARAM_QUERY, BKV_PARAM_QUERY_REPLY, settings_param_query},
    {BKV_OTA_START, BKV_OTA_ACK, settings_upgrade},
    {BKV_CARD_CHARGE, BKV_CARD_ORDER_ACK, cards_charge},
};

static gint64 answer_delay (const BkvFrame *in)
{
  switch (in->kind) {
  case BKV_CONTROL:
    return in->control.switch_on == 0 ? ANSWER : START_ANSWER;
  case BKV_POWER_START:
  case BKV_FEE_START:
  case BKV_CARD_CHARGE:
    return START_ANSWER;
  case BKV_NET_REFRESH:
    return SIM_SECOND + in->net_refresh.n_nodes * (50 * SIM_MS);
  case BKV_NET_ADD:
  case BKV_NET_DELETE:
    return SIM_SECOND + 50 * SIM_MS;
  default:
    return ANSWER;
  }
}

static void execute (SimGateway *gateway, SimCommand *command, const BkvFrame *in,
                     guint row)
{
  guint8 bytes[BKV_MAX_FRAME];
  BkvFrame out;

  bkv_init (&out, handlers[row].answer, gateway->id, in->msg_id);
  if (!handlers[row].handler (gateway, in, &out))
    return;
  gsize size = bkv_encode (&out, bytes, sizeof bytes);
  if (size == 0)
    return;
  g_free (command->answer);
  command->answer = g_memdup2 (bytes, size);
  command->answer_size = (guint16) size;
  command->answer_kind = (guint8) out.kind;
  frame_answer (gateway, out.kind, bytes, size, answer_delay (in));
}

/* A device that recognises a repeat gives the same answer and does nothing else. */
static gboolean answer_repeat (SimGateway *gateway, SimCommand *command)
{
  guint32 age = sim_real_ms (gateway->sim) - command->first_ms;

  if (gateway->sim->options.variant.dedup != 0 || age > REPEAT_WINDOW_MS
      || command->answer == NULL)
    return FALSE;
  frame_answer (gateway, command->answer_kind, command->answer, command->answer_size,
                ANSWER);
  return TRUE;
}

void commands_input (SimGateway *gateway, const BkvFrame *frame, const guint8 *bytes,
                     gsize size)
{
  gboolean repeat = FALSE;
  guint row = 0;

  while (row < G_N_ELEMENTS (handlers) && handlers[row].kind != frame->kind)
    row++;
  if (row == G_N_ELEMENTS (handlers))
    return;
  gateway->sim->counters.commands++;
  SimCommand *command = check_command (gateway, frame, bytes, size, &repeat);
  if (repeat) {
    gateway->sim->counters.commands_repeated++;
    if (answer_repeat (gateway, command))
      return;
  }
  execute (gateway, command, frame, row);
}

void commands_clear (SimGateway *gateway)
{
  for (guint i = 0; gateway->commands != NULL && i < SIM_COMMANDS; i++)
    g_free (gateway->commands[i].answer);
  g_clear_pointer (&gateway->commands, g_free);
}
