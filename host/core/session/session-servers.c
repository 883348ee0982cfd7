/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The other servers: how many live, the reaper of dead ones (SES-14), who holds a device
 * that is not here.
 */
#include "core/order/order-home.h"
#include "core/outbound/outbound.h"
#include "core/peer/peer.h"
#include "core/session/session-private.h"
#include "kv/kv.h"
#include <chargehost/clock.h>
#include <chargehost/json.h>
#include <chargehost/log.h>

#include <string.h>

#define BEAT_MS 5000
#define DEAD_MS 15000
#define LOOK_BEATS 6
#define OWNER_MS 5000
#define OWNERS_MAX 20000

extern const char ch_embed_chargehost_core_lua[];

static const char *my_id (ChSessions *sessions)
{
  return sessions->core->services->server_id;
}

guint ch_sessions_servers (ChSessions *sessions)
{
  return sessions->n_servers;
}

/* ---- the reaper ---- */

/* Nobody has taken the device from the dead server: its orders are kept here. */
static void released (ChPlugin *self, const ChKvReply *reply, const GError *error,
                      gpointer user_data)
{
  ChSessionCall *call = user_data;
  ChSessions *sessions = call->sessions;
  ChDevice *device = g_hash_table_lookup (sessions->core->devices, call->device);

  if (error == NULL && reply->kind == CH_KV_REPLY_INTEGER && reply->integer == 1
      && sessions->core->services->phase >= 8) {
    if (device != NULL)
      ch_home_adopt (device);
    else
      ch_home_know (sessions->core, call->device);
  }
  ch_session_call_done (call);
}

static void release_device (ChSessions *sessions, const char *server, const char *conn_id,
                            const char *device)
{
  g_autofree char *session = g_strconcat ("session:device:", device, NULL);
  g_autofree char *conn = g_strconcat ("session:conn:", conn_id, NULL);
  g_autofree char *conns = g_strconcat ("session:server:", server, ":conns", NULL);
  const char *keys[] = {session, conn, conns, "session:online"};
  char now[CH_TIME_TEXT_SIZE];
  const char *args[]
      = {device, conn_id, ch_format_time (ch_wall_ms (sessions->self), now), "", "3600"};
  ch_kv_call (sessions->self, released, ch_session_call_new (sessions, device),
              "session_unbind", keys, G_N_ELEMENTS (keys), args, G_N_ELEMENTS (args));
}

static void conn_read (ChPlugin *self, const ChKvReply *reply, const GError *error,
                       gpointer user_data)
{
  ChSessionCall *call = user_data;
  g_autoptr (json_t) list = error == NULL && reply->kind == CH_KV_REPLY_STRING
                                ? ch_json_parse (reply->text, reply->size, NULL)
                                : NULL;

  for (size_t i = 0; i < json_array_size (list); i++) {
    const char *device = json_string_value (json_array_get (list, i));
    if (ch_device_id_is_valid (device))
      release_device (call->sessions, call->server, call->conn_id, device);
  }
  if (list == NULL && error == NULL) {
    g_autofree char *conns
        = g_strconcat ("session:server:", call->server, ":conns", NULL);
    ch_kv_commandv (self, NULL, NULL, "SREM", conns, call->conn_id, NULL);
  }
  ch_session_call_done (call);
}

static void conns_read (ChPlugin *self, const ChKvReply *reply, const GError *error,
                        gpointer user_data)
{
  ChSessionCall *call = user_data;

  for (gsize i = 0; error == NULL && i < reply->n_items; i++) {
    const char *conn_id = reply->items[i]->text;
    if (conn_id == NULL || strlen (conn_id) >= CH_ULID_SIZE)
      continue;
    ChSessionCall *next = ch_session_call_new (call->sessions, NULL);
    g_strlcpy (next->server, call->server, sizeof next->server);
    g_strlcpy (next->conn_id, conn_id, sizeof next->conn_id);
    g_autofree char *key = g_strconcat ("session:conn:", conn_id, NULL);
    ch_kv_commandv (self, conn_read, next, "GET", key, NULL);
  }
  ch_session_call_done (call);
}

/* Ends the sessions that a server left behind. */
static void reap_sessions (ChSessions *sessions, const char *server)
{
  g_autofree char *key = g_strconcat ("session:server:", server, ":conns", NULL);
  ChSessionCall *call = ch_session_call_new (sessions, NULL);
  g_strlcpy (call->server, server, sizeof call->server);
  ch_kv_commandv (sessions->self, conns_read, call, "SMEMBERS", key, NULL);
}

static void reap_won (ChPlugin *self, const ChKvReply *reply, const GError *error,
                      gpointer user_data)
{
  ChSessionCall *call = user_data;

  if (error == NULL && reply->kind == CH_KV_REPLY_STATUS) {
    g_autofree char *info = g_strconcat ("server:", call->server, NULL);
    g_autofree char *ready = g_strconcat ("outbound:ready:", call->server, NULL);
    ch_notice (self, "server %s is dead: taking over what it left", call->server);
    call->sessions->several = TRUE;
    ch_session_server_ended (call->sessions, call->server);
    ch_peers_give_up (call->sessions->core->peers, call->server);
    ch_session_tell (call->sessions, "down", call->server, NULL);
    reap_sessions (call->sessions, call->server);
    ch_outbound_reap (call->sessions->core->outbound, call->server);
    ch_kv_commandv (self, NULL, NULL, "ZREM", "servers", call->server, NULL);
    ch_kv_commandv (self, NULL, NULL, "DEL", info, ready, NULL);
  }
  ch_session_call_done (call);
}

static void dead_listed (ChPlugin *self, const ChKvReply *reply, const GError *error,
                         gpointer user_data)
{
  ChSessions *sessions = user_data;

  for (gsize i = 0; error == NULL && i < reply->n_items; i++) {
    const char *server = reply->items[i]->text;
    if (server == NULL || strlen (server) >= CH_SERVER_ID_SIZE
        || g_str_equal (server, my_id (sessions)))
      continue;
    g_autofree char *lock = g_strconcat ("reap:", server, NULL);
    ChSessionCall *call = ch_session_call_new (sessions, NULL);
    g_strlcpy (call->server, server, sizeof call->server);
    ch_kv_commandv (self, reap_won, call, "SET", lock, sessions->token, "NX", "EX", "60",
                    NULL);
  }
}

static void alive_counted (ChPlugin *self, const ChKvReply *reply, const GError *error,
                           gpointer user_data)
{
  ChSessions *sessions = user_data;
  if (error == NULL && reply->kind == CH_KV_REPLY_INTEGER)
    ch_session_count_servers (sessions, (guint) CLAMP (reply->integer, 1, G_MAXINT32));
}

/* ---- the beat ---- */

static void look_at_others (ChSessions *sessions)
{
  ChPlugin *self = sessions->self;
  gint64 limit = ch_wall_ms (self) - DEAD_MS;
  g_autofree char *dead = g_strdup_printf ("(%" G_GINT64_FORMAT, limit);
  g_autofree char *alive = g_strdup_printf ("%" G_GINT64_FORMAT, limit);

  ch_kv_commandv (self, alive_counted, sessions, "ZCOUNT", "servers", alive, "+inf",
                  NULL);
  ch_kv_commandv (self, dead_listed, sessions, "ZRANGEBYSCORE", "servers", "-inf", dead,
                  NULL);
}

void ch_session_beat_fired (ChWheelTimer *timer)
{
  ChSessions *sessions
      = (ChSessions *) ((char *) timer - G_STRUCT_OFFSET (ChSessions, beat));
  gboolean up = ch_session_kv_ok (sessions);

  if (up) {
    if (!sessions->kv_was_up)
      ch_session_kv_all_again (sessions);
    ch_session_lease_renew (sessions);
    look_at_others (sessions);
    if (!sessions->kv_was_up || ++sessions->beats % LOOK_BEATS == 0)
      ch_session_look_around (sessions);
  }
  sessions->kv_was_up = up;
  ch_wheel_arm (sessions->core->services->reactor, &sessions->beat, BEAT_MS);
}

/* Not at the next beat but now: others look for our devices. */
static void kv_is_back (gpointer data)
{
  ChSessions *sessions = data;
  sessions->kv_was_up = FALSE;
  ch_wheel_arm (sessions->core->services->reactor, &sessions->beat, 1);
}

/* ---- opening ---- */

static void others_counted (ChPlugin *self, const ChKvReply *reply, const GError *error,
                            gpointer user_data)
{
  alive_counted (self, reply, error, user_data);
  ch_session_open_answered (user_data, error);
}

/* Before orders are loaded: those of other servers' devices are not ours. */
static gboolean count_others (ChSessions *sessions, GError **error)
{
  g_autofree char *alive
      = g_strdup_printf ("%" G_GINT64_FORMAT, ch_wall_ms (sessions->self) - DEAD_MS);
  sessions->open_state = 0;
  ch_kv_commandv (sessions->self, others_counted, sessions, "ZCOUNT", "servers", alive,
                  "+inf", NULL);
  return ch_session_open_ask (sessions, error);
}

static void evict_asked (ChPlugin *self, const char *channel, const char *message,
                         gsize size, gpointer user_data)
{
  ChSessions *sessions = user_data;
  g_autoptr (json_t) json = ch_json_parse (message, size, NULL);
  const char *id = ch_json_get_string (json, "phy_id", NULL);
  ChDevice *device
      = id != NULL ? g_hash_table_lookup (sessions->core->devices, id) : NULL;
  const ChSessionConn *sc
      = device != NULL ? ch_session_conn (sessions, device->conn) : NULL;

  if (sc != NULL && g_str_equal (sc->conn_id, ch_json_get_string (json, "conn_id", "")))
    ch_session_stale (sessions, device);
}

gboolean ch_session_servers_open (ChSessions *sessions, GError **error)
{
  ChPlugin *self = sessions->self;

  if (!ch_kv_library (self, ch_embed_chargehost_core_lua, error))
    return FALSE;
  sessions->opened = TRUE;
  if (ch_kv_is_up (self)) {
    if (!ch_session_lease_claim (sessions, error))
      return FALSE;
    reap_sessions (sessions, my_id (sessions));
    sessions->kv_was_up = TRUE;
    if (!count_others (sessions, error))
      return FALSE;
  }
  g_autofree char *channel = g_strconcat ("session:evict:", my_id (sessions), NULL);
  ch_kv_subscribe (self, channel, evict_asked, sessions);
  ch_session_elsewhere_open (sessions);
  look_at_others (sessions);
  ch_kv_set_back (sessions->core->services->kv, kv_is_back, sessions);
  ch_wheel_arm (sessions->core->services->reactor, &sessions->beat, BEAT_MS);
  return TRUE;
}

void ch_session_servers_close (ChSessions *sessions)
{
  ch_kv_set_back (sessions->core->services->kv, NULL, NULL);
  if (!ch_session_kv_ok (sessions) || sessions->lease_lost)
    return;
  ch_session_tell (sessions, "down", my_id (sessions), NULL);
  ch_session_lease_end (sessions);
}

/* ---- devices of other servers ---- */

void ch_session_stale (ChSessions *sessions, ChDevice *device)
{
  ChConn conn = device->conn;
  ChSessionConn *sc = ch_session_conn (sessions, conn);

  if (conn == 0)
    return;
  ch_outbound_moved (sessions->core->outbound, device);
  if (device->elsewhere == NULL)
    device->elsewhere = g_strdup ("");
  gboolean alone = sc == NULL || sc->n_devices <= 1
                   || device->props->takeover_closes == CH_CLOSES_ALWAYS;
  ch_session_end (sessions, device, CH_CLOSE_TAKEOVER, FALSE);
  if (alone)
    ch_conn_close (sessions->self, conn, CH_CLOSE_TAKEOVER);
}

const char *ch_session_remote_owner (ChSessions *sessions, const char *device)
{
  if (sessions->n_servers <= 1)
    return "";
  const ChSessionOwner *owner = g_hash_table_lookup (sessions->owners, device);
  gboolean fresh
      = owner != NULL && ch_now_ms (sessions->self) - owner->heard_ms <= OWNER_MS;
  return fresh ? owner->server : "";
}

void ch_session_remember_owner (ChSessions *sessions, const char *device,
                                const char *server)
{
  if (g_hash_table_size (sessions->owners) >= OWNERS_MAX)
    g_hash_table_remove_all (sessions->owners);
  ChSessionOwner *owner = g_new0 (ChSessionOwner, 1);
  if (!g_str_equal (server, my_id (sessions)))
    g_strlcpy (owner->server, server, sizeof owner->server);
  owner->heard_ms = ch_now_ms (sessions->self);
  g_hash_table_replace (sessions->owners, g_strdup (device), owner);
}

static const char *owner_in (const ChKvReply *reply, json_t **json)
{
  *json = reply->kind == CH_KV_REPLY_STRING
              ? ch_json_parse (reply->text, reply->size, NULL)
              : NULL;
  return ch_json_get_string (*json, "server_id", "");
}

static void owner_read (ChPlugin *self, const ChKvReply *reply, const GError *error,
                        gpointer user_data)
{
  ChSessionCall *call = user_data;
  ChSessions *sessions = call->sessions;
  ChSessionLocated located = call->located;
  gpointer located_data = call->user_data;
  char device[CH_DEVICE_ID_SIZE];
  g_autoptr (json_t) json = NULL;

  g_strlcpy (device, call->device, sizeof device);
  if (error == NULL)
    ch_session_remember_owner (sessions, device, owner_in (reply, &json));
  ch_session_call_done (call);
  located (sessions->core, device, located_data);
}

void ch_sessions_locate (ChSessions *sessions, const char *device, ChSessionLocated done,
                         gpointer user_data)
{
  const ChDevice *record = g_hash_table_lookup (sessions->core->devices, device);

  if ((record != NULL && record->conn != 0) || sessions->n_servers <= 1
      || *ch_session_remote_owner (sessions, device) != '\0'
      || !ch_session_kv_ok (sessions)) {
    done (sessions->core, device, user_data);
    return;
  }
  g_autofree char *key = g_strconcat ("session:device:", device, NULL);
  ChSessionCall *call = ch_session_call_new (sessions, device);
  call->located = done;
  call->user_data = user_data;
  ch_kv_commandv (sessions->self, owner_read, call, "GET", key, NULL);
}

static void handed_over (ChPlugin *self, const ChKvReply *reply, const GError *error,
                         gpointer user_data)
{
  ChSessionCall *call = user_data;
  ChSessions *sessions = call->sessions;
  g_autoptr (json_t) json = NULL;
  const char *owner = error == NULL ? owner_in (reply, &json) : "";

  if (*owner != '\0' && !g_str_equal (owner, my_id (sessions))) {
    g_autofree char *key = g_strconcat ("outbound:ready:", owner, NULL);
    g_autofree char *now = g_strdup_printf ("%" G_GINT64_FORMAT, ch_wall_ms (self));
    g_autofree char *channel = g_strconcat ("outbound:wake:", owner, NULL);
    g_autofree char *text = g_strconcat ("ready ", call->device, NULL);
    ch_kv_commandv (self, NULL, NULL, "ZADD", key, now, call->device, NULL);
    ch_kv_commandv (self, NULL, NULL, "PUBLISH", channel, text, NULL);
  }
  ch_session_call_done (call);
}

void ch_sessions_hand_over (ChSessions *sessions, const char *device)
{
  if (!ch_session_kv_ok (sessions))
    return;
  g_autofree char *mine = g_strconcat ("outbound:ready:", my_id (sessions), NULL);
  g_autofree char *key = g_strconcat ("session:device:", device, NULL);
  ch_kv_commandv (sessions->self, NULL, NULL, "ZREM", mine, device, NULL);
  ch_kv_commandv (sessions->self, handed_over, ch_session_call_new (sessions, device),
                  "GET", key, NULL);
}
