/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Making, showing and revoking API keys: REST for administrators, D-Bus, the daemon. */
#include "http/key-store.h"
#include "http/routes/api.h"

#include <string.h>

/* ---- for the host --------------------------------------------------------------------
 */

/* Refuses what is not a scope. */
static gboolean check_scopes (const char *scopes, GError **error)
{
  static const char *const known[] = {"read",
                                      "control",
                                      "card",
                                      "webhook",
                                      "telemetry:read",
                                      "telemetry:write",
                                      "telemetry:admin",
                                      "admin",
                                      NULL};
  g_auto (GStrv) names = g_strsplit (scopes, ",", 0);
  gboolean some = FALSE;
  for (char **name = names; *name != NULL; name++) {
    if (*g_strstrip (*name) == '\0')
      continue;
    some = TRUE;
    if (!g_strv_contains (known, *name)) {
      g_set_error (error, CH_CORE_ERROR, CH_CORE_ERROR_INVALID_PARAMETER,
                   "'%s' is not a scope: read, control, card, webhook, admin, "
                   "telemetry:read, telemetry:write, telemetry:admin",
                   *name);
      return FALSE;
    }
  }
  if (!some)
    g_set_error_literal (error, CH_CORE_ERROR, CH_CORE_ERROR_INVALID_PARAMETER,
                         "a key needs a scope, such as read or control");
  return some;
}

typedef struct {
  void (*done) (const char *key_id, const char *key, const GError *error, gpointer data);
  gpointer data;
  GError *error;
} Creating;

static void created (const ChHttpKey *key, const char *text, const GError *error,
                     gpointer data)
{
  g_autofree Creating *creating = data;
  creating->done (key != NULL ? key->id : NULL, key != NULL ? text : NULL, error,
                  creating->data);
}

/* Never inside the call: callers run the loop until it comes. */
static void refused (ChPlugin *self, gpointer data)
{
  g_autofree Creating *creating = data;
  g_autoptr (GError) error = creating->error;
  creating->done (NULL, NULL, error, creating->data);
}

void ch_http_key_create (ChHttp *http, const char *name, const char *scopes,
                         void (*done) (const char *key_id, const char *key,
                                       const GError *error, gpointer data),
                         gpointer data)
{
  g_autoptr (GError) error = NULL;
  const ChHttpKeyWish wish = {.name = name, .scopes = scopes};

  if (*name == '\0' || strlen (name) > 64)
    g_set_error_literal (&error, CH_CORE_ERROR, CH_CORE_ERROR_INVALID_PARAMETER,
                         "a key needs a name of at most 64 characters");
  else if (http->services->store == NULL) /* one that still connects is waited for */
    g_set_error_literal (&error, CH_CORE_ERROR, CH_CORE_ERROR_STORE_UNAVAILABLE,
                         "there is no database to keep the key in");
  else
    check_scopes (scopes, &error);
  Creating *creating = g_new0 (Creating, 1);
  creating->done = done;
  creating->data = data;
  creating->error = g_steal_pointer (&error);
  if (creating->error != NULL)
    ch_timer_add (http->self, 0, refused, creating);
  else
    ch_http_key_store (http, &wish, created, creating);
}

/* ---- REST ----------------------------------------------------------------------------
 */

static const ChParam CREATE_PARAMS[] = {
    CH_HTTP_PARAM ("name", BODY, STRING, TRUE, 1, 64, NULL, "For whom it is"),
    CH_HTTP_PARAM ("scopes", BODY, ARRAY, TRUE, 1, 16, NULL, "read, control, …"),
    CH_HTTP_PARAM ("ip_allow", BODY, ARRAY, FALSE, 0, 64, NULL, "Networks"),
    CH_HTTP_PARAM ("rate_per_min", BODY, INT, FALSE, 1, 1000000, NULL, "Own limit"),
    CH_HTTP_PARAM ("expires_at", BODY, STRING, FALSE, 1, 40, NULL, "RFC 3339"),
    CH_HTTP_PARAM ("hmac", BODY, BOOL, FALSE, 0, 0, NULL, "With a secret for signatures"),
    {.name = NULL},
};
static const ChParam LIST_PARAMS[] = {CH_HTTP_PARAM_PAGING, {.name = NULL}};
static const ChParam KEY_PARAMS[] = {
    CH_HTTP_PARAM ("key_id", PATH, STRING, TRUE, 1, 64, CH_HTTP_ORDER_CHARS, "Key id"),
    {.name = NULL},
};

static json_t *key_json (ChHttp *http, const ChHttpKey *key)
{
  json_t *object = json_object (), *networks = json_array ();
  g_autofree char *scopes = ch_http_keys_scope_names (http->keys, key->scopes);
  g_auto (GStrv) names = g_strsplit (scopes, ",", 0);
  json_t *list = json_array ();

  for (char **name = names; *name != NULL && **name != '\0'; name++)
    json_array_append_new (list, json_string (*name));
  for (guint i = 0; key->networks != NULL && i < key->networks->len; i++) {
    g_autofree char *text = g_inet_address_mask_to_string (key->networks->pdata[i]);
    json_array_append_new (networks, json_string (text));
  }
  json_object_set_new (object, "key_id", json_string (key->id));
  json_object_set_new (object, "name", json_string (key->name != NULL ? key->name : ""));
  json_object_set_new (object, "key",
                       json_string (key->display != NULL ? key->display : "****"));
  json_object_set_new (object, "scopes", list);
  json_object_set_new (object, "ip_allow", networks);
  json_object_set_new (object, "hmac", json_boolean (key->hmac_secret != NULL));
  json_object_set_new (object, "rate_per_min",
                       key->rate_per_min > 0 ? json_integer (key->rate_per_min)
                                             : json_null ());
  json_object_set_new (object, "source",
                       json_string (key->is_static ? "configuration" : "table"));
  json_object_set_new (object, "created_at", ch_json_time (key->created_at));
  json_object_set_new (object, "expires_at", ch_json_time (key->expires_at));
  json_object_set_new (object, "last_used_at", ch_json_time (key->last_used_at));
  return object;
}

typedef struct {
  ChHttp *http;
  json_t *list;
  gint64 limit, offset, n;
} Listing;

static void add_key (ChHttpKey *key, gpointer data)
{
  Listing *listing = data;
  gint64 at = listing->n++;
  if (at >= listing->offset && at < listing->offset + listing->limit)
    json_array_append_new (listing->list, key_json (listing->http, key));
}

static void list_keys (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  Listing listing = {.http = self->services->http, .list = json_array ()};
  ch_http_page (request, &listing.limit, &listing.offset);
  ch_http_keys_foreach (listing.http->keys, add_key, &listing);
  json_t *data = json_object ();
  json_object_set_new (data, "keys", listing.list);
  json_object_set_new (data, "total", json_integer (listing.n));
  json_object_set_new (data, "page", json_integer (listing.offset / listing.limit + 1));
  json_object_set_new (data, "page_size", json_integer (listing.limit));
  ch_reply_data (self, reply, 200, NULL, data);
}

/* Texts of an array, with commas; NULL when one is no text. */
static char *join (const json_t *list)
{
  GString *text = g_string_new (NULL);
  size_t i;
  json_t *item;
  json_array_foreach (list, i, item)
  {
    if (!json_is_string (item) || strchr (json_string_value (item), ',') != NULL)
      return g_string_free (text, TRUE);
    g_string_append_printf (text, "%s%s", text->len > 0 ? "," : "",
                            json_string_value (item));
  }
  return g_string_free (text, FALSE);
}

typedef struct {
  ChHttp *http;
  ChReply reply;
} Answering;

static void answer_created (const ChHttpKey *key, const char *text, const GError *error,
                            gpointer data)
{
  g_autofree Answering *answering = data;
  ChPlugin *self = answering->http->self;
  if (error != NULL) {
    ch_reply_gerror (self, answering->reply, error);
    return;
  }
  json_t *object = key_json (answering->http, key);
  ch_http_audit_after (answering->http, answering->reply, json_deep_copy (object));
  json_object_set_new (object, "key", json_string (text)); /* this once */
  if (key->hmac_secret != NULL)
    json_object_set_new (object, "hmac_secret", json_string (key->hmac_secret));
  ch_reply_data (self, answering->reply, 201, NULL, object);
}

static gboolean networks_are_good (const char *text)
{
  g_auto (GStrv) names = g_strsplit (text, ",", 0);
  g_autoptr (GPtrArray) networks = NULL;
  if (*text == '\0')
    return TRUE;
  networks = ch_http_networks_parse ((const char *const *) names, NULL);
  return networks != NULL;
}

/* @error (nullable): which one, and what there is */
static void reply_bad_scopes (ChPlugin *self, ChReply reply, const GError *error)
{
  ch_reply_error (
      self, reply, CH_CORE_ERROR_INVALID_PARAMETER,
      error != NULL ? error->message : "scopes are texts without commas",
      json_pack ("{s:[{s:s,s:s}]}", "fields", "field", "scopes", "rule", "enum"));
}

static void create_key (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ChHttp *http = self->services->http;
  const json_t *body = ch_request_body (request);
  g_autofree char *scopes = join (json_object_get (body, "scopes"));
  g_autofree char *networks = join (json_object_get (body, "ip_allow"));
  const char *expires_at = ch_json_get_string (body, "expires_at", NULL);
  g_autoptr (GError) error = NULL;
  ChHttpKeyWish wish = {
      .name = ch_json_get_string (body, "name", ""),
      .scopes = scopes,
      .networks = networks,
      .rate_per_min = ch_json_get_int (body, "rate_per_min", 0),
      .with_secret = ch_json_get_bool (body, "hmac", FALSE),
  };
  if (scopes == NULL || !check_scopes (scopes, &error))
    reply_bad_scopes (self, reply, error);
  else if (networks == NULL || !networks_are_good (networks))
    ch_http_reply_invalid (self, reply, "ip_allow", "network", NULL);
  else if (expires_at != NULL && !ch_parse_time (expires_at, &wish.expires_at))
    ch_http_reply_invalid (self, reply, "expires_at", "type", NULL);
  else if (!ch_http_has_store (http))
    ch_reply_error (self, reply, 50305, "there is no database", NULL);
  else {
    Answering *answering = g_new0 (Answering, 1);
    answering->http = http;
    answering->reply = reply;
    ch_http_key_store (http, &wish, answer_created, answering);
  }
}

typedef struct {
  ChReply reply;
  char id[72];
} Revoking;

static void key_revoked (ChPlugin *self, const ChTxResult *result, const GError *error,
                         gpointer data)
{
  g_autofree Revoking *revoking = data;
  if (error != NULL) {
    ch_reply_gerror (self, revoking->reply, error);
    return;
  }
  ch_http_keys_remove (self->services->http->keys, revoking->id);
  if (ch_tx_result_changes (result, 0) == 0)
    ch_reply_error (self, revoking->reply, 40400, "no such key", NULL);
  else
    ch_reply_data (self, revoking->reply, 200, NULL, NULL);
}

static void revoke_key (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ChHttp *http = self->services->http;
  const char *id = ch_request_path (request, "key_id");
  const ChHttpKey *key = ch_http_keys_by_id (http->keys, id);

  if (key != NULL && key->is_static) {
    ch_reply_error (self, reply, 40010,
                    "this key is in the configuration: remove it there", NULL);
    return;
  }
  if (!ch_http_has_store (http)) {
    ch_reply_error (self, reply, 50305, "there is no database", NULL);
    return;
  }
  Revoking *revoking = g_new0 (Revoking, 1);
  revoking->reply = reply;
  g_strlcpy (revoking->id, id, sizeof revoking->id);
  ch_http_key_revoke (http, id, key_revoked, revoking);
}

const ChRoute ch_http_key_routes[] = {
    CH_HTTP_ADMIN ("GET", "/api-keys", LIST_PARAMS, "API keys", list_keys),
    CH_HTTP_ADMIN ("POST", "/api-keys", CREATE_PARAMS, "Make an API key", create_key),
    CH_HTTP_ADMIN ("DELETE", "/api-keys/{key_id}", KEY_PARAMS, "Revoke an API key",
                   revoke_key),
    {.method = NULL},
};
