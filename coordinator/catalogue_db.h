/* SPDX-License-Identifier: Apache-2.0 */
/* catalogue_db: the inside of a catalogue. Only for catalogue*.c. */
#ifndef COORDINATOR_CATALOGUE_DB_H
#define COORDINATOR_CATALOGUE_DB_H

#include "coordinator/catalogue.h"

#include <sqlite3.h>

struct catalogue {
	sqlite3 *db;
	struct home *home; /* lent */
};

#endif
