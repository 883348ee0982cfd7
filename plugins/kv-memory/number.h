/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers as text, exactly as Redis reads and writes them, in no one's locale. */
#pragma once

#include "dict.h"

#define MEM_NUMBER_SIZE 48        /* integers and doubles */
#define MEM_LONG_DOUBLE_SIZE 5200 /* a long double in full */

/* Strict: no blanks, no plus, no leading zeros. */
gboolean mem_parse_int (MemBytes text, gint64 *value);
/* No blanks around, no NaN; `inf` is one. */
gboolean mem_parse_double (MemBytes text, double *value);
/* As the ends of a range of scores are read: nothing is 0, blanks before are skipped. */
gboolean mem_parse_loose_double (MemBytes text, double *value);
gboolean mem_parse_long_double (MemBytes text, long double *value);

gsize mem_format_int (char text[MEM_NUMBER_SIZE], gint64 value);
gsize mem_format_double (char text[MEM_NUMBER_SIZE], double value); /* 17 digits */
/* 17 places after the point without closing zeros. */
gsize mem_format_long_double (char text[MEM_LONG_DOUBLE_SIZE], long double value);
