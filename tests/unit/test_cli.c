/* The command line: each row is what is typed and what must come of it. */
#include "cli.h"
#include "core/log.h"
#include "core/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* Splits at blanks; '' is an empty word, and '_' in a word stands for a blank. */
static int split(char *text, char **argv, int max)
{
    int argc = 0;
    argv[argc++] = "vitrine";
    for (char *w = strtok(text, " "); w && argc < max; w = strtok(NULL, " "))
        argv[argc++] = strcmp(w, "''") == 0 ? w + 2 : w;
    return argc;
}

struct said {
    char out[16384], note[2048];
};

static void add_out(void *opaque, const char *line)
{
    struct said *s = opaque;
    size_t n = strlen(s->out);
    snprintf(s->out + n, sizeof s->out - n, "%s\n", line);
}

static void add_note(void *opaque, const char *line)
{
    struct said *s = opaque;
    size_t n = strlen(s->note);
    snprintf(s->note + n, sizeof s->note - n, "%s\n", line);
}

static void list_cpus(void (*line)(void *, const char *), void *opaque)
{
    line(opaque, "max a CPU");
}

/* Is there one? Is it asked at all? */
static bool desktop, ask_desktop;

static bool window_possible(struct error *err)
{
    return desktop || error_set(err, "no desktop here");
}

static enum cli_outcome parse(const char *text, struct vm_config *cfg, struct said *said,
                              struct error *err)
{
    char copy[1024];
    char *argv[64];
    struct cli_io io = {add_out, add_note,  said,
                        "1.2.3", list_cpus, ask_desktop ? window_possible : NULL};
    *said = (struct said){0};
    *err = (struct error){0};
    snprintf(copy, sizeof copy, "%s", text);
    int argc = split(copy, argv, 64);
    return cli_parse(cfg, argc, argv, &io, err);
}

/* Refused, in one line that holds these words. */
static void test_refused(void **state)
{
    static const struct {
        const char *line, *words;
    } rows[] = {
        {"-snpshot", "unknown option \"-snpshot\", did you mean \"-snapshot\"?"},
        {"-nographics", "did you mean \"-nographic\"?"},
        {"-drvie file=a", "did you mean \"-drive\"?"},
        {"-xyzzyplugh", "unknown option \"-xyzzyplugh\"; -h lists them"},
        {"-", "unknown option \"-\""},
        {"-m", "-m: an argument is missing: -m SIZE"},
        {"-m abc", "-m: \"abc\" is not a size"},
        {"-m 12Q", "-m: \"12Q\" is not a size"},
        {"-m 99999999999999999999", "not a size"},
        {"-m 16777216T", "not a size"},
        {"-m 0", "too little"},
        {"-m 2T", "40 address bits"},
        {"-m 1G,maxmem=4G", "hot-plug"},
        {"-smp 0", "nothing can be 0 of"},
        {"-smp 2,cores=0", "nothing can be 0 of"},
        {"-smp 256", "256 is too many, a machine has at most 255 CPUs"},
        {"-smp 4294967296", "is not a number from 0"},
        {"-smp sockets=16,cores=16", "too many CPUs"},
        {"-smp 165,sockets=5,cores=33", "APIC IDs"},
        {"-smp 4,cores=3", "1 sockets of 3 cores of 1 threads are not 4 CPUs"},
        {"-smp 4,sockets=2,cores=2,threads=2", "are not 4 CPUs"},
        {"-accel interp,thread=many", "thread=many is neither multi nor single"},
        {"-accel interp,thread=multi -icount 0", "under -icount CPUs take turns on one thread"},
        {"-accel jit,thread=multi,verify=on", "under verify=on CPUs take turns on one thread"},
        {"-smp 4,maxcpus=2", "4 CPUs are more than the 2"},
        {"-smp 4,sockets=1,cores=1,threads=2,maxcpus=2",
         "4 CPUs are more than the 2 there is room for"},
        {"-smp 4,dies=2", "have no dies"},
        {"-smp 4,clusters=2", "have no clusters"},
        {"-smp 2,socket=2", "did you mean \"sockets\"?"},
        {"-smp x", "cpus=x is not a number"},
        {"-cpu host", "needs KVM"},
        {"-machine q35", "no q35 board yet"},
        {"-M pc,hpet=maybe", "hpet=maybe is neither on nor off"},
        {"-machine px", "unknown board \"px\""},
        {"-machine accel=kvm", "no KVM: it needs"},
        {"-accel kvm", "no KVM: it needs"},
        {"-enable-kvm", "no KVM: it needs"},
        {"-accel hvf", "no accelerator hvf"},
        {"-accel turbo", "unknown engine \"turbo\""},
        {"-accel interp,chain=off", "chain is for the translator"},
        {"-accel interp,events=off", "events is for the translator"},
        {"-accel interp,fill=off", "fill is for the translator"},
        {"-accel interp,share=off", "share is for the translator"},
        {"-accel interp,find=off", "find is for the translator"},
        {"-accel interp,stat=on", "unknown key \"stat\", did you mean \"stats\"?"},
        {"-accel interp,stats=maybe", "stats=maybe is neither on nor off"},
        {"-drive file=a,format=qcow2", "format=qcow2: only raw"},
        {"-drive file=a,fromat=raw", "unknown key \"fromat\", did you mean \"format\"?"},
        {"-drive file=a,if=virtio", "if=virtio: not there yet"},
        {"-drive file=a,if=ids", "if=ids: unknown interface"},
        {"-drive file=a,media=tape", "media=tape: there are disk and cdrom"},
        {"-drive file=a,media=cdrom,if=floppy", "which of the two?"},
        {"-drive format=raw", "file= is missing"},
        {"-drive file=a,if=floppy,index=2", "index=2, but there are floppy drives 0 and 1"},
        {"-drive file=a,if=floppy,unit=2", "floppy bus 0 with units 0 and 1"},
        {"-drive if=floppy -drive if=floppy -drive if=floppy", "an empty floppy drive: no place"},
        {"-fda a -fda b", "a and b are both to be fda"},
        {"-cdrom a -hdc b", "a and b are both to be hdc"},
        {"-drive media=cdrom,index=0 a", "an empty CD drive and a are both to be hda"},
        {"-device ide-cd,drive=y", "no -drive with id=y"},
        {"-device floppy,drive-type=160", "drive-type=160: there are auto, 120, 144 and 288"},
        {"-device floppy,unit=2", "an empty floppy drive: index=2, but there are floppy drives"},
        {"-drive if=none,id=x,file=f,media=cdrom -device floppy,drive=x",
         "-device floppy: drive x has media=cdrom"},
        {"-drive if=none,id=x -device ide-hd,drive=x", "drive x has no file="},
        {"-drive file=a,index=4", "index=4, but IDE has places 0 to 3"},
        {"-drive file=a,index=x", "index=x is not a number"},
        {"-drive file=a,index=1 -hdb b", "a and b are both to be hdb"},
        {"a b", "a and b are both to be hda"},
        {"-drive file=1 -drive file=2 -drive file=3 -drive file=4 -drive file=5",
         "5: no place left"},
        {"-drive file=a,id=x -drive file=b,id=x", "id=x is used twice"},
        {"-drive file=a,if=none,id=x -device ide-hd,drive=y", "no -drive with id=y"},
        {"-drive file=a,id=x -device ide-hd,drive=x", "in use already"},
        {"-drive file=a,if=none,id=x -device ide-hd,drive=x,bus=ide.2", "no bus ide.2"},
        {"-drive file=a,if=none,id=x -device ide-hd,drive=x,bus=ide.0,unit=2", "unit=2"},
        {"-device ide-hd", "drive= is missing"},
        {"-device virtio-blk-pci,drive=x", "there is no virtio-blk-pci here yet"},
        {"-device isa-debug-exti", "did you mean \"isa-debug-exit\"?"},
        {"-device isa-debug-exit,iobsae=1", "unknown key \"iobsae\", did you mean \"iobase\"?"},
        {"-device isa-debug-exit,iobase=zz", "iobase=zz is not a number"},
        {"-device isa-debug-exit,iobase=65536", "iobase=65536 is not a port number"},
        {"-device isa-debug-exit,iosize=0", "iosize=0 is not a number from 1 to 8"},
        {"-device pc-testdev,chardev=c", "pc-testdev: unknown key \"chardev\""},
        {"-device pc-testdev -device pc-testdev", "there is one pc-testdev"},
        {"-device testdev,chardev=c", "there is no testdev here yet"},
        {"-device isa-debugcon,iobase=0x80", "isa-debugcon: chardev= is missing"},
        {"-device isa-debugcon,iobase=65536,chardev=c", "iobase=65536 is not a port number"},
        {"-device isa-debugcon,chardev=c", "no -chardev with id=c"},
        {"-chardev stdio,id=c -device isa-debugcon,chardev=c -serial stdio",
         "-serial and -device isa-debugcon cannot both use stdio"},
        {"-cpu-test a -hda b", "-cpu-test runs no machine that -hda would be for"},
        {"-cpu-test a b", "-cpu-test runs no machine that a disk would be for"},
        {"-d int -cpu-test a", "-cpu-test runs no machine that -d would be for"},
        {"-cpu-test a -D log -s", "-cpu-test runs no machine that -D would be for"},
        {"-machine pc-i440fxgarbage", "unknown board \"pc-i440fxgarbage\""},
        {"-machine pc-i440fx-7.2x", "unknown board"},
        {"-machine pc-i440fx-", "unknown board"},
        {"-machine graphics=perhaps", "graphics=perhaps is neither on nor off"},
        {"-device VGA -device VGA", "there is one video card"},
        {"-icount sleep=on", "-icount: sleep=on needs shift=N"},
        {"-icount auto,sleep=on", "-icount: sleep=on needs shift=N"},
        {"-icount ''", "-icount: it needs shift=N"},
        {"-seed 3", "-seed does nothing without -icount"},
        {"-rtc clock=host -icount 0", "-rtc: clock=host: with -icount the date goes on"},
        {"-rtc clock=mine", "clock=mine: there are vm"},
        {"-rtc driftfix=more", "driftfix=more: there are none"},
        {"-boot reboot-timeout=-2", "reboot-timeout=-2 is not a number from 0 to 65535"},
        {"-boot splash-time=65536", "splash-time=65536 is not a number from 0 to 65535"},
        {"-global PIIX4_PM.disable_s3=0", "only isa-debugcon.iobase"},
        {"-msg time=on", "unknown key \"time\""},
        {"-overcommit mem-lock=maybe", "mem-lock=maybe is neither on nor off"},
        {"-hda ''", "-hda: the name of an image file is missing"},
        {"''", "the name of an image file is missing"},
        {"-d ''", "-d: which items?"},
        {"-display ''", "-display: which? there are sdl and none"},
        {"-hda a -hdb a", "a is given twice, as ide0-hd0 and as ide0-hd1, and written to"},
        {"-hda /etc/passwd -drive file=/etc/../etc/passwd,readonly=on", "is given twice"},
        {"-cpu-test a -kernel b", "-cpu-test runs no machine that -kernel would be for"},
        {"-machine q35", "there is no q35 board yet, use pc"},
        {"-machine smm=on", "smm=on is not to be had, only off|auto"},
        {"-nic user", "-nic: user: not there yet, only none"},
        {"-net nic", "-net: nic: not there yet"},
        {"-netdev user,id=n", "no network card yet"},
        {"-vga qxl", "-vga: qxl: there are std and none"},
        {"-display gtk", "-display: gtk: there are sdl and none"},
        {"-display sdl,gl=on", "gl=on is not to be had, only off"},
        {"-display sdl,show-cursor=on", "show-cursor=on is not to be had, only off"},
        {"-display sdl,grab-mod=x", "grab-mod=x: there are lctrl-lalt"},
        {"-display sdl,window-close=x", "window-close=x is neither on nor off"},
        {"-display sdl,full-screan=on", "did you mean \"full-screen\"?"},
        {"-display none,grab-mod=rctrl", "without a window there is nothing more to say"},
        {"-full-screen -display none", "-full-screen needs a window"},
        {"-full-screen", "-full-screen needs a window"},
        {"-audiodev pa,id=a", "-audiodev: pa: there are sdl, wav and none"},
        {"-audiodev sdl", "-audiodev: id= is missing"},
        {"-audiodev sdl,id=a,path=x", "path= is for wav"},
        {"-audiodev wav,id=a,out.frequency=7", "out.frequency=7 is not a number from 8000"},
        {"-audiodev none,id=a -audiodev none,id=a", "id=a is used twice"},
        {"-machine pcspk-audiodev=a", "there is no -audiodev with id=a"},
        {"-vnc :0", "only none"},
        {"-usb", "no USB yet"},
        {"-d foo", "-d: unknown log item \"foo\""},
        {"-d itn", "did you mean \"int\"?"},
        {"-d op_opt", "-d: op_opt is not logged here yet"},
        {"-rtc base=yesterday", "base=yesterday: neither utc"},
        {"-rtc base=2006-13-40", "neither utc"},
        {"-icount shift=11", "shift=11 is not a number from 0 to 10"},
        {"-icount shift=1,rr=record", "no record and replay yet"},
        {"-boot order=cc", "c is named twice"},
        {"-boot order=C", "drives are letters"},
        {"-boot once=dd", "once=dd: d is named twice"},
        {"-boot menu=perhaps", "menu=perhaps is neither on nor off"},
        {"-uuid 1234", "is not like"},
        {"-seed x", "-seed: x is not a number"},
        {"-append x", "-append does nothing without -kernel"},
        {"-initrd x", "-initrd does nothing without -kernel"},
        {"-fw_cfg opt/x", "needs one of file= and string="},
        {"-fw_cfg opt/x,file=a,string=b", "needs one of file= and string="},
        {"-fw_cfg name=0123456789012345678901234567890123456789012345678901234567,string=x",
         "at most 55 letters"},
        {"-serial stdio -monitor stdio", "-serial mon:stdio lets them share it"},
        {"-serial stdio -serial mon:stdio", "two -serial cannot both use stdio"},
        {"-serial null -serial null -serial null -serial null -serial null", "at most"},
        {"-serial chardev:c", "no -chardev with id=c"},
        {"-parallel null -parallel null", "there is one parallel port"},
        {"-parallel stdio -monitor stdio", "-monitor and -parallel cannot both use stdio"},
        {"-chardev stdio", "id= is missing"},
        {"-chardev udp,id=c", "no back-end \"udp\""},
        {"-chardev file,id=c", "path= is missing"},
        {"-chardev null,id=c -chardev null,id=c", "id=c is used twice"},
        {"-chardev null,id=c,path=x", "-chardev: null has no path="},
        {"-chardev file,id=c,path=x,port=3", "-chardev: file has no port="},
        {"-chardev socket,id=c,path=x,append=on", "-chardev: socket has no append="},
        {"-chardev file,id=c,path=x,apend=on", "did you mean \"append\"?"},
        {"-chardev file,id=c,path=", "path= is empty"},
        {"-chardev socket,id=c,path=x,port=3", "which?"},
        {"-chardev socket,id=c,path=x,telnet=on", "telnet=on is for TCP"},
        {"-chardev socket,id=c,port=3,server=on,reconnect=1", "reconnect= is for clients"},
        {"-chardev stdio,id=c,signal=off", "Ctrl-C goes to the guest with mux=on"},
        {"-chardev null,id=c -serial chardev:c -monitor chardev:c", "id=c is used twice; mux=on"},
        {"-chardev null,id=c -serial chardev:c -serial chardev:c", "id=c is used twice"},
        {"-chardev null,id=c,mux=on -serial chardev:c -serial chardev:c", "id=c is used twice"},
        {"-chardev null,id=c,mux=on -parallel chardev:c", "a serial port and the monitor to share"},
        {"-chardev null,id=c,mux=on -serial mon:stdio -serial chardev:c -mon c",
         "one serial port can share"},
        {"-monitor null -monitor null -monitor null -monitor null -monitor null", "4 monitors"},
        {"-monitor stdio -monitor stdio", "two -monitor cannot both use stdio"},
        {"-debugcon null -debugcon null", "-debugcon: there is one; -device isa-debugcon makes"},
        {"-mon mode=readline", "chardev= is missing"},
        {"-global virtio-blk.x=1", "only isa-debugcon.iobase"},
        {"-daemonize", "-daemonize: start it with"},
        {"-qmp stdio", "only none"},
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct vm_config cfg;
        struct said said;
        struct error err;
        enum cli_outcome got = parse(rows[i].line, &cfg, &said, &err);
        if (got != CLI_ERROR || !strstr(err.msg, rows[i].words) || strchr(err.msg, '\n'))
            fail_msg("%s: outcome %d, \"%s\"", rows[i].line, got, err.msg);
        vm_config_free(&cfg);
    }
}

/* Taken, with these words to the user (NULL: with none). */
static void test_notes(void **state)
{
    static const struct {
        const char *line, *words;
    } rows[] = {
        {"disk.img", NULL},
        {"-audiodev none,id=a", NULL},
        {"-audiodev wav,id=a,path=x -machine pcspk-audiodev=a", NULL},
        {"-audiodev wav,id=a,path=x", "-audiodev: nothing plays on a; -machine pcspk-audiodev=a"},
        {"-no-hpet -no-user-config -nic none -net none", NULL},
        {"-machine pc,hpet=off -M hpet=on", NULL},
        {"-accel tcg,thread=multi -smp 2", NULL},
        {"-accel tcg,tb-size=256", "-accel: tb-size=256 taken as a hint"},
        {"-accel tcg,whatever=1", "-accel: whatever=1 is not known here and changes nothing"},
        {"-accel interp -d out_asm", "-d: the interpreter makes no code for out_asm to show"},
        {"-accel interp -perfmap", "-perfmap: the interpreter has no translated code to name"},
        {"-accel kvm -accel tcg", "-accel: no kvm here, the next choice is taken"},
        {"-machine pc,accel=kvm:tcg", "-accel: no kvm here"},
        {"-M pc,kernel_irqchip=off", "-M: kernel_irqchip=off taken as a hint"},
        {"-drive file=a,cache=none", "-drive: cache=none taken as a hint"},
        {"-chardev null,id=c -serial null", "-chardev: nothing uses id=c"},
        {"-chardev null,id=c -serial chardev:c", NULL},
        {"-rtc base=utc,clock=host", "-rtc: clock=host taken as a hint"},
        {"-rtc base=utc,driftfix=slew", "-rtc: driftfix=slew taken as a hint"},
        {"-rtc base=utc,driftfix=none,clock=vm", NULL},
        {"-msg timestamp=on", "-msg: timestamp=on taken as a hint"},
        {"-overcommit mem-lock=on", "-overcommit: mem-lock=on taken as a hint"},
        {"-msg timestamp=off -overcommit mem-lock=off,cpu-pm=off -sandbox off", NULL},
        {"-global PIIX4_PM.disable_s3=1 -global PIIX4_PM.disable_s4=1 -boot reboot-timeout=-1",
         NULL},
        {"-M pc-i440fx-7.2,graphics=off", NULL},
        {"-snapshot -hda a -hdb a", NULL},
        {"-cdrom '' -fda ''", NULL},
        {"-icount auto", "guest time follows the host's"},
        {"-k de", "-k: taken as a hint"},
        {"-global kvm-pit.lost_tick_policy=delay", "there is no KVM"},
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct vm_config cfg;
        struct said said;
        struct error err;
        enum cli_outcome got = parse(rows[i].line, &cfg, &said, &err);
        bool ok = rows[i].words ? strstr(said.note, rows[i].words) != NULL : !*said.note;
        if (got != CLI_RUN || !ok)
            fail_msg("%s: outcome %d, \"%s\", said \"%s\"", rows[i].line, got, err.msg, said.note);
        vm_config_free(&cfg);
    }
}

/* Where the consoles go; "-" means nowhere. */
static void test_consoles(void **state)
{
    static const struct {
        const char *line, *serial0, *monitor, *mux;
    } rows[] = {
        {"", "mon:stdio", "-", "mon:stdio"},
        {"-nographic", "mon:stdio", "-", "mon:stdio"},
        {"-display none", "null", "-", "-"},
        {"-nodefaults", "-", "-", "-"},
        {"-nodefaults -serial stdio", "stdio", "-", "-"},
        {"-serial stdio", "stdio", "-", "-"},
        {"-serial none", "-", "-", "-"},
        {"-serial mon:stdio", "mon:stdio", "-", "mon:stdio"},
        {"-nographic -serial mon:stdio", "mon:stdio", "-", "mon:stdio"},
        {"-nographic -serial stdio", "stdio", "-", "-"},
        {"-nographic -serial file:x", "file:x", "stdio", "-"},
        {"-nographic -monitor none", "stdio", "-", "-"},
        {"-monitor stdio", "null", "stdio", "-"},
        {"-serial mon:stdio -monitor unix:/tmp/m,server=on,wait=off", "mon:stdio",
         "unix:/tmp/m,server=on,wait=off", "mon:stdio"},
        {"-display none -serial pty", "pty", "-", "-"},
        {"-chardev stdio,id=c,mux=on -serial chardev:c -mon chardev=c", "mon:stdio", "-",
         "mon:stdio"},
        {"-chardev socket,id=c,path=/x,server=on,wait=off -serial chardev:c",
         "unix:/x,server=on,wait=off", "-", "-"},
        {"-device isa-serial,chardev=c -chardev file,id=c,path=/x -display none", "file:/x", "-",
         "-"},
        {"-display none -chardev stdio,id=c,mux=on -mon c", "null", "stdio", "-"},
        {"-chardev socket,id=c,path=/a,,b -serial chardev:c", "unix:/a,,b,server=off,wait=on", "-",
         "-"},
        {"-chardev socket,id=c,host=::1,port=4,ipv4=off,reconnect=5 -serial chardev:c",
         "tcp:[::1]:4,server=off,wait=on,ipv4=off,reconnect=5", "-", "-"},
        {"-chardev socket,id=c,port=4,server=on,telnet=on -serial chardev:c",
         "tcp::4,server=on,wait=on,telnet=on", "-", "-"},
        {"-chardev file,id=c,path=/a,,b,append=on -serial chardev:c", "append:/a,b", "-", "-"},
        {"-display none -chardev socket,host=h,port=4,id=c -mon c", "null",
         "tcp:h:4,server=off,wait=on", "-"},
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct vm_config cfg;
        struct said said;
        struct error err;
        enum cli_outcome got = parse(rows[i].line, &cfg, &said, &err);
        const char *serial0 = cfg.serials && cfg.serial[0] ? cfg.serial[0] : "-";
        const char *monitor = cfg.monitors ? cfg.monitor[0] : "-";
        const char *mux = cfg.mux_monitor ? cfg.mux_monitor : "-";
        if (got != CLI_RUN || strcmp(serial0, rows[i].serial0) || strcmp(mux, rows[i].mux) ||
            strcmp(monitor, rows[i].monitor))
            fail_msg("%s: outcome %d \"%s\", serial %s, monitor %s, mux %s", rows[i].line, got,
                     err.msg, serial0, monitor, mux);
        vm_config_free(&cfg);
    }
}

static struct vm_config taken(const char *line)
{
    struct vm_config cfg;
    struct said said;
    struct error err;
    if (parse(line, &cfg, &said, &err) != CLI_RUN)
        fail_msg("%s: %s", line, err.msg);
    return cfg;
}

static void test_harness_line(void **state)
{
    (void)state;
    struct vm_config cfg = taken("-accel tcg -cpu max -m 512 -smp 1 -name g,debug-threads=on "
                                 "-nographic -no-reboot -drive file=IMG,format=raw");
    assert_int_equal(cfg.accel, ACCEL_FASTEST);
    assert_string_equal(cfg.cpu, "max");
    assert_int_equal(cfg.ram_bytes, 512 * MiB);
    assert_string_equal(cfg.name, "g");
    assert_true(cfg.debug_threads && cfg.nographic && cfg.no_reboot);
    assert_int_equal(cfg.drives, 3); /* the others are empty */
    assert_string_equal(cfg.drive[0].file, "IMG");
    assert_int_equal(cfg.drive[0].index, 0);
    assert_int_equal(cfg.smp, 1);
    vm_config_free(&cfg);
}

/* QEMU 7.2's answers, from "info hotpluggable-cpus" of its pc board. */
static void test_smp(void **state)
{
    static const struct {
        const char *line;
        unsigned cpus;
        struct cpu_topology topology;
    } rows[] = {
        {"", 1, {1, 1, 1}},
        {"-smp 2", 2, {1, 2, 1}},
        {"-smp cpus=4", 4, {1, 4, 1}},
        {"-smp 4,sockets=2,cores=2", 4, {2, 2, 1}},
        {"-smp 4,sockets=2", 4, {2, 2, 1}},
        {"-smp 4,cores=2", 4, {2, 2, 1}},
        {"-smp 4,threads=2", 4, {1, 2, 2}},
        {"-smp 8,sockets=2,threads=2", 8, {2, 2, 2}},
        {"-smp 8,cores=2,sockets=2", 8, {2, 2, 2}},
        {"-smp sockets=2", 2, {2, 1, 1}},
        {"-smp cores=4", 4, {1, 4, 1}},
        {"-smp sockets=2,cores=3,threads=2", 12, {2, 3, 2}},
        {"-smp 2,maxcpus=4", 2, {1, 4, 1}},
        {"-smp maxcpus=4", 4, {1, 4, 1}},
        {"-smp 4,dies=1,clusters=1", 4, {1, 4, 1}},
        {"-smp 255", 255, {1, 255, 1}},
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct vm_config cfg = taken(rows[i].line);
        if (cfg.smp != rows[i].cpus ||
            memcmp(&cfg.topology, &rows[i].topology, sizeof cfg.topology) != 0)
            fail_msg("%s: %u CPUs, %u sockets of %u cores of %u threads", rows[i].line, cfg.smp,
                     cfg.topology.sockets, cfg.topology.cores, cfg.topology.threads);
        vm_config_free(&cfg);
    }
}

static void test_sizes(void **state)
{
    static const struct {
        const char *line;
        uint64_t bytes;
    } rows[] = {
        {"-m 64", 64 * MiB},
        {"-m 512M", 512 * MiB},
        {"-m 2G", 2 * GiB},
        {"-m size=1g", 1 * GiB},
        {"-m 1.5G", 1536 * MiB},
        {"-m 2048K", 2 * MiB},
        {"-m 2097153B", 2 * MiB + 8 * KiB},
        {"-m 6G", 6 * GiB},
        {"", 128 * MiB},
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct vm_config cfg = taken(rows[i].line);
        assert_int_equal(cfg.ram_bytes, rows[i].bytes);
        vm_config_free(&cfg);
    }
}

static void test_drives(void **state)
{
    (void)state;
    struct vm_config cfg = taken("-drive file=a,,b=c,snapshot=on -hda h -drive "
                                 "if=none,id=d0,file=x,readonly=on -device "
                                 "ide-hd,drive=d0,bus=ide.1,unit=1,bootindex=2 -hdc z "
                                 "-nodefaults");
    assert_int_equal(cfg.drives, 4);
    assert_string_equal(cfg.drive[0].file, "a,b=c");
    assert_true(cfg.drive[0].snapshot);
    assert_int_equal(cfg.drive[0].index, 1);
    assert_int_equal(cfg.drive[1].index, 0);
    assert_int_equal(cfg.drive[2].index, 3);
    assert_int_equal(cfg.drive[2].bus, DRIVE_IDE);
    assert_int_equal(cfg.drive[2].bootindex, 2);
    assert_true(cfg.drive[2].readonly && !cfg.drive[2].snapshot);
    assert_int_equal(cfg.drive[3].index, 2);
    assert_int_equal(cfg.devices, 0);
    vm_config_free(&cfg);

    cfg = taken("-snapshot --hdb b,c=d -drive file=e,bus=1,unit=0");
    assert_string_equal(cfg.drive[0].file, "b,c=d");
    assert_int_equal(cfg.drive[0].index, 1);
    assert_int_equal(cfg.drive[1].index, 2);
    assert_true(cfg.drive[0].snapshot && cfg.drive[1].snapshot);
    vm_config_free(&cfg);
}

static void test_vga_rom(void **state)
{
    (void)state;
    struct vm_config cfg = taken("-device VGA,romfile=a.bin");
    assert_string_equal(cfg.vga, "std");
    assert_string_equal(cfg.vga_rom, "a.bin");
    vm_config_free(&cfg);
    cfg = taken("-vga std -global VGA.romfile=b.bin");
    assert_string_equal(cfg.vga_rom, "b.bin");
    vm_config_free(&cfg);
    cfg = taken("-device VGA,romfile="); /* none at all */
    assert_string_equal(cfg.vga_rom, "");
    vm_config_free(&cfg);
}

/* Drives by the monitor's names, with what is in them; in the order they came. */
static void test_media(void **state)
{
    static const struct {
        const char *line, *drives;
    } rows[] = {
        {"", "ide1-cd0= floppy0= "},
        {"-nodefaults", ""},
        {"a", "ide0-hd0=a ide1-cd0= floppy0= "},
        {"-cdrom c", "ide1-cd0=c floppy0= "},
        {"-nodefaults -cdrom c -fda f", "ide1-cd0=c floppy0=f "},
        {"-fda f -fdb g", "floppy0=f floppy1=g ide1-cd0= "},
        {"-fdb g", "floppy1=g ide1-cd0= floppy0= "},
        {"-hdc c", "ide1-hd0=c floppy0= "}, /* in the empty drive's place */
        {"-drive file=1 -drive file=2 -drive file=3", "ide0-hd0=1 ide0-hd1=2 ide1-hd0=3 floppy0= "},
        {"-drive media=cdrom", "ide0-cd0= ide1-cd0= floppy0= "}, /* as QEMU */
        {"-drive media=cdrom,index=2,file=", "ide1-cd0= floppy0= "},
        {"-drive file=c,media=cdrom,bus=1,unit=1,id=x", "x=c ide1-cd0= floppy0= "},
        {"-drive if=floppy,file=f", "floppy0=f ide1-cd0= "},
        {"-drive if=floppy,file=f,unit=1", "floppy1=f ide1-cd0= floppy0= "},
        {"-device ide-cd,bus=ide.0,unit=1", "ide0-cd1= floppy0= "}, /* who places IDE drives ... */
        {"-drive if=none,id=c,file=c,media=cdrom -device ide-cd,drive=c,bus=ide.1",
         "c=c floppy0= "},
        {"-device floppy -drive if=none,id=x,file=f -device floppy,drive=x,drive-type=144",
         "x=f floppy1= ide1-cd0= "},
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct vm_config cfg = taken(rows[i].line);
        char text[512] = "";
        for (unsigned k = 0; k < cfg.drives; k++) {
            char name[CONFIG_DRIVE_NAME];
            const size_t n = strlen(text);
            config_drive_name(&cfg.drive[k], name);
            snprintf(text + n, sizeof text - n, "%s=%s ", name,
                     cfg.drive[k].file ? cfg.drive[k].file : "");
        }
        if (strcmp(text, rows[i].drives) != 0)
            fail_msg("%s: %s", rows[i].line, text);
        vm_config_free(&cfg);
    }
    struct vm_config cfg = taken("-boot order=cad,once=d -drive if=floppy,file=f,readonly=on,"
                                 "snapshot=on -device floppy,unit=1,drive-type=288,bootindex=3");
    assert_string_equal(cfg.boot_order, "cad");
    assert_string_equal(cfg.boot_once, "d");
    assert_true(cfg.drive[0].readonly && cfg.drive[0].snapshot);
    assert_int_equal(cfg.drive[1].floppy_kb, 2880);
    assert_int_equal(cfg.drive[1].bootindex, 3);
    vm_config_free(&cfg);
}

static void test_others(void **state)
{
    (void)state;
    struct vm_config cfg = taken("-device isa-debug-exit,iobase=0xf4,iosize=0x04 -s -S "
                                 "-d int,cpu_reset,nochain -D log -icount 3,sleep=on -seed 0x10 "
                                 "-rtc base=2006-06-17T16:01:21,clock=vm -boot c,menu=on,strict=on "
                                 "-fw_cfg name=opt/a,string=b,,c -no-acpi -L dir -pidfile p "
                                 "-uuid 01234567-89ab-cdef-0123-456789ABCDEF -debugcon file:x "
                                 "-global isa-debugcon.iobase=0x402 -accel interp,stats=on");
    assert_string_equal(cfg.device[0].name, "isa-debug-exit");
    assert_string_equal(cfg.device[0].key[0], "iobase");
    assert_string_equal(cfg.device[0].value[1], "0x04");
    assert_string_equal(cfg.gdb, "tcp::1234");
    assert_true(cfg.start_paused && cfg.stats && cfg.no_acpi);
    assert_int_equal(cfg.log_mask, LOG_INT | LOG_RESET);
    assert_string_equal(cfg.log_file, "log");
    assert_true(cfg.icount && cfg.icount_sleep);
    assert_int_equal(cfg.icount_shift, 3);
    assert_int_equal(cfg.seed, 16);
    assert_true(cfg.rtc_set && cfg.rtc_base == RTC_DATE);
    assert_int_equal(cfg.rtc_date, 1150560081);
    assert_string_equal(cfg.boot_order, "c");
    assert_true(cfg.boot_menu && cfg.boot_strict);
    assert_string_equal(cfg.fw_cfg[0].name, "opt/a");
    assert_string_equal(cfg.fw_cfg[0].string, "b,c");
    assert_string_equal(cfg.data_dir[0], "dir");
    assert_string_equal(cfg.pidfile, "p");
    assert_int_equal(cfg.uuid[0], 1);
    assert_int_equal(cfg.uuid[15], 0xef);
    assert_int_equal(cfg.debugcon_port, 0x402);
    assert_int_equal(cfg.accel, ACCEL_INTERP);
    vm_config_free(&cfg);

    cfg = taken("-chardev file,id=p,path=post -device isa-debugcon,iobase=0x190,chardev=p "
                "-chardev null,id=o -device isa-debugcon,chardev=o -debugcon file:d");
    assert_int_equal(cfg.consoles, 2);
    assert_int_equal(cfg.console[0].port, 0x190);
    assert_string_equal(cfg.console[0].spec, "file:post");
    assert_int_equal(cfg.console[1].port, 0xe9);
    assert_string_equal(cfg.debugcon, "file:d");
    vm_config_free(&cfg);

    cfg = taken("-cpu-test a.json -cpu-test b.MOO.gz -cpu x86-64-v2 -m 512");
    assert_int_equal(cfg.cpu_tests, 2);
    assert_string_equal(cfg.cpu_test[1], "b.MOO.gz");
    vm_config_free(&cfg);

    /* what kvm-unit-tests' x86/run says */
    cfg = taken("-nodefaults -device pc-testdev -device isa-debug-exit,iobase=0xf4,iosize=0x4 "
                "-vnc none -serial stdio -machine accel=tcg -kernel a.flat -append x -initrd env "
                "-smp 2 -cpu max -no-user-config -machine pc,smm=off");
    assert_string_equal(cfg.device[0].name, "pc-testdev");
    assert_int_equal(cfg.devices, 2);
    assert_string_equal(cfg.serial[0], "stdio");
    assert_string_equal(cfg.vga, "none");
    vm_config_free(&cfg);

    cfg = taken("-monitor null -monitor none -monitor file:m -s -gdb unix:/g -gdb none");
    assert_int_equal(cfg.monitors, 2);
    assert_string_equal(cfg.monitor[0], "null");
    assert_string_equal(cfg.monitor[1], "file:m");
    assert_null(cfg.gdb);
    vm_config_free(&cfg);

    cfg = taken("-action reboot=shutdown,shutdown=pause -gdb unix:/g,server=off -monitor none");
    assert_true(cfg.no_reboot && cfg.no_shutdown && !cfg.monitors);
    assert_string_equal(cfg.gdb, "unix:/g,server=off");
    vm_config_free(&cfg);
}

static void test_help(void **state)
{
    static const struct {
        const char *line, *words;
    } rows[] = {
        {"-h", "-drive [file=F]"},
        {"--help", "usage: vitrine [options] [DISK]"},
        {"-version", "Vitrine 1.2.3"},
        {"-cpu help", "max a CPU"},
        {"-device help", "name \"isa-debug-exit\", bus ISA"},
        {"-device ?", "name \"pc-testdev\", bus ISA"}, /* test suites look for that */
        {"--help", "QEMU"},                            /* and for that */
        {"-machine help", "pc"},
        {"-d help", "guest_errors"},
        {"-accel ?", "interp"},
        {"-chardev help", "socket"},
        {"-audiodev help", "wav"},
        {"-device ide-hd,help", "bootindex=NUMBER"},
        {"-machine pc,help", "kernel_irqchip=VALUE  changes nothing"},
        {"-accel jit,help", "chain=on|off"},
        {"-chardev socket,help", "reconnect=NUMBER"},
        {"-drive help", "readonly=on|off"},
        {"-rtc help", "base=utc|localtime|DATE"},
        {"-smp help", "sockets=NUMBER"},
        {"-display sdl,help", "full-screen=on|off"},
        {"-boot help", "menu=on|off"},
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct vm_config cfg;
        struct said said;
        struct error err;
        assert_int_equal(parse(rows[i].line, &cfg, &said, &err), CLI_DONE);
        if (!strstr(said.out, rows[i].words))
            fail_msg("%s: %s", rows[i].line, said.out);
        vm_config_free(&cfg);
    }
}

static void test_words(void **state)
{
    static const char *const names[] = {"snapshot", "serial", "drive"};
    (void)state;
    assert_int_equal(word_distance("abc", "abc"), 0);
    assert_int_equal(word_distance("abc", "acb"), 1);
    assert_int_equal(word_distance("abc", "abxc"), 1);
    assert_int_equal(word_distance("", "abc"), 3);
    assert_int_equal(word_distance("ABC", "abc"), 0);
    assert_string_equal(word_nearest("seriel", names, sizeof *names, 3), "serial");
    assert_null(word_nearest("network", names, sizeof *names, 3));
    assert_null(word_nearest("", names, sizeof *names, 3));

    struct word_pairs pairs;
    struct error err = {0};
    assert_true(word_pairs_split(&pairs, "pc,a=b,,c,server,nowait,d=", "type", &err));
    assert_string_equal(word_pairs_get(&pairs, "type"), "pc");
    assert_string_equal(word_pairs_get(&pairs, "a"), "b,c");
    assert_string_equal(word_pairs_get(&pairs, "server"), "on");
    assert_string_equal(word_pairs_get(&pairs, "wait"), "off");
    assert_string_equal(word_pairs_get(&pairs, "d"), "");
    assert_null(word_pairs_get(&pairs, "e"));
    word_pairs_free(&pairs);
}

/* What is shown, and where the first serial port and the monitor then go. */
static void test_display(void **state)
{
    static const struct {
        const char *line;
        bool desktop, window;
        const char *serial0;
    } rows[] = {
        {"", true, true, "null"},
        {"", false, false, "mon:stdio"},
        {"-serial mon:stdio", true, true, "mon:stdio"},
        {"-serial file:x", true, true, "file:x"},
        {"-nographic", true, false, "mon:stdio"},
        {"-display none", true, false, "null"},
        {"-vga none", true, false, "mon:stdio"},
        {"-display sdl", false, true, "null"}, /* why it cannot be is said when it is opened */
        {"-sdl", false, true, "null"},
        {"-nographic -display sdl", true, true, "mon:stdio"},
        {"-display sdl -nographic", true, false, "mon:stdio"},
        {"-display sdl,gl=off,full-screen=on,window-close=off,grab-mod=rctrl", true, true, "null"},
        {"-full-screen", true, true, "null"},
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct vm_config cfg;
        struct said said;
        struct error err;
        ask_desktop = desktop = rows[i].desktop;
        if (parse(rows[i].line, &cfg, &said, &err) != CLI_RUN || *said.note ||
            (cfg.display == SHOW_SDL) != rows[i].window || !cfg.serial[0] ||
            strcmp(cfg.serial[0], rows[i].serial0) != 0)
            fail_msg("%s: \"%s\" \"%s\", display %d, serial %s", rows[i].line, err.msg, said.note,
                     cfg.display, cfg.serial[0]);
        vm_config_free(&cfg);
    }
    struct vm_config cfg;
    struct said said;
    struct error err;
    ask_desktop = true;
    desktop = false;
    assert_int_equal(parse("", &cfg, &said, &err), CLI_RUN);
    assert_string_equal(said.note,
                        "no window, the guest's serial port is its screen: no desktop here\n");
    vm_config_free(&cfg);
    assert_int_equal(parse("-full-screen", &cfg, &said, &err), CLI_ERROR);
    assert_string_equal(err.msg, "-full-screen needs a window: no desktop here");
    vm_config_free(&cfg);
    ask_desktop = false;

    parse("-display sdl,full-screen=on,window-close=off,grab-mod=rctrl", &cfg, &said, &err);
    assert_true(cfg.window.full_screen && cfg.window.no_close);
    assert_int_equal(cfg.window.grab_mod, GRAB_RIGHT_CTRL);
    vm_config_free(&cfg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_notes),
        cmocka_unit_test(test_consoles), cmocka_unit_test(test_harness_line),
        cmocka_unit_test(test_sizes),    cmocka_unit_test(test_drives),
        cmocka_unit_test(test_vga_rom),  cmocka_unit_test(test_media),
        cmocka_unit_test(test_others),   cmocka_unit_test(test_help),
        cmocka_unit_test(test_words),    cmocka_unit_test(test_display),
        cmocka_unit_test(test_smp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
