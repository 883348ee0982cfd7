/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading the rows that a transaction returned. */
#include "store/store-private.h"

#include <math.h>
#include <string.h>

static ChTxRows *rows_of (const ChTxResult *result, guint statement)
{
  return statement < result->n ? &result->statements[statement] : NULL;
}

guint64 ch_tx_result_changes (const ChTxResult *result, guint statement)
{
  const ChTxRows *rows = rows_of (result, statement);
  return rows != NULL ? rows->changes : 0;
}

guint ch_tx_result_rows (const ChTxResult *result, guint statement)
{
  const ChTxRows *rows = rows_of (result, statement);
  return rows != NULL ? rows->n_rows : 0;
}

gint ch_tx_result_failed (const ChTxResult *result)
{
  return result->failed;
}

/* Commonly columns are read in their order: the next one is tried first. */
static gint find_column (ChTxRows *rows, const char *name)
{
  for (guint i = 0, at = rows->guess; i < rows->n_columns; i++, at++) {
    if (at >= rows->n_columns)
      at = 0;
    if (strcmp (rows->names[at], name) == 0) {
      rows->guess = at + 1;
      return (gint) at;
    }
  }
  return -1;
}

gint ch_tx_result_column (const ChTxResult *result, guint statement, const char *name)
{
  ChTxRows *rows = rows_of (result, statement);
  return rows != NULL ? find_column (rows, name) : -1;
}

static ChValue *cell (const ChTxResult *result, guint statement, guint row,
                      const char *column)
{
  static const ChValue nothing = {.kind = CH_VALUE_NULL};
  ChTxRows *rows = rows_of (result, statement);

  if (rows == NULL || row >= rows->n_rows) {
    g_critical ("statement %u has no row %u", statement, row);
    return (ChValue *) &nothing;
  }
  gint at = find_column (rows, column);
  if (at < 0) {
    g_critical ("the result of %s has no column %s",
                result->run->statements[statement].prepared->name, column);
    return (ChValue *) &nothing;
  }
  return &rows->rows[row][at];
}

gboolean ch_tx_result_is_null (const ChTxResult *r, guint st, guint row, const char *col)
{
  return cell (r, st, row, col)->kind == CH_VALUE_NULL;
}

static gint64 whole (double number)
{
  if (isnan (number) || number < -9.2e18 || number > 9.2e18)
    return CH_UNSET;
  return (gint64) number;
}

gint64 ch_tx_result_int (const ChTxResult *r, guint st, guint row, const char *col)
{
  const ChValue *value = cell (r, st, row, col);
  char *end = NULL;

  switch (value->kind) {
  case CH_VALUE_INT:
  case CH_VALUE_BOOL:
  case CH_VALUE_TIME:
    return value->i;
  case CH_VALUE_DOUBLE:
    return whole (value->d);
  case CH_VALUE_TEXT: {
    gint64 number = g_ascii_strtoll (value->text, &end, 10);
    return end != value->text && *end == '\0' ? number : CH_UNSET;
  }
  default:
    return CH_UNSET;
  }
}

gint64 ch_tx_result_time (const ChTxResult *r, guint st, guint row, const char *col)
{
  return ch_tx_result_int (r, st, row, col);
}

double ch_tx_result_double (const ChTxResult *r, guint st, guint row, const char *col)
{
  const ChValue *value = cell (r, st, row, col);
  char *end = NULL;

  switch (value->kind) {
  case CH_VALUE_DOUBLE:
    return value->d;
  case CH_VALUE_INT:
  case CH_VALUE_BOOL:
  case CH_VALUE_TIME:
    return (double) value->i;
  case CH_VALUE_TEXT: {
    double number = g_ascii_strtod (value->text, &end);
    return end != value->text && *end == '\0' ? number : CH_UNSET_DOUBLE;
  }
  default:
    return CH_UNSET_DOUBLE;
  }
}

gboolean ch_tx_result_bool (const ChTxResult *r, guint st, guint row, const char *col)
{
  const ChValue *value = cell (r, st, row, col);

  switch (value->kind) {
  case CH_VALUE_INT:
  case CH_VALUE_BOOL:
  case CH_VALUE_TIME:
    return value->i != 0;
  case CH_VALUE_DOUBLE:
    return value->d != 0;
  case CH_VALUE_TEXT:
    return value->text[0] == 't' || value->text[0] == '1';
  default:
    return FALSE;
  }
}

/* Numbers become text once; SQLite gives a number for a text column now and then. */
static void make_text (const ChTxResult *result, ChValue *value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  if (value->kind == CH_VALUE_DOUBLE)
    g_ascii_dtostr (text, sizeof text, value->d);
  else if (value->kind == CH_VALUE_BOOL)
    g_strlcpy (text, value->i != 0 ? "true" : "false", sizeof text);
  else
    g_snprintf (text, sizeof text, "%" G_GINT64_FORMAT, value->i);
  value->kind = CH_VALUE_TEXT;
  value->size = (guint32) strlen (text);
  value->text = ch_arena_text (&result->run->rows, text, value->size);
}

const char *ch_tx_result_text (const ChTxResult *r, guint st, guint row, const char *col)
{
  ChValue *value = cell (r, st, row, col);

  switch (value->kind) {
  case CH_VALUE_NULL:
    return NULL;
  case CH_VALUE_TEXT:
  case CH_VALUE_JSON:
  case CH_VALUE_BLOB: /* a NUL follows always */
    return value->text;
  default:
    make_text (r, value);
    return value->text;
  }
}

const guint8 *ch_tx_result_blob (const ChTxResult *r, guint st, guint row,
                                 const char *col, gsize *size)
{
  const ChValue *value = cell (r, st, row, col);

  if (value->kind != CH_VALUE_TEXT && value->kind != CH_VALUE_JSON
      && value->kind != CH_VALUE_BLOB) {
    if (size != NULL)
      *size = 0;
    return NULL;
  }
  if (size != NULL)
    *size = value->size;
  return value->blob;
}
