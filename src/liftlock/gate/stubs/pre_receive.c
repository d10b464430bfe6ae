/* pre-receive, compiled: does what pre_receive.py does, in a third of the time. `liftlock gate install --client compiled`
 * builds it with the settings below. It runs as the pusher, and never fails by an error of its own: whether an
 * unreachable gate rejects is the operator's choice (FAIL_CLOSED). What goes over the wire is in docs/reference/gate.md. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SOCKET
#error "expected -DSOCKET, -DREPOSITORY, -DGIT, -DMARK (strings) and -DFAIL_CLOSED (0 or 1)"
#endif
enum { BUDGET_MS = 2000, PIECE = 262144, MAX_SEPARATE = 64, MAX_CHILDREN = 2, MAX_INPUT = 1 << 26 };

/* By this the installer knows its own hooks. */
__attribute__((used)) static const char mark[] = MARK;

struct text { char *data; size_t size, room; };
struct movement { char *before, *after, *name; };

static int64_t ends_ms;
static int gate = -1;
static pid_t children[MAX_CHILDREN];
static int running;
static char *environment[24];

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void say(const char *data, size_t size) {
    while (size > 0) {
        ssize_t done = write(2, data, size);
        if (done <= 0) return;
        data += done;
        size -= (size_t)done;
    }
}

/* Ends without a verdict. */
static void give_up(const char *why) {
    for (int n = 0; n < running; n++) {
        kill(children[n], SIGKILL);
        waitpid(children[n], NULL, 0);
    }
    char line[512];
    int size = snprintf(line, sizeof line, "liftlock: the gate did not answer (%s): %s\n", why,
                        FAIL_CLOSED ? "push rejected: ask an operator" : "the push was let in and is audited later");
    say(line, size < (int)sizeof line ? (size_t)size : sizeof line - 1);
    _exit(FAIL_CLOSED ? 1 : 0);
}

static void patience(int descriptor, short events) {
    for (;;) {
        int64_t left = ends_ms - now_ms();
        if (left <= 0) give_up("timed out");
        struct pollfd waiting = {.fd = descriptor, .events = events};
        int ready = poll(&waiting, 1, (int)left);
        if (ready > 0) return;
        if (ready < 0 && errno != EINTR) give_up(strerror(errno));
    }
}

static void append(struct text *text, const char *data, size_t size) {
    if (text->size + size + 1 > text->room) {
        text->room = (text->size + size + 1) * 2;
        text->data = realloc(text->data, text->room);
        if (text->data == NULL) give_up("out of memory");
    }
    memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = 0;
}

/* Returns 0 if the gate has closed its end: it has answered already, and the answer is read next. */
static int send_all(const char *data, size_t size) {
    while (size > 0) {
        ssize_t done = send(gate, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (done > 0) {
            data += done;
            size -= (size_t)done;
        } else if (errno == EAGAIN) {
            patience(gate, POLLOUT);
        } else if (errno == EPIPE || errno == ECONNRESET) {
            return 0;
        } else if (errno != EINTR) {
            give_up(strerror(errno));
        }
    }
    return 1;
}

static int send_frame(char kind, const char *payload, size_t size) {
    char head[5] = {kind, (char)(size >> 24), (char)(size >> 16), (char)(size >> 8), (char)size};
    return send_all(head, sizeof head) && send_all(payload, size);
}

static void receive(char *data, size_t size) {
    while (size > 0) {
        patience(gate, POLLIN);
        ssize_t done = recv(gate, data, size, MSG_DONTWAIT);
        if (done == 0) give_up("it closed the connection");
        if (done < 0 && errno != EAGAIN && errno != EINTR) give_up(strerror(errno));
        if (done > 0) {
            data += done;
            size -= (size_t)done;
        }
    }
}

static void hello(void) {
    static const char *const pushers[] = {"GL_USER", "GL_USERNAME", "GITEA_PUSHER_NAME", "REMOTE_USER", "LIFTLOCK_PUSHER"};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct text lines = {0};
    if (sizeof SOCKET > sizeof address.sun_path) give_up("the socket's path is too long");
    memcpy(address.sun_path, SOCKET, sizeof SOCKET);
    gate = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (gate < 0) give_up(strerror(errno));
    while (connect(gate, (struct sockaddr *)&address, sizeof address) != 0) {
        /* A full queue of a stopped gate: the kernel tells no moment at which there is room. */
        if (errno != EAGAIN && errno != EINTR) give_up(strerror(errno));
        if (now_ms() >= ends_ms) give_up("timed out");
        usleep(5000);
    }
    append(&lines, "v=1\nhook=git\nrepository=" REPOSITORY, sizeof "v=1\nhook=git\nrepository=" REPOSITORY - 1);
    for (size_t n = 0; n < sizeof pushers / sizeof *pushers; n++) {
        const char *value = getenv(pushers[n]);
        if (value == NULL || *value == 0 || strchr(value, '\n') != NULL) continue;
        append(&lines, "\nenv.", 5);
        append(&lines, pushers[n], strlen(pushers[n]));
        append(&lines, "=", 1);
        append(&lines, value, strnlen(value, 255));
    }
    if (!send_frame('H', lines.data, lines.size)) give_up("it closed the connection");
    free(lines.data);
}

static void make_environment(void) {
    static const char *const kept[] = {"GIT_DIR", "GIT_QUARANTINE_PATH", "GIT_OBJECT_DIRECTORY",
                                       "GIT_ALTERNATE_OBJECT_DIRECTORIES"};
    static char *const fixed[] = {"PATH=/usr/bin:/bin", "LC_ALL=C", "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1",
                                  "GIT_CONFIG_GLOBAL=/dev/null", "GIT_NO_REPLACE_OBJECTS=1", "GIT_NO_LAZY_FETCH=1",
                                  "GIT_OPTIONAL_LOCKS=0"};
    int count = 0;
    for (size_t n = 0; n < sizeof fixed / sizeof *fixed; n++) environment[count++] = fixed[n];
    for (size_t n = 0; n < sizeof kept / sizeof *kept; n++) {
        const char *value = getenv(kept[n]);
        if (value != NULL && asprintf(&environment[count], "%s=%s", kept[n], value) >= 0) count++;
    }
    environment[count] = NULL;
}

static void start(char *const arguments[], int source, int target) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, source, 0);
    posix_spawn_file_actions_adddup2(&actions, target, 1);
    int problem = posix_spawn(&children[running], GIT, &actions, NULL, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    if (problem != 0) give_up(strerror(problem));
    running++;
}

/* Starts the list of the commits that these lines select; `fresh`: without those that any ref has already. */
static void listing(const struct text *lines, int target, int fresh) {
    char *all[] = {"git", "rev-list", "--stdin", "--not", "--all", NULL};
    char *some[] = {"git", "rev-list", "--stdin", NULL};
    int source = memfd_create("revisions", MFD_CLOEXEC);
    if (source < 0 || write(source, lines->data, lines->size) != (ssize_t)lines->size) give_up("no memory for a file");
    lseek(source, 0, SEEK_SET);
    start(fresh ? all : some, source, target);
    close(source);
}

/* Returns the size of the next piece of what git writes; 0 at the end, when every git has ended well. */
static size_t next_piece(int source, char *data) {
    for (;;) {
        patience(source, POLLIN);
        ssize_t size = read(source, data, PIECE);
        if (size > 0) return (size_t)size;
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) give_up(strerror(errno));
        break;
    }
    close(source);
    while (running > 0) {
        int status;
        waitpid(children[--running], &status, 0);
        if (status != 0) give_up("git could not list the commits");
    }
    return 0;
}

static void open_pipe(int ends[2]) {
    if (pipe2(ends, O_CLOEXEC) != 0) give_up(strerror(errno));
}

/* Returns 0 if the gate has answered already. */
static int commits(const struct text *names, const struct text *lines, int fresh) {
    static char piece[PIECE];
    char *batch[] = {"git", "cat-file", "--batch", "--buffer", NULL};
    struct text refs = {0};
    int list[2], objects[2], listening = 1;
    append(&refs, names->data, names->size < 60000 ? names->size : 60000);
    append(&refs, fresh ? "\0new" : "\0old", 4);
    if (!send_frame('R', refs.data, refs.size)) return 0;
    free(refs.data);
    open_pipe(list);
    open_pipe(objects);
    listing(lines, list[1], fresh);
    close(list[1]);
    start(batch, list[0], objects[1]);
    close(list[0]);
    close(objects[1]);
    for (size_t size; (size = next_piece(objects[0], piece)) > 0;)
        if (listening) listening = send_frame('C', piece, size);
    return listening;
}

static int by_text(const void *one, const void *other) {
    return strcmp(*(char *const *)one, *(char *const *)other);
}

/* Tells the gate which of the commits that it asks about are new to the repository. */
static void tell_new(char *payload) {
    static char piece[PIECE];
    struct text lines = {0}, listed = {0}, found = {0};
    char **asked = NULL;
    size_t count = 0;
    int ends[2];
    append(&lines, payload, strlen(payload));
    append(&lines, "\n", 1);
    for (char *at = strtok(payload, "\n"); at != NULL; at = strtok(NULL, "\n")) {
        asked = realloc(asked, (count + 1) * sizeof *asked);
        if (asked == NULL) give_up("out of memory");
        asked[count++] = at;
    }
    if (count == 0) give_up("it asked about nothing");
    qsort(asked, count, sizeof *asked, by_text);
    open_pipe(ends);
    listing(&lines, ends[1], 1);
    close(ends[1]);
    for (size_t size; (size = next_piece(ends[0], piece)) > 0;) append(&listed, piece, size);
    append(&listed, "", 0);
    for (char *at = strtok(listed.data, "\n"); at != NULL; at = strtok(NULL, "\n"))
        if (bsearch(&at, asked, count, sizeof *asked, by_text) != NULL) {
            append(&found, at, strlen(at));
            append(&found, "\n", 1);
        }
    append(&found, "", 0);
    send_frame('N', found.data, found.size);
}

/* Returns the exit status that the gate's verdict asks for. */
static int answer(void) {
    for (;;) {
        unsigned char head[5];
        receive((char *)head, sizeof head);
        size_t size = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
        if (size > 1 << 20) give_up("it answered too much");
        char *payload = calloc(1, size + 2);
        if (payload == NULL) give_up("out of memory");
        receive(payload, size);
        if (head[0] == 'V') {
            if (size > 1) {
                payload[size] = '\n';
                say(payload + 1, size);
            }
            return payload[0] == 'A' ? 0 : 1;
        }
        if (head[0] != '?') give_up("it answered something else");
        tell_new(payload);
    }
}

static struct movement *read_movements(size_t *count) {
    struct text input = {0};
    struct movement *found = NULL;
    char piece[65536];
    for (ssize_t size; (size = read(0, piece, sizeof piece)) != 0;) {
        if (size < 0 && errno != EINTR) give_up(strerror(errno));
        if (size > 0) append(&input, piece, (size_t)size);
        if (input.size > MAX_INPUT) give_up("too many refs");
    }
    append(&input, "", 0);
    *count = 0;
    for (char *line = strtok(input.data, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char *after = strchr(line, ' '), *name = after == NULL ? NULL : strchr(after + 1, ' ');
        if (name == NULL) give_up("git told something else");
        *after = *name = 0;
        found = realloc(found, (*count + 1) * sizeof *found);
        if (found == NULL) give_up("out of memory");
        found[(*count)++] = (struct movement){line, after + 1, name + 1};
    }
    return found;
}

static int is_null(const char *revision) {
    return revision[strspn(revision, "0")] == 0;
}

int main(void) {
    ends_ms = now_ms() + BUDGET_MS;
    signal(SIGPIPE, SIG_IGN);
    size_t count, separate = 0, together = 0, coming = 0;
    struct movement *movements = read_movements(&count);
    for (size_t n = 0; n < count; n++) coming += !is_null(movements[n].after);
    if (coming == 0) return 0;
    make_environment();
    hello();
    struct text names = {0}, lines = {0};
    int listening = 1;
    for (size_t n = 0; n < count && listening; n++) {
        struct movement *each = &movements[n];
        if (is_null(each->after)) continue;
        if (is_null(each->before) || separate >= MAX_SEPARATE) {
            if (together++) append(&names, "\n", 1);
            append(&names, each->name, strlen(each->name));
            append(&lines, each->after, strlen(each->after));
            append(&lines, "\n", 1);
            continue;
        }
        struct text name = {each->name, strlen(each->name), 0}, range = {0};
        separate++;
        append(&range, each->after, strlen(each->after));
        append(&range, "\n^", 2);
        append(&range, each->before, strlen(each->before));
        append(&range, "\n", 1);
        listening = commits(&name, &range, 0);
        free(range.data);
    }
    if (listening && together) listening = commits(&names, &lines, 1);
    if (listening) send_frame('E', "", 0);
    return answer();
}
