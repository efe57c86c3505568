/* What debuggers ask of a machine: guest memory without side effects, breakpoints, watchpoints. */
#include "machine_internal.h"

#include "cpu/block.h"
#include "cpu/cpu.h"

#include <stdio.h>

/* --- memory, for debuggers --- */

enum direction { TO_BUFFER, TO_GUEST };

/* One page's worth, host memory only. */
static bool physical_piece(struct machine *m, gpa_t at, uint8_t *buf, size_t len,
                           enum direction dir)
{
    const ram_t ram = memmap_ram(&m->pc.mem, at, false);
    if (ram == RAM_NONE)
        return false;
    uint8_t *host = ram_host(&m->pc.ram, ram);
    if (dir == TO_BUFFER) {
        memcpy(buf, host, len);
    } else {
        memcpy(host, buf, len);
        ram_note_write(&m->pc.ram, ram, len);
    }
    return true;
}

static bool to_physical(struct machine *m, struct cpu *cpu, gla_t lin, gpa_t *gpa)
{
    struct walk_result w;
    if (!cpu_long(cpu))
        lin = (uint32_t)lin;
    else if (!cpu_canonical(cpu, lin))
        return false;
    if (cpu->walk.mode == PAGING_NONE) {
        *gpa = lin & m->pc.mem.a20_mask;
        return true;
    }
    /* reads with supervisor rights, AC set and no keys meet nothing but absence */
    struct walk_params p = cpu->walk;
    p.pke = p.pks = false;
    if (!walk(&m->pc.mem, &p, lin, WALK_READ, false, true, false, &w))
        return false;
    *gpa = w.gpa & m->pc.mem.a20_mask;
    return true;
}

static size_t move(struct machine *m, struct cpu *cpu, uint64_t at, uint8_t *buf, size_t len,
                   enum direction dir)
{
    size_t done = 0;
    while (done < len) {
        const size_t n = MIN(len - done, (size_t)(PAGE_SIZE - ((at + done) & ~PAGE_MASK)));
        gpa_t gpa = at + done;
        if (cpu && !to_physical(m, cpu, at + done, &gpa))
            break;
        if (!physical_piece(m, gpa, buf + done, n, dir))
            break;
        done += n;
    }
    return done;
}

size_t machine_read_linear(struct machine *m, struct cpu *cpu, gla_t at, void *buf, size_t len)
{
    return move(m, cpu, at, buf, len, TO_BUFFER);
}
size_t machine_write_linear(struct machine *m, struct cpu *cpu, gla_t at, const void *buf,
                            size_t len)
{
    return move(m, cpu, at, (uint8_t *)buf, len, TO_GUEST);
}
size_t machine_read_physical(struct machine *m, gpa_t at, void *buf, size_t len)
{
    return move(m, NULL, at, buf, len, TO_BUFFER);
}
size_t machine_write_physical(struct machine *m, gpa_t at, const void *buf, size_t len)
{
    return move(m, NULL, at, (uint8_t *)buf, len, TO_GUEST);
}

/* --- ports: what is accessed may have effects, so that goes through the door --- */

static void enter_access(struct machine *m, const char *words)
{
    door_enter(&m->door, DOOR_CONTROL, words, strlen(words));
}

uint32_t machine_read_port(struct machine *m, uint16_t port, unsigned size)
{
    char words[32];
    snprintf(words, sizeof words, "i/%u 0x%04x", size, port);
    enter_access(m, words);
    return iomap_read(&m->pc.io, port, size);
}

void machine_write_port(struct machine *m, uint16_t port, uint32_t value, unsigned size)
{
    char words[32];
    snprintf(words, sizeof words, "o/%u 0x%04x 0x%x", size, port, value);
    enter_access(m, words);
    iomap_write(&m->pc.io, port, value, size);
}

/* --- breakpoints --- */

static bool set_breakpoint(struct cpu *cpu, gla_t at, bool insert)
{
    unsigned i = 0;
    while (i < cpu->breakpoints && cpu->breakpoint[i] < at)
        i++;
    const bool present = i < cpu->breakpoints && cpu->breakpoint[i] == at;
    if (insert == present)
        return insert;
    gla_t *p = &cpu->breakpoint[i];
    if (insert) {
        if (cpu->breakpoints == CPU_MAX_BREAKPOINTS)
            return false;
        memmove(p + 1, p, (cpu->breakpoints++ - i) * sizeof *p);
        *p = at;
    } else {
        memmove(p, p + 1, (--cpu->breakpoints - i) * sizeof *p);
    }
    code_flush(cpu->code);
    return true;
}

bool machine_breakpoint(struct machine *m, gla_t at, bool insert)
{
    bool ok = true;
    for (unsigned n = 0; n < m->pc.cpus; n++)
        ok &= set_breakpoint(m->pc.cpu[n].cpu, at, insert);
    return ok;
}

static bool set_watchpoint(struct cpu *cpu, gla_t at, uint64_t len, enum watch_kind kind,
                           bool insert)
{
    unsigned i = 0;
    while (i < cpu->watchpoints &&
           !(cpu->watch[i].at == at && cpu->watch[i].len == len && cpu->watch[i].kind == kind))
        i++;
    const bool present = i < cpu->watchpoints;
    if (insert == present)
        return insert;
    if (insert) {
        if (cpu->watchpoints == CPU_MAX_WATCHPOINTS || !len)
            return false;
        cpu->watch[cpu->watchpoints++] =
            (struct cpu_watch){.at = at, .len = len, .kind = (uint8_t)kind};
    } else {
        cpu->watch[i] = cpu->watch[--cpu->watchpoints];
    }
    cpu_flush_tlb(cpu);
    return true;
}

bool machine_watchpoint(struct machine *m, gla_t at, uint64_t len, enum watch_kind kind,
                        bool insert)
{
    bool ok = true;
    for (unsigned n = 0; n < m->pc.cpus; n++)
        ok &= set_watchpoint(m->pc.cpu[n].cpu, at, len, kind, insert);
    return ok;
}

gla_t machine_watch_hit(const struct machine *m)
{
    return m->watch_hit;
}
