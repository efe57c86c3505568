/*
 * PCI: one bus, configuration space, base address registers, interrupt pins. PCI LB 3.0 §6.
 * A function embeds struct pci_device; its struct device is pci_device.dev.
 */
#ifndef VITRINE_DEVICES_PCI_H
#define VITRINE_DEVICES_PCI_H

#include "core/device.h"
#include "mmu/iomap.h"
#include "mmu/memmap.h"

#define PCI_CONFIG_BYTES 256
#define PCI_BARS         6

struct pci_bus;
struct pci_device;

struct pci_bar {
    uint64_t size; /* power of two; 0 = not there */
    bool is_io, is_64bit, prefetchable;
    struct io_region io;   /* is_io: name, ops and opaque set by the owner */
    struct mem_region mem; /* otherwise: initialised by the owner */
    bool mapped;
    uint64_t at;
};

struct pci_device {
    struct device dev;
    struct pci_bus *bus;
    uint8_t devfn;
    uint8_t config[PCI_CONFIG_BYTES];
    uint8_t wmask[PCI_CONFIG_BYTES];   /* bits software may write */
    uint8_t w1cmask[PCI_CONFIG_BYTES]; /* bits cleared by writing 1 */
    struct pci_bar bar[PCI_BARS];
    struct mem_region rom; /* expansion ROM: rom.size 0 = none */
    bool rom_mapped;
    uint64_t rom_at;
    int irq_level; /* of its INTx# pin */
    /* After the common code stored a configuration write; may be NULL. */
    void (*config_written)(struct pci_device *pci, unsigned offset, unsigned size);
    /* Before a configuration read, to refresh live registers; may be NULL. */
    void (*config_reading)(struct pci_device *pci, unsigned offset, unsigned size);
};

struct pci_bus {
    struct pci_device *fn[256]; /* by devfn */
    struct iomap *io;
    struct memmap *mem;
    struct log *log;
    /* Where INTA#..INTD# of a slot go: pin 0..3 of the interrupt router. Level is the wired-OR. */
    void (*set_pirq)(void *opaque, unsigned pirq, int level);
    void *pirq_opaque;
    int pirq_count[4]; /* how many functions assert each */
};

void pci_bus_init(struct pci_bus *bus, struct iomap *io, struct memmap *mem, struct log *log);

/* Fills the header (PCI LB 3.0 §6.1) and puts the function on the bus. */
void pci_device_init(struct pci_device *pci, struct pci_bus *bus, uint8_t devfn, uint16_t vendor,
                     uint16_t device, uint32_t class_code /* 24 bits */, uint8_t revision);
void pci_set_subsystem(struct pci_device *pci, uint16_t vendor, uint16_t id);
void pci_set_irq_pin(struct pci_device *pci, uint8_t pin /* 1 = INTA# */);
void pci_add_io_bar(struct pci_device *pci, unsigned n, const char *name, const struct io_ops *ops,
                    void *opaque, uint32_t size);
/* pci->bar[n].mem has been initialised by the caller (mem_region_init_*). */
void pci_add_mem_bar(struct pci_device *pci, unsigned n, bool is_64bit, bool prefetchable);
/* pci->rom has been initialised by the caller as MEM_ROM, power-of-two size. */
void pci_add_rom(struct pci_device *pci);

/*
 * Drives the function's INTx# pin (1 = INTA#), which the slots' wiring turns: it reaches PIRQ
 * ((slot - 1) + (pin - 1)) & 3, so that slot 1 has INTA# on PIRQA#. The firmware's tables ($PIR,
 * MP, _PRT) say the same.
 */
void pci_set_irq(struct pci_device *pci, int level);

bool pci_bus_master_enabled(const struct pci_device *pci);

/* Configuration cycles; unclaimed functions read ones. size 1, 2 or 4, within the function. */
uint32_t pci_config_read(struct pci_bus *bus, uint8_t devfn, unsigned offset, unsigned size);
void pci_config_write(struct pci_bus *bus, uint8_t devfn, unsigned offset, uint32_t value,
                      unsigned size);

/* Common reset: command, BARs, interrupt line, pins. To be called from the owner's reset. */
void pci_device_reset(struct pci_device *pci);
/* Fields of the common part, for the owner's state function; re-maps BARs after loading. */
void pci_device_state(struct pci_device *pci, struct state *s);

/* One paragraph per function, for "info pci". */
void pci_print(struct pci_bus *bus, void (*line)(void *, const char *), void *opaque);

#endif
