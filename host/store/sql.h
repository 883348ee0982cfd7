/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Just enough of SQL's lexical rules to find parameters and the ends of statements. */
#pragma once

#include <glib.h>

typedef enum {
  CH_SQL_END = 0,
  CH_SQL_BLANK,  /* white space, comments */
  CH_SQL_QUOTED, /* literal or quoted identifier */
  CH_SQL_WORD,   /* keyword, identifier */
  CH_SQL_NUMBER,
  CH_SQL_PARAMETER, /* `:name`; text and size are the name's */
  CH_SQL_FOREIGN,   /* placeholder of another kind: `?`, `$1`, `@name` */
  CH_SQL_SEMICOLON,
  CH_SQL_OTHER,
  CH_SQL_BROKEN, /* literal or comment without an end */
} ChSqlKind;

typedef struct {
  ChSqlKind kind;
  const char *text;
  gsize size;
} ChSqlToken;

typedef struct {
  const char *at;
  gboolean pgsql; /* E'', dollar quotes, nested comments; else [name] and `name` */
} ChSqlLexer;

ChSqlKind ch_sql_next (ChSqlLexer *lexer, ChSqlToken *token);

/* A script for one transaction has no BEGIN, COMMIT or ROLLBACK of its own. */
gboolean ch_sql_check_script (const char *sql, gboolean pgsql, GError **error);
/* Whether a script begins with the comment `-- no transaction`. */
gboolean ch_sql_is_unwrapped (const char *sql);
