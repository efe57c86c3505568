/* Statistics: what a run did and took, by stage of the boot; hashes of where it ended. */
#include "machine_internal.h"

#include "cpu/cpu.h"
#include "cpu/jit/jit.h"
#include "cpu/latency.h"
#include "cpu/jit/statistics.h"
#include "host/clock.h"
#include "host/usage.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void machine_note_stage(struct machine *m, unsigned n)
{
    m->stage[n] = (struct stage){machine_icount(m), machine_time_ns(m), host_cpu_time_ns(), true};
}

struct printer {
    void (*line)(void *, const char *);
    void *opaque;
};

static void print(const struct printer *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void print(const struct printer *p, const char *fmt, ...)
{
    char line[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    p->line(p->opaque, line);
}

/* FNV-1a over the guest's pages that are not all zeros; what was never touched is not touched. */
static uint64_t memory_hash(struct machine *m)
{
    static const uint8_t zeros[PAGE_SIZE];
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    const ram_t end = m->pc.ram_at + m->cfg.ram_bytes;
    ram_t run_end;
    for (ram_t at = m->pc.ram_at; ram_next_data(&m->pc.ram, &at, &run_end, end);) {
        for (; at < run_end; at += PAGE_SIZE) {
            const uint8_t *page = ram_host(&m->pc.ram, at);
            if (memcmp(page, zeros, PAGE_SIZE) == 0)
                continue;
            h = (h ^ (at - m->pc.ram_at)) * UINT64_C(0x100000001b3);
            for (unsigned i = 0; i < PAGE_SIZE; i += 8)
                h = (h ^ ld64(page + i)) * UINT64_C(0x100000001b3);
        }
    }
    return h;
}

static uint64_t state_hash(struct machine *m)
{
    struct state s;
    pc_drain(&m->pc);
    state_init_hash(&s);
    turns_state(m, &s);
    for (unsigned n = 0; n < m->pc.cpus; n++)
        cpu_state(m->pc.cpu[n].cpu, &s);
    device_state_all(&m->pc.devices, &s);
    const uint64_t h = s.hash;
    state_free(&s);
    return h;
}

/* Each stage with what it took, from the one before it to the one behind it. */
static void print_stages(struct machine *m, const struct printer *p)
{
    static const char *const names[] = {"firmware", "boot sector", "boot loader", "kernel",
                                        "user programs"};
    const struct stage *from = &(const struct stage){0};
    unsigned now = 0; /* the stage that the run ended in */
    machine_note_stage(m, CPU_MILESTONES);
    for (unsigned i = 0; i <= CPU_MILESTONES; i++) {
        const struct stage *to = &m->stage[i];
        if (!to->reached)
            continue;
        const char *name = names[i < CPU_MILESTONES ? i : now];
        now = i + 1;
        print(p, "phase %s: %" PRIu64 " instructions, guest %.3f s, host cpu %.3f s", name,
              to->icount - from->icount, (double)(to->guest_ns - from->guest_ns) / 1e9,
              (double)(to->cpu_ns - from->cpu_ns) / 1e9);
        from = to;
    }
}

/* Misses are counted, accesses estimated from samples: instructions at which slices ended. */
static void print_tlb(const struct cpu_stats *s, uint64_t insns, const struct printer *p)
{
    const uint64_t data = s->tlb_misses[WALK_READ] + s->tlb_misses[WALK_WRITE];
    print(p,
          "tlb misses read %" PRIu64 " write %" PRIu64 " fetch %" PRIu64
          " (%.2f per thousand instructions), flushes %" PRIu64 " whole %" PRIu64 " page",
          s->tlb_misses[WALK_READ], s->tlb_misses[WALK_WRITE], s->tlb_misses[WALK_EXEC],
          insns ? (double)(data + s->tlb_misses[WALK_EXEC]) * 1e3 / (double)insns : 0.0,
          s->tlb_flushes, s->tlb_page_flushes);
    print(p,
          "shadow: global pages kept in %" PRIu64 " flushes; address spaces kept %" PRIu64
          ", changed %" PRIu64 ", new %" PRIu64 ", recycled %" PRIu64
          "; system code renewed %" PRIu64 "; page flushes that changed no code %" PRIu64,
          s->tlb_global_kept, s->spaces_kept, s->spaces_changed, s->spaces_new, s->spaces_recycled,
          s->system_renewed, s->page_flushes_kept);
    if (!s->sampled_accesses)
        return;
    const double per_insn = (double)s->sampled_accesses / (double)s->sampled_insns;
    const double accesses = per_insn * (double)insns;
    print(p,
          "tlb hit rate %.3f %% of data accesses, of which there are about %.2f an instruction "
          "(%" PRIu64 " instructions looked at)",
          100 * MAX(0, 1 - (double)data / accesses), per_insn, s->sampled_insns);
}

/* Over all CPUs. The struct is nothing but counters, so it can be added up as an array. */
static struct cpu_stats sum_stats(const struct machine *m)
{
    enum { COUNTERS = sizeof(struct cpu_stats) / sizeof(uint64_t) };
    struct cpu_stats sum = {0};
    uint64_t to[COUNTERS] = {0}, from[COUNTERS];
    for (unsigned n = 0; n < m->pc.cpus; n++) {
        memcpy(from, &m->pc.cpu[n].cpu->stats, sizeof from);
        for (unsigned i = 0; i < COUNTERS; i++)
            to[i] += from[i];
    }
    memcpy(&sum, to, sizeof sum);
    return sum;
}

static void print_cpus(struct machine *m, const struct printer *p)
{
    for (unsigned n = 0; n < m->pc.cpus && m->pc.cpus > 1; n++) {
        const struct cpu *cpu = m->pc.cpu[n].cpu;
        print(p, "cpu %u: instructions %" PRIu64 ", interrupts %" PRIu64 ", halts %" PRIu64, n,
              cpu_icount(cpu), cpu->stats.interrupts, cpu->stats.halts);
    }
}

static void print_latency(const struct machine *m, const struct printer *p)
{
    for (unsigned n = 0; n < m->pc.cpus; n++)
        if (m->pc.cpu[n].cpu->latency)
            latency_print(m->pc.cpu[n].cpu->latency, p->line, p->opaque);
}

static double percent(uint64_t part, uint64_t all)
{
    return all ? 100 * (double)part / (double)all : 0;
}

/* Executed, and time by samples, if there are any. */
static void print_tiers(const struct cpu_stats *s, uint64_t insns, const struct printer *p)
{
    print(p, "executed in translated code %" PRIu64 " instructions (%.2f %%), interpreted %" PRIu64,
          s->jit_insns, percent(s->jit_insns, insns), insns - MIN(s->jit_insns, insns));
    uint64_t all = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(s->ticks); i++)
        all += s->ticks[i];
    if (all)
        print(p,
              "time in translated code %.1f %%, in what it calls %.1f %%, translating %.1f %%, "
              "interpreting and elsewhere %.1f %% (%" PRIu64 " samples)",
              percent(s->ticks[TICK_CODE], all), percent(s->ticks[TICK_HANDLER], all),
              percent(s->ticks[TICK_TRANSLATE], all), percent(s->ticks[TICK_REST], all), all);
}

/* Each CPU has code memory of its own. */
static void print_code_memory(const struct machine *m, const struct printer *p)
{
    size_t used = 0, size = 0;
    for (unsigned n = 0; n < m->pc.cpus; n++) {
        size_t one, room;
        cpu_code_memory(m->pc.cpu[n].cpu, &one, &room);
        used += one;
        size += room;
    }
    print(p, "code memory used %zu bytes of %zu", used, size);
}

static void print_translator(const struct machine *m, const struct cpu_stats *s, uint64_t insns,
                             const struct printer *p)
{
    if (m->cfg.accel != ACCEL_JIT)
        return;
    print_tiers(s, insns, p);
    print(p,
          "translated blocks %" PRIu64 " (%" PRIu64 " instructions, %" PRIu64
          " bytes of host code in line, %" PRIu64 " out of line), emptied %" PRIu64 " times",
          s->translated_blocks, s->translated_insns, s->translated_bytes, s->cold_bytes,
          s->code_flushes);
    print(p,
          "retranslated since written to %" PRIu64 ", since emptied when full %" PRIu64
          ", for MXCSR %" PRIu64,
          s->retranslated[AGAIN_WRITTEN], s->retranslated[AGAIN_FULL],
          s->retranslated[AGAIN_MXCSR]);
    print(p,
          "left translated code at links %" PRIu64 ", events %" PRIu64
          ", last instructions %" PRIu64 ", handlers %" PRIu64 ", faults %" PRIu64,
          s->jit_exits[EXIT_LINK], s->jit_exits[EXIT_LOOP], s->jit_exits[EXIT_END],
          s->jit_exits[EXIT_HANDLER], s->jit_exits[EXIT_FAULT]);
    print_code_memory(m, p);
    if (m->cfg.jit_verify)
        print(p, "lockstep %" PRIu64 " blocks, %" PRIu64 " not verified, %" PRIu64 " differ",
              s->verified_blocks, s->unverified_blocks, s->verify_differences);
    for (unsigned n = 0; n < m->pc.cpus; n++)
        if (m->pc.cpu[n].cpu->code->jit->count)
            jit_count_print(m->pc.cpu[n].cpu->code->jit->count, p->line, p->opaque);
}

static void print_memory(const struct machine *m, const struct printer *p)
{
    uint64_t ram, rest;
    if (host_memory_usage(m->pc.ram.host, m->pc.ram.size_bytes, &ram, &rest))
        print(p, "host memory for the guest %.1f MiB, beside it %.1f MiB", (double)ram / MiB,
              (double)rest / MiB);
}

void machine_print_jit(struct machine *m, void (*line)(void *, const char *), void *opaque)
{
    const struct printer p = {line, opaque};
    const struct cpu_stats sum = sum_stats(m);
    if (m->cfg.accel != ACCEL_JIT)
        print(&p, "the engine is the interpreter, it translates nothing");
    print_translator(m, &sum, machine_icount(m), &p);
    print_memory(m, &p);
}

void machine_print_stats(struct machine *m, void (*line)(void *, const char *), void *opaque)
{
    const struct printer p = {line, opaque};
    const struct cpu_stats sum = sum_stats(m), *s = &sum;
    const uint64_t n = machine_icount(m);
    const int64_t cpu_ns = host_cpu_time_ns();
    print(&p, "instructions %" PRIu64, n);
    print(&p, "cpu time %.3f s, %.1f MIPS", (double)cpu_ns / 1e9,
          cpu_ns ? (double)n * 1e3 / (double)cpu_ns : 0.0);
    print(&p, "guest time %.3f s, idle %.3f s", (double)machine_time_ns(m) / 1e9,
          (double)m->idle_ns / 1e9);
    print_tlb(s, n, &p);
    print(&p,
          "blocks decoded %" PRIu64 " (%" PRIu64 " instructions), lookups %" PRIu64
          ", jump cache misses %" PRIu64 ", dropped %" PRIu64 ", swept away while cold %" PRIu64
          ", decoded again since then %" PRIu64 ", cache flushes %" PRIu64,
          s->blocks_decoded, s->insns_decoded, s->block_lookups, s->jump_cache_misses,
          s->blocks_dropped, s->blocks_swept, s->blocks_again, s->cache_flushes);
    print(&p, "stores to code pages %" PRIu64, s->code_writes);
    print_translator(m, s, n, &p);
    print_memory(m, &p);
    print(&p,
          "exits mmio %" PRIu64 " port %" PRIu64 " interrupts %" PRIu64 " halts %" PRIu64
          " syncs %" PRIu64,
          s->mmio, s->port_io, s->interrupts, s->halts, m->syncs);
    print_latency(m, &p);
    print_cpus(m, &p);
    print_stages(m, &p);
    for (unsigned v = 0; v < 32; v++)
        if (s->exceptions[v])
            print(&p, "exceptions %s %" PRIu64, fault_vector_name(v), s->exceptions[v]);
    print(&p, "guest errors %" PRIu64 ", not implemented %" PRIu64, m->log->guest_errors,
          m->log->unimp);
    print(&p, "hash state %016" PRIx64 " memory %016" PRIx64, state_hash(m), memory_hash(m));
}
