# aimdriver: writes -> segments -> journal files -> disk.
noinst_LIBRARIES += libaimdriver.a
libaimdriver_a_SOURCES =

# journal files as files
libaimdriver_a_SOURCES += \
	aimdriver/digest.c aimdriver/digest.h \
	aimdriver/reader.c aimdriver/reader.h \
	aimdriver/reader_crypt.c \
	aimdriver/reader_load.c \
	aimdriver/fold.c aimdriver/fold.h \
	aimdriver/reader_state.h \
	aimdriver/reader_verify.c \
	aimdriver/reader_walk.c \
	aimdriver/track.c aimdriver/track.h \
	aimdriver/vault.c aimdriver/vault.h \
	aimdriver/writer.c aimdriver/writer.h

# the capture core
libaimdriver_a_SOURCES += \
	aimdriver/activity.c aimdriver/activity.h \
	aimdriver/activity_cool.c \
	aimdriver/activity_mark.c \
	aimdriver/attach.c \
	aimdriver/attached.c \
	aimdriver/capture.c aimdriver/capture.h \
	aimdriver/commit.c \
	aimdriver/control.c aimdriver/control.h \
	aimdriver/expand.c \
	aimdriver/extent.c \
	aimdriver/flags.c \
	aimdriver/lock.c \
	aimdriver/range.c \
	aimdriver/rebuild.c \
	aimdriver/record.c \
	aimdriver/reserve.c \
	aimdriver/seen.c aimdriver/seen.h \
	aimdriver/segment.c \
	aimdriver/segment_map.c \
	aimdriver/settle.c \
	aimdriver/slot_copy.c \
	aimdriver/slot_sum.c \
	aimdriver/slot_sum_wide.c \
	aimdriver/span.c \
	aimdriver/status.c \
	aimdriver/sync.c \
	aimdriver/volume.c \
	aimdriver/wal.c aimdriver/wal.h aimdriver/wal_inner.h \
	aimdriver/wal_commit.c \
	aimdriver/wal_file.c aimdriver/wal_file.h \
	aimdriver/wal_redo.c \
	aimdriver/wal_state.c

# the logwrites driver: main.c reads options; the rest is its library
noinst_LIBRARIES += liblogwrites.a
liblogwrites_a_SOURCES = \
	aimdriver/logwrites/begin.c aimdriver/logwrites/begin.h \
	aimdriver/logwrites/chain.c aimdriver/logwrites/chain.h \
	aimdriver/logwrites/compare.c aimdriver/logwrites/compare.h \
	aimdriver/logwrites/device.c aimdriver/logwrites/device.h \
	aimdriver/logwrites/disk.c aimdriver/logwrites/disk.h \
	aimdriver/logwrites/dump.c \
	aimdriver/logwrites/export.c \
	aimdriver/logwrites/follow.c \
	aimdriver/logwrites/import.c aimdriver/logwrites/import.h \
	aimdriver/logwrites/kernel.c aimdriver/logwrites/kernel.h \
	aimdriver/logwrites/logfile.c aimdriver/logwrites/logfile.h \
	aimdriver/logwrites/logmaker.c aimdriver/logwrites/logmaker.h \
	aimdriver/logwrites/prepare.c \
	aimdriver/logwrites/program.h \
	aimdriver/logwrites/progress.c aimdriver/logwrites/progress.h \
	aimdriver/logwrites/recorder.c aimdriver/logwrites/recorder.h \
	aimdriver/logwrites/state.c aimdriver/logwrites/state.h \
	aimdriver/logwrites/table.c aimdriver/logwrites/table.h \
	aimdriver/logwrites/target.c aimdriver/logwrites/target.h \
	aimdriver/logwrites/wlog.c aimdriver/logwrites/wlog.h
bin_PROGRAMS += aimdriver/logwrites/aim-logwrites
dist_man_MANS += aimdriver/logwrites/aim-logwrites.1
aimdriver_logwrites_aim_logwrites_SOURCES = aimdriver/logwrites/main.c
aimdriver_logwrites_aim_logwrites_LDADD = liblogwrites.a libaimdriver.a \
	libfileformat.a libcommon.a $(CRYPTO_LIBS) $(ZLIB_LIBS) $(ZSTD_LIBS) \
	-lpthread
EXTRA_DIST += docs/logwrites.md

# the preload driver: a shared object of its own, see preload/
dist_man_MANS += aimdriver/preload/aim-preload.7
# Sanitizers would need their run-time in every captured program: not built.
if !SANITIZED
preloaddir = $(pkglibdir)
preload_PROGRAMS = libaim-preload.so
libaim_preload_so_SOURCES = \
	aimdriver/preload/aio.c \
	aimdriver/preload/attributes.c \
	aimdriver/preload/calls.h \
	aimdriver/preload/commit.c \
	aimdriver/preload/copy.c \
	aimdriver/preload/elf.c \
	aimdriver/preload/entry.c aimdriver/preload/entry.h \
	aimdriver/preload/environ.c \
	aimdriver/preload/exec.c aimdriver/preload/exec.h \
	aimdriver/preload/fds.c \
	aimdriver/preload/filter.c aimdriver/preload/filter.h \
	aimdriver/preload/gate.c \
	aimdriver/preload/guard.c \
	aimdriver/preload/ioctl.c \
	aimdriver/preload/known.c \
	aimdriver/preload/map.c \
	aimdriver/preload/message.c \
	aimdriver/preload/names.c \
	aimdriver/preload/open.c \
	aimdriver/preload/partition.c \
	aimdriver/preload/patch.c \
	aimdriver/preload/preload.h \
	aimdriver/preload/raw.h \
	aimdriver/preload/signals.c \
	aimdriver/preload/size.c \
	aimdriver/preload/spawn.c \
	aimdriver/preload/start.c \
	aimdriver/preload/stdio.c \
	aimdriver/preload/sync.c \
	aimdriver/preload/syscall.c \
	aimdriver/preload/tripwire.c \
	aimdriver/preload/unwind.c \
	aimdriver/preload/write.c
libaim_preload_so_CFLAGS = $(AIM_CFLAGS) $(XXHASH_CFLAGS)
libaim_preload_so_LDFLAGS = $(AIM_LDFLAGS) -shared -Wl,-z,defs \
	-Wl,-Bsymbolic-functions -Wl,-soname,libaim-preload.so
libaim_preload_so_LDADD = libaimdriver.a libfileformat.a libcommon.a -lpthread
endif

# the nbdkit filter: built where nbdkit's headers are, see nbdkit/
dist_man_MANS += aimdriver/nbdkit/nbdkit-aim-filter.1
NBDKIT_SOURCES = \
	aimdriver/nbdkit/change.c \
	aimdriver/nbdkit/filter.c aimdriver/nbdkit/filter.h \
	aimdriver/nbdkit/find.c \
	aimdriver/nbdkit/proof.c
EXTRA_DIST += $(NBDKIT_SOURCES)
if NBDKIT
nbdkitfilter_PROGRAMS = nbdkit-aim-filter.so
nbdkit_aim_filter_so_SOURCES = $(NBDKIT_SOURCES)
nbdkit_aim_filter_so_CFLAGS = $(AIM_CFLAGS) $(NBDKIT_CFLAGS) $(XXHASH_CFLAGS)
# nbdkit itself has what is not defined here.
nbdkit_aim_filter_so_LDFLAGS = $(AIM_LDFLAGS) -shared \
	-Wl,-Bsymbolic-functions -Wl,-soname,nbdkit-aim-filter.so
nbdkit_aim_filter_so_LDADD = libaimdriver.a libfileformat.a libcommon.a \
	-lpthread
endif
