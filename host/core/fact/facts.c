/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The queue of each device, and the facts that protocols state (gateway 1.7). */
#include "core/fact/facts.h"
#include "core/device/device-store.h"
#include "core/metrics.h"
#include "core/order/order-home.h"
#include "core/order/orders.h"
#include "core/outbound/outbound.h"
#include "core/session/session.h"
#include <chargehost/error.h>
#include <chargehost/id.h>
#include <chargehost/slab.h>

#include <math.h>
#include <string.h>

#define MAX_WAITING 64
#define RESUME_AT 16
#define SEEN_EVENT_MS 30000

/* ---- the queue -------------------------------------------------------------------- */

void ch_facts_resume (ChDevice *device)
{
  ChConn conn = device->facts != NULL ? device->facts->paused : 0;
  if (conn == 0)
    return;
  device->facts->paused = 0;
  ch_gateway_resume (device->core->services->gateway, conn);
}

static ChFactQueue *queue_of (ChDevice *device)
{
  if (device->facts == NULL)
    device->facts = ch_slab_new0 (device->core->self, ChFactQueue);
  return device->facts;
}

static ChFact *take_first (ChDevice *device)
{
  GList *link
      = device->facts != NULL ? g_queue_pop_head_link (&device->facts->jobs) : NULL;
  return link != NULL ? link->data : NULL;
}

static void drop_queue (ChDevice *device)
{
  ch_slab_free (device->core->self, g_steal_pointer (&device->facts),
                sizeof (ChFactQueue));
}

static void run_waiting (ChDevice *device)
{
  ChFact *fact;

  while (!device->fact_running && (fact = take_first (device)) != NULL) {
    device->fact_running = TRUE;
    device->fact_current = fact;
    device->fact_said_ms = 0;
    if (!fact->run (device, fact))
      return;
    device->fact_current = NULL;
    device->fact_running = FALSE;
    fact->free (fact);
  }
  if (device->facts == NULL)
    return;
  if (device->facts->jobs.length <= RESUME_AT)
    ch_facts_resume (device);
  if (device->facts->jobs.length == 0)
    drop_queue (device);
}

void ch_fact_enqueue (ChDevice *device, ChFact *fact)
{
  ChFactQueue *queue = queue_of (device);

  fact->link.data = fact;
  g_queue_push_tail_link (&queue->jobs, &fact->link);
  if (!device->fact_running)
    run_waiting (device);
  else if (queue->paused == 0 && queue->jobs.length >= MAX_WAITING && device->conn != 0) {
    queue->paused = device->conn;
    ch_gateway_pause (device->core->services->gateway, device->conn);
  }
}

void ch_fact_enqueue_first (ChDevice *device, ChFact *fact)
{
  fact->link.data = fact;
  g_queue_push_head_link (&queue_of (device)->jobs, &fact->link);
  if (!device->fact_running)
    run_waiting (device);
}

void ch_fact_finish (ChDevice *device)
{
  ChFact *fact = g_steal_pointer (&device->fact_current);
  g_return_if_fail (device->fact_running);
  device->fact_running = FALSE;
  if (fact != NULL)
    fact->free (fact);
  run_waiting (device);
}

void ch_facts_discard (ChDevice *device)
{
  ChFact *fact = g_steal_pointer (&device->fact_current);

  do {
    if (fact != NULL)
      fact->free (fact);
  } while ((fact = take_first (device)) != NULL);
  drop_queue (device);
}

gint64 ch_fact_said_ms (const ChDevice *device)
{
  return device->fact_said_ms != 0 ? device->fact_said_ms
                                   : ch_wall_ms (device->core->self);
}

void ch_fact_bound_figure (gint64 *value, gint64 most)
{
  *value = *value < 0 ? CH_UNSET : MIN (*value, most); /* CH_UNSET is below 0, too */
}

void ch_fact_bound_number (gint64 *business_no)
{
  if (*business_no < 0 || *business_no > G_MAXUINT16)
    *business_no = CH_UNSET;
}

/* ---- who states it ---- */

ChDevice *ch_fact_speaker (ChPlugin *self, ChConn conn, const char *id)
{
  ChDevice *device = ch_device_find (ch_core_of (self), id);
  return device != NULL && device->conn == conn && conn != 0 ? device : NULL;
}

void ch_device_seen (ChPlugin *self, ChConn conn, const char *id)
{
  ChDevice *device = ch_device_find (ch_core_of (self), id);
  if (device != NULL) /* one that silence had unbound from it is bound again */
    ch_session_touch (device->core->sessions, device, conn);
}

static void refuse (ChCore *core, ChConn conn, const char *id, const char *reason)
{
  ChConnInfo info;
  gboolean known = ch_gateway_conn_info (core->services->gateway, conn, &info);

  ch_log (core->self, CH_LOG_WARNING, CH_LOG_FIELDS ("device", id), "device refused: %s",
          reason);
  if (ch_topic_is_heard (core->topics.device_refused)) {
    ChDeviceRefusedEvent event
        = {.event = {.time_ms = ch_wall_ms (core->self), .socket_no = -1, .port_no = -1}};
    g_strlcpy (event.event.device, id, sizeof event.event.device);
    g_strlcpy (event.address, known ? info.remote : "", sizeof event.address);
    g_strlcpy (event.reason, reason, sizeof event.reason);
    ch_publish (core->topics.device_refused, &event.event);
  }
  if (!known || info.protocol == NULL)
    return;
  const ChProtocolProperties *props
      = ch_gateway_properties (core->services->gateway, info.protocol);
  if (props->refuse_closes == CH_CLOSES_ALWAYS
      || ch_gateway_core_data (core->services->gateway, conn) == NULL)
    ch_conn_close (core->self, conn, CH_CLOSE_REFUSED);
}

static void online_later (ChPlugin *self, ChConn conn, ChFactDone done,
                          gpointer user_data)
{
  if (done != NULL)
    done (self, conn, NULL, user_data);
}

ChOnline ch_device_online (ChPlugin *self, ChConn conn, const char *id, ChFactDone done,
                           gpointer user_data)
{
  ChCore *core = ch_core_of (self);
  ChDevice *device = ch_device_find (core, id);
  const char *reason = NULL;

  if (device != NULL && device->conn == conn && conn != 0) {
    if (device->db_id == 0 && done != NULL) /* its row is not stored yet */
      ch_device_save (device, self, conn, done, user_data);
    else
      online_later (self, conn, done, user_data);
    return CH_ONLINE_OK;
  }
  if (!ch_device_id_is_valid (id))
    reason = "invalid_id";
  else if (device == NULL && !ch_config_bool (core->self, "devices.auto_enrol")) {
    ch_series_inc (core->metrics->device_unknown);
    reason = "unknown";
  } else if (device != NULL && device->enrolment == CH_ENROLMENT_BLOCKED)
    reason = "blocked";
  if (reason != NULL) {
    refuse (core, conn, id != NULL ? id : "", reason);
    return CH_ONLINE_REFUSED;
  }

  gboolean fresh = device == NULL;
  if (fresh)
    device = ch_device_add (core, id);
  if (!ch_session_bind (core->sessions, device, conn, &reason)) {
    if (fresh)
      g_hash_table_remove (core->devices, device->id);
    refuse (core, conn, id, reason);
    return CH_ONLINE_REFUSED;
  }
  ch_device_save (device, self, conn, done, user_data);
  return CH_ONLINE_OK;
}

/* ---- identity and heartbeats ---- */

/* Replaces a text when the device said a new one; bounded. */
static gboolean take_text (ChCore *core, ChDeviceSetText set, char **field,
                           const char *value)
{
  if (value == NULL || *value == '\0' || g_strcmp0 (*field, value) == 0
      || strlen (value) > 255 || !g_utf8_validate (value, -1, NULL))
    return FALSE;
  set (core, field, value);
  return TRUE;
}

void ch_device_registered (ChPlugin *self, ChConn conn, const char *id,
                           const ChRegistered *fact)
{
  ChDevice *device = ch_fact_speaker (self, conn, id);
  if (device == NULL
      || !ch_session_identity (device->core->sessions, device, conn, fact->iccid))
    return;
  ChCore *core = device->core;
  gboolean changed = take_text (core, ch_device_set_text, &device->iccid, fact->iccid);
  changed |= take_text (core, ch_device_set_text, &device->imei, fact->imei);
  changed |= take_text (core, ch_device_share_text, &device->model, fact->model);
  changed
      |= take_text (core, ch_device_share_text, &device->device_type, fact->device_type);
  changed |= take_text (core, ch_device_share_text, &device->firmware, fact->firmware);
  if (fact->port_count != CH_UNSET && fact->port_count > 0 && fact->port_count <= 502
      && device->port_count != (gint16) fact->port_count) {
    device->port_count = (gint16) fact->port_count;
    changed = TRUE;
  }
  if (!changed)
    return;
  ch_device_save (device, NULL, 0, NULL, NULL);
  if (!ch_topic_is_heard (core->topics.device_registered))
    return;

  ChDeviceRegisteredEvent event
      = {.event = {.time_ms = ch_wall_ms (self), .socket_no = -1, .port_no = -1},
         .port_count = device->port_count < 0 ? CH_UNSET : device->port_count};
  g_strlcpy (event.event.device, device->id, sizeof event.event.device);
  g_strlcpy (event.protocol, device->protocol, sizeof event.protocol);
  g_strlcpy (event.iccid, device->iccid ? device->iccid : "", sizeof event.iccid);
  g_strlcpy (event.imei, device->imei ? device->imei : "", sizeof event.imei);
  g_strlcpy (event.model, device->model ? device->model : "", sizeof event.model);
  g_strlcpy (event.device_type, device->device_type ? device->device_type : "",
             sizeof event.device_type);
  g_strlcpy (event.firmware, device->firmware ? device->firmware : "",
             sizeof event.firmware);
  ch_publish (core->topics.device_registered, &event.event);
}

void ch_device_heartbeat (ChPlugin *self, ChConn conn, const char *id,
                          const ChHeartbeat *fact)
{
  ChDevice *device = ch_fact_speaker (self, conn, id);
  if (device == NULL)
    return;
  ChCore *core = device->core;
  gint64 now_ms = ch_now_ms (self);

  if (fact->rssi_dbm != CH_UNSET)
    device->rssi = (gint16) CLAMP (fact->rssi_dbm, -200, 200);
  if (device->seen_event_ms != 0 && now_ms - device->seen_event_ms < SEEN_EVENT_MS)
    return;
  device->seen_event_ms = now_ms;
  if (!ch_topic_is_heard (core->topics.device_seen))
    return;
  ChDeviceSeenEvent event = {
      .event = {.time_ms = ch_wall_ms (self), .socket_no = -1, .port_no = -1},
      .voltage = fact->voltage_mv,
      .rssi = fact->rssi_dbm,
      .temp = fact->temp_dc == CH_UNSET ? CH_UNSET : fact->temp_dc * 100,
  };
  g_strlcpy (event.event.device, device->id, sizeof event.event.device);
  ch_publish (core->topics.device_seen, &event.event);
}

/* ---- ports and progress: in order, but nobody waits for the store ---- */

typedef struct {
  ChFact fact;
  ChPortUpdate update;
  guint64 generation; /* of the session that said it */
  char wire_order[CH_WIRE_ORDER_SIZE];
} PortJob;

/* What was said before a loss says nothing of the port after it (PORT-02, R2). */
static gboolean run_port (ChDevice *device, ChFact *fact)
{
  PortJob *job = (PortJob *) fact;
  if (device->conn != 0 && device->generation == job->generation)
    ch_port_report (device, &job->update);
  return TRUE;
}

static void free_job (ChFact *fact)
{
  g_free (fact);
}

static gboolean nothing_waits (const ChDevice *device)
{
  return !device->fact_running && device->facts == NULL;
}

void ch_port_update (ChPlugin *self, ChConn conn, const char *id,
                     const ChPortUpdate *fact)
{
  ChDevice *device = ch_fact_speaker (self, conn, id);
  if (device == NULL)
    return;
  if (nothing_waits (device)) {
    device->fact_running = TRUE; /* what it causes comes after it */
    ch_port_report (device, fact);
    ch_fact_finish (device);
    return;
  }
  PortJob *job = g_new0 (PortJob, 1);
  job->fact.run = run_port;
  job->generation = device->generation;
  job->fact.free = free_job;
  job->update = *fact;
  if (fact->wire_order != NULL) {
    g_strlcpy (job->wire_order, fact->wire_order, sizeof job->wire_order);
    job->update.wire_order = job->wire_order;
  }
  ch_fact_enqueue (device, &job->fact);
}

typedef struct {
  ChFact fact;
  ChOrderProgress progress;
  char wire_order[CH_WIRE_ORDER_SIZE];
} ProgressJob;

static gboolean run_progress (ChDevice *device, ChFact *fact)
{
  ProgressJob *job = (ProgressJob *) fact;
  if (ch_home_is_elsewhere (device))
    return TRUE;
  ch_orders_progress (device->core->orders, device, &job->progress);
  return TRUE;
}

void ch_order_progress (ChPlugin *self, ChConn conn, const char *id,
                        const ChOrderProgress *fact)
{
  ChDevice *device = ch_fact_speaker (self, conn, id);
  if (device == NULL)
    return;
  ProgressJob *job = g_new0 (ProgressJob, 1);
  job->fact.run = run_progress;
  job->fact.free = free_job;
  job->progress = *fact;
  ch_fact_bound_number (&job->progress.business_no);
  ch_fact_bound_figure (&job->progress.energy_wh, CH_FACT_WH_MAX);
  ch_fact_bound_figure (&job->progress.duration_s, CH_FACT_S_MAX);
  if (fact->wire_order != NULL) {
    g_strlcpy (job->wire_order, fact->wire_order, sizeof job->wire_order);
    job->progress.wire_order = job->wire_order;
  }
  ch_fact_enqueue (device, &job->fact);
}

/* ---- alarms ---- */

void ch_alarm_raised (ChPlugin *self, ChConn conn, const char *id, const ChAlarm *fact)
{
  ch_log (self, fact->level >= CH_ALARM_MAJOR ? CH_LOG_WARNING : CH_LOG_INFO,
          CH_LOG_FIELDS ("device", id), "alarm %s at %d/%d: %s", fact->code,
          fact->socket_no, fact->port_no, fact->message != NULL ? fact->message : "");
  ch_core_alarm (ch_core_of (self), id, fact->socket_no, fact->port_no, fact->code,
                 fact->level, TRUE, fact->title, fact->message, fact->metadata);
}

void ch_alarm_cleared (ChPlugin *self, ChConn conn, const char *id, gint socket_no,
                       gint port_no, const char *code)
{
  ch_core_alarm (ch_core_of (self), id, socket_no, port_no, code, CH_ALARM_INFO, FALSE,
                 NULL, NULL, NULL);
}
