/*
 * See smbios.h. System Management BIOS Reference Specification (DMTF DSP0134) 2.8, with its 32-bit
 * entry point: types 1, 3, 4, 16, 17, 19, 32 and 127. A structure is a header (type, length,
 * handle), its fields, and its strings, each ended by a NUL and all of them by another one; fields
 * name strings by number, 0 for none.
 *
 * Left out: type 0, which is the firmware's to tell; slots, ports, caches, sensors.
 */
#include "bios/smbios.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_DIMM_BYTES (16 * GiB)

enum {
    HANDLE_SYSTEM = 0x100,
    HANDLE_CHASSIS = 0x300,
    HANDLE_PROCESSOR = 0x400,
    HANDLE_ARRAY = 0x1000,
    HANDLE_DEVICE = 0x1100,
    HANDLE_MAPPED = 0x1300,
    HANDLE_BOOT = 0x2000,
    HANDLE_END = 0x7f00,
    NO_HANDLE = 0xffff,
    NO_ERROR_INFORMATION = 0xfffe,
};

enum { STRUCTURE_MAX = 512 };

struct builder {
    uint8_t *data;
    size_t len, cap;
    bool failed;
    unsigned structures;
    size_t longest;
    /* The open structure. */
    uint8_t fields[STRUCTURE_MAX], strings[STRUCTURE_MAX];
    size_t fields_len, strings_len;
    uint8_t string_count;
};

static void put(struct builder *b, uint64_t v, unsigned size)
{
    assert(b->fields_len + size <= sizeof b->fields);
    st_le(b->fields + b->fields_len, v, size);
    b->fields_len += size;
}

static void put_bytes(struct builder *b, const void *p, size_t n)
{
    assert(b->fields_len + n <= sizeof b->fields);
    memcpy(b->fields + b->fields_len, p, n);
    b->fields_len += n;
}

static void put_string(struct builder *b, const char *s)
{
    size_t n = strlen(s) + 1;
    assert(b->strings_len + n < sizeof b->strings);
    memcpy(b->strings + b->strings_len, s, n);
    b->strings_len += n;
    put(b, ++b->string_count, 1);
}

static void begin(struct builder *b, uint8_t type, uint16_t handle)
{
    b->fields_len = b->strings_len = b->string_count = 0;
    put(b, type, 1);
    put(b, 0, 1);
    put(b, handle, 2);
}

static void end(struct builder *b)
{
    b->fields[1] = (uint8_t)b->fields_len;
    b->strings[b->strings_len++] = 0;
    if (b->string_count == 0)
        b->strings[b->strings_len++] = 0;
    size_t len = b->fields_len + b->strings_len;
    if (b->len + len > b->cap) {
        size_t cap = b->len + len + 4096;
        uint8_t *data = realloc(b->data, cap);
        if (!data) {
            b->failed = true;
            return;
        }
        b->data = data;
        b->cap = cap;
    }
    memcpy(b->data + b->len, b->fields, b->fields_len);
    memcpy(b->data + b->len + b->fields_len, b->strings, b->strings_len);
    b->len += len;
    b->longest = MAX(b->longest, len);
    b->structures++;
}

/* DSP0134 §7.2 "System Information (Type 1)". */
static void build_system(struct builder *b, const struct smbios_board *board)
{
    uint8_t uuid[16] = {0}; /* all zeros: not set */
    if (board->uuid_set) {
        /* §7.2.1 "System — UUID": the first three fields are little-endian. */
        static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
        for (unsigned i = 0; i < 16; i++)
            uuid[i] = board->uuid[order[i]];
    }
    begin(b, 1, HANDLE_SYSTEM);
    put_string(b, "Vitrine");
    put_string(b, "Standard PC (i440FX + PIIX, 1996)");
    put_string(b, "pc-i440fx");
    put(b, 0, 1); /* no serial number */
    put_bytes(b, uuid, sizeof uuid);
    put(b, 6, 1); /* wake-up type: power switch */
    put(b, 0, 1); /* no SKU number, no family */
    put(b, 0, 1);
    end(b);
}

/* §7.4 "System Enclosure or Chassis (Type 3)". */
static void build_chassis(struct builder *b)
{
    begin(b, 3, HANDLE_CHASSIS);
    put_string(b, "Vitrine");
    put(b, 1, 1); /* other */
    put_string(b, "pc-i440fx");
    put(b, 0, 1); /* no serial number, no asset tag */
    put(b, 0, 1);
    put(b, 3, 1); /* boot-up, power supply and thermal state: safe */
    put(b, 3, 1);
    put(b, 3, 1);
    put(b, 2, 1); /* security status: unknown */
    put(b, 0, 4);
    put(b, 0, 1); /* height, power cords: not said */
    put(b, 0, 1);
    put(b, 0, 1); /* contained elements, and their length */
    put(b, 0, 1);
    put(b, 0, 1); /* no SKU number */
    end(b);
}

/* §7.5 "Processor Information (Type 4)": socket n, which holds this many of the CPUs. */
static void build_processor(struct builder *b, const struct smbios_board *board, unsigned n,
                            unsigned cpus)
{
    const unsigned threads = topology_threads(&board->topology);
    const unsigned cores = topology_cores(&board->topology);
    char name[16];
    snprintf(name, sizeof name, "CPU %u", n);
    begin(b, 4, (uint16_t)(HANDLE_PROCESSOR + n));
    put_string(b, name);
    put(b, 3, 1); /* central processor */
    put(b, 1, 1); /* family: other */
    put_string(b, "Vitrine");
    put(b, board->cpu_signature, 4);
    put(b, board->cpu_features, 4);
    put_string(b, "pc-i440fx");
    put(b, 0, 1); /* voltage: not known */
    put(b, 0, 2); /* external clock, maximum and current speed: not known */
    put(b, 0, 2);
    put(b, 0, 2);
    put(b, 0x41, 1); /* socket populated, CPU enabled */
    put(b, 1, 1);    /* upgrade: other */
    put(b, NO_HANDLE, 2);
    put(b, NO_HANDLE, 2);
    put(b, NO_HANDLE, 2);
    put(b, 0, 1); /* no serial number, asset tag, part number */
    put(b, 0, 1);
    put(b, 0, 1);
    put(b, cores, 1); /* cores, cores enabled, threads: 255 at most */
    put(b, (cpus + threads - 1) / threads, 1);
    put(b, cores * threads, 1);
    put(b, BIT(2), 2); /* characteristics: 64-bit capable */
    put(b, 1, 2);      /* family again, for 2.6 */
    end(b);
}

static void build_processors(struct builder *b, const struct smbios_board *board)
{
    const unsigned each = topology_socket_cpus(&board->topology);
    for (unsigned n = 0; n * each < board->cpus; n++)
        build_processor(b, board, n, MIN(board->cpus - n * each, each));
}

/* §7.17 "Physical Memory Array (Type 16)". */
static void build_array(struct builder *b, uint64_t ram_bytes, unsigned dimms)
{
    bool extended = ram_bytes >= 2 * TiB;
    begin(b, 16, HANDLE_ARRAY);
    put(b, 1, 1); /* location: other */
    put(b, 3, 1); /* use: system memory */
    put(b, 3, 1); /* error correction: none */
    put(b, extended ? 0x80000000 : ram_bytes / KiB, 4);
    put(b, NO_ERROR_INFORMATION, 2);
    put(b, dimms, 2);
    put(b, extended ? ram_bytes : 0, 8);
    end(b);
}

/* §7.18 "Memory Device (Type 17)". */
static void build_device(struct builder *b, unsigned n, uint64_t bytes)
{
    char name[16];
    uint64_t mib = bytes / MiB;
    bool extended = mib >= 0x7fff;
    snprintf(name, sizeof name, "DIMM %u", n);
    begin(b, 17, (uint16_t)(HANDLE_DEVICE + n));
    put(b, HANDLE_ARRAY, 2);
    put(b, NO_ERROR_INFORMATION, 2);
    put(b, 0xffff, 2); /* total and data width: not known */
    put(b, 0xffff, 2);
    if (bytes < MiB)
        put(b, 0x8000 | bytes / KiB, 2); /* bit 15: in KiB */
    else
        put(b, extended ? 0x7fff : mib, 2);
    put(b, 9, 1); /* form factor: DIMM */
    put(b, 0, 1); /* of no set */
    put_string(b, name);
    put(b, 0, 1);      /* no bank locator */
    put(b, 7, 1);      /* type: RAM */
    put(b, BIT(1), 2); /* detail: other */
    put(b, 0, 2);      /* speed: not known */
    put_string(b, "Vitrine");
    put(b, 0, 1); /* no serial number, asset tag, part number */
    put(b, 0, 1);
    put(b, 0, 1);
    put(b, 0, 1); /* rank: not known */
    put(b, extended ? mib : 0, 4);
    put(b, 0, 2); /* configured speed, voltages: not known */
    put(b, 0, 2);
    put(b, 0, 2);
    put(b, 0, 2);
    end(b);
}

/* §7.20 "Memory Array Mapped Address (Type 19)". */
static void build_mapped(struct builder *b, unsigned n, uint64_t first, uint64_t bytes)
{
    uint64_t last = first + bytes - 1;
    bool extended = last / KiB >= UINT32_MAX;
    begin(b, 19, (uint16_t)(HANDLE_MAPPED + n));
    put(b, extended ? UINT32_MAX : first / KiB, 4);
    put(b, extended ? UINT32_MAX : last / KiB, 4);
    put(b, HANDLE_ARRAY, 2);
    put(b, 1, 1); /* partition width */
    put(b, extended ? first : 0, 8);
    put(b, extended ? last : 0, 8);
    end(b);
}

static void build_memory(struct builder *b, const struct smbios_board *board)
{
    uint64_t ram = board->below_4g + board->above_4g;
    unsigned dimms = (unsigned)((ram + MAX_DIMM_BYTES - 1) / MAX_DIMM_BYTES);
    build_array(b, ram, dimms);
    for (unsigned n = 0; n < dimms; n++)
        build_device(b, n, MIN(ram - n * MAX_DIMM_BYTES, MAX_DIMM_BYTES));
    build_mapped(b, 0, 0, board->below_4g);
    if (board->above_4g)
        build_mapped(b, 1, 4 * GiB, board->above_4g);
}

/* §7.33 "System Boot Information (Type 32)", §7.45 "End-of-Table (Type 127)". */
static void build_end(struct builder *b)
{
    begin(b, 32, HANDLE_BOOT);
    put(b, 0, 6);
    put(b, 0, 1); /* no errors detected */
    end(b);
    begin(b, 127, HANDLE_END);
    end(b);
}

/* §5.2.1 "SMBIOS 2.1 (32-bit) Entry Point"; address and checksums are the firmware's to fill in. */
static void build_anchor(const struct builder *b, uint8_t *anchor)
{
    memset(anchor, 0, SMBIOS_ANCHOR_BYTES);
    memcpy(anchor, "_SM_", 4);
    anchor[5] = SMBIOS_ANCHOR_BYTES;
    anchor[6] = 2;
    anchor[7] = 8;
    st16(anchor + 8, (uint16_t)b->longest);
    memcpy(anchor + 16, "_DMI_", 5);
    st16(anchor + 22, (uint16_t)b->len);
    st16(anchor + 28, (uint16_t)b->structures);
    anchor[30] = 0x28;
}

bool smbios_build(const struct smbios_board *board, struct smbios_blobs *blobs)
{
    struct builder b = {0};
    build_system(&b, board);
    build_chassis(&b);
    build_processors(&b, board);
    build_memory(&b, board);
    build_end(&b);
    build_anchor(&b, blobs->anchor);
    blobs->tables = b.data;
    blobs->tables_len = b.len;
    assert(b.len <= UINT16_MAX);
    if (!b.failed)
        return true;
    smbios_blobs_free(blobs);
    return false;
}

void smbios_blobs_free(struct smbios_blobs *blobs)
{
    free(blobs->tables);
    blobs->tables = NULL;
}
