/*
 * What is known of address spaces (mmu/shadow.h): the structure alone, and random edits of page
 * tables, each followed by one of the invalidations that SDM 3A §4.10.4 asks for, on two machines:
 * one remembers, the other forgets everything before each instruction. Registers, faults, memory
 * and with it A and D bits must be the same.
 */
#include "insn_rig.h"
#include "seed.h"

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };
#define XD BIT64(63)

/* --- the structure --- */

static struct rig one;

static int open_one(void **state)
{
    (void)state;
    rig_open(&one);
    return 0;
}

static int close_one(void **state)
{
    (void)state;
    rig_close(&one);
    return 0;
}

#define ROOT 0x100000
#define LIN  UINT64_C(0x40201000) /* index 1 at each level of 8-byte entries but the topmost */

/* Tables of a page at LIN; at[] is where its entries lie, from the top. */
static unsigned make_tables(enum paging_mode mode, struct walk_params *p, gpa_t at[5])
{
    const unsigned size = mode == PAGING_32BIT ? 4 : 8, bits_each = size == 4 ? 10 : 9;
    const unsigned levels = mode == PAGING_5LEVEL ? 5 : mode == PAGING_4LEVEL ? 4 : 2;
    *p = (struct walk_params){.mode = mode, .root = ROOT, .phys_bits = 40, .nxe = true};
    p->pdpte[1] = ROOT | P;
    gpa_t table = ROOT;
    for (unsigned i = 0; i < levels; i++) {
        const unsigned shift = PAGE_SHIFT + bits_each * (levels - 1 - i);
        at[i] = table + ((LIN >> shift) & (BIT(bits_each) - 1)) * size;
        table += PAGE_SIZE;
        st_le(rig_at(&one, at[i]), table | P | W | U, size);
    }
    return levels;
}

static void test_trails(void **state)
{
    (void)state;
    for (enum paging_mode mode = PAGING_32BIT; mode <= PAGING_5LEVEL; mode++) {
        struct walk_params p;
        struct walk_result r;
        struct walk_trail t;
        gpa_t at[5];
        const unsigned n = make_tables(mode, &p, at);
        const unsigned size = mode == PAGING_32BIT ? 4 : 8;
        assert_true(walk_fetch(&one.mem, &p, LIN, true, &r, &t));
        assert_int_equal(t.n, n);
        assert_false(t.unknown);
        assert_true(walk_trail_holds(&t, NULL));
        /* any bit of any entry counts, but for D */
        for (unsigned i = 0; i < n; i++) {
            for (unsigned b = 0; b < 8 * size; b++) {
                const uint64_t was = ld_le(rig_at(&one, at[i]), size);
                st_le(rig_at(&one, at[i]), was ^ BIT64(b), size);
                assert_int_equal(walk_trail_holds(&t, NULL), BIT64(b) == D);
                st_le(rig_at(&one, at[i]), was, size);
            }
        }
        assert_true(walk_trail_holds(&t, NULL));
    }
}

static void test_tables_in_no_memory(void **state)
{
    (void)state;
    struct walk_params p;
    struct walk_result r;
    struct walk_trail t;
    gpa_t at[5];
    make_tables(PAGING_4LEVEL, &p, at);
    p.root = RIG_RAM_BYTES; /* nobody there: all ones */
    assert_false(walk_fetch(&one.mem, &p, LIN, true, &r, &t));
    assert_true(t.unknown);
    struct shadow *sh = shadow_create();
    assert_non_null(sh);
    shadow_forget(sh, &p);
    r = (struct walk_result){.gpa = LIN, .page_bytes = PAGE_SIZE}; /* had a device given entries */
    shadow_add(&sh->cur->user, LIN, &r, false, &t);
    assert_false(shadow_holds(&sh->cur->user, NULL));
    shadow_destroy(sh);
}

static void test_spaces(void **state)
{
    (void)state;
    struct walk_params p;
    struct walk_result r;
    struct walk_trail t;
    gpa_t at[5];
    make_tables(PAGING_4LEVEL, &p, at);
    struct shadow *sh = shadow_create();
    assert_non_null(sh);
    shadow_forget(sh, &p);
    assert_true(walk_fetch(&one.mem, &p, LIN, true, &r, &t));
    shadow_add(&sh->cur->user, LIN, &r, false, &t);
    const uint32_t gen = sh->cur->user.gen;
    struct walk_params other = p;
    /* as many others as fit beside it: it is still known; one more: it is not */
    for (unsigned more = SHADOW_SPACES - 1; more <= SHADOW_SPACES; more++) {
        for (unsigned i = 1; i <= more; i++) {
            other.root = ROOT + i * PAGE_SIZE;
            const enum shadow_entered how = shadow_enter(sh, &other);
            assert_true(more == SHADOW_SPACES || how == SHADOW_NEW);
            assert_true(sh->cur->user.gen != gen);
        }
        assert_int_equal(shadow_enter(sh, &p),
                         more < SHADOW_SPACES ? SHADOW_KEPT : SHADOW_RECYCLED);
        assert_int_equal(sh->cur->user.gen == gen, more < SHADOW_SPACES);
    }
    /* an entry changes while another space is in force */
    shadow_add(&sh->cur->user, LIN, &r, false, &t);
    assert_true(shadow_holds_at(&sh->cur->user, LIN, NULL));
    shadow_enter(sh, &other);
    st64(rig_at(&one, at[1]), ld64(rig_at(&one, at[1])) & ~(uint64_t)A);
    assert_int_equal(shadow_enter(sh, &p), SHADOW_CHANGED);
    assert_int_equal(sh->cur->user.n, 0);
    shadow_destroy(sh);
}

static void test_full_list(void **state)
{
    (void)state;
    struct shadow *sh = shadow_create();
    const struct walk_result r = {.page_bytes = PAGE_SIZE};
    const struct walk_trail t = {.n = 0};
    const struct walk_params p = {.mode = PAGING_4LEVEL};
    assert_non_null(sh);
    shadow_forget(sh, &p);
    struct shadow_list *l = &sh->cur->user;
    gpa_t gpa;
    for (unsigned i = 0; i < SHADOW_PAGES; i++) {
        shadow_add(l, i * PAGE_SIZE, &r, true, &t);
        assert_true(shadow_find(l, i * PAGE_SIZE + 5, &gpa));
        assert_int_equal(gpa, 5);
    }
    assert_int_equal(l->n, SHADOW_PAGES);
    assert_false(l->local);
    assert_true(shadow_holds(l, NULL));
    assert_false(shadow_find(l, SHADOW_PAGES * PAGE_SIZE, &gpa));
    shadow_add(l, SHADOW_PAGES * PAGE_SIZE, &r, true, &t);
    assert_false(shadow_holds(l, NULL));
    assert_true(shadow_holds_at(l, 0, NULL));
    assert_false(shadow_holds_at(l, SHADOW_PAGES * PAGE_SIZE + 5, NULL));
    const struct walk_result large = {.page_bytes = 2 * MiB};
    shadow_add(l, 64 * MiB, &large, true, &t);
    assert_false(shadow_holds_at(l, 65 * MiB + 5, NULL));
    shadow_renew(sh, l);
    assert_true(shadow_holds_at(l, 65 * MiB + 5, NULL));
    shadow_destroy(sh);
}

/* A large page where a small one was found before: each is what it was when it was found. */
static void test_sizes(void **state)
{
    (void)state;
    struct shadow *sh = shadow_create();
    const struct walk_result small = {.gpa = 5 * PAGE_SIZE, .page_bytes = PAGE_SIZE};
    const struct walk_result large = {.gpa = 6 * MiB + 3 * PAGE_SIZE, .page_bytes = 2 * MiB};
    const struct walk_trail t = {.n = 0};
    const struct walk_params p = {.mode = PAGING_4LEVEL};
    gpa_t gpa;
    assert_non_null(sh);
    shadow_forget(sh, &p);
    struct shadow_list *l = &sh->cur->user;
    shadow_add(l, 4 * MiB, &small, false, &t);
    assert_false(shadow_find(l, 4 * MiB + 3 * PAGE_SIZE, &gpa));
    shadow_add(l, 4 * MiB + 3 * PAGE_SIZE, &large, false, &t);
    assert_true(shadow_find(l, 4 * MiB + 1, &gpa));
    assert_int_equal(gpa, 5 * PAGE_SIZE + 1);
    assert_true(shadow_find(l, 4 * MiB + PAGE_SIZE + 1, &gpa));
    assert_int_equal(gpa, 6 * MiB + PAGE_SIZE + 1);
    assert_false(shadow_find(l, 6 * MiB, &gpa));
    assert_int_equal(l->n, 2);
    shadow_destroy(sh);
}

/* --- two machines --- */

enum {
    ROOTS = 4,
    FRAMES = 16,
    TESTED = 8, /* pages of each region */
};
#define TABLES      UINT64_C(0x200000) /* root n: PML4, PDPT, PD, two PTs at TABLES + n * 0x8000 */
#define SYSTEM      UINT64_C(0x230000) /* PDPT, PD, PT of the region all roots share */
#define WINDOW      UINT64_C(0x238000) /* PDPT, PD, PT of the tables as data */
#define FRAME(n)    (UINT64_C(0x400000) + (n)*PAGE_SIZE)
#define STUBS       UINT64_C(0x50000)
#define LIN_OWN     (UINT64_C(1) << 39)
#define LIN_SYSTEM  UINT64_C(0xffff800000000000)
#define LIN_WINDOW  (UINT64_C(3) << 39)
#define OTHER       UINT64_C(0x23c000) /* PDPT, PD, PT of another such region */
#define TABLE_BYTES UINT64_C(0x40000)

static struct rig m[2]; /* remembers; forgets */
static struct segment segments[2][SEG_COUNT];
static unsigned cur;        /* root in force */
static bool changed[ROOTS]; /* tables of a root that is not were */
static const uint8_t stubs[] = {
    0x48, 0x8b, 0x1f, 0xcc,                         /* 00 mov (%rdi), %rbx; int3 */
    0x48, 0x89, 0x1f, 0xcc,                         /* 04 mov %rbx, (%rdi) */
    0x0f, 0x22, 0xdf, 0xcc,                         /* 08 mov %rdi, %cr3 */
    0x0f, 0x22, 0xe7, 0xcc,                         /* 0c mov %rdi, %cr4 */
    0x0f, 0x01, 0x3f, 0xcc,                         /* 10 invlpg (%rdi) */
    0x66, 0x0f, 0x38, 0x82, 0x3e, 0xcc, 0x90, 0x90, /* 14 invpcid (%rsi), %rdi */
    0x48, 0x01, 0x1f, 0xcc,                         /* 1c add %rbx, (%rdi) */
    0xff, 0xe7, 0xcc, 0xcc,                         /* 20 jmp *%rdi */
};
enum {
    READ = 0,
    WRITE = 4,
    CR3 = 8,
    CR4 = 0xc,
    INVLPG = 0x10,
    INVPCID = 0x14,
    ADD = 0x1c,
    JUMP = 0x20
};

static void both(gpa_t at, uint64_t v)
{
    uint8_t b[8];
    st64(b, v);
    for (unsigned i = 0; i < 2; i++)
        rig_put(&m[i], at, b, 8);
}

static gpa_t root_at(unsigned n)
{
    return TABLES + n * 0x8000;
}

static uint64_t entry_at(gpa_t at)
{
    return ld64(rig_at(&m[0], at));
}

/* Runs at rip in both, up to the exception that ends it, which is the same. */
static int run(bool user, uint64_t rip, uint64_t rdi, uint64_t rsi, uint64_t rbx)
{
    struct rig_event ev[2];
    for (unsigned i = 0; i < 2; i++) {
        struct cpu *cpu = m[i].cpu;
        memcpy(cpu->seg, segments[user], sizeof cpu->seg);
        cpu->cpl = user ? 3 : 0;
        cpu_update_mode(cpu);
        cpu->rip = rip;
        cpu->r[REG_RDI] = rdi;
        cpu->r[REG_RSI] = rsi;
        cpu->r[REG_RBX] = rbx;
        cpu->r[REG_RAX] = 0;
        cpu->r[REG_RSP] = RIG_STACK0 - 0x800;
        ev[i].vector = -1;
        for (unsigned n = 0; n < 16 && ev[i].vector < 0; n++) {
            if (i)
                cpu_flush_tlb(cpu);
            rig_run(&m[i], i ? 1 : 16); /* the handler is a loop */
            ev[i] = rig_event(&m[i]);
        }
        assert_true(ev[i].vector >= 0);
    }
    assert_int_equal(ev[0].vector, ev[1].vector);
    assert_int_equal(ev[0].error, ev[1].error);
    assert_int_equal(ev[0].rip, ev[1].rip);
    assert_int_equal(m[0].cpu->cr2, m[1].cpu->cr2);
    assert_int_equal(m[0].cpu->r[REG_RAX], m[1].cpu->r[REG_RAX]);
    assert_int_equal(m[0].cpu->r[REG_RBX], m[1].cpu->r[REG_RBX]);
    return ev[0].vector;
}

static void system_insn(unsigned stub, uint64_t rdi, uint64_t rsi)
{
    assert_int_equal(run(false, STUBS + stub, rdi, rsi, 0), VEC_BP);
}

static uint64_t random_leaf(uint64_t global)
{
    uint64_t e = FRAME(below(FRAMES)) | global;
    e |= below(8) ? P : 0;
    e |= below(3) ? W : 0;
    e |= below(3) ? U : 0;
    e |= below(6) ? 0 : XD;
    return e | (rnd() & (A | D));
}

/* As a store through the window, or as DMA. */
static void put_entry(gpa_t at, uint64_t v)
{
    if (below(2)) {
        both(at, v);
    } else {
        assert_int_equal(run(false, STUBS + WRITE, LIN_WINDOW + (at - TABLES), 0, v), VEC_BP);
    }
}

static void invpcid(uint64_t type, uint64_t pcid, gla_t lin)
{
    both(STUBS + 0x100, pcid);
    both(STUBS + 0x108, lin);
    system_insn(INVPCID, type, STUBS + 0x100);
}

static void toggle_pge(void)
{
    const uint64_t cr4 = m[0].cpu->cr4;
    system_insn(CR4, cr4 ^ CR4_PGE, 0);
    system_insn(CR4, cr4, 0);
}

static void load_root(unsigned n, bool keep)
{
    system_insn(CR3, root_at(n) | n | (keep ? BIT64(63) : 0), 0);
    cur = n;
    changed[n] = false;
}

/* Everything of the root in force but global pages. */
static void forget_current(void)
{
    switch (below(5)) {
    case 0:
        load_root(cur, false);
        break;
    case 1:
        invpcid(1, cur, 0);
        break;
    case 2:
        invpcid(3, 0, 0);
        break;
    case 3:
        invpcid(2, 0, 0);
        break;
    default:
        toggle_pge();
        break;
    }
}

static void edit_leaf(void)
{
    const unsigned root = below(2) ? cur : below(ROOTS), i = below(TESTED), pt = below(2);
    put_entry(root_at(root) + (3 + pt) * PAGE_SIZE + i * 8, random_leaf(0));
    if (root != cur) {
        changed[root] = true;
        return;
    }
    forget_current(); /* INVLPG may not be enough: both PDEs may lead here */
}

static void edit_one_leaf_with_invlpg(void)
{
    const unsigned i = below(TESTED);
    const gpa_t pde = root_at(cur) + 2 * PAGE_SIZE;
    const gpa_t pt = entry_at(pde) & UINT64_C(0xffffff000);
    if (pt == (entry_at(pde + 8) & UINT64_C(0xffffff000)) || (entry_at(pde) & PS))
        return;
    put_entry(pt + i * 8, random_leaf(0));
    if (below(2))
        system_insn(INVLPG, LIN_OWN + i * PAGE_SIZE + below(PAGE_SIZE), 0);
    else
        invpcid(0, cur, LIN_OWN + i * PAGE_SIZE);
}

/* A PDE: rights, which table, or a large page over the frames; or an entry above it. */
static void edit_upper(void)
{
    const unsigned root = below(2) ? cur : below(ROOTS), half = below(2);
    const gpa_t at = root_at(root);
    const uint64_t rights = (below(6) ? P : 0) | (below(4) ? W : 0) | (below(4) ? U : 0) |
                            (below(8) ? 0 : XD) | (below(2) ? A : 0);
    switch (below(4)) {
    case 0:
        put_entry(at + 8, (at + PAGE_SIZE) | rights); /* PML4E 1 */
        break;
    case 1:
        put_entry(at + PAGE_SIZE, (at + 2 * PAGE_SIZE) | rights);
        break;
    case 2:
        put_entry(at + 2 * PAGE_SIZE + half * 8, FRAME(0) | PS | rights | (below(2) ? D : 0));
        break;
    default:
        put_entry(at + 2 * PAGE_SIZE + half * 8, (at + (3 + below(2)) * PAGE_SIZE) | rights);
        break;
    }
    if (root == cur)
        forget_current();
    else
        changed[root] = true;
}

/* A page of all roots; INVLPG is enough for one that was global. */
static void edit_system(void)
{
    const unsigned i = below(TESTED);
    const gpa_t at = SYSTEM + 2 * PAGE_SIZE + i * 8;
    const bool was_global = entry_at(at) & G;
    put_entry(at, random_leaf(below(4) ? G : 0));
    if (was_global && below(2))
        system_insn(INVLPG, LIN_SYSTEM + i * PAGE_SIZE, 0);
    else if (below(2))
        invpcid(2, 0, 0);
    else
        toggle_pge();
}

static gla_t random_page(void)
{
    const unsigned region = below(3);
    const gla_t base = region == 2 ? LIN_SYSTEM : LIN_OWN + region * 2 * MiB;
    return base + below(TESTED) * PAGE_SIZE;
}

static void touch(void)
{
    const bool user = below(2);
    const gla_t lin = random_page();
    switch (below(6)) {
    case 0:
        run(user, STUBS + READ, lin + 0xf00, 0, 0);
        break;
    case 1:
        run(user, STUBS + WRITE, lin + 0xf08, 0, rnd());
        break;
    case 2:
        run(user, STUBS + ADD, lin + 0xf10, 0, rnd());
        break;
    case 3: /* over the edge of two pages */
        run(user, STUBS + (below(2) ? READ : WRITE), lin + 0xffc, 0, rnd());
        break;
    default: /* code: in one page, or on to the next */
        for (unsigned n = 1 + below(3); n > 0; n--) {
            static const uint16_t entries[] = {0x100, 0x800, 0xa00};
            const gla_t at = lin + entries[below(3)];
            run(user, below(2) ? at : STUBS + JUMP, at, random_page() + 0x900, 0);
        }
        break;
    }
}

/* While no page is global, those of all roots are forgotten as others are. */
static void without_globals(void)
{
    const uint64_t cr4 = m[0].cpu->cr4;
    system_insn(CR4, cr4 & ~(uint64_t)CR4_PGE, 0);
    for (unsigned n = below(4); n > 0; n--) {
        touch();
        put_entry(SYSTEM + 2 * PAGE_SIZE + below(TESTED) * 8, random_leaf(below(4) ? G : 0));
        for (unsigned r = 0; r < ROOTS; r++)
            changed[r] = r != cur;
        forget_current();
    }
    touch();
    system_insn(CR4, cr4, 0);
}

static void make_machine(struct rig *r, bool forgets)
{
    rig_open(r);
    r->cpu->no_shadow = forgets;
    rig_long_user(r);
    for (gla_t at = 0; at < 2 * MiB; at += PAGE_SIZE) /* global: or no code of the system is kept */
        rig_map(r, at, at, P | W | (at == STUBS ? U : 0) | G);
    memcpy(segments[1], r->cpu->seg, sizeof segments[1]);
    rig_segments(r, SEL_CODE64, SEL_DATA);
    memcpy(segments[0], r->cpu->seg, sizeof segments[0]);
    rig_put(r, STUBS, stubs, sizeof stubs);
    for (unsigned n = 0; n < FRAMES; n++) {
        /* mov $n, %eax; int3, and: mov $n, %eax; jmp to 900h of the next page: add $..., %eax */
        uint8_t code[16] = {0xb8, (uint8_t)n, 0, 0, 0, 0xcc};
        rig_put(r, FRAME(n) + 0x100, code, 6);
        memcpy(code + 5, "\xe9\xf6\x10\x00\x00", 5);
        rig_put(r, FRAME(n) + 0x800, code, 10);
        memcpy(code + 5, "\xff\xe6", 2); /* the same by jmp *%rsi */
        rig_put(r, FRAME(n) + 0xa00, code, 7);
        rig_put(r, FRAME(n) + 0x900, (uint8_t[]){0x05, 0, (uint8_t)n, 0, 0, 0xcc}, 6);
    }
    const uint64_t all = P | W | U;
    uint8_t e[8];
#define PUT(at, v) (st64(e, v), rig_put(r, at, e, 8))
    for (unsigned n = 0; n < ROOTS; n++) {
        const gpa_t at = root_at(n);
        /* A is there where global pages are: one that is remembered from another root needs no walk
         * here, and leaves A as it is */
        PUT(at, ld64(rig_at(r, RIG_TABLES)) | A);
        PUT(at + 8, (at + 0x1000) | all);
        PUT(at + 3 * 8, WINDOW | all);
        PUT(at + 256 * 8, SYSTEM | all | A);
        PUT(at + 0x1000, (at + 0x2000) | all);
        PUT(at + 0x2000, (at + 0x3000) | all);
        PUT(at + 0x2008, (at + 0x4000) | all);
    }
    PUT(SYSTEM, (SYSTEM + 0x1000) | all);
    PUT(SYSTEM + 0x1000, (SYSTEM + 0x2000) | all);
    PUT(WINDOW, (WINDOW + 0x1000) | all);
    PUT(WINDOW + 0x1000, (WINDOW + 0x2000) | all);
    for (unsigned i = 0; i < TABLE_BYTES / PAGE_SIZE; i++)
        PUT(WINDOW + 0x2000 + i * 8, (TABLES + i * PAGE_SIZE) | P | W);
#undef PUT
    r->cpu->cr4 |= CR4_PGE | CR4_PCIDE;
    r->cpu->cr3 = root_at(0);
    cpu_loaded(r->cpu);
}

/* One that remembers, one that forgets. */
static void make_both(void)
{
    make_machine(&m[0], false);
    make_machine(&m[1], true);
    cur = 0;
}

static void close_both(void)
{
    rig_close(&m[0]);
    rig_close(&m[1]);
}

/* A global page that is another one by the tables of another root: once it was flushed. */
static void test_other_tables(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 4; how++) {
        make_both();
        both(OTHER, (OTHER + 0x1000) | P | W | U);
        both(OTHER + 0x1000, (OTHER + 0x2000) | P | W | U);
        both(SYSTEM + 0x2000, FRAME(1) | P | G);
        both(OTHER + 0x2000, FRAME(2) | P | G);
        both(root_at(1) + 256 * 8, OTHER | P | W | U);
        run(false, LIN_SYSTEM + 0x100, 0, 0, 0);
        assert_int_equal(m[0].cpu->r[REG_RAX], 1);
        const uint32_t gen = m[0].cpu->code_gen[0];
        load_root(1, how & 1);
        assert_int_equal(m[0].cpu->code_gen[0], gen);
        switch (how) {
        case 0:
            system_insn(INVLPG, LIN_SYSTEM, 0);
            break;
        case 1:
            toggle_pge();
            break;
        case 2:
            invpcid(2, 0, 0);
            break;
        default: /* as it was */
            load_root(0, false);
            break;
        }
        run(false, LIN_SYSTEM + 0x100, 0, 0, 0);
        assert_int_equal(m[0].cpu->r[REG_RAX], how == 3 ? 1 : 2);
        close_both();
    }
}

/*
 * A page fault ends what is known of its page (SDM 3A §4.10.4.1), so a handler that maps another
 * one there need not flush: of what was read and fetched before a store faulted nothing is left.
 */
static void test_page_faults(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 16; how++) {
        const bool code = how & 1, user = how & 2, user_faults = how & 4, large = how & 8;
        const gpa_t entry = root_at(0) + (large ? 2 : 3) * PAGE_SIZE;
        const uint64_t rights = P | U | A | (large ? PS : 0);
        make_both();
        for (uint64_t n = 0; n < 2; n++)
            both(FRAME(0) + n * 2 * MiB + 0xf00, n);
        both(FRAME(0) + 2 * MiB + 0x100, UINT64_C(0xcc00000001b8));
        both(entry, FRAME(0) | rights);
        for (uint64_t n = 0; n < 2; n++) {
            run(user, code ? LIN_OWN + 0x100 : STUBS + READ, LIN_OWN + 0xf00, 0, 7);
            for (unsigned i = 0; i < 2; i++)
                assert_int_equal(m[i].cpu->r[code ? REG_RAX : REG_RBX], n);
            both(entry, 0);
            assert_int_equal(run(user_faults, STUBS + WRITE, LIN_OWN + 0xf08, 0, 0), VEC_PF);
            both(entry, (FRAME(0) + 2 * MiB) | rights);
        }
        close_both();
    }
}

/* Without CR4.PGE a page that was global is as any other. */
static void test_global_pages_off(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 3; how++) {
        make_both();
        both(SYSTEM + 0x2000, FRAME(1) | P | G);
        run(false, LIN_SYSTEM + 0x100, 0, 0, 0);
        assert_int_equal(m[0].cpu->r[REG_RAX], 1);
        system_insn(CR4, m[0].cpu->cr4 & ~(uint64_t)CR4_PGE, 0);
        both(SYSTEM + 0x2000, FRAME(2) | P | G);
        if (how < 2)
            load_root(how, false);
        else
            invpcid(3, 0, 0);
        run(false, LIN_SYSTEM + 0x100, 0, 0, 0);
        assert_int_equal(m[0].cpu->r[REG_RAX], 2);
        close_both();
    }
}

/*
 * A page is written, its entry changes, and a read over its end walks for it again: that the old
 * entry let it be written ends with what flushes the old entry's page, which was not global or was
 * larger.
 */
static void test_read_again(void **state)
{
    (void)state;
    for (unsigned large = 0; large < 2; large++) {
        make_both();
        for (unsigned i = 0; i < 2; i++) {
            m[i].cpu->cr0 |= CR0_WP;
            cpu_loaded(m[i].cpu);
        }
        const gpa_t pde = root_at(0) + 2 * PAGE_SIZE, pt = pde + PAGE_SIZE;
        both(pt, FRAME(0) | P | W | A);
        both(pt + 8, (FRAME(0) + PAGE_SIZE) | P | A);
        if (large)
            both(pde, FRAME(0) | P | W | PS);
        run(false, STUBS + WRITE, LIN_OWN + 0xf00, 0, 5);
        both(pt, FRAME(0) | P | A | D | (large ? 0 : G));
        if (large)
            both(pde, pt | P | W | A);
        run(false, STUBS + READ, LIN_OWN + 0xffc, 0, 0);
        if (large)
            system_insn(INVLPG, LIN_OWN + 5 * PAGE_SIZE, 0);
        else
            load_root(0, false);
        assert_int_equal(run(false, STUBS + WRITE, LIN_OWN + 0xf00, 0, 6), VEC_PF);
        close_both();
    }
}

static void test_random(void **state)
{
    (void)state;
    rng_state = test_seed(rng_state);
    make_both();
    for (unsigned n = 0; n < 20000; n++) {
        switch (below(16)) {
        case 0:
            edit_leaf();
            break;
        case 1:
            edit_one_leaf_with_invlpg();
            break;
        case 2:
            if (!below(3))
                edit_upper();
            break;
        case 3:
            if (below(3))
                edit_system();
            else
                without_globals();
            break;
        case 4:
        case 5: {
            const unsigned root = below(ROOTS);
            load_root(root, !changed[root] && below(4));
            break;
        }
        default:
            touch();
            break;
        }
        if (n % 64 == 0)
            assert_memory_equal(rig_at(&m[0], TABLES), rig_at(&m[1], TABLES), 0x300000);
    }
    const struct cpu_stats *s = &m[0].cpu->stats;
    assert_true(s->spaces_kept > 500 && s->spaces_changed > 100 && s->page_flushes_kept > 100);
    close_both();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_trails, open_one, close_one),
        cmocka_unit_test_setup_teardown(test_tables_in_no_memory, open_one, close_one),
        cmocka_unit_test_setup_teardown(test_spaces, open_one, close_one),
        cmocka_unit_test_setup_teardown(test_full_list, open_one, close_one),
        cmocka_unit_test_setup_teardown(test_sizes, open_one, close_one),
        cmocka_unit_test(test_other_tables),
        cmocka_unit_test(test_page_faults),
        cmocka_unit_test(test_global_pages_off),
        cmocka_unit_test(test_read_again),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
