/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Configuration: every key is declared in code with type, range, default and a
 * sentence. From that come validation, documentation and the commented default file.
 * Order of strength: default < files < conf.d < environment < command line.
 */
#pragma once

#include <chargehost/types.h>

G_BEGIN_DECLS

typedef enum {
  CH_CONFIG_BOOL = 1, /* true, false, yes, no, on, off */
  CH_CONFIG_INT,      /* decimal or 0x… */
  CH_CONFIG_DOUBLE,
  CH_CONFIG_STRING,
  CH_CONFIG_CHOICE,      /* one of `choices` */
  CH_CONFIG_DURATION_MS, /* number with ms, s, m, h, d; a bare number has the key's unit
                          */
  CH_CONFIG_SIZE,        /* bytes, with K, M, G */
  CH_CONFIG_LIST,        /* of strings; a comma-separated string also serves */
  CH_CONFIG_MAP,         /* any mapping of scalars, read with ch_config_map() */
  CH_CONFIG_SECRET,      /* string that is never shown; `{key}_file` may name a file */
} ChConfigType;

typedef enum {
  CH_CONFIG_FLAGS_NONE = 0,
  CH_CONFIG_LIVE = 1 << 0,    /* may change while running */
  CH_CONFIG_SECONDS = 1 << 1, /* DURATION_MS: a bare number counts seconds */
  CH_CONFIG_HIDDEN = 1 << 2,  /* LIST: its elements are secrets and never shown */
} ChConfigFlags;

/**
 * ChConfigKey:
 * @name: dotted path; in a plugin's table relative to the plugin's section, unless it
 *   begins with `/`: `/redis.url` is the whole path `redis.url`
 * @type: type
 * @flags: flags
 * @def: default as text, %NULL for none
 * @min: smallest value (INT, DOUBLE, DURATION_MS in ms, SIZE in bytes)
 * @max: largest value; equal to @min means unbounded
 * @choices: (nullable): NULL-terminated, for CHOICE
 * @aliases: (nullable): further environment names, NULL-terminated, the strongest first;
 *   `PORT=:*` puts the value of PORT in place of the star (also `TTL_SECONDS=*s`)
 * @summary: one sentence
 *
 * A table ends with an entry whose @name is %NULL.
 */
typedef struct {
  const char *name;
  ChConfigType type;
  ChConfigFlags flags;
  const char *def;
  double min;
  double max;
  const char *const *choices;
  const char *const *aliases;
  const char *summary;
} ChConfigKey;

/*
 * Readers. @key is relative to the plugin's section, or a whole path when @self is a
 * component of the host or @key begins with `/`. Reading a key that is not declared is a
 * programming error. Without a default: FALSE, 0, %NULL, for lists an empty one.
 * Strings are owned by the configuration and live until the key changes.
 */
gboolean ch_config_bool (ChPlugin *self, const char *key);
gint64 ch_config_int (ChPlugin *self, const char *key);
double ch_config_double (ChPlugin *self, const char *key);
const char *ch_config_string (ChPlugin *self, const char *key);
gint64 ch_config_duration_ms (ChPlugin *self, const char *key);
const char *const *ch_config_list (ChPlugin *self, const char *key);

/**
 * ch_config_map:
 * @self: the caller
 * @key: a key of type %CH_CONFIG_MAP
 *
 * Returns: (transfer none) (nullable): NULL-terminated name, value, name, value, …
 */
const char *const *ch_config_map (ChPlugin *self, const char *key);

/**
 * ch_config_is_set:
 *
 * Returns: whether something other than the built-in default gave the value
 */
gboolean ch_config_is_set (ChPlugin *self, const char *key);

G_END_DECLS
