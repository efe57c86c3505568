/* PCI configuration space by mechanism #1 (PCI LB 3.0 §3.2.2.3.2), bus 0 unless said; both modes.
 */
#ifndef FIRMWARE_PCI_H
#define FIRMWARE_PCI_H

#include "io.h"

#define PCI_ADDRESS 0xCF8
#define PCI_DATA    0xCFC

/* bus in 15:8, device in 7:3, function in 2:0 */
#define PCI_DEVFN(dev, fn)  ((uint16_t)((dev) << 3 | (fn)))
#define PCI_BDF(bus, devfn) ((uint16_t)((bus) << 8 | (devfn)))

#define PCI_VENDOR_ID       0x00
#define PCI_DEVICE_ID       0x02
#define PCI_COMMAND         0x04
#define PCI_COMMAND_IO      0x01
#define PCI_COMMAND_MEMORY  0x02
#define PCI_COMMAND_MASTER  0x04
#define PCI_STATUS          0x06
#define PCI_CLASS_REVISION  0x08
#define PCI_CLASS           0x0A /* subclass, class */
#define PCI_HEADER_TYPE     0x0E
#define PCI_BAR0            0x10
#define PCI_SUBSYSTEM       0x2C
#define PCI_ROM             0x30
#define PCI_CAPABILITIES    0x34
#define PCI_INTERRUPT_LINE  0x3C
#define PCI_INTERRUPT_PIN   0x3D

static inline void pci_select(uint16_t bdf, unsigned reg)
{
    outl(PCI_ADDRESS, 0x80000000u | (uint32_t)bdf << 8 | (reg & 0xfc));
}

static inline uint32_t pci_read32(uint16_t bdf, unsigned reg)
{
    pci_select(bdf, reg);
    return inl(PCI_DATA);
}

static inline uint16_t pci_read16(uint16_t bdf, unsigned reg)
{
    pci_select(bdf, reg);
    return inw((uint16_t)(PCI_DATA + (reg & 2)));
}

static inline uint8_t pci_read8(uint16_t bdf, unsigned reg)
{
    pci_select(bdf, reg);
    return inb((uint16_t)(PCI_DATA + (reg & 3)));
}

static inline void pci_write32(uint16_t bdf, unsigned reg, uint32_t v)
{
    pci_select(bdf, reg);
    outl(PCI_DATA, v);
}

static inline void pci_write16(uint16_t bdf, unsigned reg, uint16_t v)
{
    pci_select(bdf, reg);
    outw((uint16_t)(PCI_DATA + (reg & 2)), v);
}

static inline void pci_write8(uint16_t bdf, unsigned reg, uint8_t v)
{
    pci_select(bdf, reg);
    outb((uint16_t)(PCI_DATA + (reg & 3)), v);
}

#endif
