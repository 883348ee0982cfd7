/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where ch_slab_alloc() takes from: pages of its owner, never between other blocks. */
#pragma once

#include "base/owner.h"
#include <chargehost/slab.h>

/* Gives all pages back, whatever is still in use. */
void ch_slabs_free (ChSlabs *slabs);
/* Bytes handed out, and bytes of the chunks they lie in. */
void ch_slabs_count (const ChSlabs *slabs, gsize *used, gsize *held);
