/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `:name` → `?1` (SQLite) or `$1` (PostgreSQL), numbered by first appearance. */
#include "store/sql.h"
#include "store/store.h"
#include <chargehost/error.h>

#include <string.h>

#define MAX_PARAMS 32766 /* SQLite's limit, the lower of the two */
#define MAX_NAME 63

static gboolean refuse (GError **error, const char *what, const ChSqlToken *token)
{
  g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE, "%s at \"%.*s\"", what,
               (int) MIN (token->size, 40), token->text);
  return FALSE;
}

static guint number_of (GPtrArray *names, const ChSqlToken *token)
{
  for (guint i = 0; i < names->len; i++) {
    const char *name = g_ptr_array_index (names, i);
    if (strncmp (name, token->text, token->size) == 0 && name[token->size] == '\0')
      return i + 1;
  }
  g_ptr_array_add (names, g_strndup (token->text, token->size));
  return names->len;
}

static gboolean translate_token (const ChSqlToken *token, gboolean pgsql, GString *text,
                                 GPtrArray *names, GError **error)
{
  switch (token->kind) {
  case CH_SQL_BROKEN:
    return refuse (error, "literal or comment without an end", token);
  case CH_SQL_FOREIGN:
    return refuse (error, "only :name is a parameter", token);
  case CH_SQL_PARAMETER:
    if (token->size > MAX_NAME)
      return refuse (error, "name of a parameter is too long", token);
    guint number = number_of (names, token);
    if (number > MAX_PARAMS)
      return refuse (error, "too many parameters", token);
    g_string_append_printf (text, "%c%u", pgsql ? '$' : '?', number);
    return TRUE;
  default:
    g_string_append_len (text, token->text, (gssize) token->size);
    return TRUE;
  }
}

/* @names takes the names in the order of their numbers; it must free its elements. */
char *ch_store_translate (const char *sql, const char *dialect, GPtrArray *names,
                          GError **error)
{
  gboolean pgsql = g_str_equal (dialect, "pgsql");
  g_autoptr (GString) text = g_string_sized_new (strlen (sql) + 16);
  ChSqlLexer lexer = {sql, pgsql};
  ChSqlToken token;
  gboolean ended = FALSE;
  gboolean empty = TRUE;

  while (ch_sql_next (&lexer, &token) != CH_SQL_END) {
    if (token.kind == CH_SQL_SEMICOLON) {
      ended = TRUE;
      continue;
    }
    if (token.kind != CH_SQL_BLANK) {
      if (ended) {
        refuse (error, "more than one statement", &token);
        return NULL;
      }
      empty = FALSE;
    }
    if (!translate_token (&token, pgsql, text, names, error))
      return NULL;
  }
  if (empty) {
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE, "the statement is empty");
    return NULL;
  }
  return g_string_free (g_steal_pointer (&text), FALSE);
}
