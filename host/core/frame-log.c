/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command log: frames of both directions, written in batches; the store looks after
   their age. */
#include "core/frame-log.h"
#include "core/outbound/outbound-private.h"
#include "core/session/session-private.h"
#include <chargehost/clock.h>
#include <chargehost/config.h>
#include <chargehost/log.h>

#define BATCH_ROWS 500
#define BATCH_MS 1000
#define BATCHES_MAX 4 /* with the store; more are dropped */
#define PAYLOAD_MAX 4096
#define DAYS_AHEAD 7

struct _ChFrameLogs {
  ChCore *core;
  ChPlugin *self;
  ChTx *rows; /* the batch, nullable */
  guint n_rows;
  guint in_flight;
  ChWheelTimer flush;
  gboolean enabled;
  guint sample;
  ChSeries *written, *dropped;
};

static const char *const COLUMNS[]
    = {"device_id", "msg_id",      "cmd",        "direction",  "payload",
       "success",   "duration_ms", "created_at", "command_id", "order_no",
       "conn_id",   "protocol",    NULL};

static void flush_fired (ChWheelTimer *timer)
{
  ch_frame_logs_flush (
      (ChFrameLogs *) ((char *) timer - G_STRUCT_OFFSET (ChFrameLogs, flush)));
}

ChFrameLogs *ch_frame_logs_new (ChCore *core)
{
  ChFrameLogs *logs = g_new0 (ChFrameLogs, 1);

  logs->core = core;
  logs->self = core->self;
  logs->flush.func = flush_fired;
  logs->enabled = ch_config_bool (core->self, "cmd_log.enabled");
  logs->sample = (guint) MAX (ch_config_int (core->self, "cmd_log.heartbeat_sample"), 1);
  logs->written
      = ch_metric_with (ch_metric_register (core->self, CH_METRIC_COUNTER,
                                            "chargehost_command_log_rows_total",
                                            "Frames written to the command log.", NULL),
                        NULL);
  logs->dropped = ch_metric_with (
      ch_metric_register (core->self, CH_METRIC_COUNTER,
                          "chargehost_command_log_dropped_total",
                          "Frames that the store could not take.", NULL),
      NULL);
  return logs;
}

void ch_frame_logs_free (ChFrameLogs *logs)
{
  if (logs == NULL)
    return;
  ch_frame_logs_flush (logs);
  ch_wheel_cancel (logs->core->services->reactor, &logs->flush);
  g_free (logs);
}

void ch_frame_logs_start (ChFrameLogs *logs)
{
  if (logs->core->services->store != NULL)
    ch_store_partitions (
        logs->self, "cmd_log", "created_at", CH_PARTITION_DAY, DAYS_AHEAD,
        (guint) ch_config_int (logs->self, "cmd_log.retention_days"), CH_PARTITIONS_DROP);
}

static void written (ChPlugin *self, const ChTxResult *result, const GError *error,
                     gpointer user_data)
{
  ChFrameLogs *logs = user_data;
  logs->in_flight--;
  if (error != NULL)
    ch_log (self, CH_LOG_DEBUG, NULL, "frames were not logged: %s", error->message);
}

void ch_frame_logs_flush (ChFrameLogs *logs)
{
  ch_wheel_cancel (logs->core->services->reactor, &logs->flush);
  if (logs->rows == NULL)
    return;
  ChTx *rows = g_steal_pointer (&logs->rows);
  if (logs->in_flight >= BATCHES_MAX) {
    ch_series_add (logs->dropped, logs->n_rows);
    ch_tx_free (rows);
  } else {
    logs->in_flight++;
    ch_series_add (logs->written, logs->n_rows);
    ch_store_bulk_insert (logs->self, "cmd_log", COLUMNS, rows, written, logs);
  }
  logs->n_rows = 0;
}

/* Heartbeats: the first of a device, then one in so many. */
static gboolean is_wanted (ChFrameLogs *logs, ChDevice *device, const ChFrameLog *fact)
{
  if (!logs->enabled || logs->core->services->store == NULL || device->db_id == 0)
    return FALSE;
  return !fact->is_heartbeat || device->heartbeats_logged++ % logs->sample == 0;
}

/* @duration_ms: from sending to this answer, CH_UNSET when it is none. */
static void add (ChFrameLogs *logs, ChDevice *device, ChConn conn, const ChFrameLog *fact,
                 gint64 duration_ms, const char *command_id, const char *order_no)
{
  const ChSessionConn *sc = ch_session_conn (logs->core->sessions, conn);

  if (!is_wanted (logs, device, fact))
    return;
  if (logs->rows == NULL) {
    logs->rows = ch_tx_new (logs->self);
    ch_wheel_arm (logs->core->services->reactor, &logs->flush, BATCH_MS);
  }
  ChTx *tx = logs->rows;
  ch_tx_add (tx, logs->self, "row");
  ch_tx_bind_int (tx, "device_id", device->db_id);
  ch_tx_bind_int (tx, "msg_id", fact->msg_id);
  ch_tx_bind_int (tx, "cmd", fact->cmd);
  ch_tx_bind_int (tx, "direction", fact->up ? 0 : 1);
  ch_tx_bind_blob (tx, "payload", fact->payload, MIN (fact->payload_size, PAYLOAD_MAX));
  ch_tx_bind_bool (tx, "success", fact->success);
  ch_tx_bind_int (tx, "duration_ms", duration_ms);
  ch_tx_bind_time (tx, "created_at", ch_wall_ms (logs->self));
  ch_tx_bind_text (tx, "command_id", command_id);
  ch_tx_bind_text (tx, "order_no", order_no);
  ch_tx_bind_text (tx, "conn_id", sc != NULL ? sc->conn_id : NULL);
  ch_tx_bind_text (tx, "protocol", device->protocol);
  if (++logs->n_rows >= BATCH_ROWS)
    ch_frame_logs_flush (logs);
}

/* The command to which a frame belongs: the one being sent, or the one it answers. */
static const ChOutCommand *command_of (ChOutbound *outbound, const ChDevice *device,
                                       const ChFrameLog *fact)
{
  const ChOutCommand *sending = outbound->sending;

  if (!fact->up)
    return sending != NULL && g_str_equal (sending->device_id, device->id) ? sending
                                                                           : NULL;
  return fact->msg_id != 0 ? ch_out_find_msg (outbound, device->id, fact->msg_id, FALSE)
                           : NULL;
}

void ch_frame_log (ChPlugin *self, ChConn conn, const char *device,
                   const ChFrameLog *fact)
{
  ChCore *core = self->services->core;
  ChDevice *record = g_hash_table_lookup (core->devices, device);

  if (record == NULL)
    return;
  const ChOutCommand *cmd = command_of (core->outbound, record, fact);
  gint64 took_ms
      = cmd != NULL && fact->up ? ch_now_ms (core->self) - cmd->sent_ms : CH_UNSET;
  add (core->frame_logs, record, conn, fact, took_ms, cmd != NULL ? cmd->id : NULL,
       cmd != NULL && cmd->order_no[0] != '\0' ? cmd->order_no : NULL);
}
