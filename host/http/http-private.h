/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the HTTP part share. A connection carries one request at a time
 * (HTTP/1.1), so the request is a member of its connection and costs no allocation.
 */
#pragma once

#include "base/clock-private.h"
#include "base/reply.h"
#include "base/text.h"
#include "http/http.h"
#include "http/keys.h"
#include "http/router.h"
#include "net/limiter.h"
#include "net/reactor.h"
#include <chargehost/bus.h>
#include <chargehost/clock.h>
#include <chargehost/config.h>
#include <chargehost/error.h>
#include <chargehost/id.h>
#include <chargehost/json.h>
#include <chargehost/log.h>
#include <chargehost/metrics.h>
#include <chargehost/plugin.h>
#include <chargehost/store.h>
#include <libsoup/soup.h>
#include <sys/socket.h>

#define CH_HTTP_REPLY "http"     /* kind of the handles that handlers answer */
#define CH_HTTP_STEP "http-step" /* kind of the handles of our own asynchronous steps */
#define CH_HTTP_ID_SIZE 132      /* request id with NUL */
#define CH_HTTP_KEY_SIZE 256     /* Idempotency-Key with NUL */

typedef struct _ChHttpConn ChHttpConn;
typedef struct _ChHttpLocal ChHttpLocal;
typedef struct _ChHttpListener ChHttpListener;
typedef struct _ChHttpHealth ChHttpHealth;
typedef struct _ChHttpTraffic ChHttpTraffic;

/* ---- settings: read from the configuration, again after a reload --------------------
 */

typedef struct {
  guint64 read_ms, write_ms, idle_ms;
  gsize max_body;
  guint max_connections;
  GPtrArray *trusted_proxies; /* of GInetAddressMask */
  GPtrArray *third_addresses;
  GPtrArray *admin_addresses;
  char **cors_origins;
  gboolean production;
  gboolean open_api; /* classes without a key are open */
  gboolean read_auth;
  gboolean require_hmac;
  double per_key_per_min, burst, global_per_min;
  char *metrics_token; /* NULL: none */
} ChHttpSettings;

/* settings.c */
void ch_http_settings_load (ChHttp *http);
void ch_http_settings_clear (ChHttpSettings *settings);
/* Whether an address is in one of the networks; an empty list holds none. */
gboolean ch_http_networks_have (const GPtrArray *networks, GInetAddress *address);
/* Texts such as `10.0.0.0/8` or `loopback`. (transfer full): of GInetAddressMask */
GPtrArray *ch_http_networks_parse (const char *const *texts, GError **error);

/* ---- a request ------------------------------------------------------------------------
 */

typedef enum {
  CH_HTTP_IDLE = 0, /* keep-alive, between requests */
  CH_HTTP_READ,     /* the request comes in */
  CH_HTTP_WORK,     /* somebody owes the answer */
  CH_HTTP_WRITE,    /* the answer goes out */
  CH_HTTP_REFUSED,  /* answered before it was read; the rest is thrown away */
} ChHttpPhase;

/* Where a request goes on after it has waited for the store or the kv. */
typedef enum {
  CH_HTTP_STEP_AUTH = 0,
  CH_HTTP_STEP_CHECK, /* who asks is known */
  CH_HTTP_STEP_HANDLER,
} ChHttpStep;

struct _ChRequest {
  ChHttp *http;
  ChHttpLocal *local; /* NULL: it came by HTTP; else conn and msg are NULL */
  ChHttpConn *conn;
  SoupServerMessage *msg; /* kept after the answer: only it can end an idle connection */
  ChHttpRoute *route;     /* reference, NULL before it is found and when there is none */
  gboolean looked_up;
  ChHttpLookup lookup;
  ChHttpMatch match;
  char id[CH_HTTP_ID_SIZE];
  const char *method;
  GPtrArray *query; /* name, value, …; when has_query */
  gboolean has_query;
  GByteArray *bytes; /* body as it came */
  json_t *body;      /* its object */
  ChHttpKey *key;    /* reference */
  ChReply reply;     /* what is owed now, by a handler or a step of ours */
  const char *reply_kind;
  gboolean paused;              /* libsoup waits for the answer */
  char client[CH_ADDRESS_SIZE]; /* behind proxies; see ch_http_conn_client() */
  gint64 started_us;            /* read completely */
  gsize thrown;                 /* bytes thrown away after a refusal */
  gboolean answered;
  guint status;
  /* idempotency.c */
  gboolean keeps; /* the answer is stored under idem_key */
  char idem_key[CH_HTTP_KEY_SIZE];
  char fingerprint[65];
  /* what is stored or audited of the answer */
  gint code;
  /* chunks.c: what is told when an answer that goes on is cut off; NULL: it does not */
  GDestroyNotify gone;
  gpointer gone_data;
  gsize unsent;
  char *audit_before, *audit_after; /* JSON */
};

struct _ChHttpConn {
  ChHttp *http;      /* NULL after it was closed */
  GIOStream *stream; /* borrowed: the stream owns this struct */
  GList link;        /* in http->conns or http->idle */
  int fd;
  ChWatch watch;               /* edge-triggered: when the next two come true again */
  gboolean readable, writable; /* as far as is known */
  gboolean hung_up;            /* the peer sends no more: reading tells so at once */
  ChHttpPhase phase;
  ChWheelTimer timer;
  ChDeferred ending;
  GInetAddress *address;
  char remote[CH_ADDRESS_SIZE]; /* without port */
  gboolean metrics_only;        /* of the listener */
  gboolean gone;                /* the peer has, or is being, closed */
  gboolean hold;                /* headers wait for the body, to go out together */
  GByteArray *held;
  gsize held_done;
  ChText out; /* the body of the answer under way */
  ChRequest request;
};

/* stream.c: the socket as libsoup sees it. Takes @fd. */
GIOStream *ch_http_stream_new (ChHttpConn *conn, int fd);
/* The reactor tells from now on when the socket is ready. */
gboolean ch_http_stream_watch (ChHttpConn *conn, GError **error);
/* Sends what hold kept back, when no body came after it. */
void ch_http_stream_flush (ChHttpConn *conn);

/* conn.c */
void ch_http_conn_accept (ChHttpListener *listener, int fd,
                          const struct sockaddr_storage *address);
void ch_http_conn_set_phase (ChHttpConn *conn, ChHttpPhase phase, guint64 limit_ms);
/* At the end of the turn. */
void ch_http_conn_end (ChHttpConn *conn);
/* At once; not inside a callback of libsoup. */
void ch_http_conn_close (ChHttpConn *conn);
/* Called by the stream when its descriptor is about to be closed. */
void ch_http_conn_closed (ChHttpConn *conn);
/* Answers before the request is read; throws away what still comes, then closes. */
void ch_http_conn_refuse (ChHttpConn *conn, guint status, const char *body);
/* Ends the oldest idle connections until at most @max are left. */
void ch_http_conn_trim (ChHttp *http, guint max);
/* The address of the client, seen through trusted proxies. */
const char *ch_http_conn_client (ChRequest *request, GInetAddress **address);

/* listener.c */
ChHttpListener *ch_http_listener_new (ChHttp *http, const char *address,
                                      gboolean metrics_only, GError **error);
void ch_http_listener_free (ChHttpListener *listener);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChHttpListener, ch_http_listener_free)
/* "http://127.0.0.1:8080" */
const char *ch_http_listener_url (ChHttpListener *listener);
GSocketAddress *ch_http_listener_address (ChHttpListener *listener);
ChHttp *ch_http_listener_http (ChHttpListener *listener);
gboolean ch_http_listener_metrics_only (ChHttpListener *listener);
/* Not for a while: too many connections. */
void ch_http_listener_pause (ChHttpListener *listener);

/* exchange.c: from libsoup's signals to the handler. */
void ch_http_exchange_watch (ChHttp *http, SoupServer *server);
/* Goes on after an asynchronous step. */
void ch_http_exchange_resume (ChRequest *request, ChHttpStep step);
/*
 * Begins an asynchronous step: a handle for its completion, which takes the request back
 * with ch_http_exchange_arrived(): NULL when the client has gone meanwhile.
 */
ChReply ch_http_exchange_depart (ChRequest *request);
ChRequest *ch_http_exchange_arrived (ChHttp *http, ChReply reply);
/* libsoup answers by itself: what it could not even parse. */
void ch_http_exchange_rejected (ChHttpConn *conn, guint status);
/* Forgets the request; what is owed becomes a no-op. */
void ch_http_exchange_clear (ChRequest *request);

/*
 * chunks.c: an answer in pieces. FALSE: another answer was given instead. @gone is told
 * once when it ends before ch_http_chunks_end().
 */
gboolean ch_http_chunks_begin (ChRequest *request, const char *type, GDestroyNotify gone,
                               gpointer data);
/* FALSE: the client reads too slowly. @text (transfer full) */
gboolean ch_http_chunks_add (ChRequest *request, char *text, gsize size);
void ch_http_chunks_end (ChRequest *request);
/* The request ends: exchange.c. */
void ch_http_chunks_left (ChRequest *request);

/* local.c: what there is of requests that did not come by HTTP. */
const char *ch_http_local_path (const ChRequest *request);
const char *ch_http_local_type (const ChRequest *request);
const char *ch_http_local_actor (const ChRequest *request, const char **action);
/* Frees the request. @data (transfer full) (nullable) */
void ch_http_local_answer (ChRequest *request, guint status, const char *message,
                           json_t *data);

/* request.c */
gboolean ch_http_request_read_query (ChRequest *request);
gboolean ch_http_request_read_body (ChRequest *request);
const char *ch_http_request_raw_path (const ChRequest *request);
/* params.c: answers 40010 and returns FALSE when a parameter is wrong. */
gboolean ch_http_params_check (ChRequest *request);

/* auth.c */
typedef enum { CH_HTTP_AUTH_OK, CH_HTTP_AUTH_REFUSED, CH_HTTP_AUTH_WAIT } ChHttpAuth;
ChHttpAuth ch_http_auth_check (ChRequest *request);
/* hmac.c */
ChHttpAuth ch_http_hmac_check (ChRequest *request);
char *ch_http_hmac_sign (const char *secret, const char *method, const char *path,
                         const char *timestamp, const char *nonce, const void *body,
                         gsize size);
gboolean ch_http_equal (const char *a, const char *b); /* in constant time */
/* rate.c: counts failures per address, requests per key. */
void ch_http_rate_init (ChHttp *http);
void ch_http_rate_clear (ChHttp *http);
gboolean ch_http_rate_may_try (ChHttp *http, const char *address, gint64 *wait_us);
void ch_http_rate_failed (ChHttp *http, const char *address);
void ch_http_rate_malformed (ChHttpConn *conn);
gboolean ch_http_rate_may_connect (ChHttp *http, GInetAddress *address);
gboolean ch_http_rate_check (ChRequest *request);

/* answer.c: the end of every request. */
/* @body (transfer full): of g_malloc, or in conn->out */
void ch_http_answer (ChRequest *request, guint status, const char *type, char *body,
                     gsize size);
/* The envelope of gateway 7.1; @data (transfer full) (nullable) */
void ch_http_answer_data (ChRequest *request, guint status, gint code,
                          const char *message, json_t *data);
void ch_http_answer_error (ChRequest *request, gint code, const char *message,
                           json_t *data);
void ch_http_header (ChRequest *request, const char *name, const char *value);
/* Hands the answer to libsoup; only answer.c and idempotency.c. @body (transfer full) */
void ch_http_answer_now (ChRequest *request, guint status, const char *type, char *body,
                         gsize size);
/* Writes an envelope to conn->out. */
void ch_http_envelope (ChRequest *request, gint code, const char *message,
                       const json_t *data);
/*
 * An answer whose data is written as text: begin, append JSON to what it returns, end.
 * Any other answer after begin takes its place.
 */
ChText *ch_http_answer_begin (ChRequest *request);
void ch_http_answer_end (ChRequest *request, guint status);

/* Whether texts for people are to be Chinese. */
gboolean ch_http_wants_chinese (const ChRequest *request);
/* chinese.c: the texts of GET /status/definitions. */
void ch_http_definitions_chinese (json_t *definitions);

/* error-text.c */
const char *ch_http_error_chinese (gint code);
json_t *ch_http_error_list (void);

/* idempotency.c */
typedef enum { CH_HTTP_IDEM_GO_ON, CH_HTTP_IDEM_ANSWERED, CH_HTTP_IDEM_WAIT } ChHttpIdem;
ChHttpIdem ch_http_idempotency_begin (ChRequest *request);
/* Before the answer goes out: TRUE when it goes out later, from the store's completion.
 */
gboolean ch_http_idempotency_keep (ChRequest *request, guint status, const char *type,
                                   char *body, gsize size);
/* audit.c */
void ch_http_audit_answer (ChRequest *request, guint status);
/* What the row of this request will show; @before, @after (transfer full) (nullable). */
void ch_http_audit_change (ChHttp *http, ChReply reply, json_t *before, json_t *after);
void ch_http_audit_after (ChHttp *http, ChReply reply, json_t *after);

/* cors.c: TRUE when it was a preflight and is answered. */
gboolean ch_http_cors (ChRequest *request);

/* traffic.c: metrics */
void ch_http_traffic_init (ChHttp *http);
void ch_http_traffic_answered (ChRequest *request);
void ch_http_traffic_auth_failed (ChRequest *request, const char *type);
void ch_http_traffic_limited (ChRequest *request);
void ch_http_traffic_dropped (ChHttp *http, const char *reason);

/* health.c, health-checks.c */
ChHttpHealth *ch_http_health_new (ChHttp *http);
void ch_http_health_init (ChHttp *http); /* the checks begin */
void ch_http_health_free (ChHttpHealth *health);

/* store.c: rows of the part's tables */
gboolean ch_http_store_open (ChHttp *http, GError **error);
gboolean ch_http_has_store (ChHttp *http);

/* Routes of the part itself. */
extern const ChRoute ch_http_health_routes[], ch_http_device_routes[],
    ch_http_order_routes[], ch_http_command_routes[], ch_http_seed_routes[],
    ch_http_legacy_routes[], ch_http_admin_routes[], ch_http_key_routes[],
    ch_http_queue_routes[], ch_http_drain_routes[], ch_http_order_admin_routes[],
    ch_http_record_routes[], ch_http_device_admin_routes[], ch_http_ban_routes[],
    ch_http_config_routes[], ch_http_audit_routes[], ch_http_frame_routes[];
gboolean ch_http_monitor_open (ChHttp *http, GError **error); /* metrics, documents */
gboolean ch_http_debug_open (ChHttp *http, GError **error);

struct _ChHttp {
  ChServices *services;
  ChPlugin *self; /* the owner "http" */
  ChHttpSettings settings;
  SoupServer *server;
  GQuark conn_quark;    /* how an address leads to its connection */
  GSocket *mute;        /* keeps libsoup in the belief that it listens */
  GPtrArray *listeners; /* of ChHttpListener */
  GQueue conns;         /* of ChHttpConn, with a request */
  GQueue idle;          /* the oldest first */
  gboolean draining;
  ChHttpRouter *router;
  ChHttpKeys *keys;
  GHashTable *failures, *malformed; /* address → ChBucket */
  GHashTable *levels; /* module → ChTimer: log levels for a while (admin.c) */
  ChBucket global;
  ChHttpTraffic *traffic;
  ChHttpHealth *health;
  char *debug_path;
  void (*drain) (gpointer daemon, gboolean on); /* NULL: nobody can */
  void (*reconfigured) (gpointer daemon, char **keys, const char *by); /* nullable */
  gpointer daemon;
};

static inline guint ch_http_n_conns (const ChHttp *http)
{
  return http->conns.length + http->idle.length;
}
