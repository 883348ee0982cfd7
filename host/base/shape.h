/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One description of an object, two forms: a JSON tree for those who look into it, or
 * text for those who only send it, which costs a seventh.
 */
#pragma once

#include "base/text.h"
#include <chargehost/clock.h>
#include <chargehost/types.h>

#define CH_SHAPE_DEPTH 8

typedef struct {
  ChText *text; /* NULL: a tree */
  json_t *stack[CH_SHAPE_DEPTH];
  json_t *tree; /* what came out */
  guint depth;
  gboolean rest;                /* a comma is due before the next member */
  gint64 time_ms;               /* that `time` shows; 0: none */
  char time[CH_TIME_TEXT_SIZE]; /* the last one written */
} ChShape;

/* Members of an object have a name, those of an array %NULL. */
void ch_shape_begin (ChShape *shape, const char *name, gboolean is_array);
void ch_shape_end (ChShape *shape, gboolean is_array);
void ch_shape_int (ChShape *shape, const char *name, gint64 value);
void ch_shape_bool (ChShape *shape, const char *name, gboolean value);
void ch_shape_null (ChShape *shape, const char *name);
/* %NULL and "" become null. */
void ch_shape_string (ChShape *shape, const char *name, const char *value);
/* Thousandths, as ch_json_milli(). */
void ch_shape_milli (ChShape *shape, const char *name, gint64 value);
/* As ch_json_time(). */
void ch_shape_time (ChShape *shape, const char *name, gint64 wall_ms);
/* @value (transfer full) (nullable) */
void ch_shape_json (ChShape *shape, const char *name, json_t *value);
