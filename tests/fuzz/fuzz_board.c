/*
 * A guest that does anything: random accesses to every port and register of a whole board, random
 * time, media that come and go, interrupts that are accepted, states saved, damaged and loaded.
 * Nothing crashes or hangs (the sanitizers look on), a state that was saved and loaded has the hash
 * it had, and the same done twice comes to the same: once with the states loaded into the board
 * they came from, once into one that was reset in between, where a field that is not saved is
 * missing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "devices/lapic.h"
#include "devices/pic8259.h"
#include "devices/ps2_kbd.h"
#include "devices/ps2_mouse.h"
#include "devices/vga.h"
#include "machine_pc.h"
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RAM_BYTES   (8 * MiB)
#define DISK_BYTES  (2 * MiB)
#define DISC_BYTES  (600 * 2048)
#define FLOPPY_SIZE (1440 * KiB)
#define SEED_BYTES  8
#define FIRES_MAX   500 /* events one by one, then the rest of the time at once */

static struct {
    struct vm_config vm;
    struct log log;
    struct event_queue events;
    struct door door;
    struct host_loop loop;
    struct pc pc;
    int64_t now_ns;
    bool reset;
    char file[3][32]; /* disk, disc, floppy */
    uint16_t port[65536];
    unsigned ports;
    struct surface shown;
    struct chr *chr[4];
    unsigned chrs;
    bool fresh;   /* the board is reset before a state is loaded */
    uint64_t sum; /* of all that the guest was told */
} board;

/* --- the board --- */

static void make_file(char *path, const char *name, uint64_t bytes)
{
    snprintf(path, sizeof board.file[0], "/tmp/%s-XXXXXX", name);
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    close(fd);
}

static void add_drive(enum drive_if bus, int index, const char *file, bool cdrom)
{
    board.vm.drive[board.vm.drives++] = (struct config_drive){.bus = bus,
                                                              .index = index,
                                                              .file = file ? strdup(file) : NULL,
                                                              .cdrom = cdrom,
                                                              .snapshot = bus == DRIVE_FLOPPY,
                                                              .bootindex = -1};
}

static void no_line(void *opaque, const char *line)
{
    (void)opaque, (void)line;
}

static uint64_t icount(void *opaque)
{
    (void)opaque;
    return (uint64_t)board.now_ns;
}

static void on_reset(void *opaque)
{
    (void)opaque;
    board.reset = true;
}
static void on_power_off(void *opaque)
{
    (void)opaque;
}
static void on_exit_port(void *opaque, uint32_t value)
{
    (void)opaque, (void)value;
}
static bool on_debug_stop(void *opaque, int why, gla_t at)
{
    (void)opaque, (void)why, (void)at;
    return true;
}
static void on_milestone(void *opaque, enum cpu_milestone which)
{
    (void)opaque, (void)which;
}
static void on_pause(void *opaque)
{
    (void)opaque;
}
static void on_woken(void *opaque, unsigned cpu)
{
    (void)opaque, (void)cpu;
}
static struct chr *open_chr(void *opaque, const char *label, const char *spec, struct error *err)
{
    (void)opaque;
    struct chr *chr = chr_open(label, spec, &board.loop, &board.door, &board.log, err);
    assert_true(board.chrs < ARRAY_SIZE(board.chr));
    board.chr[board.chrs++] = chr;
    return chr;
}

static void open_board(void)
{
    struct error err = {0};
    static char *const none[] = {"null", "null"};
    make_file(board.file[0], "board-disk", DISK_BYTES);
    make_file(board.file[1], "board-disc", DISC_BYTES);
    make_file(board.file[2], "board-floppy", FLOPPY_SIZE);
    vm_config_init(&board.vm);
    board.vm.ram_bytes = RAM_BYTES;
    board.vm.smp = board.vm.topology.sockets = 2;
    board.vm.cpu = strdup("max");
    board.vm.data_dir[board.vm.data_dirs++] = strdup(FUZZ_ROMS);
    board.vm.vga = strdup("std");
    board.vm.icount = true;
    board.vm.parallel = strdup(none[0]);
    board.vm.debugcon = strdup(none[0]);
    board.vm.serial[board.vm.serials++] = strdup(none[0]);
    board.vm.serial[board.vm.serials++] = strdup(none[1]);
    board.vm.device[board.vm.devices++] = (struct config_device){.name = strdup("isa-debug-exit")};
    board.vm.device[board.vm.devices++] = (struct config_device){.name = strdup("pc-testdev")};
    add_drive(DRIVE_IDE, 0, board.file[0], false);
    add_drive(DRIVE_IDE, 1, NULL, true);
    add_drive(DRIVE_IDE, 2, board.file[1], true);
    add_drive(DRIVE_FLOPPY, 0, board.file[2], false);
    log_init(&board.log, no_line, NULL);
    event_queue_init_stepped(&board.events, &board.now_ns);
    door_init(&board.door, true, 1);
    board.door.icount = icount;
    assert_true(host_loop_create(&board.loop, &err));
    const struct pc_config cfg = {
        .vm = &board.vm,
        .events = &board.events,
        .door = &board.door,
        .log = &board.log,
        .loop = &board.loop,
        .signals = {.reset = on_reset,
                    .power_off = on_power_off,
                    .debug_exit = on_exit_port,
                    .debug_stop = on_debug_stop,
                    .milestone = on_milestone,
                    .cpu_pause = on_pause,
                    .cpu_woken = on_woken,
                    .open_chr = open_chr},
    };
    if (!pc_create(&board.pc, &cfg, &err))
        fail_msg("%s", err.msg);
}

static void close_board(void)
{
    struct error err = {0};
    assert_true(pc_destroy(&board.pc, &err));
    for (unsigned i = 0; i < board.chrs; i++)
        chr_close(board.chr[i]);
    host_loop_poll(&board.loop);
    host_loop_destroy(&board.loop);
    surface_free(&board.shown);
    vm_config_free(&board.vm);
    for (unsigned i = 0; i < ARRAY_SIZE(board.file); i++)
        unlink(board.file[i]);
}

/* --- values --- */

/* Opcodes and register values that lead somewhere; by the port's place on the board. */
static uint8_t telling_byte(uint16_t port)
{
    static const uint8_t ata[] = {0x20, 0x24, 0x25, 0x30, 0x34, 0x35, 0x3D, 0x40,
                                  0x90, 0xA0, 0xA0, 0xA0, 0xA1, 0xC4, 0xC5, 0xC6,
                                  0xC8, 0xCA, 0xE7, 0xEC, 0xEF, 0x08, 0x91, 0x00};
    static const uint8_t fdc[] = {0x46, 0xE6, 0x45, 0xC5, 0x42, 0x4A, 0x4D, 0x07, 0x08,
                                  0x0F, 0x03, 0x04, 0x13, 0x4C, 0x49, 0x56, 0x51, 0x59,
                                  0x5D, 0x8F, 0xCF, 0x0E, 0x10, 0x94, 0x14, 0x12};
    switch (port) {
    case 0x1F7:
    case 0x177:
        return ata[below(ARRAY_SIZE(ata))];
    case 0x1F6:
    case 0x176:
        return (uint8_t)(0xE0 | below(2) << 4);
    case 0x3F6:
    case 0x376:
        return one_in(4) ? 4 : one_in(4) ? 2 : 0;
    case 0x3F2:
        return one_in(8) ? (uint8_t)rnd() : 0x1C;
    case 0x3F5:
        return one_in(2) ? fdc[below(ARRAY_SIZE(fdc))] : (uint8_t)below(20);
    default:
        return (uint8_t)(one_in(2) ? below(16) : BIT(below(8)));
    }
}

static uint64_t value_for(uint16_t port)
{
    switch (below(4)) {
    case 0:
        return rnd();
    case 1:
        return rnd() & rnd() & rnd();
    default:
        return telling_byte(port);
    }
}

static unsigned access_bytes(void)
{
    return one_in(3) ? BIT(below(3)) : 1;
}

/* --- what is done --- */

static void list_ports(void)
{
    board.ports = 0;
    for (unsigned p = 0; p < 65536; p++)
        if (board.pc.io.port[p])
            board.port[board.ports++] = (uint16_t)p;
}

/* The drives and DMA more often than their share of the ports is. */
static uint16_t some_port(void)
{
    static const uint16_t busy[] = {0x1F0, 0x1F2, 0x1F3, 0x1F4, 0x1F5, 0x1F6, 0x1F7, 0x170, 0x172,
                                    0x174, 0x175, 0x176, 0x177, 0x3F6, 0x376, 0x3F2, 0x3F4, 0x3F5,
                                    0x3F7, 0x004, 0x005, 0x00A, 0x00B, 0x00C, 0x081, 0xCF8, 0xCFC,
                                    0x43,  0x40,  0x42,  0x61,  0x3D4, 0x3D5, 0x1CE, 0x1CF, 0x3C4};
    if (one_in(64))
        return (uint16_t)rnd();
    return one_in(2) ? busy[below(ARRAY_SIZE(busy))] : board.port[below(board.ports)];
}

static void told(uint64_t value)
{
    board.sum = (board.sum ^ value) * UINT64_C(0x100000001b3);
}

static void told_bytes(const uint8_t *buf, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        told(buf[i]);
}

static void touch_port(void)
{
    const uint16_t port = some_port();
    uint8_t buf[512];
    const unsigned size = access_bytes();
    if (one_in(16) && size > 1) {
        const unsigned count = 1 + below((unsigned)sizeof buf / size);
        memset(buf, (int)below(256), sizeof buf);
        if (one_in(2))
            iomap_read_bulk(&board.pc.io, port, size, buf, count);
        else
            iomap_write_bulk(&board.pc.io, port, size, buf, count);
        told_bytes(buf, count * size);
    } else if (one_in(2)) {
        told(iomap_read(&board.pc.io, port, size));
    } else {
        iomap_write(&board.pc.io, port, (uint32_t)value_for(port), size);
    }
}

/* Devices in memory: a piece of a view at random, then a place in its first registers mostly. */
static void touch_memory(void)
{
    const bool write = one_in(2);
    const struct mem_range *r = NULL;
    for (unsigned i = 0; i < 64 && (!r || !r->region || r->region->kind != MEM_IO); i++)
        r = &board.pc.mem.view[write][below((unsigned)board.pc.mem.view_len[write])];
    const unsigned size = BIT(below(4));
    const uint64_t len = r->end - r->start;
    const uint64_t within = one_in(2) ? MIN(len, 0x400) : len;
    const uint64_t offset = rnd() % within & ~(uint64_t)(size - 1);
    board.pc.apics.current = board.pc.cpu[below(2)].lapic;
    if (write)
        memmap_write(&board.pc.mem, r->start + offset, value_for(0), size);
    else
        told(memmap_read(&board.pc.mem, r->start + offset, size));
}

/* What waits for the packet of a CD-ROM drive gets one. */
static void send_packet(void)
{
    static const uint8_t opcodes[] = {0x00, 0x03, 0x12, 0x1A, 0x1B, 0x1E, 0x25, 0x28, 0x28,
                                      0xA8, 0x2B, 0x42, 0x43, 0x44, 0x46, 0x4A, 0x51, 0x52,
                                      0x5A, 0xA0, 0xAD, 0xB9, 0xBB, 0xBD, 0xBE};
    const uint16_t base = one_in(2) ? 0x170 : 0x1F0;
    uint8_t cdb[12] = {opcodes[below(ARRAY_SIZE(opcodes))]};
    for (unsigned i = 1; i < 12; i++)
        cdb[i] = one_in(3) ? (uint8_t)rnd() : (uint8_t)(below(4) & below(4));
    if (cdb[0] == 0xBE || cdb[0] == 0xB9)
        cdb[9] = (uint8_t)(one_in(2) ? 0x10 : 0xF8);
    if (!one_in(4)) {
        iomap_write(&board.pc.io, (uint16_t)(base + 6), base == 0x170 ? 0xA0 : 0xB0, 1);
        iomap_write(&board.pc.io, (uint16_t)(base + 1), below(2), 1);
        iomap_write(&board.pc.io, (uint16_t)(base + 7), 0xA0, 1);
    }
    iomap_write_bulk(&board.pc.io, base, 2, cdb, 6);
}

static void pass_time(void)
{
    const uint64_t longest = BIT64(8 + below(24));
    const int64_t until = board.now_ns + (int64_t)(rnd() % longest);
    for (unsigned i = 0; i < FIRES_MAX && event_next_due(&board.events) <= until; i++) {
        board.now_ns = MAX(board.now_ns, event_next_due(&board.events));
        event_run(&board.events, board.now_ns);
    }
    board.now_ns = until;
    event_run(&board.events, until);
}

static void accept_interrupts(void)
{
    struct lapic *l = board.pc.cpu[below(2)].lapic;
    for (unsigned i = 0; i < 4 && lapic_pending(l); i++) {
        const int vector = lapic_accept(l);
        told((uint64_t)vector);
        if (vector == LAPIC_EXTINT)
            assert_in_range(pic8259_ack(board.pc.pic), 0, 255);
        else
            assert_in_range(vector, 0, 255);
    }
}

static void touch_lapic(void)
{
    struct lapic *l = board.pc.cpu[below(2)].lapic;
    uint64_t v = value_for(0);
    if (one_in(2))
        v ^= rnd() & rnd();
    switch (below(5)) {
    case 0:
        lapic_set_base(l, one_in(2) ? 0xFEE00000 | below(16) << 8 : v);
        break;
    case 1:
        lapic_set_tpr(l, below(16));
        break;
    case 2:
        lapic_set_tsc_deadline(l, v, board.now_ns + (int64_t)(v & 0xFFFFFF));
        break;
    case 3:
        lapic_msr(l, true, 0x800 + below(0x40), &v);
        break;
    default:
        lapic_msr(l, false, 0x800 + below(0x40), &v);
        told(v);
        break;
    }
}

/* Somebody at the machine: media, keys, the mouse, the NMI button. */
static void disturb(void)
{
    struct pc *pc = &board.pc;
    static const unsigned cds[] = {1, 2};
    struct error err = {0};
    const unsigned n = cds[below(2)];
    switch (below(6)) {
    case 0: {
        struct blk *disc = NULL;
        if (one_in(2))
            disc = pc_open_image(pc, pc->disk_cfg[n], board.file[1], NULL, &err);
        assert_true(blk_close(ide_change_disc(pc->ide, n, disc), &err));
        pc->disk[n] = disc;
        break;
    }
    case 1: {
        struct blk *disk = NULL;
        assert_true(blk_close(fdc_change_disk(pc->fdc, 0, NULL), &err));
        if (one_in(2))
            disk = pc_open_image(pc, pc->floppy_cfg[0], board.file[2], NULL, &err);
        fdc_change_disk(pc->fdc, 0, disk);
        pc->floppy[0] = disk;
        break;
    }
    case 2:
        ide_request_eject(pc->ide, n);
        break;
    case 3: {
        const bool down = one_in(2);
        ps2_kbd_key(pc->kbd, below(200), down);
        break;
    }
    case 4: {
        const int dx = (int)below(600) - 300, dy = (int)below(600) - 300, dz = (int)below(9) - 4;
        ps2_mouse_move(pc->mouse, dx, dy, dz, below(32));
        break;
    }
    default:
        pc_nmi_button(pc);
        break;
    }
}

static void look(void)
{
    static char text[16 * KiB];
    struct display_source *d = vga_display(board.pc.vga);
    struct line_set changed = {0};
    struct surface whole = {0};
    switch (below(3)) {
    case 0:
        d->render(d->opaque, &whole);
        surface_free(&whole);
        break;
    case 1:
        d->update(d->opaque, &board.shown, &changed);
        break;
    default:
        d->text(d->opaque, text, below(2) ? sizeof text : below(64));
        break;
    }
}

/* --- states --- */

static uint64_t hash(void)
{
    struct state s;
    state_init_hash(&s);
    device_state_all(&board.pc.devices, &s);
    return s.hash;
}

static bool load(const uint8_t *buf, size_t len)
{
    struct state s;
    state_init_load(&s, buf, len);
    memmap_begin(&board.pc.mem);
    device_state_all(&board.pc.devices, &s);
    memmap_end(&board.pc.mem);
    const bool ok = !s.err.msg[0];
    state_free(&s);
    return ok;
}

/*
 * Changes the values of some fields (core/state.c: sections of a name, version and length; fields
 * of a name, length and value); names and lengths would only be refused.
 */
static void damage(uint8_t *buf, size_t len)
{
    const unsigned one_of = 1 + below(400);
    for (size_t at = 0, end; at < len;) {
        at += 1u + buf[at] + 4;
        end = at + 8 + ld64(buf + at);
        for (at += 8; at < end;) {
            at += 1u + buf[at];
            const size_t n = ld64(buf + at);
            at += 8;
            if (n && one_in(one_of)) {
                const size_t hit = at + below((unsigned)n);
                buf[hit] = (uint8_t)value_for(0);
            }
            at += n;
        }
    }
}

/* As it is after power-on; but for its memory, which is saved apart from the devices. */
static void forget(void)
{
    static uint8_t kept[RAM_BYTES];
    uint8_t *ram = ram_host(&board.pc.ram, board.pc.ram_at);
    const bool asked = board.reset;
    memcpy(kept, ram, RAM_BYTES);
    pc_reset(&board.pc, RESET_POWER_ON);
    memcpy(ram, kept, RAM_BYTES);
    board.reset = asked;
}

/* Saved and loaded, the board is what it was. With damage, it is refused or goes on somehow. */
static void save_and_load(void)
{
    struct state s;
    pc_drain(&board.pc);
    const uint64_t before = hash();
    state_init_save(&s);
    device_state_all(&board.pc.devices, &s);
    assert_string_equal(s.err.msg, "");
    if (board.fresh)
        forget();
    if (!load(s.buf, s.len))
        fail_msg("a saved state is refused");
    if (hash() != before)
        fail_msg("a saved state has another hash when it is loaded");
    if (one_in(2)) {
        uint8_t *copy = malloc(s.len);
        memcpy(copy, s.buf, s.len);
        damage(copy, s.len);
        if (!load(copy, s.len) && !load(s.buf, s.len))
            fail_msg("a saved state is refused after a damaged one");
        free(copy);
    }
    state_free(&s);
}

static void reset(enum reset_kind kind)
{
    board.reset = false;
    pc_drain(&board.pc);
    pc_reset(&board.pc, kind);
}

static void step(void)
{
    const unsigned what = below(1000);
    if (what < 600)
        touch_port();
    else if (what < 750)
        touch_memory();
    else if (what < 800)
        send_packet();
    else if (what < 900)
        pass_time();
    else if (what < 950)
        accept_interrupts();
    else if (what < 975)
        touch_lapic();
    else if (what < 990)
        disturb();
    else if (what < 993)
        look();
    else if (what < 997)
        save_and_load();
    else if (what == 997)
        list_ports();
    if (board.reset)
        reset(RESET_HARD);
}

static struct {
    unsigned long cases, steps;
} seen;

/*
 * The devices and the guest's memory after what the input says: as many steps as it has bytes for
 * or, of one that is only a seed, as many as it says.
 */
static uint64_t outcome(const uint8_t *data, size_t len, bool fresh)
{
    board.fresh = fresh;
    board.sum = 0;
    fuzz_begin(data, len);
    board.now_ns = 0;
    board.chrs = board.ports = 0;
    board.reset = false;
    open_board();
    list_ports();
    const unsigned seeded = BIT(5 + below(12));
    unsigned steps = 0;
    while (len > SEED_BYTES ? fuzz_source.at < len : steps < seeded) {
        step();
        steps++;
    }
    pc_drain(&board.pc);
    uint64_t sum = hash() ^ board.sum;
    const uint8_t *ram = ram_host(&board.pc.ram, board.pc.ram_at);
    for (uint64_t i = 0; i < RAM_BYTES; i += 8)
        sum = (sum ^ ld64(ram + i)) * UINT64_C(0x100000001b3);
    reset(RESET_POWER_ON);
    close_board();
    seen.steps += steps;
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint64_t first = outcome(data, len, false);
    if (outcome(data, len, true) != first)
        fuzz_fail("%s",
                  outcome(data, len, false) == first
                      ? "after a reset and loading it goes on otherwise: the state is not all of it"
                      : "the same done twice comes to something else: the host shows through");
    seen.cases++;
    return 0;
}

static void summary(void)
{
    printf("%lu cases, each twice, %lu steps\n", seen.cases, seen.steps);
}

const struct fuzz_program fuzz_program = {.max_len = 8192, .seconds = 60, .summary = summary};
