/*
 * The 32-bit side of the PCI BIOS: the entry of the BIOS32 service directory (bios32.c),
 * and the one it tells for "$PCI". Both are far-called in a flat segment whose base is not known, need not be 0, and
 * with a stack of 1 KiB: all is relative to EIP.
 */
#include "config.h"

        .set    FLAG_CF, 1

        .section .text_flat, "ax"
        .code32

/*
 * In: EAX the service, EBX a function: 0 is the only one. Out: AL 0 found, EBX the base, ECX the length, EDX the entry
 * in there; AL 80h no such service, 81h no such function.
 */
        .globl  bios32_entry
bios32_entry:
        testl   %ebx, %ebx
        jnz     2f
        cmpl    $0x49435024, %eax       # "$PCI"
        jne     1f
        xorb    %al, %al
        movl    $CODE_BASE, %ebx
        movl    $0x10000, %ecx
        movl    $pci_entry, %edx
        lretl
1:      movb    $0x80, %al
        lretl
2:      movb    $0x81, %al
        lretl

/* As INT 1Ah AH=B1h: struct bregs is put on the stack for pci_bios_flat(), CF is the answer's. */
pci_entry:
        pushfl
        cli                             # the configuration address and data are two ports
        subl    $8, %esp                # IP, CS, FLAGS
        pushal
        subl    $8, %esp                # GS, FS, ES, DS: not looked at
        movl    48(%esp), %eax          # EFLAGS, behind the 48 bytes of bregs
        movw    %ax, 44(%esp)
        movl    %esp, %eax
        cld
        call    pci_bios_flat
        movb    44(%esp), %al
        andb    $FLAG_CF, %al
        andb    $~FLAG_CF, 48(%esp)
        orb     %al, 48(%esp)
        addl    $8, %esp
        popal
        addl    $8, %esp
        popfl
        lretl
