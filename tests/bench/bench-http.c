/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GET /api/v1/devices/{id} with a key, limits off, beside a bare libsoup handler that
 * sends the same bytes; one process, one after the other, several times, under wrk.
 *
 * A closed loop says how much there can be, and its p99 is no less than CONNECTIONS
 * divided by that. With a RATE, then, so many requests a second in all at their own
 * moments: how long one waits for its answer on a server that is not full.
 *
 * usage: bench-http [CONNECTIONS [SECONDS [RATE]]]
 */
#include "base/clock-private.h"
#include "base/config-private.h"
#include "base/metrics-private.h"
#include "bus/bus.h"
#include "core/device/device.h"
#include "http-pace.h"
#include "http/http-private.h"
#include "kv/kv.h"
#include "net/gateway.h"
#include "store/store.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ROUNDS 3
#define KEY "chk_benchmark-key-benchmark-key-benchmark-key-00"
#define ID "82241218000382"
#define SKIPPED 77

typedef struct {
  double per_second;
  double p99_ms;
  double cpu_us; /* of this process, per request */
} Figure;

static double cpu_us (void)
{
  struct timespec now;
  clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double) now.tv_sec * G_USEC_PER_SEC + (double) now.tv_nsec / 1000;
}

static gint by_speed (gconstpointer a, gconstpointer b)
{
  const Figure *x = a, *y = b;
  return (x->per_second > y->per_second) - (x->per_second < y->per_second);
}

/* ---- ours ----------------------------------------------------------------------------
 */

static void declare (ChConfig *config)
{
  static const ChConfigKey own[] = {
      {.name = "app.state_dir", .type = CH_CONFIG_STRING, .def = "/nonexistent"},
      {.name = NULL},
  };
  static const char *const options[]
      = {"http.addr=127.0.0.1:0",       "api.auth.api_keys=" KEY,
         "ratelimit.per_key_per_min=0", "ratelimit.global_per_min=0",
         "http.max_connections=2000",   NULL};
  g_autoptr (GError) error = NULL;
  ch_config_declare (config, "", own);
  ch_config_declare (config, "bus", ch_bus_config);
  ch_config_declare (config, "", ch_gateway_config);
  ch_config_declare (config, "", ch_store_config);
  ch_config_declare (config, "", ch_core_config);
  ch_config_declare (config, "", ch_http_config);
  for (guint i = 0; options[i] != NULL; i++)
    ch_config_add_option (config, options[i], &error);
  g_assert_no_error (error);
}

static void add_device (ChCore *core)
{
  ChDevice *device = ch_device_add (core, ID);
  device->db_id = 1001;
  device->port_count = 2;
  device->last_seen_at = device->created_at = ch_wall_ms (core->self);
  for (gint i = 0; i < 2; i++) {
    ChPort *port = ch_device_port (device, 0, i, TRUE);
    port->status = CH_PORT_IDLE;
    port->power_mw = 1250400;
    port->voltage_mv = 220100;
    port->current_ma = 5680;
    port->reported_at = port->updated_at = device->last_seen_at;
  }
}

static void open_services (ChServices *s)
{
  g_autoptr (GError) error = NULL;
  s->clock = ch_clock_new ();
  s->config = ch_config_new ();
  s->metrics = ch_metrics_new ();
  s->runner = ch_runner_new ();
  s->replies = ch_replies_new ();
  s->phase = 9;
  s->kv = ch_kv_new (s); /* declares its keys */
  declare (s->config);
  ch_config_resolve (s->config, NULL, &error);
  g_assert_no_error (error);
  ch_reactor_new (s, NULL, &error);
  g_assert_no_error (error);
  s->bus = ch_bus_new (s);
  s->gateway = ch_gateway_new (s);
  s->store = ch_store_new (s);
  add_device (ch_core_new (s));
  ch_http_new (s);
  ch_http_add_routes (s->http->self, ch_http_device_routes, &error);
  ch_http_listen (s->http, &error);
  g_assert_no_error (error);
}

/* ---- bare ----------------------------------------------------------------------------
 */

static const char *const HEADERS[][2] = {
    {"X-Request-ID", "req-01HKEWJD00BD44ZV68T29P9S58"},
    {"X-Content-Type-Options", "nosniff"},
    {"Cache-Control", "no-store"},
};

static void bare_handler (SoupServer *server, SoupServerMessage *msg, const char *path,
                          GHashTable *query, gpointer data)
{
  GBytes *body = data;
  gsize size;
  const char *bytes = g_bytes_get_data (body, &size);
  SoupMessageHeaders *headers = soup_server_message_get_response_headers (msg);
  soup_server_message_set_status (msg, 200, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (HEADERS); i++)
    soup_message_headers_append (headers, HEADERS[i][0], HEADERS[i][1]);
  soup_server_message_set_response (msg, "application/json", SOUP_MEMORY_STATIC, bytes,
                                    size);
}

static char *open_bare (SoupServer *server, GBytes *body)
{
  g_autoptr (GError) error = NULL;
  soup_server_add_handler (server, NULL, bare_handler, body, NULL);
  soup_server_listen_local (server, 0, SOUP_SERVER_LISTEN_IPV4_ONLY, &error);
  g_assert_no_error (error);
  GSList *uris = soup_server_get_uris (server);
  char *text = g_strdup_printf ("http://127.0.0.1:%d", g_uri_get_port (uris->data));
  g_slist_free_full (uris, (GDestroyNotify) g_uri_unref);
  return text;
}

/* ---- measuring -----------------------------------------------------------------------
 */

static void finished (GObject *source, GAsyncResult *result, gpointer data)
{
  char **text = data;
  g_subprocess_communicate_utf8_finish (G_SUBPROCESS (source), result, text, NULL, NULL);
  if (*text == NULL)
    *text = g_strdup ("");
}

static char *run (const char *const *argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSubprocess) child
      = g_subprocess_newv (argv, G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error);
  char *text = NULL;
  g_assert_no_error (error);
  g_subprocess_communicate_utf8_async (child, NULL, NULL, finished, &text);
  while (text == NULL)
    g_main_context_iteration (NULL, TRUE);
  return text;
}

/* "1.23ms", "950.00us", "1.01s" */
static double read_ms (const char *text)
{
  char *unit;
  double value = g_ascii_strtod (text, &unit);
  return g_str_has_prefix (unit, "us")   ? value / 1000
         : g_str_has_prefix (unit, "ms") ? value
                                         : value * 1000;
}

static Figure measure (const char *base, const char *connections, const char *seconds)
{
  g_autofree char *url = g_strconcat (base, "/api/v1/devices/" ID, NULL);
  const char *const argv[] = {"wrk",   "-t1",       "-c", connections,       "-d",
                              seconds, "--latency", "-H", "X-API-Key: " KEY, url,
                              NULL};
  double before = cpu_us ();
  g_autofree char *text = run (argv);
  double used = cpu_us () - before;
  const char *done = strstr (text, " requests in ");
  const char *speed = strstr (text, "Requests/sec:");
  const char *p99 = strstr (text, "99%");
  if (strstr (text, "Non-2xx") != NULL || speed == NULL || p99 == NULL || done == NULL)
    g_error ("wrk says: %s", text);
  while (done > text && g_ascii_isdigit (done[-1]))
    done--;
  return (Figure) {g_ascii_strtod (speed + strlen ("Requests/sec:"), NULL),
                   read_ms (p99 + strlen ("99%")), used / g_ascii_strtod (done, NULL)};
}

static GBytes *fetch_body (const char *base)
{
  g_autofree char *url = g_strconcat (base, "/api/v1/devices/" ID, NULL);
  const char *const argv[] = {"curl", "-s", "-H", "X-API-Key: " KEY, url, NULL};
  char *text = run (argv);
  g_assert_true (g_str_has_prefix (text, "{\"code\":0,"));
  return g_bytes_new_take (text, strlen (text));
}

/* "http://127.0.0.1:8080" */
static void measure_paced (const char *name, const char *base, guint connections,
                           guint rate, guint seconds)
{
  Pace pace;
  guint port = (guint) g_ascii_strtoull (strrchr (base, ':') + 1, NULL, 10);
  double before = cpu_us ();
  if (!pace_measure ((guint16) port, "/api/v1/devices/" ID, KEY, connections, rate,
                     seconds, &pace))
    g_error ("%s does not answer at this pace", name);
  printf ("%-13s %.0f/s of %u/s, p50 %.2f ms, p99 %.2f ms, max %.1f ms, %.1f us of CPU\n",
          name, pace.per_second, rate, pace.p50_ms, pace.p99_ms, pace.max_ms,
          (cpu_us () - before) / (pace.per_second * seconds));
  fflush (stdout);
}

int main (int argc, char **argv)
{
  const char *connections = argc > 1 ? argv[1] : "256";
  const char *seconds = argc > 2 ? argv[2] : "4";
  guint rate = argc > 3 ? (guint) g_ascii_strtoull (argv[3], NULL, 10) : 0;
  g_autofree char *wrk = g_find_program_in_path ("wrk");
  g_autofree char *curl = g_find_program_in_path ("curl");
  ChServices services = {0};
  Figure ours[ROUNDS], bare[ROUNDS];

  if (wrk == NULL || curl == NULL) {
    printf ("wrk or curl is not here\n");
    return SKIPPED;
  }
  ch_reactor_raise_fd_limit ();
  open_services (&services);
  g_autoptr (GBytes) body = fetch_body (ch_http_url (services.http));
  g_autoptr (SoupServer) server = soup_server_new (NULL, NULL);
  g_autofree char *bare_url = open_bare (server, body);
  if (rate > 0) {
    guint n = (guint) g_ascii_strtoull (connections, NULL, 10);
    guint length = (guint) g_ascii_strtoull (seconds, NULL, 10);
    measure_paced ("bare libsoup", bare_url, n, rate, length);
    measure_paced ("GET a device", ch_http_url (services.http), n, rate, length);
    ch_http_free (services.http);
    return 0;
  }
  for (guint i = 0; i < ROUNDS; i++) {
    bare[i] = measure (bare_url, connections, seconds);
    ours[i] = measure (ch_http_url (services.http), connections, seconds);
    printf (
        "round %u: bare %.0f/s p99 %.1f ms %.1f us, device %.0f/s p99 %.1f ms %.1f us\n",
        i + 1, bare[i].per_second, bare[i].p99_ms, bare[i].cpu_us, ours[i].per_second,
        ours[i].p99_ms, ours[i].cpu_us);
    fflush (stdout);
  }
  qsort (ours, ROUNDS, sizeof *ours, by_speed);
  qsort (bare, ROUNDS, sizeof *bare, by_speed);
  const Figure *a = &ours[ROUNDS / 2], *b = &bare[ROUNDS / 2];
  printf ("%s connections, %zu bytes of body\n", connections, g_bytes_get_size (body));
  printf ("bare libsoup  %.0f/s, p99 %.2f ms, %.1f us of CPU\n", b->per_second, b->p99_ms,
          b->cpu_us);
  printf ("GET a device  %.0f/s, p99 %.2f ms, %.1f us of CPU\n", a->per_second, a->p99_ms,
          a->cpu_us);
  printf ("ratio         %.2f of its requests, %.2f by CPU\n",
          a->per_second / b->per_second, b->cpu_us / a->cpu_us);
  ch_http_free (services.http);
  return 0;
}
