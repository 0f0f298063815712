/* One buffer for argument and result, used again and again; a result that does not fit comes in a mapping that is given back. */
#include "program.h"

/* Answers as many times the first byte as the argument is long, squared. */
static void square(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)dp, (void)n;
    static _Thread_local char *result;
    free(result); /* of the call before: nothing can be freed after door_return() */
    result = malloc(size * size + 1);
    memset(result, argp[0], size * size);
    door_return(result, size * size, NULL, 0);
}

int main(int argc, char **argv) {
    if (argc == 2) {
        int door = door_create(square, NULL, 0);
        MUST(door);
        publish(door, argv[1]);
        for (;;)
            pause();
    }
    int door = open_door(argv[1]), mapped = 0, fitted = 0;
    char buffer[64];
    for (int round = 0; round < 300; round++) {
        size_t size = (size_t)(round % 20 + 1);
        memset(buffer, 'a' + round % 26, size);
        door_arg_t arg = request(buffer, size, buffer, sizeof buffer);
        MUST(door_call(door, &arg));
        if (arg.data_size != size * size || arg.data_ptr[0] != 'a' + round % 26 ||
            arg.data_ptr[arg.data_size - 1] != 'a' + round % 26)
            return 1;
        if (arg.rbuf == buffer) {
            fitted++;
        } else {
            mapped++;
            MUST(munmap(arg.rbuf, arg.rsize));
        }
    }
    printf("%d fitted, %d mapped\n", fitted, mapped);
    return 0;
}
