/* The features of one CPU, from models.def and features.def by model and +flag,-flag. */
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
    char vendor[13];
    bool amd;               /* where Intel's and AMD's processors differ, this one is AMD's */
    uint32_t signature;     /* CPUID 1 EAX */
    uint32_t level, xlevel; /* highest basic and extended leaf of CPUID */
    uint8_t phys_bits;
    char brand[49];
    char warning[512]; /* what was asked for and is not there; empty: nothing */
};

/*
 * "max", "qemu64", ... then ",+name,-name,name=on|off,property=value". False: unknown model, flag
 * or property, err says which and what was nearest.
 */
bool cpu_features_parse(struct cpu_features *f, const char *spec, struct error *err);
/* One line per model and the list of flags, for "-cpu help". */
void cpu_features_help(void (*line)(void *, const char *), void *opaque);

/* Family and model as they are counted, with the extended fields (SDM 2A "CPUID", leaf 1). */
unsigned cpu_family(const struct cpu_features *f);
unsigned cpu_model_number(const struct cpu_features *f);

#endif
