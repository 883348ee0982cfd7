/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Error domains and codes that a caller can act on. */
#pragma once

#include <chargehost/types.h>

G_BEGIN_DECLS

/**
 * ChConfigError: what is wrong with the configuration. Messages name file and line.
 */
#define CH_CONFIG_ERROR (ch_config_error_quark ())
GQuark ch_config_error_quark (void);
typedef enum {
  CH_CONFIG_ERROR_FAILED = 0,
  CH_CONFIG_ERROR_SYNTAX,      /* not YAML, too deep, too large, duplicate key */
  CH_CONFIG_ERROR_UNKNOWN_KEY, /* no part declares this key */
  CH_CONFIG_ERROR_BAD_VALUE,   /* type, range or choice */
  CH_CONFIG_ERROR_IO,
} ChConfigError;

/**
 * ChPluginError: why a plugin was refused or failed.
 */
#define CH_PLUGIN_ERROR (ch_plugin_error_quark ())
GQuark ch_plugin_error_quark (void);
typedef enum {
  CH_PLUGIN_ERROR_FAILED = 0,
  CH_PLUGIN_ERROR_NOT_FOUND,
  CH_PLUGIN_ERROR_UNTRUSTED,  /* owner or mode of the file */
  CH_PLUGIN_ERROR_NO_NOTE,    /* no ABI note: not a plugin of this host */
  CH_PLUGIN_ERROR_ABI_MAJOR,  /* built for another major */
  CH_PLUGIN_ERROR_ABI_MINOR,  /* built for a newer minor */
  CH_PLUGIN_ERROR_WRONG_NAME, /* descriptor and file name differ */
  CH_PLUGIN_ERROR_NO_SYMBOL,  /* entry function is missing */
  CH_PLUGIN_ERROR_UNRESOLVED, /* the dynamic linker refused it */
  CH_PLUGIN_ERROR_BAD_DESCRIPTOR,
  CH_PLUGIN_ERROR_DUPLICATE, /* registered twice */
  CH_PLUGIN_ERROR_MISSING_INTERFACE,
  CH_PLUGIN_ERROR_STATE, /* not possible in its present state */
  CH_PLUGIN_ERROR_QUARANTINED,
  CH_PLUGIN_ERROR_CRASHED, /* crashed in the scanner */
} ChPluginError;

/**
 * ChStoreError: outcome of a store call, the same for every driver.
 */
#define CH_STORE_ERROR (ch_store_error_quark ())
GQuark ch_store_error_quark (void);
typedef enum {
  CH_STORE_ERROR_FAILED = 0,
  CH_STORE_ERROR_BUSY,        /* queue in front of the pool is full: retry later */
  CH_STORE_ERROR_UNAVAILABLE, /* no connection, database is gone or read-only */
  CH_STORE_ERROR_TIMEOUT,     /* deadline passed; outcome unknown for writes in flight */
  CH_STORE_ERROR_GUARD,       /* a row count did not hold: rolled back */
  CH_STORE_ERROR_UNIQUE,      /* unique violation: rolled back */
  CH_STORE_ERROR_FOREIGN_KEY,
  CH_STORE_ERROR_CHECK,         /* check or not-null constraint */
  CH_STORE_ERROR_SERIALIZATION, /* may be retried as a whole */
  CH_STORE_ERROR_DEADLOCK,      /* may be retried as a whole */
  CH_STORE_ERROR_LOCKED,        /* lock time-out, or another process holds the database */
  CH_STORE_ERROR_DISK_FULL,
  CH_STORE_ERROR_CORRUPT,
  CH_STORE_ERROR_MIGRATION, /* changed checksum, newer version, gap */
  CH_STORE_ERROR_USAGE,     /* unknown statement, parameter not bound, … */
  CH_STORE_ERROR_CANCELLED, /* its owner stopped */
} ChStoreError;

/**
 * ChKvError: failures of the kv itself. An error that the server answers is a
 * #ChKvReply of kind %CH_KV_REPLY_ERROR instead.
 */
#define CH_KV_ERROR (ch_kv_error_quark ())
GQuark ch_kv_error_quark (void);
typedef enum {
  CH_KV_ERROR_FAILED = 0,
  CH_KV_ERROR_UNAVAILABLE, /* not executed: no connection, no primary, loading */
  CH_KV_ERROR_BUSY,        /* not executed: queue full, a long script, out of memory */
  CH_KV_ERROR_TIMEOUT,
  CH_KV_ERROR_SERVER, /* the reply was an error; text as Redis words it */
  CH_KV_ERROR_USAGE,
  CH_KV_ERROR_CANCELLED,
  CH_KV_ERROR_OUTCOME_UNKNOWN, /* sent, then the connection was lost: done or not */
} ChKvError;

/**
 * ChCoreError: refusals of the core. The value is the product's error code of
 * gateway 7.3; its first three digits are the HTTP status.
 */
#define CH_CORE_ERROR (ch_core_error_quark ())
GQuark ch_core_error_quark (void);
typedef enum {
  CH_CORE_ERROR_ORDER_IS_CHARGING = 40001,
  CH_CORE_ERROR_ORDER_NOT_CANCELLABLE = 40002,
  CH_CORE_ERROR_ORDER_NOT_STOPPABLE = 40003,
  CH_CORE_ERROR_INVALID_PARAMETER = 40010,
  CH_CORE_ERROR_SOCKET_UID_MISMATCH = 40011,
  CH_CORE_ERROR_UNSUPPORTED_BY_DEVICE = 40012,
  CH_CORE_ERROR_DEVICE_BLOCKED = 40306,
  CH_CORE_ERROR_DEVICE_NOT_FOUND = 40401,
  CH_CORE_ERROR_PORT_NOT_FOUND = 40402,
  CH_CORE_ERROR_ORDER_NOT_FOUND = 40403,
  CH_CORE_ERROR_SOCKET_NOT_FOUND = 40404,
  CH_CORE_ERROR_COMMAND_NOT_FOUND = 40407,
  CH_CORE_ERROR_PORT_OCCUPIED = 40901,
  CH_CORE_ERROR_ORDER_FINISHED = 40902,
  CH_CORE_ERROR_PORT_STATE_INCONSISTENT = 40903,
  CH_CORE_ERROR_ORDER_NO_CONFLICT = 40904,
  CH_CORE_ERROR_ORDER_STATE_CHANGED = 40906,
  CH_CORE_ERROR_PORT_RESERVED = 40909,
  CH_CORE_ERROR_COMMAND_REJECTED = 40910,
  CH_CORE_ERROR_QUEUE_OVERLOADED = 42901,
  CH_CORE_ERROR_INTERNAL = 50001,
  CH_CORE_ERROR_DEVICE_OFFLINE = 50301,
  CH_CORE_ERROR_DEVICE_HEARTBEAT_TIMEOUT = 50302,
  CH_CORE_ERROR_DEVICE_FAULT = 50303,
  CH_CORE_ERROR_PORT_FAULT = 50304,
  CH_CORE_ERROR_STORE_UNAVAILABLE = 50305,
  CH_CORE_ERROR_STARTING_OR_DRAINING = 50306,
  CH_CORE_ERROR_OVERLOADED = 50307,
} ChCoreError;

G_END_DECLS
