/* See guest.h. */
#include "guest.h"

#include "unit/insn_rig.h"

#include "cpu/exec.h"

#define WINDOW_GPA UINT64_C(0x200000)
#define CODE_GPA   UINT64_C(0x210000)

static struct rig rig;
static struct segment segments[CODE_MODES][SEG_COUNT]; /* what code of each size starts with */

uint8_t *guest_memory(void)
{
    return rig_at(&rig, WINDOW_GPA);
}

/* --- state --- */

static void load_fpu(struct cpu *cpu, const struct native_state *s)
{
    cpu->fpu.cw = ld16(s->fx);
    cpu->fpu.sw = ld16(s->fx + 2);
    cpu->fpu.used = s->fx[4];
    cpu->fpu.fop = ld16(s->fx + 6);
    cpu->fpu.fip = ld64(s->fx + 8);
    cpu->fpu.fdp = ld64(s->fx + 16);
    cpu->fpu.fcs = cpu->fpu.fds = 0;
    cpu->mxcsr = ld32(s->fx + 24);
    for (unsigned i = 0; i < 8; i++) {
        union fpreg *r = &cpu->fpu.r[(i + (cpu->fpu.sw >> 11)) & 7];
        r->mant = ld64(s->fx + 32 + 16 * i);
        r->sexp = ld16(s->fx + 40 + 16 * i);
    }
    for (unsigned i = 0; i < 16; i++) {
        memcpy(&cpu->zmm[i].q[0], s->fx + 160 + 16 * i, 16);
        memcpy(&cpu->zmm[i].q[2], s->ymm[i], 16);
    }
}

static void load(const struct native_state *s)
{
    struct cpu *cpu = rig.cpu;
    if (cpu->cpl != 3 || memcmp(cpu->seg, rig.seg, sizeof rig.seg) != 0)
        rig_user64(&rig);
    memcpy(cpu->r, s->gpr, sizeof s->gpr);
    cpu_set_rflags(cpu, s->rflags);
    cpu->rip = NATIVE_CODE - native_code_base();
    load_fpu(cpu, s);
}

static void read_fpu(const struct cpu *cpu, struct native_state *s)
{
    s->env[3] = (uint32_t)cpu->fpu.fip;
    s->env[4] = cpu->fpu.fcs | (uint32_t)cpu->fpu.fop << 16;
    s->env[5] = (uint32_t)cpu->fpu.fdp;
    s->env[6] = 0xffff0000 | cpu->fpu.fds;
    st16(s->fx, cpu->fpu.cw);
    st16(s->fx + 2, cpu->fpu.sw);
    s->fx[4] = cpu->fpu.used;
    st32(s->fx + 24, cpu->mxcsr);
    for (unsigned i = 0; i < 8; i++) {
        const union fpreg *r = &cpu->fpu.r[(i + (cpu->fpu.sw >> 11)) & 7];
        st64(s->fx + 32 + 16 * i, r->mant);
        st16(s->fx + 40 + 16 * i, r->sexp);
    }
    for (unsigned i = 0; i < 16; i++) {
        memcpy(s->fx + 160 + 16 * i, &cpu->zmm[i].q[0], 16);
        memcpy(s->ymm[i], &cpu->zmm[i].q[2], 16);
    }
}

static void read(struct outcome *o)
{
    struct cpu *cpu = rig.cpu;
    const struct rig_event ev = rig_event(&rig);
    *o = (struct outcome){.vector = ev.vector, .rip = cpu->rip};
    memcpy(o->s.gpr, cpu->r, sizeof o->s.gpr);
    o->s.rflags = cpu_get_rflags(cpu);
    o->s.sel[0] = cpu->seg[SEG_DS].sel;
    o->s.sel[1] = cpu->seg[SEG_ES].sel;
    o->s.sel[2] = cpu->seg[SEG_SS].sel;
    if (ev.vector >= 0) {
        o->s.sel[2] = ev.ss;
        o->s.gpr[REG_RSP] = ev.rsp;
        o->s.rflags = ev.rflags;
        o->rip = ev.rip;
        o->error = ev.error;
        if (ev.vector == VEC_PF)
            o->cr2 = cpu->cr2;
    }
    o->rip += native_code_base();
    read_fpu(cpu, &o->s);
}

/* --- running --- */

static void put_code(const uint8_t *bytes, unsigned len)
{
    const gpa_t at = CODE_GPA + NATIVE_CODE_AT;
    memcpy(rig_at(&rig, at), bytes, len);
    st16(rig_at(&rig, at + len), 0x0b0f); /* UD2 */
    ram_note_write(&rig.ram, rig.main.ram + at, len + 2);
}

static void begin(const uint8_t *bytes, unsigned len, const struct native_state *in)
{
    memcpy(guest_memory(), case_memory, WINDOW_RW_BYTES);
    put_code(bytes, len);
    load(in);
}

void guest_run(const struct oracle_case *t, struct outcome *o)
{
    struct cpu *cpu = rig.cpu;
    const uint64_t start = NATIVE_CODE - native_code_base();
    begin(t->code.b, t->len, &t->in);
    rig_run(&rig, 1);
    /* REP counts each repetition: a few at a time, but no more than it will take, for comparisons
     * may end early */
    while (cpu->rip == start && cpu->cpl == 3 && row_is_string(t->form->row)) {
        const uint64_t left = cpu->r[REG_RCX] & size_mask(t->u.asize);
        const uint64_t chunk = t->u.op == OP_CMPS || t->u.op == OP_SCAS ? 1 : 1 + below(5);
        rig_run(&rig, MIN(left, chunk));
    }
    read(o);
}

void guest_run_code(const uint8_t *bytes, unsigned len, const struct native_state *in,
                    unsigned count, unsigned chunk, struct outcome *o)
{
    begin(bytes, len, in);
    while (count) {
        const unsigned n = MIN(count, chunk);
        rig_run(&rig, n);
        count -= n;
    }
    read(o);
}

/* --- life --- */

enum { LDT_AT = 0x800 }; /* in the rig's GDT */

/* What the host has: null data segments but for SS in 64-bit code, flat ones in 32-bit code. */
static void prepare_segments(void)
{
    const uint32_t data = ATTR_P | ATTR_S | ATTR_RW | ATTR_A | ATTR_DPL;
    rig_descriptor(&rig, LDT_AT | LDT_CODE32, 0, ~0u, data | ATTR_CODE | ATTR_DB | ATTR_G);
    rig_descriptor(&rig, LDT_AT | LDT_CODE16, NATIVE_PAGE, 0xffff, data | ATTR_CODE);
    rig_descriptor(&rig, LDT_AT | LDT_DATA16, WINDOW, 0xffff, data);
    if (native.cs[CODE16] || native.cs[CODE32] == LDT_CODE32)
        rig.seg[SEG_LDTR] = (struct segment){
            .base = RIG_GDT + LDT_AT, .limit = 0x17, .sel = SEL_SPARE, .attr = ATTR_P | TYPE_LDT};
    rig.seg[SEG_FS].base = FS_BASE;
    rig.seg[SEG_GS].base = GS_BASE;
    __asm__("mov %%fs, %0" : "=r"(rig.seg[SEG_FS].sel));
    __asm__("mov %%gs, %0" : "=r"(rig.seg[SEG_GS].sel));
    rig.seg[SEG_DS].sel = (uint16_t)native.sel[0];
    rig.seg[SEG_ES].sel = (uint16_t)native.sel[1];
    for (unsigned bits = 0; bits < CODE_MODES; bits++) {
        struct segment *seg = segments[bits];
        memcpy(seg, rig.seg, sizeof rig.seg);
        if (bits == CODE64 || !native.cs[bits])
            continue;
        /* LDT selectors as the rig's GDT has them, and then by their right names */
        const uint16_t code = native.cs[bits], ss = bits == CODE16 ? LDT_DATA16 : GDT_DATA;
        rig_load_seg(&rig, SEG_CS, code & 4 ? LDT_AT | code : code);
        rig_load_seg(&rig, SEG_SS, ss & 4 ? LDT_AT | ss : ss);
        seg[SEG_CS] = rig.cpu->seg[SEG_CS];
        seg[SEG_CS].sel = code;
        seg[SEG_SS] = rig.cpu->seg[SEG_SS];
        seg[SEG_SS].sel = ss;
        seg[SEG_DS] = seg[SEG_ES] = seg[SEG_SS];
    }
}

void set_code_bits(enum code_bits bits)
{
    native_set_bits(bits);
    memcpy(rig.seg, segments[bits], sizeof rig.seg);
    rig_user64(&rig);
    case_mode = (struct case_mode){
        .bits = bits, .mode = rig.cpu->mode, .feat = &rig.cpu->feat, .avx2 = host_has(FEAT_AVX2)};
}

void guest_open(void)
{
    rig_open(&rig);
    rig_long_user(&rig);
    struct cpu *cpu = rig.cpu;
    /* whatever there is a row for, also what no single model has */
    for (unsigned i = 0; i < FEAT_COUNT; i++)
        cpu->feat.has[i] = true;
    if (host_has(FEAT_FSGSBASE))
        cpu->cr4 |= CR4_FSGSBASE;
    if (host_has(FEAT_XSAVE)) {
        cpu->cr4 |= CR4_OSXSAVE;
        cpu->xcr0 = XCR0_X87 | XCR0_SSE | (native.avx ? XCR0_AVX : 0);
    }
    for (unsigned i = 0; i < WINDOW_BYTES; i += PAGE_SIZE)
        rig_map(&rig, WINDOW + i, WINDOW_GPA + i,
                RIG_P | RIG_U | (i < WINDOW_RW_BYTES ? RIG_W : 0));
    memset(guest_memory(), 0x5a, WINDOW_BYTES);
    rig_map(&rig, NATIVE_PAGE, CODE_GPA, RIG_P | RIG_U);
    prepare_segments();
    set_code_bits(CODE64);
}

void guest_close(void)
{
    rig_close(&rig);
}
