/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_redrive: the apply role against a plain loop of pwrite over the same
 * ranges, turn by turn, on two images of one size that were written once.
 *
 * The role reads staged journal files from the disk (in the page cache here),
 * verifies them and keeps its durable state; the plain loop has its payloads
 * in memory and does nothing else. Both sync their image equally often: the
 * role's syncs of the mirror are counted at the seam, and the loop spreads the
 * same number over its writes. What the role syncs besides (its state) is
 * counted too and told. After each pair both images must be equal.
 */
#include "tests/bench/bench_chain.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/sys.h"
#include "coordinator/roles.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <sys/stat.h>

#define IMAGE_CHUNK (1u << 20)

struct bench {
	const char *dir;
	uint32_t files, per_file, block, pairs;
	uint64_t size;
	struct home home;
	struct mirror_config mirror;
	struct mirror_volume_config volume;
	struct bench_chain chain;
	int stage, plain;
	uint64_t *offs;
};

/* What the role did during a turn. */
struct counts {
	dev_t dev;
	ino_t image;
	uint64_t image_syncs, other_syncs, writes;
};

struct turn {
	uint64_t role_ns, plain_ns, role_cpu_ns;
	struct counts counts;
};

static uint64_t
cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The seam's judge: lets all calls go, counts the syncs. */
static int
count_call(void *ctx, enum sys_op op, const char *name)
{
	struct counts *n = ctx;
	struct stat st;
	int fd = -1;

	if (op == SYS_PWRITE)
		n->writes++;
	if (op != SYS_FSYNC && op != SYS_FDATASYNC)
		return 0;
	if (sscanf(name, "fd:%d", &fd) == 1 && fstat(fd, &st) == 0 &&
	    st.st_ino == n->image && st.st_dev == n->dev)
		n->image_syncs++;
	else
		n->other_syncs++;
	return 0;
}

/* Writes the whole image once, in small pieces, so that no turn allocates and
 * the page cache is made of single pages, as after ordinary use. */
static int
image_make(const char *path, uint64_t size, struct err *e)
{
	AUTO_CLOSE int fd =
	    open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	uint8_t page[4096] = {0};
	uint64_t off;

	if (fd < 0)
		return err_sys(e, "create %s", path);
	for (off = 0; off < size; off += sizeof(page))
		if (io_write_at(fd, page, sizeof(page), off, e) != 0)
			return err_at(e, "%s", path);
	return io_fsync(fd, path, e);
}

static int
images_equal(const struct bench *b, struct err *e)
{
	static uint8_t one[IMAGE_CHUNK], two[IMAGE_CHUNK];
	AUTO_CLOSE int fd = open(b->volume.path, O_RDONLY | O_CLOEXEC);
	uint64_t off, len;

	if (fd < 0)
		return err_sys(e, "open %s", b->volume.path);
	for (off = 0; off < b->size; off += len) {
		len = b->size - off < IMAGE_CHUNK ? b->size - off : IMAGE_CHUNK;
		if (io_read_at(fd, one, len, off, e) != 0 ||
		    io_read_at(b->plain, two, len, off, e) != 0)
			return -1;
		if (memcmp(one, two, len) != 0)
			return err_set(e, ERR_CORRUPT,
			    "mirror and plain image differ at %" PRIu64, off);
	}
	return 0;
}

static int
mirror_setup(struct bench *b, struct err *e)
{
	struct mirror_config *m = &b->mirror;
	struct mirror_volume_config *v = &b->volume;

	(void)snprintf(m->group_name, sizeof(m->group_name), "bench");
	(void)snprintf(m->source_site_name, sizeof(m->source_site_name), "src");
	(void)snprintf(m->incoming, sizeof(m->incoming), "%s/in", b->dir);
	m->uuid = b->chain.mirror;
	m->group = b->chain.group;
	m->stream = b->chain.stream;
	m->source_site = b->chain.site;
	m->source_key = b->chain.key.pub;
	m->volume_count = 1;
	m->volumes = v;
	(void)snprintf(v->name, sizeof(v->name), "bench");
	(void)snprintf(v->path, sizeof(v->path), "%s/mirror.img", b->dir);
	v->uuid = b->chain.volume.uuid;
	v->source_kind = v->kind = VOLUME_FILE;
	v->size = b->size;
	if (io_make_dir(AT_FDCWD, m->incoming, 0700, e) != 0)
		return -1;
	return image_make(v->path, b->size, e);
}

static int
setup(struct bench *b, struct err *e)
{
	char path[PATH_MAX], text[UUID_TEXT];
	struct sign_secret key;

	b->size = b->size / b->block * b->block;
	b->offs = calloc((size_t)b->files * b->per_file, sizeof(*b->offs));
	if (b->offs == NULL)
		return err_sys(e, "offsets");
	(void)snprintf(path, sizeof(path), "%s/home", b->dir);
	if (home_create(path, "bench", e) != 0 ||
	    home_open(path, &b->home, e) != 0 || sign_make(&key, e) != 0 ||
	    bench_chain_init(&b->chain, &key, b->size, e) != 0 ||
	    mirror_setup(b, e) != 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/plain.img", b->dir);
	if (image_make(path, b->size, e) != 0)
		return -1;
	b->plain = open(path, O_RDWR | O_CLOEXEC);
	if (b->plain < 0)
		return err_sys(e, "open %s", path);
	(void)uuid_text(&b->chain.mirror, text);
	if (io_make_dir(b->home.stage, text, 0700, e) != 0 ||
	    io_open_dir(b->home.stage, text, &b->stage, e) != 0)
		return -1;
	return bench_chain_base(&b->chain, b->stage, e);
}

/* Everything that is staged; the clock runs over the passes alone. */
static int
role_turn(struct bench *b, struct turn *t, struct err *e)
{
	struct apply *a;
	uint64_t start, cpu;
	int more;

	if (apply_open(&b->home, &b->mirror, &a, e) != 0)
		return -1;
	start = clock_mono_ns();
	cpu = cpu_ns();
	while ((more = apply_pass(a, e)) > 0)
		continue;
	t->role_cpu_ns = cpu_ns() - cpu;
	t->role_ns = clock_mono_ns() - start;
	apply_close(a);
	return more;
}

static int
role_turn_counted(struct bench *b, struct turn *t, struct err *e)
{
	struct stat st;
	int failed;

	if (stat(b->volume.path, &st) != 0)
		return err_sys(e, "stat %s", b->volume.path);
	t->counts = (struct counts){.dev = st.st_dev, .image = st.st_ino};
	sys_set_judge(count_call, &t->counts);
	/* The role's helper only reads, which is not counted. */
	sys_judge_takes_threads();
	failed = role_turn(b, t, e);
	sys_set_judge(NULL, NULL);
	return failed;
}

static int
plain_turn(struct bench *b, struct turn *t, struct err *e)
{
	uint64_t total = (uint64_t)b->files * b->per_file, i;
	uint64_t syncs = t->counts.image_syncs, done = 0;
	uint64_t start = clock_mono_ns();

	for (i = 0; i < total; i++) {
		const uint8_t *from = bench_chain_payload(b->offs[i], b->block);

		if (io_write_at(b->plain, from, b->block, b->offs[i], e) != 0)
			return -1;
		if ((i + 1) * syncs / total == done)
			continue;
		done = (i + 1) * syncs / total;
		if (io_fdatasync(b->plain, "plain image", e) != 0)
			return -1;
	}
	if (done == 0 && io_fdatasync(b->plain, "plain image", e) != 0)
		return -1;
	t->plain_ns = clock_mono_ns() - start;
	return 0;
}

/* What was made for the turn goes to the disk before the clock starts. */
static int
settle(struct bench *b, struct err *e)
{
	if (syncfs(b->stage) != 0)
		return err_sys(e, "sync");
	return 0;
}

static int
pair(struct bench *b, struct turn *t, struct err *e)
{
	uint32_t i;

	for (i = 0; i < b->files; i++)
		if (bench_chain_add(&b->chain, b->stage, b->per_file, b->block,
			b->offs + (size_t)i * b->per_file, e) != 0)
			return -1;
	if (settle(b, e) != 0 || role_turn_counted(b, t, e) != 0 ||
	    settle(b, e) != 0 || plain_turn(b, t, e) != 0)
		return -1;
	return images_equal(b, e);
}

static void
print_turn(const struct bench *b, const struct turn *t)
{
	(void)printf("{\"bytes\":%" PRIu64 ",\"role_ns\":%" PRIu64
		     ",\"role_cpu_ns\":%" PRIu64 ",\"plain_ns\":%" PRIu64
		     ",\"image_syncs\":%" PRIu64 ",\"other_syncs\":%" PRIu64
		     ",\"writes\":%" PRIu64 "}\n",
	    (uint64_t)b->files * b->per_file * b->block, t->role_ns,
	    t->role_cpu_ns, t->plain_ns, t->counts.image_syncs,
	    t->counts.other_syncs, t->counts.writes);
	(void)fflush(stdout);
}

/* The base is applied first: it is not part of any pair. */
static int
run(struct bench *b, struct err *e)
{
	struct turn t;
	uint32_t i;

	if (setup(b, e) != 0 || role_turn(b, &t, e) != 0)
		return -1;
	for (i = 0; i < b->pairs; i++) {
		t = (struct turn){0};
		if (pair(b, &t, e) != 0)
			return -1;
		print_turn(b, &t);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	struct bench b = {.stage = -1, .plain = -1};
	struct err e = {0};

	if (argc != 7) {
		(void)fprintf(stderr,
		    "usage: bench_redrive DIR SIZE FILES WRITES BLOCK PAIRS\n"
		    "SIZE of the image, WRITES of BLOCK bytes a file\n");
		return 2;
	}
	b.dir = argv[1];
	b.size = strtoull(argv[2], NULL, 10);
	b.files = (uint32_t)strtoul(argv[3], NULL, 10);
	b.per_file = (uint32_t)strtoul(argv[4], NULL, 10);
	b.block = (uint32_t)strtoul(argv[5], NULL, 10);
	b.pairs = (uint32_t)strtoul(argv[6], NULL, 10);
	if (b.size < b.block || b.block < 512 || b.block > 1u << 20 ||
	    b.files == 0 || b.per_file == 0) {
		(void)fprintf(stderr, "bench_redrive: sizes make no sense\n");
		return 2;
	}
	if (run(&b, &e) != 0) {
		(void)fprintf(stderr, "bench_redrive: %s\n", e.text);
		return 1;
	}
	free(b.offs);
	home_close(&b.home);
	return close(b.plain) == 0 && close(b.stage) == 0 ? 0 : 1;
}
