/*
 * A client library in the manner of a name service cache's: one descriptor for the whole process, moved out of the way, looked at
 * before each call, opened again when its server is another one. The server may send a second door along.
 */
#include "program.h"

#define COOKIE ((void *)0xdeadbeefL)

static int back_door;

static void back(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)argp, (void)size, (void)dp, (void)n;
    door_return("back", 5, NULL, 0);
}

static void front(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)dp, (void)n;
    if (argp == DOOR_UNREF_DATA)
        door_return(NULL, 0, NULL, 0);
    door_desc_t desc;
    memset(&desc, 0, sizeof desc);
    desc.d_attributes = DOOR_DESCRIPTOR;
    desc.d_data.d_desc.d_descriptor = back_door;
    for (size_t i = 0; i < size; i++)
        argp[i] ^= 0x20; /* answers in place */
    door_return(argp, size, &desc, size == 4 && memcmp(argp, "BACK", 4) == 0);
}

static int cached = -1;
static door_id_t cached_id;

static int service(const char *path) {
    door_info_t info;
    for (;;) {
        if (cached == -1) {
            int low = open(path, O_RDONLY);
            if (low == -1)
                return -1;
            cached = fcntl(low, F_DUPFD, 3);
            close(low);
            fcntl(cached, F_SETFD, FD_CLOEXEC);
            if (door_info(cached, &info) == -1)
                return -1;
            cached_id = info.di_uniquifier;
        }
        if (door_info(cached, &info) == -1 || info.di_data != (door_ptr_t)(uintptr_t)COOKIE ||
            info.di_uniquifier != cached_id) {
            cached = -1; /* somebody else's by now: forget the number, do not close it */
            continue;
        }
        if ((info.di_attributes & DOOR_REVOKED) || info.di_target == -1) {
            close(cached);
            cached = -1;
            continue;
        }
        return cached;
    }
}

static void ask(const char *path, const char *what) {
    union {
        double aligned;
        char bytes[16384];
    } buffer;
    memcpy(buffer.bytes, what, strlen(what));
    door_arg_t arg = request(buffer.bytes, strlen(what), buffer.bytes, sizeof buffer);
    MUST(door_call(service(path), &arg));
    printf("%.*s", (int)arg.data_size, arg.data_ptr);
    if (arg.desc_num == 1 && (arg.desc_ptr->d_attributes & DOOR_DESCRIPTOR) &&
        arg.desc_ptr->d_data.d_desc.d_descriptor >= 0 && arg.desc_ptr->d_data.d_desc.d_id != 0) {
        int other = arg.desc_ptr->d_data.d_desc.d_descriptor;
        fcntl(other, F_SETFD, FD_CLOEXEC);
        door_arg_t second = request(NULL, 0, buffer.bytes, sizeof buffer);
        MUST(door_call(other, &second));
        printf(" and %s", second.data_ptr);
        close(other);
    }
    puts("");
}

int main(int argc, char **argv) {
    if (argc == 2) {
        MUST(back_door = door_create(back, NULL, DOOR_REFUSE_DESC));
        int door = door_create(front, COOKIE, DOOR_UNREF | DOOR_NO_CANCEL);
        MUST(door);
        publish(door, argv[1]);
        for (;;)
            pause();
    }
    ask(argv[1], "hello");
    int first = cached;
    ask(argv[1], "back");
    printf("%s\n", first == cached ? "same descriptor" : "another descriptor");
    int null = open("/dev/null", O_RDONLY);
    dup2(null, cached); /* an application that closes what it has not opened */
    ask(argv[1], "again");
    printf("%s\n", first != cached ? "another descriptor" : "same descriptor");
    return 0;
}
