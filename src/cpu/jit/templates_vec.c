/*
 * Templates: SSE and AVX. Guest vector registers live in the host's of the same number, so an
 * instruction is written as the guest has it, but for its memory operand and general registers.
 * The host's MXCSR is the guest's with all exceptions masked (fp/fp.h); guests that unmask one get
 * the handlers, which look (jit_fp_traps()).
 *
 * The registers are loaded when a block that uses them finds them not loaded (cpu->vec_live), and
 * stored by whatever leaves to C: code that has nothing to do with vectors never pays.
 */
#include "cpu/fp/fp.h"
#include "cpu/jit/translate.h"

static bool has_imm8(const struct opcode *row)
{
    for (unsigned i = 0; i < 4; i++)
        if (row->opnd[i] == O_Ib || row->opnd[i] == O_Ib_s || row->opnd[i] == O_Lx)
            return true;
    return false;
}

/* -1: there is none. */
static int imm8_of(const struct tr *t)
{
    const struct insn *u = t->u;
    if (!has_imm8(u->row))
        return -1;
    const int imm8 = (uint8_t)u->imm;
    /* bit 7 does not count outside 64-bit mode */
    return t->word == 4 && u->row->opnd[3] == O_Lx ? imm8 & 0x7f : imm8;
}

/* --- operands --- */

enum role { ROLE_OTHER, ROLE_NONE, ROLE_VECTOR, ROLE_MEMORY, ROLE_GENERAL, ROLE_IMM };

/* Bytes of a memory operand; 0: the whole vector; -1: not for us. */
static int memory_bytes(enum operand o, const struct insn *u)
{
    switch (o) {
    case O_Mb:
    case O_Ry_Mb:
        return 1;
    case O_Ww:
    case O_Mw:
    case O_Ry_Mw:
        return 2;
    case O_Wss:
    case O_Wd:
    case O_Md:
    case O_Ed:
    case O_Qd:
        return 4;
    case O_Wsd:
    case O_Wq:
    case O_Mq:
    case O_Eq:
    case O_Qq:
        return 8;
    case O_Ey:
    case O_My:
        return u->osize == 8 ? 8 : 4;
    case O_Wdq:
    case O_Mdq:
        return 16;
    case O_Wps:
    case O_Wpd:
    case O_Wx:
        return 0;
    default:
        return -1;
    }
}

static enum role role_of(enum operand o, const struct insn *u)
{
    switch (o) {
    case O_NONE:
    case O_XMM0:
        return ROLE_NONE;
    case O_Ib:
    case O_Ib_s:
        return ROLE_IMM;
    case O_Vss:
    case O_Vsd:
    case O_Vps:
    case O_Vpd:
    case O_Vdq:
    case O_Vq:
    case O_Vd:
    case O_Vx:
    case O_Hss:
    case O_Hsd:
    case O_Hps:
    case O_Hpd:
    case O_Hdq:
    case O_Hx:
    case O_Lx:
    case O_Ups:
    case O_Upd:
    case O_Udq:
    case O_Uq:
    case O_Ux:
    case O_Pq:
    case O_Pd:
    case O_Nq:
        return ROLE_VECTOR;
    case O_Wss:
    case O_Wsd:
    case O_Wps:
    case O_Wpd:
    case O_Wdq:
    case O_Wq:
    case O_Wd:
    case O_Ww:
    case O_Wx:
    case O_Qq:
    case O_Qd:
        return u->mem ? ROLE_MEMORY : ROLE_VECTOR;
    case O_Mb:
    case O_Mw:
    case O_Md:
    case O_Mq:
    case O_Mdq:
    case O_My:
        return ROLE_MEMORY;
    case O_Ed:
    case O_Eq:
    case O_Ey:
    case O_Ry_Mb:
    case O_Ry_Mw:
        return u->mem ? ROLE_MEMORY : ROLE_GENERAL;
    case O_Rd:
    case O_Ry:
    case O_Gd:
    case O_Gq:
    case O_Gy:
        return ROLE_GENERAL;
    default:
        return ROLE_OTHER;
    }
}

static bool in_modrm_rm(enum operand o)
{
    return o == O_Ed || o == O_Eq || o == O_Ey || o == O_Ry_Mb || o == O_Ry_Mw || o == O_Rd ||
           o == O_Ry;
}

/* The host would take 8 bytes where outside 64-bit mode VEX.W counts for nothing. */
static bool sized_by_w(enum operand o)
{
    return o == O_Ey || o == O_My || o == O_Ry || o == O_Gy || o == O_Ry_Mb || o == O_Ry_Mw ||
           o == O_Ed;
}

/* --- choosing --- */

enum template vector_template(const struct tr *t, const struct insn *u, bool mem_ok)
{
    const struct opcode *row = u->row;
    const uint32_t mode = t->b->mode, attr = op_info[u->op].attr;
    const bool vex = row->attr & A_VEX;
    if (!(row->attr & (A_SSE | A_VEX | A_MMX)) || (row->attr & (A_VSIB | A_CPL0)) || !mem_ok ||
        t->b->page2 != RAM_NONE)
        return T_HANDLER;
    if ((row->attr & A_SSE) && (mode & MODE_NO_SSE))
        return T_HANDLER;
    if (vex && (mode & MODE_NO_AVX))
        return T_HANDLER;
    if (!t->j->host_has[row->feature] || (attr & (OA_END | OA_IO | OA_X87 | OA_STRING)))
        return T_HANDLER;
    if ((attr & OA_FP) ? !t->j->fp_native : (attr & OA_FAULT))
        return T_HANDLER;
    switch (u->op) {
    case OP_MASKMOVQ: /* bytes of memory that are not written are not looked up, either */
    case OP_MASKMOVDQU:
    case OP_VMASKMOVDQU:
        return T_HANDLER;
    case OP_STMXCSR:
    case OP_VSTMXCSR:
        return t->j->fp_native ? T_VEC : T_HANDLER;
    case OP_VZEROALL:
    case OP_VZEROUPPER: /* of eight registers outside 64-bit mode */
        return t->word == 8 ? T_VEC : T_HANDLER;
    case OP_VPCMPESTRI: /* VEX.W: how long RAX and RDX are */
    case OP_VPCMPESTRM:
        if (t->word == 4 && u->vex_w)
            return T_HANDLER;
        break;
    default:
        break;
    }
    unsigned vectors = 0, general = 0;
    for (unsigned i = 0; i < 4; i++) {
        const enum operand o = row->opnd[i];
        const enum role role = role_of(o, u);
        if (role == ROLE_OTHER || (role == ROLE_MEMORY && memory_bytes(o, u) < 0))
            return T_HANDLER;
        if (t->word == 4 && u->vex_w && sized_by_w(o))
            return T_HANDLER;
        vectors += role == ROLE_VECTOR;
        general += role == ROLE_GENERAL;
    }
    const uint32_t flags = op_info[u->op].flags_written;
    if (vectors + general == 0 || general > 1 || (flags && flags != FLAGS_ARITH) || u->vl > 32 ||
        op_info[u->op].flags_read)
        return T_HANDLER;
    /* masked moves and the like touch memory in part */
    if (u->mem &&
        (u->op == OP_VMASKMOVPS || u->op == OP_VMASKMOVPD || u->op == OP_VPMASKMOVD ||
         u->op == OP_VPMASKMOVQ || u->op == OP_VMASKMOVPS_ST || u->op == OP_VMASKMOVPD_ST ||
         u->op == OP_VPMASKMOVD_ST || u->op == OP_VPMASKMOVQ_ST))
        return T_HANDLER;
    return T_VEC;
}

/* --- writing --- */

/* The guest's vector registers are in the host's from here on. */
void need_vectors(struct tr *t)
{
    if (t->vectors)
        return;
    struct emit *e = t->e;
    flush_flags(t);
    emit_alu_imm(e, 1, X_CMP, CPU_SLOT(vec_live), 0);
    uint8_t *there = emit_jcc_forward(e, CC_NE);
    const uint32_t touched = e->touched; /* it keeps general registers */
    emit_call(e, (uint8_t *)(uintptr_t)t->j->stub[STUB_VECTORS]);
    e->touched = touched;
    emit_here(e, there);
    t->host_flags = 0;
    t->vectors = true;
}

/*
 * As the decoder found it: what stands in the guest's memory may be something else by now, for
 * another CPU or a bus master writes there while this one translates.
 */
static void write_insn(struct tr *t, unsigned reg, struct host_rm rm)
{
    static const uint8_t prefix[] = {
        [PFX_NONE] = P_NONE, [PFX_66] = P_66, [PFX_F3] = P_F3, [PFX_F2] = P_F2};
    static const uint32_t legacy[] = {[1] = 0x0f00, [2] = 0x0f3800, [3] = 0x0f3a00};
    const struct insn *u = t->u;
    const unsigned map = u->opcode >> 8;
    const uint8_t opcode = (uint8_t)u->opcode;
    if (u->row->attr & A_VEX)
        emit_vex(t->e, prefix[u->pfx], map, u->vex_w, u->vl == 32, opcode, reg, u->vvvv, rm,
                 imm8_of(t));
    else
        emit_sse(t->e, prefix[u->pfx], u->rex & 8, legacy[map] | opcode, reg, rm, imm8_of(t));
}

/* The host would fault where the handler looks: legacy SSE by its row, AVX's aligned moves. */
static bool wants_alignment(const struct insn *u)
{
    switch (u->op) {
    case OP_VMOVAPS:
    case OP_VMOVAPD:
    case OP_VMOVDQA:
    case OP_VMOVAPS_ST:
    case OP_VMOVAPD_ST:
    case OP_VMOVDQA_ST:
        return true;
    default:
        return u->row->attr & A_ALIGN;
    }
}

/*
 * The guest's MXCSR is the host's, with what flags cpu->mxcsr has besides (fp/fp.h): while nothing
 * is unmasked, or this would not be a template.
 */
static void store_mxcsr(struct tr *t)
{
    struct emit *e = t->e;
    const struct host_rm m = memory_operand(t, 4, true);
    emit_sse(e, P_NONE, false, 0x0fae, 3, CPU_SLOT(jit_target), -1); /* STMXCSR */
    emit_load(e, 4, H_R11, CPU_SLOT(jit_target));
    emit_alu(e, 4, X_OR, H_R11, CPU_SLOT(mxcsr));
    emit_store(e, 4, CPU_SLOT(mxcsr), H_R11);
    emit_store(e, 4, m, H_R11);
    t->host_flags = 0;
}

/* False: u has the usual operands. */
static bool odd_one(struct tr *t)
{
    switch (t->u->op) {
    case OP_STMXCSR:
    case OP_VSTMXCSR:
        store_mxcsr(t);
        return true;
    case OP_VZEROALL:
    case OP_VZEROUPPER: {
        const uint8_t code[3] = {0xc5, t->u->op == OP_VZEROALL ? 0xfc : 0xf8, 0x77};
        need_vectors(t);
        emit_bytes(t->e, code, 3);
        return true;
    }
    case OP_PCMPESTRI:
    case OP_PCMPISTRI:
    case OP_VPCMPESTRI:
    case OP_VPCMPISTRI:
        clobber(t, REG_RCX);
        return false;
    default:
        return false;
    }
}

unsigned vector_access(const struct insn *u, bool *write)
{
    const struct opcode *row = u->row;
    for (unsigned i = 0; i < 4; i++) {
        if (role_of(row->opnd[i], u) != ROLE_MEMORY)
            continue;
        const int bytes = memory_bytes(row->opnd[i], u);
        *write = i == 0;
        return bytes ? (unsigned)MAX(bytes, 0) : MAX(u->vl, 16u);
    }
    *write = false;
    return 0;
}

uint32_t vector_changes(const struct insn *u)
{
    const enum operand to = u->row->opnd[0];
    const uint32_t general = BIT((in_modrm_rm(to) ? u->rm : u->reg) & 15);
    return BIT(REG_RCX) * (u->op == OP_PCMPESTRI || u->op == OP_PCMPISTRI ||
                           u->op == OP_VPCMPESTRI || u->op == OP_VPCMPISTRI) |
           (role_of(to, u) == ROLE_GENERAL ? general : 0);
}

static void leave_unless_aligned(struct tr *t, unsigned at, unsigned size)
{
    emit_test_imm(t->e, 1, h_reg(at), (int32_t)size - 1);
    leave_for_good(t, emit_jcc_forward(t->e, CC_NE));
    t->host_flags = 0;
}

/*
 * Not to be walked for unless it is aligned. A page that is known to be there is where it is in the
 * host's memory as in the guest's. Uses R11.
 */
static struct host_rm aligned_operand(struct tr *t, unsigned size, bool write)
{
    struct host_rm m;
    if (!share_operand(t, size, write, &m)) {
        const unsigned lin = effective_address(t, H_R10, size);
        leave_unless_aligned(t, lin, size);
        return operand_check(t, lin, size, write);
    }
    unsigned at = m.base;
    if (m.index != H_NONE || (m.disp & (int32_t)(size - 1))) {
        emit_lea(t->e, 8, H_R11, m);
        at = H_R11;
    }
    leave_unless_aligned(t, at, size);
    return m;
}

void t_vec(struct tr *t)
{
    const struct insn *u = t->u;
    const struct opcode *row = u->row;
    if (odd_one(t))
        return;
    unsigned reg = u->reg, general = REG_COUNT;
    bool general_rm = false;
    struct host_rm rm = h_reg(u->rm);
    if (row->attr & A_MMX)
        need_x87(t);
    if (row->attr & (A_SSE | A_VEX))
        need_vectors(t);
    for (unsigned i = 0; i < 4; i++) {
        const enum operand o = row->opnd[i];
        if (role_of(o, u) != ROLE_GENERAL)
            continue;
        general_rm = in_modrm_rm(o);
        general = general_rm ? u->rm : u->reg;
        if (i == 0)
            clobber(t, general);
    }
    bool write;
    const unsigned size = vector_access(u, &write);
    if (size)
        rm = wants_alignment(u) ? aligned_operand(t, size, write) : memory_operand(t, size, write);
    if (general == REG_COUNT) {
        const uint32_t touched = t->e->touched; /* general registers: XMM14 is not R14 */
        write_insn(t, reg, rm);
        t->e->touched = touched;
    } else if (role_of(row->opnd[0], u) == ROLE_GENERAL) { /* made there */
        const unsigned d = home(general, H_R11);
        write_insn(t, general_rm ? reg : d, general_rm ? h_reg(d) : rm);
        put(t, general, d);
    } else {
        const unsigned s = get(t, general, H_R11);
        write_insn(t, general_rm ? reg : s, general_rm ? h_reg(s) : rm);
    }
    if (op_info[u->op].flags_written)
        flags_from_host(t);
}
