/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Strings: SET with its options, and pieces of strings. */
#include "memory.h"
#include "number.h"

#include <string.h>

#define TOO_LONG "ERR string exceeds maximum allowed size (proto-max-bulk-len)"

MemBytes mem_string_value (const MemEntry *entry)
{
  return (MemBytes) {entry->bytes, entry->size};
}

gboolean mem_string_is_near (const MemEntry *entry)
{
  return entry->bytes == (const char *) (entry + 1) + entry->node.key_size;
}

void mem_string_free (Mem *mem, MemEntry *entry)
{
  if (!mem_string_is_near (entry))
    mem_free (&mem->heap, entry->bytes);
}

/* Makes room for @size bytes; appended strings get some ahead. */
char *mem_string_grow (Mem *mem, MemEntry *entry, gsize size)
{
  if (size > entry->room) {
    gsize room = size < 1024 * 1024 ? size * 2 : size + 1024 * 1024;
    char *near = mem_string_is_near (entry) ? entry->bytes : NULL;
    entry->bytes = mem_realloc (&mem->heap, near != NULL ? NULL : entry->bytes, room);
    if (near != NULL)
      memcpy (entry->bytes, near, entry->size);
    entry->room = (guint32) room;
  }
  return entry->bytes;
}

void mem_string_set (Mem *mem, MemEntry *entry, MemBytes value)
{
  if (value.n > entry->room
      || (value.n < entry->room / 4 && !mem_string_is_near (entry))) {
    mem_string_free (mem, entry);
    entry->bytes = value.n > 0 ? mem_alloc (&mem->heap, value.n) : NULL;
    entry->room = (guint32) value.n;
  }
  if (value.n > 0)
    memcpy (entry->bytes, value.p, value.n);
  entry->size = (guint32) value.n;
}

/* @entry is what the key holds, NULL when it is not there. */
static MemEntry *store_at (Mem *mem, MemEntry *entry, MemBytes key, MemBytes value)
{
  mem_changed (mem);
  if (entry == NULL)
    return mem_create_string (mem, key, value);
  if (entry->type != MEM_STRING) {
    mem_value_free (mem, entry);
    entry->type = MEM_STRING;
  }
  mem_expire_clear (entry);
  mem_string_set (mem, entry, value);
  return entry;
}

/* Sets the key, whatever it held. Keeps no expiry. */
static MemEntry *store (Mem *mem, MemBytes key, MemBytes value)
{
  return store_at (mem, mem_peek (mem, key), key, value);
}

/* ---- SET ----------------------------------------------------------------------------
 */

typedef struct {
  gboolean nx, xx, get, keep_ttl, persist;
  gsize expire_at; /* argument with the time; 0: none */
  gint64 unit_ms;
  gboolean absolute;
} SetOptions;

static gboolean read_expiry_option (const MemCall *call, gsize *at, SetOptions *options)
{
  static const struct {
    const char *name;
    gint64 unit_ms;
    gboolean absolute;
  } names[]
      = {{"EX", 1000, FALSE}, {"PX", 1, FALSE}, {"EXAT", 1000, TRUE}, {"PXAT", 1, TRUE}};

  if (*at + 1 >= call->argc || options->expire_at != 0 || options->keep_ttl
      || options->persist)
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    if (!mem_arg_is (call->argv[*at], names[i].name))
      continue;
    options->expire_at = ++*at;
    options->unit_ms = names[i].unit_ms;
    options->absolute = names[i].absolute;
    return TRUE;
  }
  return FALSE;
}

static gboolean read_set_options (MemCall *call, SetOptions *options)
{
  for (gsize i = 3; i < call->argc; i++) {
    MemBytes arg = call->argv[i];
    if (mem_arg_is (arg, "NX") && !options->xx) {
      options->nx = TRUE;
    } else if (mem_arg_is (arg, "XX") && !options->nx) {
      options->xx = TRUE;
    } else if (mem_arg_is (arg, "GET")) {
      options->get = TRUE;
    } else if (mem_arg_is (arg, "KEEPTTL") && options->expire_at == 0) {
      options->keep_ttl = TRUE;
    } else if (!read_expiry_option (call, &i, options)) {
      mem_syntax_error (call);
      return FALSE;
    }
  }
  return TRUE;
}

static gboolean read_when (Mem *mem, MemCall *call, gsize at, gint64 unit_ms,
                           gboolean absolute, gint64 *when_ms)
{
  gint64 value;

  if (!mem_arg_int (call, at, &value))
    return FALSE;
  gint64 base_ms = absolute ? 0 : mem->now_ms;
  if (value <= 0 || value > G_MAXINT64 / unit_ms
      || value * unit_ms > G_MAXINT64 - base_ms) {
    mem_out_error (call->out, "ERR invalid expire time in '%s' command",
                   call->command->name);
    return FALSE;
  }
  *when_ms = value * unit_ms + base_ms;
  return TRUE;
}

static void reply_value (MemCall *call, const MemEntry *entry)
{
  if (entry == NULL)
    mem_out_nil (call->out);
  else
    mem_out_bytes (call->out, entry->bytes, entry->size);
}

static void set (Mem *mem, MemCall *call)
{
  SetOptions options = {FALSE};
  gint64 when_ms = 0;
  MemEntry *entry;

  if (!read_set_options (call, &options)
      || (options.expire_at != 0
          && !read_when (mem, call, options.expire_at, options.unit_ms, options.absolute,
                         &when_ms)))
    return;
  if (options.get) {
    if (!mem_find (mem, call, call->argv[1], MEM_STRING, &entry))
      return;
    reply_value (call, entry);
  } else {
    entry = mem_peek (mem, call->argv[1]);
  }
  if ((options.nx && entry != NULL) || (options.xx && entry == NULL)) {
    if (!options.get)
      mem_out_nil (call->out);
    return;
  }
  gint64 kept_ms = entry != NULL && options.keep_ttl ? entry->expire_ms : 0;
  entry = store_at (mem, entry, call->argv[1], call->argv[2]);
  if (when_ms != 0 || kept_ms != 0)
    mem_expire_set (mem, entry, when_ms != 0 ? when_ms : kept_ms);
  if (!options.get)
    mem_out_ok (call->out);
}

static void setnx (Mem *mem, MemCall *call)
{
  gboolean free = mem_peek (mem, call->argv[1]) == NULL;
  if (free)
    store (mem, call->argv[1], call->argv[2]);
  mem_out_integer (call->out, free ? 1 : 0);
}

static void set_for (Mem *mem, MemCall *call, gint64 unit_ms)
{
  gint64 when_ms;

  if (!read_when (mem, call, 2, unit_ms, FALSE, &when_ms))
    return;
  mem_expire_set (mem, store (mem, call->argv[1], call->argv[3]), when_ms);
  mem_out_ok (call->out);
}

static void setex (Mem *mem, MemCall *call)
{
  set_for (mem, call, 1000);
}

static void psetex (Mem *mem, MemCall *call)
{
  set_for (mem, call, 1);
}

/* ---- reading ------------------------------------------------------------------------
 */

static void get (Mem *mem, MemCall *call)
{
  MemEntry *entry;
  if (mem_find (mem, call, call->argv[1], MEM_STRING, &entry))
    reply_value (call, entry);
}

static void getset (Mem *mem, MemCall *call)
{
  MemEntry *entry;

  if (!mem_find (mem, call, call->argv[1], MEM_STRING, &entry))
    return;
  reply_value (call, entry);
  store (mem, call->argv[1], call->argv[2]);
}

static void getdel (Mem *mem, MemCall *call)
{
  MemEntry *entry;

  if (!mem_find (mem, call, call->argv[1], MEM_STRING, &entry))
    return;
  reply_value (call, entry);
  if (entry == NULL)
    return;
  mem_delete (mem, entry);
  mem_changed (mem);
}

static void getex (Mem *mem, MemCall *call)
{
  SetOptions options = {FALSE};
  gint64 when_ms = 0;
  MemEntry *entry;

  for (gsize i = 2; i < call->argc; i++) {
    if (mem_arg_is (call->argv[i], "PERSIST") && options.expire_at == 0) {
      options.persist = TRUE;
    } else if (!read_expiry_option (call, &i, &options)) {
      mem_syntax_error (call);
      return;
    }
  }
  if (!mem_find (mem, call, call->argv[1], MEM_STRING, &entry))
    return;
  if (entry == NULL) {
    mem_out_nil (call->out);
    return;
  }
  if (options.expire_at != 0
      && !read_when (mem, call, options.expire_at, options.unit_ms, options.absolute,
                     &when_ms))
    return;
  reply_value (call, entry);
  if (when_ms != 0 && when_ms <= mem->now_ms)
    mem_delete (mem, entry);
  else if (when_ms != 0)
    mem_expire_set (mem, entry, when_ms);
  else if (options.persist)
    mem_expire_clear (entry);
  if (when_ms != 0 || options.persist)
    mem_changed (mem);
}

static void mget (Mem *mem, MemCall *call)
{
  mem_out_array (call->out, call->argc - 1);
  for (gsize i = 1; i < call->argc; i++) {
    MemEntry *entry = mem_peek (mem, call->argv[i]);
    reply_value (call, entry != NULL && entry->type == MEM_STRING ? entry : NULL);
  }
}

static gboolean mset_generic (Mem *mem, MemCall *call, gboolean only_new)
{
  if (call->argc % 2 == 0) {
    mem_wrong_arguments (call);
    return FALSE;
  }
  for (gsize i = 1; only_new && i < call->argc; i += 2) {
    if (mem_peek (mem, call->argv[i]) == NULL)
      continue;
    mem_out_integer (call->out, 0);
    return FALSE;
  }
  for (gsize i = 1; i < call->argc; i += 2)
    store (mem, call->argv[i], call->argv[i + 1]);
  return TRUE;
}

static void mset (Mem *mem, MemCall *call)
{
  if (mset_generic (mem, call, FALSE))
    mem_out_ok (call->out);
}

static void msetnx (Mem *mem, MemCall *call)
{
  if (mset_generic (mem, call, TRUE))
    mem_out_integer (call->out, 1);
}

/* ---- pieces -------------------------------------------------------------------------
 */

static void append (Mem *mem, MemCall *call)
{
  MemBytes more = call->argv[2];
  MemEntry *entry;

  if (!mem_find (mem, call, call->argv[1], MEM_STRING, &entry))
    return;
  if (entry == NULL)
    entry = mem_create (mem, call->argv[1], MEM_STRING);
  if (entry->size + more.n > MEM_STRING_MAX) {
    mem_out_error (call->out, TOO_LONG);
    return;
  }
  if (more.n > 0)
    memcpy (mem_string_grow (mem, entry, entry->size + more.n) + entry->size, more.p,
            more.n);
  entry->size += (guint32) more.n;
  mem_changed (mem);
  mem_out_integer (call->out, entry->size);
}

static void strlen_of (Mem *mem, MemCall *call)
{
  MemEntry *entry;
  if (mem_find (mem, call, call->argv[1], MEM_STRING, &entry))
    mem_out_integer (call->out, entry != NULL ? entry->size : 0);
}

static void getrange (Mem *mem, MemCall *call)
{
  gint64 first, last;
  MemEntry *entry;

  if (!mem_arg_int (call, 2, &first) || !mem_arg_int (call, 3, &last)
      || !mem_find (mem, call, call->argv[1], MEM_STRING, &entry))
    return;
  gint64 size = entry != NULL ? entry->size : 0;
  if (first < 0 && last < 0 && first > last)
    size = 0;
  if (last < 0)
    last = MAX (last + size, 0);
  if (entry != NULL && mem_clip (&first, &last, (gsize) size))
    mem_out_bytes (call->out, entry->bytes + first, (gsize) (last - first) + 1);
  else
    mem_out_bytes (call->out, "", 0);
}

static void setrange (Mem *mem, MemCall *call)
{
  MemBytes piece = call->argv[3];
  gint64 offset;
  MemEntry *entry;

  if (!mem_arg_int (call, 2, &offset))
    return;
  if (offset < 0) {
    mem_out_error (call->out, "ERR offset is out of range");
    return;
  }
  if (!mem_find (mem, call, call->argv[1], MEM_STRING, &entry))
    return;
  if (piece.n == 0) {
    mem_out_integer (call->out, entry != NULL ? entry->size : 0);
    return;
  }
  if ((guint64) offset + piece.n > MEM_STRING_MAX) {
    mem_out_error (call->out, TOO_LONG);
    return;
  }
  if (entry == NULL)
    entry = mem_create (mem, call->argv[1], MEM_STRING);
  gsize end = (gsize) offset + piece.n;
  char *bytes = mem_string_grow (mem, entry, end);
  if ((gsize) offset > entry->size)
    memset (bytes + entry->size, 0, (gsize) offset - entry->size);
  memcpy (bytes + offset, piece.p, piece.n);
  entry->size = (guint32) MAX (end, entry->size);
  mem_changed (mem);
  mem_out_integer (call->out, entry->size);
}

const MemCommand mem_string_commands[]
    = {{"get", 2, MEM_READ, get},
       {"set", -3, MEM_WRITE | MEM_GROWS, set},
       {"setnx", 3, MEM_WRITE | MEM_GROWS, setnx},
       {"setex", 4, MEM_WRITE | MEM_GROWS, setex},
       {"psetex", 4, MEM_WRITE | MEM_GROWS, psetex},
       {"getset", 3, MEM_WRITE | MEM_GROWS, getset},
       {"getdel", 2, MEM_WRITE, getdel},
       {"getex", -2, MEM_WRITE, getex},
       {"mget", -2, MEM_READ, mget},
       {"mset", -3, MEM_WRITE | MEM_GROWS, mset},
       {"msetnx", -3, MEM_WRITE | MEM_GROWS, msetnx},
       {"append", 3, MEM_WRITE | MEM_GROWS, append},
       {"strlen", 2, MEM_READ, strlen_of},
       {"getrange", 4, MEM_READ, getrange},
       {"substr", 4, MEM_READ, getrange},
       {"setrange", 4, MEM_WRITE | MEM_GROWS, setrange},
       {NULL}};
