/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * API keys in memory: found by the SHA-256 of the text. The text itself is kept for the
 * last few that were used, and nowhere else.
 */
#pragma once

#include "net/limiter.h"
#include <gio/gio.h>

typedef struct _ChHttpKeys ChHttpKeys;
typedef struct _ChHttpKey ChHttpKey;

struct _ChHttpKey {
  gint refs;
  char *id;
  char *name;
  guint8 hash[32];
  char *display;       /* first 4, last 4 */
  guint64 scopes;      /* bits */
  GPtrArray *networks; /* of GInetAddressMask; NULL: from everywhere */
  char *hmac_secret;
  gint64 rate_per_min; /* 0: the default */
  gint64 expires_at;   /* wall ms, 0: never */
  gint64 created_at;
  gint64 last_used_at;
  gboolean used;      /* last_used_at has to be written */
  gboolean is_static; /* from the configuration */
  gboolean revoked;
  ChBucket bucket;
  double rate, burst; /* of the bucket */
};

ChHttpKeys *ch_http_keys_new (void);
void ch_http_keys_free (ChHttpKeys *keys);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChHttpKeys, ch_http_keys_free)

ChHttpKey *ch_http_key_ref (ChHttpKey *key);
void ch_http_key_unref (ChHttpKey *key);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChHttpKey, ch_http_key_unref)
/* @text (nullable): the key itself, for its hash and what is shown of it */
ChHttpKey *ch_http_key_new (const char *id, const char *text);

/* Bit of a scope; a name that is new gets the next one, 0 when all 64 are taken. */
guint64 ch_http_keys_scope (ChHttpKeys *keys, const char *name);
guint64 ch_http_keys_scopes (ChHttpKeys *keys, const char *comma_separated);
/* "read,control" (transfer full) */
char *ch_http_keys_scope_names (ChHttpKeys *keys, guint64 scopes);

/* A key of the same hash is replaced. @key (transfer full) */
void ch_http_keys_add (ChHttpKeys *keys, ChHttpKey *key);
gboolean ch_http_keys_remove (ChHttpKeys *keys, const char *id);
/* Removes those that are, or are not, from the configuration. */
void ch_http_keys_clear (ChHttpKeys *keys, gboolean is_static);
ChHttpKey *ch_http_keys_find (ChHttpKeys *keys, const char *text);
ChHttpKey *ch_http_keys_by_id (ChHttpKeys *keys, const char *id);
/* Whether a key has one of these scopes. */
gboolean ch_http_keys_any (ChHttpKeys *keys, guint64 scopes);
guint ch_http_keys_count (ChHttpKeys *keys);
void ch_http_keys_foreach (ChHttpKeys *keys, void (*func) (ChHttpKey *key, gpointer data),
                           gpointer data);

/* `chk_` and 43 characters. */
#define CH_HTTP_KEY_TEXT_SIZE 48
void ch_http_key_make (char text[CH_HTTP_KEY_TEXT_SIZE]);
