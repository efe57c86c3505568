/*
 * ACPI tables: the emulator builds them, and a script that says where they go (QEMU,
 * hw/acpi/bios-linker-loader.c has the format in words). A command is 128 bytes:
 *
 *      1  ALLOCATE      file, alignment, zone: high memory (1) or segment F000h (2)
 *      2  ADD_POINTER   in file dest at offset: add the address of file src
 *      3  ADD_CHECKSUM  in file at offset: make the bytes from start on sum to 0
 *      4  WRITE_POINTER as 2, but into a file that the emulator reads back
 */
#include "fwcfg.h"
#include "post.h"
#include "print.h"
#include "ram.h"

#define LOADER_FILE "etc/table-loader"
#define NAME_BYTES  56
#define MAX_FILES   16

enum { ALLOCATE = 1, ADD_POINTER = 2, ADD_CHECKSUM = 3, WRITE_POINTER = 4 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };

struct command {
    uint32_t kind;
    union {
        struct {
            char file[NAME_BYTES];
            uint32_t align;
            uint8_t zone;
        } PACKED allocate;
        struct {
            char dest[NAME_BYTES], src[NAME_BYTES];
            uint32_t offset;
            uint8_t bytes;
        } PACKED pointer;
        struct {
            char file[NAME_BYTES];
            uint32_t offset, start, length;
        } PACKED checksum;
        struct {
            char dest[NAME_BYTES], src[NAME_BYTES];
            uint32_t dest_offset, src_offset;
            uint8_t bytes;
        } PACKED write;
        uint8_t pad[124];
    };
} PACKED;

_Static_assert(sizeof(struct command) == 128, "bios-linker-loader");

struct loaded {
    char name[NAME_BYTES];
    uint8_t *data;
    uint32_t size;
};

static struct loaded files[MAX_FILES];
static unsigned file_count;

static struct loaded *find(const char *name)
{
    for (unsigned i = 0; i < file_count; i++)
        if (!strncmp(files[i].name, name, NAME_BYTES))
            return &files[i];
    return NULL;
}

static bool within(const struct loaded *f, uint32_t offset, uint32_t bytes)
{
    return f && offset <= f->size && bytes <= f->size - offset;
}

static bool allocate(const struct command *c)
{
    struct fwcfg_file f;
    const uint32_t align = c->allocate.align;
    if (file_count == MAX_FILES || !align || (align & (align - 1)) ||
        !fwcfg_find(c->allocate.file, &f))
        return false;
    void *data =
        c->allocate.zone == ZONE_FSEG ? alloc_fseg(f.size, align) : alloc_high(f.size, align);
    if (!data)
        return false;
    struct loaded *l = &files[file_count++];
    memcpy(l->name, c->allocate.file, NAME_BYTES);
    l->data = data;
    l->size = f.size;
    fwcfg_read(f.key, data, f.size);
    return true;
}

static bool add_pointer(const struct command *c)
{
    struct loaded *dest = find(c->pointer.dest);
    const struct loaded *src = find(c->pointer.src);
    const uint8_t bytes = c->pointer.bytes;
    uint64_t v = 0;
    if (!src || bytes > sizeof v || !within(dest, c->pointer.offset, bytes))
        return false;
    memcpy(&v, dest->data + c->pointer.offset, bytes);
    v += (uint32_t)src->data;
    memcpy(dest->data + c->pointer.offset, &v, bytes);
    return true;
}

static bool add_checksum(const struct command *c)
{
    struct loaded *f = find(c->checksum.file);
    if (!within(f, c->checksum.start, c->checksum.length) || !within(f, c->checksum.offset, 1))
        return false;
    uint8_t *at = f->data + c->checksum.offset;
    *at = (uint8_t)(*at + zero_sum(f->data + c->checksum.start, c->checksum.length));
    return true;
}

static bool write_pointer(const struct command *c)
{
    struct fwcfg_file dest;
    const struct loaded *src = find(c->write.src);
    if (!src || c->write.bytes > 8 || c->write.src_offset > src->size ||
        !fwcfg_find(c->write.dest, &dest))
        return false;
    const uint64_t v = (uint32_t)src->data + c->write.src_offset;
    return fwcfg_write(dest.key, c->write.dest_offset, &v, c->write.bytes);
}

static bool run(const struct command *c)
{
    switch (c->kind) {
    case ALLOCATE:
        return allocate(c);
    case ADD_POINTER:
        return add_pointer(c);
    case ADD_CHECKSUM:
        return add_checksum(c);
    case WRITE_POINTER:
        return write_pointer(c);
    default:
        return true; /* a later invention */
    }
}

void acpi_init(void)
{
    struct fwcfg_file f;
    if (!fwcfg_find(LOADER_FILE, &f))
        return;
    struct command *script = alloc_temp(f.size);
    if (!script) {
        print("ACPI: the script of %u bytes is too long; no tables\n", f.size);
        return;
    }
    fwcfg_read(f.key, script, f.size);
    for (unsigned i = 0; i < f.size / sizeof *script; i++)
        if (!run(&script[i])) {
            print("ACPI: command %u of the table loader (kind %u) cannot be done\n", i,
                  script[i].kind);
            break;
        }
    free_temp(script);
}
