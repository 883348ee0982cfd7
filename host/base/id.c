/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <chargehost/id.h>
#include <string.h>

static gboolean is_made_of (const char *text, gsize max, const char *extra)
{
  if (text == NULL || *text == '\0')
    return FALSE;
  gsize n = 0;
  for (const char *p = text; *p != '\0'; p++)
    if (++n > max || (!g_ascii_isalnum (*p) && strchr (extra, *p) == NULL))
      return FALSE;
  return TRUE;
}

gboolean ch_device_id_is_valid (const char *text)
{
  return is_made_of (text, 64, "._:*=+|@ -");
}

gboolean ch_order_no_is_valid (const char *text)
{
  return is_made_of (text, 32, "_-");
}
