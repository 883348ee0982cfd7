/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/order/order-number.h"

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

const char *ch_business_no_text (guint16 number, char text[5])
{
  g_snprintf (text, 5, "%04X", number);
  return text;
}
