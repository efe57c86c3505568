/*
 * Runs one instruction, or several, on the processor under us: registers, flags, x87, MMX, SSE, AVX
 * and MXCSR in, the same out, and the exception it took if it took one. x86-64 Linux only. No
 * system call but for a signal's, and for code that uses FS.
 */
#ifndef VITRINE_ORACLE_NATIVE_H
#define VITRINE_ORACLE_NATIVE_H

#include "core/types.h"

struct native_state {
    uint64_t gpr[16]; /* in encoding order */
    uint64_t rflags;
    uint32_t env[7]; /* FNSTENV image (of out only): some processors keep the pointers out of fx */
    uint32_t sel[3]; /* DS, ES, SS (of out only) */
    uint32_t pad[4];
    uint8_t fx[512];     /* FXSAVE64 image */
    uint8_t ymm[16][16]; /* bits 255:128; zeros on a host without AVX */
} __attribute__((aligned(64)));

/* What the code is. 32- and 16-bit code runs in compatibility mode. */
enum code_bits { CODE64, CODE32, CODE16, CODE_MODES };

/* The local descriptors of native_create(): flat 32-bit code, and segments of 64 KiB. */
enum { LDT_CODE32 = 0x07, LDT_CODE16 = 0x0f, LDT_DATA16 = 0x17 };
enum { GDT_CODE32 = 0x23, GDT_DATA = 0x2b, GDT_CODE64 = 0x33 }; /* Linux' own */

struct native {
    struct native_state in, out;
    const void *entry; /* the code, or what gets there */
    uint64_t host_rsp;
    uint64_t avx;        /* the host has it */
    uint64_t taken;      /* 1: it came out at the place of native_put_exit(), not behind the code */
    uint32_t in_sel[3];  /* DS, ES, SS of code that is not 64-bit ... */
    uint32_t far_offset; /* ... and CS:EIP */
    uint16_t far_sel;
    enum code_bits bits;
    bool no_pointers;        /* the host keeps no x87 instruction and operand pointers */
    bool int1_early;         /* the host tells of INT1 with RIP at it (a hypervisor's doing) */
    uint64_t not_canonical;  /* the first address that is not */
    uint16_t cs[CODE_MODES]; /* for each: a selector, or 0 if the host has none */
    int vector;              /* exception, or -1 */
    bool running;
    uint8_t *buffer;
    uint64_t rip, error, address; /* of the exception: RIP as a linear address, error code, CR2 */
    uint64_t fs_base, host_fs;    /* while the code runs, if not 0; and else */
    uint32_t sel[3];              /* what they are for the host */
    uint64_t gs_base;             /* while the code runs */
    bool gs_shared;               /* the translator names its CPU by GS on this thread, too */
};

/* One at a time in a process: signal handlers have no other way to find it. */
extern struct native native;

/* The code's place, and the page around it, which is its own: the same in every run. 16-bit code
 * has that page at the start of its segment, and the window at the start of the others. */
#define NATIVE_PAGE UINT64_C(0x20000000)
enum { NATIVE_EXIT_BYTES = 8, NATIVE_CODE_AT = 2048 };
#define NATIVE_CODE (NATIVE_PAGE + NATIVE_CODE_AT)
#define NATIVE_DATA UINT64_C(0x10000000)

bool native_create(void);
/* Of native_run() from now on; why: NULL, or why the host has no such code. */
void native_set_bits(enum code_bits bits);
const char *native_why_not(enum code_bits bits);
void native_destroy(void);
/* Takes SIGILL, SIGSEGV, SIGFPE and their kin. */
void native_catch(void);
/* Where the code's segment starts. */
uint64_t native_code_base(void);
/* Runs len bytes of code from native.in to native.out; with FS based at fs_base if it is not 0. */
void native_run(const uint8_t *bytes, unsigned len, uint64_t fs_base);
/* Makes offset at in the code's page a second way out: where a branch is expected to go. */
void native_put_exit(unsigned at);
/* For good: no system call but those that these tests make themselves; another one ends the process
 * by SIGSYS. Should a case run away, it gets nowhere. (The sanitizers make too many: not there.) */
void native_seal(void);
/* Bases GS there, for good. */
void native_set_gs(uint64_t base);

#endif
