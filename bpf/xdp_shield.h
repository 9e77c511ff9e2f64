/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The shield: under a flood of SYNs the program answers them with SYN cookies itself, and lets only those segments come to the stack
 * that belong to a flow of its or bring such a cookie back. Part of xdp_steer.c.
 *
 * The cookies are the stack's own (xdp_cookie.h), and neither side has to tell the other of one.
 */
#ifndef XDP_SHIELD_H
#define XDP_SHIELD_H

#include "xdp_cookie.h"

// With false the verifier removes all of it.
const volatile bool shield = false;

// The bytes of flow_marks, a power of two, less one.
const volatile __u32 marks_mask = 0;

// The loader sets the sizes, and has the user's side map the first four into its memory (BPF_F_MMAPABLE, Linux 5.5).

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct shield_state);
	__uint(max_entries, 1);
} shield_states SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct shield_queue);
	__uint(max_entries, 1);
} shield_queues SEC(".maps");

// How many flows of the stack's have each hash: bytes, in words of four. One element that is as large as the loader says.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u64));
	__uint(max_entries, 1);
} flow_marks SEC(".maps");

// How many marks each region of them has, in words: 0 in most as long as there are few flows. A flood's hashes are everywhere in
// flow_marks, which is too large for the processor's caches, but all of this is in one.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u64));
	__uint(max_entries, 1);
} flow_regions SEC(".maps");
#define REGION_SHIFT 7 // marks in a region, as a power of two

// The flows that brought a cookie back last, by their hash. What follows the ACK on its heels comes before the stack can have marked
// the flow.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct shield_return);
	__uint(max_entries, 1);
} shield_returns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct shield_endpoint);
	__type(value, struct shield_offer);
	__uint(max_entries, 1);
} shield_offers SEC(".maps");

// Pressure on a queue: a bucket that each SYN fills, and each handshake that the stack completes empties again, and time: one in
// 2^20 ns, about 954 a second. What is in it is SYNs that led to nothing.
#define PRESSURE_ENTER 512
#define PRESSURE_LEAVE 64
#define PRESSURE_MOST 2048 // so that a flood is over two seconds after its last SYN
#define PRESSURE_DRAIN 20

#define RETURN_TIME 1000000000ULL // ns, for which a flow that brought a cookie passes without a mark
#define RETURNS (1 << 14)	  // a power of two

static __always_inline bool marked(__u32 hash)
{
	__u32 zero = 0;
	__u8 *regions = bpf_map_lookup_elem(&flow_regions, &zero);
	__u8 *marks;

	if (!regions)
		return true;
	if (!*(volatile __u32 *)(regions + ((hash & marks_mask) >> REGION_SHIFT << 2)))
		return false;
	marks = bpf_map_lookup_elem(&flow_marks, &zero);
	if (!marks)
		return true;
	return *(volatile __u32 *)(marks + (hash & marks_mask & ~3U)) >> 8 * (hash & 3) & 0xff;
}

// Has a flow just brought a cookie back?
static __always_inline bool returned(__u32 hash, __u64 now)
{
	__u32 i = hash & (RETURNS - 1);
	struct shield_return *r = bpf_map_lookup_elem(&shield_returns, &i);

	return r && r->hash == hash && (__u32)(now >> 20) - r->time <= RETURN_TIME >> 20;
}

static __always_inline void note_return(__u32 hash, __u64 now)
{
	__u32 i = hash & (RETURNS - 1);
	struct shield_return *r = bpf_map_lookup_elem(&shield_returns, &i);

	if (r) {
		r->hash = hash;
		r->time = now >> 20;
	}
}

// Is the queue under pressure? The receive processing of a queue is never on two CPUs at a time, so this side's fields need no
// atomics.
static __always_inline bool pressed(struct shield_queue *q, __u64 now, bool syn)
{
	__u64 opened = *(volatile __u64 *)&q->opened;
	__u64 ticks = (now - q->drained) >> PRESSURE_DRAIN;
	__u64 less = ticks + (opened - q->seen);
	bool full = *(volatile __u32 *)&q->full;

	q->drained += ticks << PRESSURE_DRAIN;
	q->seen = opened;
	q->level = q->level > less ? q->level - less : 0;
	if (syn && q->level < PRESSURE_MOST)
		q->level++;
	if (full || q->level >= PRESSURE_ENTER)
		q->pressed = 1;
	else if (q->level <= PRESSURE_LEAVE)
		q->pressed = 0;
	return q->pressed;
}

// Can a source have sent this? (RFC 1122 section 3.2.1.3; the stack's own addresses are nobody else's.)
static __always_inline bool sound_source(const struct shield_state *state, const struct iphdr *ip)
{
	__u8 first = *(const __u8 *)&ip->saddr;

	return first != 0 && first != 127 && first < 224 && ip->saddr != ip->daddr && ip->saddr != state->network &&
	       ip->saddr != state->broadcast && (address_mode != OWN_ADDRESS || !owned(ip->saddr));
}

static __always_inline bool same_mac(const __u8 *a, const __u8 *b)
{
	const __u16 *x = (const __u16 *)a, *y = (const __u16 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2];
}

// Answers a SYN. ip and tcp are in the frame, with all of their headers but TCP's options.
static __always_inline enum reason answer_syn(struct xdp_md *ctx, struct cursor *c, struct iphdr *ip, struct tcphdr *tcp,
					      struct shield_state *state, const struct shield_offer *offer,
					      const struct flow_words *f, __u64 now)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct syn syn = {.seq = bpf_ntohl(tcp->seq)};
	__u64 network = (void *)ip - (void *)eth;
	__u32 length = bpf_ntohs(ip->tot_len) - sizeof(*ip);
	__u32 header = ((__u8 *)tcp)[12] >> 4 << 2;
	__u8 flags = ((__u8 *)tcp)[13];
	struct syn_ack a = {};
	__u32 options;
	__u64 packed;

	if ((void *)(eth + 1) > c->end || !same_mac(eth->h_dest, state->mac) || ip->ihl != 5)
		return DROP_BAD_SYN;
	if (flags & TCP_FIN || !tcp->source || header < sizeof(*tcp) || header > length)
		return DROP_BAD_SYN;
	if (!sound_source(state, ip) || fold(sum_header(ip)) != 0xffff)
		return DROP_BAD_SYN;
	if (fragments && c->length > c->end - (void *)eth)
		return DROP_BAD_SYN; // no honest SYN is that long
	packed = read_options(ctx, network + sizeof(*ip) + sizeof(*tcp), header - sizeof(*tcp), 0);
	if (!valid_checksum(ctx, network + sizeof(*ip), length, sum_pseudo_header(ip, length)))
		return DROP_BAD_SYN;

	syn.mss = packed >> PACKED_MSS;
	if (!syn.mss)
		syn.mss = DEFAULT_MSS;
	else if (syn.mss < MIN_MSS)
		syn.mss = MIN_MSS;
	syn.ts = packed >> 32;
	syn.has_ts = packed & PACKED_TS && offer->flags & OFFER_TIMESTAMPS;
	syn.sack = packed & PACKED_SACK && offer->flags & OFFER_SACK;
	syn.ecn = syn.has_ts && offer->flags & OFFER_ECN && (flags & (TCP_ECE | TCP_CWR)) == (TCP_ECE | TCP_CWR);
	syn.wscale = offer->wscale == COOKIE_NO_WSCALE ? COOKIE_NO_WSCALE : (__u8)(packed >> PACKED_WSCALE);

	a.ip.saddr = ip->daddr;
	a.ip.daddr = ip->saddr;
	a.tcp.source = tcp->dest;
	a.tcp.dest = tcp->source;
	options = make_syn_ack(&a, state, offer, f, &syn, now);
	if ((now - state->cookies) >> 20) // rarely: all CPUs read what is beside it
		state->cookies = now;
	return send_back(ctx, network, &a, options);
}

// What is known of the port that a segment is for, NULL if nobody listens on it.
static __always_inline struct shield_offer *find_offer(struct iphdr *ip, struct tcphdr *tcp)
{
	struct shield_endpoint at = {.port = tcp->dest};
	struct shield_offer *offer = bpf_map_lookup_elem(&shield_offers, &at);

	if (offer)
		return offer;
	at.address = ip->daddr;
	return bpf_map_lookup_elem(&shield_offers, &at);
}

// Decides on a TCP segment that is the stack's. In peace that costs what is in front of the first look at the port.
static __always_inline enum reason shield_segment(struct xdp_md *ctx, struct cursor *c)
{
	__u32 zero = 0, queue = ctx->rx_queue_index, hash;
	struct shield_offer *offer;
	struct shield_state *state;
	struct shield_queue *q;
	struct flow_words f;
	struct iphdr *ip = c->ip;
	struct tcphdr *tcp;
	bool syn;
	__u8 flags;
	__u64 now;

	state = bpf_map_lookup_elem(&shield_states, &zero);
	q = bpf_map_lookup_elem(&shield_queues, &queue);
	if (!state || !q || state->mode == SHIELD_OFF || (void *)(ip + 1) > c->end)
		return REDIRECT_TCP;
	tcp = (void *)ip + ip->ihl * 4;
	if ((void *)(tcp + 1) > c->end || bpf_ntohs(ip->tot_len) < ip->ihl * 4 + sizeof(*tcp))
		return REDIRECT_TCP;
	flags = ((__u8 *)tcp)[13];
	syn = (flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
	if (state->mode == SHIELD_AUTO && !syn && !q->pressed)
		return REDIRECT_TCP;

	offer = find_offer(ip, tcp);
	if (!offer)
		return REDIRECT_TCP;
	now = bpf_ktime_get_ns() + state->clock;
	if (!pressed(q, now, syn) && state->mode == SHIELD_AUTO)
		return REDIRECT_TCP;
	if (!bpf_map_lookup_elem(&sockets, &queue)) // the kernel's, then
		return REDIRECT_TCP;
	f.a = little(ip->daddr) | (__u64)little(ip->saddr) << 32;
	f.b = bpf_ntohs(tcp->dest) | (__u64)bpf_ntohs(tcp->source) << 16;
	hash = flow_hash(state, &f);
	if (marked(hash))
		return REDIRECT_TCP;
	if (syn)
		return answer_syn(ctx, c, ip, tcp, state, offer, &f, now);
	if (returned(hash, now))
		return REDIRECT_TCP;
	if ((flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_ACK)
		return DROP_NO_FLOW;
	if (!valid_cookie(state, &f, tcp, now))
		return DROP_BAD_COOKIE;
	note_return(hash, now);
	return REDIRECT_COOKIE;
}

#endif
