/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sessions inside. Files: session.c bind, unbind, take-over; session-presence.c liveness,
 * presence, score; session-kv.c directory in the kv; session-lease.c this server's id;
 * session-servers.c the other servers, reaper, owners; session-elsewhere.c devices of
 * other servers; session-bind.c refusals; session-life.c making, metrics, JSON.
 */
#pragma once

#include "core/session/session.h"
#include <chargehost/id.h>
#include <chargehost/kv.h>
#include <chargehost/metrics.h>

/* The core's data of a connection: who is bound to it. Nearly always that is one. */
typedef struct {
  ChConn conn;
  const char *conn_id, *remote; /* the connection's own */
  char *iccid;                  /* as presented on it, NULL none yet */
  guint n_devices, room;
  union {
    ChDevice *one;   /* with room for 1 */
    ChDevice **many; /* with more */
  };
} ChSessionConn;

static inline ChDevice **ch_session_devices (const ChSessionConn *sc)
{
  return sc->room > 1 ? sc->many : (ChDevice **) &sc->one;
}

/* Where a device is that is not here. */
typedef struct {
  char server[CH_SERVER_ID_SIZE];
  gint64 heard_ms;
} ChSessionOwner;

/* One device of a batch of touches. */
typedef struct {
  char device[CH_DEVICE_ID_SIZE];
  ChConn conn;
} ChSessionTouched;

/* Who has a server id. */
typedef struct {
  char token[64], host[64];
  gint64 pid;
  char place[128]; /* where the pid means something */
  char beat[32];   /* its newest sign of life, as text */
} ChSessionHolder;

/* A call that waits for the kv; in a set so that nothing leaks at the end. */
typedef struct {
  ChSessions *sessions;
  char device[CH_DEVICE_ID_SIZE];
  char conn_id[CH_ULID_SIZE];
  char server[CH_SERVER_ID_SIZE];
  GArray *batch; /* of ChSessionTouched, nullable */
  guint from;    /* session-elsewhere.c: rank of the page */
  ChSessionLocated located;
  gpointer user_data;
} ChSessionCall;

struct _ChSessions {
  ChCore *core;
  ChPlugin *self;
  guint connected;
  GPtrArray *dirty;   /* of ChDevice: to be touched in the kv */
  GHashTable *again;  /* of ChDevice: to be registered in the kv again */
  GHashTable *calls;  /* of ChSessionCall, as a set */
  GHashTable *owners; /* device → ChSessionOwner: devices of other servers */
  ChWheelTimer flush; /* writes of the kv */
  ChWheelTimer beat;  /* the server's own sign of life */
  gboolean opened, released;
  guint n_servers;  /* alive, with this one */
  gboolean several; /* it has not always been the only one */
  guint8 round;     /* session-elsewhere.c: newest look around */
  gboolean looking;
  guint beats;
  gboolean kv_was_up;
  char token[64];    /* of this process */
  gint64 started_at; /* wall ms */
  gint open_state;   /* while it opens: 0 waiting, 1 answered, −1 failed */
  char open_problem[160];
  ChSessionHolder holder; /* of our id, when that is another */
  gboolean taken;         /* so it was found when it opened */
  gboolean lease_lost;    /* so it was found while running: the end comes */
  struct {
    gint64 heartbeat_timeout_ms, min_timeout_ms, grace_ms, flush_ms, last_seen_ms;
    gint64 tcp_window_ms, ack_window_ms;
    gint tcp_penalty, ack_penalty, threshold; /* thousandths */
    gboolean weighted;
  } config;
  struct {
    ChMetric *offline;
    ChSeries *online, *heartbeats, *zombies, *banned;
    ChSeries *takeover_local, *takeover_remote;
  } metrics;
  guint64 touches; /* frames, for session_heartbeat_total */
};

/* ---- session.c ---- */
/* Made when there is none. */
ChContest *ch_session_contest (ChDevice *device);
ChSessionConn *ch_session_conn (ChSessions *sessions, ChConn conn);
/* Ends a session; @silent: the connection stays and binds again with its next frame. */
void ch_session_end (ChSessions *sessions, ChDevice *device, ChCloseReason reason,
                     gboolean silent);

/* ---- session-presence.c ---- */
void ch_session_read_config (ChSessions *sessions);
void ch_session_bound (ChSessions *sessions, ChDevice *device, const char *remote,
                       gint64 absent_s);
void ch_session_lost (ChSessions *sessions, ChDevice *device);
/* SES-04 on plain figures, in thousandths. */
typedef struct {
  gint64 timeout_ms, tcp_window_ms, ack_window_ms;
  gint tcp_penalty, ack_penalty, threshold;
} ChSessionPolicy;
gint ch_session_score_of (const ChSessionPolicy *policy, gint64 now_ms, gint64 seen_ms,
                          gint64 down_ms, gint64 ack_timeout_ms, gboolean connected);
gint64 ch_session_timeout_of (gint64 fixed_ms, gint64 min_ms, guint32 offline_after_s,
                              guint32 heartbeat_s);

/* ---- session-bind.c: who may bind ---- */
/* NULL when the device may be bound to the connection, else a constant reason. */
const char *ch_session_refusal (ChSessions *sessions, ChDevice *device, ChConn conn,
                                const char *remote);

/* ---- session-kv.c ---- */
gboolean ch_session_kv_ok (ChSessions *sessions);
ChSessionCall *ch_session_call_new (ChSessions *sessions, const char *device);
void ch_session_call_done (ChSessionCall *call);
void ch_session_call_free (gpointer call);
void ch_session_kv_bind (ChSessions *sessions, ChDevice *device);
void ch_session_kv_unbind (ChSessions *sessions, ChDevice *device,
                           const ChSessionConn *sc);
void ch_session_kv_flush_fired (ChWheelTimer *timer);
void ch_session_kv_dirty (ChSessions *sessions, ChDevice *device);
/* All sessions again: the kv was away or lost its memory. */
void ch_session_kv_all_again (ChSessions *sessions);
char *ch_session_conn_json (const ChSessionConn *sc);

/* ---- session-servers.c ---- */
guint ch_sessions_servers (ChSessions *sessions);
/* Gives a ready mark for a device that is not here to its owner. */
void ch_sessions_hand_over (ChSessions *sessions, const char *device);
/* The kv says that another connection has the device: its local one is stale. */
void ch_session_stale (ChSessions *sessions, ChDevice *device);
/* ---- session-lease.c ---- */
/* Takes this server's id; blocks. FALSE: another server has it. */
gboolean ch_session_lease_claim (ChSessions *sessions, GError **error);
void ch_session_lease_renew (ChSessions *sessions);
void ch_session_lease_end (ChSessions *sessions);
/* While it opens: an answer is there; waits for one after open_state was set to 0. */
void ch_session_open_answered (ChSessions *sessions, const GError *error);
gboolean ch_session_open_ask (ChSessions *sessions, GError **error);

gboolean ch_session_servers_open (ChSessions *sessions, GError **error);
void ch_session_servers_close (ChSessions *sessions);
void ch_session_beat_fired (ChWheelTimer *timer);

void ch_session_remember_owner (ChSessions *sessions, const char *device,
                                const char *server);

/* ---- session-elsewhere.c ---- */
void ch_session_elsewhere_open (ChSessions *sessions);
void ch_session_count_servers (ChSessions *sessions, guint n);
/* Reads from the directory what the others hold. */
void ch_session_look_around (ChSessions *sessions);
/* @server holds it now; "" when it is not known which. */
void ch_session_set_elsewhere (ChSessions *sessions, ChDevice *device,
                               const char *server);
void ch_session_server_ended (ChSessions *sessions, const char *server);
/* Tells the other instances. @device NULL for `up` and `down`. */
void ch_session_tell (ChSessions *sessions, const char *what, const char *server,
                      const char *device);

/* ---- from outbound-relay.c: what the bind found in the kv ---- */
void ch_outbound_session_reply (ChOutbound *outbound, ChDevice *device, gint64 waiting,
                                ChKvReply *const *flight, gsize n);
/* The device is another server's now: its commands are that server's. */
void ch_outbound_moved (ChOutbound *outbound, ChDevice *device);
/* Takes over what a dead server had in flight (SES-14). */
void ch_outbound_reap (ChOutbound *outbound, const char *server_id);
