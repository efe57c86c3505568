/*
 * A whole sector of a data CD around its 2048 bytes: ECMA-130 §14 "Digital data structure of the
 * Sectors to be recorded", mode 01.
 *
 *       0       12     16                     2064  2068     2076           2352
 *      +-------+------+----------------------+-----+--------+--------------+
 *      | sync  |header| user data            | EDC | zeros  | ECC: P and Q |
 *      +-------+------+----------------------+-----+--------+--------------+
 */
#ifndef VITRINE_DEVICES_CDSECTOR_H
#define VITRINE_DEVICES_CDSECTOR_H

#include "core/types.h"

#define CD_USER_BYTES 2048u
#define CD_RAW_BYTES  2352u
#define CD_PREGAP     150u /* frames before block 0: addresses on the disc begin at 00:02:00 */

/* The parts, as READ CD names them. */
enum {
    CD_SYNC = BIT(7),
    CD_HEADER = BIT(5),
    CD_USER = BIT(4),
    CD_EDC = BIT(3), /* with the zeros and the ECC behind it */
};

/* Block lba with this user data. */
void cdsector_build(uint8_t raw[CD_RAW_BYTES], uint32_t lba, const uint8_t user[CD_USER_BYTES]);
/* Bytes of these parts, which follow one another, and where they begin. 0: they do not. */
uint32_t cdsector_bytes(uint8_t parts);
uint32_t cdsector_start(uint8_t parts);

/* Minute, second and frame of a block, in binary; a DVD's blocks beyond the last have the last. */
static inline void cdsector_msf(uint32_t lba, uint8_t msf[3])
{
    const uint32_t frames = MIN(lba, 256u * 60 * 75 - 1 - CD_PREGAP) + CD_PREGAP;
    msf[0] = (uint8_t)(frames / (75 * 60));
    msf[1] = (uint8_t)(frames / 75 % 60);
    msf[2] = (uint8_t)(frames % 75);
}

#endif
