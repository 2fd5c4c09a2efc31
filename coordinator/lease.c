/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/lease.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "common/sys.h"
#include "coordinator/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MS UINT64_C(1000000)
#define LEASE_FILE "lease"
#define STANDBY_FILE "standby"
#define LEASE_LIMIT 256u /* bytes of the file */

/* What the file says. */
struct holder {
	uint64_t fence;
	intmax_t pid;
	uint64_t began; /* clock ticks after boot */
	uint32_t limit_ms;
	struct timespec renewed; /* the file's time of change */
};

/* ---- processes ---- */

/* When a process began: with its number that is one process of this boot. */
static int
process_began(intmax_t pid, uint64_t *out, struct err *e)
{
	char path[64], text[1024], *at;
	AUTO_CLOSE int fd = -1;
	ssize_t n;
	int field;

	(void)snprintf(path, sizeof(path), "/proc/%jd/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "%s", path);
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return err_sys(e, "%s", path);
	text[n] = 0;
	/* The name may have spaces and brackets in it: behind the last one. */
	at = strrchr(text, ')');
	for (field = 2; at != NULL && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (at == NULL || sscanf(at, " %" SCNu64, out) != 1)
		return err_set(e, ERR_FATAL, "%s: cannot be read", path);
	return 0;
}

/* The process that `l` names is ended, if it is still that one. */
static int
kill_holder(const struct holder *l, struct err *e)
{
	AUTO_CLOSE int process = (int)syscall(SYS_pidfd_open, (pid_t)l->pid, 0);
	uint64_t began;

	if (process < 0)
		return errno == ESRCH ? 0 : err_sys(e, "process %jd", l->pid);
	/* From here on the descriptor means one process. */
	if (process_began(l->pid, &began, e) < 0)
		return -1;
	if (began != l->began)
		return 0;
	if (syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0) < 0 &&
	    errno != ESRCH)
		return err_sys(e, "kill process %jd", l->pid);
	return 0;
}

/* ---- the file ---- */

/* 1; 0 there is none yet; -1. */
static int
lease_read(struct home *h, struct holder *out, struct err *e)
{
	AUTO(buf_release) struct buf b = {0};
	struct err why = {0};
	struct stat st;

	if (io_read_file(h->state, LEASE_FILE, LEASE_LIMIT, &b, &why) < 0) {
		if (why.sys == ENOENT)
			return 0;
		return err_set(
		    e, why.kind, "state/" LEASE_FILE ": %s", why.text);
	}
	if (fstatat(h->state, LEASE_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, "state/" LEASE_FILE);
	out->renewed = st.st_mtim;
	if (buf_add(&b, "", 1, e) < 0)
		return -1;
	if (sscanf((const char *)b.data,
		"fence %" SCNu64 "\npid %jd\nbegan %" SCNu64 "\nlimit %" SCNu32
		"\n",
		&out->fence, &out->pid, &out->began, &out->limit_ms) != 4 ||
	    out->pid <= 1)
		return err_set(e, ERR_CORRUPT,
		    "state/" LEASE_FILE " is damaged: remove it when no "
		    "coordinator runs");
	return 1;
}

int
lease_take(struct home *h, uint32_t limit_ms, struct lease *out, struct err *e)
{
	struct holder l = {.fence = 0};
	char text[LEASE_LIMIT];
	struct err why = {0};
	int n;

	/* It is a number for people: damage does not keep us from working. */
	if (lease_read(h, &l, &why) < 0)
		log_warn("%s: its number begins anew", why.text);
	l.fence++;
	if (process_began(getpid(), &l.began, e) < 0)
		return -1;
	n = snprintf(text, sizeof(text),
	    "fence %" PRIu64 "\npid %jd\nbegan %" PRIu64 "\nlimit %" PRIu32
	    "\n",
	    l.fence, (intmax_t)getpid(), l.began, limit_ms);
	if (io_write_file(h->state, LEASE_FILE, text, (size_t)n, 0600, e) < 0)
		return -1;
	out->fd = sys_openat(h->state, LEASE_FILE, O_WRONLY | O_NOFOLLOW, 0);
	if (out->fd < 0)
		return err_sys(e, "state/" LEASE_FILE);
	out->fence = l.fence;
	out->limit_ms = limit_ms;
	out->renew_ns = 0;
	return 0;
}

void
lease_renew(struct lease *l, uint64_t *next_ns)
{
	uint64_t now = clock_mono_ns(), rest = LEASE_RENEW;

	if (l->limit_ms != 0 && l->limit_ms / 4 < rest)
		rest = l->limit_ms / 4;
	if (now >= l->renew_ns) {
		if (futimens(l->fd, NULL) < 0)
			log_warn("state/" LEASE_FILE " was not renewed: %s",
			    strerror(errno));
		l->renew_ns = now + rest * MS;
	}
	if (l->renew_ns < *next_ns)
		*next_ns = l->renew_ns;
}

void
lease_release(struct lease *l)
{
	cleanup_fd(&l->fd);
	l->fd = -1;
}

/* ---- standing by ---- */

struct wait {
	uint64_t fed_ns; /* the service manager's watchdog */
	struct holder seen;
	uint64_t quiet_ms; /* that we looked and nothing had changed */
	bool any, killed;
};

static bool
has_moved(const struct wait *w, const struct holder *now)
{
	return !w->any || now->fence != w->seen.fence ||
	       now->renewed.tv_sec != w->seen.renewed.tv_sec ||
	       now->renewed.tv_nsec != w->seen.renewed.tv_nsec;
}

/* The lock is not to be had. Has its holder stopped working? Only time in
 * which we ourselves have looked counts. */
static int
look_at_holder(struct home *h, struct wait *w, uint32_t limit_ms, struct err *e)
{
	struct holder now = {.fence = 0};
	uint64_t limit;
	int got = lease_read(h, &now, e);

	if (got <= 0)
		return got;
	if (has_moved(w, &now)) {
		*w = (struct wait){
		    .fed_ns = w->fed_ns, .seen = now, .any = true};
		return 0;
	}
	w->quiet_ms += LEASE_LOOK;
	limit = limit_ms > now.limit_ms ? limit_ms : now.limit_ms;
	if (limit_ms == 0 || now.limit_ms == 0 || w->quiet_ms <= limit ||
	    w->killed)
		return 0;
	log_error("the coordinator (process %jd, fence %ju) has not moved for "
		  "%ju s and is killed",
	    now.pid, (uintmax_t)now.fence, (uintmax_t)(w->quiet_ms / 1000));
	if (kill_holder(&now, e) < 0) {
		w->quiet_ms = 0; /* again after as long */
		return -1;
	}
	w->killed = true;
	return 0;
}

/* One standby waits for a home; others are told so. */
static int
be_the_standby(struct home *h, int *fd, struct err *e)
{
	AUTO_CLOSE int lock = sys_openat(
	    h->state, STANDBY_FILE, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	struct err why = {0};

	if (lock < 0)
		return err_sys(e, "open %s/state/" STANDBY_FILE, h->path);
	if (io_lock(lock, true, &why) < 0) {
		if (why.kind == ERR_RETRY)
			return err_set(e, ERR_REFUSED,
			    "another standby waits for home %s already: there "
			    "can be only one",
			    h->path);
		return err_set(e, why.kind, "%s", why.text);
	}
	*fd = STEAL_FD(lock);
	return 0;
}

static void
feed_watchdog(struct wait *w)
{
	uint64_t now = clock_mono_ns(), every = notify_watchdog_ms() * MS;

	if (every == 0 || now - w->fed_ns < every)
		return;
	notify_say("WATCHDOG=1");
	w->fed_ns = now;
}

static int
stand_by(struct home *h, uint32_t limit_ms, const sigset_t *ends, int *lock,
    struct err *e)
{
	const struct timespec rest = {0, LEASE_LOOK * (long)MS};
	struct wait w = {.any = false};
	struct err why = {0};

	for (;;) {
		if (home_lock(h, lock, e) == 0)
			return 1;
		if (e->kind != ERR_RETRY)
			return -1;
		if (look_at_holder(h, &w, limit_ms, &why) < 0) {
			log_warn("standby: %s", why.text);
			err_clear(&why);
		}
		feed_watchdog(&w);
		if (sigtimedwait(ends, NULL, &rest) > 0)
			return 0;
	}
}

int
lease_stand_by(struct home *h, uint32_t limit_ms, int *lock, struct err *e)
{
	AUTO_CLOSE int standby = -1;
	sigset_t ends;
	int got;

	(void)sigemptyset(&ends);
	(void)sigaddset(&ends, SIGTERM);
	(void)sigaddset(&ends, SIGINT);
	if (sigprocmask(SIG_BLOCK, &ends, NULL) < 0)
		return err_sys(e, "block signals");
	if (be_the_standby(h, &standby, e) < 0)
		return -1;
	log_info("standing by for home %s", h->path);
	notify_say("READY=1\nSTATUS=standing by");
	got = stand_by(h, limit_ms, &ends, lock, e);
	if (got == 1)
		log_info("taking over home %s", h->path);
	return got;
}

int
lease_look(struct home *h, uint64_t *fence, bool *standby, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct holder l = {.fence = 0};

	if (lease_read(h, &l, e) < 0)
		return -1;
	*fence = l.fence;
	*standby = false;
	fd = sys_openat(h->state, STANDBY_FILE, O_RDWR | O_NOFOLLOW, 0);
	if (fd < 0)
		return errno == ENOENT ? 0
				       : err_sys(e, "open state/" STANDBY_FILE);
	if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
		return err_sys(e, "look for locks on state/" STANDBY_FILE);
	*standby = lock.l_type != F_UNLCK;
	return 0;
}
