package gen

import (
	"net/netip"
)

// FCSLen is the length of the frame check sequence, which sizes count and lengths in memory do not.
const FCSLen = 4

// MinLen is the length of the shortest Ethernet frame without its frame check sequence.
const MinLen = 60

// Stream is a template for packets and how they vary. ParseStream and LoadProfile make streams; Size, Weight, Sign and the like may be
// changed afterwards.
type Stream struct {
	Name   string
	Weight int // share of the packets among all streams; 0 means 1
	Size   Size
	Layers []Layer // from the outside in, complete
	Nested bool    // fields vary like the digits of a number, the one that was written last the fastest; not all with each packet
	Seed   uint64  // of random values
	Sign   Sign
}

// Layer is a layer of a stream's packets.
type Layer struct {
	Kind   Kind
	Fields []Field // those that were given; the others have their defaults
}

// Field is a field of a layer.
type Field struct {
	Name   string
	Values Values
	Text   string // of text and hex of a payload, which have no values
	order  int    // in which the fields of the stream were written
	at     place
}

// Sign says whether packets end with a signature.
type Sign uint8

// SignAuto signs UDP packets that have room for a signature.
const (
	SignAuto Sign = iota
	SignAlways
	SignNever
)

// get returns a field of the layer, or nil if it was not given.
func (l *Layer) get(name string) *Field {
	for i := range l.Fields {
		if l.Fields[i].Name == name {
			return &l.Fields[i]
		}
	}
	return nil
}

// Targets returns the addresses that the packets of the stream go to on their way through the network, those of the outermost IPv4 or
// ARP layer, as prefixes that cover no others. They are none where Options.TargetIP stands in.
func (s *Stream) Targets() []netip.Prefix {
	for i := range s.Layers {
		l := &s.Layers[i]
		name := "dst"
		switch l.Kind {
		case ARP:
			name = "tpa"
		case IPv4:
		default:
			continue
		}
		f := l.get(name)
		if f == nil {
			return nil
		}
		var all []netip.Prefix
		for _, r := range f.Values.spans {
			all = appendPrefixes(all, r.first, r.last)
		}
		return all
	}
	return nil
}

// appendPrefixes appends the prefixes that make up the addresses from first to last.
func appendPrefixes(all []netip.Prefix, first, last uint64) []netip.Prefix {
	for first <= last {
		bits := 32
		for bits > 0 {
			size := uint64(1) << (33 - bits)
			if first%size != 0 || first+size-1 > last {
				break
			}
			bits--
		}
		all = append(all, netip.PrefixFrom(toAddr(first), bits))
		first += 1 << (32 - bits)
	}
	return all
}
