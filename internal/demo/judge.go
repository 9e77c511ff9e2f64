package demo

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
)

// verdict is what the receiver of a bulk transfer says about what arrived: its SHA-256, or how many bytes came as they should.
type verdict [sha256.Size]byte

// judge forms a verdict.
type judge struct {
	hash    hash.Hash // nil: compare
	want    *pattern
	right   int64 // bytes up to the first that was wrong
	damaged bool
}

func newJudge(withHash bool) *judge {
	if withHash {
		return &judge{hash: sha256.New()}
	}
	return &judge{want: newPattern(1 << 62)}
}

// add takes the next bytes of the stream.
func (j *judge) add(p []byte) {
	if j.hash != nil {
		j.hash.Write(p)
		return
	}
	for len(p) > 0 && !j.damaged {
		want := j.want.from(j.right)
		n := min(len(want), len(p))
		if !bytes.Equal(want[:n], p[:n]) {
			j.damaged = true
			return
		}
		j.right += int64(n)
		p = p[n:]
	}
}

func (j *judge) verdict() (v verdict) {
	if j.hash != nil {
		j.hash.Sum(v[:0])
		return v
	}
	right := j.right
	if j.damaged {
		right |= damagedBit
	}
	binary.BigEndian.PutUint64(v[:], uint64(right))
	return v
}

// damagedBit marks a count of bytes after which a wrong one came.
const damagedBit = 1 << 62

// check compares a verdict with what it must be for the whole stream.
func (v verdict) check(p *pattern, withHash bool) error {
	if withHash {
		if want := p.sum(); v != want {
			return fmt.Errorf("SHA-256 is %x, not %x: the bytes were damaged", v, want)
		}
		return nil
	}
	switch right := int64(binary.BigEndian.Uint64(v[:])); {
	case right&damagedBit != 0:
		return fmt.Errorf("the bytes were damaged after the first %d", right&^damagedBit)
	case right != p.total:
		return fmt.Errorf("%d bytes came, not %d", right, p.total)
	}
	return nil
}
