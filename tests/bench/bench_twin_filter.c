/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_twin_filter: what any filter of nbdkit costs that writes the same bytes
 * a second time: each write goes to the plugin and to the next place in a
 * second file, of 64 MiB, round and round. It knows nothing of AIM: no order,
 * no sums, no locks, nothing durable. `twin=FILE` names the second file.
 */
#include <nbdkit-filter.h>

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define TWIN_LEN (UINT64_C(64) << 20)

static int twin = -1;
static _Atomic uint64_t next_at;

static int
on_config(nbdkit_next_config *next, nbdkit_backend *backend, const char *key,
    const char *value)
{
	if (strcmp(key, "twin") != 0)
		return next(backend, key, value);
	twin = open(value, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (twin < 0)
		nbdkit_error("%s: %s", value, strerror(errno));
	return twin < 0 ? -1 : 0;
}

static int
on_config_complete(nbdkit_next_config_complete *next, nbdkit_backend *backend)
{
	if (twin < 0) {
		nbdkit_error("twin=FILE is missing");
		return -1;
	}
	return next(backend);
}

static int
on_pwrite(nbdkit_next *next, void *handle, const void *buf, uint32_t count,
    uint64_t offset, uint32_t flags, int *err)
{
	uint64_t at = atomic_fetch_add(&next_at, count) % TWIN_LEN;

	(void)handle;
	if (pwrite(twin, buf, count, (off_t)at) != (ssize_t)count) {
		*err = EIO;
		return -1;
	}
	return next->pwrite(next, buf, count, offset, flags, err);
}

static struct nbdkit_filter filter = {
    .name = "twin",
    .longname = "twin of a journaling filter, for benchmarks",
    .config = on_config,
    .config_complete = on_config_complete,
    .config_help = "twin=FILE  (required) The second file.",
    .pwrite = on_pwrite,
};

struct nbdkit_filter *filter_init(void);
NBDKIT_REGISTER_FILTER(filter)
