// A mix after the manner of embedded benchmarks: list search and merge sort, a small matrix, a
// number-scanning state machine, all folded through a 16-bit CRC.
#include "bench.h"

enum { NODES = 128, DIM = 12, TEXT = 240 };

struct node {
    struct node *next;
    int16_t key;
    int16_t value;
};

static uint16_t crc16(uint16_t crc, uint32_t data)
{
    for (int i = 0; i < 32; i++) {
        uint16_t bit = (crc ^ data) & 1;
        crc >>= 1;
        data >>= 1;
        if (bit)
            crc ^= 0xa001;
    }
    return crc;
}

static int by_key(const struct node *a, const struct node *b)
{
    return a->key - b->key;
}
static int by_value(const struct node *a, const struct node *b)
{
    return a->value - b->value;
}

static NOINLINE struct node *merge_sort(struct node *list,
                                        int (*order)(const struct node *, const struct node *))
{
    for (int run = 1;; run *= 2) {
        struct node *rest = list, *tail = 0;
        int merges = 0;
        list = 0;
        while (rest) {
            struct node *other = rest;
            int a = 0, b = run;
            merges++;
            while (a < run && other) {
                a++;
                other = other->next;
            }
            while (a > 0 || (b > 0 && other)) {
                struct node *take;
                if (a == 0 || (b > 0 && other && order(rest, other) > 0)) {
                    take = other;
                    other = other->next;
                    b--;
                } else {
                    take = rest;
                    rest = rest->next;
                    a--;
                }
                if (tail)
                    tail->next = take;
                else
                    list = take;
                tail = take;
            }
            rest = other;
        }
        if (tail)
            tail->next = 0;
        if (merges <= 1)
            return list;
    }
}

static NOINLINE uint16_t list_part(uint16_t crc)
{
    static struct node pool[NODES];
    uint64_t seed = 0x1234567;
    struct node *list = 0;
    for (int i = 0; i < NODES; i++) {
        uint64_t r = bench_random(&seed);
        pool[i] = (struct node){list, (int16_t)(r & 0x7fff), (int16_t)(r >> 20 & 0x7fff)};
        list = &pool[i];
    }
    for (int i = 0; i < 16; i++) {
        int16_t wanted = pool[i * 7 % NODES].key;
        int steps = 0;
        for (struct node *n = list; n && n->key != wanted; n = n->next)
            steps++;
        crc = crc16(crc, (uint32_t)steps);
    }
    list = merge_sort(list, by_key);
    crc = crc16(crc, (uint32_t)list->value);
    list = merge_sort(list, by_value);
    for (struct node *n = list; n; n = n->next)
        crc ^= (uint16_t)(n->key + n->value);
    return crc16(crc, (uint32_t)list->key);
}

static NOINLINE uint16_t matrix_part(uint16_t crc)
{
    static int32_t a[DIM][DIM], b[DIM][DIM], c[DIM][DIM];
    for (int i = 0; i < DIM; i++)
        for (int j = 0; j < DIM; j++) {
            a[i][j] = (i * 7 + j * 3) % 17 - 8;
            b[i][j] = (i * 5 - j * 11) % 13;
        }
    for (int i = 0; i < DIM; i++)
        for (int j = 0; j < DIM; j++) {
            int32_t sum = 0;
            for (int k = 0; k < DIM; k++)
                sum += a[i][k] * b[k][j];
            c[i][j] = sum;
        }
    int32_t total = 0;
    for (int i = 0; i < DIM; i++)
        for (int j = 0; j < DIM; j++)
            total += c[i][j] > 0 ? c[i][j] : c[i][j] >> 2 & 0xff;
    return crc16(crc, (uint32_t)total);
}

enum scan { START, SIGN, DIGITS, POINT, FRACTION, EXPONENT, EXPSIGN, EXPDIGITS, BAD, STATES };

static enum scan scan_step(enum scan s, char c)
{
    int digit = c >= '0' && c <= '9';
    switch (s) {
    case START:
        return digit ? DIGITS : c == '+' || c == '-' ? SIGN : c == '.' ? POINT : BAD;
    case SIGN:
        return digit ? DIGITS : c == '.' ? POINT : BAD;
    case DIGITS:
        return digit ? DIGITS : c == '.' ? FRACTION : c == 'e' ? EXPONENT : BAD;
    case POINT:
        return digit ? FRACTION : BAD;
    case FRACTION:
        return digit ? FRACTION : c == 'e' ? EXPONENT : BAD;
    case EXPONENT:
        return digit ? EXPDIGITS : c == '+' || c == '-' ? EXPSIGN : BAD;
    case EXPSIGN:
        return digit ? EXPDIGITS : BAD;
    case EXPDIGITS:
        return digit ? EXPDIGITS : BAD;
    default:
        return BAD;
    }
}

static NOINLINE uint16_t scan_part(uint16_t crc)
{
    static const char *const words[] = {"5012,",       "-874,",  ".9311,", "35.54e-7,",
                                        "+0.644e+12,", "T0.3x,", "1e,",    "-.5,"};
    static char text[TEXT + 16];
    uint32_t counts[STATES] = {0};
    int n = 0;
    for (int i = 0; n < TEXT; i++)
        for (const char *w = words[i * 5 % 8]; *w && n < TEXT; w++)
            text[n++] = *w;
    enum scan s = START;
    for (int i = 0; i < n; i++) {
        if (text[i] == ',') {
            counts[s]++;
            s = START;
        } else {
            s = scan_step(s, text[i]);
        }
    }
    for (int i = 0; i < STATES; i++)
        crc = crc16(crc, counts[i]);
    return crc;
}

uint64_t corelike_round(void)
{
    uint16_t crc = 0xffff;
    for (int i = 0; i < 20; i++)
        crc = scan_part(matrix_part(list_part(crc)));
    return crc;
}
