/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines of a device that state facts of ports and charges. */
#include "queue-fixture.h"
#include <chargehost/chargehost.h>

#include <string.h>

#define TAG 100 /* more than there are ports */

static void take_number (const char *word, gint64 *number, const char **wire)
{
  if (word != NULL && word[0] == 'w')
    *wire = word;
  else if (word != NULL)
    *number = g_ascii_strtoll (word, NULL, 10);
}

static void port_line (ChPlugin *self, ChConn conn, char **words)
{
  ChPortUpdate fact = CH_PORT_UPDATE_INIT;
  fact.socket_no = 0;
  fact.port_no = atoi (words[2]);
  fact.status = (ChPortStatus) atoi (words[3]);
  take_number (words[3] != NULL ? words[4] : NULL, &fact.business_no, &fact.wire_order);
  if (g_strv_length (words) > 5)
    fact.duration_s = g_ascii_strtoll (words[5], NULL, 10);
  ch_port_update (self, conn, words[1], &fact);
}

static void progress_line (ChPlugin *self, ChConn conn, char **words)
{
  ChOrderProgress fact = CH_ORDER_PROGRESS_INIT;
  fact.port_no = atoi (words[2]);
  take_number (words[3], &fact.business_no, &fact.wire_order);
  fact.energy_wh = g_ascii_strtoll (words[4], NULL, 10);
  fact.duration_s = g_ascii_strtoll (words[5], NULL, 10);
  ch_order_progress (self, conn, words[1], &fact);
}

static void on_stored (ChPlugin *self, ChConn conn, const GError *error,
                       gpointer user_data)
{
  gint told = GPOINTER_TO_INT (user_data);
  const char *word = error == NULL ? "stored" : "failed";
  g_autofree char *line
      = told < TAG ? g_strdup_printf ("%s %d\n", word, told)
                   : g_strdup_printf ("%s %d %d\n", word, told % TAG, told / TAG);
  ch_conn_write (self, conn, line, strlen (line), CH_WRITE_REPLY);
}

static void start_line (ChPlugin *self, ChConn conn, char **words)
{
  ChOrderStarted fact = CH_ORDER_STARTED_INIT;
  fact.port_no = atoi (words[2]);
  take_number (words[3], &fact.business_no, &fact.wire_order);
  fact.order_no = words[4];
  ch_order_started (self, conn, words[1], &fact, on_stored,
                    GINT_TO_POINTER (fact.port_no));
}

static void end_line (ChPlugin *self, ChConn conn, char **words)
{
  ChOrderEnded fact = CH_ORDER_ENDED_INIT;
  fact.port_no = atoi (words[2]);
  take_number (words[3], &fact.business_no, &fact.wire_order);
  fact.energy_wh = g_ascii_strtoll (words[4], NULL, 10);
  fact.duration_s = g_ascii_strtoll (words[5], NULL, 10);
  fact.end_reason = (ChEndReason) atoi (words[6]);
  fact.next_port_status = CH_PORT_IDLE;
  fact.inferred = g_str_equal (words[0], "@guess");
  gint tag = words[7] != NULL ? atoi (words[7]) : 0;
  ch_order_ended (self, conn, words[1], &fact, on_stored,
                  GINT_TO_POINTER (fact.port_no + tag * TAG));
}

void queue_fact_line (ChPlugin *self, ChConn conn, char **words)
{
  if (g_str_equal (words[0], "@port"))
    port_line (self, conn, words);
  else if (g_str_equal (words[0], "@prog"))
    progress_line (self, conn, words);
  else if (g_str_equal (words[0], "@start"))
    start_line (self, conn, words);
  else if (g_str_equal (words[0], "@end") || g_str_equal (words[0], "@guess"))
    end_line (self, conn, words);
}

void queue_begin_protocol (Queue *queue)
{
  g_autoptr (GError) error = NULL;

  queue->proto = ch_owner_new (&queue->services, "proto-lines", &queue->proto_info);
  ch_plugin_set_data (queue->proto, queue);
  if (!ch_gateway_add_protocol (queue->services.gateway, queue->proto, &queue->protocol,
                                &error))
    g_error ("protocol: %s", error->message);
}

void queue_reload_protocol (Queue *queue)
{
  ch_gateway_remove_protocol (queue->services.gateway, queue->proto);
  ch_owner_free (queue->proto);
  queue_begin_protocol (queue);
  queue_settle (queue);
}
