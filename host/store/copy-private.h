/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the copy between two databases share. */
#pragma once

#include "store/store-private.h"

/* What a column holds, whatever it is stored as. */
typedef enum {
  CH_COPY_INT,
  CH_COPY_DOUBLE,
  CH_COPY_BOOL,
  CH_COPY_TEXT,
  CH_COPY_BLOB,
  CH_COPY_TIME, /* milliseconds */
  CH_COPY_JSON,
} ChCopyKind;

typedef struct {
  char *name;
  ChCopyKind kind;
  guint key; /* place in the primary key, from 1; 0 is none */
} ChCopyColumn;

typedef struct {
  char *name;
  GPtrArray *columns; /* of ChCopyColumn */
  guint n_key;
  GPtrArray *needs; /* names of tables that its foreign keys point to */
  guint mark;       /* while they are put in order */
} ChCopyTable;

/* What there is to copy, tables before those that point to them. */
typedef struct {
  GPtrArray *tables;    /* of ChCopyTable */
  GPtrArray *sequences; /* names */
} ChCopyCatalog;

/* Rows and the sum of their hashes: the same in whatever order they come. */
typedef struct {
  guint64 rows;
  guint64 sum[2];
} ChCopyDigest;

gboolean ch_copy_is_pgsql (ChStore *store);
void ch_copy_fail (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);
/* Runs a query and waits. @params: NULL or one for each parameter */
gboolean ch_copy_ask (ChStore *store, const char *sql, const ChValue *params,
                      ChTxDone done, gpointer data, GError **error);
gboolean ch_copy_script (ChStore *store, const char *sql, GError **error);

/* copy-catalog.c: @typed is the one with PostgreSQL, whose columns have types. */
ChCopyCatalog *ch_copy_catalog_read (ChStore *typed, ChStore *other, GError **error);
void ch_copy_catalog_free (ChCopyCatalog *catalog);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChCopyCatalog, ch_copy_catalog_free)

/* copy-rows.c */
/* Reads a whole table; with @to its rows are also inserted there. */
gboolean ch_copy_rows (ChStore *from, const ChCopyTable *table, ChStore *to,
                       ChCopyDigest *digest, GError **error);

/* copy-value.c */
typedef struct {
  ChCopyKind kind;
  gboolean null;
  gint64 i;
  double d;
  const char *text; /* or bytes */
  gsize size;
} ChCopyValue;

/* Takes a value for what its column holds; FALSE when it is something else. */
gboolean ch_copy_take (ChCopyKind kind, const ChValue *from, ChCopyValue *to);
gboolean ch_copy_hash (const ChCopyValue *value, GChecksum *sum, GError **error);
gboolean ch_copy_literal (const ChCopyValue *value, gboolean pgsql, GString *sql,
                          GError **error);
