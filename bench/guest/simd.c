// Vectors, each in 128 and in 256 bits: a matrix product, a*x+y, and counting characters.
#include <immintrin.h>
#include <stddef.h>
#include "bench.h"

enum { N = 64, VECTOR = 4096, TEXT = 65536 };

static float a[N][N] __attribute__((aligned(32)));
static float b[N][N] __attribute__((aligned(32)));
static float c[N][N] __attribute__((aligned(32)));
static float x[VECTOR] __attribute__((aligned(32)));
static float y[VECTOR] __attribute__((aligned(32)));
static unsigned char text[TEXT] __attribute__((aligned(32)));

// Small whole numbers: every sum is exact, whatever the order and with or without fused
// multiplication.
static void fill_matrices(void)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = (float)((i * 7 + j * 3) % 11 - 5);
            b[i][j] = (float)((i * 5 + j * 13) % 9 - 4);
        }
}

static uint64_t sum_matrix(void)
{
    uint64_t h = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            h = h * 31 + (uint64_t)(int64_t)c[i][j];
    return h;
}

static uint64_t matmul_sse2_round(void)
{
    fill_matrices();
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j += 16) {
            __m128 s0 = _mm_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
            for (int k = 0; k < N; k++) {
                const __m128 f = _mm_set1_ps(a[i][k]);
                s0 = _mm_add_ps(s0, _mm_mul_ps(f, _mm_load_ps(&b[k][j])));
                s1 = _mm_add_ps(s1, _mm_mul_ps(f, _mm_load_ps(&b[k][j + 4])));
                s2 = _mm_add_ps(s2, _mm_mul_ps(f, _mm_load_ps(&b[k][j + 8])));
                s3 = _mm_add_ps(s3, _mm_mul_ps(f, _mm_load_ps(&b[k][j + 12])));
            }
            _mm_store_ps(&c[i][j], s0);
            _mm_store_ps(&c[i][j + 4], s1);
            _mm_store_ps(&c[i][j + 8], s2);
            _mm_store_ps(&c[i][j + 12], s3);
        }
    return sum_matrix();
}

__attribute__((target("avx2,fma"))) static uint64_t matmul_avx2_round(void)
{
    fill_matrices();
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j += 32) {
            __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
            for (int k = 0; k < N; k++) {
                const __m256 f = _mm256_broadcast_ss(&a[i][k]);
                s0 = _mm256_fmadd_ps(f, _mm256_load_ps(&b[k][j]), s0);
                s1 = _mm256_fmadd_ps(f, _mm256_load_ps(&b[k][j + 8]), s1);
                s2 = _mm256_fmadd_ps(f, _mm256_load_ps(&b[k][j + 16]), s2);
                s3 = _mm256_fmadd_ps(f, _mm256_load_ps(&b[k][j + 24]), s3);
            }
            _mm256_store_ps(&c[i][j], s0);
            _mm256_store_ps(&c[i][j + 8], s1);
            _mm256_store_ps(&c[i][j + 16], s2);
            _mm256_store_ps(&c[i][j + 24], s3);
        }
    return sum_matrix();
}

enum { PASSES = 32 };

static void fill_vectors(void)
{
    for (int i = 0; i < VECTOR; i++) {
        x[i] = (float)(i % 17 - 8);
        y[i] = (float)(i % 5);
    }
}

static uint64_t sum_vector(void)
{
    uint64_t h = 0;
    for (int i = 0; i < VECTOR; i++)
        h = h * 31 + (uint64_t)(int64_t)y[i];
    return h;
}

static uint64_t saxpy_sse2_round(void)
{
    fill_vectors();
    for (int pass = 0; pass < PASSES; pass++) {
        const __m128 f = _mm_set1_ps((float)(pass % 3 + 1));
        for (int i = 0; i < VECTOR; i += 4)
            _mm_store_ps(&y[i], _mm_add_ps(_mm_mul_ps(f, _mm_load_ps(&x[i])), _mm_load_ps(&y[i])));
    }
    return sum_vector();
}

__attribute__((target("avx2"))) static uint64_t saxpy_avx2_round(void)
{
    fill_vectors();
    for (int pass = 0; pass < PASSES; pass++) {
        const __m256 f = _mm256_set1_ps((float)(pass % 3 + 1));
        for (int i = 0; i < VECTOR; i += 8)
            _mm256_store_ps(&y[i], _mm256_add_ps(_mm256_mul_ps(f, _mm256_load_ps(&x[i])),
                                                 _mm256_load_ps(&y[i])));
    }
    return sum_vector();
}

static void fill_text(void)
{
    uint64_t seed = 42;
    for (int i = 0; i < TEXT; i++)
        text[i] = (unsigned char)("etaoin shrdlu,.\n"[bench_random(&seed) >> 60]);
}

// How many spaces, and how many characters above 'm'.
static uint64_t chars_sse2_round(void)
{
    fill_text();
    const __m128i space = _mm_set1_epi8(' '), high = _mm_set1_epi8('m');
    uint64_t spaces = 0, highs = 0;
    for (int pass = 0; pass < PASSES; pass++)
        for (int i = 0; i < TEXT; i += 16) {
            const __m128i v = _mm_load_si128((const __m128i *)&text[i]);
            spaces +=
                (unsigned)__builtin_popcount((unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, space)));
            highs +=
                (unsigned)__builtin_popcount((unsigned)_mm_movemask_epi8(_mm_cmpgt_epi8(v, high)));
        }
    return spaces << 32 | highs;
}

__attribute__((target("avx2,popcnt"))) static uint64_t chars_avx2_round(void)
{
    fill_text();
    const __m256i space = _mm256_set1_epi8(' '), high = _mm256_set1_epi8('m');
    uint64_t spaces = 0, highs = 0;
    for (int pass = 0; pass < PASSES; pass++)
        for (int i = 0; i < TEXT; i += 32) {
            const __m256i v = _mm256_load_si256((const __m256i *)&text[i]);
            spaces += (unsigned)_mm_popcnt_u32(
                (unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(v, space)));
            highs += (unsigned)_mm_popcnt_u32(
                (unsigned)_mm256_movemask_epi8(_mm256_cmpgt_epi8(v, high)));
        }
    return spaces << 32 | highs;
}

const struct bench simd_programs[] = {
    {"matmul_sse2", "fp", "multiply-add", N *N *N, 160, 0x8c4cf26e09753d1d, matmul_sse2_round},
    {"matmul_avx2", "fp", "multiply-add", N *N *N, 240, 0x8c4cf26e09753d1d, matmul_avx2_round},
    {"saxpy_sse2", "fp", "element", VECTOR *PASSES, 350, 0x9d6410a0429b0d36, saxpy_sse2_round},
    {"saxpy_avx2", "fp", "element", VECTOR *PASSES, 500, 0x9d6410a0429b0d36, saxpy_avx2_round},
    {"chars_sse2", "fp", "byte", TEXT *PASSES, 50, 0x1f7e0000bf240, chars_sse2_round},
    {"chars_avx2", "fp", "byte", TEXT *PASSES, 70, 0x1f7e0000bf240, chars_avx2_round},
    {.name = NULL},
};
