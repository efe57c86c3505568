/* Guest programs that are assembled into the test: 64-bit code at CPL 0, run on insn_rig.h. */
#ifndef VITRINE_TESTS_PROGRAM_RIG_H
#define VITRINE_TESTS_PROGRAM_RIG_H

#include "insn_rig.h"

#define CODE   UINT64_C(0x50000) /* identity-mapped */
#define DATA   UINT64_C(0x60000)
#define STACK  UINT64_C(0x78000)
#define HIGH   UINT64_C(0x40000000) /* where tests map what they like ... */
#define FRAMES UINT64_C(0x200000)   /* ... to these pages */

static struct rig rig;

#define PROGRAM(name, text)                    \
    extern const uint8_t name[], name##_end[]; \
    __asm__(".pushsection .rodata\n" #name ":\n" text "\n" #name "_end:\n.popsection\n")

static inline void begin(void)
{
    rig_long(&rig, SEL_CODE64, SEL_DATA);
    for (unsigned i = 0; i < 16; i++)
        rig.cpu->r[i] = 0;
    rig.cpu->r[REG_RSP] = STACK;
    cpu_set_rflags(rig.cpu, FLAG_1);
    rig.cpu->rip = CODE;
    rig.cpu->halted = false;
}

static inline void put_code(gpa_t at, const uint8_t *from, const uint8_t *to)
{
    rig_put(&rig, at, from, (size_t)(to - from));
}
#define LOAD(at, name) put_code(at, name, name##_end)

static inline uint64_t reg(unsigned n)
{
    return rig.cpu->r[n];
}

/* Runs until HLT. */
static inline void run_to_halt(void)
{
    rig.cpu->halted = false;
    rig_run(&rig, 10000000);
    assert_true(rig.cpu->halted);
}

static inline struct rig_event run_to_event(uint64_t n)
{
    rig.cpu->halted = false;
    rig_run(&rig, n);
    return rig_event(&rig);
}

static inline int setup(void **state)
{
    (void)state;
    rig_open(&rig);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

#endif
