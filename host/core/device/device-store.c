/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows of devices, ports and sockets (gateway 6.1), and the batch that writes them. */
#include "core/device/device-store.h"
#include "core/fact/facts.h"
#include "core/session/session.h"
#include "store/store.h"

#include <string.h>

#define BATCH_MS 1000
#define BATCH_ROWS 500
#define SAVE_MS 20 /* identities: soon, but many at once */

const ChStatement ch_device_statements[] = {
    {.name = "devices.save",
     .sql
     = "INSERT INTO devices (phy_id, protocol, iccid, imei, model, firmware_ver, rssi,"
       " port_count, lifecycle, enrolment, tags, last_seen_at, created_at, updated_at)"
       " VALUES (:phy_id, :protocol, :iccid, :imei, :model, :firmware, :rssi, "
       ":port_count,"
       " :lifecycle, :enrolment, :tags, :last_seen_at, :created_at, :now)"
       " ON CONFLICT (phy_id) DO UPDATE SET protocol = excluded.protocol,"
       " iccid = coalesce (excluded.iccid, devices.iccid),"
       " imei = coalesce (excluded.imei, devices.imei),"
       " model = coalesce (excluded.model, devices.model),"
       " firmware_ver = coalesce (excluded.firmware_ver, devices.firmware_ver),"
       " rssi = coalesce (excluded.rssi, devices.rssi),"
       " port_count = coalesce (excluded.port_count, devices.port_count),"
       " last_seen_at = CASE WHEN devices.last_seen_at IS NULL"
       " OR excluded.last_seen_at > devices.last_seen_at THEN excluded.last_seen_at"
       " ELSE devices.last_seen_at END, updated_at = excluded.updated_at"
       " RETURNING id, phy_id"},
    {.name = "devices.seen",
     .sql
     = "UPDATE devices SET last_seen_at = :last_seen_at, rssi = coalesce (:rssi, rssi)"
       " WHERE phy_id = :phy_id"
       " AND (last_seen_at IS NULL OR last_seen_at < :last_seen_at)"},
    {.name = "devices.load",
     .sql
     = "SELECT id, phy_id, protocol, iccid, imei, model, firmware_ver, rssi, port_count,"
       " lifecycle, enrolment, tags, last_seen_at, created_at FROM devices",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "devices.one",
     .sql
     = "SELECT id, phy_id, protocol, iccid, imei, model, firmware_ver, rssi, port_count,"
       " lifecycle, enrolment, tags, last_seen_at, created_at FROM devices"
       " WHERE phy_id = :phy_id",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "ports.save",
     .sql
     = "INSERT INTO ports (device_id, socket_no, port_no, status, power_w, raw_status,"
       " fault_bits, no_load, plugged, reserved, out_of_service, power_mw, current_ma,"
       " voltage_mv, temp_dc, status_reason, reported_at, updated_at)"
       " SELECT id, :socket_no, :port_no, :status, :power_w, :raw_status, :fault_bits,"
       " :no_load, :plugged, :reserved, :out_of_service, :power_mw, :current_ma,"
       " :voltage_mv, :temp_dc, :reason, :reported_at, :updated_at"
       " FROM devices WHERE phy_id = :phy_id"
       " ON CONFLICT (device_id, socket_no, port_no) DO UPDATE SET"
       " status = excluded.status, power_w = excluded.power_w,"
       " raw_status = excluded.raw_status, fault_bits = excluded.fault_bits,"
       " no_load = excluded.no_load, plugged = excluded.plugged,"
       " reserved = excluded.reserved, out_of_service = excluded.out_of_service,"
       " power_mw = excluded.power_mw, current_ma = excluded.current_ma,"
       " voltage_mv = excluded.voltage_mv, temp_dc = excluded.temp_dc,"
       " status_reason = excluded.status_reason, reported_at = excluded.reported_at,"
       " updated_at = excluded.updated_at"
       " WHERE ports.reported_at IS NULL OR excluded.reported_at >= ports.reported_at"},
    {.name = "ports.load",
     .sql
     = "SELECT d.phy_id, p.socket_no, p.port_no, p.raw_status, p.fault_bits, p.no_load,"
       " p.plugged, p.reserved, p.out_of_service, p.power_mw, p.current_ma, p.voltage_mv,"
       " p.temp_dc, p.reported_at, p.updated_at"
       " FROM ports p JOIN devices d ON d.id = p.device_id",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "ports.one",
     .sql
     = "SELECT d.phy_id, p.socket_no, p.port_no, p.raw_status, p.fault_bits, p.no_load,"
       " p.plugged, p.reserved, p.out_of_service, p.power_mw, p.current_ma, p.voltage_mv,"
       " p.temp_dc, p.reported_at, p.updated_at"
       " FROM ports p JOIN devices d ON d.id = p.device_id"
       " WHERE d.phy_id = :phy_id",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "sockets.save",
     .sql
     = "INSERT INTO gateway_sockets (gateway_id, socket_no, socket_mac, channel, status,"
       " signal_strength, firmware_ver, last_seen_at, created_at, updated_at)"
       " VALUES (:gateway_id, :socket_no, :mac, :channel, :status, :signal, :firmware,"
       " :last_seen_at, :now, :now)"
       " ON CONFLICT (gateway_id, socket_no) DO UPDATE SET"
       " socket_mac = CASE WHEN excluded.socket_mac = '' THEN gateway_sockets.socket_mac"
       " ELSE excluded.socket_mac END,"
       " channel = coalesce (excluded.channel, gateway_sockets.channel),"
       " status = excluded.status, signal_strength = excluded.signal_strength,"
       " firmware_ver = coalesce (excluded.firmware_ver, gateway_sockets.firmware_ver),"
       " last_seen_at = coalesce (excluded.last_seen_at, gateway_sockets.last_seen_at),"
       " updated_at = excluded.updated_at"},
    {.name = "sockets.delete",
     .sql = "DELETE FROM gateway_sockets WHERE gateway_id = :gateway_id"
            " AND socket_no = :socket_no"},
    {.name = "sockets.load",
     .sql = "SELECT gateway_id, socket_no, socket_mac, socket_uid, channel, status,"
            " signal_strength, firmware_ver, last_seen_at FROM gateway_sockets"
            " ORDER BY gateway_id, socket_no",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "sockets.one",
     .sql = "SELECT gateway_id, socket_no, socket_mac, socket_uid, channel, status,"
            " signal_strength, firmware_ver, last_seen_at FROM gateway_sockets"
            " WHERE gateway_id = :phy_id ORDER BY socket_no",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = NULL},
};

static const char *const LIFECYCLES[] = {"active", "maintenance", "decommissioned"};
static const char *const ENROLMENTS[] = {"auto", "registered", "blocked"};

static guint8 index_of (const char *const *names, guint n, const char *name)
{
  for (guint i = 0; i < n; i++)
    if (g_strcmp0 (names[i], name) == 0)
      return (guint8) i;
  return 0;
}

/* ---- writing ---- */

static gint64 or_null (gint64 value, gint64 unknown)
{
  return value == unknown ? CH_UNSET : value;
}

guint ch_device_store (ChDevice *device, ChTx *tx)
{
  guint index = ch_tx_add (tx, device->core->self, "devices.save");
  ch_tx_bind_text (tx, "phy_id", device->id);
  ch_tx_bind_text (tx, "protocol", device->protocol);
  ch_tx_bind_text (tx, "iccid", device->iccid);
  ch_tx_bind_text (tx, "imei", device->imei);
  ch_tx_bind_text (tx, "model", device->model);
  ch_tx_bind_text (tx, "firmware", device->firmware);
  ch_tx_bind_int (tx, "rssi", or_null (device->rssi, G_MININT16));
  ch_tx_bind_int (tx, "port_count", or_null (device->port_count, -1));
  ch_tx_bind_text (tx, "lifecycle", LIFECYCLES[device->lifecycle]);
  ch_tx_bind_text (tx, "enrolment", ENROLMENTS[device->enrolment]);
  ch_tx_bind_json (tx, "tags", device->tags != NULL ? device->tags : "{}");
  ch_tx_bind_time (tx, "last_seen_at", or_null (device->last_seen_at, 0));
  ch_tx_bind_time (tx, "created_at", device->created_at);
  ch_tx_bind_time (tx, "now", ch_wall_ms (device->core->self));
  return index;
}

static void bind_flag (ChTx *tx, const char *name, gint8 flag)
{
  if (flag < 0)
    ch_tx_bind_null (tx, name);
  else
    ch_tx_bind_bool (tx, name, flag != 0);
}

void ch_port_store (ChDevice *device, const ChPort *port, ChTx *tx)
{
  ch_tx_add (tx, device->core->self, "ports.save");
  ch_tx_bind_int (tx, "socket_no", port->socket_no);
  ch_tx_bind_int (tx, "port_no", port->port_no);
  ch_tx_bind_int (tx, "status", port->status);
  ch_tx_bind_int (tx, "power_w",
                  port->power_mw == G_MININT32 ? CH_UNSET
                                               : (port->power_mw + 500) / 1000);
  ch_tx_bind_int (tx, "raw_status", or_null (port->raw_status, -1));
  ch_tx_bind_int (tx, "fault_bits", port->fault_bits);
  bind_flag (tx, "no_load", port->no_load);
  bind_flag (tx, "plugged", port->plugged);
  bind_flag (tx, "reserved", port->reserved);
  bind_flag (tx, "out_of_service", port->out_of_service);
  ch_tx_bind_int (tx, "power_mw", or_null (port->power_mw, G_MININT32));
  ch_tx_bind_int (tx, "current_ma", or_null (port->current_ma, G_MININT32));
  ch_tx_bind_int (tx, "voltage_mv", or_null (port->voltage_mv, G_MININT32));
  ch_tx_bind_int (tx, "temp_dc", or_null (port->temp_dc, G_MININT32));
  ch_tx_bind_text (tx, "reason",
                   port->status == CH_PORT_OFFLINE ? "session_lost" : "device_report");
  ch_tx_bind_time (tx, "reported_at", or_null (port->reported_at, 0));
  ch_tx_bind_time (tx, "updated_at",
                   port->updated_at != 0 ? port->updated_at
                                         : ch_wall_ms (device->core->self));
  ch_tx_bind_text (tx, "phy_id", device->id);
}

void ch_socket_store (ChDevice *device, const ChSocket *socket, ChTx *tx)
{
  ch_tx_add (tx, device->core->self, "sockets.save");
  ch_tx_bind_text (tx, "gateway_id", device->id);
  ch_tx_bind_int (tx, "socket_no", socket->socket_no);
  ch_tx_bind_text (tx, "mac", socket->mac);
  ch_tx_bind_int (tx, "channel", or_null (socket->channel, -1));
  ch_tx_bind_int (tx, "status", socket->status);
  ch_tx_bind_int (tx, "signal", or_null (socket->signal, G_MININT16));
  ch_tx_bind_text (tx, "firmware", socket->firmware[0] != '\0' ? socket->firmware : NULL);
  ch_tx_bind_time (tx, "last_seen_at", or_null (socket->last_seen_at, 0));
  ch_tx_bind_time (tx, "now", ch_wall_ms (device->core->self));
}

typedef struct {
  ChCore *core;
  char *id;
  ChPlugin *driver; /* a reference, so that its next life has another address */
  ChConn conn;
  ChFactDone done;
  gpointer user_data;
} Save;

static void save_done (ChPlugin *self, const ChTxResult *result, const GError *error,
                       gpointer data)
{
  Save *save = data;
  ChDevice *device = ch_device_find (save->core, save->id);

  if (error != NULL)
    ch_core_trouble (save->core, CH_TROUBLE_DEVICE, CH_LOG_FIELDS ("device", save->id),
                     "device not stored", error);
  if (device != NULL) {
    if (error == NULL && ch_tx_result_rows (result, 0) > 0)
      device->db_id = ch_tx_result_int (result, 0, 0, "id");
    else if (!device->last_seen_dirty) {
      device->last_seen_dirty = TRUE; /* again with the next batch */
      g_ptr_array_add (save->core->dirty_devices, device);
    }
    ChRunnerFrame frame;
    if (save->done != NULL && device->driver == save->driver
        && ch_runner_enter (save->driver, "fact done", &frame)) {
      save->done (save->driver, save->conn, error, save->user_data);
      ch_runner_leave (&frame);
    }
  }
  ch_owner_unref (save->driver);
  g_free (save->id);
  g_free (save);
}

static void save_soon (ChPlugin *self, gpointer data)
{
  ChCore *core = data;
  core->save_timer = 0;
  ch_facts_flush (core);
}

void ch_device_save (ChDevice *device, ChPlugin *self, ChConn conn, ChFactDone done,
                     gpointer user_data)
{
  if (done == NULL) { /* nobody waits: a fleet that connects makes few transactions */
    ChCore *core = device->core;
    device->identity_dirty = TRUE;
    ch_device_seen_dirty (device);
    if (core->save_timer == 0)
      core->save_timer = ch_timer_add (core->self, SAVE_MS, save_soon, core);
    return;
  }
  Save *save = g_new0 (Save, 1);
  save->core = device->core;
  save->id = g_strdup (device->id);
  save->driver = ch_owner_ref (self);
  save->conn = conn;
  save->done = done;
  save->user_data = user_data;
  ChTx *tx = ch_tx_new (device->core->self);
  ch_device_store (device, tx);
  ch_tx_submit (tx, 0, save_done, save);
}

/* ---- the batch ---- */

static void mark_dirty (ChDevice *device)
{
  if (device->last_seen_dirty)
    return;
  device->last_seen_dirty = TRUE;
  g_ptr_array_add (device->core->dirty_devices, device);
}

void ch_facts_port_dirty (ChDevice *device, ChPort *port)
{
  port->dirty = TRUE;
  mark_dirty (device);
}

void ch_device_seen_dirty (ChDevice *device)
{
  mark_dirty (device);
}

#define NO_ROW G_MAXUINT

typedef struct {
  guint device; /* index in ids */
  gint16 socket_no;
  gint8 port_no;
} BatchPort;

/* One batch on its way. */
typedef struct {
  ChCore *core;
  GPtrArray *ids;  /* of devices, owned */
  GArray *indexes; /* the statements of whole rows, of guint; NO_ROW: last_seen only */
  GArray *ports;   /* of BatchPort */
} Batch;

/* What was not stored goes with the next batch. */
static void batch_failed (Batch *sent, const GError *error)
{
  ChCore *core = sent->core;
  if (!core->batch_behind)
    ch_warning (core->self, "state of devices not stored, trying again: %s",
                error->message);
  core->batch_behind = TRUE;
  for (guint i = 0; i < sent->ids->len; i++) {
    ChDevice *device = ch_device_find (core, g_ptr_array_index (sent->ids, i));
    if (device == NULL)
      continue;
    if (g_array_index (sent->indexes, guint, i) != NO_ROW)
      device->identity_dirty = TRUE;
    mark_dirty (device);
  }
  for (guint i = 0; i < sent->ports->len; i++) {
    const BatchPort *at = &g_array_index (sent->ports, BatchPort, i);
    ChDevice *device = ch_device_find (core, g_ptr_array_index (sent->ids, at->device));
    ChPort *port = device != NULL
                       ? ch_device_port (device, at->socket_no, at->port_no, FALSE)
                       : NULL;
    if (port != NULL)
      ch_facts_port_dirty (device, port);
  }
}

static void batch_done (ChPlugin *self, const ChTxResult *result, const GError *error,
                        gpointer data)
{
  Batch *sent = data;
  if (error != NULL)
    batch_failed (sent, error);
  else
    sent->core->batch_behind = FALSE;
  for (guint i = 0; error == NULL && i < sent->ids->len; i++) {
    ChDevice *device = ch_device_find (sent->core, g_ptr_array_index (sent->ids, i));
    guint index = g_array_index (sent->indexes, guint, i);
    if (device != NULL && index != NO_ROW && ch_tx_result_rows (result, index) > 0)
      device->db_id = ch_tx_result_int (result, index, 0, "id");
  }
  g_ptr_array_unref (sent->ids);
  g_array_unref (sent->indexes);
  g_array_unref (sent->ports);
  g_free (sent);
}

static guint add_device (ChDevice *device, ChTx *tx, Batch *sent)
{
  guint rows = 1, index = NO_ROW;
  if (device->db_id == 0 || device->identity_dirty) {
    device->identity_dirty = FALSE;
    index = ch_device_store (device, tx);
  } else {
    ch_tx_add (tx, device->core->self, "devices.seen");
    ch_tx_bind_time (tx, "last_seen_at", device->last_seen_at);
    ch_tx_bind_int (tx, "rssi", or_null (device->rssi, G_MININT16));
    ch_tx_bind_text (tx, "phy_id", device->id);
  }
  const BatchPort at = {.device = sent->ids->len};
  g_ptr_array_add (sent->ids, g_strdup (device->id));
  g_array_append_val (sent->indexes, index);
  for (guint i = 0; i < device->n_ports; i++) {
    ChPort *port = &device->ports[i];
    if (!port->dirty)
      continue;
    port->dirty = FALSE;
    ch_port_store (device, port, tx);
    BatchPort stored = at;
    stored.socket_no = port->socket_no;
    stored.port_no = port->port_no;
    g_array_append_val (sent->ports, stored);
    rows++;
  }
  return rows;
}

void ch_facts_flush (ChCore *core)
{
  while (core->dirty_devices->len > 0) {
    ChTx *tx = ch_tx_new (core->self);
    Batch *sent = g_new0 (Batch, 1);
    guint rows = 0;
    sent->core = core;
    sent->ids = g_ptr_array_new_with_free_func (g_free);
    sent->indexes = g_array_new (FALSE, FALSE, sizeof (guint));
    sent->ports = g_array_new (FALSE, FALSE, sizeof (BatchPort));
    while (core->dirty_devices->len > 0 && rows < BATCH_ROWS) {
      ChDevice *device = g_ptr_array_steal_index_fast (core->dirty_devices,
                                                       core->dirty_devices->len - 1);
      device->last_seen_dirty = FALSE;
      rows += add_device (device, tx, sent);
    }
    ch_tx_submit (tx, 0, batch_done, sent);
  }
}

static void batch (ChPlugin *self, gpointer data)
{
  ChCore *core = data;
  ch_facts_flush (core);
  ch_timer_add (self, BATCH_MS, batch, core);
}

void ch_facts_start (ChCore *core)
{
  ch_timer_add (core->self, BATCH_MS, batch, core);
}

/* ---- loading ---- */

static gint64 value_or (gint64 value, gint64 unknown)
{
  return value == CH_UNSET ? unknown : value;
}

static gint8 read_flag (const ChTxResult *r, guint row, const char *column)
{
  return ch_tx_result_is_null (r, 1, row, column)
             ? (gint8) -1
             : (gint8) ch_tx_result_bool (r, 1, row, column);
}

static void take_text (ChCore *core, ChDeviceSetText set, char **field,
                       const ChTxResult *r, guint row, const char *column)
{
  if (*field == NULL)
    set (core, field, ch_tx_result_text (r, 0, row, column));
}

static void read_device (ChDevice *device, const ChTxResult *r, guint row)
{
  ChCore *core = device->core;
  const char *protocol = ch_tx_result_text (r, 0, row, "protocol");
  const char *tags = ch_tx_result_text (r, 0, row, "tags");

  device->db_id = ch_tx_result_int (r, 0, row, "id");
  if (device->conn == 0)
    device->protocol = g_intern_string (protocol != NULL ? protocol : "");
  take_text (core, ch_device_set_text, &device->iccid, r, row, "iccid");
  take_text (core, ch_device_set_text, &device->imei, r, row, "imei");
  take_text (core, ch_device_share_text, &device->model, r, row, "model");
  take_text (core, ch_device_share_text, &device->firmware, r, row, "firmware_ver");
  if (device->rssi == G_MININT16)
    device->rssi = (gint16) value_or (ch_tx_result_int (r, 0, row, "rssi"), G_MININT16);
  if (device->port_count < 0)
    device->port_count
        = (gint16) value_or (ch_tx_result_int (r, 0, row, "port_count"), -1);
  device->lifecycle = index_of (LIFECYCLES, G_N_ELEMENTS (LIFECYCLES),
                                ch_tx_result_text (r, 0, row, "lifecycle"));
  device->enrolment = index_of (ENROLMENTS, G_N_ELEMENTS (ENROLMENTS),
                                ch_tx_result_text (r, 0, row, "enrolment"));
  ch_device_set_text (core, &device->tags, g_strcmp0 (tags, "{}") != 0 ? tags : NULL);
  device->last_seen_at = MAX (
      device->last_seen_at, value_or (ch_tx_result_time (r, 0, row, "last_seen_at"), 0));
  device->created_at = ch_tx_result_time (r, 0, row, "created_at");
}

static void load_device (ChCore *core, const ChTxResult *r, guint row)
{
  read_device (ch_device_add (core, ch_tx_result_text (r, 0, row, "phy_id")), r, row);
}

static void load_port (ChCore *core, const ChTxResult *r, guint row)
{
  ChDevice *device = ch_device_find (core, ch_tx_result_text (r, 1, row, "phy_id"));
  ChPort *port
      = device == NULL
            ? NULL
            : ch_device_port (device, (gint) ch_tx_result_int (r, 1, row, "socket_no"),
                              (gint) ch_tx_result_int (r, 1, row, "port_no"), TRUE);
  if (port == NULL || port->snapshot_ms != 0 || port->dirty)
    return;
  port->raw_status = (gint32) value_or (ch_tx_result_int (r, 1, row, "raw_status"), -1);
  port->fault_bits = (guint8) value_or (ch_tx_result_int (r, 1, row, "fault_bits"), 0);
  port->no_load = read_flag (r, row, "no_load");
  port->plugged = read_flag (r, row, "plugged");
  port->reserved = read_flag (r, row, "reserved");
  port->out_of_service = read_flag (r, row, "out_of_service");
  port->power_mw
      = (gint32) value_or (ch_tx_result_int (r, 1, row, "power_mw"), G_MININT32);
  port->current_ma
      = (gint32) value_or (ch_tx_result_int (r, 1, row, "current_ma"), G_MININT32);
  port->voltage_mv
      = (gint32) value_or (ch_tx_result_int (r, 1, row, "voltage_mv"), G_MININT32);
  port->temp_dc = (gint32) value_or (ch_tx_result_int (r, 1, row, "temp_dc"), G_MININT32);
  port->reported_at = value_or (ch_tx_result_time (r, 1, row, "reported_at"), 0);
  port->updated_at = value_or (ch_tx_result_time (r, 1, row, "updated_at"), 0);
}

static void load_socket (ChCore *core, const ChTxResult *r, guint row)
{
  ChDevice *device = ch_device_find (core, ch_tx_result_text (r, 2, row, "gateway_id"));
  ChSocket *socket
      = device == NULL
            ? NULL
            : ch_device_socket (device, (gint) ch_tx_result_int (r, 2, row, "socket_no"),
                                TRUE);
  if (socket == NULL)
    return;
  const char *firmware = ch_tx_result_text (r, 2, row, "firmware_ver");
  g_strlcpy (socket->mac, ch_tx_result_text (r, 2, row, "socket_mac"),
             sizeof socket->mac);
  g_strlcpy (socket->firmware, firmware != NULL ? firmware : "", sizeof socket->firmware);
  g_free (socket->uid);
  socket->uid = g_strdup (ch_tx_result_text (r, 2, row, "socket_uid"));
  socket->channel = (gint16) value_or (ch_tx_result_int (r, 2, row, "channel"), -1);
  socket->status = (gint8) value_or (ch_tx_result_int (r, 2, row, "status"), 0);
  socket->signal
      = (gint16) value_or (ch_tx_result_int (r, 2, row, "signal_strength"), G_MININT16);
  socket->last_seen_at = value_or (ch_tx_result_time (r, 2, row, "last_seen_at"), 0);
}

static void loaded (ChPlugin *self, const ChTxResult *result, const GError *error,
                    gpointer data)
{
  if (error != NULL)
    return;
  for (guint row = 0; row < ch_tx_result_rows (result, 0); row++)
    load_device (data, result, row);
  for (guint row = 0; row < ch_tx_result_rows (result, 1); row++)
    load_port (data, result, row);
  for (guint row = 0; row < ch_tx_result_rows (result, 2); row++)
    load_socket (data, result, row);
}

void ch_device_take_rows (ChDevice *device, const ChTxResult *result)
{
  if (ch_tx_result_rows (result, 0) == 0)
    return;
  read_device (device, result, 0);
  for (guint row = 0; row < ch_tx_result_rows (result, 1); row++)
    load_port (device->core, result, row);
  for (guint row = 0; row < ch_tx_result_rows (result, 2); row++)
    load_socket (device->core, result, row);
  if (device->enrolment == CH_ENROLMENT_BLOCKED) /* at another instance, meanwhile */
    ch_session_cut (device->core->sessions, device);
}

gboolean ch_devices_load (ChCore *core, GError **error)
{
  ChTx *tx = ch_tx_new (core->self);
  ch_tx_add (tx, core->self, "devices.load");
  ch_tx_add (tx, core->self, "ports.load");
  ch_tx_add (tx, core->self, "sockets.load");
  return ch_store_run_now (core->self, tx, loaded, core, error);
}
