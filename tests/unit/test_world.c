/* core/world.c: one lock, and a world that stops while somebody has it to himself. */
#include "core/world.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MEMBERS = 3, STOPS = 200 };

static struct world world;
static struct runner {
    struct world_member member;
    pthread_t thread;
    uint64_t inside; /* steps made without the lock */
} runners[MEMBERS];
static uint64_t guarded; /* under the lock */
static bool over;

static void *run(void *opaque)
{
    struct runner *r = opaque;
    world_be(&r->member);
    world_enter(&world);
    while (!over) {
        guarded++;
        world_leave(&world);
        for (unsigned i = 0; i < 500 && !world_wanted(&world); i++)
            __atomic_store_n(&r->inside, r->inside + 1, __ATOMIC_RELAXED);
        world_enter(&world);
        world_enter(&world); /* it nests */
        world_leave(&world);
    }
    pthread_mutex_unlock(&world.lock); /* as a CPU that ends: never inside again */
    return NULL;
}

static uint64_t steps(void)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < MEMBERS; i++)
        n += __atomic_load_n(&runners[i].inside, __ATOMIC_RELAXED);
    return n;
}

static void test_stop(void **state)
{
    (void)state;
    world_init(&world);
    over = false;
    for (unsigned i = 0; i < MEMBERS; i++)
        world_join(&world, &runners[i].member);
    for (unsigned i = 0; i < MEMBERS; i++)
        assert_int_equal(pthread_create(&runners[i].thread, NULL, run, &runners[i]), 0);
    uint64_t last = 0;
    for (unsigned i = 0; i < STOPS; i++) {
        while (steps() == last)
            sched_yield(); /* they go on */
        pthread_mutex_lock(&world.lock);
        world_stop(&world);
        world_stop(&world);
        last = steps();
        for (unsigned k = 0; k < 10; k++)
            sched_yield();
        assert_int_equal(steps(), last);
        world_go(&world);
        assert_true(world_wanted(&world)); /* still stopped */
        for (unsigned n = 0; n < MEMBERS; n++)
            assert_false(runners[n].member.inside);
        world_go(&world);
        pthread_mutex_unlock(&world.lock);
    }
    pthread_mutex_lock(&world.lock);
    assert_true(guarded > 0);
    over = true;
    pthread_mutex_unlock(&world.lock);
    for (unsigned i = 0; i < MEMBERS; i++)
        pthread_join(runners[i].thread, NULL);
    world_destroy(&world);
}

/* A fault in the middle of what was entered and stopped leaves nothing behind. */
static void test_unwind(void **state)
{
    (void)state;
    struct world_member me, other;
    world_init(&world);
    world_join(&world, &me);
    world_join(&world, &other);
    world_be(&me);
    world_enter(&world);
    world_leave(&world);
    assert_true(me.inside);
    world_enter(&world);
    world_enter(&world);
    world_stop(&world);
    assert_false(me.inside);
    assert_int_not_equal(pthread_mutex_trylock(&world.lock), 0);
    world_unwind(&world);
    assert_true(me.inside);
    assert_false(world_wanted(&world));
    assert_int_equal(pthread_mutex_trylock(&world.lock), 0);
    pthread_mutex_unlock(&world.lock);
    world_unwind(&world); /* nothing to undo */
    assert_true(me.inside);
    world_be(NULL);
    world_destroy(&world);
}

/* Without a world, and for a thread that is no member, all of it does nothing. */
static void test_nobody(void **state)
{
    (void)state;
    world_enter(NULL);
    world_enter_device(NULL);
    world_stop(NULL);
    world_go(NULL);
    world_leave(NULL);
    world_unwind(NULL);
    world_init(&world);
    world_enter(&world);
    assert_int_equal(pthread_mutex_trylock(&world.lock), 0); /* who is no member locks by himself */
    pthread_mutex_unlock(&world.lock);
    world_leave(&world);
    world_destroy(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_unwind),
        cmocka_unit_test(test_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
