/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The prefix, libraries, channels, replies. */
#include "base/metrics-private.h"
#include "kv/test-world.h"
#include <chargehost/error.h>

#include <string.h>

/* ---- the prefix ---------------------------------------------------------------------
 */

static void run (World *world, const char *line)
{
  g_auto (GStrv) words = g_strsplit (line, " ", -1);
  ch_kv_command (world->caller, world_answered, (gpointer) "r",
                 (const char *const *) words, NULL, g_strv_length (words));
}

static void test_prefix (World *world, gconstpointer data)
{
  static const struct {
    const char *line, *sent;
  } cases[] = {
      {"get a", "get p:a"},
      {"PING", "PING"},
      {"MSET a 1 b 2", "MSET p:a 1 p:b 2"},
      {"DEL a b c", "DEL p:a p:b p:c"},
      {"LMOVE a b LEFT RIGHT", "LMOVE p:a p:b LEFT RIGHT"},
      {"BLMOVE a b LEFT RIGHT 0", "BLMOVE p:a p:b LEFT RIGHT 0"},
      {"BLPOP a b 5", "BLPOP p:a p:b 5"},
      {"ZADD z 1 a", "ZADD p:z 1 a"},
      {"ZUNIONSTORE d 2 a b WEIGHTS 1 2", "ZUNIONSTORE p:d 2 p:a p:b WEIGHTS 1 2"},
      {"ZINTER 2 a b", "ZINTER 2 p:a p:b"},
      {"EVAL s 2 a b c", "EVAL s 2 p:a p:b c"},
      {"FCALL f 1 a b", "FCALL f 1 p:a b"},
      {"FCALL f 0 a", "FCALL f 0 a"},
      {"FCALL f x a", "FCALL f x a"},
      {"FCALL f 9 a", "FCALL f 9 a"},
      {"PUBLISH c m", "PUBLISH p:c m"},
      {"KEYS a*", "KEYS p:a*"},
      {"SCAN 0", "SCAN 0 MATCH p:*"},
      {"SCAN 0 COUNT 5 match x*", "SCAN 0 COUNT 5 match p:x*"},
      {"GEOSEARCHSTORE d s FROMMEMBER m", "GEOSEARCHSTORE p:d p:s FROMMEMBER m"},
      {"OBJECT ENCODING a", "OBJECT ENCODING p:a"},
      {"NOSUCH a", "NOSUCH a"},
  };

  ch_kv_set_prefix (world->services.kv, "p:");
  world_open (world);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    run (world, cases[i].line);
    world_assert_told (world, cases[i].sent);
  }
  g_assert_cmpstr (ch_kv_prefix (world->caller), ==, "p:");
}

static void keys_answered (ChPlugin *self, const ChKvReply *reply, const GError *error,
                           gpointer user_data)
{
  World *world = ch_plugin_data (self);
  const ChKvReply *list = reply->items[reply->n_items - 1];
  if (list->kind != CH_KV_REPLY_ARRAY)
    list = reply;
  for (gsize i = 0; i < list->n_items; i++)
    g_string_append_printf (world->heard, "%s;", list->items[i]->text);
}

static ChKvReply *list_of (const char *a, const char *b)
{
  ChKvReply *list = ch_kv_reply_array (2);
  list->items[0] = ch_kv_reply_string (a, -1);
  list->items[1] = ch_kv_reply_string (b, -1);
  return list;
}

static void test_prefix_in_replies (World *world, gconstpointer data)
{
  ch_kv_set_prefix (world->services.kv, "p:");
  world_open (world);
  ch_kv_commandv (world->caller, keys_answered, NULL, "KEYS", "*", NULL);
  ch_kv_commandv (world->caller, keys_answered, NULL, "SCAN", "0", NULL);
  ch_kv_commandv (world->caller, keys_answered, NULL, "BLPOP", "l", "0", NULL);
  ch_kv_run_complete (world->runs->pdata[0], list_of ("p:a", "p:b"), NULL);
  ChKvReply *scanned = ch_kv_reply_array (2);
  scanned->items[0] = ch_kv_reply_string ("0", -1);
  scanned->items[1] = list_of ("p:c", "p:");
  ch_kv_run_complete (world->runs->pdata[1], scanned, NULL);
  ch_kv_run_complete (world->runs->pdata[2], list_of ("p:l", "p:value"), NULL);
  g_ptr_array_set_size (world->runs, 0);
  world_turn (world);
  assert_heard (world, "l;p:value;a;b;c;;");
}

/* ---- libraries and channels ---------------------------------------------------------
 */

static void test_libraries (World *world, gconstpointer data)
{
  ChPlugin *other = ch_owner_new (&world->services, "other", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_true (ch_kv_library (world->caller, "#!lua name=one\ntext", NULL));
  g_assert_true (ch_kv_library (other, "#!lua name=two\ntext", NULL));
  world_assert_told (world, "");
  world_open (world);
  world_assert_told (world, "#!lua name=one; #!lua name=two");
  g_assert_true (ch_kv_library (world->caller, "#!lua  name=one engine\ntext", NULL));
  world_assert_told (world, "#!lua  name=one engine");
  g_assert_false (ch_kv_library (world->caller, "#!lua name=one\nwrong", &error));
  g_assert_error (error, CH_KV_ERROR, CH_KV_ERROR_SERVER);
  g_clear_error (&error);
  g_assert_false (ch_kv_library (world->caller, "return 1", &error));
  g_assert_error (error, CH_KV_ERROR, CH_KV_ERROR_USAGE);
  ch_kv_set_up (world->driver, FALSE);
  ch_kv_set_up (world->driver, TRUE);
  world_assert_told (world, "#!lua name=two; #!lua  name=one engine");
  ch_owner_free (other);
  ch_kv_set_up (world->driver, FALSE);
  ch_kv_set_up (world->driver, TRUE);
  world_assert_told (world, "#!lua  name=one engine");
}

static void message (ChPlugin *self, const char *channel, const char *text, gsize size,
                     gpointer user_data)
{
  World *world = ch_plugin_data (self);
  g_string_append_printf (world->heard, "%s:%s=%s/%u;", (const char *) user_data, channel,
                          text, (guint) size);
}

static void test_subscriptions (World *world, gconstpointer data)
{
  ChPlugin *other = ch_owner_new (&world->services, "other", NULL);

  ch_plugin_set_data (other, world);
  ch_kv_set_prefix (world->services.kv, "[p]:");
  world_open (world);
  ChSubscription a = ch_kv_subscribe (world->caller, "news", message, (gpointer) "a");
  ch_kv_subscribe (other, "news", message, (gpointer) "b");
  ch_kv_subscribe (other, "ne*", message, (gpointer) "p");
  world_assert_told (world, "sub [p]:news; psub \\[p\\]:ne*");
  ch_kv_deliver (world->driver, NULL, "[p]:news", "hello", 5);
  ch_kv_deliver (world->driver, "\\[p\\]:ne*", "[p]:news", "hello", 5);
  assert_heard (world, "");
  world_turn (world);
  assert_heard (world, "a:news=hello/5;b:news=hello/5;p:news=hello/5;");
  ch_kv_unsubscribe (world->caller, a);
  ch_kv_unsubscribe (world->caller, a); /* once is enough */
  world_assert_told (world, "");
  ch_kv_set_up (world->driver, FALSE);
  ch_kv_set_up (world->driver, TRUE);
  world_assert_told (world, "sub [p]:news; psub \\[p\\]:ne*");
  ch_owner_free (other);
  world_assert_told (world, "punsub \\[p\\]:ne*; unsub [p]:news");
  ch_kv_deliver (world->driver, NULL, "[p]:news", "nobody", 6);
  world_turn (world);
  assert_heard (world, "");
}

static void test_messages_bounded (World *world, gconstpointer data)
{
  ch_kv_set_queue_max (world->services.kv, 2);
  world_open (world);
  ch_kv_subscribe (world->caller, "c", message, (gpointer) "a");
  for (guint i = 0; i < 5; i++)
    ch_kv_deliver (world->driver, NULL, "c", "m", 1);
  world_turn (world);
  assert_heard (world, "a:c=m/1;a:c=m/1;");
  g_autofree char *text
      = g_string_free (ch_metrics_render (world->services.metrics), FALSE);
  g_assert_nonnull (strstr (text, "chargehost_kv_messages_dropped_total 3\n"));
  g_assert_nonnull (strstr (text, "chargehost_kv_up{driver=\"fake\"} 1\n"));
}

static void test_replies (void)
{
  g_autoptr (ChKvReply) small = ch_kv_reply_integer (5);
  g_autoptr (ChKvReply) large = ch_kv_reply_integer (G_MININT64);
  g_autoptr (ChKvReply) binary = ch_kv_reply_string ("a\0b", 3);
  g_autoptr (ChKvReply) empty = ch_kv_reply_array (0);
  g_autoptr (ChKvReply) list = ch_kv_reply_array (2);

  g_assert_cmpint (small->integer, ==, 5);
  for (gint i = -5; i < 100; i++) {
    g_autoptr (ChKvReply) reply = ch_kv_reply_integer (i);
    g_assert_cmpint (reply->integer, ==, i);
    g_assert_cmpint (reply->kind, ==, CH_KV_REPLY_INTEGER);
  }
  g_assert_cmpint (large->integer, ==, G_MININT64);
  g_assert_cmpuint (binary->size, ==, 3);
  g_assert_true (memcmp (binary->text, "a\0b", 4) == 0);
  g_assert_cmpuint (empty->n_items, ==, 0);
  list->items[0] = ch_kv_reply_error ("ERR %d", 7);
  list->items[1] = ch_kv_reply_status ("OK");
  g_assert_cmpstr (list->items[0]->text, ==, "ERR 7");
}

int main (int argc, char **argv)
{
  static const WorldTest tests[] = {
      {"prefix", test_prefix},
      {"prefix-in-replies", test_prefix_in_replies},
      {"libraries", test_libraries},
      {"subscriptions", test_subscriptions},
      {"messages-bounded", test_messages_bounded},
  };

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/kv/replies", test_replies);
  return world_run_tests (tests, G_N_ELEMENTS (tests));
}
