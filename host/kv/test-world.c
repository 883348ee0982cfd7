/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The driver and the rest of the world. */
#include "kv/test-world.h"
#include "base/metrics-private.h"
#include <chargehost/error.h>

#include <string.h>

/* ---- the driver ---------------------------------------------------------------------
 */

static World *world_of (ChPlugin *self)
{
  return ch_plugin_data (self);
}

static gboolean fake_open (ChPlugin *self, GError **error)
{
  ch_kv_set_up (self, TRUE);
  return TRUE;
}

static void fake_close (ChPlugin *self)
{
  World *world = world_of (self);
  for (guint i = 0; i < world->runs->len; i++)
    ch_kv_run_complete (world->runs->pdata[i], NULL,
                        g_error_new (CH_KV_ERROR, CH_KV_ERROR_UNAVAILABLE, "closed"));
  g_ptr_array_set_size (world->runs, 0);
}

static char *run_text (const ChKvRun *run)
{
  GString *text = g_string_new (NULL);
  for (gsize i = 0; i < ch_kv_run_argc (run); i++)
    g_string_append_printf (text, "%s%s", i > 0 ? " " : "", ch_kv_run_arg (run, i, NULL));
  return g_string_free (text, FALSE);
}

static void fake_submit (ChPlugin *self, ChKvRun *run)
{
  World *world = world_of (self);
  g_ptr_array_add (world->told, run_text (run));
  if (world->at_once)
    ch_kv_run_complete (run, ch_kv_reply_string (ch_kv_run_arg (run, 1, NULL), -1), NULL);
  else
    g_ptr_array_add (world->runs, run);
}

static gboolean fake_library (ChPlugin *self, const char *lua, GError **error)
{
  World *world = world_of (self);
  if (strstr (lua, "wrong") != NULL) {
    g_set_error (error, CH_KV_ERROR, CH_KV_ERROR_SERVER, "ERR wrong");
    return FALSE;
  }
  g_ptr_array_add (world->told, g_strndup (lua, strcspn (lua, "\n")));
  return TRUE;
}

static void fake_subscribe (ChPlugin *self, const char *channel, gboolean is_pattern)
{
  g_ptr_array_add (world_of (self)->told,
                   g_strconcat (is_pattern ? "psub " : "sub ", channel, NULL));
}

static void fake_unsubscribe (ChPlugin *self, const char *channel, gboolean is_pattern)
{
  g_ptr_array_add (world_of (self)->told,
                   g_strconcat (is_pattern ? "punsub " : "unsub ", channel, NULL));
}

static void fake_cancel (ChPlugin *self, ChKvRun *run)
{
  World *world = world_of (self);
  char *text = run_text (run);
  g_ptr_array_add (world->told, g_strconcat ("cancel ", text, NULL));
  g_free (text);
}

static const ChKvDriver fake_driver = {
    .size = sizeof (ChKvDriver),
    .name = "fake",
    .open = fake_open,
    .close = fake_close,
    .submit = fake_submit,
    .library = fake_library,
    .subscribe = fake_subscribe,
    .unsubscribe = fake_unsubscribe,
    .cancel = fake_cancel,
};

/* ---- the world ----------------------------------------------------------------------
 */

void world_set_up (World *world, gconstpointer data)
{
  ChServices *services = &world->services;
  g_autoptr (GError) error = NULL;

  world->context = g_main_context_new ();
  world->runs = g_ptr_array_new ();
  world->told = g_ptr_array_new_with_free_func (g_free);
  world->heard = g_string_new (NULL);
  services->clock = ch_clock_new_fake (1704528000000);
  services->runner = ch_runner_new ();
  services->metrics = ch_metrics_new ();
  services->reactor = ch_reactor_new (services, world->context, &error);
  g_assert_no_error (error);
  ch_kv_new (services);
  world->driver = ch_owner_new (services, "fake", NULL);
  world->caller = ch_owner_new (services, "caller", NULL);
  ch_plugin_set_data (world->driver, world);
  ch_plugin_set_data (world->caller, world);
}

void world_open (World *world)
{
  g_autoptr (GError) error = NULL;
  ch_kv_open (world->services.kv, world->driver, &fake_driver, &error);
  g_assert_no_error (error);
}

void world_tear_down (World *world, gconstpointer data)
{
  ch_owner_free (world->caller);
  ch_kv_free (world->services.kv);
  ch_owner_free (world->driver);
  ch_reactor_free (world->services.reactor);
  ch_metrics_free (world->services.metrics);
  ch_runner_free (world->services.runner);
  ch_clock_free (world->services.clock);
  g_main_context_unref (world->context);
  g_ptr_array_unref (world->runs);
  g_ptr_array_unref (world->told);
  g_string_free (world->heard, TRUE);
}

void world_turn (World *world)
{
  g_main_context_iteration (world->context, FALSE);
}

void world_answered (ChPlugin *self, const ChKvReply *reply, const GError *error,
                     gpointer user_data)
{
  World *world = ch_plugin_data (self);
  g_string_append_printf (world->heard, "%s=", (const char *) user_data);
  if (error != NULL)
    g_string_append_printf (world->heard, "!%d", error->code);
  if (reply != NULL)
    g_string_append (world->heard, reply->text != NULL ? reply->text : "?");
  g_string_append_c (world->heard, ';');
}

void world_complete (World *world, guint index, const char *text)
{
  ch_kv_run_complete (g_ptr_array_steal_index (world->runs, index),
                      ch_kv_reply_string (text, -1), NULL);
}

void world_assert_told (World *world, const char *expected)
{
  g_ptr_array_add (world->told, NULL);
  g_autofree char *text = g_strjoinv ("; ", (char **) world->told->pdata);
  g_assert_cmpstr (text, ==, expected);
  g_ptr_array_set_size (world->told, 0);
}

int world_run_tests (const WorldTest *tests, gsize n)
{
  for (gsize i = 0; i < n; i++) {
    g_autofree char *path = g_strconcat ("/kv/", tests[i].name, NULL);
    g_test_add (path, World, NULL, world_set_up, tests[i].run, world_tear_down);
  }
  return g_test_run ();
}
