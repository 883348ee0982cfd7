/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The orderly stop (gateway 2.15): steps that share one budget, in the order of the
 * table. */
#include "base/config-private.h"
#include "core/core.h"
#include "daemon/daemon.h"
#include "http/http.h"
#include "kv/kv.h"
#include "net/gateway.h"

#include <unistd.h>

#define POLL_MS 20

typedef enum {
  STEP_LB_GRACE = 0,
  STEP_LISTENERS,
  STEP_HTTP,
  STEP_COMMANDS,
  STEP_WRITE_QUEUES,
  STEP_CONNECTIONS,
  STEP_FACTS,
  STEP_FLUSH,
  STEP_END,
} Step;

/* Longest time of each step. */
static const gint64 LIMIT_MS[] = {5000, 0, 5000, 8000, 3000, 5000, 5000, 2000, 0};
static const char *const NAMES[]
    = {"balancer",    "listeners", "http",  "commands", "write queues",
       "connections", "orders",    "flush", "end"};

static void go_on (ChPlugin *self, gpointer data);

static void drained (gpointer data)
{
  ChDaemon *daemon = data;
  daemon->stop_waits = FALSE;
}

/* Begins a step; what must wait is asked by is_done(). */
static void begin (ChDaemon *daemon, Step step, gint64 limit_ms)
{
  ChServices *s = &daemon->services;
  ch_debug (daemon->self, "stopping: %s", NAMES[step]);
  switch (step) {
  case STEP_LISTENERS:
    ch_gateway_stop_listening (s->gateway);
    break;
  case STEP_HTTP:
    ch_http_drain (s->http);
    break;
  case STEP_COMMANDS:
    daemon->stop_waits = TRUE;
    ch_core_drain (s->core, (guint) limit_ms, drained, daemon);
    break;
  case STEP_FLUSH:
    ch_core_flush (s->core);
    break;
  default:
    break;
  }
}

static gboolean is_done (ChDaemon *daemon, Step step)
{
  ChServices *s = &daemon->services;
  guint rate = (guint) ch_config_get_int (s->config, "shutdown.evict_rate");
  switch (step) {
  case STEP_LB_GRACE:
    return FALSE; /* its time is all there is */
  case STEP_HTTP:
    return ch_http_active (s->http) == 0;
  case STEP_COMMANDS:
    return !daemon->stop_waits;
  case STEP_WRITE_QUEUES:
    return ch_gateway_pending_bytes (s->gateway) == 0;
  case STEP_CONNECTIONS:
    return ch_gateway_evict (s->gateway, MAX (rate * POLL_MS / 1000, 1),
                             CH_CLOSE_SHUTDOWN)
           == 0;
  case STEP_FACTS:
    return ch_core_pending (s->core) == 0;
  case STEP_FLUSH: /* what the core wrote last must have left */
    return !ch_kv_up (s->kv) || ch_kv_pending (s->kv) == 0;
  default:
    return TRUE;
  }
}

static gint64 limit_of (ChDaemon *daemon, Step step, gint64 now_ms)
{
  gint64 limit
      = step == STEP_LB_GRACE
            ? ch_config_get_duration_ms (daemon->services.config, "shutdown.lb_grace")
            : LIMIT_MS[step];
  return MAX (MIN (limit, daemon->stop_deadline_ms - now_ms), 0);
}

typedef struct {
  ChDaemon *daemon;
  Step step;
  gint64 until_ms;
} Stopping;

static void go_on (ChPlugin *self, gpointer data)
{
  Stopping *stopping = data;
  ChDaemon *daemon = stopping->daemon;
  gint64 now_ms = ch_now_ms (self);

  while (stopping->step < STEP_END) {
    if (!is_done (daemon, stopping->step) && now_ms < stopping->until_ms) {
      ch_timer_add (self, POLL_MS, go_on, stopping);
      return;
    }
    if (stopping->step != STEP_LB_GRACE && now_ms >= stopping->until_ms
        && !is_done (daemon, stopping->step))
      ch_warning (self, "stopping: %s not finished in time", NAMES[stopping->step]);
    stopping->step++;
    if (stopping->step < STEP_END) {
      gint64 limit_ms = limit_of (daemon, stopping->step, now_ms);
      stopping->until_ms = now_ms + limit_ms;
      begin (daemon, stopping->step, limit_ms);
    }
  }
  g_free (stopping);
  g_main_loop_quit (daemon->loop);
}

void ch_daemon_stop (ChDaemon *daemon)
{
  if (daemon->state == CH_DAEMON_STOPPING) {
    /* Who asks twice wants no more waiting, and taking all down in order waits: for the
     * store's threads, for the bus. Nothing is lost that a crash would not leave whole.
     */
    ch_warning (daemon->self, "asked a second time: stopping at once");
    _exit (0);
  }
  daemon->state = CH_DAEMON_STOPPING;
  daemon->services.draining = TRUE;
  ch_notify ("STOPPING=1");
  ch_notice (daemon->self, "stopping");
  gint64 now_ms = ch_now_ms (daemon->self);
  daemon->stop_deadline_ms
      = now_ms + ch_config_get_duration_ms (daemon->services.config, "shutdown.timeout");
  Stopping *stopping = g_new0 (Stopping, 1);
  stopping->daemon = daemon;
  stopping->until_ms = now_ms + limit_of (daemon, STEP_LB_GRACE, now_ms);
  go_on (daemon->self, stopping);
}

void ch_daemon_fail (ChDaemon *daemon, const char *why)
{
  if (daemon->state != CH_DAEMON_RUNNING)
    return;
  daemon->exit_status = 1;
  ch_notify ("STATUS=%s", why);
  ch_daemon_stop (daemon);
}

void ch_daemon_drain (ChDaemon *daemon, gboolean on)
{
  if (daemon->state != CH_DAEMON_RUNNING || daemon->services.draining == on)
    return;
  daemon->services.draining = on;
  if (on)
    ch_gateway_stop_listening (daemon->services.gateway);
  else {
    g_autoptr (GError) error = NULL;
    if (!ch_gateway_listen (daemon->services.gateway, &error))
      ch_error (daemon->self, "not listening again: %s", error->message);
  }
  ch_notice (daemon->self, on ? "draining: no new devices" : "taking devices again");
}
