/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ownership of what plugins register, and the runner around their callbacks. */
#include "base/slab.h"
#include <chargehost/error.h>
#include <chargehost/log.h>

#include <string.h>

#define SLOW_CALL_US (50 * 1000)

ChPlugin *ch_owner_new (ChServices *services, const char *name, const ChPluginInfo *info)
{
  ChPlugin *self = g_new0 (ChPlugin, 1);
  self->services = services;
  self->name = g_strdup (name);
  self->info = info;
  self->is_host = info == NULL;
  self->callable = TRUE;
  self->refs = 1;
  g_strlcpy (self->mark, name, sizeof self->mark);
  self->resources.prev = self->resources.next = &self->resources;
  return self;
}

void ch_owner_link (ChPlugin *self, ChResource *resource, const ChResourceKind *kind)
{
  ChResource *head = &self->resources;
  resource->owner = self;
  resource->kind = kind;
  resource->next = head;
  resource->prev = head->prev;
  head->prev->next = resource;
  head->prev = resource;
}

void ch_owner_unlink (ChResource *resource)
{
  if (resource->owner == NULL)
    return;
  resource->prev->next = resource->next;
  resource->next->prev = resource->prev;
  resource->prev = resource->next = NULL;
  resource->owner = NULL;
}

void ch_owner_revoke_all (ChPlugin *self)
{
  self->callable = FALSE;
  g_atomic_int_inc (&self->life);
  while (self->resources.prev != &self->resources) {
    ChResource *newest = self->resources.prev;
    ch_owner_unlink (newest);
    newest->kind->revoke (newest);
  }
}

void ch_owner_free (ChPlugin *self)
{
  if (self == NULL)
    return;
  ch_owner_revoke_all (self);
  ch_owner_unref (self);
}

ChPlugin *ch_owner_ref (ChPlugin *self)
{
  g_atomic_int_inc (&self->refs);
  return self;
}

void ch_owner_unref (ChPlugin *self)
{
  if (!g_atomic_int_dec_and_test (&self->refs))
    return;
  ch_slabs_free (self->slabs);
  g_free (self->name);
  g_free (self);
}

char *ch_owner_describe (ChPlugin *self)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GHashTable) counts = g_hash_table_new (NULL, NULL);
  g_autoptr (GPtrArray) kinds = g_ptr_array_new ();

  for (ChResource *r = self->resources.next; r != &self->resources; r = r->next) {
    gpointer kind = (gpointer) r->kind;
    guint n = GPOINTER_TO_UINT (g_hash_table_lookup (counts, kind));
    if (n == 0)
      g_ptr_array_add (kinds, kind);
    g_hash_table_insert (counts, kind, GUINT_TO_POINTER (n + 1));
  }
  for (guint i = 0; i < kinds->len; i++) {
    const ChResourceKind *kind = g_ptr_array_index (kinds, i);
    g_string_append_printf (text, "%s%u %s", i > 0 ? ", " : "",
                            GPOINTER_TO_UINT (g_hash_table_lookup (counts, kind)),
                            kind->name);
  }
  return g_string_free (g_steal_pointer (&text), FALSE);
}

ChRunner *ch_runner_new (void)
{
  return g_new0 (ChRunner, 1);
}

void ch_runner_free (ChRunner *runner)
{
  g_free (runner);
}

gboolean ch_runner_enter (ChPlugin *plugin, const char *what, ChRunnerFrame *frame)
{
  return ch_runner_enter_at (plugin, what, frame, ch_runner_now_us ());
}

void ch_runner_leave (ChRunnerFrame *frame)
{
  ch_runner_leave_at (frame);
}

void ch_runner_took (ChRunnerFrame *frame, gint64 took_us)
{
  ChPlugin *plugin = frame->plugin;

  if (took_us > plugin->slowest_us)
    plugin->slowest_us = took_us;
  if (took_us > SLOW_CALL_US) {
    plugin->failures++;
    ch_warning (plugin,
                "%s of %s took %" G_GINT64_FORMAT " ms and kept everything waiting",
                frame->what, plugin->name, took_us / 1000);
  }
}

gboolean ch_runner_check (ChPlugin *plugin, const char *what, gboolean ok, GError **error)
{
  if (ok) {
    if (error != NULL)
      g_clear_error (error);
    return TRUE;
  }
  plugin->failures++;
  if (error != NULL && *error == NULL)
    g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_FAILED,
                 "%s failed without saying why", what);
  g_prefix_error (error, "%s: ", plugin->name);
  return FALSE;
}

ChPlugin *ch_runner_current (ChRunner *runner)
{
  return runner->top != NULL ? runner->top->plugin : NULL;
}

void ch_runner_set_crash_page (ChRunner *runner, char *page, gsize size)
{
  g_return_if_fail (page == NULL || size >= CH_RUNNER_MARK_SIZE);
  runner->page = page;
}

const char *ch_plugin_name (ChPlugin *self)
{
  return self->name;
}

void ch_plugin_set_data (ChPlugin *self, gpointer data)
{
  self->data = data;
}

gpointer ch_plugin_data (ChPlugin *self)
{
  return self->data;
}

void ch_plugin_degraded (ChPlugin *self, const char *reason)
{
  if (self->degraded != NULL)
    self->degraded (self, reason, self->degraded_data);
}
