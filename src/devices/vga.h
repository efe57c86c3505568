/*
 * A PCI VGA with the Bochs VBE extension, the adapter of "-vga std": 1234:1111 with its video
 * memory in BAR 0, its registers also in BAR 2, and the VGA BIOS in the expansion ROM.
 */
#ifndef VITRINE_DEVICES_VGA_H
#define VITRINE_DEVICES_VGA_H

#include "devices/pci.h"
#include "host/display.h"

struct vga;

/* What the adapter is wired to; all of it outlives the adapter. */
struct vga_wiring {
    struct pci_bus *bus;
    uint8_t devfn;
    struct iomap *io;   /* gets ports 3B4h to 3DAh and 1CEh to 1D1h */
    struct memmap *mem; /* gets the window at A0000h */
    struct ram *ram;    /* gives VGA_VRAM_BYTES; their contents are saved with it, not here */
    struct event_queue *events;
    struct log *log;
    ram_t rom; /* the VGA BIOS image, or RAM_NONE */
    /* Its length: a power of two of at least 2 KiB, image padded by the board. 0: no image. */
    uint64_t rom_size;
};

#define VGA_VRAM_BYTES (16 * MiB)

/* NULL when struct ram has no room for the video memory, or host memory is out. */
struct vga *vga_create(const struct vga_wiring *wiring);

/* The adapter's struct device, for the board's device list, whose walk also destroys it. */
struct device *vga_device(struct vga *v);

struct display_source *vga_display(struct vga *v);

#endif
