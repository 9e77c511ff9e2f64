package veth

import (
	"testing"

	"github.com/vishvananda/netlink"
)

// TestFloodCount counts a flood of 1000 SYNs, of which 10 came to the process before the shield answered, beside 8 connections of 4 segments,
// half of whose SYNs the shield kept.
func TestFloodCount(t *testing.T) {
	c := floodCount{
		segments: 132, client: netlink.LinkStatistics{TxPackets: 1132, TxDropped: 344}, server: netlink.LinkStatistics{TxPackets: 910, TxDropped: 110},
	}
	before := floodCount{
		segments: 100, client: netlink.LinkStatistics{TxPackets: 100}, server: netlink.LinkStatistics{TxPackets: 10, TxDropped: 10},
	}
	extra := map[string]float64{"server_rx_frames": 38, "server_tcp_listen_cookies_accepted": 4}
	c.count(before, 2, extra)
	if extra[SYNs] != 500 || extra[PerSYN] != 0.01 || extra[RingFull] != 25 || extra[AnswersLost] != 10 {
		t.Errorf("%v", extra)
	}
	off := map[string]float64{"server_rx_frames": 1032, "server_tcp_listen_cookies_accepted": 4, "server_tcp_listen_cookies_sent": 900}
	c.count(before, 2, off)
	if off[PerSYN] != 1 {
		t.Errorf("without the shield: %v", off)
	}
	kernel := map[string]float64{}
	c.count(before, 2, kernel)
	if _, ok := kernel[PerSYN]; ok || kernel[SYNs] != 500 {
		t.Errorf("a server that does not count: %v", kernel)
	}
}
