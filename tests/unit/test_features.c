/*
 * CPU models and flags: the tables of models.def and features.def, the words of -cpu, and that
 * what a flag says is what the decoder does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cpu/cpu.h"
#include "cpu/decode_tables.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *other, *vendor, *brand, *flags;
    unsigned family, model, stepping;
    uint32_t level, xlevel;
} models[] = {
#define MODEL(name, other, vendor, family, model, stepping, level, xlevel, brand, flags) \
    {name, other, vendor, brand, flags, family, model, stepping, level, xlevel},
#include "cpu/models.def"
#undef MODEL
};
static const char *const flag_names[FEAT_COUNT] = {
#define FEATURE(name, leaf, sub, reg, bit, flag) flag,
#include "cpu/features.def"
#undef FEATURE
};

static struct cpu_features f;

static void parse(const char *spec)
{
    struct error err = {0};
    if (!cpu_features_parse(&f, spec, &err))
        fail_msg("%s: %s", spec ? spec : "no -cpu", err.msg);
}
static void refuses(const char *spec, const char *because)
{
    struct error err = {0};
    assert_false(cpu_features_parse(&f, spec, &err));
    if (!strstr(err.msg, because))
        fail_msg("%s: \"%s\" is not in \"%s\"", spec, because, err.msg);
}

/* --- the tables --- */

/* What QEMU's models name and Vitrine does not have, so that no word of models.def is a slip. */
static bool known_to_be_lacking(const char *word)
{
    static const char *const lacking[] = {"acpi",     "hle",         "rtm",         "cr8legacy",
                                          "fxsr-opt", "misalignsse", "npt",         "nrip-save",
                                          "osvw",     "svm",         "perfctr-core"};
    for (unsigned i = 0; i < ARRAY_SIZE(lacking); i++)
        if (!strcmp(word, lacking[i]))
            return true;
    return false;
}

static bool is_flag(const char *word)
{
    for (unsigned i = 0; i < FEAT_COUNT; i++)
        if (!strcmp(flag_names[i], word))
            return true;
    return false;
}

static void test_words(void **state)
{
    (void)state;
    for (unsigned m = 0; m < ARRAY_SIZE(models); m++) {
        char copy[2048], *rest = copy;
        snprintf(copy, sizeof copy, "%s", models[m].flags);
        assert_true(strlen(models[m].flags) < sizeof copy);
        assert_true(strlen(models[m].brand) <= 48);
        assert_int_equal(strlen(models[m].vendor), 12);
        for (char *word; (word = strsep(&rest, " "));) {
            const char *name = *word == '-' ? word + 1 : word;
            if (*word && strcmp(word, "all") && !is_flag(name) && !known_to_be_lacking(name))
                fail_msg("%s: \"%s\" is no flag", models[m].name, word);
        }
    }
    for (unsigned i = 0; i < FEAT_COUNT; i++)
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(flag_names[i], flag_names[k]);
}

static void test_models(void **state)
{
    (void)state;
    for (unsigned m = 0; m < ARRAY_SIZE(models); m++) {
        for (unsigned other = 0; other < (models[m].other ? 2u : 1u); other++) {
            parse(other ? models[m].other : models[m].name);
            assert_string_equal(f.model, models[m].name);
            assert_string_equal(f.vendor, models[m].vendor);
            assert_string_equal(f.brand, models[m].brand);
            assert_int_equal(cpu_family(&f), models[m].family);
            assert_int_equal(cpu_model_number(&f), models[m].model);
            assert_int_equal(f.signature & 15, models[m].stepping);
            assert_true(f.has[FEAT_HYPERVISOR] && f.has[FEAT_NONE] && f.has[FEAT_FPU]);
            assert_int_equal(f.amd, !strcmp(f.vendor, "AuthenticAMD"));
        }
        /* what is there by itself is not taken away for want of another */
        char copy[2048], *rest = copy;
        snprintf(copy, sizeof copy, "%s", models[m].flags);
        for (char *word; (word = strsep(&rest, " "));)
            for (unsigned i = 0; i < FEAT_COUNT; i++)
                if (!strcmp(word, flag_names[i]) && !f.has[i])
                    fail_msg("%s: no %s", models[m].name, word);
    }
    parse(NULL);
    assert_string_equal(f.model, "max");
    assert_string_equal(f.warning, "");
    assert_false(f.has[FEAT_MONITOR]);
    /* levels and widths by what they must hold */
    parse("486");
    assert_int_equal(f.level, 1);
    assert_int_equal(f.xlevel, 0);
    assert_int_equal(f.phys_bits, 32);
    assert_false(f.has[FEAT_TSC] || f.has[FEAT_CX8] || f.has[FEAT_CMOV] || f.has[FEAT_PAE]);
    parse("486,+bmi2,+invtsc,+tsc");
    assert_int_equal(f.level, 7);
    assert_int_equal(f.xlevel, 0x80000007);
    parse("pentium3");
    assert_int_equal(f.phys_bits, 36);
    assert_true(f.has[FEAT_SSE] && !f.has[FEAT_SSE2] && !f.has[FEAT_LM]);
    parse("Nehalem,+xsave");
    assert_int_equal(f.level, 0xd);
    assert_int_equal(f.phys_bits, 40);
    parse("EPYC");
    assert_int_equal(f.signature, 0x800f12);
}

static void test_flags(void **state)
{
    (void)state;
    parse("x86-64-v1,+rdrand,-nx,popcnt=on,pge=off,smep");
    assert_true(f.has[FEAT_RDRAND] && f.has[FEAT_POPCNT] && f.has[FEAT_SMEP]);
    assert_false(f.has[FEAT_NX] || f.has[FEAT_PGE]);
    /* spellings of QEMU's */
    parse("x86-64-v1,+sse4_1,+sse4-2,+ssse3,+pni,+lahf-lm,+tsc-adjust,xd=off,+lzcnt");
    assert_true(f.has[FEAT_SSE4_1] && f.has[FEAT_SSE4_2] && f.has[FEAT_SSE3]);
    assert_true(f.has[FEAT_LAHF_LM] && f.has[FEAT_TSC_ADJUST] && f.has[FEAT_LZCNT]);
    assert_false(f.has[FEAT_NX]);
    /* the last one counts */
    parse("max,-avx,+avx");
    assert_true(f.has[FEAT_AVX] && f.has[FEAT_AVX2]);
    /* properties */
    parse("qemu64,vendor=GenuineIntel,family=6,model=158,stepping=10,model-id=Some CPU,level=7,"
          "xlevel=2147483656,check=off");
    assert_string_equal(f.vendor, "GenuineIntel");
    assert_false(f.amd);
    assert_int_equal(f.signature, 0x000906ea);
    assert_string_equal(f.brand, "Some CPU");
    assert_int_equal(f.level, 7);
    assert_int_equal(f.xlevel, 0x80000008);
    assert_string_equal(f.warning, "");
    parse("max,family=23");
    assert_int_equal(cpu_family(&f), 23);
    assert_int_equal(cpu_model_number(&f), 79);
}

static void test_dependencies(void **state)
{
    (void)state;
    parse("max,-xsave");
    assert_false(f.has[FEAT_AVX] || f.has[FEAT_AVX2] || f.has[FEAT_FMA] || f.has[FEAT_F16C]);
    assert_false(f.has[FEAT_XSAVEC] || f.has[FEAT_XSAVES] || f.has[FEAT_XGETBV1]);
    assert_true(f.has[FEAT_SSE4_2] && f.has[FEAT_BMI2]);
    assert_string_equal(f.warning, "");
    parse("max,-sse");
    assert_false(f.has[FEAT_SSE2] || f.has[FEAT_SSE4_2] || f.has[FEAT_AVX]);
    parse("max,-lm");
    assert_false(f.has[FEAT_CX16] || f.has[FEAT_LAHF_LM] || f.has[FEAT_PCID] || f.has[FEAT_LA57]);
    assert_true(f.has[FEAT_SSE2]);
    parse("max,-msr");
    assert_false(f.has[FEAT_LM] || f.has[FEAT_SYSCALL] || f.has[FEAT_MTRR] || f.has[FEAT_NX]);
    parse("max,-apic");
    assert_false(f.has[FEAT_X2APIC] || f.has[FEAT_TSC_DEADLINE]);
}

static void test_warnings(void **state)
{
    (void)state;
    parse("pentium3,+avx2");
    assert_string_equal(f.warning, "CPU model pentium3: feature avx2 is not available");
    parse("Haswell-noTSX,+hle,+rtm,-aes,-pclmulqdq");
    assert_non_null(strstr(f.warning, "hle, rtm are not available"));
    assert_non_null(strstr(f.warning, "CPU model Haswell-noTSX: features "));
    parse("Haswell-noTSX,+hle,check=off");
    assert_string_equal(f.warning, "");
    refuses("Haswell,enforce", "hle");
    parse("x86-64-v3,enforce=on");
}

static void test_foreign(void **state)
{
    (void)state;
    parse("max,-vmx,svm=off,-avx512f,avx512_bf16=off");
    assert_string_equal(f.warning, "");
    parse("max,+avx512f,vmx=on");
    assert_string_equal(f.warning, "CPU model max: features avx512f, vmx are not available");
    refuses("max,+avx512f,enforce", "avx512f");
}

static void test_refused(void **state)
{
    (void)state;
    refuses("Nehalam", "unknown CPU model 'Nehalam'; did you mean \"Nehalem\"?");
    refuses("", "unknown CPU model ''");
    refuses("max,+avx3", "unknown CPU flag 'avx3'; did you mean \"avx");
    refuses("max,-nonesuch", "unknown CPU flag 'nonesuch'");
    refuses("max,avx=maybe", "avx=maybe is neither on nor off");
    refuses("max,modle=3", "unknown property 'modle'; did you mean \"model\"?");
    refuses("max,family=271", "family=271 is not a number up to 0x10e");
    refuses("max,stepping=x", "stepping=x is not a number");
    refuses("max,vendor=Intel", "vendor has 12 characters");
    refuses("max,model-id=1234567890123456789012345678901234567890123456789", "48 characters");
    refuses("max,enforce=5", "enforce=5 is neither");
    char longer[300] = "max,";
    memset(longer + 4, 'x', sizeof longer - 5);
    refuses(longer, "too long");
}

static unsigned help_lines;
static bool help_has_epyc, help_has_pku;
static void help_line(void *opaque, const char *line)
{
    (void)opaque;
    help_lines++;
    help_has_epyc |= strstr(line, "AMD EPYC Processor") != NULL;
    help_has_pku |= strstr(line, " pku ") != NULL;
}
static void test_help(void **state)
{
    (void)state;
    cpu_features_help(help_line, NULL);
    assert_true(help_lines > ARRAY_SIZE(models));
    assert_true(help_has_epyc && help_has_pku);
}

/* --- rows: what is off is #UD, what is on is not --- */

struct form {
    uint8_t bytes[15]; /* prefix, VEX or not, opcode, ModRM and zeros */
    unsigned len, modrm;
    bool vex, code64;
};
static struct cpu_features all;
static unsigned rows, gated;
static bool seen[FEAT_COUNT];

static enum decode_status decoded(const struct form *form, struct insn *u)
{
    const uint32_t mode = MODE_PROT | MODE_CPL0 | (form->code64 ? MODE_CODE64 : MODE_CODE32);
    return decode(u, form->bytes, sizeof form->bytes, mode, &all, 0);
}

static void try_row(const struct opcode *row, struct form *form)
{
    struct insn u;
    const enum cpu_feature feature = row->feature;
    rows++;
    if (feature == FEAT_NONE)
        return;
    form->code64 = !(row->attr & A_I64);
    /* what the row wants of ModRM and VEX is there: memory, register, W, L, a SIB byte */
    enum decode_status status = DECODE_UD;
    const uint8_t group = form->bytes[form->len];
    for (unsigned i = 0; i < 16 && (status == DECODE_UD || u.row != row); i++) {
        uint8_t *modrm = &form->bytes[form->len];
        *modrm = i & 1 ? 0xc0 | group : (uint8_t)((group & 0x38) | 4);
        modrm[1] = 0x48; /* SIB: index RCX */
        if (form->vex) {
            form->bytes[2] = (uint8_t)((form->bytes[2] & 3) | (i & 2 ? 4 : 0) | (i & 4 ? 0x80 : 0) |
                                       (i & 8 ? 0x50 : 0x78));
        }
        status = decoded(form, &u);
    }
    if (status != DECODE_OK || u.row != row)
        fail_msg("%s: no encoding found for its row", op_info[row->op].mnemonic);
    all.has[feature] = false;
    struct insn off;
    const enum decode_status without = decoded(form, &off);
    all.has[feature] = true;
    seen[feature] = true;
    gated++;
    /* some encodings mean something else then, but never this */
    if (without == DECODE_OK && off.row->feature == feature)
        fail_msg("%s without %s", op_info[row->op].mnemonic, flag_names[feature]);
    if (without == DECODE_UD)
        assert_true(off.imm == REASON_UD_FEATURE || off.imm == REASON_UD_OPCODE);
}

static void walk_slot(const struct opcode *o, struct form form)
{
    static const uint8_t prefixes[4] = {0, 0x66, 0xf3, 0xf2};
    uint8_t *next = &form.bytes[form.len];
    switch (o->kind) {
    case T_ROW:
        try_row(o, &form);
        return;
    case T_MAP:
        for (unsigned i = 0; i < 256; i++) {
            struct form g = form;
            g.bytes[g.len++] = (uint8_t)i;
            walk_slot(&o->sub[i], g);
        }
        return;
    case T_PFX:
        for (unsigned i = 0; i < 4; i++) {
            struct form g = form;
            if (prefixes[i]) {
                memmove(g.bytes + 1, g.bytes, g.len + 1);
                g.bytes[0] = prefixes[i];
                g.len++;
            }
            walk_slot(&o->sub[i], g);
        }
        return;
    case T_REXW:
        walk_slot(&o->sub[0], form);
        if (!form.vex) { /* right before the opcode */
            const unsigned at = form.bytes[0] == 0x66 || (form.bytes[0] & 0xfe) == 0xf2;
            memmove(form.bytes + at + 1, form.bytes + at, form.len + 1 - at);
            form.bytes[at] = 0x48;
            form.len++;
        }
        walk_slot(&o->sub[1], form);
        return;
    case T_VEXW:
    case T_VEXL:
        walk_slot(&o->sub[0], form);
        walk_slot(&o->sub[1], form);
        return;
    case T_FEATURE:
        walk_slot(&o->sub[1], form);
        all.has[o->feature] = false;
        walk_slot(&o->sub[0], form);
        all.has[o->feature] = true;
        return;
    case T_MODE64:
        walk_slot(&o->sub[1], form);
        return;
    case T_GROUP:
        for (unsigned i = 0; i < 8; i++) {
            *next = (uint8_t)((*next & 0xc7) | i << 3);
            walk_slot(&o->sub[i], form);
        }
        return;
    case T_RM:
        for (unsigned i = 0; i < 8; i++) {
            *next = (uint8_t)((*next & 0xf8) | i);
            walk_slot(&o->sub[i], form);
        }
        return;
    case T_MOD:
        walk_slot(&o->sub[0], form);
        walk_slot(&o->sub[1], form);
        return;
    default:
        return;
    }
}

static void test_gates(void **state)
{
    (void)state;
    parse("max");
    all = f;
    for (unsigned i = 0; i < FEAT_COUNT; i++)
        all.has[i] = true;
    for (unsigned i = 0; i < 256; i++) {
        struct form form = {.bytes = {(uint8_t)i}, .len = 1};
        if ((i & 0xf0) == 0x40 || opcode_map[i].kind == T_PREFIX)
            continue;
        walk_slot(&opcode_map[i], form);
    }
    for (unsigned map = 0; map < 3; map++)
        for (unsigned i = 0; i < 4 * 256; i++) {
            static const uint8_t pp[4] = {0, 1, 2, 3};
            struct form form = {.bytes = {0xc4, (uint8_t)(0xe0 | (map + 1)),
                                          (uint8_t)(0x78 | pp[i >> 8]), (uint8_t)i},
                                .len = 4,
                                .vex = true};
            walk_slot(&vex_maps[map][i], form);
        }
    print_message("%u rows, %u of a feature\n", rows, gated);
    assert_true(gated > 900);
    /* those that bring instructions with them */
    static const enum cpu_feature with_rows[] = {
        FEAT_FPU,      FEAT_TSC,       FEAT_MSR,        FEAT_CX8,      FEAT_SEP,     FEAT_CMOV,
        FEAT_CLFSH,    FEAT_MMX,       FEAT_FXSR,       FEAT_SSE,      FEAT_SSE2,    FEAT_SSE3,
        FEAT_MONITOR,  FEAT_SSSE3,     FEAT_FMA,        FEAT_CX16,     FEAT_SSE4_1,  FEAT_SSE4_2,
        FEAT_MOVBE,    FEAT_POPCNT,    FEAT_XSAVE,      FEAT_AVX,      FEAT_F16C,    FEAT_RDRAND,
        FEAT_FSGSBASE, FEAT_BMI1,      FEAT_AVX2,       FEAT_BMI2,     FEAT_INVPCID, FEAT_RDSEED,
        FEAT_ADX,      FEAT_SMAP,      FEAT_CLFLUSHOPT, FEAT_CLWB,     FEAT_PKU,     FEAT_RDPID,
        FEAT_MOVDIRI,  FEAT_MOVDIR64B, FEAT_SERIALIZE,  FEAT_XSAVEOPT, FEAT_XSAVEC,  FEAT_XSAVES,
        FEAT_LAHF_LM,  FEAT_LZCNT,     FEAT_PREFETCHW,  FEAT_SYSCALL,  FEAT_RDTSCP,  FEAT_LM,
        FEAT_CLZERO,   FEAT_WBNOINVD};
    for (unsigned i = 0; i < ARRAY_SIZE(with_rows); i++)
        if (!seen[with_rows[i]])
            fail_msg("no row of %s was tried", flag_names[with_rows[i]]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),    cmocka_unit_test(test_models),
        cmocka_unit_test(test_flags),    cmocka_unit_test(test_dependencies),
        cmocka_unit_test(test_warnings), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_foreign),  cmocka_unit_test(test_help),
        cmocka_unit_test(test_gates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
