/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys and their life. */
#include "memory.h"
#include "blocking.h"
#include "list.h"
#include "pubsub.h"
#include "zset.h"

#include <string.h>
#include <sys/random.h>

#define NEAR 512 /* bytes of a string that lie with its key */

static void fill_random (gpointer bytes, gsize size)
{
  guint8 *at = bytes;
  if (getrandom (bytes, size, 0) == (ssize_t) size)
    return;
  for (gsize i = 0; i < size; i++)
    at[i] = (guint8) g_random_int ();
}

/* xorshift64*: good enough to choose elements, and cheap. */
guint64 mem_random (gpointer data)
{
  Mem *mem = data;
  guint64 x = mem->random_state;

  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  mem->random_state = x;
  return (x * G_GUINT64_CONSTANT (2685821657736338717)) >> 8;
}

Mem *mem_new (ChPlugin *self)
{
  Mem *mem = g_new0 (Mem, 1);
  guint8 id[20];

  mem->self = mem->heap.self = self;
  fill_random (mem->seed, sizeof mem->seed);
  fill_random (&mem->random_state, sizeof mem->random_state);
  mem->random_state |= 1;
  fill_random (id, sizeof id);
  for (guint i = 0; i < sizeof id; i++)
    g_snprintf (mem->run_id + 2 * i, 3, "%02x", id[i]);
  mem->now_ms = mem->started_ms = ch_wall_ms (self);
  mem_dict_init (&mem->keys, &mem->heap, mem->seed);
  mem_commands_init (mem);
  mem->blocking = mem_blocking_new (mem);
  mem->pubsub = mem_pubsub_new (mem);
  return mem;
}

void mem_unref_all (Mem *mem)
{
  mem_blocking_free (mem->blocking);
  mem_expire_stop (mem);
  mem_delete_all (mem);
  mem_pubsub_free (mem->pubsub);
  g_free (mem->commands);
  g_free (mem->command_index);
  g_free (mem->out.bytes);
  g_free (mem);
}

void mem_changed (Mem *mem)
{
  mem->changes++;
}

void mem_value_free (Mem *mem, MemEntry *entry)
{
  switch (entry->type) {
  case MEM_STRING:
    mem_string_free (mem, entry);
    break;
  case MEM_LIST:
    mem_list_free (&mem->heap, entry->list);
    break;
  case MEM_ZSET:
    mem_zset_free (&mem->heap, entry->zset);
    break;
  case MEM_HASH:
    mem_dict_clear (entry->dict, mem_field_free, &mem->heap);
    mem_free (&mem->heap, entry->dict);
    break;
  case MEM_SET:
  default:
    mem_dict_clear (entry->dict, NULL, NULL);
    mem_free (&mem->heap, entry->dict);
    break;
  }
  entry->bytes = NULL;
  entry->size = entry->room = 0;
}

static void value_new (Mem *mem, MemEntry *entry)
{
  switch (entry->type) {
  case MEM_LIST:
    entry->list = mem_list_new (&mem->heap);
    break;
  case MEM_ZSET:
    entry->zset = mem_zset_new (mem);
    break;
  case MEM_HASH:
  case MEM_SET:
    entry->dict = mem_alloc (&mem->heap, sizeof (MemDict));
    mem_dict_init (entry->dict, &mem->heap, mem->seed);
    break;
  case MEM_STRING:
  default:
    break;
  }
}

static void entry_free (gpointer data, MemNode *node)
{
  Mem *mem = data;
  mem_value_free (mem, (MemEntry *) node);
  mem_free (&mem->heap, node);
}

void mem_delete (Mem *mem, MemEntry *entry)
{
  mem_expire_forget (mem, entry);
  mem_dict_unlink (&mem->keys, &entry->node);
  entry_free (mem, &entry->node);
}

static gboolean is_empty (const MemEntry *entry)
{
  switch (entry->type) {
  case MEM_LIST:
    return mem_list_count (entry->list) == 0;
  case MEM_ZSET:
    return mem_zset_count (entry->zset) == 0;
  case MEM_HASH:
  case MEM_SET:
    return mem_dict_count (entry->dict) == 0;
  case MEM_STRING:
  default:
    return FALSE;
  }
}

void mem_delete_if_empty (Mem *mem, MemEntry *entry)
{
  if (is_empty (entry))
    mem_delete (mem, entry);
}

void mem_delete_all (Mem *mem)
{
  mem_expire_reset (mem);
  mem_dict_clear (&mem->keys, entry_free, mem);
}

MemEntry *mem_peek (Mem *mem, MemBytes key)
{
  MemEntry *entry = (MemEntry *) mem_dict_find (&mem->keys, key);

  if (entry == NULL || entry->expire_ms == 0 || entry->expire_ms > mem->now_ms)
    return entry;
  mem_delete (mem, entry);
  mem_changed (mem);
  return NULL;
}

gboolean mem_find (Mem *mem, MemCall *call, MemBytes key, MemType type, MemEntry **entry)
{
  *entry = mem_peek (mem, key);
  if (*entry == NULL || (*entry)->type == type)
    return TRUE;
  mem_out_error (call->out,
                 "WRONGTYPE Operation against a key holding the wrong kind of value");
  return FALSE;
}

MemEntry *mem_create (Mem *mem, MemBytes key, MemType type)
{
  MemEntry *entry = mem_node_new (&mem->heap, sizeof (MemEntry), key);

  entry->type = type;
  value_new (mem, entry);
  mem_dict_insert (&mem->keys, &entry->node);
  return entry;
}

MemEntry *mem_create_string (Mem *mem, MemBytes key, MemBytes value)
{
  MemEntry *entry
      = mem_node_new_with (&mem->heap, sizeof (MemEntry), key, MIN (value.n, NEAR));

  entry->type = MEM_STRING;
  if (value.n <= NEAR) {
    entry->bytes = (char *) entry + sizeof (MemEntry) + key.n;
    entry->room = (guint32) value.n;
  }
  mem_string_set (mem, entry, value);
  mem_dict_insert (&mem->keys, &entry->node);
  return entry;
}

void mem_rename (Mem *mem, MemEntry *from, MemBytes to)
{
  MemEntry *old = mem_peek (mem, to);
  MemEntry *entry;

  if (old == from)
    return;
  if (old != NULL)
    mem_delete (mem, old);
  if (from->type == MEM_STRING && mem_string_is_near (from)) {
    entry = mem_create_string (mem, to, mem_string_value (from));
  } else {
    entry = mem_node_new (&mem->heap, sizeof (MemEntry), to);
    entry->type = from->type;
    entry->size = from->size;
    entry->room = from->room;
    entry->bytes = from->bytes;
    mem_dict_insert (&mem->keys, &entry->node);
    from->type = MEM_STRING; /* its value has gone */
    from->bytes = NULL;
  }
  if (from->expire_ms != 0)
    mem_expire_set (mem, entry, from->expire_ms);
  mem_delete (mem, from);
}
