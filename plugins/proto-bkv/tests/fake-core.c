/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Facts and commands of the fake host. */
#include "fake-private.h"
#include <string.h>

/* ---- text of facts ------------------------------------------------------------------
 */

static void add_int (GString *line, const char *name, gint64 value)
{
  if (value != CH_UNSET)
    g_string_append_printf (line, " %s=%" G_GINT64_FORMAT, name, value);
}

static void add_hex (GString *line, const char *name, gint64 value, int digits)
{
  if (value != CH_UNSET)
    g_string_append_printf (line, " %s=%0*X", name, digits, (guint) value);
}

static void add_text (GString *line, const char *name, const char *value)
{
  if (value != NULL && *value != 0)
    g_string_append_printf (line, " %s=%s", name, value);
}

static void add_json (GString *line, const json_t *value)
{
  char *text = value != NULL ? json_dumps (value, JSON_SORT_KEYS | JSON_COMPACT) : NULL;

  if (text != NULL)
    g_string_append_printf (line, " %s", text);
  free (text);
}

static void done_line (ChPlugin *self, GString *line)
{
  fake_add_line (self->fake, g_string_free (line, FALSE));
}

static GString *place (const char *name, gint socket, gint port)
{
  GString *line = g_string_new (name);

  g_string_append_printf (line, " %d/%d", socket, port);
  return line;
}

/* ---- devices ------------------------------------------------------------------------
 */

void ch_device_seen (ChPlugin *self, ChConn conn, const char *device)
{
  self->fake->seen++;
}

guint fake_seen (Fake *fake)
{
  return fake->seen;
}

void fake_refuse (Fake *fake, gboolean refuse)
{
  fake->refuse = refuse;
}

void fake_block_writes (Fake *fake, gboolean blocked)
{
  fake->blocked = blocked;
}

ChOnline ch_device_online (ChPlugin *self, ChConn conn, const char *device,
                           ChFactDone done, gpointer user_data)
{
  if (self->fake->refuse)
    return CH_ONLINE_REFUSED;
  fake_add (self->fake, "online %s", device);
  return CH_ONLINE_OK;
}

void ch_device_registered (ChPlugin *self, ChConn conn, const char *device,
                           const ChRegistered *fact)
{
  GString *line = g_string_new ("registered");

  add_text (line, "iccid", fact->iccid);
  add_text (line, "fw", fact->firmware);
  add_text (line, "model", fact->model);
  add_int (line, "ports", fact->port_count);
  done_line (self, line);
}

void ch_device_heartbeat (ChPlugin *self, ChConn conn, const char *device,
                          const ChHeartbeat *fact)
{
  GString *line = g_string_new ("heartbeat");

  add_int (line, "rssi", fact->rssi_dbm);
  add_int (line, "temp", fact->temp_dc);
  add_int (line, "voltage", fact->voltage_mv);
  done_line (self, line);
}

void ch_port_update (ChPlugin *self, ChConn conn, const char *device,
                     const ChPortUpdate *f)
{
  GString *line = place ("port", f->socket_no, f->port_no);

  add_int (line, "status", f->status);
  add_hex (line, "raw", f->raw_status, 2);
  add_int (line, "faults", f->fault_bits);
  add_int (line, "no_load", f->no_load);
  add_int (line, "power", f->power_mw);
  add_int (line, "current", f->current_ma);
  add_int (line, "voltage", f->voltage_mv);
  add_int (line, "temp", f->temp_dc);
  add_hex (line, "no", f->business_no, 4);
  add_text (line, "wire", f->wire_order);
  add_int (line, "energy", f->energy_wh);
  add_int (line, "duration", f->duration_s);
  done_line (self, line);
}

void ch_order_started (ChPlugin *self, ChConn conn, const char *device,
                       const ChOrderStarted *f, ChFactDone done, gpointer user_data)
{
  GString *line = place ("started", f->socket_no, f->port_no);

  add_text (line, "order", f->order_no);
  add_hex (line, "no", f->business_no, 4);
  add_text (line, "wire", f->wire_order);
  done_line (self, line);
}

void ch_order_progress (ChPlugin *self, ChConn conn, const char *device,
                        const ChOrderProgress *f)
{
  GString *line = place ("progress", f->socket_no, f->port_no);

  add_hex (line, "no", f->business_no, 4);
  add_text (line, "wire", f->wire_order);
  add_int (line, "energy", f->energy_wh);
  add_int (line, "duration", f->duration_s);
  add_int (line, "power", f->power_mw);
  add_int (line, "voltage", f->voltage_mv);
  add_int (line, "current", f->current_ma);
  add_int (line, "temp", f->temp_dc);
  add_hex (line, "raw", f->raw_status, 2);
  done_line (self, line);
}

void ch_order_ended (ChPlugin *self, ChConn conn, const char *device,
                     const ChOrderEnded *f, ChFactDone done, gpointer user_data)
{
  Fake *fake = self->fake;
  GString *line = place ("ended", f->socket_no, f->port_no);
  FakeStore *store = g_new0 (FakeStore, 1);

  add_text (line, "order", f->order_no);
  add_hex (line, "no", f->business_no, 4);
  add_text (line, "wire", f->wire_order);
  add_int (line, "energy", f->energy_wh);
  add_int (line, "duration", f->duration_s);
  add_int (line, "reason", f->end_reason);
  add_int (line, "raw_reason", f->raw_reason);
  add_hex (line, "raw", f->raw_status, 2);
  add_int (line, "power", f->power_mw);
  add_int (line, "amount", f->amount_cent);
  add_text (line, "card", f->card_no);
  add_int (line, "next", f->next_port_status);
  if (f->occurred_at_ms != CH_UNSET)
    add_int (line, "ago", (fake->wall_ms - f->occurred_at_ms) / 1000);
  if (f->inferred)
    g_string_append (line, " inferred");
  add_text (line, "key", f->dedup_key);
  done_line (self, line);
  *store = (FakeStore) {conn, done, user_data};
  g_queue_push_tail (&fake->stores, store);
  if (!fake->hold)
    fake_store (fake, FALSE);
}

void fake_hold_store (Fake *fake, gboolean hold)
{
  fake->hold = hold;
}

void fake_store (Fake *fake, gboolean failed)
{
  g_autoptr (GError) error
      = failed ? g_error_new_literal (g_quark_from_static_string ("fake"), 1,
                                      "the store is away")
               : NULL;
  FakeStore *store;

  while ((store = g_queue_pop_head (&fake->stores)) != NULL) {
    if (store->done != NULL)
      store->done (&fake->self, store->conn, error, store->user_data);
    g_free (store);
  }
}

static const char *level_name (ChAlarmLevel level)
{
  static const char *const names[] = {"info", "warning", "minor", "major", "critical"};

  return names[level];
}

void ch_alarm_raised (ChPlugin *self, ChConn conn, const char *device, const ChAlarm *f)
{
  GString *line = place ("raise", f->socket_no, f->port_no);

  g_string_append_printf (line, " %s %s", f->code, level_name (f->level));
  add_json (line, f->metadata);
  done_line (self, line);
}

void ch_alarm_cleared (ChPlugin *self, ChConn conn, const char *device, gint socket_no,
                       gint port_no, const char *code)
{
  fake_add (self->fake, "clear %d/%d %s", socket_no, port_no, code);
}

void ch_socket_seen (ChPlugin *self, ChConn conn, const char *device,
                     const ChSocketSeen *f)
{
  GString *line = g_string_new ("socket");

  g_string_append_printf (line, " %d", f->socket_no);
  add_text (line, "fw", f->firmware);
  add_int (line, "signal", f->signal);
  add_int (line, "status", f->status);
  done_line (self, line);
}

void ch_network_topology (ChPlugin *self, ChConn conn, const char *device,
                          const ChTopology *f)
{
  GString *line = g_string_new ("topology");

  g_string_append_printf (line, " %s %s", f->action, f->result);
  add_int (line, "socket", f->socket_no);
  add_int (line, "channel", f->channel);
  add_json (line, f->nodes);
  done_line (self, line);
}

void ch_frame_log (ChPlugin *self, ChConn conn, const char *device, const ChFrameLog *f)
{
  guint direction = f->up ? 1 : 0;
  GString *row = g_string_new (NULL);

  g_string_append_printf (row, "%04X %s ", (guint) f->cmd, f->success ? "ok" : "failed");
  for (gsize i = 0; i < f->payload_size; i++)
    g_string_append_printf (row, "%02X", f->payload[i]);
  self->fake->logged[direction]++;
  g_free (self->fake->log_row[direction]);
  self->fake->log_row[direction] = g_string_free (row, FALSE);
}

guint fake_logged (Fake *fake, gboolean up)
{
  return fake->logged[up ? 1 : 0];
}

const char *fake_log_row (Fake *fake, gboolean up)
{
  return fake->log_row[up ? 1 : 0];
}

/* ---- what the core knows ------------------------------------------------------------
 */

void fake_set_sockets (Fake *fake, const char *json)
{
  json_decref (fake->sockets);
  fake->sockets = json_loads (json, 0, NULL);
  g_assert_nonnull (fake->sockets);
}

gsize ch_device_sockets (ChPlugin *self, const char *device, gint *sockets, gsize max)
{
  gsize n = json_array_size (self->fake->sockets);

  for (gsize i = 0; i < MIN (n, max); i++)
    sockets[i] = (gint) ch_json_get_int (json_array_get (self->fake->sockets, i),
                                         "socket_no", -1);
  return n;
}

json_t *ch_core_sockets_json (ChPlugin *self, const char *device)
{
  return json_pack ("{s:O}", "sockets", self->fake->sockets);
}

void fake_set_ports (Fake *fake, const char *json)
{
  json_decref (fake->ports);
  fake->ports = json_loads (json, 0, NULL);
  g_assert_nonnull (fake->ports);
}

json_t *ch_core_ports_json (ChPlugin *self, const char *device)
{
  return self->fake->ports != NULL ? json_pack ("{s:O}", "ports", self->fake->ports)
                                   : NULL;
}

static gpointer order_key (gint socket, gint port)
{
  return GINT_TO_POINTER (socket << 8 | port);
}

void fake_set_order (Fake *fake, gint socket, gint port, const ChOrderView *view)
{
  if (view != NULL)
    g_hash_table_insert (fake->orders, order_key (socket, port),
                         g_memdup2 (view, sizeof *view));
  else
    g_hash_table_remove (fake->orders, order_key (socket, port));
}

gboolean ch_port_order (ChPlugin *self, const char *device, gint socket_no, gint port_no,
                        ChOrderView *view)
{
  const ChOrderView *known
      = g_hash_table_lookup (self->fake->orders, order_key (socket_no, port_no));

  if (known != NULL)
    *view = *known;
  return known != NULL;
}

/* ---- commands -----------------------------------------------------------------------
 */

static const char *const type_names[CH_COMMAND_N] = {
    [CH_COMMAND_STOP_CHARGE] = "StopCharge",
    [CH_COMMAND_CANCEL_SESSION] = "CancelSession",
    [CH_COMMAND_START_CHARGE] = "StartCharge",
    [CH_COMMAND_QUERY_PORT_STATUS] = "QueryPortStatus",
    [CH_COMMAND_NETWORK_REFRESH] = "NetworkRefresh",
};

const char *ch_command_type_name (ChCommandType type)
{
  return type < CH_COMMAND_N && type_names[type] != NULL ? type_names[type] : "other";
}

void fake_command_free (gpointer data)
{
  FakeCommand *command = data;

  g_free (command->id);
  g_free (command->order_no);
  json_decref (command->payload);
  g_free (command);
}

static FakeCommand *add_command (Fake *fake, ChCommandType type, gint socket, gint port,
                                 guint32 msg_id)
{
  FakeCommand *f = g_new0 (FakeCommand, 1);

  f->id = g_strdup_printf ("cmd_%u", msg_id);
  f->order_no = g_strdup_printf ("ORD%d%d", socket, port);
  f->command = (ChCommand) {.id = f->id,
                            .type = type,
                            .device = "82241218000382",
                            .socket_no = socket,
                            .port_no = port,
                            .order_no = f->order_no,
                            .wire_order = "",
                            .priority = 2,
                            .msg_id = msg_id};
  g_hash_table_insert (fake->commands, GUINT_TO_POINTER (msg_id), f);
  return f;
}

void fake_in_flight (Fake *fake, ChCommandType type, gint socket, gint port,
                     guint32 msg_id)
{
  add_command (fake, type, socket, port, msg_id);
}

ChCommandState fake_command (Fake *fake, ChConn conn, ChCommandType type, gint socket,
                             gint port, guint32 msg_id, guint attempt,
                             const char *payload)
{
  FakeCommand *f = add_command (fake, type, socket, port, msg_id);
  FakeConn *c = g_ptr_array_index (fake->conns, (guint) conn - 1);
  ChCommandState state;

  f->payload = payload != NULL ? json_loads (payload, 0, NULL) : NULL;
  g_assert_true (payload == NULL || f->payload != NULL);
  f->command.payload = f->payload;
  f->command.attempt = attempt;
  state = fake->info->protocol->command (&fake->self, c->session, conn, &f->command);
  if (state != CH_COMMAND_SENT)
    g_hash_table_remove (fake->commands, GUINT_TO_POINTER (msg_id));
  return state;
}

void fake_give_up (Fake *fake, guint32 msg_id)
{
  g_assert_true (g_hash_table_remove (fake->commands, GUINT_TO_POINTER (msg_id)));
}

gboolean ch_command_in_flight (ChPlugin *self, const char *device, guint32 msg_id,
                               ChCommand *command)
{
  const FakeCommand *known
      = g_hash_table_lookup (self->fake->commands, GUINT_TO_POINTER (msg_id));

  if (known != NULL)
    *command = known->command;
  return known != NULL;
}

gboolean ch_command_result (ChPlugin *self, ChConn conn, const ChCommandResult *r)
{
  gboolean known
      = g_hash_table_remove (self->fake->commands, GUINT_TO_POINTER (r->msg_id));
  GString *line = g_string_new ("result");

  g_string_append_printf (line, " %u %s", r->msg_id,
                          r->state == CH_COMMAND_ACKED      ? "acked"
                          : r->state == CH_COMMAND_REJECTED ? "rejected"
                                                            : "other");
  add_int (line, "code", r->device_code);
  add_text (line, "detail", r->detail);
  if (!known)
    g_string_append (line, " late");
  done_line (self, line);
  return known;
}

void ch_command_request (ChPlugin *self, const char *device, ChCommandType type,
                         gint socket_no, gint port_no, guint priority,
                         const json_t *payload)
{
  fake_add (self->fake, "request %s %d/%d %u", ch_command_type_name (type), socket_no,
            port_no, priority);
}
