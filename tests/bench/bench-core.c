/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sessions and commands: nanoseconds of ch_device_seen(), and commands per second from
 * queueing to the result, over kv-memory and with durable rows. Prints figures.
 */
#include "queue-fixture.h"
#include <chargehost/chargehost.h>

#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEVICES 500
#define ROUNDS 20
#define FRAMES 5000000

static int fds[DEVICES];
static char ids[DEVICES][24];

static void connect_all (Queue *queue)
{
  gint64 begun = g_get_monotonic_time ();

  for (guint i = 0; i < DEVICES; i++) {
    char line[48];
    g_snprintf (ids[i], sizeof ids[i], "8224121800%04u", i);
    fds[i] = queue_connect (queue);
    g_snprintf (line, sizeof line, "@on %s\n", ids[i]);
    g_assert_cmpint (send (fds[i], line, strlen (line), 0), >, 0);
  }
  queue_settle (queue);
  gint64 took = g_get_monotonic_time () - begun;
  g_print ("bind: %.0f us per device, with its row\n", (double) took / DEVICES);
}

static void seen (Queue *queue)
{
  ChConn conns[64];
  gint64 begun;

  for (guint i = 0; i < 64; i++)
    conns[i] = queue_device (queue, ids[i])->conn;
  begun = g_get_monotonic_time ();
  for (guint i = 0; i < FRAMES; i++)
    ch_device_seen (queue->proto, conns[i % 64], ids[i % 64]);
  gint64 took = g_get_monotonic_time () - begun;
  g_print ("ch_device_seen: %.1f ns\n", (double) took * 1000 / FRAMES);
}

/* Every device answers what it hears. */
static guint answer_all (void)
{
  guint n = 0;

  for (guint i = 0; i < DEVICES; i++) {
    char text[512], line[64];
    gssize size;
    while ((size = recv (fds[i], text, sizeof text - 1, MSG_DONTWAIT)) > 0) {
      text[size] = '\0';
      g_snprintf (line, sizeof line, "@ack %s %u\n", ids[i], queue_number (text));
      g_assert_cmpint (send (fds[i], line, strlen (line), 0), >, 0);
      n++;
    }
  }
  return n;
}

static double cpu_s (void)
{
  struct rusage usage;
  getrusage (RUSAGE_SELF, &usage);
  return (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
         + (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void commands (Queue *queue, gboolean durable)
{
  gint64 begun = g_get_monotonic_time ();
  double cpu = cpu_s ();
  guint answered = 0;

  for (guint round = 0; round < ROUNDS; round++) {
    for (guint i = 0; i < DEVICES; i++) {
      const ChOutboundRequest r = {.type = CH_COMMAND_STOP_CHARGE,
                                   .device = queue_device (queue, ids[i]),
                                   .order_no = "ORD1",
                                   .durable = durable};
      char id[CH_COMMAND_ID_SIZE];
      gboolean merged;
      g_assert_true (
          ch_outbound_send (queue->services.core->outbound, &r, id, &merged, NULL));
    }
    for (guint n = 0; n < DEVICES; n += answer_all ())
      queue_settle (queue);
    queue_settle (queue);
    answered += DEVICES;
    ch_clock_advance_ms (queue->services.clock, 500);
  }
  double took = (double) (g_get_monotonic_time () - begun) / 1e6;
  g_print ("commands%s: %.0f per second, %.0f us of CPU each\n",
           durable ? ", durable" : "", answered / took,
           (cpu_s () - cpu) * 1e6 / answered);
}

int main (int argc, char **argv)
{
  const char *const options[]
      = {"proto-lines.min_spacing_ms=0", "cmd_log.enabled=false", NULL};
  Queue *queue = queue_new (options);

  connect_all (queue);
  seen (queue);
  commands (queue, FALSE);
  commands (queue, TRUE);
  for (guint i = 0; i < DEVICES; i++)
    close (fds[i]);
  queue_free (queue);
  return 0;
}
