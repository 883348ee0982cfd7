/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON text is that of jansson, byte by byte. */
#include "base/text.h"

#include <chargehost/json.h>

static void expect_same (const json_t *value)
{
  ChText text = {0};
  g_autofree char *expected = ch_json_dump (value);
  ch_text_json (&text, value);
  ch_text_char (&text, '\0');
  g_assert_cmpstr (text.bytes, ==, expected);
  ch_text_clear (&text);
}

static void test_fixed (void)
{
  static const char *const texts[] = {
      "{}",
      "[]",
      "[[],{}]",
      "null",
      "true",
      "false",
      "0",
      "-1",
      "9223372036854775807",
      "-9223372036854775808",
      "\"\"",
      "\"a\\\"b\\\\c\\/d\"",
      "\"\\u0001\\u001f\\n\\r\\t\\b\\f\"",
      "\"\xe4\xb8\xad\xf0\x9f\x94\x8c\\u007f\"",
      "{\"a\":1,\"b\":[1,2.5,null],\"c\":{\"d\":\"e\"}}",
      "0.1",
      "220.1",
      "-0.001",
      "5.0",
      "-0.0",
      "1e300",
      "1e-300",
      "123456789.123",
      "0.1234",
      "1e12",
      "999999999999.999",
      "3.141592653589793",
      "1250.4",
  };
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    json_t *value = json_loads (texts[i], JSON_DECODE_ANY, NULL);
    g_assert_nonnull (value);
    expect_same (value);
    json_decref (value);
  }
}

/* Every byte of ASCII at every place of short strings. */
static void test_strings (void)
{
  for (gsize size = 1; size <= 17; size++) {
    for (guint i = 0; i < size * 127; i++) {
      char string[] = "abcdefghijklmnopqr";
      ChText text = {0};
      string[size] = '\0';
      string[i / 127] = (char) (1 + i % 127);
      json_t *value = json_string (string);
      g_autofree char *expected = json_dumps (value, JSON_ENCODE_ANY);
      ch_text_string (&text, string, size);
      ch_text_char (&text, '\0');
      g_assert_cmpstr (text.bytes, ==, expected);
      ch_text_clear (&text);
      json_decref (value);
    }
  }
}

static void test_reals (void)
{
  for (guint i = 0; i < 20000; i++) {
    double value = i % 3 == 0   ? g_test_rand_int_range (-1000000000, 1000000000) / 1000.0
                   : i % 3 == 1 ? g_test_rand_double_range (-1e6, 1e6)
                                : g_test_rand_double_range (-1e15, 1e15);
    g_autoptr (json_t) real = json_real (value);
    expect_same (real);
  }
}

static json_t *random_value (guint depth)
{
  json_t *value;
  guint n = (guint) g_test_rand_int_range (0, 5);
  char text[8];
  switch (g_test_rand_int_range (0, depth > 4 ? 4 : 6)) {
  case 0:
    return json_integer (g_test_rand_int ());
  case 1:
    for (guint i = 0; i < sizeof text; i++)
      text[i] = (char) g_test_rand_int_range (1, 128);
    return json_stringn (text, sizeof text);
  case 2:
    return json_boolean (g_test_rand_bit ());
  case 3:
    return json_null ();
  case 4:
    value = json_array ();
    for (guint i = 0; i < n; i++)
      json_array_append_new (value, random_value (depth + 1));
    return value;
  default:
    value = json_object ();
    for (guint i = 0; i < n; i++) {
      g_snprintf (text, sizeof text, "k%u", i);
      json_object_set_new (value, text, random_value (depth + 1));
    }
    return value;
  }
}

static void test_random (void)
{
  for (guint i = 0; i < 2000; i++) {
    g_autoptr (json_t) value = random_value (0);
    expect_same (value);
  }
}

static void test_not_utf8 (void)
{
  ChText text = {0};
  ch_text_string (&text, "a\xff", 2);
  ch_text_char (&text, '\0');
  g_assert_cmpstr (text.bytes, ==, "\"a\357\277\275\"");
  ch_text_clear (&text);
}

static void test_room (void)
{
  ChText text = {0};
  g_autofree char *large = g_strnfill (100000, 'x');
  ch_text_add (&text, large, 100000);
  ch_text_add (&text, "y", 1);
  g_assert_cmpuint (text.size, ==, 100001);
  g_assert_cmpint (text.bytes[100000], ==, 'y');
  ch_text_reset (&text);
  g_assert_null (text.bytes);
  ch_text_add (&text, "z", 1);
  ch_text_reset (&text);
  g_assert_nonnull (text.bytes);
  ch_text_clear (&text);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/text/fixed", test_fixed);
  g_test_add_func ("/text/strings", test_strings);
  g_test_add_func ("/text/reals", test_reals);
  g_test_add_func ("/text/random", test_random);
  g_test_add_func ("/text/not-utf8", test_not_utf8);
  g_test_add_func ("/text/room", test_room);
  return g_test_run ();
}
