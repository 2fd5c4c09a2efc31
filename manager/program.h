/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program: finds what `run` is to start, and says whether the preload driver
 * can be in it: only a program that the system's dynamic linker loads, and
 * that starts with the rights that we have.
 */
#ifndef MANAGER_PROGRAM_H
#define MANAGER_PROGRAM_H

#include "common/err.h"

#include <limits.h>

/* Along $PATH as execvp(3). REFUSED; sys is ENOENT when there is none. */
int program_find(const char *name, char path[PATH_MAX], struct err *e) CHECKED;
/* REFUSED with the reason: static, setuid, another C library... Follows
 * "#!" to the interpreter. */
int program_check(const char *path, struct err *e) CHECKED;

#endif
