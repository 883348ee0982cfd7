/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses, slots, what libraries say of themselves: no server is needed. */
#include "redis.h"

#include <string.h>

static void check_address (const char *text, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Endpoint) endpoint = endpoint_parse (text, 6379, &error);

  if (expected == NULL) {
    g_assert_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE);
    return;
  }
  g_assert_no_error (error);
  g_autofree char *name = endpoint_text (endpoint);
  g_assert_cmpstr (name, ==, expected);
}

static void test_addresses (void)
{
  check_address ("host", "host:6379");
  check_address ("host:7000", "host:7000");
  check_address ("10.0.0.1:1", "10.0.0.1:1");
  check_address ("[::1]:7000", "[::1]:7000");
  check_address ("[::1]", "[::1]:6379");
  check_address ("::1", "[::1]:6379");
  check_address ("/run/redis.sock", "/run/redis.sock");
  check_address (":7000", NULL);
  check_address ("host:", NULL);
  check_address ("host:70000", NULL);
  check_address ("host:x", NULL);
  check_address ("[::1", NULL);
}

static void check_slot (const char *key, guint slot)
{
  g_assert_cmpuint (slot_of (key, strlen (key)), ==, slot);
}

/* As CLUSTER KEYSLOT of Redis 7.0 answers. */
static void test_slots (void)
{
  check_slot ("", 0);
  check_slot ("123456789", 12739);
  check_slot ("foo", 12182);
  check_slot ("{foo}.x", 12182);
  check_slot ("a{foo}b{bar}", 12182);
  g_assert_cmpuint (slot_of ("{}foo", 5), ==, slot_of ("{}foo", 5));
  g_assert_cmpuint (slot_of ("foo{}", 5), !=, slot_of ("foo", 3));
  g_assert_cmpuint (slot_of ("{{foo}}", 7), ==, slot_of ("{foo", 4));
  g_assert_cmpuint (slot_of ("hold:{42}:exp", 13), ==, slot_of ("hold:{42}:data", 14));
}

static void test_libraries (void)
{
  Library *library = library_new ("#!lua name=one\n-- version 7\n-- keys: one slot\n");
  g_assert_cmpstr (library->name, ==, "one");
  g_assert_cmpint (library->version, ==, 7);
  g_assert_true (library->slotted);
  library_free (library);
  library = library_new ("#!lua engine=lua name=two\r\n-- version x\nlocal a\n");
  g_assert_cmpstr (library->name, ==, "two");
  g_assert_cmpint (library->version, ==, 0);
  g_assert_false (library->slotted);
  library_free (library);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/kv-redis/text/addresses", test_addresses);
  g_test_add_func ("/kv-redis/text/slots", test_slots);
  g_test_add_func ("/kv-redis/text/libraries", test_libraries);
  return g_test_run ();
}
