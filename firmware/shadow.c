/*
 * Shadow RAM: the RAM of C0000h to FFFFFh lies under the ROM and is uncovered, 16 KiB at a time, by
 * the host bridge's PAM registers (82441FX §3.2.18 "PAM - Programmable Attribute Map Registers").
 *
 *      F0000 - FFFFF   PAM0    our 16-bit code         in the end read-only
 *      E8000 - EFFFF   PAM6    its data (DATA_SEG)     read and write for ever
 *      C0000 - E7FFF   PAM1-5  option ROMs             in the end read-only
 */
#include "mode.h"
#include "pci.h"
#include "post.h"
#include "print.h"

#define PMC           PCI_DEVFN(0, 0)
#define PMC_PAM0      0x59

#define PAM_BOTH      0x33
#define PAM_PROTECTED 0x11

extern const uint8_t data16_load[];
extern uint8_t data16_bytes[], bss16_end[];

/* Before: reads of C0000h to FFFFFh go to ROM or nowhere. After: all of it is RAM. */
void shadow_open(void)
{
    pci_write8(PMC, PMC_PAM0, 0x30);
    for (unsigned i = 1; i <= 6; i++)
        pci_write8(PMC, PMC_PAM0 + i, PAM_BOTH);
    memcpy((void *)CODE_BASE, (const void *)IMAGE_SEG_F, 0x10000);
    memcpy((void *)DATA_BASE, data16_load, (size_t)data16_bytes);
    memset((void *)(DATA_BASE + (size_t)data16_bytes), 0, DATA_BYTES - (size_t)data16_bytes);
}

void shadow_close(void)
{
    pci_write8(PMC, PMC_PAM0, 0x10);
    for (unsigned i = 1; i <= 5; i++)
        pci_write8(PMC, PMC_PAM0 + i, PAM_PROTECTED);
}
