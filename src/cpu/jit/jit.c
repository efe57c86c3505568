/* See jit.h: code memory, and the life of translated blocks. */
#define _GNU_SOURCE
#include "cpu/jit/jit.h"
#include "cpu/fp/fp.h"
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

#define CODE_BYTES  (32 * MiB)
#define BLOCK_ROOM  (64 * KiB) /* more than any block takes */
#define MAX_NATIVES (256 * 1024)
#define SALTS       128

/* --- the host --- */

/* Below 2 GiB, so that code can name it by a 32-bit displacement. */
static void *low_memory(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_32BIT, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static bool cpuid_bit(uint32_t leaf, uint32_t sub, unsigned reg, unsigned bit)
{
    unsigned r[4];
    return __get_cpuid_count(leaf, sub, &r[0], &r[1], &r[2], &r[3]) && (r[reg] >> bit & 1);
}

/* What the guest may be offered, of the host: templates use it, CPUID does not. */
static void ask_host(struct jit *j)
{
    enum { EAX, EBX, ECX, EDX };
#define FEATURE(name, leaf, sub, reg, bit, flag) \
    j->host_has[FEAT_##name] = cpuid_bit(leaf, sub, reg, bit);
#include "cpu/features.def"
#undef FEATURE
    j->host_has[FEAT_NONE] = true;
    /* the operating system has to keep the registers, too */
    if (!__builtin_cpu_supports("avx2"))
        j->host_has[FEAT_AVX] = false;
}

/* Two mappings of one memory: none of them can be written and executed. */
static bool map_code(struct jit *j)
{
    const int fd = memfd_create("vitrine-code", MFD_CLOEXEC);
    if (fd < 0)
        return false;
    if (ftruncate(fd, (off_t)CODE_BYTES) == 0) {
        j->code = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        j->run = mmap(NULL, CODE_BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    }
    close(fd);
    if (j->code == MAP_FAILED)
        j->code = NULL;
    if (j->run == MAP_FAILED)
        j->run = NULL;
    j->size = CODE_BYTES;
    return j->code && j->run;
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
    ask_host(j);
    if (!j->host_has[FEAT_AVX] || !j->host_has[FEAT_BMI1] || !j->host_has[FEAT_BMI2] ||
        !j->host_has[FEAT_LZCNT] || !j->host_has[FEAT_POPCNT]) {
        error_set(err, "the translator needs a host with AVX2, BMI1, BMI2, LZCNT and POPCNT; use "
                       "-accel interp");
        free(j);
        return NULL;
    }
    j->threshold = MAX(threshold, 1u);
    verify_break(j, NULL);
    j->natives = low_memory(MAX_NATIVES * sizeof *j->natives);
    j->jump = low_memory(JIT_JUMP_MODES * sizeof *j->jump);
    if (!j->natives || !j->jump || !map_code(j)) {
        error_set(err, "this host gives no memory for translated code; use -accel interp");
        jit_destroy(j);
        return NULL;
    }
    struct emit e = {.p = j->code, .end = j->code + j->size};
    stubs_write(j, &e);
    j->enter = (jit_enter_fn *)(uintptr_t)jit_runs_at(j, j->stub[STUB_ENTER]);
    j->stub_end = j->used = (size_t)(e.p - j->code);
    cpu->self = cpu;
    return j;
}

void jit_destroy(struct jit *j)
{
    if (!j)
        return;
    if (j->perfmap)
        fclose(j->perfmap);
    if (j->code)
        munmap(j->code, CODE_BYTES);
    if (j->run)
        munmap((void *)(uintptr_t)j->run, CODE_BYTES);
    if (j->natives)
        munmap(j->natives, MAX_NATIVES * sizeof *j->natives);
    if (j->jump)
        munmap(j->jump, JIT_JUMP_MODES * sizeof *j->jump);
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
    fprintf(j->perfmap, "%" PRIxPTR " %zx jit-stubs\n", (uintptr_t)j->run, j->stub_end);
}

static void name_for_perf(struct jit *j, const struct native *n, size_t bytes)
{
    if (j->perfmap)
        fprintf(j->perfmap, "%" PRIxPTR " %zx guest-%" PRIx64 "\n",
                (uintptr_t)jit_runs_at(j, n->indirect), bytes, j->cpu->r[REG_PC]);
}

/* GS names the CPU that runs on this thread; setting it is dear, so it stays until another does. */
static void name_cpu(struct cpu *cpu)
{
    static _Thread_local struct cpu *named;
    if (likely(named == cpu))
        return;
    syscall(SYS_arch_prctl, ARCH_SET_GS, cpu);
    named = cpu;
}

/* --- from the interpreter --- */

/* A direct branch from here may leave canonical space: only the interpreter looks for that. */
static bool near_edge(const struct cpu *cpu, gla_t lin)
{
    return !cpu_canonical(cpu, lin + 4 * GiB) || !cpu_canonical(cpu, lin - 4 * GiB);
}

const struct insn *jit_run(struct cpu *cpu, struct block *b, const struct native *n)
{
    struct jit *j = cpu->code->jit;
    name_cpu(cpu);
    jit_see_patches(cpu);
    cpu->block = b;
    cpu->jit_page = cpu->r[REG_PC] & PAGE_MASK;
    return j->enter(cpu, jit_runs_at(j, n->body));
}

static const struct insn *op_jit_enter(struct cpu *cpu, const struct insn *u)
{
    struct jit *j = cpu->code->jit;
    struct block *b = cpu->block;
    const struct native *n = b->native;
    const uint64_t rip = cpu->r[REG_PC];
    if (unlikely(near_edge(cpu, rip)))
        return b->first(cpu, u);
    j->jump_modes_used |= BIT(jit_jump_mode(b->mode)); /* also if no code looks there yet */
    j->jump[jit_jump_mode(b->mode)][jit_jump_index(rip)] =
        (struct jit_jump){.key = rip ^ cpu->jit_salt, .code = jit_runs_at(j, n->indirect)};
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
    if ((b->mode & MODE_CODE_MASK) != MODE_CODE64 || (b->mode & MODE_ALIGN) || !b->cached)
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

void jit_link(struct jit *j, struct block *from, unsigned slot, struct block *to)
{
    struct native *n = from->native;
    const uint32_t generation = from->link_gen[slot];
    if (!n || !to->native || !n->site[slot] || near_edge(j->cpu, from->link_lin[slot]))
        return;
    if (n->generation[slot]) {
        memcpy(n->generation[slot], &generation, 4);
        n->target_page[slot] = from->link_lin[slot] & PAGE_MASK;
    } else if (generation) {
        return; /* in this page, but the next block reaches into another one */
    }
    const bool store = n->storing[slot] && to->native->wants_flags;
    if (store)
        emit_patch(n->storing_site[slot], to->native->entry);
    emit_patch(n->site[slot], store ? n->storing[slot] : to->native->entry);
}

void jit_unlink(struct block *from, unsigned slot)
{
    const struct native *n = from->native;
    if (!n || !n->site[slot])
        return;
    if (n->generation[slot]) {
        const uint32_t never = 0;
        memcpy(n->generation[slot], &never, 4);
    }
    if (n->storing[slot]) /* falls through to the exit */
        emit_patch(n->storing_site[slot], n->storing_site[slot] + 4);
    emit_patch(n->site[slot], n->exit[slot]);
}

void jit_translate(struct jit *j, struct block *b)
{
    if (j->n_natives == MAX_NATIVES || j->used + BLOCK_ROOM > j->size) {
        j->full = true;
        return;
    }
    jit_unhook(b);
    struct native *n = &j->natives[j->n_natives];
    *n = (struct native){.entry = NULL};
    struct emit e = {.p = j->code + j->used, .end = j->code + j->used + BLOCK_ROOM};
    if (!translate_block(j, b, n, &e))
        return; /* stays with the interpreter */
    j->n_natives++;
    name_for_perf(j, n, (size_t)(e.p - n->indirect));
    j->used = (size_t)(e.p - j->code + 15) & ~(size_t)15;
    j->cpu->stats.translated_blocks++;
    j->cpu->stats.translated_insns += b->n;
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

void jit_drop(struct block *b)
{
    if (!b->native)
        return;
    struct emit e = {.p = b->native->entry, .end = b->native->body};
    emit_jmp(&e, b->native->left);
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
    if (running)
        cpu_stop_after_current(cpu);
}

void jit_flush(struct jit *j)
{
    j->used = j->stub_end;
    j->n_natives = 0;
    j->full = false;
    j->cpu->stats.code_flushes++;
    for (unsigned m = 0; m < JIT_JUMP_MODES; m++)
        if (j->jump_modes_used & BIT(m))
            memset(j->jump[m], 0, sizeof j->jump[m]);
}

/*
 * Keys are salted with a number that changes, in bits 63:57: a canonical address has bits 63:56
 * equal, so keys of two salts never are, and the table is cleared every 127th time only. No salt is
 * 0, or an empty line would be one of RIP 0.
 */
void jit_new_generation(struct jit *j)
{
    j->salt = (uint8_t)(j->salt % (SALTS - 1) + 1);
    j->cpu->jit_salt = (uint64_t)j->salt << 57;
    if (j->salt == 1)
        for (unsigned m = 0; m < JIT_JUMP_MODES; m++)
            if (j->jump_modes_used & BIT(m))
                memset(j->jump[m], 0, sizeof j->jump[m]);
}
