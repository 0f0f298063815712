/* What a program that walks directories does with file types. */
#include <sys/stat.h>

char letter(const struct stat *status);

char letter(const struct stat *status) {
    switch (status->st_mode & S_IFMT) {
    case S_IFSOCK:
        return 's';
    case S_IFDOOR:
        return 'D';
    default:
        return S_ISDOOR(status->st_mode) ? '?' : '-';
    }
}
