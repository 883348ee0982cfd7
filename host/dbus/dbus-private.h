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
  GCancellable *cancellable; /* everything in flight */
  guint name_id;
  guint owner_watch; /* NameOwnerChanged */
  gint64 started_ms;
  ChDbusDaemon daemon_table;
  gpointer daemon;
  gboolean is_system;
  /* objects */
  ChDbusHost1 *host;
  GDBusObjectManagerServer *plugins;
  guint device_tree, order_tree;
  GHashTable *credentials;   /* unique name → ChDbusCaller */
  GHashTable *subscriptions; /* unique name → GPtrArray of Follow */
};

/* ---- access.c: who may do what ---- */

typedef enum {
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
/* A caller left the bus. */
void ch_dbus_forget_caller (ChDbus *dbus, const char *sender);

/* ---- answers.c ---- */

/* Answers with an error of the product: org.chargehost.Error.DeviceOffline and the like.
 */
void ch_dbus_return_error (GDBusMethodInvocation *invocation, const GError *error);
/* A ChCoreDone: answers "(s)" with JSON; @invocation is given as user_data (owned). */
void ch_dbus_return_json (ChPlugin *self, const json_t *data, const GError *error,
                          gpointer invocation);
/* Element of an object path for any text, and back. (transfer full) */
char *ch_dbus_escape (const char *text);
char *ch_dbus_unescape (const char *element); /* NULL when it is none */

/* ---- the objects ---- */

gboolean ch_dbus_export_host (ChDbus *dbus, GError **error);
void ch_dbus_unexport_host (ChDbus *dbus);
void ch_dbus_export_plugins (ChDbus *dbus);
void ch_dbus_unexport_plugins (ChDbus *dbus);
gboolean ch_dbus_export_devices (ChDbus *dbus, GError **error);
gboolean ch_dbus_export_orders (ChDbus *dbus, GError **error);
/* events.c */
void ch_dbus_follow (ChDbus *dbus, GDBusMethodInvocation *invocation, const char *pattern,
                     const char *device);
void ch_dbus_unfollow (ChDbus *dbus, const char *sender, const char *pattern,
                       const char *device);
void ch_dbus_forget_follower (ChDbus *dbus, const char *sender);
