/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How payloads are laid out: one table per record, from which decoding, encoding and
 * JSON come. Only the files of this folder include it.
 */
#pragma once

#include "proto-bkv/wire/wire.h"

typedef enum {
  BKV_TYPE_U8 = 1,
  BKV_TYPE_S8,
  BKV_TYPE_U16,
  BKV_TYPE_U32,
  BKV_TYPE_HEX,   /* bytes, shown as hexadecimal digits */
  BKV_TYPE_ASCII, /* text, filled with NUL; the member has one byte more */
  BKV_TYPE_FW,    /* text of the heartbeat: all but the last byte of the payload */
  BKV_TYPE_BCD7,
  BKV_TYPE_DT7,
  BKV_TYPE_IP4,
  BKV_TYPE_LIST,
} BkvType;

typedef struct _BkvField BkvField;

/* A list of records behind a count byte, to the end of the payload, or in items. */
typedef struct {
  gboolean counted;
  gboolean masked; /* entries begin with the presence bits */
  guint16 max;
  guint16 size;           /* of one entry in C */
  guint16 wire_size;      /* of one entry on the wire; 0 for containers of items */
  guint16 count_offset;   /* guint16 member that counts */
  const BkvField *fields; /* NULL: plain u16 */
} BkvList;

struct _BkvField {
  const char *name;
  guint8 type; /* BkvType */
  guint8 tag;  /* of the item; 0 in fixed payloads */
  guint16 size;
  guint16 offset;
  gboolean steps_only; /* only in mode 3 (card_charge) */
  const BkvList *list;
};

/* Which item tags a record knows. */
typedef struct {
  const BkvField *fields; /* ends with a NULL name */
  const guint8 *by_tag;   /* 256 entries: number of the field plus 1, 0 unknown */
} BkvRecord;

extern const BkvRecord bkv_port_record;
extern const BkvRecord bkv_socket_record;
extern const BkvRecord bkv_item_record;

typedef enum {
  BKV_FORM_RAW = 0, /* payload kept as it is */
  BKV_FORM_PLAIN,   /* payload follows the gateway id */
  BKV_FORM_INNER,   /* inner length and sub-command in front */
  BKV_FORM_ITEMS,
} BkvForm;

typedef struct {
  const char *name;
  guint16 cmd;
  guint16 sub; /* sub-command or inner command */
  gboolean up;
  guint8 form;     /* BkvForm */
  gsize offset;    /* of the record in BkvFrame */
  gsize clear;     /* bytes of it that are zeroed before decoding */
  gboolean masked; /* the record begins with presence bits */
  const BkvField *fields;
  const char *order; /* items in the order of writing */
} BkvLayout;

const BkvLayout *bkv_layout (BkvKind kind);

/* Whether a command has inner length and sub-command, or items. */
BkvForm bkv_form (guint16 cmd);

static inline guint16 bkv_get16 (const guint8 *p)
{
  return (guint16) (p[0] << 8 | p[1]);
}

static inline guint32 bkv_get32 (const guint8 *p)
{
  return (guint32) p[0] << 24 | (guint32) p[1] << 16 | (guint32) p[2] << 8 | p[3];
}

static inline void bkv_put16 (guint8 *p, guint v)
{
  p[0] = (guint8) (v >> 8);
  p[1] = (guint8) v;
}

static inline void bkv_put32 (guint8 *p, guint32 v)
{
  bkv_put16 (p, v >> 16);
  bkv_put16 (p + 2, v & 0xFFFF);
}

static inline guint16 *bkv_count (gpointer record, const BkvList *list)
{
  return (guint16 *) (gpointer) ((guint8 *) record + list->count_offset);
}

/* One field between wire and record. */
void bkv_field_get (const BkvField *field, const guint8 *p, gpointer record);
void bkv_field_put (const BkvField *field, gconstpointer record, guint8 *p);
json_t *bkv_field_json (const BkvField *field, gconstpointer record);
gboolean bkv_field_parse (const BkvField *field, const json_t *value, gpointer record);

/* Decodes the items of a frame; fills error, tlv_rest and unknown_tags. */
void bkv_items_decode (BkvFrame *frame);
/* Encodes the payload of a 0x1000 frame; 0 when it does not fit. */
gsize bkv_items_encode (const BkvFrame *frame, guint8 *out, gsize max);

/* One item at @p: its size with the length byte, 0 when it is broken. */
static inline gsize bkv_item_size (const guint8 *p, gsize n)
{
  return n < 3 || p[0] < 2 || (gsize) p[0] + 1 > n ? 0 : (gsize) p[0] + 1;
}

/*
 * What an item is on its level: a field of @record, or NULL when it is unknown there
 * (other type, other size, no such tag).
 */
const BkvField *bkv_item_field (const BkvRecord *record, const guint8 *item);
