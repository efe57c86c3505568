/* See kernel_bytes.h. */
#include "bios/kernel_bytes.h"

#include <stdlib.h>

bool kernel_bytes_add(struct kernel_bytes *b, const struct kernel_piece *piece)
{
    struct kernel_piece *p = realloc(b->piece, (b->count + 1) * sizeof *p);
    if (!p)
        return false;
    p[b->count++] = *piece;
    host_file_share(piece->file);
    b->piece = p;
    b->len += piece->len;
    return true;
}

void kernel_bytes_clear(struct kernel_bytes *b)
{
    for (unsigned i = 0; i < b->count; i++)
        host_file_close(b->piece[i].file);
    free(b->piece);
    *b = (struct kernel_bytes){0};
}

static void read_piece(const struct kernel_piece *p, uint64_t at, uint8_t *buf, size_t len,
                       struct log *log)
{
    const size_t filled = at < p->filled ? MIN(len, p->filled - at) : 0;
    if (filled)
        host_file_fetch(p->file, p->from + at, buf, filled, log);
    memset(buf + filled, 0, len - filled);
}

static void read_bytes(void *opaque, uint64_t at, void *buf, size_t len, struct log *log)
{
    const struct kernel_bytes *b = opaque;
    uint8_t *out = buf;
    for (unsigned i = 0; len && i < b->count; i++) {
        const struct kernel_piece *p = &b->piece[i];
        if (at >= p->len) {
            at -= p->len;
            continue;
        }
        const size_t n = MIN(len, p->len - at);
        read_piece(p, at, out, n, log);
        out += n;
        len -= n;
        at = 0;
    }
    memset(out, 0, len);
}

static void close_bytes(void *opaque)
{
    kernel_bytes_clear(opaque);
    free(opaque);
}

bool kernel_bytes_give(struct kernel_bytes *b, struct fwcfg *fw, uint16_t key, struct error *err)
{
    struct kernel_bytes *given = malloc(sizeof *given);
    if (!given)
        return error_set(err, "out of memory");
    *given = *b;
    *b = (struct kernel_bytes){0};
    fwcfg_give_source(fw, key, &(struct fwcfg_source){given->len, read_bytes, close_bytes, given});
    return true;
}
