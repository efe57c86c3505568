/* See print.h. Compiled once for each mode. */
#include "print.h"

#include "io.h"
#include "post16.h"

#include <stdarg.h>

#define DEBUG_PORT 0x402

static void put_debug(char c)
{
    outb(DEBUG_PORT, (uint8_t)c);
}

static void put_screen(char c)
{
    put_debug(c);
#ifdef MODE16
    put_char(c);
#else
    call_service(put_char_service, (uint8_t)c);
#endif
}

static void number(void (*put)(char), uint32_t v, unsigned base, unsigned width, char pad, int neg)
{
    char digits[12];
    unsigned n = 0;
    do
        digits[n++] = "0123456789abcdef"[v % base];
    while (v /= base);
    if (neg)
        digits[n++] = '-';
    while (width-- > n)
        put(pad);
    while (n)
        put(digits[--n]);
}

static void format_text(void (*put)(char), const char *f, va_list args)
{
    for (; *f; f++) {
        if (*f != '%') {
            put(*f);
            continue;
        }
        char pad = ' ';
        unsigned width = 0;
        if (*++f == '0')
            pad = '0';
        for (; *f >= '0' && *f <= '9'; f++)
            width = width * 10 + (unsigned)(*f - '0');
        if (*f == 'l')
            f++;
        switch (*f) {
        case 's':
            for (const char *s = va_arg(args, const char *); *s; s++)
                put(*s);
            break;
        case 'c':
            put((char)va_arg(args, int));
            break;
        case 'd': {
            const int32_t v = va_arg(args, int32_t);
            number(put, v < 0 ? -(uint32_t)v : (uint32_t)v, 10, width, pad, v < 0);
            break;
        }
        case 'u':
            number(put, va_arg(args, uint32_t), 10, width, pad, 0);
            break;
        case 'x':
            number(put, va_arg(args, uint32_t), 16, width, pad, 0);
            break;
        case 0:
            return;
        default:
            put(*f);
        }
    }
}

void print(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    format_text(put_screen, format, args);
    va_end(args);
}

void debug(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    format_text(put_debug, format, args);
    va_end(args);
}
