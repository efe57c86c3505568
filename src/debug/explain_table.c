/* See explain.h: descriptors, gates and segment registers in words. SDM 3A §3.4, §3.5, §5.8, §6.11.
 */
#include "debug/explain.h"

#include "cpu/access.h"
#include "cpu/segment.h"
#include <inttypes.h>
#include <stdio.h>

/* SDM 3A §3.5 table 3-2 "System-Segment and Gate-Descriptor Types". */
static const char *system_type(unsigned type, bool lma)
{
    static const char *const names[16] = {
        [TYPE_TSS16] = "available 16-bit TSS",  [TYPE_LDT] = "LDT",
        [TYPE_TSS16_BUSY] = "busy 16-bit TSS",  [TYPE_CALL16] = "16-bit call gate",
        [TYPE_TASK_GATE] = "task gate",         [TYPE_INT16] = "16-bit interrupt gate",
        [TYPE_TRAP16] = "16-bit trap gate",     [TYPE_TSS32] = "available 32-bit TSS",
        [TYPE_TSS32_BUSY] = "busy 32-bit TSS",  [TYPE_CALL32] = "32-bit call gate",
        [TYPE_INT32] = "32-bit interrupt gate", [TYPE_TRAP32] = "32-bit trap gate",
    };
    static const char *const long_names[16] = {
        [TYPE_LDT] = "LDT",
        [TYPE_TSS32] = "available 64-bit TSS",
        [TYPE_TSS32_BUSY] = "busy 64-bit TSS",
        [TYPE_CALL32] = "64-bit call gate",
        [TYPE_INT32] = "64-bit interrupt gate",
        [TYPE_TRAP32] = "64-bit trap gate",
    };
    const char *name = lma ? long_names[type] : names[type];
    return name ? name : "of a reserved type";
}

static bool is_gate(uint32_t attr)
{
    const unsigned type = attr & ATTR_TYPE;
    return !(attr & ATTR_S) && (type & 4);
}

static void segment_type(char *text, size_t size, uint32_t attr, bool lma)
{
    if (!(attr & ATTR_S))
        snprintf(text, size, "%s", system_type(attr & ATTR_TYPE, lma));
    else if (attr & ATTR_CODE)
        snprintf(text, size, "%s%s code, %s",
                 attr & ATTR_L    ? "64-bit"
                 : attr & ATTR_DB ? "32-bit"
                                  : "16-bit",
                 (attr & (ATTR_L | ATTR_DB)) == (ATTR_L | ATTR_DB) ? " (L and D both set)" : "",
                 attr & ATTR_EC
                     ? attr & ATTR_RW ? "conforming, readable" : "conforming, execute-only"
                 : attr & ATTR_RW ? "readable"
                                  : "execute-only");
    else
        snprintf(text, size, "data, %s%s, B=%u", attr & ATTR_RW ? "writable" : "read-only",
                 attr & ATTR_EC ? ", expand-down" : "", !!(attr & ATTR_DB));
}

static void say_gate(const struct fault_record *r, const struct explain_out *out)
{
    const uint64_t v = r->detail.table.entry[0];
    const bool lma = r->efer & EFER_LMA;
    const uint32_t attr = v >> 40 & 0xff;
    uint64_t offset = (v & 0xffff) | (v >> 32 & 0xffff0000);
    char ist[40] = "";
    if (r->detail.table.size == 16) {
        offset |= r->detail.table.entry[1] << 32;
        if (r->detail.table.idt)
            snprintf(ist, sizeof ist, ", IST %u", (unsigned)(v >> 32 & 7));
    }
    explain_line(out, "which is", "%s, DPL %u, %s%s, to %04x:%" PRIx64,
                 system_type(attr & ATTR_TYPE, lma), (attr & ATTR_DPL) >> ATTR_DPL_SHIFT,
                 attr & ATTR_P ? "present" : "NOT PRESENT", ist, (unsigned)(v >> 16 & 0xffff),
                 offset);
}

static void say_descriptor(const struct fault_record *r, const struct explain_out *out)
{
    const uint64_t e = r->detail.table.entry[0];
    const uint64_t upper = r->detail.table.size == 16 ? r->detail.table.entry[1] << 32 : 0;
    struct segment s = {.attr = e >> 40 & 0xf0ff, .limit = (e & 0xffff) | (e >> 32 & 0xf0000)};
    s.base = (e >> 16 & 0xffffff) | (e >> 32 & 0xff000000) | upper; /* SDM 3A §3.4.5, figure 3-8 */
    if (s.attr & ATTR_G)
        s.limit = s.limit << 12 | 0xfff;
    char type[80];
    segment_type(type, sizeof type, s.attr, r->efer & EFER_LMA);
    explain_line(out, "which is", "%s, base %" PRIx64 ", limit %" PRIx32 " (G=%u), DPL %u, %s",
                 type, s.base, s.limit, !!(s.attr & ATTR_G), (s.attr & ATTR_DPL) >> ATTR_DPL_SHIFT,
                 s.attr & ATTR_P ? "present" : "NOT PRESENT");
}

void explain_table(const struct fault_record *r, const struct explain_out *out)
{
    const char *name = r->detail.table.idt ? "IDT" : r->detail.table.ldt ? "LDT" : "GDT";
    char bytes[48];
    if (!r->detail.table.in_limit) {
        explain_line(out, "descriptor",
                     "beyond the %s: it would lie at %" PRIx64 ", the table has "
                     "base %" PRIx64 " and limit %" PRIx32,
                     name, r->detail.table.at, r->detail.table.base, r->detail.table.limit);
        return;
    }
    if (!r->detail.table.read) {
        explain_line(out, "descriptor",
                     "at %" PRIx64 " in the %s (base %" PRIx64 "), which is not "
                     "mapped to memory",
                     r->detail.table.at, name, r->detail.table.base);
        return;
    }
    snprintf(bytes, sizeof bytes, "%016" PRIx64, r->detail.table.entry[0]);
    if (r->detail.table.size == 16)
        snprintf(bytes, sizeof bytes, "%016" PRIx64 " %016" PRIx64, r->detail.table.entry[1],
                 r->detail.table.entry[0]);
    explain_line(out, "descriptor",
                 "at %" PRIx64 " in the %s (base %" PRIx64 ", limit %" PRIx32 "): %s",
                 r->detail.table.at, name, r->detail.table.base, r->detail.table.limit, bytes);
    if (is_gate((uint32_t)(r->detail.table.entry[0] >> 40)))
        say_gate(r, out);
    else
        say_descriptor(r, out);
    explain_line(out, "privilege", "CPL %u, DPL %u; RPL is not in the error code", r->cpl,
                 (unsigned)(r->detail.table.entry[0] >> 45 & 3));
}

/* What the segment's limit allows (SDM 3A §5.3 "Limit Checking"). */
static void allowed(char *text, size_t size, const struct segment *s)
{
    if (!(s->attr & ATTR_CODE) && (s->attr & ATTR_EC))
        snprintf(text, size, "%" PRIx64 " to %x (expand-down)", (uint64_t)s->limit + 1,
                 s->attr & ATTR_DB ? 0xffffffff : 0xffff);
    else
        snprintf(text, size, "0 to %" PRIx32, s->limit);
}

void explain_segment(const struct fault_record *r, const struct explain_out *out)
{
    static const char *const names[] = {"ES", "CS", "SS", "DS", "FS", "GS", "flat", "LDTR", "TR"};
    const struct fault_detail *d = &r->detail;
    const struct segment *s = &d->segment;
    const char *name = d->seg < ARRAY_SIZE(names) ? names[d->seg] : "the new SS";
    char type[80], range[80];
    explain_line(out, "access", "%s of %u byte%s at %s:%" PRIx64,
                 (d->access & ACC_RW) == ACC_RW ? "read and write"
                 : d->access & ACC_W            ? "write"
                                                : "read",
                 d->size, d->size == 1 ? "" : "s", name, d->at);
    if (s->attr & ATTR_NULL) {
        explain_line(out, "segment", "%s = %04x: null, no access is possible", name, s->sel);
        return;
    }
    segment_type(type, sizeof type, s->attr, r->efer & EFER_LMA);
    allowed(range, sizeof range, s);
    explain_line(out, "segment", "%s = %04x: %s, base %" PRIx64 ", offsets %s, DPL %u", name,
                 s->sel, type, s->base, range, (s->attr & ATTR_DPL) >> ATTR_DPL_SHIFT);
    if (r->fault.reason == REASON_SEG_LIMIT || r->fault.reason == REASON_STACK_LIMIT)
        explain_line(out, "so", "offset %" PRIx64 "%s is beyond the limit %" PRIx32 " of %s", d->at,
                     d->size > 1 ? ", or its last byte," : "", s->limit, name);
}
