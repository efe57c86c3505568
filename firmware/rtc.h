/* The real-time clock in CMOS RAM: MC146818A "Address Map", "Registers". */
#ifndef FIRMWARE_RTC_H
#define FIRMWARE_RTC_H

enum {
    RTC_SECONDS = 0x00,
    RTC_SECONDS_ALARM = 0x01,
    RTC_MINUTES = 0x02,
    RTC_MINUTES_ALARM = 0x03,
    RTC_HOURS = 0x04,
    RTC_HOURS_ALARM = 0x05,
    RTC_DAY_OF_WEEK = 0x06,
    RTC_DAY = 0x07,
    RTC_MONTH = 0x08,
    RTC_YEAR = 0x09,
    RTC_A = 0x0a,
    RTC_B = 0x0b,
    RTC_C = 0x0c, /* why it interrupts: bits as in B; reading it ends that */
    RTC_D = 0x0d,
    RTC_CENTURY = 0x32,

    RTC_A_UPDATING = 0x80,
    RTC_A_32768_HZ = 0x20,
    RTC_A_1024_HZ = 0x06, /* of the periodic interrupt */

    RTC_B_SET = 0x80, /* the clock stands still */
    RTC_B_PERIODIC = 0x40,
    RTC_B_ALARM = 0x20,
    RTC_B_24_HOURS = 0x02,
    RTC_B_DST = 0x01,
};

#endif
