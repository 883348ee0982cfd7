/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looks at the text of a statement: whether it may run inside a transaction of the
 * store, and how a guard is put around it.
 *
 * A guard has to hold on the server, because COMMIT is on its way already when the count
 * comes back. So the statement becomes a common table expression whose rows are counted:
 * `WITH … r AS (UPDATE … RETURNING 1) SELECT …`, and a count that does not hold makes a
 * cast fail. This takes any statement with rows or with RETURNING, needs no function in
 * the database and no round trip.
 */
#include "pgsql.h"

#include <string.h>

typedef struct {
  const char *at;
  guint depth; /* of parentheses */
} Scan;

static gboolean in_word (char c)
{
  return g_ascii_isalnum (c) || c == '_' || c == '$' || (guchar) c >= 0x80;
}

static const char *skip_comment (const char *p)
{
  guint depth = 1;

  for (p += 2; *p != '\0' && depth > 0; p++) {
    if (p[0] == '*' && p[1] == '/') {
      depth--;
      p++;
    } else if (p[0] == '/' && p[1] == '*') {
      depth++;
      p++;
    }
  }
  return p;
}

/* 'text', "name", E'text'; a quote twice stands for itself and reads as two of them. */
static const char *skip_quoted (const char *p, gboolean backslash)
{
  char close = *p++;

  while (*p != '\0' && *p != close)
    p += backslash && *p == '\\' && p[1] != '\0' ? 2 : 1;
  return *p == close ? p + 1 : p;
}

/* `$tag$ … $tag$`; a placeholder `$1` is passed over as it is. */
static const char *skip_dollar (const char *p)
{
  gsize n = 1;

  while (p[n] != '$' && in_word (p[n]))
    n++;
  if (p[n] != '$' || g_ascii_isdigit (p[1]))
    return p + 1;
  g_autofree char *tag = g_strndup (p, n + 1);
  const char *close = strstr (p + n + 1, tag);
  return close != NULL ? close + n + 1 : p + strlen (p);
}

/* The next word outside of quotes and comments, NULL at the end. */
static const char *next_word (Scan *scan, gsize *size)
{
  const char *p = scan->at;

  while (*p != '\0') {
    if (p[0] == '-' && p[1] == '-') {
      p += strcspn (p, "\n");
    } else if (p[0] == '/' && p[1] == '*') {
      p = skip_comment (p);
    } else if (*p == '\'' || *p == '"') {
      p = skip_quoted (p, FALSE);
    } else if ((*p == 'e' || *p == 'E') && p[1] == '\'') {
      p = skip_quoted (p + 1, TRUE);
    } else if (*p == '$') {
      p = skip_dollar (p);
    } else if (in_word (*p)) {
      const char *word = p;
      while (in_word (*p))
        p++;
      *size = (gsize) (p - word);
      scan->at = p;
      return word;
    } else {
      if (*p == '(')
        scan->depth++;
      else if (*p == ')' && scan->depth > 0)
        scan->depth--;
      p++;
    }
  }
  scan->at = p;
  return NULL;
}

static gboolean is_one_of (const char *word, gsize size, const char *const *words)
{
  for (guint i = 0; words[i] != NULL; i++)
    if (strlen (words[i]) == size && g_ascii_strncasecmp (word, words[i], size) == 0)
      return TRUE;
  return FALSE;
}

/* What would end the transaction, or outlive it on a connection that others use too. */
static const char *const forbidden[]
    = {"BEGIN",   "START",    "COMMIT", "END",     "ROLLBACK",   "ABORT",   "SAVEPOINT",
       "RELEASE", "PREPARE",  "SET",    "RESET",   "DEALLOCATE", "DISCARD", "COPY",
       "LISTEN",  "UNLISTEN", "VACUUM", "EXECUTE", NULL};
static const char *const changing[] = {"INSERT", "UPDATE", "DELETE", NULL};
static const char *const reading[] = {"SELECT", "VALUES", "TABLE", NULL};
static const char *const with[] = {"WITH", NULL};
static const char *const returning[] = {"RETURNING", NULL};

static char *guard_of (const char *head, gsize head_size, const char *body,
                       gboolean counts_only, gboolean bare, guint n_params)
{
  g_autoptr (GString) sql = g_string_new (NULL);

  /* The head is `WITH …` of the statement's own, which is continued. */
  g_string_append_len (sql, head, (gssize) head_size);
  g_string_append (sql, head_size > 0 ? ", " : "WITH ");
  g_string_append_printf (sql, "ch_rows AS (%s\n%s) ", body,
                          counts_only && bare ? "RETURNING 1" : "");
  if (counts_only)
    g_string_append_printf (sql,
                            "SELECT CASE WHEN count(*) BETWEEN $%u::bigint AND "
                            "$%u::bigint THEN count(*) ELSE ('" PG_MARK_GUARD
                            " ' || count(*))::bigint END FROM ch_rows",
                            n_params + 1, n_params + 2);
  else
    g_string_append_printf (
        sql,
        "SELECT ch_rows.* FROM ch_rows WHERE (SELECT CASE WHEN count(*) BETWEEN "
        "$%u::bigint AND $%u::bigint THEN true ELSE ('" PG_MARK_GUARD
        " ' || count(*))::boolean END FROM ch_rows)",
        n_params + 1, n_params + 2);
  return g_string_free (g_steal_pointer (&sql), FALSE);
}

/* Where the head of a statement ends that begins with WITH: before the main verb. */
static const char *main_verb (const char *sql, const char **word, gsize *size)
{
  Scan scan = {sql, 0};

  *word = next_word (&scan, size);
  if (*word == NULL || !is_one_of (*word, *size, with))
    return *word;
  while ((*word = next_word (&scan, size)) != NULL)
    if (scan.depth == 0
        && (is_one_of (*word, *size, changing) || is_one_of (*word, *size, reading)))
      return *word;
  return NULL;
}

static gboolean has_returning (const char *body)
{
  Scan scan = {body, 0};
  const char *word;
  gsize size;

  while ((word = next_word (&scan, &size)) != NULL)
    if (scan.depth == 0 && is_one_of (word, size, returning))
      return TRUE;
  return FALSE;
}

/* From the head of a statement that begins with WITH: where WITH itself begins. */
static const char *head_of (const char *sql)
{
  Scan scan = {sql, 0};
  gsize size;
  return next_word (&scan, &size);
}

/* Without the white space before the main verb. */
static gsize head_size (const char *head, const char *verb)
{
  while (verb > head && g_ascii_isspace (verb[-1]))
    verb--;
  return (gsize) (verb - head);
}

PgText *pg_text_new (const char *sql, guint n_params)
{
  PgText *text = g_new0 (PgText, 1);
  const char *word;
  gsize size;
  const char *verb = main_verb (sql, &word, &size);

  if (verb == NULL)
    return text;
  if (is_one_of (word, size, forbidden)) {
    text->refusal = g_strdup_printf ("%.*s is not for statements", (int) size, word);
    return text;
  }
  const char *head = head_of (sql);
  if (is_one_of (word, size, changing)) {
    gboolean bare = !has_returning (verb);
    text->counts_only = bare;
    text->guarded = guard_of (head, head_size (head, verb), verb, bare, bare, n_params);
  } else if (is_one_of (word, size, reading)) {
    text->guarded = guard_of (head, head_size (head, verb), verb, FALSE, FALSE, n_params);
  }
  return text;
}

void pg_text_free (PgText *text)
{
  if (text == NULL)
    return;
  g_free (text->refusal);
  g_free (text->guarded);
  g_free (text);
}
