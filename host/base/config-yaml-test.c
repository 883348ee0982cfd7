/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files as an enemy would write them. */
#include "base/config-tables.h"

#include <string.h>

static GPtrArray *parse (const char *text, gsize size, GError **error)
{
  return ch_config_yaml_parse (text, size, "x.yaml", error);
}

/* The flat list as text: `path=value@line;`. */
static char *flatten (const char *text)
{
  g_autoptr (GError) error = NULL;
  GPtrArray *nodes = parse (text, strlen (text), &error);
  g_autoptr (GString) out = g_string_new (NULL);

  g_assert_no_error (error);
  for (guint i = 0; i < nodes->len; i++) {
    const ChConfigNode *node = g_ptr_array_index (nodes, i);
    static const char *const marks[] = {"=", "~", "+=", "[]", "{}"};
    gboolean has_text
        = node->kind == CH_CONFIG_NODE_SCALAR || node->kind == CH_CONFIG_NODE_ELEMENT;
    g_string_append_printf (out, "%s%s%s@%u;", node->path, marks[node->kind],
                            has_text ? node->text : "", node->line);
  }
  g_ptr_array_unref (nodes);
  return g_string_free (g_steal_pointer (&out), FALSE);
}

static void check (const char *text, const char *expected)
{
  g_autofree char *flat = flatten (text);
  g_assert_cmpstr (flat, ==, expected);
}

static void test_shapes (void)
{
  check ("", "");
  check ("# only a comment\n", "");
  check ("---\n", "");
  check ("{}\n", "");
  check ("\xef\xbb\xbf"
         "a: 1\n",
         "a=1@1;");
  check ("a: 1\nb:\n  c: two words\n  d: [x, 'y', \"z\\n\"]\n",
         "a=1@1;b.c=two words@3;b.d+=x@4;b.d+=y@4;b.d+=z\n@4;");
  check ("a:\nb: ~\nc: null\nd: ''\ne: []\nf: {}\ng: 'null'\n",
         "a~@1;b~@2;c~@3;d=@4;e[]@5;f{}@6;g=null@7;");
  check ("a.b: 1\na:\n  c: 2\n", "a.b=1@1;a.c=2@3;");
  check ("a: |\n  one\n  two\nb: >\n  folded\n  text\n",
         "a=one\ntwo\n@1;b=folded text\n@4;");
  check ("%YAML 1.1\n---\na: 1\n...\n", "a=1@3;");
  check ("n:\n  - 1\n  - 0x10\n  - true\n", "n+=1@2;n+=0x10@3;n+=true@4;");
}

/* @line is that of the message. */
static void check_error_sized (const char *text, gsize size, guint line, const char *part)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *where = g_strdup_printf ("x.yaml:%u: ", line);

  g_assert_null (parse (text, size, &error));
  g_assert_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_SYNTAX);
  g_test_message ("%s", error->message);
  g_assert_true (g_str_has_prefix (error->message, where));
  g_assert_nonnull (strstr (error->message, part));
}

static void check_error (const char *text, guint line, const char *part)
{
  check_error_sized (text, strlen (text), line, part);
}

static void test_refused (void)
{
  check_error ("a: 1\na: 2\n", 2, "'a' occurs twice");
  check_error ("a:\n  b: 1\na:\n  c: 2\n", 3, "'a' occurs twice");
  check_error ("a:\n  b: 1\na.b: 2\n", 3, "'a.b' occurs twice");
  check_error ("a: {b: 1, b: 2}\n", 1, "'a.b' occurs twice");
  check_error ("- a\n- b\n", 1, "must hold a mapping, not a list");
  check_error ("just text\n", 1, "must hold a mapping");
  check_error ("a: 1\n---\nb: 2\n", 2, "second document");
  check_error ("a: &x 1\nb: *x\n", 1, "anchors and aliases");
  check_error ("a: *x\n", 1, "anchors and aliases");
  check_error ("a: &x {b: 1}\n", 1, "anchors and aliases");
  check_error ("a: !!binary aGVsbG8=\n", 1, "tags are not used");
  check_error ("a: !<tag:yaml.org,2002:python/object/apply:os.system> [ls]\n", 1, "tags");
  check_error ("a: !!map {}\n", 1, "tags are not used");
  check_error ("a: [[1]]\n", 1, "'a' may only list plain values");
  check_error ("a:\n  - b: 1\n", 2, "'a' may only list plain values");
  check_error ("? [a, b]\n: 1\n", 1, "a name is expected");
  check_error ("? {a: b}\n: 1\n", 1, "a name is expected");
  check_error ("'': 1\n", 1, "empty or too long");
  check_error ("\"a\\nb\": 1\n", 1, "control character");
  check_error ("a: \"x\\0y\"\n", 1, "NUL");
  check_error ("\"a\\0b\": 1\n", 1, "NUL");
  check_error ("a: [1, 2\nb: 3\n", 2, "this is not YAML");
  check_error ("a: 1\n\tb: 2\n", 2, "this is not YAML");
  check_error ("a: 'open\n", 2, "this is not YAML");
  check_error ("a: 1\nb 2\n", 3, "this is not YAML");
  check_error ("a: @x\n", 1, "this is not YAML");
}

static void test_binary (void)
{
  static const char utf16[] = "\xff\xfe"
                              "a\0:\0 \0"
                              "1\0";
  static const char nul[] = "a: 1\nb: \0\n";
  static const char elf[] = "\177ELF\2\1\1\0\0\0";

  check_error_sized (utf16, sizeof utf16 - 1, 1, "not UTF-8");
  check_error_sized (nul, sizeof nul - 1, 2, "not UTF-8");
  check_error_sized (elf, sizeof elf - 1, 1, "not UTF-8");
  check_error ("a: 1\nb: \xc3\n", 2, "not UTF-8");
  check_error ("a: \x01\n", 1, "this is not YAML");
  check_error ("a: \xed\xa0\x80\n", 1, "not UTF-8"); /* a surrogate */
}

static char *repeat (const char *text, guint n)
{
  GString *out = g_string_new (NULL);
  for (guint i = 0; i < n; i++)
    g_string_append (out, text);
  return g_string_free (out, FALSE);
}

static void test_deep (void)
{
  g_autofree char *braces = repeat ("{a: ", 100000), *brackets = repeat ("[", 500000);
  g_autofree char *dashes = repeat ("- ", 200000), *questions = repeat ("? ", 200000);
  g_autofree char *in_list = g_strconcat ("a: ", brackets, NULL);
  g_autoptr (GString) indented = g_string_new (NULL);

  for (guint i = 0; i < 200; i++)
    g_string_append_printf (indented, "%*sa:\n", (int) i, "");
  check_error (braces, 1, "nested deeper than 16 levels");
  check_error (in_list, 1, "only list plain values");
  check_error (brackets, 1, "not a list");
  check_error (dashes, 1, "not a list");
  check_error (questions, 1, "a name is expected");
  check_error (indented->str, 17, "nested deeper than 16 levels");

  /* Sixteen are fine. */
  g_string_truncate (indented, 0);
  for (guint i = 0; i < 16; i++)
    g_string_append_printf (indented, "%*sa:%s\n", (int) i, "", i == 15 ? " 1" : "");
  check (indented->str, "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a=1@16;");
}

/* Every alias stands for the whole list before it: nine of them for a billion. */
static void test_laughs (void)
{
  g_autoptr (GString) text
      = g_string_new ("a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
  for (char c = 'b'; c < 'j'; c++) {
    g_string_append_printf (text, "%c: &%c [", c, c);
    for (guint i = 0; i < 9; i++)
      g_string_append_printf (text, "%s*%c", i > 0 ? ", " : "", c - 1);
    g_string_append (text, "]\n");
  }
  check_error (text->str, 1, "anchors and aliases");
}

static void test_huge (void)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *value = g_strnfill (CH_CONFIG_MAX_TEXT + 1, 'x');
  g_autofree char *name = g_strnfill (300, 'n');

  for (guint i = 0; i < 20000; i++)
    g_string_append_printf (text, "k%u: 1\n", i);
  check_error (text->str, 4999, "more than 10000 nodes");
  g_string_assign (text, "a:\n");
  for (guint i = 0; i < 20000; i++)
    g_string_append (text, "- 1\n");
  check_error (text->str, 9997, "more than 10000 nodes");
  g_string_printf (text, "a: %s\n", value);
  check_error (text->str, 1, "longer than 65536 bytes");
  g_string_printf (text, "%s: 1\n", name);
  check_error (text->str, 1, "too long");
}

static void test_read_file (void)
{
  g_autoptr (GError) error = NULL;
  gsize size = 0;

  g_assert_null (ch_config_read_file ("/dev/zero", 1000, &size, &error));
  g_assert_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_IO);
  g_clear_error (&error);
  g_assert_null (ch_config_read_file ("/proc/self/exe", 1000, &size, &error));
  g_assert_nonnull (strstr (error->message, "too large"));
  g_clear_error (&error);
  g_autofree char *text = ch_config_read_file ("/proc/self/comm", 1000, &size, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (strlen (text), ==, size);
}

/* Whatever a file is cut to or turned into, it is taken or refused, nothing else. */
static void test_mutations (void)
{
  static const char text[]
      = "a: 1\nb:\n  c: [x, 'y', \"z\\n\"] # why\n  d: {e: |\n   f}\n"
        "g: >-\n  long\n  text\nh.i: ${J:-k}\n? l\n: m\n";
  static const char bytes[] = "\0\n\t :-?,[]{}#&*!|>'\"%@`\x7f\xff";
  GRand *rand = g_rand_new_with_seed (7);

  for (gsize n = 0; n <= strlen (text); n++) {
    GPtrArray *nodes = parse (text, n, NULL);
    g_clear_pointer (&nodes, g_ptr_array_unref);
  }
  for (guint i = 0; i < 5000; i++) {
    char changed[sizeof text];
    memcpy (changed, text, sizeof text);
    for (gint j = g_rand_int_range (rand, 1, 5); j > 0; j--)
      changed[g_rand_int_range (rand, 0, (gint) sizeof text - 1)]
          = bytes[g_rand_int_range (rand, 0, (gint) sizeof bytes - 1)];
    g_autoptr (GError) error = NULL;
    GPtrArray *nodes = parse (changed, sizeof text - 1, &error);
    g_assert_true ((nodes == NULL) == (error != NULL));
    g_clear_pointer (&nodes, g_ptr_array_unref);
  }
  g_rand_free (rand);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/config/yaml/shapes", test_shapes);
  g_test_add_func ("/config/yaml/refused", test_refused);
  g_test_add_func ("/config/yaml/binary", test_binary);
  g_test_add_func ("/config/yaml/deep", test_deep);
  g_test_add_func ("/config/yaml/laughs", test_laughs);
  g_test_add_func ("/config/yaml/huge", test_huge);
  g_test_add_func ("/config/yaml/read-file", test_read_file);
  g_test_add_func ("/config/yaml/mutations", test_mutations);
  return g_test_run ();
}
