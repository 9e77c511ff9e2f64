package gen

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// payloadField returns the field u8@N, u16@N or u32@N: a number in the payload at byte N, or nil.
func payloadField(name string) *field {
	kind, at, ok := strings.Cut(name, "@")
	if !ok {
		return nil
	}
	width := 0
	switch kind {
	case "u8":
		width = 1
	case "u16":
		width = 2
	case "u32":
		width = 4
	default:
		return nil
	}
	off, ok := parseNumber(at)
	if !ok || off > MaxSize {
		return nil
	}
	return &field{name: name, flat: "-", off: int(off), width: width, max: 1<<(8*width) - 1}
}

// bytes returns what text or hex of a payload stands for, or what is wrong with it.
func (f *field) bytes(text string) (b []byte, wrong string) {
	if text == "" {
		return nil, "expected at least one byte"
	}
	if len(text) > 2*MaxSize {
		return nil, "is longer than any packet"
	}
	if f.name == "text" {
		return []byte(text), ""
	}
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", ":", "").Replace(text))
	if err != nil {
		return nil, fmt.Sprintf("expected pairs of hexadecimal digits, got %q", text)
	}
	return b, ""
}

// content is what the payload of a stream is made of.
type content struct {
	pattern []byte // repeated
	len     int    // of the payload where the stream has no size; -1: not given
}

// content returns what the layer says about the payload, nil of the layer standing for none.
func (l *Layer) content() content {
	c := content{pattern: []byte{0}, len: -1}
	if l == nil {
		return c
	}
	for _, f := range l.Fields {
		switch f.Name {
		case "text", "hex":
			c.pattern, _ = Payload.field(f.Name).bytes(f.Text)
			c.len = max(c.len, len(c.pattern))
		case "fill":
			c.pattern = []byte{byte(f.Values.first())}
		case "random":
			c.pattern = randomBytes(f.Values.first(), MaxSize)
		}
	}
	if f := l.get("len"); f != nil {
		c.len = int(f.Values.first())
	}
	return c
}

// fill writes the payload to b.
func (c *content) fill(b []byte) {
	for n := 0; n < len(b) && len(c.pattern) > 0; {
		n += copy(b[n:], c.pattern)
	}
}

// randomBytes returns n bytes that depend on the seed only.
func randomBytes(seed uint64, n int) []byte {
	b := make([]byte, (n+7)/8*8)
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], mix(seed+uint64(i/8+1)*golden))
	}
	return b[:n]
}

// golden is 2^64 divided by the golden ratio: consecutive multiples are far apart.
const golden = 0x9e3779b97f4a7c15

// mix returns a number that looks random and depends on x only: the finalizer of SplitMix64 (Steele, Lea, Flood 2014). A random value
// is that of its packet's number, so it is the same whichever worker sends the packet.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
