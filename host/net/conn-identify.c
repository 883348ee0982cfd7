/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which protocol a fresh connection speaks (gateway 2.6). */
#include "net/gateway-private.h"

#include <string.h>

#define MINUTE_US (60 * G_USEC_PER_SEC)
#define LOGGED_ADDRESSES_MAX 256

/* Beginnings of what certainly is no device (TCP-12). */
static const struct {
  const char *bytes;
  gsize size;
} FOREIGN[] = {
    {"GET ", 4}, {"POST", 4}, {"HEAD", 4}, {"SSH-", 4}, {"\x16\x03", 2},
};

static gboolean is_foreign (const guint8 *bytes, gsize size)
{
  for (guint i = 0; i < G_N_ELEMENTS (FOREIGN); i++)
    if (size >= FOREIGN[i].size && memcmp (bytes, FOREIGN[i].bytes, FOREIGN[i].size) == 0)
      return TRUE;
  return FALSE;
}

/* One line per address and minute: port scans must not fill the log (F34). */
static void log_unidentified (Connection *conn, const char *why)
{
  ChGateway *gateway = conn->gateway;
  gint64 minute = ch_reactor_now_us (gateway->reactor) / MINUTE_US;
  const char *colon = strrchr (conn->remote, ':');
  gsize n = colon != NULL ? (gsize) (colon - conn->remote) : strlen (conn->remote);

  if (minute != gateway->foreigners_minute) {
    g_hash_table_remove_all (gateway->foreigners);
    gateway->foreigners_minute = minute;
  }
  if (g_hash_table_size (gateway->foreigners) >= LOGGED_ADDRESSES_MAX
      || !g_hash_table_add (gateway->foreigners, g_strndup (conn->remote, n)))
    return;
  ch_log (gateway->self, CH_LOG_INFO, CH_LOG_FIELDS ("remote", conn->remote),
          "a connection speaks no protocol of this server: %s", why);
}

void conn_unidentified (Connection *conn, UnidentifiedReason reason)
{
  static const char *const why[UNIDENTIFIED_N] = {
      [UNIDENTIFIED_NO_MATCH] = "no protocol knows its first bytes",
      [UNIDENTIFIED_FOREIGN] = "it speaks HTTP, TLS or SSH",
      [UNIDENTIFIED_TOO_LONG] = "its first bytes do not decide",
      [UNIDENTIFIED_TIMEOUT] = "nothing came in time",
  };
  conn->gateway->unidentified[reason]++;
  log_unidentified (conn, why[reason]);
  conn_close (conn, CH_CLOSE_IDENTIFY);
}

static void claimed (Connection *conn, Protocol *protocol)
{
  ChGateway *gateway = conn->gateway;
  ChPeer peer = {.remote = conn->remote,
                 .local = conn->listener != NULL ? conn->listener->address : ""};
  gint64 now_us = ch_reactor_now_us (gateway->reactor);
  ChRunnerFrame frame;

  conn->protocol = protocol;
  conn->state = CONN_OPEN;
  conn->bind_from_us = now_us;
  protocol->connections++;
  net_metrics_identified (protocol, now_us - conn->opened_us);
  if (!ch_runner_enter (protocol->plugin, "opened", &frame)) {
    conn_close (conn, CH_CLOSE_SHUTDOWN);
    return;
  }
  conn->opened = TRUE;
  if (protocol->table->opened != NULL)
    conn->session = protocol->table->opened (protocol->plugin, conn->handle, &peer);
  ch_runner_leave (&frame);
  if (conn->state == CONN_OPEN)
    conn_timer_update (conn);
}

/* Pure, but a crash in it is still the plugin's. */
static ChSniff ask (const Protocol *protocol, const guint8 *bytes, gsize n)
{
  ChRunnerFrame frame;
  if (!ch_runner_enter (protocol->plugin, "sniff", &frame))
    return CH_SNIFF_NO;
  ChSniff answer = protocol->table->sniff (bytes, n);
  ch_runner_leave (&frame);
  return answer;
}

gboolean conn_identify (Connection *conn, const guint8 *bytes, gsize size)
{
  ChGateway *gateway = conn->gateway;
  gsize n = MIN (size, gateway->settings.sniff_max);
  gboolean more = FALSE;

  for (guint i = 0; i < gateway->protocols->len; i++) {
    Protocol *protocol = g_ptr_array_index (gateway->protocols, i);
    if (!listener_serves (conn->listener, protocol->table))
      continue;
    ChSniff answer = ask (protocol, bytes, n);
    if (answer == CH_SNIFF_YES) {
      claimed (conn, protocol);
      return conn->state == CONN_OPEN;
    }
    more = more || answer == CH_SNIFF_MORE;
  }
  if (is_foreign (bytes, n))
    conn_unidentified (conn, UNIDENTIFIED_FOREIGN);
  else if (!more)
    conn_unidentified (conn, UNIDENTIFIED_NO_MATCH);
  else if (n >= gateway->settings.sniff_max)
    conn_unidentified (conn, UNIDENTIFIED_TOO_LONG);
  else
    conn_set_rest (conn, bytes, size);
  return FALSE;
}
