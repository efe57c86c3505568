/*
 * Templates: what kernels use on hot paths, and odd forms of integer instructions: AH and its like,
 * bit strings in memory, double shifts, CMPXCHG8B and 16B.
 */
#include "core/vclock.h"
#include "cpu/jit/translate.h"
#include "mmu/tlb.h"

/* --- choosing --- */

/* STI holds interrupts off behind the next instruction: that matters if it waits for one. */
static bool waits_behind(const struct tr *t, const struct insn *u)
{
    const ram_t at = t->b->start + u->off + u->len;
    if (t->b->page2 != RAM_NONE || (at & ~PAGE_MASK) < 2 ||
        (at & ~PAGE_MASK) == PAGE_SIZE - 1) /* on another page */
        return true;
    const uint8_t *next = ram_host(t->j->cpu->mem->ram, at);
    return next[0] == 0xf4 || (next[0] == 0x0f && next[1] == 0x01); /* HLT; MWAIT's group */
}

static enum template bit_string(const struct insn *u, bool mem_ok)
{
    const bool ok = u->mem && mem_ok && u->asize == 8 && u->osize >= 4 && u->row->opnd[1] == O_Gv;
    return ok && (u->op == OP_BT || guest_host[u->reg] != H_NONE) ? T_BT_STRING : T_HANDLER;
}

enum template system_template(const struct tr *t, const struct insn *u, bool mem_ok)
{
    const bool cpl0 = t->b->mode & MODE_CPL0;
    switch (u->op) {
    case OP_PREFETCH:
    case OP_PREFETCHW:
    case OP_PREFETCHNTA:
    case OP_PREFETCHT0:
    case OP_PREFETCHT1:
    case OP_PREFETCHT2:
    case OP_LFENCE: /* loads are in order already */
        return T_NOP;
    case OP_SERIALIZE:
        return t->j->cpu->world ? T_HANDLER : T_NOP;
    case OP_CPUID: /* which serializes as well */
        return t->j->cpu->world ? T_HANDLER : T_CPUID;
    case OP_PAUSE: /* nobody waits for the rest of the turn */
        return t->j->cpu->hooks.pause ? T_HANDLER : T_NOP;
    case OP_MFENCE:
    case OP_SFENCE:
        return T_FENCE;
    case OP_CLD:
    case OP_STD:
        return T_STATE;
    case OP_CLI:
        return cpl0 ? T_STATE : T_HANDLER;
    case OP_CLAC:
    case OP_STAC:
    case OP_SWAPGS:
        return cpl0 ? T_STATE : T_HANDLER;
    case OP_MOV_FROM_CR: /* not CR8, which is the APIC's */
        return cpl0 && t->word == 8 && (u->reg == 0 || u->reg == 2 || u->reg == 3 || u->reg == 4)
                   ? T_STATE
                   : T_HANDLER;
    case OP_RDPKRU:
        return T_RDPKRU;
    case OP_PUSH:
        return u->mem && mem_ok && u->osize == 8 ? T_PUSH_MEM : T_HANDLER;
    case OP_STI:
        return cpl0 && !waits_behind(t, u) ? T_STI : T_HANDLER;
    case OP_SYSCALL:
        return !t->j->no_events && t->word == 8 ? T_EVENT : T_HANDLER;
    case OP_SYSRET:
    case OP_IRET:
        return !t->j->no_events && cpl0 && t->word == 8 && u->osize == 8 ? T_EVENT : T_HANDLER;
    case OP_PUSHF:
        return u->osize == t->word ? T_PUSHF : T_HANDLER;
    case OP_RDTSC:
    case OP_RDTSCP:
        return t->j->cpu->time->line && t->j->cpu->tsc_hz == (uint64_t)NS_PER_SEC ? T_RDTSC
                                                                                  : T_HANDLER;
    case OP_RDFSBASE:
    case OP_RDGSBASE:
        return T_READ_BASE;
    case OP_MOV_SREG:
        return !u->mem || mem_ok ? T_READ_SEG : T_HANDLER;
    case OP_WRFSBASE:
    case OP_WRGSBASE:
        return T_WRITE_BASE;
    case OP_POPF:
        return cpl0 && u->osize == 8 ? T_POPF : T_HANDLER;
    case OP_BT:
    case OP_BTS:
    case OP_BTR:
    case OP_BTC:
        return bit_string(u, mem_ok);
    case OP_SHLD:
    case OP_SHRD: {
        const bool cl = u->row->opnd[2] == O_CL;
        const bool none = !cl && (u->imm & (u->osize == 8 ? 63 : 31)) == 0;
        return u->mem || u->osize < 4 || none ? T_HANDLER : T_DOUBLE_SHIFT;
    }
    case OP_CMPXCHG8B:
    case OP_CMPXCHG16B:
        return mem_ok ? T_CMPXCHG_WIDE : T_HANDLER;
    default:
        return T_HANDLER;
    }
}

/* --- state beside the registers --- */

void t_fence(struct tr *t)
{
    static const uint8_t mfence[] = {0x0f, 0xae, 0xf0}, sfence[] = {0x0f, 0xae, 0xf8};
    emit_bytes(t->e, t->u->op == OP_MFENCE ? mfence : sfence, 3);
}

static struct host_rm base_of(unsigned seg)
{
    return h_state(offsetof(struct cpu, seg) + sizeof(struct segment) * seg +
                   offsetof(struct segment, base));
}

static void swap_gs(struct emit *e)
{
    const struct host_rm base = base_of(SEG_GS);
    emit_load(e, 8, H_R10, base);
    emit_load(e, 8, H_R11, CPU_SLOT(msr_kernel_gs_base));
    emit_store(e, 8, CPU_SLOT(msr_kernel_gs_base), H_R10);
    emit_store(e, 8, base, H_R11);
}

/* Which TLB counts depends on AC if SMAP is on (op_sys.c); the stack's page may not do with it. */
static void set_ac(struct emit *e, bool on)
{
    emit_lea(e, 8, H_R10,
             h_mem(H_RSP, (int32_t)(offsetof(struct cpu, tlb) - JIT_RSP_AT +
                                    sizeof(struct tlb) * TLB_KERNEL)));
    if (on) {
        static_assert(TLB_KERNEL_AC == TLB_KERNEL + 1, "they lie side by side");
        emit_test_imm(e, 4, CPU_SLOT(cr4), (int32_t)CR4_SMAP);
        uint8_t *not_there = emit_jcc_forward(e, CC_E);
        emit_alu_imm(e, 8, X_ADD, h_reg(H_R10), (int32_t)sizeof(struct tlb));
        emit_here(e, not_there);
        emit_alu_imm(e, 4, X_OR, CPU_SLOT(eflags), (int32_t)FLAG_AC);
    } else {
        emit_alu_imm(e, 4, X_AND, CPU_SLOT(eflags), ~(int32_t)FLAG_AC);
    }
    emit_store(e, 8, CPU_SLOT(tlb_cur), H_R10);
    for (unsigned i = 0; i < STACK_SPANS; i++)
        emit_store_imm(e, 8, CPU_SLOT(stack_limit[i]), 0);
}

static void move_from_cr(struct tr *t)
{
    static const int32_t slot[] = {[0] = offsetof(struct cpu, cr0),
                                   [2] = offsetof(struct cpu, cr2),
                                   [3] = offsetof(struct cpu, cr3),
                                   [4] = offsetof(struct cpu, cr4)};
    clobber(t, t->u->rm);
    const unsigned d = home(t->u->rm, H_R10);
    emit_load(t->e, 8, d, h_state(slot[t->u->reg]));
    put(t, t->u->rm, d);
}

/* Nothing waits for these flags to change, and DF is looked at when it is used. */
void t_state(struct tr *t)
{
    struct emit *e = t->e;
    t->host_flags = 0;
    switch (t->u->op) {
    case OP_STD:
        emit_alu_imm(e, 4, X_OR, CPU_SLOT(eflags), (int32_t)FLAG_DF);
        break;
    case OP_CLD:
        emit_alu_imm(e, 4, X_AND, CPU_SLOT(eflags), ~(int32_t)FLAG_DF);
        break;
    case OP_CLI:
        emit_alu_imm(e, 4, X_AND, CPU_SLOT(eflags), ~(int32_t)FLAG_IF);
        break;
    case OP_CLAC:
    case OP_STAC:
        set_ac(e, t->u->op == OP_STAC);
        break;
    case OP_SWAPGS:
        swap_gs(e);
        break;
    default:
        move_from_cr(t);
        break;
    }
}

void t_cpuid(struct tr *t)
{
    clobber(t, REG_RAX);
    clobber(t, REG_RBX);
    clobber(t, REG_RCX);
    clobber(t, REG_RDX);
    t->host_flags = 0;
    emit_call(t->e, (uint8_t *)(uintptr_t)t->j->stub[STUB_CPUID]);
}

/* SDM 2B "RDPKRU": ECX must be 0, and the feature on. */
void t_rdpkru(struct tr *t)
{
    struct emit *e = t->e;
    clobber(t, REG_RAX);
    clobber(t, REG_RDX);
    t->host_flags = 0;
    emit_test_imm(e, 4, CPU_SLOT(cr4), (int32_t)CR4_PKE);
    leave_line(t, emit_jcc_forward(e, CC_E));
    emit_test(e, 4, h_reg(H_RCX), H_RCX);
    leave_line(t, emit_jcc_forward(e, CC_NE));
    emit_load(e, 4, H_RAX, CPU_SLOT(pkru));
    emit_mov_imm(e, H_RDX, 0);
}

/*
 * Guest time as vclock_ns() has it, at the count in front of this instruction: the TSC has a tick a
 * nanosecond (system_template()).
 */
void t_rdtsc(struct tr *t)
{
    struct emit *e = t->e;
    const struct event_queue *time = t->j->cpu->time;
    clobber(t, REG_RAX);
    clobber(t, REG_RDX);
    if (t->u->op == OP_RDTSCP)
        clobber(t, REG_RCX);
    t->host_flags = 0;
    if (!(t->b->mode & MODE_CPL0)) {
        emit_test_imm(e, 4, CPU_SLOT(cr4), (int32_t)CR4_TSD);
        leave_line(t, emit_jcc_forward(e, CC_NE));
    }
    emit_load(e, 8, H_RDX, CPU_SLOT(icount_end));
    emit_alu(e, 8, X_SUB, H_RDX, h_reg(H_R13));
    emit_mov_imm(e, H_R10, (uintptr_t)time->others);
    emit_alu(e, 8, X_ADD, H_RDX, h_mem(H_R10, 0));
    emit_alu_imm(e, 8, X_SUB, h_reg(H_RDX), t->b->n - t->u->index);
    emit_mov_imm(e, H_R10, (uintptr_t)time->line);
    emit_alu(e, 8, X_SUB, H_RDX, h_mem(H_R10, (int32_t)offsetof(struct vclock, base_icount)));
    /* MULX: R11 is the upper half, RAX the lower one */
    emit_vex(e, P_F2, 2, true, 0, 0xf6, H_R11, H_RAX,
             h_mem(H_R10, (int32_t)offsetof(struct vclock, rate)), -1);
    emit_rm_imm(e, 8, 0x0fac, H_R11, h_reg(H_RAX), 32, 1); /* SHRD */
    emit_alu(e, 8, X_ADD, H_RAX, h_mem(H_R10, (int32_t)offsetof(struct vclock, base_ns)));
    emit_alu(e, 8, X_ADD, H_RAX, CPU_SLOT(tsc_offset));
    emit_mov(e, 8, H_RDX, H_RAX);
    emit_rm_imm(e, 8, 0xc1, X_SHR, h_reg(H_RDX), 32, 1);
    emit_mov(e, 4, H_RAX, H_RAX);
    if (t->u->op == OP_RDTSCP)
        emit_load(e, 4, H_RCX, CPU_SLOT(msr_tsc_aux));
}

static unsigned based_segment(struct tr *t)
{
    t->host_flags = 0;
    emit_test_imm(t->e, 4, CPU_SLOT(cr4), (int32_t)CR4_FSGSBASE);
    leave_line(t, emit_jcc_forward(t->e, CC_E));
    return SEG_FS + ((t->u->modrm >> 3) & 1);
}

void t_read_base(struct tr *t)
{
    const struct insn *u = t->u;
    clobber(t, u->rm);
    const unsigned seg = based_segment(t), d = home(u->rm, H_R10);
    emit_load(t->e, u->osize, d, base_of(seg));
    put(t, u->rm, d);
}

void t_read_seg(struct tr *t)
{
    const struct insn *u = t->u;
    struct emit *e = t->e;
    const struct host_rm sel = h_state(offsetof(struct cpu, seg) + sizeof(struct segment) * u->reg +
                                       offsetof(struct segment, sel));
    if (u->mem) { /* two bytes, whatever the operand size */
        const struct host_rm m = memory_operand(t, 2, true);
        emit_load(e, 2, H_R11, sel);
        emit_store(e, 2, m, H_R11);
        return;
    }
    clobber(t, u->rm);
    const unsigned d = u->osize == 2 ? begin_change(t, u->rm, H_R10) : home(u->rm, H_R10);
    if (u->osize == 2)
        emit_load(e, 2, d, sel);
    else
        emit_extend(e, 4, 0x0fb7, d, sel, 2); /* MOVZX */
    put(t, u->rm, d);
}

/* An address whose upper bits are not all alike may not be canonical. */
void t_write_base(struct tr *t)
{
    const struct insn *u = t->u;
    struct emit *e = t->e;
    const unsigned seg = based_segment(t), v = get(t, u->rm, H_R10);
    emit_mov(e, u->osize, H_R11, v);
    emit_mov(e, 8, H_R14, H_R11);
    emit_rm_imm(e, 8, 0xc1, X_SAR, h_reg(H_R14), 47, 1);
    emit_alu_imm(e, 8, X_ADD, h_reg(H_R14), 1);
    emit_alu_imm(e, 8, X_CMP, h_reg(H_R14), 1);
    leave_line(t, emit_jcc_forward(e, CC_A));
    emit_store(e, 8, base_of(seg), H_R11);
}

/* The value waits in jit_target while the stack is looked up. */
void t_push_mem(struct tr *t)
{
    struct emit *e = t->e;
    clobber(t, REG_RSP);
    emit_load(e, 8, H_R11, memory_operand(t, 8, false));
    emit_store(e, 8, CPU_SLOT(jit_target), H_R11);
    emit_lea(e, 8, H_R10, h_mem(H_R15, -8));
    const struct host_rm m = stack_check(t, H_R10, true, false);
    emit_load(e, 8, H_R11, CPU_SLOT(jit_target));
    emit_store(e, 8, m, H_R11);
    emit_mov(e, 8, H_R15, H_R10);
}

/*
 * With nothing pending, an interrupt can come behind the next block at the earliest, so the shadow
 * need not be noted; not even that runs when the budget is used up. On a thread of its own a CPU
 * may be interrupted whenever the run loop is between two blocks: so the next one has to fit into
 * the budget, whichever it is, and where there is no link to it leave_direct() notes the shadow.
 */
void t_sti(struct tr *t)
{
    struct emit *e = t->e;
    t->host_flags = 0;
    emit_alu_imm(e, 4, X_CMP, CPU_SLOT(events), 0);
    leave_for_good(t, emit_jcc_forward(e, CC_NE));
    emit_alu_imm(e, 8, X_CMP, h_reg(H_R13), t->j->cpu->world ? BLOCK_MAX_INSNS : 1);
    leave_for_good(t, emit_jcc_forward(e, CC_L));
    emit_alu_imm(e, 4, X_OR, CPU_SLOT(eflags), FLAG_IF);
}

/* Bits of RFLAGS that are not in cpu->eflags come from the host's own. */
void t_pushf(struct tr *t)
{
    struct emit *e = t->e;
    need_flags(t, FLAGS_ARITH);
    clobber(t, REG_RSP);
    emit_u8(e, 0x9c); /* PUSHFQ */
    emit_pop(e, H_R11);
    emit_alu_imm(e, 4, X_AND, h_reg(H_R11), (int32_t)FLAGS_ARITH);
    emit_alu(e, 4, X_OR, H_R11, CPU_SLOT(eflags));
    emit_alu_imm(e, 4, X_AND, h_reg(H_R11), ~(int32_t)(FLAG_VM | FLAG_RF));
    emit_alu_imm(e, 4, X_OR, h_reg(H_R11), (int32_t)FLAG_1);
    emit_store(e, 8, CPU_SLOT(jit_target), H_R11);
    emit_lea(e, t->word, H_R10, h_mem(H_R15, -(int32_t)t->word));
    const struct host_rm m = stack_check(t, H_R10, true, false);
    emit_load(e, 8, H_R11, CPU_SLOT(jit_target));
    emit_store(e, t->word, m, H_R11);
    emit_mov(e, 8, H_R15, H_R10);
}

/* If nothing changes but IF, DF and arithmetic flags, and no event waits that IF held off. */
void t_popf(struct tr *t)
{
    const int32_t easy = (int32_t)(FLAGS_ARITH | FLAG_IF | FLAG_DF);
    const int32_t settable = (int32_t)(FLAG_TF | FLAG_IOPL | FLAG_NT | FLAG_AC | FLAG_ID);
    struct emit *e = t->e;
    clobber(t, REG_RSP);
    const struct host_rm m = stack_check(t, H_R15, false, true);
    emit_load(e, 8, H_R10, m);
    emit_alu_imm(e, 4, X_CMP, CPU_SLOT(events), 0);
    leave_for_good(t, emit_jcc_forward(e, CC_NE));
    emit_load(e, 4, H_R11, CPU_SLOT(eflags));
    emit_mov(e, 4, H_R14, H_R11);
    emit_alu(e, 4, X_XOR, H_R14, h_reg(H_R10));
    emit_test_imm(e, 4, h_reg(H_R14), settable);
    leave_for_good(t, emit_jcc_forward(e, CC_NE));
    emit_lea(e, 8, H_R15, h_mem(H_R15, 8));
    emit_alu_imm(e, 4, X_AND, h_reg(H_R14), easy & ~(int32_t)FLAGS_ARITH);
    emit_alu(e, 4, X_XOR, H_R11, h_reg(H_R14));
    emit_store(e, 4, CPU_SLOT(eflags), H_R11);
    /* as SETO AL, LAHF would have them (pending.h) */
    emit_rm(e, 4, 0x0fb6, H_R11, h_reg(H_R10)); /* MOVZX */
    emit_rm_imm(e, 4, 0xc1, X_SHL, h_reg(H_R11), 8, 1);
    emit_rm_imm(e, 4, 0xc1, X_SHR, h_reg(H_R10), 11, 1);
    emit_alu_imm(e, 4, X_AND, h_reg(H_R10), 1);
    emit_alu(e, 4, X_OR, H_R11, h_reg(H_R10));
    emit_store(e, 8, CPU_SLOT(pending_a), H_R11);
    store_pending(t, pending_kind(PENDING_ALL, 8));
    flags_unknown(t);
}

/* --- bytes named AH, CH, DH, BH --- */

static bool high(unsigned operand)
{
    return operand & 1;
}

unsigned get_byte(struct tr *t, unsigned operand, unsigned scratch)
{
    if (!high(operand))
        return get(t, operand >> 3, scratch);
    emit_rorx(t->e, scratch, guest_host[operand >> 3], 8);
    return scratch;
}

/* The low byte of register from becomes operand; changes no flags. */
static void put_byte(struct tr *t, unsigned operand, unsigned from)
{
    const unsigned g = operand >> 3;
    if (!high(operand)) {
        emit_load(t->e, 1, guest_host[g], h_reg(from));
        return;
    }
    emit_rorx(t->e, guest_host[g], guest_host[g], 8);
    emit_load(t->e, 1, guest_host[g], h_reg(from));
    emit_rorx(t->e, guest_host[g], guest_host[g], 56);
}

static enum pending_op pending_of(uint16_t op)
{
    return op == OP_ADD   ? PENDING_ADD
           : op == OP_SUB ? PENDING_SUB
           : op == OP_CMP ? PENDING_CMP
                          : PENDING_LOGIC;
}

/*
 * MOV, ADD, OR, AND, SUB, XOR, CMP or TEST of byte registers, with an immediate or memory too, of
 * which one is AH or the like: the operation is done on copies in R10 and R11.
 */
void t_high_byte(struct tr *t)
{
    static const uint8_t index[] = {[OP_ADD - OP_ADD] = X_ADD, [OP_OR - OP_ADD] = X_OR,
                                    [OP_AND - OP_ADD] = X_AND, [OP_SUB - OP_ADD] = X_SUB,
                                    [OP_XOR - OP_ADD] = X_XOR, [OP_CMP - OP_ADD] = X_CMP,
                                    [OP_TEST - OP_ADD] = X_AND};
    const struct insn *u = t->u;
    struct emit *e = t->e;
    const bool imm = is_imm(u->row->opnd[1]), move = u->op == OP_MOV;
    const bool changes = u->op != OP_CMP && u->op != OP_TEST;
    if (changes)
        clobber(t, u->a >> 3);
    if (imm)
        emit_mov_imm(e, H_R11, (uint8_t)u->imm);
    else if (u->mem)
        emit_load(e, 1, H_R11, memory_operand(t, 1, false));
    else
        emit_mov(e, 8, H_R11, get_byte(t, u->b, H_R11));
    if (move) {
        put_byte(t, u->a, H_R11);
        return;
    }
    emit_mov(e, 8, H_R10, get_byte(t, u->a, H_R10));
    emit_alu(e, 1, index[u->op - OP_ADD], H_R10, h_reg(H_R11));
    if (u->op == OP_CMP) /* R10 is the difference: flags are told from the operands */
        emit_mov(e, 8, H_R10, get_byte(t, u->a, H_R10));
    if (changes)
        put_byte(t, u->a, H_R10);
    flags_written_now(t, FLAGS_ARITH, pending_kind(pending_of(u->op), 1), H_R10, H_R11, 0);
}

/* --- others --- */

/* OF says whether the sign changed, for counts it is not defined for, too (op_shift.c). */
static void double_shift_flags(struct tr *t, unsigned old, unsigned d)
{
    struct emit *e = t->e;
    emit_rm(e, 1, 0x0f90 | CC_B, 0, CPU_SLOT(pending_b));
    emit_alu(e, t->u->osize, X_XOR, old, h_reg(d));
    emit_rm_imm(e, t->u->osize, 0xc1, X_SHR, h_reg(old), t->u->osize * 8 - 1, 1);
    emit_alu(e, 4, X_ADD, old, h_reg(old));
    emit_alu_to(e, 1, X_OR, CPU_SLOT(pending_b), old);
    emit_store(e, 8, CPU_SLOT(pending_a), d);
    store_pending(t, pending_kind(PENDING_RESULT, t->u->osize));
}

void t_double_shift(struct tr *t)
{
    const struct insn *u = t->u;
    struct emit *e = t->e;
    const bool left = u->op == OP_SHLD, cl = u->row->opnd[2] == O_CL;
    uint8_t *none = NULL;
    if (cl && wanted(t)) /* a count of 0 leaves flags alone */
        flush_flags(t);
    clobber(t, u->rm);
    t->host_flags = 0;
    const unsigned from = get(t, u->reg, H_R11), d = get(t, u->rm, H_R10);
    if (wanted(t)) {
        emit_mov(e, 8, H_R14, d);
        if (cl) {
            emit_test_imm(e, 1, h_reg(H_RCX), u->osize == 8 ? 63 : 31);
            none = emit_jcc_forward(e, CC_E);
        }
    }
    if (cl)
        emit_rm(e, u->osize, left ? 0x0fa5 : 0x0fad, from, h_reg(d));
    else
        emit_rm_imm(e, u->osize, left ? 0x0fa4 : 0x0fac, from, h_reg(d), u->imm & 63, 1);
    if (wanted(t))
        double_shift_flags(t, H_R14, d);
    if (none)
        emit_here(e, none);
    if (u->osize == 4) /* a count of 0 clears the upper half, too */
        emit_mov(e, 4, d, d);
    put(t, u->rm, d);
    if (!cl || wanted(t))
        t->def.valid = false;
}

/* A bit offset in a register reaches beyond the operand (SDM 2A "BT"). */
void t_bt_string(struct tr *t)
{
    const struct insn *u = t->u;
    struct emit *e = t->e;
    const unsigned size = u->osize, shift = size == 8 ? 3 : 2;
    const unsigned n = u->op == OP_BT ? 0 : u->op == OP_BTS ? 1 : u->op == OP_BTR ? 2 : 3;
    if (wanted(t))
        settle_for(t, PART_ALL_BUT_CF | PART_CF_OF | PART_ZF);
    const unsigned lin = effective_address(t, H_R10, size);
    emit_rm(e, 8, size == 8 ? 0x8b : 0x63, H_R11, guest_operand(u->reg)); /* MOV, MOVSXD */
    emit_rm_imm(e, 8, 0xc1, X_SAR, h_reg(H_R11), shift + 3, 1);
    emit_lea(e, 8, H_R10, h_sib(lin, H_R11, shift, 0));
    if (n && is_atomic(t, u)) {
        atomic_bit(t, atomic_operand(t, H_R10));
        keep_carry(t);
        return;
    }
    const struct host_rm m = address_check(t, H_R10, size, n != 0, false);
    emit_load(e, size, H_R11, m);
    emit_rm(e, size, 0x0fa3 + 8 * n, get(t, u->reg, H_R14), h_reg(H_R11));
    if (n)
        emit_store(e, size, m, H_R11);
    keep_carry(t);
}

/* By the host's own; one that is not aligned would lock the host's bus. */
void t_cmpxchg_wide(struct tr *t)
{
    const struct insn *u = t->u;
    struct emit *e = t->e;
    const unsigned size = u->op == OP_CMPXCHG16B ? 16 : 8;
    if (wanted(t))
        settle_for(t, PART_ALL_BUT_CF | PART_CF | PART_CF_OF);
    clobber(t, REG_RAX);
    clobber(t, REG_RDX);
    const unsigned lin = effective_address(t, H_R10, size);
    emit_test_imm(e, 1, h_reg(lin), (int32_t)size - 1);
    leave_line(t, emit_jcc_forward(e, CC_NE));
    const struct host_rm m = address_check(t, lin, size, true, false);
    emit_u8(e, 0xf0);
    emit_rm(e, size / 2, 0x0fc7, 1, m);
    t->host_flags = FLAG_ZF;
    if (!wanted(t))
        return;
    emit_rm(e, 1, 0x0f90 | CC_NE, 0, CPU_SLOT(pending_c));
    emit_store_imm(e, 2, h_state(offsetof(struct cpu, pending) + 2),
                   (int32_t)pending_part(PART_ZF, 1));
    t->def.valid = false;
}
