/* The monitor's "info": one row of a table a word. */
#include "debug/monitor_cmd.h"
#include "core/words.h"
#include "cpu/cpu.h"
#include "debug/explain.h"
#include "debug/pagetable.h"
#include "debug/regs.h"
#include "devices/ioapic.h"
#include "devices/lapic.h"
#include "devices/pci.h"
#include "devices/pic8259.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* --- CPU --- */

static void one_cpu(struct mon *mon, unsigned n)
{
    mon_printf(mon, "\nCPU#%u\n", n);
    regs_print(machine_cpu(mon->machine, n), mon_line, mon);
}

static void info_registers(struct mon *mon, char *args)
{
    const char *word = mon_word(&args);
    if (!word) {
        one_cpu(mon, mon->cpu);
    } else if (strcmp(word, "-a") == 0) {
        for (unsigned i = 0; i < machine_cpus(mon->machine); i++)
            one_cpu(mon, i);
    } else {
        uint64_t n;
        if (word_u64(word, &n) && n < machine_cpus(mon->machine))
            one_cpu(mon, (unsigned)n);
        else
            mon_printf(mon, "there is no CPU %s\n", word);
    }
}

static void info_cpus(struct mon *mon, char *args)
{
    (void)args;
    for (unsigned i = 0; i < machine_cpus(mon->machine); i++) {
        const struct cpu *cpu = machine_cpu(mon->machine, i);
        mon_printf(mon, "%c CPU #%u: pc=0x%016" PRIx64 "%s thread_id=%ld\n",
                   i == mon->cpu ? '*' : ' ', i, cpu_code_address(cpu),
                   cpu->halted || cpu->wait_sipi ? " (halted)" : "",
                   machine_cpu_thread(mon->machine, i));
    }
}

/* --- exceptions --- */

static void one_fault(struct mon *mon, const struct cpu *cpu, uint64_t n, bool title_only)
{
    const struct fault_record *r = explain_find(cpu, n);
    char text[300];
    if (title_only) {
        explain_title(r, text, sizeof text);
        mon_printf(mon, "%" PRIu64 ": %s\n", n, text);
        return;
    }
    mon_printf(mon, "fault %" PRIu64 " of CPU %u:\n", n, cpu->index);
    explain_fault(cpu, r, &(struct explain_out){mon_line, mon, mon_disas(mon)});
}

/* The last one, the last N, or a line each of all that are known. */
static void info_fault(struct mon *mon, char *args)
{
    const struct cpu *cpu = mon_cpu(mon);
    const uint64_t seen = cpu->faults_seen, known = MIN(seen, (uint64_t)CPU_FAULTS);
    const char *word = mon_word(&args);
    const bool list = word && strcmp(word, "-l") == 0;
    uint64_t n = list ? known : 1;
    if (word && !list && (!word_u64(word, &n) || !n)) {
        mon_printf(mon, "how many? info fault [N|-l], N from 1 to %u\n", CPU_FAULTS);
        return;
    }
    if (!mon_no_more(mon, args))
        return;
    if (!seen)
        mon_printf(mon, "CPU %u has raised no exception yet\n", cpu->index);
    if (n > known && seen)
        mon_printf(mon, "only the last %" PRIu64 " are known\n", known);
    for (uint64_t i = seen - MIN(n, known); i < seen; i++)
        one_fault(mon, cpu, i, list);
}

/* --- paging --- */

/* A run of pages with the same rights. */
struct range {
    struct mon *mon;
    gla_t start;
    uint64_t bytes;
    bool user, writable, open;
};

static void end_range(struct range *r)
{
    if (r->open)
        mon_printf(r->mon, "%016" PRIx64 "-%016" PRIx64 " %016" PRIx64 " %cr%c\n", r->start,
                   r->start + r->bytes, r->bytes, r->user ? 'u' : '-', r->writable ? 'w' : '-');
    r->open = false;
}

static bool join_page(void *opaque, const struct page_leaf *p)
{
    struct range *r = opaque;
    if (r->open && r->start + r->bytes == p->lin && r->user == p->user &&
        r->writable == p->writable) {
        r->bytes += p->bytes;
        return true;
    }
    end_range(r);
    *r = (struct range){r->mon, p->lin, p->bytes, p->user, p->writable, true};
    return true;
}

static void say_paging(struct mon *mon, bool on, bool cut)
{
    if (!on)
        mon_printf(mon, "PG disabled\n");
    if (cut)
        mon_printf(mon, "(cut off: the tables refer to each other without end)\n");
}

static void info_mem(struct mon *mon, char *args)
{
    struct range r = {.mon = mon};
    bool cut;
    if (!mon_no_more(mon, args))
        return;
    const bool on = pagetable_each(mon->machine, mon_cpu(mon), join_page, &r, &cut);
    end_range(&r);
    say_paging(mon, on, cut);
}

/* The letters of QEMU: X no-execute, G global, P large, D dirty, A accessed, C and T caching. */
static bool print_page(void *opaque, const struct page_leaf *p)
{
    static const struct {
        uint64_t bit;
        char letter;
    } flags[] = {
        {BIT64(63), 'X'}, {BIT64(8), 'G'}, {BIT64(7), 'P'}, {BIT64(6), 'D'}, {BIT64(5), 'A'},
        {BIT64(4), 'C'},  {BIT64(3), 'T'}, {BIT64(2), 'U'}, {BIT64(1), 'W'},
    };
    char text[ARRAY_SIZE(flags) + 1] = {0};
    for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
        /* Bit 7 of a 4-KiB page's entry is its PAT bit. */
        const bool set = p->entry & flags[i].bit && !(i == 2 && p->bytes == PAGE_SIZE);
        text[i] = set ? flags[i].letter : '-';
    }
    mon_printf(opaque, "%016" PRIx64 ": %016" PRIx64 " %s\n", p->lin, p->gpa, text);
    return true;
}

static void info_tlb(struct mon *mon, char *args)
{
    bool cut;
    if (!mon_no_more(mon, args))
        return;
    const bool on = pagetable_each(mon->machine, mon_cpu(mon), print_page, mon, &cut);
    say_paging(mon, on, cut);
}

/* --- board --- */

static void info_ioports(struct mon *mon, char *args)
{
    (void)args;
    const struct iomap *io = machine_iomap(mon->machine);
    for (uint32_t start = 0, end; start <= UINT16_MAX; start = end) {
        const struct io_region *r = io->port[start];
        for (end = start + 1; end <= UINT16_MAX && io->port[end] == r;)
            end++;
        if (r)
            mon_printf(mon, "  %04x-%04x: %s%s\n", start, end - 1, r->name,
                       start != r->base ? " (part)" : "");
    }
}

static void info_mtree(struct mon *mon, char *args)
{
    mon_printf(mon, "memory\n");
    memmap_print(machine_memmap(mon->machine), mon_line, mon);
    mon_printf(mon, "I/O\n");
    info_ioports(mon, args);
}

static void info_pci(struct mon *mon, char *args)
{
    (void)args;
    pci_print(machine_pci(mon->machine), mon_line, mon);
}

static bool begins(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

/* A device is its owner's first member (core/device.h), so the pointer is good for both. */
static void info_pic(struct mon *mon, char *args)
{
    (void)args;
    for (struct device *d = machine_devices(mon->machine)->head; d; d = d->next) {
        if (begins(d->name, "ioapic"))
            ioapic_print((const struct ioapic *)d, mon_line, mon);
        else if (begins(d->name, "pic8259"))
            pic8259_print((const struct pic8259 *)d, mon_line, mon);
    }
}

static void info_lapic(struct mon *mon, char *args)
{
    char want[24];
    uint64_t n;
    const char *word = mon_word(&args);
    if (word && !word_u64(word, &n)) {
        mon_printf(mon, "there is no APIC %s\n", word);
        return;
    }
    snprintf(want, sizeof want, "lapic.%" PRIu64, word ? n : (uint64_t)mon_cpu(mon)->apic_id);
    for (struct device *d = machine_devices(mon->machine)->head; d; d = d->next) {
        if (strcmp(d->name, want) == 0) {
            lapic_print((const struct lapic *)d, mon_line, mon);
            return;
        }
    }
    mon_printf(mon, "there is no %s\n", want);
}

static void info_qtree(struct mon *mon, char *args)
{
    (void)args;
    const struct pci_bus *bus = machine_pci(mon->machine);
    for (struct device *d = machine_devices(mon->machine)->head; d; d = d->next) {
        mon_printf(mon, "dev: %s", d->name);
        for (unsigned i = 0; i < ARRAY_SIZE(bus->fn); i++) {
            if (bus->fn[i] && &bus->fn[i]->dev == d)
                mon_printf(mon, ", PCI %02x.%x [%04x:%04x]", i >> 3, i & 7,
                           ld16(bus->fn[i]->config), ld16(bus->fn[i]->config + 2));
        }
        mon_printf(mon, "\n");
    }
}

/* Every field a device lists about itself. */
static void info_device(struct mon *mon, char *args)
{
    const char *name = mon_word(&args);
    bool found = false;
    if (!name) {
        info_qtree(mon, args);
        return;
    }
    for (struct device *d = machine_devices(mon->machine)->head; d; d = d->next) {
        struct state s;
        if (strcmp(d->name, name) != 0 || !d->ops->state)
            continue;
        found = true;
        state_init_dump(&s, mon_line, mon);
        d->ops->state(d, &s);
        state_free(&s);
    }
    if (!found)
        mon_printf(mon, "there is no device %s, see info qtree\n", name);
}

/* What is on the text screen, as text: for those without a window, and for tests. */
static void info_screen(struct mon *mon, char *args)
{
    const size_t size = 64 * KiB; /* the largest text mode takes less */
    const struct display_source *display = machine_display(mon->machine);
    char *text;
    if (!mon_no_more(mon, args))
        return;
    if (!display) {
        mon_printf(mon, "there is no display (-vga none)\n");
        return;
    }
    text = malloc(size);
    if (!text)
        mon_printf(mon, "out of memory\n");
    else if (!display->text(display->opaque, text, size))
        mon_printf(mon, "the screen shows no text: screendump makes a picture of it\n");
    else
        mon->write(mon->opaque, text, strlen(text));
    free(text);
}

/* --- back-ends --- */

static void one_chardev(struct mon *mon, const char *label, const char *spec)
{
    if (spec)
        mon_printf(mon, "%s: filename=%s\n", label, spec);
}

static void info_chardev(struct mon *mon, char *args)
{
    (void)args;
    const struct vm_config *cfg = machine_config(mon->machine);
    for (unsigned i = 0; i < cfg->serials; i++) {
        char label[24];
        snprintf(label, sizeof label, "serial%u", i);
        one_chardev(mon, label, cfg->serial[i]);
    }
    one_chardev(mon, "parallel0", cfg->parallel);
    one_chardev(mon, "mux-monitor", cfg->mux_monitor);
    for (unsigned i = 0; i < cfg->monitors; i++) {
        char label[24];
        snprintf(label, sizeof label, "monitor%u", i);
        one_chardev(mon, i ? label : "monitor", cfg->monitor[i]);
    }
    one_chardev(mon, "debugcon", cfg->debugcon);
    for (unsigned i = 0; i < cfg->consoles; i++) {
        char label[24];
        snprintf(label, sizeof label, "debugcon-%x", cfg->console[i].port);
        one_chardev(mon, label, cfg->console[i].spec);
    }
    if (*machine_gdb(mon->machine))
        one_chardev(mon, "gdb", cfg->gdb);
}

/* --- the machine as a whole --- */

static void info_status(struct mon *mon, char *args)
{
    static const char *const why[] = {
        [STOP_NONE] = "",
        [STOP_USER] = "",
        [STOP_BREAKPOINT] = " (debug)",
        [STOP_WATCHPOINT] = " (debug)",
        [STOP_STEP] = " (debug)",
        [STOP_SHUTDOWN] = " (shutdown)",
    };
    (void)args;
    const enum stop_reason reason = machine_stop_reason(mon->machine);
    if (machine_running(mon->machine))
        mon_printf(mon, "VM status: running\n");
    else if (machine_config(mon->machine)->start_paused && machine_time_ns(mon->machine) == 0)
        mon_printf(mon, "VM status: paused (prelaunch)\n");
    else
        mon_printf(mon, "VM status: paused%s\n", why[reason]);
}

static void info_version(struct mon *mon, char *args)
{
    (void)args;
    const char *version = machine_config(mon->machine)->version;
    mon_printf(mon, "Vitrine %s\n", version ? version : "(unknown)");
}

static void info_stats(struct mon *mon, char *args)
{
    (void)args;
    machine_print_stats(mon->machine, mon_line, mon);
}

static void info_jit(struct mon *mon, char *args)
{
    (void)args;
    machine_print_jit(mon->machine, mon_line, mon);
}

static void info_name(struct mon *mon, char *args)
{
    (void)args;
    const char *name = machine_config(mon->machine)->name;
    if (name)
        mon_printf(mon, "%s\n", name);
}

static void info_uuid(struct mon *mon, char *args)
{
    (void)args;
    const uint8_t *u = machine_config(mon->machine)->uuid;
    for (unsigned i = 0; i < 16; i++)
        mon_printf(mon, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", u[i]);
    mon_printf(mon, "\n");
}

static const struct mon_command infos[] = {
    {"block", NULL, "", "the drives and what is in them", mon_info_block},
    {"chardev", NULL, "", "where consoles lead", info_chardev},
    {"cpus", NULL, "", "the CPUs and where they are", info_cpus},
    {"device", NULL, "[NAME]", "all fields of a device", info_device},
    {"fault", NULL, "[N|-l]", "why the last exceptions were raised", info_fault},
    {"ioports", NULL, "", "who answers at which port", info_ioports},
    {"jit", NULL, "", "what the translator did, and the memory in use", info_jit},
    {"lapic", NULL, "[ID]", "the local APIC", info_lapic},
    {"mem", NULL, "", "ranges of linear memory that are mapped", info_mem},
    {"mtree", NULL, "", "the physical map and the ports", info_mtree},
    {"name", NULL, "", "the machine's name", info_name},
    {"pci", NULL, "", "PCI functions", info_pci},
    {"pic", NULL, "", "the interrupt controllers", info_pic},
    {"qtree", NULL, "", "the devices", info_qtree},
    {"registers", NULL, "[-a|CPU]", "the CPU's registers", info_registers},
    {"screen", NULL, "", "the text on the screen", info_screen},
    {"stats", NULL, "", "what has been counted", info_stats},
    {"status", NULL, "", "running or paused", info_status},
    {"tlb", NULL, "", "every page that is mapped", info_tlb},
    {"uuid", NULL, "", "the machine's UUID", info_uuid},
    {"version", NULL, "", "which Vitrine this is", info_version},
};

const struct mon_command *mon_info_commands(size_t *count)
{
    *count = ARRAY_SIZE(infos);
    return infos;
}

void mon_cmd_info(struct mon *mon, char *args)
{
    const char *word = mon_word(&args);
    for (unsigned i = 0; i < ARRAY_SIZE(infos); i++) {
        if (!word)
            mon_printf(mon, "info %s%s%s -- %s\n", infos[i].name, *infos[i].args ? " " : "",
                       infos[i].args, infos[i].help);
        else if (strcmp(word, infos[i].name) == 0) {
            infos[i].run(mon, args);
            return;
        }
    }
    char name[64];
    snprintf(name, sizeof name, "info %s", word ? word : "");
    if (!word || mon_lacking(mon, name))
        return;
    const char *near = word_nearest(word, infos, sizeof *infos, ARRAY_SIZE(infos));
    if (near)
        mon_printf(mon, "unknown command: 'info %s', did you mean 'info %s'?\n", word, near);
    else
        mon_printf(mon, "unknown command: 'info %s'\n", word);
}
