/*
 * Entries that are called, not interrupted: Plug and Play BIOS functions, of which there are none
 * (no ISA device on this board can be configured). Each answers FUNCTION_NOT_SUPPORTED.
 */
        .set    FUNCTION_NOT_SUPPORTED, 0x82

        .section .text16, "ax"
        .code16
        .globl  pnp_real_mode, pnp_protected_mode
pnp_real_mode:
pnp_protected_mode:                     # a 16-bit segment, too
        movw    $FUNCTION_NOT_SUPPORTED, %ax
        lretw
