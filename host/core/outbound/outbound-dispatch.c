/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sending: driven by events (a new command, an answer, a writable connection, a timer);
 * a safety net runs once a second. Every device is served by itself, so the queue of one
 * never delays another's.
 */
#include "core/fact/journal.h"
#include "core/outbound/outbound-private.h"
#include "core/session/session-private.h"
#include <chargehost/clock.h>
#include <chargehost/kv.h>
#include <chargehost/log.h>

#include <string.h>

#define TICK_MS 1000
#define RETRY_WRITE_MS 1000
#define SPLIT_MS 10000 /* F31: without the kv, when others may own our devices */
#define RESYNC_TICKS 5
#define FACTS_MS 20
#define HOLD_FACTOR 4 /* answers to reports hold a command back this long at most */

static ChReactor *reactor_of (ChOutbound *outbound)
{
  return outbound->core->services->reactor;
}

void ch_out_kick (ChOutDevice *od)
{
  if (od == NULL || od->kicked)
    return;
  od->kicked = TRUE;
  g_queue_push_tail (&od->outbound->kicked, od);
  ch_reactor_defer (reactor_of (od->outbound), &od->outbound->run);
}

static void ready_fired (ChWheelTimer *timer)
{
  ch_out_kick ((ChOutDevice *) ((char *) timer - G_STRUCT_OFFSET (ChOutDevice, ready)));
}

static void serve_in (ChOutDevice *od, gint64 delay_ms)
{
  od->ready.func = ready_fired;
  ch_wheel_arm (reactor_of (od->outbound), &od->ready, (guint64) MAX (delay_ms, 1));
}

/* The next command for which there is a place in flight. */
static ChOutCommand *candidate (ChOutDevice *od, gboolean *urgent)
{
  const ChProtocolProperties *props = od->device->props;
  guint window = MAX (props->window, 1);

  if (od->waiting->len == 0)
    return NULL;
  ChOutCommand *cmd = g_ptr_array_index (od->waiting, 0);
  *urgent = od->device->in_flight >= window;
  if (!*urgent)
    return cmd;
  return cmd->priority == 1 && od->device->in_flight < window + props->window_urgent
             ? cmd
             : NULL;
}

/* Milliseconds until the device's spacing allows a command, 0 = now. */
static gint64 spacing_left (ChOutDevice *od)
{
  ChDevice *device = od->device;
  ChOutbound *outbound = od->outbound;
  gint64 spacing = device->props->min_spacing_ms, now_ms = ch_now_ms (outbound->self);
  ChConnInfo info;

  gint64 left = MAX (od->not_before_ms - now_ms, 0);
  if (spacing > 0 && device->last_sent_ms != 0)
    left = MAX (left, device->last_sent_ms + spacing - now_ms);
  if (left > 0 || spacing == 0 || !device->props->replies_are_spaced
      || !ch_gateway_conn_info (outbound->core->services->gateway, device->conn, &info)
      || info.last_tx_ms == 0 || info.last_tx_ms + spacing <= now_ms) {
    if (left <= 0)
      od->held_ms = 0;
    return left;
  }
  if (od->held_ms == 0)
    od->held_ms = now_ms;
  if (now_ms - od->held_ms >= HOLD_FACTOR * spacing)
    return 0;
  return info.last_tx_ms + spacing - now_ms;
}

/*
 * What the device reported may be the end of the charge that a start would begin again:
 * its order is settled first, and takes the start back.
 */
static gboolean awaits_facts (const ChOutCommand *cmd)
{
  return cmd->type == CH_COMMAND_START_CHARGE && (cmd->sends > 0 || cmd->maybe_sent)
         && (cmd->device->fact_running || ch_journal_holds (cmd->device));
}

gboolean ch_outbound_is_cut_off (ChOutbound *outbound)
{
  return outbound->kv_down_ms != 0 && ch_sessions_servers (outbound->core->sessions) > 1
         && ch_now_ms (outbound->self) - outbound->kv_down_ms >= SPLIT_MS;
}

static gboolean may_send (ChOutbound *outbound, const ChDevice *device)
{
  if (!outbound->started || outbound->draining || ch_outbound_is_cut_off (outbound))
    return FALSE;
  return device->session_known != CH_SESSION_AGAIN || !ch_out_kv_ok (outbound)
         || !ch_sessions_are_several (outbound->core->sessions);
}

static void serve (ChOutDevice *od)
{
  ChOutbound *outbound = od->outbound;
  ChDevice *device = od->device;
  gboolean urgent;

  if (device->conn == 0 || device->props == NULL || od->taking
      || !may_send (outbound, device))
    return;
  if (od->foreign && !od->peeking && ch_out_kv_ok (outbound))
    ch_out_kv_peek (od);
  ChOutCommand *cmd = candidate (od, &urgent);
  if (cmd == NULL)
    return;
  gint64 wait_ms = spacing_left (od);
  if (awaits_facts (cmd))
    wait_ms = MAX (wait_ms, FACTS_MS);
  if (wait_ms > 0) {
    serve_in (od, wait_ms);
    return;
  }
  if (!ch_gateway_can_write (outbound->core->services->gateway, device->conn))
    return; /* its hook, or the safety net, comes back */
  if (cmd->msg_id == 0)
    cmd->msg_id = ch_out_next_msg_id (od);
  cmd->urgent_slot = urgent;
  cmd->remote = FALSE;
  ch_wheel_cancel (reactor_of (outbound), &cmd->timer);
  ch_out_set_phase (cmd, CH_OUT_TAKING);
  od->taking = TRUE;
  if (cmd->local) {
    ch_out_taken (cmd, CH_TAKE_OK, "");
    return;
  }
  if (!ch_out_kv_ok (outbound)) {
    cmd->kv_dirty = TRUE;
    ch_out_taken (cmd, CH_TAKE_FAILED, "");
    return;
  }
  if (!cmd->pushed || cmd->kv_dirty)
    ch_out_kv_push (cmd);
  ch_out_kv_take (cmd);
}

void ch_out_run (ChDeferred *deferred)
{
  ChOutbound *outbound
      = (ChOutbound *) ((char *) deferred - G_STRUCT_OFFSET (ChOutbound, run));

  for (guint n = outbound->kicked.length; n > 0; n--) {
    ChOutDevice *od = g_queue_pop_head (&outbound->kicked);
    od->kicked = FALSE;
    serve (od);
    ch_out_device_settle (od);
  }
}

static void back_to_queue (ChOutCommand *cmd)
{
  cmd->state = CH_COMMAND_QUEUED;
  ch_out_set_phase (cmd, CH_OUT_WAITING);
  ch_out_arm_expiry (cmd);
}

static void note_attempt (ChOutCommand *cmd)
{
  cmd->sends++;
  cmd->sent_ms = ch_now_ms (cmd->outbound->self);
  if (cmd->n_attempts == CH_OUT_MAX_ATTEMPTS) {
    memmove (cmd->attempts, cmd->attempts + 1,
             sizeof cmd->attempts - sizeof cmd->attempts[0]);
    cmd->n_attempts--;
  }
  cmd->attempts[cmd->n_attempts++]
      = (ChAttempt) {ch_wall_ms (cmd->outbound->self), CH_ATTEMPT_OPEN};
}

/* Handed to the connection. */
static void written (ChOutCommand *cmd)
{
  ChOutbound *outbound = cmd->outbound;
  ChCommandView view;
  ChConnInfo info;

  if (ch_gateway_conn_info (outbound->core->services->gateway, cmd->device->conn, &info))
    cmd->sent_mark = info.tx_bytes + info.queue_bytes;
  if (cmd->first_sent_ms == CH_UNSET)
    cmd->first_sent_ms = cmd->sent_ms;
  cmd->device->last_sent_ms = cmd->sent_ms;
  ch_series_observe (ch_metric_with (outbound->metrics.queue_wait,
                                     ch_command_type_name (cmd->type), NULL),
                     (double) (cmd->sent_ms - cmd->queued_ms) / 1000.0);
  if (cmd->sends > 1)
    ch_series_inc (outbound->metrics.resend);
  ch_out_row_sent (cmd);
  cmd->due_ms = cmd->sent_ms + cmd->ack_ms;
  ch_wheel_arm (reactor_of (outbound), &cmd->timer, cmd->ack_ms);
  if (outbound->hooks != NULL && outbound->hooks->sent != NULL) {
    ch_out_view (cmd, &view);
    outbound->hooks->sent (outbound->core, &view);
  }
}

static ChCommandState call_protocol (ChOutCommand *cmd)
{
  ChOutbound *outbound = cmd->outbound;
  const ChCommand command = ch_out_shown (cmd);

  outbound->sending = cmd;
  ChCommandState state
      = ch_gateway_send (outbound->core->services->gateway, cmd->device->conn, &command);
  outbound->sending = NULL;
  return state;
}

static void send_now (ChOutCommand *cmd)
{
  note_attempt (cmd);
  ch_out_set_phase (cmd, CH_OUT_FLIGHT);
  cmd->state = CH_COMMAND_SENT;
  ch_out_command_ref (cmd);
  ChCommandState state = call_protocol (cmd);

  if (cmd->phase != CH_OUT_FLIGHT) {
    /* the protocol gave the result already */
  } else if (state == CH_COMMAND_SENT) {
    written (cmd);
  } else if (state == CH_COMMAND_NOT_SENT) {
    cmd->device->last_sent_ms = cmd->sent_ms;
    ch_out_not_written (cmd);
    ChOutDevice *od = cmd->device->outbound;
    if (od != NULL) {
      od->not_before_ms = ch_now_ms (cmd->outbound->self) + RETRY_WRITE_MS;
      serve_in (od, RETRY_WRITE_MS);
    }
  } else {
    if (state == CH_COMMAND_UNSUPPORTED) { /* nothing was written */
      cmd->sends--;
      cmd->n_attempts--;
    }
    ch_out_finish (cmd, state >= CH_COMMAND_ACKED ? state : CH_COMMAND_UNSUPPORTED,
                   CH_UNSET, NULL, CH_FINAL_NONE);
  }
  ch_out_command_unref (cmd);
}

/* The kv does not know it: it was restarted empty. Twice in a row: send it all the same.
 */
static gboolean push_again (ChOutCommand *cmd)
{
  if (++cmd->gone > 2)
    return FALSE;
  back_to_queue (cmd);
  ch_out_kv_push (cmd);
  return TRUE;
}

/* The kv has a command that comes first. */
static void fetch_better (ChOutCommand *cmd, const char *id)
{
  ChOutbound *outbound = cmd->outbound;
  ChOutCommand *better = ch_out_find (outbound, id);

  back_to_queue (cmd);
  if (better == NULL)
    ch_out_kv_fetch (outbound, cmd->device_id, id);
  else if (better->phase == CH_OUT_FINAL)
    ch_out_kv_finish (better);
  else if (better->phase == CH_OUT_PREPARED) /* the store is being asked of it */
    ch_out_device (cmd->device)->not_before_ms = ch_now_ms (outbound->self) + FACTS_MS;
  else if (better->phase != CH_OUT_WAITING)
    ch_out_kv_requeue (better, 0);
}

static void owned_elsewhere (ChOutCommand *cmd, const char *server)
{
  ch_info (cmd->outbound->self, "%s belongs to server %s now", cmd->device_id, server);
  back_to_queue (cmd);
  cmd->remote = TRUE;
  ch_sessions_hand_over (cmd->outbound->core->sessions, cmd->device_id);
  ch_session_stale (cmd->outbound->core->sessions, cmd->device);
}

void ch_out_taken (ChOutCommand *cmd, ChTakeWord word, const char *detail)
{
  ChDevice *device = cmd->device;
  ChOutDevice *od = device != NULL ? device->outbound : NULL;

  if (od == NULL)
    return;
  od->taking = FALSE;
  ch_out_kick (od);
  if (cmd->phase != CH_OUT_TAKING)
    return; /* taken back meanwhile; the kv has heard of it */
  if (word == CH_TAKE_GONE && push_again (cmd))
    return;
  if (word == CH_TAKE_FAILED)
    cmd->kv_dirty = TRUE;
  if (word == CH_TAKE_OWNER) {
    owned_elsewhere (cmd, detail);
  } else if (word == CH_TAKE_BETTER) {
    fetch_better (cmd, detail);
  } else if (word == CH_TAKE_FINAL) {
    ch_out_take_result (cmd, detail, strlen (detail));
    if (cmd->phase == CH_OUT_TAKING)
      ch_out_finish (cmd, CH_COMMAND_CANCELLED, CH_UNSET, NULL, CH_FINAL_ELSEWHERE);
  } else if (ch_out_expired (cmd)) {
    ch_out_finish (cmd, cmd->sends > 0 ? CH_COMMAND_NO_ACK : CH_COMMAND_EXPIRED, CH_UNSET,
                   NULL, CH_FINAL_NONE);
  } else if (device->conn == 0 || cmd->outbound->draining || awaits_facts (cmd)) {
    back_to_queue (cmd);
    ch_out_kv_requeue (cmd, 0);
  } else {
    send_now (cmd);
  }
}

/* A command of the device that another server accepted. */
void ch_out_fetched (ChOutbound *outbound, const char *id, const char *device_id,
                     const char *text, gsize size)
{
  ChDevice *device = g_hash_table_lookup (outbound->core->devices, device_id);

  if (device == NULL || ch_out_find (outbound, id) != NULL)
    return;
  ChOutCommand *cmd = ch_out_command_new (outbound, id);
  if (text == NULL || !ch_out_message_parse (cmd, text, size)
      || !g_str_equal (cmd->device_id, device_id)) {
    g_autofree char *key = g_strconcat ("outbound:dev:", device_id, NULL);
    ch_kv_commandv (outbound->self, NULL, NULL, "ZREM", key, id, NULL);
    ch_kv_commandv (outbound->self, NULL, NULL, "ZREM", "outbound:queue", id, NULL);
    ch_out_command_unref (cmd);
    return;
  }
  cmd->pushed = TRUE;
  ch_out_enter (cmd, device, CH_OUT_PREPARED);
  ch_out_look_up (cmd);
}

void ch_out_woken (ChPlugin *self, const char *channel, const char *message, gsize size,
                   gpointer user_data)
{
  ChOutbound *outbound = user_data;

  if (g_str_has_prefix (message, "ready ")) {
    ChDevice *device = g_hash_table_lookup (outbound->core->devices, message + 6);
    if (device != NULL && device->conn != 0) {
      ChOutDevice *od = ch_out_device_ensure (outbound, device);
      od->foreign = TRUE;
      ch_out_kick (od);
    } else {
      ch_sessions_hand_over (outbound->core->sessions, message + 6);
    }
    return;
  }
  if (g_str_has_prefix (message, "look ")) {
    ch_out_look (outbound, message + 5);
    return;
  }
  ChOutCommand *cmd = ch_out_find (outbound, message);
  if (cmd != NULL && cmd->phase != CH_OUT_FINAL)
    ch_out_kv_result (cmd);
}

/* ---- the safety net ---- */

static void ready_listed (ChPlugin *self, const ChKvReply *reply, const GError *error,
                          gpointer user_data)
{
  ChOutbound *outbound = user_data;

  for (gsize i = 0; error == NULL && i < reply->n_items; i++) {
    const char *id = reply->items[i]->text;
    ChDevice *device = g_hash_table_lookup (outbound->core->devices, id);
    if (device == NULL || device->conn == 0) {
      ch_sessions_hand_over (outbound->core->sessions, id);
      continue;
    }
    ChOutDevice *od = ch_out_device_ensure (outbound, device);
    if (od->waiting->len == 0 && !od->taking)
      od->foreign = TRUE;
    ch_out_kick (od);
  }
}

static void watch_kv (ChOutbound *outbound)
{
  gint64 now_ms = ch_now_ms (outbound->self);

  if (!ch_out_kv_ok (outbound)) {
    if (outbound->kv_down_ms == 0)
      outbound->kv_down_ms = now_ms;
    return;
  }
  outbound->kv_down_ms = 0;
  if (outbound->kv_stale && outbound->ticks % RESYNC_TICKS == 0)
    ch_out_kv_resync (outbound);
  if (outbound->started && !outbound->draining) {
    g_autofree char *key
        = g_strconcat ("outbound:ready:", outbound->core->services->server_id, NULL);
    g_autofree char *now
        = g_strdup_printf ("%" G_GINT64_FORMAT, ch_wall_ms (outbound->self));
    ch_kv_commandv (outbound->self, ready_listed, outbound, "ZRANGEBYSCORE", key, "-inf",
                    now, "LIMIT", "0", "500", NULL);
  }
}

static void kick_all (ChOutbound *outbound)
{
  GHashTableIter iter;
  gpointer od;

  g_hash_table_iter_init (&iter, outbound->devices);
  while (g_hash_table_iter_next (&iter, &od, NULL)) {
    if (((ChOutDevice *) od)->waiting->len > 0)
      ch_out_kick (od);
  }
}

void ch_out_tick (ChWheelTimer *timer)
{
  ChOutbound *outbound
      = (ChOutbound *) ((char *) timer - G_STRUCT_OFFSET (ChOutbound, tick));

  outbound->ticks++;
  watch_kv (outbound);
  kick_all (outbound);
  ch_out_trim_finals (outbound);
  ch_out_relay_tick (outbound);
  ch_wheel_arm (reactor_of (outbound), &outbound->tick, TICK_MS);
}
