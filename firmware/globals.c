/* Variables that POST fills in for 16-bit code and that belong to no file there. */
#include "pnp.h"
#include "ram.h"

struct e820_entry e820_map[E820_MAX];
uint16_t e820_count;
uint16_t pnp_offset;
