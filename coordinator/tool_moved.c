/* SPDX-License-Identifier: Apache-2.0 */
/* tool_moved: how much a program has read and written, from outside. */
#include "coordinator/tool.h"

#include "common/cleanup.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The beginning of a small file of /proc; "" when it cannot be had. */
static void
read_proc(const char *path, char *out, size_t room)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, out, room - 1);

	out[n < 0 ? 0 : n] = '\0';
}

static bool
add_process(int pid, uint64_t *sum)
{
	uint64_t in = 0, out = 0;
	char path[64], text[512];

	(void)snprintf(path, sizeof(path), "/proc/%d/io", pid);
	read_proc(path, text, sizeof(text));
	if (sscanf(text, "rchar: %" SCNu64 " wchar: %" SCNu64, &in, &out) != 2)
		return false;
	*sum += in + out;
	return true;
}

bool
tool_moved(const struct tool *p, uint64_t *out)
{
	char path[64], text[512], *at = text;
	uint64_t sum = 0;
	int child, len;

	if (!add_process(p->pid, &sum))
		return false;
	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children",
	    (int)p->pid, (int)p->pid);
	read_proc(path, text, sizeof(text));
	for (; sscanf(at, "%d %n", &child, &len) == 1; at += len)
		(void)add_process(child, &sum);
	*out = sum;
	return true;
}
