/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/peer/peer.h"
#include "core/order/order-home.h"
#include "core/order/order.h"
#include "core/order/orders.h"
#include "core/session/session-private.h"
#include "net/reactor.h"
#include <chargehost/json.h>

#include <string.h>

#define ANSWER_MS 40000 /* beside what the caller waits: a port may be asked first */
#define READ_MS 5000    /* what is only read is answered at once, or was lost */
#define MAX_ASKS 2000
#define MAX_SERVED 2000
#define MAX_MESSAGE (1024 * 1024)
#define MAX_TRIES 3

/*
 * An operation on its way to the instance that does it: that of its device, or, without
 * device and order, the one that the caller named.
 */
typedef struct {
  ChWheelTimer timer; /* first */
  ChPeers *peers;
  char id[CH_ULID_SIZE];
  ChPeerOp op;
  char device[CH_DEVICE_ID_SIZE], order_no[CH_ORDER_NO_SIZE];
  char server[CH_SERVER_ID_SIZE]; /* asked, "" none yet */
  json_t *args;
  char *by, *key_id, *request_id;
  guint wait_ms, answer_ms, tries;
  ChPlugin *caller;
  gint life;
  ChCoreDone done;
  gpointer user_data;
} Ask;

/* One that is being done here for another instance. */
typedef struct {
  ChPeers *peers;
  char id[CH_ULID_SIZE];
  char from[CH_SERVER_ID_SIZE];
} Served;

struct _ChPeers {
  ChCore *core;
  GHashTable *asks;    /* id → Ask, owned */
  GHashTable *calls;   /* ids on their way through the kv or the store, owned */
  GHashTable *serving; /* of Served, owned */
  GHashTable *answers; /* that nobody has heard so far, owned */
};

static void ask_free (gpointer data)
{
  Ask *ask = data;
  ch_wheel_cancel (ask->peers->core->services->reactor, &ask->timer);
  json_decref (ask->args);
  g_free (ask->by);
  g_free (ask->key_id);
  g_free (ask->request_id);
  g_free (ask);
}

static Ask *ask_find (ChPeers *peers, const char *id)
{
  return id != NULL ? g_hash_table_lookup (peers->asks, id) : NULL;
}

/* Answers and frees it. */
static void answer (Ask *ask, const json_t *data, const GError *error)
{
  ChRunnerFrame frame;

  g_hash_table_steal (ask->peers->asks, ask->id);
  if (ask->life == g_atomic_int_get (&ask->caller->life)
      && ch_runner_enter (ask->caller, "answer of another instance", &frame)) {
    ask->done (ask->caller, data, error, ask->user_data);
    ch_runner_leave (&frame);
  }
  ask_free (ask);
}

static void refuse (Ask *ask, const char *message)
{
  g_autoptr (GError) error
      = g_error_new_literal (CH_CORE_ERROR, CH_CORE_ERROR_STORE_UNAVAILABLE, message);
  answer (ask, NULL, error);
}

static void timed_out (ChWheelTimer *timer)
{
  refuse ((Ask *) timer, "the instance that holds the device did not answer; the same "
                         "order_no may be sent again");
}

/* ---- here ---- */

static void do_here (Ask *ask)
{
  const ChOrigin origin = {ask->by, ask->key_id, ask->request_id};

  g_hash_table_steal (ask->peers->asks, ask->id);
  if (ask->life == g_atomic_int_get (&ask->caller->life))
    ch_peer_do (ask->caller, ask->op, ask->device[0] != '\0' ? ask->device : NULL,
                ask->args, &origin, ask->wait_ms, ask->done, ask->user_data);
  ask_free (ask);
}

/* ---- there ---- */

/* The id of an ask for a callback that may outlive it. */
static gpointer call_of (Ask *ask)
{
  char *id = g_strdup (ask->id);
  g_hash_table_add (ask->peers->calls, id);
  return id;
}

static void known (ChCore *core, const char *device, const GError *error, gpointer data)
{
  g_autofree char *id = data;
  Ask *ask = ask_find (core->peers, id);

  g_hash_table_steal (core->peers->calls, id);
  if (ask != NULL)
    do_here (ask);
}

static void locate (Ask *ask);

/* The owner is gone or has lost the device: who has it now? */
static void try_again (Ask *ask)
{
  ChCore *core = ask->peers->core;
  ChDevice *device = g_hash_table_lookup (core->devices, ask->device);

  if (ask->device[0] == '\0') {
    refuse (ask, "the instance is gone");
    return;
  }
  ch_sessions_disown (core->sessions, ask->device, ask->server);
  if (++ask->tries >= MAX_TRIES) {
    if (device != NULL && ch_home_is_elsewhere (device))
      refuse (ask, "the device moves between instances; try again");
    else
      ch_home_read (core, ask->device, known, call_of (ask));
    return;
  }
  locate (ask);
}

static void published (ChPlugin *self, const ChKvReply *reply, const GError *error,
                       gpointer user_data)
{
  g_autofree char *id = user_data;
  Ask *ask = ask_find (self->services->core->peers, id);

  g_hash_table_steal (self->services->core->peers->calls, id);
  if (ask == NULL)
    return;
  if (error != NULL)
    refuse (ask, "the kv is away, and another instance holds the device");
  else if (reply->kind == CH_KV_REPLY_INTEGER && reply->integer == 0)
    try_again (ask);
}

static void set_text (json_t *object, const char *name, const char *text)
{
  if (text != NULL)
    json_object_set_new_nocheck (object, name, json_string (text));
}

static void send_ask (Ask *ask, const char *server)
{
  ChCore *core = ask->peers->core;
  g_autoptr (json_t) message = json_object ();

  set_text (message, "id", ask->id);
  set_text (message, "from", core->services->server_id);
  set_text (message, "op", ch_peer_op_name (ask->op));
  set_text (message, "device", ask->device);
  set_text (message, "by", ask->by);
  set_text (message, "key_id", ask->key_id);
  set_text (message, "request_id", ask->request_id);
  json_object_set_new_nocheck (message, "wait_ms", json_integer (ask->wait_ms));
  json_object_set_nocheck (message, "args", ask->args);
  g_autofree char *text = ch_json_dump (message);
  g_autofree char *channel = g_strconcat ("core:ask:", server, NULL);

  g_strlcpy (ask->server, server, sizeof ask->server);
  ch_wheel_arm (core->services->reactor, &ask->timer, ask->wait_ms + ask->answer_ms);
  ch_kv_commandv (core->self, published, call_of (ask), "PUBLISH", channel, text, NULL);
}

static void located (ChCore *core, const char *device_id, gpointer data)
{
  g_autofree char *id = data;
  Ask *ask = ask_find (core->peers, id);
  ChDevice *device = g_hash_table_lookup (core->devices, device_id);
  const char *owner = ch_session_remote_owner (core->sessions, device_id);

  g_hash_table_steal (core->peers->calls, id);
  if (ask == NULL)
    return;
  if (device != NULL && device->conn != 0) {
    do_here (ask);
  } else if (*owner != '\0') {
    send_ask (ask, owner);
  } else if (device != NULL && ch_home_is_elsewhere (device)
             && !ch_kv_is_up (core->self)) {
    refuse (ask, "the kv is away, and another instance holds the device");
  } else {
    if (device != NULL && device->elsewhere != NULL) /* the directory knows better */
      ch_sessions_disown (core->sessions, device_id, device->elsewhere);
    if (device == NULL || !device->orders_known)
      ch_home_read (core, device_id, known, call_of (ask));
    else
      do_here (ask);
  }
}

static void locate (Ask *ask)
{
  ch_sessions_locate (ask->peers->core->sessions, ask->device, located, call_of (ask));
}

/* ---- the device of an order ---- */

static void order_read (ChPlugin *self, const ChTxResult *result, const GError *error,
                        gpointer data)
{
  g_autofree char *id = data;
  ChPeers *peers = self->services->core->peers;
  Ask *ask = ask_find (peers, id);

  g_hash_table_steal (peers->calls, id);
  if (ask == NULL)
    return;
  if (error != NULL) {
    refuse (ask, error->message);
  } else if (ch_tx_result_rows (result, 0) == 0) {
    do_here (ask); /* which says that there is none */
  } else {
    g_strlcpy (ask->device, ch_tx_result_text (result, 0, 0, "phy_id"),
               sizeof ask->device);
    locate (ask);
  }
}

static void find_device (Ask *ask)
{
  ChCore *core = ask->peers->core;
  const ChOrder *order = ch_orders_find (core->orders, ask->order_no);

  if (order != NULL) {
    g_strlcpy (ask->device, order->device->id, sizeof ask->device);
    locate (ask);
    return;
  }
  ChTx *tx = ch_tx_new (core->self);
  ch_tx_add (tx, core->self, "orders.by_no");
  ch_tx_bind_text (tx, "order_no", ask->order_no);
  ch_tx_submit (tx, 0, order_read, call_of (ask));
}

/* ---- asking ---- */

gboolean ch_peer_may_be_elsewhere (ChCore *core, const char *device)
{
  const ChDevice *record
      = device != NULL ? g_hash_table_lookup (core->devices, device) : NULL;
  return ch_sessions_are_several (core->sessions)
         && (record == NULL || record->conn == 0);
}

gboolean ch_peer_order_may_be_elsewhere (ChCore *core, const char *order_no)
{
  const ChOrder *order = ch_orders_find (core->orders, order_no);
  return ch_sessions_are_several (core->sessions)
         && (order == NULL || order->device->conn == 0);
}

/* NULL when too many wait: then it has been answered. */
static Ask *ask_new (ChPlugin *caller, ChPeerOp op, json_t *args, guint answer_ms,
                     ChCoreDone done, gpointer user_data)
{
  ChCore *core = ch_core_of (caller);
  ChPeers *peers = core->peers;
  gboolean full = g_hash_table_size (peers->asks) >= MAX_ASKS;
  Ask *ask = g_new0 (Ask, 1);

  ask->timer.func = timed_out;
  ask->peers = peers;
  ch_ulid (core->self, ask->id);
  ask->op = op;
  ask->args = args;
  ask->answer_ms = answer_ms;
  ask->caller = caller;
  ask->life = g_atomic_int_get (&caller->life);
  ask->done = done;
  ask->user_data = user_data;
  g_hash_table_insert (peers->asks, ask->id, ask);
  if (!full)
    return ask;
  refuse (ask, "too many requests wait for other instances");
  return NULL;
}

void ch_peer_run (ChPlugin *caller, ChPeerOp op, const char *device, const char *order_no,
                  json_t *args, const ChOrigin *origin, guint wait_ms, ChCoreDone done,
                  gpointer user_data)
{
  Ask *ask = ask_new (caller, op, args, op == CH_PEER_READ ? READ_MS : ANSWER_MS, done,
                      user_data);

  if (ask == NULL)
    return;
  g_strlcpy (ask->device, device != NULL ? device : "", sizeof ask->device);
  g_strlcpy (ask->order_no, order_no != NULL ? order_no : "", sizeof ask->order_no);
  if (origin != NULL) {
    ask->by = g_strdup (origin->by);
    ask->key_id = g_strdup (origin->key_id);
    ask->request_id = g_strdup (origin->request_id);
  }
  ask->wait_ms = MIN (wait_ms, 10000);
  if (!ch_device_id_is_valid (ask->device)
      && (ask->device[0] != '\0' || !ch_order_no_is_valid (ask->order_no)))
    do_here (ask); /* which says what is wrong with it */
  else if (ask->device[0] != '\0')
    locate (ask);
  else
    find_device (ask);
}

void ch_peer_ask (ChPlugin *caller, ChPeerOp op, const char *server, json_t *args,
                  guint answer_ms, ChCoreDone done, gpointer user_data)
{
  Ask *ask = ask_new (caller, op, args, answer_ms, done, user_data);
  if (ask != NULL)
    send_ask (ask, server);
}

/* ---- being asked ---- */

static void publish_answer (ChPeers *peers, const char *to, json_t *message)
{
  g_autofree char *text = ch_json_dump (message);

  if (strlen (text) > MAX_MESSAGE) {
    json_object_del (message, "data");
    json_object_set_new_nocheck (message, "code", json_integer (CH_CORE_ERROR_INTERNAL));
    set_text (message, "error", "the answer is too long");
    g_free (text);
    text = ch_json_dump (message);
  }
  ch_peer_answer_send (peers->core, peers->answers, to, g_steal_pointer (&text));
}

static void served (ChPlugin *self, const json_t *data, const GError *error,
                    gpointer user_data)
{
  g_autofree Served *one = user_data;
  g_autoptr (json_t) message = json_object ();

  g_hash_table_steal (one->peers->serving, one);
  set_text (message, "id", one->id);
  if (data != NULL)
    json_object_set_nocheck (message, "data", (json_t *) (guintptr) data);
  if (error != NULL) {
    gboolean ours = error->domain == CH_CORE_ERROR;
    gint code = ours ? error->code : CH_CORE_ERROR_INTERNAL;
    json_object_set_new_nocheck (message, "code", json_integer (code));
    set_text (message, "error", error->message);
  }
  publish_answer (one->peers, one->from, message);
}

static void tell_moved (ChPeers *peers, const char *id, const char *from)
{
  g_autoptr (json_t) message = json_object ();
  set_text (message, "id", id);
  json_object_set_new_nocheck (message, "moved", json_true ());
  publish_answer (peers, from, message);
}

static void asked (ChPlugin *self, const char *channel, const char *text, gsize size,
                   gpointer user_data)
{
  ChPeers *peers = user_data;
  if (size > MAX_MESSAGE)
    return;
  g_autoptr (json_t) message = ch_json_parse (text, size, NULL);
  const char *id = ch_json_get_string (message, "id", "");
  const char *from = ch_json_get_string (message, "from", "");
  const char *op = ch_json_get_string (message, "op", "");
  const char *device_id = ch_json_get_string (message, "device", "");
  const ChDevice *device = g_hash_table_lookup (peers->core->devices, device_id);
  ChPeerOp number = 0;

  while (number < CH_PEER_N && !g_str_equal (ch_peer_op_name (number), op))
    number++;
  if (number == CH_PEER_N || strlen (id) >= CH_ULID_SIZE || *from == '\0'
      || strlen (from) >= CH_SERVER_ID_SIZE)
    return;
  if ((*device_id != '\0' && (device == NULL || device->conn == 0))
      || g_hash_table_size (peers->serving) >= MAX_SERVED) {
    tell_moved (peers, id, from);
    return;
  }
  const ChOrigin origin = {
      ch_json_get_string (message, "by", "api"),
      ch_json_get_string (message, "key_id", NULL),
      ch_json_get_string (message, "request_id", NULL),
  };
  Served *one = g_new0 (Served, 1);
  one->peers = peers;
  g_strlcpy (one->id, id, sizeof one->id);
  g_strlcpy (one->from, from, sizeof one->from);
  g_hash_table_add (peers->serving, one);
  ch_peer_do (self, number, device_id, json_object_get (message, "args"), &origin,
              (guint) CLAMP (ch_json_get_int (message, "wait_ms", 0), 0, 10000), served,
              one);
}

static void answered (ChPlugin *self, const char *channel, const char *text, gsize size,
                      gpointer user_data)
{
  ChPeers *peers = user_data;
  if (size > MAX_MESSAGE)
    return;
  g_autoptr (json_t) message = ch_json_parse (text, size, NULL);
  Ask *ask = ask_find (peers, ch_json_get_string (message, "id", NULL));
  gint code = (gint) ch_json_get_int (message, "code", 0);
  g_autoptr (GError) error = NULL;

  if (ask == NULL || ask->server[0] == '\0')
    return;
  if (ch_json_get_bool (message, "moved", FALSE)) {
    try_again (ask);
    return;
  }
  if (code != 0)
    error = g_error_new_literal (CH_CORE_ERROR, code,
                                 ch_json_get_string (message, "error", ""));
  answer (ask, json_object_get (message, "data"), error);
}

/* ---- life ---- */

void ch_peers_give_up (ChPeers *peers, const char *server)
{
  g_autoptr (GPtrArray) lost = g_ptr_array_new_with_free_func (g_free);
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, peers->asks);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    const Ask *ask = value;
    if (server == NULL || g_str_equal (ask->server, server))
      g_ptr_array_add (lost, g_strdup (ask->id));
  }
  for (guint i = 0; i < lost->len; i++) {
    Ask *ask = ask_find (peers, g_ptr_array_index (lost, i));
    if (ask != NULL)
      refuse (ask, "the instance that holds the device has ended; the same order_no may"
                   " be sent again");
  }
}

void ch_peers_open (ChPeers *peers)
{
  ChCore *core = peers->core;
  if (core->services->kv == NULL)
    return;
  g_autofree char *asks = g_strconcat ("core:ask:", core->services->server_id, NULL);
  g_autofree char *answers
      = g_strconcat ("core:answer:", core->services->server_id, NULL);
  ch_kv_subscribe (core->self, asks, asked, peers);
  ch_kv_subscribe (core->self, answers, answered, peers);
}

ChPeers *ch_peers_new (ChCore *core)
{
  ChPeers *peers = g_new0 (ChPeers, 1);
  peers->core = core;
  peers->asks = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, ask_free);
  peers->calls = g_hash_table_new_full (NULL, NULL, g_free, NULL);
  peers->serving = g_hash_table_new_full (NULL, NULL, g_free, NULL);
  peers->answers = g_hash_table_new_full (NULL, NULL, ch_peer_answer_free, NULL);
  return peers;
}

void ch_peers_free (ChPeers *peers)
{
  g_hash_table_unref (peers->asks);
  g_hash_table_unref (peers->calls);
  g_hash_table_unref (peers->serving);
  g_hash_table_unref (peers->answers);
  g_free (peers);
}
