/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reflection: a flat struct and its table of fields become JSON or a{sv}. Only the edges
 * need it (WebSocket, webhooks, D-Bus, logs); inside, handlers read the struct.
 */
#include "bus/bus-private.h"
#include <chargehost/clock.h>
#include <chargehost/json.h>

#include <math.h>
#include <string.h>

/* One value on its way; only the member of @kind is set. */
typedef struct {
  ChFieldKind kind;
  gint64 integer;
  double real;
  char *text; /* owned */
} Value;

static char *copy_text (const char *text, gsize size)
{
  return g_utf8_make_valid (text, (gssize) strnlen (text, size));
}

static gboolean take_integer (Value *value, gint64 integer, gint64 absent)
{
  value->integer = integer;
  return integer != absent;
}

static gint64 read_int64 (const guint8 *p)
{
  gint64 integer;
  memcpy (&integer, p, sizeof integer);
  return integer;
}

/* Returns: whether the field is present */
static gboolean read_value (const ChTopic *topic, const ChEvent *event,
                            const ChField *field, Value *value)
{
  const guint8 *p = (const guint8 *) event + field->offset;
  gint32 integer;

  *value = (Value) {.kind = field->kind};
  switch (field->kind) {
  case CH_FIELD_BOOL:
    memcpy (&integer, p, sizeof integer);
    return take_integer (value, integer != 0, CH_UNSET);
  case CH_FIELD_INT:
    memcpy (&integer, p, sizeof integer);
    return take_integer (value, integer, G_MININT32);
  case CH_FIELD_INT64:
  case CH_FIELD_MILLI:
    return take_integer (value, read_int64 (p), CH_UNSET);
  case CH_FIELD_TIME:
    return take_integer (value, read_int64 (p), CH_UNSET) && value->integer != 0;
  case CH_FIELD_DOUBLE:
    memcpy (&value->real, p, sizeof value->real);
    return isfinite (value->real) != 0;
  case CH_FIELD_STRING:
    if (*p == '\0')
      return FALSE;
    value->text = copy_text ((const char *) p, field->size);
    return TRUE;
  case CH_FIELD_JSON:
    if (event->blob_size == 0)
      return FALSE;
    value->text = copy_text ((const char *) event + topic->event_size, event->blob_size);
    return TRUE;
  default:
    return FALSE;
  }
}

static json_t *value_to_json (const Value *value)
{
  switch (value->kind) {
  case CH_FIELD_BOOL:
    return json_boolean (value->integer);
  case CH_FIELD_INT:
  case CH_FIELD_INT64:
    return json_integer (value->integer);
  case CH_FIELD_MILLI:
    return ch_json_milli (value->integer);
  case CH_FIELD_TIME:
    return ch_json_time (value->integer);
  case CH_FIELD_DOUBLE:
    return json_real (value->real);
  case CH_FIELD_STRING:
    return json_string (value->text);
  case CH_FIELD_JSON:
    return json_loads (value->text, JSON_DECODE_ANY,
                       NULL); /* what is not JSON is left out */
  default:
    return NULL;
  }
}

static GVariant *value_to_variant (const Value *value)
{
  char text[CH_TIME_TEXT_SIZE];

  switch (value->kind) {
  case CH_FIELD_BOOL:
    return g_variant_new_boolean (value->integer != 0);
  case CH_FIELD_INT:
    return g_variant_new_int32 ((gint32) value->integer);
  case CH_FIELD_INT64:
    return g_variant_new_int64 (value->integer);
  case CH_FIELD_MILLI:
    return g_variant_new_double ((double) value->integer / 1000.0);
  case CH_FIELD_TIME:
    return g_variant_new_string (ch_format_time (value->integer, text));
  case CH_FIELD_DOUBLE:
    return g_variant_new_double (value->real);
  case CH_FIELD_STRING:
  case CH_FIELD_JSON:
  default:
    return g_variant_new_string (value->text);
  }
}

/* The head as values: what is not meant is left out. */
static gboolean read_head (const ChEvent *event, guint i, const char **name, Value *value)
{
  static const char *const names[] = {"device_id", "socket_no", "port_no", "time"};

  *name = names[i];
  *value = (Value) {.kind = CH_FIELD_INT};
  switch (i) {
  case 0:
    value->kind = CH_FIELD_STRING;
    if (event->device[0] == '\0')
      return FALSE;
    value->text = copy_text (event->device, sizeof event->device);
    return TRUE;
  case 1:
    value->integer = event->socket_no;
    return event->socket_no >= 0;
  case 2:
    value->integer = event->port_no;
    return event->port_no >= 0;
  default:
    value->kind = CH_FIELD_TIME;
    return take_integer (value, event->time_ms, CH_UNSET) && value->integer != 0;
  }
}

#define HEAD_FIELDS 4

json_t *ch_event_to_json (const ChTopic *topic, const ChEvent *event)
{
  json_t *object = json_object ();
  Value value;

  for (guint i = 0; i < HEAD_FIELDS; i++) {
    const char *name;
    if (read_head (event, i, &name, &value))
      json_object_set_new (object, name, value_to_json (&value));
    g_free (value.text);
  }
  for (const ChField *field = topic->fields; field->name != NULL; field++) {
    if (read_value (topic, event, field, &value)) {
      json_t *member = value_to_json (&value);
      if (member != NULL)
        json_object_set_new (object, field->name, member);
    }
    g_free (value.text);
  }
  return object;
}

GVariant *ch_event_to_variant (const ChTopic *topic, const ChEvent *event)
{
  GVariantBuilder builder;
  Value value;

  g_variant_builder_init (&builder, G_VARIANT_TYPE_VARDICT);
  for (guint i = 0; i < HEAD_FIELDS; i++) {
    const char *name;
    if (read_head (event, i, &name, &value))
      g_variant_builder_add (&builder, "{sv}", name, value_to_variant (&value));
    g_free (value.text);
  }
  for (const ChField *field = topic->fields; field->name != NULL; field++) {
    if (read_value (topic, event, field, &value))
      g_variant_builder_add (&builder, "{sv}", field->name, value_to_variant (&value));
    g_free (value.text);
  }
  return g_variant_builder_end (&builder);
}
