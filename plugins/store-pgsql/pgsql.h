/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the PostgreSQL driver share. */
#pragma once

#include <chargehost/chargehost.h>

#include <libpq-fe.h>

/* Begins the messages of errors that the driver's own SQL raises on purpose. */
#define PG_MARK_GUARD "chargehost.guard"
#define PG_MARK_LATE "chargehost.late"
#define PG_MARK_BEHIND "chargehost.behind"

/* Keys of prepared statements: the driver's own, then two for each of the store's. */
typedef enum {
  PG_KEY_BEGAN,   /* notes when a batch begins */
  PG_KEY_LATE,    /* fails when a unit is past its deadline; makes its commit light */
  PG_KEY_TIMEOUT, /* a statement time-out of a unit's own */
  PG_KEY_FLUSH,   /* makes durable all that was committed */
  PG_KEY_REPLAY,  /* lets a replica come up, notes whether it is behind */
  PG_KEY_BEHIND,  /* fails when it is */
  PG_KEY_PLACE,   /* how far the server is in the log */
  PG_N_KEYS,
} PgOwn;

/* Types, of pg_type.h; they never change. */
enum {
  PG_BOOL = 16,
  PG_BYTEA = 17,
  PG_INT8 = 20,
  PG_INT2 = 21,
  PG_INT4 = 23,
  PG_TEXT = 25,
  PG_OID = 26,
  PG_JSON = 114,
  PG_FLOAT4 = 700,
  PG_FLOAT8 = 701,
  PG_VARCHAR = 1043,
  PG_TIMESTAMP = 1114,
  PG_TIMESTAMPTZ = 1184,
  PG_JSONB = 3802,
};

typedef struct _Pg Pg;
typedef struct _PgConn PgConn;

/* ---- options (options.c) ----------------------------------------------------------- */

typedef struct {
  char *dsn;
  char **replica_dsns; /* NULL-terminated, may be empty */
  char *schema;
  gint64 statement_timeout_ms;
  gint64 lock_timeout_ms;
  gint64 idle_ms;
  gint64 connect_ms;
  gint64 lifetime_ms;
  gint64 lag_max_ms;
  guint max;
  guint min;
  guint writers;
  guint batch_max;
} PgOptions;

extern const ChConfigKey pg_config[];

gboolean pg_options_read (PgOptions *options, ChPlugin *self,
                          const ChStoreSettings *settings, GError **error);
void pg_options_clear (PgOptions *options);

/* ---- errors (errors.c) ------------------------------------------------------------- */

/* What a result that is an error means; @reader: on a connection that may only read. */
GError *pg_error_of_result (const PGresult *result, const char *what, gboolean reader);
GError *pg_error_of_conn (PGconn *conn, const char *what);
gboolean pg_result_is (const PGresult *result, const char *sqlstate);
/* Whether the message was raised on purpose with @mark. */
gboolean pg_result_has_mark (const PGresult *result, const char *mark);

/* ---- statements' texts (text.c) ---------------------------------------------------- */

typedef struct {
  char *refusal;        /* why it may not run at all, NULL */
  char *guarded;        /* the same with a check of its count, NULL: not possible */
  gboolean counts_only; /* the guarded text gives the count, not rows */
} PgText;

/*
 * Looks at a statement. Its guarded form takes two more parameters, the fewest and the
 * most rows, and fails with PG_MARK_GUARD and the count when that does not hold.
 */
PgText *pg_text_new (const char *sql, guint n_params);
void pg_text_free (PgText *text);

/* ---- values (value.c) -------------------------------------------------------------- */

typedef struct {
  guint room;
  const char **values;
  int *lengths;
  int *formats;
  char (*numbers)[40];
  GPtrArray *texts; /* made here */
} PgParams;

/* Room for @n parameters, with those of before forgotten. */
void pg_params_begin (PgParams *params, guint n);
void pg_params_set (PgParams *params, guint at, const ChValue *value);
void pg_params_set_int (PgParams *params, guint at, gint64 number);
void pg_params_clear (PgParams *params);

typedef struct {
  guint room;
  ChValue *values;
  const char **names;
  GByteArray *bytes;
} PgRow;

/* Copies the rows of a result into a statement's result. */
void pg_take_rows (PgRow *row, ChTxRun *run, guint index, const PGresult *result);
void pg_row_clear (PgRow *row);
/* "2024-01-06 08:00:00.123+00" */
void pg_format_time (gint64 wall_ms, char text[40]);
gint64 pg_parse_time (const char *text);
/* A copy without what jsonb does not take, NULL when there is no such thing in it. */
char *pg_clean_json (const char *json);

/* ---- addresses (address.c) ----------------------------------------------------------
 */

/* A server as the operator wrote it, and what its names stood for of late. */
typedef struct _PgTarget PgTarget;

/* @key: the configuration's, for errors; @primary: a standby is of no use */
PgTarget *pg_target_new (const char *dsn, const char *key, gboolean primary,
                         GError **error);
void pg_target_free (PgTarget *target);

typedef void (*PgResolved) (GError *error, gpointer data);
/*
 * Finds the addresses of all host names: in a thread of GLib's, so that nothing waits.
 * Returns: what pg_target_forget() takes to no longer want to hear; NULL when there are
 *   no names, then @func was not and will not be called
 */
gpointer pg_target_resolve (PgTarget *target, PgResolved func, gpointer data);
void pg_target_forget (gpointer resolving);
/* The same, waiting; at start. */
gboolean pg_target_resolve_now (PgTarget *target, GError **error);
/* Begins a connection. @first: which address it begins with */
PGconn *pg_target_connect (PgTarget *target, const char *application, guint *first);
/* An attempt that began with @first got no answer: the next one begins behind it. */
void pg_target_pass_over (PgTarget *target, guint first);

/* ---- work -------------------------------------------------------------------------- */

/* Transactions of an owner that write: one batch at a time, in their order. */
typedef struct {
  guint id;
  GQueue waiting;  /* of PgUnit */
  gboolean busy;   /* a batch of it is at a connection */
  gboolean listed; /* among those that are ready */
  guint64 submitted;
  guint64 finished;
} PgLane;

typedef struct _PgUnit PgUnit;
struct _PgUnit {
  ChTxRun *run;
  PgLane *lane; /* NULL: it only reads */
  gint64 queued_us;
  gint64 deadline_us;
  guint attempts;
  gboolean primary_only; /* a replica could not serve it */
  guint64 written;       /* place in the log that it has to see */
  /* at a connection: */
  guint at; /* statement whose result comes next */
  gint failed;
  GError *error;
  gboolean again;     /* it left nothing behind and is worth another attempt */
  gboolean ended;     /* the server has told its end */
  gboolean wrote;     /* rows were changed */
  gboolean cancelled; /* past its deadline, the server was asked to stop it */
  /* bulk: */
  const char *table;
  const char *const *columns;
  guint64 after;     /* how many of the lane have to be finished before */
  guint64 inserted;  /* by INSERTs, when COPY could not */
  gboolean in_queue; /* of the lane, as INSERTs */
};

/* ---- connections ------------------------------------------------------------------- */

typedef enum {
  PG_WRITER,
  PG_READER,
  PG_REPLICA,
  PG_ADMIN, /* migrations, and what is waited for at start */
  PG_COPY,
  PG_LISTEN,
  PG_N_ROLES,
} PgRole;

typedef enum {
  PG_RESOLVING,
  PG_CONNECTING,
  PG_PREPARING, /* the session's settings */
  PG_READY,
  PG_BROKEN, /* to be freed */
} PgState;

typedef enum {
  PG_OP_PREPARE,   /* a statement, in a segment of its own */
  PG_OP_SETTING,   /* something before a unit's statements */
  PG_OP_STATEMENT, /* the next one of a unit */
  PG_OP_SYNC,      /* end of a unit */
  PG_OP_MARK,      /* end of a segment that belongs to no unit */
  PG_OP_PLACE,     /* how far the server is in the log */
  PG_OP_FLUSH,     /* makes durable what was committed before */
  PG_OP_FLUSHED,   /* end of that */
} PgOpKind;

typedef struct {
  PgOpKind kind;
  guint key; /* PREPARE */
  PgUnit *unit;
} PgOp;

struct _PgConn {
  Pg *pg;
  PgRole role;
  PgState state;
  PgTarget *target;
  guint replica; /* number of the replica */
  gpointer resolving;
  PGconn *pq;
  guint first; /* the target's address that it began with */
  int fd;      /* −1: not in the set */
  guint32 events;
  guint generation; /* of the place in the set */
  gint64 since_us;  /* began to connect, became idle */
  gint64 opened_us;
  gint64 lifetime_us;
  GError *error; /* why it is broken */

  /* the pipeline */
  GArray *ops; /* of PgOp */
  guint next_op;
  GPtrArray *units; /* the batch, owned; empty: only a question of our own */
  PgUnit *current;  /* whose results come */
  gboolean durable; /* all of the batch that was committed */
  gint64 sent_us;
  guint8 *prepared; /* by key: 0, or it was sent */
  guint n_prepared;
  GHashTable *refusals; /* key → GError of preparing */
  gboolean forget;      /* what is prepared is not valid any more */
  gboolean writable;    /* the server takes writes */
  gint64 cancel_us;     /* 0; when the server was asked to stop the current unit */
  gboolean saw_fatal;   /* the server has said that it ends the session */
  gboolean retire;      /* to be closed when the batch is done */
  void (*receive) (PgConn *conn); /* for what has come while it is ready */
  enum { PG_COPY_TYPES, PG_COPY_ROWS, PG_COPY_PLACE } copy_step;
  GByteArray *copy_rows;
  gboolean copy_conflict;
  gboolean asking;   /* LISTEN is on its way */
  gboolean relisten; /* after a loss: listeners are told when it is through */
};

/* conn.c: life */
PgConn *pg_conn_new (Pg *pg, PgRole role, PgTarget *target, gboolean wait);
void pg_conn_break (PgConn *conn, GError *error); /* (transfer full) */
/* It could not be made in time: the next one tries another address first. */
void pg_conn_give_up (PgConn *conn);
void pg_conn_free (PgConn *conn);
void pg_conn_event (PgConn *conn, guint32 events);
/* Sends what is buffered and waits for what the socket can do. */
void pg_conn_flush (PgConn *conn);
gboolean pg_conn_is_idle (const PgConn *conn);
/* Asks the server to end what runs; in a thread, since libpq waits. */
void pg_conn_cancel (PgConn *conn);

/* send.c: writes a batch of units, taken over, into the pipeline */
void pg_conn_send (PgConn *conn, GPtrArray *units);
/* Asks how far the server is in the log; an idle connection. */
void pg_conn_send_ask (PgConn *conn);
/* Makes durable what others have committed and this one may have seen. */
gboolean pg_conn_send_flush (PgConn *conn);
/* receive.c: takes what has come */
void pg_conn_receive (PgConn *conn);
/* The connection is gone: settles the batch. */
void pg_conn_settle_broken (PgConn *conn);

/* ---- the store --------------------------------------------------------------------- */

typedef struct {
  PgTarget *target;
  guint failures;
  gint64 retry_us; /* not connected to before */
  gint64 rest_us;  /* not used before */
  guint rests;     /* since it was of use */
  guint64 place;   /* how far it was in the log when it was asked */
  gboolean told;
  ChSeries *lag, *up;
  ChSeries *served, *behind, *failed;
} PgReplica;

struct _Pg {
  ChPlugin *self;
  PgOptions options;
  gboolean open;
  gboolean closing;
  gboolean held; /* migrations run: nothing is begun */
  gboolean has_schema;

  GSource *source;
  int epoll;
  gboolean kicked;
  ChTimer timer;
  gint64 timer_ms;

  PgTarget *primary;
  GPtrArray *replicas; /* of PgReplica */
  GPtrArray *conns;    /* of PgConn */
  PgConn *admin;
  gint64 retry_us; /* no connecting before */
  guint failures;
  gint64 down_us; /* since when there is no connection; 0 */
  char *down_reason;
  gint64 logged_us;
  gint64 maintained_us;

  GHashTable *lanes;    /* id → PgLane */
  GQueue ready_lanes;   /* that have work and are not busy */
  GQueue reads;         /* of PgUnit */
  GQueue replica_reads; /* of PgUnit */
  GQueue bulks;         /* of PgUnit */
  GPtrArray *texts;     /* by ChPrepared.id: PgText */
  GHashTable *types;    /* table → column → Oid */
  GHashTable *channels; /* name → whether the server knows */
  gboolean listened_before;
  gboolean can_flush; /* several transactions may share a sync */
  guint outstanding;  /* units that are not complete */
  guint64 written;    /* place in the log up to which this process has written */
  GArray *marks;      /* places of the primary with their times, of lag.c */
  gint64 marked_us;
  gint64 asked_us;
  gboolean collecting;

  PgParams params;
  PgRow row;
};

/* loop.c */
gboolean pg_loop_open (Pg *pg, GError **error);
void pg_loop_close (Pg *pg);
void pg_loop_watch (PgConn *conn, guint32 events);
void pg_loop_unwatch (PgConn *conn);
/* Something may be begun: looked at before the main loop sleeps. */
void pg_loop_kick (Pg *pg);
/* Lets events happen for at most @wait_ms, without the main loop. */
void pg_loop_pump (Pg *pg, gint64 wait_ms);

/* pool.c */
/* Wants one more connection of a role. */
void pg_pool_want (Pg *pg, PgRole role, guint waiting);
void pg_pool_maintain (Pg *pg, gint64 now_us);
/* A connection is there, or could not be made, or was lost. */
void pg_pool_ready (PgConn *conn);
void pg_pool_lost (PgConn *conn);
void pg_pool_suspect (Pg *pg);
/* Whether there may be one connection more; an idle one of another role may go for it. */
gboolean pg_pool_make_room (Pg *pg, PgRole for_role);
guint pg_pool_count (Pg *pg, PgRole role, gboolean ready_only);
PgConn *pg_pool_idle (Pg *pg, PgRole role);
gboolean pg_pool_is_up (Pg *pg);

/* dispatch.c */
void pg_submit (Pg *pg, ChTxRun *run);
/* Takes a transaction over; NULL when it is complete already, with an error. */
PgUnit *pg_admit (Pg *pg, ChTxRun *run);
void pg_dispatch (Pg *pg);
/* The next units of a queue that are still worth it. */
GPtrArray *pg_take (Pg *pg, GQueue *queue, guint max, gint64 now_us);
/* Once in a while: deadlines of what waits and what runs. */
void pg_check_deadlines (Pg *pg, gint64 now_us);
/* A unit's outcome is known; it is freed. */
void pg_unit_complete (Pg *pg, PgUnit *unit);
/* A batch has been settled: its lane may go on. Units to repeat come first again. */
void pg_batch_done (Pg *pg, GPtrArray *units);
void pg_unit_fail (PgUnit *unit, gint failed, GError *error);
gboolean pg_unit_wants_repetition (Pg *pg, PgUnit *unit);
/* As it was before it was sent. */
void pg_unit_renew (PgUnit *unit);
/* Fails all that waits. */
void pg_fail_waiting (Pg *pg, const GError *error);
PgLane *pg_lane (Pg *pg, guint id);
PgText *pg_text_of (Pg *pg, const ChPrepared *prepared);

/* A write stands in the line of its lane. */
void pg_queue_write (Pg *pg, PgUnit *unit);

/* copy.c */
void pg_copy_submit (Pg *pg, const char *table, const char *const *columns, ChTxRun *run);
void pg_copy_begin (PgConn *conn, PgUnit *unit);
void pg_copy_receive (PgConn *conn);

/* listen.c */
void pg_listen (Pg *pg, const char *channel, gboolean on);
void pg_listen_ready (PgConn *conn);
void pg_listen_receive (PgConn *conn);

/* replica.c */
gboolean pg_replicas_open (Pg *pg, GError **error);
gboolean pg_replicas_take (Pg *pg, gint64 now_us);
void pg_replicas_dispatch (Pg *pg, gint64 now_us);
gboolean pg_replica_is_up (Pg *pg, guint number);
void pg_replica_want (Pg *pg, guint number, gint64 now_us);
void pg_replica_behind (PgConn *conn);
void pg_replica_served (PgConn *conn, gboolean served);
void pg_replica_silent (PgConn *conn);
void pg_replica_lost (PgConn *conn);
void pg_replica_ready (PgConn *conn);

/* lag.c */
void pg_replicas_add_metrics (Pg *pg);
/* Once in a while: how far everybody is. */
void pg_replicas_ask (Pg *pg, gint64 now_us);
gint64 pg_replica_lag_us (Pg *pg, const PgReplica *replica, gint64 now_us);
/* How far this process has written; how far the connection's server is. */
void pg_note_written (Pg *pg, const char *place);
void pg_note_place (PgConn *conn, const char *place);

/* admin.c: what is waited for */
gboolean pg_admin_open (Pg *pg, GError **error);
void pg_admin_close (Pg *pg);
/* Before the first script: who only looks changes nothing. */
gboolean pg_admin_make_schema (Pg *pg, GError **error);
gboolean pg_admin_script (Pg *pg, const char *sql, GError **error);
/* The first column of the first row, NULL when there is none. (transfer full) */
char *pg_admin_text (Pg *pg, const char *sql, GError **error);
void pg_admin_run (Pg *pg, ChTxRun *run);
gboolean pg_admin_lock (Pg *pg, GError **error);
void pg_admin_unlock (Pg *pg);
