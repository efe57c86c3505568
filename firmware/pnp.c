/*
 * Tables in segment F000h that are about the BIOS itself: the PnP installation structure (Plug and
 * Play BIOS Specification 1.0A §4.4) and the PCI interrupt routing table $PIR (Microsoft, "PCI IRQ
 * Routing Table Specification" 1.0).
 */
#include "pnp.h"

#include "pci.h"
#include "pci_init.h"
#include "post.h"
#include "print.h"
#include "ram.h"

struct pnp_installation {
    char signature[4];
    uint8_t version, length;
    uint16_t control;
    uint8_t checksum;
    uint32_t event_flag;
    uint16_t real_off, real_seg;
    uint16_t protected_off;
    uint32_t protected_base;
    uint32_t oem;
    uint16_t real_data_seg;
    uint32_t protected_data_base;
} PACKED;

_Static_assert(sizeof(struct pnp_installation) == 0x21, "PnP BIOS §4.4");

struct pir_slot {
    uint8_t bus, devfn;
    struct {
        uint8_t link; /* PIRQ register of the PIIX3; 0: not connected */
        uint16_t lines;
    } PACKED pin[4];
    uint8_t slot, reserved;
} PACKED;

struct pir {
    char signature[4];
    uint16_t version, bytes;
    uint8_t router_bus, router_devfn;
    uint16_t exclusive;
    uint16_t compatible_vendor, compatible_device;
    uint32_t miniport;
    uint8_t reserved[11];
    uint8_t checksum;
    struct pir_slot slot[];
} PACKED;

_Static_assert(sizeof(struct pir) == 32 && sizeof(struct pir_slot) == 16, "$PIR");

#define PIR_SLOTS     6      /* 1, on the board, and 2 to 6 */
#define PIR_LINES     0x0C20 /* 5, 10, 11 */
#define PIIX3_PIRQRCA 0x60

extern const uint8_t pnp_real_mode[], pnp_protected_mode[];

uint8_t zero_sum(const void *data, uint32_t bytes)
{
    uint8_t sum = 0;
    for (uint32_t i = 0; i < bytes; i++)
        sum = (uint8_t)(sum - ((const uint8_t *)data)[i]);
    return sum;
}

void pnp_init(void)
{
    struct pnp_installation *p = alloc_fseg(sizeof *p, 16);
    if (!p)
        return;
    *p = (struct pnp_installation){
        .signature = {'$', 'P', 'n', 'P'},
        .version = 0x10,
        .length = sizeof *p,
        .real_off = (uint16_t)(uint32_t)pnp_real_mode,
        .real_seg = CODE_SEG,
        .protected_off = (uint16_t)(uint32_t)pnp_protected_mode,
        .protected_base = CODE_BASE,
        .real_data_seg = CODE_SEG,
        .protected_data_base = CODE_BASE,
    };
    p->checksum = zero_sum(p, sizeof *p);
    SHARED(pnp_offset) = (uint16_t)(uint32_t)p;
}

void pir_init(void)
{
    const uint16_t bytes = sizeof(struct pir) + PIR_SLOTS * sizeof(struct pir_slot);
    struct pir *p = alloc_fseg(bytes, 16);
    if (!p)
        return;
    *p = (struct pir){
        .signature = {'$', 'P', 'I', 'R'},
        .version = 0x0100,
        .bytes = bytes,
        .router_devfn = PCI_DEVFN(1, 0),
        .compatible_vendor = 0x8086,
        .compatible_device = 0x122E, /* the first PIIX */
    };
    for (unsigned i = 0; i < PIR_SLOTS; i++) {
        const uint16_t bdf = PCI_DEVFN(i + 1, 0);
        p->slot[i] = (struct pir_slot){.devfn = (uint8_t)bdf, .slot = (uint8_t)i};
        for (unsigned pin = 0; pin < 4; pin++) {
            p->slot[i].pin[pin].link = (uint8_t)(PIIX3_PIRQRCA + pci_pirq(bdf, pin));
            p->slot[i].pin[pin].lines = PIR_LINES;
        }
    }
    p->checksum = zero_sum(p, bytes);
}
