/*
 * A CPU on a bench: 16 MiB of RAM, page tables, a GDT, an IDT and a TSS around it, in any mode.
 * Every exception comes out in a handler that does not run, so that a test can ask which it was.
 *
 *      0000  real-mode interrupt vectors      6000  stack for CPL 0, down from 8000
 *      1000  GDT                              8000  page tables, as they are needed
 *      2000  IDT (64-bit gates)              40000  what a test likes
 *      3000  IDT (32-bit gates)             200000  the same, above the identity map
 *      4000  TSS
 *      5000  handlers: 16 bytes a vector
 */
#ifndef VITRINE_TESTS_INSN_RIG_H
#define VITRINE_TESTS_INSN_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cpu/block.h"
#include "cpu/flags.h"
#include "cpu/segment.h"
#ifndef VITRINE_RANDOM /* the fuzzers have their own */
#include "unit/rng.h"
#endif

#include <stdio.h>
#include <stdlib.h>

enum {
    RIG_GDT = 0x1000,
    RIG_IDT64 = 0x2000,
    RIG_IDT32 = 0x3000,
    RIG_TSS = 0x4000,
    RIG_HANDLERS = 0x5000,
    RIG_STACK0 = 0x8000,
    RIG_TABLES = 0x8000,
    RIG_TABLES_END = 0x40000,
    RIG_FREE = 0x40000,
};

/* Selectors; those of CPL 3 as 64-bit Linux has them. */
enum {
    SEL_CODE64 = 0x10,
    SEL_DATA = 0x18,
    SEL_CODE32_USER = 0x23,
    SEL_DATA_USER = 0x2b,
    SEL_CODE64_USER = 0x33,
    SEL_CODE32 = 0x38,
    SEL_CODE16 = 0x40,
    SEL_DATA16 = 0x48,
    SEL_CODE16_USER = 0x53,
    SEL_DATA16_USER = 0x5b,
    SEL_TSS = 0x60,   /* two slots */
    SEL_SPARE = 0x70, /* for tests: up to 0xf8 */
};

#define RIG_RAM_BYTES (16 * MiB)

struct rig {
    struct log log;
    struct ram ram;
    struct memmap mem;
    struct mem_region main;
    struct iomap io;
    struct event_queue time;
    int64_t now_ns;
    struct door door;
    struct cpu *cpu;
    gpa_t next_table;
    struct segment seg[SEG_COUNT]; /* of rig_user64() */
};

/* What a handler was entered with. */
struct rig_event {
    int vector; /* -1: none was */
    uint64_t error, rip, rflags, rsp;
    uint16_t cs, ss;
};

static inline uint8_t *rig_at(struct rig *r, gpa_t at)
{
    return ram_host(&r->ram, r->main.ram + at);
}

/* Bytes at a physical address, as DMA would put them there. */
static inline void rig_put(struct rig *r, gpa_t at, const void *bytes, size_t n)
{
    assert_true(memmap_dma_write(&r->mem, at, bytes, n));
}

static inline void rig_descriptor(struct rig *r, uint16_t sel, uint32_t base, uint32_t limit,
                                  uint32_t attr)
{
    if (attr & ATTR_G)
        limit >>= 12;
    const uint32_t lo = base << 16 | (limit & 0xffff);
    const uint32_t hi = (base & 0xff000000) | ((base >> 16) & 0xff) | (limit & 0xf0000) | attr << 8;
    st64(rig_at(r, RIG_GDT + (sel & ~7u)), lo | (uint64_t)hi << 32);
}

/* --- paging --- */

enum { RIG_P = 1, RIG_W = 2, RIG_U = 4 };

/* Maps one page in the tables of IA-32e mode (CR3 = RIG_TABLES). */
static inline void rig_map(struct rig *r, gla_t lin, gpa_t gpa, uint64_t rights)
{
    gpa_t table = RIG_TABLES;
    for (unsigned level = 3; level > 0; level--) {
        uint8_t *e = rig_at(r, table + ((lin >> (12 + 9 * level)) & 511) * 8);
        if (!(ld64(e) & RIG_P)) {
            assert_true(r->next_table < RIG_TABLES_END);
            memset(rig_at(r, r->next_table), 0, PAGE_SIZE);
            st64(e, r->next_table | RIG_P | RIG_W | RIG_U);
            r->next_table += PAGE_SIZE;
        }
        table = ld64(e) & UINT64_C(0xffffffffff000);
    }
    st64(rig_at(r, table + ((lin >> 12) & 511) * 8), gpa | rights);
    cpu_flush_tlb(r->cpu);
}

/* --- modes --- */

static inline void rig_load_seg(struct rig *r, unsigned s, uint16_t sel)
{
    struct segment seg = {.sel = sel, .attr = ATTR_NULL};
    if (sel & ~3) {
        const uint64_t v = ld64(rig_at(r, RIG_GDT + (sel & ~7u)));
        const struct desc d = {.lo = (uint32_t)v, .hi = (uint32_t)(v >> 32)};
        seg = desc_segment(sel, &d);
    }
    r->cpu->seg[s] = seg;
}

static inline void rig_segments(struct rig *r, uint16_t code, uint16_t data)
{
    struct cpu *cpu = r->cpu;
    for (unsigned s = SEG_ES; s <= SEG_GS; s++)
        rig_load_seg(r, s, s == SEG_CS ? code : data);
    cpu->cpl = code & 3;
    cpu_loaded(cpu);
}

/* Real mode: segments at 0, 64 KiB. */
static inline void rig_real(struct rig *r)
{
    struct cpu *cpu = r->cpu;
    cpu_reset(cpu, false);
    cpu->cr0 = CR0_ET | CR0_NE | CR0_MP;
    cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
    for (unsigned s = SEG_ES; s <= SEG_GS; s++)
        cpu->seg[s] = (struct segment){.limit = 0xffff, .attr = ATTR_RW | ATTR_A | ATTR_S | ATTR_P};
    cpu_loaded(cpu);
}

/* Protected mode without paging; code one of the selectors above, data to go with it. */
static inline void rig_prot(struct rig *r, uint16_t code, uint16_t data)
{
    struct cpu *cpu = r->cpu;
    rig_real(r);
    cpu->cr0 |= CR0_PE;
    cpu->gdtr = (struct table_reg){.base = RIG_GDT, .limit = 0xfff};
    cpu->idtr = (struct table_reg){.base = RIG_IDT32, .limit = 0x7ff};
    /* a 32-bit TSS */
    cpu->seg[SEG_TR] = (struct segment){
        .base = RIG_TSS, .limit = 0x67, .sel = SEL_TSS, .attr = ATTR_P | TYPE_TSS32_BUSY};
    memset(rig_at(r, RIG_TSS), 0, 0x68);
    st32(rig_at(r, RIG_TSS + 4), RIG_STACK0);
    st16(rig_at(r, RIG_TSS + 8), SEL_DATA);
    st16(rig_at(r, RIG_TSS + 0x66), 0x68);
    rig_segments(r, code, data);
}

/* IA-32e mode, with the identity map of the first 2 MiB for CPL 0. */
static inline void rig_long(struct rig *r, uint16_t code, uint16_t data)
{
    struct cpu *cpu = r->cpu;
    rig_prot(r, code, data);
    memset(rig_at(r, RIG_TABLES), 0, PAGE_SIZE);
    r->next_table = RIG_TABLES + PAGE_SIZE;
    cpu->cr0 |= CR0_PG | CR0_WP | CR0_AM;
    cpu->cr4 |= CR4_PAE;
    cpu->cr3 = RIG_TABLES;
    cpu->efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
    cpu->idtr = (struct table_reg){.base = RIG_IDT64, .limit = 0xfff};
    memset(rig_at(r, RIG_TSS), 0, 0x68);
    st64(rig_at(r, RIG_TSS + 4), RIG_STACK0);
    st16(rig_at(r, RIG_TSS + 0x66), 0x68); /* no I/O bitmap */
    for (gla_t at = 0; at < 2 * MiB; at += PAGE_SIZE)
        rig_map(r, at, at, RIG_P | RIG_W);
    rig_segments(r, code, data);
}

/* What a user process sees: CPL 3, null data segments. */
static inline void rig_long_user(struct rig *r)
{
    rig_long(r, SEL_CODE64_USER, 0);
    rig_load_seg(r, SEG_SS, SEL_DATA_USER);
    cpu_loaded(r->cpu);
    memcpy(r->seg, r->cpu->seg, sizeof r->seg);
}

/* Back to where rig_long_user() left, after an exception. */
static inline void rig_user64(struct rig *r)
{
    memcpy(r->cpu->seg, r->seg, sizeof r->seg);
    r->cpu->cpl = 3;
    cpu_update_mode(r->cpu);
}

/* --- running --- */

static inline void rig_run(struct rig *r, uint64_t n)
{
    cpu_set_end(r->cpu, cpu_icount(r->cpu) + n);
    cpu_run(r->cpu);
}

static inline bool rig_has_error(int vector)
{
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

/* Which handler the CPU is about to enter, with its frame. */
static inline struct rig_event rig_event(struct rig *r)
{
    struct cpu *cpu = r->cpu;
    struct rig_event ev = {.vector = -1};
    if (cpu->rip < RIG_HANDLERS || cpu->rip >= RIG_HANDLERS + 0x1000 || (cpu->rip & 15) ||
        (cpu_prot(cpu) && cpu->cpl))
        return ev;
    ev.vector = (int)(cpu->rip - RIG_HANDLERS) / 16;
    const bool user_stack = cpu_prot(cpu);
    const unsigned n = !cpu_prot(cpu) ? 2 : cpu_long(cpu) ? 8 : 4;
    const uint8_t *p = rig_at(r, (cpu_long(cpu) ? 0 : cpu->seg[SEG_SS].base) +
                                     (n == 2 ? (uint16_t)cpu->r[REG_RSP] : cpu->r[REG_RSP]));
    if (cpu_prot(cpu) && rig_has_error(ev.vector)) {
        ev.error = ld_le(p, n);
        p += n;
    }
    ev.rip = ld_le(p, n);
    ev.cs = ld16(p + n);
    ev.rflags = ld_le(p + 2 * n, n);
    if (user_stack && (n == 8 || (ev.cs & 3))) {
        ev.rsp = ld_le(p + 3 * n, n);
        ev.ss = ld16(p + 4 * n);
    }
    return ev;
}

/* --- life --- */

static inline void rig_tables(struct rig *r)
{
    const uint32_t code = ATTR_P | ATTR_S | ATTR_CODE | ATTR_RW | ATTR_A | ATTR_G;
    const uint32_t data = ATTR_P | ATTR_S | ATTR_RW | ATTR_A | ATTR_G;
    rig_descriptor(r, SEL_CODE64, 0, ~0u, code | ATTR_L);
    rig_descriptor(r, SEL_DATA, 0, ~0u, data | ATTR_DB);
    rig_descriptor(r, SEL_CODE32_USER, 0, ~0u, code | ATTR_DPL | ATTR_DB);
    rig_descriptor(r, SEL_DATA_USER, 0, ~0u, data | ATTR_DPL | ATTR_DB);
    rig_descriptor(r, SEL_CODE64_USER, 0, ~0u, code | ATTR_DPL | ATTR_L);
    rig_descriptor(r, SEL_CODE32, 0, ~0u, code | ATTR_DB);
    rig_descriptor(r, SEL_CODE16, 0, 0xffff, code & ~(uint32_t)ATTR_G);
    rig_descriptor(r, SEL_DATA16, 0, 0xffff, data & ~(uint32_t)ATTR_G);
    rig_descriptor(r, SEL_CODE16_USER, 0, 0xffff, (code & ~(uint32_t)ATTR_G) | ATTR_DPL);
    rig_descriptor(r, SEL_DATA16_USER, 0, 0xffff, (data & ~(uint32_t)ATTR_G) | ATTR_DPL);
    rig_descriptor(r, SEL_TSS, RIG_TSS, 0x67, ATTR_P | TYPE_TSS32);
    for (unsigned v = 0; v < 256; v++) {
        const uint64_t at = RIG_HANDLERS + v * 16;
        /* breakpoint and overflow may be raised by anyone */
        const uint64_t type = v == VEC_BP || v == VEC_OF ? 0xee : 0x8e;
        st32(rig_at(r, v * 4), (uint32_t)at);
        st64(rig_at(r, RIG_IDT64 + v * 16), at | SEL_CODE64 << 16 | type << 40);
        st64(rig_at(r, RIG_IDT64 + v * 16 + 8), 0);
        st64(rig_at(r, RIG_IDT32 + v * 8), at | SEL_CODE32 << 16 | type << 40);
        st16(rig_at(r, at), 0xfeeb); /* JMP to itself */
    }
}

/* VITRINE_TEST_JIT=N: entries of a block before it is translated; unset or 0: it never is. */
static inline unsigned rig_jit_threshold(void)
{
    const char *n = getenv("VITRINE_TEST_JIT");
    return n ? (unsigned)atoi(n) : 0;
}

static inline void rig_open_with(struct rig *r, const char *model, uint64_t ram_bytes,
                                 unsigned jit_threshold, bool verify)
{
    struct error err = {0};
    *r = (struct rig){0};
    log_init(&r->log, NULL, NULL);
    door_init(&r->door, true, 1);
    event_queue_init_stepped(&r->time, &r->now_ns);
    assert_true(ram_create(&r->ram, ram_bytes, &err));
    memmap_create(&r->mem, &r->ram, &r->log);
    assert_true(iomap_create(&r->io, &r->log));
    mem_region_init_ram(&r->main, "ram", ram_alloc(&r->ram, ram_bytes), ram_bytes);
    memmap_add(&r->mem, &r->main, 0, 0);
    const struct cpu_config cfg = {
        .mem = &r->mem,
        .io = &r->io,
        .time = &r->time,
        .door = &r->door,
        .log = &r->log,
        .model = model,
        .jit_threshold = jit_threshold,
        .jit_verify = verify,
        .jit_atomic = true,
        .tsc_hz = 1000000000,
    };
    r->cpu = cpu_create(&cfg, &err);
    if (!r->cpu)
        fail_msg("%s", err.msg);
    rig_tables(r);
}

static inline void rig_open_sized(struct rig *r, const char *model, uint64_t ram_bytes)
{
    rig_open_with(r, model, ram_bytes, rig_jit_threshold(), false);
}

static inline void rig_open(struct rig *r)
{
    rig_open_sized(r, "max", RIG_RAM_BYTES);
}

static inline void rig_close(struct rig *r)
{
    cpu_destroy(r->cpu);
    iomap_destroy(&r->io);
    memmap_destroy(&r->mem);
    ram_destroy(&r->ram);
}

#endif
