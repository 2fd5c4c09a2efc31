# fileformat: bytes <-> structs; no files, no logging.
noinst_LIBRARIES += libfileformat.a
libfileformat_a_SOURCES = \
	fileformat/ack.c fileformat/ack.h \
	fileformat/codec.c fileformat/codec.h \
	fileformat/crypt.c fileformat/crypt.h \
	fileformat/header.c fileformat/header.h \
	fileformat/header_check.c fileformat/header_layout.h \
	fileformat/iocb.c fileformat/iocb.h \
	fileformat/keyfile.c \
	fileformat/layout.c fileformat/layout.h \
	fileformat/le.h \
	fileformat/lines.c fileformat/lines.h \
	fileformat/location.c fileformat/location.h \
	fileformat/members.c fileformat/members.h \
	fileformat/note.c fileformat/note.h \
	fileformat/op.c fileformat/op.h \
	fileformat/pairing.c fileformat/pairing.h \
	fileformat/runs.c fileformat/runs.h \
	fileformat/sign.c fileformat/sign.h \
	fileformat/sum.c fileformat/sum.h \
	fileformat/sum_wide.c \
	fileformat/summer.c fileformat/sums.c fileformat/sums.h \
	fileformat/verdict.c fileformat/verdict.h
dist_man_MANS += fileformat/aim-journal.5 fileformat/aim-ack.5

# the format's documents, golden files and second reader
EXTRA_DIST += \
	docs/acknowledgement.md \
	docs/journal-format.md \
	docs/gather.md \
	docs/layout.md \
	docs/pairing.md \
	docs/sums.md \
	tests/data/1-copyin-open.aim \
	tests/data/2-plain.aim \
	tests/data/2-plain-zlib.aim \
	tests/data/2-plain-zstd.aim \
	tests/data/3-empty.aim \
	tests/data/4-epoch-break.aim \
	tests/data/5-encrypted.aim \
	tests/data/group.key \
	tests/data/mirror.0000.sums \
	tests/data/mirror.ack \
	tests/data/mirror.pairing \
	tests/data/mirror.pub \
	tests/data/source.pairing \
	tests/data/source.pub \
	tests/read_journal.py \
	tests/unlock_journal.py \
	tests/sys/aimdump.sh \
	tests/sys/python_reader.sh
