/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text to typed values, with ranges, and back. */
#include "base/config-tables.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ELEMENTS 1000

static gboolean fail (char **problem, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean fail (char **problem, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_free (*problem);
  *problem = g_strdup_vprintf (format, args);
  va_end (args);
  return FALSE;
}

static gboolean parse_bool (const char *text, ChConfigValue *value, char **problem)
{
  static const char *const yes[] = {"true", "yes", "on", "1", NULL};
  static const char *const no[] = {"false", "no", "off", "0", NULL};
  g_autofree char *lower = g_ascii_strdown (text, -1);

  if (!g_strv_contains (yes, lower) && !g_strv_contains (no, lower))
    return fail (problem, "is neither true nor false");
  value->b = g_strv_contains (yes, lower);
  return TRUE;
}

/* Decimal or 0x…, with a sign. */
static gboolean parse_integer (const char *text, gint64 *value)
{
  const char *digits = text;
  char *end = NULL;
  gboolean negative = *text == '-';

  if (*digits == '-' || *digits == '+')
    digits++;
  gboolean hex = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
  if (hex)
    digits += 2;
  if (hex ? !g_ascii_isxdigit (*digits) : !g_ascii_isdigit (*digits))
    return FALSE;
  errno = 0;
  guint64 n = g_ascii_strtoull (digits, &end, hex ? 16 : 10);
  if (errno != 0 || *end != '\0' || n > (guint64) G_MAXINT64 + (negative ? 1 : 0))
    return FALSE;
  *value = negative ? (gint64) (0 - n) : (gint64) n;
  return TRUE;
}

/* A plain decimal number at @text; no signs, hexadecimals or names. */
static gboolean scan_number (const char *text, double *number, const char **end)
{
  char *stop = NULL;
  gsize n = strspn (text, "0123456789.");

  if (n == 0 || n > 30 || !g_ascii_isdigit (*text))
    return FALSE;
  g_autofree char *copy = g_strndup (text, n);
  *number = g_ascii_strtod (copy, &stop);
  if (*stop != '\0')
    return FALSE;
  *end = text + n;
  return TRUE;
}

static double unit_ms (const char *unit, gsize n)
{
  static const struct {
    const char *name;
    double ms;
  } units[] = {{"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}, {"d", 86400e3}};

  for (guint i = 0; i < G_N_ELEMENTS (units); i++)
    if (strlen (units[i].name) == n && strncmp (units[i].name, unit, n) == 0)
      return units[i].ms;
  return 0;
}

/* `90s`, `1.5h`, `1h30m`, or a bare number of the key's unit. */
static gboolean parse_duration (const ChConfigKey *key, const char *text, gint64 *value)
{
  double total = 0;
  const char *p = text;
  guint parts = 0;

  do {
    double number;
    if (!scan_number (p, &number, &p))
      return FALSE;
    while (*p == ' ')
      p++;
    gsize n = strspn (p, "msdh");
    double ms = unit_ms (p, n);
    if (n == 0 && parts == 0 && *p == '\0')
      ms = (key->flags & CH_CONFIG_SECONDS) != 0 ? 1000 : 1;
    if (ms <= 0)
      return FALSE;
    total += number * ms;
    p += n;
  } while (*p != '\0' && ++parts < 8);
  if (*p != '\0' || total > 9e15)
    return FALSE;
  *value = (gint64) llround (total);
  return TRUE;
}

/* Bytes: `64K`, `1.5G`, `256KiB`; all powers of 1024. */
static gboolean parse_size (const char *text, gint64 *value)
{
  double number, factor = 1;
  const char *p;

  if (!scan_number (text, &number, &p))
    return FALSE;
  while (*p == ' ')
    p++;
  switch (g_ascii_toupper (*p)) {
  case 'K':
    factor = 1024.0;
    break;
  case 'M':
    factor = 1024.0 * 1024;
    break;
  case 'G':
    factor = 1024.0 * 1024 * 1024;
    break;
  case 'T':
    factor = 1024.0 * 1024 * 1024 * 1024;
    break;
  default:
    break;
  }
  if (factor > 1)
    p++;
  if (factor > 1 && *p == 'i')
    p++;
  if (*p == 'B')
    p++;
  if (*p != '\0' || number * factor > 9e15)
    return FALSE;
  *value = (gint64) llround (number * factor);
  return TRUE;
}

/* Bounds as people write them. */
static char *format_bound (const ChConfigKey *key, double bound)
{
  gint64 n = (gint64) bound;

  if (key->type == CH_CONFIG_DURATION_MS) {
    if (n != 0 && n % 86400000 == 0)
      return g_strdup_printf ("%" G_GINT64_FORMAT "d", n / 86400000);
    if (n % 1000 == 0)
      return g_strdup_printf ("%" G_GINT64_FORMAT "s", n / 1000);
    return g_strdup_printf ("%" G_GINT64_FORMAT "ms", n);
  }
  if (key->type == CH_CONFIG_SIZE) {
    if (n != 0 && n % (1024 * 1024) == 0)
      return g_strdup_printf ("%" G_GINT64_FORMAT "M", n / (1024 * 1024));
    if (n != 0 && n % 1024 == 0)
      return g_strdup_printf ("%" G_GINT64_FORMAT "K", n / 1024);
  }
  if (key->type == CH_CONFIG_DOUBLE) {
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    return g_strdup (g_ascii_formatd (text, sizeof text, "%.10g", bound));
  }
  return g_strdup_printf ("%" G_GINT64_FORMAT, n);
}

static gboolean check_range (const ChConfigKey *key, double number, char **problem)
{
  gboolean bounded = key->min < key->max;

  if (!bounded || (number >= key->min && number <= key->max))
    return TRUE;
  g_autofree char *min = format_bound (key, key->min),
                  *max = format_bound (key, key->max);
  return fail (problem, "is not between %s and %s", min, max);
}

static gboolean parse_number (const ChConfigKey *key, const char *text,
                              ChConfigValue *value, char **problem)
{
  char *end = NULL;

  switch (key->type) {
  case CH_CONFIG_INT:
    if (!parse_integer (text, &value->i))
      return fail (problem, "is not a whole number");
    break;
  case CH_CONFIG_SIZE:
    if (!parse_size (text, &value->i))
      return fail (problem, "is not a size such as 4096, 256K, 100M or 1G");
    break;
  case CH_CONFIG_DURATION_MS:
    if (!parse_duration (key, text, &value->i))
      return fail (problem, "is not a duration such as 500ms, 30s, 5m, 1h or 7d");
    break;
  default:
    errno = 0;
    value->d = g_ascii_strtod (text, &end);
    if (end == text || *end != '\0' || errno != 0 || !isfinite (value->d)
        || strpbrk (text, "xX") != NULL || g_ascii_isspace (*text))
      return fail (problem, "is not a number");
    return check_range (key, value->d, problem);
  }
  value->d = (double) value->i;
  return check_range (key, value->d, problem);
}

static gboolean parse_choice (const ChConfigKey *key, const char *text, char **problem)
{
  ChConfigNearest nearest = {.wanted = text};

  for (guint i = 0; key->choices != NULL && key->choices[i] != NULL; i++) {
    if (g_str_equal (key->choices[i], text))
      return TRUE;
    ch_config_nearest_offer (&nearest, key->choices[i]);
  }
  g_autofree char *all
      = key->choices != NULL ? g_strjoinv (", ", (char **) key->choices) : g_strdup ("");
  g_autofree char *hint = ch_config_nearest_hint (&nearest);
  return fail (problem, "is none of %s%s", all, hint);
}

/* `a, b, c`, or for maps `a=1, b=2`. */
static gboolean parse_elements (const ChConfigKey *key, const char *text,
                                ChConfigValue *value, char **problem)
{
  g_auto (GStrv) parts = g_strsplit (text, ",", MAX_ELEMENTS + 1);
  g_autoptr (GPtrArray) list = g_ptr_array_new ();

  for (char **p = parts; *p != NULL; p++) {
    char *element = g_strstrip (*p);
    if (*element == '\0')
      continue;
    if (key->type == CH_CONFIG_MAP) {
      char *equals = strchr (element, '=');
      if (equals == NULL || equals == element)
        return fail (problem, "is not a list such as name=value, name=value");
      *equals = '\0';
      g_ptr_array_add (list, g_strchomp (element));
      element = g_strchug (equals + 1);
    }
    g_ptr_array_add (list, element);
  }
  g_ptr_array_add (list, NULL);
  return ch_config_value_from_list (key, (const char *const *) list->pdata, value,
                                    problem);
}

gboolean ch_config_value_from_list (const ChConfigKey *key, const char *const *list,
                                    ChConfigValue *value, char **problem)
{
  guint n = g_strv_length ((char **) list);
  guint step = key->type == CH_CONFIG_MAP ? 2 : 1;

  if (n / step > MAX_ELEMENTS)
    return fail (problem, "has more than %d elements", MAX_ELEMENTS);
  for (guint i = 0; step == 2 && i < n; i += 2)
    for (guint j = 0; j < i; j += 2)
      if (g_str_equal (list[i], list[j]))
        return fail (problem, "names '%s' twice", list[i]);
  value->list = g_strdupv ((char **) list);
  return TRUE;
}

gboolean ch_config_value_parse (const ChConfigKey *key, const char *text,
                                ChConfigValue *value, char **problem)
{
  gboolean ok = TRUE;

  memset (value, 0, sizeof *value);
  if (text == NULL) {
    if (key->type == CH_CONFIG_LIST)
      value->list = g_new0 (char *, 1);
    return TRUE;
  }
  if (strlen (text) > CH_CONFIG_MAX_TEXT)
    return fail (problem, "is longer than %d bytes", CH_CONFIG_MAX_TEXT);
  switch (key->type) {
  case CH_CONFIG_BOOL:
    ok = parse_bool (text, value, problem);
    break;
  case CH_CONFIG_INT:
  case CH_CONFIG_DOUBLE:
  case CH_CONFIG_DURATION_MS:
  case CH_CONFIG_SIZE:
    ok = parse_number (key, text, value, problem);
    break;
  case CH_CONFIG_CHOICE:
    ok = parse_choice (key, text, problem);
    break;
  case CH_CONFIG_LIST:
  case CH_CONFIG_MAP:
    ok = parse_elements (key, text, value, problem);
    break;
  case CH_CONFIG_STRING:
  case CH_CONFIG_SECRET:
  default:
    break;
  }
  if (ok)
    value->text = g_strdup (text);
  return ok;
}

void ch_config_value_clear (ChConfigValue *value)
{
  g_clear_pointer (&value->text, g_free);
  g_clear_pointer (&value->list, g_strfreev);
}

gboolean ch_config_value_equal (const ChConfigKey *key, const ChConfigValue *a,
                                const ChConfigValue *b)
{
  switch (key->type) {
  case CH_CONFIG_BOOL:
    return a->b == b->b && (a->text == NULL) == (b->text == NULL);
  case CH_CONFIG_INT:
  case CH_CONFIG_SIZE:
  case CH_CONFIG_DURATION_MS:
    return a->i == b->i && (a->text == NULL) == (b->text == NULL);
  case CH_CONFIG_LIST:
  case CH_CONFIG_MAP:
    if (a->list == NULL || b->list == NULL)
      return a->list == b->list;
    return g_strv_equal ((const char *const *) a->list, (const char *const *) b->list);
  case CH_CONFIG_DOUBLE:
    return a->d <= b->d && a->d >= b->d && (a->text == NULL) == (b->text == NULL);
  case CH_CONFIG_STRING:
  case CH_CONFIG_CHOICE:
  case CH_CONFIG_SECRET:
  default:
    return g_strcmp0 (a->text, b->text) == 0;
  }
}

const char *ch_config_type_name (ChConfigType type)
{
  static const char *const names[]
      = {"",         "bool", "int",  "double", "string", "choice",
         "duration", "size", "list", "map",    "secret"};
  return (guint) type < G_N_ELEMENTS (names) ? names[type] : "";
}

static json_t *list_to_json (const ChConfigKey *key, char **list)
{
  json_t *json = key->type == CH_CONFIG_MAP ? json_object () : json_array ();

  for (; list != NULL && *list != NULL; list++) {
    if (key->type == CH_CONFIG_LIST) {
      gboolean hidden = (key->flags & CH_CONFIG_HIDDEN) != 0;
      json_array_append_new (json, json_string (hidden ? "****" : *list));
    } else {
      json_object_set_new (json, list[0], json_string (list[1]));
      list++;
    }
  }
  return json;
}

json_t *ch_config_value_to_json (const ChConfigKey *key, const ChConfigValue *value)
{
  if (key->type == CH_CONFIG_LIST || key->type == CH_CONFIG_MAP)
    return list_to_json (key, value->list);
  if (value->text == NULL)
    return json_null ();
  switch (key->type) {
  case CH_CONFIG_BOOL:
    return json_boolean (value->b);
  case CH_CONFIG_INT:
  case CH_CONFIG_SIZE:
    return json_integer (value->i);
  case CH_CONFIG_DOUBLE:
    return json_real (value->d);
  case CH_CONFIG_SECRET:
    return json_string ("****");
  default:
    return json_string (value->text);
  }
}
