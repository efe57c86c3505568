/* A disk in memory, for tests. */
#include "host/blk_driver.h"

#include <stdlib.h>

struct mem {
    struct blk_driver driver;
    uint8_t *data;
};

static struct mem *mem_of(struct blk_driver *d)
{
    return container_of(d, struct mem, driver);
}

static int mem_read(struct blk_driver *d, uint64_t offset, const struct iovec *iov,
                    unsigned iov_len)
{
    for (unsigned i = 0; i < iov_len; offset += iov[i++].iov_len)
        memcpy(iov[i].iov_base, mem_of(d)->data + offset, iov[i].iov_len);
    return 0;
}

static int mem_write(struct blk_driver *d, uint64_t offset, const struct iovec *iov,
                     unsigned iov_len)
{
    for (unsigned i = 0; i < iov_len; offset += iov[i++].iov_len)
        memcpy(mem_of(d)->data + offset, iov[i].iov_base, iov[i].iov_len);
    return 0;
}

static void mem_close(struct blk_driver *d)
{
    free(mem_of(d)->data);
    free(mem_of(d));
}

static const struct blk_driver_ops mem_ops = {
    .read = mem_read, .write = mem_write, .close = mem_close, .instant = true};

struct blk *blk_mem_create(uint64_t size_bytes, const struct blk_host *host)
{
    struct mem *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->data = calloc(1, size_bytes);
    m->driver = (struct blk_driver){.ops = &mem_ops, .size_bytes = size_bytes};
    struct blk *blk = NULL;
    if (m->data)
        blk = blk_create(&m->driver, "memory", host);
    else
        mem_close(&m->driver);
    return blk;
}

uint8_t *blk_mem_data(struct blk *blk)
{
    return mem_of(blk_driver_of(blk))->data;
}
