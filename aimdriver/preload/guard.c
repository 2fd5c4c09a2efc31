/* SPDX-License-Identifier: Apache-2.0 */
#include "aimdriver/preload/preload.h"

#include <pthread.h>
#include <sys/single_threaded.h>

enum { PAGE = 4096 }; /* or a part of one */

/* As libc does it: while the call lasts, a cancellation acts at once. */
long
px_block(long nr, long a, long b, long c, long d, long e, long f)
{
	int type;
	long r;

	if (__libc_single_threaded || px_self.inside > 0 || px_self.steady > 0)
		return raw6(nr, a, b, c, d, e, f);
	(void)pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	r = raw6(nr, a, b, c, d, e, f);
	(void)pthread_setcanceltype(type, NULL);
	return r;
}

static void
touch(const volatile char *p)
{
	(void)*p;
}

/*
 * The buffers are touched before the capture rather than guarded during it:
 * the core's copy then cannot fault unless another thread unmaps the buffer
 * at this very moment, which ends the program as any such fault would (the
 * transaction becomes void: nothing was written).
 */
static int64_t
touch_all(const struct iovec *iov, int count, uint64_t max, uint64_t *total)
{
	volatile uint64_t good = 0, sum = 0;
	volatile bool summed = false;
	sigjmp_buf here;

	if (sigsetjmp(here, 0) != 0)
		return summed && good > 0 ? (int64_t)good : -EFAULT;
	px_self.fault = &here;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	for (int i = 0; i < count; i++) {
		touch((const volatile char *)&iov[i]);
		if ((int64_t)iov[i].iov_len < 0 ||
		    sum + iov[i].iov_len > INT64_MAX)
			return -EINVAL;
		sum += iov[i].iov_len;
	}
	summed = true;
	for (int i = 0; i < count && good < max; i++) {
		const volatile char *p = iov[i].iov_base;
		uint64_t left = iov[i].iov_len;

		if (left > max - good)
			left = max - good;
		while (left > 0) {
			uint64_t n = PAGE - (uintptr_t)p % PAGE;

			if (n > left)
				n = left;
			touch(p);
			p += n;
			left -= n;
			good += n;
		}
	}
	*total = sum;
	return (int64_t)good;
}

/* No handler may leave by longjmp while `fault` is set. */
int64_t
px_readable(const struct iovec *iov, int count, uint64_t max, uint64_t *total)
{
	int64_t r;

	px_enter();
	r = touch_all(iov, count, max, total);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	px_self.fault = NULL;
	px_leave();
	return r;
}

bool
px_is_clean(long error)
{
	switch (-error) {
	case EBADF:
	case ESPIPE:
	case EINVAL:
	case EFBIG:
	case EPERM:
	case EACCES:
	case EFAULT:
	case EAGAIN:
	case EOPNOTSUPP:
	case ENODEV:
	case ENOTTY:
	case EROFS:
	case ETXTBSY:
		return true;
	default:
		return false;
	}
}

int64_t
px_submit(const struct px_target *t, const struct capture_req *req)
{
	int saved = errno;
	bool again;
	int64_t r;

	do {
		if (px_self.steady == 0)
			pthread_testcancel();
		px_self.interrupts = false;
		px_enter();
		r = capture_submit(t->group, req);
		again = r == -EINTR && !px_self.interrupts;
		px_leave();
	} while (again);
	if (unlikely(r == -EIO || r == -EBUSY) &&
	    capture_trouble(t->group)[0] != '\0')
		px_say(PX_TROUBLE, "%s: %s", px_program(),
		    capture_trouble(t->group));
	errno = saved;
	return r;
}

void
px_flushed(const struct px_target *t)
{
	int saved = errno;

	px_enter();
	if (capture_flushed(t->group, t->volume) < 0)
		px_say(PX_TROUBLE, "%s: %s", px_program(),
		    capture_trouble(t->group));
	px_leave();
	errno = saved;
}
