/* See cdsector.h. */
#include "devices/cdsector.h"

enum { HEADER = 12, USER = 16, EDC = 2064, ECC = 2076 };
enum { Q0 = 43 * 26, Q1 = Q0 + 26 }; /* words from the header on */

/* ECMA-130 §14.3 "EDC field": the polynomial with its bits reversed, the lowest comes first. */
static uint32_t edc(const uint8_t *p, unsigned len)
{
    uint32_t crc = 0;
    for (unsigned i = 0; i < len; i++) {
        crc ^= p[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xD8018001) : 0);
    }
    return crc;
}

/* ECMA-130 annex A "Error correction encoding by RSPC": GF(2^8) over x^8 + x^4 + x^3 + x^2 + 1. */
static uint8_t times_a(uint8_t v)
{
    return (uint8_t)(v << 1 ^ (v & 0x80 ? 0x1D : 0));
}

static uint8_t times(uint8_t v, uint8_t by)
{
    uint8_t sum = 0;
    for (; by; by >>= 1, v = times_a(v))
        if (by & 1)
            sum ^= v;
    return sum;
}

#define INVERSE_OF_A_PLUS_1 0xF4

/*
 * Two parity bytes p0, p1 behind count bytes v such that
 *      sum of all = 0   and   sum of all, each times a^(places behind it) = 0:
 *      p0 + p1 = S,  a p0 + p1 = T  =>  p0 = (S + T) / (a + 1),  p1 = S + p0
 */
static void parity(const uint8_t *v, unsigned count, uint8_t *p0, uint8_t *p1)
{
    uint8_t s = 0, t = 0;
    for (unsigned i = 0; i < count; i++) {
        s ^= v[i];
        t = times_a(t) ^ v[i];
    }
    t = times_a(times_a(t));
    *p0 = times(s ^ t, INVERSE_OF_A_PLUS_1);
    *p1 = s ^ *p0;
}

/* Words from the header on, low and high bytes each a code of its own: 43 columns of 24 get P, then
 * 26 diagonals of 43 (P among them) get Q. */
static void put_ecc(uint8_t *raw)
{
    uint8_t *const word = raw + HEADER;
    uint8_t v[43];
    for (unsigned byte = 0; byte < 2; byte++) {
        for (unsigned n = 0; n < 43; n++) {
            for (unsigned m = 0; m < 24; m++)
                v[m] = word[2 * (43 * m + n) + byte];
            parity(v, 24, &word[2 * (43 * 24 + n) + byte], &word[2 * (43 * 25 + n) + byte]);
        }
        for (unsigned n = 0; n < 26; n++) {
            for (unsigned m = 0; m < 43; m++)
                v[m] = word[2 * ((44 * m + 43 * n) % 1118) + byte];
            parity(v, 43, &word[2 * (Q0 + n) + byte], &word[2 * (Q1 + n) + byte]);
        }
    }
}

static uint8_t bcd(uint8_t v)
{
    return (uint8_t)(v / 10 << 4 | v % 10);
}

void cdsector_build(uint8_t raw[CD_RAW_BYTES], uint32_t lba, const uint8_t user[CD_USER_BYTES])
{
    uint8_t msf[3];
    memmove(raw + USER, user, CD_USER_BYTES);
    memset(raw, 0xFF, HEADER);
    raw[0] = raw[11] = 0;
    cdsector_msf(lba, msf);
    for (unsigned i = 0; i < 3; i++)
        raw[HEADER + i] = bcd(msf[i]);
    raw[HEADER + 3] = 1; /* mode */
    st32(raw + EDC, edc(raw, EDC));
    memset(raw + EDC + 4, 0, ECC - EDC - 4);
    put_ecc(raw);
}

static const struct {
    uint8_t part;
    uint16_t start, bytes;
} parts_of[] = {
    {CD_SYNC, 0, HEADER},
    {CD_HEADER, HEADER, USER - HEADER},
    {CD_USER, USER, CD_USER_BYTES},
    {CD_EDC, EDC, CD_RAW_BYTES - EDC},
};

uint32_t cdsector_start(uint8_t parts)
{
    for (unsigned i = 0; i < ARRAY_SIZE(parts_of); i++)
        if (parts & parts_of[i].part)
            return parts_of[i].start;
    return 0;
}

uint32_t cdsector_bytes(uint8_t parts)
{
    uint32_t bytes = 0, end = cdsector_start(parts);
    for (unsigned i = 0; i < ARRAY_SIZE(parts_of); i++) {
        if (!(parts & parts_of[i].part))
            continue;
        if (parts_of[i].start != end)
            return 0;
        bytes += parts_of[i].bytes;
        end += parts_of[i].bytes;
    }
    return bytes;
}
