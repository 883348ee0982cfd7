/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the generated list calls, in the order of the headers. */
#pragma once

#include <glib.h>

void size (const char *name, gsize bytes);
void offset (const char *name, const char *member, gsize bytes);
void value (const char *name, const char *enumerator, gint64 number);
void abi_list (void);
