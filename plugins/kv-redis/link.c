/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One connection: logging in, commands one behind the other, answers in their order.
 * hiredis makes the commands' bytes and reads the answers; bytes move on the reactor.
 */
#include "redis.h"

#include <hiredis/hiredis.h>
#include <string.h>
#include <unistd.h>

#define MAX_ITEMS (16 * 1024 * 1024)
#define MAX_UNREAD (600u * 1024 * 1024)

/* ---- answers ---------------------------------------------------------------------- */

static void *attach (const redisReadTask *task, ChKvReply *reply)
{
  if (task->parent != NULL)
    ((ChKvReply *) task->parent->obj)->items[task->idx] = reply;
  return reply;
}

static void *create_string (const redisReadTask *task, char *text, size_t size)
{
  ChKvReply *reply;

  if (task->type == REDIS_REPLY_STATUS && size == 2 && memcmp (text, "OK", 2) == 0)
    return attach (task, ch_kv_reply_status ("OK"));
  if (task->type == REDIS_REPLY_STATUS || task->type == REDIS_REPLY_ERROR) {
    /* A blank keeps an empty one from being a constant, which may not be changed. */
    reply = ch_kv_reply_string (size > 0 ? text : " ", size > 0 ? (gssize) size : 1);
    reply->kind
        = task->type == REDIS_REPLY_STATUS ? CH_KV_REPLY_STATUS : CH_KV_REPLY_ERROR;
  } else {
    reply = ch_kv_reply_string (text, (gssize) size);
  }
  return attach (task, reply);
}

static void *create_array (const redisReadTask *task, int n)
{
  if (n < 0 || n > MAX_ITEMS)
    return NULL;
  return attach (task, ch_kv_reply_array ((gsize) n));
}

static void *create_integer (const redisReadTask *task, long long value)
{
  return attach (task, ch_kv_reply_integer (value));
}

static void *create_nil (const redisReadTask *task)
{
  return attach (task, ch_kv_reply_nil ());
}

static void free_object (void *reply)
{
  ch_kv_reply_free (reply);
}

/* hiredis 0.14 takes it without const and does not write to it. */
static const redisReplyObjectFunctions READER_FUNCS
    = {create_string, create_array, create_integer, create_nil, free_object};

/* ---- life ------------------------------------------------------------------------- */

static void unuse (Link *link)
{
  if (--link->in_use > 0 || !link->is_freed)
    return;
  redisReaderFree (link->reader);
  endpoint_free (link->endpoint);
  g_free (link);
}

void link_free (Link *link)
{
  if (link == NULL)
    return;
  link->is_dead = TRUE;
  link->is_freed = TRUE;
  ch_stream_close (link->redis->self, link->stream);
  request_lost_all (&link->flight, link->owner, "it was closed");
  link->in_use++;
  unuse (link);
}

/* Every reason names the server; those of the stream do so already. */
static void lose (Link *link, const char *why)
{
  if (link->is_dead)
    return;
  g_autofree char *name = endpoint_text (link->endpoint);
  g_autofree char *text = g_str_has_prefix (why, name)
                              ? g_strdup (why)
                              : g_strconcat (name, ": ", why, NULL);
  link->is_dead = TRUE;
  ch_stream_close (link->redis->self, link->stream);
  link->in_use++;
  link->funcs->lost (link->owner, link, text);
  unuse (link);
}

/* ---- asking ----------------------------------------------------------------------- */

static gboolean put (Link *link, gsize argc, const char **argv, const gsize *sizes)
{
  char *bytes = NULL;
  int n = redisFormatCommandArgv (&bytes, (int) argc, argv, sizes);

  if (n < 0)
    return FALSE;
  gboolean ok = ch_stream_write (link->redis->self, link->stream, bytes, (gsize) n);
  redisFreeCommand (bytes);
  return ok;
}

void link_ask_sized (Link *link, AskDone done, gpointer data, const char **argv,
                     const gsize *sizes, guint argc)
{
  Request *request = g_new0 (Request, 1);

  request->done = done;
  request->data = data;
  request->sent_ms = ch_now_ms (link->redis->self);
  /* What cannot be written is answered with the end of the connection. */
  put (link, argc, argv, sizes);
  request_push (&link->flight, request);
}

void link_ask (Link *link, AskDone done, gpointer data, ...)
{
  const char *argv[16];
  guint argc = 0;
  va_list args;

  va_start (args, data);
  while (argc < G_N_ELEMENTS (argv) && (argv[argc] = va_arg (args, const char *)) != NULL)
    argc++;
  va_end (args);
  link_ask_sized (link, done, data, argv, NULL, argc);
}

void link_push (Link *link, const char *command, const char *argument)
{
  const char *argv[] = {command, argument};
  put (link, argument != NULL ? 2 : 1, argv, NULL);
}

static gboolean put_run (Link *link, const ChKvRun *run)
{
  const char *few[16];
  gsize few_sizes[16];
  gsize argc = ch_kv_run_argc (run);
  g_autofree const char **many = argc > 16 ? g_new (const char *, argc) : NULL;
  g_autofree gsize *many_sizes = argc > 16 ? g_new (gsize, argc) : NULL;
  const char **argv = many != NULL ? many : few;
  gsize *sizes = many_sizes != NULL ? many_sizes : few_sizes;

  for (gsize i = 0; i < argc; i++)
    argv[i] = ch_kv_run_arg (run, i, &sizes[i]);
  return put (link, argc, argv, sizes);
}

gboolean link_send (Link *link, Request *request)
{
  if (request->asking)
    link_ask (link, NULL, NULL, "ASKING", NULL);
  if (link->is_dead || !put_run (link, request->run))
    return FALSE;
  request->asking = FALSE;
  request->tries++;
  request->sent_ms = ch_now_ms (link->redis->self);
  request_push (&link->flight, request);
  return TRUE;
}

gint64 link_oldest_ms (const Link *link)
{
  if (link->flight.head == NULL)
    return 0;
  return ch_now_ms (link->redis->self) - link->flight.head->sent_ms;
}

/* ---- logging in ------------------------------------------------------------------- */

static void logged_in (gpointer owner, const ChKvReply *reply, gpointer data)
{
  Link *link = data;

  if (reply == NULL || link->is_dead)
    return;
  if (reply_is_error (reply, "NOAUTH") || reply_is_error (reply, "LOADING")
      || reply_is_error (reply, "MASTERDOWN")) {
    lose (link, reply->text);
    return;
  }
  link->is_ready = TRUE;
  link->funcs->ready (link->owner, link);
}

static void must_be_ok (gpointer owner, const ChKvReply *reply, gpointer data)
{
  Link *link = data;
  if (reply != NULL && reply->kind == CH_KV_REPLY_ERROR)
    lose (link, reply->text);
}

static void log_in (Link *link)
{
  const Settings *settings = &link->redis->settings;
  const char *user = link->for_sentinel ? settings->sentinel_user : settings->user;
  const char *password
      = link->for_sentinel ? settings->sentinel_password : settings->password;
  g_autofree char *name
      = g_strdup_printf ("chargehost-%d-%s", (int) getpid (), link->purpose);
  g_autofree char *db = g_strdup_printf ("%" G_GINT64_FORMAT, settings->db);

  if (password != NULL && password[0] != '\0') {
    if (user != NULL && user[0] != '\0')
      link_ask (link, must_be_ok, link, "AUTH", user, password, NULL);
    else
      link_ask (link, must_be_ok, link, "AUTH", password, NULL);
  }
  link_ask (link, NULL, NULL, "CLIENT", "SETNAME", name, NULL);
  if (settings->db > 0 && !link->for_sentinel)
    link_ask (link, must_be_ok, link, "SELECT", db, NULL);
  link_ask (link, logged_in, link, "PING", NULL);
}

/* ---- the stream ------------------------------------------------------------------- */

static void opened (ChPlugin *self, ChStream stream, gpointer user_data)
{
  Link *link = user_data;
  link->input_ms = ch_now_ms (self);
}

static void take_reply (Link *link, ChKvReply *reply)
{
  if (link->funcs->pushed != NULL && link->is_ready) {
    link->funcs->pushed (link->owner, link, reply);
    ch_kv_reply_free (reply);
    return;
  }
  Request *request = request_pop (&link->flight);
  if (request == NULL) {
    ch_kv_reply_free (reply);
    lose (link, "an answer to nothing");
    return;
  }
  if (request->run != NULL) {
    link->funcs->reply (link->owner, link, request, reply);
    return;
  }
  if (request->done != NULL)
    request->done (link->owner, reply, request->data);
  ch_kv_reply_free (reply);
  g_free (request);
}

static void input (ChPlugin *self, ChStream stream, const char *bytes, gsize n,
                   gpointer user_data)
{
  Link *link = user_data;

  link->in_use++;
  link->input_ms = ch_now_ms (self);
  if (link->reader->len - link->reader->pos > MAX_UNREAD
      || redisReaderFeed (link->reader, bytes, n) != REDIS_OK)
    lose (link, "an answer is too large");
  while (!link->is_dead) {
    void *reply = NULL;
    if (redisReaderGetReply (link->reader, &reply) != REDIS_OK) {
      lose (link, link->reader->errstr);
      break;
    }
    if (reply == NULL)
      break;
    take_reply (link, reply);
  }
  unuse (link);
}

static void closed (ChPlugin *self, ChStream stream, const GError *error,
                    gpointer user_data)
{
  lose (user_data, error->message);
}

static const ChStreamFuncs STREAM_FUNCS = {sizeof STREAM_FUNCS, opened, input, closed};

Link *link_new (Redis *redis, const Endpoint *endpoint, const char *purpose,
                const LinkFuncs *funcs, gpointer owner)
{
  Link *link = g_new0 (Link, 1);
  const Settings *settings = &redis->settings;
  ChStreamTls tls = {.size = sizeof tls,
                     .name = settings->tls_name,
                     .ca_file = settings->tls_ca,
                     .cert_file = settings->tls_cert,
                     .key_file = settings->tls_key,
                     .insecure = settings->tls_insecure};
  ChStreamOptions options
      = {.size = sizeof options,
         .host = endpoint->host,
         .port = endpoint->port,
         .path = endpoint->path,
         .timeout_ms = settings->dial_ms,
         .tls = settings->tls && endpoint->path == NULL ? &tls : NULL};

  link->redis = redis;
  link->funcs = funcs;
  link->owner = owner;
  link->purpose = purpose;
  link->for_sentinel = g_str_equal (purpose, "sentinel");
  link->endpoint = endpoint_copy (endpoint);
  link->reader
      = redisReaderCreateWithFunctions ((redisReplyObjectFunctions *) &READER_FUNCS);
  link->input_ms = ch_now_ms (redis->self);
  link->stream = ch_stream_open (redis->self, &options, &STREAM_FUNCS, link);
  log_in (link);
  return link;
}
