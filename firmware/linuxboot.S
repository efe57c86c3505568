/*
 * The option ROM behind -kernel: a boot entry that fetches a Linux kernel through the firmware
 * configuration device and starts it, as the Linux/x86 boot protocol asks ("THE LINUX/x86 BOOT
 * PROTOCOL", Documentation/x86/boot.rst of Linux, "Running the kernel").
 *
 * src/bios/linuxboot.c has taken the image apart before and says under fw_cfg's keys where each
 * part goes and how long it is; here they are only moved there by the device's DMA, which reaches
 * all of memory, so that the whole program stays in real mode.
 *
 *   firmware --far call--> bev                    real mode, interrupts on, some stack
 *     load cmdline, setup, kernel, initrd
 *     jump to setup's entry                       real mode, interrupts off, as the protocol has it
 *
 * firmware/build-linuxboot assembles this into src/bios/linuxboot_rom.h and sets the checksums.
 */
        .code16
        .text

        .set ROM_BLOCKS, 1              # of 512 bytes

        .set FW_CFG_DMA_HIGH, 0x514     # docs/specs/fw_cfg of QEMU; src/devices/fwcfg.c
        .set FW_CFG_DMA_LOW, 0x518
        .set DMA_ERROR, 0x01
        .set DMA_READ, 0x02
        .set DMA_SELECT, 0x08

        .set KERNEL_ADDR, 0x07          # keys: where, how long, what
        .set KERNEL_SIZE, 0x08
        .set KERNEL_DATA, 0x11
        .set INITRD_ADDR, 0x0a
        .set INITRD_SIZE, 0x0b
        .set INITRD_DATA, 0x12
        .set CMDLINE_ADDR, 0x13
        .set CMDLINE_SIZE, 0x14
        .set CMDLINE_DATA, 0x15
        .set SETUP_ADDR, 0x16
        .set SETUP_SIZE, 0x17
        .set SETUP_DATA, 0x18

# Expansion header, PnP BIOS 1.0A section 3.2 "Option ROM Header".
rom:
        .byte   0x55, 0xaa
        .byte   ROM_BLOCKS
init:                                   # at 3: nothing to be done before the boot
        lretw
checksum:                               # makes the bytes of the ROM sum to 0
        .byte   0
        .org    0x18
        .word   0                       # no PCI data structure
        .word   pnp - rom

# PnP BIOS 1.0A section 3.3 "PnP Option ROM Header".
        .balign 16, 0
pnp:
        .ascii  "$PnP"
        .byte   1                       # revision
        .byte   2                       # length in 16 bytes
        .word   0                       # no further header
        .byte   0
pnp_checksum:
        .byte   0
        .long   0                       # device identifier
        .word   manufacturer - rom
        .word   product - rom
        .byte   0, 0, 0                 # device type
        .byte   0x64                    # shadowable, cacheable, may be an initial program loader
        .word   0                       # no boot connection vector
        .word   0                       # no disconnect vector
        .word   bev - rom               # bootstrap entry vector
        .word   0
        .word   0                       # no static resources

manufacturer:
        .asciz  "Vitrine"
product:
        .asciz  "Linux kernel of -kernel"
failed_text:
        .asciz  "\r\nlinuxboot: the kernel cannot be read through fw_cfg\r\n"

        .balign 2, 0
parts:                                  # in this order
        .word   CMDLINE_ADDR, CMDLINE_SIZE, CMDLINE_DATA
        .word   SETUP_ADDR, SETUP_SIZE, SETUP_DATA
        .word   KERNEL_ADDR, KERNEL_SIZE, KERNEL_DATA
        .word   INITRD_ADDR, INITRD_SIZE, INITRD_DATA
parts_end:

# Boots. In: real mode, any segments but CS, a stack. Does not return.
bev:
        cli
        cld
        movw    $(parts - rom), %si
1:      call    load
        addw    $6, %si
        cmpw    $(parts_end - rom), %si
        jb      1b

        # The protocol: DS = ES = FS = GS = SS = where setup lies, CS:IP = 512 bytes behind that,
        # SP the end of its heap, which reaches up to the command line (leave 16 bytes).
        movw    $CMDLINE_ADDR, %ax
        call    number
        movl    %eax, %ebx
        movw    $SETUP_ADDR, %ax
        call    number
        subl    %eax, %ebx
        subl    $16, %ebx
        shrl    $4, %eax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        movzwl  %bx, %esp
        addw    $0x20, %ax
        pushw   %ax
        pushw   $0
        xorl    %eax, %eax
        xorl    %ebx, %ebx
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        xorl    %esi, %esi
        xorl    %edi, %edi
        xorl    %ebp, %ebp
        lretw

# Moves one part to its place. In: CS:SI three keys. Changes all but SI and the segments.
load:
        movw    %cs:(%si), %ax
        call    number
        pushl   %eax
        movw    %cs:2(%si), %ax
        call    number
        movl    %eax, %ecx
        popl    %edi
        jecxz   1f
        movw    %cs:4(%si), %ax
        call    dma
1:      ret

# Reads the dword of an item. In: AX key. Out: EAX. Changes ECX, EDX, EDI, EBP.
number:
        pushl   $0
        xorl    %edi, %edi
        movw    %ss, %di
        shll    $4, %edi
        movzwl  %sp, %ecx
        addl    %ecx, %edi              # the address of the zero just pushed
        movl    $4, %ecx
        call    dma
        popl    %eax
        ret

# Reads an item from its start. In: AX key, ECX length, EDI address. Changes EAX, ECX, EDX, EDI, EBP.
dma:
        shll    $16, %eax
        orw     $(DMA_SELECT | DMA_READ), %ax
        # The structure that the device reads, on the stack: control, length, address, big-endian.
        bswapl  %edi
        pushl   %edi
        pushl   $0
        bswapl  %ecx
        pushl   %ecx
        bswapl  %eax
        pushl   %eax
        xorl    %ecx, %ecx
        movw    %ss, %cx
        shll    $4, %ecx
        movzwl  %sp, %ebp
        addl    %ebp, %ecx
        bswapl  %ecx
        xorl    %eax, %eax
        movw    $FW_CFG_DMA_HIGH, %dx
        outl    %eax, %dx
        movl    %ecx, %eax
        movw    $FW_CFG_DMA_LOW, %dx
        outl    %eax, %dx
1:      movl    (%bp), %eax             # 0 when done
        bswapl  %eax
        testl   $~DMA_ERROR, %eax
        jnz     1b
        addw    $16, %sp
        testb   $DMA_ERROR, %al
        jnz     failed
        ret

# Says so and lets the firmware try the next boot device.
failed:
        sti
        movw    $(failed_text - rom), %si
1:      movb    %cs:(%si), %al
        incw    %si
        testb   %al, %al
        jz      2f
        movb    $0x0e, %ah              # INT 10h: teletype output
        movw    $7, %bx
        int     $0x10
        jmp     1b
2:      int     $0x18
        jmp     2b

        .org    ROM_BLOCKS * 512, 0
