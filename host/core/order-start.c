/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Starting a charge (gateway 1.5.3), whoever asks. Steps: what memory can check; a look
 * into the store for the order number; a fresh snapshot of the port if there is none;
 * then, in the device's queue, the final checks and one transaction with the order, its
 * command and its event. The unique index on active orders has the last word.
 */
#include "core/order-start.h"
#include "core/facts.h"
#include "core/metrics.h"
#include "core/order-flow.h"
#include "core/order-number.h"
#include "core/order-store.h"
#include "core/outbound.h"
#include "core/session.h"
#include <chargehost/clock.h>
#include <chargehost/error.h>
#include <chargehost/id.h>
#include <chargehost/json.h>
#include <chargehost/log.h>

#include <string.h>

typedef struct {
  ChCore *core;
  ChDevice *device;
  ChStartRequest request; /* strings below */
  char *order_no, *socket_uid, *card_no, *metadata, *request_id;
  char by[16];
  guint wait_ms;
  ChPlugin *caller;
  ChCoreDone done;
  gpointer user_data;
  ChTimer timer; /* waiting for a snapshot */
  gint64 asked_ms;
  GArray *numbers; /* business numbers in use, of guint16; nullable */
  gboolean duplicate;
  ChOrder *order; /* being inserted */
  char command_id[CH_COMMAND_ID_SIZE];
} Start;

static void start_free (Start *start)
{
  ch_timer_cancel (start->core->self, &start->timer);
  g_clear_pointer (&start->numbers, g_array_unref);
  g_clear_pointer (&start->order, ch_order_free);
  g_free (start->order_no);
  g_free (start->socket_uid);
  g_free (start->card_no);
  g_free (start->metadata);
  g_free (start->request_id);
  g_free (start);
}

static void answer (Start *start, const json_t *data, const GError *error)
{
  ChRunnerFrame frame;
  if (start->done != NULL && ch_runner_enter (start->caller, "start_charge", &frame)) {
    start->done (start->caller, data, error, start->user_data);
    ch_runner_leave (&frame);
  }
  start_free (start);
}

/* Takes @data and @error. */
static void refuse (Start *start, GError *error, json_t *data)
{
  answer (start, data, error);
  g_error_free (error);
  json_decref (data);
}

#define REFUSE(start, code, data, ...)                                                   \
  refuse ((start), g_error_new (CH_CORE_ERROR, CH_CORE_ERROR_##code, __VA_ARGS__), (data))

/* ---- the answer ---- */

static json_t *enforced_by (const ChOrderData *d)
{
  json_t *object = json_object ();
  if (d->target_duration_s != CH_UNSET)
    json_object_set_new_nocheck (object, "duration",
                                 json_string (d->charge_mode == 1 ? "device" : "server"));
  if (d->target_energy_wh != CH_UNSET)
    json_object_set_new_nocheck (object, "energy",
                                 json_string (d->charge_mode == 2 ? "device" : "server"));
  json_object_set_new_nocheck (object, "amount",
                               json_string (d->charge_mode == 3 ? "device" : "server"));
  return object;
}

static json_t *start_json (Start *start, const ChOrder *order)
{
  const ChOrderData *d = &order->d;
  json_t *data
      = ch_outbound_accepted_json (start->core->outbound, d->start_command_id, FALSE);
  char text[5];

  if (data == NULL)
    data = json_object ();
  json_object_del (data, "deduplicated");
  json_object_del (data, "type");
  json_object_set_new_nocheck (data, "order_no", json_string (d->order_no));
  json_object_set_new_nocheck (data, "business_no",
                               json_string (ch_business_no_text (d->business_no, text)));
  json_object_set_new_nocheck (
      data, "status", json_string (ch_order_status_name ((ChOrderStatus) d->status)));
  json_object_set_new_nocheck (data, "device_id", json_string (order->device->id));
  json_object_set_new_nocheck (data, "socket_no", json_integer (d->socket_no));
  json_object_set_new_nocheck (data, "port_no", json_integer (d->port_no));
  json_object_set_new_nocheck (data, "amount",
                               d->amount_limit_cent == CH_UNSET
                                   ? json_null ()
                                   : json_integer (d->amount_limit_cent));
  json_object_set_new_nocheck (data, "command_id", json_string (d->start_command_id));
  json_object_set_new_nocheck (data, "enforced_by", enforced_by (d));
  json_object_set_new_nocheck (data, "duplicate", json_boolean (start->duplicate));
  return data;
}

static void answer_order (Start *start, const ChOrder *order)
{
  g_autoptr (json_t) data = start_json (start, order);
  answer (start, data, NULL);
}

typedef struct {
  ChFact fact;
  Start *start;
  ChCommandState state;
} WaitedJob;

/* Behind the transition that the command's end caused: the answer shows its result. */
static gboolean run_waited (ChDevice *device, ChFact *fact)
{
  WaitedJob *job = (WaitedJob *) fact;
  Start *start = job->start;
  ChOrder *order = ch_orders_find (device->core->orders, start->order_no);
  g_autoptr (json_t) data = NULL;

  if (order != NULL)
    data = start_json (start, order);
  else {
    data = json_object ();
    json_object_set_new_nocheck (data, "order_no", json_string (start->order_no));
    json_object_set_new_nocheck (data, "device_id", json_string (device->id));
    json_object_set_new_nocheck (data, "command_id", json_string (start->command_id));
    json_object_set_new_nocheck (data, "duplicate", json_false ());
  }
  json_object_set_new_nocheck (data, "state",
                               json_string (ch_command_state_name (job->state)));
  if (job->state >= CH_COMMAND_ACKED)
    json_object_set_new_nocheck (data, "final", json_true ());
  answer (start, data, NULL);
  return TRUE;
}

static void free_waited (ChFact *fact)
{
  g_free (fact);
}

static void waited (ChCore *core, const ChCommandView *view, gpointer user_data)
{
  Start *start = user_data;
  WaitedJob *job = g_new0 (WaitedJob, 1);
  job->fact.run = run_waited;
  job->fact.free = free_waited;
  job->start = start;
  job->state = view != NULL ? view->state : CH_COMMAND_QUEUED;
  ch_fact_enqueue (start->device, &job->fact);
}

/* ---- what memory can check (steps 1, 3 to 5) ---- */

static gboolean in_range (gint64 value, gint64 min, gint64 max)
{
  return value >= min && value <= max;
}

static const char *invalid (ChCore *core, const ChStartRequest *r)
{
  gint64 most = ch_config_int (core->self, "orders.max_duration_minutes");
  if (r->port_no == CH_UNSET || !in_range (r->port_no, -1, 15))
    return "port_no must be 0 to 15";
  if (r->socket_no != CH_UNSET && !in_range (r->socket_no, 0, 250))
    return "socket_no must be 0 to 250";
  if (!in_range (r->charge_mode, 1, 4))
    return "charge_mode must be 1 to 4";
  if (!in_range (r->amount_cent, 1, 10000000))
    return "amount must be 1 to 10000000 cents";
  if (r->charge_mode == 1 && r->duration_minutes == CH_UNSET)
    return "duration_minutes is required to charge by time";
  if (r->duration_minutes != CH_UNSET && !in_range (r->duration_minutes, 1, most))
    return "duration_minutes is out of range";
  if (r->charge_mode == 2 && !in_range (r->energy_wh, 10, 1000000))
    return "energy_wh must be 10 to 1000000 to charge by energy";
  if (r->charge_mode == 3 && !in_range (r->power_w, 1, 65535))
    return "power must be 1 to 65535 W to charge by power";
  if (r->price_per_kwh_cent != CH_UNSET && !in_range (r->price_per_kwh_cent, 0, 100000))
    return "price_per_kwh must be 0 to 100000 cents";
  if (r->service_fee_permille != CH_UNSET && !in_range (r->service_fee_permille, 0, 1000))
    return "service_fee must be 0 to 1000 permille";
  if (r->order_no != NULL && !ch_order_no_is_valid (r->order_no))
    return "order_no must be 1 to 32 characters of A-Z, a-z, 0-9, _ and -";
  if (r->business_no != CH_UNSET && !in_range (r->business_no, 1, 65535))
    return "business_no must be 1 to 65535";
  return NULL;
}

static json_t *offline_data (const ChDevice *device)
{
  gint64 wall_ms = ch_wall_ms (device->core->self);
  json_t *data = json_object ();
  json_object_set_new_nocheck (data, "device_id", json_string (device->id));
  json_object_set_new_nocheck (data, "last_seen_at", ch_json_time (device->last_seen_at));
  json_object_set_new_nocheck (
      data, "offline_seconds",
      device->last_seen_at == 0 ? json_null ()
                                : json_integer ((wall_ms - device->last_seen_at) / 1000));
  return data;
}

/* Answers and returns FALSE when the device cannot take a start. */
static gboolean check_device (Start *start)
{
  ChDevice *device = start->device;
  ChCore *core = start->core;

  if (device->enrolment == CH_ENROLMENT_BLOCKED)
    return REFUSE (start, DEVICE_BLOCKED, NULL, "the device is blocked"), FALSE;
  if (device->lifecycle != CH_LIFECYCLE_ACTIVE)
    return REFUSE (start, DEVICE_FAULT, NULL, "the device is out of operation"), FALSE;
  if (device->conn == 0)
    return REFUSE (start, DEVICE_OFFLINE, offline_data (device),
                   "the device is off line"),
           FALSE;
  if (ch_now_ms (core->self) - device->seen_ms
      > ch_session_timeout_ms (core->sessions, device))
    return REFUSE (start, DEVICE_HEARTBEAT_TIMEOUT, offline_data (device),
                   "the device is connected but silent"),
           FALSE;
  return TRUE;
}

/* The socket of the request: by number, by UID, or the only one there is. */
static gboolean check_place (Start *start)
{
  ChStartRequest *r = &start->request;
  ChDevice *device = start->device;

  if (r->socket_uid != NULL) {
    const ChSocket *found = NULL;
    for (guint i = 0; i < device->n_sockets; i++)
      if (g_strcmp0 (device->sockets[i].uid, r->socket_uid) == 0)
        found = &device->sockets[i];
    if (found == NULL || (r->socket_no != CH_UNSET && r->socket_no != found->socket_no))
      return REFUSE (start, SOCKET_UID_MISMATCH, NULL,
                     "no socket of this device has the UID %s", r->socket_uid),
             FALSE;
    r->socket_no = found->socket_no;
  }
  if (r->socket_no == CH_UNSET) {
    if (device->n_sockets > 1)
      return REFUSE (start, INVALID_PARAMETER, NULL,
                     "socket_no or socket_uid is required: the device has %u sockets",
                     device->n_sockets),
             FALSE;
    r->socket_no = device->n_sockets == 1 ? device->sockets[0].socket_no
                   : device->n_ports > 0  ? device->ports[0].socket_no
                                          : 0;
  }
  if (r->socket_no > 0 && device->n_sockets > 0
      && ch_device_socket (device, (gint) r->socket_no, FALSE) == NULL)
    return REFUSE (start, SOCKET_NOT_FOUND, NULL, "the device has no socket %d",
                   (gint) r->socket_no),
           FALSE;
  if (r->port_no < 0 && !ch_device_props (device)->auto_port)
    return REFUSE (start, INVALID_PARAMETER, NULL, "the device cannot choose the port"),
           FALSE;
  if (r->port_no >= 0 && device->n_sockets == 0 && device->port_count > 0
      && r->port_no >= device->port_count)
    return REFUSE (start, PORT_NOT_FOUND, NULL, "the device has %d ports",
                   device->port_count),
           FALSE;
  return TRUE;
}

/* Start guards: in memory, at once, 20 ms in all; silence is yes. */
static gboolean check_guards (Start *start)
{
  gint64 begun_us = g_get_monotonic_time ();
  for (guint i = 0; i < start->core->guards->len; i++) {
    ChGuardEntry *entry = g_ptr_array_index (start->core->guards, i);
    ChRunnerFrame frame;
    g_autoptr (GError) error = NULL;
    if (g_get_monotonic_time () - begun_us > 20000) {
      ch_series_inc (start->core->metrics->guard_timeout);
      return TRUE;
    }
    if (!ch_runner_enter (entry->resource.owner, "start guard", &frame))
      continue;
    gboolean ok = entry->guard (entry->resource.owner, &start->request, &error);
    ch_runner_leave (&frame);
    if (!ok) {
      if (error == NULL || error->domain != CH_CORE_ERROR) {
        g_clear_error (&error);
        g_set_error (&error, CH_CORE_ERROR, CH_CORE_ERROR_PORT_RESERVED,
                     "the port is reserved");
      }
      refuse (start, g_steal_pointer (&error), NULL);
      return FALSE;
    }
  }
  return TRUE;
}

/* ---- the transaction, in the device's queue ---- */

typedef struct {
  ChFact fact;
  Start *start;
} StartJob;

static gboolean number_taken (Start *start, guint16 number)
{
  for (guint i = 0; start->device->orders != NULL && i < start->device->orders->len; i++)
    if (((ChOrder *) g_ptr_array_index (start->device->orders, i))->d.business_no
        == number)
      return TRUE;
  for (guint i = 0; start->numbers != NULL && i < start->numbers->len; i++)
    if (g_array_index (start->numbers, guint16, i) == number)
      return TRUE;
  return FALSE;
}

static ChOrder *make_order (Start *start)
{
  const ChStartRequest *r = &start->request;
  ChPlugin *self = start->core->self;
  ChOrder *order = ch_order_new (start->device);
  ChOrderData *d = &order->d;

  g_strlcpy (d->order_no, start->order_no, sizeof d->order_no);
  d->business_no = r->business_no != CH_UNSET ? (guint16) r->business_no
                                              : ch_business_no_derive (start->order_no);
  if (r->business_no == CH_UNSET)
    for (guint tries = 0; tries < G_MAXUINT16 && number_taken (start, d->business_no);
         tries++)
      d->business_no = ch_business_no_next (d->business_no);
  d->source = (guint8) r->source;
  d->socket_no = (gint16) r->socket_no;
  d->port_no = (gint8) r->port_no;
  d->charge_mode = (guint8) r->charge_mode;
  if (r->duration_minutes != CH_UNSET)
    d->target_duration_s = r->duration_minutes * 60;
  d->target_energy_wh = r->energy_wh;
  d->max_power_w = r->power_w != CH_UNSET ? r->power_w : r->max_power_w;
  d->amount_limit_cent = r->amount_cent;
  d->price_per_kwh_cent = r->price_per_kwh_cent != CH_UNSET
                              ? r->price_per_kwh_cent
                              : ch_config_int (self, "tariff.price_per_kwh_cent");
  d->service_fee_permille = r->service_fee_permille != CH_UNSET
                                ? r->service_fee_permille
                                : ch_config_int (self, "tariff.service_fee_permille");
  d->created_at = d->updated_at = ch_wall_ms (self);
  order->card_no = g_strdup (start->card_no);
  order->metadata = g_strdup (start->metadata);
  order->state_ms = order->progress_ms = ch_now_ms (self);
  return order;
}

static json_t *start_payload (const ChOrder *order)
{
  const ChOrderData *d = &order->d;
  json_t *payload = json_object ();
  json_object_set_new_nocheck (payload, "charge_mode", json_integer (d->charge_mode));
  if (d->target_duration_s != CH_UNSET)
    json_object_set_new_nocheck (payload, "target_duration_s",
                                 json_integer (d->target_duration_s));
  if (d->target_energy_wh != CH_UNSET)
    json_object_set_new_nocheck (payload, "target_energy_wh",
                                 json_integer (d->target_energy_wh));
  if (d->amount_limit_cent != CH_UNSET)
    json_object_set_new_nocheck (payload, "max_fee_cent",
                                 json_integer (d->amount_limit_cent));
  if (d->max_power_w != CH_UNSET)
    json_object_set_new_nocheck (payload, "target_power_w",
                                 json_integer (d->max_power_w));
  json_object_set_new_nocheck (payload, "price_per_kwh_cent",
                               json_integer (d->price_per_kwh_cent));
  json_object_set_new_nocheck (payload, "service_fee_permille",
                               json_integer (d->service_fee_permille));
  if (order->card_no != NULL)
    json_object_set_new_nocheck (payload, "card_no", json_string (order->card_no));
  return payload;
}

static void refuse_store (Start *start, const GError *error)
{
  if (g_error_matches (error, CH_STORE_ERROR, CH_STORE_ERROR_UNIQUE))
    REFUSE (start, PORT_OCCUPIED, NULL, "another order holds the port");
  else
    REFUSE (start, STORE_UNAVAILABLE, NULL, "the order could not be stored: %s",
            error->message);
}

static void inserted (ChPlugin *self, const ChTxResult *result, const GError *error,
                      gpointer data)
{
  Start *start = data;
  ChDevice *device = start->device;
  ChCore *core = start->core;

  if (error != NULL) {
    ch_outbound_discard (core->outbound, start->command_id);
    refuse_store (start, error);
    ch_fact_finish (device);
    return;
  }
  ChOrder *order = g_steal_pointer (&start->order);
  ch_orders_add_active (core->orders, order);
  ch_order_arm (order);
  ch_outbound_push (core->outbound, order->d.start_command_id);
  ch_log (self, CH_LOG_INFO,
          CH_LOG_FIELDS ("order_no", order->d.order_no, "device", device->id),
          "start of port %d/%d by %s", order->d.socket_no, order->d.port_no, start->by);
  ch_order_publish_changed (order, -1, 1, start->by);
  if (start->wait_ms > 0)
    ch_outbound_wait (core->outbound, start->command_id, start->wait_ms, waited, start);
  else
    answer_order (start, order);
  ch_fact_finish (device);
}

static gboolean submit (Start *start)
{
  ChCore *core = start->core;
  ChOrder *order = make_order (start);
  g_autoptr (json_t) payload = start_payload (order);
  g_autoptr (GError) error = NULL;
  g_autofree char *dedup
      = g_strdup_printf ("start:%s:%d:%d:%s", start->device->id, order->d.socket_no,
                         order->d.port_no, order->d.order_no);
  ChOrigin origin = {.by = start->by, .request_id = start->request_id};
  ChOutboundRequest request = {.type = CH_COMMAND_START_CHARGE,
                               .device = start->device,
                               .socket_no = order->d.socket_no,
                               .port_no = order->d.port_no,
                               .order_no = order->d.order_no,
                               .business_no = order->d.business_no,
                               .payload = payload,
                               .dedup_key = dedup,
                               .durable = TRUE,
                               .origin = &origin};
  gboolean deduplicated;
  ChTx *tx = ch_tx_new (core->self), *command_tx = ch_tx_new (core->self);

  start->order = order;
  if (!ch_outbound_prepare (core->outbound, &request, command_tx, start->command_id,
                            &deduplicated, &error)) {
    ch_tx_free (tx);
    ch_tx_free (command_tx);
    refuse (start, g_steal_pointer (&error), NULL);
    return TRUE;
  }
  g_strlcpy (order->d.start_command_id, start->command_id,
             sizeof order->d.start_command_id);
  ChPort *port
      = ch_device_port (start->device, order->d.socket_no, order->d.port_no, TRUE);
  if (port != NULL)
    ch_port_store (start->device, port, tx);
  ch_order_insert (order, tx);
  ch_tx_append (tx, command_tx);
  ch_order_created_rows (order, tx);
  ch_tx_submit (tx, 0, inserted, start);
  return FALSE;
}

/* R4: a missing end report never blocks a port that is known to be idle. */
static gboolean end_left_over (ChPort *port)
{
  ChOrder *order = port->order;
  gint64 since = order->d.status == CH_ORDER_INTERRUPTED ? MAX (order->bound_ms, 1)
                 : order->stop_written_ms != 0           ? order->stop_written_ms
                                                         : order->state_ms;
  if (port->status != CH_PORT_IDLE || port->snapshot_ms < since)
    return FALSE;
  if (order->d.status == CH_ORDER_INTERRUPTED)
    return ch_order_apply (order, CH_ORDER_EVENT_RECOVER_TIMEOUT, "api", "new_start");
  if (order->d.status == CH_ORDER_STOPPING)
    return ch_order_apply (order, CH_ORDER_EVENT_STOP_WAIT, "api", "new_start");
  return FALSE;
}

static void enqueue (Start *start);

/* Steps 6 and 7 once more, where nothing can come between. */
static gboolean run_start (ChDevice *device, ChFact *fact)
{
  Start *start = ((StartJob *) fact)->start;
  ChPort *port = ch_device_port (device, (gint) start->request.socket_no,
                                 (gint) start->request.port_no, FALSE);
  if (!check_device (start))
    return TRUE;
  if (port != NULL && port->order != NULL) {
    if (end_left_over (port)) {
      enqueue (start);
      return FALSE;
    }
    json_t *data = json_object ();
    json_object_set_new_nocheck (data, "current_order",
                                 json_string (port->order->d.order_no));
    REFUSE (start, PORT_OCCUPIED, data, "another order holds the port");
    return TRUE;
  }
  if (port != NULL && port->status == CH_PORT_CHARGING)
    return REFUSE (start, PORT_STATE_INCONSISTENT, NULL,
                   "the port charges without an order"),
           TRUE;
  if (port != NULL && port->status == CH_PORT_FAULT)
    return REFUSE (start, PORT_FAULT, NULL, "the port has a fault"), TRUE;
  if (port != NULL && port->out_of_service == 1)
    return REFUSE (start, DEVICE_FAULT, NULL, "the port is out of service"), TRUE;
  if (port != NULL && port->reserved == 1)
    return REFUSE (start, PORT_RESERVED, NULL, "the port is reserved"), TRUE;
  if ((port == NULL || port->status == CH_PORT_OFFLINE)
      && ch_device_props (device)->idle_reports)
    return REFUSE (start, DEVICE_OFFLINE, NULL, "the device has not reported this port"),
           TRUE;
  if (!check_guards (start))
    return TRUE;
  return submit (start);
}

static void free_job (ChFact *fact)
{
  g_free (fact);
}

static void enqueue (Start *start)
{
  StartJob *job = g_new0 (StartJob, 1);
  job->fact.run = run_start;
  job->fact.free = free_job;
  job->start = start;
  ch_fact_enqueue (start->device, &job->fact);
}

/* ---- step 6: a fresh snapshot ---- */

static gboolean has_snapshot (Start *start)
{
  const ChPort *port = ch_device_port (start->device, (gint) start->request.socket_no,
                                       (gint) start->request.port_no, FALSE);
  return port != NULL && port->snapshot_ms != 0 && port->status != CH_PORT_OFFLINE;
}

static void snapshot_missing (ChPlugin *self, gpointer data)
{
  Start *start = data;
  start->timer = 0;
  g_ptr_array_remove_fast (start->core->starts_waiting, start);
  enqueue (start); /* the final checks word the refusal */
}

void ch_order_starts_snapshot (ChDevice *device, const ChPort *port)
{
  GPtrArray *waiting = device->core->starts_waiting;
  for (guint i = 0; i < waiting->len;) {
    Start *start = g_ptr_array_index (waiting, i);
    if (start->device == device && start->request.socket_no == port->socket_no
        && (start->request.port_no == port->port_no || start->request.port_no < 0)) {
      g_ptr_array_remove_index_fast (waiting, i);
      ch_timer_cancel (device->core->self, &start->timer);
      enqueue (start);
    } else
      i++;
  }
}

static void ask_port (Start *start)
{
  const ChProtocolProperties *props = ch_device_props (start->device);
  if (has_snapshot (start) || !props->idle_reports) {
    enqueue (start);
    return;
  }
  if (start->core->starts_waiting->len >= 1000) {
    REFUSE (start, OVERLOADED, NULL, "too many starts wait for their devices");
    return;
  }
  g_ptr_array_add (start->core->starts_waiting, start);
  start->timer = ch_timer_add (start->core->self, (guint64) props->query_wait_s * 1000,
                               snapshot_missing, start);
  ch_order_query_port (start->device, (gint) start->request.socket_no, 2);
}

/* ---- step 2: the order number ---- */

/* The same request again? Then it gets the same order. */
static void answer_existing (Start *start, const ChOrder *order)
{
  const ChOrderData *d = &order->d;
  const ChStartRequest *r = &start->request;
  gboolean same = order->device == start->device && d->port_no == r->port_no
                  && d->charge_mode == r->charge_mode
                  && d->amount_limit_cent == r->amount_cent
                  && (r->socket_no == CH_UNSET || d->socket_no == r->socket_no)
                  && (r->duration_minutes == CH_UNSET
                      || d->target_duration_s == r->duration_minutes * 60)
                  && (r->energy_wh == CH_UNSET || d->target_energy_wh == r->energy_wh);
  if (!same) {
    REFUSE (start, ORDER_NO_CONFLICT, NULL, "order %s exists with other data",
            d->order_no);
    return;
  }
  start->duplicate = TRUE;
  answer_order (start, order);
}

static void looked_up (ChPlugin *self, const ChTxResult *result, const GError *error,
                       gpointer data)
{
  Start *start = data;
  if (error != NULL) {
    refuse_store (start, error);
    return;
  }
  if (ch_tx_result_rows (result, 0) > 0) {
    ChDevice *device
        = ch_device_find (start->core, ch_tx_result_text (result, 0, 0, "phy_id"));
    ChOrder *order = ch_order_new (device != NULL ? device : start->device);
    ch_order_read (order, result, 0, 0);
    answer_existing (start, order);
    ch_order_free (order);
    return;
  }
  start->numbers = g_array_new (FALSE, FALSE, sizeof (guint16));
  for (guint row = 0; row < ch_tx_result_rows (result, 1); row++) {
    guint16 number = (guint16) ch_tx_result_int (result, 1, row, "business_no");
    g_array_append_val (start->numbers, number);
  }
  if (!check_device (start) || !check_place (start))
    return;
  ask_port (start);
}

static void look_up (Start *start)
{
  ChCore *core = start->core;
  gint64 reuse_ms = ch_config_int (core->self, "orders.business_no_reuse_s") * 1000;
  ChTx *tx = ch_tx_new (core->self);
  ch_tx_add (tx, core->self, "orders.by_no");
  ch_tx_bind_text (tx, "order_no", start->order_no);
  ch_tx_add (tx, core->self, "orders.recent_numbers");
  ch_tx_bind_text (tx, "phy_id", start->device->id);
  ch_tx_bind_time (tx, "since", ch_wall_ms (core->self) - reuse_ms);
  ch_tx_submit (tx, 0, looked_up, start);
}

/* ---- the door
 * --------------------------------------------------------------------------------------
 */

static Start *start_new (ChPlugin *self, const ChStartRequest *request,
                         const ChOrigin *origin, guint wait_ms, ChCoreDone done,
                         gpointer user_data)
{
  Start *start = g_new0 (Start, 1);
  start->core = ch_core_of (self);
  start->caller = self;
  start->request = *request;
  start->order_no = g_strdup (request->order_no);
  start->request.socket_uid = start->socket_uid = g_strdup (request->socket_uid);
  start->request.card_no = start->card_no = g_strdup (request->card_no);
  start->metadata = request->metadata != NULL ? ch_json_dump (request->metadata) : NULL;
  start->request_id = g_strdup (origin != NULL ? origin->request_id : NULL);
  g_strlcpy (start->by, origin != NULL && origin->by != NULL ? origin->by : "api",
             sizeof start->by);
  start->wait_ms = MIN (wait_ms, 10000);
  start->done = done;
  start->user_data = user_data;
  return start;
}

void ch_core_start_charge (ChPlugin *self, const ChStartRequest *request,
                           const ChOrigin *origin, guint wait_ms, ChCoreDone done,
                           gpointer user_data)
{
  Start *start = start_new (self, request, origin, wait_ms, done, user_data);
  ChCore *core = start->core;
  const char *problem = invalid (core, request);

  if (problem == NULL && start->metadata != NULL && strlen (start->metadata) > 1024)
    problem = "metadata is longer than 1 KiB";
  if (problem != NULL) {
    REFUSE (start, INVALID_PARAMETER, NULL, "%s", problem);
    return;
  }
  if (core->services->draining || core->services->overload >= 3) {
    REFUSE (start, STARTING_OR_DRAINING, NULL, "not taking new charges now");
    return;
  }
  start->device = ch_device_find (core, request->device);
  if (start->device == NULL) {
    REFUSE (start, DEVICE_NOT_FOUND, NULL, "no such device");
    return;
  }
  start->request.device = start->device->id;
  start->request.metadata = NULL; /* kept as text */
  if (start->order_no != NULL) {
    ChOrder *order = ch_orders_find (core->orders, start->order_no);
    if (order != NULL)
      answer_existing (start, order);
    else
      look_up (start);
    return;
  }
  if (!check_device (start) || !check_place (start))
    return;
  char ulid[CH_ULID_SIZE];
  start->order_no = g_strdup_printf ("CH%s", ch_ulid (core->self, ulid));
  if (ch_device_props (start->device)->order_key == CH_ORDER_KEY_CORE)
    look_up (start);
  else
    ask_port (start);
}
