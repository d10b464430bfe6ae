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
enum { BUDGET_MS = 2000, PIECE = 262144, MAX_NAMES = 60000, MAX_CHILDREN = 2, MAX_INPUT = 1 << 26 };

/* By this the installer knows its own hooks. */
__attribute__((used)) static const char mark[] = MARK;

struct text { char *data; size_t size, room; };
struct movement { char *before, *after, *name; size_t order; };

static int64_t ends_ms;
static int gate = -1;
static pid_t children[MAX_CHILDREN];
static int running;
static char *environment[24];
static char **fresh_list; /* the arguments of git that list what was not looked at yet */

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

/* Ends what git still does: nobody waits for it. */
static void stop_children(void) {
    while (running > 0) {
        kill(children[--running], SIGKILL);
        waitpid(children[running], NULL, 0);
    }
}

/* Ends without a verdict. */
static void give_up(const char *why) {
    stop_children();
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

/* Takes the gate's next frame; its payload has two bytes of room after it. Returns the kind. */
static char receive_frame(char **payload, size_t *size) {
    unsigned char head[5];
    receive((char *)head, sizeof head);
    *size = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
    if (*size > 1 << 20) give_up("it answered too much");
    *payload = calloc(1, *size + 2);
    if (*payload == NULL) give_up("out of memory");
    receive(*payload, *size);
    return (char)head[0];
}

/* Known is what branches and tags have, but for refs where nothing is looked at. */
static void take_exempt(char *patterns) {
    size_t count = 1, n = 0, exempt;
    for (char *at = patterns; *at; at++) count += *at == '\n';
    fresh_list = calloc(2 * count + 8, sizeof *fresh_list);
    if (fresh_list == NULL) give_up("out of memory");
    fresh_list[n++] = "git";
    fresh_list[n++] = "rev-list";
    fresh_list[n++] = "--stdin";
    fresh_list[n++] = "--not";
    for (char *at = strtok(patterns, "\n"); at != NULL; at = strtok(NULL, "\n"))
        if (asprintf(&fresh_list[n++], "--exclude=%s", at) < 0) give_up("out of memory");
    exempt = n - 4;
    fresh_list[n++] = "--glob=refs/heads/*";
    for (size_t each = 0; each < exempt; each++) fresh_list[n++] = fresh_list[4 + each];
    fresh_list[n] = "--glob=refs/tags/*";
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
    static const char first[] = "v=1\nhook=git\nwants=exempt\nrepository=" REPOSITORY;
    append(&lines, first, sizeof first - 1);
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
    /* git's own, of this push: commits without their parents. One that a pusher names could hide commits. */
    char *grafts = getenv("GIT_SHALLOW_FILE"), *folder = getenv("GIT_DIR");
    char *real = grafts == NULL ? NULL : realpath(grafts, NULL), *within = realpath(folder == NULL ? "." : folder, NULL);
    char *name = real == NULL ? NULL : strrchr(real, '/');
    if (name != NULL && within != NULL && strlen(within) == (size_t)(name - real) &&
        strncmp(real, within, (size_t)(name - real)) == 0 && strncmp(name, "/shallow_", 9) == 0 &&
        asprintf(&environment[count], "GIT_SHALLOW_FILE=%s", grafts) >= 0)
        count++;
    free(real);
    free(within);
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

/* Starts the list of the commits that these lines select; `fresh`: without those that were looked at. */
static void listing(const struct text *lines, int target, int fresh) {
    char *some[] = {"git", "rev-list", "--stdin", NULL};
    int source = memfd_create("revisions", MFD_CLOEXEC);
    if (source < 0 || write(source, lines->data, lines->size) != (ssize_t)lines->size) give_up("no memory for a file");
    lseek(source, 0, SEEK_SET);
    start(fresh ? fresh_list : some, source, target);
    close(source);
}

/* Puts the size of the next piece of what git writes; 0 at the end. */
static enum { MORE, DONE, FAILED, ANSWERED } next_piece(int source, char *data, size_t *size) {
    for (;;) {
        int64_t left = ends_ms - now_ms();
        if (left <= 0) give_up("timed out");
        struct pollfd waiting[] = {{.fd = source, .events = POLLIN}, {.fd = gate, .events = POLLIN}};
        int ready = poll(waiting, 2, (int)left);
        if (ready < 0 && errno != EINTR) give_up(strerror(errno));
        if (ready <= 0) continue;
        if (waiting[1].revents) return ANSWERED;
        ssize_t got = read(source, data, PIECE);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) give_up(strerror(errno));
        *size = (size_t)got;
        if (got > 0) return MORE;
        break;
    }
    close(source);
    int failed = 0;
    while (running > 0) {
        int status;
        waitpid(children[--running], &status, 0);
        failed |= status != 0;
    }
    return failed ? FAILED : DONE;
}

static void open_pipe(int ends[2]) {
    if (pipe2(ends, O_CLOEXEC) != 0) give_up(strerror(errno));
}

/* Sends the commits that are new to these refs. Returns 1, 0 if the gate has answered already, -1 if git failed. */
static int commits(const struct text *names, const struct text *lines, int fresh) {
    static char piece[PIECE];
    char *batch[] = {"git", "cat-file", "--batch", "--buffer", NULL};
    int list[2], objects[2], state;
    const char *at = names->data, *end = names->data + names->size;
    for (;;) {
        struct text refs = {0};
        size_t size = (size_t)(end - at);
        if (size > MAX_NAMES) {
            const char *cut = memchr(at + MAX_NAMES, '\n', size - MAX_NAMES);
            if (cut != NULL) size = (size_t)(cut - at);
        }
        int last = at + size == end;
        append(&refs, at, size);
        append(&refs, last ? fresh ? "\0new" : "\0old" : "\0more", last ? 4 : 5);
        int sent = send_frame('R', refs.data, refs.size);
        free(refs.data);
        if (!sent) return 0;
        if (last) break;
        at += size + 1;
    }
    open_pipe(list);
    open_pipe(objects);
    listing(lines, list[1], fresh);
    close(list[1]);
    start(batch, list[0], objects[1]);
    close(list[0]);
    close(objects[1]);
    size_t size;
    while ((state = next_piece(objects[0], piece, &size)) == MORE)
        if (!send_frame('C', piece, size)) {
            state = ANSWERED;
            break;
        }
    if (state == ANSWERED) stop_children();
    return state == DONE ? 1 : state == FAILED ? -1 : 0;
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
    int state;
    size_t size;
    while ((state = next_piece(ends[0], piece, &size)) == MORE) append(&listed, piece, size);
    if (state == FAILED) { /* what git can't tell counts as new */
        listed.size = 0;
        for (size_t n = 0; n < count; n++) {
            append(&listed, asked[n], strlen(asked[n]));
            append(&listed, "\n", 1);
        }
    }
    if (state == ANSWERED) {
        stop_children();
        close(ends[0]);
        return;
    }
    append(&listed, "", 0);
    for (char *at = strtok(listed.data, "\n"); at != NULL; at = strtok(NULL, "\n"))
        if (bsearch(&at, asked, count, sizeof *asked, by_text) != NULL) {
            append(&found, at, strlen(at));
            append(&found, "\n", 1);
        }
    append(&found, "", 0);
    send_frame('N', found.data, found.size);
}

/* Says the verdict and returns the exit status that it asks for. */
static int verdict(char kind, char *payload, size_t size) {
    if (kind != 'V') give_up("it answered something else");
    if (size > 1) {
        payload[size] = '\n';
        say(payload + 1, size);
    }
    return payload[0] == 'A' ? 0 : 1;
}

/* Returns the exit status; on the way the gate may ask which commits are new to the repository. */
static int answer(void) {
    for (;;) {
        char *payload;
        size_t size;
        char kind = receive_frame(&payload, &size);
        if (kind != '?') return verdict(kind, payload, size);
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
        found[*count] = (struct movement){line, after + 1, name + 1, *count};
        (*count)++;
    }
    return found;
}

static int is_null(const char *revision) {
    return revision[strspn(revision, "0")] == 0;
}

/* Those that move alike next to each other, new refs first. */
static int by_movement(const void *one, const void *other) {
    const struct movement *a = one, *b = other;
    int new_a = is_null(a->before), new_b = is_null(b->before);
    if (new_a != new_b) return new_b - new_a;
    int order = new_a ? 0 : strcmp(a->before, b->before);
    if (order == 0 && !new_a) order = strcmp(a->after, b->after);
    return order ? order : a->order < b->order ? -1 : 1;
}

/* Sends what is new to each ref; refs that move alike go together. Returns as `commits` does. */
static int send_movements(const struct movement *movements, size_t count) {
    int listening = 1;
    for (size_t n = 0, next; n < count && listening > 0; n = next) {
        const struct movement *first = &movements[n];
        struct text names = {0}, lines = {0};
        int fresh = is_null(first->before);
        for (next = n; next < count; next++) {
            const struct movement *each = &movements[next];
            if (is_null(each->before) != fresh) break;
            if (!fresh && (strcmp(each->before, first->before) || strcmp(each->after, first->after))) break;
            if (next > n) append(&names, "\n", 1);
            append(&names, each->name, strlen(each->name));
            if (fresh || next == n) {
                append(&lines, each->after, strlen(each->after));
                append(&lines, "\n", 1);
            }
        }
        if (!fresh) {
            append(&lines, "^", 1);
            append(&lines, first->before, strlen(first->before));
            append(&lines, "\n", 1);
        }
        listening = commits(&names, &lines, fresh);
        free(names.data);
        free(lines.data);
    }
    return listening;
}

int main(void) {
    ends_ms = now_ms() + BUDGET_MS;
    signal(SIGPIPE, SIG_IGN);
    size_t count, coming = 0, size;
    struct movement *movements = read_movements(&count);
    for (size_t n = 0; n < count; n++)
        if (!is_null(movements[n].after)) movements[coming++] = movements[n];
    if (coming == 0) return 0;
    qsort(movements, coming, sizeof *movements, by_movement);
    make_environment();
    hello();
    char *payload;
    char kind = receive_frame(&payload, &size);
    if (kind != 'X') return verdict(kind, payload, size);
    take_exempt(payload);
    int listening = send_movements(movements, coming);
    if (listening > 0) send_frame('E', "", 0);
    if (listening < 0) send_frame('E', "cut", 3);
    return answer();
}
