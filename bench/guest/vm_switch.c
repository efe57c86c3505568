// A byte-code interpreter of the common kind: one loop, one switch.
#include "vm.h"

static uint8_t sieve[VM_LIMIT + 1];

static NOINLINE uint64_t run(const struct vm_insn *program)
{
    int64_t r[8] = {0};
    uint64_t executed = 0;
    for (const struct vm_insn *i = program;;) {
        executed++;
        switch ((enum vm_op)i->op) {
        case VM_LOADI:
            r[i->a] = i->imm;
            i++;
            break;
        case VM_MOVE:
            r[i->a] = r[i->b];
            i++;
            break;
        case VM_ADD:
            r[i->a] += r[i->b];
            i++;
            break;
        case VM_ADDI:
            r[i->a] += i->imm;
            i++;
            break;
        case VM_MUL:
            r[i->a] *= r[i->b];
            i++;
            break;
        case VM_LOAD:
            r[i->a] = sieve[r[i->b]];
            i++;
            break;
        case VM_STORE:
            sieve[r[i->b]] = (uint8_t)r[i->a];
            i++;
            break;
        case VM_JLE:
            i = r[i->a] <= r[i->b] ? program + i->imm : i + 1;
            break;
        case VM_JZ:
            i = r[i->a] == 0 ? program + i->imm : i + 1;
            break;
        case VM_JMP:
            i = program + i->imm;
            break;
        case VM_HALT:
        default:
            return executed << 16 | (uint64_t)r[3];
        }
    }
}

uint64_t vm_switch_round(void)
{
    uint64_t last = 0;
    for (int i = 0; i < 10; i++) {
        for (int j = 0; j <= VM_LIMIT; j++)
            sieve[j] = 0;
        last = run(vm_program);
    }
    return last;
}
