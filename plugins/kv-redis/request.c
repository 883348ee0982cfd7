/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists of commands on their way, and how they end without an answer. */
#include "redis.h"

#include <stdarg.h>
#include <string.h>

void request_push (RequestList *list, Request *request)
{
  request->next = NULL;
  if (list->tail != NULL)
    list->tail->next = request;
  else
    list->head = request;
  list->tail = request;
  list->n++;
}

Request *request_pop (RequestList *list)
{
  Request *request = list->head;

  if (request == NULL)
    return NULL;
  list->head = request->next;
  if (list->head == NULL)
    list->tail = NULL;
  list->n--;
  request->next = NULL;
  return request;
}

Request *request_take (RequestList *list, const ChKvRun *run)
{
  Request *before = NULL;

  for (Request *at = list->head; at != NULL; before = at, at = at->next) {
    if (at->run != run)
      continue;
    if (before != NULL)
      before->next = at->next;
    else
      list->head = at->next;
    if (list->tail == at)
      list->tail = before;
    list->n--;
    at->next = NULL;
    return at;
  }
  return NULL;
}

void request_fail (Request *request, ChKvError code, const char *format, ...)
{
  ChKvRun *run = request->run;
  va_list args;

  va_start (args, format);
  GError *error = g_error_new_valist (CH_KV_ERROR, (gint) code, format, args);
  va_end (args);
  g_free (request);
  ch_kv_run_complete (run, NULL, error);
}

void request_fail_all (RequestList *list, ChKvError code, const char *why)
{
  RequestList all = *list;
  Request *request;

  *list = (RequestList) {0};
  while ((request = request_pop (&all)) != NULL)
    request_fail (request, code, "%s", why);
}

void request_lost_all (RequestList *list, gpointer owner, const char *why)
{
  RequestList all = *list;
  Request *request;

  *list = (RequestList) {0};
  while ((request = request_pop (&all)) != NULL) {
    if (request->run != NULL) {
      request_fail (request, CH_KV_ERROR_OUTCOME_UNKNOWN,
                    "the connection was lost before the answer came: %s", why);
      continue;
    }
    if (request->done != NULL)
      request->done (owner, NULL, request->data);
    g_free (request);
  }
}

gboolean reply_is_error (const ChKvReply *reply, const char *word)
{
  gsize n = strlen (word);
  return reply != NULL && reply->kind == CH_KV_REPLY_ERROR && reply->size >= n
         && memcmp (reply->text, word, n) == 0;
}
