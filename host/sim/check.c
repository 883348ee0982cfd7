/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether the server keeps the rules (bkv 16.9). Times are real ones: the server does not
 * live in the scaled world.
 */
#include "report.h"

#include <string.h>

#define END_ANSWER_WINDOW_MS 30000
/* Two commands may come closer together on this side than they were sent. */
#define GAP_SLACK_MS 50

static const char *const rule_names[SIM_RULE_N] = {
    [SIM_RULE_GARBAGE] = "garbage",
    [SIM_RULE_LENGTH] = "bad_length",
    [SIM_RULE_TAIL] = "bad_tail",
    [SIM_RULE_CHECKSUM] = "bad_checksum",
    [SIM_RULE_DIRECTION] = "bad_direction",
    [SIM_RULE_PAYLOAD] = "bad_payload",
    [SIM_RULE_ANSWERED_ANSWER] = "answer_to_answer",
    [SIM_RULE_HEARTBEAT_UNANSWERED] = "heartbeat_unanswered",
    [SIM_RULE_STATUS_UNANSWERED] = "status_unanswered",
    [SIM_RULE_EVENT_UNANSWERED] = "event_unanswered",
    [SIM_RULE_END_UNANSWERED] = "end_unanswered",
    [SIM_RULE_SERIAL_ZERO] = "serial_zero",
    [SIM_RULE_SERIAL_REUSED] = "serial_reused",
    [SIM_RULE_REPEAT_DIFFERS] = "repeat_differs",
    [SIM_RULE_GAP] = "commands_too_close",
    [SIM_RULE_SENDS] = "too_many_sends",
    [SIM_RULE_END_RESULTS] = "end_results_differ",
    [SIM_RULE_LIST_NUMBERS] = "list_numbers_repeat",
};

const char *check_rule_name (SimRule rule)
{
  return rule_names[rule];
}

G_GNUC_PRINTF (3, 4)
static void broken (SimGateway *gateway, SimRule rule, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  gateway->sim->counters.rules[rule]++;
  report_note (gateway->sim, gateway, "RULE BROKEN %s: %s", rule_names[rule], text);
}

/* ---- frames ----------------------------------------------------------------------- */

void check_stream_error (SimGateway *gateway, const char *error, const guint8 *bytes,
                         gsize size)
{
  SimRule rule = g_strcmp0 (error, "bad_length") == 0     ? SIM_RULE_LENGTH
                 : g_strcmp0 (error, "bad_tail") == 0     ? SIM_RULE_TAIL
                 : g_strcmp0 (error, "bad_checksum") == 0 ? SIM_RULE_CHECKSUM
                                                          : SIM_RULE_GARBAGE;
  report_stray (gateway, FALSE, error, bytes, size);
  broken (gateway, rule, "%" G_GSIZE_FORMAT " bytes left out", size);
}

/* The code of a card confirmation, or a result where the server only asks. */
static gboolean answers_answer (const BkvFrame *frame)
{
  if (frame->cmd == 0x0015 && frame->has_sub && frame->sub == 0x0F)
    return TRUE;
  if (frame->kind == BKV_PARAM_SET || frame->kind == BKV_PARAM_QUERY
      || frame->kind == BKV_FEE_START)
    return BKV_HAS (&frame->items, ITEM, result);
  return frame->kind == BKV_UNKNOWN && frame->cmd == 0x1000 && frame->has_bkv_cmd
         && frame->bkv_cmd == 0x1013;
}

gboolean check_frame (SimGateway *gateway, const BkvFrame *frame)
{
  if (frame->up || frame->error == BKV_BAD_DIRECTION) {
    broken (gateway, SIM_RULE_DIRECTION, "%s",
            frame->up ? "a frame with the device's header"
                      : "direction byte against header");
    return FALSE;
  }
  if (memcmp (frame->gateway, gateway->id, BKV_GATEWAY_SIZE) != 0)
    return FALSE;
  if (answers_answer (frame)) {
    broken (gateway, SIM_RULE_ANSWERED_ANSWER, "command %04X", frame->cmd);
    return FALSE;
  }
  if (frame->error != BKV_OK || frame->kind == BKV_UNKNOWN) {
    broken (gateway, SIM_RULE_PAYLOAD, "%s, command %04X",
            frame->error != BKV_OK ? bkv_error_name (frame->error) : "unknown",
            frame->cmd);
    return FALSE;
  }
  return TRUE;
}

/* ---- commands --------------------------------------------------------------------- */

/* At most so many sends of one command (4.2, and 11.7 for cards). */
static guint max_sends (const BkvFrame *frame)
{
  switch (frame->kind) {
  case BKV_CONTROL:
    return frame->control.switch_on == 0 ? 5 : 3;
  case BKV_QUERY_SOCKET:
    return 2;
  case BKV_OTA_START:
    return 1;
  default:
    return 3;
  }
}

static gboolean is_stop (const BkvFrame *frame)
{
  return frame->kind == BKV_CONTROL && frame->control.switch_on == 0;
}

static guint32 hash_bytes (const guint8 *bytes, gsize size)
{
  guint32 hash = 2166136261u;
  for (gsize i = 0; i < size; i++)
    hash = (hash ^ bytes[i]) * 16777619u;
  return hash;
}

static void check_gap (SimGateway *gateway, const BkvFrame *frame, guint32 now)
{
  guint32 gap = now - gateway->last_command_ms;
  guint min_gap = (guint) gateway->sim->options.min_gap_ms;
  guint lag = (guint) (loop_lag (gateway->sim->loop) / 1000);

  if (is_stop (frame) || frame->kind == BKV_CARD_CHARGE)
    return;
  if (gateway->last_command_ms != 0 && gap + GAP_SLACK_MS + lag < min_gap)
    broken (gateway, SIM_RULE_GAP, "%u ms after the command before", gap);
  gateway->last_command_ms = now != 0 ? now : 1;
}

static void check_repeat (SimGateway *gateway, SimCommand *command, const BkvFrame *frame)
{
  if (command->sends < G_MAXUINT8)
    command->sends++;
  if (command->sends > max_sends (frame))
    broken (gateway, SIM_RULE_SENDS, "%s serial %08X came %u times",
            bkv_kind_name (frame->kind), frame->msg_id, command->sends);
}

static SimCommand *find_serial (const SimGateway *gateway, guint32 serial)
{
  for (guint i = 0; gateway->commands != NULL && i < SIM_COMMANDS; i++)
    if (gateway->commands[i].serial == serial)
      return &gateway->commands[i];
  return NULL;
}

static SimCommand *note_command (SimGateway *gateway, const BkvFrame *frame, guint32 hash,
                                 guint32 now)
{
  if (gateway->commands == NULL)
    gateway->commands = g_new0 (SimCommand, SIM_COMMANDS);
  SimCommand *command = &gateway->commands[gateway->command_at];
  gateway->command_at = (guint8) ((gateway->command_at + 1) % SIM_COMMANDS);
  g_free (command->answer);
  *command = (SimCommand) {.serial = frame->msg_id,
                           .hash = hash,
                           .first_ms = now,
                           .kind = (guint8) frame->kind,
                           .sends = 1};
  return command;
}

SimCommand *check_command (SimGateway *gateway, const BkvFrame *frame,
                           const guint8 *bytes, gsize size, gboolean *repeat)
{
  guint32 now = sim_real_ms (gateway->sim);
  guint32 hash = hash_bytes (bytes, size);
  SimCommand *command = NULL;

  *repeat = FALSE;
  check_gap (gateway, frame, now);
  if (frame->msg_id == 0)
    broken (gateway, SIM_RULE_SERIAL_ZERO, "%s", bkv_kind_name (frame->kind));
  else
    command = find_serial (gateway, frame->msg_id);
  if (command == NULL)
    return note_command (gateway, frame, hash, now);
  if (command->hash == hash) {
    *repeat = TRUE;
    check_repeat (gateway, command, frame);
    return command;
  }
  broken (gateway,
          command->kind == frame->kind ? SIM_RULE_REPEAT_DIFFERS : SIM_RULE_SERIAL_REUSED,
          "%s with serial %08X of an earlier %s", bkv_kind_name (frame->kind),
          frame->msg_id, bkv_kind_name (command->kind));
  command->serial = 0;
  return note_command (gateway, frame, hash, now);
}

void check_network_list (SimGateway *gateway, const BkvNetRefresh *list)
{
  gboolean seen[256] = {FALSE};
  for (guint i = 0; i < list->n_nodes; i++) {
    guint8 number = list->nodes[i].socket;
    if (seen[number])
      broken (gateway, SIM_RULE_LIST_NUMBERS, "socket %u twice", number);
    seen[number] = TRUE;
  }
}

void check_end_answer (SimGateway *gateway, guint8 socket, guint8 result)
{
  guint32 now = sim_real_ms (gateway->sim);
  if (gateway->acked_ms != 0 && gateway->acked_socket == socket
      && now - gateway->acked_ms < END_ANSWER_WINDOW_MS
      && gateway->acked_result != result)
    broken (gateway, SIM_RULE_END_RESULTS, "socket %u: first %u, then %u", socket,
            gateway->acked_result, result);
  gateway->acked_socket = socket;
  gateway->acked_result = result;
  gateway->acked_ms = now != 0 ? now : 1;
}

/* ---- what the server owes --------------------------------------------------------- */

static void arm_owed (SimGateway *gateway)
{
  const Sim *sim = gateway->sim;
  double limit_us = sim->options.answer_limit_s * 1e6;

  if (gateway->n_owed == 0 || limit_us <= 0) {
    timer_stop (sim->loop, &gateway->owed_check);
    return;
  }
  double left = limit_us - (double) (sim_real_us (sim) - gateway->owed[0].sent_us);
  timer_arm (sim->loop, &gateway->owed_check,
             loop_scaled (sim->loop, (gint64) MAX (left, 0) + 1000));
}

void owed_add (SimGateway *gateway, BkvKind answer, guint8 socket)
{
  if (gateway->n_owed == G_MAXUINT16)
    return;
  if (gateway->n_owed == gateway->max_owed) {
    gateway->max_owed = (guint16) MIN (gateway->max_owed * 2 + 4, G_MAXUINT16);
    gateway->owed = g_renew (SimOwed, gateway->owed, gateway->max_owed);
  }
  gateway->owed[gateway->n_owed++] = (SimOwed) {
      .sent_us = sim_real_us (gateway->sim), .kind = (guint8) answer, .socket = socket};
  if (gateway->n_owed == 1)
    arm_owed (gateway);
}

static void remove_owed (SimGateway *gateway, guint at)
{
  gateway->n_owed--;
  memmove (&gateway->owed[at], &gateway->owed[at + 1],
           (gateway->n_owed - at) * sizeof *gateway->owed);
  if (gateway->n_owed == 0) { /* idle gateways own no array */
    g_clear_pointer (&gateway->owed, g_free);
    gateway->max_owed = 0;
  }
  if (at == 0)
    arm_owed (gateway);
}

gboolean owed_take (SimGateway *gateway, BkvKind answer, int socket, guint32 *latency_us)
{
  for (guint i = 0; i < gateway->n_owed; i++) {
    const SimOwed *owed = &gateway->owed[i];
    if (owed->kind != answer || (socket >= 0 && owed->socket != socket))
      continue;
    if (latency_us != NULL)
      *latency_us = sim_real_us (gateway->sim) - owed->sent_us;
    remove_owed (gateway, i);
    return TRUE;
  }
  return FALSE;
}

void owed_clear (SimGateway *gateway)
{
  timer_stop (gateway->sim->loop, &gateway->owed_check);
  g_clear_pointer (&gateway->owed, g_free);
  gateway->n_owed = gateway->max_owed = 0;
}

static SimRule owed_rule (guint8 kind)
{
  switch (kind) {
  case BKV_HEARTBEAT_ACK:
    return SIM_RULE_HEARTBEAT_UNANSWERED;
  case BKV_STATUS_ACK:
    return SIM_RULE_STATUS_UNANSWERED;
  case BKV_EVENT_ACK:
    return SIM_RULE_EVENT_UNANSWERED;
  default:
    return SIM_RULE_END_UNANSWERED;
  }
}

void owed_timer (gpointer data)
{
  SimGateway *gateway = data;
  double limit_us = gateway->sim->options.answer_limit_s * 1e6;

  if (link_unread (gateway)) { /* the answer may be here, and we are late */
    timer_arm (gateway->sim->loop, &gateway->owed_check, 0);
    return;
  }
  while (gateway->n_owed > 0
         && (double) (sim_real_us (gateway->sim) - gateway->owed[0].sent_us)
                >= limit_us) {
    SimRule rule = owed_rule (gateway->owed[0].kind);
    remove_owed (gateway, 0);
    broken (gateway, rule, "no answer within %g s", gateway->sim->options.answer_limit_s);
  }
  arm_owed (gateway);
}
