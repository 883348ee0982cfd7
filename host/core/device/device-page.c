/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A page of devices that several instances hold: made from memory, then what others hold
 * is replaced by what they answer, one message for CH_PEER_IDS_MAX devices of an
 * instance. An instance that does not answer leaves its devices as they were known here.
 */
#include "core/device/device.h"
#include "core/peer/peer.h"

#define ANSWER_MS 2000

typedef struct {
  ChPlugin *caller;
  gint life;
  ChCoreDone done;
  gpointer user_data;
  json_t *answer;
  GHashTable *places; /* id of a device elsewhere → its place on the page */
  guint asked;        /* answers that are to come, and one while more is asked */
} Page;

static void answered (Page *page)
{
  ChRunnerFrame frame;

  if (--page->asked > 0)
    return;
  if (page->life == g_atomic_int_get (&page->caller->life)
      && ch_runner_enter (page->caller, "page of devices", &frame)) {
    page->done (page->caller, page->answer, NULL, page->user_data);
    ch_runner_leave (&frame);
  }
  json_decref (page->answer);
  g_hash_table_unref (page->places);
  g_free (page);
}

static void got_some (ChPlugin *self, const json_t *data, const GError *error,
                      gpointer user_data)
{
  Page *page = user_data;
  json_t *devices = json_object_get (page->answer, "devices"), *device;
  const char *id;
  gpointer place;

  json_object_foreach (
      json_object_get (data, "devices"), id,
      device) if (json_is_object (device)
                  && g_hash_table_lookup_extended (page->places, id, NULL, &place))
      json_array_set (devices, GPOINTER_TO_UINT (place), device);
  answered (page);
}

static void ask (Page *page, const char *server, json_t *ids)
{
  json_t *args = json_object ();

  json_object_set_new_nocheck (args, "ids", ids);
  page->asked++;
  ch_peer_ask (ch_core_of (page->caller)->self, CH_PEER_READ_MANY, server, args,
               ANSWER_MS, got_some, page);
}

/* Adds a device to the next message for its instance; sends it when it is full. */
static void add (Page *page, GHashTable *messages, const ChDevice *device)
{
  json_t *ids = g_hash_table_lookup (messages, device->elsewhere);

  if (ids == NULL) {
    ids = json_array ();
    g_hash_table_insert (messages, g_strdup (device->elsewhere), ids);
  }
  json_array_append_new (ids, json_string (device->id));
  if (json_array_size (ids) == CH_PEER_IDS_MAX) {
    ask (page, device->elsewhere, json_incref (ids));
    g_hash_table_remove (messages, device->elsewhere);
  }
}

void ch_core_read_devices (ChPlugin *self, const ChDeviceQuery *query, ChCoreDone done,
                           gpointer user_data)
{
  ChCore *core = ch_core_of (self);
  g_autoptr (GHashTable) messages = g_hash_table_new_full (
      g_str_hash, g_str_equal, g_free, (GDestroyNotify) json_decref);
  Page *page = g_new0 (Page, 1);
  GHashTableIter iter;
  gpointer server, ids;
  json_t *shown;
  gsize i;

  page->caller = self;
  page->life = g_atomic_int_get (&self->life);
  page->done = done;
  page->user_data = user_data;
  page->answer = ch_core_list_devices (self, query);
  page->places = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  page->asked = 1;
  json_array_foreach (json_object_get (page->answer, "devices"), i, shown)
  {
    const char *id = json_string_value (json_object_get (shown, "device_phy_id"));
    const ChDevice *device = ch_device_find (core, id);
    if (device == NULL || device->elsewhere == NULL)
      continue;
    g_hash_table_insert (page->places, g_strdup (id), GUINT_TO_POINTER ((guint) i));
    add (page, messages, device);
  }
  g_hash_table_iter_init (&iter, messages);
  while (g_hash_table_iter_next (&iter, &server, &ids))
    ask (page, server, json_incref (ids));
  answered (page);
}
