/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/core.h"

/* Registers the core's topics (gateway 1.11). */
gboolean ch_core_topics_register (ChCore *core, GError **error);
