/*
 * See ram.h. One mapping without reservation, so that a guest of any size starts at once and costs
 * what it touches. Memory is handed out from the front and never given back:
 * parts that own some (guest RAM, ROM images, video memory) live as long as their machine.
 *
 * Left out: giving pages back to the host (ballooning), NUMA placement.
 */
#define _GNU_SOURCE
#include "mmu/ram.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t round_up(uint64_t v, uint64_t to)
{
    return (v + to - 1) & ~(to - 1);
}

static void size_text(char *buf, size_t len, uint64_t bytes)
{
    if (bytes >= GiB)
        snprintf(buf, len, "%.1f GiB", (double)bytes / (double)GiB);
    else
        snprintf(buf, len, "%.1f MiB", (double)bytes / (double)MiB);
}

static bool no_memory(const struct ram *ram, const char *what, struct error *err)
{
    char size[32];
    size_text(size, sizeof size, ram->size_bytes);
    return error_set(err,
                     "too little host memory: %s for a guest of %s: %s; give a smaller -m or raise "
                     "the limit (ulimit -v)",
                     what, size, strerror(errno));
}

/* Address space for bytes at a multiple of HUGE_BYTES, so that huge pages can back all of it. */
static uint8_t *reserve_aligned(uint64_t bytes)
{
    uint8_t *raw = mmap(NULL, bytes + HUGE_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw == MAP_FAILED)
        return NULL;
    uint8_t *at = (uint8_t *)round_up((uint64_t)(uintptr_t)raw, HUGE_BYTES);
    if (at != raw)
        munmap(raw, (size_t)(at - raw));
    uint8_t *end = raw + bytes + HUGE_BYTES;
    if (at + bytes != end)
        munmap(at + bytes, (size_t)(end - (at + bytes)));
    return at;
}

/*
 * Two CPUs of a guest that access one byte without a lock race as on any machine; each access is
 * one of the host's, which is all that the guest is promised (SDM 3A §8.1.1). Of our own data the
 * thread sanitizer is to report everything, and does.
 */
static void leave_races_to_guest(const struct ram *ram)
{
#ifdef __SANITIZE_THREAD__
    extern void AnnotateBenignRaceSized(const char *file, int line, const volatile void *at,
                                        size_t bytes, const char *what);
    AnnotateBenignRaceSized(__FILE__, __LINE__, ram->host, ram->size_bytes, "guest memory");
#else
    (void)ram;
#endif
}

bool ram_create(struct ram *ram, uint64_t max_bytes, struct error *err)
{
    *ram = (struct ram){.pagemap = -1, .size_bytes = round_up(max_bytes, PAGE_SIZE)};
    if (max_bytes == 0 || max_bytes > BIT64(46))
        return errno = ENOMEM, no_memory(ram, "no address space", err);

    ram->host = reserve_aligned(ram->size_bytes);
    if (!ram->host) {
        no_memory(ram, "no address space", err);
        goto fail;
    }
    /* Advice only: hosts without huge pages run on, a little slower. */
    madvise(ram->host, ram->size_bytes, MADV_HUGEPAGE);

    void *flags = mmap(NULL, ram->size_bytes >> PAGE_SHIFT, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (flags == MAP_FAILED) {
        no_memory(ram, "no room for page flags", err);
        goto fail;
    }
    ram->page_flags = flags;
    leave_races_to_guest(ram);
    ram->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    return true;

fail:
    ram_destroy(ram);
    return false;
}

void ram_destroy(struct ram *ram)
{
    if (ram->page_flags)
        munmap(ram->page_flags, ram->size_bytes >> PAGE_SHIFT);
    if (ram->host)
        munmap(ram->host, ram->size_bytes);
    if (ram->pagemap >= 0)
        close(ram->pagemap);
    *ram = (struct ram){.pagemap = -1};
}

ram_t ram_alloc(struct ram *ram, uint64_t size_bytes)
{
    assert(size_bytes > 0);
    if (size_bytes > ram->size_bytes)
        return RAM_NONE;
    uint64_t size = round_up(size_bytes, PAGE_SIZE);
    uint64_t at = round_up(ram->used_bytes, size >= HUGE_BYTES ? HUGE_BYTES : PAGE_SIZE);
    if (at > ram->size_bytes || size > ram->size_bytes - at)
        return RAM_NONE;
    ram->used_bytes = at + size;
    return at;
}

/* Changes flags; true if lines to write the page have to be taken back for it. */
static bool change(struct ram *ram, uint64_t page, uint8_t clear, uint8_t set)
{
    uint8_t *p = &ram->page_flags[page], old = __atomic_load_n(p, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(p, &old, (uint8_t)((old & ~clear) | set), true,
                                        __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        ;
    /* A page that was traced already has no such line. */
    return !(old & RAM_TRACED) && (set & RAM_TRACED) && (old & RAM_LINED);
}

/* Pages first to last are traced and may have lines. */
static void take_lines(struct ram *ram, uint64_t first, uint64_t last)
{
    if (!ram->flags_set)
        return;
    ram->flags_set(ram->opaque, first << PAGE_SHIFT, (last - first + 1) << PAGE_SHIFT);
}

void ram_lines_taken(struct ram *ram, ram_t start, uint64_t len)
{
    for (uint64_t p = start >> PAGE_SHIFT; p <= (start + len - 1) >> PAGE_SHIFT; p++)
        if (ram_flags(ram, p << PAGE_SHIFT) & RAM_TRACED)
            change(ram, p, RAM_LINED, 0);
}

void ram_set_flags(struct ram *ram, ram_t at, uint8_t flags)
{
    if (change(ram, at >> PAGE_SHIFT, 0, flags))
        take_lines(ram, at >> PAGE_SHIFT, at >> PAGE_SHIFT);
}

void ram_clear_flags(struct ram *ram, ram_t at, uint8_t flags)
{
    change(ram, at >> PAGE_SHIFT, flags, 0);
}

void ram_note_write(struct ram *ram, ram_t at, uint64_t len)
{
    ram_t end = at + len;
    while (at < end) {
        ram_t next = MIN((at & PAGE_MASK) + PAGE_SIZE, end);
        const uint8_t flags = ram_flags(ram, at);
        if (unlikely(flags & RAM_LOG))
            change(ram, at >> PAGE_SHIFT, 0, RAM_DIRTY);
        if (unlikely(flags & (RAM_TRACED & ~RAM_LOG)) && ram->traced_write)
            ram->traced_write(ram->opaque, at, next - at);
        at = next;
    }
}

/* Sets flags on all pages of [at, at+len); flags_set hears of it once, not page by page. */
static void set_flags_range(struct ram *ram, ram_t at, uint64_t len, uint8_t clear, uint8_t set)
{
    const uint64_t first = at >> PAGE_SHIFT, last = (at + len - 1) >> PAGE_SHIFT;
    bool lined = false;
    for (uint64_t p = first; p <= last; p++)
        lined |= change(ram, p, clear, set);
    if (lined)
        take_lines(ram, first, last);
}

void ram_log_start(struct ram *ram, ram_t at, uint64_t len)
{
    if (len)
        set_flags_range(ram, at, len, RAM_DIRTY, RAM_LOG);
}

void ram_log_stop(struct ram *ram, ram_t at, uint64_t len)
{
    if (len)
        set_flags_range(ram, at, len, RAM_LOG | RAM_DIRTY, 0);
}

/*
 * A store to a logged page may clear RAM_LOG as it sets RAM_DIRTY, so that only the first store
 * after each take is slow; hence RAM_LOG is set again here. Whoever caches that a page may be
 * written hears of it once for all pages: a framebuffer has hundreds, sixty times a second.
 */
static bool take_log(struct ram *ram, ram_t at, uint64_t len, bool *dirty)
{
    const uint64_t first = at >> PAGE_SHIFT, last = (at + len - 1) >> PAGE_SHIFT;
    uint64_t low = UINT64_MAX, high = 0; /* pages that are traced anew */
    bool any = false;
    for (uint64_t p = first; p <= last; p++) {
        const bool is_dirty = ram_flags(ram, p << PAGE_SHIFT) & RAM_DIRTY;
        if (dirty)
            dirty[p - first] = is_dirty;
        if (!is_dirty)
            continue;
        any = true;
        if (change(ram, p, RAM_DIRTY, RAM_LOG)) {
            low = MIN(low, p);
            high = p;
        }
    }
    if (low != UINT64_MAX)
        take_lines(ram, low, high);
    return any;
}

bool ram_log_take(struct ram *ram, ram_t at, uint64_t len)
{
    return len && take_log(ram, at, len, NULL);
}

bool ram_log_take_pages(struct ram *ram, ram_t at, uint64_t len, bool *dirty)
{
    assert(!(at & ~PAGE_MASK) && !(len & ~PAGE_MASK));
    return len && take_log(ram, at, len, dirty);
}

void ram_provide_chunk(struct ram *ram, ram_t at)
{
    const ram_t start = at & ~(RAM_CHUNK - 1);
    change(ram, start >> PAGE_SHIFT, 0, RAM_PRESENT);
#ifdef MADV_POPULATE_WRITE
    /* a host that cannot (kernels before 5.14) provides page by page, as they are touched */
    madvise(ram->host + start, MIN(RAM_CHUNK, ram->size_bytes - start), MADV_POPULATE_WRITE);
#endif
}

/* A page that is neither present nor swapped out was never touched: proc(5) "pagemap". */
bool ram_next_data(const struct ram *ram, ram_t *at, ram_t *end, ram_t limit)
{
    uint64_t page[RAM_DATA_BYTES / PAGE_SIZE];
    while (*at < limit) {
        const size_t bytes = MIN(limit - *at, RAM_DATA_BYTES), pages = bytes >> PAGE_SHIFT;
        const uintptr_t first = (uintptr_t)(ram->host + *at) >> PAGE_SHIFT;
        const ssize_t wanted = (ssize_t)(pages * sizeof *page);
        *end = *at + bytes;
        if (ram->pagemap < 0 ||
            pread(ram->pagemap, page, (size_t)wanted, (off_t)(first * sizeof *page)) != wanted)
            return true;
        size_t i = 0, n;
        while (i < pages && !(page[i] >> 62))
            i++;
        for (n = i; n < pages && page[n] >> 62;)
            n++;
        *end = *at + (n << PAGE_SHIFT);
        *at += i << PAGE_SHIFT;
        if (n > i)
            return true;
    }
    return false;
}
