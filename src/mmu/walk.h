/*
 * The page walk, for all paging modes: parameters in, translation or fault out, nothing else
 * touched but the accessed and dirty bits in guest memory (by compare-and-swap).
 * SDM 3A §4 "Paging"; APM 2 §5.
 */
#ifndef VITRINE_MMU_WALK_H
#define VITRINE_MMU_WALK_H

#include "mmu/memmap.h"

enum paging_mode {
    PAGING_NONE,
    PAGING_32BIT,
    PAGING_PAE,
    PAGING_4LEVEL,
    PAGING_5LEVEL,
};

/* What the walk depends on, derived from CR0, CR3, CR4, EFER, CPL and EFLAGS.AC by the CPU. */
struct walk_params {
    enum paging_mode mode;
    gpa_t root;        /* CR3 with PCID/PCD/PWT masked off; unused for PAE */
    uint64_t pdpte[4]; /* PAE only: the registers loaded by MOV CR3 (SDM 3A §4.4.1) */
    uint8_t phys_bits; /* MAXPHYADDR */
    bool nxe, wp, pse, smep, smap;
    bool gib_pages; /* 1-GiB pages supported (CPUID) */
    bool pke, pks;  /* protection keys in force; pkru/pkrs below */
    uint32_t pkru, pkrs;
};

enum walk_access { WALK_READ, WALK_WRITE, WALK_EXEC };

/* Page-fault error code, SDM 3A §4.7. */
enum {
    PF_P = BIT(0),
    PF_W = BIT(1),
    PF_U = BIT(2),
    PF_RSVD = BIT(3),
    PF_I = BIT(4),
    PF_PK = BIT(5),
};

/* Why a walk failed; explained in words by walk_reason_text(). */
enum walk_reason {
    WALK_OK,
    WALK_NOT_PRESENT,
    WALK_RESERVED,
    WALK_SUPERVISOR_PAGE, /* user access to a supervisor page */
    WALK_READ_ONLY,
    WALK_NX,
    WALK_SMEP,
    WALK_SMAP,
    WALK_PKEY,
};

struct walk_result {
    gpa_t gpa;           /* of the byte asked for */
    uint64_t page_bytes; /* 4 KiB, 2 MiB, 4 MiB or 1 GiB */
    bool user, writable, executable, global,
        dirty; /* combined rights of the leaf; dirty: D is set */
    uint8_t pkey;
    enum walk_reason reason;
    uint32_t error_code; /* valid when reason != WALK_OK */
    uint8_t level;       /* level of the entry that ended the walk: 1 = PTE ... 5 = PML5E */
    gpa_t entry_gpa;     /* where that entry lies */
    uint64_t entry;      /* and what it held */
};

/*
 * The entries a walk went by, to see later whether it would go the same way: A is set in each (the
 * walk did that), D may be or not.
 */
struct walk_trail {
    uint8_t n;
    bool wide;    /* entries of 8 bytes, not 4 */
    bool unknown; /* some entry is not in host memory */
    struct {
        const void *host;
        uint64_t value;
    } step[5];
};

/* Whether memory still holds all of it. before: another trail that was just found to hold. */
bool walk_trail_holds(const struct walk_trail *t, const struct walk_trail *before);

/*
 * Translates lin. user: the access is made with user rights (CPL 3 and not an implicit
 * supervisor access). ac: EFLAGS.AC lifts SMAP for this access. set_ad: update A and D (false for
 * debuggers). Returns true on success; on failure r says what and where. Never raises.
 */
bool walk(struct memmap *map, const struct walk_params *p, gla_t lin, enum walk_access access,
          bool user, bool ac, bool set_ad, struct walk_result *r);
/*
 * The same as walk() with set_ad, where that needs nothing but host memory which nobody traces:
 * false, with nothing told to anybody, where a device would be asked, a trace told, or the walk
 * fails. walk() does again then what was done. General registers only, for the translator.
 */
bool walk_plain(struct memmap *map, const struct walk_params *p, gla_t lin, enum walk_access access,
                bool user, bool ac, struct walk_result *r);
/* The same for a fetch that sets A, leaving its trail. */
bool walk_fetch(struct memmap *map, const struct walk_params *p, gla_t lin, bool user,
                struct walk_result *r, struct walk_trail *trail);

const char *walk_reason_text(enum walk_reason reason);

#endif
