/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Struct to JSON, in the form of the vector files (bkv 19). */
#include "proto-bkv/wire/layout.h"

static json_t *hex_json (const guint8 *p, gsize n)
{
  g_autofree char *text = g_malloc (2 * n + 1);

  bkv_hex (p, n, text);
  return json_string (text);
}

static json_t *record_json (const BkvField *fields, gconstpointer record, gboolean masked,
                            gboolean steps);

static json_t *list_json (const BkvField *field, gconstpointer record)
{
  const BkvList *list = field->list;
  const guint8 *entry = (const guint8 *) record + field->offset;
  gsize n = *bkv_count ((gpointer) (guintptr) record, list);
  json_t *array = json_array ();

  for (gsize i = 0; i < n; i++, entry += list->size) {
    if (list->fields == NULL)
      json_array_append_new (array,
                             json_integer (*(const guint16 *) (gconstpointer) entry));
    else
      json_array_append_new (array,
                             record_json (list->fields, entry, list->masked, TRUE));
  }
  return array;
}

static json_t *record_json (const BkvField *fields, gconstpointer record, gboolean masked,
                            gboolean steps)
{
  guint64 has = masked ? *(const guint64 *) record : ~G_GUINT64_CONSTANT (0);
  json_t *object = json_object ();

  for (const BkvField *field = fields; field->name != NULL; field++) {
    if ((has >> (field - fields) & 1) == 0 || (field->steps_only && !steps))
      continue;
    json_object_set_new (object, field->name,
                         field->type == BKV_TYPE_LIST ? list_json (field, record)
                                                      : bkv_field_json (field, record));
  }
  return object;
}

static json_t *fields_json (const BkvFrame *frame)
{
  const BkvLayout *layout
      = bkv_layout (frame->has_bkv_cmd ? BKV_STATUS_REPORT : frame->kind);

  return record_json (layout->fields, (const guint8 *) frame + layout->offset,
                      layout->masked,
                      frame->kind != BKV_CARD_CHARGE || frame->card_charge.mode == 3);
}

/* ---- items ------------------------------------------------------------------------ */

typedef struct {
  const BkvRecord *record; /* NULL: the outermost level */
  guint containers;        /* taken so far */
  gboolean seq, gateway;
} Level;

/* The record of a container that was decoded, NULL for all else. */
static const BkvRecord *opens (Level *level, const guint8 *item, gboolean *known)
{
  const BkvRecord *record = level->record != NULL ? level->record : &bkv_item_record;
  const BkvField *field = bkv_item_field (record, item);

  *known = field != NULL;
  if (field == NULL || field->type != BKV_TYPE_LIST || field->list->wire_size != 0)
    return NULL;
  *known = level->containers < field->list->max;
  if (!*known)
    return NULL;
  level->containers++;
  return level->record == NULL ? &bkv_socket_record : &bkv_port_record;
}

static gboolean is_header (Level *level, const guint8 *item, gboolean first)
{
  gboolean *seen = item[2] == 2 ? &level->seq : &level->gateway;

  if (level->record != NULL || item[1] != 1)
    return FALSE;
  if (first)
    return TRUE;
  if (!((item[2] == 2 && item[0] == 10) || (item[2] == 3 && item[0] == 9)) || *seen)
    return FALSE;
  *seen = TRUE;
  return TRUE;
}

static json_t *tlvs_json (const guint8 *p, gsize n, const BkvRecord *record,
                          json_t *unknown)
{
  Level level = {.record = record};
  json_t *array = json_array ();
  gboolean first = TRUE;
  gsize size;

  for (; n > 0 && (size = bkv_item_size (p, n)) > 0;
       p += size, n -= size, first = FALSE) {
    gboolean known;
    const BkvRecord *inside = opens (&level, p, &known);
    json_t *item = json_array ();
    json_t *value = inside != NULL ? tlvs_json (p + 3, size - 3, inside, unknown)
                                   : hex_json (p + 3, size - 3);

    json_array_append_new (item, json_sprintf ("0x%02X", p[2]));
    if (!known && !is_header (&level, p, first)) {
      json_t *entry = json_copy (item);

      json_array_append (entry, value);
      json_array_append_new (unknown, entry);
    }
    json_array_append_new (item, value);
    if (p[1] != 1)
      json_array_append_new (item, json_integer (p[1]));
    json_array_append_new (array, item);
  }
  return array;
}

/* Adds `tlvs`, `unknown_tags` and the like. */
static void items_json (const BkvFrame *frame, json_t *object)
{
  json_t *unknown = json_array ();

  json_object_set_new (object, "bkv_cmd", json_sprintf ("0x%04X", frame->bkv_cmd));
  if (frame->has_bkv_seq)
    json_object_set_new (object, "bkv_seq",
                         json_sprintf ("%016" G_GINT64_MODIFIER "X", frame->bkv_seq));
  if (frame->has_bkv_gateway)
    json_object_set_new (object, "bkv_gateway_id",
                         hex_json (frame->bkv_gateway, BKV_GATEWAY_SIZE));
  json_object_set_new (object, "fields", fields_json (frame));
  json_object_set_new (object, "tlvs",
                       tlvs_json (frame->payload,
                                  frame->payload_size - frame->tlv_rest_size, NULL,
                                  unknown));
  if (json_array_size (unknown) > 0)
    json_object_set (object, "unknown_tags", unknown);
  json_decref (unknown);
  if (frame->error == BKV_TLV_LENGTH)
    json_object_set_new (object, "tlv_rest_hex",
                         hex_json (frame->tlv_rest, frame->tlv_rest_size));
}

/* ---- frame ------------------------------------------------------------------------ */

static json_t *payload_error (const BkvFrame *frame)
{
  if (frame->missing != NULL)
    return json_sprintf ("payload of %u bytes ends before field %s",
                         frame->has_sub ? frame->inner_len : (guint) frame->payload_size,
                         frame->missing);
  if (frame->has_sub)
    return json_sprintf ("inner length %u, %u bytes present", frame->inner_len,
                         (guint) frame->payload_size - 3);
  return json_string (bkv_form (frame->cmd) == BKV_FORM_ITEMS
                          ? "first item is not tag 01"
                          : "payload ends before the sub-command");
}

static void add_content (const BkvFrame *frame, json_t *object)
{
  gboolean named
      = frame->kind != BKV_UNKNOWN || frame->error == BKV_OK || frame->has_bkv_cmd;

  if (frame->has_sub) {
    json_object_set_new (object, "inner_len", json_integer (frame->inner_len));
    json_object_set_new (object, "sub", json_sprintf ("0x%02X", frame->sub));
    if (frame->len_counts_sub)
      json_object_set_new (object, "len_counts_sub", json_true ());
  }
  if (named)
    json_object_set_new (object, "name", json_string (bkv_kind_name (frame->kind)));
  if (frame->has_bkv_cmd) {
    items_json (frame, object);
    return;
  }
  if (frame->error == BKV_OK && bkv_layout (frame->kind)->form != BKV_FORM_RAW) {
    json_object_set_new (object, "fields", fields_json (frame));
    if (frame->extra_size > 0)
      json_object_set_new (object, "extra_hex",
                           hex_json (frame->extra, frame->extra_size));
    return;
  }
  json_object_set_new (object, "data_hex",
                       hex_json (frame->payload, frame->payload_size));
  if (frame->error == BKV_SHORT_PAYLOAD)
    json_object_set_new (object, "payload_error", payload_error (frame));
}

json_t *bkv_frame_json (const guint8 *p, gsize n)
{
  g_autofree BkvFrame *frame = g_new (BkvFrame, 1);
  const char *error;
  json_t *object;

  if (!bkv_decode (p, n, frame))
    return json_null ();
  object = json_pack ("{s:s, s:s, s:i, s:o, s:I, s:i, s:s, s:i}", "kind", "bkv", "header",
                      frame->up ? "fcfe" : "fcff", "length", (int) frame->length, "cmd",
                      json_sprintf ("0x%04X", frame->cmd), "msg_id",
                      (json_int_t) frame->msg_id, "dir", (int) frame->dir, "gateway_id",
                      frame->gateway_id, "checksum", (int) frame->checksum);
  error = bkv_error_name (frame->error);
  if (error != NULL)
    json_object_set_new (object, "error", json_string (error));
  if (frame->error == BKV_BAD_DIRECTION)
    json_object_set_new (object, "data_hex",
                         hex_json (frame->payload, frame->payload_size));
  else
    add_content (frame, object);
  return object;
}

json_t *bkv_decode_json (const guint8 *p, gsize n)
{
  json_t *items = json_array ();
  json_t *object;
  const char *first = NULL;
  gsize at = 0;
  gsize discarded = 0;
  gssize size = 0;

  while (at < n) {
    const char *error = NULL;

    size = bkv_frame (p + at, n - at, BKV_MAX_FRAME, &error);
    if (size == 0)
      break;
    if (size > 0) {
      json_array_append_new (items, bkv_frame_json (p + at, (gsize) size));
      at += (gsize) size;
      continue;
    }
    if (first == NULL)
      first = error;
    discarded += (gsize) -size;
    at += (gsize) -size;
  }
  if (json_array_size (items) == 1 && discarded == 0 && at == n) {
    object = json_incref (json_array_get (items, 0));
    json_decref (items);
    return object;
  }
  if (first == NULL && at < n)
    first = "truncated";
  for (gsize i = 0; first == NULL && i < json_array_size (items); i++)
    first = json_string_value (json_object_get (json_array_get (items, i), "error"));
  object
      = json_pack ("{s:s, s:O, s:I, s:I}", "kind", "stream", "items", items, "discarded",
                   (json_int_t) discarded, "pending", (json_int_t) (n - at));
  if (first != NULL)
    json_object_set_new (object, "error", json_string (first));
  json_decref (items);
  return object;
}
