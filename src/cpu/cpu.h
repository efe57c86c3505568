/*
 * One virtual CPU: architectural state first, then what the engine keeps beside it.
 *
 * RIP is exact only between instructions (cpu->rip). While a block runs it is r[REG_PC] (RIP of the
 * block's first byte) plus the instruction's offset; cpu_cur_rip() gives it after cpu->cur was set.
 * The arithmetic flags are lazy (flags.h); cpu->eflags holds the others.
 */
#ifndef VITRINE_CPU_CPU_H
#define VITRINE_CPU_CPU_H

#include "core/device.h"
#include "core/door.h"
#include "core/event.h"
#include "core/log.h"
#include "core/topology.h"
#include "core/types.h"
#include "core/world.h"
#include "cpu/features.h"
#include "cpu/fault.h"
#include "mmu/iomap.h"
#include "mmu/memmap.h"
#include "mmu/shadow.h"
#include "mmu/tlb.h"
#include "mmu/walk.h"
#include <setjmp.h>

struct block;
struct insn;
struct code_cache;

/* General registers in encoding order, then two that only address computations name. */
enum {
    REG_RAX,
    REG_RCX,
    REG_RDX,
    REG_RBX,
    REG_RSP,
    REG_RBP,
    REG_RSI,
    REG_RDI,
    REG_R8,
    REG_R9,
    REG_R10,
    REG_R11,
    REG_R12,
    REG_R13,
    REG_R14,
    REG_R15,
    REG_ZERO, /* always 0: the absent base or index */
    REG_PC,   /* RIP of the running block's start: base of RIP-relative operands */
    REG_COUNT,
};

/* Segment registers in encoding order. SEG_FLAT: base 0, for operands that need no base. */
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_FLAT, SEG_LDTR, SEG_TR, SEG_COUNT };

/* Hidden part of a segment register; attr as bits 40-55 of the descriptor without the limit. */
struct segment {
    uint64_t base;
    uint32_t limit; /* in bytes, granularity applied */
    uint16_t sel;
    uint32_t attr;
};
enum {
    ATTR_TYPE = 0xf,
    ATTR_A = BIT(0),  /* accessed */
    ATTR_RW = BIT(1), /* data: writable; code: readable */
    ATTR_EC = BIT(2), /* data: expand-down; code: conforming */
    ATTR_CODE = BIT(3),
    ATTR_S = BIT(4), /* code or data, not system */
    ATTR_DPL_SHIFT = 5,
    ATTR_DPL = 3 << 5,
    ATTR_P = BIT(7),
    ATTR_AVL = BIT(12),
    ATTR_L = BIT(13),
    ATTR_DB = BIT(14),
    ATTR_G = BIT(15),
    ATTR_NULL = BIT(16), /* loaded with a null selector, or never usable */
};

struct table_reg { /* GDTR, IDTR */
    uint64_t base;
    uint16_t limit;
};

#define FLAG_CF         UINT32_C(0x00000001)
#define FLAG_1          UINT32_C(0x00000002) /* always set */
#define FLAG_PF         UINT32_C(0x00000004)
#define FLAG_AF         UINT32_C(0x00000010)
#define FLAG_ZF         UINT32_C(0x00000040)
#define FLAG_SF         UINT32_C(0x00000080)
#define FLAG_TF         UINT32_C(0x00000100)
#define FLAG_IF         UINT32_C(0x00000200)
#define FLAG_DF         UINT32_C(0x00000400)
#define FLAG_OF         UINT32_C(0x00000800)
#define FLAG_IOPL       UINT32_C(0x00003000)
#define FLAG_NT         UINT32_C(0x00004000)
#define FLAG_RF         UINT32_C(0x00010000)
#define FLAG_VM         UINT32_C(0x00020000)
#define FLAG_AC         UINT32_C(0x00040000)
#define FLAG_VIF        UINT32_C(0x00080000)
#define FLAG_VIP        UINT32_C(0x00100000)
#define FLAG_ID         UINT32_C(0x00200000)
#define FLAGS_ARITH     (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)
#define FLAG_IOPL_SHIFT 12

#define CR0_PE          UINT64_C(0x00000001)
#define CR0_MP          UINT64_C(0x00000002)
#define CR0_EM          UINT64_C(0x00000004)
#define CR0_TS          UINT64_C(0x00000008)
#define CR0_ET          UINT64_C(0x00000010)
#define CR0_NE          UINT64_C(0x00000020)
#define CR0_WP          UINT64_C(0x00010000)
#define CR0_AM          UINT64_C(0x00040000)
#define CR0_NW          UINT64_C(0x20000000)
#define CR0_CD          UINT64_C(0x40000000)
#define CR0_PG          UINT64_C(0x80000000)

#define CR4_VME         BIT64(0)
#define CR4_PVI         BIT64(1)
#define CR4_TSD         BIT64(2)
#define CR4_DE          BIT64(3)
#define CR4_PSE         BIT64(4)
#define CR4_PAE         BIT64(5)
#define CR4_MCE         BIT64(6)
#define CR4_PGE         BIT64(7)
#define CR4_PCE         BIT64(8)
#define CR4_OSFXSR      BIT64(9)
#define CR4_OSXMMEXCPT  BIT64(10)
#define CR4_UMIP        BIT64(11)
#define CR4_LA57        BIT64(12)
#define CR4_FSGSBASE    BIT64(16)
#define CR4_PCIDE       BIT64(17)
#define CR4_OSXSAVE     BIT64(18)
#define CR4_SMEP        BIT64(20)
#define CR4_SMAP        BIT64(21)
#define CR4_PKE         BIT64(22)

#define EFER_SCE        BIT64(0)
#define EFER_LME        BIT64(8)
#define EFER_LMA        BIT64(10)
#define EFER_NXE        BIT64(11)

#define DEBUGCTL_LBR    BIT64(0)
#define DEBUGCTL_BTF    BIT64(1)

#define XCR0_X87        BIT64(0)
#define XCR0_SSE        BIT64(1)
#define XCR0_AVX        BIT64(2)
#define XCR0_PKRU       BIT64(9)

/* A vector register, wide enough for AVX-512; lanes in memory order. */
union vec {
    uint8_t b[64];
    uint16_t w[32];
    uint32_t d[16];
    uint64_t q[8];
    int8_t sb[64];
    int16_t sw[32];
    int32_t sd[16];
    int64_t sq[8];
    float ps[16];
    double pd[8];
} __attribute__((aligned(64)));

/* An x87 register (80-bit), whose mantissa an MMX register is. */
union fpreg {
    struct {
        uint64_t mant;
        uint16_t sexp; /* sign and biased exponent */
    };
    uint64_t mmx;
    uint8_t bytes[16];
} __attribute__((aligned(16)));

struct fpu {
    union fpreg r[8]; /* physical R0-R7; ST(i) is r[(top + i) & 7] */
    uint16_t cw, sw;  /* sw includes TOP (bits 11-13) */
    uint8_t used;     /* bit n: Rn is not empty (the abridged tag word of FXSAVE) */
    uint16_t fop;
    uint64_t fip, fdp;
    uint16_t fcs, fds;
};

/* How instructions are decoded and addressed: part of every block's key. */
enum {
    MODE_CODE16 = 0,
    MODE_CODE32 = 1,
    MODE_CODE64 = 2,
    MODE_CODE_MASK = 3,
    MODE_SS32 = BIT(2), /* SS.B: ESP, not SP (outside 64-bit mode) */
    MODE_FLAT = BIT(3), /* CS, DS, ES, SS: base 0, no limit, all rights: no checks to make */
    MODE_PROT = BIT(4), /* CR0.PE */
    MODE_VM86 = BIT(5),
    MODE_USER = BIT(6),   /* CPL 3 */
    MODE_NO_X87 = BIT(7), /* CR0.EM or CR0.TS: x87 and MMX instructions fault (op_x87_off) */
    MODE_NO_SSE = BIT(8), /* CR0.EM, CR0.TS or no CR4.OSFXSR: SSE instructions fault (op_sse_off) */
    MODE_CPL0 = BIT(9),   /* CPL 0: A_CPL0 rows are allowed */
    MODE_NO_AVX = BIT(11), /* no CR4.OSXSAVE, not both of XCR0[2:1], or CR0.TS (op_avx_off) */
    MODE_ALIGN = BIT(10),  /* alignment is checked: CPL 3, CR0.AM, EFLAGS.AC */
};

/* What may need the run loop's attention between two instructions. Other threads set some. */
enum {
    EV_INTR = BIT(0), /* INTR line high */
    EV_NMI = BIT(1),
    EV_INIT = BIT(2),
    EV_SIPI = BIT(3),
    EV_STOP = BIT(4),  /* the machine wants the thread back */
    EV_DEBUG = BIT(5), /* a data or I/O breakpoint or a watchpoint was hit by this instruction */
};

struct fault {
    uint8_t vector;
    bool has_error;
    uint32_t error;
    uint64_t cr2; /* #PF */
    uint64_t dr6; /* #DB: bits to set */
    bool rf;      /* #DB, interrupts: behind an iteration of REP that was not the last */
    enum fault_reason reason;
};

/*
 * What the check that failed looked at, where the error code and the registers do not tell: set
 * on the way out (fault_about_*()), for those who explain the fault.
 */
enum fault_about {
    ABOUT_NOTHING,
    ABOUT_SEGMENT, /* an access of size bytes at offset at of a segment */
    ABOUT_LINEAR,  /* ... at linear address at */
    ABOUT_PAGE,    /* a page walk */
    ABOUT_TABLE,   /* what the error code names: an entry of GDT, LDT or IDT (fault_record.c) */
};
struct fault_detail {
    enum fault_about about;
    uint8_t seg; /* SEG_*; SEG_COUNT: a stack that was about to be */
    uint8_t access;
    uint16_t size;
    uint64_t at;
    struct segment segment;
    struct { /* ABOUT_PAGE: where the walk ended */
        uint8_t access, level;
        bool user, ac;
        enum walk_reason reason;
        gpa_t entry_gpa;
        uint64_t entry;
    } walk;
    struct {          /* ABOUT_TABLE */
        uint16_t sel; /* IDT: the vector */
        bool idt, ldt, in_limit, read;
        uint8_t size; /* of an entry: 8 or 16 bytes */
        gla_t base, at;
        uint32_t limit;
        uint64_t entry[2];
    } table;
};

/* A fault that was raised, and the CPU as it was then: numbers; debug/explain.c has the words. */
#define CPU_FAULTS 64
struct fault_record {
    struct fault fault;
    struct fault_detail detail;
    int16_t during;        /* the vector whose delivery it hit, FAULT_DURING_EVENT, or -1 */
    int16_t became;        /* the vector that was delivered; -1: none, shutdown */
    uint8_t cpl, code_len; /* bytes of the instruction; 0: it was not fetched, or had ended */
    bool ended;            /* a trap: rip is the next instruction's */
    uint8_t code[16];
    uint32_t mode, pkru, mxcsr;
    uint64_t icount, rip, rflags;
    uint64_t r[16], cr0, cr3, cr4, efer, dr[4], pdpte[4];
    struct segment cs, ss;
    uint16_t fsw, fcw;
};
#define FAULT_DURING_EVENT 0xff /* an interrupt, or a software interrupt */

/* The stages of a boot, as the CPU can tell them: each is told of once. */
enum cpu_milestone {
    CPU_BOOT_SECTOR, /* first instruction at 7C00h in real mode */
    CPU_PROTECTED,   /* ... in protected mode after that */
    CPU_PAGING,      /* ... with paging on */
    CPU_USER,        /* ... at CPL 3 with paging on */
    CPU_MILESTONES,
};

/* What the board gives the CPU. Called under the lock (core/world.h), where there is one. */
struct cpu_hooks {
    int (*intr_ack)(void *opaque);       /* INTA: vector, or -1 when nothing is pending any more */
    uint64_t (*apic_base)(void *opaque); /* GENERAL_ONLY, as cpuid.c calls it */
    bool (*set_apic_base)(void *opaque, uint64_t value); /* false: #GP */
    uint8_t (*cr8)(void *opaque);
    void (*set_cr8)(void *opaque, uint8_t value);
    void (*shutdown)(void *opaque);        /* triple fault */
    void (*ferr)(void *opaque, int level); /* x87 error pin (CR0.NE = 0); may be NULL */
    /* MSRs 800h to 8FFh; false: #GP. May be NULL. */
    bool (*x2apic_msr)(void *opaque, bool write, uint32_t msr, uint64_t *value);
    /* IA32_TSC_DEADLINE, and when that will be (EVENT_NEVER: not in our time). May be NULL. */
    uint64_t (*tsc_deadline)(void *opaque);
    void (*set_tsc_deadline)(void *opaque, uint64_t tsc, int64_t due_ns);
    void (*pause)(void *opaque); /* PAUSE: others may get the turn; NULL: there are none */
    void (*woken)(void *opaque); /* an event that may end a HLT came; may be NULL */
    /* A breakpoint, watchpoint or finished step of a debugger: stop the machine. */
    bool (*debug_stop)(void *opaque, int why, gla_t at);
    void (*milestone)(void *opaque, enum cpu_milestone which); /* may be NULL */
    void (*verify_failed)(void *opaque); /* the engines differ, as was logged; may be NULL */
    void *opaque;
};

/* How much of the stack is looked up at once (jit/memory.c). */
#define STACK_SPANS 3
static const uint16_t stack_span[STACK_SPANS] = {8, 64, 256};

struct cpu_translation {
    gla_t lin;            /* of the guest's code */
    const uint8_t *guest; /* NULL: it reaches into a second page */
    unsigned guest_len, insns;
    const uint8_t *host; /* to be read here; it runs at runs_at */
    uintptr_t runs_at;
    size_t host_len;
    const uint8_t *cold; /* what is out of line */
    uintptr_t cold_runs_at;
    size_t cold_len;
    /* Where instruction n begins in guest and host code; number insns is where both end. */
    const uint16_t *guest_at;
    const uint32_t *host_at;
};

/* Text for -d, made above this floor (debug/trace.c). The CPU asks log_on() first; may be NULL. */
struct cpu_trace {
    /* in_asm: len bytes of code at lin were decoded into a block */
    void (*code)(void *opaque, const struct cpu *cpu, gla_t lin, const uint8_t *bytes,
                 unsigned len);
    void (*registers)(void *opaque, const struct cpu *cpu); /* cpu_reset: all of them */
    /* out_asm: a block was translated */
    void (*translated)(void *opaque, const struct cpu *cpu, const struct cpu_translation *code);
    /* int: a fault is about to be delivered */
    void (*fault)(void *opaque, const struct cpu *cpu, const struct fault_record *r);
    void *opaque;
};

/* What MONITOR watches: a line of memory, and what was in it. */
#define MONITOR_BYTES 64
struct cpu_monitor {
    ram_t at; /* RAM_NONE: nothing, MWAIT does not wait */
    uint8_t line[MONITOR_BYTES];
};

enum {
    MWAIT_NOT,  /* HLT */
    MWAIT_LINE, /* a store to the monitored line, too */
    MWAIT_INTR, /* ... and an interrupt although IF is clear */
};

/* Why debug_stop was called. */
enum { CPU_STOP_BREAKPOINT, CPU_STOP_WATCHPOINT };

/* Debugger's own breakpoints and watchpoints (gdb stub, monitor), apart from the guest's DR0-3. */
#define CPU_MAX_BREAKPOINTS 1024
#define CPU_MAX_WATCHPOINTS 16
struct cpu_watch {
    gla_t at;
    uint64_t len;
    uint8_t kind; /* 1 write, 2 read, 3 either */
};

/* Bytes in front of a struct cpu: the stack of host code, which has RSP in there, and of signals
 * that come meanwhile, unless they have one of their own. */
#define CPU_JIT_STACK (64 * KiB)

struct cpu {
    /* --- hot: what every instruction touches --- */
    /* host code, whose RSP is at r (jit/jit.h), reaches this with displacements of a byte, from
     * -128 */
    uint64_t jit_page; /* linear address of the page the running code is in */
    /* the stack's page, found once for all accesses relative to RSP: as a TLB line for writing */
    uint64_t stack_page, stack_addend;
    uint64_t
        stack_limit[STACK_SPANS]; /* offsets below are in it, with so much behind; 0: not known */
    uint32_t pending;             /* flags to be computed: jit/pending.h */
    bool vec_live;                /* the host's vector registers hold the guest's, zmm does not */
    bool x87_live; /* ... and its x87 unit registers, tags and status (fp_x87_load()) */
    uint64_t pending_a, pending_b; /* what pending flags are computed from; and pending_c */
    uint64_t near_limit[2];        /* PAGE_SIZE less 8 and 4 */
    uint64_t page_mask;            /* PAGE_MASK; constants in memory make code shorter */
    uint32_t near_mask;            /* of the index of a near line */
    uint64_t jit_target;           /* something on its way */
    struct tlb *tlb_cur;           /* for accesses at the current privilege */
    uint64_t jit_called;           /* where a stub goes back to */
    uint64_t r[REG_COUNT];
    uint64_t flag_z;   /* ZF = (flag_z == 0) */
    uint64_t flag_sp;  /* SF = bit 63, PF = even parity of the low byte */
    uint64_t flag_aux; /* CF = bit 63, OF = bit 63 ^ bit 62, AF = bit 3 (flags.h) */
    int64_t budget;    /* instructions until icount_end, the running block already taken off */
    struct block *block;
    const struct insn *cur; /* set before anything that may fault or ask for the time */
    struct segment seg[SEG_COUNT];
    uint32_t mode;   /* MODE_*, from cpu_update_mode() */
    uint32_t eflags; /* without FLAGS_ARITH */
    uint8_t cpl;
    bool shadow; /* STI or MOV SS just ran: no interrupts (and for MOV SS no #DB) for one more */
    bool shadow_ss;
    bool halted;
    bool nmi_masked;
    bool wait_sipi;
    uint8_t mwait; /* MWAIT_*: while halted, what else ends that */

    /* --- the rest of the architecture --- */
    uint64_t rip;
    uint64_t cr0, cr2, cr3, cr4;
    uint64_t efer, xcr0;
    uint64_t dr[4], dr6, dr7;
    struct table_reg gdtr, idtr;
    uint64_t pdpte[4];
    uint64_t msr_star, msr_lstar, msr_cstar, msr_fmask, msr_kernel_gs_base;
    uint64_t msr_sysenter_cs, msr_sysenter_esp, msr_sysenter_eip;
    uint64_t msr_pat, msr_misc_enable, msr_tsc_aux, msr_debugctl, msr_spec_ctrl;
    uint64_t msr_syscfg, msr_hwcr, msr_nb_cfg, msr_int_pending; /* AMD's */
    uint64_t msr_mtrr_def_type, msr_mtrr_fixed[11], msr_mtrr_var[16];
    uint64_t msr_mcg_status, msr_mc[4 * 10];
    int64_t tsc_offset;
    uint32_t pkru;
    uint32_t mxcsr;
    struct fpu fpu;
    union vec zmm[32];
    uint64_t kmask[8];

    /* --- engine --- */
    uint32_t events;           /* EV_*, atomic */
    uint32_t pending_dr6;      /* data and I/O breakpoints hit by the running instruction */
    bool watch_hit;            /* a debugger's watchpoint was hit ... */
    gla_t watch_at;            /* ... here */
    struct fault_detail about; /* of the fault that is being raised */
    struct fault_record
        faults[CPU_FAULTS]; /* the last ones: number n is in faults[n % CPU_FAULTS] */
    uint64_t faults_seen;
    struct fault chain[3]; /* the exceptions that led to a triple fault */
    uint64_t chain_rip[3];
    uint8_t nested; /* faults of deliveries since the first one, one behind the other */
    uint8_t sipi_vector;
    struct cpu_monitor monitor;
    uint64_t icount_end; /* instructions retired when budget reaches 0 */
    int64_t held_back;   /* taken from both while one instruction runs by itself */
    struct fault fault;
    bool ext;        /* delivering something from outside the program: EXT in error codes */
    bool delivering; /* an event is being delivered: a fault now may become #DF */
    uint8_t delivering_vector;
    bool in_new_task;  /* a task switch is past the point where it can be undone, but not done */
    bool no_step_trap; /* the instruction delivered an event: no single-step trap behind it */
    uint64_t rep_rip, rep_icount; /* where and when a REP was left with iterations to go */
    jmp_buf unwind;               /* cpu_fault() comes back here */
    struct tlb tlb[TLB_MODES];
    struct walk_params walk;
    struct shadow *spaces;
    bool no_shadow; /* whatever flushes anything forgets everything */
    /* Cross-page links and jump caches hold for the generation they were made in: [1] that of the
     * space in force, for code of CPL 3, [0] of spaces->system, for other code. */
    uint32_t code_gen[2];
    struct code_cache *code;
    struct block *link_from; /* the block that just ended, to be linked to the next one */
    unsigned link_slot;
    /* an instruction temporarily replaced by a break, and what it was */
    struct insn *broken, *unfused;
    const struct insn *(*broken_fn)(struct cpu *cpu, const struct insn *u);
    const struct insn *(*unfused_fn)(struct cpu *cpu, const struct insn *u);
    bool fp_on; /* the host's FP control registers hold the guest's (fp/fp.h) */

    /* --- the translator's (jit/) --- */
    struct cpu *self;      /* for code that knows only GS */
    uint64_t jit_frame;    /* on the thread's stack, while host code runs: what C wants back */
    uint64_t jit_flags;    /* on their way */
    uint64_t pending_c;    /* what pending flags are computed from, too */
    uint64_t jit_from;     /* instructions retired when host code was entered */
    bool jit_inside;       /* ... and not left yet */
    struct insn *jit_back; /* an instruction that stands for the return to host code */
    const struct insn *(*jit_back_fn)(struct cpu *cpu, const struct insn *u);
    struct verify *verify; /* lockstep (jit/verify.h); NULL: off */

    /* --- on a thread of its own (core/world.h) --- */
    struct world *world; /* NULL: CPUs take turns */
    struct world_member member;
    bool code_patched;   /* another thread changed our host code */
    ram_t locked_traced; /* the traced page that a locked operation writes; RAM_NONE: no such */
    uint64_t seen;       /* instructions retired, as of the last slice; atomic */

    struct memmap *mem;
    struct iomap *io;
    struct event_queue *time;
    struct door *door;
    struct log *log;
    struct cpu_hooks hooks;
    struct cpu_trace trace;
    struct cpu_features feat;
    unsigned index; /* 0 = boot CPU */
    char name[12];  /* "cpu.0", for states */
    uint32_t apic_id;
    struct cpu_topology topology;
    uint64_t tsc_hz;
    struct cpu *next; /* the next of those that share mem: see cpu_first() */

    unsigned breakpoints, watchpoints;
    gla_t breakpoint[CPU_MAX_BREAKPOINTS]; /* sorted */
    struct cpu_watch watch[CPU_MAX_WATCHPOINTS];
    bool resume_over; /* it stopped at the breakpoint it is at: go on over it */

    struct latency *latency; /* of interrupts; NULL: nobody wants to know */

    uint8_t milestones; /* bit n: enum cpu_milestone n was reached */

    struct cpu_stats {
        uint64_t blocks_decoded, insns_decoded, block_lookups, jump_cache_misses;
        uint64_t tlb_misses[3];                        /* by walk_access */
        uint64_t walks, tlb_flushes, tlb_page_flushes; /* flushes: all kinds of whole ones */
        uint64_t tlb_global_kept;                      /* ... that left global pages */
        uint64_t spaces_kept, spaces_changed, spaces_new, spaces_recycled; /* enum shadow_entered */
        uint64_t system_renewed,
            page_flushes_kept; /* code of the system; INVLPG that changed none */
        uint64_t smc_writes, blocks_dropped, blocks_swept, blocks_again, cache_flushes;
        uint64_t mmio, port_io, interrupts, exceptions[32], halts;
        uint64_t code_writes; /* stores to pages that hold code */
        uint64_t translated_blocks, translated_insns, code_flushes;
        uint64_t translated_bytes, cold_bytes; /* of host code: in line, and out of line */
        uint64_t retranslated[3];              /* by enum jit_again */
        uint64_t jit_insns;                    /* executed in translated code */
        uint64_t jit_exits[6];                 /* from it, by enum jit_exit */
        uint64_t ticks[4];                     /* samples of CPU time, by enum jit_tick */
        uint64_t verified_blocks, unverified_blocks, verify_differences; /* runs in lockstep */
        uint64_t sampled_insns, sampled_accesses; /* data accesses among instructions looked at */
    } stats;
};

struct cpu_config {
    struct memmap *mem;
    struct iomap *io;
    struct world *world; /* NULL: CPUs take turns on one thread */
    struct event_queue *time;
    struct door *door;
    struct log *log;
    struct cpu_hooks hooks;
    const char *model; /* "max,+x,-y" */
    unsigned index;
    unsigned jit_threshold;       /* entries of a block before it is translated; 0: never */
    bool jit_no_chain;            /* translated blocks go back to the loop after each */
    bool jit_no_indirect;         /* ... after an indirect branch */
    bool jit_no_events;           /* SYSCALL, SYSRET and IRET by their handlers */
    bool jit_no_find;             /* indirect branches not in their table by the handler */
    bool jit_no_share;            /* each access looks its page up */
    bool jit_no_fill;             /* TLB misses by the handlers of what missed */
    bool jit_no_x87;              /* x87 and MMX by their handlers */
    bool jit_atomic;              /* locked instructions are so, also without a world (tests) */
    bool jit_perfmap;             /* names translated code for perf */
    bool no_shadow;               /* nothing outlives a flush of the TLB */
    bool stats;                   /* counts what costs something to count */
    bool jit_verify;              /* translated blocks run in lockstep with the interpreter */
    struct cpu_topology topology; /* all zeros: one CPU */
    uint64_t tsc_hz;
};

struct cpu *cpu_create(const struct cpu_config *cfg, struct error *err);
void cpu_destroy(struct cpu *cpu);
/* Power-on or INIT values, SDM 3A §9.1.1 "Processor State After Reset". */
void cpu_reset(struct cpu *cpu, bool init);
void cpu_state(struct cpu *cpu, struct state *s);
void cpu_loaded(struct cpu *cpu); /* derives mode and caches after a load or a debugger's write */

/*
 * Runs until icount reaches the end set by cpu_set_end(), HLT with nothing pending, or cpu_kick().
 * Returns with rip exact. Not re-entrant.
 */
void cpu_run(struct cpu *cpu);

/* Instructions retired so far, exact also inside a device callback. */
uint64_t cpu_icount(const struct cpu *cpu);
/* What one of the machine's CPUs gets of that much for each of four: with more there is less. */
size_t cpu_share(const struct cpu *cpu, size_t whole);
/* Bytes of translated code, and of the room for it; 0 without the translator. */
void cpu_code_memory(const struct cpu *cpu, size_t *used, size_t *size);
void cpu_set_end(struct cpu *cpu, uint64_t icount);
/* Makes cpu_run() look at events and return after the current instruction. Its own thread only. */
void cpu_kick(struct cpu *cpu);
/* The same without returning: the loop looks at cpu->events behind the current instruction. */
void cpu_stop_after_current(struct cpu *cpu);

/* Lines from the interrupt controllers (irq_line.set): INTR is a level, the others pulses. */
void cpu_set_intr(void *opaque, unsigned pin, int level);
void cpu_set_nmi(void *opaque, unsigned pin, int level);
void cpu_set_init(void *opaque, unsigned pin, int level);
void cpu_set_sipi(struct cpu *cpu, uint8_t vector);
/* Would the CPU take an interrupt, NMI... now: is it worth leaving HLT? */
bool cpu_has_work(const struct cpu *cpu);
bool cpu_mwait_over(const struct cpu *cpu);

/* Current RIP: exact between instructions, and inside one once cpu->cur is set. */
uint64_t cpu_cur_rip(const struct cpu *cpu);
/* RFLAGS with the lazy flags worked out, and back (all bits, no checks). */
uint64_t cpu_get_rflags(const struct cpu *cpu);
void cpu_set_rflags(struct cpu *cpu, uint64_t v);

/* To be called after CS, SS, CR0, CR4, EFER, EFLAGS.VM/AC or CPL changed. */
void cpu_update_mode(struct cpu *cpu);
/* Modes, memory map or what is watched changed: nothing known of addresses is true any more. */
void cpu_flush_tlb(struct cpu *cpu);
/* CR3 was loaded (global pages stay), or all translations are to be forgotten. */
void cpu_flush_translations(struct cpu *cpu, bool keep_global);
void cpu_flush_page(struct cpu *cpu, gla_t lin);
/* The same, for a page fault there. Whether code that is known stays so. */
bool cpu_forget_page(struct cpu *cpu, gla_t lin);
/* PKRU, with effect from the next access on. */
void cpu_set_pkru(struct cpu *cpu, uint32_t v);

static inline uint32_t cpu_events(const struct cpu *cpu)
{
    return __atomic_load_n(&cpu->events, __ATOMIC_ACQUIRE);
}
static inline void cpu_set_event(struct cpu *cpu, uint32_t events)
{
    __atomic_fetch_or(&cpu->events, events, __ATOMIC_ACQ_REL);
}
static inline void cpu_clear_event(struct cpu *cpu, uint32_t events)
{
    __atomic_fetch_and(&cpu->events, ~events, __ATOMIC_ACQ_REL);
}

/* The CPUs that share a memory, in the order they were made: cpu_first(ram), then ->next. */
static inline struct cpu *cpu_first(const struct ram *ram)
{
    return ram->opaque;
}

/* What is known of the stack's page may hold no more. Not by memset(), which is the C library's in
 * sanitized builds: events.c may use general registers only. */
static inline void cpu_forget_stack(struct cpu *cpu)
{
    for (unsigned i = 0; i < STACK_SPANS; i++)
        cpu->stack_limit[i] = 0;
}
static inline bool cpu_long(const struct cpu *cpu)
{
    return cpu->efer & EFER_LMA;
}
/* Of the code that runs. */
static inline uint32_t cpu_code_gen(const struct cpu *cpu)
{
    return cpu->code_gen[(cpu->mode & MODE_USER) != 0];
}
static inline bool cpu_code64(const struct cpu *cpu)
{
    return (cpu->mode & MODE_CODE_MASK) == MODE_CODE64;
}
static inline bool cpu_prot(const struct cpu *cpu)
{
    return cpu->cr0 & CR0_PE;
}
static inline bool cpu_vm86(const struct cpu *cpu)
{
    return cpu->eflags & FLAG_VM;
}
static inline unsigned cpu_iopl(const struct cpu *cpu)
{
    return (cpu->eflags & FLAG_IOPL) >> FLAG_IOPL_SHIFT;
}
static inline bool cpu_canonical(const struct cpu *cpu, gla_t a)
{
    const unsigned n = cpu->cr4 & CR4_LA57 ? 57 : 48;
    return (gla_t)sign_extend(a, n) == a;
}
/*
 * For what is kept to be used later, and for INVPCID: the width the processor has counts, whichever
 * paging is on now. MSRs, bases of descriptor tables and system segments. (The SDM does not tell;
 * shown on processors by KVM's authors, "KVM: x86: model canonical checks more precisely", whose
 * kvm-unit-tests ask for it.)
 */
static inline bool cpu_canonical_base(const struct cpu *cpu, gla_t a)
{
    return (gla_t)sign_extend(a, cpu->feat.has[FEAT_LA57] ? 57 : 48) == a;
}

/* Between two iterations of a REP: instruction breakpoints wait, and events push RF. */
static inline bool cpu_mid_rep(const struct cpu *cpu)
{
    return cpu->rip == cpu->rep_rip && cpu->icount_end - (uint64_t)cpu->budget == cpu->rep_icount;
}

/* SDM 4 IA32_MISC_ENABLE: MONITOR and MWAIT can be switched off. AMD's have no such bit. */
#define MISC_ENABLE_MONITOR BIT64(18)
static inline bool cpu_monitor_on(const struct cpu *cpu)
{
    return cpu->feat.amd || (cpu->msr_misc_enable & MISC_ENABLE_MONITOR);
}

/* The linear address of the next instruction. */
static inline gla_t cpu_code_address(const struct cpu *cpu)
{
    return cpu_code64(cpu) ? cpu->rip : (uint32_t)(cpu->seg[SEG_CS].base + cpu->rip);
}

#endif
