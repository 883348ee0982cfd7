/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Token buckets. Pure: time is passed in, so the same code serves the accept rate, the
 * frames of a connection and the tests.
 */
#pragma once

#include <glib.h>

/* Real-valued bucket for rates that may change while running; starts full. */
typedef struct {
  double rate; /* tokens per second */
  double size;
  double tokens;
  gint64 at_us; /* when @tokens was right */
} ChBucket;

void ch_bucket_init (ChBucket *bucket, double rate, double size, gint64 now_us);
/* Another rate or size; what is in it stays, cut to the size. */
void ch_bucket_set (ChBucket *bucket, double rate, double size, gint64 now_us);
gboolean ch_bucket_take (ChBucket *bucket, double tokens, gint64 now_us);
/* Microseconds until @tokens exist, 0 when they do. */
gint64 ch_bucket_wait_us (ChBucket *bucket, double tokens, gint64 now_us);

/*
 * The same as a virtual schedule (GCRA) in one integer, for what every connection has:
 * a bucket of @size tokens with one token per @interval_ns is never more than @size
 * intervals ahead of its time. A zeroed state is a full bucket.
 */
typedef struct {
  gint64 interval_ns; /* 0 = no limit */
  gint64 size_ns;
} ChPace;

static inline ChPace ch_pace (double per_s, double size)
{
  ChPace pace = {0, 0};
  if (per_s > 0) {
    pace.interval_ns = (gint64) (1e9 / per_s);
    pace.size_ns = (gint64) (1e9 / per_s * (size < 1 ? 1 : size));
  }
  return pace;
}

/* Takes @n tokens, if need be on credit. */
static inline void ch_pace_take (ChPace pace, gint64 *state, gint64 n, gint64 now_us)
{
  gint64 now_ns = now_us * 1000;
  *state = MAX (*state, now_ns) + n * pace.interval_ns;
}

/* Microseconds until @n tokens exist, 0 when they do. */
static inline gint64 ch_pace_wait_us (ChPace pace, gint64 state, gint64 n, gint64 now_us)
{
  gint64 over_ns = state + n * pace.interval_ns - pace.size_ns - now_us * 1000;
  return state > now_us * 1000 && over_ns > 0 ? (over_ns + 999) / 1000 : 0;
}

/* Limits per source address; both are off at 0. */
typedef struct _ChAddressLimits ChAddressLimits;

ChAddressLimits *ch_address_limits_new (void);
void ch_address_limits_free (ChAddressLimits *limits);
void ch_address_limits_set (ChAddressLimits *limits, guint rate, guint max_connections);

typedef enum { CH_ADDRESS_OK = 0, CH_ADDRESS_RATE, CH_ADDRESS_CONNS } ChAddressVerdict;

/* @address without port. What was admitted is given back by leave. */
ChAddressVerdict ch_address_limits_enter (ChAddressLimits *limits, const char *address,
                                          gint64 now_us);
void ch_address_limits_leave (ChAddressLimits *limits, const char *address);
