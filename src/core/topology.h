/*
 * How the CPUs of a machine are arranged, and the local APIC ID that follows from it:
 *
 *      socket | core | thread          each field as wide as its count needs
 *
 * SDM 3A §9.9.1 "Hierarchical Mapping of Shared Resources" (§8.9.1 in revisions before 2022).
 */
#ifndef VITRINE_CORE_TOPOLOGY_H
#define VITRINE_CORE_TOPOLOGY_H

#include "core/types.h"

/* cores of a socket, threads of a core; all zeros count as ones. */
struct cpu_topology {
    unsigned sockets, cores, threads;
};

/* Bits that tell n things apart. */
static inline unsigned topology_bits(unsigned n)
{
    return n <= 1 ? 0 : 32 - (unsigned)__builtin_clz(n - 1);
}

static inline unsigned topology_threads(const struct cpu_topology *t)
{
    return MAX(t->threads, 1);
}
static inline unsigned topology_cores(const struct cpu_topology *t)
{
    return MAX(t->cores, 1);
}
static inline unsigned topology_socket_cpus(const struct cpu_topology *t)
{
    return topology_cores(t) * topology_threads(t);
}

static inline unsigned topology_cpus(const struct cpu_topology *t)
{
    return MAX(t->sockets, 1) * topology_socket_cpus(t);
}

/* How far an APIC ID is shifted to be the number of a core, or of a socket. */
static inline unsigned topology_core_shift(const struct cpu_topology *t)
{
    return topology_bits(topology_threads(t));
}
static inline unsigned topology_socket_shift(const struct cpu_topology *t)
{
    return topology_core_shift(t) + topology_bits(topology_cores(t));
}

/* CPU n, counted through the threads of a core, the cores of a socket, the sockets. */
static inline uint32_t topology_apic_id(const struct cpu_topology *t, unsigned n)
{
    const unsigned threads = topology_threads(t), cores = topology_cores(t);
    return n / (threads * cores) << topology_socket_shift(t) |
           n / threads % cores << topology_core_shift(t) | n % threads;
}

#endif
