/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ChKv: Redis semantics, asynchronous. Key names are as in the specifications, so that
 * redis-cli shows what they show; the configured prefix is put before every key by the
 * front. What must be atomic is a Lua function of a library, one text for every driver.
 */
#pragma once

#include <chargehost/types.h>

G_BEGIN_DECLS

typedef enum {
  CH_KV_REPLY_NIL = 0,
  CH_KV_REPLY_STATUS, /* OK, PONG */
  CH_KV_REPLY_ERROR,
  CH_KV_REPLY_INTEGER,
  CH_KV_REPLY_STRING,
  CH_KV_REPLY_ARRAY,
} ChKvReplyKind;

/**
 * ChKvReply:
 *
 * A reply as RESP2 has it. @text of STRING may hold NULs; @size counts.
 */
typedef struct _ChKvReply ChKvReply;
struct _ChKvReply {
  ChKvReplyKind kind;
  gint64 integer;
  const char *text; /* STRING, STATUS, ERROR; always ends with a NUL */
  gsize size;
  ChKvReply **items; /* ARRAY */
  gsize n_items;
};

/* For drivers and tests: constructors copy; freeing an array frees its items. */
ChKvReply *ch_kv_reply_nil (void);
ChKvReply *ch_kv_reply_integer (gint64 value);
ChKvReply *ch_kv_reply_string (const char *text, gssize size);
ChKvReply *ch_kv_reply_status (const char *text);
ChKvReply *ch_kv_reply_error (const char *format, ...) G_GNUC_PRINTF (1, 2);
ChKvReply *ch_kv_reply_array (gsize n_items); /* items are set by the caller */
void ch_kv_reply_free (ChKvReply *reply);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChKvReply, ch_kv_reply_free)

/**
 * ChKvDone:
 * @self: the caller
 * @reply: (nullable): %NULL with an error
 * @error: (nullable): an error reply of the server is given, too: as
 *   %CH_KV_ERROR_UNAVAILABLE or %CH_KV_ERROR_BUSY when it says that the server would not
 *   at the moment (LOADING, READONLY, OOM, …), else as %CH_KV_ERROR_SERVER
 * @user_data: as given
 */
typedef void (*ChKvDone) (ChPlugin *self, const ChKvReply *reply, const GError *error,
                          gpointer user_data);

/**
 * ch_kv_command:
 * @self: the caller
 * @done: (nullable): called exactly once on the main loop, never inside this call
 * @user_data: for @done
 * @argv: (array length=argc): command and arguments, copied; keys without prefix
 * @sizes: (nullable): their sizes when they hold NULs
 * @argc: number of arguments
 *
 * Commands of one caller are executed in order and answered in order; only those that
 * may block (BLMOVE, BLPOP, …) are answered on their own. Commands that change the
 * connection (SUBSCRIBE, MULTI, SELECT, …) are refused, since all callers share it: what
 * must be atomic is a function.
 */
void ch_kv_command (ChPlugin *self, ChKvDone done, gpointer user_data,
                    const char *const *argv, const gsize *sizes, gsize argc);

/* The same with a NULL-terminated list of strings. */
void ch_kv_commandv (ChPlugin *self, ChKvDone done, gpointer user_data,
                     ...) G_GNUC_NULL_TERMINATED;

/**
 * ch_kv_library:
 * @self: the owner
 * @lua: (transfer none): text whose first line is `#!lua name=chargehost_core`, as in
 *   Redis 7; replaces a library of the same name
 * @error: return location
 *
 * Returns: whether the driver took it (or will when it is connected)
 */
gboolean ch_kv_library (ChPlugin *self, const char *lua, GError **error);

/**
 * ch_kv_call:
 * @function: a function of a library
 * @keys: (array length=n_keys): keys without prefix
 * @args: (array length=n_args): arguments
 *
 * FCALL.
 */
void ch_kv_call (ChPlugin *self, ChKvDone done, gpointer user_data, const char *function,
                 const char *const *keys, gsize n_keys, const char *const *args,
                 gsize n_args);

typedef void (*ChKvMessage) (ChPlugin *self, const char *channel, const char *message,
                             gsize size, gpointer user_data);

/**
 * ch_kv_subscribe:
 * @channel: a channel, or a pattern when it holds `*`; without prefix
 *
 * Returns: a handle; the subscription survives reconnects and ends with its owner
 */
ChSubscription ch_kv_subscribe (ChPlugin *self, const char *channel, ChKvMessage func,
                                gpointer user_data);
void ch_kv_unsubscribe (ChPlugin *self, ChSubscription subscription);

/**
 * ch_kv_set_timeout:
 * @self: the caller
 * @timeout_ms: deadline of its commands from now on; 0 is `kv.timeout`. A command that
 *   blocks by itself (BLMOVE) has its own time in addition
 */
void ch_kv_set_timeout (ChPlugin *self, guint timeout_ms);

/**
 * ch_kv_set_slotted:
 * @self: the caller
 * @slotted: whether all keys of each of its commands and function calls share one hash
 *   slot of Redis Cluster (hash tags), so that a driver may send them to a cluster
 */
void ch_kv_set_slotted (ChPlugin *self, gboolean slotted);

/* Returns: whether the kv answers at the moment */
gboolean ch_kv_is_up (ChPlugin *self);

/* Returns: (transfer none): what is put before keys and channels, for texts that name one
 */
const char *ch_kv_prefix (ChPlugin *self);

/* ---- the driver's side ------------------------------------------------------------ */

/* One command in flight. */
typedef struct _ChKvRun ChKvRun;
gsize ch_kv_run_argc (const ChKvRun *run);
const char *ch_kv_run_arg (const ChKvRun *run, gsize index, gsize *size);
gint64 ch_kv_run_deadline_us (const ChKvRun *run);
/* Whether it may wait for data (BLMOVE and its like), so needs a connection of its own.
 */
gboolean ch_kv_run_blocks (const ChKvRun *run);
/* What the caller said with ch_kv_set_slotted(). */
gboolean ch_kv_run_is_slotted (const ChKvRun *run);
/* Index of the first key, 0 when it has none. */
gsize ch_kv_run_first_key (const ChKvRun *run);
/* Completes it: exactly one of the two is given (transfer full); main loop only. */
void ch_kv_run_complete (ChKvRun *run, ChKvReply *reply, GError *error);
/* A message of a channel that the front subscribed to, with its prefixed name. */
void ch_kv_deliver (ChPlugin *driver, const char *pattern, const char *channel,
                    const char *message, gsize size);
/* The connection was lost or is back. */
void ch_kv_set_up (ChPlugin *driver, gboolean up);

/**
 * ChKvDriver:
 * @size: sizeof (ChKvDriver)
 * @name: `memory`, `redis`
 * @open: begin; may go on connecting later
 * @close: end; completes every run that it still holds
 * @submit: run a command; takes @run; completes it inside the call or later (the front
 *   delivers to the caller later in either case)
 * @library: load or replace a function library
 * @subscribe: subscribe to a (prefixed) channel or pattern
 * @unsubscribe: the contrary
 * @used_memory: bytes in use, or −1
 * @cancel: (nullable): nobody waits for @run any more (its owner stopped, its deadline
 *   passed): complete a command that waits, so that it has no effect later; a run that
 *   was sent already may be left to its answer
 *
 * Libraries and subscriptions are given again after each open and whenever
 * ch_kv_set_up() says that the connection is back.
 */
typedef struct {
  guint32 size;
  const char *name;
  gboolean (*open) (ChPlugin *self, GError **error);
  void (*close) (ChPlugin *self);
  void (*submit) (ChPlugin *self, ChKvRun *run);
  gboolean (*library) (ChPlugin *self, const char *lua, GError **error);
  void (*subscribe) (ChPlugin *self, const char *channel, gboolean is_pattern);
  void (*unsubscribe) (ChPlugin *self, const char *channel, gboolean is_pattern);
  gint64 (*used_memory) (ChPlugin *self);
  void (*cancel) (ChPlugin *self, ChKvRun *run);
} ChKvDriver;

G_END_DECLS
