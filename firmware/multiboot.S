/*
 * The option ROM behind -kernel when the kernel has a multiboot header or a PVH note: fetches it and
 * its modules through the firmware configuration device, adds what only the running machine knows,
 * and enters the kernel as the Multiboot Specification asks (version 0.6.96, section 3.2 "Machine
 * state"), or Xen's "x86/HVM direct boot ABI" (docs/misc/pvh.pandoc).
 *
 * src/bios/multiboot.c and pvh.c have taken the files apart and made the information, but for the
 * memory map, the video mode and the place of the ACPI tables. Its tables are in low memory where
 * the kernel is not (src/bios/kernel_parts.c); DS is their base while the ROM runs:
 *
 *   0000   parts: address, length, one after the other as their bytes follow in KERNEL_DATA;
 *          length 0 ends them
 *   1000   multiboot or start information, modules, strings
 *   7000   memory map                             made here
 *   7800   VBE controller and mode information    made here if a video mode is asked for
 *   8000   the end, and the stack while the kernel is loaded, which may be over the firmware's
 *
 *   firmware --far call--> bev                    real mode, interrupts on, some stack
 *     load information and parts; INT 12h, 15h, 10h
 *     load the kernel                             real mode, interrupts off, own stack
 *     enter                                       protected mode, flat, no paging, interrupts off
 *
 * firmware/build-option-rom assembles this into src/bios/multiboot_rom.h and sets the checksums.
 */
        .code16
        .text

        .set ROM_BLOCKS, 3              # of 512 bytes

        .include "fw_cfg.inc"
        .set KERNEL_ENTRY, 0x10

        .set PARTS, 0
        .set INFO, 0x1000
        .set MAP, 0x7000
        .set MAP_END, 0x7800 - 28       # where the last entry may begin, with four bytes behind it
        .set VBE_CONTROLLER, 0x7800
        .set VBE_MODE, 0x7a00
        .set STACK, 0x8000

# Multiboot 0.6.96, section 3.3 "Boot information format".
        .set INFO_FLAGS, INFO
        .set FLAG_VBE, 0x800
        .set FLAG_FRAMEBUFFER, 0x1000   # from multiboot.c: a video mode is asked for, in FB_*
        .set INFO_MEM_LOWER, INFO + 4
        .set INFO_MEM_UPPER, INFO + 8
        .set INFO_MMAP_LENGTH, INFO + 44
        .set INFO_MMAP_ADDR, INFO + 48
        .set INFO_VBE_CONTROLLER, INFO + 72
        .set INFO_VBE_MODE_INFO, INFO + 76
        .set INFO_VBE_MODE, INFO + 80
        .set FB_ADDR, INFO + 88
        .set FB_PITCH, INFO + 96
        .set FB_WIDTH, INFO + 100
        .set FB_HEIGHT, INFO + 104
        .set FB_BPP, INFO + 108
        .set FB_TYPE, INFO + 109
        .set FB_COLOR_INFO, INFO + 110
        .set TYPE_RGB, 1
        .set TYPE_TEXT, 2

        .set MULTIBOOT_MAGIC, 0x2badb002

# Xen, arch-x86/hvm/start_info.h, version 1. Its memory map has the same entries, each with four
# bytes behind it where multiboot's has its size before it.
        .set START_MAGIC, 0x336ec578
        .set START_RSDP, INFO + 32
        .set START_MAP, INFO + 40
        .set START_MAP_ENTRIES, INFO + 48

        .include "rom_header.inc"
product:
        .asciz  "Multiboot kernel of -kernel"
failed_text:
        .asciz  "\r\nmultiboot: the kernel cannot be read through fw_cfg\r\n"

        .balign 8, 0
gdt:                                    # accessed bits set: a ROM cannot be written to
        .quad   0
        .quad   0x00cf9b000000ffff      # 08h: flat, 32-bit code
        .quad   0x00cf93000000ffff      # 10h: flat data
gdt_end:

tables:                                 # what the parts are described in
        .word   SETUP_ADDR, SETUP_SIZE, SETUP_DATA
        .word   INITRD_ADDR, INITRD_SIZE, INITRD_DATA

# Boots. In: real mode, any segments but CS, a stack. Does not return.
bev:
        cld
        movw    $(tables - rom), %si
        call    load
        addw    $6, %si
        call    load
        movw    $SETUP_ADDR, %ax
        call    number
        shrl    $4, %eax
        movw    %ax, %ds
        movw    %ax, %es
        cmpl    $START_MAGIC, INFO
        je      start_info
        movl    $20, %ebp               # the size before each entry
        call    memory_map
        call    memory_sizes
        testw   $FLAG_FRAMEBUFFER, INFO_FLAGS
        jz      fetch
        call    video
        jmp     fetch
start_info:
        xorl    %ebp, %ebp
        call    memory_map
        call    find_rsdp

# The kernel, over whatever firmware has in low memory: nothing of it runs from here on.
fetch:
        cli
        movw    %ds, %ax
        movw    %ax, %ss
        movw    $STACK, %sp
        call    load_parts
        movw    $KERNEL_ENTRY, %ax
        call    number
        movl    %eax, %esi
        jmp     enter

# Out: EAX where DS begins.
base:
        xorl    %eax, %eax
        movw    %ds, %ax
        shll    $4, %eax
        ret

# The kernel's and the modules' bytes to their places. In: DS the tables'.
load_parts:
        movw    $PARTS, %si
        movl    $(KERNEL_DATA << 16 | DMA_SELECT | DMA_READ), %eax
1:      movl    (%si), %edi
        movl    4(%si), %ecx
        jecxz   2f
        call    dma_control
        movl    $DMA_READ, %eax         # reads on in the same item
        addw    $8, %si
        jmp     1b
2:      ret

# ACPI 6.5 section 5.2.5.1 "Finding the RSDP on IA-PC Systems": on 16-byte boundaries of the EBDA's
# first KiB, and from E0000h on. Changes AX, CX, ES.
find_rsdp:
        pushw   %es
        movw    $0x40, %ax
        movw    %ax, %es
        movw    %es:0x0e, %ax
        movw    $64, %cx
        call    1f
        movw    $0xe000, %ax
        movw    $0x2000, %cx
        call    1f
        popw    %es
        ret
1:      movw    %ax, %es
        cmpl    $0x20445352, %es:0      # "RSD "
        jne     2f
        cmpl    $0x20525450, %es:4      # "PTR "
        jne     2f
        movzwl  %ax, %eax
        shll    $4, %eax
        movl    %eax, START_RSDP
        ret
2:      incw    %ax
        loop    1b
        ret

# INT 12h: KiB from 0.
memory_sizes:
        int     $0x12
        movzwl  %ax, %eax
        movl    %eax, INFO_MEM_LOWER
        ret

# INT 15h E820h: the memory map, each entry with EBP before it; multiboot's mem_upper is the KiB from
# the first MiB of the entry that reaches over that. In: DS, ES the tables'.
memory_map:
        xorl    %ebx, %ebx
        movw    $MAP, %di
1:      movl    %ebp, (%di)
        addw    $4, %di
        movl    $0xe820, %eax
        movl    $20, %ecx
        movl    $0x534d4150, %edx       # "SMAP"
        pushl   %ebp
        int     $0x15
        popl    %ebp
        jc      3f
        cmpl    $0x534d4150, %eax
        jne     3f
        testl   %ebp, %ebp
        jz      2f
        cmpl    $1, 16(%di)             # usable
        jne     2f
        cmpl    $0, 4(%di)              # below 4 GiB
        jne     2f
        movl    $0x100000, %ecx
        subl    (%di), %ecx             # from its start to the first MiB
        jb      2f
        movl    8(%di), %eax
        subl    %ecx, %eax
        jbe     2f
        shrl    $10, %eax
        movl    %eax, INFO_MEM_UPPER
2:      addw    $20, %di
        testl   %ebx, %ebx
        jz      4f
        cmpw    $MAP_END, %di
        jbe     1b
        jmp     4f
3:      subw    $4, %di                 # there was none
4:      movl    $0, (%di)
        subw    $MAP, %di
        movzwl  %di, %ecx
        call    base
        addl    $MAP, %eax
        testl   %ebp, %ebp
        jz      5f
        movl    %ecx, INFO_MMAP_LENGTH
        movl    %eax, INFO_MMAP_ADDR
        ret
5:      addl    $4, %eax
        movl    %eax, START_MAP
        xchgl   %eax, %ecx
        movw    $24, %cx
        xorw    %dx, %dx
        divw    %cx
        movw    %ax, START_MAP_ENTRIES
        ret

# Finds a mode as FB_WIDTH, FB_HEIGHT and FB_BPP ask, then one with 32 bits, and sets it; else text
# stays. Says in the information which it is. In: DS, ES the tables'.
video:
        cmpb    $TYPE_TEXT, FB_TYPE
        je      text
        movl    $0x32454256, VBE_CONTROLLER     # "VBE2": we know what VBE 2 has added
        movw    $VBE_CONTROLLER, %di
        movw    $0x4f00, %ax
        int     $0x10
        cmpw    $0x004f, %ax
        jne     text
1:      call    find_mode
        jnc     set_mode
        cmpb    $32, FB_BPP
        movb    $32, FB_BPP
        jne     1b

# Mode 3, as the firmware has left it.
text:
        movl    $0xb8000, FB_ADDR
        movl    $0, FB_ADDR + 4
        movl    $160, FB_PITCH
        movl    $80, FB_WIDTH
        movl    $25, FB_HEIGHT
        movb    $16, FB_BPP
        movb    $TYPE_TEXT, FB_TYPE
        ret

# Out: CX the mode, its information at VBE_MODE; carry set if there is none. VBE 3.0 "Function 00h",
# "Function 01h".
find_mode:
        lfs     VBE_CONTROLLER + 14, %si
1:      movw    %fs:(%si), %cx
        addw    $2, %si
        cmpw    $0xffff, %cx
        je      2f
        movw    $VBE_MODE, %di
        movw    $0x4f01, %ax
        int     $0x10
        cmpw    $0x004f, %ax
        jne     1b
        movb    VBE_MODE, %al           # supported, graphics, linear framebuffer
        andb    $0x91, %al
        cmpb    $0x91, %al
        jne     1b
        cmpb    $6, VBE_MODE + 27       # direct colour
        jne     1b
        movzwl  VBE_MODE + 18, %eax
        cmpl    %eax, FB_WIDTH
        jne     1b
        movzwl  VBE_MODE + 20, %eax
        cmpl    %eax, FB_HEIGHT
        jne     1b
        movb    VBE_MODE + 25, %al
        cmpb    %al, FB_BPP
        jne     1b
        clc
        ret
2:      stc
        ret

# In: CX a mode that find_mode has found.
set_mode:
        movw    %cx, %bx
        orw     $0x4000, %bx            # with its linear framebuffer
        movw    $0x4f02, %ax
        int     $0x10
        cmpw    $0x004f, %ax
        jne     text
        movw    %bx, INFO_VBE_MODE
        call    base
        addl    $VBE_CONTROLLER, %eax
        movl    %eax, INFO_VBE_CONTROLLER
        addl    $(VBE_MODE - VBE_CONTROLLER), %eax
        movl    %eax, INFO_VBE_MODE_INFO
        orw     $FLAG_VBE, INFO_FLAGS
        movl    VBE_MODE + 40, %eax
        movl    %eax, FB_ADDR
        movl    $0, FB_ADDR + 4
        movzwl  VBE_MODE + 16, %eax
        cmpw    $0x300, VBE_CONTROLLER + 4      # VBE 3 has a pitch of its own for linear modes
        jb      1f
        movzwl  VBE_MODE + 50, %eax
1:      movl    %eax, FB_PITCH
        movb    $TYPE_RGB, FB_TYPE
        movw    VBE_MODE + 31, %ax      # red, green, blue: size, position; the other way round here
        xchgb   %al, %ah
        movw    %ax, FB_COLOR_INFO
        movw    VBE_MODE + 33, %ax
        xchgb   %al, %ah
        movw    %ax, FB_COLOR_INFO + 2
        movw    VBE_MODE + 35, %ax
        xchgb   %al, %ah
        movw    %ax, FB_COLOR_INFO + 4
        ret

# In: ESI the entry point, DS the tables'. Real mode -> protected mode: flat segments, paging off,
# interrupts off, A20 open; all else of CR0 clear. The far return's EIP and the GDT's address are
# linear, as CS will begin at 0.
enter:
        inb     $0x92, %al              # port 92h: bit 1 opens A20, bit 0 would reset
        orb     $2, %al
        andb    $0xfe, %al
        outb    %al, $0x92
        call    base
        movl    %eax, %ecx
        xorl    %eax, %eax
        movw    %cs, %ax
        shll    $4, %eax
        leal    (flat - rom)(%eax), %ebx
        leal    (gdt - rom)(%eax), %eax
        pushl   $0x08
        pushl   %ebx
        pushl   %eax
        pushw   $(gdt_end - gdt - 1)
        movw    %sp, %bp
        lgdtl   (%bp)
        addw    $6, %sp
        movl    $0x11, %eax             # PE, ET
        movl    %eax, %cr0
        lretl

        .code32
flat:
        movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        leal    STACK(%ecx), %esp       # undefined by the specification; good for a careless kernel
        leal    INFO(%ecx), %ebx
        movl    $MULTIBOOT_MAGIC, %eax
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        xorl    %edi, %edi
        xorl    %ebp, %ebp
        jmp     *%esi
        .code16

        .include "fw_cfg_read.inc"

        .org    ROM_BLOCKS * 512, 0
