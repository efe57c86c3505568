/*
 * See cpu_test.h. A case puts a lone CPU (cpu/lone.h) into its state, runs it and compares. What a
 * case leaves undefined is not compared: the flags that the opcode table says its instruction
 * leaves undefined, unless the file has a mask of its own.
 */
#include "debug/cpu_test.h"
#include "cpu/decode.h"
#include "cpu/lone.h"
#include "debug/cpu_test_case.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#define FILE_MAX_BYTES (2 * GiB)
#define OP_HLT_BYTE    0xf4

/* --- lists --- */

void case_clear(struct cpu_test_case *c)
{
    const struct cpu_test_case lists = *c;
    *c = (struct cpu_test_case){.initial = lists.initial,
                                .final = lists.final,
                                .mask = lists.mask,
                                .ram_before = lists.ram_before,
                                .ram_after = lists.ram_after};
    c->initial.count = c->final.count = c->mask.count = 0;
    c->ram_before.count = c->ram_after.count = 0;
}

void case_free(struct cpu_test_case *c)
{
    free(c->initial.v);
    free(c->final.v);
    free(c->mask.v);
    free(c->ram_before.v);
    free(c->ram_after.v);
}

/* Room for one more of unit bytes. */
static bool make_room(void **v, size_t count, size_t *room, size_t unit, struct error *err)
{
    if (count < *room)
        return true;
    const size_t more = *room ? *room * 2 : 32;
    void *bigger = realloc(*v, more * unit);
    if (!bigger)
        return error_set(err, "out of memory");
    *v = bigger;
    *room = more;
    return true;
}

bool case_add_reg(struct case_regs *list, const struct cpu_reg *reg, const void *value,
                  struct error *err)
{
    void *v = list->v;
    if (!make_room(&v, list->count, &list->room, sizeof *list->v, err))
        return false;
    list->v = v;
    struct cpu_reg_value *new = &list->v[list->count++];
    new->reg = reg;
    memcpy(new->value, value, reg->bytes);
    return true;
}

bool case_add_byte(struct case_ram *list, gpa_t at, uint8_t value, struct error *err)
{
    void *v = list->v;
    if (!make_room(&v, list->count, &list->room, sizeof *list->v, err))
        return false;
    list->v = v;
    list->v[list->count++] = (struct case_byte){at, value};
    return true;
}

/* The last of them, if any. */
const struct cpu_reg_value *case_find_reg(const struct case_regs *list, const struct cpu_reg *reg)
{
    for (size_t i = list->count; i-- > 0;)
        if (list->v[i].reg == reg)
            return &list->v[i];
    return NULL;
}

/* --- one run over files --- */

struct run {
    struct lone *lone;
    struct cpu_test_case c;
    const char *path;
    void (*line)(void *opaque, const char *line);
    void *opaque;
    struct cpu_test_result *result;

    uint32_t undefined; /* flags that the instruction of this case leaves undefined */
    uint16_t op;
    bool halts; /* a HLT stands behind the instruction, and was run, too */
    struct {
        gpa_t at;
        uint64_t stamp;
    } * seen; /* addresses that were compared, those of this case with its stamp */
    size_t seen_room;
    uint64_t stamp;
    char text[1000];
    size_t text_len;
    unsigned differences;
};

/* One more thing that differs; the line says the first few. */
static __attribute__((format(printf, 2, 3))) void differs(struct run *r, const char *fmt, ...)
{
    va_list ap;
    if (r->differences++ && r->text_len < sizeof r->text - 1)
        r->text_len += (size_t)snprintf(r->text + r->text_len, sizeof r->text - r->text_len, "; ");
    r->text_len = MIN(r->text_len, sizeof r->text - 1);
    va_start(ap, fmt);
    const int n = vsnprintf(r->text + r->text_len, sizeof r->text - r->text_len, fmt, ap);
    va_end(ap);
    r->text_len = MIN(r->text_len + (size_t)MAX(n, 0), sizeof r->text - 1);
}

/* --- setting up --- */

static bool is_flags(const struct cpu_reg *reg)
{
    const size_t len = strlen(reg->name);
    return len >= 5 && strcmp(reg->name + len - 5, "flags") == 0;
}

/*
 * Bits of a flags register that are none in the processor whose registers a case holds. A set for
 * 16-bit processors ("flags"): the top four, which read as ones or zeros whatever is loaded. A dump
 * of an 80386 (bits 22 to 31 are ones): it has none above VM, and RF is that of the HLT.
 */
static uint64_t no_flags(const struct cpu_reg *reg, uint64_t value)
{
    if (reg->bytes == 2)
        return 0xf000;
    if (reg->bytes == 4 && value >> 22 == 0x3ff)
        return UINT64_C(0xfffc0000) | FLAG_RF;
    return 0;
}

static void drop_no_flags(struct cpu_test_case *c)
{
    for (size_t i = 0; i < c->initial.count; i++) {
        struct cpu_reg_value *v = &c->initial.v[i];
        uint64_t value = 0;
        if (!is_flags(v->reg))
            continue;
        memcpy(&value, v->value, v->reg->bytes);
        value &= ~no_flags(v->reg, value);
        memcpy(v->value, &value, v->reg->bytes);
    }
}

/* The first MiB wraps for the sets of 8086 and 8088, which know no address above it. */
static bool a20_open(const struct cpu_test_case *c)
{
    if (c->a20_given)
        return c->a20;
    for (size_t i = 0; i < c->ram_before.count; i++)
        if (c->ram_before.v[i].at >= MiB)
            return true;
    const struct cpu_reg *ip = cpu_reg_find("ip"), *cr0 = cpu_reg_find("cr0");
    return !case_find_reg(&c->initial, ip) || case_find_reg(&c->initial, cr0);
}

static bool fill_ram(struct run *r, struct error *err)
{
    const struct case_ram *ram = &r->c.ram_before;
    for (size_t i = 0; i < ram->count; i++)
        if (!lone_write(r->lone, ram->v[i].at, &ram->v[i].value, 1))
            return error_set(err, "address %" PRIx64 " is beyond the memory; give a larger -m",
                             ram->v[i].at);
    return true;
}

/* What the instruction is: which flags it leaves undefined, and whether a HLT follows it. */
static void look_at_code(struct run *r)
{
    struct cpu *cpu = lone_cpu(r->lone);
    struct cpu_test_case *c = &r->c;
    struct insn u;
    uint8_t fetched[15];
    const uint8_t *bytes = c->bytes;
    size_t len = c->bytes_len;
    if (!len) {
        const gla_t at = cpu->rip + (cpu_code64(cpu) ? 0 : cpu->seg[SEG_CS].base);
        len =
            lone_read_linear(r->lone, cpu_code64(cpu) ? at : (uint32_t)at, fetched, sizeof fetched);
        bytes = fetched;
    }
    r->undefined = 0;
    r->halts = false;
    r->op = OP_UD;
    if (!len || decode(&u, bytes, len, cpu->mode, &cpu->feat, 0) != DECODE_OK)
        return;
    r->op = u.op;
    r->undefined = op_info[u.op].flags_undefined;
    r->halts =
        !c->steps && u.op != OP_HLT && c->bytes_len == u.len + 1u && c->bytes[u.len] == OP_HLT_BYTE;
}

/*
 * The published sets of 80286 and 80386 end each case with a HLT, which their hardware put wherever
 * the instruction went: it does nothing but be stepped over.
 */
static void step_over_hlt(struct cpu *cpu)
{
    if (!cpu->halted)
        cpu->rip = cpu_code64(cpu) ? cpu->rip + 1 : (uint32_t)(cpu->rip + 1);
}

/* --- comparing --- */

static uint64_t low64(const uint8_t *value, unsigned bytes)
{
    uint64_t v = 0;
    memcpy(&v, value, MIN(bytes, sizeof v));
    return v;
}

static void put_hex(char *text, const uint8_t *value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        sprintf(text + 2 * i, "%02x", value[bytes - 1 - i]);
}

static void name_flags(char text[static 64], uint64_t bits)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } all[] = {{FLAG_CF, "CF"}, {FLAG_PF, "PF"}, {FLAG_AF, "AF"},    {FLAG_ZF, "ZF"},
               {FLAG_SF, "SF"}, {FLAG_TF, "TF"}, {FLAG_IF, "IF"},    {FLAG_DF, "DF"},
               {FLAG_OF, "OF"}, {FLAG_NT, "NT"}, {FLAG_RF, "RF"},    {FLAG_VM, "VM"},
               {FLAG_AC, "AC"}, {FLAG_ID, "ID"}, {FLAG_IOPL, "IOPL"}};
    size_t n = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < ARRAY_SIZE(all) && n < 58; i++)
        if (bits & all[i].bit)
            n += (size_t)sprintf(text + n, " %s", all[i].name);
}

static void compare_reg(struct run *r, const struct cpu_reg_value *want)
{
    const struct cpu_reg *reg = want->reg;
    uint8_t got[CPU_REG_MAX_BYTES], mask[CPU_REG_MAX_BYTES];
    const struct cpu_reg_value *given = case_find_reg(&r->c.mask, reg);
    cpu_reg_get(lone_cpu(r->lone), reg, got);
    cpu_reg_significant(reg, mask);
    if (is_flags(reg)) {
        const uint64_t no =
            no_flags(reg, low64(want->value, reg->bytes)) | (given ? 0 : r->undefined);
        const uint64_t m = low64(mask, reg->bytes) & ~no;
        memcpy(mask, &m, reg->bytes);
    }
    bool equal = true;
    for (unsigned i = 0; i < reg->bytes; i++) {
        if (given)
            mask[i] &= given->value[i];
        equal &= !((got[i] ^ want->value[i]) & mask[i]);
    }
    if (equal)
        return;
    char is[2 * CPU_REG_MAX_BYTES + 1], be[2 * CPU_REG_MAX_BYTES + 1], flags[64] = "";
    put_hex(is, got, reg->bytes);
    put_hex(be, want->value, reg->bytes);
    if (is_flags(reg))
        name_flags(flags, (low64(got, reg->bytes) ^ low64(want->value, reg->bytes)) &
                              low64(mask, reg->bytes));
    differs(r, "%s %s, expected %s%s%s", reg->name, is, be, *flags ? ", differs in" : "", flags);
}

/* The same register in another width? */
static bool overlap(const struct cpu_reg *a, const struct cpu_reg *b)
{
    return a->kind == b->kind && a->at == b->at;
}

/* What final names, and what initial does and final does not: that is to stay as it was. */
static void compare_regs(struct run *r)
{
    const struct case_regs *initial = &r->c.initial, *final = &r->c.final;
    for (size_t i = 0; i < initial->count; i++) {
        bool changes = false;
        for (size_t k = 0; k < final->count; k++)
            changes |= overlap(initial->v[i].reg, final->v[k].reg);
        if (!changes)
            compare_reg(r, &initial->v[i]);
    }
    for (size_t k = 0; k < final->count; k++)
        compare_reg(r, &final->v[k]);
}

/* Notes an address of this case; false: it was noted before. */
static bool first_time(struct run *r, gpa_t at)
{
    size_t i = (size_t)((at * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (r->seen_room - 1);
    for (; r->seen[i].stamp == r->stamp; i = (i + 1) & (r->seen_room - 1))
        if (r->seen[i].at == at)
            return false;
    r->seen[i].at = at;
    r->seen[i].stamp = r->stamp;
    return true;
}

static bool begin_seen(struct run *r, size_t count, struct error *err)
{
    size_t room = MAX(r->seen_room, 64);
    while (room < 2 * count)
        room *= 2;
    r->stamp++;
    if (room == r->seen_room)
        return true;
    free(r->seen);
    r->seen = calloc(room, sizeof *r->seen);
    r->seen_room = r->seen ? room : 0;
    return r->seen || error_set(err, "out of memory");
}

/* Flags that an exception pushed are as undefined as those in the register. */
static uint8_t ram_mask(const struct run *r, gpa_t at)
{
    const gpa_t off = at - r->c.exception.flags_at;
    if (!r->c.exception.has_flags_at || off > 1)
        return 0xff;
    return (uint8_t) ~(r->undefined >> (8 * off));
}

static bool compare_byte(struct run *r, const struct case_byte *want, struct error *err)
{
    uint8_t got;
    if (!lone_read(r->lone, want->at, &got, 1))
        return error_set(err, "address %" PRIx64 " is beyond the memory; give a larger -m",
                         want->at);
    if ((got ^ want->value) & ram_mask(r, want->at))
        differs(r, "[%05" PRIx64 "] %02x, expected %02x", want->at, got, want->value);
    return true;
}

/* The last of several entries for one address is what is meant. */
static bool compare_list(struct run *r, const struct case_ram *list, struct error *err)
{
    for (size_t i = list->count; i-- > 0;)
        if (first_time(r, list->v[i].at) && !compare_byte(r, &list->v[i], err))
            return false;
    return true;
}

static bool compare_ram(struct run *r, struct error *err)
{
    return begin_seen(r, r->c.ram_before.count + r->c.ram_after.count, err) &&
           compare_list(r, &r->c.ram_after, err) && compare_list(r, &r->c.ram_before, err);
}

static bool is_software_interrupt(uint16_t op)
{
    return op == OP_INT || op == OP_INT3 || op == OP_INTO || op == OP_INT1;
}

static void compare_exception(struct run *r)
{
    const struct lone_exception took = lone_exception(r->lone);
    if (!r->c.exception.given)
        return;
    if (r->c.exception.none) {
        if (took.taken)
            differs(r, "%s (%s), expected none", fault_vector_name(took.first.vector),
                    fault_reason_text(took.first.reason));
        return;
    }
    if (!took.taken) {
        if (!is_software_interrupt(r->op)) /* the sets list those here, too */
            differs(r, "no exception, expected vector %u", r->c.exception.vector);
        return;
    }
    if (took.first.vector != r->c.exception.vector)
        differs(r, "%s (%s), expected vector %u", fault_vector_name(took.first.vector),
                fault_reason_text(took.first.reason), r->c.exception.vector);
    if (r->c.exception.has_error && took.first.error != r->c.exception.error)
        differs(r, "error code %x, expected %" PRIx64, took.first.error, r->c.exception.error);
    if (r->c.exception.has_cr2 && took.first.cr2 != r->c.exception.cr2)
        differs(r, "cr2 %" PRIx64 ", expected %" PRIx64, took.first.cr2, r->c.exception.cr2);
}

/* --- a case, a file --- */

static void report(struct run *r)
{
    char line[1400];
    snprintf(line, sizeof line, "%s: case %" PRIu64 "%s%s%s: %s", r->path, r->c.index,
             *r->c.name ? " (" : "", r->c.name, *r->c.name ? ")" : "", r->text);
    r->line(r->opaque, line);
}

/* Memory is zero where a case does not say otherwise. */
static void clear_ram(struct run *r)
{
    static const uint8_t zero;
    for (size_t i = 0; i < r->c.ram_before.count; i++)
        lone_write(r->lone, r->c.ram_before.v[i].at, &zero, 1);
    for (size_t i = 0; i < r->c.ram_after.count; i++)
        lone_write(r->lone, r->c.ram_after.v[i].at, &zero, 1);
}

static bool run_case(struct run *r, struct error *err)
{
    struct cpu *cpu = lone_cpu(r->lone);
    drop_no_flags(&r->c);
    lone_set_a20(r->lone, a20_open(&r->c));
    if (!fill_ram(r, err) || !cpu_regs_load(cpu, r->c.initial.v, r->c.initial.count, err))
        return false;
    look_at_code(r);
    lone_step(r->lone, r->c.steps ? r->c.steps : 1);
    if (r->halts)
        step_over_hlt(cpu);
    r->differences = 0;
    r->text_len = 0;
    compare_regs(r);
    compare_exception(r);
    if (!compare_ram(r, err))
        return false;
    r->result->cases++;
    if (r->differences) {
        r->result->failed++;
        report(r);
    }
    clear_ram(r);
    return true;
}

/* All of the file, unpacked if it is packed. */
static bool read_file(struct case_file *f, const char *path, struct error *err)
{
    gzFile in = gzopen(path, "rb");
    size_t room = 0;
    int got = 0;
    if (!in)
        return error_set(err, "%s", strerror(errno ? errno : ENOMEM));
    do {
        if (f->len == room) {
            room = room ? room * 2 : MiB;
            uint8_t *bigger = room > FILE_MAX_BYTES ? NULL : realloc(f->data, room);
            if (!bigger) {
                gzclose(in);
                return error_set(err, "the file is too large");
            }
            f->data = bigger;
        }
        got = gzread(in, f->data + f->len, (unsigned)MIN(room - f->len, 64 * MiB));
        f->len += (size_t)MAX(got, 0);
    } while (got > 0);
    int code;
    const char *why = gzerror(in, &code);
    if (got < 0 || code != Z_OK)
        error_set(err, "%s", code == Z_ERRNO ? strerror(errno) : why);
    const bool ok = got == 0 && code == Z_OK;
    gzclose(in);
    return ok;
}

static bool run_file(struct run *r, struct case_file *f, struct error *err)
{
    const bool moo = case_file_is_moo(f);
    if (!(moo ? case_moo_begin(f, err) : case_json_begin(f, err)))
        return false;
    for (uint64_t n = 0;; n++) {
        case_clear(&r->c);
        r->c.index = n;
        const enum case_next next =
            moo ? case_moo_next(f, &r->c, err) : case_json_next(f, &r->c, err);
        if (next == CASE_END)
            return true;
        if (next == CASE_ERROR || !run_case(r, err))
            return error_prefix(err, "case %" PRIu64, n);
    }
}

bool cpu_test_file(const char *path, const char *model, uint64_t ram_bytes,
                   void (*line)(void *opaque, const char *line), void *opaque,
                   struct cpu_test_result *result, struct error *err)
{
    struct run r = {.path = path, .line = line, .opaque = opaque, .result = result};
    struct case_file f = {0};
    r.lone = lone_create(model, ram_bytes, err);
    bool ok = r.lone != NULL;
    if (ok && !(read_file(&f, path, err) && run_file(&r, &f, err)))
        ok = error_prefix(err, "%s", path);
    lone_destroy(r.lone);
    case_free(&r.c);
    free(r.seen);
    free(f.mask.v);
    free(f.scratch);
    free(f.data);
    return ok;
}
