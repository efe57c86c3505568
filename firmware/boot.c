/*
 * INT 19h: boots the first entry of the list that can be; INT 18h: the one before gave up, go on
 * with the next. Every attempt says what is booted, and why not if it cannot be.
 */
#include "boot.h"

#include "bda.h"
#include "disk.h"
#include "eltorito.h"
#include "io.h"
#include "menu.h"
#include "pnp.h"
#include "print.h"
#include "timer.h"
#include "vectors.h"

#define BOOT_SEG            0x07C0
#define BOOT_ADDRESS        0x7C00
#define BOOT_SIGNATURE      0xAA55
#define SIGNATURE_OFFSET    510

#define CMOS_BOOT_FLAGS     0x38
#define NO_FLOPPY_SIGNATURE BIT(0)

#define REBOOT_NEVER        0xffffffff

struct boot_entry boot_list[BOOT_MAX];
uint8_t boot_count;
uint8_t boot_menu;
uint16_t boot_menu_ms;
uint32_t boot_fail_ms;

static uint8_t boot_next; /* of the list */

/* Never returns; what runs there may come back by INT 18h or by returning. entry16.S */
void boot_jump(uint16_t seg, uint16_t off, uint8_t drive, uint16_t pnp) __attribute__((noreturn));

static void start(uint16_t seg, uint16_t off, uint8_t drive)
{
    boot_jump(seg, off, drive, pnp_offset);
}

/* ---- one attempt: returns why it failed ---- */

static const char *boot_sector(const struct boot_entry *e, uint8_t number)
{
    uint16_t count = 1;
    struct disk_op op = {&drives[e->drive], DISK_READ, 0, count, BOOT_ADDRESS};
    far_write16(BOOT_SEG, SIGNATURE_OFFSET, 0);
    uint8_t status = disk_transfer(&op);
    if (status && e->kind == BOOT_FLOPPY) /* the disk was just put in */
        op.count = 1, status = disk_transfer(&op);
    if (status == DISK_TIMEOUT && e->kind == BOOT_FLOPPY)
        return "no disk in the drive";
    if (status)
        return "its first sector cannot be read";
    const bool ask = e->kind != BOOT_FLOPPY || !(cmos_read(CMOS_BOOT_FLAGS) & NO_FLOPPY_SIGNATURE);
    if (ask && far_read16(BOOT_SEG, SIGNATURE_OFFSET) != BOOT_SIGNATURE)
        return "no boot signature (55h AAh) at the end of its first sector";
    start(0, BOOT_ADDRESS, number);
    return NULL;
}

static const char *boot_cd(const struct boot_entry *e)
{
    uint8_t cd = 0, number;
    uint16_t seg;
    while (cd < cd_count && cd_ids[cd] != e->drive)
        cd++;
    const char *why =
        eltorito_load(&drives[e->drive], (uint8_t)(CD_FIRST_NUMBER + cd), &seg, &number);
    if (why)
        return why;
    /* 07C0:0000 is where many expect to be at 0000:7C00 */
    if (seg == BOOT_SEG)
        start(0, BOOT_ADDRESS, number);
    else
        start(seg, 0, number);
    return NULL;
}

static const char *attempt(const struct boot_entry *e)
{
    cd_emulation.active = false;
    switch (e->kind) {
    case BOOT_FLOPPY:
        return boot_sector(e, drives[e->drive].unit);
    case BOOT_DISK:
        disk_make_first(e->drive);
        return boot_sector(e, 0x80);
    case BOOT_CD:
        return boot_cd(e);
    case BOOT_BEV:
        start(e->seg, e->off, 0);
        return NULL;
    default:
        return "not something to boot from";
    }
}

static void boot_entry_number(uint8_t n)
{
    const struct boot_entry *e = &boot_list[n];
    boot_next = (uint8_t)(n + 1);
    print("Booting from %s\n", e->name);
    const char *why = attempt(e);
    print("  %s: %s\n", e->name, why);
}

/* ---- when nothing boots ---- */

static void restart(void)
{
    BDA->warm_boot = 0;
    outb(0xcf9, 0x02);
    outb(0xcf9, 0x06);
    outb(0x64, 0xfe);
    for (;;)
        wait_irq();
}

static void nothing_boots(void)
{
    print("\nNo bootable device. Tried:");
    if (!boot_count)
        print(" nothing, since there is no disk, diskette or CD drive");
    for (unsigned i = 0; i < boot_count; i++)
        if (!boot_list[i].skip && boot_list[i].kind != BOOT_BCV)
            print("%s %s", i ? "," : "", boot_list[i].name);
    print(".\n");
    if (boot_fail_ms == REBOOT_NEVER)
        for (;;)
            wait_irq();
    print("Starting again in %u seconds.\n", (boot_fail_ms + 999) / 1000);
    struct timeout t = timeout_ms(MIN(boot_fail_ms, 1000000u));
    while (!timed_out(&t))
        wait_irq();
    restart();
}

static void go_on(void)
{
    for (uint8_t n; (n = boot_next) < boot_count;)
        if (boot_list[n].skip || boot_list[n].kind == BOOT_BCV)
            boot_next = (uint8_t)(n + 1);
        else
            boot_entry_number(n);
    nothing_boots();
}

void handle_18(struct bregs *r)
{
    (void)r;
    if (boot_next)
        print("  %s: it gave up\n", boot_list[boot_next - 1].name);
    go_on();
}

void handle_19(struct bregs *r)
{
    (void)r;
    boot_next = 0;
    go_on();
}

/* The first time, from POST. */
uint32_t boot_start(uint32_t unused)
{
    (void)unused;
    const int choice = boot_menu ? menu_choose() : -1;
    boot_next = 0;
    if (choice >= 0)
        boot_entry_number((uint8_t)choice);
    boot_next = 0;
    go_on();
    return 0;
}
