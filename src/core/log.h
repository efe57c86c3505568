/*
 * What the machine has to say to the person who runs it, by category, to one sink.
 *
 *   LOG_HOST    something on the host side went wrong or is worth a line (always on)
 *   LOG_GUEST   the guest did what real hardware answers badly to   (-d guest_errors)
 *   LOG_UNIMP   the guest used what is not there yet: once per site (always on; -d unimp repeats)
 *   LOG_INT     interrupts and exceptions as they are delivered      (-d int)
 *   LOG_RESET   CPU state at resets and triple faults                (-d cpu_reset)
 *   LOG_ASM     guest code as it is decoded                          (-d in_asm)
 *   LOG_EXEC    each block as it is entered                          (-d exec)
 *   LOG_OUT     host code beside the guest code it stands for          (-d out_asm)
 *   LOG_POST    firmware's progress codes, port 80h                  (-d post)
 *
 * The library never prints by itself: the owner of struct log gives the sink.
 */
#ifndef VITRINE_CORE_LOG_H
#define VITRINE_CORE_LOG_H

#include "core/types.h"

enum {
    LOG_HOST = BIT(0),
    LOG_GUEST = BIT(1),
    LOG_UNIMP = BIT(2),
    LOG_INT = BIT(3),
    LOG_RESET = BIT(4),
    LOG_ASM = BIT(5),
    LOG_EXEC = BIT(6),
    LOG_POST = BIT(7),
    LOG_OUT = BIT(8),
};

struct log {
    uint32_t mask;                                /* categories that reach the sink */
    void (*sink)(void *opaque, const char *line); /* one line, no newline */
    void *opaque;
    uint32_t category; /* of the line that the sink is given now */
    bool busy;         /* a thread is about to give it one; atomic */
    uint64_t (*where)(
        void *opaque); /* guest RIP, put before LOG_GUEST/LOG_UNIMP lines; may be NULL */
    void *where_opaque;
    uint64_t guest_errors; /* counted whether shown or not */
    uint64_t unimp;
};

void log_init(struct log *log, void (*sink)(void *, const char *), void *opaque);

static inline bool log_on(const struct log *log, uint32_t category)
{
    return log && (log->mask & category);
}

void log_line(struct log *log, uint32_t category, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A guest mistake: counted always, shown under LOG_GUEST, rate-limited per call site. */
#define log_guest(log, ...)                              \
    do {                                                 \
        static uint32_t log_site_count;                  \
        log_guest_at(log, &log_site_count, __VA_ARGS__); \
    } while (0)

/* Something Vitrine does not have: shown once per call site. */
#define log_unimp(log, ...)                              \
    do {                                                 \
        static uint32_t log_site_count;                  \
        log_unimp_at(log, &log_site_count, __VA_ARGS__); \
    } while (0)

void log_guest_at(struct log *log, uint32_t *site, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void log_unimp_at(struct log *log, uint32_t *site, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
