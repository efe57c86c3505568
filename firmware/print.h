/*
 * Text. Screen output goes through INT 10h, also to COM1 when nobody looks at the screen
 * (-nographic), and to the debug port 402h; debug output goes to the debug port alone.
 *
 * Formats: %s %c %d %u %x, with a width and 0 as in %04x; %lu and %lx are the same, %llx is not.
 */
#ifndef FIRMWARE_PRINT_H
#define FIRMWARE_PRINT_H

#include "mode.h"

#define print MODE_FN(print)
#define debug MODE_FN(debug)

void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One character on the screen (and COM1); \n is a new line. */
void put_char(char c);

/* Set by POST: messages go to COM1 too. */
extern uint8_t serial_console;

#endif
