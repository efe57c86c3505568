/* What the parts of the translator share: the registers, and the state of one translation. */
#ifndef VITRINE_CPU_JIT_TRANSLATE_H
#define VITRINE_CPU_JIT_TRANSLATE_H

#include "cpu/jit/jit.h"
#include "cpu/jit/pending.h"

#include <stddef.h>

/* Guest registers that live in host registers (jit.h). */
static const uint8_t guest_host[16] = {
    [REG_RAX] = H_RAX, [REG_RCX] = H_RCX,  [REG_RDX] = H_RDX,  [REG_RBX] = H_RBX,
    [REG_RSP] = H_R15, [REG_RBP] = H_RBP,  [REG_RSI] = H_RSI,  [REG_RDI] = H_RDI,
    [REG_R8] = H_R8,   [REG_R9] = H_R9,    [REG_R10] = H_NONE, [REG_R11] = H_NONE,
    [REG_R12] = H_R12, [REG_R13] = H_NONE, [REG_R14] = H_NONE, [REG_R15] = H_NONE,
};

static inline int32_t guest_slot(unsigned g)
{
    return (int32_t)(offsetof(struct cpu, r) + 8 * g);
}

/* What becomes of an instruction. */
enum template {
    T_HANDLER, /* none: the interpreter's handler */
    T_NOP,
    T_ALU, /* ADD OR ADC SBB AND SUB XOR CMP TEST */
    T_MOV,
    T_EXTEND,
    T_LEA,
    T_INCDEC,
    T_NOTNEG,
    T_SHIFT_IMM,
    T_SHIFT_CL,
    T_IMUL,
    T_MUL,
    T_SETCC,
    T_CMOV,
    T_XCHG,
    T_BSWAP,
    T_WIDEN, /* CBW CWD and their wider forms */
    T_BT,
    T_DIV,
    T_BT_CHANGE, /* BTS BTR BTC */
    T_BMI_SHIFT, /* SHLX SHRX SARX RORX, PDEP, PEXT */
    T_BMI,       /* ANDN BLSI BLSR BLSMSK BZHI BEXTR */
    T_SCAN,      /* BSF BSR */
    T_COUNT,     /* TZCNT LZCNT POPCNT */
    T_MULX,
    T_RMW_UNARY, /* INC DEC NOT NEG */
    T_RMW_SHIFT,
    T_SETCC_MEM,
    T_XCHG_MEM,
    T_CMPXCHG,
    T_XADD,
    T_VEC,
    T_X87,
    T_BT_MEM, /* BT BTS BTR BTC, immediate */
    T_PUSH,
    T_POP,
    T_LEAVE,
    T_HIGH_BYTE, /* AH CH DH BH */
    T_DOUBLE_SHIFT,
    T_BT_STRING,    /* BT BTS BTR BTC, in memory, by a register */
    T_CMPXCHG_WIDE, /* CMPXCHG8B, CMPXCHG16B */
    T_STRING,       /* MOVS STOS LODS */
    T_FENCE,
    T_STATE, /* CLI CLD STD CLAC STAC SWAPGS, MOV from CR */
    T_CPUID,
    T_RDPKRU,
    T_PUSH_MEM,
    T_STI,
    T_PUSHF,
    T_POPF,
    T_RDTSC,      /* and RDTSCP */
    T_READ_BASE,  /* RDFSBASE, RDGSBASE */
    T_READ_SEG,   /* MOV r/m, Sreg */
    T_WRITE_BASE, /* WRFSBASE, WRGSBASE */
    T_REP,
    /* the last of a block */
    T_JMP,
    T_JCC,
    T_LOOP, /* LOOP, JCXZ: those that do not look at ZF */
    T_CALL,
    T_RET,
    T_JMP_IND,
    T_CALL_IND,
    T_EVENT, /* SYSCALL SYSRET IRET */
};

/* The x87 pointers are those of the block's instructions insn - 1 and mem - 1 (0: in memory). */
struct x87_note {
    uint8_t insn, mem;
};

/* Code out of line, written behind the block: u by its handler. */
struct late {
    uint8_t *from;       /* displacement that leads here */
    const uint8_t *back; /* and where it goes on; NULL: the handler ends the block */
    const struct insn *u;
    bool flags;            /* host flags are to be the guest's behind it */
    bool vectors;          /* vector registers are to be loaded behind it */
    bool x87;              /* instead: loads the x87 registers, or leaves the block here */
    bool settle;           /* instead: the host's flags become the guest's */
    struct x87_note note;  /* last-instruction pointers that are not in memory, but have to be */
    const uint8_t *filled; /* of a TLB miss: where it goes on with the addend in R14 */
    uint8_t lin, size;     /* ... address, in a register */
    bool write;
    bool offset;          /* ... R10, it was, but is the difference to the tag of the line R11 is */
    bool host;            /* ... as the host has it, in R10 */
    bool jump;            /* of the table of indirect branches, RIP being lin */
    const uint8_t *again; /* ... where that is looked up, for once it has the line */
    bool stack;           /* ... which is not in the stack's page, but should be */
    const uint8_t *found; /* ... a line */
    struct pending_def def; /* flags that are not in memory, but have to be there */
};
#define MAX_LATE (8 * BLOCK_MAX_INSNS)

/* A guest register's value: a number that stands for something unknown, and a constant. */
struct reg_value {
    uint16_t of;
    int64_t plus;
};

/* Accesses that R14 is the addend for (share.c): at [lo, hi) from what has the number base. */
struct shared {
    bool live;
    bool write, stack; /* the page may be written; it is the stack's */
    uint8_t scale;
    uint8_t last, used; /* which instruction is expected to be the last; the last that did use it */
    uint16_t base;
    struct reg_value index;
    int64_t lo, hi;
};

/* Instructions to be written once more, each access by itself: a jump at from leads there. */
struct copy {
    uint8_t *from;
    uint8_t at, until;
    bool open; /* until is not known yet */
};
#define MAX_COPIES 64

/* What is known in front of an instruction. */
struct between {
    uint8_t *code;
    uint32_t host_flags, stored;
    bool before, vectors, x87;
    struct pending_def def;
    struct x87_note note;
};

struct tr {
    struct jit *j;
    struct emit *e, *cold; /* where code goes, and what is rarely run */
    struct block *b;
    struct native *n;
    unsigned word;          /* bytes of an address, a stack slot, RIP: 8 or 4 */
    const struct insn *u;   /* the instruction at hand */
    uint32_t host_flags;    /* which of the guest's flags the host's are */
    struct pending_def def; /* the guest's flags, not in memory yet; else they are */
    uint32_t stored;        /* what may be pending there, since this block put it; 0: who knows */
    bool before;            /* flags of before the block may still be pending, by its registers */
    bool vectors;           /* the guest's vector registers are in the host's */
    bool x87;               /* ... and its x87 registers */
    struct x87_note note;
    uint8_t *spent; /* displacement of the jump out when the budget is */
    bool share;     /* addresses near each other are looked up once */
    struct shared shared;
    int32_t rsp_lag; /* what is still to be added to R15 (share_move_rsp()) */
    struct reg_value value[REG_COUNT];
    uint16_t values;           /* numbers given */
    uint32_t changed;          /* guest registers, by the instruction at hand */
    unsigned n_copies, copied; /* copied: instructions */
    bool too_much;             /* of copies or lates: not translated */
    unsigned n_late;
    struct late late[MAX_LATE];
    struct copy copy[MAX_COPIES];
    struct between between[BLOCK_MAX_INSNS], end; /* end: in front of what leads on */
    enum template how[BLOCK_MAX_INSNS];
    /* of the flags behind an instruction, before they are overwritten: */
    uint32_t read[BLOCK_MAX_INSNS]; /* which are read */
    bool seen[BLOCK_MAX_INSNS];     /* may all be seen: by a fault, a handler, or what follows */
};

/* Room for one more; if there is none, the block is not translated. */
static inline struct late *new_late(struct tr *t)
{
    t->too_much |= t->n_late == MAX_LATE;
    t->n_late -= t->n_late == MAX_LATE;
    return &t->late[t->n_late++];
}

/* flags.c */
enum template template_of(const struct tr *t, const struct insn *u);
/* Calls common code that leaves vector registers in memory. */
void call_stub(struct tr *t, enum jit_stub s);
void analyse_flags(struct tr *t);
/* Behind instruction i nothing sees the flags of before the block as they were left. */
bool ends_before(const struct tr *t, unsigned i);
/* Guest register g is about to change: flags that depend on it go to memory first. */
void clobber(struct tr *t, unsigned g);
/* Flags of memory are exact, unless nobody sees them. */
void flush_flags(struct tr *t);
void store_def(struct tr *t, const struct pending_def *d);
/* This is pending from here on, with its operands in memory. */
void store_pending(struct tr *t, uint32_t kind);
/* At the end of a block: they are pending, as an operation on registers if they can be. */
void leave_flags(struct tr *t);
/* The host's flags are the guest's, as far as mask goes. */
void need_flags(struct tr *t, uint32_t mask);
/* u wrote flags: the host has those of mask, they can be computed from kind, a, b. */
void flags_written(struct tr *t, uint32_t mask, uint32_t kind, struct value a, struct value b);
/* u wrote the flags of mask only: part of enum pending_part, from guest register g. */
void flags_written_part(struct tr *t, uint32_t mask, enum pending_part part, unsigned g);
/* The same, when a is in host register ha (and b, unless immediate, in hb): to memory at once. */
void flags_written_now(struct tr *t, uint32_t mask, uint32_t kind, unsigned ha, unsigned hb,
                       int64_t imm);
/* What is pending is an addition whose sum and summand still are there. */
bool carry_known(const struct tr *t);
/* Only its carry matters any more, and that to the next instruction: in the host's flags, to stay
 * there until then. Uses R11. */
void carry_to_host(struct tr *t);
/* Those of a handler: in memory. */
void flags_unknown(struct tr *t);
static inline bool flags_seen(const struct tr *t)
{
    return t->seen[t->u->index];
}
static inline uint32_t flags_read(const struct tr *t)
{
    return t->read[t->u->index];
}

/* translate.c: instruction i of the block. */
void translate_one(struct tr *t, unsigned i);
/* templates.c */
void translate_insn(struct tr *t);
/* Guest register g to be changed in place: a host register that holds it. */
unsigned begin_change(struct tr *t, unsigned g, unsigned scratch);
/* The jump at from leads out of line, where the handler does this instruction. */
void leave_line(struct tr *t, uint8_t *from);
/* ... and does not come back: it faults, or the block ends with it. */
void leave_for_good(struct tr *t, uint8_t *from);
void settle_for(struct tr *t, unsigned in);
/* templates_bits.c, templates_rmw.c */
typedef void template_fn(struct tr *t);
template_fn t_bt, t_bt_change, t_bmi_shift, t_bmi, t_scan, t_count, t_mulx;
template_fn t_rmw_unary, t_rmw_shift, t_setcc_mem, t_xchg_mem, t_cmpxchg, t_xadd, t_bt_mem;
enum template bits_template(const struct insn *u, bool mem_ok);
enum template rmw_template(const struct insn *u, bool mem_ok);
/* CF was set by the host and is kept, if it matters. */
void keep_carry(struct tr *t);
/* templates_atomic.c */
bool is_atomic(const struct tr *t, const struct insn *u);
bool atomic_in_line(const struct insn *u); /* there is a template */
/* The operand at lin, looked up for writing; one that is not aligned is the handler's. */
struct host_rm atomic_operand(struct tr *t, unsigned lin);
/* [mem] op= register g, or the immediate */
void atomic_alu(struct tr *t, unsigned x, bool imm, unsigned g);
void atomic_bit(struct tr *t, struct host_rm m);
template_fn atomic_unary, atomic_xchg, atomic_cmpxchg, atomic_xadd;
/* templates_str.c, templates_sys.c */
template_fn t_string, t_rep, t_fence, t_state, t_cpuid, t_sti, t_pushf, t_popf, t_high_byte,
    t_double_shift;
template_fn t_bt_string, t_cmpxchg_wide, t_rdpkru, t_push_mem, t_rdtsc;
template_fn t_read_base, t_write_base, t_read_seg;
enum template string_template(const struct insn *u);
enum template system_template(const struct tr *t, const struct insn *u, bool mem_ok);
/* A byte register by its offset (bind.c): in the low byte of a host register. */
unsigned get_byte(struct tr *t, unsigned operand, unsigned scratch);
/* Common code of REP: n-th of STRING_STUBS. */
void write_string_stub(struct emit *e, unsigned n);
/* stubs.c: what stubs that use the stack begin with, and end. */
void stub_starts(struct emit *e);
void stub_returns(struct emit *e);
/* templates_vec.c */
template_fn t_vec;
enum template vector_template(const struct tr *t, const struct insn *u, bool mem_ok);
void need_vectors(struct tr *t);
/* Bytes of u's operand in memory, if it is one like others; else 0. */
unsigned vector_access(const struct insn *u, bool *write);
uint32_t vector_changes(const struct insn *u); /* which general registers */
/* templates_x87.c */
template_fn t_x87;
enum template x87_template(const struct tr *t, const struct insn *u, bool mem_ok);
/* The guest's x87 registers are in the host's from here on. */
void need_x87(struct tr *t);
void write_x87_load(struct tr *t, const struct late *l);
/* Puts last-instruction pointers into memory; moves only. Uses R10. */
void store_note(struct tr *t, struct x87_note note);
void flush_note(struct tr *t);
/* All arithmetic flags are the host's, also to be found later. Uses R10. */
void flags_from_host(struct tr *t);
/* The handler does it. */
void by_handler(struct tr *t);
/* branches.c */
void translate_end(struct tr *t);
void write_late(struct tr *t);
/* share.c: see there. An operand in memory, or a stack slot at disp from base; false: it has to be
 * looked up as if it were alone. */
bool share_operand(struct tr *t, unsigned size, bool write, struct host_rm *m);
bool share_stack(struct tr *t, unsigned base, int64_t disp, bool write, struct host_rm *m);
/* The jump at from leads out of line, if it is share.c that has to know. */
bool share_leave(struct tr *t, uint8_t *from);
void share_start(struct tr *t);
/* Behind an instruction; late: t->n_late in front of it. */
void share_next(struct tr *t, unsigned late);
void share_end(struct tr *t);
/* Behind a push or pop: RSP changes by that, now or later. */
void share_move_rsp(struct tr *t, int32_t by);
/* Before instruction i: RSP is right, unless it is one more of those that leave it as it is. */
void share_settle_rsp(struct tr *t, unsigned i);
void share_note(struct tr *t, struct between *at);
void share_join(struct tr *t, const struct between *at);
void share_write_copies(struct tr *t);
/* memory.c: see there */
struct host_rm address_check(struct tr *t, unsigned lin, unsigned size, bool write, bool ends);
unsigned effective_address(struct tr *t, unsigned scratch, unsigned size);
struct host_rm operand_check(struct tr *t, unsigned lin, unsigned size, bool write);
struct host_rm memory_operand(struct tr *t, unsigned size, bool write);
/* The same, its base being the linear address. */
struct host_rm linear_operand(struct tr *t, unsigned size, bool write);
/* What host code finds in memory instead of constants. */
void jit_constants(struct cpu *cpu);
/* The near line, in the TLB in force, of lin, in a register. */
void emit_near_index(struct emit *e, unsigned lin, unsigned index);
/* A member of a near line. user: of the TLB of CPL 3, and index counts from there. */
struct host_rm near_at(bool user, unsigned index, size_t member);
/* Looks R10 up: it becomes the offset in its page, index names its near line; jumps on a miss. */
uint8_t *emit_near_look_up(struct tr *t, unsigned index, unsigned size, bool write);
/*
 * The line for lin in the TLB that counts now, less offsetof(struct tlb, line), in index, and its
 * addend; jumps on a miss. Changes the host's flags.
 */
uint8_t *emit_line_look_up(struct emit *e, unsigned lin, unsigned size, bool write, unsigned index,
                           unsigned addend);
/* Whether [lin, lin + size), size up to the largest of stack_span[], is in the stack's page: jumps
 * if it is not. */
uint8_t *emit_stack_look_up(struct emit *e, unsigned lin, unsigned size, unsigned scratch);
/* A stack slot of t->word bytes at disp from base, RSP or RBP. */
struct host_rm stack_operand(struct tr *t, unsigned base, int32_t disp, bool write, bool ends);
/* The same for an address relative to RSP, of at most t->word bytes. Uses R11 and R14. */
struct host_rm stack_check(struct tr *t, unsigned lin, bool write, bool ends);
unsigned stack_pointer(struct tr *t, unsigned reg, unsigned scratch); /* templates.c */
/* Out of line, of a miss: goes back behind the look-up if the line could be filled. */
void write_fill(struct tr *t, const struct late *l);

/* Guest register g in a host register: its own, or loaded into scratch. */
unsigned get(struct tr *t, unsigned g, unsigned scratch);
/* Where a new value of g is made, and its way home. */
static inline unsigned home(unsigned g, unsigned scratch)
{
    return guest_host[g] != H_NONE ? guest_host[g] : scratch;
}
void put(struct tr *t, unsigned g, unsigned from);

/* The guest register of a bound operand (bind.c names byte registers by offset). */
static inline unsigned reg_of(unsigned operand, unsigned size)
{
    return size == 1 ? operand >> 3 : operand;
}

static inline int32_t immediate(const struct insn *u)
{
    return (int32_t)sign_extend(u->imm, u->osize >= 4 ? 32 : u->osize * 8);
}

static inline struct value v_reg(unsigned g)
{
    return (struct value){V_REG, g};
}

static inline struct value v_imm(int64_t v)
{
    return (struct value){V_IMM, v};
}

static inline bool wanted(const struct tr *t)
{
    return flags_seen(t) || flags_read(t);
}

/* Guest register g as an operand, wherever it is. */
static inline struct host_rm guest_operand(unsigned g)
{
    return guest_host[g] != H_NONE ? h_reg(guest_host[g]) : h_state(guest_slot(g));
}

static const struct value v_none = {V_NONE, 0};

static inline bool is_imm(enum operand o)
{
    return o >= O_Ib && o <= O_1;
}

#endif
