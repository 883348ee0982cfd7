/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The queue's functions in the kv: keys, arguments, answers. Memory has the say for
 * devices connected here, so a failed call loses nothing: the command is marked and told
 * again when the kv is back.
 */
#include "core/outbound/outbound-private.h"
#include "core/session/session-private.h"
#include <chargehost/clock.h>
#include <chargehost/error.h>
#include <chargehost/kv.h>
#include <chargehost/log.h>

#include <string.h>

#define RESULT_LIFE_S "86400"
#define DEAD_MAX "10000"
#define KEY_SIZE 256
#define MAX_KEYS 12

typedef struct {
  char text[MAX_KEYS][KEY_SIZE];
  const char *v[MAX_KEYS];
  gsize n;
} Keys;

void ch_out_call_free (gpointer data)
{
  ChOutCall *call = data;
  ch_out_command_unref (call->cmd);
  g_clear_pointer (&call->ids, g_ptr_array_unref);
  g_free (call);
}

ChOutCall *ch_out_call_new (ChOutbound *outbound, ChOutCommand *cmd)
{
  ChOutCall *call = g_new0 (ChOutCall, 1);
  call->outbound = outbound;
  if (cmd != NULL)
    call->cmd = ch_out_command_ref (cmd);
  g_hash_table_add (outbound->calls, call);
  return call;
}

void ch_out_call_done (ChOutCall *call)
{
  g_hash_table_remove (call->outbound->calls, call);
}

static void add (Keys *keys, const char *prefix, const char *id)
{
  g_assert (keys->n < MAX_KEYS);
  char *to = keys->text[keys->n];
  g_snprintf (to, KEY_SIZE, "%s%s", prefix, id);
  keys->v[keys->n++] = to;
}

static void add_index (Keys *keys, const ChOutCommand *cmd)
{
  char text[KEY_SIZE];
  g_snprintf (text, sizeof text, "%s:%u", cmd->device_id, cmd->msg_id);
  add (keys, "outbound:processing_index:", text);
}

static void add_dedup (Keys *keys, const ChOutCommand *cmd)
{
  add (keys, "outbound:dedup:", cmd->dedup_key != NULL ? cmd->dedup_key : cmd->id);
}

static const char *my_id (ChOutbound *outbound)
{
  return outbound->core->services->server_id;
}

/* The first five keys of most functions: where a command waits, on @server's list. */
static void add_queue (Keys *keys, const ChOutCommand *cmd, const char *server)
{
  add (keys, "outbound:queue", "");
  add (keys, "outbound:dev:", cmd->device_id);
  add (keys, "outbound:ready:", server);
  add (keys, "outbound:msg:", cmd->id);
  add (keys, "outbound:delayed", "");
}

/* Server on whose ready list the device belongs, NULL for none. */
static const char *owner_of (const ChOutCommand *cmd)
{
  ChCore *core = cmd->outbound->core;
  if (cmd->device != NULL && cmd->device->conn != 0)
    return core->services->server_id;
  const char *remote = ch_session_remote_owner (core->sessions, cmd->device_id);
  return remote[0] != '\0' ? remote : NULL;
}

static char *number (gint64 value)
{
  return g_strdup_printf ("%" G_GINT64_FORMAT, value);
}

static char *score_text (const ChOutCommand *cmd)
{
  return g_strdup_printf ("%.0f", ch_out_score (cmd->priority, cmd->created_at));
}

static char *message_life (const ChOutCommand *cmd)
{
  gint64 left_ms = cmd->expires_at - ch_wall_ms (cmd->outbound->self);
  return number (MAX (left_ms, 0) / 1000 + 3600);
}

gboolean ch_out_kv_ok (ChOutbound *outbound)
{
  return outbound->core->services->kv != NULL && ch_kv_is_up (outbound->self);
}

static void kv_failed (ChOutbound *outbound, const char *operation, const GError *error)
{
  static const char *const reasons[]
      = {"failed", "unavailable", "busy", "timeout", "server", "usage", "cancelled"};
  gboolean known = error->domain == CH_KV_ERROR && error->code >= 0
                   && (guint) error->code < G_N_ELEMENTS (reasons);

  ch_series_inc (ch_metric_with (outbound->metrics.failure, operation,
                                 known ? reasons[error->code] : "failed", NULL));
  outbound->kv_stale = TRUE;
  if (outbound->kv_failures++ == 0)
    ch_warning (outbound->self, "the command queue lost a call (%s) to the kv: %s",
                operation, error->message);
}

/* Remembers that the kv has to be told; TRUE when it can be told now. */
static gboolean may_tell (ChOutCommand *cmd)
{
  if (cmd->local)
    return FALSE;
  if (ch_out_kv_ok (cmd->outbound))
    return TRUE;
  cmd->kv_dirty = TRUE;
  cmd->outbound->kv_stale = TRUE;
  return FALSE;
}

static gint64 item_int (const ChKvReply *reply, gsize i)
{
  if (reply->kind != CH_KV_REPLY_ARRAY || i >= reply->n_items)
    return 0;
  return reply->items[i]->kind == CH_KV_REPLY_INTEGER ? reply->items[i]->integer : 0;
}

static const char *item_text (const ChKvReply *reply, gsize i)
{
  if (reply->kind != CH_KV_REPLY_ARRAY || i >= reply->n_items
      || reply->items[i]->text == NULL)
    return "";
  return reply->items[i]->text;
}

/* ---- push ---- */

static void pushed_twin (ChOutCommand *cmd, const char *twin)
{
  g_autofree char *detail = g_strdup_printf ("{\"duplicate_of\":\"%s\"}", twin);
  if (cmd->phase == CH_OUT_WAITING)
    ch_out_finish (cmd, CH_COMMAND_CANCELLED, CH_UNSET, detail, CH_FINAL_NONE);
}

static void pushed (ChPlugin *self, const ChKvReply *reply, const GError *error,
                    gpointer user_data)
{
  ChOutCall *call = user_data;
  ChOutCommand *cmd = call->cmd;

  if (error != NULL) {
    cmd->kv_dirty = TRUE;
    kv_failed (call->outbound, "enqueue", error);
    if (cmd->phase == CH_OUT_WAITING)
      ch_out_kick (ch_out_device (cmd->device));
  } else {
    const char *word = item_text (reply, 0);
    call->outbound->kv_depth = item_int (reply, 1);
    if (g_str_equal (word, "twin"))
      pushed_twin (cmd, item_text (reply, 3));
    else if (g_str_equal (word, "final") && cmd->phase != CH_OUT_FINAL)
      ch_out_kv_result (cmd);
  }
  ch_out_call_done (call);
}

static void wake (ChOutbound *outbound, const char *server, const char *message)
{
  g_autofree char *channel = g_strconcat ("outbound:wake:", server, NULL);
  ch_kv_commandv (outbound->self, NULL, NULL, "PUBLISH", channel, message, NULL);
}

void ch_out_kv_push (ChOutCommand *cmd)
{
  ChOutbound *outbound = cmd->outbound;
  const char *owner = owner_of (cmd);
  Keys keys = {0};

  if (!may_tell (cmd))
    return;
  add_queue (&keys, cmd, owner != NULL ? owner : my_id (outbound));
  add (&keys, "outbound:result:", cmd->id);
  add_dedup (&keys, cmd);

  g_autofree char *score = score_text (cmd);
  g_autofree char *message = ch_out_message_json (cmd);
  g_autofree char *life = message_life (cmd);
  g_autofree char *ready
      = owner != NULL ? number (ch_wall_ms (outbound->self)) : g_strdup ("");
  g_autofree char *guard = number (cmd->dedup_key != NULL ? ch_out_dedup_s (cmd) : 0);
  const char *args[] = {cmd->id, cmd->device_id, score, message, life, ready, guard};
  cmd->pushed = TRUE;
  cmd->kv_dirty = FALSE;
  ch_kv_call (outbound->self, pushed, ch_out_call_new (outbound, cmd), "outbound_push",
              keys.v, keys.n, args, G_N_ELEMENTS (args));
  if (owner != NULL && !g_str_equal (owner, my_id (outbound))) {
    g_autofree char *text = g_strconcat ("ready ", cmd->device_id, NULL);
    wake (outbound, owner, text);
  }
}

/* ---- take ---- */

static void take_answered (ChPlugin *self, const ChKvReply *reply, const GError *error,
                           gpointer user_data)
{
  static const char *const words[] = {"taken", "gone", "final", "owner", "better"};
  ChOutCall *call = user_data;
  ChTakeWord word = CH_TAKE_FAILED;

  if (error != NULL) {
    kv_failed (call->outbound, "dequeue", error);
  } else {
    for (guint i = 0; i < G_N_ELEMENTS (words); i++) {
      if (g_str_equal (item_text (reply, 0), words[i]))
        word = (ChTakeWord) i;
    }
  }
  ch_out_taken (call->cmd, word, word == CH_TAKE_FAILED ? "" : item_text (reply, 1));
  ch_out_call_done (call);
}

void ch_out_kv_take (ChOutCommand *cmd)
{
  ChOutbound *outbound = cmd->outbound;
  const char *me = my_id (outbound);
  Keys keys = {0};

  add (&keys, "outbound:queue", "");
  add (&keys, "outbound:dev:", cmd->device_id);
  add (&keys, "outbound:ready:", me);
  add (&keys, "outbound:processing:", cmd->device_id);
  add (&keys, "outbound:inflight:", me);
  add_index (&keys, cmd);
  add (&keys, "session:device:", cmd->device_id);
  add (&keys, "outbound:result:", cmd->id);

  gint64 wall_ms = ch_wall_ms (outbound->self);
  g_autofree char *due = number (wall_ms + cmd->ack_ms);
  g_autofree char *attempt = ch_out_attempt_json (cmd, me);
  /* with the window full the device is served again when the answer came or is late */
  g_autofree char *next = number (wall_ms + cmd->ack_ms);
  g_autofree char *index_life = number (cmd->msg_id != 0 ? cmd->ack_ms / 1000 + 60 : 0);
  g_autofree char *score = score_text (cmd);
  const char *args[]
      = {cmd->id, cmd->device_id, me, due, attempt, next, index_life, score};
  ch_kv_call (outbound->self, take_answered, ch_out_call_new (outbound, cmd),
              "outbound_take", keys.v, keys.n, args, G_N_ELEMENTS (args));
}

/* ---- finish and requeue ---- */

static void told (ChPlugin *self, const ChKvReply *reply, const GError *error,
                  gpointer user_data)
{
  ChOutCall *call = user_data;
  if (error != NULL) {
    call->cmd->kv_dirty = TRUE;
    kv_failed (call->outbound, "finish", error);
  } else {
    call->outbound->kv_failures = 0;
  }
  ch_out_call_done (call);
}

void ch_out_kv_finish (ChOutCommand *cmd)
{
  ChOutbound *outbound = cmd->outbound;
  Keys keys = {0};

  if (!may_tell (cmd))
    return;
  add_queue (&keys, cmd, my_id (outbound));
  add (&keys, "outbound:processing:", cmd->device_id);
  add (&keys, "outbound:inflight:", my_id (outbound));
  add_index (&keys, cmd);
  add (&keys, "outbound:result:", cmd->id);
  add_dedup (&keys, cmd);
  add (&keys, "outbound:dead", "");

  gboolean dead = ch_out_is_dead (cmd) && !cmd->late;
  /* 24 hours of a fleet's periodic queries would fill the memory of any kv. */
  g_autofree char *result
      = ch_out_is_internal (cmd) ? g_strdup ("") : ch_out_dump (ch_out_state_json (cmd));
  g_autofree char *ready = cmd->device != NULL && cmd->device->conn != 0
                               ? number (ch_wall_ms (outbound->self))
                               : g_strdup ("");
  g_autofree char *letter = dead ? ch_out_dead_json (cmd) : g_strdup ("");
  const char *args[]
      = {cmd->id, cmd->device_id, result, RESULT_LIFE_S, ready, letter, DEAD_MAX};
  cmd->kv_dirty = FALSE;
  ch_kv_call (outbound->self, told, ch_out_call_new (outbound, cmd), "outbound_finish",
              keys.v, keys.n, args, G_N_ELEMENTS (args));
  if (cmd->origin_server != NULL && !g_str_equal (cmd->origin_server, my_id (outbound)))
    wake (outbound, cmd->origin_server, cmd->id);
}

static const char *where_of (const ChOutCommand *cmd)
{
  switch (cmd->phase) {
  case CH_OUT_DELAYED:
    return "delayed";
  case CH_OUT_UNKNOWN:
    return "kept";
  case CH_OUT_FLIGHT:
  case CH_OUT_TAKING:
    return "flight";
  default:
    return "queue";
  }
}

void ch_out_kv_requeue (ChOutCommand *cmd, guint ready_in_ms)
{
  ChOutbound *outbound = cmd->outbound;
  Keys keys = {0};

  if (!may_tell (cmd))
    return;
  add_queue (&keys, cmd, my_id (outbound));
  add (&keys, "outbound:processing:", cmd->device_id);
  add (&keys, "outbound:inflight:", my_id (outbound));

  const char *where = where_of (cmd);
  gint64 due = ch_wall_ms (outbound->self) + ready_in_ms;
  gboolean served = cmd->device->conn != 0 || !g_str_equal (where, "queue");
  g_autofree char *score = score_text (cmd);
  g_autofree char *message = ch_out_message_json (cmd);
  g_autofree char *life = message_life (cmd);
  g_autofree char *due_text = served ? number (due) : g_strdup ("");
  g_autofree char *attempt = ch_out_attempt_json (cmd, my_id (outbound));
  const char *args[]
      = {cmd->id, cmd->device_id, score, message, life, where, due_text, attempt};
  cmd->pushed = TRUE;
  cmd->kv_dirty = FALSE;
  ch_kv_call (outbound->self, told, ch_out_call_new (outbound, cmd), "outbound_requeue",
              keys.v, keys.n, args, G_N_ELEMENTS (args));
}

/* ---- what other servers did ---- */

static void result_read (ChPlugin *self, const ChKvReply *reply, const GError *error,
                         gpointer user_data)
{
  ChOutCall *call = user_data;
  if (error == NULL && reply->kind == CH_KV_REPLY_STRING)
    ch_out_take_result (call->cmd, reply->text, reply->size);
  ch_out_call_done (call);
}

void ch_out_kv_result (ChOutCommand *cmd)
{
  g_autofree char *key = g_strconcat ("outbound:result:", cmd->id, NULL);
  ch_kv_commandv (cmd->outbound->self, result_read, ch_out_call_new (cmd->outbound, cmd),
                  "GET", key, NULL);
}

static void message_read (ChPlugin *self, const ChKvReply *reply, const GError *error,
                          gpointer user_data)
{
  ChOutCall *call = user_data;
  gboolean there = error == NULL && reply->kind == CH_KV_REPLY_STRING;
  if (error == NULL)
    ch_out_fetched (call->outbound, call->id, call->device, there ? reply->text : NULL,
                    there ? reply->size : 0);
  ch_out_call_done (call);
}

void ch_out_kv_fetch (ChOutbound *outbound, const char *device, const char *id)
{
  g_autofree char *key = g_strconcat ("outbound:msg:", id, NULL);
  ChOutCall *call = ch_out_call_new (outbound, NULL);
  g_strlcpy (call->id, id, sizeof call->id);
  g_strlcpy (call->device, device, sizeof call->device);
  ch_kv_commandv (outbound->self, message_read, call, "GET", key, NULL);
}

static void peeked (ChPlugin *self, const ChKvReply *reply, const GError *error,
                    gpointer user_data)
{
  ChOutCall *call = user_data;
  ChDevice *device = g_hash_table_lookup (call->outbound->core->devices, call->device);

  if (device != NULL && device->outbound != NULL) {
    ChOutDevice *od = device->outbound;
    od->peeking = FALSE;
    od->foreign = FALSE;
    for (gsize i = 0; error == NULL && i < reply->n_items; i++) {
      const char *id = item_text (reply, i);
      if (ch_out_find (call->outbound, id) == NULL)
        ch_out_kv_fetch (call->outbound, call->device, id);
    }
    ch_out_device_settle (od);
  }
  ch_out_call_done (call);
}

void ch_out_kv_peek (ChOutDevice *od)
{
  g_autofree char *key = g_strconcat ("outbound:dev:", od->device->id, NULL);
  ChOutCall *call = ch_out_call_new (od->outbound, NULL);
  g_strlcpy (call->device, od->device->id, sizeof call->device);
  od->peeking = TRUE;
  ch_kv_commandv (od->outbound->self, peeked, call, "ZRANGE", key, "0", "49", NULL);
}

static void given_up (ChPlugin *self, const ChKvReply *reply, const GError *error,
                      gpointer user_data)
{
  ChOutCall *call = user_data;
  ChOutCommand *cmd = call->cmd;

  if (error == NULL && reply->kind == CH_KV_REPLY_STRING)
    ch_out_take_result (cmd, reply->text, reply->size);
  ch_out_finish (cmd, CH_COMMAND_NO_ACK, CH_UNSET, NULL, CH_FINAL_ELSEWHERE);
  ch_out_call_done (call);
}

static void removed (ChPlugin *self, const ChKvReply *reply, const GError *error,
                     gpointer user_data)
{
  ChOutCall *call = user_data;
  ChOutCommand *cmd = call->cmd;

  if (error == NULL && cmd->phase != CH_OUT_FINAL) {
    if (reply->kind == CH_KV_REPLY_INTEGER && reply->integer == 1)
      ch_out_finish (cmd, CH_COMMAND_EXPIRED, CH_UNSET, NULL, CH_FINAL_ELSEWHERE);
    else { /* its word was lost on the way here, or its server is gone */
      g_autofree char *key = g_strconcat ("outbound:result:", cmd->id, NULL);
      ch_kv_commandv (self, given_up, ch_out_call_new (call->outbound, cmd), "GET", key,
                      NULL);
    }
  }
  ch_out_call_done (call);
}

void ch_out_kv_remove (ChOutCommand *cmd, const char *result)
{
  ChOutbound *outbound = cmd->outbound;
  const char *owner = owner_of (cmd);
  Keys keys = {0};

  add_queue (&keys, cmd, owner != NULL ? owner : my_id (outbound));
  add (&keys, "outbound:processing:", cmd->device_id);
  add (&keys, "outbound:result:", cmd->id);
  add_dedup (&keys, cmd);
  const char *args[] = {cmd->id, cmd->device_id, result, RESULT_LIFE_S};
  ch_kv_call (outbound->self, removed, ch_out_call_new (outbound, cmd), "outbound_remove",
              keys.v, keys.n, args, G_N_ELEMENTS (args));
}

static void resync_one (ChOutCommand *cmd)
{
  switch (cmd->phase) {
  case CH_OUT_PREPARED:
    break;
  case CH_OUT_WAITING:
    ch_out_kv_push (cmd);
    break;
  case CH_OUT_FINAL:
    if (cmd->kv_dirty)
      ch_out_kv_finish (cmd);
    break;
  default:
    if (!cmd->remote)
      ch_out_kv_requeue (cmd, 0);
  }
}

void ch_out_kv_resync (ChOutbound *outbound)
{
  GHashTableIter iter;
  gpointer cmd;
  guint n = 0;

  outbound->kv_stale = FALSE;
  outbound->kv_failures = 0;
  g_hash_table_iter_init (&iter, outbound->commands);
  while (g_hash_table_iter_next (&iter, NULL, &cmd)) {
    resync_one (cmd);
    n++;
  }
  if (n > 0)
    ch_notice (outbound->self, "the kv is back: told it of %u commands", n);
}
