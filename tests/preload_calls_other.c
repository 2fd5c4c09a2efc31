/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/preload_calls.h"

#include <aio.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static void
streams(const char *path)
{
	FILE *f = fopen(path, "r+");
	char line[100] = "";

	SHOW(fprintf(f, "first %d\n", 1));
	SHOW(fseek(f, 5000, SEEK_SET));
	SHOW(fwrite(pattern(20000, 3), 1, 20000, f));
	SHOW(ftell(f));
	SHOW(fflush(f));
	rewind(f);
	SHOW(fgets(line, sizeof(line), f) != NULL);
	SHOW(strcmp(line, "first 1\n"));
	SHOW(lseek(fileno(f), 0, SEEK_END) > 0);
	SHOW(fclose(f));
	f = fopen(path, "a");
	SHOW(setvbuf(f, NULL, _IONBF, 0));
	SHOW(fputs("at the end", f) >= 0);
	SHOW(putc('!', f));
	SHOW(putw(7, f));
	SHOW(fclose(f));
	f = fdopen(must_open(path, O_RDWR), "r+");
	SHOW(fseek(f, -3, SEEK_END));
	SHOW(fputs("xyz123", f) >= 0);
	SHOW(fclose(f));
	SHOW(fopen(path, "wx") == NULL);
	SHOW(fdopen(must_open(path, O_RDONLY), "w") == NULL);
}

static void
stream_from_nothing(const char *path)
{
	FILE *f = fopen(path, "w");

	SHOW(fputs("only this", f) >= 0);
	/* left to exit() */
}

static void
standard_output(const char *path)
{
	FILE *kept = fdopen(dup(1), "w");
	int fd = must_open(path, O_WRONLY);

	fflush(stdout);
	SHOW(dup2(fd, 1));
	printf("through printf %d\n", 5);
	puts("through puts");
	putchar('c');
	fputs("kept\n", kept);
	(void)fclose(kept);
	SHOW(fflush(stdout));
}

/* What is still in the buffer goes where descriptor 1 is then. */
static void
held_back(const char *path)
{
	int was = dup(1), fd = must_open(path, O_WRONLY);

	printf("held when the volume came, ");
	SHOW(dup2(fd, 1));
	fflush(stdout);
	printf("held when it went, ");
	(void)dup2(was, 1);
	printf("at the end\n");
	fflush(stdout);
	(void)close(1);
	SHOW(fcntl(fd, F_DUPFD, 0));
	printf("by fcntl");
}

static void
closed_and_opened(const char *path)
{
	int was = dup(1);

	fflush(stdout);
	(void)close(1);
	if (open(path, O_WRONLY) != 1)
		exit(2);
	printf("into the volume\n");
	fflush(stdout);
	(void)dup2(was, 1);
	printf("and back\n");
}

static void
reopened(const char *path)
{
	FILE *f = freopen(path, "w", stderr);

	SHOW(f == NULL);
}

static void
by_number(const char *path)
{
	int fd = must_open(path, O_RDWR);

	SHOW(syscall(SYS_write, fd, pattern(100, 1), 100));
	SHOW(syscall(SYS_pwrite64, fd, pattern(100, 2), 100, 5000));
	SHOW(syscall(SYS_ftruncate, fd, 9999));
	SHOW(syscall(SYS_lseek, fd, 0, SEEK_END));
	SHOW(syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_TRUNC) < 0);
	SHOW(syscall(SYS_write, fd, pattern(100, 3), 100));
	SHOW(syscall(SYS_fsync, fd));
	SHOW(syscall(SYS_close, fd));
	SHOW(syscall(SYS_close, fd));
	SHOW(syscall(99999L));
}

static void
flushes(const char *path)
{
	int fd = must_open(path, O_RDWR);

	SHOW(pwrite(fd, "x", 1, 9));
	SHOW(fsync(fd));
	SHOW(fdatasync(fd));
	SHOW(syncfs(fd));
	SHOW(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
	SHOW(fsync(must_open(path, O_RDONLY)));
	SHOW(fsync(-1));
}

static void
questions(const char *path)
{
	int fd = must_open(path, O_RDWR), flags, size;

	SHOW(ioctl(fd, FS_IOC_GETFLAGS, &flags));
	SHOW(ioctl(fd, FIGETBSZ, &size));
	SHOW(isatty(fd));
	SHOW(ioctl(fd, FIONREAD, &size));
	SHOW(ioctl(fd, BLKGETSIZE64, pattern(8, 1)));
}

static void
unknown_request(const char *path)
{
	SHOW(
	    ioctl(must_open(path, O_RDWR), FS_IOC_SETFLAGS, pattern(8, 1)) < 0);
	SHOW(ioctl(must_open(path, O_RDWR), 0xc0de1234, pattern(8, 1)));
}

static void
clone_onto(const char *path)
{
	SHOW(ioctl(must_open(path, O_RDWR), FICLONE, must_open(path, 0)));
}

static void
map_shared(const char *path)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
	    must_open(path, O_RDWR), 0);

	SHOW(p == MAP_FAILED);
	if (p != MAP_FAILED)
		p[7] = 'm';
}

static void
map_then_protect(const char *path)
{
	char *p =
	    mmap(NULL, 4096, PROT_READ, MAP_SHARED, must_open(path, O_RDWR), 0);
	int r;

	SHOW(p == MAP_FAILED);
	SHOW(r = mprotect(p, 4096, PROT_READ | PROT_WRITE));
	if (r == 0)
		p[7] = 'p';
	else
		fprintf(stderr, "aim: (the kernel refuses)\n");
}

static void
map_private(const char *path)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE,
	    must_open(path, O_RDWR), 0);

	SHOW(p == MAP_FAILED);
	p[7] = 'm';
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, must_open(path, 0), 0);
	SHOW(p == MAP_FAILED);
}

static void
asynchronous(const char *path)
{
	struct aiocb cb = {.aio_fildes = must_open(path, O_RDWR),
	    .aio_buf = pattern(100, 1),
	    .aio_nbytes = 100};
	const struct aiocb *list[] = {&cb};
	int r;

	SHOW(r = aio_write(&cb));
	if (r == 0)
		(void)aio_suspend(list, 1, NULL);
}

static void
asynchronous_list(const char *path)
{
	struct aiocb cb = {.aio_fildes = must_open(path, O_RDWR),
	    .aio_buf = pattern(100, 1),
	    .aio_lio_opcode = LIO_WRITE,
	    .aio_nbytes = 100};
	struct aiocb *list[] = {&cb};

	SHOW(lio_listio(LIO_WAIT, list, 1, NULL));
}

static void
ring(const char *path)
{
	long r;

	(void)path;
	SHOW((r = syscall(SYS_io_uring_setup, 4, pattern(200, 1))) < 0);
	SHOW(r);
}

static void
rename_onto(const char *path)
{
	char other[4200];

	(void)snprintf(other, sizeof(other), "%s.other", path);
	(void)close(must_open(other, O_RDWR | O_CREAT));
	SHOW(rename(other, path));
	(void)unlink(other);
}

static void
names(const char *path)
{
	char other[4200];

	(void)snprintf(other, sizeof(other), "%s.other", path);
	SHOW(link(path, other));
	SHOW(unlink(other));
	SHOW(rename(path, other));
	SHOW(rename(other, path));
	SHOW(renameat2(AT_FDCWD, path, AT_FDCWD, path, RENAME_NOREPLACE));
}

static void
removal(const char *path)
{
	int r;

	SHOW(r = unlink(path));
	SHOW(remove(path));
	if (r == 0)
		(void)close(must_open(path, O_RDWR | O_CREAT));
}

const struct call other_calls[] = {SAME(streams), SAME(stream_from_nothing),
    SAME(standard_output), SAME(held_back), SAME(closed_and_opened),
    PATCHED(reopened), SAME(by_number), SAME(flushes), SAME(questions),
    REFUSED(unknown_request), REFUSED(clone_onto), REFUSED(map_shared),
    REFUSED(map_then_protect), SAME(map_private), PATCHED(asynchronous),
    PATCHED(asynchronous_list), REFUSED(ring), REFUSED(rename_onto),
    REFUSED(names), REFUSED(removal), {NULL, NULL, NULL}};
