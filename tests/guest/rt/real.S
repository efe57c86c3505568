    .section .real, "ax"
    .code16
real_start:
    hlt
    .section .note.GNU-stack, "", @progbits
