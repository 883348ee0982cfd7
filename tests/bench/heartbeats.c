/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cheapest load that is still one: devices that keep a number of heartbeats in flight
 * and only count the bytes of the answers, so that a machine of two cores can be busy
 * with the servers. The content of answers is the simulator's business (--flood).
 *
 * usage: heartbeats PORT[,PORT…] DEVICES IN-FLIGHT SECONDS
 * Prints "ready after … s" when all have had an answer, then the answers per second and
 * the processor time that this program took itself.
 */
#include "proto-bkv/wire/wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_SIZE 28   /* a heartbeat's answer, header to tail (BKV 5.2) */
#define FRAMES_MAX 256   /* in flight per device */
#define FIRST_ID 7700000 /* the last digits of the devices' identifiers */

typedef struct {
  int fd;
  gsize frame_size;
  gsize owed; /* bytes of an answer that is not whole */
  gboolean heard;
  guint8 frames[]; /* in-flight copies of its heartbeat */
} Device;

typedef struct {
  int set;
  guint in_flight, ready;
  guint64 answers;
} Load;

static void die (const char *what)
{
  perror (what);
  exit (1);
}

static int connect_to (guint16 port)
{
  struct sockaddr_in in = {.sin_family = AF_INET,
                           .sin_addr.s_addr = htonl (INADDR_LOOPBACK),
                           .sin_port = htons (port)};
  int one = 1, fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  if (fd < 0 || connect (fd, (struct sockaddr *) &in, sizeof in) < 0)
    die ("connect");
  setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

static void device_send (const Device *device, guint frames)
{
  if (send (device->fd, device->frames, frames * device->frame_size, MSG_NOSIGNAL) < 0)
    die ("send");
}

static Device *device_new (Load *load, guint16 port, guint number)
{
  BkvFrame frame;
  guint8 bytes[256];
  char text[BKV_GATEWAY_TEXT_SIZE];
  guint8 id[BKV_GATEWAY_SIZE];

  g_snprintf (text, sizeof text, "8224121%07u", FIRST_ID + number);
  if (!bkv_gateway_parse (text, id))
    g_error ("%s is no identifier", text);
  bkv_init (&frame, BKV_HEARTBEAT, id, 0);
  memcpy (frame.heartbeat.iccid, "89860855102400000000", 20);
  g_strlcpy (frame.heartbeat.fw, "1.00.000", sizeof frame.heartbeat.fw);
  frame.heartbeat.signal = 20;
  gsize size = bkv_encode (&frame, bytes, sizeof bytes);
  Device *device = g_malloc0 (sizeof *device + load->in_flight * size);
  device->frame_size = size;
  for (guint i = 0; i < load->in_flight; i++)
    memcpy (device->frames + i * size, bytes, size);
  device->fd = connect_to (port);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = device};
  epoll_ctl (load->set, EPOLL_CTL_ADD, device->fd, &event);
  device_send (device, 1);
  return device;
}

static void device_read (Load *load, Device *device)
{
  guint8 buffer[FRAMES_MAX * ANSWER_SIZE];
  gssize got = recv (device->fd, buffer, sizeof buffer, 0);

  if (got <= 0)
    die ("recv");
  device->owed += (gsize) got;
  guint answers = (guint) (device->owed / ANSWER_SIZE);
  device->owed %= ANSWER_SIZE;
  load->answers += answers;
  if (!device->heard && answers > 0) {
    device->heard = TRUE;
    load->ready++;
    return; /* who is ready does not take time from those who are not */
  }
  if (answers > 0)
    device_send (device, MIN (answers, load->in_flight));
}

/* Until all are ready, when @us is 0. */
static void run (Load *load, guint devices, gint64 us)
{
  struct epoll_event events[256];
  gint64 end = g_get_monotonic_time () + us;

  while (us == 0 ? load->ready < devices : g_get_monotonic_time () < end) {
    int n = epoll_wait (load->set, events, G_N_ELEMENTS (events), 100);
    for (int i = 0; i < n; i++)
      device_read (load, events[i].data.ptr);
  }
}

static double cpu_s (void)
{
  struct timespec now;

  clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

int main (int argc, char **argv)
{
  Load load = {.set = epoll_create1 (EPOLL_CLOEXEC)};

  if (argc != 5) {
    fprintf (stderr, "usage: heartbeats PORT[,PORT...] DEVICES IN-FLIGHT SECONDS\n");
    return 2;
  }
  g_auto (GStrv) ports = g_strsplit (argv[1], ",", 0);
  guint devices = (guint) g_ascii_strtoull (argv[2], NULL, 10);
  load.in_flight = CLAMP ((guint) g_ascii_strtoull (argv[3], NULL, 10), 1, FRAMES_MAX);
  gint64 us = g_ascii_strtoll (argv[4], NULL, 10) * G_USEC_PER_SEC;

  gint64 started = g_get_monotonic_time ();
  g_autofree Device **all = g_new (Device *, devices);
  for (guint i = 0; i < devices; i++) {
    const char *port = ports[i % g_strv_length (ports)];
    all[i] = device_new (&load, (guint16) g_ascii_strtoull (port, NULL, 10), i);
  }
  run (&load, devices, 0);
  printf ("ready after %.2f s\n", (double) (g_get_monotonic_time () - started) / 1e6);
  fflush (stdout);
  for (guint i = 0; i < devices; i++)
    device_send (all[i], load.in_flight);
  run (&load, devices, G_USEC_PER_SEC); /* warm up */
  load.answers = 0;
  double cpu = cpu_s ();
  gint64 begun = g_get_monotonic_time ();
  run (&load, devices, us);
  double took_s = (double) (g_get_monotonic_time () - begun) / 1e6;
  printf ("%.0f answers/s, own processor time %.2f of %.2f s\n",
          (double) load.answers / took_s, cpu_s () - cpu, took_s);
  for (guint i = 0; i < devices; i++) {
    close (all[i]->fd);
    g_free (all[i]);
  }
  return 0;
}
