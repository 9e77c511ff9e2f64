package stack

import (
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// identifications gives the numbers by which fragments find together, for datagrams that may be fragmented: TCP's never are, and their
// number, which may be anything then (RFC 6864 section 4.1), is 0. For one destination and protocol the number repeats as late as
// possible; nothing about those of another can be told from them (RFC 7739 section 5.3: a counter of those that share a keyed
// hash, from a place that is another one). Otherwise a stranger could count a host's packets, or slip fragments of his into its
// datagrams.
type identifications struct {
	counters [256]uint16
	key      [2]uint64 // the same on all shards
	step     uint16    // how many shards there are: each has numbers of its own
	shard    uint16
}

// next returns the number of the next datagram to a destination.
func (i *identifications) next(src, dst ipv4.Addr, proto uint8) uint16 {
	f := tcp.Flow{LocalAddr: src, RemoteAddr: dst, LocalPort: uint16(proto)}
	h := f.Hash(i.key[0], i.key[1])
	n := &i.counters[h>>24]
	*n++
	return uint16(h) + *n*i.step + i.shard
}
