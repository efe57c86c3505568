/*
 * The BIOS32 service directory's structure, by which 32-bit systems find the PCI BIOS (Standard
 * BIOS 32-bit Service Directory Proposal 0.4). Its entry is in pci_entry.S.
 */
#include "post.h"
#include "ram.h"

struct bios32 {
    char signature[4];
    uint32_t entry;
    uint8_t revision, paragraphs, checksum;
    uint8_t reserved[5];
} PACKED;

_Static_assert(sizeof(struct bios32) == 16, "BIOS32");

extern const uint8_t bios32_entry[];

void bios32_init(void)
{
    struct bios32 *p = alloc_fseg(sizeof *p, 16);
    if (!p)
        return;
    *p = (struct bios32){
        .signature = {'_', '3', '2', '_'},
        .entry = CODE_BASE + (uint16_t)(uint32_t)bios32_entry,
        .paragraphs = sizeof *p / 16,
    };
    p->checksum = zero_sum(p, sizeof *p);
}
