/* See explain.h: the parts that every exception has, and those that follow from its reason. */
#include "debug/explain.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define LABEL_CHARS 12

void explain_line(const struct explain_out *out, const char *label, const char *fmt, ...)
{
    char text[400];
    const int n = snprintf(text, sizeof text, "  %-*s", LABEL_CHARS, label);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text + n, sizeof text - (size_t)n, fmt, ap);
    va_end(ap);
    out->line(out->opaque, text);
}

const struct fault_record *explain_find(const struct cpu *cpu, uint64_t n)
{
    return n < cpu->faults_seen && n + CPU_FAULTS >= cpu->faults_seen ? &cpu->faults[n % CPU_FAULTS]
                                                                      : NULL;
}

/* SDM 3A §6.15 "Exception and Interrupt Reference": the titles, by vector. */
static const char *vector_title(unsigned vector)
{
    static const char *const titles[] = {
        "divide error",
        "debug exception",
        "non-maskable interrupt",
        "breakpoint",
        "overflow",
        "BOUND range exceeded",
        "invalid opcode",
        "device not available",
        "double fault",
        "coprocessor segment overrun",
        "invalid TSS",
        "segment not present",
        "stack fault",
        "general protection",
        "page fault",
        "reserved",
        "x87 floating-point error",
        "alignment check",
        "machine check",
        "SIMD floating-point exception",
    };
    return vector < ARRAY_SIZE(titles) ? titles[vector] : "interrupt";
}

static const char *reason_words(const struct fault_record *r)
{
    if (r->detail.about == ABOUT_PAGE)
        return walk_reason_text(r->detail.walk.reason);
    return fault_reason_text(r->fault.reason);
}

/* Sections of SDM 3A §4 "Paging" by what denied the access. */
static const char *reason_cite(const struct fault_record *r)
{
    if (r->detail.about != ABOUT_PAGE)
        return fault_reason_cite(r->fault.reason);
    switch (r->detail.walk.reason) {
    case WALK_NOT_PRESENT:
        return "SDM 3A §4.7 \"Page-Fault Exceptions\"";
    case WALK_RESERVED:
        return "SDM 3A §4.5 (4-level), §4.4 (PAE), §4.3 (32-bit): formats of the entries";
    case WALK_PKEY:
        return "SDM 3A §4.6.2 \"Protection Keys\"";
    default:
        return "SDM 3A §4.6.1 \"Determination of Access Rights\"";
    }
}

void explain_title(const struct fault_record *r, char *text, size_t size)
{
    char error[16] = "";
    if (r->fault.has_error)
        snprintf(error, sizeof error, "(%04x)", r->fault.error);
    snprintf(text, size, "%s%s at %04x:%0*" PRIx64 ": %s", fault_vector_name(r->fault.vector),
             error, r->cs.sel, r->mode & MODE_CODE64 ? 16 : 8, r->rip, reason_words(r));
}

/* --- where the CPU was --- */

static const char *mode_name(const struct fault_record *r)
{
    static const char *const code[] = {"16-bit code", "32-bit code", "64-bit code", "?"};
    static char text[80]; /* the machine's thread alone asks */
    const char *mode = !(r->cr0 & CR0_PE)      ? "real mode"
                       : r->rflags & FLAG_VM   ? "virtual-8086 mode"
                       : !(r->efer & EFER_LMA) ? "protected mode"
                       : r->mode & MODE_CODE64 ? "64-bit mode"
                                               : "compatibility mode";
    snprintf(text, sizeof text, "%s, %s, CPL %u, paging %s", mode, code[r->mode & MODE_CODE_MASK],
             r->cpl,
             !(r->cr0 & CR0_PG)   ? "off"
             : r->efer & EFER_LMA ? r->cr4 & CR4_LA57 ? "5-level" : "4-level"
             : r->cr4 & CR4_PAE   ? "PAE"
                                  : "32-bit");
    return text;
}

static void say_instruction(const struct fault_record *r, const struct explain_out *out)
{
    const unsigned bits = 16u << (r->mode & MODE_CODE_MASK);
    char hex[3 * sizeof r->code + 1] = "", text[160] = "";
    if (r->ended) {
        explain_line(out, "instruction", "the one before this address had ended: a trap");
        return;
    }
    if (!r->code_len) {
        explain_line(out, "instruction", "%s",
                     r->during >= 0 ? "none: an event was being delivered"
                                    : "could not be fetched");
        return;
    }
    if (out->disas)
        disas_one(out->disas, r->code, r->code_len, r->rip, bits, text, sizeof text);
    for (unsigned i = 0; i < r->code_len; i++)
        snprintf(hex + 3 * i, 4, "%02x ", r->code[i]);
    explain_line(out, "instruction", "%s %s", hex, text);
}

static void say_delivery(const struct fault_record *r, const struct explain_out *out)
{
    if (r->during < 0)
        return;
    char first[48], then[120];
    if (r->during == FAULT_DURING_EVENT)
        snprintf(first, sizeof first, "an interrupt");
    else
        snprintf(first, sizeof first, "%s", fault_vector_name((unsigned)r->during));
    if (r->became < 0)
        snprintf(then, sizeof then, "the processor shuts down (triple fault)");
    else if (r->became != r->fault.vector)
        snprintf(then, sizeof then, "it becomes %s (double fault)",
                 fault_vector_name((unsigned)r->became));
    else
        snprintf(then, sizeof then, "it is delivered instead");
    explain_line(out, "on the way",
                 "it hit while %s was being delivered: %s; SDM 3A §6.15 "
                 "\"Interrupt 8-Double Fault Exception (#DF)\"",
                 first, then);
}

/* --- error codes, bit by bit --- */

static void say_page_error(const struct fault_record *r, const struct explain_out *out)
{
    const uint32_t e = r->fault.error;
    explain_line(out, "error code",
                 "%04x: P=%u %s, W/R=%u %s, U/S=%u %s, RSVD=%u%s, I/D=%u%s, PK=%u%s", e, e & PF_P,
                 e & PF_P ? "entries are present" : "an entry is not present", !!(e & PF_W),
                 e & PF_W ? "write" : "read", !!(e & PF_U), e & PF_U ? "user" : "supervisor",
                 !!(e & PF_RSVD), e & PF_RSVD ? " reserved bit" : "", !!(e & PF_I),
                 e & PF_I ? " fetch" : "", !!(e & PF_PK), e & PF_PK ? " protection key" : "");
}

static void say_selector_error(const struct fault_record *r, const struct explain_out *out)
{
    const uint32_t e = r->fault.error;
    if (!(e & ~1u))
        explain_line(out, "error code", "%04x: names no selector%s", e,
                     e & 1 ? "; EXT=1 an event from outside was being delivered" : "");
    else if (e & 2)
        explain_line(out, "error code", "%04x: IDT=1 vector %02x, EXT=%u%s", e, e >> 3 & 0xff,
                     e & 1, e & 1 ? " an event from outside was being delivered" : "");
    else
        explain_line(out, "error code", "%04x: selector %04x (index %u, TI=%u %s), EXT=%u%s", e,
                     e & 0xfffc, e >> 3 & 0x1fff, !!(e & 4), e & 4 ? "LDT" : "GDT", e & 1,
                     e & 1 ? " an event from outside was being delivered" : "");
}

static void say_error_code(const struct fault_record *r, const struct explain_out *out)
{
    if (!r->fault.has_error)
        return;
    if (r->fault.vector == VEC_PF)
        say_page_error(r, out);
    else if (r->fault.vector >= VEC_TS && r->fault.vector <= VEC_GP)
        say_selector_error(r, out);
    else
        explain_line(out, "error code", "%04x: always", r->fault.error);
}

/* --- what the reason is about --- */

struct bit_name {
    uint64_t bit;
    const char *name;
};

static void list_bits(char *text, size_t size, uint64_t v, const struct bit_name *names, size_t n)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        if (v & names[i].bit)
            used +=
                (size_t)snprintf(text + used, size - used, "%s%s", used ? " " : "", names[i].name);
        v &= ~names[i].bit;
    }
    if (v)
        snprintf(text + used, size - used, "%sbits %" PRIx64, used ? " and " : "", v);
    else if (!used)
        snprintf(text, size, "nothing");
}

static const struct bit_name cr0_names[] = {
    {CR0_PE, "PE"}, {CR0_MP, "MP"}, {CR0_EM, "EM"}, {CR0_TS, "TS"}, {CR0_ET, "ET"}, {CR0_NE, "NE"},
    {CR0_WP, "WP"}, {CR0_AM, "AM"}, {CR0_NW, "NW"}, {CR0_CD, "CD"}, {CR0_PG, "PG"},
};
static const struct bit_name cr4_names[] = {
    {CR4_VME, "VME"},
    {CR4_PVI, "PVI"},
    {CR4_TSD, "TSD"},
    {CR4_DE, "DE"},
    {CR4_PSE, "PSE"},
    {CR4_PAE, "PAE"},
    {CR4_MCE, "MCE"},
    {CR4_PGE, "PGE"},
    {CR4_PCE, "PCE"},
    {CR4_OSFXSR, "OSFXSR"},
    {CR4_OSXMMEXCPT, "OSXMMEXCPT"},
    {CR4_UMIP, "UMIP"},
    {CR4_LA57, "LA57"},
    {CR4_FSGSBASE, "FSGSBASE"},
    {CR4_PCIDE, "PCIDE"},
    {CR4_OSXSAVE, "OSXSAVE"},
    {CR4_SMEP, "SMEP"},
    {CR4_SMAP, "SMAP"},
    {CR4_PKE, "PKE"},
};

/* MOV CRn, r: 0F 22 /n. */
static void say_control(const struct fault_record *r, const struct explain_out *out)
{
    unsigned at = 0, rex = 0;
    char changes[200];
    while (at + 3 < r->code_len && r->code[at] != 0x0f) {
        rex = (r->code[at] & 0xf0) == 0x40 ? r->code[at] : 0;
        at++;
    }
    if (at + 2 >= r->code_len || r->code[at + 1] != 0x22)
        return;
    const unsigned n = (r->code[at + 2] >> 3 & 7) | (rex & 4) << 1,
                   from = (r->code[at + 2] & 7) | (rex & 1) << 3;
    const uint64_t v = r->mode & MODE_CODE64 ? r->r[from] : (uint32_t)r->r[from];
    if (n == 8) {
        explain_line(out, "the value", "%" PRIx64 " into CR8, of which bits 63 to 4 are reserved",
                     v);
        return;
    }
    const uint64_t old = n == 0 ? r->cr0 : n == 3 ? r->cr3 : r->cr4;
    if (n == 0)
        list_bits(changes, sizeof changes, v ^ old, cr0_names, ARRAY_SIZE(cr0_names));
    else if (n == 4)
        list_bits(changes, sizeof changes, v ^ old, cr4_names, ARRAY_SIZE(cr4_names));
    else
        snprintf(changes, sizeof changes, "bits %" PRIx64, v ^ old);
    explain_line(out, "the value", "%" PRIx64 " into CR%u, which holds %" PRIx64 ": changes %s", v,
                 n, old, changes);
}

static void say_linear(const struct fault_record *r, const struct explain_out *out)
{
    const struct fault_detail *d = &r->detail;
    if (r->fault.reason == REASON_NONCANONICAL || r->fault.reason == REASON_STACK_NONCANONICAL)
        explain_line(out, "address", "%016" PRIx64 ": bits 63 to %u are not all the same", d->at,
                     r->cr4 & CR4_LA57 ? 56 : 47);
    else
        explain_line(out, "address", "%016" PRIx64 " is %" PRIu64 " past a multiple of %u bytes",
                     d->at, d->size ? d->at % d->size : 0, d->size);
}

static void say_debug(const struct fault_record *r, const struct explain_out *out)
{
    for (unsigned i = 0; i < 4; i++)
        if (r->fault.dr6 & BIT(i))
            explain_line(out, "breakpoint", "DR%u = %016" PRIx64, i, r->dr[i]);
}

/* SDM 1 §8.1.3 "x87 FPU Status Register", §10.2.3 "MXCSR Control and Status Register". */
static void say_numeric(uint32_t flags, uint32_t masks, const struct explain_out *out)
{
    static const char *const names[] = {"invalid operation", "denormal operand", "division by zero",
                                        "overflow",          "underflow",        "precision"};
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (flags & ~masks & BIT(i))
            explain_line(out, "flagged", "%s, which is not masked", names[i]);
}

static void say_reason(const struct cpu *cpu, const struct fault_record *r,
                       const struct explain_out *out)
{
    switch (r->detail.about) {
    case ABOUT_SEGMENT:
        explain_segment(r, out);
        return;
    case ABOUT_TABLE:
        explain_table(r, out);
        return;
    case ABOUT_PAGE:
        explain_walk(cpu, r, out);
        return;
    case ABOUT_LINEAR:
        say_linear(r, out);
        return;
    case ABOUT_NOTHING:
        break;
    }
    switch (r->fault.reason) {
    case REASON_CR_RESERVED:
    case REASON_CR_COMBINATION:
        say_control(r, out);
        break;
    case REASON_MSR_UNKNOWN:
    case REASON_MSR_VALUE:
        explain_line(out, "MSR", "ECX = %08" PRIx32 ", EDX:EAX = %08" PRIx32 "%08" PRIx32,
                     (uint32_t)r->r[REG_RCX], (uint32_t)r->r[REG_RDX], (uint32_t)r->r[REG_RAX]);
        break;
    case REASON_DE_DIVIDE:
        explain_line(out, "dividend", "rDX:rAX = %016" PRIx64 ":%016" PRIx64, r->r[REG_RDX],
                     r->r[REG_RAX]);
        break;
    case REASON_CODE_LIMIT:
        explain_line(out, "CS",
                     "%04x, base %" PRIx64 ", limit %" PRIx32 "; the offset is %" PRIx64
                     " unless the instruction names another",
                     r->cs.sel, r->cs.base, r->cs.limit, r->rip);
        break;
    case REASON_IOPL:
    case REASON_IO_PERM:
    case REASON_VM86_IOPL:
        explain_line(out, "privilege", "CPL %u, EFLAGS.IOPL %u; DX = %04x", r->cpl,
                     (unsigned)(r->rflags & FLAG_IOPL) >> FLAG_IOPL_SHIFT, (uint16_t)r->r[REG_RDX]);
        break;
    case REASON_CPL:
    case REASON_UMIP:
        explain_line(out, "privilege", "CPL %u", r->cpl);
        break;
    case REASON_NM_TS:
    case REASON_NM_EM:
    case REASON_UD_SSE: {
        char bits0[120], bits4[200];
        list_bits(bits0, sizeof bits0, r->cr0, cr0_names, ARRAY_SIZE(cr0_names));
        list_bits(bits4, sizeof bits4, r->cr4, cr4_names, ARRAY_SIZE(cr4_names));
        explain_line(out, "CR0", "%" PRIx64 ": %s", r->cr0, bits0);
        explain_line(out, "CR4", "%" PRIx64 ": %s", r->cr4, bits4);
        break;
    }
    case REASON_XM_SIMD:
        say_numeric(r->mxcsr & 0x3f, r->mxcsr >> 7 & 0x3f, out);
        break;
    case REASON_MF_X87:
        say_numeric(r->fsw & 0x3f, r->fcw & 0x3f, out);
        break;
    case REASON_DB_CODE:
    case REASON_DB_DATA:
        say_debug(r, out);
        break;
    default:
        break;
    }
}

void explain_fault(const struct cpu *cpu, const struct fault_record *r,
                   const struct explain_out *out)
{
    char text[300];
    snprintf(text, sizeof text, "%s %s (vector %u) at %04x:%0*" PRIx64 ", instruction %" PRIu64,
             fault_vector_name(r->fault.vector), vector_title(r->fault.vector), r->fault.vector,
             r->cs.sel, r->mode & MODE_CODE64 ? 16 : 8, r->rip, r->icount);
    out->line(out->opaque, text);
    explain_line(out, "what", "%s", reason_words(r));
    if (*reason_cite(r))
        explain_line(out, "rule", "%s", reason_cite(r));
    say_instruction(r, out);
    explain_line(out, "where", "%s", mode_name(r));
    say_error_code(r, out);
    say_reason(cpu, r, out);
    say_delivery(r, out);
    explain_line(out, "read on", "SDM 3A §6.15 \"Exception and Interrupt Reference\", interrupt %u",
                 r->fault.vector);
}
