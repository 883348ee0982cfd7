/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock-private.h"
#include "base/owner.h"
#include <chargehost/id.h>

#include <string.h>

#define T0 G_GINT64_CONSTANT (1704528000000) /* 2024-01-06T08:00:00Z */

static void test_fake (void)
{
  g_autoptr (ChClock) clock = ch_clock_new_fake (T0);
  ChServices services = {.clock = clock};
  g_autoptr (ChPlugin) owner = ch_owner_new (&services, "core", NULL);
  gint64 start = ch_now_ms (owner);

  g_assert_true (ch_clock_is_fake (clock));
  ch_clock_advance_ms (clock, 1500);
  g_assert_cmpint (ch_now_ms (owner) - start, ==, 1500);
  g_assert_cmpint (ch_wall_ms (owner), ==, T0 + 1500);
  ch_clock_step_wall_ms (clock, -5000);
  g_assert_cmpint (ch_now_ms (owner) - start, ==, 1500);
  g_assert_cmpint (ch_wall_ms (owner), ==, T0 - 3500);
}

static void test_real (void)
{
  g_autoptr (ChClock) clock = ch_clock_new ();
  gint64 before = g_get_real_time () / 1000, now = ch_clock_wall_ms (clock);

  g_assert_false (ch_clock_is_fake (clock));
  g_assert_cmpint (now, >=, before);
  g_assert_cmpint (ch_clock_monotonic_us (clock), <=, g_get_monotonic_time ());
}

static void test_ulid_format (void)
{
  /* The example of the ULID specification: this time begins with 01ARYZ6S41. */
  g_autoptr (ChClock) clock = ch_clock_new_fake (G_GINT64_CONSTANT (1469918176385));
  ChServices services = {.clock = clock};
  g_autoptr (ChPlugin) owner = ch_owner_new (&services, "core", NULL);
  char text[CH_ULID_SIZE], other[CH_ULID_SIZE];

  g_assert_true (ch_ulid (owner, text) == text);
  g_assert_cmpuint (strlen (text), ==, 26);
  g_assert_cmpuint (strspn (text, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), ==, 26);
  g_assert_true (g_str_has_prefix (text, "01ARYZ6S41"));

  /* Two clocks at the same time do not make the same one. */
  g_autoptr (ChClock) second = ch_clock_new_fake (G_GINT64_CONSTANT (1469918176385));
  ch_clock_ulid (second, other);
  g_assert_cmpstr (text, !=, other);
}

static void test_ulid_order (void)
{
  g_autoptr (ChClock) clock = ch_clock_new_fake (T0);
  char last[CH_ULID_SIZE] = "", next[CH_ULID_SIZE];

  for (guint i = 0; i < 3000; i++) {
    if (i == 1000)
      ch_clock_step_wall_ms (clock, -3600 * 1000);
    else if (i % 7 == 0)
      ch_clock_advance_ms (clock, 1);
    else if (i == 2001)
      ch_clock_step_wall_ms (clock, 7200 * 1000);
    ch_clock_ulid (clock, next);
    g_assert_cmpstr (next, >, last);
    memcpy (last, next, sizeof last);
  }
}

/* Each millisecond begins with other digits of chance, however often that is. */
static void test_ulid_chance (void)
{
  g_autoptr (ChClock) clock = ch_clock_new_fake (T0);
  g_autoptr (GHashTable) seen
      = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  char text[CH_ULID_SIZE];

  for (guint i = 0; i < 1000; i++) {
    ch_clock_advance_ms (clock, 1);
    ch_clock_ulid (clock, text);
    g_assert_true (g_hash_table_add (seen, g_strdup (text + 10)));
  }
}

/* A device without a battery-backed clock begins in 1970, or before. */
static void test_ulid_epoch (void)
{
  g_autoptr (ChClock) clock = ch_clock_new_fake (-5000);
  char a[CH_ULID_SIZE], b[CH_ULID_SIZE];

  ch_clock_ulid (clock, a);
  ch_clock_ulid (clock, b);
  g_assert_true (g_str_has_prefix (a, "0000000000"));
  g_assert_cmpstr (a + 10, !=, "0000000000000000");
  g_assert_cmpstr (a, <, b);
}

static void test_format (void)
{
  static const struct {
    gint64 ms;
    const char *text;
  } cases[] = {
      {T0, "2024-01-06T08:00:00.000Z"},
      {T0 + 7, "2024-01-06T08:00:00.007Z"},
      {0, "1970-01-01T00:00:00.000Z"},
      {-1, "1969-12-31T23:59:59.999Z"},
      {G_GINT64_CONSTANT (253402300799999), "9999-12-31T23:59:59.999Z"},
      {G_GINT64_CONSTANT (253402300800000), "1970-01-01T00:00:00.000Z"},
      {G_MAXINT64, "1970-01-01T00:00:00.000Z"},
      {G_MININT64, "1970-01-01T00:00:00.000Z"},
  };
  char text[CH_TIME_TEXT_SIZE];

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    g_assert_cmpstr (ch_format_time (cases[i].ms, text), ==, cases[i].text);
}

static void test_parse (void)
{
  static const struct {
    const char *text;
    gint64 ms;
  } good[] = {
      {"2024-01-06T08:00:00Z", T0},
      {"2024-01-06T08:00:00.000Z", T0},
      {"2024-01-06t08:00:00z", T0},
      {"2024-01-06 08:00:00Z", T0},
      {"2024-01-06T08:00:00.5Z", T0 + 500},
      {"2024-01-06T08:00:00.123456789Z", T0 + 123},
      {"2024-01-06T16:00:00+08:00", T0},
      {"2024-01-06T04:30:00.250-03:30", T0 + 250},
      {"2024-02-29T00:00:00Z", G_GINT64_CONSTANT (1709164800000)},
      {"1969-12-31T23:59:59.999Z", -1},
      {"2016-12-31T23:59:60Z", G_GINT64_CONSTANT (1483228800000)},
  };
  static const char *const bad[] = {
      NULL,
      "",
      "now",
      "2024-01-06",
      "2024-01-06T08:00:00",
      "2024-01-06T08:00Z",
      "2024-13-06T08:00:00Z",
      "2023-02-29T00:00:00Z",
      "2024-01-06T24:00:00Z",
      "2024-01-06T08:60:00Z",
      "2024-01-06T08:00:00+0800",
      "2024-01-06T08:00:00.Z",
      "2024-01-06T08:00:00+24:00",
      "2024-01-06T08:00:00Zx",
      "0000-01-01T00:00:00Z",
      "2024-W01-6T08:00:00Z",
      "20240106T080000Z____",
      "-024-01-06T08:00:00Z",
      "2024-01-06T08:00:00.00000000000000000000000Z",
      "2024-01-06T08:00:00+08:0",
  };
  gint64 ms;

  for (guint i = 0; i < G_N_ELEMENTS (good); i++) {
    g_test_message ("%s", good[i].text);
    g_assert_true (ch_parse_time (good[i].text, &ms));
    g_assert_cmpint (ms, ==, good[i].ms);
  }
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_test_message ("%s", bad[i] != NULL ? bad[i] : "NULL");
    g_assert_false (ch_parse_time (bad[i], &ms));
  }
}

static void test_ids (void)
{
  g_autofree char *longest = g_strnfill (64, 'A'), *too_long = g_strnfill (65, 'A');

  g_assert_true (ch_device_id_is_valid ("82200520004869"));
  g_assert_true (ch_device_id_is_valid ("CP:01*a=b+c|d@e f_g.h-i"));
  g_assert_true (ch_device_id_is_valid (longest));
  g_assert_false (ch_device_id_is_valid (too_long));
  g_assert_false (ch_device_id_is_valid (""));
  g_assert_false (ch_device_id_is_valid (NULL));
  g_assert_false (ch_device_id_is_valid ("a/b"));
  g_assert_false (ch_device_id_is_valid ("a\nb"));
  g_assert_false (ch_device_id_is_valid ("\xc3\xa4"));

  g_assert_true (ch_order_no_is_valid ("ORD_2024-0001"));
  longest[32] = '\0';
  g_assert_true (ch_order_no_is_valid (longest));
  too_long[33] = '\0';
  g_assert_false (ch_order_no_is_valid (too_long));
  g_assert_false (ch_order_no_is_valid ("a b"));
  g_assert_false (ch_order_no_is_valid ("a.b"));
  g_assert_false (ch_order_no_is_valid (""));
  g_assert_false (ch_order_no_is_valid (NULL));
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/clock/fake", test_fake);
  g_test_add_func ("/clock/real", test_real);
  g_test_add_func ("/clock/ulid-format", test_ulid_format);
  g_test_add_func ("/clock/ulid-order", test_ulid_order);
  g_test_add_func ("/clock/ulid-chance", test_ulid_chance);
  g_test_add_func ("/clock/ulid-epoch", test_ulid_epoch);
  g_test_add_func ("/clock/format", test_format);
  g_test_add_func ("/clock/parse", test_parse);
  g_test_add_func ("/id/valid", test_ids);
  return g_test_run ();
}
