/*
 * Random programs for a rig in 64-bit mode, or in 32-bit code of every kind: valid code, most of it
 * of the kind that compilers write and the translator has templates for, in loops and calls that
 * come back to it; memory operands on few pages, among them ones that are read-only, absent, or
 * hold the code itself.
 *
 *      40000  the handlers' common part    60000  data, read-only from 62000, absent from 63000
 *      40400  what SYSCALL leads to
 *      40800  swap two pages of code       68000  the page table, for CPL 0
 *      41000  addresses of the chunks      6f000  stack, down from 70000
 *      50000  code (four pages)
 *
 * With paging the data is at 860000, too, which has the same lines in the TLB.
 *
 * 32-bit programs with paging find the code's pages also at the top of 4 GiB, the first one at 0:
 * they may run around the end of the address space.
 */
#ifndef VITRINE_TESTS_JIT_GEN_H
#define VITRINE_TESTS_JIT_GEN_H

#include "insn_rig.h"

enum {
    GEN_HANDLER = 0x40000,
    GEN_SYSCALL = 0x40400,
    GEN_SWAP = 0x40800,       /* by INVLPG, and 256 bytes behind it by CR3 */
    GEN_SUPERVISOR = 0x40ff0, /* a stack that is not for CPL 3 */
    GEN_CHUNKS_AT = 0x41000,  /* a counter, then the addresses */
    GEN_CONTROL_AT = 0x41800, /* x87 control words */
    GEN_IMAGE_AT = 0x60c00,   /* of XSAVE and its like */
    GEN_CODE = 0x50000,
    GEN_CODE_END = 0x54000,
    GEN_DATA = 0x60000,
    GEN_READ_ONLY = 0x62000,
    GEN_ABSENT = 0x63000,
    GEN_TABLE = 0x68000,
    GEN_STACK = 0x6f000,
    GEN_END = 0x70000,
    GEN_TWINS = TLB_TWIN, /* from data to where it is found, too */
    GEN_NEAR_TWINS = TLB_NEAR_TWIN,
    GEN_CHUNKS = 16,
    GEN_FIXUPS = 256,
    GEN_SEGMENTS = 8, /* from SEL_SPARE on, for FS and GS */
};

#define GEN_HIGH UINT32_C(0xffffc000) /* the code again */

enum gen_machine { GEN_LONG, GEN_COMPAT, GEN_FLAT, GEN_PAGING, GEN_PAE };

struct gen {
    struct rig *rig;
    enum gen_machine machine;
    bool user, code64;
    uint8_t code[GEN_CODE_END - GEN_CODE];
    unsigned at; /* the next byte's offset in code */
    unsigned chunk[GEN_CHUNKS];
    unsigned fixups;
    struct {
        unsigned at, chunk; /* a rel32 */
        bool absolute;      /* or an imm32 */
    } fixup[GEN_FIXUPS];
    bool stores_to_code;
    bool x87; /* a lot of it */
};

/* --- values --- */

static inline uint32_t gen_data_address(struct gen *g)
{
    const unsigned in_page = one_in(6) ? 0xff0 + below(16) : below(0x1000);
    switch (below(24)) {
    case 0:
    case 1:
        return GEN_READ_ONLY + below(0x1000);
    case 2:
        return GEN_ABSENT + in_page;
    case 3:
        return g->stores_to_code ? GEN_CODE + below(GEN_CODE_END - GEN_CODE) : GEN_DATA + in_page;
    default:
        return GEN_DATA + (one_in(2) ? 0x1000 : 0) + in_page +
               (g->machine == GEN_FLAT || !one_in(3) ? 0
                : one_in(2)                          ? GEN_TWINS
                                                     : GEN_NEAR_TWINS);
    }
}

/* How many general registers there are. */
static inline unsigned gen_regs(const struct gen *g)
{
    return g->code64 ? 16 : 8;
}

static inline uint64_t gen_value(struct gen *g)
{
    static const uint64_t corner[] = {0,
                                      1,
                                      2,
                                      0x7f,
                                      0x80,
                                      0xff,
                                      0x7fff,
                                      0x8000,
                                      0xffff,
                                      0x7fffffff,
                                      0x80000000,
                                      0xffffffff,
                                      UINT64_C(0x7fffffffffffffff),
                                      UINT64_C(0x8000000000000000),
                                      UINT64_MAX,
                                      UINT64_MAX - 1};
    switch (below(6)) {
    case 0:
        return corner[below(ARRAY_SIZE(corner))];
    case 1:
        return rnd() >> below(64);
    case 2:
        return (uint64_t)((int64_t)(rnd() & 0xff) - 128);
    case 3:
        return below(64);
    case 4:
        return rnd();
    default:
        return gen_data_address(g);
    }
}

/* --- bytes --- */

static inline void gen_u8(struct gen *g, unsigned v)
{
    g->code[g->at++] = (uint8_t)v;
}
static inline void gen_n(struct gen *g, uint64_t v, unsigned n)
{
    memcpy(g->code + g->at, &v, n);
    g->at += n;
}

/* Registers that hold addresses now and then, and are rarely written otherwise; the first four are
 * there in every mode. */
static const uint8_t gen_pointers[] = {REG_RBX, REG_RSI, REG_RDI, REG_RBP,
                                       REG_R9,  REG_R12, REG_R13, REG_R14};

static inline unsigned gen_pointer(const struct gen *g)
{
    return gen_pointers[below(g->code64 ? ARRAY_SIZE(gen_pointers) : 4)];
}

static inline void gen_load_pointer(struct gen *g)
{
    const unsigned r = gen_pointer(g);
    if (g->code64)
        gen_u8(g, 0x48 | r >> 3); /* MOV r64, imm32 */
    gen_u8(g, 0xc7);
    gen_u8(g, 0xc0 | (r & 7));
    /* in 32-bit code at times at the end of its address space */
    gen_n(g, !g->code64 && one_in(16) ? -below(32) : gen_data_address(g), 4);
}

/* An opcode's bytes with what may stand before it. Rows of the opcode map by weight. */
struct gen_form {
    const char *bytes;
    uint8_t len;
    uint8_t span;   /* opcodes of the same kind behind it */
    uint8_t prefix; /* a mandatory one */
    uint8_t weight;
    bool modrm;
    uint8_t regs; /* bits: values of ModRM.reg; 0: all */
};

static const struct gen_form gen_forms[] = {
    {"\x00", 1, 4, 0, 8, true, 0}, /* ADD, and with what follows OR to CMP */
    {"\x08", 1, 4, 0, 5, true, 0},
    {"\x10", 1, 4, 0, 5, true, 0},
    {"\x18", 1, 4, 0, 5, true, 0},
    {"\x20", 1, 4, 0, 5, true, 0},
    {"\x28", 1, 4, 0, 8, true, 0},
    {"\x30", 1, 4, 0, 5, true, 0},
    {"\x38", 1, 4, 0, 10, true, 0},
    {"\x04", 1, 2, 0, 1, false, 0},
    {"\x1c", 1, 2, 0, 1, false, 0},
    {"\x2c", 1, 2, 0, 1, false, 0},
    {"\x3c", 1, 2, 0, 1, false, 0},
    {"\x80", 1, 2, 0, 12, true, 0}, /* ... imm */
    {"\x83", 1, 1, 0, 14, true, 0},
    {"\x84", 1, 2, 0, 8, true, 0}, /* TEST */
    {"\xa8", 1, 2, 0, 1, false, 0},
    {"\x88", 1, 4, 0, 24, true, 0}, /* MOV */
    {"\xb0", 1, 16, 0, 6, false, 0},
    {"\xc6", 1, 2, 0, 6, true, 1},
    {"\xa0", 1, 4, 0, 1, false, 0},
    {"\x86", 1, 2, 0, 3, true, 0}, /* XCHG */
    {"\x91", 1, 7, 0, 1, false, 0},
    {"\x8d", 1, 1, 0, 10, true, 0},    /* LEA */
    {"\x63", 1, 1, 0, 3, true, 0},     /* MOVSXD */
    {"\x8c", 1, 1, 0, 2, true, 0x3f},  /* MOV r/m, Sreg */
    {"\x0f\xb6", 2, 2, 0, 6, true, 0}, /* MOVZX */
    {"\x0f\xbe", 2, 2, 0, 6, true, 0}, /* MOVSX */
    {"\xfe", 1, 2, 0, 12, true, 3},    /* INC, DEC */
    {"\xf6", 1, 2, 0, 12, true, 0x3f}, /* TEST to IMUL */
    {"\xf6", 1, 2, 0, 6, true, 0xc0},  /* DIV, IDIV */
    {"\xc0", 1, 2, 0, 12, true, 0},    /* shifts */
    {"\xd0", 1, 2, 0, 8, true, 0},
    {"\xd2", 1, 2, 0, 12, true, 0},
    {"\x0f\xa4", 2, 2, 0, 3, true, 0}, /* SHLD */
    {"\x0f\xac", 2, 2, 0, 3, true, 0}, /* SHRD */
    {"\x69", 1, 1, 0, 3, true, 0},     /* IMUL */
    {"\x6b", 1, 1, 0, 3, true, 0},
    {"\x0f\xaf", 2, 1, 0, 4, true, 0},
    {"\x0f\x90", 2, 16, 0, 10, true, 0}, /* SETcc */
    {"\x0f\x40", 2, 16, 0, 12, true, 0}, /* CMOVcc */
    {"\x0f\xa3", 2, 1, 0, 4, true, 0},   /* BT */
    {"\x0f\xab", 2, 1, 0, 2, true, 0},
    {"\x0f\xb3", 2, 1, 0, 2, true, 0},
    {"\x0f\xbb", 2, 1, 0, 2, true, 0},
    {"\x0f\xba", 2, 1, 0, 5, true, 0xf0},
    {"\x0f\xbc", 2, 2, 0, 2, true, 0},        /* BSF, BSR */
    {"\x0f\xbc", 2, 2, 0xf3, 2, true, 0},     /* TZCNT, LZCNT */
    {"\x0f\xb8", 2, 1, 0xf3, 2, true, 0},     /* POPCNT */
    {"\x0f\xc8", 2, 8, 0, 2, false, 0},       /* BSWAP */
    {"\x98", 1, 2, 0, 4, false, 0},           /* CBW, CWD */
    {"\x0f\xb0", 2, 2, 0, 3, true, 0},        /* CMPXCHG */
    {"\x0f\xc0", 2, 2, 0, 3, true, 0},        /* XADD */
    {"\x0f\xc7", 2, 1, 0, 8, true, 2},        /* CMPXCHG8B, CMPXCHG16B */
    {"\x0f\x38\xf6", 3, 1, 0x66, 1, true, 0}, /* ADCX */
    {"\x0f\x38\xf6", 3, 1, 0xf3, 1, true, 0}, /* ADOX */
    {"\x0f\x38\xf0", 3, 2, 0, 1, true, 0},    /* MOVBE */
    {"\x50", 1, 16, 0, 12, false, 0},         /* PUSH, POP */
    {"\x68", 1, 1, 0, 1, false, 0},
    {"\x6a", 1, 1, 0, 2, false, 0},
    {"\xff", 1, 1, 0, 1, true, 0x40},
    {"\x8f", 1, 1, 0, 1, true, 1},
    {"\xc9", 1, 1, 0, 1, false, 0}, /* LEAVE */
    {"\x9c", 1, 2, 0, 2, false, 0}, /* PUSHF, POPF */
    {"\x9e", 1, 2, 0, 3, false, 0}, /* SAHF, LAHF */
    {"\xf5", 1, 1, 0, 1, false, 0}, /* CMC, CLC, STC */
    {"\xf8", 1, 2, 0, 2, false, 0},
    {"\xfc", 1, 2, 0, 1, false, 0},       /* CLD, STD */
    {"\xa4", 1, 4, 0, 2, false, 0},       /* MOVS, CMPS */
    {"\xaa", 1, 6, 0, 2, false, 0},       /* STOS, LODS, SCAS */
    {"\xfa", 1, 2, 0, 2, false, 0},       /* CLI, STI */
    {"\xd7", 1, 1, 0, 1, false, 0},       /* XLAT */
    {"\x0f\x18", 2, 1, 0, 1, true, 0x0f}, /* PREFETCH */
    {"\x0f\x0d", 2, 1, 0, 1, true, 3},
    {"\x0f\xae", 2, 1, 0, 1, true, 0xe0},   /* fences, CLFLUSH, XSAVEOPT */
    {"\x0f\x01\xe8", 3, 1, 0, 1, false, 0}, /* SERIALIZE */
    {"\x90", 1, 1, 0, 1, false, 0},
    {"\x0f\x1f", 2, 1, 0, 2, true, 0}, /* NOP */
    {"\x0f\x10", 2, 2, 0, 2, true, 0}, /* MOVUPS and its like */
    {"\x0f\x6f", 2, 1, 0xf3, 2, true, 0},
    {"\x0f\x7f", 2, 1, 0xf3, 2, true, 0},
    {"\x0f\x7e", 2, 1, 0x66, 1, true, 0},
    {"\x0f\x6e", 2, 1, 0x66, 1, true, 0},
    {"\x0f\xd4", 2, 1, 0x66, 1, true, 0},
    {"\x0f\xef", 2, 1, 0x66, 2, true, 0},
    {"\x0f\x58", 2, 2, 0xf2, 1, true, 0},
    {"\x0f\x2e", 2, 2, 0, 1, true, 0},        /* UCOMISS */
    {"\x0f\x3a\x60", 3, 4, 0x66, 2, true, 0}, /* PCMPESTRM and its like */
    {"\x0f\xae", 2, 1, 0, 1, true, 0x0c},     /* LDMXCSR, STMXCSR */
    {"\x0f\x05", 2, 1, 0, 8, false, 0},       /* SYSCALL */
    {"\x0f\x31", 2, 1, 0, 1, false, 0},       /* RDTSC */
    {"\x0f\x01\xf9", 3, 1, 0, 1, false, 0},   /* RDTSCP */
    {"\x0f\xae", 2, 1, 0xf3, 2, true, 0x0f},  /* RDFSBASE and its like */
};

/* Those of 32-bit code alone. */
static const struct gen_form gen_forms32[] = {
    {"\x40", 1, 16, 0, 16, false, 0},   /* INC, DEC */
    {"\x60", 1, 2, 0, 2, false, 0},     /* PUSHA, POPA */
    {"\x27", 1, 1, 0, 1, false, 0},     /* DAA */
    {"\x2f", 1, 1, 0, 1, false, 0},     /* DAS */
    {"\x37", 1, 1, 0, 1, false, 0},     /* AAA */
    {"\xd4", 1, 2, 0, 1, false, 0},     /* AAM, AAD */
    {"\x06", 1, 1, 0, 1, false, 0},     /* PUSH ES */
    {"\x82", 1, 1, 0, 1, true, 0},      /* the alias of 80h */
    {"\x0f\xa0", 2, 1, 0, 1, false, 0}, /* PUSH FS */
};

/* SHLX and its like: VEX.map, pp, opcode; ModRM random. */
enum { GEN_IMM = 1, GEN_NO_VVVV = 2, GEN_L = 4, GEN_NO_MODRM = 8 };
static const struct {
    uint8_t map, pp, opcode, how;
} gen_vex[] = {{2, 1, 0xf7, 0},
               {2, 2, 0xf7, 0},
               {2, 3, 0xf7, 0},
               {3, 3, 0xf0, GEN_IMM | GEN_NO_VVVV},
               {2, 0, 0xf2, 0},
               {2, 0, 0xf5, 0},
               {2, 0, 0xf7, 0},
               {2, 3, 0xf6, 0},
               {1, 1, 0x6e, GEN_NO_VVVV}, /* VMOVD, VMOVQ */
               {1, 1, 0x7e, GEN_NO_VVVV},
               {3, 1, 0x16, GEN_IMM | GEN_NO_VVVV}, /* VPEXTRD, VPEXTRQ */
               {3, 1, 0x22, GEN_IMM},               /* VPINSRD, VPINSRQ */
               {3, 1, 0x61, GEN_IMM | GEN_NO_VVVV}, /* VPCMPESTRI */
               {3, 1, 0x60, GEN_IMM | GEN_NO_VVVV},
               {1, 1, 0xfe, GEN_L}, /* VPADDD */
               {1, 1, 0xef, GEN_L},
               {3, 1, 0x4c, GEN_IMM | GEN_L}, /* VPBLENDVB */
               {1, 2, 0x6f, GEN_NO_VVVV | GEN_L},
               {1, 2, 0x7f, GEN_NO_VVVV | GEN_L},
               {1, 3, 0x2a, 0}, /* VCVTSI2SD */
               {1, 3, 0x2d, GEN_NO_VVVV},
               {1, 0, 0x77, GEN_NO_VVVV | GEN_L | GEN_NO_MODRM}}; /* VZEROUPPER, VZEROALL */

static inline const struct gen_form *gen_choose_of(const struct gen_form *forms, unsigned count)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum += forms[i].weight;
    unsigned n = below(sum), i = 0;
    for (; n >= forms[i].weight; i++)
        n -= forms[i].weight;
    return &forms[i];
}
static inline const struct gen_form *gen_choose(const struct gen *g)
{
    return !g->code64 && one_in(12) ? gen_choose_of(gen_forms32, ARRAY_SIZE(gen_forms32))
                                    : gen_choose_of(gen_forms, ARRAY_SIZE(gen_forms));
}

/* --- one instruction --- */

/* REX bits, ModRM, SIB and displacement; where the bits of REX go is the caller's affair. */
struct gen_rm {
    uint8_t bytes[6];
    unsigned len, rex;
    bool rip; /* the last four bytes are to lead to target */
    uint32_t target;
};

static inline struct gen_rm gen_modrm(struct gen *g, unsigned reg, bool memory)
{
    struct gen_rm m = {.len = 1, .rex = (reg >> 3) << 2};
    const unsigned r = (reg & 7) << 3;
    if (!memory) {
        const unsigned rm = below(gen_regs(g));
        m.bytes[0] = (uint8_t)(0xc0 | r | (rm & 7));
        m.rex |= rm >> 3;
        return m;
    }
    const unsigned kind = below(16);
    if (kind == 0) { /* relative to RIP; 32-bit code: absolute */
        m.bytes[0] = (uint8_t)(r | 5);
        m.len = 5;
        m.rip = g->code64;
        m.target = gen_data_address(g);
        st32(m.bytes + 1, m.target);
        return m;
    }
    if (kind == 1) { /* disp32 */
        m.bytes[0] = (uint8_t)(r | 4);
        m.bytes[1] = 0x25;
        st32(m.bytes + 2, gen_data_address(g));
        m.len = 6;
        return m;
    }
    const unsigned base = one_in(20) ? below(gen_regs(g)) : one_in(10) ? REG_RSP : gen_pointer(g);
    const bool sib = (base & 7) == 4 || one_in(4);
    const unsigned mod = below(3);
    m.rex |= base >> 3;
    m.bytes[0] = (uint8_t)(mod << 6 | r | (sib ? 4 : base & 7));
    if (sib) { /* R8, or ECX, is small at times */
        const unsigned small = g->code64 ? REG_R8 : REG_RCX;
        const unsigned index = one_in(2) ? 4 : one_in(2) ? small : below(gen_regs(g));
        m.rex |= (index >> 3) << 1;
        m.bytes[m.len++] = (uint8_t)(below(4) << 6 | (index & 7) << 3 | (base & 7));
    }
    if (mod == 1)
        m.bytes[m.len++] = (uint8_t)rnd();
    if (mod == 2 || (mod == 0 && (base & 7) == 5)) {
        if (mod == 0) { /* an address of its own, or RIP's: data all the same */
            m.rip = !sib && g->code64;
            m.target = gen_data_address(g);
            st32(m.bytes + m.len, m.target);
        } else {
            st32(m.bytes + m.len, below(0x400));
        }
        m.len += 4;
    }
    return m;
}

/* An operand relative to RIP, in an instruction that ends here with so many immediate bytes. */
static inline void gen_place(struct gen *g, const struct gen_rm *m, unsigned imm_bytes)
{
    if (m->rip)
        st32(g->code + g->at - imm_bytes - 4, m->target - (GEN_CODE + g->at));
}

static inline void gen_vex_insn(struct gen *g)
{
    const unsigned k = below(ARRAY_SIZE(gen_vex)), how = gen_vex[k].how;
    const struct gen_rm m = how & GEN_NO_MODRM ? (struct gen_rm){.len = 0}
                                               : gen_modrm(g, below(gen_regs(g)), one_in(4));
    gen_u8(g, 0xc4);
    gen_u8(g, (~m.rex & 7) << 5 | gen_vex[k].map);
    gen_u8(g, (one_in(2) ? 0x80u : 0) | (how & GEN_NO_VVVV ? 15u : below(16)) << 3 |
                  (how & GEN_L && one_in(2) ? 4 : 0) | gen_vex[k].pp);
    gen_u8(g, gen_vex[k].opcode);
    for (unsigned i = 0; i < m.len; i++)
        gen_u8(g, m.bytes[i]);
    if (how & GEN_IMM)
        gen_u8(g, (unsigned)rnd() & 0xff);
    gen_place(g, &m, how & GEN_IMM);
}

/* False: there is no such instruction; nothing was written. */
static inline bool gen_try(struct gen *g)
{
    const struct gen_form *f = gen_choose(g);
    const unsigned start = g->at;
    unsigned reg = below(gen_regs(g));
    if (f->regs)
        do
            reg = below(8);
        while (!(f->regs & BIT(reg)));
    const bool memory = one_in(3);
    struct gen_rm m = {.len = 0};
    if (f->modrm)
        m = gen_modrm(g, reg, memory);
    else if (f->span >= 8)
        m.rex = below(2);
    if (one_in(g->code64 ? 40 : 15))
        gen_u8(g, one_in(2) ? 0x64 : 0x65);
    if (one_in(80))
        gen_u8(g, 0x67);
    if (one_in(60))
        gen_u8(g, memory ? 0xf0 : one_in(2) ? 0xf3 : 0xf2);
    if (f->prefix)
        gen_u8(g, f->prefix);
    else if (one_in(10))
        gen_u8(g, 0x66);
    m.rex |= one_in(2) ? 8 : 0;
    if (g->code64 && (m.rex || one_in(4)))
        gen_u8(g, 0x40 | m.rex);
    for (unsigned i = 0; i < f->len; i++)
        gen_u8(g, (uint8_t)f->bytes[i] + (i + 1u == f->len ? below(f->span) : 0));
    for (unsigned i = 0; i < m.len; i++)
        gen_u8(g, m.bytes[i]);
    const unsigned behind = g->at;
    gen_n(g, gen_value(g), 8);
    struct insn u;
    const struct cpu *cpu = g->rig->cpu;
    const uint32_t mode = (cpu->mode & ~(uint32_t)MODE_CODE_MASK) |
                          (g->code64 ? (uint32_t)MODE_CODE64 : (uint32_t)MODE_CODE32);
    if (decode(&u, g->code + start, 15, mode, &cpu->feat, 0) != DECODE_OK ||
        start + u.len < behind) {
        g->at = start;
        return false;
    }
    g->at = start + u.len;
    gen_place(g, &m, g->at - behind);
    return true;
}

/*
 * x87, MMX, and what looks at their state. The random control words and environments that memory
 * holds would unmask exceptions for the rest of the program, so there are better ones.
 */
static const uint16_t gen_control[] = {0x37f, 0x27f, 0x07f, 0xf7f, 0xb7f, 0x77f, 0x33f, 0x372};

static const uint32_t gen_mxcsr[] = {0x1f80, 0x9fc0, 0x7f80, 0x3fbf, 0x1fbf, 0x1f00};

static inline void gen_at(struct gen *g, unsigned opcode, unsigned reg, uint32_t address)
{
    if (opcode > 0xff)
        gen_u8(g, opcode >> 8);
    gen_u8(g, opcode & 0xff);
    gen_u8(g, reg << 3 | 4);
    gen_u8(g, 0x25);
    gen_n(g, address, 4);
}

static inline void gen_x87_state(struct gen *g)
{
    static const uint8_t toggle_ts[] = {0x0f, 0x20, 0xc0, 0x83, 0xf0, 0x08, 0x0f, 0x22, 0xc0};
    const unsigned good = one_in(8) ? ARRAY_SIZE(gen_control) : ARRAY_SIZE(gen_control) - 2;
    switch (below(18)) {
    case 16: /* LDMXCSR */
    case 17:
        gen_at(g, 0x0fae, 2, GEN_CONTROL_AT + 0x40 + 4 * below(ARRAY_SIZE(gen_mxcsr)));
        break;
    case 0: /* FXSAVE, FXRSTOR, XSAVE, XRSTOR */
    case 1:
        gen_at(g, 0x0fae, one_in(2) ? 0 : 4, GEN_IMAGE_AT);
        break;
    case 2:
        gen_at(g, 0x0fae, one_in(2) ? 1 : 5, GEN_IMAGE_AT);
        break;
    case 3: /* FNSTENV, FLDENV, FNSAVE, FRSTOR */
        gen_at(g, 0xd9, one_in(2) ? 6 : 4, GEN_IMAGE_AT + 0x80);
        break;
    case 4:
        gen_at(g, 0xdd, one_in(2) ? 6 : 4, GEN_IMAGE_AT + 0x80);
        break;
    case 5: /* CLTS, or the opposite */
        if (one_in(2)) {
            gen_u8(g, 0x0f);
            gen_u8(g, 0x06);
        } else if (one_in(4)) {
            for (unsigned i = 0; i < sizeof toggle_ts; i++)
                gen_u8(g, toggle_ts[i]);
        }
        break;
    case 6:
    case 7:
    case 8: /* FNINIT, or FNCLEX */
        gen_u8(g, 0xdb);
        gen_u8(g, one_in(4) ? 0xe2 : 0xe3);
        break;
    case 9: /* EMMS */
    case 10:
        gen_u8(g, 0x0f);
        gen_u8(g, 0x77);
        break;
    default:
        gen_at(g, 0xd9, 5, GEN_CONTROL_AT + 2 * below(good));
        break;
    }
}

static inline bool gen_is_x87(const struct insn *u)
{
    switch (u->op) {
    case OP_FLDCW:
    case OP_FLDENV:
    case OP_FRSTOR:
        return one_in(20);
    default:
        return true;
    }
}

static inline void gen_x87_insn(struct gen *g)
{
    if (one_in(24)) {
        gen_x87_state(g);
        return;
    }
    const unsigned start = g->at;
    struct insn u;
    const struct cpu *cpu = g->rig->cpu;
    do {
        g->at = start;
        const bool mmx = one_in(6);
        struct gen_rm m = gen_modrm(g, below(8), one_in(3));
        if (m.rex || one_in(8))
            gen_u8(g, 0x40 | m.rex);
        if (mmx) {
            gen_u8(g, 0x0f);
            if (one_in(8)) { /* PSHUFB and its kin */
                gen_u8(g, 0x38);
                gen_u8(g, below(12));
            } else {
                static const struct {
                    uint8_t first, n;
                } range[] = {{0x60, 12}, {0x6e, 10}, {0x7e, 2}, {0xc4, 2}, {0xd1, 46}};
                const unsigned k = below(ARRAY_SIZE(range));
                gen_u8(g, range[k].first + below(range[k].n));
            }
        } else {
            gen_u8(g, 0xd8 + below(8));
        }
        for (unsigned i = 0; i < m.len; i++)
            gen_u8(g, m.bytes[i]);
        const unsigned behind = g->at;
        gen_u8(g, (unsigned)rnd() & 0xff);
        if (decode(&u, g->code + start, 15, cpu->mode, &cpu->feat, 0) == DECODE_OK &&
            start + u.len >= behind && gen_is_x87(&u)) {
            g->at = start + u.len;
            gen_place(g, &m, g->at - behind);
            return;
        }
    } while (true);
}

/* FS and GS, which may be anything; seldom the others, which ends what can be translated. */
static inline void gen_load_segment(struct gen *g)
{
    const unsigned flat = g->user ? SEL_DATA_USER : SEL_DATA;
    const unsigned odd = SEL_SPARE + 8 * below(GEN_SEGMENTS) + (g->user ? 3 : 0);
    const unsigned sel = one_in(4) ? flat : one_in(10) ? 0 : odd;
    gen_u8(g, 0x50 | REG_RAX);
    gen_u8(g, 0xb8);
    gen_n(g, one_in(6) ? flat : sel, 4);
    gen_u8(g, 0x8e); /* MOV Sreg, AX */
    if (one_in(6)) {
        static const uint8_t sreg[] = {SEG_ES, SEG_DS, SEG_SS};
        gen_u8(g, 0xc0 | sreg[below(3)] << 3);
    } else {
        gen_u8(g, 0xc0 | (SEG_FS + below(2)) << 3);
    }
    gen_u8(g, 0x58 | REG_RAX);
    if (one_in(2)) { /* an access through FS or GS near where limits are */
        gen_u8(g, one_in(2) ? 0x64 : 0x65);
        gen_u8(g, one_in(2) ? 0x89 : 0x8b);
        gen_u8(g, below(8) << 3 | 5);
        gen_n(g, one_in(2) ? -below(16) : 0xff0 + below(32), 4);
    }
}

/* REP, most often forwards, and at times over several pages. */
static inline void gen_string(struct gen *g)
{
    static const uint8_t opcodes[] = {0xa4, 0xa5, 0xaa, 0xab, 0xa6, 0xa7, 0xae, 0xaf, 0xac, 0xad};
    if (!one_in(4))
        gen_u8(g, 0xfc); /* CLD */
    if (!one_in(4)) {
        gen_u8(g, 0xb9); /* MOV ECX */
        gen_n(g, below(one_in(4) ? 700 : 20), 4);
    }
    for (unsigned i = 0; i < 2; i++) {
        if (!one_in(2))
            continue;
        gen_u8(g, i ? 0xbe : 0xbf); /* MOV ESI, EDI */
        gen_n(g, gen_data_address(g), 4);
    }
    const unsigned opcode = opcodes[below(ARRAY_SIZE(opcodes))];
    if (one_in(20))
        gen_u8(g, one_in(2) ? 0x64 : 0x67);
    if (one_in(6))
        gen_u8(g, 0x66);
    gen_u8(g, one_in(3) ? 0xf2 : 0xf3);
    if (g->code64 && one_in(3))
        gen_u8(g, 0x48);
    gen_u8(g, opcode);
}

/* CPUID, most often of a leaf that there is. */
static inline void gen_cpuid(struct gen *g)
{
    if (!one_in(4)) {
        gen_u8(g, 0xb8); /* MOV EAX */
        gen_n(g, (one_in(3) ? 0x80000000 : 0) + below(0x20), 4);
    }
    gen_u8(g, 0x0f);
    gen_u8(g, 0xa2);
}

#include "jit_gen_near.h"

static inline void gen_insn(struct gen *g)
{
    if (g->code64 && one_in(25)) {
        gen_near(g);
        return;
    }
    if (g->x87 ? !one_in(3) : one_in(60)) {
        gen_x87_insn(g);
    } else if (one_in(9)) {
        gen_load_pointer(g);
    } else if (g->code64 && one_in(40)) { /* MOV R8D, small */
        gen_u8(g, 0x41);
        gen_u8(g, 0xb8);
        gen_n(g, below(64), 4);
    } else if (!g->code64 && one_in(50)) {
        gen_load_segment(g);
    } else if (one_in(40)) { /* what REP repeats */
        gen_u8(g, 0xb9);
        gen_n(g, below(20), 4);
    } else if (one_in(50)) {
        gen_string(g);
    } else if (one_in(100)) {
        gen_cpuid(g);
    } else if (one_in(25)) {
        gen_vex_insn(g);
    } else {
        while (!gen_try(g))
            ;
    }
}

/* --- control flow --- */

static inline void gen_to_chunk(struct gen *g, unsigned chunk, bool absolute)
{
    if (g->fixups == GEN_FIXUPS)
        return;
    g->fixup[g->fixups].at = g->at;
    g->fixup[g->fixups].chunk = chunk;
    g->fixup[g->fixups++].absolute = absolute;
    gen_n(g, 0, 4);
}

static inline void gen_indirect(struct gen *g, bool call)
{
    const unsigned slash = call ? 0xd0 : 0xe0;
    if (one_in(2)) { /* through memory: the list of chunks */
        if (one_in(4))
            gen_u8(g, one_in(2) ? 0x64 : 0x65);
        gen_u8(g, 0xff);
        gen_u8(g, call ? 0x14 : 0x24);
        gen_u8(g, 0x25);
        gen_n(g, GEN_CHUNKS_AT + 8 + 8 * below(GEN_CHUNKS), 4);
    } else {
        const unsigned r = below(8) == 4 ? 0 : below(4);
        gen_u8(g, 0xb8 | r);
        gen_to_chunk(g, below(GEN_CHUNKS), true);
        gen_u8(g, 0xff);
        gen_u8(g, slash | r);
    }
}

/* From compatibility mode into 64-bit code and back, by far transfers. */
static inline void gen_excursion(struct gen *g)
{
    const unsigned rpl = g->user ? 3 : 0;
    gen_u8(g, 0xea); /* JMP far, to what follows */
    gen_n(g, GEN_CODE + g->at + 6, 4);
    gen_n(g, g->user ? SEL_CODE64_USER : SEL_CODE64, 2);
    g->code64 = true;
    for (unsigned n = below(6); n; n--)
        gen_insn(g);
    gen_u8(g, 0x6a); /* PUSH selector, PUSH address, RETFQ */
    gen_u8(g, (g->user ? SEL_CODE32_USER : SEL_CODE32) | rpl);
    gen_u8(g, 0x68);
    gen_n(g, GEN_CODE + g->at + 6, 4);
    gen_u8(g, 0x48);
    gen_u8(g, 0xcb);
    g->code64 = false;
}

/* Returns that no call belongs to, and calls that are returned from otherwise. */
static inline void gen_odd_return(struct gen *g)
{
    static const uint8_t thunk[] = {
        0xe8, 0x07, 0x00, 0x00, 0x00,             /* call over what is only speculated */
        0xf3, 0x90, 0x0f, 0xae, 0xe8, 0xeb, 0xf9, /* pause; lfence; jmp back */
        0x48, 0x89, 0x04, 0x24, 0xc3,             /* mov [rsp], rax; ret */
    };
    switch (below(6)) {
    case 0: /* RET imm16 */
        gen_u8(g, 0xc2);
        gen_n(g, 8 * below(4), 2);
        break;
    case 1: /* PUSH, RET */
        gen_u8(g, 0x68);
        gen_to_chunk(g, below(GEN_CHUNKS), true);
        gen_u8(g, 0xc3);
        break;
    case 2:
        gen_u8(g, 0xb8);
        gen_to_chunk(g, below(GEN_CHUNKS), true);
        for (unsigned i = 0; i < sizeof thunk; i++)
            gen_u8(g, thunk[i]);
        break;
    case 3: /* ADD qword [RSP], imm8; RET */
        gen_u8(g, 0x48);
        gen_u8(g, 0x83);
        gen_u8(g, 0x04);
        gen_u8(g, 0x24);
        gen_u8(g, below(12));
        gen_u8(g, 0xc3);
        break;
    case 4: /* PUSH CS; PUSH; RETFQ */
        gen_u8(g, 0x6a);
        gen_u8(g, g->user ? SEL_CODE64_USER : SEL_CODE64);
        gen_u8(g, 0x68);
        gen_to_chunk(g, below(GEN_CHUNKS), true);
        gen_u8(g, 0x48);
        gen_u8(g, 0xcb);
        break;
    default: /* DEC ECX; JZ over CALL: recursion */
        gen_u8(g, 0xff);
        gen_u8(g, 0xc9);
        gen_u8(g, 0x74);
        gen_u8(g, 5);
        gen_u8(g, 0xe8);
        gen_to_chunk(g, below(GEN_CHUNKS), false);
        gen_u8(g, 0xc3);
        break;
    }
}

/* CALL of what exchanges two pages of code below its own return. */
static inline void gen_call_swap(struct gen *g)
{
    gen_u8(g, 0xb8);
    gen_n(g, GEN_SWAP + 0x100 * below(2), 4);
    gen_u8(g, 0xff);
    gen_u8(g, 0xd0);
}

/* How chunk c ends. Ways back are conditional, so that most is reached. */
static inline void gen_end(struct gen *g, unsigned c)
{
    const unsigned back = below(c + 1), ahead = c + 1 + below(GEN_CHUNKS - c);
    if (g->code64 && one_in(5)) {
        gen_odd_return(g);
        return;
    }
    if (g->machine == GEN_LONG && !g->user && one_in(8)) {
        gen_call_swap(g);
        return;
    }
    switch (below(12)) {
    case 0: /* DEC, JNZ */
    case 1:
        gen_u8(g, 0xff);
        gen_u8(g, 0xc8 | below(4));
        gen_u8(g, 0x0f);
        gen_u8(g, 0x85);
        gen_to_chunk(g, back, false);
        break;
    case 2: /* MOV RSP, CALL */
    case 3:
        if (one_in(3)) {
            gen_u8(g, 0xbc);
            gen_n(g, GEN_END - 8 * below(256), 4);
        }
        gen_u8(g, 0xe8);
        gen_to_chunk(g, below(GEN_CHUNKS), false);
        break;
    case 4:
        gen_u8(g, 0xc3);
        break;
    case 5:
        gen_indirect(g, true);
        break;
    case 6:
        gen_indirect(g, false);
        break;
    case 7:
        gen_u8(g, 0xe9);
        gen_to_chunk(g, ahead % GEN_CHUNKS, false);
        break;
    case 8: /* LOOP and its like, over what would be an infinite loop */
        gen_u8(g, 0xe0 + below(4));
        gen_u8(g, 5);
        gen_u8(g, 0xe9);
        gen_to_chunk(g, below(GEN_CHUNKS), false);
        break;
    default:
        gen_u8(g, 0x0f);
        gen_u8(g, 0x80 | below(16));
        gen_to_chunk(g, one_in(3) ? back : ahead % GEN_CHUNKS, false);
        break;
    }
}

#include "jit_gen_kernel.h"

/* --- machines --- */

/* One page in the machine's own tables; those of protected mode are in the rig's last pages for
 * tables and cover the first and last 2 MiB: directory (with PAE four pointers to it) and tables.
 */
static inline void gen_map(struct gen *g, gla_t lin, gpa_t gpa, uint64_t rights)
{
    enum { TABLE = 0x30000, NEXT = 0x1000 };
    struct rig *r = g->rig;
    if (g->machine == GEN_LONG || g->machine == GEN_COMPAT) {
        rig_map(r, lin, gpa, rights);
        return;
    }
    const uint64_t link = RIG_P | RIG_W | RIG_U;
    const unsigned high = lin >> 31 & 1;
    const gpa_t table = TABLE + (3 + high) * NEXT;
    if (g->machine == GEN_PAGING) {
        st32(rig_at(r, TABLE + (lin >> 22) * 4), (uint32_t)(table | link));
        st32(rig_at(r, table + (lin >> 12 & 1023) * 4), (uint32_t)(gpa | rights));
    } else {
        const gpa_t directory = TABLE + (1 + high) * NEXT;
        st64(rig_at(r, TABLE + (lin >> 30) * 8), directory | RIG_P);
        r->cpu->pdpte[lin >> 30] = directory | RIG_P;
        st64(rig_at(r, directory + (lin >> 21 & 511) * 8), table | link);
        st64(rig_at(r, table + (lin >> 12 & 511) * 8), gpa | rights);
    }
    r->cpu->cr3 = TABLE;
}

static inline void gen_paging(struct gen *g)
{
    struct rig *r = g->rig;
    if (g->machine == GEN_PAGING || g->machine == GEN_PAE) {
        r->cpu->cr0 |= CR0_PG | CR0_WP | CR0_AM;
        if (g->machine == GEN_PAE)
            r->cpu->cr4 |= CR4_PAE;
        memset(rig_at(r, 0x30000), 0, 5 * PAGE_SIZE);
        for (gla_t at = 0; at < 512 * KiB; at += PAGE_SIZE)
            gen_map(g, at, at, RIG_P | RIG_W);
    }
    for (gla_t at = GEN_CHUNKS_AT; at < GEN_END; at += PAGE_SIZE) {
        const bool absent = at >= GEN_ABSENT && at < GEN_STACK;
        const bool fixed = at >= GEN_READ_ONLY && at < GEN_ABSENT;
        if (absent)
            gen_map(g, at, 0, 0);
        else
            gen_map(g, at, at, RIG_P | RIG_U | (fixed ? 0 : RIG_W));
    }
    for (gla_t at = GEN_DATA; at < GEN_READ_ONLY; at += PAGE_SIZE) {
        gen_map(g, GEN_TWINS + at, at, RIG_P | RIG_U | RIG_W);
        gen_map(g, GEN_NEAR_TWINS + at, at, RIG_P | RIG_U | RIG_W);
    }
    if (g->machine != GEN_LONG) {
        for (gla_t at = GEN_CODE; at < GEN_CODE_END; at += PAGE_SIZE)
            gen_map(g, GEN_HIGH + (at - GEN_CODE), at, RIG_P | RIG_U | RIG_W);
        gen_map(g, 0, GEN_CODE, RIG_P | RIG_U | RIG_W);
    }
    /* a program that changes its tables and flushes nothing may see either */
    for (gla_t at = RIG_TABLES; at < RIG_TABLES_END; at += PAGE_SIZE)
        gen_map(g, at, at, RIG_P);
}

/* What FS and GS may hold: bases, limits, and all that has no access. */
static inline void gen_segments(struct gen *g)
{
    const uint32_t data = ATTR_P | ATTR_S | ATTR_RW | ATTR_A | ATTR_DB | (g->user ? ATTR_DPL : 0);
    const struct {
        uint32_t base, limit, attr;
    } of[GEN_SEGMENTS] = {
        {GEN_DATA + 0x800, ~0u, data | ATTR_G},
        {GEN_DATA + 0x10, 0xfff, data},
        {GEN_DATA + 0x1001, 0x1000, data},
        {-(uint32_t)GEN_DATA, ~0u, data | ATTR_G},
        {GEN_DATA, 0xffff, data & ~(uint32_t)ATTR_RW},
        {GEN_DATA, 0xfff, data | ATTR_EC},
        {0, ~0u, data | ATTR_CODE | ATTR_G},
        {GEN_DATA, 2, data},
    };
    for (unsigned i = 0; i < GEN_SEGMENTS; i++)
        rig_descriptor(g->rig, (uint16_t)(SEL_SPARE + 8 * i), of[i].base, of[i].limit, of[i].attr);
    if (g->machine == GEN_LONG)
        return;
    for (unsigned s = SEG_FS; s <= SEG_GS; s++)
        if (one_in(2))
            rig_load_seg(g->rig, s,
                         (uint16_t)(SEL_SPARE + 8 * below(GEN_SEGMENTS) + (g->user ? 3 : 0)));
}

/* A machine of some kind, and its handlers. */
static inline void gen_machine(struct gen *g)
{
    static const enum gen_machine kinds[] = {GEN_LONG, GEN_LONG,   GEN_LONG, GEN_COMPAT,
                                             GEN_FLAT, GEN_PAGING, GEN_PAE};
    struct rig *r = g->rig;
    g->machine = kinds[below(ARRAY_SIZE(kinds))];
    g->user = !one_in(4);
    g->code64 = g->machine == GEN_LONG;
    const uint16_t data = g->user ? SEL_DATA_USER : SEL_DATA;
    const uint16_t code = g->code64 ? (g->user ? SEL_CODE64_USER : SEL_CODE64)
                                    : (g->user ? SEL_CODE32_USER : SEL_CODE32);
    if (g->machine == GEN_LONG || g->machine == GEN_COMPAT) {
        gen_handlers64(g);
        rig_long(r, code, data);
    } else {
        gen_handlers32(g);
        rig_prot(r, code, data);
    }
    if (g->machine != GEN_FLAT)
        gen_paging(g);
    if (g->machine == GEN_LONG)
        rig_map(r, GEN_TABLE, gen_page_table(r), RIG_P | RIG_W);
    gen_segments(g);
    if (g->machine == GEN_LONG) {
        gen_syscall(g);
        r->cpu->cr4 |= one_in(4) ? 0 : CR4_FSGSBASE;
        r->cpu->cr4 |= one_in(8) ? CR4_TSD : 0;
    }
    r->cpu->msr_tsc_aux = rnd() & 0xffff;
    r->cpu->xcr0 = XCR0_X87 | XCR0_SSE | (one_in(3) ? 0 : XCR0_AVX);
    r->cpu->cr4 |= CR4_OSXSAVE;
    r->cpu->fpu.cw = 0x37f;
    cpu_loaded(r->cpu);
}

/* A program, its data and a state to begin with, in g->rig. */
static inline void gen_program(struct gen *g)
{
    struct cpu *cpu = g->rig->cpu;
    g->stores_to_code = one_in(4);
    g->x87 = one_in(4);
    memset(g->code, 0xcc, sizeof g->code);
    g->fixups = 0;
    g->at = below(3) * 0x1000 + (one_in(2) ? 0xf00 + below(0xf0) : below(0x1000));
    if (g->at > sizeof g->code - 0x1800)
        g->at = 0x1f80;
    for (unsigned c = 0; c < GEN_CHUNKS; c++) {
        g->chunk[c] = g->at;
        for (unsigned n = below(one_in(4) ? 24 : 8); n; n--)
            gen_insn(g);
        if (g->machine == GEN_COMPAT && one_in(4))
            gen_excursion(g);
        gen_end(g, c);
    }
    gen_u8(g, 0xe9);
    gen_to_chunk(g, 0, false);
    for (unsigned i = 0; i < g->fixups; i++) {
        const unsigned at = g->fixup[i].at, to = g->chunk[g->fixup[i].chunk];
        st32(g->code + at, g->fixup[i].absolute ? GEN_CODE + to : to - (at + 4));
    }
    rig_put(g->rig, GEN_CODE, g->code, sizeof g->code);
    uint64_t list[1 + GEN_CHUNKS] = {0};
    for (unsigned c = 0; c < GEN_CHUNKS; c++)
        list[1 + c] = GEN_CODE + g->chunk[c];
    rig_put(g->rig, GEN_CHUNKS_AT, list, sizeof list);
    rig_put(g->rig, GEN_CONTROL_AT, gen_control, sizeof gen_control);
    rig_put(g->rig, GEN_CONTROL_AT + 0x40, gen_mxcsr, sizeof gen_mxcsr);
    uint64_t data[(GEN_ABSENT - GEN_DATA) / 8];
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
        data[i] = one_in(4) ? gen_value(g) : rnd();
    rig_put(g->rig, GEN_DATA, data, sizeof data);
    for (unsigned i = 0; i < 16; i++)
        cpu->r[i] = gen_value(g);
    for (unsigned i = 0; i < ARRAY_SIZE(gen_pointers); i++)
        cpu->r[gen_pointers[i]] = gen_data_address(g);
    cpu->r[REG_RSP] = GEN_END - 0x80;
    if (!g->code64 && g->user && one_in(4)) /* what 32-bit code does not see */
        for (unsigned i = 0; i < 16; i++)
            cpu->r[i] |= (uint64_t)below(0x10000) << 32;
    cpu_set_rflags(cpu, (rnd() & FLAGS_ARITH) | FLAG_1 | (one_in(32) ? FLAG_AC : 0) |
                            (one_in(64) ? FLAG_TF : 0));
    for (unsigned i = 0; i < 16; i++)
        for (unsigned k = 0; k < 2; k++)
            cpu->zmm[i].q[k] = rnd();
    cpu->rip = GEN_CODE + g->chunk[0];
    if (g->machine > GEN_FLAT || g->machine == GEN_COMPAT)
        cpu->rip = (one_in(3) ? GEN_HIGH : GEN_CODE) + g->chunk[0];
    cpu_loaded(cpu);
}

#endif
