/*
 * All that libgcrypt computes, and its own self-test: libgcrypt [FEATURE...]. The features named
 * are not used, as libgcrypt calls them ("intel-avx2"); together they choose among its many
 * variants. One line for each algorithm with a checksum over its results.
 */
#include <gcrypt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "draw.h"

enum { MOST = 4096 };
static uint64_t seed;
static int wrong;

static void bytes(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(draw(&seed) >> 8);
}

static const size_t lengths[] = {0,   1,   15,  16,  17,  31,  32,   48,   63,   64,   65,
                                 80,  96,  112, 127, 128, 129, 144,  192,  255,  256,  288,
                                 320, 384, 511, 512, 513, 768, 1000, 1024, 1536, 2048, 4096};
enum { LENGTHS = sizeof lengths / sizeof lengths[0] };

static void report(const char *what, const char *name, uint64_t sum)
{
    printf("%s %s %016llx\n", what, name, (unsigned long long)sum);
}

static void failed(const char *what, const char *name, gcry_error_t err)
{
    printf("%s %s FAILED: %s\n", what, name, err ? gcry_strerror(err) : "wrong result");
    wrong++;
}

static void digests(void)
{
    static uint8_t in[MOST + 64], out[512];
    for (int algo = 1; algo < 400; algo++) {
        if (gcry_md_test_algo(algo))
            continue;
        gcry_md_hd_t md;
        gcry_error_t err = gcry_md_open(&md, algo, 0);
        uint64_t sum = 0;
        const size_t size = gcry_md_get_algo_dlen(algo);
        seed = 1;
        bytes(in, sizeof in);
        for (int i = 0; i < LENGTHS && !err; i++) {
            const uint8_t *p = in + i % 17;
            gcry_md_reset(md);
            for (size_t at = 0; at < lengths[i];) {
                size_t piece = 1 + below(&seed, 700);
                piece = piece < lengths[i] - at ? piece : lengths[i] - at;
                gcry_md_write(md, p + at, piece);
                at += piece;
            }
            if (size) {
                sum = mix_bytes(sum, gcry_md_read(md, algo), size);
                gcry_md_hash_buffer(algo, out, p, lengths[i]);
                if (memcmp(out, gcry_md_read(md, algo), size))
                    failed("digest, at once,", gcry_md_algo_name(algo), 0);
            } else { /* of any length */
                err = gcry_md_extract(md, algo, out, sizeof out);
                sum = mix_bytes(sum, out, sizeof out);
            }
        }
        if (err)
            failed("digest", gcry_md_algo_name(algo), err);
        report("digest", gcry_md_algo_name(algo), sum);
        gcry_md_close(md);
    }
}

struct mode {
    int id;
    const char *name;
    bool aead, stream;
};

static gcry_error_t start(gcry_cipher_hd_t c, const struct mode *m, int algo, size_t n)
{
    static uint8_t iv[16], aad[40];
    const size_t block = gcry_cipher_get_algo_blklen(algo);
    seed = 2 + n;
    bytes(iv, sizeof iv);
    bytes(aad, sizeof aad);
    gcry_error_t err = gcry_cipher_reset(c);
    switch (m->id) {
    case GCRY_CIPHER_MODE_ECB:
        return err;
    case GCRY_CIPHER_MODE_CTR:
        return gcry_cipher_setctr(c, iv, block);
    case GCRY_CIPHER_MODE_STREAM:
        return algo == GCRY_CIPHER_ARCFOUR ? 0 : gcry_cipher_setiv(c, iv, 8);
    case GCRY_CIPHER_MODE_POLY1305:
    case GCRY_CIPHER_MODE_OCB:
        err = gcry_cipher_setiv(c, iv, 12);
        break;
    case GCRY_CIPHER_MODE_CCM:
        err = gcry_cipher_setiv(c, iv, 12);
        const uint64_t params[3] = {n, sizeof aad, 16};
        if (!err)
            err = gcry_cipher_ctl(c, GCRYCTL_SET_CCM_LENGTHS, (void *)params, sizeof params);
        break;
    default:
        err = gcry_cipher_setiv(c, iv, m->id == GCRY_CIPHER_MODE_GCM ? 12 : block);
        break;
    }
    if (!err && m->aead)
        err = gcry_cipher_authenticate(c, aad, sizeof aad);
    return err;
}

/* There and back, in pieces of whole blocks. */
static gcry_error_t there_and_back(gcry_cipher_hd_t c, const struct mode *m, int algo, size_t n,
                                   uint64_t *sum)
{
    static uint8_t in[MOST + 64], out[MOST + 64], back[MOST + 64];
    uint8_t tag[16] = {0};
    const size_t block = gcry_cipher_get_algo_blklen(algo);
    const size_t tag_bytes = m->id == GCRY_CIPHER_MODE_EAX ? block : 16;
    const bool pieces =
        m->aead || m->stream || m->id == GCRY_CIPHER_MODE_ECB || m->id == GCRY_CIPHER_MODE_CBC;
    bytes(in, n + 64);
    const size_t off_in = below(&seed, 17), off_out = below(&seed, 17);
    for (int decrypt = 0; decrypt < 2; decrypt++) {
        gcry_error_t err = start(c, m, algo, n);
        uint64_t cuts = n + (uint64_t)decrypt;
        size_t at = 0;
        do { /* also without data, as authenticated modes want to hear of the end */
            if (err)
                break;
            size_t piece = pieces && below(&cuts, 2) ? 64 * (1 + below(&cuts, 40)) : n;
            piece = piece < n - at ? piece : n - at;
            if (at + piece == n && m->aead)
                gcry_cipher_final(c);
            if (decrypt)
                err = gcry_cipher_decrypt(c, back + at, piece, out + off_out + at, piece);
            else
                err = gcry_cipher_encrypt(c, out + off_out + at, piece, in + off_in + at, piece);
            at += piece;
        } while (at < n);
        if (!err && m->aead)
            err = decrypt ? gcry_cipher_checktag(c, tag, tag_bytes)
                          : gcry_cipher_gettag(c, tag, tag_bytes);
        if (err)
            return err;
    }
    *sum = mix_bytes(mix_bytes(*sum, out + off_out, n), tag, sizeof tag);
    if (memcmp(back, in + off_in, n))
        failed("cipher", gcry_cipher_algo_name(algo), 0);
    return 0;
}

/* Is there code for many blocks at once? */
static bool vectors(int algo)
{
    switch (algo) {
    case GCRY_CIPHER_AES128:
    case GCRY_CIPHER_AES256:
    case GCRY_CIPHER_CAMELLIA128:
    case GCRY_CIPHER_CAMELLIA256:
    case GCRY_CIPHER_SERPENT256:
    case GCRY_CIPHER_TWOFISH:
    case GCRY_CIPHER_SM4:
    case GCRY_CIPHER_CHACHA20:
    case GCRY_CIPHER_SALSA20:
        return true;
    default:
        return false; /* or it is what another key size of the same has */
    }
}

static void ciphers(void)
{
    static const struct mode modes[] = {{GCRY_CIPHER_MODE_ECB, "ecb", false, false},
                                        {GCRY_CIPHER_MODE_CBC, "cbc", false, false},
                                        {GCRY_CIPHER_MODE_CFB, "cfb", false, true},
                                        {GCRY_CIPHER_MODE_CFB8, "cfb8", false, true},
                                        {GCRY_CIPHER_MODE_OFB, "ofb", false, true},
                                        {GCRY_CIPHER_MODE_CTR, "ctr", false, true},
                                        {GCRY_CIPHER_MODE_CCM, "ccm", true, false},
                                        {GCRY_CIPHER_MODE_GCM, "gcm", true, false},
                                        {GCRY_CIPHER_MODE_OCB, "ocb", true, false},
                                        {GCRY_CIPHER_MODE_EAX, "eax", true, false},
                                        {GCRY_CIPHER_MODE_XTS, "xts", false, false},
                                        {GCRY_CIPHER_MODE_STREAM, "stream", false, true},
                                        {GCRY_CIPHER_MODE_POLY1305, "poly1305", true, false}};
    for (int algo = 1; algo < 400; algo++) {
        if (gcry_cipher_test_algo(algo))
            continue;
        const size_t block = gcry_cipher_get_algo_blklen(algo);
        for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
            const struct mode *m = &modes[i];
            gcry_cipher_hd_t c;
            if (gcry_cipher_open(&c, algo, m->id, 0))
                continue; /* does not go together */
            char name[64];
            uint8_t key[128];
            uint64_t sum = 0;
            snprintf(name, sizeof name, "%s-%s", gcry_cipher_algo_name(algo), m->name);
            seed = 3;
            bytes(key, sizeof key);
            const size_t key_bytes =
                gcry_cipher_get_algo_keylen(algo) * (m->id == GCRY_CIPHER_MODE_XTS ? 2 : 1);
            const size_t least = m->id == GCRY_CIPHER_MODE_XTS ? 16 : 0;
            const size_t most = m->id == GCRY_CIPHER_MODE_CFB8 ? 64 : vectors(algo) ? MOST : 600;
            gcry_error_t err = gcry_cipher_setkey(c, key, key_bytes);
            for (int l = 0; l < LENGTHS && !err; l++) {
                const size_t n = m->aead || m->stream ? lengths[l] : lengths[l] / block * block;
                if (n < least || n > most)
                    continue;
                err = there_and_back(c, m, algo, n, &sum);
            }
            gcry_cipher_close(c);
            if (err)
                failed("cipher", name, err);
            else
                report("cipher", name, sum);
        }
    }
}

static void macs(void)
{
    static uint8_t in[MOST];
    for (int algo = 1; algo < 800; algo++) {
        if (gcry_mac_test_algo(algo))
            continue;
        gcry_mac_hd_t mac;
        uint8_t key[64], iv[16], out[512];
        uint64_t sum = 0;
        seed = 4;
        bytes(in, sizeof in);
        bytes(key, sizeof key);
        bytes(iv, sizeof iv);
        const unsigned key_bytes = gcry_mac_get_algo_keylen(algo);
        gcry_error_t err = gcry_mac_open(&mac, algo, 0, NULL);
        if (!err)
            err = gcry_mac_setkey(mac, key, key_bytes && key_bytes <= sizeof key ? key_bytes : 16);
        for (int i = 0; i < LENGTHS && !err; i++) {
            size_t n = gcry_mac_get_algo_maclen(algo);
            gcry_mac_reset(mac);
            /* GMACs and Poly1305 with a cipher want a nonce, the others have no place for one. */
            const bool nonce = (algo >= GCRY_MAC_GMAC_AES && algo < GCRY_MAC_GMAC_AES + 10) ||
                               (algo > GCRY_MAC_POLY1305 && algo < GCRY_MAC_POLY1305 + 10);
            if (nonce)
                err = gcry_mac_setiv(mac, iv, 16);
            if (!err)
                err = gcry_mac_write(mac, in, lengths[i]);
            if (!err)
                err = gcry_mac_read(mac, out, &n);
            sum = mix_bytes(sum, out, err ? 0 : n);
        }
        gcry_mac_close(mac);
        if (err)
            failed("mac", gcry_mac_algo_name(algo), err);
        else
            report("mac", gcry_mac_algo_name(algo), sum);
    }
}

/* CRC by carry-less multiplication is among the digests; here the rest: derivation, numbers, keys.
 */
static void derivations(void)
{
    static const int digests[] = {GCRY_MD_SHA1, GCRY_MD_SHA256, GCRY_MD_SHA512};
    uint8_t out[100];
    for (size_t i = 0; i < sizeof digests / sizeof digests[0]; i++) {
        gcry_error_t err = gcry_kdf_derive("password", 8, GCRY_KDF_PBKDF2, digests[i], "saltsalt",
                                           8, 50, sizeof out, out);
        if (err)
            failed("pbkdf2", gcry_md_algo_name(digests[i]), err);
        report("pbkdf2", gcry_md_algo_name(digests[i]), mix_bytes(0, out, sizeof out));
    }
}

static void numbers(void)
{
    static const unsigned bits[] = {64, 192, 256, 521, 1024, 2048, 3072};
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++) {
        uint8_t raw[4][512], out[1024];
        gcry_mpi_t n[4], r = gcry_mpi_new(0), q = gcry_mpi_new(0);
        uint64_t sum = 0;
        char name[16];
        seed = bits[i];
        bytes(raw[0], sizeof raw);
        const size_t size = bits[i] / 8;
        raw[2][size - 1] |= 1;
        for (int k = 0; k < 4; k++)
            gcry_mpi_scan(&n[k], GCRYMPI_FMT_USG, raw[k], k == 3 && size > 128 ? 32 : size, NULL);
        for (int k = 0; k < 4; k++) {
            size_t got = 0;
            switch (k) {
            case 0:
                gcry_mpi_mul(r, n[0], n[1]);
                break;
            case 1:
                gcry_mpi_div(q, r, n[0], n[2], 0);
                gcry_mpi_add(r, r, q);
                break;
            case 2:
                gcry_mpi_powm(r, n[0], n[3], n[2]);
                break;
            default:
                gcry_mpi_gcd(r, n[0], n[2]);
                if (!gcry_mpi_cmp_ui(r, 1))
                    gcry_mpi_invm(r, n[0], n[2]);
                break;
            }
            gcry_mpi_print(GCRYMPI_FMT_USG, out, sizeof out, &got, r);
            sum = mix_bytes(sum, out, got);
        }
        snprintf(name, sizeof name, "%u", bits[i]);
        report("numbers", name, sum);
        for (int k = 0; k < 4; k++)
            gcry_mpi_release(n[k]);
        gcry_mpi_release(r);
        gcry_mpi_release(q);
    }
}

/* The self-tests know keys, signatures and ciphertexts, and compare. */
static void self_tests(void)
{
    gcry_error_t err = gcry_control(GCRYCTL_SELFTEST);
    if (err)
        failed("self-test", "all", err);
    report("self-test", "all", 0);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        gcry_error_t err = gcry_control(GCRYCTL_DISABLE_HWF, argv[i], NULL);
        if (err)
            failed("feature", argv[i], err);
    }
    if (!gcry_check_version(GCRYPT_VERSION)) {
        printf("libgcrypt %s FAILED: is older\n", gcry_check_version(NULL));
        return 2;
    }
    gcry_control(GCRYCTL_ENABLE_QUICK_RANDOM, 0);
    gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
    gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
    self_tests();
    digests();
    ciphers();
    macs();
    derivations();
    numbers();
    printf("libgcrypt: %d wrong\n", wrong);
    return wrong != 0;
}
