/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices by hand: registering, changing, retiring, importing. */
#include "http-fixture.h"

#include <string.h>
#include <unistd.h>

#define ID "82241218000382"
#define ADMIN "/api/v1/admin"
#define DEVICES ADMIN "/devices"
#define CSV BOSS "Content-Type: text/csv\r\n"
#define LINES BOSS "Content-Type: application/x-ndjson\r\n"

static const char *text (const json_t *object, const char *name)
{
  return ch_json_get_string (object, name, "");
}

static gint64 number (const json_t *object, const char *name)
{
  return ch_json_get_int (object, name, -1);
}

/* ---- one -----------------------------------------------------------------------------
 */

static void test_register (void)
{
  Api api;
  api_open (&api, NULL);
  g_autoptr (json_t) fresh
      = api_ok (&api, "POST", DEVICES, BOSS,
                "{\"device_id\":\"A1\",\"protocol\":\"lines\",\"iccid\":\"8986\","
                "\"port_count\":2,\"tags\":{\"site\":\"north\",\"row\":3}}",
                201);
  g_assert_cmpstr (text (fresh, "device_phy_id"), ==, "A1");
  g_assert_cmpstr (text (fresh, "enrolment"), ==, "registered");
  g_assert_cmpstr (text (fresh, "lifecycle"), ==, "active");
  g_assert_cmpint (number (fresh, "port_count"), ==, 2);
  API_SQL ("SELECT enrolment || ' ' || lifecycle || ' ' || iccid || ' ' ||"
           " json_extract (tags, '$.site') FROM devices",
           "registered active 8986 north");

  /* Again: nothing is made, what is said is taken. */
  g_autoptr (json_t) again
      = api_ok (&api, "POST", DEVICES, BOSS,
                "{\"device_id\":\"A1\",\"lifecycle\":\"maintenance\"}", 200);
  g_assert_cmpstr (text (again, "lifecycle"), ==, "maintenance");
  g_assert_cmpstr (text (again, "iccid"), ==, "8986");

  /* One that came by itself is known from now on. */
  int fd = api_device (&api, ID);
  g_autoptr (json_t) adopted
      = api_ok (&api, "POST", DEVICES, BOSS, "{\"device_id\":\"" ID "\"}", 200);
  g_assert_cmpstr (text (adopted, "enrolment"), ==, "registered");
  g_assert_cmpuint (json_array_size (json_object_get (adopted, "ports")), ==, 1);
  api_restart (&api);
  g_autoptr (json_t) kept = api_ok (&api, "GET", "/api/v1/devices/A1", READER, NULL, 200);
  g_assert_cmpstr (text (kept, "lifecycle"), ==, "maintenance");
  g_assert_cmpstr (text (json_object_get (kept, "tags"), "site"), ==, "north");
  close (fd);
  api_close (&api);
}

static void test_bad_fields (void)
{
  static const struct {
    const char *body, *field;
  } cases[] = {
      {"{}", "device_id"},
      {"{\"device_id\":\"a/b\"}", "device_id"},
      {"{\"device_id\":7}", "device_id"},
      {"{\"device_id\":\"A\",\"lifecycle\":\"gone\"}", "lifecycle"},
      {"{\"device_id\":\"A\",\"enrolment\":\"x\"}", "enrolment"},
      {"{\"device_id\":\"A\",\"tags\":[]}", "tags"},
      {"{\"device_id\":\"A\",\"tags\":{\"\":1}}", "tags"},
      {"{\"device_id\":\"A\",\"port_count\":0}", "port_count"},
      {"{\"device_id\":\"A\",\"iccid\":\"\"}", "iccid"},
  };
  Api api;
  api_open (&api, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (json_t) json = NULL;
    g_assert_cmpuint (api_ask (&api, "POST", DEVICES, BOSS, cases[i].body, &json), ==,
                      400);
    const json_t *fields = json_object_get (json_object_get (json, "data"), "fields");
    g_assert_cmpstr (text (json_array_get (fields, 0), "field"), ==, cases[i].field);
  }
  g_autofree char *long_text = g_strnfill (5000, 'x');
  g_autofree char *body
      = g_strdup_printf ("{\"device_id\":\"A\",\"tags\":{\"a\":\"%s\"}}", long_text);
  g_assert_cmpint (api_code (&api, "POST", DEVICES, BOSS, body), ==, 40010);
  g_assert_cmpint (api_code (&api, "PATCH", DEVICES "/none", BOSS, "{}"), ==, 40401);
  g_assert_cmpint (api_code (&api, "DELETE", DEVICES "/none", BOSS, NULL), ==, 40401);
  API_SQL ("SELECT count (*) FROM devices", "0");
  API_SQL ("SELECT count (*) FROM audit_log", "0");
  api_close (&api);
}

static void test_change (void)
{
  Api api;
  api_open (&api, NULL);
  int fd = api_device (&api, ID);
  queue_advance (api.queue, 100);
  g_autofree char *forgotten = queue_lines (api.queue->events);
  g_autoptr (json_t) a = api_ok (&api, "PATCH", DEVICES "/" ID, BOSS,
                                 "{\"tags\":{\"site\":\"a\",\"old\":1}}", 200);
  g_autoptr (json_t) b = api_ok (
      &api, "PATCH", DEVICES "/" ID, BOSS,
      "{\"tags\":{\"old\":null,\"new\":true},\"lifecycle\":\"maintenance\"}", 200);
  g_autofree char *tags
      = json_dumps (json_object_get (b, "tags"), JSON_SORT_KEYS | JSON_COMPACT);
  g_assert_cmpstr (tags, ==, "{\"new\":true,\"site\":\"a\"}");
  g_assert_cmpstr (text (b, "enrolment"), ==, "auto");
  g_autofree char *events = queue_lines (api.queue->events);
  g_assert_cmpstr (events, ==,
                   "device.changed " ID " ; device.changed " ID " ; device.changed " ID
                   " ");
  queue_settle (api.queue);
  API_SQL ("SELECT count (*) FROM audit_log WHERE json_extract (before, '$.lifecycle')"
           " = 'active' AND json_extract (after, '$.lifecycle') = 'maintenance'",
           "1");
  /* Out of operation: its frames count, its ports cannot be had (DEV-01). */
  queue_say (api.queue, fd, "@hb " ID);
  g_assert_false (queue_is_closed (api.queue, fd));
  g_assert_cmpint (api_code (&api, "POST", "/devices/" ID "/start_charge", DRIVER,
                             "{\"port_no\":0,\"charge_mode\":1,\"amount\":1,"
                             "\"duration_minutes\":1}"),
                   ==, 50303);
  close (fd);
  api_close (&api);
}

/* A store that says no changes nothing. */
static void test_not_stored (void)
{
  Api api;
  api_open (&api, NULL);
  int fd = api_device (&api, ID);
  queue_advance (api.queue, 100);
  queue_change (api.queue, "CREATE TRIGGER no BEFORE UPDATE OF lifecycle ON devices BEGIN"
                           " SELECT raise (ABORT, 'no'); END");
  g_assert_cmpint (
      api_code (&api, "PATCH", DEVICES "/" ID, BOSS, "{\"enrolment\":\"blocked\"}"), ==,
      50305);
  g_assert_false (queue_is_closed (api.queue, fd));
  g_autoptr (json_t) device
      = api_ok (&api, "GET", "/api/v1/devices/" ID, READER, NULL, 200);
  g_assert_cmpstr (text (device, "enrolment"), ==, "auto");
  close (fd);
  api_close (&api);
}

static void test_block (void)
{
  Api api;
  api_open (&api, NULL);
  int fd = api_device (&api, ID);
  g_autoptr (json_t) blocked
      = api_ok (&api, "PATCH", DEVICES "/" ID, BOSS, "{\"enrolment\":\"blocked\"}", 200);
  g_assert_false (ch_json_get_bool (blocked, "is_online", TRUE));
  g_assert_true (queue_is_closed (api.queue, fd));
  close (fd);
  fd = queue_connect (api.queue);
  queue_say (api.queue, fd, "@on " ID);
  g_assert_true (queue_is_closed (api.queue, fd));
  close (fd);
  api_restart (&api);
  fd = queue_connect (api.queue);
  queue_say (api.queue, fd, "@on " ID);
  g_assert_true (queue_is_closed (api.queue, fd));
  close (fd);
  g_autoptr (json_t) free = api_ok (&api, "PATCH", DEVICES "/" ID, BOSS,
                                    "{\"enrolment\":\"registered\"}", 200);
  fd = api_device (&api, ID);
  g_assert_false (queue_is_closed (api.queue, fd));
  close (fd);
  api_close (&api);
}

/* Wanted devices on the same connection keep it. */
static void test_block_one_of_two (void)
{
  Api api;
  api_open (&api, (const char *const[]) {"proto-lines.multi_device=true",
                                         "proto-lines.refuse_closes=if_empty", NULL});
  int fd = api_device (&api, ID);
  queue_say (api.queue, fd, "@on other");
  g_autoptr (json_t) blocked
      = api_ok (&api, "PATCH", DEVICES "/" ID, BOSS, "{\"enrolment\":\"blocked\"}", 200);
  g_assert_false (queue_is_closed (api.queue, fd));
  g_assert_cmpint ((gint64) queue_device (api.queue, ID)->conn, ==, 0);
  queue_say (api.queue, fd, "@hb " ID);
  g_assert_cmpint ((gint64) queue_device (api.queue, ID)->conn, ==, 0);
  g_assert_cmpint ((gint64) queue_device (api.queue, "other")->conn, !=, 0);
  close (fd);
  api_close (&api);
}

/* ---- retiring ------------------------------------------------------------------------
 */

static void test_retire (void)
{
  Api api;
  api_open_orders (&api, NULL);
  int fd = api_device (&api, ID);
  queue_advance (api.queue, 100);
  g_autoptr (json_t) started
      = api_ok (&api, "POST", "/devices/" ID "/start_charge", DRIVER,
                "{\"port_no\":0,\"charge_mode\":1,\"amount\":1,\"duration_minutes\":1,"
                "\"order_no\":\"O1\"}",
                202);
  g_autoptr (json_t) refused = NULL;
  g_assert_cmpuint (api_ask (&api, "DELETE", DEVICES "/" ID, BOSS, NULL, &refused), ==,
                    409);
  g_assert_cmpstr (text (json_object_get (refused, "data"), "current_order"), ==, "O1");
  g_autoptr (json_t) failed = api_ok (&api, "POST", ADMIN "/orders/O1/force-fail", BOSS,
                                      "{\"comment\":\"x\"}", 200);
  g_autoptr (json_t) data = api_ok (&api, "DELETE", DEVICES "/" ID, BOSS, NULL, 200);
  g_assert_false (ch_json_get_bool (data, "deleted", TRUE));
  API_SQL ("SELECT lifecycle FROM devices", "decommissioned");
  close (fd);
  queue_settle (api.queue);
  /* It has orders: it stays for the books. */
  g_autoptr (json_t) again = api_ok (&api, "DELETE", DEVICES "/" ID, BOSS, NULL, 200);
  g_assert_false (ch_json_get_bool (again, "deleted", TRUE));
  API_SQL ("SELECT count (*) FROM devices", "1");
  api_close (&api);
}

/* An order that only the store knows: another instance has the device. */
static void test_retire_with_orders_elsewhere (void)
{
  Api api;
  api_open (&api, NULL);
  g_autoptr (json_t) fresh
      = api_ok (&api, "POST", DEVICES, BOSS, "{\"device_id\":\"" ID "\"}", 201);
  g_autofree char *at = api_sql_time (1704528000000);
  g_autofree char *order = g_strdup_printf (
      "INSERT INTO orders (device_id, port_no, order_no, status, created_at, updated_at)"
      " SELECT id, 0, 'O1', 2, %s, %s FROM devices",
      at, at);
  queue_change (api.queue, order);
  g_assert_cmpint (api_code (&api, "DELETE", DEVICES "/" ID, BOSS, NULL), ==, 40901);
  API_SQL ("SELECT lifecycle FROM devices", "active");
  api_close (&api);
}

static void test_delete (void)
{
  Api api;
  api_open (&api, NULL);
  g_autoptr (json_t) fresh
      = api_ok (&api, "POST", DEVICES, BOSS, "{\"device_id\":\"" ID "\"}", 201);
  int fd = api_device (&api, ID);
  close (fd);
  queue_advance (api.queue, 2000);
  g_autoptr (json_t) data = api_ok (&api, "DELETE", DEVICES "/" ID, BOSS, NULL, 200);
  g_assert_true (ch_json_get_bool (data, "deleted", FALSE));
  g_assert_cmpuint (api_ask (&api, "GET", "/api/v1/devices/" ID, READER, NULL, NULL), ==,
                    404);
  queue_advance (api.queue, 120000); /* nothing writes it again */
  API_SQL ("SELECT count (*) FROM devices", "0");
  fd = api_device (&api, ID); /* a new one */
  queue_advance (api.queue, 100);
  API_SQL ("SELECT enrolment || lifecycle FROM devices", "autoactive");
  close (fd);
  api_close (&api);
}

/* ---- importing -----------------------------------------------------------------------
 */

static const char SHEET[] = "\xef\xbb\xbf"
                            "device_id,protocol,lifecycle,tags\r\n"
                            "A1,lines,,\"{\"\"site\"\":\"\"n, \"\"}\"\r\n"
                            "A2,lines,maintenance,\r\n"
                            "\r\n"
                            "A3,,,\n";

static void test_csv (void)
{
  Api api;
  api_open (&api, NULL);
  g_autoptr (json_t) dry = api_ok (&api, "POST", DEVICES "/import", CSV, SHEET, 200);
  g_assert_true (ch_json_get_bool (dry, "dry_run", FALSE));
  g_assert_cmpint (number (dry, "new"), ==, 3);
  API_SQL ("SELECT count (*) FROM devices", "0");
  g_autoptr (json_t) real
      = api_ok (&api, "POST", DEVICES "/import?dry_run=false", CSV, SHEET, 200);
  g_assert_cmpint (number (real, "new"), ==, 3);
  API_SQL ("SELECT max (phy_id || lifecycle || enrolment) || min (phy_id || lifecycle) ||"
           " count (*) FROM devices",
           "A3activeregisteredA1active3");
  API_SQL ("SELECT json_extract (tags, '$.site') FROM devices WHERE phy_id = 'A1'",
           "n, ");
  g_autoptr (json_t) again
      = api_ok (&api, "POST", DEVICES "/import?dry_run=false", CSV, SHEET, 200);
  g_assert_cmpint (number (again, "unchanged"), ==, 3);
  g_autoptr (json_t) list
      = api_ok (&api, "GET", "/api/v1/devices?tag=site", READER, NULL, 200);
  g_assert_cmpint (number (list, "total"), ==, 1);
  api_close (&api);
}

static void test_lines (void)
{
  Api api;
  api_open (&api, NULL);
  g_autoptr (json_t) data = api_ok (
      &api, "POST", DEVICES "/import?dry_run=false", LINES,
      "{\"device_id\":\"A1\",\"enrolment\":\"blocked\"}\n\n{\"device_id\":\"A2\"}", 200);
  g_assert_cmpint (number (data, "total"), ==, 2);
  /* Named again without a word on it: blocked it stays. */
  g_autoptr (json_t) next = api_ok (&api, "POST", DEVICES "/import?dry_run=false", LINES,
                                    "{\"device_id\":\"A1\",\"model\":\"M\"}", 200);
  g_assert_cmpint (number (next, "changed"), ==, 1);
  API_SQL ("SELECT enrolment || model FROM devices WHERE phy_id = 'A1'", "blockedM");
  api_close (&api);
}

static void test_bad_imports (void)
{
  static const struct {
    const char *headers, *body;
    gint line;
    const char *field, *rule;
  } cases[] = {
      {CSV, "device_id,colour\nA,red\n", 1, "colour", "column"},
      {CSV, "device_id,device_id\nA,B\n", 1, "device_id", "unique"},
      {CSV, "device_id,model\nA\n", 2, "", "columns"},
      {CSV, "device_id,model\nA,\"x\n", 2, "", "quotes"},
      {CSV, "device_id\nA\nB/\n", 3, "device_id", "pattern"},
      {CSV, "device_id\nA\nA\n", 3, "device_id", "unique"},
      {CSV, "device_id,port_count\nA,many\n", 2, "port_count", "type"},
      {CSV, "device_id,tags\nA,green\n", 2, "tags", "type"},
      {CSV, "model\nX\n", 2, "device_id", "required"},
      {LINES, "{\"device_id\":\"A\"}\n[]\n", 2, "", "json"},
      {LINES, "{\"device_id\":\"A\"}\n{\"device_id\":\"B\",\"lifecycle\":\"x\"}\n", 2,
       "lifecycle", "enum"},
  };
  Api api;
  api_open (&api, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (json_t) json = NULL;
    guint status = api_ask (&api, "POST", DEVICES "/import?dry_run=false",
                            cases[i].headers, cases[i].body, &json);
    const json_t *item
        = json_array_get (json_object_get (json_object_get (json, "data"), "fields"), 0);
    g_assert_cmpuint (status, ==, 400);
    g_assert_cmpstr (text (item, "rule"), ==, cases[i].rule);
    g_assert_cmpstr (text (item, "field"), ==, cases[i].field);
    if (cases[i].line != 1)
      g_assert_cmpint (number (item, "line"), >=, 2);
  }
  g_assert_cmpint (api_code (&api, "POST", DEVICES "/import", BOSS, "{}"), ==, 41500);
  g_assert_cmpint (api_code (&api, "POST", DEVICES "/import?dry_run=maybe", CSV, "x"), ==,
                   40010);
  API_SQL ("SELECT count (*) FROM devices", "0");
  api_close (&api);
}

/* As many as fit, in one transaction; one more is refused. */
static void test_large_import (void)
{
  Api api;
  api_open (&api, NULL);
  g_autoptr (GString) sheet = g_string_new ("device_id,protocol\n");
  for (guint i = 0; i < 10000; i++)
    g_string_append_printf (sheet, "dev-%05u,lines\n", i);
  g_autoptr (json_t) data
      = api_ok (&api, "POST", DEVICES "/import?dry_run=false", CSV, sheet->str, 200);
  g_assert_cmpint (number (data, "new"), ==, 10000);
  API_SQL ("SELECT count (*) FROM devices", "10000");
  g_string_append (sheet, "more,lines\n");
  g_assert_cmpint (api_code (&api, "POST", DEVICES "/import", CSV, sheet->str), ==,
                   40010);
  api_close (&api);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ch_reactor_raise_fd_limit ();
  g_test_add_func ("/http/admin-devices/register", test_register);
  g_test_add_func ("/http/admin-devices/bad-fields", test_bad_fields);
  g_test_add_func ("/http/admin-devices/change", test_change);
  g_test_add_func ("/http/admin-devices/not-stored", test_not_stored);
  g_test_add_func ("/http/admin-devices/block", test_block);
  g_test_add_func ("/http/admin-devices/block-one-of-two", test_block_one_of_two);
  g_test_add_func ("/http/admin-devices/retire", test_retire);
  g_test_add_func ("/http/admin-devices/retire-elsewhere",
                   test_retire_with_orders_elsewhere);
  g_test_add_func ("/http/admin-devices/delete", test_delete);
  g_test_add_func ("/http/admin-devices/csv", test_csv);
  g_test_add_func ("/http/admin-devices/lines", test_lines);
  g_test_add_func ("/http/admin-devices/bad-imports", test_bad_imports);
  g_test_add_func ("/http/admin-devices/large-import", test_large_import);
  return g_test_run ();
}
