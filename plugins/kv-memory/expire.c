/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Expiry. Whoever looks at a key that is over does not see it; in addition a heap knows
 * which is next, and one timer removes them. An entry whose time was put off stays where
 * it is in the heap and sinks when it comes up, so renewing a key's life costs nothing.
 */
#include "memory.h"

#define AT_ONCE 2000 /* keys removed in one go */
#define SOONEST_MS 20
#define LONGEST_MS 60000 /* the wall clock may jump meanwhile */

static void place (MemExpiry *expiry, gsize at, MemDue due)
{
  expiry->items[at] = due;
  due.entry->node.extra = (guint32) at + 1;
}

static void rise (MemExpiry *expiry, gsize at)
{
  MemDue due = expiry->items[at];

  while (at > 0) {
    gsize parent = (at - 1) / 2;
    if (expiry->items[parent].due_ms <= due.due_ms)
      break;
    place (expiry, at, expiry->items[parent]);
    at = parent;
  }
  place (expiry, at, due);
}

static void sink (MemExpiry *expiry, gsize at)
{
  MemDue due = expiry->items[at];

  for (;;) {
    gsize child = 2 * at + 1;
    if (child >= expiry->count)
      break;
    if (child + 1 < expiry->count
        && expiry->items[child + 1].due_ms < expiry->items[child].due_ms)
      child++;
    if (expiry->items[child].due_ms >= due.due_ms)
      break;
    place (expiry, at, expiry->items[child]);
    at = child;
  }
  place (expiry, at, due);
}

static void take_out (MemExpiry *expiry, gsize at)
{
  expiry->items[at].entry->node.extra = 0;
  expiry->count--;
  if (at == expiry->count)
    return;
  place (expiry, at, expiry->items[expiry->count]);
  sink (expiry, at);
  rise (expiry, expiry->items[at].entry->node.extra - 1);
}

static void arm (Mem *mem);

static void timer_fired (ChPlugin *self, gpointer user_data)
{
  Mem *mem = user_data;
  MemExpiry *expiry = &mem->expiry;

  expiry->timer = 0;
  mem->now_ms = ch_wall_ms (mem->self);
  for (guint n = 0; n < AT_ONCE && expiry->count > 0; n++) {
    MemEntry *entry = expiry->items[0].entry;
    if (expiry->items[0].due_ms > mem->now_ms)
      break;
    if (entry->expire_ms == 0) {
      take_out (expiry, 0);
    } else if (entry->expire_ms > mem->now_ms) {
      expiry->items[0].due_ms = entry->expire_ms;
      sink (expiry, 0);
    } else {
      mem_delete (mem, entry);
      mem_changed (mem);
    }
  }
  arm (mem);
}

static void arm (Mem *mem)
{
  MemExpiry *expiry = &mem->expiry;

  if (expiry->count == 0)
    return;
  gint64 due_ms = expiry->items[0].due_ms;
  if (expiry->timer != 0 && expiry->armed_ms <= due_ms)
    return;
  ch_timer_cancel (mem->self, &expiry->timer);
  gint64 delay_ms = CLAMP (due_ms - mem->now_ms, SOONEST_MS, LONGEST_MS);
  expiry->armed_ms = mem->now_ms + delay_ms;
  expiry->timer = ch_timer_add (mem->self, (guint64) delay_ms, timer_fired, mem);
}

void mem_expire_set (Mem *mem, MemEntry *entry, gint64 expire_ms)
{
  MemExpiry *expiry = &mem->expiry;

  /* 0 means never; a time before 1970 is as much over as the first millisecond. */
  entry->expire_ms = expire_ms > 0 ? expire_ms : 1;
  if (entry->node.extra == 0) {
    if (expiry->count == expiry->room) {
      expiry->room = MAX (expiry->room * 2, 64);
      expiry->items
          = mem_realloc (&mem->heap, expiry->items, expiry->room * sizeof (MemDue));
    }
    place (expiry, expiry->count, (MemDue) {entry->expire_ms, entry});
    rise (expiry, expiry->count++);
  } else {
    gsize at = entry->node.extra - 1;
    if (entry->expire_ms >= expiry->items[at].due_ms)
      return;
    expiry->items[at].due_ms = entry->expire_ms;
    rise (expiry, at);
  }
  if (entry->node.extra == 1)
    arm (mem);
}

void mem_expire_clear (MemEntry *entry)
{
  entry->expire_ms = 0;
}

void mem_expire_forget (Mem *mem, MemEntry *entry)
{
  if (entry->node.extra != 0)
    take_out (&mem->expiry, entry->node.extra - 1);
}

void mem_expire_reset (Mem *mem)
{
  mem_free (&mem->heap, mem->expiry.items);
  mem->expiry.items = NULL;
  mem->expiry.count = mem->expiry.room = 0;
}

void mem_expire_stop (Mem *mem)
{
  ch_timer_cancel (mem->self, &mem->expiry.timer);
}
