/*
 * Character back-ends: what is written arrives, what is typed is delivered as the front end has
 * room, peers come and go, terminals are restored, and every wrong spelling gets its one line.
 */
#define _GNU_SOURCE
#include "host/chr.h"
#include "host/chr_io.h"
#include "host/chr_mux.h"
#include "host/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <cmocka.h>

/* A front end that takes up to room bytes and remembers everything. */
struct sink {
    size_t room;
    char got[65536];
    size_t len;
    unsigned opened, closed, breaks;
};

static size_t sink_can_receive(void *opaque)
{
    return ((struct sink *)opaque)->room;
}

static void sink_receive(void *opaque, const uint8_t *buf, size_t len)
{
    struct sink *k = opaque;
    assert_true(len > 0 && len <= k->room);
    assert_true(k->len + len < sizeof k->got);
    memcpy(k->got + k->len, buf, len);
    k->len += len;
    k->got[k->len] = '\0';
    k->room -= len;
}

static void sink_event(void *opaque, bool open)
{
    struct sink *k = opaque;
    k->opened += open;
    k->closed += !open;
}

static void sink_break(void *opaque)
{
    ((struct sink *)opaque)->breaks++;
}

static void sink_attach(struct sink *k, struct chr *chr, size_t room)
{
    *k = (struct sink){.room = room};
    chr_attach(chr, &(struct chr_front){sink_can_receive, sink_receive, sink_event, k, sink_break});
}

static struct {
    struct host_loop loop;
    struct door door;
    struct log log;
    char lines[4096];
    char dir[64];
} t;

static void log_sink(void *opaque, const char *line)
{
    (void)opaque;
    strncat(t.lines, line, sizeof t.lines - strlen(t.lines) - 2);
    strcat(t.lines, "\n");
}

static int setup(void **unused)
{
    (void)unused;
    struct error err = {0};
    memset(&t, 0, sizeof t);
    if (!host_loop_create(&t.loop, &err))
        return -1;
    door_init(&t.door, false, 0);
    log_init(&t.log, log_sink, NULL);
    strcpy(t.dir, "/tmp/test_chr.XXXXXX");
    return mkdtemp(t.dir) ? 0 : -1;
}

static int teardown(void **unused)
{
    (void)unused;
    host_loop_destroy(&t.loop);
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", t.dir);
    return system(cmd);
}

static struct chr *open_ok(const char *label, const char *spec)
{
    struct error err = {0};
    struct chr *chr = chr_open(label, spec, &t.loop, &t.door, &t.log, &err);
    if (!chr)
        fail_msg("%s: %s", spec, err.msg);
    return chr;
}

static void expect_error(const char *spec, const char *message)
{
    struct error err = {0};
    assert_null(chr_open("serial0", spec, &t.loop, &t.door, &t.log, &err));
    assert_string_equal(err.msg, message);
}

/* Turns the loop until cond, for at most five seconds. */
#define TURN_UNTIL(cond)                             \
    do {                                             \
        for (unsigned turns = 0; !(cond); turns++) { \
            if (turns == 500)                        \
                fail_msg("timed out: %s", #cond);    \
            host_loop_wait(&t.loop, 10 * NS_PER_MS); \
        }                                            \
    } while (0)

static void test_mem(void **unused)
{
    (void)unused;
    struct chr *chr = chr_mem_create("mem");
    struct sink k;
    chr_write(chr, "abc", 3);
    chr_write(chr, "def", 3);
    size_t n;
    assert_string_equal(chr_mem_output(chr, &n), "abcdef");
    assert_int_equal(n, 6);

    chr_mem_input(chr, "early", 5); /* nobody there yet: kept */
    sink_attach(&k, chr, 3);
    assert_string_equal(k.got, "ear");
    k.room = 1;
    chr_accept_input(chr);
    assert_string_equal(k.got, "earl");
    k.room = 100;
    chr_mem_input(chr, "-more", 5);
    assert_string_equal(k.got, "early-more");
    chr_close(chr);
}

static char *slurp(const char *path)
{
    static char buf[1 << 20];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    buf[fread(buf, 1, sizeof buf - 1, f)] = '\0';
    fclose(f);
    return buf;
}

static void test_file(void **unused)
{
    (void)unused;
    char spec[128];
    snprintf(spec, sizeof spec, "file:%s/out", t.dir);
    struct chr *chr = open_ok("serial0", spec);
    chr_write(chr, "one ", 4);
    host_loop_poll(&t.loop);
    assert_string_equal(slurp(spec + 5), "one ");
    chr_write(chr, "two", 3); /* no turn of the loop: the close writes it */
    chr_close(chr);
    assert_string_equal(slurp(spec + 5), "one two");

    char more[140];
    snprintf(more, sizeof more, "append:%s", spec + 5);
    chr = open_ok("serial0", more);
    chr_write(chr, " three", 6);
    chr_close(chr);
    assert_string_equal(slurp(spec + 5), "one two three");

    expect_error("file:/no/such/dir/x",
                 "serial0: cannot write to '/no/such/dir/x': No such file or directory");
}

static void test_file_full(void **unused)
{
    (void)unused;
    struct chr *chr = open_ok("serial0", "file:/dev/full");
    chr_write(chr, "lost", 4);
    host_loop_poll(&t.loop);
    chr_write(chr, "lost", 4);
    host_loop_poll(&t.loop);
    assert_string_equal(t.lines, "serial0: output is lost: No space left on device\n");
    assert_int_equal(chr->dropped_bytes, 8);
    chr_close(chr);
}

static void test_spellings(void **unused)
{
    (void)unused;
    struct chr *chr = open_ok("serial0", "null");
    chr_write(chr, "x", 1);
    chr_close(chr);
    chr_close(open_ok("serial0", "none"));
    chr_close(open_ok("serial0", "vc:80Cx24C"));
    assert_string_equal(t.lines, "serial0: there are no virtual consoles, output goes nowhere\n");
    expect_error("stdoi", "serial0: unknown character device 'stdoi'; did you mean 'stdio'?");
    expect_error("xyzzy:1",
                 "serial0: unknown character device 'xyzzy'; known are stdio, mon:stdio, "
                 "file:PATH, null, none, pty, tcp:HOST:PORT, telnet:HOST:PORT, unix:PATH");
    expect_error("file:", "serial0: 'file:' needs something after 'file:'");
    expect_error("null:3", "serial0: 'null:3' takes nothing after 'null'");
    expect_error("mon:stdio", "serial0: mon: is for one serial port or the monitor only");
    expect_error("tcp:localhost", "serial0: 'localhost' has no port: tcp:HOST:PORT");
    expect_error("tcp::99999", "serial0: '99999' is not a port number (0 to 65535)");
    expect_error("tcp::http", "serial0: 'http' is not a port number (0 to 65535)");
    expect_error("tcp::1,sever=on",
                 "serial0: unknown socket option 'sever'; did you mean 'server'?");
    expect_error("tcp::1,zzz=on", "serial0: unknown socket option 'zzz'");
    expect_error("tcp::1,server=maybe", "serial0: server=maybe is neither on nor off");
    expect_error("tcp::1,reconnect=x", "serial0: reconnect=x is not a number of seconds");

    struct error err = {0};
    assert_null(chr_open("serial0", "tcp:[::1]:1,ipv4=on", &t.loop, &t.door, &t.log, &err));
    const char *expect = "serial0: unknown host '::1': ";
    assert_memory_equal(err.msg, expect, strlen(expect));
}

/* ------------------------------------------------------------------ sockets */

static unsigned listening_port(void)
{
    const char *at = strstr(t.lines, "listening on port ");
    assert_non_null(at);
    return (unsigned)atoi(at + strlen("listening on port "));
}

static int tcp_connect(unsigned port)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_return_code(connect(fd, (struct sockaddr *)&sin, sizeof sin), errno);
    return fd;
}

static void test_tcp_server(void **unused)
{
    (void)unused;
    struct chr *chr = open_ok("serial0", "tcp:127.0.0.1:0,server=on,wait=off");
    const unsigned port = listening_port();
    struct sink k;
    sink_attach(&k, chr, 4);
    chr_write(chr, "nobody", 6);
    assert_int_equal(chr->dropped_bytes, 6);

    for (unsigned round = 1; round <= 2; round++) { /* peers may come again */
        const int fd = tcp_connect(port);
        TURN_UNTIL(chr->connected);
        assert_int_equal(k.opened, round);
        k.len = 0;
        k.room = 4;
        assert_int_equal(write(fd, "123456", 6), 6);
        TURN_UNTIL(k.len == 4);
        for (unsigned i = 0; i < 5; i++)
            host_loop_poll(&t.loop);
        assert_int_equal(k.len, 4); /* no room: stays in the socket */
        k.room = 10;
        chr_accept_input(chr);
        assert_int_equal(k.len, 4); /* never from within accept_input */
        TURN_UNTIL(k.len == 6);
        assert_string_equal(k.got, "123456");

        char buf[16];
        chr_write(chr, "hel", 3);
        chr_write(chr, "lo", 2);
        host_loop_poll(&t.loop);
        assert_int_equal(read(fd, buf, sizeof buf), 5);
        assert_memory_equal(buf, "hello", 5);
        close(fd);
        TURN_UNTIL(!chr->connected);
        assert_int_equal(k.closed, round);
    }
    assert_true(t.door.entered[DOOR_CHR] >= 4);

    char spec[64], message[128];
    snprintf(spec, sizeof spec, "tcp:127.0.0.1:%u,server=on,wait=off", port);
    snprintf(message, sizeof message, "serial0: tcp:127.0.0.1:%u is in use by another program",
             port);
    expect_error(spec, message);
    chr_close(chr);
    for (unsigned i = 0; i < 3; i++)
        host_loop_poll(&t.loop);
    snprintf(spec, sizeof spec, "tcp:127.0.0.1:%u", port);
    snprintf(message, sizeof message,
             "serial0: cannot connect to tcp:127.0.0.1:%u: Connection refused", port);
    expect_error(spec, message);
}

/* A peer that does not read costs at most the bound; the rest is dropped, counted and said once. */
static void test_slow_peer(void **unused)
{
    (void)unused;
    struct chr *chr = open_ok("serial0", "tcp:127.0.0.1:0,server=on,wait=off");
    const int fd = tcp_connect(listening_port());
    TURN_UNTIL(chr->connected);
    t.lines[0] = '\0';
    static char block[65536];
    size_t written = 0;
    for (unsigned i = 0; i < 400; i++) {
        chr_write(chr, block, sizeof block);
        written += sizeof block;
        host_loop_poll(&t.loop);
    }
    assert_true(chr->dropped_bytes > 0);
    assert_string_equal(t.lines, "serial0: the peer does not read: output is dropped\n");

    /* What was not dropped arrives when the peer wakes up. */
    size_t got = 0;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (unsigned turns = 0; got < written - chr->dropped_bytes && turns < 10000; turns++) {
        const ssize_t n = read(fd, block, sizeof block);
        if (n > 0)
            got += (size_t)n;
        else
            host_loop_wait(&t.loop, NS_PER_MS);
    }
    assert_int_equal(got, written - chr->dropped_bytes);
    close(fd);
    chr_close(chr);
}

static void test_unix(void **unused)
{
    (void)unused;
    char spec[160], bare[128], message[256];
    snprintf(bare, sizeof bare, "unix:%s/sock", t.dir);
    snprintf(spec, sizeof spec, "%s,server,nowait", bare);
    struct chr *server = open_ok("monitor", spec);
    struct chr *client = open_ok("serial0", bare);
    struct sink ks, kc;
    sink_attach(&ks, server, 100);
    sink_attach(&kc, client, 100);
    assert_true(client->connected);
    TURN_UNTIL(server->connected);
    chr_write(client, "info\n", 5);
    chr_write(server, "(vitrine) ", 10);
    TURN_UNTIL(ks.len == 5 && kc.len == 10);
    assert_string_equal(ks.got, "info\n");

    snprintf(message, sizeof message, "serial0: %s is in use by another program", bare);
    expect_error(spec, message);
    struct stat st;
    assert_return_code(stat(bare + 5, &st), errno); /* and the other's socket is still there */

    chr_close(server);
    assert_int_equal(stat(bare + 5, &st), -1);
    TURN_UNTIL(!client->connected);
    chr_close(client);

    /* A socket left behind is replaced, a file of another kind is not. */
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    strcpy(un.sun_path, bare + 5);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_return_code(bind(fd, (struct sockaddr *)&un, sizeof un), errno);
    close(fd);
    chr_close(open_ok("serial0", spec));
    close(open(bare + 5, O_CREAT | O_WRONLY, 0600));
    snprintf(message, sizeof message, "serial0: '%s' exists and is not a socket", bare + 5);
    expect_error(spec, message);

    char path[300];
    memset(path, 'x', sizeof path);
    memcpy(path, "unix:", 5);
    path[200] = '\0';
    struct error err = {0};
    assert_null(chr_open("serial0", path, &t.loop, &t.door, &t.log, &err));
    assert_non_null(strstr(err.msg, "is longer than 107 bytes"));
}

/* A peer that comes once somebody listens. */
static void *connect_when_there(void *opaque)
{
    static int fd;
    const struct sockaddr_un *un = opaque;
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    while (connect(fd, opaque, sizeof *un) != 0)
        usleep(10000);
    return &fd;
}

static void test_wait(void **unused)
{
    (void)unused;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char spec[160], message[256];
    snprintf(un.sun_path, sizeof un.sun_path, "%s/wait", t.dir);
    snprintf(spec, sizeof spec, "unix:%s,server=on", un.sun_path);
    pthread_t thread;
    void *fd;
    pthread_create(&thread, NULL, connect_when_there, &un);
    struct chr *chr = open_ok("serial0", spec);
    pthread_join(thread, &fd);
    assert_true(chr->connected);
    snprintf(message, sizeof message, "serial0: waiting for a connection on unix:%s\n",
             un.sun_path);
    assert_string_equal(t.lines, message);
    close(*(int *)fd);
    chr_close(chr);
}

static void test_reconnect(void **unused)
{
    (void)unused;
    char spec[128], server_spec[128];
    snprintf(spec, sizeof spec, "unix:%s/late,reconnect=1", t.dir);
    snprintf(server_spec, sizeof server_spec, "unix:%s/late,server=on,wait=off", t.dir);
    struct chr *client = open_ok("serial0", spec); /* nobody there: no error */
    assert_false(client->connected);
    struct sink k;
    sink_attach(&k, client, 100);
    struct chr *server = open_ok("monitor", server_spec);
    TURN_UNTIL(client->connected);
    chr_close(server);
    TURN_UNTIL(!client->connected);
    server = open_ok("monitor", server_spec);
    TURN_UNTIL(client->connected);
    chr_close(client);
    chr_close(server);
}

static void test_pty(void **unused)
{
    (void)unused;
    struct chr *chr = open_ok("serial0", "pty");
    char path[64];
    assert_int_equal(sscanf(t.lines, "char device redirected to %63s (label serial0)", path), 1);
    struct sink k;
    sink_attach(&k, chr, 100);
    chr_write(chr, "before\n", 7); /* kept for who comes */
    host_loop_poll(&t.loop);
    const int fd = open(path, O_RDWR | O_NOCTTY);
    assert_return_code(fd, errno);
    char buf[32];
    assert_int_equal(read(fd, buf, sizeof buf), 7);
    assert_memory_equal(buf, "before\n", 7);
    assert_int_equal(write(fd, "in\r", 3), 3);
    TURN_UNTIL(k.len == 3);
    assert_string_equal(k.got, "in\r");
    close(fd);
    chr_close(chr);
}

/* ------------------------------------------------------------------ stdio, in a child process */

static int child_status(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* As the child: echoes what comes in, upper-cased, until "q" or the end; then closes. */
static void echo_child(size_t extra_output)
{
    struct error err = {0};
    static struct sink k;
    struct chr *chr = chr_open("serial0", "stdio", &t.loop, &t.door, &t.log, &err);
    if (!chr)
        _exit(2);
    if (chr_open("serial1", "stdio", &t.loop, &t.door, &t.log, &err) ||
        strcmp(err.msg, "serial1: stdio is in use by serial0") != 0)
        _exit(3);
    sink_attach(&k, chr, sizeof k.got - 1);
    for (unsigned i = 0; i < 500 && !memchr(k.got, 'q', k.len); i++) {
        const size_t before = k.len;
        host_loop_wait(&t.loop, 10 * NS_PER_MS);
        for (size_t j = before; j < k.len; j++)
            chr_write(chr, &(char){(char)(k.got[j] - 32)}, 1);
    }
    static char filler[1000];
    memset(filler, '.', sizeof filler);
    for (size_t i = 0; i < extra_output; i += sizeof filler)
        chr_write(chr, filler, sizeof filler);
    chr_close(chr);
    host_loop_destroy(&t.loop);
    _exit(chr_open("x", "bad", &t.loop, NULL, NULL, &err) != NULL);
}

static void test_stdio_pipe(void **unused)
{
    (void)unused;
    int in[2], out[2];
    assert_return_code(pipe(in), errno);
    assert_return_code(pipe(out), errno);
    const pid_t pid = fork();
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        echo_child(3000000); /* far more than the pipe and the queue hold: nothing is lost */
    }
    close(in[0]);
    close(out[1]);
    assert_int_equal(write(in[1], "abcq", 4), 4);
    close(in[1]);
    static char buf[65536];
    size_t total = 0;
    ssize_t n;
    char start[5] = "";
    while ((n = read(out[0], buf, sizeof buf)) > 0) {
        for (ssize_t i = 0; i < n && total + (size_t)i < 4; i++)
            start[total + (size_t)i] = buf[i];
        total += (size_t)n;
        usleep(1000); /* a slow reader */
    }
    close(out[0]);
    assert_string_equal(start, "ABCQ");
    assert_int_equal(total, 3000004);
    assert_int_equal(child_status(pid), 0);
}

static void test_stdio_file_and_eof(void **unused)
{
    (void)unused;
    char in[96], out[96];
    snprintf(in, sizeof in, "%s/in", t.dir);
    snprintf(out, sizeof out, "%s/out", t.dir);
    FILE *f = fopen(in, "w");
    fputs("xyzq", f);
    fclose(f);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(open(in, O_RDONLY), 0);
        dup2(open(out, O_WRONLY | O_CREAT, 0600), 1);
        echo_child(0);
    }
    assert_int_equal(child_status(pid), 0);
    assert_string_equal(slurp(out), "XYZQ");

    /* The end of input does not end anything, nor spin: the child waits out its turns. */
    pid = fork();
    if (pid == 0) {
        dup2(open("/dev/null", O_RDWR), 0);
        dup2(0, 1);
        struct error err = {0};
        struct chr *chr = chr_open("s", "stdio", &t.loop, &t.door, &t.log, &err);
        struct sink k;
        sink_attach(&k, chr, 10);
        unsigned turns = 0;
        for (; turns < 20; turns++)
            host_loop_wait(&t.loop, 10 * NS_PER_MS);
        struct timespec ts;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts); /* of 200 ms it was asleep */
        chr_close(chr);
        host_loop_destroy(&t.loop);
        _exit(k.len != 0 || ts.tv_sec > 0 || ts.tv_nsec > 100 * NS_PER_MS);
    }
    assert_int_equal(child_status(pid), 0);
}

/* The child's reader goes away: it lives on, is told once, and ends by itself. */
static void test_stdio_broken_pipe(void **unused)
{
    (void)unused;
    int out[2];
    assert_return_code(pipe(out), errno);
    close(out[0]); /* before the child writes */
    const pid_t pid = fork();
    if (pid == 0) {
        dup2(out[1], 1);
        close(out[1]);
        close(0);
        struct error err = {0};
        struct chr *chr = chr_open("s", "stdio", &t.loop, &t.door, &t.log, &err);
        chr_write(chr, "x", 1);
        host_loop_poll(&t.loop);
        chr_write(chr, "y", 1);
        host_loop_poll(&t.loop);
        const bool ok = chr->dropped_bytes == 2 &&
                        strcmp(t.lines, "s: nobody reads the output any more (Broken pipe)\n") == 0;
        chr_close(chr);
        host_loop_destroy(&t.loop);
        _exit(!ok);
    }
    close(out[1]);
    assert_int_equal(child_status(pid), 0);
}

static int open_terminal(char *slave, size_t size)
{
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_return_code(master, errno);
    grantpt(master);
    unlockpt(master);
    assert_int_equal(ptsname_r(master, slave, size), 0);
    return master;
}

static void become_session(const char *slave)
{
    setsid();
    const int fd = open(slave, O_RDWR); /* becomes the controlling terminal */
    ioctl(fd, TIOCSCTTY, 0);
    dup2(fd, 0);
    dup2(fd, 1);
}

static bool is_raw(const struct termios *tio)
{
    return !(tio->c_lflag & (ICANON | ECHO)) && !(tio->c_iflag & ICRNL);
}

static void test_stdio_tty(void **unused)
{
    (void)unused;
    char slave[64];
    const int master = open_terminal(slave, sizeof slave);
    const pid_t pid = fork();
    if (pid == 0) {
        become_session(slave);
        struct termios before, during, after;
        struct error err = {0};
        struct sink k;
        const int flags = fcntl(0, F_GETFL);
        tcgetattr(0, &before);
        struct chr *chr = chr_open("s", "stdio", &t.loop, &t.door, &t.log, &err);
        sink_attach(&k, chr, 100);
        tcgetattr(0, &during);
        if (!is_raw(&during) || !(during.c_lflag & ISIG))
            _exit(10);
        if (fcntl(0, F_GETFL) != flags || (fcntl(1, F_GETFL) & O_NONBLOCK))
            _exit(11); /* whoever shares the terminal would see it */
        chr_write(chr, "ready", 5);
        for (unsigned i = 0; i < 500 && k.len < 2; i++)
            host_loop_wait(&t.loop, 10 * NS_PER_MS);
        if (k.len != 2 || memcmp(k.got, "\r\x11", 2) != 0)
            _exit(12);
        /* A crash handler's way out: what is pending is written, the terminal restored. */
        chr_write(chr, "pending", 7);
        chr_stdio_restore();
        tcgetattr(0, &after);
        if (after.c_lflag != before.c_lflag || after.c_iflag != before.c_iflag)
            _exit(13);
        raise(SIGCONT); /* continued: raw again */
        for (unsigned i = 0; i < 100 && (tcgetattr(0, &after), !is_raw(&after)); i++)
            host_loop_wait(&t.loop, 10 * NS_PER_MS);
        if (!is_raw(&after))
            _exit(14);
        raise(SIGTSTP); /* nobody could continue us: must go on, still raw */
        for (unsigned i = 0; i < 5; i++)
            host_loop_wait(&t.loop, 10 * NS_PER_MS);
        tcgetattr(0, &after);
        if (!is_raw(&after))
            _exit(15);
        chr_close(chr);
        tcgetattr(0, &after);
        if (after.c_lflag != before.c_lflag || after.c_oflag != before.c_oflag)
            _exit(16);
        host_loop_destroy(&t.loop);
        _exit(0);
    }
    char buf[64];
    size_t n = 0;
    while (n < 5)
        n += (size_t)read(master, buf + n, sizeof buf - n);
    assert_memory_equal(buf, "ready", 5);
    assert_int_equal(write(master, "\r\x11", 2), 2); /* Enter; Ctrl-Q */
    n = 0;
    while (n < 7) {
        const ssize_t r = read(master, buf + n, sizeof buf - n);
        if (r <= 0)
            break;
        n += (size_t)r;
    }
    assert_int_equal(n, 7);
    assert_memory_equal(buf, "pending", 7);
    assert_int_equal(child_status(pid), 0);
    close(master);
}

static void count_timer(uv_timer_t *timer)
{
    ++*(unsigned *)timer->data;
}

static void ignore_signal(int sig)
{
    (void)sig;
}

/*
 * A reader that stopped reading holds up the guest, but not what hangs on the loop's timers, as the
 * window does: the queue grows for them, not without end.
 */
static void test_stalled_reader(void **unused)
{
    (void)unused;
    char spec[96];
    snprintf(spec, sizeof spec, "file:%s/fifo", t.dir);
    assert_return_code(mkfifo(spec + 5, 0600), errno);
    const int reader = open(spec + 5, O_RDONLY | O_NONBLOCK);
    struct chr *chr = open_ok("serial0", spec);
    unsigned fired = 0;
    uv_timer_t timer = {.data = &fired};
    uv_timer_init(&t.loop.uv, &timer);
    uv_timer_start(&timer, count_timer, 5, 5);
    const struct sigaction act = {.sa_handler = ignore_signal};
    sigaction(SIGALRM, &act, NULL);
    alarm(10); /* ends a wait for the reader */

    static char block[64 * KiB];
    for (unsigned i = 0; i <= CHR_QUEUE_BYTES / sizeof block; i++)
        chr_write(chr, block, sizeof block); /* fills the pipe and the queue */
    const int64_t start = host_clock_ns();
    for (unsigned turn = 0; turn < 20; turn++) {
        for (unsigned i = 0; i < 1000; i++) { /* as REP OUTS does between two turns */
            chr_write(chr, "x", 1);
            assert_true(host_clock_ns() - start < 9 * NS_PER_SEC);
        }
        host_loop_poll(&t.loop);
    }
    const int64_t took = host_clock_ns() - start;
    assert_in_range(fired, 10, 20);
    assert_true(took >= 45 * NS_PER_MS); /* it did wait */

    const struct itimerval soon = {{0, 200000}, {0, 200000}}, never = {0};
    int64_t longest = 0;
    setitimer(ITIMER_REAL, &soon, NULL); /* whose signals end the waits */
    for (unsigned i = 0; i < CHR_QUEUE_MOST / sizeof block; i++) {
        const int64_t before = host_clock_ns();
        chr_write(chr, block, sizeof block);
        longest = MAX(longest, host_clock_ns() - before);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    assert_true(longest >= 150 * NS_PER_MS); /* though a timer was due all the time */

    close(reader);
    uv_close((uv_handle_t *)&timer, NULL);
    host_loop_poll(&t.loop);
    chr_close(chr);
}

/* ------------------------------------------------------------------ the mux */

static void count_quit(void *opaque)
{
    ++*(unsigned *)opaque;
}

static void test_mux(void **unused)
{
    (void)unused;
    assert_true(chr_spec_is_mux("mon:stdio"));
    assert_false(chr_spec_is_mux("stdio"));
    char spec[128];
    snprintf(spec, sizeof spec, "mon:unix:%s/mux,server=on,wait=off", t.dir);
    unsigned quits = 0;
    struct error err = {0};
    struct chr *port[CHR_MUX_PORTS];
    const struct chr_mux_config cfg = {.label = "serial0",
                                       .spec = spec,
                                       .loop = &t.loop,
                                       .door = &t.door,
                                       .log = &t.log,
                                       .quit = count_quit,
                                       .quit_opaque = &quits};
    assert_true(chr_mux_open(&cfg, port, &err));
    struct sink ser, mon, user;
    sink_attach(&ser, port[CHR_MUX_SERIAL], 3);
    sink_attach(&mon, port[CHR_MUX_MONITOR], 1000);
    char peer[128];
    snprintf(peer, sizeof peer, "unix:%s/mux", t.dir);
    struct chr *u = open_ok("user", peer);
    sink_attach(&user, u, sizeof user.got - 1);
    TURN_UNTIL(port[CHR_MUX_SERIAL]->connected);
    assert_int_equal(ser.opened, 1);

    /* The guest takes three bytes only; escapes work all the same. */
    chr_write(u, "abcdef\001s\001\001\001b", 12);
    TURN_UNTIL(ser.breaks == 1);
    assert_string_equal(ser.got, "abc");
    ser.room = 100;
    chr_accept_input(port[CHR_MUX_SERIAL]);
    assert_string_equal(ser.got, "abc");
    TURN_UNTIL(ser.len == 7);
    assert_string_equal(ser.got, "abcdef\001");

    chr_write(u, "\001c", 2);
    TURN_UNTIL(mon.opened == 1);
    chr_write(u, "info\001cls\r", 9);
    TURN_UNTIL(ser.len == 10);
    assert_string_equal(mon.got, "info");
    assert_string_equal(ser.got, "abcdef\001ls\r");
    assert_int_equal(mon.closed, 1);
    assert_int_equal(ser.closed, 0);

    chr_write(port[CHR_MUX_SERIAL], "S", 1);
    chr_write(port[CHR_MUX_MONITOR], "M", 1);
    TURN_UNTIL(user.len == 2);
    assert_string_equal(user.got, "SM");
    chr_write(u, "\001h", 2);
    TURN_UNTIL(strstr(user.got, "send Ctrl-A"));
    chr_write(u, "\001", 1);
    TURN_UNTIL(true);
    chr_write(u, "x", 1);
    TURN_UNTIL(strstr(user.got, "Vitrine: terminated"));
    assert_int_equal(quits, 1);

    chr_close(u);
    TURN_UNTIL(ser.closed == 1);
    chr_close(port[CHR_MUX_SERIAL]);
    chr_close(port[CHR_MUX_MONITOR]);
}

/* mon:stdio hands Ctrl-C to the guest. */
static void test_mux_tty(void **unused)
{
    (void)unused;
    char slave[64];
    const int master = open_terminal(slave, sizeof slave);
    const pid_t pid = fork();
    if (pid == 0) {
        become_session(slave);
        unsigned quits = 0;
        struct error err = {0};
        struct chr *port[CHR_MUX_PORTS];
        struct sink ser;
        const struct chr_mux_config cfg = {"serial0", "mon:stdio", &t.loop, &t.door,
                                           &t.log,    count_quit,  &quits};
        if (!chr_mux_open(&cfg, port, &err))
            _exit(2);
        sink_attach(&ser, port[CHR_MUX_SERIAL], 100);
        chr_write(port[CHR_MUX_SERIAL], "ready", 5);
        for (unsigned i = 0; i < 500 && !quits; i++)
            host_loop_wait(&t.loop, 10 * NS_PER_MS);
        chr_close(port[CHR_MUX_MONITOR]);
        chr_close(port[CHR_MUX_SERIAL]);
        host_loop_destroy(&t.loop);
        _exit(quits != 1 || strcmp(ser.got, "\003") != 0);
    }
    char buf[64];
    size_t n = 0;
    while (n < 5)
        n += (size_t)read(master, buf + n, sizeof buf - n);
    assert_int_equal(write(master, "\003\001x", 3), 3);
    n = 0;
    while (n < 23) {
        const ssize_t r = read(master, buf + n, sizeof buf - n);
        if (r <= 0)
            break;
        n += (size_t)r;
    }
    assert_int_equal(child_status(pid), 0);
    buf[n] = '\0';
    assert_non_null(strstr(buf, "Vitrine: terminated"));
    close(master);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_mem),
        T(test_file),
        T(test_file_full),
        T(test_spellings),
        T(test_tcp_server),
        T(test_slow_peer),
        T(test_unix),
        T(test_wait),
        T(test_reconnect),
        T(test_pty),
        T(test_stdio_pipe),
        T(test_stdio_file_and_eof),
        T(test_stdio_tty),
        T(test_stdio_broken_pipe),
        T(test_mux),
        T(test_mux_tty),
        T(test_stalled_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
