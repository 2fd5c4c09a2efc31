# fileformat: bytes <-> structs; no files, no logging.
noinst_LIBRARIES += libfileformat.a
libfileformat_a_SOURCES = \
	fileformat/ack.c fileformat/ack.h \
	fileformat/codec.c fileformat/codec.h \
	fileformat/header.c fileformat/header.h \
	fileformat/header_check.c fileformat/header_layout.h \
	fileformat/iocb.c fileformat/iocb.h \
	fileformat/le.h \
	fileformat/note.c fileformat/note.h \
	fileformat/op.c fileformat/op.h \
	fileformat/pairing.c fileformat/pairing.h \
	fileformat/sign.c fileformat/sign.h \
	fileformat/sum.c fileformat/sum.h \
	fileformat/verdict.c fileformat/verdict.h
dist_man_MANS += fileformat/aim-journal.5 fileformat/aim-ack.5
