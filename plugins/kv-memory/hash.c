/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hashes. */
#include "memory.h"
#include "number.h"

#include <math.h>
#include <string.h>

void mem_field_free (gpointer heap, MemNode *node)
{
  mem_free (heap, ((MemField *) node)->bytes);
  mem_free (heap, node);
}

static void field_set (Mem *mem, MemField *field, MemBytes value)
{
  if (value.n > field->room || value.n < field->room / 4) {
    mem_free (&mem->heap, field->bytes);
    field->bytes = value.n > 0 ? mem_alloc (&mem->heap, value.n) : NULL;
    field->room = (guint32) value.n;
  }
  if (value.n > 0)
    memcpy (field->bytes, value.p, value.n);
  field->size = (guint32) value.n;
}

MemField *mem_hash_set (Mem *mem, MemEntry *entry, MemBytes name, MemBytes value,
                        gboolean *is_new)
{
  MemField *field = (MemField *) mem_dict_find (entry->dict, name);

  *is_new = field == NULL;
  if (field == NULL) {
    field = mem_node_new (&mem->heap, sizeof (MemField), name);
    mem_dict_insert (entry->dict, &field->node);
  }
  field_set (mem, field, value);
  return field;
}

static MemField *field_find (const MemEntry *entry, MemBytes name)
{
  return entry != NULL ? (MemField *) mem_dict_find (entry->dict, name) : NULL;
}

static void reply_field (MemCall *call, const MemField *field)
{
  if (field != NULL)
    mem_out_bytes (call->out, field->bytes, field->size);
  else
    mem_out_nil (call->out);
}

static MemEntry *hash_for_write (Mem *mem, MemCall *call)
{
  MemEntry *entry;

  if (!mem_find (mem, call, call->argv[1], MEM_HASH, &entry))
    return NULL;
  return entry != NULL ? entry : mem_create (mem, call->argv[1], MEM_HASH);
}

/* How many fields were new, −1 with an error. */
static gint64 set_fields (Mem *mem, MemCall *call)
{
  gint64 n_new = 0;

  if (call->argc % 2 == 1) {
    mem_wrong_arguments (call);
    return -1;
  }
  MemEntry *entry = hash_for_write (mem, call);
  if (entry == NULL)
    return -1;
  for (gsize i = 2; i < call->argc; i += 2) {
    gboolean is_new;
    mem_hash_set (mem, entry, call->argv[i], call->argv[i + 1], &is_new);
    n_new += is_new;
  }
  mem_changed (mem);
  return n_new;
}

static void hset (Mem *mem, MemCall *call)
{
  gint64 n_new = set_fields (mem, call);
  if (n_new >= 0)
    mem_out_integer (call->out, n_new);
}

static void hmset (Mem *mem, MemCall *call)
{
  if (set_fields (mem, call) >= 0)
    mem_out_ok (call->out);
}

static void hsetnx (Mem *mem, MemCall *call)
{
  MemEntry *entry = hash_for_write (mem, call);
  gboolean is_new = FALSE;

  if (entry == NULL)
    return;
  if (field_find (entry, call->argv[2]) == NULL) {
    mem_hash_set (mem, entry, call->argv[2], call->argv[3], &is_new);
    mem_changed (mem);
  }
  mem_out_integer (call->out, is_new ? 1 : 0);
}

static void hget (Mem *mem, MemCall *call)
{
  MemEntry *entry;
  if (mem_find (mem, call, call->argv[1], MEM_HASH, &entry))
    reply_field (call, field_find (entry, call->argv[2]));
}

static void hmget (Mem *mem, MemCall *call)
{
  MemEntry *entry;

  if (!mem_find (mem, call, call->argv[1], MEM_HASH, &entry))
    return;
  mem_out_array (call->out, call->argc - 2);
  for (gsize i = 2; i < call->argc; i++)
    reply_field (call, field_find (entry, call->argv[i]));
}

static void reply_all (Mem *mem, MemCall *call, gboolean names, gboolean values)
{
  MemEntry *entry;
  MemDictIter iter;

  if (!mem_find (mem, call, call->argv[1], MEM_HASH, &entry))
    return;
  gsize count = entry != NULL ? mem_dict_count (entry->dict) : 0;
  mem_out_array (call->out, count * ((names ? 1u : 0u) + (values ? 1u : 0u)));
  if (entry == NULL)
    return;
  for (MemNode *node = mem_dict_first (&iter, entry->dict); node != NULL;
       node = mem_dict_next (&iter)) {
    MemBytes name = mem_node_key (node);
    if (names)
      mem_out_bytes (call->out, name.p, name.n);
    if (values)
      reply_field (call, (MemField *) node);
  }
}

static void hgetall (Mem *mem, MemCall *call)
{
  reply_all (mem, call, TRUE, TRUE);
}

static void hkeys (Mem *mem, MemCall *call)
{
  reply_all (mem, call, TRUE, FALSE);
}

static void hvals (Mem *mem, MemCall *call)
{
  reply_all (mem, call, FALSE, TRUE);
}

static void hdel (Mem *mem, MemCall *call)
{
  MemEntry *entry;
  gint64 n = 0;

  if (!mem_find (mem, call, call->argv[1], MEM_HASH, &entry))
    return;
  for (gsize i = 2; entry != NULL && i < call->argc; i++) {
    MemNode *node = mem_dict_take (entry->dict, call->argv[i]);
    if (node == NULL)
      continue;
    mem_field_free (&mem->heap, node);
    n++;
  }
  if (n > 0) {
    mem_delete_if_empty (mem, entry);
    mem_changed (mem);
  }
  mem_out_integer (call->out, n);
}

static void hexists (Mem *mem, MemCall *call)
{
  MemEntry *entry;
  if (mem_find (mem, call, call->argv[1], MEM_HASH, &entry))
    mem_out_integer (call->out, field_find (entry, call->argv[2]) != NULL ? 1 : 0);
}

static void hlen (Mem *mem, MemCall *call)
{
  MemEntry *entry;
  if (mem_find (mem, call, call->argv[1], MEM_HASH, &entry))
    mem_out_integer (call->out,
                     entry != NULL ? (gint64) mem_dict_count (entry->dict) : 0);
}

static void hstrlen (Mem *mem, MemCall *call)
{
  MemEntry *entry;

  if (!mem_find (mem, call, call->argv[1], MEM_HASH, &entry))
    return;
  MemField *field = field_find (entry, call->argv[2]);
  mem_out_integer (call->out, field != NULL ? field->size : 0);
}

static void hincrby (Mem *mem, MemCall *call)
{
  gint64 delta, value = 0;
  char text[MEM_NUMBER_SIZE];
  MemEntry *entry;
  gboolean is_new;

  if (!mem_arg_int (call, 3, &delta)
      || !mem_find (mem, call, call->argv[1], MEM_HASH, &entry))
    return;
  MemField *field = field_find (entry, call->argv[2]);
  if (field != NULL && !mem_parse_int ((MemBytes) {field->bytes, field->size}, &value)) {
    mem_out_error (call->out, "ERR hash value is not an integer");
    return;
  }
  if (__builtin_add_overflow (value, delta, &value)) {
    mem_out_error (call->out, "ERR increment or decrement would overflow");
    return;
  }
  if (entry == NULL)
    entry = mem_create (mem, call->argv[1], MEM_HASH);
  gsize size = mem_format_int (text, value);
  mem_hash_set (mem, entry, call->argv[2], (MemBytes) {text, size}, &is_new);
  mem_changed (mem);
  mem_out_integer (call->out, value);
}

static void hincrbyfloat (Mem *mem, MemCall *call)
{
  long double delta, value = 0;
  char text[MEM_LONG_DOUBLE_SIZE];
  gsize size;
  MemEntry *entry;
  gboolean is_new;

  if (!mem_parse_long_double (call->argv[3], &delta)) {
    mem_out_error (call->out, "ERR value is not a valid float");
    return;
  }
  if (isinf (delta)) {
    mem_out_error (call->out, "ERR value is NaN or Infinity");
    return;
  }
  if (!mem_find (mem, call, call->argv[1], MEM_HASH, &entry))
    return;
  MemField *field = field_find (entry, call->argv[2]);
  if (field != NULL
      && !mem_parse_long_double ((MemBytes) {field->bytes, field->size}, &value)) {
    mem_out_error (call->out, "ERR hash value is not a float");
    return;
  }
  if (!mem_add_float (call, value, delta, text, &size))
    return;
  if (entry == NULL)
    entry = mem_create (mem, call->argv[1], MEM_HASH);
  mem_hash_set (mem, entry, call->argv[2], (MemBytes) {text, size}, &is_new);
  mem_changed (mem);
  mem_out_bytes (call->out, text, size);
}

static guint emit_field (MemOut *out, MemNode *node)
{
  MemField *field = (MemField *) node;
  MemBytes name = mem_node_key (node);
  mem_out_bytes (out, name.p, name.n);
  mem_out_bytes (out, field->bytes, field->size);
  return 2;
}

static void hscan (Mem *mem, MemCall *call)
{
  MemEntry *entry;
  if (mem_find (mem, call, call->argv[1], MEM_HASH, &entry))
    mem_scan_dict (mem, call, entry != NULL ? entry->dict : NULL, 3, emit_field);
}

static void reply_random (Mem *mem, MemCall *call, MemEntry *entry, gint64 count,
                          gboolean values)
{
  gsize n = mem_dict_count (entry->dict);
  MemDictIter iter;

  if (count < 0) { /* the same one may come more than once */
    mem_out_array (call->out, (gsize) -count * (values ? 2 : 1));
    for (; count < 0; count++) {
      MemNode *node = mem_dict_random (entry->dict, mem_random, mem);
      MemBytes name = mem_node_key (node);
      mem_out_bytes (call->out, name.p, name.n);
      if (values)
        reply_field (call, (MemField *) node);
    }
    return;
  }
  gsize wanted = MIN ((gsize) count, n);
  mem_out_array (call->out, wanted * (values ? 2 : 1));
  for (MemNode *node = mem_dict_first (&iter, entry->dict); wanted > 0;
       node = mem_dict_next (&iter), n--) {
    if (mem_random (mem) % n >= wanted)
      continue;
    MemBytes name = mem_node_key (node);
    mem_out_bytes (call->out, name.p, name.n);
    if (values)
      reply_field (call, (MemField *) node);
    wanted--;
  }
}

static void hrandfield (Mem *mem, MemCall *call)
{
  gboolean values = call->argc == 4;
  gint64 count = 1;
  MemEntry *entry;

  if (call->argc >= 3 && !mem_arg_draws (call, 2, &count))
    return;
  if (call->argc > 4 || (values && !mem_arg_is (call->argv[3], "WITHVALUES"))) {
    mem_syntax_error (call);
    return;
  }
  if (count < -MEM_RANDOM_MAX || (values && count > G_MAXINT64 / 2)) {
    mem_out_error (call->out, "ERR value is out of range");
    return;
  }
  if (!mem_find (mem, call, call->argv[1], MEM_HASH, &entry))
    return;
  if (call->argc == 2) {
    if (entry == NULL) {
      mem_out_nil (call->out);
      return;
    }
    MemBytes name = mem_node_key (mem_dict_random (entry->dict, mem_random, mem));
    mem_out_bytes (call->out, name.p, name.n);
  } else if (entry == NULL) {
    mem_out_array (call->out, 0);
  } else {
    reply_random (mem, call, entry, count, values);
  }
}

const MemCommand mem_hash_commands[]
    = {{"hset", -4, MEM_WRITE | MEM_GROWS, hset},
       {"hmset", -4, MEM_WRITE | MEM_GROWS, hmset},
       {"hsetnx", 4, MEM_WRITE | MEM_GROWS, hsetnx},
       {"hget", 3, MEM_READ, hget},
       {"hmget", -3, MEM_READ, hmget},
       {"hgetall", 2, MEM_READ, hgetall},
       {"hkeys", 2, MEM_READ, hkeys},
       {"hvals", 2, MEM_READ, hvals},
       {"hdel", -3, MEM_WRITE, hdel},
       {"hexists", 3, MEM_READ, hexists},
       {"hlen", 2, MEM_READ, hlen},
       {"hstrlen", 3, MEM_READ, hstrlen},
       {"hincrby", 4, MEM_WRITE | MEM_GROWS, hincrby},
       {"hincrbyfloat", 4, MEM_WRITE | MEM_GROWS, hincrbyfloat},
       {"hscan", -3, MEM_READ, hscan},
       {"hrandfield", -2, MEM_READ, hrandfield},
       {NULL}};
