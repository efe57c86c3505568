/* INT 15h AH=83h and 86h. */
#ifndef FIRMWARE_WAIT_H
#define FIRMWARE_WAIT_H

/* A periodic interrupt of the real-time clock. */
void wait_tick(void);

#endif
