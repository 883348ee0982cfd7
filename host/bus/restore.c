/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way back: JSON of another instance becomes a struct again. The text may come from
 * anybody who can write to the kv, so types, ranges and lengths are checked; a member
 * that is missing or null is absent, one that is unknown is ignored.
 */
#include "bus/bus-private.h"
#include <chargehost/clock.h>
#include <chargehost/error.h>
#include <chargehost/json.h>

#include <math.h>
#include <string.h>

static gboolean read_integer (const json_t *value, gint64 min, gint64 max,
                              gint64 *integer)
{
  if (!json_is_integer (value))
    return FALSE;
  *integer = json_integer_value (value);
  return *integer >= min && *integer <= max;
}

static gboolean read_time (const json_t *value, gint64 *wall_ms)
{
  return json_is_string (value) && ch_parse_time (json_string_value (value), wall_ms);
}

/* Thousandths of a number; NaN and what does not fit are refused. */
static gboolean read_milli (const json_t *value, gint64 *milli)
{
  double units = json_number_value (value);

  if (!json_is_number (value) || !(fabs (units) < 9.0e15))
    return FALSE;
  *milli = json_is_integer (value) ? json_integer_value (value) * 1000
                                   : (gint64) llround (units * 1000.0);
  return TRUE;
}

static gboolean read_text (const json_t *value, char *text, gsize size)
{
  if (!json_is_string (value) || json_string_length (value) >= size)
    return FALSE;
  g_strlcpy (text, json_string_value (value), size);
  return TRUE;
}

static void set_absent (guint8 *p, ChFieldKind kind)
{
  const gint32 no_int = G_MININT32;
  const gint64 no_int64 = CH_UNSET;
  const double no_double = NAN;

  if (kind == CH_FIELD_INT)
    memcpy (p, &no_int, sizeof no_int);
  else if (kind == CH_FIELD_INT64 || kind == CH_FIELD_MILLI)
    memcpy (p, &no_int64, sizeof no_int64);
  else if (kind == CH_FIELD_DOUBLE)
    memcpy (p, &no_double, sizeof no_double);
  /* The others are absent, or false, as zeros. */
}

static gboolean restore_number (guint8 *p, const ChField *field, const json_t *value)
{
  gint64 integer = 0;
  gint32 small;
  double real;

  switch (field->kind) {
  case CH_FIELD_BOOL:
    small = json_is_true (value);
    memcpy (p, &small, sizeof small);
    return json_is_boolean (value);
  case CH_FIELD_INT:
    if (!read_integer (value, G_MININT32, G_MAXINT32, &integer))
      return FALSE;
    small = (gint32) integer;
    memcpy (p, &small, sizeof small);
    return TRUE;
  case CH_FIELD_DOUBLE:
    real = json_number_value (value);
    memcpy (p, &real, sizeof real);
    return json_is_number (value);
  case CH_FIELD_INT64:
    if (!read_integer (value, G_MININT64, G_MAXINT64, &integer))
      return FALSE;
    break;
  case CH_FIELD_TIME:
    if (!read_time (value, &integer))
      return FALSE;
    break;
  case CH_FIELD_MILLI:
    if (!read_milli (value, &integer))
      return FALSE;
    break;
  case CH_FIELD_STRING:
  case CH_FIELD_JSON:
  default:
    return FALSE;
  }
  memcpy (p, &integer, sizeof integer);
  return TRUE;
}

static gboolean restore_field (ChEvent *event, const ChField *field, const json_t *value)
{
  guint8 *p = (guint8 *) event + field->offset;

  if (field->kind == CH_FIELD_JSON)
    return TRUE;
  set_absent (p, field->kind);
  if (value == NULL || json_is_null (value))
    return TRUE;
  if (field->kind == CH_FIELD_STRING)
    return read_text (value, (char *) p, field->size);
  return restore_number (p, field, value);
}

/* Returns: the name of what is wrong, or NULL */
static const char *restore_head (ChEvent *event, const json_t *object)
{
  const json_t *device = json_object_get (object, "device_id");
  const json_t *socket = json_object_get (object, "socket_no");
  const json_t *port = json_object_get (object, "port_no");
  const json_t *time = json_object_get (object, "time");
  gint64 number = -1;

  if (device != NULL && !read_text (device, event->device, sizeof event->device))
    return "device_id";
  if (socket != NULL && !read_integer (socket, 0, G_MAXINT16, &number))
    return "socket_no";
  event->socket_no = (gint16) number;
  number = -1;
  if (port != NULL && !read_integer (port, 0, G_MAXINT16, &number))
    return "port_no";
  event->port_no = (gint16) number;
  if (time != NULL && !read_time (time, &event->time_ms))
    return "time";
  return NULL;
}

ChEvent *ch_event_from_json (const ChTopic *topic, const json_t *object, GError **error)
{
  g_autofree char *blob = NULL;
  const char *wrong = json_is_object (object) ? NULL : "the object";
  gsize blob_size = 0;

  for (const ChField *field = topic->fields; field->name != NULL; field++) {
    const json_t *value = json_object_get (object, field->name);
    if (field->kind == CH_FIELD_JSON && value != NULL) {
      blob = ch_json_dump (value);
      blob_size = strlen (blob);
    }
  }
  if (blob_size > CH_BUS_MAX_BLOB)
    wrong = "the size";
  g_autofree ChEvent *event
      = g_malloc0 (topic->event_size + (wrong == NULL ? blob_size : 0));
  if (wrong == NULL)
    wrong = restore_head (event, object);
  for (const ChField *field = topic->fields; wrong == NULL && field->name != NULL;
       field++)
    if (!restore_field (event, field, json_object_get (object, field->name)))
      wrong = field->name;
  if (wrong != NULL) {
    g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_FAILED, "%s: %s is wrong",
                 topic->name, wrong);
    return NULL;
  }
  event->blob_size = (guint32) blob_size;
  if (blob_size > 0)
    memcpy ((char *) event + topic->event_size, blob, blob_size);
  return g_steal_pointer (&event);
}
