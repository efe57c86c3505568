/*
 * Where the other processors start. Before: real mode, CS = AP_START >> 4, IP = 0, interrupts off
 * (SDM 3A §9.4.4.2 "Typical AP Initialization Sequence"). After: real mode, halted in segment F000h,
 * until the operating system sends INIT. This piece is copied to AP_START and runs there.
 */
#include "config.h"

        .set    APIC_ID, 0xFEE00020

        .section .text32, "ax"
        .code16
        .globl  ap_start, ap_start_end
ap_start:
        cli
        cld
        lgdtl   %cs:(ap_gdt_pointer - ap_start)
        movl    %cr0, %eax
        andl    $0x9fffffff, %eax       # caches on
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $SEL_CODE32, $ap_start32
        .balign 4
ap_gdt_pointer:
        .word   SEL_DATA16 + 7
        .long   gdt + CODE_BASE
ap_start_end:

        .code32
ap_start32:                             # protected mode, flat; no stack
        movl    $SEL_DATA32, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    $ap_msrs, %esi
1:      movl    (%esi), %ecx
        jecxz   2f
        movl    4(%esi), %eax
        movl    8(%esi), %edx
        wrmsr
        addl    $12, %esi
        jmp     1b
2:      movl    APIC_ID, %edx
        shrl    $24, %edx
        movl    $1, %eax
        lock xaddl %eax, ap_next        # a place for the ID first, then be counted
        cmpl    $254, %eax
        jae     3f
        movb    %dl, cpu_apic_id + 1(%eax)
3:      lock incl ap_count
        ljmpl   $SEL_CODE16, $ap_halt

        .section .bss32, "aw", @nobits
        .balign 4
ap_next:
        .long   0

        .section .text16, "ax"
        .code16
ap_halt:                                # protected mode, 16-bit code
        movl    %cr0, %eax
        andb    $~1, %al
        movl    %eax, %cr0
        ljmpw   $CODE_SEG, $1f
1:      cli                             # real mode
        hlt
        jmp     1b
