/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owners, the runner and replies. */
#include "base/log-private.h"
#include "base/owner.h"
#include "base/reply.h"
#include <chargehost/error.h>

#include <string.h>
#include <time.h>

typedef struct {
  ChResource resource;
  GString *order;
  char letter;
  ChResource *also; /* unlinked by its revocation */
} Thing;

static void revoke_thing (ChResource *resource)
{
  Thing *thing = (Thing *) resource;
  g_assert_null (resource->owner);
  g_string_append_c (thing->order, thing->letter);
  if (thing->also != NULL)
    ch_owner_unlink (thing->also);
}

static const ChResourceKind THING = {"things", revoke_thing};
static const ChResourceKind OTHER = {"others", revoke_thing};

static void test_revoke_order (void)
{
  ChServices services = {0};
  ChPlugin *owner = ch_owner_new (&services, "core", NULL);
  g_autoptr (GString) order = g_string_new (NULL);
  Thing things[4];

  for (guint i = 0; i < 4; i++) {
    things[i] = (Thing) {.order = order, .letter = (char) ('a' + (int) i)};
    ch_owner_link (owner, &things[i].resource, i == 2 ? &OTHER : &THING);
  }
  g_autofree char *text = ch_owner_describe (owner);
  g_assert_cmpstr (text, ==, "3 things, 1 others");

  ch_owner_unlink (&things[1].resource);
  ch_owner_unlink (&things[1].resource); /* again is fine */
  ch_owner_free (owner);
  g_assert_cmpstr (order->str, ==, "dca");
}

/* Revoking one thing may take others with it. */
static void test_revoke_nested (void)
{
  ChServices services = {0};
  ChPlugin *owner = ch_owner_new (&services, "core", NULL);
  g_autoptr (GString) order = g_string_new (NULL);
  Thing a = {.order = order, .letter = 'a'}, b = {.order = order, .letter = 'b'};
  Thing c = {.order = order, .letter = 'c', .also = &b.resource};

  ch_owner_link (owner, &a.resource, &THING);
  ch_owner_link (owner, &b.resource, &THING);
  ch_owner_link (owner, &c.resource, &THING);
  ch_owner_revoke_all (owner);
  g_assert_cmpstr (order->str, ==, "ca");
  g_assert_false (owner->callable);
  g_autofree char *text = ch_owner_describe (owner);
  g_assert_cmpstr (text, ==, "");
  ch_owner_free (owner);
}

static void note_degraded (ChPlugin *self, const char *reason, gpointer data)
{
  g_assert_cmpstr (ch_plugin_name (self), ==, "meter");
  g_string_assign (data, reason != NULL ? reason : "well");
}

static void test_data (void)
{
  static const ChPluginInfo info = {.name = "meter"};
  ChServices services = {0};
  g_autoptr (ChPlugin) owner = ch_owner_new (&services, "meter", &info);
  g_autoptr (GString) told = g_string_new (NULL);

  g_assert_false (owner->is_host);
  ch_plugin_set_data (owner, told);
  g_assert_true (ch_plugin_data (owner) == told);
  ch_plugin_degraded (owner, "nobody listens");
  owner->degraded = note_degraded;
  owner->degraded_data = told;
  ch_plugin_degraded (owner, "no meter");
  g_assert_cmpstr (told->str, ==, "no meter");
  ch_plugin_degraded (owner, NULL);
  g_assert_cmpstr (told->str, ==, "well");
}

/* ---- the runner -------------------------------------------------------------------- */

static void test_runner (void)
{
  static const ChPluginInfo info = {.name = "one"};
  g_autofree char *page = g_strnfill (64, 'x');
  ChServices services = {.runner = ch_runner_new ()};
  ChPlugin *one = ch_owner_new (&services, "one", &info);
  ChPlugin *two = ch_owner_new (&services, "two", &info);
  ChPlugin *core = ch_owner_new (&services, "core", NULL);
  ChRunnerFrame a, b, c;

  ch_runner_set_crash_page (services.runner, page, 64);
  g_assert_null (ch_runner_current (services.runner));
  g_assert_true (ch_runner_enter (one, "input", &a));
  g_assert_cmpstr (page, ==, "one");
  g_assert_true (ch_runner_enter (core, "fact", &b));
  g_assert_cmpstr (page, ==, "");
  g_assert_true (ch_runner_enter (two, "event", &c));
  g_assert_true (ch_runner_current (services.runner) == two);
  g_assert_cmpstr (page, ==, "two");
  g_assert_cmpuint (two->in_call, ==, 1);

  /* Its own callback stops it: no further ones. */
  ch_owner_revoke_all (two);
  ChRunnerFrame d;
  g_assert_false (ch_runner_enter (two, "timer", &d));
  ch_runner_leave (&c);
  g_assert_cmpuint (two->in_call, ==, 0);
  g_assert_true (ch_runner_current (services.runner) == core);
  ch_runner_leave (&b);
  g_assert_cmpstr (page, ==, "one");
  ch_runner_leave (&a);
  g_assert_null (ch_runner_current (services.runner));
  g_assert_cmpstr (page, ==, "");
  g_assert_cmpuint (one->calls, ==, 1);

  ch_owner_free (one);
  ch_owner_free (two);
  ch_owner_free (core);
  ch_runner_free (services.runner);
}

/* Without a runner (most tests) callbacks run all the same. */
static void test_no_runner (void)
{
  ChServices services = {0};
  g_autoptr (ChPlugin) core = ch_owner_new (&services, "core", NULL);
  ChRunnerFrame frame;

  g_assert_true (ch_runner_enter (core, "input", &frame));
  ch_runner_leave (&frame);
  ch_owner_revoke_all (core);
  g_assert_false (ch_runner_enter (core, "input", &frame));
}

static void keep_line (ChLogLevel level, const char *line, gpointer data)
{
  g_string_append_printf (data, "%s\n", line);
}

static void test_slow (void)
{
  static const ChPluginInfo info = {.name = "slow"};
  ChServices services = {.runner = ch_runner_new ()};
  ChPlugin *slow = ch_owner_new (&services, "slow", &info);
  g_autoptr (GString) lines = g_string_new (NULL);
  ChRunnerFrame frame;

  ch_log_set_sink (keep_line, lines);
  g_assert_true (ch_runner_enter (slow, "input", &frame));
  frame.started_us -= 80 * 1000; /* as if it had taken that long */
  ch_runner_leave (&frame);
  ch_log_set_sink (NULL, NULL);
  g_assert_nonnull (strstr (lines->str, "input of slow took "));
  g_assert_cmpint (slow->slowest_us, >=, 80 * 1000);
  g_assert_cmpuint (slow->failures, ==, 1);
  ch_owner_free (slow);
  ch_runner_free (services.runner);
}

static void test_check (void)
{
  ChServices services = {0};
  g_autoptr (ChPlugin) owner = ch_owner_new (&services, "meter", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_false (ch_runner_check (owner, "start", FALSE, &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_FAILED);
  g_assert_cmpstr (error->message, ==, "meter: start failed without saying why");
  g_assert_cmpuint (owner->failures, ==, 1);
  g_assert_true (ch_runner_check (owner, "start", TRUE, &error));
  g_assert_no_error (error);

  g_set_error (&error, CH_STORE_ERROR, CH_STORE_ERROR_BUSY, "full");
  g_assert_false (ch_runner_check (owner, "start", FALSE, &error));
  g_assert_error (error, CH_STORE_ERROR, CH_STORE_ERROR_BUSY);
  g_assert_cmpstr (error->message, ==, "meter: full");
  g_assert_false (ch_runner_check (owner, "start", FALSE, NULL));
}

/* ---- replies ----------------------------------------------------------------------- */

static void note_failure (gpointer data, const char *reason)
{
  g_string_append_printf (data, "failed: %s\n", reason);
}

static void test_replies (void)
{
  ChServices services = {0};
  ChPlugin *owner = ch_owner_new (&services, "core", NULL);
  ChReplies *replies = ch_replies_new ();
  g_autoptr (GString) log = g_string_new (NULL);
  ChReply first = ch_replies_add (replies, owner, "http", log, note_failure);

  g_assert_cmpuint (first, !=, 0);
  g_assert_cmpuint (ch_replies_pending (replies), ==, 1);
  g_assert_true (ch_replies_peek (replies, first, "http") == log);
  g_assert_null (ch_replies_take (replies, first, "command"));
  g_assert_cmpuint (ch_replies_stale (replies), ==, 1);
  g_assert_true (ch_replies_take (replies, first, "http") == log);
  g_assert_null (ch_replies_take (replies, first, "http"));
  g_assert_cmpuint (ch_replies_stale (replies), ==, 2);

  /* The slot is used again; the old handle stays invalid. */
  ChReply second = ch_replies_add (replies, owner, "http", log, note_failure);
  g_assert_cmpuint ((guint32) second, ==, (guint32) first);
  g_assert_cmpuint (second, !=, first);
  g_assert_null (ch_replies_peek (replies, first, "http"));
  g_assert_null (ch_replies_peek (replies, 0, "http"));
  g_assert_null (ch_replies_peek (replies, G_MAXUINT64, "http"));
  g_assert_true (ch_replies_take (replies, second, "http") == log);
  g_assert_cmpuint (ch_replies_pending (replies), ==, 0);
  g_assert_cmpstr (log->str, ==, "");
  ch_owner_free (owner);
  ch_replies_free (replies);
}

static void test_replies_revoked (void)
{
  ChServices services = {0};
  ChPlugin *one = ch_owner_new (&services, "one", NULL);
  ChPlugin *two = ch_owner_new (&services, "two", NULL);
  ChReplies *replies = ch_replies_new ();
  g_autoptr (GString) log = g_string_new (NULL);
  ChReply a = ch_replies_add (replies, one, "http", log, note_failure);
  ChReply b = ch_replies_add (replies, two, "http", log, note_failure);
  ch_replies_add (replies, one, "quiet", log, NULL);

  ch_owner_free (one);
  g_assert_cmpstr (log->str, ==, "failed: the plugin that owed the answer has stopped\n");
  g_assert_null (ch_replies_take (replies, a, "http"));
  g_assert_cmpuint (ch_replies_pending (replies), ==, 1);
  g_assert_true (ch_replies_take (replies, b, "http") == log);

  /* What is still owed when all goes down is let go without a call. */
  ch_replies_add (replies, two, "http", log, note_failure);
  ch_replies_free (replies);
  ch_owner_free (two);
  g_assert_cmpstr (log->str, ==, "failed: the plugin that owed the answer has stopped\n");
}

static void test_replies_many (void)
{
  ChServices services = {0};
  ChPlugin *owner = ch_owner_new (&services, "core", NULL);
  ChReplies *replies = ch_replies_new ();
  ChReply handles[500];
  int data = 0;

  for (guint round = 0; round < 3; round++) {
    for (guint i = 0; i < G_N_ELEMENTS (handles); i++)
      handles[i] = ch_replies_add (replies, owner, "x", &data, NULL);
    for (guint i = 0; i < G_N_ELEMENTS (handles); i++)
      for (guint j = 0; j < i; j += 97)
        g_assert_cmpuint (handles[i], !=, handles[j]);
    for (guint i = 0; i < G_N_ELEMENTS (handles); i += 2)
      g_assert_nonnull (ch_replies_take (replies, handles[i], "x"));
    for (guint i = 1; i < G_N_ELEMENTS (handles); i += 2)
      g_assert_nonnull (ch_replies_take (replies, handles[i], "x"));
  }
  g_assert_cmpuint (ch_replies_pending (replies), ==, 0);
  g_assert_cmpuint (ch_replies_stale (replies), ==, 0);
  ch_owner_free (owner);
  ch_replies_free (replies);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/owner/revoke-order", test_revoke_order);
  g_test_add_func ("/owner/revoke-nested", test_revoke_nested);
  g_test_add_func ("/owner/data", test_data);
  g_test_add_func ("/runner/nesting", test_runner);
  g_test_add_func ("/runner/none", test_no_runner);
  g_test_add_func ("/runner/slow", test_slow);
  g_test_add_func ("/runner/check", test_check);
  g_test_add_func ("/reply/handles", test_replies);
  g_test_add_func ("/reply/revoked", test_replies_revoked);
  g_test_add_func ("/reply/many", test_replies_many);
  return g_test_run ();
}
