/* The PC speaker: makes sound of what the 8254's counter 2 and port 61h do. */
#ifndef VITRINE_DEVICES_SPEAKER_H
#define VITRINE_DEVICES_SPEAKER_H

#include "core/device.h"
#include "devices/pit8254.h"
#include "host/audio.h"

struct speaker;

/* Listens to pit and plays on audio; both outlive it. NULL: out of memory. */
struct speaker *speaker_create(struct pit8254 *pit, struct event_queue *events,
                               struct audio *audio);
struct device *speaker_device(struct speaker *s);

#endif
