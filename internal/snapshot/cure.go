package snapshot

import "strings"

// cures say what to do about drops that mean that something is wrong here, by the end of the metric's name.
var cures = []struct{ suffix, cure string }{
	{"rx_ring_full", "the shard does not keep up: use more queues (ethtool -L), give it a CPU of its own, or a larger --rx-ring"},
	{"fill_ring_empty", "the shard does not return frames in time: give it more --frames, or a CPU of its own"},
	{"socket_rx_dropped", "packets larger than a frame come in: see the link's MTU, and turn off merging (ethtool -K IFACE lro off)"},
	{"queue_kick_ebusy", "on veth, give the interface a queueing discipline, which pushes back: tc qdisc replace dev IFACE root pfifo"},
	{"drop_tx_ring", "the link does not take packets as fast: use a larger --tx-ring"},
	{"drop_no_frame", "the packet memory is used up: give each queue more --frames"},
	{"drop_conn_limit", "raise MaxConns, or find out who opens so many connections"},
	{"drop_tcp_checksum", "on veth, turn off TX checksumming at the peer: ethtool -K PEER tx off; else, look for damage on the link"},
	{"drop_udp_queue", "the application reads too slowly"},
	{"drop_no_route", "give --gateway"},
	{"drop_vlan", "open the stack on the VLAN's interface, which the kernel makes: ip link add link IFACE name IFACE.N type vlan id N"},
	{"drop_not_ours", "another host sends to a stale hardware address; it goes away with its ARP entry"},
	{"steer_dropped_denied", "it was asked for: xdpstack filter show has the rules"},
	{"steer_dropped_source_syn_rate", "it was asked for: xdpstack filter top shows the sources, xdpstack filter rate changes the limit"},
	{"steer_dropped_source_rate", "it was asked for: xdpstack filter top shows the sources, xdpstack filter rate changes the limit"},
	{"drop_no_listener", "a client tries a port that nothing is served on"},
}

// Cure returns one line of what to do about a drop, or nothing where it is the peer's business.
func Cure(name string) string {
	for _, c := range cures {
		if strings.HasSuffix(name, c.suffix) {
			return c.cure
		}
	}
	return ""
}
