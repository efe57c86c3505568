/*
 * The boot sector of the BIOS suite: notes what the firmware left in the registers, loads the program behind it
 * with INT 13h AH=02h, a sector at a time by the geometry of AH=08h, and goes there.
 *
 *      0000:7C00       this, as every BIOS loads it
 *      1000:0000       the program (suite.lds), CS = DS = ES = SS
 */
        .code16
        .globl _start
_start:
        movw    %ax, %cs:saved_ax               # SS:SP is the firmware's, used for nothing but this
        pushfw
        popw    %cs:saved_flags
        movw    %sp, %cs:saved_sp
        movw    %ss, %cs:saved_ss
        movw    %ds, %cs:saved_ds
        movw    %es, %cs:saved_es
        movw    %bx, %cs:saved_bx
        movw    %dx, %cs:saved_dx
        movw    %di, %cs:saved_di
        call    1f
1:      popw    %ax
        subw    $(1b - _start), %ax
        movw    %ax, %cs:saved_ip
        movw    %cs, %cs:saved_cs
        ljmp    $0, $here
here:
        cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movw    $0x7c00, %sp
        sti
        cld
        xorw    %di, %di
        movw    %di, %es
        movb    $8, %ah
        movb    saved_dx, %dl
        int     $0x13
        jc      failed
        andw    $63, %cx
        movw    %cx, sectors
        movzbw  %dh, %ax
        incw    %ax
        movw    %ax, heads
        movw    $0x1000, %bx
        movw    $1, %si                         # the sector, counted from 0
next:
        movw    %si, %ax
        xorw    %dx, %dx
        divw    sectors
        movw    %dx, %cx
        incw    %cx
        xorw    %dx, %dx
        divw    heads
        movb    %dl, %dh                        # head
        movb    saved_dx, %dl
        movb    %al, %ch                        # the cylinder is below 256
        movw    %bx, %es
        pushw   %bx
        xorw    %bx, %bx
        movw    $0x0201, %ax
        int     $0x13
        popw    %bx
        jc      failed
        addw    $32, %bx
        incw    %si
        cmpw    count, %si
        jbe     next
        movw    $saved_ax, %si                  # what was noted, to the program
        ljmp    $0x1000, $0
failed:
        movw    $text, %si
1:      lodsb
        outb    %al, $0xe9
        testb   %al, %al
        jnz     1b
1:      hlt
        jmp     1b

text:   .asciz  "the boot sector cannot read its disk\n"
sectors:
        .word   0
heads:  .word   0
        .org    0x1e0
count:  .word   1                               # sectors of the program; run.py fills it in
saved_ax:
        .word   0
saved_bx:
        .word   0
saved_dx:
        .word   0
saved_di:
        .word   0
saved_ds:
        .word   0
saved_es:
        .word   0
saved_ss:
        .word   0
saved_sp:
        .word   0
saved_cs:
        .word   0
saved_ip:
        .word   0
saved_flags:
        .word   0
        .org    0x1fe
        .byte   0x55, 0xaa
