/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/reply.h"

typedef struct {
  ChResource resource;
  guint32 generation;
  guint32 slot;
  gboolean used;
  const char *kind;
  gpointer data;
  ChReplyFail fail;
  ChReplies *replies;
} Owed;

struct _ChReplies {
  GPtrArray *slots; /* of Owed, never shrinks */
  GArray *vacant;   /* of guint32 */
  guint64 stale;
  guint pending;
};

ChReplies *ch_replies_new (void)
{
  ChReplies *replies = g_new0 (ChReplies, 1);
  replies->slots = g_ptr_array_new_with_free_func (g_free);
  replies->vacant = g_array_new (FALSE, FALSE, sizeof (guint32));
  return replies;
}

void ch_replies_free (ChReplies *replies)
{
  if (replies == NULL)
    return;
  for (guint i = 0; i < replies->slots->len; i++) {
    Owed *owed = g_ptr_array_index (replies->slots, i);
    if (owed->used)
      ch_owner_unlink (&owed->resource);
  }
  g_ptr_array_unref (replies->slots);
  g_array_unref (replies->vacant);
  g_free (replies);
}

static void release (Owed *owed)
{
  owed->used = FALSE;
  if (++owed->generation == 0) /* handle 0 is none */
    owed->generation = 1;
  owed->replies->pending--;
  g_array_append_val (owed->replies->vacant, owed->slot);
}

static void revoke_reply (ChResource *resource)
{
  Owed *owed = (Owed *) resource;
  ChReplyFail fail = owed->fail;
  gpointer data = owed->data;
  release (owed);
  if (fail != NULL)
    fail (data, "the plugin that owed the answer has stopped");
}

static const ChResourceKind REPLY_KIND = {"replies owed", revoke_reply};

ChReply ch_replies_add (ChReplies *replies, ChPlugin *owner, const char *kind,
                        gpointer data, ChReplyFail fail)
{
  Owed *owed;
  if (replies->vacant->len > 0) {
    guint32 slot = g_array_index (replies->vacant, guint32, replies->vacant->len - 1);
    g_array_set_size (replies->vacant, replies->vacant->len - 1);
    owed = g_ptr_array_index (replies->slots, slot);
  } else {
    owed = g_new0 (Owed, 1);
    owed->slot = replies->slots->len;
    owed->generation = 1;
    owed->replies = replies;
    g_ptr_array_add (replies->slots, owed);
  }
  owed->used = TRUE;
  owed->kind = kind;
  owed->data = data;
  owed->fail = fail;
  replies->pending++;
  ch_owner_link (owner, &owed->resource, &REPLY_KIND);
  return (guint64) owed->generation << 32 | owed->slot;
}

static Owed *find (ChReplies *replies, ChReply reply, const char *kind)
{
  guint32 slot = (guint32) reply, generation = (guint32) (reply >> 32);
  if (slot < replies->slots->len) {
    Owed *owed = g_ptr_array_index (replies->slots, slot);
    if (owed->used && owed->generation == generation && g_str_equal (owed->kind, kind))
      return owed;
  }
  replies->stale++;
  return NULL;
}

gpointer ch_replies_peek (ChReplies *replies, ChReply reply, const char *kind)
{
  Owed *owed = find (replies, reply, kind);
  return owed != NULL ? owed->data : NULL;
}

gpointer ch_replies_take (ChReplies *replies, ChReply reply, const char *kind)
{
  Owed *owed = find (replies, reply, kind);
  if (owed == NULL)
    return NULL;
  gpointer data = owed->data;
  ch_owner_unlink (&owed->resource);
  release (owed);
  return data;
}

guint64 ch_replies_stale (ChReplies *replies)
{
  return replies->stale;
}

guint ch_replies_pending (ChReplies *replies)
{
  return replies->pending;
}
