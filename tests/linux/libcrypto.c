/*
 * All that OpenSSL's library computes: libcrypto [keys]. Each cipher and digest its providers have,
 * MACs, key derivation; with "keys" also big numbers, curves, signatures, and TLS between two ends
 * in this process. One line each with a checksum over the results, where they are not random by
 * design. Which of the many assembly variants runs is chosen by OPENSSL_ia32cap: man
 * OPENSSL_ia32cap(3).
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/obj_mac.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
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

/* Lengths on both sides of every number of blocks that is done at once, and some long ones. */
static const size_t lengths[] = {0,   1,   15,  16,  17,  31,  32,   48,   63,   64,   65,
                                 80,  96,  112, 127, 128, 129, 144,  192,  255,  256,  288,
                                 320, 384, 511, 512, 513, 768, 1000, 1024, 1536, 2048, 4096};
enum { LENGTHS = sizeof lengths / sizeof lengths[0] };

static void report(const char *what, const char *name, uint64_t sum)
{
    printf("%s %s %016llx\n", what, name, (unsigned long long)sum);
}

static void failed(const char *what, const char *name)
{
    printf("%s %s FAILED: ", what, name);
    ERR_print_errors_fp(stdout);
    printf("\n");
    ERR_clear_error();
    wrong++;
}

static void check(bool good, const char *what, const char *name)
{
    if (!good)
        failed(what, name);
}

/* ---- known answers: FIPS 180-4, FIPS 202, FIPS 197 C.1, GCM's case 2, RFC 4231 and 7748
 * ---------- */

static void answer(const char *name, const uint8_t *got, size_t n, const char *expected)
{
    char text[2 * EVP_MAX_MD_SIZE + 1] = "";
    for (size_t i = 0; i < n; i++)
        snprintf(text + 2 * i, 3, "%02x", got[i]);
    check(!strcmp(text, expected), "answer", name);
    printf("answer %s %s\n", name, text);
}

static void answers(void)
{
    static const struct {
        const char *name, *expected;
    } abc[] = {{"SHA1", "a9993e364706816aba3e25717850c26c9cd0d89d"},
               {"SHA256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
               {"SHA512", "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                          "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
               {"SHA3-256", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"}};
    static const uint8_t zero[16], nine[32] = {9};
    uint8_t out[EVP_MAX_MD_SIZE], key[16], plain[16];
    unsigned size = 0;
    for (size_t i = 0; i < sizeof abc / sizeof abc[0]; i++) {
        EVP_Digest("abc", 3, out, &size, EVP_get_digestbyname(abc[i].name), NULL);
        answer(abc[i].name, out, size, abc[i].expected);
    }
    HMAC(EVP_sha256(), "Jefe", 4, (const uint8_t *)"what do ya want for nothing?", 28, out, &size);
    answer("HMAC", out, size, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");

    int n = 0;
    for (int i = 0; i < 16; i++) {
        key[i] = (uint8_t)i;
        plain[i] = (uint8_t)(17 * i);
    }
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    EVP_EncryptInit_ex(ctx, EVP_aes_128_ecb(), NULL, key, NULL);
    EVP_EncryptUpdate(ctx, out, &n, plain, 16);
    answer("AES-128", out, 16, "69c4e0d86a7b0430d8cdb78070b4c55a");
    EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, zero, zero);
    EVP_EncryptUpdate(ctx, out, &n, zero, 16);
    EVP_EncryptFinal_ex(ctx, out + 16, &n);
    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, out + 16);
    answer("AES-128-GCM", out, 32,
           "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf");
    EVP_CIPHER_CTX_free(ctx);

    size_t bytes = 32;
    EVP_PKEY *a = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, nine, 32);
    EVP_PKEY *b = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, nine, 32);
    EVP_PKEY_CTX *kc = EVP_PKEY_CTX_new(a, NULL);
    EVP_PKEY_derive_init(kc);
    EVP_PKEY_derive_set_peer(kc, b);
    EVP_PKEY_derive(kc, out, &bytes);
    answer("X25519", out, bytes,
           "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
    EVP_PKEY_CTX_free(kc);
    EVP_PKEY_free(a);
    EVP_PKEY_free(b);
}

/* ---- digests --------------------------------------------------------------------------------- */

/* Of the same bytes at once and in pieces. */
static bool digest(const EVP_MD *md, const uint8_t *in, size_t n, uint64_t *sum)
{
    uint8_t out[2][EVP_MAX_MD_SIZE];
    unsigned size[2] = {0, 0};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = EVP_Digest(in, n, out[0], &size[0], md, NULL) && EVP_DigestInit_ex(ctx, md, NULL);
    for (size_t at = 0; at < n && good;) {
        size_t piece = 1 + below(&seed, 200);
        piece = piece < n - at ? piece : n - at;
        good = EVP_DigestUpdate(ctx, in + at, piece);
        at += piece;
    }
    good = good && EVP_DigestFinal_ex(ctx, out[1], &size[1]) && size[0] == size[1] &&
           !memcmp(out[0], out[1], size[0]);
    EVP_MD_CTX_free(ctx);
    *sum = mix_bytes(*sum, out[0], size[0]);
    return good;
}

static void try_digest(EVP_MD *md, void *unused)
{
    (void)unused;
    const char *name = EVP_MD_get0_name(md);
    static uint8_t in[MOST + 64];
    uint64_t sum = 0;
    bool good = true;
    seed = 1;
    if (!strcmp(name, "NULL") || !strncmp(name, "KECCAK-KMAC", 11))
        return;
    bytes(in, sizeof in);
    for (int i = 0; i < LENGTHS && good; i++)
        good = digest(md, in + i % 17, lengths[i], &sum);
    check(good, "digest", name);
    report("digest", name, sum);
}

/* ---- ciphers --------------------------------------------------------------------------------- */

struct job {
    const EVP_CIPHER *cipher;
    uint8_t key[EVP_MAX_KEY_LENGTH * 2], iv[EVP_MAX_IV_LENGTH], aad[64], tag[16];
    size_t aad_bytes;
    bool aead, ccm, siv, cts;
};

/* One way. In pieces where the mode allows it. */
static int pass(struct job *j, int encrypt, uint8_t *out, const uint8_t *in, size_t n)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int got = 0, total = -1;
    const int tag_bytes = 16;
    const bool whole = j->ccm || j->siv || j->cts ||
                       EVP_CIPHER_get_mode(j->cipher) == EVP_CIPH_XTS_MODE ||
                       EVP_CIPHER_get_mode(j->cipher) == EVP_CIPH_WRAP_MODE;
    EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    if (!EVP_CipherInit_ex(ctx, j->cipher, NULL, NULL, NULL, encrypt))
        goto out;
    if (j->ccm || (j->aead && !encrypt))
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, tag_bytes, encrypt ? NULL : j->tag);
    if (!EVP_CipherInit_ex(ctx, NULL, NULL, j->key, j->iv, encrypt))
        goto out;
    if (j->ccm && !EVP_CipherUpdate(ctx, NULL, &got, NULL, (int)n))
        goto out;
    if (j->aead && !EVP_CipherUpdate(ctx, NULL, &got, j->aad, (int)j->aad_bytes))
        goto out;
    int sum = 0;
    for (size_t at = 0; at < n || (whole && !at);) {
        size_t piece = whole || !below(&seed, 3) ? n : 1 + below(&seed, 700);
        piece = piece < n - at ? piece : n - at;
        if (!EVP_CipherUpdate(ctx, out + sum, &got, in + at, (int)piece))
            goto out;
        sum += got;
        at += piece;
        if (whole)
            break;
    }
    if (!j->ccm || encrypt) {
        if (!EVP_CipherFinal_ex(ctx, out + sum, &got))
            goto out;
        sum += got;
    }
    if (j->aead && encrypt && !EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, tag_bytes, j->tag))
        goto out;
    total = sum;
out:
    EVP_CIPHER_CTX_free(ctx);
    return total;
}

static void try_cipher(EVP_CIPHER *cipher, void *unused)
{
    (void)unused;
    static uint8_t in[MOST + 64], out[MOST + 128], back[MOST + 128];
    const char *name = EVP_CIPHER_get0_name(cipher);
    const int mode = EVP_CIPHER_get_mode(cipher);
    if (!strcmp(name, "NULL") || strstr(name, "HMAC")) /* those of TLS: see below */
        return;
    struct job j = {.cipher = cipher,
                    .ccm = mode == EVP_CIPH_CCM_MODE,
                    .siv = mode == EVP_CIPH_SIV_MODE,
                    .cts = strstr(name, "CTS"),
                    .aead = EVP_CIPHER_get_flags(cipher) & EVP_CIPH_FLAG_AEAD_CIPHER};
    const bool wrap = mode == EVP_CIPH_WRAP_MODE;
    const size_t least = mode == EVP_CIPH_XTS_MODE || wrap || j.cts ? 16 : j.ccm || j.siv;
    /* The others have no code for many blocks at once; the slow ones take a turn for a bit or byte.
     */
    const bool vectors = !strncmp(name, "AES", 3) || !strncmp(name, "ChaCha", 6);
    const bool slow = strstr(name, "CFB1") || strstr(name, "CFB8");
    const size_t most = slow ? 64 : wrap || !vectors ? 600 : MOST;
    uint64_t sum = 0;
    seed = 2;
    bytes(in, sizeof in);
    bytes(j.key, sizeof j.key);
    bytes(j.iv, sizeof j.iv);
    int done = 0;
    for (int i = 0; i < LENGTHS; i++) {
        size_t n = lengths[i];
        bytes(j.aad, sizeof j.aad);
        j.aad_bytes = 1 + below(&seed, sizeof j.aad);
        if (wrap)
            n = n / 8 * 8;
        if (n < least || n > most)
            continue;
        const size_t off_in = below(&seed, 17), off_out = below(&seed, 17);
        const int got = pass(&j, 1, out + off_out, in + off_in, n);
        const int again = got < 0 ? -1 : pass(&j, 0, back, out + off_out, (size_t)got);
        if (again != (int)n || memcmp(back, in + off_in, n)) {
            failed("cipher", name);
            break;
        }
        sum = mix_bytes(sum, out + off_out, (size_t)got);
        sum = mix_bytes(sum, j.tag, sizeof j.tag);
        done++;
        if (j.aead && !j.siv) { /* what was changed on the way is not accepted */
            j.tag[below(&seed, 16)] ^= 1;
            check(pass(&j, 0, back, out + off_out, (size_t)got) < 0, "cipher, changed,", name);
            ERR_clear_error();
        }
    }
    check(done > 5, "cipher", name);
    report("cipher", name, strcmp(name, "DES3-WRAP") ? sum : 0); /* its IV is random */
}

/* ---- MACs and key derivation ----------------------------------------------------------------- */

static void try_mac(const char *name, const char *option, const char *value, size_t key_bytes)
{
    static uint8_t in[MOST];
    uint8_t key[64], out[256], iv[16] = "0123456789abcde";
    uint64_t sum = 0;
    seed = 3;
    bytes(in, sizeof in);
    bytes(key, sizeof key);
    EVP_MAC *mac = EVP_MAC_fetch(NULL, name, NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    bool good = ctx != NULL;
    for (int i = 0; i < LENGTHS && good; i++) {
        OSSL_PARAM params[3], *p = params;
        size_t n = 0;
        if (option)
            *p++ = OSSL_PARAM_construct_utf8_string(option, (char *)value, 0);
        if (!strcmp(name, "GMAC"))
            *p++ = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_IV, iv, 12);
        *p = OSSL_PARAM_construct_end();
        good = EVP_MAC_init(ctx, key, key_bytes, params) &&
               EVP_MAC_update(ctx, in, lengths[i] / 3) &&
               EVP_MAC_update(ctx, in + lengths[i] / 3, lengths[i] - lengths[i] / 3) &&
               EVP_MAC_final(ctx, out, &n, sizeof out);
        sum = mix_bytes(sum, out, n);
    }
    check(good, "mac", name);
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
    printf("mac %s %s %016llx\n", name, value ? value : "", (unsigned long long)sum);
}

static void derivations(void)
{
    static const char *const digests[] = {"SHA1", "SHA256", "SHA512", "SHA3-256"};
    uint8_t out[200];
    for (size_t i = 0; i < sizeof digests / sizeof digests[0]; i++) {
        check(PKCS5_PBKDF2_HMAC("password", 8, (const uint8_t *)"salt", 4, 50,
                                EVP_get_digestbyname(digests[i]), sizeof out, out),
              "pbkdf2", digests[i]);
        report("pbkdf2", digests[i], mix_bytes(0, out, sizeof out));
    }
    check(EVP_PBE_scrypt("password", 8, (const uint8_t *)"salt", 4, 64, 8, 2, 0, out, sizeof out),
          "scrypt", "");
    report("scrypt", "64,8,2", mix_bytes(0, out, sizeof out));
}

/* ---- numbers, curves, keys ------------------------------------------------------------------- */

static BIGNUM *number(int bits, bool odd)
{
    uint8_t raw[1024];
    bytes(raw, sizeof raw);
    const int n = (bits + 7) / 8;
    raw[0] |= 0x80;
    raw[n - 1] |= odd;
    return BN_bin2bn(raw, n, NULL);
}

static uint64_t mix_number(uint64_t sum, const BIGNUM *n)
{
    uint8_t raw[2048];
    return mix_bytes(sum, raw, (size_t)BN_bn2bin(n, raw));
}

/* Sizes for which there is code of their own, and others. */
static void numbers(void)
{
    static const int bits[] = {64, 192, 256, 512, 1000, 1024, 1536, 2048, 3072};
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *r = BN_new(), *q = BN_new();
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++) {
        uint64_t sum = 0;
        seed = (uint64_t)bits[i];
        BIGNUM *a = number(bits[i], false), *b = number(bits[i], false), *m = number(bits[i], true);
        BIGNUM *e = number(bits[i] < 1024 ? bits[i] : 200, false),
               *big = number(2 * bits[i], false);
        bool good = BN_mul(r, a, b, ctx);
        sum = mix_number(sum, r);
        good = good && BN_sqr(r, a, ctx);
        sum = mix_number(sum, r);
        good = good && BN_div(q, r, big, m, ctx);
        sum = mix_number(mix_number(sum, q), r);
        good = good && BN_mod_exp(r, a, e, m, ctx);
        sum = mix_number(sum, r);
        BN_set_flags(e, BN_FLG_CONSTTIME);
        good = good && BN_mod_exp(q, a, e, m, ctx) && !BN_cmp(q, r);
        good = good && BN_gcd(r, a, m, ctx);
        sum = mix_number(sum, r);
        if (BN_is_one(r)) {
            good =
                good && BN_mod_inverse(r, a, m, ctx) && BN_mod_mul(q, r, a, m, ctx) && BN_is_one(q);
            sum = mix_number(sum, r);
        }
        if (bits[i] <= 512) { /* as far as binary curves go */
            good = good && BN_GF2m_mod_mul(r, a, b, m, ctx);
            sum = mix_number(sum, r);
        }
        char name[16];
        snprintf(name, sizeof name, "%d", bits[i]);
        check(good, "numbers", name);
        report("numbers", name, sum);
        BN_free(a);
        BN_free(b);
        BN_free(m);
        BN_free(e);
        BN_free(big);
    }
    BN_free(r);
    BN_free(q);
    BN_CTX_free(ctx);
}

static void curves(void)
{
    static const int ids[] = {NID_X9_62_prime256v1, NID_secp224r1, NID_secp384r1,
                              NID_secp521r1,        NID_secp256k1, NID_brainpoolP256r1,
                              NID_sect233k1,        NID_sect283r1};
    BN_CTX *ctx = BN_CTX_new();
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        EC_GROUP *group = EC_GROUP_new_by_curve_name(ids[i]);
        const char *name = OBJ_nid2sn(ids[i]);
        if (!group) {
            failed("curve", name);
            continue;
        }
        EC_POINT *p = EC_POINT_new(group), *q = EC_POINT_new(group);
        uint64_t sum = 0;
        seed = (uint64_t)ids[i];
        BIGNUM *k = number(EC_GROUP_order_bits(group) - 1, false), *l = number(160, false);
        uint8_t out[300];
        bool good = EC_POINT_mul(group, p, k, NULL, NULL, ctx) &&
                    EC_POINT_mul(group, q, NULL, p, l, ctx) &&
                    EC_POINT_is_on_curve(group, q, ctx) == 1;
        if (good)
            sum = mix_bytes(
                sum, out,
                EC_POINT_point2oct(group, q, POINT_CONVERSION_UNCOMPRESSED, out, sizeof out, ctx));
        good = good && EC_POINT_mul(group, q, k, p, l, ctx); /* both at once */
        if (good)
            sum = mix_bytes(
                sum, out,
                EC_POINT_point2oct(group, q, POINT_CONVERSION_COMPRESSED, out, sizeof out, ctx));
        check(good, "curve", name);
        report("curve", name, sum);
        BN_free(k);
        BN_free(l);
        EC_POINT_free(p);
        EC_POINT_free(q);
        EC_GROUP_free(group);
    }
    BN_CTX_free(ctx);
}

/* Signatures that are not random: one line with a checksum; the others are only verified. */
static void sign(EVP_PKEY *key, const char *name, const EVP_MD *md, bool random, bool pss)
{
    uint8_t text[333], signature[1024];
    size_t n = sizeof signature;
    seed = 5;
    bytes(text, sizeof text);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new(), *vtx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *kc, *vc;
    bool good = EVP_DigestSignInit(ctx, &kc, md, NULL, key) == 1 &&
                EVP_DigestVerifyInit(vtx, &vc, md, NULL, key) == 1;
    if (pss)
        good = good && EVP_PKEY_CTX_set_rsa_padding(kc, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_padding(vc, RSA_PKCS1_PSS_PADDING) == 1;
    good = good && EVP_DigestSign(ctx, signature, &n, text, sizeof text) == 1 &&
           EVP_DigestVerify(vtx, signature, n, text, sizeof text) == 1;
    EVP_MD_CTX_free(vtx);
    vtx = EVP_MD_CTX_new();
    text[7] ^= 1;
    good = good && EVP_DigestVerifyInit(vtx, NULL, md, NULL, key) == 1 &&
           EVP_DigestVerify(vtx, signature, n, text, sizeof text) != 1;
    ERR_clear_error();
    check(good, "sign", name);
    report("sign", name, random ? 0 : mix_bytes(0, signature, n));
    EVP_MD_CTX_free(ctx);
    EVP_MD_CTX_free(vtx);
}

/* Montgomery and Edwards curves: private keys are any bytes, and all is determined by them. */
static void raw_keys(void)
{
    static const struct {
        int id;
        size_t size;
        bool signs;
    } kinds[] = {{EVP_PKEY_X25519, 32, false},
                 {EVP_PKEY_X448, 56, false},
                 {EVP_PKEY_ED25519, 32, true},
                 {EVP_PKEY_ED448, 57, true}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        uint8_t raw[2][57], out[64];
        size_t n = sizeof out;
        seed = 6 + i;
        bytes(raw[0], sizeof raw[0]);
        bytes(raw[1], sizeof raw[1]);
        EVP_PKEY *a = EVP_PKEY_new_raw_private_key(kinds[i].id, NULL, raw[0], kinds[i].size);
        EVP_PKEY *b = EVP_PKEY_new_raw_private_key(kinds[i].id, NULL, raw[1], kinds[i].size);
        const char *name = OBJ_nid2sn(kinds[i].id);
        if (kinds[i].signs) {
            sign(a, name, NULL, false, false);
        } else {
            EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(a, NULL);
            check(EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, b) == 1 &&
                      EVP_PKEY_derive(ctx, out, &n) == 1,
                  "derive", name);
            report("derive", name, mix_bytes(0, out, n));
            EVP_PKEY_CTX_free(ctx);
        }
        EVP_PKEY_free(a);
        EVP_PKEY_free(b);
    }
}

/* ---- TLS ------------------------------------------------------------------------------------- */

static X509 *certificate(EVP_PKEY *key)
{
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -86400);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const uint8_t *)"test", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_pubkey(x, key);
    X509_sign(x, key, EVP_sha256());
    return x;
}

/* Sends from one end to the other; both run in turn. */
static bool transfer(SSL *from, SSL *to, const uint8_t *data, uint8_t *got, int n)
{
    int sent = 0, received = 0;
    for (int tries = 0; tries < 1000 && received < n; tries++) {
        if (sent < n) {
            const int k = SSL_write(from, data + sent, n - sent);
            if (k > 0)
                sent += k;
            else if (SSL_get_error(from, k) != SSL_ERROR_WANT_WRITE &&
                     SSL_get_error(from, k) != SSL_ERROR_WANT_READ)
                return false;
        }
        const int k = SSL_read(to, got + received, n - received);
        if (k > 0)
            received += k;
        else if (SSL_get_error(to, k) != SSL_ERROR_WANT_READ)
            return false;
    }
    return received == n && !memcmp(data, got, (size_t)n);
}

static bool session(SSL_CTX *sc, SSL_CTX *cc)
{
    enum { N = 40000 };
    static uint8_t data[N], got[N];
    SSL *server = SSL_new(sc), *client = SSL_new(cc);
    BIO *a, *b;
    bool good = BIO_new_bio_pair(&a, 1 << 17, &b, 1 << 17);
    SSL_set_bio(server, a, a);
    SSL_set_bio(client, b, b);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    for (int i = 0;
         i < 20 && good && (!SSL_is_init_finished(server) || !SSL_is_init_finished(client)); i++) {
        const int c = SSL_do_handshake(client), s = SSL_do_handshake(server);
        good = (c == 1 || SSL_get_error(client, c) == SSL_ERROR_WANT_READ) &&
               (s == 1 || SSL_get_error(server, s) == SSL_ERROR_WANT_READ);
    }
    seed = 7;
    bytes(data, sizeof data);
    good = good && transfer(client, server, data, got, N) && transfer(server, client, data, got, N);
    SSL_free(client);
    SSL_free(server);
    return good;
}

static void tls(EVP_PKEY *key)
{
    static const struct {
        const char *name;
        int version;
    } suites[] = {{"AES128-SHA", TLS1_2_VERSION},
                  {"AES256-SHA", TLS1_2_VERSION},
                  {"AES128-SHA256", TLS1_2_VERSION},
                  {"AES256-SHA256", TLS1_2_VERSION},
                  {"ECDHE-RSA-AES128-GCM-SHA256", TLS1_2_VERSION},
                  {"AES256-CCM", TLS1_2_VERSION},
                  {"ECDHE-RSA-CHACHA20-POLY1305", TLS1_2_VERSION},
                  {"ECDHE-RSA-CAMELLIA128-SHA256", TLS1_2_VERSION},
                  {"TLS_AES_128_GCM_SHA256", TLS1_3_VERSION},
                  {"TLS_AES_256_GCM_SHA384", TLS1_3_VERSION},
                  {"TLS_CHACHA20_POLY1305_SHA256", TLS1_3_VERSION}};
    X509 *x = certificate(key);
    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
        SSL_CTX *sc = SSL_CTX_new(TLS_server_method()), *cc = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_security_level(sc, 0);
        SSL_CTX_set_security_level(cc, 0);
        bool good = SSL_CTX_use_certificate(sc, x) == 1 && SSL_CTX_use_PrivateKey(sc, key) == 1;
        SSL_CTX_set_min_proto_version(cc, suites[i].version);
        SSL_CTX_set_max_proto_version(cc, suites[i].version);
        if (suites[i].version == TLS1_3_VERSION)
            good = good && SSL_CTX_set_ciphersuites(cc, suites[i].name) == 1;
        else
            good = good && SSL_CTX_set_cipher_list(cc, suites[i].name) == 1 &&
                   SSL_CTX_set_cipher_list(sc, "ALL") == 1;
        check(good && session(sc, cc), "tls", suites[i].name);
        printf("tls %s\n", suites[i].name);
        SSL_CTX_free(sc);
        SSL_CTX_free(cc);
    }
    X509_free(x);
}

static void public_keys(void)
{
    numbers();
    curves();
    raw_keys();
    EVP_PKEY *rsa = EVP_RSA_gen(1024), *ec = EVP_EC_gen("P-256");
    check(rsa && ec, "keys", "RSA, P-256");
    sign(rsa, "RSA", EVP_sha256(), true, false);
    sign(rsa, "RSA-PSS", EVP_sha512(), true, true);
    sign(ec, "ECDSA", EVP_sha256(), true, false);
    tls(rsa);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
}

int main(int argc, char **argv)
{
    const bool keys = argc > 1 && !strcmp(argv[1], "keys");
    OSSL_PROVIDER *legacy = OSSL_PROVIDER_load(NULL, "legacy"),
                  *usual = OSSL_PROVIDER_load(NULL, "default");
    check(legacy && usual, "providers", "legacy, default");
    answers();
    EVP_MD_do_all_provided(NULL, try_digest, NULL);
    EVP_CIPHER_do_all_provided(NULL, try_cipher, NULL);
    try_mac("HMAC", OSSL_MAC_PARAM_DIGEST, "SHA256", 40);
    try_mac("HMAC", OSSL_MAC_PARAM_DIGEST, "SHA1", 64);
    try_mac("CMAC", OSSL_MAC_PARAM_CIPHER, "AES-128-CBC", 16);
    try_mac("GMAC", OSSL_MAC_PARAM_CIPHER, "AES-256-GCM", 32);
    try_mac("Poly1305", NULL, NULL, 32);
    try_mac("SipHash", NULL, NULL, 16);
    try_mac("KMAC-128", NULL, NULL, 32);
    try_mac("BLAKE2BMAC", NULL, NULL, 32);
    derivations();
    if (keys)
        public_keys();
    printf("libcrypto: %d wrong\n", wrong);
    return wrong != 0;
}
