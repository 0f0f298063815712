/* Says of each path and number what it is, as a tool for administrators would. */
#include "program.h"

static void nothing(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)argp, (void)size, (void)dp, (void)n;
    door_return(NULL, 0, NULL, 0);
}

static void print(const char *what, int fd, pid_t server) {
    struct stat status;
    door_info_t info;

    printf("%s: ", what);
    if (fd < 0 || fstat(fd, &status) < 0) {
        puts("not there");
        return;
    }
    if (!S_ISDOOR(status.st_mode)) {
        printf("no door%s\n", door_info(fd, &info) < 0 && errno == EBADF ? "" : "?");
        return;
    }
    MUST(door_info(fd, &info));
    printf("server %s, cookie %lld,", info.di_target == getpid() ? "this" : info.di_target == server ? "the other" : "?",
           (long long)info.di_data);
    if (info.di_attributes == 0)
        printf(" no attributes");
    static const struct {
        door_attr_t bit;
        const char *name;
    } names[] = {{DOOR_LOCAL, "LOCAL"},         {DOOR_UNREF, "UNREF"},       {DOOR_UNREF_MULTI, "UNREF_MULTI"},
                 {DOOR_PRIVATE, "PRIVATE"},     {DOOR_REVOKED, "REVOKED"},   {DOOR_REFUSE_DESC, "REFUSE_DESC"},
                 {DOOR_NO_CANCEL, "NO_CANCEL"}, {DOOR_IS_UNREF, "IS_UNREF"}, {DOOR_PRIVCREATE, "PRIVCREATE"}};
    if (info.di_attributes & DOOR_REVOKED)
        info.di_attributes &= ~(door_attr_t)DOOR_IS_UNREF; /* the close is noticed a little later than it happens */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (info.di_attributes & names[i].bit)
            printf(" %s", names[i].name);
    puts("");
}

int main(int argc, char **argv) {
    if (argc == 2) {
        int door = door_create(nothing, (void *)7, DOOR_UNREF | DOOR_REFUSE_DESC);
        MUST(door);
        publish(door, argv[1]);
        for (;;)
            pause();
    }
    int door = open_door(argv[1]), own = door_create(nothing, NULL, DOOR_NO_CANCEL), copy;
    door_info_t info;
    MUST(door_info(door, &info));
    MUST(own);
    print("a path", door, info.di_target);
    print("/dev/null", open("/dev/null", O_RDONLY), 0);
    print("a number", 1000, 0);
    print("my own", own, 0);
    MUST(copy = dup(own));
    print("shared", own, 0);
    MUST(door_revoke(own));
    print("revoked", copy, 0);
    return 0;
}
