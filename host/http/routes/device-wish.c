/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http/routes/device-wish.h"
#include <chargehost/id.h>
#include <chargehost/json.h>

#include <string.h>

#define TAGS_MAX 4096
#define TAG_NAME_MAX 64

static gboolean wrong (ChWishProblem *problem, const char *field, const char *rule)
{
  g_strlcpy (problem->field, field, sizeof problem->field);
  problem->rule = rule;
  return FALSE;
}

static const char *text_rule (const json_t *value, gsize max)
{
  if (!json_is_string (value))
    return "type";
  if (json_string_length (value) == 0)
    return "min";
  return json_string_length (value) > max ? "max" : NULL;
}

static gboolean read_texts (const json_t *object, ChDeviceWish *wish,
                            ChWishProblem *problem)
{
  const struct {
    const char *name;
    gsize max;
    const char **to;
  } texts[] = {{"protocol", 32, &wish->protocol},
               {"iccid", 32, &wish->iccid},
               {"imei", 32, &wish->imei},
               {"model", 64, &wish->model}};

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    const json_t *value = json_object_get (object, texts[i].name);
    if (value == NULL || json_is_null (value))
      continue;
    const char *rule = text_rule (value, texts[i].max);
    if (rule != NULL)
      return wrong (problem, texts[i].name, rule);
    *texts[i].to = json_string_value (value);
  }
  return TRUE;
}

static gboolean read_tags (const json_t *tags, ChWishProblem *problem)
{
  const char *name;
  json_t *value;

  if (tags == NULL)
    return TRUE;
  if (!json_is_object (tags))
    return wrong (problem, "tags", "type");
  json_object_foreach (
      (json_t *) (guintptr) tags, name,
      value) if (*name == '\0'
                 || strlen (name) > TAG_NAME_MAX) return wrong (problem, "tags", "name");
  if (json_dumpb (tags, NULL, 0, JSON_COMPACT) > TAGS_MAX)
    return wrong (problem, "tags", "max");
  return TRUE;
}

static gboolean read_choice (const json_t *object, const char *name,
                             gboolean (*parse) (const char *text, gint *value),
                             gint *value, ChWishProblem *problem)
{
  const json_t *given = json_object_get (object, name);
  if (given == NULL || json_is_null (given))
    return TRUE;
  if (!json_is_string (given))
    return wrong (problem, name, "type");
  return parse (json_string_value (given), value) || wrong (problem, name, "enum");
}

gboolean ch_device_wish_read (const json_t *object, ChDeviceWish *wish,
                              ChWishProblem *problem)
{
  const json_t *id = json_object_get (object, "device_id");
  const json_t *ports = json_object_get (object, "port_count");

  *wish = (ChDeviceWish) CH_DEVICE_WISH_INIT;
  problem->line = (guint) ch_json_get_int (object, "line", 0);
  if (id == NULL || json_is_null (id))
    return wrong (problem, "device_id", "required");
  if (!json_is_string (id))
    return wrong (problem, "device_id", "type");
  if (!ch_device_id_is_valid (json_string_value (id)))
    return wrong (problem, "device_id", "pattern");
  g_strlcpy (wish->id, json_string_value (id), sizeof wish->id);
  if (ports != NULL && !json_is_null (ports)) {
    if (!json_is_integer (ports))
      return wrong (problem, "port_count", "type");
    if (json_integer_value (ports) < 1 || json_integer_value (ports) > 502)
      return wrong (problem, "port_count",
                    json_integer_value (ports) < 1 ? "min" : "max");
    wish->port_count = (gint) json_integer_value (ports);
  }
  wish->tags = json_object_get (object, "tags");
  if (json_is_null (wish->tags))
    wish->tags = NULL;
  return read_texts (object, wish, problem)
         && read_choice (object, "lifecycle", ch_lifecycle_parse, &wish->lifecycle,
                         problem)
         && read_choice (object, "enrolment", ch_enrolment_parse, &wish->enrolment,
                         problem)
         && read_tags (wish->tags, problem);
}
