/* The board: an i440FX/PIIX3 PC. One function wires it (machine_pc.c). */
#ifndef VITRINE_MACHINE_PC_H
#define VITRINE_MACHINE_PC_H

#include "bios/rom.h"
#include "config.h"
#include "core/device.h"
#include "core/door.h"
#include "cpu/cpu.h"
#include "devices/apic_bus.h"
#include "devices/fdc.h"
#include "devices/ide.h"
#include "devices/pci.h"
#include "host/audio.h"
#include "host/blk.h"
#include "host/chr.h"
#include "host/display.h"
#include "host/loop.h"

/* What the board tells the machine that owns it. On the machine's thread. */
struct pc_signals {
    void (*reset)(void *opaque);
    void (*power_off)(void *opaque);
    void (*debug_exit)(void *opaque, uint32_t value);
    bool (*debug_stop)(void *opaque, int why, gla_t at); /* false: busy with an earlier one */
    void (*milestone)(void *opaque, enum cpu_milestone which);
    void (*verify_failed)(void *opaque);           /* the engines differ */
    void (*cpu_pause)(void *opaque);               /* the running CPU spins */
    void (*cpu_woken)(void *opaque, unsigned cpu); /* this one may have something to do now */
    /* Opens a back-end that the machine will close. */
    struct chr *(*open_chr)(void *opaque, const char *label, const char *spec, struct error *err);
    void *opaque;
};

struct pc_config {
    const struct vm_config *vm;
    struct event_queue *events;
    struct door *door;
    struct log *log;
    struct host_loop *loop;
    struct world *world; /* NULL: CPUs take turns on one thread */
    struct pc_signals signals;
};

#define PC_DISKS    CONFIG_MAX_IDE
#define PC_FLOPPIES FDC_DRIVES

/* A processor: the CPU and its local APIC. */
struct pc_cpu {
    struct pc *pc;
    struct cpu *cpu;
    struct lapic *lapic;
    unsigned pauses; /* PAUSE instructions, on a thread of its own */
};

struct pc {
    struct pc_config cfg;
    struct ram ram;
    struct memmap mem;
    struct iomap io;
    struct device_list devices;
    struct pci_bus pci;
    struct apic_bus apics;
    struct pc_cpu *cpu;
    unsigned cpus;
    struct rom bios, vga_rom;
    ram_t ram_at;
    uint64_t below_4g, above_4g;
    const struct config_drive *disk_cfg[PC_DISKS], *floppy_cfg[PC_FLOPPIES]; /* NULL: none */
    struct blk *disk[PC_DISKS], *floppy[PC_FLOPPIES]; /* NULL: none, or nothing in it */
    enum floppy_type floppy_type[PC_FLOPPIES];
    struct audio *audio; /* what the speaker plays on, or NULL */

    struct irq_line irq13; /* from the boot CPU's FERR# */

    struct ioapic *ioapic;
    struct pic8259 *pic;
    struct acpi_pm *pm;
    struct ide *ide;
    struct fdc *fdc;
    struct cmos_rtc *rtc;
    struct ps2_kbd *kbd;
    struct ps2_mouse *mouse;
    struct vga *vga;
    struct fwcfg *fwcfg;
};

bool pc_create(struct pc *pc, const struct pc_config *cfg, struct error *err);
/* False with err when a disk could not take its last writes. Harmless on a half-made board. */
bool pc_destroy(struct pc *pc, struct error *err);

/*
 * The image at path (format: NULL or "raw") for drive d, of the kind and with the rights it has;
 * for a floppy drive (its number in d->index) one that fits. NULL and err.
 */
struct blk *pc_open_image(struct pc *pc, const struct config_drive *d, const char *path,
                          const char *format, struct error *err);
/* Waits for all requests to images that are under way. */
void pc_drain(struct pc *pc);

/* RESET#: every device, then the CPUs. */
void pc_reset(struct pc *pc, enum reset_kind kind);
/* CPU n executes from now on: its local APIC is the one that shows its registers. */
void pc_select_cpu(struct pc *pc, unsigned n);
/* The NMI button: LINT1 of every local APIC, whose entry says what becomes of it. */
void pc_nmi_button(struct pc *pc);

#endif
