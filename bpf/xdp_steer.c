//go:build ignore
// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)

// The steering program: is this frame ours? It redirects what is to the AF_XDP socket of the frame's queue, and passes the rest
// to the kernel. What it cannot parse, it passes. It drops and answers frames only in the stack's defence, if it is loaded for that.
// doc.go shows the path of the decision.

#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "xdp_steer.h"

#define MAX_VLAN_TAGS 2
#define ARPHRD_ETHER 1 // linux/if_arp.h needs the whole C library's headers
#define VLAN_NUMBER_MASK 0x0fff
#define IP_MORE_FRAGMENTS 0x2000
#define IP_OFFSET_MASK 0x1fff
#define IP_DONT_FRAGMENT 0x4000

char _license[] SEC("license") = "Dual BSD/GPL";

// Constants to the verifier, which removes the branches of the other modes, and without fragments the call that only kernels since
// 5.18 have.
const volatile enum mode address_mode = OWN_ADDRESS;
const volatile bool fragments = false; // a frame may lie in several buffers (BPF_F_XDP_HAS_FRAGS)

// Whoever loads the program has no CAP_PERFMON: then the verifier takes no difference of pointers, and adds nothing to a pointer into the
// frame but constants. Lengths come from a call that kernels since 5.18 have.
const volatile bool strict = false;

// The VLAN that frames of ours carry the one tag of; 0: they carry none.
const volatile __u16 vlan = 0;

// The stack owns prefixes too. Without, the verifier removes the second look-up of each address.
const volatile bool own_prefixes = false;

// Not 0: the program notes hints in front of the frames that it redirects, with this number, which nobody else can know, behind them.
// A constant too: without hints the verifier removes all of it, with the call that only kernels since 6.1 have.
const volatile __u32 hints_cookie = 0;

// What the device tells of a frame. Only a program that is bound to a device may call these; the loader takes the calls out of any
// other, as if the device told nothing.
enum rss_type { RSS_TYPE_NONE };
extern int bpf_xdp_metadata_rx_timestamp(const struct xdp_md *ctx, __u64 *timestamp) __ksym;
extern int bpf_xdp_metadata_rx_hash(const struct xdp_md *ctx, __u32 *hash, enum rss_type *type) __ksym;

// The loader sets the sizes of all maps but the counters.

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __be32);
	__type(value, __u8);
	__uint(max_entries, 1);
} addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC); // there is no other way
	__type(key, struct prefix);
	__type(value, __u8);
	__uint(max_entries, 1);
} prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct service);
	__type(value, __u8);
	__uint(max_entries, 1);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, enum reason);
	__type(value, __u64);
	__uint(max_entries, REASONS);
} counters SEC(".maps");

struct vlan_tag {
	__be16 tci;
	__be16 type; // of what follows
};

// ARP for IPv4 over Ethernet, RFC 826.
struct arp_packet {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_len;
	__u8 protocol_len;
	__be16 operation;
	__u8 sender_mac[ETH_ALEN];
	__u8 sender_ip[4];
	__u8 target_mac[ETH_ALEN];
	__u8 target_ip[4];
};

struct ports {
	__be16 source;
	__be16 destination;
};

// An ICMP error, RFC 792. The packet that it is about follows.
struct icmp_error {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 rest;
};

#define ICMP_UNREACHABLE 3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER 12

// What is left of the frame. Of one that lies in several buffers, the program sees the first; drivers put the headers there.
struct cursor {
	void *pos;
	void *end;
	__u32 offset; // of pos in the frame, until there is an IPv4 header
	__u32 length; // of the frame in all its buffers, bytes; only with fragments or strict
	void *ip;     // the IPv4 header, if the reason says that there is one
};

// What is in memory as a number in little-endian order.
static __always_inline __u32 little(__u32 x)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return x;
#else
	return __builtin_bswap32(x);
#endif
}

// Points *part at the next size bytes and steps over them; false if the frame ends before. A result of NULL for that would cost
// a comparison more: the compiler does not know that a frame is never at address 0.
static __always_inline bool take(struct cursor *c, __u32 size, void **part)
{
	*part = c->pos;
	c->pos += size;
	c->offset += size;
	return c->pos <= c->end;
}

// Steps from an IPv4 header of a good length, 20 to 60 bytes, to what follows.
static __always_inline void step_over(struct cursor *c, void *start, __u32 header)
{
	if (!strict) {
		c->pos = start + header;
		return;
	}
	c->pos = start + 20;
#pragma unroll
	for (__u32 length = 20; length < 60; length += 4) // in assembly, or the compiler makes a sum of it again
		asm volatile("if %[header] <= %[length] goto +1; %[pos] += 4;"
			     : [pos] "+r"(c->pos)
			     : [header] "r"((__u64)header), [length] "i"(length));
}

// In own-address mode: is the address the stack's?
static __always_inline bool owned(__be32 address)
{
	if (bpf_map_lookup_elem(&addresses, &address))
		return true;
	if (own_prefixes) {
		struct prefix p = {.length = 32, .address = address};

		return bpf_map_lookup_elem(&prefixes, &p);
	}
	return false;
}

#include "xdp_filter.h"

static __always_inline enum reason classify_arp(struct cursor *c)
{
	struct arp_packet *arp;
	__be32 target, sender;

	if (address_mode == SHARED_ADDRESS)
		return PASS_ARP;
	if (!take(c, sizeof(*arp), (void **)&arp))
		return PASS_SHORT_ARP;
	if (arp->hardware != bpf_htons(ARPHRD_ETHER) || arp->protocol != bpf_htons(ETH_P_IP) || arp->hardware_len != ETH_ALEN ||
	    arp->protocol_len != sizeof(target))
		return PASS_BAD_ARP;
	if (address_mode == WHOLE_INTERFACE)
		return REDIRECT_ARP;
	__builtin_memcpy(&target, arp->target_ip, sizeof(target));
	if (owned(target))
		return REDIRECT_ARP;
	// Somebody else says that our address is theirs, in answer to a probe for example, whose own address is 0 (RFC 5227).
	__builtin_memcpy(&sender, arp->sender_ip, sizeof(sender));
	return owned(sender) ? REDIRECT_ARP : PASS_ARP;
}

// Own-address mode: the address decides, the stack looks at the rest. For a whole interface every address will do.
static __always_inline enum reason classify_address(struct iphdr *ip, bool fragment)
{
	if (address_mode == OWN_ADDRESS && !owned(ip->daddr))
		return PASS_ADDRESS;
	if (fragment)
		return REDIRECT_FRAGMENT;
	switch (ip->protocol) {
	case IPPROTO_TCP:
		return REDIRECT_TCP;
	case IPPROTO_UDP:
		return REDIRECT_UDP;
	case IPPROTO_ICMP:
		return REDIRECT_ICMP;
	default:
		return REDIRECT_PROTOCOL;
	}
}

// In shared-address mode: is the port the stack's?
static __always_inline bool owned_port(__be32 address, __be16 port, __u8 protocol)
{
	struct service service = {.address = address, .port = port, .protocol = protocol};

	return bpf_map_lookup_elem(&services, &service);
}

// Shared-address mode: an error is ours if the packet that it quotes came from a port of ours. What lies behind the first 8 bytes of that
// (RFC 1122 section 3.2.2) is not looked at. The cursor is behind the IPv4 header, and length bytes follow.
static __always_inline enum reason classify_error(struct cursor *c, bool fragment, __u32 length)
{
	struct icmp_error *icmp;
	struct ports *ports;
	struct iphdr *ip;
	void *quoted;
	__u32 header;

	if (fragment || length < sizeof(*icmp) + sizeof(*ip) || !take(c, sizeof(*icmp), (void **)&icmp))
		return PASS_ICMP;
	if (icmp->type != ICMP_UNREACHABLE && icmp->type != ICMP_TIME_EXCEEDED && icmp->type != ICMP_PARAMETER)
		return PASS_ICMP;
	quoted = c->pos;
	if (!take(c, sizeof(*ip), (void **)&ip))
		return PASS_ICMP;
	header = ip->ihl * 4;
	if (ip->version != 4 || header < sizeof(*ip) || length < sizeof(*icmp) + header + sizeof(*ports))
		return PASS_ICMP;
	if ((ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP) || ip->frag_off & bpf_htons(IP_OFFSET_MASK))
		return PASS_ICMP;
	step_over(c, quoted, header);
	if (!take(c, sizeof(*ports), (void **)&ports))
		return PASS_ICMP;
	return owned_port(ip->saddr, ports->source, ip->protocol) ? REDIRECT_ICMP : PASS_ICMP;
}

#include "xdp_fragment.h"

// Shared-address mode. The cursor is behind the IPv4 header, which says that length bytes follow; what comes after them is Ethernet's
// padding.
static __always_inline enum reason classify_service(struct cursor *c, struct iphdr *ip, bool fragment, __u32 length)
{
	struct ports *ports;

	if (ip->protocol == IPPROTO_ICMP)
		return classify_error(c, fragment, length);
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return PASS_PROTOCOL;
	if (fragment)
		return classify_fragment(c, ip, length);
	if (length < sizeof(*ports) || !take(c, sizeof(*ports), (void **)&ports))
		return PASS_SHORT_PORTS;
	if (!owned_port(ip->daddr, ports->destination, ip->protocol))
		return PASS_PORT;
	return ip->protocol == IPPROTO_TCP ? REDIRECT_TCP : REDIRECT_UDP;
}

static __always_inline enum reason classify_ipv4(struct cursor *c)
{
	__u32 header, total, offset = c->offset;
	void *start = c->pos;
	enum reason reason;
	struct iphdr *ip;
	bool fragment;

	if (!take(c, sizeof(*ip), (void **)&ip))
		return PASS_SHORT_IPV4;
	c->ip = ip;
	header = ip->ihl * 4;
	total = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || header < sizeof(*ip) || total < header)
		return PASS_BAD_IPV4;
	if (fragments || strict ? offset + total > c->length : start + total > c->end)
		return PASS_SHORT_IPV4;
	fragment = ip->frag_off & bpf_htons(IP_MORE_FRAGMENTS | IP_OFFSET_MASK);
	step_over(c, start, header);
	if (address_mode != SHARED_ADDRESS)
		reason = classify_address(ip, fragment);
	else
		reason = classify_service(c, ip, fragment, total - header);
	if (filters && reason < FIRST_PASS) {
		step_over(c, start, header);
		reason = filter(c, ip, reason);
	}
	return reason;
}

static __always_inline enum reason classify(struct cursor *c)
{
	struct ethhdr *ethernet;
	// Of another VLAN than ours. A whole interface has them all.
	bool other = address_mode != WHOLE_INTERFACE && vlan;
	__be16 type;

	if (!take(c, sizeof(*ethernet), (void **)&ethernet))
		return PASS_SHORT_ETHERNET;
	type = ethernet->h_proto;
#pragma unroll
	for (int tags = 0; tags < MAX_VLAN_TAGS; tags++) {
		struct vlan_tag *tag;

		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		if (!take(c, sizeof(*tag), (void **)&tag))
			return PASS_SHORT_VLAN;
		other = address_mode != WHOLE_INTERFACE &&
			(!vlan || tags || type != bpf_htons(ETH_P_8021Q) || (tag->tci & bpf_htons(VLAN_NUMBER_MASK)) != bpf_htons(vlan));
		type = tag->type;
	}
	switch (type) {
	case bpf_htons(ETH_P_IP):
		return other ? PASS_VLAN : classify_ipv4(c);
	case bpf_htons(ETH_P_ARP):
		return other ? PASS_VLAN : classify_arp(c);
	case bpf_htons(ETH_P_8021Q):
	case bpf_htons(ETH_P_8021AD):
		return PASS_DEEP_VLAN;
	default:
		return PASS_ETHERTYPE;
	}
}

// Notes in front of the frame what is known of it. Where the driver leaves no room there is no note. It is the last thing that is done
// with a frame: no pointer into it is good afterwards.
static __always_inline void note_hints(struct xdp_md *ctx)
{
	enum rss_type hash_type = RSS_TYPE_NONE;
	enum hint known = 0;
	struct hints *h;
	__u32 hash = 0;
	__u64 time = 0;

	// A driver that has the function, but no time of this frame, says 0 (veth does).
	if (!bpf_xdp_metadata_rx_timestamp(ctx, &time) && time)
		known |= HINT_DEVICE_TIME;
	else
		time = bpf_ktime_get_tai_ns();
	if (!bpf_xdp_metadata_rx_hash(ctx, &hash, &hash_type))
		known |= HINT_HASH;
	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*h)))
		return;
	h = (void *)(long)ctx->data_meta;
	if ((void *)(h + 1) > (void *)(long)ctx->data)
		return;
	h->time = time;
	h->hash = hash;
	h->hash_type = hash_type;
	h->known = known;
	h->cookie = hints_cookie;
}

#include "xdp_shield.h"
#include "xdp_tap.h"

SEC("xdp")
int xdp_steer(struct xdp_md *ctx)
{
	struct cursor c = {.pos = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end};
	enum reason reason;
	int action = XDP_PASS;
	__u64 *count;

	if (fragments || strict)
		c.length = bpf_xdp_get_buff_len(ctx);
	reason = classify(&c);
	if (address_mode == WHOLE_INTERFACE && reason >= FIRST_PASS && reason < FIRST_DROP)
		reason = REDIRECT_OTHER;
	if (filters && reason >= FIRST_DROP && reason < FIRST_TX) {
		__u32 queue = ctx->rx_queue_index;

		if (!bpf_map_lookup_elem(&sockets, &queue)) // the kernel's, then, whatever the filter says
			reason = PASS_NO_SOCKET;
	}
	if (shield && reason == REDIRECT_TCP)
		reason = shield_segment(ctx, &c);
	if (reason < FIRST_PASS) {
		action = bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
		if (action != XDP_REDIRECT)
			reason = PASS_NO_SOCKET;
		else if (hints_cookie)
			note_hints(ctx);
	} else if (reason >= FIRST_TX) {
		action = XDP_TX;
	} else if (reason >= FIRST_DROP) {
		action = XDP_DROP;
	}
	if (taps && reason >= FIRST_DROP)
		tap(ctx, reason);
	count = bpf_map_lookup_elem(&counters, &reason);
	if (count)
		(*count)++;
	return action;
}
