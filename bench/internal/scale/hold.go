package scale

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/core"
)

// Held is what idle connections take.
type Held struct {
	Connections int     `json:"connections"`
	Bytes       float64 `json:"bytes"`    // of resident memory for each
	Resident    float64 `json:"resident"` // bytes of the whole process, the harness included
	Heap        float64 `json:"heap"`     // bytes that the garbage collector has to look at or after, for each
	Objects     float64 `json:"objects"`  // on the heap, for each
	Seconds     float64 `json:"seconds"`  // that opening them took
	Collection  float64 `json:"collection"`

	// Parts are bytes for each connection by what they are for, if the stack tells.
	Parts map[string]float64 `json:"parts,omitempty"`
}

// A Counter tells the bytes that its connections take, by what they are for.
type Counter interface{ Count() map[string]float64 }

// Hold opens n connections and measures what they take while nothing happens on them. It calls begin when they are open.
func Hold(t core.Target, n int, begin func() error) (Held, error) {
	c := newClient(t, n)
	if err := c.open(min(n, 1000)); err != nil { // so that what does not depend on the number is there
		return Held{}, err
	}
	first := c.opened
	before, heap := settle()
	start := time.Now()
	if err := c.open(n); err != nil {
		return Held{}, err
	}
	took := time.Since(start)
	after, now := settle()
	if before == 0 || after <= before {
		return Held{}, fmt.Errorf("scale: resident memory went from %d to %d bytes", before, after)
	}
	if err := begin(); err != nil {
		return Held{}, err
	}
	// Collections while segments come in: what the pauses are that the stack would see.
	start = time.Now()
	const collections = 5
	for range collections {
		runtime.GC()
		c.turn(0, nil)
	}
	each := float64(n - first)
	h := Held{
		Connections: n, Bytes: float64(after-before) / each, Resident: float64(after), Seconds: took.Seconds(),
		Heap:       float64(int64(now.HeapAlloc)-int64(heap.HeapAlloc)) / each,
		Objects:    float64(int64(now.HeapObjects)-int64(heap.HeapObjects)) / each,
		Collection: time.Since(start).Seconds() / collections,
	}
	if k, ok := t.(Counter); ok {
		h.Parts = k.Count()
	}
	return h, c.peer.Failure()
}

// settle returns the resident memory of the process in bytes, with what is garbage given back, and the state of the heap.
func settle() (resident int64, m runtime.MemStats) {
	for range 2 { // what a collection finds to be unused may be unmapped by a goroutine after it
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	debug.FreeOSMemory()
	runtime.ReadMemStats(&m)
	return field("/proc/self/smaps_rollup", "Rss:") << 10, m
}

// field returns the first number in the line of a file that begins so, 0 if there is none.
func field(path, name string) int64 {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), name); ok {
			var n int64
			_, _ = fmt.Sscan(rest, &n)
			return n
		}
	}
	return 0
}
