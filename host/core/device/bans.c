/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/device/bans.h"
#include "core/core-admin.h"
#include "core/session/session.h"
#include "store/store.h"
#include <chargehost/json.h>

#include <gio/gio.h>
#include <string.h>

#define BANS_MAX 10000
#define READ_MS 30000

const ChStatement ch_ban_statements[] = {
    {.name = "bans.put",
     .sql = "INSERT INTO bans (subject, reason, until_at, created_at)"
            " VALUES (:subject, :reason, :until_at, :now) ON CONFLICT (subject)"
            " DO UPDATE SET reason = excluded.reason, until_at = excluded.until_at,"
            " created_at = excluded.created_at"},
    {.name = "bans.drop", .sql = "DELETE FROM bans WHERE subject = :subject"},
    {.name = "bans.expire", .sql = "DELETE FROM bans WHERE until_at <= :now"},
    {.name = "bans.live",
     .sql = "SELECT subject, reason, until_at, created_at FROM bans"
            " ORDER BY subject LIMIT :count"},
    {.name = NULL},
};

typedef struct {
  char *subject; /* device id, or a network with its slash */
  char *reason;
  gint64 until_at;   /* wall ms, 0 = for ever */
  gint64 created_at; /* wall ms */
  gboolean stored;
  GInetAddressMask *network; /* nullable */
} Ban;

struct _ChBans {
  ChCore *core;
  GHashTable *by_subject; /* → Ban, owned */
  guint n_networks;
};

static void ban_free (gpointer data)
{
  Ban *ban = data;
  g_clear_object (&ban->network);
  g_free (ban->subject);
  g_free (ban->reason);
  g_free (ban);
}

ChBans *ch_bans_new (ChCore *core)
{
  ChBans *bans = g_new0 (ChBans, 1);
  bans->core = core;
  bans->by_subject = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, ban_free);
  return bans;
}

void ch_bans_free (ChBans *bans)
{
  if (bans == NULL)
    return;
  g_hash_table_unref (bans->by_subject);
  g_free (bans);
}

/* ---- the set ---- */

static Ban *ban_new (const char *subject, const char *reason, gint64 until_at,
                     gint64 created_at)
{
  Ban *ban = g_new0 (Ban, 1);
  ban->subject = g_strdup (subject);
  ban->reason = g_strdup (reason);
  ban->until_at = until_at;
  ban->created_at = created_at;
  if (strchr (subject, '/') != NULL)
    ban->network = g_inet_address_mask_new_from_string (subject, NULL);
  return ban;
}

static void drop (ChBans *bans, const char *subject)
{
  Ban *ban = g_hash_table_lookup (bans->by_subject, subject);
  if (ban == NULL)
    return;
  bans->n_networks -= ban->network != NULL;
  g_hash_table_remove (bans->by_subject, subject);
}

/* @ban (transfer full) */
static void put (ChBans *bans, Ban *ban)
{
  drop (bans, ban->subject);
  bans->n_networks += ban->network != NULL;
  g_hash_table_insert (bans->by_subject, ban->subject, ban);
}

static gboolean is_live (const ChBans *bans, const Ban *ban)
{
  return ban->until_at == 0 || ch_wall_ms (bans->core->self) < ban->until_at;
}

static gboolean drop_if (ChBans *bans,
                         gboolean (*is_gone) (ChBans *bans, const Ban *ban,
                                              gpointer data),
                         gpointer data)
{
  GHashTableIter iter;
  gpointer value;
  g_hash_table_iter_init (&iter, bans->by_subject);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    const Ban *ban = value;
    if (!is_gone (bans, ban, data))
      continue;
    bans->n_networks -= ban->network != NULL;
    g_hash_table_iter_remove (&iter);
  }
  return g_hash_table_size (bans->by_subject) < BANS_MAX;
}

static gboolean is_over (ChBans *bans, const Ban *ban, gpointer data)
{
  return !is_live (bans, ban);
}

static gboolean has_room (ChBans *bans)
{
  return g_hash_table_size (bans->by_subject) < BANS_MAX || drop_if (bans, is_over, NULL);
}

gboolean ch_bans_has_device (ChBans *bans, const char *device)
{
  const Ban *ban = g_hash_table_lookup (bans->by_subject, device);
  return ban != NULL && is_live (bans, ban);
}

static GInetAddress *address_of (const char *host)
{
  g_autofree char *bare
      = host[0] == '[' ? g_strndup (host + 1, strcspn (host + 1, "]")) : g_strdup (host);
  return g_inet_address_new_from_string (bare);
}

gboolean ch_bans_has_host (ChBans *bans, const char *host)
{
  if (bans->n_networks == 0)
    return FALSE;
  g_autoptr (GInetAddress) address = address_of (host);
  GHashTableIter iter;
  gpointer value;
  g_hash_table_iter_init (&iter, bans->by_subject);
  while (address != NULL && g_hash_table_iter_next (&iter, NULL, &value)) {
    const Ban *ban = value;
    if (ban->network != NULL && is_live (bans, ban)
        && g_inet_address_mask_matches (ban->network, address))
      return TRUE;
  }
  return FALSE;
}

gboolean ch_ban_address (const char *text, char **subject)
{
  g_autoptr (GInetAddressMask) network = g_inet_address_mask_new_from_string (text, NULL);
  if (network == NULL)
    return FALSE;
  g_autofree char *shown = g_inet_address_mask_to_string (network);
  gboolean whole = strchr (shown, '/') == NULL; /* one address */
  *subject
      = whole ? g_strdup_printf ("%s/%u", shown, g_inet_address_mask_get_length (network))
              : g_steal_pointer (&shown);
  return TRUE;
}

/* ---- enforcing ---- */

static void close_host (const ChConnInfo *info, gpointer data)
{
  g_autofree char *host = g_strdup (info->remote);
  char *colon = strrchr (host, ':');
  ChBans *bans = data;
  if (colon != NULL)
    *colon = '\0';
  if (ch_bans_has_host (bans, host))
    ch_conn_close (bans->core->self, info->conn, CH_CLOSE_REFUSED);
}

/* What is connected already. */
static void enforce (ChBans *bans, const Ban *ban)
{
  ChCore *core = bans->core;
  ChDevice *device = ch_device_find (core, ban->subject);
  if (core->services->gateway == NULL)
    return;
  if (ban->network != NULL)
    ch_gateway_foreach (core->services->gateway, close_host, bans);
  else if (device != NULL)
    ch_session_cut (core->sessions, device);
}

/* ---- the table ---- */

static void bind (const Ban *ban, ChTx *tx)
{
  ch_tx_add (tx, NULL, "bans.put");
  ch_tx_bind_text (tx, "subject", ban->subject);
  ch_tx_bind_text (tx, "reason", ban->reason);
  ch_tx_bind_time (tx, "until_at", ban->until_at != 0 ? ban->until_at : CH_UNSET);
  ch_tx_bind_time (tx, "now", ban->created_at);
}

static gboolean is_missing (ChBans *bans, const Ban *ban, gpointer data)
{
  return ban->stored && !g_hash_table_contains (data, ban->subject);
}

/* What the table holds is the truth, except for what it has not got yet. */
static void take_rows (ChBans *bans, const ChTxResult *r, guint statement)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  for (guint row = 0; row < ch_tx_result_rows (r, statement); row++) {
    const char *subject = ch_tx_result_text (r, statement, row, "subject");
    gint64 until_at = ch_tx_result_time (r, statement, row, "until_at");
    Ban *ban = ban_new (subject, ch_tx_result_text (r, statement, row, "reason"),
                        until_at != CH_UNSET ? until_at : 0,
                        ch_tx_result_time (r, statement, row, "created_at"));
    ban->stored = TRUE;
    g_hash_table_add (seen, (gpointer) (guintptr) subject);
    const Ban *known = g_hash_table_lookup (bans->by_subject, subject);
    if (known != NULL && !known->stored && known->created_at > ban->created_at)
      ban_free (ban);
    else {
      gboolean fresh = known == NULL;
      put (bans, ban);
      if (fresh)
        enforce (bans, ban);
    }
  }
  drop_if (bans, is_missing, seen);
}

static ChTx *select_bans (ChBans *bans)
{
  ChTx *tx = ch_tx_new (bans->core->self);
  ch_tx_add (tx, NULL, "bans.expire");
  ch_tx_bind_time (tx, "now", ch_wall_ms (bans->core->self));
  ch_tx_add (tx, NULL, "bans.live");
  ch_tx_bind_int (tx, "count", BANS_MAX);
  return tx;
}

static void got_rows (ChPlugin *self, const ChTxResult *result, const GError *error,
                      gpointer data)
{
  if (error == NULL)
    take_rows (data, result, 1);
  else
    ch_log (self, CH_LOG_INFO, NULL, "bans not read again: %s", error->message);
}

static void read_again (ChPlugin *self, gpointer data)
{
  ch_timer_add (self, READ_MS, read_again, data);
  ch_tx_submit (select_bans (data), 0, got_rows, data);
}

gboolean ch_bans_open (ChBans *bans, GError **error)
{
  ChPlugin *self = bans->core->self;
  if (!ch_store_run_now (self, select_bans (bans), got_rows, bans, error))
    return FALSE;
  ch_timer_add (self, READ_MS, read_again, bans);
  return TRUE;
}

typedef struct {
  ChBans *bans;
  char *subject;
  gint64 created_at;
} Put;

static void put_done (ChPlugin *self, const ChTxResult *result, const GError *error,
                      gpointer data)
{
  g_autofree Put *sent = data;
  g_autofree char *subject = sent->subject;
  Ban *ban = g_hash_table_lookup (sent->bans->by_subject, subject);
  if (error != NULL)
    ch_warning (self, "a ban is in memory only: %s", error->message);
  else if (ban != NULL && ban->created_at == sent->created_at)
    ban->stored = TRUE;
}

void ch_bans_put_device (ChBans *bans, const char *device, const char *reason, gint64 ms)
{
  ChPlugin *self = bans->core->self;
  gint64 now = ch_wall_ms (self);
  if (!has_room (bans) && !g_hash_table_contains (bans->by_subject, device))
    return;
  Ban *ban = ban_new (device, reason, now + ms, now);
  put (bans, ban);
  if (bans->core->services->store == NULL)
    return;
  Put *sent = g_new0 (Put, 1);
  sent->bans = bans;
  sent->subject = g_strdup (device);
  sent->created_at = now;
  ChTx *tx = ch_tx_new (self);
  bind (ban, tx);
  ch_tx_submit (tx, 0, put_done, sent);
}

/* ---- for operators ---- */

static json_t *ban_json (const Ban *ban)
{
  json_t *object = json_object ();
  json_object_set_new (object, "subject", json_string (ban->subject));
  json_object_set_new (object, "kind",
                       json_string (ban->network != NULL ? "address" : "device"));
  json_object_set_new (object, "reason", json_string (ban->reason));
  json_object_set_new (object, "until", ch_json_time (ban->until_at));
  json_object_set_new (object, "created_at", ch_json_time (ban->created_at));
  return object;
}

static gint by_age (gconstpointer a, gconstpointer b)
{
  const Ban *x = *(Ban *const *) a, *y = *(Ban *const *) b;
  if (x->created_at != y->created_at)
    return x->created_at > y->created_at ? -1 : 1;
  return strcmp (x->subject, y->subject);
}

json_t *ch_core_bans_json (ChPlugin *self, gint64 limit, gint64 offset)
{
  ChBans *bans = ch_core_of (self)->bans;
  g_autoptr (GPtrArray) list = g_ptr_array_new ();
  GHashTableIter iter;
  gpointer value;
  json_t *data = json_object (), *shown = json_array ();

  drop_if (bans, is_over, NULL);
  g_hash_table_iter_init (&iter, bans->by_subject);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    g_ptr_array_add (list, value);
  g_ptr_array_sort (list, by_age);
  for (gint64 i = offset; i < offset + limit && i < (gint64) list->len; i++)
    json_array_append_new (shown, ban_json (g_ptr_array_index (list, i)));
  json_object_set_new (data, "bans", shown);
  json_object_set_new (data, "total", json_integer (list->len));
  json_object_set_new (data, "page", json_integer (offset / limit + 1));
  json_object_set_new (data, "page_size", json_integer (limit));
  return data;
}

typedef struct {
  ChBans *bans;
  ChAsk *ask;
  Ban *ban;      /* to be put */
  char *subject; /* to be dropped */
} Change;

static void banned (ChPlugin *self, const ChTxResult *result, const GError *error,
                    gpointer user_data)
{
  g_autofree Change *change = user_data;
  if (error != NULL) {
    ban_free (change->ban);
    ch_ask_store_failed (change->ask, error);
    return;
  }
  g_autoptr (json_t) data = json_object ();
  gboolean known = g_hash_table_contains (change->bans->by_subject, change->ban->subject);
  change->ban->stored = TRUE;
  put (change->bans, change->ban);
  enforce (change->bans, change->ban);
  json_object_set_new (data, "created", json_boolean (!known));
  json_object_set_new (data, "ban", ban_json (change->ban));
  ch_ask_answer (change->ask, data, NULL);
}

static Change *change_new (ChPlugin *self, ChCoreDone done, gpointer user_data)
{
  Change *change = g_new0 (Change, 1);
  change->bans = ch_core_of (self)->bans;
  change->ask = ch_ask_new (self, done, user_data);
  return change;
}

void ch_core_ban (ChPlugin *self, const char *subject, const char *reason, gint64 ms,
                  ChCoreDone done, gpointer user_data)
{
  Change *change = change_new (self, done, user_data);
  ChBans *bans = change->bans;
  gint64 now = ch_wall_ms (self);
  if (!has_room (bans)) {
    ch_ask_refuse (change->ask, CH_CORE_ERROR_OVERLOADED, "there are too many bans");
    g_free (change);
    return;
  }
  change->ban = ban_new (subject, reason, ms > 0 ? now + ms : 0, now);
  ChTx *tx = ch_tx_new (bans->core->self);
  bind (change->ban, tx);
  ch_tx_submit (tx, 0, banned, change);
}

static void unbanned (ChPlugin *self, const ChTxResult *result, const GError *error,
                      gpointer user_data)
{
  g_autofree Change *change = user_data;
  g_autofree char *subject = change->subject;
  const Ban *ban = g_hash_table_lookup (change->bans->by_subject, subject);
  if (error != NULL) {
    ch_ask_store_failed (change->ask, error);
    return;
  }
  g_autoptr (json_t) data = json_object ();
  if (ban == NULL || !is_live (change->bans, ban)) {
    ch_ask_refuse (change->ask, 40400, "no such ban");
    return;
  }
  json_object_set_new (data, "ban", ban_json (ban));
  drop (change->bans, subject);
  ChDevice *device = ch_device_find (change->bans->core, subject);
  if (device != NULL)
    device->flaps = 0;
  ch_ask_answer (change->ask, data, NULL);
}

void ch_core_unban (ChPlugin *self, const char *subject, ChCoreDone done,
                    gpointer user_data)
{
  Change *change = change_new (self, done, user_data);
  change->subject = g_strdup (subject);
  ChTx *tx = ch_tx_new (change->bans->core->self);
  ch_tx_add (tx, NULL, "bans.drop");
  ch_tx_bind_text (tx, "subject", subject);
  ch_tx_submit (tx, 0, unbanned, change);
}
