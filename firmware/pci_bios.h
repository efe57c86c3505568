/* The PCI BIOS: INT 1Ah AH=B1h, and the same as a 32-bit service (pci_entry.S). */
#ifndef FIRMWARE_PCI_BIOS_H
#define FIRMWARE_PCI_BIOS_H

#include "mode.h"
#include "regs.h"

#ifdef MODE16
#define pci_bios pci_bios_16
#else
#define pci_bios pci_bios_flat
#endif

void pci_bios(struct bregs *r);

#ifdef MODE16
/* 0Eh, which is for the interrupt only. Returns AH. */
uint8_t pci_routing_options(struct bregs *r);
#endif

#endif
