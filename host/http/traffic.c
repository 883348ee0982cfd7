/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Metrics of requests. A route keeps its series, so that counting costs an addition. */
#include "http/http-private.h"

#include <string.h>

#define STATUSES 16

struct _ChHttpTraffic {
  ChMetric *seconds;
  ChMetric *requests, *duration, *errors, *limited, *auth_failed;
  ChMetric *dropped;
};

/* Series of one route, found by status. */
typedef struct {
  guint n;
  struct {
    guint status;
    ChSeries *seconds, *requests;
  } by_status[STATUSES];
  ChSeries *duration;
} Counters;

void ch_http_traffic_init (ChHttp *http)
{
  ChHttpTraffic *t = http->traffic = g_new0 (ChHttpTraffic, 1);
  ChPlugin *self = http->self;
  t->seconds
      = ch_metric_register (self, CH_METRIC_HISTOGRAM, "chargehost_http_request_seconds",
                            "Time from the whole request to the whole answer.",
                            (const char *const[]) {"method", "route", "status", NULL});
  t->requests
      = ch_metric_register (self, CH_METRIC_COUNTER, "thirdparty_api_requests_total",
                            "Requests of third parties.",
                            (const char *const[]) {"endpoint", "method", "status", NULL});
  t->duration = ch_metric_register (
      self, CH_METRIC_HISTOGRAM, "thirdparty_api_duration_seconds",
      "Time of third parties' requests.", (const char *const[]) {"endpoint", NULL});
  t->errors = ch_metric_register (self, CH_METRIC_COUNTER, "thirdparty_api_error_total",
                                  "Third parties' requests that were answered an error.",
                                  (const char *const[]) {"endpoint", "error_type", NULL});
  t->limited = ch_metric_register (self, CH_METRIC_COUNTER,
                                   "thirdparty_api_rate_limit_hit_total",
                                   "Requests refused for their number.",
                                   (const char *const[]) {"endpoint", "key_id", NULL});
  t->auth_failed
      = ch_metric_register (self, CH_METRIC_COUNTER, "thirdparty_api_auth_failure_total",
                            "Requests that failed to authenticate.",
                            (const char *const[]) {"endpoint", "failure_type", NULL});
  t->dropped
      = ch_metric_register (self, CH_METRIC_COUNTER, "chargehost_http_dropped_total",
                            "Connections that were turned away or cut.",
                            (const char *const[]) {"reason", NULL});
}

static const char *endpoint (const ChRequest *request)
{
  return request->route != NULL ? request->route->table.path : "none";
}

static guint find_status (ChRequest *request, Counters *counters)
{
  guint i;
  for (i = 0; i < counters->n; i++)
    if (counters->by_status[i].status == request->status)
      return i;
  if (i == STATUSES)
    return STATUSES - 1;
  ChHttpTraffic *t = request->http->traffic;
  const ChRoute *route = &request->route->table;
  char status[12];
  g_snprintf (status, sizeof status, "%u", request->status);
  counters->by_status[i].status = request->status;
  counters->by_status[i].seconds
      = ch_metric_with (t->seconds, route->method, route->path, status, NULL);
  if (route->auth == CH_AUTH_THIRD)
    counters->by_status[i].requests
        = ch_metric_with (t->requests, route->path, route->method, status, NULL);
  counters->n++;
  return i;
}

static Counters *counters_of (ChRequest *request)
{
  ChHttpRoute *route = request->route;
  if (route->counters == NULL) {
    Counters *counters = g_new0 (Counters, 1);
    if (route->table.auth == CH_AUTH_THIRD)
      counters->duration
          = ch_metric_with (request->http->traffic->duration, route->table.path, NULL);
    route->counters = counters;
    route->free_counters = g_free;
  }
  return route->counters;
}

void ch_http_traffic_answered (ChRequest *request)
{
  ChHttp *http = request->http;
  double took = request->started_us == 0
                    ? 0
                    : (double) (ch_clock_monotonic_us (http->services->clock)
                                - request->started_us)
                          / G_USEC_PER_SEC;
  if (request->route == NULL) {
    char status[12];
    g_snprintf (status, sizeof status, "%u", request->status);
    ch_series_observe (
        ch_metric_with (http->traffic->seconds, "other", "none", status, NULL), took);
    return;
  }
  Counters *counters = counters_of (request);
  guint i = find_status (request, counters);
  ch_series_observe (counters->by_status[i].seconds, took);
  if (counters->duration == NULL)
    return;
  ch_series_inc (counters->by_status[i].requests);
  ch_series_observe (counters->duration, took);
  if (request->code != 0)
    ch_series_inc (ch_metric_with (http->traffic->errors, endpoint (request),
                                   ch_http_error_name (request->code), NULL));
}

void ch_http_traffic_auth_failed (ChRequest *request, const char *type)
{
  ch_series_inc (ch_metric_with (request->http->traffic->auth_failed, endpoint (request),
                                 type, NULL));
}

void ch_http_traffic_limited (ChRequest *request)
{
  ch_series_inc (ch_metric_with (request->http->traffic->limited, endpoint (request),
                                 ch_request_key_id (request), NULL));
}

void ch_http_traffic_dropped (ChHttp *http, const char *reason)
{
  ch_series_inc (ch_metric_with (http->traffic->dropped, reason, NULL));
}
