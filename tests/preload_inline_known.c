/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the driver remembers of a volume's descriptor stops to be so, in ways
 * that it does not see, or only sees in another process. Number 3 is the
 * volume, and has been written to; all other descriptors are kept above. What
 * is shown must be the same as without the driver, and the mirror must be equal
 * to the volume.
 */
#include "tests/preload_inline.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__) && !defined(__ILP32__)

enum { N = 3, UP = 100, GIVEN_BEFORE = 9 };

static const char *volume;
static int ours, other; /* the volume and another file, above */
static int sockets[2];

static int
up(int fd)
{
	int r = fcntl(fd, F_DUPFD, UP);

	if (fd < 0 || r < 0 || close(fd) != 0)
		exit(2);
	return r;
}

static void
prepare(const char *path)
{
	(void)signal(SIGPIPE, SIG_IGN);
	volume = path;
	ours = up(open(path, O_RDWR));
	other = up(open("other", O_RDWR | O_CREAT | O_TRUNC, 0600));
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0)
		exit(2);
	sockets[1] = up(sockets[1]);
	sockets[0] = up(sockets[0]);
}

/* `how`: by name, by instruction, as one of several. -1: no descriptor. */
static void
give_descriptor(int fd, int what, int how)
{
	char room[CMSG_SPACE(sizeof(int))] = "", byte = 'x';
	struct iovec iov = {&byte, 1};
	struct mmsghdr m = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};
	struct cmsghdr *c;
	long r;

	if (what >= 0) {
		m.msg_hdr.msg_control = room;
		m.msg_hdr.msg_controllen = sizeof(room);
		c = CMSG_FIRSTHDR(&m.msg_hdr);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &what, sizeof(int));
	}
	if (how == 1)
		r = CALL(sendmsg, fd, &m.msg_hdr, 0, 0, 0, 0);
	else if (how == 2)
		r = sendmmsg(fd, &m, 1, 0);
	else
		r = sendmsg(fd, &m.msg_hdr, 0);
	if (r != 1)
		exit(2);
}

/* -1: there came none. */
static int
take_descriptor(int fd)
{
	char room[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = room,
	    .msg_controllen = sizeof(room)};
	int got;

	if (recvmsg(fd, &m, 0) != 1)
		exit(2);
	if (CMSG_FIRSTHDR(&m) == NULL)
		return -1;
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(got));
	return got;
}

/* 3 is the volume, and the driver has seen that. */
static void
begin(bool opened)
{
	(void)close(N);
	if ((opened ? open(volume, O_RDWR) : dup2(ours, N)) != N)
		exit(2);
	for (int i = 0; i < 3; i++)
		if (pwrite(N, "known", 5, 4096) != 5)
			exit(2);
}

/* ---- 3 becomes something else ---- */

static void
to_nothing(void)
{
}

static void
to_reader(void)
{
	(void)CALL(openat, AT_FDCWD, "other", O_RDONLY, 0, 0, 0);
}

static void
to_path(void)
{
	(void)CALL(openat, AT_FDCWD, volume, O_PATH, 0, 0, 0);
}

static void
to_sockets(void)
{
	int pair[2];

	(void)CALL(
	    socketpair, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair, 0, 0);
}

static void
to_socket(void)
{
	(void)CALL(socket, AF_INET, SOCK_STREAM, 0, 0, 0, 0);
}

/* The end that is written to, next to number 0. */
static void
to_pipe(void)
{
	int ends[2];

	(void)CALL(close, 0, 0, 0, 0, 0, 0);
	if (CALL(pipe2, ends, 0, 0, 0, 0, 0) != 0 || ends[1] != N)
		exit(2);
}

static void
to_event(void)
{
	(void)CALL(eventfd2, 0, 0, 0, 0, 0, 0);
}

static void
to_epoll(void)
{
	(void)CALL(epoll_create1, 0, 0, 0, 0, 0, 0);
}

static void
to_queue(void)
{
	(void)CALL(
	    mq_open, "aim-preload-inline", O_RDWR | O_CREAT, 0600, 0, 0, 0);
	(void)CALL(mq_unlink, "aim-preload-inline", 0, 0, 0, 0, 0);
}

static void
to_memory(void)
{
	(void)CALL(memfd_create, "memory", 0, 0, 0, 0, 0);
}

static void
to_memory_by_name(void)
{
	(void)memfd_create("memory", 0);
}

static void
to_other(void)
{
	(void)CALL(openat, AT_FDCWD, "other", O_RDWR, 0, 0, 0);
}

static void
to_duplicate(void)
{
	(void)CALL(dup2, other, N, 0, 0, 0, 0);
}

static void
to_received(void)
{
	give_descriptor(sockets[0], other, 0);
	if (take_descriptor(sockets[1]) != N)
		exit(2);
}

static const struct change {
	const char *name;
	void (*run)(void);
} changes[] = {
#define ENTRY(name)                                                            \
	{                                                                      \
#name, name                                                    \
	}
    ENTRY(to_nothing), ENTRY(to_reader), ENTRY(to_path), ENTRY(to_sockets),
    ENTRY(to_socket), ENTRY(to_pipe), ENTRY(to_event), ENTRY(to_epoll),
    ENTRY(to_queue), ENTRY(to_memory), ENTRY(to_memory_by_name),
    ENTRY(to_other), ENTRY(to_duplicate), ENTRY(to_received)
#undef ENTRY
};

static void
show(const char *what, long r)
{
	printf("%s: %ld %d\n", what, r, r < 0 ? errno : 0);
}

static const char text[] = "eight by";

static void
change_one(const struct change *c, bool opened)
{
	struct stat st;

	begin(opened);
	(void)CALL(close, N, 0, 0, 0, 0, 0);
	c->run();
	printf("%s:\n", c->name);
	show("write", write(N, text, 8));
	show("pwrite", pwrite(N, text, 8, 8192));
	show("inline write", CALL(write, N, text, 8, 0, 0, 0));
	show("size", fstat(N, &st) == 0 ? st.st_size : -1);
	for (int fd = N + 1; fd < 10; fd++)
		(void)CALL(close, fd, 0, 0, 0, 0, 0);
}

void
kept_numbers(const char *path)
{
	prepare(path);
	for (int opened = 0; opened < 2; opened++)
		for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]);
		     i++)
			change_one(&changes[i], opened != 0);
}

/* ---- flags of the open file ---- */

static void
where_it_goes(const char *what)
{
	struct stat st;

	printf("%s: %d", what, write(N, text, 8) == 8);
	printf(" %d", pwrite(N, text, 8, 300) == 8);
	printf(" at %ld", (long)lseek(N, 0, SEEK_CUR));
	(void)lseek(N, 100, SEEK_SET);
	printf(" of %ld\n", fstat(N, &st) == 0 ? (long)st.st_size : -1);
}

/* In a child, or here; by name, by instruction, through another number, by
 * another program. */
static void
set_in(bool child, int how, int flags)
{
	pid_t pid = child ? fork() : 0;
	int status = -1, fd;
	char number[16];

	if (pid > 0) {
		SHOW(waitpid(pid, &status, 0) == pid && status == 0);
		return;
	}
	switch (how) {
	case 0:
		status = fcntl(N, F_SETFL, flags);
		break;
	case 1:
		status = (int)CALL(fcntl, N, F_SETFL, flags, 0, 0, 0);
		break;
	case 3:
		(void)snprintf(number, sizeof(number), "%d", flags);
		if (child)
			(void)execl("/proc/self/exe", "sets", "sets", volume,
			    number, NULL);
		status = fcntl(N, F_SETFL, flags);
		break;
	default:
		fd = dup(N);
		status = fcntl(fd, F_SETFL, flags);
		(void)close(fd);
		break;
	}
	if (child)
		_exit(status == 0 ? 0 : 1);
	if (status != 0)
		exit(2);
}

void
sets_flags(int flags)
{
	_exit(fcntl(N, F_SETFL, flags) == 0 ? 0 : 1);
}

/* A child and its parent in turn. */
static void
in_turns(void)
{
	char byte = 0;
	long bad = 0;
	pid_t pid;

	begin(true);
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		for (int i = 0; read(sockets[1], &byte, 1) == 1 && byte; i++)
			if (fcntl(N, F_SETFL, i % 2 == 0 ? O_APPEND : 0) != 0 ||
			    write(sockets[1], &byte, 1) != 1)
				_exit(1);
		_exit(0);
	}
	byte = 1;
	for (int i = 0; i < 200; i++) {
		struct stat st;
		off_t want = 500;

		bad += write(sockets[0], &byte, 1) != 1;
		bad += read(sockets[0], &byte, 1) != 1;
		bad += lseek(N, want, SEEK_SET) != want || fstat(N, &st) != 0;
		if (i % 2 == 0)
			want = st.st_size;
		bad += write(N, text, 8) != 8;
		bad += lseek(N, 0, SEEK_CUR) != want + 8;
	}
	byte = 0;
	bad += write(sockets[0], &byte, 1) != 1;
	bad += waitpid(pid, NULL, 0) != pid;
	SHOW(bad);
}

static void
directly(void)
{
	static _Alignas(4096) char page[4096];

	begin(true);
	for (int i = 0; i < 4; i++) {
		set_in(i % 2 == 0, 1, O_DIRECT);
		show("half a kilobyte", pwrite(N, page, 512, 512));
		show("a page", pwrite(N, page, 4096, 0));
		set_in(i % 2 == 0, 0, 0);
		show("not aligned", pwrite(N, page + 1, 511, 3));
	}
}

void
shared_flags(const char *path)
{
	prepare(path);
	for (int i = 0; i < 16; i++) {
		begin(i < 8);
		where_it_goes("at first");
		(void)fflush(stdout);
		set_in(i % 2 == 0, i / 2 % 4, O_APPEND);
		where_it_goes("appending");
		(void)fflush(stdout);
		set_in(i % 2 == 0, i / 2 % 4, 0);
		where_it_goes("as before");
	}
	in_turns();
	directly();
}

/* ---- somebody else, who is not captured, has it ---- */

static int
socket_of(const char *path, bool listens)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)strncpy(name.sun_path, path, sizeof(name.sun_path) - 1);
	if (fd < 0 ||
	    (listens ? bind(fd, (void *)&name, sizeof(name)) != 0 ||
			   listen(fd, 1) != 0
		     : connect(fd, (void *)&name, sizeof(name)) != 0)) {
		perror(path);
		exit(2);
	}
	return fd;
}

/* Sets O_APPEND: of what it is sent, or else of number 9. Goes on by itself as
 * soon as it can be reached. */
void
takes(const char *path)
{
	int listening = socket_of(path, true), fd, got;
	pid_t pid = fork();

	if (pid != 0)
		_exit(pid < 0);
	(void)alarm(60);
	fd = accept(listening, NULL, NULL);
	got = take_descriptor(fd);
	if (fcntl(got >= 0 ? got : GIVEN_BEFORE, F_SETFL, O_APPEND) == 0)
		(void)!write(fd, "x", 1);
	_exit(0);
}

void
sends(const char *path, int how)
{
	char byte;
	int fd;

	prepare(path);
	if (how < 0) {
		SHOW(dup2(GIVEN_BEFORE, N));
		for (int i = 0; i < 3; i++)
			SHOW(pwrite(N, "known", 5, 4096));
	} else {
		begin(true);
	}
	where_it_goes("at first");
	fd = up(socket_of("socket", false));
	give_descriptor(fd, how < 0 ? -1 : N, how);
	if (read(fd, &byte, 1) != 1)
		exit(2);
	where_it_goes("appending");
}

#endif
