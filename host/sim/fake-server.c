/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE (30 * G_USEC_PER_SEC)
#define PEER_BUFFER 8192
#define WRITE_OFF_POLLS 20 /* of a millisecond */

typedef struct {
  FakeServer *server;
  SimWatch watch;
  guint number;
  gsize n;
  guint8 buffer[PEER_BUFFER];
} Peer;

/* ---- connections ------------------------------------------------------------------ */

static void peer_close (Peer *peer)
{
  int fd = peer->watch.fd;
  loop_unwatch (peer->server->sim->loop, &peer->watch);
  close (fd);
}

static void peer_send (Peer *peer, const BkvFrame *frame)
{
  guint8 bytes[BKV_MAX_FRAME];
  gsize size = bkv_encode (frame, bytes, sizeof bytes);

  g_assert_cmpuint (size, >, 0);
  if (peer->watch.fd >= 0) {
    send (peer->watch.fd, bytes, size, MSG_NOSIGNAL);
    peer->server->sent += size;
  }
}

static void answer_items (Peer *peer, const BkvFrame *in, BkvKind kind)
{
  BkvFrame out;

  bkv_init (&out, kind, in->gateway, in->msg_id);
  if (kind != BKV_STATUS_ACK)
    BKV_SET (&out.items, ITEM, socket, in->items.socket);
  if (kind == BKV_FEE_CHARGE_END_ACK)
    BKV_SET (&out.items, ITEM, port, in->items.port);
  BKV_SET (&out.items, ITEM, result, 1);
  peer_send (peer, &out);
}

static void answer (Peer *peer, const BkvFrame *in)
{
  static const guint8 time[7] = {0x20, 0x25, 0x11, 0x22, 0x22, 0x03, 0x36};
  FakeServer *server = peer->server;
  BkvFrame out;

  switch (in->kind) {
  case BKV_HEARTBEAT:
    if (server->silent)
      return;
    bkv_init (&out, BKV_HEARTBEAT_ACK, in->gateway, 0);
    memcpy (out.heartbeat_ack.time, time, sizeof time);
    peer_send (peer, &out);
    break;
  case BKV_STATUS_REPORT:
    if (!server->no_status)
      answer_items (peer, in, BKV_STATUS_ACK);
    break;
  case BKV_EVENT_REPORT:
    if (!server->no_events)
      answer_items (peer, in, BKV_EVENT_ACK);
    break;
  case BKV_FEE_CHARGE_END:
    if (!server->no_ends)
      answer_items (peer, in, BKV_FEE_CHARGE_END_ACK);
    break;
  case BKV_CHARGE_END:
  case BKV_POWER_CHARGE_END:
  case BKV_CARD_CHARGE_END:
    if (server->no_ends)
      return;
    bkv_init (&out, BKV_CHARGE_END_ACK, in->gateway, 0);
    out.end_ack = (BkvEndAck) {.socket = in->end.socket, .result = server->end_result};
    peer_send (peer, &out);
    break;
  default:
    break;
  }
}

static void take (Peer *peer, const guint8 *bytes, gsize size)
{
  FakeServer *server = peer->server;
  FakeFrame *frame = g_new0 (FakeFrame, 1);

  frame->connection = peer->number;
  frame->at = loop_now (server->sim->loop);
  frame->size = size;
  memcpy (frame->bytes, bytes, size);
  g_assert_true (bkv_decode (frame->bytes, size, &frame->frame));
  if (frame->frame.error == BKV_OK)
    answer (peer, &frame->frame);
  if (server->keep)
    g_ptr_array_add (server->frames, frame);
  else
    g_free (frame);
}

static void peer_events (gpointer data, guint32 events)
{
  Peer *peer = data;
  ssize_t n = recv (peer->watch.fd, peer->buffer + peer->n, PEER_BUFFER - peer->n, 0);

  if (n <= 0) {
    if (n == 0 || errno != EAGAIN)
      peer_close (peer);
    return;
  }
  peer->n += (gsize) n;
  peer->server->received += (gsize) n;
  for (;;) {
    const char *error = NULL;
    gssize size = bkv_frame (peer->buffer, peer->n, BKV_MAX_FRAME, &error);
    if (size == 0)
      return;
    if (size > 0)
      take (peer, peer->buffer, (gsize) size);
    else
      peer->server->errors++;
    gsize used = (gsize) ABS (size);
    peer->n -= used;
    memmove (peer->buffer, peer->buffer + used, peer->n);
  }
}

static void accept_peer (gpointer data, guint32 events)
{
  FakeServer *server = data;

  for (;;) {
    int fd = accept4 (server->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
      return;
    if (server->refuse) {
      server->refused++;
      close (fd);
      continue;
    }
    int on = 1;
    setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    Peer *peer = g_new0 (Peer, 1);
    peer->server = server;
    peer->watch = (SimWatch) {.func = peer_events, .data = peer, .fd = -1};
    g_ptr_array_add (server->peers, peer);
    peer->number = server->peers->len;
    g_assert_true (loop_watch (server->sim->loop, &peer->watch, fd, EPOLLIN));
  }
}

/* ---- life ------------------------------------------------------------------------- */

FakeServer *fake_new (void)
{
  FakeServer *server = g_new0 (FakeServer, 1);
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t size = sizeof address;

  address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (listen (fd, 4096), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *) &address, &size), ==, 0);
  server->port = ntohs (address.sin_port);
  server->listener = (SimWatch) {.func = accept_peer, .data = server, .fd = fd};
  server->peers = g_ptr_array_new_with_free_func (g_free);
  server->frames = g_ptr_array_new_with_free_func (g_free);
  server->keep = TRUE;
  server->end_result = 1;
  server->serial = 1000;
  return server;
}

static void close_peers (FakeServer *server)
{
  for (guint i = 0; i < server->peers->len; i++) {
    Peer *peer = server->peers->pdata[i];
    if (peer->watch.fd >= 0)
      peer_close (peer);
  }
  g_ptr_array_set_size (server->peers, 0);
}

void fake_free (FakeServer *server)
{
  close (server->listener.fd);
  g_ptr_array_unref (server->peers);
  g_ptr_array_unref (server->frames);
  g_free (server);
}

/* Whether the kernel carries nothing for either side. Bytes of a connection that was cut
 * never arrive: after a while they are written off. */
static gboolean settled (gpointer data)
{
  FakeServer *server = data;
  const Sim *sim = server->sim;
  guint64 up = sim->counters.bytes_up;
  gboolean connecting = FALSE;

  for (guint i = 0; i < sim->started; i++) {
    const SimGateway *gateway = &sim->gateways[i];
    up -= gateway->out != NULL ? gateway->out->len : 0;
    connecting |= gateway->phase == SIM_CONNECTING;
  }
  gboolean same = up == server->received && sim->counters.bytes_down == server->sent;
  guint64 progress = server->received + sim->counters.bytes_down + sim->counters.connects;
  if (progress != server->progress)
    server->idle = 0;
  server->progress = progress;
  if (same && !connecting)
    return TRUE;
  if (server->idle++ < WRITE_OFF_POLLS)
    return FALSE;
  server->idle = 0;
  server->received = up;
  server->sent = sim->counters.bytes_down;
  return TRUE;
}

Sim *fake_sim (FakeServer *server, const char *args)
{
  g_autofree char *line
      = g_strdup_printf ("sim --server 127.0.0.1:%u --log none --quiet --rate 1000000 %s",
                         server->port, args != NULL ? args : "");
  g_auto (GStrv) argv = g_strsplit (g_strstrip (line), " ", 0);
  GError *error = NULL;
  SimOptions options;

  gboolean ok = options_parse (argv, &options, &error);
  g_assert_no_error (error);
  g_assert_true (ok);
  Sim *sim = sim_new (&options, &error);
  g_assert_no_error (error);
  g_assert_nonnull (sim);
  loop_use_steps (sim->loop, settled, server);
  server->received = server->sent = 0;
  int fd = server->listener.fd;
  g_assert_true (loop_watch (sim->loop, &server->listener, fd, EPOLLIN));
  server->sim = sim;
  return sim;
}

void fake_sim_kill (FakeServer *server, Sim *sim)
{
  int fd = server->listener.fd;

  close_peers (server);
  loop_unwatch (sim->loop, &server->listener);
  server->listener.fd = fd;
  sim_free (sim);
  server->sim = NULL;
  g_ptr_array_set_size (server->frames, 0);
  server->next = 0;
}

void fake_sim_end (FakeServer *server, Sim *sim)
{
  sim_finish (sim);
  fake_sim_kill (server, sim);
}

/* ---- waiting ---------------------------------------------------------------------- */

const FakeFrame *fake_await (FakeServer *server, BkvKind kind)
{
  gint64 limit = g_get_monotonic_time () + PATIENCE;

  for (;;) {
    while (server->next < server->frames->len) {
      const FakeFrame *frame = server->frames->pdata[server->next++];
      if (frame->frame.kind == kind)
        return frame;
    }
    if (g_get_monotonic_time () > limit)
      g_error ("no %s within half a minute", bkv_kind_name (kind));
    loop_turn (server->sim->loop, 10);
  }
}

static void passed (gpointer data)
{
  *(gboolean *) data = TRUE;
}

void fake_pass (FakeServer *server, double seconds)
{
  gboolean done = FALSE;
  SimTimer timer = {0};

  timer_set (&timer, passed, &done);
  timer_arm (server->sim->loop, &timer, (gint64) (seconds * (double) SIM_SECOND));
  while (!done)
    loop_turn (server->sim->loop, 10);
}

guint fake_count (const FakeServer *server, BkvKind kind)
{
  guint n = 0;
  for (guint i = server->next; i < server->frames->len; i++)
    n += ((const FakeFrame *) server->frames->pdata[i])->frame.kind == kind;
  return n;
}

/* ---- commands --------------------------------------------------------------------- */

void fake_command (FakeServer *server, BkvFrame *frame, BkvKind kind)
{
  bkv_init (frame, kind, server->sim->gateways[0].id, ++server->serial);
}

void fake_send_bytes (FakeServer *server, const guint8 *bytes, gsize size)
{
  const Peer *peer = server->peers->pdata[server->peers->len - 1];
  g_assert_cmpint (send (peer->watch.fd, bytes, size, MSG_NOSIGNAL), ==, (gssize) size);
  server->sent += size;
}

void fake_send (FakeServer *server, const BkvFrame *frame)
{
  peer_send (server->peers->pdata[server->peers->len - 1], frame);
}

void fake_start (FakeServer *server, guint socket, guint port, guint minutes)
{
  BkvFrame frame;

  fake_command (server, &frame, BKV_CONTROL);
  frame.control = (BkvControl) {.socket = (guint8) socket,
                                .port = (guint8) port,
                                .switch_on = 1,
                                .mode = 1,
                                .minutes = (guint16) minutes};
  fake_send (server, &frame);
}

void fake_stop (FakeServer *server, guint socket, guint port)
{
  BkvFrame frame;

  fake_command (server, &frame, BKV_CONTROL);
  frame.control
      = (BkvControl) {.socket = (guint8) socket, .port = (guint8) port, .mode = 1};
  fake_send (server, &frame);
}

/* ---- fixtures ---- */

void fake_pair_set_up (FakePair *pair, gconstpointer args)
{
  pair->server = fake_new ();
  pair->sim = fake_sim (pair->server, args);
}

void fake_pair_ready (FakePair *pair)
{
  fake_await (pair->server, BKV_STATUS_REPORT);
  fake_await (pair->server, BKV_STATUS_REPORT);
}

void fake_pair_set_up_ready (FakePair *pair, gconstpointer args)
{
  fake_pair_set_up (pair, args);
  fake_pair_ready (pair);
}

void fake_pair_tear_down (FakePair *pair, gconstpointer args)
{
  fake_sim_end (pair->server, pair->sim);
  fake_free (pair->server);
}
