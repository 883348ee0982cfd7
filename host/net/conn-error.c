/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What goes wrong with bytes: bad frames (TCP-26), overflow, faults of a protocol (F29).
 */
#include "net/gateway-private.h"

#include "base/config-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MINUTE_US (60 * G_USEC_PER_SEC)
#define FAULT_WINDOW_US (10 * MINUTE_US)
#define FAULT_FILES_MAX 100

static void log_bad (Connection *conn, const char *error)
{
  Trouble *trouble = conn_trouble (conn);
  gint64 now_us = ch_reactor_now_us (conn->gateway->reactor);

  if (trouble->logged_us != 0 && now_us - trouble->logged_us < MINUTE_US)
    return;
  trouble->logged_us = now_us;
  ch_log (conn->protocol->plugin, CH_LOG_INFO, CH_LOG_FIELDS ("remote", conn->remote),
          "bad frame: %s (%u so far)", error, trouble->bad_frames);
}

/* Whether this one is more than 20 within a minute. */
static gboolean is_too_many (Connection *conn)
{
  Trouble *trouble = conn_trouble (conn);
  gint64 now_us = ch_reactor_now_us (conn->gateway->reactor);

  trouble->errors_us[trouble->next_error] = now_us;
  trouble->next_error = (trouble->next_error + 1) % G_N_ELEMENTS (trouble->errors_us);
  gint64 oldest_us = trouble->errors_us[trouble->next_error];
  return trouble->bad_frames > ERRORS_MAX && now_us - oldest_us <= MINUTE_US;
}

/*
 * A frame with an error is usually followed by skipping what is left of it. That is
 * named `garbage` and is not a second error.
 */
void conn_bad (Connection *conn, const char *error, gsize skipped)
{
  Protocol *protocol = conn->protocol;

  conn->garbage += (guint32) skipped;
  if (skipped > 0) {
    gboolean follows = conn->skipping && strcmp (error, "garbage") == 0;
    conn->skipping = TRUE;
    if (conn->garbage >= conn->gateway->settings.garbage_max) {
      conn_alarm (conn, "protocol_errors", "nothing but garbage");
      conn_close (conn, CH_CLOSE_BAD_FRAMES);
      return;
    }
    if (follows)
      return;
  }
  conn_trouble (conn)->bad_frames++;
  if (strstr (error, "checksum") != NULL || strstr (error, "crc") != NULL)
    protocol->checksum_errors++;
  net_metrics_bad_frame (protocol, error);
  log_bad (conn, error);
  if (is_too_many (conn)) {
    conn_alarm (conn, "protocol_errors", "more than 20 bad frames within a minute");
    conn_close (conn, CH_CLOSE_BAD_FRAMES);
  }
}

void conn_overflow (Connection *conn)
{
  Trouble *trouble = conn_trouble (conn);
  gint64 now_us = ch_reactor_now_us (conn->gateway->reactor);

  if (trouble->overflow_us != 0 && now_us - trouble->overflow_us < MINUTE_US) {
    conn_close (conn, CH_CLOSE_FRAMING);
    return;
  }
  trouble->overflow_us = now_us;
  conn_bad (conn, "overflow", 1);
}

/* ---- faults ----------------------------------------------------------------------- */

static void save_frame (ChGateway *gateway, const Protocol *protocol, const char *name,
                        const guint8 *bytes, gsize size)
{
  const char *folder = ch_config_get_string (gateway->config, "tcp.fault_path");

  if (folder == NULL || *folder == '\0' || g_mkdir_with_parents (folder, 0700) < 0)
    return;
  for (guint i = 0; i < FAULT_FILES_MAX; i++) {
    g_autofree char *path
        = g_strdup_printf ("%s/%s-%s-%02u.bin", folder, protocol->table->name, name, i);
    int fd = open (path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
      continue;
    if (fd >= 0) {
      gboolean whole = write (fd, bytes, size) == (gssize) size;
      close (fd);
      if (whole)
        ch_notice (gateway->self, "the frame is saved as %s", path);
    }
    return;
  }
}

/* Three of one kind within ten minutes are no accident. */
static gboolean is_repeated (Protocol *protocol, const char *name, gint64 now_us)
{
  if (protocol->fault != name)
    protocol->n_faults = 0;
  protocol->fault = name;
  protocol->faults_us[protocol->n_faults++ % FAULTS_KEPT] = now_us;
  return protocol->n_faults >= FAULTS_KEPT
         && now_us - protocol->faults_us[protocol->n_faults % FAULTS_KEPT]
                <= FAULT_WINDOW_US;
}

void conn_fault (Connection *conn, const char *name, const guint8 *bytes, gsize size)
{
  ChGateway *gateway = conn->gateway;
  Protocol *protocol = conn->protocol;
  gint64 now_us = ch_reactor_now_us (gateway->reactor);

  conn_close (conn, CH_CLOSE_ERROR);
  if (protocol->plugin == NULL)
    return;
  protocol->plugin->failures++;
  ch_log (protocol->plugin, CH_LOG_ERROR, CH_LOG_FIELDS ("remote", conn->remote),
          "fault in %s on %" G_GSIZE_FORMAT " bytes: the connection is closed", name,
          size);
  save_frame (gateway, protocol, name, bytes, size);
  ch_breaker_failure (&gateway->breaker, now_us);
  if (is_repeated (protocol, name, now_us)) {
    g_autofree char *reason
        = g_strdup_printf ("three faults in %s within ten minutes", name);
    ch_plugin_degraded (protocol->plugin, reason);
    conn_alarm (conn, "protocol_fault", reason);
  }
}
