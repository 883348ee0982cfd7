/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What may enter the queue: rules of protocols, thresholds, duplicates. */
#include "core/outbound/outbound-private.h"
#include "core/session/session.h"
#include <chargehost/config.h>
#include <chargehost/error.h>
#include <chargehost/json.h>

#include <string.h>

#define LOCAL_MAX 10000 /* while the kv is away (F2) */
#define URGENT_DEVICE_EXTRA 8

void ch_out_scale_limits (ChOutLimits *limits, guint online)
{
  limits->warning = MAX (limits->warning, online / 10);
  limits->critical = MAX (limits->critical, online / 4);
  limits->emergency = MAX (limits->emergency, online / 2);
}

static void read_limits (ChOutbound *outbound, ChOutLimits *limits)
{
  ChPlugin *self = outbound->self;
  limits->warning = ch_config_int (self, "outbound.warning");
  limits->critical = ch_config_int (self, "outbound.critical");
  limits->emergency = ch_config_int (self, "outbound.emergency");
  if (ch_config_bool (self, "outbound.limits_auto"))
    ch_out_scale_limits (limits, ch_sessions_connected (outbound->core->sessions));
}

gint64 ch_out_limit_of (const ChOutLimits *limits, guint priority)
{
  if (priority <= 1)
    return G_MAXINT64;
  if (priority == 2)
    return limits->emergency;
  return priority <= 4 ? MIN (limits->critical, limits->emergency)
                       : MIN (limits->warning, limits->critical);
}

static gint64 device_limit (ChOutbound *outbound, guint priority)
{
  gint64 limit = ch_config_int (outbound->self, "outbound.per_device_max");
  return priority <= 1 ? limit + URGENT_DEVICE_EXTRA : limit;
}

static gboolean refuse (ChOutbound *outbound, const char *level, GError **error)
{
  ch_series_inc (ch_metric_with (outbound->metrics.refused, level, NULL));
  g_set_error (error, CH_CORE_ERROR, CH_CORE_ERROR_QUEUE_OVERLOADED,
               "too many commands wait already (%s)", level);
  return FALSE;
}

static gboolean admit_overload (ChOutbound *outbound, guint priority, ChCommandType type,
                                GError **error)
{
  guint level = outbound->core->services->overload;
  gboolean stop = type == CH_COMMAND_STOP_CHARGE || type == CH_COMMAND_CANCEL_SESSION;

  if ((level == 2 && priority >= 4) || (level >= 3 && !stop)) {
    ch_series_inc (ch_metric_with (outbound->metrics.refused, "overload", NULL));
    g_set_error (error, CH_CORE_ERROR, CH_CORE_ERROR_OVERLOADED,
                 "the host is overloaded (level %u)", level);
    return FALSE;
  }
  if (outbound->draining && priority > 1) {
    g_set_error (error, CH_CORE_ERROR, CH_CORE_ERROR_STARTING_OR_DRAINING,
                 "the host is stopping");
    return FALSE;
  }
  return TRUE;
}

static const char *level_of (guint priority)
{
  return priority >= 5 ? "warning" : priority >= 3 ? "critical" : "emergency";
}

gboolean ch_out_admit (ChOutbound *outbound, const ChDevice *device, guint priority,
                       ChCommandType type, GError **error)
{
  ChOutLimits limits;

  if (!admit_overload (outbound, priority, type, error))
    return FALSE;
  if (device->waiting > device_limit (outbound, priority))
    return refuse (outbound, "device", error);
  read_limits (outbound, &limits);
  if (ch_outbound_depth (outbound) > ch_out_limit_of (&limits, priority))
    return refuse (outbound, level_of (priority), error);
  if (outbound->n_waiting >= LOCAL_MAX && priority > 1 && !ch_out_kv_ok (outbound))
    return refuse (outbound, "local", error);
  return TRUE;
}

json_t *ch_outbound_refusal_json (ChOutbound *outbound, const ChDevice *device,
                                  guint priority)
{
  ChOutLimits limits;
  gint64 depth = ch_outbound_depth (outbound);

  read_limits (outbound, &limits);
  gint64 limit = ch_out_limit_of (&limits, priority);
  if (device != NULL && device->waiting > device_limit (outbound, priority)) {
    depth = device->waiting;
    limit = device_limit (outbound, priority);
  }
  json_t *data = json_object ();
  json_object_set_new (data, "depth", json_integer (depth));
  json_object_set_new (data, "limit", json_integer (limit));
  json_object_set_new (data, "priority", json_integer (priority));
  return data;
}

gboolean ch_out_rule (ChOutbound *outbound, const ChDevice *device, ChCommandType type,
                      ChAckRule *rule)
{
  const ChCommandDefault *def = ch_command_default (type);
  const ChAckRule *declared = device->proto != NULL ? device->proto->acks : NULL;

  if (def == NULL)
    return FALSE;
  *rule = def->rule;
  for (; declared != NULL && declared->type != type; declared++) {
    if (declared->type == 0)
      return FALSE;
  }
  if (declared != NULL) {
    rule->ack_ms = declared->ack_ms > 0 ? declared->ack_ms : rule->ack_ms;
    rule->sends = declared->sends > 0 ? declared->sends : rule->sends;
    rule->expires_ms = declared->expires_ms > 0 ? declared->expires_ms : rule->expires_ms;
    rule->resend_safe = declared->resend_safe;
    rule->ack_item_ms = declared->ack_item_ms;
  }
  gint64 ack_ms = ch_config_int (outbound->self, "gateway.ack_timeout_ms");
  gint64 sends = ch_config_int (outbound->self, "gateway.retry_max");
  if (ack_ms > 0)
    rule->ack_ms = (guint32) MIN (ack_ms, G_MAXINT32);
  if (sends > 0)
    rule->sends = (guint8) MIN (sends, CH_OUT_MAX_ATTEMPTS);
  rule->sends = MIN (rule->sends, CH_OUT_MAX_ATTEMPTS);
  return TRUE;
}

guint32 ch_outbound_expires_ms (ChOutbound *outbound, const ChDevice *device,
                                ChCommandType type)
{
  ChAckRule rule;
  return ch_out_rule (outbound, device, type, &rule) ? rule.expires_ms : 0;
}

char *ch_out_dedup_key (const ChOutboundRequest *request)
{
  GString *key = g_string_new (ch_command_type_name (request->type));

  g_string_append_printf (key, ":%s:%d:%d:", request->device->id, request->socket_no,
                          request->port_no);
  if (request->order_no != NULL && request->order_no[0] != '\0') {
    g_string_append (key, request->order_no);
  } else if (request->payload != NULL) {
    g_autofree char *text = json_dumps (request->payload, JSON_COMPACT | JSON_SORT_KEYS);
    g_autofree char *hash = g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);
    g_string_append_len (key, hash, 16);
  }
  if (request->wire_order != NULL && request->order_no == NULL)
    g_string_append_printf (key, ":%s", request->wire_order);
  return g_string_free (key, FALSE);
}

guint ch_out_dedup_s (const ChOutCommand *cmd)
{
  guint life_s = cmd->expires_ms / 1000 + cmd->ack_ms / 1000 + 60;
  return ch_command_default (cmd->type)->is_query ? MIN (life_s, 60) : life_s;
}

/* ---- what a new command makes needless ---- */

/* Ids of a SetParams, sorted by the caller's order: the same set means "the same". */
static gboolean same_params (const json_t *a, const json_t *b)
{
  const json_t *pa = json_object_get (a, "params"), *pb = json_object_get (b, "params");
  size_t n = json_array_size (pa);

  if (n == 0 || n != json_array_size (pb))
    return FALSE;
  for (size_t i = 0; i < n; i++) {
    gint64 id = ch_json_get_int (json_array_get (pa, i), "id", -1);
    gboolean found = FALSE;
    for (size_t k = 0; k < n && !found; k++)
      found = ch_json_get_int (json_array_get (pb, k), "id", -2) == id;
    if (!found)
      return FALSE;
  }
  return TRUE;
}

static gboolean supersedes (const ChOutCommand *cmd, const ChOutCommand *old)
{
  if (old == cmd || old->socket_no != cmd->socket_no)
    return FALSE;
  if (cmd->type == CH_COMMAND_SET_PARAMS)
    return old->type == CH_COMMAND_SET_PARAMS && same_params (cmd->payload, old->payload);
  if (cmd->type == CH_COMMAND_STOP_CHARGE || cmd->type == CH_COMMAND_CANCEL_SESSION)
    return old->type == CH_COMMAND_START_CHARGE && old->order_no[0] != '\0'
           && g_str_equal (old->order_no, cmd->order_no);
  return FALSE;
}

/* Collects first: withdrawing changes the lists. */
static void collect (const ChOutCommand *cmd, const GPtrArray *list, GPtrArray *needless)
{
  for (guint i = 0; i < list->len; i++) {
    ChOutCommand *old = g_ptr_array_index (list, i);
    if (supersedes (cmd, old))
      g_ptr_array_add (needless, ch_out_command_ref (old));
  }
}

void ch_out_supersede (ChOutCommand *cmd)
{
  ChOutDevice *od = cmd->device->outbound;
  g_autoptr (GPtrArray) needless
      = g_ptr_array_new_with_free_func ((GDestroyNotify) ch_out_command_unref);

  if (od == NULL)
    return;
  collect (cmd, od->waiting, needless);
  collect (cmd, od->others, needless);
  for (guint i = 0; i < needless->len; i++) {
    ChOutCommand *old = g_ptr_array_index (needless, i);
    ch_out_withdraw (old, "replaced");
  }
}
