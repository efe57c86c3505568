/*
 * See gdbstub.h. gdb manual, appendix E "Remote Protocol"; the packets that begin with "qemu." are
 * QEMU's (docs/system/gdb.rst), because tools for it rely on them.
 *
 * A CPU is a thread, numbered from 1. All-stop: while the machine runs for gdb, nothing but Ctrl-C
 * is expected from it, and a stop of one CPU is one of all. RIP is shown
 * as it is; breakpoints and watchpoints are linear addresses. Where CS has a base the two differ,
 * and gdb sees a plain trap at such a breakpoint.
 */
#include "debug/gdbstub.h"
#include "cpu/cpu.h"
#include "debug/gdb_regs.h"
#include "debug/monitor_cmd.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PACKET_SIZE 16384
#define ROOM        4096 /* bytes taken at once */
#define MAX_POINTS  1024

/* Signals by the numbers of gdb, which are not the host's. */
enum { GDB_SIGINT = 2, GDB_SIGQUIT = 3, GDB_SIGTRAP = 5 };

/* Qqemu.sstep: what a single step leaves out. */
enum { SSTEP_ENABLE = 1, SSTEP_NOIRQ = 2, SSTEP_NOTIMER = 4 };

enum rx { RX_IDLE, RX_DATA, RX_SUM1, RX_SUM2 };

/* As in Z packets. */
enum point { POINT_SOFT, POINT_HARD, POINT_WRITE, POINT_READ, POINT_ACCESS, POINTS };

struct gdb_point {
    enum point kind;
    gla_t at;
    uint64_t len;
};

struct gdbstub {
    struct machine *machine;
    struct chr *chr;
    struct machine_listener listener;
    struct mon mon; /* for "monitor" */

    enum rx rx;
    uint8_t in[PACKET_SIZE + 1]; /* the packet, unescaped; a NUL behind it */
    size_t in_len;
    uint8_t sum, sum_got;
    bool escaped, overflow;

    uint8_t out[2 * PACKET_SIZE + 8]; /* the last packet sent, for a repetition */
    size_t out_len;

    bool attached;
    bool no_ack;
    bool waiting; /* gdb waits to hear why the machine stopped */
    bool swbreak; /* gdb understands that reason */
    bool physical;
    unsigned sstep;
    unsigned cpu;      /* Hg: the one whose registers are meant; after a stop that which stopped */
    unsigned step_cpu; /* Hc: the one that "s" steps */
    char *xml;

    struct gdb_point point[MAX_POINTS];
    unsigned points;
};

/* --- sending --- */

static uint8_t hex_char(unsigned nibble)
{
    return (uint8_t) "0123456789abcdef"[nibble & 15];
}

/* len raw bytes as one packet, with what the protocol reserves escaped. */
static void send_bytes(struct gdbstub *g, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint8_t sum = 0;
    size_t n = 0;
    g->out[n++] = '$';
    for (size_t i = 0; i < len && n + 6 < sizeof g->out; i++) {
        uint8_t c = p[i];
        if (c == '$' || c == '#' || c == '}' || c == '*') {
            g->out[n++] = '}';
            sum += '}';
            c ^= 0x20;
        }
        g->out[n++] = c;
        sum += c;
    }
    g->out[n++] = '#';
    g->out[n++] = hex_char(sum >> 4);
    g->out[n++] = hex_char(sum);
    g->out_len = n;
    chr_write(g->chr, g->out, n);
}

static void reply(struct gdbstub *g, const char *text)
{
    send_bytes(g, text, strlen(text));
}

static void ok(struct gdbstub *g)
{
    reply(g, "OK");
}

/* Numbers are ours to choose; these are what QEMU's stub answers. */
static void bad_request(struct gdbstub *g)
{
    reply(g, "E22");
}
static void bad_memory(struct gdbstub *g)
{
    reply(g, "E14");
}

static size_t put_hex(char *text, const void *data, size_t len)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = (char)hex_char(p[i] >> 4);
        text[2 * i + 1] = (char)hex_char(p[i]);
    }
    text[2 * len] = '\0';
    return 2 * len;
}

/* --- reading packets --- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Bytes from hex digits; how many there were. */
static size_t get_hex(const char *text, uint8_t *data, size_t max)
{
    size_t n = 0;
    while (n < max) {
        const int high = hex_value(text[2 * n]);
        const int low = high < 0 ? -1 : hex_value(text[2 * n + 1]);
        if (low < 0)
            break;
        data[n++] = (uint8_t)(high << 4 | low);
    }
    return n;
}

/* A hex number, then the separator (if it is not 0). *text moves behind both. */
static bool get_number(const char **text, char separator, uint64_t *value)
{
    const char *s = *text;
    uint64_t v = 0;
    for (; hex_value(*s) >= 0; s++)
        v = v << 4 | (uint64_t)hex_value(*s);
    if (s == *text || (separator && *s++ != separator))
        return false;
    *text = s;
    *value = v;
    return true;
}

static bool begins(const char **text, const char *with)
{
    const size_t n = strlen(with);
    if (strncmp(*text, with, n) != 0)
        return false;
    *text += n;
    return true;
}

static struct cpu *this_cpu(struct gdbstub *g)
{
    return machine_cpu(g->machine, g->cpu);
}

/* --- stops --- */

/* Which kind of watchpoint the address that was hit belongs to. */
static const char *watch_word(const struct gdbstub *g, gla_t at)
{
    for (unsigned i = 0; i < g->points; i++) {
        const struct gdb_point *p = &g->point[i];
        if (p->kind >= POINT_WRITE && at - p->at < p->len)
            return p->kind == POINT_READ ? "rwatch" : p->kind == POINT_ACCESS ? "awatch" : "watch";
    }
    return "watch";
}

/* gdb looks for its breakpoint at RIP: only where that is the linear address may it be named. */
static const char *break_word(struct gdbstub *g)
{
    const struct cpu *cpu = this_cpu(g);
    const gla_t at = cpu->rip;
    if (!g->swbreak || (!cpu_code64(cpu) && cpu->seg[SEG_CS].base))
        return "";
    for (unsigned i = 0; i < g->points; i++) {
        if (g->point[i].at == at && g->point[i].kind <= POINT_HARD)
            return g->point[i].kind == POINT_SOFT ? "swbreak:;" : "hwbreak:;";
    }
    return "";
}

static void send_stop(struct gdbstub *g, enum stop_reason reason)
{
    char text[128];
    unsigned signal = GDB_SIGTRAP;
    char why[64] = "";
    if (reason == STOP_WATCHPOINT || reason == STOP_BREAKPOINT || reason == STOP_STEP)
        g->cpu = g->step_cpu = machine_stop_cpu(g->machine)->index;
    switch (reason) {
    case STOP_WATCHPOINT: {
        const gla_t at = machine_watch_hit(g->machine);
        snprintf(why, sizeof why, "%s:%" PRIx64 ";", watch_word(g, at), at);
        break;
    }
    case STOP_BREAKPOINT:
        snprintf(why, sizeof why, "%s", break_word(g));
        break;
    case STOP_USER:
        signal = GDB_SIGINT;
        break;
    case STOP_SHUTDOWN:
        signal = GDB_SIGQUIT;
        break;
    case STOP_NONE:
    case STOP_STEP:
        break;
    }
    snprintf(text, sizeof text, "T%02xthread:%02x;%s", signal, g->cpu + 1, why);
    reply(g, text);
    g->waiting = false;
}

static void on_stopped(void *opaque, enum stop_reason reason)
{
    struct gdbstub *g = opaque;
    if (g->attached && g->waiting)
        send_stop(g, reason);
}

static void on_ended(void *opaque, enum machine_exit why, int status)
{
    struct gdbstub *g = opaque;
    char text[8];
    (void)why;
    if (!g->attached || !g->waiting)
        return;
    snprintf(text, sizeof text, "W%02x", (unsigned)status & 0xff);
    reply(g, text);
    g->attached = false;
}

static void interrupt(struct gdbstub *g)
{
    if (machine_running(g->machine))
        machine_stop(g->machine, STOP_USER);
    else if (g->waiting)
        send_stop(g, STOP_USER);
}

/* How the machine is to go on: by a step of this CPU, or all of it; the others may stand still. */
struct resumption {
    struct cpu *cpu; /* stepped, or running alone */
    bool step, alone;
};

static void resume(struct gdbstub *g, const struct resumption *r)
{
    g->waiting = true;
    if (!r->step && r->alone) {
        machine_cont_alone(g->machine, r->cpu);
        return;
    }
    if (!r->step) {
        machine_cont(g->machine);
        return;
    }
    /* As in the shadow of STI: the step itself, not an interrupt's first instruction. */
    if (g->sstep & SSTEP_NOIRQ && !r->cpu->halted)
        r->cpu->shadow = true;
    machine_step(g->machine, r->cpu, r->alone);
}

/* --- registers --- */

static void read_all(struct gdbstub *g)
{
    char text[2 * 1024];
    size_t n = 0;
    for (unsigned i = 0; i < gdb_reg_count(); i++) {
        uint8_t value[GDB_REG_MAX_BYTES];
        const unsigned bytes = gdb_reg_read(this_cpu(g), i, value);
        assert(n + 2 * bytes < sizeof text);
        n += put_hex(text + n, value, bytes);
    }
    send_bytes(g, text, n);
}

/* As many as there are digits for. */
static void write_all(struct gdbstub *g, const char *args)
{
    bool all = true;
    for (unsigned i = 0; i < gdb_reg_count(); i++) {
        uint8_t value[GDB_REG_MAX_BYTES];
        const unsigned bytes = gdb_reg_read(this_cpu(g), i, value);
        if (get_hex(args, value, bytes) < bytes)
            break;
        all = gdb_reg_write(this_cpu(g), i, value) && all;
        args += 2 * bytes;
    }
    if (all)
        ok(g);
    else
        bad_request(g);
}

static void read_one(struct gdbstub *g, const char *args)
{
    uint64_t n;
    uint8_t value[GDB_REG_MAX_BYTES];
    char text[2 * GDB_REG_MAX_BYTES + 1];
    const unsigned bytes = get_number(&args, 0, &n) && n < gdb_reg_count()
                               ? gdb_reg_read(this_cpu(g), (unsigned)n, value)
                               : 0;
    if (!bytes) {
        bad_request(g);
        return;
    }
    put_hex(text, value, bytes);
    reply(g, text);
}

static void write_one(struct gdbstub *g, const char *args)
{
    uint64_t n;
    uint8_t value[GDB_REG_MAX_BYTES];
    if (!get_number(&args, '=', &n) || n >= gdb_reg_count()) {
        bad_request(g);
        return;
    }
    const unsigned bytes = gdb_reg_read(this_cpu(g), (unsigned)n, value);
    if (get_hex(args, value, bytes) == bytes && gdb_reg_write(this_cpu(g), (unsigned)n, value))
        ok(g);
    else
        bad_request(g);
}

/* --- memory --- */

static void read_memory(struct gdbstub *g, const char *args)
{
    uint64_t at, len;
    uint8_t buf[PACKET_SIZE / 2];
    char text[PACKET_SIZE + 1];
    if (!get_number(&args, ',', &at) || !get_number(&args, 0, &len)) {
        bad_request(g);
        return;
    }
    len = MIN(len, (uint64_t)sizeof buf);
    const size_t n = g->physical ? machine_read_physical(g->machine, at, buf, len)
                                 : machine_read_linear(g->machine, this_cpu(g), at, buf, len);
    if (!n && len) {
        bad_memory(g);
        return;
    }
    put_hex(text, buf, n);
    reply(g, text);
}

static void write_bytes(struct gdbstub *g, uint64_t at, const uint8_t *data, size_t len)
{
    const size_t n = g->physical ? machine_write_physical(g->machine, at, data, len)
                                 : machine_write_linear(g->machine, this_cpu(g), at, data, len);
    if (n == len)
        ok(g);
    else
        bad_memory(g);
}

static void write_memory(struct gdbstub *g, const char *args)
{
    uint64_t at, len;
    uint8_t buf[PACKET_SIZE / 2];
    if (!get_number(&args, ',', &at) || !get_number(&args, ':', &len) || len > sizeof buf ||
        get_hex(args, buf, len) != len)
        bad_request(g);
    else
        write_bytes(g, at, buf, len);
}

/* X: the data stands in the packet as bytes, which unescaping has left in place. */
static void write_binary(struct gdbstub *g, const char *args)
{
    uint64_t at, len;
    const char *end = (const char *)g->in + g->in_len;
    if (!get_number(&args, ',', &at) || !get_number(&args, ':', &len) ||
        len != (uint64_t)(end - args))
        bad_request(g);
    else
        write_bytes(g, at, (const uint8_t *)args, len);
}

/* --- breakpoints and watchpoints --- */

static const enum watch_kind watch_kinds[POINTS] = {
    [POINT_WRITE] = WATCH_WRITE,
    [POINT_READ] = WATCH_READ,
    [POINT_ACCESS] = WATCH_ACCESS,
};

/* Soft and hard breakpoints are one thing to the machine; the first sets it, the last clears it. */
static bool shared(const struct gdbstub *g, const struct gdb_point *p)
{
    for (unsigned i = 0; i < g->points; i++) {
        const struct gdb_point *q = &g->point[i];
        if (q != p && q->at == p->at && q->kind <= POINT_HARD)
            return true;
    }
    return false;
}

static bool apply_point(struct gdbstub *g, const struct gdb_point *p, bool insert)
{
    if (p->kind <= POINT_HARD)
        return shared(g, p) || machine_breakpoint(g->machine, p->at, insert);
    return machine_watchpoint(g->machine, p->at, p->len, watch_kinds[p->kind], insert);
}

static struct gdb_point *find_point(struct gdbstub *g, const struct gdb_point *want)
{
    for (unsigned i = 0; i < g->points; i++) {
        struct gdb_point *p = &g->point[i];
        if (p->kind == want->kind && p->at == want->at &&
            (p->kind <= POINT_HARD || p->len == want->len))
            return p;
    }
    return NULL;
}

static bool insert_point(struct gdbstub *g, const struct gdb_point *want)
{
    if (find_point(g, want))
        return true; /* the protocol wants this to be harmless */
    if (g->points == MAX_POINTS || !apply_point(g, want, true))
        return false;
    g->point[g->points++] = *want;
    return true;
}

static bool remove_point(struct gdbstub *g, const struct gdb_point *want)
{
    struct gdb_point *p = find_point(g, want);
    if (!p)
        return true;
    const bool done = apply_point(g, p, false);
    *p = g->point[--g->points];
    return done;
}

static void remove_all_points(struct gdbstub *g)
{
    while (g->points)
        remove_point(g, &g->point[0]);
}

static void change_point(struct gdbstub *g, const char *args, bool insert)
{
    struct gdb_point p;
    uint64_t kind;
    if (!get_number(&args, ',', &kind) || !get_number(&args, ',', &p.at) ||
        !get_number(&args, 0, &p.len)) {
        bad_request(g);
        return;
    }
    if (kind >= POINTS) {
        reply(g, ""); /* not supported */
        return;
    }
    p.kind = (enum point)kind;
    if (p.kind >= POINT_WRITE && !p.len)
        p.len = 1;
    if (insert ? insert_point(g, &p) : remove_point(g, &p))
        ok(g);
    else
        bad_request(g);
}

/* --- running --- */

/* "c", "s", and both with a signal, which a machine has no use for. */
static void resume_at(struct gdbstub *g, const char *args, bool step, bool signal)
{
    uint64_t at;
    struct cpu *cpu = machine_cpu(g->machine, g->step_cpu);
    if (signal) {
        const char *semicolon = strchr(args, ';');
        args = semicolon ? semicolon + 1 : "";
    }
    if (*args && get_number(&args, 0, &at)) {
        cpu->rip = at;
        cpu_loaded(cpu);
    }
    resume(g, &(struct resumption){cpu, step, false});
}

/* ":2" behind an action of vCont: which thread; 0: all that no action before it has named. */
static bool get_thread(const char **text, uint64_t *thread)
{
    *thread = 0;
    if (**text != ':')
        return true;
    (*text)++;
    return begins(text, "-1") || get_number(text, 0, thread);
}

/*
 * "vCont;s:2;c": an action a thread, the first that fits it counts. "s:2" alone leaves the others
 * standing (scheduler-locking), as "c:2" does. One thread can be stepped at a time; a step of all
 * is one of the thread in view.
 */
static void resume_list(struct gdbstub *g, const char *args)
{
    const unsigned cpus = machine_cpus(g->machine);
    struct resumption r = {this_cpu(g), false, false};
    unsigned named = 0;
    bool others = false;
    while (*args == ';') {
        const char action = *++args;
        uint64_t thread;
        args += strcspn(args, ":;");
        if (!action || !strchr("cCsS", action) || !get_thread(&args, &thread) || thread > cpus) {
            bad_request(g);
            return;
        }
        const bool step = action == 's' || action == 'S';
        if (!thread) {
            others = true;
            r.step |= step && !named;
        } else if (!r.step) {
            r.step = step;
            r.cpu = machine_cpu(g->machine, (unsigned)thread - 1);
        }
        named += thread != 0;
        args += strcspn(args, ";");
    }
    r.alone = !others && named == 1 && cpus > 1;
    resume(g, &r);
}

static void kill_machine(struct gdbstub *g, bool answer)
{
    if (answer)
        ok(g);
    g->attached = false;
    machine_quit(g->machine, MACHINE_POWERED_OFF, 0);
}

static void detach(struct gdbstub *g)
{
    remove_all_points(g);
    g->attached = g->waiting = false;
    ok(g);
    machine_cont(g->machine);
}

/* --- queries --- */

static void query_supported(struct gdbstub *g, const char *args)
{
    char text[256];
    g->swbreak = strstr(args, "swbreak+");
    snprintf(text, sizeof text,
             "PacketSize=%x;qXfer:features:read+;vContSupported+;swbreak+;hwbreak+;"
             "QStartNoAckMode+",
             PACKET_SIZE);
    reply(g, text);
}

static void query_features(struct gdbstub *g, const char *args)
{
    uint64_t at, len;
    if (!begins(&args, "target.xml:") || !get_number(&args, ',', &at) ||
        !get_number(&args, 0, &len) || !g->xml) {
        reply(g, "E00");
        return;
    }
    const size_t total = strlen(g->xml);
    char text[PACKET_SIZE / 2];
    at = MIN(at, total);
    len = MIN(MIN(len, total - at), sizeof text - 1);
    text[0] = at + len < total ? 'm' : 'l';
    memcpy(text + 1, g->xml + at, len);
    send_bytes(g, text, len + 1);
}

static void query_threads(struct gdbstub *g)
{
    char text[4 * CONFIG_MAX_CPUS + 2] = "m";
    size_t n = 1;
    for (unsigned i = 0; i < machine_cpus(g->machine); i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%02x", i ? "," : "", i + 1);
    reply(g, text);
}

static void query_thread(struct gdbstub *g)
{
    char text[16];
    snprintf(text, sizeof text, "QC%02x", g->cpu + 1);
    reply(g, text);
}

/* For an interrupt, or for the SIPI that starts it. */
static bool cpu_waits(struct gdbstub *g, unsigned n)
{
    const struct cpu *cpu = machine_cpu(g->machine, n);
    return cpu->halted || cpu->wait_sipi;
}

static void query_thread_info(struct gdbstub *g, const char *args)
{
    uint64_t n;
    char words[64], text[2 * sizeof words + 1];
    if (!get_number(&args, 0, &n) || !n || n > machine_cpus(g->machine)) {
        bad_request(g);
        return;
    }
    snprintf(words, sizeof words, "CPU#%u [%s]", (unsigned)n - 1,
             cpu_waits(g, (unsigned)n - 1) ? "halted " : "running");
    put_hex(text, words, strlen(words));
    reply(g, text);
}

/* What a monitor command prints goes out as it comes, as O packets. */
static void monitor_write(void *opaque, const char *text, size_t len)
{
    struct gdbstub *g = opaque;
    while (len) {
        char packet[1 + 2 * 512 + 1] = "O";
        const size_t n = MIN(len, (size_t)512);
        put_hex(packet + 1, text, n);
        reply(g, packet);
        text += n;
        len -= n;
    }
}

static void query_command(struct gdbstub *g, const char *args)
{
    char line[1024];
    const size_t n = get_hex(args, (uint8_t *)line, sizeof line - 1);
    line[n] = '\0';
    g->mon.cpu = g->cpu;
    mon_execute(&g->mon, line);
    ok(g);
}

static void query_qemu(struct gdbstub *g, const char *args)
{
    char text[16];
    if (strcmp(args, "sstepbits") == 0) {
        reply(g, "ENABLE=1,NOIRQ=2,NOTIMER=4");
    } else if (strcmp(args, "sstep") == 0) {
        snprintf(text, sizeof text, "0x%x", g->sstep);
        reply(g, text);
    } else if (strcmp(args, "PhyMemMode") == 0) {
        reply(g, g->physical ? "1" : "0");
    } else if (strcmp(args, "Supported") == 0) {
        reply(g, "sstepbits;sstep;PhyMemMode");
    } else {
        reply(g, "");
    }
}

static void query(struct gdbstub *g, const char *args)
{
    if (begins(&args, "Supported"))
        query_supported(g, args);
    else if (begins(&args, "Xfer:features:read:"))
        query_features(g, args);
    else if (begins(&args, "Rcmd,"))
        query_command(g, args);
    else if (begins(&args, "qemu."))
        query_qemu(g, args);
    else if (begins(&args, "ThreadExtraInfo,"))
        query_thread_info(g, args);
    else if (strcmp(args, "fThreadInfo") == 0)
        query_threads(g);
    else if (strcmp(args, "sThreadInfo") == 0)
        reply(g, "l");
    else if (strcmp(args, "C") == 0)
        query_thread(g);
    else if (begins(&args, "Attached"))
        reply(g, "1");
    else if (begins(&args, "Symbol"))
        ok(g);
    else
        reply(g, "");
}

static void set(struct gdbstub *g, const char *args)
{
    uint64_t v;
    if (strcmp(args, "StartNoAckMode") == 0) {
        ok(g);
        g->no_ack = true;
    } else if (begins(&args, "qemu.PhyMemMode:")) {
        g->physical = *args == '1';
        ok(g);
    } else if (begins(&args, "qemu.sstep=")) {
        begins(&args, "0x");
        if (!get_number(&args, 0, &v)) {
            bad_request(g);
            return;
        }
        g->sstep = (unsigned)v & (SSTEP_ENABLE | SSTEP_NOIRQ | SSTEP_NOTIMER);
        ok(g);
    } else {
        reply(g, "");
    }
}

static void verbose(struct gdbstub *g, const char *args)
{
    if (strcmp(args, "Cont?") == 0)
        reply(g, "vCont;c;C;s;S");
    else if (begins(&args, "Cont"))
        resume_list(g, args);
    else if (begins(&args, "Kill"))
        kill_machine(g, true);
    else
        reply(g, ""); /* vMustReplyEmpty among them */
}

/* Hg5: the thread that registers and memory are about; Hc5: that "s" steps. 0 and -1: any. */
static void choose_thread(struct gdbstub *g, const char *args)
{
    uint64_t n;
    const char what = *args;
    if (what)
        args++;
    if (begins(&args, "-1")) {
        ok(g);
    } else if (!get_number(&args, 0, &n) || n > machine_cpus(g->machine)) {
        bad_request(g);
    } else {
        if (n && what == 'g')
            g->cpu = (unsigned)n - 1;
        if (n && what == 'c')
            g->step_cpu = (unsigned)n - 1;
        ok(g);
    }
}

static void thread_alive(struct gdbstub *g, const char *args)
{
    uint64_t n;
    if (get_number(&args, 0, &n) && n && n <= machine_cpus(g->machine))
        ok(g);
    else
        bad_request(g);
}

/* --- packets --- */

static void packet(struct gdbstub *g)
{
    const char *args = (const char *)g->in + 1;
    g->in[g->in_len] = '\0';
    switch (g->in_len ? g->in[0] : 0) {
    case '?':
        send_stop(g, machine_stop_reason(g->machine) == STOP_SHUTDOWN ? STOP_SHUTDOWN : STOP_STEP);
        break;
    case 'g':
        read_all(g);
        break;
    case 'G':
        write_all(g, args);
        break;
    case 'p':
        read_one(g, args);
        break;
    case 'P':
        write_one(g, args);
        break;
    case 'm':
        read_memory(g, args);
        break;
    case 'M':
        write_memory(g, args);
        break;
    case 'X':
        write_binary(g, args);
        break;
    case 'Z':
        change_point(g, args, true);
        break;
    case 'z':
        change_point(g, args, false);
        break;
    case 'c':
    case 'C':
    case 's':
    case 'S':
        resume_at(g, args, (g->in[0] | 0x20) == 's', g->in[0] < 'a');
        break;
    case 'v':
        verbose(g, args);
        break;
    case 'q':
        query(g, args);
        break;
    case 'Q':
        set(g, args);
        break;
    case 'H':
        choose_thread(g, args);
        break;
    case 'T':
        thread_alive(g, args);
        break;
    case 'D':
        detach(g);
        break;
    case 'k':
        kill_machine(g, false);
        break;
    default:
        reply(g, "");
        break;
    }
}

static void packet_end(struct gdbstub *g)
{
    const bool good = g->sum == g->sum_got && !g->overflow;
    g->rx = RX_IDLE;
    if (!g->no_ack)
        chr_write(g->chr, good ? "+" : "-", 1);
    if (good || (g->no_ack && !g->overflow))
        packet(g);
}

static void packet_begin(struct gdbstub *g)
{
    g->rx = RX_DATA;
    g->in_len = 0;
    g->sum = 0;
    g->escaped = g->overflow = false;
}

static void data_byte(struct gdbstub *g, uint8_t c)
{
    if (c == '#') {
        g->rx = RX_SUM1;
        return;
    }
    g->sum += c;
    if (c == '}' && !g->escaped) {
        g->escaped = true;
        return;
    }
    if (g->in_len == PACKET_SIZE)
        g->overflow = true;
    else
        g->in[g->in_len++] = g->escaped ? c ^ 0x20 : c;
    g->escaped = false;
}

static void idle_byte(struct gdbstub *g, uint8_t c)
{
    switch (c) {
    case '$':
        packet_begin(g);
        break;
    case 0x03:
        interrupt(g);
        break;
    case '-':
        if (g->out_len)
            chr_write(g->chr, g->out, g->out_len);
        break;
    default: /* '+', and noise */
        break;
    }
}

static void byte(struct gdbstub *g, uint8_t c)
{
    switch (g->rx) {
    case RX_IDLE:
        idle_byte(g, c);
        break;
    case RX_DATA:
        if (c == '$') /* the one before was cut off */
            packet_begin(g);
        else
            data_byte(g, c);
        break;
    case RX_SUM1:
        g->sum_got = (uint8_t)(hex_value((char)c) << 4);
        g->rx = RX_SUM2;
        break;
    case RX_SUM2:
        g->sum_got |= (uint8_t)hex_value((char)c);
        packet_end(g);
        break;
    }
}

/* --- the back-end --- */

static void attach(struct gdbstub *g)
{
    remove_all_points(g);
    g->attached = true;
    g->no_ack = g->waiting = g->swbreak = g->physical = false;
    g->rx = RX_IDLE;
    g->out_len = 0;
    g->cpu = g->step_cpu = machine_stop_cpu(g->machine)->index;
    g->sstep = SSTEP_ENABLE | SSTEP_NOIRQ | SSTEP_NOTIMER;
    if (machine_running(g->machine))
        machine_stop(g->machine, STOP_USER);
}

static size_t can_receive(void *opaque)
{
    (void)opaque;
    return ROOM;
}

static void receive(void *opaque, const uint8_t *buf, size_t len)
{
    struct gdbstub *g = opaque;
    for (size_t i = 0; i < len; i++) {
        if (!g->attached && buf[i] != '$')
            continue; /* the "+" for our answer to D */
        if (!g->attached)
            attach(g);
        byte(g, buf[i]);
    }
}

/* A gdb that goes away without a word leaves the machine as it is, but nothing that stops it. */
static void event(void *opaque, bool open)
{
    struct gdbstub *g = opaque;
    if (open) {
        attach(g);
        return;
    }
    remove_all_points(g);
    g->attached = g->waiting = false;
}

struct gdbstub *gdbstub_create(struct machine *m, struct chr *chr)
{
    struct gdbstub *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->xml = gdb_target_xml();
    if (!g->xml) {
        free(g);
        return NULL;
    }
    g->machine = m;
    g->chr = chr;
    mon_init(&g->mon, m, monitor_write, g);
    g->mon.by_gdb = true;
    g->listener = (struct machine_listener){on_stopped, NULL, on_ended, g, NULL};
    machine_listen(m, &g->listener);
    chr_attach(chr, &(struct chr_front){can_receive, receive, event, g, NULL});
    if (chr->connected)
        attach(g);
    return g;
}

void gdbstub_destroy(struct gdbstub *g)
{
    if (!g)
        return;
    machine_unlisten(g->machine, &g->listener);
    chr_attach(g->chr, &(struct chr_front){0});
    remove_all_points(g);
    mon_release(&g->mon);
    free(g->xml);
    free(g);
}

void gdbserver_stop(struct machine *m)
{
    struct gdbstub **slot = machine_gdb(m);
    if (!*slot)
        return;
    struct chr *chr = (*slot)->chr;
    gdbstub_destroy(*slot);
    *slot = NULL;
    machine_chr_close(m, chr);
}

bool gdbserver_start(struct machine *m, const char *device, struct error *err)
{
    char spec[512];
    const bool socket = strncmp(device, "tcp:", 4) == 0 || strncmp(device, "unix:", 5) == 0;
    gdbserver_stop(m);
    snprintf(spec, sizeof spec, "%s%s", device,
             socket && !strstr(device, ",server") ? ",server=on,wait=off" : "");
    struct chr *chr = machine_chr_open(m, "gdb", spec, err);
    if (!chr)
        return false;
    *machine_gdb(m) = gdbstub_create(m, chr);
    if (*machine_gdb(m))
        return true;
    machine_chr_close(m, chr);
    return error_set(err, "out of memory");
}
