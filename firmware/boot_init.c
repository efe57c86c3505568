/*
 * Makes the boot list: what can be booted, in the order that the emulator asks for. "bootorder"
 * names devices by their Open Firmware paths, a line each; what it does not name comes after, by
 * its kind, in the order of the CMOS RAM (-boot order=); the line "HALT" leaves those out.
 */
#include "boot.h"

#include "drive.h"
#include "fwcfg.h"
#include "io.h"
#include "post.h"
#include "print.h"

#define CMOS_BOOT_FLAGS_1 0x38 /* 7:4 third */
#define CMOS_BOOT_FLAGS_2 0x3d /* 3:0 first, 7:4 second */

#define PRIORITY_KIND     100 /* and 101, 102 */
#define PRIORITY_LAST     110

#define ORDER_BYTES       4096u
#define MENU_WAIT_MS      2500

static char order[ORDER_BYTES]; /* lines, each ended by a NUL; an empty one ends all */
static bool halt;

static void read_order(void)
{
    struct fwcfg_file f;
    if (!fwcfg_find("bootorder", &f))
        return;
    const uint32_t bytes = MIN(f.size, ORDER_BYTES - 2);
    fwcfg_read(f.key, order, bytes);
    for (uint32_t i = 0; i < bytes; i++)
        if (order[i] == '\n')
            order[i] = 0;
    for (const char *line = order; *line; line += strlen(line) + 1)
        if (!strcmp(line, "HALT"))
            halt = true;
}

typedef bool matcher(const char *line, const void *what);

static int place(matcher *matches, const void *what)
{
    int n = 0;
    for (const char *line = order; *line; line += strlen(line) + 1, n++)
        if (matches(line, what))
            return MIN(n, PRIORITY_KIND - 1);
    return -1;
}

static bool same_path(const char *line, const void *path)
{
    return !strcmp(line, path);
}

/* "/pci@i0cf8/NAME@DEV" or "@DEV,FN", in hex, and whatever follows. */
static bool same_function(const char *line, const void *what)
{
    static const char root[] = "/pci@i0cf8/";
    const uint16_t bdf = *(const uint16_t *)what;
    if (strncmp(line, root, sizeof root - 1))
        return false;
    line += sizeof root - 1;
    while (*line && *line != '/' && *line != '@')
        line++;
    unsigned number[2] = {0, 0};
    if (*line != '@')
        return false;
    for (unsigned n = 0; n < 2 && (n == 0 || *line == ','); n++)
        for (line++; (*line >= '0' && *line <= '9') || (*line >= 'a' && *line <= 'f'); line++)
            number[n] = number[n] * 16 + (unsigned)(*line <= '9' ? *line - '0' : *line - 'a' + 10);
    return bdf == (number[0] << 3 | number[1]);
}

/* By the CMOS RAM: 1 diskettes, 2 disks, 3 CDs, 4 network, that is option ROMs. */
static unsigned kind_priority(enum boot_kind kind)
{
    static const uint8_t numbers[] = {
        [BOOT_FLOPPY] = 1, [BOOT_DISK] = 2, [BOOT_CD] = 3, [BOOT_BEV] = 4, [BOOT_BCV] = 2};
    const uint8_t second = cmos_read(CMOS_BOOT_FLAGS_2);
    const uint8_t kinds[3] = {second & 0xf, second >> 4, cmos_read(CMOS_BOOT_FLAGS_1) >> 4};
    for (unsigned i = 0; i < 3; i++)
        if (kinds[i] == numbers[kind])
            return PRIORITY_KIND + i;
    return PRIORITY_LAST;
}

static void add(const struct boot_entry *e, int at)
{
    struct boot_entry *list = SHARED(boot_list);
    if (SHARED(boot_count) == BOOT_MAX) {
        print("Boot list: no room for %s\n", e->name);
        return;
    }
    struct boot_entry new = *e;
    new.priority = (uint8_t)(at >= 0 ? (unsigned)at : kind_priority(e->kind));
    new.skip = at < 0 && halt;
    unsigned i = SHARED(boot_count)++;
    for (; i && list[i - 1].priority > new.priority; i--)
        list[i] = list[i - 1];
    list[i] = new;
}

static void set_name(struct boot_entry *e, const char *a, const char *b)
{
    unsigned n = 0;
    while (*a && n < BOOT_NAME_BYTES - 1)
        e->name[n++] = *a++;
    while (*b && n < BOOT_NAME_BYTES - 1)
        e->name[n++] = *b++;
    e->name[n] = 0;
}

void boot_add_rom(enum boot_kind kind, uint16_t seg, uint16_t off, const char *name,
                  const struct boot_source *source, unsigned instance)
{
    struct boot_entry e = {.kind = (uint8_t)kind, .seg = seg, .off = off};
    char path[80] = "/rom@";
    int at = -1;
    (void)instance; /* the headers of one ROM keep their order */
    set_name(&e, name, "");
    if (source->is_pci) {
        at = place(same_function, &source->bdf);
    } else {
        for (unsigned i = 0; source->name[i] && i + 6 < sizeof path; i++)
            path[5 + i] = source->name[i], path[6 + i] = 0;
        at = place(same_path, path);
    }
    add(&e, at);
}

static void add_drive(const struct drive *d)
{
    struct boot_entry e = {.drive = d->index};
    char path[] = "/pci@i0cf8/ide@1,1/drive@0/disk@0";
    char floppy[] = "/pci@i0cf8/isa@1/fdc@03f0/floppy@0";
    if (d->kind == DRIVE_FLOPPY) {
        e.kind = BOOT_FLOPPY;
        floppy[sizeof floppy - 2] = (char)('0' + d->unit);
        set_name(&e, d->unit ? "diskette drive B" : "diskette drive A", "");
        add(&e, place(same_path, floppy));
        return;
    }
    e.kind = d->kind == DRIVE_ATAPI ? BOOT_CD : BOOT_DISK;
    path[25] = (char)('0' + d->channel);
    path[sizeof path - 2] = (char)('0' + d->unit);
    set_name(&e, e.kind == BOOT_CD ? "CD drive " : "disk ", d->model);
    add(&e, place(same_path, path));
}

static void read_options(void)
{
    struct fwcfg_file f;
    uint16_t wait = MENU_WAIT_MS;
    uint32_t fail = 0xffffffff;
    if (fwcfg_find("etc/boot-menu-wait", &f))
        fwcfg_read(f.key, &wait, sizeof wait);
    if (fwcfg_find("etc/boot-fail-wait", &f))
        fwcfg_read(f.key, &fail, sizeof fail);
    SHARED(boot_menu) = fwcfg_u16(FWCFG_BOOT_MENU) != 0;
    SHARED(boot_menu_ms) = wait;
    SHARED(boot_fail_ms) = fail;
}

/* Before option ROMs, which add themselves. */
void boot_order_init(void)
{
    read_order();
    read_options();
}

void boot_drives_init(void)
{
    for (unsigned i = 0; i < DRIVES; i++)
        if (SHARED(drives)[i].kind != DRIVE_NONE)
            add_drive(&SHARED(drives)[i]);
}
