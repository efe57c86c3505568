/* See cli.h. The options that carry keys are in cli_keys.c. */
#include "cli.h"

#include "cli_keys.h"
#include "core/words.h"
#include <stdio.h>
#include <stdlib.h>

enum option_kind {
    OPT_HEAD, /* a heading of -h */
    OPT_FLAG, /* bool at offset becomes true */
    OPT_STR,  /* char * at offset */
    OPT_DISK, /* a disk; offset is its IDE place */
    OPT_CD,   /* likewise */
    OPT_FLOPPY,
    OPT_CALL,
    OPT_TRUE, /* describes what holds here anyway: taken silently */
    OPT_HINT, /* taken with the word in text */
    OPT_ONLY, /* one of the words in text */
    OPT_LACK, /* refused: text says what there is instead */
};

struct option {
    const char *name; /* without its dash; first, for word_nearest */
    enum option_kind kind;
    const char *arg; /* what -h calls the argument; NULL = none */
    size_t offset;
    const char *text;
    bool (*call)(struct cli_parse *p, const char *arg);
};

#define TO(field) offsetof(struct vm_config, field)

static bool take_cpu(struct cli_parse *p, const char *arg)
{
    if (strncmp(arg, "host", 4) == 0 && (!arg[4] || arg[4] == ','))
        return cli_fail(p, "host needs KVM, Vitrine has a CPU of its own; use max");
    return word_set(&p->cfg->cpu, arg, p->err);
}

static bool take_serial(struct cli_parse *p, const char *arg)
{
    struct vm_config *cfg = p->cfg;
    if (cfg->serials == CONFIG_MAX_SERIAL)
        return cli_fail(p, "there are %d serial ports at most", CONFIG_MAX_SERIAL);
    p->serial_given = true;
    unsigned n = cfg->serials++;
    if (strcmp(arg, "none") == 0)
        return true;
    if (strncmp(arg, "mon:", 4) == 0) {
        p->monitor_given = true;
        if (cfg->mux_monitor)
            return cli_fail(p, "one mon: is enough");
        if (!word_set(&cfg->mux_monitor, arg, p->err))
            return false;
    }
    return word_set(&cfg->serial[n], arg, p->err);
}

static bool take_parallel(struct cli_parse *p, const char *arg)
{
    if (p->parallel_given)
        return cli_fail(p, "there is one parallel port");
    p->parallel_given = true;
    return strcmp(arg, "none") == 0 || word_set(&p->cfg->parallel, arg, p->err);
}

static bool take_monitor(struct cli_parse *p, const char *arg)
{
    p->monitor_given = true;
    return strcmp(arg, "none") == 0 || cli_add_monitor(p, arg);
}

static bool take_debugcon(struct cli_parse *p, const char *arg)
{
    if (p->cfg->debugcon)
        return cli_fail(p, "there is one; -device isa-debugcon makes others");
    return strcmp(arg, "none") == 0 || word_set(&p->cfg->debugcon, arg, p->err);
}

/* The last one counts, as in QEMU. */
static bool take_gdb(struct cli_parse *p, const char *arg)
{
    free(p->cfg->gdb);
    p->cfg->gdb = NULL;
    return strcmp(arg, "none") == 0 || word_set(&p->cfg->gdb, arg, p->err);
}

static bool take_s(struct cli_parse *p, const char *arg)
{
    (void)arg;
    return take_gdb(p, "tcp::1234");
}

static bool take_nographic(struct cli_parse *p, const char *arg)
{
    (void)arg;
    p->cfg->nographic = p->display_given = true;
    p->cfg->display = SHOW_NOTHING;
    return true;
}

static bool take_sdl(struct cli_parse *p, const char *arg)
{
    (void)arg;
    return cli_display(p, "sdl");
}

static bool take_vga(struct cli_parse *p, const char *arg)
{
    if (strcmp(arg, "std") != 0 && strcmp(arg, "none") != 0)
        return cli_fail(p, "%s: there are std and none", arg);
    return word_set(&p->cfg->vga, arg, p->err);
}

static bool take_nodefaults(struct cli_parse *p, const char *arg)
{
    (void)arg;
    p->nodefaults = true;
    return true;
}

static bool take_kvm(struct cli_parse *p, const char *arg)
{
    (void)arg;
    return cli_accel(p, "kvm");
}

static bool take_log(struct cli_parse *p, const char *arg)
{
    if (!*arg)
        return cli_fail(p, "which items? see -d help");
    if (!config_log_mask(arg, &p->cfg->log_mask, p->err))
        return error_prefix(p->err, "-d");
    return true;
}

static bool take_dir(struct cli_parse *p, const char *arg)
{
    if (p->cfg->data_dirs == CONFIG_MAX_DIRS)
        return cli_fail(p, "more than %d directories", CONFIG_MAX_DIRS);
    return word_set(&p->cfg->data_dir[p->cfg->data_dirs++], arg, p->err);
}

static bool take_seed(struct cli_parse *p, const char *arg)
{
    p->seed_given = true;
    return word_u64(arg, &p->cfg->seed) || cli_fail(p, "%s is not a number", arg);
}

static bool take_cpu_test(struct cli_parse *p, const char *arg)
{
    if (p->cfg->cpu_tests == CONFIG_MAX_CPU_TESTS)
        return cli_fail(p, "more than %d files", CONFIG_MAX_CPU_TESTS);
    p->display_given = true; /* there will be nothing to see */
    return word_set(&p->cfg->cpu_test[p->cfg->cpu_tests++], arg, p->err);
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

static bool take_uuid(struct cli_parse *p, const char *arg)
{
    const char *c = arg;
    for (unsigned i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *c++ != '-')
            return cli_fail(p, "%s is not like 01234567-89ab-cdef-0123-456789abcdef", arg);
        int high = hex_digit(*c), low = high < 0 ? -1 : hex_digit(c[1]);
        if (low < 0)
            return cli_fail(p, "%s is not like 01234567-89ab-cdef-0123-456789abcdef", arg);
        p->cfg->uuid[i] = (uint8_t)(high << 4 | low);
        c += 2;
    }
    p->cfg->uuid_set = true;
    return !*c || cli_fail(p, "%s is not like 01234567-89ab-cdef-0123-456789abcdef", arg);
}

static bool take_echr(struct cli_parse *p, const char *arg)
{
    uint64_t v;
    return (word_u64(arg, &v) && v == 1) || cli_fail(p, "the escape key is Ctrl-A (1)");
}

static const struct option options[] = {
    {NULL, OPT_HEAD, NULL, 0, "Machine", NULL},
    {"m", OPT_CALL, "SIZE", 0, "guest memory, 512M or 2G; a bare number counts MiB", cli_memory},
    {"smp", OPT_CALL, "N[,sockets=S][,cores=C][,threads=T]", 0,
     "virtual CPUs, 255 at most; maxcpus= only counts for the topology, none can be added later",
     cli_smp},
    {"cpu", OPT_CALL, "MODEL[,+flag][,-flag]", 0, "CPU model and its flags; -cpu help lists them",
     take_cpu},
    {"machine", OPT_CALL, "pc[,accel=E][,acpi=off]", 0, "the board: pc (i440FX/PIIX)", cli_machine},
    {"M", OPT_CALL, "pc", 0, "the same", cli_machine},
    {"accel", OPT_CALL, "interp|jit|tcg[,stats=on][,thread=single]", 0,
     "the engine; tcg is a name for the fastest; stats=on prints what was counted; thread=single "
     "has CPUs take turns",
     cli_accel},
    {"boot", OPT_CALL, "[order=]adc[,once=d][,menu=on][,strict=on]", 0,
     "what to boot, a floppy, c disk, d CD-ROM; once= till the first reset; splash-time= and "
     "reboot-timeout= in ms",
     cli_boot},
    {"bios", OPT_STR, "FILE", TO(bios), "the firmware image", NULL},
    {"L", OPT_CALL, "DIR", 0, "look for firmware files here first", take_dir},
    {"rtc", OPT_CALL, "[base=]utc|localtime|DATE", 0, "what the clock says at power-on", cli_rtc},
    {"icount", OPT_CALL, "[shift=]N[,sleep=on]", 0,
     "deterministic: an instruction takes 2^N ns of guest time", cli_icount},
    {"seed", OPT_CALL, "N", 0, "where the random numbers of a deterministic run start", take_seed},
    {"uuid", OPT_CALL, "UUID", 0, "the machine's UUID", take_uuid},
    {"fw_cfg", OPT_CALL, "[name=]N,file=F|string=S", 0, "a file for the firmware and the guest",
     cli_fw_cfg},
    {"no-acpi", OPT_FLAG, NULL, TO(no_acpi), "no ACPI tables", NULL},
    {"no-hpet", OPT_FLAG, NULL, TO(no_hpet), "no high precision event timers (HPET)", NULL},
    {"name", OPT_CALL, "[guest=]N[,process=P][,debug-threads=on]", 0, "a name for the machine",
     cli_name},
    {"nodefaults", OPT_CALL, NULL, 0, "only the devices that are asked for", take_nodefaults},
    {"perfmap", OPT_FLAG, NULL, TO(jit_perfmap),
     "name translated code for perf, in /tmp/perf-PID.map", NULL},
    {"no-reboot", OPT_FLAG, NULL, TO(no_reboot), "end where the guest reboots", NULL},
    {"no-shutdown", OPT_FLAG, NULL, TO(no_shutdown), "stop where the guest powers off", NULL},
    {"action", OPT_CALL, "reboot=shutdown,shutdown=pause", 0, "the same in other words",
     cli_action},

    {NULL, OPT_HEAD, NULL, 0, "Disks", NULL},
    {"hda", OPT_DISK, "FILE", 0, "first disk; a bare FILE is the same", NULL},
    {"hdb", OPT_DISK, "FILE", 1, "second disk", NULL},
    {"hdc", OPT_DISK, "FILE", 2, "third disk", NULL},
    {"hdd", OPT_DISK, "FILE", 3, "fourth disk", NULL},
    {"cdrom", OPT_CD, "FILE", 2, "a disc in the CD-ROM drive, an ISO image; it is hdc", NULL},
    {"fda", OPT_FLOPPY, "FILE", 0, "a disk in the first floppy drive", NULL},
    {"fdb", OPT_FLOPPY, "FILE", 1, "in the second", NULL},
    {"drive", OPT_CALL, "[file=F][,format=raw][,if=ide|floppy|none]", 0,
     "a drive; also media=disk|cdrom, index=, id=, snapshot=on, readonly=on; \",,\" is a comma",
     cli_drive},
    {"no-fd-bootchk", OPT_FLAG, NULL, TO(no_fd_bootchk), "boot floppy disks without AA55h, too",
     NULL},
    {"snapshot", OPT_FLAG, NULL, TO(snapshot), "forget at the end what guests wrote to the disks",
     NULL},

    {NULL, OPT_HEAD, NULL, 0, "A kernel without a boot loader", NULL},
    {"kernel", OPT_STR, "FILE", TO(kernel),
     "a bzImage, a multiboot kernel, or an ELF file with a PVH note (vmlinux)", NULL},
    {"initrd", OPT_STR, "FILE", TO(initrd),
     "its initial RAM disk; a multiboot kernel's modules: \"FILE ARGS,FILE ARGS\"", NULL},
    {"append", OPT_STR, "WORDS", TO(append), "its command line", NULL},

    {NULL, OPT_HEAD, NULL, 0, "Consoles and devices", NULL},
    {"nographic", OPT_CALL, NULL, 0,
     "serial port and monitor in this terminal: Ctrl-A c changes over, Ctrl-A x ends, Ctrl-A h "
     "helps; the guest's screen is in the monitor's info screen",
     take_nographic},
    {"display", OPT_CALL, "sdl[,full-screen=on]|none", 0,
     "a window, as without this option on a desktop, or none; also grab-mod=, window-close=off",
     cli_display},
    {"full-screen", OPT_FLAG, NULL, TO(window.full_screen), "the window fills the screen", NULL},
    {"audiodev", OPT_CALL, "sdl|wav|none,id=ID[,path=F]", 0,
     "where sound goes, with -machine pcspk-audiodev=ID; also out.frequency=", cli_audiodev},
    {"vga", OPT_CALL, "std|none", 0, "the video card", take_vga},
    {"serial", OPT_CALL, "DEV", 0,
     "stdio, mon:stdio, file:F, append:F, null, none, pty, tcp:HOST:PORT, telnet:HOST:PORT, "
     "unix:PATH[,server=on,wait=off], chardev:ID",
     take_serial},
    {"parallel", OPT_CALL, "DEV", 0,
     "a printer port, what is printed goes to DEV, as -serial; none", take_parallel},
    {"monitor", OPT_CALL, "DEV", 0, "where the monitor listens, as -serial", take_monitor},
    {"debugcon", OPT_CALL, "DEV", 0, "where bytes written to ports E9h and 402h go", take_debugcon},
    {"chardev", OPT_CALL, "BACKEND,id=ID[,...]", 0,
     "a back-end to be named chardev:ID; stdio, null, pty, file, socket; mux=on to share it",
     cli_chardev},
    {"mon", OPT_CALL, "[chardev=]ID", 0, "the monitor on a -chardev", cli_mon},
    {"device", OPT_CALL, "NAME[,key=value]", 0, "a further device; -device help lists them",
     cli_device},
    {"global", OPT_CALL, "isa-debugcon.iobase=PORT|VGA.romfile=FILE", 0,
     "a further port of the debug console; another VGA BIOS", cli_global},

    {NULL, OPT_HEAD, NULL, 0, "Debugging", NULL},
    {"d", OPT_CALL, "ITEM,...", 0,
     "log int, cpu_reset, guest_errors, unimp, in_asm, out_asm, exec, post", take_log},
    {"D", OPT_STR, "FILE", TO(log_file), "log to FILE, not to the terminal", NULL},
    {"S", OPT_FLAG, NULL, TO(start_paused), "wait for \"cont\" in the monitor or gdb", NULL},
    {"gdb", OPT_CALL, "tcp::PORT|unix:PATH", 0, "where gdb may connect", take_gdb},
    {"s", OPT_CALL, NULL, 0, "-gdb tcp::1234", take_s},
    {"cpu-test", OPT_CALL, "FILE", 0,
     "run the single-instruction tests of FILE (docs/cpu-test.md) and no machine; may be repeated",
     take_cpu_test},
    {"pidfile", OPT_STR, "FILE", TO(pidfile), "write the process number to FILE", NULL},

    {NULL, OPT_HEAD, NULL, 0, "Taken for QEMU's sake", NULL},
    {"sdl", OPT_CALL, NULL, 0, NULL, take_sdl},
    {"no-user-config", OPT_TRUE, NULL, 0, NULL, NULL},
    {"nic", OPT_ONLY, "none", 0, "none", NULL},
    {"net", OPT_ONLY, "none", 0, "none", NULL},
    {"audio", OPT_ONLY, "none", 0, "none", NULL},
    {"vnc", OPT_ONLY, "none", 0, "none", NULL},
    {"qmp", OPT_ONLY, "none", 0, "none", NULL},
    {"sandbox", OPT_ONLY, "off", 0, "off", NULL},
    {"echr", OPT_CALL, "1", 0, NULL, take_echr},
    {"k", OPT_HINT, "LAYOUT", 0, "keys come to the guest as the monitor's sendkey names them",
     NULL},
    {"msg", OPT_CALL, "WORDS", 0, NULL, cli_msg},
    {"mem-prealloc", OPT_HINT, NULL, 0, "guest memory is taken as it is touched", NULL},
    {"overcommit", OPT_CALL, "WORDS", 0, NULL, cli_overcommit},
    {"singlestep", OPT_HINT, NULL, 0, "the interpreter steps as it is", NULL},
    {"compat", OPT_HINT, "WORDS", 0, "there are no interfaces to choose from", NULL},
    {"win2k-hack", OPT_HINT, NULL, 0, "the disks need no such delay", NULL},

    {NULL, OPT_HEAD, NULL, 0, "Not there (each says so, and what there is)", NULL},
    {"enable-kvm", OPT_CALL, NULL, 0, NULL, take_kvm},
    {"sd", OPT_LACK, "FILE", 0, "there is no SD card", NULL},
    {"mtdblock", OPT_LACK, "FILE", 0, "there is no flash", NULL},
    {"pflash", OPT_LACK, "FILE", 0, "there is no flash yet; -bios takes a ROM image", NULL},
    {"blockdev", OPT_LACK, "WORDS", 0, "use -drive", NULL},
    {"netdev", OPT_LACK, "WORDS", 0, "there is no network card yet", NULL},
    {"object", OPT_LACK, "WORDS", 0, "there are no such objects", NULL},
    {"usb", OPT_LACK, NULL, 0, "there is no USB yet", NULL},
    {"usbdevice", OPT_LACK, "NAME", 0, "there is no USB yet", NULL},
    {"soundhw", OPT_LACK, "NAME", 0, "there is no sound card yet, only the PC speaker", NULL},
    {"curses", OPT_LACK, NULL, 0, "there is no text window yet; use -nographic", NULL},
    {"g", OPT_LACK, "SIZE", 0, "the guest chooses its resolution", NULL},
    {"spice", OPT_LACK, "WORDS", 0, "there is no SPICE", NULL},
    {"qmp-pretty", OPT_LACK, "DEV", 0, "there is no QMP yet; use -monitor", NULL},
    {"smbios", OPT_LACK, "WORDS", 0, "the tables are the board's own; -uuid sets the UUID", NULL},
    {"acpitable", OPT_LACK, "WORDS", 0, "the tables are the board's own", NULL},
    {"option-rom", OPT_LACK, "FILE", 0, "only the video card has an option ROM", NULL},
    {"dtb", OPT_LACK, "FILE", 0, "a PC has no device tree", NULL},
    {"numa", OPT_LACK, "WORDS", 0, "there is one node", NULL},
    {"mem-path", OPT_LACK, "PATH", 0, "guest memory is Vitrine's own", NULL},
    {"loadvm", OPT_LACK, "NAME", 0, "there are no saved states yet", NULL},
    {"incoming", OPT_LACK, "WORDS", 0, "there is no migration", NULL},
    {"only-migratable", OPT_LACK, NULL, 0, "there is no migration", NULL},
    {"readconfig", OPT_LACK, "FILE", 0, "there are no configuration files yet", NULL},
    {"writeconfig", OPT_LACK, "FILE", 0, "there are no configuration files yet", NULL},
    {"daemonize", OPT_LACK, NULL, 0, "start it with & or setsid", NULL},
    {"runas", OPT_LACK, "USER", 0, "start it as that user", NULL},
    {"chroot", OPT_LACK, "DIR", 0, "start it there", NULL},
    {"plugin", OPT_LACK, "WORDS", 0, "there are no plug-ins", NULL},
    {"trace", OPT_LACK, "WORDS", 0, "there are no trace points yet; see -d help", NULL},
    {"dfilter", OPT_LACK, "RANGE", 0, "what -d logs cannot be narrowed yet", NULL},
    {"tpmdev", OPT_LACK, "WORDS", 0, "there is no TPM yet", NULL},
    {"virtfs", OPT_LACK, "WORDS", 0, "no directories can be shared yet", NULL},
    {"fsdev", OPT_LACK, "WORDS", 0, "no directories can be shared yet", NULL},
    {"watchdog", OPT_LACK, "MODEL", 0, "there is no watchdog", NULL},
    {"watchdog-action", OPT_LACK, "ACTION", 0, "there is no watchdog", NULL},
    {"balloon", OPT_LACK, "WORDS", 0, "there is no balloon", NULL},
    {"iscsi", OPT_LACK, "WORDS", 0, "there is no iSCSI", NULL},
    {"preconfig", OPT_LACK, NULL, 0, "there is no QMP yet", NULL},
    {"set", OPT_LACK, "WORDS", 0, "give the key where it belongs", NULL},
    {"add-fd", OPT_LACK, "WORDS", 0, "files are opened by name", NULL},

    {NULL, OPT_HEAD, NULL, 0, "Words", NULL},
    {"h", OPT_TRUE, NULL, 0, "this help", NULL},
    {"version", OPT_TRUE, NULL, 0, "which Vitrine this is", NULL},
};

static const struct option *find_option(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(options); i++) {
        if (options[i].name && strcmp(options[i].name, name) == 0)
            return &options[i];
    }
    return NULL;
}

/* --- help --- */

/* An option and what it does; its words go below it when the option is long. */
static void help_line(const struct cli_io *io, const struct option *o)
{
    char head[128], line[512];
    snprintf(head, sizeof head, "  -%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
    if (strlen(head) < 28) {
        snprintf(line, sizeof line, "%-28s%s", head, o->text);
        io->out(io->opaque, line);
        return;
    }
    io->out(io->opaque, head);
    snprintf(line, sizeof line, "%-28s%s", "", o->text);
    io->out(io->opaque, line);
}

/* Names only, several to a line. */
static void help_names(const struct cli_io *io, const struct option *from)
{
    char line[128] = "";
    size_t len = 0;
    for (const struct option *o = from; o->name; o++) {
        if (len + strlen(o->name) + 8 > 78) {
            io->out(io->opaque, line);
            len = 0;
        }
        len += (size_t)snprintf(line + len, sizeof line - len, "%s-%s", len ? " " : "  ", o->name);
        if (o->kind == OPT_ONLY)
            len += (size_t)snprintf(line + len, sizeof line - len, " %s", o->arg);
    }
    io->out(io->opaque, line);
}

static bool names_only(const struct option *o)
{
    return o->kind == OPT_LACK || o->kind == OPT_HINT || o->kind == OPT_ONLY || !o->text;
}

static void help(const struct cli_io *io, const char *program)
{
    char line[256];
    snprintf(line, sizeof line, "usage: %s [options] [DISK]", program);
    io->out(io->opaque, line);
    io->out(io->opaque,
            "A PC in software: boots the disk image DISK, in a window or in this terminal. Options "
            "are QEMU's.");
    io->out(io->opaque, "Keys of an option: -drive help, -accel jit,help and so on.");
    for (unsigned i = 0; i < ARRAY_SIZE(options); i++) {
        if (options[i].kind != OPT_HEAD) {
            help_line(io, &options[i]);
            continue;
        }
        io->out(io->opaque, "");
        snprintf(line, sizeof line, "%s:", options[i].text);
        io->out(io->opaque, line);
        if (!names_only(&options[i + 1]))
            continue;
        help_names(io, &options[i + 1]);
        while (options[i + 1].name)
            i++;
    }
}

static void log_help(const struct cli_io *io)
{
    char line[128];
    for (const struct config_log_item *item = config_log_items; item->name; item++) {
        snprintf(line, sizeof line, "%-16s %s", item->name, item->help);
        io->out(io->opaque, line);
    }
}

static bool is_help(const char *arg)
{
    return strcmp(arg, "help") == 0 || strcmp(arg, "?") == 0;
}

/* "-cpu help" and its like. False: o has no list. */
static bool help_on(const struct cli_io *io, const struct option *o)
{
    if (strcmp(o->name, "cpu") == 0 && io->cpu_help)
        io->cpu_help(io->out, io->opaque);
    else if (strcmp(o->name, "machine") == 0 || strcmp(o->name, "M") == 0)
        io->out(io->opaque, "pc               i440FX and PIIX (the default)");
    else if (strcmp(o->name, "accel") == 0)
        io->out(io->opaque, "interp, jit, tcg (the fastest that this host can do: jit or interp)");
    else if (strcmp(o->name, "vga") == 0)
        io->out(io->opaque, "std, none");
    else if (strcmp(o->name, "display") == 0)
        io->out(io->opaque, "sdl, none");
    else if (strcmp(o->name, "audiodev") == 0)
        io->out(io->opaque, "none, sdl, wav");
    else if (strcmp(o->name, "chardev") == 0)
        cli_chardev_help(io->out, io->opaque);
    else if (strcmp(o->name, "device") == 0)
        cli_device_help(io->out, io->opaque);
    else if (strcmp(o->name, "d") == 0)
        log_help(io);
    else
        return false;
    return true;
}

/* --- parsing --- */

static bool take(struct cli_parse *p, const struct option *o, const char *arg)
{
    void *slot = (char *)p->cfg + o->offset;
    switch (o->kind) {
    case OPT_FLAG:
        *(bool *)slot = true;
        return true;
    case OPT_STR:
        return word_set(slot, arg, p->err);
    case OPT_DISK:
        return cli_add_drive(p, arg, DRIVE_IDE, (int)o->offset, false);
    case OPT_CD:
        return cli_add_drive(p, arg, DRIVE_IDE, (int)o->offset, true);
    case OPT_FLOPPY:
        return cli_add_drive(p, arg, DRIVE_FLOPPY, (int)o->offset, false);
    case OPT_CALL:
        return o->call(p, arg);
    case OPT_TRUE:
        return true;
    case OPT_HINT:
        cli_note(p, "taken as a hint: %s", o->text);
        return true;
    case OPT_ONLY:
        for (const char *w = o->text; *w; w += strcspn(w, "|"), w += *w == '|') {
            if (strlen(arg) == strcspn(w, "|") && strncmp(arg, w, strlen(arg)) == 0)
                return true;
        }
        return cli_fail(p, "%s: not there yet, only %s", arg, o->text);
    case OPT_LACK:
        return cli_fail(p, "%s", o->text);
    case OPT_HEAD:
        break;
    }
    return false;
}

/* Only rows with names are candidates, so that headings need no special case in word_nearest. */
static const char *nearest_option(const char *name)
{
    const char *names[ARRAY_SIZE(options)];
    size_t n = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(options); i++) {
        if (options[i].name && options[i].kind != OPT_LACK && strlen(options[i].name) > 1)
            names[n++] = options[i].name;
    }
    return word_nearest(name, names, sizeof *names, n);
}

static bool unknown_option(struct error *err, const char *name)
{
    const char *near = nearest_option(name);
    if (near)
        return error_set(err, "unknown option \"-%s\", did you mean \"-%s\"?", name, near);
    return error_set(err, "unknown option \"-%s\"; -h lists them", name);
}

/* A -chardev with mux=on that a serial port and a monitor have is theirs together. */
static void join_mux(struct vm_config *cfg)
{
    for (unsigned k = 0; k < cfg->serials && !cfg->mux_monitor; k++) {
        for (unsigned i = 0; i < cfg->monitors; i++) {
            if (!cfg->serial[k] || strncmp(cfg->serial[k], "mon:", 4) != 0 ||
                strcmp(cfg->serial[k], cfg->monitor[i]) != 0)
                continue;
            cfg->mux_monitor = cfg->monitor[i];
            cfg->monitors--;
            memmove(&cfg->monitor[i], &cfg->monitor[i + 1],
                    (cfg->monitors - i) * sizeof cfg->monitor[0]);
            break;
        }
    }
}

static bool resolve_chardevs(struct cli_parse *p)
{
    struct vm_config *cfg = p->cfg;
    bool ok = cli_resolve_chardev(p, CHARDEV_OTHER, &cfg->debugcon) &&
              cli_resolve_chardev(p, CHARDEV_OTHER, &cfg->gdb) &&
              cli_resolve_chardev(p, CHARDEV_OTHER, &cfg->parallel);
    for (unsigned i = 0; ok && i < cfg->consoles; i++)
        ok = cli_resolve_chardev(p, CHARDEV_OTHER, &cfg->console[i].spec);
    for (unsigned i = 0; ok && i < cfg->serials; i++)
        ok = cli_resolve_chardev(p, CHARDEV_SERIAL, &cfg->serial[i]);
    for (unsigned i = 0; ok && i < cfg->monitors; i++)
        ok = cli_resolve_chardev(p, CHARDEV_MONITOR, &cfg->monitor[i]);
    unsigned shared = 0;
    for (unsigned i = 0; i < cfg->serials; i++)
        shared += cfg->serial[i] && strncmp(cfg->serial[i], "mon:", 4) == 0;
    if (ok && shared > 1)
        return error_set(p->err, "one serial port can share what it is on with a monitor (mon: or "
                                 "mux=on), not two");
    if (ok)
        join_mux(cfg);
    return ok && cli_chardevs_done(p);
}

static bool share_terminal(struct cli_parse *p)
{
    struct vm_config *cfg = p->cfg;
    cfg->serials = 1;
    return word_set(&cfg->serial[0], "mon:stdio", p->err) &&
           word_set(&cfg->mux_monitor, "mon:stdio", p->err);
}

static bool is_stdio(const char *spec)
{
    return spec && (strcmp(spec, "stdio") == 0 || strcmp(spec, "mon:stdio") == 0);
}

static bool stdio_taken(const struct vm_config *cfg)
{
    for (unsigned i = 0; i < cfg->serials; i++) {
        if (is_stdio(cfg->serial[i]))
            return true;
    }
    for (unsigned i = 0; i < cfg->consoles; i++) {
        if (is_stdio(cfg->console[i].spec))
            return true;
    }
    for (unsigned i = 0; i < cfg->monitors; i++) {
        if (is_stdio(cfg->monitor[i]))
            return true;
    }
    return is_stdio(cfg->parallel) || is_stdio(cfg->debugcon) || is_stdio(cfg->gdb);
}

/* A window when nobody said and there can be one. Without, -nographic's terminal is the screen. */
static bool choose_display(struct cli_parse *p, const struct cli_io *io)
{
    struct vm_config *cfg = p->cfg;
    struct error why = {0};
    if (!p->display_given && strcmp(cfg->vga, "none") != 0 && io->window_possible) {
        p->display_given = io->window_possible(&why);
        cfg->display = p->display_given ? SHOW_SDL : SHOW_NOTHING;
        if (!p->display_given && !cfg->window.full_screen && io->note) {
            char line[400];
            snprintf(line, sizeof line, "no window, the guest's serial port is its screen: %.300s",
                     why.msg);
            io->note(io->opaque, line);
        }
    }
    if (cfg->window.full_screen && cfg->display == SHOW_NOTHING)
        return error_set(p->err, "-full-screen needs a window%s%s", *why.msg ? ": " : "", why.msg);
    return true;
}

/*
 * Where the first serial port and the monitor go when nobody said. -nographic is QEMU's: both in
 * this terminal. Without a word about display or consoles we do the same where there can be no
 * window; with one, or with -display none, the port is there and talks to nobody.
 */
static bool set_defaults(struct cli_parse *p, const struct cli_io *io)
{
    struct vm_config *cfg = p->cfg;
    if (!cfg->cpu && !word_set(&cfg->cpu, "max", p->err))
        return false;
    if (!cfg->machine && !word_set(&cfg->machine, "pc", p->err))
        return false;
    if (!cfg->vga && !word_set(&cfg->vga, p->nodefaults ? "none" : "std", p->err))
        return false;
    if (!choose_display(p, io))
        return false;
    cfg->default_cdrom = !p->nodefaults && !p->cdrom_given;
    cfg->default_floppy = !p->nodefaults && !p->floppy_given;
    if (p->nodefaults)
        return true;
    if (!p->parallel_given && !word_set(&cfg->parallel, "null", p->err))
        return false;
    bool terminal = cfg->nographic || !p->display_given;
    terminal = terminal && !stdio_taken(cfg);
    if (terminal && !p->serial_given && !p->monitor_given)
        return share_terminal(p);
    if (!p->serial_given) {
        cfg->serials = 1;
        return word_set(&cfg->serial[0], terminal ? "stdio" : "null", p->err);
    }
    if (terminal && !p->monitor_given && cfg->nographic)
        return cli_add_monitor(p, "stdio");
    return true;
}

static void note_for_machine(struct cli_parse *p)
{
    if (!*p->for_machine)
        snprintf(p->for_machine, sizeof p->for_machine, "%s", p->option);
}

static bool take_argument(struct cli_parse *p, const struct cli_io *io, const char *word,
                          const char *next, bool *used_next, bool *done)
{
    *used_next = *done = false;
    if (*word != '-') {
        snprintf(p->option, sizeof p->option, "a disk");
        note_for_machine(p);
        return cli_add_drive(p, word, DRIVE_IDE, 0, false);
    }
    const char *name = word + (word[1] == '-' ? 2 : 1);
    const struct option *o = find_option(name);
    if (!o)
        return unknown_option(p->err, name);
    snprintf(p->option, sizeof p->option, "-%s", o->name);
    if (o->arg && !next)
        return cli_fail(p, "an argument is missing: -%s %s", o->name, o->arg);
    *used_next = o->arg;
    if (o->arg && is_help(next) && help_on(io, o)) {
        *done = true;
        return true;
    }
    if (!word_one_of("cpu-test|cpu|m|display|nographic|nodefaults|no-user-config", o->name))
        note_for_machine(p);
    const bool ok = take(p, o, next);
    if (!p->helped)
        return ok;
    *p->err = (struct error){0}; /* that something is missing beside the "help" */
    *done = true;
    return true;
}

/* A sound nobody hears because one option is missing would be a riddle. */
static void note_unused_audio(struct cli_parse *p)
{
    snprintf(p->option, sizeof p->option, "-audiodev");
    for (unsigned i = 0; i < p->cfg->audios; i++) {
        const struct config_audio *a = &p->cfg->audio[i];
        if (a->driver != AUDIO_NONE && !p->cfg->pcspk_audio)
            cli_note(p, "nothing plays on %s; -machine pcspk-audiodev=%s lets the PC speaker",
                     a->id, a->id);
    }
}

/* What one option means depends on another. */
static bool check_together(struct cli_parse *p)
{
    if (p->cfg->cpu_tests && *p->for_machine)
        return error_set(p->err,
                         "-cpu-test runs no machine that %s would be for; -cpu and -m count there",
                         p->for_machine);
    if (p->seed_given && !p->cfg->icount)
        return error_set(p->err, "-seed does nothing without -icount shift=N");
    return cli_rtc_done(p);
}

static bool finish(struct cli_parse *p, const struct cli_io *io)
{
    note_unused_audio(p);
    return check_together(p) && cli_accel_done(p) && resolve_chardevs(p) && set_defaults(p, io) &&
           vm_config_check(p->cfg, p->err);
}

static void free_chardevs(struct cli_parse *p)
{
    for (unsigned i = 0; i < p->chardevs; i++) {
        free(p->chardev[i].id);
        free(p->chardev[i].spec);
    }
}

static bool is_word(const char *arg, const char *a, const char *b)
{
    const char *name = arg + (arg[0] == '-' && arg[1] == '-' ? 2 : 1);
    return arg[0] == '-' && (strcmp(name, a) == 0 || strcmp(name, b) == 0);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

enum cli_outcome cli_parse(struct vm_config *cfg, int argc, char *const *argv,
                           const struct cli_io *io, struct error *err)
{
    struct cli_parse p = {
        .cfg = cfg, .err = err, .note = io->note, .note_opaque = io->opaque, .out = io->out};
    bool ok = true, done = false;
    vm_config_init(cfg);
    cfg->version = io->version;
    for (int i = 1; ok && !done && i < argc; i++) {
        if (is_word(argv[i], "h", "help")) {
            help(io, argc ? base_name(argv[0]) : "vitrine");
            done = true;
        } else if (is_word(argv[i], "version", "v")) {
            char line[64];
            snprintf(line, sizeof line, "Vitrine %s", io->version ? io->version : "");
            io->out(io->opaque, line);
            done = true;
        } else {
            bool used_next;
            ok = take_argument(&p, io, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &used_next,
                               &done);
            i += used_next;
        }
    }
    if (ok && !done)
        ok = finish(&p, io);
    free_chardevs(&p);
    return !ok ? CLI_ERROR : done ? CLI_DONE : CLI_RUN;
}
