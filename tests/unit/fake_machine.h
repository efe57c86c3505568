/*
 * A machine that does nothing but note what it was asked to, for tests of the watchers: it stands
 * in for machine.c at link time (all of machine.h is here, so that the real one stays out). Guest
 * memory is FAKE_RAM bytes, linear and physical alike.
 */
#ifndef VITRINE_TESTS_FAKE_MACHINE_H
#define VITRINE_TESTS_FAKE_MACHINE_H

#include "cpu/cpu.h"
#include "machine.h"

#include <stdio.h>

#define FAKE_RAM  0x20000
#define FAKE_CPUS 2

struct machine {
    struct cpu cpu[FAKE_CPUS];
    unsigned stop_cpu;
    struct vm_config cfg;
    struct log log;
    struct door door;
    struct host_loop loop;
    struct iomap io;
    struct memmap mem;
    struct device_list devices;
    struct machine_listener *listener;
    uint8_t ram[FAKE_RAM];
    struct display_source *display;
    struct gdbstub *gdb;
    bool running;
    enum stop_reason reason;
    gla_t watch_hit;
    char asked[4096]; /* what happened, a word each */
};

static struct machine fake;

static __attribute__((format(printf, 1, 2))) void fake_note(const char *fmt, ...)
{
    const size_t n = strlen(fake.asked);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(fake.asked + n, sizeof fake.asked - n, fmt, ap);
    va_end(ap);
}

/* The machine stops, as by itself. */
static void fake_stop(enum stop_reason reason)
{
    fake.running = false;
    fake.reason = reason;
    if (fake.listener && fake.listener->stopped)
        fake.listener->stopped(fake.listener->opaque, reason);
}

static uint64_t fake_icount(void *opaque)
{
    (void)opaque;
    return 0;
}

static void fake_init(void)
{
    memset(&fake, 0, sizeof fake);
    door_init(&fake.door, true, 1);
    fake.door.icount = fake_icount;
    device_list_init(&fake.devices);
    fake.cfg.version = "1.2.3";
    fake.mem.a20_mask = ~UINT64_C(0);
    for (unsigned n = 0; n < FAKE_CPUS; n++) {
        struct cpu *cpu = &fake.cpu[n];
        cpu->index = cpu->apic_id = n;
        cpu->mem = &fake.mem;
        cpu->mode = MODE_CODE64;
        cpu->cr0 = CR0_PE | CR0_PG;
        cpu->cr4 = CR4_PAE;
        cpu->efer = EFER_LME | EFER_LMA | EFER_NXE;
        cpu->eflags = FLAG_1;
        cpu->feat.phys_bits = 40;
    }
    fake.running = true;
    for (size_t i = 0; i < FAKE_RAM; i++)
        fake.ram[i] = (uint8_t)(i * 7 + (i >> 8));
}

struct cpu *machine_cpu(struct machine *m, unsigned n)
{
    return n < FAKE_CPUS ? &m->cpu[n] : NULL;
}
unsigned machine_cpus(const struct machine *m)
{
    (void)m;
    return FAKE_CPUS;
}
struct memmap *machine_memmap(struct machine *m)
{
    return &m->mem;
}
struct iomap *machine_iomap(struct machine *m)
{
    return &m->io;
}
struct host_loop *machine_loop(struct machine *m)
{
    return &m->loop;
}
struct door *machine_door(struct machine *m)
{
    return &m->door;
}
struct log *machine_log(struct machine *m)
{
    return &m->log;
}
struct device_list *machine_devices(struct machine *m)
{
    return &m->devices;
}
struct pci_bus *machine_pci(struct machine *m)
{
    (void)m;
    return NULL;
}
const struct vm_config *machine_config(const struct machine *m)
{
    return &m->cfg;
}
struct display_source *machine_display(struct machine *m)
{
    return m->display;
}
struct chr *machine_chr_open(struct machine *m, const char *label, const char *spec,
                             struct error *err)
{
    (void)m;
    fake_note("open(%s) ", spec);
    return strstr(spec, "bad") ? error_set(err, "%s: no such thing", spec),
           NULL                : chr_mem_create(label);
}
void machine_chr_close(struct machine *m, struct chr *chr)
{
    (void)m;
    fake_note("close ");
    chr_close(chr);
}
long machine_cpu_thread(const struct machine *m, unsigned n)
{
    (void)m;
    return 100 + n;
}
struct gdbstub **machine_gdb(struct machine *m)
{
    return &m->gdb;
}
int64_t machine_time_ns(struct machine *m)
{
    (void)m;
    return 5;
}
struct machine *machine_create(const struct vm_config *cfg, struct log *log, struct error *err)
{
    (void)cfg;
    (void)log;
    (void)err;
    return NULL;
}
bool machine_destroy(struct machine *m, struct error *err)
{
    (void)m;
    (void)err;
    return true;
}
enum machine_exit machine_run(struct machine *m)
{
    (void)m;
    return MACHINE_POWERED_OFF;
}
int machine_exit_status(const struct machine *m)
{
    (void)m;
    return 0;
}
void machine_stop(struct machine *m, enum stop_reason reason)
{
    (void)m;
    fake_note("stop ");
    if (fake.running)
        fake_stop(reason);
}
void machine_pause(struct machine *m)
{
    machine_stop(m, STOP_USER);
}
void machine_cont(struct machine *m)
{
    fake_note("cont ");
    m->running = true;
}
void machine_cont_alone(struct machine *m, struct cpu *cpu)
{
    fake_note("cont(%u) ", cpu->index);
    m->running = true;
}
struct cpu *machine_stop_cpu(struct machine *m)
{
    return &m->cpu[m->stop_cpu];
}
void machine_nmi(struct machine *m)
{
    (void)m;
    fake_note("nmi ");
}
bool machine_running(const struct machine *m)
{
    return m->running;
}
enum stop_reason machine_stop_reason(const struct machine *m)
{
    return m->reason;
}
void machine_quit(struct machine *m, enum machine_exit why, int status)
{
    (void)m;
    fake_note("quit(%d,%d) ", (int)why, status);
}
void machine_request_reset(struct machine *m)
{
    (void)m;
    fake_note("reset ");
}
void machine_reset_button(struct machine *m)
{
    machine_request_reset(m);
}
void machine_power_button(struct machine *m)
{
    (void)m;
    fake_note("power ");
}
void machine_guest_shutdown(struct machine *m)
{
    (void)m;
}
void machine_listen(struct machine *m, struct machine_listener *l)
{
    m->listener = l;
}
void machine_unlisten(struct machine *m, struct machine_listener *l)
{
    if (m->listener == l)
        m->listener = NULL;
}
bool machine_send_key(struct machine *m, const char *qcode, bool down)
{
    (void)m;
    fake_note("%s%s ", down ? "+" : "-", qcode);
    return true;
}
void machine_mouse_move(struct machine *m, int dx, int dy, int dz)
{
    (void)m;
    fake_note("move(%d,%d,%d) ", dx, dy, dz);
}
void machine_mouse_buttons(struct machine *m, unsigned buttons)
{
    (void)m;
    fake_note("buttons(%u) ", buttons);
}
const char *machine_key_nearest(struct machine *m, const char *qcode)
{
    static const char *const keys[] = {"a", "ctrl", "alt", "delete", "ret", "minus"};
    (void)m;
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        if (strcmp(keys[i], qcode) == 0)
            return keys[i];
    }
    return strcmp(qcode, "crtl") == 0 ? "ctrl" : NULL;
}
/* A CD-ROM drive that may be empty, whose disc is "stuck" unless forced, and a disk. */
bool machine_drive(struct machine *m, unsigned n, struct machine_drive *drive)
{
    static const struct config_drive cfg[2] = {
        {.bus = DRIVE_IDE, .index = 2, .cdrom = true},
        {.bus = DRIVE_IDE, .index = 1, .snapshot = true},
    };
    (void)m;
    if (n >= 2)
        return false;
    *drive = (struct machine_drive){.cfg = &cfg[n], .file = n ? "disk.img" : NULL, .locked = !n};
    config_drive_name(&cfg[n], drive->name);
    return true;
}
bool machine_eject(struct machine *m, const char *name, bool force, struct error *err)
{
    (void)m;
    fake_note("eject(%s,%d) ", name, force);
    return force || error_set(err, "%s is stuck", name);
}
bool machine_change(struct machine *m, const char *name, const char *path, const char *format,
                    const char *readonly, bool force, struct error *err)
{
    (void)m;
    fake_note("change(%s,%s,%s,%s,%d) ", name, path, format ? format : "-",
              readonly ? readonly : "-", force);
    return !strstr(path, "bad") || error_set(err, "%s: no such thing", path);
}
static size_t fake_span(uint64_t at, size_t len)
{
    return at >= FAKE_RAM ? 0 : MIN(len, (size_t)(FAKE_RAM - at));
}
size_t machine_read_linear(struct machine *m, struct cpu *cpu, gla_t at, void *buf, size_t len)
{
    (void)cpu;
    len = fake_span(at, len);
    if (len)
        memcpy(buf, m->ram + at, len);
    return len;
}
size_t machine_write_linear(struct machine *m, struct cpu *cpu, gla_t at, const void *buf,
                            size_t len)
{
    (void)cpu;
    len = fake_span(at, len);
    if (len)
        memcpy(m->ram + at, buf, len);
    return len;
}
size_t machine_read_physical(struct machine *m, gpa_t at, void *buf, size_t len)
{
    fake_note("physical ");
    return machine_read_linear(m, NULL, at, buf, len);
}
size_t machine_write_physical(struct machine *m, gpa_t at, const void *buf, size_t len)
{
    fake_note("physical ");
    return machine_write_linear(m, NULL, at, buf, len);
}
uint32_t machine_read_port(struct machine *m, uint16_t port, unsigned size)
{
    (void)m;
    fake_note("read(%x,%u) ", port, size);
    return 0x12345678 & (uint32_t)((UINT64_C(1) << (8 * size)) - 1);
}
void machine_write_port(struct machine *m, uint16_t port, uint32_t value, unsigned size)
{
    (void)m;
    fake_note("write(%x,%x,%u) ", port, value, size);
}
bool machine_breakpoint(struct machine *m, gla_t at, bool insert)
{
    (void)m;
    fake_note("%sbreak(%llx) ", insert ? "+" : "-", (unsigned long long)at);
    return true;
}
bool machine_watchpoint(struct machine *m, gla_t at, uint64_t len, enum watch_kind kind,
                        bool insert)
{
    (void)m;
    fake_note("%swatch(%llx,%llu,%d) ", insert ? "+" : "-", (unsigned long long)at,
              (unsigned long long)len, (int)kind);
    return true;
}
gla_t machine_watch_hit(const struct machine *m)
{
    return m->watch_hit;
}
void machine_step(struct machine *m, struct cpu *cpu, bool alone)
{
    fake_note("step%s ", cpu->shadow ? "(quiet)" : "");
    if (cpu->index || alone)
        fake_note("%u%s ", cpu->index, alone ? "(alone)" : "");
    m->running = true;
    m->stop_cpu = cpu->index;
    cpu->rip++;
    fake_stop(STOP_STEP);
}
void machine_print_jit(struct machine *m, void (*line)(void *, const char *), void *opaque)
{
    (void)m;
    line(opaque, "executed in translated code 6");
}
void machine_print_stats(struct machine *m, void (*line)(void *, const char *), void *opaque)
{
    (void)m;
    line(opaque, "instructions 42");
}

/* What debug/ asks the CPU for. */
uint64_t cpu_get_rflags(const struct cpu *cpu)
{
    return cpu->eflags | FLAG_1;
}
void cpu_set_rflags(struct cpu *cpu, uint64_t v)
{
    cpu->eflags = (uint32_t)v;
}
void cpu_loaded(struct cpu *cpu)
{
    (void)cpu;
}

#endif
