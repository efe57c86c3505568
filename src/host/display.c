/*
 * See display.h. PNG as in the W3C recommendation (2nd edition): one IHDR, one IDAT, one IEND;
 * 8-bit RGB, each line filtered by "Up", which suits screens. PPM as in netpbm's ppm(5), raw.
 *
 * The whole file is made in memory first, so that what can fail on disk is one write.
 */
#include "host/display.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* No screen is larger; keeps all sizes below far from overflow. */
#define MAX_SIDE 16384u

struct file_image {
    uint8_t *data;
    size_t len;
};

void surface_free(struct surface *s)
{
    free(s->pixels);
    *s = (struct surface){0};
}

uint64_t surface_hash(const struct surface *s)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    const uint32_t head[2] = {s->width, s->height};
    const size_t pixels = (size_t)s->width * s->height;
    for (size_t i = 0; i < 2 + pixels; i++) {
        const uint32_t word = i < 2 ? head[i] : s->pixels[i - 2];
        for (unsigned byte = 0; byte < 4; byte++)
            hash = (hash ^ (word >> (8 * byte) & 0xff)) * UINT64_C(0x100000001b3);
    }
    return hash;
}

void line_set_add_range(struct line_set *set, uint32_t first, uint32_t count)
{
    const uint32_t end = MIN(first + count, (uint32_t)DISPLAY_MAX_LINES);
    for (uint32_t line = first; line < end; line++)
        line_set_add(set, line);
}

/* The first line at or after from that is in the set (or is not, by wanted); the limit if none. */
static uint32_t next_line(const struct line_set *set, uint32_t from, bool wanted)
{
    while (from < DISPLAY_MAX_LINES) {
        const uint64_t word = wanted ? set->bits[from / 64] : ~set->bits[from / 64];
        const uint64_t rest = word >> (from % 64);
        if (rest)
            return from + (uint32_t)__builtin_ctzll(rest);
        from = (from / 64 + 1) * 64;
    }
    return DISPLAY_MAX_LINES;
}

uint32_t line_set_run(const struct line_set *set, uint32_t *first)
{
    *first = next_line(set, *first, true);
    return next_line(set, *first, false) - *first;
}

static void put_rgb(uint8_t *out, uint32_t pixel)
{
    out[0] = (uint8_t)(pixel >> 16);
    out[1] = (uint8_t)(pixel >> 8);
    out[2] = (uint8_t)pixel;
}

static bool make_ppm(const struct surface *s, struct file_image *f)
{
    const size_t pixels = (size_t)s->width * s->height;
    f->data = malloc(32 + pixels * 3);
    if (!f->data)
        return false;
    f->len = (size_t)snprintf((char *)f->data, 32, "P6\n%u %u\n255\n", s->width, s->height);
    for (size_t i = 0; i < pixels; i++, f->len += 3)
        put_rgb(f->data + f->len, s->pixels[i]);
    return true;
}

static void put_be32(uint8_t *out, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* Closes the chunk at f's end whose len bytes of data are in place behind its 8-byte head. */
static void end_chunk(struct file_image *f, const char type[4], uint32_t len)
{
    uint8_t *chunk = f->data + f->len;
    put_be32(chunk, len);
    memcpy(chunk + 4, type, 4);
    put_be32(chunk + 8 + len, (uint32_t)crc32(0, chunk + 4, len + 4));
    f->len += 12 + (size_t)len;
}

/* Each line: filter type 2, then every byte less the one above it. */
static uint8_t *filtered(const struct surface *s, size_t *len)
{
    const size_t stride = 1 + (size_t)s->width * 3;
    uint8_t *raw = malloc(stride * s->height);
    if (!raw)
        return NULL;
    for (uint32_t y = 0; y < s->height; y++) {
        uint8_t *line = raw + y * stride;
        const uint32_t *in = s->pixels + (size_t)y * s->width;
        line[0] = 2;
        for (uint32_t x = 0; x < s->width; x++) {
            uint8_t here[3], above[3] = {0};
            put_rgb(here, in[x]);
            if (y)
                put_rgb(above, (in - s->width)[x]);
            for (unsigned i = 0; i < 3; i++)
                line[1 + 3 * x + i] = (uint8_t)(here[i] - above[i]);
        }
    }
    *len = stride * s->height;
    return raw;
}

static bool make_png(const struct surface *s, struct file_image *f)
{
    static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    size_t raw_len;
    uint8_t *raw = filtered(s, &raw_len);
    if (!raw)
        return false;
    uLongf packed = compressBound(raw_len);
    f->data = malloc(sizeof signature + (12 + 13) + (12 + packed) + 12);
    if (!f->data) {
        free(raw);
        return false;
    }
    memcpy(f->data, signature, sizeof signature);
    f->len = sizeof signature;

    uint8_t *ihdr = f->data + f->len + 8;
    put_be32(ihdr, s->width);
    put_be32(ihdr + 4, s->height);
    memcpy(ihdr + 8, (const uint8_t[]){8, 2, 0, 0, 0}, 5); /* 8 bits, RGB, no interlace */
    end_chunk(f, "IHDR", 13);

    const int z = compress2(f->data + f->len + 8, &packed, raw, raw_len, Z_DEFAULT_COMPRESSION);
    free(raw);
    if (z != Z_OK)
        return false;
    end_chunk(f, "IDAT", (uint32_t)packed);
    end_chunk(f, "IEND", 0);
    return true;
}

/* All or nothing: what could not be completed is removed again, unless it is a pipe or a device. */
static bool store(const struct file_image *f, const char *path, struct error *err)
{
    FILE *out = fopen(path, "wb");
    if (!out)
        return error_set(err, "cannot write picture %s: %s", path, strerror(errno));
    struct stat st;
    const bool regular = fstat(fileno(out), &st) == 0 && S_ISREG(st.st_mode);
    setvbuf(out, NULL, _IONBF, 0);
    int failure = fwrite(f->data, 1, f->len, out) == f->len ? 0 : errno;
    if (fclose(out) != 0 && !failure)
        failure = errno;
    if (!failure)
        return true;
    if (regular)
        unlink(path);
    if (failure == ENOSPC || failure == EDQUOT)
        return error_set(err, "cannot write picture %s: disk full (%zu bytes needed)", path,
                         f->len);
    return error_set(err, "cannot write picture %s: %s", path, strerror(failure));
}

bool surface_write(const struct surface *s, const char *path, enum surface_format format,
                   struct error *err)
{
    if (!s->pixels || !s->width || !s->height || s->width > MAX_SIDE || s->height > MAX_SIDE)
        return error_set(err, "cannot write picture %s: there is no picture", path);
    struct file_image f = {0};
    const bool made = format == SURFACE_PPM ? make_ppm(s, &f) : make_png(s, &f);
    const bool ok = made ? store(&f, path, err)
                         : error_set(err, "cannot write picture %s: out of memory", path);
    free(f.data);
    return ok;
}
