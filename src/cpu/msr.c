/* Model-specific registers: SDM 4. What is not here is #GP(0) and said once. */
#include "cpu/exec.h"
#include "cpu/sys.h"

enum {
    MSR_TSC = 0x10,
    MSR_PLATFORM_ID = 0x17,
    MSR_APIC_BASE = 0x1b,
    MSR_FEATURE_CONTROL = 0x3a,
    MSR_TSC_ADJUST = 0x3b,
    MSR_SPEC_CTRL = 0x48,
    MSR_PRED_CMD = 0x49,
    MSR_BIOS_UPDT_TRIG = 0x79,
    MSR_BIOS_SIGN_ID = 0x8b,
    MSR_MTRRCAP = 0xfe,
    MSR_ARCH_CAPABILITIES = 0x10a,
    MSR_TSC_DEADLINE = 0x6e0,
    MSR_XSS = 0xda0,
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175,
    MSR_SYSENTER_EIP = 0x176,
    MSR_MCG_CAP = 0x179,
    MSR_MCG_STATUS = 0x17a,
    MSR_MISC_ENABLE = 0x1a0,
    MSR_DEBUGCTL = 0x1d9,
    MSR_MTRR_PHYSBASE0 = 0x200,
    MSR_MTRR_FIX64K = 0x250,
    MSR_MTRR_FIX16K_80000 = 0x258,
    MSR_MTRR_FIX16K_A0000 = 0x259,
    MSR_MTRR_FIX4K_C0000 = 0x268,
    MSR_PAT = 0x277,
    MSR_MTRR_DEF_TYPE = 0x2ff,
    MSR_MC0_CTL = 0x400,
    MSR_EFER = 0xc0000080,
    MSR_STAR = 0xc0000081,
    MSR_LSTAR = 0xc0000082,
    MSR_CSTAR = 0xc0000083,
    MSR_FMASK = 0xc0000084,
    MSR_FS_BASE = 0xc0000100,
    MSR_GS_BASE = 0xc0000101,
    MSR_KERNEL_GS_BASE = 0xc0000102,
    MSR_TSC_AUX = 0xc0000103,
    /* AMD's: APM 2 appendix A */
    MSR_SYSCFG = 0xc0010010,
    MSR_HWCR = 0xc0010015,
    MSR_NB_CFG = 0xc001001f,
    MSR_INT_PENDING = 0xc0010055,
};

/* "X2APIC MSRs": SDM 3A §11.12.1.2 */
static bool is_x2apic(uint32_t msr)
{
    return msr >= 0x800 && msr <= 0x8ff;
}

#define MTRR_VARIABLE 8
#define MC_BANKS      10

/* No Meltdown-class bugs: there is no speculation to leak (SDM 4 table 2-2, 10AH). */
#define ARCH_CAPS                                                                       \
    (BIT64(0) /* RDCL_NO */ | BIT64(1) /* IBRS_ALL */ | BIT64(3) /* SKIP_L1DFL */ |     \
     BIT64(4) /* SSB_NO */ | BIT64(5) /* MDS_NO */ | BIT64(6) /* IF_PSCHANGE_MC_NO */ | \
     BIT64(8) /* TAA_NO */ | BIT64(13) /* SBDR_SSDP_NO */ | BIT64(14) /* FBSDP_NO */ |  \
     BIT64(15) /* PSDP_NO */ | BIT64(20) /* BHI_NO */ | BIT64(24) /* PBRSB_NO */ |      \
     BIT64(26) /* GDS_NO */ | BIT64(27) /* RFDS_NO */ | BIT64(62) /* ITS_NO */)

uint64_t tsc_read(struct cpu *cpu)
{
    const uint64_t ns = (uint64_t)event_now(cpu->time);
    const uint64_t ticks = cpu->tsc_hz == (uint64_t)NS_PER_SEC
                               ? ns
                               : (uint64_t)((unsigned __int128)ns * cpu->tsc_hz / NS_PER_SEC);
    return ticks + (uint64_t)cpu->tsc_offset;
}

/*
 * When the TSC will have reached this value; one that is past counts as now, one beyond what guest
 * time can count never comes.
 */
static int64_t tsc_due_ns(struct cpu *cpu, uint64_t tsc)
{
    const uint64_t now = tsc_read(cpu);
    const int64_t now_ns = event_now(cpu->time);
    if (tsc <= now)
        return now_ns;
    const unsigned __int128 ns =
        ((unsigned __int128)(tsc - now) * NS_PER_SEC + cpu->tsc_hz - 1) / cpu->tsc_hz;
    return ns >= (uint64_t)(EVENT_NEVER - now_ns) ? EVENT_NEVER : now_ns + (int64_t)ns;
}

static bool write_tsc_deadline(struct cpu *cpu, uint64_t v)
{
    if (!cpu->feat.has[FEAT_TSC_DEADLINE] || !cpu->hooks.set_tsc_deadline)
        return false;
    cpu->hooks.set_tsc_deadline(cpu->hooks.opaque, v, tsc_due_ns(cpu, v));
    return true;
}

/* The TSC leaps: a deadline that is armed comes the sooner or the later. */
static void move_tsc(struct cpu *cpu, uint64_t by)
{
    cpu->tsc_offset = (int64_t)((uint64_t)cpu->tsc_offset + by);
    const uint64_t deadline =
        cpu->hooks.tsc_deadline ? cpu->hooks.tsc_deadline(cpu->hooks.opaque) : 0;
    if (deadline)
        write_tsc_deadline(cpu, deadline);
}

static uint64_t *fixed_mtrr(struct cpu *cpu, uint32_t msr)
{
    if (msr == MSR_MTRR_FIX64K)
        return &cpu->msr_mtrr_fixed[0];
    if (msr == MSR_MTRR_FIX16K_80000 || msr == MSR_MTRR_FIX16K_A0000)
        return &cpu->msr_mtrr_fixed[1 + msr - MSR_MTRR_FIX16K_80000];
    if (msr >= MSR_MTRR_FIX4K_C0000 && msr < MSR_MTRR_FIX4K_C0000 + 8)
        return &cpu->msr_mtrr_fixed[3 + msr - MSR_MTRR_FIX4K_C0000];
    return NULL;
}

static bool is_variable_mtrr(uint32_t msr)
{
    return msr >= MSR_MTRR_PHYSBASE0 && msr < MSR_MTRR_PHYSBASE0 + 2 * MTRR_VARIABLE;
}

/* The registers that are only stored; NULL: not one of them. */
static uint64_t *plain(struct cpu *cpu, uint32_t msr)
{
    if (is_variable_mtrr(msr))
        return &cpu->msr_mtrr_var[msr - MSR_MTRR_PHYSBASE0];
    if (msr >= MSR_MC0_CTL && msr < MSR_MC0_CTL + 4 * MC_BANKS)
        return &cpu->msr_mc[msr - MSR_MC0_CTL];
    uint64_t *fixed = fixed_mtrr(cpu, msr);
    if (fixed)
        return fixed;
    switch (msr) {
    case MSR_MISC_ENABLE:
        return &cpu->msr_misc_enable;
    case MSR_MTRR_DEF_TYPE:
        return &cpu->msr_mtrr_def_type;
    case MSR_MCG_STATUS:
        return &cpu->msr_mcg_status;
    case MSR_STAR:
        return &cpu->msr_star;
    /* nothing of what these turn on is there: memory types by MTRR, clocks, PCI through CF8h, C1E
     */
    case MSR_SYSCFG:
        return &cpu->msr_syscfg;
    case MSR_HWCR:
        return &cpu->msr_hwcr;
    case MSR_NB_CFG:
        return &cpu->msr_nb_cfg;
    case MSR_INT_PENDING:
        return &cpu->msr_int_pending;
    default:
        return NULL;
    }
}

/*
 * What may not be set in a register that is only stored: SDM 3A §12.11.2 "Setting Memory Ranges
 * with MTRRs"; SDM 3B §16.3.2 (software clears a bank's status, address and rest, it does not write
 * them); SDM 4 table 2-2.
 */
static uint64_t reserved(const struct cpu *cpu, uint32_t msr)
{
    const uint64_t beyond = ~UINT64_C(0) << cpu->feat.phys_bits;
    if (is_variable_mtrr(msr))
        return beyond | ((msr - MSR_MTRR_PHYSBASE0) & 1 ? 0x7ff : 0xf00);
    if (msr >= MSR_MC0_CTL && msr < MSR_MC0_CTL + 4 * MC_BANKS)
        return (msr - MSR_MC0_CTL) & 3 ? ~UINT64_C(0) : 0;
    switch (msr) {
    case MSR_MTRR_DEF_TYPE:
        return ~UINT64_C(0xcff);
    case MSR_MCG_STATUS:
        return ~UINT64_C(7);
    case MSR_MISC_ENABLE: /* fast strings, MONITOR; the rest is of parts that are not there */
        return ~(BIT64(0) | (cpu->feat.has[FEAT_MONITOR] ? BIT64(18) : 0));
    default:
        return 0;
    }
}

static bool mtrr_type_valid(unsigned t)
{
    return t <= 6 && t != 2 && t != 3;
}

/* Memory types: one in a base and the default type, one in each byte of a fixed range. */
static bool types_valid(struct cpu *cpu, uint32_t msr, uint64_t v)
{
    if (fixed_mtrr(cpu, msr)) {
        for (unsigned i = 0; i < 64; i += 8)
            if (!mtrr_type_valid((v >> i) & 0xff))
                return false;
        return true;
    }
    const bool has_type = msr == MSR_MTRR_DEF_TYPE ||
                          (is_variable_mtrr(msr) && ((msr - MSR_MTRR_PHYSBASE0) & 1) == 0);
    return !has_type || mtrr_type_valid(v & 0xff);
}

/* Those that hold a linear address and must be canonical. */
static uint64_t *address(struct cpu *cpu, uint32_t msr)
{
    switch (msr) {
    case MSR_SYSENTER_ESP:
        return &cpu->msr_sysenter_esp;
    case MSR_SYSENTER_EIP:
        return &cpu->msr_sysenter_eip;
    case MSR_LSTAR:
        return &cpu->msr_lstar;
    case MSR_CSTAR:
        return &cpu->msr_cstar;
    case MSR_FS_BASE:
        return &cpu->seg[SEG_FS].base;
    case MSR_GS_BASE:
        return &cpu->seg[SEG_GS].base;
    case MSR_KERNEL_GS_BASE:
        return &cpu->msr_kernel_gs_base;
    default:
        return NULL;
    }
}

/* Registers that came with a feature. Those of one alone are looked after where they are read. */
static bool exists(const struct cpu *cpu, uint32_t msr)
{
    static const struct {
        uint32_t first, last;
        enum cpu_feature feature;
    } table[] = {
        {MSR_TSC, MSR_TSC, FEAT_TSC},
        {MSR_APIC_BASE, MSR_APIC_BASE, FEAT_APIC},
        {MSR_SYSENTER_CS, MSR_SYSENTER_EIP, FEAT_SEP},
        {MSR_MTRRCAP, MSR_MTRRCAP, FEAT_MTRR},
        {MSR_MTRR_PHYSBASE0, MSR_MTRR_FIX4K_C0000 + 7, FEAT_MTRR},
        {MSR_MTRR_DEF_TYPE, MSR_MTRR_DEF_TYPE, FEAT_MTRR},
        {MSR_MCG_CAP, MSR_MCG_STATUS, FEAT_MCA},
        {MSR_MC0_CTL, MSR_MC0_CTL + 4 * MC_BANKS - 1, FEAT_MCA},
        {MSR_PAT, MSR_PAT, FEAT_PAT},
        {MSR_STAR, MSR_STAR, FEAT_SYSCALL},
        {MSR_LSTAR, MSR_FMASK, FEAT_LM},
        {MSR_FS_BASE, MSR_KERNEL_GS_BASE, FEAT_LM},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
        if (msr >= table[i].first && msr <= table[i].last)
            return cpu->feat.has[table[i].feature];
    switch (msr) {
    case MSR_EFER: /* whose bits came one by one */
        return cpu->feat.has[FEAT_SYSCALL] || cpu->feat.has[FEAT_NX] || cpu->feat.has[FEAT_LM];
    case MSR_PLATFORM_ID:
    case MSR_BIOS_UPDT_TRIG:
        return !cpu->feat.amd && cpu_family(&cpu->feat) >= 6;
    case MSR_BIOS_SIGN_ID:
    case MSR_DEBUGCTL:
        return cpu_family(&cpu->feat) >= 6;
    case MSR_SYSCFG:
    case MSR_HWCR:
    case MSR_NB_CFG:
        return cpu->feat.amd;
    case MSR_INT_PENDING: /* BKDG of families 0Fh to 16h */
        return cpu->feat.amd && cpu_family(&cpu->feat) >= 0xf && cpu_family(&cpu->feat) < 0x17;
    case MSR_MISC_ENABLE:
    case MSR_FEATURE_CONTROL: /* from the Pentium 4 and the Core on */
        return !cpu->feat.amd && (cpu_family(&cpu->feat) > 6 || cpu_model_number(&cpu->feat) >= 13);
    default:
        return true;
    }
}

static bool absent(struct cpu *cpu, uint32_t msr)
{
    if (exists(cpu, msr))
        return false;
    log_guest(cpu->log, "MSR %#x is not there on CPU model %s", msr, cpu->feat.model);
    return true;
}

bool msr_read(struct cpu *cpu, uint32_t msr, uint64_t *v)
{
    if (absent(cpu, msr))
        return false;
    const uint64_t *p = plain(cpu, msr);
    if (!p)
        p = address(cpu, msr);
    if (p) {
        *v = *p;
        return true;
    }
    if (is_x2apic(msr)) {
        world_enter_device(cpu->world);
        const bool ok =
            cpu->hooks.x2apic_msr && cpu->hooks.x2apic_msr(cpu->hooks.opaque, false, msr, v);
        world_leave(cpu->world);
        return ok;
    }
    switch (msr) {
    case MSR_TSC:
        *v = tsc_read(cpu);
        return true;
    case MSR_APIC_BASE:
        *v = cpu->hooks.apic_base ? cpu->hooks.apic_base(cpu->hooks.opaque) : 0;
        return true;
    case MSR_PLATFORM_ID:
        *v = 0;
        return true;
    case MSR_FEATURE_CONTROL:
        *v = 1; /* locked, with VMX and SGX off */
        return true;
    case MSR_BIOS_SIGN_ID:
        *v = UINT64_C(1) << 32; /* microcode revision, in the upper half */
        return true;
    case MSR_TSC_ADJUST: /* what was written into the TSC, summed up: our offset */
        *v = (uint64_t)cpu->tsc_offset;
        return cpu->feat.has[FEAT_TSC_ADJUST];
    case MSR_TSC_DEADLINE:
        if (!cpu->feat.has[FEAT_TSC_DEADLINE] || !cpu->hooks.tsc_deadline)
            return false;
        world_enter_device(cpu->world);
        *v = cpu->hooks.tsc_deadline(cpu->hooks.opaque);
        world_leave(cpu->world);
        return true;
    case MSR_MTRRCAP:
        *v = MTRR_VARIABLE | BIT(8) /* fixed ranges */ | BIT(10) /* write-combining */;
        return true;
    case MSR_MCG_CAP:
        *v = MC_BANKS;
        return true;
    case MSR_SYSENTER_CS:
        *v = cpu->msr_sysenter_cs;
        return true;
    case MSR_DEBUGCTL:
        *v = cpu->msr_debugctl;
        return true;
    case MSR_PAT:
        *v = cpu->msr_pat;
        return true;
    case MSR_EFER:
        *v = cpu->efer;
        return true;
    case MSR_FMASK:
        *v = cpu->msr_fmask;
        return true;
    case MSR_TSC_AUX:
        *v = cpu->msr_tsc_aux;
        return cpu->feat.has[FEAT_RDTSCP] || cpu->feat.has[FEAT_RDPID];
    case MSR_XSS: /* no supervisor components */
        *v = 0;
        return cpu->feat.has[FEAT_XSAVES];
    case MSR_SPEC_CTRL:
        *v = cpu->msr_spec_ctrl;
        return cpu->feat.has[FEAT_SPEC_CTRL];
    case MSR_ARCH_CAPABILITIES:
        *v = ARCH_CAPS;
        return cpu->feat.has[FEAT_ARCH_CAPABILITIES];
    default:
        log_guest(cpu->log, "RDMSR of unknown MSR %#x", msr);
        return false;
    }
}

static bool write_efer(struct cpu *cpu, uint64_t v)
{
    const uint64_t allowed = (cpu->feat.has[FEAT_SYSCALL] ? EFER_SCE : 0) |
                             (cpu->feat.has[FEAT_NX] ? EFER_NXE : 0) |
                             (cpu->feat.has[FEAT_LM] ? EFER_LME | EFER_LMA : 0);
    if (v & ~allowed)
        return false;
    if (((v ^ cpu->efer) & EFER_LME) && (cpu->cr0 & CR0_PG))
        return false;
    v = (v & ~EFER_LMA) | (cpu->efer & EFER_LMA);
    const bool flush = (v ^ cpu->efer) & EFER_NXE;
    cpu->efer = v;
    if (flush)
        cpu_flush_tlb(cpu);
    cpu_update_mode(cpu);
    return true;
}

/* Every byte a memory type: 0, 1, 4, 5, 6, 7 (SDM 3A §11.12.2). */
static bool pat_valid(uint64_t v)
{
    for (unsigned i = 0; i < 64; i += 8) {
        const unsigned t = (v >> i) & 0xff;
        if (t > 7 || t == 2 || t == 3)
            return false;
    }
    return true;
}

/* IBRS, STIBP and SSBD may be set wherever there is the register: SDM 4 table 2-2, 48H. */
static bool write_spec_ctrl(struct cpu *cpu, uint64_t v)
{
    const uint64_t bhi_dis_s = cpu->feat.has[FEAT_BHI_CTRL] ? BIT64(10) : 0;
    if (!cpu->feat.has[FEAT_SPEC_CTRL] || (v & ~(UINT64_C(7) | bhi_dis_s)))
        return false;
    cpu->msr_spec_ctrl = v;
    return true;
}

/*
 * SDM 3B §17.4.1 "IA32_DEBUGCTL MSR". Of it there is BTF; LBR may be set, as on any processor since
 * the P6, but there are no last-branch records, so it reads as 0 again.
 */
static bool write_debugctl(struct cpu *cpu, uint64_t v)
{
    if (v & ~(DEBUGCTL_LBR | DEBUGCTL_BTF))
        return false;
    if (v & DEBUGCTL_LBR)
        log_unimp(cpu->log, "last-branch records (IA32_DEBUGCTL.LBR)");
    cpu->msr_debugctl = v & DEBUGCTL_BTF;
    return true;
}

static bool write_other(struct cpu *cpu, uint32_t msr, uint64_t v)
{
    if (is_x2apic(msr))
        return cpu->hooks.x2apic_msr && cpu->hooks.x2apic_msr(cpu->hooks.opaque, true, msr, &v);
    switch (msr) {
    case MSR_TSC:
        move_tsc(cpu, v - tsc_read(cpu));
        return true;
    case MSR_TSC_ADJUST:
        if (!cpu->feat.has[FEAT_TSC_ADJUST])
            return false;
        move_tsc(cpu, v - (uint64_t)cpu->tsc_offset);
        return true;
    case MSR_TSC_DEADLINE:
        return write_tsc_deadline(cpu, v);
    case MSR_APIC_BASE:
        if (v >> cpu->feat.phys_bits)
            return false;
        return cpu->hooks.set_apic_base && cpu->hooks.set_apic_base(cpu->hooks.opaque, v);
    case MSR_BIOS_UPDT_TRIG:
    case MSR_BIOS_SIGN_ID:
        return true; /* a microcode update that changes nothing */
    case MSR_SYSENTER_CS:
        cpu->msr_sysenter_cs = (uint32_t)v;
        return true;
    case MSR_DEBUGCTL:
        return write_debugctl(cpu, v);
    case MSR_PAT:
        if (!pat_valid(v))
            return false;
        cpu->msr_pat = v;
        return true;
    case MSR_EFER:
        return write_efer(cpu, v);
    case MSR_FMASK:
        cpu->msr_fmask = (uint32_t)v;
        return true;
    case MSR_TSC_AUX:
        if (!(cpu->feat.has[FEAT_RDTSCP] || cpu->feat.has[FEAT_RDPID]) || (v >> 32))
            return false;
        cpu->msr_tsc_aux = v;
        return true;
    case MSR_XSS:
        return cpu->feat.has[FEAT_XSAVES] && !v;
    case MSR_SPEC_CTRL:
        return write_spec_ctrl(cpu, v);
    case MSR_PRED_CMD:
        return (cpu->feat.has[FEAT_SPEC_CTRL] || cpu->feat.has[FEAT_IBPB]) && !(v & ~UINT64_C(1));
    default:
        log_guest(cpu->log, "WRMSR of unknown MSR %#x = %#llx", msr, (unsigned long long)v);
        return false;
    }
}

bool msr_write(struct cpu *cpu, uint32_t msr, uint64_t v)
{
    if (absent(cpu, msr))
        return false;
    uint64_t *p = address(cpu, msr);
    if (p) {
        if (!cpu_canonical_base(cpu, v))
            return false;
        *p = v;
        return true;
    }
    p = plain(cpu, msr);
    if (p) {
        if (v & reserved(cpu, msr) || !types_valid(cpu, msr, v))
            return false;
        *p = v;
        return true;
    }
    world_enter_device(cpu->world); /* some of them are devices' */
    const bool ok = write_other(cpu, msr, v);
    world_leave(cpu->world);
    return ok;
}
