/*
 * The SMBIOS structures that describe the machine to dmidecode and the like: QEMU's
 * "etc/smbios/smbios-tables" and "etc/smbios/smbios-anchor". The firmware puts them in place, fills
 * in the anchor's address and checksums, and adds what it knows itself (type 0, "BIOS
 * Information").
 */
#ifndef VITRINE_BIOS_SMBIOS_H
#define VITRINE_BIOS_SMBIOS_H

#include "core/topology.h"
#include "core/types.h"

#define SMBIOS_ANCHOR_FILE  "etc/smbios/smbios-anchor"
#define SMBIOS_TABLES_FILE  "etc/smbios/smbios-tables"

#define SMBIOS_ANCHOR_BYTES 31

struct smbios_board {
    unsigned cpus;
    struct cpu_topology topology;
    uint64_t below_4g, above_4g;
    bool uuid_set;
    uint8_t uuid[16];                     /* in the order it is written */
    uint32_t cpu_signature, cpu_features; /* CPUID.1: EAX and EDX; 0 if not known */
};

struct smbios_blobs {
    uint8_t anchor[SMBIOS_ANCHOR_BYTES];
    uint8_t *tables;
    size_t tables_len;
};

/* False when out of memory. */
bool smbios_build(const struct smbios_board *board, struct smbios_blobs *blobs);
void smbios_blobs_free(struct smbios_blobs *blobs);

#endif
