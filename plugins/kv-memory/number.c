/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "number.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST MEM_LONG_DOUBLE_SIZE

gboolean mem_parse_int (MemBytes text, gint64 *value)
{
  const char *p = text.p;
  const char *end = p + text.n;
  gboolean negative = FALSE;
  guint64 sum = 0;

  if (text.n == 0 || text.n > 20)
    return FALSE;
  if (text.n == 1 && *p == '0') {
    *value = 0;
    return TRUE;
  }
  if (*p == '-') {
    negative = TRUE;
    p++;
  }
  if (p == end || *p < '1' || *p > '9')
    return FALSE;
  gsize safe = MIN ((gsize) (end - p), 18); /* so many digits cannot be too many */
  for (const char *stop = p + safe; p != stop; p++) {
    guint digit = (guint) (*p - '0');
    if (digit > 9)
      return FALSE;
    sum = sum * 10 + digit;
  }
  for (; p != end; p++) {
    guint digit = (guint) (*p - '0');
    if (digit > 9 || sum > (G_MAXUINT64 - digit) / 10)
      return FALSE;
    sum = sum * 10 + digit;
  }
  if (sum > (guint64) G_MAXINT64 + (negative ? 1 : 0))
    return FALSE;
  *value = negative ? (gint64) (0 - sum) : (gint64) sum;
  return TRUE;
}

static gboolean copy_number (MemBytes text, char copy[LONGEST])
{
  if (text.n == 0 || text.n >= LONGEST || g_ascii_isspace (text.p[0]))
    return FALSE;
  memcpy (copy, text.p, text.n);
  copy[text.n] = '\0';
  return TRUE;
}

gboolean mem_parse_double (MemBytes text, double *value)
{
  char copy[LONGEST];
  char *end;
  gint64 integer;

  if (text.n <= 15 && mem_parse_int (text, &integer)) {
    *value = (double) integer;
    return TRUE;
  }
  if (!copy_number (text, copy))
    return FALSE;
  errno = 0;
  *value = g_ascii_strtod (copy, &end);
  if (end != copy + text.n || isnan (*value))
    return FALSE;
  return !(errno == ERANGE && (isinf (*value) || fpclassify (*value) == FP_ZERO));
}

gboolean mem_parse_loose_double (MemBytes text, double *value)
{
  char copy[LONGEST];
  char *end;

  if (text.n >= LONGEST || (text.n > 0 && memchr (text.p, '\0', text.n) != NULL))
    return FALSE;
  if (text.n > 0)
    memcpy (copy, text.p, text.n);
  copy[text.n] = '\0';
  *value = g_ascii_strtod (copy, &end);
  if (end == copy && text.n == 0)
    *value = 0;
  return end == copy + text.n && !isnan (*value);
}

/* printf and strtold follow the thread's locale; for a moment it is C's. */
static locale_t enter_c (locale_t *old)
{
  locale_t c = newlocale (LC_ALL_MASK, "C", (locale_t) 0);
  *old = c != (locale_t) 0 ? uselocale (c) : (locale_t) 0;
  return c;
}

static void leave_c (locale_t c, locale_t old)
{
  if (c == (locale_t) 0)
    return;
  uselocale (old);
  freelocale (c);
}

gboolean mem_parse_long_double (MemBytes text, long double *value)
{
  char copy[LONGEST];
  char *end;
  locale_t old;

  if (!copy_number (text, copy))
    return FALSE;
  locale_t c = enter_c (&old);
  errno = 0;
  *value = strtold (copy, &end);
  gboolean in_range
      = !(errno == ERANGE && (isinf (*value) || fpclassify (*value) == FP_ZERO));
  leave_c (c, old);
  return end == copy + text.n && !isnan (*value) && in_range;
}

gsize mem_format_int (char text[MEM_NUMBER_SIZE], gint64 value)
{
  char digits[24];
  char *at = digits + sizeof digits;
  guint64 rest = value < 0 ? 0 - (guint64) value : (guint64) value;

  do {
    *--at = (char) ('0' + rest % 10);
    rest /= 10;
  } while (rest > 0);
  if (value < 0)
    *--at = '-';
  gsize size = (gsize) (digits + sizeof digits - at);
  memcpy (text, at, size);
  text[size] = '\0';
  return size;
}

gsize mem_format_double (char text[MEM_NUMBER_SIZE], double value)
{
  if (isinf (value)) {
    strcpy (text, value > 0 ? "inf" : "-inf"); /* lint: constant */
    return strlen (text);
  }
  if (value > -1e15 && value < 1e15 && value == (double) (gint64) value
      && !(signbit (value) && value == 0))
    return mem_format_int (text, (gint64) value);
  g_ascii_formatd (text, MEM_NUMBER_SIZE, "%.17g", value);
  return strlen (text);
}

gsize mem_format_long_double (char text[MEM_LONG_DOUBLE_SIZE], long double value)
{
  locale_t old;

  if (isinf (value)) {
    strcpy (text, value > 0 ? "inf" : "-inf"); /* lint: constant */
    return strlen (text);
  }
  locale_t c = enter_c (&old);
  gint n = snprintf (text, MEM_LONG_DOUBLE_SIZE, "%.17Lf", value);
  leave_c (c, old);
  char *end = text + n;
  while (end[-1] == '0')
    end--;
  if (end[-1] == '.')
    end--;
  *end = '\0';
  if (strcmp (text, "-0") == 0) {
    strcpy (text, "0"); /* lint: constant */
    return 1;
  }
  return (gsize) (end - text);
}
