/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands that no living instance has in memory, when there are several: handed to the
 * one that holds the device, taken from the list of delayed ones when they are overdue,
 * ended when their time has passed.
 */
#include "core/order/order-home.h"
#include "core/outbound/outbound-private.h"
#include "core/session/session-private.h"
#include <chargehost/clock.h>
#include <chargehost/json.h>
#include <chargehost/kv.h>
#include <chargehost/log.h>

#include <string.h>

#define DELAYED_TICKS 2
#define OVERDUE_TICKS 10
#define DELAYED_LATE_MS 3000
#define OVERDUE_MS 60000 /* longer than any living instance takes to end it */
#define ROWS 100

/* ---- to the owner ---- */

static void tell_owner (ChCore *core, const char *device, gpointer data)
{
  const char *owner = ch_session_remote_owner (core->sessions, device);
  if (*owner == '\0')
    return; /* nobody has it: its next bind finds the command */
  g_autofree char *channel = g_strconcat ("outbound:wake:", owner, NULL);
  g_autofree char *text = g_strconcat ("look ", device, NULL);
  ch_kv_commandv (core->self, NULL, NULL, "PUBLISH", channel, text, NULL);
}

/* Leaves memory without an end: the kv has it. */
static void drop (ChOutCommand *cmd)
{
  ChOutbound *outbound = cmd->outbound;
  ch_wheel_cancel (outbound->core->services->reactor, &cmd->timer);
  if (cmd->dedup_key != NULL
      && g_hash_table_lookup (outbound->dedup, cmd->dedup_key) == cmd)
    g_hash_table_remove (outbound->dedup, cmd->dedup_key);
  ch_out_answer_waiters (cmd); /* nobody here will hear of its end */
  ch_out_set_phase (cmd, CH_OUT_FINAL);
  g_hash_table_remove (outbound->commands, cmd->id);
}

void ch_out_hand_over (ChOutCommand *cmd)
{
  ChCore *core = cmd->outbound->core;
  char device[CH_DEVICE_ID_SIZE];

  g_strlcpy (device, cmd->device_id, sizeof device);
  if (cmd->type == CH_COMMAND_START_CHARGE && (cmd->sends > 0 || cmd->maybe_sent)) {
    ch_out_keep_unknown (cmd); /* the owner asks the port first */
    drop (cmd);
  } else {
    cmd->remote = TRUE;
    cmd->local = FALSE;
    ch_out_set_phase (cmd, CH_OUT_WAITING);
    ch_out_arm_expiry (cmd);
    ch_out_kv_requeue (cmd, 0);
  }
  ch_sessions_locate (core->sessions, device, tell_owner, NULL);
}

/* ---- what the kv has of a device here ---- */

static void flight_read (ChPlugin *self, const ChKvReply *reply, const GError *error,
                         gpointer user_data)
{
  ChOutCall *call = user_data;
  ChDevice *device = g_hash_table_lookup (call->outbound->core->devices, call->device);
  if (error == NULL && device != NULL && device->conn != 0)
    ch_outbound_session_reply (call->outbound, device, G_MAXINT64, reply->items,
                               reply->n_items);
  ch_out_call_done (call);
}

void ch_out_look (ChOutbound *outbound, const char *device_id)
{
  ChDevice *device = g_hash_table_lookup (outbound->core->devices, device_id);
  if (device == NULL || device->conn == 0)
    return;
  g_autofree char *key = g_strconcat ("outbound:processing:", device_id, NULL);
  ChOutCall *call = ch_out_call_new (outbound, NULL);
  g_strlcpy (call->device, device_id, sizeof call->device);
  ch_kv_commandv (outbound->self, flight_read, call, "HGETALL", key, NULL);
}

/* ---- delayed ones of a dead instance ---- */

static void claimed (ChPlugin *self, const ChKvReply *reply, const GError *error,
                     gpointer user_data)
{
  ChOutCall *call = user_data;
  if (error == NULL && reply->kind == CH_KV_REPLY_INTEGER && reply->integer == 1)
    ch_out_take_kept (call->outbound, call->id);
  ch_out_call_done (call);
}

static void messages_read (ChPlugin *self, const ChKvReply *reply, const GError *error,
                           gpointer user_data)
{
  ChOutbound *outbound = user_data;

  for (gsize i = 0; error == NULL && i < reply->n_items; i++) {
    const ChKvReply *item = reply->items[i];
    if (item->kind != CH_KV_REPLY_STRING)
      continue;
    g_autoptr (json_t) message = ch_json_parse (item->text, item->size, NULL);
    const char *id = ch_json_get_string (message, "id", "");
    const char *device_id = ch_json_get_string (message, "phy_id", "");
    ChDevice *device = g_hash_table_lookup (outbound->core->devices, device_id);
    if (device == NULL || ch_home_is_elsewhere (device) || *id == '\0'
        || ch_out_find (outbound, id) != NULL)
      continue;
    ChOutCall *call = ch_out_call_new (outbound, NULL);
    g_strlcpy (call->id, id, sizeof call->id);
    ch_kv_commandv (self, claimed, call, "ZREM", "outbound:delayed", id, NULL);
  }
}

static void delayed_listed (ChPlugin *self, const ChKvReply *reply, const GError *error,
                            gpointer user_data)
{
  ChOutbound *outbound = user_data;
  g_autoptr (GPtrArray) argv = g_ptr_array_new_with_free_func (g_free);

  g_ptr_array_add (argv, g_strdup ("MGET"));
  for (gsize i = 0; error == NULL && i < reply->n_items; i++)
    if (ch_out_find (outbound, reply->items[i]->text) == NULL)
      g_ptr_array_add (argv, g_strconcat ("outbound:msg:", reply->items[i]->text, NULL));
  if (argv->len > 1)
    ch_kv_command (self, messages_read, outbound, (const char *const *) argv->pdata, NULL,
                   argv->len);
}

static void look_for_delayed (ChOutbound *outbound)
{
  g_autofree char *until = g_strdup_printf (
      "%" G_GINT64_FORMAT, ch_wall_ms (outbound->self) - DELAYED_LATE_MS);
  ch_kv_commandv (outbound->self, delayed_listed, outbound, "ZRANGEBYSCORE",
                  "outbound:delayed", "-inf", until, "LIMIT", "0", "50", NULL);
}

/* ---- rows whose time has passed ---- */

static ChDevice *device_of (ChOutbound *outbound, const ChOutCommand *cmd)
{
  return g_hash_table_lookup (outbound->core->devices, cmd->device_id);
}

/* Takes the command; @call keeps it. */
static void end_overdue (ChOutCall *call)
{
  ChOutbound *outbound = call->outbound;
  ChOutCommand *cmd = call->cmd;
  ChDevice *device = device_of (outbound, cmd);

  if (device == NULL || ch_out_find (outbound, cmd->id) != NULL)
    return;
  gboolean sent = cmd->sends > 0;
  ch_out_enter (ch_out_command_ref (cmd), device, CH_OUT_WAITING);
  ch_out_finish (cmd, sent ? CH_COMMAND_NO_ACK : CH_COMMAND_EXPIRED, CH_UNSET, NULL,
                 CH_FINAL_NONE);
}

static void overdue_locked (ChPlugin *self, const ChKvReply *reply, const GError *error,
                            gpointer user_data)
{
  ChOutCall *call = user_data;
  if (error == NULL && reply->kind == CH_KV_REPLY_STATUS)
    end_overdue (call);
  ch_out_call_done (call);
}

static void overdue_attempt (ChPlugin *self, const ChKvReply *reply, const GError *error,
                             gpointer user_data)
{
  ChOutCall *call = user_data;
  g_autoptr (json_t) attempt = error == NULL && reply->kind == CH_KV_REPLY_STRING
                                   ? ch_json_parse (reply->text, reply->size, NULL)
                                   : NULL;
  gboolean flies = attempt != NULL && json_object_get (attempt, "outcome") == NULL;

  if (error == NULL
      && !flies) { /* one in flight is ended by its instance or the reaper */
    g_autofree char *lock = g_strconcat ("outbound:overdue:", call->cmd->id, NULL);
    ChOutCall *next = ch_out_call_new (call->outbound, call->cmd);
    ch_kv_commandv (self, overdue_locked, next, "SET", lock,
                    call->outbound->core->services->server_id, "NX", "EX", "120", NULL);
  }
  ch_out_call_done (call);
}

static void overdue_result (ChPlugin *self, const ChKvReply *reply, const GError *error,
                            gpointer user_data)
{
  ChOutCall *call = user_data;
  ChOutbound *outbound = call->outbound;
  ChDevice *device = device_of (outbound, call->cmd);

  if (error != NULL || device == NULL || ch_out_find (outbound, call->cmd->id) != NULL) {
    ch_out_call_done (call);
    return;
  }
  if (reply->kind == CH_KV_REPLY_STRING) { /* it ended; only its row was not told */
    ch_out_enter (ch_out_command_ref (call->cmd), device, CH_OUT_WAITING);
    ch_out_take_result (call->cmd, reply->text, reply->size);
  } else {
    g_autofree char *key = g_strconcat ("outbound:processing:", device->id, NULL);
    ChOutCall *next = ch_out_call_new (outbound, call->cmd);
    ch_kv_commandv (self, overdue_attempt, next, "HGET", key, call->cmd->id, NULL);
  }
  ch_out_call_done (call);
}

static void overdue_listed (ChPlugin *self, const ChTxResult *result, const GError *error,
                            gpointer user_data)
{
  ChOutbound *outbound = user_data;
  gint status;

  outbound->overdue_running = FALSE;
  for (guint row = 0; error == NULL && row < ch_tx_result_rows (result, 0); row++) {
    ChOutCommand *cmd = ch_out_row_read (outbound, result, row, &status);
    if (cmd == NULL)
      continue;
    g_autofree char *key = g_strconcat ("outbound:result:", cmd->id, NULL);
    ChOutCall *call = ch_out_call_new (outbound, cmd);
    ch_out_command_unref (cmd);
    ch_kv_commandv (outbound->self, overdue_result, call, "GET", key, NULL);
  }
}

static void look_for_overdue (ChOutbound *outbound)
{
  if (outbound->overdue_running)
    return;
  outbound->overdue_running = TRUE;
  ChTx *tx = ch_tx_new (outbound->self);
  ch_tx_add (tx, outbound->self, "outbound.overdue");
  ch_tx_bind_time (tx, "before", ch_wall_ms (outbound->self) - OVERDUE_MS);
  ch_tx_bind_int (tx, "count", ROWS);
  ch_tx_submit (tx, 0, overdue_listed, outbound);
}

void ch_out_stray_tick (ChOutbound *outbound)
{
  if (!ch_sessions_are_several (outbound->core->sessions) || !ch_out_kv_ok (outbound))
    return;
  if (outbound->ticks % DELAYED_TICKS == 0)
    look_for_delayed (outbound);
  if (outbound->ticks % OVERDUE_TICKS == 5 && outbound->core->services->store != NULL)
    look_for_overdue (outbound);
}
