/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who changed what as an administrator: rows of audit_log. */
#include "http/http-private.h"

void ch_http_audit (ChHttp *http, const char *actor, const char *ip, const char *action,
                    const char *object, const char *request_id, const char *before,
                    const char *after)
{
  ch_log (http->self, CH_LOG_NOTICE,
          CH_LOG_FIELDS ("request_id", request_id != NULL ? request_id : "", "remote",
                         ip != NULL ? ip : ""),
          "audit: %s %s by %s", action, object != NULL ? object : "", actor);
  if (!ch_http_has_store (http))
    return;
  ChTx *tx = ch_tx_new (http->self);
  ch_tx_add (tx, NULL, "audit.insert");
  ch_tx_bind_time (tx, "at", ch_wall_ms (http->self));
  ch_tx_bind_text (tx, "actor", actor);
  ch_tx_bind_text (tx, "ip", ip);
  ch_tx_bind_text (tx, "action", action);
  ch_tx_bind_text (tx, "object", object);
  ch_tx_bind_text (tx, "request_id", request_id);
  if (before != NULL)
    ch_tx_bind_json (tx, "before", before);
  else
    ch_tx_bind_null (tx, "before");
  if (after != NULL)
    ch_tx_bind_json (tx, "after", after);
  else
    ch_tx_bind_null (tx, "after");
  ch_tx_submit (tx, 0, NULL, NULL);
}

/* Every change through an administrator's route that was carried out. */
void ch_http_audit_answer (ChRequest *request, guint status)
{
  const ChHttpRoute *route = request->route;
  if (route == NULL || route->table.auth != CH_AUTH_ADMIN || status >= 400
      || g_str_equal (route->table.method, "GET"))
    return;
  g_autofree char *route_name
      = g_strdup_printf ("%s %s", route->table.method, route->table.path);
  const char *action = route_name;
  const char *actor = request->local != NULL ? ch_http_local_actor (request, &action)
                                             : ch_request_key_id (request);
  ch_http_audit (request->http, *actor != '\0' ? actor : "open",
                 request->local == NULL ? ch_request_remote (request) : NULL, action,
                 ch_http_request_raw_path (request), request->id, request->audit_before,
                 request->audit_after);
}

static void replace (char **text, json_t *json)
{
  if (json == NULL || json_is_null (json))
    return;
  g_free (*text);
  *text = ch_json_dump (json);
}

void ch_http_audit_change (ChHttp *http, ChReply reply, json_t *before, json_t *after)
{
  ChRequest *request = ch_replies_peek (http->services->replies, reply, CH_HTTP_REPLY);
  if (request != NULL) {
    replace (&request->audit_before, before);
    replace (&request->audit_after, after);
  }
  json_decref (before);
  json_decref (after);
}

void ch_http_audit_after (ChHttp *http, ChReply reply, json_t *after)
{
  ch_http_audit_change (http, reply, NULL, after);
}
