/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests of the SDK as JSON and back; each is done here or where its device is. */
#include "core/core-admin.h"
#include "core/order/order.h"
#include "core/peer/peer.h"
#include "core/session/session.h"
#include <chargehost/json.h>

#include <string.h>

/* ---- fields ---- */

typedef struct {
  const char *name;
  gsize offset;
} Field;

static void put_ints (json_t *args, const Field *fields, gconstpointer request)
{
  for (; fields->name != NULL; fields++) {
    gint64 value = G_STRUCT_MEMBER (gint64, request, fields->offset);
    if (value != CH_UNSET)
      json_object_set_new_nocheck (args, fields->name, json_integer (value));
  }
}

static void put_texts (json_t *args, const Field *fields, gconstpointer request)
{
  for (; fields->name != NULL; fields++) {
    const char *value = G_STRUCT_MEMBER (const char *, request, fields->offset);
    if (value != NULL)
      json_object_set_new_nocheck (args, fields->name, json_string (value));
  }
}

static void get_ints (const json_t *args, const Field *fields, gpointer request)
{
  for (; fields->name != NULL; fields++)
    G_STRUCT_MEMBER (gint64, request, fields->offset)
        = ch_json_get_int (args, fields->name, CH_UNSET);
}

static void get_texts (const json_t *args, const Field *fields, gpointer request)
{
  for (; fields->name != NULL; fields++)
    G_STRUCT_MEMBER (const char *, request, fields->offset)
        = ch_json_get_string (args, fields->name, NULL);
}

#define F(Type, member)                                                                  \
  {                                                                                      \
#member, G_STRUCT_OFFSET(Type, member)                                               \
  }

static const Field START_INTS[] = {
    F (ChStartRequest, socket_no),
    F (ChStartRequest, port_no),
    F (ChStartRequest, charge_mode),
    F (ChStartRequest, amount_cent),
    F (ChStartRequest, duration_minutes),
    F (ChStartRequest, energy_wh),
    F (ChStartRequest, power_w),
    F (ChStartRequest, price_per_kwh_cent),
    F (ChStartRequest, service_fee_permille),
    F (ChStartRequest, business_no),
    F (ChStartRequest, max_power_w),
    {NULL, 0},
};
static const Field START_TEXTS[] = {
    F (ChStartRequest, device),
    F (ChStartRequest, socket_uid),
    F (ChStartRequest, order_no),
    F (ChStartRequest, card_no),
    {NULL, 0},
};
static const Field STOP_INTS[] = {
    F (ChStopRequest, socket_no),
    F (ChStopRequest, port_no),
    {NULL, 0},
};
static const Field STOP_TEXTS[] = {
    F (ChStopRequest, device),
    F (ChStopRequest, socket_uid),
    F (ChStopRequest, order_no),
    F (ChStopRequest, reason),
    {NULL, 0},
};
static const Field FORCE_INTS[] = {
    F (ChForceRequest, energy_wh),
    F (ChForceRequest, duration_s),
    F (ChForceRequest, end_reason),
    {NULL, 0},
};
static const Field FORCE_TEXTS[] = {
    F (ChForceRequest, order_no),
    F (ChForceRequest, comment),
    {NULL, 0},
};

/* ---- doing it here ---- */

typedef struct {
  ChPlugin *caller;
  const char *device;
  const json_t *args;
  const ChOrigin *origin;
  guint wait_ms;
  ChCoreDone done;
  gpointer user_data;
} Call;

static void do_start (const Call *c)
{
  ChStartRequest request = CH_START_REQUEST_INIT;
  get_ints (c->args, START_INTS, &request);
  get_texts (c->args, START_TEXTS, &request);
  request.metadata = json_object_get (c->args, "metadata");
  request.source = (ChOrderSource) CLAMP (
      ch_json_get_int (c->args, "source", CH_SOURCE_API), CH_SOURCE_API, CH_SOURCE_ADMIN);
  ch_start_charge_here (c->caller, &request, c->origin, c->wait_ms, c->done,
                        c->user_data);
}

static void do_stop (const Call *c)
{
  ChStopRequest request = {0};
  get_ints (c->args, STOP_INTS, &request);
  get_texts (c->args, STOP_TEXTS, &request);
  ch_stop_charge_here (c->caller, &request, c->origin, c->wait_ms, c->done, c->user_data);
}

static void do_cancel (const Call *c)
{
  ch_cancel_order_here (c->caller, ch_json_get_string (c->args, "order_no", ""),
                        ch_json_get_string (c->args, "reason", NULL), c->origin, c->done,
                        c->user_data);
}

static void do_force (const Call *c)
{
  ChForceRequest request = {0};
  get_ints (c->args, FORCE_INTS, &request);
  get_texts (c->args, FORCE_TEXTS, &request);
  request.settle = ch_json_get_bool (c->args, "settle", FALSE);
  ch_force_order_here (c->caller, &request, c->origin, c->done, c->user_data);
}

static void do_send (const Call *c)
{
  ch_send_here (c->caller, ch_json_get_string (c->args, "device", ""),
                ch_command_type_parse (ch_json_get_string (c->args, "type", "")),
                (gint) ch_json_get_int (c->args, "socket_no", 0),
                (gint) ch_json_get_int (c->args, "port_no", -1),
                json_object_get (c->args, "payload"),
                ch_json_get_bool (c->args, "force", FALSE), c->origin, c->wait_ms,
                c->done, c->user_data);
}

static void do_stop_port (const Call *c)
{
  ch_stop_port_here (c->caller, c->device != NULL ? c->device : "",
                     (gint) ch_json_get_int (c->args, "socket_no", -1),
                     (gint) ch_json_get_int (c->args, "port_no", -1),
                     ch_json_get_string (c->args, "comment", ""), c->origin, c->wait_ms,
                     c->done, c->user_data);
}

static void give (const Call *c, const json_t *data, const GError *error)
{
  ChRunnerFrame frame;
  if (ch_runner_enter (c->caller, "core answer", &frame)) {
    c->done (c->caller, data, error, c->user_data);
    ch_runner_leave (&frame);
  }
}

static void do_kick (const Call *c)
{
  const ChDevice *device = g_hash_table_lookup (ch_core_of (c->caller)->devices,
                                                c->device != NULL ? c->device : "");
  g_autoptr (GError) error = NULL;

  if (device == NULL)
    error = g_error_new_literal (CH_CORE_ERROR, CH_CORE_ERROR_DEVICE_NOT_FOUND,
                                 "no such device");
  else if (device->conn == 0)
    error = g_error_new_literal (CH_CORE_ERROR, CH_CORE_ERROR_DEVICE_OFFLINE,
                                 "the device is not connected");
  else
    ch_conn_close (ch_core_of (c->caller)->self, device->conn, CH_CLOSE_KICK);
  give (c, NULL, error);
}

static void do_read (const Call *c)
{
  static json_t *(*const views[]) (ChPlugin *, const char *)
      = {ch_core_device_json, ch_core_ports_json, ch_core_sockets_json,
         ch_core_session_json};
  gint64 view = ch_json_get_int (c->args, "view", CH_VIEW_DEVICE);
  g_autoptr (json_t) data = NULL;
  g_autoptr (GError) error = NULL;

  if (c->device != NULL && view >= 0 && view < (gint64) G_N_ELEMENTS (views))
    data = views[view](c->caller, c->device);
  if (data == NULL)
    error = g_error_new_literal (CH_CORE_ERROR, CH_CORE_ERROR_DEVICE_NOT_FOUND,
                                 "no such device");
  give (c, data, error);
}

/* Those that are here: {"devices":{"ID":{…}}}. */
static void do_read_many (const Call *c)
{
  ChCore *core = ch_core_of (c->caller);
  const json_t *ids = json_object_get (c->args, "ids");
  g_autoptr (json_t) data = json_object ();
  json_t *devices = json_object ();
  gsize n = MIN (json_array_size (ids), CH_PEER_IDS_MAX);

  for (gsize i = 0; i < n; i++) {
    const char *id = json_string_value (json_array_get (ids, i));
    const ChDevice *device = id != NULL ? ch_device_find (core, id) : NULL;
    if (device != NULL && device->conn != 0)
      json_object_set_new_nocheck (devices, id, ch_core_device_json (c->caller, id));
  }
  json_object_set_new_nocheck (data, "devices", devices);
  give (c, data, NULL);
}

static const struct {
  const char *name;
  void (*run) (const Call *call);
} OPS[CH_PEER_N] = {
    [CH_PEER_START] = {"start", do_start},
    [CH_PEER_STOP] = {"stop", do_stop},
    [CH_PEER_CANCEL] = {"cancel", do_cancel},
    [CH_PEER_FORCE] = {"force", do_force},
    [CH_PEER_SEND] = {"send", do_send},
    [CH_PEER_KICK] = {"kick", do_kick},
    [CH_PEER_READ] = {"read", do_read},
    [CH_PEER_READ_MANY] = {"read_many", do_read_many},
    [CH_PEER_STOP_PORT] = {"stop_port", do_stop_port},
};

const char *ch_peer_op_name (ChPeerOp op)
{
  return OPS[op].name;
}

void ch_peer_do (ChPlugin *caller, ChPeerOp op, const char *device, const json_t *args,
                 const ChOrigin *origin, guint wait_ms, ChCoreDone done,
                 gpointer user_data)
{
  const Call call = {caller, device, args, origin, wait_ms, done, user_data};
  OPS[op].run (&call);
}

/* ---- the functions of the SDK ---- */

void ch_core_start_charge (ChPlugin *self, const ChStartRequest *request,
                           const ChOrigin *origin, guint wait_ms, ChCoreDone done,
                           gpointer user_data)
{
  if (!ch_peer_may_be_elsewhere (ch_core_of (self), request->device)) {
    ch_start_charge_here (self, request, origin, wait_ms, done, user_data);
    return;
  }
  json_t *args = json_object ();
  put_ints (args, START_INTS, request);
  put_texts (args, START_TEXTS, request);
  if (request->metadata != NULL)
    json_object_set_new_nocheck (args, "metadata", json_deep_copy (request->metadata));
  json_object_set_new_nocheck (args, "source", json_integer (request->source));
  ch_peer_run (self, CH_PEER_START, request->device, NULL, args, origin, wait_ms, done,
               user_data);
}

void ch_core_stop_charge (ChPlugin *self, const ChStopRequest *request,
                          const ChOrigin *origin, guint wait_ms, ChCoreDone done,
                          gpointer user_data)
{
  ChCore *core = ch_core_of (self);
  gboolean by_order = request->order_no != NULL;
  gboolean away = by_order ? ch_peer_order_may_be_elsewhere (core, request->order_no)
                           : ch_peer_may_be_elsewhere (core, request->device);
  if (!away) {
    ch_stop_charge_here (self, request, origin, wait_ms, done, user_data);
    return;
  }
  json_t *args = json_object ();
  put_ints (args, STOP_INTS, request);
  put_texts (args, STOP_TEXTS, request);
  ch_peer_run (self, CH_PEER_STOP, by_order ? NULL : request->device, request->order_no,
               args, origin, wait_ms, done, user_data);
}

void ch_core_cancel_order (ChPlugin *self, const char *order_no, const char *reason,
                           const ChOrigin *origin, ChCoreDone done, gpointer user_data)
{
  if (!ch_peer_order_may_be_elsewhere (ch_core_of (self), order_no)) {
    ch_cancel_order_here (self, order_no, reason, origin, done, user_data);
    return;
  }
  json_t *args = json_object ();
  json_object_set_new (args, "order_no", json_string (order_no));
  if (reason != NULL)
    json_object_set_new (args, "reason", json_string (reason));
  ch_peer_run (self, CH_PEER_CANCEL, NULL, order_no, args, origin, 0, done, user_data);
}

void ch_core_force_order (ChPlugin *self, const ChForceRequest *request,
                          const ChOrigin *origin, ChCoreDone done, gpointer user_data)
{
  if (!ch_peer_order_may_be_elsewhere (ch_core_of (self), request->order_no)) {
    ch_force_order_here (self, request, origin, done, user_data);
    return;
  }
  json_t *args = json_object ();
  put_ints (args, FORCE_INTS, request);
  put_texts (args, FORCE_TEXTS, request);
  json_object_set_new_nocheck (args, "settle", json_boolean (request->settle));
  ch_peer_run (self, CH_PEER_FORCE, NULL, request->order_no, args, origin, 0, done,
               user_data);
}

/*
 * A command is queued anywhere and sent where the device is; but whether it may be, when
 * that depends on the device's orders, only its instance knows.
 */
void ch_core_send (ChPlugin *self, const char *device, ChCommandType type, gint socket_no,
                   gint port_no, const json_t *payload, gboolean force,
                   const ChOrigin *origin, guint wait_ms, ChCoreDone done,
                   gpointer user_data)
{
  ChCore *core = ch_core_of (self);
  gboolean asks_orders
      = (type == CH_COMMAND_REBOOT || type == CH_COMMAND_TRIGGER_OTA) && !force;
  gboolean unknown = g_hash_table_lookup (core->devices, device) == NULL;

  if (!ch_peer_may_be_elsewhere (core, device) || (!asks_orders && !unknown)) {
    ch_send_here (self, device, type, socket_no, port_no, payload, force, origin, wait_ms,
                  done, user_data);
    return;
  }
  json_t *args = json_object ();
  json_object_set_new (args, "device", json_string (device));
  json_object_set_new (args, "type", json_string (ch_command_type_name (type)));
  json_object_set_new (args, "socket_no", json_integer (socket_no));
  json_object_set_new (args, "port_no", json_integer (port_no));
  if (payload != NULL)
    json_object_set_new (args, "payload", json_deep_copy (payload));
  json_object_set_new (args, "force", json_boolean (force));
  ch_peer_run (self, CH_PEER_SEND, device, NULL, args, origin, wait_ms, done, user_data);
}

void ch_core_read_device (ChPlugin *self, const char *device, ChCoreView view,
                          ChCoreDone done, gpointer user_data)
{
  json_t *args = json_object ();
  json_object_set_new (args, "view", json_integer (view));
  if (ch_peer_may_be_elsewhere (ch_core_of (self), device)) {
    ch_peer_run (self, CH_PEER_READ, device, NULL, args, NULL, 0, done, user_data);
    return;
  }
  ch_peer_do (self, CH_PEER_READ, device, args, NULL, 0, done, user_data);
  json_decref (args);
}

void ch_core_stop_port (ChPlugin *self, const char *device, gint socket_no, gint port_no,
                        const char *comment, const ChOrigin *origin, guint wait_ms,
                        ChCoreDone done, gpointer user_data)
{
  if (!ch_peer_may_be_elsewhere (ch_core_of (self), device)) {
    ch_stop_port_here (self, device, socket_no, port_no, comment, origin, wait_ms, done,
                       user_data);
    return;
  }
  json_t *args = json_object ();
  json_object_set_new (args, "socket_no", json_integer (socket_no));
  json_object_set_new (args, "port_no", json_integer (port_no));
  json_object_set_new (args, "comment", json_string (comment != NULL ? comment : ""));
  ch_peer_run (self, CH_PEER_STOP_PORT, device, NULL, args, origin, wait_ms, done,
               user_data);
}

gboolean ch_core_may_be_elsewhere (ChPlugin *self, const char *device)
{
  return ch_peer_may_be_elsewhere (ch_core_of (self), device);
}

void ch_core_kick_device (ChPlugin *self, const char *device, const ChOrigin *origin,
                          ChCoreDone done, gpointer user_data)
{
  if (ch_peer_may_be_elsewhere (ch_core_of (self), device))
    ch_peer_run (self, CH_PEER_KICK, device, NULL, json_object (), origin, 0, done,
                 user_data);
  else
    ch_peer_do (self, CH_PEER_KICK, device, NULL, origin, 0, done, user_data);
}
