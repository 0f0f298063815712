/*
 * Threads that call two doors of their own process and of a child's, with data of many sizes and descriptors both ways. What the
 * program itself shares is under locks: valgrind's thread checkers understand them.
 */
#include "program.h"

#include <sys/socket.h>
#include <sys/wait.h>

enum { CALLERS = 4, ROUNDS = 60 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long served, wrong;
static int doors[3];

static void add_one(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    for (size_t i = 0; i < size; i++)
        argp[i]++;
    for (uint_t i = 0; i < n; i++)
        dp[i].d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE;
    pthread_mutex_lock(&lock);
    served++;
    pthread_mutex_unlock(&lock);
    door_return(argp, size, dp, n);
}

static void *call(void *argument) {
    static const size_t sizes[] = {0, 1, 96, 97, 5000, 9000, 40000};
    int number = *(int *)argument;
    char *data = malloc(40000), *reply = malloc(20000);
    for (int round = 0; round < ROUNDS; round++) {
        size_t size = sizes[(size_t)(round + number) % (sizeof sizes / sizeof *sizes)];
        int pair[2] = {-1, -1};
        memset(data, round, size);
        door_arg_t arg = request(data, size, reply, 20000);
        door_desc_t desc;
        if (round % 8 == 0) {
            MUST(pipe(pair));
            memset(&desc, 0, sizeof desc);
            desc.d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE;
            desc.d_data.d_desc.d_descriptor = pair[0];
            arg.desc_ptr = &desc;
            arg.desc_num = 1;
        }
        MUST(door_call(doors[(round + number) % 3], &arg));
        int good = arg.data_size == size && arg.desc_num == (pair[0] != -1);
        for (size_t i = 0; i < size; i++)
            good &= arg.data_ptr[i] == (char)(round + 1);
        if (pair[0] != -1) {
            char byte = 0;
            int back = arg.desc_ptr->d_data.d_desc.d_descriptor;
            good &= write(pair[1], "p", 1) == 1 && read(back, &byte, 1) == 1 && byte == 'p';
            close(back);
            close(pair[1]);
        }
        if (arg.rbuf != reply)
            MUST(munmap(arg.rbuf, arg.rsize));
        pthread_mutex_lock(&lock);
        wrong += !good;
        pthread_mutex_unlock(&lock);
    }
    free(data);
    free(reply);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc == 2) { /* the child: a server like any other */
        int door = door_create(add_one, NULL, 0);
        MUST(door);
        publish(door, argv[1]);
        for (;;)
            pause();
    }
    pthread_t callers[CALLERS];
    int numbers[CALLERS];
    MUST(doors[0] = door_create(add_one, NULL, 0));
    MUST(doors[1] = door_create(add_one, NULL, DOOR_NO_CANCEL));
    doors[2] = open_door(argv[1]);
    for (int i = 0; i < CALLERS; i++) {
        numbers[i] = i;
        pthread_create(&callers[i], NULL, call, &numbers[i]);
    }
    for (int i = 0; i < CALLERS; i++)
        pthread_join(callers[i], NULL);
    pthread_mutex_lock(&lock);
    printf("%ld served here, %ld wrong\n", served, wrong);
    pthread_mutex_unlock(&lock);
    return wrong != 0;
}
