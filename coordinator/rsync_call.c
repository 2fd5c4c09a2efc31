/* SPDX-License-Identifier: Apache-2.0 */
/* rsync_call: one call of rsync, from its arguments to what it says. */
#include "coordinator/transport_rsync.h"

#include "common/cleanup.h"
#include "common/io.h"
#include "coordinator/ssh_key.h"
#include "coordinator/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STILL_MS 20000u
#define SLOWEST_DISK 8192u /* bytes in a millisecond */
#define MUCH (UINT64_C(1) << 50)

/* Names within the private folder: calls run in folders of it. */
static const char ssh_options[] =
    "ssh -F /dev/null -T -x -a -i ../key -o BatchMode=yes"
    " -o IdentitiesOnly=yes -o IdentityAgent=none -o CertificateFile=none"
    " -o PreferredAuthentications=publickey -o StrictHostKeyChecking=yes"
    " -o UserKnownHostsFile=../known_hosts -o GlobalKnownHostsFile=/dev/null"
    " -o UpdateHostKeys=no -o CheckHostIP=no -o ClearAllForwardings=yes"
    " -o ControlPath=none -o PermitLocalCommand=no -o ConnectTimeout=15"
    " -o ServerAliveInterval=10 -o ServerAliveCountMax=3 -o LogLevel=ERROR";

int
rsync_small_file(
    int dir, const char *name, const void *bytes, size_t len, struct err *e)
{
	AUTO_CLOSE int fd =
	    openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(e, "create %s", name);
	return io_write_at(fd, bytes, len, 0, e);
}

static int
prepare_ssh(struct rsync_transport *t, const struct scratch *s, struct err *e)
{
	AUTO(buf_release) struct buf line = {0};

	if (ssh_key_check(t->key_file, e) < 0 ||
	    ssh_known_host(t->known_hosts, t->url.host, t->url.port, &line, e) <
		0 ||
	    rsync_small_file(s->dir, "known_hosts", line.data, line.len, e) < 0)
		return -1;
	if (symlinkat(t->key_file, s->dir, "key") < 0)
		return err_sys(e, "make %s/key", s->path);
	(void)snprintf(t->ssh_command, sizeof(t->ssh_command), "%s -p %u",
	    ssh_options, t->url.port);
	return 0;
}

int
rsync_prepare(struct rsync_transport *t, struct err *e)
{
	AUTO(scratch_close) struct scratch s = SCRATCH_NONE;

	if (t->scratch.dir >= 0)
		return 0;
	if (scratch_open(t->under, &s, e) < 0 ||
	    (t->url.ssh && prepare_ssh(t, &s, e) < 0))
		return -1;
	t->scratch = s;
	s = SCRATCH_NONE;
	return 0;
}

void
rsync_add(struct rsync_args *a, const char *arg)
{
	if (a->count < sizeof(a->argv) / sizeof(a->argv[0]) - 1)
		a->argv[a->count++] = arg;
	a->argv[a->count] = NULL;
}

/* The other side may have to read or to sync all of it before it answers. */
uint32_t
rsync_still_ms(uint64_t len)
{
	uint64_t ms = STILL_MS + len / SLOWEST_DISK;

	return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

void
rsync_begin(struct rsync_transport *t, uint64_t len, struct rsync_args *a)
{
	a->count = 0;
	rsync_add(a, "rsync");
	(void)snprintf(a->timeout, sizeof(a->timeout), "--timeout=%u",
	    rsync_still_ms(len) / 1000);
	rsync_add(a, a->timeout);
	rsync_add(a, "--whole-file");
	rsync_add(a, "--out-format=%i|%n");
	if (t->url.ssh) {
		rsync_add(a, "-e");
		rsync_add(a, t->ssh_command);
		return;
	}
	rsync_add(a, "--contimeout=15");
	rsync_add(a, "--no-motd");
	if (t->password_file[0] == '\0')
		return;
	(void)snprintf(a->password, sizeof(a->password), "--password-file=%s",
	    t->password_file);
	rsync_add(a, a->password);
}

int
rsync_add_url(struct rsync_transport *t, struct rsync_args *a,
    const char *folder, const char *more, struct err *e)
{
	char path[2 * TRANSPORT_NAME_LIMIT + 2];

	(void)snprintf(path, sizeof(path), "%s%.*s%.*s",
	    folder[0] == '\0' ? "" : "/", (int)TRANSPORT_NAME_LIMIT, folder,
	    (int)TRANSPORT_NAME_LIMIT, more);
	if (!rsync_url_text(&t->url, path, a->url, sizeof(a->url)))
		return err_set(e, ERR_REFUSED, "name too long: %s", path);
	rsync_add(a, a->url);
	return 0;
}

int
rsync_run(struct rsync_transport *t, struct rsync_args *a, int cwd,
    uint64_t len, uint64_t file_limit, struct err *e)
{
	struct tool *p = &t->alone;
	const struct tool_setup s = {.argv = a->argv,
	    .cwd = cwd,
	    .file_limit = file_limit,
	    .limit_ms = transfer_limit_ms(len, RSYNC_AT_ONCE),
	    .still_ms = rsync_still_ms(0)};

	if (tool_start(p, &s, e) < 0)
		return -1;
	while (tool_wait(&p, 1, s.limit_ms) == NULL)
		continue;
	return 0;
}

bool
rsync_says(const struct tool *p, const char *begin, const char *name)
{
	size_t len = strlen(name), head = strlen(begin);
	const char *line = p->out_text, *end, *bar;

	for (; *line != '\0'; line = *end == '\0' ? end : end + 1) {
		end = line + strcspn(line, "\n");
		bar = memchr(line, '|', (size_t)(end - line));
		if (bar != NULL && strncmp(line, begin, head) == 0 &&
		    (size_t)(end - bar) - 1 == len &&
		    memcmp(bar + 1, name, len) == 0)
			return true;
	}
	return false;
}

bool
rsync_is_over(const struct rsync_transport *t, const char *name)
{
	char line[TRANSPORT_NAME_LIMIT + 32];

	(void)snprintf(line, sizeof(line), "%.150s is over max-size\n", name);
	return strstr(t->alone.out_text, line) != NULL;
}

/* The list of what is asked for: a file, so that a server that limits what may
 * be named as an argument sees only the folder. */
static int
write_list(int work, const char *const *names, size_t count, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	size_t i;

	for (i = 0; i < count; i++)
		if (buf_printf(&b, e, "%s\n", names[i]) < 0)
			return -1;
	return rsync_small_file(work, "list", b.data, b.len, e);
}

int
rsync_pull(struct rsync_transport *t, const char *folder,
    const char *const *names, size_t count, uint64_t max, int *into,
    struct err *e)
{
	AUTO_CLOSE int work = -1, got = -1;
	const uint64_t all = max < MUCH / count ? max * count : MUCH;
	struct rsync_args a;
	char most[48];

	if (rsync_prepare(t, e) < 0 ||
	    scratch_folder(&t->scratch, "pull", &work, e) < 0 ||
	    write_list(work, names, count, e) < 0 ||
	    io_make_dir(work, "got", 0700, e) < 0 ||
	    io_open_dir(work, "got", &got, e) < 0)
		return -1;
	rsync_begin(t, 0, &a);
	(void)snprintf(most, sizeof(most), "--max-size=%ju", (uintmax_t)max);
	rsync_add(&a, most);
	rsync_add(&a, "--files-from=list");
	rsync_add(&a, "--no-relative");
	rsync_add(&a, "--no-dirs");
	rsync_add(&a, "--no-implied-dirs");
	rsync_add(&a, "--ignore-missing-args");
	rsync_add(&a, "--info=skip1");
	if (rsync_add_url(t, &a, folder, "", e) < 0)
		return -1;
	rsync_add(&a, "got/");
	/* One byte more, so that rsync itself says what is too large, and a
	 * server that sends more than it said is cut off. */
	if (rsync_run(t, &a, work, all, max + 1, e) < 0)
		return -1;
	if (t->alone.status != 0 && !rsync_is_absence(&t->alone))
		return rsync_explain(t, &t->alone, RSYNC_READ, e);
	*into = STEAL_FD(got);
	return 0;
}
