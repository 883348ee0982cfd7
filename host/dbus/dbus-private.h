/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parts of the management interface. All of it runs on the main loop and never blocks. */
#pragma once

#include "base/log-private.h"
#include "core/core.h"
#include "dbus/dbus.h"
#include "dbus/generated.h"

#define CH_DBUS_NAME "org.chargehost.Host1"
#define CH_DBUS_ROOT "/org/chargehost"
#define CH_DBUS_DEVICES CH_DBUS_ROOT "/device"
#define CH_DBUS_ORDERS CH_DBUS_ROOT "/order"
#define CH_DBUS_PLUGINS CH_DBUS_ROOT "/plugin"
#define CH_DBUS_TREE_MAX 256 /* larger fleets are not enumerated, but reached */

struct _ChDbus {
  ChServices *services;
  ChPlugin *self; /* the owner "dbus" */
  GDBusConnection *connection;
  GCancellable *cancellable; /* everything in flight on this connection */
  ChTimer retry;             /* the next attempt to connect */
  guint retry_ms;            /* and how long it waited, 0 after a success */
  gboolean told;             /* that there is no bus; said once */
  guint name_id;
  guint instance_id;
  guint owner_watch; /* NameOwnerChanged */
  gint64 started_ms;
  ChDbusDaemon daemon_table;
  gpointer daemon;
  gboolean is_system;
  /* objects */
  ChDbusHost1 *host;
  ChTimer fresh; /* refreshes its properties */
  GDBusObjectManagerServer *plugins;
  guint admin, device_tree, order_tree;
  GHashTable *credentials;   /* unique name → ChDbusCaller */
  GHashTable *subscriptions; /* unique name → GPtrArray of Follow */
  GPtrArray *traces;         /* of frames; see traces.c */
  /* events that were given to the connection but perhaps not yet to the bus */
  guint events_waiting, events_flushing;
  gboolean events_lost; /* said once */
};

/* ---- access.c: who may do what ---- */

typedef enum {
  CH_DBUS_READ = 0,         /* everybody; the answer depends on who asks */
  CH_DBUS_READ_PRIVATE = 1, /* orders and cards: the daemon's user, root, its group */
  CH_DBUS_CHANGE,           /* the same, or whom polkit allows */
} ChDbusRight;

/*
 * Goes on with @then when the caller may; otherwise the invocation is answered with
 * org.chargehost.Error.AccessDenied. @data is freed with @free_data in that case.
 */
typedef void (*ChDbusThen) (ChDbus *dbus, GDBusMethodInvocation *invocation,
                            gpointer data);
void ch_dbus_authorize (ChDbus *dbus, GDBusMethodInvocation *invocation,
                        ChDbusRight right, ChDbusThen then, gpointer data,
                        GDestroyNotify free_data);
/* Known after ch_dbus_authorize(): root, the daemon's user, its group. */
gboolean ch_dbus_caller_is_trusted (ChDbus *dbus, GDBusMethodInvocation *invocation);
/* For the audit log: "uid:1000" and "dbus Host1.Drain". (transfer full) */
char *ch_dbus_actor (ChDbus *dbus, GDBusMethodInvocation *invocation);
char *ch_dbus_action (GDBusMethodInvocation *invocation);
/* A change that was carried out goes into the audit log. @object: what was changed */
void ch_dbus_audit (ChDbus *dbus, GDBusMethodInvocation *invocation, const char *object);
/* The same with what was there and what is there now; both may be NULL. */
void ch_dbus_audit_change (ChDbus *dbus, GDBusMethodInvocation *invocation,
                           const char *object, const json_t *before, const json_t *after);

/* A change whose end comes later. */
typedef struct {
  ChDbus *dbus;
  GDBusMethodInvocation *invocation;
  char *object; /* what the audit log calls it */
} ChDbusChange;
ChDbusChange *ch_dbus_change_new (ChDbus *dbus, GDBusMethodInvocation *invocation,
                                  const char *object);
void ch_dbus_change_free (ChDbusChange *change);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChDbusChange, ch_dbus_change_free)
/* A ChCoreDone that answers with JSON and audits it; @change is a ChDbusChange (owned).
 */
void ch_dbus_changed (ChPlugin *self, const json_t *data, const GError *error,
                      gpointer change);
/* A caller left the bus. */
void ch_dbus_forget_caller (ChDbus *dbus, const char *sender);

/* ---- answers.c ---- */

/* Answers with org.chargehost.Error.InvalidParameter. */
void ch_dbus_return_invalid (GDBusMethodInvocation *invocation, const char *format, ...)
    G_GNUC_PRINTF (2, 3);
/* Answers and returns FALSE while the daemon starts or drains, as REST does. */
gboolean ch_dbus_may_change (ChDbus *dbus, GDBusMethodInvocation *invocation);
/* Answers with an error of the product: org.chargehost.Error.DeviceOffline and the like.
 */
void ch_dbus_return_error (GDBusMethodInvocation *invocation, const GError *error);
/* A ChCoreDone: answers "(s)" with JSON; @invocation is given as user_data (owned). */
void ch_dbus_return_json (ChPlugin *self, const json_t *data, const GError *error,
                          gpointer invocation);
/* Element of an object path for any text, and back. (transfer full) */
char *ch_dbus_escape (const char *text);
char *ch_dbus_unescape (const char *element); /* NULL when it is none */

/* ---- arguments.c: members of an a{sv} ---- */

typedef enum {
  CH_DBUS_INT, /* any integer type, within min and max */
  CH_DBUS_BOOL,
  CH_DBUS_TEXT, /* of min to max bytes; "" counts as absent */
  CH_DBUS_JSON, /* a JSON object as text, of at most max bytes */
} ChDbusKind;

typedef struct {
  const char *name; /* NULL ends a table */
  ChDbusKind kind;
  gint64 min, max;
} ChDbusOption;

/*
 * Checks @options against @table and gives them as a JSON object. Unknown names, other
 * types and values out of range are answered with InvalidParameter, as REST does, and
 * NULL is returned. (transfer full)
 */
json_t *ch_dbus_read_options (GDBusMethodInvocation *invocation, GVariant *options,
                              const ChDbusOption *table);

/* Any value that JSON has; NULL for others. (transfer full) */
json_t *ch_dbus_to_json (GVariant *value);

/* ---- the objects ---- */

/* backends.c; ChDbusThen for GetStoreStatus and GetKvStatus */
void ch_dbus_store_status (ChDbus *dbus, GDBusMethodInvocation *invocation,
                           gpointer data);
void ch_dbus_kv_status (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer data);
/* lists.c; ChDbusThen for ListDevices and ListOrders */
void ch_dbus_list_devices (ChDbus *dbus, GDBusMethodInvocation *invocation,
                           gpointer data);
void ch_dbus_list_orders (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer data);
/* Takes what tells of orders out of the JSON of a device. */
void ch_dbus_hide_orders (json_t *device);
gboolean ch_dbus_export_admin (ChDbus *dbus, GError **error);
gboolean ch_dbus_export_host (ChDbus *dbus, GError **error);
void ch_dbus_unexport_host (ChDbus *dbus);
void ch_dbus_export_plugins (ChDbus *dbus);
void ch_dbus_unexport_plugins (ChDbus *dbus);
/* A ChEventFunc for plugin.changed; @data: ChDbus */
void ch_dbus_plugin_changed (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                             gpointer data);
gboolean ch_dbus_export_devices (ChDbus *dbus, GError **error);
gboolean ch_dbus_export_orders (ChDbus *dbus, GError **error);
/* device-admin.c; ChDbusThen for RegisterDevice, and methods of Device1. */
void ch_dbus_register_device (ChDbus *dbus, GDBusMethodInvocation *invocation,
                              gpointer data);
void ch_dbus_change_device (ChDbus *dbus, ChDevice *device,
                            GDBusMethodInvocation *invocation);
void ch_dbus_retire_device (ChDbus *dbus, ChDevice *device,
                            GDBusMethodInvocation *invocation);
void ch_dbus_stop_port (ChDbus *dbus, ChDevice *device,
                        GDBusMethodInvocation *invocation);
/* device-calls.c; a ChDbusThen for every method of Device1. @id: owned */
void ch_dbus_device_call (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer id);
/* traces.c */
GPtrArray *ch_dbus_traces_new (void);
/* Trace of Device1. */
void ch_dbus_trace (ChDbus *dbus, ChDevice *device, GDBusMethodInvocation *invocation);
/* @sender (nullable): all */
void ch_dbus_forget_traces (ChDbus *dbus, const char *sender);
/* events.c */
/* Whether the bus takes one more signal; to be told of every one that is given to it. */
gboolean ch_dbus_has_room (ChDbus *dbus);
void ch_dbus_sent (ChDbus *dbus);
void ch_dbus_follow (ChDbus *dbus, GDBusMethodInvocation *invocation, const char *pattern,
                     const char *device);
void ch_dbus_unfollow (ChDbus *dbus, const char *sender, const char *pattern,
                       const char *device);
/* The connection has gone, and with it all that waited and all who followed. */
void ch_dbus_forget_events (ChDbus *dbus);
void ch_dbus_forget_follower (ChDbus *dbus, const char *sender);
