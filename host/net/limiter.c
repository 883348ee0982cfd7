/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/limiter.h"

#include <math.h>

/* Addresses that are remembered at once; beyond it idle ones are forgotten. */
#define ADDRESSES_MAX 65536

static void refill (ChBucket *bucket, gint64 now_us)
{
  if (now_us <= bucket->at_us)
    return;
  double seconds = (double) (now_us - bucket->at_us) / 1e6;
  bucket->tokens = MIN (bucket->size, bucket->tokens + seconds * bucket->rate);
  bucket->at_us = now_us;
}

void ch_bucket_init (ChBucket *bucket, double rate, double size, gint64 now_us)
{
  bucket->rate = rate;
  bucket->size = size;
  bucket->tokens = size;
  bucket->at_us = now_us;
}

void ch_bucket_set (ChBucket *bucket, double rate, double size, gint64 now_us)
{
  refill (bucket, now_us);
  bucket->rate = rate;
  bucket->size = size;
  bucket->tokens = MIN (bucket->tokens, size);
}

gboolean ch_bucket_take (ChBucket *bucket, double tokens, gint64 now_us)
{
  refill (bucket, now_us);
  /* A refill of many small steps may end a little below the whole number. */
  if (bucket->tokens < tokens - 1e-9)
    return FALSE;
  bucket->tokens -= tokens;
  return TRUE;
}

gint64 ch_bucket_wait_us (ChBucket *bucket, double tokens, gint64 now_us)
{
  refill (bucket, now_us);
  double missing = tokens - bucket->tokens;
  if (missing <= 1e-9)
    return 0;
  if (bucket->rate <= 0)
    return G_MAXINT64;
  return (gint64) ceil (missing / bucket->rate * 1e6);
}

typedef struct {
  ChBucket bucket;
  guint connections;
} Address;

struct _ChAddressLimits {
  GHashTable *addresses; /* text → Address */
  guint rate;
  guint max_connections;
};

ChAddressLimits *ch_address_limits_new (void)
{
  ChAddressLimits *limits = g_new0 (ChAddressLimits, 1);
  limits->addresses = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return limits;
}

void ch_address_limits_free (ChAddressLimits *limits)
{
  if (limits == NULL)
    return;
  g_hash_table_unref (limits->addresses);
  g_free (limits);
}

void ch_address_limits_set (ChAddressLimits *limits, guint rate, guint max_connections)
{
  GHashTableIter iter;
  gpointer value;

  limits->rate = rate;
  limits->max_connections = max_connections;
  g_hash_table_iter_init (&iter, limits->addresses);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    Address *address = value;
    address->bucket.rate = rate;
    address->bucket.size = 2.0 * rate;
  }
}

static gboolean is_idle (gpointer key, gpointer value, gpointer data)
{
  Address *address = value;
  const gint64 *now_us = data;
  refill (&address->bucket, *now_us);
  return address->connections == 0 && address->bucket.tokens >= address->bucket.size;
}

ChAddressVerdict ch_address_limits_enter (ChAddressLimits *limits, const char *text,
                                          gint64 now_us)
{
  if (limits->rate == 0 && limits->max_connections == 0)
    return CH_ADDRESS_OK;

  Address *address = g_hash_table_lookup (limits->addresses, text);
  if (address == NULL) {
    if (g_hash_table_size (limits->addresses) >= ADDRESSES_MAX
        && g_hash_table_foreach_remove (limits->addresses, is_idle, &now_us) == 0)
      return CH_ADDRESS_RATE;
    address = g_new0 (Address, 1);
    ch_bucket_init (&address->bucket, limits->rate, 2.0 * limits->rate, now_us);
    g_hash_table_insert (limits->addresses, g_strdup (text), address);
  }
  if (limits->rate > 0 && !ch_bucket_take (&address->bucket, 1, now_us))
    return CH_ADDRESS_RATE;
  if (limits->max_connections > 0 && address->connections >= limits->max_connections)
    return CH_ADDRESS_CONNS;
  address->connections++;
  return CH_ADDRESS_OK;
}

void ch_address_limits_leave (ChAddressLimits *limits, const char *text)
{
  Address *address = g_hash_table_lookup (limits->addresses, text);
  if (address == NULL)
    return;
  if (address->connections > 0)
    address->connections--;
  if (address->connections == 0 && limits->rate == 0)
    g_hash_table_remove (limits->addresses, text);
}
