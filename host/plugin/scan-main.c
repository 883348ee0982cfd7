/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * chargehost-plugin-scan PATH NAME: loads a plugin's file as the daemon would and writes
 * to descriptor 3 what it found. Whatever the file does, it does it here.
 */
#include "plugin/plugins-private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define RESULT_FD 3

static void write_result (const GError *error)
{
  json_t *result = json_pack ("{s:b}", "ok", error == NULL);
  if (error != NULL) {
    json_object_set_new (result, "code", json_integer (error->code));
    json_object_set_new (result, "message", json_string (error->message));
  }
  char *text = json_dumps (result, JSON_COMPACT);
  if (text == NULL || write (RESULT_FD, text, strlen (text)) < 0)
    _exit (2);
}

int main (int argc, char **argv)
{
  struct rlimit no_core = {0, 0};
  g_autoptr (GError) error = NULL;
  void *image;

  if (argc != 3) {
    fprintf (stderr, "usage: %s PATH NAME\n", argv[0]);
    return 2;
  }
  (void) setrlimit (RLIMIT_CORE, &no_core);
  (void) prctl (PR_SET_DUMPABLE, 0);
  (void) ch_plugin_image_load (argv[1], argv[2], &image, &error);
  write_result (error);
  _exit (0); /* nothing of the plugin runs any more */
}
