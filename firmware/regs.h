/*
 * The registers of whoever called a service or was interrupted, as entry16.S pushes them and puts
 * them back: a handler reads its arguments here and writes its results here.
 */
#ifndef FIRMWARE_REGS_H
#define FIRMWARE_REGS_H

#include <stdint.h>

#define REG(n)                  \
    union {                     \
        uint32_t e##n##x;       \
        uint16_t n##x;          \
        struct {                \
            uint8_t n##l, n##h; \
        };                      \
    }
#define REG_INDEX(x)   \
    union {            \
        uint32_t e##x; \
        uint16_t x;    \
    }

struct bregs {
    uint16_t gs, fs, es, ds;
    REG_INDEX(di);
    REG_INDEX(si);
    REG_INDEX(bp);
    uint32_t unused; /* PUSHAD's ESP */
    REG(b);
    REG(d);
    REG(c);
    REG(a);
    uint16_t ip, cs, flags;
    uint16_t pad;
};

_Static_assert(sizeof(struct bregs) == 48, "entry16.S knows the layout");

#undef REG
#undef REG_INDEX

enum {
    FLAG_CF = 1 << 0,
    FLAG_ZF = 1 << 6,
    FLAG_IF = 1 << 9,
};

static inline void set_flag(struct bregs *r, uint16_t flag, int on)
{
    r->flags = (uint16_t)(on ? r->flags | flag : r->flags & ~flag);
}

#endif
