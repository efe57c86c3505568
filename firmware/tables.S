/*
 * Tables at fixed addresses of segment F000h that vectors point to, for others to read.
 */
        .section .fixed.f0a4, "a"
        .globl  video_parameters
/*
 * INT 1Dh: what the 6845 is loaded with for the modes of the colour and monochrome adapters (IBM PC
 * AT Technical Reference, "Monochrome Display and Printer Adapter", "Color/Graphics Monitor
 * Adapter": register tables); then by mode: bytes of a screen, columns, the mode register.
 */
video_parameters:
        .byte   0x38, 0x28, 0x2d, 0x0a, 0x1f, 6, 0x19, 0x1c, 2, 7, 6, 7, 0, 0, 0, 0 # 40x25
        .byte   0x71, 0x50, 0x5a, 0x0a, 0x1f, 6, 0x19, 0x1c, 2, 7, 6, 7, 0, 0, 0, 0 # 80x25
        .byte   0x38, 0x28, 0x2d, 0x0a, 0x7f, 6, 0x64, 0x70, 2, 1, 6, 7, 0, 0, 0, 0 # graphics
        .byte   0x61, 0x50, 0x52, 0x0f, 0x19, 6, 0x19, 0x19, 2, 0x0d, 0x0b, 0x0c, 0, 0, 0, 0 # mono
        .word   2048, 4096, 16384, 16384
        .byte   40, 40, 80, 80, 40, 40, 80, 80
        .byte   0x2c, 0x28, 0x2d, 0x29, 0x2a, 0x2e, 0x1e, 0x29

/* Where programs look for the 8x8 shapes of the first 128 characters; POST puts the video BIOS' there. */
        .section .fixed.fa6e, "a"
        .globl  font_8x8
font_8x8:
        .fill   1024
