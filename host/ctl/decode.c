/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shows a frame as JSON, with the codec of the protocol; no daemon is asked. */
#include "ctl/ctl.h"
#include "proto-bkv/wire/wire.h"

#include <string.h>

#define MAX_BYTES 65536

/* Hex digits with any white space or colons between; NULL when it is something else. */
static GByteArray *parse_hex (int argc, char **argv)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  int high = -1;
  for (int i = 0; i < argc; i++)
    for (const char *p = argv[i]; *p != '\0'; p++) {
      if (g_ascii_isspace (*p) || *p == ':')
        continue;
      int digit = g_ascii_xdigit_value (*p);
      if (digit < 0 || bytes->len >= MAX_BYTES)
        return NULL;
      if (high < 0)
        high = digit;
      else {
        guint8 byte = (guint8) (high << 4 | digit);
        g_byte_array_append (bytes, &byte, 1);
        high = -1;
      }
    }
  return high < 0 && bytes->len > 0 ? g_steal_pointer (&bytes) : NULL;
}

CtlExit ctl_decode (Ctl *ctl, int argc, char **argv)
{
  CtlExit status = ctl_options (ctl, NULL, &argc, &argv);
  if (status != CTL_OK)
    return status;
  if (!g_str_equal (argv[1], "bkv"))
    return ctl_misuse (ctl, "protocol '%s' is not known, only: bkv", argv[1]);
  g_autoptr (GByteArray) bytes = parse_hex (argc - 2, argv + 2);
  if (bytes == NULL)
    return ctl_misuse (ctl, "a frame is an even number of hexadecimal digits, at most "
                            "65536 bytes");
  json_t *decoded = bkv_decode_json (bytes->data, bytes->len);
  gboolean good = json_object_get (decoded, "error") == NULL;
  ctl_print_json (decoded);
  json_decref (decoded);
  return good ? CTL_OK : CTL_FAILED;
}
