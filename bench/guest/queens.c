// Nine queens by backtracking over arrays: short unpredictable branches and small recursion.
#include "bench.h"

enum { QUEENS = 9 };

static uint8_t column[QUEENS], rising[2 * QUEENS], falling[2 * QUEENS];
static uint64_t nodes;

static NOINLINE uint64_t place(int row)
{
    uint64_t found = 0;
    nodes++;
    if (row == QUEENS)
        return 1;
    for (int c = 0; c < QUEENS; c++) {
        if (column[c] || rising[row + c] || falling[row - c + QUEENS])
            continue;
        column[c] = rising[row + c] = falling[row - c + QUEENS] = 1;
        found += place(row + 1);
        column[c] = rising[row + c] = falling[row - c + QUEENS] = 0;
    }
    return found;
}

uint64_t queens_round(void)
{
    nodes = 0;
    uint64_t found = place(0);
    return nodes << 32 | found;
}
