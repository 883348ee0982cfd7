/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Both forms of a shape say the same. */
#include "base/shape.h"

#include <chargehost/json.h>

static void write_shape (ChShape *shape)
{
  ch_shape_begin (shape, NULL, FALSE);
  ch_shape_int (shape, "int", G_MININT64);
  ch_shape_bool (shape, "yes", TRUE);
  ch_shape_bool (shape, "no", FALSE);
  ch_shape_null (shape, "null");
  ch_shape_string (shape, "string", "a\"b\nc");
  ch_shape_string (shape, "empty", "");
  ch_shape_string (shape, "none", NULL);
  ch_shape_milli (shape, "milli", -1250400);
  ch_shape_milli (shape, "small", -5);
  ch_shape_milli (shape, "whole", 5000);
  ch_shape_milli (shape, "unset", CH_UNSET);
  ch_shape_time (shape, "time", 1704528000123);
  ch_shape_time (shape, "never", 0);
  ch_shape_json (shape, "json", json_pack ("{s:[i,f]}", "a", 1, 2.5));
  ch_shape_json (shape, "nothing", NULL);
  ch_shape_begin (shape, "empties", TRUE);
  ch_shape_begin (shape, NULL, FALSE);
  ch_shape_end (shape, FALSE);
  ch_shape_begin (shape, NULL, TRUE);
  ch_shape_end (shape, TRUE);
  ch_shape_string (shape, NULL, "x");
  ch_shape_int (shape, NULL, 7);
  ch_shape_end (shape, TRUE);
  ch_shape_bool (shape, "last", TRUE);
  ch_shape_end (shape, FALSE);
}

static void test_same (void)
{
  ChText text = {0};
  ChShape tree = {0}, flat = {.text = &text};
  write_shape (&tree);
  write_shape (&flat);
  ch_text_char (&text, '\0');
  g_autofree char *expected = ch_json_dump (tree.tree);
  g_assert_cmpstr (text.bytes, ==, expected);
  g_assert_nonnull (
      strstr (text.bytes, "\"milli\":-1250.4,\"small\":-0.005,\"whole\":5,"));
  json_decref (tree.tree);
  ch_text_clear (&text);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/shape/same", test_same);
  return g_test_run ();
}
