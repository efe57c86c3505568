/*
 * The portable code behind AES, PCLMULQDQ, GFNI and SHA: against published results, and against the
 * processor under us where it has the instructions (tests/oracle compares the instructions
 * themselves, all immediates; on a host that has them it runs the host's code only).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "cpu/crypto.h"
#include "oracle/operands.h"
#include "seed.h"
#include "skip.h"

static v128 random_v128(void)
{
    uint8_t bytes[16];
    if (one_in(2))
        return v128_of(rnd(), rnd());
    random_bytes(bytes, sizeof bytes);
    return v128_load(bytes);
}

static void assert_v128(v128 got, uint64_t high, uint64_t low)
{
    assert_true(got[1] == high && got[0] == low);
}

/* --- against the host --- */

static bool has_aes(void)
{
    return host_has_aes();
}
static bool has_pclmul(void)
{
    return host_has_pclmul();
}
static bool has_gfni(void)
{
    return host_has_gfni();
}
static bool has_sha(void)
{
    return host_has_sha();
}

/* c is XMM0, or unused. */
struct unit {
    const char *name;
    bool (*has)(void);
    v128 (*soft)(v128 a, v128 b, v128 c, unsigned imm);
    v128 (*host)(v128 a, v128 b, v128 c, unsigned imm);
};
#define UNIT(name, ...)                                                \
    static v128 soft_##name##_of(v128 a, v128 b, v128 c, unsigned imm) \
    {                                                                  \
        (void)a, (void)c, (void)imm;                                   \
        return soft_##name(__VA_ARGS__);                               \
    }                                                                  \
    static v128 host_##name##_of(v128 a, v128 b, v128 c, unsigned imm) \
    {                                                                  \
        (void)a, (void)c, (void)imm;                                   \
        return host_##name(__VA_ARGS__);                               \
    }
UNIT(aesenc, a, b)
UNIT(aesenclast, a, b)
UNIT(aesdec, a, b)
UNIT(aesdeclast, a, b)
UNIT(aesimc, b)
UNIT(aeskeygenassist, b, imm)
UNIT(pclmulqdq, a, b, imm)
UNIT(gf2p8mulb, a, b)
UNIT(gf2p8affineqb, a, b, imm)
UNIT(gf2p8affineinvqb, a, b, imm)
UNIT(sha1rnds4, a, b, imm)
UNIT(sha1nexte, a, b)
UNIT(sha1msg1, a, b)
UNIT(sha1msg2, a, b)
UNIT(sha256rnds2, a, b, c)
UNIT(sha256msg1, a, b)
UNIT(sha256msg2, a, b)
#define ROW(name, isa)                                       \
    {                                                        \
#name, has_##isa, soft_##name##_of, host_##name##_of \
    }
static const struct unit units[] = {
    ROW(aesenc, aes),         ROW(aesenclast, aes),
    ROW(aesdec, aes),         ROW(aesdeclast, aes),
    ROW(aesimc, aes),         ROW(aeskeygenassist, aes),
    ROW(pclmulqdq, pclmul),   ROW(gf2p8mulb, gfni),
    ROW(gf2p8affineqb, gfni), ROW(gf2p8affineinvqb, gfni),
    ROW(sha1rnds4, sha),      ROW(sha1nexte, sha),
    ROW(sha1msg1, sha),       ROW(sha1msg2, sha),
    ROW(sha256rnds2, sha),    ROW(sha256msg1, sha),
    ROW(sha256msg2, sha),
};

/* Skipped, not passed, where the host has none of them. */
static void test_host(void **state)
{
    (void)state;
    unsigned compared = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(units); i++) {
        const struct unit *u = &units[i];
        if (!u->has()) {
            printf("not compared, the host refuses it: %s\n", u->name);
            continue;
        }
        compared++;
        for (unsigned n = 0; n < 256 * 100; n++) {
            const v128 a = random_v128(), b = random_v128(), c = random_v128();
            const v128 soft = u->soft(a, b, c, n & 255), host = u->host(a, b, c, n & 255);
            if (soft[0] != host[0] || soft[1] != host[1])
                fail_msg("%s imm %u: a %016llx.%016llx b %016llx.%016llx host %016llx.%016llx "
                         "ours %016llx.%016llx",
                         u->name, n & 255, (long long)a[1], (long long)a[0], (long long)b[1],
                         (long long)b[0], (long long)host[1], (long long)host[0],
                         (long long)soft[1], (long long)soft[0]);
        }
    }
    if (!compared)
        SKIP("the host's CPU has none of it");
}

/* --- against what was published --- */

/* Each word is the one before it added to its own predecessor; word 3 of assist starts that. */
static v128 next_key(v128 key, v128 assist)
{
    for (unsigned i = 0; i < 2; i++)
        key ^= vec_pslldq(key, 4 << i);
    return key ^ vec_pshufd(assist, 0xff);
}

/* FIPS 197 appendix C.1 */
static void test_aes(void **state)
{
    (void)state;
    static const uint8_t rcon[10] = {1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36};
    v128 key[11], v = v128_of(0x7766554433221100, 0xffeeddccbbaa9988);
    key[0] = v128_of(0x0706050403020100, 0x0f0e0d0c0b0a0908);
    for (unsigned i = 0; i < 10; i++)
        key[i + 1] = next_key(key[i], soft_aeskeygenassist(key[i], rcon[i]));
    v ^= key[0];
    for (unsigned i = 1; i < 10; i++)
        v = soft_aesenc(v, key[i]);
    v = soft_aesenclast(v, key[10]);
    assert_v128(v, 0x5ac5b47080b7cdd8, 0x30047b6ad8e0c469);
    v ^= key[10];
    for (unsigned i = 9; i > 0; i--)
        v = soft_aesdec(v, soft_aesimc(key[i]));
    v = soft_aesdeclast(v, key[0]);
    assert_v128(v, 0xffeeddccbbaa9988, 0x7766554433221100);
}

/* Gueron and Kounavis, "Intel Carry-Less Multiplication Instruction and its Usage for Computing the
 * GCM Mode", figure 1 */
static void test_pclmulqdq(void **state)
{
    (void)state;
    const v128 a = v128_of(0x63746f725d53475d, 0x7b5b546573745665);
    const v128 b = v128_of(0x5b477565726f6e5d, 0x4869285368617929);
    assert_v128(soft_pclmulqdq(a, b, 0x00), 0x1d4d84c85c3440c0, 0x929633d5d36f0451);
    assert_v128(soft_pclmulqdq(a, b, 0x01), 0x1a2bf6db3a30862f, 0xbabf262df4b7d5c9);
    assert_v128(soft_pclmulqdq(a, b, 0x10), 0x1bd17c8d556ab5a1, 0x7fa540ac2a281315);
    assert_v128(soft_pclmulqdq(a, b, 0x11), 0x1d1e1f2c592e7c45, 0xd66ee03e410fd4ed);
}

/* The inverse is one; FIPS 197 §4.2 "{57} x {83} = {c1}"; the identity matrix. */
static void test_gfni(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        const v128 x = v128_of_byte(i), one = soft_gf2p8mulb(x, (v128)gf_inverse((v16u8)x));
        assert_int_equal(one[0] & 0xff, i ? 1 : 0);
        assert_true(one[0] == one[1]);
    }
    assert_int_equal(soft_gf2p8mulb(v128_of(0x57, 0), v128_of(0x83, 0))[0], 0xc1);
    const v128 identity = v128_of(0x0102040810204080, 0x0102040810204080);
    const v128 v = v128_of(0x0123456789abcdef, 0xfedcba9876543210);
    assert_v128(soft_gf2p8affineqb(v, identity, 0), v[1], v[0]);
    assert_v128(soft_gf2p8affineqb(v, identity, 0xff), ~v[1], ~v[0]);
    assert_v128(soft_gf2p8affineinvqb((v128)gf_inverse((v16u8)v), identity, 0), v[1], v[0]);
}

/* FIPS 180-4: "abc" in one block; SHA-1's words lie from bit 127 down, SHA-256's up. */
static void test_sha1(void **state)
{
    (void)state;
    v128 w[4] = {v128_of(0, UINT64_C(0x6162638000000000)), {0}, {0}, v128_of(24, 0)};
    const v128 start = (v128)(v4u32){0x10325476, 0x98badcfe, 0xefcdab89, 0x67452301};
    v128 abcd = start, e = (v128)(v4u32){0, 0, 0, 0xc3d2e1f0};
    for (unsigned i = 0; i < 20; i++) {
        const v128 before = abcd;
        /* E of the first four is added plainly, later it is an A rotated */
        const v128 in = i ? soft_sha1nexte(e, w[i & 3]) : vec_paddd(w[0], e);
        abcd = soft_sha1rnds4(abcd, in, i / 5);
        e = before;
        w[i & 3] =
            soft_sha1msg2(soft_sha1msg1(w[i & 3], w[(i + 1) & 3]) ^ w[(i + 2) & 3], w[(i + 3) & 3]);
    }
    const v4u32 h = (v4u32)vec_paddd(abcd, start);
    const v4u32 h4 = (v4u32)soft_sha1nexte(e, (v128)(v4u32){0, 0, 0, 0xc3d2e1f0});
    assert_int_equal(h[3], 0xa9993e36);
    assert_int_equal(h[2], 0x4706816a);
    assert_int_equal(h[1], 0xba3e2571);
    assert_int_equal(h[0], 0x7850c26c);
    assert_int_equal(h4[3], 0x9cd0d89d);
}

static void test_sha256(void **state)
{
    (void)state;
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
        0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
        0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
        0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
        0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
        0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
        0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
        0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2};
    v128 w[4] = {v128_of(0x61626380, 0), {0}, {0}, v128_of(0, UINT64_C(24) << 32)};
    const v128 abef0 = (v128)(v4u32){0x9b05688c, 0x510e527f, 0xbb67ae85, 0x6a09e667};
    const v128 cdgh0 = (v128)(v4u32){0x5be0cd19, 0x1f83d9ab, 0xa54ff53a, 0x3c6ef372};
    v128 abef = abef0, cdgh = cdgh0;
    for (unsigned i = 0; i < 16; i++) {
        const v128 wk = vec_paddd(w[i & 3], v128_load(&k[4 * i]));
        /* what was ABEF two rounds ago is CDGH */
        cdgh = soft_sha256rnds2(cdgh, abef, wk);
        abef = soft_sha256rnds2(abef, cdgh, v128_of(wk[1], 0));
        const v128 w9 = vec_palignr(w[(i + 3) & 3], w[(i + 2) & 3], 4, 16);
        w[i & 3] = soft_sha256msg2(vec_paddd(soft_sha256msg1(w[i & 3], w[(i + 1) & 3]), w9),
                                   w[(i + 3) & 3]);
    }
    const v4u32 r = (v4u32)vec_paddd(abef, abef0), s = (v4u32)vec_paddd(cdgh, cdgh0);
    const uint32_t h[8] = {r[3], r[2], s[3], s[2], r[1], r[0], s[1], s[0]};
    static const uint32_t expected[8] = {0xba7816bf, 0x8f01cfea, 0x414140de, 0x5dae2223,
                                         0xb00361a3, 0x96177a9c, 0xb410ff61, 0xf20015ad};
    assert_memory_equal(h, expected, sizeof h);
}

int main(void)
{
    rng_state = test_seed(rng_state);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host), cmocka_unit_test(test_aes),  cmocka_unit_test(test_pclmulqdq),
        cmocka_unit_test(test_gfni), cmocka_unit_test(test_sha1), cmocka_unit_test(test_sha256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
