/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/sql.h"
#include <chargehost/error.h>

#include <string.h>

static gboolean begins_word (char c)
{
  return g_ascii_isalpha (c) || c == '_' || (guchar) c >= 0x80;
}

static gboolean in_word (char c)
{
  return begins_word (c) || g_ascii_isdigit (c);
}

/* Each skip function gets the first character and returns what follows, NULL = no end. */

/* @close twice stands for itself. */
static const char *skip_quoted (const char *p, char close, gboolean backslash)
{
  for (p++; *p != '\0'; p++) {
    if (backslash && *p == '\\' && p[1] != '\0') {
      p++;
    } else if (*p == close) {
      if (p[1] != close)
        return p + 1;
      p++;
    }
  }
  return NULL;
}

static const char *skip_bracketed (const char *p)
{
  const char *close = strchr (p, ']');
  return close != NULL ? close + 1 : NULL;
}

static const char *skip_line (const char *p)
{
  return p + strcspn (p, "\n");
}

static const char *skip_comment (const char *p, gboolean nested)
{
  guint depth = 1;

  for (p += 2; *p != '\0'; p++) {
    if (p[0] == '*' && p[1] == '/') {
      p++;
      if (--depth == 0)
        return p + 1;
    } else if (nested && p[0] == '/' && p[1] == '*') {
      p++;
      depth++;
    }
  }
  return NULL;
}

/* `$tag$ … $tag$`; *@is_quote tells whether it is one at all. */
static const char *skip_dollar (const char *p, gboolean *is_quote)
{
  const char *tag = p + 1;
  gsize n = 0;

  if (begins_word (tag[0]))
    while (in_word (tag[n]))
      n++;
  *is_quote = tag[n] == '$';
  if (!*is_quote)
    return NULL;
  n += 2; /* both dollars */
  for (const char *close = strchr (p + n, '$'); close != NULL;
       close = strchr (close + 1, '$'))
    if (strncmp (close, p, n) == 0)
      return close + n;
  return NULL;
}

static ChSqlKind found (ChSqlLexer *lexer, ChSqlToken *token, ChSqlKind kind,
                        const char *end)
{
  if (end == NULL) {
    kind = CH_SQL_BROKEN;
    end = token->text + strlen (token->text);
  }
  token->kind = kind;
  token->size = (gsize) (end - token->text);
  lexer->at = end;
  return kind;
}

static ChSqlKind next_colon (ChSqlLexer *lexer, ChSqlToken *token)
{
  const char *p = token->text;

  if (p[1] == ':') /* a cast */
    return found (lexer, token, CH_SQL_OTHER, p + 2);
  if (!g_ascii_isalpha (p[1]) && p[1] != '_')
    return found (lexer, token, CH_SQL_OTHER, p + 1);
  token->text = ++p;
  while (in_word (*p))
    p++;
  return found (lexer, token, CH_SQL_PARAMETER, p);
}

static ChSqlKind next_dollar (ChSqlLexer *lexer, ChSqlToken *token)
{
  const char *p = token->text;

  if (lexer->pgsql) {
    gboolean is_quote;
    const char *end = skip_dollar (p, &is_quote);
    if (is_quote)
      return found (lexer, token, CH_SQL_QUOTED, end);
  }
  return found (lexer, token, CH_SQL_FOREIGN, p + 1);
}

static ChSqlKind next_word (ChSqlLexer *lexer, ChSqlToken *token)
{
  const char *p = token->text;

  if (lexer->pgsql && (*p == 'E' || *p == 'e') && p[1] == '\'')
    return found (lexer, token, CH_SQL_QUOTED, skip_quoted (p + 1, '\'', TRUE));
  while (in_word (*p) || *p == '$') /* `$` may stand inside an identifier */
    p++;
  return found (lexer, token, CH_SQL_WORD, p);
}

static ChSqlKind next_blank (ChSqlLexer *lexer, ChSqlToken *token)
{
  const char *p = token->text;
  while (g_ascii_isspace (*p))
    p++;
  return found (lexer, token, CH_SQL_BLANK, p);
}

ChSqlKind ch_sql_next (ChSqlLexer *lexer, ChSqlToken *token)
{
  const char *p = token->text = lexer->at;

  switch (*p) {
  case '\0':
    return found (lexer, token, CH_SQL_END, p);
  case '\'':
  case '"':
    return found (lexer, token, CH_SQL_QUOTED, skip_quoted (p, *p, FALSE));
  case '`':
    if (lexer->pgsql)
      break;
    return found (lexer, token, CH_SQL_QUOTED, skip_quoted (p, '`', FALSE));
  case '[':
    if (lexer->pgsql)
      break;
    return found (lexer, token, CH_SQL_QUOTED, skip_bracketed (p));
  case '-':
    if (p[1] != '-')
      break;
    return found (lexer, token, CH_SQL_BLANK, skip_line (p));
  case '/':
    if (p[1] != '*')
      break;
    return found (lexer, token, CH_SQL_BLANK, skip_comment (p, lexer->pgsql));
  case ':':
    return next_colon (lexer, token);
  case '$':
    return next_dollar (lexer, token);
  case '?':
  case '@': /* both are operators of PostgreSQL */
    return found (lexer, token, lexer->pgsql ? CH_SQL_OTHER : CH_SQL_FOREIGN, p + 1);
  case ';':
    return found (lexer, token, CH_SQL_SEMICOLON, p + 1);
  default:
    if (g_ascii_isspace (*p))
      return next_blank (lexer, token);
    if (begins_word (*p))
      return next_word (lexer, token);
    if (g_ascii_isdigit (*p)) { /* so that 1e5 is no word */
      while (in_word (*p) || *p == '.')
        p++;
      return found (lexer, token, CH_SQL_NUMBER, p);
    }
    break;
  }
  return found (lexer, token, CH_SQL_OTHER, p + 1);
}

static gboolean is_word (const ChSqlToken *token, const char *word)
{
  return token->kind == CH_SQL_WORD && strlen (word) == token->size
         && g_ascii_strncasecmp (token->text, word, token->size) == 0;
}

gboolean ch_sql_check_script (const char *sql, gboolean pgsql, GError **error)
{
  /* END is not among them: it also closes the body of a trigger. */
  static const char *const control[] = {"BEGIN", "START", "COMMIT", "ROLLBACK"};
  ChSqlLexer lexer = {sql, pgsql};
  ChSqlToken token;
  gboolean at_start = TRUE;

  while (ch_sql_next (&lexer, &token) != CH_SQL_END) {
    if (token.kind == CH_SQL_BROKEN) {
      g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE,
                   "a literal or comment has no end: %.40s", token.text);
      return FALSE;
    }
    for (guint i = 0; at_start && i < G_N_ELEMENTS (control); i++) {
      if (is_word (&token, control[i])) {
        g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE,
                     "it contains %s; each migration is one transaction anyway",
                     control[i]);
        return FALSE;
      }
    }
    if (token.kind != CH_SQL_BLANK)
      at_start = token.kind == CH_SQL_SEMICOLON;
  }
  return TRUE;
}

gboolean ch_sql_is_unwrapped (const char *sql)
{
  static const char mark[] = "-- no transaction";

  while (g_ascii_isspace (*sql))
    sql++;
  if (!g_str_has_prefix (sql, mark))
    return FALSE;
  char after = sql[sizeof mark - 1];
  return after == '\0' || g_ascii_isspace (after);
}
