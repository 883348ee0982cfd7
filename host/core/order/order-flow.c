/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events of orders as jobs, and what the device is told outside of a transition. */
#include "core/order/order-flow.h"
#include "core/outbound/outbound.h"
#include <chargehost/clock.h>
#include <chargehost/log.h>

#include <string.h>

typedef struct {
  ChFact fact;
  char order_no[CH_ORDER_NO_SIZE];
  ChOrderEvent event;
  const char *by, *reason;
} EventJob;

/* Why an order failed, when the event alone says it (gateway 1.5.8). */
static const char *failure_of (ChOrderEvent event)
{
  switch (event) {
  case CH_ORDER_EVENT_REJECTED:
    return "device_rejected";
  case CH_ORDER_EVENT_PENDING_TIMEOUT:
    return "no_ack";
  case CH_ORDER_EVENT_CONFIRMED_TIMEOUT:
    return "start_not_confirmed";
  case CH_ORDER_EVENT_FAULT_WAIT:
  case CH_ORDER_EVENT_DEVICE_FAULT:
    return "port_fault";
  case CH_ORDER_EVENT_RECOVER_TIMEOUT:
    return "port_state_mismatch";
  case CH_ORDER_EVENT_OFFLINE_DEADLINE:
    return "device_offline_timeout";
  case CH_ORDER_EVENT_ABANDONED:
    return "abandoned";
  case CH_ORDER_EVENT_FORCE_FAIL:
  case CH_ORDER_EVENT_FORCE_SETTLE:
    return "admin_forced";
  case CH_ORDER_EVENT_DUPLICATE:
    return "duplicate";
  default:
    return NULL;
  }
}

static ChEndReason reason_of (ChOrderEvent event)
{
  switch (event) {
  case CH_ORDER_EVENT_STOP_WAIT:
  case CH_ORDER_EVENT_STOP_MAX:
    return CH_END_REMOTE_STOP;
  case CH_ORDER_EVENT_FAULT_WAIT:
  case CH_ORDER_EVENT_DEVICE_FAULT:
    return CH_END_FAULT;
  case CH_ORDER_EVENT_OFFLINE_DEADLINE:
    return CH_END_COMM_FAULT;
  default:
    return CH_END_UNKNOWN;
  }
}

void ch_order_prepare_event (ChOrder *order, ChChange *change)
{
  ChOrderData *next = &change->next;
  const char *failure = failure_of (change->event);

  if (failure != NULL && next->status != CH_ORDER_STOPPED)
    g_strlcpy (next->failure_reason, failure, sizeof next->failure_reason);
  if (change->event == CH_ORDER_EVENT_BACK && next->status == CH_ORDER_STOPPING)
    ch_change_add_stop (change, "stop_request"); /* T30: asked for while it was away */
  if (change->event == CH_ORDER_EVENT_STARTED) {
    if (next->start_time == CH_UNSET)
      next->start_time = next->updated_at;
    if (next->ack_at == CH_UNSET)
      next->ack_at = next->updated_at;
  }
  /* C3: an earlier sending may have been executed, and the report be under way. */
  if (change->event == CH_ORDER_EVENT_REJECTED)
    next->provisional = !order->start_refused;
  if (change->event == CH_ORDER_EVENT_NOT_SENT)
    g_strlcpy (next->failure_reason, change->reason, sizeof next->failure_reason);
  if ((change->cell->effects & CH_ORDER_EFFECT_SETTLE)
      && change->event != CH_ORDER_EVENT_END
      && change->event != CH_ORDER_EVENT_END_STOPPED) {
    next->end_reason = reason_of (change->event);
    ch_order_settle (order, next, next->updated_at);
  }
}

static void nothing_more (ChChange *change, const GError *error, gpointer data) {}

gboolean ch_order_apply (ChOrder *order, ChOrderEvent event, const char *by,
                         const char *reason)
{
  ChChange *change = ch_change_begin (order, event, by, reason);
  if (change == NULL)
    return FALSE;
  ch_order_prepare_event (order, change);
  ch_change_commit (change, nothing_more, NULL);
  return TRUE;
}

static gboolean run_event (ChDevice *device, ChFact *fact)
{
  EventJob *job = (EventJob *) fact;
  ChOrder *order = ch_orders_find (device->core->orders, job->order_no);
  if (order == NULL || order->device != device || order->is_journalled)
    return TRUE; /* the journal knows how it goes on */
  return !ch_order_apply (order, job->event, job->by, job->reason);
}

static void free_event (ChFact *fact)
{
  g_free (fact);
}

void ch_order_enqueue (ChOrder *order, ChOrderEvent event, const char *by,
                       const char *reason)
{
  EventJob *job = g_new0 (EventJob, 1);
  job->fact.run = run_event;
  job->fact.free = free_event;
  g_strlcpy (job->order_no, order->d.order_no, sizeof job->order_no);
  job->event = event;
  job->by = by;
  job->reason = reason;
  ch_fact_enqueue (order->device, &job->fact);
}

void ch_order_query_port (ChDevice *device, gint socket_no, guint priority)
{
  char id[CH_COMMAND_ID_SIZE];
  gboolean deduplicated;
  g_autoptr (GError) error = NULL;
  ChOutboundRequest request = {.type = CH_COMMAND_QUERY_PORT_STATUS,
                               .device = device,
                               .socket_no = socket_no,
                               .port_no = -1,
                               .priority = priority};
  if (device->conn != 0
      && !ch_outbound_send (device->core->outbound, &request, id, &deduplicated, &error))
    ch_log (device->core->self, CH_LOG_DEBUG, CH_LOG_FIELDS ("device", device->id),
            "ports not queried: %s", error->message);
}

void ch_order_compensate (ChDevice *device, gint socket_no, gint port_no,
                          const char *order_no, guint16 business_no,
                          const char *wire_order, const char *reason)
{
  char id[CH_COMMAND_ID_SIZE];
  gboolean deduplicated;
  g_autoptr (GError) error = NULL;

  if (g_str_equal (reason, "late_start_compensated"))
    ch_core_alarm (device->core, device->id, socket_no, port_no, reason, CH_ALARM_WARNING,
                   TRUE, "A start took effect after its order had ended", NULL, NULL);
  if (device->props != NULL && !device->props->stops_unreported
      && (wire_order == NULL || *wire_order == '\0'))
    return;
  json_t *payload = json_object ();
  json_object_set_new_nocheck (payload, "reason", json_string (reason));
  ChOutboundRequest request = {.type = CH_COMMAND_STOP_CHARGE,
                               .device = device,
                               .socket_no = socket_no,
                               .port_no = port_no,
                               .order_no = order_no,
                               .business_no = business_no,
                               .wire_order = wire_order,
                               .priority = 1,
                               .payload = payload,
                               .durable = TRUE};
  if (!ch_outbound_send (device->core->outbound, &request, id, &deduplicated, &error))
    ch_log (device->core->self, CH_LOG_WARNING,
            CH_LOG_FIELDS ("device", device->id, "order_no",
                           order_no != NULL ? order_no : ""),
            "compensating stop not queued: %s", error->message);
  json_decref (payload);
}
