/*
 * The back-end of tests: output gathers in memory, input is handed to the front end at once, as
 * far as it has room, the rest when the front end asks for it.
 */
#include "host/chr_io.h"

#include <stdlib.h>

struct chr_mem {
    struct chr chr;
    uint8_t *out, *in;
    size_t out_len, in_len;
    bool delivering; /* the front end may call chr_accept_input() from receive() */
};

static struct chr_mem *mem_of(struct chr *chr)
{
    return container_of(chr, struct chr_mem, chr);
}

static void append(uint8_t **buf, size_t *len, const void *from, size_t n)
{
    if (!n)
        return;
    *buf = realloc(*buf, *len + n + 1);
    assert(*buf && "tests have memory");
    memcpy(*buf + *len, from, n);
    *len += n;
    (*buf)[*len] = '\0';
}

static void mem_write(struct chr *chr, const uint8_t *buf, size_t len)
{
    struct chr_mem *m = mem_of(chr);
    append(&m->out, &m->out_len, buf, len);
}

static void mem_accept_input(struct chr *chr)
{
    struct chr_mem *m = mem_of(chr);
    if (m->delivering)
        return;
    m->delivering = true;
    size_t n;
    while (m->in_len && (n = MIN(chr_room(chr), m->in_len)) > 0) {
        uint8_t *now = m->in; /* the front end may make more input come in */
        const size_t total = m->in_len;
        m->in = NULL;
        m->in_len = 0;
        append(&m->in, &m->in_len, now + n, total - n);
        chr_deliver(chr, now, n);
        free(now);
    }
    m->delivering = false;
}

static void mem_close(struct chr *chr)
{
    struct chr_mem *m = mem_of(chr);
    free(m->out);
    free(m->in);
    chr_free(chr);
}

struct chr *chr_mem_create(const char *label)
{
    static const struct chr_ops ops = {mem_write, mem_accept_input, mem_close};
    struct chr_mem *m = calloc(1, sizeof *m);
    if (!m || !chr_init(&m->chr, &ops, &(struct chr_host){.label = label})) {
        free(m);
        return NULL;
    }
    m->chr.connected = true;
    return &m->chr;
}

const char *chr_mem_output(struct chr *chr, size_t *len)
{
    struct chr_mem *m = mem_of(chr);
    if (len)
        *len = m->out_len;
    return m->out ? (const char *)m->out : "";
}

void chr_mem_input(struct chr *chr, const void *buf, size_t len)
{
    struct chr_mem *m = mem_of(chr);
    append(&m->in, &m->in_len, buf, len);
    mem_accept_input(chr);
}
