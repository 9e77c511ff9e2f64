package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/snapshot"
)

// TestStatsOfQueues has each of two queues do something, and stats show what.
func TestStatsOfQueues(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "queues", Queues: 2})
	_, socket := server(t, lab, "echo")
	for range 20 { // over either queue
		c, err := lab.Kernel.Dial("tcp", address(lab, 7))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintln(c, "hello")
		if _, err := io.ReadFull(c, make([]byte, 6)); err != nil {
			t.Fatal(err)
		}
	}
	_, out, _ := command(t.Context(), nil, "stats", "--socket", socket, "--json")
	var snap snapshot.Snapshot
	if err := json.Unmarshal([]byte(out), &snap); err != nil || len(snap.Queues) != 2 {
		t.Fatalf("%v\n%s", err, out)
	}
	connections, received, passed := 0, uint64(0), uint64(0)
	for i, q := range snap.Queues {
		if q.Number != i || q.Connections == 0 || q.Received == 0 || q.Sent == 0 {
			t.Errorf("queue %d: %+v", i, q)
		}
		connections += q.Connections
		received += q.Received
		passed += q.PassedOn
	}
	if connections != 20 || received != snap.Value("queue_rx_packets") || passed != snap.Value("passed_on") {
		t.Errorf("the queues have %d connections and received %d packets, of which %d were passed on: %+v", connections, received, passed, snap)
	}
	_, out, _ = command(t.Context(), nil, "stats", "--socket", socket)
	if !strings.Contains(out, "taken over") || strings.Contains(out, "does not serve") {
		t.Errorf("the table of the queues is missing, or frames went elsewhere:\n%s", out)
	}
}
