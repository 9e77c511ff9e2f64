package app

import (
	"bytes"
	"strings"
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

func TestAnswer(t *testing.T) {
	foreign := "HTTP/1.1 200 OK\r\nServer: other\r\nContent-Length: 14\r\n\r\nHello, World!\n"
	for _, tt := range []struct {
		in    []string
		done  bool
		wrong bool
	}{
		{in: []string{string(Response)}, done: true},
		{in: []string{string(Response[:20]), string(Response[20:])}, done: true},
		{in: []string{foreign}, done: true},
		{in: []string{foreign[:5], foreign[5:40], foreign[40:]}, done: true},
		{in: []string{foreign[:len(foreign)-1]}},
		{in: []string{"HTTP/1.1 404 Not Found\r\n\r\n"}, wrong: true},
		{in: []string{foreign + "x"}, wrong: true},
		{in: []string{strings.Repeat("x", 600)}, wrong: true},
	} {
		var a Answer
		var done bool
		var err error
		for _, p := range tt.in {
			if done, err = a.Add([]byte(p)); err != nil {
				break
			}
		}
		if done != tt.done || (err != nil) != tt.wrong {
			t.Errorf("%q: done %v, %v", tt.in, done, err)
		}
		if done && a.n > 0 {
			t.Errorf("%q: something is left", tt.in)
		}
	}
}
