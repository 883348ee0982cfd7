/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "site.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

void site_come (Site *site)
{
  site->queue->send_buffer = 1 << 18; /* it reads late, but is not cut off for that */
  site->fd = queue_device_on (site->queue, DEV);
}

void site_go (Site *site)
{
  close (site->fd);
  queue_settle (site->queue);
}

void site_restart (Site *site)
{
  site_go (site);
  queue_restart (site->queue);
  site_come (site);
}

Site site_open (const char *const *options)
{
  g_autoptr (GStrvBuilder) all = g_strv_builder_new ();
  /* A device that only sends heartbeats is asked for nothing but what orders need. */
  g_strv_builder_add (all, "ports.sync_interval_s=0");
  if (options != NULL)
    g_strv_builder_addv (all, (const char **) options);
  g_auto (GStrv) settings = g_strv_builder_end (all);
  Site site = {.queue = queue_new_orders ((const char *const *) settings)};
  signal (SIGPIPE, SIG_IGN); /* a write to a closed connection fails the test */
  site_come (&site);
  queue_say (site.queue, site.fd, "@port " DEV " 0 1");
  return site;
}

void site_close (Site *site)
{
  site_go (site);
  queue_free (site->queue);
  g_free (site->answer);
}

/* ---- asking the core ---- */

void site_answered (ChPlugin *self, const json_t *data, const GError *error,
                    gpointer user_data)
{
  g_free (*(char **) user_data);
  *(char **) user_data
      = error != NULL
            ? g_strdup_printf ("%d", error->code)
            : g_strdup (json_string_value (json_object_get (
                data, json_object_get (data, "status") != NULL ? "status" : "order_no")));
}

static void expect_answer (Site *site, const char *expected)
{
  queue_settle (site->queue);
  g_assert_cmpstr (site->answer, ==, expected);
}

ChStartRequest site_request (const char *order_no)
{
  ChStartRequest request = CH_START_REQUEST_INIT;
  request.device = DEV;
  request.socket_no = request.port_no = 0;
  request.charge_mode = 1;
  request.amount_cent = 500;
  request.duration_minutes = 60;
  request.order_no = order_no;
  return request;
}

void site_start_as (Site *site, const ChStartRequest *request, const char *expected)
{
  g_clear_pointer (&site->answer, g_free);
  ch_core_start_charge (site->queue->caller, request, NULL, 0, site_answered,
                        &site->answer);
  expect_answer (site, expected);
}

void site_start (Site *site, const char *order_no, const char *expected)
{
  const ChStartRequest request = site_request (order_no);
  site_start_as (site, &request, expected);
}

void site_stop (Site *site, const char *order_no, const char *expected)
{
  const ChStopRequest request
      = {.order_no = order_no, .socket_no = CH_UNSET, .port_no = CH_UNSET};
  g_clear_pointer (&site->answer, g_free);
  ch_core_stop_charge (site->queue->caller, &request, NULL, 0, site_answered,
                       &site->answer);
  expect_answer (site, expected);
}

void site_cancel (Site *site, const char *order_no, const char *expected)
{
  g_clear_pointer (&site->answer, g_free);
  ch_core_cancel_order (site->queue->caller, order_no, NULL, NULL, site_answered,
                        &site->answer);
  expect_answer (site, expected);
}

void site_force (Site *site, gboolean settle, const char *expected)
{
  const ChForceRequest request = {.order_no = "A",
                                  .settle = settle,
                                  .energy_wh = settle ? 620 : CH_UNSET,
                                  .duration_s = CH_UNSET,
                                  .end_reason = CH_UNSET,
                                  .comment = "meter was read on site"};
  g_clear_pointer (&site->answer, g_free);
  ch_core_force_order (site->queue->caller, &request, NULL, site_answered, &site->answer);
  expect_answer (site, expected);
}

/* ---- what the device hears ---- */

guint site_heard (Site *site)
{
  queue_advance (site->queue, 1000); /* commands keep their distance */
  g_autofree char *text = queue_heard (site->queue, site->fd);
  return queue_number (text);
}

guint site_heard_type (Site *site, const char *type)
{
  queue_advance (site->queue, 1000);
  g_autofree char *text = queue_heard (site->queue, site->fd);
  const char *last = g_strrstr (text, type);
  return last == NULL ? 0 : (guint) g_ascii_strtoull (last + strlen (type), NULL, 10);
}

void site_expect (Site *site, const char *types)
{
  queue_advance (site->queue, 1000);
  g_autofree char *text = queue_heard (site->queue, site->fd);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  g_autoptr (GString) heard = g_string_new (NULL);
  for (guint i = 0; lines[i] != NULL && lines[i][0] != '\0'; i++) {
    if (g_str_has_prefix (lines[i], "stored "))
      continue;
    const char *end = strchr (lines[i], ' ');
    if (heard->len > 0)
      g_string_append_c (heard, ' ');
    g_string_append_len (heard, lines[i], end != NULL ? end - lines[i] : -1);
  }
  g_assert_cmpstr (heard->str, ==, types);
}

Site site_charging (const char *const *options)
{
  Site site = site_open (options);
  site_start (&site, "A", "pending");
  guint number = site_heard (&site);
  SAY ("@start " DEV " 0 w1 A");
  SAY ("@ack " DEV " %u", number);
  queue_expect (site.queue, site.fd, "stored 0\n");
  SAY ("@port " DEV " 0 2 w1");
  ASSERT_STATUS ("A", "2");
  return site;
}

Site site_running (const char *const *options)
{
  Site site = site_charging (options);
  SAY ("@prog " DEV " 0 w1 620 1800");
  ADVANCE (3);
  g_free (queue_heard (site.queue, site.fd));
  return site;
}

void site_assert_port (Site *site, ChPortStatus status, const char *order_no)
{
  const ChPort *port = ch_device_port (queue_device (site->queue, DEV), 0, 0, FALSE);
  g_assert_nonnull (port);
  g_assert_cmpstr (ch_port_status_name ((ChPortStatus) port->status), ==,
                   ch_port_status_name (status));
  g_assert_cmpstr (port->order != NULL ? port->order->d.order_no : NULL, ==, order_no);
}

void site_live (Site *site, guint seconds)
{
  while (seconds > 0) {
    guint step = MIN (seconds, 60);
    queue_advance (site->queue, (gint64) step * 1000);
    queue_say (site->queue, site->fd, "@hb " DEV);
    seconds -= step;
  }
}

void site_assert_alarms (Site *site, const char *wanted)
{
  g_autoptr (GString) found = g_string_new (NULL);
  queue_settle (site->queue);
  for (guint i = 0; i < site->queue->events->len; i++) {
    const char *line = g_ptr_array_index (site->queue->events, i);
    if (g_str_has_prefix (line, "alarm.reported " DEV " "))
      g_string_append_printf (found, "%s%s", found->len > 0 ? ", " : "",
                              line + strlen ("alarm.reported " DEV " "));
  }
  g_ptr_array_set_size (site->queue->events, 0);
  g_assert_cmpstr (found->str, ==, wanted);
}
