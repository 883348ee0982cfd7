/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is left over: rows of commands from before a restart, rows that never reached the
 * queue (4.9).
 */
#include "core/outbound/outbound-private.h"
#include "core/session/session-private.h"
#include "store/store.h"
#include <chargehost/clock.h>
#include <chargehost/json.h>
#include <chargehost/kv.h>
#include <chargehost/log.h>

#include <string.h>

#define RELAY_AGE_MS 2000
#define RELAY_TICKS 2 /* when other servers live */
#define RELAY_TICKS_ALONE 60
#define RETENTION_TICKS 3600
#define RESTORED_MAX 10000
#define DEAD_ALARM 1000

/* The device of a row, made when only the row knows it. */
static ChDevice *device_of (ChOutbound *outbound, const char *id)
{
  return g_hash_table_lookup (outbound->core->devices, id);
}

static gint64 or_zero (gint64 value)
{
  return value == CH_UNSET ? 0 : value;
}

ChOutCommand *ch_out_row_read (ChOutbound *outbound, const ChTxResult *result, guint row,
                               gint *row_status)
{
  const char *id = ch_tx_result_text (result, 0, row, "command_id");
  const char *message = ch_tx_result_text (result, 0, row, "message");

  if (id == NULL || message == NULL || ch_out_find (outbound, id) != NULL)
    return NULL;
  ChOutCommand *cmd = ch_out_command_new (outbound, id);
  if (!ch_out_message_parse (cmd, message, strlen (message))
      || device_of (outbound, cmd->device_id) == NULL) {
    ch_warning (outbound->self, "the row of command %s is not usable", id);
    ch_out_command_unref (cmd);
    return NULL;
  }
  *row_status = (gint) ch_tx_result_int (result, 0, row, "status");
  gint64 sends = or_zero (ch_tx_result_int (result, 0, row, "retry_count"));
  cmd->sends = (guint) CLAMP (sends, *row_status == 1 ? 1 : 0, CH_OUT_MAX_ATTEMPTS);
  gint64 msg_id = or_zero (ch_tx_result_int (result, 0, row, "msg_id"));
  cmd->msg_id = (guint32) CLAMP (msg_id, 0, G_MAXUINT32);
  cmd->durable = cmd->from_row = TRUE;
  cmd->row_id = ch_tx_result_int (result, 0, row, "id");
  /* a crash may have come between writing the frame and marking the row */
  cmd->maybe_sent = cmd->type == CH_COMMAND_START_CHARGE;
  cmd->hidden_sends = cmd->maybe_sent && cmd->sends == 0;
  cmd->unwanted = ch_out_is_unwanted (cmd->type, result, 0, row);
  return cmd;
}

void ch_out_adopt (ChOutCommand *cmd)
{
  ChOutbound *outbound = cmd->outbound;
  ChDevice *device = device_of (outbound, cmd->device_id);

  if (device == NULL || ch_out_find (outbound, cmd->id) != NULL) {
    ch_out_command_unref (cmd);
    return;
  }
  cmd->taken_up = TRUE;
  ch_out_enter (cmd, device, CH_OUT_PREPARED);
  ch_out_look_up (cmd);
}

void ch_out_resume (ChOutCommand *cmd)
{
  ChOutbound *outbound = cmd->outbound;
  ChDevice *device = cmd->device;

  ch_out_set_phase (cmd, CH_OUT_WAITING);
  if (cmd->unwanted) {
    ch_out_finish (cmd, CH_COMMAND_CANCELLED, CH_UNSET, "order is over", CH_FINAL_NONE);
  } else if (ch_out_expired (cmd)) {
    ch_out_finish (cmd, CH_COMMAND_EXPIRED, CH_UNSET, NULL, CH_FINAL_NONE);
  } else if (device->conn == 0 && ch_sessions_are_several (outbound->core->sessions)
             && ch_out_kv_ok (outbound)) {
    ch_out_hand_over (cmd);
  } else if (cmd->type == CH_COMMAND_START_CHARGE) {
    ch_out_keep_unknown (cmd);
    if (device->conn != 0)
      ch_outbound_device_bound (outbound, device);
  } else if (cmd->sends >= cmd->max_sends || (cmd->sends > 0 && !cmd->resend_safe)) {
    ch_out_finish (cmd, CH_COMMAND_NO_ACK, CH_UNSET, NULL, CH_FINAL_NONE);
  } else {
    ch_out_arm_expiry (cmd);
    if (cmd->pushed)
      ch_out_kv_requeue (cmd, 0);
    else
      ch_out_kv_push (cmd);
    ch_out_kick (device->outbound);
  }
}

/* ---- asking the kv whether somebody else has it ---- */

static void checked (ChPlugin *self, const ChKvReply *reply, const GError *error,
                     gpointer user_data)
{
  ChOutCall *call = user_data;
  ChOutbound *outbound = call->outbound;
  ChOutCommand *cmd = ch_out_command_ref (call->cmd);
  gboolean alone = ch_sessions_servers (outbound->core->sessions) <= 1;

  ch_out_call_done (call);
  if (error == NULL && reply->n_items == 2 && reply->items[0]->kind == CH_KV_REPLY_STRING
      && ch_out_find (outbound, cmd->id) == NULL) {
    /* it ended, and only the row was not told any more */
    ch_out_enter (cmd, device_of (outbound, cmd->device_id), CH_OUT_WAITING);
    ch_out_take_result (cmd, reply->items[0]->text, reply->items[0]->size);
  } else if (error == NULL && reply->n_items == 2 && !alone
             && reply->items[1]->kind == CH_KV_REPLY_STRING) {
    ch_out_command_unref (cmd); /* it waits in the queue: its device's owner sends it */
  } else {
    ch_out_adopt (cmd);
  }
}

static void check (ChOutCommand *cmd)
{
  ChOutbound *outbound = cmd->outbound;
  g_autofree char *result = g_strconcat ("outbound:result:", cmd->id, NULL);
  g_autofree char *message = g_strconcat ("outbound:msg:", cmd->id, NULL);

  if (!ch_out_kv_ok (outbound)) {
    ch_out_adopt (cmd);
    return;
  }
  ChOutCall *call = ch_out_call_new (outbound, cmd);
  ch_out_command_unref (cmd);
  ch_kv_commandv (outbound->self, checked, call, "MGET", result, message, NULL);
}

/* ---- start ---- */

typedef struct {
  ChOutbound *outbound;
  guint rows;
  gint64 after;
} Load;

static void loaded (ChPlugin *self, const ChTxResult *result, const GError *error,
                    gpointer user_data)
{
  Load *load = user_data;
  gint status;

  if (error != NULL)
    return;
  load->rows = ch_tx_result_rows (result, 0);
  for (guint row = 0; row < load->rows; row++) {
    load->after = ch_tx_result_int (result, 0, row, "id");
    ChOutCommand *cmd = ch_out_row_read (load->outbound, result, row, &status);
    if (cmd != NULL)
      g_ptr_array_add (load->outbound->restored, cmd);
  }
}

gboolean ch_out_rows_load (ChOutbound *outbound, GError **error)
{
  Load load = {.outbound = outbound};

  if (outbound->core->services->store == NULL)
    return TRUE;
  do {
    ChTx *tx = ch_tx_new (outbound->self);
    ch_tx_add (tx, outbound->self, "outbound.open_rows");
    ch_tx_bind_int (tx, "after", load.after);
    if (!ch_store_run_now (outbound->self, tx, loaded, &load, error))
      return FALSE;
  } while (load.rows == 500 && outbound->restored->len < RESTORED_MAX);
  if (outbound->restored->len > 0)
    ch_notice (outbound->self, "%u commands are open from before",
               outbound->restored->len);
  return TRUE;
}

void ch_out_adopt_restored (ChOutbound *outbound)
{
  g_autoptr (GPtrArray) restored = g_steal_pointer (&outbound->restored);

  outbound->restored
      = g_ptr_array_new_with_free_func ((GDestroyNotify) ch_out_command_unref);
  g_ptr_array_set_free_func (restored, NULL);
  for (guint i = 0; i < restored->len; i++)
    check (g_ptr_array_index (restored, i));
}

/* ---- relay ---- */

static void relayed (ChPlugin *self, const ChTxResult *result, const GError *error,
                     gpointer user_data)
{
  ChOutbound *outbound = user_data;
  gint64 oldest = 0;
  gint status;

  outbound->relay_running = FALSE;
  if (error != NULL)
    return;
  guint rows = ch_tx_result_rows (result, 0);
  for (guint row = 0; row < rows; row++) {
    gint64 created = ch_tx_result_time (result, 0, row, "created_at");
    outbound->relay_after = ch_tx_result_int (result, 0, row, "id");
    oldest = oldest == 0 ? created : MIN (oldest, created);
    ChOutCommand *cmd = ch_out_row_read (outbound, result, row, &status);
    if (cmd != NULL)
      check (cmd);
  }
  if (rows < 200)
    outbound->relay_after = 0;
  ch_series_set (outbound->metrics.lag,
                 oldest == 0 ? 0 : (double) (ch_wall_ms (self) - oldest) / 1000.0);
}

static void relay_next (ChOutbound *outbound)
{
  if (outbound->relay_running || outbound->core->services->store == NULL
      || !ch_out_kv_ok (outbound))
    return;
  outbound->relay_running = TRUE;
  ChTx *tx = ch_tx_new (outbound->self);
  ch_tx_add (tx, outbound->self, "outbound.relay");
  ch_tx_bind_time (tx, "before", ch_wall_ms (outbound->self) - RELAY_AGE_MS);
  ch_tx_bind_int (tx, "after", outbound->relay_after);
  ch_tx_submit (tx, 0, relayed, outbound);
}

static void watch_dead (ChOutbound *outbound)
{
  gboolean many = outbound->dead_count > DEAD_ALARM;

  ch_series_set (outbound->metrics.dead, (double) outbound->dead_count);
  if (many == outbound->alarmed)
    return;
  outbound->alarmed = many;
  ch_core_alarm (outbound->core, "", -1, -1, "outbound_dead_letters", CH_ALARM_WARNING,
                 many, "Many commands were not acknowledged", NULL, NULL);
}

void ch_out_relay_tick (ChOutbound *outbound)
{
  if (!outbound->started || outbound->draining)
    return;
  gboolean alone = ch_sessions_servers (outbound->core->sessions) <= 1;
  if (outbound->ticks % (alone ? RELAY_TICKS_ALONE : RELAY_TICKS) == 0)
    relay_next (outbound);
  if (outbound->ticks % 60 == 1)
    ch_out_count_rows (outbound, outbound->ticks % RETENTION_TICKS == 1);
  if (outbound->ticks % RETENTION_TICKS == 10)
    ch_out_retention (outbound);
  ch_out_stray_tick (outbound);
  ch_out_rows_resync (outbound);
  watch_dead (outbound);
}
