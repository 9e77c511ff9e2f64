/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The tap: copies of what the program drops and answers, for those who look at packets. Part of xdp_steer.c. */
#ifndef XDP_TAP_H
#define XDP_TAP_H

// There can be a tap. Without, the verifier removes all of it, with the calls that only kernels since 5.18 have.
const volatile bool taps = false;

// The loader makes something else of it where there is no tap: kernels before 5.8 have no such maps.
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} tapped SEC(".maps");

// The user's side maps it into its memory (BPF_F_MMAPABLE, Linux 5.5).
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct tap_state);
	__uint(max_entries, 1);
} tap_states SEC(".maps");

// Hands a copy of a frame to the user's side, as it leaves the program. Whoever reads looks by himself: a wake-up for each frame of a flood
// would cost more than the flood.
static __always_inline void tap(struct xdp_md *ctx, enum reason reason)
{
	__u32 zero = 0, length, kept;
	struct tap_state *state = bpf_map_lookup_elem(&tap_states, &zero);
	struct tap_frame *f;

	if (!state || !*(volatile __u32 *)&state->open)
		return;
	f = bpf_ringbuf_reserve(&tapped, sizeof(*f), 0);
	if (!f) {
		__sync_fetch_and_add(&state->lost, 1);
		return;
	}
	length = bpf_xdp_get_buff_len(ctx);
	kept = length < TAP_HEAD ? length : TAP_HEAD;
	asm volatile("" : "+r"(kept)); // or the compiler knows better than the verifier, and leaves its bounds away
	if (kept < ETH_HLEN)
		kept = ETH_HLEN; // no frame is shorter
	if (kept > TAP_HEAD || bpf_xdp_load_bytes(ctx, 0, f->head, kept)) {
		bpf_ringbuf_discard(f, BPF_RB_NO_WAKEUP);
		return;
	}
	f->time = bpf_ktime_get_ns();
	f->length = length;
	f->queue = ctx->rx_queue_index;
	f->reason = reason;
	f->zero = 0;
	bpf_ringbuf_submit(f, BPF_RB_NO_WAKEUP);
}

#endif
