/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* BKV networked sockets: what the protocol declares, start and stop. */
#include "proto-bkv/bkv.h"

#define SECONDS(n) (1000u * (n))
#define HOURS(n) (3600000u * (n))

/* Answer expected within, sends at most, expires after, repeat is safe (bkv 4.2). */
static const ChAckRule acks[] = {
    {CH_COMMAND_START_CHARGE, SECONDS (5), 3, SECONDS (18), FALSE},
    {CH_COMMAND_STOP_CHARGE, SECONDS (5), 5, SECONDS (180), TRUE},
    {CH_COMMAND_CANCEL_SESSION, SECONDS (5), 5, SECONDS (180), TRUE},
    {CH_COMMAND_QUERY_PORT_STATUS, SECONDS (5), 2, SECONDS (30), TRUE},
    {CH_COMMAND_CONFIGURE_NETWORK, SECONDS (10), 3, HOURS (1), TRUE, 100},
    {CH_COMMAND_NETWORK_REFRESH, SECONDS (10), 3, HOURS (1), TRUE, 100},
    {CH_COMMAND_NETWORK_ADD_NODE, SECONDS (10), 3, HOURS (1), TRUE},
    {CH_COMMAND_NETWORK_DELETE_NODE, SECONDS (10), 3, HOURS (1), TRUE},
    {0},
};

static const ChProtocol protocol = {
    .size = sizeof (ChProtocol),
    .name = "bkv",
    /* What differs from the defaults of gateway 0.4; the rest is its column BKV too. */
    .properties
    = {CH_PROTOCOL_DEFAULTS, .offline_after_s = 150, .max_frame_bytes = BKV_MAX_FRAME,
       .msg_id_bits = 32, .query_wait_s = 5, .charges_offline = TRUE,
       .ack_means_on = TRUE, .order_key = CH_ORDER_KEY_DEVICE, .order_no_max = 0,
       .card_second_swipe = TRUE},
    .acks = acks,
    .sniff = bkv_sniff,
    .frame = bkv_frame,
    .opened = bkv_opened,
    .input = bkv_input,
    .command = bkv_command,
    .closed = bkv_closed,
    .describe = bkv_decode_json,
};

static const char *const requires[] = {"core", NULL};

static gboolean start (ChPlugin *self, GError **error)
{
  Bkv *bkv = g_new0 (Bkv, 1);

  if (!bkv_settings_read (self, &bkv->settings, error)) {
    g_free (bkv);
    return FALSE;
  }
  bkv->self = self;
  bkv_metrics_register (self, &bkv->metrics);
  bkv->gateways = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, bkv_gateway_free);
  bkv->ends = g_hash_table_new_full (g_direct_hash, g_direct_equal, NULL, g_free);
  bkv->next_end = bkv->oldest_end = 1;
  g_queue_init (&bkv->sessions);
  g_queue_init (&bkv->echoes);
  ch_plugin_set_data (self, bkv);
  return TRUE;
}

static void stop (ChPlugin *self)
{
  Bkv *bkv = ch_plugin_data (self);
  GList *link;

  if (bkv == NULL)
    return;
  /* A connection that is closed after this finds no plugin data, and no session. */
  while ((link = g_queue_pop_head_link (&bkv->sessions)) != NULL)
    bkv_session_free (link->data);
  g_hash_table_unref (bkv->gateways);
  g_hash_table_unref (bkv->ends);
  g_queue_clear_full (&bkv->echoes, g_free);
  ch_plugin_set_data (self, NULL);
  g_free (bkv);
}

CH_PLUGIN_DEFINE (proto_bkv, .name = "proto-bkv", .summary = "BKV networked sockets",
                  .version = "1.0.0", .license = "LGPL-2.1-or-later",
                  .requires = requires, .config = bkv_config_keys, .protocol = &protocol,
                  .start = start, .stop = stop)
