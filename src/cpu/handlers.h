/* Every handler named in ops.def, and those that bind.c puts in place of one. */
#ifndef VITRINE_CPU_HANDLERS_H
#define VITRINE_CPU_HANDLERS_H

#include "cpu/decode.h"

#define OP(id, mnemonic, handler, fr, fw, fu, attr) insn_fn handler;
#include "cpu/ops.def"
#undef OP

/* In place of vector and x87 handlers while MODE_NO_SSE, MODE_NO_AVX or MODE_NO_X87 holds. */
insn_fn op_sse_off, op_avx_off, op_x87_off;

#endif
