/*
 * Events go to those who want them: a subscriber gives the server a door of its own, the server calls it for each event, and
 * forgets subscribers that are gone. So each side is server and client.
 */
#include "program.h"

enum { MOST = 16 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int subscribers[MOST], count;

/* ---- the server ---- */

static int deliver(int door, const char *event, size_t size) {
    int answer = 0;
    door_arg_t arg = request(event, size, (char *)&answer, sizeof answer);
    int result;
    while ((result = door_call(door, &arg)) == -1 && (errno == EAGAIN || errno == EINTR))
        ;
    return result == -1 ? -1 : answer;
}

static void publish_event(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    int delivered = 0;
    (void)cookie;
    pthread_mutex_lock(&lock);
    if (n == 1 && count < MOST) { /* somebody subscribes */
        subscribers[count++] = dp->d_data.d_desc.d_descriptor;
    } else {
        for (uint_t i = 0; i < n; i++)
            close(dp[i].d_data.d_desc.d_descriptor);
        for (int i = 0; i < count; i++) {
            int answer = deliver(subscribers[i], argp, size);
            if (answer == -1 && errno == EBADF) { /* gone: the last takes its place */
                close(subscribers[i]);
                subscribers[i--] = subscribers[--count];
            } else {
                delivered += answer;
            }
        }
    }
    pthread_mutex_unlock(&lock);
    door_return((char *)&delivered, sizeof delivered, NULL, 0);
}

/* ---- a subscriber ---- */

static char seen[256];

static void event(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    int taken = 1;
    (void)cookie, (void)dp, (void)n;
    pthread_mutex_lock(&lock);
    if (strlen(seen) + size < sizeof seen)
        strncat(seen, argp, size);
    pthread_mutex_unlock(&lock);
    door_return((char *)&taken, sizeof taken, NULL, 0);
}

static void subscribe(int server) {
    door_desc_t desc;
    door_arg_t arg = request(NULL, 0, NULL, 0);
    char room[16];
    arg.rbuf = room;
    arg.rsize = sizeof room;
    memset(&desc, 0, sizeof desc);
    desc.d_attributes = DOOR_DESCRIPTOR;
    MUST(desc.d_data.d_desc.d_descriptor = door_create(event, NULL, DOOR_REFUSE_DESC | DOOR_NO_CANCEL));
    arg.desc_ptr = &desc;
    arg.desc_num = 1;
    MUST(door_call(server, &arg));
}

int main(int argc, char **argv) {
    if (argc == 2) {
        int door = door_create(publish_event, NULL, DOOR_NO_CANCEL);
        MUST(door);
        publish(door, argv[1]);
        for (;;)
            pause();
    }
    int server = open_door(argv[1]), ready[2];
    char byte;
    subscribe(server);
    MUST(pipe(ready));
    pid_t other = fork();
    if (other == 0) { /* another subscriber, with a door of its own */
        subscribe(server);
        if (write(ready[1], "s", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    if (read(ready[0], &byte, 1) != 1)
        return 1;
    printf("%d get the first\n", deliver(server, "one ", 4));
    kill(other, SIGKILL);
    while (deliver(server, "", 0) != 1) /* the server is told in its own time */
        usleep(1000);
    printf("%d gets the second\n", deliver(server, "two", 3));
    pthread_mutex_lock(&lock);
    printf("seen: %s\n", seen);
    pthread_mutex_unlock(&lock);
    return 0;
}
