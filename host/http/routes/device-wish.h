/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a request or a line of an import says of a device. */
#pragma once

#include "core/device/device-admin.h"
#include <jansson.h>

typedef struct {
  guint line; /* 0: no line */
  char field[32];
  const char *rule; /* constant */
} ChWishProblem;

/*
 * Reads @object (as {"device_id":…,"lifecycle":…}) into @wish, whose texts stay those of
 * @object. FALSE: @problem says which member breaks which rule.
 */
gboolean ch_device_wish_read (const json_t *object, ChDeviceWish *wish,
                              ChWishProblem *problem);

/*
 * Lines of an import as objects for ch_device_wish_read(): CSV (RFC 4180) with the names
 * of the members in its first line, or one JSON object per line. Each object gets a
 * member `line`. NULL: @problem says where it cannot be read. (transfer full)
 */
json_t *ch_import_read_csv (const char *text, gsize size, ChWishProblem *problem);
json_t *ch_import_read_lines (const char *text, gsize size, ChWishProblem *problem);
