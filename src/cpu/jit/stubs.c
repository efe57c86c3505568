/*
 * Common host code: the way in, the ways out, and calls of C from the middle of a block. Written
 * once by the emitter, so that the assignment of registers is written down in one place (jit.h).
 */
#include "cpu/access.h"
#include "cpu/fp/fp.h"
#include "cpu/jit/events.h"
#include "cpu/jit/jit.h"
#include "cpu/jit/pending.h"
#include "cpu/jit/translate.h"
#include "cpu/op_int.h"
#include "cpu/run.h"
#include "cpu/sys.h"

#include <stddef.h>

static const uint8_t callee_saved[] = {H_RBX, H_RBP, H_R12, H_R13, H_R14, H_R15};
static_assert(JIT_FRAME_BYTES == 8 * (1 + ARRAY_SIZE(callee_saved) + 1), "jit.h");
static const uint8_t caller_saved[] = {H_RAX, H_RCX, H_RDX, H_RSI, H_RDI, H_R8, H_R9, H_R10, H_R11};
static const uint8_t kept[] = {H_RAX, H_RCX, H_RDX, H_RSI, H_RDI, H_R8, H_R9, H_R10};

/* --- what the stubs call --- */

/* State as the interpreter has it in front of u. */
static struct block *sync(struct cpu *cpu, const struct insn *u)
{
    struct block *b = block_of(u);
    cpu->cur = u;
    cpu->block = b;
    cpu->r[REG_PC] = cpu->jit_page | (b->start & ~PAGE_MASK);
    jit_settle(cpu);
    return b;
}

/* Behind an instruction that ran by its handler alone. */
static const struct insn *op_jit_back(struct cpu *cpu, const struct insn *u)
{
    (void)cpu;
    return u;
}

static insn_fn *handler_of(const struct block *b, const struct insn *u)
{
    return u->fused ? bind_plain(u, b->mode) : u == b->insn ? b->first : u->fn;
}

/* Whether u's handler asks neither for the guest's x87 state nor uses the host's unit. */
static bool leaves_x87_alone(const struct insn *u)
{
    if ((op_info[u->op].attr & (OA_X87 | OA_FP)) || (u->row->attr & A_MMX))
        return false;
    switch (u->op) {
    case OP_FWAIT:
    case OP_FXSAVE:
    case OP_FXRSTOR:
    case OP_XSAVE:
    case OP_XRSTOR:
    case OP_XSAVEOPT:
    case OP_XSAVEC:
    case OP_XSAVES:
    case OP_XRSTORS:
        return false;
    default:
        return true;
    }
}

/* Runs u by its handler. True: the block is left, cpu->rip says for where. x87 registers that were
 * in the host's are there again, if an exception of the guest's permits. */
static bool run_insn(struct cpu *cpu, struct insn *u)
{
    struct block *b = sync(cpu, u);
    const bool x87 = cpu->x87_live;
    if (x87 && !leaves_x87_alone(u))
        fp_x87_store(cpu);
    if (b->stale) { /* cannot be: who made it so has left */
        op_stale(cpu, u);
        return true;
    }
    if (unlikely(cpu->code->jit->count != NULL))
        jit_count_call(cpu->code->jit, b, u, false);
    struct insn *next = u + 1;
    insn_fn *const next_fn = next->fn;
    cpu->jit_back = next;
    cpu->jit_back_fn = next_fn;
    next->fn = op_jit_back;
    const struct insn *r = handler_of(b, u)(cpu, u);
    cpu->jit_back = NULL;
    if (cpu->broken == next)
        cpu->broken_fn = next_fn;
    else if (!b->stale)
        next->fn = next_fn;
    if (!r)
        return true;
    jit_see_patches(cpu);
    if (unlikely(b->stale || cpu->broken || cpu->code->jit->full)) {
        op_stale(cpu, next);
        return true;
    }
    if (x87 && !cpu->x87_live)
        fp_x87_load(cpu);
    return false;
}

static uint64_t host_flags(const struct cpu *cpu)
{
    return flags_arith(cpu) | FLAG_1 | FLAG_IF;
}

static void leave(struct cpu *cpu, enum jit_exit why)
{
    if (cpu->x87_live)
        fp_x87_store(cpu);
    jit_left(cpu, why);
}

static bool c_insn(struct cpu *cpu, struct insn *u)
{
    if (!run_insn(cpu, u))
        return false;
    leave(cpu, EXIT_HANDLER);
    return true;
}

static bool c_insn_flags(struct cpu *cpu, struct insn *u)
{
    if (c_insn(cpu, u))
        return true;
    cpu->jit_flags = host_flags(cpu);
    return false;
}

static const struct insn *c_exit_link(struct cpu *cpu, uintptr_t block_and_slot)
{
    struct block *b = (struct block *)(block_and_slot & ~(uintptr_t)1);
    const unsigned slot = block_and_slot & 1;
    sync(cpu, b->insn);
    cpu->cur = NULL;
    leave(cpu, EXIT_LINK);
    const uint64_t target = block_target(cpu, b, slot, cpu->r[REG_PC]);
    END_DIRECT(cpu, slot, target);
}

static const struct insn *c_exit_start(struct cpu *cpu, struct block *b)
{
    sync(cpu, b->insn);
    cpu->cur = NULL;
    leave(cpu, EXIT_LOOP);
    END_TO_LOOP(cpu, cpu->r[REG_PC]);
}

static const struct insn *c_exit_insn(struct cpu *cpu, struct insn *u)
{
    struct block *b = sync(cpu, u);
    leave(cpu, EXIT_END);
    insn_fn *fn = handler_of(b, u);
    if (unlikely(cpu->code->jit->count != NULL))
        jit_count_call(cpu->code->jit, b, u, true);
    return fn(cpu, u);
}

/* Behind an event that events.c did. */
static const struct insn *c_exit_done(struct cpu *cpu)
{
    leave(cpu, EXIT_END);
    return NULL;
}

/* --- their code --- */

/* A stub that pushes something, or calls one that does, first leaves what is before the CPU's
 * registers behind: its caller's call put its way back there. Keeps the flags. */
#define HOT_BELOW_CALL (JIT_HOT_BYTES - 8)

void stub_starts(struct emit *e)
{
    emit_lea(e, 8, H_RSP, h_mem(H_RSP, -HOT_BELOW_CALL));
}

void stub_returns(struct emit *e)
{
    emit_lea(e, 8, H_RSP, h_mem(H_RSP, HOT_BELOW_CALL));
    emit_u8(e, 0xc3);
}

static int32_t vector_slot(unsigned n)
{
    return (int32_t)(offsetof(struct cpu, zmm) + sizeof(union vec) * n);
}

/* Back from what LAHF and SETO AL left. */
static void flags_from_rax(struct emit *e)
{
    emit_alu_imm(e, 1, X_ADD, h_reg(H_RAX), 0x7f);
    emit_u8(e, 0x9e); /* SAHF */
}

/* VMOVAPS of 128 << l bits: loads have opcode 28h, stores 29h. */
static void move_vectors(struct emit *e, uint8_t opcode, unsigned l)
{
    for (unsigned n = 0; n < 16; n++)
        emit_vex(e, P_NONE, 1, false, l, opcode, n, 0, h_cpu(vector_slot(n)), -1);
    emit_store_imm(e, 1, CPU_SLOT_GS(vec_live), opcode == 0x28);
}

/*
 * SSE instructions keep the upper half of what they write, so each waits for the one that wrote it
 * before, unless the host knows that half to be zero, as it does behind a VEX move of 128 bits:
 * which are used if all upper halves are. (Measured on Zen 5: with what else is in them SSE code is
 * up to 6 times slower, with zeros that were loaded 1.7 times.) Flags are kept.
 */
static void load_vectors(struct emit *e)
{
    stub_starts(e);
    emit_push(e, H_RAX);
    emit_bytes(e, "\x9f\x0f\x90\xc0", 4); /* LAHF; SETO AL */
    for (unsigned n = 0; n < 16; n++)     /* VMOVDQA, VPOR */
        emit_vex(e, P_66, 1, false, 0, n ? 0xeb : 0x6f, 0, 0, h_cpu(vector_slot(n) + 16), -1);
    emit_vex(e, P_66, 2, false, 0, 0x17, 0, 0, h_reg(0), -1); /* VPTEST */
    uint8_t *used = emit_jcc_forward(e, CC_NE);
    move_vectors(e, 0x28, 0);
    uint8_t *done = emit_jmp_forward(e);
    emit_here(e, used);
    move_vectors(e, 0x28, 1);
    emit_here(e, done);
    flags_from_rax(e);
    emit_pop(e, H_RAX);
    stub_returns(e);
}

static void spill_general(struct emit *e)
{
    for (unsigned g = 0; g < 16; g++)
        if (guest_host[g] != H_NONE)
            emit_store(e, 8, h_cpu(guest_slot(g)), guest_host[g]);
    emit_store(e, 8, CPU_SLOT_GS(budget), H_R13);
}

static void spill(struct emit *e)
{
    emit_alu_imm(e, 1, X_CMP, CPU_SLOT_GS(vec_live), 0);
    uint8_t *done = emit_jcc_forward(e, CC_E);
    move_vectors(e, 0x29, 1);
    emit_here(e, done);
    spill_general(e);
}

static void reload(struct emit *e)
{
    for (unsigned g = 0; g < 16; g++)
        if (guest_host[g] != H_NONE)
            emit_load(e, 8, guest_host[g], h_cpu(guest_slot(g)));
    emit_load(e, 8, H_R13, CPU_SLOT_GS(budget));
}

/*
 * Host code has RSP at the guest's registers (jit.h); what C needs of a stack it finds on the
 * thread's own. Back: below bytes under where RSP is in blocks.
 */
static void to_thread_stack(struct emit *e)
{
    emit_load(e, 8, H_RSP, CPU_SLOT_GS(jit_frame));
}

static void from_thread_stack(struct emit *e, unsigned below)
{
    emit_load(e, 8, H_RSP, CPU_SLOT_GS(self));
    emit_lea(e, 8, H_RSP, h_mem(H_RSP, (int32_t)JIT_RSP_AT - (int32_t)below));
}

static void frame_down(struct emit *e)
{
    to_thread_stack(e);
    emit_alu_imm(e, 8, X_ADD, h_reg(H_RSP), 8);
    for (unsigned i = ARRAY_SIZE(callee_saved); i-- > 0;)
        emit_pop(e, callee_saved[i]);
}

static void arguments(struct emit *e, const void *fn)
{
    emit_load(e, 8, H_RDI, CPU_SLOT_GS(self));
    emit_mov(e, 8, H_RSI, H_R11);
    emit_mov_imm(e, H_RAX, (uintptr_t)fn);
}

/* below: bytes that the stub, and the call of it, have on the stack of host code. */
static void call_c(struct emit *e, const void *fn, unsigned below)
{
    arguments(e, fn);
    to_thread_stack(e);
    emit_rm(e, 4, 0xff, 2, h_reg(H_RAX)); /* CALL RAX */
    from_thread_stack(e, below);
}

static void write_enter(struct emit *e)
{
    for (unsigned i = 0; i < ARRAY_SIZE(callee_saved); i++)
        emit_push(e, callee_saved[i]);
    emit_push(e, H_RDI); /* aligns the stack, and says where the other one is (gdb_jit.c) */
    emit_store(e, 8, CPU_SLOT_GS(jit_frame), H_RSP);
    emit_lea(e, 8, H_RSP, h_mem(H_RDI, (int32_t)JIT_RSP_AT));
    emit_mov(e, 8, H_R10, H_RSI);
    reload(e);
    emit_rm(e, 4, 0xff, 4, h_reg(H_R10)); /* JMP R10 */
}

/* C that uses general registers only. flags: it returns those the host gets, as after SETO AL and
 * LAHF. */
static void write_light(struct emit *e, const void *fn, bool flags)
{
    stub_starts(e);
    for (unsigned i = 0; i < ARRAY_SIZE(caller_saved); i++)
        emit_push(e, caller_saved[i]);
    call_c(e, fn, JIT_HOT_BYTES + 8 * ARRAY_SIZE(caller_saved));
    if (flags)
        flags_from_rax(e);
    for (unsigned i = ARRAY_SIZE(caller_saved); i-- > 0;)
        emit_pop(e, caller_saved[i]);
    stub_returns(e);
}

/* The same, but ZF is clear if fn() says so. Its arguments behind the CPU: R11, size, write. */
static void ask(struct emit *e, const void *fn, unsigned size, bool write)
{
    for (unsigned i = 0; i < ARRAY_SIZE(kept); i++)
        emit_push(e, kept[i]);
    emit_push(e, H_R11);
    emit_mov_imm(e, H_RDX, size);
    emit_mov_imm(e, H_RCX, write);
    call_c(e, fn, JIT_HOT_BYTES + 8 * (ARRAY_SIZE(kept) + 1));
    emit_test(e, 1, h_reg(H_RAX), H_RAX);
    emit_pop(e, H_R11);
    for (unsigned i = ARRAY_SIZE(kept); i-- > 0;)
        emit_pop(e, kept[i]);
}

static void write_question(struct emit *e, const void *fn)
{
    stub_starts(e);
    ask(e, fn, 0, false);
    stub_returns(e);
}

GENERAL_ONLY static bool fill(struct cpu *cpu, gla_t lin, unsigned size, bool write)
{
    return !cpu->code->jit->no_fill && access_fill(cpu, lin, size, write, false);
}

GENERAL_ONLY static bool fill_once(struct cpu *cpu, gla_t lin, unsigned size, bool write)
{
    return !cpu->code->jit->no_fill && access_fill(cpu, lin, size, write, true);
}

/* A line's addend is in R10, and R10 on the stack: the addend into R14, ZF is clear. */
static void found(struct emit *e)
{
    emit_mov(e, 8, H_R14, H_R10);
    emit_pop(e, H_R10);
    emit_test(e, 8, h_reg(H_RSP), H_RSP);
    stub_returns(e);
}

/* R10 is on the stack; ZF is set. */
static void not_found(struct emit *e)
{
    emit_pop(e, H_R10);
    emit_alu(e, 8, X_CMP, H_RSP, h_reg(H_RSP));
    stub_returns(e);
}

/* [R14 + half] is the tag of a near line: jumps if that is not for the address in R11. */
static uint8_t *check_near(struct emit *e, size_t half, unsigned size)
{
    emit_load(e, 8, H_R10, h_mem(H_R14, (int32_t)half));
    emit_alu(e, 8, X_XOR, H_R10, h_reg(H_R11));
    emit_alu_imm(e, 8, X_CMP, h_reg(H_R10), (int32_t)(PAGE_SIZE - size));
    return emit_jcc_forward(e, CC_A);
}

/* The page of the address in R11 is the stack's, R10 its addend. Uses R14. */
static void note_stack(struct emit *e)
{
    emit_store(e, 8, CPU_SLOT_GS(stack_addend), H_R10);
    emit_mov(e, 8, H_R14, H_R11);
    emit_alu_imm(e, 8, X_AND, h_reg(H_R14), -(int32_t)PAGE_SIZE);
    emit_store(e, 8, CPU_SLOT_GS(stack_page), H_R14);
    for (unsigned i = 0; i < STACK_SPANS; i++)
        emit_store_imm(e, 8, CPU_SLOT_GS(stack_limit[i]), PAGE_SIZE - stack_span[i] + 1);
}

/* What a stub looks for: a line for size bytes at the address in R11, to be written or read; if
 * there is none, fn (NULL: nobody) makes it. */
struct wanted_line {
    unsigned size;
    bool write;
    bool (*fn)(struct cpu *, gla_t, unsigned, bool);
    bool stack; /* a page that may be written is noted as the stack's */
};

static const struct wanted_line stack_uses[STACK_USES] = {
    [STACK_READ] = {.fn = fill_once, .stack = true},
    [STACK_WRITE] = {.write = true, .fn = fill, .stack = true},
    [STACK_CHECK] = {.write = true, .stack = true},
};

/* R10 is on the stack. Goes on where there is no near line. */
static void look_near(struct emit *e, const struct wanted_line *w)
{
    const int32_t addend = (int32_t)offsetof(struct tlb_near, addend);
    emit_near_index(e, H_R11, H_R14);
    uint8_t *none = check_near(e, offsetof(struct tlb_near, wr), w->size);
    emit_load(e, 8, H_R10, h_mem(H_R14, addend));
    note_stack(e);
    found(e);
    emit_here(e, none);
    if (w->write)
        return;
    none = check_near(e, offsetof(struct tlb_near, rd), w->size);
    emit_load(e, 8, H_R10, h_mem(H_R14, addend));
    found(e);
    emit_here(e, none);
}

/* The line at R14, whose addend is R10, becomes the near line for the address in R11. */
static void copy_near(struct emit *e)
{
    const int32_t line = (int32_t)offsetof(struct tlb, line);
    emit_push(e, H_RAX);
    emit_push(e, H_RCX);
    emit_near_index(e, H_R11, H_RCX);
    emit_store(e, 8, h_mem(H_RCX, (int32_t)offsetof(struct tlb_near, addend)), H_R10);
    emit_load(e, 8, H_RAX, h_mem(H_R14, line + (int32_t)offsetof(struct tlb_line, rd.tag)));
    emit_store(e, 8, h_mem(H_RCX, (int32_t)offsetof(struct tlb_near, rd)), H_RAX);
    emit_alu(e, 8, X_ADD, H_R10, h_reg(H_RAX));
    emit_store(e, 8, h_mem(H_RCX, (int32_t)offsetof(struct tlb_near, host)), H_R10);
    emit_load(e, 8, H_R10, h_mem(H_RCX, (int32_t)offsetof(struct tlb_near, addend)));
    emit_alu(e, 8, X_CMP, H_RAX, h_mem(H_R14, line + (int32_t)offsetof(struct tlb_line, wr.tag)));
    uint8_t *written = emit_jcc_forward(e, CC_E);
    emit_alu_imm(e, 8, X_XOR, h_reg(H_RAX), PAGE_SIZE); /* which has the neighbour's place */
    emit_here(e, written);
    emit_store(e, 8, h_mem(H_RCX, (int32_t)offsetof(struct tlb_near, wr)), H_RAX);
    emit_pop(e, H_RCX);
    emit_pop(e, H_RAX);
}

/*
 * A near line for the address in R11, out of its line; if there is none fn makes that, or says that
 * the addend of the half to read will do this once.
 */
static void write_fill_stub(struct emit *e, const struct wanted_line *w)
{
    const bool note = w->stack && w->write;
    stub_starts(e);
    emit_push(e, H_R10);
    if (w->stack)
        look_near(e, w);
    uint8_t *none = emit_line_look_up(e, H_R11, w->size, w->write, H_R14, H_R10);
    copy_near(e);
    if (note)
        note_stack(e);
    found(e);
    emit_here(e, none);
    if (!w->fn) {
        not_found(e);
        return;
    }
    emit_pop(e, H_R10);
    ask(e, (const void *)(uintptr_t)w->fn, w->size, w->write);
    uint8_t *yes = emit_jcc_forward(e, CC_NE);
    stub_returns(e);
    emit_here(e, yes);
    emit_push(e, H_R10);
    none = emit_line_look_up(e, H_R11, w->size, false, H_R14, H_R10);
    if (note)
        note_stack(e);
    found(e);
    emit_here(e, none); /* cannot be */
    not_found(e);
}

/* A call from the middle of a block: comes back, or the block is left. */
static void write_call(struct emit *e, bool (*fn)(struct cpu *, struct insn *), bool flags)
{
    spill(e);
    call_c(e, (const void *)(uintptr_t)fn, 8);
    emit_test(e, 1, h_reg(H_RAX), H_RAX);
    uint8_t *leave = emit_jcc_forward(e, CC_NE);
    reload(e);
    if (flags) {
        stub_starts(e);
        emit_rm(e, 4, 0xff, 6, CPU_SLOT_GS(jit_flags)); /* PUSH */
        emit_u8(e, 0x9d);                               /* POPFQ */
        stub_returns(e);
    } else {
        emit_u8(e, 0xc3); /* RET */
    }
    emit_here(e, leave);
    frame_down(e);
    emit_alu(e, 4, X_XOR, H_RAX, h_reg(H_RAX));
    emit_u8(e, 0xc3);
}

static void write_cpuid(struct emit *e)
{
    static const uint8_t saved[] = {H_RSI, H_RDI, H_R8, H_R9};
    static const uint8_t asked[] = {REG_RAX, REG_RBX, REG_RCX, REG_RDX};
    stub_starts(e);
    for (unsigned i = 0; i < ARRAY_SIZE(saved); i++)
        emit_push(e, saved[i]);
    for (unsigned i = 0; i < ARRAY_SIZE(asked); i++)
        emit_store(e, 8, h_cpu(guest_slot(asked[i])), guest_host[asked[i]]);
    call_c(e, (const void *)(uintptr_t)cpuid_execute, JIT_HOT_BYTES + 8 * ARRAY_SIZE(saved));
    for (unsigned i = 0; i < ARRAY_SIZE(asked); i++)
        emit_load(e, 8, guest_host[asked[i]], h_cpu(guest_slot(asked[i])));
    for (unsigned i = ARRAY_SIZE(saved); i-- > 0;)
        emit_pop(e, saved[i]);
    stub_returns(e);
}

static void write_event(struct emit *e)
{
    spill_general(e);
    call_c(e, (const void *)(uintptr_t)jit_event, 0);
    emit_mov(e, 8, H_R14, H_RAX);
    reload(e);
    emit_load(e, 8, H_R10, CPU_SLOT_GS(rip));
    emit_load(e, 8, H_R11, CPU_SLOT_GS(cur));
    emit_rm(e, 4, 0xff, 4, h_reg(H_R14)); /* JMP R14 */
}

/* The last of a block: C goes on in our caller's place. start: its argument is in R10. */
static void write_exit(struct emit *e, const void *fn, bool start)
{
    spill(e);
    arguments(e, fn);
    if (start)
        emit_mov(e, 8, H_RSI, H_R10);
    frame_down(e);
    emit_rm(e, 4, 0xff, 4, h_reg(H_RAX));
}

enum stub_frame stub_frame(enum jit_stub s)
{
    if (s >= STUB_STRING && s <= STUB_STRING_LAST)
        return FRAME_ALONE;
    if (s >= STUB_FILL && s <= STUB_FILL_LAST)
        return FRAME_CALLED;
    if (s >= STUB_STACK && s <= STUB_STACK_LAST)
        return stack_uses[(s - STUB_STACK) % STACK_USES].fn ? FRAME_CALLED : FRAME_ALONE;
    switch (s) {
    case STUB_X87:
    case STUB_FLAGS:
    case STUB_SETTLE:
    case STUB_FIND:
    case STUB_RELINK:
    case STUB_CPUID:
    case STUB_INSN:
    case STUB_INSN_FLAGS:
        return FRAME_CALLED;
    case STUB_VECTORS:
        return FRAME_ALONE;
    default:
        return FRAME_OF_ENTRY;
    }
}

bool stubs_write(struct jit *j, struct emit *e)
{
    for (unsigned s = 0; s < STUB_COUNT; s++) {
        j->stub[s] = e->p;
        if (s >= STUB_STRING && s <= STUB_STRING_LAST) {
            write_string_stub(e, s - STUB_STRING);
            continue;
        }
        if (s >= STUB_FILL && s <= STUB_FILL_LAST) {
            const unsigned n = s - STUB_FILL;
            write_fill_stub(e, &(struct wanted_line){.size = 1u << n % FILL_SIZES,
                                                     .write = n >= FILL_SIZES,
                                                     .fn = fill_once});
            continue;
        }
        if (s >= STUB_STACK && s <= STUB_STACK_LAST) {
            struct wanted_line w = stack_uses[(s - STUB_STACK) % STACK_USES];
            w.size = s - STUB_STACK < STACK_USES ? 8 : 4;
            write_fill_stub(e, &w);
            continue;
        }
        switch ((enum jit_stub)s) {
        case STUB_ENTER:
            write_enter(e);
            break;
        case STUB_X87:
            write_light(e, (const void *)(uintptr_t)fp_x87_load, false);
            break;
        case STUB_INSN:
            write_call(e, c_insn, false);
            break;
        case STUB_INSN_FLAGS:
            write_call(e, c_insn_flags, true);
            break;
        case STUB_FLAGS:
            write_light(e, (const void *)(uintptr_t)jit_flags, true);
            break;
        case STUB_SETTLE:
            write_light(e, (const void *)(uintptr_t)jit_settle, false);
            break;
        case STUB_VECTORS:
            load_vectors(e);
            break;
        case STUB_EXIT_LINK:
            write_exit(e, (const void *)(uintptr_t)c_exit_link, false);
            break;
        case STUB_EXIT_START:
            write_exit(e, (const void *)(uintptr_t)c_exit_start, true);
            break;
        case STUB_EXIT_INSN:
            write_exit(e, (const void *)(uintptr_t)c_exit_insn, false);
            break;
        case STUB_EXIT_DONE:
            write_exit(e, (const void *)(uintptr_t)c_exit_done, false);
            break;
        case STUB_CPUID:
            write_cpuid(e);
            break;
        case STUB_EVENT:
            write_event(e);
            break;
        case STUB_FIND:
            write_question(e, (const void *)(uintptr_t)jit_jump_find);
            break;
        case STUB_RELINK:
            write_question(e, (const void *)(uintptr_t)jit_relink);
            break;
        case STUB_FILL:
        case STUB_FILL_LAST:
        case STUB_STACK:
        case STUB_STACK_LAST:
        case STUB_STRING:
        case STUB_STRING_LAST:
        case STUB_COUNT:
            break;
        }
    }
    return !e->full;
}
