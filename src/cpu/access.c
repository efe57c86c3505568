/*
 * See access.h: segment checks, TLB fills, and everything a load or store can meet besides plain
 * memory: page crossings, I/O, traced pages, watchpoints.
 */
#include "cpu/access.h"
#include "cpu/block.h"
#include "cpu/debug.h"
#include "cpu/jit/verify.h"
#include "cpu/segment.h"

/* --- segments --- */

static _Noreturn void seg_fault(struct cpu *cpu, unsigned s, uint64_t off, unsigned size,
                                enum access acc, enum fault_reason why)
{
    fault_about_segment(cpu, s, &cpu->seg[s], off, size, acc);
    cpu_fault(cpu, s == SEG_SS ? VEC_SS : VEC_GP, 0, why);
}

/*
 * In 64-bit mode a non-canonical address through rSP or rBP, or of a push or pop, is #SS (SDM 3A
 * §6.15 "Interrupt 12"). A stack access beside a memory operand was checked by seg_linear().
 */
static _Noreturn void noncanonical_fault(struct cpu *cpu, gla_t lin)
{
    fault_about_linear(cpu, lin, 0);
    const struct insn *u = cpu->cur;
    const bool stack = u && (u->mem ? !u->seg_ovr && (u->base == REG_RSP || u->base == REG_RBP)
                                    : (op_info[u->op].attr & OA_STACK) != 0);
    cpu_fault(cpu, stack ? VEC_SS : VEC_GP, 0, REASON_NONCANONICAL);
}

/* [off, last] within the limit: SDM 3A §5.3. Expand-down segments hold what lies above it. */
bool segment_limit_ok(const struct segment *g, uint64_t off, uint64_t last)
{
    if (last < off)
        return false;
    if (!(g->attr & ATTR_CODE) && (g->attr & ATTR_EC)) {
        const uint64_t top = g->attr & ATTR_DB ? 0xffffffff : 0xffff;
        return off > g->limit && last <= top;
    }
    return last <= g->limit;
}

static gla_t seg_checked(struct cpu *cpu, unsigned s, uint64_t off, unsigned size, enum access acc)
{
    const struct segment *g = &cpu->seg[s];
    if (cpu_prot(cpu) && !cpu_vm86(cpu)) {
        if (g->attr & ATTR_NULL)
            seg_fault(cpu, s, off, size, acc, REASON_SEG_NULL);
        if ((acc & ACC_W) && ((g->attr & ATTR_CODE) || !(g->attr & ATTR_RW)))
            seg_fault(cpu, s, off, size, acc, REASON_SEG_WRITE);
        if ((acc & ACC_R) && (g->attr & ATTR_CODE) && !(g->attr & ATTR_RW))
            seg_fault(cpu, s, off, size, acc, REASON_SEG_READ);
    }
    if (!segment_limit_ok(g, off, off + (size ? size - 1 : 0)))
        seg_fault(cpu, s, off, size, acc, REASON_SEG_LIMIT);
    return (uint32_t)(g->base + off);
}

/* Of system tables. */
static gla_t sys_linear(const struct cpu *cpu, gla_t lin)
{
    return cpu_long(cpu) ? lin : (uint32_t)lin;
}

/*
 * What an operand that starts at start reaches: 32 bits outside 64-bit mode (SDM 3A §3.4), IA-32e
 * compatibility mode too. An event that code there lets in pushes onto a stack of 64-bit mode
 * before the mode changes; that may lie above.
 */
static gla_t wrap_linear(const struct cpu *cpu, gla_t start, gla_t lin)
{
    return cpu_code64(cpu) || start > UINT32_MAX ? lin : (uint32_t)lin;
}

/* The last byte counts before a page fault of the first one does, as on processors. */
static void check_canonical(struct cpu *cpu, gla_t lin)
{
    if (unlikely(cpu_long(cpu) && !cpu_canonical(cpu, lin)))
        noncanonical_fault(cpu, lin);
}

void alignment_fault(struct cpu *cpu, gla_t lin)
{
    check_canonical(cpu, lin);
    cpu_fault(cpu, VEC_AC, 0, REASON_ALIGN);
}

void misaligned_fault(struct cpu *cpu, gla_t lin, enum fault_reason why)
{
    check_canonical(cpu, lin);
    cpu_gp0(cpu, why);
}

/* #AC: CR0.AM, EFLAGS.AC, CPL 3 (SDM 3A §6.15 "Interrupt 17"); 80-bit numbers want 8 bytes. */
static void check_alignment(struct cpu *cpu, gla_t lin, unsigned size)
{
    const unsigned align = size == 10 ? 8 : size;
    if (unlikely(cpu->cpl == 3 && (cpu->eflags & FLAG_AC) && (cpu->cr0 & CR0_AM)) && align > 1 &&
        align <= 8 && (lin & (align - 1))) {
        fault_about_linear(cpu, lin, align);
        alignment_fault(cpu, lin);
    }
}

static gla_t seg_address(struct cpu *cpu, unsigned s, uint64_t off, unsigned size, enum access acc)
{
    gla_t lin;
    if (cpu_code64(cpu)) {
        lin = off + (s == SEG_FS || s == SEG_GS ? cpu->seg[s].base : 0);
        if (s == SEG_SS &&
            unlikely(!cpu_canonical(cpu, lin) || !cpu_canonical(cpu, lin + size - 1))) {
            fault_about_linear(cpu, lin, size);
            cpu_fault(cpu, VEC_SS, 0, REASON_NONCANONICAL);
        }
    } else if (s == SEG_FLAT) {
        lin = off;
    } else {
        lin = seg_checked(cpu, s, off, size, acc);
    }
    return lin;
}

gla_t seg_linear(struct cpu *cpu, unsigned s, uint64_t off, unsigned size, enum access acc)
{
    const gla_t lin = seg_address(cpu, s, off, size, acc);
    check_alignment(cpu, lin, size);
    return lin;
}

void ea_pair(struct cpu *cpu, const struct insn *u, unsigned first, unsigned second,
             enum access acc, gla_t at[2])
{
    at[0] = seg_address(cpu, u->seg, ea_offset(cpu, u), first + second, acc);
    at[1] = wrap_linear(cpu, at[0], at[0] + first);
    check_alignment(cpu, at[0], first);
    check_alignment(cpu, at[1], second);
}

void ea_load_far(struct cpu *cpu, const struct insn *u, uint16_t *sel, uint64_t *offset)
{
    gla_t at[2];
    ea_pair(cpu, u, u->osize, 2, ACC_R, at);
    *offset = load_n(cpu, at[0], u->osize);
    *sel = load16(cpu, at[1]);
}

gla_t ea_aligned(struct cpu *cpu, const struct insn *u, unsigned size, enum access acc)
{
    const gla_t lin = ea_linear(cpu, u, size, acc);
    if (unlikely(lin & (size - 1))) {
        fault_about_linear(cpu, lin, size);
        cpu_gp0(cpu, REASON_ALIGN_SSE);
    }
    return lin;
}

/* --- translation --- */

struct place {     /* where one page's worth of an access lands */
    uint8_t *host; /* NULL: I/O or nobody */
    gpa_t gpa;     /* where a walk led to: known_writable() does not know it */
    ram_t ram;     /* RAM_NONE when host is NULL */
};

static bool page_watched(const struct cpu *cpu, gla_t lin)
{
    return unlikely(cpu->watchpoints || (cpu->dr7 & 0xff)) &&
           debug_page_watched(cpu, lin & PAGE_MASK);
}

/* Line i, whose read half is right, is of a page that may be written, D set. */
static void fill_write(struct cpu *cpu, ram_t ram, unsigned tlb_mode, unsigned i)
{
    struct tlb *tlb = &cpu->tlb[tlb_mode];
    tlb->writable[i] = true;
    if (!ram_may_line(cpu->mem->ram, ram))
        return;
    tlb_fill_write(tlb, i);
    if (unlikely(cpu->verify != NULL))
        verify_note_line(cpu, tlb_mode, i);
}

static void fill(struct cpu *cpu, gla_t lin, bool write, unsigned tlb_mode, gpa_t gpa,
                 unsigned page_shift, bool dirty, bool global)
{
    struct tlb *tlb = &cpu->tlb[tlb_mode];
    const unsigned i = tlb_index(lin);
    struct tlb_line *l = &tlb->line[i];
    const gla_t page = lin & PAGE_MASK;
    const gpa_t gpage = gpa & PAGE_MASK;
    if (page_watched(cpu, lin))
        return;
    const ram_t ram = memmap_ram(cpu->mem, gpage, false);
    struct tlb_half rd = {.tag = tlb_empty_tag(i)};
    if (ram != RAM_NONE) {
        ram_touch(cpu->mem->ram, ram);
        rd = (struct tlb_half){page, (uintptr_t)ram_host(cpu->mem->ram, ram) - page};
    }
    tlb_forget_near(tlb, i);
    /* What was allowed of another page, or where this one was, says nothing of it; nor may what
     * another walk allowed outlive what flushes that one's page. */
    if (l->rd.tag != rd.tag || l->rd.addend != rd.addend ||
        !tlb_same_page(tlb, i, page_shift, global)) {
        l->wr = (struct tlb_half){.tag = tlb_empty_tag(i)};
        tlb->writable[i] = false;
    }
    l->rd = rd;
    if (ram == RAM_NONE)
        return;
    /* where writes go elsewhere than reads (PAM), each is walked for */
    if (write && dirty && memmap_ram(cpu->mem, gpage, true) == ram)
        fill_write(cpu, ram, tlb_mode, i);
    tlb_note_fill(tlb, i, page_shift, global);
}

/* Where a write lands, if its page was walked for one before. */
static bool known_writable(struct cpu *cpu, gla_t lin, unsigned tlb_mode, struct place *p)
{
    struct tlb *tlb = &cpu->tlb[tlb_mode];
    const unsigned i = tlb_index(lin);
    const struct tlb_half *rd = &tlb->line[i].rd;
    /* a watched page has no lines */
    if (!tlb_hit(rd, lin, 1) || !tlb->writable[i])
        return false;
    uint8_t *host = (uint8_t *)(uintptr_t)(lin + rd->addend);
    *p = (struct place){.host = host, .ram = (ram_t)(host - cpu->mem->ram->host)};
    fill_write(cpu, p->ram, tlb_mode, i);
    if (unlikely(cpu->verify != NULL))
        verify_note_page(cpu, p->ram);
    return true;
}

/* The walk for lin ended in w: fills the TLB. */
static void fill_from(struct cpu *cpu, gla_t lin, bool write, unsigned tlb_mode,
                      const struct walk_result *w)
{
    if (unlikely(cpu->walk.pke) && w->user)
        cpu->tlb[tlb_mode].keyed |= UINT32_C(3) << (2 * w->pkey);
    fill(cpu, lin, write, tlb_mode, w->gpa & cpu->mem->a20_mask,
         (unsigned)__builtin_ctzll(w->page_bytes), write || w->dirty,
         w->global && (cpu->cr4 & CR4_PGE));
}

/* Translates lin, filling the TLB on the way; faults. */
static struct place translate(struct cpu *cpu, gla_t lin, bool write, unsigned tlb_mode)
{
    struct walk_result w = {.page_bytes = PAGE_SIZE};
    struct place p;
    if (write && known_writable(cpu, lin, tlb_mode, &p))
        return p;
    cpu->stats.tlb_misses[write ? WALK_WRITE : WALK_READ]++;
    if (cpu->walk.mode == PAGING_NONE) {
        w.gpa = lin;
        w.dirty = w.writable = true;
    } else {
        check_canonical(cpu, lin);
        if (!walk(cpu->mem, &cpu->walk, lin, write ? WALK_WRITE : WALK_READ, tlb_mode == TLB_USER,
                  tlb_mode == TLB_KERNEL_AC, true, &w))
            cpu_fault_page(cpu, lin, &w, write ? WALK_WRITE : WALK_READ, tlb_mode == TLB_USER,
                           tlb_mode == TLB_KERNEL_AC);
    }
    fill_from(cpu, lin, write, tlb_mode, &w);
    const gpa_t gpa = w.gpa & cpu->mem->a20_mask;
    p = (struct place){.gpa = gpa, .ram = memmap_ram(cpu->mem, gpa, write)};
    if (p.ram != RAM_NONE)
        p.host = ram_host(cpu->mem->ram, p.ram);
    if (unlikely(cpu->verify != NULL) && write && p.host)
        verify_note_page(cpu, p.ram);
    return p;
}

/* Of a page that may be written, but holds code: not in these bytes, so a store can be made as is.
 */
static bool beside_code(struct cpu *cpu, const struct tlb_half *rd, gla_t lin, unsigned size)
{
    struct ram *ram = cpu->mem->ram;
    if (cpu->world || !tlb_hit(rd, lin, size))
        return false;
    const ram_t at = (ram_t)((uint8_t *)(uintptr_t)(lin + rd->addend) - ram->host);
    if ((ram_flags(ram, at) & RAM_TRACED) != RAM_CODE || !code_beside(cpu, at, size))
        return false;
    cpu->stats.code_writes++;
    return true;
}

bool access_fill(struct cpu *cpu, gla_t lin, unsigned size, bool write, bool once)
{
    const unsigned tlb_mode = tlb_mode_of(cpu);
    const struct tlb_line *l = &cpu->tlb[tlb_mode].line[tlb_index(lin)];
    struct walk_result w = {.gpa = lin, .page_bytes = PAGE_SIZE, .writable = true, .dirty = true};
    struct place p;
    if ((lin & ~PAGE_MASK) + size > PAGE_SIZE || cpu->watchpoints || (cpu->dr7 & 0xff) ||
        (write && cpu->verify))
        return false;
    if (write && known_writable(cpu, lin, tlb_mode, &p))
        return tlb_hit(&l->wr, lin, size) || (once && beside_code(cpu, &l->rd, lin, size));
    if (cpu->walk.mode != PAGING_NONE &&
        ((cpu_long(cpu) && !cpu_canonical(cpu, lin)) ||
         !walk_plain(cpu->mem, &cpu->walk, lin, write ? WALK_WRITE : WALK_READ,
                     tlb_mode == TLB_USER, tlb_mode == TLB_KERNEL_AC, &w)))
        return false;
    const gpa_t gpa = w.gpa & cpu->mem->a20_mask;
    const ram_t ram = memmap_ram(cpu->mem, gpa, false);
    if (ram == RAM_NONE || !ram_touched(cpu->mem->ram, ram) ||
        (write && memmap_ram(cpu->mem, gpa, true) != ram))
        return false;
    cpu->stats.tlb_misses[write ? WALK_WRITE : WALK_READ]++;
    fill_from(cpu, lin, write, tlb_mode, &w);
    return tlb_hit(write ? &l->wr : &l->rd, lin, size) ||
           (write && once && beside_code(cpu, &l->rd, lin, size));
}

/* --- one page at a time --- */

static uint64_t place_load(struct cpu *cpu, const struct place *p, unsigned size)
{
    if (likely(p->host != NULL))
        return ld_le(p->host, size);
    cpu->stats.mmio++;
    return memmap_read(cpu->mem, p->gpa, size);
}

/* Bytes of a page that is traced were stored. */
static void traced_store(struct cpu *cpu, ram_t at, unsigned size)
{
    struct ram *ram = cpu->mem->ram;
    if (ram_flags(ram, at) & RAM_LOG) {
        /* one is enough until the log is taken, which traces the page again */
        ram_set_flags(ram, at, RAM_DIRTY);
        ram_clear_flags(ram, at, RAM_LOG);
    }
    if (ram_flags(ram, at) & RAM_CODE) {
        cpu->stats.code_writes++;
        code_written(cpu_first(ram), at, size);
    }
}

static void put_bytes(uint8_t *host, const void *src, unsigned size)
{
    if (size > 8)
        memcpy(host, src, size);
    else
        st_le(host, ld_le(src, size), size);
}

/*
 * Nobody decodes the new bytes before everybody has forgotten what he decoded from the old ones: or
 * a CPU might run the new code, and then once more the old.
 */
static void store_traced(struct cpu *cpu, const struct place *p, const void *src, unsigned size)
{
    world_enter(cpu->world);
    const bool stop = cpu->world && code_of_others(cpu, p->ram, size);
    if (stop)
        world_stop(cpu->world);
    put_bytes(p->host, src, size);
    traced_store(cpu, p->ram, size);
    if (stop)
        world_go(cpu->world);
    world_leave(cpu->world);
}

static void place_store(struct cpu *cpu, const struct place *p, const void *src, unsigned size)
{
    if (likely(p->host != NULL)) {
        if (unlikely(ram_flags(cpu->mem->ram, p->ram) & RAM_TRACED)) {
            store_traced(cpu, p, src, size);
            return;
        }
        put_bytes(p->host, src, size);
        if (likely(cpu->world == NULL))
            return;
        /* Stored first, looked second; who begins to trace a page marks first and reads second. */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (unlikely(ram_flags(cpu->mem->ram, p->ram) & RAM_TRACED))
            traced_store(cpu, p->ram, size);
        return;
    }
    cpu->stats.mmio++;
    memmap_write(cpu->mem, p->gpa, ld_le(src, MIN(size, 8u)), size);
}

uint64_t load_slow(struct cpu *cpu, gla_t lin, unsigned size, unsigned tlb_mode)
{
    if (unlikely(((lin & ~PAGE_MASK) + size) > PAGE_SIZE)) {
        const unsigned n = (unsigned)(PAGE_SIZE - (lin & ~PAGE_MASK));
        check_canonical(cpu, lin + n);
        const struct place lo = translate(cpu, lin, false, tlb_mode);
        const struct place hi = translate(cpu, wrap_linear(cpu, lin, lin + n), false, tlb_mode);
        uint64_t v = 0;
        for (unsigned i = 0; i < size; i++) {
            struct place p = i < n ? lo : hi;
            const unsigned k = i < n ? i : i - n;
            p.gpa += k;
            p.host = p.host ? p.host + k : NULL;
            v |= place_load(cpu, &p, 1) << (8 * i);
        }
        debug_access(cpu, lin, size, ACC_R);
        return v;
    }
    const struct place p = translate(cpu, lin, false, tlb_mode);
    const uint64_t v = place_load(cpu, &p, size);
    debug_access(cpu, lin, size, ACC_R);
    return v;
}

void store_slow(struct cpu *cpu, gla_t lin, uint64_t v, unsigned size, unsigned tlb_mode)
{
    if (unlikely(((lin & ~PAGE_MASK) + size) > PAGE_SIZE)) {
        const unsigned n = (unsigned)(PAGE_SIZE - (lin & ~PAGE_MASK));
        check_canonical(cpu, lin + n);
        const struct place lo = translate(cpu, lin, true, tlb_mode);
        const struct place hi = translate(cpu, wrap_linear(cpu, lin, lin + n), true, tlb_mode);
        for (unsigned i = 0; i < size; i++) {
            struct place p = i < n ? lo : hi;
            const unsigned k = i < n ? i : i - n;
            const uint8_t byte = (uint8_t)(v >> (8 * i));
            p.gpa += k;
            p.host = p.host ? p.host + k : NULL;
            p.ram = p.ram == RAM_NONE ? RAM_NONE : p.ram + k;
            place_store(cpu, &p, &byte, 1);
        }
    } else {
        const struct place p = translate(cpu, lin, true, tlb_mode);
        place_store(cpu, &p, &v, size);
    }
    debug_access(cpu, lin, size, ACC_W);
}

void *rmw_slow(struct cpu *cpu, gla_t lin, unsigned size)
{
    const unsigned tlb_mode = tlb_mode_of(cpu);
    if (((lin & ~PAGE_MASK) + size) > PAGE_SIZE) {
        check_canonical(cpu, lin + size - 1);
        translate(cpu, lin, true, tlb_mode);
        translate(cpu, wrap_linear(cpu, lin, (lin & PAGE_MASK) + PAGE_SIZE), true, tlb_mode);
        return NULL;
    }
    const struct place p = translate(cpu, lin, true, tlb_mode);
    /* What is traced, or watched, has no line; what is to be traced takes the line away first. */
    const struct tlb_half *h = &cpu->tlb[tlb_mode].line[tlb_index(lin)].wr;
    return p.host && tlb_hit(h, lin, size) ? p.host : NULL;
}

/* --- locked operations --- */

/* Nobody else runs until lock_end(): for what no single operation of the host can do. */
static void *lock_out(struct cpu *cpu)
{
    world_enter(cpu->world);
    world_stop(cpu->world);
    return NULL;
}

static void *lock_slow_in(struct cpu *cpu, gla_t lin, unsigned size, unsigned tlb_mode)
{
    if (((lin & ~PAGE_MASK) + size) > PAGE_SIZE) {
        check_canonical(cpu, lin + size - 1);
        translate(cpu, lin, true, tlb_mode);
        translate(cpu, wrap_linear(cpu, lin, (lin & PAGE_MASK) + PAGE_SIZE), true, tlb_mode);
        return lock_out(cpu);
    }
    struct place p;
    if (!known_writable(cpu, lin, tlb_mode, &p)) {
        p = translate(cpu, lin, true, tlb_mode);
        if (memmap_ram(cpu->mem, p.gpa, false) != p.ram) /* PAM: reads go elsewhere */
            return lock_out(cpu);
    }
    if (!p.host || page_watched(cpu, lin) || (lin & (size - 1)))
        return lock_out(cpu);
    if (cpu->world && (ram_flags(cpu->mem->ram, p.ram) & RAM_CODE)) /* see store_traced() */
        return lock_out(cpu);
    cpu->locked_traced = p.ram;
    return p.host;
}

void *lock_slow(struct cpu *cpu, gla_t lin, unsigned size)
{
    return lock_slow_in(cpu, lin, size, tlb_mode_of(cpu));
}

void lock_end_slow(struct cpu *cpu, const void *host, unsigned size)
{
    if (!host) {
        world_go(cpu->world);
        world_leave(cpu->world);
        return;
    }
    const ram_t at = cpu->locked_traced;
    cpu->locked_traced = RAM_NONE;
    if (ram_flags(cpu->mem->ram, at) & RAM_TRACED) /* the operation itself was a fence */
        traced_store(cpu, at, size);
}

ram_t linear_ram(struct cpu *cpu, gla_t lin)
{
    return translate(cpu, lin, false, tlb_mode_of(cpu)).ram;
}

/* --- longer operands --- */

void probe(struct cpu *cpu, gla_t lin, size_t n, enum access acc)
{
    const gla_t last = lin + (n ? n - 1 : 0);
    check_canonical(cpu, wrap_linear(cpu, lin, last));
    for (gla_t page = lin;; page = (page & PAGE_MASK) + PAGE_SIZE) {
        translate(cpu, wrap_linear(cpu, lin, page), acc & ACC_W, tlb_mode_of(cpu));
        if ((page & PAGE_MASK) == (last & PAGE_MASK))
            break;
    }
}

static void load_pages(struct cpu *cpu, gla_t lin, uint8_t *buf, size_t n)
{
    const gla_t start = lin;
    while (n) {
        const size_t k = MIN(n, (size_t)(PAGE_SIZE - (lin & ~PAGE_MASK)));
        struct place p = translate(cpu, wrap_linear(cpu, start, lin), false, tlb_mode_of(cpu));
        if (p.host) {
            memcpy(buf, p.host, k);
        } else {
            for (size_t i = 0; i < k;) {
                const unsigned size = k - i >= 8 && !((p.gpa + i) & 7) ? 8 : 1;
                struct place q = {.gpa = p.gpa + i, .ram = RAM_NONE};
                st_le(buf + i, place_load(cpu, &q, size), size);
                i += size;
            }
        }
        buf += k;
        lin += k;
        n -= k;
    }
}

void load_bytes(struct cpu *cpu, gla_t lin, void *buf, size_t n)
{
    load_pages(cpu, lin, buf, n);
    debug_access(cpu, lin, n, ACC_R);
}

void store_bytes(struct cpu *cpu, gla_t lin, const void *buf, size_t n)
{
    const uint8_t *src = buf;
    const gla_t start = lin;
    const size_t total = n;
    if ((lin & ~PAGE_MASK) + n > PAGE_SIZE)
        probe(cpu, lin, n, ACC_W);
    while (n) {
        const size_t k = MIN(n, (size_t)(PAGE_SIZE - (lin & ~PAGE_MASK)));
        struct place p = translate(cpu, wrap_linear(cpu, start, lin), true, tlb_mode_of(cpu));
        if (p.host) {
            place_store(cpu, &p, src, (unsigned)k);
        } else {
            for (size_t i = 0; i < k;) {
                const unsigned size = k - i >= 8 && !((p.gpa + i) & 7) ? 8 : 1;
                struct place q = {.gpa = p.gpa + i, .ram = RAM_NONE};
                place_store(cpu, &q, src + i, size);
                i += size;
            }
        }
        src += k;
        lin += k;
        n -= k;
    }
    debug_access(cpu, start, total, ACC_W);
}

/* --- implicit supervisor accesses --- */

/* #GP whatever the instruction addresses itself: this access is not through its rSP or rBP. */
static void check_table(struct cpu *cpu, gla_t lin, unsigned size)
{
    if (cpu_long(cpu) && (!cpu_canonical(cpu, lin) || !cpu_canonical(cpu, lin + size - 1)))
        cpu_gp0(cpu, REASON_NONCANONICAL);
}

uint64_t sys_load(struct cpu *cpu, gla_t lin, unsigned size)
{
    lin = sys_linear(cpu, lin); /* a base may be from 64-bit mode, and lie just below 4 GiB */
    const struct tlb_half *h = &cpu->tlb[TLB_KERNEL].line[tlb_index(lin)].rd;
    if (likely(tlb_hit(h, lin, size)))
        return ld_le((const void *)(uintptr_t)(lin + h->addend), size);
    check_table(cpu, lin, size);
    return load_slow(cpu, lin, size, TLB_KERNEL);
}

void sys_store(struct cpu *cpu, gla_t lin, uint64_t v, unsigned size)
{
    lin = sys_linear(cpu, lin);
    const struct tlb_half *h = &cpu->tlb[TLB_KERNEL].line[tlb_index(lin)].wr;
    if (likely(tlb_hit(h, lin, size))) {
        st_le((void *)(uintptr_t)(lin + h->addend), v, size);
    } else {
        check_table(cpu, lin, size);
        store_slow(cpu, lin, v, size, TLB_KERNEL);
    }
}

uint32_t sys_lock_bits(struct cpu *cpu, gla_t lin, uint32_t set, uint32_t clear)
{
    lin = sys_linear(cpu, lin);
    check_table(cpu, lin, 4);
    uint32_t *const host = lock_slow_in(cpu, lin, 4, TLB_KERNEL);
    uint32_t old;
    if (host) {
        old = __atomic_load_n(host, __ATOMIC_RELAXED);
        while (!__atomic_compare_exchange_n(host, &old, (old | set) & ~clear, false,
                                            __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
            ;
    } else {
        old = (uint32_t)load_slow(cpu, lin, 4, TLB_KERNEL);
        store_slow(cpu, lin, (old | set) & ~clear, 4, TLB_KERNEL);
    }
    lock_end(cpu, host, 4);
    return old;
}

void sys_probe_store(struct cpu *cpu, gla_t lin)
{
    lin = sys_linear(cpu, lin);
    check_table(cpu, lin, 1);
    translate(cpu, lin, true, TLB_KERNEL);
}
