/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests that come another way than HTTP, from somebody who may: the administrators'
 * routes serve the management interface too, with the same checks and the same answers.
 */
#include "core/core-admin.h"
#include "http/http-private.h"

#include <string.h>

#define LIMIT_MS 30000

struct _ChHttpLocal {
  ChRequest request;
  ChAsk *ask;
  ChTimer timer;
  gboolean busy; /* whoever asks is still on the stack, and so are its steps */
  json_t *data;
  GError *error;
  char *path, *actor, *action;
  const char *type; /* of a body that is no JSON, NULL: none */
};

const char *ch_http_local_path (const ChRequest *request)
{
  return request->local->path;
}

const char *ch_http_local_type (const ChRequest *request)
{
  return request->local->type;
}

const char *ch_http_local_actor (const ChRequest *request, const char **action)
{
  *action = request->local->action;
  return request->local->actor;
}

static void local_free (ChHttpLocal *local)
{
  ChRequest *request = &local->request;
  ch_timer_cancel (request->http->self, &local->timer);
  ch_http_exchange_clear (request);
  ch_http_match_clear (&request->match);
  g_clear_pointer (&request->query, g_ptr_array_unref);
  g_clear_pointer (&request->bytes, g_byte_array_unref);
  json_decref (local->data);
  g_clear_error (&local->error);
  g_free (local->path);
  g_free (local->actor);
  g_free (local->action);
  g_free (local);
}

static void finish (ChHttpLocal *local)
{
  g_autoptr (json_t) data = g_steal_pointer (&local->data);
  g_autoptr (GError) error = g_steal_pointer (&local->error);
  ChAsk *ask = local->ask;
  local_free (local);
  ch_ask_answer (ask, data, error);
}

void ch_http_local_answer (ChRequest *request, guint status, const char *message,
                           json_t *data)
{
  ChHttpLocal *local = request->local;

  request->answered = TRUE;
  request->status = status;
  local->data = data;
  if (status >= 400)
    local->error = g_error_new_literal (CH_CORE_ERROR, request->code, message);
  ch_http_audit_answer (request, status);
  if (!local->busy)
    finish (local);
}

static void too_late (ChPlugin *self, gpointer data)
{
  ChHttpLocal *local = data;
  local->timer = 0;
  ch_http_answer_error (&local->request, 50401, "no answer came in time", NULL);
}

/* ---- parameters ----------------------------------------------------------------------
 */

static const ChParam *find_param (const ChRoute *route, const char *name)
{
  for (const ChParam *p = route->params; p != NULL && p->name != NULL; p++)
    if (g_str_equal (p->name, name))
      return p;
  return NULL;
}

/* Whether @name stands in the path as {name}. */
static gboolean is_in_path (const char *path, const char *name)
{
  g_autofree char *brace = g_strdup_printf ("{%s}", name);
  return strstr (path, brace) != NULL;
}

/* As it would stand in a query or a path. (transfer full) */
static char *text_of (const json_t *value)
{
  return json_is_string (value) ? g_strdup (json_string_value (value))
                                : ch_json_dump (value);
}

/* "/bans/{subject}" with what is given for it; NULL when nothing is. (transfer full) */
static char *fill_path (const char *path, const json_t *params)
{
  g_autoptr (GString) filled = g_string_new (NULL);
  for (const char *p = path; *p != '\0';) {
    const char *end = *p == '{' ? strchr (p, '}') : NULL;
    if (end == NULL) {
      g_string_append_c (filled, *p++);
      continue;
    }
    g_autofree char *name = g_strndup (p + 1, (gsize) (end - p - 1));
    const json_t *value = json_object_get (params, name);
    if (value == NULL)
      return NULL;
    g_autofree char *text = text_of (value);
    g_string_append_uri_escaped (filled, text, NULL, FALSE);
    p = end + 1;
  }
  return g_string_free (g_steal_pointer (&filled), FALSE);
}

/* Objects may come as the text of one. (transfer full) */
static json_t *body_value (const ChParam *param, const json_t *value)
{
  json_t *object = NULL;
  if (param->kind == CH_PARAM_OBJECT && json_is_string (value))
    object = ch_json_parse (json_string_value (value), json_string_length (value), NULL);
  return object != NULL ? object : json_incref ((json_t *) (guintptr) value);
}

/* FALSE, and @unknown, when the route has no such parameter. */
static gboolean take_params (ChRequest *request, const json_t *params,
                             const char **unknown)
{
  const ChRoute *route = &request->route->table;
  const char *name;
  json_t *value;

  request->query = g_ptr_array_new_with_free_func (g_free);
  request->has_query = TRUE;
  request->body = json_object ();
  json_object_foreach ((json_t *) (guintptr) params, name, value)
  {
    const ChParam *param = find_param (route, name);
    if (param == NULL && !is_in_path (route->path, name)) {
      *unknown = name;
      return FALSE;
    }
    if (param != NULL && param->place == CH_PARAM_QUERY) {
      g_ptr_array_add (request->query, g_strdup (name));
      g_ptr_array_add (request->query, text_of (value));
    } else if (param != NULL && param->place == CH_PARAM_BODY)
      json_object_set_new (request->body, name, body_value (param, value));
  }
  return TRUE;
}

static char *names_of (const ChRoute *route)
{
  g_autoptr (GString) names = g_string_new (NULL);
  for (const ChParam *p = route->params; p != NULL && p->name != NULL; p++)
    g_string_append_printf (names, "%s%s", names->len > 0 ? ", " : "", p->name);
  return g_string_free (g_steal_pointer (&names), FALSE);
}

/* ---- asking --------------------------------------------------------------------------
 */

static gboolean take_body (ChRequest *request, const ChHttpAsk *ask)
{
  gsize size = ask->body != NULL ? strlen (ask->body) : 0;
  if (size > request->route->table.max_body) {
    ch_http_answer_error (request, 41300, "the text is too large", NULL);
    return FALSE;
  }
  request->bytes = g_byte_array_sized_new ((guint) size);
  g_byte_array_append (request->bytes, (const guint8 *) ask->body, (guint) size);
  return TRUE;
}

static gboolean prepare (ChRequest *request, const ChHttpAsk *ask)
{
  const char *unknown = NULL;
  ChHttpRoute *route = NULL;

  if (request->local->path == NULL
      || ch_http_router_find (request->http->router, request->method,
                              request->local->path, &request->match, &route)
             != CH_HTTP_FOUND
      || route->table.auth != CH_AUTH_ADMIN) {
    ch_http_answer_error (request, 40400, "there is nothing of that name", NULL);
    return FALSE;
  }
  request->route = ch_http_route_ref (route);
  if (!take_params (request, ask->params, &unknown)) {
    g_autofree char *names = names_of (&route->table);
    g_autofree char *message
        = g_strdup_printf ("there is no option '%.64s', only: %s",
                           g_utf8_validate (unknown, -1, NULL) ? unknown : "…", names);
    ch_http_answer_error (request, 40010, message, NULL);
    return FALSE;
  }
  return ask->type == NULL || take_body (request, ask);
}

void ch_http_ask (ChPlugin *self, const ChHttpAsk *ask, ChCoreDone done,
                  gpointer user_data)
{
  ChHttp *http = self->services->http;
  ChHttpLocal *local = g_new0 (ChHttpLocal, 1);
  ChRequest *request = &local->request;

  local->ask = ch_ask_new (self, done, user_data);
  local->path = fill_path (ask->path, ask->params);
  local->actor = g_strdup (ask->actor);
  local->action = g_strdup (ask->action);
  local->type = ask->type;
  request->http = http;
  request->local = local;
  request->method = ask->method;
  memcpy (request->id, "req-", 4);
  ch_ulid (http->self, request->id + 4);
  local->timer = ch_timer_add (http->self, LIMIT_MS, too_late, local);
  local->busy = TRUE;
  if (prepare (request, ask))
    ch_http_exchange_resume (request, CH_HTTP_STEP_CHECK);
  local->busy = FALSE;
  if (request->answered)
    finish (local);
}
