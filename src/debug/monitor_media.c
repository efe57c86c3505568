/* The monitor's commands about drives: info block, eject, change. Names and words are QEMU's. */
#include "debug/monitor_cmd.h"

#include <string.h>

static void attachment(struct mon *mon, const struct machine_drive *d)
{
    if (d->cfg->bus == DRIVE_IDE)
        mon_printf(mon, "    Attached to:      ide.%d unit %d\n", d->cfg->index / 2,
                   d->cfg->index % 2);
    else if (d->cfg->bus == DRIVE_FLOPPY)
        mon_printf(mon, "    Attached to:      fdc unit %d, a %s drive\n", d->cfg->index,
                   d->floppy);
    if (config_drive_removable(d->cfg) && d->cfg->bus != DRIVE_NONE)
        mon_printf(mon, "    Removable device: %slocked, tray %s\n", d->locked ? "" : "not ",
                   d->tray_open ? "open" : "closed");
}

void mon_info_block(struct mon *mon, char *args)
{
    struct machine_drive d;
    (void)args;
    for (unsigned i = 0; machine_drive(mon->machine, i, &d); i++) {
        if (d.file)
            mon_printf(mon, "%s: %s (raw%s%s)\n", d.name, d.file, d.readonly ? ", read-only" : "",
                       d.cfg->snapshot && !d.cfg->cdrom ? ", snapshot" : "");
        else
            mon_printf(mon, "%s: [not inserted]\n", d.name);
        attachment(mon, &d);
    }
}

static bool take_force(char **args)
{
    while (**args == ' ')
        ++*args;
    if (strncmp(*args, "-f", 2) != 0 || ((*args)[2] && (*args)[2] != ' '))
        return false;
    *args += 2;
    return true;
}

void mon_cmd_eject(struct mon *mon, char *args)
{
    struct error err = {0};
    const bool force = take_force(&args);
    const char *name = mon_word(&args);
    if (!name)
        mon_printf(mon, "which drive? see info block\n");
    else if (mon_no_more(mon, args) && !machine_eject(mon->machine, name, force, &err))
        mon_printf(mon, "%s\n", err.msg);
}

static bool mode_known(const char *mode)
{
    return !mode || !strcmp(mode, "retain") || !strcmp(mode, "read-only") ||
           !strcmp(mode, "read-write");
}

void mon_cmd_change(struct mon *mon, char *args)
{
    struct error err = {0};
    const bool force = take_force(&args);
    const char *name = mon_word(&args), *path = mon_word(&args);
    const char *format = path ? mon_word(&args) : NULL, *mode = format ? mon_word(&args) : NULL;
    if (!name)
        mon_printf(mon, "which drive? see info block\n");
    else if (!path)
        mon_printf(mon, "which file? change %s FILE\n", name);
    else if (!mode_known(mode))
        mon_printf(mon, "%s: there are retain, read-only and read-write\n", mode);
    else if (mon_no_more(mon, args) &&
             !machine_change(mon->machine, name, path, format, mode, force, &err))
        mon_printf(mon, "%s\n", err.msg);
}
