/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Making and revoking keys in the table api_keys. */
#pragma once

#include "http/http-private.h"

typedef struct {
  const char *name;
  const char *scopes;   /* comma-separated */
  const char *networks; /* (nullable): comma-separated */
  gint64 rate_per_min;  /* 0: the default */
  gint64 expires_at;    /* wall ms, 0: never */
  gboolean with_secret; /* for signed requests */
} ChHttpKeyWish;

/* @text: the key, which is not kept anywhere; wiped after the call */
typedef void (*ChHttpKeyDone) (const ChHttpKey *key, const char *text,
                               const GError *error, gpointer data);

/* @done: in any case, later. */
void ch_http_key_store (ChHttp *http, const ChHttpKeyWish *wish, ChHttpKeyDone done,
                        gpointer data);
void ch_http_key_revoke (ChHttp *http, const char *id, ChTxDone done, gpointer data);
