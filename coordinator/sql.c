/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/sql.h"

#include "common/cleanup.h"
#include "common/uuid.h"
#include "fileformat/sign.h"

#include <stdarg.h>
#include <string.h>

int
sql_fail(sqlite3 *db, struct err *e, const char *what)
{
	enum err_kind kind = ERR_FATAL;

	switch (sqlite3_errcode(db) & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_NOMEM:
		kind = ERR_RETRY;
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		kind = ERR_CORRUPT;
		break;
	case SQLITE_FULL:
		kind = ERR_FULL;
		break;
	case SQLITE_CONSTRAINT:
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
		kind = ERR_REFUSED;
		break;
	default:
		break;
	}
	return err_set(
	    e, kind, "catalogue.db: %s: %s", what, sqlite3_errmsg(db));
}

int
sql_exec(sqlite3 *db, const char *text, struct err *e)
{
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		return sql_fail(db, e, "statement failed");
	return 0;
}

void
sql_close(sqlite3_stmt **st)
{
	if (*st != NULL)
		(void)sqlite3_finalize(*st);
	*st = NULL;
}

static int
bind_one(sqlite3_stmt *st, int at, char type, va_list *ap)
{
	char text[2 * sizeof(struct sign_public) + 1];
	const char *t;

	switch (type) {
	case 'i':
		return sqlite3_bind_int64(st, at, va_arg(*ap, int64_t));
	case 'b':
		return sqlite3_bind_int(st, at, va_arg(*ap, int) != 0);
	case 'u':
		(void)uuid_text(va_arg(*ap, const struct uuid *), text);
		return sqlite3_bind_text(st, at, text, -1, SQLITE_TRANSIENT);
	case 'k':
		(void)hex_text(va_arg(*ap, const struct sign_public *)->key,
		    sizeof(struct sign_public), text);
		return sqlite3_bind_text(st, at, text, -1, SQLITE_TRANSIENT);
	default:
		t = va_arg(*ap, const char *);
		return sqlite3_bind_text(st, at, t, -1, SQLITE_TRANSIENT);
	}
}

static int
open_list(sqlite3 *db, sqlite3_stmt **out, struct err *e, const char *text,
    const char *types, va_list *ap)
{
	AUTO(sql_close) sqlite3_stmt *st = NULL;

	if (sqlite3_prepare_v2(db, text, -1, &st, NULL) != SQLITE_OK)
		return sql_fail(db, e, "prepare");
	for (int i = 0; types[i] != 0; i++)
		if (bind_one(st, i + 1, types[i], ap) != SQLITE_OK)
			return sql_fail(db, e, "bind");
	*out = STEAL(st);
	return 0;
}

int
sql_open(sqlite3 *db, sqlite3_stmt **out, struct err *e, const char *text,
    const char *types, ...)
{
	va_list ap;
	int done;

	va_start(ap, types);
	done = open_list(db, out, e, text, types, &ap);
	va_end(ap);
	return done;
}

int
sql_run(sqlite3 *db, struct err *e, const char *text, const char *types, ...)
{
	AUTO(sql_close) sqlite3_stmt *st = NULL;
	va_list ap;
	int done;

	va_start(ap, types);
	done = open_list(db, &st, e, text, types, &ap);
	va_end(ap);
	if (done < 0)
		return -1;
	return sql_step(st, e) < 0 ? -1 : 0;
}

int
sql_step(sqlite3_stmt *st, struct err *e)
{
	int got = sqlite3_step(st);

	if (got == SQLITE_ROW)
		return 1;
	if (got == SQLITE_DONE)
		return 0;
	return sql_fail(sqlite3_db_handle(st), e, "read or write");
}

static bool
take_text(const char *t, char *out, size_t room)
{
	if (t == NULL || strlen(t) >= room)
		return false;
	(void)strcpy(out, t);
	return true;
}

static bool
take_one(sqlite3_stmt *st, int at, char type, va_list *ap)
{
	const char *t;
	struct uuid *u;
	char *room;

	if (type == 'i') {
		*va_arg(*ap, int64_t *) = sqlite3_column_int64(st, at);
		return sqlite3_column_type(st, at) == SQLITE_INTEGER;
	}
	if (type == 'b') {
		*va_arg(*ap, bool *) = sqlite3_column_int(st, at) != 0;
		return sqlite3_column_type(st, at) == SQLITE_INTEGER;
	}
	t = (const char *)sqlite3_column_text(st, at);
	if (type == 'u') {
		u = va_arg(*ap, struct uuid *);
		return t != NULL && uuid_parse(t, u, NULL) == 0;
	}
	if (type == 'k') {
		struct sign_public *k = va_arg(*ap, struct sign_public *);

		return t != NULL &&
		       hex_parse(t, k->key, sizeof(k->key), NULL) == 0;
	}
	room = va_arg(*ap, char *);
	return take_text(t, room, va_arg(*ap, size_t));
}

int
sql_row(sqlite3_stmt *st, struct err *e, const char *types, ...)
{
	bool good = true;
	va_list ap;
	int i;

	va_start(ap, types);
	for (i = 0; good && types[i] != 0; i++)
		good = take_one(st, i, types[i], &ap);
	va_end(ap);
	if (!good)
		return err_set(e, ERR_CORRUPT,
		    "catalogue.db: column %s has a value that cannot be",
		    sqlite3_column_name(st, i - 1));
	return 0;
}
