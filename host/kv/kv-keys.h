/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the keys of each command stand, so that the front can put the prefix before them.
 */
#pragma once

#include <chargehost/types.h>

typedef enum {
  CH_KV_KEYS_RANGE = 0, /* first … last, every step; last < 0 counts from the end */
  CH_KV_KEYS_NUMBER,    /* first is the number of keys, which follow it */
  CH_KV_KEYS_STORE,     /* a destination at 1, then the number at 2 */
  CH_KV_KEYS_CHANNEL,   /* a channel at 1 */
  CH_KV_KEYS_PATTERN,   /* a pattern of keys at 1 */
  CH_KV_KEYS_SCAN,      /* the pattern after MATCH; one is added when there is none */
} ChKvKeysKind;

typedef enum {
  CH_KV_FLAGS_NONE = 0,
  CH_KV_BLOCKING = 1 << 0,      /* may be answered later than what follows it */
  CH_KV_REFUSED = 1 << 1,       /* changes the shared connection: not for callers */
  CH_KV_KEY_REPLY = 1 << 2,     /* the reply is a key, or its first item is one */
  CH_KV_KEYS_REPLY = 1 << 3,    /* the reply is a list of keys */
  CH_KV_SCAN_REPLY = 1 << 4,    /* a cursor and a list of keys */
  CH_KV_TIMEOUT_FIRST = 1 << 5, /* the time-out in seconds stands at 1, else last */
} ChKvCommandFlags;

typedef struct {
  const char *name; /* upper case */
  ChKvKeysKind kind;
  gint first;
  gint last;
  gint step;
  ChKvCommandFlags flags;
} ChKvCommandInfo;

/* A hash of the table: slots hold the index + 1. */
#define CH_KV_COMMAND_SLOTS 512
typedef struct {
  guint8 slots[CH_KV_COMMAND_SLOTS];
} ChKvCommandIndex;

void ch_kv_command_index_init (ChKvCommandIndex *index);
/* (nullable): in any letter case */
const ChKvCommandInfo *ch_kv_command_info (const ChKvCommandIndex *index,
                                           const char *name, gsize size);
gsize ch_kv_command_info_count (void);
gsize ch_kv_command_info_number (const ChKvCommandInfo *info);

/**
 * ch_kv_command_keys:
 * Marks in @is_key which arguments get the prefix.
 * Returns: %FALSE when the number of keys is not a number; then nothing is a key
 */
gboolean ch_kv_command_keys (const ChKvCommandInfo *info, const char *const *argv,
                             gsize argc, gboolean *is_key);

/* Index of the first key, 0 when there is none. */
gsize ch_kv_command_first_key (const ChKvCommandInfo *info, const char *const *argv,
                               gsize argc);
