/*
 * The schematic. Every address, interrupt and order is named here, once:
 *
 *   CPUs -- local APICs <- LINT0 - 8259 pair <- ISA lines 0-15 -> IOAPIC (0 on pin 2)
 *    |                  <- LINT1 - NMI button
 *   82441FX (00.0) --- PCI: 01.0 PIIX3 ISA bridge   01.1 IDE (irq 14, 15)   01.3 PIIX4 PM (irq 9)
 *    |                      02.0 VGA
 *   RAM, HPET          ISA: 8254 (irq 0, speaker), 8042 (irq 1, 12), COM1 (4), COM2 (3),
 *                           LPT1 (7), RTC (8), 82077AA (irq 6, DMA 2), 8237, port 92h, 80h,
 *                           E9h, 402h, fw_cfg 510h, isa-debug-exit, pc-testdev
 */
#include "machine_pc.h"

#include "bios/cmos.h"
#include "bios/tables.h"
#include "cpu/sys.h"
#include "devices/acpi_pm.h"
#include "devices/cmos_rtc.h"
#include "devices/debugport.h"
#include "devices/dma8237.h"
#include "devices/exitport.h"
#include "devices/fwcfg.h"
#include "devices/hpet.h"
#include "devices/i440fx.h"
#include "devices/i8042.h"
#include "devices/ioapic.h"
#include "devices/isa_irq.h"
#include "devices/lapic.h"
#include "devices/parallel.h"
#include "devices/pctest.h"
#include "devices/pic8259.h"
#include "devices/piix3.h"
#include "devices/pit8254.h"
#include "devices/port92.h"
#include "devices/post80.h"
#include "devices/ps2_kbd.h"
#include "devices/ps2_mouse.h"
#include "devices/speaker.h"
#include "devices/uart16550.h"
#include "devices/vga.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DEVFN(slot, fn)    ((slot) << 3 | (fn))
#define PAUSES_UNTIL_YIELD 4096

static const struct {
    uint16_t port;
    unsigned irq;
} com_ports[CONFIG_MAX_SERIAL] = {{0x3f8, 4}, {0x2f8, 3}, {0x3e8, 4}, {0x2e8, 3}};

/* --- wires that end in a function of this file --- */

static void set_a20(void *opaque, unsigned pin, int level)
{
    struct pc *pc = opaque;
    (void)pin;
    memmap_set_a20(&pc->mem, level);
}

static void set_reset(void *opaque, unsigned pin, int level)
{
    struct pc *pc = opaque;
    (void)pin;
    if (level)
        pc->cfg.signals.reset(pc->cfg.signals.opaque);
}

/* INIT# to the CPUs alone: port CF9h soft reset. */
static void set_cpu_init(void *opaque, unsigned pin, int level)
{
    struct pc *pc = opaque;
    for (unsigned n = 0; n < pc->cpus; n++) {
        if (level)
            lapic_init_pin(pc->cpu[n].lapic);
        cpu_set_init(pc->cpu[n].cpu, pin, level);
    }
}

/* INTR of the 8259 pair, and the NMI button, go to all: MP 1.4 §3.6.1 "APIC Architecture". */
static void set_lint(struct pc *pc, unsigned pin, int level)
{
    for (unsigned n = 0; n < pc->cpus; n++)
        lapic_set_lint(pc->cpu[n].lapic, pin, level);
}

static void set_lint0(void *opaque, unsigned pin, int level)
{
    (void)pin;
    set_lint(opaque, 0, level);
}

void pc_nmi_button(struct pc *pc)
{
    if (cmos_rtc_nmi_masked(pc->rtc))
        return;
    set_lint(pc, 1, 1);
    set_lint(pc, 1, 0);
}

static void set_power_off(void *opaque, unsigned pin, int level)
{
    struct pc *pc = opaque;
    (void)pin;
    if (level)
        pc->cfg.signals.power_off(pc->cfg.signals.opaque);
}

static void set_sipi(void *opaque, unsigned pin, int level)
{
    struct pc_cpu *c = opaque;
    (void)pin;
    if (level)
        cpu_set_sipi(c->cpu, (uint8_t)level);
}

void pc_select_cpu(struct pc *pc, unsigned n)
{
    pc->apics.current = pc->cpu[n].lapic;
}

/* --- what a CPU asks of the board; opaque is its struct pc_cpu --- */

/*
 * FERR# while CR0.NE is clear: IRQ 13, as every PC since the AT has it. It is the boot CPU's alone:
 * systems that use several set CR0.NE.
 */
static void ferr(void *opaque, int level)
{
    const struct pc_cpu *c = opaque;
    irq_set(&c->pc->irq13, level);
}

static int intr_ack(void *opaque)
{
    const struct pc_cpu *c = opaque;
    if (!lapic_pending(c->lapic))
        return -1;
    const int vector = lapic_accept(c->lapic);
    return vector == LAPIC_EXTINT ? pic8259_ack(c->pc->pic) : vector;
}

GENERAL_ONLY static uint64_t apic_base(void *opaque)
{
    const struct pc_cpu *c = opaque;
    return lapic_get_base(c->lapic);
}
static bool set_apic_base(void *opaque, uint64_t v)
{
    const struct pc_cpu *c = opaque;
    return lapic_set_base(c->lapic, v);
}
static bool x2apic_msr(void *opaque, bool write, uint32_t msr, uint64_t *v)
{
    const struct pc_cpu *c = opaque;
    return lapic_msr(c->lapic, write, msr, v);
}
static uint64_t tsc_deadline(void *opaque)
{
    const struct pc_cpu *c = opaque;
    return lapic_get_tsc_deadline(c->lapic);
}
static void set_tsc_deadline(void *opaque, uint64_t tsc, int64_t due_ns)
{
    const struct pc_cpu *c = opaque;
    lapic_set_tsc_deadline(c->lapic, tsc, due_ns);
}
static uint8_t cr8(void *opaque)
{
    const struct pc_cpu *c = opaque;
    return (uint8_t)lapic_get_tpr(c->lapic);
}
static void set_cr8(void *opaque, uint8_t v)
{
    const struct pc_cpu *c = opaque;
    lapic_set_tpr(c->lapic, v);
}
static void cpu_shutdown(void *opaque)
{
    const struct pc_signals *s = &((struct pc_cpu *)opaque)->pc->cfg.signals;
    s->reset(s->opaque);
}
static bool debug_stop(void *opaque, int why, gla_t at)
{
    const struct pc_signals *s = &((struct pc_cpu *)opaque)->pc->cfg.signals;
    return s->debug_stop(s->opaque, why, at);
}
static void verify_failed(void *opaque)
{
    const struct pc_signals *s = &((struct pc_cpu *)opaque)->pc->cfg.signals;
    s->verify_failed(s->opaque);
}
static void milestone(void *opaque, enum cpu_milestone which)
{
    const struct pc_signals *s = &((struct pc_cpu *)opaque)->pc->cfg.signals;
    s->milestone(s->opaque, which);
}
static void cpu_pause(void *opaque)
{
    const struct pc_signals *s = &((struct pc_cpu *)opaque)->pc->cfg.signals;
    s->cpu_pause(s->opaque);
}
/*
 * On a thread of its own: who is waited for may need this processor, when there are more threads
 * than processors. Not at every PAUSE, since most waits are short.
 */
static void give_way(void *opaque)
{
    struct pc_cpu *c = opaque;
    if (++c->pauses % PAUSES_UNTIL_YIELD == 0)
        sched_yield();
}
static void cpu_woken(void *opaque)
{
    const struct pc_cpu *c = opaque;
    const struct pc_signals *s = &c->pc->cfg.signals;
    s->cpu_woken(s->opaque, (unsigned)(c - c->pc->cpu));
}

/* --- parts --- */

static bool create_memory(struct pc *pc, struct error *err)
{
    const struct vm_config *vm = pc->cfg.vm;
    /* beside RAM: firmware, video memory, option ROMs, and room to align each */
    const uint64_t rest = ROM_BIOS_MAX_BYTES + VGA_VRAM_BYTES + 16 * MiB;
    if (!ram_create(&pc->ram, vm->ram_bytes + rest, err))
        return false;
    memmap_create(&pc->mem, &pc->ram, pc->cfg.log);
    if (!iomap_create(&pc->io, pc->cfg.log))
        return error_set(err, "out of memory");
    pc->mem.world = pc->io.world = pc->cfg.world;
    i440fx_split_ram(vm->ram_bytes, &pc->below_4g, &pc->above_4g);
    pc->ram_at = ram_alloc(&pc->ram, vm->ram_bytes);
    if (pc->ram_at == RAM_NONE)
        return error_set(err, "-m: no room for the guest's memory");
    if (!rom_load_bios(vm, &pc->ram, &pc->bios, err))
        return false;
    const char *vga_rom = vm->vga_rom ? vm->vga_rom : ROM_DEFAULT_VGA;
    if (!strcmp(vm->vga, "none") || !*vga_rom)
        return true;
    return rom_load_option(vm, vga_rom, &pc->ram, &pc->vga_rom, err);
}

/* CPU n. The boot CPU is told apart by what is its role on a PC: FERR#, and the boot's stages. */
static bool create_cpu(struct pc *pc, unsigned n, struct error *err)
{
    const bool boot = n == 0, several = pc->cfg.vm->smp > 1;
    struct pc_cpu *c = &pc->cpu[n];
    const struct cpu_config cfg = {
        .mem = &pc->mem,
        .io = &pc->io,
        .world = pc->cfg.world,
        .time = pc->cfg.events,
        .door = pc->cfg.door,
        .log = pc->cfg.log,
        .model = pc->cfg.vm->cpu,
        .index = n,
        .topology = pc->cfg.vm->topology,
        .jit_threshold =
            pc->cfg.vm->accel == ACCEL_JIT ? (unsigned)MAX(pc->cfg.vm->jit_threshold, 1) : 0,
        .no_shadow = !pc->cfg.vm->shadow,
        .jit_verify = pc->cfg.vm->jit_verify,
        .jit_no_chain = !pc->cfg.vm->jit_chain,
        .jit_no_indirect = !pc->cfg.vm->jit_indirect,
        .jit_no_find = !pc->cfg.vm->jit_find,
        .jit_no_fill = !pc->cfg.vm->jit_fill,
        .jit_no_share = !pc->cfg.vm->jit_share,
        .jit_no_x87 = !pc->cfg.vm->jit_x87,
        .jit_no_events = !pc->cfg.vm->jit_events,
        .jit_perfmap = pc->cfg.vm->jit_perfmap,
        .stats = pc->cfg.vm->stats,
        .tsc_hz = 1000000000,
        .hooks =
            {
                .intr_ack = intr_ack,
                .apic_base = apic_base,
                .set_apic_base = set_apic_base,
                .x2apic_msr = x2apic_msr,
                .tsc_deadline = tsc_deadline,
                .set_tsc_deadline = set_tsc_deadline,
                .cr8 = cr8,
                .set_cr8 = set_cr8,
                .shutdown = cpu_shutdown,
                .debug_stop = debug_stop,
                .verify_failed = verify_failed,
                .milestone = boot ? milestone : NULL,
                .ferr = boot ? ferr : NULL,
                .pause = pc->cfg.world ? give_way
                         : several     ? cpu_pause
                                       : NULL,
                .woken = several || pc->cfg.world ? cpu_woken : NULL,
                .opaque = c,
            },
    };
    c->pc = pc;
    c->cpu = cpu_create(&cfg, err);
    pc->cpus += c->cpu != NULL;
    return c->cpu != NULL;
}

static bool create_cpus(struct pc *pc, struct error *err)
{
    pc->cpu = calloc(pc->cfg.vm->smp, sizeof *pc->cpu);
    if (!pc->cpu)
        return error_set(err, "out of memory");
    for (unsigned n = 0; n < pc->cfg.vm->smp; n++)
        if (!create_cpu(pc, n, err))
            return false;
    return true;
}

/* A disk that no drive was made for is taken where that does no harm, and said. */
static bool check_floppy(struct pc *pc, const struct config_drive *d, const struct blk *blk,
                         struct error *err)
{
    enum floppy_type *type = &pc->floppy_type[d->index];
    const unsigned long long bytes = blk->size_bytes;
    bool exact;
    const struct floppy_format *format = floppy_format(bytes, *type, &exact);
    if (!format && *type == FLOPPY_NONE)
        return error_set(err, "%s: %llu bytes are more than a floppy disk holds", blk->path, bytes);
    if (!format)
        return error_set(err, "%s: a disk of %llu bytes does not fit a %s drive", blk->path, bytes,
                         floppy_type_name(*type));
    if (*type == FLOPPY_NONE)
        *type = floppy_home(format);
    if (!exact)
        log_line(pc->cfg.log, LOG_HOST,
                 "%s: %llu bytes are no floppy disk's size; taken as the beginning of one of %uK, "
                 "whose rest is zeros and cannot be written",
                 blk->path, bytes, format->sectors / 2u);
    return true;
}

struct blk *pc_open_image(struct pc *pc, const struct config_drive *d, const char *path,
                          const char *format, struct error *err)
{
    const struct blk_host host = {pc->cfg.loop, pc->cfg.events, pc->cfg.door, pc->cfg.log};
    const struct blk_options opt = {
        .path = path,
        .format = format,
        .readonly = d->readonly || d->cdrom,
        .snapshot = (d->snapshot || pc->cfg.vm->snapshot) && !d->cdrom,
        .unit_bytes = d->cdrom ? 2048 : BLK_SECTOR,
        .any_size = d->bus == DRIVE_FLOPPY,
    };
    struct blk *blk = blk_open(&opt, &host, err);
    if (blk && d->bus == DRIVE_FLOPPY && !check_floppy(pc, d, blk, err)) {
        blk_close(blk, NULL);
        return NULL;
    }
    return blk;
}

/* What an empty floppy drive is: the kind most disks and systems are for. */
static enum floppy_type asked_floppy(const struct config_drive *d)
{
    switch (d->floppy_kb) {
    case 1200:
        return FLOPPY_1200K;
    case 2880:
        return FLOPPY_2880K;
    case 1440:
        return FLOPPY_1440K;
    default:
        return d->file ? FLOPPY_NONE : FLOPPY_1440K; /* as the image wants it */
    }
}

static bool open_disks(struct pc *pc, struct error *err)
{
    const struct vm_config *vm = pc->cfg.vm;
    for (unsigned i = 0; i < vm->drives; i++) {
        const struct config_drive *d = &vm->drive[i];
        if (d->bus == DRIVE_NONE)
            continue;
        const bool floppy = d->bus == DRIVE_FLOPPY;
        if (floppy)
            pc->floppy_type[d->index] = asked_floppy(d);
        *(floppy ? &pc->floppy_cfg[d->index] : &pc->disk_cfg[d->index]) = d;
        if (!d->file)
            continue;
        struct blk *blk = pc_open_image(pc, d, d->file, d->format, err);
        if (!blk)
            return false;
        *(floppy ? &pc->floppy[d->index] : &pc->disk[d->index]) = blk;
    }
    return true;
}

/* A window has sound unless told otherwise, opened when there is something to hear. */
static bool open_audio(struct pc *pc, struct error *err)
{
    static const struct config_audio preset = {.driver = AUDIO_SDL, .rate_hz = CONFIG_AUDIO_HZ};
    const struct vm_config *vm = pc->cfg.vm;
    if (!vm->pcspk_audio) {
        struct error why = {0}; /* is said of the window too, if there can be none of both */
        if (vm->display == SHOW_SDL && !vm->audios)
            pc->audio = audio_sdl_open(&preset, false, pc->cfg.log, &why);
        return true;
    }
    const struct config_audio *a = config_audio_find(vm, vm->pcspk_audio);
    if (a->driver == AUDIO_NONE)
        return true;
    pc->audio =
        a->driver == AUDIO_WAV ? audio_wav_open(a, err) : audio_sdl_open(a, true, pc->cfg.log, err);
    return pc->audio != NULL;
}

static bool create_speaker(struct pc *pc, struct pit8254 *pit)
{
    if (!pc->audio)
        return true;
    struct speaker *speaker = speaker_create(pit, pc->cfg.events, pc->audio);
    if (speaker)
        device_add(&pc->devices, speaker_device(speaker));
    return speaker != NULL;
}

/* The date at power-on, as -rtc asks for it. */
static int64_t start_date(struct pc *pc, int64_t *ns)
{
    const struct vm_config *vm = pc->cfg.vm;
    *ns = 0;
    if (vm->rtc_set && vm->rtc_base == RTC_DATE)
        return vm->rtc_date;
    const int64_t now = door_date(pc->cfg.door, ns);
    if (vm->rtc_base != RTC_LOCALTIME)
        return now;
    if (pc->cfg.door->deterministic) { /* the host's zone is not */
        log_line(pc->cfg.log, LOG_HOST,
                 "-rtc base=localtime: with -icount the date is fixed, in UTC");
        return now;
    }
    const time_t t = (time_t)now;
    struct tm local;
    localtime_r(&t, &local);
    const int64_t ahead = local.tm_gmtoff;
    door_enter(pc->cfg.door, DOOR_DATE, &ahead, sizeof ahead);
    return now + ahead;
}

/* --- the buses --- */

static bool create_serial(struct pc *pc, struct isa_irq *isa, struct error *err)
{
    const struct vm_config *vm = pc->cfg.vm;
    for (unsigned i = 0; i < vm->serials; i++) {
        if (!vm->serial[i])
            continue;
        char label[24];
        snprintf(label, sizeof label, "serial%u", i);
        struct chr *chr =
            pc->cfg.signals.open_chr(pc->cfg.signals.opaque, label, vm->serial[i], err);
        if (!chr)
            return false;
        const struct irq_line irq = isa_irq_connect(isa, com_ports[i].irq);
        struct uart16550 *uart =
            uart16550_create(&pc->io, com_ports[i].port, pc->cfg.events, pc->cfg.log, &irq, chr);
        if (!uart)
            return error_set(err, "out of memory");
        device_add(&pc->devices, uart16550_device(uart));
    }
    return true;
}

static bool create_parallel(struct pc *pc, struct isa_irq *isa, struct error *err)
{
    const char *spec = pc->cfg.vm->parallel;
    if (!spec)
        return true;
    struct chr *chr = pc->cfg.signals.open_chr(pc->cfg.signals.opaque, "parallel0", spec, err);
    if (!chr)
        return false;
    const struct irq_line irq = isa_irq_connect(isa, 7);
    if (!parallel_create(&pc->devices, &pc->io, 0x378, &irq, chr))
        return error_set(err, "out of memory");
    return true;
}

static bool create_debug_port(struct pc *pc, uint16_t port, struct chr *chr)
{
    struct debugport *d = debugport_create(&pc->io, port, chr);
    if (d)
        device_add(&pc->devices, debugport_device(d));
    return d != NULL;
}

static bool open_chr(struct pc *pc, const char *label, const char *spec, struct chr **chr,
                     struct error *err)
{
    *chr = NULL;
    if (spec)
        *chr = pc->cfg.signals.open_chr(pc->cfg.signals.opaque, label, spec, err);
    return !spec || *chr;
}

static bool create_debug_ports(struct pc *pc, struct error *err)
{
    const struct vm_config *vm = pc->cfg.vm;
    const bool moved = vm->debugcon && vm->debugcon_port != 0xe9 && vm->debugcon_port != 0x402;
    struct chr *chr;
    if (!open_chr(pc, "debugcon", vm->debugcon, &chr, err))
        return false;
    struct post80 *post = post80_create(&pc->io, pc->cfg.log);
    if (post)
        device_add(&pc->devices, post80_device(post));
    if (!post || !create_debug_port(pc, 0xe9, chr) || !create_debug_port(pc, 0x402, chr) ||
        (moved && !create_debug_port(pc, vm->debugcon_port, chr)))
        return error_set(err, "out of memory");
    return true;
}

/* -device isa-debugcon: on top of whatever else answers there. */
static bool create_consoles(struct pc *pc, struct error *err)
{
    const struct vm_config *vm = pc->cfg.vm;
    for (unsigned i = 0; i < vm->consoles; i++) {
        char label[24];
        struct chr *chr;
        snprintf(label, sizeof label, "debugcon-%x", vm->console[i].port);
        if (!open_chr(pc, label, vm->console[i].spec, &chr, err))
            return false;
        if (!create_debug_port(pc, vm->console[i].port, chr))
            return error_set(err, "out of memory");
    }
    return true;
}

static uint64_t device_number(const struct config_device *d, const char *key, uint64_t preset)
{
    for (unsigned i = 0; i < d->count; i++)
        if (!strcmp(d->key[i], key))
            return strtoull(d->value[i], NULL, 0);
    return preset;
}

static bool create_exit_port(struct pc *pc, const struct config_device *d)
{
    const struct exitport_config cfg = {
        .iobase = (uint16_t)device_number(d, "iobase", CONFIG_EXIT_IOBASE),
        .iosize = (uint32_t)device_number(d, "iosize", CONFIG_EXIT_IOSIZE),
        .exit = pc->cfg.signals.debug_exit,
        .opaque = pc->cfg.signals.opaque,
    };
    struct exitport *e = exitport_create(&pc->io, &cfg);
    if (e)
        device_add(&pc->devices, exitport_device(e));
    return e != NULL;
}

/* Its lines are the IOAPIC's first 24: those of ISA, and beyond them pins that PCI would have. */
static bool create_test_device(struct pc *pc, struct isa_irq *isa)
{
    struct pctest_config cfg = {.io = &pc->io, .mem = &pc->mem, .log = pc->cfg.log};
    for (unsigned n = 0; n < PCTEST_LINES; n++) {
        if (n >= ISA_IRQS)
            cfg.line[n] = (struct irq_line){ioapic_set_irq, pc->ioapic, n};
        else if (n != 2) /* the cascade of the 8259 pair */
            cfg.line[n] = isa_irq_connect(isa, n);
    }
    return pctest_create(&pc->devices, &cfg) != NULL;
}

/* -device: what the board has no fixed place for. */
static bool create_asked_for(struct pc *pc, struct isa_irq *isa, struct error *err)
{
    const struct vm_config *vm = pc->cfg.vm;
    for (unsigned i = 0; i < vm->devices; i++) {
        const struct config_device *d = &vm->device[i];
        bool ok;
        if (!strcmp(d->name, "isa-debug-exit"))
            ok = create_exit_port(pc, d);
        else if (!strcmp(d->name, "pc-testdev"))
            ok = create_test_device(pc, isa);
        else
            return error_set(err, "-device %s: the board has no place for it", d->name);
        if (!ok)
            return error_set(err, "out of memory");
    }
    return true;
}

static bool create_lapic(struct pc *pc, unsigned n)
{
    struct pc_cpu *c = &pc->cpu[n];
    const struct lapic_config cfg = {
        .bus = &pc->apics,
        .queue = pc->cfg.events,
        .mem = &pc->mem,
        .log = pc->cfg.log,
        .id = c->cpu->apic_id,
        .bsp = n == 0,
        .absent = !c->cpu->feat.has[FEAT_APIC],
        .has_x2apic = c->cpu->feat.has[FEAT_X2APIC],
        .has_tsc_deadline = c->cpu->feat.has[FEAT_TSC_DEADLINE],
        .intr = {cpu_set_intr, c->cpu, 0},
        .nmi = {cpu_set_nmi, c->cpu, 0},
        .init = {cpu_set_init, c->cpu, 0},
        .sipi = {set_sipi, c, 0},
    };
    c->lapic = lapic_create(&pc->devices, &cfg);
    return c->lapic != NULL;
}

static bool create_interrupts(struct pc *pc, struct isa_irq **isa)
{
    apic_bus_init(&pc->apics, pc->cfg.log);
    for (unsigned n = 0; n < pc->cpus; n++)
        if (!create_lapic(pc, n))
            return false;
    pc_select_cpu(pc, 0);
    const struct irq_line lint0 = {set_lint0, pc, 0};
    pc->pic = pic8259_create(&pc->io, pc->cfg.log, &lint0);
    pc->ioapic = ioapic_create(&pc->devices, &pc->apics, &pc->mem, pc->cfg.log);
    if (!pc->pic || !pc->ioapic)
        return false;
    device_add(&pc->devices, pic8259_device(pc->pic));
    *isa = isa_irq_create(&pc->devices, (struct irq_line){pic8259_set_irq, pc->pic, 0},
                          (struct irq_line){ioapic_set_irq, pc->ioapic, 0});
    return *isa != NULL;
}

/* The HPET has IOAPIC pins 16 to 23 to itself, and takes lines 0 and 8 when it is asked to. */
static bool create_hpet(struct pc *pc, struct irq_line *irq0, struct irq_line *irq8)
{
    struct hpet_config cfg = {
        .mem = &pc->mem, .queue = pc->cfg.events, .irq0 = *irq0, .irq8 = *irq8};
    if (pc->cfg.vm->no_hpet)
        return true;
    for (unsigned pin = 16; pin < HPET_ROUTES; pin++)
        cfg.route[pin] = (struct irq_line){ioapic_set_irq, pc->ioapic, pin};
    struct hpet *hpet = hpet_create(&pc->devices, &cfg);
    if (!hpet)
        return false;
    *irq0 = hpet_pit_input(hpet);
    *irq8 = hpet_rtc_input(hpet);
    return true;
}

static bool create_floppies(struct pc *pc, struct isa_irq *isa, struct dma8237 *dma)
{
    struct fdc_wiring wiring = {
        .io = &pc->io,
        .events = pc->cfg.events,
        .log = pc->cfg.log,
        .irq = isa_irq_connect(isa, 6),
        .dma = dma,
    };
    for (unsigned i = 0; i < PC_FLOPPIES; i++) {
        wiring.drive[i].type = pc->floppy_type[i];
        wiring.drive[i].blk = pc->floppy[i];
    }
    pc->fdc = fdc_create(&wiring);
    if (!pc->fdc)
        return false;
    device_add(&pc->devices, fdc_device(pc->fdc));
    return true;
}

static bool create_isa(struct pc *pc, struct isa_irq *isa)
{
    const struct irq_line a20 = {set_a20, pc, 0}, reset = {set_reset, pc, 0};
    struct irq_line irq0 = isa_irq_connect(isa, 0), irq8 = isa_irq_connect(isa, 8);
    pc->irq13 = isa_irq_connect(isa, 13);
    int64_t ns;
    const int64_t date = start_date(pc, &ns);
    if (!create_hpet(pc, &irq0, &irq8))
        return false;
    struct pit8254 *pit = pit8254_create(&pc->io, pc->cfg.events, &irq0);
    pc->rtc = cmos_rtc_create(&pc->io, pc->cfg.events, pc->cfg.log, &irq8, date, ns);
    struct dma8237 *dma = dma8237_create(&pc->io, &pc->mem, pc->cfg.log);
    pc->kbd = ps2_kbd_create(pc->cfg.log);
    pc->mouse = ps2_mouse_create(pc->cfg.log);
    if (!pit || !pc->rtc || !dma || !pc->kbd || !pc->mouse)
        return false;
    const struct i8042_wiring wiring = {
        .irq1 = isa_irq_connect(isa, 1),
        .irq12 = isa_irq_connect(isa, 12),
        .a20 = a20,
        .reset = reset,
        .kbd = ps2_kbd_port(pc->kbd),
        .aux = ps2_mouse_port(pc->mouse),
    };
    struct i8042 *i8042 = i8042_create(&pc->io, pc->cfg.events, pc->cfg.log, &wiring);
    struct port92 *port92 = port92_create(&pc->io, &a20, &reset);
    if (!i8042 || !port92)
        return false;
    device_add(&pc->devices, pit8254_device(pit));
    device_add(&pc->devices, cmos_rtc_device(pc->rtc));
    device_add(&pc->devices, dma8237_device(dma));
    device_add(&pc->devices, ps2_kbd_device(pc->kbd));
    device_add(&pc->devices, ps2_mouse_device(pc->mouse));
    device_add(&pc->devices, i8042_device(i8042));
    device_add(&pc->devices, port92_device(port92));
    return create_speaker(pc, pit) && create_floppies(pc, isa, dma);
}

static bool create_pci(struct pc *pc, struct isa_irq *isa)
{
    pci_bus_init(&pc->pci, &pc->io, &pc->mem, pc->cfg.log);
    const struct i440fx_config north = {
        .bus = &pc->pci,
        .ram = pc->ram_at,
        .below_4g = pc->below_4g,
        .above_4g = pc->above_4g,
        .bios = pc->bios.at,
        .bios_size = pc->bios.size_bytes,
    };
    if (!i440fx_create(&pc->devices, &north))
        return false;
    struct piix3_config south = {
        .bus = &pc->pci,
        .hard_reset = {set_reset, pc, 0},
        .cpu_init = {set_cpu_init, pc, 0},
        .apm_written = acpi_pm_apm_command,
    };
    for (unsigned n = 3; n < 16; n++)
        if (n != 8 && n != 13)
            south.isa[n] = isa_irq_connect(isa, n);
    const struct acpi_pm_config pm = {
        .bus = &pc->pci,
        .queue = pc->cfg.events,
        .sci = isa_irq_connect(isa, 9),
        .power_off = {set_power_off, pc, 0},
    };
    const struct irq_line ide_irq[2] = {isa_irq_connect(isa, 14), isa_irq_connect(isa, 15)};
    pc->pm = acpi_pm_create(&pc->devices, &pm);
    south.apm_opaque = pc->pm;
    cmos_rtc_connect_alarm(pc->rtc, &(struct irq_line){acpi_pm_rtc_alarm, pc->pm, 0});
    if (!pc->pm || !piix3_create(&pc->devices, &south))
        return false;
    struct ide_unit unit[PC_DISKS];
    for (unsigned i = 0; i < PC_DISKS; i++) {
        const struct config_drive *d = pc->disk_cfg[i];
        unit[i] = (struct ide_unit){!d ? IDE_ABSENT : d->cdrom ? IDE_CDROM : IDE_DISK, pc->disk[i]};
    }
    pc->ide = ide_create(&pc->pci, DEVFN(1, 1), &pc->io, &pc->mem, pc->cfg.events, pc->cfg.log,
                         ide_irq, unit);
    if (!pc->ide)
        return false;
    device_add(&pc->devices, ide_device(pc->ide));
    if (!strcmp(pc->cfg.vm->vga, "none"))
        return true;
    const struct vga_wiring vga = {
        .bus = &pc->pci,
        .devfn = DEVFN(2, 0),
        .io = &pc->io,
        .mem = &pc->mem,
        .ram = &pc->ram,
        .events = pc->cfg.events,
        .log = pc->cfg.log,
        .rom = pc->vga_rom.at,
        .rom_size = pc->vga_rom.size_bytes,
    };
    pc->vga = vga_create(&vga);
    if (!pc->vga)
        return false;
    device_add(&pc->devices, vga_device(pc->vga));
    return true;
}

/* --- what the firmware is told --- */

static void set_cmos(void *opaque, uint8_t index, uint8_t value)
{
    struct pc *pc = opaque;
    cmos_rtc_set(pc->rtc, index, value);
}

static void fill_cmos(struct pc *pc)
{
    struct bios_disk disk[PC_DISKS] = {0};
    for (unsigned i = 0; i < PC_DISKS; i++) {
        if (!pc->disk[i] || pc->disk_cfg[i]->cdrom)
            continue;
        disk[i] = (struct bios_disk){
            .cylinders = ide_default_cylinders(pc->disk[i]->size_bytes / BLK_SECTOR),
            .heads = IDE_DEFAULT_HEADS,
            .sectors = IDE_DEFAULT_SECTORS,
        };
    }
    const uint8_t floppy[PC_FLOPPIES] = {(uint8_t)pc->floppy_type[0], (uint8_t)pc->floppy_type[1]};
    bios_fill_cmos(pc->cfg.vm, floppy, set_cmos, pc);
    bios_fill_cmos_disks(disk, set_cmos, pc);
}

static bool inform_firmware(struct pc *pc, struct error *err)
{
    const struct fwcfg_config cfg = {&pc->io, &pc->mem, pc->cfg.log};
    uint32_t version[4];
    pc->fwcfg = fwcfg_create(&pc->devices, &cfg);
    if (!pc->fwcfg)
        return error_set(err, "out of memory");
    cpuid(pc->cpu[0].cpu, 1, 0, version);
    const struct bios_board board = {
        .cfg = pc->cfg.vm,
        .fw = pc->fwcfg,
        .pci = &pc->pci,
        .below_4g = pc->below_4g,
        .above_4g = pc->above_4g,
        .cpu_signature = version[0],
        .cpu_features = version[3],
    };
    fill_cmos(pc);
    return bios_setup(&pc->devices, &board, err) && fwcfg_ok(pc->fwcfg, err);
}

bool pc_create(struct pc *pc, const struct pc_config *cfg, struct error *err)
{
    struct isa_irq *isa = NULL;
    *pc = (struct pc){.cfg = *cfg};
    device_list_init(&pc->devices);
    if (!create_memory(pc, err) || !create_cpus(pc, err) || !open_disks(pc, err) ||
        !open_audio(pc, err))
        return false;
    memmap_begin(&pc->mem);
    const bool wired = create_interrupts(pc, &isa) && create_isa(pc, isa) && create_pci(pc, isa);
    memmap_end(&pc->mem);
    if (!wired)
        return error_set(err, "out of memory while the board was put together");
    if (!create_serial(pc, isa, err) || !create_parallel(pc, isa, err) ||
        !create_debug_ports(pc, err) || !create_asked_for(pc, isa, err) ||
        !create_consoles(pc, err))
        return false;
    if (!inform_firmware(pc, err))
        return false;
    pc_reset(pc, RESET_POWER_ON);
    return true;
}

void pc_drain(struct pc *pc)
{
    for (unsigned i = 0; i < PC_DISKS; i++)
        if (pc->disk[i])
            blk_drain(pc->disk[i]);
    for (unsigned i = 0; i < PC_FLOPPIES; i++)
        if (pc->floppy[i])
            blk_drain(pc->floppy[i]);
}

bool pc_destroy(struct pc *pc, struct error *err)
{
    bool ok = true;
    pc_drain(pc);
    device_destroy_all(&pc->devices);
    for (unsigned i = 0; i < PC_DISKS; i++)
        ok &= blk_close(pc->disk[i], err);
    for (unsigned i = 0; i < PC_FLOPPIES; i++)
        ok &= blk_close(pc->floppy[i], err);
    if (pc->audio)
        ok &= pc->audio->ops->close(pc->audio, err);
    for (unsigned n = pc->cpus; n > 0; n--)
        cpu_destroy(pc->cpu[n - 1].cpu);
    free(pc->cpu);
    if (pc->io.port)
        iomap_destroy(&pc->io);
    if (pc->ram.host) {
        memmap_destroy(&pc->mem);
        ram_destroy(&pc->ram);
    }
    return ok;
}

void pc_reset(struct pc *pc, enum reset_kind kind)
{
    memmap_begin(&pc->mem);
    device_reset_all(&pc->devices, kind);
    memmap_set_a20(&pc->mem, true);
    memmap_end(&pc->mem);
    if (kind != RESET_POWER_ON && pc->cfg.vm->boot_once)
        bios_fill_boot_order(pc->cfg.vm, pc->cfg.vm->boot_order, set_cmos, pc);
    for (unsigned n = 0; n < pc->cpus; n++)
        cpu_reset(pc->cpu[n].cpu, false);
}
