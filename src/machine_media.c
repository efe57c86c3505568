/*
 * Media of a running machine: which drives there are, taking out and putting in. What the guest
 * notices of it goes through the door (DOOR_CONTROL), by the words of the monitor's command.
 */
#include "machine_internal.h"

#include "core/words.h"

#include <stdio.h>
#include <sys/stat.h>

static struct blk **slot_of(struct machine *m, const struct config_drive *d)
{
    if (d->bus == DRIVE_NONE)
        return NULL;
    return d->bus == DRIVE_FLOPPY ? &m->pc.floppy[d->index] : &m->pc.disk[d->index];
}

bool machine_drive(struct machine *m, unsigned n, struct machine_drive *drive)
{
    if (n >= m->cfg.drives)
        return false;
    const struct config_drive *d = &m->cfg.drive[n];
    struct blk **slot = slot_of(m, d);
    *drive = (struct machine_drive){.cfg = d, .file = slot ? NULL : d->file};
    config_drive_name(d, drive->name);
    if (slot && *slot) {
        drive->file = (*slot)->path;
        drive->readonly = (*slot)->readonly;
    }
    if (d->bus == DRIVE_FLOPPY)
        drive->floppy = floppy_type_name(m->pc.floppy_type[d->index]);
    if (d->bus == DRIVE_IDE && d->cdrom) {
        drive->locked = ide_disc_locked(m->pc.ide, (unsigned)d->index);
        drive->tray_open = ide_tray_open(m->pc.ide, (unsigned)d->index);
    }
    return true;
}

/* The drive of that name, which can be opened; NULL with err. */
static const struct config_drive *find(struct machine *m, const char *name, struct error *err)
{
    static const struct config_drive *const none = NULL;
    char names[CONFIG_MAX_DRIVES][CONFIG_DRIVE_NAME];
    const char *list[CONFIG_MAX_DRIVES];
    for (unsigned i = 0; i < m->cfg.drives; i++) {
        const struct config_drive *d = &m->cfg.drive[i];
        config_drive_name(d, names[i]);
        list[i] = names[i];
        if (strcmp(names[i], name) != 0)
            continue;
        if (d->bus != DRIVE_NONE && config_drive_removable(d))
            return d;
        error_set(err, "what is in %s cannot be changed, it is no CD-ROM or floppy drive", name);
        return none;
    }
    const char *near = word_nearest(name, list, sizeof *list, m->cfg.drives);
    if (near)
        error_set(err, "there is no drive %s, did you mean %s?", name, near);
    else
        error_set(err, "there is no drive %s, see info block", name);
    return none;
}

/* The guest has not locked the disc, or lost it anyway; else it is asked for it. */
static bool may_open(struct machine *m, const struct config_drive *d, const char *name, bool force,
                     struct error *err)
{
    const unsigned n = (unsigned)d->index;
    if (!d->cdrom || force || !ide_disc_locked(m->pc.ide, n) || ide_tray_open(m->pc.ide, n))
        return true;
    door_enter(&m->door, DOOR_CONTROL, "eject request", 13);
    ide_request_eject(m->pc.ide, n);
    return error_set(err,
                     "%s is locked by the guest, which has been asked to let go; try again, or -f "
                     "takes it by force",
                     name);
}

/* False: what was written to the medium last may be lost. */
static bool swap(struct machine *m, const struct config_drive *d, struct blk *medium,
                 struct error *err)
{
    struct blk **slot = slot_of(m, d), *old = *slot;
    if (d->bus == DRIVE_FLOPPY)
        fdc_change_disk(m->pc.fdc, (unsigned)d->index, medium);
    else
        ide_change_disc(m->pc.ide, (unsigned)d->index, medium);
    *slot = medium;
    return blk_close(old, err);
}

/* A disk that is to be read again is locked as long as it is in the drive. */
static bool same_file(const struct blk *blk, const char *path)
{
    struct stat a, b;
    return blk && stat(blk->path, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static bool take_out(struct machine *m, const struct config_drive *d, const char *name,
                     struct error *err)
{
    char words[256];
    snprintf(words, sizeof words, "eject %s", name);
    door_enter(&m->door, DOOR_CONTROL, words, strlen(words));
    return swap(m, d, NULL, err);
}

static bool put_in(struct machine *m, const struct config_drive *d, const char *name,
                   struct blk *medium, struct error *err)
{
    char words[256];
    snprintf(words, sizeof words, "change %s %s", name, medium->path);
    door_enter(&m->door, DOOR_CONTROL, words, strlen(words));
    return swap(m, d, medium, err);
}

/* What had to be taken out first could not be opened as asked: it goes back in as it was. */
static void restore(struct machine *m, const struct config_drive *d, const char *name,
                    const char *path, struct error *err)
{
    struct config_drive as = *d;
    as.readonly = false;
    struct blk *medium = pc_open_image(&m->pc, &as, path, "raw", NULL);
    if (medium)
        put_in(m, d, name, medium, err);
    else
        error_prefix(err, "%s is empty now", name);
}

bool machine_eject(struct machine *m, const char *name, bool force, struct error *err)
{
    const struct config_drive *d = find(m, name, err);
    return d && may_open(m, d, name, force, err) && take_out(m, d, name, err);
}

bool machine_change(struct machine *m, const char *name, const char *path, const char *format,
                    const char *readonly, bool force, struct error *err)
{
    const struct config_drive *d = find(m, name, err);
    if (!d || !may_open(m, d, name, force, err))
        return false;
    struct config_drive as = *d;
    if (readonly && strcmp(readonly, "retain") != 0)
        as.readonly = strcmp(readonly, "read-only") == 0;
    const struct blk *old = *slot_of(m, d);
    const bool first_out = same_file(old, path) && !old->readonly;
    if (first_out && !take_out(m, d, name, err))
        return false;
    struct blk *medium = pc_open_image(&m->pc, &as, path, format, err);
    if (medium)
        return put_in(m, d, name, medium, err);
    if (first_out)
        restore(m, d, name, path, err);
    return false;
}
