/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the driver share. */
#pragma once

#include <chargehost/clock.h>
#include <chargehost/config.h>
#include <chargehost/error.h>
#include <chargehost/kv.h>
#include <chargehost/log.h>
#include <chargehost/metrics.h>
#include <chargehost/plugin.h>
#include <chargehost/stream.h>

typedef struct _Redis Redis;
typedef struct _Link Link;
typedef struct _Node Node;
typedef struct _Blocking Blocking;
typedef struct _PubSub PubSub;
typedef struct _Sentinel Sentinel;
typedef struct _Cluster Cluster;

/* ---- where a server is ------------------------------------------------------------ */

typedef struct {
  char *host; /* NULL: a unix socket */
  guint16 port;
  char *path;
} Endpoint;

Endpoint *endpoint_new (const char *host, guint16 port);
Endpoint *endpoint_copy (const Endpoint *endpoint);
/* `host`, `host:port`, `[v6]:port`, `/path`; NULL with an error. */
Endpoint *endpoint_parse (const char *text, guint16 default_port, GError **error);
void endpoint_free (Endpoint *endpoint);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Endpoint, endpoint_free)
gboolean endpoint_equal (const Endpoint *a, const Endpoint *b);
/* (transfer full): for messages and as a key of tables */
char *endpoint_text (const Endpoint *endpoint);

/* What the configuration says. */
typedef struct {
  Endpoint *endpoint; /* NULL: only a cluster */
  char *user, *password;
  gint64 db;
  GPtrArray *sentinels; /* Endpoint */
  char *master_name, *sentinel_user, *sentinel_password;
  GPtrArray *cluster; /* Endpoint */
  gboolean tls, tls_insecure;
  char *tls_name, *tls_ca, *tls_cert, *tls_key; /* NULL: not set */
  guint dial_ms, read_ms, breaker_ms;
  guint pool_size, min_idle;
} Settings;

gboolean settings_read (ChPlugin *self, Settings *settings, GError **error);
void settings_clear (Settings *settings);
extern const ChConfigKey redis_config_keys[];

/* ---- requests --------------------------------------------------------------------- */

/* @reply is NULL when the connection was lost. */
typedef void (*AskDone) (gpointer owner, const ChKvReply *reply, gpointer data);

/* One command on its way: a caller's run, or the driver's own question. */
typedef struct _Request Request;
struct _Request {
  Request *next;
  ChKvRun *run;
  AskDone done; /* of a question; may be NULL */
  gpointer data;
  gint64 sent_ms;
  guint tries; /* how often it was sent already */
  gboolean asking;
};

typedef struct {
  Request *head, *tail;
  gsize n;
} RequestList;

void request_push (RequestList *list, Request *request);
Request *request_pop (RequestList *list);
/* Takes the run's request out of the list; NULL when it is not there. */
Request *request_take (RequestList *list, const ChKvRun *run);
/* Completes the run, frees the request. */
void request_fail (Request *request, ChKvError code, const char *format, ...)
    G_GNUC_PRINTF (3, 4);
void request_fail_all (RequestList *list, ChKvError code, const char *why);
/* What was sent when the connection ended: done or not, nobody knows. */
void request_lost_all (RequestList *list, gpointer owner, const char *why);
gboolean reply_is_error (const ChKvReply *reply, const char *word);

/* ---- one connection: link.c ------------------------------------------------------- */

typedef struct {
  /* Logged in; from now on requests may be sent. */
  void (*ready) (gpointer owner, Link *link);
  /* The answer of a run; takes @request and @reply. */
  void (*reply) (gpointer owner, Link *link, Request *request, ChKvReply *reply);
  /* Of a link for subscriptions: whatever comes once it is ready. */
  void (*pushed) (gpointer owner, Link *link, const ChKvReply *reply);
  /* It ended; the owner takes what is in flight and frees it. */
  void (*lost) (gpointer owner, Link *link, const char *why);
} LinkFuncs;

struct _Link {
  Redis *redis;
  const LinkFuncs *funcs;
  gpointer owner;
  Endpoint *endpoint;
  ChStream stream;
  struct redisReader *reader;
  RequestList flight;
  const char *purpose;
  gint64 input_ms; /* when the last bytes came */
  gboolean is_ready;
  gboolean is_dead;
  gboolean is_freed;
  guint in_use;
  gboolean for_sentinel;
};

Link *link_new (Redis *redis, const Endpoint *endpoint, const char *purpose,
                const LinkFuncs *funcs, gpointer owner);
void link_free (Link *link);
/* Sends a run; FALSE: too much waits to be sent. Takes @request when TRUE. */
gboolean link_send (Link *link, Request *request);
/* The driver's own question; @done gets the answer. */
void link_ask (Link *link, AskDone done, gpointer data, ...) G_GNUC_NULL_TERMINATED;
void link_ask_sized (Link *link, AskDone done, gpointer data, const char **argv,
                     const gsize *sizes, guint argc);
/* Writes a command whose answer comes by pushed(). */
void link_push (Link *link, const char *command, const char *argument);
/* Milliseconds since the oldest command in flight was sent. */
gint64 link_oldest_ms (const Link *link);

/* ---- libraries: library.c --------------------------------------------------------- */

typedef struct {
  char *name;
  char *lua;
  gsize size;
  gint64 version;   /* `-- version N`, 0 without */
  gboolean slotted; /* `-- keys: one slot`: may live on a cluster */
} Library;

Library *library_new (const char *lua);
void library_free (Library *library);
/* The library in what FUNCTION LIST says; NULL when it is not there. */
const ChKvReply *library_code (const ChKvReply *list);
/* Whether the one there must be replaced by ours. */
gboolean library_is_wanted (Redis *redis, const Library *library, const ChKvReply *list);
gboolean library_has_function (const Library *library, const char *name);

/* ---- one server: node.c ----------------------------------------------------------- */

typedef enum { NODE_IDLE, NODE_CONNECTING, NODE_READY } NodeState;

struct _Node {
  Redis *redis;
  Endpoint *endpoint; /* where it was last looked for */
  char *name;
  gboolean in_cluster;
  gboolean is_open;
  NodeState state;
  Link *link;
  gboolean patient;  /* commands wait for the attempt that is under way */
  gboolean slow;     /* the breaker is open */
  gboolean draining; /* no longer the primary: the rest is answered, then looked again */
  gboolean is_replica;
  Endpoint *detour; /* the primary that a replica named */
  RequestList waiting;
  ChTimer retry, watch;
  guint failures;
  gint64 ready_ms;      /* since when it is of use */
  gint64 asked_ms;      /* when its memory was asked for */
  gint64 repaired_ms;   /* what was sent before needs no other repair */
  gboolean refused;     /* it did not take a library */
  guint open_questions; /* of the look at a fresh connection */
  char *problem;        /* why the fresh connection is of no use */
  gint64 used_memory;
};

Node *node_new (Redis *redis, const Endpoint *endpoint, gboolean in_cluster);
void node_free (Node *node);
void node_open (Node *node);
/* Sends, keeps or fails it. */
void node_submit (Node *node, Request *request);
/* Load or replace now, when it is connected. */
void node_load (Node *node, const Library *library);
/* sentinel.c has found the primary, or not. */
void node_found (Node *node, const Endpoint *endpoint, const char *problem);

/* node-check.c: what is looked at before a connection is used. */
void node_check (Node *node);
void node_checked (Node *node);
gboolean node_wants (const Node *node, const Library *library);

/* ---- the other parts -------------------------------------------------------------- */

Blocking *blocking_new (Redis *redis);
void blocking_free (Blocking *blocking);
void blocking_submit (Blocking *blocking, ChKvRun *run, const Endpoint *endpoint);
gboolean blocking_cancel (Blocking *blocking, ChKvRun *run);
/* The primary is another one: connections to the old one end. */
void blocking_moved (Blocking *blocking);

PubSub *pubsub_new (Redis *redis);
void pubsub_free (PubSub *pubsub);
void pubsub_subscribe (PubSub *pubsub, const char *channel, gboolean is_pattern);
void pubsub_unsubscribe (PubSub *pubsub, const char *channel, gboolean is_pattern);
/* The server is there, perhaps another one. */
void pubsub_connect (PubSub *pubsub, const Endpoint *endpoint);
gboolean pubsub_is_connected (const PubSub *pubsub);

Sentinel *sentinel_new (Redis *redis);
void sentinel_free (Sentinel *sentinel);
/* Asks one after the other; answers with node_found(). */
void sentinel_find (Sentinel *sentinel);

Cluster *cluster_new (Redis *redis);
void cluster_free (Cluster *cluster);
void cluster_open (Cluster *cluster);
void cluster_submit (Cluster *cluster, Request *request);
void cluster_library (Cluster *cluster, const Library *library);
gboolean cluster_cancel (Cluster *cluster, const ChKvRun *run);
/* MOVED, ASK, TRYAGAIN, CLUSTERDOWN; TRUE: it is taken care of and both are taken. */
gboolean cluster_redirect (Cluster *cluster, Node *node, Request *request,
                           ChKvReply *reply);
void cluster_node_ready (Cluster *cluster, Node *node);
void cluster_node_lost (Cluster *cluster, Node *node);
/* Where a command that waits goes. (nullable) */
const Endpoint *cluster_endpoint (Cluster *cluster, const ChKvRun *run);
guint slot_of (const char *key, gsize size);

struct _Redis {
  ChPlugin *self;
  Settings settings;
  Node *primary;    /* NULL: only a cluster */
  Cluster *cluster; /* NULL: none */
  Sentinel *sentinel;
  Blocking *blocking;
  PubSub *pubsub;
  GPtrArray *libraries; /* Library */
  gboolean is_open;
  ChSeries *connects, *lost, *reloads, *unknown, *redirects;
};

/* Hears whether the primary (or the cluster) answers. */
void redis_set_up (Redis *redis, gboolean up);
