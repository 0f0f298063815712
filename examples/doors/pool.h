/* What pool_server tells about its jobs. */
struct status {
    int threads; /* for jobs */
    int busy;    /* jobs that run */
    int busiest; /* most that have ever run at once */
};
