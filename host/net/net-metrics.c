/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Metrics of gateway 9 that belong to the gateway. Counters are plain integers where they
 * are counted and become series when somebody scrapes.
 */
#include "net/gateway-private.h"

#include <chargehost/metrics.h>

typedef struct _ProtocolSeries {
  ChSeries *frames_in, *frames_out, *bytes_out, *queue_full, *read_paused, *checksum;
  ChSeries *identify, *handle_frame, *handle_command;
} ProtocolSeries;

struct _NetMetrics {
  ChMetric *active, *max, *rejected, *closed, *unidentified, *bytes_sent, *frames;
  ChMetric *queue_full, *read_paused, *bad_frames, *checksum, *identify, *handle;
  ChSeries *accepted, *bytes_received, *stale, *breaker_state, *breaker_trips;
  ChSeries *rejected_by[REJECT_N], *closed_by[CH_CLOSE_N];
  ChSeries *unidentified_by[UNIDENTIFIED_N];
};

static const char *const REJECT_NAMES[REJECT_N] = {
    [REJECT_RATE] = "rate",
    [REJECT_ADDRESS_RATE] = "address_rate",
    [REJECT_ADDRESS_CONNS] = "address_conns",
    [REJECT_MAX_CONNECTIONS] = "max_connections",
    [REJECT_BREAKER] = "breaker",
    [REJECT_OVERLOAD] = "overload",
    [REJECT_BANNED] = "banned",
    [REJECT_DRAINING] = "draining",
    [REJECT_FD_LIMIT] = "fd_limit",
};

static const char *const UNIDENTIFIED_NAMES[UNIDENTIFIED_N] = {
    [UNIDENTIFIED_NO_MATCH] = "no_match",
    [UNIDENTIFIED_FOREIGN] = "foreign",
    [UNIDENTIFIED_TOO_LONG] = "too_long",
    [UNIDENTIFIED_TIMEOUT] = "timeout",
};

#define LABELS(...) ((const char *const[]) {__VA_ARGS__, NULL})

static ChMetric *counter (ChPlugin *self, const char *name, const char *help,
                          const char *const *labels)
{
  return ch_metric_register (self, CH_METRIC_COUNTER, name, help, labels);
}

static void set (ChSeries *series, guint64 value)
{
  ch_series_set (series, (double) value);
}

static void collect_protocol (const Protocol *protocol)
{
  const ProtocolSeries *series = protocol->series;
  set (series->frames_in, protocol->frames_in);
  set (series->frames_out, protocol->frames_out);
  set (series->bytes_out, protocol->bytes_out);
  set (series->queue_full, protocol->queue_full);
  set (series->read_paused, protocol->read_paused);
  set (series->checksum, protocol->checksum_errors);
}

static void collect (ChPlugin *self, gpointer user_data)
{
  ChGateway *gateway = user_data;
  NetMetrics *m = gateway->metrics;

  set (m->accepted, gateway->accepted);
  set (m->bytes_received, gateway->rx_bytes);
  set (m->stale, gateway->stale);
  ch_series_set (m->breaker_state, gateway->breaker.state);
  set (m->breaker_trips, gateway->breaker.trips);
  for (guint i = 0; i < REJECT_N; i++)
    set (m->rejected_by[i], gateway->rejected[i]);
  for (guint i = 0; i < CH_CLOSE_N; i++)
    set (m->closed_by[i], gateway->closed[i]);
  for (guint i = 0; i < UNIDENTIFIED_N; i++)
    set (m->unidentified_by[i], gateway->unidentified[i]);
  for (guint i = 0; i < gateway->listeners->len; i++) {
    const Listener *listener = g_ptr_array_index (gateway->listeners, i);
    set (ch_metric_with (m->active, listener->address, NULL), listener->active);
    set (ch_metric_with (m->max, listener->address, NULL), gateway->max);
  }
  for (guint i = 0; i < gateway->protocols->len; i++)
    collect_protocol (g_ptr_array_index (gateway->protocols, i));
}

static void register_families (NetMetrics *m, ChPlugin *self)
{
  m->active
      = ch_metric_register (self, CH_METRIC_GAUGE, "chargehost_tcp_connections_active",
                            "Connections of devices.", LABELS ("listener"));
  m->max = ch_metric_register (self, CH_METRIC_GAUGE, "chargehost_tcp_connections_max",
                               "Connections that are allowed, of all listeners together.",
                               LABELS ("listener"));
  m->rejected
      = counter (self, "chargehost_tcp_rejected_total",
                 "Connections refused, and pauses of accepting.", LABELS ("reason"));
  m->closed = counter (self, "chargehost_tcp_closed_total", "Connections closed.",
                       LABELS ("reason"));
  m->unidentified
      = counter (self, "chargehost_tcp_unidentified_total",
                 "Connections whose protocol is not known.", LABELS ("reason"));
  m->bytes_sent
      = counter (self, "chargehost_tcp_bytes_sent_total", "Bytes handed to the kernel.",
                 LABELS ("protocol", "direction"));
  m->frames = counter (self, "chargehost_tcp_frames_total", "Whole frames.",
                       LABELS ("protocol", "direction"));
  m->queue_full
      = counter (self, "chargehost_tcp_write_queue_full_total",
                 "Frames refused because the write queue was full.", LABELS ("protocol"));
  m->read_paused = counter (self, "chargehost_tcp_read_paused_total",
                            "Pauses of reading.", LABELS ("protocol"));
  m->bad_frames = counter (self, "chargehost_tcp_bad_frames_total", "Bad frames.",
                           LABELS ("protocol", "error"));
  m->checksum = counter (self, "protocol_checksum_error_total",
                         "Frames with a wrong checksum.", LABELS ("protocol"));
  m->identify
      = ch_metric_register (self, CH_METRIC_HISTOGRAM, "chargehost_identify_seconds",
                            "From accept to a known protocol.", LABELS ("protocol"));
  m->handle
      = ch_metric_register (self, CH_METRIC_HISTOGRAM, "chargehost_frame_handle_seconds",
                            "Time in the protocol per frame (one of 64 is measured) "
                            "and per command.",
                            LABELS ("protocol", "kind"));
}

static void make_series (NetMetrics *m, ChPlugin *self)
{
  m->accepted = ch_metric_with (
      counter (self, "tcp_accept_total", "Connections accepted.", NULL), NULL);
  m->bytes_received = ch_metric_with (
      counter (self, "tcp_bytes_received_total", "Bytes received of devices.", NULL),
      NULL);
  m->stale = ch_metric_with (counter (self, "chargehost_tcp_stale_total",
                                      "Uses of connections that were gone.", NULL),
                             NULL);
  m->breaker_state = ch_metric_with (
      ch_metric_register (self, CH_METRIC_GAUGE, "chargehost_tcp_breaker_state",
                          "0 closed, 1 half-open, 2 open.", LABELS ("breaker")),
      "accept", NULL);
  m->breaker_trips
      = ch_metric_with (counter (self, "chargehost_tcp_breaker_trips_total",
                                 "How often the breaker opened.", LABELS ("breaker")),
                        "accept", NULL);
  for (guint i = 0; i < REJECT_N; i++)
    m->rejected_by[i] = ch_metric_with (m->rejected, REJECT_NAMES[i], NULL);
  for (guint i = 0; i < CH_CLOSE_N; i++)
    m->closed_by[i]
        = ch_metric_with (m->closed, ch_close_reason_name ((ChCloseReason) i), NULL);
  for (guint i = 0; i < UNIDENTIFIED_N; i++)
    m->unidentified_by[i] = ch_metric_with (m->unidentified, UNIDENTIFIED_NAMES[i], NULL);
}

void net_metrics_open (ChGateway *gateway)
{
  if (gateway->services->metrics == NULL)
    return;
  gateway->metrics = g_new0 (NetMetrics, 1);
  register_families (gateway->metrics, gateway->self);
  make_series (gateway->metrics, gateway->self);
  ch_metrics_add_collector (gateway->self, collect, gateway);
}

void net_metrics_close (ChGateway *gateway)
{
  g_clear_pointer (&gateway->metrics, g_free);
}

/* A protocol that starts again goes on counting where its last life ended. */
static void inherit (ChGateway *gateway, Protocol *protocol)
{
  for (guint i = gateway->gone->len; i-- > 0;) {
    const Protocol *old = g_ptr_array_index (gateway->gone, i);
    if (!g_str_equal (old->table->name, protocol->table->name))
      continue;
    protocol->frames_in = old->frames_in;
    protocol->frames_out = old->frames_out;
    protocol->bytes_out = old->bytes_out;
    protocol->queue_full = old->queue_full;
    protocol->read_paused = old->read_paused;
    protocol->checksum_errors = old->checksum_errors;
    return;
  }
}

void net_metrics_protocol (Protocol *protocol)
{
  NetMetrics *m = protocol->gateway->metrics;
  const char *name = protocol->table->name;

  if (m == NULL)
    return;
  ProtocolSeries *series = protocol->series = g_new0 (ProtocolSeries, 1);
  inherit (protocol->gateway, protocol);
  series->frames_in = ch_metric_with (m->frames, name, "in", NULL);
  series->frames_out = ch_metric_with (m->frames, name, "out", NULL);
  series->bytes_out = ch_metric_with (m->bytes_sent, name, "out", NULL);
  series->queue_full = ch_metric_with (m->queue_full, name, NULL);
  series->read_paused = ch_metric_with (m->read_paused, name, NULL);
  series->checksum = ch_metric_with (m->checksum, name, NULL);
  series->identify = ch_metric_with (m->identify, name, NULL);
  series->handle_frame = ch_metric_with (m->handle, name, "frame", NULL);
  series->handle_command = ch_metric_with (m->handle, name, "command", NULL);
}

void net_metrics_identified (Protocol *protocol, gint64 us)
{
  if (protocol->series != NULL)
    ch_series_observe (protocol->series->identify, (double) us / 1e6);
}

void net_metrics_handled (Protocol *protocol, gboolean command, gint64 us)
{
  const ProtocolSeries *series = protocol->series;
  if (series != NULL)
    ch_series_observe (command ? series->handle_command : series->handle_frame,
                       (double) us / 1e6);
}

void net_metrics_bad_frame (Protocol *protocol, const char *error)
{
  NetMetrics *m = protocol->gateway->metrics;
  if (m != NULL)
    ch_series_inc (ch_metric_with (m->bad_frames, protocol->table->name, error, NULL));
}
