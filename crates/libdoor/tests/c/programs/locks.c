/*
 * A lock is a descriptor: whoever holds the door that came with the answer holds the lock. It comes back when that is closed, when
 * its holder dies, and when the answer could not be delivered.
 */
#include "program.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int held, token;

static void token_procedure(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)size, (void)dp, (void)n;
    if (argp == DOOR_UNREF_DATA) {
        pthread_mutex_lock(&lock);
        held = 0;
        pthread_mutex_unlock(&lock);
    }
    door_return(NULL, 0, NULL, 0);
}

static void lock_procedure(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)argp, (void)size, (void)dp, (void)n;
    int error = 0;
    pthread_mutex_lock(&lock);
    if (held)
        error = EBUSY;
    else
        held = 1;
    pthread_mutex_unlock(&lock);
    if (error != 0)
        door_return((char *)&error, sizeof error, NULL, 0);
    door_desc_t desc;
    memset(&desc, 0, sizeof desc);
    desc.d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE;
    desc.d_data.d_desc.d_descriptor = dup(token);
    while (door_return((char *)&error, sizeof error, &desc, 1) == -1 && errno == EMFILE)
        usleep(1000); /* the client has no room now; the descriptor is still ours, and so is the call */
    door_return(NULL, 0, NULL, 0);
}

static int take(int door, int *key) {
    char room[64];
    door_arg_t arg = request(NULL, 0, room, sizeof room);
    MUST(door_call(door, &arg));
    if (arg.desc_num == 1)
        *key = arg.desc_ptr->d_data.d_desc.d_descriptor;
    return *(int *)(void *)arg.data_ptr;
}

static void wait_for(int door, int *key) {
    while (take(door, key) == EBUSY)
        usleep(1000);
}

int main(int argc, char **argv) {
    if (argc == 2) {
        MUST(token = door_create(token_procedure, NULL, DOOR_UNREF_MULTI | DOOR_REFUSE_DESC | DOOR_NO_CANCEL));
        int door = door_create(lock_procedure, NULL, DOOR_REFUSE_DESC | DOOR_NO_CANCEL);
        MUST(door);
        publish(door, argv[1]);
        for (;;)
            pause();
    }
    int door = open_door(argv[1]), key = -1, pair[2], other;
    printf("taken: %d\n", take(door, &key));
    printf("again: %s\n", take(door, &other) == EBUSY ? "EBUSY" : "?");
    close(key);
    wait_for(door, &key);
    puts("taken after close");
    close(key);
    MUST(pipe(pair));
    pid_t child = fork();
    if (child == 0) {
        wait_for(door, &key);
        if (write(pair[1], "k", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    char byte;
    if (read(pair[0], &byte, 1) != 1)
        return 1;
    printf("held by another: %s\n", take(door, &other) == EBUSY ? "EBUSY" : "?");
    kill(child, SIGKILL);
    wait_for(door, &key);
    puts("taken after its death");
    return 0;
}
