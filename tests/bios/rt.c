/* See rt.h. Output goes to port E9h. */
#include "rt.h"

#include <stdarg.h>

/* --- output --- */

static void putch(char c)
{
    outb(0xe9, (uint8_t)c);
}

static void print_number(void (*put)(char), uint32_t v, unsigned base, unsigned width, char pad)
{
    char text[12];
    unsigned n = 0;
    do {
        text[n++] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    while (n < width)
        text[n++] = pad;
    while (n)
        put(text[--n]);
}

/* %s %c %d (unsigned) %x %08x %lx (64 bits) %% */
static void format(void (*put)(char), const char *fmt, va_list ap)
{
    for (; *fmt; fmt++) {
        if (*fmt != '%') {
            put(*fmt);
            continue;
        }
        char pad = ' ';
        unsigned width = 0;
        fmt++;
        if (*fmt == '0')
            pad = '0';
        while (*fmt >= '0' && *fmt <= '9')
            width = width * 10 + (unsigned)(*fmt++ - '0');
        switch (*fmt) {
        case 's':
            for (const char *s = va_arg(ap, const char *); *s; s++)
                put(*s);
            break;
        case 'c':
            put((char)va_arg(ap, int));
            break;
        case 'd':
            print_number(put, va_arg(ap, uint32_t), 10, width, pad);
            break;
        case 'x':
            print_number(put, va_arg(ap, uint32_t), 16, width, pad);
            break;
        default:
            put(*fmt);
        }
    }
}

static char line[256];
static unsigned line_at;
static void put_line(char c)
{
    if (line_at < sizeof line - 1)
        line[line_at++] = c;
}

static void format_line(const char *fmt, va_list ap)
{
    line_at = 0;
    format(put_line, fmt, ap);
    line[line_at] = 0;
}

void part(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    format(putch, fmt, ap);
    va_end(ap);
}

void say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    format(putch, fmt, ap);
    va_end(ap);
    putch('\n');
}

void end_line(void)
{
    putch('\n');
}

void dump(uint16_t seg, uint16_t off, unsigned bytes)
{
    while (bytes--)
        part("%02x", peek8(seg, off++));
}

/* --- memory --- */

uint8_t peek8(uint16_t seg, uint16_t off)
{
    uint8_t v;
    asm volatile("movw %1, %%fs\n movb %%fs:(%2), %0" : "=q"(v) : "r"(seg), "r"((uint32_t)off));
    return v;
}
uint16_t peek16(uint16_t seg, uint16_t off)
{
    return (uint16_t)(peek8(seg, off) | peek8(seg, (uint16_t)(off + 1)) << 8);
}
uint32_t peek32(uint16_t seg, uint16_t off)
{
    return peek16(seg, off) | (uint32_t)peek16(seg, (uint16_t)(off + 2)) << 16;
}
void poke8(uint16_t seg, uint16_t off, uint8_t v)
{
    asm volatile("movw %1, %%fs\n movb %0, %%fs:(%2)" ::"q"(v), "r"(seg), "r"((uint32_t)off)
                 : "memory");
}
void poke16(uint16_t seg, uint16_t off, uint16_t v)
{
    poke8(seg, off, (uint8_t)v);
    poke8(seg, (uint16_t)(off + 1), (uint8_t)(v >> 8));
}
void poke32(uint16_t seg, uint16_t off, uint32_t v)
{
    poke16(seg, off, (uint16_t)v);
    poke16(seg, (uint16_t)(off + 2), (uint16_t)(v >> 16));
}
void fill(uint16_t seg, uint16_t off, uint8_t v, unsigned bytes)
{
    while (bytes--)
        poke8(seg, off++, v);
}

/* Quick, and every bit counts: that is all that is asked of it. */
uint32_t hash_step(uint32_t h, uint32_t v)
{
    h = (h ^ v) * 0x01000193;
    return h << 13 | h >> 19;
}

uint32_t hash(uint16_t seg, uint16_t off, uint32_t bytes)
{
    uint32_t h = 0x811c9dc5;
    for (; bytes >= 4; bytes -= 4) {
        uint32_t v;
        asm volatile("movw %1, %%fs\n movl %%fs:(%2), %0" : "=r"(v) : "r"(seg), "r"((uint32_t)off));
        h = hash_step(h, v);
        off = (uint16_t)(off + 4);
        if (!off)
            seg = (uint16_t)(seg + 0x1000);
    }
    return h;
}

uint8_t sum(uint16_t seg, uint16_t off, uint32_t bytes)
{
    uint8_t s = 0;
    while (bytes--) {
        s = (uint8_t)(s + peek8(seg, off++));
        if (!off)
            seg = (uint16_t)(seg + 0x1000);
    }
    return s;
}

void *memset(void *p, int c, size_t n)
{
    for (uint8_t *d = p; n--;)
        *d++ = (uint8_t)c;
    return p;
}
void *memcpy(void *d, const void *s, size_t n)
{
    uint8_t *to = d;
    for (const uint8_t *from = s; n--;)
        *to++ = *from++;
    return d;
}
int memcmp(const void *a, const void *b, size_t n)
{
    for (const uint8_t *x = a, *y = b; n--; x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

const char *kind(uint16_t seg, uint16_t off)
{
    const uint32_t at = ((uint32_t)seg << 4) + off;
    const uint32_t ebda = (uint32_t)peek16(0x40, 0x0e) << 4;
    if (at == 0)
        return "null";
    if (at < 0x400)
        return "ivt";
    if (at < 0x500)
        return "bda";
    if (at < 0xa0000)
        return ebda && at >= ebda ? "ebda" : "ram";
    if (at < 0xc0000)
        return "video";
    if (at < 0xc0000 + 512u * peek8(0xc000, 2))
        return "vgarom";
    return at < 0x100000 ? "rom" : "high";
}

/* --- run.py's words --- */

static const char *find_word(const char *word, char behind)
{
    for (const char *p = words; *p;) {
        const char *w = word;
        while (*w && *p == *w)
            p++, w++;
        if (!*w && (*p == behind || (behind == ' ' && !*p)))
            return p;
        while (*p && *p != ' ')
            p++;
        while (*p == ' ')
            p++;
    }
    return NULL;
}

bool word_given(const char *word)
{
    return find_word(word, ' ') != NULL;
}

static unsigned digit(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a' + 10);
    return 16;
}

static uint32_t number(const char **p)
{
    uint32_t v = 0;
    while (digit(**p) < 16)
        v = v << 4 | digit(*(*p)++);
    return v;
}

uint32_t word_value(const char *name, uint32_t otherwise)
{
    const char *p = find_word(name, '=');
    if (!p)
        return otherwise;
    p++;
    return number(&p);
}

/* --- calls --- */

enum { NOTHING, GENERAL, SEGMENT };
struct reg {
    uint8_t what;
    uint8_t index; /* of regs' 32-bit words; of its segments */
    uint32_t mask;
    uint8_t shift;
};

static const char general[7][3] = {"ax", "bx", "cx", "dx", "si", "di", "bp"};
static const char segment[4][3] = {"ds", "es", "fs", "gs"};

/* The register at *p, which is moved behind it. */
static struct reg parse_reg(const char **p)
{
    const char *s = *p;
    struct reg r = {GENERAL, 0, 0xffff, 0};
    if (*s == 'e' && (s[1] != 's' || s[2] == 'i')) {
        r.mask = 0xffffffff;
        s++;
    }
    for (unsigned i = 0; i < 7; i++)
        if (s[0] == general[i][0] && s[1] == general[i][1]) {
            r.index = (uint8_t)i;
            *p = s + 2;
            return r;
        }
    for (unsigned i = 0; i < 4; i++)
        if (s[0] == segment[i][0] && s[1] == segment[i][1]) {
            *p = s + 2;
            return (struct reg){SEGMENT, (uint8_t)i, 0xffff, 0};
        }
    if (s[0] >= 'a' && s[0] <= 'd' && (s[1] == 'l' || s[1] == 'h')) {
        r.index = (uint8_t)(s[0] - 'a');
        r.shift = s[1] == 'h' ? 8 : 0;
        r.mask = 0xffu << r.shift;
        *p = s + 2;
        return r;
    }
    return (struct reg){NOTHING, 0, 0, 0};
}

static uint16_t get_reg(struct reg r)
{
    if (r.what == SEGMENT)
        return (&regs.ds)[r.index];
    return (uint16_t)(&regs.eax)[r.index];
}

static void skip_spaces(const char **p)
{
    while (**p == ' ')
        (*p)++;
}

static bool take(const char **p, const char *word)
{
    const char *s = *p;
    while (*word && *s == *word)
        s++, word++;
    if (*word || (*s && *s != ' '))
        return false;
    *p = s;
    return true;
}

static void bad_line(void)
{
    say("FAIL: the suite cannot read \"%s\"", line);
    outb(0xf4, 2);
}

static struct regs before;

/* Sets regs from the text up to "->", and returns what stands behind it. */
static const char *parse_input(const char *p)
{
    static const struct regs marks = {0xa5a6a7a8, 0xb5b6b7b8, 0xc5c6c7c8, 0xd5d6d7d8,
                                      0x51525354, 0x61626364, 0xe5e6e7e8, 0x2d00,
                                      BUFFER,     0x2e00,     0x2f00,     IF | CF | 2};
    regs = marks;
    while (*p) {
        skip_spaces(&p);
        if (take(&p, "->") || !*p)
            break;
        if (take(&p, "nc")) {
            regs.flags &= ~(uint32_t)CF;
        } else if (take(&p, "zr")) {
            regs.flags |= ZF;
        } else if (!take(&p, "cy") && !take(&p, "nz")) {
            const struct reg r = parse_reg(&p);
            if (!r.what || *p != '=') {
                bad_line();
                return p;
            }
            p++;
            const uint32_t v = number(&p);
            if (r.what == SEGMENT)
                (&regs.ds)[r.index] = (uint16_t)v;
            else
                (&regs.eax)[r.index] = ((&regs.eax)[r.index] & ~r.mask) | (v << r.shift & r.mask);
        }
    }
    before = regs;
    return p;
}

static uint32_t hidden[7]; /* bits that are not looked at */
static bool hidden_seg[4];

static void print_memory(uint16_t seg, uint16_t off, const char **p)
{
    if (**p != '+')
        return;
    (*p)++;
    dump(seg, off, number(p));
}

/* The far pointer, the memory and the flags that the line asks for. */
static void print_asked(const char *p)
{
    while (*p) {
        skip_spaces(&p);
        if (take(&p, "cf")) {
            part(" cf=%d", regs.flags & CF ? 1 : 0);
        } else if (take(&p, "zf")) {
            part(" zf=%d", regs.flags & ZF ? 1 : 0);
        } else if (*p == '~') {
            p++;
            const struct reg r = parse_reg(&p);
            if (r.what == SEGMENT)
                hidden_seg[r.index] = true;
            else
                hidden[r.index] |= r.mask;
        } else if (*p == '@') {
            p++;
            const char *name = p;
            const struct reg s = parse_reg(&p);
            p++;
            const struct reg o = parse_reg(&p);
            hidden_seg[s.index] = true;
            hidden[o.index] |= 0xffff;
            part(" ");
            while (name < p)
                part("%c", *name++);
            part("=%s", kind(get_reg(s), get_reg(o)));
            if (*p == '+')
                part(":");
            print_memory(get_reg(s), get_reg(o), &p);
        } else if (*p == '[') {
            p++;
            const uint16_t seg = (uint16_t)number(&p);
            p++;
            const uint16_t off = (uint16_t)number(&p);
            p++;
            part(" [%04x:%04x]=", seg, off);
            print_memory(seg, off, &p);
        } else if (*p) {
            bad_line();
            return;
        }
    }
}

static void print_bytes(uint32_t v, uint32_t mask, unsigned n)
{
    while (n--) {
        if (mask >> (8 * n) & 0xff)
            part("..");
        else
            part("%02x", v >> (8 * n) & 0xff);
    }
}

static void print_changed(void)
{
    for (unsigned i = 0; i < 7; i++) {
        const uint32_t now = (&regs.eax)[i], changed = (now ^ (&before.eax)[i]) & ~hidden[i];
        if (changed >> 16) {
            part(" e%s=", general[i]);
            print_bytes(now, hidden[i], 4);
        } else if (changed) {
            part(" %s=", general[i]);
            print_bytes(now, hidden[i], 2);
        }
    }
    for (unsigned i = 0; i < 4; i++)
        if ((&regs.ds)[i] != (&before.ds)[i] && !hidden_seg[i])
            part(" %s=%04x", segment[i], (&regs.ds)[i]);
    if (!(regs.flags & IF) != !(before.flags & IF))
        part(" if=%d", regs.flags & IF ? 1 : 0);
    if (regs.flags & DF)
        part(" df=1");
    if (regs_esp)
        part(" sp=%x", regs_esp);
}

/* The key: what stands before the arrow. */
static void print_key(void)
{
    for (const char *p = line; *p && (p[0] != ' ' || p[1] != '-' || p[2] != '>'); p++)
        putch(*p);
    part(" ->");
}

static const char *behind_label(void)
{
    for (const char *p = line; *p; p++)
        if (p[0] == ':' && p[1] == ' ')
            return p + 2;
    return line;
}

static void print_answer(const char *asked)
{
    memset(hidden, 0, sizeof hidden);
    memset(hidden_seg, 0, sizeof hidden_seg);
    print_key();
    print_asked(asked);
    print_changed();
    putch('\n');
}

static const char *interrupt(void)
{
    const char *p = behind_label();
    const uint8_t vector = (uint8_t)number(&p);
    p = parse_input(p);
    gate[0] = 0xcd;
    gate[1] = vector;
    gate[2] = gate[3] = gate[4] = 0x90;
    bios_call();
    return p;
}

void bios(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    format_line(fmt, ap);
    va_end(ap);
    print_answer(interrupt());
}

void bios_quiet(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    format_line(fmt, ap);
    va_end(ap);
    interrupt();
}

/* The word in front of the registers is only a name. */
static const char *named_input(void)
{
    const char *p = behind_label();
    while (*p && *p != ' ')
        p++;
    return parse_input(p);
}

void bios_far(uint16_t seg, uint16_t off, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    format_line(fmt, ap);
    va_end(ap);
    const char *asked = named_input();
    gate[0] = 0x9a;
    gate[1] = (uint8_t)off;
    gate[2] = (uint8_t)(off >> 8);
    gate[3] = (uint8_t)seg;
    gate[4] = (uint8_t)(seg >> 8);
    bios_call();
    print_answer(asked);
}

void bios_flat(uint32_t linear, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    format_line(fmt, ap);
    va_end(ap);
    const char *asked = named_input();
    flat_target.offset = linear;
    flat_target.selector = 0x08;
    regs.flags &= ~(uint32_t)IF;
    before.flags = regs.flags;
    regs_esp = 0;
    flat_call();
    print_answer(asked);
}

/* --- protected memory --- */

extern const uint8_t read32_code[];
asm(".pushsection .text\n read32_code: .code32\n movl (%esi), %eax\n lret\n .code16gcc\n "
    ".popsection");

uint32_t phys32(uint32_t at)
{
    const struct regs saved = regs;
    regs.esi = at;
    regs.flags = 2;
    flat_target.offset = PROGRAM * 16 + (uint32_t)read32_code;
    flat_target.selector = 0x08;
    flat_call();
    const uint32_t v = regs.eax;
    regs = saved;
    return v;
}
uint8_t phys8(uint32_t at)
{
    return (uint8_t)(phys32(at & ~3u) >> (at % 4 * 8));
}

/* --- vectors and time --- */

uint32_t get_vector(unsigned n)
{
    return peek32(0, (uint16_t)(n * 4));
}
void put_vector(unsigned n, uint32_t v)
{
    cli();
    poke32(0, (uint16_t)(n * 4), v);
    sti();
}
void set_vector(unsigned n, void (*hook)(void))
{
    put_vector(n, (uint32_t)PROGRAM << 16 | (uint16_t)(uint32_t)hook);
}

uint32_t ticks(void)
{
    cli();
    const uint32_t t = peek32(0x40, 0x6c);
    sti();
    return t;
}

bool wait_ticks(unsigned n, bool (*done)(void))
{
    uint32_t last = ticks();
    while (!done || !done()) {
        if (!n)
            return false;
        hlt();
        if (ticks() != last) {
            last = ticks();
            n--;
        }
    }
    return true;
}

/* --- main --- */

static const struct {
    const char *name;
    void (*run)(void);
} groups[] = {
    {"boot", boot_group},         {"system", system_group}, {"memory", memory_group},
    {"apm", apm_group},           {"tables", tables_group}, {"disk", disk_group},
    {"edd", edd_group},           {"serial", serial_group}, {"clock", clock_group},
    {"keyboard", keyboard_group}, {"keys", keys_group},     {"mouse", mouse_group},
    {"pci", pci_group},           {"video", video_group},   {"vbe", vbe_group},
    {"restart", restart_group},
};

void main(void);
void main(void)
{
    for (unsigned i = 0; i < sizeof groups / sizeof *groups; i++)
        if (word_given(groups[i].name)) {
            say("[%s]", groups[i].name);
            if (groups[i].run)
                groups[i].run();
            else
                say("FAIL: this program has no such group");
        }
    say("DONE");
    outb(0xf4, 0);
}
