/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables and statements of the store's contract. */
#pragma once

#include <chargehost/store.h>

static const ChMigration contract_migrations[] = {
    {1, "orders",
     "CREATE TABLE contract_orders ("
     " order_no TEXT PRIMARY KEY, port INTEGER NOT NULL CHECK (port >= 0),"
     " amount REAL, active INTEGER, at INTEGER, raw BLOB, note TEXT,"
     " info TEXT CHECK (info IS NULL OR json_valid (info))) STRICT;"
     "CREATE TABLE contract_items (id INTEGER PRIMARY KEY,"
     " order_no TEXT NOT NULL REFERENCES contract_orders (order_no)) STRICT;"
     "CREATE TABLE contract_late (id INTEGER PRIMARY KEY,"
     " order_no TEXT NOT NULL REFERENCES contract_orders (order_no)"
     " DEFERRABLE INITIALLY DEFERRED) STRICT;",
     "CREATE TABLE contract_orders ("
     " order_no text PRIMARY KEY, port bigint NOT NULL CHECK (port >= 0),"
     " amount double precision, active boolean, at timestamptz, raw bytea, note text,"
     " info jsonb);"
     "CREATE TABLE contract_items (id bigserial PRIMARY KEY,"
     " order_no text NOT NULL REFERENCES contract_orders (order_no));"
     "CREATE TABLE contract_late (id bigserial PRIMARY KEY,"
     " order_no text NOT NULL REFERENCES contract_orders (order_no)"
     " DEFERRABLE INITIALLY DEFERRED);"},
    {2, "counter",
     "CREATE TABLE contract_counter (id INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT;"
     "INSERT INTO contract_counter VALUES (1, 0);",
     "CREATE TABLE contract_counter (id bigint PRIMARY KEY, n bigint NOT NULL);"
     "INSERT INTO contract_counter VALUES (1, 0);"},
    {0},
};

static const ChStatement contract_statements[] = {
    {.name = "insert",
     .sql = "INSERT INTO contract_orders (order_no, port) VALUES (:no, :port)"},
    {.name = "insert_all",
     .sql
     = "INSERT INTO contract_orders (order_no, port, amount, active, at, raw, note, info)"
       " VALUES (:no, :port, :amount, :active, :at, :raw, :note, :info)"},
    {.name = "upsert",
     .sql = "INSERT INTO contract_orders (order_no, port) VALUES (:no, :port)"
            " ON CONFLICT (order_no) DO UPDATE SET port = excluded.port"
            " RETURNING order_no, port"},
    {.name = "add_once",
     .sql = "INSERT INTO contract_orders (order_no, port) VALUES (:no, :port)"
            " ON CONFLICT DO NOTHING"},
    {.name = "set_port",
     .sql = "UPDATE contract_orders SET port = :port WHERE order_no = :no"},
    {.name = "set_all", .sql = "UPDATE contract_orders SET port = :port"},
    {.name = "delete", .sql = "DELETE FROM contract_orders WHERE order_no = :no"},
    {.name = "delete_all", .sql = "DELETE FROM contract_orders"},
    {.name = "get",
     .sql = "SELECT order_no, port, amount, active, at, raw, note, info"
            " FROM contract_orders WHERE order_no = :no",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "star",
     .sql = "SELECT * FROM contract_counter",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "list",
     .sql = "SELECT order_no, port FROM contract_orders ORDER BY order_no",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "count",
     .sql = "SELECT count(*) AS n FROM contract_orders",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "count_items",
     .sql = "SELECT count(*) AS n FROM contract_items",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "item", .sql = "INSERT INTO contract_items (order_no) VALUES (:no)"},
    {.name = "item_of_port",
     .sql = "INSERT INTO contract_items (order_no)"
            " SELECT order_no FROM contract_orders WHERE port = :port"},
    {.name = "late", .sql = "INSERT INTO contract_late (order_no) VALUES (:no)"},
    {.name = "step",
     .sql = "UPDATE contract_counter SET n = :n WHERE id = 1 AND n = :n - 1"},
    {.name = "counter",
     .sql = "SELECT n FROM contract_counter WHERE id = 1",
     .flags = CH_STATEMENT_READ_ONLY},
    /* runs for minutes */
    {.name = "slow",
     .sql = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c"
            " WHERE x < 2000000000) SELECT count(*) AS n FROM c",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "slow_write",
     .sql = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c"
            " WHERE x < 2000000000)"
            " INSERT INTO contract_counter SELECT 2, count(*) FROM c"},
    /* mistakes */
    {.name = "no_table", .sql = "SELECT n FROM contract_nothing"},
    {.name = "lies",
     .sql = "DELETE FROM contract_orders",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = "commit", .sql = "COMMIT"},
    {.name = NULL},
};
