/*
 * One back-end shared by a serial port and the monitor: mon:stdio, which -nographic means as well.
 * Output of both goes out; input goes to the one that has the focus, the serial port at first.
 *
 *      Ctrl-A x  quit            Ctrl-A c  switch between serial port and monitor
 *      Ctrl-A h  help            Ctrl-A b  send a break to the one that has the focus
 *      Ctrl-A s  nothing (QEMU commits -snapshot disks here)
 *      Ctrl-A Ctrl-A  sends Ctrl-A
 *
 * Escapes are seen even while the guest takes no input: up to CHR_MUX_BYTES are kept for it.
 *
 * The monitor's front end sees event(true) each time it gets the focus (the moment to prompt) and
 * event(false) when it loses it. The serial port's sees the back-end's own comings and goings.
 */
#ifndef VITRINE_HOST_CHR_MUX_H
#define VITRINE_HOST_CHR_MUX_H

#include "host/chr.h"

#define CHR_MUX_BYTES 16384

enum chr_mux_port { CHR_MUX_SERIAL, CHR_MUX_MONITOR, CHR_MUX_PORTS };

struct chr_mux_config {
    const char *label; /* of the serial port; the monitor's is "monitor" */
    const char *spec;  /* what stands behind, with or without "mon:" */
    struct host_loop *loop;
    struct door *door;
    struct log *log;
    void (*quit)(void *quit_opaque); /* Ctrl-A x; on the machine's thread, from the host loop */
    void *quit_opaque;
};

/* True for "mon:..." */
bool chr_spec_is_mux(const char *spec);

/*
 * Opens the back-end and both ends; each is closed by chr_close(), the back-end with the last of
 * them. An end without a front end drops its input. False and err on failure.
 */
bool chr_mux_open(const struct chr_mux_config *cfg, struct chr *port[CHR_MUX_PORTS],
                  struct error *err);

#endif
