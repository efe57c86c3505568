/*
 * The runtime of the BIOS suite: calls of BIOS services written down as one line of text each,
 * which is also what is printed in front of the answer.
 *
 *   bios("13 ax=0201 cx=0001 dx=%04x bx=0000 es=3000 -> cf [3000:0000]+10", drive)
 *
 *   13            the interrupt; or a group's own word that run.py shows, ended by ": "
 *   ax=0201       a register before the call, in hexadecimal: 8, 16 or 32 bits of it; the rest of
 * the general registers holds marks, so that one that is changed by mistake is seen nc, cy CF
 * before the call; CF = 1 when nothing is said, so that success is seen to clear it nz, zr ZF
 * before the call; ZF = 0 when nothing is said
 *   ->            and of the answer:
 *   cf, zf        the service defines this flag: it is printed
 *   ~cx           undefined behind the call: not looked at. All other registers are printed where
 * they changed
 *   @es:bx        a far pointer: what it points into is printed, not the number
 *   @es:bx+10     and so many bytes there (hexadecimal)
 *   [3000:0]+10   these bytes of memory
 *
 * What a line of output says is "key -> field=value field=value"; a register that is not named has
 * kept its value, and "if=0", "df=1", "sp=" would tell of an IRET that went wrong.
 */
#ifndef BIOS_RT_H
#define BIOS_RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct regs {
    uint32_t eax, ebx, ecx, edx, esi, edi, ebp;
    uint16_t ds, es, fs, gs;
    uint32_t flags;
};
enum { CF = 1 << 0, ZF = 1 << 6, IF = 1 << 9, DF = 1 << 10 };

extern struct regs regs; /* what the last call left; entry.S */
extern uint32_t regs_esp;
extern uint8_t gate[5];
extern uint16_t entry[11]; /* AX BX DX DI DS ES SS SP CS IP FLAGS as boot.S found them */
extern char words[240];    /* what run.py asks for */
void bios_call(void);
void flat_call(void);
extern struct {
    uint32_t offset;
    uint16_t selector;
} __attribute__((packed)) flat_target;

#define PROGRAM 0x1000 /* our segment */
#define BUFFER  0x3000 /* 64 KiB for the services to fill, and 64 more behind it */

/* Calls and prints. bios_quiet() calls only; both leave the answer in `regs`. */
void bios(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void bios_quiet(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same by a far call; the line's first word stands for the address. */
void bios_far(uint16_t seg, uint16_t off, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same as a 32-bit service, by a far call to 08h:linear. */
void bios_flat(uint32_t linear, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A line of our own: "key -> text" when the format holds the arrow. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void part(const char *fmt, ...)
    __attribute__((format(printf, 1, 2))); /* without the end of the line */
void end_line(void);
void dump(uint16_t seg, uint16_t off, unsigned bytes);     /* hexadecimal, no end of line */
const char *kind(uint16_t seg, uint16_t off);              /* what lies at an address */
bool word_given(const char *word);                         /* is it among run.py's words? */
uint32_t word_value(const char *name, uint32_t otherwise); /* name=hexadecimal */

uint8_t peek8(uint16_t seg, uint16_t off);
uint16_t peek16(uint16_t seg, uint16_t off);
uint32_t peek32(uint16_t seg, uint16_t off);
void poke8(uint16_t seg, uint16_t off, uint8_t v);
void poke16(uint16_t seg, uint16_t off, uint16_t v);
void poke32(uint16_t seg, uint16_t off, uint32_t v);
void fill(uint16_t seg, uint16_t off, uint8_t v, unsigned bytes);
uint32_t hash(uint16_t seg, uint16_t off, uint32_t bytes); /* of whole 4 bytes */
uint32_t hash_step(uint32_t h, uint32_t v);
uint8_t sum(uint16_t seg, uint16_t off, uint32_t bytes);
uint8_t phys8(uint32_t at); /* anywhere below 4 GiB */
uint32_t phys32(uint32_t at);

void set_vector(unsigned n, void (*hook)(void));
uint32_t get_vector(unsigned n); /* segment:offset */
void put_vector(unsigned n, uint32_t v);
uint32_t ticks(void);
bool wait_ticks(unsigned n,
                bool (*done)(void)); /* done() came true in that time; NULL: just wait */

static inline void outb(uint16_t port, uint8_t v)
{
    asm volatile("outb %0, %1" ::"a"(v), "Nd"(port));
}
static inline uint8_t inb(uint16_t port)
{
    uint8_t v;
    asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
static inline void outl(uint16_t port, uint32_t v)
{
    asm volatile("outl %0, %1" ::"a"(v), "Nd"(port));
}
static inline uint32_t inl(uint16_t port)
{
    uint32_t v;
    asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
static inline void cli(void)
{
    asm volatile("cli" ::: "memory");
}
static inline void sti(void)
{
    asm volatile("sti" ::: "memory");
}
static inline void hlt(void)
{
    asm volatile("sti\n hlt" ::: "memory");
}

void *memset(void *p, int c, size_t n);
void *memcpy(void *d, const void *s, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/* The groups; each program has some of them. */
void boot_group(void) __attribute__((weak));
void restart_group(void) __attribute__((weak));
void video_group(void) __attribute__((weak));
void vbe_group(void) __attribute__((weak));
void disk_group(void) __attribute__((weak));
void edd_group(void) __attribute__((weak));
void serial_group(void) __attribute__((weak));
void system_group(void) __attribute__((weak));
void memory_group(void) __attribute__((weak));
void apm_group(void) __attribute__((weak));
void keyboard_group(void) __attribute__((weak));
void keys_group(void) __attribute__((weak));
void mouse_group(void) __attribute__((weak));
void clock_group(void) __attribute__((weak));
void pci_group(void) __attribute__((weak));
void tables_group(void) __attribute__((weak));

#endif
