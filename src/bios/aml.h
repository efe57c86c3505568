/*
 * Writes ACPI Machine Language: ACPI 6.5 §20 "ACPI Machine Language (AML) Specification". AML is a
 * prefix notation, so terms are written in the order in which ASL reads: an operator by aml_op(),
 * then its operands. What carries a length (a scope, a package, a buffer ...) is opened and closed;
 * closing puts the length in front.
 *
 * Names are given as in ASL: "\\_SB.PCI0", "^ISA", "_HID"; segments are padded with underscores.
 */
#ifndef VITRINE_BIOS_AML_H
#define VITRINE_BIOS_AML_H

#include "core/types.h"

#define AML_MAX_DEPTH 16

struct aml {
    uint8_t *buf;
    size_t len, cap;
    bool failed; /* out of memory: everything since has been dropped */
    struct {
        size_t at; /* where the length is to be put in */
        bool resources;
    } open[AML_MAX_DEPTH];
    unsigned depth;
};

/* ACPI 6.5 §20.3 "AML Byte Stream Byte Values"; 5Bxx are two bytes. */
enum aml_opcode {
    AML_ZERO = 0x00,
    AML_ONE = 0x01,
    AML_LOCAL0 = 0x60,
    AML_ARG0 = 0x68,
    AML_STORE = 0x70,        /* source, target */
    AML_AND = 0x7b,          /* a, b, target */
    AML_OR = 0x7d,           /* a, b, target */
    AML_CREATE_DWORD = 0x8a, /* buffer, byte offset, name */
    AML_LLESS = 0x95,        /* a, b */
    AML_RETURN = 0xa4,       /* value */
};

void aml_free(struct aml *a);

void aml_op(struct aml *a, enum aml_opcode op);
void aml_int(struct aml *a, uint64_t v); /* in the shortest form */
void aml_string(struct aml *a, const char *s);
void aml_ref(struct aml *a, const char *name);  /* a name in the place of an operand */
void aml_eisaid(struct aml *a, const char *id); /* "PNP0A03" as the integer it stands for */

/* Name (name, ...): an object follows. */
void aml_name(struct aml *a, const char *name);
void aml_name_int(struct aml *a, const char *name, uint64_t v);
void aml_name_eisaid(struct aml *a, const char *name, const char *id);
void aml_name_string(struct aml *a, const char *name, const char *s);

/* Each of these is ended by aml_close(). */
void aml_scope(struct aml *a, const char *name);
void aml_device(struct aml *a, const char *name);
void aml_method(struct aml *a, const char *name, unsigned args, bool serialized);
void aml_if(struct aml *a); /* the condition follows, then what depends on it */
void aml_package(struct aml *a, uint8_t elements);
void aml_resources(struct aml *a); /* a buffer of descriptors; its end tag is written by closing */
void aml_close(struct aml *a);

/* OperationRegion in PCI configuration space, and a Field of bytes over all of it. */
void aml_pci_region(struct aml *a, const char *name, uint8_t offset, uint8_t len);
void aml_byte_field(struct aml *a, const char *region, const char *const *names, unsigned count);

/* Resource descriptors, ACPI 6.5 §6.4 "Resource Data Types for ACPI". */
void aml_res_io(struct aml *a, uint16_t port, uint8_t len);
void aml_res_irq(struct aml *a, unsigned irq); /* edge, active high, exclusive: of an ISA device */
void aml_res_dma(struct aml *a, unsigned channel);
void aml_res_interrupts(struct aml *a, const uint32_t *gsi, uint8_t count); /* level, shared */
void aml_res_bus_range(struct aml *a, uint16_t first, uint16_t last);
void aml_res_io_range(struct aml *a, uint16_t first, uint16_t last);
void aml_res_memory_range(struct aml *a, uint32_t first, uint32_t last, bool cacheable);
void aml_res_memory_fixed(struct aml *a, uint32_t base, uint32_t len); /* read-only */
void aml_res_memory_range64(struct aml *a, uint64_t first, uint64_t last, bool cacheable);

#endif
