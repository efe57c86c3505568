/* See pass.h. */
#include "pass.h"

#include "cpu/cpu.h"
#include "unit/rng.h"

#include <stdio.h>

static bool needs_fs(const struct oracle_case *t)
{
    return t->status == DECODE_OK && (t->u.seg == SEG_FS || t->u.row->feature == FEAT_FSGSBASE);
}

static void run_host(const struct oracle_case *t, struct outcome *o)
{
    const uint64_t at = t->exit_at - NATIVE_PAGE;
    memcpy(host_memory(), case_memory, WINDOW_RW_BYTES);
    native.in = t->in;
    if (at < PAGE_SIZE)
        native_put_exit((unsigned)at);
    native_run(t->code.b, t->len, needs_fs(t) ? FS_BASE : 0);
    memset(native.buffer + NATIVE_CODE_AT, 0xcc, t->len + NATIVE_EXIT_BYTES);
    if (at < PAGE_SIZE)
        memset(native.buffer + at, 0xcc, NATIVE_EXIT_BYTES);
    if (t->status == DECODE_OK && t->u.op == OP_WRGSBASE && !native.gs_shared)
        native_set_gs(GS_BASE); /* (else native_run() puts back what was there) */
    *o = (struct outcome){.s = native.out, .vector = native.vector};
    o->rip = native.vector >= 0 ? native.rip : native.taken ? t->exit_at : NATIVE_CODE + t->len;
    if (native.vector >= 0)
        o->error = native.error;
    if (native.vector == VEC_PF)
        o->cr2 = native.address;
}

/* The table's flags read and written are what an instruction depends on and changes. */
static bool table_is_right(const struct oracle_case *t, const struct outcome *host)
{
    const struct op_info *op = &op_info[t->u.op];
    const uint32_t arith = FLAGS_ARITH | FLAG_DF;
    if ((host->s.rflags ^ t->in.rflags) & FLAGS_COMPARED & arith & ~op->flags_written)
        return false;
    if (!one_in(8))
        return true;
    static struct oracle_case again;
    struct outcome o, h = *host;
    again = *t;
    again.in.rflags ^= arith & ~op->flags_read;
    guest_run(&again, &o);
    /* by a count of 0 they stay what they were */
    const bool may_keep = (t->u.op >= OP_ROL && t->u.op <= OP_SHRD) || row_is_string(t->u.row);
    const uint32_t compared = may_keep ? 0 : op->flags_written;
    mask_case(&again, &h, &o);
    o.s.rflags &= compared;
    h.s.rflags &= compared;
    return same_outcome(&h, &o);
}

static void print_bytes(const struct oracle_case *t)
{
    printf("  bytes");
    for (unsigned i = 0; i < t->len; i++)
        printf(" %02x", t->code.b[i]);
    printf("\n");
}

static enum result compare(const struct oracle_case *t, struct outcome *host, struct outcome *guest)
{
    /* More than one try: an interrupt may take the thread between the instruction and the reading
     * of the state, and some processors, and some virtual ones, then lose what is theirs to lose.
     */
    struct outcome ours;
    guest_run(t, &ours);
    for (unsigned try = 0; try < 3; try++) {
        run_host(t, host);
        *guest = ours;
        if (result_undefined(t) && host->vector < 0 && guest->vector < 0)
            return CASE_OPEN;
        mask_case(t, host, guest);
        if (same_outcome(host, guest))
            return CASE_SAME;
    }
    return host_differs(t, host, guest) ? CASE_OPEN : CASE_DIFFERS;
}

struct ran instruction_pass(const struct form_list *rows, uint64_t seed, unsigned row, uint64_t n,
                            bool verbose, bool all)
{
    static struct oracle_case t;
    struct outcome host, guest;
    const struct form *f = &rows->form[row];
    if (!case_make(&t, f, seed, row, n))
        return (struct ran){.result = CASE_NONE};
    enum result result = compare(&t, &host, &guest);
    const struct ran ran = {.faulted = host.vector >= 0, .of_row = t.status == DECODE_OK};
    if (all) {
        print_bytes(&t);
        print_state(&t.in);
    }
    if (result == CASE_SAME && !ran.faulted && ran.of_row && !table_is_right(&t, &host))
        result = CASE_TABLE;
    if (verbose && result == CASE_TABLE)
        printf("  the row's flags read and written are not right: %s\n", form_name(f));
    if (verbose && result == CASE_DIFFERS) {
        if (!all)
            print_bytes(&t);
        print_difference(&t.in, &host, &guest);
    }
    return (struct ran){result, ran.faulted, ran.of_row};
}
