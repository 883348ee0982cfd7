/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a handler may know of a request. */
#include "http/http-private.h"

#include <string.h>

#define MAX_QUERY 8192
#define MAX_QUERY_PARAMS 64

const char *ch_http_request_raw_path (const ChRequest *request)
{
  if (request->local != NULL)
    return ch_http_local_path (request);
  GUri *uri = soup_server_message_get_uri (request->msg);
  const char *path = uri != NULL ? g_uri_get_path (uri) : NULL;
  return path != NULL && *path != '\0' ? path : "/";
}

const char *ch_request_path (const ChRequest *request, const char *name)
{
  for (guint i = 0; i < request->route->n_params && i < request->match.n_values; i++)
    if (strcmp (request->route->names[i], name) == 0)
      return request->match.values[i];
  return NULL;
}

/* ---- query ---------------------------------------------------------------------------
 */

static gboolean add_pair (GPtrArray *pairs, const char *text, gsize size)
{
  const char *equals = memchr (text, '=', size);
  gsize n = equals != NULL ? (gsize) (equals - text) : size;
  gsize m = equals != NULL ? size - n - 1 : 0;
  char *name = g_malloc (n + 1), *value = g_malloc (m + 1);
  gboolean ok = ch_http_unescape (text, n, TRUE, name)
                && ch_http_unescape (equals != NULL ? equals + 1 : "", m, TRUE, value);
  g_ptr_array_add (pairs, name);
  g_ptr_array_add (pairs, value);
  return ok;
}

gboolean ch_http_request_read_query (ChRequest *request)
{
  if (request->has_query)
    return TRUE;
  GUri *uri = soup_server_message_get_uri (request->msg);
  const char *p = uri != NULL ? g_uri_get_query (uri) : NULL;
  request->has_query = TRUE;
  if (p == NULL)
    return TRUE;
  if (strlen (p) > MAX_QUERY)
    return FALSE;
  if (request->query == NULL)
    request->query = g_ptr_array_new_with_free_func (g_free);
  while (*p != '\0') {
    gsize size = strcspn (p, "&");
    if (size > 0
        && (request->query->len >= 2 * MAX_QUERY_PARAMS
            || !add_pair (request->query, p, size)))
      return FALSE;
    p += size + (p[size] == '&');
  }
  return TRUE;
}

const char *ch_request_query (const ChRequest *request, const char *name)
{
  if (!request->has_query)
    ch_http_request_read_query ((ChRequest *) (guintptr) request);
  for (guint i = 0; request->query != NULL && i + 1 < request->query->len; i += 2)
    if (strcmp (g_ptr_array_index (request->query, i), name) == 0)
      return g_ptr_array_index (request->query, i + 1);
  return NULL;
}

gint64 ch_request_query_int (const ChRequest *request, const char *name, gint64 def)
{
  const char *text = ch_request_query (request, name);
  gint64 value;
  return text != NULL
                 && g_ascii_string_to_signed (text, 10, G_MININT64 + 1, G_MAXINT64,
                                              &value, NULL)
             ? value
             : def;
}

/* ---- body ----------------------------------------------------------------------------
 */

static gboolean is_json (const char *type)
{
  gsize n = type != NULL ? strcspn (type, "; \t") : 0;
  return type == NULL
         || (n == strlen ("application/json")
             && g_ascii_strncasecmp (type, "application/json", n) == 0)
         || (n > 5 && g_ascii_strncasecmp (type + n - 5, "+json", 5) == 0);
}

static gboolean takes_json (const ChRoute *route)
{
  for (const ChParam *p = route->params; p != NULL && p->name != NULL; p++)
    if (p->place == CH_PARAM_BODY)
      return TRUE;
  return FALSE;
}

gboolean ch_http_request_read_body (ChRequest *request)
{
  g_autoptr (GError) error = NULL;

  if (request->bytes == NULL || request->bytes->len == 0)
    return TRUE;
  if (!is_json (ch_request_header (request, "Content-Type"))) {
    /* A route without body parameters may read the bytes itself. */
    if (!takes_json (&request->route->table) && request->route->table.max_body > 0)
      return TRUE;
    ch_http_answer_error (request, 41500, "the body has to be application/json", NULL);
    return FALSE;
  }
  request->body
      = ch_json_parse ((const char *) request->bytes->data, request->bytes->len, &error);
  if (request->body == NULL) {
    ch_http_answer_error (request, 40000, error->message, NULL);
    return FALSE;
  }
  if (!json_is_object (request->body) && takes_json (&request->route->table)) {
    ch_http_answer_error (request, 40000, "the body has to be an object", NULL);
    return FALSE;
  }
  return TRUE;
}

const json_t *ch_request_body (const ChRequest *request)
{
  if (request->body == NULL)
    ((ChRequest *) (guintptr) request)->body = json_object ();
  return request->body;
}

/* ---- the rest ------------------------------------------------------------------------
 */

const char *ch_request_id (const ChRequest *request)
{
  return request->id;
}

const char *ch_request_key_id (const ChRequest *request)
{
  return request->key != NULL ? request->key->id : "";
}

const char *ch_request_header (const ChRequest *request, const char *name)
{
  if (request->local != NULL)
    return g_ascii_strcasecmp (name, "Content-Type") == 0 ? ch_http_local_type (request)
                                                          : NULL;
  return soup_message_headers_get_one (
      soup_server_message_get_request_headers (request->msg), name);
}

const char *ch_request_remote (const ChRequest *request)
{
  if (request->local == NULL && request->client[0] == '\0') {
    g_autoptr (GInetAddress) address = NULL;
    return ch_http_conn_client ((ChRequest *) (guintptr) request, &address);
  }
  return request->client;
}
