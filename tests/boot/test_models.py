#!/usr/bin/env python3
"""CPU models: the default guest sees the one that was asked for, and a kernel that is too new for one says so."""
import harness


class Guest(harness.Case):
    def boots(self, model, name, has, lacks, warned=False):
        """To the shell and down again. What the model lacks is told in one line, and nothing else is."""
        v = self.start("-m", "512", "-nographic", "-cpu", model, "-drive",
                       f"file={harness.guest('default.img')},format=raw,snapshot=on")
        v.shell(3 * harness.LIMIT)
        self.assertEqual(name, v.command("grep -m1 '^model name' /proc/cpuinfo | sed 's/.*: *//'").strip())
        flags = v.command("grep -m1 '^flags' /proc/cpuinfo").split()
        self.assertEqual([], [flag for flag in has.split() if flag not in flags])
        self.assertEqual([], [flag for flag in lacks.split() if flag in flags])
        trouble = v.command("dmesg | grep -E 'BUG:|Oops|Call Trace|panic|unchecked MSR|[Uu]nable to handle'")
        self.assertEqual("", trouble.strip())
        v.send("poweroff -f\n")
        v.wait()
        said = v.messages()
        self.assertEqual(1 if warned else 0, len(said), said)
        for line in said:
            self.assertRegex(line, rf"^vitrine: warning: CPU model {model}: features? .* (is|are) not available$")
        self.ends(v, messages=said)


class Models(Guest):
    """One of AMD's, and what is older than the kernel."""

    def test_epyc(self):
        self.boots("EPYC", "AMD EPYC Processor",
                   "avx2 bmi2 fsgsbase xsavec xgetbv1 smap topoext mmxext clflushopt rdseed vmmcall monitor",
                   "pcid invpcid pku la57 xsaves umip x2apic svm", warned=True)

    def too_new(self, model, detected):
        v = self.start("-m", "128", "-nographic", "-cpu", model, "-kernel", harness.guest("vmlinuz"), "-append",
                       "console=ttyS0 earlyprintk=serial,ttyS0,115200")
        v.expect(f"This kernel requires an x86-64 CPU, but only detected an {detected} CPU.")
        v.send("\x01x")
        self.ends(v)

    def test_a_64_bit_kernel_on_a_486(self):
        self.too_new("486", "i486")

    def test_a_64_bit_kernel_on_a_pentium3(self):
        self.too_new("pentium3", "i686")


class AllModels(Guest):
    """The others that a 64-bit kernel runs on."""

    def test_max(self):
        self.boots("max", "Vitrine virtual CPU (max)",
                   "avx2 pku ospke fsgsbase rdpid xsaves xsavec xsaveopt xgetbv1 movdiri movdir64b serialize clwb "
                   "clflushopt la57 pcid umip arat", "monitor svm topoext clzero")

    def test_qemu64(self):
        self.boots("qemu64", "QEMU Virtual CPU version 2.5+", "sse2 pni cx16 lahf_lm lm nx syscall",
                   "ssse3 sse4_1 popcnt avx rdrand smep pdpe1gb rdtscp", warned=True)

    def test_kvm64(self):
        self.boots("kvm64", "Common KVM processor", "sse2 pni cx16 lm nx", "lahf_lm ssse3 sse4_1")

    def test_v1(self):
        self.boots("x86-64-v1", "Vitrine virtual CPU (x86-64-v1)", "sse2 lm nx", "pni cx16 ssse3 xsave")

    def test_v2(self):
        self.boots("x86-64-v2", "Vitrine virtual CPU (x86-64-v2)", "ssse3 sse4_2 popcnt cx16 lahf_lm",
                   "avx bmi1 movbe xsave")

    def test_v3(self):
        self.boots("x86-64-v3", "Vitrine virtual CPU (x86-64-v3)", "avx2 fma f16c bmi1 bmi2 abm movbe xsave",
                   "xsavec pku adx rdrand")

    def test_core2duo(self):
        self.boots("core2duo", "Intel(R) Core(TM)2 Duo CPU     T7700  @ 2.40GHz", "ssse3 cx16 monitor", "sse4_1 popcnt",
                   warned=True)     # Linux drops "ss" for an erratum of that model

    def test_nehalem(self):
        self.boots("Nehalem", "Intel Core i7 9xx (Nehalem Class Core i7)", "sse4_2 popcnt", "avx rdtscp xsave x2apic")

    def test_haswell(self):
        self.boots("Haswell", "Intel Core Processor (Haswell)",
                   "avx2 bmi2 fsgsbase invpcid pcid x2apic tsc_deadline_timer xsaveopt rdrand smep",
                   "smap adx rdseed xsavec pku rtm hle", warned=True)


if __name__ == "__main__":
    harness.main()
