/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The end report store (bkv 16.6): copies, silence, restarts of the simulator, the
 * acknowledgement log. */
#include "fake-server.h"

#include <glib/gstdio.h>
#include <string.h>

typedef struct {
  FakeServer *server;
  char *dir;
  char *args;
} Fixture;

static void set_up (Fixture *f, gconstpointer args)
{
  f->server = fake_new ();
  f->dir = g_dir_make_tmp ("chargehost-sim-XXXXXX", NULL);
  f->args = g_strdup_printf ("--state %s/state --ack-log %s/acks --answer-limit 0%s",
                             f->dir, f->dir, args != NULL ? (const char *) args : "");
}

static void remove_file (const char *dir, const char *name)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  g_remove (path);
}

static void tear_down (Fixture *f, gconstpointer args)
{
  remove_file (f->dir, "state/reports.jsonl");
  remove_file (f->dir, "state/lock");
  remove_file (f->dir, "state");
  remove_file (f->dir, "acks");
  g_assert_cmpint (g_rmdir (f->dir), ==, 0);
  g_free (f->dir);
  g_free (f->args);
  fake_free (f->server);
}

static char *read_acks (const Fixture *f)
{
  g_autofree char *path = g_build_filename (f->dir, "acks", NULL);
  char *text = NULL;
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  return text;
}

/* Three copies, the momentary values alike; silence; hang up; the same report again. */
static void test_copies (Fixture *f, gconstpointer args)
{
  FakeServer *server = f->server;
  Sim *sim = fake_sim (server, f->args);
  FakeFrame copies[4];

  fake_await (server, BKV_EVENT_RECORD);
  fake_pass (server, 1);
  server->no_ends = TRUE;
  fake_start (server, 1, 0, 2);
  for (guint i = 0; i < 4; i++)
    copies[i] = *fake_await (server, BKV_CHARGE_END);
  for (guint i = 1; i < 3; i++) {
    gint64 gap = copies[i].at - copies[i - 1].at;
    g_assert_cmpint (gap, >=, 10 * SIM_SECOND);
    g_assert_cmpint (gap, <=, 11 * SIM_SECOND + 50 * SIM_MS);
    g_assert_cmpuint (copies[i].connection, ==, copies[0].connection);
    g_assert_cmpint (memcmp (copies[i].bytes, copies[0].bytes, copies[0].size), ==, 0);
  }
  /* 17 s of silence, 4 s away, 2 s to the heartbeat, 0.5 s to the report. */
  gint64 gap = copies[3].at - copies[2].at;
  g_assert_cmpint (gap, >=, 23 * SIM_SECOND);
  g_assert_cmpint (gap, <=, 24 * SIM_SECOND);
  g_assert_cmpuint (copies[3].connection, ==, copies[0].connection + 1);
  const BkvEnd *a = &copies[0].frame.end, *b = &copies[3].frame.end;
  g_assert_cmpuint (a->business_no, ==, b->business_no);
  g_assert_cmpuint (a->energy, ==, b->energy);
  g_assert_cmpuint (a->duration, ==, b->duration);
  g_assert_cmpuint (a->power, >, b->power);
  server->no_ends = FALSE;
  fake_await (server, BKV_CHARGE_END);
  fake_pass (server, 60);
  g_assert_cmpuint (fake_count (server, BKV_CHARGE_END), ==, 0);
  g_assert_cmpuint (sim->counters.ends_acked, ==, 1);
  g_assert_cmpuint (sim->counters.ends_repeated, ==, 4);
  fake_sim_end (server, sim);
}

/* Reports, numbers and the order of the queue survive. */
static void test_restart (Fixture *f, gconstpointer args)
{
  FakeServer *server = f->server;
  Sim *sim = fake_sim (server, f->args);

  fake_await (server, BKV_STATUS_REPORT);
  server->no_ends = TRUE;
  fake_start (server, 1, 0, 1);
  fake_pass (server, 1);
  fake_start (server, 2, 1, 3);
  fake_pass (server, 1);
  fake_start (server, 2, 0, 60);
  fake_await (server, BKV_CHARGE_END);
  fake_pass (server, 200);
  g_assert_cmpuint (ends_waiting (&sim->gateways[0]), ==, 2);
  fake_sim_end (server, sim); /* the third charge meets a power cut */

  sim = fake_sim (server, f->args);
  g_assert_cmpuint (ends_waiting (&sim->gateways[0]), ==, 3);
  server->no_ends = FALSE;
  const FakeFrame *first = fake_await (server, BKV_CHARGE_END);
  const FakeFrame *second = fake_await (server, BKV_CHARGE_END);
  const FakeFrame *third = fake_await (server, BKV_CHARGE_END);
  g_assert_cmpuint (first->frame.end.business_no, ==, 1);
  g_assert_cmpuint (first->frame.end.duration, ==, 1);
  g_assert_cmpuint (second->frame.end.business_no, ==, 2);
  g_assert_cmpuint (second->frame.end.duration, ==, 3);
  g_assert_cmpint (second->at - first->at, >=, 500 * SIM_MS);
  g_assert_cmpuint (third->frame.end.business_no, ==, 3);
  g_assert_cmphex (third->frame.end.status, ==, 0x10);
  fake_pass (server, 1);
  fake_start (server, 1, 0, 1);
  g_assert_cmpuint (fake_await (server, BKV_CONTROL_ACK)->frame.control_ack.business_no,
                    ==, 4);
  fake_await (server, BKV_CHARGE_END);
  fake_pass (server, 1);
  g_assert_cmpuint (sim->counters.ends_acked, ==, 4);
  fake_sim_end (server, sim);

  sim = fake_sim (server, f->args);
  g_assert_cmpuint (ends_waiting (&sim->gateways[0]), ==, 0);
  fake_sim_end (server, sim);
}

/* Killed: what charged is gone, what was reported is not. */
static void test_kill (Fixture *f, gconstpointer args)
{
  FakeServer *server = f->server;
  Sim *sim = fake_sim (server, f->args);

  fake_await (server, BKV_STATUS_REPORT);
  server->no_ends = TRUE;
  fake_start (server, 1, 0, 1);
  fake_pass (server, 1);
  fake_start (server, 1, 1, 60);
  fake_await (server, BKV_CHARGE_END);
  fake_sim_kill (server, sim);

  server->no_ends = FALSE;
  sim = fake_sim (server, f->args);
  g_assert_cmpuint (fake_await (server, BKV_CHARGE_END)->frame.end.business_no, ==, 1);
  fake_start (server, 1, 1, 1);
  g_assert_cmpuint (fake_await (server, BKV_CONTROL_ACK)->frame.control_ack.business_no,
                    ==, 3);
  g_assert_cmpuint (sim->counters.ends_acked, ==, 1);
  fake_sim_end (server, sim);
}

static void test_journal_is_checked (Fixture *f, gconstpointer args)
{
  g_autofree char *dir = g_build_filename (f->dir, "state", NULL);
  g_autofree char *path = g_build_filename (dir, "reports.jsonl", NULL);
  const char *text
      = "{\"op\":\"number\",\"gateway\":\"82000000000001\",\"socket\":-1,\"port\":-1,"
        "\"value\":41}\n"
        "not JSON\n"
        "{\"op\":\"end\",\"gateway\":\"82000000000001\",\"seq\":7,\"frame\":\"FCFE00\"}\n"
        "{\"op\":\"end\",\"gateway\":\"99999999999999\",\"seq\":8,\"frame\":\"FCFE00\"}\n"
        "{\"op\":\"number\",\"gateway\":\"82000000000001\",\"socket\":-1,\"port\":-1,"
        "\"value\":42}\n"
        "{\"op\":\"acked\",\"se";
  GError *error = NULL;
  SimOptions options;

  g_assert_cmpint (g_mkdir (dir, 0755), ==, 0);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  Sim *sim = fake_sim (f->server, f->args);
  g_assert_cmpuint (sim->gateways[0].counter, ==, 42);
  g_assert_cmpuint (ends_waiting (&sim->gateways[0]), ==, 0);

  /* A second simulator on the same folder is refused. */
  g_autofree char *line = g_strdup_printf ("sim --state %s", dir);
  g_auto (GStrv) argv = g_strsplit (line, " ", 0);
  g_assert_true (options_parse (argv, &options, NULL));
  g_assert_null (sim_new (&options, &error));
  g_assert_nonnull (strstr (error->message, "another simulator"));
  g_clear_error (&error);
  fake_sim_end (f->server, sim);

  /* Another gateway's report is kept for its own run. */
  g_autofree char *kept = NULL;
  g_assert_true (g_file_get_contents (path, &kept, NULL, NULL));
  g_assert_nonnull (strstr (kept, "99999999999999"));
  g_assert_null (strstr (kept, "not JSON"));
  g_assert_null (strstr (kept, "\"value\":41"));
}

static void test_ack_log (Fixture *f, gconstpointer args)
{
  FakeServer *server = f->server;
  Sim *sim = fake_sim (server, f->args);

  fake_await (server, BKV_STATUS_REPORT);
  fake_start (server, 1, 0, 1);
  fake_await (server, BKV_CHARGE_END);
  fake_pass (server, 1);
  server->no_ends = TRUE;
  fake_start (server, 1, 1, 1);
  fake_await (server, BKV_CHARGE_END);
  fake_sim_end (server, sim);
  g_autofree char *text = read_acks (f);
  g_assert_cmpstr (text, ==,
                   "{\"gateway\":\"82000000000001\",\"socket\":1,\"port\":0,"
                   "\"business_no\":1,\"energy_wh\":1,\"duration_min\":1,"
                   "\"kind\":\"charge_end\",\"acknowledged\":true}\n"
                   "{\"gateway\":\"82000000000001\",\"socket\":1,\"port\":1,"
                   "\"business_no\":2,\"energy_wh\":1,\"duration_min\":1,"
                   "\"kind\":\"charge_end\",\"acknowledged\":false}\n");
}

/* A refusal, another socket or a form that this firmware does not know end nothing. */
static void test_wrong_answers (Fixture *f, gconstpointer args)
{
  FakeServer *server = f->server;
  Sim *sim = fake_sim (server, f->args);
  BkvFrame frame;

  fake_await (server, BKV_STATUS_REPORT);
  server->no_ends = TRUE;
  fake_start (server, 1, 0, 1);
  fake_await (server, BKV_CHARGE_END);
  const struct {
    BkvKind kind;
    guint8 socket, result;
  } wrong[] = {{BKV_CHARGE_END_ACK, 2, 1},
               {BKV_CHARGE_END_ACK, 1, 0},
               {BKV_POWER_CHARGE_END_ACK_ECHO, 1, 1},
               {args != NULL ? BKV_CHARGE_END_ACK : BKV_CHARGE_END_ACK_ECHO, 1, 1}};
  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++) {
    bkv_init (&frame, wrong[i].kind, sim->gateways[0].id, 0);
    frame.end_ack = (BkvEndAck) {.socket = wrong[i].socket, .result = wrong[i].result};
    fake_send (server, &frame);
    fake_pass (server, 1);
    g_assert_cmpuint (sim->counters.ends_acked, ==, 0);
  }
  bkv_init (&frame, args != NULL ? BKV_CHARGE_END_ACK_ECHO : BKV_CHARGE_END_ACK,
            sim->gateways[0].id, 0);
  frame.end_ack = (BkvEndAck) {.socket = 1, .result = 1};
  fake_send (server, &frame);
  fake_pass (server, 1);
  g_assert_cmpuint (sim->counters.ends_acked, ==, 1);
  g_assert_cmpuint (sim->counters.rules[SIM_RULE_END_RESULTS], >=, 1);
  fake_sim_end (server, sim);
}

static void test_late_and_dup (Fixture *f, gconstpointer args)
{
  FakeServer *server = f->server;
  Sim *sim = fake_sim (server, f->args);
  g_autoptr (GString) out = g_string_new (NULL);

  fake_await (server, BKV_STATUS_REPORT);
  fake_start (server, 1, 0, 1);
  gint64 started = fake_await (server, BKV_CONTROL_ACK)->at;
  g_assert_true (console_execute (sim, "late #1 300", out));
  const FakeFrame *end = fake_await (server, BKV_CHARGE_END);
  g_assert_cmpint (end->at - started, >=, 360 * SIM_SECOND);
  g_assert_cmpuint (end->frame.end.duration, ==, 1);
  fake_pass (server, 5);
  g_assert_true (console_execute (sim, "dup #1", out));
  const FakeFrame *again = fake_await (server, BKV_CHARGE_END);
  g_assert_cmpint (memcmp (end->bytes, again->bytes, end->size), ==, 0);
  fake_pass (server, 60);
  g_assert_cmpuint (sim->counters.ends_acked, ==, 1);
  fake_sim_end (server, sim);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, args, func)                                                            \
  g_test_add ("/sim/ends/" name, Fixture, args, set_up, func, tear_down)
  ADD ("copies", NULL, test_copies);
  ADD ("restart", NULL, test_restart);
  ADD ("kill", NULL, test_kill);
  ADD ("journal", NULL, test_journal_is_checked);
  ADD ("ack-log", NULL, test_ack_log);
  ADD ("wrong-answers", NULL, test_wrong_answers);
  ADD ("echo", " --variant end-ack=echo", test_wrong_answers);
  ADD ("late-and-dup", NULL, test_late_and_dup);
  return g_test_run ();
}
