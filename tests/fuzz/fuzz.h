/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a fuzz target implements; libFuzzer or fuzz-runner.c calls it. */
#pragma once

#include <glib.h>

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

/* Repairs sums and lengths of a mutated frame, so that it is not refused at once. */
void fuzz_repair (guint8 *data, gsize size);
