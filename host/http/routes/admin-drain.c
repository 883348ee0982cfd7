/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Draining for maintenance (gateway 7.7): what the daemon does, when it lends a hand. */
#include "http/routes/api.h"

void ch_http_set_daemon (ChHttp *http, void (*drain) (gpointer daemon, gboolean on),
                         gpointer daemon)
{
  http->drain = drain;
  http->daemon = daemon;
}

static void set_drain (ChPlugin *self, ChReply reply, gboolean on)
{
  const ChHttp *http = self->services->http;
  if (http->drain == NULL) {
    ch_reply_error (self, reply, 50101, "this process cannot be drained", NULL);
    return;
  }
  http->drain (http->daemon, on);
  ch_reply_data (self, reply, 200, NULL,
                 json_pack ("{s:b}", "draining", self->services->draining));
}

static void begin (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  set_drain (self, reply, TRUE);
}

static void end (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  set_drain (self, reply, FALSE);
}

const ChRoute ch_http_drain_routes[] = {
    {.method = "POST",
     .path = "/api/v1/admin/drain",
     .auth = CH_AUTH_ADMIN,
     .summary = "Take no new devices and no new work",
     .handler = begin},
    {.method = "DELETE",
     .path = "/api/v1/admin/drain",
     .auth = CH_AUTH_ADMIN,
     .summary = "Go on as before",
     .handler = end},
    {.method = NULL},
};
