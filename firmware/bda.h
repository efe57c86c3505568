/*
 * The BIOS data area at 0040:0000 and the extended one, as software has known them since the AT
 * and the PS/2 (IBM PS/2 and PC BIOS Interface Technical Reference, 1991, section 3 "Data Areas";
 * Ralf Brown's MEMORY.LST).
 */
#ifndef FIRMWARE_BDA_H
#define FIRMWARE_BDA_H

#include "mode.h"

struct bda {
    uint16_t com_port[4];      /* 00 */
    uint16_t lpt_port[3];      /* 08 */
    uint16_t ebda_seg;         /* 0e */
    uint16_t equipment;        /* 10: INT 11h's answer */
    uint8_t post_flags;        /* 12 */
    uint16_t base_kib;         /* 13: INT 12h's answer */
    uint16_t reserved_15;      /* 15 */
    uint8_t kbd_flags[2];      /* 17 */
    uint8_t kbd_alt_digits;    /* 19 */
    uint16_t kbd_head;         /* 1a: offsets from 0040:0000 */
    uint16_t kbd_tail;         /* 1c */
    uint16_t kbd_buffer[16];   /* 1e */
    uint8_t fd_recalibrate;    /* 3e: 3:0 a drive's bit set: its position is known; 7: interrupt */
    uint8_t fd_motor;          /* 3f */
    uint8_t fd_motor_ticks;    /* 40 */
    uint8_t fd_status;         /* 41 */
    uint8_t fd_result[7];      /* 42 */
    uint8_t video_mode;        /* 49 */
    uint16_t video_columns;    /* 4a */
    uint16_t video_bytes;      /* 4c */
    uint16_t video_start;      /* 4e */
    uint16_t cursor_pos[8];    /* 50 */
    uint16_t cursor_shape;     /* 60 */
    uint8_t video_page;        /* 62 */
    uint16_t crtc_port;        /* 63 */
    uint8_t crt_mode;          /* 65 */
    uint8_t crt_palette;       /* 66 */
    uint32_t post_return;      /* 67: where a reset with CMOS 0Fh = 5 or Ah goes on */
    uint8_t last_irq;          /* 6b */
    uint32_t ticks;            /* 6c */
    uint8_t ticks_midnight;    /* 70 */
    uint8_t ctrl_break;        /* 71: bit 7 */
    uint16_t warm_boot;        /* 72: 1234h */
    uint8_t hd_status;         /* 74 */
    uint8_t hd_count;          /* 75 */
    uint8_t hd_control;        /* 76 */
    uint8_t hd_port;           /* 77 */
    uint8_t lpt_timeout[4];    /* 78 */
    uint8_t com_timeout[4];    /* 7c */
    uint16_t kbd_buffer_start; /* 80 */
    uint16_t kbd_buffer_end;   /* 82 */
    uint8_t video_rows;        /* 84: less one */
    uint16_t char_height;      /* 85 */
    uint8_t ega_info[4];       /* 87 */
    uint8_t fd_data_rate;      /* 8b */
    uint8_t hd_status_reg;     /* 8c */
    uint8_t hd_error_reg;      /* 8d */
    uint8_t hd_irq_flag;       /* 8e: the interrupt handler sets it to FFh */
    uint8_t fd_info;           /* 8f */
    uint8_t fd_media[4];       /* 90 */
    uint8_t fd_cylinder[2];    /* 94 */
    uint8_t kbd_type;          /* 96: bit 4: 101 or 102 keys */
    uint8_t kbd_leds;          /* 97 */
    uint32_t wait_flag;        /* 98: far pointer of INT 15h AH=83h */
    uint32_t wait_us;          /* 9c */
    uint8_t wait_active;       /* a0 */
    uint8_t lan[7];            /* a1 */
    uint32_t video_save;       /* a8 */
    uint8_t reserved_ac[84];   /* ac */
    uint8_t print_screen;      /* 100 */
} PACKED;

_Static_assert(offsetof(struct bda, cursor_pos) == 0x50, "BDA");
_Static_assert(offsetof(struct bda, post_return) == 0x67, "BDA");
_Static_assert(offsetof(struct bda, video_save) == 0xa8, "BDA");
_Static_assert(offsetof(struct bda, print_screen) == 0x100, "BDA");

#define BDA LOW(struct bda, BDA_ADDRESS)

/* 22h to 2Fh: the pointing device's (INT 15h AH=C2h). 3Dh, 4Dh: what INT 41h and 46h point to. */
struct ebda {
    uint8_t kib; /* 00 */
    uint8_t reserved_01[0x21];
    uint32_t pointer_handler; /* 22: far */
    uint8_t pointer_flags[2]; /* 26, 27 */
    uint8_t pointer_data[8];  /* 28 */
    uint8_t reserved_30[13];
    uint8_t disk_table[2][16]; /* 3d: fixed disk parameter tables */
    uint8_t reserved_5d[EBDA_BYTES - 0x5d];
} PACKED;

_Static_assert(offsetof(struct ebda, disk_table) == 0x3d, "EBDA");
_Static_assert(sizeof(struct ebda) == EBDA_BYTES, "EBDA");

/* Of a field: EBDA(kib) = 1. Nothing moves our EBDA, so its place is known. */
#define EBDA(field) (FAR(struct ebda, EBDA_SEG, 0)->field)

#endif
