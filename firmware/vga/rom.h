/*
 * How C is written in this ROM: 16-bit code compiled by gcc -m16, on the stack of whoever called.
 *
 *      CS = GS   the image: code, and what is declared ROM_DATA
 *      SS = DS   the caller's stack, so that pointers to locals are plain pointers
 *      FS = 0    low memory: interrupt vectors and BIOS data area
 *      ES        scratch, for the accessors of far.h
 *
 * rom.S makes it so on entry. The compiler checks it: pointers into the image and into low memory
 * have address spaces of their own, and rom.lds refuses constants that are not ROM_DATA. Stacks
 * may be small (a boot sector's): no large locals, no recursion.
 *
 * References: IBM "PS/2 and PC BIOS Interface Technical Reference" (INT 10h) and "PS/2 Hardware
 * Interface Technical Reference" (VGA); VESA VBE Core Functions Standard 3.0.
 */
#ifndef VGAROM_ROM_H
#define VGAROM_ROM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOW           __seg_fs
#define ROM           __seg_gs
#define ROM_DATA      __attribute__((section(".romdata"))) const ROM
#define ROM_VARIABLE  __attribute__((section(".romvar"))) ROM /* writable during initialisation */

#define ARRAY_SIZE(a) (sizeof(a) / sizeof(a)[0])

struct far_ptr {
    uint16_t off, seg;
};

#define REG(name)                     \
    union {                           \
        uint32_t e##name##x;          \
        uint16_t name##x;             \
        struct {                      \
            uint8_t name##l, name##h; \
        };                            \
    }

/* The caller's registers, as rom.S has pushed them; a service changes what it answers in. */
struct regs {
    union {
        uint32_t edi;
        uint16_t di;
    };
    union {
        uint32_t esi;
        uint16_t si;
    };
    union {
        uint32_t ebp;
        uint16_t bp;
    };
    uint32_t esp;
    REG(b);
    REG(d);
    REG(c);
    REG(a);
    uint16_t gs, fs, es, ds;
    uint16_t ip, cs, flags; /* of INT 10h; the other entries are called otherwise */
};

#define FLAG_IF 0x0200

#endif
