/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands that another server had in flight: all of a dead one's (4.8), those of a
 * device that moved here.
 */
#include "core/outbound/outbound-private.h"
#include "core/session/session-private.h"
#include <chargehost/clock.h>
#include <chargehost/json.h>
#include <chargehost/kv.h>
#include <chargehost/log.h>

#include <string.h>

#define REAP_PAGE 500 /* messages that are asked for at once */

/* ---- one of them ---- */

static void take_back (ChOutCommand *cmd)
{
  ch_wheel_cancel (cmd->outbound->core->services->reactor, &cmd->timer);
  cmd->sends = MAX (cmd->sends, 1);
  cmd->remote = FALSE;
  cmd->taken_up = TRUE;
  ch_out_set_phase (cmd, CH_OUT_PREPARED);
  ch_out_look_up (cmd);
}

static void taken_over (ChOutbound *outbound, const char *id, const char *message)
{
  ChOutCommand *known = ch_out_find (outbound, id);
  if (known != NULL) { /* accepted here, sent by the one that died */
    if (known->phase == CH_OUT_WAITING && known->remote)
      take_back (known);
    return;
  }
  ChOutCommand *cmd = ch_out_command_new (outbound, id);
  if (!ch_out_message_parse (cmd, message, strlen (message))
      || g_hash_table_lookup (outbound->core->devices, cmd->device_id) == NULL) {
    ch_out_command_unref (cmd);
    return;
  }
  cmd->sends = MAX (cmd->sends, 1);
  cmd->pushed = TRUE;
  ch_out_adopt (cmd);
}

static void claimed (ChPlugin *self, const ChKvReply *reply, const GError *error,
                     gpointer user_data)
{
  ChOutCall *call = user_data;
  if (error == NULL && reply->kind == CH_KV_REPLY_ARRAY && reply->n_items >= 1
      && reply->items[0]->kind == CH_KV_REPLY_STRING)
    taken_over (call->outbound, call->id, reply->items[0]->text);
  ch_out_call_done (call);
}

static void claim (ChOutbound *outbound, const char *server_id, const char *device_id,
                   const char *id)
{
  g_autofree char *flight = g_strconcat ("outbound:inflight:", server_id, NULL);
  g_autofree char *processing = g_strconcat ("outbound:processing:", device_id, NULL);
  g_autofree char *message = g_strconcat ("outbound:msg:", id, NULL);
  const char *me = outbound->core->services->server_id;
  g_autofree char *mine = g_strconcat ("outbound:inflight:", me, NULL);
  g_autofree char *due
      = g_strdup_printf ("%" G_GINT64_FORMAT, ch_wall_ms (outbound->self));
  const char *keys[] = {flight, processing, message, mine};
  const char *args[] = {id, me, due};
  ChOutCall *call = ch_out_call_new (outbound, NULL);

  g_strlcpy (call->id, id, sizeof call->id);
  ch_kv_call (outbound->self, claimed, call, "outbound_reap", keys, G_N_ELEMENTS (keys),
              args, G_N_ELEMENTS (args));
}

static void kept_read (ChPlugin *self, const ChKvReply *reply, const GError *error,
                       gpointer user_data)
{
  ChOutCall *call = user_data;
  if (error == NULL && reply->kind == CH_KV_REPLY_STRING)
    taken_over (call->outbound, call->id, reply->text);
  ch_out_call_done (call);
}

void ch_out_take_kept (ChOutbound *outbound, const char *id)
{
  g_autofree char *key = g_strconcat ("outbound:msg:", id, NULL);
  ChOutCall *call = ch_out_call_new (outbound, NULL);

  g_strlcpy (call->id, id, sizeof call->id);
  ch_kv_commandv (outbound->self, kept_read, call, "GET", key, NULL);
}

/* ---- of a device ---- */

void ch_outbound_session_reply (ChOutbound *outbound, ChDevice *device, gint64 waiting,
                                ChKvReply *const *flight, gsize n)
{
  ChOutDevice *od = device->outbound;
  guint known = od != NULL ? od->waiting->len : 0;

  if (waiting > known && device->conn != 0) {
    od = ch_out_device_ensure (outbound, device);
    od->foreign = TRUE;
    ch_out_kick (od);
  }
  for (gsize i = 0; i + 1 < n; i += 2) {
    const char *id = flight[i]->text, *attempt = flight[i + 1]->text;
    if (id == NULL || attempt == NULL || ch_out_find (outbound, id) != NULL)
      continue;
    g_autoptr (json_t) json = ch_json_parse (attempt, flight[i + 1]->size, NULL);
    const char *server = json_string_value (json_object_get (json, "server_id"));
    if (json_object_get (json, "outcome") != NULL)
      ch_out_take_kept (outbound, id);
    else if (server != NULL)
      claim (outbound, server, device->id, id);
  }
}

/* ---- of a server ---- */

static void reap_next (ChOutCall *call);

/* The entry of a command that nobody can tell any more what it was. */
static void forget (ChOutCall *call, const char *id)
{
  g_autofree char *flight = g_strconcat ("outbound:inflight:", call->device, NULL);
  ch_kv_commandv (call->outbound->self, NULL, NULL, "ZREM", flight, id, NULL);
}

static void reap_one (ChOutCall *call, const char *id, const ChKvReply *item)
{
  ChOutbound *outbound = call->outbound;
  g_autoptr (json_t) message = item->kind == CH_KV_REPLY_STRING
                                   ? ch_json_parse (item->text, item->size, NULL)
                                   : NULL;
  const char *device = ch_json_get_string (message, "phy_id", "");

  if (*device == '\0')
    forget (call, id);
  else if (g_hash_table_contains (outbound->core->devices, device))
    claim (outbound, call->device, device, id);
  /* else it stays: the next bind of the device, wherever that is, finds it */
}

static void reap_page (ChPlugin *self, const ChKvReply *reply, const GError *error,
                       gpointer user_data)
{
  ChOutCall *call = user_data;

  if (error != NULL) { /* what is left is found at the binds of its devices */
    ch_warning (self, "not all commands of server %s were taken over: %s", call->device,
                error->message);
    ch_out_call_done (call);
    return;
  }
  for (gsize i = 0; i < reply->n_items && call->at < call->ids->len; i++)
    reap_one (call, g_ptr_array_index (call->ids, call->at++), reply->items[i]);
  reap_next (call);
}

/* One page after the other, so that thousands are not in the air at once. */
static void reap_next (ChOutCall *call)
{
  guint end = MIN (call->at + REAP_PAGE, call->ids->len);
  g_autoptr (GPtrArray) argv = g_ptr_array_new_with_free_func (g_free);

  if (call->at == end) {
    ch_out_call_done (call);
    return;
  }
  g_ptr_array_add (argv, g_strdup ("MGET"));
  for (guint i = call->at; i < end; i++)
    g_ptr_array_add (
        argv, g_strconcat ("outbound:msg:", g_ptr_array_index (call->ids, i), NULL));
  ch_kv_command (call->outbound->self, reap_page, call, (const char *const *) argv->pdata,
                 NULL, argv->len);
}

static void reap_listed (ChPlugin *self, const ChKvReply *reply, const GError *error,
                         gpointer user_data)
{
  ChOutCall *call = user_data;

  call->ids = g_ptr_array_new_with_free_func (g_free);
  for (gsize i = 0; error == NULL && i < reply->n_items; i++)
    g_ptr_array_add (call->ids, g_strdup (reply->items[i]->text));
  reap_next (call);
}

void ch_outbound_reap (ChOutbound *outbound, const char *server_id)
{
  g_autofree char *key = g_strconcat ("outbound:inflight:", server_id, NULL);
  ChOutCall *call = ch_out_call_new (outbound, NULL);

  g_strlcpy (call->device, server_id, sizeof call->device);
  ch_kv_commandv (outbound->self, reap_listed, call, "ZRANGE", key, "0", "-1", NULL);
}
