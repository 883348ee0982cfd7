/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two clocks in one object, so that a test can inject both. */
#include "base/clock-private.h"
#include "base/owner.h"
#include <chargehost/id.h>

#include <string.h>
#include <sys/random.h>
#include <time.h>

#define POOL 64

/* The part of a ULID that nobody can guess. */
typedef struct {
  guint64 low;
  guint16 high;
} __attribute__ ((packed)) UlidRandom;

struct _ChClock {
  gboolean fake;
  gint64 monotonic_us;
  gint64 wall_ms;
  gint64 ulid_ms; /* time in the newest ULID */
  guint16 ulid_high;
  guint64 ulid_low;
  UlidRandom pool[POOL]; /* those below pool_left were not used */
  guint pool_left;
};

ChClock *ch_clock_new (void)
{
  ChClock *clock = g_new0 (ChClock, 1);
  clock->ulid_ms = -1;
  return clock;
}

ChClock *ch_clock_new_fake (gint64 wall_ms)
{
  ChClock *clock = ch_clock_new ();
  clock->fake = TRUE;
  clock->monotonic_us = G_USEC_PER_SEC;
  clock->wall_ms = wall_ms;
  return clock;
}

void ch_clock_free (ChClock *clock)
{
  g_free (clock);
}

gint64 ch_clock_monotonic_us (ChClock *clock)
{
  return clock->fake ? clock->monotonic_us : g_get_monotonic_time ();
}

gint64 ch_clock_wall_ms (ChClock *clock)
{
  return clock->fake ? clock->wall_ms : g_get_real_time () / 1000;
}

void ch_clock_advance_ms (ChClock *clock, gint64 ms)
{
  g_assert (clock->fake);
  clock->monotonic_us += ms * 1000;
  clock->wall_ms += ms;
}

void ch_clock_step_wall_ms (ChClock *clock, gint64 ms)
{
  g_assert (clock->fake);
  clock->wall_ms += ms;
}

gboolean ch_clock_is_fake (ChClock *clock)
{
  return clock->fake;
}

/* Ten random bytes; the kernel is asked for many at once. */
static void draw (ChClock *clock)
{
  if (clock->pool_left == 0) {
    if (getrandom (clock->pool, sizeof clock->pool, 0) != (ssize_t) sizeof clock->pool)
      for (gsize i = 0; i < sizeof clock->pool; i++)
        ((guint8 *) clock->pool)[i] = (guint8) g_random_int ();
    clock->pool_left = G_N_ELEMENTS (clock->pool);
  }
  const UlidRandom *drawn = &clock->pool[--clock->pool_left];
  clock->ulid_high = drawn->high & 0x7fff; /* room to count */
  clock->ulid_low = drawn->low;
}

/*
 * Within one millisecond, and when the wall clock steps back, the random part is
 * counted up instead, so that order of making is order of text.
 */
void ch_clock_ulid (ChClock *clock, char text[27])
{
  static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  gint64 now = MAX (ch_clock_wall_ms (clock), 0);

  if (now > clock->ulid_ms) {
    clock->ulid_ms = now;
    draw (clock);
  } else if (++clock->ulid_low == 0) {
    clock->ulid_high++;
  }

  /* 128 bits, 48 of time and 80 of chance, as 26 digits of 5 bits from the last. */
  guint64 high = (guint64) clock->ulid_ms << 16 | clock->ulid_high;
  guint64 low = clock->ulid_low;
  for (gint i = 25; i >= 0; i--) {
    text[i] = digits[low & 31];
    low = low >> 5 | high << 59;
    high >>= 5;
  }
  text[26] = '\0';
}

gint64 ch_now_ms (ChPlugin *self)
{
  return ch_clock_monotonic_us (self->services->clock) / 1000;
}

gint64 ch_wall_ms (ChPlugin *self)
{
  return ch_clock_wall_ms (self->services->clock);
}

const char *ch_ulid (ChPlugin *self, char text[CH_ULID_SIZE])
{
  ch_clock_ulid (self->services->clock, text);
  return text;
}

/* @n digits of @value and what follows them; returns the place behind. */
static char *put (char *p, guint n, gint value, char after)
{
  for (guint i = n; i-- > 0; value /= 10)
    p[i] = (char) ('0' + value % 10);
  p[n] = after;
  return p + n + 1;
}

/* Without printf: an answer with a device holds half a dozen times. */
const char *ch_format_time (gint64 wall_ms, char text[CH_TIME_TEXT_SIZE])
{
  gint64 s = wall_ms / 1000, ms = wall_ms % 1000;
  if (ms < 0) {
    ms += 1000;
    s--;
  }
  time_t seconds = (time_t) s;
  struct tm tm;
  if (gmtime_r (&seconds, &tm) == NULL || tm.tm_year > 8099 || tm.tm_year < -1900) {
    g_strlcpy (text, "1970-01-01T00:00:00.000Z", CH_TIME_TEXT_SIZE);
    return text;
  }
  char *p = put (text, 4, tm.tm_year + 1900, '-');
  p = put (p, 2, tm.tm_mon + 1, '-');
  p = put (p, 2, tm.tm_mday, 'T');
  p = put (p, 2, tm.tm_hour, ':');
  p = put (p, 2, tm.tm_min, ':');
  p = put (p, 2, tm.tm_sec, '.');
  p = put (p, 3, (gint) ms, 'Z');
  *p = '\0';
  return text;
}

/* @n digits at @p; −1 when there are others. */
static gint digits (const char *p, guint n)
{
  gint value = 0;

  for (guint i = 0; i < n; i++) {
    if (!g_ascii_isdigit (p[i]))
      return -1;
    value = value * 10 + (p[i] - '0');
  }
  return value;
}

/* Milliseconds of `.123456`, of which the first three digits count; moves @p behind it.
 */
static gint fraction_ms (const char **p)
{
  gint value = 0, weight = 100;

  if (**p != '.' || !g_ascii_isdigit ((*p)[1]))
    return 0;
  for ((*p)++; g_ascii_isdigit (**p); (*p)++, weight /= 10)
    value += (**p - '0') * weight;
  return value;
}

/* `Z` or `+hh:mm` at the end of a time. */
static gboolean parse_zone (const char *p, gint *offset_s)
{
  *offset_s = 0;
  if (*p == 'Z' || *p == 'z')
    return p[1] == '\0';
  if ((*p != '+' && *p != '-') || strlen (p) != 6 || p[3] != ':')
    return FALSE;
  gint hours = digits (p + 1, 2), minutes = digits (p + 4, 2);
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
    return FALSE;
  *offset_s = (hours * 60 + minutes) * (*p == '-' ? -60 : 60);
  return TRUE;
}

gboolean ch_parse_time (const char *text, gint64 *wall_ms)
{
  if (text == NULL || strlen (text) > 40
      || strlen (text) < sizeof "2024-01-06T08:00:00Z" - 1 || text[4] != '-'
      || text[7] != '-' || strchr ("Tt ", text[10]) == NULL || text[13] != ':'
      || text[16] != ':')
    return FALSE;

  gint year = digits (text, 4), month = digits (text + 5, 2), day = digits (text + 8, 2);
  gint hour = digits (text + 11, 2), minute = digits (text + 14, 2);
  gint second = digits (text + 17, 2), offset_s;
  if (year < 1 || month < 1 || day < 1 || hour < 0 || hour > 23 || minute < 0
      || minute > 59 || second < 0 || second > 60
      || !g_date_valid_dmy ((GDateDay) day, (GDateMonth) month, (GDateYear) year))
    return FALSE;

  const char *p = text + 19;
  gint ms = fraction_ms (&p);
  if (!parse_zone (p, &offset_s))
    return FALSE;
  struct tm tm = {.tm_year = year - 1900,
                  .tm_mon = month - 1,
                  .tm_mday = day,
                  .tm_hour = hour,
                  .tm_min = minute,
                  .tm_sec = second};
  *wall_ms = ((gint64) timegm (&tm) - offset_s) * 1000 + ms;
  return TRUE;
}
