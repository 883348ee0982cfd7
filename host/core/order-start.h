/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/core.h"

/* A start guard, owned by its plugin. */
typedef struct {
  ChResource resource;
  ChStartGuard guard;
  ChCore *core;
} ChGuardEntry;
