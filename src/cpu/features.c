/* See features.h. */
#include "cpu/features.h"
#include "core/words.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* First the name: word_nearest() looks there. */
struct flag {
    const char *name;
    uint32_t leaf;
};
static const struct flag flags[FEAT_COUNT] = {
#define FEATURE(name, leaf, sub, reg, bit, flag) {flag, leaf},
#include "cpu/features.def"
#undef FEATURE
};

struct model {
    const char *name, *other, *vendor;
    unsigned family, model, stepping;
    uint32_t level, xlevel;
    const char *brand, *flags;
};
static const struct model models[] = {
#define MODEL(name, other, vendor, family, model, stepping, level, xlevel, brand, flags) \
    {name, other, vendor, family, model, stepping, level, xlevel, brand, flags},
#include "cpu/models.def"
#undef MODEL
};

/* Other names that QEMU takes; '_', '.' and '-' are one besides. */
static const struct {
    const char *name, *flag;
} aliases[] = {{"pni", "sse3"},
               {"xd", "nx"},
               {"i64", "lm"},
               {"lzcnt", "abm"},
               {"sha", "sha-ni"},
               {"pclmuldq", "pclmulqdq"},
               {"prefetchw", "3dnowprefetch"}};

/*
 * What is nothing without another: taken away with it, in this order. Mostly what SDM 1 tells a
 * program to ask first (§10.2 to §14, "Checking for ... Support"), or what of the machine the
 * feature is a part of. QEMU 7.2 has the same for what builds on AVX and XSAVE.
 */
static const struct {
    const char *flag, *needs;
} needs[] = {
    {"mmx", "fpu"},
    {"fxsr", "fpu"},
    {"sse", "fxsr"},
    {"mmxext", "sse"},
    {"sse2", "sse"},
    {"sse3", "sse2"},
    {"ssse3", "sse3"},
    {"sse4a", "sse3"},
    {"sse4.1", "ssse3"},
    {"sse4.2", "sse4.1"},
    {"aes", "sse2"},
    {"pclmulqdq", "sse2"},
    {"sha-ni", "sse2"},
    {"gfni", "sse2"},
    {"xsave", "fxsr"},
    {"xsaveopt", "xsave"},
    {"xsavec", "xsave"},
    {"xgetbv1", "xsave"},
    {"xsaves", "xsavec"},
    {"avx", "xsave"},
    {"avx", "sse2"},
    {"avx2", "avx"},
    {"fma", "avx"},
    {"f16c", "avx"},
    {"vaes", "avx"},
    {"vpclmulqdq", "avx"},
    {"nx", "pae"},
    {"nx", "msr"},
    {"syscall", "msr"},
    {"sep", "msr"},
    {"mtrr", "msr"},
    {"pat", "msr"},
    {"mca", "msr"},
    {"mca", "mce"},
    {"lm", "pae"},
    {"lm", "msr"},
    {"lm", "syscall"},
    {"lahf_lm", "lm"},
    {"cx16", "lm"},
    {"pdpe1gb", "lm"},
    {"fsgsbase", "lm"},
    {"pcid", "lm"},
    {"la57", "lm"},
    {"pku", "lm"},
    {"rdtscp", "tsc"},
    {"rdtscp", "msr"},
    {"rdpid", "msr"},
    {"invtsc", "tsc"},
    {"tsc_adjust", "tsc"},
    {"tsc_adjust", "msr"},
    {"x2apic", "apic"},
    {"x2apic", "msr"},
    {"tsc-deadline", "tsc"},
    {"arat", "apic"},
    {"tsc-deadline", "apic"},
    {"spec-ctrl", "msr"},
    {"bhi-ctrl", "spec-ctrl"},
};

/* --- names --- */

static bool same_name(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const char x = a[i] == '_' || a[i] == '.' ? '-' : a[i];
        const char y = b[i] == '_' || b[i] == '.' ? '-' : b[i];
        if (!b[i] || x != y)
            return false;
    }
    return !b[len];
}

/* FEAT_COUNT: this CPU has no such feature. */
static unsigned find_flag(const char *name, size_t len)
{
    for (unsigned i = 0; i < ARRAY_SIZE(aliases); i++)
        if (same_name(name, aliases[i].name, len))
            return find_flag(aliases[i].flag, strlen(aliases[i].flag));
    for (unsigned i = 0; i < FEAT_COUNT; i++)
        if (same_name(name, flags[i].name, len))
            return i;
    return FEAT_COUNT;
}

/* Calls fn for each word of a model's flags; true as soon as that gives true. */
static bool each_word(const char *list, bool (*fn)(void *, const char *word, size_t len),
                      void *opaque)
{
    for (const char *p = list; *p;) {
        const size_t n = strcspn(p, " ");
        if (n && fn(opaque, p, n))
            return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

struct word {
    const char *name;
    size_t len;
};
static bool is_word(void *opaque, const char *word, size_t len)
{
    const struct word *w = opaque;
    char text[32]; /* longer than any */
    snprintf(text, sizeof text, "%.*s", (int)len, word);
    return len < sizeof text && same_name(w->name, text, w->len);
}
/* Flags that QEMU 7.2 takes, neither in features.def nor in a model: one may be taken away from a
 * model that has it nowhere, and to ask for it is a warning, as in QEMU. */
static const char foreign[] =
    "3dnow 3dnowext ace2 ace2-en amd-no-ssb amd-ssbd amd-stibp amx-bf16 amx-int8 amx-tile "
    "arch-lbr avic avx-vnni avx512-4fmaps avx512-4vnniw avx512-bf16 avx512-fp16 "
    "avx512-vp2intersect avx512-vpopcntdq avx512bitalg avx512bw avx512cd avx512dq "
    "avx512er avx512f avx512ifma avx512pf avx512vbmi avx512vbmi2 avx512vl avx512vnni "
    "bus-lock-detect cid cldemote cmp-legacy core-capability dca decodeassists ds ds-cpl "
    "dtes64 est extapic flushbyasid fma4 full-width-write ht ia64 ibrs ibrs-all ibs "
    "intel-pt intel-pt-lip lbrv lwp md-clear mds-no mpx nodeid-msr pause-filter pbe "
    "pcommit pdcm perfctr-nb pfthreshold phe phe-en pks pmm pmm-en pn pschange-mc-no "
    "rdctl-no rsba sgx sgx-debug sgx-exinfo sgx-kss sgx-mode64 sgx-provisionkey sgx-tokenkey sgx1 "
    "sgx2 sgxlc skinit skip-l1dfl-vmentry smx split-lock-detect ssb-no ssbd "
    "stibp svm-lock svme-addr-chk taa-no tbm tce tm tm2 tsc-scale tsx-ctrl tsx-ldtrk "
    "v-vmsave-vmload vgif virt-ssbd vmcb-clean vme vmx waitpkg wdt xcrypt xcrypt-en xfd "
    "xop xstore xstore-en xtpr";

/* Real CPUs have it, Vitrine's do not: some model or QEMU names it, though features.def does not.
 */
static bool known_elsewhere(const char *name, size_t len)
{
    struct word w = {name, len};
    if (each_word(foreign, is_word, &w))
        return true;
    for (unsigned i = 0; i < ARRAY_SIZE(models); i++)
        if (each_word(models[i].flags, is_word, &w))
            return true;
    return false;
}

static const struct model *find_model(const char *name, size_t len)
{
    for (unsigned i = 0; i < ARRAY_SIZE(models); i++) {
        const struct model *m = &models[i];
        if ((strlen(m->name) == len && !strncmp(m->name, name, len)) ||
            (m->other && strlen(m->other) == len && !strncmp(m->other, name, len)))
            return m;
    }
    return NULL;
}

/* ": did you mean X?", or nothing. */
static const char *suggestion(char *buf, size_t size, const char *word, const void *table,
                              size_t stride, size_t count)
{
    const char *near = word_nearest(word, table, stride, count);
    buf[0] = '\0';
    if (near)
        snprintf(buf, size, "did you mean \"%s\"? ", near);
    return buf;
}

/* --- what cannot be had --- */

static void warn(struct cpu_features *f, const char *name, size_t len)
{
    const size_t at = strlen(f->warning);
    snprintf(f->warning + at, sizeof f->warning - at, "%s%.*s", at ? ", " : "", (int)len, name);
}
/* "a, b" becomes the sentence. */
static void finish_warning(struct cpu_features *f)
{
    char list[sizeof f->warning];
    if (!f->warning[0])
        return;
    snprintf(list, sizeof list, "%s", f->warning);
    const bool many = strchr(list, ',');
    snprintf(f->warning, sizeof f->warning, "CPU model %s: feature%s %.440s %s not available",
             f->model, many ? "s" : "", list, many ? "are" : "is");
}

/* --- models --- */

static bool take_word(void *opaque, const char *word, size_t len)
{
    struct cpu_features *f = opaque;
    const bool on = *word != '-';
    const unsigned n = find_flag(word + !on, len - !on);
    if (len == 3 && !memcmp(word, "all", 3)) {
        for (unsigned i = 0; i < FEAT_COUNT; i++)
            f->has[i] = true;
    } else if (n < FEAT_COUNT) {
        f->has[n] = on;
    } else if (on) {
        warn(f, word, len);
    }
    return false;
}

static uint32_t signature(unsigned family, unsigned model, unsigned stepping)
{
    const unsigned more = family > 15 ? family - 15 : 0;
    return more << 20 | (model >> 4) << 16 | MIN(family, 15) << 8 | (model & 15) << 4 | stepping;
}
unsigned cpu_family(const struct cpu_features *f)
{
    const unsigned family = (f->signature >> 8) & 15;
    return family == 15 ? family + ((f->signature >> 20) & 0xff) : family;
}
unsigned cpu_model_number(const struct cpu_features *f)
{
    return ((f->signature >> 4) & 15) | ((f->signature >> 12) & 0xf0);
}

static void take_model(struct cpu_features *f, const struct model *m)
{
    memset(f, 0, sizeof *f);
    f->model = m->name;
    each_word(m->flags, take_word, f);
    f->has[FEAT_NONE] = f->has[FEAT_HYPERVISOR] = true;
    f->signature = signature(m->family, m->model, m->stepping);
    f->level = m->level;
    f->xlevel = m->xlevel;
    memcpy(f->vendor, m->vendor, sizeof f->vendor);
    snprintf(f->brand, sizeof f->brand, "%s", m->brand);
}

/* --- properties --- */

/* What the command line gave, to be put together at the end: 0 is not given. */
struct given {
    bool family, model, stepping, level, xlevel, enforce, no_check;
    unsigned family_is, model_is, stepping_is;
    bool flag[FEAT_COUNT]; /* +flag */
};

static bool take_number(const char *name, const char *value, uint64_t max, uint64_t *n,
                        struct error *err)
{
    if (word_u64(value, n) && *n <= max)
        return true;
    return error_set(err, "-cpu: %s=%s is not a number up to %#llx", name, value,
                     (unsigned long long)max);
}

/* "name=value" that is no flag. False with err empty: no such property. */
static bool take_property(struct cpu_features *f, struct given *g, const char *name,
                          const char *value, struct error *err)
{
    uint64_t n;
    bool on;
    if (!strcmp(name, "vendor")) {
        if (strlen(value) != 12)
            return error_set(err, "-cpu: vendor=%s: a vendor has 12 characters", value);
        memcpy(f->vendor, value, sizeof f->vendor);
        return true;
    }
    if (!strcmp(name, "model-id")) {
        if (strlen(value) >= sizeof f->brand)
            return error_set(err, "-cpu: model-id: a brand string has at most 48 characters");
        snprintf(f->brand, sizeof f->brand, "%s", value);
        return true;
    }
    if (!strcmp(name, "check") || !strcmp(name, "enforce")) {
        if (!word_bool(value, &on))
            return error_set(err, "-cpu: %s=%s is neither on nor off", name, value);
        if (*name == 'c')
            g->no_check = !on;
        else
            g->enforce = on;
        return true;
    }
    if (!strcmp(name, "family")) {
        if (!take_number(name, value, 270, &n, err))
            return false;
        g->family = true;
        g->family_is = (unsigned)n;
        return true;
    }
    if (!strcmp(name, "model")) {
        if (!take_number(name, value, 255, &n, err))
            return false;
        g->model = true;
        g->model_is = (unsigned)n;
        return true;
    }
    if (!strcmp(name, "stepping")) {
        if (!take_number(name, value, 15, &n, err))
            return false;
        g->stepping = true;
        g->stepping_is = (unsigned)n;
        return true;
    }
    if (!strcmp(name, "level") || !strcmp(name, "xlevel")) {
        if (!take_number(name, value, UINT32_MAX, &n, err))
            return false;
        *(*name == 'x' ? &g->xlevel : &g->level) = true;
        *(*name == 'x' ? &f->xlevel : &f->level) = (uint32_t)n;
        return true;
    }
    return false;
}

static bool take_flag(struct cpu_features *f, struct given *g, const char *name, bool on)
{
    const unsigned n = find_flag(name, strlen(name));
    if (n < FEAT_COUNT) {
        f->has[n] = g->flag[n] = on;
        return true;
    }
    if (!known_elsewhere(name, strlen(name)))
        return false;
    if (on)
        warn(f, name, strlen(name));
    return true;
}

/* "+name", "-name", "name=on|off", "name" or "property=value" */
static bool take_item(struct cpu_features *f, struct given *g, char *item, struct error *err)
{
    static const struct flag properties[] = {{"vendor", 0}, {"model-id", 0}, {"family", 0},
                                             {"model", 0},  {"stepping", 0}, {"level", 0},
                                             {"xlevel", 0}, {"check", 0},    {"enforce", 0}};
    char *name = item, near[64];
    bool on = true;
    if (*item == '+' || *item == '-') {
        on = *item == '+';
        name++;
    } else {
        char *value = strchr(item, '=');
        if (value)
            *value++ = '\0';
        if (take_property(f, g, name, value ? value : "on", err))
            return true;
        if (err->msg[0])
            return false;
        if (value && !word_bool(value, &on)) {
            if (find_flag(name, strlen(name)) < FEAT_COUNT || known_elsewhere(name, strlen(name)))
                return error_set(err, "-cpu: %s=%s is neither on nor off", name, value);
            return error_set(err, "-cpu: unknown property '%s'; %s'-cpu help' lists them", name,
                             suggestion(near, sizeof near, name, properties, sizeof properties[0],
                                        ARRAY_SIZE(properties)));
        }
    }
    if (take_flag(f, g, name, on))
        return true;
    return error_set(
        err, "-cpu: unknown CPU flag '%s'; %s'-cpu help' lists them", name,
        suggestion(near, sizeof near, name, flags, sizeof flags[0], ARRAY_SIZE(flags)));
}

/* --- putting together --- */

static void drop_orphans(struct cpu_features *f)
{
    for (unsigned i = 0; i < ARRAY_SIZE(needs); i++) {
        const unsigned n = find_flag(needs[i].flag, strlen(needs[i].flag));
        if (n < FEAT_COUNT && !f->has[find_flag(needs[i].needs, strlen(needs[i].needs))])
            f->has[n] = false;
    }
}

/* The leaves that the features' bits are in must be there, whatever the model had. */
static void raise_levels(struct cpu_features *f, const struct given *g)
{
    for (unsigned i = 0; i < FEAT_COUNT; i++) {
        if (!f->has[i])
            continue;
        if (flags[i].leaf >= 0x80000000) {
            if (!g->xlevel)
                f->xlevel = MAX(f->xlevel, flags[i].leaf);
        } else if (!g->level) {
            f->level = MAX(f->level, i == FEAT_XSAVE ? 0xd : flags[i].leaf);
        }
    }
}

static bool put_together(struct cpu_features *f, const struct given *g, struct error *err)
{
    const unsigned family = g->family ? g->family_is : cpu_family(f);
    const unsigned model = g->model ? g->model_is : cpu_model_number(f);
    const unsigned stepping = g->stepping ? g->stepping_is : f->signature & 15;
    f->signature = signature(family, model, stepping);
    f->amd = !strcmp(f->vendor, "AuthenticAMD") || !strcmp(f->vendor, "HygonGenuine");
    drop_orphans(f);
    for (unsigned i = 0; i < FEAT_COUNT; i++)
        if (g->flag[i] && !f->has[i])
            warn(f, flags[i].name, strlen(flags[i].name));
    raise_levels(f, g);
    /* as QEMU has them for these */
    f->phys_bits = f->has[FEAT_LM] ? 40 : f->has[FEAT_PSE36] || f->has[FEAT_PAE] ? 36 : 32;
    finish_warning(f);
    if (g->enforce && f->warning[0])
        return error_set(err, "-cpu: %s", f->warning);
    if (g->no_check)
        f->warning[0] = '\0';
    return true;
}

bool cpu_features_parse(struct cpu_features *f, const char *spec, struct error *err)
{
    char name[64], item[128], near[64];
    struct given g = {0};
    if (!spec)
        spec = "max";
    size_t len = strcspn(spec, ",");
    const struct model *m = find_model(spec, len);
    if (!m) {
        snprintf(name, sizeof name, "%.*s", (int)MIN(len, sizeof name - 1), spec);
        return error_set(
            err, "-cpu: unknown CPU model '%s'; %s'-cpu help' lists them", name,
            suggestion(near, sizeof near, name, models, sizeof models[0], ARRAY_SIZE(models)));
    }
    take_model(f, m);
    for (const char *p = spec + len; *p == ','; p += len) {
        p++;
        len = strcspn(p, ",");
        if (len >= sizeof item)
            return error_set(err, "-cpu: '%.20s...' is too long", p);
        memcpy(item, p, len);
        item[len] = '\0';
        if (len && !take_item(f, &g, item, err))
            return false;
    }
    return put_together(f, &g, err);
}

void cpu_features_help(void (*line)(void *, const char *), void *opaque)
{
    char buf[1024];
    line(opaque, "Available CPUs:");
    for (unsigned i = 0; i < ARRAY_SIZE(models); i++) {
        const struct model *m = &models[i];
        snprintf(buf, sizeof buf, "  %-18s %s%s%s%s", m->name, m->brand, m->other ? " (" : "",
                 m->other ? m->other : "", m->other ? ")" : "");
        line(opaque, buf);
    }
    line(opaque, "Recognized CPU flags (+flag, -flag, flag=on|off):");
    int n = snprintf(buf, sizeof buf, " ");
    for (unsigned i = 0; i < FEAT_COUNT; i++) {
        n += snprintf(buf + n, sizeof buf - (size_t)n, " %s", flags[i].name);
        if (n > 72 || i + 1 == FEAT_COUNT) {
            line(opaque, buf);
            n = snprintf(buf, sizeof buf, " ");
        }
    }
    line(opaque, "And: vendor= family= model= stepping= model-id= level= xlevel= check= enforce=");
}
