/*
 * glibc's mathematical functions: maths ROUNDS. For each function and rounding mode one line with a
 * checksum over results, to the last bit, and the exception flags that were raised. Which variant
 * of a function runs is chosen by GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-FMA and the like.
 *
 * The functions of libmvec, which take vectors, are called through lazily bound jump tables: that
 * the dynamic linker keeps the argument registers whole is part of what is tested, in the first
 * call.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fenv.h>
#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "draw.h"

enum shape { F1, F2, F3, TO_LONG, WITH_INT, FREXP, MODF, SINCOS, REMQUO, LGAMMA };

static const struct row {
    const char *name; /* of double; "f" and "l" follow for the others */
    enum shape shape;
} rows[] = {
    {"acos", F1},         {"acosh", F1},       {"asin", F1},        {"asinh", F1},
    {"atan", F1},         {"atanh", F1},       {"cbrt", F1},        {"ceil", F1},
    {"cos", F1},          {"cosh", F1},        {"erf", F1},         {"erfc", F1},
    {"exp", F1},          {"exp10", F1},       {"exp2", F1},        {"expm1", F1},
    {"fabs", F1},         {"floor", F1},       {"j0", F1},          {"j1", F1},
    {"log", F1},          {"log10", F1},       {"log1p", F1},       {"log2", F1},
    {"logb", F1},         {"nearbyint", F1},   {"rint", F1},        {"round", F1},
    {"roundeven", F1},    {"significand", F1}, {"sin", F1},         {"sinh", F1},
    {"sqrt", F1},         {"tan", F1},         {"tanh", F1},        {"tgamma", F1},
    {"trunc", F1},        {"y0", F1},          {"y1", F1},          {"atan2", F2},
    {"copysign", F2},     {"fdim", F2},        {"fmax", F2},        {"fmin", F2},
    {"fmod", F2},         {"hypot", F2},       {"nextafter", F2},   {"pow", F2},
    {"remainder", F2},    {"fma", F3},         {"llrint", TO_LONG}, {"llround", TO_LONG},
    {"lrint", TO_LONG},   {"lround", TO_LONG}, {"ldexp", WITH_INT}, {"scalbn", WITH_INT},
    {"frexp", FREXP},     {"modf", MODF},      {"sincos", SINCOS},  {"remquo", REMQUO},
    {"lgamma_r", LGAMMA},
};

static const struct {
    int mode;
    const char *name;
} modes[] = {
    {FE_TONEAREST, "nearest"}, {FE_DOWNWARD, "down"}, {FE_UPWARD, "up"}, {FE_TOWARDZERO, "zero"}};

static uint64_t seed;

/* Of all bit patterns, of the sizes that functions are used with, and those where something
 * changes. */
static uint64_t pattern(int exponent_bits, int fraction_bits)
{
    const uint64_t all = draw(&seed), sign = all >> 63 << (exponent_bits + fraction_bits);
    const uint64_t fraction = draw(&seed) & ((1ull << fraction_bits) - 1);
    const uint64_t top = (1ull << exponent_bits) - 1, bias = top / 2;
    uint64_t e = bias;
    switch (below(&seed, 8)) {
    case 0:
        e = below(&seed, top + 1);
        break;
    case 1: /* zero, denormal, infinite, not a number; round numbers */
        e = (uint64_t[]){0, top, 1, bias, bias + below(&seed, 12)}[below(&seed, 5)];
        return sign | e << fraction_bits | below(&seed, 4) << below(&seed, 2) * (fraction_bits - 2);
    case 2:
        e = bias + below(&seed, exponent_bits > 8 ? 70 : 35);
        break;
    default:
        e = bias - 6 + below(&seed, 12);
        break;
    }
    return sign | e << fraction_bits | fraction;
}

static double a_double(void)
{
    const uint64_t bits = pattern(11, 52);
    double d;
    memcpy(&d, &bits, 8);
    return d;
}

static float a_float(void)
{
    const uint32_t bits = (uint32_t)pattern(8, 23);
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

/* What a processor makes: the bit before the point is set but for zeros and denormals. */
static long double a_long_double(void)
{
    const uint64_t high = draw(&seed), fraction = draw(&seed);
    uint64_t e;
    switch (below(&seed, 6)) {
    case 0:
        e = below(&seed, 0x8000);
        break;
    case 1:
        e = below(&seed, 2) ? 0 : 0x7fff;
        break;
    default:
        e = 16383 - 10 + below(&seed, 30);
        break;
    }
    const uint64_t significand =
        (below(&seed, 8) ? fraction : fraction << 56) >> 1 | (uint64_t)(e != 0) << 63;
    const uint16_t top = (uint16_t)(high >> 63 << 15 | e);
    long double d = 0;
    memcpy(&d, &significand, 8);
    memcpy((char *)&d + 8, &top, 2);
    return d;
}

#define SUM(sum, x, bytes)                 \
    do {                                   \
        sum = mix_bytes(sum, &(x), bytes); \
    } while (0)

/* One call of a function of T; result and flags go into the checksum. */
#define CALL(T, bytes, value)                                                     \
    static uint64_t call_##value(const struct row *r, void *f, uint64_t sum)      \
    {                                                                             \
        T x = value(), y = value(), z = value(), got = 0, more = 0;               \
        const int n = (int)below(&seed, 200) - 100;                               \
        int i = 0;                                                                \
        long long whole = 0;                                                      \
        feclearexcept(FE_ALL_EXCEPT);                                             \
        switch (r->shape) {                                                       \
        case F1:                                                                  \
            got = ((T(*)(T))f)(x);                                                \
            break;                                                                \
        case F2:                                                                  \
            got = ((T(*)(T, T))f)(x, y);                                          \
            break;                                                                \
        case F3:                                                                  \
            got = ((T(*)(T, T, T))f)(x, y, z);                                    \
            break;                                                                \
        case TO_LONG:                                                             \
            whole = ((long long (*)(T))f)(x);                                     \
            break;                                                                \
        case WITH_INT:                                                            \
            got = ((T(*)(T, int))f)(x, n);                                        \
            break;                                                                \
        case FREXP:                                                               \
        case LGAMMA:                                                              \
            got = ((T(*)(T, int *))f)(x, &i);                                     \
            break;                                                                \
        case MODF:                                                                \
            got = ((T(*)(T, T *))f)(x, &more);                                    \
            break;                                                                \
        case SINCOS:                                                              \
            ((void (*)(T, T *, T *))f)(x, &got, &more);                           \
            break;                                                                \
        case REMQUO:                                                              \
            got = ((T(*)(T, T, int *))f)(x, y, &i);                               \
            i &= 7; /* as many bits as are promised */                            \
            break;                                                                \
        }                                                                         \
        const int flags = fetestexcept(FE_ALL_EXCEPT);                            \
        if (r->shape == FREXP && !isfinite(x))                                    \
            i = 0; /* unspecified */                                              \
        if (r->shape == LGAMMA && isnan(x))                                       \
            i = 0;                                                                \
        SUM(sum, got, bytes);                                                     \
        SUM(sum, more, bytes);                                                    \
        return mix(mix(mix(sum, (uint64_t)whole), (uint64_t)i), (uint64_t)flags); \
    }
CALL(float, 4, a_float)
CALL(double, 8, a_double)
CALL(long double, 10, a_long_double)

static const struct kind {
    const char *suffix;
    uint64_t (*call)(const struct row *, void *, uint64_t);
} kinds[] = {{"f", call_a_float}, {"", call_a_double}, {"l", call_a_long_double}};

/* "lgamma_r" and "f" make "lgammaf_r". */
static void full_name(char *out, size_t size, const struct row *r, const struct kind *k)
{
    const char *tail = strchr(r->name, '_');
    const size_t n = tail ? (size_t)(tail - r->name) : strlen(r->name);
    snprintf(out, size, "%.*s%s%s", (int)n, r->name, k->suffix, tail ? tail : "");
}

static int scalar_functions(void *libm, int rounds)
{
    int done = 0;
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            char name[32];
            full_name(name, sizeof name, &rows[i], &kinds[k]);
            void *f = dlsym(libm, name);
            if (!f)
                continue; /* significandl and the like */
            printf("%s", name);
            for (size_t m = 0; m < 4; m++) {
                uint64_t sum = 0;
                seed = 1000 * i + k;
                fesetround(modes[m].mode);
                for (int n = 0; n < rounds; n++)
                    sum = kinds[k].call(&rows[i], f, sum);
                fesetround(FE_TONEAREST);
                printf(" %s %016llx", modes[m].name, (unsigned long long)sum);
            }
            printf("\n");
            done++;
        }
    return done;
}

/* Vectors of SSE ("b"), AVX ("c") and AVX2 ("d"), of doubles and of floats. */
#define UNARY(DO) \
    DO(acos)      \
    DO(acosh)     \
    DO(asin)      \
    DO(asinh)     \
    DO(atan)      \
    DO(atanh)     \
    DO(cbrt)      \
    DO(cos)       \
    DO(cosh)      \
    DO(erf)       \
    DO(erfc)      \
    DO(exp)       \
    DO(exp10)     \
    DO(exp2) DO(expm1) DO(log) DO(log10) DO(log1p) DO(log2) DO(sin) DO(sinh) DO(tan) DO(tanh)
#define BINARY(DO) DO(atan2) DO(hypot) DO(pow)

#define TEST_UNARY(name, isa, lanes, V, T, value, suffix)                 \
    {                                                                     \
        extern V _ZGV##isa##N##lanes##v_##name##suffix(V);                \
        uint64_t sum = 0;                                                 \
        seed = __LINE__ + lanes;                                          \
        for (int n = 0; n < rounds; n += lanes) {                         \
            T in[lanes], out[lanes];                                      \
            for (int i = 0; i < lanes; i++)                               \
                in[i] = value();                                          \
            V v;                                                          \
            memcpy(&v, in, sizeof v);                                     \
            v = _ZGV##isa##N##lanes##v_##name##suffix(v);                 \
            memcpy(out, &v, sizeof v);                                    \
            SUM(sum, out, sizeof out);                                    \
        }                                                                 \
        printf("%s %016llx\n", "_ZGV" #isa "N" #lanes "v_" #name #suffix, \
               (unsigned long long)sum);                                  \
    }
#define TEST_BINARY(name, isa, lanes, V, T, value, suffix)                 \
    {                                                                      \
        extern V _ZGV##isa##N##lanes##vv_##name##suffix(V, V);             \
        uint64_t sum = 0;                                                  \
        seed = __LINE__ + lanes;                                           \
        for (int n = 0; n < rounds; n += lanes) {                          \
            T in[2 * lanes], out[lanes];                                   \
            for (int i = 0; i < 2 * lanes; i++)                            \
                in[i] = value();                                           \
            V v, w;                                                        \
            memcpy(&v, in, sizeof v);                                      \
            memcpy(&w, in + lanes, sizeof w);                              \
            v = _ZGV##isa##N##lanes##vv_##name##suffix(v, w);              \
            memcpy(out, &v, sizeof v);                                     \
            SUM(sum, out, sizeof out);                                     \
        }                                                                  \
        printf("%s %016llx\n", "_ZGV" #isa "N" #lanes "vv_" #name #suffix, \
               (unsigned long long)sum);                                   \
    }

#define SSE_DOUBLE(name)   TEST_UNARY(name, b, 2, __m128d, double, a_double, )
#define SSE_FLOAT(name)    TEST_UNARY(name, b, 4, __m128, float, a_float, f)
#define SSE_DOUBLE2(name)  TEST_BINARY(name, b, 2, __m128d, double, a_double, )
#define SSE_FLOAT2(name)   TEST_BINARY(name, b, 4, __m128, float, a_float, f)
#define AVX_DOUBLE(name)   TEST_UNARY(name, c, 4, __m256d, double, a_double, )
#define AVX_FLOAT(name)    TEST_UNARY(name, c, 8, __m256, float, a_float, f)
#define AVX2_DOUBLE(name)  TEST_UNARY(name, d, 4, __m256d, double, a_double, )
#define AVX2_FLOAT(name)   TEST_UNARY(name, d, 8, __m256, float, a_float, f)
#define AVX2_DOUBLE2(name) TEST_BINARY(name, d, 4, __m256d, double, a_double, )
#define AVX2_FLOAT2(name)  TEST_BINARY(name, d, 8, __m256, float, a_float, f)

static void sse_vectors(int rounds)
{
    UNARY(SSE_DOUBLE)
    UNARY(SSE_FLOAT)
    BINARY(SSE_DOUBLE2)
    BINARY(SSE_FLOAT2)
}

__attribute__((target("avx"))) static void avx_vectors(int rounds)
{
    UNARY(AVX_DOUBLE)
    UNARY(AVX_FLOAT)
}

__attribute__((target("avx2"))) static void avx2_vectors(int rounds)
{
    UNARY(AVX2_DOUBLE)
    UNARY(AVX2_FLOAT)
    BINARY(AVX2_DOUBLE2)
    BINARY(AVX2_FLOAT2)
}

int main(int argc, char **argv)
{
    /* maths ROUNDS [avx|avx2]: without the last, no wider vectors than SSE has */
    const int rounds = argc > 1 ? atoi(argv[1]) : 1000;
    const char *widest = argc > 2 ? argv[2] : "";
    void *libm = dlopen("libm.so.6", RTLD_NOW);
    if (!libm) {
        printf("maths: no libm.so.6\n");
        return 2;
    }
    const int functions = scalar_functions(libm, rounds);
    sse_vectors(rounds);
    if (!strcmp(widest, "avx") || !strcmp(widest, "avx2"))
        avx_vectors(rounds);
    if (!strcmp(widest, "avx2"))
        avx2_vectors(rounds);
    printf("maths: %d functions and libmvec, %d cases each\n", functions, rounds);
    return 0;
}
