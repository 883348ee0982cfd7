/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store-bed.h"

#include <glib/gstdio.h>
#include <gmodule.h>
#include <string.h>

static const ChConfigKey app_config[] = {
    {.name = "app.state_dir",
     .type = CH_CONFIG_STRING,
     .summary = "The state directory."},
    {.name = "plugins.development",
     .type = CH_CONFIG_BOOL,
     .def = "false",
     .summary = "Whether unchecked modules are taken."},
    {.name = NULL},
};

static const ChPluginInfo *load (const char *path)
{
  g_autofree char *file = g_path_get_basename (path);
  g_autofree char *ident = g_strndup (file, strcspn (file, "."));
  gpointer symbol = NULL;

  /* Never unloaded, as in the daemon. */
  GModule *module = g_module_open (path, G_MODULE_BIND_LOCAL);
  if (module == NULL)
    g_error ("%s", g_module_error ());
  g_autofree char *name
      = g_strdup_printf ("ch_plugin_%s_query", g_strdelimit (ident, "-", '_'));
  if (!g_module_symbol (module, name, &symbol))
    g_error ("%s", g_module_error ());
  return ((ChPluginQuery) symbol) ();
}

static void configure (Bed *bed, const char *const *options)
{
  ChConfig *config = bed->services.config = ch_config_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *state = g_strconcat ("app.state_dir=", bed->folder, NULL);

  ch_config_declare (config, "", app_config);
  ch_config_declare (config, "", ch_store_config);
  ch_config_declare (config, bed->info->name, bed->info->config);
  g_assert_true (ch_config_add_option (config, state, NULL));
  for (guint i = 0; options != NULL && options[i] != NULL; i++) {
    g_autofree char *name = g_path_get_basename (bed->folder);
    g_auto (GStrv) parts = g_strsplit (options[i], "%f", -1);
    g_autofree char *option = g_strjoinv (name, parts);
    if (!ch_config_add_option (config, option, &error))
      g_error ("%s", error->message);
  }
  if (!ch_config_resolve (config, NULL, &error))
    g_error ("%s", error->message);
}

void bed_set_up (Bed *bed, const char *module, const char *const *options,
                 const char *folder)
{
  ChServices *services = &bed->services;
  g_autoptr (GError) error = NULL;

  memset (bed, 0, sizeof *bed);
  bed->keep = folder != NULL;
  bed->folder = folder != NULL ? g_strdup (folder)
                               : g_dir_make_tmp ("chargehost-store-XXXXXX", NULL);
  bed->heard = g_string_new (NULL);
  bed->info = load (module);
  services->clock = ch_clock_new ();
  configure (bed, options);
  services->metrics = ch_metrics_new ();
  services->runner = ch_runner_new ();
  services->reactor = ch_reactor_new (services, NULL, &error);
  g_assert_no_error (error);
  services->store = ch_store_new (services);
  bed->driver = ch_owner_new (services, bed->info->name, bed->info);
  if (!bed->info->start (bed->driver, &error))
    g_error ("%s", error->message);
  bed->user = ch_owner_new (services, "contract", NULL);
  ch_plugin_set_data (bed->user, bed);
}

gboolean bed_open (Bed *bed, GError **error)
{
  return ch_store_open (bed->services.store, bed->driver, bed->info->store_driver, error);
}

void bed_remove_folder (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_build_filename (folder, name, NULL);
    g_unlink (path);
  }
  g_rmdir (folder);
}

void bed_tear_down (Bed *bed)
{
  ChServices *services = &bed->services;

  ch_store_close (services->store);
  ch_owner_free (bed->user);
  bed->info->stop (bed->driver);
  ch_owner_free (bed->driver);
  ch_store_free (services->store);
  ch_reactor_free (services->reactor);
  ch_runner_free (services->runner);
  ch_metrics_free (services->metrics);
  ch_config_free (services->config);
  ch_clock_free (services->clock);
  g_string_free (bed->heard, TRUE);
  if (!bed->keep)
    bed_remove_folder (bed->folder);
  g_free (bed->folder);
}

/* ---- transactions
 * ---------------------------------------------------------------------- */

Bed *bed_of (ChPlugin *self)
{
  return ch_plugin_data (self);
}

void bed_done (ChPlugin *self, const ChTxResult *result, const GError *error,
               gpointer text)
{
  Bed *bed = bed_of (self);

  bed->pending--;
  g_string_append (bed->heard, text);
  if (error != NULL)
    g_string_append_printf (bed->heard, "!%d", error->code);
  if (error != NULL)
    g_test_message ("%s", error->message);
  g_string_append_c (bed->heard, ' ');
}

void bed_submit (Bed *bed, ChTx *tx, const char *text)
{
  bed->pending++;
  ch_tx_submit (tx, 0, bed_done, (gpointer) text);
}

static gboolean too_long (gpointer data)
{
  g_error ("waited too long");
  return G_SOURCE_REMOVE;
}

void bed_wait (Bed *bed)
{
  guint watchdog = g_timeout_add_seconds (60, too_long, NULL);

  while (bed->pending > 0)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (watchdog);
}

void bed_wait_for (Bed *bed, const gboolean *flag)
{
  guint watchdog = g_timeout_add_seconds (60, too_long, NULL);

  while (!*flag)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (watchdog);
}

void bed_expect (Bed *bed, const char *heard)
{
  bed_wait (bed);
  g_assert_cmpstr (bed->heard->str, ==, heard);
  g_string_truncate (bed->heard, 0);
}

typedef struct {
  gint64 n;
  gboolean done;
} Number;

static void take_number (ChPlugin *self, const ChTxResult *result, const GError *error,
                         gpointer data)
{
  Number *number = data;

  g_assert_no_error (error);
  number->n = ch_tx_result_int (result, 0, 0, "n");
  number->done = TRUE;
}

gint64 bed_number (Bed *bed, const char *statement)
{
  Number number = {0};
  ChTx *tx = ch_tx_new (bed->user);

  ch_tx_add (tx, NULL, statement);
  ch_tx_submit (tx, 30000, take_number, &number);
  bed_wait_for (bed, &number.done);
  return number.n;
}

double bed_metric (Bed *bed, const char *series)
{
  GString *page = ch_metrics_render (bed->services.metrics);
  g_autofree char *line = g_strconcat ("\n", series, " ", NULL);
  const char *at = strstr (page->str, line);

  if (at == NULL)
    g_error ("there is no %s in %s", series, page->str);
  double value = g_ascii_strtod (at + strlen (line), NULL);
  g_string_free (page, TRUE);
  return value;
}
