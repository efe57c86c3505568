/* -device and -global: what the board has no option of its own for. */
#include "cli_keys.h"

#include <stdio.h>
#include <stdlib.h>

static bool parse_port(struct cli_parse *p, const char *key, const char *value, uint16_t *port)
{
    uint64_t v;
    if (!word_u64(value, &v) || v > UINT16_MAX)
        return cli_fail(p, "%s=%s is not a port number", key, value);
    *port = (uint16_t)v;
    return true;
}

/* A few defaults that people set globally; all others name devices that are not there. */
bool cli_global(struct cli_parse *p, const char *arg)
{
    if (strncmp(arg, "isa-debugcon.iobase=", 20) == 0)
        return parse_port(p, "isa-debugcon.iobase", arg + 20, &p->cfg->debugcon_port);
    if (strncmp(arg, "VGA.romfile=", 12) == 0)
        return word_set(&p->cfg->vga_rom, arg + 12, p->err);
    if (word_one_of("PIIX4_PM.disable_s3=1|PIIX4_PM.disable_s4=1", arg))
        return true; /* the board does not sleep */
    if (strncmp(arg, "kvm-", 4) == 0) {
        cli_note(p, "%s changes nothing, there is no KVM", arg);
        return true;
    }
    return cli_fail(p, "%s: only isa-debugcon.iobase=PORT and VGA.romfile=FILE can be set this way",
                    arg);
}

/* --- -device --- */

/* How many keys a -device may carry through to the board, checked as numbers or kept as words. */
static const struct key_row exit_keys[] = {
    {"iobase", KEY_INT, 0, NULL, NULL},
    {"iosize", KEY_INT, 0, NULL, NULL},
    {"id", KEY_STR, 0, NULL, NULL},
};
static const struct key_row test_keys[] = {
    {"id", KEY_STR, 0, NULL, NULL},
};
static const struct key_row ide_keys[] = {
    {"drive", KEY_STR, 0, NULL, NULL}, {"bus", KEY_STR, 0, NULL, NULL},
    {"unit", KEY_INT, 0, NULL, NULL},  {"bootindex", KEY_INT, 0, NULL, NULL},
    {"id", KEY_STR, 0, NULL, NULL},
};
static const struct key_row floppy_keys[] = {
    {"drive", KEY_STR, 0, NULL, NULL},
    {"unit", KEY_INT, 0, NULL, NULL},
    {"bus", KEY_ONLY, 0, "floppy-bus.0|fdc.0", NULL},
    {"drive-type", KEY_STR, 0, NULL, NULL},
    {"bootindex", KEY_INT, 0, NULL, NULL},
    {"id", KEY_STR, 0, NULL, NULL},
};
static const struct key_row con_keys[] = {
    {"chardev", KEY_STR, 0, NULL, NULL},
    {"iobase", KEY_INT, 0, NULL, NULL},
    {"id", KEY_STR, 0, NULL, NULL},
};
static const struct key_row serial_keys[] = {
    {"chardev", KEY_STR, 0, NULL, NULL},
    {"id", KEY_STR, 0, NULL, NULL},
};
static const struct key_row vga_keys[] = {
    {"romfile", KEY_STR, 0, NULL, NULL},
    {"vgamem_mb", KEY_ONLY, 0, "16", NULL},
    {"id", KEY_STR, 0, NULL, NULL},
};

static bool device_exit(struct cli_parse *p, const struct word_pairs *pairs);
static bool device_test(struct cli_parse *p, const struct word_pairs *pairs);
static bool device_ide(struct cli_parse *p, const struct word_pairs *pairs);
static bool device_floppy(struct cli_parse *p, const struct word_pairs *pairs);
static bool device_debugcon(struct cli_parse *p, const struct word_pairs *pairs);
static bool device_serial(struct cli_parse *p, const struct word_pairs *pairs);
static bool device_vga(struct cli_parse *p, const struct word_pairs *pairs);

static const struct device_row {
    const char *name; /* first, for word_nearest */
    const struct key_row *keys;
    size_t count;
    bool (*take)(struct cli_parse *p, const struct word_pairs *pairs);
    const char *bus, *help;
} device_rows[] = {
    {"isa-debug-exit", exit_keys, ARRAY_SIZE(exit_keys), device_exit, "ISA",
     "iobase=0x501,iosize=2: writing V there ends Vitrine with status (V<<1)|1"},
    {"pc-testdev", test_keys, ARRAY_SIZE(test_keys), device_test, "ISA",
     "ports E0h-EBh, interrupt lines at 2000h, I/O memory at FF000000h, for test suites"},
    {"ide-hd", ide_keys, ARRAY_SIZE(ide_keys), device_ide, "IDE",
     "drive=ID,bus=ide.N,unit=N,bootindex=N: a disk, of -drive if=none,id=ID"},
    {"ide-cd", ide_keys, ARRAY_SIZE(ide_keys), device_ide, "IDE",
     "the same for a CD-ROM drive; without drive= it is empty"},
    {"floppy", floppy_keys, ARRAY_SIZE(floppy_keys), device_floppy, "floppy-bus",
     "drive=ID,unit=N,drive-type=144|120|288|auto,bootindex=N: a floppy drive"},
    {"isa-debugcon", con_keys, ARRAY_SIZE(con_keys), device_debugcon, "ISA",
     "chardev=ID,iobase=0xe9: bytes written to that port go to -chardev id=ID"},
    {"isa-serial", serial_keys, ARRAY_SIZE(serial_keys), device_serial, "ISA",
     "chardev=ID: a further serial port"},
    {"VGA", vga_keys, ARRAY_SIZE(vga_keys), device_vga, "PCI",
     "romfile=FILE: as -vga std, with another VGA BIOS than our own"},
};

static bool check_device_key(struct cli_parse *p, const struct device_row *row, const char *key,
                             const char *value)
{
    for (size_t i = 0; i < row->count; i++) {
        int number;
        if (strcmp(row->keys[i].name, key) != 0)
            continue;
        if (row->keys[i].kind == KEY_INT)
            return cli_apply_int(p, key, value, &number);
        return row->keys[i].kind == KEY_STR || cli_apply_row(p, &row->keys[i], value, NULL);
    }
    const char *near = word_nearest(key, row->keys, sizeof *row->keys, row->count);
    if (near)
        return cli_fail(p, "%s: unknown key \"%s\", did you mean \"%s\"?", row->name, key, near);
    return cli_fail(p, "%s: unknown key \"%s\"", row->name, key);
}

static bool check_device_keys(struct cli_parse *p, const struct device_row *row,
                              const struct word_pairs *pairs)
{
    for (unsigned i = 0; i < pairs->count; i++) {
        if (strcmp(pairs->key[i], "driver") != 0 &&
            !check_device_key(p, row, pairs->key[i], pairs->value[i]))
            return false;
    }
    return true;
}

static bool keep_device(struct cli_parse *p, const struct word_pairs *pairs)
{
    struct vm_config *cfg = p->cfg;
    if (cfg->devices == CONFIG_MAX_DEVICES)
        return cli_fail(p, "more than %d", CONFIG_MAX_DEVICES);
    struct config_device *d = &cfg->device[cfg->devices++];
    *d = (struct config_device){0};
    for (unsigned i = 0; i < pairs->count; i++) {
        if (strcmp(pairs->key[i], "driver") == 0) {
            if (!word_set(&d->name, pairs->value[i], p->err))
                return false;
            continue;
        }
        if (d->count == CONFIG_MAX_KEYS)
            return cli_fail(p, "more than %d keys", CONFIG_MAX_KEYS);
        unsigned n = d->count++;
        if (!word_set(&d->key[n], pairs->key[i], p->err) ||
            !word_set(&d->value[n], pairs->value[i], p->err))
            return false;
    }
    return true;
}

static bool device_exit(struct cli_parse *p, const struct word_pairs *pairs)
{
    uint64_t base = CONFIG_EXIT_IOBASE, size = CONFIG_EXIT_IOSIZE;
    const char *iobase = word_pairs_get(pairs, "iobase"), *iosize = word_pairs_get(pairs, "iosize");
    if ((iobase && !word_u64(iobase, &base)) || base > UINT16_MAX)
        return cli_fail(p, "iobase=%s is not a port number", iobase);
    if ((iosize && !word_u64(iosize, &size)) || size < 1 || size > 8)
        return cli_fail(p, "iosize=%s is not a number from 1 to 8", iosize);
    if (base + size > UINT16_MAX + 1)
        return cli_fail(p, "iobase=%s: %u ports do not fit there", iobase, (unsigned)size);
    return keep_device(p, pairs);
}

static bool device_test(struct cli_parse *p, const struct word_pairs *pairs)
{
    for (unsigned i = 0; i < p->cfg->devices; i++) {
        if (strcmp(p->cfg->device[i].name, "pc-testdev") == 0)
            return cli_fail(p, "there is one pc-testdev, and it is given already");
    }
    return keep_device(p, pairs);
}

static bool device_ide(struct cli_parse *p, const struct word_pairs *pairs)
{
    p->cdrom_given = true; /* QEMU's reading: who places IDE drives places them all */
    return keep_device(p, pairs);
}

static bool device_floppy(struct cli_parse *p, const struct word_pairs *pairs)
{
    p->floppy_given = true;
    return keep_device(p, pairs);
}

/* "chardev:ID" as -serial and -debugcon also take it. */
static bool set_chardev(struct cli_parse *p, char **slot, const struct word_pairs *pairs)
{
    char spec[128];
    const char *id = word_pairs_get(pairs, "chardev");
    if (!id)
        return cli_fail(p, "%s: chardev= is missing", word_pairs_get(pairs, "driver"));
    snprintf(spec, sizeof spec, "chardev:%s", id);
    return word_set(slot, spec, p->err);
}

static bool device_debugcon(struct cli_parse *p, const struct word_pairs *pairs)
{
    const char *iobase = word_pairs_get(pairs, "iobase");
    const unsigned n = p->cfg->consoles;
    if (n == CONFIG_MAX_CONSOLES)
        return cli_fail(p, "isa-debugcon: there are %d at most", CONFIG_MAX_CONSOLES);
    p->cfg->console[n].port = p->cfg->debugcon_port;
    if (iobase && !parse_port(p, "iobase", iobase, &p->cfg->console[n].port))
        return false;
    p->cfg->consoles++;
    return set_chardev(p, &p->cfg->console[n].spec, pairs);
}

static bool device_serial(struct cli_parse *p, const struct word_pairs *pairs)
{
    if (p->cfg->serials == CONFIG_MAX_SERIAL)
        return cli_fail(p, "there are %d serial ports at most", CONFIG_MAX_SERIAL);
    p->serial_given = true;
    return set_chardev(p, &p->cfg->serial[p->cfg->serials++], pairs);
}

static bool device_vga(struct cli_parse *p, const struct word_pairs *pairs)
{
    const char *romfile = word_pairs_get(pairs, "romfile");
    if (p->vga_device)
        return cli_fail(p, "VGA: there is one video card, and it is given already");
    p->vga_device = true;
    if (romfile && !word_set(&p->cfg->vga_rom, romfile, p->err))
        return false;
    return word_set(&p->cfg->vga, "std", p->err);
}

/* As QEMU words it: scripts look there for what is to be had. */
void cli_device_help(void (*line)(void *, const char *), void *opaque)
{
    char text[256];
    for (unsigned i = 0; i < ARRAY_SIZE(device_rows); i++) {
        const struct device_row *row = &device_rows[i];
        snprintf(text, sizeof text, "name \"%s\", bus %s, desc \"%s\"", row->name, row->bus,
                 row->help);
        line(opaque, text);
    }
}

/* Well-known models of other emulators: refused as missing, not as misspelt. */
static bool is_foreign_device(const char *name)
{
    static const char *const prefixes[] = {
        "virtio",  "usb-",       "e1000",       "rtl8139", "ne2k",    "pcnet",       "vmxnet",
        "i825",    "nvme",       "scsi-",       "lsi",     "ahci",    "ich9",        "ide-drive",
        "isa-fdc", "qxl",        "cirrus",      "vmware",  "bochs-",  "AC97",        "intel-hda",
        "hda-",    "sb16",       "pci-bridge",  "pcie-",   "piix",    "nec-",        "qemu-",
        "vhost",   "ivshmem",    "pvpanic",     "edu",     "tpm",     "amd-",        "vfio",
        "ES1370",  "isa-cirrus", "pci-testdev", "testdev", "hyperv-", "intel-iommu", "isa-parallel",
        "kvm"};
    for (unsigned i = 0; i < ARRAY_SIZE(prefixes); i++) {
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    }
    return false;
}

static bool take_device(struct cli_parse *p, const char *name, const struct word_pairs *pairs)
{
    for (unsigned i = 0; i < ARRAY_SIZE(device_rows); i++) {
        if (strcmp(name, device_rows[i].name) == 0)
            return cli_help_asked(p, device_rows[i].keys, device_rows[i].count, pairs) ||
                   (check_device_keys(p, &device_rows[i], pairs) && device_rows[i].take(p, pairs));
    }
    if (is_foreign_device(name))
        return cli_fail(p, "there is no %s here yet, see -device help", name);
    const char *near =
        word_nearest(name, device_rows, sizeof *device_rows, ARRAY_SIZE(device_rows));
    if (near)
        return cli_fail(p, "unknown device \"%s\", did you mean \"%s\"?", name, near);
    return cli_fail(p, "unknown device \"%s\", see -device help", name);
}

bool cli_device(struct cli_parse *p, const char *arg)
{
    struct word_pairs pairs;
    if (!word_pairs_split(&pairs, arg, "driver", p->err))
        return error_prefix(p->err, "%s", p->option);
    const char *name = word_pairs_get(&pairs, "driver");
    bool ok = name ? take_device(p, name, &pairs) : cli_fail(p, "which? see -device help");
    word_pairs_free(&pairs);
    return ok;
}
