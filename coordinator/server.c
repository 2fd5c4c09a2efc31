/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/server.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_NAME "coordinator.sock"

/* A home's path may be longer than a socket's address: by descriptor. */
static void
address(struct home *h, struct sockaddr_un *a)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	(void)snprintf(a->sun_path, sizeof(a->sun_path),
	    "/proc/self/fd/%d/" SOCKET_NAME, h->state);
}

int
server_listen(struct home *h, int *fd, struct err *e)
{
	struct sockaddr_un a;
	AUTO_CLOSE int s =
	    socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (s < 0)
		return err_sys(e, "socket");
	address(h, &a);
	server_unlink(h);
	if (bind(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		return err_sys(e, "bind %s/state/" SOCKET_NAME, h->path);
	if (fchmodat(h->state, SOCKET_NAME, 0600, 0) < 0 || listen(s, 16) < 0)
		return err_sys(e, "listen on %s/state/" SOCKET_NAME, h->path);
	*fd = STEAL_FD(s);
	return 0;
}

int
server_accept(int listening, int *fd, struct err *e)
{
	struct ucred who;
	socklen_t len = sizeof(who);
	AUTO_CLOSE int s = accept4(listening, NULL, NULL, SOCK_CLOEXEC);

	if (s < 0)
		return errno == EAGAIN || errno == EINTR ||
			       errno == ECONNABORTED
			   ? 0
			   : err_sys(e, "accept a request");
	if (getsockopt(s, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return err_sys(e, "who is asking");
	if (who.uid != geteuid() && who.uid != 0) {
		log_warn(
		    "a request of user %u was turned away", (unsigned)who.uid);
		return 0;
	}
	*fd = STEAL_FD(s);
	return 1;
}

void
server_unlink(struct home *h)
{
	(void)unlinkat(h->state, SOCKET_NAME, 0);
}

int
server_connect(struct home *h, int *fd, struct err *e)
{
	struct sockaddr_un a;
	AUTO_CLOSE int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (s < 0)
		return err_sys(e, "socket");
	address(h, &a);
	if (connect(s, (struct sockaddr *)&a, sizeof(a)) < 0) {
		if (errno == ENOENT || errno == ECONNREFUSED)
			return err_set(
			    e, ERR_RETRY, "no coordinator is listening");
		return err_sys(e, "connect to the coordinator");
	}
	*fd = STEAL_FD(s);
	return 0;
}
