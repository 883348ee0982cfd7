/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text of an answer: a buffer that a connection keeps, and JSON written into it. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <string.h>

typedef struct {
  char *bytes;
  gsize size;
  gsize room;
} ChHttpText;

void ch_http_text_grow (ChHttpText *text, gsize more);
/* Frees what is larger than a connection should keep. */
void ch_http_text_reset (ChHttpText *text);
void ch_http_text_clear (ChHttpText *text);

static inline void ch_http_text_add (ChHttpText *text, const char *bytes, gsize size)
{
  if (G_UNLIKELY (text->room - text->size < size))
    ch_http_text_grow (text, size);
  memcpy (text->bytes + text->size, bytes, size);
  text->size += size;
}

static inline void ch_http_text_char (ChHttpText *text, char c)
{
  ch_http_text_add (text, &c, 1);
}

#define ch_http_text_literal(text, literal)                                              \
  ch_http_text_add (text, literal, sizeof literal - 1)

void ch_http_text_number (ChHttpText *text, gint64 number);
/* In quotes, escaped; what is not UTF-8 is replaced. */
void ch_http_text_string (ChHttpText *text, const char *string, gsize size);
/*
 * The same text as ch_json_dump(): compact, reals with at most 15 digits; several times
 * faster for what devices consist of.
 */
void ch_http_text_json (ChHttpText *text, const json_t *value);
