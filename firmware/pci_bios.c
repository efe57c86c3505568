/*
 * PCI BIOS Specification 2.1. Compiled twice: for INT 1Ah, and as 32-bit code that finds itself
 * anywhere in a flat segment (pci_entry.S) and therefore has no data, not even constants.
 */
#include "pci_bios.h"

#include "pci.h"

enum {
    INSTALLATION_CHECK = 0x01,
    FIND_DEVICE = 0x02,
    FIND_CLASS = 0x03,
    READ_BYTE = 0x08,
    READ_WORD = 0x09,
    READ_DWORD = 0x0a,
    WRITE_BYTE = 0x0b,
    WRITE_WORD = 0x0c,
    WRITE_DWORD = 0x0d,
    ROUTING_OPTIONS = 0x0e,
};

enum {
    SUCCESSFUL = 0x00,
    FUNC_NOT_SUPPORTED = 0x81,
    BAD_VENDOR_ID = 0x83,
    DEVICE_NOT_FOUND = 0x86,
    BAD_REGISTER_NUMBER = 0x87,
};

#define MECHANISM_1     0x01
#define VERSION         0x0210
#define SIGNATURE       0x20494350 /* "PCI " */

#define MULTI_FUNCTION  0x80
#define TYPE_BRIDGE     0x01
#define SUBORDINATE_BUS 0x1a

/* The function behind this one, absent devices being passed over; 10000h: there is none on this
 * bus. */
static uint32_t next_function(uint32_t bdf)
{
    const bool first = !(bdf & 7);
    const bool only = first && (pci_read16((uint16_t)bdf, PCI_VENDOR_ID) == 0xffff ||
                                !(pci_read8((uint16_t)bdf, PCI_HEADER_TYPE) & MULTI_FUNCTION));
    const uint32_t next = only ? bdf + 8 : bdf + 1;
    return next >> 8 == bdf >> 8 ? next : 0x10000;
}

static bool present(uint32_t bdf)
{
    return pci_read16((uint16_t)bdf, PCI_VENDOR_ID) != 0xffff;
}

/* The highest bus that a bridge leads to. */
static uint8_t last_bus(void)
{
    uint8_t last = 0;
    for (uint32_t bus = 0; bus <= last; bus++)
        for (uint32_t f = bus << 8; f < 0x10000; f = next_function(f)) {
            if (!present(f) || (pci_read8((uint16_t)f, PCI_HEADER_TYPE) & 0x7f) != TYPE_BRIDGE)
                continue;
            const uint8_t below = pci_read8((uint16_t)f, SUBORDINATE_BUS);
            last = MAX(last, below);
        }
    return last;
}

/* The function number `index` of those whose register, shifted down, has this value. */
static uint8_t find(struct bregs *r, unsigned reg, unsigned shift, uint32_t value)
{
    const uint8_t last = last_bus();
    uint16_t index = r->si;
    for (uint32_t bus = 0; bus <= last; bus++)
        for (uint32_t f = bus << 8; f < 0x10000; f = next_function(f))
            if (present(f) && pci_read32((uint16_t)f, reg) >> shift == value && !index--) {
                r->bx = (uint16_t)f;
                return SUCCESSFUL;
            }
    return DEVICE_NOT_FOUND;
}

static uint8_t find_device(struct bregs *r)
{
    if (r->dx == 0xffff)
        return BAD_VENDOR_ID;
    return find(r, PCI_VENDOR_ID, 0, (uint32_t)r->cx << 16 | r->dx);
}

/* DI is the register. */
static uint8_t access_register(struct bregs *r)
{
    const uint16_t f = r->bx, reg = r->di;
    const unsigned bytes = 1u << ((r->al - READ_BYTE) % 3);
    if (reg > 0xff || reg & (bytes - 1))
        return BAD_REGISTER_NUMBER;
    if (r->al == READ_BYTE)
        r->cl = pci_read8(f, reg);
    else if (r->al == READ_WORD)
        r->cx = pci_read16(f, reg);
    else if (r->al == READ_DWORD)
        r->ecx = pci_read32(f, reg);
    else if (r->al == WRITE_BYTE)
        pci_write8(f, reg, r->cl);
    else if (r->al == WRITE_WORD)
        pci_write16(f, reg, r->cx);
    else
        pci_write32(f, reg, r->ecx);
    return SUCCESSFUL;
}

static uint8_t installation_check(struct bregs *r)
{
    r->al = MECHANISM_1;
    r->bx = VERSION;
    r->cl = last_bus();
    r->edx = SIGNATURE;
    return SUCCESSFUL;
}

void pci_bios(struct bregs *r)
{
    const uint8_t function = r->al;
    if (function == INSTALLATION_CHECK)
        r->ah = installation_check(r);
    else if (function == FIND_DEVICE)
        r->ah = find_device(r);
    else if (function == FIND_CLASS)
        r->ah = find(r, PCI_CLASS_REVISION, 8, r->ecx & 0xffffff);
    else if (function >= READ_BYTE && function <= WRITE_DWORD)
        r->ah = access_register(r);
#ifdef MODE16
    else if (function == ROUTING_OPTIONS)
        r->ah = pci_routing_options(r);
#endif
    else
        r->ah = FUNC_NOT_SUPPORTED;
    set_flag(r, FLAG_CF, r->ah != SUCCESSFUL);
}
