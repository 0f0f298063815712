/* Runs one row: st_rows ROW CONTROL [--peer CONTROL] [--node N] [--trigger COMMAND] */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rows.h"

static row_function *const rows[] = {
    st_001, st_002, st_003, st_004, st_005, st_006, st_007, st_008, st_009, st_010, st_011,
    st_012, st_013, st_014, st_015, st_016, st_017, st_018, st_019, st_020, st_021, st_022,
    st_023, st_024, st_025, st_026, st_027, st_028, st_029, st_030, st_031, st_032,
};

static int usage(void)
{
    fprintf(stderr,
            "usage: st_rows ROW CONTROL [--peer CONTROL] [--node N] [--trigger COMMAND]\n"
            "ROW is 1 to %zu. Exit: 0 holds, 1 does not, 2 usage, %d not run.\n",
            sizeof rows / sizeof rows[0], SKIPPED);
    return 2;
}

int main(int argc, char **argv)
{
    struct bench bench = {.program = "/proc/self/exe", .node = 0};

    if (argc < 3)
        return usage();
    bench.control = argv[2];
    for (int i = 3; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--peer") == 0)
            bench.peer = argv[i + 1];
        else if (strcmp(argv[i], "--node") == 0)
            bench.node = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--trigger") == 0)
            bench.trigger = argv[i + 1];
        else
            return usage();
    }
    use_control(bench.control);
    if (strncmp(argv[1], "--child=", 8) == 0)
        return run_child(argv[1] + 8, &bench);

    char *end = NULL;
    unsigned long row = strtoul(argv[1], &end, 10);
    if (*end != '\0' || row < 1 || row > sizeof rows / sizeof rows[0])
        return usage();
    /* Whatever goes wrong, a row does not run for ever. */
    alarm(120);
    int outcome = rows[row - 1](&bench);
    printf("ST-%03lu %s\n", row, outcome == 0 ? "holds" : outcome == SKIPPED ? "not run" : "DOES NOT HOLD");
    return outcome;
}
