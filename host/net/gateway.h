/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gateway: listeners, admission (gateway 2.2 to 2.5), identification of protocols
 * (2.6), connections with their limits (2.7 to 2.10). It knows bytes, frames and
 * protocols; what a device is, the core knows.
 */
#pragma once

#include "base/owner.h"
#include "net/reactor.h"
#include <chargehost/protocol.h>

/* Becomes services->gateway. Needs the clock, the reactor and, for its keys, the config.
 */
ChGateway *ch_gateway_new (ChServices *services);
/* Closes what is still open, with the callbacks. */
void ch_gateway_free (ChGateway *gateway);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChGateway, ch_gateway_free)

/* The keys of section `tcp` and `gateway.ip_whitelist`, for the configuration. */
extern const ChConfigKey ch_gateway_config[];
/* Reads the live keys again, after a reload. */
void ch_gateway_reconfigure (ChGateway *gateway);

/*
 * Overrides of properties, named as the members of ChProtocolProperties and without
 * defaults: to be declared in the section of every plugin with a protocol, beside the
 * plugin's own keys, before the configuration is resolved.
 */
const ChConfigKey *ch_gateway_property_keys (void);

/* Protocols are asked in the order in which they are added. Revoked with @plugin. */
gboolean ch_gateway_add_protocol (ChGateway *gateway, ChPlugin *plugin,
                                  const ChProtocol *protocol, GError **error);
/*
 * Before @plugin stops, while its callbacks still work: closes its connections, calling
 * `closed` of each. Revoking does the same without the callbacks.
 */
void ch_gateway_remove_protocol (ChGateway *gateway, ChPlugin *plugin);
/*
 * The declared properties with the operator's overrides `proto-{name}.{property}`. Stays
 * valid as long as the gateway, also when the protocol has stopped.
 */
const ChProtocolProperties *ch_gateway_properties (ChGateway *gateway,
                                                   const ChProtocol *protocol);

/* Opens the listeners of `tcp.listeners`. */
gboolean ch_gateway_listen (ChGateway *gateway, GError **error);
/* Bound addresses as text, e.g. "0.0.0.0:7000"; useful with port 0. (transfer container)
 */
GPtrArray *ch_gateway_addresses (ChGateway *gateway);
/* Stops accepting; connections stay. */
void ch_gateway_stop_listening (ChGateway *gateway);
/* Closes at most @max connections; returns how many are left. */
guint ch_gateway_evict (ChGateway *gateway, guint max, ChCloseReason reason);
/*
 * Overload level 3 (2.13), once a second: closes the given share (0.01) of connections
 * that have sent most since the last call. Returns: how many
 */
guint ch_gateway_shed (ChGateway *gateway, double share);
/* Bytes still waiting in write queues. */
gsize ch_gateway_pending_bytes (ChGateway *gateway);

/* How the core hears of connections. */
typedef struct {
  /* After the protocol's `closed`: end the sessions of its devices. */
  void (*closed) (ChCore *core, ChConn conn, gpointer core_data, ChCloseReason reason);
  /* The write queue is below its low mark again: commands may go on. */
  void (*writable) (ChCore *core, ChConn conn, gpointer core_data);
  /* Something worth an alarm: `flood`, `protocol_errors`. */
  void (*alarm) (ChCore *core, ChConn conn, gpointer core_data, const char *code,
                 const char *message);
  /*
   * What became of a frame of kind COMMAND that had to wait after ch_gateway_send() had
   * returned SENT: handed to the kernel now (@sent), or dropped with its connection.
   */
  void (*command_frame) (ChCore *core, ChConn conn, gpointer core_data,
                         const char *command_id, gboolean sent);
  /* The breaker of new connections: 0 closed, 1 half-open, 2 open (`breaker.changed`). */
  void (*breaker_changed) (ChCore *core, gint state, guint failures);
  /* Whether an address may not connect; @host without port, `[…]` around IPv6. */
  gboolean (*banned) (ChCore *core, const char *host);
  /* A whole frame came or goes, on a connection with ch_gateway_set_traced(). */
  void (*frame) (ChCore *core, ChConn conn, gboolean incoming, const void *bytes,
                 gsize size);
} ChGatewayHooks;
/* Copied; members may be NULL. */
void ch_gateway_set_hooks (ChGateway *gateway, ChCore *core, const ChGatewayHooks *hooks);

/* What is known of a connection; strings live as long as the connection. */
typedef struct {
  ChConn conn;
  const char *conn_id; /* ULID */
  const char *remote;
  const char *local;
  ChPlugin *plugin;           /* NULL until identified */
  const ChProtocol *protocol; /* NULL until identified */
  gint64 opened_at_ms;        /* wall */
  gint64 last_rx_ms;          /* monotonic */
  gint64 last_tx_ms;
  guint64 rx_bytes, tx_bytes, rx_frames, tx_frames, bad_frames;
  guint queue_frames;
  gsize queue_bytes;
  gboolean paused;
  gboolean bound;
} ChConnInfo;
gboolean ch_gateway_conn_info (ChGateway *gateway, ChConn conn, ChConnInfo *info);
void ch_gateway_foreach (ChGateway *gateway,
                         void (*func) (const ChConnInfo *info, gpointer data),
                         gpointer data);

/* A slot of the core for its list of devices on this connection. */
void ch_gateway_set_core_data (ChGateway *gateway, ChConn conn, gpointer data);
gpointer ch_gateway_core_data (ChGateway *gateway, ChConn conn);
/* A device is bound (or the last one was unbound): ends or begins the bind time-out. */
void ch_gateway_set_bound (ChGateway *gateway, ChConn conn, gboolean bound);
/*
 * Stops and resumes reading, for a reason of the core (facts that wait, bus lanes). They
 * count: as many resumes as pauses. More resumes are harmless.
 */
void ch_gateway_pause (ChGateway *gateway, ChConn conn);
void ch_gateway_resume (ChGateway *gateway, ChConn conn);
/* All connections: the bus pushes back. */
void ch_gateway_pause_all (ChGateway *gateway, gboolean paused);
/* Whether a command may be written: below the high mark. */
gboolean ch_gateway_can_write (ChGateway *gateway, ChConn conn);
/* Calls the protocol's `command` through the runner. NOT_SENT when the connection is
 * gone. */
ChCommandState ch_gateway_send (ChGateway *gateway, ChConn conn,
                                const ChCommand *command);
void ch_gateway_set_traced (ChGateway *gateway, ChConn conn, gboolean traced);
/* Outcome for the circuit breaker (2.5): a frame was handled completely, or a fault
 * inside. */
void ch_gateway_outcome (ChGateway *gateway, gboolean success);
/* Starts (path) or stops (NULL) recording of a connection's bytes. */
gboolean ch_gateway_record (ChGateway *gateway, ChConn conn, const char *path,
                            GError **error);

typedef struct {
  guint active, max;
  guint64 accepted, rejected;
  gint breaker; /* 0 closed, 1 half-open, 2 open */
  guint breaker_failures;
  gboolean listening;
} ChGatewayStats;
void ch_gateway_stats (ChGateway *gateway, ChGatewayStats *stats);
void ch_gateway_reset_breaker (ChGateway *gateway);

/*
 * The same connection object for streams that do not come from a listener: tests give a
 * socket pair, http gives WebSockets. Takes @fd.
 */
ChConn ch_gateway_adopt (ChGateway *gateway, int fd, const char *remote, GError **error);
