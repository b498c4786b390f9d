/* Every sync to the disk takes SLOW_SYNC_US microseconds longer: what a networked disk does to a database.
 *
 *     gcc -shared -fPIC -o slow_sync.so slow_sync.c -ldl; LD_PRELOAD=./slow_sync.so SLOW_SYNC_US=2000 postgres ...
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

typedef int (*sync_call)(int);

static int later(const char *name, int fd)
{
    const char *given = getenv("SLOW_SYNC_US");
    long us = given ? atol(given) : 0;
    struct timespec pause = {us / 1000000, us % 1000000 * 1000};
    sync_call real = (sync_call)dlsym(RTLD_NEXT, name);

    nanosleep(&pause, NULL);
    return real(fd);
}

int fsync(int fd)
{
    return later("fsync", fd);
}

int fdatasync(int fd)
{
    return later("fdatasync", fd);
}
