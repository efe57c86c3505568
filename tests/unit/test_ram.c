/* Host memory: lazy reservation of any size, allocation, page flags, the dirty log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mmu/ram.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct told {
    unsigned flags_set, traced;
    ram_t at;
    uint64_t len;
    struct ram *ram;
};

static void on_flags_set(void *opaque, ram_t at, uint64_t len)
{
    struct told *t = opaque;
    t->flags_set++;
    t->at = at;
    t->len = len;
    ram_lines_taken(t->ram, at, len);
}

static void on_traced_write(void *opaque, ram_t at, uint64_t len)
{
    struct told *t = opaque;
    t->traced++;
    t->at = at;
    t->len = len;
}

static struct ram small(struct told *told)
{
    struct ram ram;
    struct error err = {0};
    assert_true(ram_create(&ram, 8 * MiB, &err));
    ram.flags_set = on_flags_set;
    ram.traced_write = on_traced_write;
    ram.opaque = told;
    return ram;
}

static long resident_pages(void)
{
    long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &size, &resident), 2);
    fclose(f);
    return resident;
}

static void test_alloc(void **state)
{
    (void)state;
    struct told told = {0};
    struct ram ram = small(&told);
    told.ram = &ram;
    assert_int_equal(ram_alloc(&ram, 1), 0);
    assert_int_equal(ram_alloc(&ram, 4097), 4096);
    assert_int_equal(ram_alloc(&ram, PAGE_SIZE), 3 * 4096);
    assert_int_equal(ram_alloc(&ram, 2 * MiB), 2 * MiB); /* aligned for huge pages */
    assert_int_equal((uintptr_t)ram.host % (2 * MiB), 0);
    assert_true(ram_alloc(&ram, 8 * MiB) == RAM_NONE);
    assert_true(ram_alloc(&ram, UINT64_MAX) == RAM_NONE);
    assert_int_equal(ram_alloc(&ram, 4 * MiB), 4 * MiB);
    assert_true(ram_alloc(&ram, 1) == RAM_NONE);
    ram_host(&ram, 8 * MiB - 1)[0] = 0x5a;
    assert_int_equal(ram_host(&ram, 8 * MiB - 1)[0], 0x5a);
    ram_destroy(&ram);
}

static void test_64_gib_costs_nothing(void **state)
{
    (void)state;
    struct ram ram;
    struct error err = {0};
    long before = resident_pages();
    assert_true(ram_create(&ram, 64 * GiB, &err));
    ram_t at = ram_alloc(&ram, 64 * GiB);
    assert_int_equal(at, 0);
    *ram_host(&ram, 64 * GiB - 1) = 1;
    ram_set_flags(&ram, 64 * GiB - 1, RAM_CODE);
    assert_int_equal(*ram_host(&ram, 32 * GiB), 0);
    assert_in_range(resident_pages() - before, 0, 4096);
    ram_destroy(&ram);
}

static void test_no_memory_names_m(void **state)
{
    (void)state;
    struct ram ram;
    struct error err = {0};
    assert_false(ram_create(&ram, UINT64_C(1) << 60, &err));
    assert_non_null(strstr(err.msg, "-m"));
    assert_null(strchr(err.msg, '\n'));
    assert_int_equal(ram.pagemap, -1);

#ifndef __SANITIZE_ADDRESS__ /* which needs unlimited address space itself */
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit limit = {GiB, GiB};
        setrlimit(RLIMIT_AS, &limit);
        err.msg[0] = 0;
        bool ok = ram_create(&ram, 2 * GiB, &err);
        _exit(!ok && strstr(err.msg, "-m") && strstr(err.msg, "2.0 GiB") ? 0 : 1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
#endif
}

static void test_flags(void **state)
{
    (void)state;
    struct told told = {0};
    struct ram ram = small(&told);
    told.ram = &ram;
    ram_set_flags(&ram, 0x8000, RAM_CODE); /* there is no line to take back */
    assert_int_equal(told.flags_set, 0);
    assert_false(ram_may_line(&ram, 0x8000));
    assert_int_equal(ram_flags(&ram, 0x8000), RAM_CODE);
    assert_true(ram_may_line(&ram, 0x3000));
    ram_set_flags(&ram, 0x3123, RAM_DIRTY); /* not a traced flag */
    assert_int_equal(told.flags_set, 0);
    assert_true(ram_may_line(&ram, 0x3000));
    ram_set_flags(&ram, 0x3123, RAM_CODE);
    assert_int_equal(told.flags_set, 1);
    assert_false(ram_may_line(&ram, 0x3000));
    assert_int_equal(told.at, 0x3000);
    assert_int_equal(told.len, PAGE_SIZE);
    ram_set_flags(&ram, 0x3fff, RAM_CODE | RAM_WATCH); /* it had no writable line any more */
    assert_int_equal(told.flags_set, 1);
    assert_int_equal(ram_flags(&ram, 0x3000), RAM_CODE | RAM_WATCH | RAM_DIRTY);
    assert_int_equal(ram_flags(&ram, 0x2fff), 0);
    assert_int_equal(ram_flags(&ram, 0x4000), 0);
    ram_clear_flags(&ram, 0x3000, RAM_CODE | RAM_DIRTY);
    assert_int_equal(ram_flags(&ram, 0x3fff), RAM_WATCH);
    ram_destroy(&ram);
}

static void test_note_write(void **state)
{
    (void)state;
    struct told told = {0};
    struct ram ram = small(&told);
    told.ram = &ram;
    ram_note_write(&ram, 0, 8 * MiB);
    assert_int_equal(told.traced, 0);
    ram_set_flags(&ram, 0x5000, RAM_CODE);
    ram_note_write(&ram, 0x4ffe, 2);
    assert_int_equal(told.traced, 0);
    ram_note_write(&ram, 0x4ffe, 5); /* the three bytes on the traced page */
    assert_int_equal(told.traced, 1);
    assert_int_equal(told.at, 0x5000);
    assert_int_equal(told.len, 3);
    ram_note_write(&ram, 0x5000, 0);
    assert_int_equal(told.traced, 1);
    ram_set_flags(&ram, 0x7000, RAM_WATCH);
    ram_note_write(&ram, 0x4000, 0x8000);
    assert_int_equal(told.traced, 3);
    ram_destroy(&ram);
}

static void test_dirty_log(void **state)
{
    (void)state;
    struct told told = {0};
    struct ram ram = small(&told);
    told.ram = &ram;
    ram_note_write(&ram, 0x10000, 0x1000); /* before the log: unseen */
    assert_true(ram_may_line(&ram, 0x12000));
    ram_log_start(&ram, 0x10000, 0x4000);
    assert_int_equal(told.flags_set, 1);
    assert_int_equal(told.at, 0x10000);
    assert_int_equal(told.len, 0x4000);
    assert_false(ram_log_take(&ram, 0x10000, 0x4000));
    ram_note_write(&ram, 0x12fff, 1);
    assert_false(ram_log_take(&ram, 0x10000, 0x2000));
    assert_true(ram_log_take(&ram, 0x10000, 0x4000));
    assert_false(ram_log_take(&ram, 0x10000, 0x4000));

    /* As the CPU does: the first store lifts the trace, take lays it again. */
    ram_set_flags(&ram, 0x11000, RAM_DIRTY);
    ram_clear_flags(&ram, 0x11000, RAM_LOG);
    assert_true(ram_may_line(&ram, 0x11000));
    told.flags_set = 0;
    assert_true(ram_log_take(&ram, 0x11800, 1));
    assert_int_equal(ram_flags(&ram, 0x11000), RAM_LOG);
    assert_int_equal(told.flags_set, 1);

    /* Page by page, and whoever caches writable pages hears of all at once. */
    bool dirty[4];
    for (unsigned i = 1; i < 4; i += 2) {
        ram_set_flags(&ram, 0x10000 + i * PAGE_SIZE, RAM_DIRTY);
        ram_clear_flags(&ram, 0x10000 + i * PAGE_SIZE, RAM_LOG);
        assert_true(ram_may_line(&ram, 0x10000 + i * PAGE_SIZE));
    }
    told.flags_set = 0;
    assert_true(ram_log_take_pages(&ram, 0x10000, 0x4000, dirty));
    assert_true(!dirty[0] && dirty[1] && !dirty[2] && dirty[3]);
    assert_int_equal(told.flags_set, 1);
    assert_int_equal(told.at, 0x11000);
    assert_int_equal(told.len, 0x3000);
    assert_false(ram_log_take_pages(&ram, 0x10000, 0x4000, dirty));
    assert_false(dirty[1] || dirty[3]);

    ram_log_stop(&ram, 0x10000, 0x4000);
    ram_note_write(&ram, 0x10000, 0x4000);
    assert_false(ram_log_take(&ram, 0x10000, 0x4000));
    assert_int_equal(ram_flags(&ram, 0x13000), 0);
    assert_false(ram_log_take(&ram, 0x10000, 0));
    ram_destroy(&ram);
}

/* Every page that was written is in some run, runs come in order, and most of the rest is in none.
 */
static void test_next_data(void **state)
{
    (void)state;
    struct ram ram;
    struct error err = {0};
    const uint64_t size = 64 * MiB;
    static const ram_t written[] = {0, 5 * MiB + 123, 5 * MiB + PAGE_SIZE, 31 * MiB, 64 * MiB - 1};
    assert_true(ram_create(&ram, size, &err));
    for (unsigned pass = 0; pass < 2; pass++) {
        unsigned found = 0;
        uint64_t bytes = 0;
        ram_t at = 0, end, last = 0;
        for (; ram_next_data(&ram, &at, &end, size); last = at = end) {
            assert_in_range(at, last, end - 1);
            assert_in_range(end - at, PAGE_SIZE, RAM_DATA_BYTES);
            assert_int_equal((at | end) & ~PAGE_MASK, 0);
            assert_true(end <= size);
            bytes += end - at;
            for (unsigned i = 0; i < ARRAY_SIZE(written); i++)
                found += written[i] >= at && written[i] < end;
        }
        if (pass == 0) {
            assert_int_equal(bytes, 0);
            for (unsigned i = 0; i < ARRAY_SIZE(written); i++)
                *ram_host(&ram, written[i]) = 1;
            continue;
        }
        assert_int_equal(found, ARRAY_SIZE(written));
        assert_in_range(bytes, 5 * PAGE_SIZE, 10 * MiB); /* huge pages exist whole */
    }
    /* where it cannot be told, all of it is data */
    close(ram.pagemap);
    ram.pagemap = -1;
    ram_t at = 7 * PAGE_SIZE, end = 0;
    assert_true(ram_next_data(&ram, &at, &end, 9 * PAGE_SIZE));
    assert_int_equal(at, 7 * PAGE_SIZE);
    assert_int_equal(end, 9 * PAGE_SIZE);
    ram_destroy(&ram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc),
        cmocka_unit_test(test_64_gib_costs_nothing),
        cmocka_unit_test(test_no_memory_names_m),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_note_write),
        cmocka_unit_test(test_dirty_log),
        cmocka_unit_test(test_next_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
