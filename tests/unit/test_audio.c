/* Sound to a file: what does not fit into a WAVE file is told, and what does can be played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "host/audio.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_too_long(void **state)
{
    (void)state;
    char path[] = "/tmp/vitrine-audio-XXXXXX";
    close(mkstemp(path));
    struct error err = {0};
    const struct config_audio cfg = {.id = "snd", .path = path, .rate_hz = 44100};
    struct audio *a = audio_wav_open(&cfg, &err);
    assert_non_null(a);
    const int16_t two[2] = {1000, -1000};
    a->ops->write(a, 10, two, 2);
    a->ops->write(a, UINT64_C(1) << 31, two, 2); /* 4 GiB of 16 bits each */
    assert_false(a->ops->close(a, &err));
    assert_non_null(strstr(err.msg, "is not complete: File too large"));

    uint8_t file[128];
    FILE *f = fopen(path, "rb");
    assert_int_equal(fread(file, 1, sizeof file, f), 44 + 12 * 2);
    fclose(f);
    assert_int_equal(ld32(file + 40), 12 * 2);
    assert_int_equal(ld16(file + 44 + 10 * 2), 1000);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_too_long)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
