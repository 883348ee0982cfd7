/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pgsql.h"

#include <string.h>

const ChConfigKey pg_config[] = {
    {.name = "/database.schema",
     .type = CH_CONFIG_STRING,
     .def = "chargehost",
     .summary = "PostgreSQL schema of all tables; made when it is missing."},
    {.name = "/database.replica_dsn",
     .type = CH_CONFIG_LIST,
     .flags = CH_CONFIG_HIDDEN,
     .summary = "Read replicas, for statements that only read."},
    {.name = "/database.replica_lag_max",
     .type = CH_CONFIG_DURATION_MS,
     .flags = CH_CONFIG_SECONDS,
     .def = "10s",
     .min = 100,
     .max = 3600000,
     .summary = "A replica that is further behind is not asked."},
    {.name = "/database.pool_max",
     .type = CH_CONFIG_INT,
     .def = "20",
     .min = 3,
     .max = 500,
     .summary = "Connections to the database at most, those to replicas included."},
    {.name = "/database.pool_min",
     .type = CH_CONFIG_INT,
     .def = "5",
     .min = 1,
     .max = 500,
     .summary = "Connections that are kept when there is nothing to do."},
    {.name = "/database.pool_idle_timeout_ms",
     .type = CH_CONFIG_DURATION_MS,
     .def = "30s",
     .min = 1000,
     .max = 86400000,
     .summary = "A connection above the minimum is closed when it was idle this long."},
    {.name = "/database.pool_connect_timeout_ms",
     .type = CH_CONFIG_DURATION_MS,
     .def = "2s",
     .min = 100,
     .max = 600000,
     .summary = "Longest time to make a connection, and to wait for one."},
    {.name = "/database.conn_max_lifetime",
     .type = CH_CONFIG_DURATION_MS,
     .flags = CH_CONFIG_SECONDS,
     .def = "1h",
     .min = 1000,
     .max = 604800000,
     .summary = "An older connection is replaced when it is idle."},
    {.name = "writers",
     .type = CH_CONFIG_INT,
     .def = "4",
     .min = 1,
     .max = 64,
     .summary = "Connections for transactions that write, of database.pool_max; those of "
                "one owner keep their order, so each owner uses one at a time."},
    {.name = "batch_max",
     .type = CH_CONFIG_INT,
     .def = "64",
     .min = 1,
     .max = 1000,
     .summary = "Transactions that share a round trip and a sync at most."},
    {.name = NULL},
};

gboolean pg_options_read (PgOptions *options, ChPlugin *self,
                          const ChStoreSettings *settings, GError **error)
{
  const char *schema = ch_config_string (self, "/database.schema");

  if (schema == NULL || *schema == '\0' || strlen (schema) > 63
      || g_str_has_prefix (schema, "pg_")) {
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE,
                 "database.schema is not a name for a schema");
    return FALSE;
  }
  options->dsn = g_strdup (settings->dsn);
  options->schema = g_strdup (schema);
  options->replica_dsns
      = g_strdupv ((char **) ch_config_list (self, "/database.replica_dsn"));
  options->statement_timeout_ms = settings->statement_timeout_ms;
  options->lock_timeout_ms = settings->lock_timeout_ms;
  options->idle_ms = ch_config_duration_ms (self, "/database.pool_idle_timeout_ms");
  options->connect_ms = ch_config_duration_ms (self, "/database.pool_connect_timeout_ms");
  options->lifetime_ms = ch_config_duration_ms (self, "/database.conn_max_lifetime");
  options->lag_max_ms = ch_config_duration_ms (self, "/database.replica_lag_max");
  options->max = (guint) ch_config_int (self, "/database.pool_max");
  options->min = MIN ((guint) ch_config_int (self, "/database.pool_min"), options->max);
  options->writers = MIN ((guint) ch_config_int (self, "writers"), options->max - 1);
  options->batch_max = (guint) ch_config_int (self, "batch_max");
  return TRUE;
}

void pg_options_clear (PgOptions *options)
{
  g_clear_pointer (&options->dsn, g_free);
  g_clear_pointer (&options->schema, g_free);
  g_clear_pointer (&options->replica_dsns, g_strfreev);
}
