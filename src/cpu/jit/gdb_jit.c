/*
 * Translated code for a debugger of this process: GDB's JIT compilation interface (GDB manual,
 * "JIT Interface"). Each CPU's code memory is registered as a file of symbols in memory, an ELF
 * image with no code of its own: one symbol for the common code, one for all that is translated,
 * and the frames of both, so that a backtrace finds its way from C through translated code to the
 * run loop. Which block an address belongs to says -perfmap.
 */
#include "cpu/jit/gdb_jit.h"

#include <elf.h>
#include <pthread.h>
#include <stdlib.h>

/* --- the interface: these names and layouts are what the debugger looks for --- */

enum { JIT_NOACTION, JIT_REGISTER_FN, JIT_UNREGISTER_FN };

struct jit_code_entry {
    struct jit_code_entry *next_entry, *prev_entry;
    const void *symfile_addr;
    uint64_t symfile_size;
};

struct jit_descriptor {
    uint32_t version, action_flag;
    struct jit_code_entry *relevant_entry, *first_entry;
};

extern struct jit_descriptor __jit_debug_descriptor;
extern void __jit_debug_register_code(void);

struct jit_descriptor __jit_debug_descriptor = {.version = 1};

/* The debugger has a breakpoint here. */
__attribute__((noinline)) void __jit_debug_register_code(void)
{
    __asm__ volatile("" : : : "memory");
}

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER; /* each CPU has code of its own */

/* --- the image --- */

enum { SEC_NULL, SEC_TEXT, SEC_FRAME, SEC_SYMTAB, SEC_STRTAB, SEC_COUNT };

static const char strings[] = "\0.text\0.debug_frame\0.symtab\0.strtab\0jit_stubs\0translated_code";
enum {
    NAME_TEXT = 1,
    NAME_FRAME = 7,
    NAME_SYMTAB = 20,
    NAME_STRTAB = 28,
    NAME_STUBS = 36,
    NAME_CODE = 46,
};

#define FRAME_ROOM (64u * (STUB_COUNT + 2u))

struct gdb_image {
    struct jit_code_entry entry;
    Elf64_Ehdr elf;
    Elf64_Phdr load;
    Elf64_Shdr section[SEC_COUNT];
    Elf64_Sym symbol[3];
    char strtab[sizeof strings];
    uint8_t frame[FRAME_ROOM];
};

/* DWARF 4, §6.4; the numbers of registers: System V ABI for AMD64, figure 3.36. */
enum {
    DW_RSP = 7,
    DW_RETURN = 16,
    DW_CFA_SAME_VALUE = 0x08,
    DW_CFA_DEF_CFA = 0x0c,
    DW_CFA_DEF_CFA_OFFSET = 0x0e,
    DW_CFA_DEF_CFA_EXPRESSION = 0x0f,
    DW_CFA_EXPRESSION = 0x10,
    DW_CFA_VAL_EXPRESSION = 0x16,
    DW_OP_DEREF = 0x06,
    DW_OP_PLUS_UCONST = 0x23,
    DW_OP_BREG_RSP = 0x70 + DW_RSP,
};
#define DW_CFA_OFFSET 0x80
static const uint8_t saved[] = {3, 6, 12, 13, 14, 15}; /* RBX RBP R12-R15, as the way in does */

static uint8_t *put_u32(uint8_t *p, uint32_t v)
{
    st_le(p, v, 4);
    return p + 4;
}

static uint8_t *put_u64(uint8_t *p, uint64_t v)
{
    st_le(p, v, 8);
    return p + 8;
}

static uint8_t *put_uleb(uint8_t *p, unsigned v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t)(v | 0x80);
    *p++ = (uint8_t)v;
    return p;
}

/* Ends the entry that began at its length: padded with DW_CFA_nop. */
static uint8_t *end_entry(uint8_t *start, uint8_t *p)
{
    while ((p - start) % 8 != 4)
        *p++ = 0;
    put_u32(start, (uint32_t)(p - start - 4));
    return p;
}

/* The registers that C wants back are where the way in put them, on the thread's stack. */
static uint8_t *put_cie(uint8_t *p)
{
    uint8_t *const start = p;
    p = put_u32(p + 4, UINT32_MAX);
    *p++ = 1;                  /* version */
    *p++ = 0;                  /* no augmentation */
    p = put_uleb(p, 1);        /* code alignment */
    *p++ = (uint8_t)-8 & 0x7f; /* data alignment, as SLEB128 */
    p = put_uleb(p, DW_RETURN);
    *p++ = DW_CFA_DEF_CFA;
    p = put_uleb(put_uleb(p, DW_RSP), JIT_FRAME_BYTES);
    *p++ = DW_CFA_OFFSET | DW_RETURN;
    p = put_uleb(p, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(saved); i++) {
        *p++ = DW_CFA_OFFSET | saved[i];
        p = put_uleb(p, 2 + i);
    }
    return end_entry(start, p);
}

/* As a block of DWARF: plus added to what lies at RSP + at. */
static uint8_t *put_by_rsp(uint8_t *p, size_t at, size_t plus)
{
    uint8_t *const length = p++;
    *p++ = DW_OP_BREG_RSP;
    for (; at >= 0x40; at >>= 7) /* SLEB128 */
        *p++ = (uint8_t)(at | 0x80);
    *p++ = (uint8_t)at;
    *p++ = DW_OP_DEREF;
    *p++ = DW_OP_PLUS_UCONST;
    p = put_uleb(p, (unsigned)plus);
    *length = (uint8_t)(p - length - 1);
    return p;
}

static uint8_t *start_fde(uint8_t *start, const uint8_t *from, const uint8_t *to)
{
    uint8_t *p = put_u32(start + 4, 0); /* the CIE is the first */
    return put_u64(put_u64(p, (uintptr_t)from), (uint64_t)(to - from));
}

/* Blocks: RSP is in struct cpu, which knows where the thread's is. */
static uint8_t *put_blocks(uint8_t *p, const uint8_t *from, const uint8_t *to)
{
    uint8_t *const start = p;
    p = start_fde(start, from, to);
    *p++ = DW_CFA_DEF_CFA_EXPRESSION;
    p = put_by_rsp(p, offsetof(struct cpu, jit_frame) - JIT_RSP_AT, JIT_FRAME_BYTES);
    return end_entry(start, p);
}

/* A stub, while C that it called runs: RSP is the thread's, and what is on top there says where
 * struct cpu is. */
static uint8_t *put_stub(uint8_t *p, const uint8_t *from, const uint8_t *to, enum stub_frame frame)
{
    uint8_t *const start = p;
    p = start_fde(start, from, to);
    if (frame == FRAME_OF_ENTRY)
        return end_entry(start, p);
    *p++ = DW_CFA_DEF_CFA_OFFSET; /* not into struct cpu: frames have to follow each other */
    p = put_uleb(p, frame == FRAME_ALONE ? JIT_HOT_BYTES : 8);
    if (frame != FRAME_ALONE) {
        *p++ = DW_CFA_VAL_EXPRESSION;
        p = put_by_rsp(put_uleb(p, DW_RSP), 0, JIT_RSP_AT);
        *p++ = DW_CFA_EXPRESSION;
        p = put_by_rsp(put_uleb(p, DW_RETURN), 0, offsetof(struct cpu, jit_called));
    }
    for (unsigned i = 0; i < ARRAY_SIZE(saved); i++) {
        *p++ = DW_CFA_SAME_VALUE;
        p = put_uleb(p, saved[i]);
    }
    return end_entry(start, p);
}

static size_t put_frames(const struct jit *j, uint8_t *frame)
{
    const uint8_t *const stubs_end = j->run + j->hot.start;
    uint8_t *p = put_cie(frame);
    for (unsigned s = 0; s < STUB_COUNT; s++) {
        const uint8_t *from = jit_runs_at(j, j->stub[s]);
        const uint8_t *to = s + 1 < STUB_COUNT ? jit_runs_at(j, j->stub[s + 1]) : stubs_end;
        p = put_stub(p, from, to, stub_frame((enum jit_stub)s));
    }
    p = put_blocks(p, stubs_end, j->run + j->size);
    assert(p <= frame + FRAME_ROOM);
    return (size_t)(p - frame);
}

static Elf64_Sym function(unsigned name, const uint8_t *at, const uint8_t *end)
{
    return (Elf64_Sym){.st_name = name,
                       .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                       .st_shndx = SEC_TEXT,
                       .st_value = (uintptr_t)at,
                       .st_size = (uint64_t)(end - at)};
}

static void describe(struct gdb_image *g, const struct jit *j)
{
    const char *const base = (const char *)&g->elf;
    const uint8_t *const stubs_end = j->run + j->hot.start, *const end = j->run + j->size;
    g->elf = (Elf64_Ehdr){
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_phoff = (uint64_t)((const char *)&g->load - base),
        .e_shoff = (uint64_t)((const char *)g->section - base),
        .e_ehsize = sizeof g->elf,
        .e_phentsize = sizeof g->load,
        .e_phnum = 1,
        .e_shentsize = sizeof g->section[0],
        .e_shnum = SEC_COUNT,
        .e_shstrndx = SEC_STRTAB,
    };
    g->load = (Elf64_Phdr){.p_type = PT_LOAD,
                           .p_flags = PF_X,
                           .p_vaddr = (uintptr_t)j->run,
                           .p_paddr = (uintptr_t)j->run,
                           .p_memsz = j->size};
    g->symbol[1] = function(NAME_STUBS, j->run, stubs_end);
    g->symbol[2] = function(NAME_CODE, stubs_end, end);
    memcpy(g->strtab, strings, sizeof strings);
    g->section[SEC_TEXT] = (Elf64_Shdr){.sh_name = NAME_TEXT,
                                        .sh_type = SHT_NOBITS,
                                        .sh_flags = SHF_EXECINSTR | SHF_ALLOC,
                                        .sh_addr = (uintptr_t)j->run,
                                        .sh_size = j->size};
    g->section[SEC_FRAME] = (Elf64_Shdr){.sh_name = NAME_FRAME,
                                         .sh_type = SHT_PROGBITS,
                                         .sh_offset = (uint64_t)((const char *)g->frame - base),
                                         .sh_size = put_frames(j, g->frame),
                                         .sh_addralign = 8};
    g->section[SEC_SYMTAB] = (Elf64_Shdr){.sh_name = NAME_SYMTAB,
                                          .sh_type = SHT_SYMTAB,
                                          .sh_offset = (uint64_t)((const char *)g->symbol - base),
                                          .sh_size = sizeof g->symbol,
                                          .sh_link = SEC_STRTAB,
                                          .sh_info = 1,
                                          .sh_entsize = sizeof g->symbol[0]};
    g->section[SEC_STRTAB] = (Elf64_Shdr){.sh_name = NAME_STRTAB,
                                          .sh_type = SHT_STRTAB,
                                          .sh_offset = (uint64_t)((const char *)g->strtab - base),
                                          .sh_size = sizeof strings};
    g->entry.symfile_addr = &g->elf;
    g->entry.symfile_size = sizeof *g - offsetof(struct gdb_image, elf);
}

/* --- for jit.c --- */

static void tell(uint32_t action, struct jit_code_entry *e)
{
    __jit_debug_descriptor.action_flag = action;
    __jit_debug_descriptor.relevant_entry = e;
    __jit_debug_register_code();
    __jit_debug_descriptor.action_flag = JIT_NOACTION;
}

struct gdb_image *gdb_jit_register(const struct jit *j)
{
    struct gdb_image *g = calloc(1, sizeof *g);
    if (!g)
        return NULL; /* or does without */
    describe(g, j);
    pthread_mutex_lock(&list_lock);
    struct jit_code_entry *first = __jit_debug_descriptor.first_entry;
    g->entry.next_entry = first;
    if (first)
        first->prev_entry = &g->entry;
    __jit_debug_descriptor.first_entry = &g->entry;
    tell(JIT_REGISTER_FN, &g->entry);
    pthread_mutex_unlock(&list_lock);
    return g;
}

void gdb_jit_forget(struct gdb_image *g)
{
    if (!g)
        return;
    pthread_mutex_lock(&list_lock);
    struct jit_code_entry *next = g->entry.next_entry, *prev = g->entry.prev_entry;
    if (next)
        next->prev_entry = prev;
    if (prev)
        prev->next_entry = next;
    else
        __jit_debug_descriptor.first_entry = next;
    tell(JIT_UNREGISTER_FN, &g->entry);
    pthread_mutex_unlock(&list_lock);
    free(g);
}
