/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client: has a request carried out: by ourselves when nobody holds the
 * home's lock, else by the coordinator that does. Prints its answer.
 */
#ifndef MANAGER_CLIENT_H
#define MANAGER_CLIENT_H

#include "coordinator/message.h"
#include "manager/command.h"

/* The exit code. */
int client_request(const char *home, const struct message *m);

/* Is a coordinator (or a changing manager) at work on this home? */
struct home;
bool client_is_coordinated(struct home *h);

/*
 * Adds an option of the command line to a request: as it is (a flag as ""),
 * as an absolute path, or as a file's content. An option that was not given
 * adds nothing.
 */
int client_add(struct message *m, const struct args *a, const char *option,
    struct err *e) CHECKED;
/* "10G" as bytes. */
int client_add_size(struct message *m, const struct args *a, const char *option,
    struct err *e) CHECKED;
int client_add_path(struct message *m, const char *key, const char *path,
    struct err *e) CHECKED;
int client_add_content(struct message *m, const char *key, const char *path,
    size_t max, struct err *e) CHECKED;

#endif
