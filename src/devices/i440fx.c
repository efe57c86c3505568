/*
 * The host bridge of the board: Intel 82441FX PMC, "440FX PCIset 82441FX (PMC) and 82442FX (DBX)"
 * datasheet 290549 ("82441FX"). Configuration mechanism #1: PCI LB 3.0 §3.2.2.3.2.
 *
 *      4G          +------------------------+
 *                  | firmware image         |
 *      4G-bios     +------------------------+
 *                  | PCI                    |
 *      below_4g    +------------------------+
 *                  | RAM                    |
 *      100000      +------------------------+
 *      F0000       | PAM0.7:4   64 KiB      |  each segment: reads and writes go, one by one, to
 *      EC000       | PAM6.7:4   16 KiB      |  RAM or to PCI, where the last 128 KiB of the
 *       ...        |  ...                   |  firmware image answer reads at E0000-FFFFF
 *      C0000       | PAM1.3:0   16 KiB      |
 *      A0000       | PCI (VGA), or RAM while SMRAM is open
 *      0           | RAM                    |
 *                  +------------------------+
 *
 * Not modelled: DRAM timing and sizing (the row boundary registers only report), the fixed hole of
 * FDHC, ECC, the turbo reset register 93h (CF9h of the PIIX3 resets), SMM itself: SMRAM can be
 * opened, but no CPU ever enters the mode.
 */
#include "devices/i440fx.h"

#include <stdlib.h>

enum {
    PMC_COMMAND = 0x04,
    PMC_STATUS = 0x06,
    PMC_PMCCFG = 0x50, /* to 51h */
    PMC_DETURBO = 0x52,
    PMC_DBC = 0x53,
    PMC_AXC = 0x54,
    PMC_DRAMR = 0x55, /* to 58h: DRT, DRAMC, DRAMT */
    PMC_PAM0 = 0x59,  /* to 5Fh */
    PMC_PAM6 = 0x5F,
    PMC_DRB0 = 0x60, /* to 67h */
    PMC_FDHC = 0x68,
    PMC_MTT = 0x70,
    PMC_CLT = 0x71,
    PMC_SMRAM = 0x72,
    PMC_ERRCMD = 0x90,
    PMC_ERRSTS = 0x91,
};

/* 82441FX §3.2.18 "PAM": in each nibble. */
enum {
    PAM_RE = BIT(0), /* reads go to DRAM */
    PAM_WE = BIT(1), /* writes go to DRAM */
};

/* 82441FX "SMRAM - System Management RAM Control Register"; D_OPEN needs G_SMRAME. */
enum {
    SMRAM_G_SMRAME = BIT(3),
    SMRAM_D_LCK = BIT(4),
    SMRAM_D_CLS = BIT(5),
    SMRAM_D_OPEN = BIT(6),
    SMRAM_C_BASE_SEG = 2, /* A0000h-BFFFFh, hardwired */
};

#define CONFIG_ENABLE    BIT(31)
#define CONFIG_ADDR_MASK 0x80FFFFFC /* bits 30..24 and 1..0 are hardwired to 0 */

#define PAM_SEGMENTS     13

/* memmap.h: what the bridge decodes lies over the PCI side; SMRAM over the VGA window. */
enum { PRIO_RAM = 0, PRIO_ROM = 1, PRIO_PAM = 2, PRIO_SMRAM = 3 };

struct pam_segment {
    struct mem_region region;
    uint8_t reg, shift;
};

struct i440fx {
    struct pci_device pci;
    uint64_t below_4g;
    uint32_t config_address;
    struct io_region address_port, data_port;
    struct mem_region low, mid, high; /* RAM: 0-A0000h, 1 MiB-below_4g, 4 GiB- */
    struct mem_region smram;
    struct mem_region bios, bios_isa;
    struct pam_segment pam[PAM_SEGMENTS]; /* F0000h first, then C0000h upwards */
};

static_assert(offsetof(struct i440fx, pci) == 0 && offsetof(struct pci_device, dev) == 0,
              "ops get the device by its struct device");

static struct i440fx *from_dev(struct device *dev)
{
    return (struct i440fx *)dev;
}

void i440fx_split_ram(uint64_t ram_bytes, uint64_t *below_4g, uint64_t *above_4g)
{
    *below_4g = ram_bytes >= 3 * GiB + 512 * MiB ? 3 * GiB : ram_bytes;
    *above_4g = ram_bytes - *below_4g;
}

static void update_map(struct i440fx *s)
{
    struct memmap *mem = s->pci.bus->mem;
    memmap_begin(mem);
    for (unsigned i = 0; i < PAM_SEGMENTS; i++) {
        const uint8_t attr = s->pci.config[s->pam[i].reg] >> s->pam[i].shift;
        memmap_set_views(mem, &s->pam[i].region, attr & PAM_RE, attr & PAM_WE);
    }
    const uint8_t smram = s->pci.config[PMC_SMRAM];
    const bool open =
        (smram & (SMRAM_G_SMRAME | SMRAM_D_OPEN | SMRAM_D_CLS)) == (SMRAM_G_SMRAME | SMRAM_D_OPEN);
    memmap_set_views(mem, &s->smram, open, open);
    memmap_end(mem);
}

/* D_LCK closes the window and holds itself, D_OPEN and G_SMRAME until the next reset. */
static void update_smram_lock(struct i440fx *s)
{
    uint8_t *smram = &s->pci.config[PMC_SMRAM];
    s->pci.wmask[PMC_SMRAM] = SMRAM_D_OPEN | SMRAM_D_CLS | SMRAM_D_LCK | SMRAM_G_SMRAME;
    if (*smram & SMRAM_D_LCK) {
        *smram &= (uint8_t)~SMRAM_D_OPEN;
        s->pci.wmask[PMC_SMRAM] = SMRAM_D_CLS;
    }
}

static void config_written(struct pci_device *pci, unsigned offset, unsigned size)
{
    struct i440fx *s = container_of(pci, struct i440fx, pci);
    const unsigned end = offset + size;
    if (offset <= PMC_SMRAM && end > PMC_SMRAM)
        update_smram_lock(s);
    if (end > PMC_PAM0 && offset <= PMC_SMRAM)
        update_map(s);
    if (offset <= PMC_FDHC && end > PMC_FDHC && pci->config[PMC_FDHC])
        log_unimp(pci->bus->log, "82441FX: memory hole FDHC=%02x is not modelled",
                  pci->config[PMC_FDHC]);
}

/*
 * CF8h: latched by dwords alone; anything narrower is an ordinary port access that this bridge
 * passes on (PCI LB 3.0 §3.2.2.3.2), where nobody but CF9h answers.
 */
static uint64_t address_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct i440fx *s = opaque;
    return size == 4 && offset == 0 ? s->config_address : UINT32_MAX;
}

static void address_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct i440fx *s = opaque;
    if (size == 4 && offset == 0)
        s->config_address = value & CONFIG_ADDR_MASK;
}

/* Does the latch name a function on bus 0? If so, which, and at what offset. */
static bool config_target(const struct i440fx *s, uint64_t offset, uint8_t *devfn, unsigned *reg)
{
    const uint32_t address = s->config_address;
    *devfn = (uint8_t)bits(address, 15, 8);
    *reg = (unsigned)(bits(address, 7, 2) * 4 + offset);
    return (address & CONFIG_ENABLE) && bits(address, 23, 16) == 0;
}

static uint64_t data_read(void *opaque, uint64_t offset, unsigned size)
{
    struct i440fx *s = opaque;
    uint8_t devfn;
    unsigned reg;
    if (!config_target(s, offset, &devfn, &reg))
        return UINT32_MAX;
    return pci_config_read(s->pci.bus, devfn, reg, size);
}

static void data_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct i440fx *s = opaque;
    uint8_t devfn;
    unsigned reg;
    if (config_target(s, offset, &devfn, &reg))
        pci_config_write(s->pci.bus, devfn, reg, (uint32_t)value, size);
}

static const struct io_ops address_ops = {.read = address_read, .write = address_write};
static const struct io_ops data_ops = {.read = data_read, .write = data_write};

/* DRAM row boundaries in units of 8 MiB, cumulative: all of it in the first row. */
static void report_dram(struct i440fx *s)
{
    const uint64_t units = s->below_4g / (8 * MiB);
    for (unsigned row = 0; row < 8; row++)
        s->pci.config[PMC_DRB0 + row] = (uint8_t)MIN(units, 0xFF);
}

static void i440fx_reset(struct device *dev, enum reset_kind kind)
{
    (void)kind;
    struct i440fx *s = from_dev(dev);
    uint8_t *config = s->pci.config;
    pci_device_reset(&s->pci);
    s->config_address = 0;
    st16(config + PMC_COMMAND, 0x0006); /* memory and bus master, hardwired */
    st16(config + PMC_STATUS, 0x0280);  /* fast back-to-back, DEVSEL# medium */
    memset(config + PMC_PMCCFG, 0, PMC_ERRSTS + 1 - PMC_PMCCFG);
    config[PMC_DBC] = 0x80;
    config[PMC_DRAMR + 2] = 0x01;
    config[PMC_DRAMR + 3] = 0x10;
    config[PMC_SMRAM] = SMRAM_C_BASE_SEG;
    report_dram(s);
    update_smram_lock(s);
}

static void i440fx_reset_lines(struct device *dev)
{
    update_map(from_dev(dev));
}

static void i440fx_state(struct device *dev, struct state *st)
{
    struct i440fx *s = from_dev(dev);
    state_begin(st, "i440fx", 1);
    pci_device_state(&s->pci, st);
    state_u32(st, "config_address", &s->config_address);
    state_check(st, !(s->config_address & ~CONFIG_ADDR_MASK), "config_address");
    state_end(st);
}

static void i440fx_loaded(struct device *dev)
{
    update_smram_lock(from_dev(dev));
    update_map(from_dev(dev));
}

static void i440fx_destroy(struct device *dev)
{
    free(from_dev(dev));
}

static const struct device_ops i440fx_ops = {
    .reset = i440fx_reset,
    .reset_lines = i440fx_reset_lines,
    .state = i440fx_state,
    .loaded = i440fx_loaded,
    .destroy = i440fx_destroy,
};

static void map_pam(struct i440fx *s, ram_t ram)
{
    struct memmap *mem = s->pci.bus->mem;
    for (unsigned i = 0; i < PAM_SEGMENTS; i++) {
        struct pam_segment *seg = &s->pam[i];
        const gpa_t base = i == 0 ? 0xF0000 : 0xC0000 + (i - 1) * 16 * KiB;
        /* PAM0.7:4 is F0000h; from PAM1.3:0 on the nibbles go up in 16-KiB steps. */
        seg->reg = (uint8_t)(PMC_PAM0 + (i + 1) / 2);
        seg->shift = i % 2 ? 0 : 4;
        mem_region_init_ram(&seg->region, "pam", ram + base, i == 0 ? 64 * KiB : 16 * KiB);
        seg->region.reads = seg->region.writes = false;
        memmap_add(mem, &seg->region, base, PRIO_PAM);
    }
}

static void map_memory(struct i440fx *s, const struct i440fx_config *cfg)
{
    struct memmap *mem = s->pci.bus->mem;
    memmap_begin(mem);
    mem_region_init_ram(&s->low, "ram.low", cfg->ram, 640 * KiB);
    memmap_add(mem, &s->low, 0, PRIO_RAM);
    if (cfg->below_4g > MiB) {
        mem_region_init_ram(&s->mid, "ram.below_4g", cfg->ram + MiB, cfg->below_4g - MiB);
        memmap_add(mem, &s->mid, MiB, PRIO_RAM);
    }
    if (cfg->above_4g) {
        mem_region_init_ram(&s->high, "ram.above_4g", cfg->ram + cfg->below_4g, cfg->above_4g);
        memmap_add(mem, &s->high, 4 * GiB, PRIO_RAM);
    }
    mem_region_init_ram(&s->smram, "smram", cfg->ram + 0xA0000, 128 * KiB);
    s->smram.reads = s->smram.writes = false;
    memmap_add(mem, &s->smram, 0xA0000, PRIO_SMRAM);
    map_pam(s, cfg->ram);

    mem_region_init_rom(&s->bios, "bios", cfg->bios, cfg->bios_size);
    memmap_add(mem, &s->bios, 4 * GiB - cfg->bios_size, PRIO_ROM);
    const uint64_t isa_size = MIN(cfg->bios_size, 128 * KiB);
    mem_region_init_rom(&s->bios_isa, "bios.isa", cfg->bios + cfg->bios_size - isa_size, isa_size);
    memmap_add(mem, &s->bios_isa, MiB - isa_size, PRIO_ROM);
    memmap_end(mem);
}

static void init_config_space(struct i440fx *s, struct pci_bus *bus)
{
    struct pci_device *pci = &s->pci;
    pci_device_init(pci, bus, 0, 0x8086, 0x1237, 0x060000, 2);
    /* SeaBIOS takes a board with this subsystem for one that speaks fw_cfg. */
    pci_set_subsystem(pci, 0x1AF4, 0x1100);
    pci->config_written = config_written;
    st16(pci->wmask + PMC_COMMAND, 0x0140); /* SERR#, parity; no INTx pin to disable */
    memset(pci->wmask + PMC_PMCCFG, 0xFF, PMC_PAM0 - PMC_PMCCFG);
    pci->wmask[PMC_PAM0] = 0x30; /* 3:0 is for 0-9FFFFh, always DRAM */
    memset(pci->wmask + PMC_PAM0 + 1, 0x33, PMC_PAM6 - PMC_PAM0);
    memset(pci->wmask + PMC_DRB0, 0xFF, 8);
    pci->wmask[PMC_FDHC] = 0xC0;
    pci->wmask[PMC_MTT] = pci->wmask[PMC_CLT] = 0xFF;
    pci->wmask[PMC_ERRCMD] = 0xFF;
    pci->w1cmask[PMC_ERRSTS] = 0xFF;
}

struct i440fx *i440fx_create(struct device_list *devices, const struct i440fx_config *cfg)
{
    assert(cfg->below_4g >= MiB && cfg->below_4g <= 4 * GiB - 16 * MiB);
    assert(!((cfg->below_4g | cfg->above_4g | cfg->bios_size) & ~PAGE_MASK));
    assert(cfg->bios_size && cfg->bios_size <= 16 * MiB);
    struct i440fx *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->pci.dev = (struct device){.name = "i440fx", .ops = &i440fx_ops};
    s->below_4g = cfg->below_4g;
    init_config_space(s, cfg->bus);
    map_memory(s, cfg);
    s->address_port = (struct io_region){.name = "pci.address", .ops = &address_ops, .opaque = s};
    s->data_port = (struct io_region){.name = "pci.data", .ops = &data_ops, .opaque = s};
    iomap_add(cfg->bus->io, &s->address_port, 0xCF8, 4);
    iomap_add(cfg->bus->io, &s->data_port, 0xCFC, 4);
    device_add(devices, &s->pci.dev);
    return s;
}
