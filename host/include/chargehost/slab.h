/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory for records of which there are very many. */
#pragma once

#include <chargehost/types.h>

G_BEGIN_DECLS

/**
 * ch_slab_alloc:
 * @self: the caller
 * @size: bytes
 *
 * Memory for what lives long and exists once per device, entry or the like. It costs no
 * more than @size rounded up to 16, and lies together with its like: what lives shorter
 * and is allocated between two records leaves no holes when it goes. A block above 1 KiB
 * is an ordinary one. What a plugin
 * has not freed goes when it is unloaded. Main thread only.
 *
 * Returns: (transfer full): for ch_slab_free(); never %NULL, not cleared
 */
gpointer ch_slab_alloc (ChPlugin *self, gsize size);

/**
 * ch_slab_alloc0:
 * @self: the caller
 * @size: bytes
 *
 * Returns: (transfer full): the same, cleared
 */
gpointer ch_slab_alloc0 (ChPlugin *self, gsize size);

/**
 * ch_slab_realloc:
 * @self: the caller
 * @block: (transfer full) (nullable): of ch_slab_alloc()
 * @old_size: what was asked for
 * @size: bytes
 *
 * Returns: (transfer full): @block with its contents in another size
 */
gpointer ch_slab_realloc (ChPlugin *self, gpointer block, gsize old_size, gsize size);

/**
 * ch_slab_strdup:
 * @self: the caller
 * @text: (nullable): a text
 *
 * Returns: (transfer full) (nullable): a copy for ch_slab_strfree()
 */
char *ch_slab_strdup (ChPlugin *self, const char *text);

/**
 * ch_slab_free:
 * @self: the caller
 * @block: (transfer full) (nullable): of ch_slab_alloc()
 * @size: what was asked for
 */
void ch_slab_free (ChPlugin *self, gpointer block, gsize size);

/**
 * ch_slab_strfree:
 * @self: the caller
 * @text: (transfer full) (nullable): of ch_slab_strdup()
 */
void ch_slab_strfree (ChPlugin *self, char *text);

#define ch_slab_new0(self, Type) ((Type *) ch_slab_alloc0 ((self), sizeof (Type)))

G_END_DECLS
