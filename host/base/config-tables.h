/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the configuration share. */
#pragma once

#include "base/config-private.h"
#include <chargehost/error.h>

#define CH_CONFIG_MAX_FILE (1024 * 1024)
#define CH_CONFIG_MAX_DEPTH 16
#define CH_CONFIG_MAX_NODES 10000
#define CH_CONFIG_MAX_PATH 200
#define CH_CONFIG_MAX_TEXT (64 * 1024)
#define CH_CONFIG_MAX_FILES 256

/* ---- values ------------------------------------------------------------------------ */

/* A typed value; which members count follows from the key's type. */
typedef struct {
  gboolean b;
  gint64 i;    /* INT, SIZE, DURATION_MS */
  double d;    /* DOUBLE, and INT */
  char *text;  /* STRING, CHOICE, SECRET; for the others as it was written; may be NULL */
  char **list; /* LIST, and MAP as name, value, … */
} ChConfigValue;

/* Says "is not …" in @problem (transfer full) when @text does not fit. */
gboolean ch_config_value_parse (const ChConfigKey *key, const char *text,
                                ChConfigValue *value, char **problem);
/* From elements: of a sequence, or name, value, … of a mapping. (transfer none) */
gboolean ch_config_value_from_list (const ChConfigKey *key, const char *const *list,
                                    ChConfigValue *value, char **problem);
void ch_config_value_clear (ChConfigValue *value);
gboolean ch_config_value_equal (const ChConfigKey *key, const ChConfigValue *a,
                                const ChConfigValue *b);
const char *ch_config_type_name (ChConfigType type);
/* (transfer full): JSON of a value, secrets masked */
json_t *ch_config_value_to_json (const ChConfigKey *key, const ChConfigValue *value);

/* ---- files ------------------------------------------------------------------------- */

typedef enum {
  CH_CONFIG_NODE_SCALAR,
  CH_CONFIG_NODE_NULL,     /* `key:` with nothing behind it */
  CH_CONFIG_NODE_ELEMENT,  /* of a sequence, in order */
  CH_CONFIG_NODE_SEQUENCE, /* an empty sequence */
  CH_CONFIG_NODE_MAPPING,  /* an empty mapping */
} ChConfigNodeKind;

/* One leaf of a file. */
typedef struct {
  ChConfigNodeKind kind;
  char *path;
  char *text; /* SCALAR, ELEMENT */
  guint line;
} ChConfigNode;

/* (transfer full) (element-type ChConfigNode): @file is only for messages */
GPtrArray *ch_config_yaml_parse (const char *text, gsize size, const char *file,
                                 GError **error);
/* Reads a regular file of bounded size. (transfer full) */
char *ch_config_read_file (const char *path, gsize max, gsize *size, GError **error);

/* Replaces ${VAR} and ${VAR:-default}; `$${` is a plain `${`. (transfer full) */
char *ch_config_expand (const char *text, const char *const *environment, char **problem);
/* (transfer none) (nullable) */
const char *ch_config_getenv (const char *const *environment, const char *name);

/* ---- nearest names ---- */

typedef struct {
  const char *wanted;
  const char *best;
  guint distance;
} ChConfigNearest;

/* Of all names offered the one with the smallest edit distance, unless it is far. */
void ch_config_nearest_offer (ChConfigNearest *nearest, const char *name);
/* "; did you mean '…'?" or "" (transfer full) */
char *ch_config_nearest_hint (const ChConfigNearest *nearest);

/* ---- the tables ---- */

/* A declared key. */
typedef struct {
  char *path;
  const ChConfigKey *key;
  ChConfigValue value; /* effective */
  char *source;        /* NULL: the default */
} ChConfigEntry;

/* What one source says about one key. */
typedef struct {
  guint rank;      /* of the source: a greater one wins */
  char *text;      /* NULL when it is a list */
  GPtrArray *list; /* of strings and a closing NULL: sequence or mapping */
  char *source;    /* "/etc/x.yaml:12", "environment CHARGEHOST_X", … */
} ChConfigSetting;

typedef struct {
  char *path;
  GPtrArray *nodes;
} ChConfigFile;

/* A file or a directory of files, as given. */
typedef struct {
  gboolean is_directory;
  char *path;
  GPtrArray *files; /* of ChConfigFile */
} ChConfigSource;

struct _ChConfig {
  GHashTable *by_path; /* → ChConfigEntry */
  GPtrArray *entries;  /* of ChConfigEntry, as declared */
  GPtrArray *sources;  /* of ChConfigSource */
  char **environment;
  GPtrArray *options;    /* "path=value" */
  GHashTable *overrides; /* path → ChConfigSetting: given while running */
  char **ignored;
};

ChConfigEntry *ch_config_lookup (ChConfig *config, const char *path);
/* The secret whose `X_file` this is, unless a key of that name is declared. */
ChConfigEntry *ch_config_lookup_secret (ChConfig *config, const char *path);
/* The declared map that @path is inside of; @name gets the rest. */
ChConfigEntry *ch_config_lookup_map (ChConfig *config, const char *path,
                                     const char **name);
gboolean ch_config_is_section (ChConfig *config, const char *path);
gboolean ch_config_is_ignored (const ChConfig *config, const char *path);
/* Sets an error "@where: unknown key …" with the nearest known one; FALSE. */
gboolean ch_config_refuse_unknown (ChConfig *config, const char *where, const char *path,
                                   GError **error);

/* ---- sources ---- */

enum {
  CH_CONFIG_RANK_FILES = 1, /* and up, one per file */
  CH_CONFIG_RANK_CREDENTIAL = 1000,
  CH_CONFIG_RANK_ENVIRONMENT = 2000, /* aliases are below, the first is the strongest */
  CH_CONFIG_RANK_OPTIONS = 3000,     /* and up, the last is the strongest */
  CH_CONFIG_RANK_OVERRIDES = 1000000,
};

ChConfigSource *ch_config_source_new (const char *path, gboolean is_directory);
void ch_config_source_free (gpointer source);
/* Reads and parses the files again. */
gboolean ch_config_source_read (ChConfigSource *source, GError **error);

/* Path → ChConfigSetting, the strongest of all sources. */
GHashTable *ch_config_settings_new (void);
/* @setting (transfer full) */
void ch_config_settings_put (GHashTable *settings, const char *path,
                             ChConfigSetting *setting);
ChConfigSetting *ch_config_setting_new (guint rank, const char *text, char *source);

/* Each adds what its kind of source says to @settings. */
gboolean ch_config_collect_files (ChConfig *config, GPtrArray *sources,
                                  GHashTable *settings, GError **error);
gboolean ch_config_collect_environment (ChConfig *config, GHashTable *settings,
                                        GError **error);
gboolean ch_config_collect_options (ChConfig *config, GHashTable *settings,
                                    GError **error);

void ch_config_collect_overrides (ChConfig *config, GHashTable *settings);

/* Makes what all sources say effective, if only live keys differ. (transfer full):
   names of changed keys */
char **ch_config_apply (ChConfig *config, GPtrArray *sources, GError **error);

/* Environment name of a path. (transfer full) */
char *ch_config_environment_name (const char *path);

/* The value that @settings give @entry; @source (transfer full) is NULL for the default.
 */
gboolean ch_config_settle (ChConfig *config, const ChConfigEntry *entry,
                           GHashTable *settings, ChConfigValue *value, char **source,
                           GError **error);
