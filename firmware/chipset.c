/*
 * The board's own parts in the state that PC software expects to find: interrupt controllers and
 * timers, the PIIX3's IDE function, the PIIX4's power management.
 */
#include "ata.h"
#include "io.h"
#include "mode.h"
#include "pci.h"
#include "pci_init.h"
#include "post.h"
#include "print.h"
#include "timer.h"

#define PIIX3_IDE        PCI_DEVFN(1, 1)
#define PIIX3_IDE_ID     0x70108086
#define IDETIM           0x40 /* a word each for both channels */
#define IDETIM_DECODE    0x8000
#define BMIBA            0x20

#define PIIX4_PM         PCI_DEVFN(1, 3)
#define PIIX4_PM_ID      0x71138086
#define PMBASE           0x40
#define PMREGMISC        0x80
#define PMREGMISC_PMIOSE 0x01
#define SMBBA            0x90
#define SMBHSTCFG        0xD2
#define SMBHSTCFG_ENABLE 0x09 /* and IRQ 9 */
#define SMB_BASE         0x700
#define PM1_STATUS       0x00
#define PM1_CONTROL      0x04

/*
 * 8259A "Initialization Command Words": vectors 08h and 70h, the second on line 2 of the first. All
 * masked but the cascade, the timer and the coprocessor; who uses a line unmasks it.
 */
void pic_init(void)
{
    outb(PIC_MASTER, 0x11);     /* ICW1: edge-triggered, cascaded, ICW4 follows */
    outb(PIC_MASTER + 1, 0x08); /* ICW2 */
    outb(PIC_MASTER + 1, 0x04); /* ICW3 */
    outb(PIC_MASTER + 1, 0x01); /* ICW4: 8086 mode */
    outb(PIC_SLAVE, 0x11);
    outb(PIC_SLAVE + 1, 0x70);
    outb(PIC_SLAVE + 1, 0x02);
    outb(PIC_SLAVE + 1, 0x01);
    outb(PIC_MASTER + 1, 0xff & ~(BIT(0) | BIT(2)));
    outb(PIC_SLAVE + 1, 0xff & ~BIT(13 - 8));
}

/* 82C54: counter 0 ticks 18.2 times a second, 1 did the refresh on the AT, 2 is the speaker's. */
void pit_init(void)
{
    outb(0x43, 0x36); /* counter 0, both bytes, mode 3 */
    outb(0x40, 0);
    outb(0x40, 0);
    outb(0x43, 0x54); /* counter 1, low byte, mode 2 */
    outb(0x41, 18);
    outb(0x43, 0xb6); /* counter 2, both bytes, mode 3 */
    outb(0x42, 0x33); /* about 900 Hz */
    outb(0x42, 0x05);
}

/* 8237A: channel 4 of the pair is the cascade of the first controller; both are let go. */
void dma_init(void)
{
    outb(0x0d, 0); /* master clear */
    outb(0xda, 0);
    outb(0xd6, 0xc0); /* channel 4: cascade */
    outb(0xd4, 0x00);
}

/* PIIX4 §7.2 "Power Management Registers": the timer is what all waiting here goes by. */
void pm_init(void)
{
    if (pci_read32(PIIX4_PM, PCI_VENDOR_ID) != PIIX4_PM_ID) {
        debug("no PIIX4 power management\n");
        return;
    }
    pci_write32(PIIX4_PM, PMBASE, PM_BASE | 1);
    pci_write8(PIIX4_PM, PMREGMISC, PMREGMISC_PMIOSE);
    pci_write32(PIIX4_PM, SMBBA, SMB_BASE | 1);
    pci_write8(PIIX4_PM, SMBHSTCFG, SMBHSTCFG_ENABLE);
}

/* PIIX3 §2.3 "PCI Configuration Registers (function 1)": the ports of both channels. */
void ide_init(void)
{
    if (pci_read32(PIIX3_IDE, PCI_VENDOR_ID) != PIIX3_IDE_ID)
        return;
    pci_write16(PIIX3_IDE, IDETIM, IDETIM_DECODE);
    pci_write16(PIIX3_IDE, IDETIM + 2, IDETIM_DECODE);
    pci_write16(PIIX3_IDE, PCI_COMMAND,
                pci_read16(PIIX3_IDE, PCI_COMMAND) | PCI_COMMAND_IO | PCI_COMMAND_MASTER);
    SHARED(ide_bus_master) = (uint16_t)(pci_read32(PIIX3_IDE, BMIBA) & 0xfff0);
}
