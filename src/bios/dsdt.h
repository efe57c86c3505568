/* The body of the DSDT: the board's devices, PCI windows and interrupt routing, in AML. */
#ifndef VITRINE_BIOS_DSDT_H
#define VITRINE_BIOS_DSDT_H

#include "bios/acpi.h"
#include "bios/aml.h"

void dsdt_build(struct aml *a, const struct acpi_board *board);

#endif
