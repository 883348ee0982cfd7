/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this instance knows of devices that others hold: told by the channel
 * `session:moves` when a device is bound, lost or when an instance ends, and read from
 * the directory now and then, as the channel promises nothing. It serves readers and
 * decides who keeps a device's orders; commands ask the directory itself.
 *
 * A message: `bound SERVER DEVICE`, `lost SERVER DEVICE`, `up SERVER`, `down SERVER`.
 */
#include "core/order/order-home.h"
#include "core/peer/peer.h"
#include "core/peer/shared.h"
#include "core/session/session-private.h"
#include <chargehost/clock.h>
#include <chargehost/json.h>
#include <chargehost/log.h>

#include <string.h>

#define CHANNEL "session:moves"
#define PAGE 500

static const char *my_id (ChSessions *sessions)
{
  return sessions->core->services->server_id;
}

gboolean ch_sessions_are_several (ChSessions *sessions)
{
  return sessions->several;
}

void ch_session_count_servers (ChSessions *sessions, guint n)
{
  sessions->n_servers = MAX (n, 1);
  ch_shared_look (sessions->core->shared);
  if (n > 1 && !sessions->several) {
    sessions->several = TRUE;
    ch_notice (sessions->self, "%u instances share the kv: this one is %s", n,
               my_id (sessions));
    if (sessions->core->services->phase >= 8)
      ch_session_look_around (sessions);
  }
}

/* ---- telling the others ---- */

void ch_session_tell (ChSessions *sessions, const char *what, const char *server,
                      const char *device)
{
  if (!sessions->several && *what != 'u')
    return;
  if (!ch_session_kv_ok (sessions))
    return;
  g_autofree char *text = device != NULL
                              ? g_strconcat (what, " ", server, " ", device, NULL)
                              : g_strconcat (what, " ", server, NULL);
  ch_kv_commandv (sessions->self, NULL, NULL, "PUBLISH", CHANNEL, text, NULL);
}

/* ---- what is known of a device ---- */

static void show_ports_off (ChDevice *device)
{
  for (guint i = 0; i < device->n_ports; i++)
    device->ports[i].status = CH_PORT_OFFLINE;
}

void ch_session_set_elsewhere (ChSessions *sessions, ChDevice *device, const char *server)
{
  if (device->conn != 0 || g_str_equal (server, my_id (sessions)))
    return;
  device->elsewhere_round = sessions->round;
  if (g_strcmp0 (device->elsewhere, server) == 0)
    return;
  g_free (device->elsewhere);
  device->elsewhere = g_strdup (server);
  device->silent_conn = 0;
  ch_outbound_moved (sessions->core->outbound, device);
  device->presence = CH_PRESENCE_ONLINE;
  ch_wheel_cancel (sessions->core->services->reactor, &device->liveness);
  ch_home_left (device);
}

/* The instance that had it has lost it. */
static void clear_elsewhere (ChSessions *sessions, ChDevice *device)
{
  g_clear_pointer (&device->elsewhere, g_free);
  g_hash_table_remove (sessions->owners, device->id);
  device->down_ms = device->dropped_ms = ch_now_ms (sessions->self);
  device->presence = CH_PRESENCE_UNSTABLE; /* its last holder tells when it is off line */
  show_ports_off (device);
}

void ch_session_server_ended (ChSessions *sessions, const char *server)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, sessions->core->devices);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    ChDevice *device = value;
    if (g_strcmp0 (device->elsewhere, server) == 0) {
      clear_elsewhere (sessions, device);
      device->presence = CH_PRESENCE_OFFLINE; /* nobody is left to tell it later */
    }
  }
}

static void device_moved (ChSessions *sessions, const char *server, const char *id,
                          gboolean bound)
{
  ChDevice *device = g_hash_table_lookup (sessions->core->devices, id);

  if (bound) {
    ch_session_remember_owner (sessions, id, server);
    if (device != NULL)
      ch_session_set_elsewhere (sessions, device, server);
    else
      ch_home_know (sessions->core, id);
  } else if (device != NULL && g_strcmp0 (device->elsewhere, server) == 0)
    clear_elsewhere (sessions, device);
}

static void heard (ChPlugin *self, const char *channel, const char *message, gsize size,
                   gpointer user_data)
{
  ChSessions *sessions = user_data;
  g_auto (GStrv) words = g_strsplit (message, " ", 3); /* a device id may hold blanks */
  guint n = g_strv_length (words);

  if (n < 2 || *words[1] == '\0' || strlen (words[1]) >= CH_SERVER_ID_SIZE
      || g_str_equal (words[1], my_id (sessions)))
    return;
  gboolean bound = g_str_equal (words[0], "bound");
  if (g_str_equal (words[0], "up") || g_str_equal (words[0], "down"))
    ch_peers_give_up (sessions->core->peers, words[1]);
  if (g_str_equal (words[0], "up"))
    ch_session_count_servers (sessions, MAX (sessions->n_servers, 2));
  else if (g_str_equal (words[0], "down"))
    ch_session_server_ended (sessions, words[1]);
  else if (n == 3 && ch_device_id_is_valid (words[2])
           && (bound || g_str_equal (words[0], "lost")))
    device_moved (sessions, words[1], words[2], bound);
}

void ch_sessions_disown (ChSessions *sessions, const char *id, const char *server)
{
  ChDevice *device = g_hash_table_lookup (sessions->core->devices, id);

  g_hash_table_remove (sessions->owners, id);
  if (device != NULL && g_strcmp0 (device->elsewhere, server) == 0)
    clear_elsewhere (sessions, device);
}

/* A record made from the store: is it elsewhere? */
void ch_sessions_meet (ChSessions *sessions, ChDevice *device)
{
  const ChSessionOwner *owner = g_hash_table_lookup (sessions->owners, device->id);
  if (owner != NULL && owner->server[0] != '\0')
    ch_session_set_elsewhere (sessions, device, owner->server);
}

/* ---- looking at the directory ---- */

static void look_on (ChSessions *sessions, guint from);

/* What this round did not find is nowhere. */
static void end_round (ChSessions *sessions)
{
  GHashTableIter iter;
  gpointer value;

  sessions->looking = FALSE;
  g_hash_table_iter_init (&iter, sessions->core->devices);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    ChDevice *device = value;
    if (device->elsewhere != NULL && device->elsewhere_round != sessions->round)
      clear_elsewhere (sessions, device);
  }
}

static void page_read (ChPlugin *self, const ChKvReply *reply, const GError *error,
                       gpointer user_data)
{
  ChSessionCall *call = user_data;
  ChSessions *sessions = call->sessions;

  for (gsize i = 0; error == NULL && i < reply->n_items; i++) {
    const ChKvReply *item = reply->items[i];
    if (item->kind != CH_KV_REPLY_STRING)
      continue;
    g_autoptr (json_t) session = ch_json_parse (item->text, item->size, NULL);
    const char *id = ch_json_get_string (session, "phy_id", "");
    const char *server = ch_json_get_string (session, "server_id", "");
    if (ch_device_id_is_valid (id) && *server != '\0'
        && strlen (server) < CH_SERVER_ID_SIZE && !g_str_equal (server, my_id (sessions)))
      device_moved (sessions, server, id, TRUE);
  }
  if (error == NULL)
    look_on (sessions, call->from + PAGE);
  else
    sessions->looking = FALSE;
  ch_session_call_done (call);
}

static void online_listed (ChPlugin *self, const ChKvReply *reply, const GError *error,
                           gpointer user_data)
{
  ChSessionCall *call = user_data;
  ChSessions *sessions = call->sessions;

  if (error != NULL || reply->n_items == 0) {
    if (error == NULL)
      end_round (sessions);
    sessions->looking = FALSE;
    ch_session_call_done (call);
    return;
  }
  g_autoptr (GPtrArray) argv = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (argv, g_strdup ("MGET"));
  for (gsize i = 0; i < reply->n_items; i++)
    g_ptr_array_add (argv, g_strconcat ("session:device:", reply->items[i]->text, NULL));
  ch_kv_command (self, page_read, call, (const char *const *) argv->pdata, NULL,
                 argv->len);
}

static void look_on (ChSessions *sessions, guint from)
{
  ChSessionCall *call = ch_session_call_new (sessions, NULL);
  g_autofree char *first = g_strdup_printf ("%u", from);
  g_autofree char *last = g_strdup_printf ("%u", from + PAGE - 1);

  call->from = from;
  ch_kv_commandv (sessions->self, online_listed, call, "ZRANGE", "session:online", first,
                  last, NULL);
}

void ch_session_look_around (ChSessions *sessions)
{
  if (!sessions->several || sessions->looking || !ch_session_kv_ok (sessions))
    return;
  sessions->looking = TRUE;
  sessions->round++;
  look_on (sessions, 0);
}

void ch_session_elsewhere_open (ChSessions *sessions)
{
  ch_kv_subscribe (sessions->self, CHANNEL, heard, sessions);
  ch_session_tell (sessions, "up", my_id (sessions), NULL);
}
