/*
 * Where the firmware keeps what, for C and assembly. firmware/README.md draws the map.
 */
#ifndef FIRMWARE_CONFIG_H
#define FIRMWARE_CONFIG_H

#define IMAGE_BYTES 0x20000    /* the image; it ends at 4 GiB */
#define IMAGE_BASE  0xFFFE0000 /* its first half: 32-bit code, run where it is */
#define IMAGE_SEG_F 0xFFFF0000 /* its second half: the 16-bit code of segment F000h */

#define CODE_SEG    0xF000 /* CS of all our 16-bit code */
#define CODE_BASE   0xF0000

#define DATA_SEG    0xE800 /* DS, ES and SS of all our 16-bit C code: RAM, never protected */
#define DATA_BASE   0xE8000
#define DATA_BYTES  0x8000

/* Stacks of the 16-bit code, at the end of DATA_SEG; see entry16.S for why there are several. */
#define STACK_BYTES     0x1000
#define STACKS          4
#define STACK_LAST_TOP  DATA_BYTES
#define STACK_FIRST_TOP (DATA_BYTES - (STACKS - 1) * STACK_BYTES)
#define STACKS_BOTTOM   (DATA_BYTES - STACKS * STACK_BYTES)

#define OPTION_ROM_BASE 0xC0000 /* option ROMs and their data, from here up to DATA_BASE */

/* While POST runs, of conventional memory: */
#define POST_STACK_TOP  0x7000  /* in segment 0 of real mode too */
#define POST_DATA       0x10000 /* .data and .bss of 32-bit code */
#define POST_HEAP       0x20000 /* up to POST_HEAP_END: buffers that end with POST */
#define POST_HEAP_END   0x80000

#define AP_START        0x8000 /* where the other processors start; a page of its own */

#define BDA_ADDRESS     0x400
#define EBDA_SEG        0x9FC0
#define EBDA_ADDRESS    0x9FC00
#define EBDA_BYTES      0x400
#define BASE_MEMORY_KIB 639

/* The descriptors of gdt in entry16.S. */
#define SEL_CODE32 0x08 /* flat */
#define SEL_DATA32 0x10 /* flat */
#define SEL_CODE16 0x18 /* base CODE_BASE, limit FFFFh */
#define SEL_DATA16 0x20 /* base 0, limit FFFFh, as real mode has it */

#endif
