/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The directory of sessions in the kv, for other servers and for people with a client.
 * Nothing here decides over local connections, except that another server has won.
 */
#include "core/order/order-home.h"
#include "core/outbound/outbound.h"
#include "core/session/session-private.h"
#include <chargehost/clock.h>
#include <chargehost/json.h>
#include <chargehost/log.h>

#define FLUSH_MS 250
#define BATCH 500

gboolean ch_session_kv_ok (ChSessions *sessions)
{
  return sessions->core->services->kv != NULL && sessions->opened && !sessions->released
         && ch_kv_is_up (sessions->self);
}

ChSessionCall *ch_session_call_new (ChSessions *sessions, const char *device)
{
  ChSessionCall *call = g_new0 (ChSessionCall, 1);
  call->sessions = sessions;
  if (device != NULL)
    g_strlcpy (call->device, device, sizeof call->device);
  g_hash_table_add (sessions->calls, call);
  return call;
}

void ch_session_call_free (gpointer data)
{
  ChSessionCall *call = data;
  g_clear_pointer (&call->batch, g_array_unref);
  g_free (call);
}

void ch_session_call_done (ChSessionCall *call)
{
  g_hash_table_remove (call->sessions->calls, call);
}

static ChDevice *device_of (const ChSessionCall *call)
{
  return g_hash_table_lookup (call->sessions->core->devices, call->device);
}

/* ---- values ---- */

char *ch_session_conn_json (const ChSessionConn *sc)
{
  g_autoptr (json_t) list = json_array ();
  for (guint i = 0; i < sc->n_devices; i++) {
    const ChDevice *device = ch_session_devices (sc)[i];
    json_array_append_new (list, json_string (device->id));
  }
  return ch_json_dump (list);
}

/* A monotonic time as wall clock, 0 for none. */
static gint64 wall_of (ChSessions *sessions, gint64 mono_ms)
{
  return mono_ms == 0
             ? 0
             : ch_wall_ms (sessions->self) - (ch_now_ms (sessions->self) - mono_ms);
}

static char *session_value (ChSessions *sessions, const ChDevice *device,
                            const ChSessionConn *sc)
{
  g_autoptr (json_t) s = json_object ();
  json_object_set_new (s, "phy_id", json_string (device->id));
  json_object_set_new (s, "conn_id", json_string (sc->conn_id));
  json_object_set_new (s, "server_id", json_string (sessions->core->services->server_id));
  json_object_set_new (s, "gen", json_integer ((json_int_t) device->generation));
  json_object_set_new (s, "protocol", json_string (device->protocol));
  json_object_set_new (s, "remote", json_string (sc->remote));
  json_object_set_new (s, "connected_at", ch_json_time (device->connected_at));
  json_object_set_new (s, "last_seen",
                       ch_json_time (wall_of (sessions, device->seen_ms)));
  json_object_set_new (s, "last_tcp_down",
                       ch_json_time (wall_of (sessions, device->dropped_ms)));
  json_object_set_new (s, "last_ack_timeout",
                       ch_json_time (wall_of (sessions, device->ack_timeout_ms)));
  json_object_set_new (s, "heartbeat_s", json_integer (device->props->heartbeat_s));
  return ch_json_dump (s);
}

static char *life_of (ChSessions *sessions, const ChDevice *device)
{
  return g_strdup_printf ("%" G_GINT64_FORMAT,
                          MAX (2 * ch_session_timeout_ms (sessions, device) / 1000, 1));
}

/* ---- bind ---- */

static gint64 reply_int (const ChKvReply *reply, gsize i)
{
  return reply->items[i]->kind == CH_KV_REPLY_INTEGER ? reply->items[i]->integer : 0;
}

/* Another server had it: that one closes its connection (TCP-41). */
static void evict (ChSessions *sessions, const char *device, const char *server,
                   const char *conn_id)
{
  g_autoptr (json_t) message = json_object ();
  json_object_set_new (message, "phy_id", json_string (device));
  json_object_set_new (message, "conn_id", json_string (conn_id));
  g_autofree char *text = ch_json_dump (message);
  g_autofree char *channel = g_strconcat ("session:evict:", server, NULL);
  ch_series_inc (sessions->metrics.takeover_remote);
  ch_kv_commandv (sessions->self, NULL, NULL, "PUBLISH", channel, text, NULL);
}

/* Whether the session that was to be registered again is another's by now; or others had
   taken this server for dead, and may have moved the device's orders. */
static gboolean check_again (ChSessions *sessions, ChDevice *device,
                             const ChKvReply *reply)
{
  if (reply->n_items == 1) {
    ch_session_stale (sessions, device);
    return FALSE;
  }
  if (device->session_known == CH_SESSION_AGAIN
      && g_strcmp0 (reply->items[2]->text, "none") == 0)
    ch_home_taken_back (device);
  return TRUE;
}

static void set_registered (ChSessions *sessions, ChDevice *device)
{
  gboolean waited = device->session_known == CH_SESSION_AGAIN;

  device->session_known = CH_SESSION_REGISTERED;
  if (waited)
    ch_outbound_writable (sessions->core->outbound, device);
}

static void bound (ChPlugin *self, const ChKvReply *reply, const GError *error,
                   gpointer user_data)
{
  ChSessionCall *call = user_data;
  ChSessions *sessions = call->sessions;
  ChDevice *device = device_of (call);
  ChSessionConn *sc = device != NULL ? ch_session_conn (sessions, device->conn) : NULL;

  gboolean is_current = sc != NULL && g_str_equal (sc->conn_id, call->conn_id);

  if (error == NULL && is_current && !check_again (sessions, device, reply)) {
    ch_session_call_done (call);
    return;
  }
  if (error != NULL || reply->n_items < 4) {
    if (device != NULL && device->conn != 0)
      g_hash_table_add (sessions->again, device);
    if (is_current && device->session_known == CH_SESSION_AGAIN)
      set_registered (sessions, device); /* nothing says that it has another owner */
  } else {
    const char *server = reply->items[1]->text, *conn_id = reply->items[2]->text;
    if (is_current)
      ch_session_tell (sessions, "bound", sessions->core->services->server_id,
                       call->device);
    if (server != NULL && *server != '\0' && conn_id != NULL && *conn_id != '\0'
        && !g_str_equal (server, sessions->core->services->server_id))
      evict (sessions, call->device, server, conn_id);
    if (is_current) {
      set_registered (sessions, device);
      device->generation
          = MAX (device->generation, (guint64) MAX (reply_int (reply, 0), 0));
      ch_outbound_session_reply (sessions->core->outbound, device, reply_int (reply, 3),
                                 reply->items + 4, reply->n_items - 4);
    }
  }
  ch_session_call_done (call);
}

void ch_session_kv_bind (ChSessions *sessions, ChDevice *device)
{
  const char *me = sessions->core->services->server_id;
  const ChSessionConn *sc = ch_session_conn (sessions, device->conn);

  if (sc == NULL)
    return;
  g_hash_table_remove (sessions->again, device);
  if (!ch_session_kv_ok (sessions)) {
    if (sessions->core->services->kv != NULL)
      g_hash_table_add (sessions->again, device);
    return;
  }
  g_autofree char *gen = g_strconcat ("session:gen:", device->id, NULL);
  g_autofree char *session = g_strconcat ("session:device:", device->id, NULL);
  g_autofree char *conn = g_strconcat ("session:conn:", sc->conn_id, NULL);
  g_autofree char *conns = g_strconcat ("session:server:", me, ":conns", NULL);
  g_autofree char *queue = g_strconcat ("outbound:dev:", device->id, NULL);
  g_autofree char *ready = g_strconcat ("outbound:ready:", me, NULL);
  g_autofree char *flight = g_strconcat ("outbound:processing:", device->id, NULL);
  const char *keys[]
      = {gen, session, conn, conns, "session:online", queue, ready, flight};
  g_autofree char *value = session_value (sessions, device, sc);
  g_autofree char *devices = ch_session_conn_json (sc);
  g_autofree char *now
      = g_strdup_printf ("%" G_GINT64_FORMAT, ch_wall_ms (sessions->self));
  g_autofree char *life = life_of (sessions, device);
  g_autofree char *known = g_strdup_printf ("%" G_GUINT64_FORMAT, device->generation);
  const char *args[]
      = {device->id, sc->conn_id, me,
         value,      devices,     now,
         life,       known,       device->session_known != CH_SESSION_NEW ? "1" : "0"};

  ChSessionCall *call = ch_session_call_new (sessions, device->id);
  g_strlcpy (call->conn_id, sc->conn_id, sizeof call->conn_id);
  ch_kv_call (sessions->self, bound, call, "session_bind", keys, G_N_ELEMENTS (keys),
              args, G_N_ELEMENTS (args));
}

/* ---- unbind ---- */

void ch_session_kv_unbind (ChSessions *sessions, ChDevice *device,
                           const ChSessionConn *sc)
{
  g_hash_table_remove (sessions->again, device);
  if (!ch_session_kv_ok (sessions))
    return; /* its life ends by itself */
  g_autofree char *session = g_strconcat ("session:device:", device->id, NULL);
  g_autofree char *conn = g_strconcat ("session:conn:", sc->conn_id, NULL);
  g_autofree char *conns = g_strconcat (
      "session:server:", sessions->core->services->server_id, ":conns", NULL);
  const char *keys[] = {session, conn, conns, "session:online"};
  char now[CH_TIME_TEXT_SIZE];
  g_autofree char *left = sc->n_devices > 0 ? ch_session_conn_json (sc) : g_strdup ("");
  g_autofree char *life = life_of (sessions, device);
  const char *args[] = {device->id, sc->conn_id,
                        ch_format_time (ch_wall_ms (sessions->self), now), left, life};
  ch_kv_call (sessions->self, NULL, NULL, "session_unbind", keys, G_N_ELEMENTS (keys),
              args, G_N_ELEMENTS (args));
}

/* ---- touch, in batches ---- */

static void arm_flush (ChSessions *sessions)
{
  if (!ch_wheel_is_armed (&sessions->flush))
    ch_wheel_arm (sessions->core->services->reactor, &sessions->flush, FLUSH_MS);
}

void ch_session_kv_dirty (ChSessions *sessions, ChDevice *device)
{
  if (device->session_dirty || sessions->core->services->kv == NULL)
    return;
  device->session_dirty = TRUE;
  device->touched_ms = ch_now_ms (sessions->self);
  g_ptr_array_add (sessions->dirty, device);
  arm_flush (sessions);
}

void ch_session_kv_all_again (ChSessions *sessions)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, sessions->core->devices);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    ChDevice *device = value;
    if (device->conn == 0)
      continue;
    g_hash_table_add (sessions->again, device);
    if (device->session_known == CH_SESSION_REGISTERED)
      device->session_known = CH_SESSION_AGAIN;
  }
  if (g_hash_table_size (sessions->again) > 0) {
    ch_notice (sessions->self, "registering %u sessions in the kv again",
               g_hash_table_size (sessions->again));
    ch_wheel_arm (sessions->core->services->reactor, &sessions->flush, 1);
  }
}

static void touched (ChPlugin *self, const ChKvReply *reply, const GError *error,
                     gpointer user_data)
{
  ChSessionCall *call = user_data;
  ChSessions *sessions = call->sessions;

  for (guint i = 0; error == NULL && i < call->batch->len && i < reply->n_items; i++) {
    const ChSessionTouched *t = &g_array_index (call->batch, ChSessionTouched, i);
    ChDevice *device = g_hash_table_lookup (sessions->core->devices, t->device);
    gint64 word = reply_int (reply, i);
    if (word == 1 || device == NULL || device->conn != t->conn)
      continue;
    if (word == 0)
      ch_session_stale (sessions, device);
    else
      g_hash_table_add (sessions->again, device);
  }
  if (g_hash_table_size (sessions->again) > 0)
    arm_flush (sessions);
  ch_session_call_done (call);
}

typedef struct {
  GPtrArray *keys, *args;
} Touch;

static void add_touch (ChSessions *sessions, Touch *touch, const ChDevice *device,
                       const ChSessionConn *sc)
{
  char seen[CH_TIME_TEXT_SIZE], acked[CH_TIME_TEXT_SIZE] = "";
  gint64 seen_at = wall_of (sessions, device->seen_ms);

  if (device->ack_timeout_ms != 0)
    ch_format_time (wall_of (sessions, device->ack_timeout_ms), acked);
  g_ptr_array_add (touch->keys, g_strconcat ("session:device:", device->id, NULL));
  g_ptr_array_add (touch->keys, g_strconcat ("session:conn:", sc->conn_id, NULL));
  g_ptr_array_add (touch->args, g_strdup (device->id));
  g_ptr_array_add (touch->args, g_strdup (sc->conn_id));
  g_ptr_array_add (touch->args, g_strdup (ch_format_time (seen_at, seen)));
  g_ptr_array_add (touch->args, g_strdup_printf ("%" G_GINT64_FORMAT, seen_at));
  g_ptr_array_add (touch->args, g_strdup (acked));
  g_ptr_array_add (touch->args, life_of (sessions, device));
}

static void flush_touches (ChSessions *sessions)
{
  g_autoptr (GPtrArray) keys = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) args = g_ptr_array_new_with_free_func (g_free);
  Touch touch = {keys, args};
  GArray *batch = g_array_new (FALSE, TRUE, sizeof (ChSessionTouched));

  g_ptr_array_add (keys, g_strdup ("session:online"));
  while (sessions->dirty->len > 0 && batch->len < BATCH) {
    ChDevice *device
        = g_ptr_array_steal_index_fast (sessions->dirty, sessions->dirty->len - 1);
    const ChSessionConn *sc = ch_session_conn (sessions, device->conn);
    device->session_dirty = FALSE;
    if (sc == NULL || g_hash_table_contains (sessions->again, device))
      continue;
    ChSessionTouched one = {.conn = device->conn};
    g_strlcpy (one.device, device->id, sizeof one.device);
    g_array_append_val (batch, one);
    add_touch (sessions, &touch, device, sc);
  }
  if (batch->len == 0 || !ch_session_kv_ok (sessions)) {
    g_array_unref (batch);
    return;
  }
  ChSessionCall *call = ch_session_call_new (sessions, NULL);
  call->batch = batch;
  ch_kv_call (sessions->self, touched, call, "session_touch",
              (const char *const *) keys->pdata, keys->len,
              (const char *const *) args->pdata, args->len);
}

static void flush_again (ChSessions *sessions)
{
  GHashTableIter iter;
  gpointer device;
  g_autoptr (GPtrArray) some = g_ptr_array_new ();

  if (!ch_session_kv_ok (sessions))
    return;
  g_hash_table_iter_init (&iter, sessions->again);
  while (some->len < BATCH && g_hash_table_iter_next (&iter, &device, NULL)) {
    g_ptr_array_add (some, device);
    g_hash_table_iter_remove (&iter);
  }
  for (guint i = 0; i < some->len; i++)
    ch_session_kv_bind (sessions, g_ptr_array_index (some, i));
}

void ch_session_kv_flush_fired (ChWheelTimer *timer)
{
  ChSessions *sessions
      = (ChSessions *) ((char *) timer - G_STRUCT_OFFSET (ChSessions, flush));

  flush_again (sessions);
  flush_touches (sessions);
  gboolean more = g_hash_table_size (sessions->again) > 0 && ch_session_kv_ok (sessions);
  if (sessions->dirty->len > 0 || more)
    arm_flush (sessions);
}
