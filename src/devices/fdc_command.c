/*
 * The 82077AA's commands (DS "Command Set/Descriptions", "Command Set Summary"): collecting their
 * bytes, and all that need no sector. An opcode that is none answers with ST0 = 80h: among them
 * what only later parts have, by which systems tell them apart (PART ID, SAVE, RESTORE, OPTION,
 * DRIVE SPECIFICATION).
 */
#include "devices/fdc_internal.h"

#define VERSION_82077     0x90
#define RECALIBRATE_STEPS 79

/* The command's bytes are in the FIFO. */
typedef void command_fn(struct fdc *f);

static struct fdc_drive *named_drive(struct fdc *f)
{
    return &f->drive[f->fifo[1] & DOR_SELECT];
}

static void one_result(struct fdc *f, uint8_t v)
{
    fdc_results(f, &v, 1, false);
}

/* ------------------------------------------------------------------ settings */

static void specify(struct fdc *f)
{
    f->specify[0] = f->fifo[1];
    f->specify[1] = f->fifo[2];
    fdc_idle(f);
}

static void configure(struct fdc *f)
{
    f->config = f->fifo[2] & 0x7F;
    f->precomp = f->fifo[3];
    fdc_idle(f);
}

/* D0 to D3 change only with OW. */
static void perpendicular(struct fdc *f)
{
    const uint8_t v = f->fifo[1];
    if (v & BIT(7))
        f->perpendicular = v & 0x3F;
    else
        f->perpendicular = (uint8_t)((f->perpendicular & 0x3C) | (v & 0x03));
    fdc_idle(f);
}

static void lock(struct fdc *f)
{
    f->locked = f->fifo[0] & BIT(7);
    one_result(f, f->locked ? BIT(4) : 0);
}

static void version(struct fdc *f)
{
    one_result(f, VERSION_82077);
}

static void dump_registers(struct fdc *f)
{
    uint8_t v[10];
    for (unsigned i = 0; i < FDC_SELECTS; i++)
        v[i] = f->drive[i].pcn;
    v[4] = f->specify[0];
    v[5] = f->specify[1];
    v[6] = f->eot;
    v[7] = (uint8_t)((f->locked ? BIT(7) : 0) | f->perpendicular);
    v[8] = f->config;
    v[9] = f->precomp;
    fdc_results(f, v, sizeof v, false);
}

/* ------------------------------------------------------------------ seeks */

static void start_seek(struct fdc *f, struct fdc_drive *d, uint8_t target, unsigned steps,
                       uint8_t outcome)
{
    d->target = target;
    d->outcome = (uint8_t)(outcome | d->number);
    d->seeking = true;
    d->ended = false;
    event_arm(f->events, &d->seek, event_now(f->events) + (int64_t)MAX(steps, 1) * FDC_STEP_NS);
    fdc_idle(f);
    fdc_update_irq(f);
}

/*
 * The change line goes when the heads step and a disk is in. Strictly by pulses a drive at its
 * target would need none; any seek is taken for one, since that is what software means by it.
 */
void fdc_seek_done(void *opaque, int64_t now_ns)
{
    struct fdc_drive *d = opaque;
    (void)now_ns;
    d->cylinder = d->target;
    d->ended = true;
    if (d->blk)
        d->changed = false;
    fdc_update_irq(d->fdc);
}

static unsigned distance(uint8_t a, uint8_t b)
{
    return a > b ? a - b : b - a;
}

static void seek(struct fdc *f)
{
    struct fdc_drive *d = named_drive(f);
    const unsigned steps = distance(d->pcn, f->fifo[2]);
    /* It counts from where it believes to be. */
    const int to = (int)d->cylinder + f->fifo[2] - d->pcn;
    d->pcn = f->fifo[2];
    start_seek(f, d, (uint8_t)MAX(MIN(to, FDC_LAST_CYLINDER), 0), steps, ST0_SEEK_END);
}

/* 8Fh: outwards, CFh: inwards, by so many cylinders. */
static void relative_seek(struct fdc *f)
{
    struct fdc_drive *d = named_drive(f);
    const int by = f->fifo[0] & BIT(6) ? f->fifo[2] : -(int)f->fifo[2];
    const int to = MAX(MIN(d->cylinder + by, FDC_LAST_CYLINDER), 0);
    d->pcn = (uint8_t)(d->pcn + by);
    start_seek(f, d, (uint8_t)to, f->fifo[2], ST0_SEEK_END);
}

/* Outwards till the drive says "track 0"; no drive never says it. */
static void recalibrate(struct fdc *f)
{
    struct fdc_drive *d = named_drive(f);
    const bool found = d->type != FLOPPY_NONE && d->cylinder <= RECALIBRATE_STEPS;
    const uint8_t to = found ? 0 : (uint8_t)(d->cylinder - MIN(d->cylinder, RECALIBRATE_STEPS));
    d->pcn = 0;
    start_seek(f, d, to, found ? d->cylinder : RECALIBRATE_STEPS,
               found ? ST0_SEEK_END : ST0_SEEK_END | ST0_ABNORMAL | ST0_EQUIPMENT_CHECK);
}

/* ------------------------------------------------------------------ sense */

/* DS "Sense Interrupt Status": the resets' four first, then ended seeks; else it is invalid. */
static void sense_interrupt(struct fdc *f)
{
    if (f->reset_sense) {
        const unsigned n = FDC_SELECTS - f->reset_sense--;
        fdc_results(f, (uint8_t[]){(uint8_t)(ST0_POLLING | n), f->drive[n].pcn}, 2, false);
        return;
    }
    for (unsigned i = 0; i < FDC_SELECTS; i++) {
        struct fdc_drive *d = &f->drive[i];
        if (!d->ended)
            continue;
        d->ended = d->seeking = false;
        fdc_results(f, (uint8_t[]){d->outcome, d->pcn}, 2, false);
        return;
    }
    one_result(f, ST0_INVALID);
}

static void sense_drive(struct fdc *f)
{
    const struct fdc_drive *d = named_drive(f);
    uint8_t v = (f->fifo[1] & 7) | ST3_READY | ST3_TWO_SIDES;
    if (d->type != FLOPPY_NONE && d->cylinder == 0)
        v |= ST3_TRACK_0;
    if (d->blk && d->blk->readonly)
        v |= ST3_WRITE_PROTECTED;
    one_result(f, v);
}

/* ------------------------------------------------------------------ data */

static void read_data(struct fdc *f)
{
    fdc_start(f, OP_READ);
}
static void read_deleted(struct fdc *f)
{
    fdc_start(f, OP_READ_DELETED);
}
static void read_track(struct fdc *f)
{
    fdc_start(f, OP_READ_TRACK);
}
static void write_data(struct fdc *f)
{
    fdc_start(f, OP_WRITE);
}
static void write_deleted(struct fdc *f)
{
    fdc_start(f, OP_WRITE_DELETED);
}
static void verify(struct fdc *f)
{
    fdc_start(f, OP_VERIFY);
}
static void scan_equal(struct fdc *f)
{
    fdc_start(f, OP_SCAN_EQUAL);
}
static void scan_low(struct fdc *f)
{
    fdc_start(f, OP_SCAN_LOW);
}
static void scan_high(struct fdc *f)
{
    fdc_start(f, OP_SCAN_HIGH);
}
static void read_id(struct fdc *f)
{
    fdc_start(f, OP_READ_ID);
}
static void format_track(struct fdc *f)
{
    fdc_start(f, OP_FORMAT);
}

/* ------------------------------------------------------------------ dispatch */

static const struct command {
    uint8_t opcode, mask; /* bits outside mask are options */
    uint8_t bytes;        /* the opcode among them */
    command_fn *run;
} commands[] = {
    {0x06, 0x1F, 9, read_data},
    {0x0C, 0x1F, 9, read_deleted},
    {0x02, 0xBF, 9, read_track},
    {0x05, 0x3F, 9, write_data},
    {0x09, 0x3F, 9, write_deleted},
    {0x16, 0x1F, 9, verify},
    {0x11, 0x1F, 9, scan_equal},
    {0x19, 0x1F, 9, scan_low},
    {0x1D, 0x1F, 9, scan_high},
    {0x0A, 0xBF, 2, read_id},
    {0x0D, 0xBF, 6, format_track},
    {0x03, 0xFF, 3, specify},
    {0x04, 0xFF, 2, sense_drive},
    {0x07, 0xFF, 2, recalibrate},
    {0x08, 0xFF, 1, sense_interrupt},
    {0x0E, 0xFF, 1, dump_registers},
    {0x0F, 0xFF, 3, seek},
    {0x8F, 0xBF, 3, relative_seek},
    {0x10, 0xFF, 1, version},
    {0x12, 0xFF, 2, perpendicular},
    {0x13, 0xFF, 4, configure},
    {0x14, 0x7F, 1, lock},
};

static const struct command *find(uint8_t opcode)
{
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
        if ((opcode & commands[i].mask) == commands[i].opcode)
            return &commands[i];
    return NULL;
}

void fdc_command_byte(struct fdc *f, uint8_t value)
{
    if (f->pos == 0) {
        const struct command *c = find(value);
        if (!c) {
            log_guest(f->log, "fdc: invalid command %02xh", value);
            one_result(f, ST0_INVALID);
            return;
        }
        f->len = c->bytes;
    }
    f->fifo[f->pos++] = value;
    if (f->pos < f->len)
        return;
    const struct command *c = find(f->fifo[0]);
    if (c) /* only a made-up saved state has none */
        c->run(f);
    else
        fdc_idle(f);
}
