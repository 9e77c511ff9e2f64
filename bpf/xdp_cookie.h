/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* SYN cookies, byte for byte the stack's: tcp/syncookie.go says what is in them, tcp/isn.go how they derive from the secret, and
 * tcp/options.go how options lie in a SYN-ACK. Part of xdp_shield.h.
 */
#ifndef XDP_COOKIE_H
#define XDP_COOKIE_H

#include <linux/tcp.h>

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define TCP_ECE 0x40
#define TCP_CWR 0x80

#define ECT0 2

// Options of TCP: kinds, and lengths where they are the only ones.
#define OPT_END 0
#define OPT_NOP 1
#define OPT_MSS 2
#define OPT_WSCALE 3
#define OPT_SACK_PERMITTED 4
#define OPT_SACK 5
#define OPT_TIMESTAMPS 8
#define MAX_OPTIONS 40 // bytes
#define MAX_WSCALE 14  // RFC 7323 section 2.3
#define PLACES 64      // a power of two, more than MAX_OPTIONS
#define MAX_OPTIONS_OFFSET 128 // bytes, more than all headers before them

#define DEFAULT_MSS 536 // of who sends no option
#define MIN_MSS 88	// the least that is believed

#define COOKIE_PERIOD 64000000000ULL // ns; a cookie is good in the period in which it was made and in the next
#define COOKIE_MSS 8		     // MSS values that a cookie can hold
#define COOKIE_TS_BITS 6	     // of the timestamp, which hold the other options
#define COOKIE_NO_WSCALE 15
#define COOKIE_SACK (1 << 4)
#define COOKIE_ECN (1 << 5)

// The longest segment whose checksum is computed, in words of four bytes.
#define MAX_SYN_WORDS ((60 + 1460) / 4)

// A flow as the two words of a message of 12 bytes (tcp.Flow.words).
struct flow_words {
	__u64 a, b;
};

// What is in a SYN.
struct syn {
	__u32 seq;
	__u32 ts; // the peer's clock
	__u16 mss;
	__u8 wscale; // COOKIE_NO_WSCALE: none
	bool has_ts, sack, ecn;
};

// What is sent back: at most this.
struct syn_ack {
	struct iphdr ip;
	struct tcphdr tcp;
	__be32 options[5];
};

struct sip {
	__u64 v0, v1, v2, v3;
};

static __always_inline __u64 rotate(__u64 x, int n)
{
	return x << n | x >> (64 - n);
}

static __always_inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 = rotate(s->v2, 32);
}

static __always_inline void sip_begin(struct sip *s, const struct shield_state *state)
{
	s->v0 = state->key0 ^ 0x736f6d6570736575ULL;
	s->v1 = state->key1 ^ 0x646f72616e646f6dULL;
	s->v2 = state->key0 ^ 0x6c7967656e657261ULL;
	s->v3 = state->key1 ^ 0x7465646279746573ULL;
}

// SipHash-1-3 of a flow: its place among the marks.
static __always_inline __u32 flow_hash(const struct shield_state *state, const struct flow_words *f)
{
	__u64 b = f->b | 12ULL << 56;
	struct sip s;

	sip_begin(&s, state);
	s.v3 ^= f->a;
	sip_round(&s);
	s.v0 ^= f->a;
	s.v3 ^= b;
	sip_round(&s);
	s.v0 ^= b;
	s.v2 ^= 0xff;
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

enum purpose {
	PURPOSE_TIMESTAMP = 2,
	PURPOSE_COOKIE = 3,
};

// SipHash-2-4 of a flow, what the number is for, and a word more (tcp.Keys.derive).
static __noinline __u32 derive(const struct shield_state *state, const struct flow_words *f, __u64 purpose, __u64 extra)
{
	__u64 m[4] = {f->a, f->b | purpose << 32, extra, 24ULL << 56};
	struct sip s;

	sip_begin(&s, state);
#pragma unroll
	for (int i = 0; i < 4; i++) {
		s.v3 ^= m[i];
		sip_round(&s);
		sip_round(&s);
		s.v0 ^= m[i];
	}
	s.v2 ^= 0xff;
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

static __always_inline __u32 cookie_base(const struct shield_state *state, const struct flow_words *f, __u32 irs, __u32 period)
{
	return derive(state, f, PURPOSE_COOKIE, irs | (__u64)period << 32);
}

// The number of the largest MSS that a cookie can hold and that does not exceed the peer's.
static __always_inline __u32 cookie_mss(__u16 mss)
{
	if (mss >= 8960)
		return 7;
	if (mss >= 1460)
		return 6;
	if (mss >= 1440)
		return 5;
	if (mss >= 1400)
		return 4;
	if (mss >= 1360)
		return 3;
	if (mss >= 1220)
		return 2;
	return mss >= DEFAULT_MSS;
}

// Does a segment acknowledge a cookie that was made for its flow, and not too long ago?
static __always_inline bool valid_cookie(const struct shield_state *state, const struct flow_words *f, const struct tcphdr *tcp,
					 __u64 now)
{
	__u32 irs = bpf_ntohl(tcp->seq) - 1, iss = bpf_ntohl(tcp->ack_seq) - 1;
	__u32 period = now / COOKIE_PERIOD;

	return iss - cookie_base(state, f, irs, period) < COOKIE_MSS || iss - cookie_base(state, f, irs, period - 1) < COOKIE_MSS;
}

// The timestamp that goes with a cookie: the options are in its low bits, and it is not after ts.
static __always_inline __u32 cookie_timestamp(__u32 ts, const struct syn *syn)
{
	__u32 v = syn->wscale;

	if (syn->sack)
		v |= COOKIE_SACK;
	if (syn->ecn)
		v |= COOKIE_ECN;
	v |= ts & ~((1U << COOKIE_TS_BITS) - 1);
	if ((__s32)(ts - v) < 0)
		v -= 1 << COOKIE_TS_BITS;
	return v;
}

// The options of a SYN in one number, as a function that the verifier looks at alone returns it: with all that can be in them, there
// would be too many ways to what comes after. ts is the upper half.
#define PACKED_MSS 16
#define PACKED_WSCALE 8
#define PACKED_TS 1
#define PACKED_SACK 2

// Reads the options at an offset in the frame as the stack does: what is behind a malformed one does not count. zero is 0, which
// the verifier does not know: added to a place it makes that any place, and all turns of the loop the same to it.
__noinline __u64 read_options(struct xdp_md *ctx, __u32 offset, __u32 length, __u32 zero)
{
	void *p = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u8 b[PLACES + 16] = {}; // a value can be read whole wherever it begins
	__u32 at = 0, ts = 0, mss = 0, wscale = COOKIE_NO_WSCALE, flags = 0;

	if (offset > MAX_OPTIONS_OFFSET)
		return 0;
	p += offset;
	for (__u32 i = 0; i < MAX_OPTIONS / 4; i++) {
		if (4 * i >= length)
			break;
		barrier_var(end); // clang would compute with it, which the verifier does not allow
		if (p + 4 > end)
			return 0;
		__builtin_memcpy(b + 4 * i, p, 4);
		p += 4;
	}
	for (int i = 0; i < MAX_OPTIONS; i++) {
		__u32 kind, size;

		at = (at + zero) & (PLACES - 1);
		if (at >= length)
			break;
		kind = b[at];
		size = b[at + 1];
		if (kind == OPT_END)
			break;
		if (kind == OPT_NOP) {
			at++;
			continue;
		}
		if (at + 2 > length || size < 2 || at + size > length)
			break;
		if (kind == OPT_MSS) {
			if (size != 4)
				break;
			mss = b[at + 2] << 8 | b[at + 3];
		} else if (kind == OPT_WSCALE) {
			if (size != 3)
				break;
			wscale = b[at + 2] > MAX_WSCALE ? MAX_WSCALE : b[at + 2];
		} else if (kind == OPT_SACK_PERMITTED) {
			if (size != 2)
				break;
			flags |= PACKED_SACK;
		} else if (kind == OPT_TIMESTAMPS) {
			if (size != 10)
				break;
			flags |= PACKED_TS;
			ts = b[at + 2] << 24 | b[at + 3] << 16 | b[at + 4] << 8 | b[at + 5];
		} else if (kind == OPT_SACK) {
			if (size == 2 || size % 8 != 2 || size > 2 + 4 * 8)
				break;
		}
		at += size;
	}
	return (__u64)ts << 32 | mss << PACKED_MSS | wscale << PACKED_WSCALE | flags;
}

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return sum;
}

static __always_inline __u64 sum_header(const struct iphdr *ip)
{
	const __u32 *w = (const __u32 *)ip;

	return (__u64)w[0] + w[1] + w[2] + w[3] + w[4];
}

static __always_inline __u64 sum_pseudo_header(const struct iphdr *ip, __u32 length)
{
	return (__u64)ip->saddr + ip->daddr + bpf_htons(IPPROTO_TCP) + bpf_htons(length);
}

// Is the checksum of a segment right? sum is the pseudo-header's. The verifier looks at it alone, or it would look at what comes
// after once for each length.
__noinline int valid_checksum(struct xdp_md *ctx, __u32 offset, __u32 length, __u64 sum)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end, *p;

	if (offset > MAX_OPTIONS_OFFSET)
		return false;
	p = data + offset;
	for (int i = 0; i < MAX_SYN_WORDS; i++) {
		if (length < 4)
			break;
		barrier_var(end);
		if (p + 4 > end)
			return false;
		sum += *(__u32 *)p;
		p += 4;
		length -= 4;
	}
	if (length >= 4)
		return false; // longer than any SYN
	barrier_var(end);
	if (length >= 2) {
		if (p + 2 > end)
			return false;
		sum += *(__u16 *)p;
		p += 2;
		length -= 2;
	}
	if (length) {
		barrier_var(end);
		if (p + 1 > end)
			return false;
		sum += bpf_htons(*(__u8 *)p << 8);
	}
	return fold(sum) == 0xffff;
}

// Fills in the SYN-ACK and returns the length of its options in bytes.
static __always_inline __u32 make_syn_ack(struct syn_ack *a, const struct shield_state *state, const struct shield_offer *offer,
					  const struct flow_words *f, const struct syn *syn, __u64 now)
{
	__u32 options = 0, length;
	__u64 sum = 0;

	a->options[options++] = bpf_htonl(OPT_MSS << 24 | 4 << 16) | (bpf_htonl(bpf_ntohs(offer->mss)));
	if (syn->has_ts) {
		__u32 ts = now / 1000000 + derive(state, f, PURPOSE_TIMESTAMP, 0);
		__u32 lead = syn->sack ? OPT_SACK_PERMITTED << 24 | 2 << 16 : OPT_NOP << 24 | OPT_NOP << 16;

		a->options[1] = bpf_htonl(lead | OPT_TIMESTAMPS << 8 | 10);
		a->options[2] = bpf_htonl(cookie_timestamp(ts, syn));
		a->options[3] = bpf_htonl(syn->ts);
		options = 4;
		if (syn->wscale != COOKIE_NO_WSCALE) {
			a->options[4] = bpf_htonl(OPT_NOP << 24 | OPT_WSCALE << 16 | 3 << 8 | offer->wscale);
			options = 5;
		}
	}
	length = sizeof(a->tcp) + 4 * options;
	a->tcp.ack_seq = bpf_htonl(syn->seq + 1);
	a->tcp.seq = bpf_htonl(cookie_base(state, f, syn->seq, now / COOKIE_PERIOD) + cookie_mss(syn->mss));
	((__u8 *)&a->tcp)[12] = length / 4 << 4;
	((__u8 *)&a->tcp)[13] = TCP_SYN | TCP_ACK | (syn->ecn ? TCP_ECE : 0);
	a->tcp.window = offer->window;
#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += ((const __u32 *)&a->tcp)[i];
	a->tcp.check = ~fold(sum + sum_pseudo_header(&a->ip, length));

	a->ip.version = 4;
	a->ip.ihl = 5;
	a->ip.tos = state->tos | (syn->ecn && offer->flags & OFFER_ECT0 ? ECT0 : 0);
	a->ip.tot_len = bpf_htons(sizeof(a->ip) + length);
	a->ip.frag_off = bpf_htons(IP_DONT_FRAGMENT);
	a->ip.ttl = state->ttl;
	a->ip.protocol = IPPROTO_TCP;
	a->ip.check = ~fold(sum_header(&a->ip));
	return 4 * options;
}

// Puts the answer in place of the SYN. No pointer into the frame is good afterwards.
static __always_inline enum reason send_back(struct xdp_md *ctx, __u64 network, const struct syn_ack *a, __u32 options)
{
	const __u32 *from = (const __u32 *)a;
	__u8 mac[ETH_ALEN];
	struct ethhdr *eth;
	__u32 *to;
	void *end;
	long size = (void *)(long)ctx->data_end - (void *)(long)ctx->data;
	int more;

	barrier_var(size); // in 32 bits the verifier does not know the difference of two pointers
	more = network + sizeof(a->ip) + sizeof(a->tcp) + options - size;
	if (more && bpf_xdp_adjust_tail(ctx, more)) // with the options of most SYNs, their answer is as long
		return DROP_BAD_SYN;
	eth = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (network > sizeof(*eth) + MAX_VLAN_TAGS * sizeof(struct vlan_tag))
		return DROP_BAD_SYN;
	to = (void *)eth + network;
	if ((void *)(eth + 1) > end || (void *)(to + 11) > end)
		return DROP_BAD_SYN;
	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);
#pragma unroll
	for (int i = 0; i < 11; i++)
		to[i] = from[i];
	if (options >= 16 && (void *)(to + 14) <= end) {
		to[11] = from[11];
		to[12] = from[12];
		to[13] = from[13];
	}
	if (options >= 20 && (void *)(to + 15) <= end)
		to[14] = from[14];
	return TX_SYN_COOKIE;
}

#endif
