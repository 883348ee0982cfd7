/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands of the core: one row for each type that BKV knows (bkv 13.4). */
#include "proto-bkv/bkv.h"

static const struct {
  ChCommandType type;
  ChCommandState (*write) (BkvGateway *g, const ChCommand *command);
} rows[] = {
    {CH_COMMAND_START_CHARGE, bkv_start_charge},
    {CH_COMMAND_STOP_CHARGE, bkv_stop_charge},
    {CH_COMMAND_CANCEL_SESSION, bkv_stop_charge},
    {CH_COMMAND_QUERY_PORT_STATUS, bkv_query_port},
    {CH_COMMAND_CONFIGURE_NETWORK, bkv_configure_network},
    {CH_COMMAND_NETWORK_REFRESH, bkv_configure_network},
    {CH_COMMAND_NETWORK_ADD_NODE, bkv_network_add},
    {CH_COMMAND_NETWORK_DELETE_NODE, bkv_network_delete},
};

ChCommandState bkv_command (ChPlugin *self, gpointer session, ChConn conn,
                            const ChCommand *command)
{
  Bkv *bkv = ch_plugin_data (self);
  BkvGateway *g = bkv != NULL ? bkv_gateway_get (bkv, command->device) : NULL;

  if (g == NULL || g->conn != conn)
    return CH_COMMAND_NOT_SENT;
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    if (rows[i].type == command->type)
      return rows[i].write (g, command);
  return CH_COMMAND_UNSUPPORTED;
}

ChCommandState bkv_refuse (BkvGateway *g, const ChCommand *command, const char *why)
{
  ch_log (g->bkv->self, CH_LOG_WARNING,
          CH_LOG_FIELDS ("device", g->id, "command_id", command->id),
          "%s refused before sending: %s", ch_command_type_name (command->type), why);
  return CH_COMMAND_REJECTED;
}

ChCommandState bkv_attempt (BkvGateway *g, const BkvFrame *frame)
{
  return bkv_send (g->bkv, g->conn, frame, CH_WRITE_COMMAND) ? CH_COMMAND_SENT
                                                             : CH_COMMAND_NOT_SENT;
}

gboolean bkv_result (BkvGateway *g, guint32 msg_id, const char *command_id,
                     ChCommandState state, const char *detail)
{
  /* The only code a device has is its result, and 0 is the only refusal. */
  ChCommandResult result = {.command_id = command_id,
                            .device = g->id,
                            .msg_id = msg_id,
                            .state = state,
                            .device_code = state == CH_COMMAND_REJECTED ? 0 : CH_UNSET,
                            .detail = detail};

  return ch_command_result (g->bkv->self, g->conn, &result);
}

void bkv_late_result (BkvGateway *g, guint32 msg_id, ChCommandState state,
                      const char *detail)
{
  ChCommand other;

  if (msg_id == 0)
    return;
  /* A serial of a command of another kind: not its answer. */
  if (ch_command_in_flight (g->bkv->self, g->id, msg_id, &other))
    ch_series_inc (g->bkv->metrics.quirk[BKV_QUIRK_ANSWER_MISMATCH]);
  else
    bkv_result (g, msg_id, NULL, state, detail);
}

void bkv_ask (BkvGateway *g, guint socket, guint priority)
{
  ch_command_request (g->bkv->self, g->id, CH_COMMAND_QUERY_PORT_STATUS, (gint) socket,
                      -1, priority, NULL);
}
