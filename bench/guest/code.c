// Code that is made while it runs: instructions patched and called, data stored beside code,
// functions generated.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "bench.h"

enum { PATCHES = 2000, STORES = 20000, FUNCTIONS = 50, INSNS = 200 };

static unsigned char *code_page(void)
{
    static unsigned char *page;
    if (!page) {
        page = mmap(NULL, 65536, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                    -1, 0);
        if (page == MAP_FAILED)
            abort();
    }
    return page;
}

// mov eax, imm32; ret: the immediate changes before every call.
static uint64_t smc_patch_round(void)
{
    unsigned char *code = code_page();
    uint64_t sum = 0;
    memcpy(code, "\xb8\0\0\0\0\xc3", 6);
    for (uint32_t i = 0; i < PATCHES; i++) {
        const uint32_t value = i * 3;
        memcpy(code + 1, &value, 4);
        __asm__ volatile("" : : : "memory");
        sum += ((uint32_t(*)(void))code)();
    }
    return sum;
}

// A counter that lies on the page of the function that is called beside it, but in no instruction
// of it.
static uint64_t smc_data_round(void)
{
    unsigned char *code = code_page();
    volatile uint32_t *counter = (volatile uint32_t *)(code + 2048);
    memcpy(code, "\x8d\x47\x05\xc3", 4); // lea eax, [rdi+5]; ret
    *counter = 0;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < STORES; i++) {
        *counter += i & 3;
        if (i % 16 == 0)
            sum += ((uint32_t(*)(uint32_t))code)(i);
    }
    return sum + *counter;
}

// Functions of random adds, xors and rotates, each run three times after it was written.
static uint64_t jitgen_round(void)
{
    unsigned char *code = code_page();
    uint64_t seed = 99, sum = 0;
    for (int f = 0; f < FUNCTIONS; f++) {
        unsigned char *p = code + (f % 16) * 4096;
        uint32_t x = 1;
        *p++ = 0x89; // mov eax, edi
        *p++ = 0xf8;
        for (int i = 0; i < INSNS; i++) {
            const uint64_t r = bench_random(&seed);
            const uint32_t value = (uint32_t)(r >> 32);
            switch (r & 3) {
            case 0: // add eax, imm32
                *p++ = 0x05;
                memcpy(p, &value, 4);
                p += 4;
                x += value;
                break;
            case 1: // xor eax, imm32
                *p++ = 0x35;
                memcpy(p, &value, 4);
                p += 4;
                x ^= value;
                break;
            case 2: // rol eax, 5
                memcpy(p, "\xc1\xc0\x05", 3);
                p += 3;
                x = x << 5 | x >> 27;
                break;
            default: // not eax
                memcpy(p, "\xf7\xd0", 2);
                p += 2;
                x = ~x;
            }
        }
        *p = 0xc3;
        __asm__ volatile("" : : : "memory");
        uint32_t (*run)(uint32_t) = (uint32_t(*)(uint32_t))(code + (f % 16) * 4096);
        if (run(1) != x || run(1) != x || run(1) != x)
            return 0;
        sum = sum * 31 + x;
    }
    return sum;
}

const struct bench code_programs[] = {
    {"smc_patch", "code", "patch", PATCHES, 150, 0x5b81c8, smc_patch_round},
    {"smc_data", "code", "store", STORES, 200, 0xbf22aa, smc_data_round},
    {"jitgen", "code", "instruction", FUNCTIONS *INSNS, 100, 0xf790b45a95ca0d77, jitgen_round},
    {.name = NULL},
};
