/*
 * Entries of all interrupts, the fixed places among them. Software that jumps to a BIOS' addresses
 * instead of calling its interrupts is rare by now but as old as the PC (IBM PC AT Technical
 * Reference, BIOS listing; "compatibility segment" in Phoenix and Award manuals), and the reset
 * vector, model byte and date are read by much more.
 */
#include "config.h"

        .code16

/* A C handler: void name(struct bregs *). */
        .macro  entry label, handler
        .globl  \label
\label: pushw   $\handler
        jmp     enter
        .endm

/* Three bytes at an address of their own. */
        .macro  fixed address, target
        .section .fixed.\address, "ax"
        .globl  fixed_\address
fixed_\address:
        jmp     \target
        .endm

        .section .text16, "ax"
        entry   entry_02, handle_02     # NMI
        entry   entry_05, handle_05     # print screen
        entry   entry_08, handle_08     # IRQ 0, timer
        entry   entry_09, handle_09     # IRQ 1, keyboard
        entry   entry_0e, handle_0e     # IRQ 6, diskette
        entry   entry_11, handle_11     # equipment
        entry   entry_12, handle_12     # memory size
        entry   entry_13, handle_13     # disks
        entry   entry_14, handle_14     # serial ports
        entry   entry_15, handle_15     # system
        entry   entry_16, handle_16     # keyboard
        entry   entry_17, handle_17     # printers
        entry   entry_18, handle_18     # no boot device
        entry   entry_19, handle_19     # boot
        entry   entry_1a, handle_1a     # time, PCI
        entry   entry_70, handle_70     # IRQ 8, real-time clock
        entry   entry_71, handle_71     # IRQ 9, as the IRQ 2 of old
        entry   entry_74, handle_74     # IRQ 12, pointing device
        entry   entry_75, handle_75     # IRQ 13, coprocessor
        entry   entry_76, handle_76     # IRQ 14, disks
        entry   entry_77, handle_77     # IRQ 15, disks
        entry   entry_irq_low, handle_irq_low   # an IRQ nobody has a handler for
        entry   entry_irq_high, handle_irq_high

        fixed   e2c3, entry_02
        fixed   e3fe, entry_13
        fixed   e6f2, entry_19
        fixed   e739, entry_14
        fixed   e82e, entry_16
        fixed   e987, entry_09
        fixed   ec59, entry_13
        fixed   ef57, entry_0e
        fixed   efd2, entry_17
        fixed   f841, entry_12
        fixed   f84d, entry_11
        fixed   f859, entry_15
        fixed   fe6e, entry_1a
        fixed   fea5, entry_08
        fixed   ff54, entry_05

/* Until a video BIOS puts itself there. Also where vectors of no use point to. */
        .section .fixed.f045, "ax"
        iretw
        .section .fixed.f065, "ax"
        iretw
        .section .fixed.ff53, "ax"
        .globl  entry_iret
entry_iret:
        iretw

        .section .fixed.e000, "a"
        .asciz  "Vitrine BIOS"

        .section .fixed.fff5, "a"
        .ascii  "01/01/26"              # not the day of the build, which must not matter
        .byte   0
        .byte   0xfc                    # model: AT
        .byte   0
