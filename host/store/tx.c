/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Building a transaction. */
#include "store/store-private.h"

#include <math.h>
#include <string.h>

/* One allocation holds the transaction and, commonly, all that is bound. */
#define FIRST_ROOM 3072
/* Kind of a parameter that was not bound yet; the driver never sees it. */
#define UNBOUND ((ChValueKind) 0xff)

ChTx *ch_tx_new (ChPlugin *self)
{
  ChStore *store = self->services->store;
  ChTx *tx = g_malloc (FIRST_ROOM);
  ChTxRun *run = &tx->run;

  G_STATIC_ASSERT (sizeof (ChTx) <= FIRST_ROOM / 2);
  memset (run, 0, sizeof *run);
  run->args.at = (guint8 *) tx + ((sizeof (ChTx) + 7) & ~(gsize) 7);
  run->args.end = (guint8 *) tx + FIRST_ROOM;
  run->args.total = FIRST_ROOM;
  run->plugin = self;
  run->store = store;
  run->result.failed = -1;
  if (store != NULL)
    run->owner = ch_store_owner_ref (ch_store_owner (store, self));
  return tx;
}

void ch_tx_run_free (ChTxRun *run)
{
  while (run->swallowed != NULL) {
    ChTxRun *inner = run->swallowed;
    run->swallowed = inner->next;
    ch_tx_run_free (inner);
  }
  ch_arena_clear (&run->rows);
  g_clear_error (&run->error);
  if (run->owner != NULL)
    ch_store_owner_unref (run->owner);
  ch_arena_clear (&run->args);
  g_free (run);
}

void ch_tx_free (ChTx *tx)
{
  if (tx != NULL)
    ch_tx_run_free (&tx->run);
}

void ch_tx_run_fail (ChTxRun *run, GError *error)
{
  if (run->error == NULL)
    run->error = error;
  else
    g_error_free (error);
}

G_GNUC_PRINTF (2, 3)
static void fail_usage (ChTxRun *run, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  ch_tx_run_fail (
      run, g_error_new_valist (CH_STORE_ERROR, CH_STORE_ERROR_USAGE, format, args));
  va_end (args);
}

/* ---- statements -------------------------------------------------------------------- */

static ChTxStatement *add_slot (ChTxRun *run)
{
  if (run->n == run->room) {
    guint room = MAX (4, run->room * 2);
    ChTxStatement *grown = ch_arena_alloc (&run->args, room * sizeof (ChTxStatement));
    if (run->n > 0)
      memcpy (grown, run->statements, run->n * sizeof (ChTxStatement));
    run->statements = grown;
    run->room = room;
  }
  ChTxStatement *statement = &run->statements[run->n++];
  statement->guard_min = 0;
  statement->guard_max = G_MAXUINT64;
  return statement;
}

ChValue *ch_tx_run_append (ChTxRun *run, const ChPrepared *prepared)
{
  guint n = prepared->n_params;
  ChTxStatement *statement = add_slot (run);
  ChValue *params = ch_arena_alloc (&run->args, n * sizeof (ChValue));

  statement->prepared = prepared;
  statement->params = params;
  if (!prepared->read_only)
    run->writes = TRUE;
  return params;
}

/* Values of a row, all NULL. Before them stands one that tells how many there are. */
static void make_row_room (ChTxRun *run, guint room)
{
  ChValue *values = ch_arena_alloc (&run->args, (room + 1) * sizeof (ChValue));

  values[0].size = room;
  for (guint i = 0; i <= room; i++)
    values[i].kind = CH_VALUE_NULL;
  run->statements[run->n - 1].params = values;
  run->params = values + 1;
}

static void add_row (ChTxRun *run)
{
  ChTxStatement *statement = add_slot (run);

  run->is_rows = TRUE;
  run->columns.next = 0;
  statement->prepared = NULL;
  make_row_room (run, MAX (8, run->columns.n));
}

guint ch_tx_add (ChTx *tx, ChPlugin *owner, const char *statement)
{
  ChTxRun *run = &tx->run;
  ChStoreOwner *entry = run->owner;

  run->params = NULL;
  run->next_param = 0;
  if (run->store == NULL || run->store->driver == NULL) {
    ch_tx_run_fail (run, g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE,
                                      "the store is not open"));
    return run->n;
  }
  if (owner != NULL && owner != entry->plugin)
    entry = ch_store_owner (run->store, owner);
  ChStoreStatement *found = ch_store_find_statement (entry, statement);
  if (found == NULL && g_str_equal (statement, CH_STORE_ROW)) {
    if (run->n > 0 && !run->is_rows)
      fail_usage (run, "rows of a bulk insert among statements");
    add_row (run);
    return run->n - 1;
  }
  if (found == NULL || run->is_rows) {
    fail_usage (run, "%s has no statement %s",
                entry->plugin != NULL ? entry->plugin->name : "a stopped plugin",
                statement);
    return run->n;
  }
  run->params = ch_tx_run_append (run, &found->prepared);
  for (guint i = 0; i < found->prepared.n_params; i++)
    run->params[i].kind = UNBOUND;
  run->unbound += found->prepared.n_params;
  return run->n - 1;
}

void ch_tx_guard (ChTx *tx, guint64 min, guint64 max)
{
  ChTxRun *run = &tx->run;

  if (run->n == 0) {
    fail_usage (run, "a guard without a statement");
    return;
  }
  run->statements[run->n - 1].guard_min = min;
  run->statements[run->n - 1].guard_max = max;
}

/* Keeps the memory of what was appended until the end. */
static void swallow (ChTxRun *run, ChTxRun *from)
{
  while (from->swallowed != NULL) {
    ChTxRun *inner = from->swallowed;
    from->swallowed = inner->next;
    inner->next = run->swallowed;
    run->swallowed = inner;
  }
  from->next = run->swallowed;
  run->swallowed = from;
}

void ch_tx_append (ChTx *tx, ChTx *other)
{
  ChTxRun *run = &tx->run;
  ChTxRun *from = &other->run;

  if (from->error != NULL)
    ch_tx_run_fail (run, g_steal_pointer (&from->error));
  if (run->n > 0 && from->n > 0 && run->is_rows != from->is_rows)
    fail_usage (run, "rows of a bulk insert among statements");
  else if (from->is_rows && run->is_rows)
    fail_usage (run, "rows of two bulk inserts");
  for (guint i = 0; i < from->n; i++)
    *add_slot (run) = from->statements[i];
  run->writes |= from->writes;
  run->unbound += from->unbound;
  if (run->n == from->n && from->is_rows) {
    run->is_rows = TRUE;
    run->columns = from->columns;
  }
  if (from->notes != NULL) {
    *(run->last_note != NULL ? &run->last_note->next : &run->notes) = from->notes;
    run->last_note = from->last_note;
  }
  run->params = NULL;
  swallow (run, from);
}

gboolean ch_tx_is_empty (ChTx *tx)
{
  return tx->run.n == 0;
}

/* ---- parameters ---------------------------------------------------------------------
 */

/* Commonly the parameters are bound in their order: the next one is tried first. */
static ChValue *param_slot (ChTxRun *run, const char *name)
{
  const ChStoreStatement *statement
      = (const ChStoreStatement *) run->statements[run->n - 1].prepared;
  guint n = statement->prepared.n_params;

  for (guint i = 0, at = run->next_param; i < n; i++, at++) {
    if (at >= n)
      at = 0;
    if (strcmp (statement->params[at], name) == 0) {
      run->next_param = at + 1;
      if (run->params[at].kind == UNBOUND)
        run->unbound--;
      return &run->params[at];
    }
  }
  fail_usage (run, "%s has no parameter %s", statement->name, name);
  return NULL;
}

static void add_column (ChTxRun *run, const char *name)
{
  ChTxColumns *columns = &run->columns;

  if (columns->n % 8 == 0) {
    const char **grown
        = ch_arena_alloc (&run->args, (columns->n + 8) * sizeof (const char *));
    if (columns->n > 0)
      memcpy (grown, columns->names, columns->n * sizeof (const char *));
    columns->names = grown;
  }
  columns->names[columns->n++] = ch_arena_text (&run->args, name, strlen (name));
  const ChValue *old = run->params - 1;
  if (columns->n <= old->size)
    return;
  make_row_room (run, old->size * 2);
  memcpy (run->params, old + 1, old->size * sizeof (ChValue));
}

static ChValue *row_slot (ChTxRun *run, const char *name)
{
  ChTxColumns *columns = &run->columns;

  for (guint i = 0, at = columns->next; i < columns->n; i++, at++) {
    if (at >= columns->n)
      at = 0;
    if (strcmp (columns->names[at], name) == 0) {
      columns->next = at + 1;
      return &run->params[at];
    }
  }
  if (columns->n >= 1000) {
    fail_usage (run, "more than 1000 columns");
    return NULL;
  }
  add_column (run, name);
  columns->next = columns->n;
  return &run->params[columns->n - 1];
}

/* The place of a parameter, NULL when the transaction has failed. */
static ChValue *slot (ChTx *tx, const char *name, ChValueKind kind)
{
  ChTxRun *run = &tx->run;

  if (run->params == NULL) {
    fail_usage (run, "parameter %s without a statement", name);
    return NULL;
  }
  ChValue *value = run->is_rows ? row_slot (run, name) : param_slot (run, name);
  if (value != NULL) {
    value->kind = kind;
    value->size = 0;
  }
  return value;
}

void ch_tx_bind_int (ChTx *tx, const char *name, gint64 number)
{
  ChValue *value = slot (tx, name, number == CH_UNSET ? CH_VALUE_NULL : CH_VALUE_INT);
  if (value != NULL)
    value->i = number;
}

void ch_tx_bind_double (ChTx *tx, const char *name, double number)
{
  ChValue *value = slot (tx, name, isnan (number) ? CH_VALUE_NULL : CH_VALUE_DOUBLE);
  if (value != NULL)
    value->d = number;
}

void ch_tx_bind_bool (ChTx *tx, const char *name, gboolean flag)
{
  ChValue *value = slot (tx, name, CH_VALUE_BOOL);
  if (value != NULL)
    value->i = flag != FALSE;
}

void ch_tx_bind_time (ChTx *tx, const char *name, gint64 wall_ms)
{
  ChValue *value = slot (tx, name, wall_ms == CH_UNSET ? CH_VALUE_NULL : CH_VALUE_TIME);
  if (value != NULL)
    value->i = wall_ms;
}

static void bind_bytes (ChTx *tx, const char *name, ChValueKind kind, const void *bytes,
                        gsize size)
{
  ChValue *value = slot (tx, name, kind);

  if (value == NULL)
    return;
  if (size > CH_STORE_VALUE_MAX) {
    value->kind = CH_VALUE_NULL;
    fail_usage (&tx->run, "parameter %s has %" G_GSIZE_FORMAT " bytes", name, size);
    return;
  }
  value->size = (guint32) size;
  value->text = ch_arena_text (&tx->run.args, bytes, size);
}

static void bind_utf8 (ChTx *tx, const char *name, ChValueKind kind, const char *text)
{
  if (text == NULL) {
    slot (tx, name, CH_VALUE_NULL);
    return;
  }
  gsize size = strlen (text);
  if (G_LIKELY (g_utf8_validate_len (text, size, NULL))) {
    bind_bytes (tx, name, kind, text, size);
  } else {
    g_autofree char *valid = g_utf8_make_valid (text, (gssize) size);
    bind_bytes (tx, name, kind, valid, strlen (valid));
  }
}

void ch_tx_bind_text (ChTx *tx, const char *name, const char *text)
{
  bind_utf8 (tx, name, CH_VALUE_TEXT, text);
}

void ch_tx_bind_json (ChTx *tx, const char *name, const char *json)
{
  bind_utf8 (tx, name, CH_VALUE_JSON, json);
}

void ch_tx_bind_blob (ChTx *tx, const char *name, const void *bytes, gsize size)
{
  if (bytes == NULL)
    slot (tx, name, CH_VALUE_NULL);
  else
    bind_bytes (tx, name, CH_VALUE_BLOB, bytes, size);
}

void ch_tx_bind_null (ChTx *tx, const char *name)
{
  slot (tx, name, CH_VALUE_NULL);
}

static const char *first_unbound (const ChTxRun *run, const char **param)
{
  for (guint i = 0; i < run->n; i++) {
    const ChTxStatement *s = &run->statements[i];
    for (guint k = 0; k < s->prepared->n_params; k++) {
      if (s->params[k].kind == UNBOUND) {
        *param = ((const ChStoreStatement *) s->prepared)->params[k];
        return s->prepared->name;
      }
    }
  }
  return NULL;
}

gboolean ch_tx_run_check_complete (ChTxRun *run, GError **error)
{
  const char *param = NULL;

  if (run->error != NULL) {
    g_propagate_error (error, g_steal_pointer (&run->error));
    return FALSE;
  }
  if (run->is_rows && !run->is_bulk) {
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE,
                 "rows are for ch_store_bulk_insert() only");
    return FALSE;
  }
  if (run->unbound > 0) {
    const char *name = first_unbound (run, &param);
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE,
                 "parameter %s of %s is not bound", param, name);
    return FALSE;
  }
  return TRUE;
}
