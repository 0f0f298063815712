/*
 * Opens files of one folder for clients that may not open any: the descriptor travels with the result.
 *
 *     cc files_server.c -o files_server -ldoor -lpthread && ./files_server /tmp/files /some/folder
 *
 * The argument of a call is a name, the result 0 and a descriptor, or an errno.
 */
#include "serve.h"

#include <errno.h>
#include <string.h>

enum { NAME_LIMIT = 255 };

static int folder;

static void open_file(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    char name[NAME_LIMIT + 1] = "";
    door_desc_t desc;
    int file, error;

    (void)cookie, (void)dp, (void)n_desc;
    if (arg_size <= NAME_LIMIT)
        memcpy(name, argp, arg_size);
    /* The client is not to be trusted: a plain name, no way out of the folder, and no link that is one. */
    if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL) {
        errno = EACCES;
        file = -1;
    } else {
        file = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    }
    error = file < 0 ? errno : 0;
    if (file < 0)
        door_return((char *)&error, sizeof error, NULL, 0);

    memset(&desc, 0, sizeof desc);
    desc.d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE; /* closed here once the client has it */
    desc.d_data.d_desc.d_descriptor = file;
    door_return((char *)&error, sizeof error, &desc, 1);

    /* Still here: the client has no room for another descriptor. It gets the error, and the file is closed here. */
    error = errno;
    close(file);
    door_return((char *)&error, sizeof error, NULL, 0);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s DOOR FOLDER\n", argv[0]);
        return 2;
    }
    if ((folder = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        perror(argv[2]);
        return 1;
    }
    serve(door_create(open_file, NULL, DOOR_REFUSE_DESC | DOOR_NO_CANCEL), argv[1]);
}
