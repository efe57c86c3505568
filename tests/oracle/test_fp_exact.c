/*
 * Floating point against results computed with libmpfr: what the portable path computes
 * (fp_soft.c), and the interpreter's instructions, whoever computes for them. Four rounding modes,
 * operands from the ends of the formats, values and exception flags. FUZZ_SEED and EXACT_CASES
 * choose what is run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cpu/fp/fp_soft.h"
#include "exact.h"
#include "guest.h"
#include "operands.h"
#include "seed.h"

struct tally {
    uint64_t cases, mismatches;
};

static uint64_t cases(uint64_t otherwise)
{
    const char *s = getenv("EXACT_CASES");
    return s ? strtoull(s, NULL, 0) : otherwise;
}

static void begin(void)
{
    rng_state = test_seed(UINT64_C(0x9e3779b97f4a7c15));
}

/* True: print it. */
static bool mismatch(struct tally *t)
{
    return t->mismatches++ < 10;
}

static void end(const char *what, const struct tally *t)
{
    printf("%s: %llu cases, %llu mismatches\n", what, (long long)t->cases,
           (long long)t->mismatches);
    assert_int_equal(t->mismatches, 0);
    assert_true(t->cases > 0);
}

/* --- numbers of the two formats --- */

static bool is_finite(uint64_t v, bool f64)
{
    return f64 ? (v & UINT64_C(0x7ff0000000000000)) != UINT64_C(0x7ff0000000000000)
               : (v & 0x7f800000) != 0x7f800000;
}
static bool is_denormal(uint64_t v, bool f64)
{
    const uint64_t m = v & (f64 ? UINT64_C(0x7fffffffffffffff) : 0x7fffffff);
    return m && m < BIT64(f64 ? 52 : 23);
}
static uint64_t random_finite(bool f64)
{
    for (;;) {
        const uint64_t v = f64 ? random_f64() : random_f32();
        if (is_finite(v, f64))
            return v;
    }
}
static struct exact_number exact_of(uint64_t v, bool f64)
{
    return f64 ? exact_from_double(v) : exact_from_single((uint32_t)v);
}
static uint64_t pattern(struct exact_number v, bool f64)
{
    return f64 ? exact_to_double(v) : exact_to_single(v);
}
static const struct exact_format *format_of(bool f64)
{
    return f64 ? &exact_double : &exact_single;
}

/* --- the portable path --- */

static void test_soft_fma(void **state)
{
    (void)state;
    struct tally t = {0};
    begin();
    for (uint64_t n = cases(150000); t.cases < n;) {
        const bool f64 = one_in(2);
        const uint64_t x = random_finite(f64), y = random_finite(f64);
        uint64_t z = random_finite(f64);
        const unsigned rc = below(4);
        const struct exact_number in[3] = {exact_of(x, f64), exact_of(y, f64), exact_of(z, f64)};
        if (one_in(4)) { /* about the product, to cancel all but its low bits */
            const uint64_t p =
                pattern(exact_compute(EXACT_MUL, in, format_of(f64), 0, below(4)).v, f64);
            if (!is_finite(p, f64))
                continue;
            z = p ^ BIT64(f64 ? 63 : 31);
        }
        const struct exact_number again[3] = {in[0], in[1], exact_of(z, f64)};
        struct exact_result want = exact_compute(EXACT_FMA, again, format_of(f64), 0, rc);
        if (is_denormal(x, f64) || is_denormal(y, f64) || is_denormal(z, f64))
            want.flags |= FSW_DE;
        const bool flush = one_in(4) && want.tiny;
        if (flush) {
            want.v = (struct exact_number){.sexp = want.v.sexp & 0x8000};
            want.flags |= FSW_UE | FSW_PE;
        }
        uint32_t flags = 0;
        const uint64_t r =
            fp_soft_fma(f64, x, y, z, false, false,
                        MXCSR_MASKS | rc << MXCSR_RC_SHIFT | (flush ? MXCSR_FTZ : 0), &flags);
        t.cases++;
        if ((r != pattern(want.v, f64) || flags != want.flags) && mismatch(&t))
            printf("%#llx * %#llx + %#llx rc %u: want %#llx flags %x, got %#llx flags %x\n",
                   (long long)x, (long long)y, (long long)z, rc, (long long)pattern(want.v, f64),
                   want.flags, (long long)r, flags);
    }
    end("fused multiply-add", &t);
}

/* All halves, and singles that matter to one. */
static void test_soft_half(void **state)
{
    (void)state;
    struct tally t = {0};
    begin();
    for (unsigned v = 0; v < 0x10000; v++) {
        if ((v & 0x7c00) == 0x7c00)
            continue;
        uint32_t flags = 0;
        const uint32_t want = exact_to_single(exact_from_half((uint16_t)v));
        const uint32_t r = fp_soft_from_half((uint16_t)v, &flags);
        t.cases++;
        if ((r != want || flags) && mismatch(&t))
            printf("half %#x: want %#x, got %#x flags %x\n", v, want, r, flags);
    }
    for (uint64_t n = t.cases + cases(150000); t.cases < n; t.cases++) {
        /* exponents about those of a half */
        uint32_t v =
            one_in(4) ? random_f32() : (uint32_t)((rnd() & 0x807fffff) | (below(48) + 96) << 23);
        if (one_in(3)) /* few bits, so that ties occur */
            v &= ~UINT32_C(0) << below(20);
        if (!is_finite(v, false))
            continue;
        const unsigned rc = below(4);
        const struct exact_number in[3] = {exact_from_single(v)};
        struct exact_result want = exact_compute(EXACT_COPY, in, &exact_half, 0, rc);
        if (is_denormal(v, false))
            want.flags |= FSW_DE;
        uint32_t flags = 0;
        const uint16_t r = fp_soft_to_half(v, rc, MXCSR_INIT, &flags);
        if ((r != exact_to_half(want.v) || flags != want.flags) && mismatch(&t))
            printf("single %#x rc %u: want %#x flags %x, got %#x flags %x\n", v, rc,
                   exact_to_half(want.v), want.flags, r, flags);
    }
    end("half precision", &t);
}

/* --- the interpreter: SSE --- */

static void run_guest(const uint8_t *code, unsigned len, struct native_state *in, struct outcome *o)
{
    in->rflags = 0x202;
    guest_run_code(code, len, in, 1, 1, o);
    assert_int_equal(o->vector, -1);
}

/* What SSE instruction of the interpreter computes what: F3h or F2h, 0Fh, opcode, XMM0 with XMM1.
 */
static void test_sse(void **state)
{
    (void)state;
    static const struct {
        enum exact_op op;
        uint8_t opcode;
    } ops[] = {{EXACT_ADD, 0x58},
               {EXACT_SUB, 0x5c},
               {EXACT_MUL, 0x59},
               {EXACT_DIV, 0x5e},
               {EXACT_SQRT, 0x51}};
    struct tally t = {0};
    struct native_state in = {0};
    struct outcome o;
    begin();
    for (uint64_t n = cases(100000); t.cases < n;) {
        const bool f64 = one_in(2);
        const unsigned k = below(ARRAY_SIZE(ops)), rc = below(4);
        uint64_t x = random_finite(f64), y = random_finite(f64);
        if (ops[k].op == EXACT_SQRT) { /* of XMM1 */
            y &= ~BIT64(f64 ? 63 : 31);
            x = y;
        }
        if (ops[k].op == EXACT_DIV && !(y << (f64 ? 1 : 33)))
            continue;
        const struct exact_number number_in[3] = {exact_of(x, f64), exact_of(y, f64)};
        struct exact_result want = exact_compute(ops[k].op, number_in, format_of(f64), 0, rc);
        if (is_denormal(x, f64) || is_denormal(y, f64))
            want.flags |= FSW_DE;
        const uint8_t code[] = {f64 ? 0xf2 : 0xf3, 0x0f, ops[k].opcode, 0xc1};
        st16(in.fx, FCW_INIT);
        st32(in.fx + 24, MXCSR_INIT | rc << MXCSR_RC_SHIFT);
        st64(in.fx + 160, x);
        st64(in.fx + 176, y);
        run_guest(code, sizeof code, &in, &o);
        const uint64_t r = f64 ? ld64(o.s.fx + 160) : ld32(o.s.fx + 160);
        const uint32_t flags = ld32(o.s.fx + 24) & MXCSR_EXC;
        t.cases++;
        if ((r != pattern(want.v, f64) || flags != want.flags) && mismatch(&t))
            printf("%02x 0f %02x: %#llx, %#llx rc %u: want %#llx flags %x, got %#llx flags %x\n",
                   code[0], code[2], (long long)x, (long long)y, rc,
                   (long long)pattern(want.v, f64), want.flags, (long long)r, flags);
    }
    end("SSE arithmetic", &t);
}

/* CVTSD2SS, CVTSI2SS, CVTSI2SD, CVTSS2SI, CVTSD2SI, with 32- and 64-bit integers. */
static void test_sse_conversions(void **state)
{
    (void)state;
    struct tally t = {0};
    struct native_state in = {0};
    struct outcome o;
    begin();
    for (uint64_t n = cases(100000); t.cases < n; t.cases++) {
        const unsigned kind = below(3), rc = below(4);
        const bool f64 = one_in(2), wide = one_in(2);
        const uint8_t prefix = f64 ? 0xf2 : 0xf3, rex = wide ? 0x48 : 0x40;
        uint64_t x = random_finite(kind == 0 ? true : f64), want, got;
        uint32_t want_flags = 0;
        st16(in.fx, FCW_INIT);
        st32(in.fx + 24, MXCSR_INIT | rc << MXCSR_RC_SHIFT);
        if (kind == 0) {
            const struct exact_number v[3] = {exact_from_double(x)};
            const struct exact_result r = exact_compute(EXACT_COPY, v, &exact_single, 0, rc);
            st64(in.fx + 176, x);
            run_guest((const uint8_t[]){0xf2, 0x0f, 0x5a, 0xc1}, 4, &in, &o);
            want = exact_to_single(r.v);
            want_flags = r.flags | (is_denormal(x, true) ? FSW_DE : 0);
            got = ld32(o.s.fx + 160);
        } else if (kind == 1) {
            x = random_value();
            const struct exact_number v[3] = {
                exact_from_int(wide ? (int64_t)x : (int32_t)(uint32_t)x)};
            const struct exact_result r = exact_compute(EXACT_COPY, v, format_of(f64), 0, rc);
            in.gpr[1] = x;
            run_guest((const uint8_t[]){prefix, rex, 0x0f, 0x2a, 0xc1}, 5, &in, &o);
            want = pattern(r.v, f64);
            want_flags = r.flags;
            got = f64 ? ld64(o.s.fx + 160) : ld32(o.s.fx + 160);
        } else {
            bool inexact, fits;
            const int64_t v = exact_to_int(exact_of(x, f64), rc, &inexact, &fits);
            st64(in.fx + 176, x);
            run_guest((const uint8_t[]){prefix, rex, 0x0f, 0x2d, 0xc1}, 5, &in, &o);
            if (fits && (wide || v == (int32_t)v)) {
                want = wide ? (uint64_t)v : (uint32_t)v;
                want_flags = inexact ? FSW_PE : 0; /* no DE: SDM 1 table 11-2 */
            } else {
                want = wide ? BIT64(63) : BIT64(31);
                want_flags = FSW_IE;
            }
            got = o.s.gpr[0];
        }
        const uint32_t flags = ld32(o.s.fx + 24) & MXCSR_EXC;
        if ((got != want || flags != want_flags) && mismatch(&t))
            printf(
                "conversion %u, %d, %d of %#llx rc %u: want %#llx flags %x, got %#llx flags %x\n",
                kind, f64, wide, (long long)x, rc, (long long)want, want_flags, (long long)got,
                flags);
    }
    end("SSE conversions", &t);
}

/* --- the interpreter: x87 --- */

/* A normal number or a denormal, no unnormal one. */
static struct exact_number random_extended(void)
{
    for (;;) {
        uint8_t b[16];
        random_f80(b);
        const struct exact_number v = {ld64(b), ld16(b + 8)};
        const unsigned e = v.sexp & 0x7fff;
        if (e != 0x7fff && (e ? v.mant >> 63 : !(v.mant >> 63)))
            return v;
    }
}

/* D8h: ST(0) op ST(1) under precision and rounding control. */
static void test_x87(void **state)
{
    (void)state;
    static const struct {
        enum exact_op op;
        uint8_t b[2];
    } ops[] = {{EXACT_ADD, {0xd8, 0xc1}},
               {EXACT_SUB, {0xd8, 0xe1}},
               {EXACT_MUL, {0xd8, 0xc9}},
               {EXACT_DIV, {0xd8, 0xf1}},
               {EXACT_SQRT, {0xd9, 0xfa}}};
    static const uint8_t precision[4] = {24, 0, 53, 64};
    struct tally t = {0};
    struct native_state in = {0};
    struct outcome o;
    begin();
    for (uint64_t n = cases(100000); t.cases < n;) {
        const unsigned k = below(ARRAY_SIZE(ops)), rc = below(4);
        const unsigned pc = one_in(2) ? 3 : 2 * below(2);
        struct exact_number x = random_extended(), y = random_extended();
        if (ops[k].op == EXACT_SQRT) {
            x.sexp &= 0x7fff;
            y = x;
        }
        if (ops[k].op == EXACT_DIV && !y.mant)
            continue;
        const struct exact_number number_in[3] = {x, y};
        struct exact_result want =
            exact_compute(ops[k].op, number_in, &exact_extended, precision[pc], rc);
        if (want.tiny && pc != 3) /* which unit a short significand is rounded to is not written */
            continue;
        if ((!(x.sexp & 0x7fff) && x.mant) || (!(y.sexp & 0x7fff) && y.mant))
            want.flags |= FSW_DE;
        if ((want.flags & FSW_OE) && pc != 3 && (want.v.sexp & 0x7fff) != 0x7fff)
            want.v.mant &= ~UINT64_C(0) << (64 - precision[pc]);
        st16(in.fx, (uint16_t)(0x7f | pc << 8 | rc << 10));
        in.fx[4] = 0x03;
        st64(in.fx + 32, x.mant);
        st16(in.fx + 40, x.sexp);
        st64(in.fx + 48, y.mant);
        st16(in.fx + 56, y.sexp);
        st32(in.fx + 24, MXCSR_INIT);
        run_guest(ops[k].b, 2, &in, &o);
        const struct exact_number r = {ld64(o.s.fx + 32), ld16(o.s.fx + 40)};
        const uint16_t sw = ld16(o.s.fx + 2);
        const bool up = sw & FSW_C1;
        t.cases++;
        if ((r.mant != want.v.mant || r.sexp != want.v.sexp || (sw & FSW_EXC) != want.flags ||
             up != want.up) &&
            mismatch(&t))
            printf("%02x %02x: %04x.%016llx, %04x.%016llx pc %u rc %u: want %04x.%016llx flags %x "
                   "up %d, got %04x.%016llx flags %x up %d\n",
                   ops[k].b[0], ops[k].b[1], x.sexp, (long long)x.mant, y.sexp, (long long)y.mant,
                   pc, rc, want.v.sexp, (long long)want.v.mant, want.flags, want.up, r.sexp,
                   (long long)r.mant, sw & FSW_EXC, up);
    }
    end("x87 arithmetic", &t);
}

static int setup(void **state)
{
    (void)state;
    guest_open();
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    guest_close();
    mpfr_free_cache();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_soft_fma), cmocka_unit_test(test_soft_half),
        cmocka_unit_test(test_sse),      cmocka_unit_test(test_sse_conversions),
        cmocka_unit_test(test_x87),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
