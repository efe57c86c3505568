/*
 * See cmos.h. Where what stands is an agreement of PC firmware, for 10h to 33h as old as the AT
 * (Ralf Brown's CMOS.LST), for the rest between SeaBIOS and the emulators it runs on.
 */
#include "bios/cmos.h"
#include "devices/i440fx.h"

enum {
    CMOS_FLOPPY_TYPES = 0x10,
    CMOS_DISK_TYPES = 0x12, /* 7:4 the first disk's, 3:0 the second's; 15: see 19h, 1Ah */
    CMOS_EQUIPMENT = 0x14,
    CMOS_BASE_KIB = 0x15,
    CMOS_EXTENDED_KIB = 0x17,
    CMOS_DISK_TYPE_EXT = 0x19, /* and 1Ah */
    CMOS_DISK_GEOMETRY = 0x1b, /* nine bytes a disk, two of them */
    CMOS_EXTENDED_KIB_FOUND = 0x30,
    CMOS_ABOVE_16M_64KIB = 0x34,
    CMOS_BOOT_FLAGS_1 = 0x38,     /* 7:4 third boot device; 0: no floppy signature check */
    CMOS_DISK_TRANSLATION = 0x39, /* two bits a disk */
    CMOS_BOOT_FLAGS_2 = 0x3d,     /* 3:0 first boot device, 7:4 second */
    CMOS_ABOVE_4G_64KIB = 0x5b,
    CMOS_CPUS_MORE = 0x5f,

    EQUIPMENT_FLOPPY = BIT(0), /* and in 7:6 how many beyond the first */
    EQUIPMENT_FPU = BIT(1),
    EQUIPMENT_PS2_MOUSE = BIT(2),

    DISK_TYPE_USER = 47,
    TRANSLATION_NONE = 0,
    TRANSLATION_LBA = 1,
};

struct cmos {
    void (*set)(void *opaque, uint8_t index, uint8_t value);
    void *opaque;
};

static void put(const struct cmos *c, unsigned index, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        c->set(c->opaque, (uint8_t)(index + i), (uint8_t)(v >> (8 * i)));
}

static uint64_t above(uint64_t ram, uint64_t start, uint64_t unit)
{
    return ram > start ? MIN((ram - start) / unit, 0xffff) : 0;
}

static void fill_memory(const struct cmos *c, uint64_t ram_bytes)
{
    uint64_t below_4g, above_4g;
    i440fx_split_ram(ram_bytes, &below_4g, &above_4g);
    put(c, CMOS_BASE_KIB, MIN(below_4g / KiB, 640), 2);
    put(c, CMOS_EXTENDED_KIB, above(below_4g, MiB, KiB), 2);
    put(c, CMOS_EXTENDED_KIB_FOUND, above(below_4g, MiB, KiB), 2);
    put(c, CMOS_ABOVE_16M_64KIB, above(below_4g, 16 * MiB, 64 * KiB), 2);
    put(c, CMOS_ABOVE_4G_64KIB, MIN(above_4g / (64 * KiB), 0xffffff), 3);
}

/* SeaBIOS' numbers for -boot's letters; 0 ends the list. */
static uint8_t boot_device(char letter)
{
    switch (letter) {
    case 'a':
    case 'b':
        return 1; /* floppy */
    case 'c':
        return 2; /* disk */
    case 'd':
        return 3; /* CD */
    case 'n':
        return 4; /* network */
    default:
        return 0;
    }
}

static void fill_boot_order(const struct cmos *c, const struct vm_config *cfg, const char *order)
{
    uint8_t device[3] = {0};
    unsigned n = 0;
    for (const char *p = order ? order : "cad"; *p && n < ARRAY_SIZE(device); p++)
        if (boot_device(*p))
            device[n++] = boot_device(*p);
    put(c, CMOS_BOOT_FLAGS_2, device[1] << 4 | device[0], 1);
    put(c, CMOS_BOOT_FLAGS_1, (uint64_t)(device[2] << 4 | cfg->no_fd_bootchk), 1);
}

void bios_fill_boot_order(const struct vm_config *cfg, const char *order,
                          void (*set)(void *, uint8_t, uint8_t), void *opaque)
{
    const struct cmos c = {set, opaque};
    fill_boot_order(&c, cfg, order);
}

static void fill_floppies(const struct cmos *c, const uint8_t type[CONFIG_MAX_FLOPPY])
{
    const unsigned count = (type[0] != 0) + (type[1] != 0);
    unsigned equipment = EQUIPMENT_FPU | EQUIPMENT_PS2_MOUSE;
    if (count)
        equipment |= EQUIPMENT_FLOPPY | (count - 1) << 6;
    put(c, CMOS_FLOPPY_TYPES, (uint64_t)(type[0] << 4 | type[1]), 1);
    put(c, CMOS_EQUIPMENT, equipment, 1);
}

void bios_fill_cmos(const struct vm_config *cfg, const uint8_t floppy[CONFIG_MAX_FLOPPY],
                    void (*set)(void *, uint8_t, uint8_t), void *opaque)
{
    const struct cmos c = {set, opaque};
    fill_memory(&c, cfg->ram_bytes);
    fill_floppies(&c, floppy);
    fill_boot_order(&c, cfg, cfg->boot_once ? cfg->boot_once : cfg->boot_order);
    put(&c, CMOS_CPUS_MORE, cfg->smp - 1, 1);
}

/* What fits INT 13h's 1024 cylinders needs no translation; all else is addressed by blocks. */
static unsigned translation(const struct bios_disk *d)
{
    return d->cylinders <= 1024 && d->heads <= 16 ? TRANSLATION_NONE : TRANSLATION_LBA;
}

static void fill_geometry(const struct cmos *c, unsigned index, const struct bios_disk *d)
{
    put(c, index, d->cylinders, 2);
    put(c, index + 2, d->heads, 1);
    put(c, index + 3, 0xffff, 2);                        /* no write precompensation */
    put(c, index + 5, 0xc0 | (d->heads > 8 ? 8 : 0), 1); /* control byte: no retries */
    put(c, index + 6, d->cylinders, 2);                  /* landing zone */
    put(c, index + 8, d->sectors, 1);
}

void bios_fill_cmos_disks(const struct bios_disk disk[CONFIG_MAX_IDE],
                          void (*set)(void *, uint8_t, uint8_t), void *opaque)
{
    const struct cmos c = {set, opaque};
    unsigned types = 0, translations = 0;
    for (unsigned i = 0; i < CONFIG_MAX_IDE; i++) {
        if (!disk[i].sectors)
            continue;
        translations |= translation(&disk[i]) << (2 * i);
        if (i >= 2)
            continue;
        types |= i == 0 ? 0xf0 : 0x0f;
        put(&c, CMOS_DISK_TYPE_EXT + i, DISK_TYPE_USER, 1);
        fill_geometry(&c, CMOS_DISK_GEOMETRY + 9 * i, &disk[i]);
    }
    put(&c, CMOS_DISK_TYPES, types, 1);
    put(&c, CMOS_DISK_TRANSLATION, translations, 1);
}
