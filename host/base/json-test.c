/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <chargehost/json.h>

#include <string.h>

static void check_error (const char *text, gint code)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (json_t) json = ch_json_parse (text, strlen (text), &error);

  g_assert_null (json);
  g_assert_error (error, CH_JSON_ERROR, code);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
}

static void test_parse (void)
{
  g_autoptr (GError) error = NULL;
  const char *text = "{\"a\":[1,2.5,\"x{[\\\"\",null,true],\"b\":{}}trailing";
  g_autoptr (json_t) json = ch_json_parse (text, strlen (text) - 8, &error);
  g_autofree char *dump = ch_json_dump (json);

  g_assert_no_error (error);
  g_assert_cmpstr (dump, ==, "{\"a\":[1,2.5,\"x{[\\\"\",null,true],\"b\":{}}");
  g_autoptr (json_t) scalar = ch_json_parse ("7", 1, &error);
  g_assert_cmpint (json_integer_value (scalar), ==, 7);

  check_error ("", CH_JSON_ERROR_SYNTAX);
  check_error ("{", CH_JSON_ERROR_SYNTAX);
  check_error ("{\"a\":1}x", CH_JSON_ERROR_SYNTAX);
  check_error ("\"\xff\"", CH_JSON_ERROR_SYNTAX);
  check_error ("\"\\u0000\"", CH_JSON_ERROR_SYNTAX);
  check_error ("99999999999999999999", CH_JSON_ERROR_SYNTAX);
  check_error ("1e999", CH_JSON_ERROR_SYNTAX);
  check_error ("\"unfinished\\", CH_JSON_ERROR_SYNTAX);
  check_error ("{\"a\":1,\"a\":2}", CH_JSON_ERROR_DUPLICATE);
}

static void test_bounds (void)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < CH_JSON_MAX_DEPTH; i++)
    g_string_append_c (text, '[');
  for (guint i = 0; i < CH_JSON_MAX_DEPTH; i++)
    g_string_append_c (text, ']');
  g_autoptr (json_t) deepest = ch_json_parse (text->str, text->len, &error);
  g_assert_no_error (error);
  g_assert_nonnull (deepest);

  g_string_prepend_c (text, '[');
  g_string_append_c (text, ']');
  check_error (text->str, CH_JSON_ERROR_TOO_DEEP);
  /* Brackets within strings do not count. */
  g_string_assign (text, "\"");
  for (guint i = 0; i < 1000; i++)
    g_string_append (text, "[{");
  g_string_append_c (text, '"');
  g_autoptr (json_t) string = ch_json_parse (text->str, text->len, &error);
  g_assert_no_error (error);
  g_assert_nonnull (string);

  g_autofree char *large = g_strnfill (CH_JSON_MAX_SIZE + 1, ' ');
  check_error (large, CH_JSON_ERROR_TOO_LARGE);
}

static void check_milli (gint64 milli, const char *expected)
{
  g_autoptr (json_t) json = ch_json_milli (milli);
  g_autofree char *text = ch_json_dump (json);
  g_assert_cmpstr (text, ==, expected);
}

static void test_numbers (void)
{
  check_milli (0, "0");
  check_milli (1500, "1.5");
  check_milli (1001, "1.001");
  check_milli (-7, "-0.007");
  check_milli (220000, "220");
  check_milli (123456789012, "123456789.012");
  check_milli (CH_UNSET, "null");
  for (gint64 i = -3000; i < 3000; i += 7) {
    g_autoptr (json_t) json = ch_json_milli (i);
    g_autofree char *text = ch_json_dump (json);
    g_assert_cmpuint (strlen (text), <=, strlen ("-0.000"));
  }
  g_autofree char *none = ch_json_dump (NULL);
  g_assert_cmpstr (none, ==, "null");

  g_autoptr (json_t) time = ch_json_time (1500);
  g_assert_cmpstr (json_string_value (time), ==, "1970-01-01T00:00:01.500Z");
  g_autoptr (json_t) no_time = ch_json_time (0);
  g_assert_true (json_is_null (no_time));
}

static void test_members (void)
{
  g_autoptr (json_t) json = json_pack ("{s:s, s:i, s:f, s:b, s:n}", "s", "text", "i", 5,
                                       "d", 2.5, "b", 1, "n");

  g_assert_cmpstr (ch_json_get_string (json, "s", "-"), ==, "text");
  g_assert_cmpstr (ch_json_get_string (json, "i", "-"), ==, "-");
  g_assert_null (ch_json_get_string (NULL, "s", NULL));
  g_assert_cmpint (ch_json_get_int (json, "i", -1), ==, 5);
  g_assert_cmpint (ch_json_get_int (json, "d", -1), ==, -1);
  g_assert_cmpfloat (ch_json_get_double (json, "d", -1), ==, 2.5);
  g_assert_cmpfloat (ch_json_get_double (json, "i", -1), ==, 5);
  g_assert_true (ch_json_get_bool (json, "b", FALSE));
  g_assert_true (ch_json_get_bool (json, "n", TRUE));
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/json/parse", test_parse);
  g_test_add_func ("/json/bounds", test_bounds);
  g_test_add_func ("/json/numbers", test_numbers);
  g_test_add_func ("/json/members", test_members);
  return g_test_run ();
}
