/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sql: the little of SQLite that the catalogue needs. `types` names what is
 * bound or read, one letter for each: t text (const char * / char buffer and
 * its size), i number (int64_t / int64_t *), u UUID (struct uuid *), k public
 * key (struct sign_public *), b flag (int / bool *).
 */
#ifndef COORDINATOR_SQL_H
#define COORDINATOR_SQL_H

#include "common/err.h"

#include <sqlite3.h>

/* Fills the error from the connection: RETRY when busy, CORRUPT when the file
 * is no good, REFUSED for a constraint, FULL, else FATAL. */
int sql_fail(sqlite3 *db, struct err *e, const char *what);
int sql_exec(sqlite3 *db, const char *text, struct err *e) CHECKED;
/* Prepares and binds. */
int sql_open(sqlite3 *db, sqlite3_stmt **out, struct err *e, const char *text,
    const char *types, ...) CHECKED;
/* Runs one statement that gives no rows. */
int sql_run(sqlite3 *db, struct err *e, const char *text, const char *types,
    ...) CHECKED;
/* The next row: 1, 0 at the end, -1. */
int sql_step(sqlite3_stmt *st, struct err *e) CHECKED;
/* Reads the row's columns; CORRUPT when one is not of the type asked for. */
int sql_row(sqlite3_stmt *st, struct err *e, const char *types, ...) CHECKED;
/* For scope cleanup. */
void sql_close(sqlite3_stmt **st);

#endif
