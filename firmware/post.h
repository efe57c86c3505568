/* The phases of POST, in files by subject; post.c has their order. 32-bit code. */
#ifndef FIRMWARE_POST_H
#define FIRMWARE_POST_H

#include "post16.h"

/* shadow.c */
void shadow_open(void);
void shadow_close(void);

/* chipset.c */
void pic_init(void);
void pit_init(void);
void dma_init(void);
void pm_init(void);
void ide_init(void);

/* smp.c */
void apic_init(void);
void smp_init(void);

/* ram.c */
void ram_init(void);

/* bda_init.c */
void vectors_init(void);
void bda_init(void);

/* ports.c, kbd_init.c, rtc_init.c */
void ports_init(void);
void keyboard_init(void);
void rtc_init(void);

/* pci_init.c */
void pci_init(void);

/* pnp.c */
void pnp_init(void);
void pir_init(void);
uint8_t zero_sum(const void *data, uint32_t bytes); /* the byte that makes the sum 0 */

/* bios32.c */
void bios32_init(void);

/* acpi.c, smbios.c, mptable.c */
void acpi_init(void);
void smbios_init(void);
void mptable_init(void);

/* option_rom.c */
void video_rom_init(void);
void video_font_init(void);
void option_roms_init(void);

/* boot_init.c */
void boot_order_init(void);
void boot_drives_init(void);

#endif
