/* See case.h: aims a random encoding's operands at the window, and gives them values that mean
 * something to it. */
#include "case.h"

#include "cpu/cpu.h"
#include "cpu/exec.h"
#include "operands.h"

enum { POOL_STATES = 64 };

uint8_t case_memory[WINDOW_RW_BYTES];
struct case_mode case_mode;

static uint8_t pool[WINDOW_RW_BYTES * 8];
static struct native_state states[POOL_STATES];

/* --- values --- */

uint64_t random_value(void)
{
    static const uint64_t edge[] = {
        0,
        1,
        2,
        0x7f,
        0x80,
        0xff,
        0x7fff,
        0x8000,
        0xffff,
        0x10000,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        0x100000000,
        ~0ull,
        0x7fffffffffffffff,
        0x8000000000000000,
        0x5555555555555555,
        0xaaaaaaaaaaaaaaaa,
        0xfffffffffffffffe,
        0xffffffff7fffffff,
        0xffffffff80000000,
        63,
        64,
    };
    switch (below(6)) {
    case 0:
    case 1:
        return edge[below(ARRAY_SIZE(edge))];
    case 2:
        return rnd() >> below(64);
    case 3:
        return (uint64_t)((int64_t)rnd() >> below(64));
    case 4:
        return rnd() & rnd();
    default:
        return rnd();
    }
}

/* pending: an unmasked exception may be waiting */
static void random_fx(uint8_t *fx, bool pending)
{
    memset(fx, 0, 512);
    uint16_t cw = 0x007f, sw = (uint16_t)(rnd() & 0x7f00);
    if (one_in(3))
        sw |= rnd() & 0x7f;
    cw |= (uint16_t)((one_in(2) ? 3 : below(4)) << 8 | below(4) << 10);
    if (one_in(6))
        cw &= ~(uint16_t)(rnd() & 0x3f);
    if (!pending && (sw & ~cw & 0x3f))
        sw &= (uint16_t)~0x3f;
    if (sw & ~cw & 0x3f)
        sw |= FSW_ES | FSW_B;
    st16(fx, cw);
    st16(fx + 2, sw);
    static const uint8_t tags[] = {0xff, 0xff, 0x0f, 0x1e, 0x3c, 0x78, 0xf0, 0};
    fx[4] = one_in(3) ? (uint8_t)rnd() : tags[below(ARRAY_SIZE(tags))];
    st16(fx + 6, (uint16_t)(rnd() & 0x7ff));
    st64(fx + 8, rnd() & 0x7fffffffffff);
    st64(fx + 16, rnd() & 0x7fffffffffff);
    st32(fx + 24, random_mxcsr());
    for (unsigned i = 0; i < 8; i++)
        random_f80(fx + 32 + 16 * i);
    for (unsigned i = 0; i < 16; i++)
        random_bytes(fx + 160 + 16 * i, 16);
}

static void random_vectors(struct native_state *s)
{
    random_fx(s->fx, one_in(12));
    memset(s->ymm, 0, sizeof s->ymm);
    for (unsigned i = 0; native.avx && i < 16; i++)
        random_bytes(s->ymm[i], 16);
}

void case_registers(struct native_state *s, bool fresh)
{
    if (fresh) {
        random_vectors(s);
    } else {
        const struct native_state *from = &states[below(POOL_STATES)];
        memcpy(s->fx, from->fx, sizeof s->fx);
        memcpy(s->ymm, from->ymm, sizeof s->ymm);
    }
    for (unsigned i = 0; i < 16; i++)
        s->gpr[i] = case_mode.bits == CODE64 ? random_value()
                    : i < 8                  ? (uint32_t)random_value()
                                             : 0;
    s->rflags = (rnd() & (FLAGS_ARITH | FLAG_DF)) | FLAG_1 | FLAG_IF;
}

void case_seed(uint64_t seed, unsigned row, uint64_t n)
{
    /* splitmix64: neighbours have nothing in common */
    uint64_t z = seed + (row * UINT64_C(0x100000001) + n + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    rng_state = (z ^ z >> 31) | 1;
}

void case_prepare(uint64_t seed)
{
    case_seed(seed, ~0u, 0);
    for (unsigned i = 0; i < sizeof pool; i += 8)
        st64(pool + i, random_value());
    for (unsigned i = 0; i < POOL_STATES; i++)
        random_vectors(&states[i]);
}

void case_fill_memory(void)
{
    memcpy(case_memory, pool + below(sizeof pool - WINDOW_RW_BYTES), WINDOW_RW_BYTES);
}

/* --- where operands lie --- */

/* Nearly always in the window, now and then where it faults. align: what the operand likes. */
static uint64_t random_target(void)
{
    switch (below(64)) {
    case 0: /* read only */
        return WINDOW + WINDOW_RW_BYTES + below(PAGE_SIZE - 16);
    case 1: /* across either end */
        return WINDOW - 12 + below(24);
    case 2:
        return WINDOW + WINDOW_RW_BYTES - 12 + below(24);
    case 3: /* not canonical, or just not there: of the former 32 bits may lead to the rig's own */
        if (case_mode.bits != CODE64)
            return WINDOW - 16 * PAGE_SIZE + below(PAGE_SIZE);
        return one_in(2) ? native.not_canonical + 1 + below(64) : rnd() | BIT64(62);
    case 4:
    case 5:
    case 6: /* across the middle */
        return WINDOW + PAGE_SIZE - 12 + below(24);
    case 7:
    case 8: /* up to the middle or the end */
        return WINDOW + PAGE_SIZE * (1 + below(2)) - (8u << below(4));
    default:
        return one_in(2) ? WINDOW + 1024 + 8 * below(768) : WINDOW + 1024 + below(6144);
    }
}

static uint64_t operand_target(const struct oracle_case *t)
{
    const uint64_t at = random_target();
    if (!row_is_vector(t->u.row))
        return at;
    if (t->u.row->attr & A_VSIB) /* and its elements no nearer to what is the host's */
        return at >= native.not_canonical ? at | BIT64(62) : at;
    if (op_is_image(t->u.op))
        return one_in(30) ? at : at & ~UINT64_C(63);
    if (t->u.row->attr & A_ALIGN)
        return one_in(40) ? at : at & ~UINT64_C(15);
    return one_in(2) ? at : at & ~UINT64_C(31);
}

/* Of DS, ES, SS: see native.h. */
static uint64_t data_base(void)
{
    return case_mode.bits == CODE16 ? NATIVE_DATA : 0;
}

static uint64_t segment_base(const struct insn *u)
{
    switch (u->seg) {
    case SEG_FS:
        return FS_BASE;
    case SEG_GS:
        return GS_BASE;
    case SEG_CS:
        return native_code_base();
    case SEG_FLAT:
        return 0;
    default:
        return data_base();
    }
}

static unsigned stack_size(void)
{
    return case_mode.bits == CODE64 ? 8 : case_mode.bits == CODE32 ? 4 : 2;
}
uint64_t case_stack(uint64_t rsp)
{
    return data_base() + (rsp & size_mask(stack_size()));
}
static uint64_t stack_at(const struct oracle_case *t)
{
    return case_stack(t->in.gpr[REG_RSP]);
}

static uint64_t offset_of(const struct oracle_case *t)
{
    const struct insn *u = &t->u;
    uint64_t ea = (uint64_t)u->disp;
    if (u->base == REG_PC)
        ea += NATIVE_CODE;
    else if (u->base != REG_ZERO)
        ea += t->in.gpr[u->base];
    if (u->xindex != REG_ZERO)
        ea += t->in.gpr[u->xindex] << u->scale;
    return ea & size_mask(u->asize);
}

uint64_t case_operand(const struct oracle_case *t)
{
    return offset_of(t) + segment_base(&t->u);
}

/* Nothing of the host may lie there but the window. */
bool case_address_safe(uint64_t lin)
{
    return (lin >= WINDOW - NOTHING_BYTES + 65536 && lin < WINDOW + WINDOW_BYTES + NOTHING_BYTES) ||
           (lin >= native.not_canonical && lin < -native.not_canonical - 0x100);
}

/* Of 16-bit code, what lies beyond the limit of 64 KiB faults before it gets anywhere. */
static bool in_place(const struct insn *u, uint64_t offset)
{
    const bool limited = case_mode.bits == CODE16 && u->seg < SEG_FS;
    return (limited && offset > 0xffff && offset <= 0xffffffff) ||
           case_address_safe(offset + segment_base(u));
}

static void set_low(uint64_t *reg, uint64_t v, unsigned size)
{
    *reg = size == 8 ? v : (v & size_mask(size)) | (one_in(2) ? *reg & ~size_mask(size) : 0);
}

static bool decode_again(struct oracle_case *t)
{
    return decode(&t->u, t->code.b, 15, case_mode.mode, case_mode.feat, 0) == DECODE_OK &&
           t->u.len == t->len;
}

/* Sets registers or displacement so that the memory operand lies at about target. */
static bool aim(struct oracle_case *t, uint64_t target)
{
    struct insn *u = &t->u;
    const uint64_t want = target - segment_base(u);
    if (want & ~size_mask(u->asize))
        return false;
    if (u->base != REG_ZERO && u->base != REG_PC && u->base != u->xindex) {
        uint64_t v = want - (uint64_t)u->disp;
        if (u->xindex != REG_ZERO)
            v -= t->in.gpr[u->xindex] << u->scale;
        set_low(&t->in.gpr[u->base], v, u->asize);
        return true;
    }
    if (u->base != REG_ZERO && u->base != REG_PC) {
        t->in.gpr[u->base] = (want - (uint64_t)u->disp) / (1 + (UINT64_C(1) << u->scale));
        return true;
    }
    /* the displacement: behind ModRM, and SIB if there is one; an index makes it inexact */
    uint8_t *p = &t->code.b[t->code.modrm_at];
    if (u->xindex != REG_ZERO)
        t->in.gpr[u->xindex] = rnd() & 0xff;
    uint64_t disp = want;
    if (u->base == REG_PC)
        disp -= NATIVE_CODE + t->len;
    if (row_has(u->row, O_Ob, O_Ov)) {
        st_le(p, disp, u->asize);
    } else {
        if ((int64_t)disp != (int32_t)disp && u->asize == 8)
            return false;
        if (u->asize == 2)
            st16(p + 1, (uint16_t)disp);
        else
            st32(p + ((*p & 7) == 4 ? 2 : 1), (uint32_t)disp);
    }
    return decode_again(t);
}

static bool uses_reg(const struct insn *u, unsigned n)
{
    return u->mem && (u->base == n || u->xindex == n);
}

/* Bit offsets of BT and its kin that stay near the operand. */
static bool aim_bits(struct oracle_case *t)
{
    const struct insn *u = &t->u;
    const int bit = (int)below(1600) - 800;
    if (uses_reg(u, u->reg))
        return false;
    set_low(&t->in.gpr[u->reg], (uint64_t)bit, u->osize);
    return in_place(u, (offset_of(t) + (uint64_t)(int64_t)(bit / 8) - 8) & size_mask(u->asize));
}

static bool aim_string(struct oracle_case *t)
{
    const struct insn *u = &t->u;
    const uint64_t mask = size_mask(u->asize);
    const uint64_t to = random_target() - data_base();
    uint64_t from = random_target() - segment_base(u);
    if (one_in(3)) /* overlapping */
        from = to + data_base() - segment_base(u) + below(32) - 16;
    if (case_mode.bits != CODE64 && ((to | from) & ~mask))
        return false;
    set_low(&t->in.gpr[REG_RDI], to, u->asize);
    set_low(&t->in.gpr[REG_RSI], from, u->asize);
    if (u->rep || u->repne)
        set_low(&t->in.gpr[REG_RCX], below(one_in(4) ? 100 : 12), u->asize);
    return case_address_safe((t->in.gpr[REG_RDI] & mask) + data_base()) &&
           case_address_safe((t->in.gpr[REG_RSI] & mask) + segment_base(u));
}

/* A vector register of small indices. SDM 2A §2.3.12 "Vector SIB (VSIB) Memory Addressing" */
static void set_vsib(struct oracle_case *t)
{
    const unsigned step = t->form->opcode[0] & 1 ? 8 : 4; /* VPGATHERQx and kin are the odd ones */
    uint8_t *lanes[2] = {t->in.fx + 160 + 16 * t->u.imm2, t->in.ymm[t->u.imm2]};
    for (unsigned i = 0; i < (native.avx ? 2 : 1); i++)
        for (unsigned k = 0; k < 16; k += step) {
            const int64_t v = ((int)below(one_in(20) ? 8000 : 2000) - 1000) >> t->u.scale;
            st_le(lanes[i] + k, (uint64_t)v, step);
        }
}

static uint64_t stack_target(void)
{
    return (one_in(3) ? WINDOW + 4096 + below(2048) : random_target()) - data_base();
}
static void set_stack(struct oracle_case *t)
{
    set_low(&t->in.gpr[REG_RSP], stack_target(), stack_size());
    if (t->u.op == OP_ENTER || t->u.op == OP_LEAVE)
        set_low(&t->in.gpr[REG_RBP], stack_target(), stack_size());
}

static bool set_memory(uint64_t lin, uint64_t v, unsigned size)
{
    if (lin < WINDOW || lin + size > WINDOW + WINDOW_RW_BYTES)
        return false;
    st_le(case_memory + (lin - WINDOW), v, size);
    return true;
}

/* --- branches --- */

/* A place in the code's page for a second way out. */
static uint64_t random_exit(const struct oracle_case *t, bool near)
{
    for (;;) {
        const int d = near ? (int)below(256) - 128 : (int)below(3900) - 1900;
        if (d > -NATIVE_EXIT_BYTES - 1 && d < (int)t->len + NATIVE_EXIT_BYTES)
            continue;
        return NATIVE_CODE + (uint64_t)(int64_t)d;
    }
}

/* A near pointer to the exit. Where it cannot be put, what is there may lead anywhere, unless that
 * is an exception of the branch itself. */
static bool set_pointer(const struct oracle_case *t, uint64_t lin)
{
    return set_memory(lin, t->exit_at - native_code_base(), t->u.osize) ||
           case_mode.bits == CODE64 || lin + 8 < WINDOW || lin >= WINDOW + WINDOW_BYTES;
}

/* Now and then to where no code may be. */
static bool outside(bool may)
{
    return may && case_mode.bits == CODE64 && one_in(50);
}

/* Points the branch at an exit. */
static bool aim_branch(struct oracle_case *t)
{
    struct insn *u = &t->u;
    uint8_t *tail = &t->code.b[t->len];
    const uint64_t next = NATIVE_CODE + t->len;
    switch (u->row->opnd[0]) {
    case O_Jb:
        t->exit_at = random_exit(t, true);
        if ((int64_t)(t->exit_at - next) != (int8_t)(t->exit_at - next))
            return false;
        tail[-1] = (uint8_t)(t->exit_at - next);
        if (u->op >= OP_LOOP && u->op <= OP_JCXZ && one_in(2)) /* at the end of a count */
            set_low(&t->in.gpr[REG_RCX], below(3), u->asize);
        break;
    case O_Jz:
        t->exit_at = random_exit(t, false);
        if (u->osize == 2)
            st16(tail - 2, (uint16_t)(t->exit_at - next));
        else
            st32(tail - 4, (uint32_t)(t->exit_at - next));
        break;
    case O_Ev:
        /* not with a stack that may fault: which of the two comes first is not written */
        t->exit_at = outside(u->op == OP_JMPN) ? native.not_canonical : random_exit(t, false);
        if (!u->mem && u->rm == REG_RSP)
            return false;
        if (!u->mem)
            set_low(&t->in.gpr[u->rm], t->exit_at - native_code_base(), u->osize);
        else if (u->op == OP_CALLN
                     ? !set_memory(case_operand(t), t->exit_at - native_code_base(), u->osize)
                     : !set_pointer(t, case_operand(t)))
            return false;
        break;
    default: /* RET */
        t->exit_at = outside(true) ? native.not_canonical : random_exit(t, false);
        if (!set_pointer(t, stack_at(t)))
            return false;
        break;
    }
    return decode_again(t);
}

/* --- selectors --- */

/* Of descriptors that are the same for the host's kernel and the guest's rig (insn_rig.h), or that
 * are nowhere. SEL_* for user code and data of 64-bit Linux. */
static uint16_t random_selector(uint16_t right)
{
    /* not into code of another size: it would have to go on there */
    static const uint16_t other[] = {0, 3, GDT_DATA, GDT_DATA & ~3, 0xfff8, 0xffff, 0x33, 0x31};
    return one_in(4) ? other[below(ARRAY_SIZE(other) - (case_mode.bits == CODE64 ? 0 : 2))] : right;
}
static uint16_t data_selector(void)
{
    return random_selector(case_mode.bits == CODE16 ? LDT_DATA16 : GDT_DATA);
}
static uint16_t code_selector(void)
{
    return random_selector(native.cs[case_mode.bits]);
}

/* The selector an instruction reads by itself: LAR and kin, and loads of data segments. */
static bool aim_selector(struct oracle_case *t)
{
    const struct insn *u = &t->u;
    const uint16_t sel = data_selector();
    if (u->op == OP_MOV_TO_SREG && u->reg >= SEG_FS) /* what the host's process hangs on */
        return false;
    if (u->mem)
        set_memory(case_operand(t), sel, 2);
    else
        st16((uint8_t *)&t->in.gpr[u->rm], sel);
    return true;
}

/* LES and its kin, JMP and CALL. With REX.W Intel reads 64 bits of offset through memory, AMD 32;
 * in 64-bit mode 16 bits lead nowhere. */
static bool aim_far(struct oracle_case *t)
{
    const struct insn *u = &t->u;
    const unsigned n = u->osize;
    const bool loads = u->op != OP_JMPF && u->op != OP_CALLF;
    if (n == 8 || (n == 2 && !loads && case_mode.bits != CODE16))
        return false;
    if (loads) {
        set_memory(case_operand(t) + n, data_selector(), 2);
        return true;
    }
    t->exit_at = random_exit(t, false);
    const uint64_t offset = t->exit_at - native_code_base();
    const uint16_t sel = code_selector();
    if (u->mem)
        return set_memory(case_operand(t), offset, n) && set_memory(case_operand(t) + n, sel, 2);
    st_le(&t->code.b[t->len - n - 2], offset, n);
    st16(&t->code.b[t->len - 2], sel);
    return decode_again(t);
}

/* RETF and IRET: the frame they pop. */
static bool aim_far_return(struct oracle_case *t)
{
    const struct insn *u = &t->u;
    const uint64_t at = stack_at(t);
    const unsigned n = u->osize;
    if ((n == 2 && case_mode.bits != CODE16) || at < WINDOW ||
        at + 5 * 8 > WINDOW + WINDOW_RW_BYTES)
        return false;
    t->exit_at = random_exit(t, false);
    set_memory(at, t->exit_at - native_code_base(), n);
    set_memory(at + n, code_selector() | 3u, n);
    if (u->op == OP_RETF)
        return true;
    set_memory(at + 2 * n,
               rnd() & (FLAGS_ARITH | FLAG_DF | FLAG_AC | FLAG_ID | FLAG_IF | FLAG_IOPL), n);
    if (case_mode.bits != CODE64)
        return true;
    set_memory(at + 3 * n, WINDOW + 4096 + below(2048), n);
    set_memory(at + 4 * n, data_selector(), n);
    return true;
}

/* --- memory and registers that mean something --- */

static void set_mxcsr_image(uint8_t *p)
{
    st32(p, one_in(16) ? (uint32_t)rnd() | 0x10000 : random_mxcsr());
}

/* What lies at the memory operand of x87 and vector instructions. */
static void fill_operand(struct oracle_case *t)
{
    const uint64_t at = case_operand(t) - WINDOW;
    if (at >= WINDOW_RW_BYTES)
        return;
    const unsigned room = (unsigned)(WINDOW_RW_BYTES - at);
    const enum op op = t->u.op;
    uint8_t operand[896 + 16] = {0};
    const unsigned n = MIN(room, op_is_image(op) ? 896u : (t->u.row->attr & A_VSIB) ? 512u : 64u);
    for (unsigned i = 0; i < n; i += 16)
        if (row_is_x87(t->u.row) && one_in(2))
            random_f80(operand + i);
        else
            random_bytes(operand + i, 16);
    switch (op) {
    case OP_FXRSTOR:
    case OP_XRSTOR:
    case OP_XSAVE:
    case OP_XSAVEOPT:
    case OP_XSAVEC:
        set_mxcsr_image(operand + 24);
        if (op == OP_XRSTOR && !one_in(16)) {
            memset(operand + 512, 0, one_in(40) ? 16 : 64);
            operand[512] = (uint8_t)below(8);
            if (one_in(2)) { /* compacted */
                operand[520] = operand[512] | (uint8_t)below(one_in(8) ? 16 : 8);
                operand[527] = one_in(20) ? 0xc0 : 0x80;
            }
        }
        break;
    case OP_LDMXCSR:
    case OP_VLDMXCSR:
        set_mxcsr_image(operand);
        break;
    case OP_FBLD:
        for (unsigned i = 0; i < 9; i++)
            operand[i] = (uint8_t)(below(10) | below(10) << 4);
        break;
    default:
        break;
    }
    memcpy(case_memory + at, operand, n);
}

/* Vectors that may be raised by anyone, and those that surely may not: some hypervisors have gates
 * of their own among the first 32, and the host's kernel at 80h. */
static bool interrupt_is_safe(unsigned n)
{
    return n < 5 || (n >= 32 && n != 0x80);
}

/* Registers that an instruction uses without naming them. */
static bool set_implicit(struct oracle_case *t)
{
    const struct insn *u = &t->u;
    uint64_t *gpr = t->in.gpr, at;
    switch (u->op) {
    case OP_XLAT:
        gpr[REG_RBX] = random_target() - segment_base(u) - (uint8_t)gpr[REG_RAX];
        return case_address_safe(((gpr[REG_RBX] + (uint8_t)gpr[REG_RAX]) & size_mask(u->asize)) +
                                 segment_base(u));
    case OP_MASKMOVQ:
    case OP_MASKMOVDQU:
    case OP_VMASKMOVDQU:
        /* the row has no memory operand that would have given the decoder a default segment */
        at = u->seg_ovr ? segment_base(u) : data_base();
        gpr[REG_RDI] = random_target() - at;
        return case_address_safe((gpr[REG_RDI] & size_mask(u->asize)) + at);
    case OP_PCMPESTRI:
    case OP_PCMPESTRM:
    case OP_VPCMPESTRI:
    case OP_VPCMPESTRM: {
        uint64_t *const length[] = {&gpr[REG_RAX], &gpr[REG_RDX]};
        for (unsigned i = 0; i < 2; i++)
            if (!one_in(4) && !uses_reg(u, i ? REG_RDX : REG_RAX))
                *length[i] = (uint64_t)(int64_t)((int)below(40) - 20);
        return true;
    }
    case OP_INT:
        return interrupt_is_safe((unsigned)u->imm);
    case OP_CLZERO:
        at = u->seg_ovr ? segment_base(u) : data_base();
        gpr[REG_RAX] = random_target() - at;
        return case_address_safe((gpr[REG_RAX] & size_mask(u->asize)) + at);
    case OP_MOVDIR64B: /* ES:reg, whatever the prefix says */
        at = one_in(30) ? random_target() : random_target() & ~UINT64_C(63);
        if (uses_reg(u, u->reg))
            return false;
        set_low(&gpr[u->reg], at - data_base(), u->asize);
        return case_address_safe((gpr[u->reg] & size_mask(u->asize)) + data_base());
    case OP_XGETBV: /* not 1, which is a feature of its own */
        gpr[REG_RCX] = (gpr[REG_RCX] & ~UINT64_C(0xffffffff)) | (one_in(4) ? 2 + below(62) : 0);
        return true;
    case OP_XSAVE:
    case OP_XSAVEOPT:
    case OP_XSAVEC:
    case OP_XRSTOR:
        if (uses_reg(u, REG_RAX) || uses_reg(u, REG_RDX))
            return false;
        gpr[REG_RAX] = rnd() & (native.avx ? 7 : 3);
        gpr[REG_RDX] = 0;
        return true;
    default:
        return true;
    }
}

/* What segment loads and far transfers want. */
static bool aim_system(struct oracle_case *t)
{
    switch (t->u.op) {
    case OP_MOV_TO_SREG:
    case OP_LAR:
    case OP_LSL:
    case OP_VERR:
    case OP_VERW:
        return aim_selector(t);
    case OP_LES:
    case OP_LDS:
    case OP_LSS:
    case OP_JMPF:
    case OP_CALLF:
        return aim_far(t);
    case OP_RETF:
    case OP_IRET:
        return aim_far_return(t);
    default:
        return true;
    }
}

/* --- all of it --- */

/* The immediate byte of vector rows, which is their last one, takes all its values in turn. */
static bool set_immediate(struct oracle_case *t, uint64_t n)
{
    if (n >= 512 || !row_is_vector(t->u.row) ||
        !(row_has(t->u.row, O_Ib, O_Ib) || row_has(t->u.row, O_Lx, O_Lx)))
        return true;
    t->code.b[t->len - 1] = (uint8_t)n;
    return decode_again(t);
}

static bool make(struct oracle_case *t, const struct form *f, uint64_t n)
{
    struct insn *u = &t->u;
    t->exit_at = 0;
    encode(&t->code, f);
    t->status = decode(u, t->code.b, 15, case_mode.mode, case_mode.feat, 0);
    t->len = t->status == DECODE_OK ? u->len : 15;
    case_registers(&t->in, row_is_vector(f->row));
    if (one_in(32))
        t->in.rflags |= rnd() & (FLAG_AC | FLAG_ID);
    if (t->status != DECODE_OK) {
        /* Should the host know it, its next one is INT3. (Where there is no row at all it may.) */
        if (u->len < 15)
            memset(t->code.b + u->len, 0xcc, 15 - u->len);
        return t->status == DECODE_UD && u->imm != REASON_UD_OPCODE;
    }
    if (u->row != f->row || !host_has(u->row->feature))
        return false;
    if (!set_immediate(t, n))
        return false;

    if (op_info[u->op].attr & OA_STACK)
        set_stack(t);
    if (row_is_string(u->row))
        return aim_string(t);
    if (u->mem && u->op != OP_LEA && u->op != OP_NOP) {
        if (u->row->attr & A_VSIB)
            set_vsib(t);
        if (!aim(t, operand_target(t)))
            return false;
        if (u->row->opnd[1] == O_Gv && u->op >= OP_BT && u->op <= OP_BTC && !aim_bits(t))
            return false;
        if (!in_place(u, offset_of(t)))
            return false;
        if (row_is_vector(u->row))
            fill_operand(t);
    }
    if (!set_implicit(t) || !aim_system(t))
        return false;
    if ((op_info[u->op].attr & OA_STACK) && !case_address_safe(stack_at(t)))
        return false;
    if (u->op == OP_POPF) /* TF */
        set_memory(stack_at(t) + 1, rnd() & 0xfe, 1);
    if (op_info[u->op].attr & OA_STACK && u->op == OP_POP_SREG)
        set_memory(stack_at(t), data_selector(), 2);
    if (case_mode.bits != CODE64)
        for (unsigned i = 0; i < 8; i++)
            t->in.gpr[i] = (uint32_t)t->in.gpr[i];
    if (row_is_near_branch(u->row))
        return aim_branch(t);
    return true;
}

bool case_make(struct oracle_case *t, const struct form *f, uint64_t seed, unsigned row, uint64_t n)
{
    case_seed(seed, row + case_mode.bits * 2 * MAX_FORMS, n);
    t->form = f;
    for (unsigned tries = 0; tries < 1000; tries++) {
        case_fill_memory();
        if (make(t, f, n))
            return true;
    }
    return false;
}
