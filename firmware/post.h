/* The phases of POST, one function each, in files by subject; post.c has their order. */
#ifndef FIRMWARE_POST_H
#define FIRMWARE_POST_H

/* shadow.c */
void shadow_open(void);  /* RAM at C0000h to FFFFFh, with our image in it */
void shadow_close(void); /* write-protects what is code */

/* vectors.c */
void vectors_init(void);
void bda_init(void);

/* chipset.c */
void pic_init(void);
void pit_init(void);

#endif
