/* x87 images byte by byte in the formats of every mode outside 64-bit mode; bit offsets, frames and
 * pairs of operands at the end of a segment. SDM 1 8.1.10; SDM 2A "BT", "ENTER", "FSAVE". */
#include "rt.h"

const char image_name[] = "strict32";

#include "lock.inc"

/* --- x87 images --- */

enum { FCW = 0x37f, FSW = 0x2800, TAGS = 0x1bff, FOP = 0x503, IMAGE = 0x6000, OPERAND = 0x6200 };

/* Three registers: 1, 0 and infinity, which the last instruction loads; what was in the others is
 * zero. */
#define ZEROS "fldz\n fldz\n fldz\n fldz\n fldz\n fldz\n fldz\n fldz\n"
#define LOAD  "fninit\n" ZEROS "fninit\n fld1\n fldz\n"
enum { FIP_AT = 2 + 16 + 2 + 4 };

static uint8_t expected[128];
static unsigned expected_bytes;

static void put(uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        expected[expected_bytes++] = (uint8_t)(v >> (8 * i));
}

struct pointers {
    uint32_t ip, dp; /* offsets, or linear addresses where linear */
    uint16_t cs, ds;
    bool linear;
};

/* SDM 1 figures 8-9 to 8-12. */
static void expect_environment(bool wide, const struct pointers *p, uint32_t cw, uint32_t sw,
                               uint32_t tags)
{
    const unsigned n = wide ? 4 : 2;
    const uint32_t ones = 0xffff0000;
    expected_bytes = 0;
    put(ones | cw, n);
    put(ones | sw, n);
    put(ones | tags, n);
    if (!p->linear) {
        put(p->ip, n);
        put(wide ? p->cs | (uint32_t)FOP << 16 : p->cs, n);
        put(p->dp, n);
        put(ones | p->ds, n);
    } else if (wide) {
        put(ones | (p->ip & 0xffff), 4);
        put((p->ip >> 16) << 12 | FOP, 4);
        put(ones | (p->dp & 0xffff), 4);
        put((p->dp >> 16) << 12, 4);
    } else {
        put(p->ip, 2);
        put((p->ip >> 16) << 12 | FOP, 2);
        put(p->dp, 2);
        put((p->dp >> 16) << 12, 2);
    }
}

static void expect_image(bool wide, const struct pointers *p)
{
    expect_environment(wide, p, FCW, FSW, TAGS);
    put(UINT64_C(0x8000000000000000), 8); /* ST0: infinity */
    put(0x7fff, 2);
    put(0, 10);
    put(UINT64_C(0x8000000000000000), 8); /* ST2: 1 */
    put(0x3fff, 2);
    for (unsigned i = 0; i < 5; i++)
        put(0, 10);
}

static void prepare(void)
{
    static const uint64_t infinity = UINT64_C(0x7ff0000000000000);
    memset((void *)IMAGE, 0x5a, 0x100);
    memcpy((void *)OPERAND, &infinity, 8);
}

static void compare(const char *what)
{
    expect_done("%s", what);
    const uint8_t *const image = (const uint8_t *)IMAGE;
    for (unsigned i = 0; i < expected_bytes; i++)
        check_eq(image[i], expected[i], "%s: byte %u", what, i);
    for (unsigned i = expected_bytes; i < expected_bytes + 32; i++)
        check_eq(image[i], 0x5a, "%s: byte %u is beyond it", what, i);
}

/* FCS and FDS are not kept by processors that say so (CPUID.7.EBX[13]), and by others FDP is only
 * with an exception (bit 6). */
static void trim(struct pointers *p)
{
    uint32_t r[4];
    cpuid(7, 0, r);
    if (r[1] >> 13 & 1)
        p->cs = p->ds = 0;
    if (r[1] >> 6 & 1)
        p->dp = p->ds = 0;
}

#define FORMATS(RUN, WIDE, SHORT, what, p)                                         \
    do {                                                                           \
        in = (struct regs){.bx = OPERAND, .si = IMAGE};                            \
        prepare();                                                                 \
        RUN(LOAD "fldl (%%ebx)\n " WIDE "fnsave (%%esi)");                         \
        expect_image(true, p);                                                     \
        compare(what " fnsave, 32 bits");                                          \
        prepare();                                                                 \
        RUN(LOAD "fldl (%%ebx)\n " SHORT "fnsave (%%esi)");                        \
        expect_image(false, p);                                                    \
        compare(what " fnsave, 16 bits");                                          \
        prepare();                                                                 \
        RUN(LOAD "fldl (%%ebx)\n " WIDE "fnstenv (%%esi)");                        \
        expect_environment(true, p, FCW, FSW, TAGS);                               \
        compare(what " fnstenv, 32 bits");                                         \
        prepare();                                                                 \
        RUN(LOAD "fldl (%%ebx)\n " SHORT "fnstenv (%%esi)");                       \
        expect_environment(false, p, FCW, FSW, TAGS);                              \
        compare(what " fnstenv, 16 bits");                                         \
        prepare(); /* back and saved again: the same; after FNSAVE all is reset */ \
        RUN(LOAD "fldl (%%ebx)\n " WIDE                                            \
                 "fnsave (%%esi)\n fnstcw 0x200(%%esi)\n fnstsw %%ax\n" WIDE       \
                 "frstor (%%esi)\n " WIDE "fnsave (%%esi)");                       \
        expect_image(true, p);                                                     \
        compare(what " frstor");                                                   \
        check_eq(*(uint16_t *)(IMAGE + 0x200), FCW, what " FNSAVE initialises");   \
        check_eq(last.r.ax & 0xffff, 0, what " FNSAVE clears the status");         \
    } while (0)

static void images_protected(void)
{
    for (enum level l = RING0; l <= RING3; l += 3) {
        at(l);
        ctx.copy = true;
        struct pointers p = {.ip = LOW_CODE + FIP_AT, .dp = OPERAND, .cs = ctx.cs, .ds = ctx.ds};
        trim(&p);
        FORMATS(TRY, "", "data16 ", "32-bit code:", &p);
        at_code16(l);
        p.cs = ctx.cs;
        trim(&p);
        FORMATS(TRY16, "data32 ", "", "16-bit code:", &p);
    }
}

/* Linear addresses, of 20 bits in the short format. */
static void images_real(void)
{
    struct pointers p = {.ip = LOW_CODE + FIP_AT, .dp = OPERAND, .linear = true};
    trim(&p);
    at_real();
    FORMATS(TRY_REAL, "data32 ", "", "real mode:", &p);
    at(VM86);
    ctx.flags = 0x23002;
    FORMATS(TRY16, "data32 ", "", "virtual-8086 mode:", &p);
    /* segments that count: CS:IP and DS:DX as one number */
    at(VM86);
    ctx.flags = 0x23002;
    ctx.ds = 0x123;
    p.dp = p.dp ? 0x1230 + OPERAND : 0;
    in = (struct regs){.bx = OPERAND, .si = IMAGE - 0x1230};
    prepare();
    memcpy((void *)(0x1230 + OPERAND), (void *)OPERAND, 8);
    TRY16(LOAD "fldl (%%ebx)\n fnsave (%%esi)");
    expect_image(false, &p);
    compare("virtual-8086 mode, a segment");
}

/* Images at the end of a segment: nothing is written unless all of it fits. */
static void images_limit(void)
{
    static uint8_t area[256];
    at(RING0);
    static const struct {
        const char *name;
        uint8_t bytes;
    } sizes[] = {
        {"fnstenv", 28}, {"fnstenv, 16 bits", 14}, {"fnsave", 108}, {"fnsave, 16 bits", 94}};
    for (unsigned i = 0; i < 4; i++)
        for (unsigned fits = 0; fits < 2; fits++) {
            memset(area, 0x5a, sizeof area);
            gdt_set(SLOT(0), descriptor((word)area, sizes[i].bytes - 2 + fits, P | T_RW, F_D));
            ctx.es = SLOT(0);
            asm volatile("fninit");
            switch (i) {
            case 0:
                TRY("fnstenv %%es:0");
                break;
            case 1:
                TRY("data16 fnstenv %%es:0");
                break;
            case 2:
                TRY("fnsave %%es:0");
                break;
            default:
                TRY("data16 fnsave %%es:0");
                break;
            }
            if (fits) {
                expect_done("%s that fits", sizes[i].name);
                check(area[sizes[i].bytes - 1] != 0x5a && area[sizes[i].bytes] == 0x5a,
                      "%s: its size", sizes[i].name);
            } else {
                expect_fault(GP, 0, "%s that does not", sizes[i].name);
                for (unsigned k = 0; k < sizeof area; k++)
                    check_eq(area[k], 0x5a, "%s: byte %u", sizes[i].name, k);
            }
        }
}

/* --- bit offsets --- */

static void bit_offsets(void)
{
    static uint32_t words[8];
    gdt_set(SLOT(0), descriptor((word)words, sizeof words - 1, P | T_RW, F_D));
    at(RING0);
    ctx.es = SLOT(0);
    memset(words, 0, sizeof words);
    for (int bit = -300; bit < 300; bit++) {
        in = (struct regs){.bx = 12, .ax = (word)bit};
        const int at_ = 12 + 4 * (bit >> 5); /* of the doubleword */
        const bool ok = at_ >= 0 && at_ + 4 <= (int)sizeof words;
        TRY("btsl %%eax, %%es:(%%ebx)");
        if (!ok) {
            expect_fault(GP, 0, "bts of bit %d", bit);
            continue;
        }
        expect_done("bts of bit %d", bit);
        check_eq(words[at_ / 4], 1u << (bit & 31), "bit %d", bit);
        words[at_ / 4] = 0;
        TRY("btl %%eax, %%es:(%%ebx)");
        check_eq(last.flags & 1, 0, "bt of bit %d", bit);
    }
    /* 16-bit operands: words */
    for (int bit = -300; bit < 300; bit++) {
        in = (struct regs){.bx = 12, .ax = (word)bit & 0xffff};
        const int at_ = 12 + 2 * (bit >> 4);
        TRY("btsw %%ax, %%es:(%%ebx)");
        if (at_ < 0 || at_ + 2 > (int)sizeof words) {
            expect_fault(GP, 0, "btsw of bit %d", bit);
            continue;
        }
        check_eq(((uint16_t *)words)[at_ / 2], 1u << (bit & 15), "btsw of bit %d", bit);
        memset(words, 0, sizeof words);
    }
    /* read-only: BT may, the others not */
    gdt_set(SLOT(0), descriptor((word)words, sizeof words - 1, P | T_RO, F_D));
    in = (struct regs){.bx = 12};
    TRY("btl %%eax, %%es:(%%ebx)");
    expect_done("bt of a read-only segment");
    TRY("btrl %%eax, %%es:(%%ebx)");
    expect_fault(GP, 0, "btr of a read-only segment");
    TRY("cmpxchg %%ecx, %%es:(%%ebx)");
    expect_fault(GP, 0, "cmpxchg of a read-only segment");
    TRY("cmpxchg8b %%es:(%%ebx)");
    expect_fault(GP, 0, "cmpxchg8b of a read-only segment");
}

/* --- how many bytes each instruction reads or writes, by the limit of its segment --- */

static void operand_bytes(void)
{
    static uint8_t area[1024] __attribute__((aligned(64)));
    static const struct pointer idt_now = {sizeof idt - 1, (word)idt},
                                gdt_now = {GDT_BYTES - 1, (word)gdt};
    uint32_t r[4];
    cpuid(1, 0, r);
    const word c4 = cr4();
    write_cr4(c4 | 0x600);
    asm volatile("fninit");
    at(RING0);
/* n bytes at the end of ES, with what init puts there; then one byte less */
#define BYTES(n, init, text)                                                              \
    do {                                                                                  \
        memset(area, 0, sizeof area);                                                     \
        init;                                                                             \
        in = (struct regs){.bx = 16, .di = 16, .ax = 1, .cx = 1, .si = (word)area + 512}; \
        gdt_set(SLOT(0), descriptor((word)area, 16 + (n)-1, P | T_RW, F_D));              \
        ctx.es = SLOT(0);                                                                 \
        TRY(text);                                                                        \
        expect_done("%s of %u bytes", #text, n);                                          \
        gdt_set(SLOT(0), descriptor((word)area, 16 + (n)-2, P | T_RW, F_D));              \
        TRY(text);                                                                        \
        expect_fault(GP, 0, "%s of %u bytes, the last one outside", #text, n);            \
    } while (0)
    BYTES(6, , "sgdt %%es:(%%ebx)");
    BYTES(6, , "sidt %%es:(%%ebx)");
    BYTES(6, memcpy(area + 16, &gdt_now, 6), "lgdt %%es:(%%ebx)");
    BYTES(6, memcpy(area + 16, &idt_now, 6), "lidt %%es:(%%ebx)");
    BYTES(2, , "sldt %%es:(%%ebx)");
    BYTES(2, , "lldt %%es:(%%ebx)");
    BYTES(2, , "smsw %%es:(%%ebx)");
    BYTES(2, , "verr %%es:(%%ebx)");
    BYTES(2, , "movw %%es:(%%ebx), %%fs");
    BYTES(6, , "lfs %%es:(%%ebx), %%edx");
    BYTES(4, , "lfs %%es:(%%ebx), %%dx");
    BYTES(8, , "boundl %%edx, %%es:(%%ebx)");
    BYTES(4, , "boundw %%dx, %%es:(%%ebx)");
    BYTES(8, , "cmpxchg8b %%es:(%%ebx)");
    BYTES(4, , "pushl %%es:(%%ebx)");
    BYTES(2, , "arpl %%dx, %%es:(%%ebx)");
    BYTES(1, , "setz %%es:(%%ebx)");
    BYTES(2, , "xlatb %%es:(%%ebx)");
    BYTES(1, , "stosb");
    BYTES(4, , "stosl");
    BYTES(2, , "scasw");
    BYTES(4, , "movsl");
    BYTES(4, , "flds %%es:(%%ebx)\n fninit");
    BYTES(8, , "fldl %%es:(%%ebx)\n fninit");
    BYTES(10, , "fldt %%es:(%%ebx)\n fninit");
    BYTES(10, , "fbld %%es:(%%ebx)\n fninit");
    BYTES(2, , "filds %%es:(%%ebx)\n fninit");
    BYTES(8, , "fildq %%es:(%%ebx)\n fninit");
    BYTES(2, , "fnstcw %%es:(%%ebx)");
    BYTES(2, , "fnstsw %%es:(%%ebx)");
    BYTES(28, , "fldenv %%es:(%%ebx)");
    BYTES(14, , "data16 fldenv %%es:(%%ebx)");
    BYTES(108, , "frstor %%es:(%%ebx)");
    BYTES(94, , "data16 frstor %%es:(%%ebx)");
    asm volatile("fninit");
    if (r[3] & 1 << 23) {
        BYTES(8, , "movq %%es:(%%ebx), %%mm0\n emms");
        BYTES(4, , "movd %%mm0, %%es:(%%ebx)\n emms");
        BYTES(4, , "punpcklbw %%es:(%%ebx), %%mm0\n emms");
    }
    if (r[3] & 1 << 26) {
        BYTES(512, , "fxsave %%es:(%%ebx)");
        BYTES(16, , "movaps %%xmm0, %%es:(%%ebx)");
        BYTES(16, , "movups %%es:(%%ebx), %%xmm0");
        BYTES(8, , "movlps %%xmm0, %%es:(%%ebx)");
        BYTES(4, , "movss %%es:(%%ebx), %%xmm0");
        BYTES(8, , "cvtps2pd %%es:(%%ebx), %%xmm0");
        BYTES(4, memset(area + 17, 0x1f, 1), "stmxcsr %%es:(%%ebx)");
        BYTES(4, area[16] = 0x80; area[17] = 0x1f, "ldmxcsr %%es:(%%ebx)");
        BYTES(2, , "pinsrw $0, %%es:(%%ebx), %%xmm0");
    }
    write_cr4(c4);
    lgdt(gdt, sizeof gdt - 1);
    lidt(idt, sizeof idt - 1);
    asm volatile("lldt %w0" ::"r"(0));
}

/* --- ENTER and LEAVE at the ends of a stack --- */

static void frames(void)
{
    static uint32_t stack[64];
    gdt_set(SLOT(0), descriptor((word)stack, sizeof stack - 1, P | T_RW, F_D));
    at(RING0);
    ctx.ss = SLOT(0);
    ctx.sp = 128;
    in.bp = 80;
    TRY("enter $124, $0\n mov %%esp, %%ecx\n mov $128, %%esp");
    check_eq(last.r.cx, 0, "ESP");
    expect_done("enter down to the segment's first byte");
    TRY("enter $125, $0");
    expect_fault(SS, 0, "enter one byte below");
    check_eq(last.r.bp, 80, "EBP");
    TRY("enter $4, $31");
    expect_fault(SS, 0, "enter whose display does not fit");
    check_eq(last.r.bp, 80, "EBP");
    in.bp = 4;
    TRY("enter $4, $3");
    expect_fault(SS, 0, "enter whose display begins below the segment");
    in.bp = 256;
    TRY("leave");
    expect_fault(SS, 0, "leave beyond the limit");
    check_eq(last.r.bp, 256, "EBP");
    in.bp = 252;
    stack[63] = 0x1234;
    TRY("leave\n mov %%esp, %%ecx\n mov $128, %%esp");
    expect_done("leave of the last doubleword");
    check_eq(last.r.bp, 0x1234, "EBP");
    check_eq(last.r.cx, 256, "ESP");
}

const struct test tests[] = {
    {"images_protected", images_protected}, {"images_real", images_real},
    {"images_limit", images_limit},         {"bit_offsets", bit_offsets},
    {"operand_bytes", operand_bytes},       {"frames", frames},
    {"lock_prefix", lock_prefix},           {NULL, NULL},
};
