/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may do what: reading is free for local users; orders, cards and every change are
 * for root, the daemon's user and its group, and changes also for whom polkit allows. The
 * bus daemon tells who a caller is; that is asked once per caller and never waited for.
 */
#include "dbus/dbus-private.h"
#include "http/http.h"
#include <chargehost/json.h>

#include <string.h>
#include <unistd.h>

typedef struct {
  guint32 uid; /* G_MAXUINT32: not known */
  gboolean in_group;
} ChDbusCaller;

typedef struct {
  ChDbus *dbus;
  GDBusMethodInvocation *invocation;
  ChDbusRight right;
  ChDbusThen then;
  gpointer data;
  GDestroyNotify free_data;
} Question;

/* The connection has gone: nobody waits for an answer. */
static void forget (Question *q)
{
  if (q->free_data != NULL)
    q->free_data (q->data);
  g_object_unref (q->invocation);
  g_free (q);
}

static void finish (Question *q, gboolean allowed)
{
  if (allowed || q->right == CH_DBUS_READ)
    q->then (q->dbus, q->invocation, q->data);
  else {
    if (q->free_data != NULL)
      q->free_data (q->data);
    g_dbus_method_invocation_return_dbus_error (
        q->invocation, "org.chargehost.Error.AccessDenied",
        "only for root, the daemon's user and the members of its group");
  }
  g_free (q);
}

static gboolean is_trusted (const ChDbusCaller *caller)
{
  return caller->uid == 0 || caller->uid == geteuid () || caller->in_group;
}

/* ---- polkit ---- */

static void polkit_answered (GObject *source, GAsyncResult *result, gpointer data)
{
  Question *q = data;
  gboolean allowed = FALSE;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer
      = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    forget (q);
    return;
  }
  if (answer != NULL)
    g_variant_get (answer, "((bb@a{ss}))", &allowed, NULL, NULL);
  finish (q, allowed);
}

static void ask_polkit (Question *q)
{
  GVariantBuilder subject, details;
  const char *sender = g_dbus_method_invocation_get_sender (q->invocation);

  g_variant_builder_init (&subject, G_VARIANT_TYPE ("a{sv}"));
  g_variant_builder_add (&subject, "{sv}", "name", g_variant_new_string (sender));
  g_variant_builder_init (&details, G_VARIANT_TYPE ("a{ss}"));
  g_dbus_connection_call (q->dbus->connection, "org.freedesktop.PolicyKit1",
                          "/org/freedesktop/PolicyKit1/Authority",
                          "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization",
                          g_variant_new ("((sa{sv})sa{ss}us)", "system-bus-name",
                                         &subject, "org.chargehost.manage", &details, 1u,
                                         ""),
                          G_VARIANT_TYPE ("((bba{ss}))"), G_DBUS_CALL_FLAGS_NONE, 60000,
                          q->dbus->cancellable, polkit_answered, q);
}

static void decide (Question *q, const ChDbusCaller *caller)
{
  if (is_trusted (caller))
    finish (q, TRUE);
  else if (q->right == CH_DBUS_CHANGE && q->dbus->is_system)
    ask_polkit (q);
  else
    finish (q, FALSE);
}

/* ---- credentials ---- */

static ChDbusCaller *read_caller (GVariant *answer)
{
  ChDbusCaller *caller = g_new0 (ChDbusCaller, 1);
  g_autoptr (GVariant) table = g_variant_get_child_value (answer, 0);
  g_autoptr (GVariant) groups
      = g_variant_lookup_value (table, "UnixGroupIDs", G_VARIANT_TYPE ("au"));

  if (!g_variant_lookup (table, "UnixUserID", "u", &caller->uid))
    caller->uid = G_MAXUINT32;
  if (groups != NULL) {
    gsize n = 0;
    const guint32 *ids = g_variant_get_fixed_array (groups, &n, sizeof *ids);
    for (gsize i = 0; i < n; i++)
      if (ids[i] == getegid ())
        caller->in_group = TRUE;
  }
  return caller;
}

static void got_credentials (GObject *source, GAsyncResult *result, gpointer data)
{
  Question *q = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer
      = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    forget (q);
    return;
  }
  if (answer == NULL) {
    finish (q, FALSE);
    return;
  }
  ChDbusCaller *caller = read_caller (answer);
  g_hash_table_replace (q->dbus->credentials,
                        g_strdup (g_dbus_method_invocation_get_sender (q->invocation)),
                        caller);
  decide (q, caller);
}

void ch_dbus_authorize (ChDbus *dbus, GDBusMethodInvocation *invocation,
                        ChDbusRight right, ChDbusThen then, gpointer data,
                        GDestroyNotify free_data)
{
  const char *sender = g_dbus_method_invocation_get_sender (invocation);
  const ChDbusCaller *known = g_hash_table_lookup (dbus->credentials, sender);
  Question *q = g_new0 (Question, 1);
  *q = (Question) {dbus, invocation, right, then, data, free_data};

  if (known != NULL) {
    decide (q, known);
    return;
  }
  g_dbus_connection_call (dbus->connection, "org.freedesktop.DBus",
                          "/org/freedesktop/DBus", "org.freedesktop.DBus",
                          "GetConnectionCredentials", g_variant_new ("(s)", sender),
                          G_VARIANT_TYPE ("(a{sv})"), G_DBUS_CALL_FLAGS_NONE, 5000,
                          dbus->cancellable, got_credentials, q);
}

static const ChDbusCaller *caller_of (ChDbus *dbus, GDBusMethodInvocation *invocation)
{
  return g_hash_table_lookup (dbus->credentials,
                              g_dbus_method_invocation_get_sender (invocation));
}

gboolean ch_dbus_caller_is_trusted (ChDbus *dbus, GDBusMethodInvocation *invocation)
{
  const ChDbusCaller *caller = caller_of (dbus, invocation);
  return caller != NULL && is_trusted (caller);
}

char *ch_dbus_actor (ChDbus *dbus, GDBusMethodInvocation *invocation)
{
  const ChDbusCaller *caller = caller_of (dbus, invocation);
  return caller != NULL && caller->uid != G_MAXUINT32
             ? g_strdup_printf ("uid:%u", caller->uid)
             : g_strdup ("uid:unknown");
}

char *ch_dbus_action (GDBusMethodInvocation *invocation)
{
  const char *interface = g_dbus_method_invocation_get_interface_name (invocation);
  return g_strdup_printf ("dbus %s.%s", strrchr (interface, '.') + 1,
                          g_dbus_method_invocation_get_method_name (invocation));
}

void ch_dbus_audit_change (ChDbus *dbus, GDBusMethodInvocation *invocation,
                           const char *object, const json_t *before, const json_t *after)
{
  g_autofree char *action = ch_dbus_action (invocation);
  g_autofree char *actor = ch_dbus_actor (dbus, invocation);
  g_autofree char *old = json_is_object (before) ? ch_json_dump (before) : NULL;
  g_autofree char *new = json_is_object (after) ? ch_json_dump (after) : NULL;
  ch_http_audit (dbus->services->http, actor, NULL, action, object, NULL, old, new);
}

void ch_dbus_audit (ChDbus *dbus, GDBusMethodInvocation *invocation, const char *object)
{
  ch_dbus_audit_change (dbus, invocation, object, NULL, NULL);
}

ChDbusChange *ch_dbus_change_new (ChDbus *dbus, GDBusMethodInvocation *invocation,
                                  const char *object)
{
  ChDbusChange *change = g_new (ChDbusChange, 1);
  *change = (ChDbusChange) {dbus, invocation, g_strdup (object)};
  return change;
}

void ch_dbus_change_free (ChDbusChange *change)
{
  g_free (change->object);
  g_free (change);
}

void ch_dbus_changed (ChPlugin *self, const json_t *data, const GError *error,
                      gpointer user_data)
{
  g_autoptr (ChDbusChange) change = user_data;
  if (error == NULL)
    ch_dbus_audit_change (change->dbus, change->invocation, change->object, NULL, data);
  ch_dbus_return_json (self, data, error, change->invocation);
}

void ch_dbus_forget_caller (ChDbus *dbus, const char *sender)
{
  g_hash_table_remove (dbus->credentials, sender);
}
