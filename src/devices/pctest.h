/* pc-testdev: a scratch register, interrupt lines and I/O memory for test programs in the guest. */
#ifndef VITRINE_DEVICES_PCTEST_H
#define VITRINE_DEVICES_PCTEST_H

#include "core/device.h"
#include "mmu/iomap.h"
#include "mmu/memmap.h"

#define PCTEST_LINES     24
#define PCTEST_MEM_BYTES (64 * KiB)
#define PCTEST_MEM_BASE  UINT64_C(0xff000000)

struct pctest_config {
    struct iomap *io;
    struct memmap *mem;
    struct log *log;
    struct irq_line line[PCTEST_LINES]; /* driven by ports 2000h on; unset: not driven */
};

struct pctest;

/* NULL: out of memory. */
struct pctest *pctest_create(struct device_list *devices, const struct pctest_config *cfg);

#endif
