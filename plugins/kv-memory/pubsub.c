/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pubsub.h"
#include "glob.h"

#include <string.h>

struct _MemPubsub {
  Mem *mem;
  GHashTable *channels; /* set of names */
  GHashTable *patterns;
};

MemPubsub *mem_pubsub_new (Mem *mem)
{
  MemPubsub *pubsub = g_new0 (MemPubsub, 1);

  pubsub->mem = mem;
  pubsub->channels = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  pubsub->patterns = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  return pubsub;
}

void mem_pubsub_free (MemPubsub *pubsub)
{
  g_hash_table_unref (pubsub->channels);
  g_hash_table_unref (pubsub->patterns);
  g_free (pubsub);
}

void mem_pubsub_subscribe (MemPubsub *pubsub, const char *channel, gboolean is_pattern)
{
  g_hash_table_add (is_pattern ? pubsub->patterns : pubsub->channels, g_strdup (channel));
}

void mem_pubsub_unsubscribe (MemPubsub *pubsub, const char *channel, gboolean is_pattern)
{
  g_hash_table_remove (is_pattern ? pubsub->patterns : pubsub->channels, channel);
}

static void publish (Mem *mem, MemCall *call)
{
  MemPubsub *pubsub = mem->pubsub;
  MemBytes message = call->argv[2];
  gint64 n = 0;
  GHashTableIter iter;
  gpointer pattern;

  if (g_hash_table_size (pubsub->channels) + g_hash_table_size (pubsub->patterns) == 0) {
    mem_out_integer (call->out, 0);
    return;
  }
  g_autofree char *channel = g_strndup (call->argv[1].p, call->argv[1].n);
  gsize size = strlen (channel);
  if (g_hash_table_contains (pubsub->channels, channel)) {
    ch_kv_deliver (mem->self, NULL, channel, message.p, message.n);
    n++;
  }
  g_hash_table_iter_init (&iter, pubsub->patterns);
  while (g_hash_table_iter_next (&iter, &pattern, NULL)) {
    MemBytes glob = {pattern, strlen (pattern)};
    if (!mem_glob_match (glob, (MemBytes) {channel, size}))
      continue;
    ch_kv_deliver (mem->self, pattern, channel, message.p, message.n);
    n++;
  }
  mem_out_integer (call->out, n);
}

const MemCommand mem_pubsub_commands[] = {{"publish", 3, MEM_WRITE, publish}, {NULL}};
