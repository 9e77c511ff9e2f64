package gen

import (
	"fmt"
	"strconv"
	"strings"
)

// Size says how long the packets of a stream are, in bytes with the frame check sequence, as RFC 2544 counts them. The zero value is
// the least size, 64, or what the headers and the payload need if that is more.
type Size struct {
	values Values
	shares []share // a mix, in place of values
}

// share is a size of a mix and how many packets of a round have it.
type share struct {
	size   uint64
	weight int
}

// Limits of sizes in bytes.
const (
	MinSize = MinLen + FCSLen
	MaxSize = 65535 + 14 + 8 + FCSLen // the largest IPv4 datagram under two VLAN tags

	maxRound = 4096 // packets in the round of a mix
)

// simpleIMIX is the mix that is called simple IMIX: of 12 packets, 7 of 64 bytes, 4 of 594 and 1 of 1518, which are IPv4 datagrams of 40
// (padded), 576 and 1500 bytes with Ethernet header and frame check sequence. Its mean is 361.83 bytes.
var simpleIMIX = []share{{64, 7}, {594, 4}, {1518, 1}}

// FixedSize returns the size of packets that all have n bytes, the frame check sequence counted.
func FixedSize(n int) Size { return Size{values: constant(uint64(n))} }

// IMIX returns the simple IMIX: 64, 594 and 1518 bytes in the proportion 7:4:1.
func IMIX() Size { return Size{shares: simpleIMIX} }

// IsZero reports whether s is the zero value.
func (s Size) IsZero() bool { return s.shares == nil && s.values.spans == nil }

// ParseSize reads a size:
//
//	64                        all packets
//	64-1518, 64-1518/64       one size after the other, in steps of 1 or 64
//	random:64-1518            a random one for each packet
//	64,128,256                a list
//	imix                      the simple IMIX, 64:7,594:4,1518:1
//	64:7,594:4,1518:1         a mix: of 12 packets, 7 of 64 bytes, and so on
func ParseSize(text string) (Size, error) {
	s, err := parseSize(text)
	if err != nil {
		return s, fmt.Errorf("gen: size %q: %w", text, err)
	}
	return s, nil
}

var sizeField = field{name: "size", max: MaxSize}

func parseSize(text string) (Size, *valueError) {
	if text == "imix" {
		return IMIX(), nil
	}
	if strings.Contains(text, ":") && !strings.HasPrefix(text, "random:") {
		return parseMix(text)
	}
	v, err := parseValues(text, &sizeField)
	if err != nil {
		return Size{}, err
	}
	if text == "random" {
		return Size{}, &valueError{0, "random of which sizes? Expected a range, such as random:64-1518"}
	}
	for _, x := range v.spans {
		if x.first < MinSize {
			return Size{}, &valueError{0, fmt.Sprintf("expected at least %d bytes, the 4 of the frame check sequence counted, got %d",
				MinSize, x.first)}
		}
	}
	return Size{values: v}, nil
}

// parseMix reads SIZE:WEIGHT,….
func parseMix(text string) (Size, *valueError) {
	var s Size
	at, total := 0, 0
	for item := range strings.SplitSeq(text, ",") {
		a, b, _ := strings.Cut(item, ":")
		n, err := strconv.Atoi(a)
		if err != nil || n < MinSize || n > MaxSize {
			return s, &valueError{at, fmt.Sprintf("expected SIZE:WEIGHT with a size from %d to %d, got %q", MinSize, MaxSize, item)}
		}
		w, err := strconv.Atoi(b)
		if err != nil || w < 1 || w > maxRound {
			return s, &valueError{at + len(a) + 1, fmt.Sprintf("expected SIZE:WEIGHT with a weight from 1 to %d, got %q", maxRound, item)}
		}
		s.shares = append(s.shares, share{uint64(n), w})
		if total += w; total > maxRound {
			return s, &valueError{at, fmt.Sprintf("the weights of a mix add up to more than %d", maxRound)}
		}
		at += len(item) + 1
	}
	return s, nil
}

// String returns s as ParseSize reads it.
func (s Size) String() string {
	switch {
	case s.IsZero():
		return ""
	case s.shares == nil:
		return s.values.text(&sizeField)
	}
	var parts []string
	for _, x := range s.shares {
		parts = append(parts, fmt.Sprintf("%d:%d", x.size, x.weight))
	}
	return strings.Join(parts, ",")
}

// sizes returns the distinct sizes, and the turn in which packets have them as indices of these; random is as in Values.
func (s *Size) sizes() (sizes []uint64, turn []uint32, random bool) {
	if s.shares != nil {
		weights := make([]int, len(s.shares))
		for i, x := range s.shares {
			weights[i] = x.weight
			sizes = append(sizes, x.size)
		}
		return sizes, interleave(weights), false
	}
	index := map[uint64]uint32{}
	for _, n := range s.values.list() {
		i, ok := index[n]
		if !ok {
			i = uint32(len(sizes))
			index[n] = i
			sizes = append(sizes, n)
		}
		turn = append(turn, i)
	}
	return sizes, turn, s.values.random
}

// interleave returns a round in which index i occurs weights[i] times, spread as evenly as can be: each time the one that is furthest
// behind its share.
func interleave(weights []int) []uint32 {
	total := 0
	for _, w := range weights {
		total += w
	}
	credit := make([]int, len(weights))
	round := make([]uint32, 0, total)
	for range total {
		best := 0
		for i, w := range weights {
			credit[i] += w
			if credit[i] > credit[best] {
				best = i
			}
		}
		credit[best] -= total
		round = append(round, uint32(best))
	}
	return round
}
