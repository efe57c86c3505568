/* The PCI functions POST has found, in order of their numbers; 32-bit code. */
#ifndef FIRMWARE_PCI_INIT_H
#define FIRMWARE_PCI_INIT_H

#include <stdbool.h>
#include <stdint.h>

struct pci_function {
    uint16_t bdf;
    uint16_t vendor, device;
    uint16_t class;    /* class in 15:8, subclass in 7:0 */
    uint8_t pin, line; /* 1 to 4 for INTA# to INTD#, 0: none; the ISA line it is steered to */
};

/* NULL behind the last. */
const struct pci_function *pci_function(unsigned n);
const struct pci_function *pci_find(uint16_t vendor, uint16_t device);

/* Which of PIRQA to PIRQD (0 to 3) pin INTA# to INTD# (0 to 3) goes to, and which ISA line that. */
unsigned pci_pirq(uint16_t bdf, unsigned pin);
uint8_t pci_pirq_line(unsigned pirq);
bool pci_line_used(uint8_t line); /* by PCI interrupts */

#endif
