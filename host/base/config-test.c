/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sources and their order, reload, readers, what is shown. */
#include "base/config-private.h"
#include "base/owner.h"
#include <chargehost/error.h>
#include <chargehost/json.h>

#include <glib/gstdio.h>
#include <string.h>

static const char *const BACKENDS[] = {"memory", "redis", NULL};
static const char *const PORT_ALIASES[] = {"PORT=:*", NULL};
static const char *const HOLD_ALIASES[]
    = {"BOOKING_HOLD_TTL_SECONDS=*s", "HOLD_TTL=*s", NULL};
static const char *const PASSWORD_ALIASES[] = {"REDIS_PASSWORD", NULL};

static const ChConfigKey HOST_KEYS[] = {
    {.name = "profile",
     .type = CH_CONFIG_STRING,
     .def = "embedded",
     .summary = "Profile."},
    {.name = "http.addr",
     .type = CH_CONFIG_STRING,
     .def = ":8080",
     .aliases = PORT_ALIASES,
     .summary = "Listen address."},
    {.name = "http.trusted-proxies", .type = CH_CONFIG_LIST, .summary = "Networks."},
    {.name = "tcp.idle_timeout",
     .type = CH_CONFIG_DURATION_MS,
     .flags = CH_CONFIG_LIVE | CH_CONFIG_SECONDS,
     .def = "300s",
     .min = 1000,
     .max = 86400000,
     .summary = "Silence after which a connection is closed."},
    {.name = "tcp.limiting.max_connections",
     .type = CH_CONFIG_INT,
     .flags = CH_CONFIG_LIVE,
     .def = "10000",
     .min = 1,
     .max = 1000000,
     .summary = "Most connections."},
    {.name = "tcp.factor",
     .type = CH_CONFIG_DOUBLE,
     .def = "0.5",
     .min = 0,
     .max = 1,
     .summary = "A factor."},
    {.name = "http.max_body", .type = CH_CONFIG_SIZE, .def = "256K", .summary = "Body."},
    {.name = "kv.backend",
     .type = CH_CONFIG_CHOICE,
     .def = "memory",
     .choices = BACKENDS,
     .summary = "Which kv."},
    {.name = "kv.enabled",
     .type = CH_CONFIG_BOOL,
     .flags = CH_CONFIG_LIVE,
     .def = "yes",
     .summary = "Whether there is one."},
    {.name = "redis.password",
     .type = CH_CONFIG_SECRET,
     .flags = CH_CONFIG_LIVE,
     .aliases = PASSWORD_ALIASES,
     .summary = "Password of Redis."},
    {.name = "redis.replicas",
     .type = CH_CONFIG_LIST,
     .flags = CH_CONFIG_HIDDEN,
     .summary = "Copies of Redis."},
    {.name = "booking.hold_ttl",
     .type = CH_CONFIG_DURATION_MS,
     .def = "15m",
     .aliases = HOLD_ALIASES,
     .summary = "How long."},
    {.name = "labels",
     .type = CH_CONFIG_MAP,
     .flags = CH_CONFIG_LIVE,
     .summary = "Labels."},
    {NULL},
};

static const ChConfigKey PLUGIN_KEYS[] = {
    {.name = "timeout", .type = CH_CONFIG_DURATION_MS, .def = "1500", .summary = "Time."},
    {.name = "reasons", .type = CH_CONFIG_MAP, .summary = "Reasons."},
    {.name = "/redis.db", .type = CH_CONFIG_INT, .def = "0", .summary = "Database."},
    {NULL},
};

typedef struct {
  ChConfig *config;
  char *dir;
  char *main;
  GError *error;
} Fixture;

static void set_up (Fixture *f, gconstpointer data)
{
  f->config = ch_config_new ();
  f->dir = g_dir_make_tmp ("chargehost-config-XXXXXX", NULL);
  f->main = g_build_filename (f->dir, "main.yaml", NULL);
  ch_config_declare (f->config, "", HOST_KEYS);
  ch_config_declare (f->config, "proto-bkv", PLUGIN_KEYS);
}

static void tear_down (Fixture *f, gconstpointer data)
{
  g_autoptr (GDir) dir = g_dir_open (f->dir, 0, NULL);
  for (const char *name; (name = g_dir_read_name (dir)) != NULL;) {
    g_autofree char *path = g_build_filename (f->dir, name, NULL);
    g_remove (path);
  }
  g_assert_cmpint (g_rmdir (f->dir), ==, 0);
  ch_config_free (f->config);
  g_clear_error (&f->error);
  g_free (f->main);
  g_free (f->dir);
}

static char *put_file (Fixture *f, const char *name, const char *text)
{
  char *path = g_build_filename (f->dir, name, NULL);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  return path;
}

static void add_file (Fixture *f, const char *text)
{
  g_autofree char *path = put_file (f, "main.yaml", text);
  g_assert_true (ch_config_add_file (f->config, path, &f->error));
}

static void resolve (Fixture *f)
{
  ch_config_resolve (f->config, NULL, &f->error);
  g_assert_no_error (f->error);
}

/* Resolving fails with a message that has @part in it; %s is the main file. */
static void resolve_fails (Fixture *f, gint code, const char *part)
{
  g_auto (GStrv) halves = g_strsplit (part, "%s", 2);
  g_autofree char *expected = halves[1] != NULL
                                  ? g_strconcat (halves[0], f->main, halves[1], NULL)
                                  : g_strdup (part);

  g_assert_false (ch_config_resolve (f->config, NULL, &f->error));
  g_assert_error (f->error, CH_CONFIG_ERROR, code);
  g_test_message ("%s", f->error->message);
  g_assert_nonnull (strstr (f->error->message, expected));
  g_clear_error (&f->error);
}

static void check_source (Fixture *f, const char *key, const char *source)
{
  g_autoptr (json_t) all = ch_config_describe (f->config);
  const char *found = ch_json_get_string (json_object_get (all, key), "source", "none");
  g_auto (GStrv) halves = g_strsplit (source, "%s", 2);
  g_autofree char *expected = halves[1] != NULL
                                  ? g_strconcat (halves[0], f->main, halves[1], NULL)
                                  : g_strdup (source);
  g_assert_cmpstr (found, ==, expected);
}

static void test_defaults (Fixture *f, gconstpointer data)
{
  for (guint i = 0; i < 2; i++) { /* before and after resolving */
    g_assert_cmpstr (ch_config_get_string (f->config, "http.addr"), ==, ":8080");
    g_assert_cmpint (ch_config_get_duration_ms (f->config, "tcp.idle_timeout"), ==,
                     300000);
    g_assert_cmpint (ch_config_get_int (f->config, "tcp.limiting.max_connections"), ==,
                     10000);
    g_assert_cmpfloat (ch_config_get_double (f->config, "tcp.factor"), ==, 0.5);
    g_assert_cmpint (ch_config_get_int (f->config, "http.max_body"), ==, 256 * 1024);
    g_assert_true (ch_config_get_bool (f->config, "kv.enabled"));
    g_assert_null (ch_config_get_string (f->config, "redis.password"));
    g_assert_null (ch_config_get_list (f->config, "http.trusted-proxies")[0]);
    g_assert_null (ch_config_get_map (f->config, "labels"));
    g_assert_cmpint (ch_config_get_duration_ms (f->config, "proto-bkv.timeout"), ==,
                     1500);
    g_assert_false (ch_config_get_is_set (f->config, "http.addr"));
    resolve (f);
  }
}

static void test_file (Fixture *f, gconstpointer data)
{
  add_file (f, "# comment\n"
               "profile: production\n"
               "http:\n"
               "  addr: \"127.0.0.1:80\"\n"
               "  max_body: 1M\n"
               "  trusted-proxies:\n"
               "    - 10.0.0.0/8\n"
               "    - 'fd00::/8'\n"
               "tcp.idle_timeout: 90\n"
               "tcp:\n"
               "  limiting.max_connections: 0x20\n"
               "  factor: .25\n"
               "kv: {backend: redis, enabled: off}\n"
               "labels:\n"
               "  site: north\n"
               "  room.floor: 2\n"
               "booking:\n"
               "proto-bkv:\n"
               "  timeout: 2.5s\n"
               "  reasons: {}\n");
  resolve (f);
  g_assert_cmpstr (ch_config_get_string (f->config, "profile"), ==, "production");
  g_assert_cmpstr (ch_config_get_string (f->config, "http.addr"), ==, "127.0.0.1:80");
  g_assert_cmpint (ch_config_get_int (f->config, "http.max_body"), ==, 1024 * 1024);
  const char *const *list = ch_config_get_list (f->config, "http.trusted-proxies");
  g_assert_cmpstr (list[0], ==, "10.0.0.0/8");
  g_assert_cmpstr (list[1], ==, "fd00::/8");
  g_assert_null (list[2]);
  g_assert_cmpint (ch_config_get_duration_ms (f->config, "tcp.idle_timeout"), ==, 90000);
  g_assert_cmpint (ch_config_get_int (f->config, "tcp.limiting.max_connections"), ==, 32);
  g_assert_cmpfloat (ch_config_get_double (f->config, "tcp.factor"), ==, 0.25);
  g_assert_cmpstr (ch_config_get_string (f->config, "kv.backend"), ==, "redis");
  g_assert_false (ch_config_get_bool (f->config, "kv.enabled"));
  const char *const *map = ch_config_get_map (f->config, "labels");
  const char *const expected[] = {"site", "north", "room.floor", "2", NULL};
  g_assert_true (g_strv_equal (map, expected));
  g_assert_cmpint (ch_config_get_duration_ms (f->config, "proto-bkv.timeout"), ==, 2500);
  check_source (f, "http.addr", "%s:4");
  check_source (f, "tcp.idle_timeout", "%s:9");
  check_source (f, "booking.hold_ttl", "default");
}

static void test_order (Fixture *f, gconstpointer data)
{
  const char *const environment[]
      = {"CHARGEHOST_TCP_FACTOR=0.3", "CHARGEHOST_KV_BACKEND=redis", NULL};
  g_autofree char *a
      = put_file (f, "10-a.yaml", "profile: a\nkv.enabled: no\nlabels: {b: 2}\n");
  g_autofree char *b = put_file (f, "20-b.yaml", "profile: b\n");
  g_free (put_file (f, "30-c.yml", "profile: not read\n"));
  g_free (put_file (f, ".40-d.yaml", "profile: not read\n"));

  add_file (f, "profile: main\nhttp.addr: ':1'\ntcp.factor: 0.2\nlabels: {a: 1}\n"
               "kv.backend: memory\n");
  g_remove (f->main); /* parsed already; and *.yaml of the directory is all there is */
  g_assert_true (ch_config_add_directory (f->config, f->dir, &f->error));
  ch_config_set_environment (f->config, environment);
  g_assert_true (ch_config_add_option (f->config, "kv.backend=memory", &f->error));
  resolve (f);
  g_assert_cmpstr (ch_config_get_string (f->config, "profile"), ==, "b");
  g_assert_cmpstr (ch_config_get_string (f->config, "http.addr"), ==, ":1");
  g_assert_cmpfloat (ch_config_get_double (f->config, "tcp.factor"), ==, 0.3);
  g_assert_cmpstr (ch_config_get_string (f->config, "kv.backend"), ==, "memory");
  g_assert_false (ch_config_get_bool (f->config, "kv.enabled"));
  /* A later file's map takes the place of the earlier one. */
  const char *const expected[] = {"b", "2", NULL};
  g_assert_true (g_strv_equal (ch_config_get_map (f->config, "labels"), expected));
  check_source (f, "tcp.factor", "environment CHARGEHOST_TCP_FACTOR");
  check_source (f, "kv.backend", "command line");
}

static void test_missing (Fixture *f, gconstpointer data)
{
  g_autofree char *none = g_build_filename (f->dir, "none", NULL);

  g_assert_false (ch_config_add_file (f->config, none, &f->error));
  g_assert_error (f->error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_IO);
  g_clear_error (&f->error);
  g_assert_false (ch_config_add_file (f->config, f->dir, &f->error));
  g_assert_error (f->error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_IO);
  g_clear_error (&f->error);
  g_assert_true (ch_config_add_directory (f->config, none, &f->error));
  resolve (f);
}

static void test_options (Fixture *f, gconstpointer data)
{
  g_assert_false (ch_config_add_option (f->config, "profile", &f->error));
  g_assert_error (f->error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_SYNTAX);
  g_clear_error (&f->error);
  g_assert_false (ch_config_add_option (f->config, "=x", NULL));
  g_assert_true (ch_config_add_option (f->config, "profile=a=b", &f->error));
  g_assert_true (ch_config_add_option (f->config, "labels=x=1, y = 2", &f->error));
  g_assert_true (ch_config_add_option (f->config, "labels.y=3", &f->error));
  g_assert_true (ch_config_add_option (f->config, "labels.z=4", &f->error));
  g_assert_true (
      ch_config_add_option (f->config, "http.trusted-proxies= a , b,,c", &f->error));
  resolve (f);
  g_assert_cmpstr (ch_config_get_string (f->config, "profile"), ==, "a=b");
  g_autofree char *list = g_strjoinv (
      "|", (char **) ch_config_get_list (f->config, "http.trusted-proxies"));
  g_assert_cmpstr (list, ==, "a|b|c");
  g_autofree char *map
      = g_strjoinv ("|", (char **) ch_config_get_map (f->config, "labels"));
  g_assert_cmpstr (map, ==, "x|1|y|3|z|4");

  g_assert_true (ch_config_add_option (f->config, "profil=x", &f->error));
  resolve_fails (f, CH_CONFIG_ERROR_UNKNOWN_KEY,
                 "command line: unknown key 'profil'; did you mean 'profile'?");
}

static void test_ignored (Fixture *f, gconstpointer data)
{
  static const char *const ignored[] = {"proto-gn", "webhooks", NULL};
  const char *const environment[] = {"CHARGEHOST_PROTO_GN_X=1", NULL};

  add_file (f, "proto-gn:\n  anything: [1, 2]\n  deep: {a: {b: 1}}\nwebhooks.url: x\n");
  ch_config_set_environment (f->config, environment);
  g_assert_true (ch_config_add_option (f->config, "webhooks.a=b", NULL));
  g_assert_true (ch_config_resolve (f->config, ignored, &f->error));
  g_assert_no_error (f->error);
  resolve_fails (f, CH_CONFIG_ERROR_UNKNOWN_KEY, "%s:2: unknown key 'proto-gn.anything'");
}

/* A plugin that is found later brings its keys along. */
static void test_declared_later (Fixture *f, gconstpointer data)
{
  static const ChConfigKey first[]
      = {{.name = "size", .type = CH_CONFIG_INT, .def = "1", .summary = "Size."}, {NULL}};
  static const ChConfigKey second[] = {
      {.name = "size", .type = CH_CONFIG_SIZE, .def = "2K", .summary = "Size."}, {NULL}};
  static const char *const ignored[] = {"meter", NULL};

  add_file (f, "meter:\n  size: 3\n");
  g_assert_true (ch_config_resolve (f->config, ignored, &f->error));
  ch_config_declare (f->config, "meter", first);
  g_assert_cmpint (ch_config_get_int (f->config, "meter.size"), ==, 1);
  resolve (f);
  g_assert_cmpint (ch_config_get_int (f->config, "meter.size"), ==, 3);
  ch_config_declare (f->config, "meter", second);
  g_assert_cmpint (ch_config_get_int (f->config, "meter.size"), ==, 2048);
  resolve (f);
  g_assert_cmpint (ch_config_get_int (f->config, "meter.size"), ==, 3);
}

static void test_owners (Fixture *f, gconstpointer data)
{
  static const ChPluginInfo info = {.name = "proto-bkv"};
  ChServices services = {.config = f->config};
  g_autoptr (ChPlugin) core = ch_owner_new (&services, "core", NULL);
  g_autoptr (ChPlugin) plugin = ch_owner_new (&services, "proto-bkv", &info);

  add_file (f, "proto-bkv:\n  timeout: 2s\n  reasons:\n    '0x01': full\n"
               "redis:\n  db: 3\n  password: p\n");
  resolve (f);
  g_assert_cmpint (ch_config_duration_ms (core, "tcp.idle_timeout"), ==, 300000);
  g_assert_true (ch_config_bool (core, "kv.enabled"));
  g_assert_cmpfloat (ch_config_double (core, "tcp.factor"), ==, 0.5);
  g_assert_cmpint (ch_config_duration_ms (core, "proto-bkv.timeout"), ==, 2000);
  g_assert_cmpint (ch_config_duration_ms (plugin, "timeout"), ==, 2000);
  g_assert_true (ch_config_is_set (plugin, "timeout"));
  g_assert_cmpstr (ch_config_map (plugin, "reasons")[0], ==, "0x01");
  g_assert_cmpint (ch_config_int (plugin, "/redis.db"), ==, 3);
  g_assert_cmpstr (ch_config_string (plugin, "/redis.password"), ==, "p");
  g_assert_null (ch_config_list (plugin, "/http.trusted-proxies")[0]);
}

static void test_undeclared (void)
{
  if (g_test_subprocess ()) {
    ChConfig *config = ch_config_new ();
    ch_config_get_int (config, "no.such");
    return;
  }
  g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
  g_test_trap_assert_failed ();
  g_test_trap_assert_stderr ("*no.such is read but not declared*");
}

/* ---- reload ------------------------------------------------------------------------ */

static void test_reload (Fixture *f, gconstpointer data)
{
  add_file (f, "tcp.idle_timeout: 90s\nprofile: a\nlabels: {x: 1}\n");
  resolve (f);
  const char *profile = ch_config_get_string (f->config, "profile");

  g_free (
      put_file (f, "main.yaml", "profile: a\n\ntcp.idle_timeout: 60s\nlabels: {x: 2}\n"));
  g_auto (GStrv) changed = ch_config_reload (f->config, &f->error);
  g_assert_no_error (f->error);
  g_autofree char *names = g_strjoinv (" ", changed);
  g_assert_cmpstr (names, ==, "tcp.idle_timeout labels");
  g_assert_cmpint (ch_config_get_duration_ms (f->config, "tcp.idle_timeout"), ==, 60000);
  g_assert_true (ch_config_get_string (f->config, "profile")
                 == profile); /* stays where it is */
  check_source (f, "tcp.idle_timeout", "%s:3");

  g_auto (GStrv) nothing = ch_config_reload (f->config, &f->error);
  g_assert_nonnull (nothing);
  g_assert_null (nothing[0]);
}

static void test_reload_refused (Fixture *f, gconstpointer data)
{
  add_file (f, "tcp.idle_timeout: 90s\nprofile: a\n");
  resolve (f);

  /* A key that needs a restart: named, and nothing changes. */
  g_free (put_file (f, "main.yaml", "profile: b\ntcp.idle_timeout: 60s\n"));
  g_assert_null (ch_config_reload (f->config, &f->error));
  g_assert_error (f->error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE);
  g_assert_true (
      g_str_has_suffix (f->error->message, "a restart is needed to change profile"));
  g_clear_error (&f->error);

  /* A file that is not right, or gone. */
  g_free (put_file (f, "main.yaml", "tcp.idle_timeout: [\n"));
  g_assert_null (ch_config_reload (f->config, &f->error));
  g_assert_error (f->error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_SYNTAX);
  g_clear_error (&f->error);
  g_remove (f->main);
  g_assert_null (ch_config_reload (f->config, &f->error));
  g_assert_error (f->error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_IO);
  g_clear_error (&f->error);

  g_assert_cmpint (ch_config_get_duration_ms (f->config, "tcp.idle_timeout"), ==, 90000);
  g_assert_cmpstr (ch_config_get_string (f->config, "profile"), ==, "a");
}

/* An error leaves everything as it was. */
static void test_atomic (Fixture *f, gconstpointer data)
{
  g_assert_true (ch_config_add_option (f->config, "profile=x", NULL));
  resolve (f);
  g_assert_true (ch_config_add_option (f->config, "profile=y", NULL));
  g_assert_true (ch_config_add_option (f->config, "booking.hold_ttl=soon", NULL));
  resolve_fails (
      f, CH_CONFIG_ERROR_BAD_VALUE,
      "command line: the value 'soon' of 'booking.hold_ttl' is not a duration");
  g_assert_cmpstr (ch_config_get_string (f->config, "profile"), ==, "x");
}

/* ---- what is shown ----------------------------------------------------------------- */

static void test_describe (Fixture *f, gconstpointer data)
{
  add_file (f,
            "redis.password: hunter2hunter2\nlabels: {a: b}\nhttp.trusted-proxies: [x]\n"
            "redis.replicas: [hunter2hunter2, hunter2]\n");
  resolve (f);
  g_autoptr (json_t) all = ch_config_describe (f->config);
  g_autofree char *text = ch_json_dump (all);

  g_assert_null (strstr (text, "hunter2"));
  g_assert_cmpstr (
      ch_json_get_string (json_object_get (all, "redis.password"), "value", ""), ==,
      "****");
  const json_t *idle = json_object_get (all, "tcp.idle_timeout");
  g_assert_cmpstr (ch_json_get_string (idle, "value", ""), ==, "300s");
  g_assert_cmpstr (ch_json_get_string (idle, "type", ""), ==, "duration");
  g_assert_cmpstr (ch_json_get_string (idle, "environment", ""), ==,
                   "CHARGEHOST_TCP_IDLE_TIMEOUT");
  g_assert_true (ch_json_get_bool (idle, "live", FALSE));
  g_assert_nonnull (strstr (text, "\"value\":{\"a\":\"b\"}"));
  g_assert_nonnull (strstr (text, "\"value\":[\"x\"]"));
  g_assert_nonnull (strstr (text, "\"value\":[\"****\",\"****\"]"));
  g_assert_nonnull (strstr (text, "\"choices\":[\"memory\",\"redis\"]"));
  g_assert_cmpuint (json_object_size (all), ==, 16);
}

/* The default file changes nothing, neither as it is nor with every mark taken away. */
static void test_default_file (Fixture *f, gconstpointer data)
{
  g_autofree char *text = ch_config_default_file (f->config);
  g_autoptr (GString) bare = g_string_new (NULL);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

  add_file (f, text);
  resolve (f);
  for (char **line = lines; *line != NULL; line++) {
    g_assert_cmpuint (strlen (*line), <=, 90);
    char *mark = strstr (*line, "# ");
    if (mark == NULL)
      g_string_append_printf (bare, "%s\n", *line);
    else if (g_regex_match_simple ("^ *# [a-z_.-]+:( |$)", *line, 0, 0))
      g_string_append_printf (bare, "%.*s%s\n", (int) (mark - *line), *line, mark + 2);
  }
  g_assert_nonnull (strstr (bare->str, "\n  addr: \":8080\"\n"));
  g_assert_nonnull (strstr (bare->str, "\n  limiting.max_connections: 10000\n"));
  g_assert_nonnull (strstr (text, "password_file may name a file"));
  add_file (f, bare->str);
  resolve (f);
  g_autoptr (json_t) all = ch_config_describe (f->config);
  const char *key;
  json_t *value;
  json_object_foreach (all, key,
                       value) if (json_is_string (json_object_get (value, "value"))
                                  && !json_is_null (json_object_get (value, "default")))
      g_assert_cmpstr (ch_json_get_string (value, "value", ""), ==,
                       ch_json_get_string (value, "default", ""));
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/config/defaults", test_defaults);
  ADD ("/config/file", test_file);
  ADD ("/config/order", test_order);
  ADD ("/config/missing", test_missing);
  ADD ("/config/options", test_options);
  ADD ("/config/ignored", test_ignored);
  ADD ("/config/declared-later", test_declared_later);
  ADD ("/config/owners", test_owners);
  g_test_add_func ("/config/undeclared", test_undeclared);
  ADD ("/config/reload", test_reload);
  ADD ("/config/reload-refused", test_reload_refused);
  ADD ("/config/atomic", test_atomic);
  ADD ("/config/describe", test_describe);
  ADD ("/config/default-file", test_default_file);
  return g_test_run ();
}
