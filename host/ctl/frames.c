/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The frames of a device as they come and go; a recording of them for tests. */
#include "ctl/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  CtlStream stream; /* first */
  gint seconds;
  FILE *record; /* nullable */
  gint64 begun_us;
} Frames;

static void begin (CtlStream *stream)
{
  const Frames *frames = (Frames *) stream;
  g_autoptr (GVariant) answer
      = ctl_call (stream->ctl, stream->kind, stream->object, "Trace",
                  g_variant_new ("(u)", (guint) frames->seconds), NULL, &stream->status);
}

/* "SECONDS < HEX", as the host's own recordings. */
static void write_record (Frames *frames, gboolean incoming, const char *hex)
{
  gint64 at_us = g_get_monotonic_time () - frames->begun_us;
  fprintf (frames->record, "%" G_GINT64_FORMAT ".%06d %c %s\n", at_us / G_USEC_PER_SEC,
           (int) (at_us % G_USEC_PER_SEC), incoming ? '<' : '>', hex);
}

static void print_frame (const json_t *frame, gboolean incoming)
{
  const json_t *decoded = json_object_get (frame, "decoded");
  const json_t *fields = json_object_get (decoded, "fields");
  char *text = json_dumps (fields != NULL ? fields : decoded,
                           JSON_ENCODE_ANY | JSON_REAL_PRECISION (6) | JSON_COMPACT);
  g_autofree char *clean = ctl_clean (text != NULL ? text : "");
  ctl_print ("%s %s %s\n    %s %s\n", ctl_text (frame, "time"), incoming ? "<" : ">",
             ctl_text (frame, "hex"), ctl_text (decoded, "name"), clean);
  free (text);
}

static void got (CtlStream *stream, GVariant *parameters)
{
  Frames *frames = (Frames *) stream;
  const char *text;
  g_variant_get (parameters, "(&s)", &text);
  if (*text == '\0') {
    ctl_stream_end (stream);
    return;
  }
  json_t *frame = json_loads (text, 0, NULL);
  gboolean incoming = g_str_equal (ctl_text (frame, "direction"), "in");
  if (frames->record != NULL)
    write_record (frames, incoming, ctl_text (frame, "hex"));
  if (stream->ctl->json)
    ctl_print ("%s\n", text);
  else
    print_frame (frame, incoming);
  json_decref (frame);
}

CtlExit ctl_devices_frames (Ctl *ctl, int argc, char **argv)
{
  g_autofree char *record = NULL;
  Frames frames = {
      .stream
      = {.ctl = ctl, .kind = CTL_DEVICE, .signal = "Frame", .begin = begin, .got = got},
      .seconds = 600,
      .begun_us = g_get_monotonic_time ()};
  GOptionEntry entries[] = {
      {"seconds", 0, 0, G_OPTION_ARG_INT, &frames.seconds,
       "For so long, 1 to 600; default 600", "N"},
      {"record", 0, 0, G_OPTION_ARG_FILENAME, &record,
       "Write them to a file too: seconds, direction, hex", "FILE"},
      {NULL},
  };
  CtlExit status = ctl_options (ctl, entries, &argc, &argv);
  if (status != CTL_OK)
    return status;
  if (frames.seconds < 1 || frames.seconds > 600)
    return ctl_misuse (ctl, "--seconds is 1 to 600");
  if (record != NULL && (frames.record = fopen (record, "we")) == NULL) {
    g_printerr ("chargehostctl: %s: %s\n", record, g_strerror (errno));
    return CTL_FAILED;
  }
  if (frames.record != NULL)
    fprintf (frames.record, "# %s\n", argv[1]);
  frames.stream.object = argv[1];
  status = ctl_stream_run (&frames.stream);
  if (frames.record != NULL && fclose (frames.record) != 0 && status == CTL_OK) {
    g_printerr ("chargehostctl: %s: %s\n", record, g_strerror (errno));
    status = CTL_FAILED;
  }
  return status;
}
