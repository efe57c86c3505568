/*
 * Machine code to text, for the monitor, -d in_asm and people. Capstone does the work; it is loaded
 * when that is first asked for: 3 MiB, which most runs do without.
 */
#ifndef VITRINE_DEBUG_DISAS_H
#define VITRINE_DEBUG_DISAS_H

#include "core/error.h"
#include "core/types.h"

enum disas_syntax { DISAS_ATT, DISAS_INTEL };

struct disas;

/* NULL with err set: out of memory, or there is no Capstone here. */
struct disas *disas_create(enum disas_syntax syntax, struct error *err);
void disas_destroy(struct disas *d);

#define DISAS_MAX_BYTES 15 /* SDM 2A §2.3.11 "AVX Instruction Length": 15 bytes, more is #UD */

/*
 * The instruction at code, which bits = 16, 32 or 64 says how to read and which lies at address
 * at. Its text goes into text; returns its length in bytes. 0: the len bytes hold no whole
 * instruction Capstone knows; text is then ".byte 0x.." of the first (or empty when len is 0).
 */
unsigned disas_one(struct disas *d, const uint8_t *code, size_t len, gla_t at, unsigned bits,
                   char *text, size_t size);

#endif
