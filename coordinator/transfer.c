/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/transfer.h"

#include "common/cleanup.h"
#include "common/pulse.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOCKET_ROOM (1 << 18)
#define SEND_SECONDS 5
#define SLOWEST_RATE 16 /* bytes in a millisecond: 16 kB/s */
#define LIMIT_MS 60000u

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

uint32_t
transfer_limit_ms(uint64_t len, uint32_t at_once)
{
	uint64_t ms = LIMIT_MS + len / SLOWEST_RATE * at_once;

	return ms < UINT32_MAX / 2 ? (uint32_t)ms : UINT32_MAX / 2;
}

void
transfer_stop(struct transfer *t)
{
	if (t->pid > 0) {
		(void)kill(t->pid, SIGKILL);
		while (waitpid(t->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	cleanup_fd(&t->sock);
	*t = TRANSFER_NONE;
}

/* In the child: nothing of the parent's may stay open or be inherited. */
static void
leave_parent(int sock, pid_t parent, const char *name)
{
	struct sigaction act = {.sa_handler = SIG_DFL};
	sigset_t none;
	int sig;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	pulse_use(NULL);
	if (getppid() != parent)
		_exit(1);
	for (sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &act, NULL);
	act.sa_handler = SIG_IGN;
	(void)sigaction(SIGPIPE, &act, NULL);
	(void)sigaction(SIGINT, &act, NULL); /* the parent decides */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (sock != 3 && dup2(sock, 3) < 0)
		_exit(1);
	(void)close_range(4, ~0u, 0);
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)prctl(PR_SET_NAME, name);
}

int
transfer_start(struct transfer *t, const char *name, transfer_fn *run,
    const void *setup, struct err *e)
{
	struct timeval most = {.tv_sec = SEND_SECONDS};
	pid_t parent = getpid(), pid;
	int pair[2], room = SOCKET_ROOM;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, "make a socket pair");
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	(void)setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most));
	pid = fork();
	if (pid < 0) {
		(void)err_sys(e, "fork");
		cleanup_fd(&pair[0]);
		cleanup_fd(&pair[1]);
		return -1;
	}
	if (pid == 0) {
		leave_parent(pair[1], parent, name);
		run(3, setup);
		_exit(0);
	}
	cleanup_fd(&pair[1]);
	*t = (struct transfer){.pid = pid, .sock = pair[0]};
	return 0;
}

int
transfer_send(int sock, const void *data, size_t len, int fd, struct err *e)
{
	union control control = {0};
	struct iovec iov = {.iov_len = len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *h;
	ssize_t n;

	/* sendmsg does not write there. */
	memcpy(&iov.iov_base, &data, sizeof(data));
	if (fd >= 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	}
	do
		n = sendmsg(sock, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? err_sys(e, "hand a transfer to its process") : 0;
}

size_t
transfer_receive(int sock, void *to, size_t room, int *fd)
{
	union control control = {0};
	struct iovec iov = {.iov_base = to, .iov_len = room};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes)};
	int none = -1, *out = fd == NULL ? &none : fd;
	struct cmsghdr *c;
	ssize_t n;

	do
		n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	*out = -1;
	if (n <= 0)
		return 0;
	c = CMSG_FIRSTHDR(&m);
	if (c != NULL && c->cmsg_level == SOL_SOCKET &&
	    c->cmsg_type == SCM_RIGHTS)
		memcpy(out, CMSG_DATA(c), sizeof(*out));
	if (fd == NULL || (m.msg_flags & MSG_TRUNC) != 0) {
		cleanup_fd(out);
		*out = -1;
	}
	return (m.msg_flags & MSG_TRUNC) != 0 ? 0 : (size_t)n;
}
