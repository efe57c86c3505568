/* The interrupt vectors and the BIOS data areas, as software finds them after POST. */
#include "bda.h"
#include "io.h"
#include "post.h"
#include "vectors.h"

/* Tables in CODE_SEG: diskette parameters, in floppy.c; tables.S */
extern const uint8_t disk_table[], video_parameters[];

static void set_vector(unsigned n, entry *to)
{
    VECTOR(n) = (uint32_t)CODE_SEG << 16 | (uint16_t)(uintptr_t)to;
}

/* Vectors that point to tables, or that are for the user: nothing there until somebody sets it. */
static bool stays_null(unsigned n)
{
    return n == 0x1f || n == 0x41 || n == 0x43 || n == 0x46 || (n >= 0x60 && n <= 0x67) ||
           n >= 0x78;
}

void vectors_init(void)
{
    static const struct {
        uint8_t n;
        entry *to;
    } ours[] = {
        {0x02, fixed_e2c3}, {0x05, fixed_ff54}, {0x08, fixed_fea5}, {0x09, fixed_e987},
        {0x0e, fixed_ef57}, {0x11, fixed_f84d}, {0x12, fixed_f841}, {0x13, fixed_e3fe},
        {0x14, fixed_e739}, {0x15, fixed_f859}, {0x16, fixed_e82e}, {0x17, fixed_efd2},
        {0x18, entry_18},   {0x19, fixed_e6f2}, {0x1a, fixed_fe6e}, {0x40, fixed_ec59},
        {0x70, entry_70},   {0x71, entry_71},   {0x74, entry_74},   {0x75, entry_75},
        {0x76, entry_76},   {0x77, entry_77},
    };
    for (unsigned n = 0; n < 256; n++)
        if (stays_null(n))
            VECTOR(n) = 0;
        else
            set_vector(n, entry_iret);
    for (unsigned n = 0x08; n < 0x10; n++)
        set_vector(n, entry_irq_low);
    for (unsigned n = 0x70; n < 0x78; n++)
        set_vector(n, entry_irq_high);
    for (unsigned i = 0; i < ARRAY_SIZE(ours); i++)
        set_vector(ours[i].n, ours[i].to);
    VECTOR(0x1d) = (uint32_t)CODE_SEG << 16 | (uint16_t)(uintptr_t)video_parameters;
    VECTOR(0x1e) = (uint32_t)CODE_SEG << 16 | (uint16_t)(uintptr_t)disk_table;
}

void bda_init(void)
{
    memset((void *)BDA_ADDRESS, 0, sizeof(struct bda));
    memset((void *)EBDA_ADDRESS, 0, EBDA_BYTES);
    BDA->ebda_seg = EBDA_SEG;
    BDA->base_kib = BASE_MEMORY_KIB;
    BDA->kbd_head = BDA->kbd_tail = BDA->kbd_buffer_start = offsetof(struct bda, kbd_buffer);
    BDA->kbd_buffer_end = offsetof(struct bda, kbd_flags) + 0x27;
    BDA->equipment = 0x0026; /* coprocessor, PS/2 mouse, 80x25 colour; drives come later */
    EBDA(kib) = EBDA_BYTES / 1024;
}
