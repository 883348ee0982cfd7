/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bed.h"

#include "base/metrics-private.h"
#include <chargehost/clock.h>

gboolean bed_begin (int *argc, char ***argv, int *status)
{
  const char *reason;
  g_autoptr (RedisServer) server = redis_server_start (&reason);

  if (server == NULL) {
    *status = redis_server_missing (reason);
    return FALSE;
  }
  g_test_init (argc, argv, NULL);
  return TRUE;
}

RedisServer *bed_server (guint16 port, const char *const *words)
{
  const char *reason;
  RedisServer *server = redis_server_start_with (port, words, &reason);
  if (server == NULL)
    g_error ("%s", reason);
  return server;
}

KvFixture *bed_open (const RedisServer *server, const char *const *more)
{
  g_autoptr (GPtrArray) options = g_ptr_array_new ();
  g_autofree char *url
      = g_strconcat ("redis.url=unix://", redis_server_socket (server), NULL);

  g_ptr_array_add (options, url);
  for (gsize i = 0; more != NULL && more[i] != NULL; i++)
    g_ptr_array_add (options, (gpointer) more[i]);
  g_ptr_array_add (options, NULL);
  return kv_fixture_new (ch_plugin_kv_redis_query, NULL,
                         (const char *const *) options->pdata);
}

gboolean bed_up (KvFixture *kv)
{
  return ch_kv_is_up (kv->caller);
}

static void over (ChPlugin *self, gpointer data)
{
  *(gboolean *) data = TRUE;
}

void bed_pass (KvFixture *kv, guint ms)
{
  gboolean is_over = FALSE;

  ch_timer_add (kv->caller, ms, over, &is_over);
  while (!is_over)
    g_main_context_iteration (kv->context, TRUE);
}

char *bed_direct (const RedisServer *server, const char *line)
{
  g_autoptr (RespClient) client = resp_client_new (redis_server_socket (server));
  g_auto (KvWords) words;

  kv_words_split (&words, line);
  resp_client_send (client, (const char *const *) words.words->pdata,
                    (const gsize *) (gpointer) words.sizes->data, words.words->len);
  g_autoptr (ChKvReply) reply = resp_client_read (client);
  return reply != NULL ? kv_reply_text (reply) : g_strdup ("closed");
}

static void answered (ChPlugin *self, const ChKvReply *reply, const GError *error,
                      gpointer user_data)
{
  BedCount *count = user_data;

  count->n++;
  g_free (count->last);
  count->last = error != NULL ? g_strdup (error->message) : kv_reply_text (reply);
  if (error == NULL)
    count->n_ok++;
  else if (g_error_matches (error, CH_KV_ERROR, CH_KV_ERROR_UNAVAILABLE))
    count->n_unavailable++;
  else if (g_error_matches (error, CH_KV_ERROR, CH_KV_ERROR_OUTCOME_UNKNOWN))
    count->n_unknown++;
  else if (g_error_matches (error, CH_KV_ERROR, CH_KV_ERROR_TIMEOUT))
    count->n_timeout++;
  else
    count->n_other++;
}

void bed_send (KvFixture *kv, BedCount *count, const char *line)
{
  bed_send_of (kv->caller, count, line);
}

void bed_send_of (ChPlugin *caller, BedCount *count, const char *line)
{
  g_auto (KvWords) words;

  kv_words_split (&words, line);
  ch_kv_command (caller, answered, count, (const char *const *) words.words->pdata,
                 (const gsize *) (gpointer) words.sizes->data, words.words->len);
}

void bed_count_clear (BedCount *count)
{
  g_free (count->last);
}

double bed_metric (KvFixture *kv, const char *name)
{
  ChMetric *metric = ch_metric_register (kv->driver, CH_METRIC_COUNTER, name, "", NULL);
  return ch_series_value (ch_metric_with (metric, NULL));
}
