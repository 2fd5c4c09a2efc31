/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command: the table of what the operator can type. Each entry says its
 * words, what follows them, its options and its text of help; parsing, help
 * and the check of the manual page all go by the table.
 */
#ifndef MANAGER_COMMAND_H
#define MANAGER_COMMAND_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct option_spec {
	const char *name;  /* without the dashes */
	const char *value; /* what it takes, for the help; NULL: nothing */
	const char *help;
};

#define ARGS_LIMIT 4200 /* enough for --onto of every volume */

struct args {
	const char *home; /* as given */
	const struct command *command;
	const char *words[4]; /* positional arguments */
	int word_count;
	struct {
		const struct option_spec *spec;
		const char *value;
	} options[ARGS_LIMIT];
	int option_count;
	char **rest; /* `run`: COMMAND and what follows, NULL at the end */
};

struct command {
	const char *noun, *verb; /* verb NULL: the noun alone */
	const char *synopsis;	 /* what follows, for the help */
	int words_least, words_most;
	bool takes_rest;
	const char *summary;
	const char *text;		   /* teaches, with an example */
	const struct option_spec *options; /* ends with a NULL name */
	int (*run)(struct args *a);	   /* the exit code */
};

extern const struct command commands[];
extern const size_t command_count;

int run_init(struct args *a);
int run_volume_add(struct args *a);
int run_volume_expand(struct args *a);
int run_volume_list(struct args *a);
int run_group_export(struct args *a);
int run_group_layout(struct args *a);
int run_group_list(struct args *a);
int run_group_set(struct args *a);
int run_mirror_add(struct args *a);
int run_mirror_export(struct args *a);
int run_mirror_list(struct args *a);
int run_mirror_pause(struct args *a);
int run_mirror_resume(struct args *a);
int run_relay_add(struct args *a);
int run_relay_export(struct args *a);
int run_relay_list(struct args *a);
int run_mirror_set(struct args *a);
int run_hook_add(struct args *a);
int run_site_set(struct args *a);
int run_hook_remove(struct args *a);
int run_hook_list(struct args *a);
int run_hook_test(struct args *a);
int run_destination_add(struct args *a);
int run_destination_list(struct args *a);
int run_destination_pause(struct args *a);
int run_destination_resume(struct args *a);
int run_destination_limit(struct args *a);
int run_destination_retry(struct args *a);
int run_group_digest(struct args *a);
int run_destination_remove(struct args *a);
int run_destination_template(struct args *a);
int run_destination_test(struct args *a);
int run_projection_add(struct args *a);
int run_projection_list(struct args *a);
int run_projection_remove(struct args *a);
int run_base(struct args *a);
int run_carry_out(struct args *a);
int run_carry_in(struct args *a);
int run_gather(struct args *a);
int run_key_generate(struct args *a);
int run_key_rotate(struct args *a);
int run_key_list(struct args *a);
int run_key_export(struct args *a);
int run_key_import(struct args *a);
int run_key_retire(struct args *a);
int run_run(struct args *a);
int run_status(struct args *a);
int run_wait(struct args *a);
int run_marker(struct args *a);
int run_logwrites_attach(struct args *a);
int run_logwrites_detach(struct args *a);
int run_logwrites_list(struct args *a);
int run_logwrites_rotate(struct args *a);
int run_events(struct args *a);
int run_catalogue_restore(struct args *a);

/* Waits (--timeout) until all destinations of the group of the volume that is
 * the first word have carried out the message. The exit code. */
struct uuid;
bool wait_timeout_is_good(struct args *a); /* else it has been told */
int wait_for_message(struct args *a, const struct uuid *message);

/* ---- parsing (args.c) ---- */
/* Fills *a; -1 with a message when it is no command. argv is lent. */
int args_parse(struct args *a, int argc, char **argv, struct err *e) CHECKED;
/* Prints help, in general or for what was typed so far. */
void args_help(const struct args *a);
/* The option's value ("" for a flag); NULL when it was not given. */
const char *args_option(const struct args *a, const char *name);
bool args_has(const struct args *a, const char *name);

/* "512", "10G": a number, then perhaps K, M, G or T; *end is what follows. */
int size_read(const char *text, const char **end, uint64_t *out) CHECKED;

/* ---- talking to the operator (tell.c) ---- */
/* "aim-manager: text" on standard error; returns `code`. */
int tell(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same from an error, with the exit code that its kind asks for. */
int tell_err(const struct err *e);
/* Writes all to standard output; EXIT_FAILED with a message if it cannot. */
int tell_out(const void *text, size_t len);

#endif
