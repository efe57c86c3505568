/* IN, OUT, INS, OUTS. SDM 1 §18.5 "I/O Protection"; SDM 2A/2B. */
#include "cpu/debug.h"
#include "cpu/handlers.h"
#include "cpu/op_string.h"
#include "cpu/run.h"

/* CPL <= IOPL, else every port of the access must be clear in the TSS bitmap (SDM 1 §18.5.2). */
static void check_io(struct cpu *cpu, uint16_t port, unsigned size)
{
    if (!cpu_prot(cpu) || (cpu->cpl <= cpu_iopl(cpu) && !cpu_vm86(cpu)))
        return;
    const struct segment *tr = &cpu->seg[SEG_TR];
    const unsigned type = tr->attr & ATTR_TYPE;
    if ((type & 8) == 0 || tr->limit < 0x67) /* a 16-bit TSS has no bitmap */
        cpu_gp0(cpu, REASON_IO_PERM);
    const uint32_t base = (uint32_t)sys_load(cpu, tr->base + 0x66, 2);
    const uint32_t byte = base + port / 8;
    if (byte + 1 > tr->limit)
        cpu_gp0(cpu, REASON_IO_PERM);
    const uint32_t bitmap = (uint32_t)sys_load(cpu, tr->base + byte, 2) >> (port & 7);
    if (bitmap & ((1u << size) - 1))
        cpu_gp0(cpu, REASON_IO_PERM);
}

static uint32_t port_read(struct cpu *cpu, uint16_t port, unsigned size)
{
    cpu->stats.port_io++;
    return iomap_read(cpu->io, port, size);
}

static void port_write(struct cpu *cpu, uint16_t port, uint32_t v, unsigned size)
{
    cpu->stats.port_io++;
    iomap_write(cpu->io, port, v, size);
}

static uint16_t port_of(const struct cpu *cpu, const struct insn *u)
{
    const bool imm = u->row->opnd[0] == O_Ib || u->row->opnd[1] == O_Ib;
    return imm ? (uint8_t)u->imm : (uint16_t)cpu->r[REG_RDX];
}

static unsigned io_size(const struct insn *u)
{
    return MIN(u->osize, 4u);
}

static void io_breakpoint(struct cpu *cpu, uint16_t port, unsigned size)
{
    if (unlikely(cpu->dr7 & 0xff))
        debug_io(cpu, port, size);
}

OP_END(op_in)
{
    const unsigned size = io_size(u);
    const uint16_t port = port_of(cpu, u);
    check_io(cpu, port, size);
    const uint32_t v = port_read(cpu, port, size);
    if (size == 1)
        wr8(cpu, 0, (uint8_t)v);
    else
        reg_write(cpu, REG_RAX, v, size);
    io_breakpoint(cpu, port, size);
}

OP_END(op_out)
{
    const unsigned size = io_size(u);
    const uint16_t port = port_of(cpu, u);
    check_io(cpu, port, size);
    port_write(cpu, port, (uint32_t)(cpu->r[REG_RAX] & size_mask(size)), size);
    io_breakpoint(cpu, port, size);
}

const struct insn *op_ins(struct cpu *cpu, const struct insn *u)
{
    struct string_op s;
    string_begin(&s, cpu, u);
    const uint16_t port = (uint16_t)cpu->r[REG_RDX];
    const unsigned dseg = string_dest_seg(cpu);
    check_io(cpu, port, s.size);
    for (uint64_t can; (can = string_allowed(&s, cpu)) != 0;) {
        world_enter(cpu->world); /* the destination stays what it is until it is filled */
        const gla_t to = string_linear(&s, cpu, dseg, REG_RDI, ACC_W);
        uint64_t n = string_run(&s, cpu, dseg, REG_RDI, to, can);
        uint8_t *dst = string_write_host(cpu, to, n * s.size);
        n = dst && n > 1 ? iomap_read_bulk(cpu->io, port, s.size, dst, (unsigned)n) : 0;
        if (!n) {
            /* the destination must take it before the device gives it */
            n = 1;
            probe(cpu, to, s.size, ACC_W);
            store_n(cpu, to, port_read(cpu, port, s.size), s.size);
        }
        string_advance(&s, cpu, REG_RDI, n);
        string_count(&s, cpu, n);
        io_breakpoint(cpu, port, s.size);
        world_leave(cpu->world);
        if (cpu->block->stale || cpu_events(cpu))
            break;
    }
    return string_end(&s, cpu, u, false);
}

const struct insn *op_outs(struct cpu *cpu, const struct insn *u)
{
    struct string_op s;
    string_begin(&s, cpu, u);
    const uint16_t port = (uint16_t)cpu->r[REG_RDX];
    check_io(cpu, port, s.size);
    for (uint64_t can; (can = string_allowed(&s, cpu)) != 0;) {
        const gla_t from = string_linear(&s, cpu, u->seg, REG_RSI, ACC_R);
        uint64_t n = string_run(&s, cpu, u->seg, REG_RSI, from, can);
        const uint8_t *src = string_read_host(cpu, from, n * s.size);
        n = src && n > 1 ? iomap_write_bulk(cpu->io, port, s.size, src, (unsigned)n) : 0;
        if (!n) {
            n = 1;
            port_write(cpu, port, (uint32_t)load_n(cpu, from, s.size), s.size);
        }
        string_advance(&s, cpu, REG_RSI, n);
        string_count(&s, cpu, n);
        io_breakpoint(cpu, port, s.size);
        if (cpu_events(cpu))
            break;
    }
    return string_end(&s, cpu, u, false);
}
