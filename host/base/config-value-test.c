/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Types, ranges and near names. */
#include "base/config-tables.h"

#include <string.h>

static const char *const COLOURS[] = {"red", "green", NULL};

static const ChConfigKey BOOL = {.name = "b", .type = CH_CONFIG_BOOL};
static const ChConfigKey INT = {.name = "i", .type = CH_CONFIG_INT};
static const ChConfigKey PORT
    = {.name = "p", .type = CH_CONFIG_INT, .min = 1, .max = 65535};
static const ChConfigKey DOUBLE
    = {.name = "d", .type = CH_CONFIG_DOUBLE, .min = 0, .max = 0.5};
static const ChConfigKey MS = {.name = "m", .type = CH_CONFIG_DURATION_MS};
static const ChConfigKey SECONDS = {.name = "s",
                                    .type = CH_CONFIG_DURATION_MS,
                                    .flags = CH_CONFIG_SECONDS,
                                    .min = 1000,
                                    .max = 86400000};
static const ChConfigKey SIZE
    = {.name = "z", .type = CH_CONFIG_SIZE, .min = 1024, .max = 1e12};
static const ChConfigKey CHOICE
    = {.name = "c", .type = CH_CONFIG_CHOICE, .choices = COLOURS};
static const ChConfigKey LIST = {.name = "l", .type = CH_CONFIG_LIST};
static const ChConfigKey MAP = {.name = "a", .type = CH_CONFIG_MAP};

static void test_good_values (void)
{
  static const struct {
    const ChConfigKey *key;
    const char *text;
    double value;
  } cases[] = {
      {&BOOL, "true", 1},       {&BOOL, "Yes", 1},          {&BOOL, "ON", 1},
      {&BOOL, "false", 0},      {&BOOL, "no", 0},           {&BOOL, "0", 0},
      {&INT, "0", 0},           {&INT, "-17", -17},         {&INT, "+17", 17},
      {&INT, "0x1F", 31},       {&INT, "-0x10", -16},       {&INT, "007", 7},
      {&PORT, "1", 1},          {&PORT, "65535", 65535},    {&DOUBLE, "0.25", 0.25},
      {&DOUBLE, ".5", 0.5},     {&DOUBLE, "1e-3", 0.001},   {&MS, "250", 250},
      {&MS, "250ms", 250},      {&MS, "30s", 30000},        {&MS, "1.5m", 90000},
      {&MS, "1h30m", 5400000},  {&MS, "2 h", 7200000},      {&MS, "7d", 604800000},
      {&SECONDS, "90", 90000},  {&SECONDS, "90s", 90000},   {&SECONDS, "1500ms", 1500},
      {&SIZE, "4096", 4096},    {&SIZE, "256K", 262144},    {&SIZE, "1.5k", 1536},
      {&SIZE, "2MiB", 2097152}, {&SIZE, "1 G", 1073741824}, {&SIZE, "2048B", 2048},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    const ChConfigKey *key = cases[i].key;
    g_autofree char *problem = NULL;
    ChConfigValue value;
    g_test_message ("%s %s", key->name, cases[i].text);
    g_assert_true (ch_config_value_parse (key, cases[i].text, &value, &problem));
    if (key->type == CH_CONFIG_BOOL)
      g_assert_cmpint (value.b, ==, (gint) cases[i].value);
    else if (key->type == CH_CONFIG_DOUBLE)
      g_assert_cmpfloat_with_epsilon (value.d, cases[i].value, 1e-12);
    else
      g_assert_cmpint (value.i, ==, (gint64) cases[i].value);
    ch_config_value_clear (&value);
  }
  ChConfigValue least;
  g_autofree char *problem = NULL;
  g_assert_true (ch_config_value_parse (&INT, "-9223372036854775808", &least, &problem));
  g_assert_cmpint (least.i, ==, G_MININT64);
  ch_config_value_clear (&least);
}

static void test_bad_values (void)
{
  static const struct {
    const ChConfigKey *key;
    const char *text;
    const char *problem;
  } cases[] = {
      {&BOOL, "maybe", "neither true nor false"},
      {&BOOL, "", "neither true nor false"},
      {&INT, "", "whole number"},
      {&INT, "1.5", "whole number"},
      {&INT, "1 ", "whole number"},
      {&INT, " 1", "whole number"},
      {&INT, "--1", "whole number"},
      {&INT, "- 1", "whole number"},
      {&INT, "0x", "whole number"},
      {&INT, "1e3", "whole number"},
      {&INT, "9223372036854775808", "whole number"},
      {&INT, "-9223372036854775809", "whole number"},
      {&PORT, "0", "is not between 1 and 65535"},
      {&PORT, "65536", "is not between 1 and 65535"},
      {&DOUBLE, "0.6", "is not between 0 and 0.5"},
      {&DOUBLE, "nan", "is not a number"},
      {&DOUBLE, "inf", "is not a number"},
      {&DOUBLE, "0x1p3", "is not a number"},
      {&DOUBLE, "1e999", "is not a number"},
      {&DOUBLE, "0.1s", "is not a number"},
      {&DOUBLE, "", "is not a number"},
      {&MS, "", "is not a duration"},
      {&MS, "5 minutes", "is not a duration"},
      {&MS, "-5s", "is not a duration"},
      {&MS, "5s5", "is not a duration"},
      {&MS, "s", "is not a duration"},
      {&MS, "1..5s", "is not a duration"},
      {&MS, "1h2h3h4h5h6h7h8h9h", "is not a duration"},
      {&MS, "99999999999999999999d", "is not a duration"},
      {&SECONDS, "0", "is not between 1s and 1d"},
      {&SECONDS, "2d", "is not between 1s and 1d"},
      {&SIZE, "1X", "is not a size"},
      {&SIZE, "-1", "is not a size"},
      {&SIZE, "1KK", "is not a size"},
      {&SIZE, "1000", "is not between 1K and"},
      {&SIZE, "99999T", "is not a size"},
      {&CHOICE, "gren", "is none of red, green; did you mean 'green'?"},
      {&CHOICE, "", "is none of"},
      {&MAP, "a", "name=value"},
      {&MAP, "=b", "name=value"},
      {&MAP, "a=1,a=2", "names 'a' twice"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *problem = NULL;
    ChConfigValue value;
    g_test_message ("%s '%s'", cases[i].key->name, cases[i].text);
    g_assert_false (
        ch_config_value_parse (cases[i].key, cases[i].text, &value, &problem));
    g_assert_nonnull (strstr (problem, cases[i].problem));
    ch_config_value_clear (&value);
  }
}

static void test_long_list (void)
{
  g_autofree char *commas = g_strnfill (3000, 'x');
  for (guint i = 1; i < 3000; i += 2)
    commas[i] = ',';
  g_autofree char *problem = NULL;
  ChConfigValue value;
  g_assert_false (ch_config_value_parse (&LIST, commas, &value, &problem));
  g_assert_nonnull (strstr (problem, "more than 1000 elements"));
}

static void test_nearest (void)
{
  static const char *const names[] = {"tcp.idle_timeout", "tcp.write_timeout",
                                      "http.addr", "kv.enabled", "sessions.x"};
  static const struct {
    const char *wanted;
    const char *best;
  } cases[] = {{"tcp.idle_timeuot", "tcp.idle_timeout"},
               {"tcp.idle-timeout", "tcp.idle_timeout"},
               {"TCP.WRITE_TIMEOUT", "tcp.write_timeout"},
               {"htp.adr", "http.addr"},
               {"addr", "http.addr"},
               {"web.addr", "http.addr"},
               {"kv.enable", "kv.enabled"},
               {"completely.else", NULL},
               {"x", "sessions.x"}};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    ChConfigNearest nearest = {.wanted = cases[i].wanted};
    for (guint j = 0; j < G_N_ELEMENTS (names); j++)
      ch_config_nearest_offer (&nearest, names[j]);
    g_assert_cmpstr (nearest.best, ==, cases[i].best);
  }
  g_autofree char *longest = g_strnfill (5000, 'x');
  ChConfigNearest nearest = {.wanted = longest};
  ch_config_nearest_offer (&nearest, "http.addr");
  ch_config_nearest_offer (&nearest, longest);
  g_assert_null (nearest.best == NULL ? NULL : strstr (nearest.best, "http"));
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/config/values/good", test_good_values);
  g_test_add_func ("/config/values/bad", test_bad_values);
  g_test_add_func ("/config/values/long-list", test_long_list);
  g_test_add_func ("/config/nearest", test_nearest);
  return g_test_run ();
}
