/*
 * The field walk: each part lists its fields once, in x_state(dev, walk), and that one list serves
 * saving, loading, hashing and inspection. Sections carry a name and a version. The first error is
 * kept and every later call does nothing, so callers check once at the end.
 *
 * A saved state is hostile input: lengths and names are checked here, meanings (an index, an enum)
 * by the owner through state_check() right after the field.
 */
#ifndef VITRINE_CORE_STATE_H
#define VITRINE_CORE_STATE_H

#include "core/error.h"
#include "core/types.h"

enum state_mode {
    STATE_SAVE,
    STATE_LOAD,
    STATE_HASH, /* FNV-1a over names and values: the machine's state hash */
    STATE_DUMP, /* "section.field = value" lines for people */
};

struct state {
    enum state_mode mode;
    struct error err;
    uint64_t hash;
    uint8_t *buf; /* SAVE: grows; LOAD: given */
    size_t len, cap, pos;
    size_t section_start;
    const char *section; /* name of the open section */
    uint32_t version;    /* of the open section; on LOAD that of the file */
    void (*line)(void *opaque, const char *line); /* DUMP sink */
    void *opaque;
};

void state_init_save(struct state *s);
void state_init_load(struct state *s, const void *buf, size_t len); /* buf must outlive s */
void state_init_hash(struct state *s);
void state_init_dump(struct state *s, void (*line)(void *, const char *), void *opaque);
void state_free(struct state *s);

/* Opens a section. On LOAD the file's must bear this name and a version in 1..version. */
void state_begin(struct state *s, const char *section, uint32_t version);
void state_end(struct state *s);

static inline bool state_loading(const struct state *s)
{
    return s->mode == STATE_LOAD;
}

/* Fails the walk unless ok: for values that are used as an index, size or enum after loading. */
void state_check(struct state *s, bool ok, const char *field);

void state_bool(struct state *s, const char *field, bool *v);
void state_u8(struct state *s, const char *field, uint8_t *v);
void state_u16(struct state *s, const char *field, uint16_t *v);
void state_u32(struct state *s, const char *field, uint32_t *v);
void state_u64(struct state *s, const char *field, uint64_t *v);
void state_i64(struct state *s, const char *field, int64_t *v);
void state_bytes(struct state *s, const char *field, void *p, size_t n);

struct event;
struct event_queue;
/* Saves the due time; on LOAD arms or cancels e on q. */
void state_event(struct state *s, const char *field, struct event_queue *q, struct event *e);

#endif
