/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Overload levels (gateway 2.13), the loop's lag, clock jumps, the service manager's
 * watchdog. */
#include "base/clock-private.h"
#include "base/config-private.h"
#include "bus/bus.h"
#include "daemon/daemon.h"
#include "net/gateway.h"
#include "store/store.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EVERY_MS 1000
#define TRIM_TICKS 5                     /* looks for free memory that often … */
#define TRIM_BYTES ((gsize) 1024 * 1024) /* … and gives back so much at least */
#define CALM_MS 10000

typedef struct {
  ChDaemon *daemon;
  ChSeries *lag, *level, *queue, *jumps;
  gint64 offset_ms; /* wall − monotonic */
  gint64 watchdog_ms;
  guint ticks;
  gsize least_free, least_resident; /* since the heap was trimmed */
} Watch;

static gsize resident_bytes (void)
{
  long pages = 0;
  FILE *file = fopen ("/proc/self/statm", "re");
  if (file == NULL)
    return 0;
  if (fscanf (file, "%*s %ld", &pages) != 1)
    pages = 0;
  fclose (file);
  return (gsize) pages * (gsize) sysconf (_SC_PAGESIZE);
}

/* What any figure alone demands. */
static guint level_of (ChDaemon *daemon, double factor)
{
  ChServices *s = &daemon->services;
  gint64 limit_mb = ch_config_get_int (s->config, "limits.memory_mb");
  ChReactorStats turns;
  ChStoreStats store = {0};
  ch_reactor_stats (s->reactor, &turns);
  ch_store_stats (s->store, &store);

  double lag_ms = (double) turns.lag_us / 1000 / factor;
  double queue = ch_bus_length (s->bus) / factor;
  double resident_mb = (double) resident_bytes () / (1024 * 1024);
  double memory = limit_mb > 0 ? resident_mb / (double) limit_mb / factor : 0;
  double age_ms = (double) store.oldest_ms / factor;
  if (lag_ms >= 1000 || queue >= 15000 || memory >= 0.95)
    return 3;
  if (lag_ms >= 250 || queue >= 5000 || memory >= 0.85 || age_ms >= 2000)
    return 2;
  return lag_ms >= 100 || queue >= 1000 || memory >= 0.70 ? 1 : 0;
}

static void set_level (Watch *watch, guint level)
{
  ChDaemon *daemon = watch->daemon;
  guint old = daemon->services.overload;
  if (old == level)
    return;
  daemon->services.overload = level;
  ch_series_set (watch->level, level);
  ch_log (daemon->self, level > old ? CH_LOG_WARNING : CH_LOG_NOTICE, NULL,
          "overload level %u, was %u", level, old);
  if (!ch_topic_is_heard (daemon->overload_topic))
    return;
  ChStateChangedEvent event
      = {.event = {.time_ms = ch_wall_ms (daemon->self), .socket_no = -1, .port_no = -1}};
  g_strlcpy (event.name, "overload", sizeof event.name);
  g_snprintf (event.old_value, sizeof event.old_value, "%u", old);
  g_snprintf (event.new_value, sizeof event.new_value, "%u", level);
  ch_publish (daemon->overload_topic, &event.event);
}

/* Up at once; down when all figures are below half for ten seconds. */
static void judge (Watch *watch)
{
  ChDaemon *daemon = watch->daemon;
  guint now = level_of (daemon, 1), calm = level_of (daemon, 0.5);
  gint64 now_ms = ch_now_ms (daemon->self);

  if (now > daemon->services.overload)
    set_level (watch, now);
  if (calm >= daemon->services.overload)
    daemon->calm_since_ms = now_ms;
  else if (now_ms - daemon->calm_since_ms >= CALM_MS)
    set_level (watch, calm);
  if (daemon->services.overload >= 3)
    ch_gateway_shed (daemon->services.gateway, 0.01);
}

/* CLK-01: a wall clock that jumps moves no timer; it is only counted. */
static void watch_clock (Watch *watch)
{
  ChDaemon *daemon = watch->daemon;
  gint64 offset = ch_wall_ms (daemon->self) - ch_now_ms (daemon->self);
  if (ABS (offset - watch->offset_ms) > 2000) {
    ch_series_inc (watch->jumps);
    ch_warning (daemon->self, "the wall clock jumped by %" G_GINT64_FORMAT " ms",
                offset - watch->offset_ms);
  }
  watch->offset_ms = offset;
}

/*
 * What a burst (a fleet that connects again, a large report) used and freed goes back to
 * the system. What is free stays counted after it went back, hence the least; and what
 * was used again since then shows in the size of the process only.
 */
static void trim (Watch *watch)
{
  gsize free_bytes = mallinfo2 ().fordblks, resident = resident_bytes ();

  if (watch->daemon->services.overload == 0
      && (free_bytes > watch->least_free + TRIM_BYTES
          || resident > watch->least_resident + TRIM_BYTES)) {
    malloc_trim (0);
    watch->least_free = free_bytes;
    watch->least_resident = resident = resident_bytes ();
  }
  watch->least_free = MIN (watch->least_free, free_bytes);
  watch->least_resident = MIN (watch->least_resident, resident);
}

static void tick (ChPlugin *self, gpointer data)
{
  Watch *watch = data;
  judge (watch);
  watch_clock (watch);
  if (++watch->ticks % TRIM_TICKS == 0)
    trim (watch);
  ch_series_set (watch->queue, ch_bus_length (self->services->bus));
  if (watch->watchdog_ms > 0)
    ch_notify ("WATCHDOG=1");
  ch_timer_add (self,
                watch->watchdog_ms > 0 ? (guint64) MIN (EVERY_MS, watch->watchdog_ms / 2)
                                       : EVERY_MS,
                tick, watch);
}

static void turn (gint64 us, gpointer data)
{
  Watch *watch = data;
  ch_series_observe (watch->lag, (double) us / 1e6);
}

static ChSeries *series (ChDaemon *daemon, ChMetricKind kind, const char *name,
                         const char *help)
{
  return ch_metric_with (ch_metric_register (daemon->self, kind, name, help, NULL), NULL);
}

void ch_daemon_watch (ChDaemon *daemon)
{
  Watch *kept = daemon->watch = g_new0 (Watch, 1);
  const char *usec = g_getenv ("WATCHDOG_USEC");
  kept->daemon = daemon;
  kept->lag = series (daemon, CH_METRIC_HISTOGRAM, "chargehost_event_loop_lag_seconds",
                      "Length of a turn of the main loop.");
  kept->level = series (daemon, CH_METRIC_GAUGE, "chargehost_overload_level",
                        "Overload level, 0 to 3.");
  kept->queue = series (daemon, CH_METRIC_GAUGE, "chargehost_bus_queue_length",
                        "Events that wait in the lanes of the bus.");
  kept->jumps = series (daemon, CH_METRIC_COUNTER, "chargehost_clock_jump_total",
                        "Jumps of the wall clock by more than 2 s.");
  kept->offset_ms = ch_wall_ms (daemon->self) - ch_now_ms (daemon->self);
  kept->watchdog_ms = usec != NULL ? g_ascii_strtoll (usec, NULL, 10) / 1000 : 0;
  ch_reactor_set_observer (daemon->services.reactor, turn, kept);
  tick (daemon->self, kept);
}
