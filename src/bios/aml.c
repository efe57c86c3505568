/* See aml.h. */
#include "bios/aml.h"

#include <stdlib.h>

enum {
    OP_NAME = 0x08,
    OP_BYTE = 0x0a,
    OP_WORD = 0x0b,
    OP_DWORD = 0x0c,
    OP_STRING = 0x0d,
    OP_QWORD = 0x0e,
    OP_SCOPE = 0x10,
    OP_BUFFER = 0x11,
    OP_PACKAGE = 0x12,
    OP_METHOD = 0x14,
    OP_DUAL_NAME = 0x2e,
    OP_MULTI_NAME = 0x2f,
    OP_EXT = 0x5b,
    OP_EXT_REGION = 0x80,
    OP_EXT_FIELD = 0x81,
    OP_EXT_DEVICE = 0x82,
    OP_IF = 0xa0,
};

static void put(struct aml *a, const void *data, size_t len)
{
    if (a->failed)
        return;
    if (a->len + len > a->cap) {
        size_t cap = MAX(2 * a->cap, a->len + len + 1024);
        uint8_t *buf = realloc(a->buf, cap);
        if (!buf) {
            a->failed = true;
            return;
        }
        a->buf = buf;
        a->cap = cap;
    }
    memcpy(a->buf + a->len, data, len);
    a->len += len;
}

static void put_int(struct aml *a, uint64_t v, unsigned size)
{
    put(a, &v, size);
}

static void put_byte(struct aml *a, unsigned v)
{
    put_int(a, v, 1);
}

void aml_free(struct aml *a)
{
    free(a->buf);
    *a = (struct aml){0};
}

/* ---- names, ACPI 6.5 §20.2.2 "Name Objects Encoding" ---- */

static void put_segment(struct aml *a, const char *s, size_t len)
{
    char segment[4] = {'_', '_', '_', '_'};
    assert(len >= 1 && len <= 4);
    memcpy(segment, s, len);
    put(a, segment, 4);
}

static void put_name(struct aml *a, const char *name)
{
    for (; *name == '\\' || *name == '^'; name++)
        put_byte(a, (uint8_t)*name);
    unsigned segments = *name != 0;
    for (const char *s = name; *s; s++)
        segments += *s == '.';
    if (segments == 0)
        put_byte(a, 0);
    else if (segments == 2)
        put_byte(a, OP_DUAL_NAME);
    else if (segments > 2) {
        put_byte(a, OP_MULTI_NAME);
        put_byte(a, segments);
    }
    for (unsigned i = 0; i < segments; i++) {
        size_t len = strcspn(name, ".");
        put_segment(a, name, len);
        name += len + 1;
    }
}

/* ---- terms ---- */

void aml_op(struct aml *a, enum aml_opcode op)
{
    put_byte(a, op);
}

void aml_int(struct aml *a, uint64_t v)
{
    if (v <= 1) {
        put_byte(a, (unsigned)v);
        return;
    }
    unsigned size = v <= UINT8_MAX ? 1 : v <= UINT16_MAX ? 2 : v <= UINT32_MAX ? 4 : 8;
    put_byte(a, size == 1 ? OP_BYTE : size == 2 ? OP_WORD : size == 4 ? OP_DWORD : OP_QWORD);
    put_int(a, v, size);
}

void aml_string(struct aml *a, const char *s)
{
    put_byte(a, OP_STRING);
    put(a, s, strlen(s) + 1);
}

void aml_ref(struct aml *a, const char *name)
{
    put_name(a, name);
}

static unsigned hex_digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'A' + 10);
}

/* Three letters of five bits and four hexadecimal digits, as a big-endian number: §19.3.4. */
void aml_eisaid(struct aml *a, const char *id)
{
    assert(strlen(id) == 7);
    uint32_t v = 0;
    for (unsigned i = 0; i < 3; i++)
        v = v << 5 | (uint32_t)(id[i] - 0x40);
    for (unsigned i = 3; i < 7; i++)
        v = v << 4 | hex_digit(id[i]);
    aml_int(a, __builtin_bswap32(v));
}

void aml_name(struct aml *a, const char *name)
{
    put_byte(a, OP_NAME);
    put_name(a, name);
}

void aml_name_int(struct aml *a, const char *name, uint64_t v)
{
    aml_name(a, name);
    aml_int(a, v);
}

void aml_name_eisaid(struct aml *a, const char *name, const char *id)
{
    aml_name(a, name);
    aml_eisaid(a, id);
}

void aml_name_string(struct aml *a, const char *name, const char *s)
{
    aml_name(a, name);
    aml_string(a, s);
}

/* ---- what carries a length ---- */

static void open_package(struct aml *a)
{
    assert(a->depth < AML_MAX_DEPTH);
    a->open[a->depth].at = a->len;
    a->open[a->depth].resources = false;
    a->depth++;
}

void aml_scope(struct aml *a, const char *name)
{
    put_byte(a, OP_SCOPE);
    open_package(a);
    put_name(a, name);
}

void aml_device(struct aml *a, const char *name)
{
    put_byte(a, OP_EXT);
    put_byte(a, OP_EXT_DEVICE);
    open_package(a);
    put_name(a, name);
}

void aml_method(struct aml *a, const char *name, unsigned args, bool serialized)
{
    assert(args < 8);
    put_byte(a, OP_METHOD);
    open_package(a);
    put_name(a, name);
    put_byte(a, args | (serialized ? 8u : 0));
}

void aml_if(struct aml *a)
{
    put_byte(a, OP_IF);
    open_package(a);
}

void aml_package(struct aml *a, uint8_t elements)
{
    put_byte(a, OP_PACKAGE);
    open_package(a);
    put_byte(a, elements);
}

void aml_resources(struct aml *a)
{
    put_byte(a, OP_BUFFER);
    open_package(a);
    a->open[a->depth - 1].resources = true;
}

/* Moves what was written since at to make room for len bytes there. */
static void insert(struct aml *a, size_t at, const void *data, size_t len)
{
    size_t tail = a->len - at;
    put(a, data, len); /* for its length; where it goes is settled below */
    if (a->failed)
        return;
    memmove(a->buf + at + len, a->buf + at, tail);
    memcpy(a->buf + at, data, len);
}

/* §20.2.4 "Package Length Encoding"; the length counts its own bytes. */
static void insert_package_length(struct aml *a, size_t at)
{
    size_t len = a->len - at;
    uint8_t bytes[4];
    unsigned more = len + 1 < 0x40 ? 0 : len + 2 < 0x1000 ? 1 : len + 3 < 0x100000 ? 2 : 3;
    len += more + 1;
    if (more == 0) {
        bytes[0] = (uint8_t)len;
    } else {
        bytes[0] = (uint8_t)(more << 6 | (len & 0xf));
        for (unsigned i = 1; i <= more; i++)
            bytes[i] = (uint8_t)(len >> (8 * i - 4));
    }
    insert(a, at, bytes, more + 1);
}

void aml_close(struct aml *a)
{
    assert(a->depth > 0);
    a->depth--;
    size_t at = a->open[a->depth].at;
    if (a->open[a->depth].resources) {
        /* End tag (§6.4.2.9) with checksum 0, which means none; then the buffer's size in front. */
        put_int(a, 0x0079, 2);
        uint8_t size[3] = {OP_WORD};
        size_t bytes = a->len - at;
        if (bytes <= UINT8_MAX) {
            size[0] = OP_BYTE;
            size[1] = (uint8_t)bytes;
            insert(a, at, size, 2);
        } else {
            st16(size + 1, (uint16_t)bytes);
            insert(a, at, size, 3);
        }
    }
    insert_package_length(a, at);
}

/* §20.2.5.2 "Named Objects Encoding": DefOpRegion with RegionSpace PCI_Config, DefField. */
void aml_pci_region(struct aml *a, const char *name, uint8_t offset, uint8_t len)
{
    put_byte(a, OP_EXT);
    put_byte(a, OP_EXT_REGION);
    put_name(a, name);
    put_byte(a, 2);
    aml_int(a, offset);
    aml_int(a, len);
}

void aml_byte_field(struct aml *a, const char *region, const char *const *names, unsigned count)
{
    put_byte(a, OP_EXT);
    put_byte(a, OP_EXT_FIELD);
    open_package(a);
    put_name(a, region);
    put_byte(a, 1); /* ByteAcc, NoLock, Preserve */
    for (unsigned i = 0; i < count; i++) {
        put_segment(a, names[i], strlen(names[i]));
        put_byte(a, 8); /* bits */
    }
    aml_close(a);
}

/* ---- resource descriptors ---- */

/* §6.4.2.5 "I/O Port Descriptor": fixed at port, 16 bits decoded. */
void aml_res_io(struct aml *a, uint16_t port, uint8_t len)
{
    put_byte(a, 0x47);
    put_byte(a, 1);
    put_int(a, port, 2);
    put_int(a, port, 2);
    put_byte(a, 1);
    put_byte(a, len);
}

/* §6.4.2.1 "IRQ Descriptor", the form without flags. */
void aml_res_irq(struct aml *a, unsigned irq)
{
    put_byte(a, 0x22);
    put_int(a, BIT(irq), 2);
}

/* §6.4.2.2 "DMA Descriptor": 8 bits wide, compatible timing, no bus master. */
void aml_res_dma(struct aml *a, unsigned channel)
{
    put_byte(a, 0x2a);
    put_byte(a, BIT(channel));
    put_byte(a, 0);
}

/* §6.4.3.6 "Extended Interrupt Descriptor": consumer, level, active high, shared. */
void aml_res_interrupts(struct aml *a, const uint32_t *gsi, uint8_t count)
{
    put_byte(a, 0x89);
    put_int(a, 2u + 4u * count, 2);
    put_byte(a, 0x09);
    put_byte(a, count);
    for (unsigned i = 0; i < count; i++)
        put_int(a, gsi[i], 4);
}

/*
 * §6.4.3.5 "Address Space Resource Descriptors": what a bridge passes on to its other side
 * (producer), first and last fixed, decoded positively.
 */
static void put_range(struct aml *a, uint8_t tag, uint8_t type, uint8_t flags, uint64_t first,
                      uint64_t last, unsigned size)
{
    put_byte(a, tag);
    put_int(a, 3u + 5u * size, 2);
    put_byte(a, type);
    put_byte(a, 0x0c);
    put_byte(a, flags);
    put_int(a, 0, size); /* granularity */
    put_int(a, first, size);
    put_int(a, last, size);
    put_int(a, 0, size); /* translation */
    put_int(a, last - first + 1, size);
}

enum { RANGE_MEMORY, RANGE_IO, RANGE_BUS };
enum { TAG_DWORD = 0x87, TAG_WORD = 0x88, TAG_QWORD = 0x8a };

void aml_res_bus_range(struct aml *a, uint16_t first, uint16_t last)
{
    put_range(a, TAG_WORD, RANGE_BUS, 0, first, last, 2);
}

void aml_res_io_range(struct aml *a, uint16_t first, uint16_t last)
{
    put_range(a, TAG_WORD, RANGE_IO, 3 /* ISA and other ports */, first, last, 2);
}

/* Memory flags, §6.4.3.5.5: read and write; cacheable or not. */
static uint8_t memory_flags(bool cacheable)
{
    return cacheable ? 3 : 1;
}

void aml_res_memory_range(struct aml *a, uint32_t first, uint32_t last, bool cacheable)
{
    put_range(a, TAG_DWORD, RANGE_MEMORY, memory_flags(cacheable), first, last, 4);
}

void aml_res_memory_range64(struct aml *a, uint64_t first, uint64_t last, bool cacheable)
{
    put_range(a, TAG_QWORD, RANGE_MEMORY, memory_flags(cacheable), first, last, 8);
}

/* §6.4.3.4 "32-Bit Fixed Memory Range Descriptor". */
void aml_res_memory_fixed(struct aml *a, uint32_t base, uint32_t len)
{
    put_byte(a, 0x86);
    put_int(a, 9, 2);
    put_byte(a, 0);
    put_int(a, base, 4);
    put_int(a, len, 4);
}
