/*
 * All that the firmware is told through fw_cfg: memory map, CPUs, boot order, ACPI and SMBIOS
 * tables, the kernel of -kernel, and what -fw_cfg adds.
 */
#ifndef VITRINE_BIOS_TABLES_H
#define VITRINE_BIOS_TABLES_H

#include "config.h"
#include "devices/fwcfg.h"
#include "devices/pci.h"

struct bios_board {
    const struct vm_config *cfg; /* read now, not kept */
    struct fwcfg *fw;
    struct pci_bus *pci; /* where the PIIX4 says where its registers are */
    uint64_t below_4g, above_4g;
    uint32_t cpu_signature, cpu_features; /* CPUID.1: EAX and EDX, for SMBIOS; 0 if not known */
};

/*
 * To be called once, when fw_cfg and all PCI functions are there. Adds a device without registers
 * to the list, which keeps what is needed to tell ACPI where the firmware put the PIIX4.
 */
bool bios_setup(struct device_list *devices, const struct bios_board *board, struct error *err);

#endif
