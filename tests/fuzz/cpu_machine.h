/*
 * A random machine for fuzz_cpu.c: a CPU of the bench (insn_rig.h) in any mode, with memory that
 * ends in pages nobody may touch, a ROM, registers in memory and ports, and everything that can be
 * set set at random: control registers, MSRs, segments, tables, debug registers, what is pending.
 *
 * What the CPU itself checks is written through its own checks, so that only states come about
 * which a program could have made.
 */
#ifndef VITRINE_TESTS_CPU_MACHINE_H
#define VITRINE_TESTS_CPU_MACHINE_H

#include "fuzz.h"
#include "unit/insn_rig.h"

#include "cpu/decode_tables.h"
#include "cpu/fp/fp.h"
#include "cpu/jit/jit.h"
#include "cpu/sys.h"
#include <sys/mman.h>

#define RAM_BYTES  (512 * KiB)
#define ROM_AT     0x80000u
#define ROM_BYTES  (64 * KiB)
#define MMIO_AT    0xA0000u
#define MMIO_BYTES (64 * KiB)
#define CODE       0x50000u
#define GUARD      RAM_CHUNK /* memory is given by such chunks: the guards are not in them */

#define LDT_AT     (RIG_GDT + 0x800)
#define SPARE_END  0x100 /* of SEL_SPARE */

static struct rig rig;

/* What the devices have seen: the same for every way to run a case. */
static struct {
    uint64_t sum;
    uint64_t reads;
    uint8_t vector; /* of the interrupt that is pending */
} devices;

static struct mem_region rom, mmio;
static struct io_region ports;

/* --- devices --- */

static uint64_t mixed(uint64_t v)
{
    v *= UINT64_C(0x9e3779b97f4a7c15);
    return v ^ v >> 29;
}

/* A function of its place alone: code may be fetched from there, how often is nobody's business. */
static uint64_t mmio_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque;
    return mixed(offset) >> (64 - 8 * size);
}

static void note(uint64_t what)
{
    devices.sum = mixed(devices.sum ^ what);
}

static void interrupt(uint8_t vector)
{
    devices.vector = vector;
    cpu_set_intr(rig.cpu, 0, 1);
}

static void mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)opaque;
    note(offset << 8 | size);
    note(value);
    if (value % 16 == 3)
        interrupt((uint8_t)(32 + offset % 64));
}

static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque;
    return mixed(offset + ++devices.reads) >> (64 - 8 * size);
}

static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)opaque;
    note(BIT64(40) | offset << 8 | size);
    note(value);
    if (value % 16 == 3)
        interrupt((uint8_t)(32 + offset % 64));
    else if (value % 16 == 4)
        cpu_set_nmi(rig.cpu, 0, 1);
}

static const struct io_ops mmio_ops = {.read = mmio_read, .write = mmio_write, .max_size = 8};
static const struct io_ops port_ops = {.read = port_read, .write = port_write};

static int interrupt_vector(void *opaque)
{
    (void)opaque;
    cpu_set_intr(rig.cpu, 0, 0);
    return devices.vector;
}

/* --- life --- */

static uint64_t log_from; /* what lines count from */

static void log_to_stdout(void *opaque, const char *line)
{
    (void)opaque;
    printf("%6llu %s\n", (unsigned long long)(cpu_icount(rig.cpu) - log_from), line);
}

/* FUZZ_LOG=1: events and blocks of the case, after the count of instructions. */
static void open_machine(void)
{
    struct error err = {0};
    log_init(&rig.log, NULL, NULL);
    if (getenv("FUZZ_LOG")) {
        log_init(&rig.log, log_to_stdout, NULL);
        rig.log.mask = LOG_INT | LOG_EXEC;
    }
    door_init(&rig.door, true, 1);
    event_queue_init_stepped(&rig.time, &rig.now_ns);
    assert_true(ram_create(&rig.ram, RAM_BYTES + ROM_BYTES + 3 * GUARD, &err));
    memmap_create(&rig.mem, &rig.ram, &rig.log);
    assert_true(iomap_create(&rig.io, &rig.log));

    uint8_t *guard = ram_host(&rig.ram, ram_alloc(&rig.ram, GUARD));
    assert_int_equal(mprotect(guard, GUARD, PROT_NONE), 0);
    mem_region_init_ram(&rig.main, "ram", ram_alloc(&rig.ram, RAM_BYTES), RAM_BYTES);
    guard = ram_host(&rig.ram, ram_alloc(&rig.ram, GUARD));
    assert_int_equal(mprotect(guard, GUARD, PROT_NONE), 0);
    /* at its end, with nothing behind it */
    ram_alloc(&rig.ram, GUARD - ROM_BYTES);
    mem_region_init_rom(&rom, "rom", ram_alloc(&rig.ram, ROM_BYTES), ROM_BYTES);
    guard = ram_host(&rig.ram, ram_alloc(&rig.ram, ROM_BYTES));
    assert_int_equal(mprotect(guard, ROM_BYTES, PROT_NONE), 0);
    mem_region_init_io(&mmio, "mmio", &mmio_ops, NULL, MMIO_BYTES);
    memmap_add(&rig.mem, &rig.main, 0, 0);
    memmap_add(&rig.mem, &rom, ROM_AT, 0);
    memmap_add(&rig.mem, &mmio, MMIO_AT, 0);
    ports = (struct io_region){.name = "ports", .ops = &port_ops};
    iomap_add(&rig.io, &ports, 0, 65536);
    struct error no_translator;
    const struct cpu_config cfg = {
        .mem = &rig.mem,
        .io = &rig.io,
        .time = &rig.time,
        .door = &rig.door,
        .log = &rig.log,
        .hooks = {.intr_ack = interrupt_vector},
        .model = "max,+sse4a",
        .tsc_hz = 1000000000,
        .jit_threshold = jit_available(&no_translator),
    };
    rig.cpu = cpu_create(&cfg, &err);
    if (!rig.cpu)
        fail_msg("%s", err.msg);
}

/* --- values --- */

/* Addresses that are mostly somewhere in RAM, and mostly not in the tables. */
static uint64_t random_value(void)
{
    switch (below(16)) {
    case 0:
        return rnd();
    case 1:
        return rnd() >> below(64);
    case 2:
        return below(64);
    case 3: /* a selector */
        return below(2 * SPARE_END) & (one_in(8) ? ~0u : ~4u);
    case 4: /* the ends of what is there */
        return (one_in(2) ? RAM_BYTES : ROM_AT + ROM_BYTES) - below(40);
    case 5: /* canonical, only just or not */
        return (one_in(2) ? UINT64_C(0x800000000000) : UINT64_C(0xffff800000000000)) + below(32) -
               16;
    case 6:
        return (one_in(2) ? MMIO_AT : ROM_AT) + below(MMIO_BYTES);
    case 7: /* the tables themselves */
        return below(RIG_FREE);
    default:
        return 0x40000 + below(0x3f000);
    }
}

/* --- code --- */

/* Instructions of the current mode one after the other, most of them harmless. */
static void random_code(gpa_t at, unsigned bytes)
{
    uint8_t code[1024];
    unsigned n = 0;
    while (n < bytes) {
        struct insn u;
        for (unsigned i = 0; i < 15; i++)
            code[n + i] = one_in(4) ? (uint8_t)random_value() : (uint8_t)fuzz_take(1);
        if (one_in(3))
            code[n] = 0x0f;
        const enum decode_status st = decode(&u, code + n, 15, rig.cpu->mode, &rig.cpu->feat, 0);
        if (st != DECODE_OK && !one_in(50))
            continue;
        const struct op_info *op = &op_info[st == DECODE_OK ? u.op : OP_UD];
        if ((op->attr & OA_FAULT) && !one_in(12))
            continue;
        n += st == DECODE_OK ? u.len : 2;
    }
    memcpy(rig_at(&rig, at), code, bytes);
}

/* --- descriptors --- */

static const uint8_t data_types[] = {ATTR_RW, 0, ATTR_EC | ATTR_RW, ATTR_EC};
static const uint8_t code_types[] = {ATTR_CODE | ATTR_RW, ATTR_CODE, ATTR_CODE | ATTR_EC | ATTR_RW,
                                     ATTR_CODE | ATTR_EC};

static uint32_t random_limit(void)
{
    static const uint32_t likely_limits[] = {0xffff, 0xffffffff, 0x7ffff, 0, 0xfff};
    return one_in(2) ? likely_limits[below(ARRAY_SIZE(likely_limits))] : below(0x80000);
}

static void random_descriptor(gpa_t at)
{
    static const uint8_t gates[] = {TYPE_CALL16, TYPE_TASK_GATE, TYPE_CALL32, TYPE_INT32};
    static const uint8_t systems[] = {TYPE_TSS16, TYPE_LDT, TYPE_TSS16_BUSY, TYPE_TSS32,
                                      TYPE_TSS32_BUSY};
    uint32_t attr = (uint32_t)below(4) << ATTR_DPL_SHIFT | (one_in(8) ? 0 : ATTR_P);
    const unsigned kind = below(5);
    uint64_t v;
    if (kind == 4) { /* anything at all */
        st64(rig_at(&rig, at), rnd());
        return;
    }
    if (kind == 3) {
        const uint64_t offset = CODE + below(0x200);
        const uint64_t sel = below(SPARE_END);
        v = (offset & 0xffff) | sel << 16 | (offset >> 16) << 48 |
            (uint64_t)(attr | gates[below(ARRAY_SIZE(gates))]) << 40 | (uint64_t)below(32) << 32;
        st64(rig_at(&rig, at), v);
        return;
    }
    if (kind == 2)
        attr |= systems[below(ARRAY_SIZE(systems))];
    else if (kind == 1)
        attr |= ATTR_S | code_types[below(4)] | (one_in(2) ? ATTR_DB : one_in(2) ? ATTR_L : 0);
    else
        attr |= ATTR_S | data_types[below(4)] | (one_in(2) ? ATTR_DB : 0);
    uint32_t limit = random_limit();
    if (limit > 0xfffff) {
        attr |= ATTR_G;
        limit >>= 12;
    }
    const uint32_t base = one_in(2) ? 0 : below(0x80000);
    v = (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)attr << 40 |
        (uint64_t)(limit >> 16) << 48 | (uint64_t)(base >> 24) << 56;
    st64(rig_at(&rig, at), v);
}

static void random_tables(void)
{
    struct cpu *cpu = rig.cpu;
    for (unsigned sel = SEL_SPARE; sel < SPARE_END; sel += 8)
        random_descriptor(RIG_GDT + sel);
    for (unsigned i = 0; i < 16; i++)
        random_descriptor(LDT_AT + 8 * i);
    if (cpu_prot(cpu) && one_in(2))
        cpu->seg[SEG_LDTR] = (struct segment){
            .base = LDT_AT, .limit = 0x7f, .sel = SEL_SPARE, .attr = ATTR_P | TYPE_LDT};
    if (one_in(4))
        cpu->gdtr.limit = (uint16_t)below(0x200);
    if (one_in(8))
        cpu->idtr.limit = (uint16_t)below(0x400);
    for (unsigned v = 0; v < 256; v++) {
        if (!one_in(24))
            continue;
        uint8_t *e = rig_at(&rig, cpu->idtr.base + v * (cpu_long(cpu) ? 16 : 8));
        switch (below(4)) {
        case 0:
            st16(e + 2, (uint16_t)below(SPARE_END));
            break;
        case 1:
            e[5] = (uint8_t)rnd();
            break;
        case 2:
            e[4] = (uint8_t)below(8); /* IST */
            break;
        default:
            st16(e, (uint16_t)random_value());
            break;
        }
    }
    if (cpu_prot(cpu) && one_in(3)) { /* stacks and the I/O bitmap */
        cpu->seg[SEG_TR].limit = 0x67 + below(0x1000);
        for (unsigned i = 4; i < 0x68; i += 4)
            if (one_in(8))
                st32(rig_at(&rig, RIG_TSS + i), (uint32_t)random_value());
        st16(rig_at(&rig, RIG_TSS + 0x66), (uint16_t)(0x68 + below(0x400)));
        for (unsigned i = 0x68; i < 0x1000; i++)
            *rig_at(&rig, RIG_TSS + i) = (uint8_t)(one_in(2) ? 0 : rnd());
    }
}

/* --- segments --- */

static void random_segment(unsigned s)
{
    struct cpu *cpu = rig.cpu;
    struct segment *g = &cpu->seg[s];
    if (cpu_vm86(cpu))
        return;
    g->base = one_in(2) ? 0 : below(0x40000) & ~15u;
    g->limit = random_limit();
    if (g->limit > 0xfffff)
        g->attr |= ATTR_G;
    if (!cpu_prot(cpu) || s == SEG_CS || (g->attr & ATTR_NULL))
        return;
    if (s == SEG_SS) {
        if (one_in(8))
            g->attr |= ATTR_EC;
    } else {
        g->attr &= ~(uint32_t)ATTR_TYPE;
        g->attr |= one_in(4) ? code_types[below(2) * 2] : data_types[below(4)];
    }
    g->attr ^= one_in(4) ? ATTR_DB : 0;
    if (cpu_long(cpu) && (s == SEG_FS || s == SEG_GS))
        g->base = (uint64_t)sign_extend(random_value(), 48);
}

/* --- paging --- */

static void paging_32bit(void)
{
    for (unsigned i = 0; i < 1024; i++) {
        st32(rig_at(&rig, RIG_TABLES + 4 * i), 0);
        st32(rig_at(&rig, RIG_TABLES + PAGE_SIZE + 4 * i), i << 12 | RIG_P | RIG_W | RIG_U);
    }
    st32(rig_at(&rig, RIG_TABLES), (RIG_TABLES + PAGE_SIZE) | RIG_P | RIG_W | RIG_U);
    st32(rig_at(&rig, RIG_TABLES + 4), 0x80 | RIG_P | RIG_W | RIG_U); /* 4 MiB, if PSE says so */
    rig.cpu->cr3 = RIG_TABLES;
}

static void paging_pae(void)
{
    const gpa_t pd = RIG_TABLES + PAGE_SIZE, pt = RIG_TABLES + 2 * PAGE_SIZE;
    memset(rig_at(&rig, RIG_TABLES), 0, 2 * PAGE_SIZE);
    st64(rig_at(&rig, RIG_TABLES), pd | RIG_P);
    st64(rig_at(&rig, pd), pt | RIG_P | RIG_W | RIG_U);
    st64(rig_at(&rig, pd + 8), 0x80 | RIG_P | RIG_W | RIG_U);
    for (unsigned i = 0; i < 512; i++)
        st64(rig_at(&rig, pt + 8 * i), i << 12 | RIG_P | RIG_W | RIG_U);
    rig.cpu->cr3 = RIG_TABLES;
    rig.cpu->cr4 |= CR4_PAE;
    rig.cpu->pdpte[0] = pd | RIG_P;
}

static void paging_5level(void)
{
    const gpa_t pml5 = RIG_TABLES_END - PAGE_SIZE;
    memset(rig_at(&rig, pml5), 0, PAGE_SIZE);
    st64(rig_at(&rig, pml5), RIG_TABLES | RIG_P | RIG_W | RIG_U);
    st64(rig_at(&rig, pml5 + 8 * 511), RIG_TABLES | RIG_P | RIG_W);
    rig.cpu->cr3 = pml5;
    rig.cpu->cr4 |= CR4_LA57;
}

/* Bits of entries that lie on the way to what is used. */
static void damage_paging(void)
{
    static const uint8_t telling[] = {0, 1, 2, 5, 6, 7, 8, 51, 52, 59, 62, 63};
    for (unsigned n = below(12); n; n--) {
        const gpa_t table =
            RIG_TABLES + below((RIG_TABLES_END - RIG_TABLES) / PAGE_SIZE / 4) * (gpa_t)PAGE_SIZE;
        uint8_t *e = rig_at(&rig, table + 8 * (one_in(2) ? below(4) : below(512)));
        if (one_in(8))
            st64(e, rnd());
        else
            st64(e, ld64(e) ^ BIT64(telling[below(ARRAY_SIZE(telling))]));
    }
}

/* --- modes --- */

static void mode_real(void)
{
    rig_real(&rig);
    rig.cpu->seg[SEG_CS].base = 0x48000;
}

static void mode_vm86(void)
{
    rig_prot(&rig, SEL_CODE32_USER, SEL_DATA_USER);
    rig.cpu->eflags |= FLAG_VM | (one_in(2) ? FLAG_IOPL : 0);
    for (unsigned s = SEG_ES; s <= SEG_GS; s++)
        segment_load_vm86(rig.cpu, s, (uint16_t)(s == SEG_CS ? CODE >> 4 : 0x4000 + below(0x4000)));
    if (one_in(2)) {
        paging_32bit();
        rig.cpu->cr0 |= CR0_PG;
    }
}

static void mode_prot(uint16_t code, uint16_t data)
{
    rig_prot(&rig, code, data);
    switch (below(3)) {
    case 0:
        paging_32bit();
        rig.cpu->cr0 |= CR0_PG;
        break;
    case 1:
        paging_pae();
        rig.cpu->cr0 |= CR0_PG;
        break;
    default:
        break;
    }
}

static void mode_long(uint16_t code, uint16_t data)
{
    rig_long(&rig, code, data);
    const bool user = code & 3;
    for (gla_t at = 0x40000; at < MMIO_AT + MMIO_BYTES; at += PAGE_SIZE)
        if (user || one_in(4))
            rig_map(&rig, at, at,
                    RIG_P | (user || one_in(4) ? RIG_U : 0) | (one_in(16) ? 0 : RIG_W));
    if (one_in(4))
        paging_5level();
}

/* SS a stack of the level of CS that MOV SS would have loaded: for code at CPL 1 and 2. */
static void mode_inner(void)
{
    const unsigned cpl = 1 + below(2);
    mode_prot(SEL_CODE32, SEL_DATA);
    rig.cpu->cpl = (uint8_t)cpl;
    for (unsigned s = SEG_ES; s <= SEG_GS; s++) {
        struct segment *g = &rig.cpu->seg[s];
        g->attr = (g->attr & ~(uint32_t)ATTR_DPL) | cpl << ATTR_DPL_SHIFT;
        g->sel = (uint16_t)(g->sel | cpl);
    }
}

static void random_mode(void)
{
    switch (below(12)) {
    case 0:
    case 1:
        mode_real();
        break;
    case 2:
        mode_vm86();
        break;
    case 3:
        mode_prot(SEL_CODE16, SEL_DATA16);
        rig.cpu->seg[SEG_CS].base = 0x48000;
        break;
    case 4:
    case 5:
        mode_prot(SEL_CODE32, SEL_DATA);
        break;
    case 6:
        mode_prot(SEL_CODE32_USER, SEL_DATA_USER);
        break;
    case 7:
        mode_inner();
        break;
    case 8:
        mode_long(SEL_CODE32_USER, SEL_DATA_USER);
        break;
    case 9:
        mode_long(SEL_CODE64_USER, SEL_DATA_USER);
        break;
    default:
        mode_long(SEL_CODE64, SEL_DATA);
        break;
    }
}

/* --- registers --- */

/* With the CPU's own checks; false: it does not take that value. */
static bool legally(void (*write)(struct cpu *cpu, uint64_t v), uint64_t v)
{
    rig.cpu->cur = NULL;
    if (setjmp(rig.cpu->unwind))
        return false;
    write(rig.cpu, v);
    return true;
}

static bool legal_msr(uint32_t msr, uint64_t v)
{
    rig.cpu->cur = NULL;
    return !setjmp(rig.cpu->unwind) && msr_write(rig.cpu, msr, v);
}

static void random_control(void)
{
    static const uint8_t cr0_bits[] = {1, 2, 3, 5, 16, 18, 30};
    struct cpu *cpu = rig.cpu;
    for (unsigned n = below(4); n; n--)
        legally(cr0_write, cpu->cr0 ^ BIT64(cr0_bits[below(ARRAY_SIZE(cr0_bits))]));
    for (unsigned n = below(6); n; n--) {
        const unsigned bit = below(26);
        if (BIT64(bit) != CR4_PAE)
            legally(cr4_write, cpu->cr4 ^ BIT64(bit));
    }
    cpu->cr4 |= one_in(8) ? 0 : CR4_OSFXSR | CR4_OSXMMEXCPT;
    cpu->xcr0 = XCR0_X87;
    if (cpu->cr4 & CR4_OSXSAVE)
        cpu->xcr0 |= one_in(4) ? 0 : one_in(3) ? XCR0_SSE : XCR0_SSE | XCR0_AVX;
    cpu->cr2 = rnd();
}

static void random_msrs(void)
{
    static const uint32_t msrs[] = {0x10,       0x1b,       0x3b,       0x48,       0x174,
                                    0x175,      0x176,      0x17a,      0x1a0,      0x1d9,
                                    0x200,      0x201,      0x250,      0x268,      0x277,
                                    0x2ff,      0x400,      0x401,      0x6e0,      0xda0,
                                    0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084,
                                    0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103};
    if (one_in(2)) { /* as an operating system has them */
        legal_msr(0xc0000081, (uint64_t)SEL_CODE64 << 32 | (uint64_t)SEL_CODE32_USER << 48);
        legal_msr(0xc0000082, CODE + below(64));
        legal_msr(0xc0000083, CODE + below(64));
        legal_msr(0x174, SEL_CODE64);
        legal_msr(0x175, 0x70000);
        legal_msr(0x176, CODE + below(64));
    }
    for (unsigned n = below(6); n; n--)
        legal_msr(msrs[below(ARRAY_SIZE(msrs))], one_in(2) ? random_value() : rnd() & rnd());
    if (rig.cpu->efer & EFER_LMA) /* write_efer() may have turned LME on, for a later mode */
        assert_true(rig.cpu->efer & EFER_LME);
    if (one_in(4))
        rig.cpu->pkru = (uint32_t)rnd();
}

static void random_debug(void)
{
    struct cpu *cpu = rig.cpu;
    if (!one_in(6))
        return;
    for (unsigned i = 0; i < 4; i++)
        cpu->dr[i] = one_in(2) ? CODE + below(64) : random_value();
    cpu->dr7 = 0x400 | (rnd() & 0xffff03ff) | (one_in(16) ? BIT(13) : 0);
    cpu->dr6 = 0xffff0ff0 | (rnd() & 0xe00f);
}

static void random_fpu(void)
{
    struct cpu *cpu = rig.cpu;
    for (unsigned i = 0; i < 32; i++)
        for (unsigned k = 0; k < 8; k++)
            cpu->zmm[i].q[k] = i < 16 && k < (cpu->xcr0 & XCR0_AVX ? 4 : 2) ? rnd() : 0;
    for (unsigned i = 0; i < 8; i++) {
        cpu->fpu.r[i].mant = rnd() | (one_in(4) ? 0 : BIT64(63));
        cpu->fpu.r[i].sexp = (uint16_t)(one_in(2) ? rnd() : 0x3ff0 + below(32));
    }
    cpu->fpu.cw = one_in(2) ? 0x37f : (uint16_t)((rnd() & 0xf3f) | 0x40);
    cpu->fpu.used = (uint8_t)rnd();
    cpu->fpu.sw = one_in(2) ? 0 : (uint16_t)(rnd() & 0x7f7f);
    if (cpu->fpu.sw & ~cpu->fpu.cw & 0x3f)
        cpu->fpu.sw |= 0x8080;
    cpu->mxcsr = one_in(2) ? MXCSR_INIT : (uint32_t)rnd() & 0xffff;
}

static void random_registers(void)
{
    struct cpu *cpu = rig.cpu;
    uint64_t flags = (rnd() & (FLAGS_ARITH | FLAG_DF | FLAG_IF)) | FLAG_1 | cpu->eflags;
    if (one_in(4))
        flags |= rnd() & (FLAG_NT | FLAG_AC | FLAG_VIF | FLAG_VIP | FLAG_ID | FLAG_RF | FLAG_IOPL);
    if (one_in(10))
        flags |= FLAG_TF;
    cpu_set_rflags(cpu, flags);
    cpu_update_mode(cpu);
    for (unsigned i = 0; i < 16; i++) {
        const uint64_t v = random_value();
        cpu->r[i] = cpu_code64(cpu) ? v : i < 8 || cpu_long(cpu) ? (uint32_t)v : 0;
    }
    cpu->rip = cpu_code64(cpu) ? CODE : (uint32_t)(CODE - cpu->seg[SEG_CS].base);
    cpu->r[REG_RSP] = (cpu_vm86(cpu) || !cpu_prot(cpu) ? 0x7000 : 0x70000) + below(0x1000);
}

/* Handlers that go on one byte behind what faulted, so that a case does not end there. */
static void skip_handlers(void)
{
    static const uint8_t real[] = {0x55, 0x89, 0xe5, 0xff, 0x46, 0x02, 0x5d, 0xcf};
    static const uint8_t prot[] = {0x83, 0xc4, 0x04, 0xff, 0x04, 0x24, 0xcf};
    static const uint8_t longs[] = {0x48, 0x83, 0xc4, 0x08, 0x48, 0xff, 0x04, 0x24, 0x48, 0xcf};
    for (unsigned v = 0; v < 256; v++) {
        uint8_t *p = rig_at(&rig, RIG_HANDLERS + v * 16);
        const bool error = rig_has_error((int)v);
        if (!cpu_prot(rig.cpu))
            memcpy(p, real, sizeof real);
        else if (cpu_long(rig.cpu))
            memcpy(p, longs + (error ? 0 : 4), sizeof longs - (error ? 0 : 4));
        else
            memcpy(p, prot + (error ? 0 : 3), sizeof prot - (error ? 0 : 3));
    }
}

static void random_memory(void)
{
    const uint64_t seed = rnd() | 1;
    for (gpa_t at = 0x40000; at < RAM_BYTES; at += 8)
        st64(rig_at(&rig, at), at & 0xf000 ? mixed(at ^ seed) : at & 0x3f8 ? at : random_value());
    for (unsigned i = 0; i < ROM_BYTES; i += 8)
        st64(ram_host(&rig.ram, rom.ram) + i, mixed(i ^ seed));
    if (!one_in(4))
        skip_handlers();
    for (unsigned v = 0; v < 32; v++)
        if (one_in(16))
            random_code(RIG_HANDLERS + v * 16, 16);
    random_code(CODE, 256);
    random_code(CODE + 0xf80, 256); /* across a page */
}

static void random_machine(void)
{
    struct cpu *cpu = rig.cpu;
    cpu_reset(cpu, false);
    cpu_set_intr(cpu, 0, 0);
    memmap_set_a20(&rig.mem, true);
    memset(rig_at(&rig, 0), 0, RIG_FREE);
    rig_tables(&rig);
    random_mode();
    cpu_loaded(cpu);
    random_tables();
    if (cpu->cr0 & CR0_PG && one_in(2))
        damage_paging();
    for (unsigned s = SEG_ES; s <= SEG_GS; s++)
        if (s == SEG_CS ? one_in(16) : one_in(3))
            random_segment(s);
    random_control();
    random_msrs();
    random_debug();
    random_fpu();
    random_registers();
    cpu->nmi_masked = one_in(8);
    cpu->shadow = one_in(16);
    cpu->shadow_ss = cpu->shadow && one_in(2);
    if (one_in(8))
        memmap_set_a20(&rig.mem, false);
    cpu_loaded(cpu);
    random_memory();
    ram_note_write(&rig.ram, rig.main.ram, RAM_BYTES);
    ram_note_write(&rig.ram, rom.ram, ROM_BYTES);
}

#endif
