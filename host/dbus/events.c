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
/* A bus that does not read must not fill our memory. */
#define MAX_WAITING 20000
#define FLUSH_AFTER 500

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
  static const char *const beginnings[] = {"order.", "card.", "command."};
  for (guint i = 0; i < G_N_ELEMENTS (beginnings); i++)
    if (g_str_has_prefix (topic, beginnings[i]))
      return TRUE;
  return FALSE;
}

/* @fields (transfer floating): without those that tell of orders and cards */
static GVariant *hide_orders (GVariant *fields)
{
  g_autoptr (GVariant) all = g_variant_ref_sink (fields);
  GVariantDict kept;
  g_variant_dict_init (&kept, all);
  g_variant_dict_remove (&kept, "order_no");
  g_variant_dict_remove (&kept, "active_orders");
  g_variant_dict_remove (&kept, "card_no");
  return g_variant_dict_end (&kept);
}

static void flush (ChDbus *dbus);

static void flushed (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GError) error = NULL;
  if (!g_dbus_connection_flush_finish (G_DBUS_CONNECTION (source), result, &error))
    return; /* the connection has gone; @data may be gone, too */
  ChDbus *dbus = data;
  if (dbus->connection != G_DBUS_CONNECTION (source))
    return;
  dbus->events_waiting -= dbus->events_flushing;
  dbus->events_flushing = 0;
  dbus->events_lost = FALSE;
  if (dbus->events_waiting >= FLUSH_AFTER)
    flush (dbus);
}

/* Learns how far the bus has read. */
static void flush (ChDbus *dbus)
{
  dbus->events_flushing = dbus->events_waiting;
  g_dbus_connection_flush (dbus->connection, dbus->cancellable, flushed, dbus);
}

/* Whether one more event may be given to the connection. */
gboolean ch_dbus_has_room (ChDbus *dbus)
{
  if (dbus->events_waiting < MAX_WAITING)
    return TRUE;
  if (!dbus->events_lost)
    ch_warning (dbus->self, "the message bus does not read: events are left out");
  dbus->events_lost = TRUE;
  return FALSE;
}

void ch_dbus_sent (ChDbus *dbus)
{
  if (++dbus->events_waiting >= FLUSH_AFTER && dbus->events_flushing == 0)
    flush (dbus);
}

static void on_event (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                      gpointer data)
{
  Follow *follow = data;
  ChDbus *dbus = follow->dbus;
  if ((is_private (topic->name) && !follow->trusted) || !ch_dbus_has_room (dbus))
    return;
  GVariant *fields = ch_event_to_variant (topic, event);
  if (!follow->trusted)
    fields = hide_orders (fields);
  g_dbus_connection_emit_signal (
      dbus->connection, follow->sender, CH_DBUS_ROOT, "org.chargehost.Host1", "Event",
      g_variant_new ("(ss@a{sv})", topic->name, event->device, fields), NULL);
  ch_dbus_sent (dbus);
}

static GPtrArray *follows_of (ChDbus *dbus, const char *sender)
{
  GPtrArray *follows = g_hash_table_lookup (dbus->subscriptions, sender);
  if (follows == NULL) {
    follows = g_ptr_array_new_with_free_func (follow_free);
    g_hash_table_insert (dbus->subscriptions, g_strdup (sender), follows);
  }
  return follows;
}

static void begin (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer data)
{
  const char *sender = g_dbus_method_invocation_get_sender (invocation);
  const char *pattern, *device;
  GPtrArray *follows = follows_of (dbus, sender);

  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(&s&s)", &pattern,
                 &device);
  if (follows->len >= MAX_FOLLOWS) {
    g_dbus_method_invocation_return_error (invocation, G_DBUS_ERROR,
                                           G_DBUS_ERROR_LIMITS_EXCEEDED,
                                           "at most %d subscriptions", MAX_FOLLOWS);
    return;
  }
  Follow *follow = g_new0 (Follow, 1);
  ChFilter filter = {.device = *device != '\0' ? device : NULL};
  follow->dbus = dbus;
  follow->sender = g_strdup (sender);
  follow->pattern = g_strdup (pattern);
  follow->device = g_strdup (device);
  follow->trusted = ch_dbus_caller_is_trusted (dbus, invocation);
  follow->subscription = ch_subscribe (
      dbus->self, pattern, filter.device != NULL ? &filter : NULL, on_event, follow);
  g_ptr_array_add (follows, follow);
  g_dbus_method_invocation_return_value (invocation, NULL);
}

/* Whether every topic that the pattern can match is free for all. */
static gboolean is_public_pattern (const char *pattern)
{
  return strchr (pattern, '.') != NULL && !is_private (pattern);
}

static gboolean is_word (const char *text)
{
  return g_ascii_islower (*text)
         && text[strspn (text, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

/* "order.ended", "order.*" or "*". */
static gboolean is_pattern (const char *text)
{
  if (g_str_equal (text, "*"))
    return TRUE;
  if (strlen (text) > 63)
    return FALSE;
  g_auto (GStrv) words = g_strsplit (text, ".", -1);
  guint n = g_strv_length (words);
  for (guint i = 0; i < n; i++)
    if (!is_word (words[i]) && !(i == n - 1 && g_str_equal (words[i], "*")))
      return FALSE;
  return n >= 2;
}

void ch_dbus_follow (ChDbus *dbus, GDBusMethodInvocation *invocation, const char *pattern,
                     const char *device)
{
  if (!is_pattern (pattern))
    ch_dbus_return_invalid (invocation,
                            "the pattern is no topic, not like order.* and not *");
  else if (*device != '\0' && !ch_device_id_is_valid (device))
    ch_dbus_return_invalid (invocation, "the device id is malformed");
  else
    ch_dbus_authorize (dbus, invocation,
                       is_public_pattern (pattern) ? CH_DBUS_READ : CH_DBUS_READ_PRIVATE,
                       begin, NULL, NULL);
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

void ch_dbus_forget_events (ChDbus *dbus)
{
  g_hash_table_remove_all (dbus->subscriptions);
  dbus->events_waiting = dbus->events_flushing = 0;
  dbus->events_lost = FALSE;
}
