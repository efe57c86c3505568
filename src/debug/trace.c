/* See trace.h. */
#include "debug/trace.h"

#include "cpu/cpu.h"
#include "debug/disas.h"
#include "debug/explain.h"
#include "debug/regs.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct trace {
    struct machine *machine;
    struct log *log;
    struct disas *disas; /* made at first use: most runs never trace */
    bool no_disas;       /* it cannot be had, which was said */
};

static struct disas *disassembler(struct trace *t)
{
    struct error err = {0};
    if (t->disas || t->no_disas)
        return t->disas;
    t->disas = disas_create(DISAS_ATT, &err);
    t->no_disas = !t->disas;
    if (t->no_disas)
        log_line(t->log, LOG_HOST, "no disassembly: %s", err.msg);
    return t->disas;
}

static void trace_code(void *opaque, const struct cpu *cpu, gla_t lin, const uint8_t *bytes,
                       unsigned len)
{
    struct trace *t = opaque;
    if (!disassembler(t))
        return;
    const unsigned bits = regs_code_bits(cpu);
    const unsigned cs = cpu->seg[SEG_CS].sel;
    log_line(t->log, LOG_ASM, "IN: cs=%04x bits=%u", cs, bits);
    while (len) {
        char text[160], hex[2 * DISAS_MAX_BYTES + 1];
        unsigned n = disas_one(t->disas, bytes, len, lin, bits, text, sizeof text);
        n = n ? n : 1;
        for (unsigned i = 0; i < n; i++)
            snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
        log_line(t->log, LOG_ASM, "0x%08" PRIx64 ":  %-20s  %s", lin, hex, text);
        bytes += n;
        lin += n;
        len -= n;
    }
}

/* One instruction as text; how long it is, at least 1. */
static unsigned disassemble(struct trace *t, const uint8_t *code, size_t len, gla_t at,
                            unsigned bits, char *text, size_t size)
{
    const unsigned n = disas_one(t->disas, code, len, at, bits, text, size);
    return n ? n : 1;
}

/* Host code of one piece on the right, on the left what it stands for. */
static void list_piece(struct trace *t, const struct cpu_translation *c, size_t from, size_t to,
                       const char *left)
{
    char text[160];
    do {
        *text = '\0';
        unsigned n = 0;
        if (from < to)
            n = disassemble(t, c->host + from, to - from, c->runs_at + from, 64, text, sizeof text);
        log_line(t->log, LOG_OUT, "%-52s | 0x%08" PRIxPTR ":  %s", left, c->runs_at + from, text);
        from += n;
        left = "";
    } while (from < to);
}

static void trace_translated(void *opaque, const struct cpu *cpu, const struct cpu_translation *c)
{
    struct trace *t = opaque;
    if (!disassembler(t))
        return;
    const unsigned bits = regs_code_bits(cpu);
    log_line(t->log, LOG_OUT, "OUT: cs=%04x %u instructions, %u bytes become %zu and %zu", //
             cpu->seg[SEG_CS].sel, c->insns, c->guest_len, c->host_len, c->cold_len);
    list_piece(t, c, 0, c->host_at[0], "(entry)");
    for (unsigned i = 0; i < c->insns; i++) {
        const unsigned at = c->guest_at[i];
        char text[160] = "(reaches into another page)", left[200];
        if (c->guest)
            disassemble(t, c->guest + at, c->guest_len - at, c->lin + at, bits, text, sizeof text);
        snprintf(left, sizeof left, "0x%08" PRIx64 ":  %s", c->lin + at, text);
        list_piece(t, c, c->host_at[i], c->host_at[i + 1], left);
    }
    const struct cpu_translation cold = {
        .host = c->cold, .runs_at = c->cold_runs_at, .host_len = c->cold_len};
    list_piece(t, &cold, 0, c->cold_len, "(out of line)");
}

static void int_line(void *opaque, const char *line)
{
    struct trace *t = opaque;
    log_line(t->log, LOG_INT, "    %s", line);
}

static void trace_fault(void *opaque, const struct cpu *cpu, const struct fault_record *r)
{
    struct trace *t = opaque;
    explain_fault(cpu, r, &(struct explain_out){int_line, t, disassembler(t)});
}

static void trace_line(void *opaque, const char *line)
{
    struct trace *t = opaque;
    log_line(t->log, LOG_RESET, "%s", line);
}

static void trace_registers(void *opaque, const struct cpu *cpu)
{
    struct trace *t = opaque;
    if (machine_cpus(t->machine) > 1)
        log_line(t->log, LOG_RESET, "CPU#%u", cpu->index);
    regs_print(cpu, trace_line, opaque);
}

static void attach(struct machine *m, const struct cpu_trace *trace)
{
    for (unsigned i = 0; i < machine_cpus(m); i++)
        machine_cpu(m, i)->trace = *trace;
}

struct trace *trace_create(struct machine *m)
{
    struct trace *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->machine = m;
    t->log = machine_log(m);
    attach(m, &(struct cpu_trace){.code = trace_code,
                                  .registers = trace_registers,
                                  .translated = trace_translated,
                                  .fault = trace_fault,
                                  .opaque = t});
    return t;
}

void trace_destroy(struct trace *t)
{
    if (!t)
        return;
    attach(t->machine, &(struct cpu_trace){0});
    disas_destroy(t->disas);
    free(t);
}
