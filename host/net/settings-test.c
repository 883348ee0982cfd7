/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys, properties, networks and the metrics that come of it. */
#include "net/net-testing.h"

#include <string.h>
#include <unistd.h>

#define OPTIONS(...)                                                                     \
  (const char *[])                                                                       \
  {                                                                                      \
    __VA_ARGS__, NULL                                                                    \
  }

static void test_networks (void)
{
  static const struct {
    const char *network, *address;
    gboolean has;
  } cases[] = {
      {"10.0.0.0/8", "10.255.0.1", TRUE},
      {"10.0.0.0/8", "11.0.0.1", FALSE},
      {"192.168.1.0/25", "192.168.1.127", TRUE},
      {"192.168.1.0/25", "192.168.1.128", FALSE},
      {"1.2.3.4", "1.2.3.4", TRUE},
      {"1.2.3.4", "1.2.3.5", FALSE},
      {"0.0.0.0/0", "9.9.9.9", TRUE},
      {"0.0.0.0/0", "2001:db8::1", FALSE},
      {"2001:db8::/33", "2001:db8::1", TRUE},
      {"2001:db8::/33", "2001:db8:8000::1", FALSE},
      {"::/0", "1.2.3.4", TRUE},
  };
  Network network, single;
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_assert_true (network_parse (cases[i].network, &network));
    g_assert_true (network_parse (cases[i].address, &single));
    g_assert_true (network_has (&network, single.address) == cases[i].has);
  }
  static const char *const wrong[]
      = {"", "10.0.0.0/33", "10.0.0.0/", "10.0/8", "x/8", "::/129", "10.0.0.0/8/8"};
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++)
    g_assert_false (network_parse (wrong[i], &network));
}

static void test_properties (void)
{
  TestWorld world;
  test_world_open (
      &world, TRUE,
      OPTIONS ("tcp.idle_timeout=120s", "tcp.bind_timeout=7s",
               "tcp.device_limits.frames_per_s=5", "proto-test.bind_timeout_s=11",
               "proto-test.multi_device=true", "proto-test.takeover_action=delay",
               "proto-test.flood_close_after_s=-1"));
  const ChProtocolProperties *p = ch_gateway_properties (world.gateway, test_protocol ());
  g_assert_cmpuint (p->idle_timeout_s, ==, 120); /* the host's key */
  g_assert_cmpuint (p->bind_timeout_s, ==, 11);  /* the operator's override */
  g_assert_cmpuint (p->frames_per_s, ==, 5);
  g_assert_cmpuint (p->pending_timeout_s, ==, 20); /* the declaration */
  g_assert_true (p->multi_device);
  g_assert_cmpint (p->takeover_action, ==, CH_TAKEOVER_DELAY);
  g_assert_cmpint (p->flood_close_after_s, ==, -1);
  test_world_close (&world);
}

/* Live keys change for what comes, and for what is there. */
static void test_reconfigure (void)
{
  TestWorld world;
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("chargehost-net-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "chargehost.yaml", NULL);

  test_world_open (&world, TRUE, NULL);
  g_assert_true (g_file_set_contents (
      path,
      "tcp:\n  limiting:\n    max_connections: 1\n    per_ip_rate: 7\n"
      "  device_limits:\n    frames_per_s: 3\n    frames_burst: 5\n",
      -1, NULL));
  int fd = test_connect (&world);
  test_send_frame (fd, "i");
  test_turn (&world);
  g_assert_true (ch_config_add_file (world.services.config, path, &error));
  g_assert_true (ch_config_resolve (world.services.config, NULL, &error));
  g_assert_no_error (error);
  ch_gateway_reconfigure (world.gateway);
  g_assert_cmpuint (world.gateway->max, ==, 1);
  g_assert_cmpuint (world.gateway->settings.per_ip_rate, ==, 7);
  for (guint i = 0; i < 10; i++)
    test_send_frame (fd, "a");
  test_turn (&world);
  g_assert_cmpuint (world.frames, <=, 6);
  for (guint i = 0; i < 10; i++)
    test_advance (&world, 1000);
  g_assert_cmpuint (world.frames, ==, 11);
  unlink (path);
  rmdir (folder);
  close (fd);
  test_world_close (&world);
}

static void test_bad_settings (void)
{
  TestWorld world;
  g_autoptr (GError) error = NULL;
  test_world_open (&world, TRUE, OPTIONS ("gateway.ip_whitelist=10.0.0.0/8,10.1/16"));
  g_assert_false (ch_gateway_listen (world.gateway, &error));
  g_assert_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE);
  test_world_close (&world);
}

static void test_metrics (void)
{
  TestWorld world;
  test_world_open (&world, TRUE, NULL);
  int fd = test_connect (&world);
  test_send_frame (fd, "echo");
  test_turn (&world);
  int foreign = test_connect (&world);
  test_send (foreign, "GET / HTTP/1.0", 14);
  test_turn (&world);
  g_autoptr (GString) text = ch_metrics_render (world.services.metrics);
  static const char *const lines[] = {
      "tcp_bytes_received_total 22\n",
      "chargehost_tcp_frames_total{protocol=\"test\",direction=\"in\"} 1\n",
      "chargehost_tcp_frames_total{protocol=\"test\",direction=\"out\"} 1\n",
      "chargehost_tcp_unidentified_total{reason=\"foreign\"} 1\n",
      "chargehost_tcp_closed_total{reason=\"identify\"} 1\n",
      "chargehost_tcp_closed_total{reason=\"write_timeout\"} 0\n",
      "chargehost_tcp_rejected_total{reason=\"breaker\"} 0\n",
      "chargehost_tcp_breaker_state{breaker=\"accept\"} 0\n",
      "chargehost_identify_seconds_count{protocol=\"test\"} 1\n",
  };
  for (guint i = 0; i < G_N_ELEMENTS (lines); i++)
    if (strstr (text->str, lines[i]) == NULL)
      g_error ("not found: %s in\n%s", lines[i], text->str);
  close (fd);
  close (foreign);
  test_world_close (&world);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/net/settings/networks", test_networks);
  g_test_add_func ("/net/settings/properties", test_properties);
  g_test_add_func ("/net/settings/reconfigure", test_reconfigure);
  g_test_add_func ("/net/settings/bad-settings", test_bad_settings);
  g_test_add_func ("/net/settings/metrics", test_metrics);
  return g_test_run ();
}
