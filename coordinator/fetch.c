/* SPDX-License-Identifier: Apache-2.0 */
/* fetch: the role of a mirror that fetches its files itself. See fetch.h. */
#include "coordinator/fetch.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "coordinator/fetched.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define LONGEST_WAIT_MS 1000u
#define POLL_FIRST_MS 50u
#define POLL_LAST_MS 5000u
/* What is refused is got whole to see whether it has changed. */
#define POLL_HELD_MS 300000u

/* The receiver's word, and the files that it has taken away. */
static void
watch_near(struct fetch *f)
{
	char path[64];

	f->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (f->inotify < 0)
		return; /* time-outs do as well */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", f->ack);
	(void)inotify_add_watch(f->inotify, path, IN_MOVED_TO | IN_ONLYDIR);
}

static void
watch_far(struct fetch *f)
{
	if (f->far < 0 && f->inotify >= 0)
		f->far = transport_watch(f->transport, f->inotify, f->stream);
}

static int
open_parts(struct fetch *f, struct err *e)
{
	if (fetched_open(f->home, &f->mirror.stream, &f->dir, e) < 0 ||
	    io_open_dir(f->dir, "ack", &f->ack, e) < 0 || fetch_sweep(f, e) < 0)
		return -1;
	watch_near(f);
	return 0;
}

int
fetch_open(struct home *h, const struct mirror_config *m, struct fetch **out,
    struct err *e)
{
	struct fetch *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return err_set(e, ERR_RETRY, "out of memory");
	f->home = h;
	f->mirror = *m;
	f->mirror.volumes = NULL;
	f->mirror.pull = NULL;
	f->place = *m->pull;
	f->place.stream = m->stream;
	f->dir = f->ack = f->inotify = f->far = -1;
	f->ahead = 1;
	(void)uuid_text(&m->stream, f->stream);
	if (open_parts(f, e) < 0) {
		fetch_close(f);
		return err_at(e, "fetch group %s", m->group_name);
	}
	*out = f;
	return 0;
}

void
fetch_close(struct fetch *f)
{
	if (f == NULL)
		return;
	transport_close(f->transport);
	buf_release(&f->ack_bytes);
	cleanup_fd(&f->dir);
	cleanup_fd(&f->ack);
	cleanup_fd(&f->inotify);
	free(f);
}

/* It is opened late and again: keys and mounts may come. Who may only read
 * there finds the folder that others have made. */
static int
reach(struct fetch *f, struct err *e)
{
	char folder[UUID_TEXT + 8];
	struct err why = {0};

	if (f->transport == NULL &&
	    transport_open(&f->place, false, &f->transport, e) < 0)
		return -1;
	if (f->made_folder) {
		watch_far(f);
		return 0;
	}
	(void)snprintf(folder, sizeof(folder), "%s/ack", f->stream);
	if (transport_make_folder(f->transport, folder, &why) < 0) {
		if (why.kind == ERR_RETRY)
			return err_set(e, why.kind, "%s", why.text);
		log_debug("no folder was made: %s", why.text);
	}
	f->made_folder = true;
	watch_far(f);
	return 0;
}

/* With a quarter of it by chance: many mirrors may ask in one place. */
static void
poll_later(struct fetch *f)
{
	uint32_t last = f->held[0] != '\0' ? POLL_HELD_MS : POLL_LAST_MS;
	uint32_t chance = 0, wait_ms;

	if (f->poll_ms < POLL_FIRST_MS)
		f->poll_ms = POLL_FIRST_MS;
	if (random_bytes(&chance, sizeof(chance), NULL) < 0)
		chance = 0;
	wait_ms = f->poll_ms - chance % (f->poll_ms / 4);
	f->poll_ns = clock_mono_ns() + wait_ms * NS_PER_MS;
	f->poll_ms = f->poll_ms * 2 < last ? f->poll_ms * 2 : last;
}

static int
work(struct fetch *f, struct err *e)
{
	struct err untold = {0};
	int told, took = 0;

	if (fetch_look(f, e) < 0 || reach(f, e) < 0)
		return -1;
	told = fetch_tell(f, &untold);
	/* A place that is full, or not to be written to, may be read. */
	if (told < 0 && (f->mirror.fetch_paused || untold.kind == ERR_RETRY))
		return err_set(e, untold.kind, "%s", untold.text);
	if (told >= 0 && fetch_sums(f))
		told = 1;
	if (f->mirror.fetch_paused ||
	    (told >= 0 && clock_mono_ns() < f->poll_ns))
		return told;
	took = fetch_take(f, e);
	if (took < 0)
		return -1;
	f->reached_ns = clock_wall_ns();
	if (took == 1) {
		f->poll_ns = 0;
		f->poll_ms = 0;
	} else {
		poll_later(f);
	}
	if (told < 0 && took == 0)
		return err_set(e, untold.kind, "%s", untold.text);
	return told == 1 || took == 1;
}

int
fetch_pass(struct fetch *f, struct err *e)
{
	struct err why = {0};
	int did;

	/* The same trouble until it is over: nothing is tried meanwhile. */
	if (backoff_wait_ms(&f->backoff, clock_mono_ns()) > 0) {
		fetch_note(f, false);
		return err_set(e, f->trouble.kind, "%s", f->trouble.text);
	}
	did = work(f, &why);
	if (did < 0) {
		(void)err_at(&why, "fetch from %s", f->place.url);
		f->trouble = why;
		backoff_fail(&f->backoff, clock_mono_ns());
		fetch_note(f, true);
		return err_set(e, why.kind, "%s", why.text);
	}
	f->trouble = (struct err){0};
	backoff_good(&f->backoff);
	fetch_note(f, false);
	return did;
}

/* Hints: from here, the receiver has published or taken something; from the
 * place, a file may have come. */
static void
take_events(struct fetch *f)
{
	_Alignas(struct inotify_event) char bytes[4096];
	ssize_t n, at;

	while ((n = read(f->inotify, bytes, sizeof(bytes))) > 0)
		for (at = 0; at < n;) {
			const struct inotify_event *ev =
			    (const void *)(bytes + at);

			if (ev->wd == f->far && (ev->mask & IN_IGNORED) != 0)
				f->far = -1;
			if (ev->wd == f->far || f->full)
				f->poll_ns = 0;
			at += (ssize_t)(sizeof(*ev) + ev->len);
		}
}

static uint32_t
until_ms(uint64_t when_ns)
{
	uint64_t now = clock_mono_ns();

	return when_ns <= now ? 0 : (uint32_t)((when_ns - now) / NS_PER_MS) + 1;
}

void
fetch_wait(struct fetch *f, uint32_t wait_ms)
{
	uint32_t most = wait_ms < LONGEST_WAIT_MS ? wait_ms : LONGEST_WAIT_MS;
	uint32_t back = backoff_wait_ms(&f->backoff, clock_mono_ns()), poll_ms;
	struct pollfd p = {.fd = f->inotify, .events = POLLIN};

	if (back > 0) {
		most = back < most ? back : most;
	} else if (!f->mirror.fetch_paused && f->poll_ns != 0) {
		poll_ms = until_ms(f->poll_ns);
		most = poll_ms < most ? poll_ms : most;
	}
	if (poll(&p, f->inotify >= 0 ? 1 : 0, (int)most) > 0)
		take_events(f);
}
