/* See config.h. */
#include "config.h"

#include "core/log.h"
#include "core/words.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define RAM_MIN_BYTES (1 * MiB)
#define RAM_MAX_BYTES                                                           \
    (1 * TiB) /* 40 physical address bits, what the board's map is laid out for \
               */
#define RAM_UNIT (8 * KiB)

void vm_config_init(struct vm_config *cfg)
{
    *cfg = (struct vm_config){
        .ram_bytes = 128 * MiB,
        .smp = 1,
        .jit_threshold = 16, /* measured: to translate costs less than interpreting 16 times */
        .jit_chain = true,
        .jit_indirect = true,
        .shadow = true,
        .jit_find = true,
        .jit_fill = true,
        .jit_share = true,
        .jit_x87 = true,
        .jit_events = true,
        .topology = {1, 1, 1},
        .boot_menu_ms = -1,
        .boot_fail_ms = -1,
        .debugcon_port = 0xE9,
    };
}

static void free_strings(char **s, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        free(s[i]);
}

void vm_config_free(struct vm_config *cfg)
{
    char *plain[] = {
        cfg->name,        cfg->process_name, cfg->cpu,       cfg->machine,     cfg->bios,
        cfg->vga,         cfg->kernel,       cfg->initrd,    cfg->append,      cfg->boot_order,
        cfg->mux_monitor, cfg->parallel,     cfg->debugcon,  cfg->gdb,         cfg->log_file,
        cfg->pidfile,     cfg->vga_rom,      cfg->boot_once, cfg->pcspk_audio,
    };
    free_strings(plain, ARRAY_SIZE(plain));
    free_strings(cfg->data_dir, cfg->data_dirs);
    free_strings(cfg->serial, cfg->serials);
    free_strings(cfg->cpu_test, cfg->cpu_tests);
    free_strings(cfg->monitor, cfg->monitors);
    for (unsigned i = 0; i < cfg->consoles; i++)
        free(cfg->console[i].spec);
    for (unsigned i = 0; i < cfg->drives; i++) {
        free(cfg->drive[i].file);
        free(cfg->drive[i].format);
        free(cfg->drive[i].id);
    }
    for (unsigned i = 0; i < cfg->devices; i++) {
        free(cfg->device[i].name);
        free_strings(cfg->device[i].key, cfg->device[i].count);
        free_strings(cfg->device[i].value, cfg->device[i].count);
    }
    for (unsigned i = 0; i < cfg->audios; i++) {
        free(cfg->audio[i].id);
        free(cfg->audio[i].path);
    }
    for (unsigned i = 0; i < cfg->fw_cfgs; i++) {
        free(cfg->fw_cfg[i].name);
        free(cfg->fw_cfg[i].file);
        free(cfg->fw_cfg[i].string);
    }
    *cfg = (struct vm_config){0};
}

static bool check_memory(struct vm_config *cfg, struct error *err)
{
    if (cfg->ram_bytes < RAM_MIN_BYTES)
        return error_set(err, "-m: %llu bytes is too little, the firmware alone needs 1M",
                         (unsigned long long)cfg->ram_bytes);
    if (cfg->ram_bytes > RAM_MAX_BYTES)
        return error_set(err, "-m: more than 1T does not fit the board's 40 address bits");
    cfg->ram_bytes = (cfg->ram_bytes + RAM_UNIT - 1) / RAM_UNIT * RAM_UNIT;
    return true;
}

static struct config_drive *find_drive(struct vm_config *cfg, const char *id)
{
    for (unsigned i = 0; i < cfg->drives; i++) {
        if (cfg->drive[i].id && strcmp(cfg->drive[i].id, id) == 0)
            return &cfg->drive[i];
    }
    return NULL;
}

static const char *device_get(const struct config_device *d, const char *key)
{
    for (unsigned i = 0; i < d->count; i++) {
        if (strcmp(d->key[i], key) == 0)
            return d->value[i];
    }
    return NULL;
}

/* Number of key in -device, or fallback when it is not given; the command line checked digits. */
static uint64_t device_number(const struct config_device *d, const char *key, uint64_t fallback)
{
    uint64_t v = fallback;
    const char *s = device_get(d, key);
    if (s)
        word_u64(s, &v);
    return v;
}

static struct config_drive *add_empty(struct vm_config *cfg, struct error *err)
{
    if (cfg->drives == CONFIG_MAX_DRIVES) {
        error_set(err, "more than %d drives", CONFIG_MAX_DRIVES);
        return NULL;
    }
    struct config_drive *drive = &cfg->drive[cfg->drives++];
    *drive = (struct config_drive){.bus = DRIVE_NONE, .index = -1, .bootindex = -1};
    return drive;
}

/* The -drive that a -device names; a drive for media may go without. */
static struct config_drive *named_drive(struct vm_config *cfg, const struct config_device *d,
                                        struct error *err)
{
    const char *id = device_get(d, "drive");
    if (!id && strcmp(d->name, "ide-hd") != 0)
        return add_empty(cfg, err);
    struct config_drive *drive = id ? find_drive(cfg, id) : NULL;
    if (!id)
        error_set(err, "-device %s: drive= is missing", d->name);
    else if (!drive)
        error_set(err, "-device %s: there is no -drive with id=%s", d->name, id);
    else if (drive->bus != DRIVE_NONE)
        error_set(err, "-device %s: drive %s is in use already, give it if=none", d->name, id);
    else
        return drive;
    return NULL;
}

static bool attach_floppy(const struct config_device *d, struct config_drive *drive,
                          struct error *err)
{
    static const struct {
        const char *word;
        int kb;
    } types[] = {{"auto", 0}, {"120", 1200}, {"144", 1440}, {"288", 2880}};
    const char *word = device_get(d, "drive-type");
    unsigned i = 0;
    while (word && i < ARRAY_SIZE(types) && strcmp(types[i].word, word) != 0)
        i++;
    if (i == ARRAY_SIZE(types))
        return error_set(err, "-device floppy: drive-type=%s: there are auto, 120, 144 and 288",
                         word);
    if (drive->cdrom)
        return error_set(err, "-device floppy: drive %s has media=cdrom", drive->id);
    drive->bus = DRIVE_FLOPPY;
    drive->floppy_kb = types[i].kb;
    drive->index = device_get(d, "unit") ? (int)device_number(d, "unit", 0) : -1;
    return true;
}

static bool attach(struct vm_config *cfg, const struct config_device *d, struct error *err)
{
    const char *bus = device_get(d, "bus");
    struct config_drive *drive = named_drive(cfg, d, err);
    if (!drive)
        return false;
    drive->bootindex = (int)device_number(d, "bootindex", (uint64_t)-1);
    if (strcmp(d->name, "floppy") == 0)
        return attach_floppy(d, drive, err);
    drive->bus = DRIVE_IDE;
    drive->cdrom = strcmp(d->name, "ide-cd") == 0;
    if (!bus && !device_get(d, "unit"))
        return true; /* index stays -1: the next free one */
    uint64_t unit = device_number(d, "unit", 0);
    if (bus && strcmp(bus, "ide.0") != 0 && strcmp(bus, "ide.1") != 0)
        return error_set(err, "-device %s: no bus %s, there are ide.0 and ide.1", d->name, bus);
    if (unit > 1)
        return error_set(err, "-device %s: unit=%llu, a channel has units 0 and 1", d->name,
                         (unsigned long long)unit);
    drive->index = (bus && bus[4] == '1' ? 2 : 0) + (int)unit;
    return true;
}

static void drop_device(struct vm_config *cfg, unsigned n)
{
    struct config_device *d = &cfg->device[n];
    free(d->name);
    free_strings(d->key, d->count);
    free_strings(d->value, d->count);
    memmove(d, d + 1, (cfg->devices - n - 1) * sizeof *d);
    cfg->devices--;
}

static bool attach_drives(struct vm_config *cfg, struct error *err)
{
    for (unsigned i = 0; i < cfg->devices;) {
        const char *name = cfg->device[i].name;
        if (strcmp(name, "ide-hd") != 0 && strcmp(name, "ide-cd") != 0 &&
            strcmp(name, "floppy") != 0) {
            i++;
            continue;
        }
        if (!attach(cfg, &cfg->device[i], err))
            return false;
        drop_device(cfg, i);
    }
    return true;
}

void config_drive_name(const struct config_drive *d, char name[CONFIG_DRIVE_NAME])
{
    if (d->id)
        snprintf(name, CONFIG_DRIVE_NAME, "%s", d->id);
    else if (d->bus == DRIVE_FLOPPY)
        snprintf(name, CONFIG_DRIVE_NAME, "floppy%d", d->index);
    else if (d->bus == DRIVE_IDE)
        snprintf(name, CONFIG_DRIVE_NAME, "ide%d-%s%d", d->index / 2, d->cdrom ? "cd" : "hd",
                 d->index % 2);
    else
        snprintf(name, CONFIG_DRIVE_NAME, "none%d", d->index);
}

/* What to call a drive in a message. */
static const char *drive_words(const struct config_drive *d)
{
    return d->file                  ? d->file
           : d->bus == DRIVE_FLOPPY ? "an empty floppy drive"
                                    : "an empty CD drive";
}

struct places {
    enum drive_if bus;
    unsigned count;
    const char *no_index, *full, *name; /* of a bus, of a place: the name and a letter */
};

/* Drives with a place of their own first, then the others in the order they were given. */
static bool place_drives(struct vm_config *cfg, const struct places *places, struct error *err)
{
    const struct config_drive *at[CONFIG_MAX_IDE] = {0};
    for (unsigned i = 0; i < cfg->drives; i++) {
        struct config_drive *d = &cfg->drive[i];
        if (d->bus != places->bus || d->index < 0)
            continue;
        if ((unsigned)d->index >= places->count)
            return error_set(err, "%s: index=%d, but %s", drive_words(d), d->index,
                             places->no_index);
        if (at[d->index])
            return error_set(err, "%s and %s are both to be %s%c; give one another index=",
                             drive_words(at[d->index]), drive_words(d), places->name,
                             'a' + d->index);
        at[d->index] = d;
    }
    for (unsigned i = 0, next = 0; i < cfg->drives; i++) {
        struct config_drive *d = &cfg->drive[i];
        if (d->bus != places->bus || d->index >= 0)
            continue;
        while (next < places->count && at[next])
            next++;
        if (next == places->count)
            return error_set(err, "%s: no place left, %s at most", drive_words(d), places->full);
        at[next] = d;
        d->index = (int)next;
    }
    return true;
}

/* QEMU's default machine has an empty CD-ROM drive as hdc, and a floppy drive. */
static bool add_default(struct vm_config *cfg, enum drive_if bus, int index, struct error *err)
{
    for (unsigned i = 0; i < cfg->drives; i++)
        if (cfg->drive[i].bus == bus && cfg->drive[i].index == index)
            return true;
    struct config_drive *d = add_empty(cfg, err);
    if (!d)
        return false;
    d->bus = bus;
    d->index = index;
    d->cdrom = bus == DRIVE_IDE;
    return true;
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return strcmp(a, b) == 0 || (stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_ino == y.st_ino &&
                                 x.st_dev == y.st_dev && S_ISREG(x.st_mode));
}

static bool writes(const struct config_drive *d)
{
    return !d->cdrom && !d->readonly && !d->snapshot;
}

/* The second would find the image locked, and be told of another program. */
static bool check_shared(const struct config_drive *a, const struct config_drive *b,
                         struct error *err)
{
    char first[CONFIG_DRIVE_NAME], second[CONFIG_DRIVE_NAME];
    if (!a->file || !b->file || (!writes(a) && !writes(b)) || !same_file(a->file, b->file))
        return true;
    config_drive_name(a, first);
    config_drive_name(b, second);
    return error_set(err,
                     "%s is given twice, as %s and as %s, and written to; -snapshot or readonly=on "
                     "lets two drives share it",
                     b->file, first, second);
}

static bool check_drives(struct vm_config *cfg, struct error *err)
{
    for (unsigned i = 0; i < cfg->drives; i++) {
        struct config_drive *d = &cfg->drive[i];
        if (d->file && !*d->file) {
            free(d->file);
            d->file = NULL;
        }
        if (!d->file && !d->cdrom && d->bus == DRIVE_IDE)
            return error_set(err, "-drive: file= is missing");
        for (unsigned j = 0; d->id && j < i; j++) {
            if (cfg->drive[j].id && strcmp(cfg->drive[j].id, d->id) == 0)
                return error_set(err, "-drive: id=%s is used twice", d->id);
        }
        d->snapshot |= cfg->snapshot;
    }
    static const struct places ide = {DRIVE_IDE, CONFIG_MAX_IDE, "IDE has places 0 to 3",
                                      "there are four IDE drives", "hd"};
    static const struct places floppy = {DRIVE_FLOPPY, CONFIG_MAX_FLOPPY,
                                         "there are floppy drives 0 and 1",
                                         "there are two floppy drives", "fd"};
    if (!attach_drives(cfg, err) || !place_drives(cfg, &ide, err) ||
        !place_drives(cfg, &floppy, err))
        return false;
    for (unsigned i = 0; i < cfg->drives; i++) {
        const struct config_drive *d = &cfg->drive[i];
        if (!d->file && !config_drive_removable(d) && d->bus == DRIVE_IDE)
            return error_set(err, "-device ide-hd: drive %s has no file=", d->id);
        for (unsigned j = 0; j < i; j++) {
            if (!check_shared(&cfg->drive[j], d, err))
                return false;
        }
    }
    return (!cfg->default_cdrom || add_default(cfg, DRIVE_IDE, 2, err)) &&
           (!cfg->default_floppy || add_default(cfg, DRIVE_FLOPPY, 0, err));
}

static bool uses_stdio(const char *spec)
{
    return spec && (strcmp(spec, "stdio") == 0 || strcmp(spec, "mon:stdio") == 0);
}

struct stdio_user {
    const char *what; /* NULL: nobody yet */
    struct error *err;
};

/* The terminal has one reader; mon:stdio is how a serial port and the monitor share it. */
static bool one_more(struct stdio_user *user, const char *what, const char *spec)
{
    if (!uses_stdio(spec))
        return true;
    if (user->what && strcmp(user->what, what) == 0)
        return error_set(user->err, "two %s cannot both use stdio", what);
    if (user->what)
        return error_set(user->err, "%s and %s cannot both use stdio%s", user->what, what,
                         strcmp(user->what, "-serial") == 0 && strcmp(what, "-monitor") == 0
                             ? "; -serial mon:stdio lets them share it"
                             : "");
    user->what = what;
    return true;
}

static bool check_stdio(const struct vm_config *cfg, struct error *err)
{
    struct stdio_user user = {NULL, err};
    bool ok = true;
    for (unsigned i = 0; i < cfg->serials; i++)
        ok = ok && one_more(&user, "-serial", cfg->serial[i]);
    for (unsigned i = 0; i < cfg->monitors; i++)
        ok = ok && one_more(&user, "-monitor", cfg->monitor[i]);
    ok = ok && one_more(&user, "-parallel", cfg->parallel) &&
         one_more(&user, "-debugcon", cfg->debugcon) && one_more(&user, "-gdb", cfg->gdb);
    for (unsigned i = 0; i < cfg->consoles; i++)
        ok = ok && one_more(&user, "-device isa-debugcon", cfg->console[i].spec);
    return ok;
}

const struct config_audio *config_audio_find(const struct vm_config *cfg, const char *id)
{
    for (unsigned i = 0; i < cfg->audios; i++) {
        if (strcmp(cfg->audio[i].id, id) == 0)
            return &cfg->audio[i];
    }
    return NULL;
}

static bool check_audio(const struct vm_config *cfg, struct error *err)
{
    return !cfg->pcspk_audio || config_audio_find(cfg, cfg->pcspk_audio) ||
           error_set(err, "-machine: pcspk-audiodev=%s, but there is no -audiodev with id=%s",
                     cfg->pcspk_audio, cfg->pcspk_audio);
}

bool vm_config_check(struct vm_config *cfg, struct error *err)
{
    if (!cfg->kernel && (cfg->initrd || cfg->append))
        return error_set(err, "%s does nothing without -kernel",
                         cfg->initrd ? "-initrd" : "-append");
    if (cfg->vga_rom && cfg->vga && !strcmp(cfg->vga, "none"))
        return error_set(err, "VGA.romfile does nothing with -vga none");
    return check_memory(cfg, err) && check_drives(cfg, err) && check_stdio(cfg, err) &&
           check_audio(cfg, err);
}

const struct config_log_item config_log_items[] = {
    {"int", LOG_INT, "interrupts and exceptions as they are delivered"},
    {"cpu_reset", LOG_RESET, "CPU state at resets and triple faults"},
    {"guest_errors", LOG_GUEST, "what the guest did that real hardware answers badly to"},
    {"unimp", LOG_UNIMP, "use of what Vitrine does not have, each time"},
    {"in_asm", LOG_ASM, "guest code as it is decoded"},
    {"out_asm", LOG_OUT, "translated code, beside the guest code it stands for"},
    {"exec", LOG_EXEC, "each block of guest code as it is entered"},
    {"post", LOG_POST, "progress codes of firmware or a test ROM, each new byte at port 80h"},
    {"nochain", 0, "nothing to do: every block shows in exec"},
    {NULL, 0, NULL},
};

/* QEMU's others, so that they can be refused by name rather than as misspellings. */
static bool is_qemu_item(const char *name)
{
    static const char *const items[] = {"op",   "op_opt", "op_ind", "cpu", "fpu", "mmu", "pcall",
                                        "page", "strace", "plugin", "vpu", "all", "tid"};
    for (unsigned i = 0; i < ARRAY_SIZE(items); i++) {
        if (strcmp(name, items[i]) == 0)
            return true;
    }
    return false;
}

static bool log_item(const char *name, uint32_t *mask, struct error *err)
{
    for (const struct config_log_item *item = config_log_items; item->name; item++) {
        if (strcmp(name, item->name) == 0) {
            *mask |= item->mask;
            return true;
        }
    }
    if (is_qemu_item(name) || strncmp(name, "trace:", 6) == 0)
        return error_set(err, "%s is not logged here yet, see -d help", name);
    const char *near =
        word_nearest(name, config_log_items, sizeof *config_log_items, 6 /* all but nochain */);
    if (near)
        return error_set(err, "unknown log item \"%s\", did you mean \"%s\"?", name, near);
    return error_set(err, "unknown log item \"%s\", see -d help", name);
}

bool config_log_mask(const char *items, uint32_t *mask, struct error *err)
{
    char name[64];
    *mask = 0;
    while (*items) {
        size_t len = strcspn(items, ",");
        if (len >= sizeof name)
            return error_set(err, "unknown log item \"%.20s...\"", items);
        memcpy(name, items, len);
        name[len] = '\0';
        if (len && !log_item(name, mask, err))
            return false;
        items += len + (items[len] == ',');
    }
    return true;
}
