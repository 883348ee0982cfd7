/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names, defaults, scores, thresholds, delays and JSON of commands; scores of sessions.
 */
#include "core/outbound/outbound-private.h"
#include "core/session/session-private.h"

#include <string.h>

static void names (void)
{
  for (guint t = 1; t < CH_COMMAND_N; t++) {
    const char *name = ch_command_type_name ((ChCommandType) t);
    g_assert_cmpstr (name, !=, "");
    g_assert_cmpint (ch_command_type_parse (name), ==, t);
    g_assert_cmpint (ch_command_default ((ChCommandType) t)->rule.type, ==, t);
  }
  g_assert_cmpint (ch_command_type_parse ("GetParams"), ==, CH_COMMAND_READ_PARAMS);
  g_assert_cmpint (ch_command_type_parse ("startcharge"), ==, 0);
  g_assert_cmpint (ch_command_type_parse (NULL), ==, 0);
  g_assert_cmpstr (ch_command_type_name (0), ==, "");
  g_assert_cmpstr (ch_command_type_name (CH_COMMAND_N), ==, "");
  g_assert_cmpstr (ch_command_state_name (CH_COMMAND_NO_ACK), ==, "no_ack");
  g_assert_cmpstr (ch_command_state_name ((ChCommandState) 99), ==, "");
}

/* Rows of gateway 1.6. */
static void defaults (void)
{
  static const struct {
    ChCommandType type;
    guint priority;
    guint32 ack_ms;
    guint sends;
    guint32 expires_s;
  } rows[] = {
      {CH_COMMAND_STOP_CHARGE, 1, 5000, 5, 180},
      {CH_COMMAND_CANCEL_SESSION, 1, 5000, 5, 60},
      {CH_COMMAND_START_CHARGE, 2, 5000, 3, 18},
      {CH_COMMAND_QUERY_PORT_STATUS, 2, 3000, 2, 30},
      {CH_COMMAND_REBOOT, 3, 5000, 2, 60},
      {CH_COMMAND_SET_PARAMS, 3, 5000, 3, 86400},
      {CH_COMMAND_UNLOCK, 1, 5000, 1, 30},
      {CH_COMMAND_CONFIGURE_NETWORK, 3, 10000, 3, 3600},
      {CH_COMMAND_SYNC_TIME, 4, 3000, 1, 60},
      {CH_COMMAND_TRIGGER_OTA, 4, 30000, 3, 86400},
  };
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    const ChCommandDefault *def = ch_command_default (rows[i].type);
    g_assert_cmpuint (def->priority, ==, rows[i].priority);
    g_assert_cmpuint (ch_outbound_priority (rows[i].type), ==, rows[i].priority);
    g_assert_cmpuint (def->rule.ack_ms, ==, rows[i].ack_ms);
    g_assert_cmpuint (def->rule.sends, ==, rows[i].sends);
    g_assert_cmpuint (def->rule.expires_ms, ==, rows[i].expires_s * 1000);
  }
  g_assert_false (ch_command_default (CH_COMMAND_START_CHARGE)->rule.resend_safe);
}

/* 18: the vector of gateway 4.3, and exactness until the year 2286. */
static void scores (void)
{
  g_assert_cmpfloat (ch_out_score (2, G_GINT64_CONSTANT (1704528000123)), ==,
                     21704528000123.0);
  g_assert_cmpfloat (ch_out_score (1, G_GINT64_CONSTANT (9999999999999)), <,
                     ch_out_score (2, 0));
  g_assert_cmpfloat (ch_out_score (5, G_GINT64_CONSTANT (9999999999998)), <,
                     ch_out_score (5, G_GINT64_CONSTANT (9999999999999)));
}

static void thresholds (void)
{
  ChOutLimits limits = {200, 500, 1000};

  ch_out_scale_limits (&limits, 100);
  g_assert_cmpint (ch_out_limit_of (&limits, 5), ==, 200);
  g_assert_cmpint (ch_out_limit_of (&limits, 4), ==, 500);
  g_assert_cmpint (ch_out_limit_of (&limits, 3), ==, 500);
  g_assert_cmpint (ch_out_limit_of (&limits, 2), ==, 1000);
  g_assert_cmpint (ch_out_limit_of (&limits, 1), ==, G_MAXINT64);
  ch_out_scale_limits (&limits, 10000);
  g_assert_cmpint (ch_out_limit_of (&limits, 5), ==, 1000);
  g_assert_cmpint (ch_out_limit_of (&limits, 3), ==, 2500);
  g_assert_cmpint (ch_out_limit_of (&limits, 2), ==, 5000);
}

static void retry_delays (void)
{
  static const guint seconds[] = {1, 1, 2, 4, 8, 16, 30, 30};

  for (guint sends = 0; sends < G_N_ELEMENTS (seconds); sends++) {
    for (guint32 random = 0; random < 100000; random += 777) {
      guint delay = ch_out_retry_delay_ms (sends, random);
      g_assert_cmpuint (delay, >=, seconds[sends] * 800);
      g_assert_cmpuint (delay, <=, seconds[sends] * 1200);
    }
  }
}

/* The policy of gateway 3.5: 300 s, windows 60/60, penalties 0.6/0.5. */
static void session_scores (void)
{
  const ChSessionPolicy policy = {300000, 60000, 60000, 600, 500, 500};
  const gint64 now = 10000000, ago10 = now - 10000;

  g_assert_cmpint (ch_session_score_of (&policy, now, ago10, 0, 0, TRUE), ==, 1000);
  g_assert_cmpint (ch_session_score_of (&policy, now, ago10, 0, ago10, TRUE), ==, 500);
  g_assert_cmpint (ch_session_score_of (&policy, now, ago10, ago10, 0, FALSE), ==, 400);
  g_assert_cmpint (ch_session_score_of (&policy, now, ago10, ago10, ago10, FALSE), ==,
                   -100);
  /* one that is back is worth less, but the drop alone does not make it absent */
  g_assert_cmpint (ch_session_score_of (&policy, now, ago10, ago10, 0, TRUE), ==, 500);
  g_assert_cmpint (ch_session_score_of (&policy, now, ago10, ago10, ago10, TRUE), ==, 0);
  g_assert_cmpint (ch_session_score_of (&policy, now, now - 301000, 0, 0, TRUE), <=, 0);
  /* the drop is forgotten after its window, but not while nothing is bound */
  g_assert_cmpint (ch_session_score_of (&policy, now, ago10, now - 61000, 0, TRUE), ==,
                   1000);
  g_assert_cmpint (ch_session_score_of (&policy, now, ago10, now - 61000, 0, FALSE), ==,
                   400);
}

static void session_timeouts (void)
{
  g_assert_cmpint (ch_session_timeout_of (0, 120000, 0, 60), ==, 150000);
  g_assert_cmpint (ch_session_timeout_of (0, 120000, 0, 30), ==, 120000);
  g_assert_cmpint (ch_session_timeout_of (0, 120000, 0, 61), ==, 153000); /* rounded up */
  g_assert_cmpint (ch_session_timeout_of (0, 120000, 390, 180), ==, 390000);
  g_assert_cmpint (ch_session_timeout_of (60000, 120000, 390, 180), ==, 60000);
}

/* Messages come from a kv that others write: nothing in them may be trusted. */
static void messages (void)
{
  static const char *const bad[] = {
      "",
      "{}",
      "[]",
      "null",
      "{\"id\":\"cmd_1\"}",
      "{\"id\":\"cmd_1\",\"phy_id\":\"A\",\"type\":\"None\"}",
      "{\"id\":\"cmd_2\",\"phy_id\":\"A\",\"type\":\"StopCharge\"}",
      "{\"id\":\"cmd_1\",\"phy_id\":\"A/B\",\"type\":\"StopCharge\"}",
      "{\"id\":\"cmd_1\",\"phy_id\":\"A\",\"type\":\"StopCharge\"}",
      "{\"id\":\"cmd_1\",\"phy_id\":7,\"type\":\"StopCharge\",\"created_at\":1}",
  };
  ChServices services = {0};
  g_autoptr (ChPlugin) self = ch_owner_new (&services, "core", NULL);
  ChOutbound outbound = {.self = self};
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    ChOutCommand *cmd = ch_out_command_new (&outbound, "cmd_1");
    g_assert_false (ch_out_message_parse (cmd, bad[i], strlen (bad[i])));
    ch_out_command_unref (cmd);
  }

  static const char wild[]
      = "{\"id\":\"cmd_1\",\"phy_id\":\"A\",\"type\":\"StopCharge\",\"socket_no\":-5,"
        "\"port_no\":99999999999,\"priority\":0,\"sends\":-1,\"max_retry\":900,"
        "\"timeout\":1,"
        "\"msg_id\":-3,\"business_no\":\"FFFFFFFFFF\",\"created_at\":\"2024-01-06T08:00:"
        "00.123Z\","
        "\"expires_at\":\"2024-01-06T07:00:00Z\",\"payload\":{\"reason\":\"x\"}}";
  ChOutCommand *cmd = ch_out_command_new (&outbound, "cmd_1");
  g_assert_true (ch_out_message_parse (cmd, wild, strlen (wild)));
  g_assert_cmpint (cmd->socket_no, ==, 0);
  g_assert_cmpint (cmd->port_no, ==, 15);
  g_assert_cmpuint (cmd->priority, ==, 1);
  g_assert_cmpuint (cmd->sends, ==, 0);
  g_assert_cmpuint (cmd->max_sends, ==, CH_OUT_MAX_ATTEMPTS);
  g_assert_cmpuint (cmd->ack_ms, ==, 100);
  g_assert_cmpuint (cmd->msg_id, ==, 0);
  g_assert_cmpuint (cmd->business_no, ==, 0xFFFF);
  g_assert_cmpint (cmd->created_at, ==, G_GINT64_CONSTANT (1704528000123));
  ch_out_command_unref (cmd);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/command/names", names);
  g_test_add_func ("/command/defaults", defaults);
  g_test_add_func ("/command/scores", scores);
  g_test_add_func ("/command/thresholds", thresholds);
  g_test_add_func ("/command/retry-delays", retry_delays);
  g_test_add_func ("/command/messages", messages);
  g_test_add_func ("/session/scores", session_scores);
  g_test_add_func ("/session/timeouts", session_timeouts);
  return g_test_run ();
}
