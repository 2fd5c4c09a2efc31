/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control: what the processes of a group share, and how it lies in memory.
 * For the files of the capture core only; everybody else sees capture.h.
 *
 * `control` is one file, mapped whole. Its first sector holds what must be
 * right after a power loss (magic, layout, group, boot id, marks), made
 * durable by msync of the first page; the marks are words there and not files
 * of their own, because a program that has dropped its privileges can still
 * write to what it has mapped, but no longer create files. All else is
 * trusted after a boot only when the mark `unclean` was not set.
 *
 * `segments` is one sparse file of CONTROL_SEGMENTS places of SEGMENT_STRIDE
 * bytes: a table of slots, then data. Its size never changes, so that nothing
 * mapped can ever be cut off (rule 9.3), and its one descriptor is opened at
 * attach (rule 9.13). A place is filled with fallocate before its first use,
 * so that a full disk is an error there and never a SIGBUS in the captured
 * program; a surplus place is given back by punching a hole when it is free.
 * The file is mapped without access, and each process opens the places that
 * it uses with mprotect (a program that calls mlockall keeps its memory).
 *
 * The reservation word says all that counts: mode, active segment, next slot,
 * next free data. Segments in use form a chain from `oldest` to the active
 * one; a place that is not in the chain is free. Whatever a reserver does
 * before it stores the word has no effect without it.
 */
#ifndef AIMDRIVER_CONTROL_H
#define AIMDRIVER_CONTROL_H

#include "aimdriver/capture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#define CONTROL_MAGIC UINT64_C(0x0a1a6c74436d6941) /* "AimCtl\x1a\n" */
#define CONTROL_LAYOUT 3u

enum {
	CONTROL_STRIPES = 1024,
	CONTROL_STRIPE_SHIFT = 16, /* 64 KiB */
	CONTROL_SEGMENTS = 10922,  /* 64 GiB in all */
	CONTROL_NONE = 0x7fff,	   /* no segment */
	SEGMENT_SLOTS = 8192,
	SEGMENT_SLOT_LEN = 128,
	SEGMENT_DATA = 5 << 20,
	SEGMENT_STRIDE = SEGMENT_SLOTS * SEGMENT_SLOT_LEN + SEGMENT_DATA,
	SEGMENT_HUGE = 2 << 20, /* places begin and end at huge pages */
	SEGMENT_ALIGN = 64,
	SEGMENT_PAGE = 4096,
	SEGMENT_KEEP = 4, /* free places that are not given back */
};
#define SEGMENTS_LEN ((uint64_t)CONTROL_SEGMENTS * SEGMENT_STRIDE)
_Static_assert(SEGMENT_STRIDE % SEGMENT_HUGE == 0, "whole huge pages");

/* A robust lock; `dirty` says that an owner died and that what it left
 * unfinished under this lock may not have been settled yet. */
struct control_lock {
	_Alignas(64) pthread_mutex_t mutex;
	_Atomic uint32_t dirty;
};

struct control_volume {
	struct uuid uuid;
	uint32_t kind;
	uint32_t spare;
	uint64_t sum;	       /* of its index, uuid, kind and path */
	_Atomic uint64_t size; /* live */
	/* as the stream has it at its end; another while writes pass */
	_Atomic uint64_t stream_size;
	_Atomic uint64_t dev, ino, rdev;
	_Atomic int64_t mtime_ns, ctime_ns;
	_Atomic uint64_t seen_size; /* together with the times */
	char path[1024];
	struct control_lock position, resize;
};

enum { PLACE_ABSENT = 0, PLACE_HERE = 1, PLACE_REMOVING = 2 };

struct control_segment {
	_Alignas(64) _Atomic uint64_t base; /* number of slot 0 */
	_Atomic uint64_t generation;	    /* never 0 once used */
	_Atomic uint64_t charged, bytes;    /* running totals before slot 0 */
	_Atomic uint32_t slots;		    /* once rolled over */
	_Atomic uint32_t next;		    /* the one opened after it */
	_Atomic uint32_t place;		    /* PLACE_* */
	_Atomic uint32_t in_use;
	_Atomic uint32_t has_resize;
};

enum {
	MARK_UNCLEAN = 1u << 0, /* transactions since the last clean close */
	MARK_TIMES = 1u << 1,	/* nothing captured since times were noted */
	MARK_DURABLE = 1u << 2, /* UNCLEAN is on disk */
	MARK_WRITING = MARK_UNCLEAN | MARK_DURABLE,
	MARK_KNOWN = MARK_WRITING | MARK_TIMES,
};

#define COMMIT_HOLD (1u << 8)
enum { COMMIT_WAITERS = 64 };

/* Why what the volumes hold must be copied in anew. */
enum { RECOVERY_NONE = 0, RECOVERY_BOOT = 1, RECOVERY_LOST = 2 };

struct control {
	/* the first sector: right after any crash */
	uint64_t magic;
	uint32_t layout;
	_Atomic uint32_t marks;
	struct uuid group;
	uint8_t boot[16];
	uint64_t seed;
	_Atomic uint64_t volumes;	 /* control_join_volumes */
	_Atomic uint32_t needs_recovery; /* RECOVERY_* */
	_Atomic uint32_t needs_redo;	 /* a volume in `wal`, of its log */
	_Atomic uint64_t boots;
	/* what a flush waits for: enum capture_commit_kind, COMMIT_HOLD */
	_Atomic uint32_t commit, commit_timeout_ms;

	/* the second sector, as right: a bit for each volume whose clients
	 * were told that a log has what the disk may not (wal.h) */
	_Alignas(512) _Atomic uint64_t wal[JOURNAL_VOLUME_LIMIT / 64];

	/* reservation: one writer at a time, under `reserve` */
	_Alignas(4096) struct control_lock reserve;
	_Alignas(64) _Atomic uint64_t word;
	_Atomic uint64_t last_time_ns;
	_Atomic uint64_t charged, bytes; /* running totals, for ever */
	_Atomic uint64_t spool_bytes, spool_limit;
	_Atomic uint32_t policy;
	_Atomic uint32_t oldest; /* segment; NONE: there is none */
	_Atomic uint32_t top;	 /* no place from here on is HERE */
	_Alignas(64) _Atomic uint64_t idle_next; /* while there is no segment */
	_Atomic uint64_t flag_changes;		 /* capture_flags_changes */

	/* the sealer's and the settlers' */
	_Alignas(64) _Atomic uint64_t settled; /* all below are finished */
	_Atomic uint64_t sealed;
	_Atomic uint64_t sealed_charged, sealed_bytes;
	_Atomic uint64_t seal_request;
	_Atomic uint32_t suspect;
	_Alignas(64) _Atomic uint32_t doorbell; /* futex: work for the sealer */
	_Atomic uint32_t listening;
	_Alignas(64) _Atomic uint32_t room; /* futex: the spool has room */
	_Atomic uint32_t waiting;
	struct control_lock settle, notes, activity;

	/* flushes that wait for mirrors: commit.c. All zero when made. */
	_Alignas(64) _Atomic uint64_t committed; /* so far, as it must be */
	_Atomic uint64_t commit_wanted;		 /* somebody waits for this */
	_Atomic uint64_t commit_late_ns; /* wall clock; 0: it is in time */
	_Atomic uint32_t commit_bell;	 /* futex: `committed` was set */
	_Atomic uint32_t commit_era;	 /* numbers are given out anew */
	_Atomic uint64_t commit_waiter[COMMIT_WAITERS]; /* last seen; 0 */

	_Alignas(4096) struct control_lock stripe[CONTROL_STRIPES];
	_Alignas(4096) struct control_segment segment[CONTROL_SEGMENTS];
	_Alignas(4096) struct control_volume volume[JOURNAL_VOLUME_LIMIT];
};

_Static_assert(
    offsetof(struct control, commit_timeout_ms) + 4 <= 512, "one sector");
_Static_assert(offsetof(struct control, wal) == 512, "the second sector");
_Static_assert(offsetof(struct control, reserve) == 4096, "the first page");
_Static_assert(offsetof(struct control, stripe) == 8192, "the third page");

/* From a lock to what its owner keeps of it in memory of its own: lock.c. */
#define CONTROL_SHADOW                                                         \
	((sizeof(struct control) + UINT64_C(0xffff)) & ~UINT64_C(0xffff))

/* A transaction in a segment. Only `state` and what publishing fills in is
 * ever changed once the slot is reserved. */
struct slot {
	_Atomic uint64_t state; /* see slot_state */
	uint64_t number;
	uint64_t time_ns;
	uint64_t off, len; /* as in struct iocb */
	uint32_t op, flags;
	uint32_t volume;
	uint32_t data_off; /* in the segment's data */
	uint32_t room;	   /* payload bytes reserved */
	uint32_t extends;  /* a RESIZE goes before it: under the size lock */
	uint64_t charged, bytes; /* running totals with this one */
	uint64_t data_sum;
	uint64_t sum; /* of what publishing says, from `number` on */
	uint64_t spare[4];
};

_Static_assert(sizeof(struct slot) == SEGMENT_SLOT_LEN, "slot");

/* The state word: state, notes, and the length really done (RESIZE: the size
 * that came of it). */
enum {
	SLOT_RESERVED = 1,
	SLOT_PUBLISHED = 2,
	SLOT_DONE = 3,
	SLOT_VOID = 4,
	SLOT_GAP = 5,
	SLOT_STATE = 0x0f,
	SLOT_SETTLED = 0x10,
	SLOT_VALUE_SHIFT = 8,
};

/* In a slot's flags beside IOCB_*: once published it is whole (record.c). */
#define SLOT_RECORDED (1u << 31)

static inline uint64_t
slot_state(unsigned state, uint64_t value)
{
	return state | value << SLOT_VALUE_SHIFT;
}

static inline bool
slot_is_finished(uint64_t state)
{
	return (state & SLOT_STATE) >= SLOT_DONE;
}

/* The reservation word, taken apart. */
struct place {
	uint32_t mode, segment, slot, data; /* data: bytes */
};

static inline uint64_t
place_join(struct place p)
{
	return (uint64_t)p.mode << 62 | (uint64_t)p.segment << 32 |
	       (uint64_t)p.slot << 17 | p.data / SEGMENT_ALIGN;
}

static inline struct place
place_split(uint64_t w)
{
	return (struct place){
	    .mode = (uint32_t)(w >> 62),
	    .segment = (uint32_t)(w >> 32) & 0x7fff,
	    .slot = (uint32_t)(w >> 17) & 0x3fff,
	    .data = ((uint32_t)w & 0x1ffff) * SEGMENT_ALIGN,
	};
}

/* ---- one process' side ---- */

/* What a volume is told by: device and inode, or the device that it is. */
struct volume_id {
	uint64_t dev, ino;
	uint32_t kind;
	uint32_t next; /* in its bucket: index + 1; 0: the last */
};
enum { VOLUME_BUCKETS = 4096 };

/* A flag of attaching, for ourselves: the table of volumes is not looked
 * through, or making a group would take a time that grows with its square. */
#define CAPTURE_ALONE (1u << 16)

struct capture {
	struct control *ctl;
	uint8_t *segments;	   /* SEGMENTS_LEN bytes of address space */
	struct activity *activity; /* one for each volume; activity.h */
	uint32_t activity_count;
	_Atomic uint8_t *opened; /* one for each place */
	struct volume_id *id;	 /* JOURNAL_VOLUME_LIMIT of them */
	uint32_t *bucket;	 /* VOLUME_BUCKETS; index + 1 */
	uint8_t *scratch;   /* CAPTURE_CHUNK, for copy-ins; under `local` */
	size_t mapped;	    /* length of this object's own memory */
	size_t control_len; /* of the mapping that begins with ctl */
	unsigned flags;
	bool read_only;
	bool recording;	       /* holds every lock: record.c */
	uint32_t volume_count; /* private copy: cannot be changed under us */
	uint32_t wal_own;      /* 1 + the volume whose log we write; 0: none */
	uint64_t seed;
	struct uuid group;
	int dir, control_fd, segments_fd, attached_fd, activity_fd;
	int lowest_fd; /* of all those */
	pthread_mutex_t local, text, syncing;
	uint64_t synced; /* the journal is durable up to here; under syncing */
	uint32_t bell_seen;
	uint64_t entry_number, entry_time_ns; /* span_entry's last */
	_Atomic uint32_t hint; /* a segment in which something was found */
	char trouble[256];
	char where[768]; /* the group's folder, for texts */
	int *volume_fd;	 /* JOURNAL_VOLUME_LIMIT of them; -1: not open */
};

/* Called with each step of a transaction when it is set: tests only. */
enum capture_step {
	STEP_LOCKED = 1,
	STEP_RESERVING,
	STEP_FILLED,	 /* slot filled, word not stored */
	STEP_RESERVED,	 /* word stored, reserve lock held */
	STEP_UNRESERVED, /* reserve lock released */
	STEP_COPIED,
	STEP_PUBLISHED,
	STEP_ISSUED,
	STEP_SIZED,
	STEP_DONE_FIRST, /* RESIZE done, WRITE not */
	STEP_DONE,
	STEP_ROLLING,
	STEP_ROLLED, /* next segment chained, word not stored */
	STEP_FOUND,  /* an unfinished slot; its locks not yet had */
	STEP_SETTLING,
	STEP_REREAD,
	STEP_SETTLED,
	STEP_COLD,
	STEP_MARKING, /* bit set, not its sector's sum */
	STEP_MARKED,  /* not yet on the disk */
	STEP_MARK_SYNCED,
	STEP_HOT,
	STEP_COOLING, /* no longer hot; somebody may be on the way */
	STEP_UNMARKING,
	STEP_PASSING, /* the mode is PASSTHROUGH from now on */
	STEP_COUNT,
};
extern void (*capture_test_step)(enum capture_step step);
/* Another boot id than the kernel's (16 bytes); NULL: the kernel's. */
void capture_test_boot(const uint8_t *boot);

static inline void
step(enum capture_step s)
{
	if (__builtin_expect(capture_test_step != NULL, 0))
		capture_test_step(s);
}

/* What the stream says, or is about to: under the size lock. */
static inline void
volume_sized(struct control_volume *v, uint64_t size)
{
	atomic_store(&v->size, size);
	atomic_store(&v->stream_size, size);
}

static inline bool
is_coordinator(const struct capture *c)
{
	return (c->flags & CAPTURE_COORDINATOR) != 0;
}

static inline bool
is_capturing(const struct capture *c)
{
	return place_split(
		   atomic_load_explicit(&c->ctl->word, memory_order_acquire))
		   .mode == CAPTURE_ON;
}

/* What is written is captured, or remembered. */
static inline bool
is_watching(const struct capture *c)
{
	return place_split(
		   atomic_load_explicit(&c->ctl->word, memory_order_acquire))
		   .mode != CAPTURE_OFF;
}

static inline bool
is_passing_through(const struct capture *c)
{
	return place_split(
		   atomic_load_explicit(&c->ctl->word, memory_order_acquire))
		   .mode == CAPTURE_PASSTHROUGH;
}

/* capture.c: keeps the text for capture_trouble; returns -1. */
int trouble(struct capture *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- control.c ---- */
int control_init_lock(struct control_lock *l, struct err *e) CHECKED;
/* A new file of that length in a group's folder; one that is there goes. */
int control_make_file(int dir, const char *name, gid_t access, uint64_t len,
    int *out, struct err *e) CHECKED;
int control_make_dir(const char *home, const struct uuid *group, gid_t access,
    int *out, struct err *e) CHECKED;
/* Makes a fresh one in `fd` and maps it: no volumes, mode OFF. */
int control_fill(int fd, const struct uuid *group, struct control **out,
    struct err *e) CHECKED;
void control_unmap(struct control **ctl);
/* Fills entry i of the volume table, for which `fd` must get room. */
int control_put_volume(int fd, struct control *ctl, uint32_t i,
    const struct capture_volume *v, struct err *e) CHECKED;
/* The number of volumes with a sum of it and of what never changes: one word,
 * so that it can be stored in one step and damage is seen. */
uint64_t control_join_volumes(const struct control *ctl, uint32_t count);
/* CORRUPT, with the advice what to do. */
int control_damaged(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Of what never changes of volume `i`. */
uint64_t control_volume_sum(const struct control_volume *v, uint32_t i);
/* Opens `control` in dir (c->dir) and maps it; checks magic and layout. */
int control_map(struct capture *c, struct err *e) CHECKED;
/* Does what the first one after a boot has to do, if we are it. */
int control_boot(struct capture *c, struct err *e) CHECKED;
/* No segments, next number `next`. Nobody reserves. */
void control_empty(struct capture *c, uint64_t next, enum capture_mode mode);
/* msync of the first page. */
int control_sync_marks(struct capture *c, struct err *e) CHECKED;
int control_sync_all(struct capture *c, struct err *e) CHECKED;

/* ---- segment_map.c ---- */
/* Maps c->segments_fd without access (again, in the same place): places are
 * opened as they are used. */
int segments_map(struct capture *c, struct err *e) CHECKED;

/* ---- volume.c ---- */
struct volume_seen {
	uint64_t size, dev, ino, rdev;
	int64_t mtime_ns, ctime_ns;
	uint32_t kind;
};
int volume_look(int fd, struct volume_seen *out, struct err *e) CHECKED;
/* Through our own descriptor if there is one, else by its path. */
int volume_look_path(struct capture *c, uint32_t volume,
    struct volume_seen *out, struct err *e) CHECKED;
int volumes_open(struct capture *c, struct err *e) CHECKED;
/* Is any not as it was noted? True too when one cannot be seen. */
bool volumes_changed(struct capture *c);
/* Makes the table for capture_volume_find. */
void volumes_index(struct capture *c);
/* Opens what is at a volume's path, for reading. */
int volume_open_path(
    struct capture *c, uint32_t i, int *out, struct err *e) CHECKED;
/* Makes content and times of all volumes last (opened by us or not), so that
 * what is noted of them is what the next boot finds. */
int volumes_sync(struct capture *c, struct err *e) CHECKED;
/* Notes size and times of all volumes (opened by us or not). */
int volumes_note(struct capture *c, bool identity, struct err *e) CHECKED;
/* The real size through our own descriptor; -errno. */
int64_t volume_real_size(struct capture *c, uint32_t volume);

/* ---- range.c ---- */

/* Locks to take, or taken. Stripes: `count` from `first`, modulo STRIPES. */
struct hold {
	uint32_t volume;
	uint32_t first, count;
	bool want_position, want_size, want_notes;
	bool position, size, notes, stripes; /* what is held now */
};
enum hold_result { HOLD_OK = 0, HOLD_DIRTY = 1, HOLD_BUSY = 2 };

void hold_range(
    const struct capture *c, struct hold *h, uint64_t off, uint64_t len);
/* For a change of size: a stripe at least, what goes away at most. */
void hold_resize(
    const struct capture *c, struct hold *h, uint64_t old, uint64_t size);
void hold_everything(struct hold *h);
/* Takes what is wanted and not yet held, in order. HOLD_DIRTY: a lock is
 * dirty and nothing is held; settle. HOLD_BUSY: not within the time
 * (captured programs have all the time), nothing held. */
enum hold_result hold_take(struct capture *c, struct hold *h);
/* The same without waiting and without minding dirt. False: nothing held. */
bool hold_try(struct capture *c, struct hold *h);
void hold_release(struct capture *c, struct hold *h);
/* All but the position lock. */
void hold_release_range(struct capture *c, struct hold *h);
struct control_lock *hold_lock(
    struct capture *c, const struct hold *h, uint32_t i);
uint32_t hold_locks(const struct hold *h);
/* Is lock i of h among those that other holds when it is held whole? */
bool hold_covers(
    struct capture *c, const struct hold *other, const struct control_lock *l);
enum hold_result lock_plain(struct capture *c, struct control_lock *l);
enum hold_result lock_short(struct capture *c, struct control_lock *l);
/* Takes all of h, settling what is in the way. -1: not within the time. */
int hold_take_settled(struct capture *c, struct hold *h, struct err *e) CHECKED;
void back_off(unsigned tries);

/* ---- lock.c ---- */
bool lock_try(const struct capture *c, struct control_lock *l);
bool lock_wait(
    const struct capture *c, struct control_lock *l, uint32_t wait_ms);
void unlock_plain(const struct capture *c, struct control_lock *l);

/* ---- commit.c ---- */
void commit_status(const struct capture *c, struct capture_status *out);

/* ---- reserve.c ---- */
struct want {
	uint32_t op, flags, volume, room, extends;
	uint64_t off, len;
};
struct ticket {
	struct slot *slot;
	uint8_t *data;
	uint64_t generation;
	uint32_t index;
};
enum reserve_result {
	RESERVE_OK = 0,
	RESERVE_MODE,	/* not ON */
	RESERVE_FULL,	/* spool or disk */
	RESERVE_FAILED, /* our own trouble */
};
/* `free` asks for room that the spool limit does not count. */
enum reserve_result reserve(struct capture *c, const struct want *w,
    uint32_t count, bool free, uint32_t align, struct ticket *out);
/* Puts the mark on disk if it is not there. */
int reserve_mark(struct capture *c);
/* The reserve lock, with what a dead owner left put right. */
bool reserve_lock(struct capture *c);
struct slot *segment_slot(struct capture *c, uint32_t segment, uint32_t slot);
uint8_t *segment_data(struct capture *c, uint32_t segment);
/* Makes the place accessible to this process. False: no. */
bool segment_open(struct capture *c, uint32_t segment);
uint64_t slot_sum(const struct slot *s, uint64_t seed);
uint64_t payload_sum(const void *data, uint64_t len, uint64_t seed);
/* The same in two steps. */
uint64_t payload_hash(const void *data, uint64_t len);
uint64_t payload_seeded(uint64_t hash, uint64_t seed);
bool payload_is_wide(void);
/* slot_sum_wide.c */
bool payload_hash_wide_works(void);
uint64_t payload_hash_wide(const void *data, uint64_t len);
uint64_t slot_seed(
    const struct capture *c, uint64_t generation, uint32_t index);
/* slot_copy.c: copies, and returns payload_hash of what it has copied, when it
 * works for that length. */
bool payload_copy_works(uint64_t len);
uint64_t payload_copy(void *to, const void *from, uint64_t len);
/* Sums and publishes. */
void ticket_publish(struct capture *c, const struct ticket *t, uint64_t len);
/* The same when payload_hash is known already. */
void ticket_publish_hashed(
    struct capture *c, const struct ticket *t, uint64_t hash);
/* Where transaction `number` is; false when it is in no segment. */
bool segment_find(
    struct capture *c, uint64_t number, uint32_t *segment, uint32_t *slot);
uint64_t next_number(struct capture *c);
/* Frees what is sealed, gives back surplus places. */
void segments_recycle(struct capture *c, uint64_t upto);
bool spool_is_full(const struct control *ctl);
void ring(struct capture *c);
/* Wakes the writers that wait for the spool. */
void tell_room(struct capture *c);
int futex_wait_ms(_Atomic uint32_t *word, uint32_t seen, uint32_t wait_ms);
void futex_wake_all(_Atomic uint32_t *word);

/* status.c: sizes that changed outside AIM, into the stream. Everything is
 * locked. */
int volumes_note_resizes(struct capture *c, struct err *e) CHECKED;

/* ---- wal_state.c ---- */
static inline bool
wal_is_set(const struct control *ctl, uint32_t volume)
{
	return (atomic_load_explicit(
		    &ctl->wal[volume / 64], memory_order_relaxed) >>
		       volume % 64 &
		   1) != 0;
}
bool wal_any(const struct capture *c);
/* From now on no other process may write to the volume. Durable. */
int wal_set(struct capture *c, uint32_t volume, struct err *e) CHECKED;
/* The disk has all that the log had. Durable. */
int wal_clear(struct capture *c, uint32_t volume, struct err *e) CHECKED;
/* A flush of the volume has failed: what its log has must go there again. */
void wal_lost(struct capture *c, uint32_t volume);
/* What an attaching writer has to see to first. REFUSED when a log must be
 * redone. The volumes are open. */
int wal_attach(struct capture *c, struct err *e) CHECKED;

/* ---- attached.c ---- */
/*
 * Processes that hold a lock on a file `attached` of this group, be it the one
 * that is there or one that was removed: their numbers, as text ("" : none).
 * False when a process could not be looked at.
 */
bool attached_find(const struct uuid *group, char *text, size_t room);

/* ---- settle.c ---- */
/* Settles the unfinished transactions of dead owners, and clears the dirt of
 * the locks in `want` (NULL: none). */
void settle(struct capture *c, const struct hold *want);
/* Everything is locked and nobody writes: what is unfinished becomes a gap. */
void settle_as_gaps(struct capture *c);
/* Finishes a transaction of which it is not known what the disk made of it.
 * All of its locks are held. */
void settle_slot(struct capture *c, const struct ticket *t);
/* Locks of a slot; false when its fields make no sense. */
bool slot_hold(struct capture *c, const struct slot *s, struct hold *out);
void slot_finish(struct slot *s, unsigned state, uint64_t value);

/*
 * A finished slot's memory comes back through the sealer and whoever rolled
 * over, mostly other processes, whose part in the order ThreadSanitizer cannot
 * see: it is told that who reserves comes after all that finished slots.
 */
#if defined(__SANITIZE_THREAD__)
void __tsan_acquire(void *at);
void __tsan_release(void *at);
extern char slots_handed_on;
#define SLOTS_HAND_ON() __tsan_release(&slots_handed_on)
#define SLOTS_TAKE_OVER() __tsan_acquire(&slots_handed_on)
#else
#define SLOTS_HAND_ON() ((void)0)
#define SLOTS_TAKE_OVER() ((void)0)
#endif

/* Advances and returns the number below which all is finished. */
uint64_t settled_upto(struct capture *c);

/* ---- record.c ---- */
/* Before a copy-in's BEGIN or END is in the stream: durable. */
int copyins_note(struct capture *c, enum aim_op op, struct err *e) CHECKED;

/* ---- extent.c ---- */
/*
 * Puts what the disk holds from `off` on, up to `end`, into the stream:
 * COPYIN or COPYIN_ZERO, or WRITE or ZERO when it is for settling. The range
 * is locked. Bytes handled, 0 at the volume's end, -errno.
 */
int64_t extent_capture(struct capture *c, uint32_t volume, uint64_t off,
    uint64_t end, bool settling);

#endif
