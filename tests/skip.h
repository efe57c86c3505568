/* A test that cannot run here says why; scripts/check collects such lines. */
#ifndef VITRINE_TESTS_SKIP_H
#define VITRINE_TESTS_SKIP_H

#include <stdio.h>

#define SKIP(why)                                  \
    do {                                           \
        printf("SKIPPED %s: %s\n", __func__, why); \
        fflush(stdout);                            \
        skip();                                    \
    } while (0)

#endif
