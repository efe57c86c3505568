// Real programs, as Debian ships them, and their inputs. They run in the root of the suite's disk,
// in /bench.
//
// What they print is hashed, and has to be the same on every machine as natively; so nothing here
// prints a time, an address or a version.
#include <stdio.h>
#include <string.h>
#include "bench.h"

const struct command commands[] = {
    // name, group, unit, units, command
    {"xz_c", "real", "byte", 196608, "head -c 196608 text | xz -6 -T1 -c"},
    {"xz_d", "real", "byte", 8388608, "xz -dc text.xz"},
    {"gzip_c", "real", "byte", 2097152, "head -c 2097152 text | gzip -n -c"},
    {"sha256", "real", "byte", 12 * 8388608,
     "openssl dgst -sha256 text text text text text text text text text text "
     "text text"},
    {"aes128cbc", "real", "byte", 4 * 8388608,
     "for i in 1 2 3 4; do openssl enc -aes-128-cbc -nosalt -K 000102030405060708090a0b0c0d0e0f "
     "-iv 0f0e0d0c0b0a09080706050403020100 -in text | tail -c 64; done"},
    {"modexp2048", "real", "run", 1, "openssl prime -hex $(cat prime.hex) | tail -c 12"},
    {"sqlite3", "real", "row", 60000, "sqlite3 :memory: <rows.sql"},
    {"python3", "real", "round", 6, "python3.11 -I -S mix.py 6"},
    {"perl", "real", "round", 20, "perl mix.pl 20"},
    {"lua", "real", "round", 20, "lua5.4 mix.lua 20"},
    {"cc1_O0", "real", "file", 7, "for f in *.i; do cc1 -fpreprocessed -quiet -O0 $f -o -; done"},
    {"cc1_O2", "real", "file", 3,
     "for f in main sha256c vm_call; do cc1 -fpreprocessed -quiet -O2 $f.i -o -; done"},
    {"sh_loop", "real", "run", 1, "sh loop.sh"},
    {"grep", "regex", "byte", 8388608,
     "grep -E -c '(st|th)[a-z]*(ing|ed)[,.]? (pr|un)[a-z]+' text"},
    {"re_perl", "regex", "byte", 2097152, "perl match.pl"},
    {"re_python", "regex", "byte", 524288, "python3.11 -I -S match.py"},
    {"luajit_num", "jit", "run", 1, "luajit numbers.lua"},
    {"luajit_mix", "jit", "round", 20, "luajit mix.lua 20"},
    {"node_num", "jit", "run", 1, "node numbers.js"},
    {"node_obj", "jit", "run", 1, "node objects.js"},
    {.name = NULL},
};

// Words by a fixed chance, in sentences and lines: compresses about like English does.
static int write_text(uint64_t bytes)
{
    static const char *const start[] = {"st", "th", "b",  "c",  "pr", "m", "an",
                                        "s",  "w",  "tr", "re", "un", "f", "d"};
    static const char *const middle[] = {"a",  "e",  "i",  "o",  "u", "ou",
                                         "ea", "er", "or", "al", "en"};
    static const char *const end[] = {"nd", "ing", "ed", "t",  "s",    "ly",
                                      "r",  "ter", "n",  "ss", "tion", "le"};
    uint64_t seed = 2463534242u, written = 0, column = 0;
    while (written < bytes) {
        // Two draws of which the less is taken: few words are common, many rare.
        const uint64_t a = bench_random(&seed) >> 45, b = bench_random(&seed) >> 45;
        uint64_t pick = (a < b ? a : b) * 97 >> 10;
        char word[64];
        const char *stop = bench_random(&seed) >> 60 ? "" : pick & 1 ? "," : ".";
        int n = snprintf(word, sizeof word, "%s%s%s%s", start[pick % 14], middle[pick / 14 % 11],
                         pick % 3 ? end[pick / 154 % 12] : "", stop);
        column += (uint64_t)n + 1;
        word[n++] = column > 72 ? '\n' : ' ';
        if (column > 72)
            column = 0;
        if ((uint64_t)n > bytes - written)
            n = (int)(bytes - written);
        fwrite(word, 1, (size_t)n, stdout);
        written += (uint64_t)n;
    }
    return fflush(stdout) != 0;
}

int write_data(const char *kind, uint64_t bytes)
{
    if (!strcmp(kind, "text"))
        return write_text(bytes);
    if (!strcmp(kind, "prime")) { // 2^2203 - 1
        fputc('7', stdout);
        for (int i = 0; i < 550; i++)
            fputc('F', stdout);
        return fflush(stdout) != 0;
    }
    return 2;
}
