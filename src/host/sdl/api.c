/*
 * See api.h. The library stays mapped once it was loaded: what it and the libraries below it leave
 * to be done at exit must still be there.
 */
#define _GNU_SOURCE
#include "host/sdl/api.h"

#include <dlfcn.h>

#define LIBRARY "libSDL2-2.0.so.0"

bool sdl_load(struct sdl *sdl, struct error *err)
{
    *sdl = (struct sdl){.library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)};
    if (!sdl->library)
        return error_set(err, "SDL 2 is missing (%s); install libsdl2-2.0-0", dlerror());
#define SDL_LOOK_UP(name)                                                                        \
    sdl->name = (__typeof__(SDL_##name) *)dlsym(sdl->library, "SDL_" #name);                     \
    if (!sdl->name) {                                                                            \
        sdl_unload(sdl);                                                                         \
        return error_set(err,                                                                    \
                         LIBRARY " is too old: it has no SDL_" #name "; install a newer SDL 2"); \
    }
    SDL_FUNCTIONS(SDL_LOOK_UP)
#undef SDL_LOOK_UP
    return true;
}

void sdl_unload(struct sdl *sdl)
{
    if (sdl->library)
        dlclose(sdl->library);
    *sdl = (struct sdl){0};
}
