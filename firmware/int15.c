/* INT 15h: what other services have no room for. This file only finds the one that is meant. */
#include "int15.h"

#include "bda.h"
#include "vectors.h"

#define CONFIG_TABLE 0xE6F5

/* What AH=C0h points to: IBM PS/2 and PC BIOS Interface Technical Reference, "Return System
 * Configuration Parameters". */
__attribute__((section(".fixed.e6f5"), used)) static const uint8_t config_table[] = {
    8,    0, /* bytes that follow */
    0xFC,    /* model: AT */
    0x00,    /* submodel */
    0x00,    /* revision */
    0x74,    /* two 8259s, real-time clock, INT 15h AH=4Fh is called, EBDA */
    0x40,    /* INT 16h AH=09h */
    0x00, 0x00, 0x00,
};

static void configuration(struct bregs *r)
{
    r->es = CODE_SEG;
    r->bx = CONFIG_TABLE;
    r->ah = 0;
    set_flag(r, FLAG_CF, 0);
}

static void ebda_segment(struct bregs *r)
{
    r->es = BDA->ebda_seg;
    set_flag(r, FLAG_CF, 0);
}

/* Calls that are there to be hooked. */
static void nothing_to_do(struct bregs *r)
{
    r->ah = 0;
    set_flag(r, FLAG_CF, 0);
}

void handle_15(struct bregs *r)
{
    switch (r->ah) {
    case 0x24:
        a20_service(r);
        break;
    case 0x4f:
        set_flag(r, FLAG_CF, 1); /* the scan code in AL is to be used as it is */
        break;
    case 0x52: /* may the medium be ejected? */
    case 0x80: /* open, close, end: for multitaskers to take over */
    case 0x81:
    case 0x82:
    case 0x85: /* system request key */
    case 0x90: /* begin and end of a wait */
    case 0x91:
        nothing_to_do(r);
        break;
    case 0x53:
        apm_service(r);
        break;
    case 0x83:
        event_wait(r);
        break;
    case 0x86:
        wait_service(r);
        break;
    case 0x87:
        block_move(r);
        break;
    case 0x88:
        extended_memory(r);
        break;
    case 0xc0:
        configuration(r);
        break;
    case 0xc1:
        ebda_segment(r);
        break;
    case 0xc2:
        pointer_service(r);
        break;
    case 0xe8:
        memory_map(r);
        break;
    default:
        unsupported(r);
    }
}
