/* The back-end that takes everything and says nothing. */
#include "host/chr_io.h"

#include <stdlib.h>

static void null_write(struct chr *chr, const uint8_t *buf, size_t len)
{
    (void)chr;
    (void)buf;
    (void)len;
}

struct chr *chr_null_create(const struct chr_host *host, struct error *err)
{
    static const struct chr_ops ops = {.write = null_write, .close = chr_free};
    struct chr *chr = malloc(sizeof *chr);
    if (chr && chr_init(chr, &ops, host))
        return chr;
    free(chr);
    error_set(err, "%s: out of memory", host->label);
    return NULL;
}
