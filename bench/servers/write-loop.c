/*
 * Control: the limit. Takes connections, frames the messages of a turn once, and calls write() for each member of the group.
 * Blocking, one thread, no event loop, nothing read after the handshake.
 *
 * Commands on stdin, a line each; an answer of one line on stdout:
 *   burst <turns> <messages a turn> <first number> <bytes of a message> <groups>   -> done
 *   usage                                                                         -> <microseconds of CPU> <bytes resident>
 * The first line printed is the port. The handshake's answer is that of the key in RFC 6455, section 1.3, which the load sends.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define WEBSOCKET 0
#define SSE 1

typedef struct { int *fds; int count, room; } Members;

static Members *groups[2];
static int group_count;
static char *bytes[2];
static size_t room;

static void add(int kind, int group, int fd) {
  if (group >= group_count) {
    int count = group * 2 + 16;
    for (int k = 0; k < 2; k++) {
      groups[k] = realloc(groups[k], count * sizeof(Members));
      memset(groups[k] + group_count, 0, (count - group_count) * sizeof(Members));
    }
    group_count = count;
  }
  Members *members = &groups[kind][group];
  if (members->count == members->room) {
    members->room = members->room * 2 + 16;
    members->fds = realloc(members->fds, members->room * sizeof(int));
  }
  members->fds[members->count++] = fd;
}

static void take(int listener) {
  static char head[65536];
  int fd = accept(listener, NULL, NULL), on = 1;
  if (fd < 0) return;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  size_t length = 0;
  do {
    ssize_t n = read(fd, head + length, sizeof head - 1 - length);
    if (n <= 0) { close(fd); return; }
    length += n;
    head[length] = 0;
  } while (!strstr(head, "\r\n\r\n"));
  int kind = strstr(head, "Upgrade: websocket") ? WEBSOCKET : SSE;
  const char *answer = kind == WEBSOCKET
    ? "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    : "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
  char *line_end = strstr(head, "\r\n");
  for (char *at = head; (at = strstr(at, "group=g")) && at < line_end; at += 7) add(kind, atoi(at + 7), fd);
  if (write(fd, answer, strlen(answer)) < 0) close(fd);
}

/* The bytes of messages [first, first + count), framed and, for SSE, in one chunk. */
static size_t frame(int kind, long first, int count, int size) {
  size_t need = (size_t)count * (size + 32) + 64;
  if (need > room) {
    room = need;
    for (int k = 0; k < 2; k++) bytes[k] = realloc(bytes[k], room);
  }
  int event = 6 + size + 2;
  char *at = bytes[kind];
  if (kind == SSE) at += sprintf(at, "%x\r\n", event * count);
  for (long n = first; n < first + count; n++) {
    if (kind == SSE) {
      at += sprintf(at, "data: ");
    } else {
      *at++ = (char)0x81;
      if (size < 126) {
        *at++ = (char)size;
      } else {
        *at++ = 126;
        *at++ = (char)(size >> 8);
        *at++ = (char)size;
      }
    }
    int head = sprintf(at, "{\"type\":\"bench\",\"n\":\"%09ld\",\"pad\":\"", n);
    memset(at + head, 'x', size - head - 2);
    memcpy(at + size - 2, "\"}", 2);
    at += size;
    if (kind == SSE) { *at++ = '\n'; *at++ = '\n'; }
  }
  if (kind == SSE) at += sprintf(at, "\r\n");
  return at - bytes[kind];
}

static void write_all(int fd, const char *at, size_t left) {
  while (left > 0) {
    ssize_t n = write(fd, at, left);
    if (n <= 0) return;
    at += n;
    left -= n;
  }
}

static void turn(int group, long first, int count, int size) {
  for (int kind = 0; kind < 2; kind++) {
    if (group >= group_count || groups[kind][group].count == 0) continue;
    size_t length = frame(kind, first, count, size);
    Members *members = &groups[kind][group];
    for (int i = 0; i < members->count; i++) write_all(members->fds[i], bytes[kind], length);
  }
}

static void burst(int turns, int per_turn, long first, int size, int count_of_groups) {
  for (int t = 0; t < turns; t++, first += per_turn) {
    if (count_of_groups == 1) turn(0, first, per_turn, size);
    else for (int i = 0; i < per_turn; i++) turn((first + i) % count_of_groups, first + i, 1, size);
  }
}

static void usage(void) {
  struct rusage used;
  long pages = 0, resident = 0;
  getrusage(RUSAGE_SELF, &used);
  FILE *file = fopen("/proc/self/statm", "r");
  if (file) {
    if (fscanf(file, "%ld %ld", &pages, &resident) != 2) resident = 0;
    fclose(file);
  }
  printf("%ld %ld\n",
    (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000L + used.ru_utime.tv_usec + used.ru_stime.tv_usec,
    resident * sysconf(_SC_PAGESIZE));
}

/* Answers a command: `burst turns per_turn first size groups`, or anything else for `usage`. */
static void answer(const char *line) {
  int turns, per_turn, size, count;
  long first;
  if (sscanf(line, "burst %d %d %ld %d %d", &turns, &per_turn, &first, &size, &count) == 5) {
    burst(turns, per_turn, first, size, count);
    printf("done\n");
  } else {
    usage();
  }
  fflush(stdout);
}

static char input[65536];
static size_t input_length;

/* Answers all commands that have come: in an open loop several may, and poll() does not see what has been read already. False at the end. */
static int answer_all(void) {
  ssize_t n = read(0, input + input_length, sizeof input - input_length);
  if (n <= 0) return 0;
  input_length += n;
  char *line = input, *end;
  while ((end = memchr(line, '\n', input + input_length - line))) {
    *end = 0;
    answer(line);
    line = end + 1;
  }
  input_length -= line - input;
  memmove(input, line, input_length);
  return 1;
}

int main(void) {
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct rlimit files;
  signal(SIGPIPE, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 4096)) return 1;
  getsockname(listener, (struct sockaddr *)&address, &length);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  struct pollfd polled[2] = { { .fd = 0, .events = POLLIN }, { .fd = listener, .events = POLLIN } };
  while (poll(polled, 2, -1) > 0) {
    if (polled[1].revents) take(listener);
    if (polled[0].revents && !answer_all()) return 0;
  }
  return 0;
}
