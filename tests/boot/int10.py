"""A guest that does what it is told through its serial port: calls INT 10h, reads and writes memory and ports."""
import struct

import harness

# Orders are a letter and little-endian words; answers are bytes. Registers travel in the order of REGISTERS.
AGENT = """
        .set COM, 0x3f8
        cli
        xor %ax, %ax
        mov %ax, %ds
        mov %ax, %ss
        mov $0x7c00, %sp
        sti
        cld
        mov $COM + 3, %dx       # 115200 baud, eight bits
        mov $0x83, %al
        out %al, %dx
        mov $COM, %dx
        mov $1, %ax
        out %ax, %dx
        mov $COM + 3, %dx
        mov $3, %al
        out %al, %dx
        movw $received, 4 * 12  # bytes interrupt, so that waiting for them is a HLT
        movw %ds, 4 * 12 + 2
        mov $COM + 1, %dx
        mov $1, %al
        out %al, %dx
        mov $COM + 4, %dx
        mov $0x0b, %al
        out %al, %dx
        in $0x21, %al
        and $0xef, %al
        out %al, $0x21
order:  call get
        cmp $'?', %al
        je ready
        cmp $'i', %al
        je interrupt
        cmp $'r', %al
        je read
        cmp $'w', %al
        je write
        cmp $'o', %al
        je output
        cmp $'p', %al
        je input
        jmp order

ready:  mov $'!', %al
        call put
        jmp order
interrupt:
        mov $regs, %di
        mov $18, %cx
1:      call get
        mov %al, (%di)
        inc %di
        loop 1b
        mov regs + 2, %bx
        mov regs + 4, %cx
        mov regs + 6, %dx
        mov regs + 8, %bp
        mov regs + 10, %si
        mov regs + 12, %di
        mov regs + 14, %es
        mov regs, %ax
        movl $0xabcd0000, %esp  # compiled code must not rely on a clear upper half
        mov $0x7c00, %sp
        int $0x10
        mov %ax, %cs:regs
        mov %ds, %ax
        mov %ax, %cs:dsafter
        xor %ax, %ax
        mov %ax, %ds
        mov %bx, regs + 2
        mov %cx, regs + 4
        mov %dx, regs + 6
        mov %bp, regs + 8
        mov %si, regs + 10
        mov %di, regs + 12
        mov %es, regs + 14
        pushf
        popw regs + 16
        movl %esp, spafter
        cld
        mov $regs, %si
        mov $24, %cx
1:      lodsb
        call put
        loop 1b
        jmp order

place:                          # ES:DI, CX bytes
        call word
        mov %bx, %es
        call word
        mov %bx, %di
        call word
        mov %bx, %cx
        ret
read:   call place
1:      mov %es:(%di), %al
        inc %di
        call put
        loop 1b
        jmp order
write:  call place
1:      call get
        stosb
        loop 1b
        mov $'.', %al
        call put
        jmp order
output: call word
        mov %bx, %cx
        call word
        mov %bx, %ax
        mov %cx, %dx
        cmp $0x1ce, %dx
        jb 2f
        cmp $0x1d0, %dx
        ja 2f
        out %ax, %dx
        jmp order
2:      out %al, %dx
        jmp order
input:  call word
        mov %bx, %dx
        in %dx, %al
        call put
        jmp order

word:   call get
        mov %al, %bl
        call get
        mov %al, %bh
        ret
get:    push %dx
        mov $COM + 5, %dx
1:      cli
        in %dx, %al
        test $1, %al
        jnz 2f
        sti
        hlt
        jmp 1b
2:      sti
        mov $COM, %dx
        in %dx, %al
        pop %dx
        ret
received:
        push %ax
        mov $0x20, %al
        out %al, $0x20
        pop %ax
        iret
put:    push %dx
        mov %al, %ah
        mov $COM + 5, %dx
1:      in %dx, %al
        test $0x20, %al
        jz 1b
        mov $COM, %dx
        mov %ah, %al
        out %al, %dx
        pop %dx
        ret
        .set regs, 0x7e00
        .set dsafter, 0x7e12
        .set spafter, 0x7e14
"""
REGISTERS = ["ax", "bx", "cx", "dx", "bp", "si", "di", "es", "flags"]
ALL = REGISTERS + ["ds", "esp"]


class Agent:
    def __init__(self, case, *args, name="agent"):
        self.case = case
        disk = case.boot_sector(AGENT, name=name + ".img")
        case.start("-display", "none", "-monitor", f"unix:{name}.mon,server=on,wait=off",
                   "-serial", f"unix:{name}.sock,server=on,wait=off", "-m", "16", *args, disk, tty=False)
        self.line = harness.Socket(case.path(name + ".sock"))
        case.addCleanup(self.line.close)
        self.order("?")
        self.line.expect("!")
        self.monitor = case.monitor(name + ".mon")

    def take(self, count):
        self.line.expect(f"(?s).{{{count}}}")
        return self.line.seen[self.line.at - count:self.line.at]

    def order(self, letter, *words):
        self.line.socket.sendall(letter.encode() + struct.pack(f"<{len(words)}H", *words))

    def ask_int10(self, **regs):
        """Without waiting for the answer."""
        given = dict(ax=0, bx=0xb1b2, cx=0xc1c2, dx=0xd1d2, bp=0x1b1b, si=0x5152, di=0x6162, es=0x2000, flags=0)
        given.update(regs)
        self.order("i", *(given[r] for r in REGISTERS))

    def registers(self):
        """The answer."""
        return dict(zip(ALL, struct.unpack("<10HI", self.take(24))))

    def int10(self, **regs):
        """Registers after the call, by name. What is not given is recognisable."""
        self.ask_int10(**regs)
        return self.registers()

    def read(self, seg, off, count):
        self.order("r", seg, off, count)
        return self.take(count)

    def write(self, seg, off, data):
        self.order("w", seg, off, len(data))
        self.line.socket.sendall(bytes(data))
        self.take(1)

    def outb(self, port, value):
        self.order("o", port, value)

    def inb(self, port):
        self.order("p", port)
        return self.take(1)[0]

    def indexed(self, port, count):
        """The registers behind a pair of an index and a data port."""
        before = self.inb(port)
        for i in range(count):
            self.order("o", port, i)
            self.order("p", port + 1)
        values = self.take(count)
        self.outb(port, before)
        return values

    def repeated(self, port, count):
        """What a port says, read so often."""
        for _ in range(count):
            self.order("p", port)
        return self.take(count)

    def vbe(self, index):
        """A register of Bochs' display interface; its low byte."""
        self.outb(0x1ce, index)
        return self.inb(0x1cf)
