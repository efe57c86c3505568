"""Tells whether the core we measure on is ours alone.

Processors of a shared machine are threads of cores. While somebody else runs on the other thread of ours, taken branches, loads
and stores that are read back take up to twice as long, and CPU time does not tell that from work. It is not the same for all:
translated code loses up to half its speed, QEMU's a third, a small native loop nothing. So a chain of taken branches is timed
four times a second while something is measured; when it is slow, so was what was measured, and measuring waits and begins anew.
"""
import ctypes
import mmap
import os
import platform
import threading
import time

JUMPS, ROUNDS, TRIES = 512, 100, 5
# Against the fastest seen. Alone it stays within 1.2, and it takes 2 and more with company.
SLOW = 1.4
PERIOD_S = 0.25
# Of the samples beside one measurement.
TOLERATED = 0.1


def _chain():
    """A function of its rounds: JUMPS taken branches each, 16 bytes apart. None where it can't be had."""
    if platform.machine() != "x86_64":
        return None, None
    body = (b"\xeb\x0e" + b"\x90" * 14) * JUMPS + b"\xff\xcf"               # jmp .+16 ...; dec edi
    code = body + b"\x0f\x85" + (-len(body) - 6).to_bytes(4, "little", signed=True) + b"\xc3"     # jnz; ret
    try:
        memory = mmap.mmap(-1, len(code), prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:
        return None, None
    memory.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    return memory, ctypes.CFUNCTYPE(None, ctypes.c_uint)(address)


class Watch:
    """Samples processors from a thread of its own, from when it is made until stop()."""

    fastest = {}                                         # nanoseconds, for each processor, since the program began
    _memory, _call = _chain()

    def __init__(self, cpus):
        self.cpus, self.slow, self.samples = cpus, 0, 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        if self._call:
            self._thread.start()

    def _sample(self, cpu):
        os.sched_setaffinity(0, {cpu})                   # of this thread
        best = None
        for _ in range(TRIES):
            start = time.perf_counter_ns()
            self._call(ROUNDS)
            took = time.perf_counter_ns() - start
            best = min(took, best or took)
        Watch.fastest[cpu] = min(best, Watch.fastest.get(cpu, best))
        return best > SLOW * Watch.fastest[cpu]

    def _run(self):
        ended = False
        while not ended:
            ended = self._end.wait(PERIOD_S if self.samples else 0)
            for cpu in self.cpus:
                self.slow += self._sample(cpu)
                self.samples += 1

    def stop(self):
        """The share of samples that were slow; None where the chain can't be had."""
        if not self._call:
            return None
        self._end.set()
        self._thread.join()
        return self.slow / self.samples
