/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The filter: which packets for the stack are refused because of whom they come from. A part of xdp_steer.c, which has cursor and take.
 *
 * Rules come first: of those whose prefix has the source, the longest decides. Then the rates, one for SYNs and one for all packets, which
 * each source has for itself. */
#ifndef XDP_FILTER_H
#define XDP_FILTER_H

#include <linux/tcp.h>

// There is a filter, which does what filter_settings says. Without, the verifier removes all of it.
const volatile bool filters = false;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct filter_settings);
	__uint(max_entries, 1);
} filter_settings SEC(".maps");

// Two lists of rules, of which filter_settings says which is in force: the other can be filled before it is. A map in a map would do too,
// but to make maps takes privileges, which the process gives up.
struct rules {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC); // there is no other way
	__type(key, struct prefix);
	__type(value, struct rule);
	__uint(max_entries, 1);
};

struct rules rules_first SEC(".maps");
struct rules rules_second SEC(".maps");

// Whoever sends from many addresses pushes out the sources that have sent nothing for the longest time, no more.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, __be32);
	__type(value, struct source);
	__uint(max_entries, 1);
} sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, __be32);
	__type(value, struct offender);
	__uint(max_entries, 1);
} offenders SEC(".maps");

// Remembers that a packet of a source was dropped. Of new offenders every eighth packet is enough: who sends many is soon found, and who
// sends one from each of many addresses costs little.
static __always_inline enum reason refuse(__be32 address, enum reason reason)
{
	struct offender *known = bpf_map_lookup_elem(&offenders, &address);

	if (known) {
		known->last = bpf_ktime_get_ns();
		if (reason == DROP_DENIED)
			__sync_fetch_and_add(&known->denied, 1);
		else if (reason == DROP_SOURCE_SYN_RATE)
			__sync_fetch_and_add(&known->syns, 1);
		else
			__sync_fetch_and_add(&known->packets, 1);
	} else if (!(bpf_get_prandom_u32() & 7)) {
		struct offender found = {
			.denied = reason == DROP_DENIED,
			.syns = reason == DROP_SOURCE_SYN_RATE,
			.packets = reason == DROP_SOURCE_RATE,
			.last = bpf_ktime_get_ns(),
		};

		bpf_map_update_elem(&offenders, &address, &found, BPF_NOEXIST);
	}
	return reason;
}

// Takes one from a source's share, false if that is used up: a token bucket, kept as the time at which the next packet would come at the
// rate. Another CPU that changes it meanwhile is tried against thrice; after that the packet passes without.
static __always_inline bool within(__u64 *next, const struct rate *rate, __u64 now)
{
#pragma unroll
	for (int i = 0; i < 3; i++) {
		__u64 was = *(volatile __u64 *)next;
		__u64 from = was > now ? was : now;

		if (from - now > rate->burst)
			return false;
		if (__sync_val_compare_and_swap(next, was, from + rate->interval) == was)
			return true;
	}
	return true;
}

// Whether a segment opens a connection. The cursor is behind the IPv4 header.
static __always_inline bool opens(struct cursor *c)
{
	struct tcphdr *tcp;

	return take(c, sizeof(*tcp), (void **)&tcp) && tcp->syn && !tcp->ack;
}

static __always_inline enum reason filter_rates(struct cursor *c, __be32 address, enum reason reason, const struct filter_settings *set)
{
	bool syn = set->syns.interval && reason == REDIRECT_TCP && opens(c);
	struct source *source;
	__u64 now;

	if (!syn && !set->packets.interval)
		return reason;
	now = bpf_ktime_get_ns();
	source = bpf_map_lookup_elem(&sources, &address);
	if (!source) {
		struct source new = {
			.syns = syn ? now + set->syns.interval : now,
			.packets = now + set->packets.interval,
		};

		bpf_map_update_elem(&sources, &address, &new, BPF_NOEXIST);
		return reason;
	}
	if (syn && !within(&source->syns, &set->syns, now))
		return refuse(address, DROP_SOURCE_SYN_RATE);
	if (set->packets.interval && !within(&source->packets, &set->packets, now))
		return refuse(address, DROP_SOURCE_RATE);
	return reason;
}

// What becomes of a packet that is the stack's: reason, or one to drop it. The cursor is behind the IPv4 header.
static __always_inline enum reason filter(struct cursor *c, struct iphdr *ip, enum reason reason)
{
	struct prefix p = {.length = 32, .address = ip->saddr};
	const struct filter_settings *set;
	const __u32 zero = 0;
	struct rule *rule;

	set = bpf_map_lookup_elem(&filter_settings, &zero);
	if (!set)
		return reason;
	if (set->rules != NO_RULES) {
		if (set->rules == RULES_FIRST)
			rule = bpf_map_lookup_elem(&rules_first, &p);
		else
			rule = bpf_map_lookup_elem(&rules_second, &p);
		if (rule) {
			if (rule->verdict == ALLOW)
				return reason;
			__sync_fetch_and_add(&rule->dropped, 1);
			return refuse(p.address, DROP_DENIED);
		}
	}
	if (!set->syns.interval && !set->packets.interval)
		return reason;
	return filter_rates(c, p.address, reason, set);
}

#endif
