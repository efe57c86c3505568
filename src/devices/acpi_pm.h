/*
 * Power management (82371AB PIIX4, function 3): ACPI fixed registers, PM timer, power button,
 * soft-off, and an SMBus controller with nobody on its bus.
 *
 * For the firmware's FADT: PM1a_EVT at base+0 (4 bytes), PM1a_CNT at base+4 (2), PM_TMR at base+8
 * (4; 24 bits count), GPE0 at base+0Ch (4: two of status, two of enable); SCI is ISA line 9, level,
 * active high; SMI_CMD B2h with the two values below; S5 is SLP_TYP 0. The firmware chooses base
 * (PMBASE, 40h) and decodes it (PMREGMISC, 80h).
 */
#ifndef VITRINE_DEVICES_ACPI_PM_H
#define VITRINE_DEVICES_ACPI_PM_H

#include "devices/pci.h"

#define ACPI_PM_ENABLE  0xF1 /* to SMI_CMD: the operating system takes over */
#define ACPI_PM_DISABLE 0xF0

struct acpi_pm;

struct acpi_pm_config {
    struct pci_bus *bus;
    struct event_queue *queue;
    struct irq_line sci;       /* a driver of ISA line 9 */
    struct irq_line power_off; /* pulsed: the guest entered S5 */
};

/* Function 01.3. */
struct acpi_pm *acpi_pm_create(struct device_list *devices, const struct acpi_pm_config *cfg);

/* The button on the case was pressed (for less than four seconds). */
void acpi_pm_power_button(struct acpi_pm *s);

/*
 * The far end of the RTC's alarm line (RTC_STS, ACPI 6.5 §4.8.3.1.1). Systems wait for it where the
 * HPET has taken the RTC's interrupt. opaque is the struct acpi_pm.
 */
void acpi_pm_rtc_alarm(void *opaque, unsigned pin, int level);

/* For piix3's apm_written: what was written to port B2h. opaque is the struct acpi_pm. */
void acpi_pm_apm_command(void *opaque, uint8_t command);

#endif
