/*
 * Sound by SDL 2, which plays what is queued on a thread of its own. The queue evens out that guest
 * time comes in pieces: it starts with a little silence, and what would make it longer than a fifth
 * of a second (a guest ahead of the clock, as under -icount) is dropped.
 */
#include "host/audio.h"
#include "host/sdl/api.h"

#include <stdlib.h>

#define HEAD_START_PART 33 /* of a second of silence before the first sound: 30 ms */
#define LONGEST_PART    5

struct audio_sdl {
    struct audio base;
    struct sdl sdl;
    SDL_AudioDeviceID device; /* 0: not open */
    bool tried;
    struct log *log;
};

static bool open_device(struct audio_sdl *a, struct error *err)
{
    a->tried = true;
    if (!sdl_load(&a->sdl, err))
        return false;
    a->sdl.SetHintWithPriority(SDL_HINT_NO_SIGNAL_HANDLERS, "1", SDL_HINT_OVERRIDE);
    a->sdl.SetHintWithPriority(SDL_HINT_APP_NAME, "Vitrine", SDL_HINT_OVERRIDE);
    if (a->sdl.InitSubSystem(SDL_INIT_AUDIO) != 0) {
        error_set(err, "no sound: %s", a->sdl.GetError());
        goto fail_library;
    }
    const SDL_AudioSpec want = {
        .freq = (int)a->base.rate_hz, .format = AUDIO_S16SYS, .channels = 1, .samples = 512};
    a->device = a->sdl.OpenAudioDevice(NULL, 0, &want, NULL, 0); /* SDL converts what differs */
    if (!a->device) {
        error_set(err, "no sound: %s", a->sdl.GetError());
        goto fail_audio;
    }
    a->sdl.PauseAudioDevice(a->device, 0);
    return true;
fail_audio:
    a->sdl.QuitSubSystem(SDL_INIT_AUDIO);
fail_library:
    sdl_unload(&a->sdl);
    return false;
}

static void sdl_write(struct audio *audio, uint64_t at, const int16_t *samples, size_t count)
{
    struct audio_sdl *a = container_of(audio, struct audio_sdl, base);
    static const int16_t silence[48000 / HEAD_START_PART];
    struct error err = {0};
    (void)at;
    if (!a->tried && !open_device(a, &err))
        log_line(a->log, LOG_HOST, "%s", err.msg);
    if (!a->device)
        return;
    const uint32_t queued = a->sdl.GetQueuedAudioSize(a->device) / sizeof *samples;
    if (queued > a->base.rate_hz / LONGEST_PART)
        return;
    if (!queued)
        a->sdl.QueueAudio(a->device, silence,
                          (Uint32)MIN(sizeof silence, a->base.rate_hz / HEAD_START_PART * 2));
    a->sdl.QueueAudio(a->device, samples, (Uint32)(count * sizeof *samples));
}

static bool sdl_close(struct audio *audio, struct error *err)
{
    struct audio_sdl *a = container_of(audio, struct audio_sdl, base);
    (void)err;
    if (a->device) {
        a->sdl.CloseAudioDevice(a->device);
        a->sdl.QuitSubSystem(SDL_INIT_AUDIO);
        sdl_unload(&a->sdl);
    }
    free(a);
    return true;
}

static const struct audio_ops sdl_ops = {.write = sdl_write, .close = sdl_close};

struct audio *audio_sdl_open(const struct config_audio *cfg, bool at_once, struct log *log,
                             struct error *err)
{
    struct audio_sdl *a = calloc(1, sizeof *a);
    if (!a) {
        error_set(err, "out of memory");
        return NULL;
    }
    a->base = (struct audio){&sdl_ops, cfg->rate_hz};
    a->log = log;
    if (!at_once || open_device(a, err))
        return &a->base;
    error_prefix(err, "-audiodev %s", cfg->id);
    free(a);
    return NULL;
}
