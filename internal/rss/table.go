package rss

import (
	"errors"
	"fmt"
	"slices"
)

// ErrUnknown says that it cannot be known which queue a card puts a packet on. What wraps it says why.
var ErrUnknown = errors.New("rss: the queue of a packet cannot be foretold")

// Settings are what a card says about how it spreads TCP over IPv4.
type Settings struct {
	Function  uint8    // the hash functions in use, ETH_RSS_HASH_* bits
	Transform uint8    // what is done to the tuple before, RXH_XFRM_* bits
	Key       []byte   // of the hash
	Queues    []uint32 // the indirection table
	Fields    uint64   // RXH_* bits of what is hashed; 0: the card does not say
}

// The bits of Settings (linux/ethtool.h).
const (
	functionToeplitz = 1 << 0 // ETH_RSS_HASH_TOP

	fieldsAddresses = 1<<4 | 1<<5 // RXH_IP_SRC, RXH_IP_DST
	fieldsPorts     = 1<<6 | 1<<7 // RXH_L4_B_0_1, RXH_L4_B_2_3
)

// Table tells the queue of a packet.
type Table struct {
	hash   *Toeplitz
	queues []uint32
}

// NewTable makes a table of a card's settings, or says why that tells nothing.
func NewTable(s *Settings) (*Table, error) {
	switch n := len(s.Queues); {
	case s.Function != 0 && s.Function != functionToeplitz: // 0: the driver does not say, as igb, whose cards have no other
		return nil, fmt.Errorf("%w: the hash function is not Toeplitz (bits %#x)", ErrUnknown, s.Function)
	case s.Transform != 0:
		return nil, fmt.Errorf("%w: the hash is made symmetric (bits %#x)", ErrUnknown, s.Transform)
	case s.Fields != 0 && s.Fields&(fieldsAddresses|fieldsPorts) != fieldsAddresses|fieldsPorts:
		return nil, fmt.Errorf("%w: the ports of TCP are not hashed: change that with: ethtool -N IFACE rx-flow-hash tcp4 sdfn", ErrUnknown)
	case s.Fields&^(fieldsAddresses|fieldsPorts) != 0:
		return nil, fmt.Errorf("%w: more than addresses and ports of TCP is hashed (bits %#x): change that with: "+
			"ethtool -N IFACE rx-flow-hash tcp4 sdfn", ErrUnknown, s.Fields)
	case n == 0:
		return nil, fmt.Errorf("%w: the card tells no indirection table", ErrUnknown)
	case n&(n-1) != 0:
		return nil, fmt.Errorf("%w: the indirection table has %d entries, not a power of two", ErrUnknown, n)
	}
	if !slices.ContainsFunc(s.Key, func(b byte) bool { return b != 0 }) {
		return nil, fmt.Errorf("%w: the card does not tell its key", ErrUnknown)
	}
	hash, err := NewToeplitz(s.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return &Table{hash: hash, queues: slices.Clone(s.Queues)}, nil
}

// Queue returns the queue that a packet of TCP comes to.
func (t *Table) Queue(src, dst [4]byte, srcPort, dstPort uint16) int {
	h := t.hash.Hash(src, dst, srcPort, dstPort)
	return int(t.queues[h&uint32(len(t.queues)-1)])
}

// Queues returns the indirection table, which must not be changed.
func (t *Table) Queues() []uint32 { return t.queues }

// Equal reports whether two tables send every packet to the same queue.
func (t *Table) Equal(u *Table) bool {
	return slices.Equal(t.queues, u.queues) && t.hash.adds == u.hash.adds
}
