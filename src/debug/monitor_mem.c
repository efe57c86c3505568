/* Memory and ports in the monitor: x, xp, p, i, o, sum, memsave, pmemsave. */
#include "debug/monitor_cmd.h"
#include "debug/regs.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_COUNT 65536 /* items of one x */

/* "/10xw": how many, as what, of which size. */
struct fmt {
    uint64_t count;
    char format;
    unsigned unit; /* bytes; 0 = not given */
};

/* Takes a "/fmt" off *args if there is one. */
static bool take_format(struct mon *mon, char **args, struct fmt *f)
{
    char *s = *args;
    while (isspace((unsigned char)*s))
        s++;
    *args = s;
    if (*s++ != '/')
        return true;
    if (isdigit((unsigned char)*s))
        f->count = strtoull(s, &s, 10);
    for (; *s && !isspace((unsigned char)*s); s++) {
        static const char sizes[] = "bhwg";
        const char *size = strchr(sizes, *s);
        if (strchr("xduoci", *s)) {
            f->format = *s;
        } else if (size) {
            f->unit = 1u << (size - sizes);
        } else {
            mon_printf(mon, "invalid char in format: '%c'\n", *s);
            return false;
        }
    }
    *args = s;
    if (f->count > MAX_COUNT) {
        mon_printf(mon, "at most %d items at once\n", MAX_COUNT);
        return false;
    }
    return true;
}

/* --- numbers --- */

static void print_char(struct mon *mon, unsigned char c)
{
    switch (c) {
    case '\'':
    case '\\':
        mon_printf(mon, "'\\%c'", c);
        break;
    case '\n':
        mon_printf(mon, "'\\n'");
        break;
    case '\r':
        mon_printf(mon, "'\\r'");
        break;
    default:
        mon_printf(mon, c >= 32 && c < 127 ? "'%c'" : "'\\x%02x'", c);
        break;
    }
}

/* As wide as the widest number of that size, so that columns stand in line. */
static void print_item(struct mon *mon, uint64_t v, char format, unsigned unit)
{
    const int nbits = (int)unit * 8;
    switch (format) {
    case 'o':
        mon_printf(mon, "%#*" PRIo64, (nbits + 2) / 3, v);
        break;
    case 'u':
        mon_printf(mon, "%*" PRIu64, (nbits * 10 + 32) / 33, v);
        break;
    case 'd':
        mon_printf(mon, "%*" PRId64, (nbits * 10 + 32) / 33, sign_extend(v, (unsigned)nbits));
        break;
    case 'c':
        print_char(mon, (unsigned char)v);
        break;
    default:
        mon_printf(mon, "0x%0*" PRIx64, nbits / 4, v);
        break;
    }
}

static size_t read_some(struct mon *mon, bool physical, uint64_t at, void *buf, size_t len)
{
    return physical ? machine_read_physical(mon->machine, at, buf, len)
                    : machine_read_linear(mon->machine, mon_cpu(mon), at, buf, len);
}

static void dump_numbers(struct mon *mon, bool physical, uint64_t at, const struct fmt *f)
{
    const unsigned per_line = (f->unit == 1 && f->format != 'c' ? 8 : 16) / f->unit;
    for (uint64_t done = 0; done < f->count;) {
        uint8_t buf[16];
        const unsigned n = (unsigned)MIN(f->count - done, (uint64_t)per_line);
        mon_printf(mon, "%016" PRIx64 ":", at);
        if (read_some(mon, physical, at, buf, (size_t)n * f->unit) != (size_t)n * f->unit) {
            mon_printf(mon, " Cannot access memory\n");
            return;
        }
        for (unsigned i = 0; i < n; i++) {
            mon_printf(mon, " ");
            print_item(mon, ld_le(buf + i * f->unit, f->unit), f->format, f->unit);
        }
        mon_printf(mon, "\n");
        at += n * f->unit;
        done += n;
    }
}

/* --- code --- */

struct disas *mon_disas(struct mon *mon)
{
    struct error err = {0};
    if (!mon->disas)
        mon->disas = disas_create(mon->syntax, &err);
    if (!mon->disas)
        mon_printf(mon, "no disassembly: %s\n", err.msg);
    return mon->disas;
}

static void dump_code(struct mon *mon, bool physical, uint64_t at, const struct fmt *f)
{
    struct disas *d = mon_disas(mon);
    const unsigned bits = f->unit == 2   ? 16
                          : f->unit == 4 ? 32
                          : f->unit == 8 ? 64
                                         : regs_code_bits(mon_cpu(mon));
    for (uint64_t i = 0; d && i < f->count; i++) {
        uint8_t code[DISAS_MAX_BYTES];
        char text[160], hex[3 * DISAS_MAX_BYTES + 1] = "";
        const size_t got = read_some(mon, physical, at, code, sizeof code);
        if (!got) {
            mon_printf(mon, "0x%08" PRIx64 ": unable to read memory\n", at);
            return;
        }
        unsigned n = disas_one(d, code, got, at, bits, text, sizeof text);
        n = n ? n : 1;
        for (unsigned k = 0; k < n; k++)
            snprintf(hex + 3 * k, 4, "%02x ", code[k]);
        mon_printf(mon, "0x%08" PRIx64 ":  %-24s %s\n", at, hex, text);
        at += n;
    }
}

static void examine(struct mon *mon, char *args, bool physical)
{
    struct fmt f = {1, mon->format, 0};
    uint64_t at;
    if (!take_format(mon, &args, &f) || !mon_rest(mon, args, "address", &at))
        return;
    mon->format = f.format;
    if (f.format == 'i') {
        dump_code(mon, physical, at, &f);
        return;
    }
    if (f.format == 'c')
        f.unit = 1;
    else if (f.unit)
        mon->unit = f.unit;
    else
        f.unit = mon->unit;
    dump_numbers(mon, physical, at, &f);
}

void mon_cmd_x(struct mon *mon, char *args)
{
    examine(mon, args, false);
}

void mon_cmd_xp(struct mon *mon, char *args)
{
    examine(mon, args, true);
}

void mon_cmd_print(struct mon *mon, char *args)
{
    struct fmt f = {1, 'x', 8};
    uint64_t v;
    if (!take_format(mon, &args, &f) || !mon_rest(mon, args, "expression", &v))
        return;
    switch (f.format) {
    case 'o':
        mon_printf(mon, "%#" PRIo64 "\n", v);
        break;
    case 'd':
        mon_printf(mon, "%" PRId64 "\n", (int64_t)v);
        break;
    case 'u':
        mon_printf(mon, "%" PRIu64 "\n", v);
        break;
    case 'c':
        print_char(mon, (unsigned char)v);
        mon_printf(mon, "\n");
        break;
    default:
        mon_printf(mon, "%#" PRIx64 "\n", v);
        break;
    }
}

/* --- ports --- */

static bool port_format(struct mon *mon, char **args, struct fmt *f, uint64_t *port)
{
    if (!take_format(mon, args, f) || !mon_number(mon, args, "port", port))
        return false;
    if (f->unit > 4 || *port > UINT16_MAX) {
        mon_printf(mon, "ports are 0 to 0xffff, of b, h or w\n");
        return false;
    }
    return true;
}

void mon_cmd_in(struct mon *mon, char *args)
{
    static const char letter[] = {0, 'b', 'w', 0, 'l'};
    struct fmt f = {1, 'x', 1};
    uint64_t port;
    if (!port_format(mon, &args, &f, &port) || !mon_no_more(mon, args))
        return;
    const uint32_t v = machine_read_port(mon->machine, (uint16_t)port, f.unit);
    mon_printf(mon, "port%c[0x%04x] = 0x%0*x\n", letter[f.unit], (unsigned)port, (int)f.unit * 2,
               v);
}

void mon_cmd_out(struct mon *mon, char *args)
{
    struct fmt f = {1, 'x', 1};
    uint64_t port, v;
    if (!port_format(mon, &args, &f, &port) || !mon_number(mon, &args, "value", &v) ||
        !mon_no_more(mon, args))
        return;
    machine_write_port(mon->machine, (uint16_t)port,
                       (uint32_t)(v & ((UINT64_C(1) << (8 * f.unit)) - 1)), f.unit);
}

/* --- memory to files --- */

static void save(struct mon *mon, char *args, bool physical)
{
    uint64_t at, left;
    uint8_t buf[PAGE_SIZE];
    if (!mon_number(mon, &args, "address", &at) || !mon_number(mon, &args, "size", &left))
        return;
    const char *path = mon_word(&args);
    if (!path) {
        mon_printf(mon, "which file?\n");
        return;
    }
    FILE *file = fopen(path, "wbe");
    if (!file) {
        mon_printf(mon, "%s: %s\n", path, strerror(errno));
        return;
    }
    bool readable = true, ok = true;
    while (left && readable && ok) {
        const size_t n = (size_t)MIN(left, PAGE_SIZE - (at & ~PAGE_MASK));
        readable = read_some(mon, physical, at, buf, n) == n;
        ok = !readable || fwrite(buf, 1, n, file) == n;
        at += readable ? n : 0;
        left -= readable ? n : 0;
    }
    ok = fclose(file) == 0 && ok;
    if (!ok)
        mon_printf(mon, "%s: %s\n", path, strerror(errno));
    else if (!readable)
        mon_printf(mon, "no memory at 0x%" PRIx64 ", the file ends there\n", at);
}

void mon_cmd_memsave(struct mon *mon, char *args)
{
    save(mon, args, false);
}

void mon_cmd_pmemsave(struct mon *mon, char *args)
{
    save(mon, args, true);
}

/* The 16-bit rotating sum of BSD's sum(1), over physical memory. */
void mon_cmd_sum(struct mon *mon, char *args)
{
    uint64_t at, size;
    uint16_t sum = 0;
    if (!mon_number(mon, &args, "address", &at) || !mon_number(mon, &args, "size", &size) ||
        !mon_no_more(mon, args))
        return;
    for (uint64_t i = 0; i < size; i++) {
        uint8_t byte;
        if (machine_read_physical(mon->machine, at + i, &byte, 1) != 1) {
            mon_printf(mon, "no memory at 0x%" PRIx64 "\n", at + i);
            return;
        }
        sum = (uint16_t)((sum >> 1 | sum << 15) + byte);
    }
    mon_printf(mon, "%05d\n", sum);
}
