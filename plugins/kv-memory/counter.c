/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Strings as numbers and as bits. */
#include "memory.h"
#include "number.h"

#include <string.h>

#define MAX_BIT ((gint64) MEM_STRING_MAX * 8)

static void add (Mem *mem, MemCall *call, gint64 delta)
{
  MemEntry *entry;
  gint64 value = 0;
  char text[MEM_NUMBER_SIZE];

  if (!mem_find (mem, call, call->argv[1], MEM_STRING, &entry))
    return;
  if (entry != NULL && !mem_parse_int (mem_string_value (entry), &value)) {
    mem_out_error (call->out, "ERR value is not an integer or out of range");
    return;
  }
  if (__builtin_add_overflow (value, delta, &value)) {
    mem_out_error (call->out, "ERR increment or decrement would overflow");
    return;
  }
  if (entry == NULL)
    entry = mem_create (mem, call->argv[1], MEM_STRING);
  gsize size = mem_format_int (text, value);
  mem_string_set (mem, entry, (MemBytes) {text, size});
  mem_changed (mem);
  mem_out_integer (call->out, value);
}

static void incr (Mem *mem, MemCall *call)
{
  add (mem, call, 1);
}

static void decr (Mem *mem, MemCall *call)
{
  add (mem, call, -1);
}

static void incrby (Mem *mem, MemCall *call)
{
  gint64 delta;
  if (mem_arg_int (call, 2, &delta))
    add (mem, call, delta);
}

static void decrby (Mem *mem, MemCall *call)
{
  gint64 delta;

  if (!mem_arg_int (call, 2, &delta))
    return;
  if (delta == G_MININT64)
    mem_out_error (call->out, "ERR decrement would overflow");
  else
    add (mem, call, -delta);
}

static void incrbyfloat (Mem *mem, MemCall *call)
{
  long double value = 0, delta;
  char text[MEM_LONG_DOUBLE_SIZE];
  gsize size;
  MemEntry *entry;

  if (!mem_find (mem, call, call->argv[1], MEM_STRING, &entry))
    return;
  if ((entry != NULL && !mem_parse_long_double (mem_string_value (entry), &value))
      || !mem_parse_long_double (call->argv[2], &delta)) {
    mem_out_error (call->out, "ERR value is not a valid float");
    return;
  }
  if (!mem_add_float (call, value, delta, text, &size))
    return;
  if (entry == NULL)
    entry = mem_create (mem, call->argv[1], MEM_STRING);
  mem_string_set (mem, entry, (MemBytes) {text, size});
  mem_changed (mem);
  mem_out_bytes (call->out, text, size);
}

static gboolean read_bit_offset (MemCall *call, gint64 *offset)
{
  if (mem_parse_int (call->argv[2], offset) && *offset >= 0 && *offset < MAX_BIT)
    return TRUE;
  mem_out_error (call->out, "ERR bit offset is not an integer or out of range");
  return FALSE;
}

static void getbit (Mem *mem, MemCall *call)
{
  gint64 offset;
  MemEntry *entry;

  if (!read_bit_offset (call, &offset)
      || !mem_find (mem, call, call->argv[1], MEM_STRING, &entry))
    return;
  gsize at = (gsize) offset / 8;
  guint shift = 7 - (guint) (offset % 8);
  gint bit
      = entry != NULL && at < entry->size ? ((guint8) entry->bytes[at] >> shift) & 1 : 0;
  mem_out_integer (call->out, bit);
}

static void setbit (Mem *mem, MemCall *call)
{
  gint64 offset, on;
  MemEntry *entry;

  if (!read_bit_offset (call, &offset))
    return;
  if (!mem_parse_int (call->argv[3], &on) || (on != 0 && on != 1)) {
    mem_out_error (call->out, "ERR bit is not an integer or out of range");
    return;
  }
  if (!mem_find (mem, call, call->argv[1], MEM_STRING, &entry))
    return;
  if (entry == NULL)
    entry = mem_create (mem, call->argv[1], MEM_STRING);
  gsize at = (gsize) offset / 8;
  guint shift = 7 - (guint) (offset % 8);
  if (at >= entry->size) {
    memset (mem_string_grow (mem, entry, at + 1) + entry->size, 0, at + 1 - entry->size);
    entry->size = (guint32) at + 1;
  }
  guint8 byte = (guint8) entry->bytes[at];
  mem_out_integer (call->out, (byte >> shift) & 1);
  byte = (guint8) ((byte & ~(1u << shift)) | ((guint) on << shift));
  entry->bytes[at] = (char) byte;
  mem_changed (mem);
}

const MemCommand mem_counter_commands[]
    = {{"incr", 2, MEM_WRITE | MEM_GROWS, incr},
       {"decr", 2, MEM_WRITE | MEM_GROWS, decr},
       {"incrby", 3, MEM_WRITE | MEM_GROWS, incrby},
       {"decrby", 3, MEM_WRITE | MEM_GROWS, decrby},
       {"incrbyfloat", 3, MEM_WRITE | MEM_GROWS, incrbyfloat},
       {"getbit", 3, MEM_READ, getbit},
       {"setbit", 4, MEM_WRITE | MEM_GROWS, setbit},
       {NULL}};
