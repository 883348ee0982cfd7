/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command queue's front: accepting, pushing, taking back. */
#include "core/order/order-doubt.h"
#include "core/outbound/outbound-private.h"
#include "core/session/session-private.h"
#include <chargehost/clock.h>
#include <chargehost/error.h>
#include <chargehost/json.h>
#include <chargehost/kv.h>
#include <chargehost/log.h>

#include <string.h>

/* ---- accepting ---- */

static void fill_times (ChOutCommand *cmd)
{
  gint64 now_ms = ch_now_ms (cmd->outbound->self);
  gint64 wall_ms = ch_wall_ms (cmd->outbound->self);
  if (cmd->created_at == 0) {
    cmd->created_at = cmd->updated_at = wall_ms;
    cmd->expires_at = wall_ms + cmd->expires_ms;
  }
  cmd->deadline_ms = now_ms + (cmd->expires_at - wall_ms);
  cmd->queued_ms = now_ms;
}

void ch_out_enter (ChOutCommand *cmd, ChDevice *device, ChOutPhase phase)
{
  ChOutbound *outbound = cmd->outbound;

  cmd->device = device;
  g_strlcpy (cmd->device_id, device->id, sizeof cmd->device_id);
  fill_times (cmd);
  g_hash_table_insert (outbound->commands, cmd->id, cmd);
  if (cmd->dedup_key != NULL
      && g_hash_table_lookup (outbound->dedup, cmd->dedup_key) == NULL)
    g_hash_table_insert (outbound->dedup, cmd->dedup_key, cmd);
  ch_out_count_new (cmd);
  ch_out_set_phase (cmd, phase);
}

static void copy_origin (ChOutCommand *cmd, const ChOrigin *origin)
{
  cmd->origin_server = g_strdup (cmd->outbound->core->services->server_id);
  if (origin == NULL)
    return;
  cmd->by = g_strdup (origin->by);
  cmd->key_id = g_strdup (origin->key_id);
  cmd->request_id = g_strdup (origin->request_id);
}

static ChOutCommand *make (ChOutbound *outbound, const ChOutboundRequest *request,
                           const ChAckRule *rule, char *dedup_key)
{
  char ulid[CH_ULID_SIZE], id[CH_COMMAND_ID_SIZE];

  g_snprintf (id, sizeof id, "cmd_%s", ch_ulid (outbound->self, ulid));
  ChOutCommand *cmd = ch_out_command_new (outbound, id);
  cmd->type = request->type;
  cmd->state = CH_COMMAND_QUEUED;
  cmd->socket_no = request->socket_no;
  cmd->port_no = request->port_no;
  cmd->priority = request->priority != 0 ? MIN (request->priority, 5)
                                         : ch_outbound_priority (request->type);
  cmd->business_no = request->business_no;
  cmd->durable = request->durable;
  gsize n_nodes = json_array_size (json_object_get (request->payload, "nodes"));
  cmd->ack_ms = rule->ack_ms + rule->ack_item_ms * (guint32) MIN (n_nodes, 250);
  cmd->max_sends = MAX (rule->sends, 1);
  cmd->resend_safe = rule->resend_safe;
  cmd->expires_ms = request->expires_ms != 0 ? request->expires_ms : rule->expires_ms;
  g_strlcpy (cmd->order_no, request->order_no != NULL ? request->order_no : "",
             sizeof cmd->order_no);
  g_strlcpy (cmd->wire_order, request->wire_order != NULL ? request->wire_order : "",
             sizeof cmd->wire_order);
  if (request->payload != NULL)
    cmd->payload = json_deep_copy (request->payload);
  cmd->dedup_key = dedup_key;
  copy_origin (cmd, request->origin);
  return cmd;
}

/* SES-12: who may be told something while it is not here. */
static gboolean check_reachable (ChOutbound *outbound, ChDevice *device,
                                 ChCommandType type, GError **error)
{
  if (device->conn != 0)
    return TRUE;
  if (*ch_session_remote_owner (outbound->core->sessions, device->id) != '\0') {
    if (ch_out_kv_ok (outbound))
      return TRUE;
    g_set_error (error, CH_CORE_ERROR, CH_CORE_ERROR_STORE_UNAVAILABLE,
                 "another server holds the device and the kv is away");
    return FALSE;
  }
  if (ch_command_default (type)->waits)
    return TRUE;
  g_set_error (error, CH_CORE_ERROR, CH_CORE_ERROR_DEVICE_OFFLINE,
               "device %s is not connected", device->id);
  return FALSE;
}

/* The same command, already on its way. */
static ChOutCommand *find_twin (ChOutbound *outbound, const char *key, guint priority)
{
  ChOutCommand *twin = g_hash_table_lookup (outbound->dedup, key);

  if (twin == NULL || twin->no_repeat)
    return NULL;
  gint64 age_ms = ch_wall_ms (outbound->self) - twin->created_at;
  gboolean is_query = ch_command_default (twin->type)->is_query;
  if (is_query && (age_ms < 0 || age_ms >= 60 * 1000))
    return NULL;
  if (twin->priority > priority && twin->phase == CH_OUT_WAITING && twin->sends == 0) {
    ch_out_withdraw (twin, "replaced");
    return NULL;
  }
  return twin;
}

gboolean ch_outbound_prepare (ChOutbound *outbound, const ChOutboundRequest *request,
                              ChTx *tx, char command_id[CH_COMMAND_ID_SIZE],
                              gboolean *deduplicated, GError **error)
{
  ChDevice *device = request->device;
  guint priority
      = request->priority != 0 ? request->priority : ch_outbound_priority (request->type);
  ChAckRule rule;

  *deduplicated = FALSE;
  if (!ch_out_rule (outbound, device, request->type, &rule)) {
    g_set_error (error, CH_CORE_ERROR, CH_CORE_ERROR_UNSUPPORTED_BY_DEVICE,
                 "devices of protocol %s do not know %s",
                 device->protocol != NULL ? device->protocol : "",
                 ch_command_type_name (request->type));
    return FALSE;
  }
  g_autofree char *key = request->dedup_key != NULL ? g_strdup (request->dedup_key)
                                                    : ch_out_dedup_key (request);
  ChOutCommand *twin = find_twin (outbound, key, priority);
  if (twin != NULL) {
    *deduplicated = TRUE;
    g_strlcpy (command_id, twin->id, CH_COMMAND_ID_SIZE);
    return TRUE;
  }
  if (!check_reachable (outbound, device, request->type, error)
      || !ch_out_admit (outbound, device, priority, request->type, error))
    return FALSE;
  ChOutCommand *cmd = make (outbound, request, &rule, g_steal_pointer (&key));
  g_hash_table_remove (outbound->dedup, cmd->dedup_key);
  ch_out_enter (cmd, device, CH_OUT_PREPARED);
  if (tx != NULL && cmd->durable)
    ch_out_row_insert (cmd, tx);
  g_strlcpy (command_id, cmd->id, CH_COMMAND_ID_SIZE);
  return TRUE;
}

/* Not one of before, of which the store is being asked. */
static gboolean is_new (const ChOutCommand *cmd)
{
  return cmd->phase == CH_OUT_PREPARED && !cmd->pushed && !cmd->taken_up;
}

void ch_outbound_push (ChOutbound *outbound, const char *command_id)
{
  ChOutCommand *cmd = ch_out_find (outbound, command_id);

  if (cmd == NULL || !is_new (cmd)) {
    if (cmd != NULL && cmd->phase == CH_OUT_FINAL)
      ch_out_row_finished (cmd); /* taken back while its row was being written */
    return;
  }
  ch_out_supersede (cmd);
  cmd->remote
      = cmd->device->conn == 0
        && *ch_session_remote_owner (outbound->core->sessions, cmd->device_id) != '\0';
  /* Whoever binds the device next asks for himself: no other server needs to find it. */
  cmd->local = cmd->device->conn != 0 && ch_out_is_internal (cmd);
  ch_out_set_phase (cmd, CH_OUT_WAITING);
  ch_out_arm_expiry (cmd);
  ch_out_kv_push (cmd);
  ch_out_kick (cmd->device->outbound);
}

void ch_outbound_discard (ChOutbound *outbound, const char *command_id)
{
  ChOutCommand *cmd = ch_out_find (outbound, command_id);

  if (cmd == NULL || !is_new (cmd))
    return;
  cmd->durable = FALSE; /* its row was rolled back */
  ch_out_finish (cmd, CH_COMMAND_CANCELLED, CH_UNSET, "not stored", CH_FINAL_NO_HOOK);
}

/* ---- sending with a row of its own ---- */

static void stored (ChPlugin *self, const ChTxResult *result, const GError *error,
                    gpointer user_data)
{
  ChOutCall *call = user_data;
  ChOutCommand *cmd = call->cmd;

  if (error != NULL) {
    /* the device can have it all the same; only a restart would forget it */
    ch_core_trouble (call->outbound->core, CH_TROUBLE_COMMAND,
                     CH_LOG_FIELDS ("command_id", cmd->id), "a command has no row",
                     error);
    cmd->durable = ch_order_is_doubtful (error); /* it may have one all the same */
  }
  ch_outbound_push (call->outbound, cmd->id);
  ch_out_call_done (call);
}

gboolean ch_outbound_send (ChOutbound *outbound, const ChOutboundRequest *request,
                           char command_id[CH_COMMAND_ID_SIZE], gboolean *deduplicated,
                           GError **error)
{
  if (!ch_outbound_prepare (outbound, request, NULL, command_id, deduplicated, error))
    return FALSE;
  if (*deduplicated)
    return TRUE;
  ChOutCommand *cmd = ch_out_find (outbound, command_id);
  if (!cmd->durable || outbound->core->services->store == NULL) {
    ch_outbound_push (outbound, command_id);
    return TRUE;
  }
  ChTx *tx = ch_tx_new (outbound->self);
  ch_out_row_insert (cmd, tx);
  ch_tx_submit (tx, 0, stored, ch_out_call_new (outbound, cmd));
  if (cmd->priority == 1) /* a stop waits for no disk */
    ch_outbound_push (outbound, command_id);
  return TRUE;
}

/* ---- taking back ---- */

gboolean ch_outbound_cancel (ChOutbound *outbound, const char *command_id)
{
  ChOutCommand *cmd = ch_out_find (outbound, command_id);
  return cmd != NULL && ch_out_withdraw (cmd, NULL);
}

gboolean ch_outbound_was_sent (ChOutbound *outbound, const char *command_id)
{
  const ChOutCommand *cmd = ch_out_find (outbound, command_id);
  return cmd == NULL || cmd->sends > 0 || cmd->maybe_sent || cmd->remote;
}

static void forget_commands (ChOutbound *outbound, const ChDevice *device)
{
  g_autoptr (GPtrArray) list
      = g_ptr_array_new_with_free_func ((GDestroyNotify) ch_out_command_unref);
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, outbound->commands);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    ChOutCommand *cmd = value;
    if (cmd->device == device)
      g_ptr_array_add (list, ch_out_command_ref (cmd));
  }
  for (guint i = 0; i < list->len; i++) {
    ChOutCommand *cmd = g_ptr_array_index (list, i);
    ch_out_finish (cmd, CH_COMMAND_CANCELLED, CH_UNSET, "device removed",
                   CH_FINAL_NO_HOOK);
    cmd->device = NULL;
  }
}

void ch_outbound_forget (ChOutbound *outbound, ChDevice *device)
{
  if (g_hash_table_size (outbound->commands) > 0)
    forget_commands (outbound, device);
  ChOutDevice *od = device->outbound;
  if (od == NULL)
    return;
  if (od->kicked)
    g_queue_remove (&outbound->kicked, od);
  od->kicked = od->taking = od->peeking = od->foreign = FALSE;
  ch_out_device_settle (od);
}

/* ---- figures ---- */

guint ch_outbound_depth (ChOutbound *outbound)
{
  gint64 others
      = ch_sessions_servers (outbound->core->sessions) > 1 ? outbound->kv_depth : 0;
  return (guint) MAX ((gint64) outbound->n_waiting, MIN (others, G_MAXINT32));
}

json_t *ch_outbound_stats_json (ChOutbound *outbound)
{
  json_t *stats = json_object ();
  json_object_set_new (stats, "pending", json_integer (ch_outbound_depth (outbound)));
  json_object_set_new (stats, "processing", json_integer (outbound->n_flight));
  json_object_set_new (stats, "dead", json_integer (outbound->dead_count));
  return stats;
}

json_t *ch_outbound_accepted_json (ChOutbound *outbound, const char *command_id,
                                   gboolean deduplicated)
{
  const ChOutCommand *cmd = ch_out_find (outbound, command_id);
  json_t *data = json_object ();

  json_object_set_new (data, "command_id", json_string (command_id));
  if (cmd != NULL) {
    json_object_set_new (data, "state", json_string (ch_command_state_name (cmd->state)));
    json_object_set_new (data, "device_id", json_string (cmd->device_id));
    json_object_set_new (data, "type", json_string (ch_command_type_name (cmd->type)));
    json_object_set_new (data, "expires_at", ch_json_time (cmd->expires_at));
  }
  json_object_set_new (data, "deduplicated", json_boolean (deduplicated));
  return data;
}
