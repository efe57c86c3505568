/*
 * Sound to a file: RIFF WAVE, PCM, one channel of 16 bits (Microsoft, "Multimedia Programming
 * Interface and Data Specifications" 1.0, "WAVE"). A sample stands where its time is, so a file
 * begins at power-on; silence is left out of what is written and costs no disk (a hole). It ends
 * with the last sound.
 */
#include "host/audio.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEADER_BYTES = 44, SAMPLE_BYTES = 2 };

/* Sizes in the file have 32 bits; about twelve hours. */
#define MAX_SAMPLES ((UINT32_MAX - HEADER_BYTES) / SAMPLE_BYTES)

struct audio_wav {
    struct audio base;
    FILE *file;
    char *path;
    uint64_t samples; /* the file's length so far */
    int failure;      /* errno of the first write that failed; EFBIG: there was more sound */
};

static bool put_header(struct audio_wav *w)
{
    uint8_t h[HEADER_BYTES] = "RIFF....WAVEfmt ....";
    const uint32_t bytes = (uint32_t)w->samples * SAMPLE_BYTES;
    st32(h + 4, HEADER_BYTES - 8 + bytes);
    st32(h + 16, 16);
    st16(h + 20, 1); /* PCM */
    st16(h + 22, 1); /* channels */
    st32(h + 24, w->base.rate_hz);
    st32(h + 28, w->base.rate_hz * SAMPLE_BYTES);
    st16(h + 32, SAMPLE_BYTES);
    st16(h + 34, 8 * SAMPLE_BYTES);
    memcpy(h + 36, "data", 4);
    st32(h + 40, bytes);
    return fseeko(w->file, 0, SEEK_SET) == 0 && fwrite(h, sizeof h, 1, w->file) == 1;
}

static void wav_write(struct audio *a, uint64_t at, const int16_t *samples, size_t count)
{
    struct audio_wav *w = container_of(a, struct audio_wav, base);
    if (w->failure)
        return;
    if (at >= MAX_SAMPLES || count > MAX_SAMPLES - at) {
        w->failure = EFBIG;
        return;
    }
    if (at != w->samples &&
        fseeko(w->file, (off_t)(HEADER_BYTES + at * SAMPLE_BYTES), SEEK_SET) != 0) {
        w->failure = errno;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint8_t sample[SAMPLE_BYTES];
        st16(sample, (uint16_t)samples[i]);
        if (fwrite(sample, sizeof sample, 1, w->file) != 1) {
            w->failure = errno;
            return;
        }
    }
    w->samples = at + count;
}

static bool wav_close(struct audio *a, struct error *err)
{
    struct audio_wav *w = container_of(a, struct audio_wav, base);
    if (!put_header(w) && !w->failure) /* what there is can be played */
        w->failure = errno;
    if (fclose(w->file) != 0 && !w->failure)
        w->failure = errno;
    const bool ok = !w->failure || error_set(err, "-audiodev: %s is not complete: %s", w->path,
                                             strerror(w->failure));
    free(w->path);
    free(w);
    return ok;
}

static const struct audio_ops wav_ops = {.write = wav_write, .close = wav_close};

struct audio *audio_wav_open(const struct config_audio *cfg, struct error *err)
{
    struct audio_wav *w = calloc(1, sizeof *w);
    if (!w || !(w->path = strdup(cfg->path))) {
        error_set(err, "out of memory");
        goto fail;
    }
    w->base = (struct audio){&wav_ops, cfg->rate_hz};
    w->file = fopen(cfg->path, "wbe");
    if (w->file && put_header(w) && fflush(w->file) == 0)
        return &w->base;
    error_set(err, "-audiodev %s: %s: %s", cfg->id, cfg->path, strerror(errno));
    if (w->file)
        fclose(w->file);
fail:
    if (w)
        free(w->path);
    free(w);
    return NULL;
}
