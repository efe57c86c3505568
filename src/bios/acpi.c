/*
 * See acpi.h. The tables of ACPI 6.5 §5.2 "ACPI System Description Tables" in one blob:
 *
 *   FACS                 §5.2.10   firmware control structure
 *   DSDT                 §5.2.11   dsdt.c
 *   FADT (revision 3)    §5.2.9    fixed hardware: the PIIX4's registers, wherever PMBASE is
 *   MADT                 §5.2.12   local APICs, IOAPIC, ISA lines that differ from ISA's rules
 *   WAET                 Windows ACPI Emulated Devices Table: the PM timer needs no read twice
 *   RSDT, XSDT           §5.2.7, §5.2.8
 *
 * The loader script (QEMU's bios-linker-loader) is a list of 128-byte commands: fetch a file to
 * memory, add a file's address to a pointer in another, make a checksum right. The firmware may
 * put the blob anywhere, so pointers are offsets until then and checksums are left to it.
 *
 *   HPET                 IA-PC HPET Specification 1.0a §3.2.4
 *
 * Left out: SRAT, BGRT, MCFG: the board has nothing for them to tell.
 */
#include "bios/acpi.h"
#include "bios/dsdt.h"
#include "devices/hpet.h"

#include <stdlib.h>

/* SeaBIOS' choice for PMBASE; a guess that only matters before the firmware has made one. */
#define PM_BASE_DEFAULT 0x600

enum {
    HEADER_BYTES = 36,
    HEADER_LENGTH = 4,
    HEADER_CHECKSUM = 9,
};

struct blob {
    uint8_t *data;
    size_t len, cap;
    bool failed;
};

/* Space for len zeros at the end; the offset of it. */
static size_t blob_extend(struct blob *b, size_t len)
{
    size_t at = b->len;
    if (b->failed)
        return 0;
    if (at + len > b->cap) {
        size_t cap = MAX(2 * b->cap, at + len + 4096);
        uint8_t *data = realloc(b->data, cap);
        if (!data) {
            b->failed = true;
            return 0;
        }
        b->data = data;
        b->cap = cap;
    }
    if (len)
        memset(b->data + at, 0, len);
    b->len += len;
    return at;
}

static void blob_align(struct blob *b, size_t to)
{
    blob_extend(b, -b->len & (to - 1));
}

static void blob_put(struct blob *b, const void *data, size_t len)
{
    size_t at = blob_extend(b, len);
    if (!b->failed)
        memcpy(b->data + at, data, len);
}

static void blob_put_int(struct blob *b, uint64_t v, unsigned size)
{
    blob_put(b, &v, size);
}

/* ---- the loader script: QEMU hw/acpi/bios-linker-loader.c has the format in words ---- */

enum { LOAD_ALLOCATE = 1, LOAD_ADD_POINTER = 2, LOAD_ADD_CHECKSUM = 3 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };
enum { LOAD_NAME_BYTES = 56 };

static uint8_t *load_command(struct blob *script, uint32_t command, const char *file)
{
    size_t at = blob_extend(script, ACPI_LOADER_ENTRY);
    if (script->failed)
        return NULL;
    uint8_t *entry = script->data + at;
    st32(entry, command);
    memcpy(entry + 4, file, strlen(file));
    return entry + 4 + LOAD_NAME_BYTES;
}

static void load_allocate(struct blob *script, const char *file, uint32_t align, uint8_t zone)
{
    uint8_t *p = load_command(script, LOAD_ALLOCATE, file);
    if (!p)
        return;
    st32(p, align);
    p[4] = zone;
}

/* In file, the pointer of size bytes at offset: it holds an offset into the tables. */
static void load_pointer(struct blob *script, const char *file, size_t offset, uint8_t size)
{
    uint8_t *p = load_command(script, LOAD_ADD_POINTER, file);
    if (!p)
        return;
    memcpy(p, ACPI_TABLES_FILE, sizeof ACPI_TABLES_FILE);
    st32(p + LOAD_NAME_BYTES, (uint32_t)offset);
    p[LOAD_NAME_BYTES + 4] = size;
}

static void load_checksum(struct blob *script, const char *file, size_t at, size_t start,
                          size_t len)
{
    uint8_t *p = load_command(script, LOAD_ADD_CHECKSUM, file);
    if (!p)
        return;
    st32(p, (uint32_t)at);
    st32(p + 4, (uint32_t)start);
    st32(p + 8, (uint32_t)len);
}

/* ---- tables ---- */

struct builder {
    const struct acpi_board *board;
    struct blob tables, script;
};

/* ACPI 6.5 §5.2.6 "System Description Table Header". */
static size_t begin_table(struct builder *b, const char *signature, uint8_t revision)
{
    blob_align(&b->tables, 16);
    size_t at = b->tables.len;
    blob_put(&b->tables, signature, 4);
    blob_put_int(&b->tables, 0, 4);
    blob_put_int(&b->tables, revision, 1);
    blob_put_int(&b->tables, 0, 1);
    blob_put(&b->tables, "VTRINE", 6);
    blob_put(&b->tables, "VITRINPC", 8);
    blob_put_int(&b->tables, 1, 4);
    blob_put(&b->tables, "VTRN", 4);
    blob_put_int(&b->tables, 1, 4);
    return at;
}

static void end_table(struct builder *b, size_t at)
{
    if (b->tables.failed)
        return;
    size_t len = b->tables.len - at;
    st32(b->tables.data + at + HEADER_LENGTH, (uint32_t)len);
    load_checksum(&b->script, ACPI_TABLES_FILE, at + HEADER_CHECKSUM, at, len);
}

/* A pointer of size bytes at the end of the tables, to what lies at target in them. */
static void put_pointer(struct builder *b, size_t target, uint8_t size)
{
    load_pointer(&b->script, ACPI_TABLES_FILE, b->tables.len, size);
    blob_put_int(&b->tables, target, size);
}

static size_t build_facs(struct builder *b)
{
    blob_align(&b->tables, 64);
    size_t at = b->tables.len;
    blob_put(&b->tables, "FACS", 4);
    blob_put_int(&b->tables, 64, 4);
    blob_extend(&b->tables, 24); /* hardware signature, waking vectors, global lock, flags */
    blob_put_int(&b->tables, 1, 1);
    blob_extend(&b->tables, 31);
    return at;
}

static size_t build_dsdt(struct builder *b)
{
    struct aml aml = {0};
    dsdt_build(&aml, b->board);
    size_t at = begin_table(b, "DSDT", 2);
    if (aml.failed)
        b->tables.failed = true;
    else
        blob_put(&b->tables, aml.buf, aml.len);
    aml_free(&aml);
    end_table(b, at);
    return at;
}

/* §5.2.3.2 "Generic Address Structure", of ports. */
static void put_gas(struct builder *b, unsigned bit_width, unsigned access_size, uint64_t port)
{
    blob_put_int(&b->tables, 1, 1);
    blob_put_int(&b->tables, bit_width, 1);
    blob_put_int(&b->tables, 0, 1);
    blob_put_int(&b->tables, access_size, 1);
    blob_put_int(&b->tables, port, 8);
}

static void put_no_gas(struct builder *b)
{
    blob_extend(&b->tables, 12);
}

enum {
    FADT_WBINVD = BIT(0),
    FADT_PROC_C1 = BIT(2),
    FADT_SLP_BUTTON = BIT(5), /* none in the fixed registers; the power button is (bit 4 clear) */
    FADT_RESET_REG_SUP = BIT(10),
    FADT_USE_PLATFORM_CLOCK = BIT(15),
    BOOT_LEGACY_DEVICES = BIT(0),
    BOOT_8042 = BIT(1),
};

/* §5.2.9 "Fixed ACPI Description Table (FADT)"; registers: devices/acpi_pm.h. */
static size_t build_fadt(struct builder *b, size_t facs, size_t dsdt)
{
    struct blob *t = &b->tables;
    const uint32_t pm = b->board->pm_base ? b->board->pm_base : PM_BASE_DEFAULT;
    const uint32_t evt = pm, cnt = pm + 4, tmr = pm + 8, gpe0 = pm + 12;

    size_t at = begin_table(b, "FACP", 3);
    put_pointer(b, facs, 4);
    put_pointer(b, dsdt, 4);
    blob_put_int(t, 0, 1);
    blob_put_int(t, 1, 1);    /* preferred profile: desktop */
    blob_put_int(t, 9, 2);    /* SCI_INT */
    blob_put_int(t, 0xb2, 4); /* SMI_CMD, ACPI_ENABLE, ACPI_DISABLE: devices/acpi_pm.h */
    blob_put_int(t, 0xf1, 1);
    blob_put_int(t, 0xf0, 1);
    blob_put_int(t, 0, 1); /* no S4BIOS */
    blob_put_int(t, 0, 1); /* no P states */
    blob_put_int(t, evt, 4);
    blob_put_int(t, 0, 4);
    blob_put_int(t, cnt, 4);
    blob_put_int(t, 0, 4);
    blob_put_int(t, 0, 4); /* PM2_CNT */
    blob_put_int(t, tmr, 4);
    blob_put_int(t, gpe0, 4);
    blob_put_int(t, 0, 4);
    blob_put_int(t, 4, 1); /* lengths: PM1_EVT, PM1_CNT, PM2_CNT, PM_TMR, GPE0, GPE1 */
    blob_put_int(t, 2, 1);
    blob_put_int(t, 0, 1);
    blob_put_int(t, 4, 1);
    blob_put_int(t, 4, 1);
    blob_put_int(t, 0, 1);
    blob_put_int(t, 0, 1);     /* GPE1_BASE */
    blob_put_int(t, 0, 1);     /* CST_CNT */
    blob_put_int(t, 0xfff, 2); /* P_LVL2_LAT, P_LVL3_LAT: so long that C2 and C3 are not used */
    blob_put_int(t, 0xfff, 2);
    blob_put_int(t, 0, 2); /* FLUSH_SIZE, FLUSH_STRIDE: WBINVD works */
    blob_put_int(t, 0, 2);
    blob_put_int(t, 0, 1); /* DUTY_OFFSET, DUTY_WIDTH: no throttling */
    blob_put_int(t, 0, 1);
    blob_put_int(t, 0, 1); /* DAY_ALRM, MON_ALRM: the clock has neither */
    blob_put_int(t, 0, 1);
    blob_put_int(t, 0x32, 1); /* CENTURY */
    blob_put_int(t, BOOT_LEGACY_DEVICES | BOOT_8042, 2);
    blob_put_int(t, 0, 1);
    blob_put_int(t,
                 FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_RESET_REG_SUP |
                     FADT_USE_PLATFORM_CLOCK,
                 4);
    put_gas(b, 8, 1, 0xcf9);  /* RESET_REG */
    blob_put_int(t, 0x06, 1); /* RESET_VALUE: a hard reset, PIIX3 "RC" */
    blob_put_int(t, 0, 3);
    put_pointer(b, facs, 8); /* Xen complains where the two differ */
    put_pointer(b, dsdt, 8);
    put_gas(b, 32, 2, evt);
    put_no_gas(b);
    put_gas(b, 16, 2, cnt);
    put_no_gas(b);
    put_no_gas(b);
    put_gas(b, 32, 3, tmr);
    put_gas(b, 32, 1, gpe0);
    put_no_gas(b);
    end_table(b, at);
    return at;
}

/* §5.2.12.5 "Interrupt Source Override Structure". */
static void put_override(struct builder *b, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    blob_put_int(&b->tables, 2, 1);
    blob_put_int(&b->tables, 10, 1);
    blob_put_int(&b->tables, 0, 1); /* ISA */
    blob_put_int(&b->tables, irq, 1);
    blob_put_int(&b->tables, gsi, 4);
    blob_put_int(&b->tables, flags, 2);
}

enum { MPS_ACTIVE_HIGH_LEVEL = 0x0d };

static size_t build_madt(struct builder *b)
{
    struct blob *t = &b->tables;
    size_t at = begin_table(b, "APIC", 3);
    blob_put_int(t, 0xfee00000, 4);
    blob_put_int(t, 1, 4); /* PCAT_COMPAT: there are 8259s, too */
    for (unsigned i = 0; i < b->board->cpus; i++) {
        blob_put_int(t, 0, 1); /* §5.2.12.2 "Processor Local APIC Structure" */
        blob_put_int(t, 8, 1);
        blob_put_int(t, i, 1);
        blob_put_int(t, i, 1);
        blob_put_int(t, 1, 4); /* enabled */
    }
    blob_put_int(t, 1, 1); /* §5.2.12.3 "I/O APIC Structure" */
    blob_put_int(t, 12, 1);
    blob_put_int(t, 0, 1); /* its id */
    blob_put_int(t, 0, 1);
    blob_put_int(t, 0xfec00000, 4);
    blob_put_int(t, 0, 4);
    /* The timer arrives at pin 2; PCI interrupts and the SCI at their ISA lines, as levels. */
    put_override(b, 0, 2, 0);
    put_override(b, 5, 5, MPS_ACTIVE_HIGH_LEVEL);
    put_override(b, 9, 9, MPS_ACTIVE_HIGH_LEVEL);
    put_override(b, 10, 10, MPS_ACTIVE_HIGH_LEVEL);
    put_override(b, 11, 11, MPS_ACTIVE_HIGH_LEVEL);
    blob_put_int(t, 4, 1); /* §5.2.12.7 "Local APIC NMI Structure": LINT1 of all */
    blob_put_int(t, 6, 1);
    blob_put_int(t, 0xff, 1);
    blob_put_int(t, 0, 2);
    blob_put_int(t, 1, 1);
    end_table(b, at);
    return at;
}

static size_t build_waet(struct builder *b)
{
    size_t at = begin_table(b, "WAET", 1);
    blob_put_int(&b->tables, BIT(1), 4); /* one read of the PM timer is good */
    end_table(b, at);
    return at;
}

/* IA-PC HPET 1.0a §3.2.4 "The ACPI 2.0 HPET Description Table". */
static size_t build_hpet(struct builder *b)
{
    struct blob *t = &b->tables;
    size_t at = begin_table(b, "HPET", 1);
    blob_put_int(t, HPET_BLOCK_ID, 4);
    blob_put_int(t, 0, 1); /* its address, as §5.2.3.2 has it: memory, 64 bits */
    blob_put_int(t, 64, 1);
    blob_put_int(t, 0, 2);
    blob_put_int(t, HPET_AT, 8);
    blob_put_int(t, 0, 1); /* the first block */
    blob_put_int(t, HPET_MIN_TICKS, 2);
    blob_put_int(t, 0, 1); /* nothing is said about what else is in its page */
    end_table(b, at);
    return at;
}

static size_t build_root(struct builder *b, const char *signature, uint8_t pointer_bytes,
                         const size_t *tables, size_t count)
{
    size_t at = begin_table(b, signature, 1);
    for (size_t i = 0; i < count; i++)
        put_pointer(b, tables[i], pointer_bytes);
    end_table(b, at);
    return at;
}

/* §5.2.5.3 "Root System Description Pointer (RSDP) Structure". */
static void build_rsdp(struct builder *b, uint8_t *rsdp, size_t rsdt, size_t xsdt)
{
    memset(rsdp, 0, ACPI_RSDP_BYTES);
    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + 9, "VTRINE", 6);
    rsdp[15] = 2;
    st32(rsdp + 16, (uint32_t)rsdt);
    st32(rsdp + 20, ACPI_RSDP_BYTES);
    st64(rsdp + 24, xsdt);
    load_pointer(&b->script, ACPI_RSDP_FILE, 16, 4);
    load_pointer(&b->script, ACPI_RSDP_FILE, 24, 8);
    load_checksum(&b->script, ACPI_RSDP_FILE, 8, 0, 20);
    load_checksum(&b->script, ACPI_RSDP_FILE, 32, 0, ACPI_RSDP_BYTES);
}

bool acpi_build(const struct acpi_board *board, struct acpi_blobs *blobs)
{
    struct builder b = {.board = board};
    load_allocate(&b.script, ACPI_RSDP_FILE, 16, ZONE_FSEG);
    load_allocate(&b.script, ACPI_TABLES_FILE, 64, ZONE_HIGH);

    size_t facs = build_facs(&b);
    size_t dsdt = build_dsdt(&b);
    size_t roots[4], count = 0;
    roots[count++] = build_fadt(&b, facs, dsdt);
    roots[count++] = build_madt(&b);
    roots[count++] = build_waet(&b);
    if (board->hpet)
        roots[count++] = build_hpet(&b);
    size_t rsdt = build_root(&b, "RSDT", 4, roots, count);
    size_t xsdt = build_root(&b, "XSDT", 8, roots, count);
    build_rsdp(&b, blobs->rsdp, rsdt, xsdt);

    blobs->tables = b.tables.data;
    blobs->tables_len = b.tables.len;
    blobs->loader = b.script.data;
    blobs->loader_len = b.script.len;
    if (!b.tables.failed && !b.script.failed)
        return true;
    acpi_blobs_free(blobs);
    return false;
}

void acpi_blobs_free(struct acpi_blobs *blobs)
{
    free(blobs->tables);
    free(blobs->loader);
    blobs->tables = blobs->loader = NULL;
}
