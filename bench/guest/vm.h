// The byte code both virtual machines run: an accumulator, eight registers; a sieve of Eratosthenes
// as the program.
#pragma once
#include "bench.h"

enum vm_op {
    VM_LOADI,
    VM_MOVE,
    VM_ADD,
    VM_ADDI,
    VM_MUL,
    VM_LOAD,
    VM_STORE,
    VM_JLE,
    VM_JZ,
    VM_JMP,
    VM_HALT,
    VM_OPS
};

struct vm_insn {
    uint8_t op, a, b;
    int16_t imm;
};

enum { VM_LIMIT = 4000 };

// Registers: 0 candidate n, 1 multiple m, 2 limit, 3 count, 4 scratch, 5 the constant one.
static const struct vm_insn vm_program[] = {
    {VM_LOADI, 0, 0, 2},        //  0  n = 2
    {VM_LOADI, 2, 0, VM_LIMIT}, //  1
    {VM_LOADI, 3, 0, 0},        //  2
    {VM_LOADI, 5, 0, 1},        //  3
    {VM_LOAD, 4, 0, 0},         //  4  next: scratch = sieve[n]
    {VM_JZ, 4, 0, 9},           //  5  unmarked: prime
    {VM_ADDI, 0, 0, 1},         //  6  step: n++
    {VM_JLE, 0, 2, 4},          //  7  n <= limit: next
    {VM_HALT, 0, 0, 0},         //  8
    {VM_ADDI, 3, 0, 1},         //  9  prime: count++
    {VM_MOVE, 1, 0, 0},         // 10  m = n
    {VM_ADD, 1, 0, 0},          // 11  m += n
    {VM_JLE, 1, 2, 14},         // 12  m <= limit: mark
    {VM_JMP, 0, 0, 6},          // 13  else step
    {VM_STORE, 5, 1, 0},        // 14  mark: sieve[m] = 1
    {VM_JMP, 0, 0, 11},         // 15
};
