/* Loaded before the C library: ends the process by SIGKILL before the system call number DIE_AT that changes a file
   or folder. Calls are counted from 0, over Rust's and LMDB's alike. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static long count = 0;

static void step(void) {
    const char *at = getenv("DIE_AT");
    if (at && count++ == atol(at)) kill(getpid(), SIGKILL);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define CHANGES(flags) ((flags) & (O_CREAT | O_TRUNC))

#define OPEN(name)                                          \
    int name(const char *path, int flags, ...) {            \
        va_list list;                                       \
        va_start(list, flags);                              \
        mode_t mode = va_arg(list, mode_t);                 \
        va_end(list);                                       \
        if (CHANGES(flags)) step();                         \
        return REAL(name)(path, flags, mode);               \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                        \
    int name(int dir, const char *path, int flags, ...) {   \
        va_list list;                                       \
        va_start(list, flags);                              \
        mode_t mode = va_arg(list, mode_t);                 \
        va_end(list);                                       \
        if (CHANGES(flags)) step();                         \
        return REAL(name)(dir, path, flags, mode);          \
    }
OPENAT(openat)
OPENAT(openat64)

#define WRAP(type, name, parameters, arguments)             \
    type name parameters {                                  \
        step();                                             \
        return REAL(name) arguments;                        \
    }
WRAP(ssize_t, pwrite, (int fd, const void *b, size_t n, off_t o), (fd, b, n, o))
WRAP(ssize_t, pwrite64, (int fd, const void *b, size_t n, off64_t o), (fd, b, n, o))
WRAP(ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n))
WRAP(ssize_t, pwritev, (int fd, const struct iovec *v, int n, off_t o), (fd, v, n, o))
WRAP(ssize_t, pwritev64, (int fd, const struct iovec *v, int n, off64_t o), (fd, v, n, o))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, fdatasync, (int fd), (fd))
WRAP(int, ftruncate, (int fd, off_t n), (fd, n))
WRAP(int, ftruncate64, (int fd, off64_t n), (fd, n))
WRAP(int, fchmod, (int fd, mode_t m), (fd, m))
WRAP(int, rename, (const char *a, const char *b), (a, b))
WRAP(int, link, (const char *a, const char *b), (a, b))
WRAP(int, linkat, (int d, const char *a, int e, const char *b, int f), (d, a, e, b, f))
WRAP(int, unlink, (const char *a), (a))
WRAP(int, unlinkat, (int d, const char *a, int f), (d, a, f))
WRAP(int, rmdir, (const char *a), (a))
WRAP(int, mkdir, (const char *a, mode_t m), (a, m))
WRAP(ssize_t, copy_file_range, (int a, off64_t *i, int b, off64_t *j, size_t n, unsigned f), (a, i, b, j, n, f))

/* What is printed changes no file. */
ssize_t write(int fd, const void *bytes, size_t n) {
    if (fd > 2) step();
    return REAL(write)(fd, bytes, n);
}
