/* The shortest server: a door that answers an int from the stack of its procedure, called by the same process. */
#include <door.h>
#include <stdio.h>
#include <string.h>

static void hello(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc) {
    int result = (int)arg_size + *(int *)cookie;
    (void)argp, (void)dp, (void)n_desc;
    door_return((char *)&result, sizeof result, NULL, 0);
}

int main(void) {
    int cookie = 40, answer = 0;
    int door = door_create(hello, &cookie, 0);
    door_arg_t arg = {.data_ptr = "ab", .data_size = 2, .rbuf = (char *)&answer, .rsize = sizeof answer};
    if (door < 0 || door_call(door, &arg) < 0) {
        perror("hello");
        return 1;
    }
    printf("%d\n", answer);
    return answer == 42 && arg.data_ptr == (char *)&answer && arg.data_size == 4 ? 0 : 1;
}
