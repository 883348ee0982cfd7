/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One field between the wire, the struct and JSON. */
#include "proto-bkv/wire/layout.h"

void bkv_field_get (const BkvField *field, const guint8 *p, gpointer record)
{
  guint8 *member = (guint8 *) record + field->offset;

  switch (field->type) {
  case BKV_TYPE_U8:
  case BKV_TYPE_S8:
    *member = *p;
    break;
  case BKV_TYPE_U16:
    *(guint16 *) (gpointer) member = bkv_get16 (p);
    break;
  case BKV_TYPE_U32:
    *(guint32 *) (gpointer) member = bkv_get32 (p);
    break;
  case BKV_TYPE_ASCII:
    memcpy (member, p, field->size);
    member[field->size] = 0;
    break;
  default:
    memcpy (member, p, field->size);
    break;
  }
}

void bkv_field_put (const BkvField *field, gconstpointer record, guint8 *p)
{
  const guint8 *member = (const guint8 *) record + field->offset;

  switch (field->type) {
  case BKV_TYPE_U8:
  case BKV_TYPE_S8:
    *p = *member;
    break;
  case BKV_TYPE_U16:
    bkv_put16 (p, *(const guint16 *) (gconstpointer) member);
    break;
  case BKV_TYPE_U32:
    bkv_put32 (p, *(const guint32 *) (gconstpointer) member);
    break;
  case BKV_TYPE_ASCII:
  case BKV_TYPE_FW:
    memset (p, 0, field->size);
    memcpy (p, member, strnlen ((const char *) member, field->size));
    break;
  default:
    memcpy (p, member, field->size);
    break;
  }
}

/* Bytes of a text field as Latin-1, so that whatever a device sends becomes JSON. */
static json_t *text_json (const char *text)
{
  g_autofree char *utf8 = g_convert (text, -1, "UTF-8", "ISO-8859-1", NULL, NULL, NULL);

  return json_string (utf8 != NULL ? utf8 : "");
}

static json_t *hex_json (const guint8 *p, gsize n)
{
  char text[2 * 64 + 1];

  bkv_hex (p, MIN (n, 64), text);
  return json_string (text);
}

static json_t *dt7_json (const guint8 *p)
{
  guint year = bkv_get16 (p);
  gboolean decimal = year <= 9999;

  for (guint i = 2; i < 7; i++)
    decimal = decimal && p[i] <= 99;
  if (!decimal)
    return hex_json (p, 7);
  return json_sprintf ("%04u%02u%02u%02u%02u%02u", year, p[2], p[3], p[4], p[5], p[6]);
}

json_t *bkv_field_json (const BkvField *field, gconstpointer record)
{
  const guint8 *member = (const guint8 *) record + field->offset;

  switch (field->type) {
  case BKV_TYPE_U8:
    return json_integer (*member);
  case BKV_TYPE_S8:
    return json_integer ((gint8) *member);
  case BKV_TYPE_U16:
    return json_integer (*(const guint16 *) (gconstpointer) member);
  case BKV_TYPE_U32:
    return json_integer (*(const guint32 *) (gconstpointer) member);
  case BKV_TYPE_ASCII:
  case BKV_TYPE_FW:
    return text_json ((const char *) member);
  case BKV_TYPE_DT7:
    return dt7_json (member);
  case BKV_TYPE_IP4:
    return json_sprintf ("%u.%u.%u.%u", member[0], member[1], member[2], member[3]);
  default:
    return hex_json (member, field->size);
  }
}

static gboolean parse_integer (const json_t *value, json_int_t min, json_int_t max,
                               json_int_t *out)
{
  if (!json_is_integer (value))
    return FALSE;
  *out = json_integer_value (value);
  return *out >= min && *out <= max;
}

static gboolean parse_dt7 (const char *text, guint8 *p)
{
  guint digits[14];

  for (guint i = 0; i < 14; i++) {
    if (!g_ascii_isdigit (text[i]))
      return FALSE;
    digits[i] = (guint) (text[i] - '0');
  }
  if (text[14] != 0)
    return FALSE;
  bkv_put16 (p, digits[0] * 1000 + digits[1] * 100 + digits[2] * 10 + digits[3]);
  for (guint i = 0; i < 5; i++)
    p[2 + i] = (guint8) (digits[4 + 2 * i] * 10 + digits[5 + 2 * i]);
  return TRUE;
}

static gboolean parse_ip4 (const char *text, guint8 *p)
{
  g_auto (GStrv) parts = g_strsplit (text, ".", 5);
  guint64 number;

  if (g_strv_length (parts) != 4)
    return FALSE;
  for (guint i = 0; i < 4; i++) {
    if (!g_ascii_string_to_unsigned (parts[i], 10, 0, 255, &number, NULL))
      return FALSE;
    p[i] = (guint8) number;
  }
  return TRUE;
}

static gboolean parse_text (const BkvField *field, const char *text, guint8 *member)
{
  gsize max = field->size;
  gsize size = 0;
  g_autofree char *latin = g_convert (text, -1, "ISO-8859-1", "UTF-8", NULL, &size, NULL);

  if (latin == NULL || size > max)
    return FALSE;
  memset (member, 0, max + 1);
  memcpy (member, latin, size);
  return TRUE;
}

gboolean bkv_field_parse (const BkvField *field, const json_t *value, gpointer record)
{
  guint8 *member = (guint8 *) record + field->offset;
  const char *text = json_string_value (value);
  json_int_t number;

  switch (field->type) {
  case BKV_TYPE_U8:
    if (!parse_integer (value, 0, G_MAXUINT8, &number))
      return FALSE;
    *member = (guint8) number;
    return TRUE;
  case BKV_TYPE_S8:
    if (!parse_integer (value, G_MININT8, G_MAXINT8, &number))
      return FALSE;
    *member = (guint8) (gint8) number;
    return TRUE;
  case BKV_TYPE_U16:
    if (!parse_integer (value, 0, G_MAXUINT16, &number))
      return FALSE;
    *(guint16 *) (gpointer) member = (guint16) number;
    return TRUE;
  case BKV_TYPE_U32:
    if (!parse_integer (value, 0, G_MAXUINT32, &number))
      return FALSE;
    *(guint32 *) (gpointer) member = (guint32) number;
    return TRUE;
  case BKV_TYPE_ASCII:
  case BKV_TYPE_FW:
    return text != NULL && parse_text (field, text, member);
  case BKV_TYPE_DT7:
    return text != NULL && (parse_dt7 (text, member) || bkv_hex_parse (text, member, 7));
  case BKV_TYPE_IP4:
    return text != NULL && parse_ip4 (text, member);
  default:
    return text != NULL && bkv_hex_parse (text, member, field->size);
  }
}
