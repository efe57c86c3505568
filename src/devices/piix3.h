/*
 * The PCI-to-ISA bridge (82371SB PIIX3, function 0): steers the four PCI interrupts to ISA lines,
 * resets the machine through CF9h, holds the two APM ports B2h and B3h.
 */
#ifndef VITRINE_DEVICES_PIIX3_H
#define VITRINE_DEVICES_PIIX3_H

#include "devices/pci.h"

struct piix3;

struct piix3_config {
    struct pci_bus *bus;
    struct irq_line isa[16]; /* drivers of the ISA lines for 3-7, 9-12, 14, 15; the others unused */
    struct irq_line hard_reset; /* pulsed: CPURST and PCIRST#, everything resets */
    struct irq_line cpu_init;   /* pulsed: INIT to the CPU alone */
    /* Somebody wrote a command to the APM port B2h; may be NULL. */
    void (*apm_written)(void *opaque, uint8_t command);
    void *apm_opaque;
};

/* Function 01.0, multi-function; takes the bus's set_pirq. To be created after i440fx. */
struct piix3 *piix3_create(struct device_list *devices, const struct piix3_config *cfg);

#endif
