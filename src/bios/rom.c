/* See rom.h. */
#define _GNU_SOURCE
#include "bios/rom.h"
#include "host/file.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROM_OPTION_MAX_BYTES (16 * MiB) /* more than the 128 KiB a legacy one can have */

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* dir/name as a new string if there is such a file. */
static char *in_dir(const char *dir, const char *name)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", dir, name) < 0)
        return NULL;
    if (is_file(path))
        return path;
    free(path);
    return NULL;
}

/* Relative to where the running program lies: a build directory in the source, or an installation.
 */
static char *near_program(const char *name)
{
    static const char *const places[] = {"/roms", "/../roms", "/../../roms", "/../../../roms",
                                         "/../share/vitrine"};
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return NULL;
    self[n] = 0;
    char *slash = strrchr(self, '/');
    if (!slash)
        return NULL;
    size_t room = sizeof self - (size_t)(slash - self);
    char *path = NULL;
    for (size_t i = 0; !path && i < ARRAY_SIZE(places); i++)
        if ((size_t)snprintf(slash, room, "%s", places[i]) < room)
            path = in_dir(self, name);
    return path;
}

char *rom_find(const struct vm_config *cfg, const char *name, struct error *err)
{
    static const char *const system_dirs[] = {"/usr/share/seabios", "/usr/share/qemu",
                                              "/usr/share/ovmf"};
    /* What there is under this very name is meant, even if it cannot be read: loading says so. */
    if (strchr(name, '/') || access(name, F_OK) == 0) {
        char *path = strdup(name);
        if (!path)
            error_set(err, "out of memory");
        return path;
    }
    char *path = NULL;
    for (unsigned i = 0; !path && i < cfg->data_dirs; i++)
        path = in_dir(cfg->data_dir[i], name);
    if (!path)
        path = near_program(name);
    for (size_t i = 0; !path && i < ARRAY_SIZE(system_dirs); i++)
        path = in_dir(system_dirs[i], name);
    if (!path)
        error_set(err,
                  "cannot find the ROM image '%s' here, in roms beside the program, in "
                  "/usr/share/seabios or in /usr/share/qemu: say where it is with -L DIR (SeaBIOS' "
                  "are in Debian's package seabios)",
                  name);
    return path;
}

void *rom_read_file(const char *path, const char *what, uint64_t max_bytes, size_t *len,
                    struct error *err)
{
    struct host_file *f = host_file_open(path, what, max_bytes, err);
    if (!f)
        return NULL;
    *len = host_file_bytes(f);
    void *data = malloc(*len ? *len : 1);
    if (!data) {
        error_set(err, "%s '%s': %s", what, path, strerror(errno));
    } else if (!host_file_read(f, 0, data, *len, err)) {
        free(data);
        data = NULL;
    }
    host_file_close(f);
    return data;
}

/* Memory of room bytes that starts with the image. */
static bool place(struct ram *ram, const void *image, size_t len, uint64_t room, struct rom *rom,
                  struct error *err)
{
    *rom = (struct rom){ram_alloc(ram, room), room};
    if (rom->at == RAM_NONE)
        return error_set(err, "no room for a ROM of %" PRIu64 " bytes", room);
    memcpy(ram_host(ram, rom->at), image, len);
    return true;
}

bool rom_load_bios(const struct vm_config *cfg, struct ram *ram, struct rom *rom, struct error *err)
{
    char *path = rom_find(cfg, cfg->bios ? cfg->bios : ROM_DEFAULT_BIOS, err);
    size_t len = 0;
    void *image = path ? rom_read_file(path, "firmware", ROM_BIOS_MAX_BYTES, &len, err) : NULL;
    bool ok = image != NULL;
    if (ok && (len == 0 || len % (64 * KiB)))
        ok = error_set(err,
                       "firmware '%s': its size of %zu bytes is not a multiple of 64 KiB: is it a "
                       "firmware image?",
                       path, len);
    ok = ok && place(ram, image, len, len, rom, err);
    free(image);
    free(path);
    return ok;
}

bool rom_check_option(const uint8_t *image, size_t len, const char **why)
{
    if (len < 3 || image[0] != 0x55 || image[1] != 0xaa) {
        *why = "it does not start with 55h AAh";
        return false;
    }
    size_t used = image[2] * 512u;
    if (used == 0 || used > len) {
        *why = "its length byte says more than there is";
        return false;
    }
    uint8_t sum = 0;
    for (size_t i = 0; i < used; i++)
        sum = (uint8_t)(sum + image[i]);
    *why = "its checksum is wrong";
    return sum == 0;
}

bool rom_load_option(const struct vm_config *cfg, const char *name, struct ram *ram,
                     struct rom *rom, struct error *err)
{
    const char *why = NULL;
    char *path = rom_find(cfg, name, err);
    size_t len = 0;
    void *image = path ? rom_read_file(path, "option ROM", ROM_OPTION_MAX_BYTES, &len, err) : NULL;
    bool ok = image != NULL;
    if (ok && !rom_check_option(image, len, &why))
        ok = error_set(err, "option ROM '%s': %s", path, why);
    uint64_t room = 2 * KiB;
    while (room < len)
        room *= 2;
    ok = ok && place(ram, image, len, room, rom, err);
    free(image);
    free(path);
    return ok;
}
