/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON to struct, and JSON items to bytes. */
#include "proto-bkv/wire/layout.h"

static gboolean parse_record (const BkvField *fields, const json_t *object,
                              gpointer record, gboolean masked, const char **error);

static gboolean parse_list (const BkvField *field, const json_t *array, gpointer record,
                            const char **error)
{
  const BkvList *list = field->list;
  guint8 *entry = (guint8 *) record + field->offset;
  gsize n = json_array_size (array);

  *error = field->name;
  if (!json_is_array (array) || n > list->max)
    return FALSE;
  for (gsize i = 0; i < n; i++, entry += list->size) {
    const json_t *value = json_array_get (array, i);

    if (list->fields == NULL) {
      json_int_t number = json_integer_value (value);

      if (!json_is_integer (value) || number < 0 || number > G_MAXUINT16)
        return FALSE;
      *(guint16 *) (gpointer) entry = (guint16) number;
    } else if (!parse_record (list->fields, value, entry, list->masked, error)) {
      return FALSE;
    }
  }
  *bkv_count (record, list) = (guint16) n;
  return TRUE;
}

static const BkvField *find_field (const BkvField *fields, const char *name)
{
  for (; fields->name != NULL; fields++)
    if (strcmp (fields->name, name) == 0)
      return fields;
  return NULL;
}

static gboolean parse_record (const BkvField *fields, const json_t *object,
                              gpointer record, gboolean masked, const char **error)
{
  const char *name;
  json_t *value;

  if (!json_is_object (object))
    return FALSE;
  json_object_foreach ((json_t *) (guintptr) object, name, value)
  {
    const BkvField *field = find_field (fields, name);

    if (field == NULL) {
      *error = "a field that this frame does not have";
      return FALSE;
    }
    if (field->type == BKV_TYPE_LIST) {
      if (!parse_list (field, value, record, error))
        return FALSE;
    } else if (!bkv_field_parse (field, value, record)) {
      *error = field->name;
      return FALSE;
    }
    if (masked)
      *(guint64 *) record |= G_GUINT64_CONSTANT (1) << (field - fields);
  }
  return TRUE;
}

static gboolean parse_number (const json_t *object, const char *name, guint64 max,
                              guint64 *out)
{
  const json_t *value = json_object_get (object, name);
  const char *text = json_string_value (value);

  if (json_is_integer (value)) {
    json_int_t number = json_integer_value (value);

    if (number < 0 || (guint64) number > max)
      return FALSE;
    *out = (guint64) number;
    return TRUE;
  }
  if (text == NULL)
    return FALSE;
  if (g_str_has_prefix (text, "0x"))
    text += 2;
  return g_ascii_string_to_unsigned (text, 16, 0, max, out, NULL);
}

gboolean bkv_from_json (const json_t *decoded, BkvFrame *frame, const char **error)
{
  const char *name = json_string_value (json_object_get (decoded, "name"));
  const json_t *fields = json_object_get (decoded, "fields");
  guint8 gateway[BKV_GATEWAY_SIZE];
  const BkvLayout *layout;
  guint64 number;

  *error = "name";
  if (name == NULL || bkv_kind_parse (name) == BKV_UNKNOWN)
    return FALSE;
  layout = bkv_layout (bkv_kind_parse (name));
  if (layout->form == BKV_FORM_RAW)
    return FALSE;
  *error = "gateway_id";
  if (!bkv_gateway_parse (json_string_value (json_object_get (decoded, "gateway_id")),
                          gateway))
    return FALSE;
  *error = "msg_id";
  number = 0;
  if (json_object_get (decoded, "msg_id") != NULL
      && !parse_number (decoded, "msg_id", G_MAXUINT32, &number))
    return FALSE;
  bkv_init (frame, bkv_kind_parse (name), gateway, (guint32) number);
  if (parse_number (decoded, "cmd", G_MAXUINT16, &number))
    frame->cmd = (guint16) number;
  if (parse_number (decoded, "sub", G_MAXUINT8, &number) && frame->has_sub)
    frame->sub = (guint8) number;
  if (parse_number (decoded, "bkv_seq", G_MAXUINT64, &number) && frame->has_bkv_cmd)
    frame->bkv_seq = number;
  *error = "fields";
  if (fields == NULL)
    return TRUE;
  return parse_record (layout->fields, fields, (guint8 *) frame + layout->offset,
                       layout->masked, error);
}

/* ---- items ------------------------------------------------------------------------ */

static gboolean put_tlvs (const json_t *tlvs, guint depth, guint8 *out, gsize max,
                          gsize *size);

/* One [tag, value] or [tag, value, type]. */
static gboolean put_tlv (const json_t *item, guint depth, guint8 *out, gsize max,
                         gsize *size)
{
  const json_t *value = json_array_get (item, 1);
  const char *tag = json_string_value (json_array_get (item, 0));
  const char *hex = json_string_value (value);
  const json_t *type = json_array_get (item, 2);
  guint64 number;
  gsize inside = 0;

  if (tag == NULL || !g_str_has_prefix (tag, "0x") || max < 3
      || !g_ascii_string_to_unsigned (tag + 2, 16, 0, 255, &number, NULL))
    return FALSE;
  if (hex != NULL) {
    inside = strlen (hex) / 2;
    if (inside > max - 3 || !bkv_hex_parse (hex, out + 3, inside))
      return FALSE;
  } else if (!put_tlvs (value, depth + 1, out + 3, max - 3, &inside)) {
    return FALSE;
  }
  if (inside > 253)
    return FALSE;
  out[0] = (guint8) (inside + 2);
  out[1] = json_is_integer (type) ? (guint8) json_integer_value (type) : 1;
  out[2] = (guint8) number;
  *size = inside + 3;
  return TRUE;
}

static gboolean put_tlvs (const json_t *tlvs, guint depth, guint8 *out, gsize max,
                          gsize *size)
{
  *size = 0;
  if (!json_is_array (tlvs) || depth > 3)
    return FALSE;
  for (gsize i = 0; i < json_array_size (tlvs); i++) {
    gsize one;

    if (!put_tlv (json_array_get (tlvs, i), depth, out + *size, max - *size, &one))
      return FALSE;
    *size += one;
  }
  return TRUE;
}

gsize bkv_tlvs_from_json (const json_t *tlvs, guint8 *out, gsize max)
{
  gsize size;

  return put_tlvs (tlvs, 0, out, max, &size) ? size : 0;
}
