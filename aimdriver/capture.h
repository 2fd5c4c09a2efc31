/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture: the one capture core under all drivers. A group is a folder
 * HOME/active/<group UUID>/ with a control file (locks, the reservation word,
 * volume table) and segments (captured transactions), shared by mapping by
 * all processes that write to the group's volumes. It knows nothing of where
 * writes come from. How the files lie: control.h.
 *
 * One transaction, "publish, issue, complete" (design 4, rules 9.3 to 9.8):
 *
 *   1 position lock of the volume (write() and O_APPEND only), then the
 *     offset is asked for; size lock of the volume (when the size changes);
 *     then the range's stripes, ascending. All are robust locks.
 *   2 a lock left dirty by a dead owner: everything is released, its
 *     unfinished transactions are settled, and 1 is begun anew.
 *   3 first write since the group was last clean: the mark `unclean` is made
 *     durable. First write to an extent of 4 MiB that is not marked in the
 *     activity log: the mark is made durable (design 9.10, activity.h).
 *   4 reservation, under the reserve lock: mode, number, slot, room. The slot
 *     says what it is for before the reservation word is advanced by one
 *     atomic store. A full segment is rolled over here; the spool limit is
 *     enforced here.
 *   5 the caller's buffer is copied, once, into the segment; sums; the slot
 *     is published.
 *   6 the disk is written, from the segment.
 *   7 the slot's state word (state and length really written) is stored.
 *   8 unlock.
 *
 * A range's locks are held until its slot is done. So a slot that is not done
 * and whose locks can all be taken belongs to nobody alive: it is settled
 * (never published: void; else the range is re-read), by whoever next wants
 * the range, or by the sealer.
 *
 * A write that grows a file is two transactions reserved at once, RESIZE and
 * WRITE, both under the size lock (also for settling: nobody else may grow the
 * file while one of the two is settled and the other is not). A failed or
 * killed ZERO or DISCARD may be larger than any payload: what became of its
 * range is put into the stream as new transactions before its own is void.
 *
 * Who wants to lock everybody out takes all stripes and the notes lock, and
 * no volume's locks: the kernel hands on at most 2,048 robust locks of a
 * thread that dies. So each transaction holds one of those at least.
 *
 * Locks are taken in all modes, so that a copy-in and a writer never pass
 * each other. Lock order: settle, position, size, notes, stripes, reserve.
 *
 * What is shared can be written by every program that captures. Coordinator
 * and manager follow no pointer in it (their locks: lock.c), copy what they
 * read and check the copy, and never wait for a lock without a limit. Captured
 * programs use glibc's robust mutexes, whose list lies in the shared memory
 * itself: whoever may capture in a group must be trusted by the others.
 *
 * Functions are thread safe, and fork safe after capture_after_fork. None
 * allocates after attach, and none is a cancellation point. In a captured
 * program the functions marked (*) must not be interrupted by a handler that
 * leaves them; the driver defers signals.
 */
#ifndef AIMDRIVER_CAPTURE_H
#define AIMDRIVER_CAPTURE_H

#include "common/err.h"
#include "common/uuid.h"
#include "fileformat/header.h"
#include "fileformat/iocb.h"
#include "fileformat/note.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#define CAPTURE_CHUNK (UINT64_C(1) << 20) /* largest transaction's data */

struct capture;

enum capture_mode {
	CAPTURE_OFF = 1, /* before the first base: writes pass */
	CAPTURE_ON = 2,
	CAPTURE_PASSTHROUGH = 3, /* only marked, to be copied in (9.11) */
};

/*
 * What writers do at the spool limit: wait; get ENOSPC; or (design 9.11) switch
 * to mode PASSTHROUGH, which only the coordinator ends.
 */
enum capture_policy { CAPTURE_BLOCK = 1, CAPTURE_FAIL = 2, CAPTURE_PASS = 3 };

/* ---- making a group (manager, coordinator) ---- */

struct capture_volume {
	struct uuid uuid;
	enum volume_kind kind;
	uint64_t size;
	char path[1024]; /* absolute */
	/* as last seen when nobody was attached; 0: not yet known */
	uint64_t dev, ino, rdev;
	int64_t mtime_ns, ctime_ns;
};

/*
 * Makes the group's folder (mode 2770, owned by Unix group `access`, or ours
 * when (gid_t)-1) with a control file that has no volumes, mode OFF, next
 * number 1. Durable. An existing one is REFUSED.
 */
int capture_create(const char *home, const struct uuid *group, gid_t access,
    struct err *e) CHECKED;
/* Adds a volume to a group to which nobody is attached. Durable. */
int capture_add_volume(const char *home, const struct uuid *group,
    const struct capture_volume *v, struct err *e) CHECKED;
/*
 * Records afresh dev, ino, size, mtime, ctime of all volumes as they are now
 * (after the operator has accepted a change outside AIM), nobody attached.
 */
int capture_accept_volumes(
    const char *home, const struct uuid *group, struct err *e) CHECKED;

/*
 * Makes a group's files anew after they were lost or damaged (capture_attach
 * says CORRUPT): those that are there are kept aside as *.broken, the new ones
 * have these volumes, mode OFF, needs_recovery and lost. REFUSED while captured
 * programs are attached, also to files that were removed. Whole or not at all
 * for whoever attaches; after a crash it is to be called again. The caller
 * sees to it that no coordinator is attached. Whatever was captured and not
 * sealed is gone: the recovery copies it in.
 */
int capture_rebuild(const char *home, const struct uuid *group,
    const struct capture_volume *volumes, uint32_t count,
    struct err *e) CHECKED;

/* ---- attaching ---- */

enum {
	CAPTURE_WRITER = 1u << 0,      /* opens all volumes read-write (9.13) */
	CAPTURE_COORDINATOR = 1u << 1, /* opens them read-only; may seal */
	CAPTURE_INSPECT = 1u << 2,     /* opens no volume; reads positions */
	/* Opens the volumes read-only, whatever their times are (a log says
	 * how they changed), and has the group for itself: REFUSED while
	 * programs capture in it, and they wait. */
	CAPTURE_RECORDER = 1u << 3,
	/* With WRITER: attaches although a volume is to be redone from its
	 * log first (wal.h), in order to do that. */
	CAPTURE_REDO = 1u << 4,
};

/*
 * Maps the control file, re-initialises it if the machine has booted since
 * (9.13; a group with the unclean mark then has needs_recovery and mode
 * PASSTHROUGH),
 * checks each volume's path, device, inode and, on the first attach, size and
 * times (9.12: REFUSED, "changed outside AIM"). Descriptors are close-on-exec
 * and >= 1000 where the limit allows. A writer is REFUSED while a volume of the
 * group is to be redone from its log (wal.h, design 9.14); a log whose owner
 * was killed is ended by a flush of its volume.
 */
int capture_attach(const char *home, const struct uuid *group, unsigned flags,
    struct capture **out, struct err *e) CHECKED;
/* The last one to leave records the volumes' size and times. */
void capture_detach(struct capture *c);
/* Is another control file in the place of ours now? */
bool capture_is_replaced(struct capture *c);
/* In the child of fork(), before anything else is called. */
void capture_after_fork(struct capture *c);

const struct uuid *capture_group(const struct capture *c);
uint32_t capture_volume_count(const struct capture *c);
void capture_volume_get(
    const struct capture *c, uint32_t i, struct capture_volume *out);
/* Index of the volume that is this file or block device; -1: none. */
int capture_volume_find(const struct capture *c, const struct stat *st);
/* True for a descriptor number that belongs to c. */
bool capture_owns_fd(const struct capture *c, int fd);

/* ---- capturing (drivers) ---- */

enum capture_place {
	CAPTURE_AT = 1,	      /* req->off says where */
	CAPTURE_POSITION = 2, /* locate() says, under the position lock */
	CAPTURE_APPEND = 3,   /* at the end, under position and size lock */
};

struct capture_req {
	uint32_t volume;
	enum aim_op op; /* WRITE, ZERO, DISCARD, RESIZE (off: new size) */
	uint32_t flags; /* IOCB_FUA */
	enum capture_place place;
	bool direct;  /* the segment's copy must be aligned for O_DIRECT */
	uint64_t off; /* bytes */
	uint64_t len; /* bytes; WRITE: at most the sum of iov */
	const struct iovec *iov; /* WRITE only */
	int iov_count;
	void *ctx; /* for the calls below */
	/* The current position, or -errno. POSITION only. */
	int64_t (*locate)(void *ctx);
	/*
	 * Makes the change on the disk: `data` is the segment's copy (NULL
	 * when the op has none). Bytes done, or -errno; -errno with *clean
	 * set says that the kernel refused before any I/O. In mode OFF `data`
	 * is NULL for WRITE too and the driver uses the caller's own buffer
	 * from byte `done` on.
	 */
	int64_t (*issue)(void *ctx, const void *data, uint64_t len,
	    uint64_t off, uint64_t done, bool *clean);
	/* While waiting for the spool, with no lock held: true gives up with
	 * -EINTR (or the bytes already done). May be NULL. */
	bool (*interrupted)(void *ctx);
};

/*
 * (*) Captures and carries out one request, in transactions of at most
 * CAPTURE_CHUNK. Returns bytes done (RESIZE, ZERO and DISCARD: 0), or -errno
 * as the plain call would: what the disk said, or -ENOSPC (spool full, policy
 * fail), -EBUSY (another process has the volume for itself, wal.h), -EFAULT
 * never (the driver guards the copy), -EIO (our own trouble: the text is kept
 * for capture_trouble).
 */
int64_t capture_submit(struct capture *c, const struct capture_req *req);

/*
 * Flags of open files (O_APPEND, O_DIRECT) that processes share: whoever
 * changes those of a volume says so before and after, or that somebody may
 * change them from now on without saying so. What was learnt of them holds
 * while capture_flags_changes is the same and was steady.
 */
enum capture_flags {
	CAPTURE_FLAGS_BEGIN,
	CAPTURE_FLAGS_END,
	CAPTURE_FLAGS_GIVEN, /* for good */
};
void capture_flags_change(struct capture *c, enum capture_flags what);
uint64_t capture_flags_changes(const struct capture *c);
/* False as long as a change is under way, or its maker was killed in it. */
bool capture_flags_are_steady(uint64_t changes);

/* (*) Notes that a flush of the volume has succeeded, in the stream. */
int capture_flushed(struct capture *c, uint32_t volume);

/*
 * Calls look(ctx) while nobody writes to the range, and returns what it does
 * (it fills the error); -1 too when the range cannot be had.
 */
int capture_look(struct capture *c, uint32_t volume, uint64_t off, uint64_t len,
    int (*look)(void *ctx), void *ctx, struct err *e) CHECKED;

/*
 * Makes the journal durable up to the highest number given out when this is
 * called (rule 9.7): waits until all these are published, and syncs the
 * segments that hold them. What is sealed is durable already. Callers that
 * come while another one syncs share the next sync.
 */
int capture_sync_journal(struct capture *c, struct err *e) CHECKED;

/*
 * ---- what a flush waits for (commit.c; policy: coordinator/commit.h) ----
 *
 * A driver that has carried out a flush, a FUA or an O_(D)SYNC write calls
 * capture_commit, or, where it must wait in a way of its own, does what that
 * does: nothing for LOCAL, capture_sync_journal for JOURNAL, steps for MIRRORS.
 */
enum capture_commit_kind {
	COMMIT_LOCAL = 0,
	COMMIT_JOURNAL = 1,
	COMMIT_MIRRORS = 2,
};

/* The group's, now. */
enum capture_commit_kind capture_commit_kind(const struct capture *c);

/* One flush that waits for mirrors. Zero it before the first step. */
struct capture_commit {
	uint64_t begun_ns, number;
	uint32_t era, tries, slot; /* slot: 1 + index; 0: none */
	bool taken;
	/* where to wait: a futex, while it holds `seen` */
	_Atomic uint32_t *word;
	uint32_t seen;
};
/*
 * (*) 0: the flush may be reported: all that was complete when the first step
 * was made is where the policy wants it, or the time is over and the policy is
 * to go on without (which status and an event tell). Else wait that many
 * milliseconds at most on w->word, and step again. No lock is held in between:
 * the caller may leave by longjmp, be cancelled or killed.
 */
uint32_t capture_commit_step(struct capture *c, struct capture_commit *w);
/* (*) All of it. -1: the journal cannot be made durable, or (RETRY, EINTR)
 * interrupted(ctx), which is asked every 100 ms and may be NULL. */
int capture_commit(struct capture *c, bool (*interrupted)(void *ctx), void *ctx,
    struct err *e) CHECKED;

/* The last thing that went wrong inside, for the driver's message. */
const char *capture_trouble(const struct capture *c);

/* ---- recording what a log tells (logwrites; CAPTURE_RECORDER) ---- */

/* One change that was made on the disk some time before. */
struct capture_record {
	uint32_t volume;
	enum aim_op op;	   /* WRITE, ZERO, DISCARD */
	uint32_t flags;	   /* IOCB_FUA */
	uint64_t off, len; /* bytes; WRITE: at most CAPTURE_CHUNK */
	const void *data;  /* WRITE only */
	/* While waiting for the spool: true gives up with RETRY. NULL: never.
	 */
	bool (*interrupted)(void *ctx);
	void *ctx;
};

/*
 * Puts it into the stream; nothing is done to the disk. All or nothing, also
 * when the process is killed. REFUSED beyond the volume's end and when the
 * mode is not ON; FULL when there is no room and the policy is FAIL.
 */
int capture_record(
    struct capture *c, const struct capture_record *r, struct err *e) CHECKED;
/*
 * Between them capture_record, capture_flushed and capture_control of this
 * attachment need no locks of their own, which is most of what a small one
 * costs. Everybody else waits: a millisecond or so is the most, and nothing
 * that may take long belongs in between. Beginning twice does no harm; when
 * there is no room, capture_record ends it.
 */
int capture_recording_begin(struct capture *c, struct err *e) CHECKED;
void capture_recording_end(struct capture *c);
/*
 * Puts what the disk holds from `off` on, not beyond `end`, into the stream,
 * as WRITE or ZERO that was SETTLED. *done is how far it got, at least 1.
 */
int capture_reread(struct capture *c, uint32_t volume, uint64_t off,
    uint64_t end, uint64_t *done, struct err *e) CHECKED;
/* What the mirrors have is not to be trusted: the source ends the epoch and
 * copies the volumes in. */
void capture_suspect(struct capture *c);

/* How many copy-ins were ever begun in the group; is one under way? A log from
 * before one must not be recorded after it. */
struct capture_copyins {
	uint64_t count;
	bool running;
};
int capture_copyins(
    struct capture *c, struct capture_copyins *out, struct err *e) CHECKED;

/* ---- control and copy-in (manager, coordinator) ---- */

/* Puts a control transaction with `len` bytes of payload into the stream;
 * *number is its number. REFUSED when the mode is not ON. */
int capture_control(struct capture *c, enum aim_op op, const void *payload,
    uint32_t len, uint64_t *number, struct err *e) CHECKED;

/*
 * (*) Makes a volume larger, attached as WRITER: a file is made `size` bytes
 * long; a block device must have that many already, and from here on writes
 * may go as far. RESIZE and EXPAND (with `note`) go into the stream; *number
 * is EXPAND's, and its sealing is asked for. 1 done; 0 when it had that size
 * (EXPAND alone); -1, REFUSED when it would become smaller or the device is
 * too small.
 */
int capture_expand(struct capture *c, uint32_t volume, uint64_t size,
    const struct control_note *note, uint64_t *number, struct err *e) CHECKED;

/*
 * Copies in one extent of at most CAPTURE_CHUNK (data) or CAPTURE_HOLE_CHUNK
 * (when it is a hole): reads it under its range lock and puts it into the
 * stream as COPYIN or COPYIN_ZERO. Never beyond `end`. *done is how far it got
 * (>= 1 unless at the volume's end: 0). Never waits for the spool limit.
 */
#define CAPTURE_HOLE_CHUNK (UINT64_C(1) << 26)
int capture_copyin(struct capture *c, uint32_t volume, uint64_t off,
    uint64_t end, uint64_t *done, struct err *e) CHECKED;

/*
 * Reads what the volume holds, at most `len` bytes (one extent at most), while
 * nobody writes there. With `hole` set nothing was read: all of it is zero.
 * Nothing goes into the stream.
 */
struct capture_content {
	uint64_t len; /* less than asked for at the volume's end */
	bool hole;
};
int capture_read(struct capture *c, uint32_t volume, uint64_t off, uint64_t len,
    uint8_t *to, struct capture_content *out, struct err *e) CHECKED;

/* ---- sealing (coordinator) ---- */

/* A run of settled transactions inside one segment, ready for a file. */
struct capture_span {
	uint64_t first, last; /* transaction numbers */
	uint32_t segment, slot;
	uint64_t data_len;   /* raw payload bytes */
	uint64_t copyin_len; /* of those, of copy-ins */
	uint64_t oldest_ns;  /* wall clock of first */
	bool full;	     /* the segment has been rolled over */
};

/*
 * The oldest run that begins at `next` and that may be sealed now: it ends
 * before a pending transaction of a live owner (then *pending_ns, if not
 * NULL, says since when: 0 for none), before a COPYIN_BEGIN that is not its
 * first, and after a COPYIN_END. Orphans found on the way are settled.
 * Returns 1, 0 when there is none, -1 (CORRUPT: the segment's content cannot
 * be believed).
 */
int capture_span_next(struct capture *c, uint64_t next,
    struct capture_span *out, uint64_t *pending_ns, struct err *e) CHECKED;

/*
 * Copies transaction `first + i` of the span out of the shared segment,
 * checks bounds and sums, and hands it over with its payload, which lies in
 * `room` (at least CAPTURE_CHUNK bytes). The size that the volume had before
 * the span's first transaction comes from capture_sizes.
 */
int capture_span_entry(struct capture *c, const struct capture_span *s,
    uint32_t i, struct iocb *out, uint8_t *room, struct err *e) CHECKED;

/* All up to `upto` is in durable journal files: recycles what it can. */
void capture_sealed(struct capture *c, uint64_t upto);

struct capture_status {
	enum capture_mode mode;
	enum capture_policy policy;
	uint64_t reserved;	     /* highest number given out; 0: none */
	uint64_t completed;	     /* all up to here are settled */
	uint64_t sealed;	     /* as told by capture_sealed */
	uint64_t sealed_request;     /* somebody wants all up to here sealed */
	uint64_t oldest_unsealed_ns; /* wall clock; 0: none */
	uint64_t unsealed_bytes;     /* payload waiting in segments */
	uint64_t segment_bytes;	     /* size of all segment files */
	uint64_t spool_bytes, spool_limit;
	uint32_t waiting;    /* writers that wait for the spool now */
	bool unclean;	     /* marked on disk: not closed cleanly */
	bool needs_recovery; /* booted without having been closed cleanly */
	bool lost;	     /* or because the control file was made anew */
	bool suspect;	     /* a flush failed, or a gap was recorded */
	bool needs_redo;     /* a volume is to be redone from its log (wal.h) */
	bool attached;	     /* somebody else is attached as a writer */
	uint32_t segments, segments_free;
	uint64_t boots;
	enum capture_commit_kind commit;
	bool commit_hold;
	uint64_t committed, commit_wanted; /* transactions */
	uint32_t commit_waiting; /* flushes that wait now; at most 64 */
	uint64_t commit_late_ns; /* wall clock: flushes were too late since */
};
void capture_status(struct capture *c, struct capture_status *out);

/* The policy, durably, unless it is that already (coordinator). */
int capture_set_commit(struct capture *c, enum capture_commit_kind kind,
    bool hold, uint32_t timeout_ms, struct err *e) CHECKED;
/* All up to `upto` is where the policy wants it; wakes who waits for that. */
void capture_committed(struct capture *c, uint64_t upto);
/* The mirrors have caught up: flushes wait for them again. */
void capture_commit_in_time(struct capture *c);
/* Does a flush wait for more than is committed? Cheap. */
bool capture_commit_awaited(const struct capture *c);
/* Wakes capture_wait (any process that may write to the group's files). */
void capture_nudge(struct capture *c);

/* Wants everything up to `upto` sealed without waiting for age. */
void capture_request_seal(struct capture *c, uint64_t upto);
/* Sleeps until a segment has been rolled over, sealing was requested, or the
 * time is over. One waiter (the sealer). */
void capture_wait(struct capture *c, uint32_t wait_ms);

/*
 * Changes the mode with all writers locked out for a moment; ON sets the
 * volumes' sizes afresh. Durable.
 */
int capture_set_mode(
    struct capture *c, enum capture_mode mode, struct err *e) CHECKED;
/* bytes of sealed, unpruned files (copy-ins left out), as the coordinator
 * counts them; wakes writers when there is room again. limit 0: none. */
void capture_set_spool(struct capture *c, uint64_t bytes, uint64_t limit,
    enum capture_policy policy);

/*
 * After an unclean boot, when the group is suspect, when its control file was
 * lost (`next` is beyond what it knows), or when what it holds from `next` on
 * makes no sense: throws away what segments hold (after a boot it is kept
 * aside as *.broken), next number = `next`, mode PASSTHROUGH (OFF if it was
 * that), needs_recovery and suspect false. The unclean mark stays until
 * capture_close_clean. REFUSED when there is nothing to recover.
 */
int capture_recover(struct capture *c, uint64_t next, struct err *e) CHECKED;

/*
 * With all writers locked out for a moment: if everything reserved is settled
 * and sealed (sealed == reserved), flushes the volumes and takes the unclean
 * mark away, durably. 1 done (or already clean), 0 not now, -1.
 */
int capture_close_clean(struct capture *c, struct err *e) CHECKED;

/* ---- the activity log (coordinator; design 9.10) ---- */

#define CAPTURE_EXTENT (UINT64_C(4) << 20)
/* The number of the extent that has byte `off`. */
uint64_t capture_extent_of(uint64_t off);

/* No extent of the volume from this one on is marked by itself. */
uint64_t capture_marks_end(struct capture *c, uint32_t volume);
/*
 * Sets bit i of `bits` (count of them; others stay) for each extent of the
 * volume that is marked, or sets *all: the log is damaged, lost, or was.
 */
int capture_marked(struct capture *c, uint32_t volume, uint8_t *bits,
    uint64_t count, bool *all, struct err *e) CHECKED;
/* How many are marked in all volumes, without a lock; UINT64_MAX: all. */
uint64_t capture_marked_count(struct capture *c);
/*
 * The next writer to the extent must mark it again, which costs it no sync as
 * long as the mark is there. True: all transactions on it so far are complete.
 */
bool capture_cool(struct capture *c, uint32_t volume, uint64_t extent);
/*
 * Takes away the marks of those of the extents in `bits` that are not hot
 * again. To be called when all transactions up to the moment after they were
 * cooled are in durable files, and capture_flush_volumes has succeeded since.
 * Returns how many, or -1.
 */
int64_t capture_unmark(struct capture *c, uint32_t volume, const uint8_t *bits,
    uint64_t count, struct err *e) CHECKED;
/* All that counted as marked because the log was damaged is copied in, durably,
 * and flushed: from here on only marks count. */
int capture_forgive(struct capture *c, struct err *e) CHECKED;

/* fdatasync of every volume, begun now; what was completed before is on the
 * disk when it returns 0. */
int capture_flush_volumes(struct capture *c, struct err *e) CHECKED;

/* Live size in bytes of each volume as of just before transaction `next`,
 * which must be the number that follows the last sealed one. */
void capture_sizes(
    struct capture *c, uint64_t *sizes /* capture_volume_count */);

/*
 * Is volume `i`, as this process has it open, what `path` names? The path in
 * the control file is only the word of those who may capture; whoever reads or
 * writes with more rights than theirs asks this with the path that the
 * operator gave. 0; -1 with CORRUPT when it is not, or when it is not open.
 */
int capture_compare_path(const struct capture *c, uint32_t i, const char *path,
    struct err *e) CHECKED;

/* Is every volume's path still the same object? (9.12, at each heartbeat) */
int capture_check_paths(struct capture *c, struct err *e) CHECKED;

#endif
