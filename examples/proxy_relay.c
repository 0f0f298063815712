/*
 * proxy_relay: carries the messages of the proxy service between two nodes over a plain TCP connection.
 *
 *     proxy_relay CONTROL NODE listen|connect ADDRESS PORT
 *
 * CONTROL is the control door of this node's stmfd, NODE is 0 or 1.  One node listens, the other connects; the
 * connection is made again whenever it is lost, and the door is installed again whenever stmfd was restarted.
 * A message travels as its length, 4 bytes, most significant first, and its bytes; nothing here looks inside one.
 * The connection is neither encrypted nor authenticated: for a test on one machine or a wire of your own.
 *
 *     cc -o proxy_relay proxy_relay.c -ldoor -lstmf -lpthread
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <door.h>
#include <libstmf.h>

#define LONGEST_MESSAGE (32u << 20)

static pthread_mutex_t sending = PTHREAD_MUTEX_INITIALIZER;
static int peer = -1; /* the connection; written with `sending` held */
static int door = -1;
static int session = -1;
static uint32_t node;

/* Sends one message; 0, or EAGAIN when the peer is not connected.  A broken connection is shut, which wakes main. */
static uint32_t send_message(char *message, size_t length)
{
    uint32_t header = htonl((uint32_t)length);
    struct iovec pieces[2] = {{&header, sizeof header}, {message, length}};
    struct msghdr rest = {.msg_iov = pieces, .msg_iovlen = 2};
    uint32_t result = EAGAIN;

    if (length > LONGEST_MESSAGE)
        return EMSGSIZE;
    pthread_mutex_lock(&sending);
    while (peer >= 0) {
        ssize_t sent = sendmsg(peer, &rest, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0) {
            shutdown(peer, SHUT_RDWR);
            break;
        }
        while (rest.msg_iovlen > 0 && (size_t)sent >= rest.msg_iov->iov_len) {
            sent -= (ssize_t)rest.msg_iov->iov_len;
            rest.msg_iov++;
            rest.msg_iovlen--;
        }
        if (rest.msg_iovlen == 0) {
            result = 0;
            break;
        }
        rest.msg_iov->iov_base = (char *)rest.msg_iov->iov_base + sent;
        rest.msg_iov->iov_len -= (size_t)sent;
    }
    pthread_mutex_unlock(&sending);
    return result;
}

/* The door: the proxy service calls it with each message for the peer, from several threads at once. */
static void procedure(void *cookie, char *message, size_t length, door_desc_t *descriptors, uint_t count)
{
    (void)cookie;
    (void)descriptors;
    (void)count;
    if (message == DOOR_UNREF_DATA) { /* stmfd has let go of the door: main is to look */
        pthread_mutex_lock(&sending);
        if (peer >= 0)
            shutdown(peer, SHUT_RDWR);
        pthread_mutex_unlock(&sending);
        door_return(NULL, 0, NULL, 0);
    }
    uint32_t result = send_message(message, length);
    door_return((char *)&result, sizeof result, NULL, 0);
}

/* Whether the proxy service still holds the door. */
static int installed(void)
{
    door_info_t info;
    return session >= 0 && door_info(door, &info) == 0 && !(info.di_attributes & DOOR_IS_UNREF);
}

/* Installs the door and enables ALUA; tries until stmfd is there. */
static void install(void)
{
    for (;;) {
        stmfDestroyProxyDoor(session);
        int status = stmfInitProxyDoor(&session, door);
        if (status == STMF_STATUS_SUCCESS)
            status = stmfSetAluaState(B_TRUE, node);
        if (status == STMF_STATUS_SUCCESS)
            break;
        fprintf(stderr, "proxy_relay: stmfd refuses the door or is not running (0x%x), trying again\n", (unsigned)status);
        sleep(1);
    }
    fprintf(stderr, "proxy_relay: door installed\n");
}

/* Receives exactly `length` bytes; 0 when the connection ended or was silent for too long. */
static int receive(int fd, void *buffer, size_t length)
{
    while (length > 0) {
        ssize_t received = recv(fd, buffer, length, MSG_WAITALL);
        if (received < 0 && errno == EINTR)
            continue;
        if (received <= 0)
            return 0;
        buffer = (char *)buffer + received;
        length -= (size_t)received;
    }
    return 1;
}

/* Posts what the peer sends until the connection ends or stmfd lets go of the door. */
static void relay(int fd)
{
    uint32_t header;
    while (installed() && receive(fd, &header, sizeof header)) {
        uint32_t length = ntohl(header);
        char *message = length <= LONGEST_MESSAGE ? malloc(length + 1) : NULL;
        if (message == NULL || !receive(fd, message, length)) {
            free(message);
            break;
        }
        while (stmfPostProxyMsg(session, message, length) != STMF_STATUS_SUCCESS) {
            if (installed()) {
                fprintf(stderr, "proxy_relay: stmfd refused a message of %u bytes\n", length);
                break;
            }
            install(); /* stmfd was restarted */
        }
        free(message);
    }
}

/* Accepts a connection, or makes one; -1 when there was none within a second. */
static int connection(int listener, const struct addrinfo *address)
{
    int fd = -1;
    if (listener >= 0) {
        struct pollfd waiting = {.fd = listener, .events = POLLIN};
        if (poll(&waiting, 1, 1000) == 1)
            fd = accept(listener, NULL, NULL);
        return fd;
    }
    fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, address->ai_addr, address->ai_addrlen) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    sleep(1);
    return -1;
}

int main(int argc, char **argv)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *address;
    struct timeval patience = {.tv_sec = 10};
    int yes = 1, listener = -1;

    int listening = argc == 6 && strcmp(argv[3], "listen") == 0;
    if (argc != 6 || (!listening && strcmp(argv[3], "connect") != 0) || strlen(argv[2]) != 1 ||
        (argv[2][0] != '0' && argv[2][0] != '1')) {
        fprintf(stderr, "usage: proxy_relay CONTROL 0|1 listen|connect ADDRESS PORT\n");
        return 2;
    }
    node = (uint32_t)(argv[2][0] - '0');
    setenv("STMF_CONTROL", argv[1], 1);
    int error = getaddrinfo(argv[4], argv[5], &hints, &address);
    if (error != 0) {
        fprintf(stderr, "proxy_relay: %s port %s: %s\n", argv[4], argv[5], gai_strerror(error));
        return 1;
    }
    if (listening) {
        listener = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        if (bind(listener, address->ai_addr, address->ai_addrlen) != 0 || listen(listener, 1) != 0) {
            perror("proxy_relay: listen");
            return 1;
        }
    }
    door = door_create(procedure, NULL, DOOR_UNREF_MULTI | DOOR_REFUSE_DESC);
    if (door < 0) {
        perror("proxy_relay: door_create");
        return 1;
    }
    for (;;) {
        if (!installed())
            install();
        int fd = connection(listener, address);
        if (fd < 0)
            continue;
        /* stmfd speaks every second: silence is a dead connection, and so is a peer that takes nothing. */
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        pthread_mutex_lock(&sending);
        peer = fd;
        pthread_mutex_unlock(&sending);
        fprintf(stderr, "proxy_relay: connected\n");
        relay(fd);
        pthread_mutex_lock(&sending);
        peer = -1;
        close(fd);
        pthread_mutex_unlock(&sending);
        fprintf(stderr, "proxy_relay: connection lost\n");
    }
}
