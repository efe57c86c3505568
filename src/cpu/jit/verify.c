/*
 * See verify.h. The interpreter runs first, and whatever it wrote is noted by page: all lines of
 * the TLB that can be written through are dropped before, so every page that is written passes
 * translate() in access.c once. State and pages are set back, host code runs, the two are compared
 * and the interpreter's result stays. Host code finds the lines that the interpreter filled, so
 * its inline stores are used; every eighth time it has to fill them itself.
 *
 * The budget is held back meanwhile, so that neither engine goes on with another block: jumps to
 * linked blocks and through the table of indirect branches are taken, and leave at once.
 *
 * A block that called a device, or dropped itself, or holds an instruction that would not give the
 * same twice (the time, random numbers, control registers), keeps the interpreter's result and is
 * counted as not verified.
 */
#include "cpu/jit/verify.h"
#include "cpu/fp/fp.h"
#include "cpu/jit/pending.h"
#include "cpu/op_int.h"
#include "cpu/run.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_PAGES 32
#define MAX_LINES 64
/* What an instruction can change of the architecture is tlb_cur, and from r on up to there: there
 * is no AVX-512, whose registers come behind. */
#define STATE_AT    offsetof(struct cpu, r)
#define STATE_BYTES (offsetof(struct cpu, zmm[16]) - STATE_AT)

#define CHUNKS      8 /* of a page */
#define CHUNK       (PAGE_SIZE / CHUNKS)
struct page_image {
    ram_t at;
    uint32_t changed; /* by the interpreter: a bit for each chunk, which new has then */
    uint8_t old[PAGE_SIZE], new[PAGE_SIZE];
};

/* How a block ended. */
struct ending {
    bool faulted;
    struct fault fault;
    unsigned index; /* of the instruction that did */
    gla_t rip;
};

/* What copy_state() leaves out. */
struct rest {
    uint64_t rep_rip, rep_icount;
    uint32_t events, pending_dr6;
    bool no_step_trap;
};

struct verify {
    size_t state_bytes;         /* STATE_BYTES; by a constant GCC copies with REP MOVSQ, slowly */
    struct cpu *before, *after; /* what copy_state() copies */
    struct rest rest_before, rest_after;
    struct ending interpreted, translated;
    bool noting;
    bool too_many; /* pages */
    unsigned pages;
    struct page_image page[MAX_PAGES];
    unsigned lines; /* that can be written through */
    bool all_lines;
    bool drop; /* host code finds none of them */
    struct {
        uint8_t tlb;
        uint16_t index;
    } line[MAX_LINES];
    char text[4096]; /* the differences, a line each */
    size_t text_len;
};

struct verify *verify_create(void)
{
    struct verify *v = calloc(1, sizeof *v);
    const size_t bytes = (sizeof(struct cpu) + 63) & ~(size_t)63;
    if (!v)
        return NULL;
    v->before = aligned_alloc(64, bytes);
    v->after = aligned_alloc(64, bytes);
    v->all_lines = true;
    v->state_bytes = STATE_BYTES;
    if (v->before && v->after)
        return v;
    verify_destroy(v);
    return NULL;
}

void verify_destroy(struct verify *v)
{
    if (!v)
        return;
    free(v->before);
    free(v->after);
    free(v);
}

/* --- memory --- */

void verify_note_page(struct cpu *cpu, ram_t at)
{
    struct verify *v = cpu->verify;
    at &= PAGE_MASK;
    if (!v->noting)
        return;
    for (unsigned i = 0; i < v->pages; i++)
        if (v->page[i].at == at)
            return;
    if (v->pages == MAX_PAGES) {
        v->too_many = true;
        return;
    }
    v->page[v->pages].at = at;
    v->page[v->pages].changed = 0;
    memcpy(v->page[v->pages++].old, ram_host(cpu->mem->ram, at), PAGE_SIZE);
}

void verify_note_line(struct cpu *cpu, unsigned tlb_mode, unsigned index)
{
    struct verify *v = cpu->verify;
    if (v->lines == MAX_LINES) {
        v->all_lines = true;
        return;
    }
    v->line[v->lines].tlb = (uint8_t)tlb_mode;
    v->line[v->lines++].index = (uint16_t)index;
}

static void drop_lines(struct cpu *cpu)
{
    struct verify *v = cpu->verify;
    for (unsigned i = 0; i < v->lines; i++)
        tlb_drop_write(&cpu->tlb[v->line[i].tlb], v->line[i].index);
    for (unsigned m = 0; v->all_lines && m < TLB_MODES; m++)
        for (unsigned i = 0; i < TLB_LINES; i++)
            tlb_drop_write(&cpu->tlb[m], i);
    v->lines = 0;
    v->all_lines = false;
}

static void set_pages_back(struct cpu *cpu)
{
    const struct verify *v = cpu->verify;
    for (unsigned i = 0; i < v->pages; i++)
        memcpy(ram_host(cpu->mem->ram, v->page[i].at), v->page[i].old, PAGE_SIZE);
}

/* Takes what changed, and sets it back. */
static void take_changes(struct page_image *p, uint8_t *host)
{
    for (unsigned i = 0; i < CHUNKS; i++) {
        uint8_t *const is = host + i * CHUNK;
        if (likely(!memcmp(is, p->old + i * CHUNK, CHUNK)))
            continue;
        p->changed |= BIT(i);
        memcpy(p->new + i *CHUNK, is, CHUNK);
        memcpy(is, p->old + i * CHUNK, CHUNK);
    }
}

/* --- state --- */

static struct rest rest_of(const struct cpu *cpu)
{
    return (struct rest){cpu->rep_rip, cpu->rep_icount, cpu_events(cpu), cpu->pending_dr6,
                         cpu->no_step_trap};
}

static const uint8_t *state_of(const struct cpu *cpu)
{
    return (const uint8_t *)cpu + STATE_AT;
}

static void copy_state(const struct verify *v, struct cpu *to, const struct cpu *from)
{
    to->tlb_cur = from->tlb_cur;
    memcpy((uint8_t *)to + STATE_AT, state_of(from), v->state_bytes);
    to->walk.pkru = to->pkru; /* WRPKRU and XRSTOR are not CPL 0's alone */
}

static void set_rest(struct cpu *cpu, const struct rest *rest)
{
    cpu->rep_rip = rest->rep_rip;
    cpu->rep_icount = rest->rep_icount;
    cpu->pending_dr6 = rest->pending_dr6;
    cpu->no_step_trap = rest->no_step_trap;
    cpu->pending = 0;
}

static void set_state(struct cpu *cpu, const struct cpu *from, const struct rest *rest)
{
    copy_state(cpu->verify, cpu, from);
    set_rest(cpu, rest);
}

/* Ways of writing the same thing down; padding. */
static void normalise(struct cpu *cpu)
{
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        const struct segment s = cpu->seg[i];
        memset(&cpu->seg[i], 0, sizeof s);
        cpu->seg[i].base = s.base;
        cpu->seg[i].limit = s.limit;
        cpu->seg[i].attr = s.attr;
        cpu->seg[i].sel = s.sel;
    }
    flags_set_arith(cpu, flags_arith(cpu));
    cpu->block = NULL;
    cpu->cur = NULL;
    cpu->r[REG_PC] = 0;
    cpu->rip = 0; /* compared as the ending's */
}

/* --- one engine --- */

static void run_engine(struct cpu *cpu, struct block *b, const struct native *native,
                       struct ending *end)
{
    fp_enter(cpu);
    if (setjmp(cpu->unwind) == 0) {
        const struct insn *u = native ? jit_run(cpu, b, native) : b->first(cpu, b->insn);
        while (u)
            u = u->fn(cpu, u);
        *end = (struct ending){.rip = cpu->rip};
    } else {
        if (cpu->jit_back) { /* it came out of a handler that host code called */
            if (!b->stale)
                cpu->jit_back->fn = cpu->jit_back_fn;
            cpu->jit_back = NULL;
        }
        *end = (struct ending){.faulted = true,
                               .fault = cpu->fault,
                               .index = cpu->cur ? cpu->cur->index : 0,
                               .rip = cpu_cur_rip(cpu)};
    }
    fp_leave(cpu);
}

/* --- comparing --- */

static void say(struct verify *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct verify *v, const char *fmt, ...)
{
    const size_t room = sizeof v->text - v->text_len;
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(v->text + v->text_len, room, fmt, ap);
    va_end(ap);
    if (n > 0 && (size_t)n + 1 < room) {
        v->text_len += (size_t)n;
        v->text[v->text_len++] = '\n';
    }
    v->text[v->text_len] = '\0';
}

static const char *const reg_names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

static void compare_endings(struct verify *v)
{
    const struct ending *a = &v->interpreted, *b = &v->translated;
    if (a->rip != b->rip)
        say(v, "rip %016" PRIx64 ", translated %016" PRIx64, a->rip, b->rip);
    if (a->faulted != b->faulted)
        say(v, "%s, translated %s", a->faulted ? fault_vector_name(a->fault.vector) : "no fault",
            b->faulted ? fault_vector_name(b->fault.vector) : "none");
    else if (a->faulted && (a->fault.vector != b->fault.vector || a->index != b->index ||
                            a->fault.error != b->fault.error || a->fault.cr2 != b->fault.cr2 ||
                            a->fault.dr6 != b->fault.dr6))
        say(v,
            "%s (%x) at instruction %u, address %016" PRIx64 ", translated %s (%x) at %u, "
            "address %016" PRIx64,
            fault_vector_name(a->fault.vector), a->fault.error, a->index, a->fault.cr2,
            fault_vector_name(b->fault.vector), b->fault.error, b->index, b->fault.cr2);
}

/* Both are changed: normalise() */
static void compare_states(struct verify *v, struct cpu *a, struct cpu *b)
{
    const uint32_t fa = flags_arith(a), fb = flags_arith(b);
    normalise(a);
    normalise(b);
    if (!memcmp(state_of(a), state_of(b), v->state_bytes) && a->tlb_cur == b->tlb_cur)
        return;
    const size_t said = v->text_len;
    for (unsigned i = 0; i < 16; i++)
        if (a->r[i] != b->r[i])
            say(v, "%s %016" PRIx64 ", translated %016" PRIx64, reg_names[i], a->r[i], b->r[i]);
    if (fa != fb)
        say(v, "flags %03x, translated %03x", fa, fb);
    if (a->budget != b->budget)
        say(v, "instructions counted: %+" PRId64 " by the translated code", b->budget - a->budget);
    for (unsigned i = 0; i < ARRAY_SIZE(a->zmm); i++)
        if (memcmp(&a->zmm[i], &b->zmm[i], sizeof a->zmm[i]))
            say(v, "zmm%u ..%016" PRIx64 "%016" PRIx64 ", translated ..%016" PRIx64 "%016" PRIx64,
                i, a->zmm[i].q[1], a->zmm[i].q[0], b->zmm[i].q[1], b->zmm[i].q[0]);
    for (unsigned i = 0; i < ARRAY_SIZE(a->fpu.r); i++)
        if (memcmp(&a->fpu.r[i], &b->fpu.r[i], sizeof a->fpu.r[i]))
            say(v, "x87 r%u %04x:%016" PRIx64 ", translated %04x:%016" PRIx64, i, a->fpu.r[i].sexp,
                a->fpu.r[i].mant, b->fpu.r[i].sexp, b->fpu.r[i].mant);
    if (a->fpu.sw != b->fpu.sw || a->fpu.used != b->fpu.used)
        say(v, "x87 status %04x, not empty %02x, translated %04x, %02x", a->fpu.sw, a->fpu.used,
            b->fpu.sw, b->fpu.used);
    if (a->fpu.fip != b->fpu.fip || a->fpu.fdp != b->fpu.fdp || a->fpu.fop != b->fpu.fop)
        say(v,
            "x87 pointers %" PRIx64 " %" PRIx64 " opcode %x, translated %" PRIx64 " %" PRIx64 " %x",
            a->fpu.fip, a->fpu.fdp, a->fpu.fop, b->fpu.fip, b->fpu.fdp, b->fpu.fop);
    for (size_t i = 0; v->text_len == said && i < v->state_bytes; i++)
        if (state_of(a)[i] != state_of(b)[i])
            say(v, "other state, at offset %zu of struct cpu", STATE_AT + i);
    if (v->text_len == said)
        say(v, "another TLB is in force");
}

/*
 * What host code made of the page against what the interpreter did, which stays. Bits A and D of
 * page-table entries are set by walks, of which the second engine makes fewer: a difference of
 * those bits alone is none.
 */
static void compare_page(struct cpu *cpu, const struct page_image *p)
{
    const uint64_t bits_ad = UINT64_C(0x60);
    const uint64_t by_walks =
        cpu->walk.mode == PAGING_32BIT ? bits_ad << 32 | bits_ad : bits_ad; /* two entries or one */
    uint8_t *const host = ram_host(cpu->mem->ram, p->at);
    for (unsigned i = 0; i < CHUNKS; i++) {
        const unsigned off = i * CHUNK;
        uint8_t *const is = host + off;
        const uint8_t *const want = (p->changed >> i & 1 ? p->new : p->old) + off;
        if (likely(!memcmp(is, want, CHUNK)))
            continue;
        for (unsigned k = 0; k < CHUNK; k += 8)
            if ((ld64(is + k) ^ ld64(want + k)) & ~by_walks)
                say(cpu->verify,
                    "memory %08" PRIx64 " was %016" PRIx64 ": %016" PRIx64
                    ", translated %016" PRIx64,
                    p->at + off + k, ld64(p->old + off + k), ld64(want + k), ld64(is + k));
        memcpy(is, want, CHUNK);
    }
}

/* --- one block --- */

enum result { SAME, DIFFERS, NOT_VERIFIED };

/* Whether u does the same again; what calls devices is seen when it did. */
static bool repeatable(const struct insn *u)
{
    if ((op_info[u->op].attr & OA_IO) || (u->row->attr & A_CPL0))
        return false;
    switch (u->op) {
    case OP_RDTSC:
    case OP_RDTSCP:
    case OP_RDRAND:
    case OP_RDSEED:
    case OP_PAUSE:
    case OP_MONITOR:
    case OP_MWAIT:
        return false;
    default:
        return true;
    }
}

static bool all_repeatable(const struct cpu *cpu, const struct block *b)
{
    for (unsigned i = 0; i < b->n; i++)
        if (!repeatable(&b->insn[i]))
            return false;
    return !cpu->watchpoints;
}

/* Runs b in both engines. It goes on with the interpreter's result, whatever that says. */
static enum result check(struct cpu *cpu, struct block *b, const struct native *native)
{
    struct verify *v = cpu->verify;
    const struct cpu_stats *s = &cpu->stats;
    const uint64_t calls = s->mmio + s->port_io;
    const uint64_t flushes = s->tlb_flushes + s->tlb_page_flushes;
    v->text_len = 0;
    v->pages = 0;
    v->too_many = false;
    drop_lines(cpu);
    v->rest_before = rest_of(cpu);
    copy_state(v, v->before, cpu);

    v->noting = true;
    run_engine(cpu, b, NULL, &v->interpreted);
    v->rest_after = rest_of(cpu);
    copy_state(v, v->after, cpu);
    if (calls != s->mmio + s->port_io || b->stale || cpu->broken || v->too_many ||
        cpu->code->jit->full || flushes != s->tlb_flushes + s->tlb_page_flushes ||
        cpu_events(cpu) != v->rest_before.events) {
        v->noting = false;
        return NOT_VERIFIED;
    }
    for (unsigned i = 0; i < v->pages; i++)
        take_changes(&v->page[i], ram_host(cpu->mem->ram, v->page[i].at));
    set_state(cpu, v->before, &v->rest_before);
    if (v->drop)
        drop_lines(cpu);
    struct block *const link_from = cpu->link_from;
    run_engine(cpu, b, native, &v->translated);
    v->noting = false;

    compare_endings(v);
    struct cpu *const a = v->after; /* stays, but for its block and flags: they are set again */
    const uint64_t flags[3] = {a->flag_z, a->flag_sp, a->flag_aux};
    struct block *const block = a->block;
    const struct insn *const cur = a->cur;
    const uint64_t pc = a->r[REG_PC], rip = a->rip;
    compare_states(v, a, cpu);
    for (unsigned i = 0; i < v->pages; i++)
        compare_page(cpu, &v->page[i]);
    if (v->text_len)
        copy_state(v, cpu, a);
    cpu->flag_z = flags[0];
    cpu->flag_sp = flags[1];
    cpu->flag_aux = flags[2];
    cpu->block = block;
    cpu->cur = cur;
    cpu->r[REG_PC] = pc;
    cpu->rip = rip;
    set_rest(cpu, &v->rest_after);
    cpu->link_from = link_from;
    return v->text_len ? DIFFERS : SAME;
}

static void undo(struct cpu *cpu)
{
    const struct verify *v = cpu->verify;
    set_pages_back(cpu);
    set_state(cpu, v->before, &v->rest_before);
}

/* --- where --- */

/* The first n instructions of b as a block of its own. */
static struct block *cut(const struct block *b, unsigned n)
{
    struct block *c = malloc(sizeof *c + (n + 1u) * sizeof(struct insn));
    if (!c)
        return NULL;
    *c = *b;
    memcpy(c->insn, b->insn, (n + 1u) * sizeof(struct insn));
    c->n = (uint8_t)n;
    c->bytes = b->insn[n].off;
    c->link[0] = c->link[1] = c->in_head = NULL;
    struct insn *end = &c->insn[n], *last = end - 1;
    *end = b->insn[b->n]; /* what stands behind a block that no branch ends */
    end->fn = op_block_end;
    end->off = c->bytes;
    end->index = (uint8_t)n;
    c->insn->fn = b->first;
    if (last->fused) {
        last->fn = bind_plain(last, c->mode);
        last->fused = false;
    }
    c->first = c->insn->fn;
    return c;
}

/* Whether the first n instructions of b differ already. Leaves the state before them. */
static bool part_differs(struct cpu *cpu, const struct block *b, unsigned n)
{
    struct jit *j = cpu->code->jit;
    struct native *native = &j->natives[j->n_natives]; /* where the next block's would be */
    struct block *c = cut(b, n);
    if (!c)
        return false;
    struct emit e = {.p = j->code + j->hot.used, .end = j->code + j->hot.end};
    struct emit cold = {.p = j->code + j->cold.used, .end = j->code + j->cold.end};
    bool differs = false;
    if (translate_block(j, c, native, &e, &cold)) {
        cpu->block = c;
        differs = check(cpu, c, native) == DIFFERS;
        undo(cpu);
    }
    cpu->block = (struct block *)(uintptr_t)b;
    free(c);
    return differs;
}

static void report(struct cpu *cpu, struct block *b)
{
    struct verify *v = cpu->verify;
    struct log *log = cpu->log;
    const gla_t rip = cpu->r[REG_PC];
    char hex[3 * 16 * BLOCK_MAX_INSNS + 1] = "";
    unsigned n = 1;
    undo(cpu);
    while (n < b->n && !part_differs(cpu, b, n))
        n++;
    if (n == b->n) /* or it was only seen in all of it: then the text is to be of that */
        check(cpu, b, b->native);
    const struct insn *u = &b->insn[n - 1];
    const struct cpu *s = v->before;
    log_line(log, LOG_HOST,
             "verify: translated code differs at %016" PRIx64 ", instruction %u of %u (%s):",
             rip + u->off, n, b->n, op_info[u->op].mnemonic);
    for (char *line = v->text, *end; (end = strchr(line, '\n')); line = end + 1)
        log_line(log, LOG_HOST, "  %.*s", (int)(end - line), line);
    log_line(log, LOG_HOST,
             "  before the block: rip %016" PRIx64 " flags %03x mode %x cr3 %" PRIx64, rip,
             flags_arith(s), s->mode, s->cr3);
    for (unsigned i = 0; i < 16; i += 4)
        log_line(log, LOG_HOST,
                 "  %-3s %016" PRIx64 " %-3s %016" PRIx64 " %-3s %016" PRIx64 " %-3s %016" PRIx64,
                 reg_names[i], s->r[i], reg_names[i + 1], s->r[i + 1], reg_names[i + 2],
                 s->r[i + 2], reg_names[i + 3], s->r[i + 3]);
    const uint8_t *bytes = ram_host(cpu->mem->ram, b->start);
    for (unsigned i = 0, at = 0; b->page2 == RAM_NONE && i < b->bytes; i++)
        at += (unsigned)snprintf(hex + at, sizeof hex - at, "%02x ", bytes[i]);
    log_line(log, LOG_HOST, "  bytes: %s", hex);
    if (n < b->n) /* on with what the interpreter makes of the whole block */
        check(cpu, b, b->native);
}

const struct insn *verify_block(struct cpu *cpu)
{
    struct block *b = cpu->block;
    const struct native *native = b->native;
    jmp_buf outer;
    memcpy(&outer, &cpu->unwind, sizeof outer);
    const int64_t held = cpu->budget;
    cpu->budget = 0;
    cpu->icount_end -= (uint64_t)held;
    fp_leave(cpu);
    cpu->verify->drop = (cpu->stats.verified_blocks & 7) == 7;
    enum result r = NOT_VERIFIED;
    if (all_repeatable(cpu, b))
        r = check(cpu, b, native);
    else
        run_engine(cpu, b, NULL, &cpu->verify->interpreted);
    cpu->stats.verified_blocks += r != NOT_VERIFIED;
    cpu->stats.unverified_blocks += r == NOT_VERIFIED;
    if (unlikely(r == DIFFERS)) {
        cpu->stats.verify_differences++;
        report(cpu, b);
        if (cpu->hooks.verify_failed)
            cpu->hooks.verify_failed(cpu->hooks.opaque);
    }
    fp_enter(cpu);
    cpu->budget += held;
    cpu->icount_end += (uint64_t)held;
    memcpy(&cpu->unwind, &outer, sizeof outer);
    if (cpu->verify->interpreted.faulted) {
        cpu->fault = cpu->verify->interpreted.fault;
        longjmp(cpu->unwind, 1);
    }
    return NULL;
}
