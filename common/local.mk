# common: what every program needs and none owns.
noinst_LIBRARIES += libcommon.a
libcommon_a_SOURCES = \
	common/buf.c common/buf.h \
	common/cleanup.h \
	common/clock.c common/clock.h \
	common/err.c common/err.h \
	common/io.c common/io.h \
	common/json.c common/json.h \
	common/log.c common/log.h \
	common/name.c common/name.h \
	common/pulse.c common/pulse.h \
	common/sys.c common/sys.h \
	common/uuid.c common/uuid.h
