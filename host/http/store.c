/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows of the part: migrations, statements, keys that are loaded and written back. */
#include "store/store.h"
#include "base/text.h"
#include "http/key-store.h"
#include "http/secret.h"

#include <string.h>

#define RELOAD_MS 30000
#define PURGE_MS 3600000
#define KEEP_IDEMPOTENCY_MS (24 * 3600 * G_GINT64_CONSTANT (1000))
#define MAX_KEYS 10000

extern const char ch_embed_0001_http_sqlite_sql[], ch_embed_0001_http_pgsql_sql[];

#define AUDIT_FILTER(find)                                                               \
  " WHERE at >= :from_at AND at <= :to_at AND (:actor = '' OR actor = :actor)"           \
  " AND (:action = '' OR " find " (action, :action) > 0)"                                \
  " AND (:object = '' OR " find " (object, :object) > 0)"

static const ChStatement STATEMENTS[] = {
    {.name = "keys.insert",
     .sql = "INSERT INTO api_keys (key_id, name, key_hash, display, scopes, ip_allow, "
            "hmac_secret, rate_per_min, created_at, expires_at) VALUES (:key_id, :name, "
            ":key_hash, :display, :scopes, :ip_allow, :hmac_secret, :rate_per_min, "
            ":created_at, :expires_at)"},
    {.name = "keys.live",
     .sql = "SELECT key_id, name, key_hash, display, scopes, ip_allow, hmac_secret, "
            "rate_per_min, created_at, expires_at, last_used_at FROM api_keys "
            "WHERE revoked_at IS NULL ORDER BY key_id LIMIT :count",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "keys.revoke",
     .sql = "UPDATE api_keys SET revoked_at = :at WHERE key_id = :key_id AND revoked_at "
            "IS NULL"},
    {.name = "keys.used",
     .sql = "UPDATE api_keys SET last_used_at = :at WHERE key_id = :key_id"},
    {.name = "idempotency.lock",
     .sql = "INSERT INTO idempotency_keys (scope, key, fingerprint, state, locked_at, "
            "created_at) VALUES (:scope, :key, :fingerprint, 'running', :at, :at) "
            "ON CONFLICT (scope, key) DO UPDATE SET fingerprint = excluded.fingerprint, "
            "state = 'running', locked_at = excluded.locked_at, response_status = NULL, "
            "response_body = NULL, created_at = excluded.created_at "
            "WHERE idempotency_keys.created_at < :day_ago "
            "OR (idempotency_keys.state = 'running' AND idempotency_keys.locked_at < "
            ":minute_ago AND idempotency_keys.fingerprint = excluded.fingerprint)"},
    {.name = "idempotency.get",
     .sql = "SELECT fingerprint, state, locked_at, response_status, response_body FROM "
            "idempotency_keys WHERE scope = :scope AND key = :key"},
    {.name = "idempotency.done",
     .sql = "UPDATE idempotency_keys SET state = 'done', response_status = :status, "
            "response_body = :body WHERE scope = :scope AND key = :key AND fingerprint = "
            ":fingerprint"},
    {.name = "idempotency.release",
     .sql = "DELETE FROM idempotency_keys WHERE scope = :scope AND key = :key AND "
            "fingerprint = :fingerprint AND state = 'running'"},
    {.name = "idempotency.purge",
     .sql = "DELETE FROM idempotency_keys WHERE created_at < :before"},
    {.name = "audit.insert",
     .sql = "INSERT INTO audit_log (at, actor, ip, action, object, request_id, before, "
            "after) VALUES (:at, :actor, :ip, :action, :object, :request_id, :before, "
            ":after)"},
    {.name = "audit.list",
     .sqlite
     = "SELECT id, at, actor, ip, action, object, request_id, before, after"
       " FROM audit_log" AUDIT_FILTER (
           "instr") " AND id < :before_id ORDER BY id DESC LIMIT :count OFFSET :skip",
     .pgsql
     = "SELECT id, at, actor, ip, action, object, request_id, before, after"
       " FROM audit_log" AUDIT_FILTER (
           "strpos") " AND id < :before_id ORDER BY id DESC LIMIT :count OFFSET :skip",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "audit.count",
     .sqlite = "SELECT count (*) AS total FROM audit_log" AUDIT_FILTER ("instr"),
     .pgsql = "SELECT count (*) AS total FROM audit_log" AUDIT_FILTER ("strpos"),
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "health.ping", .sql = "SELECT 1 AS one", .flags = CH_STATEMENT_READ_ONLY},
    {.name = NULL},
};

gboolean ch_http_has_store (ChHttp *http)
{
  return http->services->store != NULL && ch_store_is_up (http->services->store);
}

/* ---- rows to keys --------------------------------------------------------------------
 */

static void read_hash (ChHttpKey *key, const char *hex)
{
  for (gsize i = 0; i < sizeof key->hash && hex[0] != '\0' && hex[1] != '\0';
       i++, hex += 2)
    key->hash[i]
        = (guint8) (g_ascii_xdigit_value (hex[0]) << 4 | g_ascii_xdigit_value (hex[1]));
}

static guint64 read_scopes (ChHttp *http, const char *text)
{
  g_autoptr (json_t) list = ch_json_parse (text, strlen (text), NULL);
  guint64 bits = 0;
  size_t i;
  json_t *item;
  json_array_foreach (list, i, item) if (json_is_string (item)) bits
      |= ch_http_keys_scope (http->keys, json_string_value (item));
  return bits;
}

static GPtrArray *read_networks (ChHttp *http, const char *id, const char *text)
{
  g_autoptr (json_t) list = ch_json_parse (text, strlen (text), NULL);
  if (json_array_size (list) == 0)
    return NULL;
  g_autoptr (GPtrArray) texts = g_ptr_array_new ();
  g_autoptr (GError) error = NULL;
  size_t i;
  json_t *item;
  json_array_foreach (list, i, item) if (json_is_string (item))
      g_ptr_array_add (texts, (gpointer) (guintptr) json_string_value (item));
  g_ptr_array_add (texts, NULL);
  GPtrArray *networks
      = ch_http_networks_parse ((const char *const *) texts->pdata, &error);
  if (networks == NULL) {
    ch_error (http->self, "key %s: %s: nobody may use it", id, error->message);
    networks = ch_http_networks_parse ((const char *const[]) {"255.255.255.255/32", NULL},
                                       NULL);
  }
  return networks;
}

static const char *master_key (ChHttp *http)
{
  return ch_config_string (http->self, "security.master_key");
}

static ChHttpKey *read_key (ChHttp *http, const ChTxResult *r, guint row)
{
  ChHttpKey *key = ch_http_key_new (ch_tx_result_text (r, 0, row, "key_id"), NULL);
  gint64 expires_at = ch_tx_result_time (r, 0, row, "expires_at");
  gint64 rate = ch_tx_result_int (r, 0, row, "rate_per_min");
  gint64 used_at = ch_tx_result_time (r, 0, row, "last_used_at");

  key->name = g_strdup (ch_tx_result_text (r, 0, row, "name"));
  key->display = g_strdup (ch_tx_result_text (r, 0, row, "display"));
  read_hash (key, ch_tx_result_text (r, 0, row, "key_hash"));
  key->scopes = read_scopes (http, ch_tx_result_text (r, 0, row, "scopes"));
  key->networks
      = read_networks (http, key->id, ch_tx_result_text (r, 0, row, "ip_allow"));
  const char *secret = ch_tx_result_text (r, 0, row, "hmac_secret");
  key->hmac_secret = ch_http_secret_open (master_key (http), secret);
  if (secret != NULL && key->hmac_secret == NULL)
    ch_error (http->self, "the secret of key %s cannot be read with security.master_key",
              key->id);
  key->rate_per_min = rate != CH_UNSET ? rate : 0;
  key->expires_at = expires_at != CH_UNSET ? expires_at : 0;
  key->last_used_at = used_at != CH_UNSET ? used_at : 0;
  key->created_at = ch_tx_result_time (r, 0, row, "created_at");
  return key;
}

/* What a key has used of its rate outlives a reload. */
static void keep_state (ChHttp *http, ChHttpKey *key)
{
  const ChHttpKey *old = ch_http_keys_by_id (http->keys, key->id);
  if (old == NULL)
    return;
  key->bucket = old->bucket;
  key->rate = old->rate;
  key->burst = old->burst;
  key->used = old->used;
  key->last_used_at = MAX (key->last_used_at, old->last_used_at);
}

static void keys_read (ChPlugin *self, const ChTxResult *result, const GError *error,
                       gpointer data)
{
  ChHttp *http = data;
  if (error != NULL) {
    ch_warning (self, "keys not read again: %s", error->message);
    return;
  }
  guint rows = ch_tx_result_rows (result, 0);
  g_autoptr (GPtrArray) keys = g_ptr_array_new ();
  for (guint row = 0; row < rows; row++) {
    ChHttpKey *key = read_key (http, result, row);
    keep_state (http, key);
    g_ptr_array_add (keys, key);
  }
  ch_http_keys_clear (http->keys, FALSE);
  for (guint i = 0; i < keys->len; i++)
    ch_http_keys_add (http->keys, g_ptr_array_index (keys, i));
}

static ChTx *select_keys (ChHttp *http)
{
  ChTx *tx = ch_tx_new (http->self);
  ch_tx_add (tx, NULL, "keys.live");
  ch_tx_bind_int (tx, "count", MAX_KEYS);
  return tx;
}

/* ---- writing back and reading again --------------------------------------------------
 */

static void add_used (ChHttpKey *key, gpointer data)
{
  ChTx *tx = data;
  if (!key->used || key->is_static)
    return;
  key->used = FALSE;
  ch_tx_add (tx, NULL, "keys.used");
  ch_tx_bind_time (tx, "at", key->last_used_at);
  ch_tx_bind_text (tx, "key_id", key->id);
}

/* Other instances make and revoke keys, too. */
static void reload (ChPlugin *self, gpointer data)
{
  ChHttp *http = data;
  ch_timer_add (self, RELOAD_MS, reload, http);
  if (!ch_http_has_store (http))
    return;
  g_autoptr (ChTx) used = ch_tx_new (self);
  ch_http_keys_foreach (http->keys, add_used, used);
  if (!ch_tx_is_empty (used))
    ch_tx_submit (g_steal_pointer (&used), 0, NULL, NULL);
  ch_tx_submit (select_keys (http), 0, keys_read, http);
}

static void purge (ChPlugin *self, gpointer data)
{
  ChHttp *http = data;
  ch_timer_add (self, PURGE_MS, purge, http);
  if (!ch_http_has_store (http))
    return;
  ChTx *tx = ch_tx_new (self);
  ch_tx_add (tx, NULL, "idempotency.purge");
  ch_tx_bind_time (tx, "before", ch_wall_ms (self) - KEEP_IDEMPOTENCY_MS);
  ch_tx_submit (tx, 0, NULL, NULL);
}

gboolean ch_http_register_store (ChHttp *http, GError **error)
{
  static const ChMigration migrations[] = {
      {1, "http", ch_embed_0001_http_sqlite_sql, ch_embed_0001_http_pgsql_sql},
      {0},
  };
  return ch_store_register (http->self, migrations, STATEMENTS, error);
}

gboolean ch_http_store_open (ChHttp *http, GError **error)
{
  if (http->services->store == NULL)
    return TRUE;
  if (!ch_http_register_store (http, error)
      || !ch_store_run_now (http->self, select_keys (http), keys_read, http, error))
    return FALSE;
  ch_timer_add (http->self, RELOAD_MS, reload, http);
  ch_timer_add (http->self, PURGE_MS, purge, http);
  return TRUE;
}

/* ---- making and revoking -------------------------------------------------------------
 */

static char *json_names (const char *comma_separated)
{
  g_autoptr (json_t) list = json_array ();
  g_auto (GStrv) names = g_strsplit (comma_separated, ",", 0);
  for (char **name = names; *name != NULL; name++)
    if (*g_strstrip (*name) != '\0')
      json_array_append_new (list, json_string (*name));
  return ch_json_dump (list);
}

typedef struct {
  ChHttp *http;
  ChHttpKey *key;
  char text[CH_HTTP_KEY_TEXT_SIZE];
  ChHttpKeyDone done;
  gpointer data;
} Making;

static void making_free (Making *making)
{
  ch_http_key_unref (making->key);
  explicit_bzero (making->text, sizeof making->text);
  g_free (making);
}

static void key_written (ChPlugin *self, const ChTxResult *result, const GError *error,
                         gpointer data)
{
  Making *making = data;
  if (error == NULL)
    ch_http_keys_add (making->http->keys, ch_http_key_ref (making->key));
  making->done (error == NULL ? making->key : NULL, making->text, error, making->data);
  making_free (making);
}

void ch_http_key_store (ChHttp *http, const ChHttpKeyWish *wish, ChHttpKeyDone done,
                        gpointer data)
{
  Making *making = g_new0 (Making, 1);
  char ulid[CH_ULID_SIZE];
  g_autofree char *id = g_strdup_printf ("key_%s", ch_ulid (http->self, ulid));

  ch_http_key_make (making->text);
  making->http = http;
  making->done = done;
  making->data = data;
  ChHttpKey *key = making->key = ch_http_key_new (id, making->text);
  key->name = g_strdup (wish->name);
  key->scopes = ch_http_keys_scopes (http->keys, wish->scopes);
  key->rate_per_min = wish->rate_per_min;
  key->expires_at = wish->expires_at;
  key->created_at = ch_wall_ms (http->self);
  if (wish->with_secret) {
    char secret[CH_HTTP_KEY_TEXT_SIZE];
    ch_http_key_make (secret);
    key->hmac_secret = g_strdup (secret + 4);
  }
  g_autofree char *hash = ch_hex (key->hash, sizeof key->hash);
  g_autofree char *scopes = json_names (wish->scopes);
  g_autofree char *networks = json_names (wish->networks != NULL ? wish->networks : "");
  if (strlen (networks) > 2)
    key->networks = read_networks (http, id, networks);

  ChTx *tx = ch_tx_new (http->self);
  ch_tx_add (tx, NULL, "keys.insert");
  ch_tx_bind_text (tx, "key_id", id);
  ch_tx_bind_text (tx, "name", wish->name);
  ch_tx_bind_text (tx, "key_hash", hash);
  ch_tx_bind_text (tx, "display", key->display);
  ch_tx_bind_json (tx, "scopes", scopes);
  ch_tx_bind_json (tx, "ip_allow", networks);
  g_autofree char *sealed = ch_http_secret_seal (master_key (http), key->hmac_secret);
  ch_tx_bind_text (tx, "hmac_secret", sealed);
  ch_tx_bind_int (tx, "rate_per_min",
                  key->rate_per_min > 0 ? key->rate_per_min : CH_UNSET);
  ch_tx_bind_time (tx, "created_at", key->created_at);
  ch_tx_bind_time (tx, "expires_at", key->expires_at > 0 ? key->expires_at : CH_UNSET);
  ch_tx_submit (tx, 0, key_written, making);
}

void ch_http_key_revoke (ChHttp *http, const char *id, ChTxDone done, gpointer data)
{
  ChTx *tx = ch_tx_new (http->self);
  ch_tx_add (tx, NULL, "keys.revoke");
  ch_tx_bind_text (tx, "key_id", id);
  ch_tx_bind_time (tx, "at", ch_wall_ms (http->self));
  ch_tx_submit (tx, 0, done, data);
}
