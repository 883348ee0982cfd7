/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/shape.h"

#include <chargehost/clock.h>
#include <chargehost/json.h>

/* ---- text ---- */

/* Names are constants of the program and need no escapes. */
static void add_name (ChShape *shape, const char *name)
{
  ChText *text = shape->text;
  if (shape->rest)
    ch_text_char (text, ',');
  shape->rest = TRUE;
  if (name == NULL)
    return;
  gsize size = strlen (name);
  char *at = ch_text_room (text, size + 3);
  *at++ = '"';
  memcpy (at, name, size);
  memcpy (at + size, "\":", 2);
}

/* ---- tree ---- */

/* @value (transfer full) */
static void add_value (ChShape *shape, const char *name, json_t *value)
{
  json_t *parent = shape->depth > 0 ? shape->stack[shape->depth - 1] : NULL;
  if (parent == NULL)
    shape->tree = value;
  else if (name != NULL)
    json_object_set_new_nocheck (parent, name, value);
  else
    json_array_append_new (parent, value);
}

/* ---- both ---- */

void ch_shape_begin (ChShape *shape, const char *name, gboolean is_array)
{
  g_assert (shape->depth < CH_SHAPE_DEPTH);
  if (shape->text != NULL) {
    add_name (shape, name);
    ch_text_char (shape->text, is_array ? '[' : '{');
    shape->rest = FALSE;
    shape->depth++;
    return;
  }
  json_t *value = is_array ? json_array () : json_object ();
  add_value (shape, name, value);
  shape->stack[shape->depth++] = value;
}

void ch_shape_end (ChShape *shape, gboolean is_array)
{
  g_assert (shape->depth > 0);
  shape->depth--;
  if (shape->text == NULL)
    return;
  ch_text_char (shape->text, is_array ? ']' : '}');
  shape->rest = TRUE;
}

void ch_shape_int (ChShape *shape, const char *name, gint64 value)
{
  if (shape->text == NULL) {
    add_value (shape, name, json_integer (value));
    return;
  }
  add_name (shape, name);
  ch_text_number (shape->text, value);
}

void ch_shape_bool (ChShape *shape, const char *name, gboolean value)
{
  if (shape->text == NULL) {
    add_value (shape, name, json_boolean (value));
    return;
  }
  add_name (shape, name);
  if (value)
    ch_text_literal (shape->text, "true");
  else
    ch_text_literal (shape->text, "false");
}

void ch_shape_null (ChShape *shape, const char *name)
{
  if (shape->text == NULL) {
    add_value (shape, name, json_null ());
    return;
  }
  add_name (shape, name);
  ch_text_literal (shape->text, "null");
}

void ch_shape_string (ChShape *shape, const char *name, const char *value)
{
  if (value == NULL || *value == '\0')
    ch_shape_null (shape, name);
  else if (shape->text == NULL)
    add_value (shape, name, json_string (value));
  else {
    add_name (shape, name);
    ch_text_string (shape->text, value, strlen (value));
  }
}

void ch_shape_milli (ChShape *shape, const char *name, gint64 value)
{
  if (value == CH_UNSET)
    ch_shape_null (shape, name);
  else if (shape->text == NULL)
    add_value (shape, name, ch_json_milli (value));
  else {
    add_name (shape, name);
    ch_text_milli (shape->text, value);
  }
}

void ch_shape_time (ChShape *shape, const char *name, gint64 wall_ms)
{
  char time[CH_TIME_TEXT_SIZE];
  if (wall_ms == 0 || wall_ms == CH_UNSET)
    ch_shape_null (shape, name);
  else if (shape->text == NULL)
    add_value (shape, name, json_string (ch_format_time (wall_ms, time)));
  else {
    add_name (shape, name);
    /* An object shows few times, and those of its parts are mostly the same. */
    if (shape->time_ms != wall_ms) {
      shape->time_ms = wall_ms;
      ch_format_time (wall_ms, shape->time);
    }
    ch_text_char (shape->text, '"');
    ch_text_add (shape->text, shape->time, strlen (shape->time));
    ch_text_char (shape->text, '"');
  }
}

void ch_shape_json (ChShape *shape, const char *name, json_t *value)
{
  if (shape->text == NULL) {
    add_value (shape, name, value != NULL ? value : json_null ());
    return;
  }
  add_name (shape, name);
  ch_text_json (shape->text, value);
  json_decref (value);
}
