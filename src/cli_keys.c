/* Options with keys of their own, each with a table of rows; -device is in cli_device.c. */
#define _GNU_SOURCE /* strptime */
#include "cli_keys.h"

#include "core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* --- -accel, -machine --- */

#define KVM_WORDS \
    "needs a host CPU's virtualisation, Vitrine computes everything itself; use -accel tcg"

static bool choose_accel(struct cli_parse *p, const char *name)
{
    static const char *const foreign[] = {"kvm", "xen", "hax", "hvf", "whpx", "nvmm", "qtest"};
    if (p->accel_found)
        return true; /* as in QEMU, the first that works is taken */
    p->accel_given = true;
    if (strcmp(name, "tcg") == 0 || strcmp(name, "interp") == 0 || strcmp(name, "jit") == 0) {
        p->accel_found = true;
        p->cfg->accel = *name == 't' ? ACCEL_FASTEST : *name == 'i' ? ACCEL_INTERP : ACCEL_JIT;
        return true;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(foreign); i++) {
        if (strcmp(name, foreign[i]) == 0) {
            snprintf(p->accel_refused, sizeof p->accel_refused, "%s", name);
            return true;
        }
    }
    return cli_fail(
        p,
        "unknown engine \"%s\"; there are interp, jit and tcg (the default, the fastest of them)",
        name);
}

bool cli_accel_done(struct cli_parse *p)
{
    if (p->cfg->jit_perfmap && p->cfg->accel == ACCEL_INTERP) {
        snprintf(p->option, sizeof p->option, "-perfmap");
        cli_note(p, "the interpreter has no translated code to name");
    }
    if ((p->cfg->log_mask & LOG_OUT) && p->cfg->accel == ACCEL_INTERP) {
        snprintf(p->option, sizeof p->option, "-d");
        cli_note(p, "the interpreter makes no code for out_asm to show");
    }
    if (p->cfg->thread == THREAD_MULTI && (p->cfg->icount || p->cfg->jit_verify))
        return error_set(p->err, "-accel thread=multi: under %s CPUs take turns on one thread",
                         p->cfg->icount ? "-icount" : "verify=on");
    if (!p->accel_given)
        return true;
    if (!p->accel_found)
        return error_set(p->err, "no %s%s: it " KVM_WORDS,
                         strcmp(p->accel_refused, "kvm") == 0 ? "KVM" : "accelerator ",
                         strcmp(p->accel_refused, "kvm") == 0 ? "" : p->accel_refused);
    if (*p->accel_refused) {
        snprintf(p->option, sizeof p->option, "-accel");
        cli_note(p, "no %s here, the next choice is taken", p->accel_refused);
    }
    return true;
}

static bool accel_thread(struct cli_parse *p, void *target, const char *value)
{
    struct vm_config *cfg = target;
    if (strcmp(value, "multi") != 0 && strcmp(value, "single") != 0)
        return cli_fail(p, "thread=%s is neither multi nor single", value);
    cfg->thread = *value == 'm' ? THREAD_MULTI : THREAD_SINGLE;
    return true;
}

static const struct key_row accel_keys[] = {
    {"accel", KEY_ONLY, 0, "interp|jit|tcg", NULL},
    {"stats", KEY_BOOL, offsetof(struct vm_config, stats), NULL, NULL},
    {"chain", KEY_BOOL, offsetof(struct vm_config, jit_chain), NULL, NULL},
    {"indirect", KEY_BOOL, offsetof(struct vm_config, jit_indirect), NULL, NULL},
    {"shadow", KEY_BOOL, offsetof(struct vm_config, shadow), NULL, NULL},
    {"x87", KEY_BOOL, offsetof(struct vm_config, jit_x87), NULL, NULL},
    {"find", KEY_BOOL, offsetof(struct vm_config, jit_find), NULL, NULL},
    {"share", KEY_BOOL, offsetof(struct vm_config, jit_share), NULL, NULL},
    {"fill", KEY_BOOL, offsetof(struct vm_config, jit_fill), NULL, NULL},
    {"events", KEY_BOOL, offsetof(struct vm_config, jit_events), NULL, NULL},
    {"perfmap", KEY_BOOL, offsetof(struct vm_config, jit_perfmap), NULL, NULL},
    {"verify", KEY_BOOL, offsetof(struct vm_config, jit_verify), NULL, NULL},
    {"threshold", KEY_INT, offsetof(struct vm_config, jit_threshold), NULL, NULL},
    {"thread", KEY_CALL, 0, "multi|single", accel_thread},
    {"tb-size", KEY_HINT, 0, "the size of code memory is fixed", NULL},
    {"split-wx", KEY_HINT, 0, "code memory always has two mappings, one to write and one to run",
     NULL},
    {"one-insn-per-tb", KEY_HINT, 0, "blocks are as they are", NULL},
};

static bool accel_pair(struct cli_parse *p, const char *key, const char *value)
{
    for (unsigned i = 0; i < ARRAY_SIZE(accel_keys); i++) {
        if (strcmp(key, accel_keys[i].name) == 0)
            return cli_apply_row(p, &accel_keys[i], value, p->cfg);
    }
    if (p->cfg->accel == ACCEL_FASTEST && p->accel_found &&
        !word_nearest(key, accel_keys, sizeof *accel_keys, ARRAY_SIZE(accel_keys))) {
        cli_note(p, "%s=%s is not known here and changes nothing", key, value);
        return true;
    }
    return cli_apply_key(p, accel_keys, ARRAY_SIZE(accel_keys), key, value, p->cfg);
}

static bool translators_key(const char *key)
{
    static const char *const keys[] = {"chain", "indirect", "x87",     "events", "fill",
                                       "share", "find",     "perfmap", "verify", "threshold"};
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

bool cli_accel(struct cli_parse *p, const char *arg)
{
    struct word_pairs pairs;
    if (!word_pairs_split(&pairs, arg, "accel", p->err))
        return error_prefix(p->err, "%s", p->option);
    const char *name = word_pairs_get(&pairs, "accel");
    if (cli_help_asked(p, accel_keys, ARRAY_SIZE(accel_keys), &pairs))
        name = "tcg";
    bool ok = name ? choose_accel(p, name) : cli_fail(p, "which engine? interp, jit or tcg");
    bool ours = name && (strcmp(name, "tcg") == 0 || strcmp(name, "interp") == 0 ||
                         strcmp(name, "jit") == 0);
    for (unsigned i = 0; ok && ours && !p->helped && i < pairs.count; i++) {
        if (strcmp(name, "interp") == 0 && translators_key(pairs.key[i]))
            ok =
                cli_fail(p, "%s is for the translator: -accel jit,%s=", pairs.key[i], pairs.key[i]);
        else if (strcmp(pairs.key[i], "accel") != 0)
            ok = accel_pair(p, pairs.key[i], pairs.value[i]);
    }
    word_pairs_free(&pairs);
    return ok;
}

/* "pc-i440fx-7.2": whatever the version, the one board there is. */
static bool is_version(const char *name, const char *prefix)
{
    const size_t n = strlen(prefix);
    unsigned major, minor;
    int end = 0;
    return strncmp(name, prefix, n) == 0 && name[n] >= '0' && name[n] <= '9' &&
           sscanf(name + n, "%3u.%3u%n", &major, &minor, &end) == 2 && !name[n + (size_t)end];
}

static bool machine_type(struct cli_parse *p, void *target, const char *value)
{
    struct vm_config *cfg = target;
    if (strcmp(value, "pc") == 0 || is_version(value, "pc-i440fx-"))
        return word_set(&cfg->machine, "pc", p->err);
    if (strncmp(value, "q35", 3) == 0 || strncmp(value, "pc-q35", 6) == 0 ||
        strcmp(value, "microvm") == 0 || strcmp(value, "isapc") == 0)
        return cli_fail(p, "there is no %s board yet, use pc (i440FX)", value);
    return cli_fail(p, "unknown board \"%s\"; there is pc (i440FX)", value);
}

/* accel=kvm:tcg, tried from left to right */
static bool machine_accel(struct cli_parse *p, void *target, const char *value)
{
    (void)target;
    char name[32];
    while (*value) {
        size_t len = strcspn(value, ":");
        snprintf(name, sizeof name, "%.*s", (int)len, value);
        if (!choose_accel(p, name))
            return false;
        value += len + (value[len] == ':');
    }
    return true;
}

static bool machine_acpi(struct cli_parse *p, void *target, const char *value)
{
    bool on;
    if (strcmp(value, "auto") == 0)
        return true;
    if (!word_bool(value, &on))
        return cli_fail(p, "acpi=%s is neither on nor off", value);
    ((struct vm_config *)target)->no_acpi = !on;
    return true;
}

static bool machine_hpet(struct cli_parse *p, void *target, const char *value)
{
    bool on;
    if (!word_bool(value, &on))
        return cli_fail(p, "hpet=%s is neither on nor off", value);
    ((struct vm_config *)target)->no_hpet = !on;
    return true;
}

/* On a PC all it does is to be told to the firmware (fw_cfg), as -nographic is. */
static bool machine_graphics(struct cli_parse *p, void *target, const char *value)
{
    bool on;
    if (!word_bool(value, &on))
        return cli_fail(p, "graphics=%s is neither on nor off", value);
    ((struct vm_config *)target)->no_graphics = !on;
    return true;
}

static const struct key_row machine_keys[] = {
    {"type", KEY_CALL, 0, "pc|pc-i440fx-N.M", machine_type},
    {"accel", KEY_CALL, 0, "interp|jit|tcg", machine_accel},
    {"acpi", KEY_CALL, 0, "on|off|auto", machine_acpi},
    {"pcspk-audiodev", KEY_STR, offsetof(struct vm_config, pcspk_audio), NULL, NULL},
    {"usb", KEY_ONLY, 0, "off", NULL},
    {"hpet", KEY_CALL, 0, "on|off", machine_hpet},
    {"vmport", KEY_ONLY, 0, "off|auto", NULL},
    {"smm", KEY_ONLY, 0, "off|auto", NULL},
    {"nvdimm", KEY_ONLY, 0, "off", NULL},
    {"graphics", KEY_CALL, 0, "on|off", machine_graphics},
    {"pit", KEY_ONLY, 0, "on", NULL},
    {"i8042", KEY_ONLY, 0, "on", NULL},
    {"sata", KEY_ONLY, 0, "off", NULL},
    {"kernel_irqchip", KEY_HINT, 0, "all devices are software", NULL},
    {"kernel-irqchip", KEY_HINT, 0, "all devices are software", NULL},
    {"dump-guest-core", KEY_HINT, 0, "guest memory is not in core files", NULL},
    {"mem-merge", KEY_HINT, 0, "the host decides", NULL},
    {"suppress-vmdesc", KEY_HINT, 0, "there is no migration", NULL},
    {"max-ram-below-4g", KEY_LACK, 0, "the PCI hole lies where the board's memory map puts it",
     NULL},
    {"memory-backend", KEY_LACK, 0, "guest memory is Vitrine's own", NULL},
};

bool cli_machine(struct cli_parse *p, const char *arg)
{
    return cli_apply(p, machine_keys, ARRAY_SIZE(machine_keys), arg, "type", p->cfg);
}

/* --- -audiodev --- */

static bool audio_driver(struct cli_parse *p, void *target, const char *value)
{
    static const char *const words[] = {
        [AUDIO_NONE] = "none", [AUDIO_SDL] = "sdl", [AUDIO_WAV] = "wav"};
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        if (strcmp(words[i], value) == 0) {
            ((struct config_audio *)target)->driver = (enum config_audio_driver)i;
            return true;
        }
    }
    return cli_fail(p, "%s: there are sdl, wav and none", value);
}

static bool audio_rate(struct cli_parse *p, void *target, const char *value)
{
    uint64_t hz;
    if (!word_u64(value, &hz) || hz < 8000 || hz > 192000)
        return cli_fail(p, "out.frequency=%s is not a number from 8000 to 192000", value);
    ((struct config_audio *)target)->rate_hz = (uint32_t)hz;
    return true;
}

static const struct key_row audio_keys[] = {
    {"driver", KEY_CALL, 0, "sdl|wav|none", audio_driver},
    {"id", KEY_STR, offsetof(struct config_audio, id), NULL, NULL},
    {"path", KEY_STR, offsetof(struct config_audio, path), NULL, NULL},
    {"out.frequency", KEY_CALL, 0, NULL, audio_rate},
    {"out.channels", KEY_ONLY, 0, "1", NULL},
    {"out.format", KEY_ONLY, 0, "s16", NULL},
};

bool cli_audiodev(struct cli_parse *p, const char *arg)
{
    struct vm_config *cfg = p->cfg;
    if (cfg->audios == CONFIG_MAX_AUDIO)
        return cli_fail(p, "more than %d", CONFIG_MAX_AUDIO);
    struct config_audio *a = &cfg->audio[cfg->audios++];
    a->rate_hz = CONFIG_AUDIO_HZ;
    if (!cli_apply(p, audio_keys, ARRAY_SIZE(audio_keys), arg, "driver", a))
        return false;
    if (!a->id)
        return cli_fail(p, "id= is missing");
    for (unsigned i = 0; i + 1 < cfg->audios; i++) {
        if (strcmp(cfg->audio[i].id, a->id) == 0)
            return cli_fail(p, "id=%s is used twice", a->id);
    }
    if (a->driver != AUDIO_WAV && a->path)
        return cli_fail(p, "path= is for wav");
    return a->driver != AUDIO_WAV || a->path || word_set(&a->path, "vitrine.wav", p->err);
}

/* --- -display --- */

static bool display_type(struct cli_parse *p, void *target, const char *value)
{
    struct vm_config *cfg = target;
    const bool sdl = strcmp(value, "sdl") == 0;
    if (!sdl && strcmp(value, "none") != 0)
        return cli_fail(p, "%s: there are sdl and none", value);
    cfg->display = sdl ? SHOW_SDL : SHOW_NOTHING;
    return true;
}

static bool window_close(struct cli_parse *p, void *target, const char *value)
{
    bool on;
    if (!word_bool(value, &on))
        return cli_fail(p, "window-close=%s is neither on nor off", value);
    ((struct vm_config *)target)->window.no_close = !on;
    return true;
}

static bool grab_mod(struct cli_parse *p, void *target, const char *value)
{
    static const char *const words[] = {
        [GRAB_CTRL_ALT] = "lctrl-lalt",
        [GRAB_SHIFT_CTRL_ALT] = "lshift-lctrl-lalt",
        [GRAB_RIGHT_CTRL] = "rctrl",
    };
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        if (strcmp(words[i], value) == 0) {
            ((struct vm_config *)target)->window.grab_mod = (enum config_grab)i;
            return true;
        }
    }
    return cli_fail(p, "grab-mod=%s: there are lctrl-lalt, lshift-lctrl-lalt and rctrl", value);
}

static const struct key_row display_keys[] = {
    {"type", KEY_CALL, 0, "sdl|none", display_type},
    {"full-screen", KEY_BOOL, offsetof(struct vm_config, window.full_screen), NULL, NULL},
    {"window-close", KEY_CALL, 0, "on|off", window_close},
    {"grab-mod", KEY_CALL, 0, "lctrl-lalt|lshift-lctrl-lalt|rctrl", grab_mod},
    {"show-cursor", KEY_ONLY, 0, "off", NULL},
    {"gl", KEY_ONLY, 0, "off", NULL},
};

bool cli_display(struct cli_parse *p, const char *arg)
{
    p->display_given = true;
    if (!*arg)
        return cli_fail(p, "which? there are sdl and none");
    if (!cli_apply(p, display_keys, ARRAY_SIZE(display_keys), arg, "type", p->cfg))
        return false;
    if (p->cfg->display == SHOW_NOTHING && strchr(arg, ','))
        return cli_fail(p, "%s: without a window there is nothing more to say", arg);
    return true;
}

/* --- -m, -smp --- */

static bool memory_size(struct cli_parse *p, void *target, const char *value)
{
    struct vm_config *cfg = target;
    if (!word_size(value, MiB, &cfg->ram_bytes))
        return cli_fail(p, "\"%s\" is not a size; write for example 512M or 2G", value);
    return true;
}

static const struct key_row memory_keys[] = {
    {"size", KEY_CALL, 0, "SIZE", memory_size},
    {"slots", KEY_LACK, 0, "there is no memory hot-plug", NULL},
    {"maxmem", KEY_LACK, 0, "there is no memory hot-plug", NULL},
};

bool cli_memory(struct cli_parse *p, const char *arg)
{
    return cli_apply(p, memory_keys, ARRAY_SIZE(memory_keys), arg, "size", p->cfg);
}

struct smp {
    int cpus, maxcpus, sockets, dies, clusters, cores, threads;
};

static const struct key_row smp_keys[] = {
    {"cpus", KEY_INT, offsetof(struct smp, cpus), NULL, NULL},
    {"maxcpus", KEY_INT, offsetof(struct smp, maxcpus), NULL, NULL},
    {"sockets", KEY_INT, offsetof(struct smp, sockets), NULL, NULL},
    {"dies", KEY_INT, offsetof(struct smp, dies), NULL, NULL},
    {"clusters", KEY_INT, offsetof(struct smp, clusters), NULL, NULL},
    {"cores", KEY_INT, offsetof(struct smp, cores), NULL, NULL},
    {"threads", KEY_INT, offsetof(struct smp, threads), NULL, NULL},
};

/* What was not given, as QEMU works it out since 6.2: cores before sockets before threads. */
static void complete_smp(struct smp *s)
{
    if (s->cpus > 0 || s->maxcpus > 0) {
        const int64_t max = s->maxcpus > 0 ? s->maxcpus : s->cpus;
        if (s->cores < 0) {
            s->sockets = s->sockets < 0 ? 1 : s->sockets;
            s->threads = s->threads < 0 ? 1 : s->threads;
            s->cores = (int)(max / ((int64_t)s->sockets * s->threads));
        } else if (s->sockets < 0) {
            s->threads = s->threads < 0 ? 1 : s->threads;
            s->sockets = (int)(max / ((int64_t)s->cores * s->threads));
        }
        if (s->threads < 0)
            s->threads = (int)(max / ((int64_t)s->sockets * s->cores));
    }
    s->sockets = s->sockets < 0 ? 1 : s->sockets;
    s->cores = s->cores < 0 ? 1 : s->cores;
    s->threads = s->threads < 0 ? 1 : s->threads;
}

static bool check_smp(struct cli_parse *p, const char *arg, struct smp *s)
{
    const int parts[] = {s->cpus,     s->maxcpus, s->sockets, s->dies,
                         s->clusters, s->cores,   s->threads};
    for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
        if (parts[i] == 0)
            return cli_fail(p, "%s: nothing can be 0 of", arg);
        if (parts[i] > CONFIG_MAX_CPUS)
            return cli_fail(p, "%s: %d is too many, a machine has at most %d CPUs", arg, parts[i],
                            CONFIG_MAX_CPUS);
    }
    if (s->dies > 1 || s->clusters > 1)
        return cli_fail(p, "%s: this board's sockets have no %s; use cores=", arg,
                        s->dies > 1 ? "dies" : "clusters");
    return true;
}

bool cli_smp(struct cli_parse *p, const char *arg)
{
    struct smp s = {-1, -1, -1, -1, -1, -1, -1};
    if (!cli_apply(p, smp_keys, ARRAY_SIZE(smp_keys), arg, "cpus", &s) || !check_smp(p, arg, &s))
        return false;
    complete_smp(&s);
    const int64_t product = (int64_t)s.sockets * s.cores * s.threads;
    const int64_t maxcpus = s.maxcpus > 0 ? s.maxcpus : s.cpus > 0 ? s.cpus : product;
    const int64_t cpus = s.cpus > 0 ? s.cpus : maxcpus;
    if (product != maxcpus)
        return cli_fail(p, "%s: %d sockets of %d cores of %d threads are not %lld CPUs", arg,
                        s.sockets, s.cores, s.threads, (long long)maxcpus);
    if (cpus > maxcpus)
        return cli_fail(p, "%s: %lld CPUs are more than the %lld there is room for", arg,
                        (long long)cpus, (long long)maxcpus);
    const struct cpu_topology t = {(unsigned)s.sockets, (unsigned)s.cores, (unsigned)s.threads};
    const uint32_t last =
        cpus > CONFIG_MAX_CPUS ? UINT32_MAX : topology_apic_id(&t, (unsigned)cpus - 1);
    if (last >= CONFIG_MAX_CPUS)
        return cli_fail(
            p,
            "%s: too many CPUs: their local APIC IDs, which are made of socket, core and "
            "thread, must stay below %d",
            arg, CONFIG_MAX_CPUS);
    p->cfg->smp = (unsigned)cpus;
    p->cfg->topology = t;
    return true;
}

/* --- -drive --- */

static bool drive_if(struct cli_parse *p, void *target, const char *value)
{
    struct config_drive *d = target;
    if (strcmp(value, "ide") == 0)
        d->bus = DRIVE_IDE;
    else if (strcmp(value, "floppy") == 0)
        d->bus = DRIVE_FLOPPY;
    else if (strcmp(value, "none") == 0)
        d->bus = DRIVE_NONE;
    else if (word_one_of("virtio|scsi|sd|mtd|pflash|xen|sata", value))
        return cli_fail(p, "if=%s: not there yet, only ide, floppy and none", value);
    else
        return cli_fail(p, "if=%s: unknown interface, there are ide, floppy and none", value);
    return true;
}

static bool drive_media(struct cli_parse *p, void *target, const char *value)
{
    ((struct config_drive *)target)->cdrom = strcmp(value, "cdrom") == 0;
    return word_one_of("disk|cdrom", value) ||
           cli_fail(p, "media=%s: there are disk and cdrom", value);
}

static bool drive_format(struct cli_parse *p, void *target, const char *value)
{
    if (strcmp(value, "raw") != 0)
        return cli_fail(p, "format=%s: only raw images can be read yet (qemu-img convert -O raw)",
                        value);
    return word_set(&((struct config_drive *)target)->format, value, p->err);
}

static const struct key_row drive_keys[] = {
    {"file", KEY_STR, offsetof(struct config_drive, file), NULL, NULL},
    {"format", KEY_CALL, 0, "raw", drive_format},
    {"if", KEY_CALL, 0, "ide|floppy|none", drive_if},
    {"index", KEY_INT, offsetof(struct config_drive, index), NULL, NULL},
    {"media", KEY_CALL, 0, "disk|cdrom", drive_media},
    {"snapshot", KEY_BOOL, offsetof(struct config_drive, snapshot), NULL, NULL},
    {"readonly", KEY_BOOL, offsetof(struct config_drive, readonly), NULL, NULL},
    {"read-only", KEY_BOOL, offsetof(struct config_drive, readonly), NULL, NULL},
    {"id", KEY_STR, offsetof(struct config_drive, id), NULL, NULL},
    {"cache", KEY_HINT, 0, "writes go through the host's page cache, a guest's flush to the disk",
     NULL},
    {"aio", KEY_HINT, 0, "requests run on worker threads", NULL},
    {"discard", KEY_HINT, 0, "the drives have no TRIM", NULL},
    {"detect-zeroes", KEY_HINT, 0, "zeros are written as they are", NULL},
    {"werror", KEY_ONLY, 0, "report|enospc", NULL},
    {"rerror", KEY_ONLY, 0, "report", NULL},
};

static struct config_drive *new_drive(struct cli_parse *p)
{
    if (p->cfg->drives == CONFIG_MAX_DRIVES) {
        cli_fail(p, "more than %d drives", CONFIG_MAX_DRIVES);
        return NULL;
    }
    struct config_drive *d = &p->cfg->drive[p->cfg->drives++];
    *d = (struct config_drive){.bus = DRIVE_IDE, .index = -1, .bootindex = -1};
    return d;
}

/* bus= and unit= are how QEMU also spells a place; they come to an index. */
static bool drive_place(struct cli_parse *p, struct config_drive *d, const struct word_pairs *in,
                        struct word_pairs *rest)
{
    int bus = 0, unit = 0;
    bool given = false;
    rest->count = 0;
    for (unsigned i = 0; i < in->count; i++) {
        bool is_bus = strcmp(in->key[i], "bus") == 0;
        if (!is_bus && strcmp(in->key[i], "unit") != 0) {
            rest->key[rest->count] = in->key[i];
            rest->value[rest->count++] = in->value[i];
            continue;
        }
        if (!cli_apply_int(p, in->key[i], in->value[i], is_bus ? &bus : &unit))
            return false;
        given = true;
    }
    const char *interface = word_pairs_get(in, "if");
    const bool floppy = interface && strcmp(interface, "floppy") == 0;
    if (given && floppy && (bus || unit > 1))
        return cli_fail(p, "there is floppy bus 0 with units 0 and 1");
    if (given && (bus > 1 || unit > 1))
        return cli_fail(p, "there are IDE buses 0 and 1 with units 0 and 1");
    if (given)
        d->index = bus * 2 + unit;
    return true;
}

static bool check_drive(struct cli_parse *p, const struct config_drive *d)
{
    if (d->cdrom && d->bus == DRIVE_FLOPPY)
        return cli_fail(p, "if=floppy,media=cdrom: which of the two?");
    return true;
}

bool cli_drive(struct cli_parse *p, const char *arg)
{
    struct word_pairs pairs, rest = {0};
    struct config_drive *d = new_drive(p);
    if (!d)
        return false;
    if (!word_pairs_split(&pairs, arg, NULL, p->err))
        return error_prefix(p->err, "%s", p->option);
    bool ok = drive_place(p, d, &pairs, &rest) &&
              cli_apply_pairs(p, drive_keys, ARRAY_SIZE(drive_keys), &rest, d) && check_drive(p, d);
    word_pairs_free(&pairs);
    return ok;
}

bool cli_add_drive(struct cli_parse *p, const char *file, enum drive_if bus, int index, bool cdrom)
{
    if (!*file && !cdrom && bus == DRIVE_IDE)
        return cli_fail(p, "the name of an image file is missing");
    struct config_drive *d = new_drive(p);
    if (!d || !word_set(&d->file, file, p->err))
        return false;
    d->bus = bus;
    d->index = index;
    d->cdrom = cdrom;
    return true;
}

/* --- -boot, -name, -rtc, -icount, -action, -fw_cfg --- */

static bool boot_letters(struct cli_parse *p, const char *key, const char *value, char **slot)
{
    for (const char *c = value; *c; c++) {
        if (*c < 'a' || *c > 'p')
            return cli_fail(p, "%s=%s: drives are letters, a floppy, c disk, d CD-ROM, n network",
                            key, value);
        if (strchr(c + 1, *c))
            return cli_fail(p, "%s=%s: %c is named twice", key, value, *c);
    }
    return word_set(slot, value, p->err);
}

static bool boot_order(struct cli_parse *p, void *target, const char *value)
{
    return boot_letters(p, "order", value, &((struct vm_config *)target)->boot_order);
}

static bool boot_once(struct cli_parse *p, void *target, const char *value)
{
    return boot_letters(p, "once", value, &((struct vm_config *)target)->boot_once);
}

#define BOOT_MAX_MS 65535 /* a word in fw_cfg and in CMOS memory, as QEMU's */

static bool boot_ms(struct cli_parse *p, const char *key, const char *value, int *slot)
{
    uint64_t v;
    if (!word_u64(value, &v) || v > BOOT_MAX_MS)
        return cli_fail(p, "%s=%s is not a number from 0 to %d", key, value, BOOT_MAX_MS);
    *slot = (int)v;
    return true;
}

static bool boot_splash_time(struct cli_parse *p, void *target, const char *value)
{
    return boot_ms(p, "splash-time", value, &((struct vm_config *)target)->boot_menu_ms);
}

static bool boot_reboot_timeout(struct cli_parse *p, void *target, const char *value)
{
    struct vm_config *cfg = target;
    if (strcmp(value, "-1") != 0)
        return boot_ms(p, "reboot-timeout", value, &cfg->boot_fail_ms);
    cfg->boot_fail_ms = -1; /* never, which is so without it, too */
    return true;
}

static const struct key_row boot_keys[] = {
    {"order", KEY_CALL, 0, "LETTERS", boot_order},
    {"menu", KEY_BOOL, offsetof(struct vm_config, boot_menu), NULL, NULL},
    {"strict", KEY_BOOL, offsetof(struct vm_config, boot_strict), NULL, NULL},
    {"splash-time", KEY_CALL, 0, "MS", boot_splash_time},
    {"reboot-timeout", KEY_CALL, 0, "MS|-1", boot_reboot_timeout},
    {"once", KEY_CALL, 0, "LETTERS", boot_once},
    {"splash", KEY_LACK, 0, "there is no boot picture", NULL},
};

bool cli_boot(struct cli_parse *p, const char *arg)
{
    return cli_apply(p, boot_keys, ARRAY_SIZE(boot_keys), arg, "order", p->cfg);
}

static const struct key_row name_keys[] = {
    {"guest", KEY_STR, offsetof(struct vm_config, name), NULL, NULL},
    {"process", KEY_STR, offsetof(struct vm_config, process_name), NULL, NULL},
    {"debug-threads", KEY_BOOL, offsetof(struct vm_config, debug_threads), NULL, NULL},
};

bool cli_name(struct cli_parse *p, const char *arg)
{
    return cli_apply(p, name_keys, ARRAY_SIZE(name_keys), arg, "guest", p->cfg);
}

static bool parse_date(const char *s, int64_t *seconds)
{
    struct tm tm = {0};
    const char *end = strptime(s, "%Y-%m-%d", &tm);
    if (end && *end)
        end = strptime(s, strchr(s, 'T') ? "%Y-%m-%dT%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &tm);
    if (!end || *end || tm.tm_year < 70)
        return false;
    *seconds = timegm(&tm);
    return true;
}

static bool rtc_base(struct cli_parse *p, void *target, const char *value)
{
    struct vm_config *cfg = target;
    if (strcmp(value, "utc") == 0)
        cfg->rtc_base = RTC_UTC;
    else if (strcmp(value, "localtime") == 0)
        cfg->rtc_base = RTC_LOCALTIME;
    else if (parse_date(value, &cfg->rtc_date))
        cfg->rtc_base = RTC_DATE;
    else
        return cli_fail(p,
                        "base=%s: neither utc nor localtime nor a date like "
                        "2006-06-17T16:01:21",
                        value);
    return true;
}

static bool rtc_clock(struct cli_parse *p, void *target, const char *value)
{
    (void)target;
    if (!word_one_of("host|rt|vm", value))
        return cli_fail(p, "clock=%s: there are vm and, taken as hints, host and rt", value);
    snprintf(p->rtc_clock, sizeof p->rtc_clock, "%s", strcmp(value, "vm") == 0 ? "" : value);
    return true;
}

static bool rtc_driftfix(struct cli_parse *p, void *target, const char *value)
{
    (void)target;
    if (!word_one_of("none|slew", value))
        return cli_fail(p, "driftfix=%s: there are none and, taken as a hint, slew", value);
    if (strcmp(value, "slew") == 0)
        cli_note(p, "driftfix=slew taken as a hint: ticks that the guest is too late for are not "
                    "made up for, as on hardware");
    return true;
}

static const struct key_row rtc_keys[] = {
    {"base", KEY_CALL, 0, "utc|localtime|DATE", rtc_base},
    {"clock", KEY_CALL, 0, "vm|host|rt", rtc_clock},
    {"driftfix", KEY_CALL, 0, "none|slew", rtc_driftfix},
};

bool cli_rtc_done(struct cli_parse *p)
{
    if (!*p->rtc_clock)
        return true;
    snprintf(p->option, sizeof p->option, "-rtc");
    if (p->cfg->icount)
        return cli_fail(p,
                        "clock=%s: with -icount the date goes on with the guest's time, clock=vm",
                        p->rtc_clock);
    cli_note(p,
             "clock=%s taken as a hint: the date goes on with the guest's time, which follows the "
             "host's except while the machine is stopped",
             p->rtc_clock);
    return true;
}

bool cli_rtc(struct cli_parse *p, const char *arg)
{
    p->cfg->rtc_set = true;
    return cli_apply(p, rtc_keys, ARRAY_SIZE(rtc_keys), arg, "base", p->cfg);
}

#define ICOUNT_MAX_SHIFT 10 /* as QEMU's: 1024 ns an instruction */

static bool icount_shift(struct cli_parse *p, void *target, const char *value)
{
    struct vm_config *cfg = target;
    uint64_t v;
    if (strcmp(value, "auto") == 0) {
        p->icount_auto = true;
        cli_note(p, "shift=auto taken as a hint: guest time follows the host's without -icount");
        return true;
    }
    if (!word_u64(value, &v) || v > ICOUNT_MAX_SHIFT)
        return cli_fail(p, "shift=%s is not a number from 0 to %d", value, ICOUNT_MAX_SHIFT);
    cfg->icount = true;
    cfg->icount_shift = (unsigned)v;
    return true;
}

static const struct key_row icount_keys[] = {
    {"shift", KEY_CALL, 0, "N|auto", icount_shift},
    {"sleep", KEY_BOOL, offsetof(struct vm_config, icount_sleep), NULL, NULL},
    {"align", KEY_ONLY, 0, "off", NULL},
    {"rr", KEY_LACK, 0, "there is no record and replay yet", NULL},
    {"rrfile", KEY_LACK, 0, "there is no record and replay yet", NULL},
    {"rrsnapshot", KEY_LACK, 0, "there is no record and replay yet", NULL},
};

bool cli_icount(struct cli_parse *p, const char *arg)
{
    if (!cli_apply(p, icount_keys, ARRAY_SIZE(icount_keys), arg, "shift", p->cfg))
        return false;
    if (!p->cfg->icount && (!p->icount_auto || p->cfg->icount_sleep))
        return cli_fail(p, "%s needs shift=N", p->cfg->icount_sleep ? "sleep=on" : "it");
    return true;
}

static bool action_reboot(struct cli_parse *p, void *target, const char *value)
{
    if (!word_one_of("reset|shutdown", value))
        return cli_fail(p, "reboot=%s: there are reset and shutdown", value);
    ((struct vm_config *)target)->no_reboot = strcmp(value, "shutdown") == 0;
    return true;
}

static bool action_shutdown(struct cli_parse *p, void *target, const char *value)
{
    if (!word_one_of("poweroff|pause", value))
        return cli_fail(p, "shutdown=%s: there are poweroff and pause", value);
    ((struct vm_config *)target)->no_shutdown = strcmp(value, "pause") == 0;
    return true;
}

static const struct key_row action_keys[] = {
    {"reboot", KEY_CALL, 0, "reset|shutdown", action_reboot},
    {"shutdown", KEY_CALL, 0, "poweroff|pause", action_shutdown},
    {"panic", KEY_HINT, 0, "no device reports a guest's panic", NULL},
    {"watchdog", KEY_HINT, 0, "there is no watchdog", NULL},
};

bool cli_action(struct cli_parse *p, const char *arg)
{
    return cli_apply(p, action_keys, ARRAY_SIZE(action_keys), arg, NULL, p->cfg);
}

/* --- -msg, -overcommit: off is how it is, on is a hint --- */

static bool hint_if_on(struct cli_parse *p, const char *key, const char *value, const char *words)
{
    bool on;
    if (!word_bool(value, &on))
        return cli_fail(p, "%s=%s is neither on nor off", key, value);
    if (on)
        cli_note(p, "%s=on taken as a hint: %s", key, words);
    return true;
}

static bool msg_timestamp(struct cli_parse *p, void *target, const char *value)
{
    (void)target;
    return hint_if_on(p, "timestamp", value, "messages are one line each, without a time");
}

static bool msg_guest_name(struct cli_parse *p, void *target, const char *value)
{
    (void)target;
    return hint_if_on(p, "guest-name", value, "messages begin with the program's name");
}

static const struct key_row msg_keys[] = {
    {"timestamp", KEY_CALL, 0, "on|off", msg_timestamp},
    {"guest-name", KEY_CALL, 0, "on|off", msg_guest_name},
};

bool cli_msg(struct cli_parse *p, const char *arg)
{
    return cli_apply(p, msg_keys, ARRAY_SIZE(msg_keys), arg, NULL, p->cfg);
}

static bool overcommit_mem_lock(struct cli_parse *p, void *target, const char *value)
{
    (void)target;
    return hint_if_on(p, "mem-lock", value, "guest memory is taken as it is touched");
}

static bool overcommit_cpu_pm(struct cli_parse *p, void *target, const char *value)
{
    (void)target;
    return hint_if_on(p, "cpu-pm", value, "a CPU that waits leaves the host's to others");
}

static const struct key_row overcommit_keys[] = {
    {"mem-lock", KEY_CALL, 0, "on|off", overcommit_mem_lock},
    {"cpu-pm", KEY_CALL, 0, "on|off", overcommit_cpu_pm},
};

bool cli_overcommit(struct cli_parse *p, const char *arg)
{
    return cli_apply(p, overcommit_keys, ARRAY_SIZE(overcommit_keys), arg, NULL, p->cfg);
}

/* --- -fw_cfg --- */

#define FW_CFG_NAME_MAX 55 /* a file's name in the directory is 56 bytes with its end */

struct fw_cfg_item {
    char *name, *file, *string;
};

static const struct key_row fw_cfg_keys[] = {
    {"name", KEY_STR, offsetof(struct fw_cfg_item, name), NULL, NULL},
    {"file", KEY_STR, offsetof(struct fw_cfg_item, file), NULL, NULL},
    {"string", KEY_STR, offsetof(struct fw_cfg_item, string), NULL, NULL},
    {"gen_id", KEY_LACK, 0, "there are no generated items, use file= or string=", NULL},
};

bool cli_fw_cfg(struct cli_parse *p, const char *arg)
{
    struct vm_config *cfg = p->cfg;
    if (cfg->fw_cfgs == CONFIG_MAX_FWCFG)
        return cli_fail(p, "more than %d items", CONFIG_MAX_FWCFG);
    struct fw_cfg_item item = {0};
    bool ok = cli_apply(p, fw_cfg_keys, ARRAY_SIZE(fw_cfg_keys), arg, "name", &item);
    unsigned n = cfg->fw_cfgs++;
    cfg->fw_cfg[n].name = item.name;
    cfg->fw_cfg[n].file = item.file;
    cfg->fw_cfg[n].string = item.string;
    if (!ok)
        return false;
    if (!item.name || !*item.name)
        return cli_fail(p, "name= is missing");
    if (strlen(item.name) > FW_CFG_NAME_MAX)
        return cli_fail(p, "%s: a name has at most %d letters", item.name, FW_CFG_NAME_MAX);
    if (!item.file == !item.string)
        return cli_fail(p, "%s: needs one of file= and string=", item.name);
    return true;
}
