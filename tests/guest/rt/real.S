/* Into real mode and back (32-bit images). Linked to run at 7000h, where the runtime copies it. */
#ifndef __x86_64__
    .section .real, "awx"
    .code16
/* in, out: the program's registers; see struct real in rt.c */
    .globl  real_regs, real_sregs, real_idt, real_cr0
real_regs:                          /* EAX EBX ECX EDX ESI EDI EBP */
    .fill   7, 4, 0
real_sregs:                         /* DS ES FS GS SS SP FLAGS */
    .fill   7, 2, 0
real_target:
    .globl  real_target
    .word   0x8000, 0               /* IP, CS */
real_idt:
    .word   0x3ff
    .long   0
real_cr0:
    .long   0                       /* for real mode: CR0 as the program finds it */
    .globl  real_out, real_keep_limits
real_keep_limits:
    .long   0                       /* leave the segment limits of protected mode ("unreal") */
real_out:                           /* vector, IP, CS, FLAGS, SP, SS, DS, ES, FS, GS; EAX... */
    .fill   10, 2, 0
    .fill   7, 4, 0
saved_esp:
    .long   0
saved_cr0:
    .long   0

    .code32
    .text
    .globl  real_enter
real_enter:
    pushl   %ebx
    pushl   %ebp
    pushl   %esi
    pushl   %edi
    movl    %esp, saved_esp
    movl    %cr0, %eax
    movl    %eax, saved_cr0
    ljmp    $0x38, $real_16

    .section .real
    .code16
real_16:
    cmpl    $0, real_keep_limits
    jne     1f
    movw    $0x40, %ax              /* 64-KiB segments */
    movw    %ax, %ds
    movw    %ax, %es
    movw    %ax, %fs
    movw    %ax, %gs
1:  movw    $0x40, %ax
    movw    %ax, %ss
    lidtl   %cs:real_idt
    movl    %cs:real_cr0, %eax
    movl    %eax, %cr0
    ljmp    $0, $2f
2:  movw    %cs:real_sregs + 8, %ss
    movzwl  %cs:real_sregs + 10, %esp
    movw    %cs:real_sregs + 2, %es
    movw    %cs:real_sregs + 4, %fs
    movw    %cs:real_sregs + 6, %gs
    movw    %cs:real_sregs + 0, %ds
    movl    %cs:real_regs + 0, %eax
    movl    %cs:real_regs + 4, %ebx
    movl    %cs:real_regs + 8, %ecx
    movl    %cs:real_regs + 12, %edx
    movl    %cs:real_regs + 16, %esi
    movl    %cs:real_regs + 20, %edi
    movl    %cs:real_regs + 24, %ebp
    pushw   %cs:real_sregs + 12     /* FLAGS */
    pushw   %cs:real_target + 2
    pushw   %cs:real_target
    iretw

    .globl  real_stubs
    .balign 8
real_stubs:
    .set    v, 0
    .rept   256
    .balign 8
    pushw   $v
    jmp     real_common
    .set    v, v + 1
    .endr

real_common:
    movl    %eax, %cs:real_out + 20
    movl    %ebx, %cs:real_out + 24
    movl    %ecx, %cs:real_out + 28
    movl    %edx, %cs:real_out + 32
    movl    %esi, %cs:real_out + 36
    movl    %edi, %cs:real_out + 40
    movl    %ebp, %cs:real_out + 44
    popw    %cs:real_out + 0
    popw    %cs:real_out + 2
    popw    %cs:real_out + 4
    popw    %cs:real_out + 6
    movw    %sp, %cs:real_out + 8
    movw    %ss, %cs:real_out + 10
    movw    %ds, %cs:real_out + 12
    movw    %es, %cs:real_out + 14
    movw    %fs, %cs:real_out + 16
    movw    %gs, %cs:real_out + 18
    movl    %cs:saved_cr0, %eax
    movl    %eax, %cr0
    ljmpl   $0x08, $real_back

    .code32
    .text
real_back:
    movl    $0x10, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    movl    saved_esp, %esp
    pushl   $2
    popfl
    xorl    %eax, %eax
    movl    %eax, %fs
    movl    %eax, %gs
    popl    %edi
    popl    %esi
    popl    %ebp
    popl    %ebx
    ret
#else
    .section .real, "awx"
    .byte   0
#endif
    .section .note.GNU-stack, "", @progbits
