/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A command from before, or from another server, is not sent before the store was asked:
 * its order may be over by now, its row may tell how it ended, or that it was written
 * once more than the kv knows. Until the answer came it is in memory (PREPARED), so that
 * an order that ends meanwhile takes it back as it does any other.
 */
#include "core/outbound/outbound-private.h"
#include <chargehost/clock.h>
#include <chargehost/log.h>

#include <string.h>

#define AGAIN_MS 1000
#define ANSWER_MS 3000

gboolean ch_out_is_unwanted (ChCommandType type, const ChTxResult *result,
                             guint statement, guint row)
{
  gint64 status = ch_tx_result_int (result, statement, row, "order_status");

  if (status == CH_UNSET)
    return FALSE;
  if (type == CH_COMMAND_START_CHARGE)
    return status != CH_ORDER_PENDING && status != CH_ORDER_CONFIRMED;
  return (type == CH_COMMAND_STOP_CHARGE || type == CH_COMMAND_CANCEL_SESSION)
         && !ch_order_status_is_active ((ChOrderStatus) status)
         && !ch_tx_result_bool (result, statement, row, "order_provisional");
}

static gboolean is_of_order (const ChOutCommand *cmd)
{
  return cmd->order_no[0] != '\0'
         && (cmd->type == CH_COMMAND_START_CHARGE || cmd->type == CH_COMMAND_STOP_CHARGE
             || cmd->type == CH_COMMAND_CANCEL_SESSION);
}

static void go_on (ChOutCommand *cmd)
{
  if (cmd->taken_up) {
    ch_out_resume (cmd);
  } else if (cmd->unwanted) {
    ch_out_finish (cmd, CH_COMMAND_CANCELLED, CH_UNSET, "order is over", CH_FINAL_NONE);
  } else {
    ch_out_set_phase (cmd, CH_OUT_WAITING);
    ch_out_arm_expiry (cmd);
    ch_out_kick (cmd->device->outbound);
  }
}

/* Its row says how it ended: only the kv was not told. */
static void end_by_row (ChOutCommand *cmd, const ChTxResult *result)
{
  const char *text = ch_tx_result_text (result, 0, 0, "result");

  if (text != NULL)
    ch_out_take_result (cmd, text, strlen (text));
  if (cmd->phase != CH_OUT_FINAL)
    ch_out_finish (cmd, CH_COMMAND_CANCELLED, CH_UNSET, NULL,
                   CH_FINAL_ELSEWHERE | CH_FINAL_TOLD | CH_FINAL_NO_HOOK);
  ch_out_kv_finish (cmd);
}

static void found (ChOutCommand *cmd, const ChTxResult *result)
{
  if (ch_tx_result_rows (result, 0) > 0) {
    gint64 sends = ch_tx_result_int (result, 0, 0, "retry_count");
    if (ch_tx_result_int (result, 0, 0, "status") >= 2) {
      end_by_row (cmd, result);
      return;
    }
    if (sends != CH_UNSET && sends > cmd->sends) {
      cmd->sends = (guint) MIN (sends, CH_OUT_MAX_ATTEMPTS);
      cmd->taken_up = TRUE;
    }
  }
  if (is_of_order (cmd) && ch_tx_result_rows (result, 1) > 0)
    cmd->unwanted = ch_out_is_unwanted (cmd->type, result, 1, 0);
  go_on (cmd);
}

static void answered (ChPlugin *self, const ChTxResult *result, const GError *error,
                      gpointer user_data)
{
  ChOutCall *call = user_data;
  ChOutCommand *cmd = call->cmd;

  if (cmd->phase != CH_OUT_PREPARED) {
    /* its order took it back, or its device was removed */
  } else if (error == NULL) {
    found (cmd, result);
  } else if (cmd->type == CH_COMMAND_START_CHARGE && !ch_out_expired (cmd)) {
    ch_core_trouble (call->outbound->core, CH_TROUBLE_LOOKUP,
                     CH_LOG_FIELDS ("command_id", cmd->id),
                     "a start waits until the store tells of its order", error);
    ch_wheel_arm (call->outbound->core->services->reactor, &cmd->timer, AGAIN_MS);
  } else {
    go_on (cmd); /* a stop waits for no store */
  }
  ch_out_call_done (call);
}

void ch_out_look_up (ChOutCommand *cmd)
{
  ChOutbound *outbound = cmd->outbound;
  gboolean row_is_known = cmd->from_row && !is_of_order (cmd);

  if (outbound->core->services->store == NULL || row_is_known
      || (!cmd->durable && !is_of_order (cmd))) {
    go_on (cmd);
    return;
  }
  ChTx *tx = ch_tx_new (outbound->self);
  ch_tx_add (tx, outbound->self, "outbound.lookup");
  ch_tx_bind_text (tx, "command_id", cmd->id);
  if (is_of_order (cmd)) {
    ch_tx_add (tx, outbound->self, "outbound.lookup_order");
    ch_tx_bind_text (tx, "order_no", cmd->order_no);
  }
  ch_tx_submit (tx, ANSWER_MS, answered, ch_out_call_new (outbound, cmd));
}
