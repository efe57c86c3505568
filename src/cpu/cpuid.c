/*
 * CPUID, from features.def. SDM 2A "CPUID".
 *
 * This file is compiled to use general registers only, and so is what it calls: host code calls it
 * while the guest's vector and x87 registers are in the host's.
 */
#include "cpu/sys.h"
#include "cpu/xsave.h"

enum { EAX, EBX, ECX, EDX };

struct feature_bit {
    uint32_t leaf, subleaf;
    uint8_t reg, bit;
};
static const struct feature_bit feature_bits[FEAT_COUNT] = {
#define FEATURE(name, leaf, sub, reg, bit, flag) {leaf, sub, reg, bit},
#include "cpu/features.def"
#undef FEATURE
};

#define LEAF_BIT(leaf) BIT64(((leaf) >> 31 << 5) | ((leaf)&31))
/* Leaves with a feature in them. */
static const uint64_t featured = 0
#define FEATURE(name, leaf, sub, reg, bit, flag) | LEAF_BIT((uint64_t)leaf)
#include "cpu/features.def"
#undef FEATURE
    ;

static void add_features(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
    if (!(featured & LEAF_BIT((uint64_t)leaf)))
        return;
    for (unsigned i = 0; i < FEAT_COUNT; i++) {
        const struct feature_bit *f = &feature_bits[i];
        if (cpu->feat.has[i] && f->leaf == leaf && f->subleaf == subleaf)
            r[f->reg] |= BIT(f->bit);
    }
}

/* n registers of four characters */
static void put_name(uint32_t *out, const char *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        out[i] = ld32(s + 4 * i);
}

static void leaf_vendor(const struct cpu *cpu, uint32_t max, uint32_t r[4])
{
    r[EAX] = max;
    put_name(&r[EBX], cpu->feat.vendor, 1);
    put_name(&r[EDX], cpu->feat.vendor + 4, 1);
    put_name(&r[ECX], cpu->feat.vendor + 8, 1);
}

static void leaf_version(const struct cpu *cpu, uint32_t r[4])
{
    r[EAX] = cpu->feat.signature;
    const unsigned cpus = topology_socket_cpus(&cpu->topology);
    r[EBX] = cpu->apic_id << 24 | MIN(cpus, 255) << 16;
    if (cpu->feat.has[FEAT_CLFSH])
        r[EBX] |= 8u << 8; /* 64 bytes */
    if (cpus > 1)
        r[EDX] |= BIT(28); /* HTT: the count in EBX is valid */
    if (cpu->cr4 & CR4_OSXSAVE)
        r[ECX] |= BIT(27);
}

/*
 * Deterministic cache parameters: 32 KiB L1s and 1 MiB L2 a core, 16 MiB L3 a socket. Who shares a
 * cache, and how many cores there are, is told as a number of APIC IDs. Leaf 8000001Dh of AMD's has
 * the same but for the cores (APM 3 §E.4.15).
 */
static void leaf_cache(const struct cpu *cpu, uint32_t subleaf, uint32_t r[4])
{
    static const struct {
        uint32_t type, level, ways, sets;
    } cache[] = {{1, 1, 8, 64}, {2, 1, 8, 64}, {3, 2, 16, 1024}, {3, 3, 16, 16384}};
    if (subleaf >= ARRAY_SIZE(cache))
        return;
    const unsigned core = topology_core_shift(&cpu->topology);
    const unsigned socket = topology_socket_shift(&cpu->topology);
    const uint32_t sharing = BIT(cache[subleaf].level == 3 ? socket : core) - 1;
    const uint32_t cores = cpu->feat.amd ? 0 : MIN(BIT(socket - core) - 1, 63);
    r[EAX] = cache[subleaf].type | cache[subleaf].level << 5 | BIT(8) | sharing << 14 | cores << 26;
    r[EBX] = (cache[subleaf].ways - 1) << 22 | (64 - 1);
    r[ECX] = cache[subleaf].sets - 1;
}

/* Leaf Bh and 1Fh, "Extended Topology Enumeration": threads of a core, then cores of a socket. */
static void leaf_topology(const struct cpu *cpu, uint32_t subleaf, uint32_t r[4])
{
    const struct cpu_topology *t = &cpu->topology;
    enum { SMT = 1, CORE = 2 };
    r[ECX] = subleaf & 0xff;
    if (subleaf == 0) {
        r[EAX] = topology_core_shift(t);
        r[EBX] = topology_threads(t);
        r[ECX] |= SMT << 8;
    } else if (subleaf == 1) {
        r[EAX] = topology_socket_shift(t);
        r[EBX] = topology_socket_cpus(t);
        r[ECX] |= CORE << 8;
    }
    r[EDX] = cpu->apic_id;
}

/* Which components there are, and how large an area holds those enabled and all of them. */
static void leaf_xsave(const struct cpu *cpu, uint32_t subleaf, uint32_t r[4])
{
    if (!cpu->feat.has[FEAT_XSAVE])
        return;
    if (subleaf >= 2 && subleaf < XSAVE_COMPONENTS &&
        cpu->feat.has[xsave_components[subleaf].feature]) {
        r[EAX] = xsave_components[subleaf].size;
        r[EBX] = xsave_components[subleaf].offset;
    }
    if (subleaf == 1 && (cpu->feat.has[FEAT_XSAVEC] || cpu->feat.has[FEAT_XSAVES]))
        r[EBX] = xsave_compacted_size(cpu->xcr0);
    if (subleaf != 0)
        return;
    r[EAX] = (uint32_t)xsave_supported(&cpu->feat);
    r[EBX] = xsave_area_size(cpu->xcr0);
    r[ECX] = xsave_area_size(xsave_supported(&cpu->feat));
}

static void leaf_features(const struct cpu *cpu, uint32_t subleaf, uint32_t r[4])
{
    if (subleaf != 0)
        return;
    r[EAX] = cpu->feat.has[FEAT_BHI_CTRL] ? 2 : 0; /* highest subleaf */
    if (cpu->cr4 & CR4_PKE)
        r[ECX] |= BIT(4); /* OSPKE */
}

/* Leaves 2 and 4 are reserved on AMD's. */
static void leaf_basic(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
    const bool amd = cpu->feat.amd;
    switch (leaf) {
    case 0:
        leaf_vendor(cpu, cpu->feat.level, r);
        break;
    case 1:
        leaf_version(cpu, r);
        break;
    case 2: /* caches: see leaf 4 (FFh); prefetch 64 bytes (F0h) */
        if (amd)
            break;
        r[EAX] = 0x76036301; /* ITLB 8 large; DTLB 64; DTLB 32 large */
        r[EBX] = cpu->feat.level >= 4 ? 0x00f0b5ff : 0xb5; /* ITLB 64 */
        r[EDX] = 0x00c30000; /* second level: 1536 of 4 KiB and 2 MiB */
        break;
    case 4:
        if (!amd)
            leaf_cache(cpu, subleaf, r);
        break;
    case 5:
        r[EAX] = r[EBX] = cpu->feat.has[FEAT_MONITOR] ? 64 : 0;
        r[ECX] = cpu->feat.has[FEAT_MONITOR] ? 3 : 0;
        break;
    case 7:
        leaf_features(cpu, subleaf, r);
        break;
    case 0xb:
    case 0x1f:
        leaf_topology(cpu, subleaf, r);
        break;
    case 0xd:
        leaf_xsave(cpu, subleaf, r);
        break;
    case 0x15: /* TSC = crystal * EBX / EAX */
        r[EAX] = 1;
        r[EBX] = 1;
        r[ECX] = (uint32_t)cpu->tsc_hz;
        break;
    case 0x16:
        r[EAX] = r[EBX] = (uint32_t)(cpu->tsc_hz / 1000000);
        r[ECX] = 100;
        break;
    default:
        break;
    }
}

/* What only AMD's have in these: the caches of leaf 4 in other words, and who is who. APM 3 §E.4
 * "Extended Feature Function Numbers" */
static void leaf_extended_amd(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
    const struct cpu_topology *t = &cpu->topology;
    const unsigned cpus = topology_socket_cpus(t);
    switch (leaf) {
    case 0x80000000:
        leaf_vendor(cpu, cpu->feat.xlevel, r);
        break;
    case 0x80000001:
        r[EAX] = cpu->feat.signature;
        /* what leaf 1 says once more */
        add_features(cpu, 1, 0, r);
        r[EBX] = r[ECX] = 0;
        r[EDX] &= UINT32_C(0x0183f3ff);
        if (cpus > 1)
            r[ECX] |= BIT(1); /* CmpLegacy: HTT means cores */
        break;
    case 0x80000005:
        r[EAX] = r[EBX] = 0xff20ff20; /* TLBs of 32 entries, fully associative */
        r[ECX] = r[EDX] = 32u << 24 | 8u << 16 | 1u << 8 | 64;
        break;
    case 0x80000006:
        r[ECX] = 1024u << 16 | 8u << 12 | 1u << 8 | 64;
        r[EDX] = 32u << 18 | 8u << 12 | 1u << 8 | 64;
        break;
    case 0x80000008:
        r[ECX] = topology_socket_shift(t) << 12 | (MIN(cpus, 256) - 1);
        break;
    case 0x8000001d:
        if (cpu->feat.has[FEAT_TOPOEXT])
            leaf_cache(cpu, subleaf, r);
        break;
    case 0x8000001e:
        if (!cpu->feat.has[FEAT_TOPOEXT])
            break;
        r[EAX] = cpu->apic_id;
        r[EBX] = (topology_threads(t) - 1) << 8 |
                 (cpu->apic_id & (BIT(topology_socket_shift(t)) - 1)) >> topology_core_shift(t);
        break;
    default:
        break;
    }
}

static void leaf_extended(const struct cpu *cpu, uint32_t leaf, uint32_t r[4])
{
    switch (leaf) {
    case 0x80000000:
        r[EAX] = cpu->feat.xlevel;
        break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
        put_name(r, cpu->feat.brand + 16 * (leaf - 0x80000002), 4);
        break;
    case 0x80000006:
        r[ECX] = 1024u << 16 | 8u << 12 | 64; /* L2 */
        break;
    case 0x80000008: {
        const unsigned linear = cpu->feat.has[FEAT_LA57] ? 57 : cpu->feat.has[FEAT_LM] ? 48 : 32;
        r[EAX] = cpu->feat.phys_bits | linear << 8;
        break;
    }
    default:
        break;
    }
}

/* CPUID.1:EDX.APIC shows IA32_APIC_BASE's enable bit (SDM 3A §11.4.3). */
static bool apic_off(const struct cpu *cpu)
{
    return cpu->hooks.apic_base && !(cpu->hooks.apic_base(cpu->hooks.opaque) & BIT(11));
}

void cpuid(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
    r[EAX] = r[EBX] = r[ECX] = r[EDX] = 0;
    if (leaf >= 0x40000000 && leaf < 0x40000100) {
        if (leaf == 0x40000000 && cpu->feat.has[FEAT_HYPERVISOR]) {
            r[EAX] = 0x40000000;
            put_name(&r[EBX], "VitrineVitri", 3);
        }
        return;
    }
    const uint32_t max = leaf < 0x80000000 ? cpu->feat.level : cpu->feat.xlevel;
    if (leaf > max) { /* Intel's give the last basic leaf there, AMD's zeros */
        if (cpu->feat.amd)
            return;
        leaf = cpu->feat.level;
    }
    if (leaf < 0x80000000)
        leaf_basic(cpu, leaf, subleaf, r);
    else
        leaf_extended(cpu, leaf, r);
    if (leaf >= 0x80000000 && cpu->feat.amd)
        leaf_extended_amd(cpu, leaf, subleaf, r);
    add_features(cpu, leaf, leaf == 7 || leaf == 0xd ? subleaf : 0, r);
    if (leaf == 1 && apic_off(cpu))
        r[EDX] &= ~(uint32_t)BIT(9);
    if (leaf == 1 && !cpu_monitor_on(cpu))
        r[ECX] &= ~(uint32_t)BIT(3);
    if (leaf == 0x80000001 && !cpu->feat.amd && !cpu_code64(cpu)) /* SDM 2A CPUID: a footnote */
        r[EDX] &= ~(uint32_t)BIT(11);
}

void cpuid_execute(struct cpu *cpu)
{
    uint32_t regs[4];
    cpuid(cpu, (uint32_t)cpu->r[REG_RAX], (uint32_t)cpu->r[REG_RCX], regs);
    cpu->r[REG_RAX] = regs[EAX];
    cpu->r[REG_RBX] = regs[EBX];
    cpu->r[REG_RCX] = regs[ECX];
    cpu->r[REG_RDX] = regs[EDX];
}
