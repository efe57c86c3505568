/*
 * See explain.h: a page walk again, one line an entry. SDM 3A §4.3 "32-Bit Paging", §4.4 "PAE
 * Paging", §4.5 "4-Level Paging and 5-Level Paging", §4.6 "Access Rights".
 *
 * The tables are read as they are now. The entry the walk ended at was kept, so that it shows when
 * somebody has changed it meanwhile.
 */
#include "debug/explain.h"

#include <inttypes.h>
#include <stdio.h>

#define P  BIT64(0)
#define RW BIT64(1)
#define US BIT64(2)
#define PS BIT64(7)
#define XD BIT64(63)

static const char *const level_names[] = {"", "PTE", "PDE", "PDPTE", "PML4E", "PML5E"};

struct walk {
    const struct cpu *cpu;
    const struct fault_record *r;
    const struct explain_out *out;
    gla_t lin;
    bool user, writable, executable;
    bool changed;
};

static bool read_entry(const struct walk *w, gpa_t at, unsigned size, uint64_t *v)
{
    const ram_t ram = memmap_ram(w->cpu->mem, at & w->cpu->mem->a20_mask, false);
    if (ram == RAM_NONE)
        return false;
    *v = ld_le(ram_host(w->cpu->mem->ram, ram), size);
    return true;
}

/* SDM 3A Tables 4-9 to 4-20: bits that must be 0 in an entry at this level. */
static uint64_t reserved_bits(const struct walk *w, unsigned level, uint64_t e, unsigned size)
{
    const unsigned phys = w->cpu->feat.phys_bits;
    const bool lma = w->r->efer & EFER_LMA;
    if (size == 4) /* a 4-MiB page's bit 21, and address bits that are not there (§4.3) */
        return level == 2 && (e & PS) ? BIT(21) : 0;
    uint64_t bits = ((lma ? BIT64(52) : XD) - 1) & ~(BIT64(phys) - 1);
    if (!(w->r->efer & EFER_NXE))
        bits |= XD;
    if (!(e & PS) || level == 1)
        return bits;
    if (level == 2)
        return bits | UINT64_C(0x1fe000);
    if (level == 3)
        return bits | UINT64_C(0x3fffe000);
    return bits | PS;
}

/* Why this entry, by itself, denies the access; NULL: it does not. */
static const char *denies(const struct walk *w, unsigned level, uint64_t e, unsigned size)
{
    const struct fault_record *r = w->r;
    if (!(e & P))
        return "P=0: not present";
    if (e & reserved_bits(w, level, e, size))
        return "a reserved bit is set";
    switch (r->detail.walk.reason) {
    case WALK_SUPERVISOR_PAGE:
        return e & US ? NULL : "U/S=0: not for user code";
    case WALK_READ_ONLY:
        return e & RW ? NULL : "R/W=0: read-only";
    case WALK_NX:
        return e & XD ? "XD=1: not to be executed" : NULL;
    default:
        return NULL;
    }
}

static void say_entry(struct walk *w, unsigned level, unsigned index, gpa_t at, uint64_t e,
                      unsigned size, bool leaf)
{
    const struct fault_detail *d = &w->r->detail;
    const char *why = denies(w, level, e, size);
    char flags[64] = "", label[24];
    if (e & P)
        snprintf(flags, sizeof flags, " P %s %s%s%s%s%s", e & RW ? "W" : "R", e & US ? "U" : "S",
                 e & BIT(5) ? " A" : "", leaf && e & BIT(6) ? " D" : "",
                 leaf && level > 1 ? " PS" : "", size == 8 && e & XD ? " XD" : "");
    snprintf(label, sizeof label, "%s[%u]", level_names[level], index);
    explain_line(w->out, label, "at %" PRIx64 ": %0*" PRIx64 "%s%s%s", at, (int)(2 * size), e,
                 flags, why ? "  <- " : "", why ? why : "");
    if (level == d->walk.level && at == d->walk.entry_gpa &&
        ((e ^ d->walk.entry) & ~UINT64_C(0x60))) { /* A and D aside */
        explain_line(w->out, "",
                     "it was %0*" PRIx64 " when the walk ended here: it was changed since",
                     (int)(2 * size), d->walk.entry);
        w->changed = true;
    }
}

static void narrow(struct walk *w, uint64_t e, unsigned size)
{
    w->writable &= !!(e & RW);
    w->user &= !!(e & US);
    w->executable &= !(size == 8 && (w->r->efer & EFER_NXE) && (e & XD));
}

/* The levels from the one whose table is at table downward; false: the walk ends before a page. */
static bool levels(struct walk *w, gpa_t table, unsigned level, unsigned size)
{
    const unsigned index_bits = size == 8 ? 9 : 10;
    for (;; level--) {
        const unsigned shift = PAGE_SHIFT + index_bits * (level - 1);
        const unsigned index = (unsigned)(w->lin >> shift) & (BIT(index_bits) - 1);
        const gpa_t at = table + index * size;
        uint64_t e;
        if (!read_entry(w, at, size, &e)) {
            explain_line(w->out, level_names[level], "at %" PRIx64 ": no memory is there", at);
            return false;
        }
        const bool leaf =
            level == 1 || ((e & PS) && level <= 3 && (size == 8 || w->r->cr4 & CR4_PSE));
        say_entry(w, level, index, at, e, size, leaf);
        if (!(e & P) || (e & reserved_bits(w, level, e, size)))
            return false;
        narrow(w, e, size);
        if (leaf)
            return true;
        table = e & UINT64_C(0x000ffffffffff000) & (size == 4 ? 0xfffff000 : ~UINT64_C(0));
    }
}

static void say_access(const struct walk *w)
{
    static const char *const accesses[] = {
        [WALK_READ] = "read", [WALK_WRITE] = "write", [WALK_EXEC] = "instruction fetch"};
    const struct fault_detail *d = &w->r->detail;
    explain_line(w->out, "access", "%s by %s at linear address %0*" PRIx64 " (CR2)%s",
                 accesses[d->walk.access],
                 d->walk.user     ? "user code"
                 : w->r->cpl == 3 ? "the processor itself (supervisor rights)"
                                  : "supervisor code",
                 w->r->efer & EFER_LMA ? 16 : 8, w->lin, d->walk.ac ? ", EFLAGS.AC set" : "");
}

static void say_rights(const struct walk *w)
{
    const struct fault_record *r = w->r;
    explain_line(w->out, "together", "%s, %s, %s", w->user ? "user" : "supervisor only",
                 w->writable ? "writable" : "read-only",
                 w->executable ? "executable" : "no-execute");
    switch (r->detail.walk.reason) {
    case WALK_SMEP:
        explain_line(w->out, "but", "CR4.SMEP=1: supervisor code may not be on user pages");
        break;
    case WALK_SMAP:
        explain_line(
            w->out, "but",
            "CR4.SMAP=1 and EFLAGS.AC does not lift it: supervisor code may not access user "
            "pages");
        break;
    case WALK_READ_ONLY:
        if (!r->detail.walk.user)
            explain_line(w->out, "and", "CR0.WP=1: supervisor code respects read-only pages");
        break;
    case WALK_PKEY:
        explain_line(w->out, "but", "key %u of PKRU %08" PRIx32 ": access %s, writes %s",
                     (unsigned)(r->detail.walk.entry >> 59 & 15), r->pkru,
                     r->pkru >> (r->detail.walk.entry >> 59 & 15) * 2 & 1 ? "denied" : "allowed",
                     r->pkru >> (r->detail.walk.entry >> 59 & 15) * 2 & 2 ? "denied" : "allowed");
        break;
    default:
        break;
    }
}

void explain_walk(const struct cpu *cpu, const struct fault_record *r,
                  const struct explain_out *out)
{
    struct walk w = {.cpu = cpu,
                     .r = r,
                     .out = out,
                     .lin = r->detail.at,
                     .user = true,
                     .writable = true,
                     .executable = true};
    bool leaf;
    say_access(&w);
    if (r->efer & EFER_LMA) {
        const bool five = r->cr4 & CR4_LA57;
        explain_line(out, "page walk", "%s paging, CR3 = %" PRIx64, five ? "5-level" : "4-level",
                     r->cr3);
        leaf = levels(&w, r->cr3 & (BIT64(cpu->feat.phys_bits) - 1) & PAGE_MASK, five ? 5 : 4, 8);
    } else if (r->cr4 & CR4_PAE) {
        const unsigned i = (unsigned)(w.lin >> 30) & 3;
        const uint64_t e = r->pdpte[i];
        w.lin = (uint32_t)w.lin;
        explain_line(out, "page walk", "PAE paging, CR3 = %" PRIx64, r->cr3);
        explain_line(out, "PDPTE", "%u, in its register since CR3 was loaded: %016" PRIx64 "%s", i,
                     e, e & P ? "" : "  <- P=0: not present");
        leaf = (e & P) && levels(&w, e & UINT64_C(0x000ffffffffff000), 2, 8);
    } else {
        w.lin = (uint32_t)w.lin;
        explain_line(out, "page walk", "32-bit paging, CR3 = %" PRIx64, r->cr3);
        leaf = levels(&w, r->cr3 & UINT64_C(0xfffff000), 2, 4);
    }
    if (leaf)
        say_rights(&w);
    if (leaf && !w.changed && r->detail.walk.reason == WALK_NOT_PRESENT)
        explain_line(out, "", "every entry is present now: the tables were changed since");
}
