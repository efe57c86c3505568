/* The gdb stub, packet by packet, on a machine that only notes what it is asked to do. */
#include "debug/gdb_regs.h"
#include "debug/gdbstub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "fake_machine.h"

static struct chr *chr;
static struct gdbstub *stub;
static size_t seen; /* output that was looked at */

static int setup(void **state)
{
    (void)state;
    fake_init();
    chr = chr_mem_create("gdb");
    stub = gdbstub_create(&fake, chr);
    seen = 0;
    return stub ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    gdbstub_destroy(stub);
    chr_close(chr);
    return 0;
}

static void type(const void *bytes, size_t len)
{
    chr_mem_input(chr, bytes, len);
}

/* What came out since the last look. */
static const char *output(void)
{
    size_t len;
    const char *out = chr_mem_output(chr, &len);
    const char *news = out + seen;
    seen = len;
    return news;
}

static void send_packet(const void *data, size_t len)
{
    char packet[2048];
    uint8_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum += ((const uint8_t *)data)[i];
    packet[0] = '$';
    memcpy(packet + 1, data, len);
    snprintf(packet + 1 + len, 4, "#%02x", sum);
    type(packet, len + 4);
}

/* The answer to a packet, without its frame; checks acknowledgement and checksum. */
static const char *ask(const char *text)
{
    static char answer[40000];
    send_packet(text, strlen(text));
    const char *out = output();
    if (*out == '+')
        out++;
    if (*out != '$')
        return strcpy(answer, out);
    const char *end = strrchr(out, '#');
    uint8_t sum = 0;
    assert_non_null(end);
    for (const char *c = out + 1; c < end; c++)
        sum = *c == '$' ? 0 : (uint8_t)(sum + (uint8_t)*c); /* of the last, if there are more */
    assert_int_equal(strtoul(end + 1, NULL, 16), sum);
    snprintf(answer, sizeof answer, "%.*s", (int)(end - out - 1), out + 1);
    return answer;
}

static const char *asked(void)
{
    static char copy[sizeof fake.asked];
    memcpy(copy, fake.asked, sizeof copy);
    fake.asked[0] = '\0';
    return copy;
}

static void test_handshake(void **state)
{
    (void)state;
    assert_string_equal(asked(), "stop ");
    assert_false(fake.running);
    assert_non_null(strstr(ask("qSupported:swbreak+;hwbreak+"), "qXfer:features:read+"));
    assert_string_equal(ask("vMustReplyEmpty"), "");
    assert_string_equal(ask("QStartNoAckMode"), "OK");
    assert_string_equal(ask("Hg0"), "OK");
    assert_string_equal(ask("qC"), "QC01");
    assert_string_equal(ask("qfThreadInfo"), "m01,02");
    assert_string_equal(ask("qsThreadInfo"), "l");
    assert_string_equal(ask("qAttached"), "1");
    assert_string_equal(ask("T1"), "OK");
    assert_string_equal(ask("T2"), "OK");
    assert_string_equal(ask("T3"), "E22");
    assert_string_equal(ask("Hg3"), "E22");
    assert_string_equal(ask("?"), "T05thread:01;");
    assert_string_equal(ask("vCont?"), "vCont;c;C;s;S");
    assert_string_equal(ask("qqemu.sstepbits"), "ENABLE=1,NOIRQ=2,NOTIMER=4");
    assert_string_equal(ask("qqemu.sstep"), "0x7");
    assert_string_equal(ask("qThreadExtraInfo,1"), "43505523302"
                                                   "05b72756e6e696e675d");
    assert_string_equal(ask("!"), "");
}

static void test_frames(void **state)
{
    (void)state;
    type("$qC#00", 6); /* wrong checksum */
    assert_string_equal(output(), "-");
    type("noise+++$qC#b4", 14);
    assert_string_equal(output(), "+$QC01#f5");
    type("-", 1); /* once more, please */
    assert_string_equal(output(), "$QC01#f5");
    type("$m12$qC#b4", 10); /* cut off */
    assert_string_equal(output(), "+$QC01#f5");
    for (const char *c = "$qC#b4"; *c; c++)
        type(c, 1);
    assert_string_equal(output(), "+$QC01#f5");
}

static void test_overlong(void **state)
{
    (void)state;
    static char big[40000];
    memset(big, 'm', sizeof big);
    type("$", 1);
    type(big, sizeof big);
    type("#00", 3);
    assert_string_equal(output(), "-");
    assert_string_equal(ask("qC"), "QC01");
}

static void test_registers(void **state)
{
    (void)state;
    char text[64];
    unsigned rip = 0, total = 0;
    for (unsigned i = 0; i < gdb_reg_count(); i++) {
        uint8_t value[GDB_REG_MAX_BYTES];
        total += gdb_reg_read(&fake.cpu[0], i, value);
        if (strcmp(gdb_reg_name(i), "rip") == 0)
            rip = i;
    }
    assert_int_equal(rip, 16);
    fake.cpu[0].r[REG_RBX] = UINT64_C(0x1122334455667788);
    fake.cpu[0].rip = 0xfff0;
    const char *g = ask("g");
    assert_int_equal(strlen(g), 2 * total);
    assert_memory_equal(g + 16, "8877665544332211", 16);
    assert_string_equal(ask("p10"), "f0ff000000000000");
    assert_string_equal(ask("P10=3412000000000000"), "OK");
    assert_int_equal(fake.cpu[0].rip, 0x1234);
    assert_string_equal(ask("P10=3412"), "E22");
    assert_string_equal(ask("pff"), "E22");
    assert_string_equal(ask("pffffffff00000000"), "E22");

    /* the file written back as it was changes nothing and is accepted */
    snprintf(text, sizeof text, "G%.32s", ask("g"));
    assert_string_equal(ask(text), "OK");

    /* EFLAGS keeps VM and its fixed bit */
    assert_string_equal(ask("P11=ffffffff"), "OK");
    assert_int_equal(fake.cpu[0].eflags & (FLAG_VM | FLAG_1 | FLAG_CF), FLAG_1 | FLAG_CF);
    /* a selector in protected mode needs a descriptor: refused; the same one is no change */
    assert_string_equal(ask("P12=10000000"), "E22");
    assert_string_equal(ask("P12=00000000"), "OK");
    fake.cpu[0].cr0 &= ~CR0_PE;
    assert_string_equal(ask("P12=00f00000"), "OK");
    assert_int_equal(fake.cpu[0].seg[SEG_CS].base, 0xf0000);
}

static void test_vector_registers(void **state)
{
    (void)state;
    fake.cpu[0].fpu.sw = 3 << 11;
    fake.cpu[0].fpu.used = 1 << 3;
    fake.cpu[0].fpu.r[3].mant = UINT64_C(1) << 63;
    fake.cpu[0].fpu.r[3].sexp = 0x3fff;
    fake.cpu[0].zmm[1].q[0] = 1;
    fake.cpu[0].zmm[1].q[1] = 2;
    assert_string_equal(ask("p18"), "0000000000000080ff3f"); /* st0 */
    assert_string_equal(ask("p22"), "3fff0000");             /* ftag: R3 valid, others empty */
    assert_string_equal(ask("p29"), "01000000000000000200000000000000");
    assert_string_equal(ask("P29=00000000000000000000000000000000"), "OK");
    assert_int_equal(fake.cpu[0].zmm[1].q[1], 0);
}

static void test_memory(void **state)
{
    (void)state;
    char want[9];
    snprintf(want, sizeof want, "%02x%02x%02x%02x", fake.ram[0x100], fake.ram[0x101],
             fake.ram[0x102], fake.ram[0x103]);
    assert_string_equal(ask("m100,4"), want);
    assert_string_equal(ask("M100,2:abcd"), "OK");
    assert_int_equal(fake.ram[0x101], 0xcd);
    assert_string_equal(ask("M100,3:abcd"), "E22");
    assert_string_equal(ask("m20000,4"), "E14");
    assert_int_equal(strlen(ask("m1fffe,4")), 4); /* as far as there is memory */
    assert_string_equal(ask("M1ffff,2:0000"), "E14");
    assert_string_equal(ask("m0,0"), "");
    assert_string_equal(ask("m100"), "E22");
    assert_int_equal(strlen(ask("m0,ffffffffffffffff")), 16384);

    /* X: '#', '$', '}' and '*' come escaped */
    const uint8_t x[] = {'X',  '2',  '0',  '0',  ',',  '5',  ':', 0x7d,
                         0x03, 0x7d, 0x04, 0x7d, 0x5d, 0x00, 0xff};
    send_packet(x, sizeof x);
    assert_string_equal(output(), "+$OK#9a");
    assert_memory_equal(fake.ram + 0x200, "#$}\0\xff", 5);
    assert_string_equal(ask("X0,0:"), "OK");
    assert_string_equal(ask("X0,4:a"), "E22");

    asked();
    assert_string_equal(ask("qqemu.PhyMemMode"), "0");
    assert_string_equal(ask("Qqemu.PhyMemMode:1"), "OK");
    assert_string_equal(ask("qqemu.PhyMemMode"), "1");
    assert_string_equal(ask("m200,1"), "23");
    assert_string_equal(ask("M200,1:00"), "OK");
    assert_string_equal(asked(), "physical physical ");
}

static void test_run(void **state)
{
    (void)state;
    ask("qSupported:swbreak+");
    asked();
    assert_string_equal(ask("vCont;c"), "");
    assert_string_equal(asked(), "cont ");
    type("\x03", 1);
    assert_string_equal(output(), "$T02thread:01;#04");
    fake_stop(STOP_USER); /* somebody else's business: gdb is not waiting */
    assert_string_equal(output(), "");

    asked();
    assert_string_equal(ask("vCont;s:1;c"), "T05thread:01;");
    assert_string_equal(asked(), "step(quiet) ");
    fake.cpu[0].shadow = false;
    assert_string_equal(ask("Qqemu.sstep=0x1"), "OK");
    assert_string_equal(ask("s"), "T05thread:01;");
    assert_string_equal(asked(), "step ");
    assert_string_equal(ask("c1000"), "");
    assert_int_equal(fake.cpu[0].rip, 0x1000);
    fake_stop(STOP_SHUTDOWN);
    assert_non_null(strstr(output(), "$T03thread:01;#"));
    assert_string_equal(ask("vCont;x"), "E22");
    assert_string_equal(ask("C05;2000"), "");
    assert_int_equal(fake.cpu[0].rip, 0x2000);
    fake.listener->ended(fake.listener->opaque, MACHINE_DEBUG_EXIT, 33);
    assert_non_null(strstr(output(), "$W21#"));
}

/* A CPU is a thread: whose registers, who steps, who stands still, who stopped. */
static void test_threads(void **state)
{
    (void)state;
    ask("qSupported:swbreak+");
    fake.cpu[0].r[REG_RAX] = 0x11;
    fake.cpu[1].r[REG_RAX] = 0x22;
    assert_string_equal(ask("p0"), "1100000000000000");
    assert_string_equal(ask("Hg2"), "OK");
    assert_string_equal(ask("p0"), "2200000000000000");
    assert_string_equal(ask("P0=3300000000000000"), "OK");
    assert_int_equal(fake.cpu[1].r[REG_RAX], 0x33);
    assert_string_equal(ask("qC"), "QC02");
    asked();
    ask("Qqemu.sstep=0x1");
    assert_string_equal(ask("vCont;s:2"), "T05thread:02;");
    assert_string_equal(asked(), "step 1(alone) ");
    assert_string_equal(ask("vCont;s:1;c"), "T05thread:01;");
    assert_string_equal(asked(), "step ");
    assert_string_equal(ask("p0"), "1100000000000000"); /* of the one that stopped */
    assert_string_equal(ask("vCont;s:2;c:-1"), "T05thread:02;");
    assert_string_equal(asked(), "step 1 ");
    assert_string_equal(ask("vCont;c:1;s:2"), "T05thread:02;");
    assert_string_equal(asked(), "step 1 ");
    assert_string_equal(ask("vCont;c:2"), "");
    assert_string_equal(asked(), "cont(1) ");
    fake_stop(STOP_USER);
    output();
    assert_string_equal(ask("vCont;c:1;c:2"), "");
    assert_string_equal(asked(), "cont ");
    fake_stop(STOP_USER);
    output();
    assert_string_equal(ask("vCont;s:3;c"), "E22");
    assert_string_equal(ask("Hc1"), "OK");
    assert_string_equal(ask("s"), "T05thread:01;");
    assert_string_equal(asked(), "step ");
    ask("c");
    fake.stop_cpu = 1;
    fake_stop(STOP_BREAKPOINT);
    assert_non_null(strstr(output(), "$T05thread:02;#"));
    assert_string_equal(ask("p0"), "3300000000000000");
}

static void test_points(void **state)
{
    (void)state;
    ask("qSupported:swbreak+");
    asked();
    assert_string_equal(ask("Z0,1000,1"), "OK");
    assert_string_equal(ask("Z0,1000,1"), "OK"); /* harmless */
    assert_string_equal(ask("Z1,1000,1"), "OK"); /* the same to the machine */
    assert_string_equal(ask("Z2,2000,4"), "OK");
    assert_string_equal(ask("Z3,3000,8"), "OK");
    assert_string_equal(ask("Z4,4000,2"), "OK");
    assert_string_equal(asked(),
                        "+break(1000) +watch(2000,4,1) +watch(3000,8,2) +watch(4000,2,3) ");
    assert_string_equal(ask("Z5,0,0"), "");
    assert_string_equal(ask("Z0,xyz"), "E22");

    ask("c");
    fake.cpu[0].rip = 0x1000;
    fake_stop(STOP_BREAKPOINT);
    assert_non_null(strstr(output(), "$T05thread:01;swbreak:;#"));
    ask("c");
    fake.watch_hit = 0x3004;
    fake_stop(STOP_WATCHPOINT);
    assert_non_null(strstr(output(), "$T05thread:01;rwatch:3004;#"));
    /* with a base in CS gdb could not find its breakpoint at RIP */
    ask("c");
    fake.cpu[0].mode = MODE_CODE16;
    fake.cpu[0].seg[SEG_CS].base = 0xf0000;
    fake_stop(STOP_BREAKPOINT);
    assert_non_null(strstr(output(), "$T05thread:01;#"));

    asked();
    assert_string_equal(ask("z0,1000,1"), "OK");
    assert_string_equal(asked(), "");
    assert_string_equal(ask("z1,1000,1"), "OK");
    assert_string_equal(ask("z2,2000,4"), "OK");
    assert_string_equal(ask("z2,2000,4"), "OK");
    assert_string_equal(asked(), "-break(1000) -watch(2000,4,1) ");
    assert_string_equal(ask("D"), "OK");
    assert_string_equal(asked(), "-watch(4000,2,3) -watch(3000,8,2) cont ");
    type("+", 1);
    assert_string_equal(asked(), ""); /* the end of the conversation, not a new one */
    assert_string_equal(ask("?"), "T05thread:01;");
    assert_string_equal(asked(), "stop ");
}

static void test_monitor(void **state)
{
    (void)state;
    /* "p 6*7" */
    const char *out = ask("qRcmd,7020362a37");
    assert_non_null(strstr(out, "O307832610a")); /* "0x2a\n" */
    assert_non_null(strstr(out, "$OK"));
    asked();
    ask("qRcmd,73797374656d5f7265736574");
    assert_string_equal(asked(), "reset ");
}

static void test_description(void **state)
{
    (void)state;
    char request[64], *all = calloc(1, 65536);
    for (size_t at = 0;; at += 0x400) {
        snprintf(request, sizeof request, "qXfer:features:read:target.xml:%zx,400", at);
        const char *part = ask(request);
        /* undo the escapes */
        size_t n = strlen(all);
        for (const char *c = part + 1; *c; c++)
            all[n++] = *c == '}' ? (char)(*++c ^ 0x20) : *c;
        if (*part == 'l')
            break;
        assert_int_equal(*part, 'm');
    }
    assert_non_null(strstr(all, "<architecture>i386:x86-64</architecture>"));
    assert_non_null(strstr(all, "name=\"org.gnu.gdb.i386.core\""));
    assert_non_null(strstr(all, "<reg name=\"fs_base\""));
    assert_non_null(strstr(all, "</target>"));
    free(all);
    assert_string_equal(ask("qXfer:features:read:other.xml:0,400"), "E00");
}

static void test_kill(void **state)
{
    (void)state;
    asked();
    assert_string_equal(ask("k"), "");
    assert_string_equal(asked(), "quit(1,0) ");
}

static void test_gone(void **state)
{
    (void)state;
    assert_string_equal(ask("Z0,1000,1"), "OK");
    ask("c");
    asked();
    chr->front.event(chr->front.opaque, false);
    assert_string_equal(asked(), "-break(1000) ");
    fake_stop(STOP_USER);
    assert_string_equal(output(), "");
    fake.running = true;
    chr->front.event(chr->front.opaque, true);
    assert_string_equal(asked(), "stop ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_handshake, setup, teardown),
        cmocka_unit_test_setup_teardown(test_frames, setup, teardown),
        cmocka_unit_test_setup_teardown(test_overlong, setup, teardown),
        cmocka_unit_test_setup_teardown(test_registers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_vector_registers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_points, setup, teardown),
        cmocka_unit_test_setup_teardown(test_monitor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_description, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kill, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
