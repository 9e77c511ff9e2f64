// Plays the part of packetdrill: loads the library that the first argument names, and makes the calls that packetdrill makes, with
// packets of its own. It prints what is wrong and exits with 1, or with 0.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

// The members by their place, as doc.go lists them.
enum {
	USERDATA, FREE, SOCKET, BIND, LISTEN, ACCEPT, CONNECT, READ, READV, RECV, RECVFROM, RECVMSG, WRITE, WRITEV, SEND, SENDTO, SENDMSG,
	FCNTL, IOCTL, CLOSE, SHUTDOWN, GETSOCKOPT, SETSOCKOPT, POLL, NETDEV_SEND, NETDEV_RECEIVE, USLEEP, GETTIMEOFDAY,
	EPOLL_CREATE, EPOLL_CTL, EPOLL_WAIT, PIPE, SPLICE, MEMBERS
};

static void *table[MEMBERS];

#define CALL(type, member, ...) ((type)table[member])(table[USERDATA], ##__VA_ARGS__)

typedef int (*fn_fd)(void *, int);
typedef int (*fn_ints)(void *, int, int, int);
typedef int (*fn_addr)(void *, int, const struct sockaddr *, socklen_t);
typedef int (*fn_peer)(void *, int, struct sockaddr *, socklen_t *);
typedef ssize_t (*fn_io)(void *, int, void *, size_t);
typedef ssize_t (*fn_iov)(void *, int, const struct iovec *, int);
typedef ssize_t (*fn_flags)(void *, int, void *, size_t, int);
typedef int (*fn_int)(void *, int, int);
typedef int (*fn_variadic)(void *, int, int, ...);
typedef int (*fn_ioctl)(void *, int, unsigned long, ...);
typedef int (*fn_getopt)(void *, int, int, int, void *, socklen_t *);
typedef int (*fn_setopt)(void *, int, int, int, const void *, socklen_t);
typedef int (*fn_poll)(void *, struct pollfd *, nfds_t, int);
typedef int (*fn_out)(void *, const void *, size_t);
typedef int (*fn_in)(void *, void *, size_t *, long long *);
typedef int (*fn_time)(void *, struct timeval *, struct timezone *);
typedef int (*fn_usleep)(void *, useconds_t);
typedef int (*fn_epoll)(void *, int);

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			printf("line %d: %s, errno %d (%s)\n", __LINE__, #cond, errno, strerror(errno)); \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

#define LOCAL "192.168.0.1"
#define REMOTE "192.0.2.1"

struct packet {
	struct iphdr ip;
	struct tcphdr tcp;
	uint8_t payload[1500];
} __attribute__((packed));

static uint16_t local_port = 8080, remote_port = 40000;

static uint32_t sum(const void *p, size_t n, uint32_t s)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		s += i % 2 ? b[i] : b[i] << 8;
	return s;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return htons(~s);
}

// inject sends a segment of the peer; flags are S, F, R, P and A.
static void inject(const char *flags, uint32_t seq, uint32_t ack, const char *payload)
{
	struct packet p = { 0 };
	size_t n = strlen(payload), len = sizeof p.ip + sizeof p.tcp + n;

	p.ip.version = 4;
	p.ip.ihl = 5;
	p.ip.ttl = 64;
	p.ip.protocol = IPPROTO_TCP;
	p.ip.tot_len = htons(len);
	p.ip.saddr = inet_addr(REMOTE);
	p.ip.daddr = inet_addr(LOCAL);
	p.ip.check = fold(sum(&p.ip, sizeof p.ip, 0));
	p.tcp.source = htons(remote_port);
	p.tcp.dest = htons(local_port);
	p.tcp.seq = htonl(seq);
	p.tcp.ack_seq = htonl(ack);
	p.tcp.doff = 5;
	p.tcp.window = htons(65535);
	p.tcp.syn = strchr(flags, 'S') != NULL;
	p.tcp.fin = strchr(flags, 'F') != NULL;
	p.tcp.rst = strchr(flags, 'R') != NULL;
	p.tcp.psh = strchr(flags, 'P') != NULL;
	p.tcp.ack = strchr(flags, 'A') != NULL;
	memcpy(p.payload, payload, n);
	p.tcp.check = fold(sum(&p.tcp, sizeof p.tcp + n, sum(&p.ip.saddr, 8, IPPROTO_TCP + sizeof p.tcp + n)));
	CHECK(CALL(fn_out, NETDEV_SEND, &p, len) == 0);
}

// expect takes the next packet of the stack and checks its flags, numbers and payload. It returns the sequence number.
static uint32_t expect(const char *flags, uint32_t seq, uint32_t ack, const char *payload)
{
	struct packet p;
	size_t n = sizeof p, header;
	long long at = 0;
	struct timeval now;
	char got[6], *g = got;

	CHECK(CALL(fn_in, NETDEV_RECEIVE, &p, &n, &at) == 0);
	CHECK(n >= sizeof p.ip + sizeof p.tcp);
	CHECK(n == ntohs(p.ip.tot_len) && p.ip.saddr == inet_addr(LOCAL) && p.ip.daddr == inet_addr(REMOTE));
	CHECK(fold(sum(&p.ip, sizeof p.ip, 0)) == 0);
	n -= sizeof p.ip;
	CHECK(fold(sum(&p.tcp, n, sum(&p.ip.saddr, 8, IPPROTO_TCP + n))) == 0);
	CHECK(CALL(fn_time, GETTIMEOFDAY, &now, NULL) == 0);
	long long age = now.tv_sec * 1000000LL + now.tv_usec - at;
	CHECK(age >= 0 && age < 5000000);
	if (p.tcp.syn)
		*g++ = 'S';
	if (p.tcp.fin)
		*g++ = 'F';
	if (p.tcp.rst)
		*g++ = 'R';
	if (p.tcp.psh)
		*g++ = 'P';
	if (p.tcp.ack)
		*g++ = 'A';
	*g = 0;
	header = p.tcp.doff * 4;
	if (strcmp(got, flags) != 0 || (seq != 0 && ntohl(p.tcp.seq) != seq) || (p.tcp.ack && ntohl(p.tcp.ack_seq) != ack) ||
	    n - header != strlen(payload) || memcmp((char *)&p.tcp + header, payload, n - header) != 0) {
		printf("the packet is %s %u, ack %u, of %zu bytes; expected %s %u, ack %u, \"%s\"\n", got, ntohl(p.tcp.seq),
		       ntohl(p.tcp.ack_seq), n - header, flags, seq, ack, payload);
		exit(1);
	}
	local_port = ntohs(p.tcp.source);
	return ntohl(p.tcp.seq);
}

static struct sockaddr_in at(const char *ip, uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = inet_addr(ip) };
}

static int tcp_socket(void)
{
	int fd = CALL(fn_ints, SOCKET, AF_INET, SOCK_STREAM, IPPROTO_TCP);

	CHECK(fd >= 0 && fcntl(fd, F_GETFD) >= 0); // a real one
	return fd;
}

static void *accept_in_thread(void *fd)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof peer;
	intptr_t n = CALL(fn_peer, ACCEPT, *(int *)fd, (struct sockaddr *)&peer, &len);

	CHECK(len == sizeof peer && peer.sin_port == htons(remote_port) && peer.sin_addr.s_addr == inet_addr(REMOTE));
	return (void *)n;
}

// passive opens a connection by the peer, with accept waiting for it in a second thread.
static int passive(int listener, uint32_t *iss)
{
	pthread_t thread;
	void *fd;

	CHECK(pthread_create(&thread, NULL, accept_in_thread, &listener) == 0);
	CALL(fn_usleep, USLEEP, 20000);
	inject("S", 1000, 0, "");
	*iss = expect("SA", 0, 1001, "");
	inject("A", 1001, *iss + 1, "");
	CHECK(pthread_join(thread, &fd) == 0);
	CHECK((intptr_t)fd >= 0);
	return (intptr_t)fd;
}

static void test_passive(void)
{
	struct sockaddr_in addr = at(LOCAL, local_port);
	int s = tcp_socket(), fd, one = 1, queued = -1;
	uint32_t iss;
	char buf[100], a[4], b[4];
	struct pollfd p;
	struct tcp_info info = { 0 };
	socklen_t len = sizeof info;

	CHECK(CALL(fn_setopt, SETSOCKOPT, s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
	CHECK(CALL(fn_addr, BIND, s, (struct sockaddr *)&addr, sizeof addr) == 0);
	CHECK(CALL(fn_int, LISTEN, s, 1) == 0);
	fd = passive(s, &iss);

	// Without waiting, there is nothing to read; with poll, there is no event.
	CHECK(CALL(fn_variadic, FCNTL, fd, F_GETFL) == O_RDWR);
	CHECK(CALL(fn_variadic, FCNTL, fd, F_SETFL, O_RDWR | O_NONBLOCK) == 0);
	CHECK(CALL(fn_variadic, FCNTL, fd, F_GETFL) == (O_RDWR | O_NONBLOCK));
	CHECK(CALL(fn_io, READ, fd, buf, sizeof buf) == -1 && errno == EAGAIN);
	p = (struct pollfd){ .fd = fd, .events = POLLIN };
	CHECK(CALL(fn_poll, POLL, &p, 1, 10) == 0);

	inject("PA", 1001, iss + 1, "hello");
	p.events = POLLIN | POLLOUT;
	CHECK(CALL(fn_poll, POLL, &p, 1, 1000) == 1 && p.revents == (POLLIN | POLLOUT));
	CHECK(CALL(fn_ioctl, IOCTL, fd, FIONREAD, &queued) == 0 && queued == 5);
	struct iovec iov[2] = { { a, 2 }, { b, 4 } };
	CHECK(CALL(fn_iov, READV, fd, iov, 2) == 5 && memcmp(a, "he", 2) == 0 && memcmp(b, "llo", 3) == 0);
	expect("A", iss + 1, 1006, ""); // delayed

	CHECK(CALL(fn_flags, SEND, fd, "abcdef", 6, 0) == 6);
	expect("PA", iss + 1, 1006, "abcdef");
	CHECK(CALL(fn_getopt, GETSOCKOPT, fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && len >= 104);
	CHECK(info.tcpi_state == TCP_ESTABLISHED && info.tcpi_unacked == 1 && info.tcpi_snd_mss == 536);
	inject("A", 1006, iss + 7, "");
	len = sizeof info;
	CHECK(CALL(fn_getopt, GETSOCKOPT, fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_unacked == 0);

	inject("FA", 1006, iss + 7, "");
	expect("A", iss + 7, 1007, "");
	CHECK(CALL(fn_io, READ, fd, buf, sizeof buf) == 0);
	CHECK(CALL(fn_fd, CLOSE, fd) == 0);
	expect("FA", iss + 7, 1007, "");
	inject("A", 1007, iss + 8, "");
	CHECK(CALL(fn_io, READ, fd, buf, 1) == -1 && errno == EBADF);
	CHECK(CALL(fn_fd, CLOSE, s) == 0);
	CHECK(fcntl(s, F_GETFD) == -1 && errno == EBADF);
}

static void test_active(void)
{
	struct sockaddr_in addr = at(REMOTE, 8080);
	int fd = tcp_socket(), err = -1;
	socklen_t len = sizeof err;
	uint32_t iss;
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	remote_port = 8080;
	CHECK(CALL(fn_variadic, FCNTL, fd, F_SETFL, O_NONBLOCK) == 0);
	CHECK(CALL(fn_addr, CONNECT, fd, (struct sockaddr *)&addr, sizeof addr) == -1 && errno == EINPROGRESS);
	iss = expect("S", 0, 0, "");
	CHECK(CALL(fn_addr, CONNECT, fd, (struct sockaddr *)&addr, sizeof addr) == -1 && errno == EALREADY);
	inject("RA", 0, iss + 1, "");
	CHECK(CALL(fn_poll, POLL, &p, 1, 1000) == 1 && (p.revents & (POLLOUT | POLLERR | POLLHUP)) == (POLLOUT | POLLERR | POLLHUP));
	CHECK(CALL(fn_getopt, GETSOCKOPT, fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 && err == ECONNREFUSED);
	CHECK(CALL(fn_fd, CLOSE, fd) == 0);
}

static void test_errors(void)
{
	int s = tcp_socket(), n = 0;
	char c;
	struct sockaddr_in addr = at(LOCAL, 9000);

	CHECK(CALL(fn_ints, SOCKET, AF_INET6, SOCK_STREAM, 0) == -1 && errno == EAFNOSUPPORT);
	CHECK(CALL(fn_ints, SOCKET, AF_INET, SOCK_DGRAM, 0) == -1 && errno == EPROTONOSUPPORT);
	CHECK(CALL(fn_int, LISTEN, 999, 1) == -1 && errno == EBADF);
	CHECK(CALL(fn_io, READ, s, &c, 1) == -1 && errno == ENOTCONN);
	CHECK(CALL(fn_io, WRITE, s, &c, 1) == -1 && errno == EPIPE);
	CHECK(CALL(fn_addr, BIND, s, (struct sockaddr *)&addr, 2) == -1 && errno == EINVAL);
	CHECK(CALL(fn_peer, ACCEPT, s, NULL, NULL) == -1 && errno == EINVAL);
	CHECK(CALL(fn_setopt, SETSOCKOPT, s, IPPROTO_TCP, TCP_MD5SIG, &n, sizeof n) == -1 && errno == ENOPROTOOPT);
	CHECK(CALL(fn_ioctl, IOCTL, s, TIOCGWINSZ, &n) == -1 && errno == ENOTTY);
	CHECK(CALL(fn_epoll, EPOLL_CREATE, 1) == -1 && errno == ENOSYS);
	close(s); // by the real close, as packetdrill does with what a script leaves open
}

// A stack that has nothing to send says so in the end.
static void test_silence(void)
{
	char buf[100];
	size_t n = sizeof buf;
	long long when;

	CHECK(CALL(fn_in, NETDEV_RECEIVE, buf, &n, &when) == 0 && n == 0);
}

int main(int argc, char **argv)
{
	// packetdrill locks its memory, and what it maps later, and wants real time: the library must live with that. Who may not, may not.
	struct sched_param param = { .sched_priority = sched_get_priority_min(SCHED_RR) };

	(void)sched_setscheduler(0, SCHED_RR, &param);
	if (geteuid() == 0)
		(void)mlockall(MCL_CURRENT | MCL_FUTURE);

	void *lib = dlopen(argc > 1 ? argv[1] : "", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE | RTLD_DEEPBIND);
	void (*init)(const char *, void **);

	if (lib == NULL || (init = dlsym(lib, "packetdrill_interface_init")) == NULL) {
		printf("%s\n", dlerror());
		return 1;
	}
	init("receive_timeout=1500ms", table);
	test_passive();
	test_active();
	test_errors();
	test_silence();
	((void (*)(void *))table[FREE])(table[USERDATA]);
	dlclose(lib);
	return 0;
}
