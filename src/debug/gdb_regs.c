/* See gdb_regs.h. Names and features: gdb manual, appendix G.5.7 "i386 Features". */
#include "debug/gdb_regs.h"
#include "cpu/fp/fp.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum feature { CORE, SSE, SEGMENTS, SYSTEM, FEATURES };

enum what {
    GPR,
    RIP,
    RFLAGS,
    SELECTOR,
    X87, /* ST(index) */
    X87_CONTROL,
    XMM,
    MXCSR,
    SEG_BASE,
    KERNEL_GS,
    CONTROL, /* CR index */
    EFER_REG,
};

enum { FCTRL, FSTAT, FTAG, FISEG, FIOFF, FOSEG, FOOFF, FOP };

struct reg {
    const char *name;
    uint8_t bits;
    const char *type; /* of the description */
    enum feature feature;
    enum what what;
    uint8_t index;
};

#define GPR64(n, r)                  \
    {                                \
        n, 64, "int64", CORE, GPR, r \
    }
#define SELECTOR32(n, s)                  \
    {                                     \
        n, 32, "int32", CORE, SELECTOR, s \
    }
#define ST80(n)                               \
    {                                         \
        "st" #n, 80, "i387_ext", CORE, X87, n \
    }
#define X87C(n, i)                         \
    {                                      \
        n, 32, "int", CORE, X87_CONTROL, i \
    }
#define XMM128(n)                            \
    {                                        \
        "xmm" #n, 128, "vec128", SSE, XMM, n \
    }
#define CONTROL64(name, n)                    \
    {                                         \
        name, 64, "int64", SYSTEM, CONTROL, n \
    }

static const struct reg regs[] = {
    GPR64("rax", REG_RAX),
    GPR64("rbx", REG_RBX),
    GPR64("rcx", REG_RCX),
    GPR64("rdx", REG_RDX),
    GPR64("rsi", REG_RSI),
    GPR64("rdi", REG_RDI),
    {"rbp", 64, "data_ptr", CORE, GPR, REG_RBP},
    {"rsp", 64, "data_ptr", CORE, GPR, REG_RSP},
    GPR64("r8", REG_R8),
    GPR64("r9", REG_R9),
    GPR64("r10", REG_R10),
    GPR64("r11", REG_R11),
    GPR64("r12", REG_R12),
    GPR64("r13", REG_R13),
    GPR64("r14", REG_R14),
    GPR64("r15", REG_R15),
    {"rip", 64, "code_ptr", CORE, RIP, 0},
    {"eflags", 32, "i386_eflags", CORE, RFLAGS, 0},
    SELECTOR32("cs", SEG_CS),
    SELECTOR32("ss", SEG_SS),
    SELECTOR32("ds", SEG_DS),
    SELECTOR32("es", SEG_ES),
    SELECTOR32("fs", SEG_FS),
    SELECTOR32("gs", SEG_GS),
    ST80(0),
    ST80(1),
    ST80(2),
    ST80(3),
    ST80(4),
    ST80(5),
    ST80(6),
    ST80(7),
    X87C("fctrl", FCTRL),
    X87C("fstat", FSTAT),
    X87C("ftag", FTAG),
    X87C("fiseg", FISEG),
    X87C("fioff", FIOFF),
    X87C("foseg", FOSEG),
    X87C("fooff", FOOFF),
    X87C("fop", FOP),
    XMM128(0),
    XMM128(1),
    XMM128(2),
    XMM128(3),
    XMM128(4),
    XMM128(5),
    XMM128(6),
    XMM128(7),
    XMM128(8),
    XMM128(9),
    XMM128(10),
    XMM128(11),
    XMM128(12),
    XMM128(13),
    XMM128(14),
    XMM128(15),
    {"mxcsr", 32, "i386_mxcsr", SSE, MXCSR, 0},
    {"fs_base", 64, "int64", SEGMENTS, SEG_BASE, SEG_FS},
    {"gs_base", 64, "int64", SEGMENTS, SEG_BASE, SEG_GS},
    {"k_gs_base", 64, "int64", SYSTEM, KERNEL_GS, 0},
    CONTROL64("cr0", 0),
    CONTROL64("cr2", 2),
    CONTROL64("cr3", 3),
    CONTROL64("cr4", 4),
    CONTROL64("cr8", 8),
    {"efer", 64, "int64", SYSTEM, EFER_REG, 0},
};

unsigned gdb_reg_count(void)
{
    return ARRAY_SIZE(regs);
}

const char *gdb_reg_name(unsigned n)
{
    return n < ARRAY_SIZE(regs) ? regs[n].name : NULL;
}

/* --- reading --- */

/* Two bits a register as FSAVE has them: valid, zero, special, empty (SDM 1 §8.1.7). */
static uint16_t full_tag_word(const struct fpu *f)
{
    uint16_t tags = 0;
    for (unsigned i = 0; i < 8; i++) {
        const uint16_t exponent = f->r[i].sexp & 0x7fff;
        unsigned tag = 0;
        if (!(f->used & BIT(i)))
            tag = 3;
        else if (!exponent && !f->r[i].mant)
            tag = 1;
        else if (exponent == 0x7fff || !(f->r[i].mant >> 63))
            tag = 2;
        tags |= (uint16_t)(tag << (2 * i));
    }
    return tags;
}

static unsigned st_to_r(const struct fpu *f, unsigned st)
{
    return ((f->sw >> 11) + st) & 7;
}

static uint32_t x87_control(const struct fpu *f, unsigned index)
{
    switch (index) {
    case FCTRL:
        return f->cw;
    case FSTAT:
        return f->sw;
    case FTAG:
        return full_tag_word(f);
    case FISEG:
        return f->fcs;
    case FIOFF:
        return (uint32_t)f->fip;
    case FOSEG:
        return f->fds;
    case FOOFF:
        return (uint32_t)f->fdp;
    default:
        return f->fop;
    }
}

static uint64_t control(const struct cpu *cpu, unsigned index)
{
    switch (index) {
    case 0:
        return cpu->cr0;
    case 2:
        return cpu->cr2;
    case 3:
        return cpu->cr3;
    case 4:
        return cpu->cr4;
    default:
        return cpu->hooks.cr8 ? cpu->hooks.cr8(cpu->hooks.opaque) : 0;
    }
}

/* Registers of up to 64 bits. */
static uint64_t scalar(const struct cpu *cpu, const struct reg *r)
{
    switch (r->what) {
    case GPR:
        return cpu->r[r->index];
    case RIP:
        return cpu->rip;
    case RFLAGS:
        return cpu_get_rflags(cpu);
    case SELECTOR:
        return cpu->seg[r->index].sel;
    case X87_CONTROL:
        return x87_control(&cpu->fpu, r->index);
    case MXCSR:
        return cpu->mxcsr;
    case SEG_BASE:
        return cpu->seg[r->index].base;
    case KERNEL_GS:
        return cpu->msr_kernel_gs_base;
    case CONTROL:
        return control(cpu, r->index);
    case EFER_REG:
        return cpu->efer;
    case X87:
    case XMM:
        break;
    }
    return 0;
}

unsigned gdb_reg_read(const struct cpu *cpu, unsigned n, uint8_t buf[GDB_REG_MAX_BYTES])
{
    if (n >= ARRAY_SIZE(regs))
        return 0;
    const struct reg *r = &regs[n];
    const unsigned bytes = r->bits / 8;
    if (r->what == X87) {
        const union fpreg *f = &cpu->fpu.r[st_to_r(&cpu->fpu, r->index)];
        st64(buf, f->mant);
        st16(buf + 8, f->sexp);
    } else if (r->what == XMM) {
        memcpy(buf, cpu->zmm[r->index].b, bytes);
    } else {
        st_le(buf, scalar(cpu, r), bytes);
    }
    return bytes;
}

/* --- writing --- */

static bool write_selector(struct cpu *cpu, unsigned index, uint16_t sel)
{
    struct segment *s = &cpu->seg[index];
    if (s->sel == sel)
        return true;
    if (cpu_prot(cpu) && !cpu_vm86(cpu))
        return false;
    s->sel = sel;
    s->base = (uint64_t)sel << 4;
    return true;
}

static void write_x87_control(struct fpu *f, unsigned index, uint32_t v)
{
    switch (index) {
    case FCTRL:
        f->cw = fp_valid_cw((uint16_t)v);
        f->sw = fp_summary(f->sw, f->cw);
        break;
    case FSTAT:
        f->sw = fp_summary((uint16_t)v, f->cw);
        break;
    case FTAG:
        f->used = 0;
        for (unsigned i = 0; i < 8; i++)
            f->used |= (uint8_t)((v >> (2 * i) & 3) != 3 ? BIT(i) : 0);
        break;
    case FISEG:
        f->fcs = (uint16_t)v;
        break;
    case FIOFF:
        f->fip = v;
        break;
    case FOSEG:
        f->fds = (uint16_t)v;
        break;
    case FOOFF:
        f->fdp = v;
        break;
    default:
        f->fop = v & 0x7ff;
        break;
    }
}

static bool write_control(struct cpu *cpu, unsigned index, uint64_t v)
{
    const bool pae_only = cpu->cr4 & CR4_PAE && !cpu_long(cpu); /* CR3 would load PDPTEs */
    if (v == control(cpu, index))
        return true;
    switch (index) {
    case 2:
        cpu->cr2 = v;
        return true;
    case 3:
        if (pae_only)
            return false;
        cpu->cr3 = v;
        return true;
    case 8:
        if (!cpu->hooks.set_cr8 || v > 15)
            return false;
        cpu->hooks.set_cr8(cpu->hooks.opaque, (uint8_t)v);
        return true;
    default:
        return false;
    }
}

static bool write_scalar(struct cpu *cpu, const struct reg *r, uint64_t v)
{
    switch (r->what) {
    case GPR:
        cpu->r[r->index] = v;
        return true;
    case RIP:
        cpu->rip = v;
        return true;
    case RFLAGS:
        /* VM and the reserved bits stay: they are no more the debugger's than CR0 is. */
        v = (v & 0x3c7fd5) | FLAG_1;
        cpu_set_rflags(cpu, (v & ~(uint64_t)FLAG_VM) | (cpu_get_rflags(cpu) & FLAG_VM));
        return true;
    case SELECTOR:
        return write_selector(cpu, r->index, (uint16_t)v);
    case X87_CONTROL:
        write_x87_control(&cpu->fpu, r->index, (uint32_t)v);
        return true;
    case MXCSR:
        cpu->mxcsr = (uint32_t)v & 0xffff;
        return true;
    case SEG_BASE:
        if (cpu_long(cpu) && !cpu_canonical(cpu, v))
            return false;
        cpu->seg[r->index].base = v;
        return true;
    case KERNEL_GS:
        if (!cpu_canonical(cpu, v))
            return false;
        cpu->msr_kernel_gs_base = v;
        return true;
    case CONTROL:
        return write_control(cpu, r->index, v);
    case EFER_REG:
        return v == cpu->efer;
    case X87:
    case XMM:
        break;
    }
    return false;
}

bool gdb_reg_write(struct cpu *cpu, unsigned n, const uint8_t *buf)
{
    if (n >= ARRAY_SIZE(regs))
        return false;
    const struct reg *r = &regs[n];
    bool ok = true;
    if (r->what == X87) {
        union fpreg *f = &cpu->fpu.r[st_to_r(&cpu->fpu, r->index)];
        f->mant = ld64(buf);
        f->sexp = ld16(buf + 8);
    } else if (r->what == XMM) {
        memcpy(cpu->zmm[r->index].b, buf, r->bits / 8);
    } else {
        ok = write_scalar(cpu, r, ld_le(buf, r->bits / 8));
    }
    cpu_loaded(cpu);
    return ok;
}

/* --- the description --- */

struct text {
    char *s;
    size_t len, size;
    bool failed;
};

static __attribute__((format(printf, 2, 3))) void add(struct text *t, const char *fmt, ...)
{
    char piece[512];
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(piece, sizeof piece, fmt, ap);
    va_end(ap);
    assert(n >= 0 && (size_t)n < sizeof piece);
    if (t->len + (size_t)n + 1 > t->size) {
        char *s = realloc(t->s, t->size * 2 + sizeof piece);
        if (!s) {
            t->failed = true;
            return;
        }
        t->s = s;
        t->size = t->size * 2 + sizeof piece;
    }
    memcpy(t->s + t->len, piece, (size_t)n + 1);
    t->len += (size_t)n;
}

struct flag {
    const char *name;
    uint8_t bit;
};

static void add_flags(struct text *t, const char *id, const struct flag *f, unsigned n)
{
    add(t, "<flags id=\"%s\" size=\"4\">", id);
    for (unsigned i = 0; i < n; i++)
        add(t, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", f[i].name, f[i].bit, f[i].bit);
    add(t, "</flags>\n");
}

static void add_core_types(struct text *t)
{
    static const struct flag flags[] = {
        {"CF", 0},  {"PF", 2},   {"AF", 4},   {"ZF", 6},  {"SF", 7},  {"TF", 8},
        {"IF", 9},  {"DF", 10},  {"OF", 11},  {"NT", 14}, {"RF", 16}, {"VM", 17},
        {"AC", 18}, {"VIF", 19}, {"VIP", 20}, {"ID", 21},
    };
    add_flags(t, "i386_eflags", flags, ARRAY_SIZE(flags));
}

static void add_sse_types(struct text *t)
{
    static const struct flag flags[] = {
        {"IE", 0}, {"DE", 1}, {"ZE", 2}, {"OE", 3},  {"UE", 4},  {"PE", 5},  {"DAZ", 6},
        {"IM", 7}, {"DM", 8}, {"ZM", 9}, {"OM", 10}, {"UM", 11}, {"PM", 12}, {"FZ", 15},
    };
    static const struct {
        const char *id, *type;
        unsigned count;
        const char *field;
    } vectors[] = {
        {"v4f", "ieee_single", 4, "v4_float"}, {"v2d", "ieee_double", 2, "v2_double"},
        {"v16i8", "int8", 16, "v16_int8"},     {"v8i16", "int16", 8, "v8_int16"},
        {"v4i32", "int32", 4, "v4_int32"},     {"v2i64", "int64", 2, "v2_int64"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(vectors); i++)
        add(t, "<vector id=\"%s\" type=\"%s\" count=\"%u\"/>\n", vectors[i].id, vectors[i].type,
            vectors[i].count);
    add(t, "<union id=\"vec128\">");
    for (unsigned i = 0; i < ARRAY_SIZE(vectors); i++)
        add(t, "<field name=\"%s\" type=\"%s\"/>", vectors[i].field, vectors[i].id);
    add(t, "<field name=\"uint128\" type=\"uint128\"/></union>\n");
    add_flags(t, "i386_mxcsr", flags, ARRAY_SIZE(flags));
}

static void add_feature(struct text *t, enum feature feature)
{
    static const char *const names[FEATURES] = {
        [CORE] = "org.gnu.gdb.i386.core",
        [SSE] = "org.gnu.gdb.i386.sse",
        [SEGMENTS] = "org.gnu.gdb.i386.segments",
        [SYSTEM] = "vitrine.i386.system",
    };
    add(t, "<feature name=\"%s\">\n", names[feature]);
    if (feature == CORE)
        add_core_types(t);
    else if (feature == SSE)
        add_sse_types(t);
    for (unsigned i = 0; i < ARRAY_SIZE(regs); i++) {
        if (regs[i].feature != feature)
            continue;
        add(t, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%u\"%s/>\n", regs[i].name,
            regs[i].bits, regs[i].type, i,
            feature == SYSTEM             ? " group=\"system\""
            : regs[i].what == X87_CONTROL ? " group=\"float\""
                                          : "");
    }
    add(t, "</feature>\n");
}

char *gdb_target_xml(void)
{
    struct text t = {0};
    add(&t, "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target>\n"
            "<architecture>i386:x86-64</architecture>\n");
    for (enum feature f = CORE; f < FEATURES; f++)
        add_feature(&t, f);
    add(&t, "</target>\n");
    if (t.failed) {
        free(t.s);
        return NULL;
    }
    return t.s;
}
