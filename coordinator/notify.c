/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/notify.h"

#include "common/cleanup.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

void
notify_say(const char *what)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t len = path == NULL ? 0 : strlen(path);
	AUTO_CLOSE int s = -1;

	if (len < 2 || len >= sizeof(a.sun_path) ||
	    (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(a.sun_path, path, len);
	if (path[0] == '@')
		a.sun_path[0] = 0; /* a name without a file */
	s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s >= 0 &&
	    sendto(s, what, strlen(what), MSG_NOSIGNAL, (struct sockaddr *)&a,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		return; /* who asked is gone */
}

uint32_t
notify_watchdog_ms(void)
{
	const char *text = getenv("WATCHDOG_USEC");
	unsigned long long us = text == NULL ? 0 : strtoull(text, NULL, 10);

	if (us == 0)
		return 0;
	us /= 2000; /* twice as often as asked */
	if (us == 0)
		return 1;
	return us > 3600000 ? 3600000 : (uint32_t)us;
}
