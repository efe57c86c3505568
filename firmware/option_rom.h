/* Option ROMs; 32-bit code. post.h has the calls of POST. */
#ifndef FIRMWARE_OPTION_ROM_H
#define FIRMWARE_OPTION_ROM_H

#include <stdint.h>

/* The first address behind them; what is from here on is not to be protected. */
uint32_t option_rom_end(void);

#endif
