/*
 * Templates: x87 and MMX, on the host's x87 unit (fp_x87_load()). While cpu->x87_live it holds the
 * guest's registers where the guest has them, with its tags, TOP and status word, and the guest's
 * control word; so every instruction is written as it is, stack faults are answered by the host,
 * and FNSTSW stores the guest's status. Nothing is unmasked then, so nothing waits to be reported.
 * A guest that unmasks an exception has its blocks left at the first x87 instruction: the
 * interpreter goes on there.
 *
 * Handlers of other instructions run with the registers in place; those of x87, and every way out
 * of translated code, store them before (stubs.c).
 *
 * The pointers to the last instruction and operand are not the host's: FDP is stored by each, the
 * rest is written at the block's end or before something may look.
 */
#include "cpu/fp/fp.h"
#include "cpu/jit/translate.h"
#include "cpu/op_x87.h"

/* --- choosing --- */

static unsigned operand_bytes(const struct insn *u)
{
    switch (u->row->opnd[0]) {
    case O_Mw:
        return 2;
    case O_Md:
        return 4;
    case O_Mq:
        return 8;
    case O_Mt:
        return 10;
    default:
        return 0;
    }
}

/* T_VEC: MMX, which is written as SSE is. */
enum template x87_template(const struct tr *t, const struct insn *u, bool mem_ok)
{
    if (t->j->no_x87 || !t->j->host_has[u->row->feature] || (t->b->mode & MODE_NO_X87) || !mem_ok)
        return T_HANDLER;
    if ((t->b->mode & MODE_CODE_MASK) != MODE_CODE64) /* pointers are offsets of 64 bits */
        return T_HANDLER;
    switch (u->op) {
    case OP_FNINIT: /* the whole state, or exceptions that are pending */
    case OP_FNCLEX:
    case OP_FNSTENV:
    case OP_FLDENV:
    case OP_FNSAVE:
    case OP_FRSTOR:
    case OP_FSTP1: /* undocumented, not alike everywhere */
    case OP_FNENI:
    case OP_FNDISI:
    case OP_FNSETPM:
        return T_HANDLER;
    case OP_EMMS:
        return T_X87;
    default:
        break;
    }
    if (u->row->attr & A_MMX)
        return T_VEC;
    return u->mem && !operand_bytes(u) ? T_HANDLER : T_X87;
}

/* --- registers and pointers --- */

void need_x87(struct tr *t)
{
    if (t->x87)
        return;
    struct emit *e = t->e;
    emit_alu_imm(e, 1, X_CMP, CPU_SLOT(x87_live), 0);
    t->host_flags = 0;
    struct late *l = new_late(t);
    *l = (struct late){.from = emit_jcc_forward(e, CC_E), .u = t->u, .def = t->def, .x87 = true};
    l->back = e->p;
    t->x87 = true;
}

void write_x87_load(struct tr *t, const struct late *l)
{
    struct emit *e = t->e;
    emit_call(e, (uint8_t *)(uintptr_t)t->j->stub[STUB_X87]);
    emit_alu_imm(e, 1, X_CMP, CPU_SLOT(x87_live), 0);
    emit_patch(emit_jcc_forward(e, CC_NE), l->back);
    emit_mov_imm(e, H_R11, (uintptr_t)l->u);
    emit_jmp(e, (uint8_t *)(uintptr_t)t->j->stub[STUB_EXIT_INSN]);
}

static void store_selector(struct tr *t, unsigned seg, int32_t to)
{
    emit_extend(t->e, 4, 0x0fb7, H_R10,
                h_state(offsetof(struct cpu, seg) + seg * sizeof(struct segment) +
                        offsetof(struct segment, sel)),
                2);
    emit_store(t->e, 2, h_state(to), H_R10);
}

void store_note(struct tr *t, struct x87_note note)
{
    struct emit *e = t->e;
    if (note.insn) {
        const struct insn *u = &t->b->insn[note.insn - 1];
        emit_load(e, 8, H_R10, CPU_SLOT(jit_page));
        emit_lea(e, 8, H_R10, h_mem(H_R10, (int32_t)(t->b->start & ~PAGE_MASK) + u->off));
        emit_store(e, 8, CPU_SLOT(fpu.fip), H_R10);
        emit_store_imm(e, 2, CPU_SLOT(fpu.fop), (int32_t)x87_opcode(u));
        store_selector(t, SEG_CS, (int32_t)offsetof(struct cpu, fpu.fcs));
    }
    if (note.mem)
        store_selector(t, x87_data_segment(&t->b->insn[note.mem - 1]),
                       (int32_t)offsetof(struct cpu, fpu.fds));
}

void flush_note(struct tr *t)
{
    store_note(t, t->note);
    t->note = (struct x87_note){0, 0};
}

/* FDP is the offset: a segment's base is taken off again. Uses R11. */
static void store_data_pointer(struct tr *t, unsigned lin)
{
    const struct insn *u = t->u;
    if (u->seg == SEG_FS || u->seg == SEG_GS) {
        emit_mov(t->e, 8, H_R11, lin);
        emit_alu(t->e, 8, X_SUB, H_R11,
                 h_state(offsetof(struct cpu, seg) + sizeof(struct segment) * u->seg +
                         offsetof(struct segment, base)));
        lin = H_R11;
    }
    emit_store(t->e, 8, CPU_SLOT(fpu.fdp), lin);
}

/* --- writing --- */

/* A control word that unmasks something is the handler's; there may be no x87_live behind it. */
static void load_control_word(struct tr *t)
{
    struct emit *e = t->e;
    need_x87(t);
    emit_extend(e, 4, 0x0fb7, H_R11, memory_operand(t, 2, false), 2);
    emit_lea(e, 4, H_R10, h_mem(H_R11, 1));
    emit_test_imm(e, 1, h_reg(H_R10), FSW_EXC);
    leave_line(t, emit_jcc_forward(e, CC_NE));
    t->x87 = false;
    emit_alu_imm(e, 4, X_AND, h_reg(H_R11), 0x1f3f); /* fp_valid_cw() */
    emit_alu_imm(e, 4, X_OR, h_reg(H_R11), 0x40);
    emit_store(e, 2, CPU_SLOT(fpu.cw), H_R11);
    emit_rm(e, 4, 0xd9, 5, CPU_SLOT(fpu.cw));
    t->host_flags = 0;
}

/* Control instructions, which leave the pointers alone. False: u is another one. */
static bool control(struct tr *t)
{
    struct emit *e = t->e;
    struct host_rm m;
    switch (t->u->op) {
    case OP_FWAIT: /* the old status word will do: there is nothing pending while x87_live */
        emit_test_imm(e, 1, CPU_SLOT(fpu.sw), FSW_ES);
        t->host_flags = 0;
        leave_line(t, emit_jcc_forward(e, CC_NE));
        return true;
    case OP_FLDCW:
        load_control_word(t);
        return true;
    case OP_FNSTCW:
        m = memory_operand(t, 2, true);
        emit_load(e, 2, H_R11, CPU_SLOT(fpu.cw));
        emit_store(e, 2, m, H_R11);
        return true;
    case OP_FNSTSW:
        need_x87(t);
        emit_rm(e, 4, 0xdd, 7, memory_operand(t, 2, true));
        return true;
    case OP_FNSTSW_AX:
        need_x87(t);
        clobber(t, REG_RAX);
        emit_bytes(e, "\xdf\xe0", 2);
        return true;
    case OP_EMMS:
        need_x87(t);
        emit_bytes(e, "\x0f\x77", 2);
        return true;
    default:
        return false;
    }
}

void t_x87(struct tr *t)
{
    const struct insn *u = t->u;
    struct emit *e = t->e;
    if (control(t))
        return;
    const uint8_t opcode = (uint8_t)(0xd8 | x87_opcode(u) >> 8);
    need_x87(t);
    if (u->mem) {
        const struct host_rm m =
            linear_operand(t, operand_bytes(u), op_info[u->op].attr & OA_STORE);
        store_data_pointer(t, m.base);
        emit_rm(e, 4, opcode, u->modrm >> 3 & 7, m);
        t->note.mem = (uint8_t)(u->index + 1);
    } else {
        if (op_info[u->op].flags_read) /* FCMOVcc */
            need_flags(t, op_info[u->op].flags_read);
        /* FCOMI and its kin clear C1 (SDM 2A), but processors of AMD's leave it: FDECSTP, FINCSTP
         */
        if (op_info[u->op].flags_written)
            emit_bytes(e, "\xd9\xf6\xd9\xf7", 4);
        emit_u8(e, opcode);
        emit_u8(e, u->modrm);
        if (op_info[u->op].flags_written)
            flags_from_host(t);
    }
    t->note.insn = (uint8_t)(u->index + 1);
}
