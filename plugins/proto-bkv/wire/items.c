/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The item format of command 0x1000 (bkv 8.1): length, type, tag, value. Two levels of
 * containers at most, so reading is bounded by the payload.
 */
#include "proto-bkv/wire/layout.h"

enum { TAG_CMD = 0x01, TAG_SEQ = 0x02, TAG_GATEWAY = 0x03 };
enum { HEADER_TYPE = 1 };

const BkvField *bkv_item_field (const BkvRecord *record, const guint8 *item)
{
  gsize size = (gsize) item[0] - 2;
  const BkvField *field;

  if (item[1] != HEADER_TYPE || record->by_tag[item[2]] == 0)
    return NULL;
  field = record->fields + record->by_tag[item[2]] - 1;
  if (field->type != BKV_TYPE_LIST)
    return size == field->size ? field : NULL;
  if (field->list->wire_size == 0)
    return field;
  return size % field->list->wire_size == 0
                 && size / field->list->wire_size <= field->list->max
             ? field
             : NULL;
}

static inline void mark (gpointer record, const BkvRecord *table, const BkvField *field)
{
  *(guint64 *) record |= G_GUINT64_CONSTANT (1) << (field - table->fields);
}

static void get_entries (const BkvField *field, const guint8 *p, gsize size,
                         gpointer record)
{
  const BkvList *list = field->list;
  guint8 *entry = (guint8 *) record + field->offset;
  gsize n = size / list->wire_size;

  for (gsize i = 0; i < n; i++, entry += list->size)
    for (const BkvField *f = list->fields; f->name != NULL; p += f->size, f++)
      bkv_field_get (f, p, entry);
  *bkv_count (record, list) = (guint16) n;
}

/* The items of an outlet. FALSE: broken inside. */
static gboolean read_port (const guint8 *p, gsize n, BkvPort *port, guint *unknown)
{
  memset (port, 0, sizeof *port);
  while (n > 0) {
    gsize size = bkv_item_size (p, n);
    const BkvField *field;

    if (size == 0)
      return FALSE;
    field = bkv_item_field (&bkv_port_record, p);
    if (field != NULL) {
      bkv_field_get (field, p + 3, port);
      mark (port, &bkv_port_record, field);
    } else {
      ++*unknown;
    }
    p += size;
    n -= size;
  }
  return TRUE;
}

static gboolean read_socket (const guint8 *p, gsize n, BkvSocket *socket, guint *unknown)
{
  memset (socket, 0, sizeof *socket);
  while (n > 0) {
    gsize size = bkv_item_size (p, n);
    const BkvField *field;

    if (size == 0)
      return FALSE;
    field = bkv_item_field (&bkv_socket_record, p);
    if (field != NULL && field->type == BKV_TYPE_LIST
        && socket->n_ports < BKV_MAX_PORTS) {
      if (!read_port (p + 3, size - 3, &socket->ports[socket->n_ports], unknown))
        return FALSE;
      socket->n_ports++;
      mark (socket, &bkv_socket_record, field);
    } else if (field != NULL && field->type != BKV_TYPE_LIST) {
      bkv_field_get (field, p + 3, socket);
      mark (socket, &bkv_socket_record, field);
    } else {
      ++*unknown;
    }
    p += size;
    n -= size;
  }
  return TRUE;
}

/* Header items count once; a second one is kept as unknown. */
static gboolean read_header (BkvFrame *frame, const guint8 *p)
{
  if (p[1] != HEADER_TYPE)
    return FALSE;
  if (p[2] == TAG_SEQ && p[0] == 10 && !frame->has_bkv_seq) {
    frame->bkv_seq = (guint64) bkv_get32 (p + 3) << 32 | bkv_get32 (p + 7);
    frame->has_bkv_seq = TRUE;
    return TRUE;
  }
  if (p[2] == TAG_GATEWAY && p[0] == 2 + BKV_GATEWAY_SIZE && !frame->has_bkv_gateway) {
    memcpy (frame->bkv_gateway, p + 3, BKV_GATEWAY_SIZE);
    frame->has_bkv_gateway = TRUE;
    return TRUE;
  }
  return FALSE;
}

/* One item of the outermost level. FALSE: a container that is broken inside. */
static gboolean read_item (BkvFrame *frame, const guint8 *p, gsize size, guint *unknown)
{
  BkvItems *items = &frame->items;
  const BkvField *field;
  guint inside = 0;

  if (read_header (frame, p))
    return TRUE;
  field = bkv_item_field (&bkv_item_record, p);
  if (field != NULL && field->type == BKV_TYPE_LIST && field->list->wire_size == 0) {
    if (items->n_sockets < BKV_MAX_SOCKETS) {
      if (!read_socket (p + 3, size - 3, &items->sockets[items->n_sockets], &inside))
        return FALSE;
      items->n_sockets++;
      mark (items, &bkv_item_record, field);
      *unknown += inside;
      return TRUE;
    }
    field = NULL;
  }
  if (field == NULL) {
    ++*unknown;
    return TRUE;
  }
  if (field->type == BKV_TYPE_LIST)
    get_entries (field, p + 3, size - 3, items);
  else
    bkv_field_get (field, p + 3, items);
  mark (items, &bkv_item_record, field);
  return TRUE;
}

void bkv_items_decode (BkvFrame *frame)
{
  const guint8 *p = frame->payload;
  gsize n = frame->payload_size;
  gsize size = bkv_item_size (p, n);
  guint unknown = 0;

  memset (&frame->items, 0, G_STRUCT_OFFSET (BkvItems, fee_periods));
  if (size != 5 || p[1] != HEADER_TYPE || p[2] != TAG_CMD) {
    frame->error = BKV_SHORT_PAYLOAD;
    return;
  }
  frame->bkv_cmd = bkv_get16 (p + 3);
  frame->has_bkv_cmd = TRUE;
  frame->kind = bkv_kind_of (frame->cmd, frame->bkv_cmd, frame->up);
  for (p += size, n -= size; n > 0; p += size, n -= size) {
    size = bkv_item_size (p, n);
    if (size == 0 || !read_item (frame, p, size, &unknown)) {
      frame->error = BKV_TLV_LENGTH;
      frame->tlv_rest = p;
      frame->tlv_rest_size = n;
      break;
    }
  }
  frame->unknown_tags = (guint16) unknown;
}

/* ---- writing ---------------------------------------------------------------------- */

typedef struct {
  guint8 *p;
  gsize n, max;
  gboolean failed;
} Out;

static guint8 *put_item (Out *out, guint8 tag, gsize size)
{
  guint8 *p = out->p + out->n;

  if (out->failed || size > 253 || out->max - out->n < size + 3) {
    out->failed = TRUE;
    return NULL;
  }
  p[0] = (guint8) (size + 2);
  p[1] = HEADER_TYPE;
  p[2] = tag;
  out->n += size + 3;
  return p + 3;
}

static void put_field (Out *out, const BkvField *field, gconstpointer record)
{
  guint8 *p = put_item (out, field->tag, field->size);

  if (p != NULL)
    bkv_field_put (field, record, p);
}

static void put_record (Out *out, const BkvField *fields, const guint64 *record);

/* A container's length is known when its items are written. */
static void put_container (Out *out, const BkvField *field, const guint64 *entry)
{
  gsize start = out->n;
  gsize size;

  if (put_item (out, field->tag, 0) == NULL)
    return;
  put_record (out, field->list->fields, entry);
  size = out->n - start - 3;
  if (out->failed || size > 253) {
    out->failed = TRUE;
    return;
  }
  out->p[start] = (guint8) (size + 2);
}

static void put_list (Out *out, const BkvField *field, gconstpointer record)
{
  const BkvList *list = field->list;
  const guint8 *entry = (const guint8 *) record + field->offset;
  gsize n = *bkv_count ((gpointer) (guintptr) record, list);
  guint8 *p;

  if (n > list->max) {
    out->failed = TRUE;
    return;
  }
  if (list->wire_size == 0) {
    for (gsize i = 0; i < n; i++, entry += list->size)
      put_container (out, field, (const guint64 *) (gconstpointer) entry);
    return;
  }
  p = put_item (out, field->tag, n * list->wire_size);
  if (p == NULL)
    return;
  for (gsize i = 0; i < n; i++, entry += list->size)
    for (const BkvField *f = list->fields; f->name != NULL; p += f->size, f++)
      bkv_field_put (f, entry, p);
}

static void put_one (Out *out, const BkvField *field, gconstpointer record)
{
  if (field->type == BKV_TYPE_LIST)
    put_list (out, field, record);
  else
    put_field (out, field, record);
}

/* All present fields in the order of the table. */
static void put_record (Out *out, const BkvField *fields, const guint64 *record)
{
  for (const BkvField *field = fields; field->name != NULL; field++)
    if (*record >> (field - fields) & 1)
      put_one (out, field, record);
}

gsize bkv_items_encode (const BkvFrame *frame, guint8 *out, gsize max)
{
  const BkvLayout *layout = bkv_layout (frame->kind);
  Out o = {.p = out, .max = max};
  guint64 left = frame->items.has;
  guint8 *p;

  if ((p = put_item (&o, TAG_CMD, 2)) != NULL)
    bkv_put16 (p, frame->bkv_cmd);
  if (frame->has_bkv_seq && (p = put_item (&o, TAG_SEQ, 8)) != NULL) {
    bkv_put32 (p, (guint32) (frame->bkv_seq >> 32));
    bkv_put32 (p + 4, (guint32) frame->bkv_seq);
  }
  if (frame->has_bkv_gateway
      && (p = put_item (&o, TAG_GATEWAY, BKV_GATEWAY_SIZE)) != NULL)
    memcpy (p, frame->bkv_gateway, BKV_GATEWAY_SIZE);
  for (const char *tag = layout->order; tag != NULL && *tag != 0; tag++) {
    guint number = bkv_item_record.by_tag[(guint8) *tag] - 1u;

    if (left >> number & 1) {
      put_one (&o, &bkv_item_record.fields[number], &frame->items);
      left &= ~(G_GUINT64_CONSTANT (1) << number);
    }
  }
  /* What the kind does not list follows in the order of the table. */
  for (guint i = 0; i < BKV_ITEM_N; i++)
    if (left >> i & 1)
      put_one (&o, &bkv_item_record.fields[i], &frame->items);
  return o.failed ? 0 : o.n;
}
