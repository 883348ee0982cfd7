/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "helpers/postgres.h"
#include "helpers/store-bed.h"

#define CONTRACT_NO_PORT G_MININT64

typedef void (*ContractTest) (Bed *bed);

gboolean contract_init (int argc, char **argv);
void contract_end (void);
/* The server behind it; NULL with a driver that needs none. */
Postgres *contract_postgres (void);
/* The test gets an open store with empty tables. */
void contract_test (const char *name, ContractTest func);
/* The test gets a store that is not open; the tables may be there. */
void contract_test_closed (const char *name, ContractTest func);
/* Another bed on the same database. */
void contract_set_up (Bed *bed, const char *folder);
/* Opens it with the contract's tables, empty. */
void contract_open (Bed *bed);

/* A transaction of one statement; @no NULL and @port −1: such a parameter is not there.
 */
ChTx *contract_tx (Bed *bed, const char *statement, const char *no, gint64 port);
void contract_add (ChTx *tx, const char *statement, const char *no, gint64 port);

void contract_add_many (void); /* contract-many.c: order, groups, deadlines, readers */
void contract_add_partitions (void); /* contract-partitions.c: tables by time */
void contract_add_life (void); /* contract-life.c: migrations, closing, owners, backup */
