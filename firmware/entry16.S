/*
 * From interrupts to C and back, in 16-bit code; the other way, from C to interrupts; and real mode
 * for 32-bit code.
 *
 * Stacks. C compiled for 16 bits takes DS = SS for granted, and callers' stacks may be small: so C
 * runs on stacks of its own in DATA_SEG. Whoever comes with SS = DATA_SEG has interrupted, or was
 * called by, our own code and goes on on the same stack. Anybody else gets the next of STACKS
 * stacks, in a ring: a program may hook an interrupt that arrives while a service of ours runs,
 * change to its own stack and call another service, and the frames of the first must live on. It
 * may as well leave a service for ever by a jump: a ring does not fill up.
 *
 * enter works in V86 mode too: it needs no privilege but CLI, which monitors virtualize.
 */
#include "config.h"

/* struct bregs of regs.h */
        .set    R_GS, 0
        .set    R_FS, 2
        .set    R_ES, 4
        .set    R_DS, 6
        .set    R_EDI, 8
        .set    R_ESI, 12
        .set    R_EBP, 16
        .set    R_EBX, 24
        .set    R_EDX, 28
        .set    R_ECX, 32
        .set    R_EAX, 36
        .set    R_IP, 40
        .set    R_CS, 42
        .set    R_FLAGS, 44
/* what enter keeps behind it */
        .set    E_ESP, 48
        .set    E_SS, 52
        .set    E_TOP, 56
/* what enter leaves on the caller's stack */
        .set    C_DS, 0
        .set    C_EAX, 2
        .set    C_HANDLER, 6
        .set    C_IP, 8
        .set    C_FLAGS, 12

        .section .data16, "aw"
        .balign 4
stack_top:                              # of the stack in use
        .long   STACK_LAST_TOP
enter_esp:                              # for a few instructions with interrupts off
        .long   0
enter_ss:
        .long   0
enter_top:
        .long   0

        .section .text16, "ax"
        .code16

/*
 * Every entry pushes the offset of its C function and jumps here (vectors.S). The function gets
 * the frame, struct bregs *, with interrupts off; what it leaves there is what the caller gets.
 * In, on the caller's stack: handler, IP, CS, FLAGS.
 */
        .globl  enter
enter:
        cli
        cld
        pushl   %eax
        pushw   %ds
        pushw   $DATA_SEG
        popw    %ds
        movl    %esp, enter_esp
        movw    %ss, enter_ss
        movl    stack_top, %eax
        movl    %eax, enter_top
        cmpw    $DATA_SEG, enter_ss
        je      2f
        addl    $STACK_BYTES, %eax      # the next of the ring
        cmpl    $STACK_LAST_TOP, %eax
        jbe     1f
        movl    $STACK_FIRST_TOP, %eax
1:      movl    %eax, stack_top
        pushw   $DATA_SEG
        popw    %ss
        movl    %eax, %esp
2:
        pushl   enter_top
        pushl   enter_ss
        pushl   enter_esp
        subw    $8, %sp                 # for IP, CS, FLAGS
        pushal                          # EAX and DS are still to be fetched
        pushw   %ds
        pushw   %es
        pushw   %fs
        pushw   %gs

        movl    %esp, %ebp
        movw    E_SS(%ebp), %gs
        movzwl  E_ESP(%ebp), %ebx
        movw    %gs:C_DS(%ebx), %ax
        movw    %ax, R_DS(%ebp)
        movl    %gs:C_EAX(%ebx), %eax
        movl    %eax, R_EAX(%ebp)
        movl    %gs:C_IP(%ebx), %eax
        movl    %eax, R_IP(%ebp)
        movw    %gs:C_FLAGS(%ebx), %ax
        movw    %ax, R_FLAGS(%ebp)
        movzwl  %gs:C_HANDLER(%ebx), %edx

        pushw   $DATA_SEG
        popw    %es
        pushw   $0
        popw    %fs
        movl    %ebp, %eax
        calll   *%edx

        cli
        movl    %esp, %ebp
        movw    E_SS(%ebp), %gs
        movzwl  E_ESP(%ebp), %ebx
        movw    R_DS(%ebp), %ax
        movw    %ax, %gs:C_DS(%ebx)
        movl    R_EAX(%ebp), %eax
        movl    %eax, %gs:C_EAX(%ebx)
        movl    R_IP(%ebp), %eax
        movl    %eax, %gs:C_IP(%ebx)
        movw    R_FLAGS(%ebp), %ax
        movw    %ax, %gs:C_FLAGS(%ebx)
        movl    E_TOP(%ebp), %eax
        movl    %eax, stack_top
        popw    %gs
        popw    %fs
        popw    %es
        addw    $2, %sp
        popal
        addw    $8, %sp
        lssl    (%esp), %esp
        popw    %ds
        popl    %eax
        addw    $2, %sp
        iretw

/* ---- from C to interrupts ---- */

/*
 * call_int(vector, r), call_far(r), call_iret(r): see post16.h. The first and last leave FLAGS
 * under the return address, for an IRET, and start with interrupts off as INT does.
 */
        .globl  call_int_16, call_far_16, call_iret_16
call_int_16:                            # AL, EDX
        movzbl  %al, %eax
        movl    %fs:(, %eax, 4), %eax
        movl    %eax, R_IP(%edx)
        movl    %edx, %eax
call_iret_16:                           # EAX
        movl    $1, %ecx
        jmp     1f
call_far_16:                            # EAX
        xorl    %ecx, %ecx
1:      pushl   %ebx
        pushl   %esi
        pushl   %edi
        pushl   %ebp
        pushl   %eax
        movl    %eax, %ebx
        jecxz   2f
        pushw   R_FLAGS(%ebx)
2:      pushw   %cs
        pushw   $called
        pushl   R_IP(%ebx)              # and CS
        pushw   R_FLAGS(%ebx)
        popfw
        jecxz   3f
        cli
3:      movw    R_ES(%ebx), %es
        movw    R_FS(%ebx), %fs
        movw    R_GS(%ebx), %gs
        movl    R_EDI(%ebx), %edi
        movl    R_ESI(%ebx), %esi
        movl    R_EBP(%ebx), %ebp
        movl    R_EDX(%ebx), %edx
        movl    R_ECX(%ebx), %ecx
        movl    R_EAX(%ebx), %eax
        movw    R_DS(%ebx), %ds
        movl    %ss:R_EBX(%ebx), %ebx
        lretw

called:                                 # SP as before the pushes of the call: r is on top
        pushfw
        cli
        cld
        movzwl  %sp, %esp
        pushl   %ebx
        movl    6(%esp), %ebx
        movl    %edi, %ss:R_EDI(%ebx)
        movl    %esi, %ss:R_ESI(%ebx)
        movl    %ebp, %ss:R_EBP(%ebx)
        movl    %edx, %ss:R_EDX(%ebx)
        movl    %ecx, %ss:R_ECX(%ebx)
        movl    %eax, %ss:R_EAX(%ebx)
        movw    %ds, %ss:R_DS(%ebx)
        movw    %es, %ss:R_ES(%ebx)
        movw    %fs, %ss:R_FS(%ebx)
        movw    %gs, %ss:R_GS(%ebx)
        popl    %ss:R_EBX(%ebx)
        popw    %ss:R_FLAGS(%ebx)
        addw    $4, %sp
        movw    %ss, %ax                # DATA_SEG, or 0 when POST called
        movw    %ax, %ds
        movw    %ax, %es
        xorw    %ax, %ax
        movw    %ax, %fs
        popl    %ebp
        popl    %edi
        popl    %esi
        popl    %ebx
        retl

        .globl  wait_irq
wait_irq:
        sti
        hlt
        cli
        retl

/* ---- memory beyond 1 MiB ---- */

/*
 * copy_flat(EAX to, EDX from, ECX bytes). Before: real mode, interrupts off. Within: protected mode
 * by PE alone: CS and SS stay what they are, DS and ES are flat, nothing may interrupt. After: real
 * mode, DS and ES with limits of 64 KiB again.
 */
        .globl  copy_flat
copy_flat:
        pushl   %esi
        pushl   %edi
        movl    %eax, %edi
        movl    %edx, %esi
        lgdtl   %cs:gdt_pointer
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        movw    $SEL_DATA32, %dx
        movw    %dx, %ds
        movw    %dx, %es
        movl    %ecx, %edx
        shrl    $2, %ecx
        addr32 rep movsl
        movl    %edx, %ecx
        andl    $3, %ecx
        addr32 rep movsb
        movw    $SEL_DATA16, %dx
        movw    %dx, %ds
        movw    %dx, %es
        andb    $~1, %al
        movl    %eax, %cr0
        movw    %ss, %ax                # DATA_SEG
        movw    %ax, %ds
        movw    %ax, %es
        popl    %edi
        popl    %esi
        retl

/* ---- real mode for 32-bit code ---- */

/* What call_service() calls: EAX the function, EDX its argument; EAX its result. */
        .globl  service_entry
service_entry:
        pushw   $run_service
        jmp     enter

/*
 * Before: protected mode, flat 32-bit code and data, CS in the ROM below 4 GiB, interrupts off,
 * ESP below 64 KiB. Within: real mode, CS = CODE_SEG, all other segments 0, same stack; limits as
 * real_mode_data has them: 4 GiB while option ROMs are about, who may expect that ("big real mode",
 * PCI FW 3.0 §5.2.1), 64 KiB for what is booted. After: as before; EBX, ESI, EDI, EBP kept.
 */
        .section .data32, "aw"
        .balign 4
        .globl  real_mode_data
real_mode_data:
        .long   SEL_DATA32

        .section .text32, "ax"
        .code32
        .globl  call_int_32, call_far_32, call_iret_32
call_int_32:                            # AL, EDX
        movzbl  %al, %eax
        movl    (, %eax, 4), %eax
        movl    %eax, R_IP(%edx)
        movl    %edx, %eax
call_iret_32:                           # EAX
        movl    $call_iret_16, %ecx
        jmp     1f
call_far_32:                            # EAX
        movl    $call_far_16, %ecx
1:      pushl   %ebx
        pushl   %esi
        pushl   %edi
        pushl   %ebp
        movl    %eax, %ebx
        movl    real_mode_data, %edx
        ljmpl   $SEL_CODE16, $to_real_mode
back_in_32:
        movl    $SEL_DATA32, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %fs
        movl    %eax, %gs
        movl    %eax, %ss
        popl    %ebp
        popl    %edi
        popl    %esi
        popl    %ebx
        ret

        .section .text16
        .code16
to_real_mode:                           # protected mode, 16-bit code; EBX r, ECX what to call
        movw    %dx, %ds                # these limits stay in the segments' hidden parts
        movw    %dx, %es
        movw    %dx, %fs
        movw    %dx, %gs
        movw    $SEL_DATA16, %ax
        movw    %ax, %ss
        movl    %cr0, %eax
        andb    $~1, %al
        movl    %eax, %cr0
        ljmpw   $CODE_SEG, $1f
1:      xorw    %ax, %ax                # real mode
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        lidtl   %cs:real_idt
        movl    %ebx, %eax
        calll   *%ecx
        jmp     to_protected_mode

/* Real mode, interrupts off, any segments: to 32-bit flat code at back_in_32. Changes EAX. */
to_protected_mode:
        lgdtl   %cs:gdt_pointer
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $SEL_CODE32, $back_in_32

        .balign 8
        .globl  gdt, gdt_pointer, real_idt
gdt:
        .quad   0
        .quad   0x00cf9b000000ffff      # SEL_CODE32
        .quad   0x00cf93000000ffff      # SEL_DATA32
        .quad   0x00009b0f0000ffff      # SEL_CODE16
        .quad   0x000093000000ffff      # SEL_DATA16
gdt_end:
gdt_pointer:
        .word   gdt_end - gdt - 1
        .long   gdt + CODE_BASE
real_idt:
        .word   0x3ff
        .long   0

/* ---- to what has been booted ---- */

/*
 * boot_jump(AX segment, EDX offset, CL drive, stack: offset of the PnP structure). Leaves our stacks
 * for ever: SS:SP = 0000:7C00, with a return address there for what gives up by RETF.
 */
        .globl  boot_jump
boot_jump:
        movzwl  4(%esp), %edi
        movzbl  %cl, %ecx
        movl    $STACK_LAST_TOP, stack_top
        xorw    %bx, %bx
        movw    %bx, %ss
        movl    $0x7c00, %esp
        pushw   $CODE_SEG
        pushw   $gave_up
        pushw   %ax
        pushw   %dx
        movw    %bx, %ds
        movw    %bx, %fs
        movw    %bx, %gs
        pushw   $CODE_SEG               # ES:DI: PnP BIOS 1.0A "Boot Strap Entry Vector"
        popw    %es
        movl    %ecx, %edx
        movl    $0xaa55, %eax
        xorl    %ebx, %ebx
        xorl    %ecx, %ecx
        xorl    %esi, %esi
        xorl    %ebp, %ebp
        sti
        lretw

gave_up:
        int     $0x18
