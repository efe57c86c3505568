/*
 * The list of the faults that were raised, for "info fault" and -d int. A fault is common (a kernel
 * takes a page fault for each page), so only numbers are kept; what an error code names in a
 * descriptor table is looked up at once, for it may not be there any more when somebody asks.
 */
#include "cpu/block.h"
#include "cpu/except.h"
#include "cpu/segment.h"

void fault_about_segment(struct cpu *cpu, unsigned seg, const struct segment *g, uint64_t offset,
                         unsigned size, unsigned access)
{
    cpu->about = (struct fault_detail){
        .about = ABOUT_SEGMENT,
        .seg = (uint8_t)(g == &cpu->seg[seg] ? seg : SEG_COUNT),
        .access = (uint8_t)access,
        .size = (uint16_t)size,
        .at = offset,
        .segment = *g,
    };
}

void fault_about_linear(struct cpu *cpu, uint64_t lin, unsigned size)
{
    cpu->about = (struct fault_detail){.about = ABOUT_LINEAR, .size = (uint16_t)size, .at = lin};
}

bool cpu_peek(const struct cpu *cpu, uint64_t lin, void *buf, size_t n)
{
    uint8_t *to = buf;
    for (size_t i = 0; i < n; i++, lin++) {
        struct walk_result w = {.gpa = lin & cpu->mem->a20_mask};
        if (cpu_long(cpu) && !cpu_canonical(cpu, lin))
            return false;
        /* a supervisor's read with AC set meets nothing but absence */
        if (cpu->walk.mode != PAGING_NONE &&
            !walk(cpu->mem, &cpu->walk, lin, WALK_READ, false, true, false, &w))
            return false;
        const ram_t at = memmap_ram(cpu->mem, w.gpa, false);
        if (at == RAM_NONE)
            return false;
        to[i] = *ram_host(cpu->mem->ram, at);
    }
    return true;
}

/* The selector or vector of an error code (SDM 3A §6.13 "Error Code"), and what lies there. */
static void look_up(const struct cpu *cpu, uint32_t error, struct fault_detail *d)
{
    d->about = ABOUT_TABLE;
    d->table.idt = error & 2;
    d->table.ldt = !d->table.idt && (error & 4);
    d->table.size = 8;
    if (d->table.idt) {
        d->table.sel = (uint16_t)(error >> 3 & 0xff);
        d->table.size = cpu_long(cpu) ? 16 : 8;
        d->table.base = cpu->idtr.base;
        d->table.limit = cpu->idtr.limit;
        d->table.at = d->table.base + d->table.sel * d->table.size;
    } else {
        const struct segment *ldt = &cpu->seg[SEG_LDTR];
        d->table.sel = (uint16_t)(error & 0xfffc);
        d->table.base = d->table.ldt ? ldt->base : cpu->gdtr.base;
        d->table.limit = !d->table.ldt ? cpu->gdtr.limit : ldt->attr & ATTR_NULL ? 0 : ldt->limit;
        d->table.at = d->table.base + (d->table.sel & ~7u);
    }
    if (!cpu_long(cpu))
        d->table.at = (uint32_t)d->table.at;
    d->table.in_limit = d->table.at - d->table.base + d->table.size - 1 <= d->table.limit;
    if (!d->table.in_limit)
        return;
    uint8_t bytes[16];
    d->table.read = cpu_peek(cpu, d->table.at, bytes, d->table.size);
    if (!d->table.read)
        return;
    d->table.entry[0] = ld64(bytes);
    if (d->table.size == 16) {
        d->table.entry[1] = ld64(bytes + 8);
    } else if (cpu_long(cpu) && !d->table.idt && !(bytes[5] & 0x10) &&
               cpu_peek(cpu, d->table.at, bytes, 16)) { /* a system descriptor's upper half */
        d->table.size = 16;
        d->table.entry[1] = ld64(bytes + 8);
    }
}

/* The bytes of an instruction where its block found them. */
static void copy_code(const struct cpu *cpu, const struct insn *u, struct fault_record *r)
{
    const struct block *b = cpu->block;
    if (!b->cached && b->start == RAM_NONE)
        return;
    const ram_t page = b->start & PAGE_MASK;
    const unsigned n = MIN(u->len ? u->len : 15u, 15u);
    for (unsigned i = 0; i < n; i++) {
        ram_t at = b->start + u->off + i;
        if ((at & PAGE_MASK) != page) {
            if (b->page2 == RAM_NONE)
                break;
            at = b->page2 + (at & ~PAGE_MASK);
        }
        r->code[i] = *ram_host(cpu->mem->ram, at);
        r->code_len = (uint8_t)(i + 1);
    }
}

const struct fault_record *fault_record(struct cpu *cpu, const struct insn *cur, int became)
{
    struct fault_record *r = &cpu->faults[cpu->faults_seen++ % CPU_FAULTS];
    const struct fault *f = &cpu->fault;
    r->fault = *f;
    r->detail = cpu->about;
    cpu->about.about = ABOUT_NOTHING;
    r->during = -1;
    if (cpu->delivering)
        r->during = cpu->delivering_vector;
    r->became = (int16_t)became;
    r->cpl = cpu->cpl;
    r->ended = !cur && f->vector == VEC_DB && f->reason != REASON_DB_CODE;
    r->code_len = 0;
    if (cur)
        copy_code(cpu, cur, r);
    if (r->detail.about == ABOUT_NOTHING && f->has_error && f->vector >= VEC_TS &&
        f->vector <= VEC_GP && (f->error & ~1u))
        look_up(cpu, f->error, &r->detail);
    r->mode = cpu->mode;
    r->pkru = cpu->pkru;
    r->mxcsr = cpu->mxcsr;
    r->icount = cpu->icount_end - (uint64_t)cpu->budget;
    r->rip = cpu->rip;
    r->rflags = cpu_get_rflags(cpu);
    memcpy(r->r, cpu->r, sizeof r->r);
    r->cr0 = cpu->cr0;
    r->cr3 = cpu->cr3;
    r->cr4 = cpu->cr4;
    r->efer = cpu->efer;
    memcpy(r->dr, cpu->dr, sizeof r->dr);
    memcpy(r->pdpte, cpu->pdpte, sizeof r->pdpte);
    r->cs = cpu->seg[SEG_CS];
    r->ss = cpu->seg[SEG_SS];
    r->fsw = cpu->fpu.sw;
    r->fcw = cpu->fpu.cw;
    return r;
}
