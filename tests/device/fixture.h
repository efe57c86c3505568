/* What the device tests share: maps and a clock without a machine, recorded lines, state checks. */
#ifndef VITRINE_TESTS_DEVICE_FIXTURE_H
#define VITRINE_TESTS_DEVICE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/device.h"
#include "mmu/iomap.h"
#include "mmu/memmap.h"
#include "seed.h"

#include <stdlib.h>

/* A line that remembers. */
struct recorder {
    int level;
    unsigned rises, calls;
    int last_high; /* the last level that was not 0 */
};

static inline void recorder_set(void *opaque, unsigned pin, int level)
{
    (void)pin;
    struct recorder *r = opaque;
    r->calls++;
    r->rises += level && !r->level;
    r->level = level;
    if (level)
        r->last_high = level;
}

static inline struct irq_line recorder_line(struct recorder *r)
{
    return (struct irq_line){.set = recorder_set, .opaque = r};
}

struct fixture {
    struct log log;
    struct ram ram;
    struct memmap mem;
    struct iomap io;
    struct device_list devices;
    struct event_queue queue;
    int64_t now_ns;
};

static inline void fixture_sink(void *opaque, const char *line)
{
    (void)opaque, (void)line;
}

static inline void fixture_init(struct fixture *f, uint64_t ram_bytes)
{
    struct error err = {0};
    log_init(&f->log, fixture_sink, NULL);
    assert_true(ram_create(&f->ram, ram_bytes, &err));
    memmap_create(&f->mem, &f->ram, &f->log);
    assert_true(iomap_create(&f->io, &f->log));
    device_list_init(&f->devices);
    f->now_ns = 0;
    event_queue_init_stepped(&f->queue, &f->now_ns);
}

static inline void fixture_free(struct fixture *f)
{
    device_destroy_all(&f->devices);
    iomap_destroy(&f->io);
    memmap_destroy(&f->mem);
    ram_destroy(&f->ram);
}

/* A small generator: the same sequence every time. */
static inline uint32_t fixture_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 32);
}

static inline void fixture_save(struct fixture *f, struct state *s)
{
    state_init_save(s);
    device_state_all(&f->devices, s);
    assert_string_equal(s->err.msg, "");
}

/* Save, disturb, load, save: the files are equal, and the disturbed state is another. */
static inline void fixture_check_round_trip(struct fixture *f, void (*disturb)(void *),
                                            void *opaque)
{
    struct state first, disturbed, second, load;
    fixture_save(f, &first);
    disturb(opaque);
    fixture_save(f, &disturbed);
    assert_false(first.len == disturbed.len && !memcmp(first.buf, disturbed.buf, first.len));
    state_init_load(&load, first.buf, first.len);
    device_state_all(&f->devices, &load);
    assert_string_equal(load.err.msg, "");
    fixture_save(f, &second);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.buf, second.buf, first.len);
    state_free(&first);
    state_free(&disturbed);
    state_free(&second);
    state_free(&load);
}

/* Where a saved state has the value of a field, the n-th of that name from 0 on: to make one up. */
static inline uint8_t *fixture_field(struct state *s, const char *name, unsigned n)
{
    const size_t len = strlen(name), value = 1 + len + sizeof(uint64_t);
    for (size_t at = 0; at + value < s->len; at++)
        if (s->buf[at] == len && !memcmp(s->buf + at + 1, name, len) && n-- == 0)
            return s->buf + at + value;
    fail_msg("a saved state has no %s", name);
    return NULL;
}

#endif
