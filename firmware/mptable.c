/*
 * The MP configuration table, for systems without ACPI (MP 1.4 chapter 4). It lists every processor
 * that answered, whatever the topology; the board's IOAPIC; which interrupt arrives at which pin.
 */
#include "pci_init.h"
#include "post.h"
#include "print.h"
#include "ram.h"
#include "smp.h"

#define LOCAL_APIC     0xFEE00000u
#define IOAPIC         0xFEC00000u
#define IOAPIC_VERSION 0x11
#define APIC_VERSION   0x14

#define BUS_PCI        0
#define BUS_ISA        1
#define IOAPIC_ID      0 /* as the MADT has it */
#define ISA_PINS       16
#define TIMER_PIN      2

enum { ENTRY_CPU, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_IO_INTERRUPT, ENTRY_LOCAL_INTERRUPT };
enum { TYPE_INT, TYPE_NMI, TYPE_SMI, TYPE_EXTINT };

#define CPU_ENABLED    0x01
#define CPU_BOOT       0x02
#define FLAGS_CONFORMS 0x0000
#define FLAGS_LEVEL    0x000D /* active high, level */

struct mp_pointer { /* §4.1 */
    char signature[4];
    uint32_t table;
    uint8_t length, revision, checksum, features[5];
} PACKED;

struct mp_header { /* §4.2 */
    char signature[4];
    uint16_t bytes;
    uint8_t revision, checksum;
    char oem[8], product[12];
    uint32_t oem_table;
    uint16_t oem_bytes, entries;
    uint32_t local_apic;
    uint16_t extended_bytes;
    uint8_t extended_checksum, reserved;
} PACKED;

struct mp_cpu { /* §4.3.1 */
    uint8_t type, apic_id, version, flags;
    uint32_t signature, features, reserved[2];
} PACKED;

struct mp_bus { /* §4.3.2 */
    uint8_t type, id;
    char name[6];
} PACKED;

struct mp_ioapic { /* §4.3.3 */
    uint8_t type, id, version, flags;
    uint32_t address;
} PACKED;

struct mp_interrupt { /* §4.3.4, §4.3.5 */
    uint8_t type, kind;
    uint16_t flags;
    uint8_t bus, source, apic, pin;
} PACKED;

_Static_assert(sizeof(struct mp_pointer) == 16 && sizeof(struct mp_header) == 44 &&
                   sizeof(struct mp_cpu) == 20 && sizeof(struct mp_interrupt) == 8,
               "MP 1.4");

struct builder {
    uint8_t *next;
    uint16_t entries;
};

static void put(struct builder *b, const void *entry, size_t bytes)
{
    memcpy(b->next, entry, bytes);
    b->next += bytes;
    b->entries++;
}

static void put_cpus(struct builder *b)
{
    for (unsigned i = 0; i < cpu_count(); i++) {
        const struct mp_cpu c = {
            .type = ENTRY_CPU,
            .apic_id = cpu_apic_id[i],
            .version = APIC_VERSION,
            .flags = i == 0 ? CPU_ENABLED | CPU_BOOT : CPU_ENABLED,
            .signature = cpu_signature(),
            .features = cpu_features(),
        };
        put(b, &c, sizeof c);
    }
}

/* INTA# of every function; two functions of a slot on one pin are one source. */
static void put_pci_interrupts(struct builder *b)
{
    uint16_t last = 0xffff;
    for (unsigned i = 0; pci_function(i); i++) {
        const struct pci_function *f = pci_function(i);
        if (!f->pin)
            continue;
        const uint16_t source = (uint16_t)((f->bdf >> 3) << 2 | (f->pin - 1));
        if (source == last)
            continue;
        last = source;
        const struct mp_interrupt m = {ENTRY_IO_INTERRUPT, TYPE_INT,  FLAGS_LEVEL, BUS_PCI,
                                       (uint8_t)source,    IOAPIC_ID, f->line};
        put(b, &m, sizeof m);
    }
}

static void put_isa_interrupts(struct builder *b)
{
    for (uint8_t line = 0; line < ISA_PINS; line++) {
        if (line == 2 || pci_line_used(line))
            continue; /* the cascade; lines that PCI has */
        const struct mp_interrupt m = {
            ENTRY_IO_INTERRUPT,          TYPE_INT, FLAGS_CONFORMS, BUS_ISA, line, IOAPIC_ID,
            line == 0 ? TIMER_PIN : line};
        put(b, &m, sizeof m);
    }
}

/* MP 1.4 §4.3.5: LINT0 has the 8259s, LINT1 NMI, at all processors. */
static void put_local_interrupts(struct builder *b)
{
    const struct mp_interrupt extint = {ENTRY_LOCAL_INTERRUPT, TYPE_EXTINT, 0, BUS_ISA, 0, 0xff, 0};
    const struct mp_interrupt nmi = {ENTRY_LOCAL_INTERRUPT, TYPE_NMI, 0, BUS_ISA, 0, 0xff, 1};
    put(b, &extint, sizeof extint);
    put(b, &nmi, sizeof nmi);
}

static void build(struct mp_header *h)
{
    struct builder b = {(uint8_t *)(h + 1), 0};
    *h = (struct mp_header){
        .signature = {'P', 'C', 'M', 'P'},
        .revision = 4,
        .oem = {'V', 'I', 'T', 'R', 'I', 'N', 'E', ' '},
        .product = {'P', 'C', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '},
        .local_apic = LOCAL_APIC,
    };
    put_cpus(&b);
    put(&b, &(struct mp_bus){ENTRY_BUS, BUS_PCI, {'P', 'C', 'I', ' ', ' ', ' '}}, 8);
    put(&b, &(struct mp_bus){ENTRY_BUS, BUS_ISA, {'I', 'S', 'A', ' ', ' ', ' '}}, 8);
    put(&b, &(struct mp_ioapic){ENTRY_IOAPIC, IOAPIC_ID, IOAPIC_VERSION, 1, IOAPIC}, 8);
    put_pci_interrupts(&b);
    put_isa_interrupts(&b);
    put_local_interrupts(&b);
    h->entries = b.entries;
    h->bytes = (uint16_t)(b.next - (uint8_t *)h);
    h->checksum = zero_sum(h, h->bytes);
}

void mptable_init(void)
{
    const uint32_t most = sizeof(struct mp_header) + cpu_count() * sizeof(struct mp_cpu) + 128 * 8;
    struct mp_header *temp = alloc_temp(most);
    struct mp_pointer *p = alloc_fseg(sizeof *p, 16);
    if (!temp || !p || !(cpu_features() & (1u << 9)))
        return;
    build(temp);
    void *table = alloc_fseg(temp->bytes, 16);
    if (!table) {
        print("MP table: no room for %u processors\n", cpu_count());
        memset(p, 0, sizeof *p);
        return;
    }
    memcpy(table, temp, temp->bytes);
    free_temp(temp);
    *p = (struct mp_pointer){
        .signature = {'_', 'M', 'P', '_'}, .table = (uint32_t)table, .length = 1, .revision = 4};
    p->checksum = zero_sum(p, sizeof *p);
}
