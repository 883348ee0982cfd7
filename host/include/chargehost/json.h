/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Helpers around jansson: bounded parsing, numbers without noise, autoptr. */
#pragma once

#include <chargehost/types.h>
#include <jansson.h>

G_BEGIN_DECLS

G_DEFINE_AUTOPTR_CLEANUP_FUNC (json_t, json_decref)

/* Longest text and deepest nesting that ch_json_parse() takes. */
#define CH_JSON_MAX_SIZE (8 * 1024 * 1024)
#define CH_JSON_MAX_DEPTH 64

#define CH_JSON_ERROR (ch_json_error_quark ())
GQuark ch_json_error_quark (void);
typedef enum {
  CH_JSON_ERROR_SYNTAX = 0, /* not JSON, or not UTF-8 */
  CH_JSON_ERROR_TOO_LARGE,
  CH_JSON_ERROR_TOO_DEEP,
  CH_JSON_ERROR_DUPLICATE, /* a name occurs twice in one object */
} ChJsonError;

/**
 * ch_json_parse:
 * @text: JSON text, any value at its top; need not end with NUL
 * @size: bytes
 * @error: return location
 *
 * Refuses what is too large or too deep and objects that name a member twice.
 *
 * Returns: (transfer full) (nullable): the value, or %NULL with #ChJsonError
 */
json_t *ch_json_parse (const char *text, gsize size, GError **error);

/**
 * ch_json_dump:
 * @json: (nullable): a value
 *
 * Returns: (transfer full): compact text; reals with at most 15 digits, so that 0.1 is
 *   `0.1`; `null` for %NULL. Free with g_free().
 */
char *ch_json_dump (const json_t *json);

/**
 * ch_json_milli:
 * @milli: thousandths; %CH_UNSET is absent
 *
 * Returns: (transfer full): @milli / 1000 as a number with at most three decimals, an
 *   integer when it is one; null for %CH_UNSET
 */
json_t *ch_json_milli (gint64 milli);

/**
 * ch_json_time:
 * @wall_ms: milliseconds since the epoch; 0 and %CH_UNSET are absent
 *
 * Returns: (transfer full): RFC 3339 text, or null
 */
json_t *ch_json_time (gint64 wall_ms);

/*
 * Members of an object by name; the default when @object is none, the member is
 * missing, null or of another type.
 */
const char *ch_json_get_string (const json_t *object, const char *name, const char *def);
gint64 ch_json_get_int (const json_t *object, const char *name, gint64 def);
double ch_json_get_double (const json_t *object, const char *name, double def);
gboolean ch_json_get_bool (const json_t *object, const char *name, gboolean def);

G_END_DECLS
