/*
 * -cpu-test FILE: single-instruction test sets. Each case says what registers and memory are before
 * an instruction and what they are to be after it; docs/cpu-test.md describes the files.
 */
#ifndef VITRINE_DEBUG_CPU_TEST_H
#define VITRINE_DEBUG_CPU_TEST_H

#include "core/error.h"
#include "core/types.h"

struct cpu_test_result {
    uint64_t cases, failed;
};

/*
 * Runs all cases of a file: JSON or MOO, compressed by gzip or not. line: told of each that fails.
 * Adds to result. False with err when the file cannot be read or a case of it cannot be set up.
 */
bool cpu_test_file(const char *path, const char *model, uint64_t ram_bytes,
                   void (*line)(void *opaque, const char *line), void *opaque,
                   struct cpu_test_result *result, struct error *err);

#endif
