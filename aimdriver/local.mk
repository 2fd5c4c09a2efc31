# aimdriver: writes -> segments -> journal files -> disk.
noinst_LIBRARIES += libaimdriver.a
libaimdriver_a_SOURCES =

# journal files as files
libaimdriver_a_SOURCES += \
	aimdriver/reader.h \
	aimdriver/writer.h

# the capture core
libaimdriver_a_SOURCES += \
	aimdriver/attach.c \
	aimdriver/capture.c aimdriver/capture.h \
	aimdriver/control.c aimdriver/control.h \
	aimdriver/extent.c \
	aimdriver/range.c \
	aimdriver/reserve.c \
	aimdriver/segment.c \
	aimdriver/settle.c \
	aimdriver/span.c \
	aimdriver/status.c \
	aimdriver/volume.c

# the preload driver: a shared object of its own, see preload/
