/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The database in memory and what its commands share. */
#pragma once

#include "number.h"
#include "out.h"
#include <chargehost/clock.h>
#include <chargehost/log.h>

typedef struct _Mem Mem;
typedef struct _MemCommand MemCommand;
typedef struct _MemList MemList;
typedef struct _MemZset MemZset;
typedef struct _MemEngine MemEngine;
typedef struct _MemBlocking MemBlocking;
typedef struct _MemPubsub MemPubsub;
typedef struct _MemSnapshot MemSnapshot;

typedef enum { MEM_STRING, MEM_LIST, MEM_SET, MEM_ZSET, MEM_HASH } MemType;

/* A key with its value; the key's bytes follow. `extra` of the node: place among
 * expiries. */
typedef struct {
  MemNode node;
  MemType type;
  guint32 size;     /* STRING */
  guint32 room;     /* STRING: bytes allocated */
  gint64 expire_ms; /* wall clock; 0: never */
  union {
    char *bytes; /* STRING: behind the key, or by itself when it has outgrown that */
    MemList *list;
    MemDict *dict; /* SET, HASH */
    MemZset *zset;
  };
} MemEntry;

/* A field of a hash: a node, then the value. */
typedef struct {
  MemNode node;
  guint32 size;
  guint32 room;
  char *bytes;
} MemField;

/* Keys that will expire, soonest first (expire.c). */
typedef struct {
  gint64 due_ms;
  MemEntry *entry;
} MemDue;
typedef struct {
  MemDue *items;
  gsize count, room;
  ChTimer timer;
  gint64 armed_ms; /* for when the timer is set */
} MemExpiry;

struct _Mem {
  ChPlugin *self;
  MemHeap heap;
  guint64 seed[2];
  guint64 random_state;
  MemDict keys;
  MemExpiry expiry;
  gint64 now_ms; /* wall clock at the beginning of the command */
  MemOut out;
  guint8 *command_index; /* hash of the table of commands */
  const MemCommand **commands;
  guint n_commands;
  guint64 n_executed;
  guint64 changes; /* of the data since the last snapshot */
  gsize max_memory;
  gint64 started_ms;
  char run_id[41];
  MemBlocking *blocking;
  MemPubsub *pubsub;
  MemEngine *engine;
  MemSnapshot *snapshot;
};

/* One execution. */
typedef struct {
  const MemCommand *command;
  const MemBytes *argv;
  gsize argc;
  MemOut *out;
  ChKvRun *run;      /* NULL in a script */
  gboolean deferred; /* set by a command that will be answered later */
} MemCall;

typedef void (*MemHandler) (Mem *mem, MemCall *call);

typedef enum {
  MEM_READ = 0,
  MEM_WRITE = 1 << 0,
  MEM_GROWS = 1 << 1,     /* refused when memory is used up */
  MEM_NO_SCRIPT = 1 << 2, /* not for redis.call */
} MemCommandFlags;

struct _MemCommand {
  const char *name; /* lower case */
  gint arity;       /* with the name; negative: at least */
  MemCommandFlags flags;
  MemHandler run;
};

/* The tables, one per file; each ends with an entry without name. */
extern const MemCommand mem_server_commands[];
extern const MemCommand mem_key_commands[];
extern const MemCommand mem_expire_commands[];
extern const MemCommand mem_scan_commands[];
extern const MemCommand mem_string_commands[];
extern const MemCommand mem_counter_commands[];
extern const MemCommand mem_hash_commands[];
extern const MemCommand mem_list_commands[];
extern const MemCommand mem_list_edit_commands[];
extern const MemCommand mem_blocking_commands[];
extern const MemCommand mem_set_commands[];
extern const MemCommand mem_set_algebra_commands[];
extern const MemCommand mem_zset_commands[];
extern const MemCommand mem_zset_range_commands[];
extern const MemCommand mem_zset_algebra_commands[];
extern const MemCommand mem_geo_commands[];
extern const MemCommand mem_geo_search_commands[];
extern const MemCommand mem_pubsub_commands[];
extern const MemCommand mem_function_commands[];

/* commands.c */
void mem_commands_init (Mem *mem);
const MemCommand *mem_command_find (const Mem *mem, MemBytes name);
gboolean mem_command_arity_fits (const MemCommand *command, gsize argc);
/* Whether writing is refused for lack of memory. */
gboolean mem_is_full (const Mem *mem);
void mem_submit (Mem *mem, ChKvRun *run);

/* memory.c */
Mem *mem_new (ChPlugin *self);
void mem_unref_all (Mem *mem);
guint64 mem_random (gpointer mem);
MemEntry *mem_peek (Mem *mem,
                    MemBytes key); /* NULL when it is not there or has expired */
/* FALSE: it has another type, and that was replied. */
gboolean mem_find (Mem *mem, MemCall *call, MemBytes key, MemType type, MemEntry **entry);
/* Makes an empty value; the key must not be there. */
MemEntry *mem_create (Mem *mem, MemBytes key, MemType type);
MemEntry *mem_create_string (Mem *mem, MemBytes key, MemBytes value);
void mem_delete (Mem *mem, MemEntry *entry);
/* Deletes a collection that became empty. */
void mem_delete_if_empty (Mem *mem, MemEntry *entry);
void mem_delete_all (Mem *mem);
void mem_value_free (Mem *mem, MemEntry *entry);
/* Gives the value of @from to the key @to, whose old value goes. */
void mem_rename (Mem *mem, MemEntry *from, MemBytes to);
void mem_changed (Mem *mem);

/* expire.c */
void mem_expire_set (Mem *mem, MemEntry *entry, gint64 expire_ms);
void mem_expire_clear (MemEntry *entry);
void mem_expire_forget (Mem *mem, MemEntry *entry); /* before it is freed */
void mem_expire_reset (Mem *mem);                   /* all keys are gone */
void mem_expire_stop (Mem *mem);

/* Commands of two words: FUNCTION LOAD, SCRIPT EXISTS. The table ends without a name. */
typedef struct {
  const char *name;      /* upper case */
  const char *full_name; /* `script|load` */
  gsize least, most;     /* arguments with both words */
  MemHandler run;
} MemSubcommand;
void mem_run_subcommand (Mem *mem, MemCall *call, const MemSubcommand *table,
                         const char *command);

/* arguments.c: FALSE means that an error was replied */
gboolean mem_arg_is (MemBytes arg, const char *upper);
gboolean mem_arg_int (MemCall *call, gsize index, gint64 *value);
gboolean mem_arg_int_error (MemCall *call, gsize index, gint64 *value, const char *error);
/* How many to take away: not below 0. */
gboolean mem_arg_count (MemCall *call, gsize index, gint64 *count);
/* Adds @delta and writes the sum; FALSE when it is no number, and the error is said. */
gboolean mem_add_float (MemCall *call, long double value, long double delta,
                        char text[MEM_LONG_DOUBLE_SIZE], gsize *size);
/* How many to draw at random. */
gboolean mem_arg_draws (MemCall *call, gsize index, gint64 *count);
gboolean mem_arg_double (MemCall *call, gsize index, double *value, const char *error);
void mem_wrong_arguments (MemCall *call);
void mem_syntax_error (MemCall *call);
/* From a range with negative ends to [*first, *last]; FALSE: empty. */
gboolean mem_clip (gint64 *first, gint64 *last, gsize count);

/* string.c */
/* Whether the bytes lie behind the key. */
gboolean mem_string_is_near (const MemEntry *entry);
void mem_string_free (Mem *mem, MemEntry *entry);
MemBytes mem_string_value (const MemEntry *entry);
void mem_string_set (Mem *mem, MemEntry *entry, MemBytes value);
char *mem_string_grow (Mem *mem, MemEntry *entry, gsize size);
#define MEM_STRING_MAX ((gsize) 512 * 1024 * 1024)
/* Elements that may be drawn with repetition in one call. */
#define MEM_RANDOM_MAX 1000000

/* hash.c, set.c */
MemField *mem_hash_set (Mem *mem, MemEntry *entry, MemBytes field, MemBytes value,
                        gboolean *is_new);
void mem_field_free (gpointer heap, MemNode *node);
gboolean mem_set_add (Mem *mem, MemEntry *entry, MemBytes member);

/* scan.c: HSCAN, SSCAN and ZSCAN; @emit writes an element and returns how many values. */
typedef guint (*MemEmit) (MemOut *out, MemNode *node);
void mem_scan_dict (Mem *mem, MemCall *call, const MemDict *dict, gsize options_at,
                    MemEmit emit);
