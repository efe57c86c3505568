/*
 * What the paging tests of all modes share. The image keeps its identity map, for level 0 only; the
 * programs of level 3 see a copy of themselves and their stack through an alias; the pages under
 * test lie at TEST, each level's entry in a variable of its own.
 */
#ifndef PAGING_H
#define PAGING_H

#include "rt.h"

#ifdef __x86_64__
#define REG(r) "r" #r
#else
#define REG(r) "e" #r
#endif

#define ALIAS ((word)0x50000000) /* + a low address: user pages */
#define TEST  ((word)0x40000000) /* the page under test, with its own table */

enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 0x20, PTE_D = 0x40, PTE_PS = 0x80, PTE_G = 0x100 };
#define PTE_NX (UINT64_C(1) << 63)
enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16, PF_PK = 32 };
enum access { READ, WRITE, EXEC };
enum {
    CR0_WP = 1 << 16,
    CR0_PG_BIT = 31,
    CR4_PSE = 1 << 4,
    CR4_PAE = 1 << 5,
    CR4_PGE = 1 << 7,
    CR4_SMEP = 1 << 20,
    CR4_SMAP = 1 << 21,
    CR4_PCIDE = 1 << 17
};

extern uint8_t frame_a[4096], frame_b[4096], frame_c[4096];
static const char *const access_names[] = {"read", "write", "exec"};

/* Puts a program on level 3 through the alias, or level 0 in place. */
static inline void at_level(unsigned cpl, bool ac)
{
    at(cpl ? RING3 : RING0);
    if (cpl) {
        ctx.copy = true;
        ctx.cs_base = -ALIAS;
        ctx.sp = ALIAS + LOW_STACK;
    }
    ctx.flags = ac ? 0x40002 : 2;
}

/* The access at lin that is tried; frames hold INT 80h at their start and at 800h. */
static inline void attempt(enum access access, word lin)
{
    in.bx = lin;
    if (access == READ)
        TRY("movl (%%" REG(bx) "), %%eax");
    else if (access == WRITE)
        TRY("movl %%ecx, (%%" REG(bx) ")");
    else
        TRY("jmp *%%" REG(bx));
}

static inline void judge(enum access access, word lin, bool ok, uint32_t error, const char *what,
                         unsigned a, unsigned b)
{
    if (ok) {
        check(last.vector == DONE, "%s %s %x %x: expected to work, got vector %x error %x cr2 %lx",
              what, access_names[access], a, b, last.vector, last.error, last.cr2);
        return;
    }
    check(last.vector == PF && last.error == error,
          "%s %s %x %x: expected #PF %x, got vector %x error %x", what, access_names[access], a, b,
          error, last.vector, last.error);
    check_eq(last.cr2, lin, "%s %s %x %x: CR2", what, access_names[access], a, b);
    check_eq(last.ip, access == EXEC ? lin : last.start, "%s %s %x %x: IP", what,
             access_names[access], a, b);
}

/* The rights of SDM 3A 4.6, from those of all levels together. */
struct mode {
    bool wp, smep, smap, nxe, ac;
    bool tells_fetch; /* I/D is reported */
};
static inline bool allowed(const struct mode *m, enum access access, unsigned cpl, bool w, bool u,
                           bool nx, uint32_t *error)
{
    bool ok = true;
    if (cpl == 3 && !u)
        ok = false;
    if (access == EXEC && (nx || (cpl == 0 && u && m->smep)))
        ok = false;
    if (access != EXEC && cpl == 0 && u && m->smap && !m->ac)
        ok = false;
    if (access == WRITE && !w && (cpl == 3 || m->wp))
        ok = false;
    *error = PF_P | (access == WRITE ? PF_W : 0) | (cpl ? PF_U : 0) |
             (access == EXEC && m->tells_fetch ? PF_I : 0);
    return ok;
}
static inline uint32_t error_of(const struct mode *m, enum access access, unsigned cpl)
{
    return (access == WRITE ? PF_W : 0) | (cpl ? PF_U : 0) |
           (access == EXEC && m->tells_fetch ? PF_I : 0);
}

static inline void fill_frames(void)
{
    uint8_t *const frames[] = {frame_a, frame_b, frame_c};
    for (unsigned i = 0; i < 3; i++) {
        memset(frames[i], 0x11 * (i + 1), 4096);
        for (unsigned at_ = 0; at_ < 4096; at_ += 0x800) {
            frames[i][at_] = 0xcd;
            frames[i][at_ + 1] = 0x80;
        }
    }
}

#endif
