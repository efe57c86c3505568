/*
 * The power-on sequence. Before: protected mode, flat 32-bit segments, interrupts off, stack at
 * POST_STACK_TOP (reset.S). Each phase is one call, and shows its number on port 80h first, so that
 * a board that hangs tells where.
 */
#include "post.h"

#include "boot.h"
#include "fwcfg.h"
#include "drive.h"
#include "io.h"
#include "post16.h"
#include "print.h"
#include "vectors.h"

#define POST_PORT 0x80

static void code(uint8_t phase)
{
    outb(POST_PORT, phase);
}

/* A far call to what POST needs of the 16-bit code. */
uint32_t call_service(service_fn *fn, uint32_t argument)
{
    struct bregs r = {
        .cs = CODE_SEG,
        .ip = (uint16_t)(uintptr_t)service_entry,
        .eax = (uint32_t)(uintptr_t)fn,
        .edx = argument,
    };
    call_iret(&r);
    return r.eax;
}

/* The video BIOS need not have set a mode when it came up. */
static void banner(void)
{
    struct bregs r = {.ax = 0x0003}; /* 80x25 text */
    call_int(0x10, &r);
    print("Vitrine BIOS\n");
}

void post(void);
extern uint32_t real_mode_data; /* entry16.S: the selector that real mode's limits are of */

void post(void)
{
    code(0x01);
    shadow_open(); /* from here on 16-bit code and its data are in place */
    code(0x02);
    fwcfg_init();
    ram_init();
    code(0x03);
    pic_init();
    pit_init();
    dma_init();
    apic_init();
    code(0x04);
    vectors_init();
    bda_init();
    ports_init();
    SHARED(serial_console) = fwcfg_u16(FWCFG_NOGRAPHIC) != 0;
    code(0x10);
    pm_init();
    pci_init();
    ide_init();
    code(0x20);
    pnp_init();
    video_rom_init();
    video_font_init();
    banner();
    code(0x30);
    rtc_init();
    keyboard_init();
    smp_init();
    code(0x38);
    pir_init();
    bios32_init();
    mptable_init();
    smbios_init();
    acpi_init();
    code(0x40);
    call_service(ata_detect, 0);
    call_service(floppy_detect, 0);
    code(0x50);
    boot_order_init();
    boot_drives_init();
    option_roms_init();
    call_service(disk_assign, 0);
    code(0x70);
    shadow_close();
    code(0xff);
    real_mode_data = SEL_DATA16;
    call_service(boot_start, 0);
}
