/* See compare.h. */
#include "compare.h"

#include "cpu/cpu.h"
#include "cpu/exec.h"
#include "cpu/fp/fp.h"
#include "mmu/walk.h"

#include <stdio.h>

/* --- what the manuals leave open --- */

/* After a shift or rotate by this count (SDM 2B, each under its name). */
uint32_t undefined_after_shift(const struct insn *u, uint64_t rcx)
{
    const unsigned bits = u->osize * 8u;
    const enum operand by = u->row->opnd[u->op == OP_SHLD || u->op == OP_SHRD ? 2 : 1];
    unsigned c = by == O_CL ? (uint8_t)rcx : (uint8_t)u->imm;
    c &= u->osize == 8 ? 63 : 31;
    if (c == 0)
        return 0;
    const uint32_t of = c == 1 ? 0 : FLAG_OF;
    switch (u->op) {
    case OP_ROL:
    case OP_ROR:
    case OP_RCL:
    case OP_RCR:
        return of;
    case OP_SAR:
        return of | FLAG_AF;
    case OP_SHLD:
    case OP_SHRD:
        return c > bits ? FLAGS_ARITH : of | FLAG_AF;
    default:
        return of | FLAG_AF | (c > bits ? FLAG_CF : 0);
    }
}

uint32_t undefined_flags(const struct oracle_case *t)
{
    if (t->u.op >= OP_ROL && t->u.op <= OP_SHRD)
        return undefined_after_shift(&t->u, t->in.gpr[REG_RCX]);
    return op_info[t->u.op].flags_undefined;
}

bool result_undefined(const struct oracle_case *t)
{
    const struct insn *u = &t->u;
    if (t->status != DECODE_OK)
        return false;
    if ((u->op == OP_SHLD || u->op == OP_SHRD) && u->osize == 2) {
        const unsigned c = u->row->opnd[2] == O_CL ? (uint8_t)t->in.gpr[REG_RCX] : (uint8_t)u->imm;
        return (c & 31) > 16;
    }
    return u->op == OP_BSWAP && u->osize == 2;
}

/*
 * Where the host is known to differ from the manuals, or the manuals leave it open:
 *  - FCOMI and its kin: "C1 set to 0" (SDM 2A "FCOMI"); AMD family 1Ah leaves it. (mask_case())
 *  - FLD of a denormal with DE unmasked: "TOP and source operands remain unchanged" (SDM 1 §8.5.2;
 *    APM 1 table 6-22 "The destination and the TOP are not changed"); family 1Ah pushes it.
 *  - FXSAVE, XSAVE: last-instruction pointers are stored; AMD stores zeros while ES is clear.
 *    MXCSR_MASK is the model's own. (mask_image())
 *  - MASKMOVQ, MASKMOVDQU: which faults unselected bytes cause (SDM 2B "MASKMOVDQU"), and
 *    whether MMX state is entered before.
 *  - CLZERO: family 1Ah has P clear in the error code for a page that is there and read-only.
 *  - SHA: exceptions of class 4 (SDM 2B "SHA1RNDS4"), which is #GP for an operand that is not
 *    aligned; family 1Ah does not mind.
 *  - PUSH of a segment register as four bytes: the upper two are zeros or left as they are (SDM 2B
 *    "PUSH"). (mask_pushed()) And whether PUSH and POP touch them, for an exception.
 *  - PUSHA, POPA: whether they write what they can before they fault.
 *  - ARPL with a destination that cannot be written: #GP (SDM 2A "ARPL"); family 1Ah looks only
 *    where it has to write.
 *  - VPEXTRD and VPINSRD with VEX.W outside 64-bit mode: as without it (SDM 2B "PEXTRB/PEXTRD/
 *    PEXTRQ"); family 1Ah raises #UD.
 *  - MOVS and CMPS with two operands that fault, each in its way: which exception.
 *  - XRSTOR, FXRSTOR: whether an image that is partly absent and has reserved bits set is #PF or
 * #GP.
 *  - MXCSR bit 17, misaligned exception mode, which AMD has and we refuse.
 */
bool host_differs(const struct oracle_case *t, const struct outcome *host,
                  const struct outcome *guest)
{
    const enum op op = t->u.op;
    const uint16_t cw = ld16(guest->s.fx), sw = ld16(guest->s.fx + 2);
    if (ld32(host->s.fx + 24) & BIT(17))
        return true;
    if (op_is_image(op) && host->vector + guest->vector == VEC_GP + VEC_PF)
        return true;
    if ((op == OP_PUSH_SREG || op == OP_POP_SREG) && t->u.osize == 4)
        return host->vector >= 0;
    if (op == OP_PUSHA || op == OP_POPA)
        return host->vector >= 0 && host->vector == guest->vector && host->cr2 == guest->cr2;
    if (op == OP_ARPL)
        return guest->vector == VEC_GP && (host->vector >= 0 || !(host->s.rflags & FLAG_ZF));
    if (op == OP_VPEXTRD || op == OP_VPINSRD)
        return t->u.vex_w && case_mode.bits != CODE64 && host->vector == VEC_UD;
    if (op == OP_MOVS || op == OP_CMPS)
        return host->vector >= 0 && guest->vector >= 0 && host->vector != guest->vector;
    if (op == OP_CLZERO)
        return host->vector == VEC_PF;
    if (t->u.mem && t->u.row->feature == FEAT_SHA)
        return (case_operand(t) & 15) && guest->vector == VEC_GP;
    if (op == OP_MASKMOVQ || op == OP_MASKMOVDQU || op == OP_VMASKMOVDQU)
        return host->vector >= 0;
    return (op == OP_FLD_M32 || op == OP_FLD_M64) && (sw & ~cw & FSW_DE);
}

static bool is_fcomi(enum op op)
{
    return op == OP_FCOMI || op == OP_FCOMIP || op == OP_FUCOMI || op == OP_FUCOMIP;
}

/* The image that FXSAVE and XSAVE leave. */
static void mask_image(const struct oracle_case *t, uint8_t *memory)
{
    const uint64_t at = case_operand(t) - WINDOW;
    if ((t->u.op != OP_FXSAVE && !op_is_xsave(t->u.op)) || at >= WINDOW_RW_BYTES - 512)
        return;
    memset(memory + at + 28, 0, 4);
    if (!(ld16(t->in.fx + 2) & FSW_ES))
        memset(memory + at + 6, 0, 18);
}

static void mask_pushed(const struct oracle_case *t, const struct outcome *o, uint8_t *memory)
{
    const uint64_t at = case_stack(o->s.gpr[REG_RSP]) + 2 - WINDOW;
    if (t->u.op == OP_PUSH_SREG && t->u.osize == 4 && at <= WINDOW_RW_BYTES - 2)
        st16(memory + at, 0);
}

static bool is_random(const struct oracle_case *t)
{
    return t->u.op == OP_RDRAND || t->u.op == OP_RDSEED;
}

/* Registers that tell of the host, or of the moment: only their upper halves are compared. */
static uint32_t own_registers(const struct oracle_case *t)
{
    switch (t->u.op) {
    case OP_CPUID:
        return BIT(REG_RAX) | BIT(REG_RBX) | BIT(REG_RCX) | BIT(REG_RDX);
    case OP_RDTSC:
    case OP_XGETBV:
        return BIT(REG_RAX) | BIT(REG_RDX);
    case OP_RDTSCP:
        return BIT(REG_RAX) | BIT(REG_RDX) | BIT(REG_RCX);
    case OP_RDPID:
    case OP_RDRAND:
    case OP_RDSEED:
        return BIT(t->u.rm);
    default:
        return 0;
    }
}

static void mask_registers(const struct oracle_case *t, struct native_state *s)
{
    const uint32_t own = own_registers(t);
    for (unsigned i = 0; i < 16; i++)
        if (own & BIT(i)) {
            s->gpr[i] &= ~size_mask(is_random(t) ? t->u.osize : 4);
        }
    if (t->u.op == OP_LAR && t->u.osize > 2) /* SDM 2A "LAR": bits 19:16 are undefined */
        s->gpr[t->u.reg] &= ~UINT64_C(0xf0000);
    if (is_fcomi(t->u.op))
        st16(s->fx + 2, ld16(s->fx + 2) & (uint16_t)~FSW_C1);
}

/* faulted: the host's state is from a signal, where there is no FNSTENV image. (Some of it is the
 * processor's own anyway: the words it reserves.) */
static void mask_fpu(struct native_state *s, bool faulted)
{
    memset(s->env, 0, faulted || native.no_pointers ? sizeof s->env : 12);
    memset(s->pad, 0, sizeof s->pad);
    s->fx[5] = 0;
    memset(s->fx + 6, 0, 18);
    memset(s->fx + 28, 0, 4);
    for (unsigned i = 0; i < 8; i++)
        memset(s->fx + 32 + 16 * i + 10, 0, 6);
    memset(s->fx + 416, 0, 96);
}

static void mask_both(uint64_t flags, struct outcome *host, struct outcome *guest)
{
    struct outcome *const both[] = {host, guest};
    const bool faulted = host->vector >= 0;
    for (unsigned i = 0; i < 2; i++) {
        both[i]->s.rflags &= flags;
        /* SDM 1 §3.4.1.1: what is not there outside 64-bit mode need not be kept */
        for (unsigned r = 0; case_mode.bits != CODE64 && r < 16; r++)
            both[i]->s.gpr[r] = r < 8 ? (uint32_t)both[i]->s.gpr[r] : 0;
        mask_fpu(&both[i]->s, faulted);
    }
}

void mask_case(const struct oracle_case *t, struct outcome *host, struct outcome *guest)
{
    uint64_t flags = FLAGS_COMPARED;
    if (t->status == DECODE_OK) {
        if (host->vector < 0) {
            flags &= ~(uint64_t)undefined_flags(t);
            /* SDM 2B "RDSEED": CF is 0 while the processor has no random number, as it may be
             * whenever it is asked */
            if (is_random(t) && !(host->s.rflags & FLAG_CF))
                flags &= ~(uint64_t)FLAG_CF;
            mask_registers(t, &host->s);
            mask_registers(t, &guest->s);
        }
        if (t->u.mem) {
            mask_image(t, host_memory());
            mask_image(t, guest_memory());
        }
        mask_pushed(t, host, host_memory());
        mask_pushed(t, guest, guest_memory());
        if (t->u.op == OP_INT1 && native.int1_early)
            host->rip = guest->rip = 0;
        /* the rig's own tables are there, and only there, for CPL 0 */
        if (host->vector == VEC_PF && host->cr2 < 2 * MiB) {
            host->error &= ~(uint64_t)PF_P;
            guest->error &= ~(uint64_t)PF_P;
        }
        /* of many bytes which is touched first, and so reported in CR2, is the model's own */
        if (op_is_image(t->u.op) && host->vector == VEC_PF && guest->vector == VEC_PF)
            host->error = guest->error = host->cr2 = guest->cr2 = 0;
    }
    mask_both(flags, host, guest);
}

void mask_sequence(uint32_t open, struct outcome *host, struct outcome *guest)
{
    mask_both(FLAGS_COMPARED & ~open, host, guest);
}

bool same_outcome(const struct outcome *host, const struct outcome *guest)
{
    return !memcmp(&host->s, &guest->s, sizeof host->s) && host->rip == guest->rip &&
           host->vector == guest->vector && host->error == guest->error &&
           host->cr2 == guest->cr2 && !memcmp(guest_memory(), host_memory(), WINDOW_RW_BYTES);
}

/* --- telling --- */

static const char *const gpr_name[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                         "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
static const struct {
    const char *name;
    unsigned at, n;
} fx_field[] = {{"fcw", 0, 2}, {"fsw", 2, 2}, {"ftw", 4, 1}, {"mxcsr", 24, 4}};

void print_state(const struct native_state *s)
{
    for (unsigned i = 0; i < 16; i++)
        printf("%s%s %llx%s", i % 8 ? "" : "  ", gpr_name[i], (long long)s->gpr[i],
               i % 8 == 7 ? "\n" : " ");
    printf("  flags %llx", (long long)s->rflags);
    for (unsigned i = 0; i < ARRAY_SIZE(fx_field); i++)
        printf(" %s %llx", fx_field[i].name,
               (long long)ld_le(s->fx + fx_field[i].at, fx_field[i].n));
    printf("\n");
}

static void print_vector(const char *name, unsigned i, const uint8_t *in, const uint8_t *host,
                         const uint8_t *guest)
{
    if (memcmp(host, guest, 16))
        printf("  %s%u: %016llx.%016llx -> host %016llx.%016llx guest %016llx.%016llx\n", name, i,
               (long long)ld64(in + 8), (long long)ld64(in), (long long)ld64(host + 8),
               (long long)ld64(host), (long long)ld64(guest + 8), (long long)ld64(guest));
}

void print_difference(const struct native_state *in, const struct outcome *host,
                      const struct outcome *guest)
{
    const struct native_state *h = &host->s, *g = &guest->s;
    for (unsigned i = 0; i < 16; i++)
        if (h->gpr[i] != g->gpr[i])
            printf("  %s: %llx -> host %llx guest %llx\n", gpr_name[i], (long long)in->gpr[i],
                   (long long)h->gpr[i], (long long)g->gpr[i]);
    if (h->rflags != g->rflags)
        printf("  flags: %llx -> host %llx guest %llx\n", (long long)in->rflags,
               (long long)h->rflags, (long long)g->rflags);
    static const char *const segment[3] = {"ds", "es", "ss"};
    for (unsigned i = 0; i < 3; i++)
        if (h->sel[i] != g->sel[i])
            printf("  %s: host %x guest %x\n", segment[i], h->sel[i], g->sel[i]);
    if (host->rip != guest->rip)
        printf("  rip: host +%lld guest +%lld\n", (long long)(host->rip - NATIVE_CODE),
               (long long)(guest->rip - NATIVE_CODE));
    if (host->vector != guest->vector || host->error != guest->error || host->cr2 != guest->cr2)
        printf("  exception: host %d (code %llx, at %llx) guest %d (code %llx, at %llx)\n",
               host->vector, (long long)host->error, (long long)host->cr2, guest->vector,
               (long long)guest->error, (long long)guest->cr2);
    for (unsigned i = 0; i < ARRAY_SIZE(fx_field); i++) {
        const uint64_t hv = ld_le(h->fx + fx_field[i].at, fx_field[i].n);
        const uint64_t gv = ld_le(g->fx + fx_field[i].at, fx_field[i].n);
        if (hv != gv)
            printf("  %s: %llx -> host %llx guest %llx\n", fx_field[i].name,
                   (long long)ld_le(in->fx + fx_field[i].at, fx_field[i].n), (long long)hv,
                   (long long)gv);
    }
    for (unsigned i = 3; i < 7; i++)
        if (h->env[i] != g->env[i])
            printf("  fnstenv[%u]: host %x guest %x\n", i, h->env[i], g->env[i]);
    for (unsigned i = 0; i < 8; i++)
        print_vector("st", i, in->fx + 32 + 16 * i, h->fx + 32 + 16 * i, g->fx + 32 + 16 * i);
    for (unsigned i = 0; i < 16; i++) {
        print_vector("xmm", i, in->fx + 160 + 16 * i, h->fx + 160 + 16 * i, g->fx + 160 + 16 * i);
        print_vector("above xmm", i, in->ymm[i], h->ymm[i], g->ymm[i]);
    }
    const uint8_t *hm = host_memory(), *gm = guest_memory();
    for (unsigned i = 0; i < WINDOW_RW_BYTES; i++)
        if (hm[i] != gm[i])
            printf("  [%llx]: %02x -> host %02x guest %02x\n", (long long)(WINDOW + i),
                   case_memory[i], hm[i], gm[i]);
}
