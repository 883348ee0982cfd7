/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes to struct: the head of the frame and the fixed payloads. */
#include "proto-bkv/wire/layout.h"

/* What is left of a payload. */
typedef struct {
  const guint8 *p;
  gsize n;
} Rest;

static guint count_fields (const BkvField *fields)
{
  guint n = 0;

  while (fields[n].name != NULL)
    n++;
  return n;
}

static void get_entry (const BkvList *list, const guint8 *p, guint8 *entry)
{
  if (list->fields == NULL) {
    *(guint16 *) (gpointer) entry = bkv_get16 (p);
    return;
  }
  if (list->masked)
    *(guint64 *) (gpointer) entry
        = (G_GUINT64_CONSTANT (1) << count_fields (list->fields)) - 1;
  for (const BkvField *field = list->fields; field->name != NULL; field++) {
    bkv_field_get (field, p, entry);
    p += field->size;
  }
}

/* Entries beyond the bound of a counted list, and a rest too short for one, are left. */
static gboolean get_list (const BkvField *field, gpointer record, Rest *rest)
{
  const BkvList *list = field->list;
  gsize n = rest->n / list->wire_size;
  gsize skip = 0;

  if (list->counted) {
    if (rest->n < 1 || (rest->n - 1) / list->wire_size < rest->p[0])
      return FALSE;
    n = rest->p[0];
    skip = 1;
  }
  n = MIN (n, list->max);
  *bkv_count (record, list) = (guint16) n;
  for (gsize i = 0; i < n; i++)
    get_entry (list, rest->p + skip + i * list->wire_size,
               (guint8 *) record + field->offset + i * list->size);
  rest->p += skip + n * list->wire_size;
  rest->n -= skip + n * list->wire_size;
  return TRUE;
}

/* Firmware of the heartbeat: all bytes between the SIM number and the signal. */
static gboolean get_firmware (const BkvField *field, gpointer record, Rest *rest)
{
  char *fw = (char *) record + field->offset;
  gsize size = rest->n - (rest->n > 0);
  gsize kept = MIN (size, sizeof (((BkvHeartbeat *) NULL)->fw) - 1);

  memcpy (fw, rest->p, kept);
  fw[kept] = 0;
  rest->p += size;
  rest->n -= size;
  return TRUE;
}

static gboolean get_fixed (const BkvField *field, gpointer record, Rest *rest)
{
  if (rest->n < field->size)
    return FALSE;
  bkv_field_get (field, rest->p, record);
  rest->p += field->size;
  rest->n -= field->size;
  return TRUE;
}

static gboolean get_one (const BkvField *field, gpointer record, Rest *rest)
{
  switch (field->type) {
  case BKV_TYPE_LIST:
    return get_list (field, record, rest);
  case BKV_TYPE_FW:
    return get_firmware (field, record, rest);
  default:
    return get_fixed (field, record, rest);
  }
}

static void decode_fixed (BkvFrame *frame, const BkvLayout *layout, Rest rest)
{
  gpointer record = (guint8 *) frame + layout->offset;
  const guint8 *end = frame->payload + frame->payload_size;

  memset (record, 0, layout->clear);
  if (layout->masked)
    *(guint64 *) record = (G_GUINT64_CONSTANT (1) << count_fields (layout->fields)) - 1;
  for (const BkvField *field = layout->fields; field->name != NULL; field++) {
    if (field->steps_only && frame->card_charge.mode != 3)
      continue;
    if (!get_one (field, record, &rest)) {
      frame->error = BKV_SHORT_PAYLOAD;
      frame->missing = field->name;
      return;
    }
  }
  /* Bytes after the last field, and those behind the inner length, are one piece. */
  frame->extra = rest.p;
  frame->extra_size = (gsize) (end - rest.p);
}

static void decode_inner (BkvFrame *frame)
{
  Rest rest;
  gsize there;

  if (frame->payload_size < 3) {
    frame->error = BKV_SHORT_PAYLOAD;
    return;
  }
  there = frame->payload_size - 3;
  frame->has_sub = TRUE;
  frame->inner_len = bkv_get16 (frame->payload);
  frame->sub = frame->payload[2];
  if (frame->inner_len > there + 1) {
    frame->error = BKV_SHORT_PAYLOAD;
    return;
  }
  frame->len_counts_sub = frame->inner_len == there + 1;
  frame->kind = bkv_kind_of (frame->cmd, frame->sub, frame->up);
  rest = (Rest) {frame->payload + 3, MIN (frame->inner_len, there)};
  if (frame->kind != BKV_UNKNOWN)
    decode_fixed (frame, bkv_layout (frame->kind), rest);
}

static void decode_plain (BkvFrame *frame)
{
  const BkvLayout *layout;

  frame->kind = bkv_kind_of (frame->cmd, 0, frame->up);
  layout = bkv_layout (frame->kind);
  if (layout->form == BKV_FORM_PLAIN)
    decode_fixed (frame, layout, (Rest) {frame->payload, frame->payload_size});
}

gboolean bkv_decode (const guint8 *p, gsize n, BkvFrame *frame)
{
  if (n < BKV_MIN_LENGTH + 4 || p[0] != 0xFC || (p[1] != 0xFE && p[1] != 0xFF)
      || (gsize) bkv_get16 (p + 2) + 4 != n)
    return FALSE;
  memset (frame, 0, G_STRUCT_OFFSET (BkvFrame, heartbeat));
  frame->up = p[1] == 0xFE;
  frame->length = bkv_get16 (p + 2);
  frame->cmd = bkv_get16 (p + 4);
  frame->msg_id = bkv_get32 (p + 6);
  frame->dir = p[10];
  memcpy (frame->gateway, p + 11, BKV_GATEWAY_SIZE);
  bkv_gateway_text (frame->gateway, frame->gateway_id);
  frame->payload = p + 18;
  frame->payload_size = n - 21;
  frame->checksum = p[n - 3];

  if (frame->dir != (frame->up ? 1 : 0)) {
    frame->error = BKV_BAD_DIRECTION;
    return TRUE;
  }
  switch (bkv_form (frame->cmd)) {
  case BKV_FORM_INNER:
    decode_inner (frame);
    break;
  case BKV_FORM_ITEMS:
    bkv_items_decode (frame);
    break;
  case BKV_FORM_PLAIN:
    decode_plain (frame);
    break;
  case BKV_FORM_RAW:
  default:
    break;
  }
  return TRUE;
}
