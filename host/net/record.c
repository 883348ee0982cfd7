/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX (64 * 1024 * 1024)
/* One line is one read or one frame; a longer one did not come from here. */
#define LINE_BYTES_MAX (1024 * 1024)

struct _ChRecorder {
  FILE *file;
  gint64 begun_us;
  gsize written;
};

ChRecorder *ch_recorder_open (const char *path, const char *note, gint64 now_us,
                              GError **error)
{
  int fd = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  FILE *file = fd >= 0 ? fdopen (fd, "w") : NULL;
  if (file == NULL) {
    g_set_error (error, G_FILE_ERROR, (gint) g_file_error_from_errno (errno),
                 "cannot record to %s: %s", path, g_strerror (errno));
    if (fd >= 0)
      close (fd);
    return NULL;
  }
  ChRecorder *recorder = g_new0 (ChRecorder, 1);
  recorder->file = file;
  recorder->begun_us = now_us;
  fprintf (file, "# %s\n", note);
  return recorder;
}

void ch_recorder_add (ChRecorder *recorder, gboolean incoming, const void *bytes,
                      gsize size, gint64 now_us)
{
  static const char digits[] = "0123456789abcdef";
  const guint8 *p = bytes;
  gint64 at_us = MAX (0, now_us - recorder->begun_us);

  if (recorder->written > FILE_MAX)
    return;
  fprintf (recorder->file, "%" G_GINT64_FORMAT ".%06d %c ", at_us / G_USEC_PER_SEC,
           (int) (at_us % G_USEC_PER_SEC), incoming ? '<' : '>');
  for (gsize i = 0; i < size; i++) {
    putc (digits[p[i] >> 4], recorder->file);
    putc (digits[p[i] & 15], recorder->file);
  }
  putc ('\n', recorder->file);
  recorder->written += 2 * size + 20;
  if (recorder->written > FILE_MAX)
    fputs ("# too long: the rest is not recorded\n", recorder->file);
}

void ch_recorder_close (ChRecorder *recorder)
{
  if (recorder == NULL)
    return;
  fclose (recorder->file);
  g_free (recorder);
}

static ChRecordLine *parse_line (char *text)
{
  char *end;
  guint64 seconds = g_ascii_strtoull (text, &end, 10);
  if (end == text || *end != '.' || strspn (end + 1, "0123456789") != 6
      || seconds > G_MAXINT32)
    return NULL;
  guint64 fraction = g_ascii_strtoull (end + 1, &end, 10);
  if (end[0] != ' ' || (end[1] != '<' && end[1] != '>') || end[2] != ' ')
    return NULL;

  const char *hex = end + 3;
  gsize digits = strlen (hex);
  if (digits % 2 != 0 || digits / 2 > LINE_BYTES_MAX)
    return NULL;
  ChRecordLine *line = g_malloc (sizeof (ChRecordLine) + digits / 2);
  line->at_us = (gint64) (seconds * G_USEC_PER_SEC + fraction);
  line->incoming = end[1] == '<';
  line->size = digits / 2;
  for (gsize i = 0; i < line->size; i++) {
    gint high = g_ascii_xdigit_value (hex[2 * i]);
    gint low = g_ascii_xdigit_value (hex[2 * i + 1]);
    if (high < 0 || low < 0) {
      g_free (line);
      return NULL;
    }
    line->bytes[i] = (guint8) (high << 4 | low);
  }
  return line;
}

GPtrArray *ch_record_read (const char *path, GError **error)
{
  g_autofree char *text = NULL;
  g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (g_free);

  if (!g_file_get_contents (path, &text, NULL, error))
    return NULL;
  guint number = 0;
  for (char *at = text; *at != '\0';) {
    char *end = strchrnul (at, '\n');
    gboolean last = *end == '\0';
    *end = '\0';
    number++;
    if (*at != '#' && *at != '\0') {
      ChRecordLine *line = parse_line (at);
      if (line == NULL) {
        g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                     "%s:%u: not a line of a recording", path, number);
        return NULL;
      }
      g_ptr_array_add (lines, line);
    }
    at = last ? end : end + 1;
  }
  return g_steal_pointer (&lines);
}
