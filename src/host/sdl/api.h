/*
 * SDL 2, loaded when a window or sound is asked for and not before: the program does not need it to
 * start. What of it is used is named once, in SDL_FUNCTIONS; sdl->CreateWindow() is
 * SDL_CreateWindow() with its type from SDL's own headers.
 */
#ifndef VITRINE_HOST_SDL_API_H
#define VITRINE_HOST_SDL_API_H

#include "core/error.h"
#include "core/types.h"

#define SDL_MAIN_HANDLED /* main() is ours */
#include <SDL.h>

#define SDL_FUNCTIONS(F)        \
    F(InitSubSystem)            \
    F(QuitSubSystem)            \
    F(GetError)                 \
    F(SetHintWithPriority)      \
    F(CreateWindow)             \
    F(DestroyWindow)            \
    F(GetWindowFlags)           \
    F(GetWindowSize)            \
    F(SetWindowSize)            \
    F(SetWindowTitle)           \
    F(SetWindowMinimumSize)     \
    F(SetWindowFullscreen)      \
    F(SetWindowKeyboardGrab)    \
    F(SetRelativeMouseMode)     \
    F(StopTextInput)            \
    F(GetWindowSurface)         \
    F(UpdateWindowSurfaceRects) \
    F(FillRect)                 \
    F(LockSurface)              \
    F(UnlockSurface)            \
    F(ConvertPixels)            \
    F(PushEvent)                \
    F(WaitEventTimeout)         \
    F(PollEvent)                \
    F(OpenAudioDevice)          \
    F(CloseAudioDevice)         \
    F(PauseAudioDevice)         \
    F(QueueAudio)               \
    F(GetQueuedAudioSize)

struct sdl {
    void *library;
#define SDL_POINTER(name) __typeof__(SDL_##name) *name;
    SDL_FUNCTIONS(SDL_POINTER)
#undef SDL_POINTER
};

/* False and err, with what to install, when there is none. */
bool sdl_load(struct sdl *sdl, struct error *err);
void sdl_unload(struct sdl *sdl);

#endif
