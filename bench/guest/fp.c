// Scalar floating point: planets, a fractal, the mathematical library, and conversions.
#include <math.h>
#include <stddef.h>
#include "bench.h"

enum { BODIES = 5, STEPS = 400, SIDE = 48, LIMIT = 200, CALLS = 500, NUMBERS = 4096, PASSES = 8 };

struct body {
    double at[3], v[3], mass;
};

// Made-up planets on circles about a heavy sun; what is checked is the energy in millionths, which
// rounding in another order would not change.
static uint64_t nbody_round(void)
{
    struct body body[BODIES];
    for (int i = 0; i < BODIES; i++) {
        const double r = i, speed = i ? sqrt(40.0 / r) : 0;
        body[i] = (struct body){{r, 0, r * 0.1}, {0, speed, 0}, i ? 0.01 * i : 40};
    }
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < BODIES; i++)
            for (int j = i + 1; j < BODIES; j++) {
                double d[3], square = 0.0001;
                for (int k = 0; k < 3; k++) {
                    d[k] = body[i].at[k] - body[j].at[k];
                    square += d[k] * d[k];
                }
                const double f = 0.0005 / (square * sqrt(square));
                for (int k = 0; k < 3; k++) {
                    body[i].v[k] -= d[k] * body[j].mass * f;
                    body[j].v[k] += d[k] * body[i].mass * f;
                }
            }
        for (int i = 0; i < BODIES; i++)
            for (int k = 0; k < 3; k++)
                body[i].at[k] += 0.0005 * body[i].v[k];
    }
    double energy = 0;
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++)
            energy += 0.5 * body[i].mass * body[i].v[k] * body[i].v[k];
    return (uint64_t)llround(energy * 1e6);
}

static uint64_t mandel_iterations;

static uint64_t mandel_round(void)
{
    uint64_t sum = 0;
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++) {
            const double cr = column * 3.0 / SIDE - 2.2, ci = row * 2.5 / SIDE - 1.25;
            double zr = 0, zi = 0;
            int n = 0;
            for (; n < LIMIT && zr * zr + zi * zi < 4; n++) {
                const double t = zr * zr - zi * zi + cr;
                zi = 2 * zr * zi + ci;
                zr = t;
            }
            sum += (unsigned)n;
        }
    mandel_iterations = sum;
    return sum;
}

// glibc chooses code with fused multiplication where the processor has it: the last bits may
// differ.
static uint64_t libm_round(void)
{
    double sum = 0;
    for (int i = 1; i <= CALLS; i++) {
        const double v = i * 0.037;
        sum += sin(v) + cos(v) * exp(-v) + log(v) + pow(v, 1.5) + atan(v) + sqrt(v);
    }
    return (uint64_t)llround(sum * 1e4);
}

static int32_t whole[NUMBERS];
static float single[NUMBERS];
static double twice[NUMBERS];

static uint64_t fpconv_round(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < NUMBERS; i++)
        whole[i] = i * 977 - 1000000;
    for (int pass = 0; pass < PASSES; pass++) {
        for (int i = 0; i < NUMBERS; i++) {
            single[i] = (float)whole[i];
            twice[i] = (double)single[i] * 0.5;
            whole[i] = (int32_t)twice[i] + 3;
        }
    }
    for (int i = 0; i < NUMBERS; i++)
        sum = sum * 31 + (uint64_t)(int64_t)(whole[i] + (int32_t)single[i] + (int64_t)twice[i]);
    return sum;
}

const struct bench fp_programs[] = {
    {"nbody", "fp", "step", STEPS, 4000, 0xc30ad, nbody_round},
    {"mandel", "fp", "iteration", 127474, 700, 0x19cef, mandel_round},
    {"libm", "fp", "round of six", CALLS, 4000, 0xb5a6e4b, libm_round},
    {"fpconv", "fp", "element", NUMBERS *PASSES, 3500, 0x82c566ab9cae3010, fpconv_round},
    {.name = NULL},
};
