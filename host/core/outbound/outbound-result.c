/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What becomes of an attempt: acknowledged, refused, no word, not written, connection
 * lost (gateway 4.7). A start whose outcome is unknown is never repeated before the port
 * was asked.
 */
#include "core/outbound/outbound-private.h"
#include "core/session/session-private.h"
#include <chargehost/clock.h>
#include <chargehost/log.h>

#include <string.h>

#define RETRY_MAX_S 30
#define CLOCK_SLACK_MS 5000
#define REMOTE_GRACE_MS                                                                  \
  30000 /* how much longer another server may take to tell the end */

static ChReactor *reactor_of (const ChOutCommand *cmd)
{
  return cmd->outbound->core->services->reactor;
}

void ch_out_arm_expiry (ChOutCommand *cmd)
{
  gint64 left = cmd->deadline_ms - ch_now_ms (cmd->outbound->self);
  if (cmd->remote)
    left += REMOTE_GRACE_MS + (gint64) cmd->ack_ms * cmd->max_sends;
  ch_wheel_arm (reactor_of (cmd), &cmd->timer, (guint64) MAX (left, 1));
}

/* min (2^(n−1) s, 30 s) ± 20 %. @random is any number. */
guint ch_out_retry_delay_ms (guint sends, guint32 random)
{
  guint seconds = sends == 0  ? 1
                  : sends > 5 ? RETRY_MAX_S
                              : MIN (1u << (sends - 1), RETRY_MAX_S);
  guint base = seconds * 1000;
  return base - base / 5 + random % (2 * base / 5 + 1);
}

static gboolean repeats_at_once (ChCommandType type)
{
  return type == CH_COMMAND_START_CHARGE || type == CH_COMMAND_STOP_CHARGE
         || type == CH_COMMAND_CANCEL_SESSION;
}

static ChCommandState end_state (const ChOutCommand *cmd)
{
  return cmd->sends > 0 ? CH_COMMAND_NO_ACK : CH_COMMAND_EXPIRED;
}

static void close_attempt (ChOutCommand *cmd, ChAttemptOutcome outcome)
{
  if (cmd->n_attempts > 0
      && cmd->attempts[cmd->n_attempts - 1].outcome == CH_ATTEMPT_OPEN)
    cmd->attempts[cmd->n_attempts - 1].outcome = (guint8) outcome;
}

static void wait_again (ChOutCommand *cmd)
{
  cmd->state = CH_COMMAND_QUEUED;
  ch_out_set_phase (cmd, CH_OUT_WAITING);
  ch_out_arm_expiry (cmd);
  ch_out_kv_requeue (cmd, 0);
  ch_out_kick (cmd->device->outbound);
}

static void delay (ChOutCommand *cmd)
{
  guint delay_ms = ch_out_retry_delay_ms (cmd->sends, g_random_int ());

  cmd->state = CH_COMMAND_QUEUED;
  cmd->due_ms = ch_now_ms (cmd->outbound->self) + delay_ms;
  ch_out_set_phase (cmd, CH_OUT_DELAYED);
  ch_wheel_arm (reactor_of (cmd), &cmd->timer, delay_ms);
  ch_out_kv_requeue (cmd, delay_ms);
  ch_out_kick (cmd->device->outbound);
}

/* ---- starts of unknown outcome ---- */

/* A charge that runs for longer than since the start was written is another one. */
static gboolean is_older (const ChOutCommand *cmd, gint64 duration_s)
{
  return duration_s != CH_UNSET && cmd->first_sent_ms != CH_UNSET
         && duration_s * 1000
                > ch_now_ms (cmd->outbound->self) - cmd->first_sent_ms + CLOCK_SLACK_MS;
}

static gboolean is_ours (const ChOutCommand *cmd, const ChPort *port,
                         const ChPortUpdate *fact)
{
  const char *wire_order = fact->wire_order;
  gint64 business_no = fact->business_no;
  gboolean has_wire = wire_order != NULL && wire_order[0] != '\0';

  gboolean numbered = ch_device_props (cmd->device)->order_key != CH_ORDER_KEY_DEVICE;

  if (numbered && cmd->business_no != 0 && business_no > 0)
    return business_no == cmd->business_no;
  if (cmd->wire_order[0] != '\0' && has_wire)
    return g_str_equal (cmd->wire_order, wire_order);
  /* the device numbers its charges, or reports no number */
  return (business_no <= 0 || business_no != port->last_ended_no)
         && !is_older (cmd, fact->duration_s);
}

static gboolean is_its_port (const ChOutCommand *cmd, const ChPort *port)
{
  return cmd->type == CH_COMMAND_START_CHARGE && cmd->socket_no == port->socket_no
         && (cmd->port_no == port->port_no || cmd->port_no < 0);
}

static void ask_port (ChOutCommand *cmd)
{
  char id[CH_COMMAND_ID_SIZE];
  gboolean merged;
  g_autoptr (GError) error = NULL;
  const ChOutboundRequest request = {.type = CH_COMMAND_QUERY_PORT_STATUS,
                                     .device = cmd->device,
                                     .socket_no = cmd->socket_no,
                                     .port_no = -1,
                                     .priority = 2};

  if (cmd->device->conn != 0
      && !ch_outbound_send (cmd->outbound, &request, id, &merged, &error))
    ch_info (cmd->outbound->self, "the port of start %s on %s is not asked: %s", cmd->id,
             cmd->device_id, error->message);
}

void ch_out_keep_unknown (ChOutCommand *cmd)
{
  cmd->found_idle = FALSE;
  ch_out_set_phase (cmd, CH_OUT_UNKNOWN);
  ch_out_arm_expiry (cmd);
  ch_out_kv_requeue (cmd, 0);
}

/*
 * The port of a start that may have been executed is idle. A device that charges without
 * the server tells later of a charge that has ended meanwhile, so the start is repeated
 * as late as it can be: with the time of one answer left. Until then an end report ends
 * its order, and takes it back.
 */
static void repeat (ChOutCommand *cmd)
{
  gint64 wait_ms
      = cmd->deadline_ms - (gint64) cmd->ack_ms - ch_now_ms (cmd->outbound->self);

  if (wait_ms <= 0 || !ch_device_props (cmd->device)->charges_offline) {
    wait_again (cmd);
  } else {
    cmd->found_idle = TRUE;
    ch_wheel_arm (reactor_of (cmd), &cmd->timer, (guint64) wait_ms);
  }
}

static void resolve_unknown (ChOutCommand *cmd, const ChPort *port, gboolean ours)
{
  if (port->status == CH_PORT_CHARGING) {
    if (ours)
      ch_out_finish (cmd, CH_COMMAND_ACKED, CH_UNSET, "charging", CH_FINAL_NONE);
  } else if (port->status == CH_PORT_IDLE && cmd->port_no >= 0) {
    if (cmd->no_repeat || cmd->sends >= cmd->max_sends || ch_out_expired (cmd))
      ch_out_finish (cmd, CH_COMMAND_NO_ACK, CH_UNSET, NULL, CH_FINAL_NONE);
    else
      repeat (cmd);
  }
}

static void expired (ChOutCommand *cmd)
{
  if (cmd->remote && ch_out_kv_ok (cmd->outbound)) {
    g_autofree char *result = ch_out_dump (ch_out_state_json (cmd));
    ch_out_kv_remove (cmd, result);
    return;
  }
  ch_out_finish (cmd, end_state (cmd), CH_UNSET, NULL, CH_FINAL_NONE);
}

static void unknown_fired (ChOutCommand *cmd)
{
  gboolean is_due = cmd->found_idle && cmd->device->conn != 0 && !ch_out_expired (cmd);

  cmd->found_idle = FALSE;
  if (is_due)
    wait_again (cmd);
  else if (!ch_out_expired (cmd))
    ch_out_arm_expiry (cmd);
  else
    expired (cmd);
}

static void was_executed (ChOutCommand *cmd)
{
  if (cmd->phase == CH_OUT_FLIGHT) /* its answer may still come */
    cmd->seen_charging = TRUE;
  else if (cmd->phase != CH_OUT_FINAL)
    ch_out_finish (cmd, CH_COMMAND_ACKED, CH_UNSET, "charging", CH_FINAL_NONE);
}

static void snapshot_for (ChOutCommand *cmd, const ChPort *port, const ChPortUpdate *fact)
{
  gboolean ours = is_ours (cmd, port, fact);

  if (cmd->phase == CH_OUT_UNKNOWN)
    resolve_unknown (cmd, port, ours);
  else if (cmd->sends > 0 && port->status == CH_PORT_CHARGING && ours)
    was_executed (cmd);
}

void ch_outbound_started (ChOutbound *outbound, const char *command_id)
{
  ChOutCommand *cmd = ch_out_find (outbound, command_id);
  if (cmd != NULL && (cmd->sends > 0 || cmd->maybe_sent))
    was_executed (cmd);
}

static GPtrArray *commands_of (ChOutDevice *od)
{
  GPtrArray *list
      = g_ptr_array_new_with_free_func ((GDestroyNotify) ch_out_command_unref);
  for (guint i = 0; i < od->others->len; i++)
    g_ptr_array_add (list, ch_out_command_ref (g_ptr_array_index (od->others, i)));
  for (guint i = 0; i < od->waiting->len; i++)
    g_ptr_array_add (list, ch_out_command_ref (g_ptr_array_index (od->waiting, i)));
  return list;
}

void ch_outbound_port_snapshot (ChOutbound *outbound, ChDevice *device,
                                const ChPort *port, const ChPortUpdate *fact)
{
  if (device->outbound == NULL)
    return;
  g_autoptr (GPtrArray) list = commands_of (device->outbound);
  for (guint i = 0; i < list->len; i++) {
    ChOutCommand *cmd = g_ptr_array_index (list, i);
    if (is_its_port (cmd, port))
      snapshot_for (cmd, port, fact);
  }
}

/* ---- the ends of an attempt ---- */

void ch_out_not_written (ChOutCommand *cmd)
{
  cmd->sends--;
  cmd->n_attempts--;
  if (cmd->sends == 0)
    cmd->first_sent_ms = CH_UNSET;
  if (cmd->no_repeat || ch_out_expired (cmd))
    ch_out_finish (cmd, end_state (cmd), CH_UNSET, NULL, CH_FINAL_NONE);
  else
    wait_again (cmd);
}

/* Decides after an attempt without an answer. */
static void attempt_failed (ChOutCommand *cmd, ChAttemptOutcome outcome)
{
  gboolean is_start = cmd->type == CH_COMMAND_START_CHARGE;

  close_attempt (cmd, outcome);
  if (is_start && cmd->seen_charging)
    ch_out_finish (cmd, CH_COMMAND_ACKED, CH_UNSET, "charging", CH_FINAL_NONE);
  else if (is_start && outcome == CH_ATTEMPT_LOST && !ch_out_expired (cmd))
    ch_out_keep_unknown (cmd);
  else if (cmd->no_repeat || cmd->sends >= cmd->max_sends || ch_out_expired (cmd)
           || (outcome == CH_ATTEMPT_LOST && !cmd->resend_safe))
    ch_out_finish (cmd, CH_COMMAND_NO_ACK, CH_UNSET, NULL, CH_FINAL_NONE);
  else if (outcome == CH_ATTEMPT_LOST || repeats_at_once (cmd->type))
    wait_again (cmd);
  else
    delay (cmd);
}

static void ack_timed_out (ChOutCommand *cmd)
{
  ChOutbound *outbound = cmd->outbound;
  const char *protocol = cmd->device->protocol != NULL ? cmd->device->protocol : "";

  ch_series_inc (outbound->metrics.timeout);
  ch_series_inc (ch_metric_with (outbound->metrics.ack_timeout, protocol,
                                 ch_command_type_name (cmd->type), NULL));
  ch_session_ack_timeout (outbound->core->sessions, cmd->device);
  attempt_failed (cmd, CH_ATTEMPT_NO_ACK);
}

static void delay_over (ChOutCommand *cmd)
{
  if (ch_out_expired (cmd)) {
    ch_out_finish (cmd, end_state (cmd), CH_UNSET, NULL, CH_FINAL_NONE);
    return;
  }
  ch_out_set_phase (cmd, CH_OUT_WAITING);
  ch_out_arm_expiry (cmd);
  ch_out_kv_push (cmd);
  ch_out_kick (cmd->device->outbound);
}

void ch_out_timer_fired (ChWheelTimer *timer)
{
  ChOutCommand *cmd = (ChOutCommand *) timer;

  switch (cmd->phase) {
  case CH_OUT_PREPARED:
    ch_out_look_up (cmd);
    break;
  case CH_OUT_WAITING:
    expired (cmd);
    break;
  case CH_OUT_UNKNOWN:
    unknown_fired (cmd);
    break;
  case CH_OUT_FLIGHT:
    ack_timed_out (cmd);
    break;
  case CH_OUT_DELAYED:
    delay_over (cmd);
    break;
  default:
    break;
  }
}

/* ---- from the protocol ---- */

static ChOutCommand *find_result (ChOutbound *outbound, const ChCommandResult *result)
{
  if (result->command_id != NULL) {
    ChOutCommand *cmd = ch_out_find (outbound, result->command_id);
    gboolean same
        = cmd != NULL
          && (result->device == NULL || g_str_equal (cmd->device_id, result->device));
    return same ? cmd : NULL;
  }
  if (result->device == NULL || result->msg_id == 0)
    return NULL;
  return ch_out_find_msg (outbound, result->device, result->msg_id, TRUE);
}

gboolean ch_command_result (ChPlugin *self, ChConn conn, const ChCommandResult *result)
{
  ChOutbound *outbound = self->services->core->outbound;
  ChOutCommand *cmd = find_result (outbound, result);

  if (cmd == NULL || (cmd->sends == 0 && !cmd->maybe_sent)
      || (cmd->device != NULL && cmd->device->conn != conn))
    return FALSE;
  if (cmd->phase == CH_OUT_FINAL) {
    ch_out_late (cmd, result);
    return FALSE;
  }
  ChCommandState state
      = result->state == CH_COMMAND_REJECTED || result->state == CH_COMMAND_UNSUPPORTED
            ? result->state
            : CH_COMMAND_ACKED;
  gboolean in_flight = cmd->phase == CH_OUT_FLIGHT;
  ch_out_finish (cmd, state, result->device_code, result->detail, CH_FINAL_NONE);
  return in_flight;
}

gboolean ch_command_in_flight (ChPlugin *self, const char *device, guint32 msg_id,
                               ChCommand *command)
{
  ChOutbound *outbound = self->services->core->outbound;
  const ChOutCommand *cmd = ch_out_find_msg (outbound, device, msg_id, FALSE);

  if (cmd == NULL || cmd->phase != CH_OUT_FLIGHT)
    return FALSE;
  *command = ch_out_shown (cmd);
  return TRUE;
}

/* ---- from sessions ---- */

/* Whether the bytes of the newest attempt reached the kernel. */
static gboolean was_handed_over (const ChOutCommand *cmd, gboolean known,
                                 const ChConnInfo *info)
{
  return !known || cmd->sent_mark == 0 || info->tx_bytes >= cmd->sent_mark;
}

void ch_outbound_device_lost (ChOutbound *outbound, ChDevice *device, ChConn conn)
{
  ChConnInfo info = {0};

  if (device->outbound == NULL)
    return;
  gboolean known = ch_gateway_conn_info (outbound->core->services->gateway, conn, &info);
  ch_wheel_cancel (outbound->core->services->reactor,
                   &((ChOutDevice *) device->outbound)->ready);
  g_autoptr (GPtrArray) list = commands_of (device->outbound);
  for (guint i = 0; i < list->len; i++) {
    ChOutCommand *cmd = g_ptr_array_index (list, i);
    if (cmd->phase != CH_OUT_FLIGHT)
      continue;
    ch_wheel_cancel (outbound->core->services->reactor, &cmd->timer);
    if (was_handed_over (cmd, known, &info))
      attempt_failed (cmd, CH_ATTEMPT_LOST);
    else
      ch_out_not_written (cmd);
  }
}

void ch_outbound_device_bound (ChOutbound *outbound, ChDevice *device)
{
  device->next_msg_id = g_random_int ();
  device->last_sent_ms = 0;
  if (device->outbound == NULL)
    return;
  g_autoptr (GPtrArray) list = commands_of (device->outbound);
  for (guint i = 0; i < list->len; i++) {
    ChOutCommand *cmd = g_ptr_array_index (list, i);
    if (cmd->phase == CH_OUT_UNKNOWN) {
      cmd->found_idle = FALSE; /* that was an earlier session */
      ch_out_arm_expiry (cmd);
      ask_port (cmd);
    }
  }
  ch_out_kick (device->outbound);
}

void ch_outbound_writable (ChOutbound *outbound, ChDevice *device)
{
  ch_out_kick (device->outbound);
}

void ch_outbound_moved (ChOutbound *outbound, ChDevice *device)
{
  if (device->outbound == NULL)
    return;
  g_autoptr (GPtrArray) list = commands_of (device->outbound);
  for (guint i = 0; i < list->len; i++) {
    ChOutCommand *cmd = g_ptr_array_index (list, i);
    if (cmd->phase == CH_OUT_FINAL || cmd->phase == CH_OUT_PREPARED)
      continue;
    if (cmd->local) { /* its new owner has asked for himself */
      ch_out_finish (cmd, CH_COMMAND_CANCELLED, CH_UNSET, "device moved", CH_FINAL_NONE);
      continue;
    }
    if (cmd->phase == CH_OUT_DELAYED)
      ch_out_kv_push (cmd);
    close_attempt (cmd, CH_ATTEMPT_LOST);
    cmd->remote = TRUE;
    ch_out_set_phase (cmd, CH_OUT_WAITING);
    ch_out_arm_expiry (cmd);
  }
}

/* ---- taking back ---- */

gboolean ch_out_withdraw (ChOutCommand *cmd, const char *detail)
{
  gboolean sent = cmd->sends > 0 || cmd->maybe_sent || cmd->remote;

  if (cmd->phase == CH_OUT_FLIGHT)
    cmd->no_repeat = TRUE;
  else if (cmd->phase != CH_OUT_FINAL && !cmd->remote)
    ch_out_finish (cmd, CH_COMMAND_CANCELLED, CH_UNSET, detail, CH_FINAL_NO_HOOK);
  return !sent;
}
