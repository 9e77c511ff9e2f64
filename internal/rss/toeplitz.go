package rss

import "fmt"

// tuple is the length of what is hashed of TCP over IPv4: two addresses and two ports.
const tuple = 4 + 4 + 2 + 2

// Toeplitz is the hash under one key. The hash is linear: that of a tuple is the exclusive or of what each of its bytes adds, and that
// is looked up.
type Toeplitz struct {
	adds [tuple][256]uint32
}

// NewToeplitz prepares the hash under a key, of which the first 16 bytes matter for IPv4.
func NewToeplitz(key []byte) (*Toeplitz, error) {
	if len(key) < tuple+4 {
		return nil, fmt.Errorf("rss: a key of %d bytes, want at least %d", len(key), tuple+4)
	}
	t := &Toeplitz{}
	for i := range t.adds {
		// Bit j of byte i adds the 32 bits of the key that begin at bit 8i+j.
		window := uint64(0)
		for _, b := range key[i : i+5] {
			window = window<<8 | uint64(b)
		}
		for v := range t.adds[i] {
			for bit := range 8 {
				if v&(0x80>>bit) != 0 {
					t.adds[i][v] ^= uint32(window >> (8 - bit))
				}
			}
		}
	}
	return t, nil
}

// Hash returns the hash of a packet of TCP or UDP over IPv4.
func (t *Toeplitz) Hash(src, dst [4]byte, srcPort, dstPort uint16) uint32 {
	a := &t.adds
	return a[0][src[0]] ^ a[1][src[1]] ^ a[2][src[2]] ^ a[3][src[3]] ^
		a[4][dst[0]] ^ a[5][dst[1]] ^ a[6][dst[2]] ^ a[7][dst[3]] ^
		a[8][srcPort>>8] ^ a[9][uint8(srcPort)] ^ a[10][dstPort>>8] ^ a[11][uint8(dstPort)]
}
