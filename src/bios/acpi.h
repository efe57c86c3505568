/*
 * The ACPI tables of the board, and the script by which the firmware puts them in place: QEMU's
 * "etc/acpi/tables", "etc/acpi/rsdp" and "etc/table-loader".
 */
#ifndef VITRINE_BIOS_ACPI_H
#define VITRINE_BIOS_ACPI_H

#include "core/topology.h"
#include "core/types.h"

#define ACPI_TABLES_FILE  "etc/acpi/tables"
#define ACPI_RSDP_FILE    "etc/acpi/rsdp"
#define ACPI_LOADER_FILE  "etc/table-loader"

#define ACPI_RSDP_BYTES   36
#define ACPI_MAX_COM      4
#define ACPI_LOADER_ENTRY 128 /* bytes of one command */

/* What the tables depend on. */
struct acpi_board {
    unsigned cpus;
    struct cpu_topology topology; /* from which their local APIC IDs follow */
    uint64_t below_4g, above_4g;
    bool com[ACPI_MAX_COM]; /* which of COM1 to COM4 there are */
    bool lpt, hpet;
    bool fdc;         /* a floppy drive */
    uint16_t pm_base; /* PMBASE of the PIIX4, as the firmware has set it; 0: not yet */
};

struct acpi_blobs {
    uint8_t *tables; /* all but the RSDP; pointers are offsets into it until the script has run */
    size_t tables_len;
    uint8_t rsdp[ACPI_RSDP_BYTES];
    uint8_t *loader;
    size_t loader_len;
};

/* False when out of memory. Lengths do not depend on pm_base. */
bool acpi_build(const struct acpi_board *board, struct acpi_blobs *blobs);
void acpi_blobs_free(struct acpi_blobs *blobs);

/* Of the address space for PCI: from the end of RAM to the IOAPIC; and above all RAM. */
void acpi_pci_hole64(const struct acpi_board *board, uint64_t *first, uint64_t *last);

#endif
