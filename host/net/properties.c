/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Properties of protocols (gateway 0.4): the operator's `proto-{name}.{property}` wins
 * over what the protocol declares, and that over the host's keys. A protocol that
 * declares just the default has declared nothing: then the host's key counts.
 */
#include "net/gateway-private.h"

#include "base/config-tables.h"

#include <string.h>

static const char *const CLOSES[] = {"always", "if_empty", NULL};
static const char *const TAKEOVER_CLOSES[] = {"always", "if_empty_or_same_modem", NULL};
static const char *const ACTIONS[] = {"refuse", "alarm", "delay", NULL};
static const char *const ORDER_KEYS[] = {"core", "device", NULL};

/* name, type, smallest, largest, choices, key of the host, sentence */
#define PROPERTIES(P)                                                                    \
  P (heartbeat_s, INT, 1, 604800, NULL, NULL, "Interval of heartbeats in seconds.")      \
  P (offline_after_s, INT, 0, 604800, NULL, NULL,                                        \
     "Silence after which a device is off-line; 0 = two and a half heartbeats.")         \
  P (offline_grace_s, INT, 0, 604800, NULL, "sessions.offline_grace_s",                  \
     "From unstable to off-line.")                                                       \
  P (bind_timeout_s, INT, 0, 86400, NULL, "tcp.bind_timeout",                            \
     "From the first bytes to the first known device; 0 = no limit.")                    \
  P (idle_timeout_s, INT, 0, 604800, NULL, "tcp.idle_timeout",                           \
     "No byte received for so long closes the connection; 0 = never.")                   \
  P (multi_device, BOOL, 0, 0, NULL, NULL,                                               \
     "Whether several devices on one connection are normal.")                            \
  P (silence_closes, BOOL, 0, 0, NULL, NULL,                                             \
     "Whether a silent device closes its connection.")                                   \
  P (refuse_closes, CHOICE, 0, 0, CLOSES, NULL,                                          \
     "When an unwanted device closes its connection.")                                   \
  P (takeover_closes, CHOICE, 0, 0, TAKEOVER_CLOSES, NULL,                               \
     "When a take-over closes the old connection.")                                      \
  P (takeover_limit, INT, 1, 10000, NULL, NULL,                                          \
     "Take-overs within the window before something is done.")                           \
  P (takeover_window_s, INT, 1, 86400, NULL, NULL, "Window of takeover_limit.")          \
  P (takeover_action, CHOICE, 0, 0, ACTIONS, NULL,                                       \
     "What is done beyond takeover_limit.")                                              \
  P (flapping_ban, BOOL, 0, 0, NULL, NULL, "Whether tcp.flapping applies.")              \
  P (frames_per_s, INT, 0, 100000, NULL, "tcp.device_limits.frames_per_s",               \
     "Frames per second and connection; 0 = no limit.")                                  \
  P (frames_burst, INT, 1, 1000000, NULL, "tcp.device_limits.frames_burst",              \
     "Frames at once.")                                                                  \
  P (flood_close_after_s, INT, -1, 86400, NULL, NULL,                                    \
     "A younger connection is never closed for its rate; -1 = none ever is.")            \
  P (max_frame_bytes, INT, 16, FRAME_MAX, NULL, "tcp.max_frame_bytes", "Longest frame.") \
  P (min_spacing_ms, INT, 0, 3600000, NULL, "gateway.throttle_ms",                       \
     "Between two commands of a device.")                                                \
  P (replies_are_spaced, BOOL, 0, 0, NULL, NULL,                                         \
     "Whether replies to reports count for min_spacing_ms.")                             \
  P (window, INT, 1, 100, NULL, "outbound.window", "Commands in flight per device.")     \
  P (window_urgent, INT, 0, 100, NULL, NULL, "Urgent commands in flight beside them.")   \
  P (msg_id_bits, INT, 0, 32, NULL, NULL, "Width of message numbers; 0 = none.")         \
  P (pending_timeout_s, INT, 1, 604800, NULL, "orders.pending_timeout_s",                \
     "Order: start not acknowledged.")                                                   \
  P (confirmed_timeout_s, INT, 1, 604800, NULL, "orders.confirmed_timeout_s",            \
     "Order: acknowledged, but the charge does not begin.")                              \
  P (cancelling_timeout_s, INT, 1, 604800, NULL, "orders.cancelling_timeout_s",          \
     "Order: cancelling not confirmed.")                                                 \
  P (stopping_timeout_s, INT, 1, 604800, NULL, "orders.stopping_timeout_s",              \
     "Order: stop not acknowledged.")                                                    \
  P (stop_wait_end_s, INT, 1, 604800, NULL, "orders.stopping_timeout_s",                 \
     "Order: stop acknowledged, wait for the end report.")                               \
  P (stop_max_s, INT, 1, 604800, NULL, "orders.stop_max_s",                              \
     "Order: longest time of stopping.")                                                 \
  P (recover_wait_end_s, INT, 1, 604800, NULL, "orders.recover_wait_end_s",              \
     "Order: device is back, wait for the end report.")                                  \
  P (interrupted_max_s, INT, 1, 31536000, NULL, "orders.interrupted_max_s",              \
     "Order: longest interruption.")                                                     \
  P (abandoned_s, INT, 0, 31536000, NULL, NULL,                                          \
     "Order: given up after so long; 0 = never.")                                        \
  P (progress_stale_s, INT, 1, 604800, NULL, "orders.progress_stale_s",                  \
     "Order: no progress report for so long makes the core ask.")                        \
  P (query_wait_s, INT, 1, 3600, NULL, NULL, "Wait for the answer to a port query.")     \
  P (snapshot_max_age_s, INT, 0, 86400, NULL, NULL,                                      \
     "A port status not older than this needs no query.")                                \
  P (charges_offline, BOOL, 0, 0, NULL, NULL,                                            \
     "Whether a charge goes on without the server.")                                     \
  P (ack_means_on, BOOL, 0, 0, NULL, NULL,                                               \
     "Whether the answer to a start means that the relay is on.")                        \
  P (idle_reports, BOOL, 0, 0, NULL, NULL, "Whether idle ports are reported.")           \
  P (auto_port, BOOL, 0, 0, NULL, NULL, "Whether the device may choose the port.")       \
  P (order_key, CHOICE, 0, 0, ORDER_KEYS, NULL, "Who makes the order's key.")            \
  P (order_no_max, INT, 0, 32, NULL, NULL,                                               \
     "Longest order number that stands on the wire as it is.")                           \
  P (stops_unreported, BOOL, 0, 0, NULL, NULL,                                           \
     "Whether a stop reaches a charge that was not reported yet.")                       \
  P (card_second_swipe, BOOL, 0, 0, NULL, NULL, "Whether a second swipe means stop.")

static const ChConfigKey KEYS[] = {
#define KEY(name, type, min, max, choices, host, summary)                                \
  {#name, CH_CONFIG_##type, 0, NULL, min, max, choices, NULL, summary},
    PROPERTIES (KEY)
#undef KEY
        {NULL},
};

/* All members are 32 bits wide: gboolean, guint32, gint32 or an enumeration. */
static const struct {
  gsize offset;
  const char *host_key;
} ROWS[] = {
#define ROW(name, type, min, max, choices, host, summary)                                \
  {G_STRUCT_OFFSET (ChProtocolProperties, name), host},
    PROPERTIES (ROW)
#undef ROW
};

G_STATIC_ASSERT (G_N_ELEMENTS (ROWS) == sizeof (ChProtocolProperties) / 4);
G_STATIC_ASSERT (G_N_ELEMENTS (KEYS) == G_N_ELEMENTS (ROWS) + 1);

const ChConfigKey *ch_gateway_property_keys (void)
{
  return KEYS;
}

static gint32 choice_index (const char *const *choices, const char *text)
{
  for (gint32 i = 0; choices[i] != NULL; i++)
    if (g_strcmp0 (choices[i], text) == 0)
      return i;
  return 0;
}

/* The operator's value; FALSE when there is none. */
static gboolean read_override (ChConfig *config, const char *path, const ChConfigKey *key,
                               gint32 *value)
{
  if (ch_config_lookup (config, path) == NULL || !ch_config_get_is_set (config, path))
    return FALSE;
  if (key->type == CH_CONFIG_BOOL)
    *value = ch_config_get_bool (config, path) ? TRUE : FALSE;
  else if (key->type == CH_CONFIG_CHOICE)
    *value = choice_index (key->choices, ch_config_get_string (config, path));
  else
    *value = (gint32) ch_config_get_int (config, path);
  return TRUE;
}

static gboolean read_host_key (ChConfig *config, const char *path, gint32 *value)
{
  if (path == NULL || ch_config_lookup (config, path) == NULL
      || !ch_config_get_is_set (config, path))
    return FALSE;
  if (g_str_has_suffix (path, "timeout"))
    *value = (gint32) ((ch_config_get_duration_ms (config, path) + 999) / 1000);
  else
    *value = (gint32) ch_config_get_int (config, path);
  return TRUE;
}

void protocol_update (Protocol *protocol)
{
  static const ChProtocolProperties defaults = {CH_PROTOCOL_DEFAULTS};
  ChGateway *gateway = protocol->gateway;
  ChProtocolProperties *properties = &protocol->properties;

  *properties = protocol->table->properties;
  for (guint i = 0; i < G_N_ELEMENTS (ROWS); i++) {
    gint32 *value = (gint32 *) (gpointer) ((char *) properties + ROWS[i].offset);
    const gint32 *def
        = (const gint32 *) (gconstpointer) ((const char *) &defaults + ROWS[i].offset);
    g_autofree char *path = g_strconcat (protocol->plugin->name, ".", KEYS[i].name, NULL);
    if (!read_override (gateway->config, path, &KEYS[i], value) && *value == *def)
      read_host_key (gateway->config, ROWS[i].host_key, value);
  }

  protocol->idle_us = (gint64) properties->idle_timeout_s * G_USEC_PER_SEC;
  protocol->bind_us = (gint64) properties->bind_timeout_s * G_USEC_PER_SEC;
  protocol->max_frame = CLAMP (properties->max_frame_bytes, 16, FRAME_MAX);
  protocol->frames = ch_pace (0, 0);
  if (gateway->settings.limiting)
    protocol->frames = ch_pace (properties->frames_per_s, properties->frames_burst);
}
