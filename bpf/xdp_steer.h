/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the steering program and its loader in Go both know. The Go types are generated from this file. */
#ifndef XDP_STEER_H
#define XDP_STEER_H

/* Which frames are the stack's. */
enum mode {
	OWN_ADDRESS,	/* everything for an owned address: ARP, ICMP and fragments too */
	SHARED_ADDRESS, /* only TCP and UDP to an owned (protocol, address, port), fragments too, and ICMP errors about such */
	WHOLE_INTERFACE, /* every frame, whatever it is */
};

/* What became of a frame, and why. Each CPU counts frames by reason; what is done with a frame follows from the group of its reason. */
enum reason {
	REDIRECT_ARP,
	REDIRECT_TCP,
	REDIRECT_UDP,
	REDIRECT_ICMP,
	REDIRECT_PROTOCOL, /* another protocol over IPv4 */
	REDIRECT_FRAGMENT, /* IPv4 fragment, first ones included */
	REDIRECT_OTHER,	   /* what else would be passed, in whole-interface mode */
	REDIRECT_COOKIE,   /* under pressure: an ACK of no flow of the stack's, with a valid cookie */

	PASS_NO_SOCKET,	     /* ours, but no socket is bound to the frame's queue */
	PASS_SHORT_ETHERNET, /* shorter than an Ethernet header */
	PASS_SHORT_VLAN,     /* ends within a VLAN tag */
	PASS_DEEP_VLAN,	     /* more than two VLAN tags */
	PASS_ETHERTYPE,	     /* neither ARP nor IPv4 */
	PASS_SHORT_ARP,	     /* ends within the ARP packet */
	PASS_BAD_ARP,	     /* ARP, but not for IPv4 over Ethernet */
	PASS_ARP,	     /* asks for an address that is not ours */
	PASS_SHORT_IPV4,     /* ends within the IPv4 header or before the packet's length */
	PASS_BAD_IPV4,	     /* version, header length or total length cannot be */
	PASS_ADDRESS,	     /* to an address that is not ours */
	PASS_FRAGMENT,	     /* IPv4 fragment of a port that is not ours, or whose first did not come before, in shared mode */
	PASS_PROTOCOL,	     /* neither TCP nor UDP, in shared mode */
	PASS_SHORT_PORTS,    /* the packet ends within the ports, in shared mode */
	PASS_PORT,	     /* to a port that is not ours, in shared mode */
	PASS_VLAN,	     /* ARP or IPv4 of another VLAN, or of none where ours is one */
	PASS_ICMP,	     /* ICMP that is no error about a port of ours, in shared mode */

	DROP_BAD_SYN,	 /* under pressure: a SYN that the stack would drop too */
	DROP_BAD_COOKIE, /* under pressure: an ACK of no flow of the stack's, and no valid cookie */
	DROP_NO_FLOW,	 /* under pressure: any other segment of no flow of the stack's */
	DROP_DENIED,	 /* ours, of a denied source */
	DROP_SOURCE_SYN_RATE, /* ours, a SYN beyond the rate of its source */
	DROP_SOURCE_RATE,     /* ours, beyond the rate of its source */

	TX_SYN_COOKIE, /* under pressure: a SYN, sent back as a SYN-ACK with a cookie */

	REASONS,
};

/* The groups: to the stack, to the kernel, nowhere, and back to where it came from. */
#define FIRST_PASS PASS_NO_SOCKET
#define FIRST_DROP DROP_BAD_SYN
#define FIRST_TX TX_SYN_COOKIE

/* What is known of a frame in struct hints; a set. */
enum hint {
	HINT_DEVICE_TIME = 1, /* time is by the device's clock, else by CLOCK_TAI, when the program ran */
	HINT_HASH = 2,	      /* hash and hash_type are the device's, else 0 */
};

/* What the program notes in front of a frame that it redirects, if the loader wants that. hints.go reads it. */
struct hints {
	__u64 time;	 /* when the frame came, in ns */
	__u32 hash;	 /* the device's, of the frame's addresses and ports */
	__u32 hash_type; /* of which of them: the kernel's enum xdp_rss_hash_type */
	enum hint known;
	__u32 cookie; /* the loader's, right before the frame: without it this is no note */
};

/* Addresses that the stack owns, all that begin with the first length bits of address, in network byte order. */
struct prefix {
	__u32 length;
	__be32 address;
};

/* What a rule says of packets for the stack from the sources of a prefix. */
enum verdict {
	DENY,
	ALLOW, /* whatever a shorter prefix or the rates say */
};

struct rule {
	enum verdict verdict;
	__u32 zero;
	__u64 dropped; /* packets, by a rule that denies */
};

/* How much a source may send, in ns: the time between two packets at the rate, and what it may be ahead of that. An interval of 0: no
 * limit. */
struct rate {
	__u64 interval;
	__u64 burst;
};

/* Which of the two lists of rules is in force. */
enum rules_in_force {
	NO_RULES,
	RULES_FIRST,
	RULES_SECOND,
};

/* What the filter does at present. */
struct filter_settings {
	enum rules_in_force rules;
	__u32 zero;
	struct rate syns;
	struct rate packets;
};

/* When the next SYN and the next packet of a source would come, if it kept exactly to the rate; by CLOCK_MONOTONIC, in ns. */
struct source {
	__u64 syns;
	__u64 packets;
};

/* What was dropped of a source, in packets by reason, and when the last one was; by CLOCK_MONOTONIC, in ns. */
struct offender {
	__u64 denied;
	__u64 syns;
	__u64 packets;
	__u64 last;
};

/* A TCP or UDP port that the stack owns; address and port in network byte order. */
struct service {
	__be32 address;
	__be16 port;
	__u8 protocol;
	__u8 zero;
};

/* When the program answers SYNs itself. */
enum shield_mode {
	SHIELD_OFF,
	SHIELD_AUTO, /* on queues that are under pressure */
	SHIELD_ALWAYS,
};

/* What the program must know of the stack to answer in its place. */
struct shield_state {
	__u64 key0, key1;	  /* the secret */
	__s64 clock;		  /* ns, what is added to CLOCK_MONOTONIC for the stack's time */
	__u64 cookies;		  /* the stack's time when the last cookie was sent, to a millisecond; the program writes it */
	__be32 network, broadcast; /* addresses of the stack's network that no host has; 0 if there are none */
	enum shield_mode mode;
	__u8 mac[6];
	__u8 ttl, tos;
};

/* A queue's pressure. Each half has one writer, and a cache line. */
struct shield_queue {
	__u64 opened; /* the stack: handshakes completed */
	__u32 full;   /* the stack: half-open records are nearly used up */
	__u32 unused[13];

	__u64 drained; /* ns, the stack's time up to which the level is */
	__u64 seen;    /* opened, when the level was looked at */
	__u32 level;   /* SYNs that led to nothing, lately */
	__u32 pressed; /* SYNs are answered with cookies */
	__u32 unused2[10];
};

/* A flow that has brought a cookie back. */
struct shield_return {
	__u32 hash;
	__u32 time; /* in 2^20 ns */
};

/* A port that the stack listens on; address and port in network byte order. */
struct shield_endpoint {
	__be32 address; /* 0: on all of the stack's */
	__be16 port;
	__u16 zero;
};

/* What the SYN-ACKs of a port agree to; a set. */
enum offer_flags {
	OFFER_TIMESTAMPS = 1,
	OFFER_SACK = 2,
	OFFER_ECN = 4,
	OFFER_ECT0 = 8, /* a SYN-ACK that agrees to ECN is ECN-capable itself (RFC 8257 section 3.6) */
};

/* What the SYN-ACKs of a port offer; mss and window in network byte order. */
struct shield_offer {
	__be16 window;
	__be16 mss;
	__u8 wscale; /* 15: no window scaling */
	__u8 flags;
};

/* Whether somebody looks at what the program drops, and how many frames did not fit into the ring since it was loaded. */
struct tap_state {
	__u32 open; /* the user's side */
	__u32 zero;
	__u64 lost; /* the program */
};

#define TAP_HEAD 256 /* bytes of a frame that are copied */

/* A frame that was dropped, or an answer. */
struct tap_frame {
	__u64 time;   /* by CLOCK_MONOTONIC, in ns */
	__u32 length; /* of the frame, in bytes */
	__u32 queue;
	enum reason reason;
	__u32 zero;
	__u8 head[TAP_HEAD];
};

#endif
