/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors: each member that is missing is named. */
#include "plugin/plugins-private.h"
#include <chargehost/error.h>

#include <string.h>

static gboolean start (ChPlugin *self, GError **error)
{
  return TRUE;
}

static const ChPluginInfo good = {
    .magic = CH_PLUGIN_MAGIC,
    .size = sizeof (ChPluginInfo),
    .abi_major = CH_ABI_MAJOR,
    .abi_minor = CH_ABI_MINOR,
    .name = "meter",
    .summary = "A meter",
    .version = "1.0",
    .license = "MIT",
    .start = start,
};

static void assert_lacks (const ChPluginInfo *info, const char *lacks)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *message = g_strdup_printf ("meter.so: the descriptor lacks %s", lacks);
  g_assert_false (ch_plugin_descriptor_check (info, "meter", "meter.so", &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_BAD_DESCRIPTOR);
  g_assert_cmpstr (error->message, ==, message);
}

static void test_good (void)
{
  g_autoptr (GError) error = NULL;
  g_assert_true (ch_plugin_descriptor_check (&good, "meter", "meter.so", &error));
  g_assert_no_error (error);
  g_assert_true (ch_plugin_descriptor_check (&good, NULL, "built in", &error));
}

static void test_texts (void)
{
  ChPluginInfo info = good;
  info.summary = "";
  assert_lacks (&info, "summary");
  info = good;
  info.version = NULL;
  info.license = NULL;
  info.start = NULL;
  assert_lacks (&info, "version, license, start");
  info = good;
  info.name = NULL;
  assert_lacks (&info, "name");
}

static void test_wrong_name (void)
{
  g_autoptr (GError) error = NULL;
  g_assert_false (ch_plugin_descriptor_check (&good, "other", "other.so", &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_WRONG_NAME);
  g_assert_nonnull (strstr (error->message, "other"));
  g_assert_nonnull (strstr (error->message, "meter"));
}

static void test_version_first (void)
{
  ChPluginInfo info = {.magic = CH_PLUGIN_MAGIC, .size = sizeof info, .abi_major = 77};
  g_autoptr (GError) error = NULL;
  info.name = (const char *) 1; /* must not be read */
  g_assert_false (ch_plugin_descriptor_check (&info, "meter", "meter.so", &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_ABI_MAJOR);
}

static void test_tables (void)
{
  static const ChConfigKey keys[] = {
      {.name = "a", .type = CH_CONFIG_INT, .summary = "A"},
      {.name = "b", .summary = "B"},
      {.name = "c", .type = CH_CONFIG_CHOICE},
      {.name = NULL},
  };
  static const ChProtocol empty = {.size = sizeof (ChProtocol)};
  static const ChProtocol short_one = {.size = 8};
  static const ChStoreDriver store = {.size = sizeof (ChStoreDriver)};
  static const ChKvDriver kv = {.size = sizeof (ChKvDriver)};
  ChPluginInfo info = good;
  info.config = keys;
  assert_lacks (&info, "config.b.type, config.c.summary, config.c.choices");
  info = good;
  info.protocol = &empty;
  assert_lacks (&info, "protocol.name, protocol.sniff, protocol.frame, protocol.input, "
                       "protocol.command");
  info.protocol = &short_one;
  assert_lacks (&info, "protocol.size");
  info = good;
  info.store_driver = &store;
  assert_lacks (&info, "store_driver.dialect, store_driver.open, store_driver.close, "
                       "store_driver.script, store_driver.run_now, store_driver.submit, "
                       "store_driver.lock, store_driver.unlock, store_driver.stats");
  info = good;
  info.kv_driver = &kv;
  assert_lacks (&info,
                "kv_driver.name, kv_driver.open, kv_driver.close, kv_driver.submit, "
                "kv_driver.library, kv_driver.subscribe, kv_driver.unsubscribe, "
                "kv_driver.used_memory");
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/plugin/descriptor/good", test_good);
  g_test_add_func ("/plugin/descriptor/texts", test_texts);
  g_test_add_func ("/plugin/descriptor/wrong-name", test_wrong_name);
  g_test_add_func ("/plugin/descriptor/version-first", test_version_first);
  g_test_add_func ("/plugin/descriptor/tables", test_tables);
  return g_test_run ();
}
