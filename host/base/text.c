/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/text.h"

#include <math.h>

#define FIRST_ROOM 2048
#define KEEP_ROOM (32 * 1024)
#define MAX_DEPTH 128

void ch_text_grow (ChText *text, gsize more)
{
  text->room = MAX (MAX (text->room * 2, text->size + more), FIRST_ROOM);
  text->bytes = g_realloc (text->bytes, text->room);
}

void ch_text_clear (ChText *text)
{
  g_free (text->bytes);
  *text = (ChText) {0};
}

void ch_text_reset (ChText *text)
{
  text->size = 0;
  if (text->room > KEEP_ROOM)
    ch_text_clear (text);
}

char *ch_hex (const guint8 *bytes, gsize size)
{
  static const char digits[] = "0123456789abcdef";
  char *text = g_malloc (size * 2 + 1);

  for (gsize i = 0; i < size; i++) {
    text[2 * i] = digits[bytes[i] >> 4];
    text[2 * i + 1] = digits[bytes[i] & 15];
  }
  text[2 * size] = '\0';
  return text;
}

void ch_text_number (ChText *text, gint64 number)
{
  char digits[24], *p = digits + sizeof digits;
  guint64 left = number < 0 ? -(guint64) number : (guint64) number;
  do
    *--p = (char) ('0' + left % 10);
  while ((left /= 10) > 0);
  if (number < 0)
    *--p = '-';
  ch_text_add (text, p, (gsize) (digits + sizeof digits - p));
}

/* ---- strings -------------------------------------------------------------------------
 */

static void add_escape (ChText *text, guchar c)
{
  static const char hex[] = "0123456789ABCDEF";
  char plain = c == '\b'   ? 'b'
               : c == '\f' ? 'f'
               : c == '\n' ? 'n'
               : c == '\r' ? 'r'
               : c == '\t' ? 't'
                           : '\0';
  if (c == '"' || c == '\\' || plain != '\0') {
    ch_text_char (text, '\\');
    ch_text_char (text, plain != '\0' ? plain : (char) c);
    return;
  }
  ch_text_literal (text, "\\u00");
  ch_text_char (text, hex[c >> 4]);
  ch_text_char (text, hex[c & 15]);
}

static void add_quoted (ChText *text, const char *string, gsize size)
{
  gsize start = 0;
  ch_text_char (text, '"');
  for (gsize i = 0; i < size; i++) {
    guchar c = (guchar) string[i];
    if (G_LIKELY (c >= 0x20 && c != '"' && c != '\\'))
      continue;
    ch_text_add (text, string + start, i - start);
    add_escape (text, c);
    start = i + 1;
  }
  ch_text_add (text, string + start, size - start);
  ch_text_char (text, '"');
}

#define EACH(byte) (G_GUINT64_CONSTANT (0x0101010101010101) * (byte))

/* Not 0 when a byte of the word is none that JSON and UTF-8 take as it is: a control
 * character, a quote, a backslash, anything above ASCII. */
static guint64 special_bytes (guint64 word)
{
  guint64 quote = word ^ EACH ('"'), backslash = word ^ EACH ('\\');
  return (word | (word - EACH (0x20)) | (quote - EACH (1)) | (backslash - EACH (1)))
         & EACH (0x80);
}

static gboolean is_plain (const char *string, gsize size)
{
  guint64 word, special = 0;

  for (; size >= sizeof word; string += sizeof word, size -= sizeof word) {
    memcpy (&word, string, sizeof word);
    special |= special_bytes (word);
  }
  for (; size > 0; size--)
    special |= special_bytes (EACH ((guchar) *string++));
  return special == 0;
}

void ch_text_string (ChText *text, const char *string, gsize size)
{
  if (G_LIKELY (is_plain (string, size))) {
    ch_text_char (text, '"');
    ch_text_add (text, string, size);
    ch_text_char (text, '"');
    return;
  }
  if (g_utf8_validate (string, (gssize) size, NULL)) {
    add_quoted (text, string, size);
    return;
  }
  g_autofree char *valid = g_utf8_make_valid (string, (gssize) size);
  add_quoted (text, valid, strlen (valid));
}

/* ---- numbers -------------------------------------------------------------------------
 */

static void add_decimals (ChText *text, gint64 milli)
{
  gint rest = (gint) (milli % 1000);
  char decimals[4] = {'.', (char) ('0' + rest / 100), (char) ('0' + rest / 10 % 10),
                      (char) ('0' + rest % 10)};
  gsize n = 4;
  while (n > 2 && decimals[n - 1] == '0')
    n--;
  ch_text_add (text, decimals, n);
}

void ch_text_milli (ChText *text, gint64 milli)
{
  if (milli % 1000 == 0) {
    ch_text_number (text, milli / 1000);
    return;
  }
  guint64 size = milli < 0 ? -(guint64) milli : (guint64) milli;
  if (milli < 0)
    ch_text_char (text, '-');
  ch_text_number (text, (gint64) (size / 1000));
  add_decimals (text, (gint64) (size % 1000));
}

/* What has at most three decimals, as every measured value. */
static gboolean add_short (ChText *text, double value)
{
  if (!(fabs (value) < 1e12))
    return FALSE;
  gint64 milli = llround (value * 1000);
  if ((double) milli / 1000 != value || (milli == 0 && signbit (value)))
    return FALSE;
  if (milli < 0) {
    ch_text_char (text, '-');
    milli = -milli;
  }
  ch_text_number (text, milli / 1000);
  add_decimals (text, milli);
  return TRUE;
}

static void add_real (ChText *text, const json_t *real)
{
  char buffer[64];
  if (add_short (text, json_real_value (real)))
    return;
  size_t n = json_dumpb (real, buffer, sizeof buffer,
                         JSON_ENCODE_ANY | JSON_REAL_PRECISION (15));
  ch_text_add (text, buffer, MIN (n, sizeof buffer));
}

/* ---- values --------------------------------------------------------------------------
 */

static void add_value (ChText *text, const json_t *value, guint depth);

static void add_object (ChText *text, const json_t *value, guint depth)
{
  json_t *object = (json_t *) (guintptr) value; /* its iterator is not const */
  gboolean first = TRUE;
  ch_text_char (text, '{');
  for (void *i = json_object_iter (object); i != NULL;
       i = json_object_iter_next (object, i)) {
    const char *key = json_object_iter_key (i);
    if (!first)
      ch_text_char (text, ',');
    first = FALSE;
    add_quoted (text, key, strlen (key));
    ch_text_char (text, ':');
    add_value (text, json_object_iter_value (i), depth + 1);
  }
  ch_text_char (text, '}');
}

static void add_array (ChText *text, const json_t *value, guint depth)
{
  size_t n = json_array_size (value);
  ch_text_char (text, '[');
  for (size_t i = 0; i < n; i++) {
    if (i > 0)
      ch_text_char (text, ',');
    add_value (text, json_array_get (value, i), depth + 1);
  }
  ch_text_char (text, ']');
}

static void add_value (ChText *text, const json_t *value, guint depth)
{
  if (value == NULL || depth > MAX_DEPTH) {
    ch_text_literal (text, "null");
    return;
  }
  switch (json_typeof (value)) {
  case JSON_OBJECT:
    add_object (text, value, depth);
    break;
  case JSON_ARRAY:
    add_array (text, value, depth);
    break;
  case JSON_STRING:
    add_quoted (text, json_string_value (value), json_string_length (value));
    break;
  case JSON_INTEGER:
    ch_text_number (text, json_integer_value (value));
    break;
  case JSON_REAL:
    add_real (text, value);
    break;
  case JSON_TRUE:
    ch_text_literal (text, "true");
    break;
  case JSON_FALSE:
    ch_text_literal (text, "false");
    break;
  case JSON_NULL:
    ch_text_literal (text, "null");
    break;
  }
}

void ch_text_json (ChText *text, const json_t *value)
{
  add_value (text, value, 0);
}
