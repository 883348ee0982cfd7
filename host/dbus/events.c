/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events as signals, only to those who asked, only as long as they are on the bus:
 * nothing is built when nobody listens. Orders and cards are followed by the daemon's
 * group alone.
 */
#include "dbus/dbus-private.h"
#include <chargehost/id.h>

#include <string.h>

#define MAX_FOLLOWS 32 /* of one caller */

typedef struct {
  ChDbus *dbus;
  char *sender;
  char *pattern;
  char *device;
  gboolean trusted; /* may see orders and cards */
  ChSubscription subscription;
} Follow;

static void follow_free (gpointer data)
{
  Follow *follow = data;
  ch_unsubscribe (follow->dbus->self, &follow->subscription);
  g_free (follow->sender);
  g_free (follow->pattern);
  g_free (follow->device);
  g_free (follow);
}

static gboolean is_private (const char *topic)
{
  return g_str_has_prefix (topic, "order.") || g_str_has_prefix (topic, "card.");
}

static void on_event (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                      gpointer data)
{
  Follow *follow = data;
  if (is_private (topic->name) && !follow->trusted)
    return;
  g_dbus_connection_emit_signal (follow->dbus->connection, follow->sender, CH_DBUS_ROOT,
                                 "org.chargehost.Host1", "Event",
                                 g_variant_new ("(ss@a{sv})", topic->name, event->device,
                                                ch_event_to_variant (topic, event)),
                                 NULL);
}

static void begin (ChDbus *dbus, const char *sender, const char *pattern,
                   const char *device, gboolean trusted)
{
  GPtrArray *follows = g_hash_table_lookup (dbus->subscriptions, sender);
  if (follows == NULL) {
    follows = g_ptr_array_new_with_free_func (follow_free);
    g_hash_table_insert (dbus->subscriptions, g_strdup (sender), follows);
  }
  if (follows->len >= MAX_FOLLOWS)
    return;
  Follow *follow = g_new0 (Follow, 1);
  ChFilter filter = {.device = *device != '\0' ? device : NULL};
  follow->dbus = dbus;
  follow->sender = g_strdup (sender);
  follow->pattern = g_strdup (pattern);
  follow->device = g_strdup (device);
  follow->trusted = trusted;
  follow->subscription = ch_subscribe (
      dbus->self, pattern, filter.device != NULL ? &filter : NULL, on_event, follow);
  g_ptr_array_add (follows, follow);
}

typedef struct {
  char *pattern;
  char *device;
} Wish;

static void wish_free (gpointer data)
{
  Wish *wish = data;
  g_free (wish->pattern);
  g_free (wish->device);
  g_free (wish);
}

static void allowed (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer data)
{
  Wish *wish = data;
  begin (dbus, g_dbus_method_invocation_get_sender (invocation), wish->pattern,
         wish->device, TRUE);
  g_dbus_method_invocation_return_value (invocation, NULL);
  wish_free (wish);
}

/* Whether every topic that the pattern can match is free for all. */
static gboolean is_public_pattern (const char *pattern)
{
  return strchr (pattern, '.') != NULL && !is_private (pattern);
}

void ch_dbus_follow (ChDbus *dbus, GDBusMethodInvocation *invocation, const char *pattern,
                     const char *device)
{
  const char *sender = g_dbus_method_invocation_get_sender (invocation);
  if (*pattern == '\0' || strlen (pattern) > 64
      || (*device != '\0' && !ch_device_id_is_valid (device))) {
    g_dbus_method_invocation_return_dbus_error (invocation,
                                                "org.chargehost.Error.InvalidParameter",
                                                "pattern or device is malformed");
    return;
  }
  if (is_public_pattern (pattern)) {
    begin (dbus, sender, pattern, device, FALSE);
    g_dbus_method_invocation_return_value (invocation, NULL);
    return;
  }
  Wish *wish = g_new0 (Wish, 1);
  wish->pattern = g_strdup (pattern);
  wish->device = g_strdup (device);
  ch_dbus_authorize (dbus, invocation, CH_DBUS_READ_PRIVATE, allowed, wish, wish_free);
}

void ch_dbus_unfollow (ChDbus *dbus, const char *sender, const char *pattern,
                       const char *device)
{
  GPtrArray *follows = g_hash_table_lookup (dbus->subscriptions, sender);
  for (guint i = 0; follows != NULL && i < follows->len; i++) {
    Follow *follow = g_ptr_array_index (follows, i);
    if (g_str_equal (follow->pattern, pattern) && g_str_equal (follow->device, device)) {
      g_ptr_array_remove_index (follows, i);
      return;
    }
  }
}

void ch_dbus_forget_follower (ChDbus *dbus, const char *sender)
{
  g_hash_table_remove (dbus->subscriptions, sender);
}
