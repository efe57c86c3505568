/*
 * System instructions: control and debug registers, flags with privilege, fast system calls, MSRs,
 * time, identification. SDM 2A, 2B; SDM 3A §2.8. A_CPL0 in the table has checked CPL for most.
 */
#include "cpu/debug.h"
#include "cpu/run.h"
#include "cpu/segment.h"
#include "cpu/stack.h"
#include "cpu/sys.h"

const struct insn *op_ud(struct cpu *cpu, const struct insn *u)
{
    cpu->cur = u;
    cpu_ud(cpu, u->op == OP_UD ? (enum fault_reason)u->imm : REASON_UD_OPCODE);
}

const struct insn *op_too_long(struct cpu *cpu, const struct insn *u)
{
    cpu->cur = u;
    cpu_gp0(cpu, REASON_LENGTH);
}

const struct insn *op_cpl_fault(struct cpu *cpu, const struct insn *u)
{
    cpu->cur = u;
    cpu_gp0(cpu, REASON_CPL);
}

/* --- flags --- */

static void check_vm86_iopl(struct cpu *cpu)
{
    if (cpu_vm86(cpu) && cpu_iopl(cpu) != 3)
        cpu_gp0(cpu, REASON_VM86_IOPL);
}

/* CLI and STI: CPL <= IOPL (SDM 2A "CLI"). */
static void check_iopl(struct cpu *cpu)
{
    if (cpu_prot(cpu) && cpu->cpl > cpu_iopl(cpu))
        cpu_gp0(cpu, cpu_vm86(cpu) ? REASON_VM86_IOPL : REASON_IOPL);
}

OP(op_pushf)
{
    check_vm86_iopl(cpu);
    const uint64_t v = cpu_get_rflags(cpu) & ~(uint64_t)(FLAG_VM | FLAG_RF);
    push_n(cpu, v, u->osize);
}

OP_END(op_popf)
{
    check_vm86_iopl(cpu);
    const uint64_t v = stack_peek(cpu, 0, u->osize);
    stack_set(cpu, stack_pointer(cpu) + u->osize);
    uint32_t mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT;
    if (u->osize >= 4)
        mask |= FLAG_AC | FLAG_ID;
    if (!cpu_prot(cpu) || cpu->cpl <= cpu_iopl(cpu))
        mask |= FLAG_IF;
    if (cpu->cpl == 0)
        mask |= FLAG_IOPL;
    cpu_set_rflags(cpu, (cpu_get_rflags(cpu) & ~(uint64_t)(mask | FLAG_RF)) | (v & mask));
}

OP(op_cli)
{
    check_iopl(cpu);
    cpu->eflags &= ~FLAG_IF;
}

OP_END(op_sti)
{
    check_iopl(cpu);
    if (!(cpu->eflags & FLAG_IF)) {
        cpu->eflags |= FLAG_IF;
        cpu->shadow = true;
    }
}

OP(op_clac)
{
    if (cpu->cpl)
        cpu_ud(cpu, REASON_CPL);
    cpu->eflags &= ~FLAG_AC;
    cpu_forget_stack(cpu);
    cpu->tlb_cur = &cpu->tlb[TLB_KERNEL]; /* all that depends on AC at CPL 0 */
}
OP(op_stac)
{
    if (cpu->cpl)
        cpu_ud(cpu, REASON_CPL);
    cpu->eflags |= FLAG_AC;
    cpu_forget_stack(cpu);
    cpu->tlb_cur = &cpu->tlb[cpu->cr4 & CR4_SMAP ? TLB_KERNEL_AC : TLB_KERNEL];
}

OP_END(op_hlt)
{
    cpu->halted = true;
    cpu->mwait = MWAIT_NOT;
    cpu->stats.halts++;
    cpu_set_event(cpu, EV_STOP);
}

/* A hint that this is a spin loop: with other CPUs about, one of them may get the turn. */
OP(op_pause)
{
    if (cpu->hooks.pause)
        cpu->hooks.pause(cpu->hooks.opaque); /* without the lock */
}

static void check_monitor(struct cpu *cpu)
{
    if (!cpu_monitor_on(cpu))
        cpu_ud(cpu, REASON_UD_FEATURE);
    if (cpu->cpl)
        cpu_ud(cpu, REASON_CPL);
}

/*
 * MONITOR keeps a copy of the line; MWAIT waits until memory is no longer as the copy, or for what
 * ends HLT (SDM 2B "MONITOR", "MWAIT"). A store of what was there already is not seen. A line in
 * I/O memory is not watched: MWAIT falls through, which it may for reasons of its own.
 */
OP(op_monitor)
{
    check_monitor(cpu);
    if (cpu->r[REG_RCX] & size_mask(cpu_code64(cpu) ? 8 : 4))
        cpu_gp0(cpu, REASON_MSR_VALUE);
    const gla_t lin = seg_linear(cpu, u->seg, cpu->r[REG_RAX] & size_mask(u->asize), 1, ACC_R);
    load8(cpu, lin);
    const ram_t at = linear_ram(cpu, lin);
    cpu->monitor.at = RAM_NONE;
    if (at == RAM_NONE)
        return;
    cpu->monitor.at = at & ~(ram_t)(MONITOR_BYTES - 1);
    memcpy(cpu->monitor.line, ram_host(cpu->mem->ram, cpu->monitor.at), MONITOR_BYTES);
}
OP_END(op_mwait)
{
    check_monitor(cpu);
    if (cpu->r[REG_RCX] & size_mask(cpu_code64(cpu) ? 8 : 4) & ~UINT64_C(1))
        cpu_gp0(cpu, REASON_MSR_VALUE);
    cpu->halted = true;
    cpu->mwait = cpu->r[REG_RCX] & 1 ? MWAIT_INTR : MWAIT_LINE;
    cpu->stats.halts++;
    cpu_set_event(cpu, EV_STOP);
}

/* --- control and debug registers --- */

OP(op_mov_from_cr)
{
    uint64_t v;
    switch (u->reg) {
    case 0:
        v = cpu->cr0;
        break;
    case 2:
        v = cpu->cr2;
        break;
    case 3:
        v = cpu->cr3;
        break;
    case 4:
        v = cpu->cr4;
        break;
    case 8:
        world_enter(cpu->world);
        v = cpu->hooks.cr8 ? cpu->hooks.cr8(cpu->hooks.opaque) : 0;
        world_leave(cpu->world);
        break;
    default:
        cpu_ud(cpu, REASON_UD_OPERAND);
    }
    reg_write(cpu, u->rm, v, cpu_code64(cpu) ? 8 : 4);
}

OP_END(op_mov_to_cr)
{
    const uint64_t v = cpu_code64(cpu) ? cpu->r[u->rm] : (uint32_t)cpu->r[u->rm];
    drain_stores(cpu); /* serializing, and systems count on it when they change tables */
    switch (u->reg) {
    case 0:
        cr0_write(cpu, v);
        break;
    case 2:
        cpu->cr2 = v;
        break;
    case 3:
        cr3_write(cpu, v);
        break;
    case 4:
        cr4_write(cpu, v);
        break;
    case 8:
        if (v & ~UINT64_C(15))
            cpu_gp0(cpu, REASON_CR_RESERVED);
        world_enter(cpu->world);
        if (cpu->hooks.set_cr8)
            cpu->hooks.set_cr8(cpu->hooks.opaque, (uint8_t)v);
        world_leave(cpu->world);
        break;
    default:
        cpu_ud(cpu, REASON_UD_OPERAND);
    }
}

/* DR4 and DR5 are DR6 and DR7 unless CR4.DE (SDM 3B §17.2.2). */
static unsigned debug_register(struct cpu *cpu, unsigned n)
{
    if (n > 7 || ((n == 4 || n == 5) && (cpu->cr4 & CR4_DE)))
        cpu_ud(cpu, REASON_UD_OPERAND);
    if (cpu->dr7 & BIT(13))
        cpu_fault_debug(cpu, BIT(13), REASON_DB_GD);
    return n == 4 || n == 5 ? n + 2 : n;
}

OP(op_mov_from_dr)
{
    const unsigned n = debug_register(cpu, u->reg);
    const uint64_t v = n < 4 ? cpu->dr[n] : n == 6 ? cpu->dr6 : cpu->dr7;
    reg_write(cpu, u->rm, v, cpu_code64(cpu) ? 8 : 4);
}

OP_END(op_mov_to_dr)
{
    const unsigned n = debug_register(cpu, u->reg);
    const uint64_t v = cpu_code64(cpu) ? cpu->r[u->rm] : (uint32_t)cpu->r[u->rm];
    if (n >= 6 && (v >> 32))
        cpu_gp0(cpu, REASON_DR_RESERVED);
    drain_stores(cpu);
    if (n < 4)
        cpu->dr[n] = v;
    else if (n == 6)
        cpu->dr6 = (v & 0xe00f) | UINT32_C(0xffff0ff0);
    else
        cpu->dr7 = (v & UINT32_C(0xffff23ff)) | 0x400;
    debug_changed(cpu);
}

OP(op_smsw)
{
    if ((cpu->cr4 & CR4_UMIP) && cpu->cpl > 0)
        cpu_gp0(cpu, REASON_UMIP);
    if (u->mem)
        store16(cpu, ea_linear(cpu, u, 2, ACC_W), (uint16_t)cpu->cr0);
    else
        reg_write(cpu, u->rm, cpu->cr0, u->osize);
}

/* LMSW sets PE but cannot clear it (SDM 2A "LMSW"). */
OP_END(op_lmsw)
{
    const uint64_t v = u->mem ? load16(cpu, ea_linear(cpu, u, 2, ACC_R)) : cpu->r[u->rm];
    cr0_write(cpu, (cpu->cr0 & ~UINT64_C(0xe)) | (v & 0xf));
}

OP_END(op_clts)
{
    cpu->cr0 &= ~CR0_TS;
    cpu_update_mode(cpu);
}

OP(op_wbinvd)
{
    drain_stores(cpu); /* no cache is modelled: memory is always coherent */
}

/* --- TLB --- */

OP_END(op_invlpg)
{
    /* segment limits are not checked, and a non-canonical address is no fault (SDM 2A "INVLPG") */
    const uint64_t off = ea_offset(cpu, u);
    const gla_t lin = cpu_code64(cpu)
                          ? off + (u->seg == SEG_FS || u->seg == SEG_GS ? cpu->seg[u->seg].base : 0)
                          : (uint32_t)(off + cpu->seg[u->seg].base);
    drain_stores(cpu);
    cpu_flush_page(cpu, lin);
}

OP_END(op_invpcid)
{
    uint64_t d[2];
    if (cpu->cpl)
        cpu_gp0(cpu, REASON_CPL);
    const uint64_t type = cpu_code64(cpu) ? cpu->r[u->reg] : (uint32_t)cpu->r[u->reg];
    load_bytes(cpu, ea_linear(cpu, u, 16, ACC_R), d, 16);
    if (type > 3 || (d[0] >> 12))
        cpu_gp0(cpu, REASON_INVPCID);
    if ((type == 0 || type == 1) && !(cpu->cr4 & CR4_PCIDE) && (d[0] & 0xfff))
        cpu_gp0(cpu, REASON_INVPCID);
    if (type == 0 && !cpu_canonical_base(cpu, d[1]))
        cpu_gp0(cpu, REASON_INVPCID);
    /* of other PCIDs than the current one nothing is kept that is not looked at before it is used
     */
    drain_stores(cpu);
    const bool current = (d[0] & 0xfff) == (cpu->cr4 & CR4_PCIDE ? cpu->cr3 & 0xfff : 0);
    if (type == 0 && current)
        cpu_flush_page(cpu, d[1]);
    else if (type >= 2 || (type == 1 && current))
        cpu_flush_translations(cpu, type != 2);
}

/* --- fast system calls: SDM 2B "SYSCALL", "SYSRET", "SYSENTER", "SYSEXIT" --- */

static void set_flat(struct cpu *cpu, uint16_t cs, uint16_t ss, unsigned cpl, bool code64)
{
    const uint32_t dpl = cpl << ATTR_DPL_SHIFT;
    cpu->cpl = (uint8_t)cpl;
    cpu->seg[SEG_CS] = segment_flat(cs, ATTR_CODE | dpl | (code64 ? ATTR_L : ATTR_DB));
    cpu->seg[SEG_SS] = segment_flat(ss, dpl | ATTR_DB);
    cpu_update_mode(cpu);
}

/*
 * SYSCALL and SYSRET are stepped by the TF they leave behind, not by the one they found: a kernel
 * masks it on the way in, and on the way out the trap comes before the program's next instruction.
 * (KVM relies on it: "fix singlestepping over syscall"; the SDM is silent.)
 */
static void step_by_new_flags(struct cpu *cpu)
{
    cpu->no_step_trap = true;
    if (cpu->eflags & FLAG_TF) {
        cpu->pending_dr6 |= BIT(14);
        cpu_set_event(cpu, EV_DEBUG);
    }
}

/* SYSCALL and SYSRET outside IA-32e mode, which AMD's have (APM 3 "SYSCALL", "SYSRET"): EIP is in
 * STAR, and no flag is saved. */
static void syscall_legacy(struct cpu *cpu, const struct insn *u)
{
    const uint16_t cs = (cpu->msr_star >> 32) & 0xfffc;
    cpu->r[REG_RCX] = next_rip(cpu, u);
    cpu_set_rflags(cpu, cpu_get_rflags(cpu) & ~(uint64_t)(FLAG_VM | FLAG_IF | FLAG_RF));
    set_flat(cpu, cs, (uint16_t)(cs + 8), 0, false);
    cpu->rip = (uint32_t)cpu->msr_star;
}

OP_FAR(op_syscall)
{
    if (!(cpu->efer & EFER_SCE))
        cpu_ud(cpu, REASON_UD_FEATURE);
    if (!cpu_long(cpu)) {
        syscall_legacy(cpu, u);
        step_by_new_flags(cpu);
        return;
    }
    const bool code64 = cpu_code64(cpu);
    cpu->r[REG_RCX] = next_rip(cpu, u);
    cpu->r[REG_R11] = cpu_get_rflags(cpu) & ~(uint64_t)FLAG_RF;
    const uint16_t cs = (cpu->msr_star >> 32) & 0xfffc;
    cpu_set_rflags(cpu, (cpu_get_rflags(cpu) & ~(cpu->msr_fmask | FLAG_RF)) | FLAG_1);
    set_flat(cpu, cs, (uint16_t)(cs + 8), 0, true);
    cpu->rip = code64 ? cpu->msr_lstar : cpu->msr_cstar;
    step_by_new_flags(cpu);
}

/* On AMD's an address that is not canonical faults where it is gone to, at level 3. */
OP_FAR(op_sysret)
{
    if (!(cpu->efer & EFER_SCE))
        cpu_ud(cpu, REASON_UD_FEATURE);
    if (!cpu_prot(cpu)) /* AMD's: Intel's know it in 64-bit mode only */
        cpu_gp0(cpu, REASON_UD_MODE);
    if (cpu->cpl)
        cpu_gp0(cpu, REASON_CPL);
    const bool code64 = cpu_code64(cpu), to64 = code64 && u->osize == 8;
    if (to64 && !cpu->feat.amd && !cpu_canonical(cpu, cpu->r[REG_RCX]))
        cpu_gp0(cpu, REASON_NONCANONICAL);
    const uint16_t base = (uint16_t)(cpu->msr_star >> 48);
    const uint64_t rip = to64 ? cpu->r[REG_RCX] : (uint32_t)cpu->r[REG_RCX];
    if (code64)
        cpu_set_rflags(cpu, (cpu->r[REG_R11] & SYSRET_FLAGS) | FLAG_1);
    else
        cpu->eflags |= FLAG_IF;
    set_flat(cpu, (uint16_t)((base + (to64 ? 16 : 0)) | 3), (uint16_t)((base + 8) | 3), 3, to64);
    cpu->rip = rip;
    step_by_new_flags(cpu);
}

/* AMD's do without these two in IA-32e mode (APM 3 "SYSENTER"). */
static void check_sysenter(struct cpu *cpu)
{
    if (cpu->feat.amd && cpu_long(cpu))
        cpu_ud(cpu, REASON_UD_MODE);
    if (!cpu_prot(cpu)) /* not #UD: SDM 2B "SYSENTER" */
        cpu_gp0(cpu, REASON_UD_MODE);
}

OP_FAR(op_sysenter)
{
    check_sysenter(cpu);
    const uint16_t cs = (uint16_t)cpu->msr_sysenter_cs & 0xfffc;
    if (!cs)
        cpu_gp0(cpu, REASON_SEL_NULL);
    const bool lm = cpu_long(cpu);
    cpu->eflags &= ~(FLAG_VM | FLAG_IF | FLAG_RF);
    set_flat(cpu, cs, (uint16_t)(cs + 8), 0, lm);
    cpu->r[REG_RSP] = lm ? cpu->msr_sysenter_esp : (uint32_t)cpu->msr_sysenter_esp;
    cpu->rip = lm ? cpu->msr_sysenter_eip : (uint32_t)cpu->msr_sysenter_eip;
}

OP_FAR(op_sysexit)
{
    check_sysenter(cpu);
    const uint16_t cs = (uint16_t)cpu->msr_sysenter_cs & 0xfffc;
    if (!cs)
        cpu_gp0(cpu, REASON_SEL_NULL);
    if (cpu->cpl)
        cpu_gp0(cpu, REASON_CPL);
    const bool to64 = u->osize == 8;
    uint64_t rip = cpu->r[REG_RDX], rsp = cpu->r[REG_RCX];
    if (to64 && (!cpu_canonical(cpu, rip) || !cpu_canonical(cpu, rsp)))
        cpu_gp0(cpu, REASON_NONCANONICAL);
    if (!to64) {
        rip = (uint32_t)rip;
        rsp = (uint32_t)rsp;
    }
    const uint16_t base = (uint16_t)(cs + (to64 ? 32 : 16));
    set_flat(cpu, base | 3, (uint16_t)((base + 8) | 3), 3, to64);
    cpu->r[REG_RSP] = rsp;
    cpu->rip = rip;
}

OP(op_swapgs)
{
    const uint64_t base = cpu->seg[SEG_GS].base;
    cpu->seg[SEG_GS].base = cpu->msr_kernel_gs_base;
    cpu->msr_kernel_gs_base = base;
}

/* --- MSRs, time, identification --- */

OP_END(op_wrmsr)
{
    drain_stores(cpu);
    const uint64_t v = cpu->r[REG_RDX] << 32 | (uint32_t)cpu->r[REG_RAX];
    if (!msr_write(cpu, (uint32_t)cpu->r[REG_RCX], v))
        cpu_gp0(cpu, REASON_MSR_VALUE);
}

OP(op_rdmsr)
{
    uint64_t v;
    if (!msr_read(cpu, (uint32_t)cpu->r[REG_RCX], &v))
        cpu_gp0(cpu, REASON_MSR_UNKNOWN);
    cpu->r[REG_RAX] = (uint32_t)v;
    cpu->r[REG_RDX] = v >> 32;
}

static void check_tsd(struct cpu *cpu)
{
    if ((cpu->cr4 & CR4_TSD) && cpu->cpl > 0)
        cpu_gp0(cpu, REASON_CPL);
}

OP(op_rdtsc)
{
    check_tsd(cpu);
    const uint64_t v = tsc_read(cpu);
    cpu->r[REG_RAX] = (uint32_t)v;
    cpu->r[REG_RDX] = v >> 32;
}

OP(op_rdtscp)
{
    check_tsd(cpu);
    const uint64_t v = tsc_read(cpu);
    cpu->r[REG_RAX] = (uint32_t)v;
    cpu->r[REG_RDX] = v >> 32;
    cpu->r[REG_RCX] = (uint32_t)cpu->msr_tsc_aux;
}

/* No performance counters exist: every index is invalid (SDM 2B "RDPMC"). */
OP(op_rdpmc)
{
    cpu_gp0(cpu, REASON_MSR_UNKNOWN);
}

OP(op_cpuid)
{
    drain_stores(cpu);
    cpuid_execute(cpu);
}

OP(op_rdpid)
{
    reg_write(cpu, u->rm, (uint32_t)cpu->msr_tsc_aux, u->osize);
}

/* RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE: which segment is bit 0 of ModRM.reg. SDM 2B "RDFSBASE" */
static struct segment *based_segment(struct cpu *cpu, const struct insn *u)
{
    if (!(cpu->cr4 & CR4_FSGSBASE))
        cpu_ud(cpu, REASON_UD_FEATURE);
    return &cpu->seg[SEG_FS + ((u->modrm >> 3) & 1)];
}
OP(op_rdsegbase)
{
    reg_write(cpu, u->rm, based_segment(cpu, u)->base, u->osize);
}
OP(op_wrsegbase)
{
    struct segment *g = based_segment(cpu, u);
    const uint64_t v = cpu->r[u->rm] & size_mask(u->osize);
    if (!cpu_canonical(cpu, v))
        cpu_gp0(cpu, REASON_NONCANONICAL);
    g->base = v;
}

/* SDM 2B "RDPKRU", 2C "WRPKRU": the upper halves of RCX and RDX do not count. */
OP(op_rdpkru)
{
    if (!(cpu->cr4 & CR4_PKE))
        cpu_ud(cpu, REASON_UD_FEATURE);
    if ((uint32_t)cpu->r[REG_RCX])
        cpu_gp0(cpu, REASON_PKRU);
    cpu->r[REG_RAX] = cpu->pkru;
    cpu->r[REG_RDX] = 0;
}
OP(op_wrpkru)
{
    if (!(cpu->cr4 & CR4_PKE))
        cpu_ud(cpu, REASON_UD_FEATURE);
    if ((uint32_t)cpu->r[REG_RCX] || (uint32_t)cpu->r[REG_RDX])
        cpu_gp0(cpu, REASON_PKRU);
    cpu_set_pkru(cpu, (uint32_t)cpu->r[REG_RAX]);
}

/* Code that was changed is found out by itself; only stores may be seen late, by other threads. */
OP_END(op_serialize)
{
    drain_stores(cpu);
}

static void random_register(struct cpu *cpu, const struct insn *u)
{
    uint64_t v;
    world_enter(cpu->world);
    door_entropy(cpu->door, &v, sizeof v);
    world_leave(cpu->world);
    reg_write(cpu, u->rm, v, u->osize);
    flags_set_arith(cpu, FLAG_CF);
}

OP(op_rdrand)
{
    random_register(cpu, u);
}
OP(op_rdseed)
{
    random_register(cpu, u);
}
