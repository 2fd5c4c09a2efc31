/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_HOME "/var/lib/aim"

/* Understood everywhere. */
static const struct option_spec common_options[] = {
    {"home", "DIR", "home (else $AIM_HOME, else " DEFAULT_HOME ")"},
    {"help", NULL, "says how it is used"},
    {"version", NULL, "says which release this is"},
    {NULL, NULL, NULL},
};

static const struct option_spec *
find_option(const struct option_spec *list, const char *name, size_t len)
{
	for (; list != NULL && list->name != NULL; list++)
		if (strncmp(list->name, name, len) == 0 && list->name[len] == 0)
			return list;
	return NULL;
}

static int
add_option(struct args *a, const struct option_spec *spec, const char *value,
    struct err *e)
{
	if (a->option_count == ARGS_LIMIT)
		return err_set(e, ERR_REFUSED, "too many options");
	a->options[a->option_count].spec = spec;
	a->options[a->option_count++].value = value;
	if (strcmp(spec->name, "home") == 0)
		a->home = value;
	return 0;
}

/* One option at argv[*at], which is moved past its value. */
static int
take_option(struct args *a, int argc, char **argv, int *at, struct err *e)
{
	const char *name = argv[*at] + 2;
	const char *sign = strchr(name, '=');
	size_t len = sign != NULL ? (size_t)(sign - name) : strlen(name);
	const struct option_spec *spec = find_option(common_options, name, len);

	if (spec == NULL && a->command != NULL)
		spec = find_option(a->command->options, name, len);
	if (spec == NULL)
		return err_set(e, ERR_REFUSED, "no option --%.*s%s", (int)len,
		    name, a->command == NULL ? " before a command" : "");
	if (spec->value == NULL) {
		if (sign != NULL)
			return err_set(e, ERR_REFUSED,
			    "option --%s takes no value", spec->name);
		return add_option(a, spec, "", e);
	}
	if (sign != NULL)
		return add_option(a, spec, sign + 1, e);
	if (*at + 1 >= argc)
		return err_set(e, ERR_REFUSED, "option --%s needs %s",
		    spec->name, spec->value);
	return add_option(a, spec, argv[++*at], e);
}

static bool
is_noun(const char *word)
{
	for (size_t i = 0; i < command_count; i++)
		if (strcmp(commands[i].noun, word) == 0)
			return true;
	return false;
}

/* The command that the first words name; NULL when they name none yet. */
static const struct command *
find_command(const char *noun, const char *verb)
{
	for (size_t i = 0; i < command_count; i++) {
		const struct command *c = &commands[i];

		if (strcmp(c->noun, noun) != 0)
			continue;
		if (c->verb == NULL ||
		    (verb != NULL && strcmp(c->verb, verb) == 0))
			return c;
	}
	return NULL;
}

/* A word: noun, verb, or an argument of the command. */
static int
take_word(struct args *a, const char **noun, const char *word, struct err *e)
{
	if (a->command != NULL) {
		if (a->word_count == a->command->words_most)
			return err_set(e, ERR_REFUSED,
			    "'%s' is one argument too many", word);
		a->words[a->word_count++] = word;
		return 0;
	}
	if (*noun == NULL) {
		if (!is_noun(word))
			return err_set(e, ERR_REFUSED, "no command '%s'", word);
		*noun = word;
		a->words[0] = word; /* for the help */
		a->command = find_command(word, NULL);
		return 0;
	}
	a->command = find_command(*noun, word);
	if (a->command == NULL)
		return err_set(
		    e, ERR_REFUSED, "no command '%s %s'", *noun, word);
	return 0;
}

static int
check_count(struct args *a, const char *noun, struct err *e)
{
	if (args_has(a, "help") || args_has(a, "version"))
		return 0;
	if (noun == NULL)
		return err_set(e, ERR_REFUSED, "a command is needed");
	if (a->command == NULL)
		return err_set(
		    e, ERR_REFUSED, "'%s' needs one word more", noun);
	if (a->word_count < a->command->words_least)
		return err_set(e, ERR_REFUSED, "%s%s%s needs %s",
		    a->command->noun, a->command->verb != NULL ? " " : "",
		    a->command->verb != NULL ? a->command->verb : "",
		    a->command->synopsis);
	if (a->command->takes_rest && a->rest == NULL)
		return err_set(
		    e, ERR_REFUSED, "a COMMAND is needed after '--'");
	return 0;
}

int
args_parse(struct args *a, int argc, char **argv, struct err *e)
{
	const char *noun = NULL;
	bool plain = false; /* after "--" */

	memset(a, 0, sizeof(*a));
	for (int i = 1; i < argc; i++) {
		const struct command *c = a->command;

		if (c != NULL && c->takes_rest &&
		    a->word_count == c->words_most &&
		    (plain || argv[i][0] != '-' ||
			strcmp(argv[i], "--") == 0)) {
			if (!plain && strcmp(argv[i], "--") == 0)
				i++;
			a->rest = i < argc ? argv + i : NULL;
			break;
		}
		if (!plain && strcmp(argv[i], "--") == 0)
			plain = true;
		else if (!plain && strcmp(argv[i], "-h") == 0) {
			if (add_option(a, &common_options[1], "", e) < 0)
				return -1;
		} else if (!plain && strncmp(argv[i], "--", 2) == 0) {
			if (take_option(a, argc, argv, &i, e) < 0)
				return -1;
		} else if (!plain && argv[i][0] == '-' && argv[i][1] != 0)
			return err_set(e, ERR_REFUSED, "no option %s", argv[i]);
		else if (take_word(a, &noun, argv[i], e) < 0)
			return -1;
		/* The noun stood in words[0] only for the help. */
		if (a->command != NULL && c == NULL)
			a->word_count = 0;
	}
	if (a->home == NULL)
		a->home = getenv("AIM_HOME");
	if (a->home == NULL || a->home[0] == 0)
		a->home = DEFAULT_HOME;
	return check_count(a, noun, e);
}

const char *
args_option(const struct args *a, const char *name)
{
	for (int i = a->option_count; i-- > 0;)
		if (strcmp(a->options[i].spec->name, name) == 0)
			return a->options[i].value;
	return NULL;
}

bool
args_has(const struct args *a, const char *name)
{
	return args_option(a, name) != NULL;
}

static void
print_options(const struct option_spec *list)
{
	for (; list != NULL && list->name != NULL; list++) {
		char left[40];

		(void)snprintf(left, sizeof(left), "--%s%s%s", list->name,
		    list->value != NULL ? " " : "",
		    list->value != NULL ? list->value : "");
		(void)printf("  %-26s %s\n", left, list->help);
	}
}

static void
print_command(const struct command *c)
{
	(void)printf("usage: aim-manager [--home DIR] %s%s%s%s%s%s\n\n%s\n",
	    c->noun, c->verb != NULL ? " " : "", c->verb != NULL ? c->verb : "",
	    c->synopsis[0] != 0 ? " " : "", c->synopsis,
	    c->options != NULL && c->options[0].name != NULL && !c->takes_rest
		? " [OPTION...]"
		: "",
	    c->text);
	(void)printf("\noptions:\n");
	print_options(c->options);
	print_options(common_options);
}

static void
print_list(const char *noun)
{
	for (size_t i = 0; i < command_count; i++) {
		const struct command *c = &commands[i];
		char left[64];

		if (noun != NULL && strcmp(noun, c->noun) != 0)
			continue;
		(void)snprintf(left, sizeof(left), "%s%s%s %s", c->noun,
		    c->verb != NULL ? " " : "", c->verb != NULL ? c->verb : "",
		    c->synopsis);
		(void)printf("  %-36s %s\n", left, c->summary);
	}
}

void
args_help(const struct args *a)
{
	if (a->command != NULL) {
		print_command(a->command);
		return;
	}
	(void)printf("usage: aim-manager [--home DIR] COMMAND [ARGUMENT...]\n"
		     "\nMirrors disks to other places by journal files.\n\n"
		     "commands:\n");
	print_list(a->words[0]);
	(void)printf("\noptions:\n");
	print_options(common_options);
	(void)printf(
	    "\n'aim-manager COMMAND --help' explains a command.\n"
	    "A first mirror, step by step: see EXAMPLES in aim-manager(8).\n"
	    "exit codes: 0 done, 1 failed (may be tried again), 2 usage,\n"
	    "3 time-out, 4 refused (you must act)\n");
}

int
size_read(const char *text, const char **end, uint64_t *out)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *rest;
	uint64_t n;

	errno = 0;
	n = strtoull(text, &rest, 10);
	if (errno != 0 || text[0] < '0' || text[0] > '9')
		return -1;
	unit = *rest == '\0' ? NULL : strchr(units, *rest);
	for (const char *u = units; unit != NULL && u <= unit; u++)
		if (__builtin_mul_overflow(n, 1024, &n))
			return -1;
	*end = unit != NULL ? rest + 1 : rest;
	*out = n;
	return 0;
}
