package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/internal/snapshot"
)

// bulkTime bounds one transfer.
const bulkTime = time.Minute

// dialBulk connects to a service from the kernel's side.
func dialBulk(t *testing.T, lab *netlab.Lab, port int) *net.TCPConn {
	t.Helper()
	c, err := lab.Kernel.Dial("tcp", address(lab, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(bulkTime))
	return c.(*net.TCPConn)
}

// block is what a transfer repeats: random, and of a length that is prime, so that bytes which are displaced show.
func block() []byte {
	b := make([]byte, 131071)
	_, _ = rand.NewChaCha8([32]byte{5}).Read(b)
	return b
}

// send writes total bytes of the repeated block, then the end of the stream.
func send(c *net.TCPConn, block []byte, total int) error {
	for left := total; left > 0; {
		n, err := c.Write(block[:min(left, len(block))])
		if err != nil {
			return fmt.Errorf("after %d bytes: %w", total-left, err)
		}
		left -= n
	}
	return c.CloseWrite()
}

// expect reads total bytes and compares each with the repeated block.
func expect(r io.Reader, block []byte, total int) error {
	buf := make([]byte, len(block))
	for left := total; left > 0; {
		n := min(left, len(buf))
		if _, err := io.ReadFull(r, buf[:n]); err != nil {
			return fmt.Errorf("after %d bytes: %w", total-left, err)
		}
		if !bytes.Equal(buf[:n], block[:n]) {
			return fmt.Errorf("other bytes than expected within the %d after %d", n, total-left)
		}
		left -= n
	}
	return nil
}

// expectEnd reads the end of the stream.
func expectEnd(c net.Conn) error {
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("%d bytes more, %w", n, err)
	}
	return nil
}

// chargenCycle is what the chargen service repeats (RFC 864): 95 lines of 72 characters.
func chargenCycle() []byte {
	var b []byte
	for line := range 95 {
		for i := range 72 {
			b = append(b, byte(' '+(line+i)%95))
		}
		b = append(b, '\r', '\n')
	}
	return b
}

// Bulk data from and to the kernel's TCP, as iperf3 does it: into discard, out of chargen, both ways through echo, one connection and
// several at once. Every byte that comes back is compared.
func TestBulkWithTheKernel(t *testing.T) {
	const total = 128 << 20 // bytes of each kind, over all connections
	for _, driver := range []string{"native", "asavie"} {
		lab := netlab.ForTest(t, netlab.Config{Name: "bulk", Queues: 2})
		socket := filepath.Join(t.TempDir(), "s")
		p := launch(t, lab, nil, append([]string{"serve", "echo", "discard", "chargen", "--driver", driver, "--socket", socket}, linkArgs(lab)...)...)
		p.ready(t)
		data, cycle := block(), chargenCycle()
		for _, kind := range []struct {
			name string
			port int
			run  func(c *net.TCPConn, n int) error
		}{
			{"discard", 9, func(c *net.TCPConn, n int) error { return errors.Join(send(c, data, n), expectEnd(c)) }},
			{"chargen", 19, func(c *net.TCPConn, n int) error { return expect(c, cycle, n) }},
			{"echo", 7, func(c *net.TCPConn, n int) error {
				sent := make(chan error, 1)
				go func() { sent <- send(c, data, n) }()
				return errors.Join(expect(c, data, n), expectEnd(c), <-sent)
			}},
		} {
			for _, conns := range []int{1, 8} {
				t.Run(fmt.Sprintf("%s/%s/%d", driver, kind.name, conns), func(t *testing.T) {
					var wg sync.WaitGroup
					began := time.Now()
					for range conns {
						c := dialBulk(t, lab, kind.port)
						wg.Go(func() {
							if err := kind.run(c, total/conns); err != nil {
								t.Error(err)
							}
						})
					}
					wg.Wait()
					took := time.Since(began)
					t.Logf("%d MiB in %v: %.2f Gbit/s", total>>20, took.Round(time.Millisecond), total*8/took.Seconds()/1e9)
				})
			}
		}
		noneLeft(t, socket, 4*total)
		endsWell(t, lab, p, socket)
	}
}

// noneLeft checks that the connections are gone and that at least so many bytes came in.
func noneLeft(t *testing.T, socket string, received uint64) {
	t.Helper()
	var snap snapshot.Snapshot
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		code, out, errs := command(t.Context(), nil, "stats", "--socket", socket, "--json")
		if err := json.Unmarshal([]byte(out), &snap); code != exitOK || err != nil {
			t.Fatalf("stats: exit code %d, %v\n%s", code, err, errs)
		}
		if snap.Connections == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are still there", snap.Connections)
		}
	}
	if n := snap.Value("tcp_bytes_in"); n < received {
		t.Errorf("%d bytes came in, want at least %d", n, received)
	}
	for _, m := range snap.Drops() {
		t.Logf("%d %s: %s", m.Value, m.Name, m.Help)
	}
}
