/* Every handler named in ops.def, and those that bind.c puts in place of one. */
#ifndef VITRINE_CPU_HANDLERS_H
#define VITRINE_CPU_HANDLERS_H

#include "cpu/decode.h"

#define OP(id, mnemonic, handler, fr, fw, fu, attr) insn_fn handler;
#include "cpu/ops.def"
#undef OP

#endif
