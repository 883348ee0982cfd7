/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From SQLSTATE to the store's errors. */
#include "pgsql.h"

#include <string.h>

typedef struct {
  const char *state; /* whole, or the class */
  ChStoreError code;
} Meaning;

/* The first that fits. */
static const Meaning meanings[] = {
    {"23505", CH_STORE_ERROR_UNIQUE},
    {"23P01", CH_STORE_ERROR_UNIQUE}, /* exclusion */
    {"23503", CH_STORE_ERROR_FOREIGN_KEY},
    {"23", CH_STORE_ERROR_CHECK},
    {"22", CH_STORE_ERROR_CHECK}, /* a value that the column does not take */
    {"40P01", CH_STORE_ERROR_DEADLOCK},
    {"40002", CH_STORE_ERROR_CHECK},
    {"40", CH_STORE_ERROR_SERIALIZATION},
    {"55P03", CH_STORE_ERROR_LOCKED},
    {"55", CH_STORE_ERROR_LOCKED}, /* in use, not in the right state */
    {"57014", CH_STORE_ERROR_TIMEOUT},
    {"57", CH_STORE_ERROR_UNAVAILABLE},
    {"25006", CH_STORE_ERROR_UNAVAILABLE}, /* read-only: a standby, or becoming one */
    {"25P03", CH_STORE_ERROR_UNAVAILABLE},
    {"53100", CH_STORE_ERROR_DISK_FULL},
    {"53", CH_STORE_ERROR_BUSY},
    {"08", CH_STORE_ERROR_UNAVAILABLE},
    {"28", CH_STORE_ERROR_UNAVAILABLE},
    {"3D000", CH_STORE_ERROR_UNAVAILABLE},
    {"58", CH_STORE_ERROR_UNAVAILABLE},
    {"XX001", CH_STORE_ERROR_CORRUPT},
    {"XX002", CH_STORE_ERROR_CORRUPT},
    {"0A", CH_STORE_ERROR_USAGE},
    {"2", CH_STORE_ERROR_USAGE},
    {"3", CH_STORE_ERROR_USAGE},
    {"4", CH_STORE_ERROR_USAGE},
};

static ChStoreError code_of (const char *state)
{
  for (guint i = 0; state != NULL && i < G_N_ELEMENTS (meanings); i++)
    if (g_str_has_prefix (state, meanings[i].state))
      return meanings[i].code;
  return CH_STORE_ERROR_FAILED;
}

gboolean pg_result_is (const PGresult *result, const char *sqlstate)
{
  const char *state = PQresultErrorField (result, PG_DIAG_SQLSTATE);
  return state != NULL && g_str_equal (state, sqlstate);
}

/* Such an error comes from a cast of the mark to a number. */
gboolean pg_result_has_mark (const PGresult *result, const char *mark)
{
  const char *message = PQresultErrorField (result, PG_DIAG_MESSAGE_PRIMARY);
  return pg_result_is (result, "22P02") && message != NULL
         && strstr (message, mark) != NULL;
}

/* A row was on its way to the default partition when its own one was made: the check of a
   partition has no name, but a table. The next time it finds its place. */
static gboolean has_moved (const PGresult *result)
{
  return pg_result_is (result, "23514")
         && PQresultErrorField (result, PG_DIAG_CONSTRAINT_NAME) == NULL
         && PQresultErrorField (result, PG_DIAG_TABLE_NAME) != NULL;
}

GError *pg_error_of_result (const PGresult *result, const char *what, gboolean reader)
{
  const char *state = PQresultErrorField (result, PG_DIAG_SQLSTATE);
  const char *message = PQresultErrorField (result, PG_DIAG_MESSAGE_PRIMARY);
  const char *detail = PQresultErrorField (result, PG_DIAG_MESSAGE_DETAIL);
  ChStoreError code = has_moved (result) ? CH_STORE_ERROR_SERIALIZATION : code_of (state);

  if (reader && state != NULL && g_str_equal (state, "25006"))
    return g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_USAGE,
                        "%s: it is said to read only, and it writes", what);
  if (state == NULL && message == NULL) { /* made by libpq: the connection is gone */
    code = CH_STORE_ERROR_UNAVAILABLE;
    message = PQresultErrorMessage (result);
  }
  g_autofree char *line
      = g_strdup (message != NULL && *message != '\0' ? message : "no reason given");
  g_strchomp (line);
  /* Details may show values of a row: only those of constraints, which name keys. */
  gboolean tell = detail != NULL && state != NULL && g_str_has_prefix (state, "23503");
  return g_error_new (CH_STORE_ERROR, (gint) code, "%s: %s%s%s (%s)", what, line,
                      tell ? ": " : "", tell ? detail : "", state != NULL ? state : "-");
}

/* Without the lines that follow the first one for each address. */
GError *pg_error_of_conn (PGconn *conn, const char *what)
{
  g_autofree char *message = g_strdup (PQerrorMessage (conn));

  g_strchomp (message);
  g_strdelimit (message, "\n\t", ' ');
  return g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE, "%s: %s", what,
                      *message != '\0' ? message : "the connection is lost");
}
