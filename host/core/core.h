/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The core: devices, ports, orders, commands, sessions. One object that ties its parts
 * together; each part is a file with its own header. Who may touch what:
 *   device/    records of devices, ports and sockets in memory, and their rows; bans
 *   session/   which connection a device has, presence, leases of servers
 *   fact/      what protocols state, in order per device; the journal
 *   order/     the life of orders: state machine, timers, settlement; order-home.h says
 *              whose orders are in memory here
 *   outbound/  the command queue
 *   peer/      requests to the instance that holds a device, events of the others
 *   frame-log.h, topics.h, metrics.h   the command log, bus topics, counters
 */
#pragma once

#include "base/owner.h"
#include <chargehost/clock.h>
#include <chargehost/core.h>
#include <chargehost/error.h>
#include <chargehost/events.h>
#include <chargehost/log.h>

typedef struct _ChDevice ChDevice;
typedef struct _ChOrder ChOrder;
typedef struct _ChOrders ChOrders;
typedef struct _ChOutbound ChOutbound;
typedef struct _ChSessions ChSessions;
typedef struct _ChFrameLogs ChFrameLogs;
typedef struct _ChCoreMetrics ChCoreMetrics;
typedef struct _ChHomes ChHomes;
typedef struct _ChShared ChShared;
typedef struct _ChPeers ChPeers;
typedef struct _ChDeviceAdmin ChDeviceAdmin;
typedef struct _ChBans ChBans;
typedef struct _ChJournal ChJournal;
typedef struct _ChTrace ChTrace;

/* Topics that the core publishes (gateway 1.11). */
typedef struct {
  ChTopicHandle *device_registered, *device_online, *device_offline, *device_seen,
      *device_refused, *device_changed, *topology_changed;
  ChTopicHandle *port_changed;
  ChTopicHandle *order_changed, *order_started, *order_updated, *order_ended;
  ChTopicHandle *alarm_reported;
  ChTopicHandle *command_finished;
} ChCoreTopics;

/* What the store did not take, see ch_core_trouble(). */
typedef enum {
  CH_TROUBLE_DEVICE,
  CH_TROUBLE_ORDER,
  CH_TROUBLE_LOCAL_ORDER,
  CH_TROUBLE_COMMAND,
  CH_TROUBLE_LOOKUP,
  CH_TROUBLE_N,
} ChTrouble;

struct _ChCore {
  ChServices *services;
  ChPlugin *self; /* the owner "core" */
  ChCoreTopics topics;
  GHashTable *devices; /* id → ChDevice, owned: every known device */
  ChOrders *orders;
  ChOutbound *outbound;
  ChSessions *sessions;
  ChFrameLogs *frame_logs;
  ChHomes *homes;
  ChShared *shared;
  ChPeers *peers;
  ChCoreMetrics *metrics;
  ChDeviceAdmin *device_admin;
  ChBans *bans;
  ChJournal *journal;
  GPtrArray *gone_devices; /* of ChDevice, owned: deleted, perhaps still pointed to */
  GPtrArray *dirty_orders; /* numbers of orders with new figures; owned */
  ChTimer save_timer;      /* identities wait for a batch */
  struct {
    gint64 said_ms; /* 0: never */
    gint code;
  } troubles[CH_TROUBLE_N];
  gboolean batch_behind;     /* the newest batch was not stored */
  gboolean progress_behind;  /* nor the newest progress */
  GPtrArray *dirty_devices;  /* with ports or last_seen to be written; borrowed */
  GPtrArray *guards;         /* of ChGuardEntry, borrowed */
  GPtrArray *starts_waiting; /* starts that wait for a snapshot */
  GPtrArray *traces;         /* of ChTrace */
};

/* The core's own keys: devices, ports, sessions, orders, tariff, gateway, outbound,
 * events, cmd_log, journal. */
extern const ChConfigKey ch_core_config[];

ChCore *ch_core_new (ChServices *services);
void ch_core_free (ChCore *core);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChCore, ch_core_free)

/* Phase 3: the kv is there: libraries, left-overs of this server id. */
gboolean ch_core_open_sessions (ChCore *core, GError **error);
/* Of phase 4 only its tables and statements. */
gboolean ch_core_register_store (ChCore *core, GError **error);
/* Phase 4: the store is there: migrations, devices, ports, open orders. Blocks. */
gboolean ch_core_open_store (ChCore *core, GError **error);
/* Phase 7: the dispatcher begins. */
void ch_core_start_outbound (ChCore *core);
/* Phase 8: timers of orders, sweeps, relay. */
void ch_core_start_monitors (ChCore *core);
/* Stop: no new commands; calls @done when no command is in flight, or after the limit. */
void ch_core_drain (ChCore *core, guint limit_ms, void (*done) (gpointer data),
                    gpointer data);
/* Writes what is batched: last_seen, command log. */
void ch_core_flush (ChCore *core);
/* The store is closed: what it did not take any more is in the journal. Blocks. */
void ch_core_store_closed (ChCore *core);
/* Transactions of the core that have not been answered yet. */
guint ch_core_pending (ChCore *core);

/* Logs "@what: error". A full disk fails for every device: the same is a warning once a
   minute, else of level debug. @fields as for ch_log(). */
void ch_core_trouble (ChCore *core, ChTrouble trouble, const char *const *fields,
                      const char *what, const GError *error);

static inline ChCore *ch_core_of (ChPlugin *self)
{
  return self->services->core;
}
