# aimdriver: writes -> segments -> journal files -> disk.
noinst_LIBRARIES += libaimdriver.a
libaimdriver_a_SOURCES =

# journal files as files
libaimdriver_a_SOURCES += \
	aimdriver/reader.h \
	aimdriver/writer.h

# the capture core
libaimdriver_a_SOURCES += \
	aimdriver/capture.h

# the preload driver: a shared object of its own, see preload/
