/*
 * A server that means well offers its descriptor until the client has room for it. The client, whose table is full, waits: however often that
 * is, and however small its stack.
 */
#include "program.h"

#include <sys/resource.h>

enum { OFFERS = 20000 };

/* "d" is answered with a descriptor, or with how often one was offered in vain. */
static void serve(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    int offers = 0;
    (void)cookie, (void)dp, (void)n;
    if (size == 1 && argp[0] == 'd') {
        door_desc_t descriptor;
        memset(&descriptor, 0, sizeof descriptor);
        descriptor.d_attributes = DOOR_DESCRIPTOR;
        descriptor.d_data.d_desc.d_descriptor = open("/dev/null", O_RDONLY);
        do
            door_return((char *)&offers, sizeof offers, &descriptor, 1);
        while (errno == EMFILE && ++offers < OFFERS);
        close(descriptor.d_data.d_desc.d_descriptor);
    }
    door_return((char *)&offers, sizeof offers, NULL, 0);
}

static void *call(void *path) {
    int offers = -1, door = open_door(path);
    door_arg_t arg = request("q", 1, &offers, sizeof offers);
    MUST(door_call(door, &arg));
    struct rlimit limit = {.rlim_cur = 64, .rlim_max = 64};
    MUST(setrlimit(RLIMIT_NOFILE, &limit));
    while (open("/dev/null", O_RDONLY) != -1)
        ;
    arg = request("d", 1, &offers, sizeof offers);
    MUST(door_call(door, &arg));
    printf("%d offers in vain\n", offers);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc == 2) {
        int made = door_create(serve, NULL, 0);
        MUST(made);
        publish(made, argv[1]);
        for (;;)
            pause();
    }
    alarm(60);
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 << 10);
    if (pthread_create(&thread, &attributes, call, argv[1]) != 0)
        return 1;
    pthread_join(thread, NULL);
    return 0;
}
