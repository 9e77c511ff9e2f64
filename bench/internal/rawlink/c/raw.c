//go:build ignore

// raw receives and drops, sends, or forwards frames through an AF_XDP socket of libxdp, as rawlink's Go code does: the same rings and
// batches, and never sleeping. It talks to its parent as package child does: a JSON object a line on standard output, and the end of
// standard input is the end of the program.
//
//	raw ROLE INTERFACE SIZE WARMUP_MS WINDOW_MS DST_MAC SRC_IP DST_IP
//
// Compiled by the benchmark: cc -O2 raw.c -lxdp -lbpf

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <xdp/xsk.h>

enum { FRAMES = 16384, FRAME_SIZE = 2048, RING = 2048, BATCH = 64, PREPARED = 1024 };

#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9 /* setsockopt of Linux 6.17: frames that one call sends in copy mode */
#endif

static struct xsk_socket *xsk;
static struct xsk_umem *umem;
static struct xsk_ring_prod fill, tx;
static struct xsk_ring_cons completion, rx;
static unsigned char *area;
static unsigned long long frames;
static unsigned int size;

static void fail(const char *what, int err)
{
	printf("{\"kind\":\"error\",\"error\":\"libxdp: %s: %s\"}\n", what, strerror(err < 0 ? -err : err));
	fflush(stdout);
	exit(1);
}

static void say(const char *kind)
{
	printf("{\"kind\":\"%s\"}\n", kind);
	fflush(stdout);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* over reports whether the parent has closed standard input, which is not blocking. */
static int over(void)
{
	char c;
	return read(0, &c, 1) == 0;
}

static void open_socket(const char *ifname, int receives)
{
	struct xsk_umem_config uc = {.fill_size = 2 * RING, .comp_size = RING, .frame_size = FRAME_SIZE};
	struct xsk_socket_config sc = {
		.rx_size = RING, .tx_size = RING, .xdp_flags = XDP_FLAGS_DRV_MODE, .bind_flags = XDP_COPY | XDP_USE_NEED_WAKEUP,
		.libxdp_flags = receives ? 0 : XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
	};
	int err, buffer = 4096 * RING, budget = 256;
	__u32 i, first;

	area = mmap(NULL, (size_t)FRAMES * FRAME_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		fail("memory", errno);
	madvise(area, (size_t)FRAMES * FRAME_SIZE, MADV_HUGEPAGE);
	if ((err = xsk_umem__create(&umem, area, (__u64)FRAMES * FRAME_SIZE, &fill, &completion, &uc)))
		fail("create the UMEM", err);
	if (receives && xsk_ring_prod__reserve(&fill, 2 * RING, &first) == 2 * RING) {
		for (i = 0; i < 2 * RING; i++)
			*xsk_ring_prod__fill_addr(&fill, first + i) = (__u64)i * FRAME_SIZE;
		xsk_ring_prod__submit(&fill, 2 * RING);
	}
	if ((err = xsk_socket__create(&xsk, ifname, 0, umem, &rx, &tx, &sc)))
		fail("create the socket", err);
	setsockopt(xsk_socket__fd(xsk), SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
	setsockopt(xsk_socket__fd(xsk), SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, sizeof(budget));
}

static void kick(void)
{
	if (!xsk_ring_prod__needs_wakeup(&tx))
		return;
	if (sendto(xsk_socket__fd(xsk), NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EAGAIN && errno != EBUSY && errno != ENOBUFS &&
	    errno != EINTR)
		fail("send", errno);
}

static void kick_fill(void)
{
	if (xsk_ring_prod__needs_wakeup(&fill))
		recvfrom(xsk_socket__fd(xsk), NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

/* refill gives frames back to the fill ring, which has room for all that receive. */
static void refill(const __u64 *addrs, __u32 n)
{
	__u32 i, first;

	if (!n || xsk_ring_prod__reserve(&fill, n, &first) != n)
		return;
	for (i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&fill, first + i) = addrs[i] & ~(__u64)(FRAME_SIZE - 1);
	xsk_ring_prod__submit(&fill, n);
	kick_fill();
}

static void drop(void)
{
	__u64 addrs[BATCH];
	__u32 i, first, n = xsk_ring_cons__peek(&rx, BATCH, &first);

	for (i = 0; i < n; i++) {
		const struct xdp_desc *d = xsk_ring_cons__rx_desc(&rx, first + i);
		frames += d->len == size;
		addrs[i] = d->addr;
	}
	xsk_ring_cons__release(&rx, n);
	refill(addrs, n);
}

/* reap takes completions; those of received frames go back to the fill ring. */
static void reap(int received)
{
	__u64 addrs[BATCH];
	__u32 i, first, n;

	while ((n = xsk_ring_cons__peek(&completion, BATCH, &first)) > 0) {
		for (i = 0; i < n; i++)
			addrs[i] = *xsk_ring_cons__comp_addr(&completion, first + i);
		xsk_ring_cons__release(&completion, n);
		if (received)
			refill(addrs, n);
	}
}

static void forward(void)
{
	__u32 i, from, to, n = xsk_ring_cons__peek(&rx, BATCH, &from);
	unsigned char mac[6];

	if (n && xsk_ring_prod__reserve(&tx, n, &to) != n) { /* the device does not keep up: what has come waits in the ring */
		xsk_ring_cons__cancel(&rx, n);
		n = 0;
	}
	for (i = 0; i < n; i++) {
		const struct xdp_desc *d = xsk_ring_cons__rx_desc(&rx, from + i);
		unsigned char *p = xsk_umem__get_data(area, d->addr);
		memcpy(mac, p, 6);
		memcpy(p, p + 6, 6);
		memcpy(p + 6, mac, 6);
		*xsk_ring_prod__tx_desc(&tx, to + i) = (struct xdp_desc){.addr = d->addr, .len = d->len};
		frames += d->len == size;
	}
	xsk_ring_cons__release(&rx, n);
	if (n) {
		xsk_ring_prod__submit(&tx, n);
		kick();
	}
	reap(1);
}

/* The frames that are sent are always the same; each goes again as soon as it is completed. */
static __u64 ready[PREPARED];
static __u32 ready_n;

static __u16 sum(const unsigned char *p, int n)
{
	__u32 s = 0;
	for (; n > 0; n -= 2, p += 2)
		s += p[0] << 8 | p[1];
	while (s >> 16)
		s = (s >> 16) + (s & 0xffff);
	return ~s;
}

static void prepare(const char *ifname, const char *dst_mac, const char *src, const char *dst)
{
	struct ifreq r = {0};
	unsigned char to[6], *p;
	int fd = socket(AF_INET, SOCK_DGRAM, 0), i;
	__u16 s;

	strncpy(r.ifr_name, ifname, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &r) < 0)
		fail("hardware address", errno);
	close(fd);
	if (sscanf(dst_mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", to, to + 1, to + 2, to + 3, to + 4, to + 5) != 6)
		fail("hardware address of the other end", EINVAL);
	for (i = 0; i < PREPARED; i++) {
		p = area + (size_t)i * FRAME_SIZE;
		memset(p, 0, size);
		memcpy(p, to, 6);
		memcpy(p + 6, r.ifr_hwaddr.sa_data, 6);
		p[12] = 8;
		p[14] = 0x45, p[22] = 64, p[23] = 17;
		p[16] = (size - 14) >> 8, p[17] = size - 14;
		inet_pton(AF_INET, src, p + 26);
		inet_pton(AF_INET, dst, p + 30);
		s = sum(p + 14, 20);
		p[24] = s >> 8, p[25] = s;
		p[35] = p[37] = 9; /* the discard port, no checksum */
		p[38] = (size - 34) >> 8, p[39] = size - 34;
		ready[ready_n++] = (__u64)i * FRAME_SIZE;
	}
}

/* add returns a checksum in which a word has become another (RFC 1624, equation 3). */
static __u16 add(__u16 check, __u16 was, __u16 is)
{
	__u32 s = (__u16)~check + (__u16)~was + is;
	s = (s & 0xffff) + (s >> 16);
	return ~(s + (s >> 16));
}

static __u16 get(const unsigned char *p) { return p[0] << 8 | p[1]; }
static void put(unsigned char *p, __u16 v) { p[0] = v >> 8, p[1] = v; }

/*
 * vary gives a prepared frame the next port and the next address, which it sends from, and right checksums: of 64,512 ports and of the 256
 * addresses beside its own.
 */
static void vary(unsigned char *p)
{
	static __u16 port = 1024, address;
	__u16 low = (get(p + 28) & 0xff00) | (address++ & 0xff);

	put(p + 24, add(get(p + 24), get(p + 28), low));
	put(p + 40, add(add(get(p + 40), get(p + 28), low), get(p + 34), port));
	put(p + 28, low);
	put(p + 34, port);
	if (!++port)
		port = 1024;
}

/* check gives the prepared frames a UDP checksum, as those that are generated have. */
static void check(void)
{
	unsigned char pseudo[12], *p;
	__u32 s;
	int i;

	for (i = 0; i < PREPARED; i++) {
		p = area + (size_t)i * FRAME_SIZE;
		memcpy(pseudo, p + 26, 8);
		pseudo[8] = 0, pseudo[9] = 17, pseudo[10] = p[38], pseudo[11] = p[39];
		s = (__u16)~sum(pseudo, 12) + (__u16)~sum(p + 34, (size - 34) & ~1);
		s = (s & 0xffff) + (s >> 16);
		put(p + 40, ~(s + (s >> 16)));
	}
}

static int varying;

static void transmit(void)
{
	__u32 i, first, n = ready_n < BATCH ? ready_n : BATCH;

	n = n ? xsk_ring_prod__reserve(&tx, n, &first) : 0;
	for (i = 0; i < n; i++) {
		*xsk_ring_prod__tx_desc(&tx, first + i) = (struct xdp_desc){.addr = ready[--ready_n], .len = size};
		if (varying)
			vary(area + ready[ready_n]);
	}
	if (n)
		xsk_ring_prod__submit(&tx, n);
	kick();
	n = xsk_ring_cons__peek(&completion, PREPARED, &first);
	for (i = 0; i < n; i++)
		ready[ready_n++] = *xsk_ring_cons__comp_addr(&completion, first + i);
	xsk_ring_cons__release(&completion, n);
	frames += n;
}

int main(int argc, char **argv)
{
	void (*turn)(void) = drop;
	double warmup, window, start;
	int receives = 1;

	if (argc != 9)
		fail("arguments", EINVAL);
	if (!strcmp(argv[1], "send"))
		turn = transmit, receives = 0;
	else if (!strcmp(argv[1], "generate"))
		turn = transmit, receives = 0, varying = 1;
	else if (!strcmp(argv[1], "forward"))
		turn = forward;
	size = atoi(argv[3]), warmup = atof(argv[4]) / 1e3, window = atof(argv[5]) / 1e3;
	fcntl(0, F_SETFL, O_NONBLOCK);
	open_socket(argv[2], receives);
	if (!receives)
		prepare(argv[2], argv[6], argv[7], argv[8]);
	if (varying)
		check();
	say("ready");
	while (!frames && !over())
		turn();
	for (start = now(); now() - start < warmup;)
		turn();
	frames = 0;
	start = now();
	say("start");
	while (now() - start < window || (!frames && now() - start < window + 5)) /* either end may wait for its processor */
		turn();
	window = now() - start;
	say("stop");
	printf("{\"kind\":\"result\",\"data\":{\"frames\":%llu,\"seconds\":%f,\"mode\":\"libxdp, copy mode, native XDP\"}}\n", frames, window);
	fflush(stdout);
	while (!over()) /* the parent still reads this process's CPU clock */
		usleep(1000);
	xsk_socket__delete(xsk);
	xsk_umem__delete(umem);
	say("done");
	return 0;
}
