/* The features of one CPU, from features.def by model and +flag,-flag. */
#ifndef VITRINE_CPU_FEATURES_H
#define VITRINE_CPU_FEATURES_H

#include "core/error.h"
#include "core/types.h"

enum cpu_feature {
#define FEATURE(name, leaf, sub, reg, bit, flag) FEAT_##name,
#include "cpu/features.def"
#undef FEATURE
    FEAT_COUNT,
    FEAT_NONE = FEAT_COUNT, /* every CPU has it */
};

struct cpu_features {
    bool has[FEAT_COUNT + 1]; /* has[FEAT_NONE] is true */
    const char *model;
    uint32_t signature; /* CPUID 1 EAX */
    uint8_t phys_bits;
    char brand[49];
};

/* "max", "qemu64", ... then ",+name,-name,name=on|off". False: unknown model or flag, err says
 * which. */
bool cpu_features_parse(struct cpu_features *f, const char *spec, struct error *err);
/* One line per model and the list of flags, for "-cpu help". */
void cpu_features_help(void (*line)(void *, const char *), void *opaque);

#endif
