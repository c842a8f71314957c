/* Makes file operations fail on demand: the C library's, for every file below one folder.
 *
 *   LD_PRELOAD=shim.so FAULTS_CONTROL=file FAULTS_BELOW=/folder program
 *
 * The control file is shared memory (struct control; sabotage.py has the same): it counts
 * the calls by kind, and up to RULES rules say which of them fail, from when on and how.
 * So a program that runs is faulted and healed without a restart. The variables are gone
 * when main() starts: what the program itself starts is left in peace. */

#define _GNU_SOURCE
#define _LARGEFILE64_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum call { OPEN, CREATE, READ, WRITE, FSYNC, SYNCFS, RENAME, LINK, UNLINK, MKDIR, RMDIR,
            SYMLINK, CHMOD, UTIME, TRUNCATE, LIST, ITEMS, LOCK, STAT, FSTAT, STATVFS, CLOSE, CALLS };

#define RULES 4
#define CHANGE (-1) /* in a rule: any call that changes something */

struct rule { int call, nth, count, error, seen, hits; }; /* error -1: a short write */
struct control {
    int armed, retrusted, published, turn, counts[32];
    struct rule rules[RULES];
    int length; char unsynced[8192]; /* the files of which an fsync has failed, one a line */
};

static struct control idle, *control = &idle;
static char below[PATH_MAX];
static size_t below_length;

/* The files of which an fsync has failed lately; fd is -1 once it was closed. */
#define FAILED 64
static struct failed { int fd; dev_t dev; ino_t ino; } failed[FAILED];
static int failed_next;

/* Looked up once: a call may come from a signal's handler, or after vfork(2). */
#define REAL(name)                                       \
    ({                                                   \
        static __typeof__(&name) found;                  \
        found ? found : (found = dlsym(RTLD_NEXT, #name)); \
    })

__attribute__((constructor)) static void begin(void)
{
    const char *file = getenv("FAULTS_CONTROL"), *folder = getenv("FAULTS_BELOW");
    if (!file || !folder)
        return;
    int fd = REAL(open64)(file, O_RDWR | O_CLOEXEC);
    void *shared = mmap(NULL, sizeof idle, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || shared == MAP_FAILED)
        abort();
    REAL(close)(fd);
    snprintf(below, sizeof below, "%s", folder);
    below_length = strlen(below);
    control = shared;
    unsetenv("FAULTS_CONTROL");
    unsetenv("FAULTS_BELOW");
    unsetenv("LD_PRELOAD");
}

static int is_below(int at, const char *path)
{
    char whole[PATH_MAX], link[64];
    if (!control->armed || !path)
        return 0;
    if (path[0] == '/')
        return !strncmp(path, below, below_length);
    if (at == AT_FDCWD)
        return getcwd(whole, sizeof whole) && !strncmp(whole, below, below_length);
    snprintf(link, sizeof link, "/proc/self/fd/%d", at);
    ssize_t length = readlink(link, whole, sizeof whole - 1);
    return length >= (ssize_t)below_length && !strncmp(whole, below, below_length);
}

static int is_file_below(int fd) { return is_below(fd, ""); }

static int changes(enum call call)
{
    return call != OPEN && call != READ && call != LIST && call != ITEMS && call != LOCK &&
           call != STAT && call != FSTAT && call != STATVFS && call != CLOSE;
}

/* Count a call; return 0 where it may go on, else the errno it fails with (-1: shortened). */
static int fault(enum call call)
{
    int error = 0;
    __atomic_add_fetch(&control->counts[call], 1, __ATOMIC_SEQ_CST);
    for (struct rule *rule = control->rules; rule < control->rules + RULES; rule++) {
        if (!rule->count || !(rule->call == (int)call || (rule->call == CHANGE && changes(call))))
            continue;
        int number = __atomic_add_fetch(&rule->seen, 1, __ATOMIC_SEQ_CST);
        if (number >= rule->nth && number < rule->nth + rule->count) {
            __atomic_add_fetch(&rule->hits, 1, __ATOMIC_SEQ_CST);
            error = rule->error;
        }
    }
    return error;
}

#define FAIL(call, is_ours, value)                    \
    do {                                              \
        int error = (is_ours) ? fault(call) : 0;      \
        if (error > 0) {                              \
            errno = error;                            \
            return value;                             \
        }                                             \
    } while (0)

#define OPENING(name, parameters, arguments, at)                                       \
    int name parameters                                                                \
    {                                                                                  \
        mode_t mode = 0;                                                               \
        if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE) {                     \
            va_list rest;                                                              \
            va_start(rest, flags);                                                     \
            mode = va_arg(rest, mode_t);                                               \
            va_end(rest);                                                              \
        }                                                                              \
        FAIL((flags & (O_CREAT | O_ACCMODE)) ? CREATE : OPEN, is_below(at, path), -1); \
        return REAL(name) arguments;                                                   \
    }

OPENING(open, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
OPENING(open64, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
OPENING(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode), at)
OPENING(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode), at)

#define WRITING(name, parameters, whole, half)             \
    ssize_t name parameters                                \
    {                                                      \
        int error = is_file_below(fd) ? fault(WRITE) : 0;  \
        if (error > 0) {                                   \
            errno = error;                                 \
            return -1;                                     \
        }                                                  \
        return error && size > 1 ? REAL(name) half : REAL(name) whole; \
    }

WRITING(write, (int fd, const void *data, size_t size), (fd, data, size), (fd, data, size / 2))
WRITING(pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at),
        (fd, data, size / 2, at))

#define READING(name, parameters, arguments)     \
    ssize_t name parameters                      \
    {                                            \
        FAIL(READ, is_file_below(fd), -1);       \
        return REAL(name) arguments;             \
    }

READING(read, (int fd, void *data, size_t size), (fd, data, size))
READING(pread64, (int fd, void *data, size_t size, off64_t at), (fd, data, size, at))

static struct failed *find_failed(const struct stat *facts, int fd)
{
    static int turn;
    if (turn != control->turn) { /* armed anew: inodes may belong to other files by now */
        turn = control->turn;
        memset(failed, 0, sizeof failed);
    }
    for (struct failed *each = failed; each < failed + FAILED; each++)
        if (each->ino == facts->st_ino && each->dev == facts->st_dev && (fd < 0 || each->fd == fd))
            return each;
    return NULL;
}

static void note_unsynced(int fd)
{
    char link[64], whole[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, whole, sizeof whole - 1);
    if (length < 0)
        return;
    whole[length++] = '\n';
    int at = __atomic_fetch_add(&control->length, (int)length, __ATOMIC_SEQ_CST);
    if (at + length < (ssize_t)sizeof control->unsynced)
        memcpy(control->unsynced + at, whole, length);
}

static int syncing(int fd, int (*sync)(int))
{
    struct stat facts;
    if (!is_file_below(fd))
        return sync(fd);
    int is_data = !fstat(fd, &facts) && S_ISREG(facts.st_mode);
    int error = fault(FSYNC);
    if (!error) {
        if (is_data && find_failed(&facts, fd))
            __atomic_add_fetch(&control->retrusted, 1, __ATOMIC_SEQ_CST);
        return sync(fd);
    }
    if (is_data && error != EINTR && !find_failed(&facts, fd))
        failed[failed_next++ % FAILED] = (struct failed){fd, facts.st_dev, facts.st_ino};
    if (error != EINTR)
        note_unsynced(fd);
    errno = error;
    return -1;
}

int fsync(int fd) { return syncing(fd, REAL(fsync)); }
int fdatasync(int fd) { return syncing(fd, REAL(fdatasync)); }

int syncfs(int fd)
{
    int error = is_file_below(fd) ? fault(SYNCFS) : 0;
    if (!error)
        return REAL(syncfs)(fd);
    note_unsynced(fd);
    errno = error;
    return -1;
}

int close(int fd)
{
    /* Only a writer can be told of a failure so late, by NFS or FUSE. */
    int writes = (fcntl64(fd, F_GETFL) & O_ACCMODE) != O_RDONLY;
    int error = writes && is_file_below(fd) ? fault(CLOSE) : 0;
    for (struct failed *each = failed; each < failed + FAILED; each++)
        if (each->fd == fd)
            each->fd = -1;
    int result = REAL(close)(fd); /* Linux closes it whatever it says, close(2) */
    if (error <= 0)
        return result;
    errno = error;
    return -1;
}

/* Does a file that could not be fsynced get a name that counts? */
static void look_at(const char *from, const char *to)
{
    struct stat facts;
    const char *name = strrchr(to, '/');
    if ((name ? name[1] : to[0]) != '.' && !lstat(from, &facts) && find_failed(&facts, -1))
        __atomic_add_fetch(&control->published, 1, __ATOMIC_SEQ_CST);
}

int rename(const char *from, const char *to)
{
    int ours = is_below(AT_FDCWD, to);
    FAIL(RENAME, ours, -1);
    if (ours && failed_next)
        look_at(from, to);
    return REAL(rename)(from, to);
}

int unlink(const char *path)
{
    struct stat facts;
    int ours = is_below(AT_FDCWD, path);
    FAIL(UNLINK, ours, -1);
    struct failed *known = ours && failed_next && !lstat(path, &facts) ? find_failed(&facts, -1) : NULL;
    if (known)
        known->ino = 0; /* which another file may have next */
    return REAL(unlink)(path);
}

/* A folder's items are read once; of several readings the first may fail. */
static __thread DIR *opened;

DIR *opendir(const char *path)
{
    FAIL(LIST, is_below(AT_FDCWD, path), NULL);
    return opened = REAL(opendir)(path);
}

struct dirent64 *readdir64(DIR *folder)
{
    int is_first = folder == opened;
    opened = NULL;
    FAIL(ITEMS, is_first && is_file_below(dirfd(folder)), NULL);
    return REAL(readdir64)(folder);
}

#define SIMPLE(type, name, parameters, arguments, call, is_ours, value) \
    type name parameters                                                \
    {                                                                   \
        FAIL(call, is_ours, value);                                     \
        return REAL(name) arguments;                                    \
    }

SIMPLE(int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), RENAME,
       is_below(b, to), -1)
SIMPLE(int, link, (const char *from, const char *to), (from, to), LINK, is_below(AT_FDCWD, to), -1)
SIMPLE(int, linkat, (int a, const char *from, int b, const char *to, int flags),
       (a, from, b, to, flags), LINK, is_below(b, to), -1)
SIMPLE(int, unlinkat, (int at, const char *path, int flags), (at, path, flags), UNLINK,
       is_below(at, path), -1)
SIMPLE(int, rmdir, (const char *path), (path), RMDIR, is_below(AT_FDCWD, path), -1)
SIMPLE(int, mkdir, (const char *path, mode_t mode), (path, mode), MKDIR,
       is_below(AT_FDCWD, path), -1)
SIMPLE(int, mkdirat, (int at, const char *path, mode_t mode), (at, path, mode), MKDIR,
       is_below(at, path), -1)
SIMPLE(int, symlink, (const char *to, const char *path), (to, path), SYMLINK,
       is_below(AT_FDCWD, path), -1)
SIMPLE(int, symlinkat, (const char *to, int at, const char *path), (to, at, path), SYMLINK,
       is_below(at, path), -1)
SIMPLE(int, chmod, (const char *path, mode_t mode), (path, mode), CHMOD,
       is_below(AT_FDCWD, path), -1)
SIMPLE(int, fchmodat, (int at, const char *path, mode_t mode, int flags), (at, path, mode, flags),
       CHMOD, is_below(at, path), -1)
SIMPLE(int, utimensat, (int at, const char *path, const struct timespec times[2], int flags),
       (at, path, times, flags), UTIME, is_below(at, path), -1)
SIMPLE(int, ftruncate64, (int fd, off64_t size), (fd, size), TRUNCATE, is_file_below(fd), -1)
SIMPLE(int, fstat64, (int fd, struct stat64 *facts), (fd, facts), FSTAT, is_file_below(fd), -1)
SIMPLE(int, flock, (int fd, int operation), (fd, operation), LOCK, is_file_below(fd), -1)
SIMPLE(int, stat64, (const char *path, struct stat64 *facts), (path, facts), STAT,
       is_below(AT_FDCWD, path), -1)
SIMPLE(int, lstat64, (const char *path, struct stat64 *facts), (path, facts), STAT,
       is_below(AT_FDCWD, path), -1)
SIMPLE(int, fstatat64, (int at, const char *path, struct stat64 *facts, int flags),
       (at, path, facts, flags), STAT, is_below(at, path), -1)
SIMPLE(int, statvfs64, (const char *path, struct statvfs64 *facts), (path, facts), STATVFS,
       is_below(AT_FDCWD, path), -1)
