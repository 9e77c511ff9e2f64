//go:build ignore

// packet sends frames whose ports and addresses vary, as raw.c does in its role generate, through the ring of a packet socket: what is
// fastest without AF_XDP. It talks to its parent as package child does.
//
//	packet ROLE INTERFACE SIZE WARMUP_MS WINDOW_MS DST_MAC SRC_IP DST_IP
//
// Compiled by the benchmark: cc -O2 packet.c

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FRAMES = 1024, FRAME_SIZE = 2048, BATCH = 64 };

static unsigned char *ring;
static int fd;
static unsigned int size, next;
static unsigned long long frames;

static void fail(const char *what, int err)
{
	printf("{\"kind\":\"error\",\"error\":\"packet socket: %s: %s\"}\n", what, strerror(err));
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

static int over(void)
{
	char c;
	return read(0, &c, 1) == 0;
}

static unsigned short get(const unsigned char *p) { return p[0] << 8 | p[1]; }
static void put(unsigned char *p, unsigned short v) { p[0] = v >> 8, p[1] = v; }

static unsigned sum(const unsigned char *p, int n)
{
	unsigned s = 0;
	for (; n > 1; n -= 2, p += 2)
		s += get(p);
	return s;
}

static unsigned short fold(unsigned s)
{
	while (s >> 16)
		s = (s >> 16) + (s & 0xffff);
	return s;
}

/* add returns a checksum in which a word has become another (RFC 1624, equation 3). */
static unsigned short add(unsigned short check, unsigned short was, unsigned short is)
{
	return ~fold((unsigned short)~check + (unsigned short)~was + is);
}

static unsigned char *data(unsigned i)
{
	return ring + (size_t)i * FRAME_SIZE + TPACKET2_HDRLEN - sizeof(struct sockaddr_ll);
}

static void open_socket(const char *ifname)
{
	struct tpacket_req req = {.tp_block_size = FRAMES * FRAME_SIZE, .tp_block_nr = 1, .tp_frame_size = FRAME_SIZE, .tp_frame_nr = FRAMES};
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(ifname)};
	int version = TPACKET_V2, one = 1, buffer = 64 << 20;

	if ((fd = socket(AF_PACKET, SOCK_RAW, 0)) < 0)
		fail("socket", errno);
	if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &req, sizeof(req)))
		fail("ring", errno);
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one));
	setsockopt(fd, SOL_PACKET, PACKET_LOSS, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
	ring = mmap(NULL, (size_t)FRAMES * FRAME_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (ring == MAP_FAILED)
		fail("map the ring", errno);
	if (bind(fd, (struct sockaddr *)&to, sizeof(to)))
		fail("bind", errno);
}

static void prepare(const char *ifname, const char *dst_mac, const char *src, const char *dst)
{
	struct ifreq r = {0};
	unsigned char to[6], pseudo[12], *p;
	unsigned i;

	strncpy(r.ifr_name, ifname, IFNAMSIZ - 1);
	if (ioctl(fd, SIOCGIFHWADDR, &r) < 0)
		fail("hardware address", errno);
	if (sscanf(dst_mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", to, to + 1, to + 2, to + 3, to + 4, to + 5) != 6)
		fail("hardware address of the other end", EINVAL);
	for (i = 0; i < FRAMES; i++) {
		p = data(i);
		memset(p, 0, size);
		memcpy(p, to, 6);
		memcpy(p + 6, r.ifr_hwaddr.sa_data, 6);
		p[12] = 8;
		p[14] = 0x45, p[22] = 64, p[23] = 17;
		put(p + 16, size - 14);
		inet_pton(AF_INET, src, p + 26);
		inet_pton(AF_INET, dst, p + 30);
		put(p + 24, ~fold(sum(p + 14, 20)));
		p[35] = p[37] = 9;
		put(p + 38, size - 34);
		memcpy(pseudo, p + 26, 8);
		pseudo[8] = 0, pseudo[9] = 17, pseudo[10] = p[38], pseudo[11] = p[39];
		put(p + 40, ~fold(sum(pseudo, 12) + sum(p + 34, (size - 34) & ~1)));
	}
}

static void vary(unsigned char *p)
{
	static unsigned short port = 1024, address;
	unsigned short low = (get(p + 28) & 0xff00) | (address++ & 0xff);

	put(p + 24, add(get(p + 24), get(p + 28), low));
	put(p + 40, add(add(get(p + 40), get(p + 28), low), get(p + 34), port));
	put(p + 28, low);
	put(p + 34, port);
	if (!++port)
		port = 1024;
}

static void turn(void)
{
	unsigned i;

	for (i = 0; i < BATCH; i++) {
		struct tpacket2_hdr *h = (void *)(ring + (size_t)next * FRAME_SIZE);
		if (__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) & (TP_STATUS_SEND_REQUEST | TP_STATUS_SENDING))
			break;
		vary(data(next));
		h->tp_len = size;
		__atomic_store_n(&h->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
		next = (next + 1) % FRAMES;
		frames++;
	}
	if (send(fd, NULL, 0, MSG_DONTWAIT) < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
		fail("send", errno);
}

int main(int argc, char **argv)
{
	double warmup, window, start;

	if (argc != 9)
		fail("arguments", EINVAL);
	size = atoi(argv[3]), warmup = atof(argv[4]) / 1e3, window = atof(argv[5]) / 1e3;
	fcntl(0, F_SETFL, O_NONBLOCK);
	open_socket(argv[2]);
	prepare(argv[2], argv[6], argv[7], argv[8]);
	say("ready");
	while (!frames && !over())
		turn();
	for (start = now(); now() - start < warmup;)
		turn();
	frames = 0;
	start = now();
	say("start");
	while (now() - start < window)
		turn();
	window = now() - start;
	say("stop");
	printf("{\"kind\":\"result\",\"data\":{\"frames\":%llu,\"seconds\":%f,\"mode\":\"AF_PACKET, TX ring, no queueing discipline\"}}\n", frames, window);
	fflush(stdout);
	while (!over())
		usleep(1000);
	say("done");
	return 0;
}
