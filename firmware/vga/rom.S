/*
 * What the system finds in the image: headers, the initialisation entry, the interrupt handler
 * and VBE's protected-mode interface. C does the rest; rom.h says under which segments.
 */
        .code16

        .section .header, "ax"
        .globl  rom
rom:                                    # PCI FW 3.0 section 5.1.1 "PCI Expansion ROM Header Format"
        .byte   0x55, 0xaa
        .byte   0                       # length in 512 bytes: build puts it there
        jmp     init                    # at 3: far call from the system BIOS
        .org    0x18
        .word   pcir
        .word   0                       # no PnP header: not a boot device

        .balign 4, 0
pcir:                                   # section 5.1.2 "PCI Data Structure Format"
        .ascii  "PCIR"
        .word   0x1234, 0x1111          # the adapter of Bochs and QEMU
        .word   0                       # no device list
        .word   0x18                    # length of this structure
        .byte   0                       # its revision
        .byte   0, 0, 3                 # class: VGA-compatible display
        .word   0                       # length of the image: build puts it there
        .word   1                       # revision of the code
        .byte   0                       # PC-AT
        .byte   0x80                    # the last image
        .word   0

        .asciz  "Vitrine VGA BIOS"
        .globl  rom_checksum
rom_checksum:                           # makes all bytes sum to 0: build puts it there
        .byte   0

        .text

# Makes rom.h's world. In: real mode or virtual-8086 mode, any segments and stack.
# The upper half of ESP may hold anything, but compiled code uses all of it: it is cleared here and
# put back in leave_c. Interrupts stay as they are.
        .macro  enter_c
        cld
        pushw   %ds
        pushw   %es
        pushw   %fs
        pushw   %gs
        pushal
        movw    %ss, %ax
        movw    %ax, %ds
        movw    %cs, %ax
        movw    %ax, %gs
        xorw    %ax, %ax
        movw    %ax, %fs
        movzwl  %sp, %esp
        movl    %esp, %eax              # struct regs *: the first argument
        .endm

        .macro  leave_c
        movl    12(%esp), %eax          # ESP as pushal found it
        movw    %sp, %ax
        movl    %eax, %esp
        popal
        popw    %gs
        popw    %fs
        popw    %es
        popw    %ds
        .endm

# AX = bus, device and function of the adapter (PCI FW 3.0 section 5.2.1.5).
init:
        pushfw
        enter_c
        calll   init_c
        leave_c
        popfw
        lretw

        .globl  int10_entry
int10_entry:
        enter_c
        calll   int10_c
        leave_c
        iretw

# VBE 3.0 "Function 05h", as the far call it offers beside INT 10h. In: BX, DX as there. Out: DX.
        .globl  window_far
window_far:
        enter_c
        calll   window_control
        leave_c
        lretw

# What follows reaches beyond real mode's 64 KiB segments. In: real mode (not virtual-8086 mode), GS = CS,
# interrupts off.
#
#      real mode           ES limit FFFFh, or what a "big real mode" system BIOS had made of it
#      protected mode      for as long as it takes to load ES with a limit of 4 GiB
#      real mode           ES keeps that limit: "unreal"
#      and the same way back to 64 KiB, whatever it was
#
# Between the two the system BIOS' descriptor table, kept on the stack, is not in force.
        .macro  open_flat               # changes EAX, EBX
        subw    $16, %sp
        movzwl  %sp, %ebx
        sgdtl   8(%ebx)
        xorl    %eax, %eax
        movw    %cs, %ax
        shll    $4, %eax
        addl    $gdt, %eax
        movw    $(gdt_end - gdt - 1), (%ebx)
        movl    %eax, 2(%ebx)
        lgdtl   (%ebx)
        movw    $8, %ax                 # 4 GiB
        calll   load_es
        .endm

        .macro  close_flat              # changes EAX, EBX
        movw    $16, %ax                # 64 KiB
        calll   load_es
        movzwl  %sp, %ebx
        lgdtl   8(%ebx)
        addw    $16, %sp
        .endm

# Copies the display's EDID out of the registers in BAR 2.
# In: EAX physical address, EDX offset in the image of 128 aligned bytes. Changes EAX, EDX and ES.
        .globl  read_edid
read_edid:
        pushl   %ebx
        pushl   %esi
        movl    %eax, %esi
        movzwl  %dx, %edx
        open_flat
1:      movb    %es:(%esi), %al
        movb    %al, %gs:(%edx)
        incl    %esi
        incl    %edx
        testb   $0x7f, %dl
        jnz     1b
        close_flat
        popl    %esi
        popl    %ebx
        retl

# Copies physical memory upwards. In: EAX to, EDX from, ECX bytes, a multiple of four. Out: EAX 1; or 0:
# the gate of address line 20 seems to be closed (the first bytes of memory are seen at 1 MiB, too)
# and nothing was copied. Changes ECX, EDX and ES.
        .globl  flat_copy
flat_copy:
        pushl   %ebx
        pushl   %esi
        pushl   %edi
        pushl   %ecx
        pushl   %eax
        open_flat
        xorl    %esi, %esi
        movl    $0x100000, %edi
        movl    $16, %ecx
        repe cmpsl %es:(%edi), %es:(%esi)
        movl    16(%esp), %edi
        movl    %edx, %esi
        movl    20(%esp), %ecx
        movl    $0, %edx
        je      1f
        shrl    $2, %ecx
        rep movsl %es:(%esi), %es:(%edi)
        incl    %edx
1:      close_flat
        movl    %edx, %eax
        addw    $8, %sp
        popl    %edi
        popl    %esi
        popl    %ebx
        retl

# Protected mode and back; ES keeps the limit of descriptor AX. Its base is 0.
load_es:
        pushl   %ebx
        movl    %cr0, %ebx
        orb     $1, %bl
        movl    %ebx, %cr0              # -> protected mode, CS still with its real-mode base
        jmp     1f
1:      movw    %ax, %es
        andb    $0xfe, %bl
        movl    %ebx, %cr0              # -> real mode
        jmp     1f
1:      xorw    %ax, %ax
        movw    %ax, %es
        popl    %ebx
        retl

        .section .romdata, "a"
        .balign 8, 0
gdt:
        .quad   0
        .quad   0x008f93000000ffff      # data, base 0, limit 4 GiB; accessed, or the CPU would write that
        .quad   0x000093000000ffff      # data, base 0, limit 64 KiB
gdt_end:

# VBE 3.0 "Function 0Ah: Return VBE Protected Mode Interface": code a 32-bit caller copies and calls
# near, with whatever segments it has. Each changes only flags and what it says.
        .globl  pm_interface, pm_interface_end
        .set    DISPI_INDEX, 0x1ce
        .set    DISPI_DATA, 0x1cf
        .set    INDEX_BPP, 3
        .set    INDEX_BANK, 5
        .set    INDEX_VIRT_WIDTH, 6
        .set    INDEX_X, 8
        .set    INDEX_Y, 9
        .balign 16, 0
pm_interface:
        .word   pm_set_window - pm_interface
        .word   pm_set_start - pm_interface
        .word   pm_set_palette - pm_interface
        .word   pm_ports - pm_interface
pm_ports:                               # ports it uses, then memory: none
        .word   0x1ce, 0x1cf, 0x1d0, 0x3c8, 0x3c9, 0xffff
        .word   0xffff
        .code32

# 05h. In: BX 0 (set), DX bank. Out: AX.
pm_set_window:
        cmpw    $0, %bx
        jne     pm_failed
        pushl   %edx
        movl    %edx, %eax
        movw    $INDEX_BANK, %dx
        call    pm_write
        popl    %edx
        movw    $0x004f, %ax
        ret
pm_failed:
        movw    $0x014f, %ax
        ret

# 07h. In: BL 0 or 80h; DX:CX the first byte shown, in units of four bytes. Out: AX.
pm_set_start:
        testb   $0x7f, %bl
        jnz     pm_failed
        pushl   %ebx
        pushl   %ecx
        pushl   %edx
        movzwl  %cx, %ecx
        shll    $16, %edx
        orl     %edx, %ecx
        shll    $2, %ecx                # in bytes
        movw    $INDEX_BPP, %dx
        call    pm_read
        movzwl  %ax, %ebx
        addl    $7, %ebx
        shrl    $3, %ebx                # bytes a pixel
        movw    $INDEX_VIRT_WIDTH, %dx
        call    pm_read
        movzwl  %ax, %eax
        imull   %ebx, %eax              # bytes a line
        testl   %eax, %eax
        jz      1f
        xchgl   %eax, %ecx
        xorl    %edx, %edx
        divl    %ecx                    # EAX line, EDX byte within
        pushl   %edx
        movw    $INDEX_Y, %dx
        call    pm_write
        popl    %eax
        xorl    %edx, %edx
        divl    %ebx
        movw    $INDEX_X, %dx
        call    pm_write
1:      popl    %edx
        popl    %ecx
        popl    %ebx
        movw    $0x004f, %ax
        ret

# 09h. In: BL 0 or 80h; CX entries, DX the first one; ES:EDI blue, green, red, nothing each. Out: AX.
pm_set_palette:
        testb   $0x7f, %bl
        jnz     pm_failed
        pushl   %ecx
        pushl   %edx
        pushl   %edi
        movb    %dl, %al
        movw    $0x3c8, %dx
        outb    %al, %dx
        incl    %edx
        movzwl  %cx, %ecx
        jecxz   2f
1:      movb    %es:2(%edi), %al
        outb    %al, %dx
        movb    %es:1(%edi), %al
        outb    %al, %dx
        movb    %es:(%edi), %al
        outb    %al, %dx
        addl    $4, %edi
        decl    %ecx
        jnz     1b
2:      popl    %edi
        popl    %edx
        popl    %ecx
        movw    $0x004f, %ax
        ret

# Register DX = AX. Changes EDX.
pm_write:
        xchgl   %eax, %edx
        pushl   %edx
        movw    $DISPI_INDEX, %dx
        outw    %ax, %dx
        popl    %eax
        movw    $DISPI_DATA, %dx
        outw    %ax, %dx
        ret

# AX = register DX. Changes EDX.
pm_read:
        movl    %edx, %eax
        movw    $DISPI_INDEX, %dx
        outw    %ax, %dx
        movw    $DISPI_DATA, %dx
        inw     %dx, %ax
        ret
pm_interface_end:

        .section .note.GNU-stack, "", @progbits
