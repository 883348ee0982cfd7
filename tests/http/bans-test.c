/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may not connect: devices and addresses, by hand and by flapping. */
#include "core/device/bans.h"
#include "http-fixture.h"
#include "net/gateway.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ID "82241218000382"
#define BANS "/api/v1/admin/bans"

static const char *text (const json_t *object, const char *name)
{
  return ch_json_get_string (object, name, "");
}

static gint64 total (Api *api)
{
  g_autoptr (json_t) data = api_ok (api, "GET", BANS, BOSS, NULL, 200);
  return ch_json_get_int (data, "total", -1);
}

/* Whether a device with this id is let in. */
static gboolean may_bind (Api *api, const char *id)
{
  int fd = queue_connect (api->queue);
  queue_say (api->queue, fd, "@on %s", id);
  gboolean closed = queue_is_closed (api->queue, fd);
  close (fd);
  queue_settle (api->queue);
  return !closed;
}

static void test_device (void)
{
  Api api;
  api_open (&api, NULL);
  int fd = api_device (&api, ID);
  g_autoptr (json_t) ban
      = api_ok (&api, "POST", BANS, BOSS,
                "{\"device_id\":\"" ID "\",\"reason\":\"stolen\",\"minutes\":10}", 201);
  g_assert_cmpstr (text (ban, "subject"), ==, ID);
  g_assert_cmpstr (text (ban, "kind"), ==, "device");
  g_assert_cmpstr (text (ban, "until"), ==, "2024-01-06T08:10:00.000Z");
  g_assert_true (queue_is_closed (api.queue, fd));
  close (fd);
  g_assert_false (may_bind (&api, ID));
  g_assert_true (may_bind (&api, "other"));
  API_SQL ("SELECT subject || reason FROM bans", ID "stolen");

  api_restart (&api);
  g_assert_cmpint (total (&api), ==, 1);
  g_assert_false (may_bind (&api, ID));
  queue_advance (api.queue, 9 * 60000);
  g_assert_false (may_bind (&api, ID));
  queue_advance (api.queue, 61000);
  g_assert_cmpint (total (&api), ==, 0);
  g_assert_true (may_bind (&api, ID));
  queue_advance (api.queue, 31000);
  API_SQL ("SELECT count (*) FROM bans", "0");
  api_close (&api);
}

static void test_lift (void)
{
  Api api;
  api_open (&api, NULL);
  g_autoptr (json_t) ban
      = api_ok (&api, "POST", BANS, BOSS, "{\"device_id\":\"" ID "\"}", 201);
  g_assert_true (json_is_null (json_object_get (ban, "until")));
  g_autoptr (json_t) again
      = api_ok (&api, "POST", BANS, BOSS, "{\"device_id\":\"" ID "\"}", 200);
  g_assert_false (may_bind (&api, ID)); /* also one that was never seen */
  g_autoptr (json_t) lifted = api_ok (&api, "DELETE", BANS "/" ID, BOSS, NULL, 200);
  g_assert_true (may_bind (&api, ID));
  g_assert_cmpint (api_code (&api, "DELETE", BANS "/" ID, BOSS, NULL), ==, 40400);
  queue_settle (api.queue);
  API_SQL ("SELECT count (*) FROM audit_log", "3");
  API_SQL ("SELECT count (*) FROM audit_log WHERE before IS NOT NULL", "1");
  api_close (&api);
}

static void test_flapping (void)
{
  Api api;
  api_open (&api, (const char *const[]) {"tcp.flapping.max_count=3", NULL});
  for (guint i = 0; i < 3; i++)
    g_assert_true (may_bind (&api, ID));
  g_assert_false (may_bind (&api, ID));
  g_autoptr (json_t) list = api_ok (&api, "GET", BANS, BOSS, NULL, 200);
  const json_t *ban = json_array_get (json_object_get (list, "bans"), 0);
  g_assert_cmpstr (text (ban, "reason"), ==, "flapping");
  api_restart (&api); /* it is not forgotten */
  g_assert_false (may_bind (&api, ID));
  g_autoptr (json_t) lifted = api_ok (&api, "DELETE", BANS "/" ID, BOSS, NULL, 200);
  g_assert_true (may_bind (&api, ID));
  api_close (&api);
}

/* Another instance bans and lifts by the same table. */
static void test_other_instance (void)
{
  Api api;
  api_open (&api, NULL);
  g_autofree char *at = api_sql_time (1704528000000);
  g_autofree char *row = g_strdup_printf ("INSERT INTO bans (subject, reason, created_at)"
                                          " VALUES ('" ID "', 'elsewhere', %s)",
                                          at);
  queue_change (api.queue, row);
  queue_advance (api.queue, 31000);
  g_assert_false (may_bind (&api, ID));
  queue_change (api.queue, "DELETE FROM bans");
  queue_advance (api.queue, 31000);
  g_assert_true (may_bind (&api, ID));
  api_close (&api);
}

static void test_not_stored (void)
{
  Api api;
  api_open (&api, NULL);
  int fd = api_device (&api, ID);
  queue_change (api.queue, "CREATE TRIGGER no BEFORE INSERT ON bans BEGIN"
                           " SELECT raise (ABORT, 'no'); END");
  g_assert_cmpint (api_code (&api, "POST", BANS, BOSS, "{\"device_id\":\"" ID "\"}"), ==,
                   50305);
  g_assert_false (queue_is_closed (api.queue, fd));
  g_assert_cmpint (total (&api), ==, 0);
  close (fd);
  api_close (&api);
}

/* ---- addresses -----------------------------------------------------------------------
 */

static guint16 port_of (ChGateway *gateway)
{
  g_autoptr (GPtrArray) addresses = ch_gateway_addresses (gateway);
  const char *address = g_ptr_array_index (addresses, 0);
  return (guint16) g_ascii_strtoull (strrchr (address, ':') + 1, NULL, 10);
}

static int dial (Api *api, guint16 port)
{
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons (port),
                                .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  g_assert_cmpint (fd, >=, 0);
  if (connect (fd, (struct sockaddr *) &address, sizeof address) < 0)
    g_assert_cmpint (errno, ==, EINPROGRESS);
  queue_settle (api->queue);
  return fd;
}

static void test_address (void)
{
  g_autoptr (GError) error = NULL;
  Api api;
  api_open (&api, (const char *const[]) {"tcp.listeners=127.0.0.1:0", NULL});
  g_assert_true (ch_gateway_listen (api.services->gateway, &error));
  guint16 port = port_of (api.services->gateway);
  int fd = dial (&api, port);
  g_assert_false (queue_is_closed (api.queue, fd));
  g_autoptr (json_t) ban
      = api_ok (&api, "POST", BANS, BOSS, "{\"address\":\"127.0.0.1\"}", 201);
  g_assert_cmpstr (text (ban, "subject"), ==, "127.0.0.1/32");
  g_assert_true (queue_is_closed (api.queue, fd));
  close (fd);
  fd = dial (&api, port);
  g_assert_true (queue_is_closed (api.queue, fd));
  close (fd);
  g_autoptr (json_t) lifted = api_ok (&api, "DELETE", BANS "/127.0.0.1", BOSS, NULL, 200);
  fd = dial (&api, port);
  g_assert_false (queue_is_closed (api.queue, fd));
  close (fd);
  g_autoptr (json_t) wide
      = api_ok (&api, "POST", BANS, BOSS, "{\"address\":\"127.0.0.0/8\"}", 201);
  fd = dial (&api, port);
  g_assert_true (queue_is_closed (api.queue, fd));
  close (fd);
  g_autoptr (json_t) gone
      = api_ok (&api, "DELETE", BANS "/127.0.0.0%2F8", BOSS, NULL, 200);
  api_close (&api);
}

static void test_hosts (void)
{
  static const struct {
    const char *host;
    gboolean banned;
  } cases[] = {{"10.1.2.3", TRUE},
               {"10.2.2.3", FALSE},
               {"[2001:db8::7]", TRUE},
               {"[2001:db9::7]", FALSE},
               {"local", FALSE}};
  Api api;
  api_open (&api, NULL);
  g_autoptr (json_t) a
      = api_ok (&api, "POST", BANS, BOSS, "{\"address\":\"10.1.0.0/16\"}", 201);
  g_autoptr (json_t) b
      = api_ok (&api, "POST", BANS, BOSS, "{\"address\":\"2001:db8::/32\"}", 201);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    g_assert_cmpint (ch_bans_has_host (api.services->core->bans, cases[i].host), ==,
                     cases[i].banned);
  static const char *const wrong[] = {"{}",
                                      "{\"address\":\"10.1.2\"}",
                                      "{\"address\":\"1.2.3.4/99\"}",
                                      "{\"address\":\"1.2.3.4\",\"device_id\":\"A\"}",
                                      "{\"device_id\":\"a/b\"}",
                                      "{\"device_id\":\"A\",\"minutes\":0}"};
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++)
    g_assert_cmpint (api_code (&api, "POST", BANS, BOSS, wrong[i]), ==, 40010);
  api_close (&api);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ch_reactor_raise_fd_limit ();
  g_test_add_func ("/http/bans/device", test_device);
  g_test_add_func ("/http/bans/lift", test_lift);
  g_test_add_func ("/http/bans/flapping", test_flapping);
  g_test_add_func ("/http/bans/other-instance", test_other_instance);
  g_test_add_func ("/http/bans/not-stored", test_not_stored);
  g_test_add_func ("/http/bans/address", test_address);
  g_test_add_func ("/http/bans/hosts", test_hosts);
  return g_test_run ();
}
