/*
 * Test sets in the MOO format, version 1 (github.com/dbalsom/moo, doc/moo_format_v1.md): chunks of
 * a four-letter name, a length and as many bytes; unknown ones are skipped, as the format wants it.
 */
#include "debug/cpu_test_case.h"

#include <string.h>

/* Registers in the order of the bits that say which follow. */
static const char *const regs16[] = {"ax", "bx", "cx", "dx", "cs", "ss", "ds",
                                     "es", "sp", "bp", "si", "di", "ip", "flags"};
static const char *const regs32[] = {"cr0", "cr3", "eax", "ebx",    "ecx", "edx", "esi",
                                     "edi", "ebp", "esp", "cs",     "ds",  "es",  "fs",
                                     "gs",  "ss",  "eip", "eflags", "dr6", "dr7"};

struct chunk {
    const uint8_t *data;
    size_t len;
    char name[5];
};

/* The chunk at *at of data, which is moved behind it. */
static bool next_chunk(const uint8_t *data, size_t len, size_t *at, struct chunk *c,
                       struct error *err)
{
    if (len - *at < 8)
        return error_set(err, "the file ends in the middle of a chunk's head");
    memcpy(c->name, data + *at, 4);
    c->name[4] = '\0';
    c->len = ld32(data + *at + 4);
    c->data = data + *at + 8;
    if (c->len > len - *at - 8) {
        for (char *p = c->name; *p; p++)
            if (*p < ' ' || *p > '~')
                *p = '?';
        return error_set(err, "chunk \"%s\" of %zu bytes is longer than what it lies in", c->name,
                         c->len);
    }
    *at += 8 + c->len;
    return true;
}

static bool is(const struct chunk *c, const char *name)
{
    return memcmp(c->name, name, 4) == 0;
}

static bool too_short(const struct chunk *c, struct error *err)
{
    return error_set(err, "chunk \"%s\" is too short for what it says", c->name);
}

static bool read_regs(const struct chunk *c, bool wide, struct case_regs *list, struct error *err)
{
    const unsigned unit = wide ? 4 : 2;
    const char *const *names = wide ? regs32 : regs16;
    const unsigned count = wide ? ARRAY_SIZE(regs32) : ARRAY_SIZE(regs16);
    size_t at = unit;
    if (c->len < unit)
        return too_short(c, err);
    const uint32_t present = (uint32_t)ld_le(c->data, unit);
    if (present >> count)
        return error_set(err, "chunk \"%s\" has registers that are not known (%x)", c->name,
                         present);
    for (unsigned i = 0; i < count; i++) {
        if (!(present >> i & 1))
            continue;
        if (c->len - at < unit)
            return too_short(c, err);
        uint8_t value[CPU_REG_MAX_BYTES] = {0};
        memcpy(value, c->data + at, unit);
        at += unit;
        if (!case_add_reg(list, cpu_reg_find(names[i]), value, err))
            return false;
    }
    return true;
}

static bool read_ram(const struct chunk *c, struct case_ram *list, struct error *err)
{
    if (c->len < 4 || (c->len - 4) / 5 < ld32(c->data))
        return too_short(c, err);
    const uint32_t count = ld32(c->data);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *p = c->data + 4 + i * (size_t)5;
        if (!case_add_byte(list, ld32(p), p[4], err))
            return false;
    }
    return true;
}

static bool read_state(const struct chunk *c, struct case_regs *regs, struct case_ram *ram,
                       struct case_regs *mask, struct error *err)
{
    size_t at = 0;
    while (at < c->len) {
        struct chunk sub;
        bool ok = next_chunk(c->data, c->len, &at, &sub, err);
        if (ok && (is(&sub, "REGS") || is(&sub, "RG32")))
            ok = read_regs(&sub, is(&sub, "RG32"), regs, err);
        else if (ok && (is(&sub, "RMSK") || is(&sub, "RM32")))
            ok = read_regs(&sub, is(&sub, "RM32"), mask, err);
        else if (ok && is(&sub, "RAM "))
            ok = read_ram(&sub, ram, err);
        if (!ok)
            return false;
    }
    return true;
}

/* Length, then as many bytes. */
static bool counted(const struct chunk *c, const uint8_t **data, size_t *len, struct error *err)
{
    if (c->len < 4 || c->len - 4 < ld32(c->data))
        return too_short(c, err);
    *len = ld32(c->data);
    *data = c->data + 4;
    return true;
}

static bool read_part(const struct chunk *c, struct cpu_test_case *out, struct error *err)
{
    const uint8_t *data = NULL;
    size_t len = 0;
    if (is(c, "INIT"))
        return read_state(c, &out->initial, &out->ram_before, &out->mask, err);
    if (is(c, "FINA"))
        return read_state(c, &out->final, &out->ram_after, &out->mask, err);
    if (is(c, "NAME")) {
        if (!counted(c, &data, &len, err))
            return false;
        len = MIN(len, sizeof out->name - 1);
        for (size_t i = 0; i < len; i++)
            out->name[i] = data[i] >= ' ' && data[i] <= '~' ? (char)data[i] : '?';
        out->name[len] = '\0';
    } else if (is(c, "BYTS")) {
        if (!counted(c, &data, &len, err))
            return false;
        if (len > CASE_MAX_BYTES)
            return error_set(err, "an instruction of %zu bytes", len);
        memcpy(out->bytes, data, len);
        out->bytes_len = len;
    } else if (is(c, "EXCP")) {
        if (c->len < 5)
            return too_short(c, err);
        out->exception.given = out->exception.has_flags_at = true;
        out->exception.vector = c->data[0];
        out->exception.flags_at = ld32(c->data + 1);
    }
    return true;
}

bool case_file_is_moo(const struct case_file *f)
{
    return f->len >= 4 && memcmp(f->data, "MOO ", 4) == 0;
}

bool case_moo_begin(struct case_file *f, struct error *err)
{
    struct chunk c;
    if (!next_chunk(f->data, f->len, &f->pos, &c, err))
        return false;
    if (c.len < 12)
        return too_short(&c, err);
    if (c.data[0] != 1)
        return error_set(err, "version %u of the MOO format is not known, only 1", c.data[0]);
    return true;
}

enum case_next case_moo_next(struct case_file *f, struct cpu_test_case *out, struct error *err)
{
    while (f->pos < f->len) {
        struct chunk c, part;
        if (!next_chunk(f->data, f->len, &f->pos, &c, err))
            return CASE_ERROR;
        if (is(&c, "RMSK") || is(&c, "RM32")) {
            if (!read_regs(&c, is(&c, "RM32"), &f->mask, err))
                return CASE_ERROR;
            continue;
        }
        if (!is(&c, "TEST"))
            continue;
        if (c.len < 4) {
            too_short(&c, err);
            return CASE_ERROR;
        }
        out->index = ld32(c.data);
        for (size_t i = 0; i < f->mask.count; i++)
            if (!case_add_reg(&out->mask, f->mask.v[i].reg, f->mask.v[i].value, err))
                return CASE_ERROR;
        for (size_t at = 4; at < c.len;)
            if (!next_chunk(c.data, c.len, &at, &part, err) || !read_part(&part, out, err))
                return CASE_ERROR;
        return CASE_READ;
    }
    return CASE_END;
}
