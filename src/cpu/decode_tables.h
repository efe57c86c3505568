/* The root of the opcode tables, for the decoder and for tests that enumerate rows. */
#ifndef VITRINE_CPU_DECODE_TABLES_H
#define VITRINE_CPU_DECODE_TABLES_H

#include "cpu/decode.h"

extern const struct opcode opcode_map[256]; /* one-byte map; the others hang below it */
/* VEX maps 0F, 0F38, 0F3A of 4 * 256: by PFX_* << 8 | opcode byte */
extern const struct opcode *const vex_maps[3];
extern const struct opcode opcode_ud; /* what everything absent decodes to */

#endif
