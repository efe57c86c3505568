/*
 * The last 4 KiB of a test ROM. The reset vector goes to 32-bit protected mode by itself, needing no
 * firmware, copies the image (all of the ROM below this page) to 1 MiB and jumps there.
 */
    .set ROM_BASE, 0x100000000 - ROM_BYTES
    .set IMAGE_BYTES, ROM_BYTES - 0x1000

    .section .text
    .code32
entry32:
    movw    $0x10, %ax
    movw    %ax, %ds
    movw    %ax, %es
    movw    %ax, %ss
    inb     $0x92, %al              /* A20 on, whatever it was */
    orb     $2, %al
    andb    $0xfe, %al
    outb    %al, $0x92
    cld
    movl    $ROM_BASE, %esi
    movl    $0x100000, %edi
    movl    $IMAGE_BYTES / 4, %ecx
    rep movsl
    movl    $0x100000, %eax
    jmp     *%eax

    .balign 8
gdt:
    .quad   0
    .quad   0x00cf9b000000ffff      /* 08: code, 4 GiB */
    .quad   0x00cf93000000ffff      /* 10: data, 4 GiB */
gdt_end:
gdt_pointer:
    .word   gdt_end - gdt - 1
    .long   gdt

    .code16
entry16:
    cli
    movw    $(gdt_pointer - entry32 + 0xf000), %bx
    lgdtl   %cs:(%bx)
    movl    %cr0, %eax
    orb     $1, %al
    andl    $0x9fffffff, %eax       /* caches on: CD and NW are set by reset */
    movl    %eax, %cr0
    ljmpl   $8, $entry32

    .org    0xff0
reset:
    jmp     entry16
    .org    0x1000
