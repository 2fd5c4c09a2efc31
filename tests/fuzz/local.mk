# fuzz: libFuzzer targets; configure --enable-fuzz CC=clang
if FUZZ
FUZZ_TARGETS = \
	tests/fuzz/fuzz_ack \
	tests/fuzz/fuzz_codec \
	tests/fuzz/fuzz_header \
	tests/fuzz/fuzz_iocb \
	tests/fuzz/fuzz_journal \
	tests/fuzz/fuzz_members \
	tests/fuzz/fuzz_name \
	tests/fuzz/fuzz_pairing \
	tests/fuzz/fuzz_s3 \
	tests/fuzz/fuzz_sums \
	tests/fuzz/fuzz_wlog
noinst_PROGRAMS += $(FUZZ_TARGETS)
fuzz-targets: $(FUZZ_TARGETS)
.PHONY: fuzz-targets

LINK_FUZZER = $(AM_LDFLAGS) -fsanitize=fuzzer
FUZZ_MEND = tests/fuzz/fuzz.h tests/fuzz/fuzz_mend.c \
	$(STORED_MEND)
tests_fuzz_fuzz_ack_SOURCES = tests/fuzz/fuzz_ack.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_ack_LDFLAGS = $(LINK_FUZZER)
tests_fuzz_fuzz_codec_SOURCES = tests/fuzz/fuzz_codec.c $(FUZZ_MEND)
tests_fuzz_fuzz_codec_LDFLAGS = $(LINK_FUZZER)
tests_fuzz_fuzz_header_SOURCES = tests/fuzz/fuzz_header.c $(FUZZ_MEND)
tests_fuzz_fuzz_header_LDFLAGS = $(LINK_FUZZER)
tests_fuzz_fuzz_iocb_SOURCES = tests/fuzz/fuzz_iocb.c $(FUZZ_MEND)
tests_fuzz_fuzz_iocb_LDFLAGS = $(LINK_FUZZER)
tests_fuzz_fuzz_journal_SOURCES = tests/fuzz/fuzz_journal.c $(FUZZ_MEND)
tests_fuzz_fuzz_journal_LDFLAGS = $(LINK_FUZZER)
tests_fuzz_fuzz_members_SOURCES = tests/fuzz/fuzz_members.c \
	tests/fuzz/fuzz.h
tests_fuzz_fuzz_members_LDFLAGS = $(LINK_FUZZER)
tests_fuzz_fuzz_name_SOURCES = tests/fuzz/fuzz_name.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_name_LDFLAGS = $(LINK_FUZZER)
tests_fuzz_fuzz_pairing_SOURCES = tests/fuzz/fuzz_pairing.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_pairing_LDFLAGS = $(LINK_FUZZER)
tests_fuzz_fuzz_s3_SOURCES = tests/fuzz/fuzz_s3.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_s3_LDFLAGS = $(LINK_FUZZER)
tests_fuzz_fuzz_sums_SOURCES = tests/fuzz/fuzz_sums.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_sums_LDFLAGS = $(LINK_FUZZER)
tests_fuzz_fuzz_wlog_SOURCES = tests/fuzz/fuzz_wlog.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_wlog_LDFLAGS = $(LINK_FUZZER)
tests_fuzz_fuzz_wlog_LDADD = liblogwrites.a $(LDADD)
endif

EXTRA_DIST += tests/fuzz/run tests/fuzz/run.sh
