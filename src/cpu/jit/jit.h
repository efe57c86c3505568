/*
 * The translator: hot decoded blocks become host code, template by template; whatever has no
 * template calls the interpreter's handler. See ARCHITECTURE.md "The translator".
 *
 * Contract with the interpreter: it counts entries of a block (op_warm), hands the block over when
 * it is hot, and from then on enters host code through op_jit_enter. Host code leaves to it with
 * the state as the interpreter would have it at that instruction; at a fault too.
 *
 * While host code runs:
 *   host RAX RCX RDX RBX RBP RSI RDI R8 R9 R12   the guest's, same number
 *   host R15                                     guest RSP
 *   host R13                                     cpu->budget
 *   host R10 R11 R14                             scratch
 *   host RSP                                     cpu->r: the guest's R10, R11, R13, R14 and R15
 *                                                (h_state()), and 128 bytes before it what else is
 *                                                touched most; stubs push below that
 *   GS base                                      in struct cpu, too (h_cpu()): for stubs, and for
 *                                                the TLB
 *
 * Not all by GS, because with a displacement of a byte RSP takes four bytes less, and what is
 * stored and loaded again without a segment costs some processors no time (measured on Zen 5: ADDs
 * to one place in memory 0.3 ns each, as to a register; by GS 2.1).
 *
 * Arithmetic flags: in cpu as the interpreter keeps them, or pending there (pending.h), or known
 * to the translator as a result of registers that still hold its operands.
 */
#ifndef VITRINE_CPU_JIT_JIT_H
#define VITRINE_CPU_JIT_JIT_H

#include "cpu/block.h"
#include "cpu/jit/count.h"
#include "cpu/jit/emit_x64.h"
#include "cpu/jit/pending.h"
#include "cpu/jit/statistics.h"

#include <stddef.h>
#include <stdio.h>

/*
 * GS points at the near lines of the user's TLB, which are looked at most: so they are reached
 * without a displacement. At offset at of struct cpu:
 */
#define JIT_GS_AT \
    (offsetof(struct cpu, tlb) + sizeof(struct tlb) * TLB_USER + offsetof(struct tlb, near))
static inline struct host_rm h_cpu(size_t at)
{
    return h_gs((int32_t)at - (int32_t)JIT_GS_AT);
}

#define CPU_SLOT_GS(field) h_cpu(offsetof(struct cpu, field))
/* Where blocks have RSP in it. What they touch most is at most 128 bytes from there; the last of
 * those before it are where a call of a stub puts its way back. Signals leave all of them alone
 * (ABI: the red zone). */
#define JIT_RSP_AT    offsetof(struct cpu, r)
#define JIT_HOT_BYTES 128
static_assert(offsetof(struct cpu, jit_page) == JIT_RSP_AT - JIT_HOT_BYTES &&
                  offsetof(struct cpu, jit_called) == JIT_RSP_AT - 8,
              "host code relies on it");
/*
 * At offset at of struct cpu, in blocks. Hosts that rename memory tell places with the same base
 * apart by the low bits of displacements alone (Zen 5: ten): a load that has those of a store just
 * before is taken for its reload, and costs as much as a mispredicted branch. So what is further
 * away, but looks like the hot part, is reached through GS, where nothing is renamed.
 */
#define JIT_RENAMED_BITS 10
static inline struct host_rm h_state(size_t at)
{
    const int32_t d = (int32_t)at - (int32_t)JIT_RSP_AT;
    const bool hot = d >= -JIT_HOT_BYTES && d < JIT_HOT_BYTES;
    const uint32_t looks = (uint32_t)(d + JIT_HOT_BYTES) & ((1U << JIT_RENAMED_BITS) - 1);
    return hot || looks >= 2 * JIT_HOT_BYTES ? h_mem(H_RSP, d) : h_cpu(at);
}
#define CPU_SLOT(field) h_state(offsetof(struct cpu, field))

/* Host code of one block. Places in it are where it is written, not where it runs. */
typedef int32_t native_at; /* from indirect on, in bytes; 0: nowhere */
struct native {
    /* A jump to another page holds in this generation (0: in none), to the page at this linear
     * address (JIT_NO_PAGE: there is no link). */
    gla_t target_page[2];
    uint32_t generation[2];
    int32_t target_at[2];    /* of the target, from the start of the block's page */
    ram_t target_ram[2];     /* the target's page; RAM_NONE: it is not alone */
    int8_t patience[2];      /* with another's link being the wrong one, as long as the table of
                                indirect branches knows where to go: so often until jit_relink() */
    bool hasty[2];           /* jit_relink() came before the patience was used up, last time */
    bool far[2];             /* the jump is such a one */
    uint8_t reach;           /* log2 of bytes that its direct branches stay within, around it, and
                                those of the blocks of its page that it jumps to */
    uint8_t room;            /* ... might, at the place nearest to the edge that it ran from */
    uint8_t target_reach[2]; /* ... those of the block that such a jump leads to */
    bool wants_flags;        /* of before: something in the block may see them */
    uint32_t changes;        /* guest registers that it changes while it may see them */
    uint8_t *indirect;       /* from an indirect branch: R10 is RIP */
    native_at entry;         /* from another block: takes its length off the budget first */
    native_at body;          /* behind that */
    native_at left;    /* goes back to the run loop, as entry does once the block is dropped */
    native_at site[2]; /* displacement of the jump to the next block, by slot */
    native_at exit[2]; /* where it leads while there is no such block */
    /* Where def is pending at the end: code that puts its operands into memory and jumps on, and
     * its displacement, for a next block that changes them too early. */
    native_at storing[2], storing_site[2];
    struct pending_def def; /* what is pending at the end, if it names registers */
};

static inline native_at native_note(const struct native *n, const uint8_t *p)
{
    return (native_at)(p - n->indirect);
}

static inline uint8_t *native_place(const struct native *n, native_at at)
{
    return n->indirect + at;
}

#define JIT_JUMP_MODES 64
#define JIT_JUMP_USER  1 /* in the number of a mode */
#define JIT_JUMP_HASH  UINT32_C(0x9e3779b1)
#define JIT_JUMP_LOG   1024
#define JIT_JUMP_SETS  SHADOW_SPACES
#define JIT_NO_PAGE    1 /* an address no page has */

/*
 * Indirect branches: RIP to where host code is entered, in this generation. A RIP has two lines,
 * its own and the neighbour (their indices differ in bit 0), so that two that share one may both
 * stay.
 */
struct jit_jump {
    uint64_t rip;
    const uint8_t *code;
};
/*
 * Where host code is entered, by its place in RAM and mode: what the table above is filled from
 * when a program is started once more at other addresses, without a look at the blocks, which are
 * all over the host's memory.
 */
#define JIT_KNOWN_WAYS 4
struct jit_known_set {
    struct jit_known {
        uint64_t key; /* 0: none */
        const uint8_t *code;
    } way[JIT_KNOWN_WAYS];
};
/* The lines filled in a generation, to be emptied; if they are too many, all lines are. */
struct jit_jump_log {
    unsigned n;
    struct jit_jump *line[JIT_JUMP_LOG];
};
/* The lines of a generation that may come back. */
struct jit_jump_set {
    uint32_t gen; /* 0: none */
    unsigned n;
    uint64_t saved_at; /* the oldest makes room */
    struct {
        struct jit_jump *line;
        struct jit_jump was;
    } saved[JIT_JUMP_LOG];
};

#define STRING_STUBS 24
#define FILL_SIZES   7 /* 1 to 64 bytes */

/* What for. STACK_CHECK: to be written, but not yet, so it does not walk. */
enum stack_use { STACK_READ, STACK_WRITE, STACK_CHECK, STACK_USES };

/* Common code, made once; where it runs. */
enum jit_stub {
    STUB_ENTER,      /* C calls it: (cpu, body) */
    STUB_X87,        /* the guest's x87 registers into the host's, or x87_live stays clear; all
                      other registers stay */
    STUB_INSN,       /* R11 = insn: its handler, back behind it */
    STUB_INSN_FLAGS, /* the same, and host flags are the guest's then */
    STUB_FLAGS,      /* host flags become the guest's */
    STUB_SETTLE,     /* pending flags become the interpreter's */
    STUB_VECTORS,    /* the guest's vector registers into the host's */
    STUB_EXIT_LINK,  /* R11 = block + slot: goes on at its continuation */
    STUB_EXIT_START, /* R10 = block: goes on at its start, by the loop */
    STUB_EXIT_INSN,  /* R11 = the last insn of a block: its handler goes on */
    STUB_EXIT_DONE,  /* to the loop, which goes on at cpu->rip */
    STUB_FIND,       /* R11 = RIP: a line for it, ZF is clear if there is one then */
    STUB_RELINK,     /* R11 = block + slot: ZF is clear if the link to another page holds now */
    STUB_CPUID,      /* CPUID: RAX, RBX, RCX and RDX are as behind it, all others stay */
    STUB_EVENT,      /* R11 = the last insn of a block, which events.c may do */
    /* R11 = address that has no near line: looks in the lines, walks. ZF is clear if it may be
     * accessed, with the addend in R14. By log2 of the size, to be read, then to be written. */
    STUB_FILL,
    STUB_FILL_LAST = STUB_FILL + 2 * FILL_SIZES - 1,
    /* The same for an address that is not in the stack's page, as far as that is known: notes the
     * page, if it may be written. By enum stack_use, for slots of 8 bytes, then of 4. */
    STUB_STACK,
    STUB_STACK_LAST = STUB_STACK + 2 * STACK_USES - 1,
    STUB_STRING, /* REP (templates_str.c): ZF is set if all of it is done */
    STUB_STRING_LAST = STUB_STRING + STRING_STUBS - 1,
    STUB_COUNT,
};

/* What host code has put on the thread's stack: the registers that C wants back, behind them the
 * CPU; and the return address. */
#define JIT_FRAME_BYTES (8 * (1 + 6 + 1))

typedef const struct insn *jit_enter_fn(struct cpu *cpu, const uint8_t *body);

struct jit {
    struct cpu *cpu;
    jit_enter_fn *enter;
    uint8_t *code, *run; /* the same memory: where it is written, where it runs */
    size_t size;
    /* What usually runs lies close together: what is out of line has a part of its own, the upper
     * one. Each is filled from its start. */
    struct jit_part {
        size_t start, end, used;
        size_t provided; /* up to there the host was asked for pages */
    } hot, cold;
    const uint8_t *stub[STUB_COUNT];
    struct native *natives; /* of all blocks, in low memory */
    unsigned n_natives, max_natives;
    struct jit_jump *jump; /* by mode, then by jit_jump_index() */
    unsigned jump_bits;    /* log2 of the lines of a mode */
    uint64_t jump_modes_used;
    struct jit_known_set *known;
    unsigned known_bits;           /* log2 of its sets */
    unsigned known_way;            /* of a set, where the next one goes */
    struct jit_jump_log filled[2]; /* of the generations of other code, and of code at CPL 3 */
    struct jit_jump_set jumps[JIT_JUMP_SETS]; /* of other generations of code at CPL 3 */
    uint64_t jumps_clock;
    unsigned threshold;            /* entries of a block before it is translated */
    bool host_has[FEAT_COUNT + 1]; /* which features the host has, too */
    bool fp_native; /* no guest exception is unmasked in MXCSR: the host computes at once */
    bool full;      /* the next look-up throws everything away */
    enum jit_again full_why;
    struct jit_past *past; /* what was translated before */
    volatile bool translating;
    bool sampling;                /* this one started it */
    bool no_chain, no_indirect;   /* switches, to find out what a fault depends on */
    bool no_events;               /* ... SYSCALL, SYSRET and IRET by their handlers */
    bool no_find;                 /* ... RIPs that are not in the table are the handler's */
    bool no_share;                /* ... each access looks its page up */
    bool no_fill;                 /* ... TLB misses by the handlers of what missed */
    bool no_x87;                  /* ... x87 and MMX by their handlers */
    bool atomic;                  /* what is locked is so towards other threads */
    struct gdb_image *gdb;        /* what a debugger is told; NULL: nothing */
    FILE *perfmap;                /* NULL: none */
    struct jit_count *count;      /* NULL: nobody wants to know */
    uint16_t broken, broken_last; /* operations translated wrongly, for tests (verify.h) */
};

/* Whether the host has what the translator needs; err says what is not there. */
bool jit_available(struct error *err);
/* NULL with err set where the host does not let us run code we wrote, or lacks BMI2. */
struct jit *jit_create(struct cpu *cpu, unsigned threshold, struct error *err);
void jit_destroy(struct jit *j);
/* Appends names of translated code to /tmp/perf-PID.map, where perf looks for them. */
void jit_open_perfmap(struct jit *j);

/* The block is new: counts its entries, if code of its kind can be translated. */
void jit_watch(struct jit *j, struct block *b);
/* Host code for b, if it fits. */
void jit_translate(struct jit *j, struct block *b);
/* from's continuation is to; or is nobody's business any more. */
void jit_link(struct jit *j, struct block *from, unsigned slot, struct block *to);
void jit_unlink(struct block *from, unsigned slot);
void jit_drop(struct jit *j, struct block *b);
void jit_flush(struct jit *j);
/* The guest's MXCSR changed, by an instruction that runs or while none did. */
void jit_mxcsr_changed(struct cpu *cpu, bool running);
/* Linear addresses mean something else now, for code of CPL 3 or for all other: what they did when
 * gen was in force, if ever. old: the generation until now, 0 if it will not come back. */
void jit_new_generation(struct jit *j, unsigned user, uint32_t old, uint32_t gen);
/* Runs the first instruction of b by the interpreter, until jit_rehook(). */
void jit_unhook(struct block *b);
void jit_rehook(struct block *b);

static inline unsigned jit_jump_index(const struct jit *j, gla_t rip)
{
    return (uint32_t)rip * JIT_JUMP_HASH >> (32 - j->jump_bits);
}
/* jumps.c: general registers only. All lines are emptied; and those that may come back. */
void jit_jumps_init(struct jit *j);
void jit_jumps_forget(struct jit *j);
void jit_jump_fill(struct jit *j, unsigned mode, gla_t rip, const uint8_t *code);
/* b's host code is not to be entered any more. */
void jit_known_forget(struct jit *j, const struct block *b);
/* Fills a line for rip, in the mode the CPU is in. False: there is no host code, or none that is
 * known without a walk, or the loop is to look at something first. */
bool jit_jump_find(struct cpu *cpu, gla_t rip);
/* The link of a block's slot (its native plus the slot) was made in another generation, or for
 * another address of this code: makes it hold here and now, if it leads where it should. */
bool jit_relink(struct cpu *cpu, uintptr_t native_and_slot);

static inline struct jit_jump *jit_jumps(const struct jit *j, unsigned mode)
{
    return j->jump + ((size_t)mode << j->jump_bits);
}
/* The line of rip; NULL: there is none. */
static inline const struct jit_jump *jit_jump_line(const struct jit *j, unsigned mode, gla_t rip)
{
    const unsigned index = jit_jump_index(j, rip);
    const struct jit_jump *line = &jit_jumps(j, mode)[index],
                          *other = &jit_jumps(j, mode)[index ^ 1];
    return line->rip == rip ? line : other->rip == rip ? other : NULL;
}
/* What can be translated: 64-bit code, and 32-bit code in flat segments; no alignment checks. */
static inline bool jit_mode_ok(uint32_t mode)
{
    const uint32_t flat32 = MODE_CODE32 | MODE_SS32 | MODE_FLAT | MODE_PROT;
    const uint32_t flat32_mask = MODE_CODE_MASK | MODE_SS32 | MODE_FLAT | MODE_PROT | MODE_VM86;
    if (mode & MODE_ALIGN)
        return false;
    return (mode & MODE_CODE_MASK) == MODE_CODE64 || (mode & flat32_mask) == flat32;
}
/* Those bits of a mode that distinguish code at one address. */
static inline unsigned jit_jump_mode(uint32_t mode)
{
    return (mode & MODE_USER ? JIT_JUMP_USER : 0) | (mode & MODE_CPL0 ? 2 : 0) |
           (mode & MODE_NO_X87 ? 4 : 0) | (mode & MODE_NO_SSE ? 8 : 0) |
           (mode & MODE_NO_AVX ? 16 : 0) | ((mode & MODE_CODE_MASK) == MODE_CODE64 ? 32 : 0);
}
/* A direct branch from here may leave canonical space: only the interpreter looks for that. */
#define JIT_REACH_MIN 13 /* a block is on two pages at most */
#define JIT_REACH_MAX 32
static inline bool jit_near_edge(const struct cpu *cpu, gla_t lin, unsigned reach)
{
    return !cpu_canonical(cpu, lin + BIT64(reach)) || !cpu_canonical(cpu, lin - BIT64(reach));
}
/* The table of indirect branches leads to n from lin, which is not near the edge for it: how much
 * further n could reach until it were. */
static inline void jit_note_room(const struct cpu *cpu, gla_t lin, struct native *n)
{
    if (likely(!jit_near_edge(cpu, lin, JIT_REACH_MAX)))
        return;
    while (jit_near_edge(cpu, lin, n->room))
        n->room--;
}
/* Where the code written at p runs. */
static inline const uint8_t *jit_runs_at(const struct jit *j, const uint8_t *p)
{
    return j->run + (p - j->code);
}

/*
 * Before host code runs: another thread may have changed it while this one waited, and a processor
 * is sure to see that behind a serializing instruction only (SDM 3A §8.1.3 "Handling Self- and
 * Cross-Modifying Code").
 */
static inline void jit_see_patches(struct cpu *cpu)
{
    if (likely(!cpu->code_patched))
        return;
    cpu->code_patched = false;
    unsigned a = 0, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d) : : "memory");
}

/* Runs the host code of b, which is at cpu->r[REG_PC]. Like a handler. */
const struct insn *jit_run(struct cpu *cpu, struct block *b, const struct native *n);

/* translate.c: writes the host code of b. False: it does not fit, or there is nothing to gain. */
bool translate_block(struct jit *j, struct block *b, struct native *n, struct emit *hot,
                     struct emit *cold);
/* Whether u, of b, is done without its handler, as a rule. */
bool jit_has_template(const struct jit *j, const struct block *b, const struct insn *u);
/* stubs.c */
bool stubs_write(struct jit *j, struct emit *e);
/* What a debugger finds on the stack while a stub runs, or C that it called. */
enum stub_frame {
    FRAME_OF_ENTRY, /* what STUB_ENTER made: the stub was jumped to */
    FRAME_CALLED,   /* the same, and the return address in cpu->jit_called */
    FRAME_ALONE,    /* its own registers: it does not call C */
};
enum stub_frame stub_frame(enum jit_stub s);

#endif
