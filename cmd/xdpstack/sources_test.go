package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/xdpstack/xdpstack/stack"
)

func parsedRanges(t *testing.T, text string) (all []stack.AddrRange) {
	t.Helper()
	for s := range strings.FieldsSeq(text) {
		r, err := stack.ParseAddrRange(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// Each address is one worker's, each worker has as many as the others, and the order is kept.
func TestSourcesOf(t *testing.T) {
	for _, text := range []string{"10.0.0.0/24", "10.0.0.7 10.0.0.9 10.0.1.0-10.0.1.7", "10.0.0.1-10.0.0.3 10.0.2.0/28 10.0.9.9", "255.255.255.252/30"} {
		all := parsedRanges(t, text)
		var want []netip.Addr
		for _, r := range all {
			for first, last := endsOf(r); first <= last; first++ {
				want = append(want, addrOf(first))
			}
		}
		for workers := 1; workers <= min(len(want), 9); workers++ {
			var got []netip.Addr
			for worker := range workers {
				part, err := sourcesOf(all, worker, workers)
				if err != nil {
					t.Fatal(err)
				}
				before := len(got)
				for _, r := range part {
					for first, last := endsOf(r); first <= last; first++ {
						got = append(got, addrOf(first))
					}
				}
				if n := len(got) - before; n < len(want)/workers || n > len(want)/workers+1 {
					t.Errorf("%s: worker %d of %d has %d addresses of %d", text, worker, workers, n, len(want))
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s, %d workers: %v, want %v", text, workers, got, want)
			}
		}
	}
	if part, err := sourcesOf(nil, 1, 4); part != nil || err != nil {
		t.Errorf("without any: %v, %v", part, err)
	}
	if _, err := sourcesOf(parsedRanges(t, "10.0.0.1 10.0.0.2"), 0, 4); err == nil || !strings.Contains(err.Error(), "2 addresses") {
		t.Errorf("too few: %v", err)
	}
}
