/* See lone.h. */
#include "cpu/lone.h"
#include "mmu/walk.h"

#include <stdlib.h>

struct lone {
    struct log log;
    struct ram ram;
    struct memmap mem;
    struct mem_region main;
    struct iomap io;
    struct event_queue time;
    int64_t now_ns;
    struct door door;
    struct cpu *cpu;
    bool shutdown;
};

static void on_shutdown(void *opaque)
{
    ((struct lone *)opaque)->shutdown = true;
}

static void no_line(void *opaque, const char *line)
{
    (void)opaque, (void)line;
}

/* Nobody to tell of a triple fault: lone_exception() does. */
static bool fill(struct lone *l, const char *model, uint64_t ram_bytes, struct error *err)
{
    log_init(&l->log, no_line, NULL);
    door_init(&l->door, true, 1);
    event_queue_init_stepped(&l->time, &l->now_ns);
    if (!ram_create(&l->ram, ram_bytes, err))
        return false;
    memmap_create(&l->mem, &l->ram, &l->log);
    if (!iomap_create(&l->io, &l->log))
        return error_set(err, "out of memory");
    mem_region_init_ram(&l->main, "ram", ram_alloc(&l->ram, ram_bytes), ram_bytes);
    memmap_add(&l->mem, &l->main, 0, 0);
    const struct cpu_config cfg = {
        .mem = &l->mem,
        .io = &l->io,
        .time = &l->time,
        .door = &l->door,
        .log = &l->log,
        .model = model,
        .tsc_hz = 1000000000,
        .hooks = {.shutdown = on_shutdown, .opaque = l},
    };
    l->cpu = cpu_create(&cfg, err);
    return l->cpu != NULL;
}

struct lone *lone_create(const char *model, uint64_t ram_bytes, struct error *err)
{
    struct lone *l = calloc(1, sizeof *l);
    if (!l) {
        error_set(err, "out of memory");
        return NULL;
    }
    if (fill(l, model, (ram_bytes + PAGE_SIZE - 1) & PAGE_MASK, err))
        return l;
    lone_destroy(l);
    return NULL;
}

void lone_destroy(struct lone *l)
{
    if (!l)
        return;
    cpu_destroy(l->cpu);
    if (l->io.port)
        iomap_destroy(&l->io);
    if (l->ram.host) {
        memmap_destroy(&l->mem);
        ram_destroy(&l->ram);
    }
    free(l);
}

struct cpu *lone_cpu(struct lone *l)
{
    return l->cpu;
}

static bool inside(const struct lone *l, gpa_t at, size_t len)
{
    return at <= l->main.size && len <= l->main.size - at;
}

bool lone_write(struct lone *l, gpa_t at, const void *bytes, size_t len)
{
    if (!inside(l, at, len))
        return false;
    memcpy(ram_host(&l->ram, l->main.ram + at), bytes, len);
    ram_note_write(&l->ram, l->main.ram + at, len);
    return true;
}

bool lone_read(const struct lone *l, gpa_t at, void *bytes, size_t len)
{
    if (!inside(l, at, len))
        return false;
    memcpy(bytes, ram_host(&l->ram, l->main.ram + at), len);
    return true;
}

static bool to_physical(struct lone *l, gla_t at, gpa_t *gpa)
{
    struct walk_result w = {.gpa = at};
    /* reads with supervisor rights and AC set meet nothing but absence */
    if (l->cpu->walk.mode != PAGING_NONE &&
        !walk(&l->mem, &l->cpu->walk, at, WALK_READ, false, true, false, &w))
        return false;
    *gpa = w.gpa & l->mem.a20_mask;
    return true;
}

size_t lone_read_linear(struct lone *l, gla_t at, void *bytes, size_t len)
{
    size_t done = 0;
    gpa_t gpa;
    while (done < len && to_physical(l, at + done, &gpa)) {
        const size_t n = MIN(len - done, (size_t)(PAGE_SIZE - ((at + done) & ~PAGE_MASK)));
        if (!lone_read(l, gpa, (uint8_t *)bytes + done, n))
            break;
        done += n;
    }
    return done;
}

void lone_set_a20(struct lone *l, bool open)
{
    memmap_set_a20(&l->mem, open);
}

void lone_step(struct lone *l, uint64_t count)
{
    struct cpu *cpu = l->cpu;
    memset(cpu->chain, 0, sizeof cpu->chain);
    l->shutdown = false;
    while (count-- && !cpu->halted) {
        do {
            cpu_set_end(cpu, cpu_icount(cpu) + 1);
            cpu_run(cpu);
        } while (cpu_mid_rep(cpu) && !cpu->halted);
    }
}

struct lone_exception lone_exception(const struct lone *l)
{
    return (struct lone_exception){
        .taken = l->cpu->chain[0].reason != REASON_NONE,
        .first = l->cpu->chain[0],
        .shutdown = l->shutdown,
    };
}
