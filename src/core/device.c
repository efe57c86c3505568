/* See device.h. Reset: first every device its own fields, then every device its lines. */
#include "core/device.h"

void device_list_init(struct device_list *list)
{
    list->head = NULL;
    list->tail = &list->head;
}

void device_add(struct device_list *list, struct device *dev)
{
    dev->next = NULL;
    *list->tail = dev;
    list->tail = &dev->next;
}

void device_reset_all(struct device_list *list, enum reset_kind kind)
{
    for (struct device *d = list->head; d; d = d->next)
        if (d->ops->reset)
            d->ops->reset(d, kind);
    for (struct device *d = list->head; d; d = d->next)
        if (d->ops->reset_lines)
            d->ops->reset_lines(d);
}

void device_state_all(struct device_list *list, struct state *s)
{
    for (struct device *d = list->head; d; d = d->next)
        if (d->ops->state)
            d->ops->state(d, s);
    if (s->mode != STATE_LOAD || s->err.msg[0])
        return;
    for (struct device *d = list->head; d; d = d->next)
        if (d->ops->loaded)
            d->ops->loaded(d);
}

void device_destroy_all(struct device_list *list)
{
    while (list->head) {
        struct device **p = &list->head;
        while ((*p)->next)
            p = &(*p)->next;
        struct device *d = *p;
        *p = NULL;
        if (d->ops->destroy)
            d->ops->destroy(d);
    }
    list->tail = &list->head;
}
