/* See chr.h: QEMU's spellings of character back-ends. */
#include "host/chr.h"
#include "core/words.h"
#include "host/chr_io.h"

static struct chr *open_stdio(const struct chr_host *host, const char *rest, struct error *err)
{
    (void)rest;
    return chr_stdio_create(host, true, err);
}

static struct chr *open_null(const struct chr_host *host, const char *rest, struct error *err)
{
    (void)rest;
    return chr_null_create(host, err);
}

static struct chr *open_vc(const struct chr_host *host, const char *rest, struct error *err)
{
    (void)rest;
    log_line(host->log, LOG_HOST, "%s: there are no virtual consoles, output goes nowhere",
             host->label);
    return chr_null_create(host, err);
}

static struct chr *open_pty(const struct chr_host *host, const char *rest, struct error *err)
{
    (void)rest;
    return chr_pty_create(host, err);
}

static struct chr *open_mux(const struct chr_host *host, const char *rest, struct error *err)
{
    (void)rest;
    error_set(err, "%s: mon: is for one serial port or the monitor only", host->label);
    return NULL;
}

static const struct kind {
    const char *name; /* first: word_nearest() looks here */
    bool takes_rest;  /* ":..." follows */
    struct chr *(*open)(const struct chr_host *host, const char *rest, struct error *err);
} kinds[] = {
    {"stdio", false, open_stdio},
    {"null", false, open_null},
    {"none", false, open_null},
    {"vc", false, open_vc},
    {"pty", false, open_pty},
    {"file", true, chr_file_create},
    {"tcp", true, chr_tcp_create},
    {"unix", true, chr_unix_create},
    {"mon", true, open_mux},
    {"append", true, chr_append_create},
    {"telnet", true, chr_telnet_create},
};

struct chr *chr_open(const char *label, const char *spec, struct host_loop *loop, struct door *door,
                     struct log *log, struct error *err)
{
    const struct chr_host host = {label, loop, door, log};
    const size_t n = strcspn(spec, ":");
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        const struct kind *k = &kinds[i];
        if (strlen(k->name) != n || memcmp(k->name, spec, n) != 0)
            continue;
        const bool has_rest = spec[n] == ':' && spec[n + 1];
        /* QEMU lets "vc:80Cx24C" say a size. */
        if (k->takes_rest && !has_rest)
            error_set(err, "%s: '%s' needs something after '%s:'", label, spec, k->name);
        else if (!k->takes_rest && spec[n] && k->open != open_vc)
            error_set(err, "%s: '%s' takes nothing after '%s'", label, spec, k->name);
        else
            return k->open(&host, spec + n + 1, err);
        return NULL;
    }
    char word[32];
    const size_t len = MIN(n, sizeof word - 1);
    memcpy(word, spec, len);
    word[len] = '\0';
    const char *near = word_nearest(word, kinds, sizeof kinds[0], ARRAY_SIZE(kinds));
    if (near)
        error_set(err, "%s: unknown character device '%s'; did you mean '%s'?", label, word, near);
    else
        error_set(err,
                  "%s: unknown character device '%s'; known are stdio, mon:stdio, file:PATH, null, "
                  "none, pty, tcp:HOST:PORT, telnet:HOST:PORT, unix:PATH",
                  label, word);
    return NULL;
}
