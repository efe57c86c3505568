/*
 * String instructions. SDM 2A/2B "MOVS", "CMPS", "STOS", "LODS", "SCAS", "REP".
 *
 * REP runs in runs of elements that lie on one page in host memory, else element by element. Each
 * iteration counts as one instruction and the budget is kept after each run, so a fault or an
 * interrupt between iterations finds registers and counts exact.
 */
#include "cpu/op_string.h"
#include "cpu/handlers.h"
#include "cpu/run.h"

/* --- shared with op_io.c --- */

void string_begin(struct string_op *s, struct cpu *cpu, const struct insn *u)
{
    cpu->cur = u;
    /* ports are at most four bytes wide, whatever REX.W says */
    const unsigned size = op_info[u->op].attr & OA_IO ? MIN(u->osize, 4u) : u->osize;
    *s = (struct string_op){
        .size = size,
        .mask = size_mask(u->asize),
        .step = cpu->eflags & FLAG_DF ? -(int64_t)size : (int64_t)size,
        .rep = u->rep || u->repne,
    };
    s->left = s->rep ? cpu->r[REG_RCX] & s->mask : 1;
}

/* Iterations that may run now: what is left, what the budget allows (the block took one already).
 */
uint64_t string_allowed(const struct string_op *s, const struct cpu *cpu)
{
    return MIN(s->left, (uint64_t)(cpu->budget + 1));
}

void string_advance(struct string_op *s, struct cpu *cpu, unsigned reg, uint64_t n)
{
    reg_write(cpu, reg, cpu->r[reg] + (uint64_t)s->step * n, cpu->cur->asize);
}

void string_count(struct string_op *s, struct cpu *cpu, uint64_t n)
{
    s->left -= n;
    if (s->rep) {
        reg_write(cpu, REG_RCX, cpu->r[REG_RCX] - n, cpu->cur->asize);
        cpu->budget -= (int64_t)n;
        s->done += n;
    }
}

const struct insn *string_end(struct string_op *s, struct cpu *cpu, const struct insn *u, bool stop)
{
    if (s->done)
        cpu->budget++; /* the block's own count for this instruction */
    if (s->left && !stop) {
        cpu->rip = cpu_cur_rip(cpu); /* out of budget: on from here later */
        cpu->rep_rip = cpu->rip;
        cpu->rep_icount = cpu->icount_end - (uint64_t)cpu->budget;
        return NULL;
    }
    /* not to the next block from here: with s on the caller's stack that is no tail call */
    END_TO_LOOP(cpu, next_rip(cpu, u));
}

gla_t string_linear(struct string_op *s, struct cpu *cpu, unsigned seg, unsigned reg,
                    enum access acc)
{
    return seg_linear(cpu, seg, cpu->r[reg] & s->mask, s->size, acc);
}

/*
 * How many of at most want elements from lin on lie on its page, before the offset wraps and
 * within the segment limit. Only forwards; 1 means "one at a time".
 */
uint64_t string_run(const struct string_op *s, const struct cpu *cpu, unsigned seg, unsigned reg,
                    gla_t lin, uint64_t want)
{
    if (s->step < 0)
        return 1;
    const uint64_t off = cpu->r[reg] & s->mask;
    uint64_t bytes = PAGE_SIZE - (lin & ~PAGE_MASK);
    bytes = MIN(bytes, s->mask - off + (s->mask != UINT64_MAX));
    if (!cpu_code64(cpu) && seg != SEG_FLAT) {
        const struct segment *g = &cpu->seg[seg];
        if (!(g->attr & ATTR_CODE) && (g->attr & ATTR_EC))
            return 1;
        bytes = MIN(bytes, (uint64_t)g->limit - off + 1);
    }
    return MAX(MIN(want, bytes / s->size), 1);
}

const uint8_t *string_read_host(struct cpu *cpu, gla_t lin, uint64_t bytes)
{
    const struct tlb_half *h = &cpu->tlb_cur->line[tlb_index(lin)].rd;
    if ((lin & ~PAGE_MASK) + bytes > PAGE_SIZE)
        return NULL;
    if (!tlb_hit(h, lin, 1)) {
        probe(cpu, lin, 1, ACC_R); /* fills the line if it can be */
        if (!tlb_hit(h, lin, 1))
            return NULL;
    }
    return (const uint8_t *)(uintptr_t)(lin + h->addend);
}

uint8_t *string_write_host(struct cpu *cpu, gla_t lin, uint64_t bytes)
{
    if ((lin & ~PAGE_MASK) + bytes > PAGE_SIZE)
        return NULL;
    return rmw_host(cpu, lin, 1);
}

/* ES:rDI; the seg of rSI operands is the decoder's. */
unsigned string_dest_seg(const struct cpu *cpu)
{
    return cpu->mode & MODE_FLAT || cpu_code64(cpu) ? SEG_FLAT : SEG_ES;
}

/* --- MOVS, STOS, LODS --- */

/* Forward copy with the meaning of one element after the other, also when they overlap. */
static void copy_run(uint8_t *dst, const uint8_t *src, uint64_t n, unsigned size)
{
    const uint64_t bytes = n * size;
    if (dst <= src || dst >= src + bytes) {
        memmove(dst, src, bytes);
        return;
    }
    for (uint64_t i = 0; i < bytes; i += size)
        st_le(dst + i, ld_le(src + i, size), size);
}

const struct insn *op_movs(struct cpu *cpu, const struct insn *u)
{
    struct string_op s;
    string_begin(&s, cpu, u);
    const unsigned dseg = string_dest_seg(cpu);
    for (uint64_t can; (can = string_allowed(&s, cpu)) != 0;) {
        const gla_t from = string_linear(&s, cpu, u->seg, REG_RSI, ACC_R);
        const gla_t to = string_linear(&s, cpu, dseg, REG_RDI, ACC_W);
        uint64_t n = string_run(&s, cpu, u->seg, REG_RSI, from, can);
        n = string_run(&s, cpu, dseg, REG_RDI, to, n);
        const uint8_t *src = string_read_host(cpu, from, n * s.size);
        uint8_t *dst = src ? string_write_host(cpu, to, n * s.size) : NULL;
        if (src && dst) {
            copy_run(dst, src, n, s.size);
        } else {
            n = 1;
            store_n(cpu, to, load_n(cpu, from, s.size), s.size);
        }
        string_advance(&s, cpu, REG_RSI, n);
        string_advance(&s, cpu, REG_RDI, n);
        string_count(&s, cpu, n);
        if (cpu->block->stale)
            break; /* it wrote over itself */
    }
    return string_end(&s, cpu, u, false);
}

static void fill_run(uint8_t *dst, uint64_t v, uint64_t n, unsigned size)
{
    const uint64_t rep = size == 1   ? (v & 0xff) * UINT64_C(0x0101010101010101)
                         : size == 2 ? (v & 0xffff) * UINT64_C(0x0001000100010001)
                         : size == 4 ? (v & 0xffffffff) * UINT64_C(0x0000000100000001)
                                     : v;
    if (rep == (rep & 0xff) * UINT64_C(0x0101010101010101)) {
        memset(dst, (int)(rep & 0xff), n * size);
        return;
    }
    for (uint64_t i = 0; i < n * size; i += size)
        st_le(dst + i, v, size);
}

const struct insn *op_stos(struct cpu *cpu, const struct insn *u)
{
    struct string_op s;
    string_begin(&s, cpu, u);
    const unsigned dseg = string_dest_seg(cpu);
    for (uint64_t can; (can = string_allowed(&s, cpu)) != 0;) {
        const gla_t to = string_linear(&s, cpu, dseg, REG_RDI, ACC_W);
        uint64_t n = string_run(&s, cpu, dseg, REG_RDI, to, can);
        uint8_t *dst = string_write_host(cpu, to, n * s.size);
        if (dst) {
            fill_run(dst, cpu->r[REG_RAX], n, s.size);
        } else {
            n = 1;
            store_n(cpu, to, cpu->r[REG_RAX], s.size);
        }
        string_advance(&s, cpu, REG_RDI, n);
        string_count(&s, cpu, n);
        if (cpu->block->stale)
            break;
    }
    return string_end(&s, cpu, u, false);
}

const struct insn *op_lods(struct cpu *cpu, const struct insn *u)
{
    struct string_op s;
    string_begin(&s, cpu, u);
    while (string_allowed(&s, cpu)) {
        const uint64_t v = load_n(cpu, string_linear(&s, cpu, u->seg, REG_RSI, ACC_R), s.size);
        if (s.size == 1)
            wr8(cpu, 0, (uint8_t)v);
        else
            reg_write(cpu, REG_RAX, v, s.size);
        string_advance(&s, cpu, REG_RSI, 1);
        string_count(&s, cpu, 1);
    }
    return string_end(&s, cpu, u, false);
}

/* --- one element, flat: no REP, so the block goes on behind it --- */

#define SINGLE(N)                                                                             \
    static const struct insn *movs_1_##N(struct cpu *cpu, const struct insn *u)               \
    {                                                                                         \
        cpu->cur = u;                                                                         \
        const uint64_t mask = u->imm, step = single_step(cpu, N / 8);                         \
        const uint##N##_t v = load##N(cpu, (cpu->r[REG_RSI] & mask) + cpu->seg[u->seg].base); \
        store##N(cpu, cpu->r[REG_RDI] & mask, v);                                             \
        cpu->r[REG_RSI] = (cpu->r[REG_RSI] + step) & mask;                                    \
        cpu->r[REG_RDI] = (cpu->r[REG_RDI] + step) & mask;                                    \
        NEXT(cpu, u);                                                                         \
    }                                                                                         \
    static const struct insn *stos_1_##N(struct cpu *cpu, const struct insn *u)               \
    {                                                                                         \
        cpu->cur = u;                                                                         \
        const uint64_t mask = u->imm, step = single_step(cpu, N / 8);                         \
        store##N(cpu, cpu->r[REG_RDI] & mask, (uint##N##_t)cpu->r[REG_RAX]);                  \
        cpu->r[REG_RDI] = (cpu->r[REG_RDI] + step) & mask;                                    \
        NEXT(cpu, u);                                                                         \
    }                                                                                         \
    static const struct insn *lods_1_##N(struct cpu *cpu, const struct insn *u)               \
    {                                                                                         \
        cpu->cur = u;                                                                         \
        const uint64_t mask = u->imm, step = single_step(cpu, N / 8);                         \
        wr##N(cpu, 0, load##N(cpu, (cpu->r[REG_RSI] & mask) + cpu->seg[u->seg].base));        \
        cpu->r[REG_RSI] = (cpu->r[REG_RSI] + step) & mask;                                    \
        NEXT(cpu, u);                                                                         \
    }

static inline uint64_t single_step(const struct cpu *cpu, unsigned size)
{
    return cpu->eflags & FLAG_DF ? -(uint64_t)size : size;
}
SINGLE(8)
SINGLE(16)
SINGLE(32)
SINGLE(64)

/* In flat modes; imm holds the mask of the address size. NULL: the general handler serves. */
insn_fn *bind_single_string(struct insn *u, uint32_t mode)
{
    static insn_fn *const forms[3][4] = {
        {movs_1_8, movs_1_16, movs_1_32, movs_1_64},
        {stos_1_8, stos_1_16, stos_1_32, stos_1_64},
        {lods_1_8, lods_1_16, lods_1_32, lods_1_64},
    };
    const bool code64 = (mode & MODE_CODE_MASK) == MODE_CODE64;
    const unsigned kind = u->op == OP_MOVS ? 0 : u->op == OP_STOS ? 1 : 2;
    /* a 32-bit address in 64-bit mode clears the upper halves of its registers: fine with a mask */
    if (u->rep || u->repne || u->asize == 2 || !(mode & MODE_FLAT) || (mode & MODE_ALIGN) ||
        (!code64 && u->seg != SEG_FLAT))
        return NULL;
    u->imm = size_mask(u->asize);
    return forms[kind][__builtin_ctz(u->osize)];
}

/* --- CMPS, SCAS: REPE and REPNE end when ZF says so --- */

const struct insn *op_cmps(struct cpu *cpu, const struct insn *u)
{
    struct string_op s;
    string_begin(&s, cpu, u);
    const unsigned dseg = string_dest_seg(cpu);
    bool stop = false;
    while (!stop && string_allowed(&s, cpu)) {
        const uint64_t a = load_n(cpu, string_linear(&s, cpu, u->seg, REG_RSI, ACC_R), s.size);
        const uint64_t b = load_n(cpu, string_linear(&s, cpu, dseg, REG_RDI, ACC_R), s.size);
        do_sub_n(cpu, a, b, s.size);
        string_advance(&s, cpu, REG_RSI, 1);
        string_advance(&s, cpu, REG_RDI, 1);
        string_count(&s, cpu, 1);
        stop = s.rep && (a == b) != u->rep;
    }
    return string_end(&s, cpu, u, stop);
}

const struct insn *op_scas(struct cpu *cpu, const struct insn *u)
{
    struct string_op s;
    string_begin(&s, cpu, u);
    const unsigned dseg = string_dest_seg(cpu);
    const uint64_t a = cpu->r[REG_RAX] & size_mask(s.size);
    bool stop = false;
    while (!stop && string_allowed(&s, cpu)) {
        const uint64_t b = load_n(cpu, string_linear(&s, cpu, dseg, REG_RDI, ACC_R), s.size);
        do_sub_n(cpu, a, b, s.size);
        string_advance(&s, cpu, REG_RDI, 1);
        string_count(&s, cpu, 1);
        stop = s.rep && (a == b) != u->rep;
    }
    return string_end(&s, cpu, u, stop);
}
