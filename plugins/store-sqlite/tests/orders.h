/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A table that counts, and a way to fill it. */
#pragma once

#include "helpers/store-bed.h"

static const ChMigration orders_migrations[] = {
    {1, "orders",
     "CREATE TABLE orders (seq INTEGER PRIMARY KEY, port INTEGER NOT NULL, raw BLOB) "
     "STRICT;"
     "CREATE TABLE ports (id INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT;"
     "INSERT INTO ports VALUES (1, 0);",
     NULL},
    {0},
};

static const ChStatement orders_statements[] = {
    {.name = "insert",
     .sql = "INSERT INTO orders (seq, port, raw) VALUES (:seq, 1, :raw)"},
    {.name = "count_up", .sql = "UPDATE ports SET n = n + 1 WHERE id = 1"},
    {.name = "delete", .sql = "DELETE FROM orders"},
    {.name = "count",
     .sql = "SELECT count(*) AS n FROM orders",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "newest",
     .sql = "SELECT coalesce(max(seq), 0) AS n FROM orders",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "ports",
     .sql = "SELECT n FROM ports WHERE id = 1",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "attach", .sql = "ATTACH :seq AS other"},
    {.name = "pragma", .sql = "PRAGMA synchronous = OFF"},
    {.name = "begin", .sql = "BEGIN"},
    {.name = NULL},
};

/* Bed with the table; the store is open. */
static inline void orders_open (Bed *bed)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (
      ch_store_register (bed->user, orders_migrations, orders_statements, NULL));
  bed_open (bed, &error);
  g_assert_no_error (error);
}

/* One order with @size bytes and its port, together. */
static inline ChTx *orders_tx (Bed *bed, gint64 seq, gsize size)
{
  g_autofree char *raw = g_strnfill (size, 'x');
  ChTx *tx = ch_tx_new (bed->user);

  ch_tx_add (tx, NULL, "insert");
  ch_tx_bind_int (tx, "seq", seq);
  ch_tx_bind_blob (tx, "raw", raw, size);
  ch_tx_add (tx, NULL, "count_up");
  ch_tx_guard (tx, 1, 1);
  return tx;
}
