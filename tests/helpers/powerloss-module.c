/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The file layer that loses power as a loadable extension: store-sqlite.vfs_module. */
#include "powerloss-vfs.h"

#include <sqlite3.h>

typedef struct sqlite3_api_routines Routines;

/* The name that SQLite makes of the file's name. */
__attribute__ ((visibility ("default"))) int sqlite3_powerlossvfs_init (
    sqlite3 *db, char **message, const Routines *routines);

int sqlite3_powerlossvfs_init (sqlite3 *db, char **message, const Routines *routines)
{
  int rc = powerloss_register ();
  return rc == SQLITE_OK ? SQLITE_OK_LOAD_PERMANENTLY : rc;
}
