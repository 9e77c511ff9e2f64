package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/packets"
	"github.com/xdpstack/xdpstack/stack"
)

const (
	captureLook  = 5 * time.Millisecond   // how often the rings are looked at
	captureAlive = 500 * time.Millisecond // how often it is said that nothing came
)

// captured is what a request for a capture asks for.
type captured struct {
	tap   stack.TapConfig
	queue int // -1: all
}

// captureQuery reads a request: filter, snaplen, drops, reason, queue.
func captureQuery(q url.Values, queues int) (c captured, err error) {
	c.queue = -1
	number := func(name string, least, most int, to *int) {
		text := q.Get(name)
		if text == "" || err != nil {
			return
		}
		n, bad := strconv.Atoi(text)
		if bad != nil || n < least || n > most {
			err = fmt.Errorf("%s=%q: want a number from %d to %d", name, text, least, most)
			return
		}
		*to = n
	}
	number("snaplen", 14, 65535, &c.tap.Snap)
	number("queue", 0, queues-1, &c.queue)
	if err != nil {
		return c, err
	}
	c.tap.DropsOnly, c.tap.Reason = q.Get("drops") != "", q.Get("reason")
	begins := func(name string) bool { return strings.HasPrefix(name, c.tap.Reason) }
	if all := stack.DropReasons(); !slices.ContainsFunc(all, begins) {
		return c, fmt.Errorf("no packet is dropped for the reason %q: there are %s", c.tap.Reason, strings.Join(all, ", "))
	}
	if text := q.Get("filter"); text != "" {
		c.tap.Match, err = packets.Parse(text)
	}
	return c, err
}

// capture streams what the stack receives, sends and drops, a line of JSON for each packet. The client may be as slow as it likes: what
// does not fit between is lost, and said.
func (d *Daemon) capture(w http.ResponseWriter, r *http.Request) error {
	c, err := captureQuery(r.URL.Query(), d.Stack.Shards())
	if err != nil {
		return control.BadRequest{Err: err}
	}
	// Both clocks go alike as far as a capture is concerned; the one of the packets has no date.
	epoch := time.Now().UnixNano() - int64(clock.Now())
	tap, err := d.Stack.Tap(c.tap)
	if errors.Is(err, stack.ErrTaps) {
		return control.BadRequest{Err: err}
	}
	if err != nil {
		return err
	}
	defer tap.Close()
	out := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	said := time.Time{}
	for {
		n, err := tap.Read(func(p *stack.Tapped) error {
			if c.queue >= 0 && p.Shard != c.queue {
				return nil
			}
			return out.Encode(&packets.Record{
				Time: epoch + int64(p.Time), Sent: p.Direction == stack.Sent, Queue: p.Shard, Reason: p.Reason, Len: p.Len, Data: p.Data,
				Lost: tap.Lost(),
			})
		})
		if err == nil && (n > 0 || time.Since(said) > captureAlive) {
			said = time.Now()
			if n == 0 {
				err = out.Encode(&packets.Record{Lost: tap.Lost()})
			}
			err = errors.Join(err, flush.Flush())
		}
		if err != nil {
			return nil // the client has gone; nothing can be said to it
		}
		select {
		case <-r.Context().Done():
			return nil
		case <-d.Stack.Gone():
			return nil
		case <-time.After(captureLook):
		}
	}
}
