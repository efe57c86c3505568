/*
 * AES rounds. SDM 1 §12.13.1.1 "AES Data Structure in Intel 64 Architecture"; SDM 2A "AESDEC" to
 * "AESKEYGENASSIST". FIPS 197 names the steps.
 */
#include "cpu/crypto.h"
#include "cpu/handlers.h"
#include "cpu/op_vec.h"

static inline v16u8 rotate_bits(v16u8 v, unsigned n)
{
    return (v << (uint8_t)n) | (v >> (uint8_t)(8 - n));
}

/* The S-box is the inverse of the field element, then an affine map. FIPS 197 §5.1.1, §5.3.2 */
static v16u8 sub_bytes(v16u8 v)
{
    v = gf_inverse(v);
    return v ^ rotate_bits(v, 1) ^ rotate_bits(v, 2) ^ rotate_bits(v, 3) ^ rotate_bits(v, 4) ^ 0x63;
}
static v16u8 inv_sub_bytes(v16u8 v)
{
    return gf_inverse(rotate_bits(v, 1) ^ rotate_bits(v, 3) ^ rotate_bits(v, 6) ^ 0x05);
}

/* Byte r + 4c is row r of column c; row r goes round by r columns. */
static v16u8 shift_rows(v16u8 v)
{
    return __builtin_shufflevector(v, v, 0, 5, 10, 15, 4, 9, 14, 3, 8, 13, 2, 7, 12, 1, 6, 11);
}
static v16u8 inv_shift_rows(v16u8 v)
{
    return __builtin_shufflevector(v, v, 0, 13, 10, 7, 4, 1, 14, 11, 8, 5, 2, 15, 12, 9, 6, 3);
}

/* Each byte's column turned up by one row, by two. */
static v16u8 next_row(v16u8 v)
{
    return __builtin_shufflevector(v, v, 1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12);
}
static v16u8 row_after(v16u8 v)
{
    return next_row(next_row(v));
}
/* Columns times 3x^3 + x^2 + x + 2; the inverse, bx^3 + dx^2 + 9x + e, is that times 4x^2 + 5. */
static v16u8 mix_columns(v16u8 v)
{
    const v16u8 pair = v ^ next_row(v);
    return gf_double(pair) ^ next_row(v) ^ row_after(pair);
}
static v16u8 inv_mix_columns(v16u8 v)
{
    return mix_columns(v ^ gf_double(gf_double(v ^ row_after(v))));
}

v128 soft_aesenc(v128 a, v128 b)
{
    return (v128)mix_columns(sub_bytes(shift_rows((v16u8)a))) ^ b;
}
v128 soft_aesenclast(v128 a, v128 b)
{
    return (v128)sub_bytes(shift_rows((v16u8)a)) ^ b;
}
v128 soft_aesdec(v128 a, v128 b)
{
    return (v128)inv_mix_columns(inv_sub_bytes(inv_shift_rows((v16u8)a))) ^ b;
}
v128 soft_aesdeclast(v128 a, v128 b)
{
    return (v128)inv_sub_bytes(inv_shift_rows((v16u8)a)) ^ b;
}
v128 soft_aesimc(v128 b)
{
    return (v128)inv_mix_columns((v16u8)b);
}
/* Words 1 and 3 through the S-box, each as it is and rotated with the round constant added. */
v128 soft_aeskeygenassist(v128 b, unsigned imm)
{
    const v4u32 s = (v4u32)sub_bytes((v16u8)b);
    const uint32_t rcon = imm & 0xff;
    return (v128)(v4u32){s[1], (s[1] >> 8 | s[1] << 24) ^ rcon, s[3],
                         (s[3] >> 8 | s[3] << 24) ^ rcon};
}

XMM2(aesenc, vec_aesenc(a, b))
XMM2(aesenclast, vec_aesenclast(a, b))
XMM2(aesdec, vec_aesdec(a, b))
XMM2(aesdeclast, vec_aesdeclast(a, b))
XMM2(aesimc, vec_aesimc(b))
XMM2(aeskeygenassist, vec_aeskeygenassist(b, imm))
