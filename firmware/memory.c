/*
 * INT 15h, memory: how much there is (88h, E801h, E881h, E820h), the A20 gate (24h), moving blocks
 * beyond 1 MiB (87h). ACPI 6.5 §15.1 "INT 15H, E820H - Query System Address Map"; the others as
 * Ralf Brown's list has them.
 */
#include "bda.h"
#include "int15.h"
#include "io.h"
#include "ram.h"

#define SMAP        0x534D4150u

#define PORT_92     0x92
#define PORT_92_A20 0x02

#define MIB         0x100000u

/* ---- how much ---- */

/* KiB of RAM from 1 MiB on without a gap, and what of them lies in [1, 16) and from 16 MiB on. */
struct extended {
    uint32_t all_kib, low_kib, high_64kib;
};

static struct extended extended(void)
{
    struct extended x = {0};
    for (unsigned i = 0; i < e820_count; i++) {
        const struct e820_entry *e = &e820_map[i];
        if (e->type == E820_RAM && e->start == MIB)
            x.all_kib = (uint32_t)(MIN(e->bytes, 0x100000000ull - MIB) >> 10);
    }
    x.low_kib = MIN(x.all_kib, 15u * 1024);
    x.high_64kib = (x.all_kib - x.low_kib) / 64;
    return x;
}

void extended_memory(struct bregs *r)
{
    r->ax = (uint16_t)MIN(extended().all_kib, 63u * 1024); /* more has never been expected here */
    set_flag(r, FLAG_CF, 0);
}

/* AX=E820h: EBX counts the entries. */
static void next_range(struct bregs *r)
{
    if (r->edx != SMAP || r->ecx < sizeof(struct e820_entry) || r->ebx >= e820_count) {
        unsupported(r);
        return;
    }
    near_to_far(r->es, r->di, &e820_map[r->ebx], sizeof(struct e820_entry));
    r->ebx = r->ebx + 1 < e820_count ? r->ebx + 1 : 0;
    r->eax = SMAP;
    r->ecx = sizeof(struct e820_entry);
    set_flag(r, FLAG_CF, 0);
}

void memory_map(struct bregs *r)
{
    const struct extended x = extended();
    switch (r->al) {
    case 0x01:
        r->ax = r->cx = (uint16_t)x.low_kib;
        r->bx = r->dx = (uint16_t)x.high_64kib;
        break;
    case 0x20:
        next_range(r);
        return;
    case 0x81: /* the same in 32 bits */
        r->eax = r->ecx = x.low_kib;
        r->ebx = r->edx = x.high_64kib;
        break;
    default:
        unsupported(r);
        return;
    }
    set_flag(r, FLAG_CF, 0);
}

/* ---- A20 ---- */

/* Port 92h does not say: the keyboard controller's gate is another, and the last one set counts. */
bool a20_off(void)
{
    const uint32_t low = far_read32(0, 0x500), high = far_read32(0xffff, 0x510);
    if (low != high)
        return false;
    far_write32(0, 0x500, ~low);
    const bool off = far_read32(0xffff, 0x510) == ~low;
    far_write32(0, 0x500, low);
    return off;
}

static void set_a20(bool on)
{
    const uint8_t v = inb(PORT_92) & 0xfe; /* bit 0 would reset */
    outb(PORT_92, on ? v | PORT_92_A20 : v & ~PORT_92_A20);
}

void a20_service(struct bregs *r)
{
    switch (r->al) {
    case 0x00:
    case 0x01:
        set_a20(r->al);
        break;
    case 0x02:
        r->al = !a20_off();
        break;
    case 0x03:
        r->bx = 0x0003; /* the keyboard controller and port 92h both can */
        break;
    default:
        unsupported(r);
        return;
    }
    r->ah = 0;
    set_flag(r, FLAG_CF, 0);
}

/* ---- 87h ---- */

/* entry16.S: physical addresses; interrupts off. */
void copy_flat(uint32_t to, uint32_t from, uint32_t bytes);

#define DESCRIPTOR_FROM 0x10
#define DESCRIPTOR_TO   0x18

#define MOVE_FAILED     0x03 /* the gate to above 1 MiB, as IBM numbered it */

static uint32_t descriptor_base(uint16_t seg, uint16_t off)
{
    return far_read16(seg, off + 2) | (uint32_t)far_read8(seg, off + 4) << 16 |
           (uint32_t)far_read8(seg, off + 7) << 24;
}

/* ES:SI is a descriptor table of the caller's, of which we need the two bases. */
void block_move(struct bregs *r)
{
    uint16_t msw;
    __asm__("smsw %0" : "=r"(msw));
    if (msw & 1) { /* V86 mode: whoever set it up has to do this */
        r->ah = MOVE_FAILED;
        set_flag(r, FLAG_CF, 1);
        return;
    }
    const bool closed = a20_off();
    if (closed)
        set_a20(true);
    copy_flat(descriptor_base(r->es, r->si + DESCRIPTOR_TO),
              descriptor_base(r->es, r->si + DESCRIPTOR_FROM), r->cx * 2u);
    if (closed)
        set_a20(false);
    r->ah = 0;
    set_flag(r, FLAG_CF, 0);
    set_flag(r, FLAG_ZF, 1);
}
