/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Timers of plugins: handles over the wheel, owned by a ChPlugin. */
#include "net/reactor-private.h"

#include <chargehost/clock.h>

struct _PluginTimer {
  ChResource resource;
  ChWheelTimer wheel;
  ChReactor *reactor;
  ChTimerFunc func;
  gpointer user_data;
  PluginTimer *vacant; /* next free one */
  guint32 slot, generation;
};

static void release (PluginTimer *timer)
{
  timer->generation++;
  timer->func = NULL;
  timer->vacant = timer->reactor->vacant_timers;
  timer->reactor->vacant_timers = timer;
}

static void revoke_timer (ChResource *resource)
{
  PluginTimer *timer = (PluginTimer *) resource;
  ch_wheel_cancel (timer->reactor, &timer->wheel);
  release (timer);
}

static const ChResourceKind TIMER_KIND = {"timers", revoke_timer};

static void timer_due (ChWheelTimer *wheel)
{
  PluginTimer *timer
      = (PluginTimer *) ((char *) wheel - G_STRUCT_OFFSET (PluginTimer, wheel));
  ChPlugin *self = timer->resource.owner;
  ChTimerFunc func = timer->func;
  gpointer user_data = timer->user_data;
  ChRunnerFrame frame;

  ch_owner_unlink (&timer->resource);
  release (timer);
  if (ch_runner_enter (self, "timer", &frame)) {
    func (self, user_data);
    ch_runner_leave (&frame);
  }
}

static PluginTimer *take_timer (ChReactor *reactor)
{
  PluginTimer *timer = reactor->vacant_timers;
  if (timer != NULL) {
    reactor->vacant_timers = timer->vacant;
    return timer;
  }
  timer = g_new0 (PluginTimer, 1);
  timer->reactor = reactor;
  timer->slot = reactor->timers->len;
  timer->generation = 1;
  timer->wheel.func = timer_due;
  g_ptr_array_add (reactor->timers, timer);
  return timer;
}

ChTimer ch_timer_add (ChPlugin *self, guint64 delay_ms, ChTimerFunc func,
                      gpointer user_data)
{
  ChReactor *reactor = self->services->reactor;
  g_return_val_if_fail (reactor != NULL && func != NULL, 0);

  PluginTimer *timer = take_timer (reactor);
  timer->func = func;
  timer->user_data = user_data;
  ch_owner_link (self, &timer->resource, &TIMER_KIND);
  ch_wheel_arm (reactor, &timer->wheel, delay_ms);
  return (guint64) timer->generation << 32 | timer->slot;
}

void ch_timer_cancel (ChPlugin *self, ChTimer *handle)
{
  ChReactor *reactor = self->services->reactor;
  guint32 slot = (guint32) *handle, generation = (guint32) (*handle >> 32);

  *handle = 0;
  if (reactor == NULL || generation == 0 || slot >= reactor->timers->len)
    return;
  PluginTimer *timer = g_ptr_array_index (reactor->timers, slot);
  if (timer->generation != generation || timer->resource.owner != self)
    return;
  ch_owner_unlink (&timer->resource);
  revoke_timer (&timer->resource);
}

void timers_close (ChReactor *reactor)
{
  for (guint i = 0; i < reactor->timers->len; i++) {
    PluginTimer *timer = g_ptr_array_index (reactor->timers, i);
    ch_owner_unlink (&timer->resource);
  }
}
