/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Making, starting, draining and freeing the command queue; its metrics. */
#include "core/outbound/outbound-private.h"
#include "core/session/session-private.h"
#include <chargehost/clock.h>
#include <chargehost/kv.h>
#include <chargehost/log.h>
#include <chargehost/slab.h>

#define DRAIN_MS_MAX 60000

static void collect (ChPlugin *self, gpointer user_data)
{
  ChOutbound *outbound = user_data;
  char label[2] = "0";

  for (guint p = 1; p <= 5; p++) {
    label[0] = (char) ('0' + p);
    ch_series_set (ch_metric_with (outbound->metrics.pending, label, NULL),
                   (double) outbound->waiting_by_priority[p]);
  }
  ch_series_set (outbound->metrics.inflight, (double) outbound->n_flight);
  ch_series_set (outbound->metrics.dead, (double) outbound->dead_count);
}

static ChMetric *family (ChOutbound *outbound, ChMetricKind kind, const char *name,
                         const char *help, const char *label, const char *label2)
{
  const char *labels[] = {label, label2, NULL};
  return ch_metric_register (outbound->self, kind, name, help,
                             label != NULL ? labels : NULL);
}

static ChSeries *single (ChOutbound *outbound, ChMetricKind kind, const char *name,
                         const char *help)
{
  return ch_metric_with (family (outbound, kind, name, help, NULL, NULL), NULL);
}

static void register_metrics (ChOutbound *o)
{
  o->metrics.total = family (o, CH_METRIC_COUNTER, "chargehost_command_total",
                             "Commands by type and final state.", "type", "state");
  o->metrics.queue_wait
      = family (o, CH_METRIC_HISTOGRAM, "chargehost_command_queue_wait_seconds",
                "From queueing to sending of a command.", "type", NULL);
  o->metrics.ack
      = family (o, CH_METRIC_HISTOGRAM, "chargehost_command_ack_seconds",
                "From sending a command to its acknowledgement.", "type", NULL);
  o->metrics.pending = family (o, CH_METRIC_GAUGE, "chargehost_command_pending",
                               "Commands that wait.", "priority", NULL);
  o->metrics.refused = family (o, CH_METRIC_COUNTER, "chargehost_command_refused_total",
                               "Commands that were not admitted.", "level", NULL);
  o->metrics.late = family (o, CH_METRIC_COUNTER, "chargehost_outbound_late_ack_total",
                            "Answers after the final result.", "type", NULL);
  o->metrics.failure
      = family (o, CH_METRIC_COUNTER, "consistency_queue_failure_total",
                "Calls of the command queue that the kv failed.", "operation", "reason");
  o->metrics.ack_timeout
      = family (o, CH_METRIC_COUNTER, "outbound_ack_timeout_total",
                "Attempts without an answer in time.", "protocol", "type");
  o->metrics.queue_size = family (o, CH_METRIC_GAUGE, "outbound_queue_size",
                                  "Rows of outbound_queue by status.", "status", NULL);
  o->metrics.inflight = single (o, CH_METRIC_GAUGE, "chargehost_command_inflight",
                                "Commands that wait for their acknowledgement.");
  o->metrics.dead = single (o, CH_METRIC_GAUGE, "chargehost_command_dead",
                            "Dead letters of commands.");
  o->metrics.resend
      = single (o, CH_METRIC_COUNTER, "outbound_resend_total", "Repeated sendings.");
  o->metrics.timeout = single (o, CH_METRIC_COUNTER, "outbound_timeout_total",
                               "Attempts without an answer in time.");
  o->metrics.dead_cleanup = single (o, CH_METRIC_COUNTER, "outbound_dead_cleanup_total",
                                    "Dead letters deleted for their age.");
  ChMetric *lag = family (o, CH_METRIC_GAUGE, "chargehost_outbox_lag_seconds",
                          "Age of the oldest entry of an outbox.", "outbox", NULL);
  o->metrics.lag = ch_metric_with (lag, "command", NULL);
  ch_metrics_add_collector (o->self, collect, o);
}

ChOutbound *ch_outbound_new (ChCore *core)
{
  ChOutbound *outbound = g_new0 (ChOutbound, 1);

  outbound->core = core;
  outbound->self = core->self;
  outbound->commands = g_hash_table_new_full (g_str_hash, g_str_equal, NULL,
                                              (GDestroyNotify) ch_out_command_unref);
  outbound->dedup = g_hash_table_new (g_str_hash, g_str_equal);
  outbound->devices = g_hash_table_new (NULL, NULL);
  outbound->calls = g_hash_table_new_full (NULL, NULL, ch_out_call_free, NULL);
  outbound->restored
      = g_ptr_array_new_with_free_func ((GDestroyNotify) ch_out_command_unref);
  g_queue_init (&outbound->finals);
  g_queue_init (&outbound->kicked);
  outbound->run.func = ch_out_run;
  outbound->tick.func = ch_out_tick;
  outbound->flush.func = ch_out_rows_flush_fired;
  register_metrics (outbound);
  return outbound;
}

static void drop_commands (ChOutbound *outbound)
{
  ChReactor *reactor = outbound->core->services->reactor;
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, outbound->commands);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    ChOutCommand *cmd = value;
    ch_wheel_cancel (reactor, &cmd->timer);
    ch_out_drop_waiters (cmd);
  }
  g_hash_table_iter_init (&iter, outbound->devices);
  while (g_hash_table_iter_next (&iter, &value, NULL)) {
    ChOutDevice *od = value;
    ch_wheel_cancel (reactor, &od->ready);
    od->device->outbound = NULL;
    g_ptr_array_unref (od->waiting);
    g_ptr_array_unref (od->others);
    ch_slab_free (outbound->self, od, sizeof *od);
  }
}

void ch_outbound_free (ChOutbound *outbound)
{
  if (outbound == NULL)
    return;
  ChReactor *reactor = outbound->core->services->reactor;
  ch_out_rows_flush (outbound);
  ch_reactor_undefer (reactor, &outbound->run);
  ch_wheel_cancel (reactor, &outbound->tick);
  ch_wheel_cancel (reactor, &outbound->flush);
  ch_wheel_cancel (reactor, &outbound->drain_limit);
  ch_wheel_cancel (reactor, &outbound->drain_soon);
  drop_commands (outbound);
  g_hash_table_unref (outbound->calls);
  g_ptr_array_unref (outbound->restored);
  g_hash_table_unref (outbound->devices);
  g_hash_table_unref (outbound->dedup);
  g_queue_clear (&outbound->finals);
  g_queue_clear (&outbound->kicked);
  g_hash_table_unref (outbound->commands);
  g_free (outbound);
}

void ch_outbound_set_hooks (ChOutbound *outbound, const ChOutboundHooks *hooks)
{
  outbound->hooks = hooks;
}

gboolean ch_outbound_open (ChOutbound *outbound, GError **error)
{
  return ch_out_rows_load (outbound, error);
}

void ch_outbound_start (ChOutbound *outbound)
{
  const char *me = outbound->core->services->server_id;
  GHashTableIter iter;
  gpointer od;

  if (outbound->started)
    return;
  outbound->started = TRUE;
  if (outbound->core->services->kv != NULL) {
    g_autofree char *channel = g_strconcat ("outbound:wake:", me, NULL);
    ch_kv_subscribe (outbound->self, channel, ch_out_woken, outbound);
    ch_outbound_reap (outbound, me);
  }
  ch_out_adopt_restored (outbound);
  g_hash_table_iter_init (&iter, outbound->devices);
  while (g_hash_table_iter_next (&iter, &od, NULL))
    ch_out_kick (od);
  ch_wheel_arm (outbound->core->services->reactor, &outbound->tick, 1000);
}

/* ---- draining ---- */

static void drain_done (ChOutbound *outbound)
{
  void (*done) (gpointer) = outbound->drained;

  ch_wheel_cancel (outbound->core->services->reactor, &outbound->drain_limit);
  ch_wheel_cancel (outbound->core->services->reactor, &outbound->drain_soon);
  ch_out_rows_flush (outbound);
  outbound->drained = NULL;
  if (done != NULL)
    done (outbound->drained_data);
}

static void drain_limit_fired (ChWheelTimer *timer)
{
  ChOutbound *outbound
      = (ChOutbound *) ((char *) timer - G_STRUCT_OFFSET (ChOutbound, drain_limit));

  ch_warning (outbound->self, "%u commands are still without an answer",
              outbound->n_flight);
  drain_done (outbound);
}

void ch_out_check_drained (ChOutbound *outbound)
{
  /* at the end of the turn: what this answer sets off belongs to the drain */
  if (outbound->drained != NULL && outbound->n_flight == 0)
    ch_wheel_arm (outbound->core->services->reactor, &outbound->drain_soon, 1);
}

static void drain_soon_fired (ChWheelTimer *timer)
{
  ChOutbound *outbound
      = (ChOutbound *) ((char *) timer - G_STRUCT_OFFSET (ChOutbound, drain_soon));
  if (outbound->drained != NULL)
    drain_done (outbound);
}

void ch_outbound_drain (ChOutbound *outbound, guint limit_ms, void (*done) (gpointer),
                        gpointer data)
{
  outbound->draining = TRUE;
  outbound->drained = done;
  outbound->drained_data = data;
  outbound->drain_limit.func = drain_limit_fired;
  outbound->drain_soon.func = drain_soon_fired;
  ch_wheel_arm (outbound->core->services->reactor, &outbound->drain_limit,
                MIN (limit_ms, DRAIN_MS_MAX));
  ch_out_check_drained (outbound);
}
