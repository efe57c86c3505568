/* What is said of an exception: each kind is raised on the bench, and its explanation read. */
#include "insn_rig.h"

#include "debug/explain.h"

static struct rig rig;
static struct disas *disas;
static char text[8192];

static void add_line(void *opaque, const char *line)
{
    (void)opaque;
    const size_t n = strlen(text);
    snprintf(text + n, sizeof text - n, "%s\n", line);
}

static const char *explained(uint64_t back)
{
    const struct fault_record *r = explain_find(rig.cpu, rig.cpu->faults_seen - 1 - back);
    assert_non_null(r);
    text[0] = '\0';
    explain_fault(rig.cpu, r, &(struct explain_out){add_line, NULL, disas});
    return text;
}

static void says(const char *what)
{
    if (!strstr(text, what))
        fail_msg("\"%s\" is not in:\n%s", what, text);
}

static int open_rig(void **state)
{
    (void)state;
    rig_open(&rig);
    disas = disas_create(DISAS_INTEL, &(struct error){0});
    return disas ? 0 : -1;
}
static int close_rig(void **state)
{
    (void)state;
    disas_destroy(disas);
    rig_close(&rig);
    return 0;
}

#define CODE 0x50000

/* Runs one instruction, which faults, and explains that. */
static void fault(const void *code, size_t n)
{
    const uint64_t seen = rig.cpu->faults_seen;
    rig_put(&rig, CODE, code, n);
    rig.cpu->rip = CODE - (cpu_long(rig.cpu) ? 0 : rig.cpu->seg[SEG_CS].base);
    rig.cpu->r[REG_RSP] = 0x7f00;
    rig_run(&rig, 1);
    assert_int_equal(rig.cpu->faults_seen, seen + 1);
    explained(0);
}
#define FAULT(...) fault((const uint8_t[]){__VA_ARGS__}, sizeof(const uint8_t[]){__VA_ARGS__})

/* The whole text of one, so that its shape is seen here. */
static void test_page_not_present(void **state)
{
    (void)state;
    rig_long(&rig, SEL_CODE64, SEL_DATA);
    rig_map(&rig, 0x60000, 0x60000, RIG_W);
    rig.cpu->r[REG_RBX] = 0x60010;
    FAULT(0x48, 0x89, 0x03); /* mov [rbx], rax */
    char icount[32];
    snprintf(icount, sizeof icount, "instruction %llu\n",
             (unsigned long long)explain_find(rig.cpu, rig.cpu->faults_seen - 1)->icount);
    assert_string_equal(
        strstr(text, icount) + strlen(icount),
        "  what        a paging entry is not present\n"
        "  rule        SDM 3A §4.7 \"Page-Fault Exceptions\"\n"
        "  instruction 48 89 03  mov      qword ptr [rbx], rax\n"
        "  where       64-bit mode, 64-bit code, CPL 0, paging 4-level\n"
        "  error code  0002: P=0 an entry is not present, W/R=1 write, U/S=0 supervisor, RSVD=0, "
        "I/D=0, PK=0\n"
        "  access      write by supervisor code at linear address 0000000000060010 (CR2)\n"
        "  page walk   4-level paging, CR3 = 8000\n"
        "  PML4E[0]    at 8000: 0000000000009027 P W U A\n"
        "  PDPTE[0]    at 9000: 000000000000a027 P W U A\n"
        "  PDE[0]      at a000: 000000000000b027 P W U A\n"
        "  PTE[96]     at b300: 0000000000060002  <- P=0: not present\n"
        "  read on     SDM 3A §6.15 \"Exception and Interrupt Reference\", interrupt 14\n");
    assert_ptr_equal(strstr(text, "#PF page fault (vector 14) at 0010:0000000000050000, instr"),
                     text);
    /* asked later, when the guest has mapped it */
    rig_map(&rig, 0x60000, 0x60000, RIG_P | RIG_W);
    explained(0);
    says("it was 0000000000060002 when the walk ended here: it was changed since");
}

static void test_page_rights(void **state)
{
    (void)state;
    rig_long(&rig, SEL_CODE64, SEL_DATA);
    rig_map(&rig, 0x60000, 0x60000, RIG_P);
    rig.cpu->r[REG_RBX] = 0x60010;
    FAULT(0x89, 0x03);
    says("write to a read-only page");
    says("  PTE[96]     at b300: 0000000000060001 P R S  <- R/W=0: read-only\n");
    says("  together    supervisor only, read-only, executable\n");
    says("CR0.WP=1");

    rig_map(&rig, 0x61000, 0x61000, RIG_P | RIG_W | BIT64(63));
    rig.cpu->rip = 0x61000;
    rig_run(&rig, 1);
    explained(0);
    says("instruction fetch from a no-execute page");
    says("  instruction could not be fetched\n");
    says("  <- XD=1: not to be executed\n");

    rig_map(&rig, 0x62000, 0x62000, RIG_P | RIG_W | BIT64(51));
    rig.cpu->r[REG_RBX] = 0x62000;
    FAULT(0x8b, 0x03);
    says("RSVD=1 reserved bit");
    says("  <- a reserved bit is set\n");

    rig.cpu->cr4 |= CR4_SMAP;
    cpu_loaded(rig.cpu);
    rig_map(&rig, 0x63000, 0x63000, RIG_P | RIG_W | RIG_U);
    rig.cpu->r[REG_RBX] = 0x63000;
    FAULT(0x8b, 0x03);
    says("CR4.SMAP=1 and EFLAGS.AC does not lift it");

    rig_long(&rig, SEL_CODE64_USER, SEL_DATA_USER);
    rig_map(&rig, CODE, CODE, RIG_P | RIG_U);
    rig.cpu->r[REG_RBX] = 0x61000;
    FAULT(0x8b, 0x03);
    says("  access      read by user code at linear address 0000000000061000 (CR2)\n");
    says("  <- U/S=0: not for user code\n");
}

static void test_page_32bit(void **state)
{
    (void)state;
    rig_prot(&rig, SEL_CODE32, SEL_DATA);
    for (unsigned i = 0; i < 1024; i++)
        st32(rig_at(&rig, 0x9000 + 4 * i), i << 12 | RIG_P | RIG_W);
    memset(rig_at(&rig, 0x8000), 0, PAGE_SIZE);
    st32(rig_at(&rig, 0x8000), 0x9000 | RIG_P | RIG_W);
    rig.cpu->cr3 = 0x8000;
    rig.cpu->cr0 |= CR0_PG;
    cpu_loaded(rig.cpu);
    rig.cpu->r[REG_RBX] = 0xc0123456;
    FAULT(0x8b, 0x03);
    says("  page walk   32-bit paging, CR3 = 8000\n");
    says("  PDE[768]    at 8c00: 00000000  <- P=0: not present\n");

    rig.cpu->cr4 |= CR4_PAE;
    rig.cpu->pdpte[0] = 0xa000 | RIG_P;
    rig.cpu->pdpte[3] = 0;
    for (unsigned i = 0; i < 512; i++)
        st64(rig_at(&rig, 0xa000 + 8 * i), (uint64_t)i << 21 | 0x80 | RIG_P | RIG_W);
    rig_prot(&rig, SEL_CODE32, SEL_DATA);
    rig.cpu->cr4 |= CR4_PAE;
    rig.cpu->cr3 = 0x8000;
    rig.cpu->pdpte[0] = 0xa000 | RIG_P;
    rig.cpu->cr0 |= CR0_PG;
    cpu_loaded(rig.cpu);
    rig.cpu->r[REG_RBX] = 0xc0123456;
    FAULT(0x8b, 0x03);
    says("PAE paging");
    says("  PDPTE       3, in its register since CR3 was loaded: 0000000000000000  <- P=0: not "
         "present\n");
}

static void test_selector(void **state)
{
    (void)state;
    rig_prot(&rig, SEL_CODE32, SEL_DATA);
    rig.cpu->r[REG_RAX] = 0x1238;
    FAULT(0x8e, 0xd8); /* mov ds, ax */
    says("#GP general protection (vector 13) at 0038:00050000");
    says("  what        selector index beyond the descriptor table limit\n");
    says("  instruction 8e d8  mov      ds, eax\n");
    says("  where       protected mode, 32-bit code, CPL 0, paging off\n");
    says("  error code  1238: selector 1238 (index 583, TI=0 GDT), EXT=0\n");
    says("  descriptor  beyond the GDT: it would lie at 2238, the table has base 1000 and limit "
         "fff\n");

    rig_descriptor(&rig, SEL_SPARE, 0x12345000, 0x6789, ATTR_P | ATTR_S | ATTR_CODE | ATTR_DB);
    rig.cpu->r[REG_RAX] = SEL_SPARE;
    FAULT(0x8e, 0xd8);
    says("  descriptor  at 1070 in the GDT (base 1000, limit fff): 1240983450006789\n");
    says("  which is    32-bit code, execute-only, base 12345000, limit 6789 (G=0), DPL 0, "
         "present\n");

    rig_descriptor(&rig, SEL_SPARE, 0, ~0u, ATTR_S | ATTR_RW | ATTR_G | ATTR_DPL | ATTR_EC);
    FAULT(0x8e, 0xd8);
    says("#NP segment not present");
    says("data, writable, expand-down, B=0, base 0, limit ffffffff (G=1), DPL 3, NOT PRESENT\n");

    rig.cpu->r[REG_RAX] = 0x0c;
    rig.cpu->seg[SEG_LDTR] = (struct segment){.attr = ATTR_NULL};
    FAULT(0x8e, 0xd8);
    says("TI=1 LDT");
    says("selector refers to the LDT and LDTR is null");
}

static void test_segment(void **state)
{
    (void)state;
    rig_prot(&rig, SEL_CODE32, SEL_DATA);
    rig.cpu->seg[SEG_SS].limit = 0x7fff;
    rig.cpu->seg[SEG_SS].attr &= ~(uint32_t)ATTR_G;
    cpu_loaded(rig.cpu);
    rig.cpu->r[REG_RBX] = 0x7ffe;
    FAULT(0x36, 0x8b, 0x03); /* mov eax, ss:[ebx] */
    says("#SS stack fault");
    says("  access      read of 4 bytes at SS:7ffe\n");
    says("  segment     SS = 0018: data, writable, B=1, base 0, offsets 0 to 7fff, DPL 0\n");
    says("  so          offset 7ffe, or its last byte, is beyond the limit 7fff of SS\n");

    rig_load_seg(&rig, SEG_DS, 0);
    cpu_loaded(rig.cpu);
    FAULT(0x8b, 0x03);
    says("  segment     DS = 0000: null, no access is possible\n");

    rig_load_seg(&rig, SEG_DS, SEL_CODE32);
    cpu_loaded(rig.cpu);
    FAULT(0x89, 0x03);
    says("write to a read-only or code segment");
    says("DS = 0038: 32-bit code, readable");

    rig_real(&rig);
    rig.cpu->seg[SEG_CS].base = CODE;
    rig.cpu->r[REG_RBX] = 0xffff;
    FAULT(0x8b, 0x07); /* mov ax, [bx] */
    says("  where       real mode, 16-bit code, CPL 0, paging off\n");
    says("  so          offset ffff, or its last byte, is beyond the limit ffff of DS\n");
}

static void test_delivery(void **state)
{
    static const uint8_t ud2[] = {0x0f, 0x0b};
    (void)state;
    rig_prot(&rig, SEL_CODE32, SEL_DATA);
    rig_at(&rig, RIG_IDT32 + VEC_GP * 8)[5] = 0x0e; /* not present */
    rig.cpu->r[REG_RAX] = 0x1238;
    rig_put(&rig, CODE, (const uint8_t[]){0x8e, 0xd8}, 2);
    rig.cpu->rip = CODE;
    rig.cpu->r[REG_RSP] = 0x7f00;
    rig_run(&rig, 1);
    explained(0);
    says("#NP segment not present (vector 11)");
    says("  instruction none: an event was being delivered\n");
    says("  error code  006b: IDT=1 vector 0d, EXT=1 an event from outside was being delivered\n");
    says("  which is    32-bit interrupt gate, DPL 0, NOT PRESENT, to 0038:50d0\n");
    says("it hit while #GP was being delivered: it becomes #DF (double fault)");
    explained(1);
    says("#GP general protection");

    rig_at(&rig, RIG_IDT32 + VEC_DF * 8)[5] = 0x0e;
    rig.cpu->rip = CODE;
    rig_run(&rig, 1);
    explained(0);
    says("it hit while #DF was being delivered: the processor shuts down (triple fault)");
    rig_tables(&rig);

    /* a gate of 16 bytes */
    rig_long(&rig, SEL_CODE64, SEL_DATA);
    rig_at(&rig, RIG_IDT64 + VEC_UD * 16)[5] = 0x0e;
    rig_put(&rig, CODE, ud2, sizeof ud2);
    rig.cpu->rip = CODE;
    rig.cpu->r[REG_RSP] = 0x7f00;
    rig_run(&rig, 1);
    explained(0);
    says("  which is    64-bit interrupt gate, DPL 0, NOT PRESENT, IST 0, to 0010:5060\n");
    rig_tables(&rig);
}

static void test_values(void **state)
{
    (void)state;
    rig_long(&rig, SEL_CODE64, SEL_DATA);
    rig.cpu->r[REG_R9] = rig.cpu->cr4 | BIT64(40) | CR4_PCE;
    FAULT(0x41, 0x0f, 0x22, 0xe1); /* mov cr4, r9 */
    says("into CR4, which holds ");
    says(": changes PCE and bits 10000000000\n");
    rig.cpu->r[REG_RAX] = 0x10;
    FAULT(0x44, 0x0f, 0x22, 0xc0); /* mov cr8, rax */
    says("10 into CR8, of which bits 63 to 4 are reserved\n");
    rig.cpu->r[REG_RCX] = 0x12345;
    FAULT(0x0f, 0x32); /* rdmsr */
    says("  what        no such MSR\n");
    says("  MSR         ECX = 00012345");
    rig.cpu->r[REG_RBX] = UINT64_C(0x800000000000);
    FAULT(0x8b, 0x03);
    says("  address     0000800000000000: bits 63 to 47 are not all the same\n");
    rig.cpu->r[REG_RBX] = 0x60004;
    FAULT(0x0f, 0x28, 0x03); /* movaps xmm0, [rbx] */
    says("  address     0000000000060004 is 4 past a multiple of 16 bytes\n");
    rig.cpu->r[REG_RDX] = 1;
    rig.cpu->r[REG_RAX] = 2;
    rig.cpu->r[REG_RBX] = 0;
    FAULT(0xf7, 0xf3); /* div ebx */
    says("  dividend    rDX:rAX = 0000000000000001:0000000000000002\n");
    rig.cpu->cr0 |= CR0_TS;
    cpu_loaded(rig.cpu);
    FAULT(0xd9, 0xc0);
    says("  CR0         8005003b: PE MP TS ET NE WP AM PG\n");
    rig.cpu->cr0 &= ~CR0_TS;
    cpu_loaded(rig.cpu);
    FAULT(0x06); /* push es */
    says("#UD invalid opcode");
    says("  what        instruction is not valid in this mode\n");
    rig.cpu->mxcsr = 0x1d80; /* division by zero is not masked */
    memset(&rig.cpu->zmm[0], 0, sizeof rig.cpu->zmm[0]);
    st32(rig.cpu->zmm[1].b, 0x3f800000);
    FAULT(0xf3, 0x0f, 0x5e, 0xc8); /* divss xmm1, xmm0 */
    says("  flagged     division by zero, which is not masked\n");
}

static void test_debug(void **state)
{
    static const uint8_t nops[] = {0x90, 0x90};
    (void)state;
    rig_prot(&rig, SEL_CODE32, SEL_DATA);
    rig_put(&rig, CODE, nops, sizeof nops);
    rig.cpu->rip = CODE;
    rig.cpu->r[REG_RSP] = 0x7f00;
    cpu_set_rflags(rig.cpu, FLAG_1 | FLAG_TF);
    rig_run(&rig, 2);
    explained(0);
    says("  what        EFLAGS.TF set\n");
    says("  instruction the one before this address had ended: a trap\n");
    rig.cpu->dr[1] = CODE + 1;
    rig.cpu->dr7 = 0x404;
    rig.cpu->rip = CODE;
    rig_run(&rig, 2);
    explained(0);
    says("  breakpoint  DR1 = 0000000000050001\n");
    rig.cpu->dr7 = 0x400;
}

/* Only the last ones are known, and found by their number. */
static void test_list(void **state)
{
    static const uint8_t ud2[] = {0x0f, 0x0b};
    char title[200];
    (void)state;
    rig_prot(&rig, SEL_CODE32, SEL_DATA);
    rig_put(&rig, CODE, ud2, sizeof ud2);
    for (unsigned i = 0; i < CPU_FAULTS + 3; i++) {
        rig.cpu->rip = CODE;
        rig_run(&rig, 1);
    }
    const uint64_t seen = rig.cpu->faults_seen;
    assert_null(explain_find(rig.cpu, seen));
    assert_null(explain_find(rig.cpu, seen - CPU_FAULTS - 1));
    assert_non_null(explain_find(rig.cpu, seen - CPU_FAULTS));
    explain_title(explain_find(rig.cpu, seen - 1), title, sizeof title);
    assert_string_equal(title, "#UD at 0038:00050000: invalid or undefined opcode");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_not_present),
        cmocka_unit_test(test_page_rights),
        cmocka_unit_test(test_page_32bit),
        cmocka_unit_test(test_selector),
        cmocka_unit_test(test_segment),
        cmocka_unit_test(test_delivery),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_debug),
        cmocka_unit_test(test_list),
    };
    return cmocka_run_group_tests(tests, open_rig, close_rig);
}
