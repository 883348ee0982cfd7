/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helpers/kv-fixture.h"
#include "base/metrics-private.h"

#include <string.h>

#define PATIENCE_US (20 * G_USEC_PER_SEC)

static void open_driver (KvFixture *fixture)
{
  g_autoptr (GError) error = NULL;

  fixture->driver = ch_owner_new (&fixture->services, fixture->info->name, fixture->info);
  if (!fixture->info->start (fixture->driver, &error)
      || !ch_kv_open (fixture->services.kv, fixture->driver, fixture->info->kv_driver,
                      &error))
    g_error ("%s does not start: %s", fixture->info->name, error->message);
  fixture->is_open = TRUE;
}

static void close_driver (KvFixture *fixture)
{
  ch_kv_close (fixture->services.kv);
  fixture->info->stop (fixture->driver);
  ch_owner_free (fixture->driver);
  fixture->is_open = FALSE;
}

KvFixture *kv_fixture_new (ChPluginQuery query, ChClock *clock,
                           const char *const *options)
{
  KvFixture *fixture = g_new0 (KvFixture, 1);
  ChServices *services = &fixture->services;
  g_autoptr (GError) error = NULL;

  fixture->info = query ();
  fixture->context = g_main_context_new ();
  services->clock = clock != NULL ? clock : ch_clock_new ();
  services->runner = ch_runner_new ();
  services->config = ch_config_new ();
  services->metrics = ch_metrics_new ();
  services->reactor = ch_reactor_new (services, fixture->context, &error);
  g_assert_no_error (error);
  ch_kv_new (services);
  ch_config_declare (services->config, fixture->info->name, fixture->info->config);
  for (gsize i = 0; options != NULL && options[i] != NULL; i++)
    if (!ch_config_add_option (services->config, options[i], &error))
      g_error ("%s: %s", options[i], error->message);
  ch_config_resolve (services->config, NULL, &error);
  g_assert_no_error (error);
  fixture->caller = ch_owner_new (services, "caller", NULL);
  open_driver (fixture);
  return fixture;
}

void kv_fixture_free (KvFixture *fixture)
{
  if (fixture == NULL)
    return;
  ch_owner_free (fixture->caller);
  if (fixture->is_open)
    close_driver (fixture);
  ch_kv_free (fixture->services.kv);
  ch_reactor_free (fixture->services.reactor);
  ch_config_free (fixture->services.config);
  ch_metrics_free (fixture->services.metrics);
  ch_runner_free (fixture->services.runner);
  ch_clock_free (fixture->services.clock);
  g_main_context_unref (fixture->context);
  g_free (fixture);
}

void kv_fixture_restart (KvFixture *fixture)
{
  close_driver (fixture);
  open_driver (fixture);
}

void kv_fixture_turn (KvFixture *fixture)
{
  g_main_context_iteration (fixture->context, FALSE);
}

void kv_fixture_advance (KvFixture *fixture, gint64 ms)
{
  ch_clock_advance_ms (fixture->services.clock, ms);
  ch_wheel_run (fixture->services.reactor);
  kv_fixture_turn (fixture);
}

/* ---- text ------------------------------------------------------------------------- */

static void print_bytes (GString *text, const char *p, gsize n)
{
  g_string_append_c (text, '"');
  for (gsize i = 0; i < n; i++) {
    guchar c = (guchar) p[i];
    if (c == '"' || c == '\\')
      g_string_append_printf (text, "\\%c", c);
    else if (c == '\n')
      g_string_append (text, "\\n");
    else if (c < 0x20 || c >= 0x7f)
      g_string_append_printf (text, "\\x%02x", c);
    else
      g_string_append_c (text, (char) c);
  }
  g_string_append_c (text, '"');
}

void kv_reply_print (GString *text, const ChKvReply *reply)
{
  switch (reply->kind) {
  case CH_KV_REPLY_STATUS:
    g_string_append_printf (text, "+%s", reply->text);
    break;
  case CH_KV_REPLY_ERROR:
    g_string_append_printf (text, "-%s", reply->text);
    break;
  case CH_KV_REPLY_INTEGER:
    g_string_append_printf (text, ":%" G_GINT64_FORMAT, reply->integer);
    break;
  case CH_KV_REPLY_STRING:
    print_bytes (text, reply->text, reply->size);
    break;
  case CH_KV_REPLY_ARRAY:
    g_string_append_c (text, '[');
    for (gsize i = 0; i < reply->n_items; i++) {
      if (i > 0)
        g_string_append_c (text, ' ');
      kv_reply_print (text, reply->items[i]);
    }
    g_string_append_c (text, ']');
    break;
  case CH_KV_REPLY_NIL:
  default:
    g_string_append (text, "nil");
    break;
  }
}

char *kv_reply_text (const ChKvReply *reply)
{
  GString *text = g_string_new (NULL);
  kv_reply_print (text, reply);
  return g_string_free (text, FALSE);
}

static gint compare_texts (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

char *kv_reply_sorted_text (const ChKvReply *reply, gsize group)
{
  g_autoptr (GPtrArray) items = g_ptr_array_new_with_free_func (g_free);

  for (gsize i = 0; i + group <= reply->n_items; i += group) {
    g_autoptr (GString) text = g_string_new (NULL);
    for (gsize k = 0; k < group; k++) {
      if (k > 0)
        g_string_append_c (text, ' ');
      kv_reply_print (text, reply->items[i + k]);
    }
    g_ptr_array_add (items, g_strdup (text->str));
  }
  g_ptr_array_sort (items, compare_texts);
  g_ptr_array_add (items, NULL);
  g_autofree char *joined = g_strjoinv (" ", (char **) items->pdata);
  return g_strdup_printf ("[%s]", joined);
}

char *kv_reply_plain_text (const ChKvReply *reply)
{
  char *text = kv_reply_text (reply);
  char *tail = reply->kind == CH_KV_REPLY_ERROR ? strstr (text, " script:") : NULL;
  if (tail != NULL)
    *tail = '\0';
  return text;
}

ChKvReply *kv_reply_copy (const ChKvReply *reply)
{
  switch (reply->kind) {
  case CH_KV_REPLY_INTEGER:
    return ch_kv_reply_integer (reply->integer);
  case CH_KV_REPLY_STRING:
    return ch_kv_reply_string (reply->text, (gssize) reply->size);
  case CH_KV_REPLY_STATUS:
    return ch_kv_reply_status (reply->text);
  case CH_KV_REPLY_ERROR:
    return ch_kv_reply_error ("%s", reply->text);
  case CH_KV_REPLY_ARRAY: {
    ChKvReply *copy = ch_kv_reply_array (reply->n_items);
    for (gsize i = 0; i < reply->n_items; i++)
      copy->items[i] = kv_reply_copy (reply->items[i]);
    return copy;
  }
  case CH_KV_REPLY_NIL:
  default:
    return ch_kv_reply_nil ();
  }
}

/* ---- words ------------------------------------------------------------------------ */

static gint hex_digits (const char *at)
{
  if (!g_ascii_isxdigit (at[0]) || !g_ascii_isxdigit (at[1]))
    g_error ("bad \\x in a test's line: %s", at);
  return g_ascii_xdigit_value (at[0]) * 16 + g_ascii_xdigit_value (at[1]);
}

/* A word, or what is between quotes; returns where it goes on. */
static const char *read_quoted (const char *at, GString *word)
{
  char quote = *at++;

  for (; *at != quote; at++) {
    g_assert (*at != '\0');
    if (quote == '\'' || *at != '\\') {
      g_string_append_c (word, *at);
      continue;
    }
    at++;
    if (*at == 'x') {
      g_string_append_c (word, (char) hex_digits (at + 1));
      at += 2;
    } else {
      g_string_append_c (word, *at == 'n' ? '\n' : *at == 'r' ? '\r' : *at);
    }
  }
  return at + 1;
}

void kv_words_split (KvWords *words, const char *line)
{
  words->words = g_ptr_array_new_with_free_func (g_free);
  words->sizes = g_array_new (FALSE, FALSE, sizeof (gsize));
  for (;;) {
    while (*line == ' ')
      line++;
    if (*line == '\0')
      return;
    GString *word = g_string_new (NULL);
    while (*line != '\0' && *line != ' ') {
      if (*line == '\'' || *line == '"')
        line = read_quoted (line, word);
      else
        g_string_append_c (word, *line++);
    }
    gsize size = word->len;
    g_array_append_val (words->sizes, size);
    g_ptr_array_add (words->words, g_string_free (word, FALSE));
  }
}

void kv_words_clear (KvWords *words)
{
  g_ptr_array_unref (words->words);
  g_array_unref (words->sizes);
}

/* ---- commands --------------------------------------------------------------------- */

typedef struct {
  ChKvReply *reply; /* NULL until it is there */
} Answer;

static void answered (ChPlugin *self, const ChKvReply *reply, const GError *error,
                      gpointer user_data)
{
  Answer *answer = user_data;

  if (reply != NULL)
    answer->reply = kv_reply_copy (reply);
  else
    answer->reply = ch_kv_reply_error ("!%d %s", error->code, error->message);
}

ChKvReply *kv_fixture_run (KvFixture *fixture, const KvWords *words)
{
  Answer answer = {NULL};
  gint64 until_us = g_get_monotonic_time () + PATIENCE_US;
  gboolean may_sleep = !ch_clock_is_fake (fixture->services.clock);

  ch_kv_command (fixture->caller, answered, &answer,
                 (const char *const *) words->words->pdata,
                 (const gsize *) (gpointer) words->sizes->data, words->words->len);
  g_assert_null (answer.reply);
  while (answer.reply == NULL) {
    g_assert_cmpint (g_get_monotonic_time (), <, until_us);
    g_main_context_iteration (fixture->context, may_sleep);
  }
  return answer.reply;
}

char *kv_fixture_line (KvFixture *fixture, const char *line)
{
  g_auto (KvWords) words;

  kv_words_split (&words, line);
  g_autoptr (ChKvReply) reply = kv_fixture_run (fixture, &words);
  return kv_reply_text (reply);
}
