/* See floppy.h. The layouts are those of PC and MS-DOS, and two that squeeze in more sectors. */
#include "devices/floppy.h"

#define ANY_3_5  (BIT(FLOPPY_720K) | HIGH_3_5)
#define HIGH_3_5 (BIT(FLOPPY_1440K) | BIT(FLOPPY_2880K))
#define ANY_5_25 (BIT(FLOPPY_360K) | BIT(FLOPPY_1200K))

/* In order of size. */
static const struct floppy_format formats[] = {
    {320, 40, 1, 8, ANY_5_25, RATE_250},             /* 160 KiB */
    {360, 40, 1, 9, ANY_5_25, RATE_250},             /* 180 KiB */
    {640, 40, 2, 8, ANY_5_25, RATE_250},             /* 320 KiB */
    {720, 40, 2, 9, ANY_5_25, RATE_250},             /* 360 KiB */
    {1440, 80, 2, 9, ANY_3_5, RATE_250},             /* 720 KiB */
    {2400, 80, 2, 15, BIT(FLOPPY_1200K), RATE_500},  /* 1200 KiB */
    {2880, 80, 2, 18, HIGH_3_5, RATE_500},           /* 1440 KiB */
    {3360, 80, 2, 21, HIGH_3_5, RATE_500},           /* 1680 KiB: DMF */
    {3444, 82, 2, 21, HIGH_3_5, RATE_500},           /* 1722 KiB */
    {5760, 80, 2, 36, BIT(FLOPPY_2880K), RATE_1000}, /* 2880 KiB */
};

/* The sectors of the disk each drive is named for. */
static const uint16_t own_sectors[FLOPPY_TYPES] = {0, 720, 2400, 1440, 2880, 5760};

/* What an image that is no whole disk may be the beginning of. */
static bool may_continue(const struct floppy_format *f, enum floppy_type drive)
{
    if (drive == FLOPPY_NONE)
        return f->sectors == own_sectors[FLOPPY_1440K] || f->sectors == own_sectors[FLOPPY_2880K];
    return f->sectors == own_sectors[drive];
}

const char *floppy_type_name(enum floppy_type type)
{
    static const char *const names[FLOPPY_TYPES] = {"none", "360K",  "1.2M",
                                                    "720K", "1.44M", "2.88M"};
    return names[type];
}

enum floppy_type floppy_home(const struct floppy_format *format)
{
    return (enum floppy_type)__builtin_ctz(format->drives); /* the least that takes it */
}

const struct floppy_format *floppy_format(uint64_t bytes, enum floppy_type drive, bool *exact)
{
    const struct floppy_format *own = NULL;
    *exact = false;
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        const struct floppy_format *f = &formats[i];
        const uint64_t size = (uint64_t)f->sectors * FLOPPY_SECTOR;
        const bool fits = drive == FLOPPY_NONE || (f->drives & BIT(drive));
        if (bytes == size) {
            *exact = true;
            return fits ? f : NULL;
        }
        if (bytes < size && may_continue(f, drive) && !own)
            own = f;
    }
    return own;
}

/* A 1.2M drive turns at 360 a minute, also with a disk recorded at 300: the bits come faster. */
uint8_t floppy_rate(const struct floppy_format *format, enum floppy_type drive)
{
    return drive == FLOPPY_1200K && format->rate == RATE_250 ? RATE_300 : format->rate;
}

uint8_t floppy_steps(const struct floppy_format *format, enum floppy_type drive)
{
    return drive == FLOPPY_1200K && format->cylinders == 40 ? 2 : 1;
}
