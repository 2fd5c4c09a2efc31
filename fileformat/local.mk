# fileformat: bytes <-> structs; no files, no allocation, no logging.
noinst_LIBRARIES += libfileformat.a
libfileformat_a_SOURCES = \
	fileformat/ack.h \
	fileformat/codec.h \
	fileformat/header.h \
	fileformat/iocb.h \
	fileformat/note.h \
	fileformat/op.h \
	fileformat/pairing.h \
	fileformat/sign.h \
	fileformat/verdict.h
