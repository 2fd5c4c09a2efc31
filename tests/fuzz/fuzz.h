/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: what libFuzzer calls, and what the targets share. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(
    uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

/* A promise was broken: tell the fuzzer. */
#define FUZZ_MUST(x)                                                           \
	do {                                                                   \
		if (!(x))                                                      \
			__builtin_trap();                                      \
	} while (0)

/* Make right again what an adversary can make right: all checksums, and of a
 * journal file both digests. They change nothing that is out of bounds. */
void fuzz_mend_header(uint8_t *data, size_t size);
void fuzz_mend_iocb(uint8_t *data, uint64_t seed);
void fuzz_mend_chunk(uint8_t *data, size_t size);
void fuzz_mend_journal(uint8_t *data, size_t size);

#endif
