/* The Plug and Play BIOS installation structure, whose address option ROMs and boot sectors get. */
#ifndef FIRMWARE_PNP_H
#define FIRMWARE_PNP_H

#include "mode.h"

extern uint16_t pnp_offset; /* in CODE_SEG */

#ifdef MODE32
static inline uint16_t pnp_structure_offset(void)
{
    return SHARED(pnp_offset);
}
#endif

#endif
