/*
 * The suite's ways between C and the machine. C is compiled for 16-bit segments with 32-bit registers (gcc -m16):
 * CS = DS = ES = SS = 1000h, functions are called with a 32-bit return address, EBX, ESI, EDI, EBP are theirs.
 */
        .code16
        .section .start, "ax"
        .globl  start, words
start:                                          # from boot.S: 0:SI what the boot sector noted
        jmp     1f
        .org    16
words:  .space  240                             # run.py's: the groups to run
1:      xorw    %ax, %ax
        movw    %ax, %ds
        movw    %cs, %ax
        movw    %ax, %es
        cli
        movw    %ax, %ss
        movl    $0xfff0, %esp
        sti
        cld
        movw    $entry, %di
        movw    $11, %cx
        rep movsw
        movw    %ax, %ds
        movw    $bss_start, %di
        movw    $bss_end, %cx
        subw    %di, %cx
        xorb    %al, %al
        rep stosb
        calll   main
1:      hlt
        jmp     1b

        .data
        .globl  entry
entry:  .fill   11, 2, 0
saved_esp:
        .long   0

/*
 * void bios_call(void): loads every register from `regs`, executes the interrupt or the far call that
 * `gate` says, and puts back into `regs` what the BIOS left in them. SS:ESP after it goes into regs_esp.
 */
        .text
        .globl  bios_call
bios_call:
        pushal
        pushl   %ds
        pushl   %es
        pushl   %fs
        pushl   %gs
        movl    %esp, saved_esp
        movl    saved_esp, %eax
        movl    %eax, regs_esp
        movl    regs+0, %eax
        movl    regs+4, %ebx
        movl    regs+8, %ecx
        movl    regs+12, %edx
        movl    regs+16, %esi
        movl    regs+20, %edi
        movl    regs+24, %ebp
        movw    regs+30, %es
        movw    regs+32, %fs
        movw    regs+34, %gs
        pushl   regs+36
        popfl
        movw    regs+28, %ds
        .globl  gate
gate:   .byte   0xcd, 0                         # INT n, or (9Ah) a far call
        nop
        nop
        nop
        movl    %eax, %cs:regs+0
        movl    %ebx, %cs:regs+4
        movl    %ecx, %cs:regs+8
        movl    %edx, %cs:regs+12
        movl    %esi, %cs:regs+16
        movl    %edi, %cs:regs+20
        movl    %ebp, %cs:regs+24
        movw    %ds, %cs:regs+28
        movw    %es, %cs:regs+30
        movw    %fs, %cs:regs+32
        movw    %gs, %cs:regs+34
        pushfl
        popl    %cs:regs+36
        movl    %esp, %eax
        xchgl   %eax, %cs:regs_esp
        subl    %eax, %cs:regs_esp              # 0: as it was before
        movl    %cs:saved_esp, %esp
        cld
        sti
        popl    %gs
        popl    %fs
        popl    %es
        popl    %ds
        popal
        retl

        .bss
        .globl  regs
regs:   .space  40
        .globl  regs_esp
regs_esp:
        .space  4

/*
 * void flat_call(void): protected mode, flat 32-bit segments, interrupts off; far-calls flat_target with the
 * registers of `regs` (EAX to EBP), and comes back to real mode. 08h is flat code, 10h flat data, 18h this segment
 * in 16 bits, 20h its data.
 */
        .data
        .balign 8
gdt:    .quad   0
        .quad   0x00cf9b000000ffff
        .quad   0x00cf93000000ffff
        .quad   0x00009b010000ffff
        .quad   0x000093010000ffff
        .quad   0x00409b010000ffff              # 28h: this segment in 32 bits
gdt_at: .word   . - gdt - 1
        .long   0x10000 + gdt
        .globl  flat_target
flat_target:
        .long   0
        .word   0x08

        .text
        .globl  flat_call
flat_call:
        pushal
        pushl   %ds
        pushl   %es
        pushl   %fs
        pushl   %gs
        cli
        movl    %esp, saved_esp
        lgdtl   gdt_at
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $0x28, $1f
        .code32
1:      movw    $0x10, %ax                      # protected mode, 32-bit code based at 10000h; data becomes flat
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        addl    $0x10000, %esp
        movl    0x10000 + regs, %eax
        movl    0x10000 + regs + 4, %ebx
        movl    0x10000 + regs + 8, %ecx
        movl    0x10000 + regs + 12, %edx
        movl    0x10000 + regs + 16, %esi
        movl    0x10000 + regs + 20, %edi
        movl    0x10000 + regs + 24, %ebp
        pushl   0x10000 + regs + 36
        popfl
        lcall   *0x10000 + flat_target
        movl    %eax, 0x10000 + regs
        movl    %ebx, 0x10000 + regs + 4
        movl    %ecx, 0x10000 + regs + 8
        movl    %edx, 0x10000 + regs + 12
        movl    %esi, 0x10000 + regs + 16
        movl    %edi, 0x10000 + regs + 20
        movl    %ebp, 0x10000 + regs + 24
        pushfl
        popl    0x10000 + regs + 36
        cli
        cld
        subl    $0x10000, %esp
        movw    $0x20, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        ljmp    $0x18, $1f
        .code16
1:      movl    %cr0, %eax                      # 16-bit protected mode with real mode's limits
        andb    $0xfe, %al
        movl    %eax, %cr0
        ljmp    $0x1000, $1f
1:      movw    %cs, %ax                        # real mode again
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    saved_esp, %esp
        popl    %gs
        popl    %fs
        popl    %es
        popl    %ds
        sti
        popal
        retl

/* What the program hooks into the vectors: each counts, notes, and does what the service asks of it. */
        .macro  counter name
        .data
        .globl  \name\()_count
\name\()_count:
        .long   0
        .text
        .globl  \name\()_hook
\name\()_hook:
        incl    %cs:\name\()_count
        .endm

        counter tick                            # INT 1Ch
        iretw
        counter unpause                         # INT 1Ch that types a space at every tick
1:      pushw   %ax
        inb     $0x64, %al
        testb   $3, %al
        jnz     2f
        movb    $0xd2, %al
        outb    %al, $0x64
        movb    $0x39, %al
        outb    %al, $0x60
2:      popw    %ax
        iretw
        counter alarm                           # INT 4Ah
        iretw
        counter ctrl_break                      # INT 1Bh
        iretw
        counter print_screen                    # INT 05h
        iretw
        counter sysreq                          # INT 15h AH=85h and others; AH=4Fh may change the code or drop it
        pushw   %bx
        movw    %cs:hook_at, %bx
        cmpw    $62, %bx
        ja      1f
        movw    %ax, %cs:hook_ax(%bx)
        addw    $2, %bx
        movw    %bx, %cs:hook_at
1:      popw    %bx
        cmpw    $0x4f1e, %ax                    # A becomes B, S is dropped
        je      2f
        cmpw    $0x4f1f, %ax
        je      3f
        ljmp    *%cs:hook_next
2:      movb    $0x30, %al
        pushw   %bp
        movw    %sp, %bp
        orb     $1, 6(%bp)
        popw    %bp
        iretw
3:      pushw   %bp
        movw    %sp, %bp
        andb    $0xfe, 6(%bp)
        popw    %bp
        iretw
        .bss
        .globl  hook_at, hook_ax, hook_next
hook_at:
        .space  2
hook_ax:
        .space  64
hook_next:
        .space  4

/* The pointing device's handler, far-called: notes the four words above its return address. */
        .data
        .globl  mouse_count
mouse_count:
        .long   0
        .text
        .globl  mouse_hook
mouse_hook:
        pushw   %bp
        movw    %sp, %bp
        incl    %cs:mouse_count
        pushw   %ax
        movw    6(%bp), %ax
        movw    %ax, %cs:mouse_words
        movw    8(%bp), %ax
        movw    %ax, %cs:mouse_words+2
        movw    10(%bp), %ax
        movw    %ax, %cs:mouse_words+4
        movw    12(%bp), %ax
        movw    %ax, %cs:mouse_words+6
        popw    %ax
        popw    %bp
        lretw
        .bss
        .globl  mouse_words
mouse_words:
        .space  8
