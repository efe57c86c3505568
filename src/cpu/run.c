/*
 * The run loop: finds blocks, runs them, and between them takes interrupts, traps and stops.
 * Faults come back here by longjmp (fault.c).
 */
#include "cpu/run.h"
#include "cpu/debug.h"
#include "cpu/except.h"
#include "cpu/fp/fp.h"
#include "cpu/jit/jit.h"
#include "cpu/latency.h"

#include <inttypes.h>
#include <stdio.h>

/* --- stopping inside a block --- */

const struct insn *op_stale(struct cpu *cpu, const struct insn *u)
{
    const uint64_t rip = cpu->r[REG_PC] + u->off;
    cpu->budget += cpu->block->n - u->index;
    END_TO_LOOP(cpu, cpu_code64(cpu) ? rip : (uint32_t)rip);
}

const struct insn *op_break(struct cpu *cpu, const struct insn *u)
{
    return op_stale(cpu, u);
}

__attribute__((noinline)) const struct insn *leave_direct(struct cpu *cpu, unsigned slot,
                                                          uint64_t target)
{
    struct block *from = cpu->block;
    if (slot == 1 && cpu_code64(cpu) && unlikely(!cpu_canonical(cpu, target))) {
        cpu->cur = &from->insn[from->n - 1];
        cpu_gp0(cpu, REASON_NONCANONICAL);
    }
    cpu->link_from = from;
    cpu->link_slot = slot;
    if (cpu->world && unlikely(from->insn[from->n - 1].op == OP_STI))
        cpu->shadow = true; /* host code left it to us: t_sti() */
    END_TO_LOOP(cpu, target);
}

const struct insn *op_block_end(struct cpu *cpu, const struct insn *u)
{
    END_DIRECT(cpu, 0, next_rip(cpu, u));
}

/* In a block that was dropped meanwhile every instruction stops, and is to stop. */
static void clear_break(struct cpu *cpu)
{
    if (cpu->broken && !block_of(cpu->broken)->stale) {
        cpu->broken->fn = cpu->broken_fn;
        if (cpu->unfused)
            cpu->unfused->fn = cpu->unfused_fn;
    }
    cpu->broken = cpu->unfused = NULL;
}

void run_set_break(struct cpu *cpu, unsigned index)
{
    clear_break(cpu);
    struct block *b = cpu->block;
    if (b->stale)
        return; /* every instruction stops already */
    struct insn *u = &b->insn[index], *before = u - 1;
    cpu->broken = u;
    cpu->broken_fn = u->fn;
    u->fn = op_break;
    if (before->fused) { /* or it would run u without looking */
        cpu->unfused = before;
        cpu->unfused_fn = before->fn;
        before->fn = bind_plain(before, b->mode);
    }
}

/* --- events --- */

/* " cpu=1" for lines that do not say it otherwise; nothing where there is one CPU. */
static const char *which_cpu(const struct cpu *cpu, char text[static 12])
{
    text[0] = '\0';
    if (cpu_first(cpu->mem->ram)->next)
        snprintf(text, 12, " cpu=%u", cpu->index);
    return text;
}

static void log_event(struct cpu *cpu, unsigned vector, const char *kind)
{
    char which[12];
    if (log_on(cpu->log, LOG_INT))
        log_line(cpu->log, LOG_INT,
                 "%s %02x cpl=%u pc=%04x:%016" PRIx64 " sp=%04x:%016" PRIx64 "%s", kind, vector,
                 cpu->cpl, cpu->seg[SEG_CS].sel, cpu->rip, cpu->seg[SEG_SS].sel, cpu->r[REG_RSP],
                 which_cpu(cpu, which));
}

static void log_fault(struct cpu *cpu, const struct fault *f, const struct fault_record *r)
{
    if (likely(!log_on(cpu->log, LOG_INT)))
        return;
    world_enter(cpu->world);
    log_event(cpu, f->vector, fault_vector_name(f->vector));
    log_line(cpu->log, LOG_INT, "    error=%04x cr2=%016" PRIx64 ": %s; %s", f->error, f->cr2,
             fault_reason_text(f->reason), fault_reason_cite(f->reason));
    if (cpu->trace.fault)
        cpu->trace.fault(cpu->trace.opaque, cpu, r);
    world_leave(cpu->world);
}

/* Delivers what is not a fault of an instruction: rip is the return address. */
static void deliver_external(struct cpu *cpu, unsigned vector)
{
    cpu->halted = cpu->resume_over = false;
    cpu->link_from = NULL; /* a handler is no continuation */
    cpu->fault = (struct fault){.rf = cpu_mid_rep(cpu)};
    cpu->budget--; /* time passes even if the handler is interrupted before its first instruction */
    cpu->stats.interrupts++;
    log_event(cpu, vector, "interrupt");
    cpu->nested = 0;
    cpu->delivering = cpu->ext = true;
    cpu->delivering_vector = 0xff; /* benign: a fault on the way is just that fault */
    except_deliver(cpu, vector, EVENT_HARDWARE, -1);
    if (unlikely(cpu->latency != NULL) && vector != VEC_NMI) {
        world_enter(cpu->world);
        latency_end(cpu->latency, cpu_icount(cpu));
        world_leave(cpu->world);
    }
    cpu->delivering = cpu->ext = false;
}

static void report_triple_fault(struct cpu *cpu)
{
    char which[12];
    log_line(cpu->log, LOG_HOST, "the guest triple-faulted:%s", which_cpu(cpu, which));
    for (unsigned i = 0; i < 3; i++) {
        const struct fault *f = &cpu->chain[i];
        log_line(cpu->log, LOG_HOST,
                 "  %s error %04x at %04x:%016" PRIx64 " (cpl %u, cr2 %016" PRIx64 "): %s; %s",
                 fault_vector_name(f->vector), f->error, cpu->seg[SEG_CS].sel, cpu->chain_rip[i],
                 cpu->cpl, f->cr2, fault_reason_text(f->reason), fault_reason_cite(f->reason));
    }
    if (log_on(cpu->log, LOG_RESET) && cpu->trace.registers)
        cpu->trace.registers(cpu->trace.opaque, cpu);
}

static void shutdown(struct cpu *cpu)
{
    cpu->delivering = cpu->ext = false;
    world_enter(cpu->world); /* also for the reports of two CPUs, which do not mix */
    report_triple_fault(cpu);
    cpu->halted = true;
    cpu->mwait = MWAIT_NOT;
    cpu_kick(cpu);
    if (cpu->hooks.shutdown)
        cpu->hooks.shutdown(cpu->hooks.opaque);
    world_leave(cpu->world);
}

static void note_in_chain(struct cpu *cpu, bool nested)
{
    if (!nested)
        memset(cpu->chain, 0, sizeof cpu->chain);
    unsigned i = 0;
    while (nested && i < 2 && cpu->chain[i].reason != REASON_NONE)
        i++;
    cpu->chain[i] = cpu->fault;
    cpu->chain_rip[i] = cpu->rip;
}

/* Takes n instructions out of the budget, to be given back (n negative) behind the next one. */
static void hold_back(struct cpu *cpu, int64_t n)
{
    cpu->budget -= n;
    cpu->icount_end -= (uint64_t)n;
    cpu->held_back += n;
}

/* More than deliveries that differ can need. */
#define MAX_NESTED 8

/*
 * Exceptions that are no double fault are handled one after the other (SDM 3A table 6-5), for ever
 * if one is raised by its own delivery: #AC, with a misaligned stack for its handler at CPL 3. A
 * processor hangs there, deaf to all but INIT and RESET. Here the instruction is tried anew, which
 * comes to the same but takes time, so that the machine can be stopped.
 */
static void abandon(struct cpu *cpu, const struct fault *f)
{
    log_guest(cpu->log, "%s is raised by its own delivery, without end",
              fault_vector_name(f->vector));
    cpu->delivering = cpu->ext = false;
}

/* Back from cpu_fault(): the instruction did not happen; the exception is delivered instead. */
static void take_fault(struct cpu *cpu)
{
    clear_break(cpu);
    if (cpu->jit_back) { /* the fault came out of a handler that host code called */
        if (!cpu->block->stale)
            cpu->jit_back->fn = cpu->jit_back_fn;
        cpu->jit_back = NULL;
        jit_left(cpu, EXIT_FAULT);
    }
    hold_back(cpu, -cpu->held_back);
    /* time passes even if every delivery faults; one that does was counted when it began, and so
     * was what switched to a task that faults before its first instruction */
    const struct insn *cur = cpu->cur;
    const bool counted = !cur && (cpu->delivering || cpu->in_new_task);
    cpu->in_new_task = false;
    if (cur) {
        cpu->rip = cpu_cur_rip(cpu);
        cpu->budget += cpu->block->n - cur->index;
        jit_rehook(cpu->block);
        cpu->cur = NULL;
        cpu->pending_dr6 = 0; /* it did not happen */
    }
    cpu->link_from = NULL;
    cpu->budget -= !counted;
    struct fault f = cpu->fault;
    note_in_chain(cpu, cpu->delivering);
    if (f.vector == VEC_PF) {
        cpu->cr2 = f.cr2;
        cpu_forget_page(cpu, f.cr2); /* SDM 3A §4.10.4.1 "Operations that Invalidate TLBs ..." */
    }
    if (f.vector == VEC_DB) {
        cpu->dr6 = (cpu->dr6 & ~UINT64_C(0xf)) | f.dr6;
        cpu->dr7 &= ~(uint64_t)BIT(13);
        cpu->msr_debugctl &= ~DEBUGCTL_BTF; /* SDM 3B §17.4.3 "Single-Stepping on Branches" */
    }
    cpu->halted = false;                  /* a trap behind HLT */
    cpu->shadow = cpu->shadow_ss = false; /* an event ends it, as the next instruction does */
    const int combined =
        cpu->delivering ? except_combine(cpu->delivering_vector, f.vector) : f.vector;
    log_fault(cpu, &f, fault_record(cpu, cur, combined));
    cpu->stats.exceptions[f.vector & 31]++;
    if (!cpu->delivering)
        cpu->nested = 0;
    if (cpu->delivering) {
        if (combined < 0) {
            shutdown(cpu);
            return;
        }
        if (++cpu->nested > MAX_NESTED) {
            abandon(cpu, &f);
            return;
        }
        if (combined != f.vector)
            f = (struct fault){.vector = (uint8_t)combined, .has_error = true};
    }
    cpu->delivering = cpu->ext = true;
    cpu->delivering_vector = f.vector;
    except_deliver(cpu, f.vector, EVENT_EXCEPTION, f.has_error ? (int64_t)f.error : -1);
    cpu->delivering = cpu->ext = false;
}

/* A debug trap behind an instruction: rip is already the next one. */
static void deliver_debug_trap(struct cpu *cpu, uint32_t dr6, enum fault_reason reason)
{
    cpu->fault =
        (struct fault){.vector = VEC_DB, .dr6 = dr6, .rf = cpu_mid_rep(cpu), .reason = reason};
    cpu->cur = NULL;
    take_fault(cpu);
}

/* --- one block --- */

bool cpu_breakpoint_at(const struct cpu *cpu, gla_t lin)
{
    unsigned lo = 0, hi = cpu->breakpoints;
    while (lo < hi) {
        const unsigned mid = (lo + hi) / 2;
        if (cpu->breakpoint[mid] == lin)
            return true;
        if (cpu->breakpoint[mid] < lin)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}

static void execute(struct cpu *cpu, struct block *b)
{
    cpu->block = b;
    cpu->r[REG_PC] = cpu->rip;
    cpu->budget -= b->n;
    const struct insn *u = b->insn;
    do
        u = u->fn(cpu, u);
    while (u);
    cpu->cur = NULL;
}

/* The first count instructions of b (count < n), or all of it. */
static void execute_part(struct cpu *cpu, struct block *b, int64_t count)
{
    cpu->block = b;
    jit_unhook(b); /* host code runs whole blocks only */
    if (count < b->n)
        run_set_break(cpu, (unsigned)count);
    execute(cpu, b);
    clear_break(cpu);
    jit_rehook(b);
}

/* TLB look-ups for data that an instruction makes, or one iteration of it; a read-modify-write
 * makes one. */
static unsigned data_accesses(const struct insn *u)
{
    const uint32_t attr = op_info[u->op].attr;
    if (attr & OA_STRING)
        return u->op == OP_MOVS || u->op == OP_CMPS ? 2 : 1;
    return (u->mem && (attr & OA_RMW)) + !!(attr & OA_STACK);
}

/*
 * The instruction before which a time slice happens to end stands for those that are executed:
 * counting each access would cost more than the access.
 */
static void sample_insn(struct cpu *cpu, const struct insn *u)
{
    cpu->stats.sampled_insns++;
    cpu->stats.sampled_accesses += data_accesses(u);
}

static void link_from_last(struct cpu *cpu, struct block *b)
{
    struct block *from = cpu->link_from;
    cpu->link_from = NULL;
    if (!(cpu->mode & MODE_FLAT) || from->mode != b->mode || cpu->breakpoints ||
        log_on(cpu->log, LOG_EXEC))
        return;
    /* A target cut to 16 bits lies elsewhere where the page is mapped elsewhere. */
    const bool cut = cpu->link_slot == 1 && from->insn[from->n - 1].osize == 2;
    const bool same_page =
        !cut && code_link_stays(from, cpu->rip) && ((cpu->r[REG_PC] ^ cpu->rip) & PAGE_MASK) == 0;
    code_link(cpu->code, from, cpu->link_slot, b, cpu->rip, same_page);
}

static void log_block(struct cpu *cpu, const struct block *b)
{
    char which[12];
    log_line(cpu->log, LOG_EXEC, "exec %04x:%016" PRIx64 " cr3=%" PRIx64 " %u insns%s",
             cpu->seg[SEG_CS].sel, cpu->rip, cpu->cr3, b->n, which_cpu(cpu, which));
}

/* --- between blocks --- */

/*
 * Whether the instruction that ran by itself at rip has branched, for IA32_DEBUGCTL.BTF. A
 * conditional one that leads to where it goes on anyway is taken for not taken.
 */
static bool has_branched(const struct cpu *cpu, const struct insn *u, uint64_t rip)
{
    switch (u->op) {
    case OP_JMP:
    case OP_JMPN:
    case OP_CALL:
    case OP_CALLN:
    case OP_RET:
    case OP_JMPF:
    case OP_CALLF:
    case OP_RETF:
    case OP_IRET:
    case OP_SYSENTER:
    case OP_SYSEXIT:
        return true;
    default:
        return !(op_info[u->op].attr & OA_STRING) && cpu->rip != rip + u->len;
    }
}

/* False: it has another CPU's stop to see to first. */
static bool tell_debugger(struct cpu *cpu, int why, gla_t at)
{
    world_enter(cpu->world);
    const bool told = !cpu->hooks.debug_stop || cpu->hooks.debug_stop(cpu->hooks.opaque, why, at);
    world_leave(cpu->world);
    return told;
}

/* One instruction by itself: single step, breakpoints, the interrupt shadow. */
static bool step_one(struct cpu *cpu)
{
    const bool tf = cpu->eflags & FLAG_TF, rf = cpu->eflags & FLAG_RF;
    const bool after_ss = cpu->shadow_ss;
    if ((cpu->dr7 & 0xff) && !rf && !after_ss && !cpu_mid_rep(cpu)) {
        const uint32_t hit = debug_code_match(cpu, cpu_code_address(cpu));
        if (hit)
            cpu_fault_debug(cpu, hit, REASON_DB_CODE);
    }
    if (cpu->breakpoints && !cpu->resume_over && cpu_breakpoint_at(cpu, cpu_code_address(cpu))) {
        tell_debugger(cpu, CPU_STOP_BREAKPOINT, cpu_code_address(cpu));
        return false;
    }
    cpu->resume_over = false;
    cpu->shadow = cpu->shadow_ss = false;
    cpu->eflags &= ~FLAG_RF;
    cpu->no_step_trap = false;

    hold_back(cpu, cpu->budget - 1);
    struct block *b = code_find(cpu);
    const uint64_t rip = cpu->rip;
    cpu->link_from = NULL;
    execute_part(cpu, b, 1);
    cpu->link_from = NULL;
    hold_back(cpu, -cpu->held_back);
    if (tf && !cpu->no_step_trap && !cpu->shadow_ss &&
        (!(cpu->msr_debugctl & DEBUGCTL_BTF) || has_branched(cpu, &b->insn[0], rip))) {
        cpu->pending_dr6 |= BIT(14);
        cpu_set_event(cpu, EV_DEBUG);
    }
    return true;
}

static void take_init(struct cpu *cpu)
{
    cpu_clear_event(cpu, EV_INIT);
    cpu->link_from = NULL;
    cpu_reset(cpu, true);
}

static void take_sipi(struct cpu *cpu)
{
    cpu_clear_event(cpu, EV_SIPI);
    if (!cpu->wait_sipi)
        return;
    cpu->wait_sipi = false;
    const uint8_t vector = __atomic_load_n(&cpu->sipi_vector, __ATOMIC_RELAXED);
    cpu->seg[SEG_CS].sel = (uint16_t)(vector << 8);
    cpu->seg[SEG_CS].base = (uint64_t)vector << 12;
    cpu->rip = 0;
    cpu->link_from = NULL;
    cpu_update_mode(cpu);
}

static void debug_events(struct cpu *cpu)
{
    if (cpu->watch_hit) {
        cpu->watch_hit = !tell_debugger(cpu, CPU_STOP_WATCHPOINT, cpu->watch_at);
        if (cpu->watch_hit) /* another CPU was first: once more when they go on */
            return;
    }
    /* behind MOV SS traps wait for the next instruction (SDM 3A §6.8.3) */
    if (cpu->pending_dr6 && (cpu->shadow_ss || cpu->budget <= 0))
        return;
    cpu_clear_event(cpu, EV_DEBUG);
    if (cpu->pending_dr6) { /* all of one instruction are one #DB */
        const uint32_t dr6 = cpu->pending_dr6;
        cpu->pending_dr6 = 0;
        deliver_debug_trap(cpu, dr6, dr6 & 0xf ? REASON_DB_DATA : REASON_DB_SINGLE_STEP);
    }
}

static bool interruptible(const struct cpu *cpu)
{
    return !cpu->shadow;
}

/* What the loop does after it has attended to events. */
enum next { LEAVE, LOOK_AGAIN, RUN_BLOCK };

/* Priorities of SDM 3A table 6-2: reset and INIT, traps, NMI, interrupts, then the instruction. */
static enum next attend(struct cpu *cpu)
{
    if (cpu_events(cpu) & EV_INIT)
        take_init(cpu);
    if (cpu_events(cpu) & EV_SIPI)
        take_sipi(cpu);
    if (cpu_events(cpu) & EV_DEBUG)
        debug_events(cpu);
    if (cpu_events(cpu) & EV_STOP) {
        cpu_clear_event(cpu, EV_STOP);
        return LEAVE;
    }
    if (cpu->wait_sipi || cpu->budget <= 0) /* a delivery counts as an instruction */
        return LEAVE;
    const bool intr = (cpu_events(cpu) & EV_INTR) && (cpu->eflags & FLAG_IF);
    const bool nmi = (cpu_events(cpu) & EV_NMI) && !cpu->nmi_masked;
    if ((nmi || intr) && interruptible(cpu)) {
        if (nmi) {
            cpu_clear_event(cpu, EV_NMI);
            cpu->nmi_masked = true;
            deliver_external(cpu, VEC_NMI);
        } else {
            world_enter(cpu->world);
            const int vector = cpu->hooks.intr_ack(cpu->hooks.opaque);
            if (vector < 0)
                cpu_clear_event(cpu, EV_INTR); /* whoever asked has thought better of it */
            world_leave(cpu->world);
            if (vector >= 0)
                deliver_external(cpu, (unsigned)vector);
        }
        return LOOK_AGAIN;
    }
    if (cpu->halted)
        return LEAVE;
    if (nmi || intr || (cpu->eflags & (FLAG_TF | FLAG_RF)) || (cpu->dr7 & 0xff) ||
        cpu->breakpoints || cpu->pending_dr6)
        return step_one(cpu) ? LOOK_AGAIN : LEAVE;
    cpu->shadow = cpu->shadow_ss = false; /* nothing waits that the shadow would hold off */
    return RUN_BLOCK;
}

static void run_loop(struct cpu *cpu)
{
    for (;;) {
        if (unlikely(run_needs_attention(cpu))) {
            const enum next next = attend(cpu);
            if (next == LEAVE)
                return;
            if (next == LOOK_AGAIN)
                continue;
        }
        if (cpu->budget <= 0 || cpu->halted || cpu->wait_sipi)
            return;
        struct block *b = code_find(cpu);
        if (unlikely(cpu->budget <= 0)) /* a device was asked for code or entries, and stops us */
            continue;
        if (cpu->link_from)
            link_from_last(cpu, b);
        if (unlikely(log_on(cpu->log, LOG_EXEC)))
            log_block(cpu, b);
        if (likely(cpu->budget >= b->n)) {
            execute(cpu, b);
        } else {
            sample_insn(cpu, &b->insn[cpu->budget]);
            execute_part(cpu, b, cpu->budget);
        }
        if (unlikely(cpu->broken))
            clear_break(cpu);
    }
}

void cpu_run(struct cpu *cpu)
{
    fp_enter(cpu);
    if (cpu->halted && cpu_mwait_over(cpu)) {
        cpu->halted = false;
        cpu->monitor.at = RAM_NONE;
    }
    cpu->link_from = NULL; /* a reset or a debugger may have moved rip since */
    if (setjmp(cpu->unwind)) {
        world_unwind(cpu->world);
        take_fault(cpu);
    }
    run_loop(cpu);
    fp_leave(cpu);
}
