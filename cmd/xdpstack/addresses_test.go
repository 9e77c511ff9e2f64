package main

import (
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/snapshot"
)

// TestServeManyAddresses serves on a prefix beside the first address, and has stats tell.
func TestServeManyAddresses(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "addresses"})
	log, socket := server(t, lab, "echo", "--addresses", "10.77.0.128/26,10.77.0.200")
	for _, a := range []string{"10.77.0.2", "10.77.0.128", "10.77.0.191", "10.77.0.200"} {
		c, err := lab.Kernel.Dial("tcp", a+":7")
		if err != nil {
			t.Fatalf("%s: %v\n%s", a, err, log)
		}
		echoes(t, c)
		c.Close()
	}
	code, out, _ := inside(t.Context(), lab, nil, "stats", "--json", "--socket", socket)
	var snap snapshot.Snapshot
	if err := json.Unmarshal([]byte(out), &snap); code != exitOK || err != nil ||
		strings.Join(snap.Addresses, " ") != "10.77.0.128-10.77.0.191 10.77.0.200" {
		t.Errorf("stats: %d, %v, %v", code, err, snap.Addresses)
	}
}

// TestSource fetches and connects from other addresses than the first.
func TestSource(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "source"})
	ln, err := lab.Kernel.Listen("tcp", lab.Kernel.Address.Addr().String()+":80")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	from := make(chan string, 1)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			from <- host
			c.Close()
		}
	}()
	args := append([]string{"nc", "--source", "10.77.0.150-10.77.0.151", ln.Addr().String()}, linkArgs(lab)...)
	if code, _, errors := inside(t.Context(), lab, strings.NewReader(""), args...); code != exitOK {
		t.Fatalf("exit code %d: %s", code, errors)
	}
	if got := <-from; got != "10.77.0.150" {
		t.Errorf("nc connected from %s", got)
	}
	for _, list := range []string{"10.77.0.300", "10.77.0.9-10.77.0.8", "10.77.0.0/40"} {
		args := append([]string{"get", "--source", list, "http://10.77.0.1/"}, linkArgs(lab)...)
		if code, _, errors := inside(t.Context(), lab, strings.NewReader(""), args...); code != exitUsage || !strings.Contains(errors, list[:9]) {
			t.Errorf("--source %s: exit code %d: %s", list, code, errors)
		}
	}
}
