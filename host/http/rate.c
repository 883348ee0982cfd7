/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Limits of requests per key and in all, and of failed authentications per address. */
#include "http/http-private.h"

#include <math.h>

#define FAILURES_PER_MIN 20.0
#define MAX_ADDRESSES 10000
/* Bursts of all keys together, in seconds of the whole rate. */
#define GLOBAL_BURST_S 10

static gint64 now_us (ChHttp *http)
{
  return ch_reactor_now_us (http->services->reactor);
}

/* ---- failures of an address -----------------------------------------------------------
 */

static gboolean is_full (gpointer name, gpointer value, gpointer data)
{
  return ch_bucket_wait_us (value, FAILURES_PER_MIN, *(gint64 *) data) == 0;
}

static void count (ChHttp *http, GHashTable *table, const char *address)
{
  gint64 now = now_us (http);
  ChBucket *bucket = g_hash_table_lookup (table, address);
  if (bucket == NULL) {
    if (g_hash_table_size (table) >= MAX_ADDRESSES)
      g_hash_table_foreach_remove (table, is_full, &now);
    if (g_hash_table_size (table) >= MAX_ADDRESSES)
      g_hash_table_remove_all (table); /* better than growing */
    bucket = g_new0 (ChBucket, 1);
    ch_bucket_init (bucket, FAILURES_PER_MIN / 60, FAILURES_PER_MIN, now);
    g_hash_table_insert (table, g_strdup (address), bucket);
  }
  ch_bucket_take (bucket, 1, now);
}

gboolean ch_http_rate_may_try (ChHttp *http, const char *address, gint64 *wait_us)
{
  ChBucket *bucket = g_hash_table_lookup (http->failures, address);
  *wait_us = bucket != NULL ? ch_bucket_wait_us (bucket, 1, now_us (http)) : 0;
  return *wait_us == 0;
}

void ch_http_rate_failed (ChHttp *http, const char *address)
{
  count (http, http->failures, address);
}

/*
 * libsoup 3.2 leaks the path of a request whose headers it refuses: nobody may send many
 * of them. A proxy that is trusted speaks for others.
 */
void ch_http_rate_malformed (ChHttpConn *conn)
{
  if (!ch_http_networks_have (conn->http->settings.trusted_proxies, conn->address))
    count (conn->http, conn->http->malformed, conn->remote);
}

gboolean ch_http_rate_may_connect (ChHttp *http, GInetAddress *address)
{
  if (g_hash_table_size (http->malformed) == 0)
    return TRUE;
  g_autofree char *text = g_inet_address_to_string (address);
  ChBucket *bucket = g_hash_table_lookup (http->malformed, text);
  return bucket == NULL || ch_bucket_wait_us (bucket, 1, now_us (http)) == 0;
}

/* ---- requests ------------------------------------------------------------------------
 */

static void set_number (ChRequest *request, const char *name, gint64 value)
{
  char text[24];
  g_snprintf (text, sizeof text, "%" G_GINT64_FORMAT, value);
  soup_message_headers_append (soup_server_message_get_response_headers (request->msg),
                               name, text);
}

static gint64 seconds (gint64 us)
{
  return (us + G_USEC_PER_SEC - 1) / G_USEC_PER_SEC;
}

static gboolean refuse (ChRequest *request, ChBucket *bucket, gint64 now)
{
  gint64 wait_s = MAX (seconds (ch_bucket_wait_us (bucket, 1, now)), 1);
  char text[24];
  g_snprintf (text, sizeof text, "%" G_GINT64_FORMAT, wait_s);
  ch_http_header (request, "Retry-After", text);
  ch_http_traffic_limited (request);
  ch_http_answer_error (request, 42902, "too many requests", NULL);
  return FALSE;
}

/* The limits may have changed since the bucket was made. */
static void fit_bucket (ChRequest *request, ChHttpKey *key, gint64 now)
{
  const ChHttpSettings *s = &request->http->settings;
  double rate
      = (key->rate_per_min > 0 ? (double) key->rate_per_min : s->per_key_per_min) / 60;
  double burst = s->burst;
  if (key->rate == rate && key->burst == burst)
    return;
  if (key->burst > 0)
    ch_bucket_set (&key->bucket, rate, burst, now);
  else
    ch_bucket_init (&key->bucket, rate, burst, now);
  key->rate = rate;
  key->burst = burst;
}

static void show_limit (ChRequest *request, ChHttpKey *key, gint64 now)
{
  gint64 left = (gint64) floor (MAX (key->bucket.tokens, 0));
  set_number (request, "RateLimit-Limit", (gint64) key->burst);
  set_number (request, "RateLimit-Remaining", left);
  set_number (request, "RateLimit-Reset",
              seconds (ch_bucket_wait_us (&key->bucket, key->burst, now)));
}

gboolean ch_http_rate_check (ChRequest *request)
{
  ChHttp *http = request->http;
  ChHttpKey *key = request->key;
  const ChRoute *route = &request->route->table;

  if (route->auth == CH_AUTH_NONE || route->flags & CH_ROUTE_NO_LIMIT
      || request->local != NULL)
    return TRUE;
  gint64 now = now_us (http);
  if (key != NULL) {
    fit_bucket (request, key, now);
    if (key->rate > 0) {
      gboolean ok = ch_bucket_take (&key->bucket, 1, now);
      show_limit (request, key, now);
      if (!ok)
        return refuse (request, &key->bucket, now);
    }
  }
  if (http->settings.global_per_min > 0 && !ch_bucket_take (&http->global, 1, now))
    return refuse (request, &http->global, now);
  return TRUE;
}

void ch_http_rate_init (ChHttp *http)
{
  double rate = http->settings.global_per_min / 60;
  if (http->failures == NULL) {
    http->failures = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
    http->malformed = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
    ch_bucket_init (&http->global, rate, rate * GLOBAL_BURST_S, now_us (http));
  } else
    ch_bucket_set (&http->global, rate, rate * GLOBAL_BURST_S, now_us (http));
}

void ch_http_rate_clear (ChHttp *http)
{
  g_clear_pointer (&http->failures, g_hash_table_unref);
  g_clear_pointer (&http->malformed, g_hash_table_unref);
}
