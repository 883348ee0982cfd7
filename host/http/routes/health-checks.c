/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The checks themselves, every 5 seconds with a time-out of 2. */
#include "http/routes/health.h"

#include "kv/kv.h"
#include "net/gateway.h"
#include "store/store.h"

#define EVERY_MS 5000
#define PING_MS 2000
#define SLOW_US 500000

const char *ch_http_health_name (ChHealthStatus status)
{
  return status == CH_HEALTH_HEALTHY    ? "healthy"
         : status == CH_HEALTH_DEGRADED ? "degraded"
                                        : "unhealthy";
}

/* @details (transfer full) (nullable) */
static void set_check (ChHttpCheck *check, ChHealthStatus status, const char *message,
                       json_t *details)
{
  check->status = status;
  json_decref (check->result);
  check->result = json_object ();
  json_object_set_new (check->result, "status",
                       json_string (ch_http_health_name (status)));
  json_object_set_new (check->result, "message",
                       json_string (message != NULL ? message : "ok"));
  if (check->latency_us >= 0)
    json_object_set_new (check->result, "latency_ms", ch_json_milli (check->latency_us));
  if (details != NULL)
    json_object_set_new (check->result, "details", details);
}

static json_t *percent (gint64 part, gint64 whole)
{
  char text[16];
  g_snprintf (text, sizeof text, "%.1f%%",
              whole > 0 ? (double) part * 100 / (double) whole : 0.0);
  return json_string (text);
}

static gint64 since (gint64 before, gboolean is_down, gint64 now_ms)
{
  return !is_down ? 0 : before > 0 ? before : now_ms;
}

/* ---- database ------------------------------------------------------------------------
 */

static void show_store (ChHttp *http, ChHttpCheck *check)
{
  ChStoreStats stats = {0};
  json_t *details = json_object ();
  g_autofree char *versions = ch_store_versions (http->services->store);

  ch_store_stats (http->services->store, &stats);
  gint64 busy = stats.connections - stats.idle;
  json_object_set_new (details, "total_conns", json_integer (stats.connections));
  json_object_set_new (details, "idle_conns", json_integer (stats.idle));
  json_object_set_new (details, "acquired_conns", json_integer (busy));
  gint64 max = stats.max > 0 ? stats.max : stats.connections;
  json_object_set_new (details, "max_conns", json_integer (max));
  json_object_set_new (details, "queued", json_integer (stats.queued));
  json_object_set_new (details, "utilization", percent (busy, max));
  json_object_set_new (details, "migrations", json_string (versions));
  gboolean is_down = !stats.up || check->failed != NULL;
  http->health->store_down_ms
      = since (http->health->store_down_ms, is_down, ch_now_ms (http->self));
  if (is_down)
    set_check (check, CH_HEALTH_UNHEALTHY,
               check->failed != NULL ? "ping failed" : "no connection", details);
  else if (ch_store_write_failure (http->services->store) != NULL)
    set_check (check, CH_HEALTH_DEGRADED, "writes fail", details);
  else if (check->latency_us > SLOW_US)
    set_check (check, CH_HEALTH_DEGRADED, "slow", details);
  else if (stats.max > 0 && busy >= stats.max)
    set_check (check, CH_HEALTH_UNHEALTHY, "all connections are in use", details);
  else if (max > 1 && busy * 10 > max * 9)
    set_check (check, CH_HEALTH_DEGRADED, "high pool usage", details);
  else
    set_check (check, CH_HEALTH_HEALTHY, NULL, details);
}

static void store_answered (ChPlugin *self, const ChTxResult *result, const GError *error,
                            gpointer data)
{
  ChHttpCheck *check = data;
  check->waits = FALSE;
  check->latency_us = ch_clock_monotonic_us (self->services->clock) - check->asked_us;
  g_clear_pointer (&check->failed, g_free);
  if (error != NULL) {
    check->failed = g_strdup (error->message);
    ch_warning (self, "the database does not answer: %s", error->message);
  }
  show_store (self->services->http, check);
}

static void check_store (ChHttp *http, ChHttpCheck *check)
{
  if (check->waits)
    return;
  check->waits = TRUE;
  check->asked_us = ch_clock_monotonic_us (http->services->clock);
  ChTx *tx = ch_tx_new (http->self);
  ch_tx_add (tx, NULL, "health.ping");
  ch_tx_submit (tx, PING_MS, store_answered, check);
}

/* ---- kv ------------------------------------------------------------------------------
 */

static void kv_answered (ChPlugin *self, const ChKvReply *reply, const GError *error,
                         gpointer data)
{
  ChHttpCheck *check = data;
  ChHttp *http = self->services->http;
  json_t *details = json_object ();
  const char *driver = ch_kv_driver_name (http->services->kv);
  gint64 memory = ch_kv_used_memory (http->services->kv);
  gboolean is_down = error != NULL || !ch_kv_up (http->services->kv);

  check->waits = FALSE;
  check->latency_us = ch_clock_monotonic_us (self->services->clock) - check->asked_us;
  http->health->kv_down_ms = since (http->health->kv_down_ms, is_down, ch_now_ms (self));
  json_object_set_new (details, "driver", json_string (driver != NULL ? driver : "none"));
  if (memory >= 0)
    json_object_set_new (details, "used_memory", json_integer (memory));
  json_object_set_new (details, "pending",
                       json_integer ((json_int_t) ch_kv_pending (http->services->kv)));
  if (is_down)
    set_check (check, CH_HEALTH_UNHEALTHY, "ping failed", details);
  else if (check->latency_us > SLOW_US)
    set_check (check, CH_HEALTH_DEGRADED, "slow", details);
  else
    set_check (check, CH_HEALTH_HEALTHY, NULL, details);
}

static void check_kv (ChHttp *http, ChHttpCheck *check)
{
  if (check->waits)
    return;
  check->waits = TRUE;
  check->asked_us = ch_clock_monotonic_us (http->services->clock);
  ch_kv_commandv (http->self, kv_answered, check, "PING", NULL);
}

/* ---- tcp, loops ----------------------------------------------------------------------
 */

static void check_tcp (ChHttp *http, ChHttpCheck *check)
{
  static const char *const breakers[] = {"closed", "half-open", "open"};
  ChGatewayStats stats;
  json_t *details = json_object ();

  ch_gateway_stats (http->services->gateway, &stats);
  gint breaker = CLAMP (stats.breaker, 0, 2);
  json_object_set_new (details, "active_connections", json_integer (stats.active));
  json_object_set_new (details, "max_connections", json_integer (stats.max));
  json_object_set_new (details, "utilization", percent (stats.active, stats.max));
  json_object_set_new (details, "rejected_total",
                       json_integer ((json_int_t) stats.rejected));
  json_object_set_new (details, "circuit_breaker_state", json_string (breakers[breaker]));
  json_object_set_new (details, "circuit_breaker_failures",
                       json_integer (stats.breaker_failures));
  if (!stats.listening && !http->services->draining && http->services->phase >= 9)
    set_check (check, CH_HEALTH_UNHEALTHY, "not listening", details);
  else if (breaker == 2)
    set_check (check, CH_HEALTH_UNHEALTHY, "circuit breaker open", details);
  else if (stats.active * 100 > stats.max * 95)
    set_check (check, CH_HEALTH_UNHEALTHY, "connections exhausted", details);
  else if (stats.active * 100 > stats.max * 80)
    set_check (check, CH_HEALTH_DEGRADED, "high connection usage", details);
  else if (breaker == 1)
    set_check (check, CH_HEALTH_DEGRADED, "circuit breaker half-open", details);
  else
    set_check (check, CH_HEALTH_HEALTHY, NULL, details);
}

static void check_loops (ChHttp *http, ChHttpCheck *check)
{
  ChReactorStats stats;
  guint level = http->services->overload;
  json_t *details = json_object ();

  ch_reactor_stats (http->services->reactor, &stats);
  json_object_set_new (details, "lag_ms", ch_json_milli (stats.lag_us));
  json_object_set_new (details, "overload_level", json_integer (level));
  set_check (check,
             level >= 3   ? CH_HEALTH_UNHEALTHY
             : level >= 1 ? CH_HEALTH_DEGRADED
                          : CH_HEALTH_HEALTHY,
             level > 0 ? "overload" : NULL, details);
}

/* ---- plugins -------------------------------------------------------------------------
 */

static void check_plugin (ChHttp *http, ChHttpCheck *check)
{
  ChPlugin *owner = check->resource.owner;
  json_t *details = json_object ();
  const char *message = NULL;
  ChHealthStatus status = CH_HEALTH_UNHEALTHY;
  ChRunnerFrame frame;

  if (ch_runner_enter (owner, "health check", &frame)) {
    status = check->func (owner, details, &message);
    ch_runner_leave (&frame);
  }
  set_check (check, MIN (status, CH_HEALTH_UNHEALTHY), message, details);
}

static void check_free (gpointer data)
{
  ChHttpCheck *check = data;
  json_decref (check->result);
  g_free (check->failed);
  g_free (check->name);
  g_free (check);
}

static void revoke_check (ChResource *resource)
{
  ChHttpCheck *check = (ChHttpCheck *) resource;
  g_ptr_array_remove (check->health->checks, check);
}

static const ChResourceKind CHECK_KIND = {"health checks", revoke_check};

static ChHttpCheck *add (ChHttp *http, const char *name,
                         void (*run) (ChHttp *http, ChHttpCheck *check))
{
  ChHttpCheck *check = g_new0 (ChHttpCheck, 1);
  check->health = http->health;
  check->name = g_strdup (name);
  check->run = run;
  check->latency_us = -1;
  g_ptr_array_add (http->health->checks, check);
  return check;
}

void ch_http_add_check (ChPlugin *self, const char *name, ChHealthFunc func)
{
  ChHttp *http = self->services->http;
  if (http == NULL)
    return;
  ChHttpCheck *check = add (http, name, check_plugin);
  check->func = func;
  ch_owner_link (self, &check->resource, &CHECK_KIND);
}

/* ---- all of them ---------------------------------------------------------------------
 */

static void count_online (ChHttp *http)
{
  ChGatewayStats stats = {0};
  if (http->health->count_online != NULL)
    http->health->online_devices = http->health->count_online (http->self);
  else if (http->services->gateway != NULL) {
    ch_gateway_stats (http->services->gateway, &stats);
    http->health->online_devices = stats.active;
  }
}

static void run_all (ChPlugin *self, gpointer data)
{
  ChHttp *http = data;
  for (guint i = 0; i < http->health->checks->len; i++) {
    ChHttpCheck *check = g_ptr_array_index (http->health->checks, i);
    check->run (http, check);
  }
  count_online (http);
  ch_timer_add (self, EVERY_MS, run_all, http);
}

/* Parts that are not there, as in tests, have no check. */
void ch_http_health_init (ChHttp *http)
{
  const ChServices *s = http->services;
  ChHttpHealth *health = http->health;

  if (s->store != NULL)
    add (http, "database", check_store);
  if (s->kv != NULL)
    add (http, "redis", check_kv);
  if (s->gateway != NULL)
    add (http, "tcp", check_tcp);
  add (http, "loops", check_loops);
  health->kv_matters
      = s->kv != NULL && g_strcmp0 (ch_kv_driver_name (s->kv), "redis") == 0;
  run_all (http->self, http);
}

ChHttpHealth *ch_http_health_new (ChHttp *http)
{
  ChHttpHealth *health = g_new0 (ChHttpHealth, 1);
  health->http = http;
  health->started_ms = ch_now_ms (http->self);
  health->checks = g_ptr_array_new_with_free_func (check_free);
  return health;
}

void ch_http_health_free (ChHttpHealth *health)
{
  if (health == NULL)
    return;
  for (guint i = 0; i < health->checks->len; i++) {
    ChHttpCheck *check = g_ptr_array_index (health->checks, i);
    ch_owner_unlink (&check->resource);
  }
  g_ptr_array_unref (health->checks);
  g_free (health);
}
