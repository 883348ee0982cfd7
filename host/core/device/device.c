/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of devices and sockets in memory. Their rows: device-store.c; ports: port.c. */
#include "core/device/device.h"
#include "core/device/device-admin.h"
#include "core/fact/facts.h"
#include "core/session/session.h"
#include "plugin/plugins.h"
#include <chargehost/clock.h>
#include <chargehost/slab.h>

#include <string.h>

ChDevice *ch_device_find (ChCore *core, const char *id)
{
  return id != NULL ? g_hash_table_lookup (core->devices, id) : NULL;
}

ChDevice *ch_device_add (ChCore *core, const char *id)
{
  gsize size = strlen (id) + 1;
  ChDevice *device = ch_slab_alloc0 (core->self, sizeof (ChDevice) + size);
  memcpy (device->id, id, size);
  device->core = core;
  device->protocol = "";
  device->rssi = G_MININT16;
  device->port_count = -1;
  device->created_at = ch_wall_ms (core->self);
  device->orders_known = !ch_sessions_are_several (core->sessions);
  g_hash_table_insert (core->devices, device->id, device);
  return device;
}

void ch_device_set_text (ChCore *core, char **field, const char *text)
{
  ch_slab_strfree (core->self, *field);
  *field = ch_slab_strdup (core->self, text);
}

void ch_device_share_text (ChCore *core, char **field, const char *text)
{
  char *old = *field;

  *field = text != NULL ? g_ref_string_new_intern (text) : NULL;
  g_clear_pointer (&old, g_ref_string_release);
}

gpointer ch_device_insert (ChCore *core, gpointer array, gsize size, guint n, guint at)
{
  guint8 *larger = ch_slab_alloc (core->self, size * (n + 1));

  if (at > 0)
    memcpy (larger, array, size * at);
  if (at < n)
    memcpy (larger + size * (at + 1), (guint8 *) array + size * at, size * (n - at));
  ch_slab_free (core->self, array, size * n);
  return larger;
}

void ch_device_free (ChDevice *device)
{
  ChCore *core = device->core;
  ChReactor *reactor = core->services->reactor;

  ch_facts_discard (device);
  if (reactor != NULL)
    ch_wheel_cancel (reactor, &device->liveness);
  ch_slab_free (core->self, device->contest, sizeof (ChContest));
  for (guint i = 0; i < device->n_sockets; i++)
    g_free (device->sockets[i].uid);
  g_clear_pointer (&device->orders, g_ptr_array_unref);
  ch_slab_free (core->self, device->ports, device->n_ports * sizeof *device->ports);
  g_free (device->sockets);
  ch_device_set_text (core, &device->iccid, NULL);
  ch_device_set_text (core, &device->imei, NULL);
  ch_device_share_text (core, &device->model, NULL);
  ch_device_share_text (core, &device->firmware, NULL);
  ch_device_share_text (core, &device->device_type, NULL);
  ch_device_set_text (core, &device->tags, NULL);
  g_free (device->elsewhere);
  ch_slab_free (core->self, device, sizeof (ChDevice) + strlen (device->id) + 1);
}

/* ---- names ---- */

static const char *const LIFECYCLES[] = {"active", "maintenance", "decommissioned"};
static const char *const ENROLMENTS[] = {"auto", "registered", "blocked"};

const char *ch_lifecycle_name (gint lifecycle)
{
  return LIFECYCLES[CLAMP (lifecycle, 0, 2)];
}

const char *ch_enrolment_name (gint enrolment)
{
  return ENROLMENTS[CLAMP (enrolment, 0, 2)];
}

static gboolean parse (const char *const *names, const char *name, gint *value)
{
  for (gint i = 0; i < 3; i++)
    if (g_strcmp0 (names[i], name) == 0) {
      *value = i;
      return TRUE;
    }
  return FALSE;
}

gboolean ch_lifecycle_parse (const char *name, gint *lifecycle)
{
  return parse (LIFECYCLES, name, lifecycle);
}

gboolean ch_enrolment_parse (const char *name, gint *enrolment)
{
  return parse (ENROLMENTS, name, enrolment);
}

/* ---- parts ---- */

ChSocket *ch_device_socket (ChDevice *device, gint socket_no, gboolean create)
{
  guint at = 0;
  while (at < device->n_sockets && device->sockets[at].socket_no < socket_no)
    at++;
  if (at < device->n_sockets && device->sockets[at].socket_no == socket_no)
    return &device->sockets[at];
  if (!create || socket_no < 1 || socket_no > 250)
    return NULL;

  device->sockets = g_renew (ChSocket, device->sockets, device->n_sockets + 1);
  memmove (&device->sockets[at + 1], &device->sockets[at],
           (device->n_sockets - at) * sizeof *device->sockets);
  device->n_sockets++;
  device->sockets[at]
      = (ChSocket) {.socket_no = (gint16) socket_no, .channel = -1, .signal = G_MININT16};
  return &device->sockets[at];
}

void ch_device_remove_socket (ChDevice *device, gint socket_no)
{
  for (guint i = 0; i < device->n_sockets; i++)
    if (device->sockets[i].socket_no == socket_no) {
      g_free (device->sockets[i].uid);
      memmove (&device->sockets[i], &device->sockets[i + 1],
               (device->n_sockets - i - 1) * sizeof *device->sockets);
      device->n_sockets--;
      return;
    }
}

gsize ch_device_sockets (ChPlugin *self, const char *id, gint *sockets, gsize max)
{
  ChDevice *device = ch_device_find (ch_core_of (self), id);
  if (device == NULL)
    return 0;
  gsize n = MIN (device->n_sockets, max);
  for (gsize i = 0; i < n; i++)
    sockets[i] = device->sockets[i].socket_no;
  return n;
}

void ch_device_session_lost (ChDevice *device)
{
  for (guint i = 0; i < device->n_ports; i++) {
    device->ports[i].snapshot_ms = 0;
    device->ports[i].unsolicited_ms = 0;
    ch_port_set_status (device, &device->ports[i], CH_PORT_OFFLINE, "session_lost");
  }
}

/* What may be missing: address, title, message, metadata. */
void ch_core_alarm (ChCore *core, const char *id, gint socket_no, gint port_no,
                    const char *code, ChAlarmLevel level, gboolean active,
                    const char *title, const char *message, const json_t *metadata)
{
  static const char *const levels[] = {"Info", "Warning", "Minor", "Major", "Critical"};
  if (!ch_topic_is_heard (core->topics.alarm_reported))
    return;

  g_autofree char *text = metadata != NULL ? json_dumps (metadata, JSON_COMPACT) : NULL;
  gsize blob = text != NULL ? MIN (strlen (text), 4096) : 0;
  g_autofree ChAlarmReportedEvent *event = g_malloc0 (sizeof *event + blob);
  event->event.time_ms = ch_wall_ms (core->self);
  event->event.socket_no = (gint16) socket_no;
  event->event.port_no = (gint16) port_no;
  event->event.blob_size = (guint32) blob;
  g_strlcpy (event->event.device, id, sizeof event->event.device);
  g_autofree char *escaped = g_uri_escape_string (id, NULL, FALSE);
  g_snprintf (event->source, sizeof event->source, "device:%s", escaped);
  if (socket_no >= 0)
    g_snprintf (event->source + strlen (event->source),
                sizeof event->source - strlen (event->source), ":%d:%d", socket_no,
                port_no);
  g_strlcpy (event->code, code, sizeof event->code);
  g_strlcpy (event->level, levels[CLAMP (level, 0, 4)], sizeof event->level);
  g_strlcpy (event->title, title != NULL ? title : code, sizeof event->title);
  g_strlcpy (event->message, message != NULL ? message : "", sizeof event->message);
  event->active = active;
  if (blob > 0)
    memcpy (event + 1, text, blob);
  ch_publish (core->topics.alarm_reported, &event->event);
}

static const ChProtocolProperties DEFAULTS = {CH_PROTOCOL_DEFAULTS};

const ChProtocolProperties *ch_device_props (ChDevice *device)
{
  ChServices *services = device->core->services;
  if (device->props != NULL)
    return device->props;
  if (services->plugins == NULL || services->gateway == NULL || *device->protocol == '\0')
    return &DEFAULTS;

  g_autoptr (GPtrArray) names = ch_plugins_names (services->plugins);
  for (guint i = 0; i < names->len; i++) {
    ChPlugin *plugin = ch_plugins_peek (services->plugins, g_ptr_array_index (names, i));
    if (plugin != NULL && plugin->info != NULL && plugin->info->protocol != NULL
        && g_str_equal (plugin->info->protocol->name, device->protocol)) {
      device->props = ch_gateway_properties (services->gateway, plugin->info->protocol);
      return device->props != NULL ? device->props : &DEFAULTS;
    }
  }
  return &DEFAULTS;
}
