/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A buffer for text that its owner keeps for the next time, and JSON written into it. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <string.h>

typedef struct {
  char *bytes;
  gsize size;
  gsize room;
} ChText;

void ch_text_grow (ChText *text, gsize more);
/* Frees what is larger than an owner should keep. */
void ch_text_reset (ChText *text);
void ch_text_clear (ChText *text);

static inline void ch_text_add (ChText *text, const char *bytes, gsize size)
{
  if (G_UNLIKELY (text->room - text->size < size))
    ch_text_grow (text, size);
  memcpy (text->bytes + text->size, bytes, size);
  text->size += size;
}

/* Where @size bytes, which now count, have to be written. */
static inline char *ch_text_room (ChText *text, gsize size)
{
  if (G_UNLIKELY (text->room - text->size < size))
    ch_text_grow (text, size);
  char *at = text->bytes + text->size;
  text->size += size;
  return at;
}

static inline void ch_text_char (ChText *text, char c)
{
  *ch_text_room (text, 1) = c;
}

#define ch_text_literal(text, literal) ch_text_add (text, literal, sizeof literal - 1)

/* Two lower-case digits a byte, as a text of its own. (transfer full) */
char *ch_hex (const guint8 *bytes, gsize size);

void ch_text_number (ChText *text, gint64 number);
/* Thousandths as a number with at most three decimals. */
void ch_text_milli (ChText *text, gint64 milli);
/* In quotes, escaped; what is not UTF-8 is replaced. */
void ch_text_string (ChText *text, const char *string, gsize size);
/*
 * The same text as ch_json_dump(): compact, reals with at most 15 digits; several times
 * faster for what devices consist of.
 */
void ch_text_json (ChText *text, const json_t *value);
