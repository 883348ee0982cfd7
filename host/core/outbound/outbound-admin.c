/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What operators see of the queue and do with dead letters (gateway 4.10, 7.7). */
#include "core/order/orders.h"
#include "core/outbound/outbound-private.h"
#include "core/session/session.h"
#include <chargehost/clock.h>
#include <chargehost/error.h>
#include <chargehost/json.h>

#include <string.h>

/* ---- the queue ---- */

static json_t *item_json (const ChOutCommand *cmd, guint position)
{
  ChOutbound *outbound = cmd->outbound;
  gint64 now_ms = ch_now_ms (outbound->self), wall_ms = ch_wall_ms (outbound->self);
  const char *owner
      = cmd->device->conn != 0
            ? outbound->core->services->server_id
            : ch_session_remote_owner (outbound->core->sessions, cmd->device_id);
  json_t *item = json_object ();

  json_object_set_new (item, "command_id", json_string (cmd->id));
  json_object_set_new (item, "phy_id", json_string (cmd->device_id));
  json_object_set_new (item, "type", json_string (ch_command_type_name (cmd->type)));
  json_object_set_new (item, "priority", json_integer (cmd->priority));
  json_object_set_new (item, "state", json_string (ch_command_state_name (cmd->state)));
  json_object_set_new (item, "position",
                       position > 0 ? json_integer (position) : json_null ());
  json_object_set_new (item, "age_ms", json_integer (wall_ms - cmd->created_at));
  json_object_set_new (item, "attempt", json_integer (cmd->sends));
  json_object_set_new (item, "not_before",
                       cmd->phase == CH_OUT_DELAYED
                           ? ch_json_time (wall_ms + cmd->due_ms - now_ms)
                           : json_null ());
  json_object_set_new (item, "owner",
                       *owner != '\0' ? json_string (owner) : json_null ());
  json_object_set_new (item, "order_no",
                       cmd->order_no[0] != '\0' ? json_string (cmd->order_no)
                                                : json_null ());
  return item;
}

static void add_list (json_t *queue, const GPtrArray *list, gboolean waiting, guint limit)
{
  for (guint i = 0; i < list->len && json_array_size (queue) < limit; i++)
    json_array_append_new (queue,
                           item_json (g_ptr_array_index (list, i), waiting ? i + 1 : 0));
}

static void add_device (json_t *queue, const ChOutDevice *od, guint limit)
{
  add_list (queue, od->others, FALSE, limit);
  add_list (queue, od->waiting, TRUE, limit);
}

json_t *ch_outbound_queue_json (ChOutbound *outbound, const ChDevice *device, guint limit)
{
  json_t *queue = json_array (), *data = json_object ();
  GHashTableIter iter;
  gpointer od;

  if (device != NULL) {
    if (device->outbound != NULL)
      add_device (queue, device->outbound, limit);
  } else {
    g_hash_table_iter_init (&iter, outbound->devices);
    while (g_hash_table_iter_next (&iter, &od, NULL) && json_array_size (queue) < limit)
      add_device (queue, od, limit);
  }
  guint total = device != NULL ? device->waiting + device->in_flight
                               : outbound->n_waiting + outbound->n_flight;
  json_object_set_new (data, "queue", queue);
  json_object_set_new (data, "total", json_integer (total));
  return data;
}

gboolean ch_outbound_cancel_by_hand (ChOutbound *outbound, const char *command_id)
{
  ChOutCommand *cmd = ch_out_find (outbound, command_id);

  if (cmd == NULL || cmd->phase == CH_OUT_FINAL || cmd->phase == CH_OUT_FLIGHT
      || cmd->remote)
    return FALSE;
  ch_out_finish (cmd, CH_COMMAND_CANCELLED, CH_UNSET, "by hand", CH_FINAL_NONE);
  return TRUE;
}

/* ---- dead letters ---- */

static json_t *parsed (const char *text)
{
  json_t *json = text != NULL ? ch_json_parse (text, strlen (text), NULL) : NULL;
  return json != NULL ? json : json_null ();
}

static json_t *letter_json (const ChTxResult *r, guint row)
{
  json_t *letter = json_object ();
  json_t *message = parsed (ch_tx_result_text (r, 0, row, "message"));

  json_object_set_new (letter, "id", json_integer (ch_tx_result_int (r, 0, row, "id")));
  json_object_set_new (letter, "command_id",
                       json_string (ch_tx_result_text (r, 0, row, "message_id")));
  json_object_set_new (letter, "phy_id",
                       json_string (ch_tx_result_text (r, 0, row, "phy_id")));
  json_object_set_new (letter, "type",
                       json_string (ch_json_get_string (message, "type", "")));
  json_object_set_new (letter, "error",
                       json_string (ch_tx_result_text (r, 0, row, "last_error")));
  json_object_set_new (letter, "attempts",
                       parsed (ch_tx_result_text (r, 0, row, "attempts")));
  json_object_set_new (letter, "failed_at",
                       ch_json_time (ch_tx_result_time (r, 0, row, "failed_at")));
  json_object_set_new (letter, "message", message);
  return letter;
}

static GError *store_error (const GError *error)
{
  return g_error_new (CH_CORE_ERROR, CH_CORE_ERROR_STORE_UNAVAILABLE, "%s",
                      error->message);
}

static void listed (ChPlugin *self, const ChTxResult *result, const GError *error,
                    gpointer user_data)
{
  ChOutAnswer *answer = ch_out_answer_take (self->services->core->outbound, user_data);

  if (answer == NULL)
    return;
  if (error != NULL) {
    g_autoptr (GError) away = store_error (error);
    ch_out_answer_give (answer, NULL, away);
    return;
  }
  g_autoptr (json_t) data = json_object ();
  json_t *list = json_array ();
  for (guint row = 0; row < ch_tx_result_rows (result, 0); row++)
    json_array_append_new (list, letter_json (result, row));
  json_object_set_new (data, "dead", list);
  ch_out_answer_give (answer, data, NULL);
}

void ch_outbound_dead_list (ChOutbound *outbound, ChPlugin *self, gint64 before_id,
                            guint limit, ChCoreDone done, gpointer user_data)
{
  ChTx *tx = ch_tx_new (outbound->self);
  ch_tx_add (tx, outbound->self, "outbound.dead_list");
  ch_tx_bind_int (tx, "before", before_id > 0 ? before_id : G_MAXINT64);
  ch_tx_bind_int (tx, "n", CLAMP (limit, 1, 500));
  ch_tx_submit (tx, 0, listed,
                ch_out_answer_owe (outbound, ch_out_answer_new (self, done, user_data)));
}

static gboolean resend (ChOutbound *outbound, const ChOutCommand *dead, const char *by,
                        char id[CH_COMMAND_ID_SIZE], gboolean *merged, GError **error)
{
  const ChOrigin origin = {.by = by};
  const ChOutboundRequest request = {
      .type = dead->type,
      .device = g_hash_table_lookup (outbound->core->devices, dead->device_id),
      .socket_no = dead->socket_no,
      .port_no = dead->port_no,
      .order_no = dead->order_no[0] != '\0' ? dead->order_no : NULL,
      .business_no = dead->business_no,
      .wire_order = dead->wire_order[0] != '\0' ? dead->wire_order : NULL,
      .priority = dead->priority,
      .payload = dead->payload,
      .durable = dead->durable,
      .origin = &origin,
  };

  if (request.device == NULL) {
    g_set_error (error, CH_CORE_ERROR, CH_CORE_ERROR_DEVICE_NOT_FOUND, "no device %s",
                 dead->device_id);
    return FALSE;
  }
  if (request.order_no != NULL
      && ch_orders_find (outbound->core->orders, request.order_no) == NULL) {
    g_set_error (error, CH_CORE_ERROR, CH_CORE_ERROR_ORDER_FINISHED, "order %s is over",
                 request.order_no);
    return FALSE;
  }
  return ch_outbound_send (outbound, &request, id, merged, error);
}

static void letter_read (ChPlugin *self, const ChTxResult *result, const GError *error,
                         gpointer user_data)
{
  ChOutbound *outbound = self->services->core->outbound;
  ChOutAnswer *answer = ch_out_answer_take (outbound, user_data);
  g_autoptr (GError) problem = NULL;
  g_autoptr (json_t) data = NULL;
  char id[CH_COMMAND_ID_SIZE];
  gboolean merged;

  if (answer == NULL)
    return;
  if (error != NULL) {
    problem = store_error (error);
  } else if (ch_tx_result_rows (result, 0) == 0) {
    problem
        = g_error_new (CH_CORE_ERROR, CH_CORE_ERROR_COMMAND_NOT_FOUND, "no dead letter");
  } else {
    const char *text = ch_tx_result_text (result, 0, 0, "message");
    ChOutCommand *dead
        = ch_out_command_new (outbound, ch_tx_result_text (result, 0, 0, "message_id"));
    if (text == NULL || !ch_out_message_parse (dead, text, strlen (text)))
      problem = g_error_new (CH_CORE_ERROR, CH_CORE_ERROR_INVALID_PARAMETER,
                             "the letter is not readable");
    else if (resend (outbound, dead, answer->id, id, &merged, &problem))
      data = ch_outbound_accepted_json (outbound, id, merged);
    ch_out_command_unref (dead);
  }
  ch_out_answer_give (answer, data, problem);
}

void ch_outbound_dead_resend (ChOutbound *outbound, ChPlugin *self, gint64 id,
                              const ChOrigin *origin, ChCoreDone done, gpointer user_data)
{
  ChOutAnswer *answer = ch_out_answer_new (self, done, user_data);
  const char *by = origin != NULL && origin->by != NULL ? origin->by : "admin";
  ChTx *tx = ch_tx_new (outbound->self);

  g_strlcpy (answer->id, by, sizeof answer->id); /* who asks */
  ch_tx_add (tx, outbound->self, "outbound.dead_get");
  ch_tx_bind_int (tx, "id", id);
  ch_tx_submit (tx, 0, letter_read, ch_out_answer_owe (outbound, answer));
}

static void letters_deleted (ChPlugin *self, const ChTxResult *result,
                             const GError *error, gpointer user_data)
{
  ChOutAnswer *answer = ch_out_answer_take (self->services->core->outbound, user_data);
  g_autoptr (GError) away = error != NULL ? store_error (error) : NULL;
  g_autoptr (json_t) data = json_object ();

  if (answer == NULL)
    return;
  if (error == NULL)
    json_object_set_new (data, "deleted",
                         json_integer ((json_int_t) ch_tx_result_changes (result, 0)));
  ch_out_count_rows (self->services->core->outbound, TRUE);
  ch_out_answer_give (answer, error == NULL ? data : NULL, away);
}

void ch_outbound_dead_delete (ChOutbound *outbound, ChPlugin *self, gint64 before_ms,
                              ChCoreDone done, gpointer user_data)
{
  ChTx *tx = ch_tx_new (outbound->self);
  ch_tx_add (tx, outbound->self, "outbound.dead_delete");
  ch_tx_bind_time (tx, "before", before_ms);
  ch_tx_submit (tx, 0, letters_deleted,
                ch_out_answer_owe (outbound, ch_out_answer_new (self, done, user_data)));
}
