/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How the tests talk to the test plugins: an event each way. */
#pragma once

#include <chargehost/chargehost.h>

/* test.poked: the test asks for something. */
typedef struct {
  ChEvent event;
  gint number;
} PokeEvent;

/* good.heard: the plugin answers. */
typedef struct {
  ChEvent event;
  gint number;
  gint64 heard;
  char version[16];
} HeardEvent;

enum { POKE_ANSWER = 1, POKE_DEGRADE, POKE_RECOVER, POKE_CRASH, POKE_SLOW };

static const ChField heard_fields[] = {
    CH_FIELD (HeardEvent, number, CH_FIELD_INT, NULL),
    CH_FIELD (HeardEvent, heard, CH_FIELD_INT64, NULL),
    CH_FIELD (HeardEvent, version, CH_FIELD_STRING, NULL),
    {.name = NULL},
};
