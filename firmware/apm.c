/*
 * INT 15h AH=53h: Advanced Power Management 1.2 ("APM BIOS Interface Specification"), as far as a
 * machine on the mains that can only be switched off has a use for it: idle, power off, status.
 *
 * Not done: the protected-mode interfaces (installation check says so), standby and suspend.
 */
#include "int15.h"
#include "io.h"
#include "post16.h"
#include "timer.h"

enum {
    APM_OK = 0x00,
    APM_INTERFACE_CONNECTED = 0x02,
    APM_NOT_CONNECTED = 0x03,
    APM_NO_PROTECTED_16 = 0x06,
    APM_NO_PROTECTED_32 = 0x08,
    APM_NO_DEVICE = 0x09,
    APM_BAD_PARAMETER = 0x0A,
    APM_NO_EVENT = 0x80,
};

#define DEVICE_BIOS  0x0000
#define DEVICE_ALL   0x0001
#define STATE_OFF    0x0003

#define PM1_CONTROL  (PM_BASE + 4)
#define PM1_SLEEP_S5 0x2000 /* SLP_EN, SLP_TYP 0 (82371AB "PMCNTRL") */

static bool connected;

static uint8_t set_state(const struct bregs *r)
{
    if (r->bx != DEVICE_ALL)
        return APM_NO_DEVICE;
    if (r->cx == STATE_OFF) {
        outw(PM1_CONTROL, PM1_SLEEP_S5);
        return APM_OK;
    }
    return r->cx < STATE_OFF ? 0x60 /* cannot enter that state */ : APM_BAD_PARAMETER;
}

static uint8_t connect(const struct bregs *r)
{
    if (r->bx != DEVICE_BIOS)
        return APM_NO_DEVICE;
    if (connected)
        return APM_INTERFACE_CONNECTED;
    connected = true;
    return APM_OK;
}

static uint8_t disconnect(const struct bregs *r)
{
    if (r->bx != DEVICE_BIOS)
        return APM_NO_DEVICE;
    if (!connected)
        return APM_NOT_CONNECTED;
    connected = false;
    return APM_OK;
}

static uint8_t power_status(struct bregs *r)
{
    if (r->bx != DEVICE_ALL)
        return APM_NO_DEVICE;
    r->bx = 0x01ff; /* on line; battery: unknown */
    r->cx = 0x80ff; /* there is none */
    r->dx = 0xffff;
    return APM_OK;
}

void apm_service(struct bregs *r)
{
    uint8_t status = APM_OK;
    switch (r->al) {
    case 0x00:
        r->ax = 0x0102;
        r->bx = 0x504D; /* "PM" */
        r->cx = 0x0000; /* real mode only */
        set_flag(r, FLAG_CF, 0);
        return;
    case 0x01:
        status = connect(r);
        break;
    case 0x02:
        status = APM_NO_PROTECTED_16;
        break;
    case 0x03:
        status = APM_NO_PROTECTED_32;
        break;
    case 0x04:
        status = disconnect(r);
        break;
    case 0x05:
        wait_irq();
        break;
    case 0x06: /* busy: the clock is never slowed down */
    case 0x08: /* enable, restore defaults, ... : always enabled */
    case 0x09:
    case 0x0d:
    case 0x0f:
        break;
    case 0x07:
        status = set_state(r);
        break;
    case 0x0a:
        status = power_status(r);
        break;
    case 0x0b:
        status = APM_NO_EVENT;
        break;
    case 0x0c:
        r->cx = 0; /* enabled */
        break;
    case 0x0e:
        r->ax = 0x0102;
        set_flag(r, FLAG_CF, 0);
        return;
    default:
        unsupported(r);
        return;
    }
    r->ah = status;
    set_flag(r, FLAG_CF, status != APM_OK);
}
