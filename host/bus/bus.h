/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/owner.h"
#include <chargehost/bus.h>

ChBus *ch_bus_new (ChServices *services);
void ch_bus_free (ChBus *bus);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChBus, ch_bus_free)

/* The keys of section `bus`. */
extern const ChConfigKey ch_bus_config[];

/*
 * Delivers what waits in the lanes, alarms first, at most @max events. Called by the
 * bus itself when a publisher is outermost; the daemon calls it from an idle turn when
 * events are left. Returns: how many are left.
 */
guint ch_bus_drain (ChBus *bus, guint max);
guint ch_bus_length (ChBus *bus);
/* Called with TRUE when the state lane passes 3/4 of its limit, FALSE below 1/4. */
void ch_bus_set_pressure (ChBus *bus, void (*pressure) (gboolean on, gpointer data),
                          gpointer data);
/* Called when events are left and somebody must call ch_bus_drain() later. */
void ch_bus_set_wake (ChBus *bus, void (*wake) (gpointer data), gpointer data);

/*
 * For topics that are carried between instances: the contrary of ch_event_to_json(). The
 * object may be anything; what does not fit the topic is an error. (transfer full): the
 * struct and its blob, freed with g_free()
 */
ChEvent *ch_event_from_json (const ChTopic *topic, const json_t *object, GError **error);
/*
 * An event of another instance, as ch_event_to_json() wrote it, for the subscribers here.
 * Nothing when no publisher of the topic lives; FALSE when it is malformed.
 */
gboolean ch_bus_publish_foreign (ChBus *bus, const char *topic, const json_t *object,
                                 GError **error);
