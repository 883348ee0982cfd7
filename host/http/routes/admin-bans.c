/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices and addresses that may not connect (gateway 2.11, 7.7). */
#include "core/device/bans.h"
#include "http/routes/api.h"
#include <chargehost/id.h>

#define MINUTE_MS 60000

static void list_bans (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  gint64 limit, offset;
  ch_http_page (request, &limit, &offset);
  ch_reply_data (self, reply, 200, NULL, ch_core_bans_json (self, limit, offset));
}

static void banned (ChPlugin *self, const json_t *data, const GError *error,
                    gpointer user_data)
{
  ChHttpCall *call = user_data;
  if (error != NULL) {
    ch_http_core_read (self, data, error, call);
    return;
  }
  json_t *ban = json_object_get (data, "ban");
  gboolean dropped = call->status == 0;
  ch_http_audit_change (self->services->http, call->reply,
                        dropped ? json_incref (ban) : NULL,
                        dropped ? NULL : json_incref (ban));
  ch_reply_data (self, call->reply, ch_json_get_bool (data, "created", FALSE) ? 201 : 200,
                 NULL, json_incref (ban));
  g_free (call);
}

static void add_ban (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  const json_t *body = ch_request_body (request);
  const char *device = ch_json_get_string (body, "device_id", NULL);
  const char *address = ch_json_get_string (body, "address", NULL);
  g_autofree char *network = NULL;

  if ((device == NULL) == (address == NULL)) {
    ch_http_reply_invalid (self, reply, device == NULL ? "device_id" : "address",
                           device == NULL ? "required" : "one_of", NULL);
    return;
  }
  if (address != NULL && !ch_ban_address (address, &network)) {
    ch_http_reply_invalid (self, reply, "address", "network",
                           json_object_get (body, "address"));
    return;
  }
  ch_core_ban (self, device != NULL ? device : network,
               ch_json_get_string (body, "reason", "manual"),
               ch_json_get_int (body, "minutes", 0) * MINUTE_MS, banned,
               ch_http_call_new (reply, 200));
}

static void drop_ban (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  const char *subject = ch_request_path (request, "subject");
  g_autofree char *network = NULL;
  /* What looks like both is a device, if one of that id is banned. */
  if (!ch_bans_has_device (self->services->core->bans, subject))
    ch_ban_address (subject, &network);
  ch_core_unban (self, network != NULL ? network : subject, banned,
                 ch_http_call_new (reply, 0));
}

static const ChParam LIST_PARAMS[] = {CH_HTTP_PARAM_PAGING, {.name = NULL}};
static const ChParam ADD_PARAMS[] = {
    CH_HTTP_PARAM ("device_id", BODY, STRING, FALSE, 1, 64, CH_HTTP_ID_CHARS,
                   "A device, or …"),
    CH_HTTP_PARAM ("address", BODY, STRING, FALSE, 1, 64, "0123456789abcdefABCDEF.:/",
                   "… an address or a network such as 10.1.0.0/16"),
    CH_HTTP_PARAM ("reason", BODY, STRING, FALSE, 1, 128, NULL, "Why; manual"),
    CH_HTTP_PARAM ("minutes", BODY, INT, FALSE, 1, 5256000, NULL,
                   "For how long; for ever when missing"),
    {.name = NULL},
};
static const ChParam DROP_PARAMS[] = {
    CH_HTTP_PARAM ("subject", PATH, STRING, TRUE, 1, 64, CH_HTTP_ID_CHARS "/",
                   "Device id, address or network; a slash as %2F"),
    {.name = NULL},
};

const ChRoute ch_http_ban_routes[] = {
    CH_HTTP_ADMIN ("GET", "/bans", LIST_PARAMS, "Who may not connect", list_bans),
    CH_HTTP_ADMIN ("POST", "/bans", ADD_PARAMS, "Ban a device or an address", add_ban),
    CH_HTTP_ADMIN ("DELETE", "/bans/{subject}", DROP_PARAMS, "Lift a ban", drop_ban),
    {.method = NULL},
};
