/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One value on its way from a database to another of a different kind. */
#include "store/copy-private.h"
#include <chargehost/json.h>

#include <math.h>
#include <string.h>

static gboolean take_number (ChCopyKind kind, const ChValue *from, ChCopyValue *to)
{
  switch (from->kind) {
  case CH_VALUE_INT:
  case CH_VALUE_BOOL:
  case CH_VALUE_TIME:
    to->i = kind == CH_COPY_BOOL ? from->i != 0 : from->i;
    to->d = (double) from->i;
    return TRUE;
  case CH_VALUE_DOUBLE:
    to->d = from->d;
    to->i = fabs (from->d) < 9e18 ? (gint64) from->d : 0;
    return kind == CH_COPY_DOUBLE || (double) to->i == from->d;
  case CH_VALUE_NULL:
  case CH_VALUE_TEXT:
  case CH_VALUE_BLOB:
  case CH_VALUE_JSON:
    break;
  }
  return FALSE;
}

gboolean ch_copy_take (ChCopyKind kind, const ChValue *from, ChCopyValue *to)
{
  memset (to, 0, sizeof *to);
  to->kind = kind;
  to->null = from->kind == CH_VALUE_NULL;
  if (to->null)
    return TRUE;
  switch (kind) {
  case CH_COPY_INT:
  case CH_COPY_DOUBLE:
  case CH_COPY_BOOL:
  case CH_COPY_TIME:
    return take_number (kind, from, to);
  case CH_COPY_BLOB:
    if (from->kind == CH_VALUE_BLOB) {
      to->text = (const char *) from->blob;
      to->size = from->size;
      return TRUE;
    }
    G_GNUC_FALLTHROUGH;
  case CH_COPY_TEXT:
  case CH_COPY_JSON:
    to->text = from->text;
    to->size = from->size;
    return from->kind == CH_VALUE_TEXT || from->kind == CH_VALUE_JSON;
  }
  return FALSE;
}

/* ---- hashing ------------------------------------------------------------------------
 */

static void add (GChecksum *sum, const void *bytes, gsize size)
{
  guint64 length = size;
  g_checksum_update (sum, (const guchar *) &length, sizeof length);
  g_checksum_update (sum, bytes, (gssize) size);
}

/* The databases write the same JSON differently: order of names, blanks, 1e3 and 1000. */
static gboolean add_json (const ChCopyValue *value, GChecksum *sum, GError **error)
{
  json_error_t reason;
  g_autoptr (json_t) json = json_loadb (
      value->text, value->size, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &reason);

  if (json == NULL) {
    ch_copy_fail (error, "it holds JSON that cannot be read (%s): %.40s", reason.text,
                  value->text);
    return FALSE;
  }
  char *text = json_dumps (json, JSON_ENCODE_ANY | JSON_SORT_KEYS | JSON_COMPACT);
  add (sum, text, strlen (text));
  free (text);
  return TRUE;
}

gboolean ch_copy_hash (const ChCopyValue *value, GChecksum *sum, GError **error)
{
  if (value->null) {
    add (sum, "", 0);
    return TRUE;
  }
  g_checksum_update (sum, (const guchar *) "=", 1); /* NULL and '' differ */
  switch (value->kind) {
  case CH_COPY_INT:
  case CH_COPY_BOOL:
  case CH_COPY_TIME:
    add (sum, &value->i, sizeof value->i);
    return TRUE;
  case CH_COPY_DOUBLE:
    add (sum, &value->d, sizeof value->d);
    return TRUE;
  case CH_COPY_TEXT:
  case CH_COPY_BLOB:
    add (sum, value->text, value->size);
    return TRUE;
  case CH_COPY_JSON:
    return add_json (value, sum, error);
  }
  return FALSE;
}

/* ---- literals -----------------------------------------------------------------------
 */

static gboolean add_text (const ChCopyValue *value, GString *sql, GError **error)
{
  if (memchr (value->text, '\0', value->size) != NULL) {
    ch_copy_fail (error,
                  "it holds a text with a NUL byte, which PostgreSQL does not take");
    return FALSE;
  }
  g_string_append_c (sql, '\'');
  for (gsize i = 0; i < value->size; i++) {
    if (value->text[i] == '\'')
      g_string_append_c (sql, '\'');
    g_string_append_c (sql, value->text[i]);
  }
  g_string_append_c (sql, '\'');
  return TRUE;
}

static void add_bytes (const ChCopyValue *value, gboolean pgsql, GString *sql)
{
  g_string_append (sql, pgsql ? "'\\x" : "X'");
  for (gsize i = 0; i < value->size; i++)
    g_string_append_printf (sql, "%02x", (guint) (guchar) value->text[i]);
  g_string_append (sql, pgsql ? "'::bytea" : "'");
}

static void add_double (const ChCopyValue *value, gboolean pgsql, GString *sql)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  g_ascii_formatd (text, sizeof text, "%.17g", value->d);
  if (pgsql)
    g_string_append_printf (sql, "'%s'::float8", text);
  else if (!isfinite (value->d))
    g_string_append (sql, isnan (value->d) ? "NULL" : value->d > 0 ? "9e999" : "-9e999");
  else
    g_string_append_printf (sql, "%s%s", text, strpbrk (text, ".e") ? "" : ".0");
}

gboolean ch_copy_literal (const ChCopyValue *value, gboolean pgsql, GString *sql,
                          GError **error)
{
  if (value->null) {
    g_string_append (sql, "NULL");
    return TRUE;
  }
  switch (value->kind) {
  case CH_COPY_BOOL:
    g_string_append (sql, pgsql ? (value->i ? "true" : "false") : (value->i ? "1" : "0"));
    return TRUE;
  case CH_COPY_TIME:
    if (pgsql) {
      g_string_append_printf (sql, "to_timestamp(%" G_GINT64_FORMAT " / 1000.0)",
                              value->i);
      return TRUE;
    }
    G_GNUC_FALLTHROUGH;
  case CH_COPY_INT:
    g_string_append_printf (sql, "%" G_GINT64_FORMAT, value->i);
    return TRUE;
  case CH_COPY_DOUBLE:
    add_double (value, pgsql, sql);
    return TRUE;
  case CH_COPY_BLOB:
    add_bytes (value, pgsql, sql);
    return TRUE;
  case CH_COPY_TEXT:
  case CH_COPY_JSON:
    return add_text (value, sql, error);
  }
  return FALSE;
}
