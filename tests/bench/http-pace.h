/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A load of requests at a given pace, from a process of its own. */
#pragma once

#include <glib.h>

typedef struct {
  double per_second; /* answers */
  double p50_ms, p99_ms, max_ms;
} Pace;

/*
 * GET @path of 127.0.0.1:@port with @key over so many connections, @rate requests a
 * second in all, each at its own moment whatever became of the others. The time of an
 * answer counts from that moment, so a server that falls behind is not spared. Iterates
 * the main context meanwhile. FALSE: the child could not measure.
 */
gboolean pace_measure (guint16 port, const char *path, const char *key, guint connections,
                       guint rate, guint seconds, Pace *pace);
