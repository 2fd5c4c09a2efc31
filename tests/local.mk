# tests: check_MODULE.c is one unit-test program; its name here is enough.
if HAVE_CHECK
UNIT_TESTS =

# ground floor
UNIT_TESTS += \
	tests/check_buf \
	tests/check_err \
	tests/check_io \
	tests/check_json \
	tests/check_name \
	tests/check_uuid

# journal format
UNIT_TESTS += \
	tests/check_ack \
	tests/check_codec \
	tests/check_encrypted \
	tests/check_fold \
	tests/check_golden \
	tests/check_header \
	tests/check_iocb \
	tests/check_journal \
	tests/check_layout \
	tests/check_members \
	tests/check_pairing \
	tests/check_sign
STORED_MEND = tests/stored_mend.c tests/stored_mend.h
GOLDEN_SOURCES = tests/data/golden.c tests/data/golden.h \
	tests/journal_kit.c tests/journal_kit.h $(STORED_MEND)
tests_check_golden_SOURCES = tests/check_golden.c $(GOLDEN_SOURCES)
tests_check_golden_CPPFLAGS = $(AM_CPPFLAGS) \
	-DGOLDEN_DIR='"$(abs_top_srcdir)/tests/data"'
tests_check_encrypted_SOURCES = tests/check_encrypted.c \
	tests/journal_kit.c tests/journal_kit.h $(STORED_MEND)
tests_check_journal_SOURCES = tests/check_journal.c \
	tests/journal_kit.c tests/journal_kit.h $(STORED_MEND)

# capture core and preload driver
UNIT_TESTS += \
	tests/check_capture \
	tests/check_capture_activity \
	tests/check_capture_commit \
	tests/check_capture_kill \
	tests/check_capture_span \
	tests/check_capture_sync \
	tests/check_capture_volume \
	tests/check_capture_lock \
	tests/check_rebuild \
	tests/check_slot_copy \
	tests/check_wal
tests_check_capture_activity_SOURCES = tests/check_capture_activity.c \
	tests/capture_rig.c tests/capture_rig.h
tests_check_capture_commit_SOURCES = tests/check_capture_commit.c \
	tests/capture_rig.c tests/capture_rig.h
tests_check_capture_SOURCES = tests/check_capture.c \
	tests/capture_rig.c tests/capture_rig.h
tests_check_capture_span_SOURCES = tests/check_capture_span.c \
	tests/capture_rig.c tests/capture_rig.h
tests_check_capture_sync_SOURCES = tests/check_capture_sync.c \
	tests/capture_rig.c tests/capture_rig.h
tests_check_capture_volume_SOURCES = tests/check_capture_volume.c \
	tests/capture_rig.c tests/capture_rig.h
tests_check_capture_lock_SOURCES = tests/check_capture_lock.c \
	tests/capture_rig.c tests/capture_rig.h
tests_check_rebuild_SOURCES = tests/check_rebuild.c \
	tests/capture_rig.c tests/capture_rig.h
tests_check_wal_SOURCES = tests/check_wal.c \
	tests/capture_rig.c tests/capture_rig.h
tests_check_capture_kill_SOURCES = tests/check_capture_kill.c \
	tests/capture_rig.c tests/capture_rig.h

# logwrites driver
UNIT_TESTS += \
	tests/check_import \
	tests/check_record \
	tests/check_wlog
tests_check_import_SOURCES = tests/check_import.c \
	tests/capture_rig.c tests/capture_rig.h
tests_check_import_LDADD = liblogwrites.a $(LDADD)
tests_check_record_SOURCES = tests/check_record.c \
	tests/capture_rig.c tests/capture_rig.h
tests_check_wlog_LDADD = liblogwrites.a $(LDADD)

# preload driver
UNIT_TESTS += tests/check_entry tests/check_filter
tests_check_entry_SOURCES = tests/check_entry.c \
	aimdriver/preload/entry.c aimdriver/preload/entry.h
tests_check_filter_SOURCES = tests/check_filter.c \
	aimdriver/preload/filter.c aimdriver/preload/filter.h

# coordinator: source
SOURCE_KIT = tests/source_kit.c tests/source_kit.h \
	tests/capture_rig.c tests/capture_rig.h
UNIT_TESTS += \
	tests/check_ack_store \
	tests/check_break \
	tests/check_commit \
	tests/check_compare \
	tests/check_hook \
	tests/check_location \
	tests/check_http \
	tests/check_job \
	tests/check_project \
	tests/check_prune \
	tests/check_rate \
	tests/check_rsync \
	tests/check_s3 \
	tests/check_seal \
	tests/check_ship \
	tests/check_sigv4 \
	tests/check_source \
	tests/check_transport
tests_check_ack_store_SOURCES = tests/check_ack_store.c $(SOURCE_KIT)
tests_check_break_SOURCES = tests/check_break.c $(SOURCE_KIT)
tests_check_project_SOURCES = tests/check_project.c $(SOURCE_KIT)
tests_check_compare_SOURCES = tests/check_compare.c $(SOURCE_KIT)
tests_check_prune_SOURCES = tests/check_prune.c $(SOURCE_KIT)
tests_check_seal_SOURCES = tests/check_seal.c $(SOURCE_KIT)
tests_check_ship_SOURCES = tests/check_ship.c $(SOURCE_KIT)
tests_check_source_SOURCES = tests/check_source.c $(SOURCE_KIT)

# coordinator: mirror
UNIT_TESTS += \
	tests/check_apply \
	tests/check_fetch \
	tests/check_gather \
	tests/check_mirror_encrypted \
	tests/check_mirror_state \
	tests/check_mirror_sweep \
	tests/check_relay \
	tests/check_receive \
	tests/check_sums \
	tests/check_target

MIRROR_UNIT = \
	tests/mirror_unit.c tests/mirror_unit.h \
	tests/stream_maker.c tests/stream_maker.h
tests_check_apply_SOURCES = tests/check_apply.c $(MIRROR_UNIT)
tests_check_fetch_SOURCES = tests/check_fetch.c $(MIRROR_UNIT)
tests_check_mirror_encrypted_SOURCES = tests/check_mirror_encrypted.c \
	$(MIRROR_UNIT)
tests_check_relay_SOURCES = tests/check_relay.c $(MIRROR_UNIT)
tests_check_mirror_sweep_SOURCES = tests/check_mirror_sweep.c $(MIRROR_UNIT)
tests_check_receive_SOURCES = tests/check_receive.c $(MIRROR_UNIT)
tests_check_sums_SOURCES = tests/check_sums.c $(MIRROR_UNIT)

# site, requests, manager
UNIT_TESTS += \
	tests/check_catalogue \
	tests/check_home \
	tests/check_request \
	tests/check_status
tests_check_status_SOURCES = tests/check_status.c tests/site_rig.h
tests_check_status_LDADD = libmanager.a liblogwrites.a $(LDADD)
tests_check_catalogue_SOURCES = tests/check_catalogue.c tests/site_rig.h
tests_check_home_SOURCES = tests/check_home.c tests/site_rig.h
tests_check_request_SOURCES = tests/check_request.c tests/site_rig.h

check_PROGRAMS += $(UNIT_TESTS) tests/data/make_golden
tests_data_make_golden_SOURCES = tests/data/make_golden.c $(GOLDEN_SOURCES)
TESTS += $(UNIT_TESTS)
endif

include tests/bench/local.mk
include tests/fuzz/local.mk

# drivers are tested with groups that this makes and redrives
noinst_PROGRAMS += tests/capture_tool
tests_capture_tool_SOURCES = tests/capture_tool.c
noinst_PROGRAMS += tests/preload_calls
tests_preload_calls_SOURCES = tests/preload_calls.c tests/preload_calls.h \
	tests/preload_calls_inside.c tests/preload_calls_native.c \
	tests/preload_calls_other.c tests/preload_calls_process.c \
	tests/preload_calls_signals.c \
	tests/preload_calls_size.c tests/preload_calls_write.c
tests_preload_calls_LDADD = -lpthread -ldl
noinst_PROGRAMS += tests/preload_inline
tests_preload_inline_SOURCES = tests/preload_inline.c \
	tests/preload_inline.h tests/preload_inline_known.c \
	tests/preload_inline_numbers.c
tests_preload_inline_CFLAGS = $(AIM_CFLAGS) -fexceptions
tests_preload_inline_LDADD = -lpthread
EXTRA_DIST += docs/capture.md tests/driver.sh \
	tests/sys/preload_blocks.sh \
	tests/sys/preload_calls.sh \
	tests/sys/preload_kill.sh \
	tests/sys/preload_many.sh \
	tests/sys/preload_races.sh \
	tests/sys/preload_refuses.sh \
	tests/sys/preload_spool.sh \
	tests/sys/preload_tripwire.sh \
	tests/sys/survey.sh

EXTRA_DIST += tests/data/qemu.wlog
EXTRA_DIST += tests/lint tests/prepare.sh tests/sshd.sh tests/unit.h
EXTRA_DIST += tests/guest.sh tests/nbd.sh tests/nginx.sh tests/s3.sh \
	tests/rsync.sh
# A folder in EXTRA_DIST would be copied with what is built in it.
dist-hook:
	$(MKDIR_P) $(distdir)/tests/sys
	cp -p $(srcdir)/tests/sys/*.sh $(srcdir)/tests/sys/*.py \
		$(distdir)/tests/sys/

# makes wrong journal files for tests/sys/badfiles.sh
noinst_PROGRAMS += tests/sys/forge
tests_sys_forge_SOURCES = tests/sys/forge.c

# takes the power from file systems, for tests/sys/power_loss.sh
noinst_PROGRAMS += tests/sys/power
tests_sys_power_SOURCES = tests/sys/power.c

# a transport by hand
noinst_PROGRAMS += tests/transport_tool
tests_transport_tool_SOURCES = tests/transport_tool.c

# members of a layout, without a source
noinst_PROGRAMS += tests/gather_tool
tests_gather_tool_SOURCES = tests/gather_tool.c
