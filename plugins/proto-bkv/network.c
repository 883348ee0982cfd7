/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gateway's list of sockets (bkv 7). A list is checked before it is sent, and stated
 * to the core when the gateway has taken it.
 */
#include "proto-bkv/bkv.h"
#include <string.h>

/* ---- the list that the core knows ------------------------------------------------- */

/* Rows of gateway_sockets as [{socket_no, socket_mac, …}]. (transfer full) */
static json_t *known_nodes (BkvGateway *g, gint64 *channel)
{
  g_autoptr (json_t) rows = ch_core_sockets_json (g->bkv->self, g->id);
  const json_t *array = json_is_object (rows) ? json_object_get (rows, "sockets") : rows;
  json_t *nodes = json_array ();

  for (gsize i = 0; i < json_array_size (array); i++) {
    const json_t *row = json_array_get (array, i);
    const char *mac = ch_json_get_string (row, "socket_mac", "");
    gint64 number = ch_json_get_int (row, "socket_no", -1);

    if (*channel == CH_UNSET)
      *channel = ch_json_get_int (row, "channel", CH_UNSET);
    json_array_append_new (nodes, json_pack ("{s:I, s:s}", "socket_no",
                                             (json_int_t) number, "socket_mac", mac));
  }
  return nodes;
}

/* ---- checks ----------------------------------------------------------------------- */

/* `a1b2c3d4e5f6`, with or without separators, to bytes. */
static gboolean read_mac (const char *text, guint8 mac[6])
{
  char digits[13];
  gsize n = 0;

  for (; text != NULL && *text != 0; text++) {
    if (*text == ':' || *text == '-')
      continue;
    if (n == 12)
      return FALSE;
    digits[n++] = *text;
  }
  digits[MIN (n, 12)] = 0;
  return n == 12 && bkv_hex_parse (digits, mac, 6);
}

static gboolean read_node (const json_t *node, BkvNode *out)
{
  gint64 number = ch_json_get_int (node, "socket_no", -1);

  out->socket = (guint8) number;
  return number >= 1 && number <= BKV_MAX_SOCKET_NO
         && read_mac (ch_json_get_string (node, "socket_mac", NULL), out->mac);
}

/* Reason why the list cannot be sent, NULL when it can. */
static const char *fill_list (const json_t *nodes, gint64 channel, gboolean may_be_empty,
                              BkvNetRefresh *list)
{
  gsize n = json_array_size (nodes);

  if (channel < 1 || channel > 15)
    return "channel is not 1 to 15";
  if (n > BKV_MAX_NODES || (n == 0 && !may_be_empty))
    return "not 1 to 250 nodes";
  list->channel = (guint8) channel;
  list->n_nodes = (guint16) n;
  for (gsize i = 0; i < n; i++) {
    if (!read_node (json_array_get (nodes, i), &list->nodes[i]))
      return "a node without number 1 to 250 or MAC";
    for (gsize k = 0; k < i; k++)
      if (list->nodes[k].socket == list->nodes[i].socket
          || memcmp (list->nodes[k].mac, list->nodes[i].mac, 6) == 0)
        return "a number or MAC occurs twice";
  }
  return NULL;
}

static gboolean has_order (BkvGateway *g, gint socket)
{
  ChOrderView order;

  return ch_port_order (g->bkv->self, g->id, socket, 0, &order)
         || ch_port_order (g->bkv->self, g->id, socket, 1, &order);
}

static gboolean removes_order (BkvGateway *g, const BkvNetRefresh *list)
{
  gint sockets[256];
  gsize n = MIN (ch_device_sockets (g->bkv->self, g->id, sockets, G_N_ELEMENTS (sockets)),
                 G_N_ELEMENTS (sockets));

  for (gsize i = 0; i < n; i++) {
    gboolean kept = FALSE;

    for (guint k = 0; k < list->n_nodes && !kept; k++)
      kept = list->nodes[k].socket == sockets[i];
    if (!kept && has_order (g, sockets[i]))
      return TRUE;
  }
  return FALSE;
}

/* ---- commands --------------------------------------------------------------------- */

void bkv_network_done (BkvGateway *g)
{
  BkvNetwork *network = g_steal_pointer (&g->network);

  if (network == NULL)
    return;
  json_decref (network->nodes);
  g_free (network);
}

/* Keeps what is stated when the answer comes. @nodes is taken. */
static void remember (BkvGateway *g, guint32 msg_id, const char *action, gint64 channel,
                      gint64 socket_no, json_t *nodes)
{
  bkv_network_done (g);
  g->network = g_new0 (BkvNetwork, 1);
  *g->network = (BkvNetwork) {msg_id, action, channel, socket_no, nodes};
}

static json_t *nodes_json (const BkvNode *nodes, gsize n)
{
  json_t *array = json_array ();

  for (gsize i = 0; i < n; i++) {
    char mac[13];

    bkv_hex (nodes[i].mac, 6, mac);
    for (char *p = mac; *p != 0; p++)
      *p = g_ascii_tolower (*p);
    json_array_append_new (array, json_pack ("{s:i, s:s}", "socket_no",
                                             (int) nodes[i].socket, "socket_mac", mac));
  }
  return array;
}

/* @action is what it is to the core: a deletion may also be done by a list. */
static ChCommandState send_list (BkvGateway *g, const ChCommand *command,
                                 const json_t *nodes, gint64 channel, const char *action,
                                 gint64 socket_no)
{
  gboolean deletes = strcmp (action, "delete") == 0;
  ChCommandState state;
  const char *why;
  BkvFrame frame;

  bkv_init (&frame, BKV_NET_REFRESH, g->raw, command->msg_id);
  why = fill_list (nodes, channel, deletes, &frame.net_refresh);
  if (why == NULL && removes_order (g, &frame.net_refresh))
    why = "a socket with an active order would be removed";
  if (why != NULL)
    return bkv_refuse (g, command, why);
  state = bkv_attempt (g, &frame);
  if (state == CH_COMMAND_SENT)
    remember (g, command->msg_id, action, channel, socket_no,
              nodes_json (frame.net_refresh.nodes, frame.net_refresh.n_nodes));
  return state;
}

/* ConfigureNetwork brings the list, NetworkRefresh sends the known one again. */
ChCommandState bkv_configure_network (BkvGateway *g, const ChCommand *command)
{
  const json_t *given = json_object_get (command->payload, "nodes");
  gint64 channel = ch_json_get_int (command->payload, "channel", CH_UNSET);
  g_autoptr (json_t) known = NULL;

  if (command->type == CH_COMMAND_NETWORK_REFRESH && json_array_size (given) == 0) {
    known = known_nodes (g, &channel);
    given = known;
  }
  return send_list (g, command, given, channel, "refresh", CH_UNSET);
}

/* The one node of a command: in `nodes`, or its members directly. */
static const json_t *one_node (const ChCommand *command)
{
  const json_t *nodes = json_object_get (command->payload, "nodes");
  const json_t *node = json_object_get (command->payload, "node");

  if (json_array_size (nodes) == 1)
    return json_array_get (nodes, 0);
  return json_is_object (node) ? node : command->payload;
}

ChCommandState bkv_network_add (BkvGateway *g, const ChCommand *command)
{
  ChCommandState state;
  BkvFrame frame;

  bkv_init (&frame, BKV_NET_ADD, g->raw, command->msg_id);
  if (!read_node (one_node (command), &frame.node))
    return bkv_refuse (g, command, "a node without number 1 to 250 or MAC");
  state = bkv_attempt (g, &frame);
  if (state == CH_COMMAND_SENT)
    remember (g, command->msg_id, "add", CH_UNSET, frame.node.socket,
              nodes_json (&frame.node, 1));
  return state;
}

static ChCommandState delete_by_command (BkvGateway *g, const ChCommand *command,
                                         gint64 number)
{
  ChCommandState state;
  BkvFrame frame;

  bkv_init (&frame, BKV_NET_DELETE, g->raw, command->msg_id);
  frame.socket_no.socket = (guint8) number;
  state = bkv_attempt (g, &frame);
  if (state == CH_COMMAND_SENT)
    remember (g, command->msg_id, "delete", CH_UNSET, number, json_array ());
  return state;
}

ChCommandState bkv_network_delete (BkvGateway *g, const ChCommand *command)
{
  gint64 number = ch_json_get_int (one_node (command), "socket_no", command->socket_no);
  gint64 channel = ch_json_get_int (command->payload, "channel", CH_UNSET);
  g_autoptr (json_t) nodes = known_nodes (g, &channel);
  gsize i = 0;

  if (number < 1 || number > BKV_MAX_SOCKET_NO)
    return bkv_refuse (g, command, "socket number is not 1 to 250");
  if (has_order (g, (gint) number))
    return bkv_refuse (g, command, "the socket has an active order");
  if (g->bkv->settings.delete_by_command)
    return delete_by_command (g, command, number);
  while (i < json_array_size (nodes)
         && ch_json_get_int (json_array_get (nodes, i), "socket_no", -1) != number)
    i++;
  if (i == json_array_size (nodes) && command->attempt <= 1)
    return bkv_refuse (g, command, "no such socket");
  json_array_remove (nodes, i);
  return send_list (g, command, nodes, channel, "delete", number);
}

/* ---- answers ---------------------------------------------------------------------- */

/* Sockets of an accepted list that the core does not have yet are asked. */
static void ask_new (BkvGateway *g, const gint *old, gsize n_old)
{
  for (gsize i = 0; i < json_array_size (g->network->nodes); i++) {
    gint64 number
        = ch_json_get_int (json_array_get (g->network->nodes, i), "socket_no", -1);
    gboolean known = FALSE;

    for (gsize k = 0; k < n_old && !known; k++)
      known = old[k] == number;
    if (!known)
      bkv_ask (g, (guint) number, 2);
  }
}

static gboolean is_network (ChCommandType type, BkvKind kind)
{
  switch (kind) {
  case BKV_NET_REFRESH_ACK: /* a deletion may be a list as well */
    return type == CH_COMMAND_CONFIGURE_NETWORK || type == CH_COMMAND_NETWORK_REFRESH
           || type == CH_COMMAND_NETWORK_DELETE_NODE;
  case BKV_NET_ADD_ACK:
    return type == CH_COMMAND_NETWORK_ADD_NODE;
  case BKV_NET_DELETE_ACK:
    return type == CH_COMMAND_NETWORK_DELETE_NODE;
  default:
    return FALSE;
  }
}

gboolean bkv_on_net_ack (BkvSession *session, BkvGateway *g, const BkvFrame *frame)
{
  ChPlugin *self = session->bkv->self;
  gboolean done = frame->result.result == 1;
  ChCommandState state = done ? CH_COMMAND_ACKED : CH_COMMAND_REJECTED;
  gint old[256];
  gsize n_old = MIN (ch_device_sockets (self, g->id, old, G_N_ELEMENTS (old)),
                     G_N_ELEMENTS (old));
  ChCommand command;

  /* The list was taken by the gateway also when the core has given up waiting. */
  if (g->network == NULL || g->network->msg_id != frame->msg_id
      || (ch_command_in_flight (self, g->id, frame->msg_id, &command)
          && !is_network (command.type, frame->kind))) {
    bkv_late_result (g, frame->msg_id, state, NULL);
    return TRUE;
  }
  ChTopology fact = {.action = g->network->action,
                     .result = done ? "ok" : "failed",
                     .socket_no = g->network->socket_no,
                     .channel = g->network->channel,
                     .nodes = g->network->nodes};
  ch_network_topology (self, session->conn, g->id, &fact);
  bkv_result (g, frame->msg_id, NULL, state, NULL);
  if (done)
    ask_new (g, old, n_old);
  bkv_network_done (g);
  return TRUE;
}
