/* The boot menu; 16-bit code. */
#ifndef FIRMWARE_MENU_H
#define FIRMWARE_MENU_H

/* Waits for F12 as long as it is asked to, then shows the list. The entry chosen; -1: none was. */
int menu_choose(void);

#endif
