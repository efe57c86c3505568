/*
 * The first instructions. Before: the state after RESET or INIT (SDM 3A §10.1.1 "Processor State
 * After Reset"): real mode, CS = F000h with base FFFF0000h, IP = FFF0h, caches off, interrupts off.
 */
#include "config.h"

        .set    CMOS_INDEX, 0x70
        .set    CMOS_DATA, 0x71
        .set    CMOS_SHUTDOWN, 0x8f     # index 0Fh, NMI off
        .set    PORT_92, 0x92
        .set    PORT_92_A20, 0x02
        .set    POST_RETURN, BDA_ADDRESS + 0x67

        .section .fixed.fff0, "ax"
        .code16
        .globl  reset_vector
reset_vector:
        ljmpw   $CODE_SEG, $post_entry  # from here on the copy below 1 MiB

        .section .fixed.e05b, "ax"
post_entry:
        jmp     reset

/*
 * The shutdown byte of the CMOS RAM says what a reset is for: software of the 80286's days had no
 * other way out of protected mode (Ralf Brown's CMOS.LST, 0Fh).
 */
        .section .text16, "ax"
reset:
        cli
        cld
        movb    $CMOS_SHUTDOWN, %al
        outb    %al, $CMOS_INDEX
        inb     $CMOS_DATA, %al
        movb    %al, %bl
        movb    $CMOS_SHUTDOWN, %al
        outb    %al, $CMOS_INDEX
        xorb    %al, %al
        outb    %al, $CMOS_DATA
        xorw    %ax, %ax
        movw    %ax, %ds
        cmpb    $0x05, %bl
        je      return_eoi
        cmpb    $0x0a, %bl
        je      return_jump
        cmpb    $0x0b, %bl
        je      return_iret
        cmpb    $0x0c, %bl
        je      return_far

/* A cold or warm start: to 32-bit code. */
        inb     $PORT_92, %al           # A20, without which the ROM below 4 GiB is out of reach
        orb     $PORT_92_A20, %al
        andb    $0xfe, %al              # bit 0 would reset
        outb    %al, $PORT_92
        lgdtl   %cs:gdt_pointer
        movl    %cr0, %eax
        andl    $0x9fffffff, %eax       # CD, NW off: caches on
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $SEL_CODE32, $start32

return_eoi:                             # 5: end of interrupt to both 8259s, then as Ah
        movb    $0x20, %al
        outb    %al, $0xa0
        outb    %al, $0x20
return_jump:
        ljmpw   *POST_RETURN
return_iret:                            # Bh: 0040:0067 is SS:SP
        lssw    POST_RETURN, %sp
        iretw
return_far:                             # Ch: likewise
        lssw    POST_RETURN, %sp
        lretw

/* After: protected mode, flat 32-bit segments, interrupts off, .data and .bss in place. */
        .section .text32, "ax"
        .code32
start32:
        movl    $SEL_DATA32, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %fs
        movl    %eax, %gs
        movl    %eax, %ss
        movl    $POST_STACK_TOP, %esp
        movl    $data32_load, %esi
        movl    $data32_start, %edi
        movl    $data32_bytes, %ecx
        rep movsb
        movl    $bss32_start, %edi
        movl    $bss32_bytes, %ecx
        xorl    %eax, %eax
        rep stosb
        call    post
1:      hlt
        jmp     1b
