/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor: a loop over one poll: signals (by descriptor), the listening
 * socket, the pipe on which roles report trouble, and the time of the next
 * thing to do. The catalogue is open only for the moment of reading it or of
 * noting an event, never across a fork.
 */
#include "coordinator/supervisor.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "coordinator/hooks.h"
#include "coordinator/notify.h"
#include "coordinator/request.h"
#include "coordinator/role.h"
#include "coordinator/server.h"
#include "coordinator/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS UINT64_C(1000000)
#define RESTART_FIRST_MS 250u
#define RESTART_MOST_MS 30000u
#define LIVED_MS 60000u /* who lived so long begins without backoff */
#define GRACE_MS 10000u /* from SIGTERM to SIGKILL */
#define REQUEST_WAIT_MS 10000u

struct slot {
	struct role role;
	pid_t pid; /* 0: not running */
	bool wanted;
	bool stopping; /* SIGTERM was sent */
	bool killed;
	bool hung; /* killed because it did not move */
	uint64_t started_ns, restart_ns, kill_ns;
	uint32_t backoff_ms;
	struct watch watch;
};

struct supervisor {
	struct home *home;
	int lock, signals, listening;
	int report_in, report_out; /* roles write to out */
	struct snapshot config;
	struct slot *slots;
	uint32_t slot_count;
	pid_t request; /* child that carries one out; 0: none */
	struct hooks hooks;
	uint64_t watchdog_ns;
	uint32_t watchdog_ms;
	struct lease *lease;
	uint32_t hang_limit_ms;
	bool ending;
};

static void
supervisor_release(struct supervisor *s)
{
	cleanup_fd(&s->signals);
	cleanup_fd(&s->listening);
	cleanup_fd(&s->report_in);
	cleanup_fd(&s->report_out);
	snapshot_release(&s->config);
	for (uint32_t i = 0; i < s->slot_count; i++)
		watch_close(&s->slots[i].watch);
	free(s->slots);
	hooks_release(&s->hooks);
}

/* ---- children ---- */

/* What a child has no business with; it must not outlive its parent. */
static void
become_child(struct supervisor *s, pid_t parent)
{
	sigset_t none;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	cleanup_fd(&s->lock);
	cleanup_fd(&s->signals);
	cleanup_fd(&s->listening);
	cleanup_fd(&s->report_in);
	s->lock = s->signals = s->listening = s->report_in = -1;
	(void)signal(SIGINT, SIG_IGN); /* a terminal's goes to all of us */
	(void)signal(SIGHUP, SIG_IGN);
	(void)sigemptyset(&none);
	(void)sigaddset(&none, SIGTERM); /* role_live decides when */
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A request may be ended at any point: it is whole or not at all. */
static void
accept_term(void)
{
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void
start(struct supervisor *s, struct slot *slot)
{
	pid_t parent = getpid(), pid;
	struct err e = {0};

	if (watch_open(&slot->watch, &e) < 0)
		log_warn("%s cannot be watched: %s", slot->role.name, e.text);
	watch_begin(&slot->watch);
	pid = fork();
	if (pid < 0) {
		log_warn(
		    "cannot start %s: %s", slot->role.name, strerror(errno));
		slot->restart_ns = clock_mono_ns() + RESTART_MOST_MS * MS;
		return;
	}
	if (pid == 0) {
		become_child(s, parent);
		pulse_use(slot->watch.pulse);
		log_set_role(slot->role.name);
		role_title(&slot->role);
		_exit(role_live(&slot->role, s->home, s->report_out));
	}
	slot->pid = pid;
	slot->stopping = slot->killed = slot->hung = false;
	slot->started_ns = clock_mono_ns();
}

static void
stop(struct slot *slot)
{
	if (slot->pid == 0 || slot->stopping)
		return;
	(void)kill(slot->pid, SIGTERM);
	slot->stopping = true;
	slot->kill_ns = clock_mono_ns() + GRACE_MS * MS;
}

/* Whatever it was doing, it is begun again from what is durable. */
static void
kill_hung(struct supervisor *s, struct slot *slot)
{
	char line[sizeof(slot->role.name) + 128];
	int n;

	log_error("%s has not moved for %u s and is killed; it will be "
		  "started again",
	    slot->role.name, s->hang_limit_ms / 1000);
	(void)kill(slot->pid, SIGKILL);
	slot->hung = slot->killed = true;
	n = snprintf(line, sizeof(line), "%s%chung for %u s and was killed",
	    slot->role.name, 0, s->hang_limit_ms / 1000);
	if (write(s->report_out, line, (size_t)n + 1) < 0)
		log_warn("an event was not noted: %s", strerror(errno));
}

static void
log_end(const struct slot *slot, int status)
{
	if (WIFSIGNALED(status)) {
		if (slot->hung)
			return; /* said when it was killed */
		if (slot->killed)
			log_warn("%s did not end in time and was killed",
			    slot->role.name);
		else
			log_error("%s was killed by signal %d (%s)",
			    slot->role.name, WTERMSIG(status),
			    strsignal(WTERMSIG(status)));
	} else if (!slot->stopping)
		log_warn("%s ended with status %d", slot->role.name,
		    WEXITSTATUS(status));
}

static void
plan_restart(struct slot *slot)
{
	uint64_t now = clock_mono_ns();

	if (slot->stopping || now - slot->started_ns > LIVED_MS * MS)
		slot->backoff_ms = 0;
	slot->restart_ns = now + slot->backoff_ms * MS;
	if (slot->stopping)
		return; /* for a new configuration: at once */
	slot->backoff_ms =
	    slot->backoff_ms == 0 ? RESTART_FIRST_MS : 2 * slot->backoff_ms;
	if (slot->backoff_ms > RESTART_MOST_MS)
		slot->backoff_ms = RESTART_MOST_MS;
}

/* ---- configuration ---- */

static int
read_config(struct supervisor *s, struct snapshot *out, struct err *e)
{
	AUTO(catalogue_closep) struct catalogue *c = NULL;

	if (catalogue_open(s->home, true, &c, e) < 0 ||
	    request_recover(s->home, c, e) < 0)
		return -1;
	return catalogue_load(c, out, e);
}

static struct slot *
find_slot(struct supervisor *s, const struct role *r)
{
	for (uint32_t i = 0; i < s->slot_count; i++)
		if (s->slots[i].role.kind == r->kind &&
		    uuid_equal(&s->slots[i].role.subject, &r->subject))
			return &s->slots[i];
	return NULL;
}

/* Every slot points into the old snapshot: all are set anew. */
static int
adopt_roles(struct supervisor *s, const struct role *roles, uint32_t count,
    struct err *e)
{
	struct slot *more = reallocarray(
	    s->slots, (size_t)s->slot_count + count + 1, sizeof(*s->slots));

	if (more == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	s->slots = more;
	for (uint32_t i = 0; i < s->slot_count; i++)
		s->slots[i].wanted = false;
	for (uint32_t i = 0; i < count; i++) {
		struct slot *slot = find_slot(s, &roles[i]);
		bool same =
		    slot != NULL && memcmp(slot->role.digest, roles[i].digest,
					sizeof(roles[i].digest)) == 0;

		if (slot == NULL) {
			slot = &s->slots[s->slot_count++];
			memset(slot, 0, sizeof(*slot));
		} else if (!same)
			stop(slot);
		slot->role = roles[i];
		slot->wanted = true;
	}
	for (uint32_t i = 0; i < s->slot_count; i++)
		if (!s->slots[i].wanted)
			stop(&s->slots[i]);
	return 0;
}

static int
configure(struct supervisor *s, struct err *e)
{
	AUTO(snapshot_release) struct snapshot fresh = {0};
	AUTO_FREE struct role *roles = NULL;
	struct snapshot was;
	uint32_t count;

	if (read_config(s, &fresh, e) < 0 ||
	    roles_of(&fresh, &roles, &count, e) < 0 ||
	    adopt_roles(s, roles, count, e) < 0)
		return -1;
	was = s->config;
	s->config = fresh;
	fresh = was;
	return 0;
}

/* ---- what happens ---- */

static void
reap_role(struct supervisor *s, pid_t pid, int status)
{
	for (uint32_t i = 0; i < s->slot_count; i++) {
		struct slot *slot = &s->slots[i];

		if (slot->pid != pid)
			continue;
		log_end(slot, status);
		plan_restart(slot);
		slot->pid = 0;
		slot->stopping = slot->killed = false;
	}
}

static void
reap(struct supervisor *s)
{
	struct err e = {0};
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (hooks_reaped(&s->hooks, pid))
			continue;
		if (pid != s->request) {
			reap_role(s, pid, status);
			continue;
		}
		s->request = 0;
		if (WIFSIGNALED(status))
			log_error("a request's process was killed by signal %d",
			    WTERMSIG(status));
		if (!s->ending && configure(s, &e) < 0)
			log_error(
			    "the configuration cannot be read: %s", e.text);
	}
}

static void
take_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;
	struct err e = {0};

	while (read(s->signals, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGCHLD:
			reap(s);
			break;
		case SIGHUP:
			if (configure(s, &e) < 0)
				log_error("the configuration cannot be read: "
					  "%s",
				    e.text);
			break;
		default:
			if (!s->ending)
				log_info("stopping");
			s->ending = true;
			hooks_stop(&s->hooks);
			if (s->request != 0) /* it is put right later */
				(void)kill(s->request, SIGTERM);
			notify_say("STOPPING=1");
		}
	}
}

static int
answer(struct home *h, int fd)
{
	AUTO(message_release) struct message in = {0}, out = {0};
	struct err e = {0};
	struct timeval limit = {.tv_sec = REQUEST_WAIT_MS / 1000};
	char first;

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	/* Whoever only looks whether we are here says nothing. */
	if (recv(fd, &first, 1, MSG_PEEK) == 0)
		return EXIT_SUCCESS;
	if (message_receive(fd, &in, REQUEST_WAIT_MS, &e) < 0 ||
	    request_execute(h, &in, &out, &e) < 0 ||
	    message_send(fd, &out, REQUEST_WAIT_MS, &e) < 0) {
		log_warn("a manager's request: %s", e.text);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

/* One at a time; others wait in the socket's queue. */
static void
take_request(struct supervisor *s)
{
	AUTO_CLOSE int fd = -1;
	struct err e = {0};
	pid_t parent = getpid();
	int got = server_accept(s->listening, &fd, &e);

	if (got < 0)
		log_warn("%s", e.text);
	if (got <= 0)
		return;
	s->request = fork();
	if (s->request < 0) {
		log_warn("cannot carry out a request: %s", strerror(errno));
		s->request = 0;
		return;
	}
	if (s->request == 0) {
		become_child(s, parent);
		accept_term();
		log_set_role("request");
		_exit(answer(s->home, fd));
	}
}

/* Each in a process of its own, so many at a time. */
static void
run_hooks(struct supervisor *s)
{
	struct hook_call *call;

	while ((call = hooks_next(&s->hooks)) != NULL) {
		pid_t parent = getpid(), pid = fork();

		if (pid < 0)
			log_error("hook %s cannot be run: %s", call->hook.name,
			    strerror(errno));
		if (pid == 0) {
			become_child(s, parent);
			accept_term();
			log_set_role("hook");
			hooks_work(s->home, call, s->report_out);
			_exit(EXIT_SUCCESS);
		}
		if (pid > 0)
			hooks_started(&s->hooks, pid);
		free(call);
	}
}

/* "NAME\0TEXT\0", each written at once, so never torn; several may come. */
static void
take_reports(struct supervisor *s)
{
	AUTO(catalogue_closep) struct catalogue *c = NULL;
	char text[8192];
	ssize_t n = read(s->report_in, text, sizeof(text) - 2);
	struct err e = {0};

	if (n <= 0)
		return;
	text[n] = text[n + 1] = 0;
	if (catalogue_open(s->home, true, &c, &e) < 0 ||
	    catalogue_begin(c, &e) < 0) {
		log_warn("an event was not noted: %s", e.text);
		return;
	}
	for (char *at = text; at < text + n;) {
		char *what = at + strlen(at) + 1;

		if (what > text + n || catalogue_event(c, at, what, &e) < 0)
			break;
		if (!s->ending)
			hooks_take(&s->hooks, &s->config, at, what);
		at = what + strlen(what) + 1;
	}
	if (catalogue_commit(c, &e) < 0)
		log_warn("an event was not noted: %s", e.text);
}

/* ---- the loop ---- */

static void
sooner(uint64_t *next, uint64_t when)
{
	if (when < *next)
		*next = when;
}

/* Starts, kills and forgets what is due; when the next thing is. */
static uint64_t
tend(struct supervisor *s)
{
	uint64_t now = clock_mono_ns(), next = UINT64_MAX;

	for (uint32_t i = 0; i < s->slot_count;) {
		struct slot *slot = &s->slots[i];

		if (s->ending)
			stop(slot);
		if (slot->pid == 0 && !slot->wanted) {
			watch_close(&slot->watch);
			*slot = s->slots[--s->slot_count];
			continue;
		}
		if (slot->pid == 0 && !s->ending && now >= slot->restart_ns)
			start(s, slot);
		else if (slot->pid == 0 && !s->ending)
			sooner(&next, slot->restart_ns);
		if (slot->pid != 0 && !slot->stopping && !slot->killed &&
		    watch_look(&slot->watch, s->hang_limit_ms, &next))
			kill_hung(s, slot);
		if (slot->pid != 0 && slot->stopping && !slot->killed) {
			if (now >= slot->kill_ns) {
				(void)kill(slot->pid, SIGKILL);
				slot->killed = true;
			} else
				sooner(&next, slot->kill_ns);
		}
		i++;
	}
	if (s->watchdog_ms != 0) {
		if (now >= s->watchdog_ns) {
			notify_say("WATCHDOG=1");
			s->watchdog_ns = now + s->watchdog_ms * MS;
		}
		sooner(&next, s->watchdog_ns);
	}
	lease_renew(s->lease, &next);
	return next;
}

static bool
has_children(const struct supervisor *s)
{
	for (uint32_t i = 0; i < s->slot_count; i++)
		if (s->slots[i].pid != 0)
			return true;
	return s->request != 0 || hooks_are_running(&s->hooks);
}

static int
turn(struct supervisor *s, struct err *e)
{
	uint64_t next = tend(s), now = clock_mono_ns();
	struct pollfd p[3] = {
	    {.fd = s->signals, .events = POLLIN},
	    {.fd = s->report_in, .events = POLLIN},
	    {.fd = s->request == 0 && !s->ending ? s->listening : -1,
		.events = POLLIN},
	};
	int wait_ms = -1;

	if (next <= now)
		wait_ms = 0;
	else if (next != UINT64_MAX)
		wait_ms =
		    (int)((next - now) / MS > 60000 ? 60000
						    : (next - now) / MS + 1);
	if (s->ending && !has_children(s))
		return 0;
	if (poll(p, 3, wait_ms) < 0) {
		if (errno == EINTR)
			return 0;
		return err_sys(e, "poll");
	}
	if (p[0].revents != 0)
		take_signals(s);
	if (p[1].revents != 0)
		take_reports(s);
	if (p[2].revents != 0)
		take_request(s);
	run_hooks(s);
	return 0;
}

static int
set_up(struct supervisor *s, struct err *e)
{
	int ends[2];
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_sys(e, "block signals");
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0)
		return err_sys(e, "signalfd");
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_sys(e, "pipe");
	s->report_in = ends[0];
	s->report_out = ends[1];
	if (configure(s, e) < 0)
		return -1;
	s->watchdog_ms = notify_watchdog_ms();
	return server_listen(s->home, &s->listening, e);
}

static void
note_takeover(struct supervisor *s)
{
	char line[128];
	int n = snprintf(line, sizeof(line),
	    "coordinator%ca standby took over (fence %ju)", 0,
	    (uintmax_t)s->lease->fence);

	if (write(s->report_out, line, (size_t)n + 1) < 0)
		log_warn("an event was not noted: %s", strerror(errno));
}

int
supervisor_run(struct home *h, int lock, struct lease *lease, bool takes_over,
    struct err *e)
{
	AUTO(supervisor_release)
	struct supervisor s = {.home = h,
	    .lock = lock,
	    .signals = -1,
	    .listening = -1,
	    .report_in = -1,
	    .report_out = -1,
	    .lease = lease,
	    .hang_limit_ms = lease->limit_ms};
	int done = 0;

	if (set_up(&s, e) < 0)
		return -1;
	log_info("site %s, home %s: %u roles, fence %ju", h->site_name, h->path,
	    s.slot_count, (uintmax_t)lease->fence);
	if (takes_over)
		note_takeover(&s);
	notify_say("READY=1\nSTATUS=working");
	while (done == 0 && !(s.ending && !has_children(&s)))
		done = turn(&s, e);
	server_unlink(h);
	log_info("stopped");
	return done;
}
