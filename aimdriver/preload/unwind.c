/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unwind: a thread that is cancelled in a call that blocks is unwound from the
 * gate, which lies in no shared object, so nobody knows what its frame looks
 * like; the unwinder would give up, and cleanups (the lock of a stream, a C++
 * destructor) would not run. So the frame is described before the first
 * pthread_cancel, to the unwinder that libc takes for it (libgcc_s).
 */
#include "aimdriver/preload/preload.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>

#if defined(__x86_64__) && !defined(__ILP32__)

#include "aimdriver/preload/filter.h"

/* .eh_frame: one CIE, one FDE, the end. DWARF registers: 7 is rsp, 16 the
 * return address. */
static const struct {
	uint32_t cie_len, cie_id;
	uint8_t version, augmentation, code_align, data_align, return_register;
	uint8_t def_cfa[3], offset[2];
	uint8_t nops[6];
	uint32_t fde_len, cie_back;
	uint64_t from, len;
	uint32_t end;
} frame = {
    .cie_len = 20,
    .version = 1,
    .code_align = 1,
    .data_align = 0x78, /* -8 */
    .return_register = 16,
    .def_cfa = {0x0c, 7, 8}, /* the frame begins at rsp + 8 */
    .offset = {0x90, 1},     /* the return address 8 below that */
    .fde_len = 20,
    .cie_back = 28,
    .from = FILTER_GATE,
    .len = FILTER_GATE_LEN,
};

_Static_assert(offsetof(__typeof__(frame), fde_len) == 24 &&
		   offsetof(__typeof__(frame), end) == 48,
    "no holes");

static void
describe(void)
{
	void *lib = dlopen("libgcc_s.so.1", RTLD_NOW);
	void (*add)(const void *) = NULL;

	/* Without it libc ends the program with a message of its own. */
	if (lib != NULL)
		*(void **)(void *)&add = dlsym(lib, "__register_frame");
	if (add != NULL)
		add(&frame);
}

EXPORT(int, pthread_cancel, (pthread_t thread))
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	if (px_tripwire)
		(void)pthread_once(&once, describe);
	return px_real.pthread_cancel(thread);
}

#endif
