/* Carry-less multiplication. SDM 2B "PCLMULQDQ" */
#include "cpu/crypto.h"
#include "cpu/handlers.h"
#include "cpu/op_vec.h"

/* Imm[0] chooses a's half, imm[4] b's. */
v128 soft_pclmulqdq(v128 a, v128 b, unsigned imm)
{
    const uint64_t x = a[imm & 1], y = b[(imm >> 4) & 1];
    uint64_t lo = 0, hi = 0;
    for (unsigned i = 0; i < 64; i++) {
        const uint64_t selected = -((y >> i) & 1);
        lo ^= (x << i) & selected;
        hi ^= (x >> 1 >> (63 - i)) & selected;
    }
    return v128_of(lo, hi);
}

XMM2(pclmulqdq, vec_pclmulqdq(a, b, imm))
