/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Binding, heartbeats, status reports, queries, frames that are not right (bkv 3, 4, 6,
 * 8). */
#include "bkv-test.h"
#include <glib/gstdio.h>
#include <string.h>

static void test_declaration (void)
{
  const ChPluginInfo *info = ch_plugin_proto_bkv_query ();
  const ChProtocolProperties *p = &info->protocol->properties;
  guint n = 0;

  g_assert_cmpstr (info->name, ==, "proto-bkv");
  g_assert_cmpstr (info->protocol->name, ==, "bkv");
  g_assert_cmpuint (p->heartbeat_s, ==, 60);
  g_assert_cmpuint (p->offline_after_s, ==, 150);
  g_assert_cmpuint (p->idle_timeout_s, ==, 300);
  g_assert_cmpuint (p->bind_timeout_s, ==, 30);
  g_assert_false (p->multi_device);
  g_assert_true (p->silence_closes);
  g_assert_cmpuint (p->max_frame_bytes, ==, 4096);
  g_assert_cmpuint (p->min_spacing_ms, ==, 500);
  g_assert_false (p->replies_are_spaced);
  g_assert_cmpuint (p->window + p->window_urgent, ==, 2);
  g_assert_cmpuint (p->msg_id_bits, ==, 32);
  g_assert_cmpuint (p->pending_timeout_s, ==, 20);
  g_assert_cmpuint (p->stop_wait_end_s, ==, 30);
  g_assert_cmpuint (p->recover_wait_end_s, ==, 30);
  g_assert_cmpuint (p->query_wait_s, ==, 5);
  g_assert_cmpuint (p->order_no_max, ==, 0);
  g_assert_true (p->charges_offline && p->ack_means_on && p->idle_reports);
  g_assert_true (p->stops_unreported && p->card_second_swipe && p->flapping_ban);
  g_assert_false (p->auto_port);
  g_assert_cmpint (p->order_key, ==, CH_ORDER_KEY_DEVICE);
  for (const ChAckRule *rule = info->protocol->acks; rule->type != 0; rule++, n++)
    if (rule->type == CH_COMMAND_START_CHARGE) {
      g_assert_cmpuint (rule->ack_ms, ==, 5000);
      g_assert_cmpuint (rule->sends, ==, 3);
      g_assert_cmpuint (rule->expires_ms, ==, 18000);
      g_assert_false (rule->resend_safe);
    } else {
      g_assert_true (rule->resend_safe);
      g_assert_cmpint (rule->type, !=, CH_COMMAND_REBOOT);
    }
  g_assert_cmpuint (n, ==, 8);
}

static void test_heartbeat (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = fake_open (fake);

  /* Captured: the answer is the captured one, because the clock stands there too. */
  fake_feed (fake, conn, fake_vector ("cap-heartbeat-up"));
  fake_expect (fake, "online " GATEWAY);
  fake_expectf (fake, "reply %s", fake_vector ("cap-heartbeat-ack-down-1"));
  fake_expect (
      fake,
      "registered iccid=898608551024D1988196 fw=200.1.17 model=bkv-gateway ports=2");
  fake_expect (fake, "heartbeat rssi=-79");
  fake_expect (fake, "request QueryPortStatus 0/-1 2");
  fake_expect_none (fake);
  g_assert_cmpuint (fake_seen (fake), ==, 1);

  /* The next ones only say that it lives; every one is answered. */
  fake_advance (fake, 40);
  fake_feed (fake, conn, fake_vector ("cap-heartbeat-up"));
  fake_expect_part (fake, "reply FCFF0018");
  fake_expect (fake, "heartbeat rssi=-79");
  fake_expect_none (fake);
  g_assert_cmpuint (fake_logged (fake, TRUE), ==, 2);
  g_assert_cmpuint (fake_logged (fake, FALSE), ==, 2);
  g_assert_cmpfloat (fake_counter (fake, "bkv_route_total", "0000"), ==, 2);

  /* Another firmware is a new identity; an unknown signal and a bad SIM number are
   * absent. */
  bkv_feed (fake, conn, "heartbeat", 0,
            "{'iccid':'8986085510','fw':'200.1.18','signal':99}");
  fake_expect_part (fake, "reply FCFF0018");
  fake_expect (fake, "registered fw=200.1.18 model=bkv-gateway ports=2");
  fake_expect (fake, "heartbeat");
  fake_expect_none (fake);
}

static void test_heartbeat_offset (void)
{
  g_autoptr (Fake) fake = bkv_fake ((const char *[]) {"utc_offset_min", "-90", NULL});
  ChConn conn = fake_open (fake);

  fake_feed (fake, conn, fake_vector ("cap-heartbeat-up"));
  fake_skip (fake, "online");
  bkv_expect (fake, "reply", "heartbeat_ack", 0, "{'time':'20251122123336'}");
}

static void test_heartbeat_short (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = fake_open (fake);

  fake_feed (fake, conn, fake_vector ("short-heartbeat"));
  fake_expect (fake, "online " GATEWAY);
  fake_expect (fake, "bad short_payload");
  fake_expect_part (fake, "reply FCFF0018");
  fake_expect (fake, "heartbeat");
  fake_skip (fake, "request");
  fake_expect_none (fake);
  g_assert_true (g_str_has_prefix (fake_log_row (fake, TRUE), "0000 failed"));
}

static void test_reconnect (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn;

  fake_set_sockets (fake, "[{\"socket_no\":1},{\"socket_no\":7}]");
  conn = bkv_greet (fake);
  fake_close (fake, conn, CH_CLOSE_PEER);
  conn = fake_open (fake);
  fake_feed (fake, conn, fake_vector ("cap-heartbeat-up"));
  fake_expect (fake, "online " GATEWAY);
  fake_expect_part (fake, "reply FCFF0018");
  fake_expect_part (fake, "registered ");
  fake_expect (fake, "heartbeat rssi=-79");
  fake_expect (fake, "request QueryPortStatus 1/-1 2");
  fake_expect (fake, "request QueryPortStatus 7/-1 2");
  fake_expect_none (fake);
}

/* Without rows of the core: the sockets that were seen. */
static void test_reconnect_seen (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_feed (fake, conn, fake_vector ("con-status-two-sockets-up"));
  fake_close (fake, conn, CH_CLOSE_PEER);
  fake_skip (fake, NULL);
  fake_feed (fake, fake_open (fake), fake_vector ("cap-heartbeat-up"));
  fake_skip (fake, "reply");
  fake_expect (fake, "online " GATEWAY);
  fake_expect_part (fake, "ports=4");
  fake_expect (fake, "heartbeat rssi=-79");
  fake_expect (fake, "request QueryPortStatus 1/-1 2");
  fake_expect (fake, "request QueryPortStatus 2/-1 2");
  fake_expect_none (fake);
}

static void test_refresh_on_connect (void)
{
  g_autoptr (Fake) fake
      = bkv_fake ((const char *[]) {"refresh_on_connect", "true", NULL});
  ChConn conn = fake_open (fake);

  fake_feed (fake, conn, fake_vector ("cap-heartbeat-up"));
  g_assert_cmpuint (fake_lines (fake, "request NetworkRefresh"), ==, 0);
  fake_close (fake, conn, CH_CLOSE_PEER);
  fake_set_sockets (fake, "[{\"socket_no\":1}]");
  fake_feed (fake, fake_open (fake), fake_vector ("cap-heartbeat-up"));
  g_assert_cmpuint (fake_lines (fake, "request NetworkRefresh 0/-1 3"), ==, 1);
}

/* ---- who speaks -------------------------------------------------------------------- */

static void test_refused (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = fake_open (fake);

  fake_refuse (fake, TRUE);
  fake_feed (fake, conn, fake_vector ("cap-heartbeat-up"));
  fake_feed (fake, conn, fake_vector ("cap-charge-end-up"));
  fake_expect_none (fake);
  g_assert_cmpuint (fake_seen (fake), ==, 0);
}

static void test_second_id (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  /* Both stay bound, frames are handled by their own id, one alarm in all. */
  fake_feed (fake, conn, fake_vector ("doc-heartbeat-up"));
  fake_expect (fake, "online 82200520004869");
  fake_expect (fake, "raise -1/-1 gateway_id_changed warning "
                     "{\"first_id\":\"" GATEWAY "\",\"id\":\"82200520004869\"}");
  fake_expect_part (fake, "82200520004869");
  fake_skip (fake, NULL);
  fake_feed (fake, conn, fake_vector ("doc-charge-end-up"));
  fake_expect (fake, "online 86004459453005");
  fake_expect_part (fake, "ended 2/0 no=0068");
  fake_skip (fake, NULL);
  fake_feed (fake, conn, fake_vector ("cap-heartbeat-up"));
  g_assert_cmpuint (fake_lines (fake, "online"), ==, 0);
  g_assert_cmpfloat (
      fake_counter (fake, "chargehost_bkv_quirks_total", "gateway_id_changed"), ==, 2);
}

static void test_many_ids (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = fake_open (fake);
  g_autofree BkvFrame *frame = g_new (BkvFrame, 1);

  for (guint i = 0; i < 9; i++) {
    guint8 gateway[7] = {1, 2, 3, 4, 5, 6, (guint8) i};
    guint8 bytes[64];
    char hex[129];

    bkv_init (frame, BKV_HEARTBEAT, gateway, 0);
    bkv_hex (bytes, bkv_encode (frame, bytes, sizeof bytes), hex);
    fake_feed (fake, conn, hex);
  }
  g_assert_cmpuint (fake_lines (fake, "online"), ==, 8);
  g_assert_cmpuint (fake_lines (fake, "close 5"), ==, 1);
}

/* The newest connection has the gateway; what still comes on the old one is late. */
static void test_takeover (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn old = bkv_greet (fake);
  ChConn new = bkv_greet (fake);

  fake_feed (fake, old, fake_vector ("cap-heartbeat-up"));
  fake_expect_none (fake);
  fake_close (fake, old, CH_CLOSE_TAKEOVER);
  fake_feed (fake, new, fake_vector ("cap-heartbeat-up"));
  fake_expect_part (fake, "reply FCFF0018");
  fake_expect (fake, "heartbeat rssi=-79");
  fake_expect_none (fake);
}

/* A refused newcomer disturbs nothing. */
static void test_refused_newcomer (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_refuse (fake, TRUE);
  fake_feed (fake, fake_open (fake), fake_vector ("cap-heartbeat-up"));
  fake_expect_none (fake);
  fake_feed (fake, conn, fake_vector ("cap-heartbeat-up"));
  fake_expect_part (fake, "reply FCFF0018");
  fake_expect (fake, "heartbeat rssi=-79");
  fake_expect_none (fake);
}

/* Gateways without connection make room, those with one stay (16 in this test). */
static void test_many_records (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  g_autofree BkvFrame *frame = g_new (BkvFrame, 1);
  ChConn first = bkv_greet (fake);

  for (guint i = 0; i < 40; i++) {
    guint8 gateway[7] = {1, 2, 3, 4, 5, 6, (guint8) i};
    ChConn conn = fake_open (fake);
    guint8 bytes[64];
    char hex[129];

    bkv_init (frame, BKV_HEARTBEAT, gateway, 0);
    bkv_hex (bytes, bkv_encode (frame, bytes, sizeof bytes), hex);
    fake_feed (fake, conn, hex);
    if (i < 10)
      fake_close (fake, conn, CH_CLOSE_PEER);
  }
  /* 10 went, 15 beside the first have room, the others are not taken. */
  g_assert_cmpuint (fake_lines (fake, "online"), ==, 25);
  fake_skip (fake, NULL);
  fake_feed (fake, first, fake_vector ("cap-heartbeat-up"));
  fake_expect_part (fake, "reply FCFF0018");
  fake_expect (fake, "heartbeat rssi=-79");
  fake_expect_none (fake);
}

/* The plugin stops before its connections are closed. */
static void test_stop_first (void)
{
  Fake *fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  bkv_feed (fake, conn, "status_report", 0,
            "{'sockets':[{'socket':1,'ports':[{'port':0,'status':128}]}]}");
  fake_command (fake, conn, CH_COMMAND_QUERY_PORT_STATUS, 1, -1, 99, 2, NULL);
  fake_stop (fake);
  fake_skip (fake, NULL);
  fake_feed (fake, conn, fake_vector ("cap-heartbeat-up"));
  g_assert_cmpint (
      fake_command (fake, conn, CH_COMMAND_QUERY_PORT_STATUS, 1, -1, 9, 1, NULL), ==,
      CH_COMMAND_NOT_SENT);
  fake_expect_none (fake);
  fake_free (fake);
}

/* ---- frames that are not right ------------------------------------------------------
 */

static void test_direction (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = fake_open (fake);

  fake_feed (fake, conn, fake_vector ("bad-direction-up"));
  fake_expect (fake, "bad bad_direction");
  fake_feed (fake, conn, fake_vector ("cap-heartbeat-ack-down-1"));
  fake_expect (fake, "bad wrong_direction");
  fake_expect_none (fake);
  g_assert_cmpuint (fake_seen (fake) + fake_logged (fake, TRUE), ==, 0);
}

static void test_unknown (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = fake_open (fake);

  /* Bound, alive, logged as not used, counted, not answered. */
  fake_feed (fake, conn, fake_vector ("con-min-frame-up"));
  fake_expect (fake, "online " GATEWAY);
  fake_feed (fake, conn, fake_vector ("con-unknown-bkv-up"));
  fake_expect_none (fake);
  g_assert_cmpuint (fake_seen (fake), ==, 2);
  g_assert_cmpuint (fake_logged (fake, TRUE), ==, 2);
  g_assert_true (g_str_has_prefix (fake_log_row (fake, TRUE), "1000 failed"));
  g_assert_cmpfloat (
      fake_counter (fake, "chargehost_bkv_bad_frames_total", "unknown_command"), ==, 2);
  g_assert_cmpfloat (fake_counter (fake, "bkv_route_total", "other"), ==, 1);
  bkv_feed (fake, conn, "card_order_ack", 5, "{'socket':1,'port':0,'result':1}");
  fake_feed (fake, conn, fake_vector ("con-ota-ack-up"));
  g_assert_cmpuint (fake_lines (fake, "reply"), ==, 0);
  g_assert_cmpfloat (fake_counter (fake, "bkv_route_total", "0007"), ==, 1);
}

static void test_short (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_feed (fake, conn, fake_vector ("short-control-ack"));
  fake_expect (fake, "bad short_payload");
  fake_feed (fake, conn, fake_vector ("tlv-no-command"));
  fake_expect (fake, "bad short_payload");
  /* A broken list whose readable part is not enough is short as well. */
  fake_feed (fake, conn, fake_vector ("tlv-overrun"));
  fake_expect (fake, "bad tlv_length");
  fake_expect (fake, "bad short_payload");
  fake_expect_none (fake);
}

static void test_quirks (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);
  g_autofree BkvFrame *frame = g_new (BkvFrame, 1);
  static const guint8 other[7] = {1, 2, 3, 4, 5, 6, 7};
  guint8 gateway[7], bytes[256];
  char hex[513];

  fake_feed (fake, conn, fake_vector ("con-inner-len-counts-sub-up"));
  fake_feed (fake, conn, fake_vector ("con-status-unknown-tag-up"));
  g_assert_cmpfloat (fake_counter (fake, "chargehost_bkv_quirks_total", "len_counts_sub"),
                     ==, 1);
  g_assert_cmpfloat (fake_counter (fake, "chargehost_bkv_quirks_total", "unknown_tag"),
                     ==, 1);

  /* The frame's id counts. */
  fake_skip (fake, NULL);
  bkv_gateway_parse (GATEWAY, gateway);
  bkv_init (frame, BKV_STATUS_REPORT, gateway, 0);
  memcpy (frame->bkv_gateway, other, 7);
  bkv_hex (bytes, bkv_encode (frame, bytes, sizeof bytes), hex);
  fake_feed (fake, conn, hex);
  fake_expectf (fake, "reply %s", fake_vector ("cap-status-ack-down"));
  g_assert_cmpfloat (
      fake_counter (fake, "chargehost_bkv_quirks_total", "inner_gateway_id_differs"), ==,
      1);
}

/* ---- the rest -----------------------------------------------------------------------
 */

static void test_log_masks_cards (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  /* Card 000000000002: all but the last four digits. */
  fake_feed (fake, conn, fake_vector ("doc-card-charge-end-up"));
  g_assert_nonnull (strstr (fake_log_row (fake, TRUE), "1F2A2A2A2A000200"));
  fake_feed (fake, conn, fake_vector ("doc-card-swipe-up"));
  g_assert_nonnull (strstr (fake_log_row (fake, TRUE), "902A2A2A2A0002"));
  bkv_feed (fake, conn, "balance_query", 0,
            "{'socket':2,'port':0,'card':'123456789012'}");
  g_assert_cmpstr (fake_log_row (fake, TRUE), ==, "0015 failed 00081A02002A2A2A2A9012");
}

static void test_settings (void)
{
  static const char *const bad[][3] = {
      {"power_steps", "200:25/60,200:50/60", NULL},
      {"power_steps", "a:25/60", NULL},
      {"power_steps", "1:1/1,2:1/1,3:1/1,4:1/1,5:1/1,6:1/1", NULL},
      {"reason_map", "0=50", NULL},
      {"reason_map", "300=0", NULL},
      {"reason_map_path", "/nonexistent/map.yaml", NULL},
      {"event_map", "8=loud", NULL},
      {"event_map", "0=major", NULL},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autofree char *message = fake_start_error (ch_plugin_proto_bkv_query (), bad[i]);

    g_assert_true (strstr (message, bad[i][0]) != NULL
                   || strstr (message, "map.yaml") != NULL);
  }
}

static void test_reason_files (void)
{
  static const char *const texts[] = {
      "reasons:\n  1: 2\n", "map:\n  1\n",    "  1: 2\nmap:\n",
      "map:\n  1: 40\n",    "map:\n  x: 1\n",
  };
  g_autofree char *folder = g_dir_make_tmp ("bkv-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "map.yaml", NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autofree char *message = NULL;

    g_assert_true (g_file_set_contents (path, texts[i], -1, NULL));
    message = fake_start_error (ch_plugin_proto_bkv_query (),
                                (const char *[]) {"reason_map_path", path, NULL});
    g_assert_nonnull (strstr (message, "reason_map_path"));
  }
  g_assert_cmpint (g_remove (path), ==, 0);
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/bkv/declaration", test_declaration);
  g_test_add_func ("/bkv/heartbeat", test_heartbeat);
  g_test_add_func ("/bkv/heartbeat-offset", test_heartbeat_offset);
  g_test_add_func ("/bkv/heartbeat-short", test_heartbeat_short);
  g_test_add_func ("/bkv/reconnect", test_reconnect);
  g_test_add_func ("/bkv/reconnect-seen", test_reconnect_seen);
  g_test_add_func ("/bkv/refresh-on-connect", test_refresh_on_connect);
  g_test_add_func ("/bkv/refused", test_refused);
  g_test_add_func ("/bkv/second-id", test_second_id);
  g_test_add_func ("/bkv/many-ids", test_many_ids);
  g_test_add_func ("/bkv/takeover", test_takeover);
  g_test_add_func ("/bkv/many-records", test_many_records);
  g_test_add_func ("/bkv/stop-first", test_stop_first);
  g_test_add_func ("/bkv/refused-newcomer", test_refused_newcomer);
  g_test_add_func ("/bkv/direction", test_direction);
  g_test_add_func ("/bkv/unknown", test_unknown);
  g_test_add_func ("/bkv/short", test_short);
  g_test_add_func ("/bkv/quirks", test_quirks);
  g_test_add_func ("/bkv/log-masks-cards", test_log_masks_cards);
  g_test_add_func ("/bkv/settings", test_settings);
  g_test_add_func ("/bkv/reason-files", test_reason_files);
  return g_test_run ();
}
