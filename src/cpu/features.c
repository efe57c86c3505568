/* See features.h: models as lists of what features.def has. */
#include "cpu/features.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const flag_names[FEAT_COUNT] = {
#define FEATURE(name, leaf, sub, reg, bit, flag) flag,
#include "cpu/features.def"
#undef FEATURE
};

/* Levels build on one another; a model names the last flag groups it has. */
enum { BASE = BIT(0), V2 = BIT(1), V3 = BIT(2), MODERN = BIT(3) };

struct model {
    const char *name;
    uint32_t groups;
    uint32_t signature;
    const char *brand;
};

/*
 * Family 6 signatures: Linux asks nothing of a family it does not know, but firmware does. That of
 * "max" is Sapphire Rapids: its younger relatives from Alder Lake on stand in lists of errata for
 * which guests give up PCID.
 */
static const struct model models[] = {
    {"max", BASE | V2 | V3 | MODERN, 0x000806f8, "Vitrine virtual CPU (max)"},
    {"qemu64", BASE, 0x00000663, "Vitrine virtual CPU (qemu64)"},
    {"x86-64-v1", BASE, 0x00000663, "Vitrine virtual CPU (x86-64-v1)"},
    {"x86-64-v2", BASE | V2, 0x000106a5, "Vitrine virtual CPU (x86-64-v2)"},
    {"x86-64-v3", BASE | V2 | V3, 0x000306c3, "Vitrine virtual CPU (x86-64-v3)"},
};

static bool in_groups(enum cpu_feature f, uint32_t groups)
{
    switch (f) {
    case FEAT_SSE3:
    case FEAT_SSSE3:
    case FEAT_CX16:
    case FEAT_SSE4_1:
    case FEAT_SSE4_2:
    case FEAT_POPCNT:
    case FEAT_LAHF_LM:
        return groups & V2;
    case FEAT_AVX:
    case FEAT_AVX2:
    case FEAT_FMA:
    case FEAT_F16C:
    case FEAT_BMI1:
    case FEAT_BMI2:
    case FEAT_LZCNT:
    case FEAT_MOVBE:
        return groups & V3;
    case FEAT_XSAVE: /* belongs to both */
        return groups & (V3 | MODERN);
    case FEAT_ADX:
        return groups & MODERN;
    case FEAT_MONITOR: /* as QEMU's TCG: only when asked for (+monitor) */
    case FEAT_SSE4A:   /* AMD's; the bit is reserved where the vendor is Intel (SDM 2A "CPUID") */
        return false;
    case FEAT_PCID:
    case FEAT_INVPCID:
    case FEAT_AES:
    case FEAT_PCLMULQDQ:
    case FEAT_SHA:
    case FEAT_GFNI:
    case FEAT_VAES:
    case FEAT_VPCLMULQDQ:
    case FEAT_RDRAND:
    case FEAT_RDSEED:
    case FEAT_SMEP:
    case FEAT_SMAP:
    case FEAT_UMIP:
    case FEAT_ERMS:
    case FEAT_FSRM:
    case FEAT_LA57:
    case FEAT_SPEC_CTRL:
    case FEAT_ARCH_CAPABILITIES:
    case FEAT_BHI_CTRL:
    case FEAT_PDPE1GB:
    case FEAT_RDTSCP:
    case FEAT_PREFETCHW:
    case FEAT_INVTSC:
    case FEAT_X2APIC:
    case FEAT_TSC_DEADLINE:
    case FEAT_TSC_ADJUST:
        return groups & MODERN;
    default:
        return groups & BASE;
    }
}

static bool set_flag(struct cpu_features *f, const char *name, size_t len, bool on)
{
    for (unsigned i = 0; i < FEAT_COUNT; i++) {
        if (strlen(flag_names[i]) == len && !strncmp(flag_names[i], name, len)) {
            f->has[i] = on;
            return true;
        }
    }
    return false;
}

/* "+name", "-name", "name=on|off" or "name" */
static bool parse_flag(struct cpu_features *f, const char *word, size_t len, struct error *err)
{
    bool on = true;
    const char *name = word;
    size_t n = len;
    if (*word == '+' || *word == '-') {
        on = *word == '+';
        name++;
        n--;
    } else {
        const char *eq = memchr(word, '=', len);
        if (eq) {
            on = len - (size_t)(eq - word) == 3; /* "=on" */
            n = (size_t)(eq - word);
        }
    }
    if (set_flag(f, name, n, on))
        return true;
    return error_set(err, "-cpu: unknown CPU flag '%.*s'; '-cpu help' lists them", (int)n, name);
}

/* What builds on a feature goes with it: SDM 1 §14.3 "Detection of AVX Instructions", §14.7.1
 * "Detection of AVX2", §14.5.3 "Detection of FMA", §14.4.1 "Detection of F16C Instructions",
 * §14.3.1 "Detection of VEX-Encoded AES and VPCLMULQDQ". */
static void drop_orphans(struct cpu_features *f)
{
    f->has[FEAT_AVX] &= f->has[FEAT_XSAVE];
    f->has[FEAT_AVX2] &= f->has[FEAT_AVX];
    f->has[FEAT_FMA] &= f->has[FEAT_AVX];
    f->has[FEAT_F16C] &= f->has[FEAT_AVX];
    f->has[FEAT_VAES] &= f->has[FEAT_AVX];
    f->has[FEAT_VPCLMULQDQ] &= f->has[FEAT_AVX];
}

bool cpu_features_parse(struct cpu_features *f, const char *spec, struct error *err)
{
    if (!spec)
        spec = "max";
    const size_t len = strcspn(spec, ",");
    const struct model *m = NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(models); i++)
        if (strlen(models[i].name) == len && !strncmp(models[i].name, spec, len))
            m = &models[i];
    if (!m)
        return error_set(err, "-cpu: unknown CPU model '%.*s'; '-cpu help' lists them", (int)len,
                         spec);
    memset(f, 0, sizeof *f);
    for (unsigned i = 0; i < FEAT_COUNT; i++)
        f->has[i] = in_groups((enum cpu_feature)i, m->groups);
    f->has[FEAT_NONE] = true;
    f->model = m->name;
    f->signature = m->signature;
    f->phys_bits = 40;
    snprintf(f->brand, sizeof f->brand, "%s", m->brand);
    for (const char *p = spec + len; *p == ',';) {
        p++;
        const size_t n = strcspn(p, ",");
        if (n && !parse_flag(f, p, n, err))
            return false;
        p += n;
    }
    drop_orphans(f);
    return true;
}

void cpu_features_help(void (*line)(void *, const char *), void *opaque)
{
    char buf[1024];
    line(opaque, "Available CPUs:");
    for (unsigned i = 0; i < ARRAY_SIZE(models); i++) {
        snprintf(buf, sizeof buf, "  %-12s %s", models[i].name, models[i].brand);
        line(opaque, buf);
    }
    line(opaque, "Recognized CPU flags (+flag, -flag):");
    int n = snprintf(buf, sizeof buf, " ");
    for (unsigned i = 0; i < FEAT_COUNT; i++) {
        n += snprintf(buf + n, sizeof buf - (size_t)n, " %s", flag_names[i]);
        if (n > 72 || i + 1 == FEAT_COUNT) {
            line(opaque, buf);
            n = snprintf(buf, sizeof buf, " ");
        }
    }
}
