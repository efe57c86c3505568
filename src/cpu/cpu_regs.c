/* The table and what reads it; see cpu_regs.h. */
#include "cpu/cpu_regs_kinds.h"

#include <stdlib.h>

#define AT(field) offsetof(struct cpu, field)

/* clang-format off */
const struct cpu_reg cpu_reg_table[] = {
    {"ax", REG_KIND_FIELD, 2, AT(r[REG_RAX]), 0},
    {"bp", REG_KIND_FIELD, 2, AT(r[REG_RBP]), 0},
    {"bx", REG_KIND_FIELD, 2, AT(r[REG_RBX]), 0},
    {"cpl", REG_KIND_CPL, 1, AT(cpl), 0},
    {"cr0", REG_KIND_CR0, 8, AT(cr0), 0},
    {"cr2", REG_KIND_FIELD, 8, AT(cr2), 0},
    {"cr3", REG_KIND_CR3, 8, AT(cr3), 0},
    {"cr4", REG_KIND_CR4, 8, AT(cr4), 0},
    {"cs", REG_KIND_SEL, 2, AT(seg[SEG_CS].sel), 0},
    {"cs.attr", REG_KIND_SEG_ATTR, 4, AT(seg[SEG_CS].attr), 0},
    {"cs.base", REG_KIND_SEG_BASE, 8, AT(seg[SEG_CS].base), 0},
    {"cs.limit", REG_KIND_SEG_LIMIT, 4, AT(seg[SEG_CS].limit), 0},
    {"cstar", REG_KIND_MSR, 8, AT(msr_cstar), 0xc0000083},
    {"cx", REG_KIND_FIELD, 2, AT(r[REG_RCX]), 0},
    {"debugctl", REG_KIND_MSR, 8, AT(msr_debugctl), 0x1d9},
    {"di", REG_KIND_FIELD, 2, AT(r[REG_RDI]), 0},
    {"dr0", REG_KIND_FIELD, 8, AT(dr[0]), 0},
    {"dr1", REG_KIND_FIELD, 8, AT(dr[1]), 0},
    {"dr2", REG_KIND_FIELD, 8, AT(dr[2]), 0},
    {"dr3", REG_KIND_FIELD, 8, AT(dr[3]), 0},
    {"dr6", REG_KIND_DR6, 8, AT(dr6), 0},
    {"dr7", REG_KIND_DR7, 8, AT(dr7), 0},
    {"ds", REG_KIND_SEL, 2, AT(seg[SEG_DS].sel), 0},
    {"ds.attr", REG_KIND_SEG_ATTR, 4, AT(seg[SEG_DS].attr), 0},
    {"ds.base", REG_KIND_SEG_BASE, 8, AT(seg[SEG_DS].base), 0},
    {"ds.limit", REG_KIND_SEG_LIMIT, 4, AT(seg[SEG_DS].limit), 0},
    {"dx", REG_KIND_FIELD, 2, AT(r[REG_RDX]), 0},
    {"eax", REG_KIND_FIELD, 4, AT(r[REG_RAX]), 0},
    {"ebp", REG_KIND_FIELD, 4, AT(r[REG_RBP]), 0},
    {"ebx", REG_KIND_FIELD, 4, AT(r[REG_RBX]), 0},
    {"ecx", REG_KIND_FIELD, 4, AT(r[REG_RCX]), 0},
    {"edi", REG_KIND_FIELD, 4, AT(r[REG_RDI]), 0},
    {"edx", REG_KIND_FIELD, 4, AT(r[REG_RDX]), 0},
    {"efer", REG_KIND_EFER, 8, AT(efer), 0xc0000080},
    {"eflags", REG_KIND_FLAGS, 4, 0, 0},
    {"eip", REG_KIND_FIELD, 4, AT(rip), 0},
    {"es", REG_KIND_SEL, 2, AT(seg[SEG_ES].sel), 0},
    {"es.attr", REG_KIND_SEG_ATTR, 4, AT(seg[SEG_ES].attr), 0},
    {"es.base", REG_KIND_SEG_BASE, 8, AT(seg[SEG_ES].base), 0},
    {"es.limit", REG_KIND_SEG_LIMIT, 4, AT(seg[SEG_ES].limit), 0},
    {"esi", REG_KIND_FIELD, 4, AT(r[REG_RSI]), 0},
    {"esp", REG_KIND_FIELD, 4, AT(r[REG_RSP]), 0},
    {"fcs", REG_KIND_FIELD, 2, AT(fpu.fcs), 0},
    {"fcw", REG_KIND_FCW, 2, AT(fpu.cw), 0},
    {"fdp", REG_KIND_FIELD, 8, AT(fpu.fdp), 0},
    {"fds", REG_KIND_FIELD, 2, AT(fpu.fds), 0},
    {"fip", REG_KIND_FIELD, 8, AT(fpu.fip), 0},
    {"flags", REG_KIND_FLAGS, 2, 0, 0},
    {"fmask", REG_KIND_MSR, 8, AT(msr_fmask), 0xc0000084},
    {"fop", REG_KIND_FIELD, 2, AT(fpu.fop), 0},
    {"fs", REG_KIND_SEL, 2, AT(seg[SEG_FS].sel), 0},
    {"fs.attr", REG_KIND_SEG_ATTR, 4, AT(seg[SEG_FS].attr), 0},
    {"fs.base", REG_KIND_SEG_BASE, 8, AT(seg[SEG_FS].base), 0},
    {"fs.limit", REG_KIND_SEG_LIMIT, 4, AT(seg[SEG_FS].limit), 0},
    {"fsw", REG_KIND_FIELD, 2, AT(fpu.sw), 0},
    {"ftw", REG_KIND_FIELD, 1, AT(fpu.used), 0},
    {"gdtr.base", REG_KIND_FIELD, 8, AT(gdtr.base), 0},
    {"gdtr.limit", REG_KIND_FIELD, 2, AT(gdtr.limit), 0},
    {"gs", REG_KIND_SEL, 2, AT(seg[SEG_GS].sel), 0},
    {"gs.attr", REG_KIND_SEG_ATTR, 4, AT(seg[SEG_GS].attr), 0},
    {"gs.base", REG_KIND_SEG_BASE, 8, AT(seg[SEG_GS].base), 0},
    {"gs.limit", REG_KIND_SEG_LIMIT, 4, AT(seg[SEG_GS].limit), 0},
    {"idtr.base", REG_KIND_FIELD, 8, AT(idtr.base), 0},
    {"idtr.limit", REG_KIND_FIELD, 2, AT(idtr.limit), 0},
    {"ip", REG_KIND_FIELD, 2, AT(rip), 0},
    {"kernel_gs_base", REG_KIND_MSR, 8, AT(msr_kernel_gs_base), 0xc0000102},
    {"ldtr", REG_KIND_SEL, 2, AT(seg[SEG_LDTR].sel), 0},
    {"ldtr.attr", REG_KIND_SEG_ATTR, 4, AT(seg[SEG_LDTR].attr), 0},
    {"ldtr.base", REG_KIND_SEG_BASE, 8, AT(seg[SEG_LDTR].base), 0},
    {"ldtr.limit", REG_KIND_SEG_LIMIT, 4, AT(seg[SEG_LDTR].limit), 0},
    {"lstar", REG_KIND_MSR, 8, AT(msr_lstar), 0xc0000082},
    {"misc_enable", REG_KIND_MSR, 8, AT(msr_misc_enable), 0x1a0},
    {"mm0", REG_KIND_FIELD, 8, AT(fpu.r[0].mmx), 0},
    {"mm1", REG_KIND_FIELD, 8, AT(fpu.r[1].mmx), 0},
    {"mm2", REG_KIND_FIELD, 8, AT(fpu.r[2].mmx), 0},
    {"mm3", REG_KIND_FIELD, 8, AT(fpu.r[3].mmx), 0},
    {"mm4", REG_KIND_FIELD, 8, AT(fpu.r[4].mmx), 0},
    {"mm5", REG_KIND_FIELD, 8, AT(fpu.r[5].mmx), 0},
    {"mm6", REG_KIND_FIELD, 8, AT(fpu.r[6].mmx), 0},
    {"mm7", REG_KIND_FIELD, 8, AT(fpu.r[7].mmx), 0},
    {"mxcsr", REG_KIND_MXCSR, 4, AT(mxcsr), 0},
    {"pat", REG_KIND_MSR, 8, AT(msr_pat), 0x277},
    {"pkru", REG_KIND_FIELD, 4, AT(pkru), 0},
    {"r10", REG_KIND_FIELD, 8, AT(r[REG_R10]), 0},
    {"r11", REG_KIND_FIELD, 8, AT(r[REG_R11]), 0},
    {"r12", REG_KIND_FIELD, 8, AT(r[REG_R12]), 0},
    {"r13", REG_KIND_FIELD, 8, AT(r[REG_R13]), 0},
    {"r14", REG_KIND_FIELD, 8, AT(r[REG_R14]), 0},
    {"r15", REG_KIND_FIELD, 8, AT(r[REG_R15]), 0},
    {"r8", REG_KIND_FIELD, 8, AT(r[REG_R8]), 0},
    {"r9", REG_KIND_FIELD, 8, AT(r[REG_R9]), 0},
    {"rax", REG_KIND_FIELD, 8, AT(r[REG_RAX]), 0},
    {"rbp", REG_KIND_FIELD, 8, AT(r[REG_RBP]), 0},
    {"rbx", REG_KIND_FIELD, 8, AT(r[REG_RBX]), 0},
    {"rcx", REG_KIND_FIELD, 8, AT(r[REG_RCX]), 0},
    {"rdi", REG_KIND_FIELD, 8, AT(r[REG_RDI]), 0},
    {"rdx", REG_KIND_FIELD, 8, AT(r[REG_RDX]), 0},
    {"rflags", REG_KIND_FLAGS, 8, 0, 0},
    {"rip", REG_KIND_FIELD, 8, AT(rip), 0},
    {"rsi", REG_KIND_FIELD, 8, AT(r[REG_RSI]), 0},
    {"rsp", REG_KIND_FIELD, 8, AT(r[REG_RSP]), 0},
    {"si", REG_KIND_FIELD, 2, AT(r[REG_RSI]), 0},
    {"sp", REG_KIND_FIELD, 2, AT(r[REG_RSP]), 0},
    {"ss", REG_KIND_SEL, 2, AT(seg[SEG_SS].sel), 0},
    {"ss.attr", REG_KIND_SEG_ATTR, 4, AT(seg[SEG_SS].attr), 0},
    {"ss.base", REG_KIND_SEG_BASE, 8, AT(seg[SEG_SS].base), 0},
    {"ss.limit", REG_KIND_SEG_LIMIT, 4, AT(seg[SEG_SS].limit), 0},
    {"st0", REG_KIND_ST, 10, 0, 0},
    {"st1", REG_KIND_ST, 10, 1, 0},
    {"st2", REG_KIND_ST, 10, 2, 0},
    {"st3", REG_KIND_ST, 10, 3, 0},
    {"st4", REG_KIND_ST, 10, 4, 0},
    {"st5", REG_KIND_ST, 10, 5, 0},
    {"st6", REG_KIND_ST, 10, 6, 0},
    {"st7", REG_KIND_ST, 10, 7, 0},
    {"star", REG_KIND_MSR, 8, AT(msr_star), 0xc0000081},
    {"sysenter_cs", REG_KIND_MSR, 8, AT(msr_sysenter_cs), 0x174},
    {"sysenter_eip", REG_KIND_MSR, 8, AT(msr_sysenter_eip), 0x176},
    {"sysenter_esp", REG_KIND_MSR, 8, AT(msr_sysenter_esp), 0x175},
    {"tr", REG_KIND_SEL, 2, AT(seg[SEG_TR].sel), 0},
    {"tr.attr", REG_KIND_SEG_ATTR, 4, AT(seg[SEG_TR].attr), 0},
    {"tr.base", REG_KIND_SEG_BASE, 8, AT(seg[SEG_TR].base), 0},
    {"tr.limit", REG_KIND_SEG_LIMIT, 4, AT(seg[SEG_TR].limit), 0},
    {"tsc_aux", REG_KIND_MSR, 8, AT(msr_tsc_aux), 0xc0000103},
    {"xcr0", REG_KIND_XCR0, 8, AT(xcr0), 0},
    {"xmm0", REG_KIND_FIELD, 16, AT(zmm[0]), 0},
    {"xmm1", REG_KIND_FIELD, 16, AT(zmm[1]), 0},
    {"xmm10", REG_KIND_FIELD, 16, AT(zmm[10]), 0},
    {"xmm11", REG_KIND_FIELD, 16, AT(zmm[11]), 0},
    {"xmm12", REG_KIND_FIELD, 16, AT(zmm[12]), 0},
    {"xmm13", REG_KIND_FIELD, 16, AT(zmm[13]), 0},
    {"xmm14", REG_KIND_FIELD, 16, AT(zmm[14]), 0},
    {"xmm15", REG_KIND_FIELD, 16, AT(zmm[15]), 0},
    {"xmm2", REG_KIND_FIELD, 16, AT(zmm[2]), 0},
    {"xmm3", REG_KIND_FIELD, 16, AT(zmm[3]), 0},
    {"xmm4", REG_KIND_FIELD, 16, AT(zmm[4]), 0},
    {"xmm5", REG_KIND_FIELD, 16, AT(zmm[5]), 0},
    {"xmm6", REG_KIND_FIELD, 16, AT(zmm[6]), 0},
    {"xmm7", REG_KIND_FIELD, 16, AT(zmm[7]), 0},
    {"xmm8", REG_KIND_FIELD, 16, AT(zmm[8]), 0},
    {"xmm9", REG_KIND_FIELD, 16, AT(zmm[9]), 0},
    {"ymm0", REG_KIND_FIELD, 32, AT(zmm[0]), 0},
    {"ymm1", REG_KIND_FIELD, 32, AT(zmm[1]), 0},
    {"ymm10", REG_KIND_FIELD, 32, AT(zmm[10]), 0},
    {"ymm11", REG_KIND_FIELD, 32, AT(zmm[11]), 0},
    {"ymm12", REG_KIND_FIELD, 32, AT(zmm[12]), 0},
    {"ymm13", REG_KIND_FIELD, 32, AT(zmm[13]), 0},
    {"ymm14", REG_KIND_FIELD, 32, AT(zmm[14]), 0},
    {"ymm15", REG_KIND_FIELD, 32, AT(zmm[15]), 0},
    {"ymm2", REG_KIND_FIELD, 32, AT(zmm[2]), 0},
    {"ymm3", REG_KIND_FIELD, 32, AT(zmm[3]), 0},
    {"ymm4", REG_KIND_FIELD, 32, AT(zmm[4]), 0},
    {"ymm5", REG_KIND_FIELD, 32, AT(zmm[5]), 0},
    {"ymm6", REG_KIND_FIELD, 32, AT(zmm[6]), 0},
    {"ymm7", REG_KIND_FIELD, 32, AT(zmm[7]), 0},
    {"ymm8", REG_KIND_FIELD, 32, AT(zmm[8]), 0},
    {"ymm9", REG_KIND_FIELD, 32, AT(zmm[9]), 0},
};
/* clang-format on */
const size_t cpu_reg_count = ARRAY_SIZE(cpu_reg_table);

static int compare_name(const void *name, const void *reg)
{
    return strcmp(name, ((const struct cpu_reg *)reg)->name);
}

const struct cpu_reg *cpu_reg_find(const char *name)
{
    return bsearch(name, cpu_reg_table, cpu_reg_count, sizeof *cpu_reg_table, compare_name);
}

/* --- reading --- */

const union fpreg *cpu_reg_st(const struct cpu *cpu, unsigned i)
{
    return &cpu->fpu.r[((cpu->fpu.sw >> 11) + i) & 7];
}

void cpu_reg_get(const struct cpu *cpu, const struct cpu_reg *reg, uint8_t *value)
{
    uint64_t v = 0;
    switch (reg->kind) {
    case REG_KIND_FLAGS:
        v = cpu_get_rflags(cpu);
        memcpy(value, &v, reg->bytes);
        return;
    case REG_KIND_ST:
        memcpy(value, cpu_reg_st(cpu, reg->at)->bytes, reg->bytes);
        return;
    default:
        memcpy(value, (const uint8_t *)cpu + reg->at, reg->bytes);
        return;
    }
}

void cpu_reg_significant(const struct cpu_reg *reg, uint8_t *mask)
{
    static const uint64_t known[REG_KINDS] = {
        [REG_KIND_FLAGS] = RFLAGS_KNOWN, [REG_KIND_CR0] = CR0_KNOWN, [REG_KIND_DR6] = DR6_KNOWN,
        [REG_KIND_DR7] = DR7_KNOWN,      [REG_KIND_FCW] = FCW_KNOWN,
    };
    if (known[reg->kind])
        memcpy(mask, &known[reg->kind], reg->bytes);
    else
        memset(mask, 0xff, reg->bytes);
}
