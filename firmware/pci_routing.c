/*
 * PCI BIOS Specification 2.1, "Get PCI Interrupt Routing Options": the slots of $PIR (pnp.c),
 * and which interrupt lines only PCI devices use.
 */
#include "pci_bios.h"

#include "bda.h"

#define SUCCESSFUL         0x00
#define FUNC_NOT_SUPPORTED 0x81
#define BUFFER_TOO_SMALL   0x89

/* In halves: the whole, in code at a multiple of 16, would be found by those who look for the
 * table. */
#define PIR_SIGNATURE_LOW  0x5024 /* "$P" */
#define PIR_SIGNATURE_HIGH 0x5249 /* "IR" */
#define PIR_HEADER         32
#define PIR_BYTES          6
#define PIR_EXCLUSIVE      10

static uint16_t find_pir(void)
{
    for (uint16_t off = 0xfff0; off; off = (uint16_t)(off - 16))
        if (far_read16(CODE_SEG, off) == PIR_SIGNATURE_LOW &&
            far_read16(CODE_SEG, off + 2) == PIR_SIGNATURE_HIGH)
            return off;
    return 0;
}

/* ES:DI: the buffer's size (a word) and address (a far pointer). */
uint8_t pci_routing_options(struct bregs *r)
{
    const uint16_t pir = find_pir();
    if (!pir)
        return FUNC_NOT_SUPPORTED;
    const uint16_t bytes = far_read16(CODE_SEG, pir + PIR_BYTES) - PIR_HEADER;
    const uint16_t room = far_read16(r->es, r->di);
    const uint16_t off = far_read16(r->es, r->di + 2), seg = far_read16(r->es, r->di + 4);
    far_write16(r->es, r->di, bytes);
    if (room < bytes)
        return BUFFER_TOO_SMALL;
    for (uint16_t i = 0; i < bytes; i++)
        far_write8(seg, off + i, far_read8(CODE_SEG, (uint16_t)(pir + PIR_HEADER + i)));
    r->bx = far_read16(CODE_SEG, pir + PIR_EXCLUSIVE);
    return SUCCESSFUL;
}
