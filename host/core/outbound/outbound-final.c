/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The end of a command: result, waiters, event, late answers. */
#include "core/order/order-home.h"
#include "core/outbound/outbound-private.h"
#include "core/session/session.h"
#include <chargehost/clock.h>
#include <chargehost/json.h>
#include <chargehost/log.h>

#include <string.h>

/* Somebody who waits for the end of a command. */
typedef struct {
  ChWheelTimer timer; /* first */
  ChOutCommand *cmd;
  ChCommandWaited done;
  gpointer user_data;
} Waiter;

static void answer_waiter (Waiter *waiter)
{
  ChOutCommand *cmd = waiter->cmd;
  ChCommandView view;

  ch_out_view (cmd, &view);
  waiter->done (cmd->outbound->core, &view, waiter->user_data);
  g_free (waiter);
}

static void waiter_fired (ChWheelTimer *timer)
{
  Waiter *waiter = (Waiter *) timer;
  waiter->cmd->waiters = g_slist_remove (waiter->cmd->waiters, waiter);
  answer_waiter (waiter);
}

void ch_outbound_wait (ChOutbound *outbound, const char *command_id, guint wait_ms,
                       ChCommandWaited done, gpointer user_data)
{
  ChOutCommand *cmd = ch_out_find (outbound, command_id);
  ChCommandView view = {.device_code = CH_UNSET, .sent_ms = CH_UNSET};

  if (cmd == NULL || cmd->phase == CH_OUT_FINAL || wait_ms == 0) {
    if (cmd != NULL)
      ch_out_view (cmd, &view);
    else
      g_strlcpy (view.command_id, command_id, sizeof view.command_id);
    done (outbound->core, &view, user_data);
    return;
  }
  Waiter *waiter = g_new0 (Waiter, 1);
  waiter->timer.func = waiter_fired;
  waiter->cmd = cmd;
  waiter->done = done;
  waiter->user_data = user_data;
  cmd->waiters = g_slist_prepend (cmd->waiters, waiter);
  ch_wheel_arm (outbound->core->services->reactor, &waiter->timer, MIN (wait_ms, 10000));
}

void ch_out_answer_waiters (ChOutCommand *cmd)
{
  GSList *waiters = g_slist_reverse (g_steal_pointer (&cmd->waiters));
  for (GSList *l = waiters; l != NULL; l = l->next) {
    Waiter *waiter = l->data;
    ch_wheel_cancel (cmd->outbound->core->services->reactor, &waiter->timer);
    answer_waiter (waiter);
  }
  g_slist_free (waiters);
}

void ch_out_drop_waiters (ChOutCommand *cmd)
{
  for (GSList *l = cmd->waiters; l != NULL; l = l->next)
    ch_wheel_cancel (cmd->outbound->core->services->reactor, l->data);
  g_slist_free_full (g_steal_pointer (&cmd->waiters), g_free);
}

static void publish (const ChOutCommand *cmd)
{
  ChTopicHandle *topic = cmd->outbound->core->topics.command_finished;
  ChCommandFinishedEvent event = {0};

  if (topic == NULL || !ch_topic_is_heard (topic))
    return;
  event.event.time_ms = cmd->late ? ch_wall_ms (cmd->outbound->self) : cmd->finished_at;
  event.event.socket_no = (gint16) cmd->socket_no;
  event.event.port_no = (gint16) cmd->port_no;
  g_strlcpy (event.event.device, cmd->device_id, sizeof event.event.device);
  g_strlcpy (event.command_id, cmd->id, sizeof event.command_id);
  g_strlcpy (event.order_no, cmd->order_no, sizeof event.order_no);
  g_strlcpy (event.type, ch_command_type_name (cmd->type), sizeof event.type);
  g_strlcpy (event.state, ch_command_state_name (cmd->state), sizeof event.state);
  event.device_code = cmd->device_code;
  if (cmd->detail != NULL && strlen (cmd->detail) < sizeof event.detail)
    g_strlcpy (event.detail, cmd->detail, sizeof event.detail);
  event.attempts = cmd->sends;
  event.late = cmd->late;
  ch_publish (topic, &event.event);
}

static void tell_orders (const ChOutCommand *cmd)
{
  const ChOutboundHooks *hooks = cmd->outbound->hooks;
  ChCommandView view;

  if (hooks == NULL || hooks->finished == NULL || cmd->device == NULL
      || ch_home_is_elsewhere (cmd->device)) /* its instance moves its orders */
    return;
  ch_out_view (cmd, &view);
  hooks->finished (cmd->outbound->core, &view);
}

gboolean ch_out_is_dead (const ChOutCommand *cmd)
{
  if (cmd->state != CH_COMMAND_NO_ACK && cmd->state != CH_COMMAND_EXPIRED)
    return FALSE;
  /* periodic queries come again by themselves */
  return !(cmd->type == CH_COMMAND_QUERY_PORT_STATUS && cmd->priority >= 5);
}

static void set_outcome (ChOutCommand *cmd)
{
  if (cmd->n_attempts == 0)
    return;
  ChAttempt *last = &cmd->attempts[cmd->n_attempts - 1];
  if (last->outcome != CH_ATTEMPT_OPEN)
    return;
  last->outcome = cmd->state == CH_COMMAND_ACKED      ? CH_ATTEMPT_ACKED
                  : cmd->state == CH_COMMAND_REJECTED ? CH_ATTEMPT_REJECTED
                                                      : CH_ATTEMPT_NO_ACK;
}

static void set_detail (ChOutCommand *cmd, const char *detail)
{
  const char *end;
  g_free (cmd->detail);
  cmd->detail = NULL;
  if (detail == NULL)
    return;
  cmd->detail = g_strndup (detail, strnlen (detail, CH_OUT_DETAIL_MAX));
  if (!g_utf8_validate (cmd->detail, -1, &end))
    cmd->detail[end - cmd->detail] = '\0';
}

static void measure (const ChOutCommand *cmd)
{
  ChOutbound *outbound = cmd->outbound;
  const char *type = ch_command_type_name (cmd->type);

  ch_series_inc (ch_metric_with (outbound->metrics.total, type,
                                 ch_command_state_name (cmd->state), NULL));
  if (cmd->state == CH_COMMAND_ACKED && cmd->sent_ms > 0)
    ch_series_observe (ch_metric_with (outbound->metrics.ack, type, NULL),
                       (double) (ch_now_ms (outbound->self) - cmd->sent_ms) / 1000.0);
}

void ch_out_finish (ChOutCommand *cmd, ChCommandState state, gint64 device_code,
                    const char *detail, ChOutFinalFlags flags)
{
  ChOutbound *outbound = cmd->outbound;

  if (cmd->phase == CH_OUT_FINAL)
    return;
  ch_out_command_ref (cmd);
  gboolean known_to_kv = cmd->pushed;
  ch_wheel_cancel (outbound->core->services->reactor, &cmd->timer);
  cmd->state = state;
  cmd->device_code = device_code;
  set_detail (cmd, detail);
  set_outcome (cmd);
  cmd->finished_at = ch_wall_ms (outbound->self);
  if (cmd->dedup_key != NULL
      && g_hash_table_lookup (outbound->dedup, cmd->dedup_key) == cmd)
    g_hash_table_remove (outbound->dedup, cmd->dedup_key);
  ch_out_set_phase (cmd, CH_OUT_FINAL);
  g_queue_push_tail (&outbound->finals, cmd);

  if ((flags & CH_FINAL_ELSEWHERE) == 0 && (known_to_kv || cmd->from_row))
    ch_out_kv_finish (cmd);
  ch_out_row_finished (cmd);
  if (ch_out_is_dead (cmd) && (flags & CH_FINAL_ELSEWHERE) == 0)
    ch_out_row_dead (cmd);
  measure (cmd);
  ch_debug (outbound->self, "command %s (%s) to %s: %s", cmd->id,
            ch_command_type_name (cmd->type), cmd->device_id,
            ch_command_state_name (state));
  if ((flags & CH_FINAL_NO_HOOK) == 0)
    tell_orders (cmd);
  if ((flags & CH_FINAL_TOLD) == 0)
    publish (cmd);
  ch_out_answer_waiters (cmd);
  if (cmd->device != NULL && cmd->device->outbound != NULL)
    ch_out_kick (cmd->device->outbound);
  ch_out_check_drained (outbound);
  ch_out_command_unref (cmd);
}

void ch_out_late (ChOutCommand *cmd, const ChCommandResult *result)
{
  ChOutbound *outbound = cmd->outbound;

  ch_series_inc (
      ch_metric_with (outbound->metrics.late, ch_command_type_name (cmd->type), NULL));
  if (cmd->late || cmd->state == CH_COMMAND_ACKED || cmd->state == CH_COMMAND_REJECTED)
    return; /* told already */
  cmd->late = TRUE;
  cmd->state = result->state;
  cmd->device_code = result->device_code;
  set_detail (cmd, result->detail);
  if (cmd->pushed || cmd->from_row)
    ch_out_kv_finish (cmd);
  ch_out_row_finished (cmd);
  ch_info (outbound->self, "late answer of %s to command %s (%s): %s", cmd->device_id,
           cmd->id, ch_command_type_name (cmd->type), ch_command_state_name (cmd->state));
  tell_orders (cmd);
  publish (cmd);
}

static ChCommandState parse_state (const char *name)
{
  for (guint s = CH_COMMAND_QUEUED; s <= CH_COMMAND_UNSUPPORTED; s++) {
    if (g_str_equal (ch_command_state_name ((ChCommandState) s), name))
      return (ChCommandState) s;
  }
  return CH_COMMAND_QUEUED;
}

void ch_out_take_result (ChOutCommand *cmd, const char *text, gsize size)
{
  g_autoptr (json_t) state = ch_json_parse (text, size, NULL);
  const json_t *result = json_object_get (state, "result");
  ChCommandState final = parse_state (ch_json_get_string (state, "state", ""));

  if (cmd->phase == CH_OUT_FINAL || final < CH_COMMAND_ACKED)
    return;
  const json_t *detail = json_object_get (result, "detail");
  g_autofree char *detail_text
      = json_is_string (detail) ? g_strdup (json_string_value (detail))
        : json_is_object (detail) || json_is_array (detail) ? ch_json_dump (detail)
                                                            : NULL;
  guint sends = (guint) json_array_size (json_object_get (state, "attempts"));
  cmd->sends = MAX (cmd->sends, sends);
  gboolean several = ch_sessions_are_several (cmd->outbound->core->sessions);
  ch_out_finish (cmd, final, ch_json_get_int (result, "device_code", CH_UNSET),
                 detail_text, CH_FINAL_ELSEWHERE | (several ? CH_FINAL_TOLD : 0));
}
