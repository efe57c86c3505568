"""Programs that draw a picture each, for test_screens.py: boot sectors that end in "done". What they draw shows every
way of getting something onto the screen once: through INT 10h, through video memory, through registers."""

HEAD = """
        .macro video ax
        mov $\\ax, %ax
        int $0x10
        .endm
        .macro outx port, value                 # an index and its data
        mov $\\port, %dx
        mov $\\value, %ax
        out %ax, %dx
        .endm
        .macro crtc value
        outx 0x3d4, \\value
        .endm
        .macro segment seg
        mov $\\seg, %ax
        mov %ax, %es
        .endm
        cli
        xor %ax, %ax
        mov %ax, %ds
        mov %ax, %es
        mov %ax, %ss
        mov $0x7c00, %sp
        sti
        cld
"""
# The cursor would blink.
HIDE = """
        mov $0x2000, %cx
        video 0x0100
"""
DONE = """
        mov $0x3f8, %dx
        mov $'k', %al
        out %al, %dx
1:      hlt
        jmp 1b
"""

# All characters in rows of 32, each in another attribute, by AH=09h; then a string, and windows that are scrolled.
CHARACTERS = HIDE + """
        xor %cx, %cx            # the character
1:      mov %cl, %dl
        and $31, %dl
        mov %cl, %dh
        shr $5, %dh
        inc %dh
        xor %bh, %bh
        mov $2, %ah
        int $0x10
        mov %cl, %bl
        and $0x7f, %bl          # no blinking
        mov %cl, %al
        push %cx
        mov $1, %cx
        mov $9, %ah
        int $0x10
        pop %cx
        inc %cl
        jnz 1b
        mov $text, %bp
        mov $texte - text, %cx
        mov $0x0a02, %dx
        mov $0x001e, %bx
        video 0x1301
        mov $text, %si          # wraps and scrolls at the end of the screen
        movb $0, 0x450
        movb %al, %al
        mov 0x484, %al
        mov %al, 0x451
        mov $12, %cx
2:      lodsb
        mov $0x0e, %ah
        mov $0x0007, %bx
        int $0x10
        loop 2b
        mov $0x0b04, %cx        # a window up, another down
        mov $0x100c, %dx
        mov $0x4f, %bh
        video 0x0601
        mov $0x0204, %cx
        mov $0x060c, %dx
        mov $0x2a, %bh
        video 0x0702
"""
TEXT = """
text:   .ascii "Vitrine\\r\\n\\n  0E\\r\\n abc\\b\\b13h"
texte:
"""


def text(mode, more=""):
    return HEAD + mode + CHARACTERS + more + DONE + TEXT


# Pixels by AH=0Ch: a fan of lines in all colours; width and height of the mode, colours as a mask.
def fan(width, height, mask):
    return f"""
        mov ${height - 1}, %dx
1:      mov %dx, %cx
        and $15, %cx
        mov %dx, %ax
        and ${mask}, %al
2:      mov $0x0c, %ah
        xor %bh, %bh
        push %ax
        int $0x10
        pop %ax
        add $16, %cx
        add %dx, %cx
        cmp ${width}, %cx
        jb 2b
        dec %dx
        jns 1b
"""


# Text over it, by teletype: the page scrolls at the end.
TELETYPE = """
        mov $text, %si
1:      lodsb
        test %al, %al
        jz 2f
        mov $0x0e, %ah
        mov $COLOUR, %bx
        int $0x10
        jmp 1b
2:      mov 0x484, %dh          # lower left, then a line that pushes it up
        mov $5, %dl
        xor %bh, %bh
        video 0x0200
        mov $0x0e41, %ax
        mov $COLOUR, %bx
        int $0x10
        mov $0x0e0a, %ax
        int $0x10
        mov $0x0905, %ax        # a club, three times, exclusive or where there is that
        mov $COLOUR + 0x80, %bx
        mov $3, %cx
        int $0x10
"""
LINE = """
text:   .asciz "Vitrine \\x01\\x02\\xb0\\xb1\\xb2\\xdb\\xe3\\r\\nsecond"
"""


def graphics(mode, width, height, mask, colour, more=""):
    return (HEAD + f".set COLOUR, {colour}\nvideo {mode:#x}\n" + fan(width, height, mask) + TELETYPE + more + DONE +
            LINE)


# The graphics controller: each write mode, set/reset, rotation, logic and bit mask on a strip of its own.
PLANAR = HEAD + """
        video 0x0012
        segment 0xa000
        mov $0x5a, %al          # write mode 0, all planes, then two of them
        mov $80 * 40, %di
        mov $80 * 20, %cx
        rep stosb
        outx 0x3c4, 0x0602
        mov $0xf0, %al
        mov $80 * 20, %cx
        rep stosb
        outx 0x3c4, 0x0f02
        outx 0x3ce, 0x0500      # set/reset: red and blue; enabled in three planes
        outx 0x3ce, 0x0701
        outx 0x3ce, 0x0303      # rotated by three
        mov $0x0f, %al
        mov $80 * 20, %cx
        rep stosb
        outx 0x3ce, 0x0001
        outx 0x3ce, 0x1803      # exclusive or with what the latches hold
        outx 0x3ce, 0x3c08      # in the middle four dots
        mov $80 * 20, %cx
1:      mov %es:-1600(%di), %al
        mov $0xff, %al
        stosb
        loop 1b
        outx 0x3ce, 0x0003
        outx 0x3ce, 0xff08
        outx 0x3ce, 0x0205      # write mode 2: a colour
        mov $80 * 20, %cx
2:      mov %cl, %al
        stosb
        loop 2b
        outx 0x3ce, 0x0305      # write mode 3: the CPU's byte is the mask
        outx 0x3ce, 0x0e00
        mov $80 * 20, %cx
3:      mov %es:(%di), %al
        mov $0x33, %al
        stosb
        loop 3b
        outx 0x3ce, 0x0105      # write mode 1: copies all planes
        push %ds
        push %es
        pop %ds
        mov $80 * 40, %si
        mov $80 * 60, %cx
        rep movsb
        pop %ds
        outx 0x3ce, 0x0805      # read mode 1: where colour 5 is, into plane 0
        outx 0x3ce, 0x0502
        mov $80 * 40, %si
        mov $80 * 300, %di
        mov $80 * 120, %cx
4:      mov %es:(%si), %al
        inc %si
        stosb
        loop 4b
        outx 0x3ce, 0x0005
        outx 0x3ce, 0x0000
        mov $0x3c8, %dx         # entry 3 of the DAC orange, colour 2 through the palette to it
        mov $3, %al
        out %al, %dx
        inc %dx
        mov $63, %al
        out %al, %dx
        mov $32, %al
        out %al, %dx
        xor %al, %al
        out %al, %dx
        mov $0x0302, %bx
        video 0x1000
""" + DONE

# Mode 13h: all colours as blocks in memory, text, then the palette turned by a quarter of grey sums.
PACKED = HEAD + """
        .set COLOUR, 0x2c
        video 0x0013
        segment 0xa000
        xor %di, %di
1:      mov %di, %ax
        xor %dx, %dx
        mov $320, %bx
        div %bx                 # AX line, DX column
        shr $3, %al
        mov $16, %bl
        and $15, %al
        mul %bl
        shr $4, %dx
        and $15, %dl
        add %dl, %al
        stosb
        cmp $64000, %di
        jb 1b
""" + TELETYPE + """
        mov $0x00a0, %bx
        mov $32, %cx
        video 0x101b
""" + DONE + LINE

# Unchained 320x240 with a split: the upper part scrolled by the start address and panned, the lower one not.
MODE_X = HEAD + """
        video 0x0013
        outx 0x3c4, 0x0604
        crtc 0x0011
        outx 0x3c4, 0x0100
        mov $0x3c2, %dx
        mov $0xe3, %al
        out %al, %dx
        outx 0x3c4, 0x0300
        mov $table, %si
        mov $10, %cx
        mov $0x3d4, %dx
1:      lodsw
        out %ax, %dx
        loop 1b
        segment 0xa000
        mov $4, %cx
        mov $0x0102, %bx        # plane after plane
2:      push %cx
        mov $0x3c4, %dx
        mov %bx, %ax
        out %ax, %dx
        xor %di, %di
        mov $80 * 480, %cx
3:      xor %dx, %dx            # blocks of 20x16, a white line in each where plane 2 has one
        mov %di, %ax
        mov $80, %bp
        div %bp                 # AX line, DX byte within
        and $0xf0, %al
        xchg %ax, %dx
        mov $5, %bl
        div %bl
        and $15, %al
        add %dl, %al
        test $4, %bh
        jz 5f
        test %ah, %ah
        jnz 5f
        mov $15, %al
5:      stosb
        loop 3b
        mov $2, %bl
        shl %bh
        pop %cx
        loop 2b
        crtc 0x140c             # from 1407h on
        crtc 0x070d
        crtc 0x6418             # split at line 300 = 12Ch
        crtc 0x2c18
        crtc 0x3e07
        crtc 0x0109
        mov $0x3da, %dx
        in %dx, %al
        mov $0x3c0, %dx
        mov $0x33, %al          # panned by two pixels
        out %al, %dx
        mov $4, %al
        out %al, %dx
        mov $0x30, %al          # above the split only
        out %al, %dx
        mov $0x61, %al
        out %al, %dx
""" + DONE + """
table:  .word 0x0d06, 0x3e07, 0x4109, 0xea10, 0xac11, 0xdf12, 0x0014, 0xe715, 0x0616, 0xe317
"""

# Two fonts of 256 characters at a time, chosen by attribute bit 3; the second is the first upside down.
FONTS_512 = HEAD + """
        video 0x0003
""" + HIDE + """
        mov $6, %bh             # ES:BP our font
        video 0x1130
        push %es
        pop %ds
        mov %bp, %si
        xor %ax, %ax
        mov %ax, %es
        mov $0x8000, %di
        mov $256, %cx
1:      push %cx
        mov $16, %cx
        add $15, %si
2:      std
        lodsb
        cld
        stosb
        loop 2b
        add $17, %si
        pop %cx
        loop 1b
        xor %ax, %ax
        mov %ax, %ds
        mov $0x8000, %bp
        mov $256, %cx
        xor %dx, %dx
        mov $0x1001, %bx        # block 1
        video 0x1100
        mov $0x0004, %bx        # bit 3: 0 block 0, 1 block 1
        video 0x1103
        mov $0x0712, %bx        # eight colours remain
        video 0x1000
        segment 0xb800
        xor %di, %di
        mov $0x0720, %ax
3:      stosw
        inc %al
        xor $0x08, %ah
        cmp $80 * 50, %di
        jb 3b
        crtc 0x0508             # the text is rolled up by five lines
""" + DONE

# Monochrome text: underlines, intensity, reverse.
MONO = HEAD + "video 0x0007\n" + HIDE + """
        segment 0xb000
        xor %di, %di
        mov $0x0041, %ax
1:      stosw
        inc %ah
        and $0x7f, %ah
        cmp $160 * 8, %di
        jb 1b
""" + DONE

# Sixteen bits a pixel through the window at A0000h, bank after bank; text over it; the display moved in a larger one.
VBE_16 = HEAD + """
        .set COLOUR, 0x0e
        mov $0x0114, %bx        # 800x600
        video 0x4f02
        mov $1024, %cx          # lines of 1024
        xor %bx, %bx
        video 0x4f06
        xor %dx, %dx
1:      xor %bx, %bx
        video 0x4f05
        segment 0xa000
        xor %di, %di
2:      mov %di, %ax            # x makes blue and green, the bank red
        shr $1, %ax
        and $0x03ff, %ax
        mov %dl, %bl
        shl $3, %bl
        or %bl, %ah
        stosw
        test %di, %di
        jnz 2b
        inc %dx
        cmp $19, %dx
        jbe 1b
""" + TELETYPE + """
        mov $40, %cx
        mov $8, %dx
        xor %bx, %bx
        video 0x4f07
""" + DONE + LINE

# Eight bits a pixel: a palette of blues by 4F09h, eight bits wide; the picture by pixels and glyphs.
VBE_8 = HEAD + """
        .set COLOUR, 0xf0
        mov $0x0101, %bx        # 640x480
        video 0x4f02
        mov $0x0800, %bx
        video 0x4f08
        mov $0x8000, %di
        xor %ax, %ax
1:      stosb                   # blue, green, red, nothing
        not %al
        stosb
        shr $1, %al
        stosb
        xor %al, %al
        stosb
        inc %ah
        mov %ah, %al
        jnz 1b
        mov $0x8000, %di
        mov $256, %cx
        xor %dx, %dx
        xor %bx, %bx
        video 0x4f09
""" + fan(640, 480, 255) + TELETYPE + DONE + LINE

# 32 bits a pixel in the linear framebuffer, from "unreal" mode, at the address that mode information gives.
VBE_32 = HEAD + """
        .set COLOUR, 0x0b
        mov $0x8000, %di
        mov $0x4144, %cx        # 1024x768
        video 0x4f01
        mov $0x4144, %bx
        video 0x4f02
        cli
        lgdt gdtr
        mov %cr0, %eax
        inc %ax
        mov %eax, %cr0
        mov $8, %bx
        mov %bx, %fs
        dec %ax
        mov %eax, %cr0
        xor %bx, %bx            # a base that an interrupt handler's push and pop keep
        mov %bx, %fs
        sti
        mov 0x8000 + 40, %edi
        xor %ecx, %ecx          # y << 16 | x
1:      mov %ecx, %eax
        shr $2, %eax            # red by line, blue by column, green in four ramps
        mov %cl, %ah
        mov %eax, %fs:(%edi)
        add $4, %edi
        inc %cx
        cmp $1024, %cx
        jb 1b
        xor %cx, %cx
        add $0x10000, %ecx
        cmp $768 << 16, %ecx
        jb 1b
""" + TELETYPE + DONE + """
        .balign 8
gdt:    .quad 0, 0x008f92000000ffff
gdtr:   .word 15
        .long gdt
""" + LINE

# The protected-mode interface of 4F0Ah, called from 32-bit code: palette, windows, and a display that starts elsewhere.
VBE_PM = HEAD + """
        mov $0x0103, %bx        # 800x600 in 256 colours
        video 0x4f02
        mov $0x03c0, %cx        # lines of 960
        xor %bx, %bx
        video 0x4f06
        xor %bx, %bx
        video 0x4f0a
        xor %eax, %eax
        mov %es, %ax
        shl $4, %eax
        movzwl %di, %edi
        add %eax, %edi
        cli
        lgdt gdtr
        mov %cr0, %eax
        inc %ax
        mov %eax, %cr0
        ljmpl $8, $1f
        .code32
1:      mov $16, %ax
        mov %ax, %ds
        mov %ax, %es
        mov %ax, %ss
        mov $0x7c00, %esp
        mov %edi, %ebp          # the table
        mov $0x8000, %edi       # blue, green, red, nothing: a ramp to orange
        xor %eax, %eax
2:      movb $0, (%edi)
        mov %al, %ah
        shr $3, %ah
        mov %ah, 1(%edi)
        mov %al, %ah
        shr $2, %ah
        mov %ah, 2(%edi)
        add $4, %edi
        inc %al
        jnz 2b
        mov $0x8000, %edi
        mov $256, %ecx
        xor %edx, %edx
        xor %ebx, %ebx
        movzwl 4(%ebp), %eax
        add %ebp, %eax
        call *%eax
        xor %edx, %edx          # a bank in a shade of its own, brighter towards its end
3:      xor %ebx, %ebx
        movzwl (%ebp), %eax
        add %ebp, %eax
        call *%eax
        mov $0xa0000, %edi
        mov $0x10000, %ecx
4:      mov %edi, %eax
        shr $10, %eax
        shl $3, %dl
        xor %dl, %al
        shr $3, %dl
        stosb
        loop 4b
        inc %edx
        cmp $10, %edx
        jb 3b
        mov $(960 * 16 + 160) / 4, %ecx
        xor %edx, %edx
        xor %ebx, %ebx
        movzwl 2(%ebp), %eax
        add %ebp, %eax
        call *%eax
        mov $0x3f8, %dx
        mov $'k', %al
        out %al, %dx
        hlt
        .balign 8
gdt:    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:   .word 23
        .long gdt
"""

CGA_PALETTE = """
        mov $0x0011, %bx        # background blue and intense, then the other palette
        video 0x0b00
        mov $0x0100, %bx
        video 0x0b00
"""

# Four pages, of which the second is shown.
PAGES = HEAD + "video 0x000d\n" + """
        mov $3, %cx
1:      push %cx
        mov %cl, %bh
        mov %cl, %bl
        mov %cl, %al
        add $'0', %al
        mov $40, %cx
        mov $9, %ah
        int $0x10
        mov $100, %dx
        mov $100, %cx
        mov $0x0c0f, %ax
        int $0x10
        pop %cx
        loop 1b
        video 0x0502
""" + DONE

PROGRAMS = {
    "text-80x25": text("video 0x0003\n"),
    "text-40x25": text("video 0x0001\n"),
    "text-80x50": text("video 0x0003\nxor %bx, %bx\nvideo 0x1112\n"),
    "text-80x43": text("mov $0x30, %bl\nvideo 0x1201\nvideo 0x0003\nxor %bx, %bx\nvideo 0x1112\n"),
    "text-200-lines": text("mov $0x30, %bl\nvideo 0x1200\nvideo 0x0003\n"),
    "text-512": FONTS_512,
    "text-mono": MONO,
    "mode-04": graphics(0x04, 320, 200, 3, 3, CGA_PALETTE),
    "mode-06": graphics(0x06, 640, 200, 1, 1),
    "mode-0d-pages": PAGES,
    "mode-0e": graphics(0x0e, 640, 200, 15, 0x0c),
    "mode-10": graphics(0x10, 640, 350, 15, 0x0c),
    "mode-11": graphics(0x11, 640, 480, 1, 0x0f),
    "mode-12": graphics(0x12, 640, 480, 15, 0x0a),
    "mode-12-planar": PLANAR,
    "mode-13": PACKED,
    "mode-x-split": MODE_X,
    "mode-6a": graphics(0x6a, 800, 600, 15, 0x0a),
    "vbe-640x480x8": VBE_8,
    "vbe-800x600x8-pm": VBE_PM,
    "vbe-800x600x16": VBE_16,
    "vbe-1024x768x32": VBE_32,
}
