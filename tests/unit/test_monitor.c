/* The monitor: its console and its commands, on a machine that only notes what it is asked. */
#include "debug/monitor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "fake_machine.h"

#define PROMPT "(vitrine) "

static struct chr *chr;
static struct monitor *monitor;
static size_t seen;

static const char *output(void)
{
    size_t len;
    const char *out = chr_mem_output(chr, &len);
    const char *news = out + seen;
    seen = len;
    return news;
}

static int setup(void **state)
{
    (void)state;
    fake_init();
    if (!host_loop_create(&fake.loop, &(struct error){0}))
        return -1;
    chr = chr_mem_create("monitor");
    seen = 0;
    monitor = monitor_create(&fake, chr);
    return monitor ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    monitor_destroy(monitor);
    chr_close(chr);
    host_loop_destroy(&fake.loop);
    return 0;
}

static void type(const char *text)
{
    chr_mem_input(chr, text, strlen(text));
}

/* What a command answers: what comes between its echo and the next prompt. */
static const char *ask(const char *command)
{
    static char answer[65536];
    output();
    type(command);
    type("\r");
    const char *out = output();
    const char *start = strstr(out, "\r\n");
    assert_non_null(start);
    const size_t n = strlen(start + 2);
    assert_true(n >= strlen(PROMPT));
    assert_string_equal(start + 2 + n - strlen(PROMPT), PROMPT);
    snprintf(answer, sizeof answer, "%.*s", (int)(n - strlen(PROMPT)), start + 2);
    return answer;
}

static const char *asked(void)
{
    static char copy[sizeof fake.asked];
    memcpy(copy, fake.asked, sizeof copy);
    fake.asked[0] = '\0';
    return copy;
}

static void test_greeting(void **state)
{
    (void)state;
    assert_string_equal(output(),
                        "Vitrine 1.2.3 monitor - type 'help' for more information\r\n" PROMPT);
    chr->front.event(chr->front.opaque, true); /* a new peer */
    assert_non_null(strstr(output(), "Vitrine 1.2.3 monitor"));
}

/* On mon:stdio the greeting waits for the first Ctrl-A c; later ones only prompt. */
static void test_shared(void **state)
{
    (void)state;
    struct chr *own = chr_mem_create("mux");
    fake.cfg.mux_monitor = "mon:stdio";
    own->connected = false;
    struct monitor *m = monitor_create(&fake, own);
    size_t len;
    chr_mem_output(own, &len);
    assert_int_equal(len, 0);
    own->front.event(own->front.opaque, true);
    assert_non_null(strstr(chr_mem_output(own, &len), "monitor - type"));
    own->front.event(own->front.opaque, true);
    assert_non_null(strstr(chr_mem_output(own, NULL) + len, "\r\n\r" PROMPT));
    monitor_destroy(m);
    chr_close(own);
}

static void test_answers(void **state)
{
    static const struct {
        const char *command, *answer;
    } rows[] = {
        {"", ""},
        {"   ", ""},
        {"# a remark", ""},
        {"p 1+2*3", "0x7\r\n"},
        {"p/d (1+2)*-3", "-9\r\n"},
        {"p/x 0xff & ~0xf | 1 ^ 3", "0xf2\r\n"},
        {"p /u 7/2", "3\r\n"},
        {"p 'a'", "0x61\r\n"},
        {"p/c 65", "'A'\r\n"},
        {"p/o 8", "010\r\n"},
        {"print $rip + $cs.base", "0x1234\r\n"},
        {"p $RAX", "0x1122334455667788\r\n"},
        {"p $eax", "0x55667788\r\n"},
        {"p $ax", "0x7788\r\n"},
        {"p $r15", "0xf\r\n"},
        {"p $foo", "unknown register $foo\r\n"},
        {"p 1/0", "division by zero\r\n"},
        {"p (1", "')' expected\r\n"},
        {"p 1 2", "extraneous characters at the end of line: '2'\r\n"},
        {"p", "which expression?\r\n"},
        {"p +", "unexpected end of expression\r\n"},
        {"p x", "number or $register expected\r\n"},
        {"p 99999999999999999999", "number too large\r\n"},
        {"p/z 1", "invalid char in format: 'z'\r\n"},
        {"foo", "unknown command: 'foo'\r\n"},
        {"sytem_reset", "unknown command: 'sytem_reset', did you mean 'system_reset'?\r\n"},
        {"info foo", "unknown command: 'info foo'\r\n"},
        {"info registres", "unknown command: 'info registres', did you mean 'info registers'?\r\n"},
        {"help stop", "stop|s -- hold the machine\r\n"},
        {"help nothing", "unknown command: 'nothing'\r\n"},
        {"savevm a", "Vitrine has no 'savevm': there are no saved states yet\r\n"},
        {"info network", "Vitrine has no 'info network': there is no network card yet\r\n"},
        {"info nothing", "unknown command: 'info nothing'\r\n"},
        {"info status", "VM status: running\r\n"},
        {"info version", "Vitrine 1.2.3\r\n"},
        {"info stats", "instructions 42\r\n"},
        {"info jit", "executed in translated code 6\r\n"},
        {"x/4xb 0x100", "0000000000000100: 0x01 0x08 0x0f 0x16\r\n"},
        {"x /2xh 0x100", "0000000000000100: 0x0801 0x160f\r\n"},
        {"x/1xg 0x100", "0000000000000100: 0x322b241d160f0801\r\n"},
        {"x/3uh 0x100", "0000000000000100:  2049  5647  9245\r\n"},
        {"x/2db 0x11f", "000000000000011f: -38 -31\r\n"},
        {"x/1xb 0x20000", "0000000000020000: Cannot access memory\r\n"},
        {"x/2c 0x1000", "0000000000001000: '\\x10' '\\x17'\r\n"},
        {"x/99999999 0", "at most 65536 items at once\r\n"},
        {"x", "which address?\r\n"},
        {"sum 0 4", "49181\r\n"},
        {"sum 0x1ffff 2", "no memory at 0x20000\r\n"},
        {"x/2i 0x40", "0x00000040:  90                       nop\r\n"
                      "0x00000041:  48 89 e5                 movq     %rsp, %rbp\r\n"},
        {"syntax intel", ""},
        {"x/2i 0x40", "0x00000040:  90                       nop\r\n"
                      "0x00000041:  48 89 e5                 mov      rbp, rsp\r\n"},
        {"x/1hi 0x44", "0x00000044:  b8 34 12                 mov      ax, 0x1234\r\n"},
        {"x/1wi 0x44", "0x00000044:  b8 34 12 00 00           mov      eax, 0x1234\r\n"},
        {"syntax dutch", "att or intel\r\n"},
        {"memsave 0 16", "which file?\r\n"},
        {"memsave 0 16 /nonexistent/x", "/nonexistent/x: No such file or directory\r\n"},
        {"screendump", "which file? NAME.png or NAME.ppm\r\n"},
        {"screendump a.png", "there is no display (-vga none)\r\n"},
        {"info screen", "there is no display (-vga none)\r\n"},
        {"info screen x", "extraneous characters at the end of line: 'x'\r\n"},
        {"screendump a b", "extraneous characters at the end of line: 'b'\r\n"},
        {"screendump a -f gif", "pictures are png or ppm, not 'gif'\r\n"},
        {"screendump a -f", "-f png or -f ppm?\r\n"},
        {"sendkey 0x7f", "unknown key: '0x7f'\r\n"},
        {"sendkey", "which keys? for example ctrl-alt-delete\r\n"},
        {"sendkey crtl-a", "unknown key: 'crtl', did you mean 'ctrl'?\r\n"},
        {"sendkey a-nokey", "unknown key: 'nokey'\r\n"},
        {"mouse_move", "which DX? for example mouse_move 10 -5\r\n"},
        {"mouse_move 1", "which DY? for example mouse_move 10 -5\r\n"},
        {"mouse_move 1 2x", "DY: '2x' is not a number from -10000 to 10000\r\n"},
        {"mouse_move 1 20000", "DY: '20000' is not a number from -10000 to 10000\r\n"},
        {"mouse_button 8", "1 for left, 2 for middle, 4 for right, or their sum\r\n"},
        {"log foo", "unknown log item \"foo\", see -d help\r\n"},
        {"cpu 2", "there are CPUs 0 to 1\r\n"},
        {"i/g 0x80", "ports are 0 to 0xffff, of b, h or w\r\n"},
        {"o/b 0x10000 1", "ports are 0 to 0xffff, of b, h or w\r\n"},
        {"i/h 0x80", "portw[0x0080] = 0x5678\r\n"},
        {"gdbserver tcp:bad", "tcp:bad,server=on,wait=off: no such thing\r\n"},
        {"gdbserver", "Waiting for gdb connection on device 'tcp::1234'\r\n"},
        {"gdbserver none", "Disabled gdbserver\r\n"},
        {"info block", "ide1-cd0: [not inserted]\r\n"
                       "    Attached to:      ide.1 unit 0\r\n"
                       "    Removable device: locked, tray closed\r\n"
                       "ide0-hd1: disk.img (raw, snapshot)\r\n"
                       "    Attached to:      ide.0 unit 1\r\n"},
        {"eject", "which drive? see info block\r\n"},
        {"eject -f", "which drive? see info block\r\n"},
        {"eject ide1-cd0", "ide1-cd0 is stuck\r\n"},
        {"eject a b", "extraneous characters at the end of line: 'b'\r\n"},
        {"change", "which drive? see info block\r\n"},
        {"change ide1-cd0", "which file? change ide1-cd0 FILE\r\n"},
        {"change ide1-cd0 bad.iso", "bad.iso: no such thing\r\n"},
        {"change ide1-cd0 x raw loose", "loose: there are retain, read-only and read-write\r\n"},
        {"info lapic 7", "there is no lapic.7\r\n"},
        {"info device x", "there is no device x, see info qtree\r\n"},
    };
    static const uint8_t code[] = {0x90, 0x48, 0x89, 0xe5, 0xb8, 0x34, 0x12, 0, 0};
    (void)state;
    memcpy(fake.ram + 0x40, code, sizeof code);
    fake.cpu[0].rip = 0x1234;
    fake.cpu[0].r[REG_RAX] = UINT64_C(0x1122334455667788);
    fake.cpu[0].r[REG_R15] = 15;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *answer = ask(rows[i].command);
        if (strcmp(answer, rows[i].answer) != 0)
            fail_msg("%s: \"%s\"", rows[i].command, answer);
    }
}

static void test_steering(void **state)
{
    static const struct {
        const char *command, *effect;
    } rows[] = {
        {"stop", "stop "},
        {"mouse_move 5 -7", "move(5,-7,0) "},
        {"mouse_move -1 0 1", "move(-1,0,1) "},
        {"mouse_button 1", "buttons(1) "},
        {"mouse_button 2", "buttons(4) "},
        {"mouse_button 4", "buttons(2) "},
        {"mouse_button 0", "buttons(0) "},
        {"cont", "cont "},
        {"s", "stop "},
        {"c", "cont "},
        {"stop now", ""},
        {"system_reset", "reset "},
        {"system_powerdown", "power "},
        {"nmi", "nmi "},
        {"quit", "quit(1,0) "},
        {"q", "quit(1,0) "},
        {"xp/1xb 0", "physical "},
        {"i/w 0x1f0", "read(1f0,4) "},
        {"i/h 0x1f0", "read(1f0,2) "},
        {"o/b 0x64 0x1fe", "write(64,fe,1) "},
        {"eject  -f ide1-cd0", "eject(ide1-cd0,1) "},
        {"eject -force", "eject(-force,0) "},
        {"change floppy0 \"a b.img\"", "change(floppy0,a b.img,-,-,0) "},
        {"change -f d x raw read-only", "change(d,x,raw,read-only,1) "},
    };
    (void)state;
    asked();
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        ask(rows[i].command);
        const char *effect = asked();
        if (strcmp(effect, rows[i].effect) != 0)
            fail_msg("%s: %s", rows[i].command, effect);
    }
    ask("log int,exec");
    assert_int_equal(fake.log.mask, LOG_HOST | LOG_INT | LOG_EXEC);
    ask("log none");
    assert_int_equal(fake.log.mask, LOG_HOST);
    fake.running = false;
    fake.reason = STOP_BREAKPOINT;
    assert_string_equal(ask("info status"), "VM status: paused (debug)\r\n");
}

/* What a fault is about is test_explain's; here it is how many are asked for. */
static void test_fault(void **state)
{
    struct cpu *cpu = &fake.cpu[0];
    (void)state;
    assert_string_equal(ask("info fault"), "CPU 0 has raised no exception yet\r\n");
    assert_string_equal(ask("info fault -l"), "CPU 0 has raised no exception yet\r\n");
    for (unsigned i = 0; i < 3; i++) {
        struct fault_record *r = &cpu->faults[cpu->faults_seen++];
        *r = (struct fault_record){
            .fault = {.vector = VEC_GP, .has_error = true, .reason = REASON_CPL},
            .during = -1,
            .became = VEC_GP,
            .cpl = 3,
            .code_len = 1,
            .code = {0xf4},
            .mode = MODE_CODE64,
            .icount = 100 + i,
            .rip = 0x400000 + i,
            .cr0 = CR0_PE | CR0_PG,
            .efer = EFER_LMA,
            .cs = {.sel = 0x33},
        };
    }
    assert_string_equal(
        ask("info fault"),
        "fault 2 of CPU 0:\r\n"
        "#GP general protection (vector 13) at 0033:0000000000400002, instruction 102\r\n"
        "  what        instruction needs CPL 0\r\n"
        "  rule        SDM 3A §5.9\r\n"
        "  instruction f4  hlt\r\n"
        "  where       64-bit mode, 64-bit code, CPL 3, paging 4-level\r\n"
        "  error code  0000: names no selector\r\n"
        "  privilege   CPL 3\r\n"
        "  read on     SDM 3A §6.15 \"Exception and Interrupt Reference\", interrupt 13\r\n");
    assert_string_equal(ask("info fault -l"),
                        "0: #GP(0000) at 0033:0000000000400000: instruction needs CPL 0\r\n"
                        "1: #GP(0000) at 0033:0000000000400001: instruction needs CPL 0\r\n"
                        "2: #GP(0000) at 0033:0000000000400002: instruction needs CPL 0\r\n");
    const char *two = ask("info fault 2");
    assert_null(strstr(two, "fault 0 of"));
    assert_non_null(strstr(two, "fault 1 of CPU 0:"));
    assert_non_null(strstr(two, "fault 2 of CPU 0:"));
    assert_non_null(strstr(ask("info fault 9"), "only the last 3 are known\r\nfault 0 of CPU 0:"));
    assert_string_equal(ask("info fault 0"), "how many? info fault [N|-l], N from 1 to 64\r\n");
    assert_string_equal(ask("info fault x"), "how many? info fault [N|-l], N from 1 to 64\r\n");
    ask("cpu 1");
    assert_string_equal(ask("info fault"), "CPU 1 has raised no exception yet\r\n");
}

static void test_memsave(void **state)
{
    char path[] = "/tmp/vitrine-test-XXXXXX", command[64];
    uint8_t got[64];
    (void)state;
    close(mkstemp(path));
    snprintf(command, sizeof command, "pmemsave 0x1ffe0 0x100 \"%s\"", path);
    assert_string_equal(ask(command), "no memory at 0x20000, the file ends there\r\n");
    snprintf(command, sizeof command, "memsave 0x100 32 %s", path);
    assert_string_equal(ask(command), "");
    FILE *f = fopen(path, "rb");
    assert_int_equal(fread(got, 1, sizeof got, f), 32);
    assert_memory_equal(got, fake.ram + 0x100, 32);
    fclose(f);
    unlink(path);
}

/* A blank screen, which is drawn black all the same. */
static bool render_blank(void *opaque, struct surface *s)
{
    (void)opaque;
    s->width = 4;
    s->height = 2;
    s->pixels = calloc(8, sizeof *s->pixels);
    return false;
}

static void test_screendump(void **state)
{
    static const struct {
        const char *args;
        bool png;
    } rows[] = {
        {"%s", false},       {"%s.png", true},         {"%s -f png", true},
        {"-f png %s", true}, {"%s.png -f ppm", false},
    };
    struct display_source blank = {.render = render_blank};
    char name[] = "/tmp/vitrine-test-XXXXXX";
    (void)state;
    close(mkstemp(name));
    fake.display = &blank;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        char command[80] = "screendump ", path[40], got[16] = "";
        const size_t n = strlen(command);
        snprintf(command + n, sizeof command - n, rows[i].args, name);
        assert_string_equal(ask(command), "");
        snprintf(path, sizeof path, "%s%s", name, strstr(command, ".png") ? ".png" : "");
        FILE *f = fopen(path, "rb");
        assert_non_null(f);
        assert_true(fread(got, 1, sizeof got - 1, f) > 8);
        fclose(f);
        unlink(path);
        assert_memory_equal(got, rows[i].png ? "\x89PNG" : "P6\n4", 4);
    }
}

static void test_registers(void **state)
{
    (void)state;
    fake.cpu[0].seg[SEG_CS] = (struct segment){0, 0xffffffff, 0x10, 0xa09b};
    fake.cpu[0].seg[SEG_SS] = (struct segment){0, 0xffffffff, 0x18, 0xc093};
    fake.cpu[0].seg[SEG_TR] = (struct segment){UINT64_C(0xfffffe0000003000), 0x4087, 0x40, 0x8b};
    fake.cpu[0].eflags |= FLAG_ZF | FLAG_PF | FLAG_IF;
    const char *long_mode = ask("info registers");
    assert_non_null(strstr(long_mode, "CPU#0\r\nRAX=0000000000000000 RBX="));
    assert_non_null(strstr(long_mode, " RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=0\r\n"));
    assert_non_null(
        strstr(long_mode, "CS =0010 0000000000000000 ffffffff 00af9b00 DPL=0 CS64 [-RA]\r\n"));
    assert_non_null(
        strstr(long_mode, "SS =0018 0000000000000000 ffffffff 00cf9300 DPL=0 DS   [-WA]\r\n"));
    assert_non_null(
        strstr(long_mode, "TR =0040 fffffe0000003000 00004087 00008b00 DPL=0 TSS64-busy\r\n"));
    assert_non_null(strstr(long_mode, "XMM15="));

    fake.cpu[0].mode = MODE_CODE16;
    fake.cpu[0].cr0 = fake.cpu[0].efer = 0;
    fake.cpu[0].seg[SEG_CS] = (struct segment){0xffff0000, 0xffff, 0xf000, 0x9b};
    const char *real_mode = ask("info registers 0");
    assert_non_null(strstr(real_mode, "EAX=00000000 EBX="));
    assert_non_null(strstr(real_mode, "CS =f000 ffff0000 0000ffff 00009b00\r\n"));
    assert_non_null(strstr(real_mode, "CR0=00000000 CR2=00000000 CR3=00000000 CR4=00000020\r\n"));
    assert_null(strstr(real_mode, "XMM08"));
    const char *all = ask("info registers -a");
    assert_non_null(strstr(all, "\r\nCPU#0\r\nEAX="));
    assert_non_null(strstr(all, "\r\nCPU#1\r\nRAX="));
}

static void put64(uint64_t at, uint64_t v)
{
    st64(fake.ram + at, v);
}

static void test_paging(void **state)
{
    (void)state;
    memset(fake.ram + 0x10000, 0, 0x8000);
    fake.cpu[0].cr3 = 0x10000;
    put64(0x10000, 0x11027);
    put64(0x11000, 0x12027);
    put64(0x12000, 0x13027);
    put64(0x13000 + 8 * 5, 0x5067);
    put64(0x13000 + 8 * 6, UINT64_C(0x8000000000006067));
    put64(0x13000 + 8 * 7, 0x7025);
    put64(0x10000 + 8 * 511, 0x14023);
    put64(0x14000 + 8 * 510, 0x15023);
    put64(0x15000 + 8 * 8, 0x10001e3);
    assert_string_equal(ask("info tlb"), "0000000000005000: 0000000000005000 ---DA--UW\r\n"
                                         "0000000000006000: 0000000000006000 X--DA--UW\r\n"
                                         "0000000000007000: 0000000000007000 ----A--U-\r\n"
                                         "ffffffff81000000: 0000000001000000 -GPDA---W\r\n");
    assert_string_equal(ask("info mem"),
                        "0000000000005000-0000000000007000 0000000000002000 urw\r\n"
                        "0000000000007000-0000000000008000 0000000000001000 ur-\r\n"
                        "ffffffff81000000-ffffffff81200000 0000000000200000 -rw\r\n");

    /* PAE: the registers count, not memory */
    fake.cpu[0].efer = 0;
    fake.cpu[0].pdpte[3] = 0x15001;
    assert_string_equal(ask("info tlb"), "00000000c1000000: 0000000001000000 -GPDA---W\r\n");

    /* 32-bit with a 4-MiB page */
    fake.cpu[0].cr4 = CR4_PSE;
    memset(fake.ram + 0x10000, 0, 0x2000);
    st32(fake.ram + 0x10000 + 4 * 768, 0x004001e3);
    st32(fake.ram + 0x10000, 0x11007);
    st32(fake.ram + 0x11000 + 4 * 16, 0x000b8005);
    assert_string_equal(ask("info mem"),
                        "0000000000010000-0000000000011000 0000000000001000 ur-\r\n"
                        "00000000c0000000-00000000c0400000 0000000000400000 -rw\r\n");
    fake.cpu[0].cr0 &= ~CR0_PG;
    assert_string_equal(ask("info mem"), "PG disabled\r\n");
    assert_string_equal(ask("info tlb"), "PG disabled\r\n");
}

/* A table that is its own child in every slot must not keep us for ever. */
static void test_paging_circle(void **state)
{
    (void)state;
    fake.cpu[0].cr3 = 0x10000;
    for (unsigned i = 0; i < 512; i++)
        put64(0x10000 + 8 * i, 0x10003);
    const char *answer = ask("info mem");
    assert_non_null(strstr(answer, "cut off"));
}

static void test_editing(void **state)
{
    static const struct {
        const char *keys, *answer; /* of the line that comes of them */
    } rows[] = {
        {"p 12\b3\r", "0xd\r\n"}, /* p 13 */
        {"p 5\x7f"
         "6\r",
         "0x6\r\n"},                   /* DEL as well */
        {"junk\x15p 7\r", "0x7\r\n"},  /* Ctrl-U */
        {"p 8 junk\x17\r", "0x8\r\n"}, /* Ctrl-W */
        {"junk\x03p 9\r", "0x9\r\n"},  /* Ctrl-C */
        {" 10\x01p\r", "0xa\r\n"},     /* Ctrl-A: at the start */
        {"p 21\x02\x02"
         "1\x05"
         "5\r",
         "0x4bf\r\n"}, /* p 1215 */
        {"p 0x1f\x1b[D\x1b[D2\r", "0x21f\r\n"},
        {"p 0x9\x1b[H\x1b[3~p\r", "0x9\r\n"},
        {"p 0x1234\x1b[D\x1b[D\x0b\r", "0x12\r\n"}, /* Ctrl-K */
        {"\x1b[A\r", "0x12\r\n"},                   /* the last line again */
        {"\x1b[A\x1b[A\x1b[A\x1b[B\r", "0x9\r\n"},
        {"prin\t 3\r", "0x3\r\n"}, /* completion */
        {"info vers\t\r", "Vitrine 1.2.3\r\n"},
        {"p 4\r\n", "0x4\r\n"},
        {"p 4\n", "0x4\r\n"},
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        output();
        type(rows[i].keys);
        const char *out = output();
        char want[64];
        snprintf(want, sizeof want, "\r\n%s" PROMPT, rows[i].answer);
        if (!strstr(out, want))
            fail_msg("row %u: \"%s\"", i, out);
    }
    /* a list where there is a choice */
    output();
    type("system_\t");
    assert_non_null(strstr(output(), "system_powerdown\r\nsystem_reset\r\n\r" PROMPT "system_"));
    type("\x15");
    /* an endless line is cut, not overrun */
    for (unsigned i = 0; i < 5000; i++)
        type("a");
    assert_non_null(strstr(ask(""), "unknown command"));
}

static void test_sendkey(void **state)
{
    (void)state;
    asked();
    ask("sendkey ctrl-alt-delete 20");
    ask("sendkey a");
    ask("sendkey ret");
    assert_string_equal(asked(), "+ctrl +alt +delete ");
    for (unsigned i = 0; i < 100 && !strstr(fake.asked, "-ret"); i++)
        host_loop_wait(&fake.loop, 10 * NS_PER_MS);
    assert_string_equal(asked(), "-delete -alt -ctrl +a -a +ret -ret ");
    host_loop_wait(&fake.loop, 50 * NS_PER_MS);
    ask("sendkey --a 1");
    assert_string_equal(asked(), "+minus +a ");
    for (unsigned i = 0; i < 100 && !strstr(fake.asked, "-minus"); i++)
        host_loop_wait(&fake.loop, 10 * NS_PER_MS);
    host_loop_wait(&fake.loop, 50 * NS_PER_MS);
    asked();
    ask("sendkey 0x1d-0x1e-0xd3"); /* by scan code, extended ones with bit 7 */
    assert_string_equal(asked(), "+ctrl +a +delete ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_greeting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_steering, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memsave, setup, teardown),
        cmocka_unit_test_setup_teardown(test_registers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_paging, setup, teardown),
        cmocka_unit_test_setup_teardown(test_paging_circle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_editing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_screendump, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sendkey, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
