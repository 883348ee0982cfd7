/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Common to the tests of the plugin: a connected gateway, frames built from fields. */
#pragma once

#include "fake-host.h"
#include "proto-bkv/wire/wire.h"

#define GATEWAY "82241218000382"

const ChPluginInfo *ch_plugin_proto_bkv_query (void);

/* A started plugin. */
static inline Fake *bkv_fake (const char *const *config)
{
  return fake_new (ch_plugin_proto_bkv_query (), config);
}

/* Opens a connection and lets the captured gateway greet; the lines of that are gone. */
static inline ChConn bkv_greet (Fake *fake)
{
  ChConn conn = fake_open (fake);

  fake_feed (fake, conn, fake_vector ("cap-heartbeat-up"));
  fake_skip (fake, NULL);
  return conn;
}

/* Hexadecimal text of a frame of the captured gateway. */
static inline char *bkv_frame_hex (const char *name, guint32 msg_id, const char *fields)
{
  g_autofree BkvFrame *frame = g_new (BkvFrame, 1);
  g_autofree char *text = g_strdup_printf ("{'name':'%s','gateway_id':'" GATEWAY
                                           "','msg_id':%u,'fields':%s}",
                                           name, msg_id, fields);
  json_t *json = json_loads (g_strdelimit (text, "'", '"'), 0, NULL);
  const char *error = NULL;
  guint8 bytes[BKV_MAX_FRAME];
  char *hex;
  gsize n;

  g_assert_nonnull (json);
  if (!bkv_from_json (json, frame, &error))
    g_error ("%s: %s", text, error);
  json_decref (json);
  n = bkv_encode (frame, bytes, sizeof bytes);
  g_assert_cmpuint (n, >, 0);
  hex = g_malloc (2 * n + 1);
  bkv_hex (bytes, n, hex);
  return hex;
}

static inline void bkv_feed (Fake *fake, ChConn conn, const char *name, guint32 msg_id,
                             const char *fields)
{
  g_autofree char *hex = bkv_frame_hex (name, msg_id, fields);

  fake_feed (fake, conn, hex);
}

/* The next line writes this frame. */
static inline void bkv_expect (Fake *fake, const char *how, const char *name,
                               guint32 msg_id, const char *fields)
{
  g_autofree char *hex = bkv_frame_hex (name, msg_id, fields);

  fake_expectf (fake, "%s %s", how, hex);
}

/* A status report of socket 1, outlet A; the answer and the words about the socket, which
   every report brings, are taken off. */
static inline void bkv_status (Fake *fake, ChConn conn, guint status, guint number,
                               guint power, guint energy, guint duration)
{
  g_autofree char *fields = g_strdup_printf (
      "{'sockets':[{'socket':1,'ports':[{'port':0,'status':%u,'business_no':%u,"
      "'power':%u,'energy':%u,'duration':%u}]}]}",
      status, number, power, energy, duration);

  bkv_feed (fake, conn, "status_report", 0, fields);
  fake_skip (fake, "reply FCFF002F1000");
  fake_skip (fake, "socket ");
  fake_skip (fake, "clear ");
}

/* An order that charges with a number of the device. */
static inline ChOrderView bkv_order (gint status, gint64 number)
{
  ChOrderView view = {.order_no = "ORD10",
                      .status = status,
                      .charge_mode = 1,
                      .business_no = number,
                      .number_is_device = number != 0,
                      .start_written_ms = CH_UNSET};

  return view;
}
