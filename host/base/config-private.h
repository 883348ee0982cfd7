/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/services.h"
#include <chargehost/config.h>
#include <jansson.h>

ChConfig *ch_config_new (void);
void ch_config_free (ChConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChConfig, ch_config_free)

/* Declares a table; @section is put before the names, "" for the host's own. */
void ch_config_declare (ChConfig *config, const char *section, const ChConfigKey *keys);

/* Sources, weakest first. Files are parsed now, checked by ch_config_resolve(). */
gboolean ch_config_add_file (ChConfig *config, const char *path, GError **error);
/* `*.yaml` in order of names; a missing directory is fine. */
gboolean ch_config_add_directory (ChConfig *config, const char *path, GError **error);
void ch_config_set_environment (ChConfig *config, const char *const *environment);
/* `tcp.idle_timeout=300s` of the command line. */
gboolean ch_config_add_option (ChConfig *config, const char *assignment, GError **error);

/**
 * ch_config_resolve:
 * Checks everything against what is declared and makes the values effective; with an
 * error nothing changes. Sections of plugins that are known but do not run are left
 * unchecked: @ignored_sections; "*" leaves all unknown keys alone, for a first look at
 * what is needed to find the plugins.
 */
gboolean ch_config_resolve (ChConfig *config, const char *const *ignored_sections,
                            GError **error);

/**
 * ch_config_reload:
 * Reads the same sources again. Changed keys that are not live are refused as a whole.
 * Returns: (transfer full) (nullable): NULL-terminated names of changed keys
 */
char **ch_config_reload (ChConfig *config, GError **error);

/**
 * ch_config_patch:
 * @patch: object of key → text, number, boolean or list of texts; null takes back what
 *   an earlier call gave
 * @bad_key: (out) (transfer full) (nullable): the key that is wrong
 *
 * Values that are stronger than every source, until the process ends; a reload keeps
 * them. All or nothing: every key has to be known and live, every value has to fit.
 * Returns: (transfer full) (nullable): NULL-terminated names of changed keys
 */
char **ch_config_patch (ChConfig *config, const json_t *patch, char **bad_key,
                        GError **error);

/* key → {value, source, default, summary, type, live, environment, min, max, choices};
 * secrets as "****". (transfer full) */
json_t *ch_config_describe (ChConfig *config);
/* The commented default file. (transfer full) */
char *ch_config_default_file (ChConfig *config);

/* Reading by whole path. */
gboolean ch_config_get_bool (ChConfig *config, const char *path);
gint64 ch_config_get_int (ChConfig *config, const char *path);
double ch_config_get_double (ChConfig *config, const char *path);
const char *ch_config_get_string (ChConfig *config, const char *path);
gint64 ch_config_get_duration_ms (ChConfig *config, const char *path);
const char *const *ch_config_get_list (ChConfig *config, const char *path);
const char *const *ch_config_get_map (ChConfig *config, const char *path);
gboolean ch_config_get_is_set (ChConfig *config, const char *path);
