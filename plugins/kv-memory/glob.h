/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Patterns of KEYS, SCAN and PSUBSCRIBE: `*`, `?`, `[a-z]`, `[^a]`, `\x`. */
#pragma once

#include "dict.h"

gboolean mem_glob_match (MemBytes pattern, MemBytes text);
