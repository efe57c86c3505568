/*
 * AES, SHA, carry-less multiplication and GF(2^8): what the instructions of those names compute.
 * soft_NAME is portable C and defined in the op_*.c of its subject, host_NAME the host's own
 * instruction, vec_NAME the one to call: the host's where it has it. Results do not depend on the
 * choice (test_crypto compares them).
 *
 * SDM 1 §12.13 "AESNI Overview"; SDM 2A and 2B under each mnemonic.
 */
#ifndef VITRINE_CPU_CRYPTO_H
#define VITRINE_CPU_CRYPTO_H

#include "cpu/vec.h"

#if defined(__x86_64__)
#include <cpuid.h>

/* What the host's CPUID says, asked once a process: it does not change. */
static inline bool host_has_aes(void)
{
    return __builtin_cpu_supports("aes") != 0;
}
static inline bool host_has_pclmul(void)
{
    return __builtin_cpu_supports("pclmul") != 0;
}
static inline bool host_has_gfni(void)
{
    return __builtin_cpu_supports("gfni") != 0;
}
/* Clang 14 does not know the name. */
static inline bool host_has_sha(void)
{
    static int8_t answer; /* 0: not asked yet */
    if (unlikely(!answer)) {
        unsigned a, b, c, d;
        answer = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & BIT(29)) ? 1 : -1;
    }
    return answer > 0;
}
#define HOST_INSN(text, ...) __asm__(text : "+x"(a) : __VA_ARGS__)
#else
#define host_has_aes()       false
#define host_has_pclmul()    false
#define host_has_gfni()      false
#define host_has_sha()       false
#define HOST_INSN(text, ...) (void)0
#endif

/* Apart, so that it costs the handlers no stack frame where the host computes. */
#define SOFT __attribute__((noinline))

/* Of two operands, a being the destination. */
#define CRYPTO2(name, isa)                                                       \
    SOFT v128 soft_##name(v128 a, v128 b);                                       \
    static inline v128 host_##name(v128 a, v128 b)                               \
    {                                                                            \
        HOST_INSN(#name " %1, %0", "x"(b));                                      \
        return a;                                                                \
    }                                                                            \
    static inline v128 vec_##name(v128 a, v128 b)                                \
    {                                                                            \
        return likely(host_has_##isa()) ? host_##name(a, b) : soft_##name(a, b); \
    }
CRYPTO2(aesenc, aes)
CRYPTO2(aesenclast, aes)
CRYPTO2(aesdec, aes)
CRYPTO2(aesdeclast, aes)
CRYPTO2(gf2p8mulb, gfni)
CRYPTO2(sha1nexte, sha)
CRYPTO2(sha1msg1, sha)
CRYPTO2(sha1msg2, sha)
CRYPTO2(sha256msg1, sha)
CRYPTO2(sha256msg2, sha)
#undef CRYPTO2

/* And an immediate. */
#define CRYPTO_IMM(name, isa)                                                              \
    SOFT v128 soft_##name(v128 a, v128 b, unsigned imm);                                   \
    static inline v128 vec_##name(v128 a, v128 b, unsigned imm)                            \
    {                                                                                      \
        return likely(host_has_##isa()) ? host_##name(a, b, imm) : soft_##name(a, b, imm); \
    }
/* The constant is added to every byte. */
static inline v128 v128_of_byte(unsigned byte)
{
    const uint64_t q = (byte & 0xff) * UINT64_C(0x0101010101010101);
    return v128_of(q, q);
}
static inline v128 host_gf2p8affineqb(v128 a, v128 b, unsigned imm)
{
    HOST_INSN("gf2p8affineqb $0, %1, %0", "x"(b));
    return a ^ v128_of_byte(imm);
}
static inline v128 host_gf2p8affineinvqb(v128 a, v128 b, unsigned imm)
{
    HOST_INSN("gf2p8affineinvqb $0, %1, %0", "x"(b));
    return a ^ v128_of_byte(imm);
}
CRYPTO_IMM(gf2p8affineqb, gfni)
CRYPTO_IMM(gf2p8affineinvqb, gfni)

/* The halves to be multiplied are chosen first. */
static inline v128 host_pclmulqdq(v128 a, v128 b, unsigned imm)
{
    if (imm & 1)
        a = vec_punpckhqdq(a, a);
    if (imm & 0x10)
        b = vec_punpckhqdq(b, b);
    HOST_INSN("pclmulqdq $0, %1, %0", "x"(b));
    return a;
}
CRYPTO_IMM(pclmulqdq, pclmul)

static inline v128 host_sha1rnds4(v128 a, v128 b, unsigned imm)
{
    switch (imm & 3) {
    case 0:
        HOST_INSN("sha1rnds4 $0, %1, %0", "x"(b));
        break;
    case 1:
        HOST_INSN("sha1rnds4 $1, %1, %0", "x"(b));
        break;
    case 2:
        HOST_INSN("sha1rnds4 $2, %1, %0", "x"(b));
        break;
    default:
        HOST_INSN("sha1rnds4 $3, %1, %0", "x"(b));
        break;
    }
    return a;
}
CRYPTO_IMM(sha1rnds4, sha)
#undef CRYPTO_IMM

SOFT v128 soft_aesimc(v128 b);
static inline v128 host_aesimc(v128 b)
{
    v128 a = {0};
    HOST_INSN("aesimc %1, %0", "x"(b));
    return a;
}
static inline v128 vec_aesimc(v128 b)
{
    return likely(host_has_aes()) ? host_aesimc(b) : soft_aesimc(b);
}

/* The round constant is added to two words. */
SOFT v128 soft_aeskeygenassist(v128 b, unsigned imm);
static inline v128 host_aeskeygenassist(v128 b, unsigned imm)
{
    v128 a = {0};
    const uint64_t rcon = (uint64_t)(imm & 0xff) << 32;
    HOST_INSN("aeskeygenassist $0, %1, %0", "x"(b));
    return a ^ v128_of(rcon, rcon);
}
static inline v128 vec_aeskeygenassist(v128 b, unsigned imm)
{
    return likely(host_has_aes()) ? host_aeskeygenassist(b, imm) : soft_aeskeygenassist(b, imm);
}

/* wk: XMM0, two words with their constants added. */
SOFT v128 soft_sha256rnds2(v128 a, v128 b, v128 wk);
static inline v128 host_sha256rnds2(v128 a, v128 b, v128 wk)
{
    HOST_INSN("sha256rnds2 %1, %0", "x"(b), "Yz"(wk));
    return a;
}
static inline v128 vec_sha256rnds2(v128 a, v128 b, v128 wk)
{
    return likely(host_has_sha()) ? host_sha256rnds2(a, b, wk) : soft_sha256rnds2(a, b, wk);
}

/*
 * GF(2^8) of AES and GFNI, modulo x^8 + x^4 + x^3 + x + 1, sixteen elements at a time: x times
 * them, and the multiplicative inverse with 0 for 0.
 */
static inline v16u8 gf_double(v16u8 v)
{
    return (v << 1) ^ ((v >> 7) * 0x1b);
}
v16u8 gf_inverse(v16u8 v);

#endif
