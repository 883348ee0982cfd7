/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers and patterns. */
#include "glob.h"
#include "number.h"

#include <locale.h>
#include <string.h>

static MemBytes bytes_of (const char *text)
{
  return (MemBytes) {text, strlen (text)};
}

static void test_integers (void)
{
  static const struct {
    const char *text;
    gboolean ok;
    gint64 value;
  } cases[] = {
      {"0", TRUE, 0},
      {"-1", TRUE, -1},
      {"9223372036854775807", TRUE, G_MAXINT64},
      {"-9223372036854775808", TRUE, G_MININT64},
      {"9223372036854775808", FALSE, 0},
      {"-9223372036854775809", FALSE, 0},
      {"99999999999999999999", FALSE, 0},
      {"18446744073709551616", FALSE, 0},
      {"", FALSE, 0},
      {"-", FALSE, 0},
      {"-0", FALSE, 0},
      {"01", FALSE, 0},
      {"+1", FALSE, 0},
      {" 1", FALSE, 0},
      {"1 ", FALSE, 0},
      {"1.0", FALSE, 0},
      {"1e3", FALSE, 0},
  };
  char text[MEM_NUMBER_SIZE];

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    gint64 value = 0;
    g_assert_cmpint (mem_parse_int (bytes_of (cases[i].text), &value), ==, cases[i].ok);
    if (!cases[i].ok)
      continue;
    g_assert_cmpint (value, ==, cases[i].value);
    mem_format_int (text, value);
    g_assert_cmpstr (text, ==, cases[i].text);
  }
}

static void test_doubles (void)
{
  static const struct {
    const char *text, *printed; /* NULL: refused */
  } cases[] = {
      {"1", "1"},
      {"-3.5", "-3.5"},
      {"0.1", "0.10000000000000001"},
      {"1e20", "1e+20"},
      {"21704528000123", "21704528000123"},
      {"123456789012345678", "1.2345678901234568e+17"},
      {"inf", "inf"},
      {"-inf", "-inf"},
      {"0x10", "16"},
      {"nan", NULL},
      {"1e999", NULL},
      {"", NULL},
      {" 1", NULL},
      {"1x", NULL},
      {"1,5", NULL},
  };
  char text[MEM_NUMBER_SIZE];

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    double value;
    gboolean ok = mem_parse_double (bytes_of (cases[i].text), &value);
    g_assert_cmpint (ok, ==, cases[i].printed != NULL);
    if (!ok)
      continue;
    mem_format_double (text, value);
    g_assert_cmpstr (text, ==, cases[i].printed);
  }
}

static void test_long_doubles (void)
{
  char text[MEM_LONG_DOUBLE_SIZE];
  long double value;

  g_assert_true (mem_parse_long_double (bytes_of ("10.6"), &value));
  mem_format_long_double (text, value);
  g_assert_cmpstr (text, ==, "10.6");
  mem_format_long_double (text, 5000.0L);
  g_assert_cmpstr (text, ==, "5000");
  mem_format_long_double (text, -0.0L);
  g_assert_cmpstr (text, ==, "0");
  g_assert_true (mem_parse_long_double (bytes_of ("1e4900"), &value));
  mem_format_long_double (text, value);
  g_assert_cmpuint (strlen (text), ==, 4901);
  g_assert_false (mem_parse_long_double (bytes_of ("1e5000"), &value));
}

static void test_globs (void)
{
  static const struct {
    const char *pattern, *text;
    gboolean matches;
  } cases[] = {
      {"*", "", TRUE},
      {"", "", TRUE},
      {"", "a", FALSE},
      {"a*", "abc", TRUE},
      {"a*c", "abc", TRUE},
      {"a*c", "abcd", FALSE},
      {"*b*", "abc", TRUE},
      {"**a", "a", TRUE},
      {"?", "a", TRUE},
      {"?", "", FALSE},
      {"[abc]", "b", TRUE},
      {"[^abc]", "b", FALSE},
      {"[a-c]x", "bx", TRUE},
      {"[c-a]x", "bx", TRUE},
      {"[\\]]", "]", TRUE},
      {"[a", "a", TRUE},
      {"\\*", "*", TRUE},
      {"\\*", "a", FALSE},
      {"h?llo", "hello", TRUE},
      {"A", "a", FALSE},
      {"*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", FALSE},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    if (mem_glob_match (bytes_of (cases[i].pattern), bytes_of (cases[i].text))
        != cases[i].matches)
      g_error ("%s against %s", cases[i].pattern, cases[i].text);
}

/* A locale with a comma changes nothing, if there is one. */
int main (int argc, char **argv)
{
  setlocale (LC_NUMERIC, "de_DE.UTF-8");
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/kv-memory/text/integers", test_integers);
  g_test_add_func ("/kv-memory/text/doubles", test_doubles);
  g_test_add_func ("/kv-memory/text/long-doubles", test_long_doubles);
  g_test_add_func ("/kv-memory/text/globs", test_globs);
  return g_test_run ();
}
