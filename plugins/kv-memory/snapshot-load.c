/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading a snapshot: nothing in it is believed before it was checked. */
#include "list.h"
#include "snapshot.h"
#include "zset.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  Mem *mem;
  const guint8 *at, *end;
} Reader;

static gboolean take (Reader *reader, void *to, gsize size)
{
  if ((gsize) (reader->end - reader->at) < size)
    return FALSE;
  memcpy (to, reader->at, size);
  reader->at += size;
  return TRUE;
}

static gboolean take_32 (Reader *reader, guint32 *value)
{
  if (!take (reader, value, sizeof *value))
    return FALSE;
  *value = GUINT32_FROM_LE (*value);
  return TRUE;
}

static gboolean take_64 (Reader *reader, guint64 *value)
{
  if (!take (reader, value, sizeof *value))
    return FALSE;
  *value = GUINT64_FROM_LE (*value);
  return TRUE;
}

static gboolean take_text (Reader *reader, MemBytes *text)
{
  guint32 size;

  if (!take_32 (reader, &size) || (gsize) (reader->end - reader->at) < size)
    return FALSE;
  *text = (MemBytes) {(const char *) reader->at, size};
  reader->at += size;
  return TRUE;
}

static gboolean take_scored (Reader *reader, MemZset *zset)
{
  MemBytes member;
  guint64 bits;
  double score;

  if (!take_64 (reader, &bits) || !take_text (reader, &member))
    return FALSE;
  memcpy (&score, &bits, sizeof score);
  if (isnan (score))
    return FALSE;
  mem_zset_set (zset, member, score);
  return TRUE;
}

static gboolean take_item (Reader *reader, MemEntry *entry)
{
  MemBytes text, value;
  gboolean is_new;

  if (entry->type == MEM_ZSET)
    return take_scored (reader, entry->zset);
  if (!take_text (reader, &text))
    return FALSE;
  switch (entry->type) {
  case MEM_LIST:
    mem_list_push (&reader->mem->heap, entry->list,
                   mem_item_new (&reader->mem->heap, text), FALSE);
    return TRUE;
  case MEM_SET:
    mem_set_add (reader->mem, entry, text);
    return TRUE;
  case MEM_HASH:
    if (!take_text (reader, &value))
      return FALSE;
    mem_hash_set (reader->mem, entry, text, value, &is_new);
    return TRUE;
  case MEM_STRING:
  case MEM_ZSET:
  default:
    return FALSE;
  }
}

static gboolean take_value (Reader *reader, MemEntry *entry)
{
  guint32 count;
  MemBytes text;

  if (entry->type == MEM_STRING) {
    if (!take_text (reader, &text))
      return FALSE;
    mem_string_set (reader->mem, entry, text);
    return TRUE;
  }
  if (!take_32 (reader, &count) || count == 0)
    return FALSE;
  while (count-- > 0)
    if (!take_item (reader, entry))
      return FALSE;
  return TRUE;
}

static gboolean take_entry (Reader *reader, guint8 type)
{
  guint64 expire_ms;
  MemBytes key;

  if (type > MEM_HASH || !take_64 (reader, &expire_ms) || !take_text (reader, &key)
      || mem_dict_find (&reader->mem->keys, key) != NULL)
    return FALSE;
  MemEntry *entry = mem_create (reader->mem, key, (MemType) type);
  if (!take_value (reader, entry))
    return FALSE;
  if (expire_ms == 0)
    return TRUE;
  if ((gint64) expire_ms <= reader->mem->now_ms)
    mem_delete (reader->mem, entry);
  else
    mem_expire_set (reader->mem, entry, (gint64) expire_ms);
  return TRUE;
}

static gboolean hash_fits (const guint8 *bytes, gsize size)
{
  guint64 hash = 0, stored;
  gsize left = size - sizeof stored;

  memcpy (&stored, bytes + left, sizeof stored);
  for (; left > 0;
       bytes += MIN (left, MEM_SNAPSHOT_BLOCK), left -= MIN (left, MEM_SNAPSHOT_BLOCK))
    hash = mem_snapshot_hash (hash, bytes, MIN (left, MEM_SNAPSHOT_BLOCK));
  return hash == GUINT64_FROM_LE (stored);
}

static const char *read_all (Mem *mem, const guint8 *bytes, gsize size)
{
  guint64 saved_ms;
  guint8 type;

  if (size < 8 + 8 + 1 + 8 || memcmp (bytes, MEM_SNAPSHOT_MAGIC, 7) != 0)
    return "it is not a snapshot";
  if (bytes[7] != MEM_SNAPSHOT_MAGIC[7])
    return "it is of another version";
  if (!hash_fits (bytes, size))
    return "its hash is wrong";
  Reader reader = {mem, bytes + 8, bytes + size - 8};
  take_64 (&reader, &saved_ms);
  while (take (&reader, &type, 1)) {
    if (type == MEM_SNAPSHOT_END)
      return reader.at == reader.end ? NULL : "something follows its end";
    if (!take_entry (&reader, type))
      break;
  }
  return "an entry is broken";
}

/* The broken file is put aside, so that the next one does not overwrite it. */
static void put_aside (const char *path)
{
  g_autofree char *aside = g_strconcat (path, ".broken", NULL);
  rename (path, aside);
}

gboolean mem_snapshot_load (Mem *mem, const char *path, char **problem)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GMappedFile) file = NULL;
  const char *wrong;

  *problem = NULL;
  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    return TRUE;
  file = g_mapped_file_new (path, FALSE, &error);
  if (file == NULL) {
    *problem = g_strdup (error->message);
    return FALSE;
  }
  wrong = read_all (mem, (const guint8 *) g_mapped_file_get_contents (file),
                    g_mapped_file_get_length (file));
  if (wrong == NULL)
    return TRUE;
  mem_delete_all (mem);
  put_aside (path);
  *problem = g_strdup (wrong);
  return FALSE;
}
