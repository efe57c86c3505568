/*
 * SHA-1 and SHA-256, legacy encodings only. The words of a message and the variables of the hash
 * lie from bit 127 down, but the scheduling of SHA-256, which has them upwards. SDM 2B "SHA1RNDS4"
 * and its kin; FIPS 180-4 names the functions.
 */
#include "cpu/crypto.h"
#include "cpu/handlers.h"
#include "cpu/op_vec.h"

static inline uint32_t rol(uint32_t v, unsigned n)
{
    return v << n | v >> (32 - n);
}
static inline uint32_t ror(uint32_t v, unsigned n)
{
    return v >> n | v << (32 - n);
}
static inline uint32_t choose(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) ^ (~x & z);
}
static inline uint32_t majority(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) ^ (x & z) ^ (y & z);
}

/* --- SHA-1 --- */

static uint32_t sha1_function(unsigned kind, uint32_t b, uint32_t c, uint32_t d)
{
    return kind == 0 ? choose(b, c, d) : kind == 2 ? majority(b, c, d) : b ^ c ^ d;
}
/* Four rounds of the twenty that imm[1:0] names; E comes added to the first word. */
v128 soft_sha1rnds4(v128 va, v128 vb, unsigned imm)
{
    static const uint32_t constant[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    const v4u32 w = (v4u32)vb;
    v4u32 s = (v4u32)va;
    uint32_t a = s[3], b = s[2], c = s[1], d = s[0], e = 0;
    for (unsigned i = 0; i < 4; i++) {
        const uint32_t next =
            sha1_function(imm & 3, b, c, d) + rol(a, 5) + w[3 - i] + e + constant[imm & 3];
        e = d;
        d = c;
        c = rol(b, 30);
        b = a;
        a = next;
    }
    return (v128)(v4u32){d, c, b, a};
}
v128 soft_sha1nexte(v128 va, v128 vb)
{
    const v4u32 a = (v4u32)va, b = (v4u32)vb;
    return (v128)(v4u32){b[0], b[1], b[2], b[3] + rol(a[3], 30)};
}
v128 soft_sha1msg1(v128 va, v128 vb)
{
    const v4u32 a = (v4u32)va, b = (v4u32)vb;
    return (v128)(v4u32){b[2] ^ a[0], b[3] ^ a[1], a[0] ^ a[2], a[1] ^ a[3]};
}
v128 soft_sha1msg2(v128 va, v128 vb)
{
    const v4u32 a = (v4u32)va, b = (v4u32)vb;
    const uint32_t w16 = rol(a[3] ^ b[2], 1);
    return (v128)(v4u32){rol(a[0] ^ w16, 1), rol(a[1] ^ b[0], 1), rol(a[2] ^ b[1], 1), w16};
}

/* --- SHA-256 --- */

static inline uint32_t big_sigma0(uint32_t v)
{
    return ror(v, 2) ^ ror(v, 13) ^ ror(v, 22);
}
static inline uint32_t big_sigma1(uint32_t v)
{
    return ror(v, 6) ^ ror(v, 11) ^ ror(v, 25);
}
static inline uint32_t sigma0(uint32_t v)
{
    return ror(v, 7) ^ ror(v, 18) ^ v >> 3;
}
static inline uint32_t sigma1(uint32_t v)
{
    return ror(v, 17) ^ ror(v, 19) ^ v >> 10;
}

/* CDGH and ABEF in, ABEF after two rounds out. */
v128 soft_sha256rnds2(v128 va, v128 vb, v128 vwk)
{
    const v4u32 cdgh = (v4u32)va, abef = (v4u32)vb, wk = (v4u32)vwk;
    uint32_t a = abef[3], b = abef[2], c = cdgh[3], d = cdgh[2];
    uint32_t e = abef[1], f = abef[0], g = cdgh[1], h = cdgh[0];
    for (unsigned i = 0; i < 2; i++) {
        const uint32_t t = choose(e, f, g) + big_sigma1(e) + wk[i] + h;
        h = g;
        g = f;
        f = e;
        e = t + d;
        d = c;
        const uint32_t next = t + majority(a, b, c) + big_sigma0(a);
        c = b;
        b = a;
        a = next;
    }
    return (v128)(v4u32){f, e, b, a};
}
v128 soft_sha256msg1(v128 va, v128 vb)
{
    const v4u32 a = (v4u32)va, b = (v4u32)vb;
    return (v128)(v4u32){a[0] + sigma0(a[1]), a[1] + sigma0(a[2]), a[2] + sigma0(a[3]),
                         a[3] + sigma0(b[0])};
}
v128 soft_sha256msg2(v128 va, v128 vb)
{
    const v4u32 a = (v4u32)va, b = (v4u32)vb;
    const uint32_t w16 = a[0] + sigma1(b[2]), w17 = a[1] + sigma1(b[3]);
    return (v128)(v4u32){w16, w17, a[2] + sigma1(w16), a[3] + sigma1(w17)};
}

XMM2_SSE(sha1rnds4, vec_sha1rnds4(a, b, imm))
XMM2_SSE(sha1nexte, vec_sha1nexte(a, b))
XMM2_SSE(sha1msg1, vec_sha1msg1(a, b))
XMM2_SSE(sha1msg2, vec_sha1msg2(a, b))
XMM2_SSE(sha256rnds2, vec_sha256rnds2(a, b, xmm_read(cpu, 0)))
XMM2_SSE(sha256msg1, vec_sha256msg1(a, b))
XMM2_SSE(sha256msg2, vec_sha256msg2(a, b))
