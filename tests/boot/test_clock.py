#!/usr/bin/env python3
"""Guest time beside the host's: the ticks of the guest's timer, while it sleeps and while it computes."""
import time

import harness

TICK = 65536 / 1193182  # seconds, of the 8254 as the firmware leaves it
SLEEPS_AND_ANSWERS = """
        push %cs
        pop %ds
        mov $0x3fa, %dx         # FIFOs on
        mov $1, %al
        out %al, %dx
        mov $0x3fb, %dx
        mov $3, %al
        out %al, %dx
        mov $0x3f8, %dx
        mov $'!', %al
        out %al, %dx
        sti
1:      mov $0x3fd, %dx
        in %dx, %al
        test $1, %al
        jnz 2f
        hlt
        jmp 1b
2:      mov $0x3f8, %dx
        in %dx, %al
        cmp $'x', %al           # others are taken, and no more
        jne 1b
        push %ds
        xor %ax, %ax
        mov %ax, %ds
        mov 0x46c, %bx          # BIOS data area: ticks
        pop %ds
        mov $4, %cx
3:      rol $4, %bx
        mov %bl, %al
        and $15, %al
        add $'a', %al
        out %al, %dx
        loop 3b
        mov $'.', %al
        out %al, %dx
        jmp 1b
"""


class Clock(harness.Case):
    def boot(self, source, *args):
        return self.start("-display", "none", "-serial", "stdio", *args, self.boot_sector(source))

    def ticks(self, v):
        """As the guest has counted them, and when it answered."""
        v.send("x")
        word = v.expect(r"([a-p]{4})\.").group(1)
        return sum((c - ord("a")) << 4 * (3 - i) for i, c in enumerate(word)), time.monotonic()

    def typed_at_a_sleeping_guest(self, *args):
        v = self.boot(SLEEPS_AND_ANSWERS, *args)
        v.expect("!")
        before, began = self.ticks(v)
        while time.monotonic() < began + 3:
            v.send("-")
            time.sleep(0.01)
        after, ended = self.ticks(v)
        elapsed = ended - began
        self.assertLess(abs((after - before) * TICK - elapsed), 0.25 * elapsed)

    def test_one_cpu(self):
        """What the host brings does not stop the clock of those that sleep."""
        self.typed_at_a_sleeping_guest()

    def test_cpus_on_threads(self):
        self.typed_at_a_sleeping_guest("-smp", "2")

    def stopped_at_first(self, *args):
        v = self.boot(SLEEPS_AND_ANSWERS.replace("hlt", "nop"), "-S", "-monitor", "unix:monitor,server=on,wait=off", *args)
        monitor = self.monitor()
        time.sleep(3)
        monitor.send("cont\n")
        v.expect("!")
        before, began = self.ticks(v)
        time.sleep(1)
        after, ended = self.ticks(v)
        self.assertLess((after - before) * TICK, 1.5 * (ended - began))

    def test_stopped_at_first(self):
        """-S: the time before "cont" is not caught up with."""
        self.stopped_at_first()

    def test_threads_stopped_at_first(self):
        self.stopped_at_first("-smp", "2")


if __name__ == "__main__":
    harness.main()
