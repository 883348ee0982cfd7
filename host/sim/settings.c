/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands that do not charge: list, query, voice, parameters, upgrade. */
#include "report.h"

#include <string.h>

#define MAX_SOCKET 250
#define ALL_SOCKETS 254
#define UPGRADE_AFTER (20 * SIM_SECOND)

/* ---- network list ----------------------------------------------------------------- */

static gboolean list_is_good (const BkvNetRefresh *list)
{
  gboolean seen[256] = {FALSE};

  if (list->channel < 1 || list->channel > 15)
    return FALSE;
  for (guint i = 0; i < list->n_nodes; i++) {
    guint8 number = list->nodes[i].socket;
    if (number == 0 || number > MAX_SOCKET || seen[number])
      return FALSE;
    seen[number] = TRUE;
  }
  return TRUE;
}

static void report_list (SimGateway *gateway, gint64 delay)
{
  for (guint i = 0; i < gateway->n_sockets; i++)
    socket_report (gateway, &gateway->sockets[i], delay + (i + 1) * (200 * SIM_MS));
}

gboolean settings_net_refresh (SimGateway *gateway, const BkvFrame *in, BkvFrame *out)
{
  const BkvNetRefresh *list = &in->net_refresh;

  check_network_list (gateway, list);
  out->result.result = list_is_good (list) ? 1 : 0;
  if (out->result.result == 0)
    return TRUE;
  sockets_replace (gateway, list);
  report_list (gateway, SIM_SECOND + list->n_nodes * (50 * SIM_MS));
  report_note (gateway->sim, gateway, "the list has %u sockets now", gateway->n_sockets);
  return TRUE;
}

gboolean settings_net_add (SimGateway *gateway, const BkvFrame *in, BkvFrame *out)
{
  const BkvNode *node = &in->node;
  gboolean known = socket_find (gateway, node->socket) != NULL;

  out->result.result = node->socket >= 1 && node->socket <= MAX_SOCKET
                       && (known || gateway->n_sockets < MAX_SOCKET);
  if (out->result.result != 0)
    socket_report (gateway, socket_add (gateway, node->socket, node->mac),
                   SIM_SECOND + 250 * SIM_MS);
  return TRUE;
}

gboolean settings_net_delete (SimGateway *gateway, const BkvFrame *in, BkvFrame *out)
{
  SimSocket *socket = socket_find (gateway, in->socket_no.socket);

  out->result.result = socket != NULL;
  if (socket != NULL)
    socket_remove (gateway, socket);
  return TRUE;
}

/* ---- query ------------------------------------------------------------------------ */

gboolean settings_query (SimGateway *gateway, const BkvFrame *in, BkvFrame *out)
{
  SimQueryForm form = gateway->sim->options.variant.query;
  SimSocket *socket = socket_find (gateway, in->socket_no.socket);

  if (socket == NULL)
    return FALSE;
  if (form == SIM_QUERY_STATUS) {
    socket_report (gateway, socket, 200 * SIM_MS);
    return FALSE;
  }
  socket_fill (gateway, socket, &out->socket_state);
  out->sub = form == SIM_QUERY_1D ? 0x1D : 0x1C;
  return TRUE;
}

/* ---- voice ------------------------------------------------------------------------ */

static gboolean period_is_good (const BkvPeriod *period)
{
  guint start = period->start_hour * 60u + period->start_min;
  guint end = period->end_hour * 60u + period->end_min;
  return period->start_hour < 24 && period->start_min < 60 && period->end_hour < 24
         && period->end_min < 60 && start < end;
}

gboolean settings_voice (SimGateway *gateway, const BkvFrame *in, BkvFrame *out)
{
  const BkvSetVoice *voice = &in->set_voice;
  gboolean ok
      = voice->n_periods <= 2
        && (voice->socket == ALL_SOCKETS || socket_find (gateway, voice->socket) != NULL);

  for (guint i = 0; i < voice->n_periods && ok; i++)
    ok = period_is_good (&voice->periods[i]);
  out->port_result = (BkvPortResult) {
      .socket = voice->socket, .port = voice->port, .result = ok ? 1 : 0};
  return TRUE;
}

/* ---- parameters ------------------------------------------------------------------- */

/* What a parameter command may carry: X (member of the items and of SimParams). */
#define SETTABLE(X)                                                                      \
  X (full_delay_s)                                                                       \
  X (no_load_delay_s)                                                                    \
  X (full_power) X (no_load_power) X (temp_limit) X (power_limit) X (max_minutes)
#define READABLE(X)                                                                      \
  SETTABLE (X)                                                                           \
  X (trickle_percent)                                                                    \
  X (current_limit) X (button_amount) X (anti_pulse) X (p98) X (p99) X (p9a) X (p9b)

#define BIT(member) G_GUINT64_CONSTANT (1) << BKV_ITEM_##member |

gboolean settings_param_set (SimGateway *gateway, const BkvFrame *in, BkvFrame *out)
{
  const guint64 known = READABLE (BIT) BIT (socket) 0;
  const BkvItems *items = &in->items;
  SimSocket *socket
      = BKV_HAS (items, ITEM, socket) ? socket_find (gateway, items->socket) : NULL;
  gboolean ok = socket != NULL && in->unknown_tags == 0 && (items->has & ~known) == 0;

  if (ok) {
    if (socket->params == NULL)
      socket->params = g_memdup2 (&sim_default_params, sizeof sim_default_params);
#define TAKE(member)                                                                     \
  if (BKV_HAS (items, ITEM, member))                                                     \
    socket->params->member = items->member;
    READABLE (TAKE)
#undef TAKE
  }
  BKV_SET (&out->items, ITEM, socket, items->socket);
  BKV_SET (&out->items, ITEM, result, ok ? 1 : 0);
  return TRUE;
}

gboolean settings_param_query (SimGateway *gateway, const BkvFrame *in, BkvFrame *out)
{
  const BkvItems *items = &in->items;
  SimSocket *socket
      = BKV_HAS (items, ITEM, socket) ? socket_find (gateway, items->socket) : NULL;

  BKV_SET (&out->items, ITEM, socket, items->socket);
  BKV_SET (&out->items, ITEM, result, socket != NULL ? 1 : 0);
  if (socket == NULL)
    return TRUE;
  const SimParams *params = socket_params (socket);
#define GIVE(member) BKV_SET (&out->items, ITEM, member, params->member);
  READABLE (GIVE)
#undef GIVE
  return TRUE;
}

/* ---- upgrade ---------------------------------------------------------------------- */

/* The payload of the answer is not documented. */
gboolean settings_upgrade (SimGateway *gateway, const BkvFrame *in, BkvFrame *out)
{
  static const guint8 done = 1;

  report_note (gateway->sim, gateway, "upgrade to %s", in->ota_start.file);
  if (gateway->phase == SIM_READY)
    timer_arm (gateway->sim->loop, &gateway->link, UPGRADE_AFTER);
  out->payload = &done;
  out->payload_size = 1;
  return gateway->sim->options.variant.ota_answer == 0;
}
