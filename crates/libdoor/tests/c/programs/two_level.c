/*
 * A repository server: the main door gives each client a door of its own, a copy sent with DOOR_RELEASE, whose cookie says who it is.
 * When the client lets go of it or dies, the server forgets the client.
 */
#include "program.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int doors[16], clients;

static void client_procedure(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    uintptr_t id = (uintptr_t)cookie;
    (void)dp, (void)n;
    pthread_mutex_lock(&lock);
    if (argp == DOOR_UNREF_DATA) {
        clients--;
        door_revoke(doors[id]);
        pthread_mutex_unlock(&lock);
        door_return(NULL, 0, NULL, 0);
    }
    int seen[2] = {(int)id, clients};
    pthread_mutex_unlock(&lock);
    (void)size;
    door_return((char *)seen, sizeof seen, NULL, 0);
}

static void main_procedure(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    static int last;
    static _Thread_local ucred_t *who;
    (void)cookie, (void)argp, (void)dp, (void)n;
    int result = 0;
    if (size != 8 || door_ucred(&who) == -1) {
        result = EINVAL;
        door_return((char *)&result, sizeof result, NULL, 0);
    }
    pthread_mutex_lock(&lock);
    int id = last++;
    doors[id] = door_create(client_procedure, (void *)(uintptr_t)id, DOOR_UNREF | DOOR_REFUSE_DESC | DOOR_NO_CANCEL);
    clients++;
    door_desc_t desc;
    memset(&desc, 0, sizeof desc);
    desc.d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE;
    desc.d_data.d_desc.d_descriptor = dup(doors[id]);
    pthread_mutex_unlock(&lock);
    door_return((char *)&result, sizeof result, &desc, 1);
    door_return(NULL, 0, NULL, 0); /* not delivered: then without */
}

static int connect_to(int main_door) {
    char hello[8] = "hello", room[64];
    door_arg_t arg = request(hello, sizeof hello, room, sizeof room);
    while (door_call(main_door, &arg) == -1)
        if (errno != EINTR)
            MUST(-1);
    if (arg.desc_num != 1 || arg.data_size != sizeof(int))
        exit(1);
    MUST(fcntl(arg.desc_ptr->d_data.d_desc.d_descriptor, F_SETFD, FD_CLOEXEC));
    return arg.desc_ptr->d_data.d_desc.d_descriptor;
}

static int count(int own, int *id) {
    int seen[2];
    door_arg_t arg = request("?", 1, seen, sizeof seen);
    MUST(door_call(own, &arg));
    *id = seen[0];
    return seen[1];
}

int main(int argc, char **argv) {
    if (argc == 2) {
        int door = door_create(main_procedure, NULL, DOOR_REFUSE_DESC | DOOR_NO_CANCEL);
        MUST(door);
        MUST(door_setparam(door, DOOR_PARAM_DATA_MIN, 8));
        MUST(door_setparam(door, DOOR_PARAM_DATA_MAX, 16));
        publish(door, argv[1]);
        for (;;)
            pause();
    }
    int door = open_door(argv[1]), one = connect_to(door), two = connect_to(door), id;
    door_arg_t small = request("?", 1, NULL, 0);
    printf("too short: %s\n", door_call(door, &small) == -1 && errno == ENOBUFS ? "ENOBUFS" : "?");
    int many = count(one, &id);
    printf("client %d of %d\n", id, many);
    many = count(two, &id);
    printf("client %d of %d\n", id, many);
    close(two);
    while (count(one, &id) != 1) /* the server is told in its own time */
        usleep(1000);
    puts("one is left");
    return 0;
}
