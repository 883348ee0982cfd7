/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The keys of the gateway. */
#include "net/gateway-private.h"

#include "base/config-private.h"
#include "ch-build.h"

#include <string.h>

#define LIVE CH_CONFIG_LIVE
#define MINUTE 60e3
#define DAY 86400e3

const ChConfigKey ch_gateway_config[] = {
    {"tcp.listeners", CH_CONFIG_LIST, 0, ":7000", 0, 0, NULL, NULL,
     "Addresses for devices, each with the names of the protocols that are served there "
     "behind it (\":7001 bkv\"); without names all are."},
    {"tcp.backlog", CH_CONFIG_INT, 0, "4096", 1, 65535, NULL, NULL,
     "Connections that may wait in the kernel to be accepted."},
    {"tcp.reuse_port", CH_CONFIG_BOOL, 0, "false", 0, 0, NULL, NULL,
     "Whether several processes may listen on the same addresses."},
    {"tcp.idle_timeout", CH_CONFIG_DURATION_MS, 0, "300s", 0, DAY, NULL, NULL,
     "No byte received for so long closes a connection, where its protocol says "
     "nothing."},
    {"tcp.write_timeout", CH_CONFIG_DURATION_MS, 0, "30s", 100, DAY, NULL, NULL,
     "No progress in writing for so long closes a connection."},
    {"tcp.identify_timeout", CH_CONFIG_DURATION_MS, 0, "5s", 100, 10 * MINUTE, NULL, NULL,
     "Within this time the protocol of a connection must be known."},
    {"tcp.bind_timeout", CH_CONFIG_DURATION_MS, 0, "30s", 0, DAY, NULL, NULL,
     "Within this time a device must be known, where the protocol says nothing."},
    {"tcp.frame_timeout", CH_CONFIG_DURATION_MS, 0, "10s", 100, DAY, NULL, NULL,
     "A frame that stays incomplete for so long loses its first byte and is searched "
     "anew."},
    {"tcp.sniff_max_bytes", CH_CONFIG_INT, 0, "64", 8, 64, NULL, NULL,
     "Bytes that a protocol sees at most to recognise its devices."},
    {"tcp.max_frame_bytes", CH_CONFIG_SIZE, 0, "4096", 64, 1048576, NULL, NULL,
     "Longest frame, where the protocol says nothing."},
    {"tcp.max_garbage_bytes", CH_CONFIG_SIZE, 0, "4096", 64, 1048576, NULL, NULL,
     "So many bytes without a frame among them close a connection."},
    {"tcp.write_queue_frames", CH_CONFIG_INT, 0, "128", 64, 4096, NULL, NULL,
     "Frames that may wait to be written per connection; 32 places are for replies "
     "only."},
    {"tcp.write_queue_bytes", CH_CONFIG_SIZE, 0, "256K", 4096, 16777216, NULL, NULL,
     "Bytes that may wait to be written per connection."},
    {"tcp.keepalive.idle", CH_CONFIG_DURATION_MS, 0, "60s", 1000, DAY, NULL, NULL,
     "TCP keepalive: silence before the first probe."},
    {"tcp.keepalive.interval", CH_CONFIG_DURATION_MS, 0, "15s", 1000, DAY, NULL, NULL,
     "TCP keepalive: time between probes."},
    {"tcp.keepalive.count", CH_CONFIG_INT, 0, "4", 1, 100, NULL, NULL,
     "TCP keepalive: probes without answer."},
    {"tcp.user_timeout", CH_CONFIG_DURATION_MS, 0, "30s", 0, DAY, NULL, NULL,
     "Data without acknowledgement for so long ends a TCP connection."},
    {"tcp.limiting.enabled", CH_CONFIG_BOOL, LIVE, "true", 0, 0, NULL, NULL,
     "Whether the limits of tcp.limiting and tcp.device_limits apply."},
    {"tcp.limiting.max_connections", CH_CONFIG_INT, LIVE, "10000", 1, 1000000, NULL, NULL,
     "Connections at one time."},
    {"tcp.limiting.rate_per_second", CH_CONFIG_INT, LIVE, "100", 0, 100000, NULL, NULL,
     "New connections per second; 0 means 100."},
    {"tcp.limiting.rate_burst", CH_CONFIG_INT, LIVE, "200", 0, 1000000, NULL, NULL,
     "New connections at once; 0 means twice the rate."},
    {"tcp.limiting.per_ip_rate", CH_CONFIG_INT, LIVE, "0", 0, 100000, NULL, NULL,
     "New connections per second and source address; 0 is no limit."},
    {"tcp.limiting.per_ip_max_connections", CH_CONFIG_INT, LIVE, "0", 0, 1000000, NULL,
     NULL, "Connections per source address; 0 is no limit."},
    {"tcp.limiting.breaker_threshold", CH_CONFIG_INT, LIVE, "5", 1, 10000, NULL, NULL,
     "Internal faults that close the door for new connections."},
    {"tcp.limiting.breaker_timeout", CH_CONFIG_DURATION_MS, LIVE, "30s", 100, DAY, NULL,
     NULL, "How long the door stays closed."},
    {"tcp.device_limits.frames_per_s", CH_CONFIG_INT, LIVE, "20", 0, 100000, NULL, NULL,
     "Frames per second and connection, where the protocol says nothing; 0 is no limit."},
    {"tcp.device_limits.frames_burst", CH_CONFIG_INT, LIVE, "60", 1, 1000000, NULL, NULL,
     "Frames at once, where the protocol says nothing."},
    {"tcp.device_limits.bytes_per_s", CH_CONFIG_SIZE, LIVE, "16K", 0, 1073741824, NULL,
     NULL, "Bytes per second and connection; 0 is no limit."},
    {"tcp.device_limits.bytes_burst", CH_CONFIG_SIZE, LIVE, "64K", 1, 1073741824, NULL,
     NULL, "Bytes at once per connection."},
    {"tcp.flapping.enabled", CH_CONFIG_BOOL, LIVE, "true", 0, 0, NULL, NULL,
     "Whether devices that connect again and again are banned."},
    {"tcp.flapping.max_count", CH_CONFIG_INT, LIVE, "15", 1, 100000, NULL, NULL,
     "Connections of one device within the window that lead to a ban."},
    {"tcp.flapping.window", CH_CONFIG_DURATION_MS, LIVE, "60s", 1000, DAY, NULL, NULL,
     "Window in which the connections of a device are counted."},
    {"tcp.flapping.ban", CH_CONFIG_DURATION_MS, LIVE, "300s", 1000, DAY, NULL, NULL,
     "How long a device is banned."},
    {"tcp.fault_path", CH_CONFIG_STRING, 0, CH_STATE_DIR "/faults", 0, 0, NULL, NULL,
     "Folder for frames on which a protocol failed, at most 100; empty saves none."},
    {"gateway.ip_whitelist", CH_CONFIG_LIST, LIVE, NULL, 0, 0, NULL, NULL,
     "Networks (CIDR) from which devices may connect; empty means from anywhere."},
    {NULL},
};

static gint64 duration_us (ChConfig *config, const char *path)
{
  return ch_config_get_duration_ms (config, path) * 1000;
}

static gint seconds (ChConfig *config, const char *path)
{
  return (gint) ((ch_config_get_duration_ms (config, path) + 999) / 1000);
}

static guint count (ChConfig *config, const char *path)
{
  return (guint) ch_config_get_int (config, path);
}

static void read_limits (Settings *s, ChConfig *config)
{
  s->limiting = ch_config_get_bool (config, "tcp.limiting.enabled");
  s->max_connections = count (config, "tcp.limiting.max_connections");
  s->rate = (double) ch_config_get_int (config, "tcp.limiting.rate_per_second");
  s->burst = (double) ch_config_get_int (config, "tcp.limiting.rate_burst");
  if (s->rate <= 0)
    s->rate = 100;
  if (s->burst <= 0)
    s->burst = 2 * s->rate;
  s->per_ip_rate = count (config, "tcp.limiting.per_ip_rate");
  s->per_ip_max = count (config, "tcp.limiting.per_ip_max_connections");
  s->breaker_threshold = count (config, "tcp.limiting.breaker_threshold");
  s->breaker_us = duration_us (config, "tcp.limiting.breaker_timeout");
  s->bytes
      = ch_pace ((double) ch_config_get_int (config, "tcp.device_limits.bytes_per_s"),
                 (double) ch_config_get_int (config, "tcp.device_limits.bytes_burst"));
  if (!s->limiting) {
    s->per_ip_rate = s->per_ip_max = 0;
    s->bytes = ch_pace (0, 0);
  }
}

static void read_networks (ChGateway *gateway)
{
  const char *const *list = ch_config_get_list (gateway->config, "gateway.ip_whitelist");
  g_array_set_size (gateway->allowed, 0);
  for (guint i = 0; list != NULL && list[i] != NULL; i++) {
    Network network;
    if (network_parse (list[i], &network))
      g_array_append_val (gateway->allowed, network);
    else /* one that matches nothing: a mistake must not open the door */
      ch_error (gateway->self, "gateway.ip_whitelist: %s is not a network", list[i]);
  }
  if (list != NULL && list[0] != NULL && gateway->allowed->len == 0) {
    Network nobody = {.bits = 128};
    g_array_append_val (gateway->allowed, nobody);
  }
}

void settings_read (ChGateway *gateway)
{
  ChConfig *config = gateway->config;
  Settings *s = &gateway->settings;

  s->idle_us = duration_us (config, "tcp.idle_timeout");
  s->bind_us = duration_us (config, "tcp.bind_timeout");
  s->identify_us = duration_us (config, "tcp.identify_timeout");
  s->write_us = duration_us (config, "tcp.write_timeout");
  s->frame_us = duration_us (config, "tcp.frame_timeout");
  s->sniff_max = (gsize) ch_config_get_int (config, "tcp.sniff_max_bytes");
  s->garbage_max = (gsize) ch_config_get_int (config, "tcp.max_garbage_bytes");
  s->queue_frames = count (config, "tcp.write_queue_frames");
  s->queue_bytes = (gsize) ch_config_get_int (config, "tcp.write_queue_bytes");
  s->backlog = (gint) ch_config_get_int (config, "tcp.backlog");
  s->keepalive_idle_s = seconds (config, "tcp.keepalive.idle");
  s->keepalive_interval_s = seconds (config, "tcp.keepalive.interval");
  s->keepalive_count = (gint) ch_config_get_int (config, "tcp.keepalive.count");
  s->user_timeout_ms = (gint) ch_config_get_duration_ms (config, "tcp.user_timeout");
  s->reuse_port = ch_config_get_bool (config, "tcp.reuse_port");
  read_limits (s, config);
  read_networks (gateway);
}

gboolean settings_check (ChGateway *gateway, GError **error)
{
  const char *const *list = ch_config_get_list (gateway->config, "gateway.ip_whitelist");
  for (guint i = 0; list != NULL && list[i] != NULL; i++) {
    Network network;
    if (network_parse (list[i], &network))
      continue;
    g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE,
                 "gateway.ip_whitelist: %s is not a network (example: \"10.0.0.0/8\")",
                 list[i]);
    return FALSE;
  }
  return TRUE;
}
