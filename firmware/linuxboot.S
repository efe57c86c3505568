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
 * firmware/build-option-rom assembles this into src/bios/linuxboot_rom.h and sets the checksums.
 */
        .code16
        .text

        .set ROM_BLOCKS, 1              # of 512 bytes

        .include "fw_cfg.inc"

        .include "rom_header.inc"
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

        .include "fw_cfg_read.inc"

        .org    ROM_BLOCKS * 512, 0
