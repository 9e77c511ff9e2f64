package demo

import (
	"crypto/sha256"
	"testing"
)

// However the stream is cut, it is the same; and it repeats nothing.
func TestPattern(t *testing.T) {
	const total = 3*blockSize + 1234
	p := newPattern(total)
	want := p.sum()
	for _, step := range []int64{1000, 65536, blockSize - 1} {
		h, n := sha256.New(), int64(0)
		for n < total {
			b := p.from(n)
			b = b[:min(int64(len(b)), step)]
			h.Write(b)
			n += int64(len(b))
		}
		if got := [sha256.Size]byte(h.Sum(nil)); got != want {
			t.Errorf("in steps of %d bytes: another hash", step)
		}
	}
	if b := p.from(total); len(b) != 0 {
		t.Errorf("%d bytes behind the end", len(b))
	}
	first := [16]byte(p.from(0))
	if second := [16]byte(p.from(blockSize)); first == second {
		t.Error("the second block is the first again")
	}
}

// A judge finds one wrong byte, a lost one and one too many, in either way.
func TestJudge(t *testing.T) {
	const total = blockSize + 777
	p := newPattern(total)
	var stream []byte
	for off := int64(0); off < total; off = int64(len(stream)) {
		stream = append(stream, p.from(off)...)
	}
	flipped := append([]byte(nil), stream...)
	flipped[blockSize+3] ^= 1
	for _, withHash := range []bool{compared, hashed} {
		for name, tt := range map[string]struct {
			bytes []byte
			ok    bool
		}{
			"right": {stream, true}, "flipped": {flipped, false}, "short": {stream[:total-1], false},
			"long": {append(append([]byte(nil), stream...), 0), false}, "empty": {nil, false},
		} {
			j := newJudge(withHash)
			for b := tt.bytes; len(b) > 0; b = b[min(len(b), 1460):] {
				j.add(b[:min(len(b), 1460)])
			}
			if err := j.verdict().check(p, withHash); (err == nil) != tt.ok {
				t.Errorf("%s, hash %v: %v", name, withHash, err)
			}
		}
	}
}
