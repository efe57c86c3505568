/*
 * How the pointing device's handler is called (pointer.c): far, in real mode, with four words on the stack that stay
 * there when it returns. It may change any register.
 */
#include "config.h"

        .section .text16, "ax"
        .code16
        .globl  call_pointer
call_pointer:                           # EAX the handler, EDX the words, the last pushed first
        pushl   %ebx
        pushl   %esi
        pushl   %edi
        pushl   %ebp
        pushw   6(%edx)
        pushw   4(%edx)
        pushw   2(%edx)
        pushw   (%edx)
        pushw   %cs
        pushw   $1f
        pushl   %eax
        lretw
1:      cli
        cld
        movzwl  %sp, %esp
        addw    $8, %sp
        movw    %ss, %ax                # DATA_SEG
        movw    %ax, %ds
        movw    %ax, %es
        pushw   $0
        popw    %fs
        popl    %ebp
        popl    %edi
        popl    %esi
        popl    %ebx
        retl
