/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every cell of the life cycle, written down a second time. */
#include "plugin/plugins-private.h"

#include <string.h>

/* One row per state, one word per event in their order; "-" is not possible. */
static const struct {
  const char *state;
  const char *next;
} rows[] = {
    {"found", "blocked loaded - - - - - - - quarantined -"},
    {"blocked", "blocked - - - - - - - - quarantined found"},
    {"loaded", "- - starting - - - - - - quarantined found"},
    {"starting", "- - - running failed starting starting - - - -"},
    {"running", "- - - - - degraded running stopping - - -"},
    {"degraded", "- - - - - degraded running stopping - - -"},
    {"stopping", "- - - - - stopping stopping - stopped - -"},
    {"stopped", "- - starting - - - - - - - found"},
    {"failed", "- - starting - - - - - - - found"},
    {"quarantined", "- - - - - - - - - quarantined found"},
};

static ChPluginState state_of (const char *name)
{
  for (guint i = 0; i <= 90; i += 10)
    if (g_str_equal (ch_plugin_state_name ((ChPluginState) i), name))
      return (ChPluginState) i;
  g_assert_not_reached ();
}

static void test_cells (void)
{
  g_assert_cmpuint (G_N_ELEMENTS (rows), ==, 10);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_auto (GStrv) next = g_strsplit (rows[i].next, " ", -1);
    g_assert_cmpuint (g_strv_length (next), ==, CH_PLUGIN_EVENT_N);
    for (guint e = 0; e < CH_PLUGIN_EVENT_N; e++) {
      ChPluginState got = CH_PLUGIN_FOUND;
      gboolean possible
          = ch_plugin_state_step (state_of (rows[i].state), (ChPluginEvent) e, &got);
      g_autofree char *cell = g_strdup_printf (
          "%s × %s → %s", rows[i].state, ch_plugin_event_name ((ChPluginEvent) e),
          possible ? ch_plugin_state_name (got) : "-");
      g_autofree char *wanted
          = g_strdup_printf ("%s × %s → %s", rows[i].state,
                             ch_plugin_event_name ((ChPluginEvent) e), next[e]);
      g_assert_cmpstr (cell, ==, wanted);
    }
  }
}

/* From everywhere there is a way to run, so no plugin is lost until the next start. */
static void test_reachable (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    guint64 seen = G_GUINT64_CONSTANT (1) << i;
    for (guint step = 0; step < G_N_ELEMENTS (rows); step++)
      for (guint s = 0; s < G_N_ELEMENTS (rows); s++)
        for (guint e = 0; e < CH_PLUGIN_EVENT_N; e++) {
          ChPluginState next;
          if ((seen >> s & 1)
              && ch_plugin_state_step ((ChPluginState) (s * 10), (ChPluginEvent) e,
                                       &next))
            seen |= G_GUINT64_CONSTANT (1) << ((guint) next / 10);
        }
    g_assert_true (seen >> (CH_PLUGIN_RUNNING / 10) & 1);
  }
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/plugin/state/cells", test_cells);
  g_test_add_func ("/plugin/state/reachable", test_reachable);
  return g_test_run ();
}
