/* The entries of vectors.S, as offsets in CODE_SEG, and the handlers behind them. */
#ifndef FIRMWARE_VECTORS_H
#define FIRMWARE_VECTORS_H

#include "regs.h"

typedef void entry(void); /* not to be called from C */

entry entry_02, entry_05, entry_08, entry_09, entry_0e, entry_11, entry_12, entry_13, entry_14,
    entry_15, entry_16, entry_17, entry_18, entry_19, entry_1a, entry_70, entry_71, entry_74,
    entry_75, entry_76, entry_77, entry_irq_low, entry_irq_high, entry_iret, service_entry;
/* Those that have an address of old. */
entry fixed_e2c3, fixed_e3fe, fixed_e6f2, fixed_e739, fixed_e82e, fixed_e987, fixed_ec59,
    fixed_ef57, fixed_efd2, fixed_f841, fixed_f84d, fixed_f859, fixed_fe6e, fixed_fea5, fixed_ff54;

#ifdef MODE16
typedef void handler(struct bregs *r);

handler handle_02, handle_05, handle_08, handle_09, handle_0e, handle_11, handle_12, handle_13,
    handle_14, handle_15, handle_16, handle_17, handle_18, handle_19, handle_1a, handle_70,
    handle_71, handle_74, handle_75, handle_76, handle_77, handle_irq_low, handle_irq_high;
#endif

#endif
