//go:build packetdrill && cgo

// The functions that packetdrill calls: see doc.go of the package above for their order and meaning. Each turns what Go returns into
// a result and errno.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "_cgo_export.h"

static ssize_t returned(long long n)
{
	if (n >= 0)
		return n;
	errno = (int)-n;
	return -1;
}

static void pd_free(void *u)
{
	goFree();
}

static int pd_socket(void *u, int domain, int type, int protocol)
{
	return returned(goSocket(domain, type, protocol));
}

static int pd_bind(void *u, int fd, const struct sockaddr *addr, socklen_t len)
{
	return returned(goBind(fd, (void *)addr, len));
}

static int pd_listen(void *u, int fd, int backlog)
{
	return returned(goListen(fd, backlog));
}

static int pd_accept(void *u, int fd, struct sockaddr *addr, socklen_t *len)
{
	struct sockaddr_in peer = { 0 };
	int n = returned(goAccept(fd, &peer));

	if (n >= 0 && addr != NULL && len != NULL) {
		memcpy(addr, &peer, *len < sizeof peer ? *len : sizeof peer);
		*len = sizeof peer;
	}
	return n;
}

static int pd_connect(void *u, int fd, const struct sockaddr *addr, socklen_t len)
{
	return returned(goConnect(fd, (void *)addr, len));
}

static ssize_t pd_recv(void *u, int fd, void *buf, size_t len, int flags)
{
	return returned(goRead(fd, buf, len, flags));
}

static ssize_t pd_read(void *u, int fd, void *buf, size_t len)
{
	return pd_recv(u, fd, buf, len, 0);
}

static ssize_t pd_recvfrom(void *u, int fd, void *buf, size_t len, int flags, struct sockaddr *addr, socklen_t *addrlen)
{
	if (addrlen != NULL)
		*addrlen = 0; // as for every stream
	return pd_recv(u, fd, buf, len, flags);
}

static ssize_t pd_sendto(void *u, int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr, socklen_t addrlen)
{
	return returned(goWrite(fd, (void *)buf, len, flags, (void *)addr, addrlen));
}

static ssize_t pd_send(void *u, int fd, const void *buf, size_t len, int flags)
{
	return pd_sendto(u, fd, buf, len, flags, NULL, 0);
}

static ssize_t pd_write(void *u, int fd, const void *buf, size_t len)
{
	return pd_send(u, fd, buf, len, 0);
}

static size_t total(const struct iovec *iov, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

// Vectors are read and written through one buffer.
static ssize_t read_vector(int fd, const struct iovec *iov, size_t n, int flags)
{
	size_t size = total(iov, n), at = 0;
	char *buf = malloc(size + 1);
	ssize_t got;

	if (buf == NULL) {
		errno = ENOMEM;
		return -1;
	}
	got = pd_recv(NULL, fd, buf, size, flags);
	for (size_t i = 0; got > 0 && i < n && at < (size_t)got; i++) {
		size_t part = (size_t)got - at < iov[i].iov_len ? (size_t)got - at : iov[i].iov_len;

		memcpy(iov[i].iov_base, buf + at, part);
		at += part;
	}
	free(buf);
	return got;
}

static ssize_t write_vector(int fd, const struct iovec *iov, size_t n, int flags, void *addr, socklen_t addrlen)
{
	size_t size = total(iov, n), at = 0;
	char *buf = malloc(size + 1);
	ssize_t sent;

	if (buf == NULL) {
		errno = ENOMEM;
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		memcpy(buf + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	sent = pd_sendto(NULL, fd, buf, size, flags, addr, addrlen);
	free(buf);
	return sent;
}

static ssize_t pd_readv(void *u, int fd, const struct iovec *iov, int n)
{
	return read_vector(fd, iov, n, 0);
}

static ssize_t pd_writev(void *u, int fd, const struct iovec *iov, int n)
{
	return write_vector(fd, iov, n, 0, NULL, 0);
}

static ssize_t pd_recvmsg(void *u, int fd, struct msghdr *msg, int flags)
{
	ssize_t n = read_vector(fd, msg->msg_iov, msg->msg_iovlen, flags);

	if (n >= 0) {
		msg->msg_namelen = 0;
		msg->msg_controllen = 0;
		msg->msg_flags = 0;
	}
	return n;
}

static ssize_t pd_sendmsg(void *u, int fd, const struct msghdr *msg, int flags)
{
	return write_vector(fd, msg->msg_iov, msg->msg_iovlen, flags, msg->msg_name, msg->msg_namelen);
}

static int pd_fcntl(void *u, int fd, int cmd, ...)
{
	va_list args;
	long arg;
	int n;

	va_start(args, cmd);
	arg = va_arg(args, long);
	va_end(args);
	switch (cmd) {
	case F_GETFL:
		n = returned(goNonblock(fd, -1));
		return n < 0 ? n : O_RDWR | (n ? O_NONBLOCK : 0);
	case F_SETFL:
		n = returned(goNonblock(fd, (arg & O_NONBLOCK) != 0));
		return n < 0 ? n : 0;
	}
	return fcntl(fd, cmd, arg); // of the descriptor itself
}

static int pd_ioctl(void *u, int fd, unsigned long request, ...)
{
	va_list args;
	int *arg;
	int n;

	va_start(args, request);
	arg = va_arg(args, int *);
	va_end(args);
	switch (request) {
	case SIOCINQ:
	case SIOCOUTQ:
		n = returned(goQueued(fd, request == SIOCOUTQ));
		break;
	case FIONBIO:
		return returned(goNonblock(fd, *arg != 0)) < 0 ? -1 : 0;
	default:
		errno = ENOTTY;
		return -1;
	}
	if (n < 0)
		return -1;
	*arg = n;
	return 0;
}

static int pd_close(void *u, int fd)
{
	return returned(goClose(fd));
}

static int pd_shutdown(void *u, int fd, int how)
{
	return returned(goShutdown(fd, how));
}

static int pd_getsockopt(void *u, int fd, int level, int name, void *value, socklen_t *len)
{
	int n = returned(goGetsockopt(fd, level, name, value, *len));

	if (n < 0)
		return -1;
	*len = n;
	return 0;
}

static int pd_setsockopt(void *u, int fd, int level, int name, const void *value, socklen_t len)
{
	return returned(goSetsockopt(fd, level, name, (void *)value, len));
}

static int pd_poll(void *u, struct pollfd *fds, nfds_t n, int timeout)
{
	return returned(goPoll(fds, n, timeout));
}

static int pd_netdev_send(void *u, const void *packet, size_t len)
{
	return returned(goSend((void *)packet, len));
}

static int pd_netdev_receive(void *u, void *packet, size_t *len, long long *time_usecs)
{
	ssize_t n = returned(goReceive(packet, *len, time_usecs));

	if (n < 0)
		return -1;
	*len = n;
	return 0;
}

static int pd_usleep(void *u, useconds_t usecs)
{
	return usleep(usecs);
}

static int pd_gettimeofday(void *u, struct timeval *tv, struct timezone *tz)
{
	return gettimeofday(tv, tz);
}

static int pd_pipe(void *u, int fds[2])
{
	return pipe(fds);
}

// What is not there, whatever its arguments are.
static int pd_missing(void)
{
	errno = ENOSYS;
	return -1;
}

static int token; // its address is the userdata: packetdrill passes it on and looks at nothing

static void *const members[] = {
	&token, pd_free, pd_socket, pd_bind, pd_listen, pd_accept, pd_connect, pd_read, pd_readv, pd_recv, pd_recvfrom, pd_recvmsg,
	pd_write, pd_writev, pd_send, pd_sendto, pd_sendmsg, pd_fcntl, pd_ioctl, pd_close, pd_shutdown, pd_getsockopt, pd_setsockopt,
	pd_poll, pd_netdev_send, pd_netdev_receive, pd_usleep, pd_gettimeofday,
	// epoll_create, epoll_ctl, epoll_wait, pipe, splice: older versions do not have them
	pd_missing, pd_missing, pd_missing, pd_pipe, pd_missing,
};

// before_epoll is how many members there are in versions that end with gettimeofday.
static const size_t before_epoll = 28;

// The table has room for the members that its program's version knows: the flag "old" says that it ends before epoll.
__attribute__((visibility("default")))
void packetdrill_interface_init(const char *flags, void **table)
{
	size_t n = sizeof members / sizeof members[0];
	char *copy = strdup(flags != NULL ? flags : "");
	char *old = copy != NULL ? strstr(copy, "old") : NULL;

	if (old != NULL && (old == copy || old[-1] == ',') && (old[3] == ',' || old[3] == '\0')) {
		memset(old, ',', 3);
		n = before_epoll;
	}
	if (copy == NULL || goInit(copy) != 0)
		exit(1);
	free(copy);
	memcpy(table, members, n * sizeof members[0]);
}
