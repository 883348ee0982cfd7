/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sqlite.h"

void sq_queue_push (SqQueue *queue, gpointer item)
{
  if (queue->n == queue->room) {
    guint room = MAX (64, queue->room * 2);
    gpointer *items = g_new (gpointer, room);
    for (guint i = 0; i < queue->n; i++)
      items[i] = queue->items[(queue->first + i) % queue->room];
    g_free (queue->items);
    queue->items = items;
    queue->room = room;
    queue->first = 0;
  }
  queue->items[(queue->first + queue->n++) % queue->room] = item;
}

gpointer sq_queue_pop (SqQueue *queue)
{
  if (queue->n == 0)
    return NULL;
  gpointer item = queue->items[queue->first];
  queue->first = (queue->first + 1) % queue->room;
  queue->n--;
  return item;
}

void sq_queue_clear (SqQueue *queue)
{
  g_clear_pointer (&queue->items, g_free);
  queue->first = queue->n = queue->room = 0;
}
