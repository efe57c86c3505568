/* See jit.h: code memory, and the life of translated blocks. */
#define _GNU_SOURCE
#include "cpu/jit/jit.h"
#include "cpu/fp/fp.h"
#include "cpu/jit/gdb_jit.h"
#include "cpu/jit/translate.h"
#include "cpu/jit/verify.h"
#include "cpu/op_int.h"
#include "cpu/run.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CODE_BYTES  (128 * MiB)
#define JUMP_BITS   14
#define KNOWN_BITS  14
#define BLOCK_ROOM  (64 * KiB) /* more than any block takes */
#define HOT_SHARE   5          /* sixteenths of it are for what is in line */
#define CODE_CHUNK  (256 * KiB)
#define HUGE_PAGE   (2 * MiB)
#define MAX_NATIVES (256 * 1024)

/* What older headers do not know, older kernels answer with EINVAL. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* --- the host --- */

/* Below 2 GiB, so that code can name it by a 32-bit displacement. */
static void *low_memory(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_32BIT, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if ((uintptr_t)p >= PENDING_DEF) /* Linux takes it from there */
        return p;
    munmap(p, bytes);
    return NULL;
}

static bool cpuid_bit(uint32_t leaf, uint32_t sub, unsigned reg, unsigned bit)
{
    unsigned r[4];
    return __get_cpuid_count(leaf, sub, &r[0], &r[1], &r[2], &r[3]) && (r[reg] >> bit & 1);
}

/* What the guest may be offered, of the host: templates use it, CPUID does not. */
static void ask_host(bool has[])
{
    enum { EAX, EBX, ECX, EDX };
#define FEATURE(name, leaf, sub, reg, bit, flag) has[FEAT_##name] = cpuid_bit(leaf, sub, reg, bit);
#include "cpu/features.def"
#undef FEATURE
    has[FEAT_NONE] = true;
    /* the operating system has to keep the registers, too */
    if (!__builtin_cpu_supports("avx2"))
        has[FEAT_AVX] = false;
}

/* fd's memory, where huge pages can be; or MAP_FAILED. */
static void *map_aligned(int fd, size_t bytes, int prot)
{
    uint8_t *room = mmap(NULL, bytes + HUGE_PAGE, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return MAP_FAILED;
    const size_t before = -(uintptr_t)room & (HUGE_PAGE - 1);
    uint8_t *at = room + before;
    if (before)
        munmap(room, before);
    munmap(at + bytes, HUGE_PAGE - before);
    if (mmap(at, bytes, prot, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
        munmap(at, bytes);
        return MAP_FAILED;
    }
    return at;
}

/* Two mappings of one memory: none of them can be written and executed. */
static bool map_code(struct jit *j)
{
    const int fd = memfd_create("vitrine-code", MFD_CLOEXEC);
    if (fd < 0)
        return false;
    if (ftruncate(fd, (off_t)j->size) == 0) {
        j->code = map_aligned(fd, j->size, PROT_READ | PROT_WRITE);
        j->run = map_aligned(fd, j->size, PROT_READ | PROT_EXEC);
    }
    close(fd);
    if (j->code == MAP_FAILED)
        j->code = NULL;
    if (j->run == MAP_FAILED)
        j->run = NULL;
    return j->code && j->run;
}

/* The code memory from there on becomes a huge page in both mappings. Programs spread over many
 * pages: those of 4 KiB would not all be in the host's TLB for instructions. Where many CPUs share
 * what there is, none has so much that it would matter. */
static bool provide_huge(struct jit *j, size_t at)
{
    if (at % HUGE_PAGE || j->size < CODE_BYTES)
        return false;
    volatile uint8_t *first = j->code + at;
    *first = *first; /* there has to be a page */
    return madvise(j->code + at, HUGE_PAGE, MADV_COLLAPSE) == 0 &&
           madvise(j->run + at, HUGE_PAGE, MADV_COLLAPSE) == 0;
}

/* Asks the host for the pages up to the part's end many at a time: to fault each in, twice, is
 * dear. */
static void provide_code(struct jit *j, struct jit_part *part)
{
    const size_t end = part->used + BLOCK_ROOM;
    while (part->provided < end) {
        size_t bytes = MIN(HUGE_PAGE, part->end - part->provided);
        if (bytes < HUGE_PAGE || !provide_huge(j, part->provided)) {
            bytes = MIN(CODE_CHUNK, bytes);
            madvise(j->code + part->provided, bytes, MADV_POPULATE_WRITE);
            madvise(j->run + part->provided, bytes, MADV_POPULATE_READ);
        }
        part->provided += bytes;
    }
}

/* To write a block's code of that part. */
static struct emit open_part(struct jit *j, struct jit_part *part)
{
    provide_code(j, part);
    uint8_t *p = j->code + part->used;
    return (struct emit){.p = p, .end = p + BLOCK_ROOM};
}

static void close_part(struct jit *j, struct jit_part *part, const struct emit *e, size_t align)
{
    part->used = ((size_t)(e->p - j->code) + align - 1) & ~(align - 1);
}

/* --- life --- */

static size_t jump_bytes(const struct jit *j)
{
    return JIT_JUMP_MODES * sizeof *j->jump << j->jump_bits;
}

static size_t natives_bytes(const struct jit *j)
{
    return (j->max_natives + (size_t)1) * sizeof *j->natives; /* one for verify.c */
}

static bool host_suffices(bool has[], struct error *err)
{
    ask_host(has);
    return (has[FEAT_AVX] && has[FEAT_BMI1] && has[FEAT_BMI2] && has[FEAT_LZCNT] &&
            has[FEAT_POPCNT]) ||
           error_set(err, "the translator needs a host with AVX2, BMI1, BMI2, LZCNT and POPCNT");
}

/* What map_code() and low_memory() ask for, as little of it as shows whether it can be had. */
static bool memory_suffices(struct error *err)
{
    const int fd = memfd_create("vitrine-code", MFD_CLOEXEC);
    void *low = low_memory(PAGE_SIZE), *run = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, PAGE_SIZE) == 0)
        run = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    const bool ok = low && run != MAP_FAILED;
    if (low)
        munmap(low, PAGE_SIZE);
    if (run != MAP_FAILED)
        munmap(run, PAGE_SIZE);
    if (fd >= 0)
        close(fd);
    return ok || error_set(err, "this host gives no memory for translated code");
}

bool jit_available(struct error *err)
{
    bool has[FEAT_COUNT + 1];
    return host_suffices(has, err) && memory_suffices(err);
}

struct jit *jit_create(struct cpu *cpu, unsigned threshold, struct error *err)
{
    struct jit *j = calloc(1, sizeof *j);
    if (!j) {
        error_set(err, "not enough host memory for the translator");
        return NULL;
    }
    j->cpu = cpu;
    j->fp_native = true;
    j->full_why = AGAIN_FULL;
    if (!host_suffices(j->host_has, err)) {
        error_prefix(err, "-accel jit");
        free(j);
        return NULL;
    }
    j->threshold = MAX(threshold, 1u);
    verify_break(j, NULL);
    /* there is less than 1 GiB of low memory, for up to 255 CPUs */
    j->size = cpu_share(cpu, CODE_BYTES);
    j->max_natives = (unsigned)cpu_share(cpu, MAX_NATIVES);
    j->jump_bits = j->size == CODE_BYTES ? JUMP_BITS : JUMP_BITS - 4;
    j->natives = low_memory(natives_bytes(j));
    j->jump = low_memory(jump_bytes(j));
    if (j->natives && j->size == CODE_BYTES)
        madvise(j->natives, natives_bytes(j), MADV_HUGEPAGE);
    j->known_bits = j->size == CODE_BYTES ? KNOWN_BITS : KNOWN_BITS - 4;
    j->known = calloc((size_t)1 << j->known_bits, sizeof *j->known);
    j->past = jit_past_create();
    if ((uintptr_t)j->natives < PENDING_DEF || !j->jump || !j->known || !j->past || !map_code(j)) {
        error_set(err, "-accel jit: this host gives too little memory for translated code; use "
                       "-accel interp");
        jit_destroy(j);
        return NULL;
    }
    jit_jumps_init(j);
    struct emit e = {.p = j->code, .end = j->code + j->size};
    stubs_write(j, &e);
    j->enter = (jit_enter_fn *)(uintptr_t)jit_runs_at(j, j->stub[STUB_ENTER]);
    const size_t stubs = (size_t)(e.p - j->code), cold = j->size / 16 * HOT_SHARE & PAGE_MASK;
    j->hot = (struct jit_part){.start = stubs, .end = cold, .used = stubs};
    j->cold = (struct jit_part){.start = cold, .end = j->size, .used = cold, .provided = cold};
    cpu->self = cpu;
    jit_constants(cpu);
    j->gdb = gdb_jit_register(j);
    return j;
}

void jit_destroy(struct jit *j)
{
    if (!j)
        return;
    if (j->sampling)
        jit_sample_stop();
    jit_sample_forget(j->cpu);
    gdb_jit_forget(j->gdb);
    if (j->perfmap)
        fclose(j->perfmap);
    if (j->code)
        munmap(j->code, j->size);
    if (j->run)
        munmap((void *)(uintptr_t)j->run, j->size);
    if (j->natives)
        munmap(j->natives, natives_bytes(j));
    if (j->jump)
        munmap(j->jump, jump_bytes(j));
    free(j->count);
    free(j->known);
    free(j->past);
    free(j);
}

void jit_open_perfmap(struct jit *j)
{
    char name[64];
    snprintf(name, sizeof name, "/tmp/perf-%d.map", (int)getpid());
    j->perfmap = fopen(name, "a");
    if (!j->perfmap) {
        log_line(j->cpu->log, LOG_HOST, "%s cannot be written, perf will see no names", name);
        return;
    }
    setvbuf(j->perfmap, NULL, _IOLBF, 0);
    fprintf(j->perfmap, "%" PRIxPTR " %zx jit-stubs\n", (uintptr_t)j->run, j->hot.start);
}

static void name_for_perf(struct jit *j, const uint8_t *at, const uint8_t *end, const char *cold)
{
    if (j->perfmap)
        fprintf(j->perfmap, "%" PRIxPTR " %zx guest-%" PRIx64 "%s\n", (uintptr_t)jit_runs_at(j, at),
                (size_t)(end - at), j->cpu->r[REG_PC], cold);
}

/* GS names the CPU that runs on this thread; setting it is dear, so it stays until another does. */
static void name_cpu(struct cpu *cpu)
{
    static _Thread_local struct cpu *named;
    if (likely(named == cpu))
        return;
    syscall(SYS_arch_prctl, ARCH_SET_GS, (char *)cpu + JIT_GS_AT);
    named = cpu;
    jit_sample_cpu(cpu);
}

/* --- from the interpreter --- */

const struct insn *jit_run(struct cpu *cpu, struct block *b, const struct native *n)
{
    struct jit *j = cpu->code->jit;
    name_cpu(cpu);
    jit_see_patches(cpu);
    cpu->block = b;
    cpu->jit_page = cpu->r[REG_PC] & PAGE_MASK;
    jit_entered(cpu, b);
    return j->enter(cpu, jit_runs_at(j, native_place(n, n->body)));
}

static const struct insn *op_jit_enter(struct cpu *cpu, const struct insn *u)
{
    struct jit *j = cpu->code->jit;
    struct block *b = cpu->block;
    struct native *n = b->native;
    const uint64_t rip = cpu->r[REG_PC];
    if (unlikely(jit_near_edge(cpu, rip, n->reach)))
        return b->first(cpu, u);
    jit_note_room(cpu, rip, n);
    jit_jump_fill(j, jit_jump_mode(b->mode), rip, jit_runs_at(j, n->indirect));
    if (unlikely(cpu->verify != NULL))
        return verify_block(cpu);
    return jit_run(cpu, b, n);
}

static const struct insn *op_warm(struct cpu *cpu, const struct insn *u)
{
    struct block *b = cpu->block;
    if (--b->heat == 0)
        jit_translate(cpu->code->jit, b);
    return u->fn == op_warm ? b->first(cpu, u) : u->fn(cpu, u);
}

void jit_watch(struct jit *j, struct block *b)
{
    if (!jit_mode_ok(b->mode) || !b->cached)
        return;
    b->heat = j->threshold;
    b->insn->fn = op_warm;
}

void jit_unhook(struct block *b)
{
    if (!b->stale)
        b->insn->fn = b->first;
}

void jit_rehook(struct block *b)
{
    if (b->stale)
        return;
    if (b->native)
        b->insn->fn = op_jit_enter;
    else if (b->heat)
        b->insn->fn = op_warm;
}

/* --- links --- */

/*
 * A jump within a page holds wherever that page is mapped, and who takes it is not asked again: so
 * the block it starts in reaches as far as that it leads to, and whoever jumps there hears of it.
 */
static void reach_further(struct jit *j, struct block *b, uint8_t reach)
{
    if (b->native->reach >= reach)
        return;
    b->native->reach = reach;
    for (uintptr_t p = (uintptr_t)b->in_head, next; p; p = next) {
        struct block *from = (struct block *)(p & ~(uintptr_t)1);
        const unsigned slot = p & 1;
        struct native *n = from->native;
        next = (uintptr_t)from->in_next[slot];
        if (!n || !n->site[slot])
            continue;
        if (!n->far[slot]) {
            reach_further(j, from, reach);
        } else {
            n->target_reach[slot] = reach;
            if (n->target_page[slot] != JIT_NO_PAGE &&
                jit_near_edge(j->cpu, n->target_page[slot], reach))
                jit_unlink(from, slot);
        }
    }
    if (reach > b->native->room) { /* the table has a line that it is too near for now */
        b->native->room = JIT_REACH_MAX;
        jit_jumps_forget(j);
    }
}

void jit_link(struct jit *j, struct block *from, unsigned slot, struct block *to)
{
    struct native *n = from->native;
    const uint32_t generation = from->link_gen[slot];
    if (!n || !to->native || !n->site[slot] ||
        jit_near_edge(j->cpu, from->link_lin[slot], to->native->reach))
        return;
    assert(n->far[slot] == (generation != 0));
    if (generation) {
        n->generation[slot] = generation;
        n->target_page[slot] = from->link_lin[slot] & PAGE_MASK;
        n->target_reach[slot] = to->native->reach;
        n->target_ram[slot] = to->page2 == RAM_NONE ? to->start & PAGE_MASK : RAM_NONE;
    } else {
        reach_further(j, from, to->native->reach);
    }
    const uint8_t *const entry = native_place(to->native, to->native->entry);
    const bool store = n->storing[slot] && to->native->wants_flags &&
                       (to->native->changes & pending_registers(&n->def));
    if (store)
        emit_patch(native_place(n, n->storing_site[slot]), entry);
    emit_patch(native_place(n, n->site[slot]), store ? native_place(n, n->storing[slot]) : entry);
}

void jit_unlink(struct block *from, unsigned slot)
{
    struct native *n = from->native;
    if (!n || !n->site[slot])
        return;
    n->generation[slot] = 0;
    n->target_page[slot] = JIT_NO_PAGE;
    emit_patch(native_place(n, n->site[slot]), native_place(n, n->exit[slot]));
}

void jit_translate(struct jit *j, struct block *b)
{
    if (j->n_natives == j->max_natives || j->hot.used + BLOCK_ROOM > j->hot.end ||
        j->cold.used + BLOCK_ROOM > j->cold.end) {
        j->full = true;
        return;
    }
    jit_unhook(b);
    struct native *n = &j->natives[j->n_natives];
    struct emit e = open_part(j, &j->hot), cold = open_part(j, &j->cold);
    const uint8_t *const cold_start = cold.p;
    j->translating = true;
    const bool fits = translate_block(j, b, n, &e, &cold);
    j->translating = false;
    if (!fits)
        return; /* stays with the interpreter */
    j->n_natives++;
    name_for_perf(j, n->indirect, e.p, "");
    name_for_perf(j, cold_start, cold.p, "-cold");
    close_part(j, &j->hot, &e, 16);
    close_part(j, &j->cold, &cold, 1);
    j->cpu->stats.translated_blocks++;
    j->cpu->stats.translated_insns += b->n;
    j->cpu->stats.translated_bytes += (size_t)(e.p - n->indirect);
    j->cpu->stats.cold_bytes += (size_t)(cold.p - cold_start);
    jit_past_translated(j->past, b, &j->cpu->stats);
    b->native = n;
    jit_rehook(b);
    for (unsigned slot = 0; slot < 2; slot++)
        if (b->link[slot])
            jit_link(j, b, slot, b->link[slot]);
    uintptr_t p = (uintptr_t)b->in_head;
    while (p) {
        struct block *from = (struct block *)(p & ~(uintptr_t)1);
        jit_link(j, from, p & 1, b);
        p = (uintptr_t)from->in_next[p & 1];
    }
}

void jit_drop(struct jit *j, struct block *b)
{
    const struct native *n = b->native;
    if (!n)
        return;
    jit_past_gone(j->past, b, AGAIN_WRITTEN);
    jit_known_forget(j, b);
    struct emit e = {.p = native_place(n, n->entry), .end = native_place(n, n->body)};
    emit_jmp(&e, native_place(n, n->left));
}

/* Code that computes without looking is thrown away while a guest wants exceptions: by the next
 * look-up for a block, so the instruction that changed MXCSR is the last before that. */
void jit_mxcsr_changed(struct cpu *cpu, bool running)
{
    struct jit *j = cpu->code ? cpu->code->jit : NULL;
    const bool native = fp_all_masked(cpu);
    if (!j || j->fp_native == native)
        return;
    j->fp_native = native;
    j->full = true;
    j->full_why = AGAIN_MXCSR;
    if (running)
        cpu_stop_after_current(cpu);
}

void jit_flush(struct jit *j)
{
    j->hot.used = j->hot.start;
    j->cold.used = j->cold.start;
    j->n_natives = 0;
    j->full = false;
    jit_past_gone(j->past, NULL, j->full_why);
    j->full_why = AGAIN_FULL;
    j->cpu->stats.code_flushes++;
    jit_jumps_forget(j);
}
