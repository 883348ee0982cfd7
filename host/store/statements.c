/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who uses the store, and the statements they registered. */
#include "store/store-private.h"

#include <string.h>

static void statement_free (gpointer data)
{
  ChStoreStatement *statement = data;
  for (guint i = 0; i < statement->prepared.n_params; i++)
    g_free ((char *) statement->params[i]);
  g_free (statement->params);
  g_free (statement->name);
  g_free (statement->sql);
  g_free (statement);
}

void ch_store_statements_init (ChStore *store)
{
  store->owners = g_hash_table_new (NULL, NULL);
  store->in_order = g_ptr_array_new ();
  store->statements
      = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, statement_free);
  store->texts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
}

void ch_store_statements_clear (ChStore *store)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, store->owners);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    ChStoreOwner *owner = value;
    g_hash_table_iter_remove (&iter);
    ch_owner_unlink (&owner->resource);
    ch_store_owner_orphan (owner);
    ch_store_owner_unref (owner);
  }
  g_hash_table_unref (store->owners);
  g_ptr_array_unref (store->in_order);
  g_hash_table_unref (store->statements);
  g_hash_table_unref (store->texts);
}

/* ---- owners ----------------------------------------------------------------------- */

static void revoke_owner (ChResource *resource)
{
  ChStoreOwner *owner = (ChStoreOwner *) resource;
  ChStore *store = owner->store;

  g_hash_table_remove (store->owners, owner->plugin);
  g_ptr_array_remove (store->in_order, owner);
  ch_store_owner_orphan (owner);
  ch_store_owner_unref (owner);
}

static const ChResourceKind owner_kind = {"uses of the store", revoke_owner};

ChStoreOwner *ch_store_owner (ChStore *store, ChPlugin *plugin)
{
  ChStoreOwner *owner = g_hash_table_lookup (store->owners, plugin);

  if (owner != NULL)
    return owner;
  owner = g_new0 (ChStoreOwner, 1);
  owner->refs = 1;
  owner->store = store;
  owner->plugin = plugin;
  owner->lane = store->next_lane++;
  owner->statements = g_hash_table_new (g_str_hash, g_str_equal);
  owner->tables = g_ptr_array_new ();
  g_hash_table_insert (store->owners, plugin, owner);
  ch_owner_link (plugin, &owner->resource, &owner_kind);
  return owner;
}

ChStoreOwner *ch_store_owner_ref (ChStoreOwner *owner)
{
  owner->refs++;
  return owner;
}

void ch_store_owner_unref (ChStoreOwner *owner)
{
  if (--owner->refs > 0)
    return;
  g_hash_table_unref (owner->statements);
  g_ptr_array_unref (owner->tables);
  g_free (owner);
}

/* ---- statements -------------------------------------------------------------------- */

static guint number_of_text (ChStore *store, const char *sql)
{
  gpointer number;

  if (g_hash_table_lookup_extended (store->texts, sql, NULL, &number))
    return GPOINTER_TO_UINT (number);
  guint fresh = g_hash_table_size (store->texts);
  g_hash_table_insert (store->texts, g_strdup (sql), GUINT_TO_POINTER (fresh));
  return fresh;
}

ChStoreStatement *ch_store_intern (ChStore *store, const char *name, const char *sql,
                                   gboolean read_only, GError **error)
{
  g_autofree char *key = g_strdup_printf ("%s\n%d%s", name, read_only != FALSE, sql);
  ChStoreStatement *statement = g_hash_table_lookup (store->statements, key);

  if (statement != NULL)
    return statement;
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  char *text = ch_store_translate (sql, store->driver->dialect, names, error);
  if (text == NULL) {
    g_prefix_error (error, "statement %s: ", name);
    return NULL;
  }
  statement = g_new0 (ChStoreStatement, 1);
  statement->name = g_strdup (name);
  statement->sql = text;
  statement->prepared.name = statement->name;
  statement->prepared.sql = text;
  statement->prepared.n_params = names->len;
  statement->prepared.read_only = read_only;
  statement->prepared.id = number_of_text (store, text);
  g_ptr_array_set_free_func (names, NULL);
  statement->params
      = (const char **) g_memdup2 (names->pdata, names->len * sizeof (char *));
  g_hash_table_insert (store->statements, g_steal_pointer (&key), statement);
  return statement;
}

static const char *text_for (const ChStatement *statement, const char *dialect)
{
  const char *variant
      = g_str_equal (dialect, "pgsql") ? statement->pgsql : statement->sqlite;
  return variant != NULL ? variant : statement->sql;
}

static gboolean translate_table (ChStoreOwner *owner, const ChStatement *table,
                                 GError **error)
{
  ChStore *store = owner->store;

  for (const ChStatement *s = table; s->name != NULL; s++) {
    const char *sql = text_for (s, store->driver->dialect);
    g_autofree char *name = g_strdup_printf ("%s.%s", owner->plugin->name, s->name);
    if (sql == NULL) {
      g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE,
                   "statement %s has no text for %s", name, store->driver->dialect);
      return FALSE;
    }
    ChStoreStatement *statement = ch_store_intern (
        store, name, sql, (s->flags & CH_STATEMENT_READ_ONLY) != 0, error);
    if (statement == NULL)
      return FALSE;
    g_hash_table_replace (owner->statements, (gpointer) s->name, statement);
  }
  return TRUE;
}

gboolean ch_store_translate_owner (ChStoreOwner *owner, GError **error)
{
  for (guint i = 0; i < owner->tables->len; i++)
    if (!translate_table (owner, g_ptr_array_index (owner->tables, i), error))
      return FALSE;
  return TRUE;
}

ChStoreStatement *ch_store_find_statement (ChStoreOwner *owner, const char *name)
{
  return g_hash_table_lookup (owner->statements, name);
}

static gboolean is_taken (ChStoreOwner *owner, const char *name)
{
  for (guint i = 0; i < owner->tables->len; i++)
    for (const ChStatement *s = g_ptr_array_index (owner->tables, i); s->name != NULL;
         s++)
      if (g_str_equal (s->name, name))
        return TRUE;
  return FALSE;
}

static gboolean check_table (ChStoreOwner *owner, const ChStatement *table,
                             GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  for (const ChStatement *s = table; s->name != NULL; s++) {
    const char *wrong = NULL;
    if (g_str_equal (s->name, CH_STORE_ROW))
      wrong = "this name is reserved";
    else if (s->sql == NULL && (s->sqlite == NULL || s->pgsql == NULL))
      wrong = "a dialect has no text";
    else if (is_taken (owner, s->name) || !g_hash_table_add (seen, (gpointer) s->name))
      wrong = "registered twice";
    if (wrong != NULL) {
      g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE, "statement %s.%s: %s",
                   owner->plugin->name, s->name, wrong);
      return FALSE;
    }
  }
  return TRUE;
}

/* What only a start tells, nobody knows who works on a database without starting. */
static gboolean is_declared (ChPlugin *self, const ChMigration *migrations,
                             GError **error)
{
  if (migrations == NULL || self->info == NULL || self->info->migrations == migrations)
    return TRUE;
  g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE,
               "%s registers migrations that its descriptor does not name", self->name);
  return FALSE;
}

gboolean ch_store_register (ChPlugin *self, const ChMigration *migrations,
                            const ChStatement *statements, GError **error)
{
  ChStore *store = self->services->store;

  if (store == NULL) {
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE, "there is no store");
    return FALSE;
  }
  if (!is_declared (self, migrations, error))
    return FALSE;
  ChStoreOwner *owner = ch_store_owner (store, self);
  if (migrations != NULL) {
    if (owner->migrations != NULL) {
      g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE,
                   "%s registered migrations before", self->name);
      return FALSE;
    }
    owner->migrations = migrations;
    g_ptr_array_add (store->in_order, owner);
    if (store->driver != NULL && !ch_store_migrate (store, owner, error))
      return FALSE;
  }
  if (statements != NULL) {
    if (!check_table (owner, statements, error))
      return FALSE;
    g_ptr_array_add (owner->tables, (gpointer) statements);
    if (store->driver != NULL && !translate_table (owner, statements, error))
      return FALSE;
  }
  return TRUE;
}

const ChPrepared *ch_store_prepared (ChStore *store, ChPlugin *owner,
                                     const char *statement)
{
  ChStoreOwner *entry = g_hash_table_lookup (store->owners, owner);
  ChStoreStatement *found
      = entry != NULL ? ch_store_find_statement (entry, statement) : NULL;
  return found != NULL ? &found->prepared : NULL;
}

void ch_store_foreach_prepared (ChStore *store,
                                void (*func) (const ChPrepared *p, gpointer data),
                                gpointer data)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, store->statements);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    func (&((ChStoreStatement *) value)->prepared, data);
}
