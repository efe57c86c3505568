/* Machine code as text, and what -d in_asm and cpu_reset write. */
#include "debug/disas.h"
#include "debug/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "fake_machine.h"

static void test_disas(void **state)
{
    static const struct {
        uint8_t code[16];
        unsigned len, bits;
        const char *att, *intel;
        unsigned bytes;
    } rows[] = {
        {{0x90}, 1, 64, "nop", "nop", 1},
        {{0x48, 0x89, 0xe5}, 3, 64, "movq     %rsp, %rbp", "mov      rbp, rsp", 3},
        {{0xb8, 1, 0, 0, 0}, 5, 32, "movl     $1, %eax", "mov      eax, 1", 5},
        {{0xb8, 1, 0, 0, 0}, 5, 16, "movw     $1, %ax", "mov      ax, 1", 3},
        {{0xea, 0x5b, 0xe0, 0x00, 0xf0}, 5, 16, "ljmpw    $0xf000:$0xe05b", NULL, 5},
        {{0xeb, 0xfe}, 2, 64, "jmp      0x1000", "jmp      0x1000", 2},
        {{0x06, 0x90}, 2, 64, ".byte    0x06", ".byte    0x06", 0},
        {{0x48}, 1, 64, ".byte    0x48", ".byte    0x48", 0}, /* cut off */
        {{0}, 0, 64, "", "", 0},
    };
    (void)state;
    struct disas *att = disas_create(DISAS_ATT, &(struct error){0}),
                 *intel = disas_create(DISAS_INTEL, &(struct error){0});
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        char text[160];
        assert_int_equal(
            disas_one(att, rows[i].code, rows[i].len, 0x1000, rows[i].bits, text, sizeof text),
            rows[i].bytes);
        assert_string_equal(text, rows[i].att);
        assert_int_equal(
            disas_one(intel, rows[i].code, rows[i].len, 0x1000, rows[i].bits, text, sizeof text),
            rows[i].bytes);
        if (rows[i].intel)
            assert_string_equal(text, rows[i].intel);
    }
    disas_destroy(att);
    disas_destroy(intel);
}

static char logged[16384];

static void sink(void *opaque, const char *line)
{
    (void)opaque;
    const size_t n = strlen(logged);
    snprintf(logged + n, sizeof logged - n, "%s\n", line);
}

static void test_trace(void **state)
{
    static const uint8_t code[] = {0x31, 0xc0, 0x06, 0xf4};
    (void)state;
    fake_init();
    log_init(&fake.log, sink, NULL);
    fake.log.mask |= LOG_ASM | LOG_RESET;
    fake.cpu[0].seg[SEG_CS].sel = 8;
    struct trace *t = trace_create(&fake);
    const struct cpu_trace *hooks = &fake.cpu[0].trace;
    logged[0] = '\0';
    hooks->code(hooks->opaque, &fake.cpu[0], 0x7c00, code, sizeof code);
    assert_string_equal(logged, "IN: cs=0008 bits=64\n"
                                "0x00007c00:  31c0                  xorl     %eax, %eax\n"
                                "0x00007c02:  06                    .byte    0x06\n"
                                "0x00007c03:  f4                    hlt\n");
    logged[0] = '\0';
    fake.log.mask |= LOG_OUT;
    /* xor %eax, %eax; hlt: a byte of entry, two bytes, one byte, one out of line */
    static const uint8_t host[] = {0x90, 0x31, 0xc0, 0xf4}, cold[] = {0xc3};
    hooks->translated(hooks->opaque, &fake.cpu[0],
                      &(struct cpu_translation){.lin = 0x7c00,
                                                .guest = (const uint8_t[]){0x31, 0xc0, 0xf4},
                                                .guest_len = 3,
                                                .insns = 2,
                                                .host = host,
                                                .runs_at = 0x10000,
                                                .host_len = sizeof host,
                                                .cold = cold,
                                                .cold_runs_at = 0x20000,
                                                .cold_len = sizeof cold,
                                                .guest_at = (const uint16_t[]){0, 2, 3},
                                                .host_at = (const uint32_t[]){1, 3, 4}});
    assert_string_equal(
        logged,
        "OUT: cs=0008 2 instructions, 3 bytes become 4 and 1\n"
        "(entry)                                              | 0x00010000:  nop\n"
        "0x00007c00:  xorl     %eax, %eax                     | 0x00010001:  xorl     %eax, %eax\n"
        "0x00007c02:  hlt                                     | 0x00010003:  hlt\n"
        "(out of line)                                        | 0x00020000:  retq\n");
    logged[0] = '\0';
    hooks->registers(hooks->opaque, &fake.cpu[0]);
    assert_non_null(strstr(logged, "RAX=0000000000000000 RBX="));
    assert_int_equal(fake.log.category, LOG_RESET);
    fake.log.mask |= LOG_INT;
    logged[0] = '\0';
    hooks->fault(hooks->opaque, &fake.cpu[0],
                 &(struct fault_record){.fault = {.vector = VEC_UD, .reason = REASON_UD_MODE},
                                        .during = -1,
                                        .became = VEC_UD,
                                        .code_len = 1,
                                        .code = {0x06},
                                        .mode = MODE_CODE64});
    assert_non_null(strstr(logged, "    #UD invalid opcode (vector 6) at 0000:0000000000000000"));
    assert_non_null(strstr(logged, "      instruction 06  .byte    0x06\n"));
    trace_destroy(t);
    assert_null(fake.cpu[0].trace.code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disas),
        cmocka_unit_test(test_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
