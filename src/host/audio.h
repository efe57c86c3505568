/*
 * Where sound goes: samples of one channel, signed 16 bits, numbered in guest time from power-on.
 * audio_wav.c writes them to a file, sdl/audio.c plays them.
 */
#ifndef VITRINE_HOST_AUDIO_H
#define VITRINE_HOST_AUDIO_H

#include "config.h"
#include "core/log.h"

struct audio;

struct audio_ops {
    /* count samples, the first of which is number at; what lies between two calls is silence. */
    void (*write)(struct audio *a, uint64_t at, const int16_t *samples, size_t count);
    /* False and err when what was written is not complete. */
    bool (*close)(struct audio *a, struct error *err);
};

struct audio {
    const struct audio_ops *ops;
    uint32_t rate_hz;
};

struct audio *audio_wav_open(const struct config_audio *cfg, struct error *err);

/* at_once: opened here, and err when it cannot be. Else at the first sound, and a word to the log.
 */
struct audio *audio_sdl_open(const struct config_audio *cfg, bool at_once, struct log *log,
                             struct error *err);

#endif
