/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What handlers call: the ch_reply_* functions of the SDK. */
#include "http/http-private.h"

static ChRequest *find (ChPlugin *self, ChReply reply)
{
  return ch_replies_peek (self->services->replies, reply, CH_HTTP_REPLY);
}

void ch_reply_data (ChPlugin *self, ChReply reply, guint status, const char *message,
                    json_t *data)
{
  ChRequest *request = find (self, reply);
  if (request == NULL) {
    json_decref (data);
    return;
  }
  ch_http_answer_data (request, status, 0, message != NULL ? message : "success", data);
}

void ch_reply_error (ChPlugin *self, ChReply reply, gint code, const char *message,
                     json_t *data)
{
  ChRequest *request = find (self, reply);
  if (request == NULL) {
    json_decref (data);
    return;
  }
  ch_http_answer_error (request, code, message != NULL ? message : "error", data);
}

static gint code_of (const GError *error)
{
  if (error->domain == CH_CORE_ERROR)
    return error->code;
  if (error->domain == CH_STORE_ERROR || error->domain == CH_KV_ERROR)
    return CH_CORE_ERROR_STORE_UNAVAILABLE;
  if (error->domain == CH_CONFIG_ERROR || error->domain == CH_JSON_ERROR)
    return CH_CORE_ERROR_INVALID_PARAMETER;
  return CH_CORE_ERROR_INTERNAL;
}

void ch_reply_gerror (ChPlugin *self, ChReply reply, const GError *error)
{
  gint code = code_of (error);
  /* What a database says of itself is for the log, not for clients. */
  gboolean is_ours
      = error->domain == CH_CORE_ERROR || code == CH_CORE_ERROR_INVALID_PARAMETER;
  if (!is_ours)
    ch_warning (self, "answering %d: %s", code, error->message);
  ch_reply_error (self, reply, code,
                  is_ours                          ? error->message
                  : code == CH_CORE_ERROR_INTERNAL ? "internal error"
                                                   : "the store is not available",
                  NULL);
}

void ch_reply_bytes (ChPlugin *self, ChReply reply, guint status,
                     const char *content_type, const void *bytes, gsize size)
{
  ChRequest *request = find (self, reply);
  if (request != NULL)
    ch_http_answer (request, status, content_type, g_memdup2 (bytes, size), size);
}

void ch_reply_header (ChPlugin *self, ChReply reply, const char *name, const char *value)
{
  ChRequest *request = find (self, reply);
  if (request != NULL)
    ch_http_header (request, name, value);
}
