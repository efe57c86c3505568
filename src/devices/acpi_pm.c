/*
 * Power management: function 3 of the Intel 82371AB PIIX4 ("PIIX4", datasheet 290562, §7 and §11
 * "Power Management"); the fixed registers follow ACPI 6.5 §4.8.3 "Fixed Hardware Registers".
 *
 * There is no SMM, so DEVACTB says at reset that the APMC SMI is already set up: firmware then
 * leaves it alone. What a firmware's SMI handler does for an ACPI system on a write of ACPI_ENABLE
 * or ACPI_DISABLE to port B2h is to set or clear SCI_EN: that is done here, at once.
 *
 * Not modelled: SMI# as the answer to events while SCI_EN is 0 (they wait in PMSTS), the device
 * activity monitors, throttling and the C2/C3 levels (reads of PLVL2/3 do nothing), general
 * purpose pins and their events, sleep states other than S5 (the guest wakes at once), the power
 * button's four-second override, SMBus slaves, SMBus interrupts and the slave functions.
 */
#include "devices/acpi_pm.h"

#include <stdlib.h>

enum {
    PM_COMMAND = 0x04,
    PM_STATUS = 0x06,
    PM_PMBASE = 0x40,
    PM_DEVACTB = 0x58,
    PM_PMREGMISC = 0x80,
    PM_SMBBA = 0x90,
    PM_SMBHSTCFG = 0xD2,
    PM_SMBREV = 0xD6,
};

#define PMREGMISC_PMIOSE   BIT(0)
#define SMBHSTCFG_ENABLE   BIT(0)
#define DEVACTB_B3_APMC_EN BIT(1) /* bit 25 of DEVACTB: in its byte 5Bh */

/* The I/O space behind PMBASE. */
enum {
    REG_PMSTS = 0x00,
    REG_PMEN = 0x02,
    REG_PMCNTRL = 0x04,
    REG_PMTMR = 0x08,
    REG_GPSTS = 0x0C,
    REG_GPEN = 0x0E,
    PM_BYTES = 0x40,
};

/* PMSTS and PMEN: ACPI 6.5 §4.8.3.1.1, §4.8.3.1.2. */
enum {
    STS_TMROF = BIT(0),
    STS_BM = BIT(4),
    STS_GBL = BIT(5),
    STS_PWRBTN = BIT(8),
    STS_RTC = BIT(10),
    STS_RSM = BIT(15), /* ACPI: WAK_STS */
    PMSTS_BITS = STS_TMROF | STS_BM | STS_GBL | STS_PWRBTN | STS_RTC | STS_RSM,
    PMEN_BITS = STS_TMROF | STS_GBL | STS_PWRBTN | STS_RTC,
};

/* PMCNTRL: ACPI 6.5 §4.8.3.2.1 "PM1 Control Registers". */
enum {
    CNT_SCI_EN = BIT(0),
    CNT_BRLD_EN = BIT(1),
    CNT_GBL_RLS = BIT(2),
    CNT_SUS_TYP = 7 << 10,
    CNT_SUS_EN = BIT(13), /* reads as 0 */
    CNT_KEPT = CNT_SCI_EN | CNT_BRLD_EN | CNT_SUS_TYP,
    SUS_TYP_S5 = 0,
};

/* PIIX4 §11.5 "GPSTS", "GPEN": thermal, USB, ring, lid, GPI, SMBus events: none has a source. */
#define GPEN_BITS 0x0F01

/* PM timer: ACPI 6.5 §4.8.2.1 "Power Management Timer". */
#define PMTMR_HZ   3579545
#define PMTMR_MASK 0xFFFFFF
#define PMTMR_MSB  23

/* SMBus host controller: PIIX4 §7.3. */
enum {
    REG_SMBHSTSTS = 0,
    REG_SMBSLVSTS = 1,
    REG_SMBHSTCNT = 2,
    SMB_BYTES = 16,
    HSTSTS_BUSY = BIT(0),
    HSTSTS_DEV_ERR = BIT(2),
    HSTSTS_W1C = 0x1E,
    HSTCNT_START = BIT(6),
    HSTCNT_KEPT = 0x1D,
};

struct acpi_pm {
    struct pci_device pci;
    uint16_t pmsts, pmen, pmcntrl;
    uint16_t gpen;
    uint64_t tmr_half; /* half-periods of the PM timer whose overflow has been noted */
    uint8_t smb[SMB_BYTES];
    struct event overflow;
    struct acpi_pm_config cfg;
    struct io_region pm_ports, smb_ports;
};

static_assert(offsetof(struct acpi_pm, pci) == 0 && offsetof(struct pci_device, dev) == 0,
              "ops get the device by its struct device");

static struct acpi_pm *from_dev(struct device *dev)
{
    return (struct acpi_pm *)dev;
}

/* The timer has counted since power-on; it has no reset of its own. */
static uint64_t ticks_at(int64_t ns)
{
    return (uint64_t)((unsigned __int128)ns * PMTMR_HZ / (uint64_t)NS_PER_SEC);
}

static uint64_t ticks_now(const struct acpi_pm *s)
{
    return ticks_at(event_now(s->cfg.queue));
}

/* The first moment at which the timer shows ticks. */
static int64_t ticks_to_ns(uint64_t ticks)
{
    return (int64_t)(((unsigned __int128)ticks * (uint64_t)NS_PER_SEC + PMTMR_HZ - 1) / PMTMR_HZ);
}

/* TMROF_STS rises whenever the most significant bit changes, either way (ACPI 6.5 §4.8.2.1). */
static void note_overflow(struct acpi_pm *s)
{
    const uint64_t half = ticks_now(s) >> PMTMR_MSB;
    if (half != s->tmr_half)
        s->pmsts |= STS_TMROF;
    s->tmr_half = half;
}

static void update_overflow_event(struct acpi_pm *s)
{
    if ((s->pmen & STS_TMROF) && !(s->pmsts & STS_TMROF))
        event_arm(s->cfg.queue, &s->overflow, ticks_to_ns((s->tmr_half + 1) << PMTMR_MSB));
    else
        event_cancel(s->cfg.queue, &s->overflow);
}

static void acpi_pm_update_irq(struct acpi_pm *s)
{
    const bool event = s->pmsts & s->pmen & PMEN_BITS;
    irq_set(&s->cfg.sci, event && (s->pmcntrl & CNT_SCI_EN));
}

static void overflowed(void *opaque, int64_t now_ns)
{
    (void)now_ns;
    struct acpi_pm *s = opaque;
    note_overflow(s);
    update_overflow_event(s);
    acpi_pm_update_irq(s);
}

void acpi_pm_power_button(struct acpi_pm *s)
{
    s->pmsts |= STS_PWRBTN;
    acpi_pm_update_irq(s);
}

void acpi_pm_rtc_alarm(void *opaque, unsigned pin, int level)
{
    struct acpi_pm *s = opaque;
    (void)pin;
    if (level)
        s->pmsts |= STS_RTC;
    acpi_pm_update_irq(s);
}

void acpi_pm_apm_command(void *opaque, uint8_t command)
{
    struct acpi_pm *s = opaque;
    if (command == ACPI_PM_ENABLE)
        s->pmcntrl |= CNT_SCI_EN;
    else if (command == ACPI_PM_DISABLE)
        s->pmcntrl &= (uint16_t)~CNT_SCI_EN;
    acpi_pm_update_irq(s);
}

static void sleep_now(struct acpi_pm *s)
{
    const unsigned type = (unsigned)bits(s->pmcntrl, 12, 10);
    if (type == SUS_TYP_S5) {
        irq_pulse(&s->cfg.power_off);
        return;
    }
    log_unimp(s->pci.bus->log, "PIIX4: sleep type %u is not modelled, the guest wakes at once",
              type);
    s->pmsts |= STS_RSM;
}

/* The dword of registers at offset (a multiple of 4). */
static uint32_t pm_dword(struct acpi_pm *s, unsigned offset)
{
    switch (offset) {
    case REG_PMSTS:
        note_overflow(s);
        return s->pmsts | (uint32_t)s->pmen << 16;
    case REG_PMCNTRL:
        return s->pmcntrl;
    case REG_PMTMR:
        return ticks_now(s) & PMTMR_MASK;
    case REG_GPSTS:
        return (uint32_t)s->gpen << 16;
    default:
        return 0;
    }
}

static uint64_t pm_read(void *opaque, uint64_t offset, unsigned size)
{
    struct acpi_pm *s = opaque;
    const unsigned first = (unsigned)offset & ~3u;
    uint64_t value = pm_dword(s, first);
    if ((offset & 3) + size > 4)
        value |= (uint64_t)pm_dword(s, first + 4) << 32;
    return value >> (8 * (offset & 3));
}

/* reg with its byte at (offset - base) replaced. */
static uint16_t with_byte(uint16_t reg, unsigned byte, uint8_t value)
{
    const unsigned shift = 8 * byte;
    return (uint16_t)((reg & ~(0xFFu << shift)) | (unsigned)value << shift);
}

static void pm_write_byte(struct acpi_pm *s, unsigned offset, uint8_t value)
{
    const unsigned byte = offset & 1;
    switch (offset & ~1u) {
    case REG_PMSTS:
        s->pmsts &= (uint16_t) ~((unsigned)value << (8 * byte) & PMSTS_BITS);
        break;
    case REG_PMEN:
        s->pmen = with_byte(s->pmen, byte, value) & PMEN_BITS;
        break;
    case REG_PMCNTRL:
        /* GBL_RLS would raise an SMI for a BIOS that waits for the global lock: there is none. */
        s->pmcntrl = with_byte(s->pmcntrl, byte, value) & CNT_KEPT;
        if (byte == 1 && ((unsigned)value << 8 & CNT_SUS_EN))
            sleep_now(s);
        break;
    case REG_GPEN:
        s->gpen = with_byte(s->gpen, byte, value) & GPEN_BITS;
        break;
    default:
        break;
    }
}

static void pm_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct acpi_pm *s = opaque;
    note_overflow(s);
    for (unsigned i = 0; i < size; i++)
        pm_write_byte(s, (unsigned)offset + i, (uint8_t)(value >> (8 * i)));
    update_overflow_event(s);
    acpi_pm_update_irq(s);
}

static uint64_t smb_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    const struct acpi_pm *s = opaque;
    return s->smb[offset];
}

static void smb_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    struct acpi_pm *s = opaque;
    switch (offset) {
    case REG_SMBHSTSTS:
        s->smb[offset] &= (uint8_t) ~(value & HSTSTS_W1C);
        break;
    case REG_SMBSLVSTS:
        break;
    case REG_SMBHSTCNT:
        s->smb[offset] = value & HSTCNT_KEPT;
        /* Nobody acknowledges the address: the transaction is over at once, PIIX4 §7.3.1. */
        if (value & HSTCNT_START)
            s->smb[REG_SMBHSTSTS] |= HSTSTS_DEV_ERR;
        break;
    default:
        s->smb[offset] = (uint8_t)value;
        break;
    }
}

static const struct io_ops pm_ops = {.read = pm_read, .write = pm_write};
static const struct io_ops smb_ops = {
    .read = smb_read, .write = smb_write, .min_size = 1, .max_size = 1};

static void decode(struct acpi_pm *s, struct io_region *region, bool enable, uint16_t base,
                   uint32_t size)
{
    struct iomap *io = s->pci.bus->io;
    /* Not at 0, where registers point before they are set, nor over the configuration ports. */
    enable = enable && base && (base >= 0xD00 || base + size <= 0xCF8);
    if (region->mapped == enable && (!enable || region->base == base))
        return;
    iomap_del(io, region);
    if (enable)
        iomap_add(io, region, base, size);
}

static void update_decoding(struct acpi_pm *s)
{
    const uint8_t *config = s->pci.config;
    decode(s, &s->pm_ports, config[PM_PMREGMISC] & PMREGMISC_PMIOSE,
           ld16(config + PM_PMBASE) & 0xFFC0, PM_BYTES);
    decode(s, &s->smb_ports, config[PM_SMBHSTCFG] & SMBHSTCFG_ENABLE,
           ld16(config + PM_SMBBA) & 0xFFF0, SMB_BYTES);
}

static void config_written(struct pci_device *pci, unsigned offset, unsigned size)
{
    (void)offset, (void)size;
    update_decoding(container_of(pci, struct acpi_pm, pci));
}

static void acpi_pm_reset(struct device *dev, enum reset_kind kind)
{
    (void)kind;
    struct acpi_pm *s = from_dev(dev);
    uint8_t *config = s->pci.config;
    pci_device_reset(&s->pci);
    st16(config + PM_STATUS, 0x0280);
    memset(config + 0x40, 0, PCI_CONFIG_BYTES - 0x40);
    config[PM_PMBASE] = 0x01; /* an I/O base: bit 0 is hardwired */
    config[PM_SMBBA] = 0x01;
    config[PM_DEVACTB + 3] = DEVACTB_B3_APMC_EN;
    s->pmsts = s->pmen = s->pmcntrl = s->gpen = 0;
    s->tmr_half = ticks_now(s) >> PMTMR_MSB;
    memset(s->smb, 0, sizeof s->smb);
    event_cancel(s->cfg.queue, &s->overflow);
    update_decoding(s);
}

static void acpi_pm_reset_lines(struct device *dev)
{
    acpi_pm_update_irq(from_dev(dev));
}

static void acpi_pm_state(struct device *dev, struct state *st)
{
    struct acpi_pm *s = from_dev(dev);
    state_begin(st, "acpi_pm", 1);
    pci_device_state(&s->pci, st);
    state_u16(st, "pmsts", &s->pmsts);
    state_u16(st, "pmen", &s->pmen);
    state_u16(st, "pmcntrl", &s->pmcntrl);
    state_u16(st, "gpen", &s->gpen);
    state_u64(st, "tmr_half", &s->tmr_half);
    state_check(st, s->tmr_half <= ticks_at(INT64_MAX) >> PMTMR_MSB, "tmr_half");
    state_bytes(st, "smb", s->smb, sizeof s->smb);
    state_event(st, "overflow", s->cfg.queue, &s->overflow);
    state_end(st);
}

static void acpi_pm_loaded(struct device *dev)
{
    update_decoding(from_dev(dev));
}

static void acpi_pm_destroy(struct device *dev)
{
    struct acpi_pm *s = from_dev(dev);
    event_cancel(s->cfg.queue, &s->overflow);
    free(s);
}

static const struct device_ops acpi_pm_ops = {
    .reset = acpi_pm_reset,
    .reset_lines = acpi_pm_reset_lines,
    .state = acpi_pm_state,
    .loaded = acpi_pm_loaded,
    .destroy = acpi_pm_destroy,
};

static void init_config_space(struct acpi_pm *s)
{
    struct pci_device *pci = &s->pci;
    pci_device_init(pci, s->cfg.bus, 1 << 3 | 3, 0x8086, 0x7113, 0x068000, 3);
    pci_set_subsystem(pci, 0x1AF4, 0x1100);
    /* The pin register says INTA#; the SCI itself is wired to ISA line 9, not to a PIRQ. */
    pci_set_irq_pin(pci, 1);
    pci->config_written = config_written;
    st16(pci->wmask + PM_COMMAND, 0x0001);
    st16(pci->wmask + PM_PMBASE, 0xFFC0);
    memset(pci->wmask + 0x44, 0xFF, PM_PMREGMISC - 0x44); /* CNTA to DEVRESJ: stored */
    pci->wmask[PM_PMREGMISC] = PMREGMISC_PMIOSE;
    st16(pci->wmask + PM_SMBBA, 0xFFF0);
    memset(pci->wmask + PM_SMBHSTCFG, 0xFF, PM_SMBREV - PM_SMBHSTCFG);
    pci->wmask[PM_SMBHSTCFG] = 0x0F;
}

struct acpi_pm *acpi_pm_create(struct device_list *devices, const struct acpi_pm_config *cfg)
{
    struct acpi_pm *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->pci.dev = (struct device){.name = "acpi_pm", .ops = &acpi_pm_ops};
    s->cfg = *cfg;
    init_config_space(s);
    s->pm_ports = (struct io_region){.name = "acpi_pm", .ops = &pm_ops, .opaque = s};
    s->smb_ports = (struct io_region){.name = "smbus", .ops = &smb_ops, .opaque = s};
    event_init(&s->overflow, "acpi_pm.overflow", overflowed, s);
    device_add(devices, &s->pci.dev);
    return s;
}
