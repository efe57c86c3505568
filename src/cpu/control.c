/*
 * Control registers: the checks of SDM 3A §2.5 and §4.1.2, and what a change makes void.
 */
#include "cpu/exec.h"
#include "cpu/sys.h"

#define CR0_DEFINED                                                                            \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
     CR0_PG)

/* The CR4 bits that this CPU's features bring with them. */
static uint64_t cr4_allowed(const struct cpu *cpu)
{
    static const struct {
        uint64_t bits;
        enum cpu_feature feature;
    } table[] = {
        {CR4_TSD, FEAT_TSC},           {CR4_DE, FEAT_DE},       {CR4_PSE, FEAT_PSE},
        {CR4_PAE, FEAT_PAE},           {CR4_MCE, FEAT_MCE},     {CR4_PGE, FEAT_PGE},
        {CR4_PCE, FEAT_NONE},          {CR4_OSFXSR, FEAT_FXSR}, {CR4_OSXMMEXCPT, FEAT_SSE},
        {CR4_UMIP, FEAT_UMIP},         {CR4_LA57, FEAT_LA57},   {CR4_PCIDE, FEAT_PCID},
        {CR4_OSXSAVE, FEAT_XSAVE},     {CR4_SMEP, FEAT_SMEP},   {CR4_SMAP, FEAT_SMAP},
        {CR4_FSGSBASE, FEAT_FSGSBASE}, {CR4_PKE, FEAT_PKU},
    };
    uint64_t allowed = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
        if (cpu->feat.has[table[i].feature])
            allowed |= table[i].bits;
    return allowed;
}

/* The four PDPTE registers of PAE paging (SDM 3A §4.4.1); false on a reserved bit. */
static bool load_pdptes(struct cpu *cpu, uint64_t cr3, uint64_t out[4])
{
    const uint64_t reserved =
        (~UINT64_C(0) << cpu->feat.phys_bits) | UINT64_C(0x1e6); /* bits 1-2, 5-8 */
    const gpa_t base = cr3 & UINT64_C(0xffffffe0);
    for (unsigned i = 0; i < 4; i++) {
        out[i] = memmap_read(cpu->mem, (base + i * 8) & cpu->mem->a20_mask, 8);
        if ((out[i] & 1) && (out[i] & reserved))
            return false;
    }
    return true;
}

static bool pae_paging(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & EFER_LMA);
}

/* LME becomes LMA when paging goes on, and leaves with it (SDM 3A §9.8.5). */
static void check_long_mode(struct cpu *cpu, uint64_t v)
{
    if ((v & CR0_PG) && !(cpu->cr0 & CR0_PG) && (cpu->efer & EFER_LME)) {
        if (!(cpu->cr4 & CR4_PAE))
            cpu_gp0(cpu, REASON_CR_COMBINATION);
        if (cpu->seg[SEG_CS].attr & ATTR_L)
            cpu_gp0(cpu, REASON_CR_COMBINATION);
        if (!(cpu->seg[SEG_TR].attr & 8)) /* a 16-bit TSS */
            cpu_gp0(cpu, REASON_CR_COMBINATION);
    }
    if (!(v & CR0_PG) && (cpu->cr0 & CR0_PG) && cpu_long(cpu) &&
        (cpu_code64(cpu) || (cpu->cr4 & CR4_PCIDE)))
        cpu_gp0(cpu, REASON_CR_COMBINATION);
}

void cr0_write(struct cpu *cpu, uint64_t v)
{
    if (v >> 32)
        cpu_gp0(cpu, REASON_CR_RESERVED);
    v = (v & CR0_DEFINED) | CR0_ET;
    if (((v & CR0_PG) && !(v & CR0_PE)) || ((v & CR0_NW) && !(v & CR0_CD)))
        cpu_gp0(cpu, REASON_CR_COMBINATION);
    check_long_mode(cpu, v);
    uint64_t efer = cpu->efer, pdpte[4];
    if (v & CR0_PG)
        efer |= efer & EFER_LME ? EFER_LMA : 0;
    else
        efer &= ~EFER_LMA;
    const uint64_t changed = v ^ cpu->cr0;
    const bool loads = pae_paging(v, cpu->cr4, efer) && (changed & (CR0_PG | CR0_CD | CR0_NW));
    if (loads) {
        if (!load_pdptes(cpu, cpu->cr3, pdpte))
            cpu_gp0(cpu, REASON_CR_PAE_PDPTE);
        memcpy(cpu->pdpte, pdpte, sizeof pdpte);
    }
    cpu->cr0 = v;
    cpu->efer = efer;
    /* without paging neither PE nor WP changes a translation */
    if (changed & CR0_PG)
        cpu_flush_tlb(cpu);
    else if (loads || ((changed & CR0_WP) && (v & CR0_PG)))
        cpu_flush_translations(cpu, false);
    cpu_update_mode(cpu);
}

void cr3_write(struct cpu *cpu, uint64_t v)
{
    const bool keep = (v >> 63) && (cpu->cr4 & CR4_PCIDE);
    if (cpu->cr4 & CR4_PCIDE)
        v &= ~(UINT64_C(1) << 63);
    uint64_t pdpte[4];
    if (cpu_long(cpu) && (v >> cpu->feat.phys_bits))
        cpu_gp0(cpu, REASON_CR_RESERVED);
    if (pae_paging(cpu->cr0, cpu->cr4, cpu->efer)) {
        if (!load_pdptes(cpu, v, pdpte))
            cpu_gp0(cpu, REASON_CR_PAE_PDPTE);
        memcpy(cpu->pdpte, pdpte, sizeof pdpte);
    }
    cpu->cr3 = v;
    (void)keep; /* what is worth keeping is looked at, whatever the guest vouches for */
    cpu_flush_translations(cpu, true);
}

void cr4_write(struct cpu *cpu, uint64_t v)
{
    const uint64_t changed = v ^ cpu->cr4;
    uint64_t pdpte[4];
    if (v & ~cr4_allowed(cpu))
        cpu_gp0(cpu, REASON_CR_RESERVED);
    if (cpu_long(cpu) && (!(v & CR4_PAE) || (changed & CR4_LA57)))
        cpu_gp0(cpu, REASON_CR_COMBINATION);
    if ((changed & v & CR4_PCIDE) && (!cpu_long(cpu) || (cpu->cr3 & 0xfff)))
        cpu_gp0(cpu, REASON_CR_COMBINATION);
    if (pae_paging(cpu->cr0, v, cpu->efer) &&
        (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP))) {
        if (!load_pdptes(cpu, cpu->cr3, pdpte))
            cpu_gp0(cpu, REASON_CR_PAE_PDPTE);
        memcpy(cpu->pdpte, pdpte, sizeof pdpte);
    }
    cpu->cr4 = v;
    /* what changes how fetches walk; what changes only which lines of the TLB are right */
    if (changed & (CR4_PAE | CR4_PSE | CR4_SMEP | CR4_LA57))
        cpu_flush_tlb(cpu);
    else if (changed & (CR4_PGE | CR4_SMAP | CR4_PCIDE | CR4_PKE))
        cpu_flush_translations(cpu, false);
    cpu_update_mode(cpu);
}
