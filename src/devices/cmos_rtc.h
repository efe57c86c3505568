/*
 * The clock and battery-backed memory of a PC: an MC146818A with 128 bytes at ports 70h (index, NMI
 * mask) and 71h (data). The date advances with guest time alone.
 */
#ifndef VITRINE_DEVICES_CMOS_RTC_H
#define VITRINE_DEVICES_CMOS_RTC_H

#include "core/device.h"
#include "mmu/iomap.h"

#define CMOS_RTC_BYTES 128

struct cmos_rtc;

/*
 * irq: IRQ8. The date at guest time 0 is start_seconds after 1970-01-01 in the zone the guest
 * expects (UTC, or local time for -rtc base=localtime), and start_ns within that second.
 */
struct cmos_rtc *cmos_rtc_create(struct iomap *io, struct event_queue *events, struct log *log,
                                 const struct irq_line *irq, int64_t start_seconds,
                                 int64_t start_ns);
struct device *cmos_rtc_device(struct cmos_rtc *rtc);

/* A second line, for power management: of the enabled alarm alone, and whoever takes IRQ8 away. */
void cmos_rtc_connect_alarm(struct cmos_rtc *rtc, const struct irq_line *alarm);

/*
 * Bytes as the battery keeps them, for the board: memory sizes, boot order. A reset leaves them.
 * For bytes that are not registers: set changes no clock and get starts no update.
 */
void cmos_rtc_set(struct cmos_rtc *rtc, unsigned index, uint8_t value);
uint8_t cmos_rtc_get(const struct cmos_rtc *rtc, unsigned index);

/* Port 70h bit 7: NMI is kept from the CPU. */
bool cmos_rtc_nmi_masked(const struct cmos_rtc *rtc);

#endif
