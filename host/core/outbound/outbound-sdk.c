/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What services and protocols ask of the queue: send, request, read. */
#include "core/outbound/outbound-private.h"
#include "core/peer/peer.h"
#include "core/session/session.h"
#include <chargehost/clock.h>
#include <chargehost/error.h>
#include <chargehost/json.h>
#include <chargehost/kv.h>
#include <chargehost/log.h>

#include <string.h>

void ch_command_request (ChPlugin *self, const char *device, ChCommandType type,
                         gint socket_no, gint port_no, guint priority,
                         const json_t *payload)
{
  ChCore *core = self->services->core;
  ChDevice *record = g_hash_table_lookup (core->devices, device);
  char id[CH_COMMAND_ID_SIZE];
  gboolean merged;
  g_autoptr (GError) error = NULL;
  const ChOrigin origin = {.by = self->name};
  const ChOutboundRequest request = {.type = type,
                                     .device = record,
                                     .socket_no = socket_no,
                                     .port_no = port_no,
                                     .priority = CLAMP (priority, 1, 5),
                                     .payload = payload,
                                     .origin = &origin};

  if (record == NULL)
    return;
  if (!ch_outbound_send (core->outbound, &request, id, &merged, &error))
    ch_debug (self, "%s to %s was not queued: %s", ch_command_type_name (type), device,
              error->message);
}

/* ---- ch_core_send ---- */

typedef struct {
  ChPlugin *self; /* the caller; its answer is dropped when it has stopped */
  ChOutbound *outbound;
  char device[CH_DEVICE_ID_SIZE];
  ChCommandType type;
  gint socket_no, port_no;
  json_t *payload;
  gboolean force;
  char *by, *key_id, *request_id;
  guint wait_ms;
  gboolean merged;
  ChCoreDone done;
  gpointer user_data;
} Send;

static void send_free (Send *send)
{
  json_decref (send->payload);
  g_free (send->by);
  g_free (send->key_id);
  g_free (send->request_id);
  g_free (send);
}

static void send_failed (gpointer data, const char *reason)
{
  send_free (data);
}

/* Takes a request back from the table of replies; NULL when its caller has stopped. */
static gpointer take (ChCore *core, const char *kind, gpointer user_data)
{
  ChOutCall *call = user_data;
  ChReply reply = call->reply;
  ch_out_call_done (call);
  return ch_replies_take (core->services->replies, reply, kind);
}

static gpointer handle_of (ChOutbound *outbound, ChReply reply)
{
  ChOutCall *call = ch_out_call_new (outbound, NULL);
  call->reply = reply;
  return call;
}

static gpointer owe_send (Send *send)
{
  ChReply reply = ch_replies_add (send->outbound->core->services->replies, send->self,
                                  "core send", send, send_failed);
  return handle_of (send->outbound, reply);
}

static void answer (Send *send, const json_t *data, const GError *error)
{
  ChRunnerFrame frame;
  if (ch_runner_enter (send->self, "core answer", &frame)) {
    send->done (send->self, data, error, send->user_data);
    ch_runner_leave (&frame);
  }
  send_free (send);
}

static void waited (ChCore *core, const ChCommandView *view, gpointer user_data)
{
  Send *send = take (core, "core send", user_data);
  if (send == NULL)
    return;
  g_autoptr (json_t) data
      = ch_outbound_accepted_json (core->outbound, view->command_id, send->merged);
  const ChOutCommand *cmd = ch_out_find (core->outbound, view->command_id);
  if (cmd != NULL && cmd->phase == CH_OUT_FINAL) {
    g_autoptr (json_t) state = ch_out_state_json (cmd);
    json_object_set (data, "result", json_object_get (state, "result"));
    json_object_set (data, "attempts", json_object_get (state, "attempts"));
  }
  answer (send, data, NULL);
}

static gboolean is_allowed (const Send *send, ChDevice *device, GError **error)
{
  if (device == NULL) {
    g_set_error (error, CH_CORE_ERROR, CH_CORE_ERROR_DEVICE_NOT_FOUND, "no device %s",
                 send->device);
    return FALSE;
  }
  if (send->type == CH_COMMAND_START_CHARGE || send->type == CH_COMMAND_CANCEL_SESSION
      || ch_command_default (send->type) == NULL) {
    g_set_error (error, CH_CORE_ERROR, CH_CORE_ERROR_INVALID_PARAMETER,
                 "not a command that is sent by itself");
    return FALSE;
  }
  if (device->enrolment == CH_ENROLMENT_BLOCKED) {
    g_set_error (error, CH_CORE_ERROR, CH_CORE_ERROR_DEVICE_BLOCKED,
                 "device %s is blocked", send->device);
    return FALSE;
  }
  gboolean restarts
      = send->type == CH_COMMAND_REBOOT || send->type == CH_COMMAND_TRIGGER_OTA;
  if (restarts && !send->force && device->orders != NULL && device->orders->len > 0) {
    g_set_error (error, CH_CORE_ERROR, CH_CORE_ERROR_PORT_OCCUPIED,
                 "device %s has active orders", send->device);
    return FALSE;
  }
  return TRUE;
}

static gboolean queue_send (Send *send, ChDevice *device, char id[CH_COMMAND_ID_SIZE],
                            GError **error)
{
  const ChOrigin origin = {send->by, send->key_id, send->request_id};
  const ChOutboundRequest request = {.type = send->type,
                                     .device = device,
                                     .socket_no = send->socket_no,
                                     .port_no = send->port_no,
                                     .payload = send->payload,
                                     .durable = ch_command_default (send->type)->waits,
                                     .origin = &origin};
  return ch_outbound_send (send->outbound, &request, id, &send->merged, error);
}

static void located (ChCore *core, const char *device_id, gpointer user_data)
{
  Send *send = take (core, "core send", user_data);
  char id[CH_COMMAND_ID_SIZE];
  g_autoptr (GError) error = NULL;

  if (send == NULL)
    return;
  ChDevice *device = g_hash_table_lookup (core->devices, send->device);
  if (!is_allowed (send, device, &error) || !queue_send (send, device, id, &error)) {
    g_autoptr (json_t) data = NULL;
    if (g_error_matches (error, CH_CORE_ERROR, CH_CORE_ERROR_QUEUE_OVERLOADED))
      data = ch_outbound_refusal_json (core->outbound, device,
                                       ch_outbound_priority (send->type));
    answer (send, data, error);
    return;
  }
  ch_outbound_wait (core->outbound, id, send->wait_ms, waited, owe_send (send));
}

void ch_send_here (ChPlugin *self, const char *device, ChCommandType type, gint socket_no,
                   gint port_no, const json_t *payload, gboolean force,
                   const ChOrigin *origin, guint wait_ms, ChCoreDone done,
                   gpointer user_data)
{
  ChCore *core = self->services->core;
  Send *send = g_new0 (Send, 1);

  send->self = self;
  send->outbound = core->outbound;
  g_strlcpy (send->device, device, sizeof send->device);
  send->type = type;
  send->socket_no = socket_no;
  send->port_no = port_no;
  send->payload = payload != NULL ? json_deep_copy (payload) : NULL;
  send->force = force;
  if (origin != NULL) {
    send->by = g_strdup (origin->by);
    send->key_id = g_strdup (origin->key_id);
    send->request_id = g_strdup (origin->request_id);
  }
  send->wait_ms = wait_ms;
  send->done = done;
  send->user_data = user_data;
  ch_sessions_locate (core->sessions, send->device, located, owe_send (send));
}

/* ---- answers that are owed ---- */

ChOutAnswer *ch_out_answer_new (ChPlugin *self, ChCoreDone done, gpointer user_data)
{
  ChOutAnswer *answer = g_new0 (ChOutAnswer, 1);
  answer->self = self;
  answer->done = done;
  answer->user_data = user_data;
  return answer;
}

static void answer_failed (gpointer data, const char *reason)
{
  g_free (data);
}

gpointer ch_out_answer_owe (ChOutbound *outbound, ChOutAnswer *answer)
{
  ChReply reply = ch_replies_add (outbound->core->services->replies, answer->self,
                                  "core answer", answer, answer_failed);
  return handle_of (outbound, reply);
}

ChOutAnswer *ch_out_answer_take (ChOutbound *outbound, gpointer owed)
{
  return take (outbound->core, "core answer", owed);
}

void ch_out_answer_give (ChOutAnswer *answer, const json_t *data, const GError *error)
{
  ChRunnerFrame frame;
  if (ch_runner_enter (answer->self, "core answer", &frame)) {
    answer->done (answer->self, data, error, answer->user_data);
    ch_runner_leave (&frame);
  }
  g_free (answer);
}

/* ---- ch_core_get_command ---- */

static void answer_get (ChOutAnswer *get, const json_t *data)
{
  g_autoptr (GError) error = NULL;
  if (data == NULL)
    error = g_error_new (CH_CORE_ERROR, CH_CORE_ERROR_COMMAND_NOT_FOUND, "no command %s",
                         get->id);
  ch_out_answer_give (get, data, error);
}

static json_t *row_json (const ChTxResult *r)
{
  const char *result = ch_tx_result_text (r, 0, 0, "result");
  if (result != NULL)
    return ch_json_parse (result, strlen (result), NULL);
  json_t *s = json_object ();
  json_object_set_new (s, "command_id",
                       json_string (ch_tx_result_text (r, 0, 0, "command_id")));
  json_object_set_new (s, "type", json_string (ch_tx_result_text (r, 0, 0, "type")));
  json_object_set_new (s, "device_id",
                       json_string (ch_tx_result_text (r, 0, 0, "phy_id")));
  gboolean sent = ch_tx_result_int (r, 0, 0, "status") == 1;
  json_object_set_new (s, "state", json_string (sent ? "sent" : "queued"));
  json_object_set_new (s, "attempts", json_array ());
  json_object_set_new (s, "result", json_null ());
  json_object_set_new (s, "created_at",
                       ch_json_time (ch_tx_result_time (r, 0, 0, "created_at")));
  json_object_set_new (s, "expires_at",
                       ch_json_time (ch_tx_result_time (r, 0, 0, "expires_at")));
  json_object_set_new (s, "finished_at", json_null ());
  return s;
}

static void row_read (ChPlugin *self, const ChTxResult *result, const GError *error,
                      gpointer user_data)
{
  ChOutAnswer *get = ch_out_answer_take (self->services->core->outbound, user_data);
  if (get == NULL)
    return;
  g_autoptr (json_t) data
      = error == NULL && ch_tx_result_rows (result, 0) > 0 ? row_json (result) : NULL;
  answer_get (get, data);
}

static void ask_store (ChOutbound *outbound, ChOutAnswer *get)
{
  if (outbound->core->services->store == NULL) {
    answer_get (get, NULL);
    return;
  }
  ChTx *tx = ch_tx_new (outbound->self);
  ch_tx_add (tx, outbound->self, "outbound.get");
  ch_tx_bind_text (tx, "command_id", get->id);
  ch_tx_submit (tx, 0, row_read, ch_out_answer_owe (outbound, get));
}

static void kv_read (ChPlugin *self, const ChKvReply *reply, const GError *error,
                     gpointer user_data)
{
  ChOutAnswer *get = ch_out_answer_take (self->services->core->outbound, user_data);
  if (get == NULL)
    return;
  g_autoptr (json_t) data = error == NULL && reply->kind == CH_KV_REPLY_STRING
                                ? ch_json_parse (reply->text, reply->size, NULL)
                                : NULL;
  if (data != NULL)
    answer_get (get, data);
  else
    ask_store (self->services->core->outbound, get);
}

/* The JSON of gateway 7.5 `GET /commands/{id}`, from memory, kv or store. */
static void get_command (ChOutbound *outbound, ChPlugin *self, const char *command_id,
                         ChCoreDone done, gpointer user_data)
{
  const ChOutCommand *cmd = ch_out_find (outbound, command_id);
  ChOutAnswer *get = ch_out_answer_new (self, done, user_data);

  g_strlcpy (get->id, command_id, sizeof get->id);
  if (cmd != NULL) {
    g_autoptr (json_t) data = ch_out_state_json (cmd);
    answer_get (get, data);
  } else if (ch_out_kv_ok (outbound)) {
    g_autofree char *key = g_strconcat ("outbound:result:", get->id, NULL);
    ch_kv_commandv (outbound->self, kv_read, ch_out_answer_owe (outbound, get), "GET",
                    key, NULL);
  } else {
    ask_store (outbound, get);
  }
}

void ch_core_get_command (ChPlugin *self, const char *command_id, ChCoreDone done,
                          gpointer user_data)
{
  get_command (self->services->core->outbound, self, command_id, done, user_data);
}
