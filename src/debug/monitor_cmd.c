/* See monitor_cmd.h: the table, and the commands that steer the machine. */
#include "debug/monitor_cmd.h"
#include "core/words.h"
#include "cpu/cpu.h"
#include "debug/gdbstub.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* --- for commands --- */

void mon_printf(struct mon *mon, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n > 0)
        mon->write(mon->opaque, text, MIN((size_t)n, sizeof text - 1));
}

void mon_line(void *mon, const char *line)
{
    mon_printf(mon, "%s\n", line);
}

struct cpu *mon_cpu(struct mon *mon)
{
    return machine_cpu(mon->machine, mon->cpu);
}

char *mon_word(char **args)
{
    char *s = *args;
    while (isspace((unsigned char)*s))
        s++;
    if (!*s) {
        *args = s;
        return NULL;
    }
    char *word = s, *out = s;
    bool quoted = false;
    for (; *s && (quoted || !isspace((unsigned char)*s)); s++) {
        if (*s == '"')
            quoted = !quoted;
        else
            *out++ = *s;
    }
    *args = *s ? s + 1 : s;
    *out = '\0';
    return word;
}

bool mon_no_more(struct mon *mon, char *args)
{
    const char *word = mon_word(&args);
    if (word)
        mon_printf(mon, "extraneous characters at the end of line: '%s'\n", word);
    return !word;
}

bool mon_rest(struct mon *mon, char *args, const char *what, uint64_t *value)
{
    while (isspace((unsigned char)*args))
        args++;
    if (!*args) {
        mon_printf(mon, "which %s?\n", what);
        return false;
    }
    const char *at = args;
    return mon_expression(mon, &at, value) && mon_no_more(mon, args + (at - args));
}

bool mon_number(struct mon *mon, char **args, const char *what, uint64_t *value)
{
    int depth = 0;
    while (isspace((unsigned char)**args))
        (*args)++;
    char *end = *args;
    for (; *end && (depth > 0 || !isspace((unsigned char)*end)); end++)
        depth += *end == '(' ? 1 : *end == ')' ? -1 : 0;
    const char behind = *end;
    *end = '\0';
    const bool ok = mon_rest(mon, *args, what, value);
    *args = end + (behind != '\0');
    return ok;
}

/* --- commands --- */

static void cmd_help(struct mon *mon, char *args);

static void cmd_stop(struct mon *mon, char *args)
{
    if (mon_no_more(mon, args))
        machine_pause(mon->machine);
}

static void cmd_cont(struct mon *mon, char *args)
{
    if (mon_no_more(mon, args))
        machine_cont(mon->machine);
}

static void cmd_reset(struct mon *mon, char *args)
{
    if (mon_no_more(mon, args))
        machine_reset_button(mon->machine);
}

static void cmd_powerdown(struct mon *mon, char *args)
{
    if (mon_no_more(mon, args))
        machine_power_button(mon->machine);
}

static void cmd_quit(struct mon *mon, char *args)
{
    if (mon_no_more(mon, args))
        machine_quit(mon->machine, MACHINE_POWERED_OFF, 0);
}

static void cmd_nmi(struct mon *mon, char *args)
{
    if (mon_no_more(mon, args))
        machine_nmi(mon->machine);
}

static void cmd_cpu(struct mon *mon, char *args)
{
    uint64_t n;
    if (!mon_number(mon, &args, "CPU", &n) || !mon_no_more(mon, args))
        return;
    if (n >= machine_cpus(mon->machine))
        mon_printf(mon, "there are CPUs 0 to %u\n", machine_cpus(mon->machine) - 1);
    else
        mon->cpu = (unsigned)n;
}

static bool ends_in(const char *path, const char *suffix)
{
    const size_t n = strlen(path), m = strlen(suffix);
    return n > m && strcmp(path + n - m, suffix) == 0;
}

/* QEMU has "-f FORMAT" behind the file, and PPM unless told otherwise. */
static void cmd_screendump(struct mon *mon, char *args)
{
    struct display_source *display = machine_display(mon->machine);
    struct surface s = {0};
    struct error err = {0};
    const char *path = NULL, *format = NULL;
    for (const char *word; (word = mon_word(&args));) {
        const bool flag = strcmp(word, "-f") == 0;
        const char **to = flag ? &format : &path;
        if (*to) {
            mon_printf(mon, "extraneous characters at the end of line: '%s'\n", word);
            return;
        }
        *to = flag ? mon_word(&args) : word;
        if (!*to) {
            mon_printf(mon, "-f png or -f ppm?\n");
            return;
        }
    }
    if (!format)
        format = path && ends_in(path, ".png") ? "png" : "ppm";
    const bool png = strcmp(format, "png") == 0;
    if (!path)
        mon_printf(mon, "which file? NAME.png or NAME.ppm\n");
    else if (!png && strcmp(format, "ppm") != 0)
        mon_printf(mon, "pictures are png or ppm, not '%s'\n", format);
    else if (!display)
        mon_printf(mon, "there is no display (-vga none)\n");
    else {
        display->render(display->opaque, &s); /* of a blank screen a black picture */
        if (!surface_write(&s, path, png ? SURFACE_PNG : SURFACE_PPM, &err))
            mon_printf(mon, "%s\n", err.msg);
    }
    surface_free(&s);
}

static void cmd_log(struct mon *mon, char *args)
{
    struct log *log = machine_log(mon->machine);
    struct error err = {0};
    uint32_t mask = 0;
    const char *items = mon_word(&args);
    if (!items) {
        for (const struct config_log_item *i = config_log_items; i->name; i++)
            mon_printf(mon, "%c %-14s %s\n", log->mask & i->mask ? '*' : ' ', i->name, i->help);
        return;
    }
    if (!mon_no_more(mon, args))
        return;
    if (strcmp(items, "none") != 0 && !config_log_mask(items, &mask, &err))
        mon_printf(mon, "%s\n", err.msg);
    else
        log->mask = LOG_HOST | mask;
}

static void cmd_gdbserver(struct mon *mon, char *args)
{
    struct error err = {0};
    const char *device = mon_word(&args);
    device = device ? device : "tcp::1234";
    if (!mon_no_more(mon, args))
        return;
    if (mon->by_gdb) {
        mon_printf(mon, "not from gdb, which is connected by it\n");
    } else if (strcmp(device, "none") == 0) {
        gdbserver_stop(mon->machine);
        mon_printf(mon, "Disabled gdbserver\n");
    } else if (gdbserver_start(mon->machine, device, &err)) {
        mon_printf(mon, "Waiting for gdb connection on device '%s'\n", device);
    } else {
        mon_printf(mon, "%s\n", err.msg);
    }
}

static void cmd_syntax(struct mon *mon, char *args)
{
    const char *word = mon_word(&args);
    const bool intel = word && strcmp(word, "intel") == 0;
    if (!word || (!intel && strcmp(word, "att") != 0)) {
        mon_printf(mon, "att or intel\n");
        return;
    }
    disas_destroy(mon->disas);
    mon->disas = NULL;
    mon->syntax = intel ? DISAS_INTEL : DISAS_ATT;
}

static const struct mon_command commands[] = {
    {"change", NULL, "[-f] DRIVE FILE [FORMAT [retain|read-only|read-write]]",
     "put FILE into a CD-ROM or floppy drive", mon_cmd_change},
    {"cont", "c", "", "go on", cmd_cont},
    {"cpu", NULL, "N", "the CPU that info, x and p speak of", cmd_cpu},
    {"eject", NULL, "[-f] DRIVE", "take out what is in it; -f: though the guest locked it",
     mon_cmd_eject},
    {"gdbserver", NULL, "[DEVICE|none]", "let gdb connect, on tcp::1234 if not told otherwise",
     cmd_gdbserver},
    {"help", "?", "[COMMAND]", "what there is", cmd_help},
    {"i", NULL, "/FMT PORT", "read a port", mon_cmd_in},
    {"info", NULL, "[WORD]", "show what the word names; without it, the words", mon_cmd_info},
    {"log", NULL, "[ITEM,...|none]", "what is logged, as -d", cmd_log},
    {"memsave", NULL, "ADDRESS SIZE FILE", "linear memory to a file", mon_cmd_memsave},
    {"mouse_button", NULL, "BUTTONS",
     "the mouse buttons that are down: 1 left + 2 middle + 4 right", mon_cmd_mouse_button},
    {"mouse_move", NULL, "DX DY [DZ]", "move the mouse; DZ turns its wheel", mon_cmd_mouse_move},
    {"nmi", NULL, "", "press the NMI button: LINT1 of every CPU", cmd_nmi},
    {"o", NULL, "/FMT PORT VALUE", "write a port", mon_cmd_out},
    {"pmemsave", NULL, "ADDRESS SIZE FILE", "physical memory to a file", mon_cmd_pmemsave},
    {"print", "p", "/FMT EXPRESSION", "the value of an expression, $rip and such included",
     mon_cmd_print},
    {"quit", "q", "", "end Vitrine", cmd_quit},
    {"screendump", NULL, "FILE [-f png|ppm]", "the screen to FILE, as its name says, or PPM",
     cmd_screendump},
    {"sendkey", NULL, "KEY-KEY-... [MS]",
     "press the keys together, for 100 ms; by name, or 0x and scan code", mon_cmd_sendkey},
    {"stop", "s", "", "hold the machine", cmd_stop},
    {"sum", NULL, "ADDRESS SIZE", "checksum of physical memory", mon_cmd_sum},
    {"syntax", NULL, "att|intel", "how x/i writes instructions", cmd_syntax},
    {"system_powerdown", NULL, "", "press the power button", cmd_powerdown},
    {"system_reset", NULL, "", "press the reset button", cmd_reset},
    {"x", NULL, "/FMT ADDRESS", "linear memory; FMT is a count, one of xduoci, one of bhwg",
     mon_cmd_x},
    {"xp", NULL, "/FMT ADDRESS", "physical memory", mon_cmd_xp},
};

const struct mon_command *mon_commands(size_t *count)
{
    *count = ARRAY_SIZE(commands);
    return commands;
}

static void help_row(struct mon *mon, const char *before, const struct mon_command *c)
{
    mon_printf(mon, "%s%s%s%s%s%s -- %s\n", before, c->name, c->alias ? "|" : "",
               c->alias ? c->alias : "", *c->args ? " " : "", c->args, c->help);
}

static bool is_named(const struct mon_command *c, const char *name)
{
    return strcmp(c->name, name) == 0 || (c->alias && strcmp(c->alias, name) == 0);
}

static void cmd_help(struct mon *mon, char *args)
{
    const char *name = mon_word(&args);
    const bool info = name && strcmp(name, "info") == 0;
    size_t count = ARRAY_SIZE(commands);
    const struct mon_command *table = info ? mon_info_commands(&count) : commands;
    bool found = info || !name;
    for (size_t i = 0; i < count; i++) {
        if (info || !name || is_named(&table[i], name)) {
            help_row(mon, info ? "info " : "", &table[i]);
            found = true;
        }
    }
    if (!found)
        mon_printf(mon, "unknown command: '%s'\n", name);
}

/* --- running them --- */

void mon_init(struct mon *mon, struct machine *m, void (*write)(void *, const char *, size_t),
              void *opaque)
{
    *mon = (struct mon){
        .machine = m,
        .write = write,
        .opaque = opaque,
        .format = 'x',
        .unit = 4,
    };
}

void mon_release(struct mon *mon)
{
    mon_keys_release(mon);
    disas_destroy(mon->disas);
    mon->disas = NULL;
}

/* QEMU's commands that have no counterpart, "info" among them, in groups "a|b|c". */
static const struct lack {
    const char *names, *words;
} lacks[] = {
    {"savevm|loadvm|delvm|info snapshots|snapshot_blkdev|snapshot_blkdev_internal|"
     "snapshot_delete_blkdev_internal",
     "there are no saved states yet"},
    {"migrate|migrate_cancel|migrate_continue|migrate_incoming|migrate_pause|migrate_recover|"
     "migrate_set_capability|migrate_set_parameter|migrate_start_postcopy|info migrate|"
     "info migrate_capabilities|info migrate_parameters",
     "there is no migration"},
    {"device_add|device_del|drive_add|drive_del|object_add|object_del|chardev-add|chardev-change|"
     "chardev-remove|cpu_add",
     "the machine is put together on the command line; what is in a drive changes by change, "
     "eject"},
    {"commit", "what -snapshot kept apart is forgotten at the end"},
    {"block_resize|block_stream|block_set_io_throttle|block_job_cancel|block_job_complete|"
     "block_job_pause|block_job_resume|drive_backup|drive_mirror|nbd_server_add|nbd_server_start|"
     "nbd_server_stop|qemu-io|info block-jobs|info blockstats",
     "images are read and written as they are"},
    {"netdev_add|netdev_del|set_link|hostfwd_add|hostfwd_remove|announce_self|info network|"
     "info usernet",
     "there is no network card yet"},
    {"info usb|info usbhost", "there is no USB yet"},
    {"balloon|info balloon", "there is no balloon"},
    {"watchdog_action", "there is no watchdog"},
    {"info kvm", "there is no KVM: Vitrine computes everything itself"},
    {"set_password|expire_password|client_migrate_info|info vnc|info spice",
     "there is no VNC or SPICE"},
    {"wavcapture|stopcapture|info capture", "-audiodev wav keeps the sound"},
    {"logfile", "-D says where the log goes"},
    {"trace-event|trace-file|info trace-events", "there are no trace points yet; see log"},
    {"dump-guest-memory|info dump", "pmemsave writes guest memory to a file"},
    {"gva2gpa|gpa2hva|gpa2hpa", "info mem and info tlb show what is mapped where"},
    {"boot_set", "-boot says from what to boot"},
    {"system_wakeup", "the board does not sleep"},
    {"qom-list|qom-get|qom-set|info qom-tree|info qdm", "info qtree and info device show them"},
    {"info irq|info mice|info roms|info ramblock|info numa|info tpm|info sev|info sgx|info history|"
     "info opcount|info profile|info hotpluggable-cpus|info memdev|info memory-devices|"
     "info memory_size_summary|info iothreads|info virtio|mce|mouse_set|singlestep|"
     "one-insn-per-tb|ringbuf_read|ringbuf_write|replay_break|replay_seek|sync-profile",
     "see help"},
};

bool mon_lacking(struct mon *mon, const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(lacks); i++) {
        if (word_one_of(lacks[i].names, name)) {
            mon_printf(mon, "Vitrine has no '%s': %s\n", name, lacks[i].words);
            return true;
        }
    }
    return false;
}

static void unknown(struct mon *mon, const char *name)
{
    const char *near = word_nearest(name, commands, sizeof *commands, ARRAY_SIZE(commands));
    if (mon_lacking(mon, name))
        return;
    if (near && strlen(name) > 2)
        mon_printf(mon, "unknown command: '%s', did you mean '%s'?\n", name, near);
    else
        mon_printf(mon, "unknown command: '%s'\n", name);
}

/* "x/4i" is "x /4i". */
static size_t name_length(const char *s)
{
    return strcspn(s, " \t/");
}

void mon_execute(struct mon *mon, const char *line)
{
    while (isspace((unsigned char)*line))
        line++;
    if (!*line || *line == '#')
        return;
    char *copy = strdup(line);
    if (!copy) {
        mon_printf(mon, "out of memory\n");
        return;
    }
    char name[64];
    size_t n = name_length(copy);
    snprintf(name, sizeof name, "%.*s", (int)n, copy);
    for (size_t i = 0; i <= ARRAY_SIZE(commands); i++) {
        if (i == ARRAY_SIZE(commands)) {
            unknown(mon, name);
        } else if (is_named(&commands[i], name)) {
            commands[i].run(mon, copy + n);
            break;
        }
    }
    free(copy);
}
