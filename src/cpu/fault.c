/* See fault.h: the words, and the way out of an instruction. */
#include "cpu/fault.h"
#include "cpu/cpu.h"
#include "cpu/fp/fp.h"

static const struct {
    const char *text, *cite;
} reasons[REASON_COUNT] = {
#define FAULT(name, text, cite) {text, cite},
#include "cpu/fault.def"
#undef FAULT
};

const char *fault_reason_text(enum fault_reason reason)
{
    return reason < REASON_COUNT ? reasons[reason].text : "?";
}

const char *fault_reason_cite(enum fault_reason reason)
{
    return reason < REASON_COUNT ? reasons[reason].cite : "";
}

const char *fault_vector_name(unsigned vector)
{
    static const char *const names[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD",
                                        "#NM", "#DF", "9",   "#TS", "#NP", "#SS", "#GP",
                                        "#PF", "15",  "#MF", "#AC", "#MC", "#XM"};
    return vector < ARRAY_SIZE(names) ? names[vector] : "interrupt";
}

static _Noreturn void unwind(struct cpu *cpu, const struct fault *f)
{
    cpu->fault = *f;
    if (cpu->x87_live) /* in a handler that host code called */
        fp_x87_store(cpu);
    longjmp(cpu->unwind, 1);
}

_Noreturn void cpu_fault(struct cpu *cpu, unsigned vector, uint32_t error, enum fault_reason reason)
{
    const bool has_error =
        vector == VEC_DF || (vector >= VEC_TS && vector <= VEC_PF) || vector == VEC_AC;
    /* EXT: the fault hit while something from outside the program was delivered (SDM 3A §6.13) */
    if (cpu->ext && vector >= VEC_TS && vector <= VEC_GP)
        error |= 1;
    unwind(cpu, &(struct fault){
                    .vector = (uint8_t)vector,
                    .has_error = has_error,
                    .error = has_error ? error : 0,
                    .reason = reason,
                });
}

_Noreturn void cpu_fault_page(struct cpu *cpu, uint64_t lin, const struct walk_result *w,
                              unsigned access, bool user, bool ac)
{
    cpu->about = (struct fault_detail){.about = ABOUT_PAGE,
                                       .at = lin,
                                       .walk = {.access = (uint8_t)access,
                                                .level = w->level,
                                                .user = user,
                                                .ac = ac,
                                                .reason = w->reason,
                                                .entry_gpa = w->entry_gpa,
                                                .entry = w->entry}};
    unwind(cpu, &(struct fault){
                    .vector = VEC_PF,
                    .has_error = true,
                    .error = w->error_code,
                    .cr2 = lin,
                    .reason = REASON_PAGE,
                });
}

_Noreturn void cpu_fault_debug(struct cpu *cpu, uint64_t dr6_bits, enum fault_reason reason)
{
    unwind(cpu, &(struct fault){.vector = VEC_DB, .dr6 = dr6_bits, .reason = reason});
}
