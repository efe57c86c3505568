/*
 * What random programs (jit_gen.h) find at CPL 0: handlers of exceptions, a system call, and the
 * exchange of two pages of code.
 */
#ifndef VITRINE_TESTS_JIT_GEN_KERNEL_H
#define VITRINE_TESTS_JIT_GEN_KERNEL_H

/* What gen_call_swap() calls. */
static inline void gen_swap(struct rig *r)
{
    for (unsigned cr3 = 0; cr3 < 2; cr3++) {
        const uint32_t a = GEN_TABLE + (GEN_CODE >> PAGE_SHIFT) * 8, b = a + 8;
        uint8_t code[64] = {0x50, 0x51}; /* push rax, push rcx */
        unsigned n = 2;
        /* mov rax, [a]; mov rcx, [b]; mov [a], rcx; mov [b], rax */
        static const uint8_t move[4][2] = {{0x8b, 0x04}, {0x8b, 0x0c}, {0x89, 0x0c}, {0x89, 0x04}};
        for (unsigned i = 0; i < 4; i++) {
            const uint8_t insn[] = {0x48, move[i][0], move[i][1], 0x25};
            memcpy(code + n, insn, sizeof insn);
            st32(code + n + 4, i & 1 ? b : a);
            n += 8;
        }
        static const uint8_t load_cr3[] = {0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8};
        static const uint8_t invlpg[] = {0x0f, 0x01, 0x3c, 0x25};
        if (cr3) {
            memcpy(code + n, load_cr3, sizeof load_cr3);
            n += sizeof load_cr3;
        }
        for (unsigned i = 0; i < 2 && !cr3; i++) {
            memcpy(code + n, invlpg, sizeof invlpg);
            st32(code + n + 4, GEN_CODE + i * (uint32_t)PAGE_SIZE);
            n += 8;
        }
        static const uint8_t end[] = {0x59, 0x58, 0xc3}; /* pop rcx, pop rax, ret */
        memcpy(code + n, end, sizeof end);
        rig_put(r, GEN_SWAP + 0x100 * cr3, code, sizeof code);
    }
}

static inline unsigned gen_add(uint8_t *code, unsigned n, const void *bytes, unsigned len)
{
    memcpy(code + n, bytes, len);
    return n + len;
}
#define GEN_ADD(...) \
    n = gen_add(code, n, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/*
 * The kernel of 64-bit programs: changes flags and segments that a return looks at, and returns, by
 * SYSRET or by IRET with a frame made on one of several stacks.
 */
static inline void gen_syscall(struct gen *g)
{
    static const uint32_t flags[] = {FLAG_AC, FLAG_DF, FLAG_ID, FLAG_NT, FLAG_NT,  FLAG_IF,
                                     FLAG_OF, FLAG_CF, FLAG_ZF, FLAG_RF, FLAG_IOPL};
    static const uint32_t stacks[] = {GEN_END - 0x80,    GEN_SUPERVISOR, GEN_SUPERVISOR,
                                      GEN_DATA + 0x1010, GEN_END - 8,    GEN_READ_ONLY + 0x10,
                                      GEN_STACK + 0x10};
    static const uint8_t code_segments[] = {SEL_CODE64_USER, SEL_CODE64, SEL_CODE32_USER,
                                            SEL_CODE32,      3,          SEL_DATA_USER};
    static const uint8_t stack_segments[] = {SEL_DATA_USER, SEL_DATA, 0, SEL_CODE64};
    uint8_t code[256];
    unsigned n = 0;
    for (unsigned i = below(5); i; i--) {
        const uint32_t f = one_in(24) ? FLAG_TF : flags[below(ARRAY_SIZE(flags))];
        const bool set = one_in(2);
        switch (below(6)) {
        case 0: /* SWAPGS */
            GEN_ADD(0x0f, 0x01, 0xf8);
            break;
        case 1: /* CLAC, STAC */
            GEN_ADD(0x0f, 0x01, (uint8_t)(0xca + set));
            break;
        case 2: /* MOV EAX, selector; MOV DS, AX */
            GEN_ADD(0xb8, set ? SEL_DATA : SEL_DATA_USER, 0, 0, 0, 0x8e, 0xd8);
            break;
        default: /* OR R11, f; AND R11, ~f */
            GEN_ADD(0x49, 0x81, set ? 0xcb : 0xe3);
            st32(code + n, set ? f : ~f);
            n += 4;
            break;
        }
    }
    if (one_in(16)) /* BTC RCX, 47: not canonical */
        GEN_ADD(0x48, 0x0f, 0xba, 0xf9, 47);
    const bool user = !one_in(4);
    if (one_in(2)) {
        if (!one_in(24))
            GEN_ADD(0x48); /* else SYSRETL */
        GEN_ADD(0x0f, 0x07);
    } else {
        GEN_ADD(0x49, 0x89, 0xe6, 0xbc); /* MOV R14, RSP; MOV ESP, stack */
        const uint32_t stack = stacks[below(ARRAY_SIZE(stacks))];
        st32(code + n, stack);
        n += 4;
        GEN_ADD(0x6a, stack_segments[one_in(12) ? below(ARRAY_SIZE(stack_segments))
                                     : user     ? 0
                                                : 1 + below(2)]);
        if (one_in(3)) { /* PUSH: the program is left on that stack */
            GEN_ADD(0x68);
            st32(code + n, stack);
            n += 4;
        } else {
            GEN_ADD(0x41, 0x56); /* PUSH R14 */
        }
        GEN_ADD(0x41, 0x53); /* PUSH R11 */
        GEN_ADD(0x6a, code_segments[one_in(12) ? below(ARRAY_SIZE(code_segments)) : !user]);
        GEN_ADD(0x51, 0x48, 0xcf); /* PUSH RCX; IRETQ */
    }
    rig_put(g->rig, GEN_SYSCALL, code, n);
    struct cpu *cpu = g->rig->cpu;
    cpu->msr_star = (uint64_t)SEL_CODE32_USER << 48 | (uint64_t)SEL_CODE64 << 32;
    cpu->msr_lstar = GEN_SYSCALL;
    cpu->msr_fmask = one_in(2) ? FLAG_IF | FLAG_DF : rnd() & ~(uint64_t)FLAG_TF;
    if (!one_in(16))
        cpu->msr_fmask |= FLAG_TF;
}

/*
 * Exceptions go on at the next chunk of the list, with a new stack; flags and registers stay as
 * they were, the frame is there to be compared.
 */
static inline void gen_handlers64(struct gen *g)
{
    static const uint8_t common[] = {
        0x50,                                                     /* push rax */
        0x48, 0x8b, 0x04,           0x25, 0x00, 0x10, 0x04, 0x00, /* mov rax, [41000] */
        0x48, 0x8d, 0x40,           0x01,                         /* lea rax, [rax + 1] */
        0x83, 0xe0, GEN_CHUNKS - 1,                               /* and eax, 15 */
        0x48, 0x89, 0x04,           0x25, 0x00, 0x10, 0x04, 0x00, /* mov [41000], rax */
        0x48, 0x8b, 0x04,           0xc5, 0x08, 0x10, 0x04, 0x00, /* mov rax, [41008 + rax*8] */
        0x48, 0x89, 0x44,           0x24, 0x08,                   /* mov [rsp + 8], rax */
        0x48, 0xc7, 0x44,           0x24, 0x20, 0x00, 0xff, 0x06,
        0x00,       /* mov qword [rsp + 20h], 6ff00 */
        0x58,       /* pop rax */
        0x48, 0xcf, /* iretq */
    };
    rig_put(g->rig, GEN_HANDLER, common, sizeof common);
    gen_swap(g->rig);
    for (unsigned v = 0; v < 256; v++) {
        uint8_t code[16], n = 0;
        if (rig_has_error((int)v)) { /* lea rsp, [rsp + 8] */
            static const uint8_t drop[] = {0x48, 0x8d, 0x64, 0x24, 0x08};
            memcpy(code, drop, sizeof drop);
            n = sizeof drop;
        }
        code[n++] = 0xe9;
        st32(code + n, GEN_HANDLER - (RIG_HANDLERS + v * 16 + n + 4));
        rig_put(g->rig, RIG_HANDLERS + v * 16, code, n + 4u);
    }
}

/* The table of the first 2 MiB. */
static inline gpa_t gen_page_table(struct rig *r)
{
    gpa_t table = RIG_TABLES;
    for (unsigned level = 0; level < 3; level++)
        table = ld64(rig_at(r, table)) & UINT64_C(0xffffffffff000);
    return table;
}

/* The same in 32-bit code: one of CPL 0 has its frame moved, as no stack is switched. */
static inline void gen_handlers32(struct gen *g)
{
    static const uint8_t common[] = {
        0x50,                                               /* push eax */
        0xa1, 0x00, 0x10,           0x04, 0x00,             /* mov eax, [41000] */
        0x8d, 0x40, 0x01,                                   /* lea eax, [eax + 1] */
        0x83, 0xe0, GEN_CHUNKS - 1,                         /* and eax, 15 */
        0xa3, 0x00, 0x10,           0x04, 0x00,             /* mov [41000], eax */
        0x8b, 0x04, 0xc5,           0x08, 0x10, 0x04, 0x00, /* mov eax, [41008 + eax*8] */
        0x89, 0x44, 0x24,           0x04,                   /* mov [esp + 4], eax */
    };
    static const uint8_t user[] = {
        0xc7, 0x44, 0x24, 0x10, 0x00, 0xff, 0x06, 0x00, /* mov dword [esp + 10h], 6ff00 */
        0x58, 0xcf,                                     /* pop eax, iret */
    };
    static const uint8_t kernel[] = {
        0xa3, 0xf0, 0xfe, 0x06, 0x00,       /* mov [6fef0], eax */
        0x8b, 0x44, 0x24, 0x08,             /* mov eax, [esp + 8] */
        0xa3, 0xf4, 0xfe, 0x06, 0x00,       /* mov [6fef4], eax */
        0x8b, 0x44, 0x24, 0x0c,             /* mov eax, [esp + 12] */
        0xa3, 0xf8, 0xfe, 0x06, 0x00,       /* mov [6fef8], eax */
        0x58,                               /* pop eax */
        0xbc, 0xf0, 0xfe, 0x06, 0x00, 0xcf, /* mov esp, 6fef0; iret */
    };
    rig_put(g->rig, GEN_HANDLER, common, sizeof common);
    if (g->user)
        rig_put(g->rig, GEN_HANDLER + sizeof common, user, sizeof user);
    else
        rig_put(g->rig, GEN_HANDLER + sizeof common, kernel, sizeof kernel);
    for (unsigned v = 0; v < 256; v++) {
        uint8_t code[16], n = 0;
        if (rig_has_error((int)v)) { /* lea esp, [esp + 4] */
            static const uint8_t drop[] = {0x8d, 0x64, 0x24, 0x04};
            memcpy(code, drop, sizeof drop);
            n = sizeof drop;
        }
        code[n++] = 0xe9;
        st32(code + n, GEN_HANDLER - (RIG_HANDLERS + v * 16 + n + 4));
        rig_put(g->rig, RIG_HANDLERS + v * 16, code, n + 4u);
    }
}

#endif
