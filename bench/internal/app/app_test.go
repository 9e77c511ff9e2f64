package app

import (
	"bytes"
	"testing"
)

func TestRequestsAtEverySplit(t *testing.T) {
	in := append(append([]byte{}, KeepAlive...), OneShot...)
	for i := range in {
		for j := i; j <= len(in); j += 7 {
			var h HTTP
			got := h.Requests(in[:i]) + h.Requests(in[i:j]) + h.Requests(in[j:])
			if got != 2 || !h.Close {
				t.Fatalf("split at %d and %d: %d requests, close %v", i, j, got, h.Close)
			}
		}
	}
	var h HTTP
	if n := h.Requests(bytes.Repeat(KeepAlive, 5)); n != 5 || h.Close {
		t.Errorf("pipelined: %d requests, close %v", n, h.Close)
	}
}

func TestRequestsAllocateNothing(t *testing.T) {
	var h HTTP
	if n := testing.AllocsPerRun(100, func() { h.Requests(KeepAlive) }); n != 0 {
		t.Errorf("%v allocations per request", n)
	}
}
