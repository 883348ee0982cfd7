/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Durable rows of commands (gateway 4.9), dead letters (4.10), retention. Updates are
 * gathered for a moment and go as one transaction.
 */
#include "core/outbound/outbound-private.h"
#include <chargehost/clock.h>
#include <chargehost/config.h>
#include <chargehost/error.h>
#include <chargehost/log.h>

#include <string.h>

#define FLUSH_MS 20
#define FLUSH_ROWS 200
#define DAY_MS (24 * 3600 * G_GINT64_CONSTANT (1000))
#define CHUNK 1000

const ChStatement ch_outbound_statements[] = {
    {.name = "outbound.insert",
     .sql
     = "INSERT INTO outbound_queue (command_id, device_id, phy_id, port_no, type, "
       "message,"
       " order_no, priority, status, timeout_sec, expires_at, created_at, updated_at)"
       " VALUES (:command_id, (SELECT id FROM devices WHERE phy_id = :phy_id), :phy_id,"
       " :port_no, :type, :message, :order_no, :priority, 0, :timeout_sec, :expires_at,"
       " :created_at, :created_at)"},
    {.name = "outbound.sent",
     .sql = "UPDATE outbound_queue SET status = 1, sent_at = COALESCE(sent_at, :at),"
            " retry_count = :sends, msg_id = :msg_id, updated_at = :at"
            " WHERE command_id = :command_id AND status IN (0, 1)"},
    {.name = "outbound.finished",
     .sql
     = "UPDATE outbound_queue SET status = :status, retry_count = :sends,"
       " result = :result, last_error = :last_error, finished_at = :at, updated_at = :at"
       " WHERE command_id = :command_id AND (status IN (0, 1) OR :again)"},
    {.name = "outbound.open_rows",
     .sql = "SELECT q.id, q.command_id, q.phy_id, q.message, q.status, q.retry_count, "
            "q.msg_id,"
            " q.created_at, q.expires_at, o.status AS order_status,"
            " o.provisional AS order_provisional"
            " FROM outbound_queue q LEFT JOIN orders o ON o.order_no = q.order_no"
            " WHERE q.status IN (0, 1) AND q.id > :after ORDER BY q.id LIMIT 500",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "outbound.relay",
     .sql = "SELECT q.id, q.command_id, q.phy_id, q.message, q.status, q.retry_count, "
            "q.msg_id,"
            " q.created_at, q.expires_at, o.status AS order_status,"
            " o.provisional AS order_provisional"
            " FROM outbound_queue q LEFT JOIN orders o ON o.order_no = q.order_no"
            " WHERE q.status = 0 AND q.created_at < :before AND q.id > :after"
            " ORDER BY q.id LIMIT 200",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "outbound.overdue",
     .sql = "SELECT q.id, q.command_id, q.phy_id, q.message, q.status, q.retry_count,"
            " q.msg_id, q.created_at, q.expires_at, o.status AS order_status,"
            " o.provisional AS order_provisional"
            " FROM outbound_queue q LEFT JOIN orders o ON o.order_no = q.order_no"
            " WHERE q.status IN (0, 1) AND q.expires_at < :before LIMIT :count",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "outbound.get",
     .sql
     = "SELECT command_id, phy_id, type, port_no, order_no, priority, status, result,"
       " retry_count, created_at, expires_at, finished_at"
       " FROM outbound_queue WHERE command_id = :command_id",
     .flags = CH_STATEMENT_READ_ONLY},
    /* Not of a replica: whether a start is sent again hangs on these. */
    {.name = "outbound.lookup",
     .sql = "SELECT status, retry_count, result FROM outbound_queue"
            " WHERE command_id = :command_id"},
    {.name = "outbound.lookup_order",
     .sql = "SELECT status AS order_status, provisional AS order_provisional FROM orders"
            " WHERE order_no = :order_no"},
    {.name = "outbound.clean",
     .sql = "DELETE FROM outbound_queue WHERE id IN (SELECT id FROM outbound_queue"
            " WHERE status = :status AND finished_at < :before LIMIT 1000)"},
    /* Few, and at the head of an index; the others are counted once an hour. */
    {.name = "outbound.count_open",
     .sql = "SELECT status, COUNT(*) AS n FROM outbound_queue WHERE status IN (0, 1)"
            " GROUP BY status",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "outbound.count_ended",
     .sql = "SELECT status, COUNT(*) AS n FROM outbound_queue WHERE status IN (2, 3)"
            " GROUP BY status",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "outbound.dead_insert",
     .sql
     = "INSERT INTO outbound_dead_letters (message_id, device_id, phy_id, message,"
       " attempts, priority, retries, last_error, created_at, failed_at)"
       " VALUES (:command_id, COALESCE((SELECT id FROM devices WHERE phy_id = :phy_id), "
       "0),"
       " :phy_id, :message, :attempts, :priority, :retries, :last_error, :created_at,"
       " :failed_at)"},
    {.name = "outbound.dead_clean",
     .sql = "DELETE FROM outbound_dead_letters WHERE id IN (SELECT id FROM"
            " outbound_dead_letters WHERE failed_at < :before LIMIT 1000)"},
    {.name = "outbound.dead_list",
     .sql = "SELECT id, message_id, phy_id, message, attempts, last_error, failed_at"
            " FROM outbound_dead_letters WHERE id < :before ORDER BY id DESC LIMIT :n",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "outbound.dead_get",
     .sql = "SELECT id, message_id, phy_id, message FROM outbound_dead_letters"
            " WHERE id = :id",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "outbound.dead_delete",
     .sql = "DELETE FROM outbound_dead_letters WHERE failed_at < :before"},
    {.name = "outbound.dead_count",
     .sql = "SELECT COUNT(*) AS n FROM outbound_dead_letters",
     .flags = CH_STATEMENT_READ_ONLY},
    {NULL},
};

static gboolean has_store (ChOutbound *outbound)
{
  return outbound->core->services->store != NULL;
}

void ch_out_row_insert (ChOutCommand *cmd, ChTx *tx)
{
  g_autofree char *message = ch_out_message_json (cmd);

  if (cmd->device != NULL && cmd->device->db_id == 0)
    ch_device_store (cmd->device, tx); /* new: its row waits for a batch */
  ch_tx_add (tx, cmd->outbound->self, "outbound.insert");
  ch_tx_bind_text (tx, "command_id", cmd->id);
  ch_tx_bind_text (tx, "phy_id", cmd->device_id);
  ch_tx_bind_int (tx, "port_no", cmd->port_no);
  ch_tx_bind_text (tx, "type", ch_command_type_name (cmd->type));
  ch_tx_bind_json (tx, "message", message);
  ch_tx_bind_text (tx, "order_no", cmd->order_no[0] != '\0' ? cmd->order_no : NULL);
  ch_tx_bind_int (tx, "priority", cmd->priority);
  ch_tx_bind_int (tx, "timeout_sec", (cmd->ack_ms + 999) / 1000);
  ch_tx_bind_time (tx, "expires_at", cmd->expires_at);
  ch_tx_bind_time (tx, "created_at", cmd->created_at);
}

/* ---- gathered updates ---- */

static ChTx *rows_of (ChOutbound *outbound)
{
  if (outbound->rows == NULL) {
    outbound->rows = ch_tx_new (outbound->self);
    outbound->n_rows = 0;
    ch_wheel_arm (outbound->core->services->reactor, &outbound->flush, FLUSH_MS);
  }
  if (++outbound->n_rows >= FLUSH_ROWS)
    ch_wheel_arm (outbound->core->services->reactor, &outbound->flush, 1);
  return outbound->rows;
}

static void rows_written (ChPlugin *self, const ChTxResult *result, const GError *error,
                          gpointer user_data)
{
  ChOutbound *outbound = user_data;

  outbound->rows_in_flight--;
  if (error == NULL) {
    outbound->rows_behind = FALSE;
    return;
  }
  if (!outbound->rows_behind)
    ch_warning (self, "rows of commands could not be written: %s", error->message);
  outbound->rows_behind = TRUE;
  outbound->rows_lost = TRUE;
}

void ch_out_rows_flush (ChOutbound *outbound)
{
  if (outbound->rows == NULL)
    return;
  outbound->rows_in_flight++;
  ch_tx_submit (g_steal_pointer (&outbound->rows), 0, rows_written, outbound);
}

void ch_out_rows_flush_fired (ChWheelTimer *timer)
{
  ch_out_rows_flush (
      (ChOutbound *) ((char *) timer - G_STRUCT_OFFSET (ChOutbound, flush)));
}

void ch_out_row_sent (ChOutCommand *cmd)
{
  if (!cmd->durable || !has_store (cmd->outbound))
    return;
  ChTx *tx = rows_of (cmd->outbound);
  ch_tx_add (tx, cmd->outbound->self, "outbound.sent");
  ch_tx_bind_text (tx, "command_id", cmd->id);
  ch_tx_bind_time (tx, "at", ch_wall_ms (cmd->outbound->self));
  ch_tx_bind_int (tx, "sends", cmd->sends);
  ch_tx_bind_int (tx, "msg_id", cmd->msg_id);
}

static gboolean is_done (const ChOutCommand *cmd)
{
  return cmd->state == CH_COMMAND_ACKED || cmd->state == CH_COMMAND_CANCELLED;
}

static void write_finished (ChOutCommand *cmd)
{
  gboolean done = is_done (cmd);
  g_autofree char *result = ch_out_dump (ch_out_state_json (cmd));
  ChTx *tx = rows_of (cmd->outbound);
  ch_tx_add (tx, cmd->outbound->self, "outbound.finished");
  ch_tx_bind_text (tx, "command_id", cmd->id);
  ch_tx_bind_int (tx, "status", done ? 2 : 3);
  ch_tx_bind_int (tx, "sends", cmd->sends);
  ch_tx_bind_text (tx, "result", result);
  ch_tx_bind_bool (tx, "again", cmd->late); /* else the first end counts */
  ch_tx_bind_text (tx, "last_error", done ? NULL : ch_command_state_name (cmd->state));
  ch_tx_bind_time (tx, "at", ch_wall_ms (cmd->outbound->self));
}

void ch_out_row_finished (ChOutCommand *cmd)
{
  if (!cmd->durable || !has_store (cmd->outbound))
    return;
  cmd->outbound->row_counts[is_done (cmd) ? 2 : 3]++;
  write_finished (cmd);
}

void ch_out_row_dead (ChOutCommand *cmd)
{
  ChOutbound *outbound = cmd->outbound;

  outbound->dead_count++;
  if (!has_store (outbound))
    return;
  g_autofree char *message = ch_out_message_json (cmd);
  g_autofree char *attempts
      = ch_out_dump (ch_out_attempts_json (cmd, outbound->core->services->server_id));
  ChTx *tx = rows_of (outbound);
  ch_tx_add (tx, outbound->self, "outbound.dead_insert");
  ch_tx_bind_text (tx, "command_id", cmd->id);
  ch_tx_bind_text (tx, "phy_id", cmd->device_id);
  ch_tx_bind_json (tx, "message", message);
  ch_tx_bind_json (tx, "attempts", attempts);
  ch_tx_bind_int (tx, "priority", cmd->priority);
  ch_tx_bind_int (tx, "retries", cmd->sends > 0 ? cmd->sends - 1 : 0);
  ch_tx_bind_text (tx, "last_error", ch_command_state_name (cmd->state));
  ch_tx_bind_time (tx, "created_at", cmd->created_at);
  ch_tx_bind_time (tx, "failed_at", cmd->finished_at);
}

/* After an outage of the store: what was lost is written again as it stands now. */
void ch_out_rows_resync (ChOutbound *outbound)
{
  GHashTableIter iter;
  gpointer value;

  if (!outbound->rows_lost || outbound->rows_in_flight > 0)
    return;
  outbound->rows_lost = FALSE;
  g_hash_table_iter_init (&iter, outbound->commands);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    ChOutCommand *cmd = value;
    if (cmd->phase == CH_OUT_FINAL && cmd->durable)
      write_finished (cmd);
    else if (cmd->sends > 0)
      ch_out_row_sent (cmd);
    if (outbound->n_rows >= FLUSH_ROWS)
      ch_out_rows_flush (outbound);
  }
}

/* ---- retention and figures ---- */

static void cleaned (ChPlugin *self, const ChTxResult *result, const GError *error,
                     gpointer user_data)
{
  ChOutbound *outbound = user_data;

  if (error != NULL) {
    ch_warning (self, "old commands could not be deleted: %s", error->message);
    return;
  }
  guint64 dead = ch_tx_result_changes (result, 2);
  for (guint i = 0; i < 2; i++)
    outbound->row_counts[2 + i] -= (gint64) ch_tx_result_changes (result, i);
  outbound->dead_count = MAX (outbound->dead_count - (gint64) dead, 0);
  ch_series_add (outbound->metrics.dead_cleanup, (double) dead);
  if (ch_tx_result_changes (result, 0) == CHUNK
      || ch_tx_result_changes (result, 1) == CHUNK || dead == CHUNK)
    ch_out_retention (outbound);
}

void ch_out_retention (ChOutbound *outbound)
{
  ChPlugin *self = outbound->self;

  if (!has_store (outbound))
    return;
  gint64 now = ch_wall_ms (self);
  gint64 done = now - ch_config_int (self, "outbound.done_retention_days") * DAY_MS;
  gint64 dead = now - ch_config_int (self, "gateway.dead_retention_days") * DAY_MS;
  ChTx *tx = ch_tx_new (self);
  ch_tx_add (tx, self, "outbound.clean");
  ch_tx_bind_int (tx, "status", 2);
  ch_tx_bind_time (tx, "before", done);
  ch_tx_add (tx, self, "outbound.clean");
  ch_tx_bind_int (tx, "status", 3);
  ch_tx_bind_time (tx, "before", MIN (done, dead));
  ch_tx_add (tx, self, "outbound.dead_clean");
  ch_tx_bind_time (tx, "before", dead);
  ch_tx_submit (tx, 0, cleaned, outbound);
}

/* The two statuses from @from on, of a statement that counts them. */
static void take_counts (ChOutbound *outbound, const ChTxResult *result, guint statement,
                         guint from)
{
  outbound->row_counts[from] = outbound->row_counts[from + 1] = 0;
  for (guint row = 0; row < ch_tx_result_rows (result, statement); row++) {
    gint64 status = ch_tx_result_int (result, statement, row, "status");
    if (status >= from && status < from + 2)
      outbound->row_counts[status] = ch_tx_result_int (result, statement, row, "n");
  }
}

static void counted (ChPlugin *self, const ChTxResult *result, const GError *error,
                     gpointer user_data)
{
  ChOutbound *outbound = user_data;

  if (error != NULL)
    return;
  take_counts (outbound, result, 0, 0);
  for (guint s = 0; s < 4; s++) {
    const char text[2] = {(char) ('0' + s), '\0'};
    ch_series_set (ch_metric_with (outbound->metrics.queue_size, text, NULL),
                   (double) MAX (outbound->row_counts[s], 0));
  }
}

static void counted_all (ChPlugin *self, const ChTxResult *result, const GError *error,
                         gpointer user_data)
{
  ChOutbound *outbound = user_data;

  if (error != NULL)
    return;
  take_counts (outbound, result, 1, 2);
  outbound->dead_count = ch_tx_result_int (result, 2, 0, "n");
  counted (self, result, NULL, outbound);
}

void ch_out_count_rows (ChOutbound *outbound, gboolean all)
{
  if (!has_store (outbound))
    return;
  ChTx *tx = ch_tx_new (outbound->self);
  ch_tx_add (tx, outbound->self, "outbound.count_open");
  if (all) {
    ch_tx_add (tx, outbound->self, "outbound.count_ended");
    ch_tx_add (tx, outbound->self, "outbound.dead_count");
  }
  ch_tx_submit (tx, 0, all ? counted_all : counted, outbound);
}
