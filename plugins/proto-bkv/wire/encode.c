/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Struct to bytes. */
#include "proto-bkv/wire/layout.h"

typedef struct {
  guint8 *p;
  gsize n, max;
} Out;

static guint8 *reserve (Out *out, gsize size)
{
  guint8 *p = out->p + out->n;

  if (out->max - out->n < size)
    return NULL;
  out->n += size;
  return p;
}

static void put_entry (const BkvList *list, const guint8 *entry, guint8 *p)
{
  if (list->fields == NULL) {
    bkv_put16 (p, *(const guint16 *) (gconstpointer) entry);
    return;
  }
  for (const BkvField *field = list->fields; field->name != NULL; field++) {
    bkv_field_put (field, entry, p);
    p += field->size;
  }
}

static gboolean put_list (const BkvField *field, gpointer record, Out *out)
{
  const BkvList *list = field->list;
  gsize n = *bkv_count (record, list);
  guint8 *p;

  if (n > list->max
      || (p = reserve (out, (list->counted ? 1 : 0) + n * list->wire_size)) == NULL)
    return FALSE;
  if (list->counted)
    *p++ = (guint8) n;
  for (gsize i = 0; i < n; i++)
    put_entry (list, (const guint8 *) record + field->offset + i * list->size,
               p + i * list->wire_size);
  return TRUE;
}

static gboolean encode_fixed (const BkvFrame *frame, const BkvLayout *layout, Out *out)
{
  gpointer record = (guint8 *) (guintptr) frame + layout->offset;

  for (const BkvField *field = layout->fields; field->name != NULL; field++) {
    guint8 *p;

    if (field->steps_only && frame->card_charge.mode != 3)
      continue;
    if (field->type == BKV_TYPE_LIST) {
      if (!put_list (field, record, out))
        return FALSE;
      continue;
    }
    p = reserve (out, field->size);
    if (p == NULL)
      return FALSE;
    bkv_field_put (field, record, p);
  }
  return TRUE;
}

static gboolean encode_inner (const BkvFrame *frame, const BkvLayout *layout, Out *out)
{
  guint8 *p = reserve (out, 3);

  if (p == NULL || !encode_fixed (frame, layout, out))
    return FALSE;
  bkv_put16 (p, (guint) (out->n - 3));
  p[2] = frame->sub;
  return TRUE;
}

gsize bkv_wrap (const BkvFrame *frame, const guint8 *payload, gsize size, guint8 *out,
                gsize max)
{
  gsize length = size + BKV_MIN_LENGTH;

  if (length > BKV_MAX_LENGTH || max < length + 4)
    return 0;
  if (size > 0)
    memmove (out + 18, payload, size);
  out[0] = 0xFC;
  out[1] = frame->up ? 0xFE : 0xFF;
  bkv_put16 (out + 2, (guint) length);
  bkv_put16 (out + 4, frame->cmd);
  bkv_put32 (out + 6, frame->msg_id);
  out[10] = frame->dir;
  memcpy (out + 11, frame->gateway, BKV_GATEWAY_SIZE);
  out[length + 1] = bkv_checksum (out + 2, length - 1);
  out[length + 2] = 0xFC;
  out[length + 3] = 0xEE;
  return length + 4;
}

gsize bkv_encode (const BkvFrame *frame, guint8 *out, gsize max)
{
  const BkvLayout *layout = bkv_layout (frame->kind);
  Out payload = {.p = out + 18, .max = max < 21 ? 0 : max - 21};
  gboolean done;

  if (max < 21)
    return 0;
  switch ((BkvForm) layout->form) {
  case BKV_FORM_INNER:
    done = encode_inner (frame, layout, &payload);
    break;
  case BKV_FORM_PLAIN:
    done = encode_fixed (frame, layout, &payload);
    break;
  case BKV_FORM_ITEMS:
    payload.n = bkv_items_encode (frame, payload.p, payload.max);
    done = payload.n > 0;
    break;
  case BKV_FORM_RAW:
  default:
    return bkv_wrap (frame, frame->payload, frame->payload_size, out, max);
  }
  return done ? bkv_wrap (frame, payload.p, payload.n, out, max) : 0;
}

void bkv_init (BkvFrame *frame, BkvKind kind, const guint8 gateway[BKV_GATEWAY_SIZE],
               guint32 msg_id)
{
  const BkvLayout *layout = bkv_layout (kind);

  memset (frame, 0, sizeof *frame);
  frame->kind = kind;
  frame->up = layout->up;
  frame->dir = layout->up ? 1 : 0;
  frame->cmd = layout->cmd;
  frame->msg_id = msg_id;
  memcpy (frame->gateway, gateway, BKV_GATEWAY_SIZE);
  bkv_gateway_text (gateway, frame->gateway_id);
  if (layout->form == BKV_FORM_INNER) {
    frame->has_sub = TRUE;
    frame->sub = (guint8) layout->sub;
  } else if (layout->form == BKV_FORM_ITEMS) {
    frame->has_bkv_cmd = frame->has_bkv_seq = frame->has_bkv_gateway = TRUE;
    frame->bkv_cmd = layout->sub;
    frame->bkv_seq = msg_id;
    memcpy (frame->bkv_gateway, gateway, BKV_GATEWAY_SIZE);
  }
}
