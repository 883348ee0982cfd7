/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers of orders (gateway 1.5.2). Pure. */
#pragma once

#include <glib.h>

/* The short number that an order number gives: 1 to 65535. */
guint16 ch_business_no_derive (const char *order_no);
/* The next candidate; 65535 wraps to 1. */
guint16 ch_business_no_next (guint16 number);
/* "0ECC" */
const char *ch_business_no_text (guint16 number, char text[5]);
