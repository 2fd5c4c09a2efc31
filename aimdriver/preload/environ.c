/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/preload/exec.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char preload_key[] = "LD_PRELOAD=";
static const char home_key[] = "AIM_HOME=";

static bool
has_key(const char *s, const char *key)
{
	return strncmp(s, key, strlen(key)) == 0;
}

/* Is our library among those listed, colon or space between them? */
static bool
lists_us(const char *value)
{
	size_t len = strlen(px_library);

	for (const char *p = value; (p = strstr(p, px_library)) != NULL; p++)
		if ((p == value || p[-1] == ':' || p[-1] == ' ') &&
		    (p[len] == '\0' || p[len] == ':' || p[len] == ' '))
			return true;
	return false;
}

static char *
join(char *to, const char *a, const char *b, const char *c, const char *d)
{
	to = stpcpy(to, a);
	to = stpcpy(to, b);
	to = stpcpy(to, c);
	return stpcpy(to, d) + 1;
}

bool
px_environ_make(char *const *from, struct px_environ *out)
{
	static char *none[] = {NULL};
	const char *preload = "", *home = "";
	size_t count = 0, n = 0;
	char **env, *text;

	if (from == NULL)
		from = none;
	memset(out, 0, sizeof(*out));
	for (; from[count] != NULL; count++) {
		if (has_key(from[count], preload_key))
			preload = from[count] + sizeof(preload_key) - 1;
		if (has_key(from[count], home_key))
			home = from[count] + sizeof(home_key) - 1;
	}
	if (lists_us(preload) && strcmp(home, px_home) == 0) {
		memcpy(&out->env, &from, sizeof(from));
		return true;
	}
	out->len = (count + 3) * sizeof(char *) + strlen(px_library) +
		   strlen(preload) + strlen(px_home) + 64;
	out->room = mmap(NULL, out->len, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (out->room == MAP_FAILED)
		return false;
	env = out->room;
	text = (char *)(env + count + 3);
	for (size_t i = 0; i < count; i++)
		if (!has_key(from[i], preload_key) &&
		    !has_key(from[i], home_key))
			env[n++] = from[i];
	env[n++] = text;
	text = join(text, preload_key, px_library, *preload != '\0' ? ":" : "",
	    preload);
	env[n++] = text;
	(void)join(text, home_key, px_home, "", "");
	out->env = env;
	return true;
}

void
px_environ_free(struct px_environ *e)
{
	int saved = errno;

	if (e->room != NULL)
		(void)munmap(e->room, e->len);
	errno = saved;
}

/* For what libc starts by itself, out of `environ`. */
void
px_environ_ensure(void)
{
	const char *preload = getenv("LD_PRELOAD");
	char text[2 * sizeof(px_library)];
	int saved = errno;

	if (preload == NULL || !lists_us(preload)) {
		(void)snprintf(text, sizeof(text), "%s%s%s", px_library,
		    preload != NULL ? ":" : "", preload != NULL ? preload : "");
		(void)setenv("LD_PRELOAD", text, 1);
	}
	(void)setenv("AIM_HOME", px_home, 1);
	errno = saved;
}
