#!/usr/bin/env python3
"""The PC speaker, heard in a WAV file and through SDL."""
import array
import os
import wave

import harness

# 440 Hz for some 220 ms from the timer's ticks, silence as long, 880 Hz for the same time; then power off.
BEEPS = """
        sti
        mov $2712, %bx
        call beep
        call wait
        mov $1356, %bx
        call beep
        mov $0x604, %dx
        mov $0x2000, %ax
        out %ax, %dx
1:      hlt
        jmp 1b
beep:   mov $0xb6, %al
        out %al, $0x43
        mov %bl, %al
        out %al, $0x42
        mov %bh, %al
        out %al, $0x42
        in $0x61, %al
        or $3, %al
        out %al, $0x61
        call wait
        in $0x61, %al
        and $0xfc, %al
        out %al, $0x61
        ret
wait:   mov $4, %cx
2:      mov %fs:0x46c, %ax
3:      hlt
        cmp %fs:0x46c, %ax
        je 3b
        loop 2b
        ret
"""
TICK = 65536 / 1193182


def spans(samples, rate):
    """(start, end, frequency) of what is not silence; times in seconds."""
    found, start, last = [], None, None
    for i, value in enumerate(samples):
        if abs(value) > 3000:
            if start is None:
                start = i
            last = i
        elif start is not None and i - last > rate // 50:
            found.append((start, last))
            start = None
    if start is not None:
        found.append((start, last))
    out = []
    for first, last in found:
        rises = [i for i in range(first + 1, last) if samples[i - 1] < 0 <= samples[i]]
        rises = rises[len(rises) // 4:]     # by then the cone swings about its middle
        out.append((first / rate, last / rate, (len(rises) - 1) * rate / (rises[-1] - rises[0])))
    return out


class Sound(harness.Case):
    def beeps(self, *args, **options):
        source = "xor %ax, %ax\nmov %ax, %fs\n" + BEEPS
        return self.start("-display", "none", *args, self.boot_sector(source), tty=False, **options)

    def check(self, heard, exact=True):
        """exact: the guest is never late. On a host that has other things to do it may be, and then it beeps longer."""
        self.assertEqual(2, len(heard), heard)
        for (start, end, frequency), want in zip(heard, (440, 880)):
            self.assertAlmostEqual(want, frequency, delta=want / 200)
            self.assertGreater(end - start, (3 if exact else 2) * TICK - 0.02)
            if exact:
                self.assertLess(end - start, 4 * TICK + 0.02)

    def test_wav(self):
        """As long and as high as the guest wanted it; in a deterministic run to the last bit."""
        files = []
        for rate in (48000, 48000, 44100):
            v = self.beeps("-icount", "shift=3", "-audiodev", f"wav,id=a,path=beeps.wav,out.frequency={rate}",
                           "-machine", "pcspk-audiodev=a")
            self.ends(v)
            files.append(self.read("beeps.wav"))
            with wave.open(self.path("beeps.wav")) as w:
                self.assertEqual((1, 2, rate), w.getparams()[:3])
                samples = array.array("h", w.readframes(w.getnframes()))
            heard = spans(samples, rate)
            self.check(heard)
            self.assertAlmostEqual(4 * TICK, heard[1][0] - heard[0][1], delta=0.02)
        self.assertEqual(files[0], files[1])

    def test_wav_at_the_guests_own_pace(self):
        v = self.beeps("-audiodev", "wav,id=a,path=beeps.wav", "-machine", "pcspk-audiodev=a")
        self.ends(v)
        with wave.open(self.path("beeps.wav")) as w:
            self.check(spans(array.array("h", w.readframes(w.getnframes())), 48000), exact=False)

    def test_sdl(self):
        """SDL's driver that plays to a file: 16 bits as they were given to it."""
        v = self.beeps("-audiodev", "sdl,id=a", "-machine", "pcspk-audiodev=a",
                       env={"SDL_AUDIODRIVER": "disk", "SDL_DISKAUDIOFILE": self.path("raw"),
                            "LSAN_OPTIONS": "detect_leaks=0"})
        status = v.wait()
        said = "".join(v.messages())            # SDL has a word to say about this driver
        if "built without SDL" in said or "SDL 2 is missing" in said:
            self.skipTest(said)
        self.assertEqual(0, status, said)
        heard = spans(array.array("h", self.read("raw")), 48000)
        # Pieces may be missing where the host was late, but what is there has the pitch.
        self.assertTrue(heard)
        for start, end, frequency in heard:
            if end - start > 0.1:
                self.assertTrue(min(abs(frequency - 440), abs(frequency - 880)) < 30, heard)
        self.assertTrue(any(end - start > 0.1 for start, end, _ in heard), heard)

    def test_silence_is_a_small_file(self):
        v = self.start("-display", "none", "-audiodev", "wav,id=a,path=none.wav", "-M", "pc,pcspk-audiodev=a",
                       self.boot_sector("mov $0x604, %dx\nmov $0x2000, %ax\nout %ax, %dx\n1: hlt\njmp 1b\n"), tty=False)
        self.ends(v)
        self.assertEqual(44, os.path.getsize(self.path("none.wav")))

    def test_disk_full(self):
        v = self.beeps("-audiodev", "wav,id=a,path=/dev/full", "-machine", "pcspk-audiodev=a")
        self.assertEqual(1, v.wait())
        self.assertEqual(["vitrine: -audiodev a: /dev/full: No space left on device"], v.messages())


if __name__ == "__main__":
    harness.main()
