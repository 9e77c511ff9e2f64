/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Shared-address mode: whose a fragment is. A part of xdp_steer.c, which has cursor, take and owned_port.
 *
 * Only the first fragment of a datagram has the ports, so what it says holds for those that come after it. */
#ifndef XDP_FRAGMENT_H
#define XDP_FRAGMENT_H

// What the fragments of one datagram have in common (RFC 791).
struct datagram {
	__be32 source;
	__be32 destination;
	__be16 id;
	__u8 protocol;
	__u8 zero;
};

// Datagrams of ours by when their first fragment came, by CLOCK_MONOTONIC, in ns. Whoever sends many first fragments pushes out the oldest.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct datagram);
	__type(value, __u64);
	__uint(max_entries, 1);
} datagrams SEC(".maps");

// How long others may follow it, in ns. The sender uses an id again much later, but before the stack's reassembly gives up: what belongs
// to a datagram of the kernel's then must not come to us.
#define FRAGMENTS_TIME 2000000000ull

// The cursor is behind the IPv4 header, and length bytes follow.
static __always_inline enum reason classify_fragment(struct cursor *c, struct iphdr *ip, __u32 length)
{
	struct datagram datagram = {.source = ip->saddr, .destination = ip->daddr, .id = ip->id, .protocol = ip->protocol};
	struct ports *ports;
	__u64 now, *came;

	if (ip->frag_off & bpf_htons(IP_OFFSET_MASK)) {
		came = bpf_map_lookup_elem(&datagrams, &datagram);
		return came && bpf_ktime_get_ns() - *came < FRAGMENTS_TIME ? REDIRECT_FRAGMENT : PASS_FRAGMENT;
	}
	if (length < sizeof(*ports) || !take(c, sizeof(*ports), (void **)&ports))
		return PASS_SHORT_PORTS;
	if (!owned_port(datagram.destination, ports->destination, datagram.protocol)) {
		bpf_map_delete_elem(&datagrams, &datagram); // the id is another datagram's now
		return PASS_FRAGMENT;
	}
	now = bpf_ktime_get_ns();
	bpf_map_update_elem(&datagrams, &datagram, &now, BPF_ANY);
	return REDIRECT_FRAGMENT;
}

#endif
