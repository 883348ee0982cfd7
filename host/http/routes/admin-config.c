/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Configuration and log level, while the daemon runs (gateway 7.7, 8). */
#include "base/config-private.h"
#include "base/log-private.h"
#include "http/routes/api.h"

#include <string.h>

/* ---- reading -------------------------------------------------------------------------
 */

/* What an entry shows, unless it is a list of keys. */
static void mask (const char *path, json_t *entry)
{
  static const char *const secrets[]
      = {"api.auth.api_keys", "thirdparty.auth.api_keys", "admin.api_keys", NULL};
  if (g_strv_contains (secrets, path)
      && json_array_size (json_object_get (entry, "value")) > 0)
    json_object_set_new (entry, "value", json_pack ("[s]", "****"));
}

json_t *ch_http_describe_config (ChPlugin *self)
{
  json_t *keys = ch_config_describe (self->services->config);
  const char *path;
  json_t *entry;
  json_object_foreach (keys, path, entry) mask (path, entry);
  return keys;
}

static void get_config (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_reply_data (self, reply, 200, NULL,
                 json_pack ("{s:o}", "config", ch_http_describe_config (self)));
}

/* ---- changing ------------------------------------------------------------------------
 */

void ch_http_set_reconfigured (ChHttp *http,
                               void (*reconfigured) (gpointer daemon, char **keys,
                                                     const char *by),
                               gpointer daemon)
{
  http->reconfigured = reconfigured;
  http->daemon = daemon;
}

/* Only what @patch names: key → value. */
static json_t *values_of (const json_t *keys, const json_t *patch)
{
  json_t *values = json_object ();
  const char *path;
  json_t *value;
  json_object_foreach ((json_t *) (guintptr) patch, path, value)
  {
    json_t *entry = json_object_get (keys, path);
    json_object_set (values, path, json_object_get (entry, "value"));
  }
  return values;
}

static json_t *names_json (char **names)
{
  json_t *list = json_array ();
  for (char **name = names; *name != NULL; name++)
    json_array_append_new (list, json_string (*name));
  return list;
}

static void patch_config (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ChHttp *http = self->services->http;
  const json_t *patch = json_object_get (ch_request_body (request), "config");
  g_autoptr (json_t) before = ch_http_describe_config (self);
  g_autoptr (GError) error = NULL;
  g_autofree char *bad_key = NULL;
  g_auto (GStrv) changed
      = ch_config_patch (self->services->config, patch, &bad_key, &error);

  if (changed == NULL) {
    json_t *data = json_object ();
    json_object_set_new (
        data, "fields",
        json_pack ("[{s:s,s:s}]", "field", bad_key != NULL ? bad_key : "config", "rule",
                   error->code == CH_CONFIG_ERROR_UNKNOWN_KEY ? "unknown" : "value"));
    ch_reply_error (self, reply, CH_CORE_ERROR_INVALID_PARAMETER, error->message, data);
    return;
  }
  if (http->reconfigured != NULL)
    http->reconfigured (http->daemon, changed, "admin");
  else { /* no daemon: at least what is ours */
    ch_http_settings_load (http);
    ch_http_rate_init (http);
  }
  g_autoptr (json_t) after = ch_http_describe_config (self);
  json_t *values = values_of (after, patch);
  ch_http_audit_change (http, reply, values_of (before, patch), json_incref (values));
  ch_reply_data (
      self, reply, 200, NULL,
      json_pack ("{s:o,s:o}", "changed", names_json (changed), "config", values));
}

/* ---- log level -----------------------------------------------------------------------
 */

/* @data: a key of the table, which it leaves */
static void level_over (ChPlugin *self, gpointer data)
{
  const char *module = data;
  g_autoptr (GError) error = NULL;
  if (*module != '\0')
    ch_log_set_module_level (module, CH_LOG_TRACE + 1);
  else if (!ch_log_apply_config (self->services->config, &error))
    ch_warning (self, "the log level stays: %s", error->message);
  ch_notice (self, "the log level of %s is as configured again",
             *module != '\0' ? module : "everything");
  g_hash_table_remove (self->services->http->levels, module);
}

static void remember_level (ChPlugin *self, const char *module, gint64 minutes)
{
  GHashTable *levels = self->services->http->levels;
  ChTimer *before = g_hash_table_lookup (levels, module);
  if (before != NULL)
    ch_timer_cancel (self, before);
  char *name = g_strdup (module);
  ChTimer *timer = g_new (ChTimer, 1);
  *timer = ch_timer_add (self, (guint64) minutes * 60000, level_over, name);
  g_hash_table_replace (levels, name, timer);
}

static void put_log_level (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  const json_t *body = ch_request_body (request);
  const char *module = ch_json_get_string (body, "module", "");
  gint64 minutes = ch_json_get_int (body, "minutes", 15);
  ChLogLevel level;

  if (!ch_log_level_parse (ch_json_get_string (body, "level", ""), &level)) {
    ch_http_reply_invalid (self, reply, "level", "enum", json_object_get (body, "level"));
    return;
  }
  if (*module != '\0')
    ch_log_set_module_level (module, (int) level);
  else
    ch_log_set_level (level);
  remember_level (self, module, minutes);
  json_t *data = json_pack ("{s:s,s:s,s:I}", "module", module, "level",
                            ch_log_level_name (level), "minutes", (json_int_t) minutes);
  ch_http_audit_after (self->services->http, reply, json_incref (data));
  ch_reply_data (self, reply, 200, NULL, data);
}

/* ---- the table -----------------------------------------------------------------------
 */

static const ChParam CONFIG_PARAMS[] = {
    CH_HTTP_PARAM ("config", BODY, OBJECT, TRUE, 0, 0, NULL,
                   "Key and value; null goes back to what is configured"),
    {.name = NULL},
};
static const ChParam LEVEL_PARAMS[] = {
    CH_HTTP_PARAM ("level", BODY, STRING, TRUE, 1, 16, NULL, "error … trace"),
    CH_HTTP_PARAM ("module", BODY, STRING, FALSE, 1, 64, NULL, "Only this part"),
    CH_HTTP_PARAM ("minutes", BODY, INT, FALSE, 1, 1440, NULL, "For how long; 15"),
    {.name = NULL},
};

const ChRoute ch_http_config_routes[] = {
    CH_HTTP_ADMIN ("GET", "/config", NULL, "Effective configuration, secrets masked",
                   get_config),
    CH_HTTP_ADMIN ("PATCH", "/config", CONFIG_PARAMS,
                   "Change live keys until the daemon ends: all or none", patch_config),
    CH_HTTP_ADMIN ("PUT", "/log-level", LEVEL_PARAMS, "Another log level for a while",
                   put_log_level),
    {.method = NULL},
};
