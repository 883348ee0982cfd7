/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line: defaults, values, and what is refused. */
#include "options.h"

static gboolean parse (const char *line, SimOptions *options, GError **error)
{
  g_auto (GStrv) argv = g_strsplit (line, " ", 0);
  return options_parse (argv, options, error);
}

static void test_defaults (void)
{
  SimOptions o;

  g_assert_true (parse ("sim", &o, NULL));
  g_assert_cmpstr (o.host, ==, "127.0.0.1");
  g_assert_cmpuint (o.port, ==, 7000);
  g_assert_cmpint (o.gateways, ==, 1);
  g_assert_cmpint (o.sockets, ==, 2);
  g_assert_cmpfloat (o.time_scale, ==, 1);
  g_assert_cmpfloat (o.rate, ==, 500);
  g_assert_cmpint (o.log, ==, SIM_LOG_HUMAN);
  g_assert_cmpuint (o.first_id, ==, G_GUINT64_CONSTANT (82000000000001));
  g_assert_cmpuint (o.bind_first, ==, 0);
  options_clear (&o);
  g_assert_true (parse ("sim --gateways 500", &o, NULL));
  g_assert_cmpint (o.log, ==, SIM_LOG_NONE);
  options_clear (&o);
}

static void test_values (void)
{
  SimOptions o;

  g_assert_true (
      parse ("sim -s [::1]:7001 -n 15000 --sockets 0 --first-id 82241218000382 "
             "-t 60 --seed -5 --rate 2.5 --log json --duration 1.5 --plug 0.25 "
             "--bind-range 127.0.0.2-127.0.0.20 --variant query=status "
             "--variant end-ack=any --disturb split=0.1 --disturb garbage=@3 "
             "--heartbeat-flood 8 --strict --quiet",
             &o, NULL));
  g_assert_cmpstr (o.host, ==, "::1");
  g_assert_cmpuint (o.port, ==, 7001);
  g_assert_cmpint (o.gateways, ==, 15000);
  g_assert_cmpint (o.sockets, ==, 0);
  g_assert_cmpuint (o.first_id, ==, G_GUINT64_CONSTANT (82241218000382));
  g_assert_cmpint (o.seed, ==, -5);
  g_assert_cmpfloat (o.rate, ==, 2.5);
  g_assert_cmpint (o.log, ==, SIM_LOG_JSON);
  g_assert_cmphex (o.bind_first, ==, 0x7F000002);
  g_assert_cmphex (o.bind_last, ==, 0x7F000014);
  g_assert_cmpint (o.variant.query, ==, SIM_QUERY_STATUS);
  g_assert_cmpint (o.variant.end_ack, ==, SIM_ACK_ANY);
  g_assert_cmpfloat (o.disturb[SIM_DISTURB_SPLIT].probability, ==, 0.1);
  g_assert_cmpuint (o.disturb[SIM_DISTURB_GARBAGE].nth, ==, 3);
  g_assert_cmpint (o.flood, ==, 8);
  g_assert_true (o.strict);
  g_assert_true (o.quiet);
  options_clear (&o);
}

static void test_refused (void)
{
  static const char *const lines[] = {
      "sim --server 127.0.0.1",
      "sim --server :7000",
      "sim --server host:70000",
      "sim --gateways 0",
      "sim --gateways 100000",
      "sim --gateways x",
      "sim --sockets 251",
      "sim --first-id 123",
      "sim --first-id 8224121800038A",
      "sim --first-id 99999999999999 --gateways 2",
      "sim --time-scale 0",
      "sim --time-scale nan",
      "sim --rate 0",
      "sim --plug 1.5",
      "sim --log xml",
      "sim --bind-range 127.0.0.9-127.0.0.2",
      "sim --bind-range here",
      "sim --variant query",
      "sim --variant query=2",
      "sim --variant colour=red",
      "sim --disturb split=2",
      "sim --disturb split=@0",
      "sim --disturb split=often",
      "sim --disturb noise=1",
      "sim --heartbeat-flood 1000",
      "sim --unknown",
      "sim extra",
  };
  for (gsize i = 0; i < G_N_ELEMENTS (lines); i++) {
    g_autoptr (GError) error = NULL;
    SimOptions o;
    g_test_message ("%s", lines[i]);
    g_assert_false (parse (lines[i], &o, &error));
    g_assert_nonnull (error);
    g_assert_cmpuint (strlen (error->message), >, 5);
    options_clear (&o);
  }
}

static void test_help (void)
{
  g_autofree char *text = choices_help ();

  for (int i = 0; i < SIM_DISTURB_N; i++)
    g_assert_nonnull (strstr (text, disturb_name ((SimDisturb) i)));
  g_assert_nonnull (strstr (text, "1c|1d|status"));
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sim/options/defaults", test_defaults);
  g_test_add_func ("/sim/options/values", test_values);
  g_test_add_func ("/sim/options/refused", test_refused);
  g_test_add_func ("/sim/options/help", test_help);
  return g_test_run ();
}
