/*
 * One case: the bytes of an instruction, the registers and the memory it starts from. Everything
 * about it follows from three numbers, SEED:ROW:N.
 *
 * What operands point to, at the same linear address on the host and in the guest:
 *
 *      0ff00000   nothing
 *      10000000   two pages, read and write
 *      10002000   a page to be read only
 *      10003000   nothing, up to 10103000
 *      20000000   the code's page
 */
#ifndef VITRINE_ORACLE_CASE_H
#define VITRINE_ORACLE_CASE_H

#include "native.h"
#include "rows.h"

#define WINDOW          NATIVE_DATA
#define WINDOW_RW_BYTES (2 * PAGE_SIZE)
#define WINDOW_BYTES    (3 * PAGE_SIZE)
#define NOTHING_BYTES   UINT64_C(0x100000)
#define FS_BASE         (WINDOW - 0x12340)
#define GS_BASE         (WINDOW + 0x1000)

struct code_bytes {
    uint8_t b[256];
    unsigned n;
    unsigned modrm_at;
};

struct oracle_case {
    const struct form *form;
    struct code_bytes code;
    struct insn u;             /* the instruction, if status is DECODE_OK ... */
    enum decode_status status; /* ... or why there is none */
    unsigned len;
    struct native_state in;
    uint64_t exit_at; /* where a branch is expected to go, or 0 */
    uint64_t rip_out; /* a trap comes out behind the instruction */
};

/* What the window is filled with before a case runs. */
extern uint8_t case_memory[WINDOW_RW_BYTES];

/* What the decoder needs to know: the guest's. */
struct case_mode {
    enum code_bits bits;
    uint32_t mode;
    const struct cpu_features *feat;
    bool avx2; /* the host has it */
};
extern struct case_mode case_mode;

/* Random memory and register files for the cases of a seed, of which each takes some. */
void case_prepare(uint64_t seed);
/* Makes case n of a row, of code as case_mode says. False: none was found that is any use. */
bool case_make(struct oracle_case *t, const struct form *f, uint64_t seed, unsigned row,
               uint64_t n);
/* Starts the random numbers of a case. */
void case_seed(uint64_t seed, unsigned row, uint64_t n);

void case_fill_memory(void);

/* Where the memory operand lies. */
uint64_t case_operand(const struct oracle_case *t);
/* Where RSP points, in code of the case's size. */
uint64_t case_stack(uint64_t rsp);
bool case_address_safe(uint64_t lin);

/* The registers of all kinds a case starts from; fresh: x87 and vectors drawn for it alone. */
void case_registers(struct native_state *s, bool fresh);
uint64_t random_value(void);

/* --- encode.c --- */

/* Prefixes, opcode, ModRM and whatever may follow it. */
void encode(struct code_bytes *c, const struct form *f);
/* An instruction that faults at most by its floating-point operands: its memory operand is at R14,
 * which is aligned, or R15, plus a byte. Returns its length. */
void encode_plain(struct code_bytes *c, const struct form *f);

#endif
