/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Timers of plugins: handles over the wheel, owned by a ChPlugin. */
#include "net/reactor-private.h"

#include <chargehost/clock.h>
#include <chargehost/slab.h>

/*
 * Exists while it is armed: a fleet that connects at once arms thousands and needs few
 * of them again. Its place stays, for the generation in the handle.
 */
struct _PluginTimer {
  ChResource resource;
  ChWheelTimer wheel;
  ChPlugin *self;
  ChTimerFunc func;
  gpointer user_data;
  guint32 slot;
};

static TimerSlot *slot_at (ChReactor *reactor, guint32 slot)
{
  return &g_array_index (reactor->timers, TimerSlot, slot);
}

static void release (PluginTimer *timer)
{
  ChReactor *reactor = timer->self->services->reactor;
  TimerSlot *slot = slot_at (reactor, timer->slot);

  slot->timer = NULL;
  slot->generation++;
  slot->vacant = reactor->vacant_timer;
  reactor->vacant_timer = timer->slot + 1;
  ch_slab_free (timer->self, timer, sizeof *timer);
}

static void revoke_timer (ChResource *resource)
{
  PluginTimer *timer = (PluginTimer *) resource;
  ch_wheel_cancel (timer->self->services->reactor, &timer->wheel);
  release (timer);
}

static const ChResourceKind TIMER_KIND = {"timers", revoke_timer};

static void timer_due (ChWheelTimer *wheel)
{
  PluginTimer *timer
      = (PluginTimer *) ((char *) wheel - G_STRUCT_OFFSET (PluginTimer, wheel));
  ChPlugin *self = timer->self;
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

static guint32 take_slot (ChReactor *reactor)
{
  guint32 slot = reactor->vacant_timer;
  if (slot != 0) {
    reactor->vacant_timer = slot_at (reactor, slot - 1)->vacant;
    return slot - 1;
  }
  const TimerSlot fresh = {.generation = 1};
  g_array_append_val (reactor->timers, fresh);
  return reactor->timers->len - 1;
}

ChTimer ch_timer_add (ChPlugin *self, guint64 delay_ms, ChTimerFunc func,
                      gpointer user_data)
{
  ChReactor *reactor = self->services->reactor;
  g_return_val_if_fail (reactor != NULL && func != NULL, 0);

  PluginTimer *timer = ch_slab_new0 (self, PluginTimer);
  timer->wheel.func = timer_due;
  timer->self = self;
  timer->func = func;
  timer->user_data = user_data;
  timer->slot = take_slot (reactor);
  TimerSlot *slot = slot_at (reactor, timer->slot);
  slot->timer = timer;
  ch_owner_link (self, &timer->resource, &TIMER_KIND);
  ch_wheel_arm (reactor, &timer->wheel, delay_ms);
  return (guint64) slot->generation << 32 | timer->slot;
}

void ch_timer_cancel (ChPlugin *self, ChTimer *handle)
{
  ChReactor *reactor = self->services->reactor;
  guint32 slot = (guint32) *handle, generation = (guint32) (*handle >> 32);

  *handle = 0;
  if (reactor == NULL || generation == 0 || slot >= reactor->timers->len)
    return;
  PluginTimer *timer = slot_at (reactor, slot)->timer;
  if (timer == NULL || slot_at (reactor, slot)->generation != generation
      || timer->self != self)
    return;
  ch_owner_unlink (&timer->resource);
  revoke_timer (&timer->resource);
}

void timers_close (ChReactor *reactor)
{
  for (guint32 i = 0; i < reactor->timers->len; i++) {
    PluginTimer *timer = slot_at (reactor, i)->timer;
    if (timer == NULL)
      continue;
    ch_owner_unlink (&timer->resource);
    ch_slab_free (timer->self, timer, sizeof *timer);
  }
}
