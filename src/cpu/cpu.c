/* See cpu.h: creation, reset, what is derived from the architectural state, and the CPU's lines. */
#include "cpu/cpu.h"
#include "cpu/access.h"
#include "cpu/block.h"
#include "cpu/jit/jit.h"
#include "cpu/jit/verify.h"
#include "cpu/exec.h"
#include "cpu/fp/fp.h"
#include "cpu/latency.h"
#include "cpu/run.h"

#include <stdio.h>
#include <stdlib.h>

/* --- flags --- */

uint64_t cpu_get_rflags(const struct cpu *cpu)
{
    return cpu->eflags | flags_arith(cpu) | FLAG_1;
}

void cpu_set_rflags(struct cpu *cpu, uint64_t v)
{
    const uint32_t changed = cpu->eflags ^ (uint32_t)v;
    flags_set_arith(cpu, (uint32_t)v);
    cpu->eflags = (uint32_t)v & ~FLAGS_ARITH;
    if (changed & (FLAG_VM | FLAG_AC))
        cpu_update_mode(cpu);
}

uint64_t cpu_cur_rip(const struct cpu *cpu)
{
    if (!cpu->cur)
        return cpu->rip;
    const uint64_t rip = cpu->r[REG_PC] + cpu->cur->off;
    return cpu_code64(cpu) ? rip : (uint32_t)rip;
}

/* --- derived state --- */

static bool is_flat(const struct segment *g, bool code)
{
    const uint32_t rights = code ? ATTR_CODE | ATTR_RW : ATTR_RW;
    const uint32_t care = ATTR_NULL | ATTR_CODE | ATTR_RW | (code ? 0 : ATTR_EC);
    return g->base == 0 && g->limit == 0xffffffff && (g->attr & care) == rights;
}

static bool all_flat(const struct cpu *cpu)
{
    if (cpu_vm86(cpu))
        return false;
    /* in real mode a code segment has the rights of data */
    const bool cs_ok =
        is_flat(&cpu->seg[SEG_CS], true) || (!cpu_prot(cpu) && is_flat(&cpu->seg[SEG_CS], false));
    return cs_ok && is_flat(&cpu->seg[SEG_DS], false) && is_flat(&cpu->seg[SEG_ES], false) &&
           is_flat(&cpu->seg[SEG_SS], false);
}

/* SDM 1 §14.3 "Detection of AVX Instructions" */
static bool avx_enabled(const struct cpu *cpu)
{
    return (cpu->cr4 & CR4_OSXSAVE) && !(~cpu->xcr0 & (XCR0_SSE | XCR0_AVX));
}

void cpu_update_mode(struct cpu *cpu)
{
    const struct segment *cs = &cpu->seg[SEG_CS];
    uint32_t mode;
    if (cpu_long(cpu) && (cs->attr & ATTR_L)) {
        mode = MODE_CODE64 | MODE_FLAT;
    } else {
        mode = cs->attr & ATTR_DB ? MODE_CODE32 : MODE_CODE16;
        if (cpu->seg[SEG_SS].attr & ATTR_DB)
            mode |= MODE_SS32;
        if (all_flat(cpu))
            mode |= MODE_FLAT;
    }
    if (cpu->cr0 & CR0_PE)
        mode |= MODE_PROT;
    if (cpu_vm86(cpu))
        mode |= MODE_VM86;
    if (cpu->cr0 & (CR0_EM | CR0_TS))
        mode |= MODE_NO_X87 | MODE_NO_SSE;
    if (!(cpu->cr4 & CR4_OSFXSR))
        mode |= MODE_NO_SSE;
    if (!avx_enabled(cpu) || (cpu->cr0 & CR0_TS))
        mode |= MODE_NO_AVX;
    if (cpu->cpl == 0)
        mode |= MODE_CPL0;
    if (cpu->cpl == 3) {
        mode |= MODE_USER;
        if ((cpu->cr0 & CR0_AM) && (cpu->eflags & FLAG_AC))
            mode |= MODE_ALIGN;
        cpu->tlb_cur = &cpu->tlb[TLB_USER];
    } else {
        const bool lifted = (cpu->cr4 & CR4_SMAP) && (cpu->eflags & FLAG_AC);
        cpu->tlb_cur = &cpu->tlb[lifted ? TLB_KERNEL_AC : TLB_KERNEL];
    }
    cpu->mode = mode;
    cpu_forget_stack(cpu);
}

static void update_walk(struct cpu *cpu)
{
    struct walk_params *w = &cpu->walk;
    const bool la57 = cpu->cr4 & CR4_LA57;
    w->mode = !(cpu->cr0 & CR0_PG) ? PAGING_NONE
              : cpu_long(cpu)      ? (la57 ? PAGING_5LEVEL : PAGING_4LEVEL)
              : cpu->cr4 & CR4_PAE ? PAGING_PAE
                                   : PAGING_32BIT;
    w->root = cpu_long(cpu) ? cpu->cr3 & bits(~UINT64_C(0), cpu->feat.phys_bits - 1u, 12) << 12
                            : cpu->cr3 & UINT64_C(0xfffff000);
    memcpy(w->pdpte, cpu->pdpte, sizeof w->pdpte);
    w->phys_bits = cpu->feat.phys_bits;
    w->nxe = cpu->efer & EFER_NXE;
    w->wp = cpu->cr0 & CR0_WP;
    w->pse = cpu->cr4 & CR4_PSE;
    w->smep = cpu->cr4 & CR4_SMEP;
    w->smap = cpu->cr4 & CR4_SMAP;
    w->gib_pages = cpu->feat.has[FEAT_PDPE1GB];
    w->pke = (cpu->cr4 & CR4_PKE) && cpu_long(cpu);
    w->pkru = cpu->pkru;
}

/* The generations are those of the lists that are in force now. */
static void choose_generations(struct cpu *cpu)
{
    const uint32_t gen[2] = {cpu->spaces->system.gen, cpu->spaces->cur->user.gen};
    for (unsigned user = 0; user < 2; user++) {
        if (cpu->code_gen[user] == gen[user])
            continue;
        if (cpu->code && cpu->code->jit)
            jit_new_generation(
                cpu->code->jit, user,
                user && shadow_lives(cpu->spaces, cpu->code_gen[1]) ? cpu->code_gen[1] : 0,
                gen[user]);
        cpu->code_gen[user] = gen[user];
    }
}

void cpu_flush_tlb(struct cpu *cpu)
{
    for (unsigned i = 0; i < TLB_MODES; i++)
        tlb_flush(&cpu->tlb[i]);
    cpu_forget_stack(cpu);
    update_walk(cpu);
    shadow_forget(cpu->spaces, &cpu->walk);
    choose_generations(cpu);
    cpu->stats.tlb_flushes++;
}

/* The host page walks start at now; one that no walk starts at, where they start at several. */
static const void *top_table(struct cpu *cpu)
{
    static const uint8_t none;
    if (cpu->walk.mode == PAGING_PAE)
        return &none;
    const ram_t ram = memmap_ram(cpu->mem, cpu->walk.root & PAGE_MASK & cpu->mem->a20_mask, false);
    return ram == RAM_NONE ? &none : ram_host(cpu->mem->ram, ram);
}

/*
 * Blocks of the system: global pages outlive CR3; others are looked at, if they can be. Without
 * CR4.PGE no page is global, whatever it was when it was fetched from: turning that off has found
 * them all by way of this root.
 */
static bool system_holds(struct cpu *cpu, bool keep_global, bool same_root)
{
    const struct shadow_list *l = &cpu->spaces->system;
    if (keep_global && !l->local && (cpu->cr4 & CR4_PGE))
        return true;
    if (keep_global) /* the local ones are of this root */
        return same_root && shadow_holds(l, NULL);
    return shadow_holds(l, top_table(cpu));
}

void cpu_flush_translations(struct cpu *cpu, bool keep_global)
{
    if (cpu->no_shadow) {
        cpu_flush_tlb(cpu);
        return;
    }
    struct shadow *sh = cpu->spaces;
    const struct shadow_space *before = sh->cur;
    for (unsigned i = 0; i < TLB_MODES; i++) {
        if (keep_global)
            tlb_flush_local(&cpu->tlb[i]);
        else
            tlb_flush(&cpu->tlb[i]);
    }
    cpu_forget_stack(cpu);
    update_walk(cpu);
    const enum shadow_entered how = shadow_enter(sh, &cpu->walk);
    const bool same_root = sh->cur == before && how <= SHADOW_CHANGED;
    if (!system_holds(cpu, keep_global, same_root)) {
        shadow_renew(sh, &sh->system);
        cpu->stats.system_renewed++;
    }
    choose_generations(cpu);
    cpu->stats.tlb_flushes++;
    cpu->stats.tlb_global_kept += keep_global;
    cpu->stats.spaces_kept += how == SHADOW_KEPT;
    cpu->stats.spaces_changed += how == SHADOW_CHANGED;
    cpu->stats.spaces_new += how == SHADOW_NEW;
    cpu->stats.spaces_recycled += how == SHADOW_RECYCLED;
}

bool cpu_forget_page(struct cpu *cpu, gla_t lin)
{
    struct shadow *sh = cpu->spaces;
    struct shadow_list *const lists[] = {&sh->cur->user, &sh->system};
    bool kept = true;
    for (unsigned i = 0; i < TLB_MODES; i++)
        tlb_flush_page(&cpu->tlb[i], lin);
    cpu_forget_stack(cpu);
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
        if (!cpu->no_shadow && shadow_holds_at(lists[i], lin, i ? top_table(cpu) : NULL))
            continue;
        shadow_renew(sh, lists[i]);
        kept = false;
    }
    if (!kept)
        choose_generations(cpu);
    return kept;
}

void cpu_flush_page(struct cpu *cpu, gla_t lin)
{
    cpu->stats.page_flushes_kept += cpu_forget_page(cpu, lin);
    cpu->stats.tlb_page_flushes++;
}

/*
 * TLB lines have the rights of the moment they were filled: those of a key that loses some must go.
 * What it gains, the next miss finds. SDM 3A §4.6.2 "Protection Keys"
 */
void cpu_set_pkru(struct cpu *cpu, uint32_t v)
{
    const uint32_t lost = v & ~cpu->pkru;
    cpu->pkru = cpu->walk.pkru = v;
    for (unsigned i = 0; i < TLB_MODES; i++)
        if (cpu->tlb[i].keyed & lost)
            tlb_flush(&cpu->tlb[i]);
    if (lost)
        cpu_forget_stack(cpu);
}

/*
 * --- what reaches every CPU of a memory: opaque is the first of them ---
 *
 * Where CPUs have threads, the others are waited for first: from then on none of them uses what is
 * taken away here. The memory map has seen to that itself.
 */

static void map_changed(void *opaque)
{
    for (struct cpu *cpu = opaque; cpu; cpu = cpu->next)
        cpu_flush_tlb(cpu);
}

/* A page of host memory is traced from now on: its write lines must go. */
static void flags_set(void *opaque, ram_t start, uint64_t len)
{
    struct cpu *const first = opaque;
    struct ram *const ram = first->mem->ram;
    world_enter(first->world);
    world_stop(first->world);
    for (struct cpu *cpu = first; cpu; cpu = cpu->next) {
        for (unsigned i = 0; i < TLB_MODES; i++)
            tlb_drop_writes(&cpu->tlb[i], ram_host(ram, start), len);
        cpu_forget_stack(cpu);
    }
    ram_lines_taken(ram, start, len);
    world_go(first->world);
    world_leave(first->world);
}

static void traced_write(void *opaque, ram_t start, uint64_t len)
{
    code_written(opaque, start, len);
}

static void join_memory(struct cpu *cpu)
{
    struct ram *ram = cpu->mem->ram;
    struct cpu *last = cpu_first(ram);
    while (last && last->next)
        last = last->next;
    if (last)
        last->next = cpu;
    else
        ram->opaque = cpu;
    ram->flags_set = flags_set;
    ram->traced_write = traced_write;
    cpu->mem->changed = map_changed;
    cpu->mem->changed_opaque = ram->opaque;
}

static void leave_memory(struct cpu *cpu)
{
    struct ram *ram = cpu->mem->ram;
    if (cpu_first(ram) == cpu)
        ram->opaque = cpu->next;
    for (struct cpu *c = cpu_first(ram); c; c = c->next)
        if (c->next == cpu)
            c->next = cpu->next;
    cpu->mem->changed_opaque = ram->opaque;
    if (ram->opaque)
        return;
    ram->flags_set = NULL;
    ram->traced_write = NULL;
    cpu->mem->changed = NULL;
}

/* --- life --- */

struct cpu *cpu_create(const struct cpu_config *cfg, struct error *err)
{
    uint8_t *at = aligned_alloc(64, CPU_JIT_STACK + ((sizeof(struct cpu) + 63) & ~(size_t)63));
    if (!at) {
        error_set(err, "not enough host memory for a CPU");
        return NULL;
    }
    struct cpu *cpu = (struct cpu *)(at + CPU_JIT_STACK);
    memset(cpu, 0, sizeof *cpu);
    cpu->mem = cfg->mem;
    cpu->io = cfg->io;
    cpu->world = cfg->world;
    if (cpu->world)
        world_join(cpu->world, &cpu->member);
    cpu->locked_traced = RAM_NONE;
    cpu->time = cfg->time;
    cpu->door = cfg->door;
    cpu->log = cfg->log;
    cpu->hooks = cfg->hooks;
    cpu->index = cfg->index;
    snprintf(cpu->name, sizeof cpu->name, "cpu.%u", cfg->index);
    cpu->topology = cfg->topology;
    cpu->apic_id = topology_apic_id(&cfg->topology, cfg->index);
    cpu->tsc_hz = cfg->tsc_hz;
    cpu->no_shadow = cfg->no_shadow;
    cpu->spaces = shadow_create();
    if (!cpu->spaces) {
        error_set(err, "not enough host memory for what is known of address spaces");
        goto fail;
    }
    if (!cpu_features_parse(&cpu->feat, cfg->model, err))
        goto fail;
    if (cfg->index == 0 && cpu->feat.warning[0])
        log_line(cpu->log, LOG_HOST, "warning: %s", cpu->feat.warning);
    cpu->code = code_cache_create(cpu, cfg->mem->ram, err);
    if (!cpu->code)
        goto fail;
    if (cfg->jit_threshold) {
        cpu->code->jit = jit_create(cpu, cfg->jit_threshold, err);
        if (!cpu->code->jit)
            goto fail;
        cpu->code->jit->no_chain = cfg->jit_no_chain;
        cpu->code->jit->no_indirect = cfg->jit_no_indirect;
        cpu->code->jit->no_find = cfg->jit_no_find;
        cpu->code->jit->no_fill = cfg->jit_no_fill;
        cpu->code->jit->no_share = cfg->jit_no_share;
        cpu->code->jit->no_x87 = cfg->jit_no_x87;
        cpu->code->jit->no_events = cfg->jit_no_events;
        cpu->code->jit->atomic = cpu->world || cfg->jit_atomic;
        if (cfg->stats)
            cpu->code->jit->count = calloc(1, sizeof(struct jit_count)); /* or does without */
        if (cfg->stats && cpu->index == 0) {
            cpu->code->jit->sampling = true;
            jit_sample_start();
        }
        if (cfg->jit_perfmap)
            jit_open_perfmap(cpu->code->jit);
        if (cfg->jit_verify && !(cpu->verify = verify_create())) {
            error_set(err, "not enough host memory for lockstep");
            goto fail;
        }
    }
    for (unsigned i = 0; i < TLB_MODES; i++) {
        cpu->tlb[i].used = true;
        tlb_flush(&cpu->tlb[i]);
    }
    if (cfg->stats)
        cpu->latency = calloc(1, sizeof *cpu->latency); /* or does without */
    join_memory(cpu);
    cpu_reset(cpu, false);
    return cpu;
fail:
    shadow_destroy(cpu->spaces);
    free((uint8_t *)cpu - CPU_JIT_STACK);
    return NULL;
}

void cpu_destroy(struct cpu *cpu)
{
    if (!cpu)
        return;
    code_cache_destroy(cpu->code);
    verify_destroy(cpu->verify);
    leave_memory(cpu);
    shadow_destroy(cpu->spaces);
    free(cpu->latency);
    free((uint8_t *)cpu - CPU_JIT_STACK);
}

static void reset_segments(struct cpu *cpu)
{
    for (unsigned s = 0; s < SEG_COUNT; s++)
        cpu->seg[s] = (struct segment){
            .limit = 0xffff,
            .attr = ATTR_P | ATTR_S | ATTR_RW | ATTR_A,
        };
    cpu->seg[SEG_CS].sel = 0xf000;
    cpu->seg[SEG_CS].base = 0xffff0000;
    cpu->seg[SEG_CS].attr |= ATTR_CODE;
    cpu->seg[SEG_FLAT] = (struct segment){.limit = 0xffffffff, .attr = ATTR_P | ATTR_S | ATTR_RW};
    cpu->seg[SEG_LDTR].attr = ATTR_P | 2;
    cpu->seg[SEG_TR].attr = ATTR_P | 11; /* a busy 32-bit TSS */
    cpu->gdtr = cpu->idtr = (struct table_reg){.limit = 0xffff};
}

/*
 * Who starts at the reset vector while the others wait for a SIPI: chosen by the board at power-on,
 * by IA32_APIC_BASE.BSP at INIT (SDM 3A §9.4.2 "MP Initialization Protocol Requirements and
 * Restrictions").
 */
static bool is_bsp(const struct cpu *cpu, bool init)
{
    if (!init || !cpu->hooks.apic_base)
        return cpu->index == 0;
    return cpu->hooks.apic_base(cpu->hooks.opaque) & BIT(8);
}

/* SDM 3A table 9-1. INIT keeps the FPU and vector state, the TSC and most MSRs. */
void cpu_reset(struct cpu *cpu, bool init)
{
    memset(cpu->r, 0, sizeof cpu->r);
    cpu->r[REG_RDX] = cpu->feat.signature;
    reset_segments(cpu);
    cpu->eflags = FLAG_1;
    flags_set_arith(cpu, 0);
    cpu->rip = 0xfff0;
    cpu->cr0 = init ? CR0_ET | (cpu->cr0 & (CR0_CD | CR0_NW)) : CR0_ET | CR0_CD | CR0_NW;
    cpu->cr2 = cpu->cr3 = cpu->cr4 = 0;
    cpu->efer = 0;
    memset(cpu->dr, 0, sizeof cpu->dr);
    cpu->dr6 = UINT32_C(0xffff0ff0);
    cpu->dr7 = 0x400;
    cpu->cpl = 0;
    cpu->shadow = cpu->shadow_ss = cpu->halted = cpu->nmi_masked = false;
    cpu->delivering = cpu->ext = false;
    /* a SIPI came behind the INIT */
    cpu_clear_event(cpu, ~(uint32_t)(EV_INTR | EV_STOP | (init ? EV_SIPI : 0)));
    cpu->wait_sipi = !is_bsp(cpu, init);
    cpu->monitor.at = RAM_NONE;
    cpu->mwait = MWAIT_NOT;
    cpu->cur = NULL;
    cpu->pending_dr6 = 0;
    cpu->x87_live = false;
    if (!init) {
        cpu->milestones = 0;
        memset(&cpu->fpu, 0, sizeof cpu->fpu);
        cpu->fpu.cw = 0x40;
        cpu->fpu.used = 0xff; /* tag word 5555h: all registers hold zero */
        memset(cpu->zmm, 0, sizeof cpu->zmm);
        cpu->mxcsr = MXCSR_INIT;
        cpu->xcr0 = XCR0_X87;
        cpu->pkru = 0;
        cpu->msr_debugctl = 0;
        cpu->msr_pat = UINT64_C(0x0007040600070406);
        cpu->msr_misc_enable =
            1 /* fast strings */ | (cpu->feat.has[FEAT_MONITOR] ? MISC_ENABLE_MONITOR : 0);
        cpu->msr_star = cpu->msr_lstar = cpu->msr_cstar = cpu->msr_fmask = 0;
        cpu->msr_kernel_gs_base = cpu->msr_tsc_aux = 0;
        cpu->msr_sysenter_cs = cpu->msr_sysenter_esp = cpu->msr_sysenter_eip = 0;
        cpu->msr_mtrr_def_type = 0;
        memset(cpu->msr_mtrr_fixed, 0, sizeof cpu->msr_mtrr_fixed);
        memset(cpu->msr_mtrr_var, 0, sizeof cpu->msr_mtrr_var);
        memset(cpu->msr_mc, 0, sizeof cpu->msr_mc);
        cpu->msr_spec_ctrl = 0;
        cpu->msr_syscfg = cpu->msr_hwcr = cpu->msr_nb_cfg = cpu->msr_int_pending = 0;
        cpu->tsc_offset = 0;
    }
    cpu_flush_tlb(cpu);
    cpu_update_mode(cpu);
    if (log_on(cpu->log, LOG_RESET) && cpu->trace.registers)
        cpu->trace.registers(cpu->trace.opaque, cpu);
}

void cpu_loaded(struct cpu *cpu)
{
    cpu_flush_tlb(cpu);
    cpu_update_mode(cpu);
}

/* --- time and events --- */

uint64_t cpu_icount(const struct cpu *cpu)
{
    uint64_t n = cpu->icount_end - (uint64_t)cpu->budget;
    if (cpu->cur) /* in the middle of a block: what has not run yet was counted with it */
        n -= (uint64_t)(cpu->block->n - cpu->cur->index);
    return n;
}

size_t cpu_share(const struct cpu *cpu, size_t whole)
{
    const size_t cpus = topology_cpus(&cpu->topology);
    return cpus <= 4 ? whole : whole * 4 / cpus / PAGE_SIZE * PAGE_SIZE;
}

void cpu_code_memory(const struct cpu *cpu, size_t *used, size_t *size)
{
    const struct jit *j = cpu->code->jit;
    *used = j ? j->hot.used + j->cold.used - j->cold.start : 0;
    *size = j ? j->size : 0;
}

void cpu_set_end(struct cpu *cpu, uint64_t icount)
{
    const uint64_t now = cpu->icount_end - (uint64_t)cpu->budget;
    cpu->budget = (int64_t)(icount - now);
    cpu->icount_end = icount;
}

void cpu_stop_after_current(struct cpu *cpu)
{
    if (cpu->budget > 0) {
        cpu->icount_end -= (uint64_t)cpu->budget;
        cpu->budget = 0;
    }
    const struct insn *u = cpu->cur;
    if (u && !u->fused && u->index + 1u < cpu->block->n)
        run_set_break(cpu, u->index + 1u);
}

void cpu_kick(struct cpu *cpu)
{
    cpu_set_event(cpu, EV_STOP);
    cpu_stop_after_current(cpu);
}

/* On another thread, which sees events when its slice is over. */
static bool elsewhere(const struct cpu *cpu)
{
    return cpu->world && world_self() != &cpu->member;
}

static void raise_event(struct cpu *cpu, uint32_t event)
{
    cpu_set_event(cpu, event);
    if (!elsewhere(cpu)) {
        if (event == EV_INTR && !(cpu->eflags & FLAG_IF) && cpu->mwait != MWAIT_INTR)
            return; /* not wanted now */
        cpu_stop_after_current(cpu);
    }
    if (cpu->hooks.woken)
        cpu->hooks.woken(cpu->hooks.opaque);
}

void cpu_set_intr(void *opaque, unsigned pin, int level)
{
    struct cpu *cpu = opaque;
    (void)pin;
    if (unlikely(cpu->latency != NULL)) {
        if (!level)
            latency_withdraw(cpu->latency);
        else if (!cpu->halted && !(cpu_events(cpu) & EV_INTR))
            latency_begin(cpu->latency, elsewhere(cpu)
                                            ? __atomic_load_n(&cpu->seen, __ATOMIC_RELAXED)
                                            : cpu_icount(cpu));
    }
    if (level)
        raise_event(cpu, EV_INTR);
    else
        cpu_clear_event(cpu, EV_INTR);
}

void cpu_set_nmi(void *opaque, unsigned pin, int level)
{
    (void)pin;
    if (level)
        raise_event(opaque, EV_NMI);
}

void cpu_set_init(void *opaque, unsigned pin, int level)
{
    struct cpu *cpu = opaque;
    (void)pin;
    if (!level)
        return;
    cpu_clear_event(cpu, EV_SIPI); /* one that came before is lost with all else */
    raise_event(cpu, EV_INIT);
}

void cpu_set_sipi(struct cpu *cpu, uint8_t vector)
{
    __atomic_store_n(&cpu->sipi_vector, vector, __ATOMIC_RELAXED);
    raise_event(cpu, EV_SIPI);
}

/* Whether what ends MWAIT but not HLT is there: the line is not as MONITOR found it, or an INTR. */
bool cpu_mwait_over(const struct cpu *cpu)
{
    const struct cpu_monitor *m = &cpu->monitor;
    if (!cpu->mwait)
        return false;
    if ((cpu_events(cpu) & EV_INTR) && cpu->mwait == MWAIT_INTR)
        return true;
    return m->at == RAM_NONE || memcmp(ram_host(cpu->mem->ram, m->at), m->line, sizeof m->line);
}

bool cpu_has_work(const struct cpu *cpu)
{
    if (cpu_events(cpu) & (EV_INIT | EV_SIPI))
        return true;
    if (cpu->wait_sipi)
        return false;
    return !cpu->halted || cpu->pending_dr6 /* a trap behind HLT */ || cpu_mwait_over(cpu) ||
           ((cpu_events(cpu) & EV_INTR) && (cpu->eflags & FLAG_IF)) ||
           ((cpu_events(cpu) & EV_NMI) && !cpu->nmi_masked);
}

/* --- state --- */

static void segment_state(struct state *s, const char *name, struct segment *g)
{
    char field[32];
    snprintf(field, sizeof field, "%s.sel", name);
    state_u16(s, field, &g->sel);
    snprintf(field, sizeof field, "%s.base", name);
    state_u64(s, field, &g->base);
    snprintf(field, sizeof field, "%s.limit", name);
    state_u32(s, field, &g->limit);
    snprintf(field, sizeof field, "%s.attr", name);
    state_u32(s, field, &g->attr);
}

static void table_state(struct state *s, const char *name, struct table_reg *t)
{
    char field[32];
    snprintf(field, sizeof field, "%s.base", name);
    state_u64(s, field, &t->base);
    snprintf(field, sizeof field, "%s.limit", name);
    state_u16(s, field, &t->limit);
}

static void system_state(struct cpu *cpu, struct state *s)
{
    static const char *const seg_names[SEG_COUNT] = {"es", "cs",   "ss",  "ds", "fs",
                                                     "gs", "flat", "ldt", "tr"};
    for (unsigned i = 0; i < SEG_COUNT; i++)
        if (i != SEG_FLAT)
            segment_state(s, seg_names[i], &cpu->seg[i]);
    table_state(s, "gdtr", &cpu->gdtr);
    table_state(s, "idtr", &cpu->idtr);
    state_u64(s, "cr0", &cpu->cr0);
    state_u64(s, "cr2", &cpu->cr2);
    state_u64(s, "cr3", &cpu->cr3);
    state_u64(s, "cr4", &cpu->cr4);
    state_u64(s, "efer", &cpu->efer);
    state_u64(s, "xcr0", &cpu->xcr0);
    for (unsigned i = 0; i < 4; i++)
        state_u64(s, "dr", &cpu->dr[i]);
    state_u64(s, "dr6", &cpu->dr6);
    state_u64(s, "dr7", &cpu->dr7);
    for (unsigned i = 0; i < 4; i++)
        state_u64(s, "pdpte", &cpu->pdpte[i]);
}

static void msr_state(struct cpu *cpu, struct state *s)
{
    state_u64(s, "star", &cpu->msr_star);
    state_u64(s, "lstar", &cpu->msr_lstar);
    state_u64(s, "cstar", &cpu->msr_cstar);
    state_u64(s, "fmask", &cpu->msr_fmask);
    state_u64(s, "kernel_gs_base", &cpu->msr_kernel_gs_base);
    state_u64(s, "sysenter_cs", &cpu->msr_sysenter_cs);
    state_u64(s, "sysenter_esp", &cpu->msr_sysenter_esp);
    state_u64(s, "sysenter_eip", &cpu->msr_sysenter_eip);
    state_u64(s, "pat", &cpu->msr_pat);
    state_u64(s, "misc_enable", &cpu->msr_misc_enable);
    state_u64(s, "debugctl", &cpu->msr_debugctl);
    state_u64(s, "tsc_aux", &cpu->msr_tsc_aux);
    state_u64(s, "spec_ctrl", &cpu->msr_spec_ctrl);
    state_u64(s, "syscfg", &cpu->msr_syscfg);
    state_u64(s, "hwcr", &cpu->msr_hwcr);
    state_u64(s, "nb_cfg", &cpu->msr_nb_cfg);
    state_u64(s, "int_pending", &cpu->msr_int_pending);
    state_u64(s, "mtrr_def_type", &cpu->msr_mtrr_def_type);
    for (unsigned i = 0; i < ARRAY_SIZE(cpu->msr_mtrr_fixed); i++)
        state_u64(s, "mtrr_fixed", &cpu->msr_mtrr_fixed[i]);
    for (unsigned i = 0; i < ARRAY_SIZE(cpu->msr_mtrr_var); i++)
        state_u64(s, "mtrr_var", &cpu->msr_mtrr_var[i]);
    state_u64(s, "mcg_status", &cpu->msr_mcg_status);
    for (unsigned i = 0; i < ARRAY_SIZE(cpu->msr_mc); i++)
        state_u64(s, "mc", &cpu->msr_mc[i]);
    state_i64(s, "tsc_offset", &cpu->tsc_offset);
    state_u32(s, "pkru", &cpu->pkru);
}

static void vector_state(struct cpu *cpu, struct state *s)
{
    state_u32(s, "mxcsr", &cpu->mxcsr);
    for (unsigned i = 0; i < 8; i++)
        state_bytes(s, "fpr", cpu->fpu.r[i].bytes, 10);
    state_u16(s, "fcw", &cpu->fpu.cw);
    state_u16(s, "fsw", &cpu->fpu.sw);
    state_u8(s, "ftw", &cpu->fpu.used);
    state_u16(s, "fop", &cpu->fpu.fop);
    state_u64(s, "fip", &cpu->fpu.fip);
    state_u64(s, "fdp", &cpu->fpu.fdp);
    state_u16(s, "fcs", &cpu->fpu.fcs);
    state_u16(s, "fds", &cpu->fpu.fds);
    for (unsigned i = 0; i < 32; i++)
        state_bytes(s, "zmm", cpu->zmm[i].b, sizeof cpu->zmm[i].b);
}

void cpu_state(struct cpu *cpu, struct state *s)
{
    uint64_t rflags = cpu_get_rflags(cpu);
    bool mid_rep = cpu_mid_rep(cpu);
    state_begin(s, cpu->name, 2);
    for (unsigned i = 0; i < 16; i++)
        state_u64(s, "r", &cpu->r[i]);
    state_u64(s, "rip", &cpu->rip);
    state_u64(s, "rflags", &rflags);
    state_u8(s, "cpl", &cpu->cpl);
    state_check(s, cpu->cpl <= 3, "cpl");
    state_bool(s, "shadow", &cpu->shadow);
    state_bool(s, "shadow_ss", &cpu->shadow_ss);
    state_bool(s, "halted", &cpu->halted);
    state_bool(s, "nmi_masked", &cpu->nmi_masked);
    state_bool(s, "wait_sipi", &cpu->wait_sipi);
    state_u32(s, "events", &cpu->events);
    state_u8(s, "sipi_vector", &cpu->sipi_vector);
    state_u8(s, "mwait", &cpu->mwait);
    state_check(s, cpu->mwait <= MWAIT_INTR, "mwait");
    state_u64(s, "monitor.at", &cpu->monitor.at);
    state_check(s,
                cpu->monitor.at == RAM_NONE ||
                    (cpu->monitor.at <= cpu->mem->ram->size_bytes - MONITOR_BYTES &&
                     cpu->monitor.at % MONITOR_BYTES == 0),
                "monitor.at");
    state_bytes(s, "monitor.line", cpu->monitor.line, sizeof cpu->monitor.line);
    state_u32(s, "pending_dr6", &cpu->pending_dr6);
    state_bool(s, "mid_rep", &mid_rep);
    system_state(cpu, s);
    msr_state(cpu, s);
    vector_state(cpu, s);
    state_end(s);
    if (state_loading(s)) {
        cpu_set_rflags(cpu, rflags);
        cpu->rep_rip = cpu->rip;
        cpu->rep_icount = mid_rep ? cpu->icount_end - (uint64_t)cpu->budget : UINT64_MAX;
    }
}
