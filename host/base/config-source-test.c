/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The environment, variables in values, secrets. */
#include "base/config-tables.h"
#include "base/log-private.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- ${VAR} ------------------------------------------------------------------------ */

static void test_expand (void)
{
  static const char *const environment[]
      = {"A=1", "EMPTY=", "NEST=${A}", "LONG_name2=x", NULL};
  static const struct {
    const char *text, *result, *problem;
  } cases[] = {
      {"plain $ text", "plain $ text", NULL},
      {"${A}", "1", NULL},
      {"a${A}b${LONG_name2}c", "a1bxc", NULL},
      {"${B:-two}", "two", NULL},
      {"${EMPTY:-two}", "two", NULL},
      {"${EMPTY}", "", NULL},
      {"${B:-}", "", NULL},
      {"${B:-a:-b}", "a:-b", NULL},
      {"$${A}", "${A}", NULL},
      {"$A", "$A", NULL},
      {"${NEST}", "${A}", NULL}, /* once only */
      {"${B}", NULL, "the variable 'B' is not set"},
      {"${A", NULL, "no closing brace"},
      {"${}", NULL, "names no variable"},
      {"${1A}", NULL, "names no variable"},
      {"${A B}", NULL, "names no variable"},
      {"${:-x}", NULL, "names no variable"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *problem = NULL;
    g_autofree char *result = ch_config_expand (cases[i].text, environment, &problem);
    g_assert_cmpstr (result, ==, cases[i].result);
    if (result == NULL)
      g_assert_nonnull (strstr (problem, cases[i].problem));
  }

  /* A short file cannot become a long value. */
  g_autofree char *big = g_strnfill (40000, 'x'), *problem = NULL;
  g_autofree char *setting = g_strconcat ("BIG=", big, NULL);
  const char *const large[] = {setting, NULL};
  g_assert_null (ch_config_expand ("${BIG}${BIG}${BIG}", large, &problem));
  g_assert_nonnull (strstr (problem, "longer than"));
}

/* ---- the environment --------------------------------------------------------------- */

static const char *const PORT_ALIASES[] = {"PORT=:*", NULL};
static const char *const TTL_ALIASES[]
    = {"BOOKING_HOLD_TTL_SECONDS=*s", "BOOKING_TTL", NULL};
static const char *const SECRET_ALIASES[] = {"REDIS_PASSWORD", NULL};
static const char *const URL_ALIASES[] = {"COMSRV_REDIS_URL", NULL};

static const ChConfigKey KEYS[] = {
    {.name = "http.addr",
     .type = CH_CONFIG_STRING,
     .def = ":8080",
     .aliases = PORT_ALIASES},
    {.name = "hold.ttl",
     .type = CH_CONFIG_DURATION_MS,
     .def = "1m",
     .aliases = TTL_ALIASES},
    {.name = "redis.url", .type = CH_CONFIG_STRING, .aliases = URL_ALIASES},
    {.name = "redis.password",
     .type = CH_CONFIG_SECRET,
     .flags = CH_CONFIG_LIVE,
     .aliases = SECRET_ALIASES},
    {.name = "a.b_c", .type = CH_CONFIG_STRING},
    {.name = "a.b.c", .type = CH_CONFIG_STRING},
    {.name = "proto-x.list", .type = CH_CONFIG_LIST},
    {.name = "proto-x.map", .type = CH_CONFIG_MAP},
    {NULL},
};

static ChConfig *config_with (const char *const *environment)
{
  ChConfig *config = ch_config_new ();
  ch_config_declare (config, "", KEYS);
  ch_config_set_environment (config, environment);
  return config;
}

static void test_environment (void)
{
  const char *const environment[]
      = {"PATH=/bin",
         "CHARGEHOST_HTTP_ADDR=1.2.3.4:5",
         "PORT=99", /* weaker than the product's own name */
         "BOOKING_TTL=3s",
         "BOOKING_HOLD_TTL_SECONDS=90", /* stronger than the second alias */
         "CHARGEHOST_REDIS_URL=",       /* empty is not set */
         "COMSRV_REDIS_URL=redis://x",
         "CHARGEHOST_A__B_C=one",
         "CHARGEHOST_A__B__C=two",
         "CHARGEHOST_PROTO_X_LIST=a,b",
         "CHARGEHOST_PROTO_X__MAP=a=1",
         "CHARGEHOST_CONFIG=/etc/x",
         "CHARGEHOST_PLUGIN_PATH=/x",
         "CHARGEHOST_TEST_ANYTHING=1",
         NULL};
  g_autoptr (ChConfig) config = config_with (environment);
  g_autoptr (GError) error = NULL;

  ch_config_resolve (config, NULL, &error);
  g_assert_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE);
  g_assert_nonnull (strstr (error->message, "write __ for a dot"));
  g_clear_error (&error);

  const char *const certain[] = {"CHARGEHOST_HTTP_ADDR=1.2.3.4:5",
                                 "PORT=99",
                                 "BOOKING_TTL=3s",
                                 "BOOKING_HOLD_TTL_SECONDS=90",
                                 "CHARGEHOST_REDIS_URL=",
                                 "COMSRV_REDIS_URL=redis://x",
                                 "CHARGEHOST_A__B__C=two",
                                 "CHARGEHOST_PROTO_X_LIST=a,b",
                                 "CHARGEHOST_PROTO_X__MAP=a=1",
                                 NULL};
  ch_config_set_environment (config, certain);
  ch_config_resolve (config, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (ch_config_get_string (config, "http.addr"), ==, "1.2.3.4:5");
  g_assert_cmpint (ch_config_get_duration_ms (config, "hold.ttl"), ==, 90000);
  g_assert_cmpstr (ch_config_get_string (config, "redis.url"), ==, "redis://x");
  g_assert_cmpstr (ch_config_get_string (config, "a.b.c"), ==, "two");
  g_assert_null (ch_config_get_string (config, "a.b_c"));
  g_assert_cmpstr (ch_config_get_list (config, "proto-x.list")[1], ==, "b");
  g_assert_cmpstr (ch_config_get_map (config, "proto-x.map")[1], ==, "1");

  const char *const port[] = {"PORT=99", NULL};
  ch_config_set_environment (config, port);
  g_assert_true (ch_config_resolve (config, NULL, &error));
  g_assert_cmpstr (ch_config_get_string (config, "http.addr"), ==, ":99");
}

static void test_unknown_names (void)
{
  static const struct {
    const char *variable, *message;
  } cases[] = {
      {"CHARGEHOST_HTTP_ADR=1",
       "'CHARGEHOST_HTTP_ADR'; did you mean 'CHARGEHOST_HTTP_ADDR'?"},
      {"CHARGEHOST_PLUGINPATH=1", "did you mean 'CHARGEHOST_PLUGIN_PATH'?"},
      {"CHARGEHOST_=1", "no key has the name"},
      {"CHARGEHOST_ENTIRELY_DIFFERENT=1", "'CHARGEHOST_ENTIRELY_DIFFERENT'"},
      {"CHARGEHOST_HTTP_ADDR_FILE=1",
       "no key has the name"}, /* only secrets have files */
      {"CHARGEHOST_http_addr=1", "no key has the name"},
      {"CHARGEHOST_X\x1b=1", "CHARGEHOST_X\\033"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    const char *const environment[] = {cases[i].variable, NULL};
    g_autoptr (ChConfig) config = config_with (environment);
    g_autoptr (GError) error = NULL;
    g_assert_false (ch_config_resolve (config, NULL, &error));
    g_assert_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_UNKNOWN_KEY);
    g_test_message ("%s", error->message);
    g_assert_nonnull (strstr (error->message, cases[i].message));
  }
}

static void keep_line (ChLogLevel level, const char *line, gpointer data)
{
  g_string_append_printf (data, "%s\n", line);
}

/* A slip in another program's names is told, but stops nothing. */
static void test_slips (void)
{
  const char *const environment[] = {"BOOKING_HOLD_TTL_SECOND=1",
                                     "BOOKING_TTLS=1",
                                     "COMSRV_LOG_LEVEL=x",
                                     "REDIS_PASSWORD_FILE=",
                                     "REDIS_PORT=tcp://10.0.0.1:6379",
                                     "HOME=/",
                                     NULL};
  g_autoptr (ChConfig) config = config_with (environment);
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) lines = g_string_new (NULL);

  ch_log_set_sink (keep_line, lines);
  g_assert_true (ch_config_resolve (config, NULL, &error));
  ch_log_set_sink (NULL, NULL);
  g_assert_nonnull (
      strstr (lines->str, "'BOOKING_TTLS' is not used; did you mean 'BOOKING_TTL'?"));
  g_assert_nonnull (strstr (lines->str, "'BOOKING_HOLD_TTL_SECOND' is not used"));
  g_assert_null (strstr (lines->str, "COMSRV_LOG_LEVEL"));
  g_assert_null (strstr (lines->str, "REDIS_PASSWORD_FILE"));
  g_assert_null (strstr (lines->str, "REDIS_PORT"));
}

/* ---- secrets ----------------------------------------------------------------------- */

typedef struct {
  char *dir;
  GPtrArray *paths;
} Secrets;

static void set_up (Secrets *s, gconstpointer data)
{
  s->dir = g_dir_make_tmp ("chargehost-secret-XXXXXX", NULL);
  s->paths = g_ptr_array_new_with_free_func (g_free);
}

static void tear_down (Secrets *s, gconstpointer data)
{
  for (guint i = 0; i < s->paths->len; i++)
    g_remove (g_ptr_array_index (s->paths, i));
  g_assert_cmpint (g_rmdir (s->dir), ==, 0);
  g_ptr_array_unref (s->paths);
  g_free (s->dir);
}

static const char *put_file (Secrets *s, const char *name, const char *text, gssize size)
{
  g_ptr_array_add (s->paths, g_build_filename (s->dir, name, NULL));
  const char *path = g_ptr_array_index (s->paths, s->paths->len - 1);
  g_assert_true (g_file_set_contents (path, text, size, NULL));
  return path;
}

/* The password with these variables and this file; or the error, with "! " before it. */
static char *password (Secrets *s, const char *yaml, const char *variable,
                       const char *second)
{
  const char *const environment[]
      = {variable != NULL ? variable : "X=1", second != NULL ? second : "Y=1", NULL};
  g_autoptr (ChConfig) config = config_with (environment);
  g_autoptr (GError) error = NULL;

  if (yaml != NULL
      && !ch_config_add_file (config, put_file (s, "main.yaml", yaml, -1), &error))
    return g_strconcat ("! ", error->message, NULL);
  if (!ch_config_resolve (config, NULL, &error))
    return g_strconcat ("! ", error->message, NULL);
  return g_strdup (ch_config_get_string (config, "redis.password"));
}

static void check_password (Secrets *s, const char *yaml, const char *variable,
                            const char *second, const char *expected)
{
  g_autofree char *found = password (s, yaml, variable, second);
  if (expected != NULL && *expected == '!')
    g_assert_nonnull (strstr (found, expected + 2));
  else
    g_assert_cmpstr (found, ==, expected);
}

static void test_secrets (Secrets *s, gconstpointer data)
{
  g_autofree char *credentials = g_strdup_printf ("CREDENTIALS_DIRECTORY=%s", s->dir);
  const char *file = put_file (s, "pw", "from file\n", -1);
  g_autofree char *yaml = g_strdup_printf ("redis.password_file: %s\n", file);
  g_autofree char *both
      = g_strdup_printf ("redis:\n  password: x\n  password_file: %s\n", file);
  g_autofree char *variable = g_strdup_printf ("CHARGEHOST_REDIS_PASSWORD_FILE=%s", file);
  g_autofree char *alias = g_strdup_printf ("REDIS_PASSWORD_FILE=%s", file);
  g_autofree char *expanded
      = g_strdup_printf ("redis.password_file: ${DIR:-%s}/pw\n", s->dir);

  check_password (s, NULL, NULL, NULL, NULL);
  check_password (s, "redis.password: plain\n", NULL, NULL, "plain");
  check_password (s, yaml, NULL, NULL, "from file");
  check_password (s, expanded, NULL, NULL, "from file");
  check_password (s, both, NULL, NULL,
                  "! both 'redis.password' and 'redis.password_file'");
  check_password (s, yaml, "CHARGEHOST_REDIS_PASSWORD=env", NULL, "env");
  check_password (s, "redis.password: plain\n", variable, NULL, "from file");
  check_password (s, "redis.password: plain\n", alias, NULL, "from file");
  check_password (s, NULL, alias, "CHARGEHOST_REDIS_PASSWORD=own", "own");
  check_password (s, "redis.password: plain\nredis.password_file: ''\n", NULL, NULL,
                  "plain");

  /* systemd's credential: stronger than files, weaker than the environment. */
  put_file (s, "redis.password", "credential\r\n", -1);
  check_password (s, "redis.password: plain\n", credentials, NULL, "credential");
  check_password (s, NULL, credentials, variable, "from file");
}

static void test_bad_secrets (Secrets *s, gconstpointer data)
{
  g_autofree char *large = g_strnfill (65537, 'x');
  g_autofree char *missing = g_strdup_printf ("redis.password_file: %s/none\n", s->dir);
  g_autofree char *dir = g_strdup_printf ("redis.password_file: %s\n", s->dir);
  g_autofree char *binary
      = g_strdup_printf ("redis.password_file: %s\n", put_file (s, "binary", "a\0b", 3));
  g_autofree char *latin
      = g_strdup_printf ("redis.password_file: %s\n", put_file (s, "latin", "\xe4", 1));
  g_autofree char *too_large
      = g_strdup_printf ("redis.password_file: %s\n", put_file (s, "large", large, -1));
  g_autofree char *found = password (s, missing, NULL, NULL);

  g_test_message ("%s", found);
  g_assert_nonnull (strstr (found, "main.yaml:1: redis.password_file: "));
  g_assert_nonnull (strstr (found, "none cannot be read: No such file"));
  check_password (s, dir, NULL, NULL, "! is not a regular file");
  check_password (s, binary, NULL, NULL, "! is not text");
  check_password (s, latin, NULL, NULL, "! is not text");
  check_password (s, too_large, NULL, NULL, "! it is too large");
  check_password (s, "redis.password: [a]\n", NULL, NULL,
                  "! takes one value, not a list");
}

/* A rotated secret arrives with a reload. */
static void test_rotated (Secrets *s, gconstpointer data)
{
  const char *const none[] = {NULL};
  const char *file = put_file (s, "pw", "old\n", -1);
  g_autofree char *yaml = g_strdup_printf ("redis.password_file: %s\n", file);
  g_autoptr (ChConfig) config = config_with (none);
  g_autoptr (GError) error = NULL;

  g_assert_true (
      ch_config_add_file (config, put_file (s, "main.yaml", yaml, -1), &error));
  g_assert_true (ch_config_resolve (config, NULL, &error));
  put_file (s, "pw", "new\n", -1);
  g_auto (GStrv) changed = ch_config_reload (config, &error);
  g_assert_cmpstr (changed[0], ==, "redis.password");
  g_assert_cmpstr (ch_config_get_string (config, "redis.password"), ==, "new");
}

#define ADD(path, func) g_test_add (path, Secrets, NULL, set_up, func, tear_down)

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/config/expand", test_expand);
  g_test_add_func ("/config/environment", test_environment);
  g_test_add_func ("/config/environment/unknown", test_unknown_names);
  g_test_add_func ("/config/environment/slips", test_slips);
  ADD ("/config/secrets", test_secrets);
  ADD ("/config/secrets/bad", test_bad_secrets);
  ADD ("/config/secrets/rotated", test_rotated);
  return g_test_run ();
}
