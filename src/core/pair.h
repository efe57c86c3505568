/* Two words at once. */
#ifndef VITRINE_CORE_PAIR_H
#define VITRINE_CORE_PAIR_H

/* Compares and exchanges 16 aligned bytes, atomically. What was there. */
#if defined(__x86_64__)
__attribute__((target("cx16")))
#endif
static inline unsigned __int128
swap_pair(unsigned __int128 *at, unsigned __int128 old, unsigned __int128 new)
{
    return __sync_val_compare_and_swap(at, old, new);
}

#endif
