package stack

import (
	"sync/atomic"

	"github.com/xdpstack/xdpstack/tcp"
)

// directory says which shard has an accepted connection, for the segments of it that come to another shard. A network card keeps a
// flow on one queue as long as nobody changes its hash; Linux as the peer on a veth pair does not: it chooses another queue with each
// retransmission timeout (sk_rethink_txhash), and cards that steer flows by themselves may as well.
//
// An entry is written before a SYN is answered and when a connection is accepted, taken out when it ends without TIME-WAIT, and read only
// by a shard that does not know a segment's connection. Two flows may share an entry; the earlier one is then without it, as it was
// before it moved. A handshake leaves an accepted connection its entry: a flood of SYNs must not take those away. What remains of one
// that was never completed, and of TIME-WAIT, does no harm, for every shard can take the flow up again, and gives way to any other.
type directory struct {
	entries []atomic.Uint64 // hash, and in the lower half the shard's number plus one; nil for a stack of one shard
	key     [2]uint64
}

const (
	directorySize = 1 << 16 // entries of 8 bytes

	// unsettled marks the number of a shard that has no connection: not yet, but it has answered a SYN, or no longer, but its
	// TIME-WAIT.
	unsettled = 1 << 31
)

func (d *directory) init(key [2]uint64) {
	d.entries = make([]atomic.Uint64, directorySize)
	d.key = key
}

func (d *directory) entry(f *tcp.Flow) (e *atomic.Uint64, hash uint64) {
	h := f.Hash(d.key[0], d.key[1])
	return &d.entries[h%directorySize], uint64(h) << 32
}

// put notes that a shard has a connection.
func (d *directory) put(f *tcp.Flow, shard int) {
	if d.entries != nil {
		e, hash := d.entry(f)
		e.Store(hash | uint64(shard+1))
	}
}

// putHandshake notes that a shard is about to answer a SYN, and returns the number of the one that is to do it: another, if that has
// just noted the same. Two that answered at once would choose different initial numbers, and one would reset what the peer
// says to the other.
func (d *directory) putHandshake(f *tcp.Flow, shard int) int {
	if d.entries == nil {
		return shard
	}
	e, hash := d.entry(f)
	if v := e.Load(); v != 0 && (v&unsettled == 0 || v>>32<<32 == hash) || !e.CompareAndSwap(v, hash|unsettled|uint64(shard+1)) {
		if n := d.find(f); n >= 0 {
			return n
		}
	}
	return shard
}

// putTimeWait notes that a shard has only the TIME-WAIT of a connection, unless the entry is another's by now.
func (d *directory) putTimeWait(f *tcp.Flow, shard int) {
	if d.entries != nil {
		e, hash := d.entry(f)
		e.CompareAndSwap(hash|uint64(shard+1), hash|unsettled|uint64(shard+1))
	}
}

// remove forgets a connection, unless its entry is another's by now.
func (d *directory) remove(f *tcp.Flow, shard int) {
	if d.entries != nil {
		e, hash := d.entry(f)
		e.CompareAndSwap(hash|uint64(shard+1), 0)
	}
}

// find returns the number of the shard that has a connection, its handshake or its TIME-WAIT, -1 if that is not known.
func (d *directory) find(f *tcp.Flow) int {
	if d.entries == nil {
		return -1
	}
	e, hash := d.entry(f)
	if v := e.Load(); v>>32<<32 == hash {
		return int(uint32(v)&^unsettled) - 1
	}
	return -1
}
