/*
 * The PCI-to-ISA bridge: Intel 82371SB PIIX3, "82371FB (PIIX) and 82371SB (PIIX3) PCI ISA IDE
 * Xcelerator" datasheet 290550 ("PIIX3"). Its 8259s, 8254, DMA controllers and IDE function are
 * devices of their own.
 *
 * Not modelled: SMI# (a write to B2h tells the owner, no system-management interrupt follows), ISA
 * timing, DMA aliasing and motherboard DMA registers (stored, no effect), the reset control's
 * built-in self test, USB.
 */
#include "devices/piix3.h"

#include <stdlib.h>

enum {
    PIIX3_COMMAND = 0x04,
    PIIX3_STATUS = 0x06,
    PIIX3_HEADER_TYPE = 0x0E,
    PIIX3_IORT = 0x4C,
    PIIX3_XBCS = 0x4E,    /* to 4Fh */
    PIIX3_PIRQRCA = 0x60, /* to 63h: PIRQA-PIRQD */
    PIIX3_TOM = 0x69,
    PIIX3_MSTAT = 0x6A, /* to 6Bh */
    PIIX3_MBIRQ0 = 0x70,
    PIIX3_MBDMA0 = 0x76, /* to 77h */
    PIIX3_PCSC = 0x78,   /* to 79h */
    PIIX3_APICBASE = 0x80,
    PIIX3_DLC = 0x82,
    PIIX3_SMICNTL = 0xA0,
    PIIX3_SMIEN = 0xA2, /* to A3h */
    PIIX3_SEE = 0xA4,   /* to A7h */
    PIIX3_FTMR = 0xA8,
    PIIX3_SMIREQ = 0xAA, /* to ABh */
    PIIX3_CTLTMR = 0xAC,
    PIIX3_CTHTMR = 0xAE,
};

/* PIRQRC: PIIX3 "PIRQx Route Control Registers". */
#define PIRQ_OFF      BIT(7)
#define PIRQ_LINE     0x0F
#define ROUTABLE_IRQS 0xDEF8 /* 3-7, 9-12, 14, 15; the other values are reserved */

/* CF9h: PIIX3 "RC - Reset Control Register". */
enum {
    RC_SRST = BIT(1), /* hard reset rather than INIT */
    RC_RCPU = BIT(2), /* a 0-to-1 transition starts it */
};

#define PORT_RC   0xCF9
#define PORT_APMC 0xB2 /* and APMS at B3h */

struct piix3 {
    struct pci_device pci;
    uint8_t pirq_level; /* a bit for each of PIRQA-PIRQD */
    uint16_t driven;    /* ISA lines asserted now; derived */
    uint8_t rc;
    uint8_t apm[2]; /* APMC, APMS */
    struct piix3_config cfg;
    struct io_region rc_port, apm_ports;
};

static_assert(offsetof(struct piix3, pci) == 0 && offsetof(struct pci_device, dev) == 0,
              "ops get the device by its struct device");

static struct piix3 *from_dev(struct device *dev)
{
    return (struct piix3 *)dev;
}

/* ISA lines that asserted PIRQs are steered to. */
static uint16_t steered(const struct piix3 *s)
{
    uint16_t lines = 0;
    for (unsigned pirq = 0; pirq < 4; pirq++) {
        const uint8_t route = s->pci.config[PIIX3_PIRQRCA + pirq];
        if ((s->pirq_level & BIT(pirq)) && !(route & PIRQ_OFF))
            lines |= (uint16_t)BIT(route & PIRQ_LINE);
    }
    return lines & ROUTABLE_IRQS;
}

static void piix3_update_irq(struct piix3 *s)
{
    const uint16_t lines = steered(s);
    const uint16_t changed = lines ^ s->driven;
    s->driven = lines;
    for (unsigned irq = 0; irq < 16; irq++)
        if (changed & BIT(irq))
            irq_set(&s->cfg.isa[irq], (lines >> irq) & 1);
}

/* Called by the PCI bus when the wired-OR of a PIRQ changes. */
static void set_pirq(void *opaque, unsigned pirq, int level)
{
    struct piix3 *s = opaque;
    s->pirq_level = (uint8_t)(level ? s->pirq_level | BIT(pirq) : s->pirq_level & ~BIT(pirq));
    piix3_update_irq(s);
}

static void config_written(struct pci_device *pci, unsigned offset, unsigned size)
{
    struct piix3 *s = container_of(pci, struct piix3, pci);
    if (offset < PIIX3_PIRQRCA + 4 && offset + size > PIIX3_PIRQRCA)
        piix3_update_irq(s);
}

static uint64_t rc_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)offset, (void)size;
    const struct piix3 *s = opaque;
    return s->rc;
}

static void rc_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)offset, (void)size;
    struct piix3 *s = opaque;
    const bool rising = (value & RC_RCPU) && !(s->rc & RC_RCPU);
    s->rc = value & (RC_SRST | RC_RCPU);
    if (!rising)
        return;
    if (value & RC_SRST) {
        irq_pulse(&s->cfg.hard_reset);
    } else {
        /* Nothing clears the register after INIT; the next one shall need no write of 0 first. */
        s->rc &= (uint8_t)~RC_RCPU;
        irq_pulse(&s->cfg.cpu_init);
    }
}

static uint64_t apm_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    const struct piix3 *s = opaque;
    return s->apm[offset];
}

static void apm_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    struct piix3 *s = opaque;
    s->apm[offset] = (uint8_t)value;
    if (offset == 0 && s->cfg.apm_written)
        s->cfg.apm_written(s->cfg.apm_opaque, (uint8_t)value);
}

static const struct io_ops rc_ops = {
    .read = rc_read, .write = rc_write, .min_size = 1, .max_size = 1};
static const struct io_ops apm_ops = {
    .read = apm_read, .write = apm_write, .min_size = 1, .max_size = 1};

/* Defaults: PIIX3 §2.2 "PCI Configuration Registers (function 0)". */
static void reset_config(uint8_t *config)
{
    st16(config + PIIX3_COMMAND, 0x0007);
    st16(config + PIIX3_STATUS, 0x0200); /* DEVSEL# medium */
    memset(config + 0x40, 0, 0x70);
    config[PIIX3_IORT] = 0x4D;
    config[PIIX3_XBCS] = 0x03;
    memset(config + PIIX3_PIRQRCA, PIRQ_OFF, 4);
    config[PIIX3_TOM] = 0x02;
    config[PIIX3_MBIRQ0] = 0x80;
    config[PIIX3_MBDMA0] = config[PIIX3_MBDMA0 + 1] = 0x0C;
    config[PIIX3_PCSC] = 0x02;
    config[PIIX3_SMICNTL] = 0x08;
    config[PIIX3_FTMR] = 0x0F;
}

static void piix3_reset(struct device *dev, enum reset_kind kind)
{
    (void)kind;
    struct piix3 *s = from_dev(dev);
    pci_device_reset(&s->pci);
    reset_config(s->pci.config);
    s->pirq_level = 0;
    s->driven = 0;
    s->rc = 0;
    memset(s->apm, 0, sizeof s->apm);
}

static void piix3_state(struct device *dev, struct state *st)
{
    struct piix3 *s = from_dev(dev);
    state_begin(st, "piix3", 1);
    pci_device_state(&s->pci, st);
    state_u8(st, "pirq_level", &s->pirq_level);
    state_check(st, s->pirq_level < 16, "pirq_level");
    state_u8(st, "rc", &s->rc);
    state_bytes(st, "apm", s->apm, sizeof s->apm);
    state_end(st);
}

/* The lines' own states come from their section; only the shadow of what is driven is rebuilt. */
static void piix3_loaded(struct device *dev)
{
    struct piix3 *s = from_dev(dev);
    s->driven = steered(s);
}

static void piix3_destroy(struct device *dev)
{
    free(from_dev(dev));
}

static const struct device_ops piix3_ops = {
    .reset = piix3_reset,
    .state = piix3_state,
    .loaded = piix3_loaded,
    .destroy = piix3_destroy,
};

static void init_config_space(struct piix3 *s)
{
    struct pci_device *pci = &s->pci;
    pci_device_init(pci, s->cfg.bus, 1 << 3, 0x8086, 0x7000, 0x060100, 0);
    pci_set_subsystem(pci, 0x1AF4, 0x1100);
    pci->config[PIIX3_HEADER_TYPE] = 0x80; /* IDE and power management are functions 1 and 3 */
    pci->config_written = config_written;
    st16(pci->wmask + PIIX3_COMMAND, 0x0008); /* special cycles; the rest is hardwired */
    pci->wmask[PIIX3_IORT] = 0xFF;
    st16(pci->wmask + PIIX3_XBCS, 0x01FF);
    memset(pci->wmask + PIIX3_PIRQRCA, PIRQ_OFF | PIRQ_LINE, 4);
    pci->wmask[PIIX3_TOM] = 0xFE;
    st16(pci->wmask + PIIX3_MSTAT, 0x8072);
    pci->wmask[PIIX3_MBIRQ0] = 0xEF;
    st16(pci->wmask + PIIX3_MBDMA0, 0x8F8F);
    st16(pci->wmask + PIIX3_PCSC, 0xFFFF);
    pci->wmask[PIIX3_APICBASE] = 0x7F;
    pci->wmask[PIIX3_DLC] = 0x0F;
    pci->wmask[PIIX3_SMICNTL] = 0x1F;
    st16(pci->wmask + PIIX3_SMIEN, 0x01FF);
    st32(pci->wmask + PIIX3_SEE, 0xFFFFFFFF);
    pci->wmask[PIIX3_FTMR] = 0xFF;
    st16(pci->wmask + PIIX3_SMIREQ, 0x01FF); /* flags: cleared by writing 0 */
    pci->wmask[PIIX3_CTLTMR] = pci->wmask[PIIX3_CTHTMR] = 0xFF;
}

struct piix3 *piix3_create(struct device_list *devices, const struct piix3_config *cfg)
{
    struct piix3 *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->pci.dev = (struct device){.name = "piix3", .ops = &piix3_ops};
    s->cfg = *cfg;
    init_config_space(s);
    cfg->bus->set_pirq = set_pirq;
    cfg->bus->pirq_opaque = s;
    s->rc_port = (struct io_region){.name = "reset_control", .ops = &rc_ops, .opaque = s};
    s->apm_ports = (struct io_region){.name = "apm", .ops = &apm_ops, .opaque = s};
    iomap_add(cfg->bus->io, &s->rc_port, PORT_RC, 1);
    iomap_add(cfg->bus->io, &s->apm_ports, PORT_APMC, 2);
    device_add(devices, &s->pci.dev);
    return s;
}
