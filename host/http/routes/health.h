/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks of the parts, run in the background. */
#pragma once

#include "http/http-private.h"

/* How long a store may be away before traffic should go elsewhere. */
#define CH_HEALTH_PATIENCE_MS 10000

typedef struct _ChHttpCheck ChHttpCheck;
struct _ChHttpCheck {
  ChResource resource; /* of who added it; first */
  ChHttpHealth *health;
  char *name;
  ChHealthFunc func; /* NULL: one of ours */
  void (*run) (ChHttp *http, ChHttpCheck *check);
  ChHealthStatus status;
  json_t *result; /* NULL before the first run */
  gint64 asked_us;
  gint64 latency_us; /* −1: unknown */
  gboolean waits;
  char *failed; /* why the last ping failed */
};

struct _ChHttpHealth {
  ChHttp *http;
  GPtrArray *checks; /* of ChHttpCheck */
  gint64 started_ms;
  gint64 store_down_ms, kv_down_ms; /* since when, 0: not */
  gboolean kv_matters;              /* production */
  gint64 online_devices;
  /* Set when the core's routes are there; the health alone does without the core. */
  gint64 (*count_online) (ChPlugin *self);
};

const char *ch_http_health_name (ChHealthStatus status);
