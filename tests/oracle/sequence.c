/* See pass.h. */
#include "pass.h"

#include "cpu/cpu.h"
#include "cpu/fp/fp.h"
#include "unit/rng.h"

#include <stdio.h>

enum { MAX_SEQUENCE = 12 };

/* Forms that neither branch nor use the stack, when their operand is where encode_plain() has it.
 */
static struct form plain[MAX_FORMS];
static unsigned plain_count;

struct sequence {
    struct code_bytes code;
    struct native_state in;
    unsigned count; /* instructions */
    uint32_t open;  /* flags undefined at its end ... */
    struct {        /* ... and behind each instruction, up to this offset in the code */
        unsigned end;
        uint32_t open;
    } at[MAX_SEQUENCE + 2];
    uint64_t exit_at; /* where its branch goes, or 0 */
    bool control;     /* see loads_fcw() */
};

/* --- which forms --- */

static bool is_plain(const struct form *f)
{
    const struct opcode *row = f->row;
    const enum op op = row->op;
    const uint32_t attr = op_info[op].attr;
    if (form_left_out(f, true) || form_privileged(f) || !host_has(row->feature))
        return false;
    if ((attr & (OA_IO | OA_STACK | OA_STRING | OA_END)) || (row->attr & A_VSIB))
        return false;
    /* exceptions of integer instructions depend on what nobody chose here */
    if ((attr & OA_FAULT) && !(attr & OA_FP) && !row_is_x87(row))
        return false;
    if (row_has(row, O_Ob, O_Ov) || (row->opnd[1] == O_Gv && op >= OP_BT && op <= OP_BTC))
        return false;
    switch (op) {
    case OP_XLAT: /* memory that it does not name */
    case OP_MASKMOVQ:
    case OP_MASKMOVDQU:
    case OP_VMASKMOVDQU:
    case OP_CMPXCHG16B: /* faults when it is not aligned */
    case OP_FCOMI:      /* C1: see host_differs() */
    case OP_FCOMIP:
    case OP_FUCOMI:
    case OP_FUCOMIP:
    case OP_FXSAVE: /* images that differ by what is the processor's own */
    case OP_XSAVE:
    case OP_XSAVEOPT:
    case OP_XSAVEC:
    case OP_XRSTOR:
    case OP_CLZERO:
    case OP_MOVDIR64B:
    case OP_RDPID:
    case OP_LAR: /* descriptors of the host */
    case OP_LSL:
    case OP_VERR:
    case OP_VERW:
    case OP_CPUID:
    case OP_RDTSC:
    case OP_RDTSCP:
    case OP_RDRAND:
    case OP_RDSEED:
    case OP_XGETBV:
        return false;
    default:
        return true;
    }
}

void sequence_prepare(const struct form_list *rows)
{
    plain_count = 0;
    for (unsigned i = 0; i < rows->n; i++)
        if (is_plain(&rows->form[i]))
            plain[plain_count++] = rows->form[i];
}

/* FLD of a denormal with DE unmasked differs on some hosts (host_differs()). So a sequence either
 * loads no denormal that way or has DE masked all the time. */
static bool loads_fcw(enum op op)
{
    return op == OP_FLDCW || op == OP_FLDENV || op == OP_FRSTOR || op == OP_FXRSTOR;
}
static bool converts_to_st(enum op op)
{
    return op == OP_FLD_M32 || op == OP_FLD_M64;
}

/* --- making one --- */

static void put(struct code_bytes *c, uint8_t b)
{
    c->b[c->n++] = b;
}

static enum decode_status decode_at(struct insn *u, const uint8_t *bytes)
{
    return decode(u, bytes, 15, case_mode.mode, case_mode.feat, 0);
}

/* R14 and R15 point to memory, and stay. */
static bool keeps_pointers(const struct insn *u)
{
    const struct opcode *row = u->row;
    if (u->mem && u->base != REG_ZERO && u->base < 14)
        return false;
    if ((row_has(row, O_Gb, O_Gz) || row_has(row, O_Zb, O_Zv64)) && u->reg >= 14)
        return false;
    if (row_has(row, O_By, O_By) && u->vvvv >= 14)
        return false;
    return u->mem || u->rm < 14;
}

/* The flags that u leaves undefined when those in open were before. */
static uint32_t still_open(const struct insn *u, uint32_t open)
{
    if (u->op < OP_ROL || u->op > OP_SHRD)
        return (open & ~op_info[u->op].flags_written) | op_info[u->op].flags_undefined;
    if (u->row->opnd[u->op == OP_SHLD || u->op == OP_SHRD ? 2 : 1] == O_CL)
        return open | FLAG_OF | FLAG_AF | FLAG_CF; /* who knows what CL is then */
    if (!((unsigned)u->imm & (u->osize == 8 ? 63 : 31)))
        return open;
    return (open & ~op_info[u->op].flags_written) | undefined_after_shift(u, 0);
}

static void counted(struct sequence *q)
{
    q->at[q->count].end = q->code.n;
    q->at[q->count++].open = q->open;
}

/* The flags undefined before the instruction at an offset. */
static uint32_t open_before(const struct sequence *q, uint64_t offset)
{
    uint32_t open = 0;
    for (unsigned i = 0; i < q->count && q->at[i].end <= offset; i++)
        open = q->at[i].open;
    return open;
}

static void put_plain(struct sequence *q)
{
    const struct form *f = &plain[below(plain_count)];
    struct code_bytes one;
    struct insn u;
    if (q->control ? converts_to_st(f->row->op) : loads_fcw(f->row->op))
        return;
    encode_plain(&one, f);
    if (decode_at(&u, one.b) != DECODE_OK || u.row != f->row)
        return;
    const bool open_result =
        u.osize == 2 && (u.op == OP_SHLD || u.op == OP_SHRD || u.op == OP_BSWAP);
    if (open_result || !keeps_pointers(&u) || (op_info[u.op].flags_read & q->open))
        return;
    q->open = still_open(&u, q->open);
    memcpy(q->code.b + q->code.n, one.b, u.len);
    q->code.n += u.len;
    counted(q);
}

/* A conditional branch to an exit, if the flags it looks at are defined. */
static void put_branch(struct sequence *q)
{
    const unsigned cc = below(16);
    const int d = NATIVE_EXIT_BYTES + (int)below(110);
    if (op_info[OP_JO + cc].flags_read & q->open)
        return;
    put(&q->code, (uint8_t)(0x70 | cc));
    put(&q->code, (uint8_t)d);
    q->exit_at = NATIVE_CODE + q->code.n + (unsigned)d;
    counted(q);
}

/* A comparison and a branch: a pair that is fused (bind.c). */
static void put_pair(struct sequence *q)
{
    static const uint8_t op[] = {0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x84, 0x85,
                                 0xa8, 0xa9, 0x80, 0x81, 0x83, 0xf6, 0xf7};
    const unsigned i = below(ARRAY_SIZE(op));
    const bool mem = one_in(2);
    struct insn u;
    const unsigned start = q->code.n;
    put(&q->code, (uint8_t)(0x40 | (rnd() & 0xe) | (mem || one_in(2))));
    put(&q->code, op[i]);
    const unsigned reg = op[i] >= 0xf6 ? 0 : op[i] >= 0x80 && op[i] <= 0x83 ? 7 : below(8);
    if (op[i] != 0x3c && op[i] != 0x3d && op[i] != 0xa8 && op[i] != 0xa9)
        put(&q->code, (uint8_t)(mem ? 0x46 | reg << 3 | below(2) : 0xc0 | reg << 3 | below(8)));
    const unsigned at = q->code.n;
    for (unsigned k = 0; k < 8; k++)
        q->code.b[at + k] = one_in(2) ? 0 : (uint8_t)rnd();
    if (decode_at(&u, q->code.b + start) != DECODE_OK || (u.mem && u.base < 14)) {
        q->code.n = start;
        return;
    }
    q->code.n = start + u.len;
    q->open = u.op == OP_TEST ? FLAG_AF : 0;
    counted(q);
    put_branch(q);
}

/* DE masked, and with what that means for the summary bits. */
static void mask_denormal(uint8_t *fx)
{
    st16(fx, ld16(fx) | FSW_DE);
    st16(fx + 2, ld16(fx + 2) & (uint16_t) ~(FSW_DE | FSW_ES | FSW_B));
    if (ld16(fx + 2) & ~ld16(fx) & FSW_EXC)
        st16(fx + 2, ld16(fx + 2) | FSW_ES | FSW_B);
}

static void make(struct sequence *q)
{
    *q = (struct sequence){.control = one_in(2)};
    case_registers(&q->in, one_in(4));
    if (!q->control)
        mask_denormal(q->in.fx);
    q->in.gpr[14] = WINDOW + 1024 + 16 * below(300);
    q->in.gpr[15] = WINDOW + 1024 + below(5000);
    const unsigned n = below(MAX_SEQUENCE);
    for (unsigned i = 0; i < n; i++)
        put_plain(q);
    if (one_in(2))
        put_pair(q);
    else
        put_branch(q);
    if (!q->count) {
        put(&q->code, 0x90);
        counted(q);
    }
}

/* --- running it --- */

static void run_host(const struct sequence *q, struct outcome *o)
{
    const uint64_t at = q->exit_at - NATIVE_PAGE;
    memcpy(host_memory(), case_memory, WINDOW_RW_BYTES);
    native.in = q->in;
    if (at < PAGE_SIZE)
        native_put_exit((unsigned)at);
    native_run(q->code.b, q->code.n, 0);
    memset(native.buffer + NATIVE_CODE_AT, 0xcc, 512);
    *o = (struct outcome){.s = native.out, .vector = native.vector};
    o->rip = native.vector >= 0 ? native.rip : native.taken ? q->exit_at : NATIVE_CODE + q->code.n;
    o->error = native.vector >= 0 ? native.error : 0;
    o->cr2 = native.vector == VEC_PF ? native.address : 0;
}

struct ran sequence_pass(uint64_t seed, uint64_t n, bool verbose, bool all)
{
    static struct sequence q;
    struct outcome host, guest, ours;
    case_seed(seed, MAX_FORMS, n);
    case_fill_memory();
    make(&q);
    const unsigned chunk = one_in(2) ? q.count : 1 + below(4);
    struct ran ran = {.result = CASE_DIFFERS, .of_row = true};
    guest_run_code(q.code.b, q.code.n, &q.in, q.count, chunk, &ours);
    for (unsigned try = 0; try < 3 && ran.result == CASE_DIFFERS; try++) { /* as compare() does */
        run_host(&q, &host);
        guest = ours;
        ran.faulted = host.vector >= 0;
        const uint32_t open = ran.faulted ? open_before(&q, host.rip - NATIVE_CODE) : q.open;
        mask_sequence(open, &host, &guest);
        if (same_outcome(&host, &guest))
            ran.result = CASE_SAME;
        else if (ld32(host.s.fx + 24) & BIT(17)) /* MXCSR.MM: see host_differs() */
            ran.result = CASE_OPEN;
    }
    if (verbose && (all || ran.result == CASE_DIFFERS)) {
        printf("  bytes");
        for (unsigned i = 0; i < q.code.n; i++)
            printf(" %02x", q.code.b[i]);
        printf("\n");
        print_state(&q.in);
        if (ran.result == CASE_DIFFERS)
            print_difference(&q.in, &host, &guest);
    }
    return ran;
}

/* --- prefixes --- */

/* With another prefix these are MOVBE, and instructions of features to come: CLWB, CLFLUSHOPT,
 * RDFSBASE and kin. */
static bool has_other_meaning(const struct form *f)
{
    return (f->opcodes == 2 && f->opcode[1] == 0xae) ||
           (f->opcodes == 3 && f->opcode[1] == 0x38 && (f->opcode[2] & 0xfe) == 0xf0);
}

struct ran prefix_pass(const struct form_list *rows, uint64_t seed, unsigned row, unsigned n,
                       bool verbose, bool all)
{
    static const uint8_t prefixes[PREFIX_CASES][2] = {
        {0x66}, {0xf3}, {0xf2}, {0xf0}, {0x66, 0xf3}, {0x66, 0xf2}, {0x66, 0xf0}, {0}};
    (void)all;
    const struct form *f = &rows->form[row];
    struct form bare = *f;
    struct code_bytes one;
    struct insn u;
    struct ran ran = {.result = CASE_NONE, .of_row = true};
    if (!row_is_vector(f->row) || has_other_meaning(f) || op_info[f->row->op].attr & OA_END)
        return ran;
    case_seed(seed, row, ~(uint64_t)n);
    case_fill_memory();
    case_registers(&native.in, true);
    memset(native.in.gpr, 0, sizeof native.in.gpr);
    for (unsigned i = 14; i < 16; i++)
        native.in.gpr[i] = WINDOW + 2048;
    native.in.gpr[REG_RDI] = WINDOW + 2048; /* MASKMOVQ and kin */
    st16(native.in.fx, FCW_INIT);
    st16(native.in.fx + 2, 0);
    st32(native.in.fx + 24, MXCSR_INIT);
    bare.prefix = 0;
    do {
        encode_plain(&one, &bare);
    } while (one.b[0] == 0x66);
    uint8_t bytes[20];
    unsigned len = 0;
    for (unsigned k = 0; k < 2 && prefixes[n][k]; k++)
        bytes[len++] = prefixes[n][k];
    memcpy(bytes + len, one.b, 15);
    const enum decode_status status = decode_at(&u, bytes);
    if (status == DECODE_OK && (!host_has(u.row->feature) || u.base < 14))
        return ran;
    len = status == DECODE_OK ? u.len : 15;
    if (status != DECODE_OK && u.len < 15) /* should the host know it */
        memset(bytes + u.len, 0xcc, 15 - u.len);
    memcpy(host_memory(), case_memory, WINDOW_RW_BYTES);
    native_run(bytes, len, FS_BASE);
    const bool illegal = status != DECODE_OK;
    ran.result = illegal == (native.vector == VEC_UD) ? CASE_SAME : CASE_DIFFERS;
    if (verbose && ran.result == CASE_DIFFERS) {
        printf("%s:", illegal ? "legal on the host only" : "illegal on the host only");
        for (unsigned k = 0; k < len; k++)
            printf(" %02x", bytes[k]);
        printf(" (%s)\n", form_name(f));
    }
    return ran;
}
