/*
 * See tables.h. Names and formats are those of QEMU's hw/i386/fw_cfg.c and of SeaBIOS'
 * src/fw/paravirt.c, which reads them; files of numbers are little-endian.
 */
#include "bios/tables.h"
#include "bios/acpi.h"
#include "bios/kernel.h"
#include "bios/rom.h"
#include "bios/smbios.h"
#include "devices/hpet.h"

#include <stdio.h>
#include <stdlib.h>

#define PIIX4_PM_DEVFN      (1 << 3 | 3)
#define PIIX4_PM_PMBASE     0x40

#define USER_FILE_MAX_BYTES (64 * MiB)

struct bios {
    struct device dev;
    struct fwcfg *fw;
    struct pci_bus *pci;
    struct acpi_board acpi;
};

/* ---- memory map ---- */

enum { E820_RAM = 1 };

/* "etc/e820": address, length, type; what is not listed is not RAM. */
static void add_e820(struct fwcfg *fw, uint64_t below_4g, uint64_t above_4g)
{
    uint8_t map[2][20];
    unsigned n = 0;
    const uint64_t range[2][2] = {{0, below_4g}, {4 * GiB, above_4g}};
    for (unsigned i = 0; i < 2; i++) {
        if (!range[i][1])
            continue;
        st64(map[n], range[i][0]);
        st64(map[n] + 8, range[i][1]);
        st32(map[n] + 16, E820_RAM);
        n++;
    }
    fwcfg_add_file(fw, "etc/e820", map, n * sizeof map[0]);
}

/* ---- boot order ---- */

/* Open Firmware's path of a drive, as SeaBIOS writes it; a CD-ROM drive is a disk to it. */
static void drive_path(char *path, size_t size, const struct config_drive *d)
{
    if (d->bus == DRIVE_FLOPPY)
        snprintf(path, size, "/pci@i0cf8/isa@1/fdc@03f0/floppy@%d", d->index);
    else
        snprintf(path, size, "/pci@i0cf8/ide@1,1/drive@%d/disk@%d", d->index / 2, d->index % 2);
}

/* The drive with the lowest bootindex above *last; NULL when there is no other. */
static const struct config_drive *next_drive(const struct vm_config *cfg, int *last)
{
    const struct config_drive *best = NULL;
    for (unsigned i = 0; i < cfg->drives; i++) {
        const struct config_drive *d = &cfg->drive[i];
        if (d->bus != DRIVE_NONE && d->bootindex > *last &&
            (!best || d->bootindex < best->bootindex))
            best = d;
    }
    if (best)
        *last = best->bootindex;
    return best;
}

/* "bootorder": paths separated by newlines, ended by a NUL; HALT: nothing else is to be tried. */
static void add_boot_order(struct fwcfg *fw, const struct vm_config *cfg, const char *kernel_path)
{
    char text[1024] = "", path[64];
    size_t len = 0;
    int last = -1;
    if (kernel_path)
        len += (size_t)snprintf(text, sizeof text, "%s\n", kernel_path);
    for (const struct config_drive *d; (d = next_drive(cfg, &last));) {
        drive_path(path, sizeof path, d);
        len += (size_t)snprintf(text + len, sizeof text - len, "%s\n", path);
        assert(len < sizeof text); /* four drives and two floppies at most */
    }
    if (len && cfg->boot_strict)
        len += (size_t)snprintf(text + len, sizeof text - len, "HALT\n");
    if (!len)
        return;
    text[len - 1] = 0;
    fwcfg_add_file(fw, "bootorder", text, len);
}

static void add_boot_options(struct fwcfg *fw, const struct vm_config *cfg, const char *kernel_path)
{
    fwcfg_add_u16(fw, FWCFG_BOOT_MENU, cfg->boot_menu);
    if (cfg->boot_menu_ms >= 0) {
        uint16_t ms = (uint16_t)MIN(cfg->boot_menu_ms, UINT16_MAX);
        fwcfg_add_file(fw, "etc/boot-menu-wait", &ms, sizeof ms);
    }
    /* without the file SeaBIOS tries again after a minute; all ones: never */
    uint8_t fail_ms[4];
    st32(fail_ms, cfg->boot_fail_ms < 0 ? 0xffffffff : (uint32_t)cfg->boot_fail_ms);
    fwcfg_add_file(fw, "etc/boot-fail-wait", fail_ms, sizeof fail_ms);
    add_boot_order(fw, cfg, kernel_path);
}

/* ---- ACPI ---- */

static bool build_acpi(struct bios *b, struct acpi_blobs *blobs)
{
    const uint32_t base = pci_config_read(b->pci, PIIX4_PM_DEVFN, PIIX4_PM_PMBASE, 2);
    b->acpi.pm_base = base == 0xffff ? 0 : base & 0xffc0;
    return acpi_build(&b->acpi, blobs);
}

/* The firmware has set PMBASE before it asks for the tables; the lengths stay. */
static void refresh_acpi(void *opaque)
{
    struct bios *b = opaque;
    struct acpi_blobs blobs;
    if (!build_acpi(b, &blobs))
        return; /* out of memory: the first ones stand */
    fwcfg_update_file(b->fw, ACPI_TABLES_FILE, blobs.tables, blobs.tables_len);
    acpi_blobs_free(&blobs);
}

/* "etc/system-states": S0 to S5; bit 7: supported, 6:0 SLP_TYP. There are S0 and S5. */
static const uint8_t system_states[6] = {0x80, 0, 0, 1, 2, 0x80};

static bool add_acpi(struct bios *b)
{
    struct acpi_blobs blobs;
    if (!build_acpi(b, &blobs))
        return false;
    fwcfg_give_file(b->fw, ACPI_TABLES_FILE, blobs.tables, blobs.tables_len);
    fwcfg_give_file(b->fw, ACPI_LOADER_FILE, blobs.loader, blobs.loader_len);
    fwcfg_add_file(b->fw, ACPI_RSDP_FILE, blobs.rsdp, sizeof blobs.rsdp);
    fwcfg_on_select(b->fw, ACPI_TABLES_FILE, refresh_acpi, b);
    fwcfg_add_file(b->fw, "etc/system-states", system_states, sizeof system_states);
    return true;
}

static struct acpi_board acpi_board(const struct bios_board *board)
{
    const struct vm_config *cfg = board->cfg;
    struct acpi_board a = {.cpus = cfg->smp,
                           .topology = cfg->topology,
                           .below_4g = board->below_4g,
                           .above_4g = board->above_4g,
                           .lpt = cfg->parallel != NULL,
                           .hpet = !cfg->no_hpet};
    for (unsigned i = 0; i < cfg->drives; i++)
        a.fdc |= cfg->drive[i].bus == DRIVE_FLOPPY;
    for (unsigned i = 0; i < MIN(cfg->serials, ACPI_MAX_COM); i++)
        a.com[i] = cfg->serial[i] != NULL;
    return a;
}

/* ---- SMBIOS ---- */

static bool add_smbios(struct fwcfg *fw, const struct bios_board *board)
{
    const struct vm_config *cfg = board->cfg;
    struct smbios_board s = {
        .cpus = cfg->smp,
        .topology = cfg->topology,
        .below_4g = board->below_4g,
        .above_4g = board->above_4g,
        .uuid_set = cfg->uuid_set,
        .cpu_signature = board->cpu_signature,
        .cpu_features = board->cpu_features,
    };
    struct smbios_blobs blobs;
    memcpy(s.uuid, cfg->uuid, sizeof s.uuid);
    if (!smbios_build(&s, &blobs))
        return false;
    fwcfg_give_file(fw, SMBIOS_TABLES_FILE, blobs.tables, blobs.tables_len);
    fwcfg_add_file(fw, SMBIOS_ANCHOR_FILE, blobs.anchor, sizeof blobs.anchor);
    return true;
}

/* ---- the rest ---- */

static bool add_user_files(struct fwcfg *fw, const struct vm_config *cfg, struct error *err)
{
    for (unsigned i = 0; i < cfg->fw_cfgs; i++) {
        const char *name = cfg->fw_cfg[i].name, *string = cfg->fw_cfg[i].string;
        if (string) {
            fwcfg_add_file(fw, name, string, strlen(string));
            continue;
        }
        size_t len = 0;
        void *data = rom_read_file(cfg->fw_cfg[i].file, "-fw_cfg", USER_FILE_MAX_BYTES, &len, err);
        if (!data)
            return false;
        fwcfg_give_file(fw, name, data, len);
    }
    return true;
}

/* For firmware that makes ACPI tables of its own: a number of blocks, room for eight of them. */
static void add_hpet(struct fwcfg *fw)
{
    uint8_t blocks[1 + 8 * 15] = {1};
    st32(blocks + 1, HPET_BLOCK_ID);
    st64(blocks + 5, HPET_AT);
    st16(blocks + 13, HPET_MIN_TICKS);
    fwcfg_add_item(fw, FWCFG_HPET, blocks, sizeof blocks);
}

static void add_numbers(struct fwcfg *fw, const struct vm_config *cfg)
{
    fwcfg_add_u64(fw, FWCFG_RAM_SIZE, cfg->ram_bytes);
    fwcfg_add_u16(fw, FWCFG_NB_CPUS, (uint16_t)cfg->smp);
    /* as in QEMU's hw/i386/x86.c, no number of CPUs but the first local APIC ID that is not used */
    fwcfg_add_u16(fw, FWCFG_MAX_CPUS,
                  (uint16_t)(topology_apic_id(&cfg->topology, cfg->smp - 1) + 1));
    fwcfg_add_u16(fw, FWCFG_NOGRAPHIC, cfg->nographic || cfg->no_graphics);
    fwcfg_add_u32(fw, FWCFG_IRQ0_OVERRIDE, 1); /* the timer is at IOAPIC pin 2 */
    if (!cfg->no_hpet)
        add_hpet(fw);
    if (cfg->uuid_set)
        fwcfg_add_item(fw, FWCFG_UUID, cfg->uuid, sizeof cfg->uuid);
}

static void bios_destroy(struct device *dev)
{
    free(container_of(dev, struct bios, dev));
}

static const struct device_ops bios_ops = {.destroy = bios_destroy};

bool bios_setup(struct device_list *devices, const struct bios_board *board, struct error *err)
{
    struct fwcfg *fw = board->fw;
    const char *kernel_path = NULL;
    struct bios *b = calloc(1, sizeof *b);
    if (!b)
        return error_set(err, "out of memory");
    b->dev = (struct device){.name = "bios", .ops = &bios_ops};
    b->fw = fw;
    b->pci = board->pci;
    b->acpi = acpi_board(board);
    device_add(devices, &b->dev);

    add_numbers(fw, board->cfg);
    add_e820(fw, board->below_4g, board->above_4g);
    if (board->cfg->kernel) {
        kernel_path = kernel_setup(fw, board->cfg, board->below_4g, err);
        if (!kernel_path)
            return false;
    }
    add_boot_options(fw, board->cfg, kernel_path);
    if (!add_smbios(fw, board) || (!board->cfg->no_acpi && !add_acpi(b)))
        return error_set(err, "out of memory for the firmware's tables");
    /* Last: a name that the board uses itself is refused as the user's mistake. */
    return add_user_files(fw, board->cfg, err) && fwcfg_ok(fw, err);
}
