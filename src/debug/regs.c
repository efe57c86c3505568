/*
 * See regs.h. Outside 64-bit code the general registers show their low halves, as QEMU does it;
 * bases and control registers are wide whenever the CPU is in long mode.
 */
#include "debug/regs.h"
#include "cpu/cpu_regs.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#define LINE_MAX_CHARS 200

struct out {
    void (*line)(void *, const char *);
    void *opaque;
    char text[LINE_MAX_CHARS];
    size_t len;
};

static __attribute__((format(printf, 2, 3))) void put(struct out *o, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(o->text + o->len, sizeof o->text - o->len, fmt, ap);
    va_end(ap);
    if (n > 0)
        o->len = MIN(o->len + (size_t)n, sizeof o->text - 1);
}

static void end(struct out *o)
{
    o->line(o->opaque, o->text);
    o->len = 0;
    o->text[0] = '\0';
}

unsigned regs_code_bits(const struct cpu *cpu)
{
    switch (cpu->mode & MODE_CODE_MASK) {
    case MODE_CODE16:
        return 16;
    case MODE_CODE32:
        return 32;
    default:
        return 64;
    }
}

/* --- general registers --- */

static void put_gprs(struct out *o, const struct cpu *cpu)
{
    static const struct {
        const char *name;
        uint8_t reg;
    } low[] = {
        {"AX", REG_RAX}, {"BX", REG_RBX}, {"CX", REG_RCX}, {"DX", REG_RDX},
        {"SI", REG_RSI}, {"DI", REG_RDI}, {"BP", REG_RBP}, {"SP", REG_RSP},
    };
    const bool wide = cpu_code64(cpu);
    for (unsigned i = 0; i < ARRAY_SIZE(low); i++) {
        if (wide)
            put(o, "R%s=%016" PRIx64, low[i].name, cpu->r[low[i].reg]);
        else
            put(o, "E%s=%08" PRIx32, low[i].name, (uint32_t)cpu->r[low[i].reg]);
        if (i % 4 == 3)
            end(o);
        else
            put(o, " ");
    }
    for (unsigned i = 8; wide && i < 16; i++) {
        put(o, "R%-2u=%016" PRIx64, i, cpu->r[i]);
        if (i % 4 == 3)
            end(o);
        else
            put(o, " ");
    }
}

static void put_flags(struct out *o, const struct cpu *cpu)
{
    const uint64_t f = cpu_get_rflags(cpu);
    if (cpu_code64(cpu))
        put(o, "RIP=%016" PRIx64 " RFL=%08" PRIx64, cpu->rip, f);
    else
        put(o, "EIP=%08" PRIx32 " EFL=%08" PRIx32, (uint32_t)cpu->rip, (uint32_t)f);
    put(o, " [%c%c%c%c%c%c%c] CPL=%d II=%d A20=%d SMM=0 HLT=%d", f & FLAG_DF ? 'D' : '-',
        f & FLAG_OF ? 'O' : '-', f & FLAG_SF ? 'S' : '-', f & FLAG_ZF ? 'Z' : '-',
        f & FLAG_AF ? 'A' : '-', f & FLAG_PF ? 'P' : '-', f & FLAG_CF ? 'C' : '-', cpu->cpl,
        cpu->shadow, (int)(cpu->mem ? cpu->mem->a20_mask >> 20 & 1 : 1), cpu->halted);
    end(o);
}

/* --- segments --- */

/* SDM 3A §3.5 "System Descriptor Types", Table 3-2: outside and inside long mode. */
static const char *system_type(bool lma, unsigned type)
{
    static const char *const names[2][16] = {
        {"Reserved", "TSS16-avl", "LDT", "TSS16-busy", "CallGate16", "TaskGate", "IntGate16",
         "TrapGate16", "Reserved", "TSS32-avl", "Reserved", "TSS32-busy", "CallGate32", "Reserved",
         "IntGate32", "TrapGate32"},
        {"<hiword>", "Reserved", "LDT", "Reserved", "Reserved", "Reserved", "Reserved", "Reserved",
         "Reserved", "TSS64-avl", "Reserved", "TSS64-busy", "CallGate64", "Reserved", "IntGate64",
         "TrapGate64"},
    };
    return names[lma][type];
}

/* Bits 8-23 of the descriptor's second half, the limit's top four bits among them. */
static uint32_t descriptor_flags(const struct segment *s)
{
    const uint32_t limit = s->attr & ATTR_G ? s->limit >> 12 : s->limit;
    return ((s->attr & 0xffff) << 8) | (limit & 0xf0000);
}

static void put_segment_type(struct out *o, const struct cpu *cpu, const struct segment *s)
{
    const uint32_t a = s->attr;
    put(o, " DPL=%u ", (a & ATTR_DPL) >> ATTR_DPL_SHIFT);
    if (!(a & ATTR_S)) {
        put(o, "%s", system_type(cpu_long(cpu), a & ATTR_TYPE));
        return;
    }
    if (a & ATTR_CODE)
        put(o, "%s [%c%c",
            a & ATTR_L    ? "CS64"
            : a & ATTR_DB ? "CS32"
                          : "CS16",
            a & ATTR_EC ? 'C' : '-', a & ATTR_RW ? 'R' : '-');
    else
        put(o, "%s [%c%c", a & ATTR_DB || cpu_long(cpu) ? "DS  " : "DS16", a & ATTR_EC ? 'E' : '-',
            a & ATTR_RW ? 'W' : '-');
    put(o, "%c]", a & ATTR_A ? 'A' : '-');
}

static void put_segment(struct out *o, const struct cpu *cpu, const char *name, unsigned n)
{
    const struct segment *s = &cpu->seg[n];
    put(o, "%-3s=%04x %0*" PRIx64 " %08" PRIx32 " %08" PRIx32, name, s->sel,
        cpu_code64(cpu) ? 16 : 8, cpu_code64(cpu) ? s->base : (uint32_t)s->base, s->limit,
        descriptor_flags(s));
    if (cpu_prot(cpu) && s->attr & ATTR_P)
        put_segment_type(o, cpu, s);
    end(o);
}

static void put_segments(struct out *o, const struct cpu *cpu)
{
    static const struct {
        const char *name;
        uint8_t seg;
    } all[] = {
        {"ES", SEG_ES}, {"CS", SEG_CS}, {"SS", SEG_SS},    {"DS", SEG_DS},
        {"FS", SEG_FS}, {"GS", SEG_GS}, {"LDT", SEG_LDTR}, {"TR", SEG_TR},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
        put_segment(o, cpu, all[i].name, all[i].seg);
}

/* --- system registers --- */

static void put_system(struct out *o, const struct cpu *cpu)
{
    const int width = cpu_long(cpu) ? 16 : 8;
    put(o, "GDT=     %0*" PRIx64 " %08x", width, cpu->gdtr.base, cpu->gdtr.limit);
    end(o);
    put(o, "IDT=     %0*" PRIx64 " %08x", width, cpu->idtr.base, cpu->idtr.limit);
    end(o);
    put(o, "CR0=%08" PRIx64 " CR2=%0*" PRIx64 " CR3=%0*" PRIx64 " CR4=%08" PRIx64, cpu->cr0, width,
        cpu->cr2, width, cpu->cr3, cpu->cr4);
    end(o);
    put(o, "DR0=%016" PRIx64 " DR1=%016" PRIx64 " DR2=%016" PRIx64 " DR3=%016" PRIx64 " ",
        cpu->dr[0], cpu->dr[1], cpu->dr[2], cpu->dr[3]);
    end(o);
    put(o, "DR6=%016" PRIx64 " DR7=%016" PRIx64, cpu->dr6, cpu->dr7);
    end(o);
    put(o, "EFER=%016" PRIx64, cpu->efer);
    end(o);
}

static void put_fpu(struct out *o, const struct cpu *cpu)
{
    const struct fpu *f = &cpu->fpu;
    put(o, "FCW=%04x FSW=%04x [ST=%d] FTW=%02x MXCSR=%08" PRIx32, f->cw, f->sw, f->sw >> 11 & 7,
        f->used, cpu->mxcsr);
    end(o);
    for (unsigned i = 0; i < 8; i++) {
        put(o, "FPR%u=%016" PRIx64 " %04x", i, f->r[i].mant, f->r[i].sexp);
        if (i % 2)
            end(o);
        else
            put(o, " ");
    }
}

static void put_vectors(struct out *o, const struct cpu *cpu)
{
    const bool ymm = cpu->xcr0 & XCR0_AVX;
    const unsigned count = cpu_code64(cpu) ? 16 : 8;
    for (unsigned i = 0; i < count; i++) {
        const union vec *v = &cpu->zmm[i];
        if (ymm)
            put(o, "YMM%02u=%016" PRIx64 " %016" PRIx64 " %016" PRIx64 " %016" PRIx64, i, v->q[3],
                v->q[2], v->q[1], v->q[0]);
        else
            put(o, "XMM%02u=%016" PRIx64 " %016" PRIx64, i, v->q[1], v->q[0]);
        if (ymm || i % 2)
            end(o);
        else
            put(o, " ");
    }
}

void regs_print(const struct cpu *cpu, void (*line)(void *, const char *), void *opaque)
{
    struct out o = {.line = line, .opaque = opaque};
    put_gprs(&o, cpu);
    put_flags(&o, cpu);
    put_segments(&o, cpu);
    put_system(&o, cpu);
    put_fpu(&o, cpu);
    put_vectors(&o, cpu);
}

/* --- by name --- */

/* Other spellings of what cpu_regs.h has: "LDT", "fs_base". */
static const struct cpu_reg *find_register(const char *name)
{
    static const char base[] = "_base";
    char lower[24];
    size_t len = 0;
    for (; name[len] && len < sizeof lower - 2; len++)
        lower[len] = (char)tolower((unsigned char)name[len]);
    if (name[len])
        return NULL;
    lower[len] = '\0';
    const struct cpu_reg *reg = cpu_reg_find(lower);
    if (reg)
        return reg;
    if (strncmp(lower, "ldt", 3) == 0 && (!lower[3] || lower[3] == '.')) {
        memmove(lower + 4, lower + 3, len - 3 + 1);
        lower[3] = 'r';
    } else if (len > sizeof base && strcmp(lower + len - (sizeof base - 1), base) == 0) {
        lower[len - (sizeof base - 1)] = '.';
    }
    return cpu_reg_find(lower);
}

bool regs_get(const struct cpu *cpu, const char *name, uint64_t *value)
{
    if (strcasecmp(name, "pc") == 0) { /* linear: what x/i wants */
        *value = cpu_code_address(cpu);
        return true;
    }
    if (strcasecmp(name, "cr8") == 0) {
        *value = cpu->hooks.cr8 ? cpu->hooks.cr8(cpu->hooks.opaque) : 0;
        return true;
    }
    const struct cpu_reg *reg = find_register(name);
    if (!reg || reg->bytes > sizeof *value)
        return false;
    uint8_t bytes[sizeof *value] = {0};
    cpu_reg_get(cpu, reg, bytes);
    *value = ld64(bytes);
    return true;
}
