/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A command as JSON: the message of the queue, its state for callers, dead letters. */
#include "core/outbound/outbound-private.h"
#include <chargehost/clock.h>
#include <chargehost/json.h>

#include <string.h>

ChCommand ch_out_shown (const ChOutCommand *cmd)
{
  return (ChCommand) {.id = cmd->id,
                      .type = cmd->type,
                      .device = cmd->device_id,
                      .socket_no = cmd->socket_no,
                      .port_no = cmd->port_no,
                      .order_no = cmd->order_no,
                      .business_no = cmd->business_no,
                      .wire_order = cmd->wire_order,
                      .priority = cmd->priority,
                      .attempt = cmd->sends,
                      .msg_id = cmd->msg_id,
                      .payload = cmd->payload};
}

char *ch_out_dump (json_t *json)
{
  char *text = ch_json_dump (json);
  json_decref (json);
  return text;
}

static void set_text (json_t *object, const char *name, const char *value)
{
  if (value != NULL && value[0] != '\0')
    json_object_set_new (object, name, json_string (value));
}

static json_t *business_json (guint16 business_no)
{
  char text[8];
  g_snprintf (text, sizeof text, "%04X", business_no);
  return json_string (text);
}

static json_t *origin_json (const ChOutCommand *cmd)
{
  json_t *origin = json_object ();
  set_text (origin, "by", cmd->by);
  set_text (origin, "key", cmd->key_id);
  set_text (origin, "request_id", cmd->request_id);
  set_text (origin, "server_id", cmd->origin_server);
  return origin;
}

char *ch_out_message_json (const ChOutCommand *cmd)
{
  json_t *m = json_object ();
  json_object_set_new (m, "id", json_string (cmd->id));
  if (cmd->device != NULL && cmd->device->db_id > 0)
    json_object_set_new (m, "device_id", json_integer (cmd->device->db_id));
  json_object_set_new (m, "phy_id", json_string (cmd->device_id));
  json_object_set_new (m, "type", json_string (ch_command_type_name (cmd->type)));
  json_object_set_new (m, "socket_no", json_integer (cmd->socket_no));
  json_object_set_new (m, "port_no", json_integer (cmd->port_no));
  set_text (m, "order_no", cmd->order_no);
  if (cmd->business_no != 0)
    json_object_set_new (m, "business_no", business_json (cmd->business_no));
  set_text (m, "wire_order", cmd->wire_order);
  json_object_set_new (
      m, "payload", cmd->payload != NULL ? json_incref (cmd->payload) : json_object ());
  json_object_set_new (m, "priority", json_integer (cmd->priority));
  json_object_set_new (m, "retries", json_integer (cmd->sends > 0 ? cmd->sends - 1 : 0));
  json_object_set_new (m, "sends", json_integer (cmd->sends));
  json_object_set_new (m, "max_retry", json_integer (cmd->max_sends));
  json_object_set_new (m, "timeout", json_integer (cmd->ack_ms));
  json_object_set_new (m, "resend_safe", json_boolean (cmd->resend_safe));
  json_object_set_new (m, "created_at", ch_json_time (cmd->created_at));
  json_object_set_new (m, "updated_at", ch_json_time (cmd->updated_at));
  json_object_set_new (m, "expires_at", ch_json_time (cmd->expires_at));
  json_object_set_new (m, "msg_id", json_integer (cmd->msg_id));
  json_object_set_new (m, "cmd", json_integer (0));
  json_object_set_new (m, "command", json_string (""));
  json_object_set_new (m, "durable", json_boolean (cmd->durable));
  json_object_set_new (m, "origin", origin_json (cmd));
  set_text (m, "dedup_key", cmd->dedup_key);
  return ch_out_dump (m);
}

static void copy_text (char *to, gsize size, const json_t *m, const char *name)
{
  g_strlcpy (to, ch_json_get_string (m, name, ""), size);
}

static gint64 get_time (const json_t *m, const char *name)
{
  gint64 ms = 0;
  const char *text = ch_json_get_string (m, name, NULL);
  return text != NULL && ch_parse_time (text, &ms) ? ms : 0;
}

static guint clamp (gint64 value, gint64 low, gint64 high)
{
  return (guint) CLAMP (value, low, high);
}

static void parse_limits (ChOutCommand *cmd, const json_t *m)
{
  const ChCommandDefault *def = ch_command_default (cmd->type);

  cmd->priority = clamp (ch_json_get_int (m, "priority", def->priority), 1, 5);
  cmd->sends = clamp (ch_json_get_int (m, "sends", 0), 0, CH_OUT_MAX_ATTEMPTS);
  cmd->max_sends = (guint8) clamp (ch_json_get_int (m, "max_retry", def->rule.sends), 1,
                                   CH_OUT_MAX_ATTEMPTS);
  cmd->ack_ms = clamp (ch_json_get_int (m, "timeout", def->rule.ack_ms), 100, 600 * 1000);
  cmd->resend_safe = ch_json_get_bool (m, "resend_safe", def->rule.resend_safe);
  cmd->msg_id = clamp (ch_json_get_int (m, "msg_id", 0), 0, G_MAXUINT32);
  cmd->created_at = get_time (m, "created_at");
  cmd->updated_at = get_time (m, "updated_at");
  cmd->expires_at = get_time (m, "expires_at");
  gint64 life = cmd->expires_at - cmd->created_at;
  cmd->expires_ms = clamp (life, 0, G_MAXUINT32);
}

static void parse_origin (ChOutCommand *cmd, const json_t *m)
{
  const json_t *origin = json_object_get (m, "origin");
  cmd->by = g_strdup (ch_json_get_string (origin, "by", NULL));
  cmd->key_id = g_strdup (ch_json_get_string (origin, "key", NULL));
  cmd->request_id = g_strdup (ch_json_get_string (origin, "request_id", NULL));
  cmd->origin_server = g_strdup (ch_json_get_string (origin, "server_id", NULL));
}

gboolean ch_out_message_parse (ChOutCommand *cmd, const char *text, gsize size)
{
  g_autoptr (json_t) m = ch_json_parse (text, size, NULL);
  if (!json_is_object (m))
    return FALSE;
  cmd->type = ch_command_type_parse (ch_json_get_string (m, "type", NULL));
  const char *phy_id = ch_json_get_string (m, "phy_id", NULL);
  if (cmd->type == 0 || !ch_device_id_is_valid (phy_id)
      || !g_str_equal (ch_json_get_string (m, "id", ""), cmd->id))
    return FALSE;
  g_strlcpy (cmd->device_id, phy_id, sizeof cmd->device_id);
  cmd->socket_no = (gint) clamp (ch_json_get_int (m, "socket_no", 0), 0, 250);
  cmd->port_no = (gint) CLAMP (ch_json_get_int (m, "port_no", -1), -1, 15);
  copy_text (cmd->order_no, sizeof cmd->order_no, m, "order_no");
  copy_text (cmd->wire_order, sizeof cmd->wire_order, m, "wire_order");
  const char *business = ch_json_get_string (m, "business_no", "0");
  cmd->business_no = (guint16) MIN (g_ascii_strtoull (business, NULL, 16), G_MAXUINT16);
  cmd->payload = json_incref (json_object_get (m, "payload"));
  cmd->durable = ch_json_get_bool (m, "durable", FALSE);
  cmd->dedup_key = g_strdup (ch_json_get_string (m, "dedup_key", NULL));
  parse_limits (cmd, m);
  parse_origin (cmd, m);
  return cmd->created_at > 0 && cmd->expires_at > 0;
}

json_t *ch_out_attempts_json (const ChOutCommand *cmd, const char *server_id)
{
  json_t *list = json_array ();
  for (guint i = 0; i < cmd->n_attempts; i++) {
    json_t *a = json_object ();
    json_object_set_new (a, "n", json_integer (i + 1));
    json_object_set_new (a, "sent_at", ch_json_time (cmd->attempts[i].sent_at));
    json_object_set_new (a, "server_id", json_string (server_id));
    json_object_set_new (
        a, "outcome", json_string (ch_attempt_outcome_name (cmd->attempts[i].outcome)));
    json_array_append_new (list, a);
  }
  return list;
}

char *ch_out_attempt_json (const ChOutCommand *cmd, const char *server_id)
{
  json_t *a = json_object ();
  json_object_set_new (a, "n", json_integer (cmd->sends + 1));
  json_object_set_new (a, "server_id", json_string (server_id));
  json_object_set_new (a, "msg_id", json_integer (cmd->msg_id));
  json_object_set_new (a, "at", ch_json_time (ch_wall_ms (cmd->outbound->self)));
  if (cmd->phase == CH_OUT_UNKNOWN)
    json_object_set_new (a, "outcome", json_string ("unknown"));
  return ch_out_dump (a);
}

/* What the device answered: JSON when it is, else text. */
static json_t *detail_json (const char *detail)
{
  if (detail == NULL)
    return json_null ();
  if (detail[0] == '{' || detail[0] == '[') {
    json_t *json = ch_json_parse (detail, strlen (detail), NULL);
    if (json != NULL)
      return json;
  }
  json_t *text = json_string (detail);
  return text != NULL ? text : json_null ();
}

static json_t *result_json (const ChOutCommand *cmd)
{
  if (cmd->phase != CH_OUT_FINAL)
    return json_null ();
  json_t *r = json_object ();
  json_object_set_new (r, "state", json_string (ch_command_state_name (cmd->state)));
  json_object_set_new (r, "device_code",
                       cmd->device_code != CH_UNSET ? json_integer (cmd->device_code)
                                                    : json_null ());
  json_object_set_new (r, "detail", detail_json (cmd->detail));
  json_object_set_new (r, "late", json_boolean (cmd->late));
  return r;
}

json_t *ch_out_state_json (const ChOutCommand *cmd)
{
  const ChServices *services = cmd->outbound->core->services;
  json_t *s = json_object ();
  json_object_set_new (s, "command_id", json_string (cmd->id));
  json_object_set_new (s, "type", json_string (ch_command_type_name (cmd->type)));
  json_object_set_new (s, "device_id", json_string (cmd->device_id));
  json_object_set_new (s, "socket_no", json_integer (cmd->socket_no));
  json_object_set_new (s, "port_no", json_integer (cmd->port_no));
  json_object_set_new (s, "order_no",
                       cmd->order_no[0] != '\0' ? json_string (cmd->order_no)
                                                : json_null ());
  json_object_set_new (s, "priority", json_integer (cmd->priority));
  json_object_set_new (s, "state", json_string (ch_command_state_name (cmd->state)));
  json_object_set_new (s, "attempts", ch_out_attempts_json (cmd, services->server_id));
  json_object_set_new (s, "result", result_json (cmd));
  json_object_set_new (s, "created_at", ch_json_time (cmd->created_at));
  json_object_set_new (s, "expires_at", ch_json_time (cmd->expires_at));
  json_object_set_new (s, "finished_at", ch_json_time (cmd->finished_at));
  return s;
}

char *ch_out_dead_json (const ChOutCommand *cmd)
{
  g_autofree char *message = ch_out_message_json (cmd);
  json_t *d = json_object ();
  json_object_set_new (d, "message", ch_json_parse (message, strlen (message), NULL));
  json_object_set_new (d, "error", json_string (ch_command_state_name (cmd->state)));
  json_object_set_new (d, "failed_at", ch_json_time (cmd->finished_at));
  json_object_set_new (
      d, "attempts",
      ch_out_attempts_json (cmd, cmd->outbound->core->services->server_id));
  return ch_out_dump (d);
}
