/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/order/order-number.h"

#include <string.h>

guint16 ch_business_no_derive (const char *order_no)
{
  guint32 n = 0;
  for (const guchar *p = (const guchar *) order_no; *p != '\0'; p++)
    n = (n * 131 + *p) % 65536;
  return n == 0 ? 1 : (guint16) n;
}

guint16 ch_business_no_next (guint16 number)
{
  return number == G_MAXUINT16 ? 1 : (guint16) (number + 1);
}

gboolean ch_business_no_parse (const char *text, guint16 *number)
{
  guint64 value;
  if (text == NULL || strlen (text) != 4
      || !g_ascii_string_to_unsigned (text, 16, 1, G_MAXUINT16, &value, NULL))
    return FALSE;
  *number = (guint16) value;
  return TRUE;
}

const char *ch_business_no_text (guint16 number, char text[5])
{
  g_snprintf (text, 5, "%04X", number);
  return text;
}
