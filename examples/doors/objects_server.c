/*
 * A door for each object. Who holds the door may use the object; when nobody does any more, the object goes.
 *
 *     cc objects_server.c -o objects_server -ldoor -lpthread && ./objects_server /tmp/counters
 *
 * Objects are counters with names. The main door gives the door of a counter, a call to that adds one and gives the sum.
 */
#include "serve.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

enum { COUNTERS = 64, NAME_LIMIT = 31 };

struct counter {
    char name[NAME_LIMIT + 1]; /* empty: not in use */
    uintptr_t generation;      /* how often this place has been used */
    int door;
    long sum;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct counter counters[COUNTERS];

/*
 * Cookies are numbers, not pointers: an invocation that was under way when its object went must find out. It has the place and
 * the generation.
 */
static struct counter *of_cookie(void *cookie)
{
    uintptr_t number = (uintptr_t)cookie;
    struct counter *counter = &counters[number % COUNTERS];

    return counter->name[0] != '\0' && counter->generation == number / COUNTERS ? counter : NULL;
}

/* Nobody holds it, as far as the library knows. Under the lock, because it may have been given away again since. */
static void remove_if_unreferenced(struct counter *counter)
{
    door_info_t info;

    if (door_info(counter->door, &info) < 0 || !(info.di_attributes & DOOR_IS_UNREF))
        return;
    printf("%s is gone\n", counter->name);
    fflush(stdout);
    door_revoke(counter->door); /* closes it, too */
    counter->name[0] = '\0';
}

static void use_counter(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    struct counter *counter;
    long sum = -1;

    (void)arg_size, (void)dp, (void)n_desc;
    pthread_mutex_lock(&lock);
    counter = of_cookie(cookie);
    if (counter != NULL && argp == DOOR_UNREF_DATA)
        remove_if_unreferenced(counter);
    else if (counter != NULL)
        sum = ++counter->sum;
    pthread_mutex_unlock(&lock);
    if (argp == DOOR_UNREF_DATA)
        door_return(NULL, 0, NULL, 0); /* there is nobody to whom an answer could go */
    door_return((char *)&sum, sizeof sum, NULL, 0);
}

/* The counter of that name, made if there is none; NULL if there is no room. */
static struct counter *find_or_make(const char *name)
{
    struct counter *room = NULL;
    int door;

    for (size_t i = 0; i < COUNTERS; i++) {
        if (strcmp(counters[i].name, name) == 0)
            return &counters[i];
        if (counters[i].name[0] == '\0')
            room = &counters[i];
    }
    if (room == NULL)
        return NULL;
    room->generation++;
    door = door_create(use_counter, (void *)(room->generation * COUNTERS + (uintptr_t)(room - counters)),
                       DOOR_UNREF_MULTI | DOOR_REFUSE_DESC | DOOR_NO_CANCEL);
    if (door < 0)
        return NULL;
    room->door = door;
    room->sum = 0;
    strcpy(room->name, name);
    return room;
}

static void open_counter(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    char name[NAME_LIMIT + 1] = "";
    struct counter *counter = NULL;
    door_desc_t desc;
    int copy = -1;

    (void)cookie, (void)dp, (void)n_desc;
    if (arg_size <= NAME_LIMIT)
        memcpy(name, argp, arg_size);
    pthread_mutex_lock(&lock);
    if (name[0] != '\0')
        counter = find_or_make(name);
    if (counter != NULL)
        copy = dup(counter->door); /* a reference from now on: nobody can take the counter away under the client's feet */
    pthread_mutex_unlock(&lock);
    if (copy < 0)
        door_return(NULL, 0, NULL, 0);

    memset(&desc, 0, sizeof desc);
    desc.d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE;
    desc.d_data.d_desc.d_descriptor = copy;
    door_return(NULL, 0, &desc, 1);
    close(copy); /* it could not be delivered; maybe nobody holds the counter now */
    door_return(NULL, 0, NULL, 0);
}

int main(int argc, char **argv)
{
    serve(door_create(open_counter, NULL, DOOR_REFUSE_DESC | DOOR_NO_CANCEL), argc > 1 ? argv[1] : "/tmp/counters");
}
