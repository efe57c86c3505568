/*
 * See dsdt.h. In ASL, what is written here reads
 *
 *   Scope (\_SB)
 *     Device (C000) ...            the CPUs
 *     Device (PCI0)                host bridge: _CRS (bus, I/O and memory windows), _PRT
 *       Device (ISA)               01.0: routing registers 60h-63h as PRQ0 to PRQ3, and
 *         RTC, KBD, MOU, FDC0 ...  the fixed devices behind it
 *     Device (FWCF)                the firmware configuration ports
 *     Device (LNKA) ... (LNKD)     the four PCI interrupts, each steered by its PRQn
 *     Device (LNKS)                the PIIX4's own interrupt, wired to line 9
 *     Device (HPET)                if there is one
 *   Name (\_S5, ...)
 *
 * The order is that of the ASL compiler's liking: what is referred to stands first.
 *
 * Left out: docking and hot plug, S1 to S4, thermal zones.
 */
#include "bios/dsdt.h"
#include "devices/hpet.h"

#include <stdio.h>

#define IOAPIC_BASE UINT32_C(0xfec00000)
#define PHYS_BITS   40 /* of the board's addresses; a guest with all of that in RAM has no window */

enum {
    STA_PRESENT = BIT(0),
    STA_ENABLED = BIT(1),
    STA_SHOWN = BIT(2),
    STA_WORKS = BIT(3),
    STA_HIDDEN_DEVICE = STA_PRESENT | STA_ENABLED | STA_WORKS,
    STA_LINK_OFF = STA_PRESENT | STA_WORKS,
};

/* ISA lines that SeaBIOS and OVMF steer the PCI interrupts to, and that the MADT calls level. */
static const uint32_t pci_lines[] = {5, 10, 11};
static const uint32_t sci_line[] = {9};

static const char *const link_names[] = {"LNKA", "LNKB", "LNKC", "LNKD"};
static const char *const route_fields[] = {"PRQ0", "PRQ1", "PRQ2", "PRQ3"};

/* ---- CPUs ---- */

static void build_cpus(struct aml *a, unsigned cpus)
{
    for (unsigned i = 0; i < cpus; i++) {
        char name[5];
        snprintf(name, sizeof name, "C%03X", i & 0xfff);
        aml_device(a, name);
        aml_name_string(a, "_HID", "ACPI0007");
        aml_name_int(a, "_UID", i);
        aml_close(a);
    }
}

/* ---- the host bridge ---- */

void acpi_pci_hole64(const struct acpi_board *board, uint64_t *first, uint64_t *last)
{
    uint64_t end = 4 * GiB + board->above_4g;
    *first = (end + GiB - 1) & ~(GiB - 1);
    *last = *first + 2 * GiB - 1;
}

static void build_windows(struct aml *a, const struct acpi_board *board)
{
    uint64_t first, last;
    acpi_pci_hole64(board, &first, &last);
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_res_bus_range(a, 0, 0xff);
    aml_res_io(a, 0xcf8, 8); /* its own: the configuration ports */
    aml_res_io_range(a, 0, 0xcf7);
    aml_res_io_range(a, 0xd00, 0xffff);
    aml_res_memory_range(a, 0xa0000, 0xbffff, true);
    aml_res_memory_range(a, (uint32_t)board->below_4g, IOAPIC_BASE - 1, false);
    if (last >> PHYS_BITS == 0)
        aml_res_memory_range64(a, first, last, true);
    aml_close(a);
}

/*
 * ACPI 6.5 §6.2.13 "_PRT (PCI Routing Table)". INTA# to INTD# of slot n go to PIRQs n-1 to n+2,
 * wrapped; slot 1 is on the board, and its INTA#, the PIIX4's, to the SCI.
 */
static void build_routing(struct aml *a)
{
    aml_name(a, "_PRT");
    aml_package(a, 32 * 4);
    for (unsigned slot = 0; slot < 32; slot++) {
        for (unsigned pin = 0; pin < 4; pin++) {
            aml_package(a, 4);
            aml_int(a, slot << 16 | 0xffff);
            aml_int(a, pin);
            aml_ref(a, slot == 1 && pin == 0 ? "LNKS" : link_names[(slot + pin + 3) & 3]);
            aml_int(a, 0);
            aml_close(a);
        }
    }
    aml_close(a);
}

/* ---- devices at fixed ports ---- */

static void build_rtc(struct aml *a)
{
    aml_device(a, "RTC");
    aml_name_eisaid(a, "_HID", "PNP0B00");
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_res_io(a, 0x70, 2);
    aml_res_irq(a, 8);
    aml_close(a);
    aml_close(a);
}

static void build_ps2(struct aml *a)
{
    aml_device(a, "KBD");
    aml_name_eisaid(a, "_HID", "PNP0303");
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_res_io(a, 0x60, 1);
    aml_res_io(a, 0x64, 1);
    aml_res_irq(a, 1);
    aml_close(a);
    aml_close(a);

    aml_device(a, "MOU");
    aml_name_eisaid(a, "_HID", "PNP0F13");
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_res_irq(a, 12);
    aml_close(a);
    aml_close(a);
}

static void build_fdc(struct aml *a)
{
    aml_device(a, "FDC0");
    aml_name_eisaid(a, "_HID", "PNP0700");
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_res_io(a, 0x3f2, 4);
    aml_res_io(a, 0x3f7, 1);
    aml_res_irq(a, 6);
    aml_res_dma(a, 2);
    aml_close(a);
    aml_close(a);
}

static void build_com(struct aml *a, unsigned n)
{
    static const uint16_t ports[ACPI_MAX_COM] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
    static const uint8_t irqs[ACPI_MAX_COM] = {4, 3, 4, 3};
    char name[5];
    snprintf(name, sizeof name, "COM%u", (n + 1) % 10);
    aml_device(a, name);
    aml_name_eisaid(a, "_HID", "PNP0501");
    aml_name_int(a, "_UID", n + 1);
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_res_io(a, ports[n], 8);
    aml_res_irq(a, irqs[n]);
    aml_close(a);
    aml_close(a);
}

static void build_lpt(struct aml *a)
{
    aml_device(a, "LPT1");
    aml_name_eisaid(a, "_HID", "PNP0400");
    aml_name_int(a, "_UID", 1);
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_res_io(a, 0x378, 8);
    aml_res_irq(a, 7);
    aml_close(a);
    aml_close(a);
}

static void build_isa(struct aml *a, const struct acpi_board *board)
{
    aml_device(a, "ISA");
    aml_name_int(a, "_ADR", 0x00010000);
    aml_pci_region(a, "P40C", 0x60, 4);
    aml_byte_field(a, "P40C", route_fields, 4);
    build_rtc(a);
    build_ps2(a);
    if (board->fdc)
        build_fdc(a);
    for (unsigned n = 0; n < ACPI_MAX_COM; n++)
        if (board->com[n])
            build_com(a, n);
    if (board->lpt)
        build_lpt(a);
    aml_close(a);
}

/* The device Linux' qemu_fw_cfg and others look for. */
static void build_fwcfg(struct aml *a)
{
    aml_device(a, "FWCF");
    aml_name_string(a, "_HID", "QEMU0002");
    aml_name_int(a, "_STA", STA_HIDDEN_DEVICE);
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_res_io(a, 0x510, 12);
    aml_close(a);
    aml_close(a);
}

static void build_hpet(struct aml *a)
{
    aml_device(a, "HPET");
    aml_name_eisaid(a, "_HID", "PNP0103");
    aml_name_int(a, "_UID", 0);
    aml_name(a, "_CRS");
    aml_resources(a);
    aml_res_memory_fixed(a, HPET_AT, HPET_BYTES);
    aml_close(a);
    aml_close(a);
}

/* ---- interrupt links ---- */

static void build_interrupts(struct aml *a, const char *name, const uint32_t *gsi, uint8_t count)
{
    aml_name(a, name);
    aml_resources(a);
    aml_res_interrupts(a, gsi, count);
    aml_close(a);
}

/* Where the interrupt number stands in a template of one extended interrupt descriptor. */
#define TEMPLATE_NUMBER 5

/*
 * Method (_STA) { If (route & 80h) Return (off) Return (on) }, and for the others likewise: a route
 * register holds the ISA line, and in bit 7 that there is none (PIIX3, PIRQRC).
 */
static void build_link_methods(struct aml *a, const char *route)
{
    aml_method(a, "_STA", 0, false);
    aml_if(a);
    aml_op(a, AML_AND);
    aml_ref(a, route);
    aml_int(a, 0x80);
    aml_op(a, AML_ZERO);
    aml_op(a, AML_RETURN);
    aml_int(a, STA_LINK_OFF);
    aml_close(a);
    aml_op(a, AML_RETURN);
    aml_int(a, STA_HIDDEN_DEVICE);
    aml_close(a);

    aml_method(a, "_DIS", 0, false);
    aml_op(a, AML_OR);
    aml_ref(a, route);
    aml_int(a, 0x80);
    aml_ref(a, route);
    aml_close(a);

    build_interrupts(a, "BUF", (const uint32_t[]){0}, 1);
    aml_method(a, "_CRS", 0, true);
    aml_op(a, AML_CREATE_DWORD);
    aml_ref(a, "BUF");
    aml_int(a, TEMPLATE_NUMBER);
    aml_ref(a, "IRQN");
    aml_if(a);
    aml_op(a, AML_LLESS);
    aml_ref(a, route);
    aml_int(a, 0x80);
    aml_op(a, AML_STORE);
    aml_ref(a, route);
    aml_ref(a, "IRQN");
    aml_close(a);
    aml_op(a, AML_RETURN);
    aml_ref(a, "BUF");
    aml_close(a);

    aml_method(a, "_SRS", 1, true);
    aml_op(a, AML_CREATE_DWORD);
    aml_op(a, AML_ARG0);
    aml_int(a, TEMPLATE_NUMBER);
    aml_ref(a, "IRQN");
    aml_op(a, AML_STORE);
    aml_ref(a, "IRQN");
    aml_ref(a, route);
    aml_close(a);
}

/* ACPI 6.5 §6.2.13.1 "Example: Using _PRT to Describe PCI IRQ Routing" has the outline. */
static void build_links(struct aml *a)
{
    char route[32];
    for (unsigned i = 0; i < 4; i++) {
        aml_device(a, link_names[i]);
        aml_name_eisaid(a, "_HID", "PNP0C0F");
        aml_name_int(a, "_UID", i);
        build_interrupts(a, "_PRS", pci_lines, ARRAY_SIZE(pci_lines));
        snprintf(route, sizeof route, "\\_SB.PCI0.ISA.%s", route_fields[i]);
        build_link_methods(a, route);
        aml_close(a);
    }
    aml_device(a, "LNKS");
    aml_name_eisaid(a, "_HID", "PNP0C0F");
    aml_name_int(a, "_UID", 4);
    aml_name_int(a, "_STA", STA_HIDDEN_DEVICE);
    build_interrupts(a, "_PRS", sci_line, 1);
    build_interrupts(a, "_CRS", sci_line, 1);
    aml_method(a, "_DIS", 0, false);
    aml_close(a);
    aml_method(a, "_SRS", 1, false);
    aml_close(a);
    aml_close(a);
}

void dsdt_build(struct aml *a, const struct acpi_board *board)
{
    aml_scope(a, "\\_SB");
    build_cpus(a, board->cpus);
    aml_device(a, "PCI0");
    aml_name_eisaid(a, "_HID", "PNP0A03");
    aml_name_int(a, "_UID", 0);
    build_windows(a, board);
    build_isa(a, board);
    aml_close(a);
    build_fwcfg(a);
    if (board->hpet)
        build_hpet(a);
    build_links(a);
    aml_close(a);

    aml_scope(a, "\\_SB.PCI0");
    build_routing(a);
    aml_close(a);

    /* S5: SLP_TYP 0 (PIIX4 §7.2.3 "PMCNTRL", SUS_TYP). */
    aml_name(a, "\\_S5");
    aml_package(a, 4);
    for (unsigned i = 0; i < 4; i++)
        aml_int(a, 0);
    aml_close(a);
}
