/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Values to and from PostgreSQL, as text: so the server finds the type of a parameter by
 * its use, and every type can be read. Only bytes go in binary form.
 */
#include "pgsql.h"

#include <string.h>

#define DAY_MS (24 * 3600 * 1000)
/* What timestamptz can hold, roughly: 4713 BC to 294276. */
#define TIME_MIN (-210866803200000)
#define TIME_MAX 9224318015999999

/* ---- time -------------------------------------------------------------------------- */

static gint64 floor_div (gint64 a, gint64 b)
{
  return a / b - (a % b < 0);
}

/* Days since 1970-01-01 of the proleptic Gregorian calendar, and back. */
static gint64 days_of (gint64 y, gint64 m, gint64 d)
{
  y -= m <= 2;
  gint64 era = floor_div (y, 400);
  gint64 yoe = y - era * 400;
  gint64 doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void date_of (gint64 days, gint64 *y, gint64 *m, gint64 *d)
{
  days += 719468;
  gint64 era = floor_div (days, 146097);
  gint64 doe = days - era * 146097;
  gint64 yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  gint64 doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  gint64 mp = (5 * doy + 2) / 153;
  *d = doy - (153 * mp + 2) / 5 + 1;
  *m = mp + (mp < 10 ? 3 : -9);
  *y = yoe + era * 400 + (*m <= 2);
}

void pg_format_time (gint64 wall_ms, char text[40])
{
  gint64 y, m, d;

  if (wall_ms < TIME_MIN || wall_ms > TIME_MAX) {
    g_strlcpy (text, wall_ms < 0 ? "-infinity" : "infinity", 40);
    return;
  }
  gint64 days = floor_div (wall_ms, DAY_MS);
  int ms = (int) (wall_ms - days * DAY_MS);
  date_of (days, &y, &m, &d);
  g_snprintf (text, 40, "%04d-%02d-%02d %02d:%02d:%02d.%03d+00%s",
              (int) (y > 0 ? y : 1 - y), (int) m, (int) d, ms / 3600000, ms / 60000 % 60,
              ms / 1000 % 60, ms % 1000, y > 0 ? "" : " BC");
}

static const char *number (const char *p, gint64 *n)
{
  for (*n = 0; g_ascii_isdigit (*p) && *n < 100000000; p++)
    *n = *n * 10 + (*p - '0');
  return p;
}

static gboolean number_and (const char **p, gint64 *n, char after)
{
  const char *end = number (*p, n);

  if (end == *p || *end != after)
    return FALSE;
  *p = end + 1;
  return TRUE;
}

/* "2023-11-14 22:13:20.123456+00", perhaps with " BC"; CH_UNSET when it is no such time.
   The session is in UTC. */
gint64 pg_parse_time (const char *text)
{
  gint64 y, mo, d, h, mi, s;
  gint64 ms = 0;
  const char *p = text;

  if (!number_and (&p, &y, '-') || !number_and (&p, &mo, '-') || !number_and (&p, &d, ' ')
      || !number_and (&p, &h, ':') || !number_and (&p, &mi, ':'))
    return CH_UNSET;
  p = number (p, &s);
  if (*p == '.') {
    p++;
    for (gint64 unit = 100; g_ascii_isdigit (*p); p++, unit /= 10)
      ms += (*p - '0') * unit;
  }
  if (strstr (p, "BC") != NULL)
    y = 1 - y;
  return days_of (y, mo, d) * DAY_MS + ((h * 60 + mi) * 60 + s) * 1000 + ms;
}

/* ---- JSON -------------------------------------------------------------------------- */

static gboolean hex4 (const char *p, guint *code)
{
  *code = 0;
  for (guint i = 0; i < 4; i++) {
    gint digit = g_ascii_xdigit_value (p[i]);
    if (digit < 0)
      return FALSE;
    *code = *code * 16 + (guint) digit;
  }
  return TRUE;
}

/* How long the escape at @p is when jsonb takes it, 0 when it does not. */
static guint good_escape (const char *p)
{
  guint code, low;

  if (p[1] != 'u')
    return p[1] != '\0' ? 2 : 1;
  if (!hex4 (p + 2, &code))
    return 2; /* broken anyway: the server shall say so */
  if (code >= 0xd800 && code < 0xdc00)
    return p[6] == '\\' && p[7] == 'u' && hex4 (p + 8, &low) && low >= 0xdc00
                   && low < 0xe000
               ? 12
               : 0;
  return code != 0 && (code < 0xdc00 || code > 0xdfff) ? 6 : 0;
}

/*
 * jsonb takes no \u0000 and no half of a surrogate pair. They become U+FFFD, as bytes do
 * that are not UTF-8: a device's garbage must not cost an order.
 */
char *pg_clean_json (const char *json)
{
  GString *clean = NULL;
  const char *from = json;

  for (const char *p = strchr (json, '\\'); p != NULL; p = strchr (p, '\\')) {
    guint size = good_escape (p);
    if (size == 0) {
      if (clean == NULL)
        clean = g_string_new (NULL);
      g_string_append_len (clean, from, p - from);
      g_string_append (clean, "\\ufffd");
      from = p += 6;
    } else {
      p += size;
    }
  }
  if (clean == NULL)
    return NULL;
  g_string_append (clean, from);
  return g_string_free (clean, FALSE);
}

/* ---- parameters -------------------------------------------------------------------- */

void pg_params_begin (PgParams *params, guint n)
{
  if (params->texts == NULL)
    params->texts = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_set_size (params->texts, 0);
  if (n <= params->room)
    return;
  params->room = MAX (n, 32);
  params->values = g_renew (const char *, params->values, params->room);
  params->lengths = g_renew (int, params->lengths, params->room);
  params->formats = g_renew (int, params->formats, params->room);
  params->numbers = g_realloc_n (params->numbers, params->room, sizeof *params->numbers);
}

void pg_params_clear (PgParams *params)
{
  g_clear_pointer (&params->texts, g_ptr_array_unref);
  g_clear_pointer (&params->values, g_free);
  g_clear_pointer (&params->lengths, g_free);
  g_clear_pointer (&params->formats, g_free);
  g_clear_pointer (&params->numbers, g_free);
  params->room = 0;
}

void pg_params_set_int (PgParams *params, guint at, gint64 n)
{
  g_snprintf (params->numbers[at], sizeof params->numbers[at], "%" G_GINT64_FORMAT, n);
  params->values[at] = params->numbers[at];
  params->lengths[at] = 0;
  params->formats[at] = 0;
}

static const char *json_text (PgParams *params, const char *json)
{
  char *clean = pg_clean_json (json);

  if (clean == NULL)
    return json;
  g_ptr_array_add (params->texts, clean);
  return clean;
}

void pg_params_set (PgParams *params, guint at, const ChValue *value)
{
  char *room = params->numbers[at];

  params->lengths[at] = 0;
  params->formats[at] = 0;
  params->values[at] = room;
  switch (value->kind) {
  case CH_VALUE_NULL:
    params->values[at] = NULL;
    break;
  case CH_VALUE_INT:
    pg_params_set_int (params, at, value->i);
    break;
  case CH_VALUE_BOOL:
    g_strlcpy (room, value->i != 0 ? "t" : "f", sizeof params->numbers[at]);
    break;
  case CH_VALUE_DOUBLE:
    g_ascii_dtostr (room, sizeof params->numbers[at], value->d);
    break;
  case CH_VALUE_TIME:
    pg_format_time (value->i, room);
    break;
  case CH_VALUE_TEXT:
    params->values[at] = value->text;
    break;
  case CH_VALUE_JSON:
    params->values[at] = json_text (params, value->text);
    break;
  case CH_VALUE_BLOB:
    params->values[at] = value->text;
    params->lengths[at] = (int) value->size;
    params->formats[at] = 1;
    break;
  }
}

/* ---- results ----------------------------------------------------------------------- */

/* "\x00ff…" */
static void read_bytes (PgRow *row, const char *text, gsize size, ChValue *value)
{
  gsize n = size >= 2 ? (size - 2) / 2 : 0;
  guint at = row->bytes->len;

  g_byte_array_set_size (row->bytes, at + (guint) n + 1);
  for (gsize i = 0; i < n; i++) {
    int high = g_ascii_xdigit_value (text[2 + i * 2]);
    int low = g_ascii_xdigit_value (text[3 + i * 2]);
    row->bytes->data[at + i] = (guint8) (high << 4 | low);
  }
  row->bytes->data[at + n] = '\0';
  value->kind = CH_VALUE_BLOB;
  value->size = (guint32) n;
  value->i = at; /* an offset: the array may still move */
}

static void read_value (PgRow *row, const PGresult *result, int r, int c, ChValue *value)
{
  const char *text = PQgetvalue (result, r, c);
  gsize size = (gsize) PQgetlength (result, r, c);

  if (PQgetisnull (result, r, c)) {
    value->kind = CH_VALUE_NULL;
    return;
  }
  switch (PQftype (result, c)) {
  case PG_BOOL:
    value->kind = CH_VALUE_BOOL;
    value->i = text[0] == 't';
    return;
  case PG_INT2:
  case PG_INT4:
  case PG_INT8:
  case PG_OID:
    value->kind = CH_VALUE_INT;
    value->i = g_ascii_strtoll (text, NULL, 10);
    return;
  case PG_FLOAT4:
  case PG_FLOAT8:
    value->kind = CH_VALUE_DOUBLE;
    value->d = g_ascii_strtod (text, NULL);
    return;
  case PG_TIMESTAMP:
  case PG_TIMESTAMPTZ:
    value->i = pg_parse_time (text);
    value->kind = value->i != CH_UNSET ? CH_VALUE_TIME : CH_VALUE_NULL;
    return;
  case PG_BYTEA:
    read_bytes (row, text, size, value);
    return;
  default:
    value->kind = PQftype (result, c) == PG_JSONB || PQftype (result, c) == PG_JSON
                      ? CH_VALUE_JSON
                      : CH_VALUE_TEXT;
    value->size = (guint32) size;
    value->text = text;
    return;
  }
}

void pg_take_rows (PgRow *row, ChTxRun *run, guint index, const PGresult *result)
{
  int n_rows = PQntuples (result);
  int n_columns = PQnfields (result);

  if (row->bytes == NULL)
    row->bytes = g_byte_array_new ();
  if (row->room < (guint) n_columns) {
    row->room = (guint) n_columns;
    row->values = g_renew (ChValue, row->values, row->room);
    row->names = g_renew (const char *, row->names, row->room);
  }
  for (int c = 0; c < n_columns; c++)
    row->names[c] = PQfname (result, c);
  ch_tx_run_begin_rows (run, index, (guint) n_columns, row->names);
  for (int r = 0; r < n_rows; r++) {
    g_byte_array_set_size (row->bytes, 0);
    for (int c = 0; c < n_columns; c++)
      read_value (row, result, r, c, &row->values[c]);
    for (int c = 0; c < n_columns; c++)
      if (row->values[c].kind == CH_VALUE_BLOB)
        row->values[c].blob = row->bytes->data + row->values[c].i;
    ch_tx_run_add_row (run, index, row->values);
  }
  if (row->bytes->len > 1024 * 1024) /* a large one is not kept */
    g_clear_pointer (&row->bytes, g_byte_array_unref);
}

void pg_row_clear (PgRow *row)
{
  g_clear_pointer (&row->bytes, g_byte_array_unref);
  g_clear_pointer (&row->values, g_free);
  g_clear_pointer (&row->names, g_free);
  row->room = 0;
}
