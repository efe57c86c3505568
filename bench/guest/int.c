// Integer programs: the table of what has a file each.
#include <stddef.h>
#include "bench.h"

const struct bench int_programs[] = {
    // name, group, unit, units a round, rounds (about 400 million instructions), expected, round
    {"corelike", "int", "iteration", 20, 250, 0xf24a, corelike_round},
    {"dhrylike", "int", "iteration", 2000, 300, 0x35892, dhrylike_round},
    {"qsort", "int", "element", 20000, 60, 0x1d2fc327b0051f12, qsort_round},
    {"vm_switch", "int", "operation", 536630, 100, 0xd19f0226, vm_switch_round},
    {"vm_call", "int", "operation", 536630, 60, 0xd19f0226, vm_call_round},
    {"fib", "int", "call", 150049, 300, 0x24a210000b520, fib_round},
    {"ackermann", "int", "call", 172233, 200, 0x2a0c9000001fd, ackermann_round},
    {"sha256c", "int", "byte", 65536, 140, 0x4b640d85ab3ba30f, sha256c_round},
    {"queens", "int", "node", 8394, 480, 0x20ca00000160, queens_round},
    {"divmod", "int", "step", 75357, 600, 0x1265d01cd015c05, divmod_round},
    {.name = NULL},
};
