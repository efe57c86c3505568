/*
 * SMBIOS: the emulator describes the machine ("etc/smbios/..."); here the BIOS itself is added as
 * type 0, and the entry point is put where software looks for it, segment F000h (DSP0134 §5.2
 * "SMBIOS Structure Table Entry Point"; §7.1 "BIOS Information (Type 0)").
 */
#include "fwcfg.h"
#include "post.h"
#include "print.h"
#include "ram.h"

#define ANCHOR_FILE   "etc/smbios/smbios-anchor"
#define TABLES_FILE   "etc/smbios/smbios-tables"

#define ANCHOR_BYTES  31 /* of "_SM_"; "_SM3_" has 24 */
#define ANCHOR3_BYTES 24
#define TYPE_BIOS     0

struct anchor {
    char signature[4];
    uint8_t checksum, length, major, minor;
    uint16_t largest;
    uint8_t revision, formatted[5];
    char dmi_signature[5];
    uint8_t dmi_checksum;
    uint16_t table_bytes;
    uint32_t table;
    uint16_t structures;
    uint8_t bcd;
} PACKED;

_Static_assert(sizeof(struct anchor) == ANCHOR_BYTES, "DSP0134 §5.2.1");

struct anchor3 {
    char signature[5];
    uint8_t checksum, length, major, minor, docrev, revision, reserved;
    uint32_t table_bytes;
    uint64_t table;
} PACKED;

_Static_assert(sizeof(struct anchor3) == ANCHOR3_BYTES, "DSP0134 §5.2.2");

/* §7.1; strings follow. */
static const struct bios_information {
    uint8_t type, length;
    uint16_t handle;
    uint8_t vendor, version;
    uint16_t segment;
    uint8_t date, rom_size;
    uint64_t characteristics;
    uint8_t extension[2];
    uint8_t major, minor, ec_major, ec_minor;
    char strings[34];
} PACKED information = {
    .type = TYPE_BIOS,
    .length = 24,
    .vendor = 1,
    .version = 2,
    .segment = CODE_SEG,
    .date = 3,
    .rom_size = IMAGE_BYTES / 65536 - 1,
    /* PCI, PnP, shadowing, boot from CD and selectable boot, EDD */
    .characteristics = BIT(7) | BIT(9) | BIT(12) | BIT(15) | BIT(16) | BIT(19),
    .extension = {0x01, 0x10}, /* ACPI; a virtual machine */
    .major = 0xff,
    .minor = 0xff,
    .ec_major = 0xff,
    .ec_minor = 0xff,
    .strings = "Vitrine\0Vitrine BIOS\0"
               "01/01/2026\0",
};

#define INFORMATION_BYTES (24 + 8 + 13 + 11 + 1)

/* The structure's formatted part and its strings, which end with an empty one. */
static uint32_t structure_bytes(const uint8_t *s, uint32_t room)
{
    uint32_t n = s[1];
    while (n + 1 < room && (s[n] || s[n + 1]))
        n++;
    return n + 2;
}

static bool has_bios_information(const uint8_t *tables, uint32_t bytes)
{
    for (uint32_t at = 0; at + 4 <= bytes; at += structure_bytes(tables + at, bytes - at))
        if (tables[at] == TYPE_BIOS)
            return true;
    return false;
}

static void place_anchor(const uint8_t *from, uint32_t bytes, uint32_t tables, uint32_t length,
                         uint32_t added)
{
    if (bytes >= ANCHOR_BYTES && !memcmp(from, "_SM_", 4)) {
        struct anchor *a = alloc_fseg(sizeof *a, 16);
        if (!a)
            return;
        memcpy(a, from, sizeof *a);
        a->table = tables;
        a->table_bytes = (uint16_t)length;
        if (added) {
            a->structures++;
            a->largest = (uint16_t)MAX(a->largest, added);
        }
        a->dmi_checksum = 0;
        a->dmi_checksum = zero_sum(a->dmi_signature, 15);
        a->checksum = 0;
        a->checksum = zero_sum(a, sizeof *a);
    } else if (bytes >= ANCHOR3_BYTES && !memcmp(from, "_SM3_", 5)) {
        struct anchor3 *a = alloc_fseg(sizeof *a, 16);
        if (!a)
            return;
        memcpy(a, from, sizeof *a);
        a->table = tables;
        a->table_bytes = length;
        a->checksum = 0;
        a->checksum = zero_sum(a, sizeof *a);
    }
}

void smbios_init(void)
{
    struct fwcfg_file anchor_file, tables_file;
    uint8_t anchor[32];
    if (!fwcfg_find(ANCHOR_FILE, &anchor_file) || !fwcfg_find(TABLES_FILE, &tables_file))
        return;
    fwcfg_read(anchor_file.key, anchor, sizeof anchor);
    uint8_t *temp = alloc_temp(tables_file.size);
    if (!temp) {
        print("SMBIOS: tables of %u bytes are too large\n", tables_file.size);
        return;
    }
    fwcfg_read(tables_file.key, temp, tables_file.size);
    const uint32_t added =
        has_bios_information(temp, tables_file.size) ? 0 : (uint32_t)INFORMATION_BYTES;
    const uint32_t bytes = added + tables_file.size;
    /* Linux' 32-bit kernels and others like them below 1 MiB; where they fit, that is */
    uint8_t *tables = bytes <= 2048 ? alloc_fseg(bytes, 16) : alloc_high(bytes, 16);
    if (tables) {
        memcpy(tables, &information, added);
        memcpy(tables + added, temp, tables_file.size);
        place_anchor(anchor, MIN(anchor_file.size, sizeof anchor), (uint32_t)tables, bytes, added);
    }
    free_temp(temp);
}
