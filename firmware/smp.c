/*
 * The processors: the first one's local APIC in virtual wire mode, memory types, and the others
 * brought up once and halted, so that they are counted and in a known state.
 *
 * SDM 3A §11.4 "Local APIC", §9.4 "Multiple-Processor (MP) Initialization", §12.11 "Memory Type
 * Range Registers (MTRRs)"; MP 1.4 §3.6.2.2 "Virtual Wire Mode".
 */
#include "smp.h"

#include "fwcfg.h"
#include "io.h"
#include "post.h"
#include "print.h"
#include "ram.h"
#include "timer.h"

#define APIC_BASE          0xFEE00000u
#define APIC_ID            0x020
#define APIC_SVR           0x0F0
#define APIC_ICR_LOW       0x300
#define APIC_ICR_HIGH      0x310
#define APIC_LVT_LINT0     0x350
#define APIC_LVT_LINT1     0x360

#define SVR_ENABLE         0x100
#define LVT_EXTINT         0x700
#define LVT_NMI            0x400

#define ICR_INIT           0x500
#define ICR_STARTUP        0x600
#define ICR_ASSERT         0x4000
#define ICR_PENDING        0x1000
#define ICR_ALL_BUT_SELF   0xC0000

#define CPUID_APIC         BIT(9)
#define CPUID_MTRR         BIT(12)

#define CMOS_CPUS_LESS_ONE 0x5F
#define AP_TIMEOUT_MS      1000

#define MSR_MTRRCAP        0xFE
#define MSR_PHYSBASE0      0x200
#define MSR_FIX64K         0x250
#define MSR_FIX16K_80000   0x258
#define MSR_FIX16K_A0000   0x259
#define MSR_FIX4K_C0000    0x268
#define MSR_DEF_TYPE       0x2FF

#define TYPE_UC            0x00
#define TYPE_WP            0x05
#define TYPE_WB            0x06
#define MTRR_ENABLE        BIT(11)
#define MTRR_FIXED_ENABLE  BIT(10)
#define PHYSMASK_VALID     BIT(11)

/* What the other processors write into their MSRs (smp_entry.S); ends with MSR 0. */
struct ap_msr {
    uint32_t msr, low, high;
};

#define AP_MSRS 20

struct ap_msr ap_msrs[AP_MSRS + 1];
volatile uint32_t ap_count;
uint8_t cpu_apic_id[MAX_CPUS];

static unsigned msr_count;

extern const uint8_t ap_start[], ap_start_end[];

struct cpuid_out {
    uint32_t a, b, c, d;
};

static struct cpuid_out cpuid(uint32_t leaf)
{
    struct cpuid_out o;
    __asm__ volatile("cpuid" : "=a"(o.a), "=b"(o.b), "=c"(o.c), "=d"(o.d) : "a"(leaf), "c"(0));
    return o;
}

uint32_t cpu_signature(void)
{
    return cpuid(1).a;
}

uint32_t cpu_features(void)
{
    return cpuid(1).d;
}

static uint32_t apic_read(unsigned reg)
{
    return *(volatile uint32_t *)(APIC_BASE + reg);
}

static void apic_write(unsigned reg, uint32_t v)
{
    *(volatile uint32_t *)(APIC_BASE + reg) = v;
}

/* Before: the 8259s' interrupt does not reach the processor. After: through LINT0, as ExtINT. */
void apic_init(void)
{
    if (!(cpu_features() & CPUID_APIC))
        return;
    apic_write(APIC_SVR, SVR_ENABLE | 0xff);
    apic_write(APIC_LVT_LINT0, LVT_EXTINT);
    apic_write(APIC_LVT_LINT1, LVT_NMI);
}

/* ---- memory types ---- */

static uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

/* Here, and on every other processor later. */
static void wrmsr_all(uint32_t msr, uint64_t v)
{
    __asm__ volatile("wrmsr" : : "a"((uint32_t)v), "d"((uint32_t)(v >> 32)), "c"(msr));
    if (msr_count < AP_MSRS)
        ap_msrs[msr_count++] = (struct ap_msr){msr, (uint32_t)v, (uint32_t)(v >> 32)};
}

static uint64_t address_mask(void)
{
    unsigned bits = 36;
    if (cpuid(0x80000000).a >= 0x80000008)
        bits = cpuid(0x80000008).a & 0xff;
    return bits >= 64 ? ~0ull : (1ull << bits) - 1;
}

/* RAM is write-back by default; what is not RAM below 4 GiB is uncacheable. */
static void set_mtrrs(void)
{
    if (!(cpu_features() & CPUID_MTRR))
        return;
    const uint64_t cap = rdmsr(MSR_MTRRCAP);
    const unsigned variable = cap & 0xff;
    const bool fixed = cap & BIT(8);
    wrmsr_all(MSR_DEF_TYPE, 0);
    if (fixed) {
        wrmsr_all(MSR_FIX64K, TYPE_WB * 0x0101010101010101ull);
        wrmsr_all(MSR_FIX16K_80000, TYPE_WB * 0x0101010101010101ull);
        wrmsr_all(MSR_FIX16K_A0000, TYPE_UC);
        for (uint32_t i = 0; i < 8; i++)
            wrmsr_all(MSR_FIX4K_C0000 + i, TYPE_WP * 0x0101010101010101ull);
    }
    /* from the largest power of two that holds no RAM, up to 4 GiB; one register does */
    uint32_t start = 0x80000000u;
    while (start < ram_top_low())
        start = start >> 1 | 0x80000000u;
    if (variable) {
        wrmsr_all(MSR_PHYSBASE0, start | TYPE_UC);
        wrmsr_all(MSR_PHYSBASE0 + 1,
                  (address_mask() & ~(0x100000000ull - start - 1)) | PHYSMASK_VALID);
    }
    wrmsr_all(MSR_DEF_TYPE, TYPE_WB | MTRR_ENABLE | (fixed ? MTRR_FIXED_ENABLE : 0));
}

/* ---- the others ---- */

static void send_ipi(uint32_t command)
{
    struct timeout t = timeout_ms(AP_TIMEOUT_MS);
    apic_write(APIC_ICR_LOW, command | ICR_ALL_BUT_SELF);
    while ((apic_read(APIC_ICR_LOW) & ICR_PENDING) && !timed_out(&t))
        ;
}

static uint32_t expected_cpus(void)
{
    const uint32_t n = fwcfg_u16(FWCFG_NB_CPUS);
    return n ? n : cmos_read(CMOS_CPUS_LESS_ONE) + 1u;
}

unsigned cpu_count(void)
{
    return ap_count + 1;
}

/*
 * INIT, then two start-up IPIs, as SDM 3A §9.4.4 "MP Initialization Example" has it. Each of the
 * others counts itself, notes its APIC ID, sets its memory types and halts in segment F000h.
 */
void smp_init(void)
{
    set_mtrrs();
    if (!(cpu_features() & CPUID_APIC))
        return;
    cpu_apic_id[0] = (uint8_t)(apic_read(APIC_ID) >> 24);
    const uint32_t expected = expected_cpus();
    if (expected < 2)
        return;
    memcpy((void *)AP_START, ap_start, (size_t)(ap_start_end - ap_start));
    send_ipi(ICR_INIT | ICR_ASSERT);
    delay_us(10000);
    send_ipi(ICR_STARTUP | ICR_ASSERT | AP_START >> 12);
    delay_us(200);
    struct timeout t = timeout_ms(AP_TIMEOUT_MS);
    if (ap_count + 1 < expected)
        send_ipi(ICR_STARTUP | ICR_ASSERT | AP_START >> 12);
    while (ap_count + 1 < expected && !timed_out(&t))
        __asm__ volatile("pause");
    if (ap_count + 1 != expected)
        print("%u processors answered, %u were expected\n", ap_count + 1, expected);
}
