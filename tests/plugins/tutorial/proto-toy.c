/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* proto-toy: a meter that speaks lines of text; README.md goes through it. */
#include <chargehost/chargehost.h>
#include <string.h>

typedef struct {
  char device[CH_DEVICE_ID_SIZE]; /* empty until the meter has said its name */
} Meter;

/* Two pure functions on bytes, which the host also uses for fuzzing and replay. */
static ChSniff sniff (const guint8 *p, gsize n)
{
  if (memcmp (p, "HI ", MIN (n, 3)) != 0)
    return CH_SNIFF_NO;
  return n < 3 ? CH_SNIFF_MORE : CH_SNIFF_YES;
}

static gssize frame (const guint8 *p, gsize n, gsize max, const char **error)
{
  const guint8 *end = memchr (p, '\n', MIN (n, max));
  if (end != NULL)
    return end - p + 1;
  if (n < max)
    return 0; /* the rest of the line is still to come */
  *error = "long_line";
  return -(gssize) n;
}

static void hi (ChPlugin *self, Meter *meter, ChConn conn, const char *name, gint64 ports)
{
  ChRegistered fact = {.model = "toy", .port_count = ports};
  if (ch_device_online (self, conn, name, NULL, NULL) == CH_ONLINE_REFUSED)
    return; /* no answer; the core knows what becomes of the connection */
  g_strlcpy (meter->device, name, sizeof meter->device);
  ch_device_registered (self, conn, name, &fact);
  ch_conn_write (self, conn, "OK\n", 3, CH_WRITE_REPLY);
}

static void port (ChPlugin *self, Meter *meter, ChConn conn, char **word, gint64 number,
                  gint64 power)
{
  ChPortUpdate fact = CH_PORT_UPDATE_INIT;
  fact.port_no = (gint) number;
  fact.status = g_str_equal (word[2], "charging") ? CH_PORT_CHARGING : CH_PORT_IDLE;
  fact.power_mw = power;
  ch_port_update (self, conn, meter->device, &fact);
}

/* The meter repeats END until it hears OK: it must not hear it before the commit. */
static void stored (ChPlugin *self, ChConn conn, const GError *error, gpointer user_data)
{
  if (error == NULL)
    ch_conn_write (self, conn, "OK\n", 3, CH_WRITE_REPLY);
}

static void end (ChPlugin *self, Meter *meter, ChConn conn, char **word, gint64 number,
                 gint64 energy, gint64 seconds)
{
  ChOrderEnded fact = CH_ORDER_ENDED_INIT;
  fact.port_no = (gint) number;
  fact.order_no = word[2];
  fact.energy_wh = energy;
  fact.duration_s = seconds;
  ch_order_ended (self, conn, meter->device, &fact, stored, NULL);
}

static void input (ChPlugin *self, gpointer data, ChConn conn, const guint8 *p, gsize n)
{
  Meter *meter = data;
  g_autofree char *line = g_strndup ((const char *) p, n - 1);
  g_auto (GStrv) word = g_strsplit (line, " ", 6);
  gint64 a, b, c;
#define IS(verb, words) (g_strv_length (word) == (words) && g_str_equal (word[0], verb))
/* Outside bytes: every number has its bounds. */
#define NUMBER(i, max, value) g_ascii_string_to_signed (word[i], 10, 0, max, value, NULL)
  if (IS ("HI", 3) && ch_device_id_is_valid (word[1]) && NUMBER (2, 16, &a))
    hi (self, meter, conn, word[1], a);
  else if (meter->device[0] == '\0')
    ch_conn_bad_frame (self, conn, "no_name");
  else if (IS ("PORT", 4) && NUMBER (1, 15, &a) && NUMBER (3, 1 << 30, &b))
    port (self, meter, conn, word, a, b);
  else if (IS ("END", 5) && NUMBER (1, 15, &a) && ch_order_no_is_valid (word[2])
           && NUMBER (3, 1 << 30, &b) && NUMBER (4, 1 << 30, &c))
    end (self, meter, conn, word, a, b, c);
  else if ((IS ("ACK", 2) || IS ("NAK", 2)) && NUMBER (1, G_MAXUINT16, &a))
    ch_command_result (self, conn,
                       &(ChCommandResult) {.device = meter->device,
                                           .msg_id = (guint32) a,
                                           .state = word[0][0] == 'A'
                                                        ? CH_COMMAND_ACKED
                                                        : CH_COMMAND_REJECTED,
                                           .device_code = CH_UNSET});
  else
    ch_conn_bad_frame (self, conn, "bad_line");
}

/* One attempt; when to send again is the core's business. */
static ChCommandState command (ChPlugin *self, gpointer session, ChConn conn,
                               const ChCommand *todo)
{
  char line[64];
  gint seconds = (gint) ch_json_get_int (todo->payload, "target_duration_s", 3600);
  if (todo->type == CH_COMMAND_START_CHARGE)
    g_snprintf (line, sizeof line, "START %u %d %d\n", todo->msg_id, todo->port_no,
                seconds);
  else
    g_snprintf (line, sizeof line, "STOP %u %d\n", todo->msg_id, todo->port_no);
  gboolean taken = ch_conn_write (self, conn, line, strlen (line), CH_WRITE_COMMAND);
  return taken ? CH_COMMAND_SENT : CH_COMMAND_NOT_SENT;
}

static gpointer opened (ChPlugin *self, ChConn conn, const ChPeer *peer)
{
  return g_new0 (Meter, 1);
}

static void closed (ChPlugin *self, gpointer session, ChConn conn, ChCloseReason reason)
{
  g_free (session);
}

static const ChAckRule acks[] = {
    {CH_COMMAND_START_CHARGE, 5000, 3, 18000, FALSE},
    {CH_COMMAND_STOP_CHARGE, 5000, 5, 180000, TRUE},
    {0},
};

static const ChProtocol toy = {
    .size = sizeof (ChProtocol),
    .name = "toy",
    .properties = {CH_PROTOCOL_DEFAULTS},
    .acks = acks,
    .sniff = sniff,
    .frame = frame,
    .opened = opened,
    .input = input,
    .command = command,
    .closed = closed,
};

static gboolean start (ChPlugin *self, GError **error)
{
  return TRUE; /* nothing but the protocol, which the host registers */
}

CH_PLUGIN_DEFINE (proto_toy, .name = "proto-toy", .summary = "A meter that speaks lines",
                  .version = "1.0.0", .license = "LGPL-2.1-or-later",
                  .requires = (const char *const[]) {"core", NULL}, .protocol = &toy,
                  .start = start)
