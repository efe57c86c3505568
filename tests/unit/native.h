/*
 * Runs one instruction on the processor under us: registers, flags, x87, MMX, SSE and MXCSR in,
 * the same out, and the exception it took if it took one. x86-64 hosts only.
 */
#ifndef VITRINE_TESTS_NATIVE_H
#define VITRINE_TESTS_NATIVE_H

#include "core/types.h"

struct native_state {
    uint64_t gpr[16]; /* in encoding order */
    uint64_t rflags;
    uint32_t env[7]; /* FNSTENV image (of out only): some processors keep the pointers out of fx */
    uint32_t pad[7];
    uint8_t fx[512];     /* FXSAVE64 image */
    uint8_t ymm[16][16]; /* bits 255:128; zeros on a host without AVX */
} __attribute__((aligned(64)));

struct native {
    struct native_state in, out;
    const void *code;
    uint64_t host_rsp;
    uint64_t avx;   /* the host has it */
    uint64_t taken; /* 1: it came out at the place of native_put_exit(), not behind the code */
    int vector;     /* exception, or -1 */
    uint8_t *buffer;
    uint64_t rip, error, address; /* of the exception: RIP, error code, CR2 */
    bool any_rip;                 /* it may hit behind the first instruction, too */
};

/* One at a time in a process: signal handlers have no other way to find it. */
extern struct native native;

bool native_create(void);
void native_destroy(void);
/* Takes SIGILL, SIGSEGV, SIGFPE and their kin; to be called inside a test, for cmocka takes them
 * too. */
void native_catch(void);
/* Runs len bytes of code from native.in to native.out. */
void native_run(const uint8_t *bytes, unsigned len);
/* Where the code of native_run() lies: its RIP; the page around it is its own. */
uint64_t native_code_address(void);
/* Makes offset at in the code's page a second way out: where a branch is expected to go. */
void native_put_exit(unsigned at);
enum { NATIVE_EXIT_BYTES = 6, NATIVE_CODE_AT = 2048 };

#endif
