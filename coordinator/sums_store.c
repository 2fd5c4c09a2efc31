/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/sums_store.h"

#include "common/io.h"
#include "common/log.h"
#include "common/sys.h"
#include "fileformat/le.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define STORE_NAME_LEN (UUID_TEXT + 5)
#define AT_LEN 20

static const char *
store_name(const struct destination_config *d, char out[STORE_NAME_LEN])
{
	char text[UUID_TEXT];

	(void)snprintf(
	    out, STORE_NAME_LEN, "%s.sums", uuid_text(&d->uuid, text));
	return out;
}

int
sums_read(const struct home *h, const struct destination_config *d,
    const struct position *begin, uint32_t page, const uint8_t *bytes,
    size_t len, struct sums *out, struct err *e)
{
	struct why why = {0};
	bool valid = false;
	struct sums s;

	if (sums_decode(bytes, len, &s, &why) != VERDICT_WHOLE)
		return err_set(e, ERR_CORRUPT,
		    "page %u of the sums is damaged at offset %ju: %s", page,
		    (uintmax_t)why.offset, why.text);
	if (sums_check(bytes, len, &d->mirror_key, &valid, e) < 0)
		return -1;
	if (!valid)
		return err_set(e, ERR_REFUSED,
		    "page %u of the sums is not signed by the key of site %s: "
		    "forged, or the site has a new key (pair again)",
		    page, d->mirror_site_name);
	if (!uuid_equal(&s.stream, &d->stream) ||
	    !uuid_equal(&s.group, &d->group) ||
	    !uuid_equal(&s.mirror, &d->mirror) ||
	    !uuid_equal(&s.mirror_site, &d->mirror_site) ||
	    !uuid_equal(&s.source_site, &h->site))
		return err_set(e, ERR_REFUSED,
		    "page %u of the sums is of another stream, group, mirror "
		    "or site",
		    page);
	if (!position_equal(&s.begin, begin) || s.first != page * SUMS_IN_PAGE)
		return 0;
	*out = s;
	return 1;
}

int
sums_store_open(struct home *h, const struct destination_config *d, bool make,
    int *fd, struct err *e)
{
	char name[STORE_NAME_LEN];
	int flags =
	    make ? O_RDWR | O_CREAT | O_NOFOLLOW : O_RDONLY | O_NOFOLLOW;
	int got = sys_openat(h->state, store_name(d, name), flags, 0600);

	if (got < 0)
		return errno == ENOENT && !make
			   ? 0
			   : err_sys(e, "open state/%s", name);
	*fd = got;
	return 1;
}

/* What an older page had beyond this one's end is none of it. */
int
sums_store_put(
    int fd, uint32_t page, const uint8_t *bytes, size_t len, struct err *e)
{
	uint8_t slot[SUMS_LIMIT] = {0};

	memcpy(slot, bytes, len);
	return io_write_at(
	    fd, slot, sizeof(slot), (uint64_t)page * SUMS_LIMIT, e);
}

int
sums_store_get(const struct home *h, const struct destination_config *d, int fd,
    const struct position *begin, uint32_t page, uint8_t *bytes,
    struct sums *out, struct err *e)
{
	struct err why = {0};
	uint32_t len;
	int got;
	ssize_t n = io_read_some_at(
	    fd, bytes, SUMS_LIMIT, (uint64_t)page * SUMS_LIMIT, e);

	if (n < 0)
		return err_at(e, "sums of destination %s", d->name);
	if (n < SUMS_HEAD)
		return 0;
	len = le_get32(bytes + AT_LEN);
	if (len > (size_t)n)
		return 0;
	got = sums_read(h, d, begin, page, bytes, len, out, &why);
	if (got >= 0 || why.kind == ERR_CORRUPT || why.kind == ERR_REFUSED)
		return got == 1;
	return err_set(e, why.kind, "%s", why.text);
}

void
sums_store_drop(struct home *h, const struct destination_config *d)
{
	char name[STORE_NAME_LEN];

	if (sys_unlink(h->state, store_name(d, name)) < 0 && errno != ENOENT)
		log_warn(
		    "state/%s cannot be removed: %s", name, strerror(errno));
}
