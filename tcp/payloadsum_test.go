package tcp

import (
	"bytes"
	"fmt"
	"testing"
)

// TestPayloadSum has whatever is written carry its checksum, however it came together; wireBytes compares it with the bytes.
func TestPayloadSum(t *testing.T) {
	for _, c := range []struct {
		writes []int
		fill   byte // 0: of all values
	}{
		{writes: []int{1}},
		{writes: []int{1448}},
		{writes: []int{1, 1, 1, 1, 1}},
		{writes: []int{3, 64, 257, 2, 1000, 500}},
		{writes: []int{1447, 1449, 5}},
		{writes: []int{20_000, 1}},
		{writes: []int{333, 333, 333, 333, 333, 333, 333, 333, 333, 333}},
		{writes: []int{100, 101}, fill: 0xff},
	} {
		t.Run(fmt.Sprint(c.writes), func(t *testing.T) {
			s := established(t, scriptOptions{cfg: Config{Cork: true, NoDelay: true}})
			b := bytes.Repeat([]byte{c.fill}, 20_000)
			for i := range b {
				if c.fill == 0 {
					b[i] = byte(i*7 + i>>8)
				}
			}
			total := 0
			for _, n := range c.writes {
				total += s.c.Write(b[:n])
			}
			s.c.SetCork(false)
			var o OutSegment
			for sent := 0; sent < min(total, 10*1448); sent += int(o.Len) {
				if !s.c.Output(s.now, &o) {
					t.Fatalf("%d of %d bytes were sent", sent, total)
				}
				if wireBytes(t, s.c, flowA, &o); o.Sum == 0 {
					t.Errorf("%d bytes at %d have no sum", o.Len, sent)
				}
			}
		})
	}
}

// TestPayloadSumOfZeros has a sum of nothing but zeros be told from one that is not known.
func TestPayloadSumOfZeros(t *testing.T) {
	s := established(t, scriptOptions{})
	s.c.Write(make([]byte, 100))
	var o OutSegment
	if !s.c.Output(s.now, &o) || o.Sum != 0xffff {
		t.Errorf("the sum is %#x, want 0xffff", o.Sum)
	}
}

// TestPayloadSumLeftToTheDevice has no time spent on what the device does.
func TestPayloadSumLeftToTheDevice(t *testing.T) {
	s := established(t, scriptOptions{})
	s.k.ChecksumOffload = true
	s.c.Write([]byte("some bytes"))
	var o OutSegment
	if !s.c.Output(s.now, &o) || o.Sum != 0 {
		t.Errorf("the sum is %#x, want none", o.Sum)
	}
}
