// The same byte code, each operation a function called through a table.
#include "vm.h"

struct vm {
    int64_t r[8];
    const struct vm_insn *program, *pc;
    uint8_t sieve[VM_LIMIT + 1];
    int halted;
};

static void op_loadi(struct vm *v, const struct vm_insn *i)
{
    v->r[i->a] = i->imm;
}
static void op_move(struct vm *v, const struct vm_insn *i)
{
    v->r[i->a] = v->r[i->b];
}
static void op_add(struct vm *v, const struct vm_insn *i)
{
    v->r[i->a] += v->r[i->b];
}
static void op_addi(struct vm *v, const struct vm_insn *i)
{
    v->r[i->a] += i->imm;
}
static void op_mul(struct vm *v, const struct vm_insn *i)
{
    v->r[i->a] *= v->r[i->b];
}
static void op_load(struct vm *v, const struct vm_insn *i)
{
    v->r[i->a] = v->sieve[v->r[i->b]];
}
static void op_store(struct vm *v, const struct vm_insn *i)
{
    v->sieve[v->r[i->b]] = (uint8_t)v->r[i->a];
}
static void op_jle(struct vm *v, const struct vm_insn *i)
{
    if (v->r[i->a] <= v->r[i->b])
        v->pc = v->program + i->imm;
}
static void op_jz(struct vm *v, const struct vm_insn *i)
{
    if (v->r[i->a] == 0)
        v->pc = v->program + i->imm;
}
static void op_jmp(struct vm *v, const struct vm_insn *i)
{
    v->pc = v->program + i->imm;
}
static void op_halt(struct vm *v, const struct vm_insn *i)
{
    (void)i;
    v->halted = 1;
}

static void (*const ops[VM_OPS])(struct vm *, const struct vm_insn *) = {
    [VM_LOADI] = op_loadi, [VM_MOVE] = op_move, [VM_ADD] = op_add,     [VM_ADDI] = op_addi,
    [VM_MUL] = op_mul,     [VM_LOAD] = op_load, [VM_STORE] = op_store, [VM_JLE] = op_jle,
    [VM_JZ] = op_jz,       [VM_JMP] = op_jmp,   [VM_HALT] = op_halt,
};

static NOINLINE uint64_t run(struct vm *v)
{
    uint64_t executed = 0;
    while (!v->halted) {
        const struct vm_insn *i = v->pc++;
        executed++;
        ops[i->op](v, i);
    }
    return executed << 16 | (uint64_t)v->r[3];
}

uint64_t vm_call_round(void)
{
    static struct vm vm;
    uint64_t last = 0;
    for (int i = 0; i < 10; i++) {
        for (int j = 0; j <= VM_LIMIT; j++)
            vm.sieve[j] = 0;
        vm.halted = 0;
        vm.program = vm.pc = vm_program;
        last = run(&vm);
    }
    return last;
}
