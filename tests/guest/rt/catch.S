/* Entry of the image, the exception stubs and the way into and out of a program under test. */
#ifdef __x86_64__
#define W 8
#define A(n) r##n
#define WORD .quad
#else
#define W 4
#define A(n) e##n
#define WORD .long
#endif

    .section .start, "ax"
    .globl start
    .code32
start:
    cld
    movl    $bss_start, %edi
    movl    $bss_end, %ecx
    subl    %edi, %ecx
    xorl    %eax, %eax
    rep stosb
    movl    $c_stack_top, %esp
#ifdef __x86_64__
    /* identity map of 4 GiB by 2-MiB pages, open to all levels */
    movl    $boot_pd, %edi
    movl    $0xe7, %eax
1:  movl    %eax, (%edi)
    addl    $0x200000, %eax
    addl    $8, %edi
    cmpl    $boot_pd + 0x4000, %edi
    jne     1b
    movl    $boot_pd + 7, %eax
    movl    $boot_pdpt, %edi
    movl    $4, %ecx
2:  movl    %eax, (%edi)
    addl    $0x1000, %eax
    addl    $8, %edi
    loop    2b
    movl    $boot_pdpt + 7, boot_pml4
    movl    $boot_pml4, %eax
    movl    %eax, %cr3
    movl    %cr4, %eax
    orl     $0x20, %eax
    movl    %eax, %cr4
    movl    $0xc0000080, %ecx
    rdmsr
    orl     $0x100, %eax
    wrmsr
    movl    %cr0, %eax
    orl     $0x80000000, %eax
    movl    %eax, %cr0
    lgdt    boot_gdt_pointer
    ljmp    $0x08, $3f
    .code64
3:  movl    $0x10, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
#endif
    call    rt_main
4:  hlt
    jmp     4b

#ifdef __x86_64__
    .balign 8
boot_gdt:
    .quad   0
    .quad   0x00af9b000000ffff
    .quad   0x00cf93000000ffff
boot_gdt_pointer:
    .word   23
    .long   boot_gdt
    .bss
    .balign 4096
    .globl  boot_pml4, boot_pdpt, boot_pd
boot_pml4: .skip 4096
boot_pdpt: .skip 4096
boot_pd: .skip 4 * 4096
#endif

    .bss
    .balign 4096
    .globl  test_stack, test_stack_top, user_stack_top, entry_stack_top, ist_stack_top, df_stack_top
    .skip   16384
c_stack_top:
    .skip   8192
catch_stack_top:
test_stack: .skip 4096
test_stack_top:
    .skip   4096
user_stack_top:
    .skip   4096
entry_stack_top:
    .skip   4096
ist_stack_top:
    .skip   4096
df_stack_top:

    .text
/* Sixteen bytes a stub: the vector on top of the frame, an error code below it in every case. */
    .globl  stubs
    .balign 16
stubs:
    .set    v, 0
    .rept   256
    .balign 16
    .if     !(v == 8 || (v >= 10 && v <= 14) || v == 17 || v == 21)
    push    $0
    .endif
    push    $v
    jmp     common
    .set    v, v + 1
    .endr

#ifdef __x86_64__
common:
    cld
    push    %rax
    push    %rbx
    push    %rcx
    push    %rdx
    push    %rsi
    push    %rdi
    push    %rbp
    movl    %ds, %eax
    push    %rax
    movl    %es, %eax
    push    %rax
    movl    %fs, %eax
    push    %rax
    movl    %gs, %eax
    push    %rax
    movl    $0x10, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movq    %rsp, raw_stack
    movq    %rsp, %rsi
    movl    $raw, %edi
    movl    $28, %ecx
    rep movsq
    movl    %ss, %eax
    movl    %eax, raw_stack + W
    movl    $catch_stack_top, %esp
    call    catch
    testl   %eax, %eax
    jz      leave
    movq    raw_stack, %rsp
    addq    $32, %rsp
    pop     %rbp
    pop     %rdi
    pop     %rsi
    pop     %rdx
    pop     %rcx
    pop     %rbx
    pop     %rax
    addq    $16, %rsp
    iretq

/* Back to the caller of run(), whatever state the program left. */
    .globl  leave
leave:
    movl    $0x10, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    movl    $c_stack_top, %esp
    push    $2
    popfq
    movq    rec_sp, %rsp
    pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %rbp
    pop     %rbx
    ret

/* void enter(word ip): runs it in the world of ctx; returns through leave. */
    .globl  enter
enter:
    push    %rbx
    push    %rbp
    push    %r12
    push    %r13
    push    %r14
    push    %r15
    movq    %rsp, rec_sp
    movzwl  ctx + 2, %eax
    push    %rax                    /* SS */
    push    ctx + 16                /* RSP */
    push    ctx + 24                /* RFLAGS */
    movzwl  ctx + 0, %eax
    push    %rax
    push    %rdi
    cmpb    $0, ctx_set_fs_gs
    je      1f
    movw    ctx + 8, %fs
    movw    ctx + 10, %gs
1:  movw    ctx + 6, %es
    movw    ctx + 4, %ax
    movw    %ax, %ds                /* data accesses below ignore it */
    movq    in + 0, %rax
    movq    in + 8, %rbx
    movq    in + 16, %rcx
    movq    in + 24, %rdx
    movq    in + 32, %rsi
    movq    in + 40, %rdi
    movq    in + 48, %rbp
    iretq
#else
common:
    cld
    pushl   %eax
    pushl   %ebx
    pushl   %ecx
    pushl   %edx
    pushl   %esi
    pushl   %edi
    pushl   %ebp
    movl    %ds, %eax
    pushl   %eax
    movl    %es, %eax
    pushl   %eax
    movl    %fs, %eax
    pushl   %eax
    movl    %gs, %eax
    pushl   %eax
    movl    $0x10, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %esp, %esi
    movl    %ss, %eax
    movl    %eax, raw_stack + W
    lar     %eax, %ebx
    testl   $0x400000, %ebx
    jnz     1f
    movzwl  %si, %esi               /* a 16-bit stack */
1:  movl    %esi, raw_stack
    movl    $raw, %edi
    movl    $28, %ecx
2:  movl    %ss:(%esi), %eax
    movl    %eax, (%edi)
    addl    $4, %esi
    addl    $4, %edi
    loop    2b
    movl    $0x10, %eax
    movl    %eax, %ss
    movl    $catch_stack_top, %esp
    call    catch
    testl   %eax, %eax
    jz      leave
    lss     raw_stack, %esp            /* with the SS behind it */
    popl    %gs
    popl    %fs
    popl    %es
    popl    %ds
    popl    %ebp
    popl    %edi
    popl    %esi
    popl    %edx
    popl    %ecx
    popl    %ebx
    popl    %eax
    addl    $8, %esp
    iretl

/* Back to the caller of run(), whatever state the program left. */
    .globl  leave
leave:
    movl    $0x10, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    movl    $c_stack_top, %esp
    xorl    %eax, %eax
    movl    %eax, %fs
    movl    %eax, %gs
    pushl   $2
    popfl
    ljmp    $0x08, $1f
1:  movl    rec_sp, %esp
    popl    %edi
    popl    %esi
    popl    %ebp
    popl    %ebx
    ret

    .globl  enter
enter:
    movl    4(%esp), %eax
    pushl   %ebx
    pushl   %ebp
    pushl   %esi
    pushl   %edi
    movl    %esp, rec_sp
    cmpb    $0, ctx_vm86
    jne     1f
    testb   $3, ctx + 0
    jnz     2f
    /* the same level: on the program's own stack, which IRET does not load */
    movl    ctx + 12, %ecx
    movw    ctx + 2, %ss
    movl    %ecx, %esp
    jmp     3f
1:  movzwl  ctx + 10, %ecx
    pushl   %ecx
    movzwl  ctx + 8, %ecx
    pushl   %ecx
    movzwl  ctx + 4, %ecx
    pushl   %ecx
    movzwl  ctx + 6, %ecx
    pushl   %ecx
2:  movzwl  ctx + 2, %ecx
    pushl   %ecx
    pushl   ctx + 12
3:  pushl   ctx + 16
    movzwl  ctx + 0, %ecx
    pushl   %ecx
    pushl   %eax
    cmpb    $0, ctx_vm86
    jne     4f
    movw    ctx + 6, %es
    movw    ctx + 8, %fs
    movw    ctx + 10, %gs
    movw    ctx + 4, %ds
4:  movl    %cs:in + 0, %eax
    movl    %cs:in + 4, %ebx
    movl    %cs:in + 8, %ecx
    movl    %cs:in + 12, %edx
    movl    %cs:in + 16, %esi
    movl    %cs:in + 20, %edi
    movl    %cs:in + 24, %ebp
    iretl

/* The double-fault task: its own stack, the error code on it. */
    .globl  df_entry
df_entry:
    cld
    popl    df_error
    movl    $catch_stack_top, %esp
    call    catch_df
    jmp     leave
#endif
    .section .note.GNU-stack, "", @progbits
