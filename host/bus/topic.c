/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Topics: their descriptions are checked once, so that nothing else has to. */
#include "bus/bus-private.h"
#include <chargehost/error.h>

static gboolean refuse (GError **error, const ChTopic *topic, const char *what)
{
  g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_BAD_DESCRIPTOR, "topic %s: %s",
               topic->name != NULL ? topic->name : "(without a name)", what);
  return FALSE;
}

gboolean ch_bus_topic_name_is_valid (const char *name)
{
  gsize n = 0;
  gboolean dot = FALSE;

  if (!g_ascii_islower (name[0]))
    return FALSE;
  for (const char *p = name; *p != '\0'; p++) {
    if (++n > 63)
      return FALSE;
    if (*p == '.') {
      dot = TRUE;
      if (!g_ascii_islower (p[1]))
        return FALSE;
    } else if (!g_ascii_islower (*p) && !g_ascii_isdigit (*p) && *p != '_') {
      return FALSE;
    }
  }
  return dot;
}

static gsize kind_size (const ChField *field)
{
  switch (field->kind) {
  case CH_FIELD_BOOL:
    return sizeof (gboolean);
  case CH_FIELD_INT:
    return sizeof (gint32);
  case CH_FIELD_INT64:
  case CH_FIELD_TIME:
  case CH_FIELD_MILLI:
    return sizeof (gint64);
  case CH_FIELD_DOUBLE:
    return sizeof (double);
  case CH_FIELD_STRING:
    return field->size;
  case CH_FIELD_JSON:
  default:
    return 0;
  }
}

/* Returns: what is wrong, or NULL */
static const char *check_field (const ChTopic *topic, const ChField *field)
{
  if (field->kind == CH_FIELD_JSON)
    return field[1].name == NULL ? NULL : "a JSON field must be the last one";

  gsize size = kind_size (field);
  if (size == 0)
    return "a field has no kind or no size";
  if (field->size != size)
    return "a field's size is not that of its kind";
  if (field->offset < sizeof (ChEvent) || field->offset + size > topic->event_size)
    return "a field lies outside of the struct";
  if (field->kind != CH_FIELD_STRING && field->offset % size != 0)
    return "a field is not aligned";
  return NULL;
}

static gboolean check_fields (const ChTopic *topic, GError **error)
{
  for (guint i = 0; topic->fields[i].name != NULL; i++) {
    const ChField *field = &topic->fields[i];
    if (i >= CH_BUS_MAX_FIELDS)
      return refuse (error, topic, "it has too many fields");
    const char *wrong = check_field (topic, field);
    for (guint j = 0; wrong == NULL && j < i; j++)
      if (g_str_equal (topic->fields[j].name, field->name))
        wrong = "a field has the name of another";
    if (wrong != NULL) {
      g_autofree char *text = g_strdup_printf ("%s: %s", field->name, wrong);
      return refuse (error, topic, text);
    }
  }
  return TRUE;
}

static gboolean check_topic (const ChTopic *topic, GError **error)
{
  if (topic->size < sizeof (ChTopic))
    return refuse (error, topic, "its description is too short");
  if (topic->name == NULL || !ch_bus_topic_name_is_valid (topic->name))
    return refuse (error, topic, "the name must be like device.online");
  if (topic->summary == NULL || *topic->summary == '\0')
    return refuse (error, topic, "the summary is missing");
  if (topic->event_size < sizeof (ChEvent) || topic->event_size > CH_BUS_MAX_EVENT)
    return refuse (error, topic,
                   "the struct does not begin with a ChEvent or is too large");
  if (topic->lane != CH_LANE_STATE && topic->lane != CH_LANE_ALARM
      && topic->lane != CH_LANE_SAMPLE)
    return refuse (error, topic, "it has no such lane");
  if (topic->fields == NULL)
    return refuse (error, topic, "the table of fields is missing");
  return check_fields (topic, error);
}

static void free_handle (gpointer data)
{
  ChTopicHandle *handle = data;
  ch_owner_unlink (&handle->resource);
  g_free (handle);
}

ChBusTopic *ch_bus_topic_get (ChBus *bus, const char *name)
{
  ChBusTopic *node = g_hash_table_lookup (bus->topics, name);
  if (node != NULL)
    return node;
  node = g_new0 (ChBusTopic, 1);
  node->name = g_strdup (name);
  node->listeners = g_array_new (FALSE, FALSE, sizeof (ChBusListener));
  node->publishers = g_ptr_array_new_with_free_func (free_handle);
  g_hash_table_insert (bus->topics, node->name, node);
  g_ptr_array_add (bus->order, node);
  ch_bus_sub_bind_topic (bus, node);
  return node;
}

void ch_bus_topic_free (ChBusTopic *node)
{
  g_free (node->name);
  g_array_unref (node->listeners);
  g_ptr_array_unref (node->publishers);
  g_free (node);
}

/* Names that nobody ever published must not pile up: clients may choose them. */
void ch_bus_topic_forget_unused (ChBus *bus, ChBusTopic *topic)
{
  if (topic->listeners->len > 0 || topic->publishers->len > 0)
    return;
  g_hash_table_remove (bus->topics, topic->name);
  g_ptr_array_remove (bus->order, topic);
}

static void revoke_topic (ChResource *resource)
{
  ChTopicHandle *handle = (ChTopicHandle *) resource;
  handle->alive = FALSE;
}

static const ChResourceKind TOPIC_KIND = {"topics", revoke_topic};

static ChBusText find_text (const ChTopic *topic, const char *name)
{
  for (const ChField *field = topic->fields; field->name != NULL; field++)
    if (field->kind == CH_FIELD_STRING && g_str_equal (field->name, name))
      return (ChBusText) {field->offset, field->size};
  return (ChBusText) {0, 0};
}

/*
 * Only another generation of the same plugin may publish beside a living publisher.
 * Returns: a registration of the same image that has ended, to be used again
 */
static gboolean find_publisher (ChBusTopic *node, ChPlugin *self, const ChTopic *topic,
                                ChTopicHandle **again, GError **error)
{
  *again = NULL;
  for (guint i = 0; i < node->publishers->len; i++) {
    ChTopicHandle *handle = g_ptr_array_index (node->publishers, i);
    ChPlugin *other = handle->resource.owner;
    if (!handle->alive) {
      if (handle->topic == topic)
        *again = handle;
    } else if (other == self || !g_str_equal (other->name, self->name)) {
      g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_DUPLICATE,
                   "topic %s is published by %s already", node->name, other->name);
      return FALSE;
    }
  }
  return TRUE;
}

ChTopicHandle *ch_topic_register (ChPlugin *self, const ChTopic *topic, GError **error)
{
  ChBus *bus = self->services->bus;
  ChTopicHandle *handle;

  if (!check_topic (topic, error))
    return NULL;
  ChBusTopic *node = ch_bus_topic_get (bus, topic->name);
  if (!find_publisher (node, self, topic, &handle, error))
    return NULL;
  if (handle == NULL) {
    handle = g_new0 (ChTopicHandle, 1);
    handle->bus = bus;
    handle->node = node;
    handle->topic = topic;
    handle->station = find_text (topic, "station_id");
    handle->order_no = find_text (topic, "order_no");
    g_ptr_array_add (node->publishers, handle);
  }
  if (node->dropped == NULL && bus->dropped != NULL)
    node->dropped = ch_metric_with (bus->dropped, node->name, NULL);
  handle->alive = TRUE;
  ch_owner_link (self, &handle->resource, &TOPIC_KIND);
  return handle;
}
